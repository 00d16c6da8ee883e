#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "config/config.h"
#include "config/document.h"
#include "config/keys.h"
#include "config/originations.h"
#include "config/policies.h"
#include "config/reader.h"

namespace weft::config {
namespace {

using ipam::PoolSettings;

constexpr std::uint32_t local_table = 255;
constexpr std::string_view local_table_is_taken =
    "255 is the kernel's own table local; 254 is main";
/// Different pairs of table and metric that peers name: with a place for blackholes in each table
/// the FIB has room for some more than twice as many.
constexpr std::size_t placement_limit = 48;

/// Where to point for a key: at its value, or at the mapping that lacks it.
const Node& at(const Node& mapping, std::string_view key) {
  const Node* found = mapping.find(key);
  return found == nullptr ? mapping : *found;
}

/// Addresses that no container can have.
const Prefix* reserved_for_all(const Prefix& pool) {
  static const std::array<Prefix, 7> reserved{
      *Prefix::parse("0.0.0.0/8"),      *Prefix::parse("127.0.0.0/8"),
      *Prefix::parse("169.254.0.0/16"), *Prefix::parse("224.0.0.0/3"),
      *Prefix::parse("::/16"),          *Prefix::parse("fe80::/10"),
      *Prefix::parse("ff00::/8")};
  const auto found = std::find_if(reserved.begin(), reserved.end(),
                                  [&](const Prefix& prefix) { return prefix.overlaps(pool); });
  return found == reserved.end() ? nullptr : &*found;
}

/// True: the prefix can be cut into blocks.
bool check_pool_prefix(Reader& reader, const Node& node, const Prefix& pool, unsigned length) {
  const std::string_view family = weft::name(pool.family());
  if (const Prefix* reserved = reserved_for_all(pool)) {
    const Reader::Scope scope(reader, family);
    reader.fail(at(node, family), fmt::format("{} overlaps {}, which no container can use",
                                              pool.text(), reserved->text()));
    return false;
  }
  if (length >= pool.length()) return true;
  const std::string key = fmt::format("{}-block-length", family);
  const Reader::Scope scope(reader, key);
  reader.fail(node.find(key) != nullptr ? at(node, key) : at(node, family),
              fmt::format("blocks of /{} are larger than the pool {}; give {}..{}", length,
                          pool.text(), pool.length(), bits(pool.family())));
  return false;
}

/// Blocks that `pool` is cut in, at most as many as an index can name.
std::uint64_t blocks_of(const Prefix& pool, unsigned length) {
  return std::uint64_t{1} << std::min(32U, length - pool.length());
}

void check_claim(Reader& reader, const Node& node, const PoolSettings& pool, std::uint64_t blocks) {
  const Reader::Scope scope(reader, "claim");
  std::visit(
      Overloaded{
          [&](const ipam::StaticIndex& claim) {
            const std::uint64_t hosts = blocks / claim.blocks_per_host;
            if (claim.index < hosts) return;
            reader.fail(node, hosts == 0
                                  ? fmt::format("blocks-per-host is {}, but the pool has {} blocks",
                                                claim.blocks_per_host, blocks)
                                  : fmt::format("index {} is beyond the pool, which has {} blocks "
                                                "for the indexes 0..{}",
                                                claim.index, blocks, hosts - 1));
          },
          [](const ipam::EtcdClaim&) {},
          [&](const ipam::StaticBlocks& claim) {
            for (const std::uint32_t index : claim.indexes) {
              if (index < blocks) continue;
              reader.fail(node, fmt::format("block {} is beyond the pool, which has the blocks "
                                            "0..{}",
                                            index, blocks - 1));
            }
          }},
      pool.claim);
}

/// A reservation outside of the pool is a typing error that would reserve nothing.
void check_reserved(Reader& reader, const Node& node, const PoolSettings& pool) {
  const Reader::Scope scope(reader, "reserved");
  for (const ipam::AddressRange& range : pool.reserved) {
    const auto& prefix = range.first.is_v4() ? pool.ipv4 : pool.ipv6;
    if (prefix && prefix->contains(range.first) && prefix->contains(range.last)) continue;
    reader.fail(node, fmt::format("{} to {} is not inside of the pool", range.first.text(),
                                  range.last.text()));
  }
}

/// An exception is one address out of a block that others route as a whole.
void check_borrow(Reader& reader, const Node& node, const PoolSettings& pool) {
  const auto* claim = std::get_if<ipam::EtcdClaim>(&pool.claim);
  if (claim == nullptr || claim->borrow == ipam::Borrow::never) return;
  const Reader::Scope scope(reader, "claim");
  if (pool.gateway) {
    reader.fail(node,
                "borrow: explicit does not go with gateway: an address outside of its "
                "subnet would not reach the gateway");
  }
  if (pool.ipv4 ? pool.ipv4_block_length == 32 : pool.ipv6_block_length == 128) {
    reader.fail(node,
                "borrow: explicit needs blocks of more than one address: to lend the only "
                "one is to give up the block");
  }
}

void check_pool(Reader& reader, const Node& node, const PoolSettings& pool) {
  if (!pool.ipv4 && !pool.ipv6) {
    reader.fail(node, "has no addresses; give ipv4, ipv6 or both");
    return;
  }
  const bool v4 = !pool.ipv4 || check_pool_prefix(reader, node, *pool.ipv4, pool.ipv4_block_length);
  const bool v6 = !pool.ipv6 || check_pool_prefix(reader, node, *pool.ipv6, pool.ipv6_block_length);
  if (!v4 || !v6) return;
  const unsigned v4_bits = 32U - pool.ipv4_block_length;
  const unsigned v6_bits = 128U - pool.ipv6_block_length;
  if (pool.ipv4 && pool.ipv6 && v4_bits != v6_bits) {
    reader.fail(at(node, "ipv6-block-length"),
                fmt::format("blocks of /{} have {} host bits and blocks of /{} have {}, so they "
                            "cannot be paired; the ipv6-block-length that goes with /{} is {}",
                            pool.ipv4_block_length, v4_bits, pool.ipv6_block_length, v6_bits,
                            pool.ipv4_block_length, 128 - v4_bits));
    return;
  }
  std::uint64_t blocks = std::uint64_t{1} << 32U;
  if (pool.ipv4) blocks = std::min(blocks, blocks_of(*pool.ipv4, pool.ipv4_block_length));
  if (pool.ipv6) blocks = std::min(blocks, blocks_of(*pool.ipv6, pool.ipv6_block_length));
  if (pool.gateway && (1U << (pool.ipv4 ? v4_bits : v6_bits)) < ipam::subnet_capacity) {
    const Reader::Scope scope(reader, "gateway");
    reader.fail(at(node, "gateway"), fmt::format("blocks with a gateway need {} addresses or more",
                                                 ipam::subnet_capacity));
  }
  check_claim(reader, at(node, "claim"), pool, blocks);
  check_borrow(reader, at(node, "claim"), pool);
  check_reserved(reader, at(node, "reserved"), pool);
}

/// The new pool against those before it.
void check_overlaps(Reader& reader, const Node& node, const PoolSettings& pool,
                    const std::vector<PoolSettings>& before) {
  for (const auto& prefix : {pool.ipv4, pool.ipv6}) {
    if (!prefix) continue;
    const std::string_view family = weft::name(prefix->family());
    for (const PoolSettings& other : before) {
      const auto& theirs = prefix->family() == Family::ipv4 ? other.ipv4 : other.ipv6;
      if (!theirs || !theirs->overlaps(*prefix)) continue;
      const Reader::Scope scope(reader, family);
      reader.fail(at(node, family), fmt::format("{} overlaps {} of pool '{}'; pools must be apart",
                                                prefix->text(), theirs->text(), other.name));
    }
  }
}

/// The pools that are shared between hosts have one store, which needs to be said once.
void share_store(Reader& reader, const Node& node, std::vector<PoolSettings>& pools) {
  const auto claim_of = [](PoolSettings& pool) {
    return std::get_if<ipam::EtcdClaim>(&pool.claim);
  };
  const ipam::EtcdClaim* first = nullptr;
  for (PoolSettings& pool : pools) {
    const auto* claim = claim_of(pool);
    if (first == nullptr && claim != nullptr && !claim->endpoints.empty()) first = claim;
  }
  for (std::size_t i = 0; i < pools.size(); ++i) {
    ipam::EtcdClaim* claim = claim_of(pools[i]);
    if (claim == nullptr) continue;
    const Reader::Scope scope(reader, pools[i].name);
    const Node& place = at(node.items[i], "claim");
    if (first == nullptr) {
      reader.fail(place, "etcd.endpoints is missing in every pool; give it in one");
      return;
    }
    ipam::EtcdClaim shared = *first;
    shared.min_blocks = claim->min_blocks;
    shared.max_blocks = claim->max_blocks;
    shared.spare = claim->spare;
    shared.borrow = claim->borrow;
    if (!claim->endpoints.empty() && !(*claim == shared)) {
      reader.fail(place, "another etcd, user or prefix than that of another pool; they share one");
    }
    *claim = std::move(shared);
  }
}

void read_pools(Reader& reader, const Node& node, std::vector<PoolSettings>& pools) {
  constexpr std::size_t pool_name_limit = 32;
  const std::size_t faults = reader.faults();
  const Reader::Scope scope(reader, "pools");
  if (!reader.mapping(node)) return;
  if (node.items.size() > pool_limit) {
    reader.fail(node, fmt::format("{} pools are more than {}", node.items.size(), pool_limit));
    return;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    PoolSettings pool;
    if (const auto name = reader.word(node.keys[i], pool_name_limit, "-_")) pool.name = *name;
    const Reader::Scope inner(reader, node.keys[i].text);
    const std::size_t before = reader.faults();
    read_keys(reader, node.items[i], pool);
    if (reader.faults() == before) check_pool(reader, node.items[i], pool);
    check_overlaps(reader, node.items[i], pool, pools);
    pools.push_back(std::move(pool));
  }
  // Endpoints with a fault are none, which is told already.
  if (reader.faults() == faults) share_store(reader, node, pools);
}

struct Group {
  const Node* node = nullptr;
  bgp::PeerSettings settings;
};
using Groups = std::map<std::string_view, Group>;

Groups read_groups(Reader& reader, const Node& node) {
  const Reader::Scope scope(reader, "groups");
  Groups groups;
  if (!reader.mapping(node)) return groups;
  if (node.items.size() > group_limit) {
    reader.fail(node, fmt::format("{} groups are more than {}", node.items.size(), group_limit));
    return groups;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Node& body = node.items[i];
    reader.word(node.keys[i], name_limit, "-_");
    const Reader::Scope inner(reader, node.keys[i].text);
    Group& group = groups[node.keys[i].text];
    group.node = &body;
    read_keys(reader, body, group.settings);
    for (const auto& key : keys<bgp::PeerSettings>()) {
      if (key.duty != Duty::identity) continue;
      if (const Node* value = body.find(key.name)) {
        reader.fail(*value, fmt::format("'{}' belongs to a peer, not to a group", key.name));
      }
    }
  }
  return groups;
}

/// A peer on its way: its settings, and where they were said.
struct Draft {
  const Node* node = nullptr;
  const Node* group = nullptr;
  bgp::PeerSettings settings;

  [[nodiscard]] const Node* find(std::string_view key) const {
    if (const Node* own = node->find(key)) return own;
    return group == nullptr ? nullptr : group->find(key);
  }
  [[nodiscard]] const Node& at(std::string_view key) const {
    const Node* own = node->find(key);
    return own == nullptr ? *node : *own;
  }
};

void check_peer_has_address(Reader& reader, const Node& node) {
  std::vector<std::string_view> kinds;
  for (const std::string_view kind : {"address", "interface", "listen"}) {
    if (node.find(kind) != nullptr) kinds.push_back(kind);
  }
  if (kinds.size() == 1) return;
  if (!kinds.empty()) {
    return reader.fail(*node.find(kinds[1]),
                       fmt::format("has both '{}' and '{}'; a peer is known by its address or its "
                                   "interface, or it is a range",
                                   kinds[0], kinds[1]));
  }
  reader.fail(node,
              "'address' is missing: the IPv4 or IPv6 address of the peer, 'interface' for the "
              "router at the other end of a link, or 'listen' for a range");
}

void check_peer_address(Reader& reader, const Draft& draft, const NodeSettings& node) {
  if (draft.settings.is_unnumbered()) return;
  const Address& address = draft.settings.address;
  const Node& said = draft.at("address");
  const Reader::Scope scope(reader, "address");
  if (address.is_unspecified() || address.is_multicast()) {
    reader.fail(said, fmt::format("{} is not an address of one host", address.text()));
  } else if (address.is_v6() && address.is_link_local()) {
    reader.fail(said, fmt::format("{} is link-local; say interface: in place of address:, and "
                                  "weft finds it there",
                                  address.text()));
  } else if ((address.is_v4() && address.v4() == node.router_id.value) ||
             address == node.router_address_ipv6) {
    reader.fail(said, fmt::format("{} is the router address of this host itself", address.text()));
  }
}

/// What the link says of an unnumbered peer, and nothing else can.
void check_unnumbered(Reader& reader, const Draft& draft) {
  const bgp::PeerSettings& peer = draft.settings;
  if (!peer.is_unnumbered()) return;
  const auto refuse = [&](std::string_view key, std::string_view sentence) {
    const Reader::Scope scope(reader, key);
    reader.fail(draft.at(key), sentence);
  };
  if (peer.source) refuse("source", "an unnumbered peer is spoken to from the link-local address");
  if (!peer.bind_interface.empty())
    refuse("bind-interface", "an unnumbered peer is spoken to on its own interface");
  if (peer.multihop > 1) refuse("multihop", "an unnumbered peer is one hop away");
}

void check_peer_source(Reader& reader, const Draft& draft) {
  if (!draft.settings.source || draft.settings.is_unnumbered()) return;
  const Address& source = *draft.settings.source;
  const Address& address = draft.settings.address;
  const Reader::Scope scope(reader, "source");
  if (source.is_unspecified() || source.is_multicast()) {
    reader.fail(draft.at("source"), fmt::format("{} is not an address of one host", source.text()));
  } else if (source.family() != address.family()) {
    reader.fail(draft.at("source"),
                fmt::format("{} and the peer's address {} are of different families; give an {} "
                            "address of this host",
                            source.text(), address.text(), address.is_v4() ? "IPv4" : "IPv6"));
  } else if (source == address) {
    reader.fail(draft.at("source"), fmt::format("{} is the address of the peer", source.text()));
  }
}

/// The kernel's keys are for one address, of whichever link.
void check_tcp_ao(Reader& reader, const Draft& draft) {
  if (draft.settings.tcp_ao.empty() || (!draft.settings.range && !draft.settings.is_unnumbered()))
    return;
  const Node* said = draft.node->find("tcp-ao");
  const Reader::Scope scope(reader, "tcp-ao");
  reader.fail(said != nullptr ? *said : *draft.node,
              "is for peers with an address; a range or an unnumbered peer can have a password");
}

/// What only one peer or only a range can have.
void check_range(Reader& reader, const Draft& draft) {
  const auto refuse = [&](std::string_view key, std::string_view sentence) {
    if (const Node* said = draft.node->find(key)) {
      const Reader::Scope scope(reader, key);
      reader.fail(*said, sentence);
    }
  };
  if (!draft.settings.range) {
    return refuse("limit", "goes with 'listen' only: one address is one peer");
  }
  if (draft.settings.passive)
    refuse("passive", "says nothing of a range: weftd never connects to its peers");
  refuse("source", "says nothing of a range: its peers choose the address they connect to");
  const Prefix& range = *draft.settings.range;
  if (range.address().is_multicast() || range.address().is_loopback()) {
    const Reader::Scope scope(reader, "listen");
    reader.fail(draft.at("listen"), fmt::format("{} holds no peers' addresses", range.text()));
  }
}

/// The kernel wants signatures from all of a range with a password, so from this peer too.
void check_range_passwords(Reader& reader, const Node& node,
                           const std::vector<bgp::PeerSettings>& peers) {
  for (std::size_t i = 0; i < peers.size(); ++i) {
    const bgp::PeerSettings& peer = peers[i];
    if (peer.password) continue;
    const Prefix from = bgp::sources_of(peer);
    for (const bgp::PeerSettings& range : peers) {
      if (!range.range || !range.password || &range == &peer || !range.range->contains(from))
        continue;
      reader.fail(node.items[i],
                  fmt::format("{} has no password, but lies inside of {}, which has one: give it "
                              "one, too",
                              from.text(), range.range->text()));
      break;
    }
  }
}

/// A key of the kernel is for addresses, whatever their link.
void check_unnumbered_passwords(Reader& reader, const Node& node,
                                const std::vector<bgp::PeerSettings>& peers) {
  const bgp::PeerSettings* first = nullptr;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    if (!peers[i].is_unnumbered()) continue;
    if (first == nullptr) first = &peers[i];
    if (peers[i].password == first->password) continue;
    reader.fail(node.items[i],
                "the kernel cannot tell link-local addresses of different links apart: unnumbered "
                "peers have one password together, or none");
  }
}

void check_table(Reader& reader, const Draft& draft) {
  if (draft.settings.table != local_table) return;
  const Reader::Scope scope(reader, "table");
  reader.fail(draft.at("table"), local_table_is_taken);
}

void check_placements(Reader& reader, const Node& node,
                      const std::vector<bgp::PeerSettings>& peers) {
  std::set<Placement> all;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    all.insert(peers[i].placement());
    if (all.size() <= placement_limit) continue;
    return reader.fail(
        node.items[i],
        fmt::format("more than {} different pairs of table and metric", placement_limit));
  }
}

/// Of a peer that is told to be, not of one that may turn out so.
bool is_internal(const bgp::PeerSettings& peer, const NodeSettings& node) {
  if (const auto* kind = std::get_if<bgp::RemoteAs>(&peer.remote_as))
    return *kind == bgp::RemoteAs::internal;
  return std::get<bgp::Asn>(peer.remote_as) == peer.local_as.value_or(node.asn);
}

/// What changes AS_PATH as it is told to another AS.
void check_path_changes(Reader& reader, const Draft& draft, const NodeSettings& node) {
  const bgp::PeerSettings& peer = draft.settings;
  if (!is_internal(peer, node)) return;
  const auto refuse = [&](std::string_view key, std::string_view off) {
    const Reader::Scope scope(reader, key);
    reader.fail(draft.at(key), fmt::format("is for peers of another AS, and this one is internal: "
                                           "AS_PATH stays as it is there (RFC 4271, 5.1.2); say {}",
                                           off));
  };
  if (peer.as_override) refuse("as-override", "false, or leave it out");
  if (peer.remove_private != bgp::RemovePrivate::none)
    refuse("remove-private", "none, or leave it out");
}

void check_local_as(Reader& reader, const Draft& draft, const NodeSettings& node) {
  const bgp::PeerSettings& peer = draft.settings;
  if (peer.local_as == node.asn) {
    const Reader::Scope scope(reader, "local-as");
    return reader.fail(draft.at("local-as"),
                       fmt::format("{} is node.asn, which every session speaks for already; leave "
                                   "it out",
                                   node.asn.value));
  }
  if (peer.local_as && peer.remote_as == std::variant<bgp::RemoteAs, bgp::Asn>(*peer.local_as)) {
    const Reader::Scope scope(reader, "local-as");
    reader.fail(draft.at("local-as"),
                "is the AS of the peer: an internal session can have no local-as");
  }
  if (peer.local_as) return;
  for (const auto& [key, said] : {std::pair("local-as-no-prepend", peer.local_as_no_prepend),
                                  std::pair("local-as-replace", peer.local_as_replace)}) {
    if (!said) continue;
    const Reader::Scope scope(reader, key);
    reader.fail(draft.at(key), "goes with local-as only");
  }
}

void check_peer_timers(Reader& reader, const Draft& draft) {
  // A default that is too short for a long hold-time does no harm; what was said must fit together.
  const auto [hold, send] = std::pair(draft.settings.hold_time, draft.settings.send_hold);
  if (draft.find("send-hold") == nullptr || send.count() == 0 || send > hold) return;
  const Reader::Scope scope(reader, "send-hold");
  reader.fail(draft.at("send-hold"),
              fmt::format("{} s must be longer than hold-time, {} s, or 0 for off (RFC 9687)",
                          send.count(), hold.count()));
}

/// Only paths of our own AS are reflected.
void check_peer_reflection(Reader& reader, const Draft& draft, const NodeSettings& node) {
  using bgp::RemoteAs;
  if (!draft.settings.route_reflector_client) return;
  const auto& remote = draft.settings.remote_as;
  if (remote == std::variant<RemoteAs, bgp::Asn>(RemoteAs::internal)) return;
  if (remote == std::variant<RemoteAs, bgp::Asn>(node.asn)) return;
  const Reader::Scope scope(reader, "route-reflector-client");
  reader.fail(draft.at("route-reflector-client"),
              "only an internal peer can be a client; say remote-as: internal");
}

void check_peer_policies(Reader& reader, const Draft& draft, const bgp::Settings& settings) {
  const auto check = [&](std::string_view key, const std::optional<bgp::Filter>& filter) {
    if (!filter || draft.find(key) == nullptr) return;
    const Reader::Scope scope(reader, key);
    check_filter(reader, *draft.find(key), *filter, settings);
  };
  check("import", draft.settings.import_filter);
  check("export", draft.settings.export_filter);
}

void check_peer_role(Reader& reader, const Draft& draft, const NodeSettings& node) {
  const auto& remote = draft.settings.remote_as;
  const bgp::Asn* asn = std::get_if<bgp::Asn>(&remote);
  const bool internal = remote == std::variant<bgp::RemoteAs, bgp::Asn>(bgp::RemoteAs::internal) ||
                        (asn != nullptr && *asn == node.asn);
  if (draft.settings.role && internal && draft.find("role") != nullptr) {
    const Reader::Scope scope(reader, "role");
    reader.fail(*draft.find("role"), "is for peers of another AS (RFC 9234)");
  }
  if (draft.settings.role_strict && !draft.settings.role && draft.find("role-strict") != nullptr) {
    const Reader::Scope scope(reader, "role-strict");
    reader.fail(*draft.find("role-strict"), "goes with 'role' only");
  }
}

/// The key and the value by which no two peers can be the same.
std::pair<std::string_view, std::string> identity_of(const bgp::PeerSettings& peer) {
  if (peer.range) return {"listen", peer.range->text()};
  if (peer.is_unnumbered()) return {"interface", peer.interface};
  return {"address", peer.address.text()};
}

Draft read_peer(Reader& reader, const Node& node, const Groups& groups) {
  Draft draft{&node, nullptr, {}};
  if (const Node* name = node.find("group")) {
    const auto group = groups.find(name->text);
    if (name->kind == Node::Kind::scalar && group != groups.end()) {
      draft.group = group->second.node;
      draft.settings = group->second.settings;
    } else {
      std::vector<std::string_view> known;
      for (const auto& [known_name, unused] : groups) known.push_back(known_name);
      const Reader::Scope scope(reader, "group");
      reader.fail(*name, fmt::format("there is no group {} in bgp.groups{}", quoted(name->text),
                                     known.empty() ? "" : suggestion(name->text, known)));
    }
  }
  read_keys(reader, node, draft.settings);
  if (node.find("password") != nullptr && node.find("password-file") != nullptr) {
    reader.fail(*node.find("password-file"), "give either 'password' or 'password-file'");
  }
  if (draft.settings.password && !draft.settings.tcp_ao.empty()) {
    reader.fail(node.find("tcp-ao") != nullptr ? *node.find("tcp-ao") : node,
                "a session is signed by TCP-AO or by TCP MD5; give either 'tcp-ao' or a password");
  }
  if (draft.settings.name.empty()) draft.settings.name = identity_of(draft.settings).second;
  return draft;
}

/// Names and addresses are what peers are told apart by.
class PeerIdentities {
 public:
  void check(Reader& reader, const Draft& draft) {
    const std::string& name = draft.settings.name;
    const auto [key, identity] = identity_of(draft.settings);
    const auto [first, fresh] = identities_.try_emplace(identity, draft.node->mark.line);
    if (!fresh) {
      const Reader::Scope scope(reader, key);
      reader.fail(draft.at(key),
                  draft.settings.range
                      ? fmt::format("a range {} is in line {} already", identity, first->second)
                      : fmt::format("a peer with the {} {} is in line {} already", key, identity,
                                    first->second));
      return;
    }
    const auto [named, unique] = names_.try_emplace(name, draft.node->mark.line);
    if (!unique) {
      const Reader::Scope scope(reader, "name");
      reader.fail(draft.at("name"),
                  fmt::format("a peer called '{}' is in line {} already", name, named->second));
    }
  }

 private:
  /// Address, interface or prefix.
  std::map<std::string, int> identities_;
  std::map<std::string, int> names_;
};

void read_peers(Reader& reader, const Node& node, const Groups& groups, Config& config) {
  const Reader::Scope scope(reader, "peers");
  if (!reader.sequence(node)) return;
  static_assert(peer_limit <= item_limit);
  PeerIdentities identities;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Node& item = node.items[i];
    const Reader::Scope inner(reader, fmt::format("[{}]", i));
    if (item.kind != Node::Kind::mapping) {
      reader.fail(item, fmt::format("must be a mapping such as {{address: 192.0.2.1, remote-as: "
                                    "65001}}, not {}",
                                    item.kind_name()));
      continue;
    }
    const std::size_t before = reader.faults();
    Draft draft = read_peer(reader, item, groups);
    check_peer_has_address(reader, item);
    if (reader.faults() == before) {
      if (!draft.settings.range) check_peer_address(reader, draft, config.node);
      check_tcp_ao(reader, draft);
      check_range(reader, draft);
      check_unnumbered(reader, draft);
      check_peer_source(reader, draft);
      check_peer_timers(reader, draft);
      check_peer_reflection(reader, draft, config.node);
      check_peer_policies(reader, draft, config.bgp);
      check_peer_role(reader, draft, config.node);
      check_local_as(reader, draft, config.node);
      check_path_changes(reader, draft, config.node);
      check_table(reader, draft);
      identities.check(reader, draft);
    }
    config.bgp.peers.push_back(std::move(draft.settings));
  }
  // Only whole peers can be held against each other.
  if (config.bgp.peers.size() != node.items.size()) return;
  check_range_passwords(reader, node, config.bgp.peers);
  check_unnumbered_passwords(reader, node, config.bgp.peers);
  check_placements(reader, node, config.bgp.peers);
}

void read_bgp(Reader& reader, const Node& node, Config& config) {
  const Reader::Scope scope(reader, "bgp");
  read_keys(reader, node, config.bgp);
  read_policies(reader, node, config.bgp);
  Groups groups;
  if (const Node* section = node.find("groups")) groups = read_groups(reader, *section);
  if (const Node* section = node.find("peers")) read_peers(reader, *section, groups, config);
  check_policies(reader, node, config.bgp);
  check_conditions(reader, node, config.bgp);
}

void read_fib(Reader& reader, const Node& node, fib::Settings& settings) {
  const Reader::Scope scope(reader, "fib");
  read_keys(reader, node, settings);
  if (settings.table != local_table) return;
  const Reader::Scope inner(reader, "table");
  reader.fail(at(node, "table"), local_table_is_taken);
}

void read_node(Reader& reader, const Node& node, const Defaults& defaults, NodeSettings& settings) {
  const Reader::Scope scope(reader, "node");
  read_keys(reader, node, settings);
  if (node.find("name") != nullptr) return;
  // The host name is held to what an operator may write.
  Node said;
  said.kind = Node::Kind::scalar;
  said.mark = node.mark;
  said.text = defaults.host_name;
  Reader quiet("");
  if (const auto name = quiet.word(said, name_limit, "-_.")) {
    settings.name = *name;
  } else {
    reader.fail(node, fmt::format("the host name {} cannot be the name of this node; give 'name'",
                                  quoted(defaults.host_name)));
  }
}

/// A container could get the address that this host is known by.
void check_router_addresses(Reader& reader, const Node& node, const Config& config) {
  const Reader::Scope scope(reader, "node");
  const auto check = [&](std::string_view key, const Address& address) {
    for (const PoolSettings& pool : config.ipam.pools) {
      const auto& prefix = address.is_v4() ? pool.ipv4 : pool.ipv6;
      if (!prefix || !prefix->contains(address)) continue;
      const Reader::Scope inner(reader, key);
      reader.fail(at(node, key), fmt::format("{} is inside of pool '{}', whose addresses are for "
                                             "containers; give one outside of {}",
                                             address.text(), pool.name, prefix->text()));
    }
  };
  if (config.node.router_id.value != 0) {
    check("router-id", Address::ipv4(config.node.router_id.value));
  }
  if (config.node.router_address_ipv6) {
    check("router-address-ipv6", *config.node.router_address_ipv6);
  }
}

/// What the operator says once goes wherever it is needed.
void spread(Config& config) {
  config.bgp.asn = config.node.asn;
  config.bgp.router_id = config.node.router_id;
  config.bgp.bmp.system_name = config.node.name;
  config.ipam.labels = config.node.labels;
  config.ipam.labels.emplace("name", config.node.name);
  for (const PoolSettings& pool : config.ipam.pools) {
    if (pool.ipv4) config.bgp.pools.push_back(*pool.ipv4);
    if (pool.ipv6) config.bgp.pools.push_back(*pool.ipv6);
  }
  config.fib.preferred_source_v4 = Address::ipv4(config.node.router_id.value);
  config.fib.preferred_source_v6 = config.node.router_address_ipv6;
}

Config read_config(Reader& reader, const Node& root, const Defaults& defaults) {
  Config config;
  read_keys(reader, root, config);
  const auto section = [&](std::string_view key, const auto& read) {
    if (const Node* node = root.find(key)) read(*node);
  };
  const auto plain = [&](std::string_view key, auto& settings) {
    section(key, [&](const Node& node) {
      const Reader::Scope scope(reader, key);
      read_keys(reader, node, settings);
    });
  };
  section("node", [&](const Node& n) { read_node(reader, n, defaults, config.node); });
  section("pools", [&](const Node& n) { read_pools(reader, n, config.ipam.pools); });
  plain("ipam", config.ipam);
  section("bgp", [&](const Node& n) { read_bgp(reader, n, config); });
  section("fib", [&](const Node& n) { read_fib(reader, n, config.fib); });
  plain("exporter", config.exporter);
  plain("cni", config.cni);
  section("node", [&](const Node& n) { check_router_addresses(reader, n, config); });
  spread(config);
  return config;
}

ConfigErrors whole_file(std::string_view file, std::string message) {
  return {ConfigError{std::string(file), 0, 0, std::move(message)}};
}

}  // namespace

std::string ConfigError::text() const {
  if (line == 0) return fmt::format("{}: {}", file, message);
  return fmt::format("{}:{}:{}: {}", file, line, column, message);
}

Result<Config, ConfigErrors> parse(std::string_view text, std::string_view file_name,
                                   const Defaults& defaults) {
  if (text.size() > text_limit) {
    return whole_file(file_name, fmt::format("longer than {} octets", text_limit));
  }
  const Document document = read_document(std::string(text));
  Reader reader(file_name);
  for (const Fault& fault : document.faults) reader.fail(fault.mark, fault.message);
  const Node& root = document.root;
  if (root.kind == Node::Kind::null) {
    if (!document.faults.empty()) return std::move(reader).errors();
    return whole_file(file_name, "is empty; at least node: with asn and router-id is needed");
  }
  Config config = read_config(reader, root, defaults);
  if (reader.faults() != 0) return std::move(reader).errors();
  return config;
}

Result<Config, ConfigErrors> load(const std::string& path, const Defaults& defaults) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  if (!file) return whole_file(path, fmt::format("cannot be opened: {}", std::strerror(errno)));
  std::string text(text_limit + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return whole_file(path, fmt::format("cannot be read: {}", std::strerror(errno)));
  }
  return parse(text, path, defaults);
}

}  // namespace weft::config
