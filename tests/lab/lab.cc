#include "tests/lab/lab.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "tests/lab/document.h"
#include "tests/lab/image.h"
#include "tests/lab/init.h"
#include "tests/lab/netns.h"

namespace weft::lab {
namespace {

namespace fs = std::filesystem;

/// One folder a lab, each a tmpfs of its own: unmounted, all of it is gone at once.
const fs::path labs_folder = "/run/weft-lab";

constexpr int folder_tries = 100;

/// Lines of a node's log that a message shows.
constexpr std::size_t log_tail = 40;

std::string reason() {
  return std::generic_category().message(errno);
}

Result<void> need_root() {
  if (geteuid() == 0) return {};
  return Error{"a lab is made of namespaces, which only root may make: run this as root"};
}

bool is_name(const std::string& name) {
  return !name.empty() && name.find_first_of("/ \t\n") == std::string::npos && name[0] != '.';
}

std::string slurp(const fs::path& file) {
  auto text = read_text(file);
  return text ? std::move(*text) : std::string();
}

std::string tail(const std::string& text, std::size_t lines) {
  std::size_t at = text.size();
  for (std::size_t i = 0; i <= lines && at != std::string::npos && at > 0; ++i) {
    at = text.rfind('\n', at - 1);
  }
  return at == std::string::npos || at == 0 ? text : text.substr(at + 1);
}

/// containerlab's rule, except that the lab's name is always part of it: labs live side by side.
std::string netns_name(const std::string& prefix, const std::string& lab, const std::string& node) {
  if (prefix.empty() || prefix == lab) return fmt::format("{}-{}", lab, node);
  return fmt::format("{}-{}-{}", prefix, lab, node);
}

/// The name under which a namespace waits to replace another.
std::string next_netns(const std::string& netns) {
  return netns + ".next";
}

/// What Docker's containers find on a host that runs Docker, then what the node says.
Sysctls sysctls_of(const NodeSpec& node) {
  Sysctls all{{"net.ipv4.ip_forward", "1"},
              {"net.ipv4.conf.all.rp_filter", "0"},
              {"net.ipv4.conf.default.rp_filter", "0"},
              {"net.ipv6.conf.all.disable_ipv6", "0"},
              {"net.ipv6.conf.default.disable_ipv6", "0"}};
  for (const auto& [key, value] : node.sysctls) {
    const bool resets = key == "net.ipv4.ip_forward" || key == "net/ipv4/ip_forward";
    all.insert(resets ? all.begin() + 1 : all.end(), {key, value});
  }
  return all;
}

fs::path find_bin_dir(const fs::path& given) {
  if (!given.empty()) return fs::absolute(given);
  const char* named = std::getenv("WEFT_BIN_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (named != nullptr && *named != '\0') return fs::absolute(named);
  std::error_code none;
  return fs::read_symlink("/proc/self/exe", none).parent_path();
}

/// "pid starttime" of a process, which names it for ever.
std::string identity(pid_t pid) {
  const std::string stat = slurp(fmt::format("/proc/{}/stat", pid));
  std::istringstream fields(stat.substr(std::min(stat.size(), stat.rfind(')') + 1)));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return fmt::format("{} {}", pid, field);
}

/// Labs whose owner was killed before it could take them down.
void sweep() {
  for (const std::string& name : Lab::all()) {
    const std::string owner = slurp(labs_folder / name / "owner");
    if (!owner.empty() && identity(std::atoi(owner.c_str())) != owner) {  // NOLINT(cert-err34-c)
      [[maybe_unused]] const auto done = Lab::down(name);
    }
  }
}

Result<void> make_folder(const fs::path& folder, const std::string& name) {
  std::error_code none;
  int made = -1;
  // down() of the last other lab removes the folder of all labs, perhaps right after we made it.
  for (int tries = 0; made != 0 && tries < folder_tries; ++tries) {
    fs::create_directories(labs_folder, none);
    made = mkdir(folder.c_str(), 0755);
    if (made != 0 && errno != ENOENT) break;
  }
  if (made != 0 && errno == EEXIST) {
    return Error{
        fmt::format("lab {} is up already: weft-lab down {}, or give another name", name, name)};
  }
  if (made != 0) return Error{fmt::format("{}: {}", folder.string(), reason())};
  if (mount("weft-lab", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
    const Error error{fmt::format("{}: {}", folder.string(), reason())};
    fs::remove(folder, none);
    return error;
  }
  return {};
}

}  // namespace

// --- a node

std::optional<pid_t> Node::init() const {
  return recorded_init(folder_);
}

std::optional<int> Node::main_exit() const {
  const std::string status = slurp(folder_ / "main");
  if (status.empty()) return {};
  return std::atoi(status.c_str());  // NOLINT(cert-err34-c)
}

NodeState Node::state() const {
  if (!init()) return NodeState::stopped;
  return main_exit().value_or(0) == 0 ? NodeState::running : NodeState::exited;
}

Result<Surroundings> Node::inside(const Environment& env) const {
  const auto pid = init();
  if (!pid) return Error{fmt::format("node {} is stopped", name())};
  Surroundings where{pid, inherited_environment(), false};
  where.env["HOME"] = "/root";
  where.env["HOSTNAME"] = spec_.hostname;
  for (const auto& [key, value] : spec_.env) where.env[key] = value;
  for (const auto& [key, value] : env) where.env[key] = value;
  return where;
}

Result<Output> Node::run(const Argv& argv, const RunOptions& options) const {
  const auto where = inside(options.env);
  if (!where) return where.error();
  auto output = lab::run(argv, *where, options.deadline, options.input);
  if (!output) return output.error().within("node " + name());
  return output;
}

Result<Process> Node::spawn(const Argv& argv, const Environment& env) const {
  static std::atomic<unsigned> counter{0};
  const auto where = inside(env);
  if (!where) return where.error();
  auto process =
      Process::spawn(argv, *where, folder_ / fmt::format("spawn-{}-{}", getpid(), ++counter));
  if (!process) return process.error().within("node " + name());
  return process;
}

Result<Process> Node::attached(const Argv& argv) const {
  const auto where = inside({});
  if (!where) return where.error();
  auto process = Process::attached(argv, *where);
  if (!process) return process.error().within("node " + name());
  return process;
}

std::string Node::log() const {
  return slurp(folder_ / "log");
}

// --- a lab

Result<Lab> Lab::up(const fs::path& path, const Options& options) {
  static std::atomic<unsigned> counter{0};
  if (auto root = need_root(); !root) return root.error();
  const auto file = find_file(path);
  if (!file) return file.error();
  const auto text = read_text(*file);
  if (!text) return text.error();
  auto topology = parse(*text, *file);
  if (!topology) return topology.error();
  if (options.owned) sweep();

  Lab lab;
  lab.name_ = !options.name.empty() ? options.name
              : options.owned       ? fmt::format("{}-{}-{}", topology->name, getpid(), ++counter)
                                    : topology->name;
  if (!is_name(lab.name_)) return Error{fmt::format("\"{}\" is no name for a lab", lab.name_)};
  lab.topology_ = std::move(*topology);
  lab.folder_ = labs_folder / lab.name_;
  lab.bin_dir_ = find_bin_dir(options.bin_dir);
  for (const NodeSpec& spec : lab.topology_.nodes) {
    if (auto image = image_for(spec, lab.bin_dir_); !image) return image.error();
  }
  if (auto made = make_folder(lab.folder_, lab.name_); !made) return made.error();
  lab.owned_ = true;
  if (options.owned) std::ofstream(lab.folder_ / "owner") << identity(getpid());
  std::ofstream(lab.folder_ / "topology") << *text;
  std::ofstream(lab.folder_ / "file") << lab.topology_.file.string();
  std::ofstream(lab.folder_ / "bin_dir") << lab.bin_dir_.string();
  lab.furnish();
  if (auto built = lab.build(); !built) {
    return Error{fmt::format("lab {}: {}{}", lab.name_, built.error().message, lab.logs())};
  }
  lab.owned_ = options.owned;
  return lab;
}

Result<Lab> Lab::attach(const std::string& name) {
  if (auto root = need_root(); !root) return root.error();
  Lab lab;
  lab.name_ = name;
  lab.folder_ = labs_folder / name;
  std::error_code none;
  if (!is_name(name) || !fs::exists(lab.folder_ / "netns", none)) {
    return Error{fmt::format("there is no lab {}, up are: {}", name, fmt::join(all(), ", "))};
  }
  auto topology = parse(slurp(lab.folder_ / "topology"), slurp(lab.folder_ / "file"));
  if (!topology) return topology.error();
  lab.topology_ = std::move(*topology);
  lab.bin_dir_ = slurp(lab.folder_ / "bin_dir");
  lab.furnish();
  return lab;
}

std::vector<std::string> Lab::all() {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(labs_folder, none)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> Lab::down(const std::string& name) {
  if (auto root = need_root(); !root) return root.error();
  const fs::path folder = labs_folder / name;
  std::error_code none;
  if (!is_name(name) || !fs::exists(folder, none)) {
    return Error{fmt::format("there is no lab {}, up are: {}", name, fmt::join(all(), ", "))};
  }
  Result<void> result;
  for (const auto& entry : fs::directory_iterator(folder / "nodes", none)) {
    if (auto killed = kill_init(entry.path()); !killed) result = killed;
  }
  std::istringstream names(slurp(folder / "netns"));
  for (std::string netns; std::getline(names, netns);) {
    remove_netns(netns);
    remove_netns(next_netns(netns));
  }
  while (umount2(folder.c_str(), MNT_DETACH) == 0) {
  }
  fs::remove_all(folder, none);
  fs::remove(labs_folder, none);  // refused while other labs are in it
  return result;
}

Lab& Lab::operator=(Lab&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(folder_, other.folder_);
  std::swap(bin_dir_, other.bin_dir_);
  std::swap(topology_, other.topology_);
  std::swap(nodes_, other.nodes_);
  std::swap(failed_exec_, other.failed_exec_);
  std::swap(owned_, other.owned_);
  return *this;
}

Lab::Lab(Lab&& other) noexcept {
  *this = std::move(other);
}

Lab::~Lab() {
  if (owned_) [[maybe_unused]]
    const auto done = down();
}

Result<void> Lab::down() {
  owned_ = false;
  return down(name_);
}

const Node* Lab::find(const std::string& name) const {
  const auto at = nodes_.find(name);
  return at == nodes_.end() ? nullptr : &at->second;
}

const Node& Lab::node(const std::string& name) const {
  const Node* found = find(name);
  assert(found != nullptr && "no such node in the topology");
  return *found;
}

void Lab::furnish() {
  for (const NodeSpec& spec : topology_.nodes) {
    Node& node = nodes_[spec.name];
    node.spec_ = spec;
    node.netns_ = netns_name(topology_.prefix, name_, spec.name);
    node.folder_ = folder_ / "nodes" / spec.name;
  }
  for (const Link& link : topology_.links) {
    for (const Endpoint& end : link.ends) nodes_[end.node].interfaces_.push_back(end.interface);
  }
}

Result<void> Lab::build() {
  std::string names;
  for (const auto& [name, node] : nodes_) names += node.netns_ + "\n";
  // On record before the first is made: from here on down() knows what to look for.
  std::ofstream(folder_ / "netns") << names;
  for (const auto& [name, node] : nodes_) {
    std::error_code error;
    if (!fs::create_directories(node.folder_, error) && error) {
      return Error{fmt::format("{}: {}", node.folder_.string(), error.message())};
    }
    if (auto made = create_netns(node.netns_, sysctls_of(node.spec_)); !made) {
      return made.error().within("node " + name);
    }
  }
  if (auto wired = wire(); !wired) return wired;
  for (const auto& [name, node] : nodes_) {
    if (auto booted = boot(node); !booted) return booted.error().within("node " + name);
  }
  for (const auto& [name, node] : nodes_) run_exec(node);
  return {};
}

Result<void> Lab::wire() {
  std::string lines;
  const auto end = [&](const Link& link, std::size_t i) {
    const Endpoint& at = link.ends[i];
    return fmt::format("name {} mtu {} {}netns {}", at.interface, link.mtu,
                       at.mac.empty() ? "" : "address " + at.mac + " ", nodes_[at.node].netns_);
  };
  for (const Link& link : topology_.links) {
    lines += fmt::format("link add {} type veth peer {}\n", end(link, 0), end(link, 1));
  }
  return ip_batch("", lines);
}

Result<void> Lab::boot(const Node& node) {
  const auto image = image_for(node.spec_, bin_dir_);
  if (!image) return image.error();
  InitPlan plan{node.netns_,        node.spec_.hostname, node.folder_,    image->folders,
                image->run_folders, image->programs,     node.spec_.tmpfs};
  plan.binds.insert(plan.binds.end(), node.spec_.binds.begin(), node.spec_.binds.end());
  auto init = Init::start(plan);
  if (!init) return init.error();

  std::string lines = "link set lo up\n";
  for (const Link& link : topology_.links) {
    for (const Endpoint& end : link.ends) {
      if (end.node != node.name()) continue;
      lines += fmt::format("link set {} up\n", end.interface);
      for (const std::string& address : end.addresses) {
        lines += fmt::format("addr add {} dev {}\n", address, end.interface);
      }
    }
  }
  if (auto done = ip_batch(node.netns_, lines); !done) return done;
  const Argv main = main_of(node.spec_, *image);
  if (main.empty()) return {};
  const auto where = node.inside({});
  if (!where) return where.error();
  return init->run_main(main, where->env);
}

void Lab::run_exec(const Node& node) {
  std::ofstream log(node.folder_ / "log", std::ios::app);
  for (const Command& command : node.spec_.exec) {
    const auto output = node.run(command.argv, {milliseconds(60'000), {}, {}});
    const std::string said = output ? output->text() : output.error().message + "\n";
    log << "exec: " << command.line << '\n' << said << '\n' << std::flush;
    if (!output || !output->ok()) {
      failed_exec_.push_back(fmt::format("{}: {}: {}", node.name(), command.line, said));
    }
  }
}

Result<void> Lab::link_down(const std::string& node, const std::string& interface) const {
  return ip_batch(this->node(node).netns_, fmt::format("link set {} down\n", interface));
}

Result<void> Lab::link_up(const std::string& node, const std::string& interface) const {
  return ip_batch(this->node(node).netns_, fmt::format("link set {} up\n", interface));
}

Result<void> Lab::stop(const std::string& name) {
  const Node& node = this->node(name);
  if (!node.init()) return Error{fmt::format("node {} is stopped already", name)};
  if (auto killed = kill_init(node.folder_); !killed) return killed;
  // A namespace of its own for the links, down as they arrive there, and all other state of the
  // kernel dies with the old.
  const std::string next = next_netns(node.netns_);
  if (auto made = create_netns(next, sysctls_of(node.spec_)); !made) return made;
  std::string lines;
  for (const std::string& interface : node.interfaces_) {
    lines += fmt::format("link set {} netns {}\n", interface, next);
  }
  if (auto moved = ip_batch(node.netns_, lines); !moved) return moved;
  return rename_netns(next, node.netns_);
}

Result<void> Lab::start(const std::string& name) {
  const Node& node = this->node(name);
  if (node.init()) return Error{fmt::format("node {} runs already", name)};
  if (auto booted = boot(node); !booted) return booted.error().within("node " + name);
  run_exec(node);
  return {};
}

std::string Lab::logs() const {
  std::string text;
  for (const auto& [name, node] : nodes_) {
    const std::string log = node.log();
    if (!log.empty()) text += fmt::format("\n--- log of {}\n{}", name, tail(log, log_tail));
  }
  return text;
}

}  // namespace weft::lab
