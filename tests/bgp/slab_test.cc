#include "bgp/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <unordered_map>
#include <vector>

namespace weft::bgp {
namespace {

TEST(Slab, GivesBackWhatIsEmptyAndKeepsOneChunk) {
  Slab slab(20);
  const std::size_t nothing = slab.memory();
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 10'000; ++i) ids.push_back(slab.allocate());
  const std::size_t full = slab.memory();
  EXPECT_GE(full - nothing, 200'000U);
  // In the order they came, as a table that moves its lists to bigger blocks gives them back.
  for (std::size_t i = 0; i < ids.size() / 2; ++i) slab.release(ids[i]);
  EXPECT_LT(slab.memory(), full * 6 / 10);
  for (std::size_t i = ids.size() / 2; i < ids.size(); ++i) slab.release(ids[i]);
  EXPECT_EQ(slab.used(), 0U);
  EXPECT_LT(slab.memory(), nothing + full / 10);
}

TEST(Slab, FillsGapsBeforeItTakesMore) {
  Slab slab(64);
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 4096; ++i) ids.push_back(slab.allocate());
  const std::size_t full = slab.memory();
  for (std::size_t i = 0; i < ids.size(); i += 2) slab.release(ids[i]);
  for (std::size_t i = 0; i < ids.size(); i += 2) ids[i] = slab.allocate();
  EXPECT_EQ(slab.memory(), full);
  EXPECT_EQ(std::set<std::uint32_t>(ids.begin(), ids.end()).size(), ids.size());
}

TEST(Slab, KeepsWhatStandsInBlocksWhateverComesAndGoes) {
  for (const std::size_t size : {4U, 7U, 36U, 5000U, 70'000U}) {
    std::mt19937 random(static_cast<unsigned>(size));
    Slab slab(size);
    std::unordered_map<std::uint32_t, unsigned char> model;
    std::vector<std::uint32_t> ids;
    for (unsigned step = 0; step < 6000; ++step) {
      // Waves, so that chunks fill and empty.
      const bool add = ids.empty() || random() % 100 < (step / 500 % 2 == 0 ? 80U : 20U);
      if (add) {
        const std::uint32_t id = slab.allocate();
        const auto value = static_cast<unsigned char>(random());
        ASSERT_TRUE(model.emplace(id, value).second) << "given out twice";
        std::memset(slab.at(id), value, size);
        ids.push_back(id);
        continue;
      }
      const std::size_t at = random() % ids.size();
      const std::uint32_t id = ids[at];
      ids[at] = ids.back();
      ids.pop_back();
      const std::vector<unsigned char> expected(size, model.at(id));
      ASSERT_EQ(std::memcmp(slab.at(id), expected.data(), size), 0) << size << ", step " << step;
      model.erase(id);
      slab.release(id);
    }
    EXPECT_EQ(slab.used(), model.size());
  }
}

}  // namespace
}  // namespace weft::bgp
