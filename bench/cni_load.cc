// cni_load PLUGIN CONFIG FIRST COUNT AT_ONCE ADD|DEL: runs a CNI plugin COUNT times as a runtime
// does, AT_ONCE at a time, for containers b<FIRST>… in the namespaces /run/netns/$NETNS_PREFIX<n>,
// and prints milliseconds from exec to exit (p50, p99) and the rate: "p50 p99 per-second". Root.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
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

/// Milliseconds; exits on failure, for a figure with failures in it is none.
double run_one(const Load& load, unsigned number) {
  const unsigned address = 1 + number;
  std::vector<std::string> variables{
      "CNI_COMMAND=" + load.verb,
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
  if (failed != 0 || status != 0) {
    fmt::print(stderr, "{} of b{} failed\n", load.verb, number);
    std::_Exit(1);
  }
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
