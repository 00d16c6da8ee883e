#include "ipam/claims.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::ipam {

namespace {

Result<std::vector<std::uint32_t>> indexes(const StaticIndex& claim, std::uint32_t block_count) {
  if (claim.blocks_per_host == 0 || claim.blocks_per_host > blocks_per_host_limit) {
    return Error{fmt::format("blocks-per-host must be 1 to {}, not {}", blocks_per_host_limit,
                             claim.blocks_per_host)};
  }
  const std::uint32_t hosts = block_count / claim.blocks_per_host;
  if (claim.index >= hosts) {
    return Error{
        fmt::format("the index {} is too high: {} blocks, {} a host, are enough for the indexes "
                    "below {}",
                    claim.index, block_count, claim.blocks_per_host, hosts)};
  }
  std::vector<std::uint32_t> owned(claim.blocks_per_host);
  for (std::uint32_t i = 0; i < claim.blocks_per_host; ++i) {
    owned[i] = claim.index * claim.blocks_per_host + i;
  }
  return owned;
}

Result<std::vector<std::uint32_t>> indexes(const StaticBlocks& claim, std::uint32_t block_count) {
  if (claim.indexes.empty() || claim.indexes.size() > blocks_per_host_limit) {
    return Error{fmt::format("the list of blocks must name 1 to {}, not {}", blocks_per_host_limit,
                             claim.indexes.size())};
  }
  std::vector<std::uint32_t> owned = claim.indexes;
  std::sort(owned.begin(), owned.end());
  const auto twice = std::adjacent_find(owned.begin(), owned.end());
  if (twice != owned.end()) return Error{fmt::format("block {} is listed twice", *twice)};
  if (owned.back() >= block_count) {
    return Error{fmt::format("there is no block {}; the pool has the blocks 0 to {}", owned.back(),
                             block_count - 1)};
  }
  return owned;
}

/// They come one by one.
Result<std::vector<std::uint32_t>> indexes(const EtcdClaim& claim, std::uint32_t) {
  if (claim.max_blocks == 0 || claim.max_blocks > blocks_per_host_limit ||
      claim.min_blocks > claim.max_blocks) {
    return Error{
        fmt::format("min-blocks and max-blocks must be at most {}, and min-blocks not more "
                    "than max-blocks",
                    blocks_per_host_limit)};
  }
  return std::vector<std::uint32_t>{};
}

}  // namespace

Result<std::vector<BlockId>> static_claims(const Pool& pool) {
  const auto owned = std::visit(
      [&](const auto& claim) { return indexes(claim, pool.block_count()); }, pool.settings().claim);
  if (!owned) return owned.error().within(fmt::format("pool {}", pool.name()));
  std::vector<BlockId> blocks;
  blocks.reserve(owned->size());
  for (const std::uint32_t index : *owned) blocks.push_back(pool.block(index));
  return blocks;
}

Result<Plan> plan(const Settings& settings) {
  Plan plan;
  for (const PoolSettings& wanted : settings.pools) {
    const auto pool = Pool::create(wanted);
    if (!pool) return pool.error();
    for (const Pool& other : plan.pools) {
      if (other.name() == pool->name()) {
        return Error{fmt::format("two pools are named {}", pool->name())};
      }
      if (other.overlaps(*pool)) {
        return Error{fmt::format("the pools {} and {} overlap", other.name(), pool->name())};
      }
    }
    plan.pools.push_back(*pool);
    if (!is_for(wanted, settings.labels)) continue;
    const auto owned = static_claims(*pool);
    if (!owned) return owned.error();
    plan.owned.insert(plan.owned.end(), owned->begin(), owned->end());
  }
  return plan;
}

}  // namespace weft::ipam
