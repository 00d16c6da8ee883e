// The keys of a peer and of a group of peers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "config/key_kinds.h"
#include "config/password.h"
#include "config/policies.h"
#include "config/tcp_ao.h"

namespace weft::config {
namespace {

using std::chrono::seconds;

/// IFNAMSIZ without the terminating zero.
constexpr std::size_t interface_limit = 15;

using RemoteAs = std::variant<bgp::RemoteAs, bgp::Asn>;

std::optional<RemoteAs> read_remote_as(Reader& reader, const Node& node) {
  if (node.kind == Node::Kind::scalar && node.text == "external") return bgp::RemoteAs::external;
  if (node.kind == Node::Kind::scalar && node.text == "internal") return bgp::RemoteAs::internal;
  if (node.kind == Node::Kind::scalar && node.text == "auto") return bgp::RemoteAs::automatic;
  if (node.kind != Node::Kind::scalar ||
      node.text.find_first_not_of("0123456789") != std::string::npos) {
    reader.fail(node, "must be external, internal, auto or an AS number");
    return std::nullopt;
  }
  const auto asn = reader.asn(node);
  if (!asn) return std::nullopt;
  return *asn;
}

std::string write_remote_as(const RemoteAs& remote) {
  return std::visit(
      Overloaded{[](bgp::RemoteAs type) {
                   if (type == bgp::RemoteAs::automatic) return std::string("auto");
                   return std::string(type == bgp::RemoteAs::external ? "external" : "internal");
                 },
                 [](bgp::Asn asn) { return fmt::format("{}", asn.value); }},
      remote);
}

/// Address of a peer; a template has none.
Key<bgp::PeerSettings> peer_address() {
  auto key = address("address", &bgp::PeerSettings::address,
                     "Address of the peer; no two peers have the same.");
  key.write = [](const bgp::PeerSettings& peer) {
    return peer.range || peer.is_unnumbered() ? std::optional<std::string>()
                                              : yaml_text(peer.address.text());
  };
  return key;
}

/// One of some words that stand for the values 0, 1, … of an enumeration.
template <typename Enum>
Key<bgp::PeerSettings> choice(std::string_view name, Enum bgp::PeerSettings::*member,
                              std::vector<std::string_view> words, const std::string& text) {
  const std::string all = fmt::format("{}", fmt::join(words, ", "));
  return key_of(
      name, member, "one of " + all, text,
      [words, all](Reader& reader, const Node& node) -> std::optional<Enum> {
        const auto found = std::find(words.begin(), words.end(), node.text);
        if (node.kind == Node::Kind::scalar && found != words.end())
          return static_cast<Enum>(found - words.begin());
        reader.fail(node, "must be one of " + all);
        return std::nullopt;
      },
      [words](Enum value) { return std::string(words[static_cast<std::size_t>(value)]); });
}

Key<bgp::PeerSettings> range_limit() {
  auto key = number("limit", &bgp::PeerSettings::range_limit, {.least = 1, .most = 4096},
                    "Peers of listen at a time; whoever comes later is refused.");
  const auto write = key.write;
  key.write = [write](const bgp::PeerSettings& peer) {
    return peer.range ? write(peer) : std::nullopt;
  };
  key.absent = fmt::format("{}", bgp::default_range_limit);
  return key;
}

Key<bgp::PeerSettings> password() {
  Key<bgp::PeerSettings> key;
  key.name = "password";
  key.type = fmt::format("text of 1 to {} octets", bgp::max_password);
  key.text =
      "Key of TCP MD5 signatures (RFC 2385), the same on both sides; of a range, that of all who "
      "connect from it. It is shown nowhere. Changed on a reload, the session stays as long as the "
      "peer follows within its hold time.";
  key.read = [](Reader& reader, const Node& node, bgp::PeerSettings& peer) {
    if (auto secret = read_password(reader, node, bgp::max_password)) {
      peer.password = std::move(*secret);
      peer.password_file.clear();
    }
  };
  key.write = [](const bgp::PeerSettings&) { return std::optional<std::string>(); };
  key.absent = "none; never shown";
  return key;
}

Key<bgp::PeerSettings> password_file() {
  Key<bgp::PeerSettings> key;
  key.name = "password-file";
  key.type = "absolute path";
  key.text =
      "File whose only line is the password, read at the start and on every reload; not to be "
      "read by others (mode 0600 or 0640).";
  key.read = [](Reader& reader, const Node& node, bgp::PeerSettings& peer) {
    constexpr std::size_t path_limit = 4096;
    const auto path = reader.text(node, path_limit);
    if (!path) return;
    auto secret = read_password_file(*path, bgp::max_password);
    if (!secret) return reader.fail(node, fmt::format("{} {}", *path, secret.error().message));
    peer.password = std::move(*secret);
    peer.password_file = *path;
  };
  key.write = [](const bgp::PeerSettings& peer) {
    return peer.password_file.empty() ? std::optional<std::string>()
                                      : yaml_text(peer.password_file);
  };
  key.absent = "none";
  return key;
}

std::optional<bgp::DefaultOriginate> read_default_originate(Reader& reader, const Node& node) {
  if (node.kind == Node::Kind::scalar && node.text == "never") return bgp::DefaultOriginate{};
  if (node.kind == Node::Kind::scalar && node.text == "always")
    return bgp::DefaultOriginate{true, std::nullopt};
  if (node.kind != Node::Kind::scalar || node.text.find('/') == std::string::npos) {
    reader.fail(node, "must be never, always or a prefix");
    return std::nullopt;
  }
  const bool v6 = node.text.find(':') != std::string::npos;
  const auto prefix = reader.prefix(node, v6 ? Family::ipv6 : Family::ipv4);
  if (!prefix) return std::nullopt;
  return bgp::DefaultOriginate{true, *prefix};
}

std::string write_default_originate(const bgp::DefaultOriginate& how) {
  if (!how.on) return "never";
  return how.condition ? yaml_text(how.condition->text()) : "always";
}

std::optional<std::vector<Family>> read_families(Reader& reader, const Node& node) {
  if (!reader.sequence(node)) return std::nullopt;
  std::vector<Family> families;
  for (const Node& item : node.items) {
    if (item.kind != Node::Kind::scalar || (item.text != "ipv4" && item.text != "ipv6")) {
      reader.fail(item, "a family is ipv4 or ipv6");
      continue;
    }
    const Family family = item.text == "ipv4" ? Family::ipv4 : Family::ipv6;
    if (std::find(families.begin(), families.end(), family) != families.end()) {
      reader.fail(item, fmt::format("{} is listed twice", item.text));
      continue;
    }
    families.push_back(family);
  }
  if (node.items.empty()) reader.fail(node, "must list at least one of ipv4, ipv6");
  // The order says nothing; one spelling makes equal settings equal.
  std::sort(families.begin(), families.end());
  return families;
}

std::string write_families(const std::vector<Family>& families) {
  std::vector<std::string_view> names;
  names.reserve(families.size());
  for (const Family family : families) names.push_back(weft::name(family));
  return fmt::format("[{}]", fmt::join(names, ", "));
}

std::optional<std::vector<Family>> read_add_path_receive(Reader& reader, const Node& node) {
  if (node.kind == Node::Kind::sequence && node.items.empty()) return std::vector<Family>{};
  return read_families(reader, node);
}

std::optional<bgp::AddPathSend> read_add_path(Reader& reader, const Node& node) {
  using Paths = bgp::AddPathSend::Paths;
  if (node.kind == Node::Kind::scalar && node.text == "all") return bgp::AddPathSend{Paths::all, 0};
  if (node.kind == Node::Kind::scalar && node.text == "ecmp")
    return bgp::AddPathSend{Paths::ecmp, 0};
  if (node.kind != Node::Kind::scalar || node.text.empty() ||
      node.text.find_first_not_of("0123456789") != std::string::npos) {
    reader.fail(node, "must be all, ecmp or how many of the best paths, 2..64");
    return std::nullopt;
  }
  const auto count = reader.number(node, {.least = 2, .most = 64});
  if (!count) return std::nullopt;
  return bgp::AddPathSend{Paths::best, static_cast<std::uint16_t>(*count)};
}

std::optional<std::map<Family, bgp::AddPathSend>> read_add_path_send(Reader& reader,
                                                                     const Node& node) {
  if (!reader.mapping(node)) return std::nullopt;
  std::map<Family, bgp::AddPathSend> send;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const std::string& family = node.keys[i].text;
    if (family != "ipv4" && family != "ipv6") {
      reader.fail(node.keys[i], "a family is ipv4 or ipv6");
      continue;
    }
    const Reader::Scope scope(reader, family);
    if (const auto mode = read_add_path(reader, node.items[i]))
      send[family == "ipv4" ? Family::ipv4 : Family::ipv6] = *mode;
  }
  return send;
}

std::string write_add_path_send(const std::map<Family, bgp::AddPathSend>& send) {
  using Paths = bgp::AddPathSend::Paths;
  std::vector<std::string> texts;
  for (const auto& [family, mode] : send) {
    const std::string paths = mode.paths == Paths::all    ? "all"
                              : mode.paths == Paths::ecmp ? "ecmp"
                                                          : fmt::format("{}", mode.count);
    texts.push_back(fmt::format("{}: {}", weft::name(family), paths));
  }
  return fmt::format("{{{}}}", fmt::join(texts, ", "));
}

/// Whether there is such a policy is known when all of the document is, see check_filter().
std::optional<bgp::Filter> read_filter(Reader& reader, const Node& node) {
  auto name = reader.word(node, name_limit, "-_");
  if (!name) return std::nullopt;
  return bgp::Filter{std::move(*name)};
}

constexpr std::array roles{bgp::Role::provider, bgp::Role::rs_server, bgp::Role::rs_client,
                           bgp::Role::customer, bgp::Role::peer};

std::optional<bgp::Role> read_role(Reader& reader, const Node& node) {
  for (const bgp::Role role : roles) {
    if (node.kind == Node::Kind::scalar && node.text == name(role)) return role;
  }
  reader.fail(node, "must be provider, customer, peer, rs-server or rs-client");
  return std::nullopt;
}

std::optional<bgp::BfdSettings> read_bfd_terms(Reader& reader, const Node& node) {
  bgp::BfdSettings bfd;
  for (std::size_t i = 0; i < node.keys.size(); ++i) {
    const Node& key = node.keys[i];
    const Reader::Scope scope(reader, key.text);
    if (key.text == "interval") {
      const auto value = reader.number(node.items[i], {.least = 10, .most = 60000}, "milliseconds");
      if (value) bfd.interval = std::chrono::milliseconds(*value);
    } else if (key.text == "multiplier") {
      const auto value = reader.number(node.items[i], {.least = 2, .most = 255});
      if (value) bfd.multiplier = static_cast<std::uint8_t>(*value);
    } else if (key.text == "multihop") {
      bfd.multihop = reader.boolean(node.items[i]);
    } else {
      reader.fail(key, fmt::format("unknown key {}{}", quoted(key.text),
                                   suggestion(key.text, {"interval", "multiplier", "multihop"})));
    }
  }
  return bfd;
}

/// What stands under `bfd:`; inside of the outer: whether there is BFD at all.
std::optional<std::optional<bgp::BfdSettings>> read_bfd(Reader& reader, const Node& node) {
  if (node.kind == Node::Kind::mapping) return read_bfd_terms(reader, node);
  const auto wanted = reader.boolean(node);
  if (!wanted) return std::nullopt;
  return *wanted ? std::optional(bgp::BfdSettings{}) : std::nullopt;
}

std::string write_bfd(const bgp::BfdSettings& bfd) {
  return fmt::format("{{interval: {}, multiplier: {}{}}}", bfd.interval.count(), bfd.multiplier,
                     bfd.multihop ? fmt::format(", multihop: {}", *bfd.multihop) : "");
}

Key<bgp::PeerSettings> bfd_key() {
  Key<bgp::PeerSettings> key;
  key.name = "bfd";
  key.type = "true, false or {interval: milliseconds, multiplier: N, multihop: true or false}";
  key.absent = "false";
  key.text =
      "Watch the path to the peer by BFD (RFC 5880 to 5883): when so many packets (multiplier, "
      "2..255, default 3), sent every interval (10..60000, default 300), are missing, the session "
      "ends at once. The neighbour must speak BFD too; while it does not, nothing happens. "
      "multihop: by RFC 5883; the default is whether the peer is on no link of this host. FRR's "
      "bfdd counts a neighbor with ttl-security among those: say true here for it.";
  key.read = [](Reader& reader, const Node& node, bgp::PeerSettings& settings) {
    if (const auto value = read_bfd(reader, node)) settings.bfd = *value;
  };
  key.write = [](const bgp::PeerSettings& settings) -> std::optional<std::string> {
    if (!settings.bfd) return std::nullopt;
    return write_bfd(*settings.bfd);
  };
  return key;
}

constexpr std::array<std::pair<std::string_view, bgp::PrefixLimitAction>, 3> limit_actions{
    {{"close", bgp::PrefixLimitAction::close},
     {"discard", bgp::PrefixLimitAction::discard},
     {"warn", bgp::PrefixLimitAction::warn}}};

std::optional<bgp::PrefixLimitAction> read_limit_action(Reader& reader, const Node& node) {
  for (const auto& [word, action] : limit_actions) {
    if (node.kind == Node::Kind::scalar && node.text == word) return action;
  }
  reader.fail(node, "must be close, discard or warn");
  return std::nullopt;
}

std::string write_limit_action(bgp::PrefixLimitAction action) {
  for (const auto& [word, each] : limit_actions) {
    if (each == action) return std::string(word);
  }
  return "close";
}

std::string write_filter(const bgp::Filter& filter) {
  return filter.is_template() ? filter.name : yaml_text(filter.name);
}

std::optional<bgp::GracefulRestartMode> read_graceful_restart(Reader& reader, const Node& node) {
  using Mode = bgp::GracefulRestartMode;
  if (node.kind == Node::Kind::scalar) {
    for (const auto& [word, mode] : {std::pair{"off", Mode::off}, std::pair{"helper", Mode::helper},
                                     std::pair{"full", Mode::full}}) {
      if (node.text == word) return mode;
    }
  }
  reader.fail(node, "must be full, helper or off");
  return std::nullopt;
}

std::string write_graceful_restart(bgp::GracefulRestartMode mode) {
  if (mode == bgp::GracefulRestartMode::off) return "off";
  return mode == bgp::GracefulRestartMode::helper ? "helper" : "full";
}

}  // namespace

template <>
const std::vector<Key<bgp::PeerSettings>>& keys<bgp::PeerSettings>() {
  using bgp::PeerSettings;
  static const std::vector<Key<PeerSettings>> table{
      with(otherwise(peer_address(), "none; a peer needs address, interface or listen"),
           Duty::identity),
      with(otherwise(key_of(
                         "interface", &PeerSettings::interface, "name of a link of this host",
                         "In place of address: an unnumbered peer, the one router at the other end "
                         "of this link. weft finds its link-local address by router "
                         "advertisements (RFC 4861), which it also sends, and IPv4 routes have "
                         "IPv6 next hops (RFC 8950). No two peers have the same.",
                         [](Reader& reader, const Node& node) {
                           return reader.word(node, interface_limit, "-_.:@+");
                         },
                         [](const std::string& value) {
                           return value.empty() ? std::optional<std::string>() : yaml_text(value);
                         }),
                     "none"),
           Duty::identity),
      with(otherwise(prefix("listen", &PeerSettings::range,
                            "Instead of address: whoever connects from inside of this prefix is a "
                            "peer, up to limit of them. weftd never connects to them itself. Each "
                            "has a name of its own, its address, and is forgotten a minute after "
                            "its last connection. Of ranges one inside another the longest holds."),
                     "none"),
           Duty::identity),
      range_limit(),
      with(otherwise(word("name", &PeerSettings::name, "-_.:/",
                          "Name of the peer in weftctl, logs and metrics; no two have the same."),
                     "the address, interface or range"),
           Duty::identity),
      with(structure<PeerSettings>("group", "name of a group in bgp.groups",
                                   "Takes what the peer does not say itself from there."),
           Duty::identity),
      otherwise(
          key_of(
              "description", &PeerSettings::description,
              fmt::format("text of 1 to {} octets", description_limit), "For people.",
              [](Reader& reader, const Node& node) { return reader.text(node, description_limit); },
              [](const std::string& value) {
                return value.empty() ? std::optional<std::string>() : yaml_text(value);
              }),
          "none"),
      key_of("remote-as", &PeerSettings::remote_as, "external, internal, auto or an AS number",
             "AS of the peer. external: any but ours; internal: ours; auto: whatever it says.",
             read_remote_as, write_remote_as),
      otherwise(key_of(
                    "local-as", &PeerSettings::local_as, "AS number",
                    "The AS this session speaks for instead of node.asn (RFC 7705). The peer sees "
                    "it, then node.asn; and it is put in front of the paths the peer sends.",
                    [](Reader& reader, const Node& node) { return reader.asn(node); },
                    [](bgp::Asn asn) { return fmt::format("{}", asn.value); }),
                "node.asn"),
      boolean("local-as-no-prepend", &PeerSettings::local_as_no_prepend,
              "local-as is not put in front of the paths the peer sends."),
      boolean("local-as-replace", &PeerSettings::local_as_replace,
              "The peer sees local-as alone, without node.asn behind it."),
      boolean("as-override", &PeerSettings::as_override,
              "Where the peer's own AS stands in a path told to it, ours takes its place, so that "
              "sites of one AS hear of each other. For external peers."),
      number("allowas-in", &PeerSettings::allow_own_as, {.least = 0, .most = 10},
             "Paths of the peer are taken although our own AS stands in them, up to so many "
             "times."),
      choice("remove-private", &PeerSettings::remove_private, {"none", "all", "replace"},
             "What becomes of private AS numbers (RFC 6996) in paths told to the peer: all takes "
             "them out, replace puts ours in their place. The peer's own AS stays. For external "
             "peers."),
      choice(
          "next-hop", &PeerSettings::next_hop, {"auto", "self", "unchanged"},
          "Whose next hop the peer is told. auto: ours on external sessions, that of the path on "
          "internal ones; self: ours always, but for what is reflected (RFC 4456); unchanged: that "
          "of "
          "the path always. What this node originates has ours."),
      number("port", &PeerSettings::port, {.least = 1, .most = 65535},
             "TCP port the peer listens on."),
      otherwise(
          address("source", &PeerSettings::source,
                  "Local address of the session, of the family of address; not for unnumbered "
                  "peers."),
          "chosen by the kernel's route to the peer"),
      otherwise(key_of(
                    "bind-interface", &PeerSettings::bind_interface, "name of an interface",
                    "Packets of the session leave and arrive by this interface alone: a connection "
                    "of the peer that comes in by another is refused. Not for unnumbered peers.",
                    [](Reader& reader, const Node& node) {
                      return reader.word(node, interface_limit, "-_.:@+");
                    },
                    [](const std::string& value) {
                      return value.empty() ? std::optional<std::string>() : yaml_text(value);
                    }),
                "any interface"),
      boolean(
          "onlink", &PeerSettings::onlink,
          "Next hops of the peer's routes that are on no connected subnet are taken to be on the "
          "link of the session, bind-interface or where the session's local address stands: for "
          "an uplink with a /32 whose gateways are elsewhere. The kernel is told so by the flag "
          "onlink, as it is without this key for the peer's own address."),
      password(),
      password_file(),
      tcp_ao(),
      key_of("families", &PeerSettings::families, "list of ipv4, ipv6",
             "Address families to negotiate (RFC 4760).", read_families, write_families),
      key_of("add-path-receive", &PeerSettings::add_path_receive, "list of ipv4, ipv6",
             "Families in which the peer may tell several paths of a prefix (RFC 7911).",
             read_add_path_receive, write_families),
      key_of("add-path-send", &PeerSettings::add_path_send,
             "mapping of ipv4 or ipv6 to all, ecmp or a number, 2..64",
             "Families in which the peer is told several paths of a prefix (RFC 7911): all that "
             "could be used, those that share the load (ecmp), or so many of the best. What the "
             "peer said itself is left out.",
             read_add_path_send, write_add_path_send),
      boolean("passive", &PeerSettings::passive, "Never connect, only accept."),
      number("multihop", &PeerSettings::multihop, {.least = 1, .most = 255},
             "Hops to the peer, at most. Above 1, packets of the session leave with this as their "
             "TTL, unless gtsm is true."),
      otherwise(boolean("gtsm", &PeerSettings::gtsm,
                        "Send with TTL 255 and refuse what arrives having come over more than "
                        "multihop hops (RFC 5082); the peer must send with TTL 255 too. Holds for "
                        "connections of both directions. Not for unnumbered peers unless said: "
                        "nobody forwards a link-local address, and routers speak to such "
                        "neighbours with TTL 1."),
                "true, but false with a multihop above 1 and for unnumbered peers"),
      boolean("shutdown", &PeerSettings::shutdown, "Keep the session down."),
      boolean("route-reflector-client", &PeerSettings::route_reflector_client,
              "This internal peer is a client of ours (RFC 4456): it is told what other internal "
              "peers say, and they what it says. Next hops stay as they came."),
      duration("hold-time", &PeerSettings::hold_time, {.least = 3, .most = 65535, .zero_too = true},
               "Offered to the peer; the smaller of both offers holds. The session ends when "
               "nothing is heard for so long. Keepalives go out at a third of it; 0: none go out "
               "and the session waits for ever."),
      duration("connect-retry", &PeerSettings::connect_retry, {.least = 1, .most = 65535},
               "Between two attempts to connect; shortened by up to a quarter at random."),
      duration("delay-open", &PeerSettings::delay_open, {.least = 0, .most = 240},
               "How long a new connection waits for the peer's OPEN before ours goes out (RFC 4271 "
               "8.1.1)."),
      boolean("extended-messages", &PeerSettings::extended_messages,
              "Offer messages of up to 65535 octets (RFC 8654)."),
      duration("idle-hold", &PeerSettings::idle_hold, {.least = 0, .most = 3600},
               "First wait after a session ended by an error; doubles up to 30 seconds."),
      duration("send-hold", &PeerSettings::send_hold, {.least = 1, .most = 65535, .zero_too = true},
               "A peer that takes nothing we send for so long is dropped (RFC 9687); longer than "
               "hold-time. 0: never."),
      key_of("graceful-restart", &PeerSettings::graceful_restart, "full, helper or off",
             "RFC 4724 and 8538. full: the peer is asked to keep our routes while weftd restarts, "
             "and its routes stay while it does. helper: only its routes stay. off: neither. The "
             "routes of a peer that was silent for its whole hold-time go in any case, unless "
             "long-lived-stale-time keeps them as a last resort.",
             read_graceful_restart, write_graceful_restart),
      duration("restart-time", &PeerSettings::restart_time, {.least = 1, .most = 4095},
               "How long the peer is asked to wait for a new session when weftd restarts."),
      duration("stale-time", &PeerSettings::stale_time, {.least = 1, .most = 86400},
               "A peer that has restarted may take so long to send its routes again; what it has "
               "not sent by then goes."),
      duration("long-lived-stale-time", &PeerSettings::long_lived_stale_time,
               {.least = 1, .most = 16777215, .zero_too = true},
               "RFC 9494: routes of a side that stays away longer than its restart-time are kept "
               "for so long as a last resort, marked with the community llgr-stale. Asked of the "
               "peer, and the most that it is granted. 0: not at all."),
      otherwise(
          key_of("import", &PeerSettings::import_filter, "host, accept or the name of a policy",
                 "What is taken from the peer. host: prefixes inside of the pools, and "
                 "the default route with bgp.default-route. accept: everything. Else what the "
                 "policy of bgp.policies lets in. A change is applied to what was received "
                 "before; the session stays.",
                 read_filter, write_filter),
          "host for external peers, accept for internal ones"),
      otherwise(
          key_of("export", &PeerSettings::export_filter, "host, accept or the name of a policy",
                 "What is told to the peer. host: what this node originates, nothing it "
                 "learned. accept: everything. Else what the policy of bgp.policies lets out.",
                 read_filter, write_filter),
          "host for external peers, accept for internal ones"),
      otherwise(
          number("prefix-limit", &PeerSettings::prefix_limit, {.least = 1, .most = 4294967295},
                 "The peer may announce so many prefixes of one family; with add-path each "
                 "of a prefix's paths counts. What happens with more, prefix-limit-action says."),
          "no limit"),
      otherwise(number("accepted-prefix-limit", &PeerSettings::accepted_prefix_limit,
                       {.least = 1, .most = 4294967295},
                       "The same, counting what the import policy lets in."),
                "no limit"),
      key_of(
          "prefix-limit-action", &PeerSettings::prefix_limit_action, "close, discard or warn",
          "close: the session ends (RFC 4486). discard: what is beyond is not held until the peer "
          "announces it again. warn: weftd says so.",
          read_limit_action, write_limit_action),
      duration("prefix-limit-restart", &PeerSettings::prefix_limit_restart,
               {.least = 1, .most = 86400, .zero_too = true},
               "After a limit has ended the session, before it is tried again. 0: not before the "
               "operator starts the peer."),
      otherwise(
          key_of("role", &PeerSettings::role, "provider, customer, peer, rs-server or rs-client",
                 "What this node is to the peer, which has another AS (RFC 9234): the session "
                 "comes up only if the peer's role fits, and routes leak neither way.",
                 read_role, [](bgp::Role role) { return name(role); }),
          "not spoken of"),
      boolean("role-strict", &PeerSettings::role_strict,
              "The peer must say its role, too; with role only."),
      key_of(
          "default-originate", &PeerSettings::default_originate, "never, always or a prefix",
          "The peer is told a default route with this node as next hop, in each family of the "
          "session and whatever export says. This node itself does not use it. A prefix: only "
          "while this node uses a learned route for just that prefix, and never told to the peer "
          "that this route comes from.",
          read_default_originate, write_default_originate),
      boolean("unsuppress", &PeerSettings::unsuppress,
              "The peer is told also what lies inside of aggregates with summary-only, as export "
              "lets it."),
      boolean("graceful-shutdown", &PeerSettings::graceful_shutdown,
              "Routes with the community graceful-shutdown get LOCAL_PREF 0, so that they are used "
              "last (RFC 8326)."),
      boolean(
          "blackhole", &PeerSettings::blackhole,
          "Host routes with the community blackhole that the import policy lets in drop packets "
          "here, and are told to nobody outside of our AS (RFC 7999)."),
      otherwise(number("table", &PeerSettings::table, {.least = 1, .most = 4294967295},
                       "Kernel routing table for routes whose best path is this peer's; it is used "
                       "by whatever ip rule sends there, which weft leaves to the operator. A "
                       "prefix stands in one table at a time: that of its best path, and only "
                       "paths of peers with the same table and metric share its load. A blackhole "
                       "goes into the table, too; blocks, aggregates and the containers' gateway "
                       "stay in fib.table. When it changes, routes move and the session stays."),
                "fib.table"),
      otherwise(number("metric", &PeerSettings::metric, {.least = 1, .most = 4294967294},
                       "Metric of these routes in their table."),
                "fib.metric"),
      bfd_key()};
  return table;
}

template <>
const std::vector<Refusal>& refusals<bgp::PeerSettings>() {
  static const std::vector<Refusal> table{
      {"ttl-security", "RFC 5082 is the key 'gtsm'"},
      {"ebgp-multihop", "the hops to the peer are the key 'multihop'"},
      {"next-hop-self", "say next-hop: self"},
      {"next-hop-unchanged", "say next-hop: unchanged"},
      {"keepalive", "keepalives go out at a third of hold-time; set that"},
      {"neighbor", "the address of a peer is its key 'address'"},
      {"local-address", "the local address of a session is the key 'source'"}};
  return table;
}

}  // namespace weft::config
