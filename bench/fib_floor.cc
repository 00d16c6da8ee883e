// fib_floor N: N IPv4 routes through one nexthop group into the kernel of a network namespace of
// its own: first by a bare loop over batches of 1024 (the kernel's floor), then by fib::Table and
// fib::Programmer. Prints seconds and the ratio. Root.
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>

#include <array>
#include <cstdlib>
#include <string>

#include "fib/programmer.h"
#include "fib/table.h"
#include "net/netlink_socket.h"

namespace {

using namespace weft;
using namespace weft::fib;

constexpr std::uint32_t loopback = 1;
const Settings settings;

Prefix nth(std::uint32_t i) {
  return {Address::ipv4(0x0b000000 + (i << 6U)), 26};
}

double seconds_since(Time start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double cpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void must(bool good, const std::string& what) {
  if (good) return;
  fmt::print(stderr, "fib_floor: {}\n", what);
  std::exit(1);
}

NextHop gateway() {
  return {Address::ipv4(0x7f000002), loopback, 1};
}

double bare(std::uint32_t count) {
  auto socket = netlink::Socket::open();
  must(socket.has_value(), "no netlink socket");
  socket->receive_buffer(16 * 1024 * 1024);
  netlink::Batch messages;
  put(messages, {1, route_protocol, gateway().gateway, loopback, {}}, Mode::create);
  put(messages, {2, route_protocol, {}, 0, {{1, 1}}}, Mode::create);
  must(socket->transact(messages).ok(), "the kernel refused the nexthop group");
  const Time start = Clock::now();
  Route route;
  route.protocol = route_protocol;
  route.metric = settings.metric;
  route.nexthop_id = 2;
  for (std::uint32_t i = 0; i < count;) {
    messages.clear();
    for (; i < count && messages.count() < batch_limit; ++i) {
      route.prefix = nth(i);
      put(messages, route, Mode::create);
    }
    must(socket->transact(messages).ok(), "the kernel refused a route");
  }
  const double took = seconds_since(start);
  messages.clear();
  remove_nexthop(messages, 1);
  must(socket->transact(messages).ok(), "the kernel kept the nexthop");
  return took;
}

void turn(Table& table, Programmer& programmer) {
  while (programmer.ready()) {
    auto work = table.take(Clock::now());
    if (!work) break;
    programmer.submit(std::move(*work));
  }
  pollfd ready{programmer.fd(), POLLIN, 0};
  poll(&ready, 1, 1000);
  while (auto report = programmer.next()) table.settle(std::move(*report), Clock::now());
}

}  // namespace

int main(int argc, char** argv) {
  const auto count = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 100000);
  must(unshare(CLONE_NEWNET) == 0, "needs root");
  must(std::system("ip link set lo up") == 0, "no loopback");  // NOLINT(cert-env33-c)
  const double first = bare(count);
  auto programmer = Programmer::start(settings);
  must(programmer.has_value(), "no programmer");
  Table table(settings);
  table.start(Clock::now());
  table.synced(Clock::now());
  while (table.snapshot().dumps == 0) turn(table, *programmer);

  const double cpu_before = cpu();
  const Time start = Clock::now();
  const GroupRef group = table.group({gateway()});
  for (std::uint32_t i = 0; i < count; ++i) table.want(nth(i), group, Clock::now());
  const double wanted = seconds_since(start);
  while (table.snapshot().pending > 0) turn(table, *programmer);
  const double ours = seconds_since(start);
  const double cpu_ours = cpu() - cpu_before;
  const double octets = static_cast<double>(table.memory()) / count;

  const Time drop = Clock::now();
  for (std::uint32_t i = 0; i < count; ++i) table.unwant(nth(i), Clock::now());
  table.release(group);
  while (table.snapshot().nexthops > 0) turn(table, *programmer);
  const double removed = seconds_since(drop);
  const double again = bare(count);
  const double floor = (first + again) / 2;
  fmt::print(
      "{} routes: floor {:.3f} and {:.3f} s, fib {:.3f} s (want() {:.3f} s, cpu {:.3f} s): ratio "
      "{:.3f}; table {:.1f} octets a route; removal {:.3f} s\n",
      count, first, again, ours, wanted, cpu_ours, ours / floor, octets, removed);
  return 0;
}
