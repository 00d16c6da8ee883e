// A whole speaker with a monitoring station: what of a session's life the station is shown.
#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "bgp/message.h"
#include "bgp/speaker.h"
#include "bgp/update.h"
#include "tests/bgp/bmp_collector.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using Collector = BmpCollector;

constexpr Time t0{1h};

class MonitoredSpeaker : public testing::Test {
 protected:
  static Settings node() {
    Settings settings;
    settings.asn = Asn{65001};
    settings.router_id = RouterId{0x0a000001};
    PeerSettings peer;
    peer.name = "tor1";
    peer.address = address("192.0.2.2");
    peer.remote_as = Asn{65101};
    peer.import_filter = Filter::accept;
    settings.peers.push_back(peer);
    BmpStation station;
    station.name = "noc";
    station.address = address("198.51.100.7");
    station.monitor = {BmpView::pre_policy, BmpView::post_policy, BmpView::adj_rib_out,
                       BmpView::loc_rib};
    settings.bmp.stations.push_back(station);
    settings.bmp.system_name = "h11";
    settings.bmp.system_description = "weftd 1";
    return settings;
  }

  /// Carries out everything, with endless room in all connections.
  void drain() {
    for (auto actions = speaker.take_actions(); !actions.empty();
         actions = speaker.take_actions()) {
      for (const Action& action : actions) {
        if (const auto* to = std::get_if<ConnectTo>(&action)) connect(*to);
        if (const auto* ready = std::get_if<OutputReady>(&action)) take(ready->connection);
        if (const auto* close = std::get_if<CloseConnection>(&action))
          farewell[close->connection] = close->last;
      }
    }
  }
  void connect(const ConnectTo& to) {
    if (to.remote == address("192.0.2.2")) {
      peer = to.connection;
    } else {
      EXPECT_EQ(to.remote, address("198.51.100.7"));
      EXPECT_EQ(to.port, 11019);
      EXPECT_EQ(to.setup.least_ttl, 0) << "a station may be any number of hops away";
      station = to.connection;
    }
  }
  void take(ConnectionId connection) {
    std::vector<std::byte> out;
    for (speaker.produce(connection, out, now); !out.empty();
         speaker.produce(connection, out, now)) {
      speaker.sent(connection, true, now);
      if (connection == station) collector.read(out);
      if (connection == peer && to_peer.empty()) to_peer = out;
      out.clear();
    }
  }
  void say(const std::vector<std::byte>& bytes) {
    speaker.received(peer, bytes, now);
    drain();
  }
  void say(const Message& message) {
    std::vector<std::byte> bytes;
    encode(message, bytes);
    say(bytes);
  }
  void reach_station() {
    speaker.wall_clock(std::chrono::microseconds(1'700'000'000'000'000) - 3600s);
    speaker.connected({{address("192.0.2.1"), prefix("192.0.2.0/24"), 1}}, now);
    speaker.tick(now);
    drain();
    ASSERT_NE(station, ConnectionId{});
    speaker.opened(station, address("198.51.100.1"), now);
    drain();
  }
  void establish() {
    speaker.ports(peer, 40001, 179);
    speaker.opened(peer, address("192.0.2.1"), now);
    drain();
    Open open{Asn{65101}, 90s, RouterId{0x0a000065}, {}};
    open.capabilities.families = {unicast(Family::ipv4), unicast(Family::ipv6)};
    open.capabilities.four_octet_as = open.asn;
    // One that we do not know must be shown as it came.
    open.capabilities.unknown.push_back({200, {std::byte{1}, std::byte{2}}});
    encode(open, their_open);
    say(their_open);
    say(Keepalive{});
    ASSERT_EQ(speaker.peers()[0].state, PeerState::established);
  }
  void announce(std::string_view to) {
    Negotiated terms;
    terms.families = {{unicast(Family::ipv4), false, false, false}};
    std::vector<std::byte> attributes;
    encode_attributes(path_of({65101}), true, attributes);
    const Nlri route{prefix(to), 0};
    std::vector<std::byte> update;
    encode_announcement(unicast(Family::ipv4), {address("192.0.2.2"), {}}, attributes,
                        std::span(&route, 1), terms, update);
    say(update);
  }

  Time now = t0;
  Speaker speaker{node(), 1, t0};
  ConnectionId peer;
  ConnectionId station;
  std::vector<std::byte> to_peer;
  std::vector<std::byte> their_open;
  std::map<ConnectionId, std::vector<std::byte>> farewell;
  Collector collector;
};

TEST_F(MonitoredSpeaker, SaysWhoItIsAndShowsItsLocRib) {
  speaker.originate(prefix("10.64.0.0/26"), now);
  reach_station();
  EXPECT_EQ(collector.system_name, "h11");
  EXPECT_EQ(collector.system_description, "weftd 1");
  ASSERT_EQ(collector.peers.size(), 1U);
  const Collector::Peer& loc_rib = collector.peers.at(Collector::loc_rib());
  EXPECT_EQ(loc_rib.asn, 65001U);
  EXPECT_EQ(loc_rib.id, 0x0a000001U);
  EXPECT_EQ(loc_rib.sent_open, loc_rib.received_open);
  EXPECT_EQ(as_text(Bytes(loc_rib.information).subspan(4)), "global");
  EXPECT_TRUE(loc_rib.tables.at(0).contains({prefix("10.64.0.0/26"), 0}));
  EXPECT_EQ(speaker.stations()[0].state, StationState::up);
}

TEST_F(MonitoredSpeaker, ShowsASessionWithItsOpensAndItsEnd) {
  reach_station();
  establish();
  const auto name = Collector::global(address("192.0.2.2"));
  ASSERT_TRUE(collector.peers.contains(name));
  const Collector::Peer& shown = collector.peers.at(name);
  EXPECT_EQ(shown.asn, 65101U);
  EXPECT_EQ(shown.local_port, 40001);
  EXPECT_EQ(shown.remote_port, 179);
  EXPECT_EQ(shown.received_open, their_open);
  ASSERT_GE(to_peer.size(), shown.sent_open.size());
  EXPECT_TRUE(std::equal(shown.sent_open.begin(), shown.sent_open.end(), to_peer.begin()));
  EXPECT_EQ(collector.last_seconds, 0U) << "End-of-RIB has no time";

  announce("10.2.0.0/24");
  for (const unsigned table : {0U, 1U})
    EXPECT_TRUE(shown.tables.at(table).contains({prefix("10.2.0.0/24"), 0})) << table;
  EXPECT_TRUE(collector.table(Collector::loc_rib(), 0)->contains({prefix("10.2.0.0/24"), 0}));
  EXPECT_EQ(collector.last_seconds, 1'700'000'000U);

  speaker.originate(prefix("10.64.0.0/26"), now);
  drain();
  EXPECT_TRUE(collector.table(name, 3)->contains({prefix("10.64.0.0/26"), 0}));

  const Notification goodbye = cease(Fault::AdministrativeShutdown, "moving racks");
  say(goodbye);
  ASSERT_EQ(collector.downs.size(), 1U);
  EXPECT_EQ(collector.downs[0].reason, 3U);
  std::vector<std::byte> message;
  encode(goodbye, message);
  EXPECT_EQ(collector.downs[0].data, message);
  EXPECT_FALSE(collector.table(Collector::loc_rib(), 0)->contains({prefix("10.2.0.0/24"), 0}));
}

TEST_F(MonitoredSpeaker, ShowsEveryWayASessionCanEnd) {
  reach_station();
  establish();
  ASSERT_TRUE(speaker.reset_peer("tor1", "", now));
  drain();
  ASSERT_EQ(collector.downs.size(), 1U);
  EXPECT_EQ(collector.downs.back().reason, 1U) << "ours, with the NOTIFICATION";

  const auto again = [&] {
    for (int i = 0; i < 100 && speaker.peers()[0].state != PeerState::connect; ++i) {
      now = std::max(now, speaker.deadline());
      speaker.tick(now);
      drain();
    }
    their_open.clear();
    establish();
  };
  again();
  speaker.closed(peer, "closed by the peer", now);
  drain();
  EXPECT_EQ(collector.downs.back().reason, 4U) << "the peer, without a word";
  again();
  speaker.link_down(1, now);
  drain();
  EXPECT_EQ(collector.downs.back().reason, 2U) << "ours, without a word";
  EXPECT_EQ(collector.downs.back().data, (std::vector<std::byte>{std::byte{0}, std::byte{18}}))
      << "TcpConnectionFails";
  EXPECT_EQ(collector.downs.size(), 3U);
}

TEST_F(MonitoredSpeaker, SaysGoodbye) {
  reach_station();
  speaker.stop(false, "", now);
  drain();
  const std::vector<std::byte>& last = farewell.at(station);
  ASSERT_GE(last.size(), 6U);
  EXPECT_EQ(std::to_integer<int>(last[5]), 5) << "Termination";
  EXPECT_EQ(speaker.deadline(), Time::max());
}

TEST_F(MonitoredSpeaker, CostsNothingWithoutStations) {
  Settings settings = node();
  settings.bmp.stations.clear();
  Speaker alone(settings, 1, t0);
  EXPECT_TRUE(alone.stations().empty());
  // And the sessions do not mind a station that cannot be reached.
  reach_station();
  speaker.closed(station, "reset", now);
  establish();
  announce("10.2.0.0/24");
  EXPECT_TRUE(speaker.route(prefix("10.2.0.0/24")));
  const StationStatus status = speaker.stations()[0];
  EXPECT_EQ(status.state, StationState::waiting);
  EXPECT_EQ(status.peers, 0U);
  EXPECT_EQ(status.last_error, "connection lost: reset");
  EXPECT_GT(*status.next_attempt, now + 20s);
}

}  // namespace
}  // namespace weft::bgp
