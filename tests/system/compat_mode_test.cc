// A host where nexthop_compat_mode cannot be set to 0, for /proc/sys is read-only as in most
// containers: weftd says so wherever one looks, and a lost router is a member deleted, because
// writing a group would cost the kernel a notification for each of its routes.
#include <gmock/gmock.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Output;
using nlohmann::json;
using system_test::Hosts;
using testing::HasSubstr;

constexpr const char* shared = "10.100.0.0/24";

class CompatMode : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/churn/churn.clab.yml", WEFT_BINARY_DIR);
    if (IsSkipped() || HasFatalFailure()) return;
    // In the node's own mount namespace.
    ASSERT_TRUE(run("host1", {"mount", "--bind", "/proc/sys", "/proc/sys"}).ok());
    ASSERT_TRUE(run("host1", {"mount", "-o", "remount,bind,ro", "/proc/sys"}).ok());
    ASSERT_EQ(run("host1", {"sysctl", "-n", "net.ipv4.nexthop_compat_mode"}).out, "1\n");
    begin();
  }
  void begin() {
    start("host1");
    ASSERT_TRUE(eventually([&] { return gateways() == 2; })) << story();
  }
  /// As weft sees them; tor3's are for another table.
  std::size_t gateways() {
    const json routes = ctl("host1", {"routes"});
    for (const json& route : routes["routes"]) {
      if (route["prefix"] == shared && route["kernel"] == "installed")
        return route["next_hops"].size();
    }
    return 0;
  }
  /// The alarm's value, with the end of its line.
  std::string metric() {
    const std::string all = run("host1", {"curl", "-s", "http://127.0.0.1:9798/metrics"}).out;
    const std::string name = "\nweft_fib_nexthop_compat_mode ";
    const auto at = all.find(name);
    return at == std::string::npos ? "" : all.substr(at + name.size(), 2);
  }
  std::string story() {
    return run("host1", {"weftctl", "routes", shared}).text() +
           run("host1", {"ip", "nexthop"}).text();
  }
  bool in_order() { return run("host1", {"weftctl", "fib", "check"}).ok(); }
  /// "id 1468006401", as ip(8) begins its lines.
  std::string group() {
    const std::string route = run("host1", {"ip", "-o", "route", "show", shared}).out;
    const auto from = route.find("nhid ") + 2;
    return route.substr(from, route.find(' ', from + 3) - from);
  }
  std::string member_of_tor2() {
    const std::string nexthops = run("host1", {"ip", "-o", "nexthop", "show", "dev", "eth2"}).out;
    return nexthops.substr(0, nexthops.find(" via"));
  }

  enum class Way { member_deleted, group_written, neither };
  /// What the kernel tells first of the group of two and its member when tor2's session goes, which
  /// comes back then. Neither, where the routes were faster: they have a thread of their own.
  Way loss() {
    const std::string of_two = group();
    const std::string member = member_of_tor2();
    auto monitor = lab_->node("host1").spawn({"ip", "-o", "monitor", "nexthop"});
    EXPECT_TRUE(monitor);
    if (!monitor) return Way::neither;
    // It says nothing when it has begun: an object of nobody tells.
    EXPECT_TRUE(eventually([&] {
      run("host1", {"ip", "nexthop", "add", "id", "77", "blackhole"});
      run("host1", {"ip", "nexthop", "del", "id", "77"});
      return monitor->output().find("Deleted id 77 ") != std::string::npos;
    }));
    EXPECT_TRUE(run("tor2", {"birdc", "disable", "weft"}).ok());
    EXPECT_TRUE(eventually([&] { return gateways() == 1 && in_order(); })) << story();
    EXPECT_TRUE(eventually([&] {
      return monitor->output().find("Deleted " + of_two + " ") != std::string::npos;
    })) << monitor->output();
    EXPECT_TRUE(run("tor2", {"birdc", "enable", "weft"}).ok());
    EXPECT_TRUE(eventually([&] { return gateways() == 2 && in_order(); })) << story();
    std::istringstream lines(monitor->output());
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("Deleted " + member + " ")) return Way::member_deleted;
      if (line.starts_with(of_two + " ")) return Way::group_written;
      if (line.starts_with("Deleted " + of_two + " ")) break;
    }
    return Way::neither;
  }
  bool loses_by(Way wanted) {
    return eventually([&] {
      const Way seen = loss();
      EXPECT_TRUE(seen == wanted || seen == Way::neither);
      return HasFailure() || seen == wanted;
    });
  }
};

TEST_F(CompatMode, ThatCannotBeSetIsSaidWhereverOneLooks) {
  EXPECT_EQ(metric(), "1\n");
  EXPECT_THAT(run("host1", {"weftctl", "status"}).out,
              HasSubstr("WARNING: net.ipv4.nexthop_compat_mode is 1: failover costs a "
                        "notification for each route"));
  const Output doctor = run("host1", {"weftctl", "doctor"});
  EXPECT_EQ(doctor.exit, 4);
  EXPECT_THAT(doctor.out, HasSubstr("! net.ipv4.nexthop_compat_mode is 1"));
  EXPECT_THAT(doctor.out, HasSubstr("sysctl -w net.ipv4.nexthop_compat_mode=0"));
  EXPECT_THAT(weftd_.at("host1").output(), HasSubstr("net.ipv4.nexthop_compat_mode is 1"));
  EXPECT_TRUE(eventually([&] { return in_order(); })) << story();
}

TEST_F(CompatMode, MakesALostRouterAMemberDeleted) {
  EXPECT_TRUE(loses_by(Way::member_deleted));

  // Where it can be set, the group is written.
  stop("host1", SIGTERM);
  ASSERT_TRUE(run("host1", {"mount", "-o", "remount,bind,rw", "/proc/sys"}).ok());
  begin();
  EXPECT_EQ(metric(), "0\n");
  EXPECT_TRUE(loses_by(Way::group_written));
}

}  // namespace
}  // namespace weft
