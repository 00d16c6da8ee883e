#include "tests/conformance/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "bgp/attributes.h"
#include "bgp/speaker.h"
#include "tests/bgp/hex.h"
#include "tests/conformance/describe.h"

namespace weft::bgp {
namespace {

using std::chrono::seconds;

constexpr Time start{std::chrono::hours(1)};
constexpr AfiSafi ipv4 = unicast(Family::ipv4);
constexpr AfiSafi ipv6 = unicast(Family::ipv6);

Address address(const std::string& text) {
  return Address::parse(text).value();
}
std::uint32_t number(const std::string& text) {
  return static_cast<std::uint32_t>(std::stoul(text));
}

/// Words of `peer:`; "name=value" gives its value.
const std::map<std::string, std::function<void(PeerSettings&, const std::string&)>> settings{
    {"passive", [](auto& peer, auto&) { peer.passive = true; }},
    {"internal", [](auto& peer, auto&) { peer.remote_as = Asn{65001}; }},
    {"external", [](auto& peer, auto&) { peer.remote_as = RemoteAs::external; }},
    {"hold-time", [](auto& peer, auto& value) { peer.hold_time = seconds(number(value)); }},
    {"delay-open", [](auto& peer, auto& value) { peer.delay_open = seconds(number(value)); }},
    {"idle-hold", [](auto& peer, auto& value) { peer.idle_hold = seconds(number(value)); }},
    {"restart-time", [](auto& peer, auto& value) { peer.restart_time = seconds(number(value)); }},
    {"stale-time", [](auto& peer, auto& value) { peer.stale_time = seconds(number(value)); }},
    {"long-lived",
     [](auto& peer, auto& value) { peer.long_lived_stale_time = seconds(number(value)); }},
    {"prefix-limit", [](auto& peer, auto& value) { peer.prefix_limit = number(value); }},
    {"local-as", [](auto& peer, auto& value) { peer.local_as = Asn{number(value)}; }},
    {"customer", [](auto& peer, auto&) { peer.role = Role::customer; }},
    {"role-strict", [](auto& peer, auto&) { peer.role_strict = true; }},
    {"blackhole", [](auto& peer, auto&) { peer.blackhole = true; }},
    {"host", [](auto& peer, auto&) { peer.import_filter = Filter::host; }},
    {"no-graceful-restart",
     [](auto& peer, auto&) { peer.graceful_restart = GracefulRestartMode::off; }},
};

/// Words of the peer's OPEN.
const std::map<std::string, std::function<void(Open&, const std::string&)>> open_words{
    {"as", [](auto& open, auto& value) { open.asn = Asn{number(value)}; }},
    {"hold", [](auto& open, auto& value) { open.hold_time = seconds(number(value)); }},
    {"id", [](auto& open, auto& value) { open.id = RouterId{address(value).v4()}; }},
    {"refresh", [](auto& open, auto&) { open.capabilities.route_refresh = true; }},
    {"enhanced-refresh",
     [](auto& open, auto&) { open.capabilities.enhanced_route_refresh = true; }},
    {"role-provider", [](auto& open, auto&) { open.capabilities.role = Role::provider; }},
    {"role-peer", [](auto& open, auto&) { open.capabilities.role = Role::peer; }},
    {"ipv6-only", [](auto& open, auto&) { open.capabilities.families = {ipv6}; }},
    {"restart",
     [](auto& open, auto& value) {
       open.capabilities.graceful_restart =
           GracefulRestart{false, false, seconds(number(value)), {{ipv4, true}, {ipv6, true}}};
     }},
    {"notification-too",
     [](auto& open, auto&) { open.capabilities.graceful_restart.value().notification = true; }},
    {"not-preserved",
     [](auto& open, auto&) {
       for (auto& family : open.capabilities.graceful_restart.value().families)
         family.forwarding = false;
     }},
    {"long-lived",
     [](auto& open, auto& value) {
       open.capabilities.long_lived = {{ipv4, true, seconds(number(value))},
                                       {ipv6, true, seconds(number(value))}};
     }},
};

template <typename Words, typename Target>
void apply(const Words& known, const std::string& word, Target& target) {
  const std::size_t equals = word.find('=');
  const auto found = known.find(word.substr(0, equals));
  if (found == known.end()) throw std::runtime_error("no word " + word);
  found->second(target, equals == std::string::npos ? "" : word.substr(equals + 1));
}

class Bench {
 public:
  explicit Bench(const Settings& node) : speaker_(node, 1, start), peer_(node.peers.at(0)) {
    speaker_.connected({{address("192.0.2.1"), Prefix(address("192.0.2.0"), 24), 1},
                        {address("fd00::1"), Prefix(address("fd00::"), 64), 1}},
                       now_);
    speaker_.tick(now_);
    look();
  }

  void step(const std::string& line) {
    out_ += "> " + line + '\n';
    std::istringstream words(line);
    std::string first;
    words >> first;
    std::vector<std::string> rest;
    for (std::string word; words >> word;) rest.push_back(word);
    if (first.find_first_not_of("0123456789") == std::string::npos) {
      hear(number(first), rest);
    } else {
      happen(first, rest);
    }
    look();
  }
  [[nodiscard]] const std::string& out() const { return out_; }

 private:
  void happen(const std::string& what, const std::vector<std::string>& rest) {
    const auto connection = [&] { return names_.at(number(rest.at(0)) - 1); };
    if (what == "accept") {
      const auto id = speaker_.accepted(peer_.address, address("192.0.2.1"), now_, 0);
      if (!id) out_ += "refused\n";
      if (id) names_.push_back(*id);
    } else if (what == "opened") {
      speaker_.opened(connection(), address("192.0.2.1"), now_);
    } else if (what == "failed") {
      speaker_.failed(connection(), "Connection refused", now_);
    } else if (what == "closed") {
      speaker_.closed(connection(), "closed by the peer", now_);
    } else if (what == "after") {
      pass(seconds(number(rest.at(0))));
    } else if (what == "originate") {
      speaker_.originate(Prefix::parse(rest.at(0)).value(), now_);
    } else if (what == "shutdown") {
      static_cast<void>(speaker_.shutdown_peer(peer_.name, rest.empty() ? "" : rest[0], now_));
    } else if (what == "start") {
      static_cast<void>(speaker_.start_peer(peer_.name, now_));
    } else if (what == "route") {
      show(Prefix::parse(rest.at(0)).value());
    } else if (what == "link-down") {
      speaker_.link_down(1, now_);
    } else {
      throw std::runtime_error("no line " + what);
    }
  }

  void show(const Prefix& prefix) {
    const auto route = speaker_.route(prefix);
    if (!route || route->paths.empty()) return void(out_ += "no route\n");
    for (const PathStatus& path : route->paths) {
      out_ += fmt::format("path local-pref {} communities [{}]{}{}\n",
                          path.local_pref.value_or(100), fmt::join(path.communities, ", "),
                          path.best ? " best" : "", path.stale ? " stale" : "");
    }
  }

  void pass(seconds span) {
    const Time end = now_ + span;
    for (Time next; (next = std::max(speaker_.deadline(), now_)) <= end;) {
      now_ = next;
      speaker_.tick(now_);
      look();
    }
    now_ = end;
  }

  void hear(std::uint32_t which, const std::vector<std::string>& words) {
    const std::vector<std::byte> octets = message(words);
    speaker_.received(names_.at(which - 1), octets, now_);
  }

  std::vector<std::byte> message(const std::vector<std::string>& words) {
    std::vector<std::byte> octets;
    const std::string& kind = words.at(0);
    if (kind == "open") {
      Open open{Asn{65002}, seconds(9), RouterId{0x0a000002}, {}};
      open.capabilities.families = {ipv4, ipv6};
      for (std::size_t i = 1; i < words.size(); ++i) apply(open_words, words[i], open);
      open.capabilities.four_octet_as = open.asn;
      asn_ = open.asn;
      encode(open, octets);
    } else if (kind == "keepalive") {
      encode(Keepalive{}, octets);
    } else if (kind == "notification") {
      encode(notification(number(words.at(1)), number(words.at(2))), octets);
    } else if (kind == "announce") {
      announce(words, octets);
    } else if (kind == "withdraw") {
      const std::vector<Nlri> nlri{{Prefix::parse(words.at(1)).value(), 0}};
      encode_withdrawal(ipv4, nlri, negotiated(), octets);
    } else if (kind == "end-of-rib") {
      encode_end_of_rib(family(words.at(1)), octets);
    } else if (kind == "refresh" || kind == "begin" || kind == "end") {
      using Subtype = RouteRefresh::Subtype;
      encode(RouteRefresh{family(words.at(1)), kind == "refresh" ? Subtype::request
                                               : kind == "begin" ? Subtype::begin
                                                                 : Subtype::end},
             octets);
    } else if (kind == "hex") {
      std::string hex;
      for (std::size_t i = 1; i < words.size(); ++i) hex += words[i];
      octets = from_hex(hex);
    } else {
      throw std::runtime_error("no message " + kind);
    }
    return octets;
  }

  static Notification notification(std::uint32_t code, std::uint32_t subcode) {
    const std::array body{static_cast<std::byte>(code), static_cast<std::byte>(subcode)};
    return decode_notification(body);
  }
  static AfiSafi family(const std::string& name) { return name == "ipv4" ? ipv4 : ipv6; }
  static Negotiated negotiated() {
    Negotiated both;
    both.four_octet_as = true;
    both.families = {{ipv4}, {ipv6}};
    return both;
  }

  void announce(const std::vector<std::string>& words, std::vector<std::byte>& octets) const {
    Attributes attributes;
    attributes.origin = Origin::igp;
    if (asn_ != Asn{65001}) attributes.as_path = AsPath::sequence({asn_});
    if (asn_ == Asn{65001}) attributes.local_pref = 100;
    for (std::size_t i = 2; i < words.size(); ++i) {
      const std::string value = words[i].substr(words[i].find('=') + 1);
      attributes.communities.push_back(Community{number(value.substr(0, value.find(':'))) << 16 |
                                                 number(value.substr(value.find(':') + 1))});
    }
    std::vector<std::byte> encoded;
    encode_attributes(attributes, true, encoded);
    const std::vector<Nlri> nlri{{Prefix::parse(words.at(1)).value(), 0}};
    encode_announcement(ipv4, {address("192.0.2.2"), {}}, encoded, nlri, negotiated(), octets);
  }

  /// All that the speaker wants, until it wants nothing more.
  void look() {
    for (bool more = true; more;) {
      const auto actions = speaker_.take_actions();
      more = !actions.empty();
      for (const Action& action : actions) {
        std::visit(Overloaded{[&](const ConnectTo& to) { connect(to); },
                              [&](const OutputReady& ready) { read(ready.connection); },
                              [&](const CloseConnection& order) { close(order); }},
                   action);
      }
    }
    for (const RouteChange& change : speaker_.take_route_changes()) {
      out_ += fmt::format("fib {} {}\n", change.prefix.text(),
                          change.kind == RouteKind::none        ? "gone"
                          : change.kind == RouteKind::blackhole ? "blackhole"
                          : change.kind == RouteKind::local     ? "local"
                                                                : "via the peer");
    }
    for (const SyncDone& done : speaker_.take_sync_done())
      out_ += fmt::format("synchronised {}\n", name(done.family));
    static_cast<void>(speaker_.take_log());
    const PeerStatus peer = speaker_.peers().at(0);
    if (peer.state != state_) out_ += fmt::format("state {}\n", name(peer.state));
    state_ = peer.state;
    const std::uint64_t stale = peer.families.empty() ? 0 : peer.families[0].stale;
    if (stale != stale_) out_ += fmt::format("stale {}\n", stale);
    stale_ = stale;
  }
  void connect(const ConnectTo& to) {
    names_.push_back(to.connection);
    out_ += fmt::format("{} connect\n", names_.size());
  }
  void read(ConnectionId id) {
    for (std::vector<std::byte> octets;;) {
      octets.clear();
      speaker_.produce(id, octets, now_);
      if (octets.empty()) return;
      say(id, octets);
      speaker_.sent(id, true, now_);
    }
  }
  void close(const CloseConnection& order) {
    say(order.connection, order.last);
    out_ += fmt::format("{} close\n", which(order.connection));
  }
  void say(ConnectionId id, Bytes octets) {
    Inbound inbound;
    inbound.negotiated = negotiated();
    inbound.enforce_first_as = false;
    inbound.external = peer_.remote_as != std::variant<RemoteAs, Asn>(Asn{65001});
    UpdateDecoder updates(inbound);
    while (!octets.empty()) {
      const auto frame = next_message(octets, max_message_size);
      std::istringstream lines(describe(**frame, updates));
      for (std::string line; std::getline(lines, line);)
        out_ += fmt::format("{} {}\n", which(id), line);
      octets = octets.subspan((*frame)->size());
    }
  }
  [[nodiscard]] std::size_t which(ConnectionId id) const {
    return static_cast<std::size_t>(std::find(names_.begin(), names_.end(), id) - names_.begin()) +
           1;
  }

  Time now_ = start;
  Speaker speaker_;
  PeerSettings peer_;
  Asn asn_{65002};
  std::vector<ConnectionId> names_;
  PeerState state_ = PeerState::idle;
  std::uint64_t stale_ = 0;
  std::string out_;
};

}  // namespace

std::string transcript(const std::string& head) {
  Settings node;
  node.asn = Asn{65001};
  node.router_id = RouterId{0x0a000001};
  PeerSettings peer;
  peer.name = "peer";
  peer.address = address("192.0.2.2");
  peer.remote_as = Asn{65002};
  peer.import_filter = Filter::accept;
  std::vector<std::string> lines;
  bool script = false;
  std::istringstream in(head);
  for (std::string line; std::getline(in, line) && line != "out:";) {
    if (script && !line.empty() && line[0] != '#') lines.push_back(line);
    script |= line == "script:";
    if (line.rfind("peer:", 0) != 0) continue;
    std::istringstream words(line.substr(5));
    for (std::string word; words >> word;) apply(settings, word, peer);
  }
  node.peers = {peer};
  Bench session(node);
  for (const std::string& line : lines) session.step(line);
  return session.out();
}

}  // namespace weft::bgp
