// What a Speaker shows: sessions, routes, policies, counts, and the tables for a dump.
#include "bgp/speaker_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bgp/attributes.h"
#include "bgp/ranges.h"

namespace weft::bgp {

std::string_view Speaker::World::peer_name(PeerId id) const {
  if (id == PeerId::local) return "local";
  const Neighbour* who = by_id[static_cast<std::size_t>(id)];
  return who == nullptr ? std::string_view("gone") : std::string_view(who->peer.settings().name);
}

std::string Speaker::World::refusal(const Prefix& prefix, const PathView& path) const {
  if (path.peer == PeerId::local) return "told by default-originate only";
  const Neighbour* who = by_id[static_cast<std::size_t>(path.peer)];
  if (who == nullptr) return "refused by the import filter";
  return "refused by " +
         who->import.explain(tables->rib, {path.peer, prefix, path.attributes, path.next_hop});
}

PathStatus Speaker::World::status(const Prefix& prefix, const PathView& path, bool best) const {
  PathStatus shown;
  shown.peer = peer_name(path.peer);
  shown.path_id = path.path_id;
  if (path.peer != PeerId::local) {
    const PeerNextHop& via = tables->rib.next_hop(path.next_hop);
    shown.next_hop = via.discard ? "blackhole" : PathNextHop{via.address, via.link_local}.text();
    shown.route_behind = tables->rib.route_behind(path.next_hop);
    if (shown.route_behind) shown.gateways = via.resolved;
  }
  const Attributes attributes = from_canonical(tables->store.octets(path.attributes));
  shown.as_path = attributes.as_path.text();
  shown.origin = name(attributes.origin);
  shown.local_pref = attributes.local_pref;
  shown.med = attributes.med;
  if (attributes.originator_id) shown.originator_id = attributes.originator_id->text();
  for (const RouterId each : attributes.cluster_list) shown.cluster_list.push_back(each.text());
  for (const auto& each : attributes.communities) shown.communities.push_back(each.text());
  for (const auto& each : attributes.extended_communities) shown.communities.push_back(each.text());
  for (const auto& each : attributes.large_communities) shown.communities.push_back(each.text());
  shown.best = best;
  shown.multipath = path.multipath;
  shown.stale = path.stale;
  shown.looped = path.looped;
  if (const auto& by = attributes.aggregator) {
    shown.aggregator = fmt::format("{} {}", by->asn.value, by->address.text());
    shown.echo = path.peer != PeerId::local && *by == Aggregator{settings.asn, settings.router_id};
  }
  if (path.rung == Rung::refused) {
    shown.lost_at = path.filtered ? refusal(prefix, path)
                                  : "loop: our AS, router id or cluster id is in the path";
  } else if (path.rung != Rung::best) {
    shown.lost_at = name(path.rung);
  }
  return shown;
}

namespace {

/// Who was better at the rung where the path fell. MULTI_EXIT_DISC is compared within one AS.
const Candidate& victor(const RouteView& route, const Candidate& loser, bool whatever_as) {
  const auto by_med = [&](const PathView& path) {
    return path.rung > Rung::med && path.candidate.neighbour_as == loser.neighbour_as;
  };
  if (loser.rung == Rung::med && !whatever_as) {
    const auto found = std::find_if(route.paths.begin(), route.paths.end(), by_med);
    if (found != route.paths.end()) return found->candidate;
  }
  return route.paths.front().candidate;
}

}  // namespace

RouteStatus Speaker::World::status(const RouteView& route) const {
  RouteStatus shown{route.prefix, route.kind, {}, route.next_hops};
  for (const PathView& path : route.paths) {
    const bool best = shown.paths.empty() && route.kind != RouteKind::none;
    shown.paths.push_back(status(route.prefix, path, best));
    const std::string by =
        margin(path.candidate, victor(route, path.candidate, settings.always_compare_med));
    if (!by.empty()) shown.paths.back().lost_at += fmt::format(" ({})", by);
  }
  return shown;
}

PolicyStatus Speaker::World::status(const std::string& name, const PolicyRules& rules) const {
  PolicyStatus shown;
  shown.name = name;
  for (const auto& each : neighbours) {
    const PeerSettings& peer = each->peer.settings();
    if (peer.import_filter == Filter{name}) shown.import_of.push_back(peer.name);
    if (peer.export_filter == Filter{name}) shown.export_of.push_back(peer.name);
  }
  const PolicyRules::Hits& imported = rules.hits(Direction::import);
  const PolicyRules::Hits& exported = rules.hits(Direction::to_export);
  for (std::size_t i = 0; i < rules.resolved().rules.size(); ++i) {
    const RuleSettings& rule = rules.resolved().rules[i];
    shown.rules.push_back({rule.name, rule.then, imported.rules[i], exported.rules[i]});
  }
  shown.import_unmatched = imported.unmatched;
  shown.export_unmatched = exported.unmatched;
  return shown;
}

PeerStatus Speaker::World::status(const Neighbour& who) const {
  const Peer& peer = who.peer;
  const PeerSettings& wanted = peer.settings();
  PeerStatus shown;
  shown.name = wanted.name;
  shown.description = wanted.description;
  shown.address = peer.address().value_or(Address::ipv6({}));
  shown.interface = wanted.interface;
  shown.external = peer.is_external();
  shown.shutdown = peer.is_shutdown();
  shown.state = peer.state();
  shown.since = peer.since();
  shown.range = wanted.range;
  shown.connect_retry = wanted.connect_retry;
  shown.send_hold = wanted.send_hold;
  shown.setup = setup_of(wanted);
  shown.setup.password.reset();
  shown.setup.tcp_ao.clear();
  shown.last_sent_notification = peer.last_sent_notification();
  shown.last_received_notification = peer.last_received_notification();
  shown.password = wanted.password.has_value();
  shown.tcp_ao_keys = wanted.tcp_ao.size();
  shown.prefix_limit = wanted.prefix_limit;
  shown.placement = wanted.placement();
  shown.route_reflector_client = wanted.route_reflector_client;
  shown.accepted_prefix_limit = wanted.accepted_prefix_limit;
  shown.last_error = peer.last_error();
  shown.last_error_at = peer.last_error_at();
  shown.last_attempt = peer.last_attempt();
  shown.last_attempt_at = peer.last_attempt_at();
  shown.received = peer.received_counts();
  shown.sent = peer.sent_counts();
  shown.established_count = peer.established_count();
  shown.malformed_updates = who.malformed_updates;
  shown.looped = who.looped;
  shown.leaked = who.leaked;
  shown.ends = peer.ends().all();
  shown.graceful_restarts = who.graceful_restarts;
  shown.stale_swept = who.stale_swept;
  if (const Asn* asn = std::get_if<Asn>(&wanted.remote_as)) shown.asn = *asn;
  if (wanted.remote_as == std::variant<RemoteAs, Asn>(RemoteAs::internal)) shown.asn = settings.asn;
  if (const auto& session = peer.session()) {
    shown.local_address = session->local;
    shown.asn = session->theirs.asn;
    shown.router_id = session->theirs.id;
    shown.hold_time = session->hold_time;
    shown.keepalive = session->hold_time / 3;
    shown.capabilities = text(session->theirs.capabilities);
    shown.our_capabilities = text(session->ours);
    shown.connection = session->connection;
    shown.max_send = session->negotiated.max_send;
    shown.max_receive = session->negotiated.max_receive;
  }
  for (const Family family : wanted.families) shown.families.push_back(status(who, family));
  return shown;
}

PeerFamilyStatus Speaker::World::status(const Neighbour& who, Family family) const {
  PeerFamilyStatus shown;
  shown.family = family;
  const FamilyState& state = who.families[index(family)];
  const PathCounts counts = tables->rib.counts(who.id, family);
  shown.received = counts.received;
  shown.accepted = counts.accepted();
  shown.selected = counts.selected;
  if (state.out) {
    shown.advertised = tables->adj_out.advertised(who.id, family);
    shown.end_of_rib_sent = tables->adj_out.end_of_rib_sent(who.id, family);
  }
  shown.end_of_rib_received = state.end_of_rib;
  shown.discarded = state.discarded;
  shown.passed_limit = exceeded(who, family);
  if (!shown.passed_limit && state.discarded != 0) shown.passed_limit = state.discarded_by;
  shown.unheld = state.unheld;
  shown.stale = counts.stale;
  shown.retention = state.retention.phase();
  if (state.retention.deadline() != Time::max()) shown.stale_until = state.retention.deadline();
  return shown;
}

std::vector<PeerStatus> Speaker::peers() const {
  std::vector<PeerStatus> all;
  for (const auto& each : world_->neighbours) all.push_back(world_->status(*each));
  return all;
}

std::vector<PolicyStatus> Speaker::policies() const {
  std::vector<PolicyStatus> all;
  for (const auto& [name, rules] : world_->policies) all.push_back(world_->status(name, *rules));
  return all;
}

std::vector<RangeStatus> Speaker::ranges() const {
  std::vector<RangeStatus> all;
  for (const PeerSettings& peer : world_->settings.peers) {
    if (!is_range(peer)) continue;
    const auto refused = world_->refused.find(peer.name);
    all.push_back({peer.name, *peer.range, peer.range_limit,
                   static_cast<std::uint32_t>(world_->members(peer)),
                   refused == world_->refused.end() ? 0 : refused->second});
  }
  return all;
}

std::vector<RangeMember> Speaker::range_members() const {
  std::map<Address, bool> all = world_->awaited;
  for (const auto& each : world_->neighbours) {
    const auto& session = each->peer.session();
    if (!session || !each->peer.settings().is_dynamic()) continue;
    all[each->peer.settings().address] = session->negotiated.graceful_restart;
  }
  std::vector<RangeMember> members;
  for (const auto& [address, graceful] : all) members.push_back({address, graceful});
  return members;
}

std::vector<AggregateStatus> Speaker::aggregates() const {
  return world_->aggregates.status();
}

std::vector<ConditionalStatus> Speaker::conditional() const {
  return world_->conditional.status();
}

std::vector<StationStatus> Speaker::stations() const {
  return world_->monitoring.status();
}

std::optional<RouteStatus> Speaker::route(const Prefix& prefix) const {
  const auto found = world_->tables->rib.route(prefix);
  if (!found) return std::nullopt;
  return world_->status(*found);
}

std::optional<RouteStatus> Speaker::route(const Address& address) const {
  for (unsigned length = bits(address.family()) + 1; length-- > 0;) {
    auto found = route(Prefix(address, length));
    if (found && found->kind != RouteKind::none) return found;
  }
  return std::nullopt;
}

void Speaker::routes(const std::function<void(const RouteStatus&)>& each) const {
  const Rib& rib = world_->tables->rib;
  for (const Family family : both_families) {
    for (NetId net = 0; net < rib.places(family); ++net) {
      if (const auto found = rib.route_at(family, net)) each(world_->status(*found));
    }
  }
}

MrtDump Speaker::begin_mrt_dump(std::uint32_t unix_now, Time now) const {
  MrtDump dump;
  const Settings& node = world_->settings;
  dump.peers.push_back({PeerId::local, node.router_id, Address::ipv4(0), node.asn, unix_now});
  for (const auto& each : world_->neighbours) {
    const auto& session = each->peer.session();
    if (!session) continue;
    const auto age =
        std::chrono::duration_cast<std::chrono::seconds>(now - session->up_since).count();
    dump.peers.push_back({each->id, session->theirs.id, each->peer.settings().address,
                          session->theirs.asn, unix_now - static_cast<std::uint32_t>(age)});
  }
  std::sort(dump.peers.begin(), dump.peers.end(),
            [](const MrtPeer& a, const MrtPeer& b) { return a.id < b.id; });
  return dump;
}

void Speaker::continue_mrt_dump(MrtDump& dump, std::size_t places, std::uint32_t unix_now,
                                std::vector<std::byte>& out) const {
  dump_slice(dump, world_->tables->rib, places, unix_now, out);
}

void Speaker::selected(
    const std::function<void(const Prefix&, RouteKind, NextHopSet)>& each) const {
  const Rib& rib = world_->tables->rib;
  for (const Family family : both_families) {
    for (NetId net = 0; net < rib.places(family); ++net) {
      const auto found = rib.route_at(family, net);
      if (found && found->kind != RouteKind::none) {
        each(found->prefix, found->kind, found->next_hops);
      }
    }
  }
}

RouteCounts Speaker::counts(Family family) const {
  const Rib& rib = world_->tables->rib;
  const std::uint64_t local = rib.originated(family);
  return {local, rib.routes(family) - local, rib.paths(family)};
}

PathLimitStatus Speaker::path_limit() const {
  return {world_->learned_paths(), world_->settings.path_limit, world_->path_limit_passed};
}

std::uint32_t Speaker::advertised_to(const Prefix& prefix) const {
  return world_->tables->adj_out.advertised_to(prefix);
}

}  // namespace weft::bgp
