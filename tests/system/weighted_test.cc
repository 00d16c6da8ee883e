// Shares of the load by link bandwidth, from BIRD's UPDATE to the kernel's nexthop group.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/system/interop.h"

namespace weft::interop {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Two paths to each of two prefixes, by 192.0.2.2 and .3: the first with 5 GB/s always, the
/// second with 1.25 GB/s where `second` says so.
std::string bird_config(const std::string& second) {
  return R"(
log stderr all;
router id 192.0.2.2;
protocol device { scan time 1; }
protocol static one { ipv4; route 198.51.100.0/24 blackhole; route 203.0.113.0/25 blackhole; }
protocol static two {
  ipv4 { preference 150; };
  route 198.51.100.0/24 unreachable; route 203.0.113.0/25 unreachable;
}
filter told {
  if source != RTS_STATIC then reject;
  if proto = "one" then bgp_ext_community.add((generic, 0x4004fde9, 0x4f9502f9));
  if proto = "two" then {
    bgp_next_hop = 192.0.2.3;
    if )" +
         second + R"( then bgp_ext_community.add((generic, 0x4004fde9, 0x4e9502f9));
  }
  accept;
}
protocol bgp weft {
  local 192.0.2.2 as 65001; neighbor 192.0.2.1 as 65001; ttl security on;
  hold time 9; connect retry time 1; connect delay time 1; error wait time 1,2;
  ipv4 { import all; export filter told; add paths on; };
}
)";
}

/// The weights in the group behind the route, sorted.
std::vector<unsigned> weights(const Pair& pair, const std::string& prefix) {
  const std::string in = "ip -n " + pair.hosts.a;
  const json route = json::parse(shell(in + " -j route show " + prefix), nullptr, false);
  if (!route.is_array() || route.empty() || !route[0].contains("nhid")) return {};
  const json group = json::parse(
      shell(in + " -j nexthop show id " + std::to_string(route[0]["nhid"].get<unsigned>())),
      nullptr, false);
  if (!group.is_array() || group.empty() || !group[0].contains("group")) return {};
  std::vector<unsigned> found;
  for (const json& member : group[0]["group"]) found.push_back(member.value("weight", 1U));
  std::sort(found.begin(), found.end());
  return found;
}

TEST(WeightedMultipath, FollowsTheLinkBandwidthThatBirdTells) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  Row row;
  row.weft = "add-path-receive: [ipv4]";
  row.internal = true;
  Pair pair(Daemon::bird, row, WEFT_BINARY_DIR);
  const auto has = [&](const std::string& prefix, const std::vector<unsigned>& wanted) {
    return pair.until([&] { return weights(pair, prefix) == wanted; });
  };
  pair.start_weft();
  const std::string config = pair.hosts.write("bird.conf", bird_config("net = 198.51.100.0/24"));
  pair.others.push_back(std::make_unique<Process>(
      pair.hosts.b,
      std::vector<std::string>{"bird", "-f", "-c", config, "-s", pair.file("bird.ctl")},
      pair.file("bird.log")));
  ASSERT_TRUE(pair.established()) << pair.story();

  EXPECT_TRUE(has("198.51.100.0/24", {1, 4})) << pair.story();
  EXPECT_THAT(pair.weftctl("routes 198.51.100.0/24"),
              AllOf(HasSubstr("192.0.2.2 dev weft0 weight 4"), HasSubstr("192.0.2.3 dev weft0"),
                    HasSubstr("bandwidth:65001:1.25e+09")));
  EXPECT_TRUE(has("203.0.113.0/25", {1, 1})) << "one of them says nothing" << pair.story();

  pair.hosts.write("bird.conf", bird_config("net = 203.0.113.0/25"));
  pair.birdc("configure");
  EXPECT_TRUE(has("198.51.100.0/24", {1, 1})) << pair.story();
  EXPECT_TRUE(has("203.0.113.0/25", {1, 4})) << pair.story();
}

}  // namespace
}  // namespace weft::interop
