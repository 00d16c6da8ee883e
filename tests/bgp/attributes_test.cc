#include "bgp/attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/bgp/hex.h"

namespace weft::bgp {
namespace {

using testing::ElementsAre;
using SegmentType = AsPath::SegmentType;

AsPath path(std::initializer_list<AsPath::Segment> segments) {
  AsPath result;
  result.segments = segments;
  return result;
}

struct Counted {
  std::string name;
  AsPath path;
  std::size_t length;
  std::string text;
};
class AsPathLength : public testing::TestWithParam<Counted> {};

TEST_P(AsPathLength, IsAsTheDecisionProcessCounts) {
  EXPECT_EQ(GetParam().path.length(), GetParam().length);
  EXPECT_EQ(GetParam().path.text(), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(Rfc4271, AsPathLength,
                         testing::Values(Counted{"Empty", {}, 0, ""},
                                         Counted{"Sequence", AsPath::sequence({{1}, {2}}), 2,
                                                 "1 2"},
                                         Counted{"SetCountsOne",
                                                 path({{SegmentType::sequence, {{1}}},
                                                       {SegmentType::set, {{2}, {3}, {4}}}}),
                                                 2, "1 {2 3 4}"},
                                         Counted{"ConfederationCountsNone",
                                                 path({{SegmentType::confed_sequence, {{1}, {2}}},
                                                       {SegmentType::confed_set, {{3}}},
                                                       {SegmentType::sequence, {{4}}}}),
                                                 1, "(1 2) [3] 4"}),
                         [](const auto& c) { return c.param.name; });

TEST(AsPath, FirstAndOriginComeFromSequences) {
  const AsPath both = AsPath::sequence({{1}, {2}, {3}});
  EXPECT_EQ(both.first(), Asn{1});
  EXPECT_EQ(both.origin(), Asn{3});
  const AsPath sets = path({{SegmentType::set, {{1}}}});
  EXPECT_EQ(sets.first(), std::nullopt);
  EXPECT_EQ(sets.origin(), std::nullopt);
  EXPECT_EQ(AsPath().first(), std::nullopt);
}

TEST(AsPath, CountsAnAsInAllSegments) {
  const AsPath mixed = path({{SegmentType::sequence, {{1}, {2}, {1}}}, {SegmentType::set, {{1}}}});
  EXPECT_EQ(mixed.count(Asn{1}), 3U);
  EXPECT_TRUE(mixed.contains(Asn{2}));
  EXPECT_FALSE(mixed.contains(Asn{3}));
}

TEST(AsPath, PrependsIntoTheFirstSequence) {
  AsPath some = AsPath::sequence({{2}});
  some.prepend(Asn{1}, 2);
  EXPECT_EQ(some.text(), "1 1 2");
  AsPath set = path({{SegmentType::set, {{2}}}});
  set.prepend(Asn{1});
  EXPECT_EQ(set.text(), "1 {2}");
  AsPath none;
  none.prepend(Asn{1}, 0);
  EXPECT_TRUE(none.empty());
}

/// RFC 4271 5.1.2: a segment holds 255, one more opens a new one.
TEST(AsPath, PrependNeverOverflowsASegment) {
  for (const std::size_t size : {254U, 255U, 256U}) {
    AsPath some;
    some.prepend(Asn{7}, size);
    EXPECT_EQ(some.length(), size);
    EXPECT_EQ(some.segments.size(), size > 255 ? 2U : 1U);
    for (const auto& segment : some.segments) EXPECT_LE(segment.asns.size(), 255U);
  }
  AsPath full = AsPath::sequence(std::vector<Asn>(255, Asn{1}));
  full.prepend(Asn{2}, 600);
  EXPECT_EQ(full.length(), 855U);
  EXPECT_EQ(full.first(), Asn{2});
  EXPECT_EQ(full.origin(), Asn{1});
}

TEST(Community, HasANameOrTwoNumbers) {
  EXPECT_EQ(Community{0xfde90064}.text(), "65001:100");
  EXPECT_EQ(community::graceful_shutdown.text(), "graceful-shutdown");
  EXPECT_EQ(community::blackhole.text(), "blackhole");
}

TEST(ExtendedCommunity, LinkBandwidthIsAFloat) {
  EXPECT_EQ((ExtendedCommunity{0x4004fde900000000}.link_bandwidth()), 0.0F);
  EXPECT_FLOAT_EQ(ExtendedCommunity{0x4004fde94e9502f9}.link_bandwidth().value_or(0), 1.25e9F);
  EXPECT_TRUE(ExtendedCommunity{0x0004fde94e9502f9}.link_bandwidth());
  EXPECT_FALSE(ExtendedCommunity{0x0002fde94e9502f9}.link_bandwidth());
  EXPECT_FALSE(ExtendedCommunity{0x4004fde94e9502f9}.is_transitive());
  EXPECT_TRUE(ExtendedCommunity{0x8004fde94e9502f9}.is_transitive());
}

TEST(Sets, StaySortedWithoutDuplicates) {
  std::vector<Community> set;
  for (const std::uint32_t value : {5U, 1U, 5U, 3U}) insert(set, Community{value});
  EXPECT_THAT(set, ElementsAre(Community{1}, Community{3}, Community{5}));
  erase(set, Community{3});
  erase(set, Community{4});
  EXPECT_THAT(set, ElementsAre(Community{1}, Community{5}));
}

/// Every member of Attributes, each with a value of its own.
Attributes everything() {
  Attributes all;
  all.origin = Origin::egp;
  all.as_path = path({{SegmentType::sequence, {{65001}, {4200000011}}}, {SegmentType::set, {{9}}}});
  all.med = 10;
  all.local_pref = 200;
  all.atomic_aggregate = true;
  all.aggregator = Aggregator{Asn{4200000011}, RouterId{0x0a000001}};
  all.communities = {{0xfde90064}, community::no_export};
  all.originator_id = RouterId{0x0a000002};
  all.cluster_list = {RouterId{2}, RouterId{1}};
  all.extended_communities = {{0x0002fde900000064}};
  all.large_communities = {{65001, 1, 2}, {65001, 2, 1}};
  all.only_to_customer = Asn{65001};
  all.unknown = {{20, 0xe0, {std::byte{1}}}, {34, 0xe0, {}}, {99, 0xe0, {std::byte{2}}}};
  all.partial = 1U << 8;
  return all;
}

std::string encoded(const Attributes& attributes, bool four_octet_as) {
  std::vector<std::byte> bytes;
  encode_attributes(attributes, four_octet_as, bytes);
  return to_hex(bytes);
}

TEST(Canonical, IsAscendingToTheOctet) {
  EXPECT_EQ(encoded(everything(), true),
            "40010101"
            "400210"
            "02020000fde9fa56ea0b"
            "010100000009"
            "8004040000000a"
            "400504000000c8"
            "400600"
            "c00708fa56ea0b0a000001"
            "e00808fde90064ffffff01"
            "8009040a000002"
            "800a080000000200000001"
            "c010080002fde900000064"
            "e0140101"
            "c020180000fde900000001000000020000fde90000000200000001"
            "e02200"
            "c023040000fde9"
            "e0630102");
}

TEST(Canonical, GoesThereAndBack) {
  EXPECT_EQ(from_canonical(canonical(everything())), everything());
  EXPECT_EQ(from_canonical(canonical({})), Attributes{});
}

/// RFC 6793 4.2.2: AS_TRANS where two octets do not suffice, and the truth beside it.
TEST(TwoOctetPeer, GetsAsTransAndAs4) {
  Attributes some;
  some.as_path = AsPath::sequence({{65001}, {4200000011}});
  some.aggregator = Aggregator{Asn{4200000011}, RouterId{1}};
  EXPECT_EQ(encoded(some, false),
            "40010102"
            "400206"
            "0202fde95ba0"
            "c00706"
            "5ba000000001"
            "c0110a"
            "02020000fde9fa56ea0b"
            "c01208"
            "fa56ea0b00000001");
  some.as_path = AsPath::sequence({{65001}});
  some.aggregator = Aggregator{Asn{65001}, RouterId{1}};
  EXPECT_EQ(encoded(some, false),
            "40010102"
            "400204"
            "0201fde9"
            "c00706"
            "fde900000001");
}

/// The length field: 255 octets fit into one, 256 do not.
TEST(Canonical, ExtendsTheLengthOnlyWhenItMust) {
  for (const std::size_t size : {254U, 255U, 256U, 65535U}) {
    Attributes some;
    some.unknown = {{99, 0xe0, std::vector<std::byte>(size)}};
    const auto bytes = canonical(some);
    const std::size_t head = 4 + 3;  // ORIGIN and an empty AS_PATH
    EXPECT_EQ(bytes.size(), head + (size > 255 ? 4 : 3) + size);
    EXPECT_EQ(from_canonical(bytes), some);
  }
}

TEST(AttributesText, IsOneLine) {
  EXPECT_EQ(text(everything()),
            "origin egp, as-path 65001 4200000011 {9}, med 10, local-pref 200, atomic-aggregate, "
            "aggregator 4200000011 10.0.0.1, communities 65001:100 no-export, originator-id "
            "10.0.0.2, cluster-list 0.0.0.2 0.0.0.1, extended-communities rt:65001:100, "
            "large-communities 65001:1:2 65001:2:1, only-to-customer 65001, attribute-20 1 octets, "
            "attribute-34 0 octets, attribute-99 1 octets");
}

}  // namespace
}  // namespace weft::bgp
