// Aggregates: which of the configured aggregates have routes inside of them, and so are to be
// originated. Counts what it is told; never looks a table through. Not here: the Loc-RIB (rib.h),
// keeping more specific routes from going out (Rib::suppress), the blackhole in the kernel
// (daemon/routing.h). RFC 4271 9.2.2.2; 6472 and 9774: no AS_SET, ATOMIC_AGGREGATE in its place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "bgp/attributes.h"
#include "bgp/covering_prefixes.h"
#include "bgp/route_change.h"
#include "bgp/settings.h"
#include "bgp/types.h"
#include "net/ip.h"
#include "net/time.h"

namespace weft::bgp {

/// What an aggregate is announced with; `asn` and `id` are ours, `origin` is that of what is
/// inside.
Attributes attributes_of(const AggregateSettings& aggregate, Asn asn, RouterId id, Origin origin);

/// An aggregate for show commands.
struct AggregateStatus {
  Prefix prefix;
  bool summary_only = false;
  /// Prefixes inside of it that have a route. At least one: it is wanted.
  std::uint64_t contributing = 0;
  bool originated = false;
  /// It is wanted, and not originated because the kernel has not acknowledged its blackhole.
  bool awaits_cover = false;
  /// Since when it is originated or is not, and how often that has changed.
  Time since{};
  std::uint64_t changes = 0;
  bool operator==(const AggregateStatus&) const = default;
};

class Aggregates {
 public:
  /// In place of those before. All counts are 0 then: the caller tells again of every route there
  /// is before it calls step(). What goes on stays originated meanwhile.
  void configure(std::vector<AggregateSettings> wanted, Time now);
  [[nodiscard]] bool empty() const { return rows_.empty(); }

  /// A prefix has another kind of route now, or one of another ORIGIN. Prefixes of aggregates count
  /// for no other aggregate.
  void route(const Prefix& prefix, RouteKind before, RouteKind now, Origin origin = Origin::igp);
  /// True: an aggregate is originated once covered() was called for it, since it was last wanted.
  /// False, at first: at once.
  void wait_for_cover(bool yes);
  /// The kernel drops what no route inside of it takes.
  void covered(const Prefix& prefix);

  /// Prefixes whose aggregate is to be originated, or anew, or withdrawn, since the last call.
  [[nodiscard]] std::vector<Prefix> step(Time now);
  /// The aggregate that is originated for the prefix, or nullptr.
  [[nodiscard]] const AggregateSettings* originated(const Prefix& prefix) const;
  /// Of one that is originated: INCOMPLETE, EGP, IGP, the first of these that a route inside of it
  /// has (RFC 4271 9.2.2.2).
  [[nodiscard]] Origin origin(const Prefix& prefix) const;
  /// One of the family is wanted, and waits for covered().
  [[nodiscard]] bool awaits_cover(Family family) const;
  /// Sorted: those originated of which nothing more specific is to go out.
  [[nodiscard]] std::vector<Prefix> suppressing() const;

  /// In the order of the settings.
  [[nodiscard]] std::vector<AggregateStatus> status() const;

 private:
  struct Row {
    AggregateSettings settings;
    std::uint64_t contributing = 0;
    /// Of these, by ORIGIN.
    std::array<std::uint64_t, 3> origins{};
    bool covered = false;
    bool originated = false;
    /// With which it is.
    Origin origin = Origin::igp;
    Time since{};
    std::uint64_t changes = 0;
  };
  static bool waits(const Row& row) { return row.contributing != 0 && !row.originated; }
  static void note(Row& row, Time now) {
    row.since = now;
    ++row.changes;
  }
  static Origin merged(const Row& row);
  [[nodiscard]] const Row* find_originated(const Prefix& prefix) const;
  void index();

  std::vector<Row> rows_;
  CoveringPrefixes prefixes_;
  /// Of routes inside of aggregates: those that are not IGP, which are few where networks are ours.
  std::unordered_map<Prefix, Origin> other_origins_;
  /// To be said by the next step(), whatever the rows say.
  std::vector<Prefix> changed_;
  bool wait_ = false;
  bool stepped_ = true;
};

}  // namespace weft::bgp
