#include "bgp/as_path_regex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace weft::bgp {
namespace {

AsPath path_of(const std::string& text) {
  AsPath path;
  AsPath::Segment* open = nullptr;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '{') {
      path.segments.push_back({AsPath::SegmentType::set, {}});
      open = &path.segments.back();
    }
    if (text[at] == '}') open = nullptr;
    if (text[at] < '0' || text[at] > '9') {
      ++at;
      continue;
    }
    const std::size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
    if (open == nullptr &&
        (path.segments.empty() || path.segments.back().type == AsPath::SegmentType::set)) {
      path.segments.push_back({AsPath::SegmentType::sequence, {}});
    }
    auto& segment = open != nullptr ? *open : path.segments.back();
    segment.asns.push_back(Asn{static_cast<std::uint32_t>(std::stoul(text.substr(at, end - at)))});
    at = end;
  }
  return path;
}

struct Case {
  const char* name;
  const char* regex;
  const char* path;
  bool matches;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.regex << " on " << c.path;
}

class AsPathMatches : public testing::TestWithParam<Case> {};

TEST_P(AsPathMatches, AsRoutersSay) {
  const auto regex = AsPathRegex::compile(GetParam().regex);
  ASSERT_TRUE(regex);
  const AsPath path = path_of(GetParam().path);
  ASSERT_EQ(path.text(), GetParam().path);
  EXPECT_EQ(regex->matches(path), GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(
    Expressions, AsPathMatches,
    testing::Values(
        Case{"Anywhere", "65001", "1 65001 2", true},
        Case{"InsideOfANumber", "65001", "1650012", true},
        Case{"WholeNumber", "_65001_", "1 65001 2", true},
        Case{"NotInsideOfANumber", "_65001_", "1 165001 650012", false},
        Case{"First", "^65001_", "65001 2", true}, Case{"NotFirst", "^65001_", "2 65001", false},
        Case{"Last", "_65010$", "65001 65010", true}, Case{"LastAndOnly", "_65010$", "65010", true},
        Case{"NotLast", "_65010$", "65010 65001", false},
        Case{"BorderAtBothEnds", "^_65010_$", "65010", true}, Case{"Empty", "^$", "", true},
        Case{"NotEmpty", "^$", "1", false}, Case{"Everything", ".*", "", true},
        Case{"OneOrMore", "^[0-9]+$", "65001", true},
        Case{"TwoAreNotOne", "^[0-9]+$", "65001 65002", false},
        Case{"TwoHops", "^[0-9]+ [0-9]+$", "65001 65002", true},
        Case{"Choice", "_(65001|65003)$", "1 65003", true},
        Case{"NoChoice", "_(65001|65003)$", "1 65002", false},
        Case{"Class", "_6501[2-4]_", "65013", true},
        Case{"OutsideOfTheClass", "_6501[2-4]_", "65015", false},
        Case{"InverseClass", "_6501[^2-4]_", "65015", true},
        Case{"Prepended", "^65001( 65001)*$", "65001 65001 65001", true},
        Case{"NotOnlyPrepended", "^65001( 65001)*$", "65001 65001 65002", false},
        Case{"Optional", "^65001( 65002)?$", "65001", true},
        Case{"InASet", "_65002_", "65001 {65002 65003}", true},
        Case{"TheSetItself", "{65002", "65001 {65002 65003}", true},
        Case{"EscapedBrace", "\\{65002 65003\\}$", "65001 {65002 65003}", true},
        Case{"EmptyAlternative", "^(|65001)$", "", true}),
    [](const auto& c) { return c.param.name; });

class AsPathRefused : public testing::TestWithParam<const char*> {};

TEST_P(AsPathRefused, WithASentence) {
  const auto regex = AsPathRegex::compile(GetParam());
  ASSERT_FALSE(regex);
  EXPECT_FALSE(regex.error().message.empty());
}

INSTANTIATE_TEST_SUITE_P(Expressions, AsPathRefused,
                         testing::Values("", "(65001", "65001)", "[0-9", "[]", "*", "a", "[9-0]",
                                         "65001|*", "(((((((((((((((((((((((((((((((((1"));

TEST(AsPathRegex, RefusesWhatWouldNeedATableWithoutBound) {
  std::string text = "1";
  for (int i = 0; i < 40; ++i) text += "[0-9 ]";
  text += "$";
  EXPECT_FALSE(AsPathRegex::compile(text));
}

// What makes backtracking matchers take for ever takes one look at each digit here.
TEST(AsPathRegex, ReadsEachDigitOnce) {
  const auto regex = AsPathRegex::compile("^((1 ?)*)*2$");
  ASSERT_TRUE(regex);
  EXPECT_FALSE(regex->matches(AsPath::sequence(std::vector<Asn>(7000, Asn{1111111111}))));
}

}  // namespace
}  // namespace weft::bgp
