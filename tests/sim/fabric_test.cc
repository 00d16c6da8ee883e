// Whole fabrics of speakers in virtual time, while everything that can happen to them does: once it
// stops, every kernel has exactly the best of what is announced. A failing seed replays with
// WEFT_SIM_SEED=<seed>; WEFT_SIM_SEEDS=<count> is a soak.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>

#include "tests/sim/network.h"

namespace weft::sim {
namespace {

using NodeId = Network::NodeId;
using LinkId = Network::LinkId;

constexpr bgp::Restart proven{true, {true, true}};

Prefix block(NodeId id, std::uint32_t which = 0) {
  return {Address::ipv4(0x0a400000 + (static_cast<std::uint32_t>(id) << 12) + (which << 6)), 26};
}

std::uint32_t number_in(const char* variable, std::uint32_t otherwise) {
  const char* said = std::getenv(variable);
  return said == nullptr ? otherwise : static_cast<std::uint32_t>(std::atoi(said));
}
auto seeds() {
  if (const std::uint32_t one = number_in("WEFT_SIM_SEED", 0); one != 0)
    return testing::Range(one, one + 1);
  return testing::Range(1U, 1 + number_in("WEFT_SIM_SEEDS", 1));
}

class Fabric : public testing::TestWithParam<std::uint32_t> {
 protected:
  struct Cable {
    NodeId a;
    NodeId b;
    LinkId link;
  };

  void add(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) network.add_node();
  }
  void join(NodeId a, NodeId b, const std::function<void(bgp::PeerSettings&)>& adjust) {
    cables.push_back({a, b, network.link(a, b, adjust)});
  }

  /// 48 hosts, each below two of 12 leaves, each below 4 spines: 64 speakers, 144 sessions.
  void clos() {
    constexpr std::size_t spines = 4;
    constexpr std::size_t leaves = 12;
    add(64);
    const auto quick = [](bgp::PeerSettings& peer) {
      peer.hold_time = std::chrono::seconds{30};
      peer.restart_time = std::chrono::seconds{20};
    };
    for (NodeId leaf = spines; leaf < spines + leaves; ++leaf) {
      for (NodeId spine = 0; spine < spines; ++spine) join(spine, leaf, quick);
    }
    for (NodeId host = spines + leaves; host < 64; ++host) {
      const NodeId first = spines + 2 * ((host - spines - leaves) % (leaves / 2));
      for (const NodeId leaf : {first, first + 1}) join(leaf, host, quick);
      // A host is no way to anywhere else.
      for (auto& peer : network.settings(host).peers) peer.export_filter = bgp::Filter::host;
      origins.push_back(host);
    }
  }

  /// 64 speakers, each with a session to each other: 2016 sessions.
  void mesh() {
    add(64);
    for (NodeId a = 0; a < 64; ++a) {
      origins.push_back(a);
      for (NodeId b = a + 1; b < 64; ++b) {
        join(a, b, [](bgp::PeerSettings& peer) {
          peer.export_filter = bgp::Filter::host;
          peer.hold_time = std::chrono::seconds{90};
          peer.restart_time = std::chrono::seconds{20};
        });
      }
    }
  }

  void start() {
    network.start_all();
    for (const NodeId origin : origins) network.originate(origin, block(origin));
  }

  /// Hops from each node to the nearest origin of the prefix over links that are up.
  std::map<NodeId, std::size_t> distances(const Prefix& prefix, bool transit) {
    std::map<NodeId, std::size_t> hops;
    std::deque<NodeId> next;
    for (NodeId id = 0; id < network.size(); ++id) {
      if (!network.runs(id) || !network.originated(id).contains(prefix)) continue;
      hops[id] = 0;
      next.push_back(id);
    }
    for (; !next.empty(); next.pop_front()) {
      const NodeId at = next.front();
      const bool passes_on = hops[at] == 0 || (transit && !is_host(at));
      for (const Cable& cable : cables) {
        if ((cable.a != at && cable.b != at) || !passes_on) continue;
        const NodeId there = cable.a == at ? cable.b : cable.a;
        if (!network.is_up(cable.link) || !network.runs(there) || hops.contains(there)) continue;
        hops[there] = hops[at] + 1;
        next.push_back(there);
      }
    }
    return hops;
  }
  [[nodiscard]] bool is_host(NodeId id) const {
    return std::find(origins.begin(), origins.end(), id) != origins.end();
  }

  /// Nothing changes any more; every node that can have a route has it, on a shortest way and free
  /// of loops, as its speaker thinks best; and nobody has a route without an origin.
  void expect_truth(bool transit) {
    const Time quiet = network.last_change();
    network.run(std::chrono::seconds{30});
    EXPECT_EQ(network.last_change(), quiet) << "it does not come to rest:" << youngest();
    std::set<Prefix> all;
    for (NodeId id = 0; id < network.size(); ++id) {
      if (network.runs(id))
        all.insert(network.originated(id).begin(), network.originated(id).end());
    }
    for (const Prefix& prefix : all) {
      const auto hops = distances(prefix, transit);
      for (NodeId id = 0; id < network.size(); ++id) {
        if (network.runs(id)) expect_best(id, prefix, hops);
      }
    }
    for (NodeId id = 0; id < network.size(); ++id) {
      if (!network.runs(id)) continue;
      for (const auto& [prefix, via] : network.fib(id))
        ASSERT_TRUE(all.contains(prefix)) << id << " keeps " << prefix.text() << " of nobody";
    }
  }

  /// The sessions that came up last, and why they had not before.
  std::string youngest() {
    std::string all;
    for (NodeId id = 0; id < network.size(); ++id) {
      if (!network.runs(id)) continue;
      for (const auto& peer : network.speaker(id).peers()) {
        if (network.now() - peer.since > std::chrono::seconds{30}) continue;
        all += "\n" + std::to_string(id) + " " + peer.name + " " + std::string(name(peer.state)) +
               " session " + std::to_string(peer.established_count) + ": " + peer.last_error;
      }
    }
    return all;
  }

  void expect_best(NodeId id, const Prefix& prefix, const std::map<NodeId, std::size_t>& hops) {
    const auto reachable = hops.find(id);
    ASSERT_EQ(network.has(id, prefix), reachable != hops.end()) << id << ' ' << prefix.text();
    if (reachable == hops.end() || reachable->second == 0) return;
    ASSERT_TRUE(network.leads_home(id, prefix)) << id << " loops for " << prefix.text();
    const auto route = network.speaker(id).route(prefix);
    ASSERT_TRUE(route);
    const std::string& path = route->paths.at(0).as_path;
    const auto length = static_cast<std::size_t>(std::count(path.begin(), path.end(), ' ')) + 1;
    ASSERT_EQ(length, reachable->second) << id << " takes a detour to " << prefix.text();
    ASSERT_EQ(network.fib(id).at(prefix), network.speaker(id).next_hops(route->next_hops));
  }

  /// One thing that happens to a fabric.
  void mishap() {
    const auto node = static_cast<NodeId>(network.roll(64));
    const Cable& cable = cables[network.roll(static_cast<std::uint32_t>(cables.size()))];
    switch (network.roll(8)) {
      case 0:
        return network.originate(origins[node % origins.size()],
                                 block(origins[node % origins.size()], network.roll(8)));
      case 1:
        return network.withdraw(origins[node % origins.size()],
                                block(origins[node % origins.size()], network.roll(8)));
      case 2:
      case 3:
        return network.cut(cable.link);
      case 4:
        return network.heal(cable.link);
      case 5:
        return network.read_slowly(node, std::chrono::milliseconds(network.roll(200)));
      case 6:
        if (!network.runs(node)) return network.start(node, network.roll(2) == 0 ? proven : cold);
        return network.kill(node);
      case 7:
        if (!network.runs(node)) return network.start(node);
        return network.crash(node);
    }
  }
  void calm() {
    for (NodeId id = 0; id < network.size(); ++id) {
      network.read_slowly(id, std::chrono::seconds{0});
      if (!network.runs(id)) network.start(id);
    }
    for (const Cable& cable : cables) network.heal(cable.link);
  }

  static constexpr bgp::Restart cold{};
  Network network{GetParam()};
  std::vector<Cable> cables;
  std::vector<NodeId> origins;
};
INSTANTIATE_TEST_SUITE_P(Seeds, Fabric, seeds());

TEST_P(Fabric, AClosOf64SpeakersTellsTheTruthAfterWhateverHappens) {
  clos();
  start();
  network.run(std::chrono::seconds{40});
  expect_truth(true);
  for (int i = 0; i < 40; ++i) {
    mishap();
    network.run(std::chrono::milliseconds(network.roll(2000)));
  }
  calm();
  network.run(std::chrono::seconds{100});
  expect_truth(true);
}

TEST_P(Fabric, AMeshOf64SpeakersTellsTheTruthAfterWhateverHappens) {
  mesh();
  start();
  network.run(std::chrono::seconds{40});
  expect_truth(false);
  for (int i = 0; i < 15; ++i) {
    mishap();
    network.run(std::chrono::milliseconds(network.roll(1000)));
  }
  calm();
  network.run(std::chrono::seconds{130});
  expect_truth(false);
}

}  // namespace
}  // namespace weft::sim
