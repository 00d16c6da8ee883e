// One peer in virtual time; the other end is written out by hand, message by message.
#include "bgp/peer.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/bgp/hex.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;

constexpr Time t0{1h};
constexpr Asn our_as{65001};
constexpr Asn their_as{65002};
constexpr RouterId our_id{0x0a000005};
const Address here = Address::ipv4(0xc0000201);
const Address there = Address::ipv4(0xc0000202);

PeerSettings settings() {
  PeerSettings s;
  s.name = "tor1";
  s.address = there;
  s.remote_as = their_as;
  s.connect_retry = 8s;
  return s;
}

struct Bench {
  explicit Bench(const PeerSettings& with = settings(), RouterId id = our_id)
      : peer(with, our_as, id, 1, 7, out, t0) {}

  Outbox out;
  Time now = t0;
  Peer peer;

  template <typename Order>
  std::vector<Order> take() {
    std::vector<Order> found;
    std::vector<Action> rest;
    for (Action& action : out.actions) {
      if (auto* order = std::get_if<Order>(&action)) {
        found.push_back(std::move(*order));
      } else {
        rest.push_back(std::move(action));
      }
    }
    out.actions = std::move(rest);
    return found;
  }
  void advance(Clock::duration by) {
    const Time end = now + by;
    while (peer.deadline() <= end) {
      now = std::max(now, peer.deadline());
      peer.tick(now);
    }
    now = end;
  }
  /// Connects out; the OPEN waits.
  ConnectionId connect() {
    peer.tick(now);
    const auto orders = take<ConnectTo>();
    EXPECT_EQ(orders.size(), 1U);
    if (orders.empty()) return {};
    peer.opened(orders[0].connection, here, now);
    return orders[0].connection;
  }
  /// The next time it connects by itself.
  ConnectionId call() {
    for (int second = 0; second < 3600; ++second) {
      advance(1s);
      const auto calls = take<ConnectTo>();
      if (!calls.empty()) return calls.back().connection;
    }
    ADD_FAILURE() << "never connects";
    return {};
  }
  void hear(ConnectionId from, const Message& message) {
    std::vector<std::byte> bytes;
    encode(message, bytes);
    peer.received(from, bytes, now);
    EXPECT_FALSE(peer.next(now));
  }
  static Open open(RouterId id = RouterId{0x0a000002}, Asn as = their_as) {
    Open open{as, 9s, id, {}};
    open.capabilities.families = {unicast(Family::ipv4), unicast(Family::ipv6)};
    open.capabilities.four_octet_as = as;
    open.capabilities.route_refresh = true;
    return open;
  }
  void establish(ConnectionId on) {
    hear(on, open());
    hear(on, Keepalive{});
    EXPECT_EQ(peer.state(), PeerState::established);
    out.actions.clear();
  }
  /// The NOTIFICATION with which `connection` was closed; nothing when it was not or silently.
  std::optional<Notification> farewell(ConnectionId connection) {
    for (const Action& action : out.actions) {
      const auto* close = std::get_if<CloseConnection>(&action);
      if (close == nullptr || close->connection != connection) continue;
      Bytes rest = close->last;
      while (!rest.empty()) {
        const auto frame = next_message(rest, max_message_size);
        if ((*frame)->type == MessageType::notification)
          return decode_notification((*frame)->body());
        rest = rest.subspan((*frame)->size());
      }
    }
    return std::nullopt;
  }
  [[nodiscard]] bool closed(ConnectionId connection) const {
    for (const Action& action : out.actions) {
      const auto* close = std::get_if<CloseConnection>(&action);
      if (close != nullptr && close->connection == connection) return true;
    }
    return false;
  }
};

TEST(Peer, ConnectsAtTheFirstTick) {
  PeerSettings with = settings();
  with.source = here;
  with.port = 1179;
  Bench bench(with);
  bench.peer.tick(t0);
  const auto orders = bench.take<ConnectTo>();
  ASSERT_EQ(orders.size(), 1U);
  EXPECT_EQ(orders[0].remote, there);
  EXPECT_EQ(orders[0].port, 1179);
  EXPECT_EQ(orders[0].source, here);
  EXPECT_EQ(orders[0].setup.least_ttl, 255);
  EXPECT_EQ(bench.peer.state(), PeerState::connect);
}

TEST(Peer, AConnectionThatEndsWhileOurOpenIsDelayedLeavesRoomForTheNext) {
  PeerSettings with = settings();
  with.passive = true;
  with.delay_open = 5s;
  Bench bench(with);
  bench.peer.tick(t0);
  for (int i = 0; i < 3; ++i) {
    const auto on = bench.peer.accept(here, bench.now);
    ASSERT_TRUE(on) << i;
    bench.peer.closed(*on, "reset", bench.now);
    bench.advance(60s);
  }
}

TEST(Peer, EstablishesAndSaysWhatWasNegotiated) {
  Bench bench;
  const ConnectionId on = bench.connect();
  std::vector<std::byte> said;
  bench.peer.produce(on, said);
  const auto frame = next_message(said, max_message_size);
  ASSERT_TRUE(frame && *frame);
  const auto open = decode_open((*frame)->body());
  ASSERT_TRUE(open);
  EXPECT_EQ(open->asn, our_as);
  EXPECT_EQ(open->id, our_id);
  EXPECT_EQ(open->hold_time, 9s);
  bench.hear(on, Bench::open());
  EXPECT_EQ(bench.peer.state(), PeerState::open_confirm);
  EXPECT_FALSE(bench.peer.session());
  bench.hear(on, Keepalive{});
  ASSERT_TRUE(bench.peer.session());
  EXPECT_EQ(bench.peer.session()->connection, on);
  EXPECT_TRUE(bench.peer.session()->external);
  EXPECT_EQ(bench.peer.session()->negotiated.families.size(), 2U);
  EXPECT_EQ(bench.peer.established_count(), 1U);
}

TEST(Peer, TakesInputInAnyPieces) {
  Bench bench;
  const ConnectionId on = bench.connect();
  std::vector<std::byte> bytes;
  encode(Bench::open(), bytes);
  encode(Keepalive{}, bytes);
  for (const std::byte octet : bytes) {
    bench.peer.received(on, Bytes(&octet, 1), bench.now);
    EXPECT_FALSE(bench.peer.next(bench.now));
  }
  EXPECT_EQ(bench.peer.state(), PeerState::established);
}

TEST(Peer, GivesUpdatesOutAndNothingElse) {
  Bench bench;
  const ConnectionId on = bench.connect();
  bench.establish(on);
  std::vector<std::byte> bytes;
  encode(Keepalive{}, bytes);
  const std::size_t at = bytes.size();
  bytes.resize(at + 16, std::byte{0xff});
  for (const int octet : {0, 23, 2, 0, 0, 0, 0}) bytes.push_back(static_cast<std::byte>(octet));
  encode(RouteRefresh{unicast(Family::ipv4)}, bytes);
  bench.peer.received(on, bytes, bench.now);
  auto frame = bench.peer.next(bench.now);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->type, MessageType::update);
  frame = bench.peer.next(bench.now);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->type, MessageType::route_refresh);
  EXPECT_FALSE(bench.peer.next(bench.now));
}

TEST(Peer, RetriesAFailedConnectAfterTheJitteredRetryTime) {
  Bench bench;
  bench.peer.tick(t0);
  bench.peer.failed(bench.take<ConnectTo>().at(0).connection, "Connection refused", t0);
  EXPECT_EQ(bench.peer.state(), PeerState::active);
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("Connection refused"));
  EXPECT_GE(bench.peer.deadline(), t0 + 6s - 1ms);
  EXPECT_LE(bench.peer.deadline(), t0 + 8s);
  bench.advance(8s);
  EXPECT_EQ(bench.take<ConnectTo>().size(), 1U);
}

// A refusal of the peer's kernel has another TTL than GTSM asks for, and one with another key is
// not heard at all: that nobody answers is the ordinary failure.
TEST(Peer, SaysThatNobodyAnswersAndWhatMayBeBehindIt) {
  Bench bench;
  bench.peer.tick(t0);
  bench.advance(8s);
  EXPECT_THAT(bench.peer.last_error(), MatchesRegex("cannot connect: no answer in [678] s; .*"));
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("ttl 255 is asked for (gtsm)"));
  EXPECT_THAT(bench.peer.last_error(), Not(HasSubstr("MD5")));

  PeerSettings distant = settings();
  distant.multihop = 3;
  distant.gtsm = false;
  distant.password = Secret("one");
  Bench keyed(distant);
  keyed.peer.tick(t0);
  keyed.advance(8s);
  EXPECT_THAT(keyed.peer.last_error(),
              MatchesRegex("cannot connect: no answer in [678] s; TCP MD5 is on: .*"));
  EXPECT_THAT(keyed.peer.last_error(), Not(HasSubstr("gtsm")));
}

// WHY was empty for as long as the peer did not call.
TEST(Peer, SaysThatOneWhoIsOnlyWaitedForDoesNotCome) {
  PeerSettings waits = settings();
  waits.passive = true;
  Bench bench(waits);
  bench.advance(29s);
  EXPECT_THAT(bench.peer.last_error(), IsEmpty());
  bench.advance(1s);
  EXPECT_THAT(bench.peer.last_error(),
              HasSubstr("no connection from 192.0.2.2 in 30 s, and we are passive"));
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("ttl 255 is asked for (gtsm)"));
  const auto come = bench.peer.accept(here, bench.now);
  ASSERT_TRUE(come);
  bench.establish(*come);
  bench.peer.closed(*come, "closed by the peer", bench.now);
  bench.advance(40s);
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("session ended"));
  EXPECT_THAT(bench.peer.last_attempt(), HasSubstr("no connection from 192.0.2.2"));

  waits.range = Prefix::parse("192.0.2.0/24").value();
  Bench member(waits);
  member.advance(60s);
  EXPECT_THAT(member.peer.last_error(), IsEmpty()) << "who comes from a range is not expected";
}

TEST(Peer, LogsEachReasonForFailedConnectionsOnceUntilThereIsASession) {
  Bench bench;
  const auto logged = [&] {
    std::vector<std::string> lines;
    for (const LogLine& line : std::exchange(bench.out.log, {})) {
      if (line.level >= Level::info) lines.push_back(line.text);
    }
    return lines;
  };
  for (int i = 0; i < 5; ++i) bench.peer.failed(bench.call(), "No route to host", bench.now);
  EXPECT_THAT(logged(), ElementsAre("peer tor1: cannot connect: No route to host"));
  for (int i = 0; i < 5; ++i) static_cast<void>(bench.call());
  EXPECT_THAT(logged(), ElementsAre(HasSubstr("cannot connect: no answer in")));
  bench.peer.failed(bench.call(), "No route to host", bench.now);
  const ConnectionId on = bench.call();
  EXPECT_THAT(logged(), IsEmpty());
  bench.peer.opened(on, here, bench.now);
  bench.establish(on);
  bench.hear(on, cease(Fault::AdministrativeShutdown, "upgrade"));
  static_cast<void>(logged());
  for (int i = 0; i < 3; ++i) static_cast<void>(bench.call());
  EXPECT_THAT(logged(), ElementsAre(HasSubstr("no answer in"))) << "a new streak";
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("upgrade"));
  EXPECT_THAT(bench.peer.last_attempt(), HasSubstr("no answer in"));
}

TEST(Peer, AConnectThatHangsIsGivenUpForAnother) {
  Bench bench;
  bench.peer.tick(t0);
  const auto first = bench.take<ConnectTo>().at(0).connection;
  bench.advance(8s);
  EXPECT_TRUE(bench.closed(first));
  EXPECT_EQ(bench.take<ConnectTo>().size(), 1U);
}

// RFC 4271 6.8, RFC 6286 2.3: both connections have their OPEN; who stays depends on the
// identifiers alone.
struct Collision {
  std::string name;
  RouterId ours;
  RouterId theirs;
  Asn their_as;
  bool incoming_speaks_first;
  bool ours_stays;
};
class CollisionRule : public testing::TestWithParam<Collision> {};
TEST_P(CollisionRule, LeavesOne) {
  const Collision& with = GetParam();
  PeerSettings peer = settings();
  peer.remote_as = with.their_as;
  Bench bench(peer, with.ours);
  const ConnectionId outgoing = bench.connect();
  const auto incoming = bench.peer.accept(here, bench.now);
  ASSERT_TRUE(incoming);
  const ConnectionId first = with.incoming_speaks_first ? *incoming : outgoing;
  const ConnectionId second = with.incoming_speaks_first ? outgoing : *incoming;
  bench.hear(first, Bench::open(with.theirs, with.their_as));
  bench.hear(second, Bench::open(with.theirs, with.their_as));
  const ConnectionId winner = with.ours_stays ? outgoing : *incoming;
  const ConnectionId loser = with.ours_stays ? *incoming : outgoing;
  ASSERT_TRUE(bench.farewell(loser));
  EXPECT_EQ(bench.farewell(loser)->fault, Fault::ConnectionCollision);
  EXPECT_FALSE(bench.closed(winner));
  bench.hear(winner, Keepalive{});
  EXPECT_EQ(bench.peer.state(), PeerState::established);
}
INSTANTIATE_TEST_SUITE_P(
    Rfc4271, CollisionRule,
    testing::Values(
        Collision{"OurIdIsHigher", RouterId{9}, RouterId{2}, their_as, false, true},
        Collision{"OurIdIsHigherTheySpeakFirst", RouterId{9}, RouterId{2}, their_as, true, true},
        Collision{"TheirIdIsHigher", RouterId{2}, RouterId{9}, their_as, false, false},
        Collision{"TheirIdIsHigherTheySpeakFirst", RouterId{2}, RouterId{9}, their_as, true, false},
        Collision{"EqualIdsTheirAsIsHigher", RouterId{9}, RouterId{9}, their_as, false, false},
        Collision{"EqualIdsOurAsIsHigher", RouterId{9}, RouterId{9}, Asn{64999}, false, true}),
    [](const auto& row) { return row.param.name; });

TEST(Peer, ANewConnectionBesideALiveSessionIsCeased) {
  Bench bench;
  const ConnectionId session = bench.connect();
  bench.establish(session);
  const auto late = bench.peer.accept(here, bench.now);
  ASSERT_TRUE(late);
  bench.hear(*late, Bench::open());
  ASSERT_TRUE(bench.farewell(*late));
  EXPECT_EQ(bench.farewell(*late)->fault, Fault::ConnectionCollision);
  EXPECT_EQ(bench.peer.session()->connection, session);
}

// Trap: a peer that lost power comes back while its old session waits for the hold timer.
TEST(Peer, ANewConnectionReplacesADeadLookingSession) {
  Bench bench;
  const ConnectionId session = bench.connect();
  bench.establish(session);
  bench.advance(5s);
  const auto late = bench.peer.accept(here, bench.now);
  ASSERT_TRUE(late);
  bench.hear(*late, Bench::open());
  EXPECT_TRUE(bench.closed(session));
  bench.hear(*late, Keepalive{});
  ASSERT_TRUE(bench.peer.session());
  EXPECT_EQ(bench.peer.session()->connection, *late);
}

// Trap: a silent half-open connection occupies the peer's only slot for minutes.
TEST(Peer, TheNewestConnectionReplacesASilentOne) {
  PeerSettings passive = settings();
  passive.passive = true;
  Bench bench(passive);
  bench.peer.tick(t0);
  const auto silent = bench.peer.accept(here, t0);
  const auto newest = bench.peer.accept(here, t0);
  ASSERT_TRUE(silent && newest);
  EXPECT_TRUE(bench.closed(*silent));
  bench.establish(*newest);
}

TEST(Peer, ASilentConnectionIsDroppedSoonWhereAnotherWaits) {
  Bench bench;
  const ConnectionId outgoing = bench.connect();
  const auto incoming = bench.peer.accept(here, bench.now);
  ASSERT_TRUE(incoming);
  bench.advance(open_wait_contended);
  EXPECT_EQ(bench.farewell(outgoing)->fault, Fault::HoldTimerExpired);
  EXPECT_EQ(bench.farewell(*incoming)->fault, Fault::HoldTimerExpired);
}

TEST(Peer, ASpeakingConnectionWinsOverALongSilentOne) {
  Bench bench(settings(), RouterId{1});  // by the rule of identifiers the incoming one would stay
  const ConnectionId outgoing = bench.connect();
  const auto incoming = bench.peer.accept(here, bench.now);
  ASSERT_TRUE(incoming);
  bench.advance(3s);
  bench.hear(outgoing, Bench::open());
  EXPECT_TRUE(bench.closed(*incoming));
  EXPECT_FALSE(bench.closed(outgoing));
}

TEST(Peer, NeverHoldsMoreThanTwoConnections) {
  Bench bench;
  bench.connect();
  std::vector<ConnectionId> let_in;
  for (int i = 0; i < 10; ++i) {
    if (const auto id = bench.peer.accept(here, bench.now)) let_in.push_back(*id);
  }
  std::size_t open = 1;
  for (const ConnectionId id : let_in) open += bench.closed(id) ? 0U : 1U;
  EXPECT_EQ(open, 2U);
}

TEST(Peer, StaysAwayLongerAfterEachProtocolErrorAndLetsNobodyIn) {
  Bench bench;
  std::vector<Clock::duration> waits;
  for (int i = 0; i < 8; ++i) {
    const ConnectionId on = bench.connect();
    bench.hear(on, Bench::open(RouterId{2}, Asn{65003}));
    EXPECT_EQ(bench.farewell(on)->fault, Fault::BadPeerAs);
    EXPECT_THAT(bench.peer.last_error(), HasSubstr("65003"));
    EXPECT_FALSE(bench.peer.accept(here, bench.now));
    waits.push_back(bench.peer.deadline() - bench.now);
    bench.now = bench.peer.deadline();
    bench.out.actions.clear();
  }
  EXPECT_LE(waits[0], 1s);
  EXPECT_GE(waits[3], 6s - 1ms);
  EXPECT_GE(waits[7], 22s);
  EXPECT_LE(waits[7], max_idle_hold);
}

TEST(Peer, IsLetInAgainAtOnceWhenItOnlyLostItsConnection) {
  Bench bench;
  const ConnectionId on = bench.connect();
  bench.establish(on);
  bench.peer.closed(on, "closed by the peer", bench.now);
  EXPECT_EQ(bench.peer.state(), PeerState::idle);
  const auto back = bench.peer.accept(here, bench.now);
  ASSERT_TRUE(back);
  bench.establish(*back);
}

TEST(Peer, ShutdownSaysWhyAndStays) {
  Bench bench;
  const ConnectionId on = bench.connect();
  bench.establish(on);
  bench.peer.shutdown(Fault::AdministrativeShutdown, "moving racks", bench.now);
  ASSERT_TRUE(bench.farewell(on));
  EXPECT_EQ(bench.farewell(on)->fault, Fault::AdministrativeShutdown);
  EXPECT_EQ(shutdown_text(*bench.farewell(on)), "moving racks");
  EXPECT_FALSE(bench.peer.accept(here, bench.now));
  EXPECT_EQ(bench.peer.deadline(), Time::max());
  bench.peer.start(bench.now);
  bench.out.actions.clear();
  bench.establish(bench.connect());
}

TEST(Peer, ResetComesBack) {
  Bench bench;
  const ConnectionId on = bench.connect();
  bench.establish(on);
  bench.peer.reset(Fault::AdministrativeReset, "", bench.now);
  EXPECT_EQ(bench.farewell(on)->fault, Fault::AdministrativeReset);
  bench.out.actions.clear();
  bench.advance(1s);
  EXPECT_EQ(bench.take<ConnectTo>().size(), 1U);
}

// What was said is worth more than that nobody answers since.
TEST(Peer, KeepsTheTellingErrorBesideLaterAttempts) {
  Bench bench;
  const auto attempt = [&](const char* why) { bench.peer.failed(bench.call(), why, bench.now); };
  attempt("Connection timed out");
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("timed out"));
  attempt("Connection refused");
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("refused"));
  attempt("Connection timed out");
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("refused"));
  EXPECT_THAT(bench.peer.last_attempt(), HasSubstr("timed out"));

  const ConnectionId on = bench.call();
  bench.peer.opened(on, here, bench.now);
  bench.establish(on);
  EXPECT_EQ(bench.peer.last_attempt(), "");
  bench.hear(on, cease(Fault::AdministrativeShutdown, "upgrade"));
  const Time then = bench.now;
  attempt("Connection refused");
  attempt("No route to host");
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("upgrade"));
  EXPECT_EQ(bench.peer.last_error_at(), then);
  EXPECT_EQ(bench.peer.last_attempt(), "cannot connect: No route to host");
  EXPECT_EQ(bench.peer.last_attempt_at(), bench.now);

  bench.peer.start(bench.now);
  attempt("No route to host");
  EXPECT_EQ(bench.peer.last_error(), "cannot connect: No route to host") << "begun anew";
  EXPECT_EQ(bench.peer.last_attempt(), "");
}

TEST(Peer, ShowsTheParametersThatItCannotRead) {
  const auto error_of = [&](const std::string& parameters) {
    Bench bench;
    std::vector<std::byte> bytes(16, std::byte{0xff});
    const auto body = from_hex("04 fdea 005a 0a000002" + parameters);
    Writer out(bytes);
    out.u16(static_cast<std::uint16_t>(header_size + body.size()));
    out.u8(1);
    out.bytes(body);
    bench.peer.received(bench.connect(), bytes, bench.now);
    EXPECT_FALSE(bench.peer.next(bench.now));
    return bench.peer.last_error();
  };
  const std::string words = "sent OPEN Message Error: its optional parameters cannot be read: ";
  EXPECT_EQ(error_of("06 0204 4106 0000"), words + "06020441060000");
  const std::string long_one(2UL * 100, '0');
  EXPECT_EQ(error_of("06" + long_one), words + "06" + long_one.substr(0, 2UL * 63) + "...");
  EXPECT_EQ(error_of("04 01020000"), "sent OPEN Message Error/Unsupported Optional Parameter");
}

// Each attempt changes the state; how long the peer is away is another matter.
TEST(Peer, SaysHowLongThereIsNoSession) {
  Bench bench;
  const auto try_twice = [&] {
    bench.peer.failed(bench.call(), "Connection refused", bench.now);
    const ConnectionId on = bench.call();
    bench.peer.opened(on, here, bench.now);
    bench.peer.closed(on, "Connection reset by peer", bench.now);
  };
  try_twice();
  EXPECT_EQ(bench.peer.since(), t0) << "configured";

  const ConnectionId on = bench.call();
  bench.peer.opened(on, here, bench.now);
  bench.establish(on);
  const Time up = bench.now;
  bench.advance(2s);
  EXPECT_EQ(bench.peer.since(), up);
  bench.peer.closed(on, "Connection reset by peer", bench.now);
  const Time down = bench.now;
  try_twice();
  EXPECT_EQ(bench.peer.since(), down);

  bench.peer.reset(Fault::AdministrativeReset, "", bench.now);
  bench.peer.start(bench.now);
  EXPECT_EQ(bench.peer.since(), down) << "it was not shut down";
  bench.peer.shutdown(Fault::AdministrativeShutdown, "", bench.now);
  bench.advance(1min);
  EXPECT_EQ(bench.peer.since(), down);
  bench.peer.start(bench.now);
  EXPECT_EQ(bench.peer.since(), bench.now);
}

TEST(Peer, ShowsWhatThePeersOperatorWrote) {
  Bench bench;
  const ConnectionId on = bench.connect();
  bench.establish(on);
  bench.hear(on, cease(Fault::AdministrativeShutdown, "upgrade"));
  EXPECT_EQ(bench.peer.state(), PeerState::idle);
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("received Cease/Administrative Shutdown"));
  EXPECT_THAT(bench.peer.last_error(), HasSubstr("upgrade"));
  EXPECT_TRUE(bench.closed(on));
  EXPECT_FALSE(bench.farewell(on)) << "a NOTIFICATION is not answered";
}

TEST(Peer, TheHoldTimerEndsASilentSession) {
  Bench bench;
  const ConnectionId on = bench.connect();
  bench.establish(on);
  bench.advance(8999ms);
  EXPECT_EQ(bench.peer.state(), PeerState::established);
  bench.advance(1ms);
  EXPECT_EQ(bench.farewell(on)->fault, Fault::HoldTimerExpired);
}

/// "2 hold_timer by us established"
std::vector<std::string> ends_of(const Bench& bench) {
  std::vector<std::string> all;
  for (const EndCount& end : bench.peer.ends().all()) {
    all.push_back(std::to_string(end.count) + " " + std::string(name(end.reason)) +
                  (end.by_peer ? " by peer" : " by us") +
                  (end.established ? " established" : " opening"));
  }
  return all;
}

// Metrics count ends by reason: the words must be those of what happened, whoever said it.
TEST(Peer, CountsHowItsConnectionsEnd) {
  const auto up = [](Bench& bench) {
    const ConnectionId on = bench.connect();
    bench.establish(on);
    return on;
  };
  struct Case {
    const char* expected;
    std::function<void(Bench&, ConnectionId)> act;
  };
  const std::vector<Case> sessions{
      {"1 hold_timer by us established", [](Bench& b, ConnectionId) { b.advance(9s); }},
      {"1 connection_lost by peer established",
       [](Bench& b, ConnectionId on) { b.peer.closed(on, "closed by the peer", b.now); }},
      {"1 link_down by us established",
       [](Bench& b, ConnectionId) { b.peer.lose_session("link is down", b.now); }},
      {"1 bfd_down by us established",
       [](Bench& b, ConnectionId) { b.peer.lose_path("BFD: control detection time", b.now); }},
      {"1 shutdown by us established",
       [](Bench& b, ConnectionId) {
         b.peer.shutdown(Fault::AdministrativeShutdown, "maintenance", b.now);
       }},
      {"1 shutdown by peer established",
       [](Bench& b, ConnectionId on) {
         b.hear(on, cease(Fault::AdministrativeShutdown, "maintenance"));
       }},
      {"1 prefix_limit by peer established",
       [](Bench& b, ConnectionId on) {
         b.hear(on, hard_reset(Notification{Fault::MaximumPrefixes, {}}));
       }},
      {"1 prefix_limit by us established",
       [](Bench& b, ConnectionId) {
         b.peer.refuse({Fault::MaximumPrefixes, {}}, b.now);
       }},
      {"1 update_error by us established",
       [](Bench& b, ConnectionId) {
         b.peer.refuse({Fault::InvalidNetworkField, {}}, b.now);
       }},
      {"1 reset by us established",
       [](Bench& b, ConnectionId) { b.peer.reset(Fault::AdministrativeReset, {}, b.now); }},
      {"1 cease by peer established",
       [](Bench& b, ConnectionId on) {
         b.hear(on, Notification{fault(6, 99), {}});
       }},
      {"1 other by peer established",
       [](Bench& b, ConnectionId on) {
         b.hear(on, Notification{fault(42, 1), {}});
       }},
  };
  for (const Case& each : sessions) {
    Bench bench;
    each.act(bench, up(bench));
    EXPECT_THAT(ends_of(bench), ElementsAre(each.expected));
  }
  Bench stranger;
  stranger.hear(stranger.connect(), Bench::open(RouterId{0x0a000002}, Asn{65099}));
  EXPECT_THAT(ends_of(stranger), ElementsAre("1 bad_peer_as by us opening"));

  Bench twice;
  for (int i = 0; i < 2; ++i) {
    twice.peer.closed(up(twice), "closed by the peer", twice.now);
    twice.advance(2s);
  }
  EXPECT_THAT(ends_of(twice), ElementsAre("2 connection_lost by peer established"));
}

// RFC 4724 5: its last session seems to stand, but it would not come if it did.
TEST(Peer, APeerInGracefulRestartThatComesAnewHasLostItsSession) {
  Bench bench;
  Open open = Bench::open();
  open.capabilities.graceful_restart = GracefulRestart{};
  const ConnectionId session = bench.connect();
  bench.hear(session, open);
  bench.hear(session, Keepalive{});
  ASSERT_EQ(bench.peer.state(), PeerState::established);
  bench.out.actions.clear();
  bench.advance(3s);  // it was heard too lately to look dead
  const auto late = bench.peer.accept(here, bench.now);
  ASSERT_TRUE(late);
  bench.hear(*late, open);
  EXPECT_TRUE(bench.closed(session));
  EXPECT_FALSE(bench.farewell(session)) << "there is nobody to tell";
  EXPECT_EQ(bench.peer.loss(), Loss::clean) << "its routes stay";
  bench.hear(*late, Keepalive{});
  ASSERT_TRUE(bench.peer.session());
  EXPECT_EQ(bench.peer.session()->connection, *late);
  EXPECT_THAT(ends_of(bench), ElementsAre("1 restarted by peer established"));
}

TEST(Peer, UnreadBytesKeepASessionAlive) {
  Bench bench;
  const ConnectionId on = bench.connect();
  bench.establish(on);
  bench.now += 9s;
  EXPECT_TRUE(bench.peer.hold_expiring(bench.now));
  bench.peer.heard(on, bench.now);
  EXPECT_FALSE(bench.peer.hold_expiring(bench.now));
  bench.peer.tick(bench.now);
  EXPECT_EQ(bench.peer.state(), PeerState::established);
}

// RFC 9687
TEST(Peer, APeerThatTakesNothingIsDropped) {
  PeerSettings with = settings();
  with.send_hold = 20s;
  Bench bench(with);
  const ConnectionId on = bench.connect();
  bench.establish(on);
  bench.peer.producing(on, bench.now);
  for (int i = 0; i < 19; ++i) {
    bench.advance(1s);
    bench.hear(on, Keepalive{});
  }
  EXPECT_EQ(bench.peer.state(), PeerState::established);
  bench.peer.sent(on, false, bench.now);  // a little progress is life
  for (int i = 0; i < 19; ++i) {
    bench.advance(1s);
    bench.hear(on, Keepalive{});
  }
  EXPECT_EQ(bench.peer.state(), PeerState::established);
  bench.advance(1s);
  EXPECT_EQ(bench.farewell(on)->fault, Fault::SendHoldTimerExpired);
}

TEST(Peer, APeerThatTakesNotEvenTheFirstOctetIsDropped) {
  PeerSettings with = settings();
  with.send_hold = 3s;
  Bench bench(with);
  const ConnectionId on = bench.connect();
  bench.establish(on);
  bench.peer.producing(on, bench.now);
  bench.advance(3s);
  ASSERT_TRUE(bench.farewell(on));
  EXPECT_EQ(bench.farewell(on)->fault, Fault::SendHoldTimerExpired);
}

TEST(Peer, KeepalivesDoNotPileUpForASlowReader) {
  PeerSettings with = settings();
  with.hold_time = 3s;
  Bench bench(with);
  const ConnectionId on = bench.connect();
  bench.establish(on);
  std::vector<std::byte> said;
  bench.peer.produce(on, said);
  for (int i = 0; i < 100; ++i) {
    bench.advance(1s);
    bench.hear(on, Keepalive{});
  }
  said.clear();
  bench.peer.produce(on, said);
  EXPECT_EQ(said.size(), header_size);
}

TEST(Peer, AnswersNonsenseWithTheRightNotification) {
  struct Case {
    const char* what;
    std::size_t at;
    std::byte octet;
    Fault answer;
  };
  for (const Case& with : {Case{"marker", 3, std::byte{0}, Fault::ConnectionNotSynchronized},
                           Case{"length", 17, std::byte{18}, Fault::BadMessageLength},
                           Case{"type 0", 18, std::byte{0}, Fault::BadMessageType},
                           Case{"type 255", 18, std::byte{255}, Fault::BadMessageType}}) {
    Bench bench;
    const ConnectionId on = bench.connect();
    bench.establish(on);
    std::vector<std::byte> bytes;
    encode(Keepalive{}, bytes);
    bytes[with.at] = with.octet;
    bench.peer.received(on, bytes, bench.now);
    EXPECT_FALSE(bench.peer.next(bench.now));
    ASSERT_TRUE(bench.farewell(on)) << with.what;
    EXPECT_EQ(bench.farewell(on)->fault, with.answer) << with.what;
  }
}

TEST(Peer, NoFamilyInCommonIsAnUnsupportedCapability) {
  Bench bench;
  const ConnectionId on = bench.connect();
  Open open = Bench::open();
  open.capabilities.families = {{25, 65}};
  bench.hear(on, open);
  EXPECT_EQ(bench.farewell(on)->fault, Fault::UnsupportedCapability);
}

TEST(Peer, LogsAreLimitedAndSayWhatWasHeldBack) {
  Bench bench;
  for (int i = 0; i < 1000; ++i) bench.peer.log(Level::warning, "again", t0);
  EXPECT_EQ(bench.out.log.size(), log_limit);
  bench.peer.log(Level::warning, "later", t0 + 60s);
  EXPECT_THAT(bench.out.log.back().text, HasSubstr("970 lines held back"));
}

TEST(Peer, OnlyWhatASessionCannotBearResetsIt) {
  const PeerSettings running = settings();
  PeerSettings wanted = running;
  wanted.description = "top of rack";
  wanted.connect_retry = 30s;
  wanted.prefix_limit = 10;
  wanted.export_filter = Filter::accept;
  EXPECT_FALSE(Peer::needs_reset(running, wanted));
  wanted.hold_time = 30s;
  EXPECT_TRUE(Peer::needs_reset(running, wanted));
}

}  // namespace
}  // namespace weft::bgp
