// Policies of the document: read, printed, and refused with the place of every fault.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "config/config.h"

namespace weft::config {
namespace {

const Defaults defaults{"h1"};

std::string document(const std::string& bgp) {
  return "node: {asn: 65001, router-id: 10.255.0.1}\nbgp:\n" + bgp;
}

constexpr const char* everything = R"(
  prefix-sets:
    services: [10.96.0.0/16 le 32, "fd00::/8 ge 48 le 64"]
  community-sets:
    drain: [graceful-shutdown, "65001:666", "65001:1:*", "rt:65001:7"]
  policies:
    from-tor:
      - {name: no-bogons, match: {prefix: [127.0.0.0/8 le 32, default-route]}, then: reject}
      - match:
          prefix: [services, pools]
          family: ipv4
          as-path: ["^65001_", "_65010$"]
          community: [drain, no-export]
          next-hop: [192.0.2.1, 198.51.100.0/24, services]
          origin: [igp, incomplete]
          peer: tor1
          source: external
        set:
          local-pref: 200
          med: 0
          prepend: 3
          origin: egp
          next-hop: 192.0.2.9
          community: {replace: [], remove: ["65001:*"], add: [drain2, no-advertise]}
        then: next
      - {set: {next-hop: unchanged, community: {replace: ["1:2"]}}}
    to-tor: [{match: {source: local}, set: {next-hop: self}}]
  peers:
    - {address: 192.0.2.1, name: tor1, import: from-tor, export: to-tor}
)";

std::string with_drain2() {
  std::string text = everything;
  return text.replace(text.find("    drain:"), 0, "    drain2: [\"1:1\"]\n");
}

TEST(Policies, AreReadAndPrinted) {
  const auto config = parse(document(with_drain2()), "f", defaults);
  ASSERT_TRUE(config) << config.error().front().text();
  const bgp::Settings& bgp = config->bgp;
  ASSERT_EQ(bgp.policies.size(), 2U);
  const auto& rules = bgp.policies[0].rules;
  ASSERT_EQ(rules.size(), 3U);
  EXPECT_EQ(rules[0].name, "no-bogons");
  EXPECT_EQ(rules[0].then, bgp::RuleVerdict::reject);
  EXPECT_EQ(rules[1].name, "2");
  EXPECT_EQ(rules[1].match.as_paths.size(), 2U);
  EXPECT_EQ(rules[1].match.communities.size(), 2U);
  EXPECT_EQ(rules[1].match.next_hops.size(), 3U);
  EXPECT_EQ(rules[1].set.prepend, 3U);
  EXPECT_EQ(rules[1].set.replace_communities, bgp::Communities());
  EXPECT_EQ(rules[1].then, bgp::RuleVerdict::next);
  EXPECT_EQ(bgp.peers[0].import_filter, bgp::Filter{"from-tor"});
  const auto again = parse(render(*config), "f", defaults);
  ASSERT_TRUE(again) << again.error().front().text();
  EXPECT_EQ(*again, *config);
}

std::string faults_of(const std::string& bgp) {
  const auto config = parse(document(bgp), "f", defaults);
  std::string faults;
  if (config) return faults;
  for (const ConfigError& error : config.error()) faults += error.text() + "\n";
  return faults;
}

struct Case {
  const char* name;
  const char* rule;
  const char* fault;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.rule;
}
class RuleRefused : public testing::TestWithParam<Case> {};

TEST_P(RuleRefused, SaysWhereAndWhy) {
  EXPECT_EQ(faults_of(std::string("  policies:\n    p:\n      - {") + GetParam().rule + "}\n"),
            std::string("f:5:") + GetParam().fault + "\n");
}

INSTANTIATE_TEST_SUITE_P(
    Rules, RuleRefused,
    testing::Values(
        Case{"UnknownKey", "matches: {}",
             "10: bgp.policies.p[0]: unknown key 'matches'; known here: name, match, set, then"},
        Case{"Verdict", "then: drop",
             "16: bgp.policies.p[0].then: must be one of accept, reject, next"},
        Case{"Prefix", "match: {prefix: 10.0.0.0/8 ge 33}",
             "26: bgp.policies.p[0].match.prefix: 10.0.0.0/8 with ge 33 and le 32 holds nothing: 8 "
             "<= ge <= le <= 32"},
        Case{"PrefixSet", "match: {prefix: pool}",
             "26: bgp.policies.p[0].match.prefix: there is no prefix set 'pool'; did you mean "
             "'pools'?"},
        Case{"AsPath", "match: {as-path: \"(65001\"}",
             "27: bgp.policies.p[0].match.as-path: '(65001' is no AS path expression: '(' without "
             "')' at character 7"},
        Case{"Community", "match: {community: \"70000:1\"}",
             "29: bgp.policies.p[0].match.community: '70000:1' is no community; such are "
             "65001:100, "
             "65001:*, no-export, 65001:1:2 (large), rt:65001:100 and soo:65001:100 (extended)"},
        Case{"CommunitySet", "set: {community: {add: drain}}",
             "33: bgp.policies.p[0].set.community.add: there is no community set 'drain'"},
        Case{"ManyCommunities", "set: {community: {add: \"65001:*\"}}",
             "33: bgp.policies.p[0].set.community.add: 65001:* stands for many communities; only "
             "one can be set"},
        Case{"Peer", "match: {peer: tor1}",
             "24: bgp.policies.p[0].match.peer: there is no peer 'tor1'"},
        Case{"Prepend", "set: {prepend: 17}",
             "25: bgp.policies.p[0].set.prepend: '17' is not a whole number, 1..16"},
        Case{"NextHop", "set: {next-hop: 0.0.0.0}",
             "26: bgp.policies.p[0].set.next-hop: 0.0.0.0 is no next hop for others"},
        Case{"SetAndReject", "set: {med: 1}, then: reject",
             "9: bgp.policies.p[0]: a rule that rejects cannot set anything"},
        Case{"EmptyList", "match: {peer: []}",
             "24: bgp.policies.p[0].match.peer: must not be empty; leave it out"}),
    [](const auto& c) { return c.param.name; });

TEST(Policies, EveryFaultIsToldAtOnce) {
  EXPECT_EQ(faults_of("  prefix-sets: {pools: [10.0.0.0/8], a: [], b: [x]}\n"
                      "  community-sets: {no-export: [\"1:1\"]}\n"
                      "  policies: {host: [{}], p: [], q: [{name: a}, {name: a}]}\n"),
            "f:3:17: bgp.prefix-sets.pools: 'pools' means something already; choose another name\n"
            "f:3:41: bgp.prefix-sets.a: must list at least one, such as 10.0.0.0/8 ge 24 le 32\n"
            "f:3:49: bgp.prefix-sets.b: 'x' is not a prefix such as 10.0.0.0/8 or fd00::/64\n"
            "f:4:20: bgp.community-sets.no-export: 'no-export' means something already; choose "
            "another name\n"
            "f:5:14: bgp.policies.host: 'host' means something already; choose another name\n"
            "f:5:29: bgp.policies.p: must list at least one rule, such as {match: {prefix: pools}, "
            "then: accept}\n"
            "f:5:48: bgp.policies.q[1]: a rule called 'a' stands above already\n");
}

}  // namespace
}  // namespace weft::config
