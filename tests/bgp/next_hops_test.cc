// Where next hops that peers named lie: on the session's link against all subnets, and which of
// them are the peer itself.
#include "bgp/next_hops.h"

#include <gmock/gmock.h>

namespace weft::bgp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr PeerId peer{1};
constexpr PeerId another{2};

Address address(const char* text) {
  return *Address::parse(text);
}
ConnectedSubnet subnet(const char* own, const char* prefix, std::uint32_t ifindex) {
  return {address(own), *Prefix::parse(prefix), ifindex};
}
RibPeer facts(const char* own, std::uint32_t ifindex) {
  RibPeer made;
  made.address = address(own);
  made.ifindex = ifindex;
  return made;
}
NextHopId named(NextHopTable& table, PeerId by, const char* text) {
  const NextHopId id = *table.intern(by, address(text), {});
  table.hold(id);
  return id;
}

TEST(NextHopTable, HoldsOnlyWhatIsOnASubnetUnlessThePeerSaysOtherwise) {
  NextHopTable table;
  static_cast<void>(table.attach(peer, facts("10.255.0.1", 2)));
  const NextHopId own = named(table, peer, "10.255.0.1");
  const NextHopId third = named(table, peer, "10.255.0.22");
  EXPECT_THAT(table.view(own).resolved, ElementsAre(NextHop{address("10.255.0.1"), 2}));
  EXPECT_FALSE(table.usable(third));
  RibPeer onlink = facts("10.255.0.1", 2);
  onlink.onlink = true;
  static_cast<void>(table.attach(peer, onlink));
  EXPECT_THAT(table.view(third).resolved, ElementsAre(NextHop{address("10.255.0.22"), 2}));
  // A subnet knows better.
  static_cast<void>(table.connected({subnet("10.255.0.20", "10.255.0.16/28", 5)}));
  EXPECT_THAT(table.view(third).resolved, ElementsAre(NextHop{address("10.255.0.22"), 5}));
}

TEST(NextHopTable, KnowsThePeerByItsLinkInTheOtherFamily) {
  NextHopTable table;
  static_cast<void>(table.attach(peer, facts("192.0.2.0", 2)));
  static_cast<void>(table.attach(another, facts("192.0.2.4", 3)));
  static_cast<void>(table.connected(
      {subnet("192.0.2.1", "192.0.2.0/31", 2), subnet("2001:db8:2::1", "2001:db8:2::/64", 2),
       subnet("192.0.2.5", "192.0.2.4/31", 3), subnet("2001:db8:3::1", "2001:db8:3::/64", 3)}));
  named(table, peer, "192.0.2.0");
  named(table, peer, "2001:db8:2::9");
  named(table, peer, "2001:db8:3::9");  // of another link: not the peer
  EXPECT_THAT(table.gateways(peer),
              ElementsAre(NextHop{address("192.0.2.0"), 2}, NextHop{address("2001:db8:2::9"), 2}));
  // Named by others, too, it may be anybody.
  named(table, another, "2001:db8:2::9");
  EXPECT_THAT(table.gateways(peer), ElementsAre(NextHop{address("192.0.2.0"), 2}));
  EXPECT_THAT(table.gateways(another), IsEmpty());
}

}  // namespace
}  // namespace weft::bgp
