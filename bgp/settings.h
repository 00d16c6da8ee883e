// What an operator sets of BGP: this speaker and its peers. Plain data, filled by `config`, read by
// `bgp`; the defaults here are the defaults of the product.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bgp/capabilities.h"
#include "bgp/policy_settings.h"
#include "bgp/types.h"
#include "net/ip.h"

namespace weft::bgp {

/// `remote-as: external`: any AS but ours (RFC 7938 practice); `internal`: ours.
enum class RemoteAs : std::uint8_t { external, internal };

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

/// Which sides of graceful restart a session takes part in (RFC 4724). `helper`: keeps the peer's
/// routes while it restarts, asks for nothing. `full`: also asks the peer to keep ours.
enum class GracefulRestartMode : std::uint8_t { off, helper, full };

struct PeerSettings {
  /// Unique; shown everywhere and the label `peer` of metrics. Default: the address.
  std::string name;
  std::string description;
  Address address;
  std::uint16_t port = 179;
  std::variant<RemoteAs, Asn> remote_as = RemoteAs::external;
  /// Local address of the session; default: chosen by the kernel's route to the peer.
  std::optional<Address> source;
  /// Families to negotiate (RFC 4760), at least one.
  std::vector<Family> families{Family::ipv4, Family::ipv6};
  /// Never connect, only accept.
  bool passive = false;
  /// RFC 5082: send with TTL 255 and refuse what arrives with less. Only for a peer one hop away.
  bool gtsm = true;
  bool shutdown = false;
  /// 0 (no keepalives) or 3..65535 s; keepalives go out at a third of what was negotiated.
  std::chrono::seconds hold_time{9};
  /// 1..65535 s, jittered by 0.75..1.0 (RFC 4271 10).
  std::chrono::seconds connect_retry{5};
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

  /// RFC 9234: what we are to this external peer.
  std::optional<Role> role;
  /// The peer has to say its role, too.
  bool role_strict = false;
  /// RFC 8326: routes that ask to be used last are.
  bool graceful_shutdown = true;
  /// RFC 7999: host routes of the peer may ask to be dropped.
  bool blackhole = false;

  bool operator==(const PeerSettings&) const = default;
};

struct Settings {
  Asn asn;
  RouterId router_id;
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
  /// After a restart, learned routes are chosen among once the peers have sent theirs; peers that
  /// are not up are waited for this long, 0..3600 s (RFC 4724 4.1).
  std::chrono::seconds selection_deferral{10};
  /// Filter::host takes 0.0.0.0/0 and ::/0 from peers as well.
  bool default_route = false;
  /// Filter::host takes prefixes inside these; `config` puts the pools here.
  std::vector<Prefix> pools;
  /// Names for the rules of policies; each name once.
  std::vector<PrefixSet> prefix_sets;
  std::vector<CommunitySet> community_sets;
  std::vector<PolicySettings> policies;
  std::vector<PeerSettings> peers;

  bool operator==(const Settings&) const = default;
};

}  // namespace weft::bgp
