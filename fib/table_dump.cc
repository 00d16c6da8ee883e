#include "fib/table_state.h"

#include <algorithm>

namespace weft::fib {

void Table::State::due() {
  if (dumping == Dumping::none) {
    dumping = Dumping::due;
  } else {
    dump_again = dump_again || dumping != Dumping::due;
  }
}

void Table::State::doubt(Time now) {
  dump_at = std::min(dump_at.value_or(Time::max()), now + dump_retry);
}

std::vector<std::uint32_t> Table::State::tables() const {
  std::set<std::uint32_t> all(former.begin(), former.end());
  for (const Placement& each : places) all.insert(each.table);
  return {all.begin(), all.end()};
}

std::uint8_t Table::State::place(const Placement& where) {
  const Placement wanted{where.table == 0 ? settings.table : where.table,
                         where.metric == 0 ? settings.metric : where.metric};
  const auto asked_for = [&](std::size_t number) {
    place_asked[number] = ++places_asked;
    return static_cast<std::uint8_t>(number);
  };
  const auto found = std::find(places.begin(), places.end(), wanted);
  if (found != places.end()) return asked_for(static_cast<std::size_t>(found - places.begin()));
  const bool is_new_table = !writes_in(wanted.table);
  std::size_t number = places.size();
  if (number < most_places) {
    places.push_back(wanted);
  } else {
    number = idle_place();
    if (number == 0) {
      notice(true, fmt::format("routes meant for table {}, metric {} go into table {}: there are "
                               "too many tables and metrics",
                               wanted.table, wanted.metric, settings.table));
      return 0;
    }
    places[number] = wanted;
  }
  // What others have there nobody has told us yet.
  if (is_new_table) due();
  return asked_for(number);
}

/// Of those without a route the one that was not asked for the longest; 0: there is none.
std::size_t Table::State::idle_place() const {
  std::size_t idle = 0;
  for (std::size_t i = 1; i < places.size(); ++i) {
    const auto place = static_cast<std::uint8_t>(i);
    if (v4.entries.any_at(place) || v6.entries.any_at(place)) continue;
    if (idle == 0 || place_asked[i] < place_asked[idle]) idle = i;
  }
  return idle;
}

void Table::State::unwant_but(const Prefix& prefix, std::uint8_t place, Time now) {
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i != place) unwant(prefix, Kind::learned, now, static_cast<std::uint8_t>(i));
  }
}

std::optional<Seat> Table::State::seat_of(const Route& route) const {
  const std::uint8_t first = first_of_table(route.table);
  if (first == places.size()) return std::nullopt;
  if (route.type == RouteType::blackhole) {
    if (route.metric == blackhole_metric) return Seat{Kind::blackhole, first};
    return std::nullopt;
  }
  // Whatever it looks like: what carries our number and stands in our place is ours to write over.
  // But a container's host route, made and unmade by weft-cni, may have any metric in IPv6.
  const bool host_route = route.nexthop_id == 0 && route.prefix.is_host();
  const auto found = std::find(places.begin(), places.end(), place_of(route));
  if (found != places.end() && !host_route) {
    return Seat{Kind::learned, static_cast<std::uint8_t>(found - places.begin())};
  }
  if (route.type != RouteType::unicast || route.nexthop_id != 0) return std::nullopt;
  if (first == 0 && route.metric == 0 && route.ifindex == loopback && route.scope == scope_link &&
      route.prefix.is_host() && route.prefix.family() == Family::ipv4) {
    return Seat{Kind::gateway, 0};
  }
  return std::nullopt;
}

Target Table::State::target_of(const Route& route, Kind kind) const {
  if (kind != Kind::learned) return fixed_target;
  const GroupRef ref = objects.find(route.nexthop_id);
  const bool right = ref && route.preferred_source == source_of(route.prefix.family()) &&
                     route.mtu == settings.route_mtu.value_or(0);
  return right ? ref.value : other_target;
}

void Table::State::saw(const Route& route, Time now) {
  if (route.protocol != route_protocol) {
    if (writes_in(route.table) && gone.count(identity(route)) == 0) add_foreign(route);
    return;
  }
  const auto seat = seat_of(route);
  if (!seat) return saw_stray(route);
  const Target have = target_of(route, seat->kind);
  // Either its group went since the dump and took it along, or we are wrong about the group.
  const bool doubtful = is_group(have) && !objects.at({have}).installed;
  with(route.prefix.family(), [&](auto& half) {
    const std::uint32_t known = half.entries.find(route.prefix, seat->kind, seat->place);
    const std::uint32_t slot =
        known != no_slot ? known
                         : half.entries.find_or_insert(route.prefix, seat->kind, seat->place);
    auto& entry = half.entries[slot];
    if (entry.seen) return;  // one that was appended behind it
    entry.seen = true;
    entry.overtaken = entry.overtaken || doubtful || gone.count(identity(route)) > 0;
    if (entry.overtaken) return;
    if (!seeded) adopting[route.prefix.family() == Family::ipv4 ? 0 : 1] = true;
    if (entry.have == have && !entry.unsure) return;
    const bool as_hoped = entry.unsure && entry.want == have;
    const bool drift = seeded && !as_hoped && (entry.have != have || entry.want == no_target);
    if (drift) {
      ++dump_differences;
      ++counts.repairs[static_cast<std::size_t>(Cause::dump)];
    }
    update(half, slot, now, [&](auto& e) {
      // What is in flight was sent after the dump; its answer comes and overrules.
      e.have = have;
      if (!e.in_flight) e.unsure = false;
      e.stale = !(seeded && swept) && e.want == no_target && known == no_slot;
      e.drifted = drift && e.want != have;
    });
  });
}

bool Table::State::is_seat(const RouteChange& stray) const {
  if (stray.metric == blackhole_metric) return writes_in(stray.table);
  return std::find(places.begin(), places.end(), Placement{stray.table, stray.metric}) !=
         places.end();
}

bool Table::State::is_stray(const Route& route) const {
  if (route.nexthop_id >= first_group_id && route.nexthop_id <= last_id) return true;
  // A container's host route is not the table's.
  if (writes_in(route.table)) return false;
  return (route.type == RouteType::blackhole && route.metric == blackhole_metric) ||
         (route.type == RouteType::unicast && route.metric == 0 && route.ifindex == loopback);
}

void Table::State::saw_stray(const Route& route) {
  if (!is_stray(route) || seeded || strays.size() >= stray_limit) return;
  RouteChange removal;
  removal.prefix = route.prefix;
  removal.table = route.table;
  removal.metric = route.metric;
  removal.remove = true;
  removal.slot = no_slot;
  strays.push_back(removal);
}

void Table::State::settle(const DumpPart& part, Time now) {
  if (part.last) --outstanding;
  if (part.check) return check_settle(part);
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
  // IPv6 comes first and is all there by now.
  if (!forwards && adopting[0]) forwards = adopting;
  if (part.last) dump_end(part, now);
}

void Table::State::dump_end(const DumpPart& part, Time now) {
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
    if (!forwards) forwards = adopting;
    const std::uint64_t all = held(v4) + held(v6);
    if (all > 0) notice(false, fmt::format("adopted {} routes from the kernel", all));
  } else if (dump_differences > 0) {
    notice(true, fmt::format("the kernel differed from what was installed in {} routes and "
                             "nexthops; repairing",
                             dump_differences));
  }
  if (swept) sweep(now);
}

template <typename Stored>
void Table::State::unseen(Half<Stored>& half, std::uint32_t slot, Time now) {
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

void Table::State::forget_foreign(Time now) {
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
    if (foreign_at(half.entries.prefix(slot), stands_at(entry)) == nullptr) {
      update(half, slot, now, [](auto& e) { e.conflict = e.reported = false; });
    } else if (!entry.reported) {
      conflict(half, slot, now);
    }
  });
}

void Table::State::sweep(Time now) {
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

}  // namespace weft::fib
