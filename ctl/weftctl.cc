// weftctl: asks weftd over its control socket and prints the answer, as tables for people or as the
// JSON that came. Flags, files and exit codes are in docs/weftctl.8. Wiring only: the words are in
// ctl/protocol.h, the tables in ctl/tables.h.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "ctl/client.h"
#include "ctl/protocol.h"
#include "ctl/tables.h"

namespace weft::ctl {
namespace {

/// Exit codes, as docs/weftctl.8 promises them.
enum Exit : int { success = 0, refused = 1, usage = 2, unreachable = 3 };

struct Options {
  std::string socket = default_socket;
  double timeout = 10;
  bool json = false;
  /// `peers NAME`
  std::string peer;
  /// `peers --detail`
  bool detail = false;
  /// `routes PREFIX`: a prefix or an address.
  std::string destination;
  /// `ipam check --repair`
  bool repair = false;
  /// `ipam release POOL INDEX REVISION`
  ReleaseBlockRequest release;
};

int complain(Exit code, const std::string& sentence) {
  fmt::print(stderr, "weftctl: {}\n", sentence);
  return code;
}

int complain(const ClientError& error) {
  return complain(error.kind == ClientError::Kind::garbled ? refused : unreachable, error.message);
}

int print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? success
                                             : complain(refused, "cannot write the output");
}

/// Colour is for terminals whose owner has not said no (no-color.org).
Style style_of_output() {
  const char* refusal = std::getenv("NO_COLOR");
  return {.colour = ::isatty(STDOUT_FILENO) == 1 && (refusal == nullptr || *refusal == '\0')};
}

int show_peers(const Peers& peers, const Options& options, Style style) {
  if (!options.peer.empty()) {
    const Peer* peer = find_peer(peers, options.peer);
    if (peer == nullptr) {
      return complain(refused, fmt::format("no peer has the name or address '{}'; 'weftctl peers' "
                                           "lists them",
                                           options.peer));
    }
    return print(detail(*peer, style));
  }
  if (!options.detail || peers.peers.empty()) return print(table(peers, style));
  std::string text;
  for (const Peer& peer : peers.peers) {
    if (!text.empty()) text += '\n';
    text += detail(peer, style);
  }
  return print(text);
}

int show_routes(const Routes& routes, const Options& options, Style style) {
  if (options.destination.empty()) return print(table(routes, style));
  if (routes.routes.empty()) {
    return print(fmt::format("no route to {} is known\n", options.destination));
  }
  std::string text;
  for (const Route& route : routes.routes) text += detail(route, style);
  return print(text);
}

int show(const Reply& reply, const Options& options) {
  const Style style = style_of_output();
  return std::visit(
      Overloaded{
          [](const Failure& failure) {
            return complain(refused, fmt::format("weftd: {}", failure.message));
          },
          [&](const Peers& peers) { return show_peers(peers, options, style); },
          [&](const Routes& routes) { return show_routes(routes, options, style); },
          [](const Done&) { return print("done\n"); },
          [](const Lease&) { return complain(refused, "weftd sent a lease nobody asked for"); },
          [&](const auto& all) { return print(table(all, style)); },
      },
      reply);
}

/// One request: prints the line that came, or what it means.
int ask(Client& client, const Request& request, const Options& options, Time deadline) {
  const auto line = client.exchange(encode(request), deadline);
  if (!line) return complain(line.error());
  const auto reply = decode_reply(*line, request);
  if (!reply) return complain(refused, reply.error().message);
  if (!options.json) return show(*reply, options);
  const int printed = print(*line + '\n');
  return std::holds_alternative<Failure>(*reply) ? refused : printed;
}

/// The route an address would take is asked for by its prefix.
int ask_for_address(Client& client, const Address& address, const Options& options, Time deadline) {
  const auto all = client.call(RoutesRequest{}, deadline);
  if (!all) return complain(all.error());
  const auto* routes = std::get_if<Routes>(&*all);
  if (routes == nullptr) return show(*all, options);
  const auto prefix = longest_match(*routes, address);
  return ask(client, RoutesRequest{prefix.value_or(Prefix::host(address))}, options, deadline);
}

int run(const CLI::App& app, const Options& options) {
  Request request = StatusRequest{};
  std::optional<Address> address;
  if (app.got_subcommand("peers")) request = PeersRequest{};
  if (app.got_subcommand("bfd")) request = BfdRequest{};
  if (app.got_subcommand("blocks")) request = BlocksRequest{};
  if (app.got_subcommand("containers")) request = ContainersRequest{};
  if (app.got_subcommand("ipam")) {
    const CLI::App* ipam = app.get_subcommand("ipam");
    if (ipam->got_subcommand("show")) request = BlocksRequest{};
    if (ipam->got_subcommand("blocks")) request = ClaimsRequest{};
    if (ipam->got_subcommand("check")) request = IpamCheckRequest{options.repair};
    if (ipam->got_subcommand("release")) request = options.release;
  }
  if (app.got_subcommand("routes")) {
    RoutesRequest routes;
    if (const auto parsed = Address::parse(options.destination)) {
      address = *parsed;
    } else if (!options.destination.empty()) {
      const auto prefix = Prefix::parse(options.destination);
      if (!prefix) return complain(usage, prefix.error().message);
      routes.prefix = *prefix;
    }
    request = routes;
  }
  const Time deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(options.timeout));
  auto client = Client::connect(options.socket, deadline);
  if (!client) return complain(client.error());
  if (address) return ask_for_address(*client, *address, options, deadline);
  return ask(*client, request, options, deadline);
}

int parse_and_run(int argc, char** argv) {
  Options options;
  CLI::App app{"Ask weftd what it is doing."};
  app.set_version_flag("--version", "weftctl " WEFT_VERSION);
  app.add_option("--socket", options.socket, "control socket of weftd")
      ->envname("WEFT_SOCKET")
      ->capture_default_str();
  app.add_option("--timeout", options.timeout, "seconds to wait for weftd, 0.001..3600")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  app.add_flag("--json", options.json, "print the reply of weftd as it came, one JSON object");
  app.name("weftctl");
  app.require_subcommand(0, 1);
  app.fallthrough();
  app.add_subcommand("status", "what to look at first: warnings, then one line a subject");
  CLI::App* peers = app.add_subcommand("peers", "BGP sessions, one line each");
  peers->add_option("NAME", options.peer, "everything about the peer with this name or address");
  peers->add_flag("--detail", options.detail, "everything about every peer");
  CLI::App* routes = app.add_subcommand("routes", "routes and what the kernel has of them");
  routes->add_option("PREFIX", options.destination,
                     "all paths of this prefix, or of the route that an address takes");
  app.add_subcommand("bfd", "whether the paths to peers work");
  app.add_subcommand("blocks", "address blocks of this host");
  app.add_subcommand("containers", "containers and their addresses");
  CLI::App* ipam = app.add_subcommand("ipam", "blocks of all hosts, and what is wrong with ours");
  ipam->require_subcommand(1);
  ipam->add_subcommand("show", "address blocks of this host, as 'weftctl blocks'");
  ipam->add_subcommand("blocks", "blocks that hosts have claimed in etcd");
  ipam->add_subcommand("check", "what records, kernel and store say differently")
      ->add_flag("--repair", options.repair, "mend it");
  CLI::App* release =
      ipam->add_subcommand("release", "give up the block of a host that is gone for good");
  release->add_option("POOL", options.release.pool, "name of the pool")->required();
  release->add_option("INDEX", options.release.index, "index of the block")->required();
  release->add_option("REVISION", options.release.revision, "as 'weftctl ipam blocks' showed it")
      ->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? success : usage;
  }
  if (app.get_subcommands().empty()) {
    return complain(usage,
                    "say what to show: status, peers, bfd, routes, blocks, containers or ipam (see "
                    "weftctl --help)");
  }
  return run(app, options);
}

}  // namespace
}  // namespace weft::ctl

int main(int argc, char** argv) {
  try {
    return weft::ctl::parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weftctl: %s\n", error.what());
    return weft::ctl::refused;
  }
}
