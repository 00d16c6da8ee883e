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
enum Exit : int { success = 0, refused = 1, usage = 2, unreachable = 3, amiss = 4 };

struct Options {
  std::string socket = default_socket;
  double timeout = 10;
  bool json = false;
  /// `peers NAME`
  std::string peer;
  /// `peers --detail`
  bool detail = false;
  /// `peer VERB NAME --message TEXT`
  PeerRequest order;
  /// `routes PREFIX`: a prefix or an address.
  std::string destination;
  /// `fib check --repair`, `ipam check --repair`
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

/// What a look at the host found amiss is the exit status, for scripts.
int verdict(const Reply& reply) {
  if (const auto* check = std::get_if<FibCheck>(&reply)) {
    return check->remaining > 0 ? amiss : success;
  }
  const auto* doctor = std::get_if<Doctor>(&reply);
  if (doctor == nullptr) return success;
  for (const Finding& finding : doctor->findings) {
    if (finding.state == "wrong") return amiss;
  }
  return success;
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
  const int printed = options.json ? print(*line + '\n') : show(*reply, options);
  if (std::holds_alternative<Failure>(*reply)) return refused;
  return printed == success ? verdict(*reply) : printed;
}

int run(const CLI::App& app, const Options& options) {
  Request request = StatusRequest{};
  if (app.got_subcommand("peers")) request = PeersRequest{};
  if (app.got_subcommand("peer")) request = options.order;
  if (app.got_subcommand("blocks")) request = BlocksRequest{};
  if (app.got_subcommand("containers")) request = ContainersRequest{};
  if (app.got_subcommand("policies")) request = PoliciesRequest{};
  if (app.got_subcommand("bmp")) request = BmpRequest{};
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
      routes.address = *parsed;
    } else if (!options.destination.empty()) {
      const auto prefix = Prefix::parse(options.destination);
      if (!prefix) return complain(usage, prefix.error().message);
      routes.prefix = *prefix;
    }
    request = routes;
  }
  if (app.got_subcommand("doctor")) request = DoctorRequest{};
  if (app.got_subcommand("fib")) request = FibCheckRequest{options.repair};
  const Time deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(options.timeout));
  auto client = Client::connect(options.socket, deadline);
  if (!client) return complain(client.error());
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
  CLI::App* peer = app.add_subcommand("peer", "do something to one session");
  peer->require_subcommand(1);
  const auto verb = [&](PeerVerb which, const char* text) {
    CLI::App* one = peer->add_subcommand(std::string(name(which)), text);
    one->add_option("NAME", options.order.peer, "name or address of the peer")->required();
    one->callback([&options, which] { options.order.verb = which; });
    return one;
  };
  const char* message = "what the operator over there reads, at most 255 octets (RFC 9003)";
  verb(PeerVerb::start, "let the session come up again");
  verb(PeerVerb::shutdown, "end the session, and keep it down until start")
      ->add_option("--message", options.order.message, message);
  verb(PeerVerb::reset, "end the session; it comes up again by itself")
      ->add_option("--message", options.order.message, message);
  verb(PeerVerb::refresh, "ask for the peer's routes and send ours again");
  CLI::App* routes = app.add_subcommand("routes", "routes and what the kernel has of them");
  routes->add_option("PREFIX", options.destination,
                     "all paths of this prefix, or of the route that an address takes");
  app.add_subcommand("blocks", "address blocks of this host");
  app.add_subcommand("containers", "containers and their addresses");
  app.add_subcommand("policies", "policies, and how many routes met each of their rules");
  app.add_subcommand("bmp", "monitoring stations, and how far each has been told");
  app.add_subcommand("doctor", "what weft needs of this host, and the command where it is not so");
  CLI::App* fib = app.add_subcommand("fib", "the kernel's routes");
  fib->require_subcommand(1);
  fib->add_subcommand("check", "compares RIB, wanted routes and a fresh dump of the kernel")
      ->add_flag("--repair", options.repair, "mends what differs and looks again");
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
                    "say what to show: status, peers, routes, blocks, containers, policies, bmp, "
                    "ipam, fib check or doctor; or peer VERB (see "
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
