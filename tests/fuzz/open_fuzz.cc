// Any octets as the body of an OPEN. What decodes, encodes, and what was encoded decodes to the
// same.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "bgp/message.h"

using namespace weft;
using namespace weft::bgp;

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > max_message_size - header_size) return 0;
  const Bytes body = std::as_bytes(std::span(data, size));
  const auto open = decode_open(body);
  if (!open) {
    text(open.error());
    return 0;
  }
  text(open->capabilities);
  std::vector<std::byte> bytes;
  encode(*open, bytes);
  const auto frame = next_message(bytes, max_message_size);
  require(frame && *frame && (*frame)->size() == bytes.size());
  const auto again = decode_open((*frame)->body());
  require(again && *again == *open);
  const Negotiated both = negotiate(open->capabilities, open->capabilities);
  require(!both.families.empty());
  return 0;
}
