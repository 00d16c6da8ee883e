#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <set>
#include <stdexcept>
#include <string>

#include "exporter/metrics.h"
#include "exporter/server.h"
#include "exporter/snapshot.h"
#include "net/fd.h"
#include "net/time.h"

namespace weft::exporter {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using testing::HasSubstr;
using testing::Not;

Peer some_peer(const std::string& name) {
  Peer peer;
  peer.name = name;
  peer.description = "rack 1, \"left\"\\";
  peer.address = "192.0.2.1";
  peer.asn = 65001;
  peer.state = PeerState::established;
  peer.established_at = 1.7e9;
  peer.established_count = 3;
  peer.received = {1, 2, 3, 4, 5, 600};
  peer.sent = {6, 7, 8, 9, 10, 1100};
  peer.queue_octets = 19;
  peer.malformed_updates = 1;
  peer.looped = 7;
  peer.leaked = 8;
  peer.ends = {{"hold_timer", false, true, 2}, {"bad_peer_as", true, false, 3}};
  peer.hold_time_seconds = 9;
  peer.capabilities = {"as4", "route-refresh", "ipv4-unicast", "ipv6-unicast"};
  peer.families = {{Family::ipv4, 5, 3, 2, 1, true, true}, {Family::ipv6, 4, 4, 4, 1, false, true}};
  peer.prefix_limit = 10000;
  return peer;
}

Snapshot some_snapshot() {
  Snapshot s;
  s.version = "0.1.0";
  s.commit = "abcdef";
  s.start_time = 1.7e9;
  s.ready = true;
  s.loop_lag_seconds.observe(0.0002);
  s.loop_lag_seconds.observe(0.3);
  s.config_hash = "0123abcd";
  s.config_last_reload_success_time = 1.7e9;
  s.local_asn = 4200000011;
  s.router_id = "10.255.0.11";
  s.peers = {some_peer("tor1")};
  s.path_limit = 1000000;
  s.peers[0].families[1].unheld = 6;
  s.tcp_drops = {{"md5_wrong", 9}};
  s.rib = {Rib{1, 3, 6}, Rib{1, 2, 4}};
  s.policy_rules = {{"in", "bogons", 3, 4}};
  s.aggregates = {{"10.64.0.0/16", true, 3, 5}};
  s.announcements = {{"192.0.2.7/32", false, 6}};
  s.stations = {{"noc", true, 2, {9, 8, 7, 6, 5, 4}, 1000, 3, 12, 1, 2, 4096}};
  s.fib = {Fib{3, 1, 4, 0}, Fib{2, 1, 4, 1}};
  s.fib_tables = {{100, 3}, {254, 12}};
  s.fib_fast_groups = false;
  s.fib_pending = 6;
  s.fib_failed = 1;
  s.fib_foreign = 2;
  s.nexthops = 4;
  s.nexthop_groups = 2;
  s.fib_operations = {{"put", "ok", 10}, {"put", "refused", 1}, {"remove", "ok", 2}};
  s.fib_repairs = {{"link", 2}, {"dump", 0}};
  Histogram programming({0.001, 0.1});
  programming.observe(0.0005);
  programming.observe(0.001);
  programming.observe(0.05);
  programming.observe(3);
  s.fib_programming_seconds = programming;
  s.netlink_overruns = 1;
  s.pools = {{"containers",
              {{Family::ipv4, 64, 3, 1, 2, 58}, {Family::ipv6, 64, 3, 1, 2, 58}},
              {{"owned", 1}, {"lost", 0}},
              0}};
  s.reclaimed_addresses = {{"gc", 1}, {"netns", 0}};
  s.claims["containers"] = {{"won", 3}, {"vetoed", 1}};
  s.claim_conflicts["containers"] = 0;
  s.releases["containers"] = {{"empty", 2}};
  s.claim_seconds.emplace(std::vector<double>{0.01, 1}).observe(0.004);
  s.claims_synced = true;
  s.store_requests["txn"] = {{"ok", 7}, {"failed", 1}};
  s.store_request_seconds.emplace(std::vector<double>{0.01, 1}).observe(0.002);
  s.cni = {{"add", {{"ok", 7}, {"exhausted", 1}}, Histogram(cni_bounds())},
           {"del", {{"ok", 2}}, Histogram(cni_bounds())}};
  s.cni[0].seconds.observe(0.002);
  s.spoofed_packets = 5;
  s.containers = {{"demo", 4}};
  s.uplinks = {{"eth1", true, 3, 9000}, {"eth2", false, 1, {}}};
  return s;
}

std::string text_of(const Snapshot& snapshot) {
  return prometheus::TextSerializer().Serialize(metrics(snapshot));
}

TEST(Metrics, SayWhatTheSnapshotSays) {
  const std::string text = text_of(some_snapshot());
  for (const char* line :
       {"weft_build_info{version=\"0.1.0\",commit=\"abcdef\"} 1\n",
        "weft_start_time_seconds 1700000000\n",
        "weft_ready 1\n",
        "weft_event_loop_lag_seconds_bucket{le=\"0.2\"} 1\n",
        "weft_event_loop_lag_seconds_count 2\n",
        "weft_config_last_reload_successful 1\n",
        "weft_config_info{hash=\"0123abcd\"} 1\n",
        "weft_bgp_peer_info{peer=\"tor1\",address=\"192.0.2.1\",peer_as=\"65001\",local_as="
        "\"4200000011\",type=\"external\",description=\"rack 1, \\\"left\\\"\\\\\"} 1\n",
        "weft_bgp_peer_up{peer=\"tor1\"} 1\n",
        "weft_bgp_peer_shutdown{peer=\"tor1\"} 0\n",
        "weft_bgp_peer_state{peer=\"tor1\",state=\"established\"} 1\n",
        "weft_bgp_peer_state{peer=\"tor1\",state=\"idle\"} 0\n",
        "weft_bgp_peer_established_timestamp_seconds{peer=\"tor1\"} 1700000000\n",
        "weft_bgp_peer_established_total{peer=\"tor1\"} 3\n",
        "weft_bgp_peer_hold_time_seconds{peer=\"tor1\"} 9\n",
        "weft_bgp_peer_queue_bytes{peer=\"tor1\"} 19\n",
        "weft_bgp_peer_capability{peer=\"tor1\",capability=\"as4\"} 1\n",
        "weft_bgp_messages_total{peer=\"tor1\",direction=\"received\",type=\"notification\"} 3\n",
        "weft_bgp_messages_total{peer=\"tor1\",direction=\"sent\",type=\"route_refresh\"} 10\n",
        "weft_bgp_message_bytes_total{peer=\"tor1\",direction=\"sent\"} 1100\n",
        "weft_bgp_errors_total{peer=\"tor1\",kind=\"malformed_update\"} 1\n",
        "weft_bgp_errors_total{peer=\"tor1\",kind=\"loop\"} 7\n",
        "weft_bgp_errors_total{peer=\"tor1\",kind=\"leak\"} 8\n",
        "weft_bgp_session_ends_total{peer=\"tor1\",reason=\"hold_timer\",by=\"us\",state="
        "\"established\"} 2\n",
        "weft_bgp_session_ends_total{peer=\"tor1\",reason=\"bad_peer_as\",by=\"peer\",state="
        "\"opening\"} 3\n",
        "weft_rib_path_limit 1000000\n",
        "weft_bgp_unheld_paths{peer=\"tor1\",family=\"ipv6\"} 6\n",
        "weft_tcp_dropped_segments_total{cause=\"md5_wrong\"} 9\n",
        "weft_bgp_prefixes{peer=\"tor1\",family=\"ipv4\",stage=\"filtered\"} 2\n",
        "weft_bgp_prefixes{peer=\"tor1\",family=\"ipv6\",stage=\"advertised\"} 1\n",
        "weft_bgp_eor{peer=\"tor1\",family=\"ipv6\",direction=\"received\"} 0\n",
        "weft_bgp_prefix_limit{peer=\"tor1\",family=\"ipv4\"} 10000\n",
        "weft_bgp_policy_rule_hits_total{policy=\"in\",rule=\"bogons\",direction=\"import\"} 3\n",
        "weft_bgp_policy_rule_hits_total{policy=\"in\",rule=\"bogons\",direction=\"export\"} 4\n",
        "weft_bgp_aggregate_announced{aggregate=\"10.64.0.0/16\"} 1\n",
        "weft_bgp_aggregate_contributing_routes{aggregate=\"10.64.0.0/16\"} 3\n",
        "weft_bgp_announcement_announced{announcement=\"192.0.2.7/32\"} 0\n",
        "weft_bgp_aggregate_changes_total{aggregate=\"10.64.0.0/16\"} 5\n",
        "weft_bgp_announcement_changes_total{announcement=\"192.0.2.7/32\"} 6\n",
        "weft_bmp_station_up{station=\"noc\"} 1\n",
        "weft_bmp_connections_total{station=\"noc\"} 2\n",
        "weft_bmp_messages_total{station=\"noc\",type=\"route-monitoring\"} 9\n",
        "weft_bmp_messages_total{station=\"noc\",type=\"peer-up\"} 6\n",
        "weft_bmp_message_bytes_total{station=\"noc\"} 1000\n",
        "weft_bmp_peers{station=\"noc\"} 3\n",
        "weft_bmp_pending_changes{station=\"noc\"} 12\n",
        "weft_bmp_overruns_total{station=\"noc\",kind=\"walk\"} 1\n",
        "weft_bmp_overruns_total{station=\"noc\",kind=\"flush\"} 2\n",
        "weft_bmp_memory_bytes{station=\"noc\"} 4096\n",
        "weft_rib_routes{family=\"ipv4\",source=\"bgp\"} 3\n",
        "weft_rib_paths{family=\"ipv6\"} 4\n",
        "weft_fib_routes{family=\"ipv4\",kind=\"blackhole\"} 1\n",
        "weft_fib_table_routes{table=\"100\"} 3\n",
        "weft_fib_drift_routes{family=\"ipv6\"} 1\n",
        "weft_fib_missing_routes{reason=\"pending\"} 3\n",
        "weft_fib_missing_routes{reason=\"foreign\"} 2\n",
        "weft_fib_nexthops 4\n",
        "weft_fib_nexthop_compat_mode 1\n",
        "weft_fib_nexthop_groups 2\n",
        "weft_fib_operations_total{op=\"put\",result=\"refused\"} 1\n",
        "weft_fib_repairs_total{cause=\"link\"} 2\n",
        "weft_fib_programming_seconds_bucket{le=\"0.001\"} 2\n",
        "weft_fib_programming_seconds_bucket{le=\"0.1\"} 3\n",
        "weft_fib_programming_seconds_bucket{le=\"+Inf\"} 4\n",
        "weft_fib_programming_seconds_count 4\n",
        "weft_netlink_overruns_total 1\n",
        "weft_ipam_addresses{pool=\"containers\",family=\"ipv4\",state=\"cooling\"} 1\n",
        "weft_ipam_blocks{pool=\"containers\",state=\"owned\"} 1\n",
        "weft_ipam_reclaimed_addresses_total{reason=\"gc\"} 1\n",
        "weft_ipam_store_up 1\n",
        "weft_ipam_blocks{pool=\"containers\",state=\"lost\"} 0\n",
        "weft_ipam_contested_blocks{pool=\"containers\"} 0\n",
        "weft_ipam_claims_total{pool=\"containers\",result=\"vetoed\"} 1\n",
        "weft_ipam_claim_conflicts_total{pool=\"containers\"} 0\n",
        "weft_ipam_releases_total{pool=\"containers\",reason=\"empty\"} 2\n",
        "weft_ipam_claims_synced 1\n",
        "weft_ipam_store_requests_total{op=\"txn\",result=\"failed\"} 1\n",
        "weft_ipam_claim_seconds_count 1\n",
        "weft_ipam_store_request_seconds_count 1\n",
        "weft_cni_requests_total{verb=\"add\",result=\"exhausted\"} 1\n",
        "weft_cni_request_seconds_bucket{verb=\"add\",le=\"0.0025\"} 1\n",
        "weft_cni_request_seconds_bucket{verb=\"add\",le=\"0.001\"} 0\n",
        "weft_cni_spoofed_packets_total 5\n",
        "weft_containers{network=\"demo\"} 4\n",
        "weft_uplink_up{interface=\"eth2\"} 0\n",
        "weft_uplink_transitions_total{interface=\"eth1\"} 3\n",
        "weft_uplink_mtu_bytes{interface=\"eth1\"} 9000\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("weft_uplink_mtu_bytes{interface=\"eth2\"}")));
  EXPECT_THAT(text, Not(HasSubstr("weft_bgp_peer_down_timestamp_seconds")));
}

TEST(Metrics, LeaveOutWhatIsNotKnown) {
  Snapshot s = some_snapshot();
  s.fib.reset();
  s.peers[0].established_at.reset();
  s.peers[0].down_at = 1.6e9;
  s.peers[0].hold_time_seconds.reset();
  s.peers[0].prefix_limit.reset();
  const std::string text = text_of(s);
  EXPECT_THAT(text, Not(HasSubstr("weft_fib_")));
  EXPECT_THAT(text, Not(HasSubstr("weft_bgp_peer_established_timestamp_seconds")));
  EXPECT_THAT(text, HasSubstr("weft_bgp_peer_down_timestamp_seconds{peer=\"tor1\"} 1600000000\n"));
  EXPECT_THAT(text, Not(HasSubstr("weft_bgp_peer_hold_time_seconds")));
  EXPECT_THAT(text, Not(HasSubstr("weft_bgp_prefix_limit")));
}

/// Rules that hold for every name, whatever is in the snapshot.
TEST(Metrics, KeepTheRulesOfNaming) {
  std::set<std::string> names;
  for (const MetricFamily& family : metrics(some_snapshot())) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name << " twice";
    EXPECT_EQ(family.name.rfind("weft_", 0), 0U) << family.name;
    const bool total =
        family.name.size() > 6 && family.name.rfind("_total") == family.name.size() - 6;
    EXPECT_EQ(total, family.type == MetricType::Counter) << family.name;
    EXPECT_GT(family.help.size(), 15U) << family.name;
    EXPECT_EQ(family.help.back(), '.') << family.name;
    std::set<std::vector<prometheus::ClientMetric::Label>> series;
    for (const auto& metric : family.metric) {
      EXPECT_TRUE(series.insert(metric.label).second) << family.name << ": a series twice";
      for (const auto& label : metric.label) {
        EXPECT_NE(label.name, "prefix") << family.name;
        EXPECT_NE(label.name, "host") << family.name;
        EXPECT_NE(label.name, "instance") << family.name;
      }
    }
  }
}

TEST(Metrics, HaveOneStateAtATime) {
  for (int state = 0; state < 6; ++state) {
    Snapshot s;
    s.peers = {some_peer("tor1")};
    s.peers[0].state = static_cast<PeerState>(state);
    double sum = 0;
    std::size_t series = 0;
    for (const MetricFamily& family : metrics(s)) {
      if (family.name != "weft_bgp_peer_state") continue;
      for (const auto& metric : family.metric) sum += metric.gauge.value;
      series = family.metric.size();
    }
    EXPECT_EQ(sum, 1);
    EXPECT_EQ(series, 6U);
  }
}

std::size_t series_of(const Snapshot& snapshot) {
  std::size_t series = 0;
  for (const MetricFamily& family : metrics(snapshot)) {
    for (const auto& metric : family.metric) {
      series += family.type == MetricType::Histogram ? metric.histogram.bucket.size() + 2 : 1;
    }
  }
  return series;
}

TEST(Metrics, CostAtMostFortySeriesAPeerFamily) {
  Snapshot s = some_snapshot();
  const std::size_t one = series_of(s);
  s.peers.push_back(some_peer("tor2"));
  const std::size_t per_peer = series_of(s) - one;
  EXPECT_LE(per_peer, 40U * s.peers[1].families.size());
  for (int i = 0; i < 62; ++i) s.peers.push_back(some_peer(fmt::format("h{}", i)));
  EXPECT_LT(series_of(s), 6000U);
}

TEST(Metrics, BoundTheNetworks) {
  Snapshot s;
  for (int i = 0; i < 1000; ++i) s.containers[fmt::format("net{:04}", i)] = 2;
  const std::string text = text_of(s);
  EXPECT_THAT(text, HasSubstr("weft_containers{network=\"net0063\"} 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("net0064")));
  EXPECT_THAT(text, HasSubstr(fmt::format("weft_containers{{network=\"other\"}} {}\n", 936 * 2)));
}

/// The whole answer to GET /metrics over a socket on loopback.
std::string scrape(std::uint16_t port) {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return "";
  }
  const std::string request = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
  EXPECT_EQ(::write(fd.get(), request.data(), request.size()),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(fd.get(), buffer.data(), buffer.size())) > 0;) {
    answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

Settings on_port(std::uint16_t port) {
  return {Listen{Address::ipv4(0x7f000001), port}};
}

TEST(Server, AnswersWithTheSnapshotOfTheMoment) {
  std::uint64_t overruns = 0;
  auto server = Server::start(on_port(0), [&] {
    Snapshot s = some_snapshot();
    s.netlink_overruns = ++overruns;
    return s;
  });
  ASSERT_TRUE(server) << server.error().message;
  const std::string first = scrape((*server)->port());
  EXPECT_THAT(first, HasSubstr("200 OK"));
  EXPECT_THAT(first, HasSubstr("text/plain"));
  EXPECT_THAT(first, HasSubstr("weft_netlink_overruns_total 1\n"));
  EXPECT_THAT(scrape((*server)->port()), HasSubstr("weft_netlink_overruns_total 2\n"));
}

TEST(Server, SatisfiesPromtool) {
  auto server = Server::start(on_port(0), some_snapshot);
  ASSERT_TRUE(server) << server.error().message;
  const std::string answer = scrape((*server)->port());
  const std::string body = answer.substr(answer.find("\r\n\r\n") + 4);
  ASSERT_THAT(body, HasSubstr("weft_build_info"));
  std::string path = "/tmp/weft-exporter-XXXXXX";
  const Fd file(::mkstemp(path.data()));
  ASSERT_EQ(::write(file.get(), body.data(), body.size()), static_cast<ssize_t>(body.size()));
  // NOLINTNEXTLINE(cert-env33-c): the test's own command
  std::FILE* pipe = ::popen(fmt::format("promtool check metrics < {} 2>&1", path).c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string said;
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    said.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  ::unlink(path.c_str());
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << said;
  EXPECT_EQ(said, "");
}

TEST(Server, SaysWhereItCannotListen) {
  auto first = Server::start(on_port(0), some_snapshot);
  ASSERT_TRUE(first);
  const auto second = Server::start(on_port((*first)->port()), some_snapshot);
  ASSERT_FALSE(second);
  EXPECT_THAT(
      second.error().message,
      HasSubstr(fmt::format("cannot listen on 127.0.0.1:{} (exporter.listen)", (*first)->port())));
  const auto elsewhere =
      Server::start({Listen{*Address::parse("192.0.2.77"), 9798}}, some_snapshot);
  ASSERT_FALSE(elsewhere);
  EXPECT_THAT(elsewhere.error().message, HasSubstr("192.0.2.77:9798"));
}

TEST(Server, IsNotThereWhenOff) {
  const auto server = Server::start({std::nullopt}, some_snapshot);
  ASSERT_TRUE(server);
  EXPECT_EQ(*server, nullptr);
}

TEST(Server, SaysThatIpv6IsNotForIt) {
  const auto server = Server::start({Listen{*Address::parse("::1"), 9798}}, some_snapshot);
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message, HasSubstr("[::1]:9798 (exporter.listen): the HTTP server"));
}

TEST(Server, OutlivesACollectThatFails) {
  auto server = Server::start(on_port(0), []() -> Snapshot { throw std::runtime_error("gone"); });
  ASSERT_TRUE(server) << server.error().message;
  const std::string answer = scrape((*server)->port());
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, Not(HasSubstr("weft_")));
}

TEST(Server, StopsAtOnce) {
  auto server = Server::start(on_port(0), some_snapshot);
  ASSERT_TRUE(server) << server.error().message;
  EXPECT_THAT(scrape((*server)->port()), HasSubstr("200 OK"));
  const Time start = Clock::now();
  (*server).reset();
  // Civetweb alone would take two seconds.
  EXPECT_LT(Clock::now() - start, std::chrono::milliseconds(1500));
}

}  // namespace
}  // namespace weft::exporter
