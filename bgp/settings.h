// What an operator sets of BGP: this speaker and its peers. Plain data, filled by `config`, read by
// `bgp`; the defaults here are the defaults of the product.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bgp/capabilities.h"
#include "bgp/origination.h"
#include "bgp/policy_settings.h"
#include "bgp/types.h"
#include "net/ip.h"
#include "net/next_hop.h"
#include "net/secret.h"

namespace weft::bgp {

/// `remote-as: external`: any AS but ours (RFC 7938 practice); `internal`: ours; `automatic`:
/// whatever the peer says.
enum class RemoteAs : std::uint8_t { external, internal, automatic };

/// What becomes of private AS numbers (RFC 6996) in paths told to a peer.
enum class RemovePrivate : std::uint8_t { none, all, replace };

/// Whose next hop goes out. `automatic`: ours on eBGP and for what this node originates, the path's
/// own on iBGP; `self`: ours on iBGP too, unless the path is reflected (RFC 4456 10); `unchanged`:
/// the path's own on eBGP too.
enum class NextHopRule : std::uint8_t { automatic, self, unchanged };

/// Peers that one range lets in unless it says otherwise.
inline constexpr std::uint32_t default_range_limit = 100;
/// Octets of a TCP MD5 key (RFC 2385; the kernel's TCP_MD5SIG_MAXKEYLEN).
inline constexpr std::size_t max_password = 80;

/// Keys of one TCP-AO chain, and octets of a key's secret (the kernel's TCP_AO_MAXKEYLEN).
inline constexpr std::size_t max_ao_keys = 8;
inline constexpr std::size_t max_ao_secret = 80;

/// RFC 5926 2; HMAC-SHA-256 as Linux and routers have it besides.
enum class TcpAoAlgorithm : std::uint8_t { hmac_sha1_96, aes_128_cmac_96, hmac_sha256_96 };
/// "hmac-sha1-96"
constexpr std::string_view name(TcpAoAlgorithm algorithm) {
  return algorithm == TcpAoAlgorithm::hmac_sha1_96      ? "hmac-sha1-96"
         : algorithm == TcpAoAlgorithm::aes_128_cmac_96 ? "aes-128-cmac-96"
                                                        : "hmac-sha256";
}

/// RFC 5925 3.1: a master key tuple, but for its addresses.
struct TcpAoKey {
  std::uint8_t send_id = 0;
  std::uint8_t receive_id = 0;
  TcpAoAlgorithm algorithm = TcpAoAlgorithm::hmac_sha1_96;
  Secret secret;
  std::string secret_file;
  bool operator==(const TcpAoKey&) const = default;
};

/// What is let through on one side of a session: a template, or a policy of Settings::policies.
/// `host`: RFC 8212-safe template of a fabric host. In: prefixes inside our pools, and the default
/// route when Settings::default_route is set. Out: what this node originates, nothing it learned.
/// `accept`: everything that is loop-free.
struct Filter {
  std::string name;

  static const Filter host;
  static const Filter accept;
  [[nodiscard]] bool is_template() const { return *this == host || *this == accept; }
  bool operator==(const Filter&) const = default;
};
inline const Filter Filter::host{"host"};
inline const Filter Filter::accept{"accept"};

/// What becomes of a peer with more prefixes than its limit. `close`: Cease/1 (RFC 4486).
/// `discard`: what is beyond is not held. `warn`: it is said.
enum class PrefixLimitAction : std::uint8_t { close, discard, warn };

/// What becomes of paths beyond the limit of all peers together. `refuse`: they are not held.
/// `warn`: it is said.
enum class PathLimitAction : std::uint8_t { refuse, warn };

/// Which sides of graceful restart a session takes part in (RFC 4724). `helper`: keeps the peer's
/// routes while it restarts, asks for nothing. `full`: also asks the peer to keep ours.
enum class GracefulRestartMode : std::uint8_t { off, helper, full };

/// BFD beside the session (RFC 5882): a path that fails ends it at once.
struct BfdSettings {
  /// Between two packets, both ways, 10..60000 ms; the neighbour may ask for more.
  std::chrono::milliseconds interval{300};
  /// Packets that may be missing, 2..255.
  std::uint8_t multiplier = 3;
  /// RFC 5883 in place of RFC 5881; default: when the peer is on no link of ours.
  std::optional<bool> multihop;

  bool operator==(const BfdSettings&) const = default;
};

/// RFC 7911: which paths of a prefix a peer is told.
struct AddPathSend {
  enum class Paths : std::uint8_t {
    one,   ///< the best alone, without path identifiers
    all,   ///< all that could be used
    ecmp,  ///< those that share the load
    best,  ///< the best `count`
  };
  Paths paths = Paths::one;
  /// Of Paths::best: 2..64.
  std::uint16_t count = 0;
  auto operator<=>(const AddPathSend&) const = default;
};

/// Whether a peer is told a default route of ours that is in no table of this node.
struct DefaultOriginate {
  bool on = false;
  /// Only while the FIB has a learned route for this prefix.
  std::optional<Prefix> condition;
  bool operator==(const DefaultOriginate&) const = default;
};

struct PeerSettings {
  /// Unique; shown everywhere and the label `peer` of metrics. Default: the address or interface.
  std::string name;
  std::string description;
  /// Unspecified for a peer that is known by its interface.
  Address address;
  /// An unnumbered peer: the one router on this link, whatever its link-local address is. Empty for
  /// a peer that is known by its address.
  std::string interface;
  /// Not one peer but a template: whoever connects from inside of the prefix becomes a passive peer
  /// of its own, named by its address. `address` then is that of the peer, and empty in the
  /// template itself.
  std::optional<Prefix> range;
  /// The template's name in each peer made of it; empty else.
  std::string range_name;
  /// Peers of the range at a time, 1..4096.
  std::uint32_t range_limit = default_range_limit;
  std::uint16_t port = 179;
  std::variant<RemoteAs, Asn> remote_as = RemoteAs::external;
  /// RFC 7705: the AS this session speaks for instead of the node's. Unless no_prepend, it is put
  /// in front of what the peer says; unless replace, the node's stands behind it in what goes out.
  std::optional<Asn> local_as;
  bool local_as_no_prepend = false;
  bool local_as_replace = false;
  /// The peer's own AS in paths told to it is replaced by ours.
  bool as_override = false;
  /// Times our own AS may stand in a path of the peer, 0..10.
  std::uint8_t allow_own_as = 0;
  RemovePrivate remove_private = RemovePrivate::none;
  NextHopRule next_hop = NextHopRule::automatic;
  /// Local address of the session, whoever connects; default: chosen by the kernel's route to the
  /// peer.
  std::optional<Address> source;
  /// Packets of the session leave and arrive by this interface only; empty: by any.
  std::string bind_interface;
  /// Next hops of its routes on no connected subnet are on the link of the session all the same.
  bool onlink = false;
  /// RFC 2385: 1..80 octets. For a range the key of all of its prefix.
  std::optional<Secret> password;
  /// Where `password` was read from; empty: it stood in the configuration.
  std::string password_file;
  /// RFC 5925: the first key signs; none: no TCP-AO. Never beside `password`, and only for a peer
  /// known by its address.
  std::vector<TcpAoKey> tcp_ao;
  /// Families to negotiate (RFC 4760), at least one.
  std::vector<Family> families{Family::ipv4, Family::ipv6};
  /// RFC 7911: families in which the peer may tell us several paths of a prefix.
  std::vector<Family> add_path_receive;
  /// And those in which we tell it several.
  std::map<Family, AddPathSend> add_path_send;
  /// Never connect, only accept.
  bool passive = false;
  /// Hops to the peer, at most, 1..255.
  std::uint8_t multihop = 1;
  /// RFC 5082: send with TTL 255 and refuse what came over more hops than `multihop`. Unless set,
  /// on for a peer one hop away.
  std::optional<bool> gtsm;
  bool shutdown = false;
  /// RFC 4456: we reflect to this internal peer what other internal peers say, and what it says to
  /// all of them.
  bool route_reflector_client = false;
  /// 0 (no keepalives) or 3..65535 s; keepalives go out at a third of what was negotiated.
  std::chrono::seconds hold_time{9};
  /// 1..65535 s, jittered by 0.75..1.0 (RFC 4271 10).
  std::chrono::seconds connect_retry{5};
  /// RFC 4271 8.1.1 DelayOpen: how long to wait for the peer's OPEN before ours goes out, 0..240 s.
  std::chrono::seconds delay_open{0};
  /// RFC 8654: offer messages of up to 65535 octets.
  bool extended_messages = true;
  /// First wait after a session ended by an error, 0..3600 s; doubles up to 30 s (RFC 4271 8.1.1
  /// DampPeerOscillations).
  std::chrono::seconds idle_hold{1};
  /// RFC 9687: a peer that takes nothing for this long is dropped. 0 (off) or 1..65535 s.
  std::chrono::seconds send_hold{90};
  GracefulRestartMode graceful_restart = GracefulRestartMode::full;
  /// How long the peer shall wait for us, 1..4095 s (RFC 4724 3).
  std::chrono::seconds restart_time{120};
  /// How long a peer that is back may take to its End-of-RIB before what it has not said again
  /// goes, 1..86400 s.
  std::chrono::seconds stale_time{360};
  /// RFC 9494: after the restart time routes stay for so long as a last resort, 0 (off) or
  /// 1..16777215 s. Asked of the peer, and the most that it gets.
  std::chrono::seconds long_lived_stale_time{0};
  /// Default by session type: eBGP `host`, iBGP `accept`.
  std::optional<Filter> import_filter;
  std::optional<Filter> export_filter;
  /// Paths of one family from the peer, before the import policy and after it, that are too many.
  /// 1..2^32-1; none: no limit.
  std::optional<std::uint32_t> prefix_limit;
  std::optional<std::uint32_t> accepted_prefix_limit;
  PrefixLimitAction prefix_limit_action = PrefixLimitAction::close;
  /// Before the session is tried again, 1..86400 s; 0: not before the operator starts it.
  std::chrono::seconds prefix_limit_restart{300};

  /// None: the hold time alone.
  std::optional<BfdSettings> bfd;

  /// RFC 9234: what we are to this external peer.
  std::optional<Role> role;
  /// The peer has to say its role, too.
  bool role_strict = false;
  /// In each family of the session, in place of what the export filter says of the default route.
  DefaultOriginate default_originate;
  /// The peer is told also what an aggregate with summary-only keeps from the others.
  bool unsuppress = false;
  /// RFC 8326: routes that ask to be used last are.
  bool graceful_shutdown = true;
  /// RFC 7999: host routes of the peer may ask to be dropped.
  bool blackhole = false;
  /// The kernel's table for routes whose best path is the peer's, 1..2^32-1, and their metric
  /// there, 1..2^32-2. None: the node's own. Load is shared only by paths for one table and metric.
  std::optional<std::uint32_t> table;
  std::optional<std::uint32_t> metric;

  /// Nobody forwards a link-local address, and routers speak to unnumbered neighbours with TTL 1.
  [[nodiscard]] bool uses_gtsm() const { return gtsm.value_or(multihop == 1 && !is_unnumbered()); }
  [[nodiscard]] Placement placement() const { return {table.value_or(0), metric.value_or(0)}; }
  /// One of those that a range let in.
  [[nodiscard]] bool is_dynamic() const { return range && address != Address(); }

  [[nodiscard]] bool is_unnumbered() const { return !interface.empty(); }
  bool operator==(const PeerSettings&) const = default;
};

/// Where connections of the peer, or of the peers of a range, come from. Of an unnumbered peer only
/// its link says more.
inline Prefix sources_of(const PeerSettings& peer) {
  constexpr unsigned link_local_length = 10;
  if (peer.range && !peer.is_dynamic()) return *peer.range;
  if (peer.is_unnumbered()) return {Address::parse("fe80::").value(), link_local_length};
  return Prefix::host(peer.address);
}

/// What a monitoring station may be shown: Adj-RIB-In before and after policy (RFC 7854),
/// Adj-RIB-Out after policy (RFC 8671), Loc-RIB (RFC 9069).
enum class BmpView : std::uint8_t { pre_policy, post_policy, adj_rib_out, loc_rib };
inline constexpr std::size_t bmp_views = 4;
inline constexpr std::size_t bmp_station_limit = 16;

/// A monitoring station of BMP; weft connects to it.
struct BmpStation {
  /// Unique; the label `station` of metrics. Default: address and port.
  std::string name;
  Address address;
  std::uint16_t port = 11019;
  /// Local address of the connection; default: chosen by the kernel's route.
  std::optional<Address> source;
  /// In the order of BmpView, each once.
  std::vector<BmpView> monitor{BmpView::pre_policy, BmpView::post_policy};
  /// Between two Statistics Reports: 0 (none) or 1..65535 s.
  std::chrono::seconds statistics_interval{60};
  /// First wait after a connection ended or failed, 1..720 s; doubles up to 720 s (RFC 7854 3.2).
  std::chrono::seconds connect_retry{30};
  bool operator==(const BmpStation&) const = default;
};

struct BmpSettings {
  /// sysName and sysDescr (RFC 7854 4.4), never empty.
  std::string system_name = "weft";
  std::string system_description = "weft";
  std::vector<BmpStation> stations;
  bool operator==(const BmpSettings&) const = default;
};

inline constexpr std::size_t aggregate_limit = 256;

/// A prefix that is originated as long as something more specific has a route (RFC 4271 9.2.2.2).
struct AggregateSettings {
  /// Longer than /0, shorter than a host's; no two aggregates have the same prefix.
  Origination what;
  /// Nothing inside of it is told to anybody while it is originated.
  bool summary_only = false;
  bool operator==(const AggregateSettings&) const = default;
};

inline constexpr std::size_t announcement_limit = 256;

/// A prefix that is originated while all of its conditions hold.
struct AnnouncementSettings {
  /// No two have the same prefix.
  Origination what;
  /// A peer's route for just this prefix is in use; no such route is. Neither is a prefix that
  /// Settings originate.
  std::optional<Prefix> when_route;
  std::optional<Prefix> unless_route;
  /// Absolute paths: a file that is there, a UNIX socket that takes connections; and what /bin/sh
  /// -c ends with status 0. Empty: not asked.
  std::string health_file;
  std::string health_socket;
  std::string health_command;
  /// Between two rounds; and for how long an answer is waited for.
  std::chrono::seconds health_interval{1};
  std::chrono::seconds health_timeout{3};
  /// Answers in a row, of the socket and of the command, that change the verdict. At least 1.
  unsigned health_rise = 2;
  unsigned health_fall = 3;

  [[nodiscard]] bool has_service() const {
    return !health_file.empty() || !health_socket.empty() || !health_command.empty();
  }
  [[nodiscard]] bool is_same_service(const AnnouncementSettings& other) const {
    return health_file == other.health_file && health_socket == other.health_socket &&
           health_command == other.health_command;
  }
  /// The same service is asked in the same way.
  [[nodiscard]] bool asks_the_same(const AnnouncementSettings& other) const {
    AnnouncementSettings same = other;
    same.what = what;
    same.when_route = when_route;
    same.unless_route = unless_route;
    return same == *this;
  }
  bool operator==(const AnnouncementSettings&) const = default;
};

struct Settings {
  Asn asn;
  RouterId router_id;
  /// CLUSTER_ID of what we reflect (RFC 4456 7), the same in all reflectors of one cluster. None:
  /// the router id.
  std::optional<RouterId> cluster_id;
  /// Where connections are accepted: none listed means all addresses of both families. The port is
  /// shared by all.
  std::vector<Address> listen;
  std::uint16_t port = 179;
  /// Paths that share the load of one prefix, 1..64.
  std::uint16_t multipath = 16;
  /// RFC 7938 5: equal AS path length is enough for multipath, the ASes may differ.
  bool multipath_relax = true;
  /// MULTI_EXIT_DISC is compared whichever AS it came from.
  bool always_compare_med = false;
  /// Next hops that iBGP peers and peers several hops away name may lie behind learned routes.
  bool recursive_next_hops = true;
  /// 0.0.0.0/0 and ::/0 among these routes.
  bool resolve_by_default_route = false;
  /// After a restart, learned routes are chosen among once the peers have sent theirs; peers that
  /// are not up are waited for this long, 0..300 s (RFC 4724 4.1): the kernel's routes of an
  /// earlier life are not kept for ever.
  std::chrono::seconds selection_deferral{10};
  /// Paths of all peers and families together, 1..2^32-1; none: no limit.
  std::optional<std::uint32_t> path_limit;
  PathLimitAction path_limit_action = PathLimitAction::refuse;
  /// Filter::host takes 0.0.0.0/0 and ::/0 from peers as well.
  bool default_route = false;
  /// Filter::host takes prefixes inside these; `config` puts the pools here.
  std::vector<Prefix> pools;
  /// Names for the rules of policies; each name once.
  std::vector<PrefixSet> prefix_sets;
  std::vector<CommunitySet> community_sets;
  std::vector<PolicySettings> policies;
  std::vector<PeerSettings> peers;
  BmpSettings bmp;
  std::vector<AggregateSettings> aggregates;
  std::vector<AnnouncementSettings> announcements;

  bool operator==(const Settings&) const = default;
};

}  // namespace weft::bgp
