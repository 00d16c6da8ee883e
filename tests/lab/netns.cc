#include "tests/lab/netns.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "net/fd.h"
#include "tests/lab/process.h"

namespace weft::lab {
namespace {

namespace fs = std::filesystem;

std::string path_of(const std::string& name) {
  return "/run/netns/" + name;
}

std::string reason() {
  return std::generic_category().message(errno);
}

/// In the child: a fresh namespace, its sysctls, its name. Returns the step that failed, errno says
/// why.
std::string make(const std::string& path, const Sysctls& sysctls) {
  if (unshare(CLONE_NEWNET) != 0) return "unshare";
  for (const auto& [file, value] : sysctls) {
    const Fd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || write(fd.get(), value.data(), value.size()) < 0)
      return fmt::format("{} = {}", file, value);
  }
  return mount("/proc/self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) == 0 ? "" : path;
}

}  // namespace

Result<void> create_netns(const std::string& name, const Sysctls& sysctls) {
  std::error_code none;
  fs::create_directories("/run/netns", none);
  const std::string path = path_of(name);
  if (!Fd(open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444))) {
    return Error{fmt::format("network namespace {}: {}", name, reason())};
  }
  Sysctls files;
  for (const auto& [key, value] : sysctls) {
    std::string file = key;
    std::replace(file.begin(), file.end(), '.', '/');
    files.emplace_back("/proc/sys/" + file, value);
  }
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Error{"pipe: " + reason()};
  const Fd told(ends[0]);
  Fd tell(ends[1]);
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const std::string failed = make(path, files);
    const std::string message = failed.empty() ? "" : failed + ": " + reason();
    [[maybe_unused]] const auto size = write(tell.get(), message.data(), message.size());
    _exit(failed.empty() ? 0 : 1);
  }
  tell = Fd();
  int status = 1;
  if (pid > 0) waitpid(pid, &status, 0);
  if (status == 0) return {};
  std::array<char, 512> message{};
  const auto size = read(told.get(), message.data(), message.size());
  remove_netns(name);
  return Error{
      fmt::format("network namespace {}: {}", name,
                  std::string(message.data(), static_cast<std::size_t>(std::max(size, 0L))))};
}

void remove_netns(const std::string& name) {
  const std::string path = path_of(name);
  while (umount2(path.c_str(), MNT_DETACH) == 0) {
  }
  unlink(path.c_str());
}

Result<void> rename_netns(const std::string& from, const std::string& to) {
  remove_netns(to);
  const std::string old_path = path_of(from);
  const std::string path = path_of(to);
  const Fd made(open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  if (!made || mount(old_path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return Error{fmt::format("network namespace {}: {}", to, reason())};
  }
  remove_netns(from);
  return {};
}

Result<void> ip_batch(const std::string& netns, const std::string& lines) {
  if (lines.empty()) return {};
  Argv argv{"ip"};
  if (!netns.empty()) argv.insert(argv.end(), {"-n", netns});
  argv.insert(argv.end(), {"-batch", "-"});
  Surroundings here;
  here.env = inherited_environment();
  here.dies_with_us = true;
  const auto done = run(argv, here, milliseconds(60'000), lines);
  if (!done) return done.error();
  if (!done->ok()) return Error{fmt::format("ip -batch: {}\n{}", done->text(), lines)};
  return {};
}

}  // namespace weft::lab
