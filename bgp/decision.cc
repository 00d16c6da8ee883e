#include "bgp/decision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <tuple>

#include "bgp/attributes.h"

namespace weft::bgp {

std::string_view name(Rung rung) {
  switch (rung) {
    case Rung::refused:
      return "refused";
    case Rung::next_hop:
      return "next hop unresolvable";
    case Rung::last_resort:
      return "stale: only if there is no other";
    case Rung::local_pref:
      return "LOCAL_PREF";
    case Rung::local_origin:
      return "not originated here";
    case Rung::as_path_length:
      return "AS_PATH length";
    case Rung::origin:
      return "ORIGIN";
    case Rung::med:
      return "MULTI_EXIT_DISC";
    case Rung::external:
      return "iBGP";
    case Rung::igp_metric:
      return "IGP metric";
    case Rung::router_id:
      return "router id";
    case Rung::cluster_list:
      return "CLUSTER_LIST length";
    case Rung::peer_address:
      return "peer address";
    case Rung::path_id:
      return "path id";
    case Rung::best:
      return "best";
  }
  return "?";
}

std::string margin(const Candidate& loser, const Candidate& other) {
  const auto of = [&](const auto& value) {
    return fmt::format("{} against {}", value(loser), value(other));
  };
  switch (loser.rung) {
    case Rung::local_pref:
      return of([](const Candidate& path) { return path.local_pref; });
    case Rung::as_path_length:
      return of([](const Candidate& path) { return path.path_length; });
    case Rung::origin:
      return of([](const Candidate& path) { return name(static_cast<Origin>(path.origin)); });
    case Rung::med:
      return of([](const Candidate& path) { return path.med; });
    case Rung::igp_metric:
      return of([](const Candidate& path) { return path.igp_metric; });
    case Rung::router_id:
      return of([](const Candidate& path) { return RouterId{path.router_id}.text(); });
    case Rung::cluster_list:
      return of([](const Candidate& path) { return path.cluster_list_length; });
    case Rung::peer_address:
      if (loser.peer == other.peer) return "the same on another link";
      return of([](const Candidate& path) { return path.peer.text(); });
    case Rung::path_id:
      return of([](const Candidate& path) { return path.path_id; });
    case Rung::refused:
    case Rung::next_hop:
    case Rung::last_resort:
    case Rung::local_origin:
    case Rung::external:
    case Rung::best:
      break;
  }
  return {};
}

namespace {

/// Those that stand on the ladder still: always the front of the range.
class Climbers {
 public:
  explicit Climbers(std::span<Candidate> all) : all_(all), standing_(all.size()) {}

  [[nodiscard]] std::span<Candidate> standing() const { return all_.first(standing_); }

  /// Whoever does not `pass` falls here, even all of them.
  template <typename Pass>
  void require(Rung rung, Pass pass) {
    const auto rest = std::partition(all_.begin(), end(), pass);
    std::for_each(rest, end(), [&](Candidate& fallen) { fallen.rung = rung; });
    standing_ = static_cast<std::size_t>(rest - all_.begin());
  }

  /// Whoever has more than the least falls here.
  template <typename Key>
  void keep_least(Rung rung, Key key) {
    if (standing_ < 2) return;
    auto least = key(all_.front());
    for (const Candidate& each : standing()) least = std::min(least, key(each));
    require(rung, [&](const Candidate& each) { return key(each) == least; });
  }

 private:
  [[nodiscard]] std::span<Candidate>::iterator end() const {
    return all_.begin() + static_cast<std::ptrdiff_t>(standing_);
  }

  std::span<Candidate> all_;
  std::size_t standing_;
};

/// RFC 4271 9.1.2.2 c, asked of all that reached the rung at once: going pair by pair along a list,
/// the outcome would depend on the order.
void drop_worse_med(Climbers& climbers, bool whatever_as) {
  if (whatever_as) {
    return climbers.keep_least(Rung::med, [](const Candidate& path) { return path.med; });
  }
  const std::span<Candidate> rivals = climbers.standing();
  if (rivals.size() < 2) return;
  std::sort(rivals.begin(), rivals.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.neighbour_as, a.med) < std::tie(b.neighbour_as, b.med);
  });
  const Candidate* least = rivals.data();
  for (Candidate& path : rivals) {
    if (path.neighbour_as != least->neighbour_as) least = &path;
    path.multipath = path.med == least->med;
  }
  climbers.require(Rung::med, [](const Candidate& path) { return path.multipath; });
  for (Candidate& path : rivals) path.multipath = false;
}

/// What tells paths apart that are equally good: no two paths of a prefix are equal in all of it.
auto identity(const Candidate& path) {
  return std::tie(path.router_id, path.cluster_list_length, path.peer, path.peer_number,
                  path.path_id);
}

void mark_multipath(std::span<Candidate> equals, const MultipathLimits& limits) {
  if (equals.empty()) return;
  const std::uint64_t path = equals.front().as_path;
  std::size_t room = limits.paths;
  for (Candidate& each : equals) {
    each.multipath = room > 0 && (limits.relax || each.as_path == path) &&
                     each.placement == equals.front().placement;
    if (each.multipath) --room;
  }
}

}  // namespace

std::size_t decide(std::span<Candidate> candidates, const MultipathLimits& limits) {
  for (Candidate& each : candidates) {
    each.rung = Rung::best;
    each.multipath = false;
  }
  Climbers paths(candidates);
  paths.require(Rung::refused, [](const Candidate& path) { return !path.refused; });
  paths.require(Rung::next_hop, [](const Candidate& path) { return path.resolved; });
  paths.keep_least(Rung::local_origin, [](const Candidate& path) { return !path.local; });
  paths.keep_least(Rung::last_resort, [](const Candidate& path) { return path.last_resort; });
  paths.keep_least(Rung::local_pref, [](const Candidate& path) { return ~path.local_pref; });
  paths.keep_least(Rung::as_path_length, [](const Candidate& path) { return path.path_length; });
  paths.keep_least(Rung::origin, [](const Candidate& path) { return path.origin; });
  drop_worse_med(paths, limits.always_compare_med);
  paths.keep_least(Rung::external, [](const Candidate& path) { return !path.external; });
  paths.keep_least(Rung::igp_metric, [](const Candidate& path) { return path.igp_metric; });

  // From here on the rungs only choose the one whose attributes are passed on; all are equally good
  // to send along.
  const std::span<Candidate> equals = paths.standing();
  std::sort(equals.begin(), equals.end(),
            [](const Candidate& a, const Candidate& b) { return identity(a) < identity(b); });
  mark_multipath(equals, limits);
  paths.keep_least(Rung::router_id, [](const Candidate& path) { return path.router_id; });
  paths.keep_least(Rung::cluster_list,
                   [](const Candidate& path) { return path.cluster_list_length; });
  paths.keep_least(Rung::peer_address,
                   [](const Candidate& path) { return std::pair(path.peer, path.peer_number); });
  paths.keep_least(Rung::path_id, [](const Candidate& path) { return path.path_id; });

  const auto place = [](const Candidate& path) {
    return std::tuple(path.rung != Rung::best, !path.multipath, -static_cast<int>(path.rung));
  };
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    const auto of_a = place(a);
    const auto of_b = place(b);
    return of_a != of_b ? of_a < of_b : identity(a) < identity(b);
  });
  return static_cast<std::size_t>(std::count_if(
      candidates.begin(), candidates.end(), [](const Candidate& path) { return path.multipath; }));
}

}  // namespace weft::bgp
