// What fib wants of the kernel and what it finds there, as plain values: routes, nexthop objects
// and nexthop groups in the words of rtnetlink(7). Not here: how they travel (fib/rtnetlink.h) and
// who wants them (fib/table.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/ip.h"
#include "net/next_hop.h"

namespace weft::fib {

/// Why a route is in the table; each kind has its own metric, so kinds of one prefix stand side by
/// side.
enum class Kind : std::uint8_t {
  learned,    ///< from BGP, through a nexthop group, Settings::metric
  blackhole,  ///< covers an owned block, blackhole_metric
  gateway,    ///< the containers' gateway: <address>/32 dev lo scope link, metric 0
};
/// "unicast", "blackhole", "gateway": the label of metrics.
std::string_view name(Kind kind);

/// rtm_type of the routes weft knows; any other value is kept as it came.
enum class RouteType : std::uint8_t { unicast = 1, blackhole = 6, unreachable = 7 };

/// One route as the kernel has it. Its identity there is (prefix, table, metric), whoever made it.
struct Route {
  Prefix prefix;
  std::uint32_t table = 254;
  std::uint32_t metric = 0;
  /// Nexthop object or group; 0: the route names its interface itself.
  std::uint32_t nexthop_id = 0;
  /// Outgoing interface when there is no nexthop_id; 0: none (blackhole, or several).
  std::uint32_t ifindex = 0;
  std::uint8_t protocol = 0;
  RouteType type = RouteType::unicast;
  /// RT_SCOPE_*: 0 universe, 253 link.
  std::uint8_t scope = 0;
  std::optional<Address> preferred_source;
  /// RTAX_MTU, octets; 0: the interface's.
  std::uint32_t mtu = 0;

  bool operator==(const Route&) const = default;
};

/// Of a member, before Linux 6.12: net/ipv4/nexthop.c refused the last of the eight bits' values.
inline constexpr std::uint16_t largest_weight = 255;

/// A member of a nexthop group.
struct Member {
  std::uint32_t id = 0;
  /// 1..largest_weight.
  std::uint16_t weight = 1;

  bool operator==(const Member&) const = default;
};

/// What makes a group resilient (NEXTHOP_GRP_TYPE_RES); the number of buckets is for life.
struct Resilience {
  std::uint16_t buckets = 0;
  std::chrono::seconds idle_time{0};
  /// A group may stay unbalanced for so long before busy buckets move, too; 0: for ever.
  std::chrono::seconds unbalanced_time{0};

  bool operator==(const Resilience&) const = default;
};

/// A nexthop object: one gateway, or a group of such.
struct NextHopObject {
  std::uint32_t id = 0;
  std::uint8_t protocol = 0;
  /// Not for a group.
  Address gateway;
  std::uint32_t ifindex = 0;
  /// More than none: a group.
  std::vector<Member> members;
  std::optional<Resilience> resilience = {};
  /// RTNH_F_ONLINK: the gateway is there whatever the subnets of the interface say.
  bool onlink = false;

  [[nodiscard]] bool is_group() const { return !members.empty(); }
  bool operator==(const NextHopObject&) const = default;
};

/// A network interface, as far as routes care.
struct Link {
  std::uint32_t ifindex = 0;
  std::string name;
  /// Octets.
  std::uint32_t mtu = 0;
  /// Administratively up.
  bool up = false;
  bool carrier = false;
  bool loopback = false;

  /// The kernel keeps nexthop objects only on interfaces that are up and have carrier.
  [[nodiscard]] bool usable() const { return up && carrier; }
  bool operator==(const Link&) const = default;
};

/// "bgp", "static", … or the number: rtm_protocol as iproute2 writes it.
std::string protocol_name(std::uint8_t protocol);

}  // namespace weft::fib
