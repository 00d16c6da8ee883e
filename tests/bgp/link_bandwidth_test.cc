// Link bandwidth as shares of the load (draft-ietf-idr-link-bandwidth).
#include "bgp/link_bandwidth.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <limits>

#include "bgp/attributes.h"
#include "bgp/rib.h"

namespace weft::bgp {
namespace {

using testing::ElementsAre;

ExtendedCommunity rate(float octets_per_second, unsigned type = 0x40) {
  return {std::uint64_t{type} << 56 | std::uint64_t{4} << 48 | std::uint64_t{65001} << 32 |
          std::bit_cast<std::uint32_t>(octets_per_second)};
}
BandwidthClass class_of(const std::vector<ExtendedCommunity>& communities) {
  BandwidthClass found = 0;
  for (const ExtendedCommunity& each : communities) found = least(found, bandwidth_class(each));
  return found;
}
std::vector<std::uint16_t> shares(const std::vector<float>& rates) {
  std::vector<BandwidthClass> classes;
  for (const float each : rates) classes.push_back(class_of({rate(each)}));
  return weights(classes);
}

TEST(LinkBandwidth, IsShared) {
  constexpr float gigabit = 1.25e8;
  EXPECT_THAT(shares({gigabit}), ElementsAre(1));
  EXPECT_THAT(shares({gigabit, gigabit}), ElementsAre(1, 1));
  EXPECT_THAT(shares({2 * gigabit, gigabit}), ElementsAre(2, 1));
  EXPECT_THAT(shares({gigabit, 4 * gigabit, 2 * gigabit}), ElementsAre(1, 4, 2));
  EXPECT_THAT(shares({10 * gigabit, 25 * gigabit}), ElementsAre(21, 50)) << "2 to 5, roughly";
  EXPECT_THAT(shares({1, 400 * gigabit}), ElementsAre(1, 100)) << "nobody is left out";
}

TEST(LinkBandwidth, OfNoneIsNone) {
  EXPECT_EQ(class_of({}), 0);
  EXPECT_EQ(class_of({{0x0002fde800000001}}), 0) << "a route target";
  EXPECT_EQ(class_of({rate(0)}), 0);
  EXPECT_EQ(class_of({rate(-5)}), 0);
  EXPECT_EQ(class_of({rate(std::numeric_limits<float>::quiet_NaN())}), 0);
  EXPECT_EQ(class_of({rate(std::numeric_limits<float>::infinity())}), 0);
  EXPECT_EQ(class_of({rate(1e9), rate(1e6)}), class_of({rate(1e6)})) << "the least";
  EXPECT_LE(class_of({rate(std::numeric_limits<float>::max())}), 1024);
  EXPECT_THAT(shares({1e9, 0, 5e9}), ElementsAre(1, 1, 1)) << "all or nothing";
}

TEST(LinkBandwidth, NoiseIsNoOtherShare) {
  const float one = std::exp2(30.25F);  // in the middle of its class
  for (const float noise : {0.96F, 0.98F, 1.0F, 1.02F, 1.04F})
    EXPECT_THAT(shares({2 * one * noise, one}), ElementsAre(2, 1)) << noise;
}

NextHop gateway(std::uint32_t n, std::uint16_t weight = 1) {
  return {Address::ipv4(0xc0000200U + n), 2, weight};
}

TEST(LinkBandwidth, IsDividedAmongTheWaysOfAPath) {
  using Shares = std::vector<Share>;
  const Shares told{{{gateway(1), gateway(2)}, 17}, {{gateway(3)}, 17}};
  EXPECT_THAT(share(told, 64), ElementsAre(gateway(1), gateway(2), gateway(3, 2)));
  const Shares silent{{{gateway(1), gateway(2)}, 17}, {{gateway(3)}, 0}};
  EXPECT_THAT(share(silent, 64), ElementsAre(gateway(1), gateway(2), gateway(3)));
  const Shares both{{{gateway(1), gateway(2)}, 17}, {{gateway(2)}, 17}};
  EXPECT_THAT(share(both, 64), ElementsAre(gateway(1), gateway(2, 3)));
  const Shares weighted{{{gateway(1, 4), gateway(2)}, 0}};
  EXPECT_THAT(share(weighted, 64), ElementsAre(gateway(1, 4), gateway(2)));
  const Shares uneven{{{gateway(1, 255), gateway(2)}, 900}, {{gateway(3)}, 1}};
  EXPECT_THAT(share(uneven, 64), ElementsAre(gateway(1, 255), gateway(2), gateway(3, 2)))
      << "no more than what a member may have, and nobody is left out";
}

TEST(LinkBandwidth, IsForTheGreatestWhereThereAreTooMany) {
  const std::vector<Share> shares{
      {{gateway(4), gateway(3)}, 17}, {{gateway(2)}, 17}, {{gateway(1)}, 9}};
  EXPECT_THAT(share(shares, 2), ElementsAre(gateway(1), gateway(2, 2)));
  EXPECT_THAT(share(shares, 1), ElementsAre(gateway(2)));
  EXPECT_THAT(share(shares, 3), ElementsAre(gateway(1), gateway(2, 2), gateway(3)));
}

/// Peers 1, 2, … at 192.0.2.11, 192.0.2.12, … announce one prefix.
struct Bench {
  AttributeStore store{{65001}, {1}, 1};
  Rib rib{store, {16, true}};
  Prefix prefix = Prefix::parse("198.51.100.0/24").value();
  std::vector<RouteChange> changes;

  Bench() {
    rib.connected(
        {{Address::parse("192.0.2.1").value(), Prefix::parse("192.0.2.0/24").value(), 2}});
    for (std::uint16_t peer = 1; peer <= 3; ++peer)
      rib.attach(PeerId{peer}, {true, {peer}, address(peer), 2});
  }
  static Address address(std::uint32_t peer) { return Address::ipv4(0xc000020aU + peer); }
  /// The weights in the order of gateways.
  std::vector<std::uint16_t> announce(std::uint16_t peer, float octets_per_second,
                                      std::uint32_t gateway) {
    Attributes attributes;
    attributes.origin = Origin::igp;
    attributes.as_path = AsPath::sequence({{65100}});
    if (octets_per_second != 0) attributes.extended_communities = {rate(octets_per_second)};
    const HeldAttributes held(store, store.intern(canonical(attributes)));
    const auto via = rib.next_hop(PeerId{peer}, address(gateway));
    rib.announce(prefix, 0, held.id(), *via);
    return decided();
  }
  std::vector<std::uint16_t> announce(std::uint16_t peer, float octets_per_second) {
    return announce(peer, octets_per_second, peer);
  }
  std::vector<std::uint16_t> decided() {
    changes.clear();
    rib.decide(100, changes);
    std::vector<std::uint16_t> found;
    for (const NextHop& each : rib.next_hops(rib.route(prefix)->next_hops))
      found.push_back(each.weight);
    return found;
  }
};

TEST(LinkBandwidth, MakesWeightsOfNextHopSets) {
  Bench bench;
  EXPECT_THAT(bench.announce(1, 5e9), ElementsAre(1));
  EXPECT_THAT(bench.announce(2, 1.25e9), ElementsAre(4, 1));
  EXPECT_THAT(bench.announce(2, 1.26e9), ElementsAre(4, 1));
  EXPECT_TRUE(bench.changes.empty()) << "noise writes no route";
  EXPECT_THAT(bench.announce(3, 2.5e9), ElementsAre(4, 1, 2));
  EXPECT_THAT(bench.announce(2, 0), ElementsAre(1, 1, 1)) << "all or nothing";
  EXPECT_EQ(bench.changes.size(), 1U);
  bench.rib.withdraw(PeerId{2}, bench.prefix);
  EXPECT_THAT(bench.decided(), ElementsAre(2, 1)) << "those that are left all say one";
}

TEST(LinkBandwidth, WhoAnnouncesOneGatewayTogetherShareItTogether) {
  Bench bench;
  bench.announce(1, 5e9, 1);
  bench.announce(2, 5e9, 1);
  EXPECT_THAT(bench.announce(3, 5e9, 3), ElementsAre(2, 1));
  EXPECT_THAT(bench.announce(3, 10e9, 3), ElementsAre(1, 1));
  EXPECT_THAT(bench.announce(3, 0, 3), ElementsAre(1, 1));
}

}  // namespace
}  // namespace weft::bgp
