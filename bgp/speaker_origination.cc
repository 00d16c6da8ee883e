// What a Speaker originates on its own: aggregates, and default routes for those who get one.
#include "bgp/speaker_world.h"

#include <algorithm>
#include <utility>

namespace weft::bgp {
namespace {

const std::array<Prefix, 2> default_routes{Prefix(), Prefix(Address::ipv6({}), 0)};

bool is_learned(RouteKind kind) {
  return kind == RouteKind::via || kind == RouteKind::blackhole;
}

}  // namespace

void Speaker::World::watch_routes() {
  tables->rib.watch_routes([this](const Prefix& prefix, RouteKind before, RouteKind now) {
    aggregates.route(prefix, before, now);
    if (is_learned(before) != is_learned(now) && default_conditions.contains(prefix))
      default_condition_changed = true;
  });
}

std::optional<Attributes> Speaker::World::wanted(const Prefix& prefix) const {
  if (const auto known = originated.find(prefix); known != originated.end())
    return known->second.attributes();
  if (const AggregateSettings* aggregate = aggregates.originated(prefix))
    return attributes_of(*aggregate, settings.asn, settings.router_id);
  return std::nullopt;
}

void Speaker::World::originate_again(const Prefix& prefix) {
  if (const auto attributes = wanted(prefix)) {
    tables->originate(prefix, *attributes);
  } else {
    tables->rib.withdraw(PeerId::local, prefix);
  }
}

void Speaker::World::configure_origination() {
  aggregates.configure(settings.aggregates);
  tables->rib.each_route([&](const Prefix& prefix, RouteKind kind) {
    aggregates.route(prefix, RouteKind::none, kind);
  });
}

void Speaker::World::offer_defaults() {
  default_conditions.clear();
  bool wanted = false;
  for (const PeerSettings& peer : settings.peers) {
    wanted = wanted || peer.default_originate.on;
    if (peer.default_originate.condition)
      default_conditions.insert(*peer.default_originate.condition);
  }
  for (const Prefix& each : default_routes) {
    if (wanted) {
      tables->offer(each, Origination{each, {}, {}, {}}.attributes());
    } else {
      tables->rib.withdraw_offer(each);
    }
  }
}

bool Speaker::World::follow_routes() {
  if (std::exchange(default_condition_changed, false)) {
    for (const Prefix& each : default_routes) tables->rib.look_again(each);
  }
  const std::vector<Prefix> changed = aggregates.step();
  for (const Prefix& prefix : changed) originate_again(prefix);
  // One that covers nothing any more has nothing to suppress, but a changed one may.
  if (!changed.empty()) tables->rib.suppress(aggregates.suppressing());
  return !changed.empty();
}

}  // namespace weft::bgp
