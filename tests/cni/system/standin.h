// Standin: the part of weftd that weft-cni talks to, on the real Allocator, Store and protocol,
// without BGP and Asio: so the plugin is tested alone. A child process in the host's namespace; one
// connection at a time.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <string>

#include "ctl/protocol.h"
#include "ipam/settings.h"

namespace weft::test {

class Standin {
 public:
  /// What others have done by the time a request comes: they ask for it with `answer`. Runs in the
  /// child.
  using Answer = std::function<ctl::Reply(const ctl::Request&)>;
  using Meanwhile = std::function<void(const ctl::Request& request, const Answer& answer)>;

  /// Serves on `directory`/weft.sock from inside the namespace `netns`, its database in
  /// `directory`. Dies after `requests` answers.
  Standin(const std::string& netns, const std::filesystem::path& directory,
          const ipam::Settings& settings, int requests = std::numeric_limits<int>::max(),
          const Meanwhile& meanwhile = {});
  Standin(const Standin&) = delete;
  Standin& operator=(const Standin&) = delete;
  /// SIGKILL: weftd may die at any point.
  ~Standin();

 private:
  pid_t child_;
};

}  // namespace weft::test
