#include "tests/lab/words.h"

#include <gmock/gmock.h>

namespace weft::lab {
namespace {

struct Case {
  const char* name;
  const char* line;
  std::vector<std::string> words;
};

class Split : public testing::TestWithParam<Case> {};

TEST_P(Split, AsAShellWould) {
  const auto words = split_words(GetParam().line);
  ASSERT_TRUE(words) << words.error().message;
  EXPECT_EQ(*words, GetParam().words);
}

INSTANTIATE_TEST_SUITE_P(
    Words, Split,
    testing::Values(Case{"Nothing", " \t ", {}},
                    Case{"Plain", "ip  addr\tadd", {"ip", "addr", "add"}},
                    Case{"Single", R"(sh -c 'a "b" \n')", {"sh", "-c", R"(a "b" \n)"}},
                    Case{"Double", R"(sh -c "a 'b' \" \n")", {"sh", "-c", R"(a 'b' " \n)"}},
                    Case{"Joined", R"(a"b c"'d e'f)", {"ab cd ef"}},
                    Case{"Empty", R"(a "" '')", {"a", "", ""}},
                    Case{"Backslash", R"(a\ b \'c)", {"a b", "'c"}},
                    Case{"NoShell", "echo $HOME > x | y", {"echo", "$HOME", ">", "x", "|", "y"}}),
    [](const auto& row) { return row.param.name; });

TEST(SplitWords, TellsOfAnOpenQuote) {
  EXPECT_THAT(split_words("a 'b").error().message, testing::HasSubstr("' is never closed"));
  EXPECT_THAT(split_words("a \"b").error().message, testing::HasSubstr("\" is never closed"));
}

}  // namespace
}  // namespace weft::lab
