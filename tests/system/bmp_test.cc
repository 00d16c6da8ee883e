// weftd's monitoring as a real station sees it: pmacct's pmbmpd, beside a BIRD that weftd speaks
// BGP with. What pmbmpd logs of each message is what it has read from the wire.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include <fstream>
#include <set>

#include "tests/system/interop.h"

namespace weft::interop {
namespace {

constexpr const char* stations = R"(  bmp:
    stations:
      - {name: noc, address: 192.0.2.2, port: 1790, connect-retry: 1, statistics-interval: 2,
         monitor: [pre-policy, post-policy, adj-rib-out, loc-rib]}
)";

class Bmp : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (shell("command -v pmbmpd").find("/pmbmpd") == std::string::npos)
      GTEST_SKIP() << "pmbmpd of the package pmacct is not installed";
    Row row{.name = "Bmp", .check = {}, .weft = "import: from-bird"};
    // One of BIRD's two prefixes is let in.
    row.bgp = std::string("  policies:\n") +
              "    from-bird: [{match: {prefix: [203.0.113.0/25, \"2001:db8:1::/48\"]}, then: "
              "accept}]\n" +
              stations;
    pair.emplace(Daemon::bird, std::move(row), WEFT_BINARY_DIR);
  }

  void start_station() {
    const std::string config = pair->hosts.write("pmbmpd.conf",
                                                 "daemonize: false\n"
                                                 "bmp_daemon_ip: 192.0.2.2\n"
                                                 "bmp_daemon_port: 1790\n"
                                                 "bmp_daemon_max_peers: 4\n"
                                                 "bmp_daemon_msglog_output: json\n"
                                                 "bmp_daemon_msglog_file: " +
                                                     pair->file("bmp.json") + "\n");
    station = std::make_unique<Process>(
        pair->hosts.b, std::vector<std::string>{"pmbmpd", "-f", config}, pair->file("pmbmpd.log"));
  }

  /// What pmbmpd has logged, a message a line.
  [[nodiscard]] std::vector<json> seen() const {
    std::vector<json> all;
    std::ifstream log(pair->file("bmp.json"));
    for (std::string line; std::getline(log, line);) {
      json message = json::parse(line, nullptr, false);
      if (message.is_object()) all.push_back(std::move(message));
    }
    return all;
  }
  [[nodiscard]] std::optional<json> find(const json& with) const {
    for (const json& message : seen()) {
      const bool fits =
          std::all_of(with.items().begin(), with.items().end(), [&](const auto& each) {
            return message.contains(each.key()) && message[each.key()] == each.value();
          });
      if (fits) return message;
    }
    return std::nullopt;
  }
  bool sees(const json& with) {
    return pair->until([&] { return find(with).has_value(); });
  }
  [[nodiscard]] std::string story() const {
    return pair->story() + shell("cat " + pair->file("bmp.json") + " " + pair->file("pmbmpd.log"));
  }
  [[nodiscard]] json status() const {
    const json reply = pair->ctl("bmp");
    return reply.is_object() && !reply["stations"].empty() ? reply["stations"][0] : json::object();
  }

  std::optional<Pair> pair;
  std::unique_ptr<Process> station;
};

TEST_F(Bmp, IsReadByPmacct) {
  start_station();
  pair->start();
  ASSERT_TRUE(pair->established()) << story();

  ASSERT_TRUE(sees({{"bmp_msg_type", "init"}, {"bmp_init_info_sysname", "weft"}})) << story();
  ASSERT_TRUE(sees({{"bmp_msg_type", "peer_up"},
                    {"peer_ip", "192.0.2.2"},
                    {"peer_asn", 65002},
                    {"bgp_id", "192.0.2.2"},
                    {"local_ip", "192.0.2.1"},
                    {"peer_type", 0}}))
      << story();
  ASSERT_TRUE(sees({{"bmp_msg_type", "peer_up"}, {"peer_type", 3}, {"bgp_id", "10.255.0.1"}}))
      << story();
  const auto route = [](const char* prefix, const json& table) {
    json wanted = table;
    wanted["bmp_msg_type"] = "route_monitor";
    wanted["log_type"] = "update";
    wanted["ip_prefix"] = prefix;
    return wanted;
  };
  const json pre{{"is_post", 0}, {"is_in", 1}, {"peer_ip", "192.0.2.2"}};
  const json post{{"is_post", 1}, {"is_in", 1}, {"peer_ip", "192.0.2.2"}};
  const json out{{"is_post", 1}, {"is_out", 1}, {"peer_ip", "192.0.2.2"}};
  const json loc{{"is_loc", 1}};
  for (const char* prefix : {"198.51.100.0/24", "203.0.113.0/25", "2001:db8:1::/48"}) {
    ASSERT_TRUE(sees(route(prefix, pre))) << prefix << story();
    const bool let_in = std::string(prefix) != "198.51.100.0/24";
    if (let_in) {
      ASSERT_TRUE(sees(route(prefix, post))) << prefix << story();
      ASSERT_TRUE(sees(route(prefix, loc))) << prefix << story();
    }
  }
  ASSERT_TRUE(sees(route("10.64.0.0/26", out))) << story();
  ASSERT_TRUE(sees(route("10.64.0.0/26", loc))) << story();
  const auto told = find(route("203.0.113.0/25", pre));
  EXPECT_EQ(told->value("as_path", ""), "65002");
  EXPECT_EQ(told->value("bgp_nexthop", ""), "192.0.2.2");
  EXPECT_EQ(find(route("10.64.0.0/26", out))->value("as_path", ""), "65001");

  ASSERT_TRUE(sees({{"bmp_msg_type", "stats"}, {"counter_type", 7}, {"counter_value", 3}}))
      << story();
  ASSERT_TRUE(sees({{"bmp_msg_type", "stats"}, {"peer_type", 3}, {"counter_type", 8}})) << story();
  EXPECT_FALSE(find(route("198.51.100.0/24", post))) << "the policy does not let it in";
  EXPECT_FALSE(find(route("198.51.100.0/24", loc)));

  EXPECT_EQ(status().value("state", ""), "up") << pair->weftctl("bmp");
  EXPECT_EQ(status().value("peers", 0), 2);
  EXPECT_EQ(status().value("overruns", 1), 0);
  EXPECT_THAT(pair->weftctl("bmp"), testing::HasSubstr("noc"));

  // A withdrawal, then the end of the session.
  pair->birdc("disable four");
  json withdrawn = route("203.0.113.0/25", pre);
  withdrawn["log_type"] = "withdraw";
  ASSERT_TRUE(sees(withdrawn)) << story();
  withdrawn = route("203.0.113.0/25", loc);
  withdrawn["log_type"] = "withdraw";
  ASSERT_TRUE(sees(withdrawn)) << story();
  pair->weftctl("peer shutdown peer --message bye");
  ASSERT_TRUE(sees({{"bmp_msg_type", "peer_down"}, {"peer_ip", "192.0.2.2"}, {"reason_type", 1}}))
      << story();
  pair->weftd->end(SIGTERM);
  ASSERT_TRUE(sees({{"bmp_msg_type", "term"}})) << story();
}

TEST_F(Bmp, ComesBackToAStationThatWasAway) {
  pair->start();
  ASSERT_TRUE(pair->established()) << story();
  ASSERT_TRUE(pair->until([&] {
    return status().value("last_error", "").find("refused") != std::string::npos;
  })) << pair->weftctl("bmp");
  start_station();
  ASSERT_TRUE(sees({{"bmp_msg_type", "route_monitor"}, {"ip_prefix", "2001:db8:1::/48"}}))
      << story();
  station->end(SIGKILL);
  ASSERT_TRUE(pair->until([&] { return status().value("state", "") != "up"; }));
  EXPECT_EQ(pair->state(), "Established") << "sessions do not mind";
  std::filesystem::remove(pair->file("bmp.json"));
  start_station();
  ASSERT_TRUE(sees({{"bmp_msg_type", "route_monitor"}, {"ip_prefix", "2001:db8:1::/48"}}))
      << story();
  EXPECT_GE(status().value("connections", 0), 2);
}

}  // namespace
}  // namespace weft::interop
