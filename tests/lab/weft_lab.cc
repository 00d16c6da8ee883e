// weft-lab: containerlab topologies in network namespaces, from the command line.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <climits>
#include <cstdio>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

namespace weft::lab {
namespace {

namespace fs = std::filesystem;

enum Exit : int { done = 0, failed = 1, usage = 2, exec_failed = 3 };

int complain(const Error& error) {
  fmt::print(stderr, "weft-lab: {}\n", error.message);
  return failed;
}

/// What a user calls a lab: its name, or the topology it came from.
Result<std::string> lab_name(const std::string& reference) {
  const auto names = Lab::all();
  if (std::find(names.begin(), names.end(), reference) != names.end()) return reference;
  std::error_code none;
  if (!fs::exists(reference, none)) {
    return Error{fmt::format("there is no lab and no file {}, up are: {}", reference,
                             fmt::join(names, ", "))};
  }
  const auto file = find_file(reference);
  if (!file) return file.error();
  const auto topology = load(*file);
  if (!topology) return topology.error();
  return topology->name;
}

/// Without a name: the only lab that is up.
Result<Lab> open_lab(const std::string& reference) {
  if (!reference.empty()) {
    const auto name = lab_name(reference);
    if (!name) return name.error();
    return Lab::attach(*name);
  }
  const auto names = Lab::all();
  if (names.size() == 1) return Lab::attach(names.front());
  return Error{names.empty() ? "no lab is up"
                             : fmt::format("several labs are up, name one with --lab: {}",
                                           fmt::join(names, ", "))};
}

int up(const std::string& file, const std::string& name, const std::string& bin_dir) {
  auto lab = Lab::up(file, {name, bin_dir, false});
  if (!lab) return complain(lab.error());
  for (const std::string& note : lab->topology().notes) fmt::print(stderr, "note: {}\n", note);
  for (const std::string& fault : lab->failed_exec())
    fmt::print(stderr, "exec failed: {}\n", fault);
  fmt::print("lab {} is up: {} nodes, {} links; weft-lab exec --lab {} NODE COMMAND\n", lab->name(),
             lab->nodes().size(), lab->topology().links.size(), lab->name());
  return lab->failed_exec().empty() ? done : exec_failed;
}

int down(const std::string& reference) {
  const auto name = lab_name(reference);
  if (!name) return complain(name.error());
  const auto gone = Lab::down(*name);
  return gone ? static_cast<int>(done) : complain(gone.error());
}

Result<Lab> lab_with(const std::string& reference, const std::string& node) {
  auto lab = open_lab(reference);
  if (!lab) return lab;
  if (lab->find(node) != nullptr) return lab;
  std::vector<std::string> names;
  for (const auto& [name, one] : lab->nodes()) names.push_back(name);
  return Error{
      fmt::format("lab {} has no node {}, it has: {}", lab->name(), node, fmt::join(names, ", "))};
}

int exec(const std::string& reference, const std::string& node, const Argv& argv) {
  const auto lab = lab_with(reference, node);
  if (!lab) return complain(lab.error());
  auto process = lab->node(node).attached(argv);
  if (!process) return complain(process.error());
  for (;;) {
    if (const auto status = process->wait(milliseconds(INT_MAX))) return *status;
  }
}

int change(const std::string& reference, const std::string& node, bool start) {
  auto lab = lab_with(reference, node);
  if (!lab) return complain(lab.error());
  const auto changed = start ? lab->start(node) : lab->stop(node);
  if (!changed) return complain(changed.error());
  for (const std::string& fault : lab->failed_exec())
    fmt::print(stderr, "exec failed: {}\n", fault);
  return lab->failed_exec().empty() ? done : exec_failed;
}

using Row = std::vector<std::string>;

void print_table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i + 1 < row.size(); ++i)
      line += fmt::format("{:<{}}  ", row[i], widths[i]);
    fmt::print("{}{}\n", line, row.back());
  }
}

std::string state_of(const Node& node) {
  if (node.state() == NodeState::stopped) return "stopped";
  if (node.state() == NodeState::running) return "running";
  return fmt::format("exited {}", node.main_exit().value_or(0));
}

/// "eth1 10.0.0.1/31 fd00::/127 up", one entry an interface of the lab.
std::vector<std::string> interfaces_of(const Node& node) {
  std::vector<std::string> found;
  Surroundings here;
  here.env = inherited_environment();
  for (const std::string& interface : node.interfaces()) {
    const auto output = run({"ip", "-n", node.netns(), "-br", "addr", "show", "dev", interface},
                            here, command_deadline);
    std::istringstream fields(output ? output->out : "");
    std::string state;
    std::string address;
    fields >> state >> state;
    std::transform(state.begin(), state.end(), state.begin(), ::tolower);
    std::string text = interface + " " + (state.empty() ? "gone" : state);
    while (fields >> address) {
      if (address.rfind("fe80:", 0) != 0 && address.find('/') != std::string::npos)
        text += " " + address;
    }
    found.push_back(text);
  }
  return found;
}

int inspect(const std::string& reference) {
  std::vector<std::string> names = Lab::all();
  if (!reference.empty()) {
    const auto name = lab_name(reference);
    if (!name) return complain(name.error());
    names = {*name};
  }
  if (names.empty()) fmt::print("no lab is up\n");
  std::vector<Row> rows{{"LAB", "NODE", "IMAGE", "PID", "STATE", "INTERFACES"}};
  for (const std::string& name : names) {
    const auto lab = Lab::attach(name);
    if (!lab) {
      if (!reference.empty()) return complain(lab.error());
      rows.push_back({name, "-", "-", "-", "half up", "weft-lab down " + name});
      continue;
    }
    for (const auto& [node_name, node] : lab->nodes()) {
      const auto pid = node.init();
      auto interfaces = interfaces_of(node);
      if (interfaces.empty()) interfaces.emplace_back();
      rows.push_back({name, node_name, node.spec().image, pid ? std::to_string(*pid) : "-",
                      state_of(node), interfaces.front()});
      for (std::size_t i = 1; i < interfaces.size(); ++i) {
        rows.push_back({"", "", "", "", "", interfaces[i]});
      }
    }
  }
  if (rows.size() > 1) print_table(rows);
  return done;
}

int logs(const std::string& reference, const std::string& node) {
  const auto lab = lab_with(reference, node);
  if (!lab) return complain(lab.error());
  fmt::print("{}", lab->node(node).log());
  return done;
}

int check_lab(const std::string& reference) {
  auto lab = open_lab(reference);
  if (!lab) return complain(lab.error());
  const auto steps = load_steps(steps_file(lab->topology()));
  if (!steps) return complain(steps.error());
  const auto checked = check(*lab, *steps, [](const Step& step, milliseconds took) {
    fmt::print("ok    {} ({:.1f} s)\n", step.name, static_cast<double>(took.count()) / 1000.0);
  });
  if (checked) return done;
  fmt::print("FAIL  {}\n", checked.error().message);
  return failed;
}

int dispatch(int argc, char** argv) {
  CLI::App app{"Brings containerlab topologies up in namespaces of this machine, without Docker"};
  app.require_subcommand(1);
  app.footer(
      "exit status: 0 done, 1 failed, 2 wrong use, 3 up but an exec line failed; exec: the "
      "command's");
  std::string file;
  std::string name;
  std::string bin_dir;
  std::string lab;
  std::string node;
  Argv command;
  CLI::App* to_up = app.add_subcommand("up", "Bring a topology up");
  to_up->add_option("FILE", file, "*.clab.yml, or a folder with one")->required();
  to_up->add_option("--name", name, "instead of the topology's name");
  to_up->add_option("--bin-dir", bin_dir, "folder of weftd, weftctl, weft-cni and weft-ipam");
  CLI::App* to_down = app.add_subcommand("down", "Remove all of a lab");
  to_down->add_option("LAB", lab, "name or topology file")->required();
  CLI::App* to_exec = app.add_subcommand("exec", "Run a command in a node");
  CLI::App* to_stop = app.add_subcommand("stop", "A node loses power");
  CLI::App* to_start = app.add_subcommand("start", "A stopped node boots");
  CLI::App* to_log = app.add_subcommand("log", "What a node's main process and exec lines wrote");
  for (CLI::App* one : {to_exec, to_stop, to_start, to_log}) {
    one->add_option("--lab", lab, "name or topology file; not needed while one lab is up");
    one->add_option("NODE", node)->required();
  }
  to_exec->add_option("COMMAND", command)->required();
  to_exec->positionals_at_end()->prefix_command();
  CLI::App* to_inspect = app.add_subcommand("inspect", "Show nodes and interfaces");
  to_inspect->add_option("LAB", lab, "name or topology file; without: all labs");
  CLI::App* to_check =
      app.add_subcommand("check", "Wait for what expect.yml beside the topology says");
  to_check->add_option("LAB", lab, "name or topology file; not needed while one lab is up");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? done : usage;
  }
  if (geteuid() != 0) {
    return complain(
        Error{"a lab is made of namespaces, which only root may make: run this as root"});
  }
  if (*to_up) return up(file, name, bin_dir);
  if (*to_down) return down(lab);
  if (*to_exec) return exec(lab, node, command);
  if (*to_stop || *to_start) return change(lab, node, static_cast<bool>(*to_start));
  if (*to_log) return logs(lab, node);
  if (*to_inspect) return inspect(lab);
  return check_lab(lab);
}

}  // namespace
}  // namespace weft::lab

int main(int argc, char** argv) {
  try {
    return weft::lab::dispatch(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "weft-lab: %s\n", e.what());  // NOLINT(cppcoreguidelines-pro-type-vararg)
    return 1;
  }
}
