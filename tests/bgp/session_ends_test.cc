// The labels that ends of connections are counted under, each with all that leads to it.
#include "bgp/session_ends.h"

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace weft::bgp {
namespace {

using testing::ElementsAre;

TEST(SessionEnds, EveryNotificationHasItsReason) {
  const std::map<std::string, std::vector<Fault>> table{
      {"header_error",
       {Fault::HeaderUnspecific, Fault::ConnectionNotSynchronized, Fault::BadMessageLength,
        Fault::BadMessageType}},
      {"open_error",
       {Fault::OpenMalformed, Fault::UnsupportedVersion, Fault::BadBgpIdentifier,
        Fault::UnsupportedOptionalParameter, Fault::UnacceptableHoldTime}},
      {"bad_peer_as", {Fault::BadPeerAs}},
      {"unsupported_capability", {Fault::UnsupportedCapability}},
      {"role_mismatch", {Fault::RoleMismatch}},
      {"update_error",
       {Fault::UpdateUnspecific, Fault::MalformedAttributeList, Fault::InvalidNextHop,
        Fault::MalformedAsPath}},
      {"hold_timer", {Fault::HoldTimerExpired}},
      {"send_hold_timer", {Fault::SendHoldTimerExpired}},
      {"fsm_error",
       {Fault::FsmUnspecific, Fault::UnexpectedInOpenSent, Fault::UnexpectedInOpenConfirm,
        Fault::UnexpectedInEstablished}},
      {"refresh_error", {Fault::RouteRefreshUnspecific, Fault::InvalidRouteRefreshLength}},
      {"prefix_limit", {Fault::MaximumPrefixes}},
      {"shutdown", {Fault::AdministrativeShutdown}},
      {"deconfigured", {Fault::PeerDeconfigured}},
      {"reset", {Fault::AdministrativeReset}},
      {"rejected", {Fault::ConnectionRejected}},
      {"configuration_change", {Fault::OtherConfigurationChange}},
      {"collision", {Fault::ConnectionCollision}},
      {"out_of_resources", {Fault::OutOfResources}},
      {"bfd_down", {Fault::BfdDown}},
      {"cease", {Fault::Cease, fault(6, 99)}},
      {"other", {fault(9, 1), fault(0, 0), fault(255, 255)}},
  };
  for (const auto& [reason, faults] : table) {
    for (const Fault each : faults) {
      EXPECT_EQ(name(end_reason(Notification{each, {}})), reason) << text(each);
      EXPECT_EQ(name(end_reason(hard_reset(Notification{each, {}}))), reason) << text(each);
    }
  }
  EXPECT_EQ(name(end_reason(Notification{Fault::HardReset, {}})), "cease")
      << "one that says nothing";
}

TEST(SessionEnds, EveryEventHasItsReason) {
  using Because = TcpFailed::Because;
  const auto reason = [](const Event& event, const std::optional<Notification>& sent = {}) {
    return std::string(name(end_reason(event, sent)));
  };
  EXPECT_EQ(reason(TcpFailed{}), "connection_lost");
  EXPECT_EQ(reason(TcpFailed{Because::link_down}), "link_down");
  EXPECT_EQ(reason(TcpFailed{Because::restarted}), "restarted");
  EXPECT_EQ(reason(OpenCollisionDump{}), "collision");
  EXPECT_EQ(reason(OpenCollisionDump{}, Notification{Fault::ConnectionCollision, {}}), "collision");
  EXPECT_EQ(reason(Tick{}, Notification{Fault::HoldTimerExpired, {}}), "hold_timer");
  EXPECT_EQ(reason(Stop{}), "other");
  EXPECT_EQ(reason(NotificationReceived{{Fault::BadPeerAs, {}}}), "bad_peer_as") << "theirs counts";
}

TEST(SessionEnds, NoTwoReasonsShareAName) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < end_reasons; ++i) names.insert(name(static_cast<EndReason>(i)));
  EXPECT_EQ(names.size(), end_reasons);
}

TEST(SessionEnds, AreCountedByWhoAndWhat) {
  SessionEnds ends;
  EXPECT_THAT(ends.all(), ElementsAre());
  ends.count(EndReason::shutdown, true, true);
  ends.count(EndReason::shutdown, true, true);
  ends.count(EndReason::collision, false, false);
  EXPECT_THAT(ends.all(), ElementsAre(EndCount{EndReason::shutdown, true, true, 2},
                                      EndCount{EndReason::collision, false, false, 1}));
}

}  // namespace
}  // namespace weft::bgp
