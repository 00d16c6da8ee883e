#include "net/prefix_slots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "net/ip.h"

namespace weft {
namespace {

Neighbourhood neighbourhood_of(const Prefix& prefix) {
  return neighbourhood(prefix.address().half(0), prefix.address().half(1), prefix.length());
}

TEST(PrefixNeighbourhood, SixteenInARowDifferInTheirNumberAlone) {
  const struct {
    const char* first;
    const char* second;
    const char* last;
    const char* beyond;
  } rows[] = {
      {"10.0.0.0/26", "10.0.0.64/26", "10.0.3.192/26", "10.0.4.0/26"},
      {"10.0.0.0/32", "10.0.0.1/32", "10.0.0.15/32", "10.0.0.16/32"},
      {"16.0.0.0/8", "17.0.0.0/8", "31.0.0.0/8", "32.0.0.0/8"},
      {"0.0.0.0/5", "8.0.0.0/5", "120.0.0.0/5", "128.0.0.0/5"},
      {"2001:db8::/48", "2001:db8:1::/48", "2001:db8:f::/48", "2001:db8:10::/48"},
      {"2001:db8::/64", "2001:db8:0:1::/64", "2001:db8:0:f::/64", "2001:db8:0:10::/64"},
      {"2001:db8::/68", "2001:db8:0:0:1000::/68", "2001:db8:0:0:f000::/68", "2001:db8:0:1::/68"},
      {"2001:db8::/128", "2001:db8::1/128", "2001:db8::f/128", "2001:db8::10/128"},
  };
  for (const auto& row : rows) {
    const Neighbourhood first = neighbourhood_of(*Prefix::parse(row.first));
    EXPECT_EQ(first.number, 0U) << row.first;
    for (const auto& [text, number] : {std::pair{row.second, 1U}, std::pair{row.last, 15U}}) {
      const Neighbourhood other = neighbourhood_of(*Prefix::parse(text));
      EXPECT_EQ(other.number, number) << text;
      EXPECT_EQ(other.high, first.high) << text;
      EXPECT_EQ(other.low, first.low) << text;
    }
    if (const Address v4 = Prefix::parse(row.last)->address(); v4.is_v4()) {
      const Neighbourhood same = neighbourhood(v4.v4(), Prefix::parse(row.last)->length());
      EXPECT_EQ(same.number, 15U) << row.last;
      EXPECT_EQ(same.high << 32U, first.high) << row.last;
      EXPECT_EQ(same.low, 0U) << row.last;
    }
    const Neighbourhood beyond = neighbourhood_of(*Prefix::parse(row.beyond));
    EXPECT_EQ(beyond.number, 0U) << row.beyond;
    EXPECT_TRUE(beyond.high != first.high || beyond.low != first.low) << row.beyond;
  }
  EXPECT_EQ(neighbourhood_of(Prefix()).number, 0U);
  EXPECT_EQ(neighbourhood(0U, 0).number, 0U);
}

/// Of 16 * `rows` /26 in 1024 slots, how far the farthest is from its home. `in_rows`: as they
/// come, else one of each sixteen.
std::size_t longest_way(std::size_t rows, bool in_rows, std::uint64_t seed) {
  constexpr std::size_t mask = 1023;
  std::vector<bool> taken(mask + 1);
  std::size_t longest = 0;
  for (std::uint32_t n = 0; n < rows * 16; ++n) {
    const std::uint32_t address = in_rows ? n << 6U : n << 10U;
    const std::size_t home = slot_hash(neighbourhood(address, 26), seed) & mask;
    std::size_t slot = home;
    while (taken[slot]) slot = next_slot(slot, mask);
    taken[slot] = true;
    longest = std::max(longest, slot_steps(home, slot, mask));
  }
  return longest;
}

TEST(PrefixSlots, ARowSharesSixteenSlots) {
  for (const std::uint64_t seed : {0U, 1U, 0xffffffffU}) {
    std::set<std::uint64_t> rows;
    std::set<std::uint64_t> places;
    for (std::uint32_t n = 0; n < 16; ++n) {
      const std::uint64_t hashed = slot_hash(neighbourhood(0x0a000000U + (n << 6U), 26), seed);
      rows.insert(hashed & ~neighbours);
      places.insert(hashed & neighbours);
    }
    EXPECT_EQ(rows.size(), 1U);
    EXPECT_EQ(places.size(), 16U);
  }
}

TEST(PrefixSlots, AreFoundInFewStepsAtFiveEighths) {
  for (const std::uint64_t seed : {0U, 1U, 7U, 0xabcdefU}) {
    EXPECT_LT(longest_way(40, true, seed), 24U) << "rows in full, seed " << seed;
    EXPECT_LT(longest_way(40, false, seed), 48U) << "one of each row, seed " << seed;
  }
}

TEST(PrefixSlots, ProbingComesByEverySlotAndCountsItsSteps) {
  constexpr std::size_t mask = 255;
  std::set<std::size_t> seen;
  std::size_t slot = 5;
  for (std::size_t step = 0; step <= mask; ++step, slot = next_slot(slot, mask)) {
    EXPECT_EQ(slot_steps(5, slot, mask), step);
    seen.insert(slot);
  }
  EXPECT_EQ(seen.size(), mask + 1);
}

TEST(PrefixSlots, DifferBySeed) {
  const Neighbourhood where = neighbourhood(0x0a000000U, 26);
  EXPECT_NE(slot_hash(where, 1), slot_hash(where, 2));
  EXPECT_NE(slot_hash({0, 1, 0}, 1), slot_hash({0, 2, 0}, 1)) << "the lower half counts";
}

}  // namespace
}  // namespace weft
