// Daemon: weftd, its modules built and joined. Routing learns and announces, Containers hands out
// addresses, the control server and the exporter show both. One io_context, one thread; the FIB
// writer, the veth remover and Prometheus' server have threads of their own and share nothing with
// it but queues.
#pragma once

#include <filesystem>
#include <string>

#include "config/config.h"
#include "net/result.h"

namespace weft::daemon {

struct Options {
  std::string config_path;
  std::filesystem::path state_directory;
  std::string socket_path;
  /// Another incarnation of this host's name is gone for good: what it claimed is ours.
  bool takeover_identity = false;
  config::Defaults defaults;
};

/// Runs until SIGTERM or SIGINT. SIGHUP reads the configuration again: on any error nothing
/// changes. Kernel routes and containers stay when it ends. The error is why it could not start.
Result<void> run(const Options& options, config::Config config);

}  // namespace weft::daemon
