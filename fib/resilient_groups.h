// Whether the kernel has resilient nexthop groups (NEXTHOP_GRP_TYPE_RES, Linux 5.13): asked by
// making one, of a blackhole that nobody uses, and taking it away again. Not here: what becomes of
// groups without it (Table::plain_groups()).
#pragma once

namespace weft::fib {

/// In the network namespace of the caller. True as well where that cannot be told.
[[nodiscard]] bool has_resilient_groups();

}  // namespace weft::fib
