// The Loc-RIB as a first-year student would write it: ordered maps of values, the rungs of RFC
// 4271 9.1 one after the other. The oracle of the random tests of rib and adj_out.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "bgp/rib.h"
#include "bgp/update.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {

struct Model {
  struct Path {
    PeerId peer = PeerId::local;
    std::uint32_t path_id = 0;
    Attributes attributes;
    Address next_hop;
    bool filtered = false;
  };
  using Key = std::pair<PeerId, std::uint32_t>;
  using Paths = std::map<Key, Path>;
  struct Outcome {
    std::optional<Path> best;
    std::vector<Key> multipath;  // sorted
    NextHops next_hops;
  };

  Asn own_as;
  MultipathLimits limits;
  std::map<PeerId, RibPeer> peers;
  std::vector<ConnectedSubnet> subnets;
  std::map<Prefix, Paths> routes;

  [[nodiscard]] std::optional<NextHop> resolve(const Path& path) const {
    for (const ConnectedSubnet& each : subnets) {
      if (each.address == path.next_hop) return {};
    }
    for (const ConnectedSubnet& each : subnets) {
      if (each.prefix.contains(path.next_hop)) return NextHop{path.next_hop, each.ifindex};
    }
    return {};
  }

  /// Neither refused nor without a next hop.
  [[nodiscard]] std::vector<Path> usable(const Prefix& prefix) const {
    std::vector<Path> paths;
    const auto found = routes.find(prefix);
    if (found == routes.end()) return paths;
    for (const auto& [key, path] : found->second) {
      const bool local = path.peer == PeerId::local;
      const bool looped = !local && path.attributes.as_path.contains(own_as);
      if (!path.filtered && !looped && (local || resolve(path))) paths.push_back(path);
    }
    return paths;
  }

  [[nodiscard]] Outcome outcome(const Prefix& prefix) const {
    std::vector<Path> left = usable(prefix);
    const auto keep_lowest = [&](const std::function<std::uint64_t(const Path&)>& key) {
      std::uint64_t lowest = ~std::uint64_t{0};
      for (const Path& each : left) lowest = std::min(lowest, key(each));
      std::erase_if(left, [&](const Path& each) { return key(each) != lowest; });
    };
    keep_lowest([](const Path& path) { return path.peer == PeerId::local ? 0 : 1; });
    keep_lowest([](const Path& path) { return ~path.attributes.local_pref.value_or(100); });
    keep_lowest([](const Path& path) { return path.attributes.as_path.length(); });
    keep_lowest(
        [](const Path& path) { return static_cast<std::uint64_t>(path.attributes.origin); });
    const std::vector<Path> rivals = left;
    std::erase_if(left, [&](const Path& path) {
      return std::any_of(rivals.begin(), rivals.end(), [&](const Path& rival) {
        return rival.attributes.as_path.first() == path.attributes.as_path.first() &&
               rival.attributes.med.value_or(0) < path.attributes.med.value_or(0);
      });
    });
    keep_lowest([&](const Path& path) { return external(path) ? 0 : 1; });
    std::sort(left.begin(), left.end(),
              [&](const Path& a, const Path& b) { return id(a) < id(b); });
    return finished(left);
  }

  [[nodiscard]] bool external(const Path& path) const {
    return path.peer == PeerId::local || peers.at(path.peer).external;
  }

 private:
  [[nodiscard]] std::tuple<RouterId, Address, PeerId, std::uint32_t> id(const Path& path) const {
    if (path.peer == PeerId::local) return {};
    const RibPeer& peer = peers.at(path.peer);
    return {peer.router_id, peer.address, path.peer, path.path_id};
  }

  [[nodiscard]] Outcome finished(const std::vector<Path>& equals) const {
    Outcome made;
    if (equals.empty()) return made;
    made.best = equals.front();
    for (const Path& each : equals) {
      if (made.multipath.size() == limits.paths) break;
      if (!limits.relax && each.attributes.as_path != made.best->attributes.as_path) continue;
      made.multipath.emplace_back(each.peer, each.path_id);
      if (each.peer != PeerId::local) made.next_hops.push_back(*resolve(each));
    }
    std::sort(made.multipath.begin(), made.multipath.end());
    std::sort(made.next_hops.begin(), made.next_hops.end());
    made.next_hops.erase(std::unique(made.next_hops.begin(), made.next_hops.end()),
                         made.next_hops.end());
    return made;
  }
};

}  // namespace weft::bgp
