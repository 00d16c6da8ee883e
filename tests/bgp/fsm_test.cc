// RFC 4271 8.2.2: every state meets every event, and what comes of it stands in one table.
#include "bgp/fsm.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;

constexpr Time t0{1h};
constexpr Asn ours{65001};
constexpr Asn theirs{65002};

FsmSettings settings() {
  FsmSettings s;
  s.local_as = ours;
  s.local_id = RouterId{0x0a000001};
  s.remote_as = theirs;
  s.hold_time = 90s;
  s.connect_retry = 10s;
  return s;
}

TheirOpen open_of_peer() {
  return {theirs, RouterId{0x0a000002}, 60s};
}

struct Machine {
  FsmSettings with = settings();
  std::minstd_rand random{7};
  Step on(const State& state, const Event& event, Time now = t0) {
    return step(state, event, Context{now, with, random});
  }
};

/// What a step did, in one line: "OpenSent: open", "Idle: drop 4/0".
std::string told(const Step& step) {
  static constexpr std::array names{"Idle",     "Connect",     "Active",
                                    "OpenSent", "OpenConfirm", "Established"};
  std::string line = names[step.next.index()];
  const Actions& did = step.actions;
  if (did.connect) line += " connect";
  if (did.send_open) line += " open";
  if (did.send_keepalive) line += " keepalive";
  if (did.notify) {
    line += " " + std::to_string(code(did.notify->fault)) + "/" +
            std::to_string(subcode(did.notify->fault));
  }
  if (did.drop) line += " drop";
  return line;
}

SessionTimers timers() {
  return {60s, t0 + 60s, t0 + 20s};
}

struct NamedState {
  std::string name;
  State state;
};
const std::vector<NamedState>& states() {
  static const std::vector<NamedState> all{
      {"Idle", Idle{}},
      {"Connect", Connect{t0 + 10s, std::nullopt}},
      {"ConnectDelayOpen", Connect{Time::max(), t0 + 5s}},
      {"Active", Active{t0 + 10s, std::nullopt}},
      {"ActiveDelayOpen", Active{Time::max(), t0 + 5s}},
      {"OpenSent", OpenSent{t0 + 60s}},
      {"OpenConfirm", OpenConfirm{open_of_peer(), timers()}},
      {"Established", Established{open_of_peer(), timers()}},
  };
  return all;
}

struct Row {
  std::string name;
  Event event;
  Time now;
  /// One for each of states().
  std::array<const char*, 8> outcome;
};

const std::vector<Row>& rows() {
  static const char* const idle = "Idle";
  static const char* const drop = "Idle drop";
  static const std::vector<Row> all{
      {"Start",
       Start{},
       t0,
       {"Connect connect", "Connect", "Connect", "Active", "Active", "OpenSent", "OpenConfirm",
        "Established"}},
      {"Stop",
       Stop{{Fault::AdministrativeShutdown}},
       t0,
       {idle, drop, drop, drop, drop, "Idle 6/2 drop", "Idle 6/2 drop", "Idle 6/2 drop"}},
      {"TickEarly",
       Tick{},
       t0,
       {idle, "Connect", "Connect", "Active", "Active", "OpenSent", "OpenConfirm", "Established"}},
      {"TickDelayOpen",
       Tick{},
       t0 + 5s,
       {idle, "Connect", "OpenSent open", "Active", "OpenSent open", "OpenSent", "OpenConfirm",
        "Established"}},
      {"TickConnectRetry",
       Tick{},
       t0 + 10s,
       {idle, "Connect connect drop", "OpenSent open", "Connect connect drop", "OpenSent open",
        "OpenSent", "OpenConfirm", "Established"}},
      {"TickKeepalive",
       Tick{},
       t0 + 20s,
       {idle, "Connect connect drop", "OpenSent open", "Connect connect drop", "OpenSent open",
        "OpenSent", "OpenConfirm keepalive", "Established keepalive"}},
      {"TickHold",
       Tick{},
       t0 + 60s,
       {idle, "Connect connect drop", "OpenSent open", "Connect connect drop", "OpenSent open",
        "Idle 4/0 drop", "Idle 4/0 drop", "Idle 4/0 drop"}},
      {"TcpConnected",
       TcpConnected{},
       t0,
       {drop, "OpenSent open", "Connect", "OpenSent open", "Active", "OpenSent", "OpenConfirm",
        "Established"}},
      {"TcpFailed",
       TcpFailed{},
       t0,
       {idle, "Active drop", "Active drop", "Active drop", "Active drop", "Active drop", drop,
        drop}},
      {"Open",
       OpenReceived{open_of_peer()},
       t0,
       {idle, drop, "OpenConfirm open keepalive", drop, "OpenConfirm open keepalive",
        "OpenConfirm keepalive", "Idle 5/2 drop", "Idle 5/3 drop"}},
      {"OpenOfAnotherAs",
       OpenReceived{{Asn{65003}, RouterId{3}, 60s}},
       t0,
       {idle, drop, "Idle open 2/2 drop", drop, "Idle open 2/2 drop", "Idle 2/2 drop",
        "Idle 5/2 drop", "Idle 5/3 drop"}},
      {"HeaderError",
       Malformed{{Fault::ConnectionNotSynchronized}},
       t0,
       {idle, drop, drop, drop, drop, "Idle 1/1 drop", "Idle 1/1 drop", "Idle 1/1 drop"}},
      {"OpenError",
       Malformed{{Fault::UnsupportedVersion}},
       t0,
       {idle, drop, drop, drop, drop, "Idle 2/1 drop", "Idle 2/1 drop", "Idle 2/1 drop"}},
      {"UpdateError",
       Malformed{{Fault::MalformedAttributeList}},
       t0,
       {idle, drop, drop, drop, drop, "Idle 3/1 drop", "Idle 3/1 drop", "Idle 3/1 drop"}},
      {"OpenCollisionDump",
       OpenCollisionDump{},
       t0,
       {idle, drop, drop, drop, drop, "Idle 6/7 drop", "Idle 6/7 drop", "Idle 6/7 drop"}},
      {"NotificationVersion",
       NotificationReceived{{Fault::UnsupportedVersion}},
       t0,
       {idle, drop, drop, drop, drop, drop, drop, drop}},
      {"Notification",
       NotificationReceived{{Fault::Cease}},
       t0,
       {idle, drop, drop, drop, drop, drop, drop, drop}},
      {"Keepalive",
       KeepaliveReceived{},
       t0,
       {idle, drop, drop, drop, drop, "Idle 5/1 drop", "Established", "Established"}},
      {"Update",
       UpdateReceived{},
       t0,
       {idle, drop, drop, drop, drop, "Idle 5/1 drop", "Idle 5/2 drop", "Established"}},
      {"SendHold",
       SendHoldExpired{},
       t0,
       {idle, drop, drop, drop, drop, "Idle 8/0 drop", "Idle 8/0 drop", "Idle 8/0 drop"}},
  };
  return all;
}

class EveryPair : public testing::TestWithParam<std::tuple<std::size_t, std::size_t>> {};

TEST_P(EveryPair, EndsAsTheTableSays) {
  const auto [row, state] = GetParam();
  Machine machine;
  const Step step = machine.on(states()[state].state, rows()[row].event, rows()[row].now);
  EXPECT_EQ(told(step), rows()[row].outcome[state]);
}

INSTANTIATE_TEST_SUITE_P(Rfc4271, EveryPair,
                         testing::Combine(testing::Range<std::size_t>(0, 20),
                                          testing::Range<std::size_t>(0, 8)),
                         [](const auto& row) {
                           return rows()[std::get<0>(row.param)].name + "In" +
                                  states()[std::get<1>(row.param)].name;
                         });

TEST(Fsm, TheTableHasARowForEveryKindOfEvent) {
  std::array<bool, std::variant_size_v<Event>> seen{};
  for (const Row& row : rows()) seen[row.event.index()] = true;
  EXPECT_EQ(rows().size(), 20U) << "the range of EveryPair";
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_TRUE(seen[i]) << "event " << i;
}

TEST(Fsm, APassivePeerWaitsForEver) {
  Machine machine;
  machine.with.passive = true;
  const Step started = machine.on(Idle{}, Start{});
  EXPECT_EQ(told(started), "Active");
  EXPECT_EQ(deadline(started.next), Time::max());
}

TEST(Fsm, DelayOpenHoldsOurOpenBack) {
  Machine machine;
  machine.with.delay_open = 8s;
  const Step connected = machine.on(Connect{t0 + 10s, std::nullopt}, TcpConnected{});
  EXPECT_EQ(told(connected), "Connect");
  EXPECT_TRUE(has_connection(connected.next));
  EXPECT_LE(deadline(connected.next), t0 + 8s);
  EXPECT_GE(deadline(connected.next), t0 + 6s);
}

// The hold time of OpenSent is large and must not outlive the OPEN (a trap that real daemons fell
// into).
TEST(Fsm, TheSmallerHoldTimeCountsFromOpenConfirm) {
  Machine machine;
  machine.with.hold_time = 9s;
  const Step confirmed = machine.on(OpenSent{t0 + 60s}, OpenReceived{open_of_peer()});
  ASSERT_EQ(told(confirmed), "OpenConfirm keepalive");
  EXPECT_EQ(std::get<OpenConfirm>(confirmed.next).timers.hold_until, t0 + 9s);
  EXPECT_EQ(told(machine.on(confirmed.next, Tick{}, t0 + 9s)), "Idle 4/0 drop");
}

TEST(Fsm, EachMessageRestartsTheHoldTimer) {
  Machine machine;
  for (const Event& event : {Event{KeepaliveReceived{}}, Event{UpdateReceived{}}}) {
    const Step step = machine.on(Established{open_of_peer(), timers()}, event, t0 + 59s);
    EXPECT_EQ(std::get<Established>(step.next).timers.hold_until, t0 + 119s);
  }
}

TEST(Fsm, KeepalivesGoOutAtAThirdOfTheHoldTimeWithJitter) {
  Machine machine;
  State state = Established{open_of_peer(), timers()};
  Time last = t0 + 20s;
  for (int i = 0; i < 100; ++i) {
    const Step step = machine.on(state, Tick{}, last);
    ASSERT_TRUE(step.actions.send_keepalive);
    auto up = std::get<Established>(step.next);
    EXPECT_GE(up.timers.keepalive_at - last, 15s - 100ms);
    EXPECT_LE(up.timers.keepalive_at - last, 20s);
    last = up.timers.keepalive_at;
    up.timers.hold_until = last + 60s;
    state = up;
  }
}

struct HoldCase {
  std::string name;
  std::chrono::seconds ours, theirs;
  std::string outcome;
  std::chrono::seconds negotiated;
};
class HoldTime : public testing::TestWithParam<HoldCase> {};
TEST_P(HoldTime, IsTheSmallerOne) {
  Machine machine;
  machine.with.hold_time = GetParam().ours;
  TheirOpen open = open_of_peer();
  open.hold_time = GetParam().theirs;
  const Step step = machine.on(OpenSent{t0 + 60s}, OpenReceived{open});
  EXPECT_EQ(told(step), GetParam().outcome);
  if (const auto* confirm = std::get_if<OpenConfirm>(&step.next)) {
    EXPECT_EQ(confirm->timers.hold_time, GetParam().negotiated);
    EXPECT_EQ(confirm->timers.hold_until == Time::max(), GetParam().negotiated == 0s);
    EXPECT_EQ(confirm->timers.keepalive_at == Time::max(), GetParam().negotiated == 0s);
  }
}
INSTANTIATE_TEST_SUITE_P(
    Rfc4271, HoldTime,
    testing::Values(HoldCase{"Ours", 9s, 90s, "OpenConfirm keepalive", 9s},
                    HoldCase{"Theirs", 90s, 3s, "OpenConfirm keepalive", 3s},
                    HoldCase{"TheirsIsZero", 90s, 0s, "OpenConfirm keepalive", 0s},
                    HoldCase{"OursIsZero", 0s, 90s, "OpenConfirm keepalive", 0s},
                    HoldCase{"One", 90s, 1s, "Idle 2/6 drop", 0s},
                    HoldCase{"Two", 90s, 2s, "Idle 2/6 drop", 0s}),
    [](const auto& row) { return row.param.name; });

struct AsCase {
  std::string name;
  std::variant<RemoteAs, Asn> wanted;
  TheirOpen open;
  std::string outcome;
};
class RemoteAsRule : public testing::TestWithParam<AsCase> {};
TEST_P(RemoteAsRule, Holds) {
  Machine machine;
  machine.with.remote_as = GetParam().wanted;
  EXPECT_EQ(told(machine.on(OpenSent{t0 + 60s}, OpenReceived{GetParam().open})),
            GetParam().outcome);
}
INSTANTIATE_TEST_SUITE_P(
    Rfc4271, RemoteAsRule,
    testing::Values(
        AsCase{"ExternalOther",
               RemoteAs::external,
               {Asn{65002}, RouterId{2}, 9s},
               "OpenConfirm keepalive"},
        AsCase{"ExternalOwn", RemoteAs::external, {ours, RouterId{2}, 9s}, "Idle 2/2 drop"},
        AsCase{"InternalOwn", RemoteAs::internal, {ours, RouterId{2}, 9s}, "OpenConfirm keepalive"},
        AsCase{"InternalOther", RemoteAs::internal, {Asn{65002}, RouterId{2}, 9s}, "Idle 2/2 drop"},
        AsCase{
            "Listed", Asn{4200000001}, {Asn{4200000001}, RouterId{2}, 9s}, "OpenConfirm keepalive"},
        AsCase{"AsZero", RemoteAs::external, {Asn{0}, RouterId{2}, 9s}, "Idle 2/2 drop"},
        AsCase{"InternalWithOurId",
               RemoteAs::internal,
               {ours, RouterId{0x0a000001}, 9s},
               "Idle 2/3 drop"},
        AsCase{"ExternalWithOurId",
               RemoteAs::external,
               {Asn{65002}, RouterId{0x0a000001}, 9s},
               "OpenConfirm keepalive"},
        AsCase{"IdZero", RemoteAs::external, {Asn{65002}, RouterId{0}, 9s}, "Idle 2/3 drop"}),
    [](const auto& row) { return row.param.name; });

TEST(Fsm, JitterStaysWithinTheBoundsOfTheRfc) {
  std::minstd_rand random{1};
  Clock::duration low = 1h;
  Clock::duration high{0};
  for (int i = 0; i < 10000; ++i) {
    const auto value = jittered(100s, random);
    low = std::min(low, value);
    high = std::max(high, value);
  }
  EXPECT_GE(low, 75s);
  EXPECT_LT(low, 76s);
  EXPECT_LE(high, 100s);
  EXPECT_GT(high, 99s);
}

}  // namespace
}  // namespace weft::bgp
