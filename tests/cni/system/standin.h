// Standin: the part of weftd that weft-cni talks to, on the real Allocator, Store and protocol,
// without BGP and Asio: so the plugin is tested alone. A child process in the host's namespace; one
// connection at a time.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <limits>
#include <string>

#include "ipam/settings.h"

namespace weft::test {

class Standin {
 public:
  /// Serves on `directory`/weft.sock from inside the namespace `netns`, its database in
  /// `directory`. Dies after `requests` answers.
  Standin(const std::string& netns, const std::filesystem::path& directory,
          const ipam::Settings& settings, int requests = std::numeric_limits<int>::max());
  Standin(const Standin&) = delete;
  Standin& operator=(const Standin&) = delete;
  /// SIGKILL: weftd may die at any point.
  ~Standin();

 private:
  pid_t child_;
};

}  // namespace weft::test
