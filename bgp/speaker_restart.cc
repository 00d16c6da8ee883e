// Who is waited for, and what is kept meanwhile: graceful restart of either side (RFC 4724, 9494),
// and the initial synchronisation.
#include "bgp/speaker_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bgp/attributes.h"
#include "bgp/ranges.h"

namespace weft::bgp {
namespace {

using std::chrono::seconds;

/// A peer without RFC 4724 may never send End-of-RIB; after this long its table is taken for
/// complete.
constexpr seconds quiet_sync{10};

/// End-of-RIB waits so long for routes on their way to the kernel.
constexpr seconds install_limit{10};

}  // namespace

std::optional<AttributeId> AgedAttributes::of(AttributeId id) {
  if (store_.facts(id).no_llgr) return std::nullopt;
  if (store_.facts(id).llgr_stale) return id;
  AttributeId& aged = known_[static_cast<std::uint32_t>(id)];
  if (aged != AttributeId::none) return aged;
  Attributes attributes = from_canonical(store_.octets(id));
  attributes.communities.push_back(community::llgr_stale);
  aged = store_.intern(canonical(attributes), AttributeId::none, store_.original(id));
  held_.emplace_back(store_, id);  // lest another set gets its id meanwhile
  store_.hold(id);
  held_.emplace_back(store_, aged);
  return aged;
}

void Speaker::World::forget_stale(Neighbour& who) {
  for (const Family family : both_families) {
    Retention& retention = who.families[index(family)].retention;
    if (retention.phase() == Retention::Phase::fresh) continue;
    retention.forget();
    carry_out(who.id, family, Fate::sweep);
  }
}

void Speaker::World::tick_retention(Neighbour& who, Time now) {
  for (const Family family : both_families) {
    const Fate fate = who.families[index(family)].retention.tick(now);
    if (fate == Fate::keep) continue;
    who.peer.log(Level::info,
                 fmt::format("the time for its {} routes to be said again is over", name(family)),
                 now);
    carry_out(who.id, family, fate);
  }
}

Time Speaker::World::retention_deadline(const Neighbour& who) {
  return std::min(who.families[0].retention.deadline(), who.families[1].retention.deadline());
}

void Speaker::World::begin(const Restart& how, Time now) {
  begun = true;
  restart = how;
  started = now;
  for (const RangeMember& each : restart.range_members.value_or(std::vector<RangeMember>()))
    awaited.emplace(each.address, each.graceful);
  for (const Family family : both_families) tables->rib.defer(family, restart.restarting);
  for (const auto& each : neighbours) tell_restart(*each);
}

void Speaker::World::tell_restart(Neighbour& who) const {
  std::array<bool, 2> forwarding{};
  bool waits = false;
  for (const Family family : both_families) {
    const std::size_t i = index(family);
    forwarding[i] = restart.forwarding[i] || sync_done[i];
    waits |= tables->rib.deferring(family);
  }
  who.peer.announce_restart(restart.restarting && waits, forwarding);
}

bool Speaker::World::holds_selection(const Neighbour& who, Family family, Time now) const {
  if (!owes(who, family)) return false;
  const auto& session = who.peer.session();
  if (!session) return now < started + settings.selection_deferral;
  return session->negotiated.graceful_restart &&
         !session->theirs.capabilities.graceful_restart->restarting;
}

bool Speaker::World::has_ranges() const {
  return std::any_of(settings.peers.begin(), settings.peers.end(), is_range);
}

bool Speaker::World::awaits_range(bool graceful) const {
  if (!restart.range_members) return has_ranges();
  return std::any_of(awaited.begin(), awaited.end(), [&](const auto& each) {
    const auto known = by_address.find(each.first);
    const bool listed = known != by_address.end() && !known->second->peer.settings().is_dynamic();
    return (each.second || !graceful) && !listed && range_of(settings.peers, each.first) != nullptr;
  });
}

bool Speaker::World::deferring() const {
  return std::any_of(both_families.begin(), both_families.end(),
                     [&](Family family) { return tables->rib.deferring(family); });
}

Time Speaker::World::sync_end() const {
  return started + std::max(sync_limit, settings.selection_deferral);
}

void Speaker::World::check_deferral(Time now) {
  deferral_over = now >= started + settings.selection_deferral;
  for (const Family family : both_families) {
    if (!tables->rib.deferring(family)) continue;
    const bool holds = (!deferral_over && awaits_range(true)) ||
                       std::any_of(neighbours.begin(), neighbours.end(), [&](const auto& each) {
                         return holds_selection(*each, family, now);
                       });
    if (holds && now < sync_end()) continue;
    tables->rib.defer(family, false);
    for (const auto& each : neighbours) tell_restart(*each);
  }
}

void Speaker::World::check_end_of_rib(Time now) {
  Rib& rib = tables->rib;
  for (const Family family : both_families) {
    std::optional<Time>& since = installing_since[index(family)];
    if (!rib.awaits_install(family) && !aggregates.awaits_cover(family) &&
        !conditional.awaits_health(family)) {
      since.reset();
    } else if (!since) {
      since = now;
    }
    rib.hold_end_of_rib(family, rib.pending() != 0 || (since && now < *since + install_limit));
  }
}

Time Speaker::World::end_of_rib_deadline() const {
  Time next = Time::max();
  for (const Family family : both_families) {
    const std::optional<Time>& since = installing_since[index(family)];
    if (since && tables->rib.holds_end_of_rib(family))
      next = std::min(next, *since + install_limit);
  }
  return next;
}

bool Speaker::World::owes(const Neighbour& who, Family family) {
  const auto& wanted = who.peer.settings().families;
  if (who.peer.is_shutdown() || who.families[index(family)].synced) return false;
  if (std::find(wanted.begin(), wanted.end(), family) == wanted.end()) return false;
  const auto& session = who.peer.session();
  if (!session) return !who.peer.settings().is_dynamic();
  return session->negotiated.has(unicast(family));
}

bool Speaker::World::is_taciturn(const Neighbour& who) {
  const auto& session = who.peer.session();
  return session && !session->negotiated.graceful_restart &&
         !(who.families[0].synced && who.families[1].synced);
}

void Speaker::World::check_sync(Time now) {
  if (!begun) return;
  sync_checked = true;
  if (sync_done[0] && sync_done[1]) return;
  for (const auto& each : neighbours) {
    if (!is_taciturn(*each) || now < each->peer.session()->up_since + quiet_sync) continue;
    for (FamilyState& family : each->families) family.synced = true;
  }
  for (const Family family : both_families) {
    if (sync_done[index(family)]) continue;
    const bool waits = std::any_of(neighbours.begin(), neighbours.end(),
                                   [&](const auto& each) { return owes(*each, family); });
    const bool late = now >= sync_end();
    if (((waits || awaits_range(false)) && !late) || tables->rib.pending() != 0 ||
        !path_work.empty() || tables->rib.deferring(family))
      continue;
    sync_done[index(family)] = true;
    conditional.tables_complete(family);
    syncs.push_back({family, waits || (restart.range_members && awaits_range(false))});
    for (const auto& each : neighbours) tell_restart(*each);
  }
  if (sync_done[0] && sync_done[1]) awaited.clear();
}

Time Speaker::World::sync_deadline() const {
  if (!begun) return Time::max();
  if (!sync_checked) return started;
  if (sync_done[0] && sync_done[1]) return Time::max();
  Time next = sync_end();
  if (deferring() && !deferral_over) next = std::min(next, started + settings.selection_deferral);
  for (const auto& each : neighbours) {
    if (is_taciturn(*each)) next = std::min(next, each->peer.session()->up_since + quiet_sync);
  }
  return next;
}

}  // namespace weft::bgp
