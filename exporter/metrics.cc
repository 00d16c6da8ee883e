#include "exporter/metrics.h"

#include <fmt/format.h>
#include <prometheus/client_metric.h>
#include <prometheus/metric_type.h>

#include <array>
#include <cassert>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace weft::exporter {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Labels = std::vector<ClientMetric::Label>;

constexpr std::array<Family, 2> families{Family::ipv4, Family::ipv6};

constexpr std::array<std::string_view, 6> peer_states{"idle",      "connect",      "active",
                                                      "open_sent", "open_confirm", "established"};

/// One family being filled.
class Metric {
 public:
  Metric(MetricType type, const char* name, const char* help) {
    family_.type = type;
    family_.name = name;
    family_.help = help;
  }

  void add(Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (family_.type == MetricType::Counter) metric.counter.value = value;
    if (family_.type == MetricType::Gauge) metric.gauge.value = value;
    family_.metric.push_back(std::move(metric));
  }
  // Counts stay exact up to 2^53, which no counter of ours will see.
  void add(Labels labels, std::uint64_t value) {
    add(std::move(labels), static_cast<double>(value));
  }
  void add(Labels labels, bool value) { add(std::move(labels), value ? 1.0 : 0.0); }
  void add(Labels labels, const Histogram& histogram) {
    assert(histogram.buckets.size() == histogram.bounds.size() + 1);
    ClientMetric metric;
    metric.label = std::move(labels);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < histogram.buckets.size(); ++i) {
      below += histogram.buckets[i];
      const double bound = i < histogram.bounds.size() ? histogram.bounds[i]
                                                       : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({below, bound});
    }
    metric.histogram.sample_count = below;
    metric.histogram.sample_sum = histogram.sum;
    family_.metric.push_back(std::move(metric));
  }

  [[nodiscard]] MetricFamily&& take() { return std::move(family_); }

 private:
  MetricFamily family_;
};

Metric gauge(const char* name, const char* help) {
  return {MetricType::Gauge, name, help};
}
Metric counter(const char* name, const char* help) {
  return {MetricType::Counter, name, help};
}
Metric histogram(const char* name, const char* help) {
  return {MetricType::Histogram, name, help};
}

std::string text(Family family) {
  return std::string(weft::name(family));
}

class Exposition {
 public:
  void take(std::initializer_list<Metric*> metrics) {
    for (Metric* metric : metrics) {
      MetricFamily family = metric->take();
      if (!family.metric.empty()) families_.push_back(std::move(family));
    }
  }
  [[nodiscard]] std::vector<MetricFamily> all() && { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void add_life(const Snapshot& s, Exposition& out) {
  auto build = gauge("weft_build_info", "Version and commit of the running weftd; always 1.");
  build.add({{"version", s.version}, {"commit", s.commit}}, true);
  auto node = gauge("weft_bgp_node_info", "AS number and BGP Identifier of this host; always 1.");
  node.add({{"local_as", fmt::format("{}", s.local_asn)}, {"router_id", s.router_id}}, true);
  auto start = gauge("weft_start_time_seconds", "When weftd started, in seconds since 1970.");
  start.add({}, s.start_time);
  auto ready = gauge("weft_ready",
                     "1 once peers have sent their routes after the start, or are waited for no "
                     "longer.");
  ready.add({}, s.ready);
  auto reload =
      gauge("weft_config_last_reload_successful",
            "0 when the last reload was refused and the configuration before it runs on.");
  reload.add({}, s.config_last_reload_successful);
  auto reloaded = gauge("weft_config_last_reload_success_timestamp_seconds",
                        "When the running configuration was read, in seconds since 1970.");
  reloaded.add({}, s.config_last_reload_success_time);
  auto config = gauge("weft_config_info", "Hash of the running configuration; always 1.");
  config.add({{"hash", s.config_hash}}, true);
  auto lag = histogram("weft_event_loop_lag_seconds",
                       "How late BGP's timers were served because the main loop was busy.");
  lag.add({}, s.loop_lag_seconds);
  auto draining = gauge("weft_draining", "1 while peers are asked to use another way (RFC 8326).");
  draining.add({}, s.draining);
  auto restarting = gauge("weft_bgp_restarting",
                          "1 while weftd, restarted, waits for its peers' routes before it chooses "
                          "among them (RFC 4724).");
  restarting.add({}, s.restarting);
  out.take(
      {&build, &node, &start, &ready, &reload, &reloaded, &config, &lag, &draining, &restarting});
}

void add_sessions(const Snapshot& s, Exposition& out) {
  auto info = gauge("weft_bgp_peer_info",
                    "Facts of a peer, to be joined by the label peer; always 1. peer_as is 0 while "
                    "it is not known.");
  auto up = gauge("weft_bgp_peer_up", "1 while the session is established.");
  auto shutdown = gauge("weft_bgp_peer_shutdown", "1 while the operator keeps the session down.");
  auto state = gauge("weft_bgp_peer_state",
                     "1 for the state the session is in (RFC 4271 8.2.2), 0 for the others.");
  auto since = gauge("weft_bgp_peer_established_timestamp_seconds",
                     "When the running session came up, in seconds since 1970.");
  auto down = gauge("weft_bgp_peer_down_timestamp_seconds",
                    "Since when there is no session, in seconds since 1970: the last one ended, or "
                    "the peer was configured, or started after a shutdown.");
  auto count = counter("weft_bgp_peer_established_total", "Sessions that came up.");
  auto restarts = counter("weft_bgp_peer_graceful_restarts_total",
                          "Sessions that ended so that the peer's routes were kept (RFC 4724).");
  auto hold = gauge("weft_bgp_peer_hold_time_seconds",
                    "Hold time negotiated in the running session; 0: no keepalives.");
  auto queue = gauge("weft_bgp_peer_queue_bytes",
                     "Octets made for the peer that its connection has not taken yet.");
  auto capability =
      gauge("weft_bgp_peer_capability", "1 for each capability both sides have announced.");
  for (const Peer& peer : s.peers) {
    const ClientMetric::Label name{"peer", peer.name};
    info.add({name,
              {"address", peer.address},
              {"peer_as", fmt::format("{}", peer.asn)},
              {"local_as", fmt::format("{}", s.local_asn)},
              {"type", peer.external ? "external" : "internal"},
              {"description", peer.description}},
             true);
    up.add({name}, peer.state == PeerState::established);
    shutdown.add({name}, peer.shutdown);
    for (std::size_t i = 0; i < peer_states.size(); ++i) {
      state.add({name, {"state", std::string(peer_states[i])}},
                static_cast<std::size_t>(peer.state) == i);
    }
    if (peer.established_at) since.add({name}, *peer.established_at);
    if (peer.down_at) down.add({name}, *peer.down_at);
    count.add({name}, peer.established_count);
    restarts.add({name}, peer.graceful_restarts);
    if (peer.hold_time_seconds) hold.add({name}, *peer.hold_time_seconds);
    queue.add({name}, peer.queue_octets);
    for (const std::string& both : peer.capabilities) {
      capability.add({name, {"capability", both}}, true);
    }
  }
  out.take({&info, &up, &shutdown, &state, &since, &down, &count, &restarts, &hold, &queue,
            &capability});
}

void add_ranges(const Snapshot& s, Exposition& out) {
  auto peers = gauge("weft_bgp_range_peers", "Peers that a listen range has let in.");
  auto limit = gauge("weft_bgp_range_limit", "Peers that a listen range lets in at most.");
  auto refused = counter("weft_bgp_range_refused_total",
                         "Connections refused because their listen range was full.");
  for (const PeerRange& range : s.ranges) {
    const ClientMetric::Label name{"range", range.name};
    peers.add({name}, range.peers);
    limit.add({name}, range.limit);
    refused.add({name}, range.refused);
  }
  out.take({&peers, &limit, &refused});
}

void add_messages(const Snapshot& s, Exposition& out) {
  auto messages = counter("weft_bgp_messages_total", "BGP messages by direction and type.");
  auto octets = counter("weft_bgp_message_bytes_total",
                        "Octets of BGP messages by direction, headers included.");
  auto errors = counter("weft_bgp_errors_total",
                        "Faults of what a peer says that did not end the session; kind "
                        "malformed_update: UPDATEs treated as withdrawals (RFC 7606); loop: "
                        "prefixes announced with our AS, router id or cluster id in their path; "
                        "leak: with an ONLY_TO_CUSTOMER that the peer's role forbids (RFC 9234); "
                        "stale_after_refresh: paths not repeated in a refresh (RFC 7313).");
  auto ends = counter("weft_bgp_session_ends_total",
                      "Ends of a peer's connections by reason and by whom (us, peer), of sessions "
                      "(state established) and of those that were none yet (opening); only what "
                      "has happened has a series.");
  for (const Peer& peer : s.peers) {
    const ClientMetric::Label name{"peer", peer.name};
    const auto add = [&](const char* direction, const MessageCounts& counts) {
      const ClientMetric::Label way{"direction", direction};
      messages.add({name, way, {"type", "open"}}, counts.open);
      messages.add({name, way, {"type", "update"}}, counts.update);
      messages.add({name, way, {"type", "notification"}}, counts.notification);
      messages.add({name, way, {"type", "keepalive"}}, counts.keepalive);
      messages.add({name, way, {"type", "route_refresh"}}, counts.route_refresh);
      octets.add({name, way}, counts.octets);
    };
    add("received", peer.received);
    add("sent", peer.sent);
    errors.add({name, {"kind", "malformed_update"}}, peer.malformed_updates);
    errors.add({name, {"kind", "stale_after_refresh"}}, peer.stale_swept);
    errors.add({name, {"kind", "loop"}}, peer.looped);
    errors.add({name, {"kind", "leak"}}, peer.leaked);
    for (const SessionEnds& end : peer.ends) {
      ends.add({name,
                {"reason", end.reason},
                {"by", end.by_peer ? "peer" : "us"},
                {"state", end.established ? "established" : "opening"}},
               end.count);
    }
  }
  auto drops = counter("weft_tcp_dropped_segments_total",
                       "TCP segments that the kernel dropped in this network namespace, of BGP or "
                       "not, by cause: md5_missing, md5_unexpected and md5_wrong (RFC 2385), ttl "
                       "(RFC 5082).");
  for (const auto& [cause, count] : s.tcp_drops) drops.add({{"cause", cause}}, count);
  out.take({&messages, &octets, &errors, &ends, &drops});
}

void add_bfd(const Snapshot& s, Exposition& out) {
  auto up = gauge("weft_bfd_session_up", "1 while the BFD session of the peer is Up.");
  auto losses = counter("weft_bfd_losses_total", "How often the BFD session left Up.");
  auto packets = counter("weft_bfd_packets_total", "BFD Control packets by direction.");
  auto detection = gauge("weft_bfd_detection_time_seconds",
                         "Silence after which the path counts as failed, as negotiated.");
  for (const Bfd& session : s.bfd) {
    const ClientMetric::Label name{"peer", session.peer};
    up.add({name}, session.up);
    losses.add({name}, session.losses);
    packets.add({name, {"direction", "sent"}}, session.sent);
    packets.add({name, {"direction", "received"}}, session.received);
    detection.add({name}, session.detection_time_seconds);
  }
  out.take({&up, &losses, &packets, &detection});
}

void add_prefixes(const Snapshot& s, Exposition& out) {
  auto prefixes = gauge("weft_bgp_prefixes",
                        "Prefixes of a peer by stage: received from it, of these accepted or "
                        "filtered by the import policy, of these selected as best or to share the "
                        "load; stale, kept from a session that is over; and advertised to it.");
  auto end_of_rib = gauge("weft_bgp_eor",
                          "1 once the End-of-RIB marker of the running session has gone this way "
                          "(RFC 4724 2).");
  auto limit =
      gauge("weft_bgp_prefix_limit", "Prefixes of this family that the peer may announce.");
  auto accepted_limit = gauge("weft_bgp_accepted_prefix_limit",
                              "Prefixes of this family from the peer that may be accepted.");
  auto discarded = gauge("weft_bgp_discarded_prefixes",
                         "Prefixes of this family that were not held because of a limit, in the "
                         "running session.");
  auto unheld = gauge("weft_bgp_unheld_paths",
                      "Paths of this family that were not held because all peers together had as "
                      "many as bgp.path-limit says, in the running session.");
  for (const Peer& peer : s.peers) {
    const ClientMetric::Label name{"peer", peer.name};
    for (const PeerFamily& family : peer.families) {
      const ClientMetric::Label which{"family", text(family.family)};
      const std::uint64_t filtered =
          family.received >= family.accepted ? family.received - family.accepted : 0;
      prefixes.add({name, which, {"stage", "received"}}, family.received);
      prefixes.add({name, which, {"stage", "accepted"}}, family.accepted);
      prefixes.add({name, which, {"stage", "filtered"}}, filtered);
      prefixes.add({name, which, {"stage", "stale"}}, family.stale);
      prefixes.add({name, which, {"stage", "selected"}}, family.selected);
      prefixes.add({name, which, {"stage", "advertised"}}, family.advertised);
      end_of_rib.add({name, which, {"direction", "received"}}, family.end_of_rib_received);
      end_of_rib.add({name, which, {"direction", "sent"}}, family.end_of_rib_sent);
      if (peer.prefix_limit) limit.add({name, which}, std::uint64_t{*peer.prefix_limit});
      if (peer.accepted_prefix_limit) {
        accepted_limit.add({name, which}, std::uint64_t{*peer.accepted_prefix_limit});
      }
      if (s.path_limit) unheld.add({name, which}, family.unheld);
      if (peer.prefix_limit || peer.accepted_prefix_limit) {
        discarded.add({name, which}, family.discarded);
      }
    }
  }
  out.take({&prefixes, &end_of_rib, &limit, &accepted_limit, &discarded, &unheld});
}

void add_policies(const Snapshot& s, Exposition& out) {
  auto hits = counter("weft_bgp_policy_rule_hits_total",
                      "Routes that met a rule of a policy, each time they were asked about, by "
                      "direction; with an empty rule: rejected because none matched.");
  for (const PolicyRule& rule : s.policy_rules) {
    hits.add({{"policy", rule.policy}, {"rule", rule.rule}, {"direction", "import"}},
             rule.import_hits);
    hits.add({{"policy", rule.policy}, {"rule", rule.rule}, {"direction", "export"}},
             rule.export_hits);
  }
  out.take({&hits});
}

void add_aggregates(const Snapshot& s, Exposition& out) {
  auto announced = gauge("weft_bgp_aggregate_announced", "1 while the aggregate is announced.");
  auto contributing = gauge("weft_bgp_aggregate_contributing_routes",
                            "Prefixes inside of the aggregate that have a route.");
  auto flaps = counter("weft_bgp_aggregate_changes_total",
                       "Times the aggregate was announced or withdrawn.");
  for (const Aggregate& each : s.aggregates) {
    const ClientMetric::Label prefix{"aggregate", each.prefix};
    announced.add({prefix}, each.announced);
    contributing.add({prefix}, each.contributing);
    flaps.add({prefix}, each.changes);
  }
  auto holds = gauge("weft_bgp_announcement_announced",
                     "1 while the conditions of the configured announcement hold.");
  auto turns = counter("weft_bgp_announcement_changes_total",
                       "Times the configured announcement was announced or withdrawn.");
  for (const ConditionalAnnouncement& each : s.announcements) {
    holds.add({{"announcement", each.prefix}}, each.announced);
    turns.add({{"announcement", each.prefix}}, each.changes);
  }
  out.take({&announced, &contributing, &flaps, &holds, &turns});
}

void add_stations(const Snapshot& s, Exposition& out) {
  static constexpr std::array<std::string_view, 6> types{
      "route-monitoring", "statistics-report", "peer-down", "peer-up", "initiation", "termination"};
  auto up = gauge("weft_bmp_station_up", "1 while the monitoring station is connected to.");
  auto connections = counter("weft_bmp_connections_total", "Connections that came up.");
  auto messages = counter("weft_bmp_messages_total", "BMP messages told to the station, by type.");
  auto octets = counter("weft_bmp_message_bytes_total", "Octets of these messages.");
  auto peers = gauge("weft_bmp_peers", "Sessions the station is shown, the Loc-RIB being one.");
  auto pending = gauge("weft_bmp_pending_changes",
                       "Changes of routes that the station has not been told of yet.");
  auto overruns = counter("weft_bmp_overruns_total",
                          "Times the station read too slowly for its changes to be kept: walk, the "
                          "table was told again; flush, a peer was told down and up again.");
  auto memory = gauge("weft_bmp_memory_bytes", "What is kept for the station, about.");
  for (const Station& station : s.stations) {
    const ClientMetric::Label name{"station", station.name};
    up.add({name}, station.up);
    connections.add({name}, station.connections);
    for (std::size_t i = 0; i < types.size(); ++i)
      messages.add({name, {"type", std::string(types[i])}}, station.messages[i]);
    octets.add({name}, station.octets);
    peers.add({name}, station.peers);
    pending.add({name}, station.pending);
    overruns.add({name, {"kind", "walk"}}, station.overruns);
    overruns.add({name, {"kind", "flush"}}, station.flushes);
    memory.add({name}, station.memory);
  }
  out.take({&up, &connections, &messages, &octets, &peers, &pending, &overruns, &memory});
}

void add_rib(const Snapshot& s, Exposition& out) {
  auto routes = gauge("weft_rib_routes", "Routes of the Loc-RIB by where they come from.");
  auto paths = gauge("weft_rib_paths", "Paths known for the routes of the Loc-RIB.");
  for (const Family family : families) {
    const Rib& rib = s.rib[index_of(family)];
    const ClientMetric::Label which{"family", text(family)};
    routes.add({which, {"source", "local"}}, rib.local_routes);
    routes.add({which, {"source", "bgp"}}, rib.bgp_routes);
    paths.add({which}, rib.paths);
  }
  auto limit = gauge("weft_rib_path_limit",
                     "Paths that all peers together may have, of both families (bgp.path-limit).");
  if (s.path_limit) limit.add({}, std::uint64_t{*s.path_limit});
  out.take({&routes, &paths, &limit});
}

void add_fib(const Snapshot& s, Exposition& out) {
  if (!s.fib) return;
  auto routes = gauge("weft_fib_routes", "Routes of weft in the kernel, as wanted, by kind.");
  auto drift = gauge("weft_fib_drift_routes",
                     "Routes found missing, different or superfluous in the kernel and not yet "
                     "repaired. Above 0 for long: something fights with weft.");
  for (const Family family : families) {
    const Fib& fib = (*s.fib)[index_of(family)];
    const ClientMetric::Label which{"family", text(family)};
    routes.add({which, {"kind", "unicast"}}, fib.unicast);
    routes.add({which, {"kind", "blackhole"}}, fib.blackhole);
    routes.add({which, {"kind", "host"}}, fib.host);
    drift.add({which}, fib.drift);
  }
  auto tables = gauge("weft_fib_table_routes",
                      "Routes of weft in the kernel, as wanted, by the table they are in.");
  for (const auto& [table, count] : s.fib_tables)
    tables.add({{"table", std::to_string(table)}}, count);
  auto missing = gauge("weft_fib_missing_routes",
                       "Routes wanted in the kernel and not there: pending on their way, failed "
                       "refused by the kernel, foreign because another program holds the prefix.");
  const std::uint64_t stuck = s.fib_failed + s.fib_foreign;
  missing.add({{"reason", "pending"}}, s.fib_pending >= stuck ? s.fib_pending - stuck : 0);
  missing.add({{"reason", "failed"}}, s.fib_failed);
  missing.add({{"reason", "foreign"}}, s.fib_foreign);
  auto compat =
      gauge("weft_fib_nexthop_compat_mode",
            "1: net.ipv4.nexthop_compat_mode could not be set to 0, and failover is slow.");
  compat.add({}, !s.fib_fast_groups);
  auto nexthops = gauge("weft_fib_nexthops", "Nexthop objects of weft in the kernel.");
  nexthops.add({}, s.nexthops);
  auto groups = gauge("weft_fib_nexthop_groups", "Nexthop groups of weft in the kernel.");
  groups.add({}, s.nexthop_groups);
  auto operations =
      counter("weft_fib_operations_total", "Route operations the kernel has answered, by result.");
  for (const FibOperation& operation : s.fib_operations) {
    operations.add({{"op", operation.op}, {"result", operation.result}}, operation.count);
  }
  auto repairs = counter("weft_fib_repairs_total",
                         "Routes and nexthops put back because somebody or something had changed "
                         "them, by cause.");
  for (const auto& [cause, count] : s.fib_repairs) repairs.add({{"cause", cause}}, count);
  auto programming = histogram("weft_fib_programming_seconds",
                               "From the decision for a route to the kernel's answer.");
  if (s.fib_programming_seconds) programming.add({}, *s.fib_programming_seconds);
  auto overruns = counter("weft_netlink_overruns_total",
                          "Times the kernel dropped its notices to weft (ENOBUFS); each is "
                          "followed by a full comparison.");
  overruns.add({}, s.netlink_overruns);
  out.take({&routes, &tables, &drift, &missing, &compat, &nexthops, &groups, &operations, &repairs,
            &programming, &overruns});
}

void add_addresses(const Snapshot& s, Exposition& out) {
  auto addresses = gauge("weft_ipam_addresses",
                         "Addresses in the blocks of this host by state; capacity is the sum of "
                         "the others.");
  auto blocks = gauge("weft_ipam_blocks", "Blocks of this host by state.");
  auto contested = gauge("weft_ipam_contested_blocks",
                         "Blocks of this host that BGP shows at another host too.");
  for (const Pool& pool : s.pools) {
    const ClientMetric::Label name{"pool", pool.name};
    for (const PoolFamily& family : pool.families) {
      const ClientMetric::Label which{"family", text(family.family)};
      addresses.add({name, which, {"state", "capacity"}}, family.capacity);
      addresses.add({name, which, {"state", "held"}}, family.held);
      addresses.add({name, which, {"state", "cooling"}}, family.cooling);
      addresses.add({name, which, {"state", "reserved"}}, family.reserved);
      addresses.add({name, which, {"state", "quarantined"}}, family.quarantined);
      addresses.add({name, which, {"state", "lent"}}, family.lent);
      addresses.add({name, which, {"state", "free"}}, family.free);
    }
    for (const auto& [state, count] : pool.blocks) blocks.add({name, {"state", state}}, count);
    contested.add({name}, pool.contested);
  }
  auto reclaimed = counter("weft_ipam_reclaimed_addresses_total",
                           "Addresses freed because their container was gone without a DEL.");
  for (const auto& [reason, count] : s.reclaimed_addresses) {
    reclaimed.add({{"reason", reason}}, count);
  }
  auto store = gauge("weft_ipam_store_up", "1 while the store of allocations takes writes.");
  store.add({}, s.store_up);
  auto spared = counter("weft_ipam_gc_spared_total",
                        "Containers that a runtime's GC did not list and that were kept, because "
                        "they live.");
  spared.add({}, s.spared_by_gc);
  auto quarantines = counter("weft_ipam_quarantines_total",
                             "Addresses found in use that were free by the records.");
  quarantines.add({}, s.quarantines);
  auto waived = counter("weft_ipam_cool_downs_waived_total",
                        "Addresses given though they still rested, because there was no other.");
  waived.add({}, s.cool_downs_waived);
  out.take({&addresses, &blocks, &contested, &reclaimed, &spared, &quarantines, &waived, &store});
}

void add_claims(const Snapshot& s, Exposition& out) {
  auto claims = counter("weft_ipam_claims_total", "Claims of blocks of shared pools by result.");
  auto conflicts = counter("weft_ipam_claim_conflicts_total",
                           "Blocks of this host that turned out to be another's.");
  auto releases = counter("weft_ipam_releases_total", "Blocks given back, by reason.");
  for (const auto& [pool, results] : s.claims) {
    for (const auto& [result, count] : results)
      claims.add({{"pool", pool}, {"result", result}}, count);
  }
  for (const auto& [pool, count] : s.claim_conflicts) conflicts.add({{"pool", pool}}, count);
  for (const auto& [pool, reasons] : s.releases) {
    for (const auto& [reason, count] : reasons)
      releases.add({{"pool", pool}, {"reason", reason}}, count);
  }
  auto exceptions =
      gauge("weft_ipam_exceptions",
            "Addresses of one host's blocks that containers of another have: borrowed "
            "by containers here, each a route of its own in all routers; lent to "
            "other hosts; limit is the most that may be borrowed.");
  exceptions.add({{"state", "borrowed"}}, s.exceptions.borrowed);
  exceptions.add({{"state", "lent"}}, s.exceptions.lent);
  exceptions.add({{"state", "limit"}}, s.exceptions.limit);
  auto asked = counter("weft_ipam_exception_requests_total",
                       "Fixed addresses of other hosts' blocks asked for, by result; late: the "
                       "owner did not agree in time.");
  for (const auto& [result, count] : s.exceptions.requests) asked.add({{"result", result}}, count);
  auto doubly = counter("weft_ipam_exception_conflicts_total",
                        "Addresses that a container of another host has and one here as well.");
  doubly.add({}, s.exceptions.conflicts);
  out.take({&claims, &conflicts, &releases, &exceptions, &asked, &doubly});
  if (!s.claims_synced) return;
  auto synced = gauge("weft_ipam_claims_synced",
                      "1 while the store of claims answers and this host has seen all of it.");
  synced.add({}, *s.claims_synced);
  auto requests =
      counter("weft_ipam_store_requests_total", "Requests to the store of claims by result.");
  for (const auto& [op, results] : s.store_requests) {
    for (const auto& [result, count] : results)
      requests.add({{"op", op}, {"result", result}}, count);
  }
  auto claim = histogram("weft_ipam_claim_seconds", "From wanting a block to owning it.");
  if (s.claim_seconds) claim.add({}, *s.claim_seconds);
  auto request =
      histogram("weft_ipam_store_request_seconds", "Answered requests to the store of claims.");
  if (s.store_request_seconds) request.add({}, *s.store_request_seconds);
  out.take({&synced, &requests, &claim, &request});
}

void add_containers(const Snapshot& s, Exposition& out) {
  auto requests = counter("weft_cni_requests_total",
                          "Requests of weft-cni by verb and result: ok or the code of the error.");
  auto seconds =
      histogram("weft_cni_request_seconds", "From a request of weft-cni to weftd's reply.");
  for (const CniRequests& cni : s.cni) {
    for (const auto& [result, count] : cni.results) {
      requests.add({{"verb", cni.verb}, {"result", result}}, count);
    }
    seconds.add({{"verb", cni.verb}}, cni.seconds);
  }
  auto spoofed = counter("weft_cni_spoofed_packets_total",
                         "Packets dropped because their source was not their container's address.");
  spoofed.add({}, s.spoofed_packets);
  auto containers = gauge("weft_containers", "Containers that hold addresses, by network.");
  std::size_t named = 0;
  std::uint64_t other = 0;
  for (const auto& [network, count] : s.containers) {
    if (network == "other" || named >= network_limit) {
      other += count;
    } else {
      containers.add({{"network", network}}, count);
      ++named;
    }
  }
  if (other != 0) containers.add({{"network", "other"}}, other);
  out.take({&requests, &seconds, &spoofed, &containers});
}

void add_uplinks(const Snapshot& s, Exposition& out) {
  auto up = gauge("weft_uplink_up", "1 while the interface is up and has carrier.");
  auto transitions = counter("weft_uplink_transitions_total", "Changes between up and down.");
  auto mtu = gauge("weft_uplink_mtu_bytes", "MTU of the interface.");
  for (const Uplink& uplink : s.uplinks) {
    const ClientMetric::Label interface { "interface", uplink.interface };
    up.add({interface}, uplink.up);
    transitions.add({interface}, uplink.transitions);
    if (uplink.mtu) mtu.add({interface}, std::uint64_t{*uplink.mtu});
  }
  out.take({&up, &transitions, &mtu});
}

}  // namespace

std::vector<prometheus::MetricFamily> metrics(const Snapshot& snapshot) {
  Exposition out;
  add_life(snapshot, out);
  add_sessions(snapshot, out);
  add_bfd(snapshot, out);
  add_ranges(snapshot, out);
  add_messages(snapshot, out);
  add_prefixes(snapshot, out);
  add_policies(snapshot, out);
  add_aggregates(snapshot, out);
  add_stations(snapshot, out);
  add_rib(snapshot, out);
  add_fib(snapshot, out);
  add_addresses(snapshot, out);
  add_claims(snapshot, out);
  add_containers(snapshot, out);
  add_uplinks(snapshot, out);
  return std::move(out).all();
}

}  // namespace weft::exporter
