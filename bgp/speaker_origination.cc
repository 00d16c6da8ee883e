// What a Speaker originates on its own: aggregates.
#include "bgp/speaker_world.h"

namespace weft::bgp {

void Speaker::World::watch_routes() {
  tables->rib.watch_routes([this](const Prefix& prefix, RouteKind before, RouteKind now) {
    aggregates.route(prefix, before, now);
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

bool Speaker::World::follow_routes() {
  const std::vector<Prefix> changed = aggregates.step();
  for (const Prefix& prefix : changed) originate_again(prefix);
  // One that covers nothing any more has nothing to suppress, but a changed one may.
  if (!changed.empty()) tables->rib.suppress(aggregates.suppressing());
  return !changed.empty();
}

}  // namespace weft::bgp
