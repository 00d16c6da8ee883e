// Process: a child of ours, on this machine or inside the namespaces of a node, with its output
// kept and a deadline on every wait. Not here: what namespaces are made of (see init.h).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/result.h"

namespace weft::lab {

using std::chrono::milliseconds;
using Argv = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

/// Most that is kept of each of stdout and stderr of one run; the rest is dropped.
inline constexpr std::size_t output_limit = 64UL * 1024 * 1024;

struct Output {
  /// Exit status; 128 + signal when killed by one.
  int exit = 0;
  std::string out;
  std::string err;
  bool timed_out = false;

  /// Ended in time with status 0.
  [[nodiscard]] bool ok() const { return exit == 0 && !timed_out; }
  /// All of it in one text, for messages.
  [[nodiscard]] std::string text() const;
};

/// Where and how a command runs.
struct Surroundings {
  /// Init of the PID namespace whose network, mount, PID and UTS namespaces to enter; none: stay
  /// here.
  std::optional<pid_t> init;
  /// All of the environment; PATH is where argv[0] is looked for.
  Environment env;
  /// Killed when the thread that started it ends: for steps of our own that must not outlive us.
  bool dies_with_us = false;
};

/// PATH and what sanitizers read, from our own environment.
Environment inherited_environment();

class Process {
 public:
  /// Output goes to the file `log` (appended; empty: /dev/null), input is empty.
  static Result<Process> spawn(const Argv& argv, const Surroundings& where,
                               const std::filesystem::path& log);
  /// Shares our terminal or pipes.
  static Result<Process> attached(const Argv& argv, const Surroundings& where);

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  /// Kills it if it still runs.
  ~Process();

  /// As this side of the PID namespace sees it.
  [[nodiscard]] pid_t pid() const;
  [[nodiscard]] bool running();
  /// To the process and its group, as far as it left the group alone.
  void signal(int number) const;
  /// Exit status (128 + signal) once it has ended; none when the deadline passed first.
  std::optional<int> wait(milliseconds deadline);
  /// All it wrote so far; empty for attached().
  [[nodiscard]] std::string output() const;

 private:
  friend Result<Output> run(const Argv&, const Surroundings&, milliseconds, const std::string&);
  struct Stdio;
  static Result<Process> start(const Argv& argv, const Surroundings& where, const Stdio& stdio);
  struct Child;
  friend void reap_children();
  explicit Process(std::unique_ptr<Child> child);

  /// Stays put: reap_children() knows where it is.
  std::unique_ptr<Child> child_;
  std::filesystem::path log_;
  std::size_t log_start_ = 0;
};

/// Takes note of every child that has ended. The init of a PID namespace cannot end before the
/// parents of all that died in it have done so, and a parent may be us.
void reap_children();

/// Runs to its end with `input` on stdin; at the deadline it is killed and timed_out set. Error:
/// could not be started.
Result<Output> run(const Argv& argv, const Surroundings& where, milliseconds deadline,
                   const std::string& input = {});

}  // namespace weft::lab
