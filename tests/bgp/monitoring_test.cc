// What stations are told, taken apart by a collector that shares nothing with the encoder: for
// random sequences of updates, sessions and reads its tables are those of the speaker, and nothing
// grows while it does not read.
#include "bgp/monitoring.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

#include "bgp/message.h"
#include "bgp/update.h"
#include "tests/bgp/bmp_collector.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using Collector = BmpCollector;

constexpr Time t0{1h};
constexpr Asn own_as{65000};
constexpr RouterId own_id{0x0a000001};
constexpr std::array families{Family::ipv4, Family::ipv6};
/// Receives path ids.
constexpr unsigned add_path_peer = 3;

std::vector<BmpView> all_views() {
  return {BmpView::pre_policy, BmpView::post_policy, BmpView::adj_rib_out, BmpView::loc_rib};
}

BmpSettings stations(std::initializer_list<std::vector<BmpView>> each) {
  BmpSettings settings;
  for (const auto& views : each) {
    BmpStation station;
    station.port = static_cast<std::uint16_t>(5000 + settings.stations.size());
    station.name = std::to_string(station.port);
    station.address = address("198.51.100.1");
    station.monitor = views;
    settings.stations.push_back(station);
  }
  return settings;
}

/// Rib, AdjOut and Monitoring as the speaker joins them, and the stations' ends.
class Network {
 public:
  Network(const BmpSettings& settings, MonitoringLimits limits)
      : limits_(limits), monitoring(settings, 1, outbox, t0, limits) {
    rib.connected({{address("192.0.2.254"), prefix("192.0.2.0/24"), 7},
                   {address("2001:db8::fe"), prefix("2001:db8::/64"), 7}});
    monitoring.attach(rib, adj_out, own_as, own_id, t0);
    monitoring.tick(t0);
    for (const Action& action : std::exchange(outbox.actions, {})) {
      const auto* to = std::get_if<ConnectTo>(&action);
      if (to == nullptr) throw std::logic_error("something but ConnectTo");
      ends.push_back({to->connection, {}});
      ends.back().collector.with_path_ids.insert(Collector::global(address_of(add_path_peer)));
      monitoring.opened(to->connection, t0);
    }
  }
  static Address address_of(unsigned peer) { return Address::ipv4(0xc0000200 + peer); }

  void up(unsigned n) {
    if (!sessions_.insert(n).second) return;
    Session session;
    Capabilities said;
    said.families = {unicast(Family::ipv4), unicast(Family::ipv6)};
    said.four_octet_as = own_as;
    session.theirs = {Asn{65000 + n}, 90s, RouterId{n}, said};
    session.ours = said;
    session.negotiated = negotiate(said, said);
    for (NegotiatedFamily& family : session.negotiated.families)
      family.add_path_receive = n == add_path_peer;
    session.local = address("192.0.2.254");
    encode(Open{own_as, 90s, own_id, said}, session.sent_open);
    encode(session.theirs, session.received_open);
    RibPeer facts = external_peer(n);
    rib.attach(PeerId(n), facts);
    for (const Family family : families) {
      AdjOutPeer how;
      how.as_path.local_as = own_as;
      PeerSettings peer;
      peer.export_filter = Filter::accept;
      how.policy = Policy::to_export({}, peer, true);
      how.negotiated = session.negotiated;
      how.next_hop = {family == Family::ipv4 ? address("192.0.2.254") : address("2001:db8::fe"),
                      {}};
      adj_out.join(PeerId(n), family, how);
    }
    monitoring.peer_up(PeerId(n), session, address_of(n), 7, t0);
  }
  void down(unsigned n) {
    if (sessions_.erase(n) == 0) return;
    monitoring.peer_down(PeerId(n), {SessionEnd::By::peer});
    adj_out.leave(PeerId(n));
    for (const Family family : families) rib.drop(PeerId(n), family);
  }
  [[nodiscard]] const std::set<unsigned>& sessions() const { return sessions_; }

  void announce(unsigned n, const Prefix& to, std::uint32_t path_id, const Attributes& attributes,
                bool filtered) {
    if (!sessions_.contains(n)) return;
    if (n != add_path_peer) path_id = 0;
    const auto ids = held(store, attributes);
    const Address via = to.family() == Family::ipv4 ? address_of(n) : address("2001:db8::").plus(n);
    // What policy makes of it: another set, which remembers the one that came.
    Attributes changed = attributes;
    changed.local_pref = 200 + n;
    const HeldAttributes imported(store,
                                  store.intern(canonical(changed), AttributeId::none, ids.id()));
    rib.announce(to, path_id, filtered ? ids.id() : imported.id(), *rib.next_hop(PeerId(n), via),
                 filtered);
  }
  void withdraw(unsigned n, const Prefix& to, std::uint32_t path_id) {
    rib.withdraw(PeerId(n), to, n == add_path_peer ? path_id : 0);
  }
  void originate(const Prefix& to) { rib.originate(to, held(store, path_of({})).id()); }

  void decide() {
    std::vector<RouteChange> changes;
    rib.decide(100000, changes);
  }
  /// Peers read what they are told.
  bool tell(unsigned n) {
    std::vector<std::byte> out;
    const bool more = adj_out.produce(PeerId(n), 4096, out);
    monitoring.told_peer(PeerId(n), out);
    return more;
  }
  /// A station takes one turn's output. False: there was none.
  bool read(std::size_t station) {
    std::vector<std::byte> out;
    monitoring.produce(ends[station].connection, out, t0);
    EXPECT_LE(out.size(), limits_.output + StationFeed::max_excess);
    ends[station].collector.read(out);
    return monitoring.status()[station].walking || monitoring.status()[station].changes != 0 ||
           !out.empty();
  }
  void check_memory() {
    for (const StationStatus& each : monitoring.status()) {
      EXPECT_LE(each.changes, limits_.changes + 1);
      EXPECT_LE(each.memory, StationFeed::memory_limit(limits_.changes, 8));
    }
  }
  /// Until everybody has heard everything.
  void settle() {
    decide();
    for (bool more = true; more;) {
      more = false;
      for (const unsigned n : sessions_) more = tell(n) || more;
    }
    for (std::size_t i = 0; i < ends.size(); ++i) {
      for (unsigned turns = 0; read(i); ++turns) ASSERT_LT(turns, 100000U) << "never done";
    }
  }

  void expect_equal(std::size_t station, const std::vector<BmpView>& views);

  MonitoringLimits limits_;
  AttributeStore store{own_as, own_id};
  Rib rib{store, {}};
  AdjOut adj_out{rib};
  Outbox outbox;
  Monitoring monitoring;
  struct End {
    ConnectionId connection;
    Collector collector;
  };
  std::vector<End> ends;

 private:
  std::vector<std::byte> octets(const Address& of) {
    return {of.octets().begin(), of.octets().end()};
  }
  std::vector<std::byte> octets(AttributeId id) {
    const Bytes all = store.octets(id);
    return {all.begin(), all.end()};
  }
  std::set<unsigned> sessions_;
};

/// The whole of what a station has to know, from the tables themselves.
void Network::expect_equal(std::size_t station, const std::vector<BmpView>& views) {
  const auto monitors = [&](BmpView view) {
    return std::find(views.begin(), views.end(), view) != views.end();
  };
  using Tables = std::map<std::pair<Collector::Name, unsigned>, Collector::Table>;
  Tables wanted;
  for (const Family family : families) {
    for (NetId net = 0; net < rib.places(family); ++net) {
      if (!rib.alive(family, net)) continue;
      const Prefix to = rib.prefix(family, net);
      std::vector<HeldPath> paths;
      rib.paths_at(family, net, paths);
      for (const HeldPath& path : paths) {
        const auto name = Collector::global(address_of(static_cast<unsigned>(path.peer)));
        const Address via = rib.next_hop(path.received_next_hop).address;
        if (monitors(BmpView::pre_policy))
          wanted[{name, 0}][{to, path.path_id}] = {octets(path.received), octets(via)};
        if (monitors(BmpView::post_policy) && !path.refused)
          wanted[{name, 1}][{to, path.path_id}] = {octets(path.imported), octets(via)};
      }
      if (const auto best = rib.best(family, net); best && monitors(BmpView::loc_rib)) {
        const Address none = family == Family::ipv4 ? Address() : Address::ipv6({});
        const Address via =
            best->next_hop == NextHopId::local ? none : rib.next_hop(best->next_hop).address;
        wanted[{Collector::loc_rib(), 0}][{to, 0}] = {octets(best->attributes), octets(via)};
      }
      for (const unsigned n : sessions_) {
        if (!monitors(BmpView::adj_rib_out)) continue;
        std::vector<AdjOut::Route> routes;
        adj_out.routes_at(PeerId(n), family, net, routes);
        for (const AdjOut::Route& route : routes) {
          Collector::Route made;
          const auto via =
              adj_out.describe(PeerId(n), family, route.advertisement, made.attributes);
          made.next_hop = octets(via.address);
          wanted[{Collector::global(address_of(n)), 3}][{to, 0}] = made;
        }
      }
    }
  }
  Tables had;
  for (const auto& [name, peer] : ends[station].collector.peers) {
    for (const auto& [which, table] : peer.tables) {
      if (!table.empty()) had[{name, which}] = table;
    }
  }
  ASSERT_EQ(had.size(), wanted.size());
  for (const auto& [key, table] : wanted) {
    ASSERT_TRUE(had.contains(key));
    EXPECT_EQ(had[key].size(), table.size());
    EXPECT_TRUE(had[key] == table) << "station " << station << ", table " << key.second;
  }
  std::set<Collector::Name> up;
  const bool of_peers = monitors(BmpView::pre_policy) || monitors(BmpView::post_policy) ||
                        monitors(BmpView::adj_rib_out);
  for (const unsigned n : sessions_) {
    if (of_peers) up.insert(Collector::global(address_of(n)));
  }
  if (monitors(BmpView::loc_rib)) up.insert(Collector::loc_rib());
  std::set<Collector::Name> told;
  for (const auto& [name, peer] : ends[station].collector.peers) told.insert(name);
  EXPECT_EQ(told, up);
}

Prefix numbered(unsigned n) {
  if (n % 4 == 3) return Prefix(address("2001:db8:1::").plus(n), 128);
  return Prefix(Address::ipv4(0x0a400000 + (n << 8)), 24);
}

Attributes attributes_of(unsigned peer, unsigned kind) {
  Attributes made = path_of({65000 + peer, 64512 + kind % 8});
  if (kind % 3 == 0) insert(made.communities, Community{0xfde80000 + kind});
  // Now and then one that loops.
  if (kind % 11 == 0) made.as_path.prepend(own_as);
  return made;
}

TEST(Monitoring, TellsTheTablesThatAreThere) {
  const auto views = all_views();
  Network net(stations({views}), {});
  net.up(1);
  net.up(2);
  net.originate(prefix("10.1.0.0/26"));
  net.announce(1, prefix("10.2.0.0/24"), 0, attributes_of(1, 1), false);
  net.announce(1, prefix("10.3.0.0/24"), 0, attributes_of(1, 1), true);
  net.announce(2, prefix("2001:db8:9::/48"), 0, attributes_of(2, 1), false);
  net.settle();
  net.expect_equal(0, views);

  const Collector& station = net.ends[0].collector;
  const auto name = Collector::global(Network::address_of(1));
  EXPECT_EQ(station.table(name, 0)->size(), 2U) << "pre-policy holds what was filtered";
  EXPECT_EQ(station.table(name, 1)->size(), 1U);
  EXPECT_EQ(station.table(name, 3)->size(), 2U);
  EXPECT_EQ(station.table(Collector::loc_rib(), 0)->size(), 3U);
  EXPECT_EQ(station.peers.at(name).ended.size(), 6U) << "three tables, two families";
  EXPECT_EQ(station.peers.at(Collector::loc_rib()).ended.size(), 2U);
  EXPECT_EQ(station.superfluous, 0U);
  // Routes of one set share a message: Initiation, three Peer Ups, eight End-of-RIBs more.
  EXPECT_LT(station.messages, 40U);
}

TEST(Monitoring, WithdrawsWhatTheStationHoldsAndNothingElse) {
  const auto views = all_views();
  Network net(stations({views}), {});
  net.up(1);
  net.settle();
  for (unsigned i = 0; i < 50; ++i)
    net.announce(1, numbered(i), 0, attributes_of(1, 1 + i % 3), i % 2 == 0);
  net.settle();
  for (unsigned i = 0; i < 50; ++i) net.withdraw(1, numbered(i), 0);
  net.settle();
  net.expect_equal(0, views);
  // What came and went unseen is not spoken of at all.
  const std::size_t before = net.ends[0].collector.messages;
  net.announce(1, numbered(1), 0, attributes_of(1, 1), false);
  net.withdraw(1, numbered(1), 0);
  net.settle();
  EXPECT_EQ(net.ends[0].collector.messages, before);
  EXPECT_EQ(net.ends[0].collector.superfluous, 0U);
}

TEST(Monitoring, AStationThatDoesNotReadHoldsABoundedNumberOfChanges) {
  const std::vector<BmpView> views = all_views();
  Network net(stations({views}), {100, 1000});
  net.up(1);
  net.up(2);
  net.settle();
  // Ten thousand prefixes that were never told come and go, by turns: nothing but the last counts.
  for (unsigned round = 0; round < 20; ++round) {
    for (unsigned i = 0; i < 500; ++i)
      net.announce(1, numbered(round * 500 + i), 0, attributes_of(1, 1), false);
    net.decide();
    net.check_memory();
    for (unsigned i = 0; i < 500 && round < 19; ++i) net.withdraw(1, numbered(round * 500 + i), 0);
    net.decide();
    net.check_memory();
  }
  const StationStatus status = net.monitoring.status()[0];
  EXPECT_GT(status.counts.overruns, 0U);
  net.settle();
  net.expect_equal(0, views);
}

TEST(Monitoring, FlushesAPeerWhoseWithdrawalsDoNotFit) {
  const std::vector<BmpView> views{BmpView::loc_rib, BmpView::pre_policy};
  Network net(stations({views}), {100, 1000});
  net.up(1);
  net.up(2);
  for (unsigned i = 0; i < 1000; ++i) net.announce(1, numbered(i), 0, attributes_of(1, 1), false);
  net.announce(2, numbered(2000), 0, attributes_of(2, 1), false);
  net.settle();
  net.expect_equal(0, views);
  for (unsigned i = 0; i < 999; ++i) {
    net.withdraw(1, numbered(i), 0);
    net.decide();
    net.check_memory();
  }
  net.settle();
  net.expect_equal(0, views);
  EXPECT_GT(net.monitoring.status()[0].counts.flushes, 0U);
  const auto& downs = net.ends[0].collector.downs;
  ASSERT_FALSE(downs.empty());
  for (const Collector::Down& down : downs) {
    if (down.name == Collector::loc_rib()) {
      EXPECT_EQ(down.reason, 6U);
    } else {
      EXPECT_EQ(down.name, Collector::global(Network::address_of(1)));
      EXPECT_EQ(down.reason, 5U) << "the session stands";
    }
  }
}

TEST(Monitoring, ASessionThatComesBackUnseenIsToldDownAndUp) {
  const std::vector<BmpView> views{BmpView::post_policy};
  Network net(stations({views}), {});
  net.up(1);
  net.announce(1, numbered(1), 0, attributes_of(1, 1), false);
  net.settle();
  net.down(1);
  net.up(1);
  net.down(1);
  net.up(1);
  net.announce(1, numbered(2), 0, attributes_of(1, 1), false);
  net.settle();
  net.expect_equal(0, views);
  ASSERT_EQ(net.ends[0].collector.downs.size(), 1U);
  EXPECT_EQ(net.ends[0].collector.downs[0].reason, 4U);
}

TEST(Monitoring, AStationOfALinkLocalPeerKnowsItByItsInterface) {
  Network net(stations({{BmpView::pre_policy}}), {});
  Session session;
  session.theirs = {Asn{65009}, 90s, RouterId{9}, {}};
  session.negotiated = negotiate({}, {});
  encode(session.theirs, session.sent_open);
  encode(session.theirs, session.received_open);
  net.rib.attach(PeerId(7), external_peer(7));
  net.rib.attach(PeerId(8), external_peer(8));
  net.monitoring.peer_up(PeerId(7), session, address("fe80::1"), 3, t0);
  net.monitoring.peer_up(PeerId(8), session, address("fe80::1"), 4, t0);
  net.settle();
  EXPECT_EQ(net.ends[0].collector.peers.size(), 2U);
  EXPECT_TRUE(net.ends[0].collector.peers.contains(Collector::global(address("fe80::1"), 2, 4)));
}

/// The property: whatever happens in whatever order, and however the stations read, at rest each
/// holds what the speaker holds; and until then no station's memory grows.
class MonitoringProperty : public testing::TestWithParam<unsigned> {};

TEST_P(MonitoringProperty, StationsComeToHoldWhatTheSpeakerHolds) {
  std::mt19937 random(GetParam());
  const auto pick = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
  const std::vector<std::vector<BmpView>> views{
      all_views(),
      {BmpView::pre_policy},
      {BmpView::post_policy, BmpView::loc_rib},
      {BmpView::adj_rib_out},
  };
  const MonitoringLimits limits{20 + pick(200), 300 + pick(4000)};
  Network net(stations({views[0], views[1], views[2], views[3]}), limits);
  const unsigned prefixes = 50 + pick(400);
  const unsigned reads = 1 + pick(40);  // of so many steps, one reads
  for (unsigned step = 0; step < 4000; ++step) {
    const unsigned peer = 1 + pick(4);
    switch (pick(100)) {
      case 0:
        net.down(peer);
        break;
      case 1:
      case 2:
      case 3:
        net.up(peer);
        break;
      case 4:
        net.originate(numbered(pick(prefixes)));
        break;
      case 5:
        net.rib.withdraw(PeerId::local, numbered(pick(prefixes)));
        break;
      default:
        if (pick(5) < 3) {
          net.announce(peer, numbered(pick(prefixes)), pick(3), attributes_of(peer, pick(40)),
                       pick(4) == 0);
        } else if (net.sessions().contains(peer)) {
          net.withdraw(peer, numbered(pick(prefixes)), pick(3));
        }
    }
    if (pick(4) == 0) net.decide();
    if (pick(6) == 0 && net.sessions().contains(peer)) net.tell(peer);
    // The first is the slowest of them.
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (pick(reads) == 0 && (i != 0 || pick(4) == 0)) net.read(i);
    }
    if (pick(20) == 0) net.check_memory();
    if (testing::Test::HasFatalFailure()) return;
  }
  net.check_memory();
  net.settle();
  for (std::size_t i = 0; i < views.size(); ++i) net.expect_equal(i, views[i]);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MonitoringProperty, testing::Range(1U, 41U));

// Connections.

TEST(StationConnection, IsTriedAgainWithDoublingPauses) {
  Outbox outbox;
  AttributeStore store{own_as, own_id};
  Rib rib{store, {}};
  AdjOut adj_out{rib};
  BmpSettings settings = stations({{BmpView::pre_policy}});
  settings.stations[0].connect_retry = 30s;
  Monitoring monitoring(settings, 1, outbox, t0);
  monitoring.attach(rib, adj_out, own_as, own_id, t0);
  Time now = t0;
  std::vector<std::chrono::seconds> pauses;
  for (int attempt = 0; attempt < 8; ++attempt) {
    monitoring.tick(now);
    ASSERT_EQ(outbox.actions.size(), 1U);
    const auto connection = std::get<ConnectTo>(outbox.actions[0]).connection;
    outbox.actions.clear();
    monitoring.failed(connection, "refused", now);
    pauses.push_back(std::chrono::ceil<std::chrono::seconds>(monitoring.deadline() - now));
    now = monitoring.deadline();
  }
  const std::vector<std::chrono::seconds> most{30s, 60s, 120s, 240s, 480s, 720s, 720s, 720s};
  for (std::size_t i = 0; i < most.size(); ++i) {
    EXPECT_LE(pauses[i], most[i]);
    EXPECT_GE(pauses[i], most[i] * 3 / 4) << "jitter takes a quarter at most";
  }
  EXPECT_EQ(monitoring.status()[0].last_error, "cannot connect: refused");

  // One that stood for a minute begins anew.
  monitoring.tick(now);
  const auto connection = std::get<ConnectTo>(outbox.actions[0]).connection;
  monitoring.opened(connection, now);
  monitoring.closed(connection, "closed by the peer", now + 61s);
  EXPECT_LE(monitoring.deadline(), now + 61s + 30s);
}

TEST(StationConnection, IsGivenUpWhenTheStationTakesNothing) {
  Network net(stations({all_views()}), {});
  net.up(1);
  std::vector<std::byte> out;
  net.monitoring.produce(net.ends[0].connection, out, t0);
  ASSERT_FALSE(out.empty());
  net.monitoring.tick(t0 + station_patience - 1s);
  EXPECT_EQ(net.monitoring.status()[0].state, StationState::up);
  net.monitoring.sent(net.ends[0].connection, false, t0 + 1min);
  net.monitoring.tick(t0 + station_patience);
  EXPECT_EQ(net.monitoring.status()[0].state, StationState::up) << "it took something";
  net.outbox.actions.clear();
  net.monitoring.tick(t0 + 1min + station_patience);
  EXPECT_EQ(net.monitoring.status()[0].state, StationState::waiting);
  ASSERT_FALSE(net.outbox.actions.empty());
  EXPECT_TRUE(std::holds_alternative<CloseConnection>(net.outbox.actions[0]));
}

TEST(StationConnection, ReportsStatisticsAtItsInterval) {
  BmpSettings settings = stations({all_views()});
  settings.stations[0].statistics_interval = 20s;
  Network net(settings, {});
  net.up(1);
  net.announce(1, numbered(0), 0, attributes_of(1, 1), false);
  net.announce(1, numbered(3), 0, attributes_of(1, 1), true);
  net.settle();
  EXPECT_TRUE(net.ends[0].collector.statistics.empty());
  EXPECT_EQ(net.monitoring.deadline(), t0 + 20s);
  net.monitoring.tick(t0 + 20s);
  net.settle();
  auto& said = net.ends[0].collector.statistics;
  auto& peer = said[Collector::global(Network::address_of(1))];
  EXPECT_EQ((peer[{7, 0}]), 2U) << "Adj-RIB-In";
  EXPECT_EQ((peer[{9, 1}]), 1U);
  EXPECT_EQ((peer[{9, 2}]), 1U);
  EXPECT_EQ((peer[{15, 0}]), 0U) << "nothing goes back to whom it came from";
  auto& loc_rib = said[Collector::loc_rib()];
  EXPECT_EQ((loc_rib[{8, 0}]), 1U);
  EXPECT_EQ((loc_rib[{10, 1}]), 1U);
  EXPECT_EQ(net.monitoring.deadline(), t0 + 40s);
}

TEST(StationConnection, EndsWithTerminationWhenTheStationIsTakenAway) {
  Network net(stations({all_views(), {BmpView::loc_rib}}), {});
  net.settle();
  net.outbox.actions.clear();
  net.monitoring.apply(stations({all_views()}), t0);
  ASSERT_EQ(net.outbox.actions.size(), 1U) << "the other one stays";
  const auto& order = std::get<CloseConnection>(net.outbox.actions[0]);
  EXPECT_EQ(order.connection, net.ends[1].connection);
  ASSERT_GE(order.last.size(), 6U);
  EXPECT_EQ(std::to_integer<int>(order.last[5]), 5) << "Termination";
  EXPECT_EQ(net.monitoring.status().size(), 1U);
}

}  // namespace
}  // namespace weft::bgp
