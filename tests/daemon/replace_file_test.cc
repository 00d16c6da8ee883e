#include "daemon/replace_file.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

namespace weft::daemon {
namespace {

class ReplaceFile : public testing::Test {
 protected:
  ReplaceFile()
      : folder_(std::filesystem::temp_directory_path() /
                ("weft-replace-" + std::to_string(::getpid()))),
        path_(folder_ / "record") {
    std::filesystem::create_directories(folder_);
  }
  ~ReplaceFile() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  [[nodiscard]] std::string read() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST_F(ReplaceFile, LeavesNothingBesideIt) {
  ASSERT_TRUE(replace_file(path_, "a long text"));
  ASSERT_TRUE(replace_file(path_, "short"));
  EXPECT_EQ(read(), "short");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(ReplaceFile, KeepsWhatIsThereWhenItCannot) {
  ASSERT_TRUE(replace_file(path_, "old"));
  std::filesystem::create_directories(path_.string() + ".new/in-the-way");
  const auto done = replace_file(path_, "new");
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, testing::HasSubstr(path_.string() + " cannot be written: "));
  EXPECT_EQ(read(), "old");
}

}  // namespace
}  // namespace weft::daemon
