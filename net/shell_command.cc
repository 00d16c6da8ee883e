#include "net/shell_command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

namespace weft {
namespace {

/// What is killed ends at once, unless it waits for the kernel: nobody waits for that.
constexpr std::chrono::milliseconds last_wait{100};

/// glibc 2.36 declares its own without extern "C".
int open_pidfd(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

struct Attributes {
  Attributes() {
    posix_spawnattr_init(&spawn);
    posix_spawn_file_actions_init(&files);
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&spawn, &all);
    posix_spawnattr_setsigmask(&spawn, &none);
    posix_spawnattr_setpgroup(&spawn, 0);
    posix_spawnattr_setflags(
        &spawn,
        static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
  }
  ~Attributes() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&spawn);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;

  posix_spawnattr_t spawn{};
  posix_spawn_file_actions_t files{};
};

}  // namespace

Result<ShellCommand> ShellCommand::start(const std::string& command, Output output) {
  Attributes attributes;
  posix_spawn_file_actions_addopen(&attributes.files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    if (output == Output::discarded)
      posix_spawn_file_actions_addopen(&attributes.files, fd, "/dev/null", O_WRONLY, 0);
  }
  std::string shell = "sh";
  std::string option = "-c";
  std::string text = command;
  const std::array<char*, 4> arguments{shell.data(), option.data(), text.data(), nullptr};
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, "/bin/sh", &attributes.files, &attributes.spawn,
                                   arguments.data(), environ);
  if (failed != 0) return Error{std::string("/bin/sh: ") + std::strerror(failed)};
  Fd process(open_pidfd(pid));
  if (process) return ShellCommand(pid, std::move(process));
  const int reason = errno;
  ::kill(-pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return Error{std::string("pidfd_open: ") + std::strerror(reason)};
}

ShellCommand::~ShellCommand() {
  if (!process_ || succeeded_) return;
  kill();
  pollfd one{process_.get(), POLLIN, 0};
  ::poll(&one, 1, static_cast<int>(last_wait.count()));
  static_cast<void>(ended());
}

std::optional<bool> ShellCommand::ended() {
  if (succeeded_) return succeeded_;
  siginfo_t what{};
  const int done = ::waitid(P_PIDFD, static_cast<id_t>(process_.get()), &what, WEXITED | WNOHANG);
  if (done == 0 && what.si_pid == 0) return std::nullopt;
  if (done != 0 && errno == EINTR) return std::nullopt;
  succeeded_ = done == 0 && what.si_code == CLD_EXITED && what.si_status == 0;
  return succeeded_;
}

void ShellCommand::kill() {
  // Once the shell has been waited for, its number may be that of another group.
  if (!succeeded_) ::kill(-group_, SIGKILL);
}

bool succeeds(const std::string& command, Clock::duration limit) {
  auto running = ShellCommand::start(command, ShellCommand::Output::inherited);
  if (!running) return false;
  using std::chrono::milliseconds;
  const auto span = std::chrono::ceil<milliseconds>(std::max(limit, Clock::duration::zero()));
  pollfd one{running->fd(), POLLIN, 0};
  if (::poll(&one, 1, static_cast<int>(span.count())) != 1) return false;
  return running->ended().value_or(false);
}

}  // namespace weft
