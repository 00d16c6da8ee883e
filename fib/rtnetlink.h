// Routes, nexthop objects, links and addresses <-> netlink bytes (rtnetlink(7), linux/nexthop.h).
// Pure: no socket, no state. What is received and not understood is none, never a guess.
#pragma once

#include <cstdint>
#include <optional>

#include "fib/route.h"
#include "net/netlink.h"
#include "net/next_hop.h"

namespace weft::fib {

/// How a put treats what is there already.
enum class Mode : std::uint8_t {
  create,          ///< must be new: EEXIST otherwise, so nothing foreign is overwritten
  create_replace,  ///< new or in place of what we had
  replace,  ///< must be there: ENOENT otherwise (nexthop objects; for routes as create_replace)
};

void put(netlink::Batch& batch, const Route& route, Mode mode);
/// Matches prefix, table, metric and protocol, so that it never hits a foreign route. ESRCH: there
/// is none.
void remove(netlink::Batch& batch, const Route& route);
void put(netlink::Batch& batch, const NextHopObject& object, Mode mode);
/// The kernel drops all routes through it without a word. ENOENT: there is none.
void remove_nexthop(netlink::Batch& batch, std::uint32_t id);

/// Dump requests; `table` and `protocol` 0 mean all.
void dump_routes(netlink::Batch& batch, Family family, std::uint32_t table, std::uint8_t protocol);
void dump_nexthops(netlink::Batch& batch);
void dump_links(netlink::Batch& batch);
void dump_addresses(netlink::Batch& batch);

/// RTM_NEWROUTE, RTM_DELROUTE; none for cached, multicast, local and broadcast routes.
std::optional<Route> parse_route(const netlink::Message& message);
/// A route through a nexthop object that the kernel spells out beside its id, as it does where
/// nexthop_compat_mode is 1.
bool spells_out_nexthops(const netlink::Message& route);
/// RTM_NEWNEXTHOP, RTM_DELNEXTHOP.
std::optional<NextHopObject> parse_nexthop(const netlink::Message& message);
/// RTM_NEWLINK, RTM_DELLINK; none for what is not about the interface itself (AF_BRIDGE).
std::optional<Link> parse_link(const netlink::Message& message);
/// RTM_NEWADDR, RTM_DELADDR; none for addresses that are tentative or failed duplicate detection.
std::optional<ConnectedSubnet> parse_address(const netlink::Message& message);

}  // namespace weft::fib
