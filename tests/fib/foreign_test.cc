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
  std::size_t warnings() {
    std::size_t count = 0;
    for (const Notice& notice : table->take_notices()) count += notice.warning ? 1 : 0;
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
