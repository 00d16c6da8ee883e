// What others put where our routes stand or stood: theirs stays, also when it came between the loss
// of ours and the word of it, and ours comes back when the kernel says that the place is free.
#include <gmock/gmock.h>

#include "tests/fib/desk.h"

namespace weft::fib {
namespace {

using namespace std::chrono_literals;

constexpr const char* place = "10.0.1.0/24";

class Foreign : public Desk {
 protected:
  void SetUp() override {
    Desk::SetUp();
    ways_ = table->group({hop(2), hop(3)});
    want(place, ways_);
    want("10.0.2.0/24", ways_);
    rest();
    table->take_notices();
  }
  ModelKernel::Key key() const { return {prefix(place), kernel.settings.metric}; }
  static Route static_route() {
    Route route;
    route.prefix = prefix(place);
    route.metric = 20;
    route.protocol = 4;
    return route;
  }
  /// Of a foreign route in the log.
  std::size_t warnings() {
    std::size_t count = 0;
    for (const Notice& notice : table->take_notices()) {
      if (notice.message.rfind(place, 0) == 0) ++count;
    }
    return count;
  }
  /// Until what a dump has to decide is decided.
  void later() {
    for (int i = 0; i < 5; ++i) {
      now += 1s;
      table->tick(now);
      rest();
    }
  }

  GroupRef ways_;
};

TEST_F(Foreign, RouteInThePlaceOfOneThatTheKernelDroppedStays) {
  kernel.link(2, false);
  kernel.link(3, false);
  kernel.routes[key()] = static_route();  // the word of it comes last
  link(2, false);
  link(3, false);
  rest();
  link(2, true);
  link(3, true);
  rest();
  EXPECT_EQ(kernel.routes.at(key()).protocol, 4);
  EXPECT_TRUE(kernel_has("10.0.2.0/24"));
  later();
  EXPECT_TRUE(kernel.harmed.empty());
  EXPECT_EQ(state(place), "foreign: proto static metric 20");
  EXPECT_EQ(warnings(), 1U);
  later();
  EXPECT_EQ(warnings(), 0U) << "once";
  kernel.routes.erase(key());
  table->observed(RouteEvent{static_route(), true, false}, now);
  rest();
  EXPECT_EQ(state(place), "installed");
}

TEST_F(Foreign, RouteIsNotSeenWhereOursIsThoughWeHeardOtherwise) {
  const Route ours = kernel.routes.at(key());
  table->observed(RouteEvent{ours, true, false}, now);  // of one that has been put back since
  rest();
  later();
  EXPECT_EQ(state(place), "installed");
  EXPECT_EQ(table->snapshot().pending, 0U);
  EXPECT_EQ(repairs(Cause::dump), 0U) << "it was as wanted";
  EXPECT_EQ(warnings(), 0U);
}

TEST_F(Foreign, WhatPerhapsWentWithItsNexthopIsLookedAfterWhereTheNexthopIsThere) {
  RouteEvent perhaps{kernel.routes.at(key()), true};
  perhaps.doubtful = true;
  const std::uint64_t dumps = table->snapshot().dumps;
  table->observed(perhaps, now);
  later();
  EXPECT_EQ(table->snapshot().dumps, dumps + 1);
  EXPECT_EQ(repairs(Cause::dump), 0U) << "a word of before it was put back";
  kernel.routes.erase(key());
  table->observed(perhaps, now);
  later();
  EXPECT_EQ(state(place), "installed");
  EXPECT_TRUE(kernel_has(place));
  EXPECT_EQ(repairs(Cause::dump), 1U);
  EXPECT_EQ(repairs(Cause::route_deleted), 0U);
  EXPECT_EQ(table->snapshot().dumps, dumps + 2);

  NextHopObject gone;
  gone.id = perhaps.route.nexthop_id;
  kernel.remove_object(gone.id);
  table->observed(NextHopEvent{gone, true}, now);
  table->observed(perhaps, now);
  rest();
  later();
  EXPECT_TRUE(kernel_has(place));
  EXPECT_EQ(repairs(Cause::nexthop_deleted), 3U) << "two routes and the group";
  EXPECT_EQ(table->snapshot().dumps, dumps + 2) << "nothing to doubt";
}

TEST_F(Foreign, RouteWithOurNumberIsOursToWriteOverWhateverItLooksLike) {
  // Appended behind ours, it takes the place when the group goes.
  Route appended = static_route();
  appended.protocol = route_protocol;
  appended.ifindex = 2;
  const std::uint32_t group = kernel.routes.at(key()).nexthop_id;
  kernel.remove_object(group);
  kernel.routes[key()] = appended;
  NextHopObject gone;
  gone.id = group;
  table->observed(NextHopEvent{gone, true}, now);
  rest();
  later();
  EXPECT_EQ(state(place), "installed");
  EXPECT_NE(kernel.routes.at(key()).nexthop_id, 0U);
}

TEST_F(Foreign, PlaceIsTakenAtOnceWhenARouteWithOurNumberLeavesIt) {
  Route appended = static_route();
  appended.protocol = route_protocol;
  appended.ifindex = 2;
  const std::uint32_t group = kernel.routes.at(key()).nexthop_id;
  kernel.remove_object(group);
  kernel.routes[key()] = appended;
  NextHopObject gone;
  gone.id = group;
  table->observed(NextHopEvent{gone, true}, now);
  rest();
  EXPECT_NE(state(place), "installed");
  kernel.routes.erase(key());
  table->observed(RouteEvent{appended, true, false}, now);
  rest();
  EXPECT_EQ(state(place), "installed");
}

TEST_F(Foreign, MeddlingIsOneLineInTheLogAndThenNoneForAWhile) {
  std::vector<std::string> said;
  const auto meddle = [&] {
    for (const char* each : {place, "10.0.2.0/24"}) {
      const Route ours = kernel.routes.at({prefix(each), kernel.settings.metric});
      kernel.routes.erase({prefix(each), kernel.settings.metric});
      table->observed(RouteEvent{ours, true, false}, now);
      rest();
    }
    table->tick(now);
  };
  const auto wait = [&](std::chrono::milliseconds how_long) {
    now += how_long;
    table->tick(now);
    rest();
    for (const Notice& notice : table->take_notices()) said.push_back(notice.message);
  };
  meddle();
  ASSERT_TRUE(table->deadline().has_value()) << "so that somebody comes to look";
  EXPECT_LE(*table->deadline(), now + 1s);
  wait(1s);
  EXPECT_THAT(said, testing::ElementsAre("another program touched weft's entries in the kernel, "
                                         "which are put back: 2 routes deleted"));
  meddle();
  wait(1s);
  meddle();
  wait(1s);
  EXPECT_EQ(said.size(), 1U);
  wait(30s);
  ASSERT_EQ(said.size(), 2U);
  EXPECT_THAT(said.back(), testing::HasSubstr("4 routes deleted"));
  wait(60s);
  EXPECT_EQ(said.size(), 2U);
}

TEST_F(Foreign, RouteThatReplacedOursIsWrittenOverAndLeftAfterAWhile) {
  RouteEvent event{static_route(), false, true};
  for (int times = 0; times < 10; ++times) {
    kernel.routes[key()] = event.route;
    table->observed(event, now);
    rest();
    if (times > 0) continue;
    EXPECT_EQ(kernel.routes.at(key()).protocol, route_protocol);
  }
  EXPECT_EQ(kernel.routes.at(key()).protocol, 4) << "whoever insists has it";
  EXPECT_EQ(state(place), "foreign: proto static metric 20");
  EXPECT_LE(warnings(), 10U);
}

}  // namespace
}  // namespace weft::fib
