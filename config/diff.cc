#include "config/diff.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::config {
namespace {

template <typename Named>
const Named* find(const std::vector<Named>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

/// Fixed for the life of the process: sockets are bound to it, or every route and every OPEN
/// carries it.
std::vector<std::string> fixed_keys_changed(const Config& running, const Config& wanted) {
  std::vector<std::string> keys;
  const auto compare = [&](const char* key, const auto& before, const auto& after) {
    if (!(before == after)) keys.emplace_back(key);
  };
  compare("node.name", running.node.name, wanted.node.name);
  compare("node.asn", running.node.asn, wanted.node.asn);
  compare("node.router-id", running.node.router_id, wanted.node.router_id);
  compare("node.router-address-ipv6", running.node.router_address_ipv6,
          wanted.node.router_address_ipv6);
  compare("bgp.listen", running.bgp.listen, wanted.bgp.listen);
  compare("bgp.cluster-id", running.bgp.cluster_id, wanted.bgp.cluster_id);
  compare("bgp.port", running.bgp.port, wanted.bgp.port);
  compare("fib.install", running.fib.install, wanted.fib.install);
  compare("fib.wait-install", running.fib.wait_install, wanted.fib.wait_install);
  compare("fib.table", running.fib.table, wanted.fib.table);
  compare("fib.route-mtu", running.fib.route_mtu, wanted.fib.route_mtu);
  compare("fib.resilient-buckets", running.fib.resilient_buckets, wanted.fib.resilient_buckets);
  compare("fib.resilient-idle-time", running.fib.resilient_idle_time,
          wanted.fib.resilient_idle_time);
  compare("fib.resilient-unbalanced-time", running.fib.resilient_unbalanced_time,
          wanted.fib.resilient_unbalanced_time);
  compare("fib.metric", running.fib.metric, wanted.fib.metric);
  return keys;
}

Impact impact_of(const bgp::PeerSettings& before, const bgp::PeerSettings& after) {
  // Made equal in all that can change under a running session; what still differs cannot.
  bgp::PeerSettings same = before;
  same.description = after.description;
  same.passive = after.passive;
  same.shutdown = after.shutdown;
  same.connect_retry = after.connect_retry;
  same.idle_hold = after.idle_hold;
  same.send_hold = after.send_hold;
  same.stale_time = after.stale_time;
  same.import_filter = after.import_filter;
  same.export_filter = after.export_filter;
  same.prefix_limit = after.prefix_limit;
  same.accepted_prefix_limit = after.accepted_prefix_limit;
  same.prefix_limit_action = after.prefix_limit_action;
  same.prefix_limit_restart = after.prefix_limit_restart;
  same.graceful_shutdown = after.graceful_shutdown;
  same.blackhole = after.blackhole;
  same.default_originate = after.default_originate;
  same.unsuppress = after.unsuppress;
  same.table = after.table;
  same.metric = after.metric;
  same.range_limit = after.range_limit;
  same.delay_open = after.delay_open;
  same.password_file = after.password_file;
  if (before.password && after.password) same.password = after.password;
  same.bfd = after.bfd;
  if (!(same == after)) return Impact::reset;  // the address or interface, too: it is another peer
  const bool filters =
      before.import_filter != after.import_filter || before.export_filter != after.export_filter ||
      before.graceful_shutdown != after.graceful_shutdown || before.blackhole != after.blackhole ||
      before.default_originate != after.default_originate || before.unsuppress != after.unsuppress;
  return filters ? Impact::refilter : Impact::live;
}

std::string first_pool(const ipam::Settings& settings) {
  return settings.pools.empty() ? "" : settings.pools.front().name;
}

void diff_pools(const ipam::Settings& running, const ipam::Settings& wanted,
                std::vector<Change>& changes) {
  for (const auto& pool : running.pools) {
    if (find(wanted.pools, pool.name) == nullptr) changes.emplace_back(PoolRemoved{pool});
  }
  for (const auto& pool : wanted.pools) {
    const auto* before = find(running.pools, pool.name);
    if (before != nullptr && !(*before == pool)) changes.emplace_back(PoolChanged{*before, pool});
  }
  for (const auto& pool : wanted.pools) {
    if (find(running.pools, pool.name) == nullptr) changes.emplace_back(PoolAdded{pool});
  }
  if (first_pool(running) != first_pool(wanted)) {
    changes.emplace_back(DefaultPoolChanged{first_pool(wanted)});
  }
  if (running.cool_down != wanted.cool_down || running.soft_cool_down != wanted.soft_cool_down ||
      running.audit_interval != wanted.audit_interval ||
      running.max_exceptions != wanted.max_exceptions ||
      running.exception_community != wanted.exception_community ||
      running.labels != wanted.labels) {
    changes.emplace_back(IpamChanged{});
  }
}

/// The host filter's prefixes: their order says nothing.
std::vector<Prefix> sorted(std::vector<Prefix> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

}  // namespace

std::vector<Change> diff(const Config& running, const Config& wanted) {
  std::vector<Change> changes;
  if (auto keys = fixed_keys_changed(running, wanted); !keys.empty()) {
    changes.emplace_back(RestartNeeded{std::move(keys)});
    return changes;
  }
  for (const auto& peer : running.bgp.peers) {
    if (find(wanted.bgp.peers, peer.name) == nullptr) changes.emplace_back(PeerRemoved{peer});
  }
  diff_pools(running.ipam, wanted.ipam, changes);
  if (running.bgp.path_limit != wanted.bgp.path_limit ||
      running.bgp.path_limit_action != wanted.bgp.path_limit_action) {
    changes.emplace_back(PathLimitChanged{});
  }
  if (running.bgp.multipath != wanted.bgp.multipath ||
      running.bgp.multipath_relax != wanted.bgp.multipath_relax ||
      running.bgp.always_compare_med != wanted.bgp.always_compare_med ||
      running.bgp.recursive_next_hops != wanted.bgp.recursive_next_hops ||
      running.bgp.resolve_by_default_route != wanted.bgp.resolve_by_default_route) {
    changes.emplace_back(DecisionChanged{});
  }
  if (running.bgp.default_route != wanted.bgp.default_route ||
      sorted(running.bgp.pools) != sorted(wanted.bgp.pools)) {
    changes.emplace_back(HostFilterChanged{});
  }
  if (running.bgp.policies != wanted.bgp.policies ||
      running.bgp.prefix_sets != wanted.bgp.prefix_sets ||
      running.bgp.community_sets != wanted.bgp.community_sets) {
    changes.emplace_back(PoliciesChanged{});
  }
  for (const auto& peer : wanted.bgp.peers) {
    const auto* before = find(running.bgp.peers, peer.name);
    if (before != nullptr && !(*before == peer)) {
      changes.emplace_back(PeerChanged{*before, peer, impact_of(*before, peer)});
    }
  }
  for (const auto& peer : wanted.bgp.peers) {
    if (find(running.bgp.peers, peer.name) == nullptr) changes.emplace_back(PeerAdded{peer});
  }
  if (!(running.bgp.bmp.stations == wanted.bgp.bmp.stations)) changes.emplace_back(BmpChanged{});
  if (running.bgp.aggregates != wanted.bgp.aggregates ||
      running.bgp.announcements != wanted.bgp.announcements)
    changes.emplace_back(OriginationChanged{});
  if (!(running.exporter == wanted.exporter)) changes.emplace_back(ExporterChanged{});
  if (!(running.cni == wanted.cni)) changes.emplace_back(CniChanged{});
  return changes;
}

std::string describe(const Change& change) {
  const auto outcome = [](Impact impact) {
    if (impact == Impact::reset) return "its session is reset";
    return impact == Impact::refilter ? "its routes are filtered again" : "its session stays";
  };
  return std::visit(
      Overloaded{
          [](const RestartNeeded& c) {
            return fmt::format("{} cannot change while weftd runs; restart weftd for it",
                               fmt::join(c.keys, ", "));
          },
          [](const PeerRemoved& c) { return fmt::format("peer {} removed", c.peer.name); },
          [](const PeerAdded& c) { return fmt::format("peer {} added", c.peer.name); },
          [&](const PeerChanged& c) {
            return fmt::format("peer {} changed, {}", c.peer.name, outcome(c.impact));
          },
          [](const PoolRemoved& c) { return fmt::format("pool {} removed", c.pool.name); },
          [](const PoolAdded& c) { return fmt::format("pool {} added", c.pool.name); },
          [](const PoolChanged& c) { return fmt::format("pool {} changed", c.pool.name); },
          [](const DefaultPoolChanged& c) {
            return fmt::format("the first pool is '{}' now", c.pool);
          },
          [](const IpamChanged&) { return std::string("address management changed"); },
          [](const PathLimitChanged&) { return std::string("the limit of all paths changed"); },
          [](const DecisionChanged&) { return std::string("the choice among paths changed"); },
          [](const HostFilterChanged&) {
            return std::string("what the filter host lets in changed");
          },
          [](const PoliciesChanged&) {
            return std::string("policies changed, routes are filtered again");
          },
          [](const BmpChanged&) { return std::string("monitoring stations changed"); },
          [](const OriginationChanged&) { return std::string("what is originated changed"); },
          [](const ExporterChanged&) { return std::string("the exporter listens elsewhere"); },
          [](const CniChanged&) { return std::string("what containers get through CNI changed"); },
      },
      change);
}

}  // namespace weft::config
