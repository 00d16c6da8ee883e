// A next hop behind a route, from BIRD's UPDATE to the kernel's nexthop group.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/system/interop.h"

namespace weft::interop {
namespace {

using testing::HasSubstr;

/// 198.51.100.0/24 by 10.255.0.9, and 10.255.0.9/32 by `loopback_by` unless that is empty.
std::string bird_config(const std::string& loopback_by) {
  const std::string loopback =
      loopback_by.empty()
          ? ""
          : "  if net = 10.255.0.9/32 then { bgp_next_hop = " + loopback_by + "; accept; }\n";
  return R"(
log stderr all;
router id 192.0.2.2;
protocol device { scan time 1; }
protocol static { ipv4; route 198.51.100.0/24 blackhole; route 10.255.0.9/32 blackhole; }
filter told {
)" + loopback +
         R"(
  if net = 198.51.100.0/24 then { bgp_next_hop = 10.255.0.9; accept; }
  reject;
}
protocol bgp weft {
  local 192.0.2.2 as 65001; neighbor 192.0.2.1 as 65001; ttl security on;
  hold time 9; connect retry time 1; connect delay time 1; error wait time 1,2;
  ipv4 { import all; export filter told; };
}
)";
}

/// The gateways of the group behind the route, sorted.
std::vector<std::string> gateways(const Pair& pair, const std::string& prefix) {
  const std::string in = "ip -n " + pair.hosts.a;
  const auto read = [&](const std::string& words) {
    const json said = json::parse(shell(in + " -j " + words), nullptr, false);
    return said.is_array() && !said.empty() ? said[0] : json::object();
  };
  const auto by_id = [&](unsigned id) { return read("nexthop show id " + std::to_string(id)); };
  std::vector<std::string> found;
  const json route = read("route show " + prefix);
  if (!route.contains("nhid")) return found;
  const json group = by_id(route["nhid"].get<unsigned>());
  for (const json& member : group.value("group", json::array()))
    found.push_back(by_id(member["id"].get<unsigned>()).value("gateway", ""));
  std::sort(found.begin(), found.end());
  return found;
}

TEST(RecursiveNextHop, FollowsTheRouteThatBirdTells) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  Row row;
  row.internal = true;
  Pair pair(Daemon::bird, row, WEFT_BINARY_DIR);
  const auto leads_to = [&](const std::vector<std::string>& wanted) {
    return pair.until([&] { return gateways(pair, "198.51.100.0/24") == wanted; });
  };
  pair.start_weft();
  const std::string config = pair.hosts.write("bird.conf", bird_config("192.0.2.2"));
  pair.others.push_back(std::make_unique<Process>(
      pair.hosts.b,
      std::vector<std::string>{"bird", "-f", "-c", config, "-s", pair.file("bird.ctl")},
      pair.file("bird.log")));
  ASSERT_TRUE(pair.established()) << pair.story();

  EXPECT_TRUE(leads_to({"192.0.2.2"})) << pair.story();
  EXPECT_THAT(pair.weftctl("routes 198.51.100.0/24"),
              HasSubstr("10.255.0.9 through 10.255.0.9/32, metric "));
  EXPECT_THAT(pair.weftctl("routes 198.51.100.0/24"), HasSubstr("192.0.2.2 dev weft0"));

  pair.hosts.write("bird.conf", bird_config("192.0.2.3"));
  pair.birdc("configure");
  EXPECT_TRUE(leads_to({"192.0.2.3"})) << pair.story();

  pair.hosts.write("bird.conf", bird_config(""));
  pair.birdc("configure");
  EXPECT_TRUE(leads_to({})) << pair.story();
  EXPECT_THAT(pair.weftctl("routes 198.51.100.0/24"), HasSubstr("next hop unresolvable"));
}

}  // namespace
}  // namespace weft::interop
