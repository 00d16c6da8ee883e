// A next hop dies: one change a group goes past everything, routes follow when there is nothing
// better to do, and nothing returns to a group that routes are still leaving.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/fib/desk.h"

namespace weft::fib {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint32_t many = 5000;

class Failover : public Desk {
 protected:
  void SetUp() override {
    Desk::SetUp();
    both_ = table->group({hop(2), hop(3)});
    three_ = table->group({hop(2), hop(3), hop(4)});
    for (std::uint32_t i = 0; i < many; ++i) table->want(nth(i), i % 2 == 0 ? both_ : three_, now);
    table->synced(now);
    rest();
    express.clear();
  }
  void reachable(std::uint32_t ifindex, bool yes) {
    table->reachable(hop(ifindex).gateway, ifindex, yes, now);
  }
  /// Of the group behind a route: the interfaces of its members in the kernel.
  std::vector<std::uint32_t> ways(std::uint32_t route) {
    const Route& there = kernel.routes.at({nth(route), kernel.settings.metric});
    std::vector<std::uint32_t> found;
    for (const Member& member : kernel.nexthops.at(there.nexthop_id).members) {
      found.push_back(kernel.nexthops.at(member.id).ifindex);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  static std::size_t routes_in(const Settled& taken) {
    std::size_t count = 0;
    for (const Batch& batch : taken) count += batch.routes.size();
    return count;
  }
  /// What the RIB says once the peer's paths are gone.
  void move_routes() {
    const GroupRef right = table->group({hop(3)});
    const GroupRef two = table->group({hop(3), hop(4)});
    for (std::uint32_t i = 0; i < many; ++i) table->want(nth(i), i % 2 == 0 ? right : two, now);
    table->release(right);
    table->release(two);
  }

  GroupRef both_;
  GroupRef three_;
};

using Groups = Desk;

TEST_F(Groups, HaveWeightsThatEveryKernelTakes) {
  const Prefix to = Prefix::parse("10.0.0.0/24").value();
  for (const auto& [wanted, given] : {std::pair(255, 255), {256, 255}, {1000, 255}, {2, 2}}) {
    const GroupRef uneven = table->group({hop(2), hop(3, static_cast<std::uint16_t>(wanted))});
    table->want(to, uneven, now);
    table->release(uneven);
    rest();
    const Route& there = kernel.routes.at({to, kernel.settings.metric});
    const auto& members = kernel.nexthops.at(there.nexthop_id).members;
    ASSERT_EQ(members.size(), 2U);
    EXPECT_EQ(members[0].weight, 1) << wanted;
    EXPECT_EQ(members[1].weight, given) << wanted;
  }
}

TEST_F(Groups, AreResilientAsAskedUnlessTheKernelHasNone) {
  Settings settings;
  settings.resilient_buckets = 64;
  settings.resilient_unbalanced_time = std::chrono::seconds(90);
  start(settings);
  const auto made = [&] {
    std::vector<std::optional<Resilience>> all;
    for (const Batch& batch : rest()) {
      for (const NextHopChange& change : batch.groups) all.push_back(change.object.resilience);
    }
    return all;
  };
  static_cast<void>(table->group({hop(2), hop(3)}));
  EXPECT_EQ(made(), std::vector(1, std::optional(Resilience{64, std::chrono::seconds(120),
                                                            std::chrono::seconds(90)})));
  kernel.nexthops.clear();
  table.emplace(settings);
  table->plain_groups();
  table->start(now);
  static_cast<void>(table->group({hop(3), hop(4)}));
  EXPECT_EQ(made(), std::vector(1, std::optional<Resilience>()));
}

TEST_F(Failover, IsOneMessageAGroupAndNoRoute) {
  reachable(2, false);
  const auto batch = table->take_express(now);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->size(), 2U);
  EXPECT_THAT(batch->groups, SizeIs(2));
  table->settle(kernel.carry_out(*batch, [] { return 0; }), now);
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{3}));
  EXPECT_EQ(ways(1), (std::vector<std::uint32_t>{3, 4}));
  EXPECT_THAT(rest(), IsEmpty());
  EXPECT_EQ(table->snapshot().pending, 0U);
}

TEST_F(Failover, GoesPastRoutesThatAreOnTheirWay) {
  for (std::uint32_t i = many; i < 3 * many; ++i) table->want(nth(i), both_, now);
  const auto bulk = table->take(now);  // with the kernel, unanswered
  ASSERT_TRUE(bulk);
  reachable(2, false);
  const auto batch = table->take_express(now);
  ASSERT_TRUE(batch);
  EXPECT_THAT(batch->groups, SizeIs(2));
  EXPECT_THAT(batch->routes, IsEmpty());
  // In this order, too, the kernel ends as it should.
  table->settle(kernel.carry_out(*batch, [] { return 0; }), now);
  table->settle(kernel.carry_out(std::get<Batch>(*bulk), [] { return 0; }), now);
  rest();
  EXPECT_EQ(ways(3 * many - 1), (std::vector<std::uint32_t>{3}));
}

TEST_F(Failover, RoutesFollowBehindAllOtherWork) {
  reachable(2, false);
  rest();
  move_routes();
  table->want(prefix("10.9.0.0/24"), both_, now);
  table->want(prefix("0.0.0.0/0"), both_, now);
  const Settled done = rest();
  ASSERT_FALSE(done.empty());
  ASSERT_GE(done[0].routes.size(), 2U);
  EXPECT_EQ(done[0].routes[0].prefix.text(), "0.0.0.0/0");
  EXPECT_EQ(done[0].routes[1].prefix.text(), "10.9.0.0/24");
  EXPECT_EQ(routes_in(done), many + 2);
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{3}));
  EXPECT_EQ(ways(1), (std::vector<std::uint32_t>{3, 4}));
}

TEST_F(Failover, AForsakenGatewayTakesItsRoutesAlongBeforeTheyAreUnwanted) {
  const GroupRef alone = table->group({hop(5)});
  for (std::uint32_t i = many; i < 2 * many; ++i) table->want(nth(i), alone, now);
  table->release(alone);
  rest();
  reachable(5, false);
  table->forsake(hop(5).gateway, 5);
  const auto taken = table->take(now);
  ASSERT_TRUE(taken);
  const Batch batch = std::get<Batch>(*taken);
  EXPECT_EQ(batch.size(), 1U);
  EXPECT_THAT(batch.group_removals, SizeIs(1));
  // The RIB says so meanwhile: the first half before the kernel has answered, the rest after it.
  for (std::uint32_t i = many; i < many + many / 2; ++i) table->unwant(nth(i), now);
  table->settle(kernel.carry_out(batch, [] { return 0; }), now);
  EXPECT_EQ(kernel.routes.count({nth(many), kernel.settings.metric}), 0U);
  EXPECT_EQ(kernel.routes.count({nth(2 * many - 1), kernel.settings.metric}), 0U);
  EXPECT_THAT(rest(), IsEmpty());
  for (std::uint32_t i = many + many / 2; i < 2 * many; ++i) table->unwant(nth(i), now);
  reachable(5, true);
  EXPECT_EQ(routes_in(rest()), 0U);
  EXPECT_EQ(table->snapshot().routes[0][0], many);
  EXPECT_EQ(table->snapshot().pending, 0U);
  EXPECT_EQ(table->snapshot().groups, 2U);
}

TEST_F(Failover, WhatIsStillWantedReturnsWhenAForsakenGatewayDoes) {
  const GroupRef alone = table->group({hop(5)});
  for (std::uint32_t i = many; i < 2 * many; ++i) table->want(nth(i), alone, now);
  table->release(alone);
  rest();
  reachable(5, false);
  table->forsake(hop(5).gateway, 5);
  rest();
  EXPECT_EQ(table->snapshot().pending, many);
  table->want(nth(2 * many), table->group({hop(5)}), now);
  EXPECT_THAT(rest(), IsEmpty()) << "the group is not put again";
  reachable(5, true);
  rest();
  EXPECT_EQ(table->snapshot().pending, 0U);
  EXPECT_EQ(ways(2 * many), (std::vector<std::uint32_t>{5}));
}

TEST_F(Failover, AGatewayReturnsToAGroupWhenTheLastRouteHasLeftIt) {
  reachable(2, false);
  rest();
  move_routes();
  // Back before the routes have moved, and before it has announced anything again: what still leads
  // through the old group must not lead to it.
  ASSERT_TRUE(work());
  reachable(2, true);
  EXPECT_FALSE(table->take_express(now));
  while (work()) {
    for (const std::uint32_t route : {0U, 1U, many - 1}) {
      EXPECT_NE(ways(route).front(), 2U) << route;
    }
  }
  for (std::uint32_t i = 0; i < many; ++i) table->want(nth(i), i % 2 == 0 ? both_ : three_, now);
  rest();
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(ways(1), (std::vector<std::uint32_t>{2, 3, 4}));
}

TEST_F(Failover, AGatewayThatIsBackAtOnceIsOneMessageAGroupToo) {
  reachable(2, false);
  rest();
  express.clear();
  reachable(2, true);
  EXPECT_THAT(rest(), IsEmpty());
  ASSERT_THAT(express, SizeIs(1));
  EXPECT_EQ(express[0].size(), 2U);
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{2, 3}));
}

TEST_F(Failover, AGroupWhoseMembersAreAllDeadKeepsWhatItHas) {
  reachable(2, false);
  rest();
  reachable(3, false);
  rest();
  EXPECT_EQ(kernel.routes.size(), many);
  EXPECT_FALSE(ways(0).empty());
  reachable(2, true);
  rest();
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{2}));
}

// nexthop_compat_mode 1: writing a group costs a notification for each of its routes.
TEST_F(Failover, DeletesTheMemberWhereWritingGroupsIsDear) {
  table->fast_groups(false);
  reachable(2, false);
  rest();
  ASSERT_THAT(express, SizeIs(1));
  EXPECT_THAT(express[0].nexthop_removals, SizeIs(1));
  EXPECT_EQ(express[0].size(), 1U);
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{3}));
  EXPECT_EQ(ways(1), (std::vector<std::uint32_t>{3, 4}));
  EXPECT_EQ(kernel.routes.size(), many);
  reachable(2, true);
  rest();
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(table->snapshot().pending, 0U);
}

TEST_F(Failover, DeletesNoMemberThatRoutesDependOn) {
  table->want(prefix("10.9.0.0/24"), table->group({hop(2)}), now);
  rest();
  table->fast_groups(false);
  reachable(2, false);
  rest();
  EXPECT_TRUE(kernel_has("10.9.0.0/24"));
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{3}));
}

TEST_F(Failover, ADumpReadMeanwhileIsNotTakenForTruth) {
  table->audit(now);
  const auto asked = table->take(now);
  ASSERT_TRUE(asked);
  auto parts = kernel.dump(std::get<DumpRequest>(*asked));
  reachable(2, false);
  const auto batch = table->take_express(now);
  ASSERT_TRUE(batch);
  table->settle(kernel.carry_out(*batch, [] { return 0; }), now);
  for (DumpPart& part : parts) table->settle(std::move(part), now);
  EXPECT_THAT(rest(), IsEmpty());
  EXPECT_EQ(repairs(Cause::dump), 0U);
  EXPECT_EQ(ways(0), (std::vector<std::uint32_t>{3}));
}

// A peer's table goes in slices; what leads through it goes as one.
TEST_F(Failover, WithdrawalsInSlicesAreOneRemoval) {
  table->release(both_);
  table->release(three_);
  table->more_to_come(true);
  for (std::uint32_t i = 0; i < many; ++i) {
    table->unwant(nth(i), now);
    if (i == 4500) rest();
  }
  table->more_to_come(false);
  std::size_t removals = 0;
  std::size_t groups = 0;
  for (const Batch& batch : rest()) {
    removals += batch.routes.size();
    groups += batch.group_removals.size();
  }
  EXPECT_EQ(groups, 2U);
  EXPECT_EQ(removals, 0U);
  EXPECT_TRUE(kernel.routes.empty());
  EXPECT_EQ(table->snapshot().groups, 0U);
}

TEST_F(Failover, HeldRemovalsDoNotWaitForEver) {
  table->more_to_come(true);
  for (std::uint32_t i = 0; i < many; ++i) table->unwant(nth(i), now);
  rest();
  EXPECT_EQ(kernel.routes.size(), many);
  EXPECT_EQ(table->deadline(), now + std::chrono::seconds(2));
  now += std::chrono::seconds(2);
  rest();
  EXPECT_TRUE(kernel.routes.empty());
}

}  // namespace
}  // namespace weft::fib
