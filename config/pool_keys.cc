// The keys of pools, of their claims and of ipam.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/key_kinds.h"
#include "config/password.h"

namespace weft::config {
namespace {

std::optional<std::vector<std::uint32_t>> read_indexes(Reader& reader, const Node& node) {
  constexpr std::size_t limit = 1024;
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.empty() || node.items.size() > limit) {
    reader.fail(node,
                fmt::format("must list 1 to {} block indexes, not {}", limit, node.items.size()));
    return std::nullopt;
  }
  std::vector<std::uint32_t> indexes;
  for (const Node& item : node.items) {
    const auto index = reader.number(item, {});
    if (!index) continue;
    if (std::find(indexes.begin(), indexes.end(), *index) != indexes.end()) {
      reader.fail(item, fmt::format("block {} is listed twice", *index));
      continue;
    }
    indexes.push_back(static_cast<std::uint32_t>(*index));
  }
  return indexes;
}

using Claim = std::variant<ipam::StaticIndex, ipam::StaticBlocks, ipam::EtcdClaim>;

/// The mapping under `static:`.
std::optional<Claim> read_static(Reader& reader, const Node& node) {
  if (!reader.mapping(node)) return std::nullopt;
  const Node* index = node.find("index");
  const Node* per_host = node.find("blocks-per-host");
  const Node* blocks = node.find("blocks");
  for (const Node& key : node.keys) {
    if (key.text == "index" || key.text == "blocks-per-host" || key.text == "blocks") continue;
    reader.fail(key, fmt::format("unknown key {}{}", quoted(key.text),
                                 suggestion(key.text, {"index", "blocks-per-host", "blocks"})));
  }
  if ((index == nullptr) == (blocks == nullptr)) {
    reader.fail(node, "give either 'index' (of this host) or 'blocks' (a list of block indexes)");
    return std::nullopt;
  }
  if (blocks != nullptr) {
    const Reader::Scope scope(reader, "blocks");
    if (per_host != nullptr) reader.fail(*per_host, "'blocks-per-host' goes with 'index' only");
    const auto indexes = read_indexes(reader, *blocks);
    if (!indexes) return std::nullopt;
    return ipam::StaticBlocks{*indexes};
  }
  ipam::StaticIndex claim;
  {
    const Reader::Scope scope(reader, "index");
    const auto value = reader.number(*index, {});
    if (!value) return std::nullopt;
    claim.index = static_cast<std::uint32_t>(*value);
  }
  if (per_host != nullptr) {
    const Reader::Scope scope(reader, "blocks-per-host");
    const auto value = reader.number(*per_host, {.least = 1, .most = 1024});
    if (!value) return std::nullopt;
    claim.blocks_per_host = static_cast<std::uint32_t>(*value);
  }
  return claim;
}

std::optional<Claim> read_claim(Reader& reader, const Node& node) {
  constexpr std::string_view right =
      "give {static: {index: N}}, {static: {blocks: [N, ...]}} or {etcd: {endpoints: [URL, ...]}}";
  if (node.kind != Node::Kind::mapping || node.items.empty()) {
    reader.fail(node, fmt::format("must say how this host comes by its blocks; {}", right));
    return std::nullopt;
  }
  for (const Node& key : node.keys) {
    if (key.text != "static" && key.text != "etcd")
      reader.fail(key, fmt::format("unknown key {}; {}", quoted(key.text), right));
  }
  const Node* fixed = node.find("static");
  const Node* shared = node.find("etcd");
  if (fixed != nullptr && shared != nullptr) {
    reader.fail(node, fmt::format("both static and etcd; {}", right));
    return std::nullopt;
  }
  if (fixed != nullptr) {
    const Reader::Scope scope(reader, "static");
    return read_static(reader, *fixed);
  }
  if (shared == nullptr) return std::nullopt;
  const Reader::Scope scope(reader, "etcd");
  ipam::EtcdClaim claim;
  read_keys(reader, *shared, claim);
  if (claim.min_blocks > claim.max_blocks)
    reader.fail(*shared, "min-blocks must not be more than max-blocks");
  if (claim.user.empty() != claim.password_file.empty())
    reader.fail(*shared, "user and password-file go together");
  if (claim.cert_file.empty() != claim.key_file.empty())
    reader.fail(*shared, "cert-file and key-file go together");
  return claim;
}

std::string write_etcd(const ipam::EtcdClaim& claim) {
  std::vector<std::string> pairs;
  for (const auto& key : keys<ipam::EtcdClaim>()) {
    if (const auto value = key.write(claim))
      pairs.push_back(fmt::format("{}: {}", key.name, *value));
  }
  return fmt::format("{{etcd: {{{}}}}}", fmt::join(pairs, ", "));
}

std::optional<std::vector<std::string>> read_endpoints(Reader& reader, const Node& node) {
  constexpr std::size_t limit = 16;
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.empty() || node.items.size() > limit) {
    reader.fail(node, fmt::format("must list 1 to {} URLs", limit));
    return std::nullopt;
  }
  std::vector<std::string> urls;
  for (const Node& item : node.items) {
    const auto url = reader.text(item, description_limit);
    if (!url) continue;
    if (!url->starts_with("http://") && !url->starts_with("https://")) {
      reader.fail(item, "must be http://HOST:PORT or https://HOST:PORT");
      continue;
    }
    urls.push_back(*url);
  }
  return urls;
}

std::string write_endpoints(const std::vector<std::string>& urls) {
  std::vector<std::string> texts;
  texts.reserve(urls.size());
  for (const std::string& url : urls) texts.push_back(yaml_text(url));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

/// A text that may be missing.
Key<ipam::EtcdClaim> etcd_text(std::string_view name, std::string ipam::EtcdClaim::*member,
                               const std::string& type, const std::string& text) {
  return otherwise(
      key_of(
          name, member, type, text,
          [](Reader& reader, const Node& node) { return reader.text(node, description_limit); },
          [](const std::string& value) {
            return value.empty() ? std::optional<std::string>() : yaml_text(value);
          }),
      "none");
}

std::string write_claim(const Claim& claim) {
  return std::visit(
      Overloaded{[](const ipam::StaticIndex& c) {
                   return fmt::format("{{static: {{index: {}, blocks-per-host: {}}}}}", c.index,
                                      c.blocks_per_host);
                 },
                 [](const ipam::StaticBlocks& c) {
                   return fmt::format("{{static: {{blocks: [{}]}}}}", fmt::join(c.indexes, ", "));
                 },
                 [](const ipam::EtcdClaim& c) { return write_etcd(c); }},
      claim);
}

using AddressRanges = std::vector<ipam::AddressRange>;

/// "10.64.0.0/28", "10.64.0.9" or "10.64.0.1-10.64.0.5".
std::optional<ipam::AddressRange> read_range(Reader& reader, const Node& node) {
  const std::size_t dash = node.text.find('-');
  if (node.kind == Node::Kind::scalar && dash != std::string::npos) {
    const auto first = Address::parse(std::string_view(node.text).substr(0, dash));
    const auto last = Address::parse(std::string_view(node.text).substr(dash + 1));
    if (first && last && first->family() == last->family() && *first <= *last)
      return ipam::AddressRange{*first, *last};
    reader.fail(node, fmt::format("{} is not a range of addresses, such as 10.64.0.1-10.64.0.9",
                                  quoted(node.text)));
    return std::nullopt;
  }
  if (node.kind == Node::Kind::scalar && node.text.find('/') != std::string::npos) {
    const bool v6 = node.text.find(':') != std::string::npos;
    const auto prefix = reader.prefix(node, v6 ? Family::ipv6 : Family::ipv4);
    if (!prefix) return std::nullopt;
    const unsigned host_bits = bits(prefix->family()) - prefix->length();
    if (host_bits > 32) {
      reader.fail(node, fmt::format("{} is too much; reserve at most 2^32 addresses at once",
                                    prefix->text()));
      return std::nullopt;
    }
    return AddressRange::of(*prefix);
  }
  const auto address = reader.address(node);
  if (!address) return std::nullopt;
  return ipam::AddressRange{*address, *address};
}

std::optional<AddressRanges> read_ranges(Reader& reader, const Node& node) {
  constexpr std::size_t limit = 256;
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.size() > limit) {
    reader.fail(node, fmt::format("lists more than {} reservations", limit));
    return std::nullopt;
  }
  AddressRanges ranges;
  for (const Node& item : node.items) {
    if (const auto range = read_range(reader, item)) ranges.push_back(*range);
  }
  return ranges;
}

std::string write_ranges(const AddressRanges& ranges) {
  std::vector<std::string> texts;
  texts.reserve(ranges.size());
  for (const AddressRange& range : ranges) texts.push_back(yaml_text(range.text()));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::optional<ipam::PoolState> read_pool_state(Reader& reader, const Node& node) {
  if (node.kind == Node::Kind::scalar && node.text == "active") return ipam::PoolState::active;
  if (node.kind == Node::Kind::scalar && node.text == "draining") return ipam::PoolState::draining;
  reader.fail(node, "must be active or draining");
  return std::nullopt;
}

Key<ipam::PoolSettings> block_length(std::string_view name,
                                     std::uint8_t ipam::PoolSettings::*member, unsigned least,
                                     unsigned most) {
  return number(name, member, {.least = least, .most = most},
                fmt::format("Length of the blocks the {} prefix is cut in, not shorter than the "
                            "prefix. With both families, the blocks of both must have the same "
                            "number of host bits.",
                            most == 32 ? "IPv4" : "IPv6"));
}

}  // namespace

template <>
const std::vector<Key<ipam::PoolSettings>>& keys<ipam::PoolSettings>() {
  using ipam::PoolSettings;
  static const std::vector<Key<PoolSettings>> table{
      otherwise(prefix("ipv4", &PoolSettings::ipv4, Family::ipv4,
                       "IPv4 addresses of the pool. A pool needs ipv4 or ipv6, or both: then block "
                       "k of one goes with block k of the other."),
                "none"),
      otherwise(prefix("ipv6", &PoolSettings::ipv6, Family::ipv6, "IPv6 addresses of the pool."),
                "none"),
      block_length("ipv4-block-length", &PoolSettings::ipv4_block_length, 20, 32),
      block_length("ipv6-block-length", &PoolSettings::ipv6_block_length, 116, 128),
      with(key_of("claim", &PoolSettings::claim,
                  "{static: {index: N}}, {static: {index: N, blocks-per-host: M}}, "
                  "{static: {blocks: [N, ...]}} or {etcd: {...}}",
                  "Which blocks of the pool this host owns. With index N, which every host has of "
                  "its own, and blocks-per-host M (1..1024, default 1): blocks N*M to N*M+M-1. "
                  "With blocks: exactly the blocks listed, counted from 0. No two hosts may own "
                  "one block. With etcd, hosts claim blocks as they need them; see "
                  "pools.<name>.claim.etcd.",
                  read_claim, write_claim),
           Duty::required),
      key_of("state", &PoolSettings::state, "active or draining",
             "draining: nothing is handed out of the pool, containers keep what they hold, and "
             "blocks go when they are empty.",
             read_pool_state,
             [](ipam::PoolState state) {
               return std::string(state == ipam::PoolState::active ? "active" : "draining");
             }),
      key_of("reserved", &PoolSettings::reserved,
             "list of addresses, prefixes and ranges FIRST-LAST, at most 256",
             "Addresses that no container ever gets, of one family or both: an address that is "
             "reserved takes its counterpart of the other family with it.",
             read_ranges, write_ranges),
      boolean("gateway", &PoolSettings::gateway,
              "Make every block a subnet for plugins that need one, such as bridge and ptp with "
              "weft-ipam: its second address is the gateway, and of both families the first "
              "(network), the second and the last (broadcast) are never given."),
      key_of("networks", &PoolSettings::networks, "list of names of networks, at most 64",
             "The container networks the pool is for; they take from it unless they name a pool. "
             "Empty: for all networks that no other pool is for.",
             read_networks, write_networks),
      key_of("nodes", &PoolSettings::nodes, "mapping of label to value, at most 64",
             "The nodes the pool is for: those with all of these labels, as node.labels says, and "
             "name, the name of the node. On others it is not handed out. Empty: all nodes.",
             read_labels, write_labels)};
  return table;
}

template <>
const std::vector<Key<ipam::EtcdClaim>>& keys<ipam::EtcdClaim>() {
  using ipam::EtcdClaim;
  static const std::vector<Key<EtcdClaim>> table{
      otherwise(key_of("endpoints", &EtcdClaim::endpoints, "list of URLs, at most 16",
                       "The members of an etcd 3.4 cluster or later; when one fails the next is "
                       "asked. All pools share one cluster: it is enough that one pool says where "
                       "it is, and as whom to speak there.",
                       read_endpoints,
                       [](const std::vector<std::string>& urls) {
                         return urls.empty() ? std::optional<std::string>() : write_endpoints(urls);
                       }),
                "those of another pool"),
      etcd_text("user", &EtcdClaim::user, "text",
                "User of etcd's authentication. It needs to read and write below prefix."),
      etcd_text("password-file", &EtcdClaim::password_file, "path",
                "File whose first line is the password; read again whenever a token ends."),
      etcd_text("ca-file", &EtcdClaim::ca_file, "path",
                "Certificates, PEM, that the members' are signed by; none: the system's."),
      etcd_text("cert-file", &EtcdClaim::cert_file, "path",
                "Certificate of this host, PEM, for an etcd that asks clients for one."),
      etcd_text("key-file", &EtcdClaim::key_file, "path", "The private key of cert-file, PEM."),
      key_of(
          "prefix", &EtcdClaim::prefix, "text that begins with / and does not end with it",
          "What every key of weft begins with.",
          [](Reader& reader, const Node& node) -> std::optional<std::string> {
            auto text = reader.text(node, name_limit);
            if (text && (text->front() != '/' || text->back() == '/')) {
              reader.fail(node, "must begin with / and not end with it");
              return std::nullopt;
            }
            return text;
          },
          [](const std::string& value) { return yaml_text(value); }),
      duration("lease", &EtcdClaim::lease, {.least = 5, .most = 31536000},
               "The blocks of a host that etcd has not heard of for so long are free for others, "
               "unless BGP still shows them. A day or more, so that no outage of etcd matters."),
      number("min-blocks", &EtcdClaim::min_blocks, {.least = 0, .most = 1024},
             "So many blocks are kept although they are empty."),
      number("max-blocks", &EtcdClaim::max_blocks, {.least = 1, .most = 1024},
             "No more blocks of the pool than these are claimed by one host."),
      number("spare", &EtcdClaim::spare, {.least = 0, .most = 65536},
             "With fewer free addresses than these on the host another block is claimed. A block "
             "that was empty for a minute is given back when the others have twice as many."),
      key_of(
          "borrow", &EtcdClaim::borrow, "never or explicit",
          "explicit: a container that asks for an address by name gets it here although its block "
          "is another host's, when that host agrees through etcd. Both announce what they have: "
          "the owner its block, this host the one address, marked with ipam.exception-community, "
          "so every router carries one route more for it; ipam.max-exceptions caps them. A block "
          "that nobody owns is claimed first. To be set alike on all hosts of the pool.",
          [](Reader& reader, const Node& node) -> std::optional<ipam::Borrow> {
            if (node.kind == Node::Kind::scalar && node.text == "never") return ipam::Borrow::never;
            if (node.kind == Node::Kind::scalar && node.text == "explicit")
              return ipam::Borrow::on_request;
            reader.fail(node, "must be never or explicit");
            return std::nullopt;
          },
          [](ipam::Borrow borrow) {
            return std::string(borrow == ipam::Borrow::never ? "never" : "explicit");
          })};
  return table;
}

template <>
const std::vector<Key<ipam::Settings>>& keys<ipam::Settings>() {
  static const std::vector<Key<ipam::Settings>> table{
      duration("cool-down", &ipam::Settings::cool_down, {.least = 0, .most = 3600},
               "How long a freed address rests before another container gets it. Longer than "
               "peers of the old container keep trying."),
      boolean("soft-cool-down", &ipam::Settings::soft_cool_down,
              "When a pool has no other address left on this host, give the one that has rested "
              "longest rather than none."),
      duration("audit-interval", &ipam::Settings::audit_interval, {.least = 1, .most = 3600},
               "How often held addresses are compared with the kernel. An address whose container "
               "is found gone twice is freed."),
      number("max-exceptions", &ipam::Settings::max_exceptions, {.least = 0, .most = 4096},
             "No more addresses than these are taken here out of other hosts' blocks (see "
             "pools.<name>.claim.etcd.borrow), for each is a route in the tables of all routers."),
      key_of(
          "exception-community", &ipam::Settings::exception_community, "community, or none",
          "Marks the route to a single address of a block that is another host's, for routers "
          "to know by: 64512:32, or 65001:1:2 (large).",
          [](Reader& reader, const Node& node) -> std::optional<std::string> {
            auto text = reader.text(node, name_limit);
            if (!text) return std::nullopt;
            if (*text == "none") return std::string();
            bgp::Origination trial;
            if (auto added = trial.add_community(*text); !added) {
              reader.fail(node, added.error().message);
              return std::nullopt;
            }
            return trial.community_texts().front();
          },
          [](const std::string& value) { return yaml_text(value.empty() ? "none" : value); })};
  return table;
}

}  // namespace weft::config
