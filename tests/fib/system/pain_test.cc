// What hurt the users of others, each under the number of its rule: what the kernel has outlives
// weftd, equals the RIB, is nobody else's, and comes back whoever takes it away.
#include <arpa/inet.h>
#include <net/route.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "tests/fib/system/rig.h"

namespace weft::fib {
namespace {

class Pain : public Rig {
 protected:
  std::uint64_t repairs(Cause cause) {
    return table_->snapshot().repairs[static_cast<std::size_t>(cause)];
  }
  std::size_t kernel_routes6() {
    const std::string routes = ip("-6 -o route show proto 87");
    return static_cast<std::size_t>(std::count(routes.begin(), routes.end(), '\n'));
  }
  /// Of our routes, by others, in all that the monitor has to say now.
  std::size_t deletions_told() {
    std::size_t count = 0;
    const auto listen = [&](const Event& event) {
      const auto* route = std::get_if<RouteEvent>(&event);
      const bool ours = route != nullptr && route->route.protocol == route_protocol;
      if (ours && route->deleted && !route->doubtful) ++count;
      handle(event);
    };
    while (monitor_->read(listen)) {
    }
    return count;
  }
  static sockaddr ipv4(const char* text) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, text, &address.sin_addr);
    sockaddr raw{};
    std::memcpy(&raw, &address, sizeof raw);
    return raw;
  }
  static void delete_by_ioctl4(const char* destination, const char* mask) {
    rtentry entry{};
    entry.rt_dst = ipv4(destination);
    entry.rt_genmask = ipv4(mask);
    entry.rt_flags = RTF_UP;
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(ioctl(socket.get(), SIOCDELRT, &entry), 0) << std::strerror(errno);
  }
  static void delete_by_ioctl6(const char* destination, unsigned length) {
    in6_rtmsg entry{};
    inet_pton(AF_INET6, destination, &entry.rtmsg_dst);
    entry.rtmsg_dst_len = static_cast<std::uint16_t>(length);
    entry.rtmsg_flags = RTF_UP;
    entry.rtmsg_metric = Settings{}.metric;
    const Fd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(ioctl(socket.get(), SIOCDELRT, &entry), 0) << std::strerror(errno);
  }
};

TEST_F(Pain, R5StoppingLeavesEveryRouteInTheKernel) {
  start();
  want("10.9.0.0/24", both());
  table_->want_blackhole(*Prefix::parse("10.64.0.0/26"), Clock::now());
  ASSERT_TRUE(settled());
  const std::string routes = ip("route show proto 87");
  const std::string nexthops = ip("nexthop show");
  stop();
  EXPECT_EQ(ip("route show proto 87"), routes);
  EXPECT_EQ(ip("nexthop show"), nexthops);
  EXPECT_TRUE(pings());
}

TEST_F(Pain, R6WhatIsWithdrawnNeverComesBack) {
  start();
  const GroupRef group = both();
  for (int round = 0; round < 20; ++round) {
    want("10.9.0.0/24", group);
    if (round % 3 == 0) turn(0);  // some of it is on its way
    table_->unwant(*Prefix::parse("10.9.0.0/24"), Clock::now());
    if (round % 2 == 0) turn(0);
  }
  table_->release(group);
  table_->synced(Clock::now());
  ASSERT_TRUE(pump([&] { return !table_->busy() && kernel_routes() == 0; }));
  table_->audit(Clock::now());
  const std::uint64_t dumps = table_->snapshot().dumps;
  ASSERT_TRUE(pump([&] { return table_->snapshot().dumps > dumps && !table_->busy(); }));
  EXPECT_EQ(kernel_routes(), 0U);
  EXPECT_EQ(ip("nexthop show"), "");
  EXPECT_EQ(table_->snapshot().drift[0], 0U);
}

TEST_F(Pain, R7TheNodesOwnDefaultRouteStaysWhateverPeersSay) {
  ip("route add default via 192.0.2.0 proto dhcp metric 20");
  ip("route add default via 192.0.2.4 proto static metric 100");
  const std::string own = ip("route show default");
  start();
  const GroupRef group = both();
  want("0.0.0.0/0", group);
  ASSERT_TRUE(pump([&] { return state("0.0.0.0/0") == "foreign: proto dhcp metric 20"; }));
  EXPECT_EQ(ip("route show default"), own) << "announced";
  table_->unwant(*Prefix::parse("0.0.0.0/0"), Clock::now());
  table_->release(group);
  table_->synced(Clock::now());
  ASSERT_TRUE(pump([&] { return ip("nexthop show").empty(); }));
  EXPECT_EQ(ip("route show default"), own) << "and withdrawn";
}

TEST_F(Pain, R8ALinkThatGoesAndComesBringsEverythingBack) {
  start();
  const GroupRef group = both();
  const GroupRef first = table_->group({left()});
  for (int i = 0; i < 500; ++i)
    want(fmt::format("10.{}.{}.0/24", 1 + i / 250, i % 250), i % 2 == 0 ? group : first);
  want("10.9.0.0/24", first);
  ASSERT_TRUE(settled());
  for (int round = 0; round < 5; ++round) {
    ip("link set d0 down");
    if (round % 2 == 0) turn(0);
    ip("link set d0 up");
    ASSERT_TRUE(pump([&] {
      return settled() && kernel_routes() == 501 && table_->snapshot().ecmp_paths[1] == 1;
    })) << round;
  }
  EXPECT_TRUE(pump([&] { return pings(); }));
  EXPECT_EQ(table_->snapshot().drift[0], 0U);
}

// What systemd-networkd does to routes and nexthop objects that are not its own.
TEST_F(Pain, R9AManagerThatRemovesForeignRoutesAndNexthopsIsHealed) {
  start();
  const GroupRef group = both();
  for (int i = 0; i < 500; ++i) want(fmt::format("10.{}.{}.0/24", 1 + i / 250, i % 250), group);
  want("10.9.0.0/24", group);
  table_->want_blackhole(*Prefix::parse("10.64.0.0/26"), Clock::now());
  ASSERT_TRUE(settled());
  ip("route flush proto 87");
  ip("nexthop flush proto 87");
  ASSERT_TRUE(pump([&] {
    return table_->snapshot().repairs[static_cast<std::size_t>(Cause::route_deleted)] > 0;
  }));
  ASSERT_TRUE(pump([&] { return settled() && kernel_routes() == 502; }));
  EXPECT_TRUE(pump([&] { return devices("10.9.0.0/24") == "d0 d1"; }));
  EXPECT_TRUE(pings());
}

TEST_F(Pain, R10RoutesOutliveTheAddressesOfTheirInterface) {
  start();
  want("10.9.0.0/24", both());
  ASSERT_TRUE(settled());
  ip("addr flush dev d0");
  ip("addr flush dev d1");
  ip("addr add 192.0.2.1/31 dev d0");
  ip("addr add 192.0.2.5/31 dev d1");
  EXPECT_TRUE(pump([&] {
    return monitor_->subnets().size() >= 3 && settled() && devices("10.9.0.0/24") == "d0 d1";
  }));
  EXPECT_TRUE(pump([&] { return pings(); }));
  EXPECT_EQ(table_->snapshot().drift[0], 0U);
}

// The kernel drops routes with their source address, and refuses them while it is away.
TEST_F(Pain, TheSourceOfRoutesMayGoAndComeBack) {
  ip("addr add 10.255.0.11/32 dev lo");
  Settings settings;
  settings.preferred_source_v4 = Address::parse("10.255.0.11").value();
  settings.route_mtu = 1400;
  start(settings);
  const GroupRef group = both();
  constexpr unsigned count = 4 * Monitor::read_limit;
  for (unsigned i = 1; i < count; ++i)
    want(fmt::format("10.{}.{}.0/24", 32 + i / 256, i % 256), group);
  want("10.9.0.0/24", group);
  ASSERT_TRUE(settled());
  EXPECT_NE(ip("route get 10.9.0.1").find("src 10.255.0.11"), std::string::npos)
      << ip("route get 10.9.0.1");
  EXPECT_NE(ip("route get 10.9.0.1").find("mtu 1400"), std::string::npos);
  ip("addr del 10.255.0.11/32 dev lo");
  EXPECT_EQ(deletions_told(), 0U) << "newer kernels tell of each route that went";
  ASSERT_TRUE(pump([&] { return state("10.9.0.0/24").rfind("failed", 0) == 0; }))
      << state("10.9.0.0/24");
  EXPECT_EQ(kernel_routes(), 0U);
  ip("addr add 10.255.0.11/32 dev lo");
  ASSERT_TRUE(settled());
  EXPECT_EQ(kernel_routes(), count);
  EXPECT_GE(repairs(Cause::address), count);
  EXPECT_EQ(repairs(Cause::route_deleted), 0U);
  EXPECT_TRUE(pings());
}

// Those of IPv6 stay, and only lose it.
TEST_F(Pain, TheSourceOfIpv6RoutesMayGoAndComeBack) {
  ip("addr add fd00::11/128 dev lo");
  Settings settings;
  settings.preferred_source_v6 = Address::parse("fd00::11").value();
  start(settings);
  const NextHops unnumbered{{*Address::parse("fe80::1"), index_of("d0"), 1}};
  want("2001:db8:9::/48", table_->group(unnumbered));
  ASSERT_TRUE(settled());
  const std::uint64_t dumps = table_->snapshot().dumps;
  ip("addr del fd00::11/128 dev lo");
  ASSERT_TRUE(pump([&] { return state("2001:db8:9::/48").rfind("failed", 0) == 0; }))
      << state("2001:db8:9::/48");
  ip("addr add fd00::11/128 dev lo");
  ASSERT_TRUE(settled());
  EXPECT_NE(ip("-6 route show 2001:db8:9::/48").find("src fd00::11"), std::string::npos);
  EXPECT_EQ(table_->snapshot().dumps, dumps) << "no need to look";
}

// With nexthop_compat_mode 1 the kernel tells of each IPv6 route that went with its nexthop; the
// last of these words are read when the first routes have been put back.
TEST_F(Pain, WhatGoesWithADeletedNexthopIsCountedAsThat) {
  constexpr unsigned count = 4 * Monitor::read_limit;
  start();
  run("sysctl -qw net.ipv4.nexthop_compat_mode=1");
  const GroupRef group = table_->group({{*Address::parse("fe80::1"), index_of("d0"), 1}});
  for (unsigned i = 0; i < count; ++i) want(fmt::format("2001:db8:{:x}::/48", i), group);
  ASSERT_TRUE(settled());
  run("ip nexthop del id $(ip nexthop | grep via | sed 's/id \\([0-9]*\\).*/\\1/')");
  ASSERT_TRUE(pump([&] { return repairs(Cause::nexthop_deleted) > 0; }));
  ASSERT_TRUE(settled());
  // What is read late may be a reason to look, but there is nothing to be found.
  const std::uint64_t dumps = table_->snapshot().dumps;
  table_->audit(Clock::now());
  ASSERT_TRUE(pump([&] { return table_->snapshot().dumps > dumps && !table_->busy(); }));
  EXPECT_EQ(kernel_routes6(), count);
  EXPECT_EQ(repairs(Cause::route_deleted), 0U);
  EXPECT_EQ(repairs(Cause::dump), 0U);
}

// route(8) has no netlink socket: in what the kernel tells of its deeds nobody is named.
TEST_F(Pain, WhatIsDeletedByIoctlComesBack) {
  for (const int compat_mode : {0, 1}) {
    SCOPED_TRACE(fmt::format("nexthop_compat_mode {}", compat_mode));
    start();
    run(fmt::format("sysctl -qw net.ipv4.nexthop_compat_mode={}", compat_mode));
    want("10.9.0.0/24", both());
    want("2001:db8:9::/48", table_->group({{*Address::parse("fe80::1"), index_of("d0"), 1}}));
    ASSERT_TRUE(settled());
    const std::uint64_t dumps = table_->snapshot().dumps;
    delete_by_ioctl4("10.9.0.0", "255.255.255.0");
    delete_by_ioctl6("2001:db8:9::", 48);
    EXPECT_EQ(kernel_routes() + kernel_routes6(), 0U);
    EXPECT_TRUE(pump([&] { return kernel_routes() == 1 && kernel_routes6() == 1; }));
    ASSERT_TRUE(settled());
    EXPECT_EQ(repairs(Cause::route_deleted), compat_mode == 0 ? 2U : 1U);
    // There it may be the kernel's own doing: somebody has to look.
    EXPECT_EQ(repairs(Cause::dump), compat_mode == 0 ? 0U : 1U);
    EXPECT_EQ(table_->snapshot().dumps - dumps, compat_mode == 0 ? 0U : 1U);
    stop();
  }
}

}  // namespace
}  // namespace weft::fib
