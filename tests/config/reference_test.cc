#include "config/reference.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace weft::config {
namespace {

constexpr const char* page = WEFT_SOURCE_DIR "/docs/weft.yaml.5";

TEST(Reference, InTheManualIsThatOfTheTables) {
  std::ifstream in(page);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::size_t begin = text.find('\n', text.find(".\\\" From here on generated")) + 1;
  const std::size_t end = text.find(".\\\" End of what is generated");
  ASSERT_NE(begin, std::string::npos + 1);
  ASSERT_NE(end, std::string::npos);
  if (std::getenv("WEFT_UPDATE_DOCS") != nullptr) {
    std::ofstream(page) << text.substr(0, begin) << reference() << text.substr(end);
    return;
  }
  EXPECT_EQ(text.substr(begin, end - begin), reference())
      << "docs/weft.yaml.5 is stale; run config_test with WEFT_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace weft::config
