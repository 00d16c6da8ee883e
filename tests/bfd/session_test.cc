// Two BFD sessions in virtual time over a wire that delays, loses and breaks; and one session
// against packets written by hand. RFC 5880 6.8.
#include "bfd/session.h"

#include <gmock/gmock.h>

#include <deque>
#include <random>

namespace weft::bfd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Time t0{1h};

struct End {
  End(const Terms& terms, std::uint32_t discriminator)
      : session(terms, discriminator, discriminator, t0) {}
  Session session;
  std::deque<std::pair<Time, Packet>> coming;
  std::vector<Change> changes;
  std::vector<Time> sent;
  int polls = 0;
  int finals = 0;
};

struct Wire {
  explicit Wire(const Terms& left = {}, const Terms& right = {}) : a(left, 1), b(right, 2) {}

  End a;
  End b;
  Time now = t0;
  Clock::duration delay = 1ms;
  bool a_to_b = true;
  bool b_to_a = true;

  void collect(End& from, End& to, bool works) {
    for (const Packet& packet : from.session.take_packets()) {
      from.sent.push_back(now);
      from.polls += packet.poll ? 1 : 0;
      from.finals += packet.final ? 1 : 0;
      EXPECT_FALSE(packet.poll && packet.final);
      // Over the wire as octets.
      const auto read = decode(encode(packet));
      EXPECT_EQ(read, packet);
      if (works) to.coming.emplace_back(now + delay, packet);
    }
    for (const Change& change : from.session.take_changes()) from.changes.push_back(change);
  }
  static Time arrival(const End& end) {
    return end.coming.empty() ? Time::max() : end.coming.front().first;
  }
  void run(Clock::duration span) {
    const Time end = now + span;
    collect(a, b, a_to_b);
    collect(b, a, b_to_a);
    for (;;) {
      const Time next =
          std::min({a.session.deadline(), b.session.deadline(), arrival(a), arrival(b), end});
      now = std::max(now, next);
      for (End* each : {&a, &b}) {
        while (arrival(*each) <= now) {
          each->session.received(each->coming.front().second, now);
          each->coming.pop_front();
        }
        if (each->session.deadline() <= now) each->session.tick(now);
      }
      collect(a, b, a_to_b);
      collect(b, a, b_to_a);
      if (now >= end) return;
    }
  }
};

TEST(Session, ComesUpInAboutASecondAndStays) {
  Wire wire;
  wire.run(1200ms);
  EXPECT_EQ(wire.a.session.state(), State::up);
  EXPECT_EQ(wire.b.session.state(), State::up);
  wire.run(1min);
  EXPECT_THAT(wire.a.changes, ElementsAre(Change{true}));
  EXPECT_THAT(wire.b.changes, ElementsAre(Change{true}));
  EXPECT_EQ(wire.a.session.remote_discriminator(), 2U);
}

TEST(Session, SpeaksSlowlyUntilUpAndThenAsAgreedWithJitter) {
  Wire wire({300ms, 3}, {50ms, 5});
  wire.a_to_b = wire.b_to_a = false;
  wire.run(10s);
  for (std::size_t i = 1; i < wire.a.sent.size(); ++i) {
    EXPECT_GE(wire.a.sent[i] - wire.a.sent[i - 1], 750ms);
    EXPECT_LE(wire.a.sent[i] - wire.a.sent[i - 1], 1s);
  }
  wire.a_to_b = wire.b_to_a = true;
  wire.run(10s);
  // The slower wish of the two counts, in both directions.
  EXPECT_EQ(wire.a.session.transmit_interval(), 300ms);
  EXPECT_EQ(wire.b.session.transmit_interval(), 300ms);
  EXPECT_EQ(wire.a.session.detection_time(), 5 * 300ms) << "the neighbour's multiplier";
  EXPECT_EQ(wire.b.session.detection_time(), 3 * 300ms);
  wire.a.sent.clear();
  wire.run(30s);
  for (std::size_t i = 1; i < wire.a.sent.size(); ++i) {
    EXPECT_GE(wire.a.sent[i] - wire.a.sent[i - 1], 225ms);
    EXPECT_LE(wire.a.sent[i] - wire.a.sent[i - 1], 300ms);
  }
}

TEST(Session, PollsForTheFasterTimersAndStopsWhenTheyAreConfirmed) {
  Wire wire;
  wire.run(20s);
  EXPECT_GE(wire.a.polls, 1);
  EXPECT_LE(wire.a.polls, 3);
  EXPECT_GE(wire.b.finals, 1);
}

TEST(Session, SilenceIsSeenWithinTheDetectionTime) {
  Wire wire({10ms, 3}, {10ms, 3});
  wire.run(10s);
  wire.b_to_a = false;
  const Time cut = wire.now;
  wire.run(31ms);
  EXPECT_EQ(wire.a.session.state(), State::down) << "no more than 3 x 10 ms and the delay";
  EXPECT_LE(wire.a.session.since() - cut, 31ms);
  EXPECT_EQ(wire.a.session.diagnostic(), Diagnostic::detection_time_expired);
  EXPECT_THAT(wire.a.changes, ElementsAre(Change{true}, Change{false, Loss::silence}));
  wire.run(5ms);
  // b still hears a, and hears from it that it is not heard.
  EXPECT_THAT(wire.b.changes, ElementsAre(Change{true}, Change{false, Loss::signalled}));
  EXPECT_EQ(wire.b.session.diagnostic(), Diagnostic::neighbour_signalled_down);
  EXPECT_EQ(wire.b.session.remote_diagnostic(), Diagnostic::detection_time_expired);
  wire.b_to_a = true;
  wire.run(5s);
  EXPECT_EQ(wire.a.session.state(), State::up);
  EXPECT_EQ(wire.b.session.state(), State::up);
}

TEST(Session, ALostPacketOfThreeIsNoLoss) {
  Wire wire({100ms, 3}, {100ms, 3});
  wire.run(10s);
  for (int i = 0; i < 50; ++i) {
    wire.b_to_a = false;
    wire.run(74ms);  // one packet at the most
    wire.b_to_a = true;
    wire.run(1s);
  }
  EXPECT_THAT(wire.a.changes, ElementsAre(Change{true}));
}

TEST(Session, AnOperatorsDownIsNoLossOfThePath) {
  Wire wire;
  wire.run(5s);
  wire.b.session.shutdown(wire.now);
  wire.run(100ms);
  EXPECT_EQ(wire.a.session.state(), State::down);
  EXPECT_THAT(wire.a.changes, ElementsAre(Change{true}, Change{false, Loss::administrative}));
  EXPECT_THAT(wire.b.changes, ElementsAre(Change{true}, Change{false, Loss::administrative}));
  EXPECT_EQ(wire.b.session.deadline(), Time::max());
}

TEST(Session, ChangesItsTermsWithoutALoss) {
  Wire wire({300ms, 3}, {50ms, 3});
  wire.run(5s);
  for (const Terms terms : {Terms{50ms, 3}, Terms{1000ms, 3}, Terms{20ms, 5}, Terms{300ms, 2}}) {
    wire.a.session.apply(terms, wire.now);
    wire.run(10s);
    EXPECT_EQ(wire.b.session.transmit_interval(), std::max<Clock::duration>(terms.interval, 50ms));
    EXPECT_EQ(wire.a.session.transmit_interval(), std::max<Clock::duration>(terms.interval, 50ms));
  }
  EXPECT_THAT(wire.a.changes, ElementsAre(Change{true}));
  EXPECT_THAT(wire.b.changes, ElementsAre(Change{true}));
}

TEST(Session, ARestartedNeighbourIsNoticedAtOnce) {
  Wire wire;
  wire.run(5s);
  wire.b.session = Session({}, 77, 77, wire.now);
  wire.run(5s);
  EXPECT_THAT(wire.a.changes,
              ElementsAre(Change{true}, Change{false, Loss::signalled}, Change{true}));
  EXPECT_EQ(wire.a.session.remote_discriminator(), 77U);
}

TEST(Session, ANeighbourThatWantsNoPacketsGetsNone) {
  Session session({}, 1, 1, t0);
  Packet theirs;
  theirs.my_discriminator = 9;
  theirs.desired_min_tx = 1s;
  theirs.required_min_rx = 0us;
  session.received(theirs, t0);
  session.tick(t0);
  EXPECT_THAT(session.take_packets(), IsEmpty());
  EXPECT_EQ(session.deadline(), t0 + 3s) << "the detection time only";
  theirs.poll = true;
  session.received(theirs, t0 + 1s);
  ASSERT_EQ(session.take_packets().size(), 1U) << "but an answer to a poll (RFC 5880 6.8.7)";
}

TEST(Session, HoldsThroughRandomLossBelowTheMultiplierAndEndsUpRight) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto terms = [&] {
      return Terms{std::chrono::milliseconds(10 + random() % 500),
                   static_cast<std::uint8_t>(2 + random() % 4)};
    };
    Wire wire(terms(), terms());
    for (int i = 0; i < 20; ++i) {
      wire.a_to_b = random() % 3 != 0;
      wire.b_to_a = random() % 3 != 0;
      wire.delay = std::chrono::milliseconds(random() % 20);
      wire.run(std::chrono::milliseconds(random() % 3000));
    }
    wire.a_to_b = wire.b_to_a = true;
    wire.run(20s);
    ASSERT_EQ(wire.a.session.state(), State::up) << seed;
    ASSERT_EQ(wire.b.session.state(), State::up) << seed;
    // Ups and downs take turns.
    for (const End* end : {&wire.a, &wire.b}) {
      for (std::size_t i = 0; i < end->changes.size(); ++i)
        ASSERT_EQ(end->changes[i].up, i % 2 == 0) << seed;
    }
    wire.a_to_b = wire.b_to_a = false;
    wire.run(15s);
    ASSERT_EQ(wire.a.session.state(), State::down) << seed;
    ASSERT_EQ(wire.b.session.state(), State::down) << seed;
  }
}

/// RFC 5880 6.2: our state, what the neighbour says, and what becomes of it.
struct Transition {
  State ours;
  State theirs;
  State next;
};
class Machine : public testing::TestWithParam<Transition> {};

TEST_P(Machine, AsFigureOneSays) {
  Session session({}, 1, 1, t0);
  Packet packet;
  packet.my_discriminator = 9;
  packet.your_discriminator = 1;
  packet.desired_min_tx = packet.required_min_rx = 1s;
  const auto says = [&](State state) {
    packet.state = state;
    session.received(packet, t0);
  };
  if (GetParam().ours == State::init || GetParam().ours == State::up) says(State::down);
  if (GetParam().ours == State::up) says(State::init);
  ASSERT_EQ(session.state(), GetParam().ours);
  says(GetParam().theirs);
  EXPECT_EQ(session.state(), GetParam().next);
}

INSTANTIATE_TEST_SUITE_P(Rfc5880, Machine,
                         testing::Values(Transition{State::down, State::admin_down, State::down},
                                         Transition{State::down, State::down, State::init},
                                         Transition{State::down, State::init, State::up},
                                         Transition{State::down, State::up, State::down},
                                         Transition{State::init, State::admin_down, State::down},
                                         Transition{State::init, State::down, State::init},
                                         Transition{State::init, State::init, State::up},
                                         Transition{State::init, State::up, State::up},
                                         Transition{State::up, State::admin_down, State::down},
                                         Transition{State::up, State::down, State::down},
                                         Transition{State::up, State::init, State::up},
                                         Transition{State::up, State::up, State::up}),
                         [](const auto& c) {
                           return std::string(name(c.param.ours)) + "Hears" +
                                  std::string(name(c.param.theirs));
                         });

}  // namespace
}  // namespace weft::bfd
