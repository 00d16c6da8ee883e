// Who there is: listed peers, those that come from ranges, those on links, and new settings.
#include "bgp/speaker_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <tuple>
#include <utility>

#include "bgp/ranges.h"

namespace weft::bgp {

void Speaker::World::add_listed(Time now) {
  for (const PeerSettings& peer : settings.peers) {
    if (!is_range(peer)) add(peer, now);
  }
}

void Speaker::World::add(const PeerSettings& peer, Time now) {
  std::size_t id = 1;
  while (id < by_id.size() && by_id[id] != nullptr) ++id;
  if (id == by_id.size()) by_id.push_back(nullptr);
  neighbours.push_back(std::make_unique<Neighbour>(peer, settings, static_cast<PeerId>(id),
                                                   static_cast<std::uint32_t>(random()), out, now));
  by_id[id] = neighbours.back().get();
  if (!peer.is_unnumbered()) {
    by_address[peer.address] = by_id[id];
  } else if (const auto link = links.find(peer.interface); link != links.end()) {
    by_link[link->second] = by_id[id];
    by_id[id]->peer.lives_at(std::nullopt, link->second, now);
  }
  tell_restart(*by_id[id]);
}

void Speaker::World::remove(Neighbour& gone, Time now) {
  gone.peer.shutdown(Fault::PeerDeconfigured, {}, now);
  follow_session(gone, now);
  finish_path_work(gone.id);
  if (gone.peer.settings().is_dynamic()) forgotten.push_back(gone.peer.settings().name);
  by_id[static_cast<std::size_t>(gone.id)] = nullptr;
  const auto is_gone = [&](const auto& each) { return each.second == &gone; };
  std::erase_if(by_address, is_gone);
  std::erase_if(by_link, is_gone);
  std::erase_if(neighbours, [&](const auto& each) { return each.get() == &gone; });
}

void Speaker::World::log_stranger(Level level, const std::string& text, Time now) {
  std::string line = stranger_log.admit(text, now);
  if (!line.empty()) out.log.push_back({level, std::move(line)});
}

std::size_t Speaker::World::members(const PeerSettings& range) const {
  return static_cast<std::size_t>(
      std::count_if(neighbours.begin(), neighbours.end(), [&](const auto& each) {
        return each->peer.settings().is_dynamic() && each->peer.settings().range == range.range;
      }));
}

Neighbour* Speaker::World::invite(const Address& remote, Time now) {
  const PeerSettings* range = range_of(settings.peers, remote);
  if (range == nullptr) {
    log_stranger(Level::info,
                 fmt::format("connection from {} refused: no peer has this address", remote.text()),
                 now);
    return nullptr;
  }
  if (range->shutdown) return nullptr;
  const auto dynamic = static_cast<std::size_t>(
      std::count_if(neighbours.begin(), neighbours.end(),
                    [](const auto& each) { return each->peer.settings().is_dynamic(); }));
  if ((members(*range) >= range->range_limit || dynamic >= dynamic_limit) &&
      !make_room(*range, now)) {
    ++refused[range->name];
    log_stranger(Level::warning,
                 fmt::format("connection from {} refused: range {} has its {} peers", remote.text(),
                             range->name, range->range_limit),
                 now);
    return nullptr;
  }
  add(member_of(*range, remote), now);
  neighbours.back()->lonely_since = now;
  return neighbours.back().get();
}

bool Speaker::World::holds_routes(const Neighbour& who) const {
  return std::any_of(both_families.begin(), both_families.end(), [&](Family family) {
    return tables->rib.counts(who.id, family).received != 0;
  });
}

bool Speaker::World::make_room(const PeerSettings& range, Time now) {
  Neighbour* longest = nullptr;
  for (const auto& each : neighbours) {
    const PeerSettings& peer = each->peer.settings();
    if (!peer.is_dynamic() || peer.range != range.range || each->peer.is_connected() ||
        holds_routes(*each) || !each->lonely_since)
      continue;
    if (longest == nullptr || each->lonely_since < longest->lonely_since) longest = each.get();
  }
  if (longest == nullptr) return false;
  remove(*longest, now);
  return true;
}

void Speaker::World::note_loneliness(Time now) {
  for (const auto& each : neighbours) {
    if (!each->peer.settings().is_dynamic()) continue;
    if (each->peer.is_connected()) {
      each->lonely_since.reset();
    } else if (!each->lonely_since) {
      each->lonely_since = now;
    }
  }
}

void Speaker::World::forget_lonely(Time now) {
  std::vector<Neighbour*> gone;
  for (const auto& each : neighbours) {
    if (each->lonely_since && now >= *each->lonely_since + range_linger && !holds_routes(*each))
      gone.push_back(each.get());
  }
  for (Neighbour* each : gone) remove(*each, now);
}

Time Speaker::World::lonely_deadline() const {
  Time next = Time::max();
  for (const auto& each : neighbours) {
    if (each->lonely_since && !holds_routes(*each))
      next = std::min(next, *each->lonely_since + range_linger);
  }
  return next;
}

Neighbour* Speaker::World::find(const Address& remote, std::uint32_t ifindex) {
  if (ifindex != 0 && remote.is_link_local()) {
    if (const auto link = by_link.find(ifindex); link != by_link.end()) return link->second;
  }
  const auto known = by_address.find(remote);
  return known == by_address.end() ? nullptr : known->second;
}

void Speaker::World::move(Neighbour& who, Address to, Time now) {
  who.heard_elsewhere.reset();
  if (who.peer.address() == to) return;
  who.peer.log(who.peer.address() ? Level::info : Level::debug,
               fmt::format("neighbour on {} is {}", who.peer.settings().interface, to.text()), now);
  who.peer.lives_at(to, who.peer.ifindex(), now);
}

void Speaker::World::follow_links(const std::map<std::string, std::uint32_t>& usable, Time now) {
  links = usable;
  by_link.clear();
  for (const auto& each : neighbours) {
    const PeerSettings& wanted = each->peer.settings();
    if (!wanted.is_unnumbered()) continue;
    const auto link = links.find(wanted.interface);
    const std::uint32_t ifindex = link == links.end() ? 0 : link->second;
    if (ifindex != 0) by_link[ifindex] = each.get();
    if (ifindex == each->peer.ifindex()) continue;
    each->heard_elsewhere.reset();
    each->peer.lose_session(ifindex == 0 ? fmt::format("link {} is down", wanted.interface)
                                         : fmt::format("{} is another link now", wanted.interface),
                            now);
    each->peer.lives_at(std::nullopt, ifindex, now);
  }
}

void Speaker::World::tell_link_faults(const std::map<std::string, std::string>& faults, Time now) {
  for (const auto& each : neighbours) {
    const std::string& link = each->peer.settings().interface;
    if (!each->peer.settings().is_unnumbered()) continue;
    const auto fault = faults.find(link);
    if (each->peer.ifindex() != 0) {
      each->peer.link_fault("", now);
    } else {
      each->peer.link_fault(
          fault == faults.end() ? fmt::format("link {} is down", link) : fault->second, now);
    }
  }
}

void Speaker::World::apply(Settings wanted, Time now) {
  std::swap(settings, wanted);
  policies = compile(settings, policies);
  monitoring.apply(settings.bmp, now);
  const Settings& old = wanted;
  assert(old.asn == settings.asn && old.router_id == settings.router_id &&
         old.cluster_id == settings.cluster_id);
  if (Tables::limits(old) != Tables::limits(settings)) {
    tables->rib.set_limits(Tables::limits(settings));
  }
  if (old.path_limit != settings.path_limit ||
      old.path_limit_action != settings.path_limit_action) {
    path_limit_passed = false;
    if (ask_again_at) ask_again_at = now;
  }
  tables->rib.set_recursion(Tables::recursion(settings));
  if (old.aggregates != settings.aggregates || old.announcements != settings.announcements)
    configure_origination(now);
  offer_defaults();
  watch_routes();
  remove_unlisted(now);
  for (const auto& each : neighbours) {
    const Address remote = each->peer.settings().address;
    if (each->peer.settings().is_dynamic())
      change(*each, member_of(*range_of(settings.peers, remote), remote), now);
  }
  for (const PeerSettings& peer : settings.peers) {
    if (is_range(peer)) continue;
    if (Neighbour* known = find(peer.name)) {
      change(*known, peer, now);
    } else {
      add(peer, now);
    }
  }
}

bool Speaker::World::is_listed(const PeerSettings& running) const {
  const bool dynamic = running.is_dynamic();
  const bool named =
      std::any_of(settings.peers.begin(), settings.peers.end(), [&](const PeerSettings& peer) {
        return !is_range(peer) && peer.address == running.address &&
               peer.interface == running.interface && (dynamic || peer.name == running.name);
      });
  // A peer of a range that is listed by now is another one.
  return dynamic ? !named && range_of(settings.peers, running.address) != nullptr : named;
}

void Speaker::World::remove_unlisted(Time now) {
  std::vector<Neighbour*> gone;
  for (const auto& each : neighbours) {
    if (!is_listed(each->peer.settings())) gone.push_back(each.get());
  }
  for (Neighbour* each : gone) remove(*each, now);
}

void Speaker::World::change(Neighbour& who, const PeerSettings& wanted, Time now) {
  const PeerSettings running = who.peer.settings();
  const bool reset = Peer::needs_reset(running, wanted);
  who.peer.apply(wanted);
  if (wanted.shutdown != running.shutdown) {
    if (wanted.shutdown) {
      who.peer.shutdown(Fault::AdministrativeShutdown, {}, now);
    } else {
      who.peer.start(now);
    }
  } else if (reset && !who.peer.is_shutdown()) {
    who.peer.reset(Fault::OtherConfigurationChange, {}, now);
  }
  follow_session(who, now);
  // Its paths are decided again, and what the FIB has of them moves.
  const bool moves = wanted.placement() != running.placement();
  const bool renamed = wanted.range_name != running.range_name;
  if ((moves || renamed) && who.peer.session()) attach(who, *who.peer.session());
  if (who.peer.session()) change_policy(who, *who.peer.session(), now);
  const auto limits = [](const PeerSettings& peer) {
    return std::tuple(peer.prefix_limit, peer.accepted_prefix_limit, peer.prefix_limit_action);
  };
  if (who.peer.session() && limits(wanted) != limits(running)) change_limits(who, now);
}

void Speaker::World::change_policy(Neighbour& who, const Session& session, Time now) {
  ImportRules import = import_rules(who, session);
  tell_all_families(who, session, now);
  if (import == who.import.rules()) return;
  who.import = Import(std::move(import));
  who.import_changed = true;
  import_walk = ImportWalk{};
}

}  // namespace weft::bgp
