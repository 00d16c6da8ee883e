// Router advertisements in virtual time: what is valid, who is heard, when we speak.
#include "bgp/router_discovery.h"

#include <gmock/gmock.h>

#include "tests/bgp/hex.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Send = RouterDiscovery::Send;

constexpr Time t0{1h};
const Address router = Address::parse("fe80::1").value();

struct Case {
  const char* name;
  const char* bytes;
  std::optional<RouterMessage> message;
};
class Decoded : public testing::TestWithParam<Case> {};

TEST_P(Decoded, AsRfc4861Says) {
  EXPECT_EQ(decode_router_message(from_hex(GetParam().bytes)), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc4861, Decoded,
    testing::Values(
        Case{"Advertisement", "86 00 1234 40 00 0000 00000000 00000000",
             RouterMessage::advertisement},
        // A lifetime, and the source link-layer address option, as routers of other makes send.
        Case{"WithAnOption", "86 00 1234 40 00 001e 00000000 00000000  01 01 0200 0000 0002",
             RouterMessage::advertisement},
        Case{"Solicitation", "85 00 0000 00000000", RouterMessage::solicitation},
        Case{"Empty", "", {}}, Case{"NeighbourSolicitation", "87 00 0000 00000000", {}},
        Case{"CodeOne", "86 01 1234 40 00 0000 00000000 00000000", {}},
        Case{"TooShort", "86 00 1234 40 00 0000 00000000 000000", {}},
        Case{"OptionOfLengthZero",
             "86 00 1234 40 00 0000 00000000 00000000  01 00 0200 0000 0002",
             {}},
        Case{"OptionBeyondTheEnd",
             "86 00 1234 40 00 0000 00000000 00000000  01 02 0200 0000 0002",
             {}},
        Case{"HalfAnOption", "86 00 1234 40 00 0000 00000000 00000000  01", {}}),
    [](const auto& c) { return c.param.name; });

TEST(RouterDiscovery, NobodyTakesUsForADefaultRouter) {
  const auto bytes = encode_router_message(RouterMessage::advertisement);
  EXPECT_EQ(decode_router_message(bytes), RouterMessage::advertisement);
  EXPECT_EQ(Reader(Bytes(bytes).subspan(6)).u16(), 0);  // Router Lifetime
}

struct Bench {
  RouterDiscovery core{7};
  Time now = t0;

  std::vector<std::string> due() {
    std::vector<std::string> texts;
    for (const Send& send : core.due(now)) {
      texts.push_back((send.message == RouterMessage::advertisement ? "advertise " : "solicit ") +
                      std::to_string(send.ifindex));
    }
    return texts;
  }
  std::optional<Address> hears(RouterMessage message, std::uint32_t ifindex = 2, int hops = 255,
                               const Address& from = router) {
    return core.heard(ifindex, from, hops, encode_router_message(message), now);
  }
  Clock::duration wait() const { return core.deadline() - now; }
};

TEST(RouterDiscovery, BeginsALinkWithThreeAndGoesOnEveryTenSeconds) {
  Bench bench;
  EXPECT_EQ(bench.core.deadline(), Time::max());
  bench.core.links({2}, bench.now);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(bench.due(), ElementsAre("solicit 2", "advertise 2")) << i;
    EXPECT_THAT(bench.due(), IsEmpty());
    if (i == 2) break;
    EXPECT_EQ(bench.wait(), 1s);
    bench.now += 1s;
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_GE(bench.wait(), 7500ms);
    EXPECT_LE(bench.wait(), 10s);
    bench.now = bench.core.deadline();
    EXPECT_THAT(bench.due(), ElementsAre("advertise 2"));
  }
}

TEST(RouterDiscovery, SolicitsNoMoreOnceARouterAnswers) {
  Bench bench;
  bench.core.links({2}, bench.now);
  bench.due();
  EXPECT_EQ(bench.hears(RouterMessage::advertisement), router);
  bench.now += 1s;
  EXPECT_THAT(bench.due(), ElementsAre("advertise 2"));
}

TEST(RouterDiscovery, AnswersSolicitationsButNotAFlood) {
  Bench bench;
  bench.core.links({2, 3}, bench.now);
  for (int i = 0; i < 3; ++i) {
    bench.due();
    bench.now += 1s;
  }
  EXPECT_EQ(bench.hears(RouterMessage::solicitation), std::nullopt);
  EXPECT_THAT(bench.due(), ElementsAre("advertise 2"));
  for (int i = 0; i < 1000; ++i) static_cast<void>(bench.hears(RouterMessage::solicitation));
  EXPECT_THAT(bench.due(), IsEmpty());
  EXPECT_EQ(bench.wait(), 500ms);
}

TEST(RouterDiscovery, HearsOnlyWhatStandsOnTheLinkItself) {
  Bench bench;
  bench.core.links({2}, bench.now);
  EXPECT_EQ(bench.hears(RouterMessage::advertisement, 2, 254), std::nullopt) << "was forwarded";
  EXPECT_EQ(bench.hears(RouterMessage::advertisement, 2, -1), std::nullopt);
  EXPECT_EQ(bench.hears(RouterMessage::advertisement, 3), std::nullopt) << "no link of ours";
  EXPECT_EQ(bench.hears(RouterMessage::advertisement, 2, 255, Address::parse("fd00::1").value()),
            std::nullopt)
      << "RFC 4861 6.1.2: from a link-local address";
  EXPECT_EQ(bench.hears(RouterMessage::advertisement), router);
}

TEST(RouterDiscovery, ALinkThatCameBackBeginsAgain) {
  Bench bench;
  bench.core.links({2, 3}, bench.now);
  for (int i = 0; i < 5; ++i) {
    bench.due();
    bench.now += 1s;
  }
  bench.core.links({3}, bench.now);
  EXPECT_THAT(bench.due(), IsEmpty());
  bench.core.links({2, 3}, bench.now);
  EXPECT_THAT(bench.due(), ElementsAre("solicit 2", "advertise 2"));
}

}  // namespace
}  // namespace weft::bgp
