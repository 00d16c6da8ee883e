#include "cni/install.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::cni {
namespace {

using testing::HasSubstr;

TEST(Install, TheDefaultPassesItsOwnCheck) {
  const auto good = check_conflist(default_conflist());
  EXPECT_TRUE(good) << good.error().message;
}

struct Case {
  const char* name;
  const char* text;
  const char* message;
};

class ConflistRefused : public testing::TestWithParam<Case> {};

TEST_P(ConflistRefused, WithWhatIsWrong) {
  const auto checked = check_conflist(GetParam().text);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Texts, ConflistRefused,
    testing::Values(
        Case{"NotJson", "{", "not a JSON object"},
        Case{"NoPlugins", R"({"name":"a"})", "must have a list 'plugins'"},
        Case{"Empty", R"({"name":"a","plugins":[]})", "must have a list 'plugins'"},
        Case{"OtherFirst", R"({"name":"a","plugins":[{"type":"ptp"},{"type":"weft"}]})", "first"},
        Case{"NoName", R"({"cniVersion":"1.0.0","plugins":[{"type":"weft"}]})", "network name"},
        Case{"Version", R"({"cniVersion":"9.0.0","name":"a","plugins":[{"type":"weft"}]})",
             "incompatible"},
        Case{"Mtu", R"({"cniVersion":"1.0.0","name":"a","plugins":[{"type":"weft","mtu":1}]})",
             "'mtu'"}),
    [](const auto& c) { return c.param.name; });

TEST(Install, ReadyIsWhoCanServeAndBeReached) {
  ctl::Status status;
  EXPECT_EQ(not_ready(status), "") << "a host without peers serves itself";
  status.peers = 2;
  EXPECT_THAT(not_ready(status), HasSubstr("no BGP session"));
  status.peers_established = 1;
  EXPECT_EQ(not_ready(status), "");
  status.cannot_give = "pool p is draining";
  EXPECT_EQ(not_ready(status), "pool p is draining");
}

TEST(Install, WordsOfTheCommand) {
  const auto all =
      parse_installation({"--to", "/t", "--from", "/f", "--wait", "0", "--socket", "/s"});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->to, "/t");
  EXPECT_EQ(all->from, "/f");
  EXPECT_EQ(all->patience.count(), 0);
  EXPECT_EQ(all->socket, "/s");
  for (const std::vector<std::string_view>& words : {std::vector<std::string_view>{"--to"},
                                                     {"--wait", "x"},
                                                     {"--wait", "-1"},
                                                     {"--what", "x"}}) {
    EXPECT_THAT(parse_installation(words).error().message, HasSubstr("usage"));
  }
}

}  // namespace
}  // namespace weft::cni
