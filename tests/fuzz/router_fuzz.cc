// Any octets as an ICMPv6 message on a link with an unnumbered peer: nothing but a router
// advertisement makes a neighbour, and nothing makes us speak more often than we may.
#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "bgp/router_discovery.h"

using namespace weft;
using namespace weft::bgp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes message = std::as_bytes(std::span(data, size));
  const auto type = decode_router_message(message);
  RouterDiscovery core(1);
  Time now{std::chrono::hours{1}};
  core.links({1}, now);
  static_cast<void>(core.due(now));
  const Address router = Address::parse("fe80::1").value();
  const auto found = core.heard(1, router, 255, message, now);
  if (found.has_value() != (type == RouterMessage::advertisement)) std::abort();
  if (core.deadline() < now + RouterDiscovery::min_delay) std::abort();
  return 0;
}
