#include "bgp/notification.h"

#include <gtest/gtest.h>

#include "tests/bgp/hex.h"

namespace weft::bgp {
namespace {

struct Named {
  Fault fault;
  std::string text;
};
class FaultText : public testing::TestWithParam<Named> {};

TEST_P(FaultText, IsTheRegistrysName) {
  EXPECT_EQ(text(GetParam().fault), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Iana, FaultText,
    testing::Values(
        Named{Fault::ConnectionNotSynchronized, "Message Header Error/Connection Not Synchronized"},
        Named{Fault::OpenMalformed, "OPEN Message Error"},
        Named{Fault::RoleMismatch, "OPEN Message Error/Role Mismatch"},
        Named{Fault::MalformedAsPath, "UPDATE Message Error/Malformed AS_PATH"},
        Named{Fault::HoldTimerExpired, "Hold Timer Expired"},
        Named{Fault::UnexpectedInOpenConfirm,
              "Finite State Machine Error/Receive Unexpected Message in OpenConfirm State"},
        Named{Fault::ConnectionCollision, "Cease/Connection Collision Resolution"},
        Named{Fault::InvalidRouteRefreshLength,
              "ROUTE-REFRESH Message Error/Invalid Message Length"},
        Named{Fault::SendHoldTimerExpired, "Send Hold Timer Expired"},
        Named{fault(6, 99), "Cease/99"}, Named{fault(0, 0), "0"}, Named{fault(42, 1), "42/1"}));

TEST(Fault, IsCodeAndSubcode) {
  EXPECT_EQ(code(Fault::BfdDown), 6);
  EXPECT_EQ(subcode(Fault::BfdDown), 10);
  EXPECT_EQ(fault(2, 11), Fault::RoleMismatch);
}

TEST(Cease, CarriesTheOperatorsText) {
  const Notification notification = cease(Fault::AdministrativeShutdown, "back at 10");
  EXPECT_EQ(to_hex(notification.data), "0a6261636b206174203130");
  EXPECT_EQ(shutdown_text(notification), "back at 10");
  EXPECT_EQ(text(notification), "Cease/Administrative Shutdown: \"back at 10\"");
  EXPECT_TRUE(cease(Fault::AdministrativeShutdown).data.empty());
}

/// RFC 9003 2: 255 octets, never half a character.
TEST(Cease, CutsLongTextAtACharacter) {
  EXPECT_EQ(cease(Fault::AdministrativeReset, std::string(254, 'x')).data.size(), 255U);
  EXPECT_EQ(cease(Fault::AdministrativeReset, std::string(255, 'x')).data.size(), 256U);
  EXPECT_EQ(cease(Fault::AdministrativeReset, std::string(256, 'x')).data.size(), 256U);
  const Notification cut = cease(Fault::AdministrativeReset, std::string(254, 'x') + "\u00fc");
  EXPECT_EQ(shutdown_text(cut), std::string(254, 'x'));
}

/// RFC 4486 4
TEST(Cease, NamesTheLimitThatWasPassed) {
  const auto with = [](const char* data) {
    return text(Notification{Fault::MaximumPrefixes, from_hex(data)});
  };
  const std::string name = "Cease/Maximum Number of Prefixes Reached";
  EXPECT_EQ(with("00010100000002"), name + ": the limit for ipv4 is 2");
  EXPECT_EQ(with("00020100010000"), name + ": the limit for ipv6 is 65536");
  EXPECT_EQ(with("00010200000002"), name + ": the limit for AFI 1 SAFI 2 is 2");
  EXPECT_EQ(with("000101000002"), name + ", data 000101000002") << "not of this form";
  EXPECT_EQ(text(hard_reset(Notification{Fault::MaximumPrefixes, from_hex("00010100000002")})),
            "Cease/Hard Reset (" + name + "): the limit for ipv4 is 2");
}

struct Said {
  std::string name;
  std::string data;
  std::optional<std::string> text;
};
class ShutdownText : public testing::TestWithParam<Said> {};

TEST_P(ShutdownText, IsHarmless) {
  const Notification notification{Fault::AdministrativeShutdown, from_hex(GetParam().data)};
  EXPECT_EQ(shutdown_text(notification), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc9003, ShutdownText,
    testing::Values(Said{"Nothing", "", std::nullopt}, Said{"Empty", "00", std::nullopt},
                    Said{"LengthBeyondTheData", "0361", std::nullopt},
                    Said{"OctetsAfterTheText", "016162", "a"}, Said{"Umlaut", "02c3bc", "\u00fc"},
                    Said{"FourOctets", "04f09f9982", "\U0001f642"},
                    Said{"Newline", "03610a62", "a?b"}, Said{"Escape", "041b5b324a", "?[2J"},
                    Said{"Delete", "017f", "?"}, Said{"C1Control", "02c29b", "?"},
                    Said{"RightToLeft", "03e280ae", "?"}, Said{"Overlong", "02c080", "??"},
                    Said{"Surrogate", "03eda080", "???"},
                    Said{"BeyondUnicode", "04f4908080", "????"},
                    Said{"CutSequence", "02e280", "??"}, Said{"LoneContinuation", "0180", "?"}),
    [](const auto& c) { return c.param.name; });

TEST(HardReset, WrapsAndUnwraps) {
  const Notification inner = cease(Fault::AdministrativeReset, "new code");
  const Notification outer = hard_reset(inner);
  EXPECT_EQ(outer.fault, Fault::HardReset);
  EXPECT_EQ(hard_reset_reason(outer), inner);
  EXPECT_EQ(shutdown_text(outer), "new code");
  EXPECT_EQ(hard_reset_reason(inner), std::nullopt);
  EXPECT_EQ(text(outer), "Cease/Hard Reset (Cease/Administrative Reset): \"new code\"");
}

/// Reliability: a Hard Reset inside a Hard Reset inside ... must not recurse.
TEST(HardReset, UnwrapsOneLevelOnly) {
  const Notification twice = hard_reset(hard_reset(cease(Fault::AdministrativeReset, "x")));
  EXPECT_EQ(shutdown_text(twice), std::nullopt);
}

TEST(NotificationText, IsBounded) {
  const Notification notification{Fault::UpdateUnspecific, std::vector<std::byte>(4000)};
  EXPECT_LT(text(notification).size(), 120U);
}

}  // namespace
}  // namespace weft::bgp
