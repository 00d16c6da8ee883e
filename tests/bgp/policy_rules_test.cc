#include "bgp/policy_rules.h"

#include <gtest/gtest.h>

#include <random>

#include "bgp/settings.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

PrefixRange range(std::string_view text) {
  return *PrefixRange::parse(text);
}
CommunityPattern community_of(std::string_view text) {
  return *CommunityPattern::parse(text);
}

TEST(PrefixRange, ReadsAndWritesItself) {
  for (const char* text : {"10.0.0.0/8", "10.0.0.0/8 ge 24", "10.0.0.0/8 le 24", "10.0.0.0/8 le 32",
                           "10.0.0.0/8 ge 16 le 24", "0.0.0.0/0", "fd00::/8 ge 48 le 64"}) {
    const auto read = PrefixRange::parse(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(read->text(), text);
  }
  for (const char* text : {"10.0.0.0", "10.0.0.0/8 ge", "10.0.0.0/8 ge 4", "10.0.0.0/8 le 33",
                           "10.0.0.0/8 ge 24 le 16", "10.0.0.0/8 ge 9 ge 10", "10.0.0.1/8", ""}) {
    EXPECT_FALSE(PrefixRange::parse(text)) << text;
  }
}

// The index against going through all ranges, one by one.
TEST(PrefixIndex, FindsWhatALookAtEveryRangeFinds) {
  std::minstd_rand random(7);
  const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
  const auto any_prefix = [&] {
    const unsigned length = below(25);
    return Prefix(Address::ipv4(0x0a000000 | below(4) << 22 | below(4) << 16 | below(4) << 8),
                  length);
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<PrefixRange> ranges;
    PrefixIndex index;
    for (std::size_t number = 0; number < 40; ++number) {
      const Prefix prefix = any_prefix();
      const unsigned least = prefix.length() + below(33 - prefix.length());
      const unsigned most = least + below(33 - least);
      ranges.push_back({prefix, static_cast<std::uint8_t>(least), static_cast<std::uint8_t>(most)});
      index.add(ranges.back(), number);
    }
    index.build();
    for (int i = 0; i < 200; ++i) {
      const Prefix asked = any_prefix();
      PrefixIndex::Numbers expected;
      for (std::size_t number = 0; number < ranges.size(); ++number) {
        expected.set(number, ranges[number].contains(asked));
      }
      ASSERT_EQ(index.find(asked), expected) << asked.text();
    }
  }
}

TEST(CommunityPattern, ReadsEveryKind) {
  Attributes route;
  route.communities = {Community{65001U << 16 | 100}, community::no_export};
  route.extended_communities = {ExtendedCommunity{0x0002fde900000064}};
  route.large_communities = {LargeCommunity{4200000001, 1, 2}};
  for (const char* text :
       {"65001:100", "65001:*", "*:100", "no-export", "rt:65001:100", "rt:65001:*",
        "0x0002fde900000064", "4200000001:1:2", "4200000001:*:*"}) {
    EXPECT_TRUE(community_of(text).in(route)) << text;
  }
  for (const char* text :
       {"65001:101", "65002:*", "no-advertise", "soo:65001:100", "rt:65002:*", "4200000001:1:3"}) {
    EXPECT_FALSE(community_of(text).in(route)) << text;
  }
  for (const char* text : {"", "65001", "65536:1", "1:2:3:4", "rt:1", "rt:70000:65536", "x:1",
                           "4294967296:1:1", "0x12"}) {
    EXPECT_FALSE(CommunityPattern::parse(text)) << text;
  }
}

/// One rule, which accepts what it matches.
struct MatchCase {
  const char* name;
  RuleMatch match;
  bool matches;
};
void PrintTo(const MatchCase& c, std::ostream* out) {
  *out << c.name;
}

class RuleMatches : public testing::TestWithParam<MatchCase> {};

TEST_P(RuleMatches, WhatItSays) {
  Settings settings;
  settings.prefix_sets = {{"services", {range("10.96.0.0/16 le 32")}}, {"none", {}}};
  settings.community_sets = {{"drain", {community_of("65001:666")}}, {"none", {}}};
  settings.policies = {{"p", {{"r", GetParam().match, {}, RuleVerdict::accept}}}};
  const PolicyRules rules(settings.policies[0], settings);
  Attributes attributes = bgp::path_of({65001, 65010});
  attributes.communities = {Community{65001U << 16 | 666}};
  const PolicyRoute route{Direction::import, RouteOrigin::external, "tor1", address("192.0.2.1"),
                          "rack"};
  const PolicyOutcome outcome =
      rules.decide(rules.conditions(prefix("10.96.3.0/24")), Family::ipv4, route, attributes);
  EXPECT_EQ(outcome.accepted, GetParam().matches);
}

RuleMatch matching(const std::function<void(RuleMatch&)>& say) {
  RuleMatch match;
  say(match);
  return match;
}

INSTANTIATE_TEST_SUITE_P(
    Conditions, RuleMatches,
    testing::Values(
        MatchCase{"Nothing", {}, true},
        MatchCase{"Prefix", matching([](auto& m) { m.prefixes = {range("10.96.3.0/24")}; }), true},
        MatchCase{"OtherPrefix", matching([](auto& m) { m.prefixes = {range("10.96.0.0/16")}; }),
                  false},
        MatchCase{"PrefixSet", matching([](auto& m) { m.prefixes = {"services"}; }), true},
        MatchCase{"EmptyPrefixSet", matching([](auto& m) { m.prefixes = {"none"}; }), false},
        MatchCase{"NoPools", matching([](auto& m) { m.prefixes = {"pools"}; }), false},
        MatchCase{"DefaultRoute", matching([](auto& m) { m.prefixes = {"default-route"}; }), false},
        MatchCase{"Family", matching([](auto& m) { m.family = Family::ipv4; }), true},
        MatchCase{"OtherFamily", matching([](auto& m) { m.family = Family::ipv6; }), false},
        MatchCase{"AsPath", matching([](auto& m) {
                    m.as_paths = {"^9$", "_65010$"};
                  }),
                  true},
        MatchCase{"OtherAsPath", matching([](auto& m) { m.as_paths = {"_65001$"}; }), false},
        MatchCase{"Community", matching([](auto& m) { m.communities = {community_of("65001:*")}; }),
                  true},
        MatchCase{"CommunitySet", matching([](auto& m) { m.communities = {"drain"}; }), true},
        MatchCase{"EmptyCommunitySet", matching([](auto& m) { m.communities = {"none"}; }), false},
        MatchCase{"OtherCommunity",
                  matching([](auto& m) { m.communities = {community_of("65001:1")}; }), false},
        MatchCase{"NextHop", matching([](auto& m) { m.next_hops = {range("192.0.2.0/24")}; }),
                  true},
        MatchCase{"OtherNextHop", matching([](auto& m) { m.next_hops = {range("192.0.3.0/24")}; }),
                  false},
        MatchCase{"Origin", matching([](auto& m) { m.origins = {Origin::igp}; }), true},
        MatchCase{"OtherOrigin", matching([](auto& m) { m.origins = {Origin::egp}; }), false},
        MatchCase{"Peer", matching([](auto& m) {
                    m.peers = {"tor2", "tor1"};
                  }),
                  true},
        MatchCase{"PeerOfRange", matching([](auto& m) {
                    m.peers = {"tor2", "rack"};
                  }),
                  true},
        MatchCase{"OtherPeer", matching([](auto& m) { m.peers = {"tor2"}; }), false},
        MatchCase{"Source", matching([](auto& m) { m.sources = {RouteOrigin::external}; }), true},
        MatchCase{"OtherSource", matching([](auto& m) { m.sources = {RouteOrigin::local}; }),
                  false},
        MatchCase{"AllMustHold", matching([](auto& m) {
                    m.prefixes = {"services"};
                    m.peers = {"tor2"};
                  }),
                  false}),
    [](const auto& c) { return c.param.name; });

PolicySettings policy_of(std::vector<RuleSettings> rules) {
  return {"p", std::move(rules)};
}
const PolicyRoute from_tor1{Direction::import, RouteOrigin::external, "tor1", Address::ipv4(1)};
const PolicyRoute to_others{Direction::to_export, RouteOrigin::external, "tor1", Address::ipv4(1)};

PolicyOutcome decided(const PolicyRules& rules, const PolicyRoute& route,
                      const Attributes& attributes, std::string_view what = "10.0.0.0/24") {
  return rules.decide(rules.conditions(prefix(what)), Family::ipv4, route, attributes);
}

TEST(PolicyRules, TheFirstRuleThatMatchesDecides) {
  const PolicyRules rules(
      policy_of({{"one",
                  matching([](auto& m) { m.prefixes = {range("10.0.0.0/24")}; }),
                  {},
                  RuleVerdict::reject},
                 {"two", {}, {}, RuleVerdict::accept}}),
      {});
  const auto refused = decided(rules, from_tor1, path_of({1}));
  EXPECT_FALSE(refused.accepted);
  EXPECT_EQ(rules.blame(refused), "policy p, rule one");
  EXPECT_TRUE(decided(rules, from_tor1, path_of({1}), "10.0.1.0/24").accepted);
}

TEST(PolicyRules, WhatNoRuleMatchesIsRejected) {
  RuleSet set;
  set.med = 5;
  const PolicyRules rules(policy_of({{"one", {}, set, RuleVerdict::next}}), {});
  const auto outcome = decided(rules, from_tor1, path_of({1}));
  EXPECT_FALSE(outcome.accepted);
  EXPECT_FALSE(outcome.changed);
  EXPECT_EQ(rules.blame(outcome), "policy p, no rule matched");
}

TEST(PolicyRules, NextGoesOnWithWhatWasSet) {
  RuleSet mark;
  mark.add_communities = {community_of("65001:1")};
  RuleSet prefer;
  prefer.local_pref = 200;
  RuleMatch marked;
  marked.communities = {community_of("65001:1")};
  const PolicyRules rules(policy_of({{"mark", {}, mark, RuleVerdict::next},
                                     {"prefer", marked, prefer, RuleVerdict::accept}}),
                          {});
  const auto outcome = decided(rules, from_tor1, path_of({1}));
  EXPECT_TRUE(outcome.accepted);
  EXPECT_TRUE(outcome.changed);
  EXPECT_EQ(outcome.attributes.local_pref, 200U);
  EXPECT_EQ(outcome.rules, (std::vector<std::uint16_t>{0, 1}));
}

TEST(PolicyRules, SetsInTheOrderThatIsWritten) {
  RuleSet set;
  set.replace_communities = Communities{community_of("65001:1"), community_of("65001:2")};
  set.remove_communities = {community_of("*:2")};
  set.add_communities = {community_of("7:7:7"), community_of("rt:65001:9")};
  set.origin = Origin::egp;
  set.med = 30;
  const PolicyRules rules(policy_of({{"all", {}, set, RuleVerdict::accept}}), {});
  Attributes before = path_of({1});
  before.communities = {Community{9}};
  before.large_communities = {LargeCommunity{1, 1, 1}};
  const auto outcome = decided(rules, from_tor1, before);
  EXPECT_EQ(outcome.attributes.communities, std::vector{Community{65001U << 16 | 1}});
  EXPECT_EQ(outcome.attributes.large_communities, (std::vector{LargeCommunity{7, 7, 7}}));
  EXPECT_EQ(outcome.attributes.extended_communities,
            std::vector{ExtendedCommunity{0x0002fde900000009}});
  EXPECT_EQ(outcome.attributes.origin, Origin::egp);
  EXPECT_EQ(outcome.attributes.med, 30U);
  EXPECT_TRUE(outcome.med_set);
}

TEST(PolicyRules, PrependsThePeersAsOnTheWayInAndLeavesOursToTheSession) {
  RuleSet set;
  set.prepend = 2;
  const PolicyRules rules(policy_of({{"all", {}, set, RuleVerdict::accept}}), {});
  EXPECT_EQ(decided(rules, from_tor1, path_of({65001, 2})).attributes.as_path.text(),
            "65001 65001 65001 2");
  const auto out = decided(rules, to_others, path_of({65001, 2}));
  EXPECT_EQ(out.attributes.as_path.text(), "65001 2");
  EXPECT_EQ(out.prepend, 2U);
}

TEST(PolicyRules, CountsByRuleAndDirection) {
  const PolicyRules rules(
      policy_of({{"one",
                  matching([](auto& m) { m.prefixes = {range("10.0.0.0/24")}; }),
                  {},
                  RuleVerdict::accept}}),
      {});
  rules.count(Direction::import, {0}, true);
  rules.count(Direction::to_export, {}, false);
  EXPECT_EQ(rules.hits(Direction::import).rules[0], 1U);
  EXPECT_EQ(rules.hits(Direction::import).unmatched, 0U);
  EXPECT_EQ(rules.hits(Direction::to_export).rules[0], 0U);
  EXPECT_EQ(rules.hits(Direction::to_export).unmatched, 1U);
}

TEST(Policies, ThatSayTheSameStayTheSame) {
  Settings settings;
  settings.prefix_sets = {{"set", {range("10.0.0.0/8")}}};
  settings.policies = {
      {"a", {{"1", matching([](auto& m) { m.prefixes = {"set"}; }), {}, RuleVerdict::accept}}},
      {"b", {{"1", {}, {}, RuleVerdict::accept}}}};
  const Policies before = compile(settings, {});
  settings.prefix_sets[0].ranges = {range("10.0.0.0/9")};
  const Policies after = compile(settings, before);
  EXPECT_NE(after.at("a"), before.at("a"));
  EXPECT_EQ(after.at("b"), before.at("b"));
}

}  // namespace
}  // namespace weft::bgp
