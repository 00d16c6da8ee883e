#include "fib/table_state.h"

namespace weft::fib {

void Table::State::observed(const RouteEvent& event, Time now) {
  const Route& route = event.route;
  if (!writes_in(route.table)) return;
  if (event.deleted && dump_under_way()) {
    gone.insert(identity(route));
    dump_again = dump_again || gone.size() > foreign_limit;
  }
  if (event.doubtful) return perhaps_gone(route, now);
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
void Table::State::kinds_at(const Route& route, F&& f) {
  with(route.prefix.family(), [&](auto& half) {
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto place = static_cast<std::uint8_t>(i);
      for (const Kind kind : {Kind::learned, Kind::blackhole, Kind::gateway}) {
        if (stands_at(kind, place) != place_of(route)) continue;
        const std::uint32_t slot = half.entries.find(route.prefix, kind, place);
        if (slot != no_slot) f(half, slot);
      }
    }
  });
}

void Table::State::freed(const Route& route, Time now) {
  kinds_at(route, [&](auto& half, std::uint32_t slot) {
    update(half, slot, now, [](auto& e) { e.conflict = e.reported = false; });
  });
}

template <typename Stored>
void Table::State::overwritten(Half<Stored>& half, std::uint32_t slot, const Route& route,
                               Time now) {
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
    e.have = yield ? no_target : other_target;  // what may be written over
    e.unsure = !yield;
    e.stale = false;
    e.drifted = e.want != no_target;
  });
}

void Table::State::observed_own(const RouteEvent& event, Time now) {
  const Route& route = event.route;
  kinds_at(route, [&](auto& half, std::uint32_t slot) {
    const auto& entry = half.entries[slot];
    const auto seat = seat_of(route);
    const std::optional<Kind> kind = seat ? std::optional(seat->kind) : std::nullopt;
    // The container's host route has the gateway's metric, and is none of ours.
    if (entry.kind == Kind::gateway && kind != Kind::gateway) return;
    if (event.deleted && entry.conflict && foreign_at(route.prefix, place_of(route)) == nullptr) {
      return update(half, slot, now, [](auto& e) { e.conflict = e.reported = false; });
    }
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

void Table::State::perhaps_gone(const Route& route, Time now) {
  kinds_at(route, [&](auto& half, std::uint32_t slot) {
    const Target have = half.entries[slot].have;
    if (!is_group(have)) return;
    const auto& group = objects.at({have});
    if (group.id == route.nexthop_id && !group.removing) doubt(now);
  });
}

void Table::State::observed(const NextHopEvent& event, Time now) {
  NextHopObjects::Effects effects;
  const Cause cause = event.deleted ? Cause::nexthop_deleted : Cause::nexthop_replaced;
  const bool hit = event.deleted ? objects.deleted(event.object.id, effects)
                                 : objects.changed(event.object, effects);
  if (hit) ++counts.repairs[static_cast<std::size_t>(cause)];
  apply(effects, cause, now);
}

void Table::State::tell_of_meddling(Time now) {
  constexpr std::array<std::pair<Cause, std::string_view>, 4> deeds{
      {{Cause::route_deleted, "routes deleted"},
       {Cause::route_replaced, "routes changed"},
       {Cause::nexthop_deleted, "routes and nexthops lost with a deleted nexthop"},
       {Cause::nexthop_replaced, "nexthops changed"}}};
  std::string text;
  for (const auto& [cause, deed] : deeds) {
    const auto at = static_cast<std::size_t>(cause);
    if (const std::uint64_t count = counts.repairs[at] - told[at]; count > 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, deed);
  }
  if (text.empty()) return;
  if (!tell_at) tell_at = std::max(now + meddling_breath, told_at + meddling_pause);
  if (now < *tell_at) return;
  notice(true, fmt::format("another program touched weft's entries in the kernel, which are put "
                           "back: {}",
                           text));
  told = counts.repairs;
  told_at = now;
  tell_at.reset();
}

void Table::State::address(const ConnectedSubnet& subnet, bool present, Time now) {
  objects.address(subnet, present);
  if (source_of(subnet.address.family()) != subnet.address) return;
  // The kernel drops routes whose preferred source goes, those of IPv6 only lose it, and refuses
  // them while it is away.
  const Target left = subnet.address.is_v6() ? other_target : no_target;
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
        if (!present && !e.stale) e.have = had ? left : no_target;
      });
    }
  });
}

}  // namespace weft::fib
