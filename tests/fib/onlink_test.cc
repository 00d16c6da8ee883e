// Gateways on no subnet of their link: the kernel is told so, and what it says otherwise is put
// right.
#include <gtest/gtest.h>

#include "tests/fib/desk.h"

namespace weft::fib {
namespace {

constexpr const char* prefix_text = "10.0.1.0/24";

class Onlink : public Desk {
 protected:
  void SetUp() override {
    Desk::SetUp();
    want(prefix_text, table->group({hop(2)}));
    rest();
  }
  static ConnectedSubnet subnet() {
    return {*Address::parse("192.0.2.1"), prefix("192.0.2.0/24"), 2};
  }
  /// The one nexthop object there is.
  NextHopObject& gateway() {
    for (auto& [id, object] : kernel.nexthops) {
      if (!object.is_group()) return object;
    }
    ADD_FAILURE() << "no gateway";
    return kernel.nexthops.begin()->second;
  }
};

TEST_F(Onlink, FollowsTheSubnetsOfTheLink) {
  EXPECT_TRUE(gateway().onlink) << "on no subnet";
  const std::uint32_t id = gateway().id;
  table->address(subnet(), true, now);
  rest();
  EXPECT_FALSE(gateway().onlink);
  table->address(subnet(), false, now);
  rest();
  EXPECT_TRUE(gateway().onlink);
  EXPECT_EQ(gateway().id, id);
}

TEST_F(Onlink, IsPutRightWhenSomebodySaysOtherwise) {
  gateway().onlink = false;
  table->observed(NextHopEvent{gateway()}, now);
  rest();
  EXPECT_TRUE(gateway().onlink);
  EXPECT_EQ(repairs(Cause::nexthop_replaced), 1U);
}

TEST_F(Onlink, IsComparedByACheck) {
  EXPECT_TRUE(checked().differences.empty());
  gateway().onlink = false;
  const CheckReport report = checked();
  ASSERT_EQ(report.differences.size(), 1U);
  EXPECT_EQ(report.differences[0].what, Difference::What::different);
  EXPECT_EQ(report.differences[0].nexthop_id, gateway().id);
}

}  // namespace
}  // namespace weft::fib
