#include <algorithm>
#include <utility>

#include "fib/table_state.h"

namespace weft::fib {

std::string_view name(Difference::What what) {
  switch (what) {
    case Difference::What::missing:
      return "missing";
    case Difference::What::different:
      return "different";
    case Difference::What::stale:
      return "stale";
    case Difference::What::foreign:
      return "foreign";
  }
  return "missing";
}

void Table::State::check_settle(const DumpPart& part) {
  if (part.again || check.phase == Check::Phase::asked) {
    check.phase = Check::Phase::running;
    check.report = {};
    check.objects.clear();
    each([](auto& half, std::uint32_t slot) { half.entries[slot].visited = false; });
  }
  for (const NextHopObject& object : part.nexthops) check.objects[object.id] = object;
  for (const Route& route : part.routes) check_saw(route);
  if (part.last) check_end(part);
}

void Table::State::differs(Difference difference) {
  if (check.report.differences.size() < difference_limit) {
    check.report.differences.push_back(std::move(difference));
  } else {
    ++check.report.more;
  }
}

NextHops Table::State::kernel_next_hops(std::uint32_t id) const {
  NextHops found;
  const auto object = check.objects.find(id);
  if (object == check.objects.end()) return found;
  if (!object->second.is_group()) return {{object->second.gateway, object->second.ifindex, 1}};
  for (const Member& member : object->second.members) {
    const auto single = check.objects.find(member.id);
    if (single == check.objects.end()) continue;
    found.push_back({single->second.gateway, single->second.ifindex, member.weight});
  }
  std::sort(found.begin(), found.end());
  return found;
}

void Table::State::check_saw(const Route& route) {
  if (route.protocol != route_protocol) return;
  const auto seat = seat_of(route);
  Difference found;
  found.what = Difference::What::stale;
  found.prefix = route.prefix;
  found.nexthop_id = route.nexthop_id;
  if (route.table != settings.table) found.table = route.table;
  if (!seat) {
    if (!is_stray(route)) return;
    ++check.report.kernel_routes;
    found.kernel = kernel_next_hops(route.nexthop_id);
    if (!swept) found.reason = "left from before; goes after the End-of-RIB";
    return differs(std::move(found));
  }
  found.kind = seat->kind;
  ++check.report.kernel_routes;
  with(route.prefix.family(), [&](auto& half) {
    const std::uint32_t slot = half.entries.find(route.prefix, seat->kind, seat->place);
    if (slot == no_slot) {
      if (gone.count(identity(route)) > 0) return;
      found.kernel = kernel_next_hops(route.nexthop_id);
      return differs(found);
    }
    auto& entry = half.entries[slot];
    if (entry.visited) {
      found.reason = "appended by others behind the one in use";
      return differs(std::move(found));
    }
    entry.visited = true;
    if (entry.overtaken || entry.want == target_of(route, seat->kind)) return;
    found.kernel = kernel_next_hops(route.nexthop_id);
    if (entry.want == no_target) {
      if (entry.stale) found.reason = "left from before; goes after the End-of-RIB";
      if (!entry.stale && at_work(half, slot)) found.reason = "is being removed";
    } else {
      found.what = Difference::What::different;
      if (is_group(entry.want)) found.wanted = objects.next_hops({entry.want});
      if (at_work(half, slot)) found.reason = text_of(half, slot, route.prefix, stands_at(entry));
    }
    differs(found);
  });
}

template <typename Stored>
bool Table::State::at_work(const Half<Stored>& half, std::uint32_t slot) const {
  const Entry<Stored>& entry = half.entries[slot];
  return entry.in_flight || entry.failed || entry.conflict || entry.parked ||
         half.dirty.contains(slot) || half.lazy.contains(slot) || half.removals.contains(slot);
}

template <typename Stored>
void Table::State::check_unvisited(Half<Stored>& half, std::uint32_t slot) {
  Entry<Stored>& entry = half.entries[slot];
  const bool visited = entry.visited;
  const bool overtaken = entry.overtaken;
  entry.visited = entry.overtaken = false;
  if (overtaken) ++check.report.moving;
  if (entry.want != no_target) ++check.report.wanted_routes;
  if (visited || overtaken || entry.want == no_target) return;
  Difference found;
  found.what = entry.conflict ? Difference::What::foreign : Difference::What::missing;
  found.prefix = half.entries.prefix(slot);
  found.kind = entry.kind;
  const Placement at = stands_at(entry);
  if (at.table != settings.table) found.table = at.table;
  if (is_group(entry.want)) {
    found.wanted = objects.next_hops({entry.want});
    found.nexthop_id = objects.at({entry.want}).id;
  }
  if (at_work(half, slot)) found.reason = text_of(half, slot, *found.prefix, at);
  differs(std::move(found));
}

void Table::State::check_end(const DumpPart& part) {
  each([&](auto& half, std::uint32_t slot) { check_unvisited(half, slot); });
  if (part.failed) {
    check.report.failed = part.failed;
  } else {
    const bool moved = objects.moves() != check.moves;
    auto objects_differ = objects.compare(check.objects);
    if (moved && !objects_differ.empty() && ++check.tries < check_tries) {
      check.phase = Check::Phase::due;
      return;
    }
    for (Difference& difference : objects_differ) {
      difference.kernel = kernel_next_hops(difference.nexthop_id);
      if (moved && difference.reason.empty()) difference.reason = "moved during the check";
      differs(std::move(difference));
    }
  }
  check.phase = Check::Phase::done;
  check.objects.clear();
}

}  // namespace weft::fib
