// inject [graceful] N NETNS ADDRESS…: the routers a daemon under test learns from. Waits on port
// 179 of each ADDRESS for its session, sends N routes over each, ten to an UPDATE as a router's
// table comes, and says when the kernel of the network namespace NETNS has them; then does what the
// lines of its input say, and tells the outcome of each in one line. Addresses of one family, which
// is the family of the routes. The daemon may be any that connects to AS 4200000001.
//   drop       close all sessions                  seconds until the kernel has none of the routes
//   die        close the first of two              seconds until none leads there, messages seen
//   watch      count what the kernel says of routes and nexthops from now on
//   again      wait for the first session anew     when it was asked for, had its OPEN, had read
//                                                   everything (monotonic); messages, routes there
#include <fmt/format.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "bench/neighbor.h"
#include "net/netlink_socket.h"
#include "net/netns.h"
#include "net/time.h"

namespace {

using namespace weft;
using namespace weft::bench;
using std::chrono::seconds;

constexpr bgp::Asn the_as{4200000001};
constexpr seconds patience{180};
constexpr std::chrono::microseconds look_interval{200};
/// Asked for one by one before all are read at once.
constexpr std::uint32_t samples = 64;

/// The kernel under test.
class Kernel {
 public:
  Kernel(Family family, std::uint32_t count)
      : family_(family), count_(count), socket_(opened()), monitor_(opened()) {
    socket_.receive_buffer(16 * 1024 * 1024);
  }

  /// Whoever reads all of the IPv6 table keeps out who changes it: the watched pot would not boil.
  [[nodiscard]] bool locked_by_dumps() const { return family_ == Family::ipv6; }

  /// Of the first and the last route and some in between, each is there (or, with false, each is
  /// not).
  [[nodiscard]] bool sampled(bool there) {
    for (std::uint32_t i = 0; i <= samples; ++i) {
      const auto at =
          static_cast<std::uint32_t>(std::uint64_t{count_ - 1} * (samples - i) / samples);
      bool found = false;
      ask(nth(family_, at), [&](const netlink::Message&) { found = true; });
      if (found != there) return false;
    }
    return true;
  }
  /// All that came to the table from outside: a prefix as we send them.
  [[nodiscard]] std::size_t installed() {
    std::size_t count = 0;
    each([&](const netlink::Message&) { ++count; }, [&] { count = 0; });
    return count;
  }

  /// A route leads to the gateway, by itself or through a group.
  [[nodiscard]] bool leads_to(const Address& gateway) {
    read_groups(gateway);
    for (const std::uint32_t at : {count_ - 1, count_ / 2, 0U}) {
      bool bad = false;
      ask(nth(family_, at), [&](const netlink::Message& route) { bad = through(route, gateway); });
      if (bad) return true;
    }
    return false;
  }
  [[nodiscard]] std::size_t leading_to(const Address& gateway) {
    read_groups(gateway);
    std::size_t bad = 0;
    each([&](const netlink::Message& route) { bad += through(route, gateway) ? 1U : 0U; },
         [&] { bad = 0; });
    return bad;
  }

  void watch() {
    monitor_ = opened();
    routes_heard_ = nexthops_heard_ = 0;
    monitor_.receive_buffer(1024 * 1024 * 1024);
    for (const unsigned group : {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP}) {
      if (!monitor_.join(group)) fail("the kernel lets nobody listen");
    }
  }
  /// Routes and nexthops told of since watch().
  [[nodiscard]] std::string heard() {
    for (;;) {
      const netlink::Received received = monitor_.receive(false);
      if (received.arrival == netlink::Arrival::overrun) return "overrun overrun";
      if (received.arrival != netlink::Arrival::data) break;
      netlink::Messages messages(received.bytes);
      while (const auto message = messages.next()) {
        const bool route = message->type == RTM_NEWROUTE || message->type == RTM_DELROUTE;
        ++(route ? routes_heard_ : nexthops_heard_);
      }
    }
    return fmt::format("{} {}", routes_heard_, nexthops_heard_);
  }

 private:
  using Visit = std::function<void(const netlink::Message&)>;

  static netlink::Socket opened() {
    auto socket = netlink::Socket::open();
    if (!socket) fail(socket.error().message);
    return std::move(*socket);
  }

  [[nodiscard]] rtmsg header() const {
    rtmsg made{};
    made.rtm_family = family_ == Family::ipv4 ? AF_INET : AF_INET6;
    return made;
  }
  [[nodiscard]] unsigned length() const { return nth(family_, 0).length(); }

  /// `visit` sees the route that a packet to the prefix's first address takes, if it is the
  /// prefix's.
  void ask(const Prefix& prefix, const Visit& visit) {
    netlink::Batch batch;
    rtmsg wanted = header();
    wanted.rtm_dst_len = static_cast<unsigned char>(bits(family_));
    wanted.rtm_flags = RTM_F_FIB_MATCH;
    batch.begin(RTM_GETROUTE, 0, wanted);
    batch.put_address(RTA_DST, prefix.address());
    static_cast<void>(socket_.query(batch, [&](const netlink::Message& message) {
      const auto route = message.header<rtmsg>();
      if (route && route->rtm_dst_len == length()) visit(message);
    }));
  }

  void each(const Visit& visit, const std::function<void()>& again) {
    netlink::Batch batch;
    rtmsg filter = header();
    filter.rtm_table = RT_TABLE_MAIN;
    batch.begin(RTM_GETROUTE, 0, filter);
    const auto first = nth(family_, 0).address().octets()[0];
    const auto dumped = socket_.dump(
        batch,
        [&](const netlink::Message& message) {
          const auto route = message.header<rtmsg>();
          if (!route || route->rtm_dst_len != length()) return;
          const auto to = message.attributes<rtmsg>().find(RTA_DST);
          // fe80::/64 is the kernel's own.
          if (to && (family_ == Family::ipv4 || to->payload()[0] == first)) visit(message);
        },
        again);
    if (!dumped) fail("the kernel does not say what routes it has");
  }

  void read_groups(const Address& gateway) {
    std::set<std::uint32_t> ids;
    groups_.clear();
    netlink::Batch batch;
    batch.begin(RTM_GETNEXTHOP, 0, nhmsg{});
    std::vector<std::pair<std::uint32_t, std::vector<nexthop_grp>>> all;
    static_cast<void>(socket_.dump(batch, [&](const netlink::Message& message) {
      const auto attributes = message.attributes<nhmsg>();
      const auto id = attributes.find(NHA_ID);
      if (!id) return;
      const auto to = attributes.find(NHA_GATEWAY);
      if (to && to->address() == gateway) ids.insert(id->u32());
      const auto group = attributes.find(NHA_GROUP);
      if (!group) return;
      std::vector<nexthop_grp> members(group->payload().size() / sizeof(nexthop_grp));
      std::memcpy(members.data(), group->payload().data(), members.size() * sizeof(nexthop_grp));
      all.emplace_back(id->u32(), std::move(members));
    }));
    for (const auto& [id, members] : all) {
      for (const nexthop_grp& member : members) {
        if (ids.contains(member.id)) groups_.insert(id);
      }
    }
    groups_.insert(ids.begin(), ids.end());
  }

  [[nodiscard]] bool through(const netlink::Message& route, const Address& gateway) const {
    const auto attributes = route.attributes<rtmsg>();
    if (const auto id = attributes.find(RTA_NH_ID)) return groups_.contains(id->u32());
    if (const auto to = attributes.find(RTA_GATEWAY)) return to->address() == gateway;
    const auto many = attributes.find(RTA_MULTIPATH);
    if (!many) return false;
    for (Bytes rest = many->payload(); rest.size() >= sizeof(rtnexthop);) {
      rtnexthop hop{};
      std::memcpy(&hop, rest.data(), sizeof hop);
      if (hop.rtnh_len < sizeof hop || hop.rtnh_len > rest.size()) break;
      const auto to = netlink::Attributes(rest.subspan(sizeof hop, hop.rtnh_len - sizeof hop))
                          .find(RTA_GATEWAY);
      if (to && to->address() == gateway) return true;
      rest = rest.subspan(std::min<std::size_t>(rest.size(), netlink::aligned(hop.rtnh_len)));
    }
    return false;
  }

  Family family_;
  std::uint32_t count_;
  netlink::Socket socket_;
  netlink::Socket monitor_;
  std::size_t routes_heard_ = 0;
  std::size_t nexthops_heard_ = 0;
  /// Nexthop objects that are, or contain, the gateway asked about.
  std::set<std::uint32_t> groups_;
};

/// When `quick` began to hold for good: what it sees is proven by `whole`, which takes long and so
/// does not count.
Time since(const Kernel& kernel, const std::function<bool()>& quick,
           const std::function<bool()>& whole) {
  const Time start = Clock::now();
  for (;;) {
    const Time looked = Clock::now();
    if (quick()) {
      if (whole()) return looked;
      std::this_thread::sleep_for(kernel.locked_by_dumps() ? 4 * (Clock::now() - looked)
                                                           : look_interval);
    }
    if (Clock::now() - start > patience) fail("the kernel does not come to what was announced");
    std::this_thread::sleep_for(look_interval);
  }
}

struct Router {
  Address address;
  Fd listener;
  Fd session;
  std::vector<std::byte> updates;
};

void learn(std::vector<Router>& routers, Kernel& kernel, std::uint32_t count) {
  const Time start = Clock::now();
  std::vector<std::thread> senders;
  senders.reserve(routers.size());
  for (const Router& router : routers) {
    senders.emplace_back([&router] { send_all(router.session.get(), router.updates); });
  }
  Time there = since(
      kernel, [&] { return kernel.sampled(true); }, [&] { return kernel.installed() >= count; });
  for (std::thread& sender : senders) sender.join();
  if (routers.size() > 1) {
    // Each must be used by each route.
    for (const Router& router : routers) {
      there = since(
          kernel, [&] { return kernel.leads_to(router.address); },
          [&] { return kernel.leading_to(router.address) >= count; });
    }
  }
  fmt::print("{:.4f}\n", seconds_between(start, there));
}

void again(Router& router, Kernel& kernel, const Identity& identity) {
  router.session = accepted(router.listener);
  const Time asked = Clock::now();
  open_session(router.session.get(), router.address.family(), identity);
  const Time opened = Clock::now();
  send_all(router.session.get(), router.updates);
  wait_until_read(router.session.get());
  const Time read = Clock::now();
  std::this_thread::sleep_for(seconds(2));
  const std::string heard = kernel.heard();
  fmt::print("{:.4f} {:.4f} {:.4f} {} {}\n", monotonic(asked), monotonic(opened), monotonic(read),
             heard, kernel.installed());
}

}  // namespace

int main(int argc, char** argv) {
  const bool graceful = argc > 1 && std::string_view(argv[1]) == "graceful";
  if (graceful) {
    --argc;
    ++argv;
  }
  std::uint32_t count = 0;
  if (argc >= 4) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), count);
  if (count == 0) fail("usage: inject [graceful] N NETNS ADDRESS...");
  std::vector<Router> routers;
  for (int i = 3; i < argc; ++i) {
    const auto address = Address::parse(argv[i]);
    if (!address) fail(address.error().message);
    routers.push_back({*address, listening(*address), {}, table(count, the_as, *address)});
  }
  const Family family = routers.front().address.family();
  const auto identity = [graceful](std::uint32_t i) {
    return Identity{the_as, bgp::RouterId{0x0a0a0a0a + i}, seconds(240), graceful};
  };
  for (std::uint32_t i = 0; i < routers.size(); ++i) {
    routers[i].session = accepted(routers[i].listener);
    open_session(routers[i].session.get(), family, identity(i));
  }
  // Sockets stay in the namespace they were made in.
  const auto netns = NetworkNamespace::open(argv[2]);
  if (!netns || !netns->enter()) fail(fmt::format("no namespace {}", argv[2]));
  Kernel kernel(family, count);
  learn(routers, kernel, count);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line); std::fflush(stdout)) {
    const Time start = Clock::now();
    if (line == "drop") {
      for (const Router& router : routers) ::shutdown(router.session.get(), SHUT_RDWR);
      const Time gone = since(
          kernel, [&] { return kernel.sampled(false); }, [&] { return kernel.installed() == 0; });
      fmt::print("{:.4f}\n", seconds_between(start, gone));
    } else if (line == "die") {
      kernel.watch();
      const Time death = Clock::now();
      ::shutdown(routers.front().session.get(), SHUT_RDWR);
      std::string by_then;
      const Time repaired = since(
          kernel,
          [&] {
            if (kernel.leads_to(routers.front().address)) return false;
            by_then = kernel.heard();
            return true;
          },
          [&] { return kernel.leading_to(routers.front().address) == 0; });
      std::this_thread::sleep_for(seconds(3));
      fmt::print("{:.6f} {} {}\n", seconds_between(death, repaired), by_then, kernel.installed());
    } else if (line == "watch") {
      kernel.watch();
      fmt::print("watching\n");
    } else if (line == "again") {
      again(routers.front(), kernel, identity(0));
    } else {
      fail("what is " + line + "?");
    }
  }
  return 0;
}
