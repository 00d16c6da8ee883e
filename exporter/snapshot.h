// Snapshot: what weftd counts, as plain numbers at one moment, filled by the daemon's main loop,
// turned into metrics by exporter/metrics. No other module's types. What weftd does not know is
// left empty, and then is no series at all.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/ip.h"

namespace weft::exporter {

/// Networks that have series of their own; the containers of all others are counted as network
/// "other".
inline constexpr std::size_t network_limit = 64;

/// Observations counted in buckets, one more than there are bounds: the last is for everything
/// above.
struct Histogram {
  /// Upper bounds, ascending, in the base unit of the metric.
  std::vector<double> bounds;
  /// Not cumulative; bounds.size() + 1 of them.
  std::vector<std::uint64_t> buckets;
  double sum = 0;

  Histogram() : buckets(1) {}
  explicit Histogram(std::vector<double> upper_bounds)
      : bounds(std::move(upper_bounds)), buckets(bounds.size() + 1) {}

  void observe(double value) {
    const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
    ++buckets[static_cast<std::size_t>(bucket)];
    sum += value;
  }
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t all = 0;
    for (const std::uint64_t bucket : buckets) all += bucket;
    return all;
  }
};

/// Bounds in seconds for weft_cni_request_seconds: 100 us to 5 s.
inline std::vector<double> cni_bounds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
          0.05,   0.1,     0.25,   0.5,   1,      2.5,   5};
}

/// Bounds in seconds for weft_event_loop_lag_seconds: 100 us to 5 s; 200 ms is what no work of ours
/// may exceed.
inline std::vector<double> lag_bounds() {
  return {0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5};
}

/// RFC 4271 8.2.2, and the order of the state set.
enum class PeerState : std::uint8_t { idle, connect, active, open_sent, open_confirm, established };

struct MessageCounts {
  std::uint64_t open = 0;
  std::uint64_t update = 0;
  std::uint64_t notification = 0;
  std::uint64_t keepalive = 0;
  std::uint64_t route_refresh = 0;
  std::uint64_t octets = 0;
};

struct PeerFamily {
  Family family = Family::ipv4;
  std::uint64_t received = 0;
  std::uint64_t accepted = 0;
  std::uint64_t selected = 0;
  std::uint64_t advertised = 0;
  bool end_of_rib_received = false;
  bool end_of_rib_sent = false;
  /// Not held because of a limit, in this session.
  std::uint64_t discarded = 0;
  /// Of the received: kept from a session that is over (RFC 4724).
  std::uint64_t stale = 0;
  /// Not held because of the limit of all peers, in this session.
  std::uint64_t unheld = 0;
};

/// How often connections of a peer ended for one reason.
struct SessionEnds {
  std::string reason;
  bool by_peer = false;
  /// A session ended; else a connection that was none yet.
  bool established = false;
  std::uint64_t count = 0;
};

struct Peer {
  std::string name;
  std::string description;
  std::string address;
  /// 0 while unknown.
  std::uint32_t asn = 0;
  bool external = true;
  PeerState state = PeerState::idle;
  /// `shutdown: true`: down because the operator wants it.
  bool shutdown = false;
  /// When the running session came up, in seconds since 1970.
  std::optional<double> established_at;
  /// Since when there is none, in seconds since 1970.
  std::optional<double> down_at = {};
  std::uint64_t established_count = 0;
  MessageCounts received;
  MessageCounts sent;
  /// Octets produced and not yet written to the connection.
  std::uint64_t queue_octets = 0;
  /// UPDATEs that were malformed and treated as withdrawals (RFC 7606).
  std::uint64_t malformed_updates = 0;
  /// Prefixes announced with ourselves in their path, and leaked ones (RFC 9234).
  std::uint64_t looped = 0;
  std::uint64_t leaked = 0;
  std::vector<SessionEnds> ends;
  /// Sessions that ended so that the peer's routes were kept.
  std::uint64_t graceful_restarts = 0;
  /// Paths that the peer did not repeat in a refresh (RFC 7313).
  std::uint64_t stale_swept = 0;
  /// As negotiated; 0 means no keepalives.
  std::optional<double> hold_time_seconds;
  std::vector<std::string> capabilities;
  std::vector<PeerFamily> families;
  std::optional<std::uint32_t> prefix_limit;
  std::optional<std::uint32_t> accepted_prefix_limit;
};

/// A listen range.
struct PeerRange {
  std::string name;
  std::uint64_t peers = 0;
  std::uint64_t limit = 0;
  std::uint64_t refused = 0;
};

/// BFD beside the session of a peer.
struct Bfd {
  std::string peer;
  bool up = false;
  /// How often it left Up.
  std::uint64_t losses = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  double detection_time_seconds = 0;
};

/// The Loc-RIB of one family.
struct Rib {
  std::uint64_t local_routes = 0;
  std::uint64_t bgp_routes = 0;
  std::uint64_t paths = 0;
};

/// The kernel's routes of one family.
struct Fib {
  std::uint64_t unicast = 0;
  std::uint64_t blackhole = 0;
  std::uint64_t host = 0;
  /// Missing, different or superfluous in the kernel and not yet repaired.
  std::uint64_t drift = 0;
};

struct FibOperation {
  /// "put", "remove"
  std::string op;
  /// "ok", "refused"
  std::string result;
  std::uint64_t count = 0;
};

struct PoolFamily {
  Family family = Family::ipv4;
  /// Addresses of the blocks of this host.
  std::uint64_t capacity = 0;
  std::uint64_t held = 0;
  std::uint64_t cooling = 0;
  std::uint64_t reserved = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t lent = 0;
  std::uint64_t free = 0;
};

struct Pool {
  std::string name;
  std::vector<PoolFamily> families;
  /// By state.
  std::map<std::string, std::uint64_t> blocks{
      {"owned", 0}, {"draining", 0}, {"releasing", 0}, {"lost", 0}, {"foreign", 0}};
  /// Blocks that another host announces too.
  std::uint64_t contested = 0;
};

/// Addresses of one host's blocks in the hands of another's containers.
struct Exceptions {
  std::uint64_t borrowed = 0;
  std::uint64_t lent = 0;
  std::uint64_t limit = 0;
  /// Fixed addresses asked for, by "granted", "refused", "late", "limit".
  std::map<std::string, std::uint64_t> requests;
  /// Addresses that were lent and given here too.
  std::uint64_t conflicts = 0;
};

struct Uplink {
  std::string interface;
  bool up = false;
  std::uint64_t transitions = 0;
  /// Octets.
  std::optional<std::uint32_t> mtu;
};

/// Requests of one verb and their answers: "ok", "bad-request", "not-found", …
struct CniRequests {
  /// "add", "del", "check"
  std::string verb;
  std::map<std::string, std::uint64_t> results;
  /// From request read to reply written, in seconds.
  Histogram seconds{cni_bounds()};
};

/// Routes that met a rule of a policy.
struct PolicyRule {
  std::string policy;
  /// Empty: met none and were rejected.
  std::string rule;
  std::uint64_t import_hits = 0;
  std::uint64_t export_hits = 0;
};

/// RFC 4271 9.2.2.2.
struct Aggregate {
  std::string prefix;
  bool announced = false;
  std::uint64_t contributing = 0;
  /// Times it was announced or withdrawn.
  std::uint64_t changes = 0;
};

/// Of the configuration, with its conditions.
struct ConditionalAnnouncement {
  std::string prefix;
  bool announced = false;
  std::uint64_t changes = 0;
};

/// A monitoring station of BMP.
struct Station {
  std::string name;
  bool up = false;
  std::uint64_t connections = 0;
  /// By type, in the order of RFC 7854 4.1: route monitoring, statistics report, peer down, peer
  /// up, initiation, termination.
  std::array<std::uint64_t, 6> messages{};
  std::uint64_t octets = 0;
  std::uint64_t peers = 0;
  std::uint64_t pending = 0;
  std::uint64_t overruns = 0;
  std::uint64_t flushes = 0;
  std::uint64_t memory = 0;
};

struct Snapshot {
  std::string version;
  std::string commit;
  /// Seconds since 1970.
  double start_time = 0;
  /// Initial synchronisation is over and requests are served.
  bool ready = false;
  /// How late timers of BGP were served, in seconds.
  Histogram loop_lag_seconds{lag_bounds()};

  /// Short hash of the text that is running.
  std::string config_hash;
  bool config_last_reload_successful = true;
  double config_last_reload_success_time = 0;

  std::uint32_t local_asn = 0;
  std::string router_id;
  /// Peers are asked to use another way (RFC 8326).
  bool draining = false;
  /// weftd has restarted and waits for its peers' routes before it chooses (RFC 4724 4.1).
  bool restarting = false;
  std::vector<Peer> peers;
  std::vector<Bfd> bfd;
  /// TCP segments of this network namespace that the kernel dropped, by cause; empty: it does not
  /// say.
  std::map<std::string, std::uint64_t> tcp_drops;
  std::vector<PeerRange> ranges;
  /// By family: ipv4, ipv6.
  std::array<Rib, 2> rib;
  /// Paths that all peers together may have.
  std::optional<std::uint32_t> path_limit;
  std::vector<PolicyRule> policy_rules;
  std::vector<Aggregate> aggregates;
  std::vector<ConditionalAnnouncement> announcements;
  std::vector<Station> stations;

  /// None: weftd does not touch the kernel (fib.install: false).
  std::optional<std::array<Fib, 2>> fib;
  /// Routes as wanted, by the kernel's table.
  std::map<std::uint32_t, std::uint64_t> fib_tables;
  /// net.ipv4.nexthop_compat_mode is 0: a change of a group is one notification, not one a route.
  bool fib_fast_groups = true;
  std::uint64_t fib_pending = 0;
  std::uint64_t fib_failed = 0;
  std::uint64_t fib_foreign = 0;
  std::uint64_t nexthops = 0;
  std::uint64_t nexthop_groups = 0;
  std::vector<FibOperation> fib_operations;
  /// By cause.
  std::map<std::string, std::uint64_t> fib_repairs;
  /// From the decision to the kernel's answer, in seconds.
  std::optional<Histogram> fib_programming_seconds;
  std::uint64_t netlink_overruns = 0;

  std::vector<Pool> pools;
  Exceptions exceptions;
  /// Addresses freed because their container was gone, by "gc", "boot", "netns".
  std::map<std::string, std::uint64_t> reclaimed_addresses;
  /// Containers that a GC did not list and that were kept, because they live.
  std::uint64_t spared_by_gc = 0;
  /// Addresses given though they still rested.
  std::uint64_t cool_downs_waived = 0;
  /// Addresses found in use that were free by the records.
  std::uint64_t quarantines = 0;
  /// The store took its last write.
  bool store_up = true;
  /// By pool: claims of blocks by result, blocks of ours found to be another's, blocks given back
  /// by reason.
  std::map<std::string, std::map<std::string, std::uint64_t>> claims;
  std::map<std::string, std::uint64_t> claim_conflicts;
  std::map<std::string, std::map<std::string, std::uint64_t>> releases;
  std::optional<Histogram> claim_seconds;
  /// The store that hosts share answers and is known; none: there is none.
  std::optional<bool> claims_synced;
  /// By operation, by result.
  std::map<std::string, std::map<std::string, std::uint64_t>> store_requests;
  std::optional<Histogram> store_request_seconds;

  std::vector<CniRequests> cni;
  /// Dropped, because a container sent them with a source address that is not its own.
  std::uint64_t spoofed_packets = 0;
  /// By network.
  std::map<std::string, std::uint64_t> containers;
  std::vector<Uplink> uplinks;
};

/// 0, 1: where a family stands in the arrays above.
constexpr std::size_t index_of(Family family) {
  return family == Family::ipv4 ? 0 : 1;
}

}  // namespace weft::exporter
