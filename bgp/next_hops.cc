#include "bgp/next_hops.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace weft::bgp {

namespace {

/// Unused sets are kept below this many, because they tend to come back.
constexpr std::size_t idle_sets = 65536;

bool is_link_local_v6(const Address& address) {
  return address.is_v6() && address.is_link_local();
}

/// 240.0.0.0/4, limited broadcast included, is no unicast address (RFC 1112 4).
bool is_reserved(const Address& address) {
  return address.is_v4() && address.v4() >> 28 == 0xf;
}

}  // namespace

std::size_t NextHopTable::HashOfName::operator()(const Name& name) const {
  const std::uint64_t link_local = name.link_local ? hash(*name.link_local) : 0;
  return hash(name.address) * 31 + link_local * 17 + static_cast<std::size_t>(name.peer);
}

std::size_t NextHopTable::HashOfSharers::operator()(const std::vector<Sharer>& sharers) const {
  std::uint64_t state = sharers.size();
  for (const Sharer& each : sharers) {
    const auto id = static_cast<std::uint64_t>(each.next_hop);
    state = (state ^ id ^ std::uint64_t{each.bandwidth} << 32) * 0x9e3779b97f4a7c15U;
    state ^= state >> 29;
  }
  return state;
}

NextHopTable::NextHopTable() : peers_(1), in_use_(1), recycle_sets_at_(idle_sets) {
  entries_.emplace_back();
  states_.emplace_back();
  states_.back().usable = true;
  sets_.emplace_back();
  set_uses_.emplace_back();
}

bool NextHopTable::is_special(const Address& address, std::uint32_t ifindex) const {
  if (address.is_unspecified() || address.is_loopback() || address.is_multicast()) return true;
  if (is_reserved(address)) return true;
  return std::any_of(connected_.begin(), connected_.end(), [&](const ConnectedSubnet& subnet) {
    return subnet.address == address && (!is_link_local_v6(address) || subnet.ifindex == ifindex);
  });
}

NextHops NextHopTable::gateways(PeerId peer) const {
  NextHops found;
  const Address& own = facts(peer).address;
  for (const Entry& entry : entries_) {
    if (entry.free || entry.view.peer != peer || !entry.on_link) continue;
    const NextHop& to = *entry.on_link;
    // A session has one address, and mostly both families: the other's is known by the link.
    const bool of_other_family = to.gateway.is_v6() != own.is_v6() &&
                                 to.ifindex == facts(peer).ifindex && !others_use(peer, to);
    if (entry.view.address != own && to.gateway != own && !of_other_family) continue;
    if (std::find(found.begin(), found.end(), to) == found.end()) found.push_back(to);
  }
  return found;
}

bool NextHopTable::others_use(PeerId peer, const NextHop& gateway) const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.free || states_[i].uses == 0 || entry.view.peer == peer) continue;
    const NextHops& ways = entry.view.resolved;
    const bool any = std::any_of(ways.begin(), ways.end(), [&](const NextHop& way) {
      return way.gateway == gateway.gateway && way.ifindex == gateway.ifindex;
    });
    if (any) return true;
  }
  return false;
}

std::optional<NextHop> NextHopTable::on_link(const PeerNextHop& named) const {
  const RibPeer& by = facts(named.peer);
  if (!is_link_local_v6(named.address)) {
    for (const ConnectedSubnet& subnet : connected_) {
      if (subnet.prefix.contains(named.address)) return NextHop{named.address, subnet.ifindex};
    }
  }
  if (by.ifindex == 0) return {};
  const Address& on_link = named.link_local.value_or(named.address);
  if (is_link_local_v6(on_link)) return NextHop{on_link, by.ifindex};
  // The peer itself, over the session's own link: as near as it gets, whatever the subnets say.
  if (named.address == by.address || (by.onlink && !named.address.is_link_local()))
    return NextHop{named.address, by.ifindex};
  return {};
}

bool NextHopTable::resolve_again(NextHopId id) {
  Entry& entry = this->entry(id);
  PeerNextHop& named = entry.view;
  State& state = this->state(id);
  if (named.discard) return !std::exchange(state.usable, true);
  const RibPeer& by = facts(named.peer);
  const std::uint32_t ifindex = by.ifindex;
  named.special = is_special(named.address, ifindex) ||
                  (named.link_local && is_special(*named.link_local, ifindex));
  const std::optional<NextHop> found = named.special ? std::nullopt : on_link(named);
  const bool behind = !named.special && !found && recursion_.routes && by.recursive &&
                      !named.address.is_link_local();
  if (behind) {
    to_resolve_.insert(id);
  } else {
    to_resolve_.erase(id);
  }
  if (found == entry.on_link && behind == state.behind) return false;
  if (state.behind && !behind) no_longer_behind_.push_back(id);
  entry.on_link = found;
  state.behind = behind;
  settle(id, found ? NextHops{*found} : NextHops(), 0);
  return true;
}

void NextHopTable::settle(NextHopId id, NextHops gateways, std::uint32_t metric) {
  State& of = state(id);
  const bool was_usable = std::exchange(of.usable, !gateways.empty());
  entry(id).view.resolved = std::move(gateways);
  of.metric = metric;
  of.single = {};
  if (!was_usable) return;  // so it is in none of them
  combinations_.clear();
  last_sharers_.clear();
}

std::optional<NextHopId> NextHopTable::take_to_resolve() {
  if (to_resolve_.empty()) return {};
  // Not from the first on again: those that routes change all the time would keep out the others.
  auto next = to_resolve_.upper_bound(resolved_last_);
  if (next == to_resolve_.end()) next = to_resolve_.begin();
  resolved_last_ = *next;
  to_resolve_.erase(next);
  return resolved_last_;
}

void NextHopTable::set_most_members(std::size_t most) {
  if (std::exchange(most_members_, most) == most) return;
  combinations_.clear();
  last_sharers_.clear();
}

bool NextHopTable::resolved(NextHopId id, NextHops gateways, std::uint32_t metric) {
  assert(state(id).behind);
  if (entry(id).view.resolved == gateways && state(id).metric == metric) return false;
  settle(id, std::move(gateways), metric);
  return true;
}

Surroundings::Link NextHopTable::link(NextHopId id) const {
  using Kind = Surroundings::Link::Kind;
  const Entry& of = entry(id);
  if (id == NextHopId::local || of.view.discard) return {Kind::sink, {}, {}};
  if (of.on_link) return {Kind::on_link, *of.on_link, {}};
  if (state(id).behind) return {Kind::behind, {}, of.view.address};
  return {};
}

NextHopTable::Changed NextHopTable::set_recursion(const Recursion& recursion) {
  recursion_ = recursion;
  return resolve_all_again();
}

NextHopTable::Changed NextHopTable::attach(PeerId peer, const RibPeer& facts) {
  const auto index = static_cast<std::size_t>(peer);
  if (index >= peers_.size()) {
    peers_.resize(index + 1);
    in_use_.resize(index + 1);
  }
  peers_[index] = facts;
  Changed changed(entries_.size(), false);
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    Entry& each = entries_[i];
    if (each.free || each.view.peer != peer) continue;
    static_cast<void>(resolve_again(static_cast<NextHopId>(i)));
    states_[i].single = {};
    changed[i] = states_[i].uses != 0;  // the peer's own facts count in the decision, too
  }
  combinations_.clear();
  last_sharers_.clear();
  return changed;
}

NextHopTable::Changed NextHopTable::connected(std::vector<ConnectedSubnet> subnets) {
  std::sort(subnets.begin(), subnets.end(), [](const auto& a, const auto& b) {
    return std::tuple(b.prefix.length(), a.ifindex, a.address) <
           std::tuple(a.prefix.length(), b.ifindex, b.address);
  });
  if (subnets == connected_) return Changed(entries_.size(), false);
  connected_ = std::move(subnets);
  return resolve_all_again();
}

NextHopTable::Changed NextHopTable::resolve_all_again() {
  Changed changed(entries_.size(), false);
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    Entry& each = entries_[i];
    if (each.free) continue;
    changed[i] = resolve_again(static_cast<NextHopId>(i)) && states_[i].uses != 0;
  }
  combinations_.clear();
  last_sharers_.clear();
  return changed;
}

std::optional<NextHopId> NextHopTable::intern(PeerId peer, const Address& address,
                                              const std::optional<Address>& link_local,
                                              NextHopId original) {
  const auto index = static_cast<std::size_t>(peer);
  assert(index < peers_.size());
  const Name name{peer, address, link_local, original};
  if (const auto known = by_name_.find(name); known != by_name_.end()) return known->second;
  if (in_use_[index] >= Rib::max_next_hops) return {};
  if (free_.empty() && entries_.size() > 0xffffff) return {};
  if (free_.empty()) {
    free_.push_back(static_cast<NextHopId>(entries_.size()));
    entries_.emplace_back();
    states_.emplace_back();
  }
  const NextHopId id = free_.back();
  free_.pop_back();
  Entry& made = entry(id);
  made = Entry{};
  state(id) = State{};
  state(id).peer = peer;
  made.view = {peer, address, link_local, false, {}};
  made.view.discard = original != NextHopId::local && address.is_unspecified();
  state(id).discard = made.view.discard;
  made.original = original;
  if (original != NextHopId::local) hold(original);
  static_cast<void>(resolve_again(id));
  by_name_.emplace(name, id);
  ++in_use_[index];
  idle_.push_back(id);
  return id;
}

void NextHopTable::recycle() {
  if (sets_.size() - free_sets_.size() > recycle_sets_at_) recycle_sets();
  if (idle_.empty()) return;
  bool any = false;
  for (std::size_t i = 0; i < idle_.size(); ++i) {  // an original may follow what came of it
    const NextHopId id = idle_[i];
    Entry& each = entry(id);
    if (state(id).uses != 0 || each.free) continue;
    by_name_.erase({each.view.peer, each.view.address, each.view.link_local, each.original});
    if (each.original != NextHopId::local) release(std::exchange(each.original, NextHopId::local));
    --in_use_[static_cast<std::size_t>(each.view.peer)];
    if (std::exchange(state(id).behind, false)) no_longer_behind_.push_back(id);
    to_resolve_.erase(id);
    each.free = true;
    free_.push_back(id);
    any = true;
  }
  idle_.clear();
  if (!any) return;
  combinations_.clear();
  last_sharers_.clear();
}

NextHopSet NextHopTable::intern_set(NextHops members, const Placement& placement) {
  std::pair name(std::move(members), placement);
  if (const auto known = by_members_.find(name); known != by_members_.end()) return known->second;
  if (free_sets_.empty() && sets_.size() >= Rib::max_next_hop_sets) return {};
  if (free_sets_.empty()) {
    free_sets_.push_back({static_cast<std::uint32_t>(sets_.size())});
    sets_.emplace_back();
    set_uses_.emplace_back();
  }
  const NextHopSet id = free_sets_.back();
  free_sets_.pop_back();
  sets_[id.value] = {name.first, placement, false};
  set_uses_[id.value] = 0;
  by_members_.emplace(std::move(name), id);
  return id;
}

void NextHopTable::recycle_sets() {
  for (std::size_t i = 1; i < sets_.size(); ++i) {
    Set& each = sets_[i];
    if (set_uses_[i] != 0 || each.free) continue;
    by_members_.erase({each.members, each.placement});
    each = {{}, {}, true};
    free_sets_.push_back({static_cast<std::uint32_t>(i)});
  }
  for (State& each : states_) each.single = {};
  combinations_.clear();
  last_sharers_.clear();
  recycle_sets_at_ = std::max(idle_sets, 2 * (sets_.size() - free_sets_.size()));
}

NextHopSet NextHopTable::set_of_one(NextHopId id) {
  State& only = state(id);
  if (only.single == NextHopSet{})
    only.single = intern_set(entry(id).view.resolved, facts(only.peer).placement);
  return only.single;
}

NextHops NextHopTable::weighed(const std::vector<Sharer>& sharers) const {
  std::vector<Share> shares;
  for (const Sharer& each : sharers) {
    const PeerNextHop& named = entry(each.next_hop).view;
    if (!named.discard) shares.push_back({named.resolved, each.bandwidth});
  }
  return share(shares, most_members_);
}

NextHopSet NextHopTable::set_of(std::vector<Sharer>& sharers) {
  const bool all = std::all_of(sharers.begin(), sharers.end(),
                               [](const Sharer& each) { return each.bandwidth != 0; });
  if (!all) {
    for (Sharer& each : sharers) each.bandwidth = 0;
  }
  std::sort(sharers.begin(), sharers.end());
  if (sharers == last_sharers_) return last_set_;
  auto known = combinations_.find(sharers);
  if (known == combinations_.end()) {
    NextHops resolved = weighed(sharers);
    if (combinations_.size() >= idle_sets) combinations_.clear();
    const Placement& placement = facts(peer(sharers.front().next_hop)).placement;
    known = combinations_.emplace(sharers, intern_set(std::move(resolved), placement)).first;
  }
  last_sharers_ = sharers;
  last_set_ = known->second;
  return last_set_;
}

std::size_t NextHopTable::memory() const {
  return entries_.size() * (sizeof(Entry) + sizeof(State)) +
         sets_.size() * (sizeof(Set) + sizeof(std::uint64_t)) +
         by_name_.size() * (sizeof(Name) + 32) + by_members_.size() * 64;
}

}  // namespace weft::bgp
