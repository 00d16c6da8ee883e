// weftd with unnumbered peers beside FRR and BIRD: two links without any IPv4 address between two
// namespaces, on which the other router has the same link-local address everywhere, and packets
// that get across.
#include <gmock/gmock.h>

#include <functional>
#include <memory>

#include "tests/system/two_hosts.h"

namespace weft {
namespace {

using system_test::must;
using system_test::Process;
using system_test::shell;
using system_test::TwoHosts;
using testing::HasSubstr;

class Unnumbered : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    hosts_ = std::make_unique<TwoHosts>();
    must("ip link add weft1 netns " + hosts_->a + " type veth peer name weft1 netns " + hosts_->b);
    for (const char* link : {"weft0", "weft1"}) {
      must("ip -n " + hosts_->a + " address flush dev " + link + " scope global");
      must("ip -n " + hosts_->a + " link set " + link + " up");
      // A switch has one address on all of its ports.
      must("ip -n " + hosts_->b + " link set " + link + " down");
      must("ip -n " + hosts_->b + " link set " + link + " addrgenmode none");
      must("ip -n " + hosts_->b + " address flush dev " + link);
      must("ip -n " + hosts_->b + " link set " + link + " up");
      must("ip -n " + hosts_->b + " address add fe80::1/64 dev " + link + " nodad");
    }
    // What the router reaches, and what lives in the host's block.
    must("ip -n " + hosts_->b + " address add 198.51.100.1/32 dev lo");
    must("ip -n " + hosts_->b + " address add 2001:db8:1::1/128 dev lo");
    must("ip -n " + hosts_->a + " address add 10.64.0.65/32 dev lo");
    must("ip netns exec " + hosts_->b +
         " sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  }
  void TearDown() override {
    if (HasFailure() && weftd_) std::cerr << shell("cat " + file("weftd.log"));
    weftd_.reset();
    daemons_.clear();
    hosts_.reset();
  }

  void start_weftd(const std::string& more = "", const std::string& executable = "weftd") {
    const std::string config = hosts_->write("weft.yaml", R"(
node: {name: host, asn: 65001, router-id: 10.255.0.1}
pools:
  containers: {ipv4: 10.64.0.0/16, claim: {static: {index: 1}}}
exporter: {listen: "off"}
bgp:
  groups:
    tor: {import: accept, hold-time: 3, connect-retry: 1, idle-hold: 0, send-hold: 30)" +
                                                              more + R"(}
  peers:
    - {interface: weft0, group: tor}
    - {interface: weft1, group: tor}
)");
    std::filesystem::create_directories(hosts_->directory / "state");
    weftd_ = std::make_unique<Process>(
        hosts_->a,
        std::vector<std::string>{WEFT_BINARY_DIR "/" + executable, "--config", config,
                                 "--state-dir", file("state"), "--socket", file("weft.sock")},
        file("weftd.log"));
  }
  std::string weftctl(const std::string& words) const {
    return shell(WEFT_BINARY_DIR "/weftctl --socket " + file("weft.sock") + " " + words);
  }

  void start_frr() {
    const std::string config = R"(log stdout
router bgp 65002
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor tor peer-group
 neighbor tor remote-as external
 neighbor tor timers 1 3
 neighbor tor timers connect 1
 neighbor weft0 interface peer-group tor
 neighbor weft1 interface peer-group tor
 address-family ipv4 unicast
  network 198.51.100.1/32
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:1::1/128
  neighbor tor activate
 exit-address-family
)";
    for (const auto& [daemon, with] :
         {std::pair<std::string, std::string>{"zebra", "hostname b\n"}, {"bgpd", config}}) {
      daemons_.push_back(
          std::make_unique<Process>(hosts_->b, hosts_->frr(daemon, with), file(daemon + ".log")));
    }
  }

  void start_bird(const std::string& sessions) {
    const std::string config = hosts_->write("bird.conf", R"(
log stderr all;
router id 192.0.2.2;
protocol device { scan time 1; }
protocol kernel { ipv4 { export where source = RTS_BGP; }; merge paths on; }
protocol static four { ipv4; route 198.51.100.1/32 unreachable; }
protocol static six { ipv6; route 2001:db8:1::1/128 unreachable; }
protocol radv {
  interface "weft*" { min ra interval 3; max ra interval 4; default lifetime 0; };
}
template bgp host {
  local as 65002;
  hold time 3; connect retry time 1; connect delay time 1; error wait time 1,2;
  ipv4 { import all; export where source = RTS_STATIC; extended next hop on; };
  ipv6 { import all; export where source = RTS_STATIC; };
}
)" + sessions);
    daemons_.push_back(std::make_unique<Process>(
        hosts_->b, std::vector<std::string>{"bird", "-f", "-c", config, "-s", file("bird.ctl")},
        file("bird.log")));
  }
  std::string birdc(const std::string& words) const {
    return shell("birdc -s " + file("bird.ctl") + " " + words);
  }

  /// The machine may be busy with other things.
  static bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 300; ++i) {
      if (condition()) return true;
      ::usleep(200'000);
    }
    return false;
  }
  static std::size_t count(const std::string& text, const std::string& what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
  }
  std::size_t established() const { return count(weftctl("peers"), "Established"); }
  bool ping(const std::string& from, const std::string& source, const std::string& to) const {
    return shell("ip netns exec " + from + " ping -c 1 -W 1 -I " + source + " " + to)
               .find("1 received") != std::string::npos;
  }
  bool reach_each_other() {
    return eventually([&] { return ping(hosts_->a, "10.64.0.65", "198.51.100.1"); }) &&
           eventually([&] { return ping(hosts_->b, "198.51.100.1", "10.64.0.65"); });
  }
  [[nodiscard]] std::string file(const std::string& name) const {
    return (hosts_->directory / name).string();
  }
  std::string say() const { return weftctl("peers") + weftctl("routes") + birdc("show protocols"); }

  std::unique_ptr<TwoHosts> hosts_;
  std::unique_ptr<Process> weftd_;
  std::vector<std::unique_ptr<Process>> daemons_;
};

TEST_F(Unnumbered, FrrOnTwoLinksWithOneAddress) {
  start_frr();
  start_weftd();
  ASSERT_TRUE(eventually([&] { return established() == 2; }))
      << weftctl("peers") << hosts_->vtysh("show bgp summary");
  ASSERT_TRUE(eventually([&] { return count(weftctl("routes 198.51.100.1/32"), "fe80::1") >= 2; }))
      << weftctl("routes 198.51.100.1/32");
  EXPECT_TRUE(reach_each_other()) << say() << hosts_->vtysh("show ip route", "zebra");
  EXPECT_THAT(weftctl("peers"), HasSubstr("fe80::1%weft0"));
  EXPECT_TRUE(eventually([&] {
    return shell("ip -n " + hosts_->b + " route show 10.64.0.64/26").find("via inet6 fe80::") !=
           std::string::npos;
  })) << shell("ip -n " + hosts_->b + " route");
  EXPECT_EQ(shell("ip -n " + hosts_->b + " -6 route show default"), "")
      << "nobody takes us for a default router";

  // A link down takes its session at once, long before the hold time, and packets take the other.
  must("ip -n " + hosts_->b + " link set weft0 down");
  EXPECT_TRUE(eventually([&] { return established() == 1; }));
  EXPECT_THAT(weftctl("peers weft0"), HasSubstr("link"));
  EXPECT_TRUE(reach_each_other()) << say();
  must("ip -n " + hosts_->b + " link set weft0 up");
  must("ip -n " + hosts_->b + " address replace fe80::1/64 dev weft0 nodad");
  EXPECT_TRUE(eventually([&] { return established() == 2; })) << weftctl("peers");

  // The neighbour is another box now, with another address.
  must("ip -n " + hosts_->b + " address del fe80::1/64 dev weft0");
  must("ip -n " + hosts_->b + " address add fe80::2/64 dev weft0 nodad");
  EXPECT_TRUE(eventually([&] {
    return established() == 2 && weftctl("peers").find("fe80::2%weft0") != std::string::npos;
  })) << weftctl("peers");
}

TEST_F(Unnumbered, BirdListensForWhoeverIsOnTheLink) {
  start_bird(R"(
protocol bgp one from host { neighbor range fe80::/10 external; interface "weft0"; dynamic name "one"; }
protocol bgp two from host { neighbor range fe80::/10 external; interface "weft1"; dynamic name "two"; }
)");
  start_weftd();
  ASSERT_TRUE(eventually([&] { return established() == 2; })) << say();
  EXPECT_TRUE(reach_each_other()) << say() << shell("ip -n " + hosts_->b + " route");
}

TEST_F(Unnumbered, BirdConnectsToUsWhileWeNeverDo) {
  must("ip -n " + hosts_->a + " address add fe80::a/64 dev weft0 nodad");
  must("ip -n " + hosts_->a + " address add fe80::a/64 dev weft1 nodad");
  start_bird(R"(
protocol bgp one from host { neighbor fe80::a%'weft0' external; }
protocol bgp two from host { neighbor fe80::a%'weft1' external; }
)");
  start_weftd(", passive: true");
  ASSERT_TRUE(eventually([&] { return established() == 2; })) << say();
  EXPECT_TRUE(reach_each_other()) << say() << shell("ip -n " + hosts_->b + " route");
}

}  // namespace
}  // namespace weft
