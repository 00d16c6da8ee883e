// BMP messages, octet by octet against the figures of RFC 7854 4, 8671 4 and 9069 4.
#include "bgp/bmp.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/bgp/hex.h"

namespace weft::bgp::bmp {
namespace {

PeerHeader ipv4_peer() {
  PeerHeader peer;
  peer.address = Address::ipv4(0xc0000201);
  peer.asn = Asn{65001};
  peer.id = RouterId{0x0a000001};
  peer.timestamp = std::chrono::microseconds{1'700'000'000'000'123};
  return peer;
}

PeerHeader loc_rib() {
  PeerHeader peer;
  peer.type = PeerType::loc_rib;
  peer.asn = Asn{65000};
  peer.id = RouterId{0x0a000009};
  return peer;
}

constexpr std::string_view address_to_timestamp =
    "000000000000000000000000 c0000201"  // Peer Address
    "0000fde9"                           // Peer AS
    "0a000001"                           // Peer BGP ID
    "6553f100 0000007b";                 // Timestamp, seconds and microseconds

std::string ipv4_header(std::string_view flags) {
  return "00" + std::string(flags) + "0000000000000000" + std::string(address_to_timestamp);
}

constexpr std::string_view loc_rib_header =
    "03 00 0000000000000000"
    "00000000000000000000000000000000"
    "0000fde8 0a000009 00000000 00000000";

struct Case {
  const char* name;
  std::function<void(std::vector<std::byte>&)> encode;
  std::string bytes;
};

class Bmp : public testing::TestWithParam<Case> {};

TEST_P(Bmp, IsOnTheWireAsTheRfcDrawsIt) {
  std::vector<std::byte> out;
  GetParam().encode(out);
  EXPECT_EQ(to_hex(out), to_hex(from_hex(GetParam().bytes)));
}

const std::vector<std::byte> open_a =
    from_hex("ffffffffffffffffffffffffffffffff 001d 01 04 fde8 005a 0a000009 00");
const std::vector<std::byte> open_b =
    from_hex("ffffffffffffffffffffffffffffffff 001d 01 04 fde9 005a 0a000001 00");
const std::vector<std::byte> update =
    from_hex("ffffffffffffffffffffffffffffffff 0017 02 0000 0000");

INSTANTIATE_TEST_SUITE_P(
    Rfc7854, Bmp,
    testing::Values(
        Case{"Initiation", [](auto& out) { encode_initiation("weft 1", "h1", out); },
             "03 00000016 04"
             "0001 0006 776566742031"
             "0002 0002 6831"},
        Case{"Termination",
             [](auto& out) { encode_termination(TerminationReason::administrative, "", out); },
             "03 0000000c 05 0001 0002 0000"},
        Case{"TerminationWithText",
             [](auto& out) { encode_termination(TerminationReason::out_of_resources, "ab", out); },
             "03 00000012 05 0000 0002 6162 0001 0002 0002"},
        Case{"PrePolicy", [](auto& out) { encode_route_monitoring(ipv4_peer(), update, out); },
             "03 00000047 00" + ipv4_header("00") + to_hex(update)},
        Case{"PostPolicy",
             [](auto& out) {
               PeerHeader peer = ipv4_peer();
               peer.post_policy = true;
               encode_route_monitoring(peer, update, out);
             },
             "03 00000047 00" + ipv4_header("40") + to_hex(update)},
        Case{"AdjRibOut",
             [](auto& out) {
               PeerHeader peer = ipv4_peer();
               peer.post_policy = peer.adj_rib_out = true;
               encode_route_monitoring(peer, update, out);
             },
             "03 00000047 00" + ipv4_header("50") + to_hex(update)},
        Case{"LocRib", [](auto& out) { encode_route_monitoring(loc_rib(), update, out); },
             "03 00000047 00" + std::string(loc_rib_header) + to_hex(update)},
        Case{"Ipv6Peer",
             [](auto& out) {
               PeerHeader peer = ipv4_peer();
               peer.address = *Address::parse("2001:db8::1");
               encode_route_monitoring(peer, update, out);
             },
             "03 00000047 00 00 80 0000000000000000 20010db8000000000000000000000001"
             "0000fde9 0a000001 6553f100 0000007b" +
                 to_hex(update)},
        Case{"LocalInstance",
             [](auto& out) {
               PeerHeader peer = ipv4_peer();
               peer.type = PeerType::local_instance;
               peer.distinguisher = 7;
               peer.address = *Address::parse("fe80::1");
               encode_route_monitoring(peer, update, out);
             },
             "03 00000047 00 02 80 0000000000000007 fe800000000000000000000000000001"
             "0000fde9 0a000001 6553f100 0000007b" +
                 to_hex(update)},
        Case{"PeerUp",
             [](auto& out) {
               encode_peer_up(ipv4_peer(), {Address::ipv4(0xc0000202), 40000, 179, open_a, open_b},
                              out);
             },
             "03 0000007e 03" + ipv4_header("00") + "000000000000000000000000 c0000202 9c40 00b3" +
                 to_hex(open_a) + to_hex(open_b)},
        Case{"PeerUpOfLocRib",
             [](auto& out) {
               encode_peer_up(loc_rib(), {{}, 0, 0, open_a, open_a}, out);
             },
             "03 00000088 03" + std::string(loc_rib_header) +
                 "00000000000000000000000000000000 0000 0000" + to_hex(open_a) + to_hex(open_a) +
                 "0003 0006 676c6f62616c"},
        Case{"PeerDownByOurNotification",
             [](auto& out) {
               encode_peer_down(ipv4_peer(), LocalNotification{{Fault::HoldTimerExpired}}, out);
             },
             "03 00000046 02" + ipv4_header("00") +
                 "01 ffffffffffffffffffffffffffffffff 0015 03 04 00"},
        Case{"PeerDownWithoutAWord",
             [](auto& out) { encode_peer_down(ipv4_peer(), LocalEnd{18}, out); },
             "03 00000033 02" + ipv4_header("00") + "02 0012"},
        Case{"PeerDownByTheirNotification",
             [](auto& out) {
               encode_peer_down(ipv4_peer(), RemoteNotification{{Fault::Cease, from_hex("0161")}},
                                out);
             },
             "03 00000048 02" + ipv4_header("00") +
                 "03 ffffffffffffffffffffffffffffffff 0017 03 06 00 0161"},
        Case{"PeerDownClosedByThem",
             [](auto& out) { encode_peer_down(ipv4_peer(), RemoteEnd{}, out); },
             "03 00000031 02" + ipv4_header("00") + "04"},
        Case{"PeerDownNotMonitored",
             [](auto& out) { encode_peer_down(ipv4_peer(), NotMonitored{}, out); },
             "03 00000031 02" + ipv4_header("00") + "05"},
        Case{"PeerDownOfLocRib", [](auto& out) { encode_peer_down(loc_rib(), LocalEnd{}, out); },
             "03 0000003b 02" + std::string(loc_rib_header) + "06 0003 0006 676c6f62616c"},
        Case{"Statistics",
             [](auto& out) {
               const std::vector<Statistic> all{
                   {Statistic::Type::adj_rib_in, 9},
                   {Statistic::Type::treated_as_withdraw, 2},
                   {Statistic::Type::adj_rib_out_family, 5, unicast(Family::ipv6)}};
               encode_statistics(ipv4_peer(), all, out);
             },
             "03 00000057 01" + ipv4_header("00") +
                 "00000003"
                 "0007 0008 0000000000000009"
                 "000b 0004 00000002"
                 "0011 000b 0002 01 0000000000000005"}),
    [](const auto& c) { return c.param.name; });

}  // namespace
}  // namespace weft::bgp::bmp
