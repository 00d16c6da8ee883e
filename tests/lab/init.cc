#include "tests/lab/init.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "net/time.h"
#include "tests/lab/pidfd.h"

namespace weft::lab {
namespace {

namespace fs = std::filesystem;

/// Longest message between init and us: an argv with its environment, or an error.
constexpr std::size_t message_limit = 256UL * 1024;
constexpr milliseconds build_deadline{30'000};
constexpr milliseconds kill_deadline{30'000};

std::string reason(int error = errno) {
  return std::generic_category().message(error);
}

struct Owner {
  uid_t user = 0;
  gid_t group = 0;
};

Owner owner_of(const std::string& user) {
  const passwd* entry = getpwnam(user.c_str());  // NOLINT(concurrency-mt-unsafe)
  return entry != nullptr ? Owner{entry->pw_uid, entry->pw_gid} : Owner{};
}

// --- before the fork: the node's disk

/// Makes `path` in the overlay's upper folder; what this machine has there is hidden, parents look
/// as they do here.
Result<void> hide(const fs::path& upper, const Folder& folder) {
  fs::path made = upper;
  fs::path here = "/";
  std::error_code error;
  for (const fs::path& part : fs::path(folder.path).relative_path()) {
    made /= part;
    here /= part;
    if (fs::exists(made, error)) continue;
    struct stat like {};
    const bool exists = stat(here.c_str(), &like) == 0;
    if (mkdir(made.c_str(), 0755) != 0 ||
        chmod(made.c_str(), exists ? like.st_mode & 07777 : 0755) != 0 ||
        chown(made.c_str(), like.st_uid, like.st_gid) != 0) {
      return Error{fmt::format("{}: {}", made.string(), reason())};
    }
  }
  const Owner owner = owner_of(folder.user);
  if (setxattr(made.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0 ||
      chown(made.c_str(), owner.user, owner.group) != 0 || chmod(made.c_str(), folder.mode) != 0) {
    return Error{fmt::format("{}: {}", made.string(), reason())};
  }
  for (const fs::path& seed : folder.seeds) {
    const fs::path copy = made / seed.filename();
    if (!fs::copy_file(seed, copy, error)) continue;
    if (chown(copy.c_str(), owner.user, owner.group) != 0) {
      return Error{fmt::format("{}: {}", copy.string(), reason())};
    }
  }
  return {};
}

Result<void> make_disk(const InitPlan& plan) {
  const bool first = !fs::exists(plan.folder / "upper");
  std::error_code error;
  for (const char* part : {"upper", "work", "root"})
    fs::create_directories(plan.folder / part, error);
  if (!first) return {};
  chmod((plan.folder / "upper").c_str(), 0755);
  for (const Folder& folder : plan.folders) {
    if (auto done = hide(plan.folder / "upper", folder); !done) return done;
  }
  if (auto done = hide(plan.folder / "upper", {"/etc/netns", "root", 0755, {}}); !done) return done;
  std::ofstream(plan.folder / "upper/etc/hostname") << plan.hostname << '\n';
  std::ofstream(plan.folder / "upper/etc/hosts")
      << "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 " << plan.hostname << '\n';
  return {};
}

/// Mount points of other file systems with files an operator would look for; kernel interfaces,
/// /run and /tmp are not.
std::vector<std::string> foreign_mounts() {
  static constexpr std::array<std::string_view, 5> own{"/proc", "/sys", "/dev", "/run", "/tmp"};
  std::ifstream mounts("/proc/self/mountinfo");
  std::vector<std::string> found;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string path;
    for (int i = 0; i < 5; ++i) fields >> path;
    const bool skip = path == "/" || path.find('\\') != std::string::npos ||
                      std::any_of(own.begin(), own.end(), [&](std::string_view prefix) {
                        return path == prefix || path.rfind(std::string(prefix) + "/", 0) == 0;
                      });
    const bool inside = std::any_of(found.begin(), found.end(), [&](const std::string& parent) {
      return path == parent || path.rfind(parent + "/", 0) == 0;
    });
    if (!skip && !inside) found.push_back(path);
  }
  return found;
}

// --- after it: process 1. It may only fail by telling why and ending.

class Pid1 {
 public:
  Pid1(const InitPlan& plan, int control, std::vector<std::string> foreign)
      : plan_(plan), control_(control), foreign_(std::move(foreign)) {}

  [[noreturn]] void live() {
    prctl(PR_SET_NAME, "lab-init");
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    umask(022);
    // Among what we got from our parent is its end of `control`, whose closing must tell us of its
    // death.
    const auto mine = static_cast<unsigned>(control_);
    if (mine > 3) close_range(3, mine - 1, 0);
    close_range(mine + 1, ~0U, 0);
    std::array<char, 1> go{};
    // Nothing to read: whoever made us died before we were on record.
    if (recv(control_, go.data(), go.size(), 0) != 1) _exit(1);
    const std::string failed = build();
    if (!failed.empty()) tell(failed);
    if (!failed.empty()) _exit(1);
    tell("ok");
    serve();
  }

 private:
  void tell(const std::string& message) const {
    [[maybe_unused]] const auto sent = send(control_, message.data(), message.size(), MSG_NOSIGNAL);
  }

  std::string because(const std::string& what) const { return what + ": " + reason(); }

  /// Empty, or what failed.
  std::string build() {
    folder_ = Fd(open(plan_.folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const Fd log(
        open((plan_.folder / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    const Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    dup2(null.get(), 0);
    dup2(log.get(), 1);
    dup2(log.get(), 2);
    setsid();
    if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return because("private mounts");
    if (sethostname(plan_.hostname.data(), plan_.hostname.size()) != 0) return because("hostname");
    std::string failed = take_clones();
    if (failed.empty()) failed = enter_root();
    if (failed.empty()) failed = mount_own();
    if (failed.empty()) failed = place_clones();
    return failed;
  }

  struct Clone {
    Fd tree;
    std::string target;
    bool required = true;
  };

  std::string clone(const std::string& from, const std::string& to, bool read_only, bool required) {
    Fd tree(open_tree(AT_FDCWD, from.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (!tree) return required ? because("bind of " + from) : "";
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (read_only && mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                                   sizeof attributes) != 0) {
      return because("read-only bind of " + from);
    }
    clones_.push_back({std::move(tree), to, required});
    return "";
  }

  /// Taken while this machine's files are still in sight; placed when only the node's are.
  std::string take_clones() {
    std::string failed = clone("/dev", "/dev", false, true);
    clone("/sys/fs/cgroup", "/sys/fs/cgroup", false, false);
    for (const std::string& path : foreign_) clone(path, path, true, false);
    // Parents before what is bound inside them.
    std::vector<Bind> binds = plan_.binds;
    std::stable_sort(binds.begin(), binds.end(),
                     [](const Bind& a, const Bind& b) { return a.inside < b.inside; });
    for (const Bind& bind : binds) {
      if (failed.empty()) failed = clone(bind.host.string(), bind.inside, bind.read_only, true);
    }
    return failed;
  }

  std::string enter_root() const {
    const std::string folder = plan_.folder.string();
    const std::string root = folder + "/root";
    const std::string layers =
        fmt::format("lowerdir=/,upperdir={}/upper,workdir={}/work", folder, folder);
    if (mount("overlay", root.c_str(), "overlay", 0, layers.c_str()) != 0)
      return because("overlay");
    if (chdir(root.c_str()) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
        umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
      return because("pivot_root");
    }
    return "";
  }

  std::string mount_own() const {
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
      return because("/proc");
    }
    if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
      return because("/sys");
    }
    std::vector<std::pair<std::string, std::string>> own{{"/run", "mode=0755"},
                                                         {"/tmp", "mode=1777"}};
    for (const std::string& path : plan_.tmpfs) own.emplace_back(path, "mode=0755");
    for (const auto& [path, options] : own) {
      std::error_code error;
      fs::create_directories(path, error);
      if (mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
        return because(path);
      }
    }
    std::vector<Folder> folders = plan_.run_folders;
    folders.push_back({"/run/netns", "root", 0755, {}});
    folders.push_back({"/run/lock", "root", 01777, {}});
    for (const Folder& folder : folders) {
      const Owner owner = owner_of(folder.user);
      if (mkdir(folder.path.c_str(), 0755) != 0 || chmod(folder.path.c_str(), folder.mode) != 0 ||
          chown(folder.path.c_str(), owner.user, owner.group) != 0) {
        return because(folder.path);
      }
    }
    return "";
  }

  std::string place_clones() {
    for (const Clone& one : clones_) {
      struct stat kind {};
      std::error_code error;
      fstat(one.tree.get(), &kind);
      if (S_ISDIR(kind.st_mode)) {
        fs::create_directories(one.target, error);
      } else {
        fs::create_directories(fs::path(one.target).parent_path(), error);
        const Fd made(open(one.target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
      }
      if (move_mount(one.tree.get(), "", AT_FDCWD, one.target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) !=
              0 &&
          one.required) {
        return because("bind to " + one.target);
      }
    }
    clones_.clear();
    if (mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0 &&
        errno != ENOENT) {
      return because("/dev/shm");
    }
    return "";
  }

  [[noreturn]] void serve() {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    const Fd signals(signalfd(-1, &children, SFD_CLOEXEC));
    bool listening = true;
    for (;;) {
      std::array<pollfd, 2> fds{pollfd{signals.get(), POLLIN, 0},
                                pollfd{listening ? control_ : -1, POLLIN, 0}};
      if (poll(fds.data(), fds.size(), -1) < 0) continue;
      if (fds[0].revents != 0) reap(signals.get());
      if (fds[1].revents != 0) listening = start_main();
    }
  }

  void reap(int signals) {
    std::array<signalfd_siginfo, 8> taken{};
    [[maybe_unused]] const auto size = read(signals, taken.data(), sizeof taken);
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != main_) continue;
      const std::string text =
          fmt::format("{}\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
      const Fd file(openat(folder_.get(), "main", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
      [[maybe_unused]] const auto written = write(file.get(), text.data(), text.size());
    }
  }

  /// The message is the number of words of argv, those, then the environment, each ended by a NUL.
  /// False: there will be no other.
  bool start_main() {
    std::string message(message_limit, '\0');
    const auto size = recv(control_, message.data(), message.size(), 0);
    if (size <= 0) {
      close(control_);
      return false;
    }
    message.resize(static_cast<std::size_t>(size));
    std::size_t words = std::strtoul(message.c_str(), nullptr, 10);
    std::vector<char*> argv;
    std::vector<char*> env;
    for (std::size_t at = std::strlen(message.c_str()) + 1; at < message.size();
         at += std::strlen(&message[at]) + 1) {
      (words > 0 ? argv : env).push_back(&message[at]);
      if (words > 0) --words;
    }
    argv.push_back(nullptr);
    env.push_back(nullptr);
    main_ = fork();
    if (main_ == 0) {
      setsid();
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      close_range(3, ~0U, 0);
      environ = env.data();
      execvp(argv[0], argv.data());
      const std::string error = fmt::format("{}: {}\n", argv[0], reason());
      [[maybe_unused]] const auto written = write(2, error.data(), error.size());
      _exit(127);
    }
    return true;
  }

  const InitPlan& plan_;
  int control_;
  std::vector<std::string> foreign_;
  Fd folder_;
  std::vector<Clone> clones_;
  pid_t main_ = -1;
};

/// The fork in between is of a single thread, so that unshare may be asked for a PID namespace;
/// CLONE_PARENT makes the init our own child all the same.
Result<pid_t> fork_init(const InitPlan& plan, int control) {
  const std::vector<std::string> foreign = foreign_mounts();
  const std::string netns = "/run/netns/" + plan.netns;
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Error{"pipe: " + reason()};
  const Fd told(ends[0]);
  Fd tell(ends[1]);
  const pid_t between = fork();
  if (between == 0) {
    std::array<pid_t, 2> answer{-1, 0};
    const Fd net(open(netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (net && setns(net.get(), CLONE_NEWNET) == 0) {
      const long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_PARENT | SIGCHLD;
      answer[0] = static_cast<pid_t>(syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr));
      if (answer[0] == 0) Pid1(plan, control, foreign).live();
    }
    answer[1] = errno;
    [[maybe_unused]] const auto written = write(tell.get(), answer.data(), sizeof answer);
    _exit(0);
  }
  tell = Fd();
  std::array<pid_t, 2> answer{-1, 0};
  if (between > 0) {
    [[maybe_unused]] const auto size = read(told.get(), answer.data(), sizeof answer);
    waitpid(between, nullptr, 0);
  }
  if (answer[0] < 0) return Error{"namespaces: " + reason(answer[1])};
  return answer[0];
}

/// Field 22 of proc(5)'s stat: with the pid it names one process for ever.
std::optional<std::string> start_time(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(in, line)) return {};
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) {
    fields >> field;
    if (i == 3 && (field == "Z" || field == "X")) return {};
  }
  return field;
}

}  // namespace

Result<Init> Init::start(const InitPlan& plan) {
  if (auto disk = make_disk(plan); !disk) return disk.error();
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Error{"socketpair: " + reason()};
  }
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  std::error_code none;
  fs::remove(plan.folder / "main", none);
  const auto pid = fork_init(plan, theirs.get());
  if (!pid) return pid.error();
  theirs = Fd();
  std::ofstream(plan.folder / "init") << *pid << ' ' << start_time(*pid).value_or("?") << '\n';
  Init init(*pid, std::move(ours));
  std::string answer(4096, '\0');
  pollfd readable{init.control_.get(), POLLIN, 0};
  if (send(init.control_.get(), "g", 1, MSG_NOSIGNAL) != 1 ||
      poll(&readable, 1, static_cast<int>(build_deadline.count())) != 1) {
    return Error{"its first process does not answer"};
  }
  const auto size = recv(init.control_.get(), answer.data(), answer.size(), 0);
  answer.resize(static_cast<std::size_t>(std::max(size, 0L)));
  if (answer != "ok") return Error{answer.empty() ? "its first process ended" : answer};
  return init;
}

Result<void> Init::run_main(const Argv& argv, const Environment& env) {
  std::string message = std::to_string(argv.size());
  message.push_back('\0');
  for (const std::string& word : argv) message.append(word).push_back('\0');
  for (const auto& [name, value] : env) {
    message.append(name).append("=").append(value).push_back('\0');
  }
  if (message.size() > message_limit ||
      send(control_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
    return Error{"the main process cannot be started: " + reason()};
  }
  control_ = Fd();
  return {};
}

std::optional<pid_t> recorded_init(const fs::path& folder) {
  std::ifstream in(folder / "init");
  pid_t pid = 0;
  std::string started;
  if (!(in >> pid >> started) || pid <= 1 || start_time(pid) != started) return {};
  return pid;
}

Result<void> kill_init(const fs::path& folder) {
  const auto pid = recorded_init(folder);
  if (!pid) return {};
  const Fd process(pidfd_open(*pid, 0));
  if (process && recorded_init(folder) == pid) {
    pidfd_send_signal(process.get(), SIGKILL, nullptr, 0);
    pollfd ended{process.get(), POLLIN, 0};
    const Time end = Clock::now() + kill_deadline;
    while (poll(&ended, 1, 20) == 0) {
      if (Clock::now() >= end) return Error{fmt::format("process {} does not die", *pid)};
      reap_children();
    }
    waitpid(*pid, nullptr, WNOHANG);
  }
  std::error_code none;
  fs::remove(folder / "init", none);
  return {};
}

}  // namespace weft::lab
