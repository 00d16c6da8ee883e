#include "fib/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <set>
#include <tuple>
#include <unordered_map>

#include "fib/entries.h"

namespace weft::fib {

std::string_view name(Cause cause) {
  switch (cause) {
    case Cause::link:
      return "link";
    case Cause::address:
      return "address";
    case Cause::route_deleted:
      return "route-deleted";
    case Cause::route_replaced:
      return "route-replaced";
    case Cause::nexthop_deleted:
      return "nexthop-deleted";
    case Cause::nexthop_replaced:
      return "nexthop-replaced";
    case Cause::dump:
      return "dump";
  }
  return "dump";
}

namespace {

constexpr std::uint8_t scope_link = 253;
constexpr std::uint32_t loopback = 1;
constexpr std::uint32_t no_slot = 0xffffffff;
/// From so many routes on, a group nobody wants is deleted together with them.
constexpr std::uint32_t mass_removal = 32;
/// Notices kept until somebody takes them; fault texts kept for state(); foreign routes remembered.
constexpr std::size_t notice_limit = 256;
constexpr std::size_t fault_limit = 4096;
constexpr std::size_t foreign_limit = 65536;
constexpr std::size_t stray_limit = 65536;
/// So often we take a place back from somebody who replaced our route; then it counts as theirs.
constexpr unsigned fight_limit = 3;
constexpr std::chrono::minutes fight_window{10};
constexpr std::chrono::seconds dump_retry{1};
constexpr std::size_t retry_levels = 8;

struct Foreign {
  std::uint32_t metric = 0;
  std::uint8_t protocol = 0;
  /// The dump, or the one before the event, that told of it.
  std::uint64_t dump = 0;
};

/// Prefix, metric, protocol.
using Identity = std::tuple<Prefix, std::uint32_t, std::uint8_t>;
Identity identity(const Route& route) {
  return {route.prefix, route.metric, route.protocol};
}

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
  /// Refused ones, by the number of refusals, and when all of a level are tried again.
  std::array<std::vector<std::uint32_t>, retry_levels> retry;
  std::array<Time, retry_levels> retry_at{};
  std::unordered_map<std::uint32_t, std::string> faults;
};

}  // namespace

struct Table::State {
  explicit State(const Settings& given) : settings(given) {}

  enum class Dumping : std::uint8_t { none, due, asked, running };

  Settings settings;
  NextHopObjects objects;
  Half<AddressV4> v4{Family::ipv4, {}, {}, {}, {}, {}, {}};
  Half<AddressV6> v6{Family::ipv6, {}, {}, {}, {}, {}, {}};
  std::unordered_map<Prefix, std::vector<Foreign>> foreign;
  std::unordered_map<Prefix, Fight> fights;
  /// Routes that went while a dump was under way, which may be older than that.
  std::set<Identity> gone;
  std::vector<Notice> notices;
  /// Own routes of an older metric, to be removed by the sweep.
  std::vector<RouteChange> strays;
  Snapshot counts;

  Dumping dumping = Dumping::none;
  bool dump_again = false;
  bool seeded = false;
  bool swept = false;
  std::optional<Time> sweep_at;
  std::optional<Time> dump_at;
  std::uint64_t dump_number = 0;
  std::size_t dump_differences = 0;

  std::optional<std::array<std::uint64_t, 2>> adopted;

  template <typename Stored>
  static std::uint64_t held(Half<Stored>& half) {
    std::uint64_t count = 0;
    for (std::uint32_t slot = 0; slot < half.entries.end(); ++slot) {
      if (half.entries.live(slot) && half.entries[slot].have != no_target) ++count;
    }
    return count;
  }

  template <typename F>
  auto with(Family family, F&& f) {
    return family == Family::ipv4 ? f(v4) : f(v6);
  }

  [[nodiscard]] std::uint32_t metric_of(Kind kind) const {
    switch (kind) {
      case Kind::learned:
        return settings.metric;
      case Kind::blackhole:
        return blackhole_metric;
      case Kind::gateway:
        return 0;
    }
    return 0;
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
      if (entry.want == no_target && !entry.stale) group.doomed += step32;
    }
    const std::size_t family = half.family == Family::ipv4 ? 0 : 1;
    if (entry.want != no_target) {
      if (entry.want == entry.have && !entry.unsure) {
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
    count(half, entry, -1);
    change(entry);
    count(half, entry, +1);
    if (is_group(want) && want != entry.want) objects.consider_removal({want});
    if (is_group(have) && have != entry.have && objects.at({have}).routes == 0) {
      objects.consider_removal({have});
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
    if (differs && !waits) {
      half.dirty.set(slot, now);
      if (entry.kind != Kind::learned || entry.length == 0) half.urgent.push_back(slot);
      return;
    }
    half.dirty.clear(slot);
    if (!entry.idle()) return;
    count(half, entry, -1);
    half.faults.erase(slot);
    half.entries.erase(slot);
  }

  void want(const Prefix& prefix, Kind kind, Target target, Time now) {
    with(prefix.family(), [&](auto& half) {
      const std::uint32_t slot = half.entries.find_or_insert(prefix, kind);
      const auto& entry = half.entries[slot];
      if (entry.want == target && !entry.stale) return;
      update(half, slot, now, [&](auto& e) {
        e.want = target;
        e.stale = false;
        e.failed = false;
        e.parked = false;
        e.failures = 0;
      });
    });
  }

  void unwant(const Prefix& prefix, Kind kind, Time now) {
    with(prefix.family(), [&](auto& half) {
      const std::uint32_t slot = half.entries.find(prefix, kind);
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

  [[nodiscard]] const Foreign* foreign_at(const Prefix& prefix, std::uint32_t metric) const {
    if (foreign.empty()) return nullptr;
    const auto found = foreign.find(prefix);
    if (found == foreign.end()) return nullptr;
    for (const Foreign& one : found->second) {
      if (one.metric == metric) return &one;
    }
    return nullptr;
  }

  void add_foreign(const Route& route) {
    auto& all = foreign[route.prefix];
    for (Foreign& one : all) {
      if (one.metric == route.metric && one.protocol == route.protocol) {
        one.dump = dump_number;
        return;
      }
    }
    if (foreign.size() > foreign_limit) {
      if (all.empty()) foreign.erase(route.prefix);
      return;
    }
    all.push_back({route.metric, route.protocol, dump_number});
  }

  [[nodiscard]] bool dump_under_way() const {
    return dumping == Dumping::asked || dumping == Dumping::running;
  }

  void drop_foreign(const Route& route) {
    const auto found = foreign.find(route.prefix);
    if (found == foreign.end()) return;
    auto& all = found->second;
    all.erase(std::remove_if(all.begin(), all.end(),
                             [&](const Foreign& one) {
                               return one.metric == route.metric && one.protocol == route.protocol;
                             }),
              all.end());
    if (all.empty()) foreign.erase(found);
  }

  /// The kernel let us have the place: what we knew of foreign routes there is out of date.
  void forget(const Prefix& prefix, std::uint32_t metric) {
    while (const Foreign* one = foreign_at(prefix, metric)) {
      Route route;
      route.prefix = prefix;
      route.metric = metric;
      route.protocol = one->protocol;
      drop_foreign(route);
    }
  }

  /// Somebody else's route has our place: ours waits until it is gone.
  template <typename Stored>
  void conflict(Half<Stored>& half, std::uint32_t slot, Time now) {
    const Prefix prefix = half.entries.prefix(slot);
    const Kind kind = half.entries[slot].kind;
    if (!half.entries[slot].reported) {
      const Foreign* theirs = foreign_at(prefix, metric_of(kind));
      notice(true, fmt::format("{} is not installed: a route of {} with metric {} stands there and "
                               "is left alone",
                               prefix.text(),
                               theirs != nullptr ? "proto " + protocol_name(theirs->protocol)
                                                 : std::string("another owner"),
                               metric_of(kind)));
    }
    update(half, slot, now, [&](auto& e) {
      e.overtaken = e.overtaken || dump_under_way();
      e.conflict = true;
      e.reported = true;
    });
  }

  // Taking work.

  template <typename Stored>
  void emit(Half<Stored>& half, std::uint32_t slot, Batch& batch, Time now) {
    Entry<Stored>& entry = half.entries[slot];
    assert(!entry.in_flight);
    const Time since = half.dirty.since(slot);
    if (entry.want == no_target) return emit_removal(half, slot, batch, since);
    if (is_group(entry.want) && !objects.carries({entry.want})) {
      return update(half, slot, now, [](auto& e) { e.parked = true; });
    }
    const Prefix prefix = half.entries.prefix(slot);
    const bool foreigner = foreign_at(prefix, metric_of(entry.kind)) != nullptr;
    if (foreigner && entry.have != no_target) {
      doubt(now);  // both cannot be: until a dump tells, nothing is overwritten
      return conflict(half, slot, now);
    }
    RouteChange change;
    change.prefix = prefix;
    change.kind = entry.kind;
    change.metric = metric_of(entry.kind);
    // Where nothing of ours is, EXCL: REPLACE would overwrite a foreign route, whatever its
    // protocol. What we heard of foreign routes may be out of date, so the kernel has the last
    // word.
    const bool empty = entry.have == no_target && !entry.unsure;
    change.mode = empty || foreigner ? Mode::create : Mode::create_replace;
    change.doubtful = !empty && foreigner;
    change.slot = slot;
    change.target = entry.want;
    change.since = since;
    if (is_group(entry.want)) {
      auto& group = objects.at({entry.want});
      change.nexthop_id = group.id;
      change.epoch = group.epoch;
      ++group.routes_in_flight;
    }
    send(half, entry);
    batch.routes.push_back(change);
  }

  template <typename Stored>
  void emit_removal(Half<Stored>& half, std::uint32_t slot, Batch& batch, Time since) {
    Entry<Stored>& entry = half.entries[slot];
    if (is_group(entry.have) && !entry.unsure) {
      auto& group = objects.at({entry.have});
      if (group.removing) return;  // goes with its group
      if (group.installed && !group.in_flight && group.routes_in_flight == 0 &&
          group.wanted_by == 0 && group.doomed == group.routes && group.routes >= mass_removal) {
        return objects.remove_with_routes(batch, {entry.have});
      }
    }
    RouteChange change;
    change.prefix = half.entries.prefix(slot);
    change.kind = entry.kind;
    change.metric = metric_of(entry.kind);
    change.remove = true;
    change.slot = slot;
    change.since = since;
    send(half, entry);
    batch.routes.push_back(change);
  }

  template <typename Stored>
  void send(Half<Stored>& half, Entry<Stored>& entry) {
    count(half, entry, -1);
    entry.in_flight = true;
    entry.again = false;
    entry.unsure = false;  // set again by what happens before the answer
    count(half, entry, +1);
  }

  template <typename Stored>
  void take_routes(Half<Stored>& half, Batch& batch, Time now) {
    const std::vector<std::uint32_t> urgent = std::exchange(half.urgent, {});
    for (const std::uint32_t slot : urgent) {
      if (!half.dirty.contains(slot)) continue;
      if (batch.size() >= batch_limit) {
        half.urgent.push_back(slot);
        continue;
      }
      half.dirty.clear(slot);
      emit(half, slot, batch, now);
    }
    while (batch.size() < batch_limit) {
      const auto slot = half.dirty.pop();
      if (!slot) return;
      emit(half, *slot, batch, now);
    }
  }

  std::optional<Work> take(Time now) {
    if (!settings.install) return std::nullopt;
    if (dumping == Dumping::due) {
      dumping = Dumping::asked;
      ++dump_number;
      gone.clear();
      return DumpRequest{};
    }
    if (!seeded) return std::nullopt;
    Batch batch;
    objects.take_puts(batch, batch_limit, now);
    take_routes(v4, batch, now);
    take_routes(v6, batch, now);
    while (swept && !strays.empty() && batch.size() < batch_limit) {
      batch.routes.push_back(strays.back());
      strays.pop_back();
    }
    // Make before break, also between prefixes that overlap.
    std::stable_partition(batch.routes.begin(), batch.routes.end(),
                          [](const RouteChange& change) { return !change.remove; });
    if (batch.size() < batch_limit) {
      objects.take_removals(batch, batch_limit - batch.size(), swept);
    }
    if (batch.empty()) return std::nullopt;
    return batch;
  }

  // Answers.

  void settle(const Answer& answer, Time now) {
    NextHopObjects::Effects effects;
    std::size_t index = 0;
    auto fault = answer.faults.begin();
    const auto verdict = [&]() -> std::pair<int, const std::string*> {
      static const std::string fine;
      const std::size_t at = index++;
      if (fault != answer.faults.end() && fault->index == at) {
        const Fault& found = *fault++;
        return {found.code, &found.message};
      }
      if (answer.broken) return {EIO, &*answer.broken};
      return {0, &fine};
    };
    for (const auto* puts : {&answer.batch.nexthops, &answer.batch.groups}) {
      for (const NextHopChange& change : *puts) {
        const auto [code, message] = verdict();
        objects.put_done(change, code, *message, now, effects);
      }
    }
    for (const RouteChange& change : answer.batch.routes) {
      const std::pair<int, const std::string*> said = verdict();
      if (change.slot == no_slot) continue;
      const bool unknown = answer.broken && said.first == EIO;
      with(change.prefix.family(),
           [&](auto& half) { answered(half, change, said.first, *said.second, unknown, now); });
    }
    for (const auto* removals : {&answer.batch.group_removals, &answer.batch.nexthop_removals}) {
      for (const NextHopChange& change : *removals) {
        const auto [code, message] = verdict();
        objects.removal_done(change, code, *message, now, effects);
        if (code != 0 && code != ENOENT) touch_routes_of(change, now);
      }
    }
    apply(effects, std::nullopt, now);
    if (answer.broken) {
      notice(true, "the kernel's answer to a batch of routes was lost: " + *answer.broken);
      due();
    }
  }

  /// The removal of their group failed: its routes have to go one by one.
  void touch_routes_of(const NextHopChange& change, Time now) {
    if (change.object.id < first_group_id) return;
    const Target target = change.slot + 1;
    each([&](auto& half, std::uint32_t slot) {
      if (half.entries[slot].have == target) revise(half, slot, now);
    });
  }

  template <typename Stored>
  void answered(Half<Stored>& half, const RouteChange& change, int code, const std::string& message,
                bool unknown, Time now) {
    if (is_group(change.target)) {
      auto& group = objects.at({change.target});
      if (--group.routes_in_flight == 0 && !group.used()) {
        objects.consider_removal({change.target});
      }
    }
    const bool done = code == 0 || (change.remove && code == ESRCH);
    ++counts.operations[change.remove ? 1 : 0][done ? 0 : 1];
    if (done) return carried_out(half, change, now);
    if (code == EEXIST && change.mode == Mode::create && !change.remove) {
      Entry<Stored>& entry = half.entries[change.slot];
      const bool again = entry.again;
      entry.in_flight = false;
      if (change.doubtful) {
        doubt(now);  // is it theirs, or ours?
        update(half, change.slot, now, [](auto& e) { e.unsure = e.conflict = true; });
      }
      // The foreign route went while we asked, perhaps.
      return again ? revise(half, change.slot, now) : conflict(half, change.slot, now);
    }
    const bool no_group = is_group(change.target) && !objects.carries({change.target});
    if (is_group(change.target) && !no_group && (code == EINVAL || code == ENOENT)) {
      objects.doubt({change.target});
    }
    // What never was there and was refused is not there.
    const bool unsure = unknown || change.remove || change.mode != Mode::create;
    update(half, change.slot, now, [&](auto& e) {
      e.in_flight = false;
      e.unsure = e.unsure || unknown || (unsure && e.have == no_target);
      if (no_group || e.want != change.target) return;
      e.failed = true;
      e.failures = static_cast<std::uint8_t>(std::min(e.failures + 1, 7)) & 7;
      retry_later(half, change.slot, e.failures, now);
      if (half.faults.size() < fault_limit) half.faults[change.slot] = message;
    });
  }

  template <typename Stored>
  void retry_later(Half<Stored>& half, std::uint32_t slot, unsigned failures, Time now) {
    const std::size_t level = std::min<std::size_t>(failures, retry_levels) - 1;
    if (half.retry[level].empty()) half.retry_at[level] = now + retry_after(failures);
    half.retry[level].push_back(slot);
  }

  template <typename Stored>
  void carried_out(Half<Stored>& half, const RouteChange& change, Time now) {
    const bool fresh =
        !is_group(change.target) || objects.at({change.target}).epoch == change.epoch;
    if (!change.remove) record(now - change.since);
    half.faults.erase(change.slot);
    if (!change.remove && foreign_at(change.prefix, change.metric) != nullptr) {
      if (change.mode == Mode::create) {
        forget(change.prefix, change.metric);
      } else {
        doubt(now);
      }
    }
    update(half, change.slot, now, [&](auto& e) {
      e.in_flight = false;
      e.failed = false;
      e.failures = 0;
      // An event in between left `unsure` behind: then this answer does not tell how it is now.
      e.have = fresh ? change.target : no_target;
      e.unsure = e.unsure || !fresh;
      e.drifted = e.drifted && e.unsure;
    });
  }

  void record(Clock::duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    const auto* const bound =
        std::lower_bound(latency_bounds.begin(), latency_bounds.end(), seconds);
    ++counts.programming.buckets[static_cast<std::size_t>(bound - latency_bounds.begin())];
    ++counts.programming.count;
    counts.programming.sum += seconds;
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

  /// The kernel lost or gained groups: what that means for their routes, in one walk.
  void apply(const NextHopObjects::Effects& effects, std::optional<Cause> cause, Time now) {
    if (effects.doubtful) doubt(now);
    bool walk = false;
    for (const auto* vanished : {&effects.lost, &effects.removed}) {
      for (const GroupRef ref : *vanished) walk = walk || objects.at(ref).routes > 0;
    }
    for (const GroupRef ref : effects.installed) walk = walk || objects.at(ref).parked > 0;
    if (!walk) return;
    enum class Fate : std::uint8_t { none, lost, removed };
    std::vector<Fate> fates(objects.groups().size() + 1, Fate::none);
    for (const GroupRef ref : effects.removed) fates[ref.value] = Fate::removed;
    for (const GroupRef ref : effects.lost) fates[ref.value] = Fate::lost;
    each([&](auto& half, std::uint32_t slot) {
      const auto& entry = half.entries[slot];
      const Fate fate = is_group(entry.have) ? fates[entry.have] : Fate::none;
      const bool wakes = entry.parked && objects.carries({entry.want});
      if (fate == Fate::none && !wakes) return;
      if (fate == Fate::lost && cause && entry.want != no_target) {
        ++counts.repairs[static_cast<std::size_t>(*cause)];
      }
      update(half, slot, now, [&](auto& e) {
        if (fate != Fate::none) {
          e.overtaken = e.overtaken || dump_under_way();
          // The word of the loss may be older than what we did since.
          e.unsure = e.unsure || fate == Fate::lost;
          e.have = no_target;
          e.drifted = e.drifted || (cause && *cause != Cause::link && e.want != no_target);
          if (e.stale) e.stale = e.unsure = false;
        }
        if (wakes) e.parked = false;
      });
    });
  }

  // Dumps.

  void due() {
    if (dumping == Dumping::none) {
      dumping = Dumping::due;
    } else {
      dump_again = dump_again || dumping != Dumping::due;
    }
  }
  /// What we heard contradicts what we did: a dump will tell, but not one for each such word.
  void doubt(Time now) { dump_at = std::min(dump_at.value_or(Time::max()), now + dump_retry); }

  [[nodiscard]] std::optional<Kind> kind_of(const Route& route) const {
    if (route.type == RouteType::blackhole) {
      if (route.metric == blackhole_metric) return Kind::blackhole;
      return std::nullopt;
    }
    if (route.type != RouteType::unicast) return std::nullopt;
    if (route.nexthop_id != 0) {
      if (route.metric == settings.metric) return Kind::learned;
      return std::nullopt;
    }
    if (route.metric == 0 && route.ifindex == loopback && route.scope == scope_link &&
        route.prefix.is_host() && route.prefix.family() == Family::ipv4) {
      return Kind::gateway;
    }
    return std::nullopt;  // a container's host route, made and unmade by weft-cni
  }

  [[nodiscard]] Target target_of(const Route& route, Kind kind) const {
    if (kind != Kind::learned) return fixed_target;
    const GroupRef ref = objects.find(route.nexthop_id);
    const bool right = ref && route.preferred_source == source_of(route.prefix.family());
    return right ? ref.value : other_target;
  }

  void saw(const Route& route, Time now) {
    if (route.table != settings.table) return;
    if (route.protocol != route_protocol) {
      if (gone.count(identity(route)) == 0) add_foreign(route);
      return;
    }
    const auto kind = kind_of(route);
    if (!kind) return saw_stray(route);
    const Target have = target_of(route, *kind);
    // Either its group went since the dump and took it along, or we are wrong about the group.
    const bool doubtful = is_group(have) && !objects.at({have}).installed;
    with(route.prefix.family(), [&](auto& half) {
      const std::uint32_t known = half.entries.find(route.prefix, *kind);
      const std::uint32_t slot =
          known != no_slot ? known : half.entries.find_or_insert(route.prefix, *kind);
      auto& entry = half.entries[slot];
      entry.seen = true;
      entry.overtaken = entry.overtaken || doubtful || gone.count(identity(route)) > 0;
      if (entry.overtaken) return;
      if (entry.have == have && !entry.unsure) return;
      const bool drift = seeded && (entry.have != have || entry.want == no_target);
      if (drift) {
        ++dump_differences;
        ++counts.repairs[static_cast<std::size_t>(Cause::dump)];
      }
      update(half, slot, now, [&](auto& e) {
        // What is in flight was sent after the dump; its answer comes and overrules.
        e.have = have;
        if (!e.in_flight) e.unsure = false;
        e.stale = !swept && e.want == no_target && known == no_slot;
        e.drifted = drift && e.want != have;
      });
    });
  }

  void saw_stray(const Route& route) {
    const bool ours = route.nexthop_id >= first_group_id && route.nexthop_id <= last_id;
    if (!ours || seeded || strays.size() >= stray_limit) return;
    RouteChange removal;
    removal.prefix = route.prefix;
    removal.metric = route.metric;
    removal.remove = true;
    removal.slot = no_slot;
    strays.push_back(removal);
  }

  void settle(const DumpPart& part, Time now) {
    if (part.again || dumping == Dumping::asked) {
      dumping = Dumping::running;
      dump_differences = 0;
      objects.dump_begin();
      each([](auto& half, std::uint32_t slot) { half.entries[slot].seen = false; });
    }
    NextHopObjects::Effects effects;
    for (const NextHopObject& object : part.nexthops) objects.seen(object, effects);
    apply(effects, Cause::dump, now);
    for (const Route& route : part.routes) saw(route, now);
    if (part.last) dump_end(part, now);
  }

  void dump_end(const DumpPart& part, Time now) {
    dumping = std::exchange(dump_again, false) ? Dumping::due : Dumping::none;
    if (part.failed) {
      notice(true, "reading the kernel's routes failed: " + *part.failed);
      dump_at = now + dump_retry;
      return;
    }
    ++counts.dumps;
    NextHopObjects::Effects effects;
    dump_differences += objects.dump_end(effects);
    apply(effects, Cause::dump, now);
    forget_foreign(now);
    each([&](auto& half, std::uint32_t slot) { unseen(half, slot, now); });
    if (!std::exchange(seeded, true)) {
      adopted = {held(v4), held(v6)};
      notice(false, fmt::format("adopted {} routes from the kernel",
                                v4.entries.size() + v6.entries.size()));
    } else if (dump_differences > 0) {
      notice(true, fmt::format("the kernel differed from what was installed in {} routes and "
                               "nexthops; repairing",
                               dump_differences));
    }
    if (swept) sweep(now);
  }

  template <typename Stored>
  void unseen(Half<Stored>& half, std::uint32_t slot, Time now) {
    Entry<Stored>& entry = half.entries[slot];
    const bool overtaken = entry.overtaken;
    entry.overtaken = false;
    if (overtaken && !entry.in_flight) {
      return update(half, slot, now, [](auto& e) { e.unsure = e.unsure || !e.conflict; });
    }
    if (overtaken || entry.seen || entry.in_flight || (entry.have == no_target && !entry.unsure))
      return;
    const bool drift = seeded && entry.have != no_target && entry.want != no_target;
    if (drift) {
      ++dump_differences;
      ++counts.repairs[static_cast<std::size_t>(Cause::dump)];
    }
    update(half, slot, now, [&](auto& e) {
      e.have = no_target;
      e.unsure = false;
      e.stale = false;
      e.drifted = e.drifted || drift;
    });
  }

  /// Foreign routes that neither the dump nor an event since it was asked for told of are gone.
  void forget_foreign(Time now) {
    for (auto at = foreign.begin(); at != foreign.end();) {
      auto& all = at->second;
      all.erase(std::remove_if(all.begin(), all.end(),
                               [&](const Foreign& one) { return one.dump < dump_number; }),
                all.end());
      at = all.empty() ? foreign.erase(at) : std::next(at);
    }
    each([&](auto& half, std::uint32_t slot) {
      const auto& entry = half.entries[slot];
      if (!entry.conflict || entry.overtaken) return;
      if (foreign_at(half.entries.prefix(slot), metric_of(entry.kind)) != nullptr) return;
      update(half, slot, now, [](auto& e) { e.conflict = e.reported = false; });
    });
  }

  void sweep(Time now) {
    std::size_t stale = 0;
    each([&](auto& half, std::uint32_t slot) {
      if (!half.entries[slot].stale) return;
      ++stale;
      update(half, slot, now, [](auto& e) { e.stale = false; });
    });
    if (stale + strays.size() > 0) {
      notice(false, fmt::format("removing {} routes left from before that nobody announces any "
                                "more",
                                stale + strays.size()));
    }
  }

  // Events.

  void observed(const RouteEvent& event, Time now) {
    const Route& route = event.route;
    if (route.table != settings.table) return;
    if (event.deleted && dump_under_way()) {
      gone.insert(identity(route));
      dump_again = dump_again || gone.size() > foreign_limit;
    }
    if (route.protocol == route_protocol) return observed_own(event, now);
    if (event.deleted) {
      drop_foreign(route);
      return freed(route, now);
    }
    add_foreign(route);
    kinds_at(route, [&](auto& half, std::uint32_t slot) {
      if (event.replaced) {
        overwritten(half, slot, route, now);
      } else if (half.entries[slot].have != no_target) {
        doubt(now);  // theirs cannot come where ours is, unless ours went, or ours came later
      }
    });
  }

  template <typename F>
  void kinds_at(const Route& route, F&& f) {
    with(route.prefix.family(), [&](auto& half) {
      for (const Kind kind : {Kind::learned, Kind::blackhole, Kind::gateway}) {
        if (metric_of(kind) != route.metric) continue;
        const std::uint32_t slot = half.entries.find(route.prefix, kind);
        if (slot != no_slot) f(half, slot);
      }
    });
  }

  /// A foreign route went: ours may have its place.
  void freed(const Route& route, Time now) {
    kinds_at(route, [&](auto& half, std::uint32_t slot) {
      update(half, slot, now, [](auto& e) { e.conflict = e.reported = false; });
    });
  }

  /// Somebody put a route in the place of ours. We take it back, unless they insist.
  template <typename Stored>
  void overwritten(Half<Stored>& half, std::uint32_t slot, const Route& route, Time now) {
    const Entry<Stored>& entry = half.entries[slot];
    if (entry.have == no_target && !entry.unsure && !entry.in_flight) return;
    if (fights.size() > fault_limit) fights.clear();
    Fight& fight = fights[route.prefix];
    if (now - fight.since > fight_window) fight = {0, now};
    const bool yield = ++fight.count > fight_limit;
    if (!yield) {
      drop_foreign(route);
      ++counts.repairs[static_cast<std::size_t>(Cause::route_replaced)];
      notice(true, fmt::format("{} was replaced by a route of proto {}; taking it back",
                               route.prefix.text(), protocol_name(route.protocol)));
    }
    update(half, slot, now, [&](auto& e) {
      e.overtaken = e.overtaken || dump_under_way();
      e.have = no_target;
      e.unsure = !yield;
      e.stale = false;
      e.drifted = e.want != no_target;
    });
  }

  void observed_own(const RouteEvent& event, Time now) {
    const Route& route = event.route;
    kinds_at(route, [&](auto& half, std::uint32_t slot) {
      const auto& entry = half.entries[slot];
      const auto kind = kind_of(route);
      // The container's host route has the gateway's metric, and is none of ours.
      if (entry.kind == Kind::gateway && kind != Kind::gateway) return;
      const Target shape = kind == entry.kind ? target_of(route, *kind) : other_target;
      if (!event.deleted && shape == entry.have) return;
      if (event.deleted && entry.have == no_target && !entry.in_flight) return;
      const Cause cause = event.deleted ? Cause::route_deleted : Cause::route_replaced;
      if (entry.want != no_target) ++counts.repairs[static_cast<std::size_t>(cause)];
      update(half, slot, now, [&](auto& e) {
        e.overtaken = e.overtaken || dump_under_way();
        e.have = event.deleted ? no_target : shape;
        // The word may be older than what we did since.
        e.unsure = true;
        e.drifted = e.want != no_target;
        if (e.stale && event.deleted) e.stale = e.unsure = false;
      });
    });
  }

  void observed(const NextHopEvent& event, Time now) {
    NextHopObjects::Effects effects;
    const Cause cause = event.deleted ? Cause::nexthop_deleted : Cause::nexthop_replaced;
    const bool hit = event.deleted ? objects.deleted(event.object.id, effects)
                                   : objects.changed(event.object, effects);
    if (hit) ++counts.repairs[static_cast<std::size_t>(cause)];
    apply(effects, cause, now);
  }

  void address(const ConnectedSubnet& subnet, bool present, Time now) {
    objects.refresh(subnet.ifindex);
    if (source_of(subnet.address.family()) != subnet.address) return;
    // The kernel drops routes whose preferred source goes, and refuses them while it is away.
    with(subnet.address.family(), [&](auto& half) {
      for (std::uint32_t slot = 0; slot < half.entries.end(); ++slot) {
        if (!half.entries.live(slot) || half.entries[slot].kind != Kind::learned) continue;
        const bool had = half.entries[slot].have != no_target;
        if (had && !present) ++counts.repairs[static_cast<std::size_t>(Cause::address)];
        if (!had && present && !half.entries[slot].failed) continue;
        update(half, slot, now, [&](auto& e) {
          e.failed = false;
          e.overtaken = e.overtaken || dump_under_way();
          e.unsure = e.unsure || (had && !e.stale);
          if (!present && !e.stale) e.have = no_target;
        });
      }
    });
  }

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
    const std::uint32_t slot = half.entries.find(prefix, kind);
    if (slot == no_slot) return "-";
    const Entry<Stored>& entry = half.entries[slot];
    if (entry.want == no_target) return "-";
    const auto theirs = foreign.find(prefix);
    if (entry.conflict || (entry.have != entry.want && foreign_at(prefix, metric_of(kind)))) {
      const Foreign* one = foreign_at(prefix, metric_of(kind));
      return one == nullptr
                 ? fmt::format("foreign: another owner's route, metric {}", metric_of(kind))
                 : fmt::format("foreign: proto {} metric {}", protocol_name(one->protocol),
                               one->metric);
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
        if (one.metric > metric_of(kind)) continue;
        return fmt::format("installed, but proto {} metric {} is preferred",
                           protocol_name(one.protocol), one.metric);
      }
    }
    return "installed";
  }
};

Table::Table(const Settings& settings) : state_(std::make_unique<State>(settings)) {}
Table::Table(Table&&) noexcept = default;
Table& Table::operator=(Table&&) noexcept = default;
Table::~Table() = default;

void Table::start(Time now) {
  state_->due();
  state_->sweep_at = now + sweep_limit;
}

std::optional<std::array<std::uint64_t, 2>> Table::adopted() const {
  return state_->adopted;
}

GroupRef Table::group(const NextHops& next_hops) {
  return state_->objects.hold(next_hops);
}
void Table::release(GroupRef group) {
  state_->objects.release(group);
}
NextHops Table::next_hops(GroupRef group) const {
  return state_->objects.next_hops(group);
}

void Table::want(const Prefix& prefix, GroupRef group, Time now) {
  assert(group);
  state_->want(prefix, Kind::learned, group.value, now);
}
void Table::unwant(const Prefix& prefix, Time now) {
  state_->unwant(prefix, Kind::learned, now);
}

void Table::want_blackhole(const Prefix& block, Time now) {
  if (!block.is_host()) state_->want(block, Kind::blackhole, fixed_target, now);
}
void Table::unwant_blackhole(const Prefix& block, Time now) {
  state_->unwant(block, Kind::blackhole, now);
}
void Table::want_gateway(const Address& address, Time now) {
  assert(address.is_v4());
  state_->want(Prefix::host(address), Kind::gateway, fixed_target, now);
}
void Table::unwant_gateway(const Address& address, Time now) {
  state_->unwant(Prefix::host(address), Kind::gateway, now);
}

void Table::synced(Time now) {
  if (std::exchange(state_->swept, true)) return;
  state_->sweep_at.reset();
  if (state_->seeded) state_->sweep(now);
}

void Table::link(const Link& link, Time now) {
  NextHopObjects::Effects effects;
  state_->objects.link(link.ifindex, link.usable(), effects);
  state_->apply(effects, Cause::link, now);
}

void Table::link_removed(std::uint32_t ifindex, Time now) {
  NextHopObjects::Effects effects;
  state_->objects.link(ifindex, false, effects);
  state_->apply(effects, Cause::link, now);
}

void Table::address(const ConnectedSubnet& subnet, bool present, Time now) {
  state_->address(subnet, present, now);
}
void Table::observed(const RouteEvent& event, Time now) {
  state_->observed(event, now);
}
void Table::observed(const NextHopEvent& event, Time now) {
  state_->observed(event, now);
}

void Table::overrun(Time) {
  ++state_->counts.overruns;
  state_->due();
}
void Table::audit(Time) {
  state_->due();
}

void Table::reachable(const Address& gateway, std::uint32_t ifindex, bool yes, Time) {
  state_->objects.reachable(gateway, ifindex, yes);
}

std::optional<Work> Table::take(Time now) {
  return state_->take(now);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the report is the table's from here on
void Table::settle(Report report, Time now) {
  std::visit([&](const auto& one) { state_->settle(one, now); }, report);
}

std::optional<Time> Table::deadline() const {
  std::optional<Time> earliest = state_->objects.deadline();
  for (const auto& other : {state_->sweep_at, state_->dump_at}) {
    if (other) earliest = std::min(earliest.value_or(Time::max()), *other);
  }
  state_->earliest_retry(state_->v4, earliest);
  state_->earliest_retry(state_->v6, earliest);
  return earliest;
}

void Table::tick(Time now) {
  State& state = *state_;
  state.objects.tick(now);
  state.retry(state.v4, now);
  state.retry(state.v6, now);
  if (state.dump_at && *state.dump_at <= now) {
    state.dump_at.reset();
    state.due();
  }
  if (state.sweep_at && *state.sweep_at <= now) synced(now);
}

std::vector<Notice> Table::take_notices() {
  return std::exchange(state_->notices, {});
}

std::string Table::state(const Prefix& prefix, Kind kind) const {
  return prefix.family() == Family::ipv4 ? state_->text(state_->v4, prefix, kind)
                                         : state_->text(state_->v6, prefix, kind);
}

bool Table::installed(const Prefix& prefix, GroupRef group) const {
  return state_->with(prefix.family(), [&](const auto& half) {
    const std::uint32_t slot = half.entries.find(prefix, Kind::learned);
    if (slot == no_slot) return false;
    const auto& entry = half.entries[slot];
    return entry.want == group.value && entry.have == group.value && !entry.unsure;
  });
}

Snapshot Table::snapshot() const {
  Snapshot snapshot = state_->counts;
  snapshot.nexthops = state_->objects.installed_nexthops();
  snapshot.synced = state_->swept;
  static constexpr std::array<std::size_t, 5> bounds{1, 2, 4, 8, 16};
  for (const NextHopObjects::Group& group : state_->objects.groups()) {
    if (!group.live || !group.installed) continue;
    ++snapshot.groups;
    const auto* const bound =
        std::lower_bound(bounds.begin(), bounds.end(), group.installed_members.size());
    ++snapshot.ecmp_paths[static_cast<std::size_t>(bound - bounds.begin())];
  }
  return snapshot;
}

std::size_t Table::memory() const {
  return state_->v4.entries.memory() + state_->v6.entries.memory() + state_->v4.dirty.memory() +
         state_->v6.dirty.memory();
}

}  // namespace weft::fib
