// Speaker: a whole BGP speaker without sockets or clock. Events of connections, local prefixes and
// the connected subnets go in, each with `now`; Actions for the transport, RouteChanges for the
// FIB, log lines and SyncDone come out. Not here: sockets (transport.h), kernel routes (fib/). RFC
// 4271, 4456, 4760, 6608, 6793, 7606, 2918, 8203, 9687.
//
// A driver: call the inputs; after each, drain take_*(); call tick(now) at deadline(). Work on
// large tables is done in slices: deadline() then lies in the past, and a driver that serves its
// sockets between two ticks starves nobody.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bgp/aggregates.h"
#include "bgp/conditional_originations.h"
#include "bgp/monitoring.h"
#include "bgp/mrt.h"
#include "bgp/origination.h"
#include "bgp/peer.h"
#include "bgp/retention.h"
#include "bgp/route_change.h"
#include "bgp/settings.h"
#include "bgp/types.h"
#include "net/bytes.h"
#include "net/ip.h"
#include "net/next_hop.h"
#include "net/result.h"
#include "net/time.h"

namespace weft::bgp {

/// Connections accepted and still without a valid OPEN, over all peers.
inline constexpr std::size_t half_open_limit = 64;
/// Octets that produce() hands out at once, about; never less than one message.
inline constexpr std::size_t produce_size = 64UL * 1024;
/// Octets of received() that are handled in one call at the most; a driver reads no more at once.
inline constexpr std::size_t receive_size = 64UL * 1024;
/// One that came from a range and has a session, or had one in an earlier life.
struct RangeMember {
  Address address;
  /// RFC 4724 is spoken with it.
  bool graceful = false;
  bool operator==(const RangeMember&) const = default;
};

/// What a speaker knows at its start of an earlier life (RFC 4724 4.1).
struct Restart {
  /// It has just restarted: peers need not wait for it, and it waits for them before it chooses
  /// (the R bit).
  bool restarting = false;
  /// By family (ipv4, ipv6): the kernel forwarded all the while (the F bit). To be said only with
  /// proof.
  std::array<bool, 2> forwarding{};
  /// Who is to be waited for from ranges, as for peers that are listed. None: not known, so that
  /// somebody may come for as long as anybody is waited for.
  std::optional<std::vector<RangeMember>> range_members{};
};

/// Initial synchronisation is called done after this long even if a peer still owes its End-of-RIB.
inline constexpr std::chrono::seconds sync_limit{60};
/// A peer of a range is shown for so long after its last connection, so that its last error can be
/// read.
inline constexpr std::chrono::seconds range_linger{60};
/// Peers of ranges at a time, over all ranges.
inline constexpr std::size_t dynamic_limit = 4096;

/// A refresh whose end the peer does not mark in this time is taken for ended (RFC 7313 4).
inline constexpr std::chrono::minutes refresh_limit{10};

/// Every peer that came up has sent its End-of-RIB for the family (or sync_limit has passed): what
/// the kernel still holds of an earlier life and was not confirmed until here is stale. Comes once
/// a family.
struct SyncDone {
  Family family = Family::ipv4;
  /// True: some peer still owed its End-of-RIB when sync_limit had passed.
  bool timed_out = false;
};

/// A session has come up: who watches the path to the peer (BFD) knows now where it leads.
struct SessionUp {
  std::string peer;
  Address remote;
  Address local;
  /// Of the link that the local address is on; 0: not known.
  std::uint32_t ifindex = 0;
  /// The peer's address is on that link.
  bool on_link = false;
  bool operator==(const SessionUp&) const = default;
};

/// A peer that forwards for us went with its session and its routes: what leads through it need not
/// wait for the decision process. Comes before the RouteChanges that follow from it; when all of
/// these have been taken, `reachable` ends it, for what leads there then does so by another peer's
/// word.
struct GatewayChange {
  Address gateway;
  std::uint32_t ifindex = 0;
  bool reachable = false;
  /// With it all routes that lead there go: no prefix has another path, no other peer names it.
  bool for_good = false;
  bool operator==(const GatewayChange&) const = default;
};

// ---- what an operator sees

/// A limit of the settings that a peer's prefixes are above.
struct PassedLimit {
  std::uint32_t limit = 0;
  /// accepted-prefix-limit; else prefix-limit.
  bool of_accepted = false;
  bool operator==(const PassedLimit&) const = default;
};
/// As in the settings: "accepted-prefix-limit".
constexpr std::string_view name_of(const PassedLimit& limit) {
  return limit.of_accepted ? "accepted-prefix-limit" : "prefix-limit";
}

struct PeerFamilyStatus {
  Family family = Family::ipv4;
  std::uint64_t received = 0;    ///< paths in Adj-RIB-In
  std::uint64_t accepted = 0;    ///< of these, passed by the import filter
  std::uint64_t selected = 0;    ///< of these, best or sharing the load
  std::uint64_t advertised = 0;  ///< in Adj-RIB-Out
  bool end_of_rib_received = false;
  bool end_of_rib_sent = false;
  /// Not held because of a limit (PrefixLimitAction::discard), in this session.
  std::uint64_t discarded = 0;
  /// The limit that it is above, or would be if nothing were discarded.
  std::optional<PassedLimit> passed_limit;
  /// Not held, because Settings::path_limit was reached, in this session.
  std::uint64_t unheld = 0;
  std::uint64_t stale = 0;  ///< of the received: of a session that is over
  Retention::Phase retention = Retention::Phase::fresh;
  /// When what is stale goes at the latest.
  std::optional<Time> stale_until;
};

struct PeerStatus {
  std::string name;
  std::string description;
  /// Of an unnumbered peer: unspecified until it was heard on its link.
  Address address;
  /// Of an unnumbered peer; else empty.
  std::string interface;
  std::optional<Address> local_address;
  /// The configured AS, or the one the peer said; 0 while unknown.
  Asn asn;
  bool external = true;
  bool shutdown = false;
  PeerState state = PeerState::idle;
  /// Of the session while there is one; else since when there is none, see Peer.
  Time since;
  /// RFC 2385 keys are in use.
  bool password = false;
  /// Keys of its TCP-AO chain (RFC 5925); 0: not asked for.
  std::size_t tcp_ao_keys = 0;
  /// Of the running session; none when it is down.
  std::optional<ConnectionId> connection;
  /// What each side announced, as in `capabilities`.
  std::vector<std::string> our_capabilities;
  /// Octets of the largest messages either way (RFC 8654).
  std::size_t max_send = 0;
  std::size_t max_receive = 0;
  std::chrono::seconds connect_retry{0};
  std::chrono::seconds send_hold{0};
  SocketSetup setup;
  /// The last NOTIFICATION of each direction, as one line; empty: there was none.
  std::string last_sent_notification;
  std::string last_received_notification;
  RouterId router_id;
  std::chrono::seconds hold_time{0};
  std::chrono::seconds keepalive{0};
  /// What both sides announced, as short names: "four-octet-as", "route-refresh", "ipv4-unicast", …
  std::vector<std::string> capabilities;
  std::vector<PeerFamilyStatus> families;
  /// The range that let it in.
  std::optional<Prefix> range;
  std::optional<std::uint32_t> prefix_limit;
  bool route_reflector_client = false;
  std::optional<std::uint32_t> accepted_prefix_limit;
  /// Where in the kernel its routes go.
  Placement placement;
  /// Why the last session ended or the next does not come up, with who said it, and when that was;
  /// empty when it never did.
  std::string last_error;
  Time last_error_at{};
  /// A later failure that says less, such as a connection that nobody takes; empty: none.
  std::string last_attempt;
  Time last_attempt_at{};
  MessageCounts received;
  MessageCounts sent;
  std::uint64_t established_count = 0;
  /// Malformed UPDATEs treated as withdrawals (RFC 7606).
  std::uint64_t malformed_updates = 0;
  /// Prefixes that it announced with our AS, router id or cluster id in their path, ever: not used.
  std::uint64_t looped = 0;
  /// And with an ONLY_TO_CUSTOMER that says that they leak (RFC 9234 5).
  std::uint64_t leaked = 0;
  /// How its connections ended.
  std::vector<EndCount> ends;
  /// Paths that the peer did not repeat in a refresh (RFC 7313): its table and ours had drifted
  /// apart.
  std::uint64_t stale_swept = 0;
  /// Octets produced and not yet written.
  std::size_t output_octets = 0;
  /// Sessions that ended so that the peer's routes were kept.
  std::uint64_t graceful_restarts = 0;
};

struct RuleStatus {
  std::string name;
  RuleVerdict then = RuleVerdict::accept;
  /// Routes that met the rule since it was last changed, each time they were asked about.
  std::uint64_t import_hits = 0;
  std::uint64_t export_hits = 0;
};

struct PolicyStatus {
  std::string name;
  /// Names of peers.
  std::vector<std::string> import_of;
  std::vector<std::string> export_of;
  std::vector<RuleStatus> rules;
  /// Rejected because no rule matched.
  std::uint64_t import_unmatched = 0;
  std::uint64_t export_unmatched = 0;
};

struct PathStatus {
  /// Name of the peer, or "local".
  std::string peer;
  /// RFC 7911, as the peer gave it; 0 without add-path.
  std::uint32_t path_id = 0;
  std::string next_hop;
  /// For a next hop on no connected subnet: what leads there, and where that leads.
  std::optional<RouteBehind> route_behind = {};
  NextHops gateways = {};
  std::string as_path;
  std::string origin;
  std::optional<std::uint32_t> local_pref;
  std::optional<std::uint32_t> med;
  std::vector<std::string> communities;
  /// RFC 4456 8; empty where the path was not reflected.
  std::string originator_id;
  std::vector<std::string> cluster_list;
  bool best = false;
  bool multipath = false;
  /// Of a session that is over; kept by graceful restart.
  bool stale = false;
  /// Our AS, router id or cluster id is in the path: an echo of what this node said.
  bool looped = false;
  /// "65001 10.255.0.1"; empty where there is none.
  std::string aggregator = {};
  /// A peer's, with this node as its AGGREGATOR: an echo, also where allow-own-as lets it in.
  bool echo = false;
  /// The rung of the decision process at which it lost to the best; empty for the best.
  std::string lost_at;
};

struct RouteStatus {
  Prefix prefix;
  RouteKind kind = RouteKind::none;
  /// Best first.
  std::vector<PathStatus> paths;
  NextHopSet next_hops;
};

struct RouteCounts {
  std::uint64_t local = 0;
  std::uint64_t learned = 0;
  std::uint64_t paths = 0;
};

/// Paths of all peers together, and what Settings::path_limit says of them.
struct PathLimitStatus {
  std::uint64_t paths = 0;
  std::optional<std::uint32_t> limit;
  /// More are held, or would be if some had not been refused.
  bool passed = false;
};

/// A range and how far it is used.
struct RangeStatus {
  std::string name;
  Prefix range;
  std::uint32_t limit = 0;
  std::uint32_t peers = 0;
  /// Connections refused because the range was full.
  std::uint64_t refused = 0;
};

class Speaker {
 public:
  /// Whether sessions may begin with the construction, or only with begin().
  enum class Begin : std::uint8_t { at_once, when_told };

  /// `seed` feeds all jitter: the same seed and inputs give the same outputs.
  Speaker(Settings settings, std::uint64_t seed, Time now, Begin begin = Begin::at_once);
  ~Speaker();
  Speaker(const Speaker&) = delete;
  Speaker& operator=(const Speaker&) = delete;

  /// Sessions may begin. Once; with Begin::at_once it has been called already.
  void begin(const Restart& restart, Time now);
  [[nodiscard]] bool begun() const;
  /// Learned routes of some family wait for peers to send theirs (RFC 4724 4.1).
  [[nodiscard]] bool deferring() const;

  // Connections. Events of a connection that the speaker has closed, or never had, are ignored.

  /// A connection came in. None: refuse it (unknown source, limits, a peer that is shut down):
  /// close it and forget.
  /// `ifindex`: the link of a link-local `remote`, else 0. `over`: the name of the interface that
  /// it came in by; empty: not known.
  [[nodiscard]] std::optional<ConnectionId> accepted(const Address& remote, const Address& local,
                                                     Time now, std::uint32_t ifindex = 0,
                                                     std::string_view over = {});
  /// How the sockets of this peer are set up; only asked for addresses that accepted() let in.
  [[nodiscard]] SocketSetup socket_setup(const Address& remote, std::uint32_t ifindex = 0) const;
  /// The kernel does not take the peer's key, or a range's: shown as the peer's error.
  void hindered(std::string_view peer, std::string_view why, Time now);
  /// Of a connection that was accepted or is about to be opened; nothing depends on it but what is
  /// shown.
  void ports(ConnectionId connection, std::uint16_t local, std::uint16_t remote);
  void opened(ConnectionId connection, const Address& local, Time now);
  /// connect() did not succeed.
  void failed(ConnectionId connection, std::string_view why, Time now);
  /// End of stream or an error on a connection that was open.
  void closed(ConnectionId connection, std::string_view why, Time now);
  /// At most receive_size octets, as they came.
  void received(ConnectionId connection, Bytes bytes, Time now);
  /// Appends whole messages to `out`, about produce_size octets, none when there is nothing to say.
  /// To be called only when all that it gave before is written: a slow peer's changes coalesce in
  /// here.
  void produce(ConnectionId connection, std::vector<std::byte>& out, Time now);
  /// The kernel took some octets of the connection (RFC 9687: it is alive). `all`: nothing produced
  /// is left.
  void sent(ConnectionId connection, bool all, Time now);
  /// Connections whose hold timer would end them now. A driver that finds unread bytes there calls
  /// heard() before tick(): a busy speaker must not take its own delay for the peer's silence.
  [[nodiscard]] std::vector<ConnectionId> expiring(Time now) const;
  void heard(ConnectionId connection, Time now);

  // Time

  /// When tick() is due; Time::max() for never, the past for pending work.
  [[nodiscard]] Time deadline() const;
  void tick(Time now);
  /// What zero of `now` is since 1970, for timestamps that others read; to be said again at will.
  void wall_clock(std::chrono::microseconds epoch);

  // This node

  /// Advertised at once, never deferred. Idempotent.
  void originate(const Prefix& prefix, Time now) {
    originate(Origination{prefix, {}, {}, {}}, now);
  }
  /// In place of what the prefix was announced with before.
  void originate(const Origination& what, Time now);
  void withdraw(const Prefix& prefix, Time now);
  /// Why the service behind an announcement of the settings is not well, for an operator; empty: it
  /// is. Until told it is not.
  void health(const Prefix& announcement, const std::string& fault, Time now);
  /// The kernel has acknowledged the blackhole of an aggregate: with wait_for_install() it is
  /// originated only now.
  void covered(const Prefix& aggregate, Time now);
  /// While on, everything advertised asks to be used last: GRACEFUL_SHUTDOWN, and LOCAL_PREF 0 to
  /// iBGP peers (RFC 8326 4.1).
  void drain(bool on, Time now);
  [[nodiscard]] bool draining() const;
  /// The whole table, each time it changes: resolves next hops, and gives our own of the other
  /// family.
  void connected(std::vector<ConnectedSubnet> subnets, Time now);
  /// The links that bind-interface names, by name: where sessions from now on have theirs.
  void bound_links(std::map<std::string, std::uint32_t> bound);
  /// The links of unnumbered peers that carry packets, by name; the whole list each time it
  /// changes. A peer whose link is gone, or has another ifindex, loses its session at once.
  /// `faults` says why other links are not usable: "there is no link eth7".
  void links(const std::map<std::string, std::uint32_t>& usable, Time now,
             const std::map<std::string, std::string>& faults = {});
  /// A router was heard on the link (RFC 4861). The unnumbered peer there is connected to; with a
  /// session, or an attempt, under way elsewhere the address waits until that has ended.
  void router_heard(std::uint32_t ifindex, const Address& router, Time now);
  /// True: learned routes are told to others only after installed() ; false at first.
  void wait_for_install(bool yes, Time now);
  /// The kernel has acknowledged these as the last RouteChange of each said.
  void installed(const std::vector<Prefix>& prefixes, Time now);
  /// Sessions of peers one hop away over the interface fall at once, as no packet of theirs can
  /// come any more. `name`: of the interface, for those that are bound to it.
  void link_down(std::uint32_t ifindex, Time now, std::string_view name = {});
  /// The path to the peer has failed, others say (BFD): its session, if there is one, ends at once
  /// with Cease/10 (RFC 9384) and comes back as after an error.
  void path_failed(std::string_view peer, std::string_view why, Time now);
  /// Only peers whose own parameters changed are touched; a change that a running session cannot
  /// take resets it. The node's own AS, router id and cluster id are for life: every set of
  /// attributes and every OPEN has them.
  void apply(Settings settings, Time now);
  /// Closes everything. `cease`: with Cease/2 and `text` (RFC 9003); else silently, as a crash
  /// would look, so that peers in graceful restart keep our routes (the default of SIGTERM).
  void stop(bool cease, std::string_view text, Time now);

  // Operators' verbs; the error says that no such peer exists.

  Result<void> start_peer(std::string_view peer, Time now);
  /// Stays down until start_peer(); Cease/2 with `text` of at most 255 octets (RFC 9003).
  Result<void> shutdown_peer(std::string_view peer, std::string_view text, Time now);
  /// Cease/4, then up again.
  Result<void> reset_peer(std::string_view peer, std::string_view text, Time now);
  /// Asks the peer for its routes and sends ours again (RFC 2918).
  Result<void> refresh_peer(std::string_view peer, Time now);

  // Outputs: what happened since the last call, in order.

  [[nodiscard]] std::vector<Action> take_actions();
  [[nodiscard]] std::vector<GatewayChange> take_gateway_changes();
  [[nodiscard]] std::vector<RouteChange> take_route_changes();
  [[nodiscard]] std::vector<SyncDone> take_sync_done();
  [[nodiscard]] std::vector<SessionUp> take_sessions_up();
  /// Names of peers of ranges that were forgotten; to be taken before take_sessions_up().
  [[nodiscard]] std::vector<std::string> take_forgotten();
  [[nodiscard]] std::vector<LogLine> take_log();

  /// Members of a set named by a RouteChange, sorted; empty for the empty set. To be asked for when
  /// the change is taken: it holds until the next input.
  [[nodiscard]] const NextHops& next_hops(NextHopSet set) const;
  /// Where in the kernel the set's routes go; and where a route is dropped (RouteKind::blackhole).
  [[nodiscard]] Placement placement(NextHopSet set) const;
  [[nodiscard]] Placement placement(const Prefix& prefix) const;

  // Views

  [[nodiscard]] const Settings& settings() const;
  [[nodiscard]] std::vector<PeerStatus> peers() const;
  [[nodiscard]] std::vector<PolicyStatus> policies() const;
  [[nodiscard]] std::vector<RangeStatus> ranges() const;
  /// Sorted: whom a next life is to wait for; those too that this life still does.
  [[nodiscard]] std::vector<RangeMember> range_members() const;
  [[nodiscard]] std::vector<StationStatus> stations() const;
  [[nodiscard]] std::vector<AggregateStatus> aggregates() const;
  [[nodiscard]] std::vector<ConditionalStatus> conditional() const;
  [[nodiscard]] std::optional<RouteStatus> route(const Prefix& prefix) const;
  /// The route that packets to the address take: the longest match that has a usable path.
  [[nodiscard]] std::optional<RouteStatus> route(const Address& address) const;
  /// Every route, in no particular order. `each` must not call the speaker.
  void routes(const std::function<void(const RouteStatus&)>& each) const;
  /// What the FIB was told of each prefix with a route, in no particular order. `each` must not
  /// call the speaker but for next_hops() and placement() of the set.
  void selected(const std::function<void(const Prefix&, RouteKind, NextHopSet)>& each) const;
  [[nodiscard]] RouteCounts counts(Family family) const;
  [[nodiscard]] PathLimitStatus path_limit() const;
  /// An MRT dump of all paths held, refused ones too. `unix_now`: seconds of UNIX time.
  [[nodiscard]] MrtDump begin_mrt_dump(std::uint32_t unix_now, Time now) const;
  /// Appends what stands at the next `places` places.
  void continue_mrt_dump(MrtDump& dump, std::size_t places, std::uint32_t unix_now,
                         std::vector<std::byte>& out) const;
  /// Established peers to which `prefix` is advertised.
  [[nodiscard]] std::uint32_t advertised_to(const Prefix& prefix) const;

 private:
  struct World;
  std::unique_ptr<World> world_;
};

}  // namespace weft::bgp
