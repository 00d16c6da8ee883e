// Batch: an ordered piece of the difference between what is wanted and what the kernel has, and the
// kernel's answer to it. What travels between fib::Table (pure, main thread) and fib::Programmer
// (its own thread), both ways.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "fib/route.h"
#include "fib/rtnetlink.h"
#include "fib/settings.h"
#include "net/time.h"

namespace weft::fib {

/// One route to put or remove. Everything else about it (its source, its MTU) follows from its
/// kind.
struct RouteChange {
  Prefix prefix;
  Kind kind = Kind::learned;
  Mode mode = Mode::create;
  bool remove = false;
  std::uint32_t table = 254;
  std::uint32_t metric = 0;
  /// Kernel id of the group; 0 for the other kinds.
  std::uint32_t nexthop_id = 0;

  /// Table's own: where the answer belongs.
  std::uint32_t slot = 0;
  std::uint32_t target = 0;
  std::uint32_t epoch = 0;
  /// Ours may be there, or a foreign one: a refusal does not tell which.
  bool doubtful = false;
  /// Since when the route was wanted like this.
  Time since{};
};

struct NextHopChange {
  NextHopObject object;
  Mode mode = Mode::create;
  /// Table's own: index of the nexthop or group.
  std::uint32_t slot = 0;
};

/// Carried out from top to bottom, so that no route is without its group and no group without its
/// members.
struct Batch {
  std::vector<NextHopChange> nexthops;
  std::vector<NextHopChange> groups;
  std::vector<RouteChange> routes;
  std::vector<NextHopChange> group_removals;
  std::vector<NextHopChange> nexthop_removals;

  [[nodiscard]] std::size_t size() const {
    return nexthops.size() + groups.size() + routes.size() + group_removals.size() +
           nexthop_removals.size();
  }
  [[nodiscard]] bool empty() const { return size() == 0; }
  void clear();
};

/// The batch as netlink messages, one a change, in order.
void encode(netlink::Batch& out, const Batch& batch, const Settings& settings);
/// The route of one change, complete.
Route route_of(const RouteChange& change, const Settings& settings);

/// Most changes in one Batch: more is no faster (facts of the kernel: 32 to 1024 is flat).
inline constexpr std::size_t batch_limit = 1024;

/// The kernel refused one change.
struct Fault {
  /// Counted through the batch from top to bottom.
  std::size_t index = 0;
  /// errno, > 0
  int code = 0;
  std::string message;
};

/// A request for all nexthop objects there are, and all routes of some tables.
struct DumpRequest {
  /// Only to be compared (`weftctl fib check`): the parts say so as well.
  bool check = false;
  /// By rising number.
  std::vector<std::uint32_t> tables = {};
};
using Work = std::variant<Batch, DumpRequest>;

/// A batch carried out.
struct Answer {
  Batch batch;
  /// In ascending order of index.
  std::vector<Fault> faults;
  /// The socket failed: what is not in `faults` may or may not have happened.
  std::optional<std::string> broken;
};
/// A piece of a dump, in order: nexthop objects first, then routes of all protocols of the tables
/// asked for, those of IPv6 before those of IPv4.
struct DumpPart {
  bool check = false;
  /// Everything seen so far is void: the dump starts over.
  bool again = false;
  std::vector<NextHopObject> nexthops;
  std::vector<Route> routes;
  bool last = false;
  /// With `last`: the dump failed, nothing can be concluded from it.
  std::optional<std::string> failed;
};
using Report = std::variant<Answer, DumpPart>;

}  // namespace weft::fib
