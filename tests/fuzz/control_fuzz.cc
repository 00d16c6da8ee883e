// Whatever arrives on the control socket is either refused with a sentence or a request that
// survives its own encoding.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ctl/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft::ctl;
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (const auto request = decode_request(line)) {
    const auto again = decode_request(encode(*request));
    if (!again || !(*again == *request)) std::abort();
  } else if (request.error().message.empty()) {
    std::abort();
  }
  for (const Request& asked :
       {Request{AddRequest{}}, Request{DelRequest{}}, Request{StatusRequest{}},
        Request{PeersRequest{}}, Request{RoutesRequest{}}, Request{BlocksRequest{}},
        Request{ContainersRequest{}}}) {
    if (const auto reply = decode_reply(line, asked)) {
      const auto again = decode_reply(encode(*reply), asked);
      if (!again || !(*again == *reply)) std::abort();
    }
  }
  return 0;
}
