#include "config/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <type_traits>
#include <utility>

#include "config/password.h"
#include "config/policies.h"

namespace weft::config {
namespace {

using std::chrono::seconds;

constexpr std::string_view host_marks = "-_.";

template <typename T>
struct Inner {
  using Type = T;
};
template <typename T>
struct Inner<std::optional<T>> {
  using Type = T;
};

/// The value of a member that may be optional, or nullptr.
template <typename T>
const T* pointer_to(const T& value) {
  return &value;
}
template <typename T>
const T* pointer_to(const std::optional<T>& value) {
  return value ? &*value : nullptr;
}

/// A key made of how its value is read and printed.
template <typename Settings, typename Member, typename Read, typename Write>
Key<Settings> key_of(std::string_view name, Member Settings::*member, const std::string& type,
                     const std::string& text, Read read, Write write) {
  Key<Settings> key;
  key.name = name;
  key.type = type;
  key.text = text;
  key.read = [member, read](Reader& reader, const Node& node, Settings& settings) {
    if (const auto value = read(reader, node)) settings.*member = *value;
  };
  key.write = [member, write](const Settings& settings) -> std::optional<std::string> {
    const auto* value = pointer_to(settings.*member);
    if (value == nullptr) return std::nullopt;
    return write(*value);
  };
  return key;
}

template <typename Settings, typename Member>
Key<Settings> number(std::string_view name, Member Settings::*member, Range range,
                     const std::string& text) {
  using Number = typename Inner<Member>::Type;
  return key_of(
      name, member, "whole number, " + range.text(), text,
      [range](Reader& reader, const Node& node) -> std::optional<Number> {
        const auto value = reader.number(node, range);
        if (!value) return std::nullopt;
        return static_cast<Number>(*value);
      },
      [](const Number& value) { return fmt::format("{}", value); });
}

template <typename Settings>
Key<Settings> duration(std::string_view name, seconds Settings::*member, Range range,
                       const std::string& text) {
  return key_of(
      name, member, "seconds, " + range.text(), text,
      [range](Reader& reader, const Node& node) -> std::optional<seconds> {
        const auto value = reader.number(node, range, "seconds");
        if (!value) return std::nullopt;
        return seconds(*value);
      },
      [](const seconds& value) { return fmt::format("{}", value.count()); });
}

template <typename Settings, typename Member>
Key<Settings> boolean(std::string_view name, Member Settings::*member, const std::string& text) {
  return key_of(
      name, member, "true or false", text,
      [](Reader& reader, const Node& node) { return reader.boolean(node); },
      [](bool value) { return std::string(value ? "true" : "false"); });
}

template <typename Settings>
Key<Settings> word(std::string_view name, std::string Settings::*member, std::string_view marks,
                   const std::string& text) {
  return key_of(
      name, member,
      fmt::format("word of 1 to {} letters, digits, '{}'", name_limit, fmt::join(marks, "', '")),
      text,
      [marks](Reader& reader, const Node& node) { return reader.word(node, name_limit, marks); },
      [](const std::string& value) { return yaml_text(value); });
}

template <typename Settings, typename Member>
Key<Settings> address(std::string_view name, Member Settings::*member, const std::string& text) {
  return key_of(
      name, member, "IPv4 or IPv6 address", text,
      [](Reader& reader, const Node& node) { return reader.address(node); },
      [](const Address& value) { return yaml_text(value.text()); });
}

/// A prefix of either family.
template <typename Settings>
Key<Settings> prefix(std::string_view name, std::optional<Prefix> Settings::*member,
                     const std::string& text) {
  return key_of(
      name, member, "IPv4 or IPv6 prefix", text,
      [](Reader& reader, const Node& node) {
        const bool v6 = node.text.find(':') != std::string::npos;
        return reader.prefix(node, v6 ? Family::ipv6 : Family::ipv4);
      },
      [](const Prefix& value) { return yaml_text(value.text()); });
}

template <typename Settings>
Key<Settings> prefix(std::string_view name, std::optional<Prefix> Settings::*member, Family family,
                     const std::string& text) {
  return key_of(
      name, member, family == Family::ipv4 ? "IPv4 prefix" : "IPv6 prefix", text,
      [family](Reader& reader, const Node& node) { return reader.prefix(node, family); },
      [](const Prefix& value) { return yaml_text(value.text()); });
}

template <typename Settings>
Key<Settings> structure(std::string_view name, const std::string& type, const std::string& text) {
  Key<Settings> key;
  key.name = name;
  key.type = type;
  key.text = text;
  return key;
}

/// Structure that is printed on one line.
template <typename Settings>
Key<Settings> written(Key<Settings> key, std::string (*write)(const Settings&)) {
  key.write = write;
  return key;
}

template <typename Settings>
Key<Settings> with(Key<Settings> key, Duty duty) {
  key.duty = duty;
  return key;
}

template <typename Settings>
Key<Settings> otherwise(Key<Settings> key, std::string_view absent) {
  key.absent = absent;
  return key;
}

// node

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

// pools

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

// bgp

/// IFNAMSIZ without the terminating zero.
constexpr std::size_t interface_limit = 15;

std::optional<std::vector<Address>> read_listen(Reader& reader, const Node& node) {
  constexpr std::size_t limit = 64;
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.size() > limit) {
    reader.fail(node, fmt::format("lists more than {} addresses", limit));
    return std::nullopt;
  }
  std::vector<Address> addresses;
  for (const Node& item : node.items) {
    const auto value = reader.address(item);
    if (!value) continue;
    if (value->is_unspecified() || value->is_multicast() ||
        (value->is_v6() && value->is_link_local())) {
      reader.fail(item, fmt::format("{} cannot be listened on; give an address of this host, or an "
                                    "empty list for all of them",
                                    value->text()));
    } else if (std::find(addresses.begin(), addresses.end(), *value) != addresses.end()) {
      reader.fail(item, fmt::format("{} is listed twice", value->text()));
    } else {
      addresses.push_back(*value);
    }
  }
  return addresses;
}

std::string write_listen(const std::vector<Address>& addresses) {
  std::vector<std::string> texts;
  texts.reserve(addresses.size());
  for (const Address& address : addresses) texts.push_back(yaml_text(address.text()));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

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

constexpr std::array<std::pair<std::string_view, bgp::BmpView>, bgp::bmp_views> bmp_view_words{
    {{"pre-policy", bgp::BmpView::pre_policy},
     {"post-policy", bgp::BmpView::post_policy},
     {"adj-rib-out", bgp::BmpView::adj_rib_out},
     {"loc-rib", bgp::BmpView::loc_rib}}};

std::optional<std::vector<bgp::BmpView>> read_bmp_views(Reader& reader, const Node& node) {
  if (!reader.sequence(node)) return std::nullopt;
  std::vector<bgp::BmpView> views;
  for (const Node& item : node.items) {
    const auto word = std::find_if(bmp_view_words.begin(), bmp_view_words.end(),
                                   [&](const auto& each) { return each.first == item.text; });
    if (item.kind != Node::Kind::scalar || word == bmp_view_words.end()) {
      reader.fail(item, "is none of pre-policy, post-policy, adj-rib-out, loc-rib");
    } else if (std::find(views.begin(), views.end(), word->second) != views.end()) {
      reader.fail(item, fmt::format("{} is listed twice", item.text));
    } else {
      views.push_back(word->second);
    }
  }
  if (node.items.empty())
    reader.fail(node, "must list at least one of pre-policy, post-policy, adj-rib-out, loc-rib");
  std::sort(views.begin(), views.end());
  return views;
}

std::string write_bmp_views(const std::vector<bgp::BmpView>& views) {
  std::vector<std::string_view> words;
  words.reserve(views.size());
  for (const bgp::BmpView view : views)
    words.push_back(bmp_view_words[static_cast<std::size_t>(view)].first);
  return fmt::format("[{}]", fmt::join(words, ", "));
}

void check_station(Reader& reader, const Node& node, const bgp::BmpStation& station) {
  if (station.address.is_unspecified() || station.address.is_multicast() ||
      (station.address.is_v6() && station.address.is_link_local())) {
    reader.fail(node,
                fmt::format("{} is not a routable address of one host", station.address.text()));
  } else if (station.source && station.source->family() != station.address.family()) {
    reader.fail(node, fmt::format("source {} and address {} are of different families",
                                  station.source->text(), station.address.text()));
  }
}

std::optional<std::vector<bgp::BmpStation>> read_stations(Reader& reader, const Node& node) {
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.size() > bgp::bmp_station_limit) {
    reader.fail(node, fmt::format("{} stations are more than {}", node.items.size(),
                                  bgp::bmp_station_limit));
    return std::nullopt;
  }
  std::vector<bgp::BmpStation> stations;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Reader::Scope scope(reader, fmt::format("[{}]", i));
    const Node& item = node.items[i];
    bgp::BmpStation station;
    const std::size_t faults = reader.faults();
    read_keys(reader, item, station);
    if (reader.faults() != faults) continue;
    check_station(reader, item, station);
    if (station.name.empty()) {
      station.name = station.address.is_v6()
                         ? fmt::format("[{}]:{}", station.address.text(), station.port)
                         : fmt::format("{}:{}", station.address.text(), station.port);
    }
    const auto same = [&](const bgp::BmpStation& other) { return other.name == station.name; };
    if (std::any_of(stations.begin(), stations.end(), same)) {
      reader.fail(item, fmt::format("a station called '{}' stands above already", station.name));
    }
    stations.push_back(std::move(station));
  }
  return stations;
}

std::string write_stations(const std::vector<bgp::BmpStation>& stations) {
  std::vector<std::string> texts;
  texts.reserve(stations.size());
  for (const bgp::BmpStation& station : stations) texts.push_back(write_keys(station));
  return fmt::format("[{}]", fmt::join(texts, ", "));
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
             "that was empty for a minute is given back when the others have twice as many.")};
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
               "is found gone twice is freed.")};
  return table;
}

template <>
const std::vector<Key<bgp::Settings>>& keys<bgp::Settings>() {
  using bgp::Settings;
  static const std::vector<Key<Settings>> table{
      key_of("listen", &Settings::listen, "list of IPv4 and IPv6 addresses, at most 64",
             "Where connections are accepted. Empty: on all addresses of both families.",
             read_listen, write_listen),
      number("port", &Settings::port, {.least = 1, .most = 65535},
             "TCP port where connections are accepted."),
      number("multipath", &Settings::multipath, {.least = 1, .most = 64},
             "At most so many paths share the load of one prefix (ECMP)."),
      boolean("multipath-relax", &Settings::multipath_relax,
              "Paths of equal AS path length share the load even when the ASes differ (RFC 7938)."),
      boolean("always-compare-med", &Settings::always_compare_med,
              "MULTI_EXIT_DISC decides between paths of different ASes, too (RFC 4271, section "
              "9.1.2.2, compares those of one AS only)."),
      duration(
          "selection-deferral", &Settings::selection_deferral, {.least = 0, .most = 300},
          "After a restart, learned routes are chosen among once all peers in graceful restart "
          "have sent theirs; peers that are not up are waited for so long. The kernel keeps "
          "its routes meanwhile, and what this node originates never waits."),
      otherwise(key_of("cluster-id", &Settings::cluster_id, "IPv4 address",
                       "Marks what this node reflects between internal peers (RFC 4456). Give all "
                       "reflectors of one set of clients the same.",
                       read_router_id, [](bgp::RouterId id) { return yaml_text(id.text()); }),
                "node.router-id"),
      boolean("default-route", &Settings::default_route,
              "The filter host takes 0.0.0.0/0 and ::/0 from peers as well."),
      written(structure<Settings>("prefix-sets", "mapping of name to list of prefixes, at most 256",
                                  "Prefixes under a name, for the rules of policies; each may have "
                                  "'ge N' and 'le N' behind it."),
              write_prefix_sets),
      written(structure<Settings>(
                  "community-sets", "mapping of name to list of communities, at most 256",
                  "Communities of all kinds under a name, for the rules of policies."),
              write_community_sets),
      written(
          structure<Settings>("policies", "mapping of name to list of rules, at most 64",
                              "What peers may name as import and export: up to 256 rules, tried in "
                              "order. The first that matches decides; what no rule matches is "
                              "rejected."),
          write_policies),
      otherwise(key_of(
                    "bmp", &Settings::bmp, "mapping", "Monitoring stations (RFC 7854).",
                    [](Reader& reader, const Node& node) {
                      bgp::BmpSettings bmp;
                      read_keys(reader, node, bmp);
                      return std::optional(bmp);
                    },
                    [](const bgp::BmpSettings& bmp) {
                      return fmt::format("{{stations: {}}}", write_stations(bmp.stations));
                    }),
                "none"),
      structure<Settings>(
          "groups", "mapping of name to group, at most 256",
          "What peers share: any key of a peer but address, interface, listen, name and group. A "
          "peer names its group, and what it says itself wins."),
      structure<Settings>("peers", "list of peers, at most 1024", "Whom to speak BGP with.")};
  return table;
}

template <>
const std::vector<Refusal>& refusals<bgp::Settings>() {
  static const std::vector<Refusal> table{
      {"asn", "asn belongs under node:"},
      {"router-id", "router-id belongs under node:"},
      {"graceful-restart", "graceful restart is not supported by this version"}};
  return table;
}

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
              "sites of one AS hear of each other."),
      number("allowas-in", &PeerSettings::allow_own_as, {.least = 0, .most = 10},
             "Paths of the peer are taken although our own AS stands in them, up to so many "
             "times."),
      choice("remove-private", &PeerSettings::remove_private, {"none", "all", "replace"},
             "What becomes of private AS numbers (RFC 6996) in paths told to the peer: all takes "
             "them out, replace puts ours in their place. The peer's own AS stays."),
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
                    "Packets of the session leave and arrive by this interface alone; not for "
                    "unnumbered peers.",
                    [](Reader& reader, const Node& node) {
                      return reader.word(node, interface_limit, "-_.:@+");
                    },
                    [](const std::string& value) {
                      return value.empty() ? std::optional<std::string>() : yaml_text(value);
                    }),
                "any interface"),
      password(),
      password_file(),
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
                 "The peer may announce so many prefixes of one family; what happens with "
                 "more, prefix-limit-action says."),
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
      boolean("graceful-shutdown", &PeerSettings::graceful_shutdown,
              "Routes with the community graceful-shutdown get LOCAL_PREF 0, so that they are used "
              "last (RFC 8326)."),
      boolean(
          "blackhole", &PeerSettings::blackhole,
          "Host routes with the community blackhole that the import policy lets in drop packets "
          "here, and are told to nobody outside of our AS (RFC 7999)."),
      bfd_key()};
  return table;
}

template <>
const std::vector<Refusal>& refusals<bgp::PeerSettings>() {
  static const std::vector<Refusal> table{
      {"tcp-ao",
       "TCP-AO (RFC 5925) is not supported by this version; TCP MD5 is the key 'password'"},
      {"ttl-security", "RFC 5082 is the key 'gtsm'"},
      {"ebgp-multihop", "the hops to the peer are the key 'multihop'"},
      {"next-hop-self", "say next-hop: self"},
      {"next-hop-unchanged", "say next-hop: unchanged"},
      {"keepalive", "keepalives go out at a third of hold-time; set that"},
      {"neighbor", "the address of a peer is its key 'address'"},
      {"local-address", "the local address of a session is the key 'source'"}};
  return table;
}

template <>
const std::vector<Key<bgp::BmpSettings>>& keys<bgp::BmpSettings>() {
  static const std::vector<Key<bgp::BmpSettings>> table{
      key_of("stations", &bgp::BmpSettings::stations,
             fmt::format("list of stations, at most {}", bgp::bmp_station_limit),
             "Whom to tell of sessions and tables. weftd connects to them, and takes nothing from "
             "them.",
             read_stations, write_stations)};
  return table;
}

template <>
const std::vector<Key<bgp::BmpStation>>& keys<bgp::BmpStation>() {
  using bgp::BmpStation;
  static const std::vector<Key<BmpStation>> table{
      otherwise(key_of(
                    "name", &BmpStation::name,
                    fmt::format("word of 1 to {} letters, digits, '-', '_', '.', ':', '[', ']'",
                                name_limit),
                    "Name in weftctl, logs and metrics; no two stations have the same.",
                    [](Reader& reader, const Node& node) {
                      return reader.word(node, name_limit, "-_.:[]");
                    },
                    [](const std::string& value) {
                      return value.empty() ? std::optional<std::string>() : yaml_text(value);
                    }),
                "address:port"),
      with(address("address", &BmpStation::address, "Address of the station."), Duty::required),
      number("port", &BmpStation::port, {.least = 1, .most = 65535}, "TCP port of the station."),
      otherwise(address("source", &BmpStation::source,
                        "Local address of the connection, of the family of address."),
                "chosen by the kernel's route to the station"),
      key_of("monitor", &BmpStation::monitor,
             "list of pre-policy, post-policy, adj-rib-out, loc-rib",
             "What the station is shown. pre-policy and post-policy: what peers have sent, before "
             "and after the import policy (RFC 7854); adj-rib-out: what they are told (RFC 8671); "
             "loc-rib: the best paths (RFC 9069).",
             read_bmp_views, write_bmp_views),
      duration("statistics-interval", &BmpStation::statistics_interval,
               {.least = 1, .most = 65535, .zero_too = true},
               "Between two Statistics Reports; 0: none are sent."),
      duration("connect-retry", &BmpStation::connect_retry, {.least = 1, .most = 720},
               "First wait after a connection failed or ended; doubles up to 720 seconds (RFC "
               "7854, section 3.2).")};
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
      otherwise(number("resilient-buckets", &fib::Settings::resilient_buckets,
                       {.least = 1, .most = 32768},
                       "Hash buckets of each nexthop group. With them, flows keep their next hop "
                       "when others come and go (resilient groups, Linux 5.13); at least as many "
                       "as a route has next hops, better some hundred."),
                "groups are not resilient"),
      duration("resilient-idle-time", &fib::Settings::resilient_idle_time,
               {.least = 1, .most = 3600},
               "A bucket of a resilient group that saw no packet for so long may move to another "
               "next hop.")};
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
template void read_keys(Reader&, const Node&, bgp::RuleMatch&);
template void read_keys(Reader&, const Node&, bgp::RuleSet&);
template void read_keys(Reader&, const Node&, bgp::RuleSettings&);
template void read_keys(Reader&, const Node&, fib::Settings&);
template void read_keys(Reader&, const Node&, exporter::Settings&);
template void read_keys(Reader&, const Node&, CniSettings&);

}  // namespace weft::config
