#include "ipam/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ipam/claims.h"

namespace weft::ipam {
namespace {

using testing::HasSubstr;

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}

PoolSettings settings(const char* ipv4, const char* ipv6) {
  PoolSettings settings;
  settings.name = "containers";
  if (*ipv4 != '\0') settings.ipv4 = prefix(ipv4);
  if (*ipv6 != '\0') settings.ipv6 = prefix(ipv6);
  return settings;
}

TEST(Pool, PairsTheFamiliesByIndexAndOrdinal) {
  const auto pool = Pool::create(settings("10.64.0.0/16", "fd64:0:0:1::/112"));
  ASSERT_TRUE(pool);
  EXPECT_EQ(pool->block_count(), 1024U);
  const BlockId block = pool->block(11);
  EXPECT_EQ(block.text(), "10.64.2.192/26 fd64:0:0:1::2c0/122");
  EXPECT_EQ(block.capacity(), 64U);
  EXPECT_EQ(block.ipv4_at(0)->text(), "10.64.2.192");
  EXPECT_EQ(block.ipv4_at(63)->text(), "10.64.2.255");
  EXPECT_EQ(block.ipv6_at(63)->text(), "fd64:0:0:1::2ff");
  EXPECT_EQ(pool->block(1023).text(), "10.64.255.192/26 fd64:0:0:1::ffc0/122");
}

TEST(Pool, FindsTheBlockOfAnAddress) {
  for (const auto& [ipv4, ipv6] : {std::pair{"10.64.0.0/16", "fd64:0:0:1::/112"},
                                   std::pair{"10.65.3.0/26", ""}, std::pair{"", "fd64::/64"}}) {
    const auto pool = Pool::create(settings(ipv4, ipv6));
    ASSERT_TRUE(pool);
    for (const std::uint32_t index : {0U, 11U, 1023U, pool->block_count() - 1}) {
      if (index >= pool->block_count()) continue;
      const BlockId block = pool->block(index);
      for (const std::uint32_t ordinal : {0U, 17U, 63U}) {
        for (const auto& address : {block.ipv4_at(ordinal), block.ipv6_at(ordinal)}) {
          if (!address) continue;
          EXPECT_EQ(pool->block_of(*address), block) << address->text();
          EXPECT_EQ(block.ordinal_of(*address), ordinal);
        }
      }
    }
  }
  const auto pool = Pool::create(settings("10.64.0.0/24", "fd64::/48"));
  EXPECT_EQ(pool->block_of(*Address::parse("10.64.1.0")), std::nullopt);
  EXPECT_EQ(pool->block_of(*Address::parse("fd64::ff"))->index, 3U);
  EXPECT_EQ(pool->block_of(*Address::parse("fd64::100")), std::nullopt)
      << "beyond what pairs with the IPv4 range";
  EXPECT_EQ(pool->block_of(*Address::parse("fd64:0:0:1::")), std::nullopt)
      << "in the prefix, and no block";
}

TEST(Pool, CountsTheBlocksThatBothFamiliesHave) {
  EXPECT_EQ(Pool::create(settings("10.64.0.0/24", "fd64::/64"))->block_count(), 4U);
  EXPECT_EQ(Pool::create(settings("", "fd64::/64"))->block_count(), 0xffffffffU);
  EXPECT_EQ(Pool::create(settings("10.64.0.0/26", ""))->block_count(), 1U);
}

TEST(Pool, LastBlockOfALargeRangeIsWhereItShouldBe) {
  const auto pool = Pool::create(settings("", "fd64::/64"));
  EXPECT_EQ(pool->block(0xfffffffeU).text(), "fd64::3f:ffff:ff80/122");
}

struct BadPool {
  const char* name;
  const char* ipv4;
  const char* ipv6;
  std::uint8_t ipv4_length;
  std::uint8_t ipv6_length;
  const char* message;
};

class PoolRefused : public testing::TestWithParam<BadPool> {};

TEST_P(PoolRefused, WithASentence) {
  PoolSettings bad = settings(GetParam().ipv4, GetParam().ipv6);
  bad.ipv4_block_length = GetParam().ipv4_length;
  bad.ipv6_block_length = GetParam().ipv6_length;
  const auto pool = Pool::create(bad);
  ASSERT_FALSE(pool);
  EXPECT_THAT(pool.error().message, HasSubstr("pool containers: "));
  EXPECT_THAT(pool.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Settings, PoolRefused,
    testing::Values(
        BadPool{"NoFamily", "", "", 26, 122, "needs an ipv4 prefix, an ipv6 prefix or both"},
        BadPool{"LongerThanBlocks", "10.0.0.0/27", "", 26, 122, "must be 27 to 32"},
        BadPool{"BlockTooShort", "10.0.0.0/8", "", 19, 122, "must be 20 to 32, not 19"},
        BadPool{"BlockTooLong", "10.0.0.0/8", "", 33, 122, "must be 20 to 32, not 33"},
        BadPool{"Unpaired", "10.0.0.0/16", "fd00::/112", 26, 121, "pair with IPv6 blocks of /122"},
        BadPool{"WrongFamily", "fd00::/64", "", 26, 122, "is not an ipv4 prefix"},
        BadPool{"Multicast", "224.0.0.0/8", "", 26, 122, "holds no addresses"},
        BadPool{"LinkLocal", "", "fe80::/64", 26, 122, "holds no addresses"}),
    [](const auto& c) { return c.param.name; });

TEST(Pool, NameIsPlain) {
  PoolSettings bad = settings("10.0.0.0/16", "");
  for (const char* name : {"", "a:b", "a b", "abcdefghijklmnopqrstuvwxyz0123456"}) {
    bad.name = name;
    EXPECT_FALSE(Pool::create(bad)) << name;
  }
}

std::vector<std::uint32_t> indexes(const Result<std::vector<BlockId>>& blocks) {
  std::vector<std::uint32_t> list;
  for (const BlockId& block : *blocks) list.push_back(block.index);
  return list;
}

TEST(StaticClaims, ByIndexAndByList) {
  PoolSettings wanted = settings("10.64.0.0/16", "");
  wanted.claim = StaticIndex{11, 2};
  EXPECT_THAT(indexes(static_claims(*Pool::create(wanted))), testing::ElementsAre(22, 23));
  wanted.claim = StaticIndex{511, 2};
  EXPECT_THAT(indexes(static_claims(*Pool::create(wanted))), testing::ElementsAre(1022, 1023));
  wanted.claim = StaticBlocks{{7, 3, 1023}};
  EXPECT_THAT(indexes(static_claims(*Pool::create(wanted))), testing::ElementsAre(3, 7, 1023));
}

TEST(StaticClaims, RefuseWhatThePoolHasNot) {
  PoolSettings wanted = settings("10.64.0.0/16", "");
  const auto message = [&] {
    const auto blocks = static_claims(*Pool::create(wanted));
    return blocks ? std::string() : blocks.error().message;
  };
  wanted.claim = StaticIndex{512, 2};
  EXPECT_THAT(message(), HasSubstr("enough for the indexes below 512"));
  wanted.claim = StaticIndex{0, 0};
  EXPECT_THAT(message(), HasSubstr("blocks-per-host must be 1 to 1024, not 0"));
  wanted.claim = StaticIndex{0xffffffffU, 1024};
  EXPECT_THAT(message(), HasSubstr("too high"));
  wanted.claim = StaticBlocks{{3, 7, 3}};
  EXPECT_THAT(message(), HasSubstr("block 3 is listed twice"));
  wanted.claim = StaticBlocks{{1024}};
  EXPECT_THAT(message(), HasSubstr("the blocks 0 to 1023"));
  wanted.claim = StaticBlocks{};
  EXPECT_THAT(message(), HasSubstr("must name 1 to 1024, not 0"));
}

TEST(Plan, PoolsDifferInNameAndRange) {
  Settings twice;
  twice.pools = {settings("10.64.0.0/16", ""), settings("10.65.0.0/16", "")};
  EXPECT_THAT(plan(twice).error().message, HasSubstr("two pools are named containers"));
  twice.pools[1].name = "other";
  ASSERT_TRUE(plan(twice));
  EXPECT_EQ(plan(twice)->owned.size(), 2U);
  twice.pools[1].ipv4 = prefix("10.64.128.0/17");
  EXPECT_THAT(plan(twice).error().message, HasSubstr("containers and other overlap"));
}

}  // namespace
}  // namespace weft::ipam
