#include "daemon/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "bgp/tcp_ao.h"

namespace weft::daemon {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

/// RT_TABLE_MAIN
constexpr std::uint32_t main_table = 254;

std::string text(const std::optional<Address>& address) {
  return address ? address->text() : "";
}
std::string text(const std::optional<Prefix>& prefix) {
  return prefix ? prefix->text() : "";
}

/// "192.0.2.1"; of an unnumbered peer "fe80::1%eth1" (RFC 4007 11), "%eth1" before it was heard.
std::string address_text(const bgp::PeerStatus& peer) {
  if (peer.interface.empty()) return peer.address.text();
  return fmt::format("{}%{}", peer.address.is_unspecified() ? "" : peer.address.text(),
                     peer.interface);
}

bool established(const bgp::PeerStatus& peer) {
  return peer.state == bgp::PeerState::established;
}

ctl::Peer peer_view(const World& world, const bgp::PeerStatus& peer, Time now) {
  ctl::Peer view;
  view.name = peer.name;
  view.description = peer.description;
  view.address = address_text(peer);
  view.asn = peer.asn.value;
  view.type = peer.external ? "external" : "internal";
  view.state = bgp::name(peer.state);
  view.since = duration_cast<seconds>(now - peer.since);
  if (peer.router_id.value != 0) view.router_id = peer.router_id.text();
  view.local_address = text(peer.local_address);
  view.hold_time = peer.hold_time;
  view.keepalive = peer.keepalive;
  view.capabilities = peer.capabilities;
  for (const bgp::PeerFamilyStatus& family : peer.families) {
    view.families.push_back({std::string(name(family.family)),
                             family.received,
                             family.accepted,
                             family.selected,
                             family.advertised,
                             family.end_of_rib_received,
                             family.discarded,
                             family.passed_limit.has_value(),
                             family.passed_limit ? std::string(name_of(*family.passed_limit)) : "",
                             family.unheld,
                             family.stale,
                             std::string(name(family.retention)),
                             {}});
    if (family.stale_until)
      view.families.back().stale_left = duration_cast<seconds>(*family.stale_until - now);
  }
  view.graceful_restarts = peer.graceful_restarts;
  if (peer.placement.table != main_table) view.table = peer.placement.table;
  if (peer.placement.metric != world.config.fib.metric) view.metric = peer.placement.metric;
  view.route_reflector_client = peer.route_reflector_client;
  view.last_error =
      peer.shutdown && peer.last_error.empty() ? "shut down by the operator" : peer.last_error;
  const auto ago = [&](const std::string& what, Time at) {
    return what.empty() ? std::optional<std::uint64_t>()
                        : static_cast<std::uint64_t>(duration_cast<seconds>(now - at).count());
  };
  view.last_error_seconds = ago(peer.last_error, peer.last_error_at);
  view.last_attempt = peer.last_attempt;
  view.last_attempt_seconds = ago(peer.last_attempt, peer.last_attempt_at);
  view.messages_received = peer.received.messages();
  view.messages_sent = peer.sent.messages();
  view.established_count = peer.established_count;
  view.range = text(peer.range);
  view.password = peer.password;
  view.tcp_ao_keys = static_cast<std::uint32_t>(peer.tcp_ao_keys);
  view.our_capabilities = peer.our_capabilities;
  view.max_send = static_cast<std::uint32_t>(peer.max_send);
  view.max_receive = static_cast<std::uint32_t>(peer.max_receive);
  view.connect_retry = peer.connect_retry;
  view.send_hold = peer.send_hold;
  view.ttl = peer.setup.ttl;
  view.least_ttl = peer.setup.least_ttl;
  view.last_sent_notification = peer.last_sent_notification;
  view.last_received_notification = peer.last_received_notification;
  view.malformed_updates = peer.malformed_updates;
  view.looped = peer.looped;
  view.leaked = peer.leaked;
  for (const bgp::EndCount& end : peer.ends) {
    view.ends.emplace(fmt::format("{} by {}{}", name(end.reason), end.by_peer ? "peer" : "us",
                                  end.established ? "" : ", opening"),
                      end.count);
  }
  if (const auto tcp = peer.connection ? world.routing.tcp_facts(*peer.connection) : std::nullopt) {
    view.rtt_microseconds = static_cast<std::uint64_t>(tcp->rtt.count());
    view.mss = tcp->mss;
    view.retransmits = tcp->retransmits;
    view.send_queue = tcp->send_queue;
    view.receive_queue = tcp->receive_queue;
  }
  return view;
}

ctl::Path path_view(const World& world, const bgp::PathStatus& path) {
  ctl::Path view;
  view.peer = path.peer;
  view.path_id = path.path_id;
  view.next_hop = path.next_hop;
  view.as_path = path.as_path;
  view.origin = path.origin;
  view.local_pref = path.local_pref;
  view.med = path.med;
  view.communities = path.communities;
  view.aggregator = path.aggregator;
  view.originator_id = path.originator_id;
  view.cluster_list = path.cluster_list;
  view.best = path.best;
  view.multipath = path.multipath;
  view.lost_at = path.lost_at;
  view.stale = path.stale;
  if (path.route_behind) {
    view.resolved_through = path.route_behind->prefix.text();
    view.igp_metric = path.route_behind->metric;
    view.gateways = world.routing.describe(path.gateways);
  }
  return view;
}

/// What the kernel does with a route of this kind.
std::string kernel_state(const World& world, const bgp::RouteStatus& route) {
  const fib::Table* table = world.routing.table();
  if (table == nullptr) return "-";
  if (route.kind == bgp::RouteKind::via) return table->state(route.prefix);
  const std::string blackhole = table->state(route.prefix, fib::Kind::blackhole);
  return blackhole == "-" ? blackhole : "blackhole " + blackhole;
}

std::string owner_of(const World& world, const ipam::BlockId& block) {
  for (const ipam::RemoteBlock& remote : world.claims.core().remote()) {
    if (remote.id == block) return remote.host;
  }
  return {};
}

ctl::Exception exception_view(const World& world, const ipam::Place& place) {
  ctl::Exception view;
  const auto ipv4 = place.block.ipv4_at(place.ordinal);
  const Address address = ipv4 ? *ipv4 : *place.block.ipv6_at(place.ordinal);
  view.address = address.text();
  view.pool = place.block.pool;
  view.block = place.block.text();
  view.owner = owner_of(world, place.block);
  const auto& stored = world.claims.core().exceptions();
  const auto known = stored.find(view.address);
  view.state = known == stored.end() ? "not in etcd" : ipam::name(known->second.state);
  if (known != stored.end()) view.host = known->second.host;
  return view;
}

/// Those that containers here have, and those of ours that other hosts' have.
std::vector<ctl::Exception> exceptions_here(const World& world) {
  std::vector<ctl::Exception> all;
  const ipam::Allocator& allocator = world.containers.allocator();
  for (const ipam::Place& place : allocator.borrowed()) {
    ctl::Exception row = exception_view(world, place);
    row.host = world.config.node.name;
    row.advertised =
        world.routing.speaker().advertised_to(Prefix::host(*Address::parse(row.address)));
    all.push_back(std::move(row));
  }
  for (const auto& [place, host] : allocator.lent()) {
    ctl::Exception row = exception_view(world, place);
    row.owner = world.config.node.name;
    row.host = host;
    all.push_back(std::move(row));
  }
  return all;
}

/// A sentence for the route to one address.
std::string exception_of(const World& world, const Prefix& prefix) {
  if (!prefix.is_host()) return {};
  const auto is_it = [&](const ipam::Place& place) {
    return place.block.ipv4_at(place.ordinal) == prefix.address() ||
           place.block.ipv6_at(place.ordinal) == prefix.address();
  };
  for (const auto& [place, host] : world.containers.allocator().lent()) {
    if (is_it(place)) {
      return fmt::format("an address of this host's block {}, lent to a container of host {}",
                         place.block.text(), host);
    }
  }
  for (const ipam::Place& place : world.containers.allocator().borrowed()) {
    if (!is_it(place)) continue;
    const std::string owner = owner_of(world, place.block);
    return fmt::format("a container here has an address of block {} of {}", place.block.text(),
                       owner.empty() ? "nobody in etcd" : "host " + owner);
  }
  for (const auto& [address, exception] : world.claims.core().exceptions()) {
    if (!is_it(exception.place)) continue;
    return fmt::format("a container of host {} has an address of block {} of host {}",
                       exception.host, exception.place.block.text(),
                       owner_of(world, exception.place.block));
  }
  return {};
}

ctl::Route route_view(const World& world, const bgp::RouteStatus& route) {
  ctl::Route view;
  view.prefix = route.prefix.text();
  view.source = route.kind == bgp::RouteKind::local ? "local" : "bgp";
  for (const bgp::PathStatus& path : route.paths) view.paths.push_back(path_view(world, path));
  if (route.kind == bgp::RouteKind::via) {
    view.next_hops = world.routing.describe(world.routing.speaker().next_hops(route.next_hops));
  }
  view.kernel = kernel_state(world, route);
  view.exception = exception_of(world, route.prefix);
  return view;
}

std::vector<std::string> warnings(const World& world, const std::vector<bgp::PeerStatus>& peers,
                                  Time now) {
  std::vector<std::string> found = world.complaints;
  if (const std::string& fault = world.containers.statistics().filter_fault; !fault.empty()) {
    found.push_back(fault);
  }
  for (std::string& complaint : world.containers.allocator().complaints())
    found.push_back(std::move(complaint));
  for (const bgp::PeerStatus& peer : peers) {
    for (const bgp::PeerFamilyStatus& family : peer.families) {
      if (family.unheld != 0) {
        found.push_back(
            fmt::format("{} {} paths of peer {} are not held: bgp.path-limit, {}, is "
                        "reached",
                        family.unheld, name(family.family), peer.name,
                        world.config.bgp.path_limit.value_or(0)));
      }
      if (!family.passed_limit) continue;
      found.push_back(fmt::format(
          "peer {} is above its {} of {} {} prefixes: {} held, {} of them accepted{}", peer.name,
          name_of(*family.passed_limit), family.passed_limit->limit, name(family.family),
          family.received, family.accepted,
          family.discarded == 0 ? "" : fmt::format(", {} discarded", family.discarded)));
    }
    // A peer of a range may come and go.
    if (established(peer) || peer.shutdown || peer.range) continue;
    found.push_back(fmt::format("peer {} is down for {} s ({}){}{}{}{}", peer.name,
                                duration_cast<seconds>(now - peer.since).count(),
                                bgp::name(peer.state), peer.last_error.empty() ? "" : ": ",
                                peer.last_error,
                                peer.last_attempt.empty() ? "" : "; then: ", peer.last_attempt));
  }
  for (const bgp::StationStatus& station : world.routing.speaker().stations()) {
    if (station.state == bgp::StationState::up || station.last_error.empty()) continue;
    found.push_back(fmt::format("BMP station {} is away: {}", station.name, station.last_error));
  }
  const bgp::PathLimitStatus paths = world.routing.speaker().path_limit();
  if (paths.limit && paths.paths > *paths.limit) {
    found.push_back(fmt::format("{} paths of all peers are held, more than bgp.path-limit, {}",
                                paths.paths, *paths.limit));
  }
  if (peers.empty() && world.config.bgp.peers.empty())
    found.emplace_back("no BGP peers are configured: nobody learns of this host's containers");
  if (const fib::Table* table = world.routing.table()) {
    const fib::Snapshot fib = table->snapshot();
    if (fib.foreign != 0) {
      found.push_back(
          fmt::format("{} routes are not installed: foreign routes of the same metric stand there",
                      fib.foreign));
    }
    if (fib.failed > fib.foreign) {
      found.push_back(fmt::format("the kernel refuses {} routes; weftctl routes says why",
                                  fib.failed - fib.foreign));
    }
  }
  for (const Finding& finding : examine(patient_of(world))) {
    if (finding.state != Finding::State::wrong) continue;
    found.push_back(fmt::format("{} {}; {}", finding.subject, finding.message, finding.command));
  }
  for (const ipam::BlockStatus& block : world.containers.allocator().blocks(now)) {
    if (block.free != 0 || block.state != ipam::BlockState::owned) continue;
    found.push_back(fmt::format("block {} of pool {} is full", block.id.text(), block.id.pool));
  }
  for (std::string& complaint : world.claims.complaints()) found.push_back(std::move(complaint));
  if (!world.reload_fault.empty()) {
    found.push_back(
        fmt::format("the last reload failed: weftd runs with the configuration before it; {}",
                    world.reload_fault));
  }
  return found;
}

}  // namespace

Patient patient_of(const World& world) {
  Patient patient;
  patient.installs = world.config.fib.install;
  for (const Uplink& uplink : world.routing.uplinks()) patient.uplinks.push_back(uplink.link.name);
  for (const ipam::LeaseStatus& held : world.containers.allocator().leases()) {
    if (held.attached && !held.lease.delegated)
      patient.veths.push_back(host_ifname(held.lease.attachment));
  }
  for (const bgp::PeerSettings& peer : world.config.bgp.peers) {
    patient.keys += peer.password ? 1U : 0U;
    patient.ao_peers += peer.tcp_ao.empty() ? 0U : 1U;
  }
  patient.resilient = world.config.fib.resilient_buckets.has_value();
  patient.has_resilient_groups = world.routing.has_resilient_groups();
  patient.has_tcp_ao = patient.ao_peers == 0 || bgp::has_tcp_ao();
  return patient;
}

ctl::Doctor doctor_view(const World& world) {
  ctl::Doctor view;
  for (const Finding& finding : examine(patient_of(world))) {
    view.findings.push_back({finding.subject,
                             finding.state == Finding::State::good   ? "good"
                             : finding.state == Finding::State::note ? "note"
                                                                     : "wrong",
                             finding.message, finding.command});
  }
  return view;
}

ctl::Status status_view(const World& world, const ctl::StatusRequest& request, Time now) {
  const bgp::Speaker& speaker = world.routing.speaker();
  const auto peers = speaker.peers();
  ctl::Status status;
  status.version = WEFT_VERSION;
  status.node = world.config.node.name;
  status.asn = world.config.node.asn.value;
  status.router_id = world.config.node.router_id.text();
  status.uptime = duration_cast<seconds>(now - world.started);
  status.peers = static_cast<std::uint32_t>(peers.size());
  status.peers_established =
      static_cast<std::uint32_t>(std::count_if(peers.begin(), peers.end(), established));
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    const bgp::RouteCounts counts = speaker.counts(family);
    status.rib_routes.emplace(name(family), counts.local + counts.learned);
  }
  if (const fib::Table* table = world.routing.table()) {
    const fib::Snapshot fib = table->snapshot();
    for (std::size_t i = 0; i < fib.routes.size(); ++i) {
      status.fib_routes.emplace(name(i == 0 ? Family::ipv4 : Family::ipv6),
                                fib.routes[i][static_cast<std::size_t>(fib::Kind::learned)]);
    }
    status.fib_pending = fib.pending;
  }
  for (const ipam::BlockStatus& block : world.containers.allocator().blocks(now)) {
    if (block.state != ipam::BlockState::foreign) ++status.blocks;
    if (block.state == ipam::BlockState::owned) status.addresses_free += block.free;
  }
  status.containers = static_cast<std::uint32_t>(world.containers.allocator().lease_count());
  const auto drained = world.routing.draining();
  status.draining = drained.has_value();
  status.drain_text = drained.value_or("");
  status.restarting = speaker.deferring();
  const bgp::PathLimitStatus paths = speaker.path_limit();
  status.paths = paths.paths;
  status.path_limit = paths.limit.value_or(0);
  if (!request.network.empty()) {
    status.cannot_give =
        world.containers.allocator().why_not_given(request.network, request.pool, now);
  }
  status.warnings = warnings(world, peers, now);
  return status;
}

ctl::Bfd bfd_view(const World& world, Time now) {
  const BfdStatus status = world.routing.bfd();
  ctl::Bfd view;
  view.dropped = status.dropped;
  for (const auto& [peer, session] : status.paths) {
    ctl::BfdSession row;
    row.peer = peer;
    row.remote = session.path.remote.text();
    row.local = session.path.local.text();
    row.multihop = session.path.is_multihop();
    row.state = name(session.state);
    row.remote_state = name(session.remote_state);
    row.since = duration_cast<seconds>(now - session.since);
    row.diagnostic = name(session.diagnostic);
    row.remote_diagnostic = name(session.remote_diagnostic);
    row.transmit_us = static_cast<std::uint64_t>(session.transmit_interval.count());
    row.detection_us = static_cast<std::uint64_t>(session.detection_time.count());
    row.sent = session.sent;
    row.received = session.received;
    row.losses = session.losses;
    view.sessions.push_back(std::move(row));
  }
  return view;
}

ctl::Peers peers_view(const World& world, Time now) {
  ctl::Peers view;
  for (const bgp::PeerStatus& peer : world.routing.speaker().peers())
    view.peers.push_back(peer_view(world, peer, now));
  for (const bgp::RangeStatus& range : world.routing.speaker().ranges()) {
    view.ranges.push_back(
        {range.name, range.range.text(), range.peers, range.limit, range.refused});
  }
  return view;
}

ctl::Reply routes_view(const World& world, const ctl::RoutesRequest& request) {
  const bgp::Speaker& speaker = world.routing.speaker();
  ctl::Routes view;
  if (request.prefix || request.address) {
    const auto route =
        request.prefix ? speaker.route(*request.prefix) : speaker.route(*request.address);
    if (!route) {
      return ctl::Failure{
          ctl::ErrorCode::not_found,
          fmt::format("there is no route to {}",
                      request.prefix ? request.prefix->text() : request.address->text())};
    }
    view.routes.push_back(route_view(world, *route));
    return view;
  }
  std::map<Prefix, ctl::Route> sorted;
  speaker.routes([&](const bgp::RouteStatus& route) {
    sorted.emplace(route.prefix, route_view(world, route));
  });
  for (auto& [prefix, route] : sorted) view.routes.push_back(std::move(route));
  return view;
}

ctl::Blocks blocks_view(const World& world, Time now) {
  ctl::Blocks view;
  view.exceptions = exceptions_here(world);
  view.max_exceptions = world.config.ipam.max_exceptions;
  for (const ipam::BlockStatus& block : world.containers.allocator().blocks(now)) {
    ctl::Block row;
    row.pool = block.id.pool;
    row.index = block.id.index;
    row.ipv4 = text(block.id.ipv4);
    row.ipv6 = text(block.id.ipv6);
    row.state = ipam::name(block.state);
    row.capacity = block.capacity;
    row.held = block.held;
    row.cooling = block.cooling;
    row.free = block.free;
    row.reserved = block.reserved;
    row.quarantined = block.quarantined;
    row.lent = block.lent;
    for (const auto& prefix : {block.id.ipv4, block.id.ipv6}) {
      if (prefix)
        row.advertised = std::max(row.advertised, world.routing.speaker().advertised_to(*prefix));
    }
    if (block.state == ipam::BlockState::foreign) row.free = row.cooling = row.reserved = 0;
    for (const ctl::Exception& each : view.exceptions) {
      if (block.state == ipam::BlockState::foreign && each.block == block.id.text())
        row.advertised = std::max(row.advertised, each.advertised);
    }
    view.blocks.push_back(std::move(row));
  }
  return view;
}

ctl::ClaimedBlocks claims_view(const World& world) {
  ctl::ClaimedBlocks view;
  for (const ipam::RemoteBlock& block : world.claims.core().remote()) {
    view.blocks.push_back({block.id.pool, block.id.index, text(block.id.ipv4), text(block.id.ipv6),
                           block.host, static_cast<std::uint64_t>(block.mod_revision)});
  }
  for (const auto& [address, exception] : world.claims.core().exceptions())
    view.exceptions.push_back(exception_view(world, exception.place));
  return view;
}

ctl::Containers containers_view(const World& world, Time now) {
  ctl::Containers view;
  for (const ipam::LeaseStatus& held : world.containers.allocator().leases()) {
    ctl::Container row;
    row.attachment = held.lease.attachment;
    row.ipv4 = text(held.lease.ipv4());
    row.ipv6 = text(held.lease.ipv6());
    if (!held.lease.delegated) row.host_ifname = held.lease.host_ifname;
    row.netns = held.lease.netns;
    row.pool = held.lease.block.pool;
    row.age = duration_cast<seconds>(now - held.lease.allocated_at);
    if (held.lease.delegated) {
      row.state = held.attached ? "delegated" : "no-netns";
    } else {
      row.state = held.attached ? "attached" : "no-veth";
    }
    row.netns_inode = held.lease.netns_inode;
    row.sequence = held.lease.sequence;
    view.containers.push_back(std::move(row));
  }
  return view;
}

ctl::Policies policies_view(const World& world) {
  ctl::Policies view;
  for (const bgp::PolicyStatus& policy : world.routing.speaker().policies()) {
    ctl::Policy row{policy.name, policy.import_of,        policy.export_of,
                    {},          policy.import_unmatched, policy.export_unmatched};
    for (const bgp::RuleStatus& rule : policy.rules) {
      row.rules.push_back(
          {rule.name, std::string(name(rule.then)), rule.import_hits, rule.export_hits});
    }
    view.policies.push_back(std::move(row));
  }
  return view;
}

ctl::Aggregates aggregates_view(const World& world, Time now) {
  ctl::Aggregates view;
  for (const bgp::AggregateStatus& each : world.routing.speaker().aggregates()) {
    const char* state = each.originated ? "announced" : each.awaits_cover ? "installing" : "idle";
    view.aggregates.push_back(
        {each.prefix.text(), state, each.summary_only, each.contributing,
         each.originated ? world.routing.speaker().advertised_to(each.prefix) : 0,
         duration_cast<seconds>(now - each.since), each.changes});
  }
  return view;
}

ctl::Stations stations_view(const World& world, Time now) {
  ctl::Stations view;
  for (const bgp::StationStatus& station : world.routing.speaker().stations()) {
    ctl::Station row;
    row.name = station.name;
    row.address = station.address.text();
    row.port = station.port;
    for (const bgp::BmpView each : station.monitor) row.monitor.emplace_back(name(each));
    row.state = name(station.state);
    row.age = duration_cast<seconds>(now - station.since);
    row.peers = station.peers;
    for (const std::uint64_t count : station.counts.messages) row.messages += count;
    row.octets = station.counts.octets;
    row.pending = station.changes;
    row.walking = station.walking;
    row.connections = station.connections;
    row.overruns = station.counts.overruns;
    row.flushes = station.counts.flushes;
    row.memory = station.memory;
    row.last_error = station.last_error;
    view.stations.push_back(std::move(row));
  }
  return view;
}

namespace {

exporter::MessageCounts counts_of(const bgp::MessageCounts& counts) {
  return {counts.open,      counts.update,        counts.notification,
          counts.keepalive, counts.route_refresh, counts.octets};
}

double unix_seconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

exporter::Peer peer_metrics(const bgp::PeerStatus& peer, Time now) {
  exporter::Peer row;
  row.name = peer.name;
  row.description = peer.description;
  // A label that changes would begin new series, and a link-local address may change.
  row.address = peer.interface.empty() ? peer.address.text() : "%" + peer.interface;
  row.asn = peer.asn.value;
  row.external = peer.external;
  // Both enumerations are the states of RFC 4271 8.2.2 in its order.
  row.state = static_cast<exporter::PeerState>(peer.state);
  row.shutdown = peer.shutdown;
  const double since = unix_seconds(std::chrono::system_clock::now()) -
                       std::chrono::duration<double>(now - peer.since).count();
  if (!established(peer)) {
    row.down_at = since;
  } else {
    row.established_at = since;
    row.hold_time_seconds = static_cast<double>(peer.hold_time.count());
  }
  row.established_count = peer.established_count;
  row.received = counts_of(peer.received);
  row.sent = counts_of(peer.sent);
  row.queue_octets = peer.output_octets;
  row.malformed_updates = peer.malformed_updates;
  row.looped = peer.looped;
  row.leaked = peer.leaked;
  for (const bgp::EndCount& end : peer.ends)
    row.ends.push_back({std::string(name(end.reason)), end.by_peer, end.established, end.count});
  row.graceful_restarts = peer.graceful_restarts;
  row.stale_swept = peer.stale_swept;
  row.capabilities = peer.capabilities;
  row.prefix_limit = peer.prefix_limit;
  row.accepted_prefix_limit = peer.accepted_prefix_limit;
  for (const bgp::PeerFamilyStatus& family : peer.families) {
    row.families.push_back({family.family, family.received, family.accepted, family.selected,
                            family.advertised, family.end_of_rib_received, family.end_of_rib_sent,
                            family.discarded, family.stale, family.unheld});
  }
  return row;
}

void add_fib(exporter::Snapshot& snapshot, const fib::Table& table, const Routing& routing) {
  const fib::Snapshot fib = table.snapshot();
  auto& families = snapshot.fib.emplace();
  for (std::size_t i = 0; i < families.size(); ++i) {
    families[i] = {fib.routes[i][static_cast<std::size_t>(fib::Kind::learned)],
                   fib.routes[i][static_cast<std::size_t>(fib::Kind::blackhole)],
                   fib.routes[i][static_cast<std::size_t>(fib::Kind::gateway)], fib.drift[i]};
  }
  snapshot.fib_tables = fib.tables;
  snapshot.fib_fast_groups = routing.fast_groups();
  snapshot.fib_pending = fib.pending;
  snapshot.fib_failed = fib.failed;
  snapshot.fib_foreign = fib.foreign;
  snapshot.nexthops = fib.nexthops;
  snapshot.nexthop_groups = fib.groups;
  for (std::size_t op = 0; op < fib.operations.size(); ++op) {
    for (std::size_t result = 0; result < fib.operations[op].size(); ++result) {
      snapshot.fib_operations.push_back(
          {op == 0 ? "put" : "remove", result == 0 ? "ok" : "refused", fib.operations[op][result]});
    }
  }
  for (std::size_t cause = 0; cause < fib::causes; ++cause) {
    snapshot.fib_repairs.emplace(name(static_cast<fib::Cause>(cause)), fib.repairs[cause]);
  }
  auto& programming = snapshot.fib_programming_seconds.emplace(
      std::vector<double>(fib::latency_bounds.begin(), fib::latency_bounds.end()));
  programming.buckets.assign(fib.programming.buckets.begin(), fib.programming.buckets.end());
  programming.sum = fib.programming.sum;
  snapshot.netlink_overruns = routing.monitor_overruns();
}

std::vector<exporter::Pool> pool_metrics(const ipam::Allocator& allocator, Time now) {
  std::map<std::string, exporter::Pool> pools;
  for (const ipam::PoolSettings& settings : allocator.settings().pools)
    pools[settings.name].name = settings.name;
  for (const ipam::BlockStatus& block : allocator.blocks(now)) {
    exporter::Pool& pool = pools[block.id.pool];
    pool.name = block.id.pool;
    ++pool.blocks[std::string(ipam::name(block.state))];
    if (block.contested) ++pool.contested;
    if (block.state == ipam::BlockState::foreign) continue;
    for (const auto& prefix : {block.id.ipv4, block.id.ipv6}) {
      if (!prefix) continue;
      auto family = std::find_if(
          pool.families.begin(), pool.families.end(),
          [&](const exporter::PoolFamily& row) { return row.family == prefix->family(); });
      if (family == pool.families.end()) {
        family = pool.families.insert(family, exporter::PoolFamily{});
        family->family = prefix->family();
      }
      family->capacity += block.capacity;
      family->held += block.held;
      family->cooling += block.cooling;
      family->reserved += block.reserved;
      family->quarantined += block.quarantined;
      family->lent += block.lent;
      family->free += block.free;
    }
  }
  std::vector<exporter::Pool> rows;
  rows.reserve(pools.size());
  for (auto& [pool_name, pool] : pools) rows.push_back(std::move(pool));
  return rows;
}

}  // namespace

exporter::Snapshot metrics_view(const World& world, Time now) {
  const bgp::Speaker& speaker = world.routing.speaker();
  const ipam::Allocator& allocator = world.containers.allocator();
  const ContainersStatistics& statistics = world.containers.statistics();
  exporter::Snapshot snapshot;
  snapshot.version = WEFT_VERSION;
  snapshot.start_time = unix_seconds(world.started_at);
  snapshot.ready = world.routing.synced();
  snapshot.loop_lag_seconds = world.routing.loop_lag();
  snapshot.config_hash = fmt::format("{:016x}", stable_hash(config::render(world.config)));
  snapshot.config_last_reload_successful = world.reload_fault.empty();
  snapshot.config_last_reload_success_time = unix_seconds(world.configured_at);
  snapshot.local_asn = world.config.node.asn.value;
  snapshot.router_id = world.config.node.router_id.text();
  snapshot.draining = world.routing.draining().has_value();
  snapshot.restarting = speaker.deferring();
  for (const bgp::PeerStatus& peer : speaker.peers())
    snapshot.peers.push_back(peer_metrics(peer, now));
  for (const SegmentDrops& drops : segment_drops("/"))
    snapshot.tcp_drops.emplace(drops.cause, drops.count);
  for (const bgp::RangeStatus& range : speaker.ranges())
    snapshot.ranges.push_back({range.name, range.peers, range.limit, range.refused});
  snapshot.path_limit = speaker.path_limit().limit;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    const bgp::RouteCounts counts = speaker.counts(family);
    snapshot.rib[exporter::index_of(family)] = {counts.local, counts.learned, counts.paths};
  }
  for (const auto& [peer, session] : world.routing.bfd().paths) {
    snapshot.bfd.push_back({peer, session.state == bfd::State::up, session.losses, session.sent,
                            session.received,
                            std::chrono::duration<double>(session.detection_time).count()});
  }
  for (const bgp::PolicyStatus& policy : speaker.policies()) {
    const auto add = [&](const std::string& rule, std::uint64_t imported, std::uint64_t exported) {
      snapshot.policy_rules.push_back({policy.name, rule, imported, exported});
    };
    for (const bgp::RuleStatus& rule : policy.rules) {
      add(rule.name, rule.import_hits, rule.export_hits);
    }
    add("", policy.import_unmatched, policy.export_unmatched);
  }
  for (const bgp::AggregateStatus& each : speaker.aggregates())
    snapshot.aggregates.push_back(
        {each.prefix.text(), each.originated, each.contributing, each.changes});
  for (const bgp::ConditionalStatus& each : speaker.conditional())
    snapshot.announcements.push_back(
        {each.what.prefix.text(), each.waits_for.empty(), each.changes});
  for (const bgp::StationStatus& station : speaker.stations()) {
    snapshot.stations.push_back({station.name, station.state == bgp::StationState::up,
                                 station.connections, station.counts.messages,
                                 station.counts.octets, station.peers, station.changes,
                                 station.counts.overruns, station.counts.flushes, station.memory});
  }
  if (const fib::Table* table = world.routing.table()) add_fib(snapshot, *table, world.routing);
  snapshot.fib_repairs["container-route"] = statistics.routes_repaired;
  snapshot.pools = pool_metrics(allocator, now);
  snapshot.reclaimed_addresses = {{"boot", statistics.reclaimed_boot},
                                  {"netns", statistics.reclaimed_netns}};
  snapshot.spared_by_gc = statistics.spared;
  snapshot.cool_downs_waived = statistics.cool_downs_waived;
  snapshot.quarantines = statistics.quarantined;
  snapshot.store_up = statistics.store_up;
  snapshot.exceptions.borrowed = allocator.borrowed().size();
  snapshot.exceptions.lent = allocator.lent().size();
  snapshot.exceptions.limit = allocator.settings().max_exceptions;
  snapshot.exceptions.requests["limit"] = statistics.exceptions_limited;
  world.claims.fill(snapshot);
  snapshot.spoofed_packets = world.containers.spoofed_packets();
  for (const auto& [verb, requests] : statistics.verbs) snapshot.cni.push_back(requests);
  for (const ipam::LeaseStatus& held : allocator.leases())
    ++snapshot.containers[held.lease.attachment.network];
  for (const Uplink& uplink : world.routing.uplinks()) {
    snapshot.uplinks.push_back(
        {uplink.link.name, uplink.link.usable(), uplink.transitions, uplink.link.mtu});
  }
  return snapshot;
}

}  // namespace weft::daemon
