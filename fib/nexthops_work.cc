#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "fib/nexthops.h"
#include "fib/settings.h"

namespace weft::fib {

namespace {

constexpr std::uint32_t group_retry = 1U << 31;

}  // namespace

std::chrono::seconds retry_after(unsigned failures) {
  const unsigned doublings = std::min(failures == 0 ? 0U : failures - 1, 6U);
  return std::min(retry_first * (1U << doublings), retry_max);
}

bool NextHopObjects::has_work() const {
  return !single_queue_.empty() || !group_queue_.empty() || !spent_groups_.empty() ||
         !spent_singles_.empty() || !prunes_.empty();
}

void NextHopObjects::take_express(Batch& batch, std::size_t room, Time now) {
  for (const std::uint32_t index : std::exchange(prunes_, {})) {
    Single& single = singles_[index];
    if (!single.live || !single.unreachable) continue;
    if (!can_lose(single)) {
      queue_users(index);
      continue;
    }
    single.removing = true;
    batch.nexthop_removals.push_back(
        {{single.id, route_protocol, {}, 0, {}}, Mode::replace, index});
  }
  if (group_queue_.empty()) return;
  std::vector<std::uint32_t> kept;
  for (const std::uint32_t index : std::exchange(group_queue_, {})) {
    Group& group = groups_[index];
    const bool written = group.live && group.installed && !group.in_flight && !group.removing &&
                         group.used() && group.retry_at <= now && batch.groups.size() < room;
    const std::vector<MemberRef> members = written ? target(group) : std::vector<MemberRef>{};
    const bool ready = std::all_of(members.begin(), members.end(), [&](const MemberRef& member) {
      return singles_[member.single].installed && !singles_[member.single].in_flight;
    });
    if (members.empty() || !ready || members == group.installed_members) {
      kept.push_back(index);
      continue;
    }
    group.queued = false;
    group.in_flight = true;
    group.refresh = false;
    batch.groups.push_back({group_object(group.id, members), Mode::replace, index});
  }
  group_queue_.insert(group_queue_.begin(), kept.begin(), kept.end());
}

void NextHopObjects::take_puts(Batch& batch, std::size_t room, Time now) {
  std::vector<std::uint32_t> queue = std::exchange(single_queue_, {});
  std::size_t at = 0;
  for (; at < queue.size() && batch.nexthops.size() < room; ++at) {
    Single& single = singles_[queue[at]];
    single.queued = false;
    if (!single.live || single.in_flight || single.removing || single.users.empty()) continue;
    if (!usable(single.ifindex) || now < single.retry_at) continue;
    if (single.installed && !single.refresh) continue;
    if (single.pruned && single.unreachable) continue;
    single.pruned = false;
    const Mode mode = single.installed ? Mode::replace
                      : single.known   ? Mode::create_replace
                                       : Mode::create;
    single.in_flight = true;
    single.refresh = false;
    single.lost = false;
    single.onlink = is_onlink(single.gateway, single.ifindex, subnets_);
    NextHopObject object{single.id, route_protocol, single.gateway, single.ifindex, {}};
    object.onlink = single.onlink;
    batch.nexthops.push_back({std::move(object), mode, queue[at]});
  }
  single_queue_.insert(single_queue_.end(), queue.begin() + static_cast<std::ptrdiff_t>(at),
                       queue.end());
  take_group_puts(batch, room - batch.nexthops.size(), now);
}

void NextHopObjects::take_group_puts(Batch& batch, std::size_t room, Time now) {
  std::vector<std::uint32_t> queue = std::exchange(group_queue_, {});
  std::size_t at = 0;
  for (; at < queue.size() && batch.groups.size() < room; ++at) {
    Group& group = groups_[queue[at]];
    group.queued = false;
    if (!group.live || group.in_flight || group.removing || !group.used()) continue;
    if (group.forsaken && !group.installed) continue;  // reachable() queues it again
    if (now < group.retry_at) continue;
    const std::vector<MemberRef> members = target(group);
    // An installed group without eligible members keeps what it has: removing it would take the
    // routes along.
    if (members.empty()) continue;
    if (group.installed && !group.refresh && members == group.installed_members) continue;
    const Mode mode = group.installed ? Mode::replace
                      : group.known   ? Mode::create_replace
                                      : Mode::create;
    group.in_flight = true;
    group.refresh = false;
    batch.groups.push_back({group_object(group.id, members), mode, queue[at]});
  }
  group_queue_.insert(group_queue_.end(), queue.begin() + static_cast<std::ptrdiff_t>(at),
                      queue.end());
}

void NextHopObjects::take_forsaken(Batch& batch) {
  for (const std::uint32_t index : std::exchange(forsaken_groups_, {})) {
    const Group& group = groups_[index];
    // What is on its way to the kernel would come too late for it: then all goes as it otherwise
    // would.
    if (!group.live || !group.forsaken || !group.installed || group.in_flight || group.removing ||
        group.routes_in_flight != 0 || group.routes == 0) {
      continue;
    }
    remove_with_routes(batch, {index + 1});
  }
}

void NextHopObjects::remove_with_routes(Batch& batch, GroupRef ref) {
  Group& group = at(ref);
  assert(group.known && !group.in_flight && !group.removing);
  group.removing = true;
  batch.group_removals.push_back(
      {{group.id, route_protocol, {}, 0, {}}, Mode::replace, ref.value - 1});
}

void NextHopObjects::take_removals(Batch& batch, std::size_t room, bool swept) {
  std::vector<std::uint32_t> kept;
  for (std::size_t at = 0; at < spent_groups_.size(); ++at) {
    const std::uint32_t index = spent_groups_[at];
    Group& group = groups_[index];
    group.spent = false;
    if (!group.live || group.used() || group.removing) continue;
    if (group.routes > 0 || group.routes_in_flight > 0 || group.in_flight) continue;
    // What was ours once may still be there, also when we were told it is gone.
    if (group.known && (batch.group_removals.size() >= room || (group.adopted && !swept))) {
      group.spent = true;
      kept.push_back(index);
    } else if (group.known) {
      remove_with_routes(batch, {index + 1});
    } else {
      free_group(index);
    }
  }
  spent_groups_ = std::move(kept);
  room -= std::min(room, batch.group_removals.size());
  kept.clear();
  for (std::size_t at = 0; at < spent_singles_.size(); ++at) {
    const std::uint32_t index = spent_singles_[at];
    Single& single = singles_[index];
    single.spent = false;
    if (!single.live || !single.users.empty() || single.in_flight || single.removing) continue;
    if (single.known && (batch.nexthop_removals.size() >= room || (single.adopted && !swept))) {
      single.spent = true;
      kept.push_back(index);
    } else if (single.known) {
      single.removing = true;
      batch.nexthop_removals.push_back(
          {{single.id, route_protocol, {}, 0, {}}, Mode::replace, index});
    } else {
      free_single(index);
    }
  }
  spent_singles_ = std::move(kept);
}

void NextHopObjects::free_group(std::uint32_t index) {
  Group& group = groups_[index];
  const auto found = group_index_.find(next_hops({index + 1}));
  if (found != group_index_.end() && found->second == index) group_index_.erase(found);
  ids_.erase(group.id);
  for (const MemberRef& member : group.members) {
    Single& single = singles_[member.single];
    auto& users = single.users;
    users.erase(std::remove(users.begin(), users.end(), index), users.end());
    if (!users.empty() || std::exchange(single.spent, true)) continue;
    spent_singles_.push_back(member.single);
  }
  group.members.clear();
  group.live = false;
  free_groups_.push_back(index);
}

void NextHopObjects::free_single(std::uint32_t index) {
  Single& single = singles_[index];
  const auto found = single_index_.find({single.gateway, single.ifindex});
  if (found != single_index_.end() && found->second == index) single_index_.erase(found);
  ids_.erase(single.id);
  single.live = false;
  free_singles_.push_back(index);
}

void NextHopObjects::put_done(const NextHopChange& change, int code, const std::string& message,
                              Time now, Effects& effects) {
  ++moves_;
  if (change.object.is_group()) {
    group_put_done(change, code, message, now, effects);
  } else {
    single_put_done(change, code, message, now, effects);
  }
}

void NextHopObjects::single_put_done(const NextHopChange& change, int code,
                                     const std::string& message, Time now, Effects& effects) {
  Single& single = singles_[change.slot];
  single.in_flight = false;
  single.moved = true;
  const bool lost = std::exchange(single.lost, false);
  if (code == 0) {
    const bool came = !single.installed && !lost;
    single.known = true;
    single.installed = !lost;
    single.failures = 0;
    single.fault.clear();
    queue_single(change.slot);
    for (const std::uint32_t user : single.users) {
      // Only news is a reason to try a refused group before its time.
      if (came) groups_[user].retry_at = {};
      queue_group(user);
    }
  } else if (code == EEXIST && change.mode == Mode::create) {
    renumber_single(change.slot);
    effects.doubtful = true;
  } else if (code == ENOENT && change.mode == Mode::replace) {
    lose_single(change.slot, effects);
  } else {
    single.fault = message;
    single.failures = static_cast<std::uint8_t>(std::min(single.failures + 1, 100));
    single.retry_at = now + retry_after(single.failures);
    retries_.emplace(single.retry_at, change.slot);
    single.refresh = single.installed;
  }
  if (single.users.empty() && !std::exchange(single.spent, true)) {
    spent_singles_.push_back(change.slot);
  }
}

void NextHopObjects::group_put_done(const NextHopChange& change, int code,
                                    const std::string& message, Time now, Effects& effects) {
  Group& group = groups_[change.slot];
  group.in_flight = false;
  group.moved = true;
  if (code == 0) {
    group.known = true;
    group.failures = 0;
    group.fault.clear();
    group.installed_members.clear();
    for (const MemberRef& member : group.members) {
      const Single& single = singles_[member.single];
      const bool sent = std::any_of(change.object.members.begin(), change.object.members.end(),
                                    [&](const Member& m) { return m.id == single.id; });
      if (sent && single.installed) group.installed_members.push_back(member);
    }
    group.installed = !group.installed_members.empty();
    if (group.installed) {
      effects.installed.push_back({change.slot + 1});
    } else {
      lose_group(change.slot, effects);
    }
    queue_group(change.slot);
  } else if (code == EEXIST && change.mode == Mode::create) {
    renumber_group(change.slot);
    effects.doubtful = true;
  } else if (code == ENOENT && change.mode == Mode::replace) {
    lose_group(change.slot, effects);
  } else {
    group.fault = message;
    group.failures = static_cast<std::uint8_t>(std::min(group.failures + 1, 100));
    group.retry_at = now + retry_after(group.failures);
    retries_.emplace(group.retry_at, change.slot | group_retry);
    // A member may have gone unnoticed: putting them again will tell.
    for (const MemberRef& member : group.members) {
      singles_[member.single].refresh = true;
      queue_single(member.single);
    }
    group.refresh = group.installed;
  }
  consider_removal({change.slot + 1});
}

void NextHopObjects::removal_done(const NextHopChange& change, int code, const std::string& message,
                                  Time now, Effects& effects) {
  ++moves_;
  const bool gone = code == 0 || code == ENOENT;
  if (change.object.id < first_group_id) {
    Single& single = singles_[change.slot];
    single.removing = false;
    if (gone && single.installed && !single.users.empty()) lose_single(change.slot, effects);
    single.installed = single.installed && !gone;
    single.known = single.known && !gone;
    single.moved = true;
    if (!single.users.empty()) {
      single.pruned = gone && single.unreachable;
      queue_single(change.slot);
      queue_users(change.slot);
    } else if (gone) {
      free_single(change.slot);
    } else {
      single.fault = message;
      single.failures = static_cast<std::uint8_t>(std::min(single.failures + 1, 100));
      retries_.emplace(now + retry_after(single.failures), change.slot);
    }
    return;
  }
  Group& group = groups_[change.slot];
  group.removing = false;
  group.moved = true;
  if (gone) {
    group.known = false;
    group.installed = false;
    group.installed_members.clear();
    ++group.epoch;
    effects.removed.push_back({change.slot + 1});
  } else {
    group.fault = message;
    group.failures = static_cast<std::uint8_t>(std::min(group.failures + 1, 100));
    retries_.emplace(now + retry_after(group.failures), change.slot | group_retry);
  }
  queue_group(change.slot);
  if (gone) consider_removal({change.slot + 1});
}

std::optional<Time> NextHopObjects::deadline() const {
  if (retries_.empty()) return std::nullopt;
  return retries_.begin()->first;
}

void NextHopObjects::tick(Time now) {
  while (!retries_.empty() && retries_.begin()->first <= now) {
    const std::uint32_t entry = retries_.begin()->second;
    retries_.erase(retries_.begin());
    const std::uint32_t index = entry & ~group_retry;
    if ((entry & group_retry) != 0) {
      queue_group(index);
      consider_removal({index + 1});
    } else {
      queue_single(index);
      Single& single = singles_[index];
      if (single.live && single.users.empty() && !std::exchange(single.spent, true)) {
        spent_singles_.push_back(index);
      }
    }
  }
}

}  // namespace weft::fib
