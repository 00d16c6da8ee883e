// Listen ranges in virtual time: who is let in, how many, and when they are forgotten; and what a
// peer's sockets are set up with.
#include "bgp/ranges.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "bgp/message.h"
#include "bgp/peer.h"
#include "bgp/speaker.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Time t0{1h};
const Address here = Address::parse("192.0.2.1").value();

Address address(const char* text) {
  return Address::parse(text).value();
}

PeerSettings range(const char* prefix, std::uint32_t limit = 2) {
  PeerSettings peer;
  peer.range = Prefix::parse(prefix).value();
  peer.name = prefix;
  peer.range_limit = limit;
  peer.remote_as = RemoteAs::automatic;
  return peer;
}

Settings node(std::vector<PeerSettings> peers) {
  Settings settings;
  settings.asn = Asn{65001};
  settings.router_id = RouterId{0xc0000201};
  settings.peers = std::move(peers);
  return settings;
}

struct Bench {
  explicit Bench(const Settings& settings) : speaker(settings, 1, t0) {}

  Speaker speaker;
  Time now = t0;

  std::optional<ConnectionId> accept(const char* from) {
    return speaker.accepted(address(from), here, now);
  }
  /// Connects, says OPEN and KEEPALIVE.
  ConnectionId establish(const char* from, std::uint32_t asn = 65002) {
    const auto connection = accept(from);
    EXPECT_TRUE(connection);
    Open open{Asn{asn}, 90s, RouterId{address(from).v4()}, {}};
    open.capabilities.four_octet_as = Asn{asn};
    std::vector<std::byte> bytes;
    encode(open, bytes);
    encode(Keepalive{}, bytes);
    speaker.received(*connection, bytes, now);
    return *connection;
  }
  void pass(Clock::duration span) {
    const Time end = now + span;
    while (speaker.deadline() <= end) {
      now = std::max(now, speaker.deadline());
      speaker.tick(now);
      if (speaker.deadline() <= now) now += 1ms;
    }
    now = end;
  }
  std::string log() {
    std::string all;
    for (const LogLine& line : speaker.take_log()) all += line.text + "\n";
    return all;
  }
  std::string names() const {
    std::string all;
    for (const PeerStatus& peer : speaker.peers()) all += peer.name + " ";
    return all;
  }
};

TEST(Ranges, TheLongestHolds) {
  const std::vector<PeerSettings> peers{range("192.0.2.0/24"), range("192.0.2.64/26")};
  EXPECT_EQ(range_of(peers, address("192.0.2.70")), &peers[1]);
  EXPECT_EQ(range_of(peers, address("192.0.2.7")), &peers[0]);
  EXPECT_EQ(range_of(peers, address("192.0.3.7")), nullptr);
}

TEST(Ranges, APeerAppearsWithItsConnectionAndIsForgottenAfterIt) {
  Bench bench(node({range("192.0.2.0/24")}));
  EXPECT_TRUE(bench.speaker.peers().empty());
  const ConnectionId connection = bench.establish("192.0.2.7");
  ASSERT_EQ(bench.names(), "192.0.2.7 ");
  const PeerStatus up = bench.speaker.peers().at(0);
  EXPECT_EQ(up.state, PeerState::established);
  EXPECT_EQ(up.asn, Asn{65002});
  EXPECT_EQ(up.range, Prefix::parse("192.0.2.0/24").value());
  EXPECT_EQ(bench.speaker.ranges().at(0).peers, 1U);

  bench.pass(1s);
  bench.speaker.closed(connection, "closed by the peer", bench.now);
  bench.pass(range_linger - 1s);
  ASSERT_EQ(bench.names(), "192.0.2.7 ");
  EXPECT_THAT(bench.speaker.peers().at(0).last_error, HasSubstr("closed by the peer"));
  EXPECT_THAT(bench.speaker.take_forgotten(), IsEmpty());
  bench.pass(2s);
  EXPECT_EQ(bench.names(), "");
  EXPECT_THAT(bench.speaker.take_forgotten(), ElementsAre("192.0.2.7"));
  EXPECT_EQ(bench.speaker.ranges().at(0).peers, 0U);
}

TEST(Ranges, ARuleMayNameARange) {
  PeerSettings rack = range("192.0.2.0/24");
  rack.name = "rack";
  rack.import_filter = Filter{"in"};
  Settings settings = node({rack});
  RuleMatch of_rack;
  of_rack.peers = {"rack"};
  settings.policies = {{"in", {{"rack", of_rack, {}, RuleVerdict::accept}}}};
  Bench bench(settings);
  const ConnectionId connection = bench.establish("192.0.2.7");
  // 10.64.1.0/26 by AS 65002 and 192.0.2.7.
  constexpr std::string_view update =
      "\0\x30\x02\0\0\0\x14\x40\x01\x01\0\x40\x02\x06\x02\x01\0\0\xfd\xea\x40\x03\x04\xc0\0\x02\x07"
      "\x1a"
      "\x0a\x40\x01\0"sv;
  std::vector<std::byte> bytes(16, std::byte{0xff});
  for (const char each : update) bytes.push_back(static_cast<std::byte>(each));
  bench.speaker.received(connection, bytes, bench.now);
  const PeerStatus status = bench.speaker.peers().at(0);
  EXPECT_EQ(status.families[0].received, 1U);
  EXPECT_EQ(status.families[0].accepted, 1U);

  settings.peers[0].name = "row";
  settings.policies[0].rules[0].match.peers = {"row"};
  bench.speaker.apply(settings, bench.now);
  bench.speaker.tick(bench.now);
  const PeerStatus after = bench.speaker.peers().at(0);
  EXPECT_EQ(after.state, PeerState::established) << "a name is none of the peer's business";
  EXPECT_EQ(after.families[0].accepted, 1U);
}

TEST(Ranges, ALocalAddressThatIsNotItsSourceIsNoPlaceForASession) {
  PeerSettings peer;
  peer.name = "tor1";
  peer.address = address("192.0.2.7");
  peer.source = address("192.0.2.99");
  Bench bench(node({peer}));
  EXPECT_FALSE(bench.accept("192.0.2.7"));
  EXPECT_THAT(bench.log(),
              HasSubstr("peer tor1: a connection to 192.0.2.1 is refused: source is 192.0.2.99"));
  EXPECT_TRUE(bench.speaker.accepted(address("192.0.2.7"), *peer.source, bench.now));
}

TEST(Ranges, NoneIsConnectedTo) {
  Bench bench(node({range("192.0.2.0/24")}));
  bench.speaker.closed(bench.establish("192.0.2.7"), "gone", bench.now);
  bench.pass(range_linger / 2);
  for (const Action& action : bench.speaker.take_actions())
    EXPECT_FALSE(std::holds_alternative<ConnectTo>(action));
}

TEST(Ranges, AreLimitedAndTheAbsentMakeRoom) {
  Bench bench(node({range("192.0.2.0/24", 2)}));
  const ConnectionId first = bench.establish("192.0.2.7");
  bench.establish("192.0.2.8", 65003);
  EXPECT_FALSE(bench.accept("192.0.2.9"));
  EXPECT_THAT(bench.log(), HasSubstr("192.0.2.9 refused: range 192.0.2.0/24 has its 2 peers"));
  EXPECT_EQ(bench.speaker.ranges().at(0).refused, 1U);
  bench.speaker.closed(first, "gone", bench.now);
  bench.establish("192.0.2.9", 65004);
  EXPECT_EQ(bench.names(), "192.0.2.8 192.0.2.9 ");
}

TEST(Ranges, AStrangerIsRefusedInFewLines) {
  Bench bench(node({range("192.0.2.0/24")}));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(bench.accept("198.51.100.1"));
  const std::string log = bench.log();
  EXPECT_THAT(log, HasSubstr("connection from 198.51.100.1 refused: no peer has this address"));
  EXPECT_LE(std::count(log.begin(), log.end(), '\n'), 6);
  bench.pass(61s);
  EXPECT_FALSE(bench.accept("198.51.100.1"));
  EXPECT_THAT(bench.log(), HasSubstr("(994 lines held back before this)"));
}

// Each is forgotten for the next, and its own count of lines with it.
TEST(Ranges, ThoseWhoComeAndGoFillNoLog) {
  Bench bench(node({range("10.0.0.0/8"), range("192.0.2.0/24")}));
  const auto lines = [&](int from, int to) {
    std::size_t count = 0;
    std::string last;
    for (int i = from; i < to; ++i) {
      const std::string address = fmt::format("10.1.{}.{}", i / 250, i % 250);
      const auto connection = bench.accept(address.c_str());
      if (!connection) continue;
      bench.speaker.closed(*connection, "reset", bench.now);
      for (const LogLine& line : bench.speaker.take_log()) {
        ++count;
        last = line.text;
      }
    }
    return std::pair(count, last);
  };
  EXPECT_EQ(lines(0, 1000).first, range_log_limit);
  bench.establish("192.0.2.9");
  EXPECT_THAT(bench.log(), HasSubstr("peer 192.0.2.9: established")) << "of another range";
  bench.pass(1min);
  bench.log();
  EXPECT_THAT(lines(1000, 1001).second, HasSubstr("lines held back before this"));
}

TEST(Ranges, SilentConnectionsNeverShutAListedPeerOut) {
  PeerSettings listed;
  listed.name = "tor";
  listed.address = address("192.0.2.2");
  listed.passive = true;
  listed.remote_as = Asn{65002};
  Bench bench(node({listed, range("10.0.0.0/8", 4096)}));
  std::size_t let_in = 0;
  for (std::uint32_t i = 0; i < 1000; ++i)
    let_in += bench.speaker.accepted(Address::ipv4(0x0a000001 + i), here, bench.now).has_value();
  EXPECT_EQ(let_in, half_open_limit);
  bench.establish("192.0.2.2");
  EXPECT_EQ(bench.speaker.peers().at(0).state, PeerState::established);
  // The silent ones go when their time for an OPEN is over, and then are forgotten.
  bench.pass(open_wait + 2 * range_linger);
  EXPECT_EQ(bench.names(), "tor ");
}

TEST(Ranges, ChangeWithTheConfiguration) {
  Bench bench(node({range("192.0.2.0/24"), range("192.0.3.0/24")}));
  bench.establish("192.0.2.7");
  bench.establish("192.0.3.7", 65003);
  auto changed = range("192.0.2.0/24");
  changed.description = "rack 1";
  bench.speaker.apply(node({changed}), bench.now);
  ASSERT_EQ(bench.names(), "192.0.2.7 ");
  EXPECT_EQ(bench.speaker.peers().at(0).description, "rack 1");
  EXPECT_EQ(bench.speaker.peers().at(0).state, PeerState::established);

  // Listed by now: another peer under the same address.
  PeerSettings listed;
  listed.name = "seven";
  listed.address = address("192.0.2.7");
  bench.speaker.apply(node({changed, listed}), bench.now);
  EXPECT_EQ(bench.names(), "seven ");
}

TEST(Ranges, ARangeThatIsShutDownLetsNobodyIn) {
  auto down = range("192.0.2.0/24");
  down.shutdown = true;
  Bench bench(node({down}));
  EXPECT_FALSE(bench.accept("192.0.2.7"));
}

struct SetupCase {
  const char* name;
  std::uint8_t multihop;
  std::optional<bool> gtsm;
  int ttl;
  int least_ttl;
};
class SetupOf : public testing::TestWithParam<SetupCase> {};

TEST_P(SetupOf, Ttl) {
  PeerSettings peer;
  peer.multihop = GetParam().multihop;
  peer.gtsm = GetParam().gtsm;
  EXPECT_EQ(setup_of(peer).ttl, GetParam().ttl);
  EXPECT_EQ(setup_of(peer).least_ttl, GetParam().least_ttl);
}

INSTANTIATE_TEST_SUITE_P(Rfc5082, SetupOf,
                         testing::Values(SetupCase{"Default", 1, {}, 255, 255},
                                         SetupCase{"Off", 1, false, 255, 0},
                                         SetupCase{"ThreeHops", 3, {}, 3, 0},
                                         SetupCase{"ThreeHopsOff", 3, false, 3, 0},
                                         SetupCase{"ThreeHopsOn", 3, true, 255, 253},
                                         SetupCase{"AnyOn", 255, true, 255, 1}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace weft::bgp
