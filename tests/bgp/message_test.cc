#include "bgp/message.h"

#include <gtest/gtest.h>

#include "tests/bgp/hex.h"

namespace weft::bgp {
namespace {

using std::chrono::seconds;

/// The marker, and what follows it.
std::string header(std::string_view length_and_type) {
  return std::string(32, 'f') + std::string(length_and_type);
}

template <typename T>
std::vector<std::byte> encoded(const T& message) {
  std::vector<std::byte> bytes;
  encode(message, bytes);
  return bytes;
}

/// A peer that sends one octet per segment: nothing, nothing, ..., the message.
TEST(Framing, WaitsForEveryOctet) {
  const auto bytes = encoded(RouteRefresh{unicast(Family::ipv6)});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto frame = next_message(Bytes(bytes).first(size), max_message_size);
    ASSERT_TRUE(frame);
    EXPECT_FALSE(*frame) << size;
  }
  const auto frame = next_message(bytes, max_message_size);
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->size(), bytes.size());
  EXPECT_EQ((*frame)->type, MessageType::route_refresh);
}

TEST(Framing, JudgesTheHeaderBeforeTheBodyArrives) {
  const auto frame = next_message(from_hex(header("ffff 02")), max_message_size);
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error(), (Notification{Fault::BadMessageLength, from_hex("ffff")}));
}

struct Length {
  std::string name;
  std::string header;
  std::size_t max_size;
  bool good;
};
class FramingLength : public testing::TestWithParam<Length> {};

TEST_P(FramingLength, IsBoundedByTypeAndSession) {
  const auto frame = next_message(from_hex(header(GetParam().header)), GetParam().max_size);
  EXPECT_EQ(frame.has_value(), GetParam().good);
  if (!frame) {
    EXPECT_EQ(frame.error().fault, Fault::BadMessageLength);
  }
}

constexpr std::size_t plain = max_message_size;
constexpr std::size_t extended = max_extended_message_size;
INSTANTIATE_TEST_SUITE_P(CapMinusOneCapPlusOne, FramingLength,
                         testing::Values(Length{"Below", "0012 04", plain, false},
                                         Length{"Least", "0013 04", plain, true},
                                         Length{"KeepaliveBig", "0014 04", plain, false},
                                         Length{"Open28", "001c 01", plain, false},
                                         Length{"Open29", "001d 01", plain, true},
                                         Length{"Open4096", "1000 01", extended, true},
                                         Length{"Open4097", "1001 01", extended, false},
                                         Length{"Update22", "0016 02", plain, false},
                                         Length{"Update23", "0017 02", plain, true},
                                         Length{"Update4096", "1000 02", plain, true},
                                         Length{"Update4097", "1001 02", plain, false},
                                         Length{"Update4097Extended", "1001 02", extended, true},
                                         Length{"Update65535", "ffff 02", extended, true},
                                         Length{"Notification20", "0014 03", plain, false},
                                         Length{"Notification21", "0015 03", plain, true}),
                         [](const auto& c) { return c.param.name; });

struct Case {
  std::string name;
  std::string body;
  Fault fault;
};
class OpenRejected : public testing::TestWithParam<Case> {};

TEST_P(OpenRejected, WithTheRightNotification) {
  const auto open = decode_open(from_hex(GetParam().body));
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().fault, GetParam().fault);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc4271, OpenRejected,
    testing::Values(Case{"Version3", "03 fde8 005a 0a000001 00", Fault::UnsupportedVersion},
                    Case{"As0", "04 0000 005a 0a000001 00", Fault::BadPeerAs},
                    Case{"HoldTimeOne", "04 fde8 0001 0a000001 00", Fault::UnacceptableHoldTime},
                    Case{"HoldTimeTwo", "04 fde8 0002 0a000001 00", Fault::UnacceptableHoldTime},
                    Case{"Id0", "04 fde8 005a 00000000 00", Fault::BadBgpIdentifier},
                    Case{"Empty", "04", Fault::OpenMalformed},
                    Case{"NoParameters", "04 fde8 005a 0a000001", Fault::OpenMalformed},
                    Case{"TrailingBytes", "04 fde8 005a 0a000001 00 ff", Fault::OpenMalformed},
                    Case{"CapabilityOverrun", "04 fde8 005a 0a000001 04 02 02 41 04",
                         Fault::OpenMalformed},
                    Case{"Authentication", "04 fde8 005a 0a000001 02 01 00",
                         Fault::UnsupportedOptionalParameter}),
    [](const auto& c) { return c.param.name; });

Open sample() {
  Open open{Asn{4200000011}, seconds{9}, RouterId{0x0aff000b}, {}};
  open.capabilities.families = {unicast(Family::ipv4), unicast(Family::ipv6)};
  open.capabilities.four_octet_as = open.asn;
  open.capabilities.route_refresh = true;
  return open;
}

TEST(Open, IsWrittenToTheOctet) {
  EXPECT_EQ(to_hex(encoded(sample())), header("003301") + "045ba000090aff000b160214" +
                                           "010400010001" + "010400020001" + "0200" +
                                           "4104fa56ea0b");
}

/// RFC 6793 9: the fixed field cannot hold it, the capability does.
TEST(Open, FourOctetAsTravelsInTheCapability) {
  const auto bytes = encoded(sample());
  const auto open = decode_open(Bytes(bytes).subspan(header_size));
  ASSERT_TRUE(open);
  EXPECT_EQ(*open, sample());
}

/// RFC 9072: 253 octets of capabilities are plain, 254 are extended.
TEST(Open, ExtendsParametersOnlyWhenItMust) {
  for (const std::size_t size : {251U, 252U, 253U, 255U}) {
    Open open{Asn{65001}, seconds{90}, RouterId{1}, {}};
    open.capabilities.unknown.push_back({200, std::vector<std::byte>(size)});
    const auto bytes = encoded(open);
    EXPECT_EQ(bytes[header_size + 10] == std::byte{255}, size + 2 > 253) << size;
    const auto again = decode_open(Bytes(bytes).subspan(header_size));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, open);
  }
}

TEST(RouteRefresh, GoesThereAndBack) {
  using Subtype = RouteRefresh::Subtype;
  for (const Subtype subtype : {Subtype::request, Subtype::begin, Subtype::end}) {
    const RouteRefresh refresh{unicast(Family::ipv6), subtype};
    const auto bytes = encoded(refresh);
    EXPECT_EQ(bytes.size(), 23U);
    const auto again = decode_route_refresh({MessageType::route_refresh, bytes});
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, refresh);
  }
}

TEST(Notification, DataThatDoesNotFitIsCut) {
  const Notification notification{Fault::InvalidRouteRefreshLength, std::vector<std::byte>(60000)};
  const auto bytes = encoded(notification);
  EXPECT_EQ(bytes.size(), max_message_size);
  const auto frame = next_message(bytes, max_message_size);
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ(decode_notification((*frame)->body()).fault, notification.fault);
}

TEST(Message, EncodersAppend) {
  std::vector<std::byte> bytes;
  encode(Message{Keepalive{}}, bytes);
  encode(Message{Notification{Fault::HoldTimerExpired}}, bytes);
  EXPECT_EQ(to_hex(bytes), header("001304") + header("0015030400"));
}

}  // namespace
}  // namespace weft::bgp
