// HostRoute: who has an address, as the kernel of a namespace sees it: the route to just that
// address, if there is one. Routes to more than it say nothing about it. I/O on a socket of the
// namespace in question.
#pragma once

#include <cstdint>
#include <optional>

#include "net/ip.h"
#include "net/netlink_socket.h"
#include "net/result.h"

namespace weft {

struct HostRoute {
  /// The namespace itself has the address (RTN_LOCAL).
  bool local = false;
  /// rtm_protocol
  std::uint8_t protocol = 0;
  /// 0 when it leads through a nexthop object.
  std::uint32_t ifindex = 0;
  bool operator==(const HostRoute&) const = default;
};

/// None: packets to the address take a wider route, a blackhole or none.
Result<std::optional<HostRoute>, netlink::Refusal> find_host_route(netlink::Socket& socket,
                                                                   const Address& address);

}  // namespace weft
