// World: a host and containers as network namespaces of their own, and the programs that look at
// them. Everything is named after this process and gone with the object.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ipam/settings.h"
#include "net/netns.h"

namespace weft::test {

struct Output {
  int status = -1;
  std::string out;
  std::string err;
};

/// Runs a program and waits for it. `environment` is all it has beside PATH.
Output run(const std::vector<std::string>& command,
           const std::map<std::string, std::string>& environment = {},
           const std::string& input = "");

class World {
 public:
  World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  /// A namespace with nothing but a lo that is down; the name of it for `ip netns exec`.
  std::string add_namespace(const std::string& name);
  void remove_namespace(const std::string& name);
  /// "/run/netns/…"
  static std::string path(const std::string& netns);

  [[nodiscard]] const std::string& host() const { return host_; }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] std::string socket() const { return directory_ / "weft.sock"; }

  /// A command inside a namespace, split at spaces.
  static Output in(const std::string& netns, const std::string& command);

 private:
  std::string host_;
  std::filesystem::path directory_;
  std::vector<std::string> namespaces_;
};

/// One pool, 10.64.0.0/16 with fd64:0:0:1::/112; this host has block 2.
ipam::Settings example_pools();

}  // namespace weft::test
