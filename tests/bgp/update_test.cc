// What an UPDATE means is told case by case in tests/conformance/update; here is what needs several
// UPDATEs, sizes, or the encoders. The tests of suite Trap are the parser bugs of other daemons
// that this decoder is built not to have.
#include "bgp/update.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bgp/message.h"
#include "tests/bgp/hex.h"

namespace weft::bgp {
namespace {

constexpr AfiSafi ipv4 = unicast(Family::ipv4);
constexpr AfiSafi ipv6 = unicast(Family::ipv6);

Inbound session() {
  Inbound inbound;
  inbound.peer_as = Asn{65001};
  inbound.negotiated.four_octet_as = true;
  inbound.negotiated.families = {{ipv4}, {ipv6}};
  return inbound;
}

const std::string origin = "400101 00";
const std::string as_path = "400206 0201 0000fde9";
const std::string next_hop = "400304 c0000201";

/// The body of an UPDATE.
std::vector<std::byte> update(const std::string& withdrawn, const std::string& attributes,
                              const std::string& nlri) {
  std::vector<std::byte> body;
  Writer out(body);
  for (const std::string& field : {withdrawn, attributes}) {
    const auto bytes = from_hex(field);
    out.u16(static_cast<std::uint16_t>(bytes.size()));
    out.bytes(bytes);
  }
  out.bytes(from_hex(nlri));
  return body;
}

std::vector<std::string> texts(std::span<const NlriRange> ranges) {
  std::vector<std::string> result;
  for (const NlriRange& range : ranges) {
    for (const Nlri& nlri : range) result.push_back(nlri.prefix.text());
  }
  return result;
}

std::vector<Nlri> hosts(std::size_t count) {
  std::vector<Nlri> result;
  for (std::uint32_t i = 0; i < count; ++i) {
    result.push_back({Prefix::host(Address::ipv4(0x0a000000 + i)), 0});
  }
  return result;
}

TEST(Decoder, KnowsEqualAttributesOfNeighbours) {
  UpdateDecoder decoder(session());
  const auto body = update("", origin + as_path + next_hop, "08 0a");
  const auto other = update("", origin + as_path + next_hop, "08 0b");
  const auto serial = decoder.decode(body)->attributes_serial();
  EXPECT_EQ(decoder.decode(other)->attributes_serial(), serial);
  const auto changed = update("", "400101 01" + as_path + next_hop, "08 0a");
  EXPECT_NE(decoder.decode(changed)->attributes_serial(), serial);
  EXPECT_EQ(decoder.decode(changed)->attributes().origin, Origin::egp);
}

/// The same bytes around an MP_REACH_NLRI wherever it stands.
TEST(Decoder, KnowsEqualAttributesAroundMultiprotocol) {
  const std::string reach = "800e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
  UpdateDecoder decoder(session());
  const auto first = update("", reach + origin + as_path, "");
  const auto middle = update("", origin + reach + as_path, "");
  const auto serial = decoder.decode(first)->attributes_serial();
  const auto again = decoder.decode(middle);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->attributes_serial(), serial);
  EXPECT_EQ(again->announcements().size(), 1U);
}

TEST(Trap, WhatWasMalformedIsNotRememberedAsGood) {
  UpdateDecoder decoder(session());
  const auto bad = update("", "400101 09" + as_path + next_hop, "08 0a");
  const auto good = update("", origin + as_path + next_hop, "08 0a");
  EXPECT_EQ(decoder.decode(good)->handling(), Handling::accept);
  for (int i = 0; i < 2; ++i) {
    const auto refused = decoder.decode(bad);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->handling(), Handling::treat_as_withdraw);
    EXPECT_TRUE(refused->announcements().empty());
  }
  EXPECT_EQ(decoder.decode(good)->handling(), Handling::accept);
}

/// The last list was fine for an UPDATE that announced nothing; it is not fine for one that does.
TEST(Trap, RememberedAttributesStillNeedTheMandatoryOnes) {
  UpdateDecoder decoder(session());
  const auto quiet = update("", as_path, "");
  const auto loud = update("", as_path, "08 0a");
  EXPECT_EQ(decoder.decode(quiet)->handling(), Handling::accept);
  EXPECT_EQ(decoder.decode(loud)->handling(), Handling::treat_as_withdraw);
}

TEST(Trap, RefusedAnnouncementIsAWithdrawal) {
  UpdateDecoder decoder(session());
  const std::string reach = "800e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
  const auto refused_body = update("08 0c", reach + as_path + next_hop, "08 0a 08 0b");
  const auto refused = decoder.decode(refused_body);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->handling(), Handling::treat_as_withdraw);
  EXPECT_TRUE(refused->announcements().empty());
  EXPECT_THAT(texts(refused->withdrawals()),
              testing::ElementsAre("12.0.0.0/8", "10.0.0.0/8", "11.0.0.0/8", "2001:db8::/32"));
}

TEST(Trap, MalformedAttributeNeverMovesTheNlri) {
  // Each attribute in turn is cut, emptied or overrun, at each place of the list: the NLRI are
  // found all the same.
  const std::vector<std::string> broken{"400101 09",
                                        "40010200 00",
                                        "400100",
                                        "400201 02",
                                        "400206 0202 0000fde9",
                                        "400303 c00002",
                                        "800401 00",
                                        "c00803 000000",
                                        "c01007 00000000000000",
                                        "c02001 00",
                                        "c02303 000000",
                                        "c11900",
                                        "40020a 0201 0000fde9 0000 0000"};
  const std::string good = origin + as_path + next_hop;
  for (const std::string& attribute : broken) {
    for (const bool last : {false, true}) {
      UpdateDecoder decoder(session());
      const auto body =
          update("", last ? good + attribute : attribute + good, "18 0a0001 18 0a0002");
      const auto decoded = decoder.decode(body);
      ASSERT_TRUE(decoded) << attribute;
      const bool refused = decoded->handling() == Handling::treat_as_withdraw;
      std::vector<NlriRange> ranges(decoded->withdrawals().begin(), decoded->withdrawals().end());
      for (const auto& each : decoded->announcements()) ranges.push_back(each.nlri);
      EXPECT_THAT(texts(ranges), testing::ElementsAre("10.0.1.0/24", "10.0.2.0/24")) << attribute;
      EXPECT_FALSE(decoded->errors().empty()) << attribute;
      EXPECT_TRUE(refused || decoded->handling() == Handling::attribute_discard) << attribute;
    }
  }
}

/// CVE-2026-37462 of another speaker: 16-bit sums that wrap.
TEST(Trap, LengthFieldsDoNotWrap) {
  for (const std::string body :
       {"ffff ffff", "0000 ffff 00", "fffc 0000", "0001 0000", "0000 0001"}) {
    const auto fields = split_update(from_hex(body));
    ASSERT_FALSE(fields) << body;
    EXPECT_EQ(fields.error().fault, Fault::MalformedAttributeList);
  }
}

TEST(Trap, EveryCutOfAnUpdateIsAnsweredNotRead) {
  const std::string reach = "800e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8";
  const auto whole = update("18 0a0001", reach + origin + as_path + next_hop, "18 0a0002");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    UpdateDecoder decoder(session());
    // A copy of its own, so that the sanitizer sees any read beyond the cut.
    const std::vector<std::byte> cut(whole.begin(),
                                     whole.begin() + static_cast<std::ptrdiff_t>(size));
    static_cast<void>(decoder.decode(cut));
  }
}

/// An attribute of 28672 octets is taken, one more ASN or community is not: policy may still add to
/// it.
TEST(Trap, AttributesAreBounded) {
  for (const std::size_t count : {max_attribute_size / 4, max_attribute_size / 4 + 1}) {
    std::string communities = fmt::format("d008{:04x}", count * 4);
    for (std::size_t i = 0; i < count; ++i) communities += fmt::format("{:08x}", i);
    UpdateDecoder decoder(session());
    const auto body =
        update("", fmt::format("{}{}{}{}", origin, as_path, next_hop, communities), "08 0a");
    const auto decoded = decoder.decode(body);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->handling(),
              count * 4 <= max_attribute_size ? Handling::accept : Handling::treat_as_withdraw);
  }
}

/// Two octets on the wire, four in memory: the bound is on what becomes of it.
TEST(Trap, TwoOctetPathIsBoundedByItsFourOctetForm) {
  for (const std::size_t segments : {28U, 29U}) {
    std::string value;
    for (std::size_t i = 0; i < segments; ++i) {
      value += "02ff";
      for (int k = 0; k < 255; ++k) value += "fde9";
    }
    Inbound two_octets = session();
    two_octets.negotiated.four_octet_as = false;
    UpdateDecoder decoder(two_octets);
    const std::string path = fmt::format("5002{:04x}", value.size() / 2) + value;
    const auto body = update("", fmt::format("{}{}{}", origin, path, next_hop), "08 0a");
    const auto decoded = decoder.decode(body);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->handling(), segments == 28 ? Handling::accept : Handling::treat_as_withdraw);
  }
}

TEST(Trap, ErrorsToldAreLimitedErrorsAnsweredAreNot) {
  std::string attributes = origin + as_path + next_hop;
  for (std::size_t i = 0; i < 2 * max_attribute_errors; ++i) attributes += "800404 00000001";
  UpdateDecoder decoder(session());
  const auto discarded_body = update("", attributes, "08 0a");
  const auto discarded = decoder.decode(discarded_body);
  EXPECT_EQ(discarded->errors().size(), max_attribute_errors);
  EXPECT_EQ(discarded->handling(), Handling::attribute_discard);
  const auto refused_body = update("", attributes + "c00801 00", "08 0a");
  const auto refused = decoder.decode(refused_body);
  EXPECT_EQ(refused->handling(), Handling::treat_as_withdraw);
}

/// RFC 4271 5: whoever sees it behind us is to know that somebody on the way did not.
TEST(Trap, WhatIsPassedOnUnreadIsMarkedPartial) {
  for (const std::string received : {"c06302 0102", "e06302 0102", "d0630002 0102"}) {
    UpdateDecoder decoder(session());
    const auto body = update("", origin + as_path + next_hop + received, "08 0a");
    const auto decoded = decoder.decode(body);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->handling(), Handling::accept);
    std::vector<std::byte> sent;
    encode_attributes(from_canonical(canonical(decoded->attributes())), true, sent);
    const auto passed_on = from_hex("e06302 0102");
    EXPECT_TRUE(std::equal(passed_on.rbegin(), passed_on.rend(), sent.rbegin())) << received;
  }
}

std::vector<std::byte> attribute_bytes(std::size_t size) {
  Attributes attributes;
  attributes.as_path = AsPath::sequence({{65001}});
  const std::size_t head = canonical(attributes).size();
  attributes.unknown = {{99, 0xe0, std::vector<std::byte>(size - head - 4)}};
  return canonical(attributes);
}

Update decoded(UpdateDecoder& decoder, Bytes message) {
  const auto frame = next_message(message, max_extended_message_size);
  EXPECT_TRUE(frame && *frame && (*frame)->size() == message.size());
  auto update = decoder.decode((*frame)->body());
  EXPECT_TRUE(update);
  return *update;
}

TEST(Announcement, TakesAsManyAsFit) {
  const auto nlri = hosts(2000);
  const auto attributes = attribute_bytes(300);
  std::vector<std::byte> out;
  std::span<const Nlri> rest(nlri);
  std::size_t messages = 0;
  UpdateDecoder decoder(session());
  while (!rest.empty()) {
    out.clear();
    const std::size_t taken = encode_announcement(ipv4, {Address::ipv4(1U << 24), {}}, attributes,
                                                  rest, session().negotiated, out);
    ASSERT_GT(taken, 0U);
    EXPECT_LE(out.size(), max_message_size);
    if (taken < rest.size()) {
      EXPECT_GT(out.size(), max_message_size - 5);
    }
    const Update update = decoded(decoder, out);
    EXPECT_EQ(update.announcements()[0].nlri.count(), taken);
    rest = rest.subspan(taken);
    ++messages;
  }
  EXPECT_EQ(messages, 3U);
}

/// Measured of another speaker: it loops for ever over what it cannot send. Cap-1, cap, cap+1.
TEST(Trap, TooBigToAnnounceIsSaidNotSent) {
  const auto nlri = hosts(1);
  const std::size_t room = max_message_size - header_size - 4 - 7 - 5;
  for (const std::size_t size : {room - 1, room, room + 1, room + 400}) {
    std::vector<std::byte> out{std::byte{1}};
    const std::size_t taken =
        encode_announcement(ipv4, {Address::ipv4(1U << 24), {}}, attribute_bytes(size), nlri,
                            session().negotiated, out);
    EXPECT_EQ(taken, size <= room ? 1U : 0U) << size;
    EXPECT_EQ(out.size(), 1 + (size <= room ? max_message_size - (room - size) : 0));
  }
}

TEST(Announcement, FillsAnExtendedMessageToTheLastOctet) {
  Negotiated extended = session().negotiated;
  extended.max_send = max_extended_message_size;
  const auto nlri = hosts(20000);
  std::vector<std::byte> out;
  const std::size_t fixed = header_size + 4 + 7;
  const std::size_t attributes = (max_extended_message_size - fixed) % 5 + 500;
  const std::size_t taken = encode_announcement(ipv4, {Address::ipv4(1U << 24), {}},
                                                attribute_bytes(attributes), nlri, extended, out);
  EXPECT_EQ(out.size(), max_extended_message_size);
  UpdateDecoder decoder(session());
  EXPECT_EQ(decoded(decoder, out).announcements()[0].nlri.count(), taken);
}

/// RFC 4271 5: ascending types, NEXT_HOP between AS_PATH and MULTI_EXIT_DISC. RFC 7606 5.1:
/// MP_REACH_NLRI first.
TEST(Announcement, IsWrittenToTheOctet) {
  Attributes attributes;
  attributes.origin = Origin::igp;
  attributes.as_path = AsPath::sequence({{65001}});
  attributes.med = 10;
  const auto bytes = canonical(attributes);
  const std::vector<Nlri> nlri{{*Prefix::parse("10.0.0.0/9"), 0}};
  std::vector<std::byte> out;
  EXPECT_EQ(encode_announcement(ipv4, {*Address::parse("192.0.2.1"), {}}, bytes, nlri,
                                session().negotiated, out),
            1U);
  EXPECT_EQ(to_hex(out), to_hex(from_hex("ffffffff ffffffff ffffffff ffffffff 0035 02 0000 001b"
                                         "400101 00 400206 02010000fde9 400304 c0000201"
                                         "800404 0000000a 09 0a00")));
  out.clear();
  const std::vector<Nlri> six{{*Prefix::parse("2001:db8::/32"), 0}};
  encode_announcement(ipv6, {*Address::parse("2001:db8::1"), *Address::parse("fe80::1")}, bytes,
                      six, session().negotiated, out);
  EXPECT_EQ(to_hex(out), to_hex(from_hex("ffffffff ffffffff ffffffff ffffffff 0059 02 0000 0042"
                                         "900e002a 0002 01 20 20010db8000000000000000000000001"
                                         "fe800000000000000000000000000001 00 20 20010db8"
                                         "400101 00 400206 02010000fde9 800404 0000000a")));
}

struct NextHopCase {
  std::string name;
  AfiSafi family;
  bool link_local_capability;
  std::string address;
  std::string link_local;
  std::size_t octets;
};
class WireNextHop : public testing::TestWithParam<NextHopCase> {};

TEST_P(WireNextHop, IsWhatThePeerReads) {
  const NextHopCase& given = GetParam();
  Inbound inbound = session();
  inbound.negotiated.families.front().extended_next_hop = true;
  inbound.negotiated.link_local_next_hop = given.link_local_capability;
  PathNextHop hop{*Address::parse(given.address), {}};
  if (!given.link_local.empty()) hop.link_local = *Address::parse(given.link_local);
  Attributes attributes;
  attributes.as_path = AsPath::sequence({{65001}});
  const std::vector<Nlri> nlri{
      {given.family == ipv4 ? *Prefix::parse("10.0.0.0/8") : *Prefix::parse("fd00::/8"), 0}};
  std::vector<std::byte> out;
  ASSERT_EQ(
      encode_announcement(given.family, hop, canonical(attributes), nlri, inbound.negotiated, out),
      1U);
  EXPECT_EQ(std::to_integer<std::size_t>(out[header_size + 4 + 4 + 3]), given.octets);
  UpdateDecoder decoder(inbound);
  EXPECT_EQ(decoded(decoder, out).announcements()[0].next_hop, hop);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc2545, WireNextHop,
    testing::Values(NextHopCase{"Global", ipv6, false, "fd00::1", "", 16},
                    NextHopCase{"Both", ipv6, false, "fd00::1", "fe80::1", 32},
                    NextHopCase{"LinkLocalTwice", ipv6, false, "fe80::1", "fe80::1", 32},
                    NextHopCase{"LinkLocalAlone", ipv6, true, "fe80::1", "fe80::1", 16},
                    NextHopCase{"Ipv4OverIpv6", ipv4, false, "fe80::1", "fe80::1", 32}),
    [](const auto& c) { return c.param.name; });

TEST(Withdrawal, TakesAsManyAsFit) {
  const auto nlri = hosts(2000);
  std::span<const Nlri> rest(nlri);
  UpdateDecoder decoder(session());
  while (!rest.empty()) {
    std::vector<std::byte> out;
    const std::size_t taken = encode_withdrawal(ipv4, rest, session().negotiated, out);
    ASSERT_GT(taken, 0U);
    EXPECT_LE(out.size(), max_message_size);
    EXPECT_EQ(decoded(decoder, out).withdrawals()[0].count(), taken);
    rest = rest.subspan(taken);
  }
}

TEST(EndOfRib, GoesThereAndBack) {
  UpdateDecoder decoder(session());
  for (const AfiSafi family : {ipv4, ipv6}) {
    std::vector<std::byte> out;
    encode_end_of_rib(family, out);
    const Update update = decoded(decoder, out);
    EXPECT_EQ(update.end_of_rib(), family);
    EXPECT_TRUE(update.withdrawals().empty());
  }
}

TEST(NlriRange, StopsAtWhatIsBroken) {
  const auto bytes = from_hex("08 0a 21 0a000000 01");
  const NlriRange range{Family::ipv4, false, bytes};
  EXPECT_EQ(range.count(), std::nullopt);
  EXPECT_THAT(texts(std::vector{range}), testing::ElementsAre("10.0.0.0/8"));
}

TEST(NlriRange, ReadsEveryLength) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    for (const bool path_ids : {false, true}) {
      std::vector<Nlri> all;
      std::vector<std::byte> bytes;
      const Address ones = family == Family::ipv4
                               ? *Address::parse("255.255.255.255")
                               : *Address::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
      for (unsigned length = 0; length <= bits(family); ++length) {
        all.push_back({Prefix(ones, length), path_ids ? 0x01020304 + length : 0});
        const std::size_t before = bytes.size();
        encode(all.back(), path_ids, bytes);
        EXPECT_EQ(bytes.size() - before, encoded_size(all.back(), path_ids));
      }
      const NlriRange range{family, path_ids, bytes};
      EXPECT_EQ(range.count(), all.size());
      std::vector<Nlri> came;
      for (const Nlri& nlri : range) came.push_back(nlri);
      EXPECT_EQ(came, all);
    }
  }
}

TEST(IsRoutable, RefusesWhatNoUnicastRouteIs) {
  for (const auto* good : {"0.0.0.0/0", "::/0", "10.0.0.0/8", "169.254.0.0/16", "192.0.2.1/32",
                           "0.0.0.0/1", "fd00::/8", "2001:db8::/32"}) {
    EXPECT_TRUE(is_routable(*Prefix::parse(good))) << good;
  }
  for (const auto* bad : {"224.0.0.0/4", "239.1.1.1/32", "240.0.0.0/4", "127.0.0.0/8", "0.0.0.0/8",
                          "0.1.0.0/16", "ff00::/8", "fe80::/64", "::1/128"}) {
    EXPECT_FALSE(is_routable(*Prefix::parse(bad))) << bad;
  }
}

}  // namespace
}  // namespace weft::bgp
