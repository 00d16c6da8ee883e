#include "tests/cni/system/world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "net/fd.h"

namespace weft::test {

namespace {

std::array<Fd, 2> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  return {Fd(ends[0]), Fd(ends[1])};
}

/// Both to their ends: a child that fills one while we read the other would wait forever.
void drain(const Fd& out, std::string& out_text, const Fd& err, std::string& err_text) {
  std::array<pollfd, 2> ends{{{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
  const std::array<std::string*, 2> texts{&out_text, &err_text};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (::poll(ends.data(), ends.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].revents == 0) continue;
      std::array<char, 4096> buffer{};
      const ssize_t size = ::read(ends[i].fd, buffer.data(), buffer.size());
      if (size > 0) {
        texts[i]->append(buffer.data(), static_cast<std::size_t>(size));
      } else {
        ends[i].fd = -1;
      }
    }
  }
}

}  // namespace

Output run(const std::vector<std::string>& command,
           const std::map<std::string, std::string>& environment, const std::string& input) {
  auto in = make_pipe();
  auto out = make_pipe();
  auto err = make_pipe();
  std::vector<std::string> variables{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  const auto pointers = [](const std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
    list.push_back(nullptr);
    return list;
  };
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0].get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1].get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1].get(), STDERR_FILENO);
  pid_t child = -1;
  const int spawned = ::posix_spawnp(&child, command.front().c_str(), &actions, nullptr,
                                     pointers(command).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) throw std::runtime_error("cannot run " + command.front());
  in[0] = Fd();
  out[1] = Fd();
  err[1] = Fd();
  // A plugin that does not read its input may be gone before it is written.
  std::signal(SIGPIPE, SIG_IGN);
  [[maybe_unused]] const auto written = ::write(in[1].get(), input.data(), input.size());
  in[1] = Fd();
  Output output;
  drain(out[0], output.out, err[0], output.err);
  int status = 0;
  ::waitpid(child, &status, 0);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return output;
}

World::World() {
  static std::atomic<int> serial = 0;
  const int number = ++serial;
  directory_ =
      std::filesystem::temp_directory_path() / fmt::format("weft-cni-{}-{}", ::getpid(), number);
  std::filesystem::create_directory(directory_);
  host_ = add_namespace(fmt::format("host{}", number));
  in(host_, "ip link set lo up");
}

World::~World() {
  // Their links go with the namespaces.
  for (const std::string& name : namespaces_) run({"ip", "netns", "delete", name});
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string World::add_namespace(const std::string& name) {
  std::string full = fmt::format("weft-{}-{}", ::getpid(), name);
  const Output output = run({"ip", "netns", "add", full});
  if (output.status != 0) throw std::runtime_error("ip netns add: " + output.err);
  namespaces_.push_back(full);
  return full;
}

void World::remove_namespace(const std::string& name) {
  run({"ip", "netns", "delete", name});
  std::erase(namespaces_, name);
}

std::string World::path(const std::string& netns) {
  return "/run/netns/" + netns;
}

Output World::in(const std::string& netns, const std::string& command) {
  std::vector<std::string> words{"ip", "netns", "exec", netns};
  std::istringstream stream(command);
  for (std::string word; stream >> word;) words.push_back(word);
  return run(words);
}

ipam::Settings example_pools() {
  ipam::PoolSettings pool;
  pool.name = "containers";
  pool.ipv4 = *Prefix::parse("10.64.0.0/16");
  pool.ipv6 = *Prefix::parse("fd64:0:0:1::/112");
  pool.claim = ipam::StaticIndex{2, 1};
  ipam::Settings settings;
  settings.pools = {pool};
  return settings;
}

}  // namespace weft::test
