// Next hops behind routes: what a resolution comes to, and that a table which resolves again only
// what it must comes to the same as one that is made anew.
#include "bgp/resolution.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

std::vector<std::string> texts(const NextHops& next_hops) {
  std::vector<std::string> made;
  for (const NextHop& each : next_hops) {
    made.push_back(each.gateway.text());
    if (each.weight != 1) made.back() += "*" + std::to_string(each.weight);
  }
  return made;
}

/// 192.0.2.0/24 and 2001:db8::/64 are connected; 0.0.0.0 is this node.
class Fabric final : public Surroundings {
 public:
  void route(std::string_view to, std::string_view by, std::uint32_t med = 0,
             BandwidthClass bandwidth = 0) {
    std::vector<Path>& paths = routes_[prefix(to)];
    Path made;
    made.candidate.med = med;
    made.candidate.neighbour_as = 65001;
    made.candidate.peer_number = static_cast<std::uint32_t>(paths.size());
    made.next_hop = static_cast<NextHopId>(next_hops_.size());
    made.bandwidth = bandwidth;
    next_hops_.push_back(address(by));
    paths.push_back(made);
  }
  void refuse(std::string_view to) {
    for (Path& each : routes_[prefix(to)]) each.candidate.refused = true;
  }
  Resolution find(std::string_view to, bool by_default = false) {
    return resolve(address(to), *this, {}, by_default);
  }
  std::vector<std::string> gateways(std::string_view to, bool by_default = false) {
    return texts(find(to, by_default).gateways);
  }

  void paths(const Prefix& prefix, std::vector<Path>& found) override {
    const auto known = routes_.find(prefix);
    if (known != routes_.end())
      found.insert(found.end(), known->second.begin(), known->second.end());
  }
  [[nodiscard]] Link link(NextHopId id) const override {
    const Address& to = next_hops_[static_cast<std::size_t>(id)];
    if (to.is_unspecified()) return {Link::Kind::sink, {}, {}};
    if (prefix("192.0.2.0/24").contains(to) || prefix("2001:db8::/64").contains(to))
      return {Link::Kind::on_link, {to, 7}, {}};
    return {Link::Kind::behind, {}, to};
  }

 private:
  std::map<Prefix, std::vector<Path>> routes_;
  std::vector<Address> next_hops_;
};

TEST(Resolution, FollowsTheLongestPrefixWithAllOfItsGateways) {
  Fabric fabric;
  fabric.route("10.255.0.0/16", "192.0.2.1");
  fabric.route("10.255.0.9/32", "192.0.2.3");
  fabric.route("10.255.0.9/32", "192.0.2.2");
  EXPECT_THAT(fabric.gateways("10.255.0.9"), ElementsAre("192.0.2.2", "192.0.2.3"));
  EXPECT_THAT(fabric.gateways("10.255.0.8"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(fabric.gateways("10.254.0.8"), IsEmpty());
  EXPECT_THAT(fabric.find("10.255.0.9").looked, ElementsAre(Looked{address("10.255.0.9"), 32}));
  EXPECT_THAT(fabric.find("10.255.0.8").looked, ElementsAre(Looked{address("10.255.0.8"), 16}));
  EXPECT_THAT(fabric.find("10.254.0.8").looked, ElementsAre(Looked{address("10.254.0.8"), 1}));
}

TEST(Resolution, GoesOnFromNextHopToNextHop) {
  Fabric fabric;
  fabric.route("10.1.0.0/16", "10.255.0.9");
  fabric.route("10.255.0.9/32", "192.0.2.2");
  fabric.route("2001:db8:1::/48", "2001:db8:ff::9");
  fabric.route("2001:db8:ff::/64", "2001:db8::2");
  EXPECT_THAT(fabric.gateways("10.1.0.1"), ElementsAre("192.0.2.2"));
  EXPECT_THAT(fabric.gateways("2001:db8:1::1"), ElementsAre("2001:db8::2"));
  EXPECT_THAT(fabric.find("10.1.0.1").looked,
              ElementsAre(Looked{address("10.1.0.1"), 16}, Looked{address("10.255.0.9"), 32}));
}

TEST(Resolution, IsNeverThroughItself) {
  Fabric fabric;
  fabric.route("10.255.0.1/32", "10.255.0.1");
  EXPECT_THAT(fabric.gateways("10.255.0.1"), IsEmpty());
  fabric.route("10.255.0.0/16", "192.0.2.1");
  EXPECT_THAT(fabric.gateways("10.255.0.1"), ElementsAre("192.0.2.1")) << "the next shorter one";
  fabric.route("10.255.0.1/32", "192.0.2.2");
  EXPECT_THAT(fabric.gateways("10.255.0.1"), ElementsAre("192.0.2.2"))
      << "the same prefix, told by somebody with a way there";
}

TEST(Resolution, DetectsLoopsOfSeveral) {
  Fabric fabric;
  fabric.route("10.1.0.0/16", "10.2.0.1");
  fabric.route("10.2.0.0/16", "10.3.0.1");
  fabric.route("10.3.0.0/16", "10.1.0.1");
  for (const char* each : {"10.1.0.1", "10.2.0.1", "10.3.0.1", "10.3.0.2"})
    EXPECT_THAT(fabric.gateways(each), IsEmpty()) << each;
  fabric.route("10.0.0.0/8", "192.0.2.1");
  for (const char* each : {"10.1.0.1", "10.2.0.1", "10.3.0.1", "10.3.0.2"})
    EXPECT_THAT(fabric.gateways(each), ElementsAre("192.0.2.1")) << each;
}

TEST(Resolution, TakesTheDefaultRouteOnlyWhenAsked) {
  Fabric fabric;
  fabric.route("0.0.0.0/0", "192.0.2.1");
  EXPECT_THAT(fabric.gateways("10.1.0.1"), IsEmpty());
  EXPECT_THAT(fabric.gateways("10.1.0.1", true), ElementsAre("192.0.2.1"));
}

TEST(Resolution, EndsWhereThisNodeIsTheOrigin) {
  Fabric fabric;
  fabric.route("10.0.0.0/8", "192.0.2.1");
  fabric.route("10.1.0.0/16", "0.0.0.0");
  EXPECT_THAT(fabric.gateways("10.1.0.1"), IsEmpty());
  fabric.refuse("10.1.0.0/16");
  EXPECT_THAT(fabric.gateways("10.1.0.1"), ElementsAre("192.0.2.1")) << "as if it were not there";
}

TEST(Resolution, SumsUpMetricsAndChoosesByThem) {
  Fabric fabric;
  fabric.route("10.1.0.0/16", "10.255.0.1", 5);
  fabric.route("10.255.0.1/32", "192.0.2.1", 10);
  EXPECT_EQ(fabric.find("10.1.0.1").metric, 15U);
  EXPECT_EQ(fabric.find("10.255.0.1").metric, 10U);
  fabric.route("10.1.0.0/16", "10.255.0.2", 5);
  fabric.route("10.255.0.2/32", "192.0.2.2", 9);
  EXPECT_EQ(fabric.find("10.1.0.1").metric, 14U);
  EXPECT_THAT(fabric.gateways("10.1.0.1"), ElementsAre("192.0.2.2")) << "the nearer one";
  fabric.route("10.2.0.0/16", "10.1.0.1", 0xfffffffe);
  EXPECT_EQ(fabric.find("10.2.0.1").metric, 0xffffffffU);
}

TEST(Resolution, InheritsWeights) {
  Fabric fabric;
  fabric.route("10.255.0.1/32", "192.0.2.1", 0, 17);
  fabric.route("10.255.0.1/32", "192.0.2.2", 0, 9);  // half of it
  fabric.route("10.1.0.0/16", "10.255.0.1");
  EXPECT_THAT(fabric.gateways("10.1.0.1"), ElementsAre("192.0.2.1*2", "192.0.2.2"));
}

TEST(Resolution, GoesNoDeeperThanItsLimit) {
  Fabric fabric;
  const auto net = [](std::size_t n) { return "10." + std::to_string(n) + ".0."; };
  for (std::size_t n = 1; n < resolution_depth + 1; ++n)
    fabric.route(net(n) + "0/24", net(n + 1) + "1");
  fabric.route(net(resolution_depth + 1) + "0/24", "192.0.2.1");
  EXPECT_THAT(fabric.gateways("10.2.0.1"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(fabric.gateways("10.1.0.1"), IsEmpty());
}

TEST(Resolution, GivesUpWhereEverythingLeadsEverywhere) {
  Fabric fabric;
  for (int to = 1; to <= 40; ++to) {
    for (int by = 1; by <= 40; ++by)
      fabric.route("10.0." + std::to_string(to) + ".0/24", "10.0." + std::to_string(by) + ".1");
  }
  fabric.route("10.0.40.0/24", "192.0.2.1");
  EXPECT_THAT(fabric.gateways("10.0.1.1"), IsEmpty());
}

/// Peers 1 and 2 external and connected, 5 and 6 internal.
class RecursiveRib : public testing::Test {
 protected:
  RecursiveRib() {
    rib_.connected(documentation_subnet());
    for (const unsigned n : {1U, 2U}) rib_.attach(PeerId(n), external_peer(n));
    for (const unsigned n : {5U, 6U}) rib_.attach(PeerId(n), internal_peer(n));
  }
  static RibPeer internal_peer(unsigned n) {
    RibPeer made = external_peer(n);
    made.external = false;
    made.address = Address::ipv4(0x0aff0000 + n);
    made.recursive = true;
    return made;
  }
  void announce(unsigned peer, std::string_view to, std::string_view by, std::uint32_t med = 0) {
    Attributes made = path_of({65100});
    made.med = med;
    const auto ids = held(store_, made);
    rib_.announce(prefix(to), 0, ids.id(), *rib_.next_hop(PeerId(peer), address(by)));
  }
  /// "prefix gateways" of each change, sorted.
  std::vector<std::string> decided() {
    std::vector<RouteChange> changes;
    rib_.decide(all, changes);
    std::vector<std::string> found;
    for (const RouteChange& each : changes) {
      found.push_back(each.prefix.text());
      if (each.kind == RouteKind::none) found.back() += " gone";
      for (const NextHop& hop : rib_.next_hops(each.next_hops))
        found.back() += " " + hop.gateway.text();
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  AttributeStore store_{Asn{65000}, RouterId{0x0a000001}};
  Rib rib_{store_, {}};
};

TEST_F(RecursiveRib, FollowsTheRouteThatLeadsToANextHop) {
  announce(5, "10.9.0.0/16", "10.255.0.5");
  EXPECT_THAT(decided(), IsEmpty());
  EXPECT_EQ(rib_.route(prefix("10.9.0.0/16"))->paths.front().rung, Rung::next_hop);
  announce(1, "10.255.0.5/32", "192.0.2.1");
  EXPECT_THAT(decided(), ElementsAre("10.255.0.5/32 192.0.2.1", "10.9.0.0/16 192.0.2.1"));
  announce(2, "10.255.0.5/32", "192.0.2.2");
  EXPECT_THAT(decided(),
              ElementsAre("10.255.0.5/32 192.0.2.1 192.0.2.2", "10.9.0.0/16 192.0.2.1 192.0.2.2"));
  announce(1, "10.255.0.0/16", "192.0.2.1");
  EXPECT_THAT(decided(), ElementsAre("10.255.0.0/16 192.0.2.1")) << "a longer one leads there";
  rib_.drop(PeerId{2}, Family::ipv4);
  EXPECT_THAT(decided(), ElementsAre("10.255.0.5/32 192.0.2.1", "10.9.0.0/16 192.0.2.1"));
  rib_.withdraw(PeerId{1}, prefix("10.255.0.5/32"));
  EXPECT_THAT(decided(), ElementsAre("10.255.0.5/32 gone"));
  rib_.withdraw(PeerId{1}, prefix("10.255.0.0/16"));
  EXPECT_THAT(decided(), ElementsAre("10.255.0.0/16 gone", "10.9.0.0/16 gone"));
}

TEST_F(RecursiveRib, PrefersAConnectedSubnet) {
  announce(1, "10.255.0.5/32", "192.0.2.1");
  announce(5, "10.9.0.0/16", "10.255.0.5");
  decided();
  auto subnets = documentation_subnet();
  subnets.push_back({address("10.255.0.254"), prefix("10.255.0.0/24"), 8});
  rib_.connected(subnets);
  EXPECT_THAT(decided(), ElementsAre("10.9.0.0/16 10.255.0.5"));
  rib_.connected(documentation_subnet());
  EXPECT_THAT(decided(), ElementsAre("10.9.0.0/16 192.0.2.1"));
  announce(2, "10.255.0.5/32", "192.0.2.2");
  EXPECT_EQ(decided().size(), 2U) << "it is known still which prefixes are behind it";
}

TEST_F(RecursiveRib, IsConnectedWhileARouteToItIsPending) {
  announce(5, "10.9.0.0/16", "10.255.0.5");
  decided();
  announce(1, "10.255.0.5/32", "192.0.2.1");
  auto subnets = documentation_subnet();
  subnets.push_back({address("10.255.0.254"), prefix("10.255.0.0/24"), 8});
  rib_.connected(subnets);
  EXPECT_THAT(decided(), ElementsAre("10.255.0.5/32 192.0.2.1", "10.9.0.0/16 10.255.0.5"));
  EXPECT_EQ(rib_.pending(), 0U);
}

TEST_F(RecursiveRib, ComesAndGoesWithWhatLeadsThere) {
  announce(5, "10.9.0.0/16", "10.255.0.5");
  announce(1, "10.255.0.5/32", "192.0.2.1");
  rib_.withdraw(PeerId{1}, prefix("10.255.0.5/32"));
  EXPECT_THAT(decided(), IsEmpty()) << "all of it between two decisions";
  for (int round = 0; round < 3; ++round) {
    announce(1, "10.255.0.5/32", "192.0.2.1");
    EXPECT_THAT(decided(), ElementsAre("10.255.0.5/32 192.0.2.1", "10.9.0.0/16 192.0.2.1"));
    rib_.withdraw(PeerId{1}, prefix("10.255.0.5/32"));
    EXPECT_THAT(decided(), ElementsAre("10.255.0.5/32 gone", "10.9.0.0/16 gone"));
  }
  announce(1, "10.255.0.5/32", "192.0.2.1");
  decided();
  rib_.withdraw(PeerId{1}, prefix("10.255.0.5/32"));
  announce(1, "10.255.0.5/32", "192.0.2.1");
  EXPECT_THAT(decided(), IsEmpty()) << "as it was";
  rib_.withdraw(PeerId{1}, prefix("10.255.0.5/32"));
  rib_.withdraw(PeerId{5}, prefix("10.9.0.0/16"));
  announce(6, "10.9.0.0/16", "192.0.2.6");
  EXPECT_THAT(decided(), ElementsAre("10.255.0.5/32 gone", "10.9.0.0/16 192.0.2.6"));
}

TEST_F(RecursiveRib, IsNeverBehindItself) {
  announce(5, "10.255.0.0/16", "10.255.0.5");
  EXPECT_THAT(decided(), IsEmpty());
  announce(6, "10.0.0.0/8", "10.255.0.5");
  EXPECT_THAT(decided(), IsEmpty()) << "nor both behind each other";
  announce(1, "10.0.0.0/8", "192.0.2.1");
  EXPECT_THAT(decided(), ElementsAre("10.0.0.0/8 192.0.2.1", "10.255.0.0/16 192.0.2.1"));
  EXPECT_EQ(rib_.route(prefix("10.255.0.0/16"))->paths.front().rung, Rung::best);
}

TEST_F(RecursiveRib, IsChosenByTheMetricOnTheWay) {
  announce(5, "10.9.0.0/16", "10.255.0.5");
  announce(6, "10.9.0.0/16", "10.255.0.6");
  announce(1, "10.255.0.5/32", "192.0.2.1", 10);
  announce(1, "10.255.0.6/32", "192.0.2.2", 20);
  decided();
  const auto verdict = [&] {
    const RouteView view = *rib_.route(prefix("10.9.0.0/16"));
    return std::pair(static_cast<unsigned>(view.paths[0].peer), view.paths[1].rung);
  };
  EXPECT_EQ(verdict(), std::pair(5U, Rung::igp_metric));
  announce(1, "10.255.0.6/32", "192.0.2.2", 9);
  EXPECT_THAT(decided(), ElementsAre("10.9.0.0/16 192.0.2.2")) << "no gateway but the metric";
  EXPECT_EQ(verdict(), std::pair(6U, Rung::igp_metric));
  announce(1, "10.255.0.5/32", "192.0.2.1", 9);
  EXPECT_THAT(decided(), ElementsAre("10.9.0.0/16 192.0.2.1 192.0.2.2")) << "equally far";
}

TEST_F(RecursiveRib, SaysWhatLeadsThere) {
  announce(5, "10.9.0.0/16", "10.255.0.5");
  announce(1, "10.255.0.0/16", "192.0.2.1", 7);
  announce(5, "10.8.0.0/16", "192.0.2.1");
  decided();
  const auto behind = [&](std::string_view to) {
    return rib_.route_behind(rib_.route(prefix(to))->paths.front().next_hop);
  };
  ASSERT_TRUE(behind("10.9.0.0/16"));
  EXPECT_EQ(behind("10.9.0.0/16")->prefix, prefix("10.255.0.0/16"));
  EXPECT_EQ(behind("10.9.0.0/16")->metric, 7U);
  EXPECT_FALSE(behind("10.8.0.0/16")) << "connected";
  rib_.withdraw(PeerId{1}, prefix("10.255.0.0/16"));
  decided();
  EXPECT_FALSE(behind("10.9.0.0/16")) << "nothing does";
}

TEST_F(RecursiveRib, ResolvesInSlices) {
  // Each of them takes all the steps that one may.
  for (int to = 1; to <= 40; ++to) {
    for (int by = 1; by <= 40; ++by) {
      const std::string net = "10.0." + std::to_string(to);
      const auto ids = held(store_, path_of({65100}));
      const auto id = *rib_.next_hop(PeerId{5}, address("10.0." + std::to_string(by) + ".1"));
      rib_.announce(prefix(net + ".0/24"), static_cast<std::uint32_t>(by), ids.id(), id);
    }
  }
  announce(6, "10.9.0.0/16", "10.255.0.5");
  announce(1, "10.255.0.5/32", "192.0.2.1");
  std::vector<RouteChange> changes;
  int slices = 0;
  for (; rib_.pending() != 0; ++slices) {
    rib_.decide(all, changes);
    ASSERT_LT(slices, 1000);
  }
  EXPECT_GT(slices, 5);
  EXPECT_EQ(rib_.route(prefix("10.9.0.0/16"))->kind, RouteKind::via);
}

TEST_F(RecursiveRib, LeavesPeersOfOneHopAlone) {
  announce(1, "10.255.0.5/32", "192.0.2.1");
  announce(2, "10.9.0.0/16", "10.255.0.5");
  EXPECT_THAT(decided(), ElementsAre("10.255.0.5/32 192.0.2.1"));
}

TEST_F(RecursiveRib, CanBeSwitchedOff) {
  announce(1, "10.255.0.5/32", "192.0.2.1");
  announce(1, "0.0.0.0/0", "192.0.2.1");
  announce(5, "10.9.0.0/16", "10.255.0.5");
  announce(6, "10.8.0.0/16", "10.254.0.6");
  decided();
  rib_.set_recursion({false, false});
  EXPECT_THAT(decided(), ElementsAre("10.9.0.0/16 gone"));
  rib_.set_recursion({true, true});
  EXPECT_THAT(decided(), ElementsAre("10.8.0.0/16 192.0.2.1", "10.9.0.0/16 192.0.2.1"));
}

TEST_F(RecursiveRib, ForgetsNextHopsThatNobodyNames) {
  announce(1, "10.255.0.0/16", "192.0.2.1");
  for (int round = 0; round < 3; ++round) {
    for (unsigned n = 1; n < 200; ++n)
      announce(5, "10.9.0.0/16", "10.255." + std::to_string(round) + "." + std::to_string(n));
    decided();
  }
  announce(2, "10.255.2.199/32", "192.0.2.2");
  EXPECT_THAT(decided(), ElementsAre("10.255.2.199/32 192.0.2.2", "10.9.0.0/16 192.0.2.2"));
}

/// Whatever came before, in whatever order: the table is a function of what was said last.
class RandomRecursion : public testing::TestWithParam<unsigned> {
 protected:
  RandomRecursion() : random_(GetParam()) {}

  struct Said {
    Address by;
    std::uint32_t med = 0;
    bool filtered = false;
    /// Octets per second, as a power of two; 0: not said.
    std::uint32_t bandwidth = 0;
  };
  struct Rules {
    MultipathLimits limits{4, true};
    Recursion recursion;
  };
  using Words = std::map<std::pair<unsigned, Prefix>, Said>;
  using Routes = std::map<Prefix, std::vector<std::string>>;

  struct Instance {
    AttributeStore store{Asn{65000}, RouterId{0x0a000001}};
    Rib rib;
    Routes fib;

    Instance(const std::vector<ConnectedSubnet>& subnets, const Rules& rules)
        : rib(store, rules.limits) {
      rib.set_recursion(rules.recursion);
      rib.connected(subnets);
      for (unsigned n = 1; n <= 6; ++n) {
        RibPeer made = external_peer(n);
        made.external = n % 2 == 0;
        made.recursive = n > 2;
        rib.attach(PeerId(n), made);
      }
    }
    void say(unsigned peer, const Prefix& to, const Said& said) {
      Attributes made = path_of({65100});
      made.med = said.med;
      if (said.bandwidth != 0)
        made.extended_communities = {{0x4004fde900000000U + ((said.bandwidth + 127U) << 23U)}};
      const auto ids = held(store, made);
      rib.announce(to, 0, ids.id(), *rib.next_hop(PeerId(peer), said.by), said.filtered);
    }
    void decide(std::size_t limit) {
      std::vector<RouteChange> changes;
      rib.decide(limit, changes);
      for (const RouteChange& each : changes) {
        fib[each.prefix] = texts(rib.next_hops(each.next_hops));
        if (each.kind == RouteKind::none) fib.erase(each.prefix);
      }
    }
    /// Of every path, best first: whose, the rung, and where its next hop leads.
    std::vector<std::string> verdicts(const Prefix& to) {
      std::vector<std::string> found;
      const RouteView route = *rib.route(to);
      for (const PathView& path : route.paths) {
        found.push_back(std::to_string(static_cast<unsigned>(path.peer)) + " " +
                        std::string(name(path.rung)) + (path.multipath ? " shares" : ""));
        for (const std::string& each : texts(rib.next_hop(path.next_hop).resolved))
          found.back() += " " + each;
        if (const auto behind = rib.route_behind(path.next_hop))
          found.back() += " by " + behind->prefix.text() + " " + std::to_string(behind->metric);
      }
      return found;
    }
    void decide() {
      do decide(3);
      while (rib.pending() != 0);
    }
  };

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  Address inside() { return Address::ipv4(0x0a000000 + (below(3) << 16) + (below(3) << 8) + 1); }
  Prefix any_prefix() {
    constexpr unsigned lengths[] = {0, 8, 16, 24, 32};
    return {inside(), lengths[below(5)]};
  }
  Said any_word() {
    // Mostly connected: where everything leads everywhere, each resolution takes all its steps.
    const Address by = below(4) != 0 ? Address::ipv4(0xc0000201 + below(4)) : inside();
    return {by, below(3), below(10) == 0, below(4) == 0 ? 0 : 27 + below(2)};
  }
  std::vector<ConnectedSubnet> any_subnets() {
    std::vector<ConnectedSubnet> made;
    if (below(4) != 0) made = documentation_subnet();
    if (below(4) == 0) made.push_back({address("10.1.1.250"), prefix("10.1.1.0/24"), 8});
    return made;
  }

  Rules any_rules() {
    return {{static_cast<std::uint16_t>(1 + below(4)), below(4) != 0, below(4) == 0},
            {below(8) != 0, below(2) == 0}};
  }

  std::mt19937 random_;
};

TEST_P(RandomRecursion, IsTheSameAsATableMadeAnew) {
  std::vector<ConnectedSubnet> subnets = any_subnets();
  Rules rules;
  Instance running(subnets, rules);
  Words words;
  for (int batch = 0; batch < 60; ++batch) {
    for (std::uint32_t i = below(6) + 1; i-- > 0;) {
      const auto key = std::pair(1 + below(6), any_prefix());
      if (below(3) == 0) {
        running.rib.withdraw(PeerId(key.first), key.second);
        words.erase(key);
      } else {
        words[key] = any_word();
        running.say(key.first, key.second, words[key]);
      }
      if (below(20) == 0) {
        subnets = any_subnets();
        running.rib.connected(subnets);
      }
      if (below(40) == 0) {
        rules = any_rules();
        running.rib.set_limits(rules.limits);
        running.rib.set_recursion(rules.recursion);
      }
      if (below(40) == 0) {
        const unsigned gone = 1 + below(6);
        running.rib.drop(PeerId(gone), Family::ipv4);
        std::erase_if(words, [&](const auto& each) { return each.first.first == gone; });
      }
      if (below(4) == 0) running.decide(1 + below(3));
    }
    running.decide();

    Instance anew(subnets, rules);
    std::vector<Words::const_iterator> order;
    for (auto each = words.cbegin(); each != words.cend(); ++each) order.push_back(each);
    std::shuffle(order.begin(), order.end(), random_);
    for (const auto& each : order) anew.say(each->first.first, each->first.second, each->second);
    anew.decide();
    ASSERT_EQ(running.fib, anew.fib) << "batch " << batch;
    if (batch % 10 != 0) continue;
    for (const auto& [key, said] : words)
      ASSERT_EQ(running.verdicts(key.second), anew.verdicts(key.second)) << key.second.text();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRecursion, testing::Range(1U, 21U));

}  // namespace
}  // namespace weft::bgp
