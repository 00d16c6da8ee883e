// Two network namespaces joined by a veth pair, and processes in them: what the system tests of BGP
// stand on. Names carry the pid; everything is removed pass or fail. Root only.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "net/fd.h"

namespace weft::system_test {

/// Standard output of a shell command.
inline std::string shell(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  std::array<char, 4096> buffer{};
  for (std::size_t size = 0; (size = std::fread(buffer.data(), 1, buffer.size(), pipe)) != 0;) {
    text.append(buffer.data(), size);
  }
  if (::pclose(pipe) != 0) text += "\n(failed: " + command + ")\n";
  return text;
}

inline void must(const std::string& command) {
  if (const std::string said = shell(command); said.find("(failed: ") != std::string::npos) {
    throw std::runtime_error(said);
  }
}

/// The calling thread lives in another network namespace as long as this does.
class Inside {
 public:
  explicit Inside(const std::string& name)
      : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    const Fd there(::open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC));
    if (!before_ || !there || ::setns(there.get(), CLONE_NEWNET) != 0)
      throw std::runtime_error("setns " + name);
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() { static_cast<void>(::setns(before_.get(), CLONE_NEWNET)); }

 private:
  Fd before_;
};

/// A child in a namespace, or here when that has no name; killed and waited for at the end.
class Process {
 public:
  Process(const std::string& name, const std::vector<std::string>& words, const std::string& log) {
    std::vector<std::string> all;
    if (!name.empty()) all = {"ip", "netns", "exec", name};
    all.insert(all.end(), words.begin(), words.end());
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    std::vector<char*> arguments;
    for (std::string& word : all) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { end(SIGTERM); }

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const {
    if (pid_ > 0) ::kill(pid_, number);
  }
  void end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    int status = 0;
    for (int i = 0; i < 200 && ::waitpid(pid_, &status, WNOHANG) == 0; ++i) ::usleep(10'000);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

/// 192.0.2.1, fd00::1 on `a`; 192.0.2.2, fd00::2 on `b`.
class TwoHosts {
 public:
  TwoHosts() : a("wta" + std::to_string(::getpid())), b("wtb" + std::to_string(::getpid())) {
    directory =
        std::filesystem::temp_directory_path() / ("weft-system-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory);
    std::filesystem::permissions(directory, std::filesystem::perms::all);
    remove();
    for (const std::string& name : {a, b}) {
      must("ip netns add " + name);
      must("ip netns exec " + name +
           " sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0");
      must("ip -n " + name + " link set lo up");
    }
    must("ip link add weft0 netns " + a + " type veth peer name weft0 netns " + b);
    for (const auto& [name, host] : {std::pair{a, "1"}, std::pair{b, "2"}}) {
      must("ip -n " + name + " address add 192.0.2." + host + "/24 dev weft0");
      must("ip -n " + name + " address add fd00::" + host + "/64 dev weft0 nodad");
      must("ip -n " + name + " link set weft0 up");
    }
  }
  TwoHosts(const TwoHosts&) = delete;
  TwoHosts& operator=(const TwoHosts&) = delete;
  ~TwoHosts() {
    remove();
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  std::string write(const std::string& name, const std::string& text) const {
    const auto path = directory / name;
    std::ofstream(path) << text;
    return path.string();
  }

  /// The command line of one of FRR's daemons, which keep all they write in the directory.
  std::vector<std::string> frr(const std::string& daemon, const std::string& config) const {
    return {"/usr/lib/frr/" + daemon,
            "-f",
            write(daemon + ".conf", config),
            "-i",
            (directory / (daemon + ".pid")).string(),
            "-z",
            (directory / "zserv.api").string(),
            "--vty_socket",
            directory.string()};
  }
  /// What it says.
  std::string vtysh(const std::string& command, const std::string& daemon = "bgpd") const {
    return shell("vtysh --vty_socket " + directory.string() + " -d " + daemon + " -c '" + command +
                 "'");
  }

  const std::string a;
  const std::string b;
  std::filesystem::path directory;

 private:
  void remove() const {
    for (const std::string& name : {a, b}) {
      if (std::filesystem::exists("/run/netns/" + name)) shell("ip netns del " + name);
    }
  }
};

/// Takes the place of the link between two hosts: a router that only forwards, and counts each
/// packet down. They keep 192.0.2.1 and 192.0.2.2, fd00::1 and fd00::2, but as addresses of their
/// own, on no common subnet; it is 10.9.1.1 and fd09:1::1 to `a`, 10.9.2.1 and fd09:2::1 to `b`.
class RouterBetween {
 public:
  explicit RouterBetween(const TwoHosts& hosts) : name_(hosts.a + "r") {
    must("ip netns add " + name_);
    must("ip netns exec " + name_ +
         " sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
         "net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0");
    must("ip -n " + hosts.a + " link del weft0");
    join(hosts.a, "1", "2");
    join(hosts.b, "2", "1");
  }
  RouterBetween(const RouterBetween&) = delete;
  RouterBetween& operator=(const RouterBetween&) = delete;
  ~RouterBetween() { shell("ip netns del " + name_); }

  /// Of both families.
  [[nodiscard]] std::string counters() const {
    return shell("ip netns exec " + name_ + " cat /proc/net/snmp /proc/net/snmp6");
  }

 private:
  void join(const std::string& host, const std::string& end, const std::string& other) const {
    must("ip link add weft0 netns " + host + " type veth peer name end" + end + " netns " + name_);
    const std::string four = "10.9." + end + ".";
    const std::string six = "fd09:" + end + "::";
    configure(host, "weft0",
              {"192.0.2." + end + "/32", four + "2/24", "fd00::" + end + "/128", six + "2/64"});
    configure(name_, "end" + end, {four + "1/24", six + "1/64"});
    must("ip -n " + host + " route add 192.0.2." + other + " via " + four + "1 src 192.0.2." + end);
    must("ip -n " + host + " route add fd00::" + other + " via " + six + "1 src fd00::" + end);
    must("ip -n " + name_ + " route add 192.0.2." + end + " via " + four + "2");
    must("ip -n " + name_ + " route add fd00::" + end + " via " + six + "2");
  }
  static void configure(const std::string& host, const std::string& link,
                        const std::vector<std::string>& addresses) {
    for (const std::string& address : addresses)
      must("ip -n " + host + " address add " + address + " dev " + link);
    must("ip -n " + host + " link set " + link + " up");
  }

  std::string name_;
};

}  // namespace weft::system_test
