// The whole speaker in virtual time, its peers written out by hand.
#include "bgp/speaker.h"

#include <gmock/gmock.h>

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "bgp/attributes.h"
#include "bgp/message.h"
#include "bgp/update.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Time t0{1h};

Prefix prefix(const char* text) {
  return Prefix::parse(text).value();
}
Address address(const char* text) {
  return Address::parse(text).value();
}

PeerSettings peer_of(int number) {
  PeerSettings peer;
  peer.name = "tor" + std::to_string(number);
  peer.address = address(("192.0." + std::to_string(number) + ".2").c_str());
  peer.remote_as = Asn{65100U + static_cast<std::uint32_t>(number)};
  peer.hold_time = 90s;
  peer.import_filter = Filter::accept;
  return peer;
}

Settings node(int peers = 1) {
  Settings settings;
  settings.asn = Asn{65001};
  settings.router_id = RouterId{0x0a000001};
  for (int i = 1; i <= peers; ++i) settings.peers.push_back(peer_of(i));
  return settings;
}

/// The far end of one peer.
struct Far {
  ConnectionId connection;
  Negotiated negotiated;
  /// What it holds after all it was told.
  std::map<Prefix, PathNextHop> table;
  std::map<Prefix, std::string> paths;
  std::map<Prefix, Attributes> attributes;
  std::set<Family> ended;
  int updates = 0;
  std::optional<Notification> farewell;
  bool closed = false;
};

struct Bench {
  explicit Bench(const Settings& settings = node(), Speaker::Begin begin = Speaker::Begin::at_once)
      : speaker(settings, 1, t0, begin) {
    for (std::size_t i = 0; i < settings.peers.size() && i < 9; ++i) {
      const auto number = std::to_string(i + 1);
      const auto index = static_cast<std::uint32_t>(i + 1);
      subnets.push_back({address(("192.0." + number + ".1").c_str()),
                         Prefix(address(("192.0." + number + ".0").c_str()), 24), index});
      subnets.push_back({address(("fd00:" + number + "::1").c_str()),
                         Prefix(address(("fd00:" + number + "::").c_str()), 64), index});
    }
    speaker.connected(subnets, now);
  }

  Speaker speaker;
  Time now = t0;
  std::vector<ConnectedSubnet> subnets;
  std::map<std::string, Far> fars;
  std::map<Prefix, NextHops> fib;
  std::size_t changes = 0;
  std::vector<SyncDone> syncs;
  std::string log;
  bool reading = true;
  /// Peers ask for graceful restart: they keep forwarding.
  bool preserving = false;
  /// Peers have route refresh (RFC 2918), and mark its beginning and end (RFC 7313).
  bool refreshing = true;
  bool marking = true;
  /// And for so long after their restart time (RFC 9494).
  std::chrono::seconds long_lived{3600};

  Far& far(const std::string& name) { return fars[name]; }

  /// Carries out everything, as a transport with endless room would.
  void drain() {
    for (bool more = true; more;) {
      auto actions = speaker.take_actions();
      more = !actions.empty();
      for (auto& action : actions) carry_out(action);
    }
    for (const RouteChange& change : speaker.take_route_changes()) {
      ++changes;
      fib.erase(change.prefix);
      if (change.kind == RouteKind::via) fib[change.prefix] = speaker.next_hops(change.next_hops);
    }
    for (const SyncDone& done : speaker.take_sync_done()) syncs.push_back(done);
    for (const LogLine& line : speaker.take_log()) log += line.text + "\n";
  }
  void carry_out(Action& action) {
    std::visit(Overloaded{
                   [&](const ConnectTo& to) {
                     for (const PeerStatus& peer : speaker.peers()) {
                       if (peer.address == to.remote) far(peer.name).connection = to.connection;
                     }
                   },
                   [&](const OutputReady& ready) {
                     if (reading) take(ready.connection);
                   },
                   [&](const CloseConnection& order) {
                     for (auto& [name, far] : fars) {
                       if (far.connection != order.connection) continue;
                       far.closed = true;
                       hear(far, order.last);
                     }
                   },
               },
               action);
  }
  void take(ConnectionId connection) {
    for (auto& [name, far] : fars) {
      if (far.connection != connection) continue;
      for (std::vector<std::byte> bytes;;) {
        bytes.clear();
        speaker.produce(connection, bytes, now);
        if (bytes.empty()) return;
        hear(far, bytes);
        speaker.sent(connection, true, now);
      }
    }
  }
  static void hear(Far& far, Bytes bytes) {
    while (!bytes.empty()) {
      const auto frame = next_message(bytes, max_extended_message_size);
      ASSERT_TRUE(frame && *frame);
      bytes = bytes.subspan((*frame)->size());
      if ((*frame)->type == MessageType::notification)
        far.farewell = decode_notification((*frame)->body());
      if ((*frame)->type == MessageType::update) learn(far, **frame);
    }
  }
  static void learn(Far& far, const Frame& frame) {
    ++far.updates;
    Inbound inbound;
    inbound.negotiated = far.negotiated;
    inbound.enforce_first_as = false;
    UpdateDecoder decoder(inbound);
    const auto update = decoder.decode(frame.body());
    ASSERT_TRUE(update) << text(update.error());
    ASSERT_EQ(update->handling(), Handling::accept);
    for (const auto& range : update->withdrawals()) {
      for (const Nlri& nlri : range) far.table.erase(nlri.prefix);
    }
    for (const auto& announcement : update->announcements()) {
      for (const Nlri& nlri : announcement.nlri) {
        far.table[nlri.prefix] = announcement.next_hop;
        far.paths[nlri.prefix] = update->attributes().as_path.text();
        far.attributes[nlri.prefix] = update->attributes();
      }
    }
    if (update->end_of_rib())
      far.ended.insert(update->end_of_rib()->afi == 1 ? Family::ipv4 : Family::ipv6);
  }

  void tick(Clock::duration by = 0s) {
    const Time end = now + by;
    for (;;) {
      const Time next = std::max(speaker.deadline(), now);
      if (next > end) break;
      now = next;
      speaker.tick(now);
      drain();
    }
    now = end;
  }
  void say(const std::string& name, const std::vector<std::byte>& bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += receive_size) {
      speaker.received(far(name).connection,
                       Bytes(bytes).subspan(at, std::min(receive_size, bytes.size() - at)), now);
    }
    drain();
  }
  void say(const std::string& name, const Message& message) {
    std::vector<std::byte> bytes;
    encode(message, bytes);
    say(name, bytes);
  }
  static Open open_of(int number, bool graceful = true) {
    Open open{Asn{65100U + static_cast<std::uint32_t>(number)},
              90s,
              RouterId{0x0a000100U + static_cast<std::uint32_t>(number)},
              {}};
    open.capabilities.families = {unicast(Family::ipv4), unicast(Family::ipv6)};
    open.capabilities.four_octet_as = open.asn;
    open.capabilities.route_refresh = true;
    open.capabilities.enhanced_route_refresh = true;
    if (graceful) open.capabilities.graceful_restart = GracefulRestart{};
    return open;
  }
  void establish(int number, bool graceful = true) {
    const std::string name = "tor" + std::to_string(number);
    tick();
    Far& far = fars[name];
    const ConnectionId connection = far.connection;
    far = Far{};
    far.connection = connection;
    Open open = open_of(number, graceful);
    open.capabilities.route_refresh = refreshing;
    open.capabilities.enhanced_route_refresh = marking;
    if (preserving) {
      GracefulRestart restart;
      restart.restart_time = 120s;
      for (const AfiSafi family : open.capabilities.families)
        restart.families.push_back({family, true});
      open.capabilities.graceful_restart = restart;
      for (const AfiSafi family : open.capabilities.families)
        open.capabilities.long_lived.push_back({family, true, long_lived});
    }
    speaker.opened(far.connection, address(("192.0." + std::to_string(number) + ".1").c_str()),
                   now);
    far.negotiated = negotiate(open.capabilities, open.capabilities);
    drain();
    say(name, open);
    say(name, Keepalive{});
    ASSERT_EQ(status(name).state, PeerState::established) << log;
  }
  PeerStatus status(const std::string& name) {
    for (const PeerStatus& peer : speaker.peers()) {
      if (peer.name == name) return peer;
    }
    ADD_FAILURE() << "no " << name;
    return {};
  }
  void end_of_rib(const std::string& name, Family family) {
    std::vector<std::byte> bytes;
    encode_end_of_rib(unicast(family), bytes);
    say(name, bytes);
  }
  std::vector<std::byte> announcement(int number, const std::vector<Prefix>& prefixes,
                                      std::vector<Asn> path = {},
                                      const std::string& next_hop = "") {
    Attributes attributes;
    attributes.origin = Origin::igp;
    path.insert(path.begin(), Asn{65100U + static_cast<std::uint32_t>(number)});
    attributes.as_path = AsPath::sequence(std::move(path));
    std::vector<std::byte> encoded;
    encode_attributes(attributes, true, encoded);
    std::vector<Nlri> nlri;
    nlri.reserve(prefixes.size());
    for (const Prefix& each : prefixes) nlri.push_back({each, 0});
    const auto& session = far("tor" + std::to_string(number)).negotiated;
    const std::string own = "192.0." + std::to_string(number) + ".2";
    const PathNextHop via{address(next_hop.empty() ? own.c_str() : next_hop.c_str()), {}};
    std::vector<std::byte> bytes;
    for (std::size_t done = 0; done < nlri.size();) {
      done += encode_announcement(unicast(Family::ipv4), via, encoded,
                                  std::span(nlri).subspan(done), session, bytes);
    }
    return bytes;
  }
  void announce(int number, const std::vector<Prefix>& prefixes, std::vector<Asn> path = {},
                const std::string& next_hop = "") {
    say("tor" + std::to_string(number), announcement(number, prefixes, std::move(path), next_hop));
  }
};

std::vector<Prefix> many(std::uint32_t count) {
  std::vector<Prefix> all;
  for (std::uint32_t i = 0; i < count; ++i)
    all.emplace_back(Address::ipv4(0x14000000 + (i << 8)), 24);
  return all;
}

TEST(Speaker, UnknownSourcesAreRefused) {
  Bench bench;
  EXPECT_FALSE(bench.speaker.accepted(address("198.51.100.1"), address("192.0.1.1"), bench.now));
  EXPECT_TRUE(bench.speaker.accepted(address("192.0.1.2"), address("192.0.1.1"), bench.now));
}

TEST(Speaker, HalfOpenConnectionsAreLimitedOverAllPeers) {
  Settings settings = node(200);
  for (PeerSettings& peer : settings.peers) peer.passive = true;
  Bench bench(settings);
  std::size_t let_in = 0;
  for (const PeerSettings& peer : settings.peers) {
    let_in += bench.speaker.accepted(peer.address, address("192.0.1.1"), bench.now) ? 1U : 0U;
  }
  EXPECT_EQ(let_in, half_open_limit);
}

// Pain R2: the own prefixes wait for nobody.
TEST(Speaker, OwnPrefixesGoOutAtOnce) {
  Bench bench(node(2));
  bench.speaker.originate(prefix("10.64.0.0/26"), bench.now);
  bench.speaker.originate(prefix("fd64::/122"), bench.now);
  bench.drain();
  bench.establish(1);
  const Far& far = bench.far("tor1");
  EXPECT_EQ(far.table.at(prefix("10.64.0.0/26")).address, address("192.0.1.1"));
  EXPECT_EQ(far.table.at(prefix("fd64::/122")).address, address("fd00:1::1"));
  EXPECT_EQ(far.paths.at(prefix("10.64.0.0/26")), "65001");
  EXPECT_EQ(far.ended.size(), 2U) << "and End-of-RIB behind them";
  bench.speaker.withdraw(prefix("10.64.0.0/26"), bench.now);
  bench.drain();
  EXPECT_FALSE(far.table.contains(prefix("10.64.0.0/26")));
}

TEST(Speaker, LearnsInstallsAndForgets) {
  Bench bench(node(2));
  bench.establish(1);
  bench.establish(2);
  bench.announce(1, {prefix("10.64.1.0/26")});
  bench.announce(2, {prefix("10.64.1.0/26")});
  EXPECT_EQ(bench.fib.at(prefix("10.64.1.0/26")).size(), 2U) << "ECMP over both";
  const auto route = bench.speaker.route(prefix("10.64.1.0/26"));
  ASSERT_TRUE(route);
  EXPECT_EQ(route->paths.size(), 2U);
  EXPECT_TRUE(route->paths[0].best);
  EXPECT_TRUE(route->paths[1].multipath);
  EXPECT_EQ(route->paths[1].lost_at, "router id (10.0.1.2 against 10.0.1.1)");
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  EXPECT_EQ(bench.fib.at(prefix("10.64.1.0/26")).size(), 1U);
  bench.speaker.closed(bench.far("tor2").connection, "reset", bench.now);
  bench.drain();
  EXPECT_THAT(bench.fib, IsEmpty());
}

// Trap 3: a refused route is an implicit withdrawal of the one before it.
TEST(Speaker, ALoopedRouteReplacesTheOneBefore) {
  Bench bench;
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26")});
  EXPECT_EQ(bench.fib.size(), 1U);
  bench.announce(1, {prefix("10.64.1.0/26")}, {Asn{65001}});
  EXPECT_THAT(bench.fib, IsEmpty());
  EXPECT_EQ(bench.status("tor1").families[0].received, 1U);
  EXPECT_EQ(bench.status("tor1").families[0].accepted, 0U);
  EXPECT_THAT(bench.speaker.route(prefix("10.64.1.0/26"))->paths.at(0).lost_at, HasSubstr("loop"));
  EXPECT_EQ(bench.status("tor1").looped, 1U);
}

// RFC 9234 5: what a customer was told by its provider is not for us.
TEST(Speaker, CountsWhatLeaks) {
  Settings settings = node();
  settings.peers[0].role = Role::provider;
  Bench bench(settings);
  bench.establish(1);
  Attributes leaked;
  leaked.as_path = AsPath::sequence({Asn{65101}});
  leaked.only_to_customer = Asn{65109};
  std::vector<std::byte> encoded;
  encode_attributes(leaked, true, encoded);
  const std::vector<Nlri> nlri{{prefix("10.64.1.0/26"), 0}, {prefix("10.64.2.0/26"), 0}};
  std::vector<std::byte> bytes;
  static_cast<void>(encode_announcement(unicast(Family::ipv4), {address("192.0.1.2"), {}}, encoded,
                                        nlri, bench.far("tor1").negotiated, bytes));
  bench.say("tor1", bytes);
  bench.announce(1, {prefix("10.64.3.0/26")});
  EXPECT_EQ(bench.status("tor1").leaked, 2U);
  EXPECT_EQ(bench.status("tor1").looped, 0U);
  EXPECT_EQ(bench.fib.size(), 1U);
}

// RFC 7313 4: what is not said again between the marks is gone.
TEST(Speaker, ARefreshFindsWhatIsStale) {
  const AfiSafi ipv4 = unicast(Family::ipv4);
  Bench bench;
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26"), prefix("10.64.2.0/26")});
  const auto refresh = [&] {
    bench.say("tor1", RouteRefresh{ipv4, RouteRefresh::Subtype::begin});
    bench.announce(1, {prefix("10.64.2.0/26"), prefix("10.64.3.0/26")});
    EXPECT_TRUE(bench.fib.contains(prefix("10.64.2.0/26")));
  };
  refresh();
  EXPECT_EQ(bench.fib.size(), 3U) << "nothing goes before the end";
  bench.say("tor1", RouteRefresh{ipv4, RouteRefresh::Subtype::end});
  EXPECT_EQ(bench.fib.size(), 2U);
  EXPECT_FALSE(bench.fib.contains(prefix("10.64.1.0/26")));
  EXPECT_EQ(bench.status("tor1").stale_swept, 1U);
  EXPECT_THAT(bench.log, HasSubstr("1 ipv4 paths were not repeated"));
  bench.say("tor1", RouteRefresh{ipv4, RouteRefresh::Subtype::end});
  EXPECT_EQ(bench.fib.size(), 2U) << "an end without a beginning says nothing";

  bench.announce(1, {prefix("10.64.1.0/26")});
  refresh();
  for (int i = 0; i < 12; ++i) {  // the end never comes, the session lives
    bench.tick(1min);
    bench.say("tor1", Keepalive{});
  }
  EXPECT_EQ(bench.fib.size(), 2U);
  EXPECT_EQ(bench.status("tor1").state, PeerState::established);
}

/// Trap: what was not negotiated is neither heeded nor sent.
TEST(Speaker, ARefreshOfAKindThatWasNotNegotiatedIsNone) {
  const AfiSafi ipv4 = unicast(Family::ipv4);
  Bench bench;
  bench.marking = false;
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26"), prefix("10.64.2.0/26")});
  bench.say("tor1", RouteRefresh{ipv4, RouteRefresh::Subtype::begin});
  bench.say("tor1", RouteRefresh{ipv4, RouteRefresh::Subtype::end});
  EXPECT_EQ(bench.fib.size(), 2U) << bench.log;
  bench.say("tor1", RouteRefresh{ipv4, RouteRefresh::Subtype::request});
  EXPECT_EQ(bench.status("tor1").sent.route_refresh, 0U) << "no marks either";

  Bench older;
  older.refreshing = older.marking = false;
  older.establish(1);
  EXPECT_TRUE(older.speaker.refresh_peer("tor1", older.now));
  older.drain();
  EXPECT_EQ(older.status("tor1").sent.route_refresh, 0U);
}

TEST(Speaker, AnswersARefreshBetweenMarks) {
  Bench bench;
  bench.speaker.originate(prefix("10.64.0.0/26"), bench.now);
  bench.establish(1);
  const auto before = bench.status("tor1").sent;
  bench.say("tor1", RouteRefresh{unicast(Family::ipv4), RouteRefresh::Subtype::request});
  EXPECT_EQ(bench.status("tor1").sent.route_refresh, before.route_refresh + 2);
  EXPECT_EQ(bench.status("tor1").sent.update, before.update + 1);
}

TEST(Speaker, TheHostFilterTakesPoolsOnlyAndGivesOwnOnly) {
  Settings settings = node(2);
  settings.pools = {prefix("10.64.0.0/16")};
  for (PeerSettings& peer : settings.peers) peer.import_filter.reset();
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  bench.announce(1, {prefix("10.64.1.0/26"), prefix("172.16.0.0/12"), prefix("0.0.0.0/0")});
  EXPECT_EQ(bench.fib.size(), 1U);
  EXPECT_THAT(bench.far("tor2").table, IsEmpty()) << "a host never transits";
}

TEST(Speaker, SyncIsDoneWhenEveryPeerHasSentEndOfRib) {
  Bench bench(node(2));
  bench.establish(1);
  bench.end_of_rib("tor1", Family::ipv4);
  bench.end_of_rib("tor1", Family::ipv6);
  EXPECT_THAT(bench.syncs, IsEmpty()) << "tor2 is not even there";
  bench.establish(2);
  bench.end_of_rib("tor2", Family::ipv4);
  ASSERT_EQ(bench.syncs.size(), 1U);
  EXPECT_EQ(bench.syncs[0].family, Family::ipv4);
  EXPECT_FALSE(bench.syncs[0].timed_out);
  bench.end_of_rib("tor2", Family::ipv6);
  EXPECT_EQ(bench.syncs.size(), 2U);
  EXPECT_TRUE(bench.status("tor2").families[1].end_of_rib_received);
  EXPECT_TRUE(bench.status("tor2").families[1].end_of_rib_sent);
}

TEST(Speaker, SyncHasAnUpperBound) {
  Bench bench(node(2));
  bench.establish(1);
  bench.end_of_rib("tor1", Family::ipv4);
  bench.tick(sync_limit - 1s);
  EXPECT_THAT(bench.syncs, IsEmpty());
  bench.tick(1s);
  ASSERT_EQ(bench.syncs.size(), 2U);
  EXPECT_TRUE(bench.syncs[0].timed_out);
}

TEST(Speaker, APeerThatKnowsNoEndOfRibIsTakenForDoneAfterAWhile) {
  Bench bench;
  bench.establish(1, false);
  bench.tick(9s);
  EXPECT_THAT(bench.syncs, IsEmpty());
  bench.tick(2s);
  ASSERT_EQ(bench.syncs.size(), 2U);
  EXPECT_FALSE(bench.syncs[0].timed_out);
}

TEST(Speaker, WithoutPeersSyncIsDoneAtOnce) {
  Bench bench(node(0));
  bench.tick();
  EXPECT_EQ(bench.syncs.size(), 2U);
}

TEST(Speaker, TheOtherFamilysNextHopFollowsTheInterface) {
  Bench bench;
  bench.speaker.originate(prefix("fd64::/122"), bench.now);
  bench.establish(1);
  EXPECT_EQ(bench.far("tor1").table.at(prefix("fd64::/122")).address, address("fd00:1::1"));
  bench.subnets[1].address = address("fd00:1::99");
  bench.subnets.push_back({address("fe80::7"), prefix("fe80::/64"), 1});
  bench.speaker.connected(bench.subnets, bench.now);
  bench.drain();
  const PathNextHop via = bench.far("tor1").table.at(prefix("fd64::/122"));
  EXPECT_EQ(via.address, address("fd00:1::99"));
  EXPECT_EQ(via.link_local, address("fe80::7"));
}

TEST(Speaker, WithoutANextHopNothingOfTheFamilyIsSaidUntilThereIsOne) {
  Bench bench;
  bench.subnets.pop_back();
  bench.speaker.connected(bench.subnets, bench.now);
  bench.speaker.originate(prefix("fd64::/122"), bench.now);
  bench.establish(1);
  EXPECT_THAT(bench.far("tor1").table, IsEmpty());
  EXPECT_THAT(bench.log, HasSubstr("no ipv6 address of ours"));
  bench.subnets.push_back({address("fe80::7"), prefix("fe80::/64"), 1});
  bench.speaker.connected(bench.subnets, bench.now);
  bench.drain();
  EXPECT_EQ(bench.far("tor1").table.at(prefix("fd64::/122")).address, address("fe80::7"));
}

/// Trap: IPv6 next hops of IPv4 routes are only for who has said that it takes them (RFC 8950 4).
TEST(Speaker, WithoutAnIpv4AddressWhoTakesNoIpv6NextHopsHearsNothingOfIpv4) {
  Settings settings = node();
  settings.peers[0].address = address("fd00:1::2");
  Bench bench(settings);
  bench.subnets = {{address("fd00:1::1"), prefix("fd00:1::/64"), 1}};
  bench.speaker.connected(bench.subnets, bench.now);
  bench.speaker.originate(prefix("10.64.0.0/26"), bench.now);
  bench.speaker.originate(prefix("fd64::/122"), bench.now);
  bench.tick();
  Far& far = bench.far("tor1");
  const Open open = Bench::open_of(1);
  far.negotiated = negotiate(open.capabilities, open.capabilities);
  bench.speaker.opened(far.connection, address("fd00:1::1"), bench.now);
  bench.say("tor1", open);
  bench.say("tor1", Keepalive{});
  EXPECT_TRUE(far.table.contains(prefix("fd64::/122"))) << bench.log;
  EXPECT_FALSE(far.table.contains(prefix("10.64.0.0/26")));
  EXPECT_THAT(bench.log, HasSubstr("no ipv4 address of ours"));
}

TEST(Speaker, TooManyPrefixesEndTheSession) {
  Settings settings = node();
  settings.peers[0].prefix_limit = 10;
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, many(10));
  EXPECT_EQ(bench.status("tor1").state, PeerState::established);
  bench.announce(1, {prefix("10.64.1.0/26")});
  ASSERT_TRUE(bench.far("tor1").farewell);
  EXPECT_EQ(bench.far("tor1").farewell->fault, Fault::MaximumPrefixes);
  EXPECT_EQ(bench.far("tor1").farewell->data.size(), 7U);
  EXPECT_THAT(bench.fib, IsEmpty());
}

TEST(Speaker, AFailedPathEndsTheSessionWithItsReason) {
  Bench bench(node(2));
  bench.establish(1);
  bench.establish(2);
  const auto up = bench.speaker.take_sessions_up();
  ASSERT_EQ(up.size(), 2U);
  EXPECT_EQ(up[0], (SessionUp{"tor1", address("192.0.1.2"), address("192.0.1.1"), 1, true}));
  bench.announce(1, {prefix("10.64.0.0/26")});
  bench.speaker.path_failed("tor1", "BFD: control detection time expired", bench.now);
  bench.drain();
  EXPECT_TRUE(bench.fib.empty());
  ASSERT_TRUE(bench.far("tor1").farewell);
  EXPECT_EQ(bench.far("tor1").farewell->fault, Fault::BfdDown) << "RFC 9384";
  EXPECT_THAT(bench.status("tor1").last_error, HasSubstr("detection time expired"));
  EXPECT_EQ(bench.status("tor2").state, PeerState::established);
  bench.speaker.path_failed("tor1", "again", bench.now);  // no session, nothing to end
  bench.speaker.path_failed("nobody", "", bench.now);
  bench.tick(2s);
  bench.establish(1);
}

RuleSettings rule(const std::function<void(RuleSettings&)>& say) {
  RuleSettings made;
  say(made);
  return made;
}

TEST(Speaker, APeerWithTooManyPrefixesIsTriedAgainLater) {
  Settings settings = node();
  settings.peers[0].prefix_limit = 10;
  settings.peers[0].prefix_limit_restart = 600s;
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, many(11));
  ASSERT_TRUE(bench.far("tor1").farewell);
  const ConnectionId before = bench.far("tor1").connection;
  bench.tick(590s);
  EXPECT_EQ(bench.far("tor1").connection, before);
  EXPECT_FALSE(bench.speaker.accepted(address("192.0.1.2"), address("192.0.1.1"), bench.now));
  bench.tick(20s);
  EXPECT_NE(bench.far("tor1").connection, before);
}

TEST(Speaker, WhatIsBeyondALimitIsNotHeld) {
  Settings settings = node();
  settings.peers[0].prefix_limit = 10;
  settings.peers[0].prefix_limit_action = PrefixLimitAction::discard;
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, many(25));
  EXPECT_EQ(bench.status("tor1").state, PeerState::established);
  EXPECT_EQ(bench.fib.size(), 10U);
  EXPECT_EQ(bench.status("tor1").families[0].received, 10U);
  EXPECT_EQ(bench.status("tor1").families[0].discarded, 15U);
  EXPECT_TRUE(bench.status("tor1").families[0].passed_limit);
  EXPECT_THAT(bench.log,
              HasSubstr("25 ipv4 prefixes received, 10 accepted, prefix-limit is 10: those "
                        "beyond are not held"));
  bench.announce(1, many(10), {Asn{9}});
  EXPECT_EQ(bench.fib.size(), 10U) << "those that are held may change";
}

TEST(Speaker, ALimitThatIsLoweredOrNoLongerWarnsOnlyCountsAtOnce) {
  for (const bool lowered : {true, false}) {
    Settings settings = node();
    settings.peers[0].prefix_limit = lowered ? 30 : 10;
    if (!lowered) settings.peers[0].prefix_limit_action = PrefixLimitAction::warn;
    Bench bench(settings);
    bench.establish(1);
    bench.announce(1, many(25));
    ASSERT_EQ(bench.fib.size(), 25U);
    settings.peers[0].prefix_limit = 10;
    settings.peers[0].prefix_limit_action = PrefixLimitAction::close;
    bench.speaker.apply(settings, bench.now);
    bench.drain();
    ASSERT_TRUE(bench.far("tor1").farewell);
    EXPECT_EQ(bench.far("tor1").farewell->fault, Fault::MaximumPrefixes);
    EXPECT_THAT(bench.fib, IsEmpty());
  }
}

TEST(Speaker, WhatAFormerLimitKeptOutIsAskedForAgain) {
  Settings settings = node();
  settings.peers[0].prefix_limit = 10;
  settings.peers[0].prefix_limit_action = PrefixLimitAction::discard;
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, many(25));
  ASSERT_EQ(bench.status("tor1").families[0].discarded, 15U);
  settings.peers[0].prefix_limit.reset();
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_EQ(bench.status("tor1").sent.route_refresh, 1U) << "of IPv4 alone";
  EXPECT_EQ(bench.status("tor1").families[0].discarded, 0U);
  EXPECT_FALSE(bench.status("tor1").families[0].passed_limit);
  bench.announce(1, many(25));
  EXPECT_EQ(bench.fib.size(), 25U);
}

TEST(Speaker, ALimitCountsWhatPolicyLetsIn) {
  Settings settings = node();
  settings.policies = {{"in", {rule([](auto& r) {
                          r.match.prefixes = {*PrefixRange::parse("10.64.0.0/16 le 32")};
                        })}}};
  settings.peers[0].import_filter = Filter{"in"};
  settings.peers[0].accepted_prefix_limit = 1;
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, many(5));
  bench.announce(1, {prefix("10.64.1.0/26")});
  EXPECT_EQ(bench.status("tor1").state, PeerState::established);
  settings.policies[0].rules[0].match = {};
  bench.speaker.apply(settings, bench.now);
  bench.tick();
  EXPECT_NE(bench.status("tor1").state, PeerState::established) << "a change of policy counts, too";
  EXPECT_THAT(bench.fib, IsEmpty());
}

TEST(Speaker, ALimitMayOnlyWarn) {
  Settings settings = node();
  settings.peers[0].prefix_limit = 10;
  settings.peers[0].prefix_limit_action = PrefixLimitAction::warn;
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, many(25));
  EXPECT_EQ(bench.fib.size(), 25U);
  EXPECT_TRUE(bench.status("tor1").families[0].passed_limit);
}

TEST(Speaker, RolesHaveToFit) {
  Settings settings = node();
  settings.peers[0].role = Role::customer;
  const auto refused = [&](std::optional<Role> theirs, bool strict) {
    settings.peers[0].role_strict = strict;
    Bench bench(settings);
    bench.tick();
    Open open = Bench::open_of(1);
    open.capabilities.role = theirs;
    bench.speaker.opened(bench.far("tor1").connection, address("192.0.1.1"), bench.now);
    bench.drain();
    bench.say("tor1", open);
    const auto& farewell = bench.far("tor1").farewell;
    EXPECT_TRUE(!farewell || farewell->fault == Fault::RoleMismatch);
    return farewell.has_value();
  };
  EXPECT_FALSE(refused(Role::provider, false));
  EXPECT_FALSE(refused(Role::provider, true));
  EXPECT_TRUE(refused(Role::customer, false));
  EXPECT_TRUE(refused(Role::peer, true));
  EXPECT_FALSE(refused(std::nullopt, false));
  EXPECT_TRUE(refused(std::nullopt, true));
}

TEST(Speaker, LinkDownTakesTheSessionsOverItAtOnce) {
  Bench bench(node(2));
  bench.establish(1);
  bench.establish(2);
  bench.announce(1, {prefix("10.64.1.0/26")});
  bench.announce(2, {prefix("10.64.1.0/26")});
  bench.speaker.link_down(1, bench.now);
  bench.drain();
  EXPECT_NE(bench.status("tor1").state, PeerState::established);
  EXPECT_TRUE(bench.far("tor1").closed);
  EXPECT_EQ(bench.status("tor2").state, PeerState::established);
  EXPECT_EQ(bench.fib.at(prefix("10.64.1.0/26")).size(), 1U);
}

// A peer one hop away, of whichever AS; one that is further away may be reached by another link.
TEST(Speaker, LinkDownTakesInternalSessionsTooAndNoneThatIsFurtherAway) {
  Settings settings = node(4);
  settings.peers[0].remote_as = Asn{65001};
  settings.peers[1].remote_as = Asn{65001};
  settings.peers[1].multihop = 2;
  settings.peers[2].multihop = 2;
  settings.peers[3].bind_interface = "eth4";
  Bench bench(settings);
  const auto up = [&](int number) {
    if (number > 2) return bench.establish(number);
    const std::string name = "tor" + std::to_string(number);
    bench.tick();
    Far& far = bench.far(name);
    Open open = Bench::open_of(number);
    open.asn = Asn{65001};
    open.capabilities.four_octet_as = open.asn;
    far.negotiated = negotiate(open.capabilities, open.capabilities);
    bench.speaker.opened(far.connection,
                         address(("192.0." + std::to_string(number) + ".1").c_str()), bench.now);
    bench.say(name, open);
    bench.say(name, Keepalive{});
  };
  const auto state = [&](int number) {
    return bench.status("tor" + std::to_string(number)).state == PeerState::established;
  };
  for (const int number : {1, 2, 3, 4}) {
    up(number);
    ASSERT_TRUE(state(number)) << number << "\n" << bench.log;
  }
  // The kernel tells of lost addresses before it tells of the link.
  std::vector<ConnectedSubnet> left = bench.subnets;
  std::erase_if(left, [](const ConnectedSubnet& subnet) { return subnet.ifindex == 1; });
  bench.speaker.connected(left, bench.now);
  for (const std::uint32_t link : {1U, 2U, 3U}) bench.speaker.link_down(link, bench.now);
  bench.speaker.link_down(9, bench.now, "eth4");
  bench.drain();
  EXPECT_FALSE(state(1)) << "internal, one hop away";
  EXPECT_TRUE(state(2)) << "internal, further away";
  EXPECT_TRUE(state(3)) << "external, further away";
  EXPECT_FALSE(state(4)) << "bound to the link, whatever its addresses say";
}

// Bound to another link, it would wait for answers that cannot come.
TEST(Speaker, AConnectionOverAnotherLinkThanTheOneAskedForIsRefused) {
  Settings settings = node();
  settings.peers[0].passive = true;
  settings.peers[0].bind_interface = "eth1";
  Bench bench(settings);
  bench.tick();
  const auto come = [&](std::string_view over) {
    return bench.speaker.accepted(address("192.0.1.2"), address("192.0.1.1"), bench.now, 0, over)
        .has_value();
  };
  EXPECT_FALSE(come("eth2"));
  bench.drain();
  const std::string why = "a connection over eth2 is refused: bind-interface is eth1";
  EXPECT_THAT(bench.status("tor1").last_error, HasSubstr(why));
  EXPECT_THAT(bench.log, HasSubstr(why));
  EXPECT_TRUE(come("eth1"));
  EXPECT_TRUE(come("")) << "the kernel does not say";
}

// Pain R23: untouched peers stay up.
TEST(Speaker, ApplyTouchesOnlyWhatChanged) {
  Settings settings = node(3);
  Bench bench(settings);
  for (int i = 1; i <= 3; ++i) bench.establish(i);
  bench.speaker.apply(settings, bench.now);
  EXPECT_THAT(bench.speaker.take_actions(), IsEmpty());

  settings.peers[0].description = "top of rack";
  settings.peers[1].hold_time = 30s;
  settings.peers.erase(settings.peers.begin() + 2);
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_EQ(bench.status("tor1").state, PeerState::established);
  EXPECT_EQ(bench.status("tor1").description, "top of rack");
  EXPECT_EQ(bench.far("tor2").farewell->fault, Fault::OtherConfigurationChange);
  EXPECT_EQ(bench.far("tor3").farewell->fault, Fault::PeerDeconfigured);
  EXPECT_EQ(bench.speaker.peers().size(), 2U);

  settings.peers.push_back(peer_of(3));
  bench.speaker.apply(settings, bench.now);
  bench.establish(3);
  settings.peers[0].shutdown = true;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_EQ(bench.far("tor1").farewell->fault, Fault::AdministrativeShutdown);
}

TEST(Speaker, RoutesMoveToAnotherTableWhileTheSessionStays) {
  Settings settings = node(2);
  settings.peers[0].import_filter = Filter::accept;
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26"), prefix("10.64.2.0/26")});
  EXPECT_EQ(bench.speaker.placement(prefix("10.64.1.0/26")), Placement{});
  const std::size_t before = bench.changes;
  settings.peers[0].table = 100;
  settings.peers[0].metric = 33;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_EQ(bench.changes, before + 2);
  EXPECT_EQ(bench.fib.size(), 2U);
  bench.speaker.selected([&](const Prefix&, RouteKind, NextHopSet set) {
    EXPECT_EQ(bench.speaker.placement(set), (Placement{100, 33}));
  });
  EXPECT_EQ(bench.status("tor1").established_count, 1U);
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_EQ(bench.changes, before + 2) << "the same again is no change";
}

// RFC 4271 9.2.2.2; RFC 9774: the paths of what is inside are left out, no AS_SET stands for them.
TEST(Speaker, AnAggregateStandsForWhatIsInside) {
  Settings settings = node(2);
  settings.peers[1].export_filter = Filter::accept;
  AggregateSettings aggregate;
  aggregate.what.prefix = prefix("10.64.0.0/16");
  aggregate.summary_only = true;
  settings.aggregates = {aggregate};
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  const Far& far = bench.far("tor2");
  bench.announce(1, {prefix("10.64.1.0/26"), prefix("10.65.1.0/26")});
  EXPECT_EQ(far.paths.at(prefix("10.64.0.0/16")), "65001");
  EXPECT_TRUE(far.attributes.at(prefix("10.64.0.0/16")).atomic_aggregate);
  EXPECT_EQ(far.attributes.at(prefix("10.64.0.0/16")).aggregator,
            (Aggregator{settings.asn, settings.router_id}));
  EXPECT_FALSE(far.table.contains(prefix("10.64.1.0/26")));
  EXPECT_TRUE(far.table.contains(prefix("10.65.1.0/26")));
  settings.peers[1].unsuppress = true;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_TRUE(far.table.contains(prefix("10.64.1.0/26"))) << "for this peer";
  settings.peers[1].unsuppress = false;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_FALSE(far.table.contains(prefix("10.64.1.0/26")));
  settings.aggregates[0].summary_only = false;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_TRUE(far.table.contains(prefix("10.64.1.0/26")));
  EXPECT_EQ(bench.status("tor2").established_count, 1U);
  settings.aggregates[0].summary_only = true;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_FALSE(far.table.contains(prefix("10.64.1.0/26")));
  EXPECT_TRUE(far.table.contains(prefix("10.64.0.0/16")));
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  EXPECT_THAT(far.table, IsEmpty());
}

TEST(Speaker, OriginatesADefaultRouteForThePeerThatIsToHaveOne) {
  Settings settings = node(2);
  settings.peers[0].default_originate.on = true;
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  EXPECT_EQ(bench.far("tor1").table.at(prefix("0.0.0.0/0")).address, address("192.0.1.1"));
  EXPECT_EQ(bench.far("tor1").paths.at(prefix("0.0.0.0/0")), "65001");
  EXPECT_TRUE(bench.far("tor1").table.contains(prefix("::/0")));
  EXPECT_THAT(bench.far("tor2").table, IsEmpty());
  EXPECT_EQ(bench.changes, 0U) << "the FIB hears nothing of it";
  EXPECT_EQ(bench.speaker.route(prefix("0.0.0.0/0"))->kind, RouteKind::none);

  bench.announce(2, {prefix("0.0.0.0/0")});
  EXPECT_EQ(bench.fib.at(prefix("0.0.0.0/0")).size(), 1U) << "what is learned is used";
  EXPECT_EQ(bench.far("tor1").paths.at(prefix("0.0.0.0/0")), "65001");

  settings.peers[0].default_originate.on = false;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_THAT(bench.far("tor1").table, IsEmpty());
  EXPECT_EQ(bench.status("tor1").established_count, 1U);
}

TEST(Speaker, ADefaultRouteMayDependOnAnotherRoute) {
  Settings settings = node(2);
  settings.peers[0].default_originate = {true, prefix("10.9.0.0/16")};
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  EXPECT_THAT(bench.far("tor1").table, IsEmpty());
  bench.announce(2, {prefix("10.9.0.0/16")});
  EXPECT_TRUE(bench.far("tor1").table.contains(prefix("0.0.0.0/0")));
  EXPECT_TRUE(bench.far("tor1").table.contains(prefix("::/0")));
  bench.announce(2, {prefix("10.9.0.0/16")}, {Asn{65001}});  // a loop: not to be used
  EXPECT_THAT(bench.far("tor1").table, IsEmpty());
}

// Or two nodes that do so for each other keep it up after the way out has gone.
TEST(Speaker, ADefaultRouteIsNotToldToWhoeverItDependsOn) {
  Settings settings = node(2);
  for (PeerSettings& each : settings.peers) each.default_originate = {true, prefix("10.9.0.0/16")};
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  const auto is_told = [&](const char* peer) {
    return bench.far(peer).table.contains(prefix("0.0.0.0/0"));
  };
  bench.announce(1, {prefix("10.9.0.0/16")});
  EXPECT_FALSE(is_told("tor1"));
  EXPECT_TRUE(is_told("tor2"));
  bench.announce(2, {prefix("10.9.0.0/16")}, {Asn{65102}, Asn{65200}});
  EXPECT_FALSE(is_told("tor1"));
  EXPECT_TRUE(is_told("tor2"));
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  EXPECT_FALSE(is_told("tor2")) << "the condition holds by its own route now";
}

// One thing leads to the other at once, not with whatever happens next.
TEST(Speaker, AnAnnouncementWithAConditionMakesTheAggregateAroundIt) {
  Settings settings = node(2);
  AggregateSettings aggregate;
  aggregate.what.prefix = prefix("10.64.0.0/16");
  settings.aggregates = {aggregate};
  AnnouncementSettings service;
  service.what.prefix = prefix("10.64.1.1/32");
  service.when_route = prefix("10.0.0.0/8");
  settings.announcements = {service};
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  bench.tick();
  const Far& far = bench.far("tor2");
  ASSERT_FALSE(far.table.contains(aggregate.what.prefix));

  bench.announce(1, {*service.when_route});
  bench.tick();
  EXPECT_TRUE(far.table.contains(service.what.prefix));
  EXPECT_TRUE(far.table.contains(aggregate.what.prefix));
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  bench.tick();
  EXPECT_FALSE(far.table.contains(service.what.prefix));
  EXPECT_FALSE(far.table.contains(aggregate.what.prefix));
}

TEST(Speaker, EndOfRibWaitsForAggregatesAndServices) {
  Settings settings = node(1);
  settings.peers[0].export_filter = Filter::accept;
  AggregateSettings aggregate;
  aggregate.what.prefix = prefix("10.64.0.0/16");
  settings.aggregates = {aggregate};
  AnnouncementSettings service;
  service.what.prefix = prefix("2001:db8::7/128");
  service.health_command = "true";
  settings.announcements = {service};
  Bench bench(settings);
  bench.speaker.wait_for_install(true, bench.now);
  bench.speaker.originate(prefix("10.64.1.0/26"), bench.now);
  bench.establish(1);
  const Far& far = bench.far("tor1");
  EXPECT_TRUE(far.table.contains(prefix("10.64.1.0/26")));
  EXPECT_THAT(far.ended, IsEmpty());
  bench.speaker.covered(aggregate.what.prefix, bench.now);
  bench.drain();
  EXPECT_TRUE(far.table.contains(aggregate.what.prefix));
  EXPECT_THAT(far.ended, ElementsAre(Family::ipv4));
  bench.speaker.health(service.what.prefix, {}, bench.now);
  bench.drain();
  EXPECT_TRUE(far.table.contains(service.what.prefix));
  EXPECT_THAT(far.ended, ElementsAre(Family::ipv4, Family::ipv6));
}

TEST(Speaker, AnnouncesWhileItsConditionsHold) {
  Settings settings = node(2);
  AnnouncementSettings service;
  service.what.prefix = prefix("192.0.2.7/32");
  service.when_route = prefix("10.9.0.0/16");
  service.health_file = "/run/well";
  AnnouncementSettings backup;
  backup.what.prefix = prefix("10.10.0.0/16");
  backup.unless_route = prefix("10.9.0.0/16");
  settings.announcements = {service, backup};
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  const Far& far = bench.far("tor1");
  EXPECT_THAT(far.table, IsEmpty()) << "a peer may still say that 10.9.0.0/16 is there";
  for (const char* each : {"tor1", "tor2"}) {
    bench.end_of_rib(each, Family::ipv4);
    bench.end_of_rib(each, Family::ipv6);
  }
  bench.tick();
  EXPECT_TRUE(far.table.contains(backup.what.prefix));
  bench.announce(2, {prefix("10.9.0.0/16")});
  EXPECT_THAT(far.table, IsEmpty());
  bench.speaker.health(service.what.prefix, {}, bench.now);
  bench.drain();
  EXPECT_TRUE(far.table.contains(service.what.prefix));
  bench.speaker.health(service.what.prefix, "ill", bench.now);
  bench.drain();
  EXPECT_THAT(far.table, IsEmpty());
}

TEST(Speaker, AnExportFilterChangesWithoutAReset) {
  Settings settings = node(2);
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  bench.announce(1, {prefix("10.64.1.0/26")});
  EXPECT_THAT(bench.far("tor2").table, IsEmpty());
  settings.peers[1].export_filter = Filter::accept;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_EQ(bench.far("tor2").paths.at(prefix("10.64.1.0/26")), "65001 65101");
  settings.peers[1].export_filter = Filter::host;
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_THAT(bench.far("tor2").table, IsEmpty());
  EXPECT_EQ(bench.status("tor2").established_count, 1U);
}

TEST(Speaker, AnImportPolicyIsAppliedAgainToWhatWasReceived) {
  Settings settings = node();
  settings.policies = {{"in", {rule([](auto& r) {
                          r.match.prefixes = {*PrefixRange::parse("10.64.0.0/16 le 32")};
                          r.set.local_pref = 50;
                          r.set.next_hop = address("192.0.1.9");
                        })}}};
  settings.peers[0].import_filter = Filter{"in"};
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26"), prefix("172.16.0.0/12")});
  const auto route = [&](const char* text) {
    return bench.speaker.route(prefix(text))->paths.at(0);
  };
  EXPECT_EQ(route("10.64.1.0/26").local_pref, 50U);
  EXPECT_EQ(bench.fib.at(prefix("10.64.1.0/26")).at(0).gateway, address("192.0.1.9"));
  EXPECT_THAT(route("172.16.0.0/12").lost_at, HasSubstr("policy in, no rule matched"));
  EXPECT_EQ(bench.speaker.policies().at(0).rules.at(0).import_hits, 1U);
  EXPECT_EQ(bench.speaker.policies().at(0).import_unmatched, 1U);

  settings.policies[0].rules = {rule([](auto& r) { r.set.med = 7; })};
  bench.speaker.apply(settings, bench.now);
  bench.tick();
  EXPECT_EQ(route("10.64.1.0/26").local_pref, std::nullopt) << "what the old policy set is gone";
  EXPECT_EQ(route("10.64.1.0/26").med, 7U);
  EXPECT_EQ(bench.fib.at(prefix("10.64.1.0/26")).at(0).gateway, address("192.0.1.2"));
  EXPECT_EQ(bench.fib.size(), 2U) << "what was refused is taken without asking the peer again";

  settings.peers[0].import_filter = Filter::host;
  bench.speaker.apply(settings, bench.now);
  bench.tick();
  EXPECT_THAT(bench.fib, IsEmpty());
  settings.peers[0].import_filter = Filter::accept;
  bench.speaker.apply(settings, bench.now);
  bench.tick();
  EXPECT_EQ(route("10.64.1.0/26").med, std::nullopt);
  EXPECT_EQ(bench.status("tor1").established_count, 1U);
  EXPECT_EQ(bench.status("tor1").sent.route_refresh, 0U);
}

TEST(Speaker, ALargeTableIsGoneThroughInSlices) {
  Settings settings = node();
  settings.policies = {{"in", {rule([](auto&) {})}},
                       {"none", {rule([](auto& r) { r.then = RuleVerdict::reject; })}}};
  settings.peers[0].import_filter = Filter{"in"};
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, many(5000));
  bench.tick();
  ASSERT_EQ(bench.status("tor1").families[0].accepted, 5000U);
  settings.peers[0].import_filter = Filter{"none"};
  bench.speaker.apply(settings, bench.now);
  EXPECT_GT(bench.status("tor1").families[0].accepted, 3000U) << "not all in one go";
  EXPECT_LT(bench.status("tor1").families[0].accepted, 5000U);
  EXPECT_LT(bench.speaker.deadline(), bench.now) << "and the rest is due";
  bench.tick();
  EXPECT_EQ(bench.status("tor1").families[0].accepted, 0U);
  EXPECT_GT(bench.speaker.deadline(), bench.now);
}

TEST(Speaker, AnExportPolicySaysWhatGoesOutAndHow) {
  Settings settings = node(2);
  settings.policies = {{"out",
                        {rule([](auto& r) {
                           r.match.peers = {"tor1"};
                           r.match.prefixes = {*PrefixRange::parse("10.64.0.0/16 le 32")};
                           r.set.med = 5;
                           r.set.prepend = 2;
                           r.set.next_hop = NextHopRewrite::unchanged;
                           r.set.add_communities = {*CommunityPattern::parse("65001:7")};
                         }),
                         rule([](auto& r) { r.match.sources = {RouteOrigin::local}; })}}};
  settings.peers[1].export_filter = Filter{"out"};
  Bench bench(settings);
  bench.speaker.originate(prefix("10.65.0.0/26"), bench.now);
  bench.establish(1);
  bench.establish(2);
  bench.announce(1, {prefix("10.64.1.0/26"), prefix("172.16.0.0/12")});
  Far& tor2 = bench.far("tor2");
  ASSERT_EQ(tor2.table.size(), 2U);
  EXPECT_EQ(tor2.paths.at(prefix("10.64.1.0/26")), "65001 65001 65001 65101");
  EXPECT_EQ(tor2.attributes.at(prefix("10.64.1.0/26")).med, 5U);
  EXPECT_TRUE(tor2.attributes.at(prefix("10.64.1.0/26")).has(Community{65001U << 16 | 7}));
  EXPECT_EQ(tor2.table.at(prefix("10.64.1.0/26")).address, address("192.0.1.2"));
  EXPECT_EQ(tor2.paths.at(prefix("10.65.0.0/26")), "65001");

  settings.policies[0].rules.erase(settings.policies[0].rules.begin());
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_EQ(tor2.table.size(), 1U);
  EXPECT_EQ(bench.status("tor2").established_count, 1U);
}

// Pain R4, R5: the default exit keeps what peers and kernel have.
TEST(Speaker, StoppingQuietlySaysNothingAndChangesNoRoute) {
  Bench bench;
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26")});
  bench.speaker.stop(false, "", bench.now);
  bench.drain();
  EXPECT_TRUE(bench.far("tor1").closed);
  EXPECT_FALSE(bench.far("tor1").farewell);
  EXPECT_EQ(bench.fib.size(), 1U);
  EXPECT_EQ(bench.speaker.deadline(), Time::max());
  EXPECT_FALSE(bench.speaker.accepted(address("192.0.1.2"), address("192.0.1.1"), bench.now));
}

TEST(Speaker, StoppingWithCeaseSaysWhy) {
  Bench bench;
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26")});
  bench.speaker.stop(true, "rebooting", bench.now);
  bench.drain();
  ASSERT_TRUE(bench.far("tor1").farewell);
  EXPECT_EQ(shutdown_text(*bench.far("tor1").farewell), "rebooting");
  EXPECT_EQ(bench.fib.size(), 1U);
}

TEST(Speaker, ARefreshedPeerHearsEverythingAgain) {
  Bench bench;
  bench.speaker.originate(prefix("10.64.0.0/26"), bench.now);
  bench.establish(1);
  bench.far("tor1").table.clear();
  bench.say("tor1", RouteRefresh{unicast(Family::ipv4)});
  EXPECT_TRUE(bench.far("tor1").table.contains(prefix("10.64.0.0/26")));
}

// Trap 11: a peer that never reads costs no memory, and finds the last state when it reads again.
TEST(Speaker, ChangesCoalesceForAPeerThatDoesNotRead) {
  Bench bench;
  bench.establish(1);
  bench.reading = false;
  const int before = bench.far("tor1").updates;
  for (int i = 0; i < 1000; ++i) {
    bench.speaker.originate(prefix("10.64.0.0/26"), bench.now);
    bench.drain();
    bench.speaker.withdraw(prefix("10.64.0.0/26"), bench.now);
    bench.drain();
  }
  bench.speaker.originate(prefix("10.64.0.64/26"), bench.now);
  bench.drain();
  bench.take(bench.far("tor1").connection);
  EXPECT_LE(bench.far("tor1").updates - before, 3);
  EXPECT_EQ(bench.far("tor1").table.size(), 1U);
}

// A large table is taken in slices: between two of them the driver serves everybody else.
/// Trap: what a peer does a thousand times a minute is not said a thousand times.
TEST(Speaker, APathLimitThatIsPassedAgainAndAgainFillsNoLog) {
  Settings settings = node();
  settings.path_limit = 5;
  settings.path_limit_action = PathLimitAction::warn;
  Bench bench(settings);
  bench.establish(1);
  const auto withdraw = [&] {
    std::vector<Nlri> nlri;
    for (const Prefix& each : many(6)) nlri.push_back({each, 0});
    std::vector<std::byte> bytes;
    static_cast<void>(
        encode_withdrawal(unicast(Family::ipv4), nlri, bench.far("tor1").negotiated, bytes));
    bench.say("tor1", bytes);
  };
  for (int i = 0; i < 1000; ++i) {
    bench.announce(1, many(6));
    withdraw();
  }
  const auto lines = [&] { return std::count(bench.log.begin(), bench.log.end(), '\n'); };
  EXPECT_LT(lines(), 100);
  EXPECT_THAT(bench.log, HasSubstr("6 paths of all peers are held: bgp.path-limit is 5"));
  bench.now += 61s;
  bench.announce(1, many(6));
  EXPECT_THAT(bench.log, HasSubstr("lines held back before this"));
}

TEST(Speaker, LosingALargePeerIsDoneInSlices) {
  Bench bench;
  bench.establish(1);
  bench.announce(1, many(50'000));
  bench.tick();
  EXPECT_EQ(bench.fib.size(), 50'000U);
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.changes = 0;
  bench.drain();
  EXPECT_LT(bench.changes, 20'000U);
  EXPECT_LT(bench.speaker.deadline(), bench.now);
  bench.tick();
  EXPECT_THAT(bench.fib, IsEmpty());
}

// All peers together: nobody's paths make room for another's, and no session ends for it.
TEST(Speaker, TheTableHoldsNoMorePathsThanItsLimit) {
  Settings settings = node(2);
  settings.path_limit = 5;
  Bench bench(settings);
  bench.establish(1);
  bench.establish(2);
  for (std::uint32_t i = 0; i < 9; ++i)
    bench.speaker.originate(Prefix(Address::ipv4(0x0a400000U + (i << 6)), 26), bench.now);
  bench.announce(1, many(4));
  EXPECT_FALSE(bench.speaker.path_limit().passed);
  bench.announce(2, many(4));
  EXPECT_EQ(bench.status("tor1").families[0].received, 4U);
  EXPECT_EQ(bench.status("tor2").families[0].received, 1U);
  EXPECT_EQ(bench.status("tor2").families[0].unheld, 3U);
  EXPECT_EQ(bench.status("tor2").state, PeerState::established);
  EXPECT_TRUE(bench.speaker.path_limit().passed);
  EXPECT_EQ(bench.speaker.path_limit().paths, 5U);
  EXPECT_THAT(bench.log, HasSubstr("5 paths of all peers are held, as many as bgp.path-limit says: "
                                   "more are not held, of peer tor2 first"));
  bench.announce(1, many(4), {Asn{65009}});
  EXPECT_EQ(bench.status("tor1").families[0].unheld, 0U) << "another version takes no room";
  EXPECT_EQ(bench.speaker.route(many(1)[0])->paths.at(0).as_path, "65102");
  const std::uint64_t refreshes = bench.status("tor2").sent.route_refresh;
  bench.tick(80s);
  EXPECT_EQ(bench.status("tor2").sent.route_refresh, refreshes) << "there is no room";
}

TEST(Speaker, WhatTheLimitOfAllKeptOutIsAskedForAgain) {
  Settings settings = node(2);
  settings.path_limit = 5;
  Bench bench(settings);
  bench.establish(1, false);
  bench.establish(2);
  bench.announce(1, many(4));
  bench.announce(2, many(4));
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  const auto asked = [&] { return bench.status("tor2").sent.route_refresh; };
  bench.tick(59s);
  EXPECT_EQ(asked(), 0U) << "at most once a minute";
  bench.tick(1s);
  EXPECT_EQ(asked(), 1U);
  EXPECT_FALSE(bench.speaker.path_limit().passed);
  EXPECT_THAT(bench.log, HasSubstr("there is room again below bgp.path-limit, 5"));
  bench.announce(2, many(4));
  EXPECT_EQ(bench.status("tor2").families[0].received, 4U);
  EXPECT_EQ(bench.status("tor2").families[0].unheld, 0U);

  bench.announce(2, many(9));
  EXPECT_EQ(bench.status("tor2").families[0].received, 5U);
  settings.path_limit.reset();
  bench.speaker.apply(settings, bench.now);
  bench.drain();
  EXPECT_EQ(asked(), 2U) << "a limit that is taken away asks at once";
}

TEST(Speaker, TheLimitOfAllMayOnlyWarn) {
  Settings settings = node(1);
  settings.path_limit = 20;
  settings.path_limit_action = PathLimitAction::warn;
  Bench bench(settings);
  bench.establish(1);
  bench.announce(1, many(25));
  EXPECT_EQ(bench.status("tor1").families[0].received, 25U);
  EXPECT_TRUE(bench.speaker.path_limit().passed);
  const std::string said = "25 paths of all peers are held: bgp.path-limit is 20";
  EXPECT_THAT(bench.log, HasSubstr(said));
  bench.announce(1, many(26));
  EXPECT_EQ(bench.log.find("bgp.path-limit"), bench.log.rfind("bgp.path-limit")) << "said once";
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  bench.tick();
  EXPECT_FALSE(bench.speaker.path_limit().passed);
}

// The same for what a peer that came back has not said again.
TEST(Speaker, WhatIsStaleIsSweptInSlices) {
  Bench bench;
  bench.preserving = true;
  bench.establish(1);
  bench.announce(1, many(50'000));
  bench.tick();
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  EXPECT_EQ(bench.status("tor1").families[0].stale, 50'000U) << "marked at once";
  bench.drain();
  bench.tick(10s);
  bench.establish(1);
  bench.announce(1, many(3));
  bench.tick();
  EXPECT_EQ(bench.status("tor1").families[0].stale, 49'997U);
  bench.changes = 0;
  bench.end_of_rib("tor1", Family::ipv4);
  EXPECT_GT(bench.changes, 10'000U);
  EXPECT_LT(bench.changes, 20'000U) << "not all in one go";
  EXPECT_LT(bench.speaker.deadline(), bench.now) << "and the rest is due";
  // Said again before the sweep came to it: it stays.
  bench.announce(1, {many(50'000).back()});
  bench.tick();
  EXPECT_EQ(bench.fib.size(), 4U);
  EXPECT_EQ(bench.status("tor1").families[0].stale, 0U);
  EXPECT_EQ(bench.status("tor1").families[0].received, 4U);
}

// Lost once more before all of that is done: what it had not said again goes, the rest is kept.
TEST(Speaker, ASweepThatALossInterruptsEndsBeforeTheNextMark) {
  Bench bench;
  bench.preserving = true;
  bench.establish(1);
  bench.announce(1, many(50'000));
  bench.tick();
  for (int life = 0; life < 2; ++life) {
    bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
    bench.drain();
    if (life == 1) break;
    bench.tick(10s);
    bench.establish(1);
    bench.announce(1, many(3));
    bench.end_of_rib("tor1", Family::ipv4);
  }
  bench.tick();
  EXPECT_EQ(bench.fib.size(), 3U);
  EXPECT_EQ(bench.status("tor1").families[0].stale, 3U);
  EXPECT_EQ(bench.status("tor1").families[0].received, 3U);
}

TEST(Speaker, ALargeTableGrowsOldInSlices) {
  Settings settings = node();
  settings.peers[0].long_lived_stale_time = 3600s;
  Bench bench(settings);
  bench.preserving = true;
  bench.establish(1);
  bench.announce(1, many(50'000));
  bench.tick();
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  bench.tick(119s);
  const auto old = [&](std::size_t which) {
    const auto route = bench.speaker.route(many(50'000)[which]);
    return route && !route->paths.empty() &&
           testing::Matches(testing::Contains("llgr-stale"))(route->paths[0].communities);
  };
  bench.now += 2s;
  bench.speaker.tick(bench.now);
  EXPECT_TRUE(old(0));
  EXPECT_FALSE(old(49'999)) << "not all in one go";
  EXPECT_LT(bench.speaker.deadline(), bench.now) << "and the rest is due";
  bench.tick();
  EXPECT_TRUE(old(49'999));
  EXPECT_EQ(bench.fib.size(), 50'000U);
  EXPECT_EQ(bench.status("tor1").families[0].stale, 50'000U);
  bench.establish(1);
  bench.announce(1, many(50'000));
  bench.tick();
  EXPECT_FALSE(old(0) || old(49'999));
}

// The sanitizers see whether what was held for the next slice outlives the tables.
TEST(Speaker, MayEndWhileATableGrowsOld) {
  Settings settings = node();
  settings.peers[0].long_lived_stale_time = 3600s;
  Bench bench(settings);
  bench.preserving = true;
  bench.establish(1);
  bench.announce(1, many(20'000));
  bench.tick();
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  bench.tick(119s);
  bench.now += 2s;
  bench.speaker.tick(bench.now);
  EXPECT_LT(bench.speaker.deadline(), bench.now) << "there is more to do";
}

// What leads through a peer that is gone is told before its routes are.
TEST(Speaker, TellsOfALostGatewayBeforeTheWork) {
  Bench bench(node(2));
  bench.establish(1);
  bench.announce(1, many(40000));
  bench.tick();
  EXPECT_THAT(bench.speaker.take_gateway_changes(), IsEmpty());
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  const GatewayChange lost{address("192.0.1.2"), 1, false, true};
  EXPECT_THAT(bench.speaker.take_gateway_changes(), ElementsAre(lost));
  EXPECT_THAT(bench.speaker.take_route_changes(), IsEmpty());
  EXPECT_LE(bench.speaker.deadline(), bench.now);
  // It ends when the RIB has caught up, behind the routes.
  const GatewayChange over{address("192.0.1.2"), 1, true};
  for (int ticks = 0; ticks < 100 && bench.speaker.deadline() <= bench.now; ++ticks) {
    bench.speaker.tick(bench.now);
    const auto gateways = bench.speaker.take_gateway_changes();
    EXPECT_EQ(!gateways.empty(), bench.fib.empty());
    if (!gateways.empty()) {
      EXPECT_THAT(gateways, ElementsAre(over));
      EXPECT_GT(bench.speaker.deadline(), bench.now) << "whoever waits for more to come waits on";
    }
    bench.drain();
  }
  EXPECT_THAT(bench.fib, IsEmpty());
}

// Its group may only go with all of its routes when not one of them has another way.
TEST(Speaker, AGatewayIsLostForGoodWhenNoPrefixHasAnotherPath) {
  const Prefix shared = prefix("10.64.1.0/26");
  const Prefix own = prefix("10.64.2.0/26");
  for (const bool other : {false, true}) {
    Bench bench(node(2));
    for (const int number : {1, 2}) bench.establish(number);
    bench.announce(1, {shared, own});
    bench.announce(2, {prefix("10.64.3.0/26")});
    if (other) bench.announce(2, {shared});
    bench.tick();
    bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
    const GatewayChange lost{address("192.0.1.2"), 1, false, !other};
    const auto told = bench.speaker.take_gateway_changes();
    ASSERT_FALSE(told.empty());
    EXPECT_EQ(told.front(), lost) << other;
  }
}

// A router sends our own block back, and an import policy prefers what comes from it: were that the
// better route, we would stop to announce the block, so that it went, so that we announced it
// again.
TEST(Speaker, WhatIsOriginatedStaysWhateverAPolicyPrefers) {
  Settings settings = node();
  RuleSettings better;
  better.set.local_pref = 200;
  settings.policies = {{"better", {better}}};
  settings.peers[0].import_filter = Filter{"better"};
  settings.peers[0].allow_own_as = 1;
  Bench bench(settings);
  const Prefix block = prefix("10.64.0.0/26");
  bench.speaker.originate(block, bench.now);
  bench.establish(1);
  const auto updates = bench.status("tor1").sent.update;
  bench.announce(1, {block}, {Asn{65001}});
  bench.tick();
  EXPECT_EQ(bench.speaker.route(block)->kind, RouteKind::local);
  EXPECT_EQ(bench.speaker.route(block)->paths.size(), 2U);
  EXPECT_EQ(bench.status("tor1").sent.update, updates) << "nothing has changed";
  EXPECT_THAT(bench.fib, IsEmpty());
}

// Another peer's routes may lead there, too; and what is not decided yet may be in the kernel.
TEST(Speaker, AGatewayIsNotLostForGoodWhereOthersMayNeedIt) {
  enum class Why { nothing, named_by_another, undecided };
  for (const Why why : {Why::nothing, Why::named_by_another, Why::undecided}) {
    Bench bench(node(2));
    for (const int number : {1, 2}) bench.establish(number);
    bench.announce(1, {prefix("10.64.1.0/26")});
    bench.tick();
    if (why == Why::named_by_another) bench.announce(2, {prefix("10.64.3.0/26")}, {}, "192.0.1.2");
    if (why == Why::undecided) {
      bench.announce(2, many(50'000));
      bench.tick();
      bench.subnets.erase(bench.subnets.begin() + 2);  // more than is decided at once hangs on it
      bench.speaker.connected(bench.subnets, bench.now);
      bench.drain();
      static_cast<void>(bench.speaker.take_gateway_changes());
    }
    bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
    const auto told = bench.speaker.take_gateway_changes();
    ASSERT_FALSE(told.empty());
    EXPECT_EQ(told.front(), (GatewayChange{address("192.0.1.2"), 1, false, why == Why::nothing}))
        << static_cast<int>(why);
  }
}

// A session that is back before its last life is cleared away mixes nothing.
TEST(Speaker, APeerThatReturnsAtOnceFindsNothingOfItself) {
  Bench bench;
  bench.establish(1);
  bench.announce(1, many(40000));
  bench.tick();
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  const auto again = bench.speaker.accepted(address("192.0.1.2"), address("192.0.1.1"), bench.now);
  ASSERT_TRUE(again);
  bench.far("tor1").connection = *again;
  bench.say("tor1", Bench::open_of(1));
  bench.say("tor1", Keepalive{});
  bench.announce(1, {prefix("10.64.1.0/26")});
  bench.tick();
  EXPECT_EQ(bench.fib.size(), 1U);
  EXPECT_EQ(bench.status("tor1").families[0].received, 1U);
}

TEST(Speaker, ALearnedRouteWaitsForTheKernelBeforeOthersHearOfIt) {
  Settings settings = node(3);
  for (PeerSettings& peer : settings.peers) peer.export_filter = Filter::accept;
  Bench bench(settings);
  bench.speaker.wait_for_install(true, bench.now);
  for (const int number : {1, 2}) bench.establish(number);
  const Prefix route = prefix("10.64.1.0/26");
  const auto told = [&](const char* who) { return bench.far(who).table.contains(route); };
  bench.announce(1, {route});
  bench.tick();
  EXPECT_EQ(bench.fib.size(), 1U) << "the FIB is told at once";
  EXPECT_FALSE(told("tor2"));
  bench.establish(3);
  EXPECT_FALSE(told("tor3")) << "nor does a newcomer hear of it";
  bench.speaker.installed({route}, bench.now);
  bench.drain();
  EXPECT_TRUE(told("tor2"));
  EXPECT_TRUE(told("tor3"));
  // Another way: what was said stands until the kernel has it.
  bench.announce(2, {route});
  bench.tick();
  EXPECT_EQ(bench.far("tor3").paths.at(route), "65001 65101");
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  bench.tick();
  EXPECT_EQ(bench.far("tor3").paths.at(route), "65001 65101");
  bench.speaker.installed({route}, bench.now);
  bench.drain();
  EXPECT_EQ(bench.far("tor3").paths.at(route), "65001 65102");
  // A withdrawal waits for nobody.
  bench.speaker.closed(bench.far("tor2").connection, "reset", bench.now);
  bench.drain();
  bench.tick();
  EXPECT_FALSE(told("tor3"));
}

// RFC 4724 4.2: a peer in graceful restart forwards, so what leads through it stays; one that was
// silent may not even be there (pain R31).
TEST(Speaker, OnlyAPeerThatIsLostTakesItsGatewayAlong) {
  Bench bench(node(2));
  bench.preserving = true;
  const Prefix route = prefix("10.64.1.0/26");
  for (const int number : {1, 2}) {
    bench.establish(number);
    bench.announce(number, {route});
  }
  bench.tick();
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  bench.tick();
  EXPECT_THAT(bench.speaker.take_gateway_changes(), IsEmpty());
  EXPECT_EQ(bench.fib.at(route).size(), 2U);
  for (int i = 0; i < 8; ++i) {
    bench.tick(10s);
    bench.say("tor2", Keepalive{});
  }
  bench.tick(91s);
  const GatewayChange lost{address("192.0.2.2"), 2, false, true};
  const GatewayChange over{address("192.0.2.2"), 2, true};
  EXPECT_THAT(bench.speaker.take_gateway_changes(), ElementsAre(lost, over));
  EXPECT_THAT(bench.fib, IsEmpty()) << "and the restart time of the first has passed";
}

// RFC 9494 4.3: the mark stays until the peer announces the route again, whatever policy says anew.
TEST(Speaker, ANewPolicyLeavesRoutesLongLivedStale) {
  Settings settings = node(1);
  settings.peers[0].long_lived_stale_time = 600s;
  Bench bench(settings);
  bench.preserving = true;
  bench.long_lived = 600s;
  const Prefix route = prefix("10.64.1.0/26");
  const Prefix other = prefix("10.64.2.0/26");
  bench.establish(1);
  bench.announce(1, {route, other});
  bench.speaker.closed(bench.far("tor1").connection, "reset", bench.now);
  bench.drain();
  bench.tick(130s);
  const auto path = [&](const Prefix& of) { return bench.speaker.route(of)->paths.at(0); };
  ASSERT_THAT(path(route).communities, ElementsAre("llgr-stale"));

  bench.establish(1);
  bench.announce(1, {other});
  RuleSettings rule;
  rule.name = "all";
  rule.set.local_pref = 77;
  settings.policies = {{"all", {rule}}};
  settings.peers[0].import_filter = Filter{"all"};
  bench.speaker.apply(settings, bench.now);
  bench.tick();
  EXPECT_EQ(path(route).local_pref, 77U);
  EXPECT_THAT(path(route).communities, ElementsAre("llgr-stale"));
  EXPECT_EQ(path(other).local_pref, 77U);
  EXPECT_THAT(path(other).communities, IsEmpty());
}

// While the selection is deferred the kernel still leads where an earlier life has led it.
TEST(Speaker, AGatewayLostWhileTheSelectionIsDeferredStaysLostUntilItIsOver) {
  Bench bench(node(2), Speaker::Begin::when_told);
  bench.speaker.begin({true, {true, true}}, bench.now);
  bench.preserving = true;
  for (const int number : {1, 2}) {
    bench.establish(number);
    bench.announce(number, {prefix("10.64.1.0/26")});
  }
  ASSERT_TRUE(bench.speaker.shutdown_peer("tor1", "", bench.now));
  bench.drain();
  bench.tick(1s);
  EXPECT_TRUE(bench.speaker.deferring());
  const GatewayChange lost{address("192.0.1.2"), 1, false};
  EXPECT_THAT(bench.speaker.take_gateway_changes(), ElementsAre(lost));
  EXPECT_GT(bench.speaker.deadline(), bench.now) << "and nothing spins meanwhile";
  for (const Family family : {Family::ipv4, Family::ipv6}) bench.end_of_rib("tor2", family);
  bench.tick();
  EXPECT_FALSE(bench.speaker.deferring());
  EXPECT_EQ(bench.fib.at(prefix("10.64.1.0/26")).size(), 1U);
  const GatewayChange over{address("192.0.1.2"), 1, true};
  EXPECT_THAT(bench.speaker.take_gateway_changes(), ElementsAre(over));
}

// Who comes from a range is not known before: the selection waits for them as for those that are
// listed and not up. The own prefixes do not (pain R2).
TEST(Speaker, TheSelectionWaitsForWhoMayComeFromARange) {
  Settings settings = node(1);
  PeerSettings range = peer_of(2);
  range.name = "rack";
  range.address = {};
  range.range = prefix("192.0.2.0/24");
  settings.peers.push_back(range);
  Bench bench(settings, Speaker::Begin::when_told);
  bench.speaker.begin({true, {true, true}}, bench.now);
  bench.speaker.originate(prefix("10.64.0.0/26"), bench.now);
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26")});
  for (const Family family : {Family::ipv4, Family::ipv6}) bench.end_of_rib("tor1", family);
  bench.tick(9s);
  EXPECT_TRUE(bench.far("tor1").table.contains(prefix("10.64.0.0/26")));
  EXPECT_THAT(bench.fib, IsEmpty());
  EXPECT_THAT(bench.far("tor1").ended, IsEmpty());
  bench.tick(1s);
  EXPECT_EQ(bench.fib.size(), 1U);
  EXPECT_EQ(bench.far("tor1").ended.size(), 2U);
}

Settings rack(std::uint32_t limit = 8) {
  Settings settings = node(1);
  PeerSettings range = peer_of(2);
  range.name = "rack";
  range.address = {};
  range.range = prefix("192.0.2.0/24");
  range.range_limit = limit;
  settings.peers.push_back(range);
  return settings;
}

// Who was there before the restart is known: nobody else is waited for. Pain R2.
TEST(Speaker, TheSelectionWaitsForWhoWasThereFromARange) {
  const RangeMember host{address("192.0.2.2"), true};
  const RangeMember silent{address("192.0.2.9"), false};
  const auto restarted = [&](std::vector<RangeMember> members, const auto& then) {
    Bench bench(rack(), Speaker::Begin::when_told);
    bench.speaker.begin({true, {true, true}, members}, bench.now);
    bench.establish(1);
    bench.announce(1, {prefix("10.64.1.0/26")});
    for (const Family family : {Family::ipv4, Family::ipv6}) bench.end_of_rib("tor1", family);
    bench.tick();
    then(bench);
  };
  restarted({}, [](Bench& bench) {
    EXPECT_EQ(bench.fib.size(), 1U) << "nobody was there";
    EXPECT_EQ(bench.syncs.size(), 2U);
    EXPECT_EQ(bench.far("tor1").ended.size(), 2U);
  });
  restarted({silent}, [&](Bench& bench) {
    EXPECT_EQ(bench.fib.size(), 1U) << "it would not say End-of-RIB";
    EXPECT_THAT(bench.syncs, IsEmpty()) << "but the kernel's routes through it stay";
    bench.tick(60s);
    ASSERT_EQ(bench.syncs.size(), 2U);
    EXPECT_TRUE(bench.syncs[0].timed_out);
  });
  restarted({{address("198.51.100.1"), true}}, [](Bench& bench) {
    EXPECT_EQ(bench.fib.size(), 1U) << "of a range that is not configured any more";
  });
  restarted({host}, [&](Bench& bench) {
    EXPECT_THAT(bench.fib, IsEmpty());
    EXPECT_THAT(bench.speaker.range_members(), ElementsAre(host)) << "for a next life, too";
    bench.tick(3s);
    const auto connection = bench.speaker.accepted(host.address, address("192.0.2.1"), bench.now);
    ASSERT_TRUE(connection);
    Far& far = bench.far("192.0.2.2");
    far.connection = *connection;
    const Open open = Bench::open_of(2);
    far.negotiated = negotiate(open.capabilities, open.capabilities);
    bench.say("192.0.2.2", open);
    bench.say("192.0.2.2", Keepalive{});
    EXPECT_THAT(bench.fib, IsEmpty());
    for (const Family family : {Family::ipv4, Family::ipv6}) bench.end_of_rib("192.0.2.2", family);
    bench.tick();
    EXPECT_EQ(bench.fib.size(), 1U) << "at once, 3 s after the start";
    EXPECT_EQ(bench.syncs.size(), 2U);
    EXPECT_THAT(bench.speaker.range_members(), ElementsAre(host));
  });
  restarted({host}, [&](Bench& bench) {
    bench.tick(9s);
    EXPECT_THAT(bench.fib, IsEmpty());
    bench.tick(1s);
    EXPECT_EQ(bench.fib.size(), 1U) << "it did not come: selection-deferral is over";
  });
}

// RFC 4724: what a peer keeps of ours and has not heard again goes at our End-of-RIB.
TEST(Speaker, EndOfRibWaitsForWhatIsOnItsWayToTheKernel) {
  Settings settings = node(3);
  for (PeerSettings& peer : settings.peers) peer.export_filter = Filter::accept;
  Bench bench(settings);
  bench.speaker.wait_for_install(true, bench.now);
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26"), prefix("10.64.2.0/26")});
  bench.tick();
  bench.establish(2);
  bench.tick();
  EXPECT_THAT(bench.far("tor2").ended, ElementsAre(Family::ipv6));
  bench.speaker.installed({prefix("10.64.1.0/26")}, bench.now);
  bench.drain();
  EXPECT_THAT(bench.far("tor2").ended, ElementsAre(Family::ipv6));
  bench.speaker.installed({prefix("10.64.2.0/26")}, bench.now);
  bench.drain();
  EXPECT_EQ(bench.far("tor2").table.size(), 2U);
  EXPECT_EQ(bench.far("tor2").ended.size(), 2U);
  // One that the kernel does not take holds up nothing for long.
  bench.announce(1, {prefix("10.64.3.0/26")});
  bench.establish(3);
  bench.tick(9s);
  EXPECT_EQ(bench.far("tor3").ended.size(), 1U);
  bench.tick(1s);
  EXPECT_EQ(bench.far("tor3").ended.size(), 2U);
  EXPECT_EQ(bench.far("tor3").table.size(), 2U);
}

TEST(Speaker, AnUpdateTooEarlyIsAnErrorOfTheMachine) {
  Bench bench;
  bench.tick();
  Far& far = bench.far("tor1");
  far.negotiated = negotiate(Bench::open_of(1).capabilities, Bench::open_of(1).capabilities);
  bench.speaker.opened(far.connection, address("192.0.1.1"), bench.now);
  bench.drain();
  bench.say("tor1", Bench::open_of(1));
  bench.say("tor1", bench.announcement(1, {prefix("10.64.1.0/26")}));
  ASSERT_TRUE(far.farewell);
  EXPECT_EQ(far.farewell->fault, Fault::UnexpectedInOpenConfirm);
  EXPECT_THAT(bench.fib, IsEmpty());
}

TEST(Speaker, CountsWhatGoesOverTheWire) {
  Bench bench;
  bench.speaker.originate(prefix("10.64.0.0/26"), bench.now);
  bench.establish(1);
  bench.announce(1, {prefix("10.64.1.0/26")});
  const PeerStatus status = bench.status("tor1");
  EXPECT_EQ(status.received.open, 1U);
  EXPECT_EQ(status.received.keepalive, 1U);
  EXPECT_EQ(status.received.update, 1U);
  EXPECT_EQ(status.sent.open, 1U);
  EXPECT_EQ(status.sent.update, 3U) << "one route and two End-of-RIB";
  EXPECT_EQ(status.families[0].advertised, 1U);
  EXPECT_EQ(status.families[0].selected, 1U);
  EXPECT_EQ(bench.speaker.advertised_to(prefix("10.64.0.0/26")), 1U);
  EXPECT_EQ(bench.speaker.counts(Family::ipv4).local, 1U);
  EXPECT_EQ(bench.speaker.counts(Family::ipv4).learned, 1U);
  EXPECT_EQ(status.asn, Asn{65101});
  EXPECT_EQ(status.hold_time, 90s);
}

TEST(Speaker, VerbsForAnUnknownPeerSayWho) {
  Bench bench;
  EXPECT_THAT(bench.speaker.reset_peer("spine9", "", bench.now).error().message,
              HasSubstr("spine9"));
}

}  // namespace
}  // namespace weft::bgp
