// What the kernel does to routes by itself, row by row, and what weft makes of it. Nobody reads
// notifications until a row has looked at the kernel, so it is the kernel's doing that is looked
// at.
#include <linux/rtnetlink.h>

#include <optional>

#include "fib/rtnetlink.h"
#include "net/netlink_socket.h"
#include "tests/fib/system/rig.h"

namespace weft::fib {
namespace {

/// Routes behind one uplink alone, and one behind both.
struct Left {
  /// devices() of the route by the group of both uplinks; empty: the route is gone.
  const char* by_both;
  /// Of the three by the first uplink alone (IPv4, IPv6, IPv4 in another table).
  std::size_t by_first;
  /// Own nexthop objects that are no groups.
  std::size_t nexthops;
};

struct Row {
  const char* name;
  /// For ip(8) in the host, or after "left:" in the router behind the first uplink; N and G are the
  /// ids of the first uplink's nexthop object and of the group of both.
  const char* event;
  /// What ends it; empty: nothing has to.
  const char* end;
  Left left;
  /// Notifications about our routes and nexthop objects.
  std::size_t told;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}

class KernelRow : public Rig, public testing::WithParamInterface<Row> {
 protected:
  void SetUp() override {
    Rig::SetUp();
    if (HasFatalFailure()) return;
    start();
    table_->synced(Clock::now());
    const PlaceRef elsewhere = table_->place({100, 0});
    want("10.9.0.0/24", both());
    const GroupRef first = table_->group({left()});
    want("10.8.0.0/24", first);
    want("2001:db8:8::/48", table_->group({{*Address::parse("fe80::1"), index_of("d0"), 1}}));
    table_->want(*Prefix::parse("10.7.0.0/24"), first, Clock::now(), elsewhere);
    ASSERT_TRUE(settled());
    ASSERT_EQ(devices("10.9.0.0/24"), "d0 d1");
    ASSERT_EQ(by_first(), 3U);
    auto listener = netlink::Socket::open();
    ASSERT_TRUE(listener);
    for (const unsigned kind : {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP})
      ASSERT_TRUE(listener->join(kind));
    listener_.emplace(std::move(*listener));
  }

  std::size_t by_first() {
    return kernel_routes("10.8.0.0/24 proto 87") + kernel_routes("10.7.0.0/24 table 100 proto 87") +
           (ip("-6 route show 2001:db8:8::/48 proto 87").empty() ? 0 : 1);
  }
  std::size_t nexthops() {
    const std::string all = ip("-o nexthop show proto 87");
    const std::string groups = ip("-o nexthop show groups");
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n') -
                                    std::count(groups.begin(), groups.end(), '\n'));
  }
  /// Of our routes and nexthop objects, since the last call.
  std::size_t told() {
    std::size_t count = 0;
    for (;;) {
      const netlink::Received received = listener_->receive(false);
      if (received.arrival != netlink::Arrival::data) return count;
      netlink::Messages messages(received.bytes);
      while (const auto message = messages.next()) {
        const auto route = parse_route(*message);
        const bool is_route = message->type == RTM_NEWROUTE || message->type == RTM_DELROUTE;
        if (!is_route || (route && route->protocol == route_protocol)) ++count;
      }
    }
  }
  void carry_out(std::string command) {
    const std::string group = word_after(ip("route show 10.9.0.0/24"), "nhid");
    const std::string members = word_after(ip("nexthop show id " + group), "group");
    for (const auto& [mark, id] :
         {std::pair(" N", members.substr(0, members.find('/'))), std::pair(" G", group)}) {
      if (const auto at = command.find(mark); at != std::string::npos)
        command.replace(at, 2, " " + id);
    }
    if (command.rfind("left:", 0) == 0) {
      on_left(command.substr(5));
    } else {
      ip(command);
    }
  }
  bool restored() {
    return settled() && devices("10.9.0.0/24") == "d0 d1" && by_first() == 3 && nexthops() == 3 &&
           table_->snapshot().drift[0] + table_->snapshot().drift[1] == 0;
  }

  std::optional<netlink::Socket> listener_;
};

TEST_P(KernelRow, IsAsMeasuredAndMended) {
  const Row& row = GetParam();
  carry_out(row.event);
  // A carrier that is lost is seen a moment later, by the kernel's own work queue.
  const auto holds = [&] {
    return devices("10.9.0.0/24") == row.left.by_both && by_first() == row.left.by_first &&
           nexthops() == row.left.nexthops;
  };
  const Time end = Clock::now() + std::chrono::seconds(20);
  while (!holds() && Clock::now() < end) {
  }
  EXPECT_EQ(devices("10.9.0.0/24"), row.left.by_both);
  EXPECT_EQ(by_first(), row.left.by_first);
  EXPECT_EQ(nexthops(), row.left.nexthops);
  EXPECT_EQ(told(), row.told);
  if (*row.end != '\0') {
    EXPECT_TRUE(pump([&] { return table_->snapshot().pending > 0 || row.left.by_first == 3; }));
    carry_out(row.end);
  }
  EXPECT_TRUE(pump([&] { return restored(); }))
      << devices("10.9.0.0/24") << "\n"
      << ip("route show table all proto 87") << ip("nexthop");
  EXPECT_TRUE(pump([&] { return pings(); }));
}

INSTANTIATE_TEST_SUITE_P(
    Table, KernelRow,
    testing::Values(
        Row{"AdminDown", "link set d0 down", "link set d0 up", {"d1", 0, 1}, 0},
        Row{"CarrierLost", "left:link set u0 down", "left:link set u0 up", {"d1", 0, 1}, 0},
        Row{"MemberDeleted", "nexthop del id N", "", {"d1", 1, 2}, 3},
        Row{"GroupDeleted", "nexthop del id G", "", {"", 3, 3}, 1},
        Row{"LastIpv4Address",
            "addr del 192.0.2.1/31 dev d0",
            "addr add 192.0.2.1/31 dev d0",
            {"d0 d1", 3, 3},
            0}),
    [](const auto& each) { return std::string(each.param.name); });

/// What the kernel takes and what it refuses, as far as weft builds on it.
struct Taken {
  const char* name;
  std::vector<const char*> before;
  const char* command;
  bool taken;
};
void PrintTo(const Taken& taken, std::ostream* out) {
  *out << taken.name;
}

class KernelTakes : public Rig, public testing::WithParamInterface<Taken> {};

TEST_P(KernelTakes, OrRefuses) {
  ip("nexthop add id 1 via 192.0.2.0 dev d0");
  ip("nexthop add id 2 via 192.0.2.4 dev d1");
  for (const char* command : GetParam().before) {
    const Output done = shell(std::string("ip ") + command);
    if (done.text.find("type") != std::string::npos && done.status != 0)
      GTEST_SKIP() << "this kernel has no resilient groups";
    ASSERT_EQ(done.status, 0) << command << "\n" << done.text;
  }
  const Output done = shell(std::string("ip ") + GetParam().command);
  EXPECT_EQ(done.status == 0, GetParam().taken) << done.text;
}

INSTANTIATE_TEST_SUITE_P(
    Table, KernelTakes,
    testing::Values(
        Taken{"AnyMembersForAResilientGroup",
              {"nexthop add id 9 group 1/2 type resilient buckets 8"},
              "nexthop replace id 9 group 1 type resilient buckets 8",
              true},
        Taken{"NoOtherNumberOfBuckets",
              {"nexthop add id 9 group 1/2 type resilient buckets 8"},
              "nexthop replace id 9 group 1/2 type resilient buckets 16",
              false},
        Taken{"NoOtherTypeOfGroup",
              {"nexthop add id 9 group 1/2"},
              "nexthop replace id 9 group 1/2 type resilient buckets 8",
              false},
        Taken{"NoSingleNexthopForAGroup",
              {"nexthop add id 9 group 1/2"},
              "nexthop replace id 9 via 192.0.2.0 dev d0",
              false},
        Taken{"NoBlackholeBesideOthers",
              {"nexthop add id 3 blackhole"},
              "nexthop add id 9 group 1/3",
              false},
        Taken{"ABlackholeAlone", {"nexthop add id 3 blackhole"}, "nexthop add id 9 group 3", true},
        Taken{"ABlackholeForALiveGroup",
              {"nexthop add id 3 blackhole", "nexthop add id 9 group 1/2",
               "route add 10.8.0.0/24 nhid 9"},
              "nexthop replace id 9 group 3",
              true},
        Taken{"Ipv4ByALinkLocalIpv6NextHop",
              {"nexthop add id 4 via fe80::1 dev d0"},
              "route add 10.8.0.0/24 nhid 4",
              true},
        Taken{"ABlackholeOfTheWorstMetric",
              {},
              "route add blackhole 10.8.0.0/24 metric 4294967295",
              true},
        Taken{"NoSourceThatIsNoAddressOfOurs",
              {},
              "route add 10.8.0.0/24 nhid 1 src 10.255.0.11",
              false}),
    [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace weft::fib
