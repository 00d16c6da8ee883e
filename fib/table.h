// Table: what should be in the kernel, what is there, and the difference as batches of work. Pure:
// wants, answers, kernel events and time in; batches and notices out. The latest want wins, nothing
// is dropped, a foreign route is never touched. One operation per route is in flight at a time;
// answers come back in the order of the work, which makes a dump exact. After a start the kernel's
// routes are adopted, and those that nobody wanted by synced() are swept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fib/batch.h"
#include "fib/check.h"
#include "fib/nexthops.h"
#include "fib/route.h"
#include "fib/settings.h"
#include "net/result.h"
#include "net/time.h"

namespace weft::fib {

/// A route somebody else put into, or took out of, the kernel (Monitor leaves out what we did
/// ourselves).
struct RouteEvent {
  Route route;
  bool deleted = false;
  /// NLM_F_REPLACE: what stood at (prefix, table, metric) before is gone.
  bool replaced = false;
  /// Deleted, and perhaps only because its nexthop was, which is told of itself: where
  /// nexthop_compat_mode is 1 the kernel says so of each IPv6 route, in the words in which it tells
  /// of one deleted by ioctl (route(8)).
  bool doubtful = false;
};
struct NextHopEvent {
  NextHopObject object;
  bool deleted = false;
};

/// What made a repair necessary; the label `cause` of weft_fib_repairs_total.
enum class Cause : std::uint8_t {
  link,     ///< interface down or without carrier, and back
  address,  ///< an address of ours went or came
  route_deleted,
  route_replaced,
  nexthop_deleted,
  nexthop_replaced,
  dump,  ///< found missing or different by a dump (after an overrun or by an audit)
};
inline constexpr std::size_t causes = 7;
std::string_view name(Cause cause);

/// The kernel has acknowledged a route as it is wanted now.
struct Installed {
  Prefix prefix;
  Kind kind = Kind::learned;
  bool operator==(const Installed&) const = default;
};

/// Something an operator should read once.
struct Notice {
  bool warning = false;
  std::string message;
};

/// Upper bounds in seconds of the programming histogram's buckets; above the last is +Inf.
inline constexpr std::array<double, 12> latency_bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,   0.25,   0.5,   1,    2.5,   10};
struct Latency {
  std::array<std::uint64_t, latency_bounds.size() + 1> buckets{};
  std::uint64_t count = 0;
  double sum = 0;
};

struct Snapshot {
  /// In the kernel as wanted: [ipv4, ipv6][Kind].
  std::array<std::array<std::uint64_t, 3>, 2> routes{};
  /// Wanted and not (yet) in the kernel like that.
  std::uint64_t pending = 0;
  /// Of these: refused by the kernel, waiting for the next try.
  std::uint64_t failed = 0;
  /// Of these: a foreign route stands in their place.
  std::uint64_t foreign = 0;
  /// Found missing, different or superfluous in the kernel and not yet repaired: [ipv4, ipv6].
  std::array<std::uint64_t, 2> drift{};
  /// Adopted at start and not wanted by anyone so far.
  std::uint64_t stale = 0;
  std::uint64_t nexthops = 0;
  std::uint64_t groups = 0;
  /// Groups by number of members in the kernel: 1, 2, 3-4, 5-8, 9-16, more.
  std::array<std::uint64_t, 6> ecmp_paths{};
  std::array<std::uint64_t, causes> repairs{};
  /// Route operations answered: [put, remove][ok, refused].
  std::array<std::array<std::uint64_t, 2>, 2> operations{};
  Latency programming;
  std::uint64_t overruns = 0;
  std::uint64_t dumps = 0;
  /// In the kernel as wanted, of all kinds and both families, by table.
  std::map<std::uint32_t, std::uint64_t> tables = {};
  bool synced = false;
};

/// After this long without synced() the sweep happens all the same.
inline constexpr std::chrono::seconds sweep_limit{360};

/// A table of the kernel, and the metric of learned routes in it: Table::place(). The default is
/// Settings' own.
struct PlaceRef {
  std::uint8_t value = 0;
  auto operator<=>(const PlaceRef&) const = default;
};

class Table {
 public:
  /// `seed` keeps a peer from choosing prefixes that are slow to find.
  explicit Table(const Settings& settings, std::uint64_t seed = 0);
  Table(Table&&) noexcept;
  Table& operator=(Table&&) noexcept;
  ~Table();

  /// Tables in which an earlier life may have left routes: these are swept, too. Before start().
  void former_tables(const std::vector<std::uint32_t>& tables);
  /// Asks for the dump from which the kernel's routes are adopted; until it is in, take() gives
  /// nothing else.
  void start(Time now);

  /// This kernel has no resilient groups (has_resilient_groups()): Settings::resilient_buckets
  /// makes plain ones. Before start().
  void plain_groups();

  /// Whether the kernel held routes of ours at the start, by family (ipv4, ipv6). None until that
  /// is certain, which takes no longer than the first IPv4 route of ours, or the whole dump.
  [[nodiscard]] std::optional<std::array<bool, 2>> forwards() const;

  /// The group of these next hops (sorted, not empty), for want(); give it back with release().
  GroupRef group(const NextHops& next_hops);
  void release(GroupRef group);
  [[nodiscard]] NextHops next_hops(GroupRef group) const;

  /// For want(). Lasts until most_places others were asked for while no route stood there.
  PlaceRef place(const Placement& where);
  /// All that there are now: the kernel is read, and listened to, for these.
  [[nodiscard]] std::vector<std::uint32_t> tables() const;

  /// A learned route, in one place at a time. Costs a hash look-up, no allocation per route.
  void want(const Prefix& prefix, GroupRef group, Time now, PlaceRef where = {});
  void unwant(const Prefix& prefix, Time now);
  /// Some prefixes ahead of want() or unwant(), which wait for memory more than for anything else.
  void prefetch(const Prefix& prefix) const;
  /// Packets to what no other route leads to are dropped here: under an owned block or an
  /// aggregate, and where a peer asked for it (RFC 7999). The last choice among routes to the same
  /// prefix.
  void want_blackhole(const Prefix& block, Time now, PlaceRef where = {});
  void unwant_blackhole(const Prefix& block, Time now, PlaceRef where = {});
  /// <address>/32 dev lo scope link, so that proxy ARP answers without a default route. IPv4.
  void want_gateway(const Address& address, Time now);
  void unwant_gateway(const Address& address, Time now);

  /// All that is wanted has been said (End-of-RIB from everybody): what else is ours in the kernel
  /// goes.
  void synced(Time now);

  // What the kernel does by itself or for others.
  void link(const Link& link, Time now);
  void link_removed(std::uint32_t ifindex, Time now);
  void address(const ConnectedSubnet& subnet, bool present, Time now);
  void observed(const RouteEvent& event, Time now);
  void observed(const NextHopEvent& event, Time now);
  /// Notifications were lost: a dump will tell.
  void overrun(Time now);
  /// Compares the kernel with what we think it has, and repairs (background audit).
  void audit(Time now);
  /// Compares the kernel with what is wanted, and repairs nothing: a later take() asks for the
  /// dump, and when it is in, take_check() has the report. One at a time.
  void check();
  std::optional<CheckReport> take_check();
  /// True while something is on its way to the kernel or a dump is due: a difference may go by
  /// itself.
  [[nodiscard]] bool busy() const;

  /// BFD or a session says the gateway is dead, or alive again: one group change per group that has
  /// it. A group whose members are all dead keeps all of them: deleting it would take its
  /// routes along.
  void reachable(const Address& gateway, std::uint32_t ifindex, bool yes, Time now);

  /// A gateway that is not reachable: every route that leads there alone will be unwanted, which
  /// takes whoever says so its time. The kernel is spared the wait; reachable() ends it.
  void forsake(const Address& gateway, std::uint32_t ifindex);

  /// Whoever wants and unwants is in the middle of a large change: many removals wait for its end,
  /// for together they may be one message.
  void more_to_come(bool yes);
  /// False: net.ipv4.nexthop_compat_mode is 1, and groups are pruned by deleting members.
  void fast_groups(bool yes);

  /// Changes of groups that routes use, which go past all other work (Programmer::Lane::express).
  std::optional<Batch> take_express(Time now);
  /// The next piece of work, if there is any now; at most batch_limit changes.
  std::optional<Work> take(Time now);
  void settle(Report report, Time now);

  /// When tick() has something to do (retries, the sweep's time limit).
  [[nodiscard]] std::optional<Time> deadline() const;
  void tick(Time now);

  /// True: take_installed() tells of every route that came to be as wanted, once for each want.
  void tell_installed(bool yes);
  std::vector<Installed> take_installed();
  std::vector<Notice> take_notices();

  /// "installed", "pending", "failed: …", "foreign: proto static metric 20", "-" (not wanted); as
  /// ctl::Route::kernel. Of a route elsewhere than Settings say, with " in table 100, metric 30".
  [[nodiscard]] std::string state(const Prefix& prefix, Kind kind = Kind::learned) const;
  /// The group of a learned route that is wanted; none when there is no such want.
  [[nodiscard]] GroupRef wanted(const Prefix& prefix) const;
  /// And where; with numbers of its own even if Settings said them.
  [[nodiscard]] Placement placement(const Prefix& prefix) const;
  /// Every learned route that is wanted, in no particular order. `each` must not call the table.
  void wanted(const std::function<void(const Prefix&, GroupRef)>& each) const;
  /// True when the kernel has acknowledged the route through this group.
  [[nodiscard]] bool installed(const Prefix& prefix, GroupRef group) const;
  [[nodiscard]] Snapshot snapshot() const;
  /// Octets held for routes: entries, index and flags.
  [[nodiscard]] std::size_t memory() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weft::fib
