// What a Speaker originates on its own: aggregates, announcements with conditions, and default
// routes for those who get one.
#include "bgp/speaker_world.h"

#include <fmt/format.h>

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
  // Without anything to watch for, a full table pays nothing.
  if (settings.aggregates.empty() && settings.announcements.empty() && default_conditions.empty())
    return tables->rib.watch_routes({});
  tables->rib.watch_routes(
      [this](const Prefix& prefix, RouteKind before, RouteKind now, std::uint8_t origin) {
        aggregates.route(prefix, before, now, static_cast<Origin>(origin));
        // Whom it is learned from may matter, too.
        if (default_conditions.contains(prefix)) default_condition_changed = true;
        if (is_learned(before) != is_learned(now)) conditional.learned(prefix, is_learned(now));
      });
}

std::optional<Attributes> Speaker::World::wanted(const Prefix& prefix) const {
  if (const auto known = originated.find(prefix); known != originated.end()) {
    Attributes made = known->second.attributes();
    if (known->second.aggregate) made.aggregator = Aggregator{settings.asn, settings.router_id};
    return made;
  }
  if (const Origination* announced = conditional.originated(prefix)) return announced->attributes();
  if (const AggregateSettings* aggregate = aggregates.originated(prefix))
    return attributes_of(*aggregate, settings.asn, settings.router_id, aggregates.origin(prefix));
  return std::nullopt;
}

void Speaker::World::originate_again(const Prefix& prefix) {
  if (const auto attributes = wanted(prefix)) {
    tables->originate(prefix, *attributes);
  } else {
    tables->rib.withdraw(PeerId::local, prefix);
  }
}

void Speaker::World::configure_origination(Time now) {
  aggregates.configure(settings.aggregates, now);
  conditional.configure(settings.announcements, now);
  tables->rib.each_route([&](const Prefix& prefix, RouteKind kind, std::uint8_t origin) {
    aggregates.route(prefix, RouteKind::none, kind, static_cast<Origin>(origin));
    conditional.learned(prefix, is_learned(kind));
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

void Speaker::World::log_origination(const std::string& text, Time now) {
  std::string line = origination_log.admit(text, now);
  if (!line.empty()) out.log.push_back({Level::info, std::move(line)});
}

bool Speaker::World::follow_routes(Time now) {
  if (std::exchange(default_condition_changed, false)) {
    for (const Prefix& each : default_routes) tables->rib.look_again(each);
  }
  const std::vector<Prefix> announced = conditional.step(now);
  const std::vector<Prefix> aggregated = aggregates.step(now);
  for (const std::string& line : conditional.take_news()) log_origination(line, now);
  for (const Prefix& prefix : aggregated) {
    log_origination(
        fmt::format("aggregate {} is {}", prefix.text(),
                    aggregates.originated(prefix) != nullptr
                        ? fmt::format("originated, ORIGIN {}: there are routes inside of it",
                                      name(aggregates.origin(prefix)))
                        : "withdrawn: no route is inside of it, or it is not configured any more"),
        now);
  }
  for (const Prefix& prefix : announced) originate_again(prefix);
  for (const Prefix& prefix : aggregated) originate_again(prefix);
  if (!aggregated.empty()) tables->rib.suppress(aggregates.suppressing());
  return !announced.empty() || !aggregated.empty();
}

}  // namespace weft::bgp
