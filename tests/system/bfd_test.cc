// weftd's BFD beside BIRD and FRR where the interop matrix (interop_links_test.cc) does not look:
// peers of a range, many hops, FRR's idea of a neighbour with GTSM.
#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <memory>

#include "tests/system/two_hosts.h"

namespace weft {
namespace {

using system_test::must;
using system_test::Process;
using system_test::shell;
using system_test::TwoHosts;
using testing::HasSubstr;

class BfdInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    hosts_ = std::make_unique<TwoHosts>();
    must("ip -n " + hosts_->b + " address add 198.51.100.1/32 dev lo");
  }
  void TearDown() override {
    if (HasFailure() && weftd_) std::cerr << shell("cat " + file("weftd.log"));
    for (auto& [name, daemon] : daemons_) daemon->signal(SIGCONT);
    weftd_.reset();
    daemons_.clear();
    hosts_.reset();
  }

  void start_weftd(const std::string& peer) {
    const std::string config = hosts_->write("weft.yaml", R"(
node: {name: host, asn: 65001, router-id: 10.255.0.1}
exporter: {listen: "off"}
bgp:
  peers:
    - {name: tor, import: accept, hold-time: 180, send-hold: 300, connect-retry: 1, idle-hold: 0, )" +
                                                              peer + "}\n");
    std::filesystem::create_directories(hosts_->directory / "state");
    weftd_ = std::make_unique<Process>(
        hosts_->a,
        std::vector<std::string>{WEFT_BINARY_DIR "/weftd", "--config", config, "--state-dir",
                                 file("state"), "--socket", file("weft.sock")},
        file("weftd.log"));
  }
  std::string weftctl(const std::string& words) const {
    return shell(WEFT_BINARY_DIR "/weftctl --socket " + file("weft.sock") + " " + words);
  }
  void start(const std::string& name, const std::vector<std::string>& words) {
    daemons_[name] = std::make_unique<Process>(hosts_->b, words, file(name + ".log"));
  }

  void start_bird(const std::string& session, const std::string& bfd) {
    start("bird", {"bird", "-f", "-c", hosts_->write("bird.conf", R"(
log stderr all;
router id 192.0.2.2;
protocol device { scan time 1; }
protocol static { ipv4; route 198.51.100.1/32 blackhole; }
protocol bfd { )" + bfd + R"( }
protocol bgp weft {
  )" + session + R"(
  bfd on; hold time 180; connect retry time 1; connect delay time 1; error wait time 1,2;
  ipv4 { import all; export where source = RTS_STATIC; };
}
)"),
                   "-s", file("bird.ctl")});
  }
  std::string birdc(const std::string& words) const {
    return shell("birdc -s " + file("bird.ctl") + " " + words);
  }
  void start_frr(const std::string& neighbour) {
    start("zebra", hosts_->frr("zebra", "hostname b\n"));
    // One that finds no zebra tries again after 10 s, and what bgpd asks for meanwhile is lost.
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(file("zserv.api")); }));
    std::vector<std::string> bfdd = hosts_->frr("bfdd", "hostname b\n");
    bfdd.insert(bfdd.end(), {"--bfdctl", file("bfdd.sock")});
    start("bfdd", bfdd);
    EXPECT_TRUE(eventually(
        [&] { return vtysh("show bfd peers").find("BFD Peers:") != std::string::npos; }));
    start("bgpd", hosts_->frr("bgpd", R"(log stdout
router bgp 65002
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 )" + neighbour + R"(
 address-family ipv4 unicast
  network 198.51.100.1/32
 exit-address-family
)"));
  }
  std::string vtysh(const std::string& command) const {
    const bool bgp = command.find("bgp") != std::string::npos;
    return hosts_->vtysh(command, bgp ? "bgpd" : "bfdd");
  }

  static bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 300; ++i) {
      if (condition()) return true;
      ::usleep(200'000);
    }
    return false;
  }
  bool says(const std::string& words, const std::string& what) {
    return eventually([&] { return weftctl(words).find(what) != std::string::npos; });
  }
  /// The session may be under way again before anybody asks for it.
  bool logs(const std::string& what) {
    return eventually(
        [&] { return shell("cat " + file("weftd.log")).find(what) != std::string::npos; });
  }
  bool both_up() { return says("peers", "Established") && says("bfd", " Up "); }
  std::string say() const { return weftctl("peers") + weftctl("bfd"); }
  [[nodiscard]] std::string file(const std::string& name) const {
    return (hosts_->directory / name).string();
  }

  std::unique_ptr<TwoHosts> hosts_;
  std::unique_ptr<Process> weftd_;
  std::map<std::string, std::unique_ptr<Process>> daemons_;
};

TEST_F(BfdInterop, BirdFromARangeIsLookedAfterUntilItIsForgotten) {
  start_bird("local 192.0.2.2 as 65002; neighbor 192.0.2.1 external; ttl security on;",
             "interface \"*\" { interval 100 ms; multiplier 5; };");
  start_weftd("listen: 192.0.2.0/24, bfd: {interval: 100, multiplier: 5}");
  ASSERT_TRUE(both_up()) << say() << birdc("show bfd sessions");
  EXPECT_THAT(weftctl("bfd"), HasSubstr("192.0.2.2"));
  daemons_["bird"]->signal(SIGSTOP);
  EXPECT_TRUE(logs("Cease/BFD Down")) << say();
  EXPECT_THAT(weftctl("bfd"), HasSubstr("192.0.2.2")) << "it may come back";
  daemons_["bird"]->signal(SIGKILL);
  daemons_["bird"]->signal(SIGCONT);
  // A minute after its last connection.
  EXPECT_TRUE(says("bfd", "no peer has BFD") || says("bfd", "no peer has BFD")) << say();
}

TEST_F(BfdInterop, BirdOverManyHops) {
  must("ip -n " + hosts_->a + " address add 10.9.0.1/32 dev lo");
  must("ip -n " + hosts_->b + " address add 10.9.0.2/32 dev lo");
  must("ip -n " + hosts_->a + " route add 10.9.0.2/32 via 192.0.2.2");
  must("ip -n " + hosts_->b + " route add 10.9.0.1/32 via 192.0.2.1");
  start_bird("local 10.9.0.2 as 65002; neighbor 10.9.0.1 external; multihop 8;",
             "multihop { interval 200 ms; multiplier 4; };");
  start_weftd("address: 10.9.0.2, source: 10.9.0.1, gtsm: false, bfd: true");
  ASSERT_TRUE(both_up()) << say() << birdc("show bfd sessions");
  EXPECT_THAT(weftctl("bfd"), HasSubstr("many"));
  daemons_["bird"]->signal(SIGSTOP);
  EXPECT_TRUE(logs("Cease/BFD Down")) << say();
}

TEST_F(BfdInterop, FrrHearsTheReason) {
  start_frr(
      "neighbor 192.0.2.1 remote-as external\n neighbor 192.0.2.1 timers connect 1\n"
      " neighbor 192.0.2.1 ttl-security hops 1\n neighbor 192.0.2.1 bfd");
  start_weftd("address: 192.0.2.2, bfd: {multihop: true}");  // so it is for FRR with ttl-security
  ASSERT_TRUE(both_up()) << say() << vtysh("show bfd peers");
  EXPECT_TRUE(eventually([&] {
    return vtysh("show bfd peers").find("Status: up") != std::string::npos;
  })) << vtysh("show bfd peers");
  daemons_["bfdd"]->signal(SIGSTOP);  // its BGP lives on
  EXPECT_TRUE(logs("Cease/BFD Down")) << say();
  EXPECT_TRUE(eventually([&] {
    return vtysh("show bgp neighbors 192.0.2.1").find("BFD") != std::string::npos;
  })) << vtysh("show bgp neighbors 192.0.2.1");
  daemons_["bfdd"]->signal(SIGCONT);
  EXPECT_TRUE(both_up()) << say();
}

}  // namespace
}  // namespace weft
