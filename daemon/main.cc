// weftd: flags, logging, exit codes. 0: stopped by a signal, or the checked file is good; 1: could
// not start, or the file is not good; 2: usage.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <csignal>
#include <exception>
#include <string>

#include "bgp/tcp_ao.h"
#include "daemon/daemon.h"

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

int check(const std::string& path, const weft::config::Defaults& defaults) {
  const auto config = weft::config::load(path, defaults);
  if (config) {
    fmt::print("{}: good\n", path);
    const auto& peers = config->bgp.peers;
    const auto signed_peers = std::count_if(peers.begin(), peers.end(),
                                            [](const auto& peer) { return !peer.tcp_ao.empty(); });
    if (signed_peers != 0 && !weft::bgp::has_tcp_ao()) {
      fmt::print(stderr,
                 "{}: this host's kernel has no TCP-AO (CONFIG_TCP_AO, Linux 6.7 or later); peers "
                 "that have no session here because of it: {}\n",
                 path, signed_peers);
    }
    return 0;
  }
  for (const auto& error : config.error()) fmt::print(stderr, "{}\n", error.text());
  return 1;
}

int serve(const weft::daemon::Options& options) {
  auto config = weft::config::load(options.config_path, options.defaults);
  if (!config) {
    for (const auto& error : config.error()) fmt::print(stderr, "{}\n", error.text());
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const auto run = weft::daemon::run(options, std::move(*config));
  if (!run) {
    spdlog::error(run.error().message);
    return 1;
  }
  return 0;
}

int program(int argc, char** argv) {
  CLI::App app("weftd: BGP speaker, kernel routes and addresses of a host's containers");
  weft::daemon::Options options;
  options.config_path = "/etc/weft/weft.yaml";
  options.socket_path = "/run/weft/weft.sock";
  options.defaults.host_name = host_name();
  std::string state_directory = "/var/lib/weft";
  std::string checked;
  std::string log_level = "info";
  app.add_option("--config", options.config_path, "Configuration")->capture_default_str();
  app.add_option("--state-dir", state_directory, "Directory of the database")
      ->capture_default_str();
  app.add_option("--socket", options.socket_path, "Control socket")->capture_default_str();
  app.add_option("--check", checked, "Say all that is wrong with FILE and exit")
      ->option_text("FILE");
  app.add_option("--log-level", log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  app.add_flag("--takeover-identity", options.takeover_identity,
               "Take over the blocks that this host claimed before it was installed anew; give it "
               "once");
  app.set_version_flag("--version", "weftd " WEFT_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!checked.empty()) return check(checked, options.defaults);
  options.state_directory = state_directory;
  auto logger = spdlog::stderr_logger_st("weftd");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->set_level(spdlog::level::from_str(log_level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(logger);
  return serve(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return program(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "weftd: {}\n", error.what());
    return 1;
  }
}
