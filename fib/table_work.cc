#include "fib/table_state.h"

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace weft::fib {

template <typename Stored>
void Table::State::emit(Half<Stored>& half, std::uint32_t slot, Batch& batch, Time since,
                        Time now) {
  Entry<Stored>& entry = half.entries[slot];
  assert(!entry.in_flight);
  if (entry.want == no_target) return emit_removal(half, slot, batch, since);
  if (is_group(entry.want) && !objects.carries({entry.want})) {
    return update(half, slot, now, [](auto& e) { e.parked = true; });
  }
  const Prefix prefix = half.entries.prefix(slot);
  const Placement at = stands_at(entry);
  const bool foreigner = foreign_at(prefix, at) != nullptr;
  if (foreigner && entry.have != no_target) {
    doubt(now);  // both cannot be: until a dump tells, nothing is overwritten
    return conflict(half, slot, now);
  }
  RouteChange change;
  change.prefix = prefix;
  change.kind = entry.kind;
  change.table = at.table;
  change.metric = at.metric;
  // Where nothing of ours is, or may not be any more, EXCL: REPLACE would overwrite a foreign
  // route, whatever its protocol. What we heard of foreign routes may be out of date, so the kernel
  // has the last word.
  const bool exclusive = entry.have == no_target || foreigner;
  change.mode = exclusive ? Mode::create : Mode::create_replace;
  change.doubtful = exclusive && entry.unsure;
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
void Table::State::emit_removal(Half<Stored>& half, std::uint32_t slot, Batch& batch, Time since) {
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
  change.table = stands_at(entry).table;
  change.metric = stands_at(entry).metric;
  change.remove = true;
  change.slot = slot;
  change.since = since;
  send(half, entry);
  batch.routes.push_back(change);
}

template <typename Stored>
void Table::State::send(Half<Stored>& half, Entry<Stored>& entry) {
  count(half, entry, -1);
  entry.in_flight = true;
  entry.again = false;
  entry.unsure = false;  // set again by what happens before the answer
  count(half, entry, +1);
}

template <typename Stored>
void Table::State::take_from(Half<Stored>& half, DirtySlots& slots, Batch& batch, Time now) {
  while (batch.size() < batch_limit) {
    const auto slot = slots.pop();
    if (!slot) return;
    emit(half, *slot, batch, slots.since(*slot), now);
  }
}

template <typename Stored>
void Table::State::take_routes(Half<Stored>& half, Batch& batch, bool hold, Time now) {
  const std::vector<std::uint32_t> urgent = std::exchange(half.urgent, {});
  for (const std::uint32_t slot : urgent) {
    for (DirtySlots* slots : {&half.dirty, &half.lazy, &half.removals}) {
      if (!slots->contains(slot)) continue;
      if (batch.size() >= batch_limit) {
        half.urgent.push_back(slot);
        break;
      }
      slots->clear(slot);
      emit(half, slot, batch, slots->since(slot), now);
      break;
    }
  }
  const std::size_t waiting = half.dirty.size() + half.lazy.size() + half.removals.size();
  batch.routes.reserve(std::min(batch_limit, batch.routes.size() + waiting));
  take_from(half, half.dirty, batch, now);
  if (!hold) take_from(half, half.removals, batch, now);
  take_from(half, half.lazy, batch, now);
}

/// Removals one by one cost the kernel more than ten times what their group's costs.
bool Table::State::hold_removals(Time now) {
  if (!more_to_come || v4.removals.size() + v6.removals.size() < held_removals) {
    held_since.reset();
    return false;
  }
  if (!held_since) held_since = now;
  return now < *held_since + hold_limit;
}

std::optional<Work> Table::State::take(Time now) {
  if (!settings.install) return std::nullopt;
  if (check.phase == Check::Phase::due && seeded && dumping == Dumping::none) {
    check.phase = Check::Phase::asked;
    check.moves = objects.moves();
    objects.dump_asked();
    gone.clear();
    ++outstanding;
    return DumpRequest{true, tables()};
  }
  if (dumping == Dumping::due && !check.under_way()) {
    dumping = Dumping::asked;
    objects.dump_asked();
    ++dump_number;
    gone.clear();
    ++outstanding;
    return DumpRequest{false, tables()};
  }
  if (!seeded) return std::nullopt;
  Batch batch;
  objects.take_puts(batch, batch_limit, now);
  objects.take_forsaken(batch);
  const bool hold = hold_removals(now);
  take_routes(v4, batch, hold, now);
  take_routes(v6, batch, hold, now);
  while (swept && !strays.empty() && batch.size() < batch_limit) {
    // A place that came to be known since, and the dump after that, make it an entry.
    if (!is_seat(strays.back())) batch.routes.push_back(strays.back());
    strays.pop_back();
  }
  // Make before break, also between prefixes that overlap.
  std::stable_partition(batch.routes.begin(), batch.routes.end(),
                        [](const RouteChange& change) { return !change.remove; });
  if (batch.size() < batch_limit) {
    objects.take_removals(batch, batch_limit - batch.size(), swept);
  }
  if (batch.empty()) return std::nullopt;
  ++outstanding;
  return batch;
}

std::optional<Batch> Table::State::take_express(Time now) {
  if (!settings.install || !seeded) return std::nullopt;
  Batch batch;
  objects.take_express(batch, batch_limit, now);
  if (batch.empty()) return std::nullopt;
  ++outstanding;
  return batch;
}

void Table::State::settle(const Answer& answer, Time now) {
  --outstanding;
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

void Table::State::touch_routes_of(const NextHopChange& change, Time now) {
  if (change.object.id < first_group_id) return;
  const Target target = change.slot + 1;
  each([&](auto& half, std::uint32_t slot) {
    if (half.entries[slot].have == target) revise(half, slot, now);
  });
}

template <typename Stored>
void Table::State::answered(Half<Stored>& half, const RouteChange& change, int code,
                            const std::string& message, bool unknown, Time now) {
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
      if (foreign_at(change.prefix, {change.table, change.metric}) == nullptr) return;
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
void Table::State::retry_later(Half<Stored>& half, std::uint32_t slot, unsigned failures,
                               Time now) {
  const std::size_t level = std::min<std::size_t>(failures, retry_levels) - 1;
  if (half.retry[level].empty()) half.retry_at[level] = now + retry_after(failures);
  half.retry[level].push_back(slot);
}

template <typename Stored>
void Table::State::carried_out(Half<Stored>& half, const RouteChange& change, Time now) {
  const bool fresh = !is_group(change.target) || objects.at({change.target}).epoch == change.epoch;
  if (!change.remove) record(now - change.since);
  half.faults.erase(change.slot);
  const Placement at{change.table, change.metric};
  if (!change.remove && foreign_at(change.prefix, at) != nullptr) {
    if (change.mode == Mode::create) {
      forget(change.prefix, at);
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

void Table::State::record(Clock::duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const auto* const bound = std::lower_bound(latency_bounds.begin(), latency_bounds.end(), seconds);
  ++counts.programming.buckets[static_cast<std::size_t>(bound - latency_bounds.begin())];
  ++counts.programming.count;
  counts.programming.sum += seconds;
}

void Table::State::apply(const NextHopObjects::Effects& effects, std::optional<Cause> cause,
                         Time now) {
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

}  // namespace weft::fib
