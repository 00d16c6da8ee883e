// NextHop: where a route leads, in the words that BGP and the kernel share. What `bgp` learns and
// `fib` installs meets here: neither module knows the other.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <vector>

#include "net/ip.h"

namespace weft {

/// A gateway behind one interface. The gateway's family may differ from the route's (RFC 8950).
struct NextHop {
  Address gateway;
  /// Kernel interface index, > 0.
  std::uint32_t ifindex = 0;
  /// Share among the members of one set, 1..65535.
  std::uint16_t weight = 1;

  auto operator<=>(const NextHop&) const = default;
};

/// Sorted, without duplicates; more than one member is ECMP.
using NextHops = std::vector<NextHop>;

/// Where in the kernel routes go. 0, each: wherever routes go of which nothing is said.
struct Placement {
  std::uint32_t table = 0;
  std::uint32_t metric = 0;

  auto operator<=>(const Placement&) const = default;
};

/// A subnet this host is connected to: one interface address with its prefix.
struct ConnectedSubnet {
  Address address;
  Prefix prefix;
  std::uint32_t ifindex = 0;

  auto operator<=>(const ConnectedSubnet&) const = default;
};

/// No subnet of its interface holds the gateway, so the kernel takes it only as "onlink".
inline bool is_onlink(const Address& gateway, std::uint32_t ifindex,
                      const std::vector<ConnectedSubnet>& subnets) {
  if (gateway.is_v6() && gateway.is_link_local()) return false;
  return std::none_of(subnets.begin(), subnets.end(), [&](const ConnectedSubnet& subnet) {
    return subnet.ifindex == ifindex && subnet.prefix.contains(gateway);
  });
}

}  // namespace weft
