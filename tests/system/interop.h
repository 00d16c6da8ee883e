// One weftd beside one BIRD, FRR or GoBGP, each as installed, in two namespaces: what the rows of
// interop_matrix_test.cc are run on. A row says what both sides have configured besides the base
// below and what must then be seen; here is how each daemon is started and asked.
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
};
inline Dialect unsupported(std::string why) {
  return {"", "", std::move(why), ""};
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

  [[nodiscard]] const Dialect& dialect() const {
    return daemon == Daemon::bird ? row.bird : daemon == Daemon::frr ? row.frr : row.gobgp;
  }
  [[nodiscard]] std::string weft_address() const { return row.ipv6 ? "fd00::1" : "192.0.2.1"; }
  [[nodiscard]] std::string other_address() const { return row.ipv6 ? "fd00::2" : "192.0.2.2"; }
  [[nodiscard]] std::string file(const std::string& leaf) const {
    return (hosts.directory / leaf).string();
  }

  void start() {
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
    const std::string identity =
        row.identity.empty() ? "name: peer, address: \"" + other_address() + "\"" : row.identity;
    hosts.write("weft.yaml", R"(node: {name: weft, asn: 65001, router-id: 10.255.0.1}
pools:
  containers: {ipv4: 10.64.0.0/24, ipv6: "fd64::/120", claim: {static: {index: 0}}}
bgp:
)" + row.bgp + R"(
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
  /// weftd knows a way there that it learned.
  [[nodiscard]] bool knows(const std::string& prefix) const {
    const json reply = ctl("routes " + prefix);
    return reply.is_object() && !reply["routes"].empty() && reply["routes"][0]["source"] == "bgp";
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
    if (daemon == Daemon::bird) return birdc("show protocols all weft");
    if (daemon == Daemon::frr) return vtysh("show bgp neighbors " + weft_address());
    return gobgp("neighbor " + weft_address());
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
    // By either address of weftd: over IPv6, IPv4 routes may have next hops of both kinds.
    const std::string said = other_route(prefix);
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
  std::string vtysh(const std::string& words) const {
    return shell("vtysh --vty_socket " + hosts.directory.string() + " -d bgpd -c '" + words + "'");
  }
  std::string gobgp(const std::string& words) const {
    return shell("ip netns exec " + hosts.b + " gobgp " + words);
  }
  /// The operator there takes the session down and says why.
  void other_shuts_down(const std::string& why) const {
    if (daemon == Daemon::bird) birdc("'disable weft \"" + why + "\"'");
    if (daemon == Daemon::frr) {
      shell("vtysh --vty_socket " + hosts.directory.string() +
            " -d bgpd -c 'configure terminal' -c 'router bgp " + other_as() + "' -c 'neighbor " +
            weft_address() + " shutdown message " + why + "'");
    }
    if (daemon == Daemon::gobgp) gobgp("neighbor " + weft_address() + " disable '" + why + "'");
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
  [[nodiscard]] std::string filled(std::string text) const {
    for (std::size_t at = 0; (at = text.find("WEFT")) != std::string::npos;)
      text.replace(at, 4, weft_address());
    return text;
  }
  void spawn(const std::vector<std::string>& words, const std::string& log) {
    others.push_back(std::make_unique<Process>(hosts.b, words, file(log)));
  }

  void start_bird() {
    const std::string config = hosts.write(
        "bird.conf", R"(
log stderr all;
router id 192.0.2.2;
protocol device { scan time 1; }
protocol static four { ipv4; route 198.51.100.0/24 blackhole; route 203.0.113.0/25 blackhole; }
protocol static six { ipv6; route 2001:db8:1::/48 blackhole; }
protocol bgp weft {
  local )" + other_address() +
                         " as " + other_as() + "; neighbor " + weft_address() + " as " +
                         row.weft_as + ";\n" + (row.gtsm ? "  ttl security on;\n" : "") + R"(
  hold time 9; connect retry time 1; connect delay time 1; error wait time 1,2;
  )" + filled(dialect().session) +
                         R"(
  ipv4 { import all; export where source = RTS_STATIC; next hop address 192.0.2.2; )" +
                         dialect().family + R"( };
  ipv6 { import all; export where source = RTS_STATIC; next hop address fd00::2; )" +
                         dialect().family + " };\n}\n");
    spawn({"bird", "-f", "-c", config, "-s", file("bird.ctl")}, "bird.log");
  }

  void start_frr() {
    const std::string zebra = hosts.write("zebra.conf", "hostname b\n");
    const std::string neighbor = " neighbor " + weft_address();
    const std::string config =
        hosts.write("bgpd.conf", "log stdout\nrouter bgp " + other_as() + R"(
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
)" + neighbor + " remote-as " + row.weft_as +
                                     "\n" + neighbor + " timers 3 9\n" + neighbor +
                                     " timers connect 1\n" +
                                     (row.gtsm ? neighbor + " ttl-security hops 1\n" : "") +
                                     filled(dialect().session) + R"(
 address-family ipv4 unicast
  network 198.51.100.0/24
  network 203.0.113.0/25
 )" + neighbor + " activate\n " + neighbor +
                                     " route-map four out\n" + filled(dialect().family) + R"(
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:1::/48
 )" + neighbor + " activate\n " + neighbor +
                                     " route-map six out\n" + filled(dialect().family) +
                                     R"(
 exit-address-family
route-map four permit 10
 set ip next-hop 192.0.2.2
route-map six permit 10
 set ipv6 next-hop global fd00::2
)");
    for (const auto& [program, with] : {std::pair{"zebra", zebra}, std::pair{"bgpd", config}}) {
      spawn({std::string("/usr/lib/frr/") + program, "-f", with, "-i",
             file(std::string(program) + ".pid"), "-z", file("zserv.api"), "--vty_socket",
             hosts.directory.string()},
            std::string(program) + ".log");
    }
  }

  void start_gobgp() {
    const std::string config = hosts.write("gobgpd.toml", R"([global.config]
as = )" + other_as() + R"(
router-id = "192.0.2.2"
[[neighbors]]
[neighbors.config]
neighbor-address = ")" + weft_address() + "\"\npeer-as = " + row.weft_as +
                                                              "\n" + dialect().config +
                                                              R"([neighbors.timers.config]
hold-time = 9
keepalive-interval = 3
connect-retry = 1
idle-hold-time-after-reset = 1
)" + (row.gtsm ? "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n" : "") +
                                                              filled(dialect().session) + R"(
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
)" + dialect().family + R"(
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv6-unicast"
)" + dialect().family);
    spawn({"gobgpd", "-f", config, "-t", "toml", "--api-hosts", "127.0.0.1:50051"}, "gobgpd.log");
    until([&] { return gobgp("global").find("65") != std::string::npos; });
    for (const char* route :
         {"198.51.100.0/24 nexthop 192.0.2.2 -a ipv4", "203.0.113.0/25 nexthop 192.0.2.2 -a ipv4",
          "2001:db8:1::/48 nexthop fd00::2 -a ipv6"}) {
      gobgp(std::string("global rib add ") + route);
    }
  }
};

}  // namespace weft::interop
