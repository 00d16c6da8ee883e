// allowas-in, local-as and next-hop through the whole speaker: what a peer's UPDATE becomes.
#include <gtest/gtest.h>

#include <string>

#include "bgp/message.h"
#include "bgp/speaker.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;

constexpr Time t0{1h};

Address address(const char* text) {
  return Address::parse(text).value();
}

/// 198.51.100.0/24 by way of 192.0.2.2 along `path`.
std::vector<std::byte> update(const std::vector<std::uint32_t>& path) {
  std::vector<std::byte> bytes(16, std::byte{0xff});
  Writer out(bytes);
  out.u16(0);
  out.u8(2);
  out.u16(0);
  const auto segment = static_cast<std::uint8_t>(2 + 4 * path.size());
  out.u16(static_cast<std::uint16_t>(4 + 3 + segment + 7));
  for (const int octet : {0x40, 1, 1, 0, 0x40, 2}) out.u8(static_cast<std::uint8_t>(octet));
  out.u8(segment);
  out.u8(2);
  out.u8(static_cast<std::uint8_t>(path.size()));
  for (const std::uint32_t asn : path) out.u32(asn);
  for (const int octet : {0x40, 3, 4, 192, 0, 2, 2, 24, 198, 51, 100})
    out.u8(static_cast<std::uint8_t>(octet));
  out.patch_u16(16, static_cast<std::uint16_t>(bytes.size()));
  return bytes;
}

struct Case {
  const char* name;
  void (*configure)(PeerSettings&);
  std::vector<std::uint32_t> path;
  /// As the route is shown; empty: it is refused.
  const char* shown;
};

class AsOptions : public testing::TestWithParam<Case> {};

TEST_P(AsOptions, OfAPath) {
  Settings settings;
  settings.asn = Asn{65001};
  settings.router_id = RouterId{0xc0000201};
  PeerSettings peer;
  peer.name = "tor";
  peer.address = address("192.0.2.2");
  peer.passive = true;
  peer.import_filter = Filter::accept;
  GetParam().configure(peer);
  settings.peers = {peer};
  Speaker speaker(settings, 1, t0);
  speaker.connected({{address("192.0.2.1"), Prefix::parse("192.0.2.0/24").value(), 1}}, t0);
  const auto connection = speaker.accepted(peer.address, address("192.0.2.1"), t0);
  ASSERT_TRUE(connection);
  std::vector<std::byte> said;
  speaker.produce(*connection, said, t0);
  const auto open = next_message(said, max_message_size);
  ASSERT_TRUE(open && *open);
  EXPECT_EQ(decode_open((*open)->body())->asn, peer.local_as.value_or(Asn{65001}));

  Open theirs{Asn{65002}, 90s, RouterId{0xc0000202}, {}};
  theirs.capabilities.four_octet_as = Asn{65002};
  std::vector<std::byte> bytes;
  encode(theirs, bytes);
  encode(Keepalive{}, bytes);
  speaker.received(*connection, bytes, t0);
  speaker.received(*connection, update(GetParam().path), t0);
  const auto route = speaker.route(Prefix::parse("198.51.100.0/24").value());
  if (!route) {  // too long a loop of local-as is not even held
    EXPECT_EQ(std::string(), GetParam().shown);
    return;
  }
  ASSERT_EQ(route->paths.size(), 1U);
  const PathStatus& path = route->paths[0];
  EXPECT_EQ(path.lost_at.empty() ? path.as_path : "", GetParam().shown) << path.lost_at;
}

INSTANTIATE_TEST_SUITE_P(Paths, AsOptions,
                         testing::Values(Case{"Plain", [](PeerSettings&) {}, {65002, 7}, "65002 7"},
                                         Case{"Loop", [](PeerSettings&) {}, {65002, 65001}, ""},
                                         Case{"AllowedOnce",
                                              [](PeerSettings& p) { p.allow_own_as = 1; },
                                              {65002, 65001},
                                              "65002 65001"},
                                         Case{"TwiceIsTooOften",
                                              [](PeerSettings& p) { p.allow_own_as = 1; },
                                              {65002, 65001, 65001},
                                              ""},
                                         Case{"LocalAs",
                                              [](PeerSettings& p) { p.local_as = Asn{64999}; },
                                              {65002, 7},
                                              "64999 65002 7"},
                                         Case{"LocalAsUnseen",
                                              [](PeerSettings& p) {
                                                p.local_as = Asn{64999};
                                                p.local_as_no_prepend = true;
                                              },
                                              {65002, 7},
                                              "65002 7"},
                                         Case{"LoopOfTheLocalAs",
                                              [](PeerSettings& p) { p.local_as = Asn{64999}; },
                                              {65002, 64999},
                                              ""},
                                         Case{"LoopOfTheNodesAsBehindALocalAs",
                                              [](PeerSettings& p) { p.local_as = Asn{64999}; },
                                              {65002, 65001},
                                              ""}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace weft::bgp
