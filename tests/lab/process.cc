#include "tests/lab/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

#include "net/fd.h"
#include "net/time.h"
#include "tests/lab/pidfd.h"

extern char** environ;  // NOLINT(readability-identifier-naming)

namespace weft::lab {
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

/// How far a child came before it failed, through the pipe that exec closes.
struct Failure {
  enum class Place : int { enter, exec };
  Place place;
  int error;
};

/// The child's side: only system calls, since other threads of our parent may have held any lock at
/// the fork.
struct Launch {
  std::vector<std::string> candidates;
  std::vector<char*> argv;
  std::vector<char*> env;
  int init_fd = -1;
  std::array<int, 3> stdio{-1, -1, -1};
  int failed = -1;
  bool own_group = true;
  bool dies_with_us = false;
  pid_t parent = 0;

  [[noreturn]] void fail(Failure::Place place) const {
    const Failure failure{place, errno};
    [[maybe_unused]] const auto written = write(failed, &failure, sizeof failure);
    _exit(127);
  }

  [[noreturn]] void go() const {
    if (dies_with_us) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent && init_fd < 0) _exit(127);
    }
    if (init_fd >= 0 && setns(init_fd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS) != 0) {
      fail(Failure::Place::enter);
    }
    if (own_group) setsid();
    for (int i = 0; i < 3; ++i) {
      if (stdio[static_cast<std::size_t>(i)] >= 0) dup2(stdio[static_cast<std::size_t>(i)], i);
    }
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    int error = ENOENT;
    for (const std::string& candidate : candidates) {
      execve(candidate.c_str(), argv.data(), env.data());
      if (errno != ENOENT && errno != ENOTDIR) error = errno;
    }
    errno = error;
    fail(Failure::Place::exec);
  }
};

std::vector<std::string> search(const std::string& name, const Environment& env) {
  if (name.find('/') != std::string::npos) return {name};
  const auto path = env.find("PATH");
  std::istringstream folders(path != env.end() ? path->second : "/usr/bin:/bin");
  std::vector<std::string> found;
  for (std::string folder; std::getline(folders, folder, ':');) {
    found.push_back(folder.append("/").append(name));
  }
  return found;
}

/// While it lives, what this thread forks is born in the PID namespace of another process.
class BornIn {
 public:
  explicit BornIn(int pidfd) : own_(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC)) {
    entered_ = own_ && setns(pidfd, CLONE_NEWPID) == 0;
  }
  BornIn(const BornIn&) = delete;
  BornIn& operator=(const BornIn&) = delete;
  ~BornIn() {
    if (entered_ && setns(own_.get(), CLONE_NEWPID) != 0) std::abort();
  }
  [[nodiscard]] bool entered() const { return entered_; }

 private:
  Fd own_;
  bool entered_ = false;
};

struct Pipe {
  Fd read;
  Fd write;

  static Result<Pipe> make() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return Error{"pipe: " + reason(errno)};
    return Pipe{Fd(ends[0]), Fd(ends[1])};
  }
};

Result<pid_t> launch(const Launch& plan) {
  std::optional<BornIn> there;
  if (plan.init_fd >= 0) {
    there.emplace(plan.init_fd);
    if (!there->entered()) return Error{"cannot enter the node: " + reason(errno)};
  }
  const pid_t pid = fork();
  if (pid < 0) return Error{"fork: " + reason(errno)};
  if (pid == 0) plan.go();
  return pid;
}

int status_of(int raw) {
  return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

int remaining(Time end) {
  const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<long>(left, 0, 1L << 30));
}

/// False at the end of what the other side will ever write.
bool drain(const Fd& from, std::string& into) {
  std::array<char, 65536> buffer{};
  const auto size = read(from.get(), buffer.data(), buffer.size());
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  const auto room = output_limit - std::min(output_limit, into.size());
  into.append(buffer.data(), std::min(static_cast<std::size_t>(size), room));
  return size > 0;
}

}  // namespace

struct Process::Child {
  Child(pid_t own, Fd fd, bool group) : pid(own), pidfd(std::move(fd)), own_group(group) {
    const std::lock_guard guard(lock);
    all.insert(this);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    const std::lock_guard guard(lock);
    all.erase(this);
  }

  /// True once it has ended and its status is known. With WNOHANG in `flags` it may still run.
  bool reap(int flags) {
    const std::lock_guard guard(own_lock);
    int raw = 0;
    while (!status) {
      const pid_t got = waitpid(pid, &raw, flags);
      if (got == pid) status = status_of(raw);
      if (got == 0 || (got < 0 && errno != EINTR)) break;
    }
    return status.has_value();
  }

  pid_t pid;
  Fd pidfd;
  bool own_group;
  std::optional<int> status;
  std::mutex own_lock;

  static inline std::mutex lock;
  static inline std::set<Child*> all;
};

void reap_children() {
  const std::lock_guard guard(Process::Child::lock);
  for (Process::Child* child : Process::Child::all) child->reap(WNOHANG);
}

struct Process::Stdio {
  int in = -1;
  int out = -1;
  int err = -1;
  bool own_group = true;
};

std::string Output::text() const {
  return fmt::format("{}{}{}", out, err,
                     timed_out ? "(killed at its deadline)" : fmt::format("(exit {})", exit));
}

Environment inherited_environment() {
  Environment env{{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}};
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry(*at);
    const auto equals = entry.find('=');
    const std::string_view name = entry.substr(0, equals);
    const bool wanted = name == "TERM" || name == "LANG" || name == "TZ" ||
                        (name.size() > 8 && name.substr(name.size() - 8) == "_OPTIONS");
    if (wanted && equals != std::string_view::npos) {
      env[std::string(name)] = entry.substr(equals + 1);
    }
  }
  return env;
}

Result<Process> Process::start(const Argv& argv, const Surroundings& where, const Stdio& stdio) {
  if (argv.empty()) return Error{"no command"};
  auto failed = Pipe::make();
  if (!failed) return failed.error();
  Fd init;
  if (where.init) {
    init = Fd(pidfd_open(*where.init, 0));
    if (!init) return Error{"cannot enter the node: " + reason(errno)};
  }
  std::vector<std::string> env;
  for (const auto& [name, value] : where.env) env.push_back(fmt::format("{}={}", name, value));
  std::vector<std::string> words = argv;
  Launch plan;
  plan.candidates = search(argv[0], where.env);
  for (auto& word : words) plan.argv.push_back(word.data());
  for (auto& entry : env) plan.env.push_back(entry.data());
  plan.argv.push_back(nullptr);
  plan.env.push_back(nullptr);
  plan.init_fd = init.get();
  plan.stdio = {stdio.in, stdio.out, stdio.err};
  plan.failed = failed->write.get();
  plan.own_group = stdio.own_group;
  plan.dies_with_us = where.dies_with_us;
  plan.parent = getpid();
  const auto pid = launch(plan);
  if (!pid) return pid.error();
  failed->write = Fd();

  Process process(std::make_unique<Child>(*pid, Fd(pidfd_open(*pid, 0)), stdio.own_group));
  Failure failure{};
  if (read(failed->read.get(), &failure, sizeof failure) == sizeof failure) {
    process.child_->reap(0);
    return Error{fmt::format(
        "{}: {}", failure.place == Failure::Place::enter ? "cannot enter the node" : argv[0],
        failure.error == ENOENT ? "no such command" : reason(failure.error))};
  }
  return process;
}

Result<Process> Process::spawn(const Argv& argv, const Surroundings& where,
                               const std::filesystem::path& log) {
  const Fd input(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::string path = log.empty() ? "/dev/null" : log.string();
  const Fd output(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (!input || !output) return Error{path + ": " + reason(errno)};
  const auto size = log.empty() ? 0 : lseek(output.get(), 0, SEEK_END);
  auto process = start(argv, where, {input.get(), output.get(), output.get(), true});
  if (process) {
    process->log_ = log;
    process->log_start_ = static_cast<std::size_t>(size);
  }
  return process;
}

Result<Process> Process::attached(const Argv& argv, const Surroundings& where) {
  return start(argv, where, {-1, -1, -1, false});
}

Process::Process(std::unique_ptr<Child> child) : child_(std::move(child)) {}

Process::Process(Process&& other) noexcept = default;

Process& Process::operator=(Process&& other) noexcept {
  std::swap(child_, other.child_);
  std::swap(log_, other.log_);
  std::swap(log_start_, other.log_start_);
  return *this;
}

Process::~Process() {
  if (!child_ || !running()) return;
  signal(SIGKILL);
  child_->reap(0);
}

pid_t Process::pid() const {
  return child_->pid;
}

bool Process::running() {
  return !child_->reap(WNOHANG);
}

void Process::signal(int number) const {
  if (child_->reap(WNOHANG)) return;
  if (child_->own_group && kill(-child_->pid, number) == 0) return;
  pidfd_send_signal(child_->pidfd.get(), number, nullptr, 0);
}

std::optional<int> Process::wait(milliseconds deadline) {
  const Time end = Clock::now() + deadline;
  while (!child_->reap(WNOHANG)) {
    pollfd ended{child_->pidfd.get(), POLLIN, 0};
    const int count = poll(&ended, 1, remaining(end));
    if (count == 0 || (count < 0 && errno != EINTR)) return {};
  }
  return child_->status;
}

std::string Process::output() const {
  std::ifstream in(log_, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(log_start_));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Result<Output> run(const Argv& argv, const Surroundings& where, milliseconds deadline,
                   const std::string& input) {
  const Time end = Clock::now() + deadline;
  auto in = Pipe::make();
  auto out = Pipe::make();
  auto err = Pipe::make();
  if (!in || !out || !err) return Error{"pipe: " + reason(errno)};
  auto process =
      Process::start(argv, where, {in->read.get(), out->write.get(), err->write.get(), true});
  if (!process) return process.error();
  in->read = Fd();
  out->write = Fd();
  err->write = Fd();
  for (const Fd* fd : {&in->write, &out->read, &err->read}) {
    fcntl(fd->get(), F_SETFL, O_NONBLOCK);  // NOLINT(cppcoreguidelines-pro-type-vararg)
  }
  Output result;
  std::size_t written = 0;
  const auto feed = [&] {
    if (written == input.size()) {
      in->write = Fd();
      return;
    }
    const auto size = write(in->write.get(), input.data() + written, input.size() - written);
    if (size >= 0) {
      written += static_cast<std::size_t>(size);
    } else if (errno != EAGAIN && errno != EINTR) {
      written = input.size();
    }
  };
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;  // NOLINT(cppcoreguidelines-pro-type-union-access)
  sigaction(SIGPIPE, &ignore, &before);
  for (bool ended = false; !ended;) {
    if (in->write) feed();
    std::array<pollfd, 4> fds{
        pollfd{process->child_->pidfd.get(), POLLIN, 0}, pollfd{out->read.get(), POLLIN, 0},
        pollfd{err->read.get(), POLLIN, 0}, pollfd{in->write.get(), POLLOUT, 0}};
    const int count = poll(fds.data(), fds.size(), remaining(end));
    if (count == 0) {
      result.timed_out = true;
      process->signal(SIGKILL);
      process->child_->reap(0);
      break;
    }
    // What a daemon it left behind still holds open must not keep us: the end of the process is the
    // end.
    ended = fds[0].revents != 0;
    if (fds[1].revents != 0 && !drain(out->read, result.out)) out->read = Fd();
    if (fds[2].revents != 0 && !drain(err->read, result.err)) err->read = Fd();
  }
  sigaction(SIGPIPE, &before, nullptr);
  for (auto size = result.out.size(); out->read && drain(out->read, result.out);) {
    if (std::exchange(size, result.out.size()) == result.out.size()) break;
  }
  for (auto size = result.err.size(); err->read && drain(err->read, result.err);) {
    if (std::exchange(size, result.err.size()) == result.err.size()) break;
  }
  result.exit = process->wait(milliseconds(0)).value_or(128 + SIGKILL);
  return result;
}

}  // namespace weft::lab
