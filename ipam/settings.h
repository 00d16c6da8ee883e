// What an operator sets of address management: pools, and how this host comes by its blocks. Plain
// data, filled by `config`; the defaults are the product's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

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
  std::variant<StaticIndex, StaticBlocks> claim;
  bool operator==(const PoolSettings&) const = default;
};

struct Settings {
  /// The first is the default of containers that name none.
  std::vector<PoolSettings> pools;
  /// A freed address rests this long before it is handed out again, 0..3600 s (rule: longer than a
  /// peer's SYN_SENT).
  std::chrono::seconds cool_down{120};
  /// How often held addresses are compared with the kernel, 1..3600 s. One whose container is gone
  /// twice is freed.
  std::chrono::seconds audit_interval{30};

  bool operator==(const Settings&) const = default;
};

}  // namespace weft::ipam
