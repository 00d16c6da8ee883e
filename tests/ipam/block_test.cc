#include "ipam/block.h"

#include <gtest/gtest.h>

namespace weft::ipam {
namespace {

using std::chrono::seconds;

constexpr seconds cool_down{120};
constexpr Time at(int second) {
  return Time(seconds(second));
}

TEST(Block, GivesInOrderAndThenTheOneFreedLongestAgo) {
  Block block(4);
  for (std::uint32_t expected = 0; expected < 4; ++expected) {
    EXPECT_EQ(block.next(at(0), cool_down), expected);
    block.hold(expected);
  }
  EXPECT_EQ(block.next(at(0), cool_down), std::nullopt);
  EXPECT_EQ(block.next_ready(cool_down), std::nullopt);
  block.free(2, at(10));
  block.free(0, at(11));
  EXPECT_EQ(block.next(at(129), cool_down), std::nullopt);
  EXPECT_EQ(block.next_ready(cool_down), at(130));
  EXPECT_EQ(block.next(at(130), cool_down), 2U);
  EXPECT_EQ(block.next(at(130), cool_down, 2), std::nullopt);
  EXPECT_EQ(block.next(at(131), cool_down, 2), 0U);
}

TEST(Block, NeverUsedComesBeforeUsed) {
  Block block(3);
  block.hold(0);
  block.free(0, at(0));
  EXPECT_EQ(block.next(at(1000), cool_down), 1U);
}

TEST(Block, CountsWhatCools) {
  Block block(8);
  for (std::uint32_t i = 0; i < 4; ++i) block.hold(i);
  block.free(0, at(0));
  block.free(1, at(60));
  EXPECT_EQ(block.held(), 2U);
  EXPECT_EQ(block.usage(at(119), cool_down).cooling, 2U);
  EXPECT_EQ(block.usage(at(120), cool_down).cooling, 1U);
  EXPECT_EQ(block.usage(at(180), cool_down).cooling, 0U);
}

TEST(Block, ReplayPutsEachWhereItsTimeBelongs) {
  Block block(4);
  block.free(3, at(30));
  block.free(1, at(10));
  block.free(2, at(20));
  std::vector<std::uint32_t> order;
  for (auto next = block.next(at(1000), cool_down); next;
       next = block.next(at(1000), cool_down, next)) {
    order.push_back(*next);
  }
  EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 1, 2, 3}));
}

TEST(Block, HoldsFromTheMiddleOfTheQueue) {
  Block block(3);
  block.hold(1);
  EXPECT_TRUE(block.is_held(1));
  EXPECT_EQ(block.next(at(0), cool_down), 0U);
  EXPECT_EQ(block.next(at(0), cool_down, 0), 2U);
  block.hold(2);
  block.hold(0);
  EXPECT_EQ(block.held(), 3U);
  block.free(1, at(0));
  EXPECT_EQ(block.next(at(500), cool_down), 1U);
}

TEST(Block, OfOneAndOfTheMost) {
  Block one(1);
  one.hold(0);
  EXPECT_EQ(one.next(at(0), cool_down), std::nullopt);
  Block most(4096);
  for (std::uint32_t i = 0; i < 4096; ++i) most.hold(*most.next(at(0), cool_down));
  EXPECT_EQ(most.held(), 4096U);
}

TEST(BlockQueue, ReservedOrdinalsAreNeverNext) {
  Block block(4);
  block.reserve(0, true);
  block.reserve(2, true);
  const std::chrono::seconds none{0};
  EXPECT_EQ(block.next(at(0), none), 1U);
  block.hold(1);
  EXPECT_EQ(block.next(at(0), none), 3U);
  block.reserve(1, true);
  EXPECT_EQ(block.usage(at(0), none).held, 1U) << "it stays with its holder";
  block.free(1, at(1));
  EXPECT_EQ(block.usage(at(1), none).reserved, 3U);
  EXPECT_EQ(block.usage(at(1), none).free, 1U);
  block.hold(3);
  EXPECT_EQ(block.next(at(2), none), std::nullopt);
  block.reserve(0, false);
  block.reserve(1, false);
  EXPECT_EQ(block.next(at(2), none), 0U) << "never used goes first";
  block.hold(0);
  EXPECT_EQ(block.next(at(2), none), 1U);
  EXPECT_FALSE(block.is_free(2));
}

TEST(QuarantinedOrdinals, AreOutOfTheQueueAndCoolWhenTheyReturn) {
  Block block(4);
  block.quarantine(0);
  EXPECT_FALSE(block.is_free(0));
  EXPECT_EQ(block.next(Time(), cool_down), 1U);
  EXPECT_EQ(block.usage(Time(), cool_down).quarantined, 1U);
  EXPECT_EQ(block.usage(Time(), cool_down).free, 3U);
  block.reserve(0, true);
  block.acquit(0, Time(std::chrono::seconds(10)));
  EXPECT_EQ(block.usage(Time(), cool_down).reserved, 1U);
  block.reserve(0, false);
  EXPECT_EQ(block.quarantined(), 0U);
  for (std::uint32_t ordinal = 1; ordinal < 4; ++ordinal) block.hold(ordinal);
  const Time acquitted(std::chrono::seconds(10));
  EXPECT_EQ(block.next(acquitted + cool_down - std::chrono::seconds(1), cool_down), std::nullopt)
      << "it cools";
  EXPECT_EQ(block.next(acquitted + cool_down, cool_down), 0U);

  block.quarantine(1);
  EXPECT_FALSE(block.is_quarantined(1)) << "what is held is left alone";
  block.quarantine(0);
  block.hold(0);
  EXPECT_EQ(block.quarantined(), 0U) << "held by the one who has it";
  block.free(0, Time(std::chrono::seconds(80)));
  EXPECT_EQ(block.next(Time(std::chrono::seconds(80)) + cool_down, cool_down), 0U);
}

}  // namespace
}  // namespace weft::ipam
