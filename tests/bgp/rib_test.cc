#include "bgp/rib.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/bgp/model.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

constexpr Asn own_as{65000};
constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

class RibTest : public testing::Test {
 protected:
  RibTest() {
    rib_.connected(documentation_subnet());
    for (unsigned n = 1; n <= 4; ++n) rib_.attach(PeerId(n), external_peer(n));
  }

  Announced announce(unsigned peer, std::string_view to, const Attributes& attributes,
                     bool filtered = false, std::uint32_t path_id = 0) {
    return announce_via(peer, to, attributes, Address::ipv4(0xc0000200 + peer), filtered, path_id);
  }
  Announced announce_via(unsigned peer, std::string_view to, const Attributes& attributes,
                         const Address& next_hop, bool filtered = false,
                         std::uint32_t path_id = 0) {
    const auto ids = held(store_, attributes);
    const auto id = rib_.next_hop(PeerId(peer), next_hop);
    return rib_.announce(prefix(to), path_id, ids.id(), *id, filtered);
  }
  std::vector<RouteChange> decide() {
    std::vector<RouteChange> changes;
    rib_.decide(all, changes);
    return changes;
  }
  /// "prefix kind gateways" of each change.
  std::vector<std::string> decided() {
    std::vector<std::string> texts;
    for (const RouteChange& each : decide()) {
      std::string text = each.prefix.text();
      if (each.kind == RouteKind::none) text += " gone";
      if (each.kind == RouteKind::local) text += " local";
      for (const NextHop& hop : rib_.next_hops(each.next_hops)) text += " " + hop.gateway.text();
      texts.push_back(text);
    }
    return texts;
  }

  using Texts = std::vector<std::string>;
  AttributeStore store_{own_as, RouterId{0x0a000001}};
  Rib rib_{store_, {}};
};

TEST_F(RibTest, TellsTheFibWhatChanged) {
  announce(1, "10.1.0.0/16", path_of({65001}));
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 192.0.2.1"});
  EXPECT_EQ(decided(), Texts{});
  announce(1, "10.1.0.0/16", path_of({65001}));
  EXPECT_EQ(decided(), Texts{}) << "the same again is no change";
  announce(1, "10.1.0.0/16", path_of({65001, 65009}));
  EXPECT_EQ(decided(), Texts{}) << "other attributes, the same way";
  announce(2, "10.1.0.0/16", path_of({65002, 65009}));
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 192.0.2.1 192.0.2.2"});
  EXPECT_TRUE(rib_.withdraw(PeerId{1}, prefix("10.1.0.0/16")));
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 192.0.2.2"});
  EXPECT_FALSE(rib_.withdraw(PeerId{1}, prefix("10.1.0.0/16")));
  EXPECT_TRUE(rib_.withdraw(PeerId{2}, prefix("10.1.0.0/16")));
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 gone"});
  EXPECT_EQ(store_.size(), 0U);
  EXPECT_EQ(rib_.paths(Family::ipv4), 0U);
}

TEST_F(RibTest, SaysOneThingOfAPrefixPerBatch) {
  for (unsigned i = 0; i < 5; ++i) announce(1, "10.1.0.0/16", path_of({65001, 65002 + i}));
  rib_.withdraw(PeerId{1}, prefix("10.1.0.0/16"));
  announce(2, "10.1.0.0/16", path_of({65002}));
  EXPECT_EQ(rib_.pending(), 1U);
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 192.0.2.2"});
}

TEST_F(RibTest, DecidesInSlices) {
  for (const char* to : {"10.1.0.0/16", "10.2.0.0/16", "fd01::/16"}) {
    announce(1, to, path_of({65001}));
  }
  std::vector<RouteChange> changes;
  rib_.decide(2, changes);
  EXPECT_EQ(changes.size(), 2U);
  EXPECT_EQ(rib_.pending(), 1U);
  rib_.decide(2, changes);
  EXPECT_EQ(changes.size(), 3U);
}

TEST_F(RibTest, LeadsWhereThePeerOfTheBestPathBelongs) {
  const auto attach = [&](unsigned peer, const Placement& where) {
    RibPeer facts = external_peer(peer);
    facts.placement = where;
    rib_.attach(PeerId(peer), facts);
  };
  const auto placed = [&] {
    std::vector<std::pair<std::size_t, Placement>> found;
    for (const RouteChange& each : decide()) {
      found.emplace_back(rib_.next_hops(each.next_hops).size(), rib_.placement(each.next_hops));
      EXPECT_EQ(rib_.placement(each.prefix), rib_.placement(each.next_hops));
    }
    return found;
  };
  using Placed = std::vector<std::pair<std::size_t, Placement>>;
  attach(3, {100, 30});
  attach(4, {100, 30});
  announce(3, "10.1.0.0/16", path_of({65003}));
  EXPECT_EQ(placed(), (Placed{{1, {100, 30}}}));
  announce(4, "10.1.0.0/16", path_of({65004}));
  EXPECT_EQ(placed(), (Placed{{2, {100, 30}}})) << "peers of one table share the load";
  announce(1, "10.1.0.0/16", path_of({65001}));
  EXPECT_EQ(placed(), (Placed{{1, {}}})) << "with its lower router id it is the best, and alone";
  rib_.withdraw(PeerId{1}, prefix("10.1.0.0/16"));
  EXPECT_EQ(placed(), (Placed{{2, {100, 30}}}));
  attach(3, {200, 0});
  attach(4, {200, 0});
  EXPECT_EQ(placed(), (Placed{{2, {200, 0}}})) << "the same way, in another table";
  rib_.withdraw(PeerId{4}, prefix("10.1.0.0/16"));
  EXPECT_EQ(placed(), (Placed{{1, {200, 0}}}));
  attach(3, {});
  EXPECT_EQ(placed(), (Placed{{1, {}}}));
}

/// Trap 3: what is refused is gone, whatever was there before.
TEST_F(RibTest, TakesARefusedRouteForAWithdrawalOfTheOlder) {
  announce(1, "10.1.0.0/16", path_of({65001}));
  decide();
  EXPECT_EQ(announce(1, "10.1.0.0/16", path_of({65001, 65000})), Announced::refused);
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 gone"});
  EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv4).looped, 1U);
  announce(1, "10.1.0.0/16", path_of({65001}));
  decide();
  EXPECT_EQ(announce(1, "10.1.0.0/16", path_of({65001}), true), Announced::refused);
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 gone"});
  EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv4).filtered, 1U);
  EXPECT_EQ(rib_.route(prefix("10.1.0.0/16"))->paths.front().rung, Rung::refused);
}

TEST_F(RibTest, RefusesOurOwnOriginatorAndCluster) {
  Attributes reflected = path_of({65001});
  reflected.originator_id = RouterId{0x0a000001};
  EXPECT_EQ(announce(1, "10.1.0.0/16", reflected), Announced::refused);
  reflected.originator_id.reset();
  reflected.cluster_list = {RouterId{0x0a000001}};
  EXPECT_EQ(announce(1, "10.1.0.0/16", reflected), Announced::refused);
}

TEST_F(RibTest, TakesTheOriginatorForTheRouterId) {
  Attributes reflected = path_of({65001});
  reflected.originator_id = RouterId{0xdf000001};
  announce(1, "10.1.0.0/16", reflected);
  announce(2, "10.1.0.0/16", path_of({65002}));
  decide();
  const auto view = *rib_.route(prefix("10.1.0.0/16"));
  ASSERT_EQ(view.paths.size(), 2U);
  EXPECT_EQ(view.paths[0].peer, PeerId{2}) << "though peer 1 itself has the lower identifier";
  EXPECT_EQ(view.paths[1].rung, Rung::router_id);
}

/// Trap 15.
TEST_F(RibTest, NeverSelectsAnUnresolvableNextHop) {
  announce_via(1, "10.1.0.0/16", path_of({65001}), address("198.51.100.1"));
  announce(2, "10.1.0.0/16", path_of({65002, 65003, 65004}));
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 192.0.2.2"});
  EXPECT_EQ(rib_.route(prefix("10.1.0.0/16"))->paths.back().rung, Rung::next_hop);
  auto subnets = documentation_subnet();
  subnets.push_back({address("198.51.100.254"), prefix("198.51.100.0/24"), 8});
  rib_.connected(subnets);
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 198.51.100.1"});
  rib_.connected(documentation_subnet());
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 192.0.2.2"});
}

TEST_F(RibTest, DecidesOnlyWhatIsBehindAChangedSubnet) {
  auto subnets = documentation_subnet();
  subnets.push_back({address("198.51.100.254"), prefix("198.51.100.0/24"), 8});
  rib_.connected(subnets);
  announce(1, "10.1.0.0/16", path_of({65001}));
  announce_via(1, "10.2.0.0/16", path_of({65001}), address("198.51.100.1"));
  decide();
  subnets[1].ifindex = 9;
  rib_.connected(subnets);
  EXPECT_EQ(rib_.pending(), 1U);
  const auto changes = decide();
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(rib_.next_hops(changes[0].next_hops), (NextHops{{address("198.51.100.1"), 9, 1}}));
}

TEST_F(RibTest, RefusesSpecialNextHops) {
  for (const char* special : {"0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "192.0.2.254",
                              "::", "::1", "ff02::1"}) {
    const auto id = rib_.next_hop(PeerId{1}, address(special));
    EXPECT_TRUE(rib_.next_hop(*id).special) << special;
    EXPECT_TRUE(rib_.next_hop(*id).resolved.empty()) << special;
  }
}

TEST_F(RibTest, FindsLinkLocalNextHopsBehindTheSession) {
  RibPeer unnumbered{true, RouterId{9}, address("fe80::1"), 12};
  rib_.attach(PeerId{9}, unnumbered);
  const auto one = *rib_.next_hop(PeerId{9}, address("fe80::1"), address("fe80::1"));
  EXPECT_EQ(rib_.next_hop(one).resolved, (NextHops{{address("fe80::1"), 12, 1}}));
  const auto both = *rib_.next_hop(PeerId{9}, address("2001:db8::9"), address("fe80::1"));
  EXPECT_EQ(rib_.next_hop(both).resolved, (NextHops{{address("fe80::1"), 12, 1}}));
  const auto unknown = *rib_.next_hop(PeerId{1}, address("fe80::1"));
  EXPECT_TRUE(rib_.next_hop(unknown).resolved.empty());
}

TEST_F(RibTest, FollowsAPeerToAnotherInterface) {
  RibPeer unnumbered{true, RouterId{9}, address("fe80::1"), 12};
  rib_.attach(PeerId{9}, unnumbered);
  announce_via(9, "10.1.0.0/16", path_of({65009}), address("fe80::1"));
  decide();
  unnumbered.ifindex = 13;
  rib_.attach(PeerId{9}, unnumbered);
  const auto changes = decide();
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(rib_.next_hops(changes[0].next_hops).front().ifindex, 13U);
}

TEST_F(RibTest, KeepsWhatIsOursFromTheFib) {
  const auto ours = held(store_, path_of({}));
  rib_.originate(prefix("10.64.0.0/26"), ours.id());
  EXPECT_EQ(decided(), Texts{"10.64.0.0/26 local"});
  announce(1, "10.64.0.0/26", path_of({65001}));
  EXPECT_EQ(decided(), Texts{});
  EXPECT_EQ(rib_.originated(Family::ipv4), 1U);
  EXPECT_TRUE(rib_.withdraw(PeerId::local, prefix("10.64.0.0/26")));
  EXPECT_EQ(decided(), Texts{"10.64.0.0/26 192.0.2.1"});
}

TEST_F(RibTest, DropsOnePeerAndFamily) {
  announce(1, "10.1.0.0/16", path_of({65001}));
  announce(2, "10.1.0.0/16", path_of({65002}));
  announce(1, "10.2.0.0/16", path_of({65001}));
  announce(1, "fd01::/16", path_of({65001}));
  decide();
  rib_.drop(PeerId{1}, Family::ipv4);
  EXPECT_EQ(decided(), (Texts{"10.1.0.0/16 192.0.2.2", "10.2.0.0/16 gone"}));
  EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv4).received, 0U);
  EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv6).received, 1U);
}

TEST_F(RibTest, SweepsOnlyWhatWasNotAnnouncedAgain) {
  announce(1, "10.1.0.0/16", path_of({65001}));
  announce(1, "10.2.0.0/16", path_of({65001}));
  announce(1, "10.3.0.0/16", path_of({65001}));
  decide();
  rib_.mark_stale(PeerId{1}, Family::ipv4);
  EXPECT_EQ(decided(), Texts{}) << "stale paths go on carrying traffic";
  announce(1, "10.1.0.0/16", path_of({65001}));
  announce(1, "10.2.0.0/16", path_of({65001, 65002}));
  rib_.drop(PeerId{1}, Family::ipv4, Rib::Which::stale);
  EXPECT_EQ(decided(), Texts{"10.3.0.0/16 gone"});
}

// All are marked at once as long as none is stale; what is stale already stays so.
TEST_F(RibTest, MarksAnewWhatIsHeldAndWhatIsStale) {
  for (int life = 0; life < 3; ++life) {
    announce(1, "10.1.0.0/16", path_of({65001}));
    announce(1, "10.2.0.0/16", path_of({65001}));
    announce(2, "10.3.0.0/16", path_of({65002}));
    EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv4).stale, 0U);
    rib_.mark_stale(PeerId{1}, Family::ipv4);
    announce(1, "10.1.0.0/16", path_of({65001}));
    EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv4).stale, 1U);
    rib_.mark_stale(PeerId{1}, Family::ipv4);
    EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv4).stale, 2U);
    EXPECT_EQ(rib_.counts(PeerId{2}, Family::ipv4).stale, 0U);
    EXPECT_TRUE(rib_.route(prefix("10.1.0.0/16"))->paths[0].stale);
    EXPECT_FALSE(rib_.route(prefix("10.3.0.0/16"))->paths[0].stale);
    announce(1, "10.2.0.0/16", path_of({65001}));
    rib_.drop(PeerId{1}, Family::ipv4, Rib::Which::stale);
    decide();
    EXPECT_FALSE(rib_.route(prefix("10.1.0.0/16")));
    EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv4).received, 1U);
    EXPECT_EQ(rib_.counts(PeerId{1}, Family::ipv4).stale, 0U);
  }
}

TEST_F(RibTest, KeepsPathsWithIdsApart) {
  for (std::uint32_t id = 1; id <= 9; ++id) {
    announce_via(1, "10.1.0.0/16", path_of({65001}), Address::ipv4(0xc0000200 + id), false, id);
  }
  EXPECT_EQ(rib_.paths(Family::ipv4), 9U);
  decide();
  EXPECT_EQ(rib_.route(prefix("10.1.0.0/16"))->paths.front().path_id, 1U);
  for (std::uint32_t id = 1; id <= 8; ++id) {
    EXPECT_TRUE(rib_.withdraw(PeerId{1}, prefix("10.1.0.0/16"), id));
  }
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 192.0.2.9"});
  EXPECT_FALSE(rib_.withdraw(PeerId{1}, prefix("10.1.0.0/16"), 0));
}

TEST_F(RibTest, StopsAtItsLimitOfPaths) {
  for (std::uint32_t id = 1; id <= Rib::max_paths; ++id) {
    ASSERT_EQ(announce(1, "10.1.0.0/16", path_of({65001}), false, id), Announced::accepted);
  }
  EXPECT_EQ(announce(1, "10.1.0.0/16", path_of({65001}), false, 5000), Announced::no_room);
  EXPECT_EQ(announce(1, "10.1.0.0/16", path_of({65001, 65002}), false, 7), Announced::accepted);
  decide();
  rib_.drop(PeerId{1}, Family::ipv4);
  EXPECT_EQ(decided(), Texts{"10.1.0.0/16 gone"});
}

TEST_F(RibTest, StopsAtItsLimitOfNextHopsPerPeer) {
  for (std::uint32_t i = 0; i < Rib::max_next_hops; ++i) {
    ASSERT_TRUE(rib_.next_hop(PeerId{1}, Address::ipv4(0x0a000000 + i)));
  }
  EXPECT_FALSE(rib_.next_hop(PeerId{1}, address("192.0.2.1")));
  EXPECT_TRUE(rib_.next_hop(PeerId{2}, address("192.0.2.1"))) << "others do not suffer";
  decide();
  EXPECT_TRUE(rib_.next_hop(PeerId{1}, address("192.0.2.1"))) << "unused ones were let go";
}

TEST_F(RibTest, ShowsCandidatesBestFirstWithTheRungThatDecided) {
  announce(1, "10.1.0.0/16", path_of({65001, 65005}));
  announce(2, "10.1.0.0/16", path_of({65002}));
  Attributes preferred = path_of({65003, 65004, 65005});
  preferred.local_pref = 200;
  announce(3, "10.1.0.0/16", preferred);
  decide();
  const auto view = *rib_.route(prefix("10.1.0.0/16"));
  ASSERT_EQ(view.paths.size(), 3U);
  EXPECT_EQ(view.paths[0].peer, PeerId{3});
  EXPECT_EQ(view.paths[0].rung, Rung::best);
  EXPECT_TRUE(view.paths[0].multipath);
  EXPECT_EQ(view.paths[1].rung, Rung::local_pref);
  EXPECT_EQ(view.paths[2].rung, Rung::local_pref);
  EXPECT_FALSE(rib_.route(prefix("10.9.0.0/16")));
}

/// Random peers, prefixes, attributes, filters, drops and subnets, against the model after each
/// batch.
class RandomRib : public testing::TestWithParam<unsigned> {
 protected:
  RandomRib() : random_(GetParam()) {
    model_.own_as = own_as;
    model_.limits = {static_cast<std::uint16_t>(1 + below(4)), below(2) == 0};
    rib_.set_limits(model_.limits);
    for (unsigned n = 1; n <= peers; ++n) {
      RibPeer made = external_peer(n);
      made.external = n % 3 != 0;
      made.router_id = RouterId{n / 2 + 1};
      model_.peers[PeerId(n)] = made;
      rib_.attach(PeerId(n), made);
    }
    connect();
  }

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  Prefix any_prefix() {
    if (below(3) == 0) {
      std::array<std::byte, 16> octets{std::byte{0xfd}};
      octets[1] = static_cast<std::byte>(below(40));
      return {Address::ipv6(octets), 16 + below(2)};
    }
    return {Address::ipv4(0x0a000000 + (below(60) << 8)), 23 + below(2)};
  }

  Attributes any_attributes() {
    Attributes made = path_of({65001 + below(2), below(12) == 0 ? own_as.value : 65100});
    if (below(2) == 0) made.as_path.prepend(made.as_path.segments[0].asns[0]);
    made.origin = static_cast<Origin>(below(2));
    if (below(2) == 0) made.med = below(3);
    if (below(3) == 0) made.local_pref = 99 + below(3);
    return made;
  }

  void connect() {
    model_.subnets.clear();
    for (std::uint32_t net = 0; net < 3; ++net) {
      if (below(4) == 0) continue;
      const Address base = Address::ipv4(0xc0000200 + (net << 4));
      model_.subnets.push_back({base.plus(14), Prefix(base, 28), 1 + below(3)});
    }
    rib_.connected(model_.subnets);
  }

  void announce() {
    Model::Path path{PeerId(1 + below(peers)), below(4) == 0 ? below(6) : 0, any_attributes(),
                     Address::ipv4(0xc0000200 + below(48)), below(10) == 0};
    const Prefix to = any_prefix();
    const auto attributes = held(store_, path.attributes);
    rib_.announce(to, path.path_id, attributes.id(), *rib_.next_hop(path.peer, path.next_hop),
                  path.filtered);
    model_.routes[to][{path.peer, path.path_id}] = path;
  }

  void originate() {
    const Prefix to = any_prefix();
    Model::Path path;
    path.attributes = path_of({});
    if (below(2) == 0) {
      const auto attributes = held(store_, path.attributes);
      rib_.originate(to, attributes.id());
      model_.routes[to][{PeerId::local, 0}] = path;
    } else {
      const bool was = model_.routes[to].erase({PeerId::local, 0}) != 0;
      EXPECT_EQ(rib_.withdraw(PeerId::local, to), was);
    }
  }

  void withdraw() {
    const Prefix to = any_prefix();
    const auto peer = PeerId(1 + below(peers));
    const Model::Key key{peer, below(4) == 0 ? below(6) : 0};
    const bool was = model_.routes[to].erase(key) != 0;
    EXPECT_EQ(rib_.withdraw(key.first, to, key.second), was);
  }

  void drop() {
    const auto peer = PeerId(1 + below(peers));
    const Family family = below(2) == 0 ? Family::ipv4 : Family::ipv6;
    rib_.drop(peer, family);
    for (auto& [to, paths] : model_.routes) {
      if (to.family() != family) continue;
      std::erase_if(paths, [&](const auto& each) { return each.first.first == peer; });
    }
  }

  void step() {
    const std::uint32_t dice = below(1000);
    if (dice < 600) return announce();
    if (dice < 900) return withdraw();
    if (dice < 960) return originate();
    if (dice < 980) return drop();
    if (dice < 990) return connect();
  }

  void decide() {
    std::vector<RouteChange> changes;
    rib_.decide(all, changes);
    std::map<Prefix, int> seen;
    for (const RouteChange& each : changes) {
      EXPECT_EQ(++seen[each.prefix], 1) << each.prefix.text();
      using Wanted = std::pair<RouteKind, NextHops>;
      const auto old = fib_.find(each.prefix);
      const Wanted before = old == fib_.end() ? Wanted() : old->second;
      const Wanted wanted{each.kind, rib_.next_hops(each.next_hops)};
      EXPECT_NE(before, wanted) << "a change that changes nothing: " << each.prefix.text();
      fib_[each.prefix] = wanted;
      if (each.kind == RouteKind::none) fib_.erase(each.prefix);
    }
  }

  void compare() {
    std::map<PeerId, std::map<Family, PathCounts>> counts;
    std::size_t routes = 0;
    for (const auto& [to, paths] : model_.routes) {
      const Model::Outcome wanted = model_.outcome(to);
      compare(to, paths, wanted);
      routes += wanted.best ? 1U : 0U;
      for (const auto& [key, path] : paths) {
        PathCounts& of = counts[key.first][to.family()];
        ++of.received;
        const bool looped = path.peer != PeerId::local && path.attributes.as_path.contains(own_as);
        if (path.filtered) ++of.filtered;
        if (!path.filtered && looped) ++of.looped;
      }
      for (const auto& key : wanted.multipath) ++counts[key.first][to.family()].selected;
    }
    EXPECT_EQ(rib_.routes(Family::ipv4) + rib_.routes(Family::ipv6), routes);
    EXPECT_EQ(fib_.size(), routes);
    for (unsigned n = 0; n <= peers; ++n) {
      for (const Family family : {Family::ipv4, Family::ipv6}) {
        const PathCounts& wanted = counts[PeerId(n)][family];
        const PathCounts got = rib_.counts(PeerId(n), family);
        EXPECT_EQ(got.received, wanted.received);
        EXPECT_EQ(got.filtered, wanted.filtered);
        EXPECT_EQ(got.looped, wanted.looped);
        EXPECT_EQ(got.selected, wanted.selected);
      }
    }
  }

  void compare(const Prefix& to, const Model::Paths& paths, const Model::Outcome& wanted) {
    const auto view = rib_.route(to);
    ASSERT_EQ(view ? view->paths.size() : 0, paths.size()) << to.text();
    const auto fib = fib_.find(to);
    ASSERT_EQ(fib != fib_.end(), wanted.best.has_value()) << to.text();
    if (!wanted.best) return;
    EXPECT_EQ(fib->second.second, wanted.next_hops) << to.text();
    EXPECT_EQ(view->paths[0].peer, wanted.best->peer) << to.text();
    EXPECT_EQ(view->paths[0].path_id, wanted.best->path_id) << to.text();
    EXPECT_EQ(from_canonical(store_.octets(view->paths[0].attributes)), wanted.best->attributes);
    const auto best = rib_.best(to.family(), *rib_.find(to));
    ASSERT_TRUE(best);
    EXPECT_EQ(best->attributes, view->paths[0].attributes);
    std::vector<Model::Key> multipath;
    for (const PathView& each : view->paths) {
      if (each.multipath) multipath.emplace_back(each.peer, each.path_id);
    }
    std::sort(multipath.begin(), multipath.end());
    EXPECT_EQ(multipath, wanted.multipath) << to.text();
  }

  static constexpr unsigned peers = 6;
  std::mt19937 random_;
  AttributeStore store_{own_as, RouterId{0x0a000001}};
  Rib rib_{store_, {}};
  Model model_;
  std::map<Prefix, std::pair<RouteKind, NextHops>> fib_;
};

TEST_P(RandomRib, EqualsTheModel) {
  for (int batch = 0; batch < 60; ++batch) {
    for (std::uint32_t i = below(80); i-- > 0;) step();
    decide();
    compare();
    if (HasFailure()) return;
  }
  for (unsigned n = 0; n <= peers; ++n) {
    rib_.drop(PeerId(n), Family::ipv4);
    rib_.drop(PeerId(n), Family::ipv6);
  }
  decide();
  EXPECT_TRUE(fib_.empty());
  EXPECT_EQ(store_.size(), 0U) << "attributes leak";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRib, testing::Range(1U, 26U));

/// Any order of the same announcements makes the same table (issue of order-dependent MED, trap
/// 10).
TEST(RibOrder, MakesNoDifference) {
  std::mt19937 random(3);
  struct Said {
    unsigned peer;
    Attributes attributes;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<Said> said;
    for (unsigned n = 1; n <= 6; ++n) {
      Attributes made = path_of({65001 + static_cast<std::uint32_t>(random() % 2)});
      made.med = static_cast<std::uint32_t>(random() % 3);
      said.push_back({n, made});
    }
    std::optional<std::vector<std::pair<PeerId, Rung>>> first;
    for (int shuffle = 0; shuffle < 5; ++shuffle) {
      std::shuffle(said.begin(), said.end(), random);
      AttributeStore store(own_as, RouterId{0x0a000001});
      Rib rib(store, {.paths = 2, .relax = true});
      rib.connected(documentation_subnet());
      std::vector<RouteChange> changes;
      for (const Said& each : said) {
        RibPeer facts = external_peer(each.peer);
        facts.external = each.peer % 2 == 0;
        facts.router_id = RouterId{each.peer / 3};
        rib.attach(PeerId(each.peer), facts);
        const auto attributes = held(store, each.attributes);
        rib.announce(prefix("10.0.0.0/8"), 0, attributes.id(),
                     *rib.next_hop(PeerId(each.peer), facts.address));
        if (random() % 2 == 0) rib.decide(all, changes);
      }
      rib.decide(all, changes);
      std::vector<std::pair<PeerId, Rung>> order;
      const auto view = rib.route(prefix("10.0.0.0/8"));
      for (const PathView& each : view->paths) {
        order.emplace_back(each.peer, each.rung);
      }
      if (!first) first = order;
      ASSERT_EQ(order, *first);
    }
  }
}

}  // namespace
}  // namespace weft::bgp
