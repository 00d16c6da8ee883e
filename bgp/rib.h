// Rib: all paths of all peers and of this node, IPv4 and IPv6 unicast, and the best of each prefix.
// Adj-RIB-In and Loc-RIB in one: an Adj-RIB-In entry is a path with the peer's name on it. Compact
// on purpose: a prefix with one path takes 16 (IPv6: 28) octets and its slot in the index. Not
// here: sessions, policy (the caller says what is filtered), what goes out (adj_out.h), the kernel.
// RFC 4271 3.2, 9.1; 7911.
//
// The caller's loop: next_hop() once per UPDATE, announce()/withdraw() per prefix, then decide()
// once for the batch.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bgp/attribute_store.h"
#include "bgp/decision.h"
#include "bgp/journal.h"
#include "bgp/nlri.h"
#include "bgp/route_change.h"
#include "bgp/types.h"
#include "net/ip.h"
#include "net/next_hop.h"

namespace weft::bgp {

/// A peer in the tables; the caller gives numbers, small ones first. 0 is this node.
enum class PeerId : std::uint16_t { local = 0 };
inline constexpr std::size_t max_peers = 65536;

/// A next hop as one peer named it; what a path refers to.
enum class NextHopId : std::uint32_t { local = 0 };

/// What the tables need to know of a peer whose session is Established.
struct RibPeer {
  bool external = true;
  RouterId router_id;
  Address address;
  /// Interface of the session; link-local next hops lie behind it. 0: not known, they do not
  /// resolve.
  std::uint32_t ifindex = 0;
  /// What it says is reflected to all internal peers (RFC 4456 6).
  bool reflector_client = false;
  /// For policies that ask for it.
  std::string name = {};
  /// Times our own AS may stand in its paths.
  std::uint8_t allow_own_as = 0;
  /// Its next hops may lie behind routes, not only on connected subnets.
  bool recursive = false;
  /// Where routes go whose best path is the peer's.
  Placement placement = {};
  /// Of the range that let it in; for policies that ask for it.
  std::string range = {};
  /// Its next hops on no connected subnet are on the link of the session all the same.
  bool onlink = false;
};

/// Which next hops lie behind routes.
struct Recursion {
  /// Those of recursive peers that are on no connected subnet. Else they do not resolve.
  bool routes = true;
  /// 0.0.0.0/0 and ::/0 lead to next hops, too.
  bool default_route = false;

  bool operator==(const Recursion&) const = default;
};

/// What leads to a next hop that is on no connected subnet.
struct RouteBehind {
  Prefix prefix;
  /// The sum of MULTI_EXIT_DISC on the way.
  std::uint32_t metric = 0;
};

/// A next hop and what has become of it.
struct PeerNextHop {
  PeerId peer = PeerId::local;
  Address address;
  /// The second address of a 32-octet next hop (RFC 2545 3).
  std::optional<Address> link_local;
  /// Ours, unspecified, loopback, multicast: never used (RFC 4271 6.3).
  bool special = false;
  /// Where packets go, sorted; empty while unresolved.
  NextHops resolved;
  /// Packets are dropped: policy has put this in place of what the peer named (RFC 7999).
  bool discard = false;
};

enum class Announced : std::uint8_t {
  accepted,
  refused,  ///< filtered or looped: kept to be shown, never used; what it replaced is gone
  no_room,  ///< a limit below; what it would have replaced is gone
};

/// Of one peer and family, now.
struct PathCounts {
  std::uint64_t received = 0;  ///< paths held
  std::uint64_t filtered = 0;  ///< of these: refused by the import policy
  std::uint64_t looped = 0;    ///< of these: our AS, router id or cluster id in the path
  std::uint64_t stale = 0;     ///< of these: of a session that is over (RFC 4724 4.2)
  std::uint64_t selected = 0;  ///< of these: best or sharing the load
  [[nodiscard]] std::uint64_t accepted() const { return received - filtered - looped; }
};

/// A path for show commands.
struct PathView {
  PeerId peer = PeerId::local;
  std::uint32_t path_id = 0;
  AttributeId attributes = AttributeId::none;
  NextHopId next_hop = NextHopId::local;
  bool filtered = false;
  bool looped = false;
  bool stale = false;
  bool multipath = false;
  Rung rung = Rung::best;
  /// As it was judged.
  Candidate candidate = {};
};
struct RouteView {
  Prefix prefix;
  RouteKind kind = RouteKind::none;
  NextHopSet next_hops;
  /// Best first; the first `multipath` ones share the load.
  std::vector<PathView> paths;
};

/// The best path of a prefix, for what goes out.
struct BestPath {
  PeerId peer = PeerId::local;
  AttributeId attributes = AttributeId::none;
  NextHopId next_hop = NextHopId::local;
  /// Not the best, but what Rib::offer() has: no filter is asked about it, and `peer` is whom it is
  /// kept from.
  bool offered = false;
};

/// A path that could be used, for what goes out with path identifiers (RFC 7911).
struct UsablePath {
  BestPath path;
  /// Ours to tell: made of the peer's number and the path's rank among that peer's paths of the
  /// prefix, so it needs no memory and stays while the peer's other paths do. Never 0.
  std::uint32_t path_id = 0;
  bool multipath = false;
};
/// Whose path a UsablePath::path_id names.
constexpr PeerId source_of(std::uint32_t path_id) {
  return static_cast<PeerId>((path_id - 1) & 0xffff);
}
/// A path of a peer as it came and as the import policy left it, for whoever monitors.
struct HeldPath {
  PeerId peer = PeerId::local;
  std::uint32_t path_id = 0;
  AttributeId received = AttributeId::none;
  NextHopId received_next_hop = NextHopId::local;
  AttributeId imported = AttributeId::none;
  NextHopId imported_next_hop = NextHopId::local;
  /// Filtered or looped: not to be used.
  bool refused = false;
};

/// Hears at once of each path of a peer that comes, changes or goes, and of each change of a best
/// path. May ask the Rib what it likes, and change nothing.
class RibWatcher {
 public:
  struct PathChange {
    Family family = Family::ipv4;
    /// Still has its prefix.
    NetId net = 0;
    PeerId peer = PeerId::local;
    std::uint32_t path_id = 0;
    /// What there was before.
    enum class Before : std::uint8_t { nothing, refused, accepted } before = Before::nothing;
    bool gone = false;
  };
  virtual void path_changed(const PathChange& change) = 0;
  virtual void best_changed(Family family, NetId net, bool had, bool has) = 0;

 protected:
  ~RibWatcher() = default;
};

/// Hears of each prefix that has another route now, for the FIB. Must not change the Rib.
/// `origin`: of the best path there is now, as in AttributeFacts.
using RouteWatcher =
    std::function<void(const Prefix& prefix, RouteKind before, RouteKind now, std::uint8_t origin)>;

class Rib {
 public:
  /// Prefixes of one family.
  static constexpr std::size_t max_prefixes = (1U << 24) - 2;
  /// Paths of one prefix.
  static constexpr std::size_t max_paths = 1024;
  static constexpr std::size_t max_prefetched = 16;
  /// Distinct next hops of one peer.
  static constexpr std::size_t max_next_hops = 65536;
  /// Distinct next-hop sets in use.
  static constexpr std::size_t max_next_hop_sets = (1U << 22) - 2;

  /// `store` must outlive this. `seed` keeps a peer from choosing hash collisions.
  Rib(AttributeStore& store, const MultipathLimits& limits, std::uint64_t seed = 0);
  ~Rib();
  Rib(const Rib&) = delete;
  Rib& operator=(const Rib&) = delete;

  // Adj-RIB-In

  /// The peer's session is up; its facts hold for all of its paths, also those kept from its last
  /// session.
  void attach(PeerId peer, const RibPeer& facts);
  /// Calls of attach() so far: what was known of peers by number may be over since.
  [[nodiscard]] std::uint64_t attached() const { return attached_; }
  /// The id for announce(). Valid until the next decide() unless a path uses it. None:
  /// max_next_hops is reached.
  /// `original`: what the peer named, where the import policy gives this in its place.
  [[nodiscard]] std::optional<NextHopId> next_hop(PeerId peer, const Address& address,
                                                  const std::optional<Address>& link_local = {},
                                                  NextHopId original = NextHopId::local);
  /// The next hop that stands for dropping packets, in place of `original`.
  [[nodiscard]] std::optional<NextHopId> discard(PeerId peer, NextHopId original);
  /// Brings closer what announce() and withdraw() of these will touch: at most max_prefetched, all
  /// of one family.
  void prefetch(std::span<const Nlri> nlri) const;
  /// A path of the next hop's peer, in place of its last one for (prefix, path_id). The path holds
  /// `attributes` on its own. `filtered`: the import policy refuses it. `path_id`: RFC 7911, else
  /// 0.
  Announced announce(const Prefix& prefix, std::uint32_t path_id, AttributeId attributes,
                     NextHopId next_hop, bool filtered = false);
  /// False when there was none. Also what a malformed or otherwise unusable route comes to (RFC
  /// 7606 2).
  bool withdraw(PeerId peer, const Prefix& prefix, std::uint32_t path_id = 0);
  /// announce() would put it in another's place.
  [[nodiscard]] bool holds(PeerId peer, const Prefix& prefix, std::uint32_t path_id) const;
  /// Keeps the peer's paths, marked, until each is announced again or dropped as stale (RFC
  /// 4724 4.2). Costs nothing by the path while none of them is stale.
  void mark_stale(PeerId peer, Family family);
  /// Of the peer's paths of a family: all, or the stale ones.
  enum class Which : std::uint8_t { all, stale };
  void drop(PeerId peer, Family family, Which which = Which::all);
  /// Of the places from `from` on, at most `limit`; moves `from` on. True: there are no more.
  bool drop_some(PeerId peer, Family family, Which which, NetId& from, std::size_t limit);
  /// In slices, too: all become stale and are used only where there is no other path, until
  /// announced again, and each has the attributes that `aged` makes of its own; none: the path goes
  /// (RFC 9494 4.2). The paths hold them on their own; `aged` keeps what it returns until the last
  /// slice. The peer announces nothing meanwhile.
  bool age_some(PeerId peer, Family family, NetId& from, std::size_t limit,
                const std::function<std::optional<AttributeId>(AttributeId)>& aged);
  /// A path as received, before the import policy.
  struct Received {
    PeerId peer = PeerId::local;
    Prefix prefix;
    AttributeId attributes = AttributeId::none;
    NextHopId next_hop = NextHopId::local;
    /// age_some() has marked it, and it was not announced again.
    bool aged = false;
  };
  /// The same after it; the original may be found from `attributes` and `next_hop` again.
  struct Imported {
    AttributeId attributes = AttributeId::none;
    NextHopId next_hop = NextHopId::local;
    bool filtered = false;
  };
  /// Asks `import` anew about the learned paths of `count` places from `from` on; none: as it is.
  /// Nothing is asked of a peer for it: a set that policy changed knows what it was made of.
  void import_again(Family family, NetId from, NetId count,
                    const std::function<std::optional<Imported>(const Received&)>& import);

  // This node

  /// A path of PeerId::local.
  Announced originate(const Prefix& prefix, AttributeId attributes);
  /// A path of this node that no decision and no FIB knows of: it is there for those who ask for
  /// offered() (default-originate).
  void offer(const Prefix& prefix, AttributeId attributes);
  void withdraw_offer(const Prefix& prefix);
  /// The whole table of subnets; prefixes behind next hops that resolve differently now are decided
  /// again.
  void connected(std::vector<ConnectedSubnet> subnets);
  void set_recursion(const Recursion& recursion);
  /// Decides every prefix again.
  void set_limits(const MultipathLimits& limits);

  // Decision

  /// While it holds, only prefixes with a path of our own are decided (RFC 4724 4.1: the Selection
  /// Deferral). The others wait, and pending() does not count them.
  void defer(Family family, bool yes);
  [[nodiscard]] bool deferring(Family family) const;
  /// Prefixes that changed since their last decision, and next hops that are to be resolved again.
  [[nodiscard]] std::size_t pending() const;
  /// Resolves a slice of these next hops, decides at most `limit` of the prefixes and appends what
  /// the FIB must do. Each prefix stands there once per batch.
  void decide(std::size_t limit, std::vector<RouteChange>& changes);
  /// Sorted; valid for as long as a prefix uses the set and until the decide() after.
  [[nodiscard]] const NextHops& next_hops(NextHopSet set) const;

  /// Where routes through the set go, and the route for the prefix.
  [[nodiscard]] Placement placement(NextHopSet set) const;
  [[nodiscard]] Placement placement(const Prefix& prefix) const;

  /// From now on; none: nobody.
  void watch_routes(RouteWatcher watcher);
  /// Every prefix with a route, in no particular order.
  void each_route(
      const std::function<void(const Prefix&, RouteKind, std::uint8_t origin)>& each) const;

  // What the kernel has

  /// True: a learned route of which the FIB was told goes to nobody before installed() names it;
  /// those before it stand meanwhile. False, at first: nothing waits, what did goes out.
  void wait_for_install(bool yes);
  /// The kernel leads the prefix where the last RouteChange said.
  void installed(const Prefix& prefix);
  [[nodiscard]] bool awaits_install(Family family, NetId net) const;
  /// Some route does.
  [[nodiscard]] bool awaits_install(Family family) const;

  // Views

  [[nodiscard]] PathCounts counts(PeerId peer, Family family) const;
  /// Prefixes with a best path; of these, originated here; paths of all peers.
  [[nodiscard]] std::uint64_t routes(Family family) const;
  [[nodiscard]] std::uint64_t originated(Family family) const;
  [[nodiscard]] std::uint64_t paths(Family family) const;
  [[nodiscard]] const PeerNextHop& next_hop(NextHopId id) const;
  /// As the peer named it: the next hop itself, or what policy replaced.
  [[nodiscard]] const PeerNextHop& received_next_hop(NextHopId id) const;
  /// None for one that is on a connected subnet, or leads nowhere.
  [[nodiscard]] std::optional<RouteBehind> route_behind(NextHopId id) const;
  /// Where packets go that the peer itself forwards: next hops in use that are its own address.
  [[nodiscard]] NextHops gateways(PeerId peer) const;
  /// False: without this peer no route leads through its gateway, and none of those that did leads
  /// anywhere; and the FIB has been told of all that is decided.
  [[nodiscard]] bool leads_elsewhere(PeerId peer, const NextHop& gateway) const;
  [[nodiscard]] const RibPeer& peer(PeerId peer) const;
  [[nodiscard]] AttributeStore& attributes() const { return store_; }
  [[nodiscard]] std::optional<RouteView> route(const Prefix& prefix) const;
  /// The prefix at a place, if one lives there: walk the places 0..places() in slices, in no
  /// particular order.
  [[nodiscard]] NetId places(Family family) const;
  [[nodiscard]] std::optional<RouteView> route_at(Family family, NetId net) const;
  /// Octets taken from the system, attributes not included.
  [[nodiscard]] std::size_t memory() const;

  // For adj_out: best paths by place, and what changes.

  [[nodiscard]] std::optional<BestPath> best(Family family, NetId net) const;
  [[nodiscard]] std::optional<BestPath> offered(Family family, NetId net) const;
  /// The best path of the prefix is a peer's.
  [[nodiscard]] bool is_learned(const Prefix& prefix) const;
  /// PeerId::local, too, without a best path.
  [[nodiscard]] PeerId best_peer(const Prefix& prefix) const;
  /// What peers are told of the prefix may be different although its best path is not.
  void look_again(const Prefix& prefix);
  /// Best first; none while there is no best path.
  void usable_paths(Family family, NetId net, std::vector<UsablePath>& paths) const;
  /// From now on the journal tells of every prefix that is decided, not only of new best paths.
  void watch_all_paths();
  /// Whether a prefix lives at the place: it has paths, or a reader of the journal has yet to see
  /// it go.
  [[nodiscard]] bool alive(Family family, NetId net) const;
  /// Asserts that one does.
  [[nodiscard]] Prefix prefix(Family family, NetId net) const;
  [[nodiscard]] std::optional<NetId> find(const Prefix& prefix) const;
  [[nodiscard]] Journal& journal(Family family);
  /// What lies inside of one of these, other than these themselves, goes to nobody from now on
  /// (an aggregate's summary-only). Sorted.
  void suppress(std::vector<Prefix> covering);
  [[nodiscard]] bool is_suppressed(const Prefix& prefix) const;
  /// While it holds, or the selection is deferred, the best paths are not all that there will be:
  /// End-of-RIB is to wait (RFC 4724 4.1).
  void hold_end_of_rib(Family family, bool yes);
  [[nodiscard]] bool holds_end_of_rib(Family family) const;

  // For monitoring.

  /// nullptr, at first: nobody. It must outlive the Rib, or be taken away before it goes.
  void watch(RibWatcher* watcher);
  /// Appends the paths of peers at a place; none for a place where no prefix lives.
  void paths_at(Family family, NetId net, std::vector<HeldPath>& paths) const;
  [[nodiscard]] std::optional<HeldPath> path_at(Family family, NetId net, PeerId peer,
                                                std::uint32_t path_id) const;

  // Next hops

  /// Keeps the id of a next hop that was told to others from being given to another one.
  void hold(NextHopId id);
  void release(NextHopId id);

 private:
  struct Tables;
  std::uint64_t attached_ = 0;
  AttributeStore& store_;
  std::unique_ptr<Tables> tables_;
};

}  // namespace weft::bgp
