#include "daemon/range_record.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

namespace weft::daemon {
namespace {

using bgp::RangeMember;
using testing::ElementsAre;

class RangeRecordTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("weft-range-record-" + std::to_string(::getpid()));
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] RangeRecord record() const { return RangeRecord(directory_); }

  std::filesystem::path directory_;
};

TEST_F(RangeRecordTest, IsReadAsItWasWritten) {
  EXPECT_FALSE(record().members()) << "nobody has said";
  const RangeMember one{*Address::parse("192.0.2.7"), true};
  const RangeMember two{*Address::parse("fd00::7"), false};
  auto first = record();
  ASSERT_TRUE(first.write({one, two}));
  ASSERT_TRUE(record().members());
  EXPECT_THAT(*record().members(), ElementsAre(one, two));
  ASSERT_TRUE(first.write({}));
  ASSERT_TRUE(record().members()) << "nobody was there, and that is known";
  EXPECT_TRUE(record().members()->empty());
}

TEST_F(RangeRecordTest, OfAnotherHandIsNotBelieved) {
  std::ofstream(directory_ / "range-peers") << "192.0.2.7 graceful\nhost9 perhaps\n";
  EXPECT_FALSE(record().members());
}

TEST_F(RangeRecordTest, IsNotWrittenWhenItSaysTheSame) {
  auto kept = record();
  ASSERT_TRUE(kept.write({}));
  std::filesystem::remove(directory_ / "range-peers");
  ASSERT_TRUE(kept.write({}));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "range-peers"));
}

}  // namespace
}  // namespace weft::daemon
