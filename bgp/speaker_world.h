// Speaker::World: the state of a Speaker, and what its parts do with it. Private to speaker*.cc,
// one file a concern: speaker_peers who there is, speaker_sessions what a session's beginning and
// end mean to the tables, speaker_updates what peers say, speaker_restart who is waited for,
// speaker_views what is shown; speaker.cc has the inputs and what follows each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bgp/adj_out.h"
#include "bgp/aggregates.h"
#include "bgp/attribute_store.h"
#include "bgp/conditional_originations.h"
#include "bgp/import.h"
#include "bgp/log_budget.h"
#include "bgp/monitoring.h"
#include "bgp/policy.h"
#include "bgp/rib.h"
#include "bgp/speaker.h"
#include "bgp/update.h"

namespace weft::bgp {

inline constexpr std::array both_families{Family::ipv4, Family::ipv6};
constexpr std::size_t index(Family family) {
  return family == Family::ipv4 ? 0 : 1;
}

/// Prefixes decided in one go: some milliseconds, so that no keepalive waits for a full table.
inline constexpr std::size_t decide_slice = 16384;

/// What a limit of all peers kept out is not asked for again more often than this.
inline constexpr std::chrono::seconds ask_again_pause{60};

/// What the tables know of one family of a session.
struct FamilyState {
  /// Prefixes that were not held because of a limit, in this session.
  std::uint64_t discarded = 0;
  /// The limit they are beyond.
  PassedLimit discarded_by;
  /// Paths that were not held because of Settings::path_limit.
  std::uint64_t unheld = 0;
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
  /// Over which a peer one hop away is reached, of the running or the last session; 0: not known,
  /// or by any. Unlike `ifindex` it stays when the link has lost its addresses.
  std::uint32_t link = 0;
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
  /// Prefixes announced with ourselves in their path; and leaked (RFC 9234), ever.
  std::uint64_t looped = 0;
  std::uint64_t leaked = 0;
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

/// What sets of attributes become while their routes are long-lived stale (RFC 9494 4.2).
class AgedAttributes {
 public:
  explicit AgedAttributes(AttributeStore& store) : store_(store) {}
  /// Marked for all the world to see, and held for as long as this lives; none: such routes are not
  /// kept.
  std::optional<AttributeId> of(AttributeId id);

 private:
  AttributeStore& store_;
  std::vector<HeldAttributes> held_;
  std::unordered_map<std::uint32_t, AttributeId> known_;
};

/// The tables of one AS number and router id; both are baked into the attribute store.
struct Tables {
  Tables(const Settings& settings, std::uint64_t seed)
      : store(settings.asn, settings.router_id, seed, settings.cluster_id),
        rib(store, limits(settings), seed),
        adj_out(rib) {
    rib.set_recursion(recursion(settings));
  }
  static MultipathLimits limits(const Settings& settings) {
    return {settings.multipath, settings.multipath_relax, settings.always_compare_med};
  }
  static Recursion recursion(const Settings& settings) {
    return {settings.recursive_next_hops, settings.resolve_by_default_route};
  }
  void originate(const Prefix& prefix, const Attributes& attributes) {
    const HeldAttributes held(store, store.intern(canonical(attributes)));
    rib.originate(prefix, held.id());
  }

  void offer(const Prefix& prefix, const Attributes& attributes) {
    const HeldAttributes held(store, store.intern(canonical(attributes)));
    rib.offer(prefix, held.id());
  }

  AttributeStore store;
  Rib rib;
  AdjOut adj_out;
};

struct Speaker::World {
  World(Settings wanted, std::uint64_t with_seed, Time now);
  void monitor(Time now);
  Settings settings;
  std::uint64_t seed;
  std::minstd_rand random;
  Time started;
  bool begun = false;
  Restart restart;
  /// Members of ranges in an earlier life that have not come yet: whether RFC 4724 was spoken.
  std::map<Address, bool> awaited;
  /// Peers that are not up are waited for no longer.
  bool deferral_over = false;
  LogBudget stranger_log;
  LogBudget origination_log;
  LogBudget table_log;
  /// By name of the range: connections refused because it was full.
  std::map<std::string, std::uint64_t, std::less<>> refused;
  Outbox out;
  std::vector<GatewayChange> gateways;
  std::vector<RouteChange> changes;
  std::vector<SyncDone> syncs;
  std::vector<SessionUp> sessions_up;
  std::vector<std::string> forgotten;
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
  /// Work on all paths of one peer and family, and how far it is; done in slices, in this order.
  struct PathWork {
    PeerId peer;
    Family family = Family::ipv4;
    /// What is to be done with the paths; never keep.
    Fate fate = Fate::drop;
    NetId from = 0;
    /// Fate::age
    std::unique_ptr<AgedAttributes> aged{};
  };
  std::deque<PathWork> path_work;
  std::map<Prefix, Origination> originated;
  Aggregates aggregates;
  ConditionalOriginations conditional;
  /// Of default-originate.
  std::set<Prefix> default_conditions;
  bool default_condition_changed = false;
  std::vector<ConnectedSubnet> subnets;
  /// How far the search for paths of changed import policies has come; none: there is none.
  struct ImportWalk {
    Family family = Family::ipv4;
    NetId next = 0;
  };
  std::optional<ImportWalk> import_walk;
  /// More paths than Settings::path_limit are held, or would be, and that has been said.
  bool path_limit_passed = false;
  /// When to look whether there is room for what was refused; none: nothing was.
  std::optional<Time> ask_again_at;
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
  /// Those of bind-interface.
  std::map<std::string, std::uint32_t> bound_links;

  // ---- after every input

  void settle(Neighbour& who, Time now);
  void settle_all(Time now);
  void trust_again();
  void advance(Time now);

  // ---- finding

  Neighbour* find(ConnectionId connection);
  Neighbour* find(std::string_view name);
  Result<Neighbour*> named(std::string_view name);

  // ---- coming and going of peers

  void add_listed(Time now);
  void add(const PeerSettings& peer, Time now);
  void remove(Neighbour& gone, Time now);
  void log_stranger(Level level, const std::string& text, Time now);

  // ---- peers of ranges

  std::size_t members(const PeerSettings& range) const;
  /// Whoever connects from inside a range becomes a peer; nullptr: there is no room, or no range.
  Neighbour* invite(const Address& remote, Time now);
  bool holds_routes(const Neighbour& who) const;
  /// The peer of the range that has been away the longest makes room for one that is here.
  bool make_room(const PeerSettings& range, Time now);
  void note_loneliness(Time now);
  /// Peers of ranges that have been away for range_linger are forgotten.
  void forget_lonely(Time now);
  Time lonely_deadline() const;

  // ---- unnumbered peers

  /// The one whose link it came over, or the one that `remote` speaks for: a link-local address
  /// says nothing of who it is, and one from a range must not stand for all links.
  Neighbour* find(const Address& remote, std::uint32_t ifindex);
  void move(Neighbour& who, Address to, Time now);
  void follow_links(const std::map<std::string, std::uint32_t>& usable, Time now);
  void tell_link_faults(const std::map<std::string, std::string>& faults, Time now);

  // ---- settings

  void apply(Settings wanted, Time now);
  bool is_listed(const PeerSettings& running) const;
  /// Peers that are gone, or another one now under the same name.
  void remove_unlisted(Time now);
  void change(Neighbour& who, const PeerSettings& wanted, Time now);
  void change_policy(Neighbour& who, const Session& session, Time now);

  // ---- what this node originates (speaker_origination.cc)

  /// The tables are to tell what comes and goes, if anything depends on it.
  void watch_routes();
  /// Of those that want the prefix originated the first counts: who called originate(), then an
  /// announcement of the settings, then an aggregate.
  [[nodiscard]] std::optional<Attributes> wanted(const Prefix& prefix) const;
  void originate_again(const Prefix& prefix);
  void log_origination(const std::string& text, Time now);
  void configure_origination(Time now);
  /// The default routes are offered while some peer may ask for them.
  void offer_defaults();
  /// What the last decisions mean to what is originated. True: there is more to decide.
  bool follow_routes(Time now);

  // ---- sessions and the tables

  /// The tables learn what became of the session.
  void follow_session(Neighbour& who, Time now);
  void leave(Neighbour& who, Time now);
  /// Its paths stay where it may still forward; else what leads through it is told at once, and its
  /// paths go in slices, or become a last resort.
  void lose_paths(Neighbour& who, Time now);
  /// `wholly`: no path of the peer stays.
  void distrust_gateways(const Neighbour& who, bool wholly);
  bool is_large() const;
  /// A slice of what is to be done with the paths of peers that went or came back.
  void work_on_paths();
  /// At most `limit` places, counted down; true when it is done.
  bool work_on(PathWork& work, std::size_t& limit);
  /// Nothing of the peer's last session may mix with its next.
  void finish_path_work(PeerId peer);
  void join(Neighbour& who, const Session& session, Time now);
  void attach(Neighbour& who, const Session& session);
  ImportRules import_rules(const Neighbour& who, const Session& session) const;
  void tell_all_families(Neighbour& who, const Session& session, Time now);
  /// Joins the family to Adj-RIB-Out, or says what has changed for it.
  void tell(Neighbour& who, const Session& session, Family family, Time now);
  static bool same(const AdjOutPeer& a, const AdjOutPeer& b);
  std::optional<AdjOutPeer> outbound(const Neighbour& who, const Session& session,
                                     Family family) const;
  AsPathRules as_path_rules(const PeerSettings& peer, const Session& session) const;

  // ---- our own addresses

  std::uint32_t interface_of(const Address& local) const;
  /// Over which a peer one hop away is reached: the one it is on, or, for one that is told to be
  /// near by its ttl (RFC 5082), that of our end.
  std::uint32_t link_to(const Neighbour& who, const Session& session) const;
  OwnAddresses own_addresses(const Address& local, std::uint32_t ifindex) const;
  bool on_link(const Neighbour& who) const;

  // ---- graceful restart

  /// Begins it; a large table takes several slices.
  void carry_out(PeerId peer, Family family, Fate fate);
  void forget_stale(Neighbour& who);
  void tick_retention(Neighbour& who, Time now);
  static Time retention_deadline(const Neighbour& who);
  void begin(const Restart& how, Time now);
  /// The R bit as long as we wait for others; the F bit for what has survived, and for what this
  /// life has been through with.
  void tell_restart(Neighbour& who) const;
  /// RFC 4724 4.1, but only those are waited for that can answer: peers with a session that said
  /// they would send End-of-RIB and have not restarted themselves; for a while also those that are
  /// not up yet.
  bool holds_selection(const Neighbour& who, Family family, Time now) const;
  [[nodiscard]] bool has_ranges() const;
  /// Somebody is to come from a range, or may, when that is not known. `graceful`: who will send
  /// End-of-RIB.
  [[nodiscard]] bool awaits_range(bool graceful) const;
  [[nodiscard]] bool deferring() const;
  /// Nobody is waited for after this.
  [[nodiscard]] Time sync_end() const;
  void check_deferral(Time now);
  /// End-of-RIB says that all has been told, and what the peers keep of ours and have not heard
  /// again then goes: so it comes after what is undecided or on its way to the kernel. What the
  /// kernel does not take does not hold it up for ever.
  void check_end_of_rib(Time now);
  [[nodiscard]] Time end_of_rib_deadline() const;

  // ---- initial synchronisation

  static bool owes(const Neighbour& who, Family family);
  /// Peers that may never send End-of-RIB.
  static bool is_taciturn(const Neighbour& who);
  void check_sync(Time now);
  Time sync_deadline() const;

  // ---- what peers say

  void read(Neighbour& who, Time now);
  void update(Neighbour& who, const Frame& frame, Time now);
  void remember_attributes(Neighbour& who, const Update& update);
  /// RFC 7705 3.2: the rest of our AS sees the one that the peer believes in.
  Attributes of_local_as(Neighbour& who, const Update& update) const;
  void announce(Neighbour& who, const Announcement& announcement, Time now);
  /// A slice of it: what changed import policies let in is gone through again, pre-policy paths
  /// being at hand.
  void import_again(Time now);
  /// The limit that the peer is above in this family.
  std::optional<PassedLimit> exceeded(const Neighbour& who, Family family) const;
  /// PrefixLimitAction::discard: the path that was one too many is not held.
  void discard_excess(Neighbour& who, const Nlri& nlri);
  void check_limits(Neighbour& who, Time now);
  /// Paths of all peers.
  [[nodiscard]] std::uint64_t learned_paths() const;
  /// There is no room for another (Settings::path_limit).
  [[nodiscard]] bool is_full() const;
  void refuse_path(Neighbour& who, Family family, Time now);
  /// Says that the limit of all peers is passed, and that it is not any more; what was refused is
  /// asked for again then, but not all the time.
  void follow_path_limit(Time now);
  void ask_again(Time now);
  void log_table(Level level, const std::string& text, Time now);
  /// Other limits: what the peer has said counts by them, and what was not held is asked for again.
  void change_limits(Neighbour& who, Time now);
  void end_of_rib(Neighbour& who, AfiSafi which, Time now);
  void refresh_wanted(Neighbour& who, const Frame& frame, Time now);
  /// What the peer did not say again is gone (RFC 7313 4): either its withdrawal was lost, or here
  /// the tables had drifted apart.
  void end_refresh(Neighbour& who, Family family, std::string_view how, Time now);
  void end_late_refreshes(Neighbour& who, Time now);

  // ---- views

  std::string_view peer_name(PeerId id) const;
  /// Why the import policy refuses a path.
  std::string refusal(const Prefix& prefix, const PathView& path) const;
  PathStatus status(const Prefix& prefix, const PathView& path, bool best) const;
  RouteStatus status(const RouteView& route) const;
  PolicyStatus status(const std::string& name, const PolicyRules& rules) const;
  PeerStatus status(const Neighbour& who) const;
  PeerFamilyStatus status(const Neighbour& who, Family family) const;
};

}  // namespace weft::bgp
