// Lab: a containerlab topology brought up on this machine without Docker. A node is a network,
// mount, PID and UTS namespace over a copy-on-write view of this machine's files, with its binds as
// real bind mounts; an image name stands for the software Debian installed. Needs root. Everything
// a lab makes is named after it and noted in /run/weft-lab/<name> before it is made, so that down()
// works after a crash at any point.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "net/result.h"
#include "net/time.h"
#include "tests/lab/process.h"
#include "tests/lab/topology.h"

namespace weft::lab {

/// How long a command of a node may take when nothing else is said.
inline constexpr milliseconds command_deadline{30'000};

struct Options {
  /// Replaces the topology's name. Empty: the topology's, made unique by pid and a counter when
  /// `owned`.
  std::string name;
  /// Folder of weftd, weftctl and weft-cni. Empty: $WEFT_BIN_DIR, the folder of this program, or
  /// what is installed.
  std::filesystem::path bin_dir;
  /// Torn down with the Lab object, and by the next up() if this process dies before. False: stays
  /// until down().
  bool owned = true;
};

struct RunOptions {
  milliseconds deadline = command_deadline;
  std::string input;
  Environment env;
};

enum class NodeState : std::uint8_t { running, exited, stopped };

class Lab;

class Node {
 public:
  [[nodiscard]] const NodeSpec& spec() const { return spec_; }
  [[nodiscard]] const std::string& name() const { return spec_.name; }
  /// Name of its network namespace in /run/netns.
  [[nodiscard]] const std::string& netns() const { return netns_; }
  /// Init of its PID namespace; none while it is stopped.
  [[nodiscard]] std::optional<pid_t> init() const;
  /// `exited`: what the image or `cmd` runs has ended with a status other than 0, or was killed.
  [[nodiscard]] NodeState state() const;
  /// Status of the main process once it has ended.
  [[nodiscard]] std::optional<int> main_exit() const;
  /// Interfaces of the lab's links.
  [[nodiscard]] const std::vector<std::string>& interfaces() const { return interfaces_; }

  /// Runs a command inside to its end. Error: the node is stopped or the command is not there.
  [[nodiscard]] Result<Output> run(const Argv& argv, const RunOptions& options = {}) const;
  /// Starts one in the background; its output is kept apart. It dies with the Process object or the
  /// node.
  [[nodiscard]] Result<Process> spawn(const Argv& argv, const Environment& env = {}) const;
  /// With our own stdin, stdout and stderr.
  [[nodiscard]] Result<Process> attached(const Argv& argv) const;
  /// What its main process and its exec lines wrote.
  [[nodiscard]] std::string log() const;

 private:
  friend class Lab;
  [[nodiscard]] Result<Surroundings> inside(const Environment& env) const;

  NodeSpec spec_;
  std::string netns_;
  /// /run/weft-lab/<lab>/nodes/<node>
  std::filesystem::path folder_;
  std::vector<std::string> interfaces_;
};

class Lab {
 public:
  /// Error: what went wrong and the logs of the nodes; nothing is left behind then.
  static Result<Lab> up(const std::filesystem::path& file, const Options& options = {});
  /// A lab that some other process brought up; not owned.
  static Result<Lab> attach(const std::string& name);
  /// Removes all of lab `name`, whatever state it is in.
  static Result<void> down(const std::string& name);
  /// Names of all labs of this machine.
  static std::vector<std::string> all();

  Lab(Lab&& other) noexcept;
  Lab& operator=(Lab&& other) noexcept;
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;
  ~Lab();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Topology& topology() const { return topology_; }
  /// exec lines that failed, with what they said. They do not stop a lab, as in containerlab.
  [[nodiscard]] const std::vector<std::string>& failed_exec() const { return failed_exec_; }

  /// Asserts that there is one of that name; find() asks.
  [[nodiscard]] const Node& node(const std::string& name) const;
  [[nodiscard]] const Node* find(const std::string& name) const;
  [[nodiscard]] const std::map<std::string, Node>& nodes() const { return nodes_; }

  Result<void> link_down(const std::string& node, const std::string& interface) const;
  Result<void> link_up(const std::string& node, const std::string& interface) const;

  /// The machine loses power: its processes are killed at once, all its kernel state is gone, the
  /// other ends of its links lose carrier. Its disk (everything but /run and /tmp) stays.
  Result<void> stop(const std::string& node);
  /// The machine boots: sysctls, links with their addresses, main process, exec lines.
  Result<void> start(const std::string& node);

  /// The last lines of every node's log, for a failed test to print.
  [[nodiscard]] std::string logs() const;

  Result<void> down();
  /// Leaves the lab up when this object goes.
  void keep() { owned_ = false; }

 private:
  Lab() = default;
  /// The nodes of the topology as objects; makes nothing.
  void furnish();
  Result<void> build();
  Result<void> boot(const Node& node);
  void run_exec(const Node& node);
  Result<void> wire();

  std::string name_;
  std::filesystem::path folder_;
  std::filesystem::path bin_dir_;
  Topology topology_;
  std::map<std::string, Node> nodes_;
  std::vector<std::string> failed_exec_;
  bool owned_ = false;
};

/// Asks `condition` again and again until it is true (returns true) or the deadline has passed
/// (returns false).
template <typename Condition>
bool wait_until(Condition&& condition, milliseconds deadline,
                milliseconds interval = milliseconds(20)) {
  const Time end = Clock::now() + deadline;
  for (;;) {
    if (condition()) return true;
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(interval);
  }
}

}  // namespace weft::lab
