#include "config/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "config/key_kinds.h"

namespace weft::config {
namespace {

std::optional<Address> read_router_address(Reader& reader, const Node& node) {
  const auto value = reader.address(node, Family::ipv6);
  if (!value) return std::nullopt;
  if (value->is_unspecified() || value->is_loopback() || value->is_multicast() ||
      value->is_link_local()) {
    reader.fail(node, fmt::format("{} is not a routable address of one host, such as "
                                  "fd64:0:0:ff::11",
                                  value->text()));
    return std::nullopt;
  }
  return value;
}

// exporter

/// "192.0.2.1:9798"
std::optional<exporter::Listen> parse_listen(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.size() > name_limit) return std::nullopt;
  const auto address = Address::parse(text.substr(0, colon));
  // Prometheus-cpp's HTTP server is built without IPv6 in Debian.
  if (!address || address->is_v6()) return std::nullopt;
  exporter::Listen listen{*address, 0};
  const std::string_view digits = text.substr(colon + 1);
  const char* end = digits.data() + digits.size();
  const auto [stop, fault] = std::from_chars(digits.data(), end, listen.port);
  if (fault != std::errc{} || stop != end || listen.port == 0) return std::nullopt;
  return listen;
}

void read_exporter_listen(Reader& reader, const Node& node, exporter::Settings& settings) {
  const std::string said = node.kind == Node::Kind::scalar ? node.text : "";
  if (said == "off") {
    settings.listen = std::nullopt;
  } else if (const auto listen = parse_listen(said)) {
    settings.listen = *listen;
  } else if (std::count(said.begin(), said.end(), ':') > 1) {
    reader.fail(node,
                "IPv6 is not supported here by this version; give an IPv4 address and a "
                "port, such as 127.0.0.1:9798");
  } else {
    reader.fail(node, "must be off or an IPv4 address and a port, such as 127.0.0.1:9798");
  }
}

std::optional<std::string> write_exporter_listen(const exporter::Settings& settings) {
  if (!settings.listen) return "off";
  return yaml_text(fmt::format("{}:{}", settings.listen->address.text(), settings.listen->port));
}

}  // namespace

std::string yaml_text(std::string_view text) {
  std::string quoted_text = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted_text += '\\';
    quoted_text += c;
  }
  return quoted_text + '"';
}

std::optional<std::vector<std::string>> read_networks(Reader& reader, const Node& node) {
  constexpr std::size_t limit = 64;
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.size() > limit) {
    reader.fail(node, fmt::format("lists more than {} networks", limit));
    return std::nullopt;
  }
  std::vector<std::string> names;
  for (const Node& item : node.items) {
    if (const auto name = reader.word(item, description_limit, host_marks)) names.push_back(*name);
  }
  return names;
}

std::string write_networks(const std::vector<std::string>& names) {
  std::vector<std::string> texts;
  texts.reserve(names.size());
  for (const std::string& name : names) texts.push_back(yaml_text(name));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::optional<ipam::Labels> read_labels(Reader& reader, const Node& node) {
  constexpr std::size_t limit = 64;
  if (!reader.mapping(node)) return std::nullopt;
  if (node.items.size() > limit) {
    reader.fail(node, fmt::format("has more than {} labels", limit));
    return std::nullopt;
  }
  ipam::Labels labels;
  for (std::size_t i = 0; i < node.keys.size(); ++i) {
    const auto name = reader.word(node.keys[i], name_limit, "-_./");
    const auto value = reader.word(node.items[i], name_limit, "-_./:");
    if (name && value) labels.emplace(*name, *value);
  }
  return labels;
}

std::string write_labels(const ipam::Labels& labels) {
  std::vector<std::string> texts;
  texts.reserve(labels.size());
  for (const auto& [name, value] : labels)
    texts.push_back(fmt::format("{}: {}", yaml_text(name), yaml_text(value)));
  return fmt::format("{{{}}}", fmt::join(texts, ", "));
}

std::optional<bgp::RouterId> read_router_id(Reader& reader, const Node& node) {
  const auto value = reader.address(node, Family::ipv4);
  if (!value) return std::nullopt;
  const auto class_e = Address::ipv4(0xf0000000);
  if (value->is_unspecified() || value->is_loopback() || value->is_multicast() ||
      *value >= class_e) {
    reader.fail(node, fmt::format("{} is not an address of one host; give one that no other node "
                                  "has, such as 10.255.0.11",
                                  value->text()));
    return std::nullopt;
  }
  return bgp::RouterId{value->v4()};
}

template <>
const std::vector<Key<Config>>& keys<Config>() {
  static const std::vector<Key<Config>> table{
      with(structure<Config>("node", "mapping", "Who this host is."), Duty::required),
      structure<Config>("pools", "mapping of name to pool, at most 64",
                        "Where addresses of containers come from. The first pool serves the "
                        "networks that name none."),
      otherwise(structure<Config>("ipam", "mapping", "How addresses are managed."),
                "the defaults of its keys"),
      otherwise(structure<Config>("bgp", "mapping", "The BGP speaker and its peers."),
                "the defaults of its keys"),
      otherwise(structure<Config>("fib", "mapping", "What goes into the kernel."),
                "the defaults of its keys"),
      otherwise(structure<Config>("exporter", "mapping", "Metrics for Prometheus."),
                "the defaults of its keys"),
      otherwise(structure<Config>("cni", "mapping", "What containers get through CNI."),
                "the defaults of its keys")};
  return table;
}

template <>
const std::vector<Refusal>& refusals<Config>() {
  static const std::vector<Refusal> table{
      {"bfd", "BFD goes with a peer or a group: bgp.peers[].bfd"},
      {"policies", "policies belong under bgp: as bgp.policies"},
      {"docker", "the Docker plugin is not supported by this version"},
      {"peers", "peers belong under bgp: as bgp.peers"},
      {"asn", "asn belongs under node:"},
      {"router-id", "router-id belongs under node:"},
      {"socket", "the control socket follows weftd's flag --socket"},
      {"state-dir", "the state directory follows weftd's flag --state-dir"}};
  return table;
}

template <>
const std::vector<Key<NodeSettings>>& keys<NodeSettings>() {
  static const std::vector<Key<NodeSettings>> table{
      otherwise(word("name", &NodeSettings::name, host_marks,
                     "Name of this host in logs, metrics and weftctl."),
                "the host name"),
      with(key_of(
               "asn", &NodeSettings::asn, "AS number, 1..4294967294 without 23456 and 65535",
               "AS number of this host (RFC 6793). 4200000000..4294967294 are for private use.",
               [](Reader& reader, const Node& node) { return reader.asn(node); },
               [](bgp::Asn asn) { return fmt::format("{}", asn.value); }),
           Duty::required),
      with(key_of(
               "router-id", &NodeSettings::router_id, "IPv4 address",
               "BGP Identifier (RFC 6286), which no other node has. Put this address on lo: it is "
               "the source address of what the host itself sends along learned routes.",
               read_router_id, [](bgp::RouterId id) { return yaml_text(id.text()); }),
           Duty::required),
      otherwise(key_of("router-address-ipv6", &NodeSettings::router_address_ipv6, "IPv6 address",
                       "The same for IPv6: an address on lo, the source address of what the host "
                       "itself sends along learned routes.",
                       read_router_address,
                       [](const Address& address) { return yaml_text(address.text()); }),
                "none; the kernel chooses"),
      key_of("labels", &NodeSettings::labels, "mapping of label to value, at most 64",
             "What pools may ask of a node with their key nodes, such as {rack: r12}.", read_labels,
             write_labels)};
  return table;
}

template <>
const std::vector<Key<fib::Settings>>& keys<fib::Settings>() {
  static const std::vector<Key<fib::Settings>> table{
      boolean("install", &fib::Settings::install,
              "false: never touch the kernel, for a route reflector."),
      boolean("wait-install", &fib::Settings::wait_install,
              "A block, and a learned route, is told to other peers only when the kernel has "
              "acknowledged it, and End-of-RIB after them, but 10 s later at the most. false: at "
              "once."),
      number("table", &fib::Settings::table, {.least = 1, .most = 4294967295},
             "Kernel routing table; 254 is main. 255 belongs to the kernel."),
      number("metric", &fib::Settings::metric, {.least = 1, .most = 4294967294},
             "Metric of learned routes; lower wins against other routing daemons."),
      otherwise(number("route-mtu", &fib::Settings::route_mtu, {.least = 1280, .most = 65535},
                       "MTU in octets that the host's own TCP takes for paths along learned "
                       "routes (RTAX_MTU)."),
                "that of the interface"),
      otherwise(
          number("resilient-buckets", &fib::Settings::resilient_buckets,
                 {.least = 1, .most = 32768},
                 "Hash buckets of each nexthop group. With them, flows keep their next hop "
                 "when others come and go (resilient groups, Linux 5.13; an older kernel gets "
                 "plain groups, and weftctl doctor says so); at least as many "
                 "as a route has next hops, better some hundred."),
          "groups are not resilient"),
      duration("resilient-idle-time", &fib::Settings::resilient_idle_time,
               {.least = 1, .most = 3600},
               "A bucket of a resilient group that saw no packet for so long may move to another "
               "next hop."),
      duration("resilient-unbalanced-time", &fib::Settings::resilient_unbalanced_time,
               {.least = 0, .most = 86400},
               "When a next hop of a resilient group has had too few buckets for so long, buckets "
               "in use move to it, too, and their flows with them. 0: never.")};
  return table;
}

template <>
const std::vector<Key<exporter::Settings>>& keys<exporter::Settings>() {
  static const std::vector<Key<exporter::Settings>> table = [] {
    Key<exporter::Settings> listen;
    listen.name = "listen";
    listen.type = "IPv4 address and port, or off";
    listen.text = "Where Prometheus finds /metrics.";
    listen.read = read_exporter_listen;
    listen.write = write_exporter_listen;
    return std::vector{listen};
  }();
  return table;
}

template <>
const std::vector<Key<CniSettings>>& keys<CniSettings>() {
  static const std::vector<Key<CniSettings>> table{
      otherwise(number("mtu", &CniSettings::mtu, {.least = 1280, .most = 65535},
                       "MTU of containers in octets, for networks that name none."),
                "that of the uplinks"),
      boolean("anti-spoof", &CniSettings::anti_spoof,
              "Drop what comes out of a container with a source address that is not the "
              "container's, by the nft table inet weft."),
      key_of("trusted-networks", &CniSettings::trusted_networks,
             "list of names of networks, at most 64",
             "Container networks that anti-spoof leaves alone: those of routers, VPN gateways and "
             "load balancers, which send with addresses of others.",
             read_networks, write_networks),
      boolean("masquerade", &CniSettings::masquerade,
              "Give what containers send to addresses outside all pools an address of this host, "
              "for networks that have no route back to the pools.")};
  return table;
}

namespace {

constexpr const char* no_confederation =
    "weft speaks no confederations (RFC 5065); use eBGP between hosts and routers, or "
    "route-reflector-client";
constexpr const char* no_damping =
    "weft damps no flapping routes (RFC 2439), which keeps away those that are good again; BFD and "
    "idle-hold keep flapping sessions away";
constexpr const char* no_vpn =
    "weft carries ipv4 and ipv6 unicast, no VPN (RFC 4364); a peer's table says where in the "
    "kernel "
    "its routes go";
constexpr const char* no_rpki =
    "weft validates no origins (RFC 6811); policies can match AS paths and prefix-sets, or the "
    "border router validates";

/// What other BGP speakers have and this one has not, wherever it is asked for.
constexpr std::array<Refusal, 14> unsupported{{
    {"flowspec", "weft carries ipv4 and ipv6 unicast, no FlowSpec (RFC 8955)"},
    {"evpn", "weft routes containers' addresses without an overlay, it speaks no EVPN (RFC 7432)"},
    {"orf", "weft speaks no ORF (RFC 5291); the peer's export policy is the place"},
    {"confederation", no_confederation},
    {"confederations", no_confederation},
    {"confederation-id", no_confederation},
    {"rpki", no_rpki},
    {"rtr", no_rpki},
    {"flap-damping", no_damping},
    {"damping", no_damping},
    {"dampening", no_damping},
    {"vpn", no_vpn},
    {"l3vpn", no_vpn},
    {"vrf", no_vpn},
}};

}  // namespace

template <typename Settings>
void read_keys(Reader& reader, const Node& node, Settings& settings) {
  if (!reader.mapping(node)) return;
  const auto& table = keys<Settings>();
  const auto& refused = refusals<Settings>();
  for (std::size_t i = 0; i < node.keys.size(); ++i) {
    const Node& name = node.keys[i];
    if (name.kind != Node::Kind::scalar) continue;
    const auto named = [&](const auto& entry) { return entry.name == name.text; };
    if (const auto key = std::find_if(table.begin(), table.end(), named); key != table.end()) {
      const Reader::Scope scope(reader, name.text);
      if (key->read) key->read(reader, node.items[i], settings);
      continue;
    }
    if (const auto no = std::find_if(refused.begin(), refused.end(), named); no != refused.end()) {
      reader.fail(name, fmt::format("'{}': {}", no->name, no->sentence));
      continue;
    }
    if (const auto no = std::find_if(unsupported.begin(), unsupported.end(), named);
        no != unsupported.end()) {
      reader.fail(name, fmt::format("'{}' is not supported: {}", no->name, no->sentence));
      continue;
    }
    std::vector<std::string_view> known;
    known.reserve(table.size());
    for (const auto& key : table) known.push_back(key.name);
    reader.fail(name,
                fmt::format("unknown key {}{}", quoted(name.text), suggestion(name.text, known)));
  }
  for (const auto& key : table) {
    if (key.duty == Duty::required && node.find(key.name) == nullptr) {
      reader.fail(node, fmt::format("'{}' is missing: {}", key.name, key.type));
    }
  }
}

template void read_keys(Reader&, const Node&, Config&);
template void read_keys(Reader&, const Node&, NodeSettings&);
template void read_keys(Reader&, const Node&, ipam::PoolSettings&);
template void read_keys(Reader&, const Node&, ipam::EtcdClaim&);
template void read_keys(Reader&, const Node&, ipam::Settings&);
template void read_keys(Reader&, const Node&, bgp::Settings&);
template void read_keys(Reader&, const Node&, bgp::PeerSettings&);
template void read_keys(Reader&, const Node&, bgp::BmpSettings&);
template void read_keys(Reader&, const Node&, bgp::BmpStation&);
template void read_keys(Reader&, const Node&, bgp::AggregateSettings&);
template void read_keys(Reader&, const Node&, bgp::AnnouncementSettings&);
template void read_keys(Reader&, const Node&, bgp::RuleMatch&);
template void read_keys(Reader&, const Node&, bgp::RuleSet&);
template void read_keys(Reader&, const Node&, bgp::RuleSettings&);
template void read_keys(Reader&, const Node&, fib::Settings&);
template void read_keys(Reader&, const Node&, exporter::Settings&);
template void read_keys(Reader&, const Node&, CniSettings&);

}  // namespace weft::config
