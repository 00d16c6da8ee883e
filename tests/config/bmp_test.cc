// bgp.bmp: stations as an operator writes them.
#include <gtest/gtest.h>

#include <string>

#include "config/config.h"

namespace weft::config {
namespace {

using std::chrono::seconds;

Result<Config, ConfigErrors> parsed(const std::string& bmp) {
  return parse("node: {name: h1, asn: 65001, router-id: 10.255.0.1}\nbgp:\n  bmp: " + bmp + "\n",
               "f", {"h1"});
}

TEST(ConfigBmp, FillsInTheDefaults) {
  const auto config = parsed("{stations: [{address: 198.51.100.7}, {address: \"fd00::7\"}]}");
  ASSERT_TRUE(config) << config.error().front().text();
  EXPECT_EQ(config->bgp.bmp.system_name, "h1");
  ASSERT_EQ(config->bgp.bmp.stations.size(), 2U);
  const bgp::BmpStation& first = config->bgp.bmp.stations[0];
  EXPECT_EQ(first.name, "198.51.100.7:11019");
  EXPECT_EQ(first.port, 11019);
  EXPECT_EQ(first.monitor, (std::vector{bgp::BmpView::pre_policy, bgp::BmpView::post_policy}));
  EXPECT_EQ(first.statistics_interval, seconds(60));
  EXPECT_EQ(first.connect_retry, seconds(30));
  EXPECT_FALSE(first.source);
  EXPECT_EQ(config->bgp.bmp.stations[1].name, "[fd00::7]:11019");
  EXPECT_EQ(*parse(render(*config), "f", {"h1"}), *config);
}

TEST(ConfigBmp, ReadsEveryKey) {
  const auto config = parsed(
      "{stations: [{name: noc, address: 198.51.100.7, port: 1790, source: 192.0.2.1, "
      "monitor: [loc-rib, adj-rib-out], statistics-interval: 0, connect-retry: 1}]}");
  ASSERT_TRUE(config) << config.error().front().text();
  bgp::BmpStation station;
  station.name = "noc";
  station.address = *Address::parse("198.51.100.7");
  station.port = 1790;
  station.source = *Address::parse("192.0.2.1");
  station.monitor = {bgp::BmpView::adj_rib_out, bgp::BmpView::loc_rib};
  station.statistics_interval = seconds(0);
  station.connect_retry = seconds(1);
  EXPECT_EQ(config->bgp.bmp.stations, std::vector{station});
  EXPECT_EQ(*parse(render(*config), "f", {"h1"}), *config);
}

struct Case {
  const char* name;
  const char* bmp;
  const char* fault;
};

class ConfigBmpRefused : public testing::TestWithParam<Case> {};

TEST_P(ConfigBmpRefused, SaysWhereAndWhy) {
  const auto config = parsed(GetParam().bmp);
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().front().text().find(GetParam().fault), std::string::npos)
      << config.error().front().text();
}

INSTANTIATE_TEST_SUITE_P(
    Table, ConfigBmpRefused,
    testing::Values(
        Case{"NoAddress", "{stations: [{port: 1}]}", "'address' is missing"},
        Case{"LinkLocal", "{stations: [{address: \"fe80::1\"}]}",
             "fe80::1 is not a routable address of one host"},
        Case{"View", "{stations: [{address: 192.0.2.1, monitor: [adj-rib-in]}]}",
             "is none of pre-policy, post-policy, adj-rib-out, loc-rib"},
        Case{"NoView", "{stations: [{address: 192.0.2.1, monitor: []}]}",
             "must list at least one of"},
        Case{"ViewTwice", "{stations: [{address: 192.0.2.1, monitor: [loc-rib, loc-rib]}]}",
             "loc-rib is listed twice"},
        Case{"Source", "{stations: [{address: 192.0.2.1, source: \"fd00::1\"}]}",
             "are of different families"},
        Case{"Twice", "{stations: [{address: 192.0.2.1}, {address: 192.0.2.1}]}",
             "a station called '192.0.2.1:11019' stands above already"},
        Case{"Retry", "{stations: [{address: 192.0.2.1, connect-retry: 721}]}", "1..720"},
        Case{"Unknown", "{station: []}", "unknown key 'station'; did you mean 'stations'?"}),
    [](const auto& c) { return c.param.name; });

}  // namespace
}  // namespace weft::config
