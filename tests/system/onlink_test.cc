// Uplinks whose gateways are on no subnet of theirs: neither FRR's address, told as the peer's own,
// nor BIRD's, which is the next hop of another, could be a gateway unless the kernel is told that
// it is on the link.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using nlohmann::json;
using system_test::Hosts;

constexpr const char* shared = "10.99.0.1/32";

class Onlink : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/onlink/onlink.clab.yml", WEFT_BINARY_DIR);
    if (IsSkipped() || HasFatalFailure()) return;
    start("host1");
    ASSERT_TRUE(eventually([&] { return gateways(shared).size() == 2; }))
        << run("host1", {"weftctl", "routes"}).text() << run("host1", {"weftctl", "peers"}).text();
  }
  /// As weftctl shows them, of a route that is in the kernel.
  json gateways(const std::string& prefix) {
    const json routes = ctl("host1", {"routes"});
    for (const json& route : routes["routes"]) {
      if (route["prefix"] == prefix && route["kernel"] == "installed") return route["next_hops"];
    }
    return json::array();
  }
  std::string nexthops() { return run("host1", {"ip", "nexthop", "show", "proto", "87"}).out; }
  bool has(const std::string& nexthop) { return nexthops().find(nexthop) != std::string::npos; }
  bool answers(const std::string& address) {
    return run("host1", {"ping", "-c", "1", "-W", "2", "-I", "10.255.0.11", address}).ok();
  }
  bool in_order() { return run("host1", {"weftctl", "fib", "check"}).ok(); }
};

TEST_F(Onlink, GatewaysCarryPacketsAndAreShownAsSuch) {
  EXPECT_EQ(gateways(shared), json({"10.255.0.1 dev eth1 onlink", "10.255.0.22 dev eth2 onlink"}));
  EXPECT_TRUE(has("via 10.255.0.1 dev eth1 scope link proto 87 onlink")) << nexthops();
  EXPECT_TRUE(has("via 10.255.0.22 dev eth2 scope link proto 87 onlink")) << nexthops();
  EXPECT_TRUE(answers("10.99.1.1")) << "FRR's own";
  EXPECT_TRUE(answers("10.99.2.1")) << "BIRD's own";
  EXPECT_TRUE(in_order()) << run("host1", {"weftctl", "fib", "check"}).text();

  const std::string before = nexthops();
  stop("host1", SIGKILL);
  start("host1");
  ASSERT_TRUE(eventually([&] { return gateways(shared).size() == 2 && in_order(); }));
  EXPECT_EQ(nexthops(), before) << "adopted as they are";
}

TEST_F(Onlink, FollowsTheSubnetsOfTheLink) {
  // A subnet that holds the gateway, and goes again: the same object, told otherwise.
  ASSERT_TRUE(run("host1", {"ip", "addr", "add", "10.255.0.100/24", "dev", "eth1"}).ok());
  EXPECT_TRUE(eventually([&] { return !has("dev eth1 scope link proto 87 onlink"); }))
      << nexthops();
  EXPECT_TRUE(eventually([&] { return in_order(); }));
  ASSERT_TRUE(run("host1", {"ip", "addr", "del", "10.255.0.100/24", "dev", "eth1"}).ok());
  EXPECT_TRUE(eventually([&] { return has("dev eth1 scope link proto 87 onlink"); })) << nexthops();
  EXPECT_TRUE(eventually([&] { return in_order(); }));
  EXPECT_TRUE(eventually([&] { return gateways(shared).size() == 2; }));
  EXPECT_TRUE(answers("10.99.1.1"));
}

TEST_F(Onlink, ComesBackWithTheLink) {
  run("tor2", {"ip", "link", "set", "eth1", "down"});
  EXPECT_TRUE(eventually([&] { return gateways(shared).size() == 1; }));
  run("tor2", {"ip", "link", "set", "eth1", "up"});
  EXPECT_TRUE(eventually([&] { return gateways(shared).size() == 2 && in_order(); }))
      << run("host1", {"weftctl", "routes"}).text();
  EXPECT_TRUE(answers("10.99.2.1"));
}

}  // namespace
}  // namespace weft
