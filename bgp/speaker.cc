#include "bgp/speaker.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <map>
#include <random>
#include <set>
#include <unordered_map>
#include <utility>

#include "bgp/adj_out.h"
#include "bgp/attribute_store.h"
#include "bgp/attributes.h"
#include "bgp/import.h"
#include "bgp/log_budget.h"
#include "bgp/message.h"
#include "bgp/monitoring.h"
#include "bgp/policy.h"
#include "bgp/ranges.h"
#include "bgp/rib.h"
#include "bgp/update.h"

namespace weft::bgp {
namespace {

using std::chrono::seconds;

constexpr std::array both_families{Family::ipv4, Family::ipv6};
constexpr std::size_t index(Family family) {
  return family == Family::ipv4 ? 0 : 1;
}

/// Prefixes decided in one go: some milliseconds, so that no keepalive waits for a full table.
constexpr std::size_t decide_slice = 16384;
/// Prefixes asked about again in one go after a change of an import policy: each may have a path of
/// every peer, and each path its own attributes to go through the rules with.
constexpr NetId import_slice = 1024;
/// Places of the RIB from which a lost peer's paths are taken at once; a table no larger than this
/// is done on the spot.
constexpr std::size_t drop_slice = 16384;
/// A peer without RFC 4724 may never send End-of-RIB; after this long its table is taken for
/// complete.
constexpr seconds quiet_sync{10};
/// Lines a minute about connections that belong to no peer.
constexpr unsigned stranger_log_limit = 6;

std::optional<Family> family_of(AfiSafi family) {
  for (const Family each : both_families) {
    if (unicast(each) == family) return each;
  }
  return std::nullopt;
}

/// What the tables know of one family of a session.
struct FamilyState {
  /// Prefixes that were not held because of a limit, in this session.
  std::uint64_t discarded = 0;
  /// The peer is above a limit, and that has been said.
  bool limit_said = false;
  /// As told to AdjOut; none: not negotiated, or we have no next hop to give.
  std::optional<AdjOutPeer> out;
  bool end_of_rib = false;
  /// Ever since the start; a later loss of the session does not take it back.
  bool synced = false;
};

struct Neighbour {
  Neighbour(const PeerSettings& settings, const Settings& node, PeerId peer_id, std::uint32_t seed,
            Outbox& out, Time now)
      : id(peer_id),
        peer(settings, node.asn, node.router_id, static_cast<std::uint16_t>(peer_id), seed, out,
             now) {}

  PeerId id;
  Peer peer;
  /// The session the tables know of.
  ConnectionId joined;
  std::optional<UpdateDecoder> decoder;
  Import import;
  /// What it let in is to be gone through again.
  bool import_changed = false;
  std::uint32_t ifindex = 0;
  std::array<FamilyState, 2> families;
  /// Attributes of the last UPDATE, by the decoder's serial.
  HeldAttributes last_attributes;
  std::uint64_t last_serial = 0;
  /// The AS of the session (RFC 7705) stands in them too often.
  bool last_looped = false;
  std::uint64_t malformed_updates = 0;
  /// Of a dynamic peer: since when it has no connection.
  std::optional<Time> lonely_since;
  /// OutputReady is out and produce() has not been called since.
  bool output_announced = false;
};

/// Ours on the interface: global before link-local.
struct OwnAddresses {
  std::optional<Address> ipv4;
  std::optional<Address> ipv6;
  std::optional<Address> link_local;
};

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

/// The tables of one AS number and router id; both are baked into the attribute store.
struct Tables {
  Tables(const Settings& settings, std::uint64_t seed)
      : store(settings.asn, settings.router_id, seed),
        rib(store, limits(settings), seed),
        adj_out(rib),
        local_attributes(store, store.intern(canonical(local()))) {}
  static MultipathLimits limits(const Settings& settings) {
    return {settings.multipath, settings.multipath_relax, settings.always_compare_med};
  }
  static Attributes local() {
    Attributes attributes;
    attributes.origin = Origin::igp;
    return attributes;
  }

  AttributeStore store;
  Rib rib;
  AdjOut adj_out;
  HeldAttributes local_attributes;
};

struct Speaker::World {
  World(Settings wanted, std::uint64_t with_seed, Time now)
      : settings(std::move(wanted)),
        seed(with_seed),
        random(static_cast<std::uint32_t>(with_seed ^ with_seed >> 32)),
        started(now),
        stranger_log(stranger_log_limit, now),
        policies(compile(settings, {})),
        tables(std::make_unique<Tables>(settings, seed)),
        monitoring(settings.bmp, static_cast<std::uint32_t>(with_seed), out, now) {
    monitoring.count_malformed(
        [this](PeerId id) { return by_id[static_cast<std::size_t>(id)]->malformed_updates; });
    monitor(now);
    add_listed(now);
  }

  void monitor(Time now) {
    monitoring.attach(tables->rib, tables->adj_out, settings.asn, settings.router_id, now);
  }

  Settings settings;
  std::uint64_t seed;
  std::minstd_rand random;
  Time started;
  LogBudget stranger_log;
  /// By name of the range: connections refused because it was full.
  std::map<std::string, std::uint64_t, std::less<>> refused;
  Outbox out;
  std::vector<GatewayChange> gateways;
  std::vector<RouteChange> changes;
  std::vector<SyncDone> syncs;
  /// Peers whose paths are being dropped, and how far that is, by family.
  struct Leaving {
    PeerId peer;
    std::array<NetId, 2> from{};
  };
  std::vector<Leaving> leaving;
  /// Gateways told to be lost, until the RIB has caught up: what leads there then, does so by
  /// another peer's word.
  NextHops distrusted;
  /// Lost gateways are told before the work of a large table begins.
  bool words_first = false;
  std::array<bool, 2> sync_done{};
  bool sync_checked = false;
  Policies policies;
  std::unique_ptr<Tables> tables;
  Monitoring monitoring;
  std::set<Prefix> originated;
  std::vector<ConnectedSubnet> subnets;
  /// How far the search for paths of changed import policies has come; none: there is none.
  struct ImportWalk {
    Family family = Family::ipv4;
    NetId next = 0;
  };
  std::optional<ImportWalk> import_walk;
  /// Goodbye has been said: nothing changes any more, the kernel's routes least of all.
  bool stopped = false;
  bool wait_for_install = false;

  /// In the order they were added.
  std::vector<std::unique_ptr<Neighbour>> neighbours;
  /// By PeerId; 0 is this node.
  std::vector<Neighbour*> by_id{nullptr};
  std::unordered_map<Address, Neighbour*> by_address;

  // ---- finding

  Neighbour* find(ConnectionId connection) {
    const std::size_t id = connection.value & 0xffff;
    return id < by_id.size() ? by_id[id] : nullptr;
  }
  Neighbour* find(std::string_view name) {
    for (const auto& each : neighbours) {
      if (each->peer.settings().name == name) return each.get();
    }
    return nullptr;
  }
  Result<Neighbour*> named(std::string_view name) {
    if (Neighbour* found = find(name)) return found;
    return Error{fmt::format("no peer is named \"{}\"", name)};
  }

  // ---- coming and going of peers

  void add_listed(Time now) {
    for (const PeerSettings& peer : settings.peers) {
      if (!is_range(peer)) add(peer, now);
    }
  }

  void add(const PeerSettings& peer, Time now) {
    std::size_t id = 1;
    while (id < by_id.size() && by_id[id] != nullptr) ++id;
    if (id == by_id.size()) by_id.push_back(nullptr);
    neighbours.push_back(std::make_unique<Neighbour>(
        peer, settings, static_cast<PeerId>(id), static_cast<std::uint32_t>(random()), out, now));
    by_id[id] = neighbours.back().get();
    by_address[peer.address] = by_id[id];
  }

  void remove(Neighbour& gone, Time now) {
    gone.peer.shutdown(Fault::PeerDeconfigured, {}, now);
    follow_session(gone, now);
    finish_leaving(gone.id);
    by_id[static_cast<std::size_t>(gone.id)] = nullptr;
    by_address.erase(gone.peer.settings().address);
    std::erase_if(neighbours, [&](const auto& each) { return each.get() == &gone; });
  }

  void log_stranger(Level level, const std::string& text, Time now) {
    std::string line = stranger_log.admit(text, now);
    if (!line.empty()) out.log.push_back({level, std::move(line)});
  }

  // ---- peers of ranges

  std::size_t members(const PeerSettings& range) const {
    return static_cast<std::size_t>(
        std::count_if(neighbours.begin(), neighbours.end(), [&](const auto& each) {
          return each->peer.settings().is_dynamic() && each->peer.settings().range == range.range;
        }));
  }

  /// Whoever connects from inside a range becomes a peer; nullptr: there is no room, or no range.
  Neighbour* invite(const Address& remote, Time now) {
    const PeerSettings* range = range_of(settings.peers, remote);
    if (range == nullptr) {
      log_stranger(
          Level::info,
          fmt::format("connection from {} refused: no peer has this address", remote.text()), now);
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
                   fmt::format("connection from {} refused: range {} has its {} peers",
                               remote.text(), range->name, range->range_limit),
                   now);
      return nullptr;
    }
    add(member_of(*range, remote), now);
    neighbours.back()->lonely_since = now;
    return neighbours.back().get();
  }

  bool holds_routes(const Neighbour& who) const {
    return std::any_of(both_families.begin(), both_families.end(), [&](Family family) {
      return tables->rib.counts(who.id, family).received != 0;
    });
  }

  /// The peer of the range that has been away the longest makes room for one that is here.
  bool make_room(const PeerSettings& range, Time now) {
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

  void note_loneliness(Time now) {
    for (const auto& each : neighbours) {
      if (!each->peer.settings().is_dynamic()) continue;
      if (each->peer.is_connected()) {
        each->lonely_since.reset();
      } else if (!each->lonely_since) {
        each->lonely_since = now;
      }
    }
  }

  /// Peers of ranges that have been away for range_linger are forgotten.
  void forget_lonely(Time now) {
    std::vector<Neighbour*> gone;
    for (const auto& each : neighbours) {
      if (each->lonely_since && now >= *each->lonely_since + range_linger && !holds_routes(*each))
        gone.push_back(each.get());
    }
    for (Neighbour* each : gone) remove(*each, now);
  }

  Time lonely_deadline() const {
    Time next = Time::max();
    for (const auto& each : neighbours) {
      if (each->lonely_since && !holds_routes(*each))
        next = std::min(next, *each->lonely_since + range_linger);
    }
    return next;
  }

  /// The tables learn what became of the session.
  void follow_session(Neighbour& who, Time now) {
    const auto& session = who.peer.session();
    const ConnectionId current = session ? session->connection : ConnectionId{};
    if (who.joined == current) return;
    if (who.joined != ConnectionId{}) {
      monitoring.peer_down(who.id, who.peer.last_end());
      leave(who);
    }
    if (!session) return;
    join(who, *session, now);
    monitoring.peer_up(who.id, *session, who.peer.settings().address, who.ifindex, now);
  }

  void leave(Neighbour& who) {
    who.joined = ConnectionId{};
    tables->adj_out.leave(who.id);
    lose_paths(who);
    who.decoder.reset();
    who.last_attributes = HeldAttributes{};
    who.last_serial = 0;
    who.last_looped = false;
    who.output_announced = false;
    for (FamilyState& family : who.families) {
      family.out.reset();
      family.end_of_rib = false;
      family.discarded = 0;
      family.limit_said = false;
    }
  }

  /// What leads through the peer is told at once; its paths go in slices.
  void lose_paths(Neighbour& who) {
    if (who.peer.is_external()) {
      for (const NextHop& lost : tables->rib.gateways(who.id)) {
        distrusted.push_back(lost);
        gateways.push_back({lost.gateway, lost.ifindex, false});
      }
    }
    leaving.push_back({who.id});
    words_first = is_large();
  }

  bool is_large() const {
    return tables->rib.places(Family::ipv4) + tables->rib.places(Family::ipv6) > drop_slice;
  }

  void drop_some() {
    std::size_t left = drop_slice;
    while (!leaving.empty() && left > 0) {
      Leaving& one = leaving.front();
      bool done = true;
      for (const Family family : both_families) {
        NetId& from = one.from[index(family)];
        const NetId before = from;
        done = tables->rib.drop_some(one.peer, family, from, left) && done;
        left -= std::min<std::size_t>(left, from - before);
      }
      if (!done) return;
      leaving.erase(leaving.begin());
    }
  }

  /// Nothing of the peer's last session may mix with its next.
  void finish_leaving(PeerId peer) {
    const auto gone = std::remove_if(leaving.begin(), leaving.end(), [&](const Leaving& one) {
      if (one.peer != peer) return false;
      for (const Family family : both_families) tables->rib.drop(peer, family);
      return true;
    });
    leaving.erase(gone, leaving.end());
  }

  void join(Neighbour& who, const Session& session, Time now) {
    finish_leaving(who.id);
    who.joined = session.connection;
    Inbound inbound;
    inbound.negotiated = session.negotiated;
    inbound.external = session.external;
    inbound.peer_as = session.theirs.asn;
    who.decoder.emplace(std::move(inbound));
    who.import = Import(import_rules(who, session));
    who.import_changed = false;
    attach(who, session);
    tell_all_families(who, session, now);
  }

  void attach(Neighbour& who, const Session& session) {
    who.ifindex = interface_of(session.local);
    const PeerSettings& peer = who.peer.settings();
    tables->rib.attach(who.id, {session.external, session.theirs.id, peer.address, who.ifindex,
                                peer.name, peer.allow_own_as});
  }

  ImportRules import_rules(const Neighbour& who, const Session& session) const {
    const PeerSettings& peer = who.peer.settings();
    return {Policy::import(settings, peer, session.external, policies),
            session.external,
            session.theirs.asn,
            peer.role,
            peer.graceful_shutdown,
            peer.blackhole};
  }

  void tell_all_families(Neighbour& who, const Session& session, Time now) {
    for (const Family family : both_families) {
      if (session.negotiated.has(unicast(family))) tell(who, session, family, now);
    }
  }

  /// Joins the family to Adj-RIB-Out, or says what has changed for it.
  void tell(Neighbour& who, const Session& session, Family family, Time now) {
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

  static bool same(const AdjOutPeer& a, const AdjOutPeer& b) {
    return a.policy == b.policy && a.next_hop == b.next_hop;
  }

  std::optional<AdjOutPeer> outbound(const Neighbour& who, const Session& session,
                                     Family family) const {
    AdjOutPeer how;
    how.external = session.external;
    how.as_path = as_path_rules(who.peer.settings(), session);
    how.next_hop_rule = who.peer.settings().next_hop;
    how.policy = Policy::to_export(settings, who.peer.settings(), session.external, policies);
    how.negotiated = session.negotiated;
    how.role = who.peer.settings().role;
    const OwnAddresses own = own_addresses(session.local, who.ifindex);
    if (family == Family::ipv4 && own.ipv4) {
      how.next_hop = {*own.ipv4, {}};
      return how;
    }
    if (family == Family::ipv4 && !session.negotiated.find(unicast(family))->extended_next_hop) {
      return std::nullopt;
    }
    if (!own.ipv6 && !own.link_local) return std::nullopt;
    how.next_hop.address = own.ipv6 ? *own.ipv6 : *own.link_local;
    // RFC 2545 3: the link-local address too, where the peer shares the link.
    if (own.link_local && on_link(who)) how.next_hop.link_local = own.link_local;
    return how;
  }

  AsPathRules as_path_rules(const PeerSettings& peer, const Session& session) const {
    AsPathRules rules;
    rules.local_as = peer.local_as.value_or(settings.asn);
    if (rules.local_as != settings.asn && !peer.local_as_replace) rules.node_as = settings.asn;
    // Only where it matters, for peers of different rules share no update group.
    if (peer.remove_private != RemovePrivate::none) rules.peer_as = session.theirs.asn;
    if (peer.as_override) rules.overridden = session.theirs.asn;
    rules.remove_private = peer.remove_private;
    return rules;
  }

  // ---- our own addresses

  std::uint32_t interface_of(const Address& local) const {
    for (const ConnectedSubnet& subnet : subnets) {
      if (subnet.address == local) return subnet.ifindex;
    }
    return 0;
  }

  OwnAddresses own_addresses(const Address& local, std::uint32_t ifindex) const {
    OwnAddresses own;
    const auto take = [&](const Address& address) {
      auto& place = address.is_v4()           ? own.ipv4
                    : address.is_link_local() ? own.link_local
                                              : own.ipv6;
      if (!place) place = address;
    };
    take(local);
    for (const ConnectedSubnet& subnet : subnets) {
      if (ifindex != 0 && subnet.ifindex == ifindex && !subnet.address.is_loopback())
        take(subnet.address);
    }
    return own;
  }

  bool on_link(const Neighbour& who) const {
    const Address& remote = who.peer.settings().address;
    if (remote.is_v6() && remote.is_link_local()) return true;
    return std::any_of(subnets.begin(), subnets.end(), [&](const ConnectedSubnet& subnet) {
      return subnet.ifindex == who.ifindex && subnet.prefix.contains(remote);
    });
  }

  // ---- what peers say

  void read(Neighbour& who, Time now) {
    while (const auto frame = who.peer.next(now)) {
      follow_session(who, now);
      if (frame->type == MessageType::update) {
        update(who, *frame, now);
      } else {
        refresh_wanted(who, *frame, now);
      }
    }
  }

  void update(Neighbour& who, const Frame& frame, Time now) {
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
      for (const Nlri& nlri : range) rib.withdraw(who.id, nlri.prefix, nlri.path_id);
    }
    if (!update.announcements().empty()) remember_attributes(who, update);
    for (const Announcement& announcement : update.announcements())
      announce(who, announcement, now);
    if (const auto ended = update.end_of_rib()) end_of_rib(who, *ended, now);
    check_limits(who, now);
  }

  void remember_attributes(Neighbour& who, const Update& update) {
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

  /// RFC 7705 3.2: the rest of our AS sees the one that the peer believes in.
  Attributes of_local_as(Neighbour& who, const Update& update) const {
    const PeerSettings& peer = who.peer.settings();
    Attributes attributes = update.attributes();
    who.last_looped = attributes.as_path.count(*peer.local_as) > peer.allow_own_as;
    const auto& session = who.peer.session();
    if (!peer.local_as_no_prepend && *peer.local_as != settings.asn && session && session->external)
      attributes.as_path.prepend(*peer.local_as);
    return attributes;
  }

  void announce(Neighbour& who, const Announcement& announcement, Time now) {
    Rib& rib = tables->rib;
    const PathNextHop& via = announcement.next_hop;
    const auto next_hop = rib.next_hop(who.id, via.address, via.link_local);
    bool lost = false;
    for (const Nlri& nlri : announcement.nlri) {
      if (!is_routable(nlri.prefix)) continue;
      if (!next_hop || who.last_looped) {
        // A route that cannot be held must not leave its predecessor in place.
        rib.withdraw(who.id, nlri.prefix, nlri.path_id);
        lost |= !next_hop;
        continue;
      }
      const Rib::Imported imported =
          who.import.judge(rib, {who.id, nlri.prefix, who.last_attributes.id(), *next_hop});
      lost |= rib.announce(nlri.prefix, nlri.path_id, imported.attributes, imported.next_hop,
                           imported.filtered) == Announced::no_room;
      discard_excess(who, nlri);
    }
    if (lost)
      who.peer.log(Level::error, "a limit of the table is reached: routes are not held", now);
  }

  /// A slice of it: what changed import policies let in is gone through again, pre-policy paths
  /// being at hand.
  void import_again(Time now) {
    if (!import_walk) return;
    Rib& rib = tables->rib;
    rib.import_again(import_walk->family, import_walk->next, import_slice,
                     [&](const Rib::Received& received) -> std::optional<Rib::Imported> {
                       Neighbour* who = by_id[static_cast<std::size_t>(received.peer)];
                       if (who == nullptr || !who->import_changed) return std::nullopt;
                       return who->import.judge(rib, received);
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

  /// The limit that the peer is above in this family.
  std::optional<std::uint32_t> exceeded(const Neighbour& who, Family family) const {
    const PeerSettings& peer = who.peer.settings();
    if (!peer.prefix_limit && !peer.accepted_prefix_limit) return std::nullopt;
    const PathCounts counts = tables->rib.counts(who.id, family);
    if (peer.prefix_limit && counts.received > *peer.prefix_limit) return peer.prefix_limit;
    if (peer.accepted_prefix_limit && counts.accepted() > *peer.accepted_prefix_limit) {
      return peer.accepted_prefix_limit;
    }
    return std::nullopt;
  }

  /// PrefixLimitAction::discard: the path that was one too many is not held.
  void discard_excess(Neighbour& who, const Nlri& nlri) {
    if (who.peer.settings().prefix_limit_action != PrefixLimitAction::discard) return;
    const Family family = nlri.prefix.family();
    if (!exceeded(who, family)) return;
    tables->rib.withdraw(who.id, nlri.prefix, nlri.path_id);
    ++who.families[index(family)].discarded;
  }

  void check_limits(Neighbour& who, Time now) {
    const PeerSettings& peer = who.peer.settings();
    if (!peer.prefix_limit && !peer.accepted_prefix_limit) return;
    for (const Family family : both_families) {
      FamilyState& state = who.families[index(family)];
      const auto limit = exceeded(who, family);
      if (limit && peer.prefix_limit_action == PrefixLimitAction::close) {
        who.peer.refuse(too_many(family, *limit), now);
        return who.peer.hold_down(peer.prefix_limit_restart, now);
      }
      const bool above = limit.has_value() || state.discarded != 0;
      if (above && !state.limit_said) {
        who.peer.log(Level::warning,
                     fmt::format("more {} prefixes than prefix-limit allows{}", name(family),
                                 state.discarded != 0 ? ": those beyond are not held" : ""),
                     now);
      }
      state.limit_said = above;
    }
  }

  void end_of_rib(Neighbour& who, AfiSafi which, Time now) {
    const auto family = family_of(which);
    if (!family) return;
    FamilyState& state = who.families[index(*family)];
    if (!state.end_of_rib)
      who.peer.log(Level::debug, fmt::format("End-of-RIB {}", name(*family)), now);
    state.end_of_rib = true;
    state.synced = true;
  }

  void refresh_wanted(Neighbour& who, const Frame& frame, Time now) {
    const auto refresh = decode_route_refresh(frame);
    if (!refresh) return who.peer.refuse(refresh.error(), now);
    if (!*refresh || (*refresh)->subtype != RouteRefresh::Subtype::request) return;
    const auto family = family_of((*refresh)->family);
    if (family && who.families[index(*family)].out) tables->adj_out.refresh(who.id, *family);
  }

  // ---- after every input

  void settle(Neighbour& who, Time now) {
    if (stopped) return;
    follow_session(who, now);
    advance(now);
  }

  void settle_all(Time now) {
    if (stopped) return;
    for (const auto& each : neighbours) follow_session(*each, now);
    advance(now);
  }

  void trust_again() {
    if (distrusted.empty() || !leaving.empty() || tables->rib.pending() != 0 || !changes.empty())
      return;
    for (const NextHop& each : std::exchange(distrusted, {})) {
      gateways.push_back({each.gateway, each.ifindex, true});
    }
  }

  void advance(Time now) {
    note_loneliness(now);
    import_again(now);
    trust_again();
    if (!std::exchange(words_first, false)) {
      drop_some();
      tables->rib.decide(decide_slice, changes);
    }
    for (const auto& each : neighbours) {
      if (each->joined == ConnectionId{} || each->output_announced ||
          !tables->adj_out.pending(each->id))
        continue;
      each->output_announced = true;
      each->peer.output_ready();
    }
    monitoring.advance();
    check_sync(now);
  }

  // ---- initial synchronisation

  static bool owes(const Neighbour& who, Family family) {
    const auto& wanted = who.peer.settings().families;
    if (who.peer.is_shutdown() || who.families[index(family)].synced) return false;
    if (std::find(wanted.begin(), wanted.end(), family) == wanted.end()) return false;
    const auto& session = who.peer.session();
    if (!session) return !who.peer.settings().is_dynamic();
    return session->negotiated.has(unicast(family));
  }

  /// Peers that may never send End-of-RIB.
  static bool is_taciturn(const Neighbour& who) {
    const auto& session = who.peer.session();
    return session && !session->negotiated.graceful_restart &&
           !(who.families[0].synced && who.families[1].synced);
  }

  void check_sync(Time now) {
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
      const bool late = now >= started + sync_limit;
      // Who will come from a range nobody knows: they all get the whole time.
      const bool open = std::any_of(settings.peers.begin(), settings.peers.end(), is_range);
      if (((waits || open) && !late) || tables->rib.pending() != 0 || !leaving.empty()) continue;
      sync_done[index(family)] = true;
      syncs.push_back({family, waits});
    }
  }

  Time sync_deadline() const {
    if (!sync_checked) return started;
    if (sync_done[0] && sync_done[1]) return Time::max();
    Time next = started + sync_limit;
    for (const auto& each : neighbours) {
      if (is_taciturn(*each)) next = std::min(next, each->peer.session()->up_since + quiet_sync);
    }
    return next;
  }

  // ---- settings

  void apply(Settings wanted, Time now) {
    std::swap(settings, wanted);
    policies = compile(settings, policies);
    monitoring.apply(settings.bmp, now);
    const Settings& old = wanted;
    if (old.asn != settings.asn || old.router_id != settings.router_id) return start_over(now);
    if (Tables::limits(old) != Tables::limits(settings)) {
      tables->rib.set_limits(Tables::limits(settings));
    }
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

  bool is_listed(const PeerSettings& running) const {
    const bool dynamic = running.is_dynamic();
    const bool named =
        std::any_of(settings.peers.begin(), settings.peers.end(), [&](const PeerSettings& peer) {
          return !is_range(peer) && peer.address == running.address &&
                 (dynamic || peer.name == running.name);
        });
    // A peer of a range that is listed by now is another one.
    return dynamic ? !named && range_of(settings.peers, running.address) != nullptr : named;
  }

  /// Peers that are gone, or another one now under the same name.
  void remove_unlisted(Time now) {
    std::vector<Neighbour*> gone;
    for (const auto& each : neighbours) {
      if (!is_listed(each->peer.settings())) gone.push_back(each.get());
    }
    for (Neighbour* each : gone) remove(*each, now);
  }

  void change(Neighbour& who, const PeerSettings& wanted, Time now) {
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
    if (who.peer.session()) change_policy(who, *who.peer.session(), now);
  }

  void change_policy(Neighbour& who, const Session& session, Time now) {
    ImportRules import = import_rules(who, session);
    tell_all_families(who, session, now);
    if (import == who.import.rules()) return;
    who.import = Import(std::move(import));
    who.import_changed = true;
    import_walk = ImportWalk{};
  }

  /// Another AS or another router: nothing of the old life holds.
  void start_over(Time now) {
    while (!neighbours.empty()) remove(*neighbours.front(), now);
    for (const Prefix& prefix : originated) tables->rib.withdraw(PeerId::local, prefix);
    while (tables->rib.pending() != 0) tables->rib.decide(decide_slice, changes);
    monitoring.detach();
    tables = std::make_unique<Tables>(settings, seed);
    monitor(now);
    tables->rib.connected(subnets);
    tables->rib.wait_for_install(wait_for_install);
    for (const Prefix& prefix : originated)
      tables->rib.originate(prefix, tables->local_attributes.id());
    add_listed(now);
  }

  // ---- views

  std::string_view peer_name(PeerId id) const {
    if (id == PeerId::local) return "local";
    const Neighbour* who = by_id[static_cast<std::size_t>(id)];
    return who == nullptr ? std::string_view("gone") : std::string_view(who->peer.settings().name);
  }

  /// Why the import policy refuses a path.
  std::string refusal(const Prefix& prefix, const PathView& path) const {
    const Neighbour* who = by_id[static_cast<std::size_t>(path.peer)];
    if (who == nullptr) return "refused by the import filter";
    return "refused by " +
           who->import.explain(tables->rib, {path.peer, prefix, path.attributes, path.next_hop});
  }

  PathStatus status(const Prefix& prefix, const PathView& path, bool best) const {
    PathStatus shown;
    shown.peer = peer_name(path.peer);
    if (path.peer != PeerId::local) {
      const PeerNextHop& via = tables->rib.next_hop(path.next_hop);
      shown.next_hop = via.discard ? "blackhole" : PathNextHop{via.address, via.link_local}.text();
    }
    const Attributes attributes = from_canonical(tables->store.octets(path.attributes));
    shown.as_path = attributes.as_path.text();
    shown.origin = name(attributes.origin);
    shown.local_pref = attributes.local_pref;
    shown.med = attributes.med;
    for (const auto& each : attributes.communities) shown.communities.push_back(each.text());
    for (const auto& each : attributes.extended_communities)
      shown.communities.push_back(each.text());
    for (const auto& each : attributes.large_communities) shown.communities.push_back(each.text());
    shown.best = best;
    shown.multipath = path.multipath;
    if (path.rung == Rung::refused) {
      shown.lost_at =
          path.filtered ? refusal(prefix, path) : "loop: our AS or router id is in the path";
    } else if (path.rung != Rung::best) {
      shown.lost_at = name(path.rung);
    }
    return shown;
  }

  RouteStatus status(const RouteView& route) const {
    RouteStatus shown{route.prefix, route.kind, {}, route.next_hops};
    for (const PathView& path : route.paths) {
      const bool best = shown.paths.empty() && route.kind != RouteKind::none;
      shown.paths.push_back(status(route.prefix, path, best));
    }
    return shown;
  }

  PolicyStatus status(const std::string& name, const PolicyRules& rules) const {
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

  PeerStatus status(const Neighbour& who) const {
    const Peer& peer = who.peer;
    const PeerSettings& wanted = peer.settings();
    PeerStatus shown;
    shown.name = wanted.name;
    shown.description = wanted.description;
    shown.address = wanted.address;
    shown.external = peer.is_external();
    shown.shutdown = peer.is_shutdown();
    shown.state = peer.state();
    shown.since = peer.since();
    shown.range = wanted.range;
    shown.connect_retry = wanted.connect_retry;
    shown.send_hold = wanted.send_hold;
    shown.setup = setup_of(wanted);
    shown.setup.password.reset();
    shown.last_sent_notification = peer.last_sent_notification();
    shown.last_received_notification = peer.last_received_notification();
    shown.password = wanted.password.has_value();
    shown.prefix_limit = wanted.prefix_limit;
    shown.accepted_prefix_limit = wanted.accepted_prefix_limit;
    shown.last_error = peer.last_error();
    shown.received = peer.received_counts();
    shown.sent = peer.sent_counts();
    shown.established_count = peer.established_count();
    shown.malformed_updates = who.malformed_updates;
    if (const Asn* asn = std::get_if<Asn>(&wanted.remote_as)) shown.asn = *asn;
    if (wanted.remote_as == std::variant<RemoteAs, Asn>(RemoteAs::internal))
      shown.asn = settings.asn;
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

  PeerFamilyStatus status(const Neighbour& who, Family family) const {
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
    shown.above_limit = exceeded(who, family).has_value() || state.discarded != 0;
    return shown;
  }
};

Speaker::Speaker(Settings settings, std::uint64_t seed, Time now)
    : world_(std::make_unique<World>(std::move(settings), seed, now)) {}
Speaker::~Speaker() = default;

std::optional<ConnectionId> Speaker::accepted(const Address& remote, const Address& local,
                                              Time now) {
  World& world = *world_;
  if (world.stopped) return std::nullopt;
  const auto known = world.by_address.find(remote);
  const bool dynamic =
      known == world.by_address.end() || known->second->peer.settings().is_dynamic();
  // Those of ranges count apart: whoever owns a range's addresses cannot shut a listed peer out.
  std::size_t half_open = 0;
  for (const auto& each : world.neighbours) {
    if (each->peer.settings().is_dynamic() == dynamic) half_open += each->peer.half_open();
  }
  if (half_open >= half_open_limit) {
    world.log_stranger(Level::warning,
                       fmt::format("connection from {} refused: {} others have not said OPEN yet",
                                   remote.text(), half_open),
                       now);
    return std::nullopt;
  }
  Neighbour* found = known != world.by_address.end() ? known->second : world.invite(remote, now);
  if (found == nullptr) return std::nullopt;
  Neighbour& who = *found;
  const auto connection = who.peer.accept(local, now);
  world.settle(who, now);
  return connection;
}

SocketSetup Speaker::socket_setup(const Address& remote) const {
  const auto known = world_->by_address.find(remote);
  return known == world_->by_address.end() ? SocketSetup{}
                                           : setup_of(known->second->peer.settings());
}

void Speaker::hindered(std::string_view peer, std::string_view why, Time now) {
  if (Neighbour* who = world_->find(peer)) return who->peer.hindered(why, now);
  world_->out.log.push_back({Level::error, fmt::format("range {}: {}", peer, why)});
}

void Speaker::ports(ConnectionId connection, std::uint16_t local, std::uint16_t remote) {
  if (Neighbour* who = world_->find(connection)) who->peer.ports(connection, local, remote);
}

void Speaker::opened(ConnectionId connection, const Address& local, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) {
    world_->monitoring.opened(connection, now);
    return world_->monitoring.advance();
  }
  who->peer.opened(connection, local, now);
  world_->settle(*who, now);
}

void Speaker::failed(ConnectionId connection, std::string_view why, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) return world_->monitoring.failed(connection, why, now);
  who->peer.failed(connection, why, now);
  world_->settle(*who, now);
}

void Speaker::closed(ConnectionId connection, std::string_view why, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) return world_->monitoring.closed(connection, why, now);
  who->peer.closed(connection, why, now);
  world_->settle(*who, now);
}

void Speaker::received(ConnectionId connection, Bytes bytes, Time now) {
  assert(bytes.size() <= receive_size);
  Neighbour* who = world_->find(connection);
  if (who == nullptr || world_->stopped) return;
  who->peer.received(connection, bytes, now);
  world_->read(*who, now);
  world_->settle(*who, now);
}

void Speaker::produce(ConnectionId connection, std::vector<std::byte>& out, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) return world_->monitoring.produce(connection, out, now);
  const std::size_t before = out.size();
  who->peer.produce(connection, out);
  if (who->joined == connection) {
    who->output_announced = false;
    std::size_t at = out.size();
    world_->tables->adj_out.produce(who->id, produce_size, out);
    world_->monitoring.told_peer(who->id, Bytes(out).subspan(at));
    while (at < out.size()) {  // our own messages: their lengths can be trusted
      const std::size_t size = Reader(Bytes(out).subspan(at + 16, 2)).u16();
      who->peer.count_sent(MessageType::update, size);
      at += size;
    }
  }
  if (out.size() != before) who->peer.producing(connection, now);
}

void Speaker::sent(ConnectionId connection, bool all, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) return world_->monitoring.sent(connection, all, now);
  who->peer.sent(connection, all, now);
}

std::vector<ConnectionId> Speaker::expiring(Time now) const {
  std::vector<ConnectionId> found;
  for (const auto& each : world_->neighbours) {
    if (each->peer.hold_expiring(now)) found.push_back(each->peer.session()->connection);
  }
  return found;
}

void Speaker::heard(ConnectionId connection, Time now) {
  if (Neighbour* who = world_->find(connection)) who->peer.heard(connection, now);
}

Time Speaker::deadline() const {
  if (world_->stopped) return Time::max();
  const bool busy = world_->tables->rib.pending() != 0 || !world_->leaving.empty();
  if (busy || world_->import_walk || !world_->distrusted.empty()) return Time::min();
  Time next = std::min(world_->sync_deadline(), world_->lonely_deadline());
  next = std::min(next, world_->monitoring.deadline());
  for (const auto& each : world_->neighbours) next = std::min(next, each->peer.deadline());
  return next;
}

void Speaker::tick(Time now) {
  if (world_->stopped) return;
  for (const auto& each : world_->neighbours) {
    if (now >= each->peer.deadline()) each->peer.tick(now);
  }
  world_->forget_lonely(now);
  world_->monitoring.tick(now);
  world_->settle_all(now);
}

void Speaker::wall_clock(std::chrono::microseconds epoch) {
  world_->monitoring.wall_clock(epoch);
}

void Speaker::originate(const Prefix& prefix, Time now) {
  if (!world_->originated.insert(prefix).second) return;
  world_->tables->rib.originate(prefix, world_->tables->local_attributes.id());
  world_->settle_all(now);
}

void Speaker::withdraw(const Prefix& prefix, Time now) {
  if (world_->originated.erase(prefix) == 0) return;
  world_->tables->rib.withdraw(PeerId::local, prefix);
  world_->settle_all(now);
}

void Speaker::connected(std::vector<ConnectedSubnet> subnets, Time now) {
  World& world = *world_;
  if (subnets == world.subnets) return;
  world.subnets = subnets;
  world.tables->rib.connected(std::move(subnets));
  for (const auto& each : world.neighbours) {
    const auto& session = each->peer.session();
    if (!session || each->joined != session->connection) continue;
    world.attach(*each, *session);
    world.tell_all_families(*each, *session, now);
  }
  world.settle_all(now);
}

void Speaker::wait_for_install(bool yes, Time now) {
  world_->wait_for_install = yes;
  world_->tables->rib.wait_for_install(yes);
  world_->settle_all(now);
}

void Speaker::installed(const std::vector<Prefix>& prefixes, Time now) {
  for (const Prefix& prefix : prefixes) world_->tables->rib.installed(prefix);
  if (!prefixes.empty()) world_->settle_all(now);
}

void Speaker::link_down(std::uint32_t ifindex, Time now) {
  for (const auto& each : world_->neighbours) {
    if (each->ifindex != ifindex || !each->peer.session() || !each->peer.is_external()) continue;
    const PeerSettings& peer = each->peer.settings();
    if ((peer.uses_gtsm() && peer.multihop == 1) || world_->on_link(*each))
      each->peer.lose_session("link is down", now);
  }
  world_->settle_all(now);
}

void Speaker::apply(Settings settings, Time now) {
  world_->apply(std::move(settings), now);
  world_->settle_all(now);
}

void Speaker::stop(bool cease, std::string_view text, Time now) {
  if (world_->stopped) return;
  world_->stopped = true;
  world_->monitoring.stop();
  for (const auto& each : world_->neighbours) {
    if (cease) {
      each->peer.shutdown(Fault::AdministrativeShutdown, text, now);
    } else {
      each->peer.abandon(now);
    }
  }
}

Result<void> Speaker::start_peer(std::string_view peer, Time now) {
  const auto who = world_->named(peer);
  if (!who) return who.error();
  (*who)->peer.start(now);
  world_->settle(**who, now);
  return {};
}

Result<void> Speaker::shutdown_peer(std::string_view peer, std::string_view text, Time now) {
  const auto who = world_->named(peer);
  if (!who) return who.error();
  (*who)->peer.shutdown(Fault::AdministrativeShutdown, text, now);
  world_->settle(**who, now);
  return {};
}

Result<void> Speaker::reset_peer(std::string_view peer, std::string_view text, Time now) {
  const auto who = world_->named(peer);
  if (!who) return who.error();
  (*who)->peer.reset(Fault::AdministrativeReset, text, now);
  world_->settle(**who, now);
  return {};
}

Result<void> Speaker::refresh_peer(std::string_view peer, Time now) {
  const auto found = world_->named(peer);
  if (!found) return found.error();
  Neighbour& who = **found;
  for (const Family family : both_families) {
    if (!who.families[index(family)].out) continue;
    who.peer.request_refresh(unicast(family));
    world_->tables->adj_out.refresh(who.id, family);
  }
  world_->settle(who, now);
  return {};
}

std::vector<Action> Speaker::take_actions() {
  return std::exchange(world_->out.actions, {});
}
std::vector<GatewayChange> Speaker::take_gateway_changes() {
  return std::exchange(world_->gateways, {});
}
std::vector<RouteChange> Speaker::take_route_changes() {
  return std::exchange(world_->changes, {});
}
std::vector<SyncDone> Speaker::take_sync_done() {
  return std::exchange(world_->syncs, {});
}
std::vector<LogLine> Speaker::take_log() {
  return std::exchange(world_->out.log, {});
}

const NextHops& Speaker::next_hops(NextHopSet set) const {
  return world_->tables->rib.next_hops(set);
}
const Settings& Speaker::settings() const {
  return world_->settings;
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

std::uint32_t Speaker::advertised_to(const Prefix& prefix) const {
  return world_->tables->adj_out.advertised_to(prefix);
}

}  // namespace weft::bgp
