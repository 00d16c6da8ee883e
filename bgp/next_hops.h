// NextHopTable: the next hops that peers named, whether and where they resolve, and the sets of
// them that prefixes use. One on a connected subnet is reached there; others of peers whose next
// hops are recursive lie behind routes, and whoever has the routes says where (resolution.h).
// Link-local next hops lie behind the interface of the session that named them. Not here: which
// path wins. RFC 4271 5.1.3, 6.3, 9.1.2.1; 2545 3; 8950.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bgp/link_bandwidth.h"
#include "bgp/resolution.h"
#include "bgp/rib.h"

namespace weft::bgp {

/// One of the paths that share a prefix's load.
struct Sharer {
  NextHopId next_hop = NextHopId::local;
  BandwidthClass bandwidth = 0;
  auto operator<=>(const Sharer&) const = default;
};

class NextHopTable {
 public:
  NextHopTable();

  /// By number: what now resolves differently, or whose peer is another.
  using Changed = std::vector<bool>;
  [[nodiscard]] Changed attach(PeerId peer, const RibPeer& facts);
  [[nodiscard]] Changed connected(std::vector<ConnectedSubnet> subnets);
  [[nodiscard]] Changed set_recursion(const Recursion& recursion);

  // Next hops behind routes

  [[nodiscard]] const Recursion& recursion() const { return recursion_; }
  [[nodiscard]] bool is_behind(NextHopId id) const { return state(id).behind; }
  [[nodiscard]] Surroundings::Link link(NextHopId id) const;
  /// A route on the way to it changed.
  void resolve_later(NextHopId id) {
    if (state(id).behind) to_resolve_.insert(id);
  }
  /// How many outcomes are asked for by resolved(), and the next of them, all in turn.
  [[nodiscard]] std::size_t to_resolve() const { return to_resolve_.size(); }
  [[nodiscard]] std::optional<NextHopId> take_to_resolve();
  /// Those that need none any more, since the last call.
  [[nodiscard]] std::vector<NextHopId> take_no_longer_behind() {
    return std::exchange(no_longer_behind_, {});
  }
  /// True when it came out differently.
  [[nodiscard]] bool resolved(NextHopId id, NextHops gateways, std::uint32_t metric);
  /// To the next hop, for the decision; 0 on a connected subnet.
  [[nodiscard]] std::uint32_t metric(NextHopId id) const { return state(id).metric; }
  [[nodiscard]] std::uint32_t uses(NextHopId id) const { return state(id).uses; }
  /// Of one set, 1..64.
  void set_most_members(std::size_t most);

  /// None: the peer has max_next_hops in use. The number lasts until recycle() unless it is held.
  /// `original`: the one as it was received, where policy gave this in its place.
  [[nodiscard]] std::optional<NextHopId> intern(PeerId peer, const Address& address,
                                                const std::optional<Address>& link_local,
                                                NextHopId original = NextHopId::local);
  /// As received: the next hop itself, or what policy replaced.
  [[nodiscard]] NextHopId original(NextHopId id) const {
    const NextHopId of = entry(id).original;
    return of == NextHopId::local ? id : of;
  }
  /// Where packets are dropped; `original`: what it takes the place of.
  [[nodiscard]] std::optional<NextHopId> discard(PeerId peer, NextHopId original) {
    return intern(peer, Address(), {}, original);
  }
  void hold(NextHopId id) { ++state(id).uses; }
  void release(NextHopId id) {
    if (--state(id).uses == 0 && id != NextHopId::local) idle_.push_back(id);
  }
  /// Forgets what nobody holds: next hops, and sets when there are many.
  void recycle();

  /// Those the peer named that are its own address and resolve, or are all its own on its link
  /// where the address is of the other family.
  [[nodiscard]] NextHops gateways(PeerId peer) const;
  /// Another peer has named it, too.
  [[nodiscard]] bool others_use(PeerId peer, const NextHop& gateway) const;
  [[nodiscard]] PeerId peer(NextHopId id) const { return state(id).peer; }
  [[nodiscard]] bool usable(NextHopId id) const { return state(id).usable; }
  [[nodiscard]] bool discards(NextHopId id) const { return state(id).discard; }
  [[nodiscard]] const PeerNextHop& view(NextHopId id) const { return entry(id).view; }
  [[nodiscard]] const RibPeer& facts(PeerId peer) const {
    const auto index = static_cast<std::size_t>(peer);
    assert(index < peers_.size());
    return peers_[index];
  }

  /// The set with this one member, which is usable; 0 when there are max_next_hop_sets.
  [[nodiscard]] NextHopSet set_of_one(NextHopId id);
  /// Of several of peers of one placement, in any order; by bandwidth if all of them say one.
  [[nodiscard]] NextHopSet set_of(std::vector<Sharer>& sharers);
  /// A prefix now uses one set and no longer the other.
  void count(NextHopSet used, NextHopSet no_longer) {
    ++set_uses_[used.value];
    --set_uses_[no_longer.value];
  }
  [[nodiscard]] const NextHops& members(NextHopSet set) const { return sets_[set.value].members; }
  [[nodiscard]] Placement placement(NextHopSet set) const { return sets_[set.value].placement; }
  [[nodiscard]] std::size_t memory() const;

 private:
  struct Entry {
    PeerNextHop view;
    bool free = false;
    std::optional<NextHop> on_link;
    NextHopId original = NextHopId::local;  // none
  };
  /// What is asked several times for each route, apart from the rest and small.
  struct State {
    std::uint32_t uses = 0;
    std::uint32_t metric = 0;
    NextHopSet single;
    PeerId peer = PeerId::local;
    bool usable = false;
    /// Routes lead there, if anything does.
    bool behind = false;
    bool discard = false;
  };
  struct Set {
    NextHops members;
    Placement placement;
    bool free = false;
  };
  struct Name {
    PeerId peer;
    Address address;
    std::optional<Address> link_local;
    NextHopId original = NextHopId::local;
    bool operator==(const Name&) const = default;
  };
  struct HashOfName {
    std::size_t operator()(const Name& name) const;
  };
  struct HashOfSharers {
    std::size_t operator()(const std::vector<Sharer>& sharers) const;
  };

  [[nodiscard]] Entry& entry(NextHopId id) { return entries_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const Entry& entry(NextHopId id) const {
    return entries_[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] State& state(NextHopId id) {
    assert(static_cast<std::size_t>(id) < states_.size());
    return states_.data()[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] const State& state(NextHopId id) const {
    assert(static_cast<std::size_t>(id) < states_.size());
    return states_.data()[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] bool is_special(const Address& address, std::uint32_t ifindex) const;
  [[nodiscard]] std::optional<NextHop> on_link(const PeerNextHop& named) const;
  /// True when it came out differently, or is behind routes by now or no longer.
  [[nodiscard]] bool resolve_again(NextHopId id);
  [[nodiscard]] Changed resolve_all_again();
  void settle(NextHopId id, NextHops gateways, std::uint32_t metric);
  [[nodiscard]] NextHops weighed(const std::vector<Sharer>& sharers) const;
  [[nodiscard]] NextHopSet intern_set(NextHops members, const Placement& placement);
  void recycle_sets();

  std::vector<RibPeer> peers_;
  std::vector<std::uint32_t> in_use_;       // next hops by peer
  std::vector<ConnectedSubnet> connected_;  // longest prefix first
  std::deque<Entry> entries_;               // by NextHopId; 0 is this node
  std::vector<State> states_;               // the same
  std::unordered_map<Name, NextHopId, HashOfName> by_name_;
  std::vector<NextHopId> idle_;
  std::vector<NextHopId> free_;
  Recursion recursion_;
  std::set<NextHopId> to_resolve_;
  NextHopId resolved_last_ = NextHopId::local;
  std::size_t most_members_ = 1;
  std::vector<NextHopId> no_longer_behind_;

  std::deque<Set> sets_;  // by NextHopSet; 0 is empty
  std::vector<std::uint64_t> set_uses_;
  std::map<std::pair<NextHops, Placement>, NextHopSet> by_members_;
  std::vector<NextHopSet> free_sets_;
  std::size_t recycle_sets_at_;
  // What a combination of next hops came to, and the last one asked for: sets repeat from prefix to
  // prefix.
  std::unordered_map<std::vector<Sharer>, NextHopSet, HashOfSharers> combinations_;
  std::vector<Sharer> last_sharers_;
  NextHopSet last_set_;
};

}  // namespace weft::bgp
