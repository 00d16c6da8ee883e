// Several tables and metrics: a route stands in one place at a time, moves without a gap, and what
// is in a table that weft writes in, or wrote in once, is known.
#include <gmock/gmock.h>

#include "tests/fib/desk.h"

namespace weft::fib {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class Places : public Desk {
 protected:
  void SetUp() override {
    start();
    ways_ = table->group({hop(2), hop(3)});
    rest();
  }

  void want_in(const std::string& text, const Placement& where) {
    table->want(prefix(text), ways_, now, table->place(where));
  }
  Route& put_into_kernel(const std::string& text, const Placement& at, std::uint8_t protocol) {
    Route route;
    route.prefix = prefix(text);
    route.table = at.table;
    route.metric = at.metric;
    route.protocol = protocol;
    return kernel.routes[{route.prefix, at.metric, at.table}] = route;
  }
  [[nodiscard]] std::vector<Placement> stands(const std::string& text) const {
    std::vector<Placement> found;
    for (const auto& [key, route] : kernel.routes) {
      if (key.first == prefix(text) && route.protocol == route_protocol)
        found.push_back({key.table, key.second});
    }
    return found;
  }

  GroupRef ways_;
};

TEST_F(Places, AreWhereRoutesGo) {
  want("10.0.0.0/24", ways_);
  want_in("10.0.1.0/24", {100, 0});
  want_in("10.0.2.0/24", {0, 33});
  want_in("2001:db8::/32", {100, 44});
  rest();
  EXPECT_THAT(stands("10.0.0.0/24"), ElementsAre(Placement{254, 20}));
  EXPECT_THAT(stands("10.0.1.0/24"), ElementsAre(Placement{100, 20}));
  EXPECT_THAT(stands("10.0.2.0/24"), ElementsAre(Placement{254, 33}));
  EXPECT_THAT(stands("2001:db8::/32"), ElementsAre(Placement{100, 44}));
  EXPECT_EQ(state("10.0.0.0/24"), "installed");
  EXPECT_EQ(state("10.0.1.0/24"), "installed in table 100, metric 20");
  EXPECT_EQ(table->placement(prefix("10.0.2.0/24")), (Placement{254, 33}));
  EXPECT_THAT(table->snapshot().tables, ElementsAre(Pair(100, 2), Pair(254, 2)));
  EXPECT_THAT(table->tables(), ElementsAre(100, 254));
  table->unwant(prefix("10.0.1.0/24"), now);
  rest();
  EXPECT_THAT(stands("10.0.1.0/24"), IsEmpty());
  EXPECT_EQ(state("10.0.1.0/24"), "-");
}

TEST_F(Places, AMovedRouteStandsInTheNewBeforeItLeavesTheOld) {
  constexpr std::uint32_t many = 3000;
  for (std::uint32_t i = 0; i < many; ++i) table->want(nth(i), ways_, now);
  want("0.0.0.0/0", ways_);
  rest();
  const PlaceRef there = table->place({100, 0});
  for (std::uint32_t i = 0; i < many; ++i) table->want(nth(i), ways_, now, there);
  table->want(prefix("0.0.0.0/0"), ways_, now, there);
  std::set<Prefix> put;
  for (const Batch& batch : rest()) {
    for (const RouteChange& change : batch.routes) {
      if (change.remove) {
        EXPECT_EQ(change.table, 254U);
        EXPECT_TRUE(put.contains(change.prefix)) << change.prefix.text() << " was nowhere";
      } else {
        put.insert(change.prefix);
      }
    }
  }
  EXPECT_EQ(put.size(), many + 1);
  EXPECT_EQ(kernel.routes.size(), many + 1);
  EXPECT_EQ(table->snapshot().tables.at(100), many + 1);
  EXPECT_EQ(table->snapshot().routes[0][0], many + 1);
}

TEST_F(Places, ForeignRoutesOfOneTableAreOfNoMatterInAnother) {
  put_into_kernel("10.0.1.0/24", {100, 20}, 4);
  put_into_kernel("10.0.2.0/24", {254, 20}, 4);
  table->place({100, 0});
  rest();
  want_in("10.0.1.0/24", {100, 0});
  want_in("10.0.2.0/24", {100, 0});
  want("10.0.3.0/24", ways_);
  rest();
  EXPECT_EQ(state("10.0.1.0/24"), "foreign: proto static metric 20 in table 100, metric 20");
  EXPECT_THAT(stands("10.0.1.0/24"), IsEmpty());
  EXPECT_THAT(stands("10.0.2.0/24"), ElementsAre(Placement{100, 20}));
  EXPECT_EQ(state("10.0.2.0/24"), "installed in table 100, metric 20");
  // It goes, and is told of as of any table that we write in.
  const Route theirs = kernel.routes.at({prefix("10.0.1.0/24"), 20, 100});
  kernel.routes.erase({prefix("10.0.1.0/24"), 20, 100});
  table->observed(RouteEvent{theirs, true, false}, now);
  rest();
  EXPECT_THAT(stands("10.0.1.0/24"), ElementsAre(Placement{100, 20}));
  // And ours, taken away by somebody, come back.
  const Route ours = kernel.routes.at({prefix("10.0.2.0/24"), 20, 100});
  kernel.routes.erase({prefix("10.0.2.0/24"), 20, 100});
  table->observed(RouteEvent{ours, true, false}, now);
  rest();
  EXPECT_THAT(stands("10.0.2.0/24"), ElementsAre(Placement{100, 20}));
  EXPECT_EQ(repairs(Cause::route_deleted), 1U);
}

TEST_F(Places, ANewLifeAdoptsAndSweepsEveryTableThatAnyWroteIn) {
  want("10.0.0.0/24", ways_);
  want_in("10.0.1.0/24", {100, 0});
  want_in("10.0.2.0/24", {100, 0});
  want_in("10.0.3.0/24", {200, 0});
  table->want_blackhole(prefix("10.64.0.0/26"), now, table->place({200, 0}));
  rest();
  put_into_kernel("10.0.4.0/24", {200, 7}, 4);
  // The next one knows of table 100 by its settings, and of table 200 by its records only.
  table.emplace(kernel.settings);
  table->former_tables({200});
  table->place({100, 0});
  table->start(now);
  for (std::uint32_t ifindex = 2; ifindex < 6; ++ifindex) link(ifindex, true);
  ways_ = table->group({hop(2), hop(3)});
  rest();
  EXPECT_EQ(table->forwards(), (std::array<bool, 2>{true, false}));
  want("10.0.0.0/24", ways_);
  want_in("10.0.1.0/24", {100, 0});
  std::size_t writes = 0;
  for (const Batch& batch : rest()) writes += batch.routes.size();
  EXPECT_EQ(writes, 0U) << "what is as wanted is not written again";
  EXPECT_EQ(kernel.routes.size(), 6U);
  table->synced(now);
  rest();
  EXPECT_THAT(stands("10.0.0.0/24"), ElementsAre(Placement{254, 20}));
  EXPECT_THAT(stands("10.0.1.0/24"), ElementsAre(Placement{100, 20}));
  EXPECT_EQ(kernel.routes.size(), 3U) << "of others, one route in table 200";
}

TEST_F(Places, WhatIsWantedInATableOfRecordIsNotSweptFromIt) {
  want_in("10.0.1.0/24", {100, 0});
  rest();
  table.emplace(kernel.settings);
  table->former_tables({100});
  table->start(now);
  for (std::uint32_t ifindex = 2; ifindex < 6; ++ifindex) link(ifindex, true);
  ways_ = table->group({hop(2), hop(3)});
  rest();
  want_in("10.0.1.0/24", {100, 0});
  rest();
  table->synced(now);
  rest();
  EXPECT_THAT(stands("10.0.1.0/24"), ElementsAre(Placement{100, 20}));
  EXPECT_EQ(state("10.0.1.0/24"), "installed in table 100, metric 20");
  EXPECT_THAT(checked().differences, IsEmpty());
}

TEST_F(Places, AreWhatACheckAndAnAuditLookInto) {
  want_in("10.0.1.0/24", {100, 0});
  rest();
  kernel.routes.erase({prefix("10.0.1.0/24"), 20, 100});
  put_into_kernel("10.0.9.0/24", {100, 20}, route_protocol).nexthop_id = first_group_id;
  const CheckReport report = checked();
  ASSERT_EQ(report.differences.size(), 2U);
  for (const Difference& each : report.differences) EXPECT_EQ(each.table, 100U);
  table->synced(now);
  table->audit(now);
  rest();
  EXPECT_THAT(stands("10.0.1.0/24"), ElementsAre(Placement{100, 20}));
  EXPECT_THAT(stands("10.0.9.0/24"), IsEmpty());
  EXPECT_THAT(checked().differences, IsEmpty());
}

TEST_F(Places, BlackholesOfOneTableAreOneRoute) {
  const PlaceRef a = table->place({100, 0});
  const PlaceRef b = table->place({100, 33});
  table->want_blackhole(prefix("10.9.0.0/24"), now, a);
  table->want_blackhole(prefix("10.9.0.0/24"), now, b);
  rest();
  EXPECT_THAT(stands("10.9.0.0/24"), ElementsAre(Placement{100, blackhole_metric}));
  EXPECT_EQ(table->state(prefix("10.9.0.0/24"), Kind::blackhole), "installed in table 100");
  table->unwant_blackhole(prefix("10.9.0.0/24"), now, b);
  rest();
  EXPECT_TRUE(kernel.routes.empty());
}

TEST_F(Places, AreTakenAgainWhenNothingStandsThere) {
  for (std::uint32_t i = 1; i < 1000; ++i) {
    const PlaceRef empty = table->place({5, 0});
    want_in("10.0.1.0/24", {1000 + i, 0});
    rest();
    ASSERT_EQ(table->place({5, 0}), empty) << "asked for all the time, and no route there";
    ASSERT_THAT(stands("10.0.1.0/24"), ElementsAre(Placement{1000 + i, 20}));
  }
}

}  // namespace
}  // namespace weft::fib
