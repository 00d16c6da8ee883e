// ShellCommand: one run of /bin/sh -c in a process group of its own, which is killed as a whole
// when this goes while it runs. Its standard input is empty. Not here: how often it is to run, and
// what its exit status means.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "net/fd.h"
#include "net/result.h"
#include "net/time.h"

namespace weft {

class ShellCommand {
 public:
  /// Where what it writes goes.
  enum class Output { inherited, discarded };

  /// Errors: no more processes or descriptors.
  static Result<ShellCommand> start(const std::string& command, Output output);
  ShellCommand(ShellCommand&&) = default;
  ShellCommand& operator=(ShellCommand&&) = delete;
  ~ShellCommand();

  /// Readable once the shell has ended (a pidfd).
  [[nodiscard]] int fd() const { return process_.get(); }
  /// None: it runs. Else whether it exited with status 0. Never waits.
  [[nodiscard]] std::optional<bool> ended();
  /// The shell and what it began in its group. One that waits for the kernel ends later.
  void kill();

 private:
  ShellCommand(pid_t group, Fd process) : group_(group), process_(std::move(process)) {}

  pid_t group_;
  Fd process_;
  std::optional<bool> succeeded_;
};

/// Waits for a run, which inherits standard output and error, `limit` at most; one that takes
/// longer is killed and has failed. A signal to this process ends the wait the same way.
bool succeeds(const std::string& command, Clock::duration limit);

}  // namespace weft
