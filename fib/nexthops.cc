#include "fib/nexthops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "fib/settings.h"

namespace weft::fib {

std::size_t NextHopObjects::NextHopsHash::operator()(const NextHops& next_hops) const {
  std::uint64_t sum = next_hops.size();
  for (const NextHop& next_hop : next_hops) {
    const std::uint64_t place = std::uint64_t{next_hop.ifindex} << 16U | next_hop.weight;
    sum = (sum ^ hash(next_hop.gateway) ^ place) * 0x9e3779b97f4a7c15U;
    sum ^= sum >> 32U;
  }
  return sum;
}

GroupRef NextHopObjects::hold(const NextHops& next_hops) {
  assert(!next_hops.empty() && std::is_sorted(next_hops.begin(), next_hops.end()));
  const auto known = group_index_.find(next_hops);
  std::uint32_t index = 0;
  if (known != group_index_.end()) {
    index = known->second;
  } else {
    std::vector<MemberRef> members;
    members.reserve(next_hops.size());
    for (const NextHop& next_hop : next_hops) {
      members.push_back({single_of(next_hop.gateway, next_hop.ifindex), next_hop.weight});
    }
    index = new_group(std::move(members));
    groups_[index].id = free_id(true);
    ids_[groups_[index].id] = index;
    group_index_[next_hops] = index;
  }
  ++groups_[index].holders;
  queue_group(index);
  return {index + 1};
}

void NextHopObjects::release(GroupRef ref) {
  Group& group = at(ref);
  assert(group.live && group.holders > 0);
  --group.holders;
  consider_removal(ref);
}

void NextHopObjects::consider_removal(GroupRef ref) {
  Group& group = at(ref);
  if (group.used() || group.spent || !group.live) return;
  group.spent = true;
  spent_groups_.push_back(ref.value - 1);
}

void NextHopObjects::doubt(GroupRef ref) {
  at(ref).refresh = true;
  queue_group(ref.value - 1);
}

NextHops NextHopObjects::next_hops(GroupRef ref) const {
  NextHops next_hops;
  for (const MemberRef& member : at(ref).members) {
    const Single& single = singles_[member.single];
    next_hops.push_back({single.gateway, single.ifindex, member.weight});
  }
  return next_hops;
}

GroupRef NextHopObjects::find(std::uint32_t id) const {
  if (id < first_group_id || id > last_id) return {};
  const auto found = ids_.find(id);
  return found == ids_.end() ? GroupRef{} : GroupRef{found->second + 1};
}

std::uint32_t NextHopObjects::new_single() {
  if (free_singles_.empty()) {
    singles_.emplace_back();
    free_singles_.push_back(static_cast<std::uint32_t>(singles_.size() - 1));
  }
  const std::uint32_t index = free_singles_.back();
  free_singles_.pop_back();
  singles_[index] = Single{};
  singles_[index].live = true;
  return index;
}

std::uint32_t NextHopObjects::single_of(const Address& gateway, std::uint32_t ifindex) {
  const auto found = single_index_.find({gateway, ifindex});
  if (found != single_index_.end()) {
    queue_single(found->second);  // it may have been lost while nobody used it
    return found->second;
  }
  const std::uint32_t index = new_single();
  Single& single = singles_[index];
  single.gateway = gateway;
  single.ifindex = ifindex;
  single.id = free_id(false);
  ids_[single.id] = index;
  single_index_[{gateway, ifindex}] = index;
  queue_single(index);
  return index;
}

std::uint32_t NextHopObjects::new_group(std::vector<MemberRef> members) {
  if (free_groups_.empty()) {
    groups_.emplace_back();
    free_groups_.push_back(static_cast<std::uint32_t>(groups_.size() - 1));
  }
  const std::uint32_t index = free_groups_.back();
  free_groups_.pop_back();
  Group& group = groups_[index];
  // Answers and routes of the group that had this place must not fit the new one.
  const std::uint32_t epoch = group.epoch + 1;
  group = Group{};
  group.live = true;
  group.epoch = epoch;
  group.members = std::move(members);
  for (const MemberRef& member : group.members) singles_[member.single].users.push_back(index);
  return index;
}

std::uint32_t NextHopObjects::free_id(bool group) {
  std::uint32_t& next = group ? next_group_id_ : next_single_id_;
  const std::uint32_t first = group ? first_group_id : first_nexthop_id;
  const std::uint32_t last = group ? last_id : first_group_id - 1;
  // Ids go round before one is used again, so that a late notification finds nobody.
  for (;;) {
    next = next >= last ? first + 1 : next + 1;
    if (ids_.count(next) == 0 && foreign_ids_.count(next) == 0) return next;
  }
}

bool NextHopObjects::usable(std::uint32_t ifindex) const {
  return dead_links_.count(ifindex) == 0;
}

bool NextHopObjects::eligible(const Single& single) const {
  if (!usable(single.ifindex) || single.removing) return false;
  return single.installed || (single.in_flight && single.known && !single.lost);
}

std::vector<NextHopObjects::MemberRef> NextHopObjects::eligible(const Group& group) const {
  std::vector<MemberRef> reachable;
  std::vector<MemberRef> all;
  for (const MemberRef& member : group.members) {
    const Single& single = singles_[member.single];
    if (!eligible(single)) continue;
    all.push_back(member);
    if (!single.unreachable) reachable.push_back(member);
  }
  return reachable.empty() ? all : reachable;
}

std::vector<NextHopObjects::MemberRef> NextHopObjects::target(Group& group) const {
  std::vector<MemberRef> members = eligible(group);
  group.held_back = false;
  if (!group.installed || group.leaving == 0) return members;
  std::vector<MemberRef> kept;
  for (const MemberRef& member : members) {
    const auto& there = group.installed_members;
    if (std::find(there.begin(), there.end(), member) != there.end()) kept.push_back(member);
  }
  if (kept.empty()) return members;
  group.held_back = kept.size() != members.size();
  return kept;
}

void NextHopObjects::settled(GroupRef ref) {
  if (at(ref).held_back) queue_group(ref.value - 1);
}

bool NextHopObjects::same_ways(GroupRef a, GroupRef b) const {
  const auto ways = [&](const Group& group) {
    return group.installed ? group.installed_members : eligible(group);
  };
  return ways(at(a)) == ways(at(b));
}

bool NextHopObjects::carries(GroupRef ref) const {
  const Group& group = at(ref);
  return !group.removing && (group.installed || (group.in_flight && group.known));
}

std::string NextHopObjects::obstacle(GroupRef ref) const {
  const Group& group = at(ref);
  if (!group.fault.empty()) return "nexthop group: " + group.fault;
  bool any_usable = false;
  for (const MemberRef& member : group.members) {
    const Single& single = singles_[member.single];
    if (!single.fault.empty()) return "nexthop " + single.gateway.text() + ": " + single.fault;
    any_usable = any_usable || usable(single.ifindex);
  }
  return any_usable ? "" : "no interface of its next hops is up";
}

NextHopObject NextHopObjects::group_object(std::uint32_t id,
                                           const std::vector<MemberRef>& members) const {
  return {id, route_protocol, {}, 0, encoded(members), resilience_};
}

bool NextHopObjects::of_our_type(const NextHopObject& group) const {
  if (!group.resilience || !resilience_) return group.resilience == resilience_;
  return group.resilience->buckets == resilience_->buckets;
}

std::vector<Member> NextHopObjects::encoded(const std::vector<MemberRef>& members) const {
  std::uint32_t greatest = 1;
  for (const MemberRef& member : members)
    greatest = std::max<std::uint32_t>(greatest, member.weight);
  std::vector<Member> encoded;
  encoded.reserve(members.size());
  for (const MemberRef& member : members) {
    std::uint32_t weight = std::max<std::uint32_t>(member.weight, 1);
    if (greatest > largest_weight) weight = std::max(weight * largest_weight / greatest, 1U);
    encoded.push_back({singles_[member.single].id, static_cast<std::uint16_t>(weight)});
  }
  return encoded;
}

void NextHopObjects::queue_single(std::uint32_t index) {
  if (std::exchange(singles_[index].queued, true)) return;
  single_queue_.push_back(index);
}

void NextHopObjects::queue_group(std::uint32_t index) {
  if (std::exchange(groups_[index].queued, true)) return;
  group_queue_.push_back(index);
}

void NextHopObjects::queue_users(std::uint32_t single) {
  for (const std::uint32_t group : singles_[single].users) queue_group(group);
}

void NextHopObjects::lose_single(std::uint32_t index, Effects& effects) {
  ++moves_;
  Single& single = singles_[index];
  single.installed = false;
  single.lost = single.in_flight;
  for (const std::uint32_t user : single.users) {
    Group& group = groups_[user];
    group.refresh = group.refresh || group.in_flight;
    auto& members = group.installed_members;
    const auto end = std::remove_if(members.begin(), members.end(),
                                    [&](const MemberRef& m) { return m.single == index; });
    if (end != members.end()) {
      members.erase(end, members.end());
      if (members.empty()) lose_group(user, effects);
    }
    queue_group(user);
  }
  queue_single(index);
}

void NextHopObjects::lose_group(std::uint32_t index, Effects& effects) {
  ++moves_;
  Group& group = groups_[index];
  group.installed = false;
  group.installed_members.clear();
  ++group.epoch;
  effects.lost.push_back({index + 1});
  queue_group(index);
  consider_removal({index + 1});
}

void NextHopObjects::link(std::uint32_t ifindex, bool is_usable, Effects& effects) {
  const bool was_usable = usable(ifindex);
  if (is_usable && was_usable) return refresh(ifindex);
  if (is_usable) {
    dead_links_.erase(ifindex);
  } else {
    dead_links_.insert(ifindex);
  }
  for (std::uint32_t index = 0; index < singles_.size(); ++index) {
    Single& single = singles_[index];
    if (!single.live || single.ifindex != ifindex) continue;
    if (is_usable) {
      single.failures = 0;
      single.retry_at = {};
      queue_single(index);
    } else {
      lose_single(index, effects);
    }
  }
}

void NextHopObjects::reachable(const Address& gateway, std::uint32_t ifindex, bool yes) {
  const auto found = single_index_.find({gateway, ifindex});
  if (found == single_index_.end()) return;
  Single& single = singles_[found->second];
  if (single.unreachable == !yes) return;
  single.unreachable = !yes;
  for (const std::uint32_t user : single.users) groups_[user].forsaken = false;
  if (!yes && !fast_groups_ && can_lose(single)) {
    prunes_.push_back(found->second);
    return;
  }
  queue_single(found->second);  // it may have been deleted to prune it
  queue_users(found->second);
}

/// Every group that has it has another member that lives: deleting it takes no route along.
bool NextHopObjects::can_lose(const Single& single) const {
  if (!single.installed || single.in_flight || single.removing) return false;
  return std::all_of(single.users.begin(), single.users.end(), [&](std::uint32_t user) {
    const Group& group = groups_[user];
    if (group.in_flight || group.removing) return false;
    return group.installed_members.empty() ||
           std::any_of(group.installed_members.begin(), group.installed_members.end(),
                       [&](const MemberRef& m) { return !singles_[m.single].unreachable; });
  });
}

void NextHopObjects::refresh(std::uint32_t ifindex) {
  for (std::uint32_t index = 0; index < singles_.size(); ++index) {
    Single& single = singles_[index];
    if (!single.live || single.ifindex != ifindex) continue;
    single.refresh = true;
    single.failures = 0;
    single.retry_at = {};
    queue_single(index);
    for (const std::uint32_t user : single.users) {
      groups_[user].refresh = true;
      queue_group(user);
    }
  }
}

void NextHopObjects::address(const ConnectedSubnet& subnet, bool present) {
  subnets_.erase(std::remove(subnets_.begin(), subnets_.end(), subnet), subnets_.end());
  if (present) subnets_.push_back(subnet);
  refresh(subnet.ifindex);
}

bool NextHopObjects::deleted(std::uint32_t id, Effects& effects) {
  foreign_ids_.erase(id);
  const auto found = ids_.find(id);
  if (found == ids_.end()) return false;
  if (id < first_group_id) {
    lose_single(found->second, effects);
  } else {
    Group& group = groups_[found->second];
    group.refresh = group.refresh || group.in_flight;
    lose_group(found->second, effects);
  }
  return true;
}

bool NextHopObjects::changed(const NextHopObject& object, Effects& effects) {
  ++moves_;
  const auto found = ids_.find(object.id);
  if (found == ids_.end()) {
    const bool ours = object.id >= first_nexthop_id && object.id <= last_id;
    if (ours && object.protocol != route_protocol) foreign_ids_.insert(object.id);
    return false;
  }
  if (object.id < first_group_id) {
    Single& single = singles_[found->second];
    if (object.protocol != route_protocol && !single.installed && !single.in_flight) {
      renumber_single(found->second);
      return false;
    }
    if (!single.known || (object.protocol == route_protocol && object.gateway == single.gateway &&
                          object.ifindex == single.ifindex && object.onlink == single.onlink)) {
      return false;
    }
    single.refresh = true;
    queue_single(found->second);
    return true;
  }
  Group& group = groups_[found->second];
  if (object.protocol != route_protocol && !group.installed && !group.in_flight) {
    renumber_group(found->second);
    return false;
  }
  if (!group.known) return false;
  if (object.protocol == route_protocol && object.members == encoded(group.installed_members)) {
    return false;
  }
  if (group.installed && object.members.empty()) lose_group(found->second, effects);
  group.refresh = true;
  queue_group(found->second);
  return true;
}

void NextHopObjects::forsake(const Address& gateway, std::uint32_t ifindex) {
  const auto found = single_index_.find({gateway, ifindex});
  if (found == single_index_.end() || !singles_[found->second].unreachable) return;
  for (const std::uint32_t user : singles_[found->second].users) {
    if (groups_[user].members.size() != 1) continue;
    groups_[user].forsaken = true;
    forsaken_groups_.push_back(user);
  }
}

/// Somebody else's object has the id: theirs stays, ours gets another.
void NextHopObjects::renumber_single(std::uint32_t index) {
  Single& single = singles_[index];
  foreign_ids_.insert(single.id);
  ids_.erase(single.id);
  single.id = free_id(false);
  single.known = false;
  ids_[single.id] = index;
  queue_single(index);
}

void NextHopObjects::renumber_group(std::uint32_t index) {
  Group& group = groups_[index];
  foreign_ids_.insert(group.id);
  ids_.erase(group.id);
  group.id = free_id(true);
  group.known = false;
  ids_[group.id] = index;
  queue_group(index);
}

void NextHopObjects::dump_asked() {
  for (Single& single : singles_) single.moved = false;
  for (Group& group : groups_) group.moved = false;
}

void NextHopObjects::dump_begin() {
  for (Single& single : singles_) single.seen = false;
  for (Group& group : groups_) group.seen = false;
  foreign_ids_.clear();
}

/// The kernel has an object under an id of ours that we do not think is there. Either it is left
/// from before and the id was given out before the dump was in, or we heard of its loss wrongly, or
/// it went since the dump.
bool NextHopObjects::there_after_all(std::uint32_t index, const NextHopObject& object) {
  Single& single = singles_[index];
  if (single.installed || single.in_flight) return false;
  if (!single.known &&
      NextHop{object.gateway, object.ifindex} != NextHop{single.gateway, single.ifindex}) {
    renumber_single(index);
    adopt_single(object);
    return true;
  }
  single.known = single.seen = true;
  single.onlink = object.onlink;
  single.refresh = true;  // it may have gone since the dump: a put that only replaces will tell
  single.installed = usable(single.ifindex);
  queue_single(index);
  queue_users(index);
  return true;
}

bool NextHopObjects::group_there_after_all(std::uint32_t index, const NextHopObject& object) {
  Group& group = groups_[index];
  if (group.installed || group.in_flight) return false;
  const bool same = of_our_type(object) && object.members == encoded(group.members);
  if (!group.known && !same) {
    renumber_group(index);
    adopt_group(object);
    return true;
  }
  group.known = group.seen = group.refresh = true;
  if (same) adopt_members(group);
  queue_group(index);
  return true;
}

void NextHopObjects::adopt_members(Group& group) {
  group.installed_members.clear();
  for (const MemberRef& member : group.members) {
    if (singles_[member.single].installed) group.installed_members.push_back(member);
  }
  group.installed = !group.installed_members.empty();
}

void NextHopObjects::seen(const NextHopObject& object, Effects& effects) {
  if (object.id < first_nexthop_id || object.id > last_id) return;
  const auto found = ids_.find(object.id);
  if (found == ids_.end()) {
    if (object.protocol != route_protocol) {
      foreign_ids_.insert(object.id);
    } else if (object.is_group() == (object.id >= first_group_id)) {
      object.is_group() ? adopt_group(object) : adopt_single(object);
    }
    return;
  }
  const bool ours = object.protocol == route_protocol;
  // What was written meanwhile may be younger than the dump; what is in flight will be answered.
  if (object.id < first_group_id) {
    Single& single = singles_[found->second];
    if (single.moved || single.in_flight) {
      single.seen = true;
      return;
    }
  } else if (Group& group = groups_[found->second]; group.moved || group.in_flight) {
    group.seen = true;
    return;
  }
  if (object.id < first_group_id) {
    if (ours && there_after_all(found->second, object)) return;
    singles_[found->second].seen = true;
  } else {
    if (ours && group_there_after_all(found->second, object)) return;
    groups_[found->second].seen = true;
  }
  changed(object, effects);
}

std::size_t NextHopObjects::dump_end(Effects& effects) {
  std::size_t gone = 0;
  for (std::uint32_t index = 0; index < singles_.size(); ++index) {
    const Single& single = singles_[index];
    // What is in flight was sent after the dump: its answer will tell.
    if (!single.live || !single.installed || single.seen || single.in_flight) continue;
    if (single.moved) continue;
    lose_single(index, effects);
    ++gone;
  }
  for (std::uint32_t index = 0; index < groups_.size(); ++index) {
    const Group& group = groups_[index];
    if (!group.live || !group.installed || group.seen || group.in_flight) continue;
    if (group.moved) continue;
    lose_group(index, effects);
    ++gone;
  }
  return gone;
}

std::vector<Difference> NextHopObjects::compare(
    const std::unordered_map<std::uint32_t, NextHopObject>& kernel) const {
  std::vector<Difference> found;
  const auto differs = [&](Difference::What what, std::uint32_t id, NextHops wanted,
                           std::string reason) {
    found.push_back({what, {}, Kind::learned, id, std::move(wanted), {}, std::move(reason)});
  };
  for (const auto& [id, object] : kernel) {
    if (object.protocol != route_protocol || id < first_nexthop_id || id > last_id) continue;
    if (ids_.count(id) == 0) differs(Difference::What::stale, id, {}, "");
  }
  for (const Single& single : singles_) {
    if (!single.live || !single.installed || single.in_flight || single.removing) continue;
    const NextHops wanted{{single.gateway, single.ifindex, 1}};
    const auto object = kernel.find(single.id);
    if (object == kernel.end()) {
      differs(Difference::What::missing, single.id, wanted, "");
    } else if (object->second.gateway != single.gateway ||
               object->second.ifindex != single.ifindex || object->second.onlink != single.onlink) {
      differs(Difference::What::different, single.id, wanted, single.fault);
    }
  }
  for (std::uint32_t index = 0; index < groups_.size(); ++index) {
    const Group& group = groups_[index];
    if (!group.live || !group.installed || group.in_flight || group.removing) continue;
    const auto object = kernel.find(group.id);
    if (object == kernel.end()) {
      differs(Difference::What::missing, group.id, next_hops({index + 1}), "");
    } else if (object->second.members != encoded(group.installed_members)) {
      differs(Difference::What::different, group.id, next_hops({index + 1}), group.fault);
    }
  }
  return found;
}

void NextHopObjects::adopt_single(const NextHopObject& object) {
  const auto key = std::pair(object.gateway, object.ifindex);
  const auto known = single_index_.find(key);
  std::uint32_t index = 0;
  if (known != single_index_.end() && !singles_[known->second].known &&
      !singles_[known->second].in_flight) {
    // Asked for before the dump was in: take the kernel's id.
    index = known->second;
    ids_.erase(singles_[index].id);
  } else {
    index = new_single();
    if (known == single_index_.end()) single_index_[key] = index;
  }
  Single& single = singles_[index];
  single.gateway = object.gateway;
  single.ifindex = object.ifindex;
  single.onlink = object.onlink;
  single.id = object.id;
  single.known = single.adopted = single.seen = single.refresh = true;
  single.installed = usable(single.ifindex);
  ids_[single.id] = index;
  foreign_ids_.erase(single.id);
  queue_single(index);
  if (single.users.empty() && !std::exchange(single.spent, true)) spent_singles_.push_back(index);
  queue_users(index);
}

void NextHopObjects::adopt_group(const NextHopObject& object) {
  std::vector<MemberRef> members;
  for (const Member& member : object.members) {
    const auto found = ids_.find(member.id);
    if (member.id >= first_group_id || found == ids_.end()) continue;
    members.push_back({found->second, member.weight});
  }
  std::sort(members.begin(), members.end(), [&](const MemberRef& a, const MemberRef& b) {
    const Single& left = singles_[a.single];
    const Single& right = singles_[b.single];
    return NextHop{left.gateway, left.ifindex, a.weight} <
           NextHop{right.gateway, right.ifindex, b.weight};
  });
  NextHops key;
  for (const MemberRef& member : members) {
    key.push_back(
        {singles_[member.single].gateway, singles_[member.single].ifindex, member.weight});
  }
  // One of another type cannot become what we want: it serves its routes until they have moved.
  const auto known = of_our_type(object) ? group_index_.find(key) : group_index_.end();
  std::uint32_t index = 0;
  if (known != group_index_.end() && !groups_[known->second].known &&
      !groups_[known->second].in_flight) {
    index = known->second;
    ids_.erase(groups_[index].id);
  } else {
    index = new_group(std::move(members));
    const bool wanted = known == group_index_.end() && !key.empty() && of_our_type(object);
    if (wanted) group_index_[key] = index;
  }
  Group& group = groups_[index];
  group.id = object.id;
  group.known = group.adopted = group.seen = true;
  group.refresh = of_our_type(object);
  adopt_members(group);
  ids_[group.id] = index;
  foreign_ids_.erase(group.id);
  consider_removal({index + 1});
  queue_group(index);
}

std::size_t NextHopObjects::installed_nexthops() const {
  return static_cast<std::size_t>(
      std::count_if(singles_.begin(), singles_.end(),
                    [](const Single& single) { return single.live && single.installed; }));
}

}  // namespace weft::fib
