// CheckReport: where what is wanted and what the kernel has do not agree, found by comparing with a
// dump of the kernel and nothing else. Plain data. Not here: the comparison (table_check.cc) and
// the RIB's side of it, which fib does not know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fib/route.h"
#include "net/next_hop.h"

namespace weft::fib {

/// One route, or one nexthop object, that the kernel has otherwise than it should.
struct Difference {
  enum class What : std::uint8_t {
    missing,    ///< wanted, and the kernel has none of ours
    different,  ///< ours, leading elsewhere
    stale,      ///< ours, wanted by nobody
    foreign,    ///< somebody else's route stands in the place
  };
  What what = What::missing;
  /// None: a nexthop object.
  std::optional<Prefix> prefix;
  Kind kind = Kind::learned;
  /// Of the object, or of what the kernel's route leads to; 0: none.
  std::uint32_t nexthop_id = 0;
  NextHops wanted;
  NextHops kernel;
  /// Why it is so, when the table knows of it (on its way, refused, held by somebody else). Empty:
  /// nothing told of it, which is drift.
  std::string reason = {};
  /// Of the route, when it is not Settings::table.
  std::optional<std::uint32_t> table = {};
};
/// "missing", "different", "stale", "foreign"
std::string_view name(Difference::What what);

/// Differences named in one report; the others are counted.
inline constexpr std::size_t difference_limit = 100000;
/// A check during which nexthop objects moved is made again so often.
inline constexpr unsigned check_tries = 3;

struct CheckReport {
  /// Routes of weft's in the kernel, and routes wanted there.
  std::uint64_t kernel_routes = 0;
  std::uint64_t wanted_routes = 0;
  /// Routes that changed while the dump was under way, and so could not be compared.
  std::uint64_t moving = 0;
  std::vector<Difference> differences;
  /// Beyond difference_limit.
  std::uint64_t more = 0;
  /// The dump failed: nothing can be concluded.
  std::optional<std::string> failed;
};

}  // namespace weft::fib
