// What peers say: UPDATE, End-of-RIB, ROUTE-REFRESH, and the limits to it.
#include "bgp/speaker_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bgp/attributes.h"
#include "bgp/message.h"

namespace weft::bgp {
namespace {

using std::chrono::seconds;

/// Prefixes asked about again in one go after a change of an import policy: each may have a path of
/// every peer, and each path its own attributes to go through the rules with.
constexpr NetId import_slice = 1024;

std::optional<Family> family_of(AfiSafi family) {
  for (const Family each : both_families) {
    if (unicast(each) == family) return each;
  }
  return std::nullopt;
}

Notification too_many(Family family, std::uint32_t limit) {
  // RFC 4486 4: AFI, SAFI, upper bound.
  Notification why{Fault::MaximumPrefixes};
  Writer data(why.data);
  data.u16(unicast(family).afi);
  data.u8(unicast(family).safi);
  data.u32(limit);
  return why;
}

std::string text(std::span<const AttributeError> errors) {
  std::string all;
  for (const AttributeError& error : errors) {
    all += fmt::format("{}{}: {} ({})", all.empty() ? "" : "; ", name(error.type), error.reason,
                       name(error.handling));
  }
  return all;
}

}  // namespace

void Speaker::World::read(Neighbour& who, Time now) {
  while (const auto frame = who.peer.next(now)) {
    follow_session(who, now);
    if (frame->type == MessageType::update) {
      update(who, *frame, now);
    } else {
      refresh_wanted(who, *frame, now);
    }
  }
}

void Speaker::World::update(Neighbour& who, const Frame& frame, Time now) {
  auto decoded = who.decoder->decode(frame.body());
  if (!decoded) return who.peer.refuse(decoded.error(), now);
  const Update& update = *decoded;
  if (update.handling() != Handling::accept) {
    ++who.malformed_updates;
    who.peer.log(
        Level::warning,
        fmt::format("malformed UPDATE, {}: {}", name(update.handling()), text(update.errors())),
        now);
  }
  Rib& rib = tables->rib;
  for (const NlriRange& range : update.withdrawals()) {
    in_blocks<Rib::max_prefetched>(range, [&](std::span<const Nlri> block) {
      rib.prefetch(block);
      for (const Nlri& nlri : block) rib.withdraw(who.id, nlri.prefix, nlri.path_id);
    });
  }
  if (!update.announcements().empty()) remember_attributes(who, update);
  for (const Announcement& announcement : update.announcements()) announce(who, announcement, now);
  if (const auto ended = update.end_of_rib()) end_of_rib(who, *ended, now);
  check_limits(who, now);
}

void Speaker::World::remember_attributes(Neighbour& who, const Update& update) {
  if (who.last_attributes.id() != AttributeId::none &&
      who.last_serial == update.attributes_serial())
    return;
  const AttributeId id =
      tables->store.intern(who.peer.settings().local_as ? canonical(of_local_as(who, update))
                                                        : canonical(update.attributes()),
                           who.last_attributes.id());
  who.last_attributes = HeldAttributes(tables->store, id);
  who.last_serial = update.attributes_serial();
}

Attributes Speaker::World::of_local_as(Neighbour& who, const Update& update) const {
  const PeerSettings& peer = who.peer.settings();
  Attributes attributes = update.attributes();
  who.last_looped = attributes.as_path.count(*peer.local_as) > peer.allow_own_as;
  const auto& session = who.peer.session();
  if (!peer.local_as_no_prepend && *peer.local_as != settings.asn && session && session->external)
    attributes.as_path.prepend(*peer.local_as);
  return attributes;
}

void Speaker::World::announce(Neighbour& who, const Announcement& announcement, Time now) {
  Rib& rib = tables->rib;
  const PathNextHop& via = announcement.next_hop;
  const auto next_hop = rib.next_hop(who.id, via.address, via.link_local);
  bool lost = false;
  const AttributeFacts& facts = tables->store.facts(who.last_attributes.id());
  std::uint64_t* const refused_as =
      who.last_looped || facts.is_loop(who.peer.settings().allow_own_as) ? &who.looped
      : who.import.leaks(facts)                                          ? &who.leaked
                                                                         : nullptr;
  const bool limited = settings.path_limit.has_value();
  const auto announce_one = [&](const Nlri& nlri) {
    if (!is_routable(nlri.prefix)) return;
    if (refused_as != nullptr) ++*refused_as;
    if (limited && is_full() && !rib.holds(who.id, nlri.prefix, nlri.path_id))
      return refuse_path(who, nlri.prefix.family(), now);
    if (!next_hop || who.last_looped) {
      // A route that cannot be held must not leave its predecessor in place.
      rib.withdraw(who.id, nlri.prefix, nlri.path_id);
      lost |= !next_hop;
      return;
    }
    const Rib::Imported imported =
        who.import.judge(rib, {who.id, nlri.prefix, who.last_attributes.id(), *next_hop});
    lost |= rib.announce(nlri.prefix, nlri.path_id, imported.attributes, imported.next_hop,
                         imported.filtered) == Announced::no_room;
    discard_excess(who, nlri);
  };
  in_blocks<Rib::max_prefetched>(announcement.nlri, [&](std::span<const Nlri> block) {
    rib.prefetch(block);
    for (const Nlri& nlri : block) announce_one(nlri);
  });
  if (lost) who.peer.log(Level::error, "a limit of the table is reached: routes are not held", now);
}

void Speaker::World::import_again(Time now) {
  if (!import_walk) return;
  Rib& rib = tables->rib;
  AgedAttributes aged(tables->store);
  rib.import_again(import_walk->family, import_walk->next, import_slice,
                   [&](const Rib::Received& received) -> std::optional<Rib::Imported> {
                     Neighbour* who = by_id[static_cast<std::size_t>(received.peer)];
                     if (who == nullptr || !who->import_changed) return std::nullopt;
                     Rib::Imported made = who->import.judge(rib, received);
                     if (!received.aged || made.filtered) return made;
                     const auto attributes = aged.of(made.attributes);
                     made.filtered = !attributes;
                     made.attributes = attributes.value_or(made.attributes);
                     return made;
                   });
  import_walk->next += import_slice;
  if (import_walk->next < rib.places(import_walk->family)) return;
  if (import_walk->family == Family::ipv4) {
    import_walk = ImportWalk{Family::ipv6, 0};
    return;
  }
  import_walk.reset();
  for (const auto& each : neighbours) {
    if (!std::exchange(each->import_changed, false)) continue;
    check_limits(*each, now);
    follow_session(*each, now);
  }
}

std::optional<PassedLimit> Speaker::World::exceeded(const Neighbour& who, Family family) const {
  const PeerSettings& peer = who.peer.settings();
  if (!peer.prefix_limit && !peer.accepted_prefix_limit) return std::nullopt;
  const PathCounts counts = tables->rib.counts(who.id, family);
  // What is left of an earlier session goes as this one says its routes again.
  const std::uint64_t received = counts.received - counts.stale;
  if (peer.prefix_limit && received > *peer.prefix_limit)
    return PassedLimit{*peer.prefix_limit, false};
  if (peer.accepted_prefix_limit &&
      std::min(received, counts.accepted()) > *peer.accepted_prefix_limit) {
    return PassedLimit{*peer.accepted_prefix_limit, true};
  }
  return std::nullopt;
}

void Speaker::World::discard_excess(Neighbour& who, const Nlri& nlri) {
  if (who.peer.settings().prefix_limit_action != PrefixLimitAction::discard) return;
  const Family family = nlri.prefix.family();
  const auto passed = exceeded(who, family);
  if (!passed) return;
  tables->rib.withdraw(who.id, nlri.prefix, nlri.path_id);
  ++who.families[index(family)].discarded;
  who.families[index(family)].discarded_by = *passed;
}

void Speaker::World::check_limits(Neighbour& who, Time now) {
  const PeerSettings& peer = who.peer.settings();
  if (!peer.prefix_limit && !peer.accepted_prefix_limit) return;
  for (const Family family : both_families) {
    FamilyState& state = who.families[index(family)];
    const auto limit = exceeded(who, family);
    if (limit && peer.prefix_limit_action == PrefixLimitAction::close) {
      who.peer.refuse(too_many(family, limit->limit), now);
      return who.peer.hold_down(peer.prefix_limit_restart, now);
    }
    const bool above = limit.has_value() || state.discarded != 0;
    if (above && !state.limit_said) {
      const PathCounts counts = tables->rib.counts(who.id, family);
      const PassedLimit said = limit.value_or(state.discarded_by);
      who.peer.log(Level::warning,
                   fmt::format("{} {} prefixes received, {} accepted, {} is {}{}",
                               counts.received + state.discarded, name(family), counts.accepted(),
                               name_of(said), said.limit,
                               state.discarded != 0 ? ": those beyond are not held" : ""),
                   now);
    }
    state.limit_said = above;
  }
}

void Speaker::World::change_limits(Neighbour& who, Time now) {
  for (const Family family : both_families) {
    FamilyState& state = who.families[index(family)];
    state.limit_said = false;
    if (state.discarded == 0) continue;
    // What is beyond the new limit is counted anew.
    if (who.peer.request_refresh(unicast(family))) {
      state.discarded = 0;
    } else {
      who.peer.log(Level::warning,
                   fmt::format("{} prefixes that prefix-limit kept out come with a new session "
                               "only: the peer has no route refresh (RFC 2918)",
                               name(family)),
                   now);
    }
  }
  check_limits(who, now);
  follow_session(who, now);
}

std::uint64_t Speaker::World::learned_paths() const {
  std::uint64_t paths = 0;
  for (const Family family : both_families)
    paths += tables->rib.paths(family) - tables->rib.counts(PeerId::local, family).received;
  return paths;
}

bool Speaker::World::is_full() const {
  return settings.path_limit && settings.path_limit_action == PathLimitAction::refuse &&
         learned_paths() >= *settings.path_limit;
}

void Speaker::World::refuse_path(Neighbour& who, Family family, Time now) {
  ++who.families[index(family)].unheld;
  if (!ask_again_at) ask_again_at = now + ask_again_pause;
  if (std::exchange(path_limit_passed, true)) return;
  log_table(Level::warning,
            fmt::format("{} paths of all peers are held, as many as bgp.path-limit says: more are "
                        "not held, of peer {} first",
                        learned_paths(), who.peer.settings().name),
            now);
}

void Speaker::World::follow_path_limit(Time now) {
  if (!settings.path_limit) {
    path_limit_passed = false;
    return ask_again(now);
  }
  const std::uint64_t paths = learned_paths();
  const std::uint32_t limit = *settings.path_limit;
  const bool room = paths + std::max(1U, limit / 10) <= limit;
  if (settings.path_limit_action == PathLimitAction::warn && paths > limit &&
      !std::exchange(path_limit_passed, true)) {
    log_table(Level::warning,
              fmt::format("{} paths of all peers are held: bgp.path-limit is {}", paths, limit),
              now);
  }
  // In the other action what was refused has to be asked for, or it stays away.
  const bool due = !ask_again_at || now >= *ask_again_at;
  if (path_limit_passed && room && due) {
    path_limit_passed = false;
    log_table(
        Level::info,
        fmt::format("{} paths of all peers are held: there is room again below bgp.path-limit, "
                    "{}",
                    paths, limit),
        now);
  }
  if (!ask_again_at || !due) return;
  if (room || settings.path_limit_action == PathLimitAction::warn) return ask_again(now);
  ask_again_at = now + ask_again_pause;
}

void Speaker::World::ask_again(Time now) {
  if (!std::exchange(ask_again_at, std::nullopt)) return;
  for (const auto& each : neighbours) {
    for (const Family family : both_families) {
      std::uint64_t& unheld = each->families[index(family)].unheld;
      if (unheld == 0) continue;
      if (each->peer.request_refresh(unicast(family))) {
        unheld = 0;
      } else {
        each->peer.log(
            Level::warning,
            fmt::format("{} {} paths that bgp.path-limit kept out come with a new session "
                        "only: the peer has no route refresh (RFC 2918)",
                        unheld, name(family)),
            now);
      }
    }
  }
}

void Speaker::World::log_table(Level level, const std::string& text, Time now) {
  std::string line = table_log.admit(text, now);
  if (!line.empty()) out.log.push_back({level, std::move(line)});
}

void Speaker::World::end_of_rib(Neighbour& who, AfiSafi which, Time now) {
  const auto family = family_of(which);
  if (!family) return;
  FamilyState& state = who.families[index(*family)];
  if (!state.end_of_rib)
    who.peer.log(Level::debug, fmt::format("End-of-RIB {}", name(*family)), now);
  state.end_of_rib = true;
  state.synced = true;
  carry_out(who.id, *family, state.retention.end_of_rib());
}

void Speaker::World::refresh_wanted(Neighbour& who, const Frame& frame, Time now) {
  const auto refresh = decode_route_refresh(frame);
  if (!refresh) return who.peer.refuse(refresh.error(), now);
  if (!*refresh) return;
  const auto family = family_of((*refresh)->family);
  const auto& session = who.peer.session();
  if (!family || !session || !session->negotiated.has((*refresh)->family)) return;
  if ((*refresh)->subtype == RouteRefresh::Subtype::request) {
    if (who.families[index(*family)].out) tables->adj_out.refresh(who.id, *family);
    return;
  }
  if (!session->negotiated.enhanced_route_refresh) return;
  // After a restart its End-of-RIB comes first (RFC 7313 4): what is stale waits for that.
  const Retention& retention = who.families[index(*family)].retention;
  if (retention.phase() != Retention::Phase::fresh) return;
  if ((*refresh)->subtype == RouteRefresh::Subtype::begin) {
    finish_path_work(who.id);
    tables->rib.mark_stale(who.id, *family);
    who.families[index(*family)].refreshing_until = now + refresh_limit;
  } else {
    end_refresh(who, *family, "marked by the peer", now);
  }
}

void Speaker::World::end_refresh(Neighbour& who, Family family, std::string_view how, Time now) {
  auto& until = who.families[index(family)].refreshing_until;
  if (!until) return;
  until.reset();
  const std::uint64_t swept = tables->rib.counts(who.id, family).stale;
  carry_out(who.id, family, Fate::sweep);
  who.stale_swept += swept;
  if (swept == 0) return;
  who.peer.log(Level::warning,
               fmt::format("{} {} paths were not repeated in a refresh and are removed (end {})",
                           swept, name(family), how),
               now);
}

void Speaker::World::end_late_refreshes(Neighbour& who, Time now) {
  for (const Family family : both_families) {
    const auto& until = who.families[index(family)].refreshing_until;
    if (until && now >= *until) end_refresh(who, family, "not marked in time", now);
  }
}

}  // namespace weft::bgp
