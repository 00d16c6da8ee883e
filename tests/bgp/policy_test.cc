#include "bgp/policy.h"

#include <gtest/gtest.h>

#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

struct Case {
  const char* name;
  const char* prefix;
  bool default_route;
  bool accepted;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class HostImport : public testing::TestWithParam<Case> {};

TEST_P(HostImport, TakesPoolsAndTheDefaultRouteWhenAsked) {
  Settings settings;
  settings.pools = {prefix("10.64.0.0/16"), prefix("fd64::/112")};
  settings.default_route = GetParam().default_route;
  const Policy policy = Policy::import(settings, {}, true);
  EXPECT_EQ(policy.accepts(prefix(GetParam().prefix), false), GetParam().accepted);
}

INSTANTIATE_TEST_SUITE_P(Rfc8212, HostImport,
                         testing::Values(Case{"InPool", "10.64.3.0/26", false, true},
                                         Case{"ThePool", "10.64.0.0/16", false, true},
                                         Case{"AboveThePool", "10.0.0.0/8", false, false},
                                         Case{"Elsewhere", "10.65.0.0/26", true, false},
                                         Case{"InPoolV6", "fd64::40/122", false, true},
                                         Case{"ElsewhereV6", "fd65::/122", false, false},
                                         Case{"DefaultUnasked", "0.0.0.0/0", false, false},
                                         Case{"Default", "0.0.0.0/0", true, true},
                                         Case{"DefaultV6", "::/0", true, true}),
                         [](const auto& c) { return c.param.name; });

TEST(Policy, DefaultsToHostForOthersAndAcceptWithinOurAs) {
  const Settings settings;
  const Prefix any = prefix("203.0.113.0/24");
  EXPECT_FALSE(Policy::import(settings, {}, true).accepts(any, false));
  EXPECT_TRUE(Policy::import(settings, {}, false).accepts(any, false));
  EXPECT_FALSE(Policy::to_export(settings, {}, true).accepts(any, false));
  EXPECT_TRUE(Policy::to_export(settings, {}, true).accepts(any, true));
  EXPECT_TRUE(Policy::to_export(settings, {}, false).accepts(any, false));
}

TEST(Policy, FollowsTheFilterThatWasChosen) {
  const Settings settings;
  PeerSettings peer;
  peer.import_filter = Filter::accept;
  peer.export_filter = Filter::accept;
  EXPECT_TRUE(Policy::import(settings, peer, true).accepts(prefix("203.0.113.0/24"), false));
  EXPECT_TRUE(Policy::to_export(settings, peer, true).accepts(prefix("203.0.113.0/24"), false));
  peer.import_filter = Filter::host;
  EXPECT_FALSE(Policy::import(settings, peer, false).accepts(prefix("203.0.113.0/24"), false));
}

TEST(Policy, LetsNothingThroughUntilToldWhat) {
  EXPECT_FALSE(Policy().accepts(prefix("203.0.113.0/24"), true));
  EXPECT_FALSE(Policy().accepts(prefix("0.0.0.0/0"), false));
}

}  // namespace
}  // namespace weft::bgp
