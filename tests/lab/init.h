// Init: process 1 of a node. It makes the node's view of the files (a copy-on-write overlay over
// this machine's root, with /proc, /sys, /run and /tmp of its own and the binds in place), starts
// the main process, and reaps what is orphaned inside until it is killed, which ends all of the
// node's processes.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/fd.h"
#include "net/result.h"
#include "tests/lab/image.h"
#include "tests/lab/process.h"
#include "tests/lab/topology.h"

namespace weft::lab {

struct InitPlan {
  std::string netns;
  std::string hostname;
  /// The node's folder: init, main and log are written here, upper, work and root belong to the
  /// overlay.
  std::filesystem::path folder;
  std::vector<Folder> folders;
  std::vector<Folder> run_folders;
  std::vector<Bind> binds;
  std::vector<std::string> tmpfs;
};

class Init {
 public:
  /// Returns once the node's files are as planned. Whoever dies half way, the init of a node either
  /// is on record in its folder or ends by itself.
  static Result<Init> start(const InitPlan& plan);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Starts the main process. Its status appears in the folder's `main` once it ends. Once only.
  Result<void> run_main(const Argv& argv, const Environment& env);

 private:
  Init(pid_t pid, Fd control) : pid_(pid), control_(std::move(control)) {}

  pid_t pid_;
  Fd control_;
};

/// The recorded init of a node's folder, if that very process still lives.
std::optional<pid_t> recorded_init(const std::filesystem::path& folder);

/// Kills it and waits until all processes of its namespace are gone.
Result<void> kill_init(const std::filesystem::path& folder);

}  // namespace weft::lab
