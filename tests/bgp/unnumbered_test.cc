// Two speakers joined by unnumbered links on which everybody has the same link-local address.
#include <gmock/gmock.h>

#include <map>
#include <string>

#include "bgp/message.h"
#include "bgp/peer.h"
#include "bgp/speaker.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Time t0{1h};

Address address(const char* text) {
  return Address::parse(text).value();
}
Prefix prefix(const char* text) {
  return Prefix::parse(text).value();
}

Settings node(std::uint32_t asn) {
  Settings settings;
  settings.asn = Asn{asn};
  settings.router_id = RouterId{asn};
  for (const char* link : {"eth1", "eth2"}) {
    PeerSettings peer;
    peer.name = peer.interface = link;
    peer.import_filter = Filter::accept;
    settings.peers.push_back(peer);
  }
  return settings;
}

/// One end: links eth1, eth2 are interfaces 11, 12 here, and its link-local address on both is
/// `own`.
struct End {
  explicit End(std::uint32_t asn) : speaker(node(asn), asn, t0) {
    const std::vector<ConnectedSubnet> subnets{{own, prefix("fe80::/64"), 11},
                                               {own, prefix("fe80::/64"), 12}};
    speaker.connected(subnets, t0);
    speaker.links({{"eth1", 11}, {"eth2", 12}}, t0);
  }
  Address own = Address::parse("fe80::1").value();
  Speaker speaker;
  std::map<Prefix, NextHops> fib;
  std::vector<ConnectTo> connects;
  /// Our connection to the other end's.
  std::map<ConnectionId, ConnectionId> joined;
  std::map<ConnectionId, std::uint32_t> link;
  std::string log;
};

struct Wire {
  End a{65001};
  End b{65002};
  Time now = t0;
  /// Connections that are made lead nowhere while false.
  bool connected = true;

  void drain(End& from, End& to) {
    for (auto& action : from.speaker.take_actions()) {
      std::visit(Overloaded{[&](const ConnectTo& order) { connect(from, to, order); },
                            [&](const OutputReady& ready) { carry(from, to, ready.connection); },
                            [&](const CloseConnection& order) { close(from, to, order); }},
                 action);
    }
    for (const RouteChange& change : from.speaker.take_route_changes()) {
      from.fib.erase(change.prefix);
      if (change.kind == RouteKind::via)
        from.fib[change.prefix] = from.speaker.next_hops(change.next_hops);
    }
    for (const LogLine& line : from.speaker.take_log()) from.log += line.text + "\n";
  }
  void connect(End& from, End& to, const ConnectTo& order) {
    from.connects.push_back(order);
    if (!connected || order.remote != to.own)
      return from.speaker.failed(order.connection, "no route to host", now);
    const auto theirs = to.speaker.accepted(from.own, to.own, now, order.ifindex);
    if (!theirs) return from.speaker.failed(order.connection, "refused", now);
    from.joined[order.connection] = *theirs;
    to.joined[*theirs] = order.connection;
    from.link[order.connection] = to.link[*theirs] = order.ifindex;
    from.speaker.opened(order.connection, from.own, now);
  }
  void carry(End& from, End& to, ConnectionId connection) {
    std::vector<std::byte> bytes;
    from.speaker.produce(connection, bytes, now);
    from.speaker.sent(connection, true, now);
    const auto other = from.joined.find(connection);
    if (other != from.joined.end()) to.speaker.received(other->second, bytes, now);
  }
  void close(End& from, End& to, const CloseConnection& order) {
    const auto other = from.joined.find(order.connection);
    if (other == from.joined.end()) return;
    to.speaker.received(other->second, order.last, now);
    to.speaker.closed(other->second, "closed by the peer", now);
    to.joined.erase(other->second);
    from.joined.erase(other);
  }
  void run(Clock::duration span) {
    for (const Time end = now + span; now <= end; now += 100ms) {
      for (End* each : {&a, &b}) {
        if (each->speaker.deadline() <= now) each->speaker.tick(now);
      }
      for (int i = 0; i < 20; ++i) {
        drain(a, b);
        drain(b, a);
      }
    }
  }
  void advertise() {
    for (const std::uint32_t link : {11U, 12U}) {
      a.speaker.router_heard(link, b.own, now);
      b.speaker.router_heard(link, a.own, now);
    }
  }
  static PeerStatus status(End& end, std::size_t peer) { return end.speaker.peers().at(peer); }
  static bool up(End& end, std::size_t peer) {
    return status(end, peer).state == PeerState::established;
  }
};

TEST(Unnumbered, NobodyIsConnectedToBeforeItIsHeard) {
  Wire wire;
  wire.run(30s);
  EXPECT_THAT(wire.a.connects, IsEmpty());
  EXPECT_EQ(Wire::status(wire.a, 0).state, PeerState::active);
  EXPECT_TRUE(Wire::status(wire.a, 0).address.is_unspecified());
}

TEST(Unnumbered, SaysWhyNobodyIsConnectedTo) {
  Wire wire;
  wire.a.speaker.links({{"eth2", 12}}, wire.now, {{"eth1", "there is no link eth1"}});
  wire.run(1s);
  EXPECT_EQ(wire.a.log, "") << "a link that comes and goes at start is no news";
  wire.run(30s);
  EXPECT_EQ(Wire::status(wire.a, 0).last_error, "there is no link eth1");
  EXPECT_EQ(Wire::status(wire.a, 1).last_error, "no router advertisement heard on eth2 in 15 s");
  EXPECT_EQ(wire.a.log,
            "peer eth1: there is no link eth1\n"
            "peer eth2: no router advertisement heard on eth2 in 15 s\n");
  wire.a.log.clear();
  wire.a.speaker.links({{"eth1", 11}, {"eth2", 12}}, wire.now);
  wire.run(30s);
  EXPECT_EQ(wire.a.log, "peer eth1: no router advertisement heard on eth1 in 15 s\n");
  EXPECT_EQ(Wire::status(wire.a, 0).last_error, "no router advertisement heard on eth1 in 15 s");
}

TEST(Unnumbered, TheSameAddressOnEveryLinkMakesASessionEach) {
  Wire wire;
  wire.b.own = wire.a.own;  // the first hop of every link is fe80::1
  wire.a.speaker.connected({{address("fe80::a"), prefix("fe80::/64"), 11},
                            {address("fe80::a"), prefix("fe80::/64"), 12}},
                           t0);
  wire.a.own = address("fe80::a");
  wire.run(1s);
  wire.advertise();
  wire.run(3s);
  for (const std::size_t peer : {0U, 1U}) {
    EXPECT_TRUE(Wire::up(wire.a, peer)) << wire.a.log;
    EXPECT_TRUE(Wire::up(wire.b, peer)) << wire.b.log;
    EXPECT_EQ(Wire::status(wire.a, peer).address, address("fe80::1"));
  }
  wire.b.speaker.originate(prefix("10.64.0.0/26"), wire.now);
  wire.b.speaker.originate(prefix("fd64::/122"), wire.now);
  wire.run(1s);
  const NextHops both{{address("fe80::1"), 11}, {address("fe80::1"), 12}};
  EXPECT_EQ(wire.a.fib[prefix("10.64.0.0/26")], both) << "RFC 8950";
  EXPECT_EQ(wire.a.fib[prefix("fd64::/122")], both);
}

TEST(Unnumbered, WhoConnectsNeedsNoAdvertisement) {
  Wire wire;
  wire.b.own = address("fe80::b");
  wire.run(1s);
  wire.b.speaker.router_heard(11, wire.a.own, wire.now);  // a hears nothing
  wire.run(3s);
  EXPECT_TRUE(Wire::up(wire.a, 0)) << wire.a.log;
  EXPECT_EQ(Wire::status(wire.a, 0).address, address("fe80::b"));
  EXPECT_FALSE(Wire::up(wire.a, 1));
}

TEST(Unnumbered, AStrangerOnTheLinkIsRefusedWhileTheNeighbourIsThere) {
  Wire wire;
  wire.b.own = address("fe80::b");
  wire.run(1s);
  wire.advertise();
  wire.run(3s);
  ASSERT_TRUE(Wire::up(wire.a, 0));
  EXPECT_EQ(wire.a.speaker.accepted(address("fe80::c"), wire.a.own, wire.now, 11), std::nullopt);
  EXPECT_EQ(wire.a.speaker.accepted(address("fe80::b"), wire.a.own, wire.now, 13), std::nullopt)
      << "another link";
  EXPECT_EQ(wire.a.speaker.accepted(address("fd00::b"), wire.a.own, wire.now, 11), std::nullopt)
      << "not link-local";
  wire.a.speaker.router_heard(11, address("fe80::c"), wire.now);
  wire.run(1s);
  EXPECT_TRUE(Wire::up(wire.a, 0));
  EXPECT_EQ(Wire::status(wire.a, 0).address, address("fe80::b"));
}

TEST(Unnumbered, FollowsANeighbourThatHasAnotherAddressNow) {
  Wire wire;
  wire.b.own = address("fe80::b");
  wire.run(1s);
  wire.advertise();
  wire.run(3s);
  ASSERT_TRUE(Wire::up(wire.a, 0));
  // The address goes: what is under way is lost, and the next advertisement has another source.
  wire.a.joined.clear();
  wire.b.joined.clear();
  wire.b.own = address("fe80::b2");
  wire.advertise();
  wire.run(20s);  // the hold time, and the way back
  EXPECT_TRUE(Wire::up(wire.a, 0)) << wire.a.log;
  EXPECT_EQ(Wire::status(wire.a, 0).address, address("fe80::b2"));
  EXPECT_EQ(Wire::status(wire.a, 0).established_count, 2U);
}

TEST(Unnumbered, TheSessionFallsWithItsLinkAndReturnsWithIt) {
  Wire wire;
  wire.b.own = address("fe80::b");
  wire.run(1s);
  wire.advertise();
  wire.run(3s);
  wire.b.speaker.originate(prefix("10.64.0.0/26"), wire.now);
  wire.run(1s);
  ASSERT_EQ(wire.a.fib[prefix("10.64.0.0/26")].size(), 2U);
  wire.a.speaker.links({{"eth2", 12}}, wire.now);
  wire.drain(wire.a, wire.b);
  EXPECT_THAT(wire.a.fib[prefix("10.64.0.0/26")], ElementsAre(NextHop{address("fe80::b"), 12}));
  EXPECT_THAT(Wire::status(wire.a, 0).last_error, HasSubstr("link eth1 is down"));
  EXPECT_TRUE(Wire::up(wire.a, 1));
  wire.run(5s);
  EXPECT_EQ(Wire::status(wire.a, 0).last_attempt, "") << "the same is not said twice";
  wire.a.speaker.links({{"eth1", 11}, {"eth2", 12}}, wire.now);
  wire.run(1s);
  wire.advertise();
  wire.run(15s);
  EXPECT_TRUE(Wire::up(wire.a, 0)) << wire.a.log;
  EXPECT_EQ(wire.a.fib[prefix("10.64.0.0/26")].size(), 2U);
}

/// One end that has connected to fe80::b on eth1 and awaits its OPEN.
struct Attempt {
  End end{65001};
  ConnectionId connection;

  Attempt() {
    end.speaker.tick(t0);
    end.speaker.router_heard(11, address("fe80::b"), t0);
    end.speaker.tick(t0);
    for (const Action& action : end.speaker.take_actions()) {
      if (const auto* order = std::get_if<ConnectTo>(&action)) connection = order->connection;
    }
    end.speaker.opened(connection, end.own, t0);
    EXPECT_EQ(status().state, PeerState::open_sent);
  }
  [[nodiscard]] PeerStatus status() const { return end.speaker.peers().at(0); }
  bool closed() {
    bool found = false;
    for (const Action& action : end.speaker.take_actions()) {
      const auto* order = std::get_if<CloseConnection>(&action);
      found |= order != nullptr && order->connection == connection;
    }
    return found;
  }
  void hear(const Message& message) {
    std::vector<std::byte> bytes;
    encode(message, bytes);
    end.speaker.received(connection, bytes, t0);
  }
  static Open open() {
    Open open{Asn{65002}, 9s, RouterId{65002}, {}};
    open.capabilities.families = {unicast(Family::ipv6)};
    open.capabilities.four_octet_as = Asn{65002};
    return open;
  }
};

TEST(Unnumbered, WhatIsNoSessionYetGoesWithItsLink) {
  Attempt attempt;
  attempt.hear(Attempt::open());
  ASSERT_EQ(attempt.status().state, PeerState::open_confirm);
  attempt.end.speaker.links({{"eth2", 12}}, t0);
  EXPECT_TRUE(attempt.closed());
  attempt.hear(Keepalive{});
  EXPECT_EQ(attempt.status().state, PeerState::idle);
  EXPECT_TRUE(attempt.status().address.is_unspecified());
}

TEST(Unnumbered, AnotherRouterWaitsUntilAnAttemptHasFailed) {
  Attempt attempt;
  attempt.end.speaker.router_heard(11, address("fe80::c"), t0);
  EXPECT_EQ(attempt.status().address, address("fe80::b"));
  EXPECT_FALSE(attempt.closed());
  attempt.end.speaker.closed(attempt.connection, "reset", t0);
  EXPECT_EQ(attempt.status().address, address("fe80::c"));
}

TEST(Unnumbered, WhoConnectsFromElsewhereIsTheNeighbourUnlessAnotherHasSpoken) {
  Attempt silent;
  EXPECT_TRUE(silent.end.speaker.accepted(address("fe80::c"), silent.end.own, t0, 11));
  EXPECT_EQ(silent.status().address, address("fe80::c"));
  EXPECT_TRUE(silent.closed()) << "what was begun with another address is no use";

  Attempt spoken;
  spoken.hear(Attempt::open());
  EXPECT_FALSE(spoken.end.speaker.accepted(address("fe80::c"), spoken.end.own, t0, 11));
  EXPECT_EQ(spoken.status().address, address("fe80::b"));
  spoken.hear(Keepalive{});
  EXPECT_EQ(spoken.status().state, PeerState::established);
}

TEST(Unnumbered, ALinkOfAnUnnumberedPeerIsNoPlaceForThoseOfARange) {
  Settings settings = node(65001);
  PeerSettings range;
  range.name = "all";
  range.range = prefix("::/0");
  range.bind_interface = "eth3";
  settings.peers.push_back(range);
  Speaker speaker(settings, 1, t0);
  speaker.links({{"eth1", 11}, {"eth2", 12}}, t0);
  EXPECT_TRUE(speaker.accepted(address("fe80::1"), address("fe80::a"), t0, 13));
  EXPECT_EQ(speaker.peers().back().name, "fe80::1");
  EXPECT_TRUE(speaker.accepted(address("fe80::1"), address("fe80::a"), t0, 11));
  EXPECT_EQ(speaker.peers().at(0).address, address("fe80::1"));
  EXPECT_EQ(speaker.socket_setup(address("fe80::1"), 11).interface, "");
  EXPECT_EQ(speaker.socket_setup(address("fe80::1"), 13).interface, "eth3");
}

TEST(Unnumbered, PeersAskForNoTtlUnlessToldTo) {
  PeerSettings peer;
  peer.interface = "eth1";
  EXPECT_EQ(setup_of(peer).ttl, 255);
  EXPECT_EQ(setup_of(peer).least_ttl, 0);
  peer.gtsm = true;
  EXPECT_EQ(setup_of(peer).least_ttl, 255);
}

TEST(Unnumbered, ALinkMadeAnewHasAnotherIndex) {
  Wire wire;
  wire.b.own = address("fe80::b");
  wire.run(1s);
  wire.advertise();
  wire.run(3s);
  wire.a.speaker.links({{"eth1", 21}, {"eth2", 12}}, wire.now);
  EXPECT_THAT(Wire::status(wire.a, 0).last_error, HasSubstr("another link"));
  wire.a.speaker.router_heard(11, wire.b.own, wire.now);
  EXPECT_TRUE(Wire::status(wire.a, 0).address.is_unspecified());
  wire.a.speaker.router_heard(21, wire.b.own, wire.now);
  EXPECT_EQ(Wire::status(wire.a, 0).address, wire.b.own);
}

}  // namespace
}  // namespace weft::bgp
