// BFD Control packets (RFC 5880 4.1), and whose they are (6.8.6; RFC 5881 3 to 5; RFC 5883 4).
#include "bfd/packet.h"

#include <gmock/gmock.h>

#include "bfd/sessions.h"
#include "tests/bgp/hex.h"

namespace weft::bfd {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

struct Case {
  const char* name;
  const char* bytes;
  bool valid;
};
class Decoded : public testing::TestWithParam<Case> {};

TEST_P(Decoded, AsRfc5880Says) {
  EXPECT_EQ(decode(from_hex(GetParam().bytes)).has_value(), GetParam().valid);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc5880, Decoded,
    testing::Values(
        Case{"Down", "20 40 03 18 00000001 00000000 000f4240 000f4240 00000000", true},
        Case{"InitWithAnEchoInterval", "20 80 03 18 7d3e2a11 5bd1e995 000493e0 000493e0 0000c350",
             true},
        Case{"OctetsBehind", "20 40 03 18 00000001 00000000 000f4240 000f4240 00000000 ff", true},
        Case{"Empty", "", false},
        Case{"Short", "20 40 03 18 00000001 00000000 000f4240 000f4240 000000", false},
        Case{"Version0", "00 40 03 18 00000001 00000000 000f4240 000f4240 00000000", false},
        Case{"Version2", "40 40 03 18 00000001 00000000 000f4240 000f4240 00000000", false},
        Case{"LengthTooSmall", "20 40 03 17 00000001 00000000 000f4240 000f4240 00000000", false},
        Case{"LengthBeyondTheEnd", "20 40 03 19 00000001 00000000 000f4240 000f4240 00000000",
             false},
        Case{"MultiplierZero", "20 40 00 18 00000001 00000000 000f4240 000f4240 00000000", false},
        Case{"Multipoint", "20 41 03 18 00000001 00000000 000f4240 000f4240 00000000", false},
        Case{"MyDiscriminatorZero", "20 40 03 18 00000000 00000000 000f4240 000f4240 00000000",
             false},
        Case{"UpWithoutYours", "20 c0 03 18 00000001 00000000 000f4240 000f4240 00000000", false},
        Case{"InitWithoutYours", "20 80 03 18 00000001 00000000 000f4240 000f4240 00000000", false},
        Case{"AdminDownWithoutYours", "20 00 03 18 00000001 00000000 000f4240 000f4240 00000000",
             true},
        Case{"Authenticated", "20 44 03 1a 00000001 00000000 000f4240 000f4240 00000000 0104",
             false},
        Case{"PollAndFinal", "20 70 03 18 00000001 00000000 000f4240 000f4240 00000000", false}),
    [](const auto& c) { return c.param.name; });

TEST(Packet, ComesOutAsItWentIn) {
  Packet packet;
  packet.diagnostic = Diagnostic::neighbour_signalled_down;
  packet.state = State::up;
  packet.poll = true;
  packet.control_plane_independent = true;
  packet.multiplier = 5;
  packet.my_discriminator = 0x01020304;
  packet.your_discriminator = 0x05060708;
  packet.desired_min_tx = 10ms;
  packet.required_min_rx = 20ms;
  packet.required_min_echo_rx = 30ms;
  EXPECT_EQ(encode(packet), from_hex("23 e8 05 18 01020304 05060708 00002710 00004e20 00007530"));
  EXPECT_EQ(decode(encode(packet)), packet);
}

struct Bench {
  Bench() { sessions.want({{near, Terms{}}, {other_link, Terms{}}, {far, Terms{}}}, t0); }
  static constexpr Time t0{1h};
  const Address a = Address::parse("fe80::1").value();
  const Address b = Address::parse("fe80::2").value();
  const Path near{b, a, 2};
  const Path other_link{b, a, 3};
  const Path far{Address::parse("192.0.2.9").value(), Address::parse("192.0.2.1").value(), 0};
  Sessions sessions{1};

  std::uint64_t received(const Path& path) {
    for (const SessionStatus& status : sessions.status()) {
      if (status.path == path) return status.received;
    }
    return 999;
  }
  std::uint32_t discriminator(const Path& path) {
    for (const SessionStatus& status : sessions.status()) {
      if (status.path == path) return status.discriminator;
    }
    return 0;
  }
  void hear(const Arrival& arrival, std::uint32_t yours = 0) {
    Packet packet;
    packet.my_discriminator = 9;
    packet.your_discriminator = yours;
    packet.desired_min_tx = packet.required_min_rx = 1s;
    sessions.received(arrival, encode(packet), t0);
  }
};

TEST(Sessions, TellLinksApartOnWhichAddressesAreTheSame) {
  Bench bench;
  bench.hear({bench.b, bench.a, 3, 255, false});
  EXPECT_EQ(bench.received(bench.near), 0U);
  EXPECT_EQ(bench.received(bench.other_link), 1U);
  bench.hear({bench.b, bench.a, 2, 255, false}, bench.discriminator(bench.near));
  EXPECT_EQ(bench.received(bench.near), 1U);
  bench.hear({bench.far.remote, bench.far.local, 7, 61, true});
  EXPECT_EQ(bench.received(bench.far), 1U) << "several hops away, over any link";
  EXPECT_EQ(bench.sessions.dropped(), 0U);
}

TEST(Sessions, DropWhatIsNobodys) {
  Bench bench;
  bench.hear({bench.b, bench.a, 2, 254, false});  // was forwarded
  bench.hear({bench.b, bench.a, 2, -1, false});
  bench.hear({bench.b, bench.a, 4, 255, false});  // no such link
  bench.hear({bench.a, bench.a, 2, 255, false});  // no such neighbour
  bench.hear({bench.b, bench.a, 2, 255, true});   // to the port of multihop
  bench.hear({bench.far.remote, bench.far.local, 7, 255, false});
  bench.hear({bench.b, bench.a, 2, 255, false}, 12345);
  bench.hear({bench.b, bench.a, 3, 255, false}, bench.discriminator(bench.near));
  bench.sessions.received({bench.b, bench.a, 2, 255, false}, {}, Bench::t0);
  EXPECT_EQ(bench.sessions.dropped(), 9U);
  for (const Path& path : {bench.near, bench.other_link, bench.far})
    EXPECT_EQ(bench.received(path), 0U);
}

TEST(Sessions, ThoseThatGoSaySo) {
  Bench bench;
  bench.sessions.tick(Bench::t0);
  EXPECT_THAT(bench.sessions.take_transmissions(), SizeIs(3));
  bench.sessions.want({{bench.far, Terms{}}}, Bench::t0);
  const auto last = bench.sessions.take_transmissions();
  ASSERT_THAT(last, SizeIs(2));
  EXPECT_EQ(decode(last[0].bytes)->state, State::admin_down);
  EXPECT_THAT(bench.sessions.status(), SizeIs(1));
  EXPECT_THAT(bench.sessions.take_events(), IsEmpty());
}

TEST(Sessions, AreLimited) {
  Bench bench;
  std::map<Path, Terms> many;
  for (std::uint32_t i = 0; i < 2 * max_sessions; ++i)
    many[{Address::ipv4(0x0a000000 + i), Address::ipv4(1), 2}] = {};
  bench.sessions.want(many, Bench::t0);
  EXPECT_THAT(bench.sessions.status(), SizeIs(max_sessions));
}

}  // namespace
}  // namespace weft::bfd
