// Pool: the arithmetic of one pool, cut into blocks of 2^n addresses. Block k of the IPv4 range and
// block k of the IPv6 range are one block with one index, and ordinal j in it is one place with up
// to two addresses. Which host owns a block is `claims`; who holds an ordinal is `block`.
//
// Every ordinal of a block is usable, the first and the last too: containers get a /32 and a /128
// and there is no subnet on any link, hence neither a network nor a broadcast address to spare;
// unless the pool's blocks are made subnets for other main plugins (`gateway`).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "ipam/settings.h"
#include "net/ip.h"
#include "net/result.h"

namespace weft::ipam {

/// Most ordinals of one block: a /20, or a /116.
inline constexpr std::uint32_t block_capacity_limit = 4096;

/// A block and the prefixes it stands for: after a pool is renumbered, block 3 is another block
/// than before.
struct BlockId {
  std::string pool;
  std::uint32_t index = 0;
  std::optional<Prefix> ipv4;
  std::optional<Prefix> ipv6;
  auto operator<=>(const BlockId&) const = default;

  /// Addresses in it, 1..block_capacity_limit.
  [[nodiscard]] std::uint32_t capacity() const;
  /// The two addresses of an ordinal below capacity().
  [[nodiscard]] std::optional<Address> ipv4_at(std::uint32_t ordinal) const;
  [[nodiscard]] std::optional<Address> ipv6_at(std::uint32_t ordinal) const;
  /// The other way round, for an address of the block.
  [[nodiscard]] std::uint32_t ordinal_of(const Address& address) const;
  /// "10.64.2.192/26 fd64:0:0:1::2c0/122"
  [[nodiscard]] std::string text() const;
};

class Pool {
 public:
  /// Errors say which setting is wrong and what would be right.
  static Result<Pool> create(const PoolSettings& settings);

  [[nodiscard]] const std::string& name() const { return settings_.name; }
  [[nodiscard]] const PoolSettings& settings() const { return settings_; }
  /// Blocks in the pool; with two families those that both have.
  [[nodiscard]] std::uint32_t block_count() const { return block_count_; }
  /// Asserts index < block_count().
  [[nodiscard]] BlockId block(std::uint32_t index) const;
  /// The one that the address is in.
  [[nodiscard]] std::optional<BlockId> block_of(const Address& address) const;
  [[nodiscard]] bool overlaps(const Pool& other) const;
  /// Of a pool whose blocks are subnets: where plugins such as bridge put the gateway by
  /// themselves.
  static constexpr std::uint32_t gateway_ordinal = 1;
  /// One of the two addresses of the ordinal is never to be handed out.
  [[nodiscard]] bool is_reserved(const BlockId& block, std::uint32_t ordinal) const;

 private:
  Pool(PoolSettings settings, std::uint32_t block_count);

  PoolSettings settings_;
  std::uint32_t block_count_;
};

/// The node has all labels that the pool asks for.
bool is_for(const PoolSettings& pool, const Labels& node);

}  // namespace weft::ipam
