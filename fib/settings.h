// What an operator sets of the kernel FIB. Plain data, filled by `config`; the defaults are the
// product's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "net/ip.h"

namespace weft::fib {

/// weft's rtm_protocol: every route and nexthop object that weft makes carries it, and weft touches
/// no other. Registered for iproute2 by packaging/weft.rt_protos as `87 weft`.
inline constexpr std::uint8_t route_protocol = 87;

struct Settings {
  /// False: a speaker that never touches the kernel (route reflector).
  bool install = true;
  /// A block or a learned route is told to others only when the kernel has acknowledged it.
  bool wait_install = true;
  /// Kernel routing table, 1..2^32-1; 254 is main.
  std::uint32_t table = 254;
  /// Metric of learned routes, 1..2^32-2; lower wins against other routing daemons.
  std::uint32_t metric = 20;
  /// Source of what the host itself sends along learned routes; `config` puts the router address
  /// here.
  std::optional<Address> preferred_source_v4;
  std::optional<Address> preferred_source_v6;

  /// Octets, 1280..65535: what TCP takes for the path's MTU along learned routes; none: the
  /// interface's.
  std::optional<std::uint32_t> route_mtu;
  /// Buckets of a nexthop group, 1..32768: flows then keep their member when others come and go
  /// (Linux 5.13). None: plain groups, where a change moves flows. At least as many as members.
  std::optional<std::uint32_t> resilient_buckets;
  /// A bucket without packets for so long may move to a member that has too few.
  std::chrono::seconds resilient_idle_time{120};
  /// After so long without its share a member gets buckets that are in use; 0: never.
  std::chrono::seconds resilient_unbalanced_time{0};

  bool operator==(const Settings&) const = default;
};

/// Metric of the blackhole that covers each owned block: the worst there is, so every other route
/// wins.
inline constexpr std::uint32_t blackhole_metric = 0xffffffff;

}  // namespace weft::fib
