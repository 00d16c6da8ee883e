// weftctl: asks weftd over its control socket and prints the answer, as tables for people or as the
// JSON that came. Flags, files and exit codes are in docs/weftctl.8. Wiring only: the words are in
// ctl/protocol.h, the tables in ctl/tables.h.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ctl/announce.h"
#include "ctl/client.h"
#include "ctl/host_local.h"
#include "ctl/mrt.h"
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
  /// `drain on --text TEXT`
  std::string text;
  /// `peer VERB NAME --message TEXT`
  PeerRequest order;
  /// `routes PREFIX`: a prefix or an address.
  std::string destination;
  /// `fib check --repair`, `ipam check --repair`
  bool repair = false;
  /// `ipam import DIRECTORY --network NAME --dry-run`
  std::string directory;
  std::string network;
  bool dry_run = false;
  /// `ipam release POOL INDEX REVISION`
  ReleaseBlockRequest release;
  /// `announce`, `withdraw`
  HeldAnnouncement announcement;
  std::string prefix;
  std::uint32_t med = 0;
  std::uint32_t ttl = 0;
  bool force = false;
  /// `mrt dump FILE`
  std::string file;
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
          [](const MrtRecords&) {
            return complain(refused, "weftd sent MRT records nobody asked for");
          },
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

/// Options that were given become those of the request.
Result<AnnounceRequest> announce_request(const CLI::App& verb, const Options& options) {
  const auto prefix = Prefix::parse(options.prefix);
  if (!prefix) return prefix.error();
  AnnounceRequest request = options.announcement.request;
  request.prefix = *prefix;
  if (verb.count("--med") != 0) request.med = options.med;
  if (verb.count("--ttl") != 0) request.ttl_seconds = options.ttl;
  return request;
}

int withdraw_or_announce(const CLI::App& app, const Options& options, std::optional<Request>& one) {
  if (app.got_subcommand("withdraw")) {
    const auto prefix = Prefix::parse(options.prefix);
    if (!prefix) return complain(usage, prefix.error().message);
    one = WithdrawRequest{*prefix, options.force};
    return success;
  }
  const auto request = announce_request(*app.get_subcommand("announce"), options);
  if (!request) return complain(usage, request.error().message);
  if (!request->hold && options.announcement.health.command.empty()) {
    one = *request;
    return success;
  }
  HeldAnnouncement held = options.announcement;
  held.request = *request;
  held.request.hold = true;
  held.socket = options.socket;
  return keep_announced(held) ? success : refused;
}

/// As many as fit one request, whatever their names; those of one container stay together.
std::vector<ImportRequest> import_requests(const HostLocal& all, const std::string& network) {
  constexpr std::size_t limit = 100;
  std::vector<ImportRequest> requests;
  for (const AddressInUse& address : all.addresses) {
    const bool fits = !requests.empty() && requests.back().addresses.size() < limit;
    const bool together = !requests.empty() &&
                          requests.back().addresses.back().container == address.container &&
                          requests.back().addresses.size() < limit + 32;
    if (!fits && !together) requests.push_back({network, {}, true});
    requests.back().addresses.push_back(address);
  }
  return requests;
}

/// Asks for all of them in turn; none when one got no answer, which has been said then.
std::optional<Imported> import_all(Client& client, const std::vector<ImportRequest>& requests,
                                   Time deadline) {
  Imported all;
  for (const ImportRequest& request : requests) {
    const auto reply = client.call(request, deadline);
    if (!reply) {
      complain(reply.error());
      return std::nullopt;
    }
    if (const auto* failure = std::get_if<Failure>(&*reply)) {
      complain(refused, fmt::format("weftd: {}", failure->message));
      return std::nullopt;
    }
    const auto& part = std::get<Imported>(*reply);
    all.addresses.insert(all.addresses.end(), part.addresses.begin(), part.addresses.end());
    all.done = part.done;
  }
  return all;
}

/// Looks at all first: one address that does not fit keeps the others where they are.
int take_over(Client& client, const Options& options, Time deadline) {
  const std::filesystem::path directory = std::filesystem::path(options.directory) / "";
  const std::string network =
      options.network.empty() ? directory.parent_path().filename().string() : options.network;
  const auto all = read_host_local(directory);
  if (!all) return complain(refused, all.error().message);
  for (const std::string& fault : all->faults) complain(refused, fault);
  if (!all->faults.empty()) return complain(refused, "nothing was changed");
  auto requests = import_requests(*all, network);
  auto imported = import_all(client, requests, deadline);
  if (!imported) return refused;
  const bool good = std::none_of(imported->addresses.begin(), imported->addresses.end(),
                                 [](const auto& row) { return row.verdict == "refused"; });
  if (good && !options.dry_run) {
    for (ImportRequest& request : requests) request.dry_run = false;
    imported = import_all(client, requests, deadline);
    if (!imported) return refused;
  }
  const int printed = options.json ? print(encode(Reply(*imported)) + '\n')
                                   : print(table(*imported, style_of_output()));
  return good ? printed : refused;
}

int run(const CLI::App& app, const Options& options) {
  Request request = StatusRequest{};
  if (app.got_subcommand("announce") || app.got_subcommand("withdraw")) {
    std::optional<Request> one;
    if (const int code = withdraw_or_announce(app, options, one); code != success || !one)
      return code;
    request = *one;
  }
  if (app.got_subcommand("announcements")) request = AnnouncementsRequest{};
  if (app.got_subcommand("mrt")) {
    const auto dumped = dump_mrt(options.socket, options.file,
                                 std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(options.timeout)));
    if (!dumped) return complain(refused, dumped.error().message);
    return print(fmt::format("{} routes, {} paths\n", dumped->routes, dumped->paths));
  }
  if (app.got_subcommand("peers")) request = PeersRequest{};
  if (app.got_subcommand("bfd")) request = BfdRequest{};
  if (app.got_subcommand("peer")) request = options.order;
  if (app.got_subcommand("blocks")) request = BlocksRequest{};
  if (app.got_subcommand("containers")) request = ContainersRequest{};
  if (app.got_subcommand("policies")) request = PoliciesRequest{};
  if (app.got_subcommand("drain")) {
    const CLI::App* drain = app.get_subcommand("drain");
    request = DrainRequest{drain->got_subcommand("on"), options.text};
  }
  if (app.got_subcommand("aggregates")) request = AggregatesRequest{};
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
  if (!options.directory.empty()) return take_over(*client, options, deadline);
  return ask(*client, request, options, deadline);
}

void add_origination(CLI::App& app, Options& options) {
  HeldAnnouncement& held = options.announcement;
  CLI::App* announce = app.add_subcommand("announce", "announce a prefix of this host");
  announce->add_option("PREFIX", options.prefix, "what to announce")->required();
  announce->add_option("--community", held.request.communities, "65001:100, 65001:1:2, no-export …")
      ->allow_extra_args(false);
  announce->add_option("--med", options.med, "MULTI_EXIT_DISC");
  CLI::Option* ttl =
      announce->add_option("--ttl", options.ttl, "seconds after which it is withdrawn")
          ->check(CLI::Range(std::int64_t{1}, std::int64_t{longest_announcement.count()}));
  announce
      ->add_flag("--hold", held.request.hold,
                 "stay, and announce it only as long as this command runs")
      ->excludes(ttl);
  announce
      ->add_option("--health-command", held.health.command,
                   "stay, and announce it only while this shell command succeeds")
      ->excludes(ttl);
  announce->add_option("--health-interval", held.health.interval, "seconds between two checks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  announce
      ->add_option("--health-timeout", held.health.timeout,
                   "seconds after which the command is killed and has failed")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  announce->add_option("--health-rise", held.health.rise, "successes in a row that announce it")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  announce->add_option("--health-fall", held.health.fall, "failures in a row that withdraw it")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  CLI::App* withdraw = app.add_subcommand("withdraw", "end what announce began");
  withdraw->add_option("PREFIX", options.prefix, "what to withdraw")->required();
  withdraw->add_flag("--force", options.force, "also what another command holds");
  app.add_subcommand("announcements", "what local clients want announced");
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
  app.add_subcommand("bfd", "whether the paths to peers work");
  app.add_subcommand("blocks", "address blocks of this host");
  app.add_subcommand("containers", "containers and their addresses");
  app.add_subcommand("policies", "policies, and how many routes met each of their rules");
  CLI::App* drain = app.add_subcommand("drain", "ask the peers to use another way (RFC 8326)");
  drain->require_subcommand(1);
  drain->fallthrough();
  drain->add_subcommand("on", "from now on, also over restarts")
      ->add_option("--text", options.text, "why, at most 255 octets; peers see it at a shutdown");
  drain->add_subcommand("off", "no longer");
  app.add_subcommand("aggregates", "aggregates, and how many routes contribute to each");
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
  CLI::App* taken_over =
      ipam->add_subcommand("import", "take over the addresses that host-local gave out");
  taken_over
      ->add_option("DIRECTORY", options.directory, "of host-local: /var/lib/cni/networks/NAME")
      ->required();
  taken_over->add_option("--network", options.network,
                         "name of the network, when it is not that of the directory");
  taken_over->add_flag("--dry-run", options.dry_run, "say what would be, and do nothing");
  CLI::App* release =
      ipam->add_subcommand("release", "give up the block of a host that is gone for good");
  release->add_option("POOL", options.release.pool, "name of the pool")->required();
  release->add_option("INDEX", options.release.index, "index of the block")->required();
  release->add_option("REVISION", options.release.revision, "as 'weftctl ipam blocks' showed it")
      ->required();
  add_origination(app, options);
  CLI::App* mrt = app.add_subcommand("mrt", "the tables as an MRT file (RFC 6396)");
  mrt->require_subcommand(1);
  mrt->add_subcommand("dump", "write all paths into a TABLE_DUMP_V2 file")
      ->add_option("FILE", options.file, "where to")
      ->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? success : usage;
  }
  if (app.get_subcommands().empty()) {
    return complain(
        usage,
        "say what to show: status, peers, bfd, routes, blocks, containers, policies, bmp, "
        "aggregates, announcements, ipam, fib check or doctor; or peer VERB, drain, announce, "
        "withdraw, mrt dump (see weftctl --help)");
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
