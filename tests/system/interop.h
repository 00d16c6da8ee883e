// One weftd beside one BIRD, FRR or GoBGP, each as installed, in two namespaces: what the rows of
// the interop matrix (interop_matrix.h) are run on. A row says what both sides have configured
// besides the base below and what must then be seen; here is how each daemon is started and asked.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "net/time.h"
#include "tests/system/two_hosts.h"

namespace weft::interop {

using nlohmann::json;
using system_test::Process;
using system_test::RouterBetween;
using system_test::shell;
using system_test::TwoHosts;

/// The machine may be busy; a condition that holds earlier ends the wait.
inline constexpr std::chrono::seconds patience{60};

enum class Daemon : std::uint8_t { bird, frr, gobgp };
inline constexpr std::string_view name(Daemon daemon) {
  return daemon == Daemon::bird ? "Bird" : daemon == Daemon::frr ? "Frr" : "Gobgp";
}

/// What one daemon's configuration says in a row, in its own language.
/// BIRD: lines inside `protocol bgp`. FRR: lines inside `router bgp`. GoBGP: tables of one
/// neighbour. WEFT stands for the address of weftd.
struct Dialect {
  std::string session{};
  /// BIRD: inside the channels; FRR: inside each address family.
  std::string family{};
  /// Why the daemon cannot take part; empty: it does.
  std::string unsupported{};
  /// GoBGP: keys of [neighbors.config].
  std::string config{};
  /// BIRD, FRR: lines outside of that. GoBGP: attributes of 198.51.100.0/24.
  std::string more{};
};
inline Dialect unsupported(std::string why) {
  return {"", "", std::move(why), "", ""};
}

class Pair;

struct Row {
  std::string name;
  std::function<void(Pair&)> check;
  /// Keys of weftd's peer beside address and the base: "multihop: 2, passive: true".
  std::string weft{};
  Dialect bird{};
  Dialect frr{};
  Dialect gobgp{};
  /// The session runs over IPv6.
  bool ipv6 = false;
  bool internal = false;
  /// Off: the other leaves the TTL alone, and so does weftd unless `weft` says otherwise.
  bool gtsm = true;
  /// Who the peer is: "listen: 192.0.2.0/24"; empty: its address.
  std::string identity{};
  /// Lines under weftd's `bgp:`.
  std::string bgp{};
  /// The link has no addresses but link-local ones, and is what both sides name (FRR: for WEFT).
  bool unnumbered = false;
  /// A router stands between both, and is the next hop of all that the other tells.
  bool routed = false;
  /// FRR's BFD is a daemon of its own.
  bool bfd = false;
  /// What the other takes weftd's AS for.
  std::string weft_as = "65001";
};

/// weftd at 192.0.2.1, fd00::1, AS 65001, origin of 10.64.0.0/26 and fd64::/122; the other at
/// 192.0.2.2, fd00::2, AS 65002 (65001 when internal), origin of 198.51.100.0/24, 203.0.113.0/25
/// and 2001:db8:1::/48.
class Pair {
 public:
  /// `folder`: where weftd and weftctl are.
  Pair(Daemon other, Row what, std::string folder)
      : daemon(other), row(std::move(what)), programs(std::move(folder)) {}

  const Daemon daemon;
  const Row row;
  const std::string programs;
  TwoHosts hosts;
  std::unique_ptr<RouterBetween> router;
  /// Lines under weftd's `bgp:` from its next start or reload() on.
  std::string bgp = row.bgp;
  /// The other's IPv4 routes from its next start on.
  std::vector<std::string> routes{"198.51.100.0/24", "203.0.113.0/25"};
  /// The other's next start is the end of a restart.
  bool restarting = false;

  [[nodiscard]] const Dialect& dialect() const {
    return daemon == Daemon::bird ? row.bird : daemon == Daemon::frr ? row.frr : row.gobgp;
  }
  [[nodiscard]] std::string weft_address() const {
    return row.unnumbered ? "weft0" : row.ipv6 ? "fd00::1" : "192.0.2.1";
  }
  [[nodiscard]] std::string other_address() const { return row.ipv6 ? "fd00::2" : "192.0.2.2"; }
  [[nodiscard]] std::string file(const std::string& leaf) const {
    return (hosts.directory / leaf).string();
  }

  void start() {
    if (row.unnumbered) {
      for (const std::string& host : {hosts.a, hosts.b})
        system_test::must("ip -n " + host + " address flush dev weft0 scope global");
    }
    if (row.routed) router = std::make_unique<RouterBetween>(hosts);
    start_other();
    start_weft();
  }

  // ---- weftd

  void start_weft() { start_weft(row.weft); }
  void start_weft(const std::string& peer) {
    write_weft_config(peer);
    std::filesystem::create_directories(file("state"));
    weftd = std::make_unique<Process>(
        hosts.a,
        std::vector<std::string>{programs + "/weftd", "--config", file("weft.yaml"), "--state-dir",
                                 file("state"), "--socket", file("weft.sock"), "--log-level",
                                 "debug"},
        file("weftd.log"));
  }
  /// Takes effect at the next start, or with reload().
  void write_weft_config(const std::string& peer) {
    const std::string identity = !row.identity.empty() ? row.identity
                                 : row.unnumbered
                                     ? "name: peer, interface: weft0"
                                     : "name: peer, address: \"" + other_address() + "\"";
    hosts.write("weft.yaml", R"(node: {name: weft, asn: 65001, router-id: 10.255.0.1}
pools:
  containers: {ipv4: 10.64.0.0/24, ipv6: "fd64::/120", claim: {static: {index: 0}}}
bgp:
)" + bgp + R"(
  groups:
    base: {hold-time: 9, connect-retry: 1, idle-hold: 1, import: accept)" +
                                 (row.gtsm ? "" : ", gtsm: false") + R"(}
  peers:
    - {group: base, )" + identity +
                                 (row.internal ? ", remote-as: internal" : "") +
                                 (peer.empty() ? "" : ", ") + peer + "}\n");
  }
  void reload(const std::string& peer) {
    write_weft_config(peer);
    weftd->signal(SIGHUP);
  }
  /// "peers --json" and the like; the reply without its envelope, null when there is none.
  [[nodiscard]] json ctl(const std::string& words) const {
    const std::string said =
        shell(programs + "/weftctl --socket " + file("weft.sock") + " --json " + words);
    const json reply = json::parse(said.substr(0, said.find('\n')), nullptr, false);
    return reply.is_object() ? reply.value("ok", json()) : json();
  }
  /// As an operator sees it.
  std::string weftctl(const std::string& words) const {
    return shell(programs + "/weftctl --socket " + file("weft.sock") + " " + words);
  }
  [[nodiscard]] json peer() const {
    const json reply = ctl("peers");
    if (!reply.is_object() || reply["peers"].empty()) return json::object();
    return reply["peers"][0];
  }
  [[nodiscard]] std::string state() const { return peer().value("state", ""); }
  [[nodiscard]] std::string last_error() const { return peer().value("last_error", ""); }
  [[nodiscard]] std::vector<std::string> capabilities() const {
    return peer().value("capabilities", std::vector<std::string>());
  }
  /// weftd uses a way there that it learned.
  [[nodiscard]] bool knows(const std::string& prefix) const {
    const json reply = ctl("routes " + prefix);
    if (!reply.is_object() || reply["routes"].empty()) return false;
    const json& route = reply["routes"][0];
    return route["source"] == "bgp" && route["paths"][0]["best"] == true;
  }
  [[nodiscard]] std::string weft_log() const { return shell("cat " + file("weftd.log")); }

  // ---- the other

  void start_other() {
    if (daemon == Daemon::bird) start_bird();
    if (daemon == Daemon::frr) start_frr();
    if (daemon == Daemon::gobgp) start_gobgp();
  }
  void stop_other(int signal) {
    for (const auto& process : others) process->end(signal);
    others.clear();
  }
  /// What it says of the session.
  [[nodiscard]] std::string other_session() const {
    if (daemon == Daemon::bird) return birdc("show protocols all");
    if (daemon == Daemon::frr) return vtysh("show bgp neighbors " + weft_address());
    return gobgp(row.unnumbered ? "neighbor" : "neighbor " + weft_address());
  }
  /// What it says of a route; the text "65001" in it means that it came from weftd (eBGP).
  [[nodiscard]] std::string other_route(const std::string& prefix) const {
    const bool v6 = prefix.find(':') != std::string::npos;
    if (daemon == Daemon::bird) return birdc("show route " + prefix + " all");
    if (daemon == Daemon::frr)
      return vtysh(std::string("show bgp ") + (v6 ? "ipv6" : "ipv4") + " unicast " + prefix);
    return gobgp(std::string("global rib ") + prefix + (v6 ? " -a ipv6" : " -a ipv4"));
  }
  [[nodiscard]] bool other_knows(const std::string& prefix) const {
    // By any address of weftd: over IPv6, IPv4 routes may have next hops of both kinds.
    const std::string said = other_route(prefix);
    if (row.unnumbered) return said.find("fe80::") != std::string::npos;
    if (row.routed && said.find("fd09:1::2") != std::string::npos) return true;
    return said.find("fd00::1") != std::string::npos || said.find("192.0.2.1") != std::string::npos;
  }
  [[nodiscard]] std::string other_log() const {
    const char* log = daemon == Daemon::bird  ? "bird.log"
                      : daemon == Daemon::frr ? "bgpd.log"
                                              : "gobgpd.log";
    return shell("cat " + file(log));
  }
  std::string birdc(const std::string& words) const {
    return shell("birdc -s " + file("bird.ctl") + " " + words);
  }
  std::string vtysh(const std::string& words) const { return hosts.vtysh(words); }
  std::string gobgp(const std::string& words) const {
    return shell("ip netns exec " + hosts.b + " gobgp " + words);
  }
  /// The operator there takes the session down and says why.
  void other_shuts_down(const std::string& why) const {
    if (daemon == Daemon::bird) birdc("'disable weft \"" + why + "\"'");
    if (daemon == Daemon::frr) {
      configure_frr(
          {"router bgp " + other_as(), "neighbor " + weft_address() + " shutdown message " + why});
    }
    // Its `disable` takes a reason, too, and keeps it to itself.
    if (daemon == Daemon::gobgp)
      gobgp("neighbor " + weft_address() + " reset --reason '" + why + "'");
  }
  /// Lines as an operator types them after `configure terminal`.
  void configure_frr(const std::vector<std::string>& lines) const {
    std::string words =
        "vtysh --vty_socket " + hosts.directory.string() + " -d bgpd -c 'configure terminal'";
    for (const std::string& line : lines) words += " -c '" + line + "'";
    shell(words);
  }

  [[nodiscard]] std::string bfd_sessions() const {
    return daemon == Daemon::bird ? birdc("show bfd sessions")
                                  : hosts.vtysh("show bfd peers", "bfdd");
  }
  /// It stands still, its connection does not end. FRR: only what speaks BFD.
  void silence_bfd(bool silent) const {
    const Process& speaker = daemon == Daemon::frr ? *others.at(1) : *others.front();
    speaker.signal(silent ? SIGSTOP : SIGCONT);
  }

  // ---- waiting

  bool until(const std::function<bool()>& condition, Clock::duration limit = patience) const {
    const Time end = Clock::now() + limit;
    while (!condition()) {
      if (Clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
    return true;
  }
  bool established() {
    return until([&] { return state() == "Established"; });
  }
  /// Both ways, both families.
  bool exchanges_routes() {
    return until([&] {
      return knows("198.51.100.0/24") && knows("2001:db8:1::/48") && other_knows("10.64.0.0/26") &&
             other_knows("fd64::/122");
    });
  }
  /// All that helps to see what went wrong.
  [[nodiscard]] std::string story() const {
    return "\n-- weftctl peers --detail\n" + weftctl("peers --detail") + "-- weftd\n" + weft_log() +
           "-- " + std::string(name(daemon)) + "\n" + other_session() + other_log();
  }

  std::unique_ptr<Process> weftd;
  std::vector<std::unique_ptr<Process>> others;

 private:
  [[nodiscard]] std::string other_as() const { return row.internal ? "65001" : "65002"; }
  [[nodiscard]] std::string hops() const { return row.routed ? "2" : "1"; }
  /// Of what the other tells.
  [[nodiscard]] std::string next_hop4() const { return row.routed ? "10.9.1.1" : "192.0.2.2"; }
  [[nodiscard]] std::string next_hop6() const { return row.routed ? "fd09:1::1" : "fd00::2"; }
  [[nodiscard]] std::string filled(std::string text) const {
    for (std::size_t at = 0; (at = text.find("WEFT")) != std::string::npos;)
      text.replace(at, 4, weft_address());
    return text;
  }
  [[nodiscard]] static std::string link_local(const std::string& host) {
    const json said = json::parse(
        shell("ip -n " + host + " -j -6 address show dev weft0 scope link"), nullptr, false);
    return said.at(0).at("addr_info").at(0).at("local");
  }
  void spawn(const std::vector<std::string>& words, const std::string& log) {
    others.push_back(std::make_unique<Process>(hosts.b, words, file(log)));
  }

  void start_bird() {
    std::string four;
    for (const std::string& route : routes) four += " route " + route + " blackhole;";
    // Its protocol of a link is a template, of which it makes "link1".
    const std::string session =
        row.unnumbered ? "local as " + other_as() + "; neighbor range fe80::/10 as " + row.weft_as +
                             "; interface \"weft0\"; dynamic name \"link\";\n"
                       : "local " + other_address() + " as " + other_as() + "; neighbor " +
                             weft_address() + " as " + row.weft_as + ";\n";
    const std::string hop4 =
        row.unnumbered ? "extended next hop on; " : "next hop address " + next_hop4() + "; ";
    const std::string hop6 = row.unnumbered ? "" : "next hop address " + next_hop6() + "; ";
    const std::string advertises =
        row.unnumbered ? "protocol radv { interface \"weft0\" { min ra interval 3; max ra interval "
                         "4; default lifetime 0; }; }\n"
                       : "";
    const std::string config = hosts.write(
        "bird.conf", R"(
log stderr all;
router id 192.0.2.2;
protocol device { scan time 1; }
protocol static four { ipv4;)" +
                         four + R"( }
protocol static six { ipv6; route 2001:db8:1::/48 blackhole; }
protocol bgp weft {
  )" + session + (row.gtsm ? "  ttl security on;\n" : "") +
                         R"(
  hold time 9; connect retry time 1; connect delay time 1; error wait time 1,2;
  )" + filled(dialect().session) +
                         "\n  ipv4 { import all; export where source = RTS_STATIC; " + hop4 +
                         dialect().family +
                         " };\n  ipv6 { import all; export where source = RTS_STATIC; " + hop6 +
                         dialect().family + " };\n}\n" + advertises + dialect().more);
    std::vector<std::string> words{"bird", "-f", "-c", config, "-s", file("bird.ctl")};
    if (restarting) words.emplace_back("-R");
    spawn(words, "bird.log");
  }

  void start_frr() {
    const std::string neighbor = " neighbor " + weft_address();
    std::string four;
    for (const std::string& route : routes) four += "  network " + route + "\n";
    const std::string config = R"(log stdout
bgp as-path access-list own permit ^$
route-map four permit 10
 match as-path own
 set ip next-hop )" + next_hop4() +
                               R"(
route-map six permit 10
 match as-path own
 set ipv6 next-hop global )" + next_hop6() +
                               "\n" + filled(dialect().more) + "router bgp " + other_as() + R"(
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
)" + neighbor + (row.unnumbered ? " interface" : "") +
                               " remote-as " + row.weft_as + "\n" + neighbor + " timers 3 9\n" +
                               neighbor + " timers connect 1\n" +
                               (row.gtsm ? neighbor + " ttl-security hops " + hops() + "\n" : "") +
                               filled(dialect().session) + "\n address-family ipv4 unicast\n" +
                               four + " " + neighbor + " activate\n" +
                               (row.unnumbered ? "" : " " + neighbor + " route-map four out\n") +
                               filled(dialect().family) + R"(
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:1::/48
 )" + neighbor + " activate\n" +
                               (row.unnumbered ? "" : " " + neighbor + " route-map six out\n") +
                               filled(dialect().family) + R"(
 exit-address-family
)";
    // Who finds no zebra tries again after 10 s. Until then bgpd knows no interfaces, and refuses
    // IPv6 next hops with a link-local address; what it asks bfdd for is lost.
    std::filesystem::remove(file("zserv.api"));
    spawn(hosts.frr("zebra", "hostname b\n"), "zebra.log");
    until([&] { return std::filesystem::exists(file("zserv.api")); });
    if (row.bfd) start_bfdd();
    spawn(hosts.frr("bgpd", config), "bgpd.log");
  }
  void start_bfdd() {
    std::vector<std::string> words = hosts.frr("bfdd", "hostname b\n");
    words.insert(words.end(), {"--bfdctl", file("bfdd.sock")});
    spawn(words, "bfdd.log");
    until([&] { return bfd_sessions().find("BFD Peers:") != std::string::npos; });
  }

  void start_gobgp() {
    std::string neighbour = "neighbor-address = \"" + weft_address() + "\"";
    if (row.unnumbered) {
      // It looks once who is on the link, among those that the kernel has met.
      const std::string there = link_local(hosts.a);
      until([&] {
        return shell("ip netns exec " + hosts.b + " ping -c 1 -W 1 " + there + "%weft0")
                   .find("1 received") != std::string::npos;
      });
      neighbour = "neighbor-interface = \"weft0\"";
    }
    const std::string config =
        hosts.write("gobgpd.toml",
                    "[global.config]\nas = " + other_as() + R"(
router-id = "192.0.2.2"
[[neighbors]]
[neighbors.config]
)" + neighbour + "\npeer-as = " +
                        row.weft_as + "\n" + dialect().config + R"([neighbors.timers.config]
hold-time = 9
keepalive-interval = 3
connect-retry = 1
idle-hold-time-after-reset = 1
)" +
                        (row.gtsm ? "[neighbors.ttl-security.config]\nenabled = true\nttl-min = " +
                                        std::string(row.routed ? "254" : "255") + "\n"
                                  : "") +
                        filled(dialect().session) + R"(
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
)" + dialect().family + R"(
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv6-unicast"
)" + dialect().family);
    std::vector<std::string> words{"gobgpd", "-f",          config,           "-t",
                                   "toml",   "--api-hosts", "127.0.0.1:50051"};
    if (restarting) {
      words.emplace_back("-r");
      // Its routes come by its CLI, and must be there before it says End-of-RIB.
      shell("ip -n " + hosts.b + " route add blackhole " + weft_address());
    }
    spawn(words, "gobgpd.log");
    until([&] { return gobgp("global").find("65") != std::string::npos; });
    const std::string four = row.unnumbered ? "" : " nexthop " + next_hop4();
    const std::string six = row.unnumbered ? "" : " nexthop " + next_hop6();
    for (const std::string& route : routes) {
      const bool marked = route == routes.front();
      gobgp("global rib add " + route + four + (marked ? dialect().more : "") + " -a ipv4");
    }
    gobgp("global rib add 2001:db8:1::/48" + six + " -a ipv6");
    if (restarting) shell("ip -n " + hosts.b + " route del blackhole " + weft_address());
  }
};

}  // namespace weft::interop
