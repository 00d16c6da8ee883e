// Any octets as what a peer sends: cut into messages, every message but OPEN and UPDATE decoded,
// told and encoded again. The first octet chooses between plain and extended messages.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "bgp/message.h"
#include "bgp/update.h"

using namespace weft;
using namespace weft::bgp;

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

template <typename T>
std::vector<std::byte> encoded(const T& message) {
  std::vector<std::byte> bytes;
  encode(message, bytes);
  return bytes;
}

void try_notification(const Frame& frame) {
  const Notification notification = decode_notification(frame.body());
  text(notification);
  const auto said = shutdown_text(notification);
  require(!said || said->size() <= max_shutdown_text);
  if (frame.size() > max_message_size) return;
  const auto bytes = encoded(notification);
  require(as_text(bytes) == as_text(frame.message));
  // Text that went through us once is not changed again.
  if (said) require(shutdown_text(cease(Fault::AdministrativeReset, *said)) == said);
}

void try_message(const Frame& frame) {
  switch (frame.type) {
    case MessageType::open:
      static_cast<void>(decode_open(frame.body()));
      break;
    case MessageType::update:
      static_cast<void>(split_update(frame.body()));
      break;
    case MessageType::notification:
      try_notification(frame);
      break;
    case MessageType::keepalive:
      require(as_text(encoded(Keepalive{})) == as_text(frame.message));
      break;
    case MessageType::route_refresh: {
      const auto refresh = decode_route_refresh(frame);
      if (refresh && *refresh) require(as_text(encoded(**refresh)) == as_text(frame.message));
      break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t max_size = (data[0] & 1) != 0 ? max_extended_message_size : max_message_size;
  Bytes rest = std::as_bytes(std::span(data, size)).subspan(1);
  for (;;) {
    const auto frame = next_message(rest, max_size);
    if (!frame) {
      text(frame.error());
      require(encoded(frame.error()).size() <= max_message_size);
      return 0;
    }
    if (!*frame) return 0;
    require((*frame)->size() >= header_size && (*frame)->size() <= max_size);
    try_message(**frame);
    rest = rest.subspan((*frame)->size());
  }
}
