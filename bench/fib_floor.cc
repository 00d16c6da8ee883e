// fib_floor N ipv4|ipv6 here GATEWAY DEVICE: what N routes through a group of one nexthop cost the
// kernel of the network namespace it is run in, whose other routes count: "seconds cpu removal".
// fib_floor N [ipv6]: N routes through nexthop groups in the kernel of a network namespace of its
// own, first by a bare loop over batches of 1024 (the kernel's floor), then by fib::Table and
// fib::Programmer: learned, failed over when one of two gateways dies, found again after a restart,
// and withdrawn in slices as a lost peer's are. Prints seconds, CPU and ratios. Root.
#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <string>

#include "fib/programmer.h"
#include "fib/table.h"
#include "net/netlink_socket.h"

namespace {

using namespace weft;
using namespace weft::fib;

constexpr std::uint32_t loopback = 1;
/// Above the ids of the daemons that share the namespace.
constexpr std::uint32_t some_id = 0x58000000;
/// As the decision process gives them out.
constexpr std::uint32_t slice = 16384;
const Settings settings;
Family family = Family::ipv4;

Prefix nth(std::uint32_t i) {
  if (family == Family::ipv4) return {Address::ipv4(0x0b000000 + (i << 6U)), 26};
  std::array<std::byte, 16> octets{std::byte{0x20}, std::byte{0x01}, std::byte{0x0d},
                                   std::byte{0xb8}};
  for (unsigned place = 0; place < 4; ++place) {
    octets[4 + place] = static_cast<std::byte>(i >> (24U - 8U * place) & 0xffU);
  }
  return {Address::ipv6(octets), 64};
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

/// As told; otherwise on the loopback interface, so that nothing but routes costs anything.
std::optional<NextHop> told;
NextHop gateway(std::uint32_t number) {
  if (told) return *told;
  if (family == Family::ipv4) return {Address::ipv4(0x7f000001 + number), loopback, 1};
  return {*Address::parse(fmt::format("fe80::{}", number)), loopback, 1};
}

struct Cost {
  double seconds = 0;
  double cpu = 0;
  double removal = 0;
};

Cost bare(std::uint32_t count) {
  auto socket = netlink::Socket::open();
  must(socket.has_value(), "no netlink socket");
  socket->receive_buffer(16 * 1024 * 1024);
  netlink::Batch messages;
  for (const std::uint32_t number : {1U, 2U}) {
    const NextHop to = gateway(number);
    put(messages, {some_id + number, route_protocol, to.gateway, to.ifindex, {}}, Mode::create);
  }
  std::vector<Member> members{{some_id + 1, 1}, {some_id + 2, 1}};
  if (told) members.pop_back();
  put(messages, {some_id + 3, route_protocol, {}, 0, members}, Mode::create);
  must(socket->transact(messages).ok(), "the kernel refused the nexthop group");
  const double cpu_before = cpu();
  const Time start = Clock::now();
  Route route;
  route.protocol = route_protocol;
  route.metric = settings.metric;
  route.nexthop_id = some_id + 3;
  for (std::uint32_t i = 0; i < count;) {
    messages.clear();
    for (; i < count && messages.count() < batch_limit; ++i) {
      route.prefix = nth(i);
      put(messages, route, Mode::create);
    }
    must(socket->transact(messages).ok(), "the kernel refused a route");
  }
  Cost cost;
  cost.seconds = seconds_since(start);
  cost.cpu = cpu() - cpu_before;
  const Time drop = Clock::now();
  messages.clear();
  remove_nexthop(messages, some_id + 3);
  must(socket->transact(messages).ok(), "the kernel kept the nexthop group");
  cost.removal = seconds_since(drop);
  messages.clear();
  remove_nexthop(messages, some_id + 1);
  remove_nexthop(messages, some_id + 2);
  must(socket->transact(messages).ok(), "the kernel kept the nexthops");
  return cost;
}

/// Table and programmer as weftd joins them.
struct Fib {
  Fib() {
    auto started = Programmer::start(settings);
    must(started.has_value(), "no programmer");
    programmer.emplace(std::move(*started));
    table.start(Clock::now());
    while (table.snapshot().dumps == 0) turn();
  }
  void submit() {
    while (programmer->express_ready()) {
      auto batch = table.take_express(Clock::now());
      if (!batch) break;
      programmer->submit_express(std::move(*batch));
    }
    while (programmer->ready()) {
      auto work = table.take(Clock::now());
      if (!work) break;
      programmer->submit(std::move(*work));
    }
  }
  void settle() {
    while (auto report = programmer->next()) table.settle(std::move(*report), Clock::now());
  }
  void turn() {
    submit();
    pollfd ready{programmer->fd(), POLLIN, 0};
    poll(&ready, 1, 1000);
    settle();
  }

  std::optional<Programmer> programmer;
  Table table{settings};
};

}  // namespace

int main(int argc, char** argv) {
  const auto count = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 100000);
  if (argc > 2 && std::string(argv[2]) == "ipv6") family = Family::ipv6;
  if (argc == 6 && std::string(argv[3]) == "here") {
    const auto address = Address::parse(argv[4]);
    must(address.has_value(), "no address");
    told = NextHop{*address, if_nametoindex(argv[5]), 1};
    const Cost cost = bare(count);
    fmt::print("{:.4f} {:.4f} {:.4f}\n", cost.seconds, cost.cpu, cost.removal);
    return 0;
  }
  must(unshare(CLONE_NEWNET) == 0, "needs root");
  must(std::system("ip link set lo up") == 0, "no loopback");  // NOLINT(cert-env33-c)
  const Cost first = bare(count);

  const NextHops both{gateway(1), gateway(2)};
  std::optional<Fib> fib(std::in_place);
  fib->table.synced(Clock::now());
  const double cpu_before = cpu();
  const Time start = Clock::now();
  GroupRef group = fib->table.group(both);
  for (std::uint32_t i = 0; i < count; ++i) fib->table.want(nth(i), group, Clock::now());
  const double wanted = seconds_since(start);
  while (fib->table.snapshot().pending > 0) fib->turn();
  const double learned = seconds_since(start);
  const double cpu_learned = cpu() - cpu_before;
  const double octets = static_cast<double>(fib->table.memory()) / count;

  const std::uint64_t written = fib->table.snapshot().operations[0][0];
  const Time death = Clock::now();
  fib->table.reachable(both[0].gateway, both[0].ifindex, false, death);
  while (fib->table.snapshot().ecmp_paths[0] == 0) fib->turn();
  const double failover = seconds_since(death);
  must(fib->table.snapshot().operations[0][0] == written, "failover wrote routes");
  fib->table.reachable(both[0].gateway, both[0].ifindex, true, Clock::now());
  while (fib->table.snapshot().ecmp_paths[1] == 0) fib->turn();

  fib.reset();
  const Time restart = Clock::now();
  fib.emplace();
  group = fib->table.group(both);
  for (std::uint32_t i = 0; i < count; ++i) fib->table.want(nth(i), group, Clock::now());
  fib->table.synced(Clock::now());
  while (fib->table.snapshot().pending > 0) fib->turn();
  const double restarted = seconds_since(restart);
  must(fib->table.snapshot().operations[0][0] == 0, "a restart wrote routes");

  const Time drop = Clock::now();
  fib->table.release(group);
  fib->table.more_to_come(true);
  for (std::uint32_t i = 0; i < count; ++i) {
    fib->table.unwant(nth(i), Clock::now());
    if (i % slice != slice - 1) continue;
    fib->submit();
    fib->settle();
  }
  fib->table.more_to_come(false);
  while (fib->table.snapshot().groups > 0) fib->turn();
  const double removed = seconds_since(drop);
  fib.reset();

  const Cost again = bare(count);
  const double floor = (first.seconds + again.seconds) / 2;
  const double floor_cpu = (first.cpu + again.cpu) / 2;
  const double floor_removal = (first.removal + again.removal) / 2;
  fmt::print(
      "{} routes: floor {:.3f} and {:.3f} s, fib {:.3f} s (want() {:.3f} s): ratio {:.3f}; cpu "
      "{:.3f} s to {:.3f} s: ratio {:.3f}; table {:.1f} octets a route\n",
      count, first.seconds, again.seconds, learned, wanted, learned / floor, floor_cpu, cpu_learned,
      cpu_learned / floor_cpu, octets);
  fmt::print(
      "failover {:.3f} ms; restart {:.3f} s; removal {:.3f} s, floor {:.3f} and {:.3f} s: ratio "
      "{:.3f}\n",
      failover * 1e3, restarted, removed, first.removal, again.removal, removed / floor_removal);
  return 0;
}
