#include "bgp/speaker.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <map>
#include <random>
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
/// Prefixes looked up together, so that their cache misses overlap.
constexpr std::size_t lookup_block = 16;
/// Prefixes asked about again in one go after a change of an import policy: each may have a path of
/// every peer, and each path its own attributes to go through the rules with.
constexpr NetId import_slice = 1024;
/// Places of the RIB from which a lost peer's paths are taken at once; a table no larger than this
/// is done on the spot.
constexpr std::size_t drop_slice = 16384;
/// A peer without RFC 4724 may never send End-of-RIB; after this long its table is taken for
/// complete.
constexpr seconds quiet_sync{10};
/// End-of-RIB waits so long for routes on their way to the kernel.
constexpr seconds install_limit{10};
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
  /// The peer sends its table again; what it does not repeat until then is stale (RFC 7313).
  std::optional<Time> refreshing_until;
  /// Ever since the start; a later loss of the session does not take it back.
  bool synced = false;
  Retention retention;
  /// Of the running or the last session.
  RetentionTerms terms;
};

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
  /// Of an unnumbered peer with a connection: the address last heard on its link, if that is
  /// another.
  std::optional<Address> heard_elsewhere;
  /// The AS of the session (RFC 7705) stands in them too often.
  bool last_looped = false;
  std::uint64_t malformed_updates = 0;
  std::uint64_t graceful_restarts = 0;
  /// Paths that a refresh found stale, ever.
  std::uint64_t stale_swept = 0;
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
      : store(settings.asn, settings.router_id, seed, settings.cluster_id),
        rib(store, limits(settings), seed),
        adj_out(rib) {}
  static MultipathLimits limits(const Settings& settings) {
    return {settings.multipath, settings.multipath_relax, settings.always_compare_med};
  }
  void originate(const Origination& what) {
    const HeldAttributes held(store, store.intern(canonical(what.attributes())));
    rib.originate(what.prefix, held.id());
  }

  AttributeStore store;
  Rib rib;
  AdjOut adj_out;
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
  bool begun = false;
  Restart restart;
  /// Peers that are not up are waited for no longer.
  bool deferral_over = false;
  LogBudget stranger_log;
  /// By name of the range: connections refused because it was full.
  std::map<std::string, std::uint64_t, std::less<>> refused;
  Outbox out;
  std::vector<GatewayChange> gateways;
  std::vector<RouteChange> changes;
  std::vector<SyncDone> syncs;
  std::vector<SessionUp> sessions_up;
  std::vector<std::string> forgotten;
  /// Peers whose paths are being dropped, and how far that is, by family.
  struct Leaving {
    PeerId peer;
    std::array<bool, 2> families{};
    std::array<NetId, 2> from{};
  };
  std::vector<Leaving> leaving;
  /// Gateways told to be lost, until the RIB has caught up: what leads there then, does so by
  /// another peer's word.
  NextHops distrusted;
  /// By family: since when some route or other is on its way to the kernel.
  std::array<std::optional<Time>, 2> installing_since;
  /// Lost gateways are told before the work of a large table begins.
  bool words_first = false;
  std::array<bool, 2> sync_done{};
  bool sync_checked = false;
  Policies policies;
  std::unique_ptr<Tables> tables;
  Monitoring monitoring;
  std::map<Prefix, Origination> originated;
  std::vector<ConnectedSubnet> subnets;
  /// How far the search for paths of changed import policies has come; none: there is none.
  struct ImportWalk {
    Family family = Family::ipv4;
    NetId next = 0;
  };
  std::optional<ImportWalk> import_walk;
  bool draining = false;
  /// Goodbye has been said: nothing changes any more, the kernel's routes least of all.
  bool stopped = false;
  bool wait_for_install = false;

  /// In the order they were added.
  std::vector<std::unique_ptr<Neighbour>> neighbours;
  /// By PeerId; 0 is this node.
  std::vector<Neighbour*> by_id{nullptr};
  std::unordered_map<Address, Neighbour*> by_address;
  /// Unnumbered peers by the link they are on.
  std::unordered_map<std::uint32_t, Neighbour*> by_link;
  std::map<std::string, std::uint32_t> links;

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
    if (!peer.is_unnumbered()) {
      by_address[peer.address] = by_id[id];
    } else if (const auto link = links.find(peer.interface); link != links.end()) {
      by_link[link->second] = by_id[id];
      by_id[id]->peer.lives_at(std::nullopt, link->second, now);
    }
    tell_restart(*by_id[id]);
  }

  void remove(Neighbour& gone, Time now) {
    gone.peer.shutdown(Fault::PeerDeconfigured, {}, now);
    follow_session(gone, now);
    finish_leaving(gone.id);
    if (gone.peer.settings().is_dynamic()) forgotten.push_back(gone.peer.settings().name);
    by_id[static_cast<std::size_t>(gone.id)] = nullptr;
    const auto is_gone = [&](const auto& each) { return each.second == &gone; };
    std::erase_if(by_address, is_gone);
    std::erase_if(by_link, is_gone);
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

  // ---- unnumbered peers

  /// The one whose link it came over, or the one that `remote` speaks for: a link-local address
  /// says nothing of who it is, and one from a range must not stand for all links.
  Neighbour* find(const Address& remote, std::uint32_t ifindex) {
    if (ifindex != 0 && remote.is_link_local()) {
      if (const auto link = by_link.find(ifindex); link != by_link.end()) return link->second;
    }
    const auto known = by_address.find(remote);
    return known == by_address.end() ? nullptr : known->second;
  }

  void move(Neighbour& who, Address to, Time now) {
    who.heard_elsewhere.reset();
    if (who.peer.address() == to) return;
    who.peer.log(who.peer.address() ? Level::info : Level::debug,
                 fmt::format("neighbour on {} is {}", who.peer.settings().interface, to.text()),
                 now);
    who.peer.lives_at(to, who.peer.ifindex(), now);
  }

  void follow_links(const std::map<std::string, std::uint32_t>& usable, Time now) {
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
      each->peer.lose_session(ifindex == 0
                                  ? fmt::format("link {} is down", wanted.interface)
                                  : fmt::format("{} is another link now", wanted.interface),
                              now);
      each->peer.lives_at(std::nullopt, ifindex, now);
    }
  }

  void leave(Neighbour& who, Time now) {
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
      family.limit_said = false;
    }
  }

  /// Its paths stay where it may still forward; else what leads through it is told at once, and its
  /// paths go in slices, or become a last resort.
  void lose_paths(Neighbour& who, Time now) {
    std::array<Fate, 2> fates{};
    for (const Family family : both_families) {
      FamilyState& state = who.families[index(family)];
      fates[index(family)] = state.retention.lost(state.terms, who.peer.loss(), now);
    }
    const auto any = [&](Fate fate) { return fates[0] == fate || fates[1] == fate; };
    if (!any(Fate::mark) && who.peer.is_external()) distrust_gateways(who);
    if (any(Fate::mark) || any(Fate::age)) {
      ++who.graceful_restarts;
      who.peer.log(Level::info, "its routes stay for its restart time", now);
    }
    for (const Family family : both_families) {
      if (fates[index(family)] != Fate::drop) carry_out(who, family, fates[index(family)]);
    }
    if (!any(Fate::drop)) return;
    leaving.push_back({who.id, {fates[0] == Fate::drop, fates[1] == Fate::drop}});
    words_first = is_large();
  }

  void distrust_gateways(const Neighbour& who) {
    for (const NextHop& lost : tables->rib.gateways(who.id)) {
      distrusted.push_back(lost);
      gateways.push_back({lost.gateway, lost.ifindex, false});
    }
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
        if (!one.families[index(family)]) continue;
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
      for (const Family family : both_families) {
        if (one.families[index(family)]) tables->rib.drop(peer, family);
      }
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
    sessions_up.push_back(
        {who.peer.settings().name, *who.peer.address(), session.local, who.ifindex, on_link(who)});
    const seconds stale_time = who.peer.settings().stale_time;
    for (const Family family : both_families) {
      FamilyState& state = who.families[index(family)];
      carry_out(who, family,
                state.retention.back(is_preserved(session, family, state.retention.phase()),
                                     stale_time, now));
      state.terms = terms_of(session, family, who.peer.settings());
    }
    tell_all_families(who, session, now);
  }

  // ---- graceful restart

  void carry_out(const Neighbour& who, Family family, Fate fate) {
    Rib& rib = tables->rib;
    switch (fate) {
      case Fate::keep:
        return;
      case Fate::drop:
        return rib.drop(who.id, family);
      case Fate::mark:
        rib.sweep_stale(who.id, family);
        return rib.mark_stale(who.id, family);
      case Fate::sweep:
        return rib.sweep_stale(who.id, family);
      case Fate::age:
        return age(who, family);
    }
  }

  /// RFC 9494 4.2: marked for all the world to see; what asks not to be kept so long goes.
  void age(const Neighbour& who, Family family) {
    AttributeStore& store = tables->store;
    std::vector<HeldAttributes> held;
    std::unordered_map<std::uint32_t, AttributeId> known;
    tables->rib.mark_stale(who.id, family);
    tables->rib.age_stale(who.id, family, [&](AttributeId id) -> std::optional<AttributeId> {
      if (store.facts(id).no_llgr) return std::nullopt;
      if (store.facts(id).llgr_stale) return id;
      AttributeId& aged = known[static_cast<std::uint32_t>(id)];
      if (aged != AttributeId::none) return aged;
      Attributes attributes = from_canonical(store.octets(id));
      attributes.communities.push_back(community::llgr_stale);
      aged = store.intern(canonical(attributes), AttributeId::none, store.original(id));
      held.emplace_back(store, id);  // lest another set gets its id meanwhile
      store.hold(id);
      held.emplace_back(store, aged);
      return aged;
    });
  }

  void forget_stale(Neighbour& who) {
    for (const Family family : both_families) {
      Retention& retention = who.families[index(family)].retention;
      if (retention.phase() == Retention::Phase::fresh) continue;
      retention.forget();
      tables->rib.sweep_stale(who.id, family);
    }
  }

  void tick_retention(Neighbour& who, Time now) {
    for (const Family family : both_families) {
      const Fate fate = who.families[index(family)].retention.tick(now);
      if (fate == Fate::keep) continue;
      who.peer.log(Level::info,
                   fmt::format("the time for its {} routes to be said again is over", name(family)),
                   now);
      carry_out(who, family, fate);
    }
  }

  static Time retention_deadline(const Neighbour& who) {
    return std::min(who.families[0].retention.deadline(), who.families[1].retention.deadline());
  }

  void begin(const Restart& how, Time now) {
    begun = true;
    restart = how;
    started = now;
    for (const Family family : both_families) tables->rib.defer(family, restart.restarting);
    for (const auto& each : neighbours) tell_restart(*each);
  }

  /// The R bit as long as we wait for others; the F bit for what has survived, and for what this
  /// life has been through with.
  void tell_restart(Neighbour& who) const {
    std::array<bool, 2> forwarding{};
    bool waits = false;
    for (const Family family : both_families) {
      const std::size_t i = index(family);
      forwarding[i] = restart.forwarding[i] || sync_done[i];
      waits |= tables->rib.deferring(family);
    }
    who.peer.announce_restart(restart.restarting && waits, forwarding);
  }

  /// RFC 4724 4.1, but only those are waited for that can answer: peers with a session that said
  /// they would send End-of-RIB and have not restarted themselves; for a while also those that are
  /// not up yet.
  bool holds_selection(const Neighbour& who, Family family, Time now) const {
    if (!owes(who, family)) return false;
    const auto& session = who.peer.session();
    if (!session) return now < started + settings.selection_deferral;
    return session->negotiated.graceful_restart &&
           !session->theirs.capabilities.graceful_restart->restarting;
  }

  [[nodiscard]] bool has_ranges() const {
    return std::any_of(settings.peers.begin(), settings.peers.end(), is_range);
  }

  [[nodiscard]] bool deferring() const {
    return std::any_of(both_families.begin(), both_families.end(),
                       [&](Family family) { return tables->rib.deferring(family); });
  }
  /// Nobody is waited for after this.
  [[nodiscard]] Time sync_end() const {
    return started + std::max(sync_limit, settings.selection_deferral);
  }

  void check_deferral(Time now) {
    deferral_over = now >= started + settings.selection_deferral;
    for (const Family family : both_families) {
      if (!tables->rib.deferring(family)) continue;
      // Who will come from a range nobody knows.
      const bool holds = (has_ranges() && !deferral_over) ||
                         std::any_of(neighbours.begin(), neighbours.end(), [&](const auto& each) {
                           return holds_selection(*each, family, now);
                         });
      if (holds && now < sync_end()) continue;
      tables->rib.defer(family, false);
      for (const auto& each : neighbours) tell_restart(*each);
    }
  }

  /// End-of-RIB says that all has been told, and what the peers keep of ours and have not heard
  /// again then goes: so it comes after what is undecided or on its way to the kernel. What the
  /// kernel does not take does not hold it up for ever.
  void check_end_of_rib(Time now) {
    Rib& rib = tables->rib;
    for (const Family family : both_families) {
      std::optional<Time>& since = installing_since[index(family)];
      if (!rib.awaits_install(family)) {
        since.reset();
      } else if (!since) {
        since = now;
      }
      rib.hold_end_of_rib(family, rib.pending() != 0 || (since && now < *since + install_limit));
    }
  }

  [[nodiscard]] Time end_of_rib_deadline() const {
    Time next = Time::max();
    for (const Family family : both_families) {
      const std::optional<Time>& since = installing_since[index(family)];
      if (since && tables->rib.holds_end_of_rib(family))
        next = std::min(next, *since + install_limit);
    }
    return next;
  }

  void attach(Neighbour& who, const Session& session) {
    // The same link-local address may stand on every link.
    who.ifindex = who.peer.ifindex() != 0 ? who.peer.ifindex() : interface_of(session.local);
    const PeerSettings& peer = who.peer.settings();
    tables->rib.attach(
        who.id, {session.external, session.theirs.id, *who.peer.address(), who.ifindex,
                 !session.external && peer.route_reflector_client, peer.name, peer.allow_own_as});
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
    return a.policy == b.policy && a.next_hop == b.next_hop && a.drain == b.drain;
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
    how.drain = draining;
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
    const Address& remote = *who.peer.address();
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
      in_blocks<lookup_block>(range, [&](std::span<const Nlri> block) {
        rib.prefetch(block);
        for (const Nlri& nlri : block) rib.withdraw(who.id, nlri.prefix, nlri.path_id);
      });
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
    const auto announce_one = [&](const Nlri& nlri) {
      if (!is_routable(nlri.prefix)) return;
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
    in_blocks<lookup_block>(announcement.nlri, [&](std::span<const Nlri> block) {
      rib.prefetch(block);
      for (const Nlri& nlri : block) announce_one(nlri);
    });
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
    // What is left of an earlier session goes as this one says its routes again.
    const std::uint64_t received = counts.received - counts.stale;
    if (peer.prefix_limit && received > *peer.prefix_limit) return peer.prefix_limit;
    if (peer.accepted_prefix_limit &&
        std::min(received, counts.accepted()) > *peer.accepted_prefix_limit) {
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
    carry_out(who, *family, state.retention.end_of_rib());
  }

  void refresh_wanted(Neighbour& who, const Frame& frame, Time now) {
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
      tables->rib.mark_stale(who.id, *family);
      who.families[index(*family)].refreshing_until = now + refresh_limit;
    } else {
      end_refresh(who, *family, "marked by the peer", now);
    }
  }

  /// What the peer did not say again is gone (RFC 7313 4): either its withdrawal was lost, or here
  /// the tables had drifted apart.
  void end_refresh(Neighbour& who, Family family, std::string_view how, Time now) {
    auto& until = who.families[index(family)].refreshing_until;
    if (!until) return;
    until.reset();
    const std::uint64_t before = tables->rib.counts(who.id, family).received;
    tables->rib.sweep_stale(who.id, family);
    const std::uint64_t swept = before - tables->rib.counts(who.id, family).received;
    who.stale_swept += swept;
    if (swept == 0) return;
    who.peer.log(Level::warning,
                 fmt::format("{} {} paths were not repeated in a refresh and are removed (end {})",
                             swept, name(family), how),
                 now);
  }

  void end_late_refreshes(Neighbour& who, Time now) {
    for (const Family family : both_families) {
      const auto& until = who.families[index(family)].refreshing_until;
      if (until && now >= *until) end_refresh(who, family, "not marked in time", now);
    }
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
    // While the selection is deferred the kernel leads where an earlier life has led it.
    const bool decided = leaving.empty() && tables->rib.pending() == 0 && !deferring();
    if (distrusted.empty() || !decided || !changes.empty()) return;
    for (const NextHop& each : std::exchange(distrusted, {})) {
      gateways.push_back({each.gateway, each.ifindex, true});
    }
  }

  void advance(Time now) {
    note_loneliness(now);
    import_again(now);
    check_deferral(now);
    trust_again();
    if (!std::exchange(words_first, false)) {
      drop_some();
      tables->rib.decide(decide_slice, changes);
    }
    check_end_of_rib(now);
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
      // Who will come from a range nobody knows: they all get the whole time.
      if (((waits || has_ranges()) && !late) || tables->rib.pending() != 0 || !leaving.empty() ||
          tables->rib.deferring(family))
        continue;
      sync_done[index(family)] = true;
      syncs.push_back({family, waits});
      for (const auto& each : neighbours) tell_restart(*each);
    }
  }

  Time sync_deadline() const {
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

  // ---- settings

  void apply(Settings wanted, Time now) {
    std::swap(settings, wanted);
    policies = compile(settings, policies);
    monitoring.apply(settings.bmp, now);
    const Settings& old = wanted;
    if (old.asn != settings.asn || old.router_id != settings.router_id ||
        old.cluster_id != settings.cluster_id)
      return start_over(now);
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
                 peer.interface == running.interface && (dynamic || peer.name == running.name);
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
    for (const auto& [prefix, what] : originated) tables->rib.withdraw(PeerId::local, prefix);
    while (tables->rib.pending() != 0) tables->rib.decide(decide_slice, changes);
    monitoring.detach();
    tables = std::make_unique<Tables>(settings, seed);
    monitor(now);
    tables->rib.connected(subnets);
    tables->rib.wait_for_install(wait_for_install);
    for (const auto& [prefix, what] : originated) tables->originate(what);
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
    shown.path_id = path.path_id;
    if (path.peer != PeerId::local) {
      const PeerNextHop& via = tables->rib.next_hop(path.next_hop);
      shown.next_hop = via.discard ? "blackhole" : PathNextHop{via.address, via.link_local}.text();
    }
    const Attributes attributes = from_canonical(tables->store.octets(path.attributes));
    shown.as_path = attributes.as_path.text();
    shown.origin = name(attributes.origin);
    shown.local_pref = attributes.local_pref;
    shown.med = attributes.med;
    if (attributes.originator_id) shown.originator_id = attributes.originator_id->text();
    for (const RouterId each : attributes.cluster_list) shown.cluster_list.push_back(each.text());
    for (const auto& each : attributes.communities) shown.communities.push_back(each.text());
    for (const auto& each : attributes.extended_communities)
      shown.communities.push_back(each.text());
    for (const auto& each : attributes.large_communities) shown.communities.push_back(each.text());
    shown.best = best;
    shown.multipath = path.multipath;
    shown.stale = path.stale;
    if (path.rung == Rung::refused) {
      shown.lost_at = path.filtered ? refusal(prefix, path)
                                    : "loop: our AS, router id or cluster id is in the path";
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
    shown.last_sent_notification = peer.last_sent_notification();
    shown.last_received_notification = peer.last_received_notification();
    shown.password = wanted.password.has_value();
    shown.prefix_limit = wanted.prefix_limit;
    shown.route_reflector_client = wanted.route_reflector_client;
    shown.accepted_prefix_limit = wanted.accepted_prefix_limit;
    shown.last_error = peer.last_error();
    shown.received = peer.received_counts();
    shown.sent = peer.sent_counts();
    shown.established_count = peer.established_count();
    shown.malformed_updates = who.malformed_updates;
    shown.graceful_restarts = who.graceful_restarts;
    shown.stale_swept = who.stale_swept;
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
    shown.stale = counts.stale;
    shown.retention = state.retention.phase();
    if (state.retention.deadline() != Time::max()) shown.stale_until = state.retention.deadline();
    return shown;
  }
};

Speaker::Speaker(Settings settings, std::uint64_t seed, Time now, Begin begin)
    : world_(std::make_unique<World>(std::move(settings), seed, now)) {
  if (begin == Begin::at_once) world_->begin({}, now);
}
Speaker::~Speaker() = default;

void Speaker::begin(const Restart& restart, Time now) {
  assert(!world_->begun);
  world_->begin(restart, now);
}
bool Speaker::begun() const {
  return world_->begun;
}
bool Speaker::deferring() const {
  return world_->deferring();
}

std::optional<ConnectionId> Speaker::accepted(const Address& remote, const Address& local, Time now,
                                              std::uint32_t ifindex) {
  World& world = *world_;
  if (world.stopped || !world.begun) return std::nullopt;
  Neighbour* found = world.find(remote, ifindex);
  const bool dynamic = found == nullptr || found->peer.settings().is_dynamic();
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
  if (found == nullptr) found = world.invite(remote, now);
  if (found == nullptr) return std::nullopt;
  Neighbour& who = *found;
  if (who.peer.settings().is_unnumbered() && who.peer.address() != remote) {
    if (who.peer.has_heard()) return std::nullopt;  // one neighbour a link
    world.move(who, remote, now);
  }
  const auto connection = who.peer.accept(local, now);
  world.settle(who, now);
  return connection;
}

SocketSetup Speaker::socket_setup(const Address& remote, std::uint32_t ifindex) const {
  const Neighbour* known = world_->find(remote, ifindex);
  return known == nullptr ? SocketSetup{} : setup_of(known->peer.settings());
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
    while (at < out.size()) {  // our own messages: their lengths can be trusted
      Reader header(Bytes(out).subspan(at + 16, 3));
      const std::size_t size = header.u16();
      who->peer.count_sent(static_cast<MessageType>(header.u8()), size);
      if (world_->monitoring.follows_updates())
        world_->monitoring.update_sent(who->id, Bytes(out).subspan(at, size));
      at += size;
    }
    if (world_->monitoring.follows_updates()) world_->monitoring.advance();
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
  const bool trusts = !world_->distrusted.empty() && !world_->deferring();
  if (busy || trusts || world_->import_walk) return Time::min();
  Time next =
      std::min({world_->sync_deadline(), world_->end_of_rib_deadline(), world_->lonely_deadline()});
  if (!world_->begun) return next;
  next = std::min(next, world_->monitoring.deadline());
  for (const auto& each : world_->neighbours) {
    next = std::min({next, each->peer.deadline(), World::retention_deadline(*each)});
    for (const FamilyState& family : each->families)
      next = std::min(next, family.refreshing_until.value_or(Time::max()));
  }
  return next;
}

void Speaker::tick(Time now) {
  if (world_->stopped) return;
  for (const auto& each : world_->neighbours) {
    if (!world_->begun) break;
    if (now >= each->peer.deadline()) each->peer.tick(now);
    world_->tick_retention(*each, now);
    world_->end_late_refreshes(*each, now);
  }
  world_->forget_lonely(now);
  world_->monitoring.tick(now);
  world_->settle_all(now);
}

void Speaker::wall_clock(std::chrono::microseconds epoch) {
  world_->monitoring.wall_clock(epoch);
}

void Speaker::originate(const Origination& what, Time now) {
  const auto [known, fresh] = world_->originated.try_emplace(what.prefix, what);
  if (!fresh && known->second == what) return;
  known->second = what;
  world_->tables->originate(what);
  world_->settle_all(now);
}

void Speaker::withdraw(const Prefix& prefix, Time now) {
  if (world_->originated.erase(prefix) == 0) return;
  world_->tables->rib.withdraw(PeerId::local, prefix);
  world_->settle_all(now);
}

void Speaker::drain(bool on, Time now) {
  World& world = *world_;
  if (std::exchange(world.draining, on) == on) return;
  for (const auto& each : world.neighbours) {
    const auto& session = each->peer.session();
    if (session && each->joined == session->connection)
      world.tell_all_families(*each, *session, now);
  }
  world.settle_all(now);
}
bool Speaker::draining() const {
  return world_->draining;
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

void Speaker::links(const std::map<std::string, std::uint32_t>& usable, Time now) {
  if (usable == world_->links) return;
  world_->follow_links(usable, now);
  world_->settle_all(now);
}

void Speaker::router_heard(std::uint32_t ifindex, const Address& router, Time now) {
  const auto known = world_->by_link.find(ifindex);
  if (known == world_->by_link.end()) return;
  Neighbour& who = *known->second;
  if (who.peer.address() == router) {
    who.heard_elsewhere.reset();
  } else if (who.peer.is_connected()) {
    who.heard_elsewhere = router;
  } else {
    world_->move(who, router, now);
  }
  world_->settle(who, now);
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
    if (each->ifindex != ifindex) continue;
    const PeerSettings& peer = each->peer.settings();
    const bool on_link = peer.is_unnumbered() || world_->on_link(*each);
    // A router that reboots has its links up long before it forwards: what is kept of it must not
    // come back with the link.
    if (peer.multihop == 1 || on_link) {
      for (const Family family : both_families) {
        Retention& retention = each->families[index(family)].retention;
        world_->carry_out(*each, family, retention.silenced(now));
      }
    }
    if (!each->peer.session() || !(peer.is_unnumbered() || each->peer.is_external())) continue;
    if ((peer.uses_gtsm() && peer.multihop == 1) || on_link)
      each->peer.lose_session("link is down", now);
  }
  world_->settle_all(now);
}

void Speaker::path_failed(std::string_view peer, std::string_view why, Time now) {
  Neighbour* who = world_->find(peer);
  if (who == nullptr || !who->peer.session()) return;
  who->peer.lose_path(why, now);
  world_->settle(*who, now);
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
std::vector<SessionUp> Speaker::take_sessions_up() {
  return std::exchange(world_->sessions_up, {});
}
std::vector<std::string> Speaker::take_forgotten() {
  return std::exchange(world_->forgotten, {});
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

MrtDump Speaker::begin_mrt_dump(std::uint32_t unix_now, Time now) const {
  MrtDump dump;
  const Settings& node = world_->settings;
  dump.peers.push_back({PeerId::local, node.router_id, Address::ipv4(0), node.asn, unix_now});
  for (const auto& each : world_->neighbours) {
    const auto& session = each->peer.session();
    if (!session) continue;
    const auto age = std::chrono::duration_cast<seconds>(now - session->up_since).count();
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

std::uint32_t Speaker::advertised_to(const Prefix& prefix) const {
  return world_->tables->adj_out.advertised_to(prefix);
}

}  // namespace weft::bgp
