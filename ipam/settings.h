// What an operator sets of address management: pools, and how this host comes by its blocks. Plain
// data, filled by `config`; the defaults are the product's.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "net/address_range.h"
#include "net/ip.h"

namespace weft::ipam {

/// `claim: {static: {index: N}}`: this host owns blocks N*per_host … N*per_host+per_host-1 of the
/// pool, both families.
struct StaticIndex {
  std::uint32_t index = 0;
  /// 1..1024
  std::uint32_t blocks_per_host = 1;
  bool operator==(const StaticIndex&) const = default;
};

/// `claim: {static: {blocks: [3, 7]}}`: this host owns exactly the blocks with these indexes.
struct StaticBlocks {
  std::vector<std::uint32_t> indexes;
  bool operator==(const StaticBlocks&) const = default;
};

/// Whether a container may have an address whose block another host owns (an exception).
/// `on_request` is `explicit` for the operator: when the address is asked for by name, and its
/// owner agrees.
enum class Borrow : std::uint8_t { never, on_request };

/// `claim: {etcd: {...}}`: this host claims blocks as it needs them. All pools that are shared have
/// one store.
struct EtcdClaim {
  /// "https://10.0.0.5:2379"; tried in this order.
  std::vector<std::string> endpoints;
  /// Empty: no authentication.
  std::string user;
  /// First line of the file; read whenever a token is asked for.
  std::string password_file;
  /// PEM; empty: the system's.
  std::string ca_file;
  /// PEM, both or none: for an etcd that asks clients for certificates.
  std::string cert_file;
  std::string key_file;
  /// Of every key, without a slash at the end.
  std::string prefix = "/weft/v1";
  /// Claims of a host that was not heard of for so long are free.
  std::chrono::seconds lease{86400};
  /// Blocks that stay although they are empty; at most max_blocks.
  std::uint32_t min_blocks = 1;
  /// 1..1024
  std::uint32_t max_blocks = 64;
  /// With fewer free addresses than these another block is claimed.
  std::uint32_t spare = 32;
  Borrow borrow = Borrow::never;
  bool operator==(const EtcdClaim&) const = default;
};

using weft::AddressRange;

/// Fewest addresses of a block that is a subnet: network, gateway, broadcast and one to give.
inline constexpr std::uint32_t subnet_capacity = 4;

enum class PoolState : std::uint8_t {
  active,
  /// Nothing is handed out; what is held stays, and blocks go as they become empty.
  draining,
};

/// What is said of nodes, and asked of them: key and value.
using Labels = std::map<std::string, std::string>;

struct PoolSettings {
  /// Unique; letters, digits, '-' and '_', at most 32 octets.
  std::string name;
  /// At least one of the two. With both, block k of one is paired with block k of the other.
  std::optional<Prefix> ipv4;
  std::optional<Prefix> ipv6;
  /// Length of a block: 20..32, not shorter than the pool.
  std::uint8_t ipv4_block_length = 26;
  /// 116..128, not shorter than the pool. With both families the host bits must be as many.
  std::uint8_t ipv6_block_length = 122;
  std::variant<StaticIndex, StaticBlocks, EtcdClaim> claim;
  PoolState state = PoolState::active;
  /// Never handed out.
  std::vector<AddressRange> reserved;
  /// Blocks are subnets with a gateway, for other main plugins (weft-ipam): network, gateway and
  /// broadcast address are never handed out.
  bool gateway = false;
  /// The networks (of CNI) it is for; empty: all. A network that a pool names does not take from
  /// the pools that are for all, unless it asks for one by name.
  std::vector<std::string> networks;
  /// The nodes it is for: those that have all of these labels. Empty: all.
  Labels nodes;
  bool operator==(const PoolSettings&) const = default;
};

struct Settings {
  /// Containers that name none take from the first that is for their network.
  std::vector<PoolSettings> pools;
  /// A freed address rests this long before it is handed out again, 0..3600 s (rule: longer than a
  /// peer's SYN_SENT).
  std::chrono::seconds cool_down{120};
  /// When a pool has no other, one that still rests is given: the one that rested longest.
  bool soft_cool_down = false;
  /// How often held addresses are compared with the kernel, 1..3600 s. One whose container is gone
  /// twice is freed.
  std::chrono::seconds audit_interval{30};
  /// Most addresses out of other hosts' blocks that this host holds, 0..4096: each is a route of
  /// its own in every router.
  std::uint32_t max_exceptions = 64;
  /// Of the routes to such addresses, as bgp::Origination::add_community takes it; empty: none.
  std::string exception_community = "64512:32";
  /// Of this node, "name" among them.
  Labels labels;

  bool operator==(const Settings&) const = default;
};

}  // namespace weft::ipam
