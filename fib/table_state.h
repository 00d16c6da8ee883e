// Table::State: what fib::Table consists of. Only its own files include this: table.cc (what others
// call), table_work.cc (batches and their answers), table_dump.cc (dumps), table_check.cc
// (comparing without repair), table_events.cc (what the kernel and others do).
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fib/entries.h"
#include "fib/table.h"

namespace weft::fib {

inline constexpr std::uint8_t scope_link = 253;
inline constexpr std::uint32_t loopback = 1;
inline constexpr std::uint32_t no_slot = 0xffffffff;
/// From so many routes on, a group nobody wants is deleted together with them.
inline constexpr std::uint32_t mass_removal = 32;
/// From so many removals on, they wait while more withdrawals are known to come: a group of which
/// all routes go is one message. But not for longer than this.
inline constexpr std::size_t held_removals = 4096;
inline constexpr std::chrono::seconds hold_limit{2};
/// Notices kept until somebody takes them; fault texts kept for state(); foreign routes remembered.
inline constexpr std::size_t notice_limit = 256;
/// What others do in a breath is one line in the log; then there is none for a while.
inline constexpr std::chrono::milliseconds meddling_breath{500};
inline constexpr std::chrono::seconds meddling_pause{30};
inline constexpr std::size_t fault_limit = 4096;
inline constexpr std::size_t foreign_limit = 65536;
inline constexpr std::size_t stray_limit = 65536;
/// So often we take a place back from somebody who replaced our route; then it counts as theirs.
inline constexpr unsigned fight_limit = 3;
inline constexpr std::chrono::minutes fight_window{10};
inline constexpr std::chrono::seconds dump_retry{1};
inline constexpr std::size_t retry_levels = 8;

struct Foreign {
  Placement at;
  std::uint8_t protocol = 0;
  /// The dump, or the one before the event, that told of it.
  std::uint64_t dump = 0;
};

inline Placement place_of(const Route& route) {
  return {route.table, route.metric};
}
/// What tells routes apart, ours and others'.
using Identity = std::tuple<Prefix, Placement, std::uint8_t>;
inline Identity identity(const Route& route) {
  return {route.prefix, place_of(route), route.protocol};
}
/// Which entry a route of the kernel belongs to.
struct Seat {
  Kind kind = Kind::learned;
  std::uint8_t place = 0;
};

struct Fight {
  unsigned count = 0;
  Time since{};
};

template <typename Stored>
struct Half {
  using Slots = Entries<Stored>;
  Family family;
  Slots entries;
  DirtySlots dirty;
  /// Dirty ones that go first.
  std::vector<std::uint32_t> urgent;
  /// Dirty ones that go last: packets take the ways they should already.
  DirtySlots lazy;
  /// Dirty ones that nobody wants any more.
  DirtySlots removals;
  /// Refused ones, by the number of refusals, and when all of a level are tried again.
  std::array<std::vector<std::uint32_t>, retry_levels> retry;
  std::array<Time, retry_levels> retry_at{};
  std::unordered_map<std::uint32_t, std::string> faults;
};

/// A check under way.
struct Check {
  enum class Phase : std::uint8_t { none, due, asked, running, done };
  Phase phase = Phase::none;
  unsigned tries = 0;
  /// NextHopObjects::moves() when it was asked for.
  std::uint64_t moves = 0;
  std::unordered_map<std::uint32_t, NextHopObject> objects;
  CheckReport report;

  [[nodiscard]] bool under_way() const { return phase == Phase::asked || phase == Phase::running; }
};

struct Table::State {
  State(const Settings& given, std::uint64_t seed)
      : settings(given),
        places{{given.table, given.metric}},
        v4{Family::ipv4, Entries<AddressV4>(seed), {}, {}, {}, {}, {}, {}, {}},
        v6{Family::ipv6, Entries<AddressV6>(seed), {}, {}, {}, {}, {}, {}, {}} {
    if (!settings.resilient_buckets) return;
    objects.resilient(Resilience{static_cast<std::uint16_t>(*settings.resilient_buckets),
                                 settings.resilient_idle_time, settings.resilient_unbalanced_time});
  }

  enum class Dumping : std::uint8_t { none, due, asked, running };

  Settings settings;
  /// By Entry::place; the first is Settings' own.
  std::vector<Placement> places;
  /// When each was asked for last, and how often any was.
  std::array<std::uint64_t, most_places> place_asked{};
  std::uint64_t places_asked = 0;
  /// Entries there as wanted.
  std::array<std::uint64_t, most_places> stand{};
  /// Where an earlier life may have left routes, apart from these.
  std::vector<std::uint32_t> former;
  NextHopObjects objects;
  Half<AddressV4> v4;
  Half<AddressV6> v6;
  std::unordered_map<Prefix, std::vector<Foreign>> foreign;
  /// Lengths (IPv6: 128 more) at which there has been one: most routes of ours need look no
  /// further.
  std::bitset<288> foreign_lengths;
  std::unordered_map<Prefix, Fight> fights;
  /// Routes that went while a dump was under way, which may be older than that.
  std::set<Identity> gone;
  std::vector<Notice> notices;
  /// Routes that are as wanted since somebody asked, when `telling`.
  std::vector<Installed> installed;
  bool telling = false;
  /// Own routes of older metrics and tables, to be removed by the sweep.
  std::vector<RouteChange> strays;
  Snapshot counts;
  /// The last answer of only_untidy().
  struct Untidy {
    Target wanted = no_target;
    Target there = no_target;
    std::uint64_t moves = 0;
    bool is = false;
  };
  Untidy untidy;

  Dumping dumping = Dumping::none;
  bool dump_again = false;
  bool seeded = false;
  bool swept = false;
  std::optional<Time> sweep_at;
  std::optional<Time> dump_at;
  /// Repairs of what others did that are in the log, when the next line is due, and the last was.
  std::array<std::uint64_t, causes> told{};
  std::optional<Time> tell_at;
  Time told_at = Time::min();
  /// Withdrawals are still coming in, and since when their removal waits for that.
  bool more_to_come = false;
  std::optional<Time> held_since;
  std::uint64_t dump_number = 0;
  std::size_t dump_differences = 0;
  /// The first dump has shown routes of ours: ipv4, ipv6.
  std::array<bool, 2> adopting{};
  std::optional<std::array<bool, 2>> forwards;
  Check check;
  /// Batches and dumps given out and not answered.
  std::size_t outstanding = 0;

  template <typename F>
  auto with(Family family, F&& f) {
    return family == Family::ipv4 ? f(v4) : f(v6);
  }

  /// Of an entry in the kernel.
  [[nodiscard]] Placement stands_at(Kind kind, std::uint8_t place) const {
    Placement at = places[place];
    if (kind != Kind::learned) at.metric = kind == Kind::blackhole ? blackhole_metric : 0;
    return at;
  }
  template <typename Stored>
  [[nodiscard]] Placement stands_at(const Entry<Stored>& entry) const {
    return stands_at(entry.kind, entry.place);
  }
  /// Blackholes of one table stand all in one place: they have the same metric.
  [[nodiscard]] std::uint8_t first_of_table(std::uint32_t table) const {
    const auto found = std::find_if(places.begin(), places.end(),
                                    [&](const Placement& each) { return each.table == table; });
    return static_cast<std::uint8_t>(found - places.begin());
  }
  [[nodiscard]] bool writes_in(std::uint32_t table) const {
    return first_of_table(table) < places.size();
  }
  [[nodiscard]] std::vector<std::uint32_t> tables() const;
  std::uint8_t place(const Placement& where);
  [[nodiscard]] std::size_t idle_place() const;
  /// A learned route, in any other place.
  void unwant_but(const Prefix& prefix, std::uint8_t place, Time now);
  /// The first place in which the prefix is wanted, else one where something of ours is; no_slot
  /// when there is neither.
  template <typename Stored>
  [[nodiscard]] std::uint32_t find_anywhere(const Half<Stored>& half, const Prefix& prefix,
                                            Kind kind) const {
    std::uint32_t left = no_slot;
    for (std::size_t i = 0; i < places.size(); ++i) {
      const std::uint32_t slot = half.entries.find(prefix, kind, static_cast<std::uint8_t>(i));
      if (slot == no_slot) continue;
      if (half.entries[slot].want != no_target) return slot;
      if (left == no_slot) left = slot;
    }
    return left;
  }
  /// " in table 100", where nobody would think of it.
  [[nodiscard]] std::string in_table(std::uint32_t table) const {
    return table == settings.table ? "" : fmt::format(" in table {}", table);
  }
  [[nodiscard]] const std::optional<Address>& source_of(Family family) const {
    return family == Family::ipv4 ? settings.preferred_source_v4 : settings.preferred_source_v6;
  }

  // Every change of an entry goes through update(), so that all counts are right at all times.

  template <typename Stored>
  void count(const Half<Stored>& half, const Entry<Stored>& entry, int sign) {
    const auto step32 = static_cast<std::uint32_t>(sign);
    const auto step = static_cast<std::uint64_t>(static_cast<std::int64_t>(sign));
    if (is_group(entry.want)) {
      auto& group = objects.at({entry.want});
      group.wanted_by += step32;
      if (entry.parked) group.parked += step32;
    }
    if (is_group(entry.have)) {
      auto& group = objects.at({entry.have});
      group.routes += step32;
      if (entry.want != entry.have && !entry.stale && !entry.failed && !entry.conflict) {
        group.leaving += step32;
      }
      if (entry.want == no_target && !entry.stale) group.doomed += step32;
    }
    const std::size_t family = half.family == Family::ipv4 ? 0 : 1;
    if (entry.want != no_target) {
      if (entry.as_wanted()) {
        stand[entry.place] += step;
        counts.routes[family][static_cast<std::size_t>(entry.kind)] += step;
      } else {
        counts.pending += step;
        if (entry.conflict) {
          counts.foreign += step;
        } else if (entry.failed) {
          counts.failed += step;
        }
      }
    }
    if (entry.drifted) counts.drift[family] += step;
    if (entry.stale) counts.stale += step;
  }

  template <typename Stored, typename F>
  void update(Half<Stored>& half, std::uint32_t slot, Time now, F&& change) {
    Entry<Stored>& entry = half.entries[slot];
    const Target want = entry.want;
    const Target have = entry.have;
    const bool was_so = entry.as_wanted() && !entry.in_flight;
    count(half, entry, -1);
    change(entry);
    count(half, entry, +1);
    if (telling && !was_so && entry.as_wanted() && !entry.in_flight) {
      installed.push_back({half.entries.prefix(slot), entry.kind});
    }
    if (is_group(want) && want != entry.want) objects.consider_removal({want});
    if (is_group(have)) {
      if (have != entry.have && objects.at({have}).routes == 0) objects.consider_removal({have});
      if (objects.at({have}).leaving == 0) objects.settled({have});
    }
    revise(half, slot, now);
  }

  /// Does the entry need work? Is it needed at all?
  template <typename Stored>
  void revise(Half<Stored>& half, std::uint32_t slot, Time now) {
    Entry<Stored>& entry = half.entries[slot];
    if (entry.in_flight) {
      entry.again = true;
      return;
    }
    const bool differs = (entry.want != entry.have && !entry.stale) || entry.unsure;
    const bool waits = entry.failed || entry.parked || entry.conflict;
    DirtySlots* place = nullptr;
    if (differs && !waits) place = &class_of(half, entry);
    for (DirtySlots* other : {&half.dirty, &half.lazy, &half.removals}) {
      if (other != place) other->clear(slot);
    }
    if (place != nullptr) {
      place->set(slot, now);
      if (entry.kind != Kind::learned || entry.length == 0) half.urgent.push_back(slot);
      return;
    }
    if (!entry.idle()) return;
    count(half, entry, -1);
    half.faults.erase(slot);
    half.entries.erase(slot);
  }

  template <typename Stored>
  DirtySlots& class_of(Half<Stored>& half, const Entry<Stored>& entry) {
    if (entry.unsure) return half.dirty;
    if (entry.want == no_target) return half.removals;
    return only_untidy(entry.want, entry.have) ? half.lazy : half.dirty;
  }

  /// The route leads where it should, through another group. Asked for route after route with the
  /// same two.
  [[nodiscard]] bool only_untidy(Target wanted, Target there) {
    if (!is_group(wanted) || !is_group(there)) return false;
    const Untidy asked{wanted, there, objects.moves(), false};
    if (untidy.wanted != asked.wanted || untidy.there != asked.there ||
        untidy.moves != asked.moves) {
      untidy = asked;
      untidy.is = objects.same_ways({wanted}, {there});
    }
    return untidy.is;
  }

  void want(const Prefix& prefix, Kind kind, Target target, Time now, std::uint8_t place = 0) {
    with(prefix.family(), [&](auto& half) {
      const std::uint32_t slot = half.entries.find_or_insert(prefix, kind, place);
      const auto& entry = half.entries[slot];
      if (entry.want == target && !entry.stale) {
        if (telling && entry.as_wanted() && !entry.in_flight) installed.push_back({prefix, kind});
        return;
      }
      update(half, slot, now, [&](auto& e) {
        e.want = target;
        e.stale = false;
        e.failed = false;
        e.parked = false;
        e.failures = 0;
      });
    });
  }

  void unwant(const Prefix& prefix, Kind kind, Time now, std::uint8_t place = 0) {
    with(prefix.family(), [&](auto& half) {
      const std::uint32_t slot = half.entries.find(prefix, kind, place);
      if (slot == no_slot) return;
      update(half, slot, now, [&](auto& e) {
        e.want = no_target;
        e.stale = false;
        e.failed = e.parked = e.conflict = e.reported = false;
        e.failures = 0;
      });
    });
  }

  void notice(bool warning, std::string message) {
    if (notices.size() < notice_limit) notices.push_back({warning, std::move(message)});
  }

  static std::size_t shape_of(const Prefix& prefix) {
    return prefix.length() + (prefix.family() == Family::ipv6 ? 128U : 0U);
  }
  [[nodiscard]] const Foreign* foreign_at(const Prefix& prefix, const Placement& at) const {
    if (foreign.empty() || !foreign_lengths[shape_of(prefix)]) return nullptr;
    const auto found = foreign.find(prefix);
    if (found == foreign.end()) return nullptr;
    for (const Foreign& one : found->second) {
      if (one.at == at) return &one;
    }
    return nullptr;
  }

  void add_foreign(const Route& route) {
    auto& all = foreign[route.prefix];
    for (Foreign& one : all) {
      if (one.at == place_of(route) && one.protocol == route.protocol) {
        one.dump = dump_number;
        return;
      }
    }
    if (foreign.size() > foreign_limit) {
      if (all.empty()) foreign.erase(route.prefix);
      return;
    }
    foreign_lengths.set(shape_of(route.prefix));
    all.push_back({place_of(route), route.protocol, dump_number});
  }

  [[nodiscard]] bool dump_under_way() const {
    return dumping == Dumping::asked || dumping == Dumping::running || check.under_way();
  }

  void drop_foreign(const Route& route) {
    const auto found = foreign.find(route.prefix);
    if (found == foreign.end()) return;
    auto& all = found->second;
    all.erase(std::remove_if(all.begin(), all.end(),
                             [&](const Foreign& one) {
                               return one.at == place_of(route) && one.protocol == route.protocol;
                             }),
              all.end());
    if (all.empty()) foreign.erase(found);
  }

  /// The kernel let us have the place: what we knew of foreign routes there is out of date.
  void forget(const Prefix& prefix, const Placement& at) {
    while (const Foreign* one = foreign_at(prefix, at)) {
      Route route;
      route.prefix = prefix;
      route.table = at.table;
      route.metric = at.metric;
      route.protocol = one->protocol;
      drop_foreign(route);
    }
  }

  /// Somebody else's route has our place: ours waits until it is gone.
  template <typename Stored>
  void conflict(Half<Stored>& half, std::uint32_t slot, Time now) {
    const Prefix prefix = half.entries.prefix(slot);
    const Placement at = stands_at(half.entries[slot]);
    if (!half.entries[slot].reported) {
      const Foreign* theirs = foreign_at(prefix, at);
      notice(true, fmt::format("{} is not installed: a route of {} with metric {} stands there{} "
                               "and is left alone",
                               prefix.text(),
                               theirs != nullptr ? "proto " + protocol_name(theirs->protocol)
                                                 : std::string("another owner"),
                               at.metric, in_table(at.table)));
    }
    update(half, slot, now, [&](auto& e) {
      e.overtaken = e.overtaken || dump_under_way();
      e.conflict = true;
      e.reported = true;
    });
  }

  template <typename Stored>
  static std::uint64_t held(Half<Stored>& half) {
    std::uint64_t count = 0;
    for (std::uint32_t slot = 0; slot < half.entries.end(); ++slot) {
      if (half.entries.live(slot) && half.entries[slot].have != no_target) ++count;
    }
    return count;
  }

  template <typename F>
  void each(F&& f) {
    for (std::uint32_t slot = 0; slot < v4.entries.end(); ++slot) {
      if (v4.entries.live(slot)) f(v4, slot);
    }
    for (std::uint32_t slot = 0; slot < v6.entries.end(); ++slot) {
      if (v6.entries.live(slot)) f(v6, slot);
    }
  }

  // Taking work and its answers: table_work.cc.

  template <typename Stored>
  void emit(Half<Stored>& half, std::uint32_t slot, Batch& batch, Time since, Time now);
  template <typename Stored>
  void emit_removal(Half<Stored>& half, std::uint32_t slot, Batch& batch, Time since);
  template <typename Stored>
  void send(Half<Stored>& half, Entry<Stored>& entry);
  template <typename Stored>
  void take_routes(Half<Stored>& half, Batch& batch, bool hold, Time now);
  template <typename Stored>
  void take_from(Half<Stored>& half, DirtySlots& slots, Batch& batch, Time now);
  [[nodiscard]] bool hold_removals(Time now);
  std::optional<Work> take(Time now);
  std::optional<Batch> take_express(Time now);
  void settle(const Answer& answer, Time now);
  /// The removal of their group failed: its routes have to go one by one.
  void touch_routes_of(const NextHopChange& change, Time now);
  template <typename Stored>
  void answered(Half<Stored>& half, const RouteChange& change, int code, const std::string& message,
                bool unknown, Time now);
  template <typename Stored>
  void retry_later(Half<Stored>& half, std::uint32_t slot, unsigned failures, Time now);
  template <typename Stored>
  void carried_out(Half<Stored>& half, const RouteChange& change, Time now);
  void record(Clock::duration took);
  /// The kernel lost or gained groups: what that means for their routes, in one walk.
  void apply(const NextHopObjects::Effects& effects, std::optional<Cause> cause, Time now);

  // Dumps: table_dump.cc.

  void due();
  /// What we heard contradicts what we did: a dump will tell, but not one for each such word.
  void doubt(Time now);
  [[nodiscard]] std::optional<Seat> seat_of(const Route& route) const;
  [[nodiscard]] Target target_of(const Route& route, Kind kind) const;
  void saw(const Route& route, Time now);
  /// Ours, and in no place that we know.
  [[nodiscard]] bool is_stray(const Route& route) const;
  void saw_stray(const Route& route);
  /// No longer a stray: an entry may stand for it.
  [[nodiscard]] bool is_seat(const RouteChange& stray) const;
  void settle(const DumpPart& part, Time now);
  void dump_end(const DumpPart& part, Time now);
  template <typename Stored>
  void unseen(Half<Stored>& half, std::uint32_t slot, Time now);
  /// Foreign routes that neither the dump nor an event since it was asked for told of are gone.
  void forget_foreign(Time now);
  void sweep(Time now);

  // Checks: table_check.cc.

  void check_settle(const DumpPart& part);
  void differs(Difference difference);
  /// As the dump of the check tells it.
  [[nodiscard]] NextHops kernel_next_hops(std::uint32_t id) const;
  void check_saw(const Route& route);
  /// The table knows that the kernel has it otherwise.
  template <typename Stored>
  [[nodiscard]] bool at_work(const Half<Stored>& half, std::uint32_t slot) const;
  template <typename Stored>
  void check_unvisited(Half<Stored>& half, std::uint32_t slot);
  void check_end(const DumpPart& part);

  // What others do: table_events.cc.

  void observed(const RouteEvent& event, Time now);
  template <typename F>
  void kinds_at(const Route& route, F&& f);
  /// A foreign route went: ours may have its place.
  void freed(const Route& route, Time now);
  /// Somebody put a route in the place of ours. We take it back, unless they insist.
  template <typename Stored>
  void overwritten(Half<Stored>& half, std::uint32_t slot, const Route& route, Time now);
  void observed_own(const RouteEvent& event, Time now);
  /// Unless its group has gone, too, a dump will tell.
  void perhaps_gone(const Route& route, Time now);
  void observed(const NextHopEvent& event, Time now);
  void address(const ConnectedSubnet& subnet, bool present, Time now);
  /// One line for all that others did to what is ours, at most each meddling_pause.
  void tell_of_meddling(Time now);

  template <typename Stored>
  void retry(Half<Stored>& half, Time now) {
    for (std::size_t level = 0; level < retry_levels; ++level) {
      if (half.retry[level].empty() || now < half.retry_at[level]) continue;
      const std::vector<std::uint32_t> slots = std::exchange(half.retry[level], {});
      for (const std::uint32_t slot : slots) {
        if (!half.entries.live(slot) || !half.entries[slot].failed) continue;
        update(half, slot, now, [](auto& e) { e.failed = false; });
      }
    }
  }

  template <typename Stored>
  void earliest_retry(const Half<Stored>& half, std::optional<Time>& earliest) const {
    for (std::size_t level = 0; level < retry_levels; ++level) {
      if (half.retry[level].empty()) continue;
      earliest = std::min(earliest.value_or(Time::max()), half.retry_at[level]);
    }
  }

  template <typename Stored>
  std::string text(const Half<Stored>& half, const Prefix& prefix, Kind kind) const {
    const std::uint32_t slot = find_anywhere(half, prefix, kind);
    if (slot == no_slot) return "-";
    const Entry<Stored>& entry = half.entries[slot];
    if (entry.want == no_target) return "-";
    const Placement at = stands_at(entry);
    std::string text = text_of(half, slot, prefix, at);
    if (kind != Kind::learned) return text + in_table(at.table);
    if (places[entry.place] == places.front()) return text;
    return fmt::format("{} in table {}, metric {}", text, at.table, at.metric);
  }

  template <typename Stored>
  std::string text_of(const Half<Stored>& half, std::uint32_t slot, const Prefix& prefix,
                      const Placement& at) const {
    const Entry<Stored>& entry = half.entries[slot];
    const auto theirs = foreign.find(prefix);
    if (entry.conflict || (entry.have != entry.want && foreign_at(prefix, at))) {
      const Foreign* one = foreign_at(prefix, at);
      return one == nullptr ? fmt::format("foreign: another owner's route, metric {}", at.metric)
                            : fmt::format("foreign: proto {} metric {}",
                                          protocol_name(one->protocol), at.metric);
    }
    if (entry.failed) {
      const auto fault = half.faults.find(slot);
      return "failed: " + (fault == half.faults.end() ? "refused by the kernel" : fault->second);
    }
    if (entry.have != entry.want || entry.unsure) {
      const std::string why = entry.parked ? objects.obstacle({entry.want}) : "";
      return why.empty() ? "pending" : "pending: " + why;
    }
    if (theirs != foreign.end()) {
      for (const Foreign& one : theirs->second) {
        if (one.at.table != at.table || one.at.metric > at.metric) continue;
        return fmt::format("installed, but proto {} metric {} is preferred",
                           protocol_name(one.protocol), one.at.metric);
      }
    }
    return "installed";
  }
};

}  // namespace weft::fib
