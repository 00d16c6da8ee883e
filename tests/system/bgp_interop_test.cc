// weft's speaker and transport against the BGP daemons operators run: BIRD and FRR of Debian 12,
// each in a namespace of its own, nothing simulated.
#include <gmock/gmock.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>

#include "bgp/message.h"
#include "bgp/speaker.h"
#include "bgp/transport.h"
#include "bgp/update.h"
#include "tests/system/two_hosts.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using system_test::Inside;
using system_test::Process;
using system_test::shell;
using system_test::TwoHosts;
using testing::HasSubstr;

Prefix prefix(const char* text) {
  return Prefix::parse(text).value();
}
Address address(const char* text) {
  return Address::parse(text).value();
}

/// A speaker with its transport, as a daemon holds them, in the namespace of the thread that makes
/// it.
class Host {
 public:
  explicit Host(const Settings& settings)
      : speaker_(settings, 1, Clock::now()),
        transport_(io_, speaker_,
                   {[this](const std::vector<RouteChange>& changes) { take(changes); },
                    [this](SyncDone done) { synced[done.family] = !done.timed_out; },
                    [this](const LogLine& line) { log += line.text + "\n"; }}) {
    const auto index = ::if_nametoindex("weft0");
    subnets = {{address("192.0.2.1"), prefix("192.0.2.0/24"), index},
               {address("fd00::1"), prefix("fd00::/64"), index}};
    speaker_.connected(subnets, Clock::now());
    const auto listening = transport_.listen();
    if (!listening) throw std::runtime_error(listening.error().message);
    transport_.poke();
  }

  /// Runs until `condition` holds; false when it does not within `limit`.
  bool until(const std::function<bool()>& condition, Clock::duration limit = 20s) {
    const Time end = Clock::now() + limit;
    while (!condition()) {
      if (Clock::now() > end) return false;
      io_.run_for(std::chrono::milliseconds{20});
      io_.restart();
    }
    return true;
  }
  void run(Clock::duration span) {
    until([] { return false; }, span);
  }
  bool established() {
    return until([&] { return state() == PeerState::established; });
  }
  PeerState state() { return status().state; }
  PeerStatus status() { return speaker_.peers().at(0); }
  Speaker& speaker() { return speaker_; }
  void originate(const char* text) {
    speaker_.originate(prefix(text), Clock::now());
    transport_.poke();
  }
  void withdraw(const char* text) {
    speaker_.withdraw(prefix(text), Clock::now());
    transport_.poke();
  }
  void poke() { transport_.poke(); }
  /// "192.0.2.2", or "" for no route.
  std::string via(const char* text) {
    const auto found = learned.find(prefix(text));
    return found == learned.end() || found->second.empty() ? "" : found->second[0].gateway.text();
  }
  bool learns(const char* text) {
    return until([&] { return !via(text).empty(); });
  }
  bool loses(const char* text) {
    return until([&] { return via(text).empty(); });
  }

  std::map<Prefix, NextHops> learned;
  std::map<Family, bool> synced;
  std::string log;
  std::vector<ConnectedSubnet> subnets;

 private:
  void take(const std::vector<RouteChange>& changes) {
    for (const RouteChange& change : changes) {
      learned.erase(change.prefix);
      if (change.kind == RouteKind::via)
        learned[change.prefix] = speaker_.next_hops(change.next_hops);
    }
  }

  boost::asio::io_context io_;
  Speaker speaker_;
  Transport transport_;
};

Settings node(std::uint32_t asn = 65001) {
  Settings settings;
  settings.asn = Asn{asn};
  settings.router_id = RouterId{0xc0000201};
  PeerSettings peer;
  peer.name = "tor";
  peer.address = address("192.0.2.2");
  peer.hold_time = 3s;
  peer.connect_retry = 1s;
  peer.import_filter = Filter::accept;
  settings.peers = {peer};
  return settings;
}

class Interop : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    hosts_ = std::make_unique<TwoHosts>();
    inside_ = std::make_unique<Inside>(hosts_->a);
  }
  void TearDown() override {
    inside_.reset();
    daemons_.clear();
    hosts_.reset();
  }

  /// BIRD in namespace b; `asn` is its own.
  void start_bird(std::uint32_t asn, const std::string& session = "neighbor 192.0.2.1 external;") {
    const std::string config = hosts_->write("bird.conf", R"(
log stderr all;
router id 192.0.2.2;
protocol device { scan time 1; }
protocol static four { ipv4; route 198.51.100.0/24 blackhole; route 203.0.113.0/25 blackhole; }
protocol static six { ipv6; route 2001:db8:1::/48 blackhole; }
protocol bgp weft {
  local 192.0.2.2 as )" + std::to_string(asn) + "; " + session +
                                                              R"(
  ttl security on;
  hold time 3; connect retry time 1; connect delay time 1; error wait time 1,2;
  ipv4 { import all; export )" + bird_export_ + R"( next hop self; };
  ipv6 { import all; export )" + bird_export_ + R"( next hop self; next hop address fd00::2; };
}
)");
    daemons_.push_back(std::make_unique<Process>(
        hosts_->b, std::vector<std::string>{"bird", "-f", "-c", config, "-s", socket()},
        file("bird.log")));
  }
  std::string birdc(const std::string& words) const {
    return shell("birdc -s " + socket() + " " + words);
  }
  [[nodiscard]] std::string socket() const { return file("bird.ctl"); }
  [[nodiscard]] std::string file(const std::string& name) const {
    return (hosts_->directory / name).string();
  }

  void start_frr(std::uint32_t asn, std::uint32_t weft_as) {
    const std::string zebra = hosts_->write("zebra.conf", "hostname b\n");
    const std::string config =
        hosts_->write("bgpd.conf", "log stdout\nrouter bgp " + std::to_string(asn) + R"(
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor 192.0.2.1 remote-as )" + std::to_string(weft_as) +
                                       R"(
 neighbor 192.0.2.1 timers 1 3
 neighbor 192.0.2.1 timers connect 1
)" + (asn == weft_as ? "" : " neighbor 192.0.2.1 ttl-security hops 1\n") +
                                       frr_neighbour_ +
                                       R"(
 address-family ipv4 unicast
  network 198.51.100.0/24
  network 203.0.113.0/25
  neighbor 192.0.2.1 activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:1::/48
  neighbor 192.0.2.1 activate
  neighbor 192.0.2.1 route-map six out
 exit-address-family
route-map six permit 10
 set ipv6 next-hop global fd00::2
)");
    const auto start = [&](const std::string& program, const std::string& with) {
      daemons_.push_back(std::make_unique<Process>(
          hosts_->b,
          std::vector<std::string>{"/usr/lib/frr/" + program, "-f", with, "-i",
                                   file(program + ".pid"), "-z", file("zserv.api"), "--vty_socket",
                                   hosts_->directory.string()},
          file(program + ".log")));
    };
    start("zebra", zebra);
    start("bgpd", config);
  }
  std::string vtysh(const std::string& command) const {
    return shell("vtysh --vty_socket " + hosts_->directory.string() + " -d bgpd -c '" + command +
                 "'");
  }

  /// The other side hears of it: polls a command of its CLI.
  static bool eventually(Host& host, const std::function<std::string()>& say,
                         const std::string& what, bool there = true) {
    return host.until([&] { return (say().find(what) != std::string::npos) == there; });
  }

  std::string bird_export_ = "where source = RTS_STATIC;";
  /// Lines of FRR's configuration about us.
  std::string frr_neighbour_;
  std::unique_ptr<TwoHosts> hosts_;
  std::unique_ptr<Inside> inside_;
  std::vector<std::unique_ptr<Process>> daemons_;
};

TEST_F(Interop, BirdExternalBothFamiliesBothWays) {
  start_bird(65002);
  Host host(node());
  host.originate("10.64.0.0/26");
  host.originate("fd64::/122");
  ASSERT_TRUE(host.established()) << host.log << birdc("show protocols all weft");
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  EXPECT_TRUE(host.learns("203.0.113.0/25"));
  EXPECT_TRUE(host.learns("2001:db8:1::/48"));
  EXPECT_EQ(host.via("198.51.100.0/24"), "192.0.2.2");
  EXPECT_EQ(host.via("2001:db8:1::/48"), "fd00::2");
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route 10.64.0.0/26 all"); }, "BGP.as_path: 65001"));
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route fd64::/122 all"); }, "BGP.next_hop: fd00::1"));
  EXPECT_TRUE(host.until([&] { return host.synced.size() == 2; }));
  EXPECT_TRUE(host.synced[Family::ipv4] && host.synced[Family::ipv6]);

  host.run(9s);  // three hold times
  EXPECT_EQ(host.state(), PeerState::established);
  EXPECT_EQ(host.status().established_count, 1U) << host.log;

  host.withdraw("10.64.0.0/26");
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route 10.64.0.0/26 all"); }, "BGP.as_path", false));
  birdc("disable four");
  EXPECT_TRUE(host.loses("198.51.100.0/24"));
  EXPECT_TRUE(host.learns("2001:db8:1::/48"));
}

TEST_F(Interop, BirdInternal) {
  start_bird(65001, "neighbor 192.0.2.1 internal;");
  Settings settings = node();
  settings.peers[0].remote_as = RemoteAs::internal;
  Host host(settings);
  host.originate("10.64.0.0/26");
  ASSERT_TRUE(host.established()) << host.log << birdc("show protocols all weft");
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  EXPECT_TRUE(host.learns("2001:db8:1::/48"));
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route 10.64.0.0/26 all"); }, "BGP.local_pref: 100"));
  EXPECT_FALSE(host.status().external);
}

/// What comes with 65002:7 is preferred and goes on with more; the rest is refused.
void use_policies(Settings& settings) {
  RuleSettings in{"marked", {}, {}, RuleVerdict::accept};
  in.match.communities = {*CommunityPattern::parse("65002:7")};
  in.match.as_paths = {"^65002$"};
  in.set.local_pref = 200;
  RuleSettings out{"own", {}, {}, RuleVerdict::accept};
  out.match.sources = {RouteOrigin::local};
  out.set.med = 33;
  out.set.prepend = 2;
  out.set.add_communities = {
      *CommunityPattern::parse("65001:9"), *CommunityPattern::parse("65001:8:7"),
      *CommunityPattern::parse("rt:65001:6"), *CommunityPattern::parse("graceful-shutdown")};
  settings.policies = {{"in", {in}}, {"out", {out}}};
  settings.peers[0].import_filter = Filter{"in"};
  settings.peers[0].export_filter = Filter{"out"};
}

TEST_F(Interop, BirdPolicyAndCommunitiesOfAllKinds) {
  bird_export_ = R"(filter {
    if source != RTS_STATIC then reject;
    if net = 198.51.100.0/24 then {
      bgp_community.add((65002,7));
      bgp_large_community.add((65002,1,2));
      bgp_ext_community.add((rt, 65002, 9));
    }
    accept;
  };)";
  start_bird(65002);
  Settings settings = node();
  use_policies(settings);
  Host host(settings);
  host.originate("10.64.0.0/26");
  ASSERT_TRUE(host.established()) << host.log << birdc("show protocols all weft");
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  const auto marked = host.speaker().route(prefix("198.51.100.0/24"))->paths.at(0);
  EXPECT_EQ(marked.local_pref, 200U);
  EXPECT_THAT(marked.communities,
              testing::UnorderedElementsAre("65002:7", "65002:1:2", "rt:65002:9"));
  EXPECT_TRUE(host.until([&] { return host.status().families[0].received == 2; }));
  EXPECT_EQ(host.via("203.0.113.0/25"), "");
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route 10.64.0.0/26 all"); },
      "BGP.as_path: 65001 65001 65001"));
  const std::string told = birdc("show route 10.64.0.0/26 all");
  EXPECT_THAT(told, HasSubstr("BGP.med: 33"));
  EXPECT_THAT(told, HasSubstr("(65001,9)"));
  EXPECT_THAT(told, HasSubstr("(65001, 8, 7)"));
  EXPECT_THAT(told, HasSubstr("(rt, 65001, 6)"));

  settings.policies[0].rules[0].match = {};
  settings.policies[1].rules[0].set = {};
  host.speaker().apply(settings, Clock::now());
  host.poke();
  EXPECT_TRUE(host.learns("203.0.113.0/25")) << "what was refused, without asking again";
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route 10.64.0.0/26 all"); }, "(65001,9)", false));
  EXPECT_EQ(host.status().established_count, 1U);
  EXPECT_EQ(host.status().sent.route_refresh, 0U);
}

TEST_F(Interop, FrrPolicyAndCommunitiesOfAllKinds) {
  start_frr(65002, 65001);
  Settings settings = node();
  use_policies(settings);
  settings.policies[0].rules[0].match.communities.clear();
  Host host(settings);
  host.originate("10.64.0.0/26");
  ASSERT_TRUE(host.established()) << host.log << shell("cat " + file("bgpd.log"));
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  EXPECT_TRUE(eventually(
      host, [&] { return vtysh("show bgp ipv4 unicast 10.64.0.0/26"); }, "65001 65001 65001"));
  const std::string told = vtysh("show bgp ipv4 unicast 10.64.0.0/26");
  EXPECT_THAT(told, HasSubstr("metric 33"));
  EXPECT_THAT(told, HasSubstr("65001:9"));
  EXPECT_THAT(told, HasSubstr("65001:8:7"));
  EXPECT_THAT(told, HasSubstr("RT:65001:6"));
}

TEST_F(Interop, BirdRolesFit) {
  start_bird(65002, "neighbor 192.0.2.1 external; local role provider; require roles;");
  Settings settings = node();
  settings.peers[0].role = Role::customer;
  settings.peers[0].role_strict = true;
  Host host(settings);
  host.originate("10.64.0.0/26");
  ASSERT_TRUE(host.established()) << host.log << birdc("show protocols all weft");
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route 10.64.0.0/26 all"); }, "BGP.as_path: 65001"));
}

TEST_F(Interop, BirdRolesDoNotFit) {
  start_bird(65002, "neighbor 192.0.2.1 external; local role customer;");
  Settings settings = node();
  settings.peers[0].role = Role::customer;
  Host host(settings);
  EXPECT_TRUE(host.until([&] {
    return host.status().last_error.find("Role Mismatch") != std::string::npos;
  })) << host.status().last_error;
  EXPECT_NE(host.state(), PeerState::established);
}

TEST_F(Interop, FrrRolesFit) {
  frr_neighbour_ = " neighbor 192.0.2.1 local-role customer strict-mode\n";
  start_frr(65002, 65001);
  Settings settings = node();
  settings.peers[0].role = Role::provider;
  settings.peers[0].role_strict = true;
  Host host(settings);
  host.originate("10.64.0.0/26");
  ASSERT_TRUE(host.established()) << host.log << shell("cat " + file("bgpd.log"));
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  // What goes to a customer is marked, and the customer sees by whom (RFC 9234 5).
  EXPECT_TRUE(eventually(
      host, [&] { return vtysh("show bgp ipv4 unicast 10.64.0.0/26"); }, "otc 65001"))
      << vtysh("show bgp ipv4 unicast 10.64.0.0/26");
}

TEST_F(Interop, BirdSendsMoreThanItsLimit) {
  start_bird(65002);
  Settings settings = node();
  settings.peers[0].prefix_limit = 1;
  settings.peers[0].prefix_limit_restart = 3600s;
  Host host(settings);
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show protocols all weft"); }, "Maximum number of prefixes"))
      << birdc("show protocols all weft") << host.log;
  EXPECT_NE(host.state(), PeerState::established);
  settings.peers[0].prefix_limit_action = PrefixLimitAction::discard;
  host.speaker().apply(settings, Clock::now());
  ASSERT_TRUE(host.speaker().start_peer("tor", Clock::now()));
  host.poke();
  ASSERT_TRUE(host.established()) << host.log;
  EXPECT_TRUE(host.until([&] { return host.status().families[0].discarded == 1; }));
  EXPECT_EQ(host.status().families[0].received, 1U);
}

TEST_F(Interop, BirdIsUsedLastWhenItAsksForIt) {
  bird_export_ = R"(filter {
    if source != RTS_STATIC then reject;
    bgp_community.add((65535,0));
    if net = 198.51.100.0/24 then bgp_community.add((65535,666));
    accept;
  };)";
  start_bird(65002);
  Settings settings = node();
  settings.peers[0].blackhole = true;
  Host host(settings);
  ASSERT_TRUE(host.learns("198.51.100.0/24")) << "no host route, so it is no blackhole";
  const auto path = host.speaker().route(prefix("198.51.100.0/24"))->paths.at(0);
  EXPECT_EQ(path.local_pref, 0U);
  EXPECT_THAT(path.communities, testing::UnorderedElementsAre("graceful-shutdown", "blackhole"));
}

TEST_F(Interop, BirdRestartsAndComesBack) {
  start_bird(65002);
  Host host(node());
  host.originate("10.64.0.0/26");
  ASSERT_TRUE(host.established()) << host.log;
  ASSERT_TRUE(host.learns("198.51.100.0/24"));
  daemons_.back()->end(SIGKILL);
  EXPECT_TRUE(host.loses("198.51.100.0/24"));
  daemons_.clear();
  start_bird(65002);
  EXPECT_TRUE(host.learns("198.51.100.0/24")) << host.log;
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route 10.64.0.0/26 all"); }, "BGP.as_path: 65001"));
}

TEST_F(Interop, BirdHearsTheReasonOfAShutdown) {
  start_bird(65002);
  Host host(node());
  ASSERT_TRUE(host.established()) << host.log;
  ASSERT_TRUE(host.speaker().shutdown_peer("tor", "moving racks", Clock::now()));
  host.poke();
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show protocols all weft"); }, "Administrative shutdown"));
  EXPECT_TRUE(eventually(
      host, [&] { return shell("cat " + file("bird.log")); }, "moving racks"));
  EXPECT_EQ(host.state(), PeerState::idle);
  ASSERT_TRUE(host.speaker().start_peer("tor", Clock::now()));
  host.poke();
  EXPECT_TRUE(host.established()) << host.log;
}

TEST_F(Interop, BirdIsToldThatItsAsIsWrong) {
  start_bird(65002);
  Settings settings = node();
  settings.peers[0].remote_as = Asn{64999};
  Host host(settings);
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show protocols all weft"); }, "Received: Bad peer AS"))
      << birdc("show protocols all weft") << host.log;
  // Other attempts may have failed since.
  EXPECT_TRUE(host.until([&] { return host.log.find("65002") != std::string::npos; })) << host.log;
  EXPECT_NE(host.state(), PeerState::established);
}

TEST_F(Interop, BirdTellsThatOurAsIsWrong) {
  start_bird(65002, "neighbor 192.0.2.1 as 64999;");
  Host host(node());
  EXPECT_TRUE(host.until([&] {
    return host.status().last_error.find("Bad Peer AS") != std::string::npos;
  })) << host.status().last_error;
  EXPECT_NE(host.state(), PeerState::established);
}

TEST_F(Interop, BirdAnswersARouteRefresh) {
  start_bird(65002);
  Host host(node());
  host.originate("10.64.0.0/26");
  ASSERT_TRUE(host.learns("198.51.100.0/24")) << host.log;
  const auto before = host.status().received.update;
  ASSERT_TRUE(host.speaker().refresh_peer("tor", Clock::now()));
  host.poke();
  EXPECT_TRUE(host.until([&] { return host.status().received.update > before; }));
  birdc("reload in weft");
  EXPECT_TRUE(host.until([&] { return host.status().received.route_refresh > 0; }));
  EXPECT_TRUE(eventually(
      host, [&] { return birdc("show route 10.64.0.0/26 all"); }, "BGP.as_path: 65001"));
  EXPECT_EQ(host.status().established_count, 1U);
}

TEST_F(Interop, FrrExternalBothFamiliesBothWays) {
  start_frr(65002, 65001);
  Host host(node());
  host.originate("10.64.0.0/26");
  host.originate("fd64::/122");
  ASSERT_TRUE(host.established()) << host.log << shell("cat " + file("bgpd.log"));
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  EXPECT_TRUE(host.learns("2001:db8:1::/48"));
  EXPECT_EQ(host.via("198.51.100.0/24"), "192.0.2.2");
  EXPECT_TRUE(eventually(
      host, [&] { return vtysh("show bgp ipv4 unicast 10.64.0.0/26"); }, "65001"));
  EXPECT_TRUE(eventually(
      host, [&] { return vtysh("show bgp ipv6 unicast fd64::/122"); }, "fd00::1"));
  EXPECT_TRUE(eventually(
      host, [&] { return vtysh("show bgp ipv6 unicast fd64::/122"); }, "best"));
  EXPECT_TRUE(host.until([&] { return host.synced.size() == 2; }));
  // Once at its start FRR may drop a session that was faster than its own nexthop tracking.
  const auto count = host.status().established_count;
  host.run(9s);
  EXPECT_EQ(host.status().established_count, count) << host.log << shell("cat " + file("bgpd.log"));
  host.withdraw("10.64.0.0/26");
  EXPECT_TRUE(eventually(
      host, [&] { return vtysh("show bgp ipv4 unicast 10.64.0.0/26"); }, "65001", false));
}

TEST_F(Interop, FrrInternal) {
  start_frr(65001, 65001);
  Settings settings = node();
  settings.peers[0].remote_as = RemoteAs::internal;
  settings.peers[0].gtsm = false;  // FRR has it for external peers only
  Host host(settings);
  host.originate("10.64.0.0/26");
  ASSERT_TRUE(host.established()) << host.log << shell("cat " + file("bgpd.log"));
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  EXPECT_TRUE(eventually(
      host, [&] { return vtysh("show bgp ipv4 unicast 10.64.0.0/26"); }, "localpref 100"));
}

/// A peer made of a socket, in namespace b.
class RawPeer {
 public:
  explicit RawPeer(const TwoHosts& hosts, int ttl = 255) {
    const Inside there(hosts.b);
    socket_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ::setsockopt(socket_.get(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(179);
    to.sin_addr.s_addr = htonl(0xc0000201);
    // Answered later, if at all: the socket does not wait.
    static_cast<void>(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to));
  }
  /// What has arrived so far, by type.
  std::map<MessageType, int> hear() {
    std::array<std::byte, 4096> buffer{};
    for (ssize_t size = 0; (size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0)) > 0;) {
      input_.insert(input_.end(), buffer.begin(), buffer.begin() + size);
    }
    for (;;) {
      const auto frame = next_message(input_, max_extended_message_size);
      if (!frame || !*frame) return heard_;
      ++heard_[(*frame)->type];
      if ((*frame)->type == MessageType::notification)
        last_words_ = decode_notification((*frame)->body());
      input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>((*frame)->size()));
    }
  }
  template <typename M>
  void say(const M& message) {
    std::vector<std::byte> bytes;
    encode(message, bytes);
    say_bytes(bytes);
  }
  void say_bytes(Bytes bytes) {
    EXPECT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  [[nodiscard]] const std::optional<Notification>& last_words() const { return last_words_; }
  /// OPEN, KEEPALIVE.
  void establish(Host& host) {
    ASSERT_TRUE(host.until([&] { return hear()[MessageType::open] == 1; })) << host.log;
    Open open{Asn{65002}, 0s, RouterId{0xc0000202}, {}};
    open.capabilities.four_octet_as = Asn{65002};
    say(open);
    say(Keepalive{});
    ASSERT_TRUE(host.established()) << host.log;
  }

 private:
  Fd socket_;
  std::vector<std::byte> input_;
  std::map<MessageType, int> heard_;
  std::optional<Notification> last_words_;
};

/// 198.51.100.0/24 by way of 192.0.2.2, with ORIGIN as given.
std::vector<std::byte> update(std::uint8_t origin) {
  std::vector<std::byte> bytes(16, std::byte{0xff});
  Writer out(bytes);
  out.u16(0);
  out.u8(2);
  out.u16(0);
  out.u16(20);
  for (const int octet :
       {0x40, 1, 1, +origin, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea, 0x40, 3, 4, 192, 0, 2, 2}) {
    out.u8(static_cast<std::uint8_t>(octet));
  }
  for (const int octet : {24, 198, 51, 100}) out.u8(static_cast<std::uint8_t>(octet));
  out.patch_u16(16, static_cast<std::uint16_t>(bytes.size()));
  return bytes;
}

TEST_F(Interop, AMalformedUpdateIsAWithdrawalAndTheSessionStays) {
  Settings settings = node();
  settings.peers[0].passive = true;
  Host host(settings);
  RawPeer raw(*hosts_);
  raw.establish(host);
  raw.say_bytes(update(0));
  ASSERT_TRUE(host.learns("198.51.100.0/24"));
  raw.say_bytes(update(9));  // no such ORIGIN (RFC 7606 7.1)
  EXPECT_TRUE(host.loses("198.51.100.0/24"));
  EXPECT_EQ(host.status().malformed_updates, 1U);
  raw.say_bytes(update(0));
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  EXPECT_EQ(host.state(), PeerState::established);
  EXPECT_THAT(host.log, HasSubstr("ORIGIN"));
}

TEST_F(Interop, NonsenseIsAnsweredBeforeTheConnectionGoes) {
  Settings settings = node();
  settings.peers[0].passive = true;
  Host host(settings);
  RawPeer raw(*hosts_);
  raw.establish(host);
  const std::vector<std::byte> nonsense(64, std::byte{0x5a});
  raw.say_bytes(nonsense);
  EXPECT_TRUE(host.until([&] { return raw.hear()[MessageType::notification] == 1; }));
  ASSERT_TRUE(raw.last_words());
  EXPECT_EQ(raw.last_words()->fault, Fault::ConnectionNotSynchronized);
}

TEST_F(Interop, APeerFromFurtherAwayDoesNotEvenConnect) {
  Settings settings = node();
  settings.peers[0].passive = true;
  Host host(settings);
  RawPeer far(*hosts_, 64);
  host.run(1500ms);
  EXPECT_EQ(host.state(), PeerState::active);
  EXPECT_TRUE(far.hear().empty());
  RawPeer near(*hosts_, 255);
  near.establish(host);
}

TEST_F(Interop, AnUnknownSourceIsRefused) {
  Settings settings = node();
  settings.peers[0].address = address("192.0.2.77");
  settings.peers[0].passive = true;
  settings.peers[0].gtsm = false;
  Host host(settings);
  RawPeer stranger(*hosts_);
  host.run(500ms);
  EXPECT_TRUE(stranger.hear().empty());
}

}  // namespace
}  // namespace weft::bgp
