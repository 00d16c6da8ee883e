// RouteChange: what the Loc-RIB wants of the FIB, prefix by prefix, in the ids of next-hop sets.
// Not here: the kernel, and how a set becomes a nexthop group (fib/).
#pragma once

#include <compare>
#include <cstdint>

#include "net/ip.h"

namespace weft::bgp {

/// Names a set of next hops, and where routes through it go in the kernel (`Rib::next_hops`,
/// `Rib::placement`); equal ones have equal ids. 0 is the empty set.
struct NextHopSet {
  std::uint32_t value = 0;
  auto operator<=>(const NextHopSet&) const = default;
};

enum class RouteKind : std::uint8_t {
  none,       ///< no route any more
  via,        ///< learned: through `next_hops`
  local,      ///< originated here: the owner of the prefix installs what it wants, not bgp
  blackhole,  ///< learned: packets are to be dropped (RFC 7999)
};

/// One of RouteKind::blackhole may be told of again: it may be another peer's by now.
struct RouteChange {
  Prefix prefix;
  RouteKind kind = RouteKind::none;
  /// Of RouteKind::via; else the empty set.
  NextHopSet next_hops;
  auto operator<=>(const RouteChange&) const = default;
};

}  // namespace weft::bgp
