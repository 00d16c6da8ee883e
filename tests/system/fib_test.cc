// The kernel FIB under weftd as an operator meets it: what differs is named, what the kernel has
// not taken is told to nobody, and the doctor knows its host.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Output;
using nlohmann::json;
using system_test::Hosts;
using system_test::patience;

constexpr const char* block = "10.64.2.192/26";
constexpr const char* block6 = "fd64:0:0:1::2c0/122";
constexpr const char* other_block = "10.64.3.0/26";

class KernelFib : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/hosts/hosts.clab.yml", WEFT_BINARY_DIR);
  }
  bool soon(const std::function<bool()>& condition) { return lab::wait_until(condition, patience); }
  bool has_route(const std::string& host, const std::string& prefix) {
    const bool v6 = prefix.find(':') != std::string::npos;
    return run(host, {"ip", v6 ? "-6" : "-4", "route", "show", prefix, "proto", "87"})
               .out.find("nhid") != std::string::npos;
  }
};

TEST_F(KernelFib, CheckNamesWhatDiffersAndRepairs) {
  start("host1");
  start("host2");
  ASSERT_TRUE(soon([&] { return has_route("host1", other_block); }));
  ASSERT_TRUE(soon([&] {
    return run("host1", {"weftctl", "fib", "check"}).ok();
  })) << run("host1", {"weftctl", "fib", "check"}).text();
  EXPECT_EQ(weftd_.at("host1").output().find("adopted"), std::string::npos)
      << "a fresh host has nothing to adopt";
  // As if left by a weftd that nobody remembers: ours by protocol and metric, wanted by nobody.
  ASSERT_TRUE(run("host1", {"sh", "-c",
                            std::string("ip route add 10.99.0.0/24 proto 87 metric 20 nhid "
                                        "$(ip route show ") +
                                other_block + " | sed 's/.*nhid \\([0-9]*\\).*/\\1/')"})
                  .ok());
  const Output found = run("host1", {"weftctl", "fib", "check"});
  EXPECT_EQ(found.exit, 4) << found.text();
  EXPECT_NE(found.out.find("! 10.99.0.0/24  stale"), std::string::npos) << found.text();
  EXPECT_NE(run("host1", {"ip", "route", "show", "10.99.0.0/24"}).out, "")
      << "looking repairs nothing";
  const Output repaired = run("host1", {"weftctl", "fib", "check", "--repair"});
  EXPECT_TRUE(repaired.ok()) << repaired.text();
  EXPECT_NE(repaired.out.find("a second look finds no difference"), std::string::npos)
      << repaired.text();
  EXPECT_EQ(run("host1", {"ip", "route", "show", "10.99.0.0/24"}).out, "");
  EXPECT_TRUE(has_route("host1", other_block));
}

TEST_F(KernelFib, ABlockIsAnnouncedOnlyWhenTheKernelHasItsBlackhole) {
  // Somebody else's blackhole stands in the place of ours.
  ASSERT_TRUE(run("host1", {"ip", "route", "add", "blackhole", block, "metric", "4294967295",
                            "proto", "static"})
                  .ok());
  start("host1");
  start("host2");
  ASSERT_TRUE(soon([&] { return has_route("host2", block6); }));
  EXPECT_FALSE(has_route("host2", block)) << "the other family of the block has come";
  ASSERT_TRUE(
      run("host1", {"ip", "route", "del", "blackhole", block, "metric", "4294967295"}).ok());
  EXPECT_TRUE(soon([&] { return has_route("host2", block); }));
}

TEST_F(KernelFib, ARouterAddressThatSomebodyTakesAwayIsPutBackAndItsRoutesWithIt) {
  start("host1");
  start("host2");
  ASSERT_TRUE(soon([&] { return has_route("host1", other_block); }));
  const auto on_lo = [&](const std::string& address) {
    return run("host1", {"ip", "addr", "show", "dev", "lo"}).out.find(address + "/") !=
           std::string::npos;
  };
  for (int times = 0; times < 2; ++times) {
    for (const std::string address : {"10.255.0.11", "fd00:0:0:255::11"}) {
      ASSERT_TRUE(run("host1", {"ip", "addr", "del", address, "dev", "lo"}).ok()) << address;
    }
    EXPECT_TRUE(soon([&] { return on_lo("10.255.0.11") && on_lo("fd00:0:0:255::11"); }));
    EXPECT_TRUE(soon([&] {
      return has_route("host1", other_block) && run("host1", {"weftctl", "fib", "check"}).ok();
    })) << run("host1", {"weftctl", "fib", "check"}).text();
  }
}

TEST_F(KernelFib, TheDoctorMendsAtStartAndNamesTheRest) {
  ASSERT_TRUE(run("host1", {"sysctl", "-w", "net.ipv4.ip_forward=0"}).ok());
  ASSERT_TRUE(run("host1", {"sysctl", "-w", "net.ipv4.nexthop_compat_mode=1"}).ok());
  start("host1");
  EXPECT_EQ(run("host1", {"sysctl", "-n", "net.ipv4.ip_forward"}).out, "1\n");
  EXPECT_EQ(run("host1", {"sysctl", "-n", "net.ipv4.nexthop_compat_mode"}).out, "0\n");
  EXPECT_TRUE(run("host1", {"weftctl", "doctor"}).ok())
      << run("host1", {"weftctl", "doctor"}).text();
  ASSERT_TRUE(run("host1", {"sysctl", "-w", "net.ipv4.ip_forward=0"}).ok());
  const Output found = run("host1", {"weftctl", "doctor"});
  EXPECT_EQ(found.exit, 4);
  EXPECT_NE(found.out.find("! net.ipv4.ip_forward is 0"), std::string::npos) << found.text();
  EXPECT_NE(found.out.find("sysctl -w net.ipv4.ip_forward=1"), std::string::npos) << found.text();
  EXPECT_NE(run("host1", {"weftctl", "status"}).out.find("net.ipv4.ip_forward"), std::string::npos);
}

}  // namespace
}  // namespace weft
