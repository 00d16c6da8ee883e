// ModelKernel: the kernel's routes and nexthop objects with the habits that matter to fib::Table:
// objects vanish silently with their link, groups with their last member, routes with their group;
// EXCL, REPLACE and protocol matching.
#pragma once

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fib/batch.h"
#include "fib/table.h"

namespace weft::fib {

class ModelKernel {
 public:
  struct Key {
    Prefix first;
    std::uint32_t second = 0;
    std::uint32_t table = 254;
    auto operator<=>(const Key&) const = default;
  };

  explicit ModelKernel(Settings given) : settings(given) {}

  Settings settings;
  std::map<std::uint32_t, NextHopObject> nexthops;
  std::map<Key, Route> routes;
  std::set<std::uint32_t> dead_links;
  /// Keys of foreign routes that a write of weft destroyed.
  std::vector<Key> harmed;

  void link(std::uint32_t ifindex, bool usable) {
    if (usable) {
      dead_links.erase(ifindex);
      return;
    }
    dead_links.insert(ifindex);
    std::vector<std::uint32_t> gone;
    for (const auto& [id, object] : nexthops) {
      if (!object.is_group() && object.ifindex == ifindex) gone.push_back(id);
    }
    for (const std::uint32_t id : gone) remove_object(id);
  }

  void remove_object(std::uint32_t id) {
    nexthops.erase(id);
    flush(id);
    std::vector<std::uint32_t> emptied;
    for (auto& [other, object] : nexthops) {
      if (!object.is_group()) continue;
      auto& members = object.members;
      members.erase(std::remove_if(members.begin(), members.end(),
                                   [&](const Member& m) { return m.id == id; }),
                    members.end());
      if (members.empty()) emptied.push_back(other);
    }
    for (const std::uint32_t other : emptied) {
      nexthops.erase(other);
      flush(other);
    }
  }

  /// `refuse`: errno for this operation out of the blue, or 0.
  Answer carry_out(Batch batch, const std::function<int()>& refuse) {
    Answer answer;
    std::size_t index = 0;
    const auto note = [&](int code) {
      if (code != 0) answer.faults.push_back({index, code, "refused " + std::to_string(code)});
      ++index;
    };
    const auto or_refused = [&](auto&& action) {
      const int code = refuse();
      note(code != 0 ? code : action());
    };
    for (const auto* puts : {&batch.nexthops, &batch.groups}) {
      for (const NextHopChange& change : *puts) or_refused([&] { return put_object(change); });
    }
    for (const RouteChange& change : batch.routes) {
      or_refused([&] { return change.remove ? remove_route(change) : put_route(change); });
    }
    for (const auto* removals : {&batch.group_removals, &batch.nexthop_removals}) {
      for (const NextHopChange& change : *removals) {
        or_refused([&] {
          if (nexthops.count(change.object.id) == 0) return ENOENT;
          remove_object(change.object.id);
          return 0;
        });
      }
    }
    answer.batch = std::move(batch);
    return answer;
  }

  /// As the answer to `request`.
  std::vector<DumpPart> dump(const DumpRequest& request) const {
    std::vector<DumpPart> parts = dump();
    for (DumpPart& part : parts) {
      part.check = request.check;
      part.routes.erase(std::remove_if(part.routes.begin(), part.routes.end(),
                                       [&](const Route& route) {
                                         return std::count(request.tables.begin(),
                                                           request.tables.end(), route.table) == 0;
                                       }),
                        part.routes.end());
    }
    return parts;
  }
  std::vector<DumpPart> dump() const {
    std::vector<DumpPart> parts(1);
    for (const auto& [id, object] : nexthops) parts[0].nexthops.push_back(object);
    for (const Family family : {Family::ipv6, Family::ipv4}) {
      for (const auto& [key, route] : routes) {
        if (route.prefix.family() != family) continue;
        if (parts.back().routes.size() == 7) parts.emplace_back();
        parts.back().routes.push_back(route);
      }
    }
    parts.back().last = true;
    return parts;
  }

 private:
  void flush(std::uint32_t id) {
    for (auto at = routes.begin(); at != routes.end();) {
      at = at->second.nexthop_id == id ? routes.erase(at) : std::next(at);
    }
  }

  int put_object(const NextHopChange& change) {
    const NextHopObject& object = change.object;
    const bool there = nexthops.count(object.id) != 0;
    if (there && change.mode == Mode::create) return EEXIST;
    if (!there && change.mode == Mode::replace) return ENOENT;
    if (!object.is_group() && dead_links.count(object.ifindex) != 0) return ENETDOWN;
    for (const Member& member : object.members) {
      if (nexthops.count(member.id) == 0) return EINVAL;
      if (member.weight == 0 || member.weight > 255) return EINVAL;  // as before Linux 6.12
    }
    nexthops[object.id] = object;
    return 0;
  }

  int put_route(const RouteChange& change) {
    const Route route = route_of(change, settings);
    const Key key{route.prefix, route.metric, route.table};
    const auto there = routes.find(key);
    if (there != routes.end() && change.mode == Mode::create) return EEXIST;
    if (route.nexthop_id != 0 && nexthops.count(route.nexthop_id) == 0) return EINVAL;
    if (there != routes.end() && there->second.protocol != route_protocol) harmed.push_back(key);
    routes[key] = route;
    return 0;
  }

  int remove_route(const RouteChange& change) {
    const auto there = routes.find({change.prefix, change.metric, change.table});
    if (there == routes.end() || there->second.protocol != route_protocol) return ESRCH;
    routes.erase(there);
    return 0;
  }
};

}  // namespace weft::fib
