// Churn: three routers announce, withdraw and flap, links go, somebody meddles with the host's
// kernel, the third router's routes move from table to table, weftd is killed. In the end the
// kernel holds what the RIB says, nothing else of ours, and everything that was never ours. The
// environment variable WEFT_CHURN_SEEDS says how often.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Output;
using nlohmann::json;
using system_test::Hosts;

constexpr int steps = 40;

class Churn : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/churn/churn.clab.yml", WEFT_BINARY_DIR);
    if (IsSkipped() || HasFatalFailure()) return;
    // One that may be written to.
    ASSERT_TRUE(run("host1", {"sh", "-c",
                              "cp /etc/weft/weft.yaml /run/weft.yaml && "
                              "mount --bind /run/weft.yaml /etc/weft/weft.yaml"})
                    .ok());
  }

  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
  std::string any_tor() { return "tor" + std::to_string(1 + below(3)); }
  std::string any_prefix() {
    return "10." + std::to_string(100 + below(4)) + "." + std::to_string(below(40)) + ".0/24";
  }
  void on(const std::string& node, const std::string& command) {
    run(node, {"sh", "-c", "( " + command + " ) >/dev/null 2>&1 || true"});
  }

  void step() {
    const std::string uplink = "eth" + std::to_string(1 + below(3));
    switch (below(13)) {
      case 0:
      case 1:
        return on(any_tor(), "birdc disable set" + std::to_string(below(4)));
      case 2:
      case 3:
        return on(any_tor(), "birdc enable set" + std::to_string(below(4)));
      case 4:
        return on(any_tor(), "birdc restart weft");
      case 5:
        on(any_tor(), "ip link set eth1 down");
        return;
      case 6:
        for (const char* tor : {"tor1", "tor2", "tor3"}) on(tor, "ip link set eth1 up");
        return;
      case 7:
        return on("host1", "ip link set " + uplink + " down; ip link set " + uplink + " up");
      case 8:
        return on("host1", "ip route del " + any_prefix() + " proto 87");
      case 9:
        return on("host1", any_flush());
      case 10:
        return add_foreign();
      case 11:
        on("host1", "sed 's/table: [0-9]*/table: " + any_table() +
                        "/' /run/weft.yaml >/run/other.yaml; cat /run/other.yaml >/run/weft.yaml");
        return weftd_.at("host1").signal(SIGHUP);
      default:
        if (below(3) != 0) return;
        stop("host1", SIGKILL);
        start("host1");
    }
  }

  std::string any_table() { return below(2) == 0 ? "100" : "200"; }
  std::string any_flush() {
    switch (below(3)) {
      case 0:
        return "ip route flush proto 87";
      case 1:
        return "ip route flush table " + any_table() + " proto 87";
      default:
        return "ip nexthop flush proto 87";
    }
  }
  /// Beside ours, or in its place where it is free; never over it.
  void add_foreign() {
    const std::string place = any_prefix() + " proto static metric " +
                              (below(2) == 0 ? "5" : "20") + " table " +
                              (below(2) == 0 ? any_table() : "254");
    if (run("host1", {"sh", "-c", "ip route add unreachable " + place}).ok())
      foreign_.insert(place);
  }

  /// No more trouble: everything announced by everybody.
  void calm_down() {
    for (const char* tor : {"tor1", "tor2", "tor3"}) {
      on(tor, "ip link set eth1 up");
      for (int set = 0; set < 4; ++set) on(tor, "birdc enable set" + std::to_string(set));
    }
  }

  void check() {
    ASSERT_TRUE(eventually([&] { return ctl("host1", {"status"})["peers_established"] == 3; }))
        << run("host1", {"weftctl", "peers"}).text();
    for (const std::string& place : foreign_) {
      EXPECT_NE(run("host1", {"sh", "-c", "ip route show " + place}).out, "")
          << place << " was not ours to take";
      on("host1", "ip route del unreachable " + place);
    }
    foreign_.clear();
    // Everybody announces everything, and tor1's are the best, once they are all in.
    const auto in_main = [&] {
      return run("host1", {"ip", "-o", "route", "show", "proto", "87", "metric", "20"}).out;
    };
    const auto elsewhere = [&] {
      return run("host1", {"sh", "-c", "ip route show table 100; ip route show table 200"}).out;
    };
    EXPECT_TRUE(eventually([&] {
      const std::string routes = in_main();
      return std::count(routes.begin(), routes.end(), '\n') == 160 && elsewhere().empty() &&
             ctl("host1", {"status"})["fib_routes"]["ipv4"] == 160;
    })) << in_main()
        << elsewhere();
    EXPECT_TRUE(eventually([&] {
      return run("host1", {"weftctl", "fib", "check"}).ok();
    })) << run("host1", {"weftctl", "fib", "check"}).text();
    // One set of next hops: tor3's are for another table.
    EXPECT_TRUE(eventually([&] {
      const std::string groups = run("host1", {"ip", "-o", "nexthop", "show", "groups"}).out;
      return std::count(groups.begin(), groups.end(), '\n') == 1 &&
             std::count(groups.begin(), groups.end(), '/') == 1;
    })) << run("host1", {"ip", "nexthop"}).out;
  }

  std::mt19937 random_;
  /// As ip(8) is told of them.
  std::set<std::string> foreign_;
};

TEST_F(Churn, EndsWithTheKernelAsTheRibSays) {
  const char* wanted = std::getenv("WEFT_CHURN_SEEDS");
  const int seeds = wanted == nullptr ? 8 : std::atoi(wanted);
  start("host1");
  for (int seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_.seed(static_cast<unsigned>(seed));
    for (int i = 0; i < steps; ++i) step();
    calm_down();
    check();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace weft
