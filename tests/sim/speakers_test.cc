// Speakers against speakers in virtual time: what must hold whatever the network does. A failing
// seed replays.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/network.h"

namespace weft::sim {
namespace {

Prefix block(Network::NodeId id, std::uint32_t which = 0) {
  return {Address::ipv4(0x0a400000 + (static_cast<std::uint32_t>(id) << 16) + (which << 6)), 26};
}

bgp::PeerState state(Network& network, Network::NodeId id, std::size_t peer = 0) {
  return network.speaker(id).peers().at(peer).state;
}

/// Every node has every route that a running node originates and no other, and each leads there.
void expect_converged(Network& network, const std::string& what) {
  std::set<Prefix> all;
  for (Network::NodeId id = 0; id < network.size(); ++id) {
    if (network.runs(id)) all.insert(network.originated(id).begin(), network.originated(id).end());
  }
  for (Network::NodeId id = 0; id < network.size(); ++id) {
    if (!network.runs(id)) continue;
    for (const Prefix& prefix : all) {
      ASSERT_TRUE(network.has(id, prefix)) << what << ": node " << id << " lacks " << prefix.text();
      ASSERT_TRUE(network.leads_home(id, prefix))
          << what << ": node " << id << " loops for " << prefix.text();
    }
    for (const auto& [prefix, via] : network.fib(id)) {
      ASSERT_TRUE(all.contains(prefix))
          << what << ": node " << id << " keeps " << prefix.text() << " of nobody";
    }
  }
}

/// How many seeds; WEFT_SIM_SEEDS=2000 is a soak of some minutes.
std::uint32_t seeds() {
  const char* wanted = std::getenv("WEFT_SIM_SEEDS");
  return wanted == nullptr ? 40 : static_cast<std::uint32_t>(std::atoi(wanted));
}

class Seeds : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Some, Seeds, testing::Range<std::uint32_t>(1, seeds() + 1));

// RFC 4271 6.8: both connect at once, from both sides, and one session is left.
TEST_P(Seeds, SimultaneousOpenEndsWithOneConnection) {
  Network network(GetParam());
  const auto a = network.add_node();
  const auto b = network.add_node();
  const auto link = network.link(a, b);
  network.start(a);
  network.run(std::chrono::milliseconds(network.roll(40)));
  network.start(b);
  network.originate(a, block(a));
  network.originate(b, block(b));
  network.run(20s);
  EXPECT_EQ(state(network, a), bgp::PeerState::established);
  EXPECT_EQ(state(network, b), bgp::PeerState::established);
  EXPECT_EQ(network.open_connections(link), 1U);
  expect_converged(network, "after 20 s");
  const auto before = network.speaker(a).peers()[0].established_count;
  network.run(60s);
  EXPECT_EQ(network.speaker(a).peers()[0].established_count, before) << "and it stays";
}

TEST_P(Seeds, ARingConvergesReroutesAndForgets) {
  Network network(GetParam());
  for (int i = 0; i < 6; ++i) network.add_node();
  for (Network::NodeId i = 0; i < 6; ++i) network.link(i, (i + 1) % 6);
  network.start_all();
  for (Network::NodeId i = 0; i < 6; ++i) network.originate(i, block(i));
  network.run(30s);
  expect_converged(network, "at the start");

  network.cut(0);
  network.run(30s);
  expect_converged(network, "with a link cut");

  network.withdraw(3, block(3));
  network.run(5s);
  expect_converged(network, "with a prefix gone");

  network.heal(0);
  network.run(60s);
  expect_converged(network, "with the link back");
  const Time quiet = network.last_change();
  network.run(60s);
  EXPECT_EQ(network.last_change(), quiet) << "nothing changes where nothing happens";
}

TEST_P(Seeds, ASpeakerThatCrashesIsForgottenAndComesBack) {
  Network network(GetParam());
  for (int i = 0; i < 4; ++i) network.add_node();
  for (Network::NodeId i = 0; i < 4; ++i) {
    for (Network::NodeId j = i + 1; j < 4; ++j) network.link(i, j);
  }
  network.start_all();
  for (Network::NodeId i = 0; i < 4; ++i) network.originate(i, block(i));
  network.run(30s);
  expect_converged(network, "at the start");
  network.crash(2);
  network.run(150s);  // a restart time, for nobody knows that it does not come back soon
  expect_converged(network, "without node 2");
  network.start(2);
  network.run(60s);
  expect_converged(network, "with node 2 again");
}

// Whatever happens, once it stops happening the network tells the truth.
TEST_P(Seeds, ChaosSettles) {
  Network network(GetParam() * 7919);
  for (int i = 0; i < 7; ++i) network.add_node();
  std::vector<Network::LinkId> links;
  for (Network::NodeId i = 0; i < 7; ++i) links.push_back(network.link(i, (i + 1) % 7));
  for (Network::NodeId i = 0; i < 7; i += 2) links.push_back(network.link(i, (i + 3) % 7));
  network.start_all();
  for (int act = 0; act < 60; ++act) {
    const auto node = network.roll(7);
    const auto link = links[network.roll(static_cast<std::uint32_t>(links.size()))];
    switch (network.roll(6)) {
      case 0:
        network.originate(node, block(node, network.roll(8)));
        break;
      case 1:
        network.withdraw(node, block(node, network.roll(8)));
        break;
      case 2:
        network.cut(link);
        break;
      case 3:
        network.heal(link);
        break;
      case 4:
        network.read_slowly(node, std::chrono::milliseconds(network.roll(300)));
        break;
      case 5:
        if (network.runs(node)) {
          network.crash(node);
        } else {
          network.start(node);
        }
        break;
    }
    network.run(std::chrono::milliseconds(network.roll(6000)));
  }
  for (const auto link : links) network.heal(link);
  for (Network::NodeId i = 0; i < 7; ++i) {
    network.read_slowly(i, 0s);
    if (!network.runs(i)) network.start(i);
  }
  network.run(180s);
  expect_converged(network, "after the chaos");
  for (const auto link : links) EXPECT_EQ(network.open_connections(link), 1U);
  const Time quiet = network.last_change();
  network.run(60s);
  EXPECT_EQ(network.last_change(), quiet);
}

TEST(Simulation, TheSameSeedIsTheSameHistory) {
  const auto history = [](std::uint32_t seed) {
    Network network(seed);
    for (int i = 0; i < 5; ++i) network.add_node();
    for (Network::NodeId i = 0; i < 5; ++i) network.link(i, (i + 1) % 5);
    network.start_all();
    for (Network::NodeId i = 0; i < 5; ++i) network.originate(i, block(i));
    network.run(20s);
    network.cut(1);
    network.run(40s);
    return network.history();
  };
  EXPECT_EQ(history(5), history(5));
  EXPECT_NE(history(5), history(6));
}

// A reader that crawls gets the last state in the end, holds no session up but its own, and costs
// no memory.
TEST(Simulation, ASlowReaderDelaysNobodyAndMissesOnlyWhatIsOver) {
  Network network(3);
  const auto source = network.add_node();
  const auto slow = network.add_node();
  const auto fast = network.add_node();
  network.link(source, slow);
  network.link(source, fast);
  network.start_all();
  network.run(10s);
  network.read_slowly(slow, 400ms);
  for (std::uint32_t round = 0; round < 20; ++round) {
    for (std::uint32_t i = 0; i < 200; ++i) network.originate(source, block(source, i));
    network.run(50ms);
    for (std::uint32_t i = 1; i < 200; ++i) network.withdraw(source, block(source, i));
    network.run(50ms);
  }
  EXPECT_EQ(network.fib(fast).size(), 1U);
  network.run(120s);
  EXPECT_EQ(network.fib(slow).size(), 1U);
  EXPECT_TRUE(network.has(slow, block(source, 0)));
  EXPECT_EQ(network.speaker(source).peers()[0].established_count, 1U);
}

}  // namespace
}  // namespace weft::sim
