// Topology: a containerlab file (https://containerlab.dev/manual/topo-def-file/) as plain values,
// with what a node inherits from defaults, its kind and its group already merged in. Nothing is run
// or created here. Only kind `linux` and veth links exist in this lab; what containerlab knows and
// a namespace has no use for is accepted with a note.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "net/result.h"

namespace weft::lab {

struct Bind {
  /// Absolute; exists.
  std::filesystem::path host;
  /// Absolute path inside the node.
  std::string inside;
  bool read_only = false;

  bool operator==(const Bind&) const = default;
};

/// A command as written and as it is run.
struct Command {
  std::string line;
  std::vector<std::string> argv;

  bool operator==(const Command&) const = default;
};

struct NodeSpec {
  std::string name;
  std::string image;
  std::string hostname;
  std::vector<Bind> binds;
  /// Run one by one after the links are there.
  std::vector<Command> exec;
  std::map<std::string, std::string> env;
  std::map<std::string, std::string> sysctls;
  /// Paths that get a tmpfs of their own.
  std::vector<std::string> tmpfs;
  /// Empty: what the image runs.
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
};

struct Endpoint {
  std::string node;
  /// 1..15 characters, unique in its node.
  std::string interface;
  /// Empty: the kernel's choice.
  std::string mac;
  /// "10.0.0.1/31"; IPv4 before IPv6.
  std::vector<std::string> addresses;

  bool operator==(const Endpoint&) const = default;
};

/// containerlab's default for a link, so that every frame a lab sends there fits here.
inline constexpr unsigned default_mtu = 9500;

struct Link {
  std::array<Endpoint, 2> ends;
  /// Octets, 68..65535.
  unsigned mtu = default_mtu;

  bool operator==(const Link&) const = default;
};

struct Topology {
  /// Absolute.
  std::filesystem::path file;
  std::string name;
  /// First part of the names of namespaces: containerlab's `prefix`, default "clab".
  std::string prefix;
  /// Sorted by name.
  std::vector<NodeSpec> nodes;
  std::vector<Link> links;
  /// "file:line:column: what is ignored and why"
  std::vector<std::string> notes;

  /// Null when there is none of that name.
  [[nodiscard]] const NodeSpec* find(const std::string& node) const;
};

/// Every fault of the file at once, one per line: "file:line:column: what is wrong, what would be
/// right".
Result<Topology> load(const std::filesystem::path& file);

/// The same of text that was read already; `file` names it in messages and anchors relative paths.
Result<Topology> parse(const std::string& text, const std::filesystem::path& file);

/// `path`, or the one *.clab.yml in it when it is a folder, as containerlab finds it.
Result<std::filesystem::path> find_file(const std::filesystem::path& path);

}  // namespace weft::lab
