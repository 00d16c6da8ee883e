#include "ctl/announce.h"

#include <gtest/gtest.h>

namespace weft::ctl {
namespace {

std::string verdicts(const HealthCheck& check, const std::string& results) {
  Health health(check);
  std::string said;
  for (const char result : results) said += health.saw(result == '+') ? '+' : '-';
  return said;
}

TEST(Health, TakesTheFirstResultAndThenWantsARow) {
  HealthCheck check;
  check.rise = 2;
  check.fall = 3;
  EXPECT_EQ(verdicts(check, "+--+---++-+"), "++++++--+++");
  EXPECT_EQ(verdicts(check, "-+-++"), "----+");
  check.rise = check.fall = 1;
  EXPECT_EQ(verdicts(check, "+-+-"), "+-+-");
}

}  // namespace
}  // namespace weft::ctl
