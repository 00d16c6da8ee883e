#include "bgp/attribute_store.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

constexpr Asn own_as{65000};
constexpr RouterId own_id{0x0a000001};

TEST(AttributeStore, GivesEqualSetsOneId) {
  AttributeStore store(own_as, own_id);
  const auto a = held(store, path_of({65001, 65002}));
  const auto b = held(store, path_of({65001, 65003}));
  const auto again = held(store, path_of({65001, 65002}));
  EXPECT_EQ(a.id(), again.id());
  EXPECT_NE(a.id(), b.id());
  EXPECT_EQ(store.size(), 2U);
  EXPECT_EQ(from_canonical(store.octets(b.id())), path_of({65001, 65003}));
}

TEST(AttributeStore, ForgetsWhatNobodyHolds) {
  AttributeStore store(own_as, own_id);
  const auto octets = canonical(path_of({65001}));
  const AttributeId id = store.intern(octets);
  store.hold(id);
  store.release(id);
  EXPECT_EQ(store.size(), 1U);
  store.release(id);
  EXPECT_EQ(store.size(), 0U);
  EXPECT_EQ(store.intern(octets), id) << "a free id is used again";
  store.release(id);
}

TEST(AttributeStore, TriesTheLikelySetFirst) {
  AttributeStore store(own_as, own_id);
  const auto last = held(store, path_of({65001}));
  const HeldAttributes same(store, store.intern(canonical(path_of({65001})), last.id()));
  const HeldAttributes other(store, store.intern(canonical(path_of({65002})), last.id()));
  EXPECT_EQ(same.id(), last.id());
  EXPECT_NE(other.id(), last.id());
}

/// RFC 4456 8: reflectors of one cluster share its id, whatever their router ids.
TEST(AttributeStore, KnowsItsOwnClusterById) {
  AttributeStore store(own_as, own_id, 0, RouterId{0x0aff0009});
  Attributes made = path_of({65001});
  made.cluster_list = {RouterId{9}, own_id};
  const auto id = held(store, made);
  EXPECT_FALSE(store.facts(id.id()).own_cluster);
  made.cluster_list = {RouterId{9}, RouterId{0x0aff0009}};
  const auto looped = held(store, made);
  EXPECT_TRUE(store.facts(looped.id()).own_cluster);
}

TEST(AttributeStore, KnowsWhatTheDecisionAsks) {
  AttributeStore store(own_as, own_id);
  Attributes made = path_of({65001, 65000, 65002, 65000});
  made.as_path.segments.push_back({AsPath::SegmentType::set, {Asn{65003}, Asn{65004}}});
  made.origin = Origin::egp;
  made.med = 17;
  made.local_pref = 300;
  made.originator_id = own_id;
  made.cluster_list = {RouterId{9}, own_id};
  made.communities = {community::no_export, community::no_advertise};
  const auto id = held(store, made);
  AttributeFacts wanted;
  wanted.local_pref = 300;
  wanted.med = 17;
  wanted.neighbour_as = 65001;
  wanted.originator = own_id.value;
  wanted.path_length = 5;
  wanted.origin = 1;
  wanted.cluster_list_length = 2;
  wanted.own_as_count = 2;
  wanted.own_originator = wanted.own_cluster = true;
  wanted.no_export = wanted.no_advertise = true;
  wanted.has_local_pref = wanted.has_med = true;
  EXPECT_EQ(store.facts(id.id()), wanted);
  EXPECT_EQ(store.value(id.id(), 4).size(), 4U);
  EXPECT_TRUE(store.value(id.id(), 99).empty());
}

TEST(AttributeStore, TakesAbsentOnesForTheirDefaults) {
  AttributeStore store(own_as, own_id);
  Attributes only_set;
  only_set.origin = Origin::igp;
  only_set.as_path.segments.push_back({AsPath::SegmentType::set, {Asn{65003}, Asn{65004}}});
  const auto id = held(store, only_set);
  EXPECT_EQ(store.facts(id.id()).local_pref, 100U);
  EXPECT_EQ(store.facts(id.id()).neighbour_as, 0U) << "a leading AS_SET names no neighbour";
  EXPECT_EQ(store.facts(id.id()).path_length, 1U);
}

/// Sets of all sizes, held and let go at random: every octet comes back.
TEST(AttributeStore, KeepsTensOfThousandsApart) {
  AttributeStore store(own_as, own_id, 42);
  std::mt19937 random(1);
  const auto nth = [](std::uint32_t n) {
    Attributes made = path_of({65001, n});
    for (std::uint32_t i = 0; i < n % 97; ++i) insert(made.communities, Community{n * 128 + i});
    if (n % 1000 == 0) made.unknown = {{99, 0xe0, std::vector<std::byte>(n % 60000)}};
    return made;
  };
  std::vector<HeldAttributes> all(5000);
  std::vector<std::uint32_t> number(all.size());
  for (int step = 0; step < 20000; ++step) {
    const std::size_t at = random() % all.size();
    number[at] = static_cast<std::uint32_t>(random() % 4000);
    all[at] = held(store, nth(number[at]));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].id() == AttributeId::none) continue;
    ASSERT_EQ(from_canonical(store.octets(all[i].id())), nth(number[i])) << number[i];
  }
  all.clear();
  EXPECT_EQ(store.size(), 0U);
}

}  // namespace
}  // namespace weft::bgp
