// Restarts of whole speakers in virtual time, seen from both sides (RFC 4724, 8538, 9494, 8326).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/network.h"

namespace weft::sim {
namespace {

using bgp::GracefulRestartMode;
using bgp::PeerSettings;
using bgp::Restart;
using testing::Contains;

constexpr Restart proven{true, {true, true}};

Prefix block(Network::NodeId id, std::uint32_t which = 0) {
  return {Address::ipv4(0x0a400000 + (static_cast<std::uint32_t>(id) << 16) + (which << 6)), 26};
}

/// Two hosts behind a ToR: 0 is the ToR, 1 and 2 are hosts.
class Restarts : public testing::TestWithParam<std::uint32_t> {
 protected:
  static constexpr Network::NodeId tor = 0;
  static constexpr Network::NodeId host = 1;
  static constexpr Network::NodeId other = 2;

  void build(const std::function<void(PeerSettings&)>& adjust = {}) {
    for (int i = 0; i < 3; ++i) network.add_node();
    link = network.link(tor, host, adjust);
    network.link(tor, other, adjust);
    network.start_all();
    for (Network::NodeId i = 0; i < 3; ++i) network.originate(i, block(i));
    network.run(30s);
    ASSERT_TRUE(network.has(tor, block(host)) && network.has(other, block(host)) &&
                network.has(host, block(other)));
  }

  /// Runs for so long, and sees whether the route was there all the time.
  bool always(Network::NodeId id, const Prefix& prefix, Clock::duration span) {
    for (const Time end = network.now() + span; network.now() < end;) {
      network.run(10ms);
      if (!network.has(id, prefix)) return false;
    }
    return true;
  }
  bool always_all(Clock::duration span) {
    for (const Time end = network.now() + span; network.now() < end;) {
      network.run(10ms);
      for (const auto& [id, prefix] :
           {std::pair{tor, block(host)}, {other, block(host)}, {host, block(other)}}) {
        if (!network.has(id, prefix)) return false;
      }
    }
    return true;
  }

  Network network{GetParam()};
  Network::LinkId link = 0;
};
INSTANTIATE_TEST_SUITE_P(Seeds, Restarts, testing::Range(1U, 9U));

TEST_P(Restarts, AHostThatRestartsIsMissedByNobody) {
  build();
  network.kill(host);
  ASSERT_TRUE(always_all(3s));
  network.start(host, proven);
  EXPECT_TRUE(always_all(60s));
  EXPECT_EQ(network.speaker(tor).peers()[0].graceful_restarts, 1U);
  EXPECT_EQ(network.speaker(tor).peers()[0].families[0].stale, 0U);
}

TEST_P(Restarts, ATorThatRestartsIsMissedByNobody) {
  build();
  network.kill(tor);
  ASSERT_TRUE(always(host, block(other), 3s));
  network.start(tor, proven);
  EXPECT_TRUE(always_all(60s));
}

// What waits for the kernel is not told yet, and not forgotten by those who know of it from before.
TEST_P(Restarts, ATorWithASlowKernelIsMissedByNobody) {
  for (const auto slow : {200ms, 5000ms}) {
    Network rack(GetParam());
    std::swap(network, rack);
    build();
    network.install_slowly(tor, slow);
    network.kill(tor);
    ASSERT_TRUE(always(host, block(other), 3s));
    network.start(tor, proven);
    EXPECT_TRUE(always_all(60s));
    EXPECT_EQ(network.speaker(other).peers()[0].families[0].stale, 0U);
  }
}

TEST_P(Restarts, APeerWithoutGracefulRestartIsForgottenAtOnce) {
  build([](PeerSettings& peer) { peer.graceful_restart = GracefulRestartMode::off; });
  network.kill(host);
  network.run(1s);
  EXPECT_FALSE(network.has(tor, block(host)));
}

TEST_P(Restarts, AHelperAsksForNothing) {
  build([](PeerSettings& peer) { peer.graceful_restart = GracefulRestartMode::helper; });
  network.kill(host);
  network.run(1s);
  EXPECT_FALSE(network.has(tor, block(host)));
}

TEST_P(Restarts, AHostThatStaysAwayIsForgottenAfterItsRestartTime) {
  build([](PeerSettings& peer) { peer.restart_time = 30s; });
  network.kill(host);
  EXPECT_TRUE(always(tor, block(host), 29s));
  network.run(3s);
  EXPECT_FALSE(network.has(tor, block(host)));
  EXPECT_FALSE(network.has(other, block(host)));
}

// Trap 9.
TEST_P(Restarts, AHostThatLostItsKernelsRoutesIsForgottenWhenItIsBack) {
  build();
  network.crash(host);
  network.withdraw(host, block(host));
  network.run(1s);
  ASSERT_TRUE(network.has(tor, block(host))) << "it might be only its process";
  network.read_slowly(host, 1s);  // its End-of-RIB, which would sweep as well, is not there yet
  network.start(host);
  const auto seen = [&] { return network.speaker(tor).peers()[0]; };
  for (int i = 0; i < 3000 && seen().established_count < 2; ++i) network.run(10ms);
  ASSERT_EQ(seen().established_count, 2U);
  ASSERT_FALSE(seen().families[0].end_of_rib_received);
  EXPECT_FALSE(network.has(tor, block(host))) << "its OPEN says that nothing has survived";
}

TEST_P(Restarts, WhatIsNotAnnouncedAgainGoesAtEndOfRib) {
  build();
  network.kill(host);
  network.withdraw(host, block(host));
  network.start(host, proven);
  network.run(30s);
  EXPECT_FALSE(network.has(tor, block(host)));
  EXPECT_TRUE(network.has(tor, block(other)));
}

TEST_P(Restarts, WhatWentWhileAHostWasAwayLeavesItsKernel) {
  build();
  network.kill(host);
  network.withdraw(other, block(other));
  network.run(1s);
  ASSERT_TRUE(network.has(host, block(other))) << "its kernel knows nothing";
  network.start(host, proven);
  network.run(30s);
  EXPECT_FALSE(network.has(host, block(other)));
}

// RFC 8538: a shutdown is meant, whatever graceful restart would do.
TEST_P(Restarts, AShutdownIsHard) {
  build();
  ASSERT_TRUE(network.speaker(host).shutdown_peer("link0", "to the dump", network.now()));
  network.withdraw(host, block(host, 9));  // lets the network see what the speaker has to say
  network.run(2s);
  EXPECT_FALSE(network.has(tor, block(host)));
  EXPECT_EQ(network.speaker(tor).peers()[0].graceful_restarts, 0U);
}

// RFC 8538 4: other NOTIFICATIONs are not.
TEST_P(Restarts, AResetLosesNothing) {
  build();
  ASSERT_TRUE(network.speaker(host).reset_peer("link0", "", network.now()));
  network.withdraw(host, block(host, 9));
  EXPECT_TRUE(always_all(30s));
  EXPECT_EQ(network.speaker(tor).peers()[0].established_count, 2U);
}

// A silent peer may be a dead one (pain R31): whatever else there is, is better.
TEST_P(Restarts, ASilentPeerIsLeftForAnotherWay) {
  for (const bool long_lived : {false, true}) {
    Network ring(GetParam());
    for (int i = 0; i < 6; ++i) ring.add_node();
    const auto adjust = [&](PeerSettings& peer) {
      if (long_lived) peer.long_lived_stale_time = 600s;
    };
    const auto direct = ring.link(0, 1, adjust);
    for (Network::NodeId i = 1; i < 6; ++i) ring.link(i, (i + 1) % 6, adjust);
    ring.start_all();
    ring.originate(1, block(1));
    ring.run(30s);
    ring.cut(direct);
    ring.run(20s);
    EXPECT_TRUE(ring.leads_home(0, block(1))) << "long-lived: " << long_lived;
    const auto route = ring.speaker(0).route(block(1));
    ASSERT_TRUE(route);
    EXPECT_EQ(route->paths.at(0).as_path, "65006 65005 65004 65003 65002");
    EXPECT_EQ(route->paths.size(), long_lived ? 2U : 1U);
  }
}

// Pain R2, R3.
TEST_P(Restarts, OwnPrefixesDoNotWaitForTheSelection) {
  for (int i = 0; i < 3; ++i) network.add_node();
  network.link(0, 1);
  const auto dead = network.link(0, 2);
  network.start_all();
  network.originate(0, block(0));
  network.originate(1, block(1));
  network.run(30s);
  network.cut(dead);
  network.kill(0);
  network.withdraw(0, block(0));
  network.originate(0, block(0, 1));
  network.start(0, proven);
  network.run(5s);
  EXPECT_TRUE(network.has(1, block(0, 1)));
  EXPECT_TRUE(network.speaker(0).deferring()) << "node 2 may come yet";
  network.run(6s);
  EXPECT_FALSE(network.speaker(0).deferring()) << "but it is not waited for longer than 10 s";
  EXPECT_TRUE(network.has(0, block(1)));
  EXPECT_FALSE(network.has(1, block(0))) << "End-of-RIB goes out then";
}

TEST_P(Restarts, PeersWithoutGracefulRestartHoldNothingUp) {
  build([](PeerSettings& peer) { peer.graceful_restart = GracefulRestartMode::off; });
  network.kill(host);
  network.start(host, proven);
  network.run(9s);
  EXPECT_FALSE(network.speaker(host).deferring());
  EXPECT_TRUE(network.has(host, block(other)));
}

TEST_P(Restarts, AColdStartWaitsForNobody) {
  build();
  network.crash(host);
  network.start(host);
  EXPECT_FALSE(network.speaker(host).deferring());
}

TEST_P(Restarts, TwiceInARowLosesNothingThatIsStillThere) {
  build();
  network.kill(host);
  network.run(500ms);
  network.start(host, proven);
  network.run(40s);
  network.kill(host);
  network.start(host, proven);
  EXPECT_TRUE(always_all(60s));
}

// RFC 9494.
TEST_P(Restarts, ALongLivedRouteIsMarkedAndOnlyForThoseWhoKnow) {
  build([](PeerSettings& peer) {
    peer.restart_time = 10s;
    peer.long_lived_stale_time = 100s;
  });
  network.kill(host);
  network.run(15s);
  for (const Network::NodeId id : {tor, other}) {
    const auto route = network.speaker(id).route(block(host));
    ASSERT_TRUE(route) << id;
    EXPECT_THAT(route->paths.at(0).communities, Contains("llgr-stale")) << id;
  }
  EXPECT_TRUE(always(tor, block(host), 90s));
  network.run(10s);
  EXPECT_FALSE(network.has(tor, block(host)));
  EXPECT_FALSE(network.has(other, block(host)));
}

TEST_P(Restarts, ALongLivedRouteRecovers) {
  build([](PeerSettings& peer) {
    peer.restart_time = 10s;
    peer.long_lived_stale_time = 100s;
  });
  network.kill(host);
  network.run(30s);
  network.start(host, proven);
  EXPECT_TRUE(always_all(40s));
  const auto route = network.speaker(other).route(block(host));
  ASSERT_TRUE(route);
  EXPECT_TRUE(route->paths.at(0).communities.empty());
}

// RFC 8326.
TEST_P(Restarts, ADrainedNodeAsksToBeUsedLast) {
  build();
  network.speaker(host).drain(true, network.now());
  network.withdraw(host, block(host, 9));
  network.run(5s);
  auto route = network.speaker(tor).route(block(host));
  ASSERT_TRUE(route);
  EXPECT_THAT(route->paths.at(0).communities, Contains("graceful-shutdown"));
  network.speaker(host).drain(false, network.now());
  network.withdraw(host, block(host, 9));
  network.run(5s);
  route = network.speaker(tor).route(block(host));
  ASSERT_TRUE(route);
  EXPECT_TRUE(route->paths.at(0).communities.empty());
}

}  // namespace
}  // namespace weft::sim
