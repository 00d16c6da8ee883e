// Claims: which blocks of its pools this host owns. Static claims follow from the settings alone
// and never change under way; claims shared between hosts (etcd) arrive one by one and enter the
// allocator by the same door, as block ids.
#pragma once

#include <vector>

#include "ipam/pool.h"
#include "ipam/settings.h"
#include "net/result.h"

namespace weft::ipam {

/// Most blocks one host may own in one pool.
inline constexpr std::uint32_t blocks_per_host_limit = 1024;

/// The blocks of `pool` that its `claim` gives to this host, by rising index.
Result<std::vector<BlockId>> static_claims(const Pool& pool);

/// All pools, checked one by one and against each other, and this host's blocks in those that are
/// for its node.
struct Plan {
  std::vector<Pool> pools;
  std::vector<BlockId> owned;
};
Result<Plan> plan(const Settings& settings);

}  // namespace weft::ipam
