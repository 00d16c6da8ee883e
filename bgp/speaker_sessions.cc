// What a session's beginning and end mean to the tables, and how its peer is told of routes.
#include "bgp/speaker_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bgp/attributes.h"

namespace weft::bgp {
namespace {

/// Places of the RIB at which a peer's paths are dropped, swept or aged at once; a table no larger
/// than this is done on the spot.
constexpr std::size_t path_slice = 16384;

/// What holds for the peer's routes once this session is over.
RetentionTerms terms_of(const Session& session, Family family, const PeerSettings& settings) {
  RetentionTerms terms;
  const Negotiated& both = session.negotiated;
  if (!both.graceful_restart || !both.has(unicast(family))) return terms;
  const GracefulRestart& theirs = *session.theirs.capabilities.graceful_restart;
  for (const auto& each : theirs.families) {
    if (each.family != unicast(family)) continue;
    terms.graceful = true;
    terms.restart_time = theirs.restart_time;
  }
  if (!both.long_lived_graceful_restart) return terms;
  for (const LongLivedFamily& each : session.theirs.capabilities.long_lived) {
    if (each.family != unicast(family)) continue;
    terms.graceful = true;
    terms.long_lived_time = std::min(each.stale_time, settings.long_lived_stale_time);
  }
  return terms;
}

/// Does the peer say that it forwarded the family while it was away?
bool is_preserved(const Session& session, Family family, Retention::Phase phase) {
  const Capabilities& theirs = session.theirs.capabilities;
  if (!session.negotiated.graceful_restart || !session.negotiated.has(unicast(family)))
    return false;
  const auto says = [&](const auto& each) {
    return each.family == unicast(family) && each.forwarding;
  };
  if (phase == Retention::Phase::long_lived)  // RFC 9494 4.2
    return std::any_of(theirs.long_lived.begin(), theirs.long_lived.end(), says);
  const auto& families = theirs.graceful_restart->families;
  return std::any_of(families.begin(), families.end(), says);
}

}  // namespace

void Speaker::World::follow_session(Neighbour& who, Time now) {
  const auto& session = who.peer.session();
  const ConnectionId current = session ? session->connection : ConnectionId{};
  if (who.joined != current) {
    if (who.joined != ConnectionId{}) {
      monitoring.peer_down(who.id, who.peer.last_end());
      leave(who, now);
    }
    if (session) {
      join(who, *session, now);
      monitoring.peer_up(who.id, *session, *who.peer.address(), who.ifindex, now);
    }
  }
  if (who.peer.is_shutdown()) forget_stale(who);
  if (who.heard_elsewhere && !who.peer.is_connected()) move(who, *who.heard_elsewhere, now);
}

void Speaker::World::leave(Neighbour& who, Time now) {
  who.joined = ConnectionId{};
  tables->adj_out.leave(who.id);
  lose_paths(who, now);
  who.decoder.reset();
  who.last_attributes = HeldAttributes{};
  who.last_serial = 0;
  who.last_looped = false;
  who.output_announced = false;
  for (FamilyState& family : who.families) {
    family.out.reset();
    family.end_of_rib = false;
    family.refreshing_until.reset();
    family.discarded = 0;
    family.unheld = 0;
    family.limit_said = false;
  }
}

void Speaker::World::lose_paths(Neighbour& who, Time now) {
  std::array<Fate, 2> fates{};
  for (const Family family : both_families) {
    FamilyState& state = who.families[index(family)];
    fates[index(family)] = state.retention.lost(state.terms, who.peer.loss(), now);
  }
  const auto any = [&](Fate fate) { return fates[0] == fate || fates[1] == fate; };
  if (!any(Fate::mark) && who.peer.is_external()) {
    const bool wholly = std::all_of(both_families.begin(), both_families.end(), [&](Family family) {
      return fates[index(family)] == Fate::drop || tables->rib.counts(who.id, family).received == 0;
    });
    distrust_gateways(who, wholly);
  }
  if (any(Fate::mark) || any(Fate::age)) {
    ++who.graceful_restarts;
    who.peer.log(Level::info, "its routes stay for its restart time", now);
  }
  for (const Family family : both_families) carry_out(who.id, family, fates[index(family)]);
  if (any(Fate::drop)) words_first = is_large();
}

void Speaker::World::distrust_gateways(const Neighbour& who, bool wholly) {
  // While the selection is deferred the kernel has routes that are none of the RIB's yet.
  const bool may_be_last = wholly && !deferring() && path_work.empty() && changes.empty();
  for (const NextHop& lost : tables->rib.gateways(who.id)) {
    distrusted.push_back(lost);
    gateways.push_back({lost.gateway, lost.ifindex, false,
                        may_be_last && !tables->rib.leads_elsewhere(who.id, lost)});
  }
}

bool Speaker::World::is_large() const {
  return tables->rib.places(Family::ipv4) + tables->rib.places(Family::ipv6) > path_slice;
}

void Speaker::World::carry_out(PeerId peer, Family family, Fate fate) {
  const auto same = [&](const PathWork& work) {
    return work.peer == peer && work.family == family;
  };
  if (fate == Fate::keep) return;
  if (fate == Fate::drop) std::erase_if(path_work, same);
  const bool stale = tables->rib.counts(peer, family).stale != 0;
  const bool waits = std::any_of(path_work.begin(), path_work.end(), same);
  if (fate == Fate::sweep && !stale && !waits) return;
  if (fate == Fate::mark) {
    if (!stale && !waits) return tables->rib.mark_stale(peer, family);
    path_work.push_back({peer, family, Fate::sweep});
  }
  path_work.push_back({peer, family, fate});
}

void Speaker::World::work_on_paths() {
  std::size_t left = path_slice;
  while (!path_work.empty() && left > 0 && work_on(path_work.front(), left)) path_work.pop_front();
}

bool Speaker::World::work_on(PathWork& work, std::size_t& limit) {
  Rib& rib = tables->rib;
  const NetId before = work.from;
  bool done = true;
  if (work.fate == Fate::mark) {
    rib.mark_stale(work.peer, work.family);
  } else if (work.fate == Fate::age) {
    if (!work.aged) work.aged = std::make_unique<AgedAttributes>(tables->store);
    done = rib.age_some(work.peer, work.family, work.from, limit,
                        [&](AttributeId id) { return work.aged->of(id); });
  } else {
    const auto which = work.fate == Fate::drop ? Rib::Which::all : Rib::Which::stale;
    done = rib.drop_some(work.peer, work.family, which, work.from, limit);
  }
  limit -= std::min<std::size_t>(limit, work.from - before);
  return done;
}

void Speaker::World::finish_path_work(PeerId peer) {
  std::erase_if(path_work, [&](PathWork& work) {
    std::size_t everything = Rib::max_prefixes;
    return work.peer == peer && work_on(work, everything);
  });
}

void Speaker::World::join(Neighbour& who, const Session& session, Time now) {
  finish_path_work(who.id);
  who.joined = session.connection;
  who.link = 0;
  if (!who.peer.settings().is_unnumbered()) awaited.erase(who.peer.settings().address);
  Inbound inbound;
  inbound.negotiated = session.negotiated;
  inbound.external = session.external;
  inbound.peer_as = session.theirs.asn;
  who.decoder.emplace(std::move(inbound));
  who.import = Import(import_rules(who, session));
  who.import_changed = false;
  attach(who, session);
  sessions_up.push_back(
      {who.peer.settings().name, *who.peer.address(), session.local, who.ifindex, on_link(who)});
  const std::chrono::seconds stale_time = who.peer.settings().stale_time;
  for (const Family family : both_families) {
    FamilyState& state = who.families[index(family)];
    carry_out(who.id, family,
              state.retention.back(is_preserved(session, family, state.retention.phase()),
                                   stale_time, now));
    state.terms = terms_of(session, family, who.peer.settings());
  }
  tell_all_families(who, session, now);
}

void Speaker::World::attach(Neighbour& who, const Session& session) {
  // The same link-local address may stand on every link.
  const auto bound = bound_links.find(who.peer.settings().bind_interface);
  who.ifindex = who.peer.ifindex() != 0      ? who.peer.ifindex()
                : bound != bound_links.end() ? bound->second
                                             : interface_of(session.local);
  if (const std::uint32_t link = link_to(who, session); link != 0) who.link = link;
  const PeerSettings& peer = who.peer.settings();
  // A peer several hops away is no gateway, whichever link the session leaves by.
  const bool on_its_link =
      peer.multihop == 1 || peer.is_unnumbered() || peer.onlink || on_link(who);
  tables->rib.attach(
      who.id,
      {session.external, session.theirs.id, *who.peer.address(), on_its_link ? who.ifindex : 0,
       !session.external && peer.route_reflector_client, peer.name, peer.allow_own_as,
       !session.external || peer.multihop > 1, peer.placement(), peer.range_name, peer.onlink});
}

ImportRules Speaker::World::import_rules(const Neighbour& who, const Session& session) const {
  const PeerSettings& peer = who.peer.settings();
  return {Policy::import(settings, peer, session.external, policies),
          session.external,
          session.theirs.asn,
          peer.role,
          peer.graceful_shutdown,
          peer.blackhole};
}

void Speaker::World::tell_all_families(Neighbour& who, const Session& session, Time now) {
  for (const Family family : both_families) {
    if (session.negotiated.has(unicast(family))) tell(who, session, family, now);
  }
}

void Speaker::World::tell(Neighbour& who, const Session& session, Family family, Time now) {
  FamilyState& state = who.families[index(family)];
  auto how = outbound(who, session, family);
  if (!how) {
    if (!state.out) {
      who.peer.log(
          Level::warning,
          fmt::format(
              "no {} address of ours on the interface of {}: nothing of the family is advertised",
              name(family), session.local.text()),
          now);
    }
    return;  // what was said with the last next hop stands until there is another
  }
  if (!state.out) {
    tables->adj_out.join(who.id, family, *how);
  } else if (!same(*state.out, *how)) {
    tables->adj_out.change(who.id, family, *how);
  }
  state.out = std::move(how);
}

bool Speaker::World::same(const AdjOutPeer& a, const AdjOutPeer& b) {
  return a.policy == b.policy && a.next_hop == b.next_hop && a.drain == b.drain &&
         a.default_originate == b.default_originate && a.unsuppress == b.unsuppress;
}

std::optional<AdjOutPeer> Speaker::World::outbound(const Neighbour& who, const Session& session,
                                                   Family family) const {
  AdjOutPeer how;
  how.external = session.external;
  how.as_path = as_path_rules(who.peer.settings(), session);
  how.next_hop_rule = who.peer.settings().next_hop;
  how.policy = Policy::to_export(settings, who.peer.settings(), session.external, policies);
  how.negotiated = session.negotiated;
  how.role = who.peer.settings().role;
  how.drain = draining;
  how.default_originate = who.peer.settings().default_originate;
  how.unsuppress = who.peer.settings().unsuppress;
  how.reflector_client = !session.external && who.peer.settings().route_reflector_client;
  how.cluster_id = settings.cluster_id.value_or(settings.router_id);
  const auto& add_path = who.peer.settings().add_path_send;
  if (const auto found = add_path.find(family); found != add_path.end())
    how.add_path = found->second;
  const OwnAddresses own = own_addresses(session.local, who.ifindex);
  const bool extended =
      family == Family::ipv4 && session.negotiated.find(unicast(family))->extended_next_hop;
  // On an unnumbered link an IPv4 address of ours is nothing the peer could reach.
  if (family == Family::ipv4 && own.ipv4 && !(extended && who.peer.settings().is_unnumbered())) {
    how.next_hop = {*own.ipv4, {}};
    return how;
  }
  if (family == Family::ipv4 && !extended) return std::nullopt;
  if (!own.ipv6 && !own.link_local) return std::nullopt;
  how.next_hop.address = own.ipv6 ? *own.ipv6 : *own.link_local;
  // RFC 2545 3: the link-local address too, where the peer shares the link.
  if (own.link_local && on_link(who)) how.next_hop.link_local = own.link_local;
  return how;
}

AsPathRules Speaker::World::as_path_rules(const PeerSettings& peer, const Session& session) const {
  AsPathRules rules;
  rules.local_as = peer.local_as.value_or(settings.asn);
  if (rules.local_as != settings.asn && !peer.local_as_replace) rules.node_as = settings.asn;
  // Only where it matters, for peers of different rules share no update group.
  if (peer.remove_private != RemovePrivate::none) rules.peer_as = session.theirs.asn;
  if (peer.as_override) rules.overridden = session.theirs.asn;
  rules.remove_private = peer.remove_private;
  return rules;
}

std::uint32_t Speaker::World::interface_of(const Address& local) const {
  for (const ConnectedSubnet& subnet : subnets) {
    if (subnet.address == local) return subnet.ifindex;
  }
  return 0;
}

std::uint32_t Speaker::World::link_to(const Neighbour& who, const Session& session) const {
  const PeerSettings& peer = who.peer.settings();
  if (peer.is_unnumbered()) return who.peer.ifindex();
  if (const auto bound = bound_links.find(peer.bind_interface); bound != bound_links.end())
    return bound->second;
  if (peer.multihop != 1) return 0;
  const std::uint32_t here = interface_of(session.local);
  std::uint32_t there = 0;
  for (const ConnectedSubnet& subnet : subnets) {
    if (!subnet.prefix.contains(*who.peer.address())) continue;
    if (subnet.ifindex == here) return here;
    if (there == 0) there = subnet.ifindex;
  }
  if (there != 0) return there;
  return peer.uses_gtsm() ? here : 0;
}

OwnAddresses Speaker::World::own_addresses(const Address& local, std::uint32_t ifindex) const {
  OwnAddresses own;
  const auto take = [&](const Address& address) {
    auto& place = address.is_v4() ? own.ipv4 : address.is_link_local() ? own.link_local : own.ipv6;
    if (!place) place = address;
  };
  take(local);
  for (const ConnectedSubnet& subnet : subnets) {
    if (ifindex != 0 && subnet.ifindex == ifindex && !subnet.address.is_loopback())
      take(subnet.address);
  }
  return own;
}

bool Speaker::World::on_link(const Neighbour& who) const {
  const Address& remote = *who.peer.address();
  if (remote.is_v6() && remote.is_link_local()) return true;
  return std::any_of(subnets.begin(), subnets.end(), [&](const ConnectedSubnet& subnet) {
    return subnet.ifindex == who.ifindex && subnet.prefix.contains(remote);
  });
}

}  // namespace weft::bgp
