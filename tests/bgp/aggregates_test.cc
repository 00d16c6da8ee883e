// Aggregates (RFC 4271 9.2.2.2): what contributes, when they are originated, what they keep back.
#include "bgp/aggregates.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>

#include "bgp/advertisement.h"
#include "bgp/speaker.h"
#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
constexpr Time t0{std::chrono::hours(1)};

AggregateSettings aggregate(std::string_view text, bool summary_only = false) {
  AggregateSettings made;
  made.what.prefix = prefix(text);
  made.summary_only = summary_only;
  return made;
}

class AggregatesTest : public testing::Test {
 protected:
  void comes(std::string_view text, RouteKind kind = RouteKind::via) {
    aggregates_.route(prefix(text), RouteKind::none, kind);
  }
  void goes(std::string_view text) {
    aggregates_.route(prefix(text), RouteKind::via, RouteKind::none);
  }
  std::uint64_t contributing(std::size_t i = 0) { return aggregates_.status()[i].contributing; }
  Aggregates aggregates_;
};

struct Contribution {
  const char* name;
  const char* aggregate;
  const char* route;
  bool counts;
};

class AggregatesContribution : public testing::TestWithParam<Contribution> {};

TEST_P(AggregatesContribution, OnlyWhatLiesInsideCounts) {
  Aggregates aggregates;
  aggregates.configure({aggregate(GetParam().aggregate)}, t0);
  aggregates.route(prefix(GetParam().route), RouteKind::none, RouteKind::via);
  EXPECT_EQ(aggregates.status().front().contributing, GetParam().counts ? 1U : 0U);
  EXPECT_EQ(aggregates.step(t0).size(), GetParam().counts ? 1U : 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Table, AggregatesContribution,
    testing::Values(Contribution{"MoreSpecific", "10.64.0.0/16", "10.64.1.0/24", true},
                    Contribution{"Host", "10.64.0.0/16", "10.64.1.1/32", true},
                    Contribution{"Itself", "10.64.0.0/16", "10.64.0.0/16", false},
                    Contribution{"LessSpecific", "10.64.0.0/16", "10.0.0.0/8", false},
                    Contribution{"Default", "10.64.0.0/16", "0.0.0.0/0", false},
                    Contribution{"Beside", "10.64.0.0/16", "10.65.0.0/24", false},
                    Contribution{"Ipv6", "fd00:64::/32", "fd00:64:1::/64", true},
                    Contribution{"OtherFamily", "::/1", "10.64.1.0/24", false}),
    [](const auto& c) { return c.param.name; });

TEST_F(AggregatesTest, IsOriginatedFromTheFirstRouteToTheLast) {
  aggregates_.configure({aggregate("10.64.0.0/16", true)}, t0);
  EXPECT_THAT(aggregates_.step(t0), IsEmpty());
  comes("10.64.1.0/24");
  comes("10.64.2.0/24", RouteKind::local);
  EXPECT_THAT(aggregates_.step(t0), ElementsAre(prefix("10.64.0.0/16")));
  EXPECT_NE(aggregates_.originated(prefix("10.64.0.0/16")), nullptr);
  EXPECT_THAT(aggregates_.suppressing(), ElementsAre(prefix("10.64.0.0/16")));
  EXPECT_EQ(contributing(), 2U);

  aggregates_.route(prefix("10.64.1.0/24"), RouteKind::via, RouteKind::blackhole);
  goes("10.64.2.0/24");
  EXPECT_THAT(aggregates_.step(t0), IsEmpty()) << "another kind of route is still one";
  goes("10.64.1.0/24");
  EXPECT_THAT(aggregates_.step(t0), ElementsAre(prefix("10.64.0.0/16")));
  EXPECT_EQ(aggregates_.originated(prefix("10.64.0.0/16")), nullptr);
  EXPECT_THAT(aggregates_.suppressing(), IsEmpty());
}

TEST_F(AggregatesTest, OneThatGoesAndComesBetweenTwoStepsIsNoChange) {
  aggregates_.configure({aggregate("10.64.0.0/16")}, t0);
  comes("10.64.1.0/24");
  EXPECT_EQ(aggregates_.step(t0).size(), 1U);
  goes("10.64.1.0/24");
  comes("10.64.2.0/24");
  EXPECT_THAT(aggregates_.step(t0), IsEmpty());
}

TEST_F(AggregatesTest, SaysSinceWhenAndHowOftenThatHasChanged) {
  aggregates_.configure({aggregate("10.64.0.0/16")}, t0);
  const auto says = [&](std::chrono::seconds since, std::uint64_t changes) {
    const AggregateStatus status = aggregates_.status().front();
    return status.since == t0 + since && status.changes == changes;
  };
  using std::chrono::seconds;
  EXPECT_TRUE(says(seconds(0), 0));
  comes("10.64.1.0/24");
  EXPECT_EQ(aggregates_.step(t0 + seconds(1)).size(), 1U);
  comes("10.64.2.0/24");
  EXPECT_EQ(aggregates_.step(t0 + seconds(2)).size(), 0U);
  EXPECT_TRUE(says(seconds(1), 1));
  goes("10.64.1.0/24");
  goes("10.64.2.0/24");
  EXPECT_EQ(aggregates_.step(t0 + seconds(3)).size(), 1U);
  EXPECT_TRUE(says(seconds(3), 2));
  aggregates_.configure({aggregate("10.64.0.0/16", true)}, t0 + seconds(4));
  EXPECT_TRUE(says(seconds(3), 2)) << "a reload";
}

TEST_F(AggregatesTest, ARouteCountsForAllAroundItAnAggregateForNone) {
  aggregates_.configure({aggregate("10.0.0.0/8"), aggregate("10.64.0.0/16")}, t0);
  comes("10.64.0.0/16", RouteKind::local);
  EXPECT_EQ(contributing(0), 0U) << "or one that stands by itself would hold up the other";
  comes("10.64.1.0/24");
  EXPECT_EQ(contributing(0), 1U);
  EXPECT_EQ(contributing(1), 1U);
  EXPECT_THAT(aggregates_.step(t0),
              UnorderedElementsAre(prefix("10.0.0.0/8"), prefix("10.64.0.0/16")));
}

TEST_F(AggregatesTest, WaitsForItsBlackholeEachTimeItIsWanted) {
  aggregates_.wait_for_cover(true);
  aggregates_.configure({aggregate("10.64.0.0/16")}, t0);
  for (int life = 0; life < 2; ++life) {
    comes("10.64.1.0/24");
    EXPECT_THAT(aggregates_.step(t0), IsEmpty());
    EXPECT_TRUE(aggregates_.status().front().awaits_cover);
    EXPECT_TRUE(aggregates_.awaits_cover(Family::ipv4));
    EXPECT_FALSE(aggregates_.awaits_cover(Family::ipv6));
    aggregates_.covered(prefix("10.64.0.0/16"));
    EXPECT_EQ(aggregates_.step(t0).size(), 1U);
    EXPECT_FALSE(aggregates_.status().front().awaits_cover);
    EXPECT_FALSE(aggregates_.awaits_cover(Family::ipv4));
    goes("10.64.1.0/24");
    EXPECT_EQ(aggregates_.step(t0).size(), 1U);
    aggregates_.covered(prefix("10.64.0.0/16"));  // the kernel was slower
  }
}

TEST_F(AggregatesTest, AReloadTouchesOnlyWhatIsDifferent) {
  aggregates_.configure(
      {aggregate("10.64.0.0/16"), aggregate("10.65.0.0/16"), aggregate("10.66.0.0/16")}, t0);
  const auto tell_all = [&] {
    for (const char* each : {"10.64.1.0/24", "10.65.1.0/24", "10.66.1.0/24"}) comes(each);
  };
  tell_all();
  EXPECT_EQ(aggregates_.step(t0).size(), 3U);
  AggregateSettings marked = aggregate("10.65.0.0/16");
  marked.what.med = 7;
  aggregates_.configure({aggregate("10.64.0.0/16"), marked}, t0);
  tell_all();
  EXPECT_EQ(contributing(), 1U);
  EXPECT_THAT(aggregates_.step(t0),
              UnorderedElementsAre(prefix("10.65.0.0/16"), prefix("10.66.0.0/16")));
  EXPECT_EQ(aggregates_.originated(prefix("10.65.0.0/16"))->what.med, 7U);
  EXPECT_EQ(aggregates_.originated(prefix("10.66.0.0/16")), nullptr);
}

// RFC 4271 9.2.2.2: INCOMPLETE before EGP before IGP.
TEST_F(AggregatesTest, TheOriginIsTheLeastCertainOfWhatIsInside) {
  const Prefix block = prefix("10.64.0.0/16");
  const auto tell = [&](const char* text, RouteKind before, Origin origin) {
    aggregates_.route(prefix(text), before, RouteKind::via, origin);
    return aggregates_.step(t0);
  };
  aggregates_.configure({aggregate("10.64.0.0/16")}, t0);
  EXPECT_THAT(tell("10.64.1.0/24", RouteKind::none, Origin::egp), ElementsAre(block));
  EXPECT_EQ(aggregates_.origin(block), Origin::egp);
  EXPECT_THAT(tell("10.64.2.0/24", RouteKind::none, Origin::igp), IsEmpty());
  EXPECT_THAT(tell("10.64.2.0/24", RouteKind::via, Origin::incomplete), ElementsAre(block))
      << "another best path of the same prefix";
  EXPECT_EQ(aggregates_.origin(block), Origin::incomplete);
  EXPECT_EQ(aggregates_.status().front().changes, 1U) << "it stands all the while";
  goes("10.64.2.0/24");
  EXPECT_THAT(aggregates_.step(t0), ElementsAre(block));
  EXPECT_EQ(aggregates_.origin(block), Origin::egp);
  EXPECT_THAT(tell("10.64.1.0/24", RouteKind::via, Origin::igp), ElementsAre(block));
  EXPECT_EQ(aggregates_.origin(block), Origin::igp);
}

// Counting what comes and goes gives what looking the whole table through would.
TEST(AggregatesProperty, CountsAsATableThatIsLookedThrough) {
  const std::vector<Prefix> wanted{prefix("10.0.0.0/8"), prefix("10.64.0.0/10"),
                                   prefix("10.64.0.0/16"), prefix("10.64.64.0/18")};
  for (std::uint32_t seed = 0; seed < 32; ++seed) {
    std::minstd_rand random(seed + 1);
    Aggregates aggregates;
    std::vector<AggregateSettings> settings(wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) settings[i].what.prefix = wanted[i];
    aggregates.configure(settings, t0);
    std::map<Prefix, RouteKind> table;
    std::map<Prefix, Origin> origins;
    for (int turn = 0; turn < 400; ++turn) {
      const auto length = static_cast<unsigned>(8 + random() % 25);
      const Prefix one(
          Address::ipv4(0x0a400000 | (static_cast<std::uint32_t>(random()) & 0x7fff) << 4), length);
      const auto kind = static_cast<RouteKind>(random() % 4);
      RouteKind& known = table[one];
      const auto origin = static_cast<Origin>(random() % 3);
      aggregates.route(one, known, kind, origin);
      known = kind;
      origins[one] = origin;
      static_cast<void>(aggregates.step(t0));
    }
    for (const AggregateStatus& each : aggregates.status()) {
      std::uint64_t inside = 0;
      Origin worst = Origin::igp;
      for (const auto& [one, kind] : table) {
        const bool own = std::find(wanted.begin(), wanted.end(), one) != wanted.end();
        if (kind == RouteKind::none || own || !each.prefix.contains(one)) continue;
        ++inside;
        worst = std::max(worst, origins[one]);
      }
      EXPECT_EQ(aggregates.origin(each.prefix), worst) << "with seed " << seed;
      EXPECT_EQ(each.contributing, inside) << each.prefix.text() << " with seed " << seed;
      EXPECT_EQ(each.originated, inside != 0);
    }
  }
}

// RFC 4271 5.1.6 and 5.1.7; RFC 9774 3: no AS_SET.
TEST(AggregateAttributes, SayWhoAggregatedAndThatPathsAreLeftOut) {
  AggregateSettings settings = aggregate("10.64.0.0/16");
  settings.what.med = 5;
  ASSERT_TRUE(settings.what.add_community("65001:7"));
  const Attributes made = attributes_of(settings, Asn{65001}, RouterId{0x0a000001}, Origin::egp);
  EXPECT_TRUE(made.atomic_aggregate);
  EXPECT_EQ(made.aggregator, (Aggregator{Asn{65001}, RouterId{0x0a000001}}));
  EXPECT_TRUE(made.as_path.empty());
  EXPECT_EQ(made.origin, Origin::egp);
  EXPECT_EQ(made.med, 5U);
  EXPECT_EQ(made.communities.size(), 1U);
}

TEST(AggregateSuppression, WhatLiesInsideIsToldToNobodyAndAgainAfterwards) {
  AttributeStore store(Asn{65001}, RouterId{1});
  Rib rib(store, {});
  std::vector<RouteChange> changes;
  const HeldAttributes own = held(store, path_of({}));
  for (const char* each : {"10.64.0.0/16", "10.64.1.0/24", "10.65.1.0/24"})
    rib.originate(prefix(each), own.id());
  rib.decide(all, changes);
  ExportRules rules;
  PeerSettings accepting;
  accepting.export_filter = Filter::accept;
  rules.policy = Policy::to_export({}, accepting, true);
  AppliedPolicy policy(rules.policy, Direction::to_export);
  const auto told = [&](std::string_view text) {
    const auto net = rib.find(prefix(text));
    return advertised_as(rules, policy, rib, prefix(text), *rib.best(Family::ipv4, *net))
        .has_value();
  };
  Journal& journal = rib.journal(Family::ipv4);
  const Journal::Reader reader = journal.subscribe(journal.end());
  const auto looked_at = [&] {
    std::vector<Prefix> found;
    const auto end = journal.walk(journal.position(reader), journal.end(), [&](Journal::Entry e) {
      found.push_back(rib.prefix(Family::ipv4, e.net));
      return true;
    });
    journal.advance(reader, end);
    return found;
  };
  rib.suppress({prefix("10.64.0.0/16")});
  EXPECT_THAT(looked_at(), ElementsAre(prefix("10.64.1.0/24")));
  EXPECT_FALSE(told("10.64.1.0/24"));
  EXPECT_TRUE(told("10.64.0.0/16"));
  EXPECT_TRUE(told("10.65.1.0/24"));
  rib.suppress({prefix("10.64.0.0/16")});
  EXPECT_THAT(looked_at(), IsEmpty()) << "nothing is different";
  rules.unsuppress = true;
  EXPECT_TRUE(told("10.64.1.0/24")) << "this peer is";
  rules.unsuppress = false;
  rib.suppress({});
  EXPECT_THAT(looked_at(), ElementsAre(prefix("10.64.1.0/24")));
  EXPECT_TRUE(told("10.64.1.0/24"));
  journal.unsubscribe(reader);
}

class AggregatingSpeaker : public testing::Test {
 protected:
  static Settings settings() {
    Settings made;
    made.asn = Asn{65001};
    made.router_id = RouterId{0x0a000001};
    made.aggregates = {aggregate("10.64.0.0/16")};
    return made;
  }
  bool has(std::string_view text) {
    const auto route = speaker_.route(prefix(text));
    return route && route->kind == RouteKind::local;
  }
  Time now_ = t0;
  Speaker speaker_{settings(), 1, now_};
};

TEST_F(AggregatingSpeaker, OriginatesInTheSameBreath) {
  EXPECT_FALSE(has("10.64.0.0/16"));
  speaker_.originate(prefix("10.64.1.0/26"), now_);
  EXPECT_TRUE(has("10.64.0.0/16"));
  EXPECT_THAT(speaker_.take_route_changes(),
              Contains(RouteChange{prefix("10.64.0.0/16"), RouteKind::local, {}}));
  EXPECT_THAT(speaker_.aggregates(),
              ElementsAre(AggregateStatus{prefix("10.64.0.0/16"), false, 1, true, false, now_, 1}));
  speaker_.withdraw(prefix("10.64.1.0/26"), now_);
  EXPECT_FALSE(has("10.64.0.0/16"));
}

TEST_F(AggregatingSpeaker, LogsEachChangeAndNoFlood) {
  const auto logged = [&] {
    std::vector<std::string> lines;
    for (const LogLine& line : speaker_.take_log()) {
      EXPECT_EQ(line.level, Level::info);
      lines.push_back(line.text);
    }
    return lines;
  };
  const Prefix inside = prefix("10.64.1.0/26");
  speaker_.originate(inside, now_);
  speaker_.withdraw(inside, now_);
  EXPECT_THAT(
      logged(),
      ElementsAre("aggregate 10.64.0.0/16 is originated, ORIGIN igp: there are routes inside of it",
                  testing::StartsWith("aggregate 10.64.0.0/16 is withdrawn: no route")));
  for (int i = 0; i < 100; ++i) {
    speaker_.originate(inside, now_);
    speaker_.withdraw(inside, now_);
  }
  EXPECT_EQ(logged().size(), log_limit - 2);
  now_ += std::chrono::minutes(1);
  speaker_.originate(inside, now_);
  EXPECT_THAT(logged(), ElementsAre(testing::HasSubstr("172 lines held back")));
}

TEST_F(AggregatingSpeaker, WhoeverOriginatesThePrefixOtherwiseWins) {
  Origination block;
  block.prefix = prefix("10.64.0.0/16");
  block.med = 9;
  speaker_.originate(prefix("10.64.1.0/26"), now_);
  speaker_.originate(block, now_);
  EXPECT_EQ(speaker_.route(block.prefix)->paths.front().med, 9U);
  speaker_.withdraw(block.prefix, now_);
  ASSERT_TRUE(has("10.64.0.0/16")) << "the aggregate is back";
  EXPECT_FALSE(speaker_.route(block.prefix)->paths.front().med);
}

TEST_F(AggregatingSpeaker, AReloadCountsWhatIsThere) {
  speaker_.originate(prefix("10.65.1.0/26"), now_);
  Settings wanted = settings();
  wanted.aggregates = {aggregate("10.65.0.0/16")};
  speaker_.originate(prefix("10.64.1.0/26"), now_);
  speaker_.apply(wanted, now_);
  EXPECT_FALSE(has("10.64.0.0/16"));
  EXPECT_TRUE(has("10.65.0.0/16"));
}

TEST_F(AggregatingSpeaker, WaitsForTheKernelWhereRoutesDo) {
  speaker_.wait_for_install(true, now_);
  speaker_.originate(prefix("10.64.1.0/26"), now_);
  EXPECT_FALSE(has("10.64.0.0/16"));
  speaker_.covered(prefix("10.64.0.0/16"), now_);
  EXPECT_TRUE(has("10.64.0.0/16"));
}

}  // namespace
}  // namespace weft::bgp
