// weft as a route reflector between BIRD, FRR and GoBGP of Debian 12, BIRD and GoBGP in one
// namespace, FRR (which takes no next hop that is an address of its host) in another: reflection
// (RFC 4456), add-path both ways (RFC 7911).
#include <gmock/gmock.h>
#include <net/if.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "bgp/speaker.h"
#include "bgp/transport.h"
#include "tests/system/two_hosts.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using system_test::Inside;
using system_test::must;
using system_test::Process;
using system_test::shell;
using system_test::TwoHosts;

constexpr const char* bird_address = "192.0.2.2";
constexpr const char* frr_address = "198.51.100.2";
constexpr const char* gobgp_address = "192.0.2.4";

/// The reflector: a speaker with its transport in the namespace of the thread that makes it.
class Reflector {
 public:
  explicit Reflector(const Settings& settings)
      : speaker_(settings, 1, Clock::now()),
        transport_(io_, speaker_,
                   {[](const std::vector<RouteChange>&) {}, [](SyncDone) {},
                    [this](const LogLine& line) { log += line.text + "\n"; }}) {
    speaker_.connected(
        {{*Address::parse("192.0.2.1"), *Prefix::parse("192.0.2.0/24"), ::if_nametoindex("weft0")},
         {*Address::parse("198.51.100.1"), *Prefix::parse("198.51.100.0/24"),
          ::if_nametoindex("weft1")}},
        Clock::now());
    const auto listening = transport_.listen();
    if (!listening) throw std::runtime_error(listening.error().message);
    transport_.poke();
  }
  bool until(const std::function<bool()>& condition, Clock::duration limit = 60s) {
    const Time end = Clock::now() + limit;
    while (!condition()) {
      if (Clock::now() > end) return false;
      io_.run_for(std::chrono::milliseconds{50});
      io_.restart();
    }
    return true;
  }
  /// Polls a command of another daemon until it says `what`.
  bool hears(const std::function<std::string()>& say, const std::string& what) {
    return until([&] { return say().find(what) != std::string::npos; });
  }
  bool all_established() {
    return until([&] {
      const auto all = speaker_.peers();
      return std::all_of(all.begin(), all.end(), [](const PeerStatus& each) {
        return each.state == PeerState::established;
      });
    });
  }
  [[nodiscard]] std::size_t paths(const char* to) const {
    const auto route = speaker_.route(*Prefix::parse(to));
    return route ? route->paths.size() : 0;
  }
  Speaker& speaker() { return speaker_; }
  void poke() { transport_.poke(); }

  std::string log;

 private:
  boost::asio::io_context io_;
  Speaker speaker_;
  Transport transport_;
};

Settings reflector() {
  Settings settings;
  settings.asn = Asn{65001};
  settings.router_id = RouterId{0xc0000201};
  settings.cluster_id = RouterId{0x0aff0001};
  for (const char* each : {bird_address, frr_address, gobgp_address}) {
    PeerSettings peer;
    peer.name = each;
    peer.address = *Address::parse(each);
    peer.remote_as = RemoteAs::internal;
    peer.route_reflector_client = true;
    peer.gtsm = false;
    peer.families = {Family::ipv4};
    peer.connect_retry = 1s;
    settings.peers.push_back(peer);
  }
  return settings;
}

class ReflectorInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    hosts_ = std::make_unique<TwoHosts>();
    must("ip -n " + hosts_->b + " address add 192.0.2.4/24 dev weft0");
    frr_host_ = hosts_->b + "f";
    must("ip netns add " + frr_host_);
    must("ip -n " + frr_host_ + " link set lo up");
    must("ip link add weft1 netns " + hosts_->a + " type veth peer name weft1 netns " + frr_host_);
    must("ip -n " + hosts_->a + " address add 198.51.100.1/24 dev weft1");
    must("ip -n " + frr_host_ + " address add 198.51.100.2/24 dev weft1");
    must("ip -n " + hosts_->a + " link set weft1 up");
    must("ip -n " + frr_host_ + " link set weft1 up");
    must("ip -n " + frr_host_ + " route add 192.0.2.0/24 via 198.51.100.1");
    inside_ = std::make_unique<Inside>(hosts_->a);
  }
  void TearDown() override {
    inside_.reset();
    daemons_.clear();
    if (!frr_host_.empty()) shell("ip netns del " + frr_host_);
    hosts_.reset();
  }

  [[nodiscard]] std::string file(const std::string& name) const {
    return (hosts_->directory / name).string();
  }
  void start(const std::vector<std::string>& words, const std::string& log) {
    start(hosts_->b, words, log);
  }
  void start(const std::string& host, const std::vector<std::string>& words,
             const std::string& log) {
    daemons_.push_back(std::make_unique<Process>(host, words, file(log)));
  }

  /// 10.2.0.0/16 and the shared 10.9.0.0/16.
  void start_bird(const std::string& channel = "", const std::string& more = "") {
    const std::string config = hosts_->write("bird.conf", R"(
log stderr all;
router id 192.0.2.2;
protocol device { scan time 1; }
protocol static { ipv4; route 10.2.0.0/16 blackhole; route 10.9.0.0/16 blackhole; }
protocol bgp weft {
  local 192.0.2.2 as 65001; neighbor 192.0.2.1 internal; strict bind on;
  connect retry time 1; connect delay time 1; error wait time 1,2;
  ipv4 { import all; export where source = RTS_STATIC; next hop self; )" +
                                                              channel + " };\n}\n" + more + "\n");
    start({"bird", "-f", "-c", config, "-s", file("bird.ctl")}, "bird.log");
  }
  std::string bird(const std::string& prefix) const {
    return shell("birdc -s " + file("bird.ctl") + " show route " + prefix + " all");
  }

  /// 10.3.0.0/16 and the shared one.
  void start_frr(const std::string& family_lines = "") {
    const std::string config = R"(log stdout
router bgp 65001
 bgp router-id 192.0.2.3
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor 198.51.100.1 remote-as 65001
 neighbor 198.51.100.1 timers connect 1
 address-family ipv4 unicast
  network 10.3.0.0/16
  network 10.9.0.0/16
  neighbor 198.51.100.1 activate
)" + family_lines + R"( exit-address-family
)";
    start(frr_host_, hosts_->frr("zebra", "hostname b\n"), "zebra.log");
    start(frr_host_, hosts_->frr("bgpd", config), "bgpd.log");
  }
  std::string frr(const std::string& prefix) const {
    return hosts_->vtysh("show bgp ipv4 unicast " + prefix);
  }

  /// 10.4.0.0/16 and the shared one, told to gobgpd once it answers.
  void start_gobgp(const std::string& add_paths = "") {
    const std::string config = hosts_->write("gobgpd.toml", R"([global.config]
  as = 65001
  router-id = "192.0.2.4"
  local-address-list = ["192.0.2.4"]
[[neighbors]]
  [neighbors.config]
    neighbor-address = "192.0.2.1"
    peer-as = 65001
  [neighbors.transport.config]
    local-address = "192.0.2.4"
  [neighbors.timers.config]
    connect-retry = 1
    idle-hold-time-after-reset = 1
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
)" + add_paths);
    start({"gobgpd", "-f", config, "--api-hosts", "127.0.0.1:50051"}, "gobgpd.log");
  }
  std::string gobgp(const std::string& words) const {
    return shell("ip netns exec " + hosts_->b + " gobgp " + words);
  }
  bool gobgp_originates(Reflector& reflector) {
    return reflector.until([&] {
      return gobgp("global rib add 10.4.0.0/16").empty() &&
             gobgp("global rib add 10.9.0.0/16").empty();
    });
  }
  std::string logs() const { return shell("tail -n 30 " + file("*.log")); }

  std::unique_ptr<TwoHosts> hosts_;
  std::string frr_host_;
  std::unique_ptr<Inside> inside_;
  std::vector<std::unique_ptr<Process>> daemons_;
};

TEST_F(ReflectorInterop, ReflectsBetweenBirdFrrAndGobgp) {
  start_bird();
  start_frr();
  start_gobgp();
  Reflector weft(reflector());
  ASSERT_TRUE(gobgp_originates(weft)) << logs();
  ASSERT_TRUE(weft.all_established()) << weft.log << logs();

  EXPECT_TRUE(weft.hears([&] { return bird("10.3.0.0/16"); }, "BGP.originator_id: 192.0.2.3"));
  EXPECT_TRUE(weft.hears([&] { return bird("10.4.0.0/16"); }, "BGP.cluster_list: 10.255.0.1"));
  EXPECT_THAT(bird("10.3.0.0/16"), testing::HasSubstr("BGP.next_hop: 198.51.100.2"));
  EXPECT_TRUE(weft.hears([&] { return frr("10.2.0.0/16"); },
                         "Originator: 192.0.2.2, Cluster list: 10.255.0.1"))
      << frr("10.2.0.0/16");
  EXPECT_TRUE(weft.hears([&] { return frr("10.4.0.0/16"); }, "Originator: 192.0.2.4"));
  EXPECT_TRUE(weft.hears([&] { return gobgp("global rib"); }, "{Originator: 192.0.2.2}"))
      << gobgp("global rib");
  EXPECT_TRUE(weft.hears([&] { return gobgp("global rib"); }, "{Originator: 192.0.2.3}"));
  EXPECT_THAT(gobgp("global rib"), testing::HasSubstr("{ClusterList: [10.255.0.1]}"));
}

TEST_F(ReflectorInterop, OriginatesWhatDependsOnRoutesOfBirdAndFrr) {
  start_bird();
  start_frr();
  Settings settings = reflector();
  settings.peers.pop_back();  // GoBGP
  AggregateSettings aggregate;
  aggregate.what.prefix = *Prefix::parse("10.0.0.0/8");
  aggregate.summary_only = true;
  settings.aggregates = {aggregate};
  settings.peers[1].default_originate = {true, Prefix::parse("10.2.0.0/16").value()};
  AnnouncementSettings service;
  service.what.prefix = *Prefix::parse("203.0.113.7/32");
  service.when_route = *Prefix::parse("10.2.0.0/16");
  settings.announcements = {service};
  Reflector weft(settings);
  ASSERT_TRUE(weft.all_established()) << weft.log << logs();
  const auto frr_has = [&](const std::string& prefix, bool yes) {
    return weft.until([&] { return (frr(prefix).find("Paths:") != std::string::npos) == yes; });
  };

  EXPECT_TRUE(weft.hears([&] { return frr("10.0.0.0/8"); }, "aggregated by 65001 192.0.2.1"))
      << frr("10.0.0.0/8");
  EXPECT_THAT(frr("10.0.0.0/8"), testing::HasSubstr("atomic-aggregate"));
  EXPECT_TRUE(weft.hears([&] { return bird("10.0.0.0/8"); }, "BGP.aggregator: 192.0.2.1 AS65001"))
      << bird("10.0.0.0/8");
  EXPECT_TRUE(frr_has("0.0.0.0/0", true)) << frr("0.0.0.0/0");
  EXPECT_TRUE(frr_has("203.0.113.7/32", true)) << frr("203.0.113.7/32");
  EXPECT_TRUE(frr_has("10.2.0.0/16", false)) << "summary-only";
  EXPECT_EQ(bird("0.0.0.0/0").find("192.0.2.1"), std::string::npos) << "FRR alone asked for it";
  const auto contributing = [&](std::uint64_t count) {
    return weft.until([&] { return weft.speaker().aggregates().front().contributing == count; });
  };
  EXPECT_TRUE(contributing(3)) << "of BIRD, of FRR and of both";

  shell("birdc -s " + file("bird.ctl") + " disable static1");
  EXPECT_TRUE(frr_has("0.0.0.0/0", false)) << frr("0.0.0.0/0");
  EXPECT_TRUE(frr_has("203.0.113.7/32", false)) << frr("203.0.113.7/32");
  EXPECT_TRUE(frr_has("10.0.0.0/8", true)) << "FRR's own routes are inside of it, too";
  EXPECT_TRUE(contributing(2));
  shell("birdc -s " + file("bird.ctl") + " enable static1");
  EXPECT_TRUE(frr_has("0.0.0.0/0", true)) << frr("0.0.0.0/0");
  EXPECT_TRUE(frr_has("203.0.113.7/32", true)) << frr("203.0.113.7/32");
}

Settings with_add_path(AddPathSend::Paths paths) {
  Settings settings = reflector();
  for (PeerSettings& each : settings.peers) {
    each.add_path_receive = {Family::ipv4};
    each.add_path_send[Family::ipv4] = {paths, 0};
  }
  return settings;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST_F(ReflectorInterop, TellsAllPathsToBirdFrrAndGobgp) {
  start_bird("add paths on;");
  start_frr();
  start_gobgp("    [neighbors.afi-safis.add-paths.config]\n      receive = true\n");
  Reflector weft(with_add_path(AddPathSend::Paths::all));
  ASSERT_TRUE(gobgp_originates(weft)) << logs();
  ASSERT_TRUE(weft.all_established()) << weft.log << logs();
  ASSERT_TRUE(weft.until([&] { return weft.paths("10.9.0.0/16") == 3; })) << logs();

  const auto each_has = [&](std::size_t of_others) {
    return weft.until([&] {
      return count(bird("10.9.0.0/16"), "BGP.originator_id") == of_others &&
             count(frr("10.9.0.0/16"), "Originator:") == of_others &&
             count(gobgp("global rib 10.9.0.0/16"), "{Originator:") == of_others;
    });
  };
  const auto all = [&] {
    return bird("10.9.0.0/16") + frr("10.9.0.0/16") + gobgp("global rib 10.9.0.0/16");
  };
  EXPECT_TRUE(each_has(2)) << all();
  gobgp("global rib del 10.9.0.0/16");
  EXPECT_TRUE(weft.until([&] {
    return count(bird("10.9.0.0/16"), "BGP.originator_id") == 1 &&
           count(frr("10.9.0.0/16"), "Originator:") == 1 &&
           count(gobgp("global rib 10.9.0.0/16"), "{Originator:") == 2;
  })) << all();
}

/// BIRD's path is the best by its router id, then FRR's, then GoBGP's; nobody gets back its own.
TEST_F(ReflectorInterop, TellsTheBestTwoToBirdFrrAndGobgp) {
  start_bird("add paths on;");
  start_frr();
  start_gobgp("    [neighbors.afi-safis.add-paths.config]\n      receive = true\n");
  Settings settings = with_add_path(AddPathSend::Paths::best);
  for (PeerSettings& each : settings.peers) each.add_path_send[Family::ipv4].count = 2;
  Reflector weft(settings);
  ASSERT_TRUE(gobgp_originates(weft)) << logs();
  ASSERT_TRUE(weft.all_established()) << weft.log << logs();
  ASSERT_TRUE(weft.until([&] { return weft.paths("10.9.0.0/16") == 3; })) << logs();

  using Originators = std::vector<std::string>;
  const auto all = [&] {
    return std::vector{bird("10.9.0.0/16"), frr("10.9.0.0/16"), gobgp("global rib 10.9.0.0/16")};
  };
  const std::array<std::string, 3> words{"BGP.originator_id: ", "Originator: ", "{Originator: "};
  const auto each_has = [&](const std::array<Originators, 3>& wanted) {
    return weft.until([&] {
      const auto said = all();
      for (std::size_t i = 0; i < 3; ++i) {
        if (count(said[i], words[i]) != wanted[i].size()) return false;
        for (const std::string& who : wanted[i])
          if (count(said[i], words[i] + who) != 1) return false;
      }
      return true;
    });
  };
  const std::string of_bird = "192.0.2.2";
  const std::string of_frr = "192.0.2.3";
  const std::string of_gobgp = "192.0.2.4";
  EXPECT_TRUE(each_has({Originators{of_frr}, {of_bird}, {of_bird, of_frr}}))
      << testing::PrintToString(all());
  shell("birdc -s " + file("bird.ctl") + " disable static1");
  EXPECT_TRUE(each_has({Originators{of_frr, of_gobgp}, {of_gobgp}, {of_frr}}))
      << testing::PrintToString(all());
}

TEST_F(ReflectorInterop, TakesSeveralPathsFromBird) {
  start_bird("add paths on;",
             "protocol static two { ipv4 { preference 150; }; route 10.9.0.0/16 unreachable; }");
  Settings settings = with_add_path(AddPathSend::Paths::all);
  settings.peers.resize(1);
  Reflector weft(settings);
  ASSERT_TRUE(weft.all_established()) << weft.log << logs();
  EXPECT_TRUE(weft.until([&] { return weft.paths("10.9.0.0/16") == 2; })) << bird("10.9.0.0/16");
}

}  // namespace
}  // namespace weft::bgp
