// Records what BIRD, FRR and GoBGP, as installed, say to a peer that takes their session, and
// writes it as conformance cases. Not a test: run as root when a daemon has a new version, and read
// the difference. Usage: record DIR, where each session becomes DIR/<daemon>/<session>.case; then
// `conformance --regenerate DIR` says what weft makes of it.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "bgp/message.h"
#include "bgp/update.h"
#include "tests/bgp/hex.h"
#include "tests/system/interop.h"

namespace weft::interop {
namespace {

using namespace std::chrono_literals;
using bgp::AfiSafi;
using bgp::Asn;
using bgp::Capabilities;
using bgp::MessageType;
using bgp::unicast;

constexpr AfiSafi ipv4 = unicast(Family::ipv4);
constexpr AfiSafi ipv6 = unicast(Family::ipv6);
constexpr int bgp_port = 179;

/// What both sides can always do: families, four-octet AS numbers, refresh, and graceful restart.
Capabilities usual() {
  Capabilities ours;
  ours.families = {ipv4, ipv6};
  ours.route_refresh = true;
  ours.four_octet_as = Asn{65001};
  return ours;
}

/// The passive side of one session: keeps all the peer says, and keeps the session up.
class Listener {
 public:
  explicit Listener(const Pair& pair) {
    const system_test::Inside inside(pair.hosts.a);
    listening_ = Fd(::socket(pair.row.ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int yes = 1;
    ::setsockopt(listening_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(bgp_port);
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(bgp_port);
    const int bound =
        pair.row.ipv6
            ? ::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&six), sizeof six)
            : ::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&four), sizeof four);
    if (bound != 0 || ::listen(listening_.get(), 4) != 0) throw std::runtime_error("listen");
  }

  void accept() {
    if (!readable(listening_.get(), std::chrono::milliseconds(patience)))
      throw std::runtime_error("nobody came");
    session_ = Fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    listening_ = Fd();  // one session is what is recorded
  }
  void send(const std::vector<std::byte>& octets) {
    static_cast<void>(::send(session_.get(), octets.data(), octets.size(), MSG_NOSIGNAL));
  }
  void send(const bgp::Message& message) {
    std::vector<std::byte> octets;
    encode(message, octets);
    send(octets);
  }
  /// Reads until `enough`, the end of the connection or of our patience.
  void until(const std::function<bool()>& enough, Clock::duration limit = patience) {
    const Time end = Clock::now() + limit;
    while (open_ && !enough() && Clock::now() < end) read();
  }
  void settle() {
    std::size_t before = 0;
    do {
      before = messages.size();
      until([] { return false; }, 1500ms);
    } while (messages.size() != before);
  }
  [[nodiscard]] std::size_t count(MessageType type) const {
    return static_cast<std::size_t>(
        std::count_if(messages.begin(), messages.end(), [&](const auto& each) {
          return std::to_integer<int>(each[18]) == static_cast<int>(type);
        }));
  }

  std::vector<std::vector<std::byte>> messages;
  /// Nobody hears from us any more.
  bool silent = false;
  std::size_t max_message = bgp::max_message_size;

 private:
  static bool readable(int fd, std::chrono::milliseconds limit) {
    pollfd wait{fd, POLLIN, 0};
    return ::poll(&wait, 1, static_cast<int>(limit.count())) > 0;
  }
  void read() {
    if (!silent && Clock::now() > next_keepalive_ && count(MessageType::open) != 0) {
      send(bgp::Keepalive());
      next_keepalive_ = Clock::now() + 2s;
    }
    if (!readable(session_.get(), 100ms)) return;
    std::array<std::byte, 65536> some{};
    const ssize_t size = ::recv(session_.get(), some.data(), some.size(), 0);
    open_ = size > 0;
    if (open_) buffer_.insert(buffer_.end(), some.begin(), some.begin() + size);
    while (true) {
      const auto frame = bgp::next_message(buffer_, max_message);
      if (!frame) throw std::runtime_error("the peer sent what is no message");
      if (!*frame) return;
      take((*frame)->type, (*frame)->message);
      buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<long>((*frame)->size()));
    }
  }
  /// When a KEEPALIVE comes is chance; one stands for all.
  void take(MessageType type, Bytes message) {
    if (type == MessageType::keepalive && count(type) != 0) return;
    messages.emplace_back(message.begin(), message.end());
  }

  Fd listening_;
  Fd session_;
  bool open_ = true;
  Time next_keepalive_ = Clock::now() + 1s;
  std::vector<std::byte> buffer_;
};

struct Session {
  std::string name;
  /// What the case cites.
  std::string clauses;
  Row row{};
  Capabilities ours = usual();
  /// Words of `session:` in the case.
  std::string words{};
  /// Before the peer can reach us.
  std::function<void(const Pair&)> prepare{};
  /// Once the peer has said all it had to say at first.
  std::function<void(const Pair&, Listener&)> act{};
  std::uint16_t hold_time = 9;
  std::uint32_t asn = 65001;
};

void configure_frr(const Pair& pair, const std::vector<std::string>& lines) {
  std::string words =
      "vtysh --vty_socket " + pair.hosts.directory.string() + " -d bgpd -c 'configure terminal'";
  for (const std::string& line : lines) words += " -c '" + line + "'";
  pair.until([&] { return pair.vtysh("show bgp summary").find("192.0.2.2") != std::string::npos; });
  std::cerr << shell(words);
}
/// More of bird.conf, after what it has.
void configure_bird(const Pair& pair, const std::string& more) {
  std::ofstream(pair.file("bird.conf"), std::ios::app) << more;
  pair.until([&] { return pair.birdc("configure").find("Reconfig") != std::string::npos; });
}

/// Every attribute the daemon's language can give its routes.
const std::string bird_attributes =
    "export filter { if source != RTS_STATIC then reject; bgp_origin = ORIGIN_INCOMPLETE; "
    "bgp_med = 50; bgp_path.prepend(4200000002); "
    "bgp_community.add((65002,100)); bgp_community.add((65535,65281)); "
    "bgp_large_community.add((65002,1,2)); bgp_ext_community.add((rt,65002,3)); accept; };";

void give_attributes(const Pair& pair) {
  if (pair.daemon == Daemon::frr) {
    for (const char* map : {"four", "six"}) {
      configure_frr(pair, {std::string("route-map ") + map + " permit 10", "set origin incomplete",
                           "set metric 50", "set as-path prepend 4200000002",
                           "set community 65002:100 no-export", "set large-community 65002:1:2",
                           "set extcommunity rt 65002:3"});
    }
  }
  if (pair.daemon == Daemon::gobgp) {
    const std::string attributes =
        " origin incomplete med 50 community 65002:100,no-export large-community 65002:1:2 "
        "aspath 4200000002 ";
    std::cerr << pair.gobgp("global rib add 198.51.100.0/24 nexthop 192.0.2.2" + attributes +
                            "-a ipv4")
              << pair.gobgp("global rib add 2001:db8:1::/48 nexthop fd00::2" + attributes +
                            "-a ipv6");
  }
}

/// Routes go, both sides ask for a refresh, and the operator ends it with a word.
void live_and_end(const Pair& pair, Listener& peer) {
  if (pair.daemon == Daemon::bird) {
    pair.birdc("disable four");
    peer.settle();
    pair.birdc("disable six");
    peer.settle();
    pair.birdc("reload in weft");
  }
  if (pair.daemon == Daemon::frr) {
    configure_frr(
        pair, {"router bgp 65002", "address-family ipv4 unicast", "no network 203.0.113.0/25",
               "exit-address-family", "address-family ipv6 unicast", "no network 2001:db8:1::/48"});
    peer.settle();
    pair.vtysh("clear bgp ipv4 unicast " + pair.weft_address() + " soft in");
    pair.vtysh("clear bgp ipv6 unicast " + pair.weft_address() + " soft in");
  }
  if (pair.daemon == Daemon::gobgp) {
    pair.gobgp("global rib del 203.0.113.0/25 -a ipv4");
    pair.gobgp("global rib del 2001:db8:1::/48 -a ipv6");
    peer.settle();
    pair.gobgp("neighbor " + pair.weft_address() + " softresetin");
  }
  peer.settle();
  peer.send(bgp::RouteRefresh{ipv4, bgp::RouteRefresh::Subtype::request});
  peer.settle();
  pair.other_shuts_down("moving racks");
  peer.until([&] { return peer.count(MessageType::notification) != 0; });
}

void waits_for_the_word(const Pair&, Listener& peer) {
  peer.until([&] { return peer.count(MessageType::notification) != 0; });
}

/// IPv6 host routes enough that one UPDATE is longer than 4096 octets.
void originate_much(const Pair& pair) {
  std::vector<std::string> lines{"router bgp 65002", "address-family ipv6 unicast"};
  std::string bird = "protocol static more { ipv6;\n";
  for (int i = 1; i <= 260; ++i) {
    const std::string host = fmt::format("2001:db8:2::{:x}/128", i);
    lines.push_back("network " + host);
    bird += "  route " + host + " blackhole;\n";
  }
  if (pair.daemon == Daemon::bird) configure_bird(pair, bird + "}\n");
  if (pair.daemon == Daemon::frr) configure_frr(pair, lines);
}

void says_two_routes(const Pair& pair, Listener& peer) {
  peer.send(
      from_hex("ffffffff ffffffff ffffffff ffffffff 0033 02 0000 0014"
               "40010100 400206 02010000fde9 400304c0000201 18c63364 18cb0071"));
  waits_for_the_word(pair, peer);
}

Capabilities with(const std::function<void(Capabilities&)>& change) {
  Capabilities ours = usual();
  change(ours);
  return ours;
}

std::vector<Session> sessions() {
  const Dialect bird_restart{
      "graceful restart on; long lived graceful restart on; "
      "long lived stale time 3600; graceful restart time 90;",
      bird_attributes};
  const Dialect frr_restart{
      " bgp graceful-restart\n bgp graceful-restart restart-time 90\n"
      " bgp long-lived-graceful-restart stale-time 3600\n"};
  const std::string llgr =
      "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n"
      "[neighbors.afi-safis.long-lived-graceful-restart.config]\nenabled = true\n"
      "restart-time = 3600\n";
  const Dialect gobgp_restart{
      "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 90\n"
      "notification-enabled = true\nlong-lived-enabled = true\n",
      llgr};
  std::vector<Session> all;
  all.push_back(
      {"life",
       "RFC 4271 4.2, 4.3; RFC 4760 3, 4; RFC 1997; RFC 8092; RFC 4360; RFC 4724 2, 3; RFC 9494 3; "
       "RFC 9003 2",
       Row{.name = "life",
           .check = {},
           .bird = bird_restart,
           .frr = frr_restart,
           .gobgp = gobgp_restart,
           .gtsm = false},
       with([](Capabilities& ours) {
         ours.enhanced_route_refresh = true;
         ours.graceful_restart = bgp::GracefulRestart{
             false, true, std::chrono::seconds(120), {{ipv4, true}, {ipv6, true}}};
         ours.long_lived = {{ipv4, true, std::chrono::seconds(600)},
                            {ipv6, true, std::chrono::seconds(600)}};
       }),
       "", give_attributes, live_and_end});
  all.push_back({"internal", "RFC 4271 5.1.5: LOCAL_PREF between internal peers",
                 Row{.name = "internal", .check = {}, .internal = true, .gtsm = false}, usual(),
                 ""});
  all.push_back({"two-octet",
                 "RFC 6793 4.2.2: AS_TRANS and AS4_PATH to a peer without the capability",
                 Row{.name = "two", .check = {}, .bird = {"", bird_attributes}, .gtsm = false},
                 with([](Capabilities& ours) { ours.four_octet_as.reset(); }), "two-octet-as",
                 give_attributes});
  all.push_back(
      {"add-path", "RFC 7911 3: path identifiers in both families",
       Row{.name = "paths",
           .check = {},
           .bird = {"", "add paths on;"},
           .frr = {"", "  neighbor WEFT addpath-tx-all-paths\n"},
           .gobgp = {"", "[neighbors.afi-safis.add-paths.config]\nsend-max = 4\nreceive = true\n"},
           .gtsm = false},
       with([](Capabilities& ours) {
         ours.add_paths = {{ipv4, true, true}, {ipv6, true, true}};
       }),
       "add-path"});
  all.push_back({"extended-message", "RFC 8654 4: an UPDATE above 4096 octets",
                 Row{.name = "long",
                     .check = {},
                     .bird = {"enable extended messages on;"},
                     .gobgp = unsupported("GoBGP 3.10 has no RFC 8654"),
                     .gtsm = false},
                 with([](Capabilities& ours) { ours.extended_message = true; }), "extended-message",
                 originate_much});
  all.push_back({"extended-next-hop", "RFC 8950 3, 4: IPv4 routes behind an IPv6 next hop",
                 Row{.name = "hops",
                     .check = {},
                     .bird = {"", "extended next hop on; next hop address fd00::2;"},
                     .frr = {" neighbor WEFT capability extended-nexthop\n"},
                     .ipv6 = true,
                     .gtsm = false},
                 with([](Capabilities& ours) {
                   ours.extended_next_hops = {{ipv4, 2}};
                 }),
                 "extended-next-hop", [](const Pair& pair) {
                   if (pair.daemon == Daemon::frr)
                     configure_frr(pair, {"route-map four permit 10", "no set ip next-hop"});
                   if (pair.daemon == Daemon::gobgp)
                     pair.gobgp("global rib add 198.51.100.0/24 nexthop fd00::2 -a ipv4");
                 }});
  all.push_back({"role", "RFC 9234 4.1, 5: a provider's role, and the OTC it adds",
                 Row{.name = "role",
                     .check = {},
                     .bird = {"local role provider;"},
                     .frr = {" neighbor WEFT local-role provider\n"},
                     .gobgp = unsupported("GoBGP 3.10 has no RFC 9234"),
                     .gtsm = false},
                 with([](Capabilities& ours) { ours.role = bgp::Role::customer; })});
  all.push_back({"hold",
                 "RFC 4271 6.5: Hold Timer Expired",
                 Row{.name = "hold", .check = {}, .gtsm = false},
                 usual(),
                 "",
                 {},
                 [](const Pair& pair, Listener& peer) {
                   peer.silent = true;
                   waits_for_the_word(pair, peer);
                 },
                 3});
  all.push_back({"bad-as",
                 "RFC 4271 6.2: Bad Peer AS",
                 Row{.name = "as", .check = {}, .gtsm = false},
                 with([](Capabilities& ours) { ours.four_octet_as = Asn{64999}; }),
                 "",
                 {},
                 waits_for_the_word,
                 9,
                 64999});
  all.push_back({"hold-1",
                 "RFC 4271 6.2: Unacceptable Hold Time",
                 Row{.name = "one", .check = {}, .gtsm = false},
                 usual(),
                 "",
                 {},
                 waits_for_the_word,
                 1});
  all.push_back({"marker",
                 "RFC 4271 6.1: Connection Not Synchronized",
                 Row{.name = "marker",
                     .check = {},
                     .gobgp = unsupported("GoBGP 3.10 closes without a word"),
                     .gtsm = false},
                 usual(),
                 "",
                 {},
                 [](const Pair& pair, Listener& peer) {
                   peer.send(from_hex("00000000 00000000 00000000 00000000 0013 04"));
                   waits_for_the_word(pair, peer);
                 }});
  all.push_back({"max-prefix",
                 "RFC 4486 4: Maximum Number of Prefixes Reached",
                 Row{.name = "limit",
                     .check = {},
                     .bird = {"", "import limit 1 action disable;"},
                     .frr = unsupported("FRR 8.4 was not seen to say it of two routes"),
                     .gobgp = {"", "[neighbors.afi-safis.prefix-limit.config]\nmax-prefixes = 1\n"},
                     .gtsm = false},
                 usual(),
                 "",
                 {},
                 says_two_routes});
  return all;
}

std::string version(Daemon daemon) {
  std::string said;
  if (daemon == Daemon::bird) said = shell("bird --version");
  if (daemon == Daemon::frr) said = shell("/usr/lib/frr/bgpd --version");
  if (daemon == Daemon::gobgp) said = shell("gobgpd --version");
  return said.substr(0, said.find('\n'));
}

std::string text(const Session& session, Daemon daemon, const Listener& heard) {
  std::string all = "# " + session.clauses +
                    "\n# Recorded with tests/conformance/record; origin: " + version(daemon) + "\n";
  all += "session: " + std::string(session.row.internal ? "internal" : "from-65002") +
         (session.words.empty() ? "" : " " + session.words) + "\n";
  all += "in:\n";
  for (const auto& message : heard.messages) {
    all += fmt::format("# {}\n",
                       bgp::name(static_cast<MessageType>(std::to_integer<int>(message[18]))));
    const std::string hex = to_hex(message);
    for (std::size_t at = 0; at < hex.size(); at += 64) {
      std::string line;
      for (std::size_t i = at; i < std::min(at + 64, hex.size()); i += 8)
        line += ' ' + hex.substr(i, 8);
      all += ' ' + line + '\n';
    }
  }
  return all + "out:\n";
}

void record(const Session& session, Daemon daemon, const std::filesystem::path& folder) {
  Pair pair(daemon, session.row, "");
  if (!pair.dialect().unsupported.empty()) return;
  pair.start_other();
  if (session.prepare) session.prepare(pair);
  Listener peer(pair);
  peer.accept();
  peer.until([&] { return peer.count(MessageType::open) != 0; });
  bgp::Open open{Asn{session.asn}, std::chrono::seconds(session.hold_time),
                 bgp::RouterId{0x0aff0001}, session.ours};
  peer.send(open);
  peer.send(bgp::Keepalive());
  // Who has restarted waits for it before it says anything.
  std::vector<std::byte> ends;
  bgp::encode_end_of_rib(ipv4, ends);
  bgp::encode_end_of_rib(ipv6, ends);
  peer.send(ends);
  if (session.ours.extended_message) peer.max_message = bgp::max_extended_message_size;
  peer.until(
      [&] {
        return peer.count(MessageType::update) >= 2 || peer.count(MessageType::notification) != 0;
      },
      15s);
  if (peer.count(MessageType::notification) == 0) {
    peer.settle();
    if (session.act) session.act(pair, peer);
  }
  std::filesystem::create_directories(folder);
  std::ofstream(folder / (session.name + ".case")) << text(session, daemon, peer);
  std::cout << folder / session.name << ": " << peer.messages.size() << " messages" << std::endl;
}

}  // namespace
}  // namespace weft::interop

int main(int argc, char** argv) {
  using namespace weft::interop;
  if (argc < 2 || ::geteuid() != 0) {
    std::cerr << "usage, as root: record DIR [SESSION...]\n";
    return 2;
  }
  const std::vector<std::string> wanted(argv + 2, argv + argc);
  int failed = 0;
  for (const Daemon daemon : {Daemon::bird, Daemon::frr, Daemon::gobgp}) {
    std::string leaf(name(daemon));
    leaf[0] = static_cast<char>(std::tolower(leaf[0]));
    for (const Session& session : sessions()) {
      if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), session.name) == wanted.end())
        continue;
      try {
        record(session, daemon, std::filesystem::path(argv[1]) / leaf);
      } catch (const std::exception& error) {
        std::cerr << leaf << ' ' << session.name << ": " << error.what() << '\n';
        failed = 1;
      }
    }
  }
  return failed;
}
