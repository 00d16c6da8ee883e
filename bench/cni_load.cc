// cni_load PLUGIN CONFIG FIRST COUNT AT_ONCE ADD|DEL|PING: runs a CNI plugin COUNT times as a
// runtime does, AT_ONCE at a time, for containers b<FIRST>… in the namespaces
// /run/netns/$NETNS_PREFIX<n>, and prints milliseconds from exec to exit (p50, p99) and the rate:
// "p50 p99 per-second". PING is ADD, and then the milliseconds from the container's first packet,
// an ICMP echo to $PING_TARGET sent as soon as the plugin has ended, to its answer. Root.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "net/fd.h"
#include "net/time.h"

namespace {

using namespace weft;

struct Load {
  std::string plugin;
  std::string config;
  unsigned first = 0;
  unsigned count = 0;
  std::string verb;
  std::string prefix;
};

[[noreturn]] void give_up(const Load& load, unsigned number) {
  fmt::print(stderr, "{} of b{} failed (errno {})\n", load.verb, number, errno);
  std::_Exit(1);
}

/// Of the container's namespace, ready before the container is.
Fd echo_socket(const Load& load, unsigned number) {
  const Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  const std::string path = fmt::format("/run/netns/{}{}", load.prefix, number);
  const Fd there(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (::setns(there.get(), CLONE_NEWNET) != 0) give_up(load, number);
  Fd socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
  if (::setns(here.get(), CLONE_NEWNET) != 0 || !socket) give_up(load, number);
  const timeval patience{3, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return socket;
}

/// Milliseconds from the packet to its answer.
double first_packet(const Load& load, unsigned number, const Fd& socket) {
  const char* target = std::getenv("PING_TARGET");  // NOLINT(concurrency-mt-unsafe)
  sockaddr_in to{};
  to.sin_family = AF_INET;
  if (target == nullptr || ::inet_pton(AF_INET, target, &to.sin_addr) != 1) give_up(load, number);
  icmphdr echo{};
  echo.type = ICMP_ECHO;
  echo.checksum = htons(static_cast<std::uint16_t>(~(ICMP_ECHO << 8)));
  const Time begin = Clock::now();
  const auto sent = ::sendto(socket.get(), &echo, sizeof echo, 0,
                             reinterpret_cast<const sockaddr*>(&to), sizeof to);
  char answer[256];
  if (sent != sizeof echo || ::recv(socket.get(), answer, sizeof answer, 0) <= 0)
    give_up(load, number);
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

/// Milliseconds; exits on failure, for a figure with failures in it is none.
double run_one(const Load& load, unsigned number) {
  const unsigned address = 1 + number;
  const bool pings = load.verb == "PING";
  const Fd echo = pings ? echo_socket(load, number) : Fd();
  std::vector<std::string> variables{
      std::string("CNI_COMMAND=") + (pings ? "ADD" : load.verb),
      fmt::format("CNI_CONTAINERID=b{}", number),
      fmt::format("CNI_NETNS=/run/netns/{}{}", load.prefix, number),
      "CNI_IFNAME=eth0",
      "CNI_PATH=/usr/lib/cni",
      fmt::format("FLOOR_ADDRESS=10.66.{}.{}", address / 256, address % 256),
      "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  if (const char* socket = std::getenv("WEFT_SOCKET")) {  // NOLINT(concurrency-mt-unsafe)
    variables.push_back(std::string("WEFT_SOCKET=") + socket);
  }
  std::vector<char*> environment;
  environment.reserve(variables.size() + 1);
  for (std::string& text : variables) environment.push_back(text.data());
  environment.push_back(nullptr);
  std::string program = load.plugin;
  char* argv[] = {program.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, load.config.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  const Time begin = Clock::now();
  pid_t child = -1;
  const int failed =
      posix_spawn(&child, program.c_str(), &actions, nullptr, argv, environment.data());
  int status = 0;
  if (failed == 0) ::waitpid(child, &status, 0);
  const Time end = Clock::now();
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0 || status != 0) give_up(load, number);
  if (pings) return first_packet(load, number, echo);
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const char* prefix = std::getenv("NETNS_PREFIX");  // NOLINT(concurrency-mt-unsafe)
  const Load load{argv[1],
                  argv[2],
                  static_cast<unsigned>(std::atoi(argv[3])),
                  static_cast<unsigned>(std::atoi(argv[4])),
                  argv[6],
                  prefix == nullptr ? "" : prefix};
  const unsigned at_once = static_cast<unsigned>(std::atoi(argv[5]));
  std::atomic<unsigned> next = 0;
  std::vector<double> took(load.count);
  std::vector<std::thread> workers;
  const Time begin = Clock::now();
  for (unsigned i = 0; i < at_once; ++i) {
    workers.emplace_back([&] {
      for (unsigned n = next++; n < load.count; n = next++) {
        took[n] = run_one(load, load.first + n);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::sort(took.begin(), took.end());
  const auto at = [&](double share) {
    return took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))];
  };
  fmt::print("{:.2f} {:.2f} {:.0f}\n", at(0.5), at(0.99), load.count / seconds);
}
