// fib against the real kernel: what it installs works, and what the kernel or others take away
// comes back.
#include <linux/rtnetlink.h>

#include <algorithm>

#include "fib/resilient_groups.h"
#include "net/netlink_socket.h"
#include "tests/fib/system/rig.h"

namespace weft::fib {
namespace {

TEST_F(Rig, EcmpGroupCarriesTraffic) {
  start();
  EXPECT_TRUE(programmer_->fast_groups());
  EXPECT_EQ(run("cat /proc/sys/net/ipv4/nexthop_compat_mode"), "0\n");
  const GroupRef group = both();
  want("10.9.0.0/24", group);
  want("2001:db8:9::/48", group);
  table_->want_blackhole(*Prefix::parse("10.64.0.0/26"), Clock::now());
  table_->want_blackhole(*Prefix::parse("fd64:0:0:1::/122"), Clock::now());
  table_->want_blackhole(*Prefix::parse("10.64.1.1/32"), Clock::now());
  table_->want_gateway(*Address::parse("169.254.1.1"), Clock::now());
  // An IPv6 route through IPv4 gateways is refused, and said to be.
  ASSERT_TRUE(pump([&] { return state("2001:db8:9::/48").rfind("failed", 0) == 0; }))
      << state("2001:db8:9::/48");
  table_->unwant(*Prefix::parse("2001:db8:9::/48"), Clock::now());
  ASSERT_TRUE(settled());
  EXPECT_EQ(state("10.9.0.0/24"), "installed");
  EXPECT_TRUE(pings());
  const std::string routes = ip("-d route show proto 87");
  EXPECT_NE(routes.find("10.9.0.0/24 nhid 1468"), std::string::npos) << routes;  // 0x578…
  EXPECT_EQ(devices("10.9.0.0/24"), "d0 d1");
  EXPECT_NE(routes.find("blackhole 10.64.0.0/26"), std::string::npos) << routes;
  EXPECT_NE(routes.find("blackhole 10.64.1.1 "), std::string::npos) << routes;
  EXPECT_NE(routes.find("169.254.1.1 dev lo"), std::string::npos) << routes;
  EXPECT_NE(ip("-6 route show proto 87").find("blackhole fd64:0:0:1::/122"), std::string::npos);
  const Snapshot snapshot = table_->snapshot();
  EXPECT_EQ(snapshot.routes[0][0], 1U);
  EXPECT_EQ(snapshot.routes[0][1], 2U);
  EXPECT_EQ(snapshot.routes[0][2], 1U);
  EXPECT_EQ(snapshot.routes[1][1], 1U);
  EXPECT_EQ(snapshot.groups, 1U);
  EXPECT_EQ(snapshot.nexthops, 2U);
  EXPECT_EQ(snapshot.ecmp_paths[1], 1U);
}

TEST_F(Rig, Ipv4RouteOverIpv6NextHop) {
  start();
  const NextHops unnumbered{{*Address::parse("fe80::1"), index_of("d0"), 1}};
  want("10.9.0.0/24", table_->group(unnumbered));
  want("2001:db8:9::/48", table_->group(unnumbered));
  ASSERT_TRUE(settled());
  EXPECT_EQ(state("2001:db8:9::/48"), "installed");
  // The host's own link-local address is tentative for a moment, and cannot ask for neighbours.
  EXPECT_TRUE(pump([&] { return pings(); }));
}

TEST_F(Rig, WithdrawnIsRemovedWithItsGroup) {
  start();
  const GroupRef group = both();
  for (int i = 0; i < 200; ++i) want(fmt::format("10.1.{}.0/24", i), group);
  ASSERT_TRUE(settled());
  EXPECT_EQ(kernel_routes(), 200U);
  for (int i = 0; i < 200; ++i) {
    table_->unwant(*Prefix::parse(fmt::format("10.1.{}.0/24", i)), Clock::now());
  }
  table_->release(group);
  table_->synced(Clock::now());
  ASSERT_TRUE(pump([&] { return ip("nexthop show").empty(); })) << ip("nexthop show");
  EXPECT_EQ(kernel_routes(), 0U);
  // One message took them all.
  EXPECT_LT(table_->snapshot().operations[1][0], 10U);
}

TEST_F(Rig, LinkDownAndUpRestoresEverything) {
  start();
  want("10.9.0.0/24", both());
  ASSERT_TRUE(settled());
  ip("link set d0 down");
  ASSERT_TRUE(pump([&] { return table_->snapshot().nexthops == 1; }));
  EXPECT_TRUE(pings());
  ip("link set d0 up");
  ASSERT_TRUE(pump([&] { return table_->snapshot().ecmp_paths[1] == 1; }));
  EXPECT_EQ(devices("10.9.0.0/24"), "d0 d1");
  EXPECT_EQ(state("10.9.0.0/24"), "installed");
}

TEST_F(Rig, LossOfBothCarriersAndReturnRestoresEverything) {
  start();
  const GroupRef group = both();
  for (int i = 0; i < 3000; ++i) want(fmt::format("10.{}.{}.0/24", 1 + i / 250, i % 250), group);
  ASSERT_TRUE(settled());
  on_left("link set u0 down");
  on_right("link set u0 down");
  ASSERT_TRUE(pump([&] { return table_->snapshot().groups == 0; }));
  EXPECT_EQ(kernel_routes(), 0U);
  EXPECT_EQ(table_->snapshot().pending, 3000U);
  ASSERT_TRUE(pump([&] {
    return state("10.1.0.0/24") == "pending: no interface of its next hops is up";
  })) << state("10.1.0.0/24");
  on_left("link set u0 up");
  ASSERT_TRUE(settled());
  EXPECT_EQ(kernel_routes(), 3000U);
  on_right("link set u0 up");
  ASSERT_TRUE(pump([&] { return table_->snapshot().ecmp_paths[1] == 1; }));
  EXPECT_EQ(table_->snapshot().repairs[static_cast<std::size_t>(Cause::link)], 3000U);
}

TEST_F(Rig, StopLeavesRoutesAndRestartAdoptsThenSweeps) {
  start();
  GroupRef group = both();
  want("10.9.0.0/24", group);
  want("10.8.0.0/24", group);
  table_->want_blackhole(*Prefix::parse("10.64.0.0/26"), Clock::now());
  table_->want_blackhole(*Prefix::parse("10.64.0.64/26"), Clock::now());
  ASSERT_TRUE(settled());
  const std::string before = ip("nexthop show");
  stop();
  EXPECT_EQ(kernel_routes(), 4U);
  EXPECT_TRUE(pings());
  // What weft-cni made is not the table's to sweep; nor is what others made.
  ip("route add 10.64.0.1/32 dev d0 scope link proto 87");
  ip("route add 10.7.0.0/24 via 192.0.2.0 proto static metric 20");

  start();
  want("10.9.0.0/24", both());
  table_->want_blackhole(*Prefix::parse("10.64.0.0/26"), Clock::now());
  ASSERT_TRUE(settled());
  EXPECT_EQ(kernel_routes(), 5U);
  EXPECT_EQ(table_->snapshot().stale, 2U);
  EXPECT_EQ(ip("nexthop show"), before);
  EXPECT_EQ(table_->snapshot().operations[0][0], 0U) << "an adopted route was written again";
  table_->synced(Clock::now());
  ASSERT_TRUE(pump([&] { return kernel_routes() == 3; })) << ip("route show");
  const std::string routes = ip("route show");
  EXPECT_NE(routes.find("10.9.0.0/24"), std::string::npos) << routes;
  EXPECT_NE(routes.find("10.64.0.1 dev d0"), std::string::npos) << routes;
  EXPECT_NE(routes.find("10.7.0.0/24 via"), std::string::npos) << routes;
  EXPECT_TRUE(pings());
}

TEST_F(Rig, ForeignRouteIsLeftAloneAndReportedOnce) {
  ip("route add 10.9.0.0/24 via 192.0.2.0 proto static metric 20");
  ip("route add 10.8.0.0/24 via 192.0.2.0 proto static metric 5");
  start();
  const GroupRef group = both();
  want("10.9.0.0/24", group);
  want("10.8.0.0/24", group);
  ASSERT_TRUE(pump([&] { return state("10.9.0.0/24") == "foreign: proto static metric 20"; }));
  ASSERT_TRUE(pump([&] {
    return state("10.8.0.0/24") == "installed, but proto static metric 5 is preferred";
  })) << state("10.8.0.0/24");
  EXPECT_EQ(std::count_if(notices_.begin(), notices_.end(),
                          [](const auto& n) { return n.find("10.9.0.0/24") != n.npos; }),
            1);
  EXPECT_NE(ip("route show 10.9.0.0/24").find("proto static"), std::string::npos);
  EXPECT_EQ(kernel_routes("10.9.0.0/24"), 1U);
  // Gone, it makes room.
  ip("route del 10.9.0.0/24 proto static");
  ASSERT_TRUE(settled());
  EXPECT_EQ(state("10.9.0.0/24"), "installed");
}

TEST_F(Rig, MeddlingFromOutsideIsRepaired) {
  start();
  const GroupRef group = both();
  for (int i = 0; i < 100; ++i) want(fmt::format("10.1.{}.0/24", i), group);
  want("10.9.0.0/24", group);
  ASSERT_TRUE(settled());
  const auto repaired = [&] { return settled() && kernel_routes("proto 87 metric 20") == 101; };
  const auto repairs = [&](Cause cause) {
    return table_->snapshot().repairs[static_cast<std::size_t>(cause)];
  };

  ip("route del 10.9.0.0/24");
  ASSERT_TRUE(pump([&] { return repairs(Cause::route_deleted) == 1; }));
  EXPECT_TRUE(repaired());

  ip("route flush proto 87");
  ASSERT_TRUE(pump([&] { return repairs(Cause::route_deleted) == 102; }));
  EXPECT_TRUE(repaired());

  ip("route replace 10.9.0.0/24 via 192.0.2.0 metric 20");
  ASSERT_TRUE(pump([&] { return repairs(Cause::route_replaced) == 1; }));
  EXPECT_TRUE(repaired());
  EXPECT_TRUE(noticed("10.9.0.0/24 was replaced"));

  const std::string nexthops = ip("nexthop show");
  ip("nexthop flush proto 87");
  ASSERT_TRUE(pump([&] { return repairs(Cause::nexthop_deleted) > 0; }));
  ASSERT_TRUE(pump([&] { return table_->snapshot().ecmp_paths[1] == 1; }));
  EXPECT_TRUE(repaired());
  EXPECT_EQ(ip("nexthop show"), nexthops);
  EXPECT_TRUE(pings());

  // R10: the interface's last IPv4 address goes.
  ip("addr del 192.0.2.1/31 dev d0");
  ip("addr add 192.0.2.1/31 dev d0");
  EXPECT_TRUE(pump([&] { return monitor_->subnets().size() >= 3; }));
  EXPECT_TRUE(repaired());
  EXPECT_EQ(table_->snapshot().drift[0], 0U);
  EXPECT_TRUE(pings());
}

TEST_F(Rig, OneWritesInANetworkNamespaceAndNoOtherBeside) {
  start();
  const auto second = Programmer::start({});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("pid " + std::to_string(getpid())), std::string::npos)
      << second.error().message;
  stop();
  EXPECT_TRUE(Programmer::start({})) << "the first is gone";
}

TEST_F(Rig, ForeignIdInOurRangeIsNotAdopted) {
  start();
  // The next ids to be given out.
  ip(fmt::format("nexthop add id {} via 192.0.2.0 dev d0", first_nexthop_id + 1));
  ip(fmt::format("nexthop add id {} blackhole", first_group_id + 1));
  want("10.9.0.0/24", both());
  ASSERT_TRUE(settled());
  EXPECT_TRUE(pings());
  const std::string nexthops = ip("nexthop show");
  EXPECT_NE(nexthops.find(fmt::format("id {} blackhole", first_group_id + 1)), std::string::npos);
}

TEST_F(Rig, OverrunLeadsToADumpThatRepairs) {
  start({}, 4096);
  const GroupRef group = both();
  for (int i = 0; i < 500; ++i) want(fmt::format("10.{}.{}.0/24", 1 + i / 250, i % 250), group);
  ASSERT_TRUE(settled());
  // Nobody reads meanwhile, so most of these notifications are lost.
  ip("route flush proto 87");
  ip("link set d1 mtu 1400");
  ASSERT_TRUE(pump([&] { return monitor_->overruns() > 0 && table_->snapshot().dumps >= 2; }));
  ASSERT_TRUE(settled());
  EXPECT_EQ(kernel_routes(), 500U);
  EXPECT_EQ(monitor_->link("d1")->mtu, 1400U);
  EXPECT_EQ(table_->snapshot().drift[0], 0U);
  EXPECT_GT(table_->snapshot().overruns, 0U);
}

TEST_F(Rig, GroupChangesWhenAGatewayIsDeclaredDead) {
  start();
  want("10.9.0.0/24", both());
  ASSERT_TRUE(settled());
  table_->reachable(left().gateway, left().ifindex, false, Clock::now());
  ASSERT_TRUE(pump([&] { return table_->snapshot().ecmp_paths[0] == 1; }));
  EXPECT_EQ(devices("10.9.0.0/24"), "d1");
  table_->reachable(right().gateway, right().ifindex, false, Clock::now());
  EXPECT_TRUE(pump([&] { return kernel_routes("10.9.0.0/24") == 1; }));
  table_->reachable(left().gateway, left().ifindex, true, Clock::now());
  EXPECT_TRUE(pump([&] { return devices("10.9.0.0/24") == "d0"; }));
}

TEST_F(Rig, TablesAreMadeReadAdoptedAndSwept) {
  const auto in = [&](const std::string& table) {
    return ip("-o -4 route show table " + table + " proto 87") +
           ip("-o -6 route show table " + table + " proto 87");
  };
  const auto tell = [&](const Placement& where) {
    const GroupRef unnumbered = table_->group({{*Address::parse("fe80::1"), index_of("d0"), 1}});
    for (const char* prefix : {"10.9.0.0/24", "2001:db8:9::/48"})
      table_->want(*Prefix::parse(prefix), unnumbered, Clock::now(), table_->place(where));
  };
  start();
  table_->place({5, 0});  // the kernel has none of that number
  tell({70000, 33});
  ASSERT_TRUE(settled());
  const std::string before = in("70000");
  EXPECT_NE(before.find("10.9.0.0/24"), std::string::npos) << before;
  EXPECT_NE(before.find("2001:db8:9::/48"), std::string::npos) << before;
  EXPECT_EQ(state("2001:db8:9::/48"), "installed in table 70000, metric 33");
  ip("route flush table 70000 proto 87");
  ip("-6 route flush table 70000 proto 87");
  ASSERT_TRUE(pump([&] {
    return table_->snapshot().repairs[static_cast<std::size_t>(Cause::route_deleted)] == 2;
  }));
  ASSERT_TRUE(settled());
  EXPECT_EQ(in("70000"), before);

  stop();
  start();
  table_->place({70000, 33});
  ASSERT_TRUE(settled());
  tell({70000, 33});
  EXPECT_TRUE(settled());
  EXPECT_EQ(table_->snapshot().operations[0][0], 0U) << "an adopted route was written again";
  table_->synced(Clock::now());
  ASSERT_TRUE(pump([&] { return !table_->busy(); }));
  EXPECT_EQ(in("70000"), before);

  stop();
  Settings settings;
  start(settings);
  table_->former_tables({5, 70000});
  tell({0, 0});
  table_->synced(Clock::now());
  ASSERT_TRUE(settled());
  EXPECT_TRUE(pump([&] { return in("70000").empty(); })) << in("70000");
  EXPECT_TRUE(pump([&] { return pings(); }));
}

TEST_F(Rig, ResilientGroupsAndRouteMtu) {
  run("ip nexthop add id 78 via 192.0.2.0 dev d0");
  const bool has = shell("ip nexthop add id 77 group 78 type resilient buckets 8").status == 0;
  run("ip nexthop del id 78");
  EXPECT_EQ(has_resilient_groups(), has);
  EXPECT_EQ(ip("nexthop show"), "") << "asking leaves nothing behind";
  if (!has) GTEST_SKIP() << "this kernel has no resilient groups";
  start();
  want("10.9.0.0/24", both());
  ASSERT_TRUE(settled());
  stop();
  // With other settings the groups of the life before cannot be changed into ours: their routes
  // move, then they go.
  Settings settings;
  settings.resilient_buckets = 64;
  settings.resilient_idle_time = std::chrono::seconds(30);
  settings.resilient_unbalanced_time = std::chrono::seconds(90);
  settings.route_mtu = 1400;
  start(settings);
  want("10.9.0.0/24", both());
  table_->synced(Clock::now());
  ASSERT_TRUE(settled());
  ASSERT_TRUE(pump(
      [&] { return ip("nexthop show proto 87").find("type resilient") != std::string::npos; }));
  EXPECT_TRUE(pump([&] { return table_->snapshot().groups == 1; })) << ip("nexthop show");
  const std::string groups = ip("-d nexthop show groups");
  EXPECT_NE(groups.find("buckets 64 idle_timer 30 unbalanced_timer 90"), std::string::npos)
      << groups;
  EXPECT_NE(ip("route show 10.9.0.0/24").find("mtu 1400"), std::string::npos);
  EXPECT_TRUE(pings());
  // Adopted again as it is.
  stop();
  start(settings);
  want("10.9.0.0/24", both());
  table_->synced(Clock::now());
  ASSERT_TRUE(settled());
  EXPECT_EQ(table_->snapshot().operations[0][0], 0U);
  table_->reachable(left().gateway, left().ifindex, false, Clock::now());
  EXPECT_TRUE(pump([&] { return devices("10.9.0.0/24") == "d1"; }));
  EXPECT_TRUE(pings());
}

TEST_F(Rig, HundredThousandRoutesFailOverByOneMessageAGroup) {
  constexpr std::uint32_t count = 100000;
  start();
  const GroupRef group = both();
  for (std::uint32_t i = 0; i < count; ++i) {
    table_->want(Prefix(Address::ipv4(0x0b000000 + (i << 6)), 26), group, Clock::now());
  }
  want("10.9.0.0/24", group);
  ASSERT_TRUE(pump([&] { return table_->snapshot().routes[0][0] == count + 1; },
                   std::chrono::seconds(120)));
  // Somebody who listens to all that changes.
  auto listener = netlink::Socket::open();
  ASSERT_TRUE(listener);
  listener->receive_buffer(16 * 1024 * 1024);
  for (const unsigned kind : {RTNLGRP_IPV4_ROUTE, RTNLGRP_NEXTHOP}) {
    ASSERT_TRUE(listener->join(kind));
  }
  const std::uint64_t operations = table_->snapshot().operations[0][0];
  const Time lost = Clock::now();
  table_->reachable(left().gateway, left().ifindex, false, lost);
  ASSERT_TRUE(pump([&] { return table_->snapshot().ecmp_paths[0] == 1; }));
  RecordProperty("repaired_us",
                 std::to_string((Clock::now() - lost) / std::chrono::microseconds(1)));
  EXPECT_EQ(devices("10.9.0.0/24"), "d1");
  EXPECT_TRUE(pings());
  EXPECT_EQ(table_->snapshot().operations[0][0], operations) << "a route was written";
  std::size_t routes = 0;
  std::size_t groups = 0;
  for (;;) {
    const netlink::Received received = listener->receive(false);
    if (received.arrival != netlink::Arrival::data) {
      EXPECT_EQ(received.arrival, netlink::Arrival::nothing);
      break;
    }
    netlink::Messages messages(received.bytes);
    while (const auto message = messages.next()) {
      ++(message->type == RTM_NEWROUTE || message->type == RTM_DELROUTE ? routes : groups);
    }
  }
  EXPECT_EQ(routes, 0U);
  EXPECT_EQ(groups, 1U);
}

TEST_F(Rig, WhereGroupsAreDearTheMemberIsDeletedAndComesBack) {
  start();
  table_->fast_groups(false);
  want("10.9.0.0/24", both());
  ASSERT_TRUE(settled());
  table_->reachable(left().gateway, left().ifindex, false, Clock::now());
  ASSERT_TRUE(pump([&] { return table_->snapshot().nexthops == 1; }));
  EXPECT_EQ(devices("10.9.0.0/24"), "d1");
  EXPECT_TRUE(pings());
  table_->reachable(left().gateway, left().ifindex, true, Clock::now());
  EXPECT_TRUE(pump([&] { return devices("10.9.0.0/24") == "d0 d1"; }));
}

TEST_F(Rig, HundredThousandRoutesInstallAndReconcile) {
  constexpr std::uint32_t count = 100000;
  const auto prefix = [](std::uint32_t i) {
    return Prefix(Address::ipv4(0x0b000000 + (i << 6)), 26);
  };
  start();
  const GroupRef group = both();
  for (std::uint32_t i = 0; i < count; ++i) table_->want(prefix(i), group, Clock::now());
  ASSERT_TRUE(
      pump([&] { return table_->snapshot().routes[0][0] == count; }, std::chrono::seconds(120)));
  EXPECT_LE(static_cast<double>(table_->memory()) / count, 32.0);
  stop();
  start();
  const GroupRef again = both();
  for (std::uint32_t i = 0; i < count / 2; ++i) table_->want(prefix(i), again, Clock::now());
  table_->synced(Clock::now());
  ASSERT_TRUE(pump(
      [&] { return table_->snapshot().routes[0][0] == count / 2 && kernel_routes() == count / 2; },
      std::chrono::seconds(120)));
  EXPECT_EQ(table_->snapshot().operations[0][0], 0U);
}

}  // namespace
}  // namespace weft::fib
