#include "fib/table.h"

#include <algorithm>
#include <cassert>

#include "fib/table_state.h"

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

Table::Table(const Settings& settings, std::uint64_t seed)
    : state_(std::make_unique<State>(settings, seed)) {}
Table::Table(Table&&) noexcept = default;
Table& Table::operator=(Table&&) noexcept = default;
Table::~Table() = default;

void Table::start(Time now) {
  state_->due();
  state_->sweep_at = now + sweep_limit;
}

void Table::plain_groups() {
  assert(!state_->seeded);
  state_->objects.resilient(std::nullopt);
}

std::optional<std::array<bool, 2>> Table::forwards() const {
  return state_->forwards;
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

void Table::former_tables(const std::vector<std::uint32_t>& tables) {
  assert(!state_->seeded);
  state_->former = tables;
}

PlaceRef Table::place(const Placement& where) {
  return {state_->place(where)};
}
std::vector<std::uint32_t> Table::tables() const {
  return state_->tables();
}

void Table::want(const Prefix& prefix, GroupRef group, Time now, PlaceRef where) {
  assert(group);
  state_->want(prefix, Kind::learned, group.value, now, where.value);
  // Make before break: what is put goes ahead of what is removed.
  state_->unwant_but(prefix, where.value, now);
}
void Table::unwant(const Prefix& prefix, Time now) {
  state_->unwant(prefix, Kind::learned, now);
  state_->unwant_but(prefix, 0, now);
}
void Table::prefetch(const Prefix& prefix) const {
  state_->with(prefix.family(),
               [&](const auto& half) { half.entries.prefetch(prefix, Kind::learned); });
}

void Table::want_blackhole(const Prefix& block, Time now, PlaceRef where) {
  const std::uint32_t table = state_->places[where.value].table;
  state_->want(block, Kind::blackhole, fixed_target, now, state_->first_of_table(table));
}
void Table::unwant_blackhole(const Prefix& block, Time now, PlaceRef where) {
  const std::uint32_t table = state_->places[where.value].table;
  state_->unwant(block, Kind::blackhole, now, state_->first_of_table(table));
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

void Table::check() {
  if (state_->check.under_way()) return;
  state_->check.phase = Check::Phase::due;
  state_->check.tries = 0;
}
std::optional<CheckReport> Table::take_check() {
  if (state_->check.phase != Check::Phase::done) return std::nullopt;
  state_->check.phase = Check::Phase::none;
  return std::exchange(state_->check.report, {});
}
bool Table::busy() const {
  const State& state = *state_;
  return state.outstanding > 0 || state.dumping != State::Dumping::none || state.dump_at ||
         state.v4.dirty.size() + state.v6.dirty.size() > 0 ||
         state.v4.lazy.size() + state.v6.lazy.size() > 0 ||
         state.v4.removals.size() + state.v6.removals.size() > 0 || state.objects.has_work();
}

void Table::reachable(const Address& gateway, std::uint32_t ifindex, bool yes, Time) {
  state_->objects.reachable(gateway, ifindex, yes);
}
void Table::forsake(const Address& gateway, std::uint32_t ifindex) {
  // What was adopted and is wanted by nobody yet is not of those that said so.
  if (state_->swept) state_->objects.forsake(gateway, ifindex);
}

void Table::more_to_come(bool yes) {
  state_->more_to_come = yes;
}

void Table::fast_groups(bool yes) {
  state_->objects.fast_groups(yes);
}

std::optional<Batch> Table::take_express(Time now) {
  return state_->take_express(now);
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
  if (state_->held_since) {
    earliest = std::min(earliest.value_or(Time::max()), *state_->held_since + hold_limit);
  }
  if (state_->tell_at) earliest = std::min(earliest.value_or(Time::max()), *state_->tell_at);
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
  state.tell_of_meddling(now);
}

void Table::tell_installed(bool yes) {
  state_->telling = yes;
}
std::vector<Installed> Table::take_installed() {
  return std::exchange(state_->installed, {});
}
std::vector<Notice> Table::take_notices() {
  return std::exchange(state_->notices, {});
}

std::string Table::state(const Prefix& prefix, Kind kind) const {
  return prefix.family() == Family::ipv4 ? state_->text(state_->v4, prefix, kind)
                                         : state_->text(state_->v6, prefix, kind);
}

GroupRef Table::wanted(const Prefix& prefix) const {
  return state_->with(prefix.family(), [&](const auto& half) -> GroupRef {
    const std::uint32_t slot = state_->find_anywhere(half, prefix, Kind::learned);
    if (slot == no_slot) return {};
    return {half.entries[slot].want};
  });
}

Placement Table::placement(const Prefix& prefix) const {
  return state_->with(prefix.family(), [&](const auto& half) {
    const std::uint32_t slot = state_->find_anywhere(half, prefix, Kind::learned);
    return state_->places[slot == no_slot ? 0 : half.entries[slot].place];
  });
}

void Table::wanted(const std::function<void(const Prefix&, GroupRef)>& each) const {
  state_->each([&](const auto& half, std::uint32_t slot) {
    const auto& entry = half.entries[slot];
    if (is_group(entry.want)) each(half.entries.prefix(slot), {entry.want});
  });
}

bool Table::installed(const Prefix& prefix, GroupRef group) const {
  return state_->with(prefix.family(), [&](const auto& half) {
    const std::uint32_t slot = state_->find_anywhere(half, prefix, Kind::learned);
    if (slot == no_slot) return false;
    const auto& entry = half.entries[slot];
    return entry.want == group.value && entry.have == group.value && !entry.unsure;
  });
}

Snapshot Table::snapshot() const {
  Snapshot snapshot = state_->counts;
  snapshot.nexthops = state_->objects.installed_nexthops();
  snapshot.synced = state_->swept;
  for (std::size_t i = 0; i < state_->places.size(); ++i) {
    snapshot.tables[state_->places[i].table] += state_->stand[i];
  }
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
  const auto of = [](const auto& half) {
    return half.entries.memory() + half.dirty.memory() + half.lazy.memory() +
           half.removals.memory();
  };
  return of(state_->v4) + of(state_->v6);
}

}  // namespace weft::fib
