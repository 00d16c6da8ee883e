// bgp.aggregates and bgp.announcements as an operator writes them.
#include <gtest/gtest.h>

#include <string>

#include "config/config.h"

namespace weft::config {
namespace {

Result<Config, ConfigErrors> parsed(const std::string& bgp) {
  return parse("node: {name: h1, asn: 65001, router-id: 10.255.0.1}\nbgp:\n" + bgp, "f", {"h1"});
}

TEST(ConfigAggregates, ReadsEveryKey) {
  const auto config = parsed(
      "  aggregates:\n"
      "    - prefix: 10.64.0.0/16\n"
      "    - {prefix: \"fd00:64::/32\", summary-only: true, med: 5,"
      " communities: [\"65001:7\", no-export, \"65001:1:2\"]}\n");
  ASSERT_TRUE(config) << config.error().front().text();
  ASSERT_EQ(config->bgp.aggregates.size(), 2U);
  const bgp::AggregateSettings& plain = config->bgp.aggregates[0];
  EXPECT_EQ(plain.what.prefix.text(), "10.64.0.0/16");
  EXPECT_FALSE(plain.summary_only);
  EXPECT_FALSE(plain.what.med);
  const bgp::AggregateSettings& full = config->bgp.aggregates[1];
  EXPECT_TRUE(full.summary_only);
  EXPECT_EQ(full.what.med, 5U);
  EXPECT_EQ(full.what.communities.size(), 2U);
  EXPECT_EQ(full.what.large_communities.size(), 1U);
  EXPECT_EQ(*parse(render(*config), "f", {"h1"}), *config);
}

TEST(ConfigAnnouncements, ReadsEveryKey) {
  const auto config = parsed(
      "  announcements:\n"
      "    - prefix: 192.0.2.7/32\n"
      "    - {prefix: \"fd00:7::/64\", when-route: 0.0.0.0/0, unless-route: 10.0.0.0/8,"
      " health-file: /run/well, health-socket: /run/well.sock, health-command: 'test -e \"/x\"',"
      " health-interval: 5, health-timeout: 4, health-rise: 3, health-fall: 2, med: 5,"
      " communities: [no-export]}\n");
  ASSERT_TRUE(config) << config.error().front().text();
  ASSERT_EQ(config->bgp.announcements.size(), 2U);
  EXPECT_FALSE(config->bgp.announcements[0].when_route);
  const bgp::AnnouncementSettings& full = config->bgp.announcements[1];
  EXPECT_EQ(full.when_route->text(), "0.0.0.0/0");
  EXPECT_EQ(full.unless_route->text(), "10.0.0.0/8");
  EXPECT_EQ(full.health_file, "/run/well");
  EXPECT_EQ(full.health_socket, "/run/well.sock");
  EXPECT_EQ(full.health_command, "test -e \"/x\"");
  EXPECT_EQ(full.health_interval.count(), 5);
  EXPECT_EQ(full.health_timeout.count(), 4);
  EXPECT_EQ(full.health_rise, 3U);
  EXPECT_EQ(full.health_fall, 2U);
  EXPECT_EQ(full.what.med, 5U);
  EXPECT_EQ(*parse(render(*config), "f", {"h1"}), *config);
}

TEST(ConfigDefaultOriginate, IsNeverAlwaysOrAPrefix) {
  const auto config = parsed(
      "  groups: {hosts: {remote-as: external, default-originate: always}}\n"
      "  peers:\n"
      "    - {address: 192.0.2.1, group: hosts}\n"
      "    - {address: 192.0.2.2, group: hosts, default-originate: never}\n"
      "    - {address: 192.0.2.3, group: hosts, default-originate: \"fd00::/16\"}\n");
  ASSERT_TRUE(config) << config.error().front().text();
  EXPECT_EQ(config->bgp.peers[0].default_originate, (bgp::DefaultOriginate{true, {}}));
  EXPECT_EQ(config->bgp.peers[1].default_originate, bgp::DefaultOriginate{});
  EXPECT_EQ(config->bgp.peers[2].default_originate,
            (bgp::DefaultOriginate{true, *Prefix::parse("fd00::/16")}));
  EXPECT_EQ(*parse(render(*config), "f", {"h1"}), *config);
}

struct Case {
  const char* name;
  const char* bgp;
  const char* fault;
};

class ConfigOriginationRefused : public testing::TestWithParam<Case> {};

TEST_P(ConfigOriginationRefused, SaysWhereAndWhy) {
  const auto config = parsed(GetParam().bgp);
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().front().text().find(GetParam().fault), std::string::npos)
      << config.error().front().text();
}

INSTANTIATE_TEST_SUITE_P(
    Table, ConfigOriginationRefused,
    testing::Values(
        Case{"NoPrefix", "  aggregates: [{summary-only: true}]\n", "'prefix' is missing"},
        Case{"Default", "  aggregates: [{prefix: 0.0.0.0/0}]\n", "default-originate"},
        Case{"Host", "  aggregates: [{prefix: 10.0.0.1/32}]\n",
             "nothing lies inside of 10.0.0.1/32"},
        Case{"Multicast", "  aggregates: [{prefix: 224.0.0.0/8}]\n", "cannot be a unicast route"},
        Case{"Twice", "  aggregates: [{prefix: 10.0.0.0/8}, {prefix: 10.0.0.0/8}]\n",
             "10.0.0.0/8 stands above already"},
        Case{"Community", "  aggregates: [{prefix: 10.0.0.0/8, communities: [blue]}]\n",
             "'blue' is no community"},
        Case{"PathOfHealth", "  announcements: [{prefix: 10.0.0.1/32, health-file: run}]\n",
             "must be an absolute path"},
        Case{"OwnCondition", "  announcements: [{prefix: 10.0.0.0/8, unless-route: 10.0.0.0/8}]\n",
             "which this node announces by itself"},
        Case{"AggregateCondition",
             "  aggregates: [{prefix: 10.0.0.0/8}]\n"
             "  announcements: [{prefix: 10.0.0.1/32, unless-route: 10.0.0.0/8}]\n",
             "10.0.0.1/32 depends on 10.0.0.0/8"},
        Case{"DefaultOriginate",
             "  peers: [{address: 192.0.2.1, remote-as: external, default-originate: true}]\n",
             "must be never, always or a prefix"},
        Case{"AsSet", "  aggregates: [{prefix: 10.0.0.0/8, as-set: true}]\n", "RFC 9774"}),
    [](const auto& c) { return c.param.name; });

}  // namespace
}  // namespace weft::config
