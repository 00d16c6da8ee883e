#include "bgp/capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/bgp/hex.h"

namespace weft::bgp {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

constexpr AfiSafi ipv4 = unicast(Family::ipv4);
constexpr AfiSafi ipv6 = unicast(Family::ipv6);

Result<Capabilities, Notification> decode(std::string_view capabilities) {
  const auto bytes = from_hex(capabilities);
  std::vector<std::byte> parameters;
  Writer out(parameters);
  out.u8(static_cast<std::uint8_t>(bytes.size() + 2));
  out.u8(2);
  out.u8(static_cast<std::uint8_t>(bytes.size()));
  out.bytes(bytes);
  return decode_parameters(parameters);
}

struct Row {
  std::string name;
  std::string wire;
  Capabilities value;
};
class EachCapability : public testing::TestWithParam<Row> {};

TEST_P(EachCapability, GoesThereAndBack) {
  const auto decoded = decode(GetParam().wire);
  ASSERT_TRUE(decoded) << text(decoded.error());
  EXPECT_EQ(*decoded, GetParam().value);
  EXPECT_EQ(to_hex(encode_capabilities(GetParam().value)), to_hex(from_hex(GetParam().wire)));
}

/// Every size but the right one is malformed, whatever the TLV around it says.
TEST_P(EachCapability, OfAnotherSizeIsMalformed) {
  auto bytes = from_hex(GetParam().wire);
  bytes.push_back(std::byte{0});
  bytes[1] = static_cast<std::byte>(bytes.size() - 2);
  const auto decoded = decode(to_hex(bytes));
  if (GetParam().name == "Unknown") {
    EXPECT_TRUE(decoded);
  } else {
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().fault, Fault::OpenMalformed);
  }
}

Capabilities with(void (*set)(Capabilities&)) {
  Capabilities capabilities;
  set(capabilities);
  return capabilities;
}
using C = Capabilities;

INSTANTIATE_TEST_SUITE_P(
    Table, EachCapability,
    testing::Values(
        Row{"Multiprotocol", "01 04 00020001", with([](C& c) { c.families = {ipv6}; })},
        Row{"RouteRefresh", "02 00", with([](C& c) { c.route_refresh = true; })},
        Row{"ExtendedNextHop", "05 06 000100010002", with([](C& c) {
              c.extended_next_hops = {{ipv4, 2}};
            })},
        Row{"ExtendedMessage", "06 00", with([](C& c) { c.extended_message = true; })},
        Row{"Role", "09 01 03", with([](C& c) { c.role = Role::customer; })},
        Row{"GracefulRestart", "40 06 c078 00010180", with([](C& c) {
              c.graceful_restart = GracefulRestart{true, true, seconds{120}, {{ipv4, true}}};
            })},
        Row{"FourOctetAs", "41 04 fa56ea0b", with([](C& c) { c.four_octet_as = Asn{4200000011}; })},
        Row{"AddPath", "45 08 00010103 00020101", with([](C& c) {
              c.add_paths = {{ipv4, true, true}, {ipv6, true, false}};
            })},
        Row{"EnhancedRefresh", "46 00", with([](C& c) { c.enhanced_route_refresh = true; })},
        Row{"LongLived", "47 07 00010180 ffffff", with([](C& c) {
              c.long_lived = {{ipv4, true, seconds{0xffffff}}};
            })},
        Row{"LinkLocalNextHop", "4d 00", with([](C& c) { c.link_local_next_hop = true; })},
        Row{"Unknown", "c8 02 0102", with([](C& c) {
              c.unknown = {{200, {std::byte{1}, std::byte{2}}}};
            })}),
    [](const auto& c) { return c.param.name; });

TEST(Capabilities, UnknownOnesAreLimited) {
  std::vector<std::byte> capabilities;
  Writer out(capabilities);
  for (std::uint32_t i = 0; i < max_unknown_capabilities + 1; ++i) {
    out.u16(0xc802);
    out.u16(static_cast<std::uint16_t>(i));
  }
  std::vector<std::byte> parameters;
  Writer extended(parameters);
  extended.u16(0xffff);
  extended.u16(static_cast<std::uint16_t>(capabilities.size() + 3));
  extended.u8(2);
  extended.u16(static_cast<std::uint16_t>(capabilities.size()));
  extended.bytes(capabilities);
  const auto decoded = decode_parameters(parameters);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->unknown.size(), max_unknown_capabilities);
}

TEST(Capabilities, ListsLongerThanOneTlvAreSplit) {
  Capabilities capabilities;
  for (std::uint16_t afi = 1; afi <= 100; ++afi) {
    capabilities.add_paths.push_back({{afi, 1}, true, false});
    capabilities.extended_next_hops.push_back({{afi, 1}, 2});
    capabilities.long_lived.push_back({{afi, 1}, false, seconds{afi}});
  }
  std::vector<std::byte> parameters;
  encode_parameters(capabilities, parameters);
  const auto decoded = decode_parameters(parameters);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, capabilities);
}

TEST(Negotiate, FamiliesAreWhatBothSpeakInOurOrder) {
  Capabilities ours;
  ours.families = {ipv6, ipv4};
  Capabilities theirs;
  theirs.families = {{25, 65}, ipv4, ipv6};
  const Negotiated both = negotiate(ours, theirs);
  EXPECT_THAT(both.families, ElementsAre(NegotiatedFamily{ipv6}, NegotiatedFamily{ipv4}));
  EXPECT_FALSE(both.has({25, 65}));
}

/// RFC 4760 8.
TEST(Negotiate, SilenceMeansIpv4Unicast) {
  Capabilities ours;
  ours.families = {ipv4, ipv6};
  EXPECT_THAT(negotiate(ours, {}).families, ElementsAre(NegotiatedFamily{ipv4}));
  ours.families = {ipv6};
  EXPECT_TRUE(negotiate(ours, {}).families.empty());
}

/// RFC 7911 4: who sends and who receives must fit.
TEST(Negotiate, AddPathIsPerDirection) {
  Capabilities ours;
  ours.families = {ipv4};
  ours.add_paths = {{ipv4, true, false}};
  Capabilities theirs = ours;
  theirs.add_paths = {{ipv4, true, true}};
  const NegotiatedFamily family = negotiate(ours, theirs).families.at(0);
  EXPECT_TRUE(family.add_path_receive);
  EXPECT_FALSE(family.add_path_send);
  const NegotiatedFamily theirs_view = negotiate(theirs, ours).families.at(0);
  EXPECT_FALSE(theirs_view.add_path_receive);
  EXPECT_TRUE(theirs_view.add_path_send);
}

/// RFC 8654 4: what we announced binds what we take; what both announced, what we send.
TEST(Negotiate, ExtendedMessages) {
  Capabilities with_it;
  with_it.extended_message = true;
  EXPECT_EQ(negotiate(with_it, {}).max_receive, max_extended_message_size);
  EXPECT_EQ(negotiate(with_it, {}).max_send, max_message_size);
  EXPECT_EQ(negotiate({}, with_it).max_receive, max_message_size);
  EXPECT_EQ(negotiate(with_it, with_it).max_send, max_extended_message_size);
}

TEST(Negotiate, EverythingElseTakesBoth) {
  Capabilities all;
  all.families = {ipv4};
  all.four_octet_as = Asn{65001};
  all.route_refresh = all.enhanced_route_refresh = all.link_local_next_hop = true;
  all.extended_next_hops = {{ipv4, 2}};
  all.graceful_restart = GracefulRestart{};
  all.long_lived = {{ipv4, false, seconds{60}}};
  const auto flags = [](const Negotiated& n) {
    return std::vector<bool>{n.four_octet_as,
                             n.route_refresh,
                             n.enhanced_route_refresh,
                             n.link_local_next_hop,
                             n.graceful_restart,
                             n.long_lived_graceful_restart,
                             n.families.at(0).extended_next_hop};
  };
  EXPECT_THAT(flags(negotiate(all, all)), testing::Each(true));
  EXPECT_THAT(flags(negotiate(all, {})), testing::Each(false));
  EXPECT_THAT(flags(negotiate({}, all)), testing::Each(false));
  all.graceful_restart.reset();
  EXPECT_FALSE(negotiate(all, all).long_lived_graceful_restart) << "RFC 9494 3";
}

TEST(Roles, FitInPairs) {
  const std::vector<Role> roles{Role::provider, Role::rs_server, Role::rs_client, Role::customer,
                                Role::peer};
  std::size_t fitting = 0;
  for (const Role ours : roles) {
    for (const Role theirs : roles) {
      EXPECT_EQ(roles_fit(ours, theirs), roles_fit(theirs, ours));
      fitting += roles_fit(ours, theirs) ? 1U : 0U;
    }
  }
  EXPECT_EQ(fitting, 5U);
  EXPECT_TRUE(roles_fit(Role::customer, Role::provider));
  EXPECT_FALSE(roles_fit(static_cast<Role>(9), static_cast<Role>(9)));
}

}  // namespace
}  // namespace weft::bgp
