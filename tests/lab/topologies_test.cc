// Every topology of the tree comes up and becomes what its expect.yml says.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <regex>

#include "tests/lab/expect.h"
#include "tests/lab/image.h"
#include "tests/lab/lab.h"

namespace weft::lab {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> topologies() {
  std::vector<fs::path> found;
  for (const char* folder : {WEFT_SOURCE_DIR "/topologies", WEFT_SOURCE_DIR "/tests/lab/data"}) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const bool topology = entry.path().string().find(".clab.yml") != std::string::npos;
      if (topology && fs::exists(entry.path().parent_path() / "expect.yml")) {
        found.push_back(entry.path());
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

class Topologies : public testing::TestWithParam<fs::path> {};

TEST_P(Topologies, BecomesWhatIsExpected) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto topology = load(GetParam());
  ASSERT_TRUE(topology) << topology.error().message;
  const auto steps = load_steps(steps_file(*topology));
  ASSERT_TRUE(steps) << steps.error().message;
  for (const NodeSpec& node : topology->nodes) {
    const auto image = image_for(node, WEFT_BINARY_DIR);
    if (!image) GTEST_SKIP() << image.error().message;
  }
  auto lab = Lab::up(GetParam(), {"", WEFT_BINARY_DIR, true});
  ASSERT_TRUE(lab) << lab.error().message;
  for (const std::string& fault : lab->failed_exec()) ADD_FAILURE() << fault;
  const auto checked = check(*lab, *steps);
  EXPECT_TRUE(checked) << checked.error().message << lab->logs();
}

INSTANTIATE_TEST_SUITE_P(Tree, Topologies, testing::ValuesIn(topologies()), [](const auto& row) {
  return std::regex_replace(row.param.stem().stem().string(), std::regex("[^A-Za-z0-9]"), "_");
});

}  // namespace
}  // namespace weft::lab
