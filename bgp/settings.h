// What an operator sets of BGP: this speaker and its peers. Plain data, filled by `config`, read by
// `bgp`; the defaults here are the defaults of the product.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bgp/types.h"
#include "net/ip.h"

namespace weft::bgp {

/// `remote-as: external`: any AS but ours (RFC 7938 practice); `internal`: ours.
enum class RemoteAs : std::uint8_t { external, internal };

/// What is let through on one side of a session.
/// `host`: RFC 8212-safe template of a fabric host. In: prefixes inside our pools, and the default
/// route when Settings::default_route is set. Out: what this node originates, nothing it learned.
/// `accept`: everything that is loop-free.
enum class Filter : std::uint8_t { host, accept };

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
  /// RFC 7911: families in which the peer may tell us several paths of a prefix.
  std::vector<Family> add_path_receive;
  /// And those in which we tell it several.
  std::map<Family, AddPathSend> add_path_send;
  /// Never connect, only accept.
  bool passive = false;
  /// RFC 5082: send with TTL 255 and refuse what arrives with less. Only for a peer one hop away.
  bool gtsm = true;
  bool shutdown = false;
  /// RFC 4456: we reflect to this internal peer what other internal peers say, and what it says to
  /// all of them.
  bool route_reflector_client = false;
  /// 0 (no keepalives) or 3..65535 s; keepalives go out at a third of what was negotiated.
  std::chrono::seconds hold_time{9};
  /// 1..65535 s, jittered by 0.75..1.0 (RFC 4271 10).
  std::chrono::seconds connect_retry{5};
  /// First wait after a session ended by an error, 0..3600 s; doubles up to 30 s (RFC 4271 8.1.1
  /// DampPeerOscillations).
  std::chrono::seconds idle_hold{1};
  /// RFC 9687: a peer that takes nothing for this long is dropped. 0 (off) or 1..65535 s.
  std::chrono::seconds send_hold{90};
  /// Default by session type: eBGP `host`, iBGP `accept`.
  std::optional<Filter> import_filter;
  std::optional<Filter> export_filter;
  /// Ends the session with Cease/1 above this many prefixes of one family (RFC 4486). 1..2^32-1;
  /// none: no limit.
  std::optional<std::uint32_t> prefix_limit;

  bool operator==(const PeerSettings&) const = default;
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
  /// Filter::host takes 0.0.0.0/0 and ::/0 from peers as well.
  bool default_route = false;
  /// Filter::host takes prefixes inside these; `config` puts the pools here.
  std::vector<Prefix> pools;
  std::vector<PeerSettings> peers;

  bool operator==(const Settings&) const = default;
};

}  // namespace weft::bgp
