#include "fib/batch.h"

namespace weft::fib {

namespace {

constexpr std::uint8_t scope_link = 253;
/// The loopback interface is number 1 in every network namespace.
constexpr std::uint32_t loopback = 1;

}  // namespace

void Batch::clear() {
  nexthops.clear();
  groups.clear();
  routes.clear();
  group_removals.clear();
  nexthop_removals.clear();
}

Route route_of(const RouteChange& change, const Settings& settings) {
  Route route;
  route.prefix = change.prefix;
  route.table = change.table;
  route.metric = change.metric;
  route.protocol = route_protocol;
  switch (change.kind) {
    case Kind::learned:
      route.nexthop_id = change.nexthop_id;
      route.preferred_source = change.prefix.family() == Family::ipv4
                                   ? settings.preferred_source_v4
                                   : settings.preferred_source_v6;
      route.mtu = settings.route_mtu.value_or(0);
      break;
    case Kind::blackhole:
      route.type = RouteType::blackhole;
      break;
    case Kind::gateway:
      route.ifindex = loopback;
      route.scope = scope_link;
      break;
  }
  return route;
}

void encode(netlink::Batch& out, const Batch& batch, const Settings& settings) {
  for (const NextHopChange& change : batch.nexthops) put(out, change.object, change.mode);
  for (const NextHopChange& change : batch.groups) put(out, change.object, change.mode);
  for (const RouteChange& change : batch.routes) {
    const Route route = route_of(change, settings);
    if (change.remove) {
      remove(out, route);
    } else {
      put(out, route, change.mode);
    }
  }
  for (const NextHopChange& change : batch.group_removals) remove_nexthop(out, change.object.id);
  for (const NextHopChange& change : batch.nexthop_removals) remove_nexthop(out, change.object.id);
}

}  // namespace weft::fib
