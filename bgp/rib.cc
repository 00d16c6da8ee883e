#include "bgp/rib.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <iterator>
#include <map>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "bgp/attributes.h"
#include "bgp/covering_prefixes.h"
#include "bgp/next_hops.h"
#include "bgp/resolution.h"
#include "bgp/route_table.h"

namespace weft::bgp {

namespace {

// Flags of a Path.
constexpr std::uint32_t filtered = 1;
constexpr std::uint32_t looped = 2;
constexpr std::uint32_t refused = filtered | looped;
/// Which of the peer's two generations the path is of. That of its peer: the peer said it in this
/// life of its table. The other: it is stale.
constexpr std::uint32_t generation = 4;
constexpr std::uint32_t fresh = 8;  // not seen by a decision yet
constexpr std::uint32_t best = 16;  // by the last decision
constexpr std::uint32_t multipath = 32;
constexpr std::uint32_t last_resort = 64;

/// Steps of resolutions in one decide(): some milliseconds.
constexpr std::size_t resolution_slice = 65536;
/// The path id, of this node, of what is offered beside the decision.
constexpr std::uint32_t offered_id = 1;

/// The mark of a prefix in its table: its next-hop set, or this when it is ours.
constexpr std::uint32_t local_mark = (1U << RouteTable<1>::mark_bits) - 1;
/// Or this when packets to it are dropped.
constexpr std::uint32_t blackhole_mark = local_mark - 1;
static_assert(Rib::max_next_hop_sets <= blackhole_mark);
static_assert(Rib::max_prefixes == RouteTable<1>::max_size);
static_assert(Rib::max_paths == RouteTable<1>::max_paths);
static_assert(Rib::max_prefetched == RouteTable<1>::max_prefetched);

RouteKind kind_of(std::uint32_t mark) {
  if (mark == 0) return RouteKind::none;
  if (mark == blackhole_mark) return RouteKind::blackhole;
  return mark == local_mark ? RouteKind::local : RouteKind::via;
}

NextHopSet set_of(std::uint32_t mark) {
  return {mark >= blackhole_mark ? 0 : mark};
}

void set(Path& path, std::uint32_t flags) {
  path.flags = (path.flags | flags) & 0xff;
}
void clear(Path& path, std::uint32_t flags) {
  path.flags = path.flags & ~flags & 0xff;
}
AttributeId attributes_of(const Path& path) {
  return AttributeId{path.attributes};
}
NextHopId next_hop_of(const Path& path) {
  return NextHopId{path.next_hop};
}

/// What the tables of both families share.
struct Shared {
  AttributeStore& store;
  MultipathLimits limits;
  NextHopTable next_hops;
  ResolutionIndex lookers = {};
  bool all_paths_watched = false;
  bool wait_for_install = false;
  RibWatcher* watcher = nullptr;
  RouteWatcher route_watcher = {};
};

template <std::size_t Words>
class FamilyRib {
 public:
  FamilyRib(Shared& shared, std::uint64_t seed) : shared_(shared), table_(seed) {}

  Announced announce(const Prefix& prefix, std::uint32_t path_id, Path path) {
    const PeerId peer = shared_.next_hops.peer(next_hop_of(path));
    const auto net = table_.find_or_add(prefix);
    if (!net) return Announced::no_room;
    if (loops(path)) set(path, looped);
    set(path, fresh | of_peer(peer).generation);
    const PathList list = table_.paths(*net);
    const std::size_t index = index_of(list, peer, path_id);
    if (index != list.size) {
      replace(*net, list.paths[index], path, peer, list.id(index));
    } else if (!add(*net, path, path_id, peer)) {
      return Announced::no_room;
    }
    return (path.flags & refused) == 0 ? Announced::accepted : Announced::refused;
  }

  bool withdraw(PeerId peer, const Prefix& prefix, std::uint32_t path_id) {
    const auto net = table_.find(prefix);
    if (!net) return false;
    const PathList list = table_.paths(*net);
    const std::size_t index = index_of(list, peer, path_id);
    if (index == list.size) return false;
    remove(*net, index);
    return true;
  }

  [[nodiscard]] bool holds(PeerId peer, const Prefix& prefix, std::uint32_t path_id) {
    const auto net = table_.find(prefix);
    if (!net) return false;
    const PathList list = table_.paths(*net);
    return index_of(list, peer, path_id) != list.size;
  }

  bool drop_some(PeerId peer, Rib::Which which, NetId& from, std::size_t limit) {
    const auto end = end_of_slice(from, limit);
    const auto any = [&] {  // asked anew each time: who watches may have made them move
      const PathCounts& left = counts(peer);
      return (which == Rib::Which::stale ? left.stale : left.received) != 0;
    };
    for (; from < end && any(); ++from) {
      if (!table_.alive(from)) continue;
      for (std::size_t i = table_.paths(from).size; i-- > 0;) {
        const Path& path = table_.paths(from).paths[i];
        if (peer_of(path) != peer) continue;
        if (which == Rib::Which::all || is_stale(path, peer)) remove(from, i);
      }
    }
    return from >= table_.places() || !any();
  }

  void mark_stale(PeerId peer) {
    OfPeer& of = of_peer(peer);
    if (of.counts.stale == 0) {  // all of them in one word
      of.generation ^= generation;
      of.counts.stale = of.counts.received;
      return;
    }
    for_each_path([&](NetId, Path& path) {
      if (peer_of(path) == peer) set_stale(path, peer, true);
    });
  }

  void import_again(NetId from, NetId count,
                    const std::function<std::optional<Rib::Imported>(const Rib::Received&)>& ask) {
    const NetId end = std::min<NetId>(table_.places(), from + count);
    for (NetId net = from; net < end; ++net) {
      if (!table_.alive(net)) continue;
      const Prefix prefix = table_.prefix(net);
      const PathList list = table_.paths(net);
      for (Path& path : list) {
        const PeerId peer = peer_of(path);
        if (peer == PeerId::local) continue;
        const Rib::Received received{peer, prefix, shared_.store.original(attributes_of(path)),
                                     shared_.next_hops.original(next_hop_of(path)),
                                     (path.flags & last_resort) != 0};
        const std::uint32_t path_id = list.id(static_cast<std::size_t>(&path - list.paths));
        if (const auto imported = ask(received)) import_one(net, path, peer, path_id, *imported);
      }
    }
  }

  bool age_some(PeerId peer, NetId& from, std::size_t limit,
                const std::function<std::optional<AttributeId>(AttributeId)>& aged) {
    const auto end = end_of_slice(from, limit);
    for (; from < end; ++from) {
      if (!table_.alive(from)) continue;
      for (std::size_t i = table_.paths(from).size; i-- > 0;) {
        Path& path = table_.paths(from).paths[i];
        if (peer_of(path) != peer) continue;
        const auto attributes = aged(attributes_of(path));
        if (!attributes) {
          remove(from, i);
          continue;
        }
        set_stale(path, peer, true);
        set(path, last_resort | fresh);
        shared_.store.hold(*attributes);
        shared_.store.release(attributes_of(path));
        path.attributes = static_cast<std::uint32_t>(*attributes);
        touch(from);
        tell(from, peer, table_.paths(from).id(i), before_of(path));
      }
    }
    return from >= table_.places();
  }

  void defer(bool yes) {
    deferring_ = yes;
    if (yes) return;
    touched_.insert(touched_.end(), deferred_.begin(), deferred_.end());
    deferred_.clear();
  }
  [[nodiscard]] bool deferring() const { return deferring_; }

  /// Decides again where some path passes `affected`.
  template <typename Affected>
  void touch_if(Affected affected) {
    for_each_path([&](NetId net, const Path& path) {
      if (affected(path)) touch(net);
    });
  }

  /// By number of next hop.
  void resolved_anew(const std::vector<bool>& changed) {
    for_each_path([&](NetId net, const Path& path) {
      if (!changed[path.next_hop]) return;
      note_behind(net, path);
      touch(net);
    });
  }

  /// Decides again what has a path by this next hop, and what had one until not long ago.
  void touch_behind(NextHopId id) {
    const auto found = behind_.find(id);
    if (found == behind_.end()) return;
    for (const NetId net : found->second) {
      if (table_.alive(net)) touch_alone(net);
    }
  }
  void forget_behind(NextHopId id) { behind_.erase(id); }

  /// Appends every path of the prefix.
  void paths_around(const Prefix& prefix, std::vector<Surroundings::Path>& found) {
    const auto net = table_.find(prefix);
    if (!net) return;
    const PathList list = table_.paths(*net);
    for (std::size_t i = 0; i < list.size; ++i) {
      const Path& path = list.paths[i];
      found.push_back({candidate(path, list.id(i)), next_hop_of(path),
                       shared_.store.facts(attributes_of(path)).bandwidth});
    }
  }

  [[nodiscard]] std::size_t pending() const { return touched_.size() - touched_done_; }

  std::size_t decide(std::size_t limit, std::vector<RouteChange>& changes) {
    retire_passed();
    const std::size_t count = std::min(limit, pending());
    for (std::size_t i = 0; i < count; ++i) {
      const NetId net = touched_[touched_done_++];
      // One that was deferred may stand here twice.
      if (!table_.alive(net) || !table_.touched(net)) continue;
      if (deferring_ && !is_ours(net)) {
        deferred_.push_back(net);
        continue;
      }
      table_.set_touched(net, false);
      decide_one(net, changes);
    }
    if (touched_done_ == touched_.size()) {
      touched_.clear();
      touched_done_ = 0;
    }
    return count;
  }

  [[nodiscard]] std::optional<BestPath> best_of(NetId net) {
    if (!table_.alive(net)) return {};
    const PathList list = table_.paths(net);
    if (list.size == 0 || (list.paths[0].flags & best) == 0) return {};
    const Path& path = list.paths[0];
    return BestPath{peer_of(path), attributes_of(path), next_hop_of(path), false};
  }

  [[nodiscard]] std::optional<BestPath> offered(NetId net) {
    if (!table_.alive(net)) return {};
    const PathList list = table_.paths(net);
    const std::size_t index = index_of(list, PeerId::local, offered_id);
    if (index == list.size) return {};
    return BestPath{PeerId::local, attributes_of(list.paths[index]), NextHopId::local, true};
  }
  [[nodiscard]] bool is_learned(const Prefix& prefix) {
    const auto net = table_.find(prefix);
    if (!net) return false;
    const RouteKind kind = kind_of(table_.mark(*net));
    return kind == RouteKind::via || kind == RouteKind::blackhole;
  }
  void look_again(const Prefix& prefix) {
    if (const auto net = table_.find(prefix)) journal_.touch(*net);
  }

  void usable_paths(NetId net, std::vector<UsablePath>& paths) {
    paths.clear();
    if (!best_of(net)) return;
    const PathList list = table_.paths(net);
    judge(list);
    indexes_.clear();
    for (const Candidate& each : candidates_) {
      if (each.rung == Rung::refused || each.rung == Rung::next_hop) continue;
      const Path& path = list.paths[each.index];
      const auto peer = static_cast<std::uint32_t>(peer_of(path));
      indexes_.push_back(each.index);
      paths.push_back({{peer_of(path), attributes_of(path), next_hop_of(path), false},
                       peer + 1,
                       each.multipath});
    }
    if (list.ids != nullptr) rank_paths(paths);
  }

  /// Paths of one peer are told apart by their rank among its path ids.
  void rank_paths(std::vector<UsablePath>& paths) {
    std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
      return std::tie(a.peer_number, a.path_id) < std::tie(b.peer_number, b.path_id);
    });
    ranks_.assign(candidates_.size(), 0);
    for (std::size_t i = 1; i < candidates_.size(); ++i) {
      const bool same = candidates_[i].peer_number == candidates_[i - 1].peer_number;
      ranks_[candidates_[i].index] = same ? ranks_[candidates_[i - 1].index] + 1 : 0;
    }
    for (std::size_t i = 0; i < paths.size(); ++i) paths[i].path_id += ranks_[indexes_[i]] << 16;
  }

  [[nodiscard]] HeldPath held(const Path& path, std::uint32_t path_id) const {
    return {peer_of(path),
            path_id,
            shared_.store.original(attributes_of(path)),
            shared_.next_hops.original(next_hop_of(path)),
            attributes_of(path),
            next_hop_of(path),
            (path.flags & refused) != 0};
  }
  void paths_at(NetId net, std::vector<HeldPath>& paths) {
    if (!table_.alive(net)) return;
    const PathList list = table_.paths(net);
    for (std::size_t i = 0; i < list.size; ++i) {
      if (peer_of(list.paths[i]) != PeerId::local) paths.push_back(held(list.paths[i], list.id(i)));
    }
  }
  [[nodiscard]] std::optional<HeldPath> path_at(NetId net, PeerId peer, std::uint32_t path_id) {
    if (!table_.alive(net)) return {};
    const PathList list = table_.paths(net);
    const std::size_t index = index_of(list, peer, path_id);
    if (index == list.size) return {};
    return held(list.paths[index], path_id);
  }

  [[nodiscard]] std::optional<RouteView> view(NetId net) {
    if (!table_.alive(net)) return {};
    const PathList list = table_.paths(net);
    if (list.size == 0) return {};
    const std::uint32_t mark = table_.mark(net);
    RouteView view{table_.prefix(net), kind_of(mark), set_of(mark), {}};
    judge(list);
    for (const Candidate& each : candidates_) {
      const Path& path = list.paths[each.index];
      view.paths.push_back({peer_of(path), each.path_id, attributes_of(path), next_hop_of(path),
                            (path.flags & filtered) != 0, (path.flags & looped) != 0,
                            is_stale(path, peer_of(path)), each.multipath, each.rung, each});
    }
    return view;
  }

  [[nodiscard]] PathCounts& counts(PeerId peer) { return of_peer(peer).counts; }

  void each_route(const std::function<void(const Prefix&, RouteKind, std::uint8_t)>& each) {
    for (NetId net = 0; net < table_.places(); ++net) {
      if (table_.alive(net) && table_.mark(net) != 0)
        each(table_.prefix(net), kind_of(table_.mark(net)), origin_of(table_.paths(net)));
    }
  }
  /// Readers look again at what lies inside of one of these.
  void look_again(const CoveringPrefixes& covering) {
    for (NetId net = 0; net < table_.places(); ++net) {
      if (table_.alive(net) && covering.cover(table_.prefix(net))) journal_.touch(net);
    }
  }

  [[nodiscard]] bool awaits_install(NetId net) const {
    return net < awaits_install_.size() && awaits_install_[net];
  }
  [[nodiscard]] bool awaits_install() const { return awaiting_ != 0; }
  void installed(const Prefix& prefix) {
    const auto net = table_.find(prefix);
    if (!net || !awaits_install(*net)) return;
    awaits_install_[*net] = false;
    --awaiting_;
    journal_.touch(*net);
  }
  void nothing_waits() {
    for (NetId net = 0; net < awaits_install_.size(); ++net) {
      if (awaits_install_[net]) journal_.touch(net);
    }
    awaits_install_.clear();
    awaiting_ = 0;
  }

  void hold_end_of_rib(bool yes) { end_of_rib_held_ = yes; }
  [[nodiscard]] bool holds_end_of_rib() const { return end_of_rib_held_ || deferring_; }

  /// Each prefix is with the FIB as it is here, and none has more than one path.
  [[nodiscard]] bool uncontested() const { return contested_ == 0 && pending() == 0; }

  RouteTable<Words>& table() { return table_; }
  Journal& journal() { return journal_; }
  [[nodiscard]] std::uint64_t routes() const { return routes_; }
  [[nodiscard]] std::uint64_t originated() const { return originated_; }
  [[nodiscard]] std::uint64_t paths() const { return paths_; }
  [[nodiscard]] std::size_t memory() const {
    return table_.memory() + journal_.memory() + touched_.capacity() * sizeof(NetId);
  }

 private:
  struct OfPeer {
    PathCounts counts;
    /// The flag of the paths that are not stale.
    std::uint32_t generation = 0;
  };
  [[nodiscard]] OfPeer& of_peer(PeerId peer) {
    const auto index = static_cast<std::size_t>(peer);
    if (index >= of_peers_.size()) of_peers_.resize(index + 1);
    return of_peers_[index];
  }
  [[nodiscard]] bool is_stale(const Path& path, PeerId peer) {
    return (path.flags & generation) != of_peer(peer).generation;
  }

  [[nodiscard]] NetId end_of_slice(NetId from, std::size_t limit) const {
    const std::size_t places = table_.places();
    return static_cast<NetId>(from + std::min(limit, places - std::min<std::size_t>(from, places)));
  }

  [[nodiscard]] PeerId peer_of(const Path& path) const {
    return shared_.next_hops.peer(next_hop_of(path));
  }

  [[nodiscard]] bool loops(const Path& path) const {
    const AttributeFacts& facts = shared_.store.facts(attributes_of(path));
    if (next_hop_of(path) == NextHopId::local) return false;
    // Mostly not, so that the peer is seldom asked.
    return facts.is_loop(0) && facts.is_loop(shared_.next_hops.facts(peer_of(path)).allow_own_as);
  }

  [[nodiscard]] std::size_t index_of(const PathList& list, PeerId peer, std::uint32_t id) const {
    std::size_t index = 0;
    while (index < list.size && (peer_of(list.paths[index]) != peer || list.id(index) != id)) {
      ++index;
    }
    return index;
  }

  template <typename Each>
  void for_each_path(Each each) {
    for (NetId net = 0; net < table_.places(); ++net) {
      if (!table_.alive(net)) continue;
      for (Path& path : table_.paths(net)) each(net, path);
    }
  }

  void touch(NetId net) {
    if (!shared_.lookers.empty()) {
      shared_.lookers.each_behind(table_.prefix(net),
                                  [&](NextHopId who) { shared_.next_hops.resolve_later(who); });
    }
    touch_alone(net);
  }

  /// Where the paths are the same as before, so nothing that is resolved by them changes.
  void touch_alone(NetId net) {
    // A deferred one counts as touched, but we may have begun to originate it.
    if (table_.touched(net) && !(deferring_ && is_ours(net))) return;
    table_.set_touched(net, true);
    touched_.push_back(net);
  }

  /// So that a change of where the next hop leads finds the prefix without a walk of the table.
  void note_behind(NetId net, const Path& path) {
    const NextHopId id = next_hop_of(path);
    if (!shared_.next_hops.is_behind(id)) return;
    std::vector<NetId>& nets = behind_[id];
    if (nets.size() > 64 + 2 * std::size_t{shared_.next_hops.uses(id)}) tidy(id, nets);
    nets.push_back(net);
  }

  void tidy(NextHopId id, std::vector<NetId>& nets) {
    std::sort(nets.begin(), nets.end());
    nets.erase(std::unique(nets.begin(), nets.end()), nets.end());
    std::erase_if(nets, [&](NetId net) {
      if (!table_.alive(net)) return true;
      const PathList list = table_.paths(net);
      return std::none_of(list.begin(), list.end(),
                          [&](const Path& path) { return next_hop_of(path) == id; });
    });
  }

  void count(const Path& path, PeerId peer, std::uint64_t by) {
    if (peer == PeerId::local && (path.flags & refused) != 0) return;  // offered
    OfPeer& of = of_peer(peer);
    PathCounts& counts = of.counts;
    counts.received += by;
    paths_ += by;
    if ((path.flags & filtered) != 0) {
      counts.filtered += by;
    } else if ((path.flags & looped) != 0) {
      counts.looped += by;
    }
    if ((path.flags & generation) != of.generation) counts.stale += by;
    if ((path.flags & multipath) != 0) counts.selected += by;
  }

  void replace(NetId net, Path& old, const Path& path, PeerId peer, std::uint32_t path_id) {
    if (old.attributes == path.attributes && old.next_hop == path.next_hop &&
        (old.flags & refused) == (path.flags & refused)) {
      set_stale(old, peer, false);
      if ((old.flags & last_resort) != 0) {
        clear(old, last_resort);
        touch(net);
      }
      return;
    }
    shared_.store.hold(attributes_of(path));
    shared_.next_hops.hold(next_hop_of(path));
    const Before before = before_of(old);
    let_go(old, peer);
    old = path;
    note_behind(net, old);
    count(old, peer, 1);
    touch(net);
    tell(net, peer, path_id, before);
  }

  void import_one(NetId net, Path& old, PeerId peer, std::uint32_t path_id,
                  const Rib::Imported& imported) {
    Path path;
    path.attributes = static_cast<std::uint32_t>(imported.attributes);
    path.next_hop = static_cast<std::uint32_t>(imported.next_hop) & 0xffffff;
    path.flags = imported.filtered ? filtered : 0;
    if (loops(path)) set(path, looped);
    if (old.attributes == path.attributes && old.next_hop == path.next_hop &&
        (old.flags & refused) == (path.flags & refused)) {
      return;
    }
    set(path, fresh | (old.flags & (generation | last_resort)));
    shared_.store.hold(attributes_of(path));
    shared_.next_hops.hold(next_hop_of(path));
    const Before before = before_of(old);
    let_go(old, peer);
    old = path;
    note_behind(net, old);
    count(old, peer, 1);
    touch(net);
    tell(net, peer, path_id, before);
  }

  void set_stale(Path& path, PeerId peer, bool yes) {
    if (is_stale(path, peer) == yes) return;
    counts(peer).stale += yes ? 1 : std::uint64_t{0} - 1;
    path.flags = (path.flags ^ generation) & 0xff;
  }

  /// We originate it, or did when it was last decided.
  [[nodiscard]] bool is_ours(NetId net) {
    const PathList list = table_.paths(net);
    return table_.mark(net) == local_mark ||
           std::any_of(list.begin(), list.end(), [](const Path& path) {
             return next_hop_of(path) == NextHopId::local && (path.flags & refused) == 0;
           });
  }

  [[nodiscard]] bool add(NetId net, const Path& path, std::uint32_t path_id, PeerId peer) {
    const std::size_t now = table_.add(net, path, path_id);
    if (now == 0) return false;
    if (now == 2) ++contested_;
    shared_.store.hold(attributes_of(path));
    shared_.next_hops.hold(next_hop_of(path));
    note_behind(net, path);
    count(path, peer, 1);
    touch(net);
    tell(net, peer, path_id, Before::nothing);
    return true;
  }

  void remove(NetId net, std::size_t index) {
    const PathList list = table_.paths(net);
    const Path old = list.paths[index];
    const std::uint32_t path_id = list.id(index);
    const PeerId peer = peer_of(old);
    if (list.size == 2) --contested_;
    table_.remove(net, index);
    let_go(old, peer);
    touch(net);
    tell(net, peer, path_id, before_of(old), true);
  }

  using Before = RibWatcher::PathChange::Before;
  static Before before_of(const Path& path) {
    return (path.flags & refused) != 0 ? Before::refused : Before::accepted;
  }
  void tell_best(NetId net, bool had, bool has) {
    if (shared_.watcher == nullptr || (has ? !best_changed_ : !had)) return;
    shared_.watcher->best_changed(table_.family, net, had, has);
  }
  void tell(NetId net, PeerId peer, std::uint32_t path_id, Before before, bool gone = false) {
    if (shared_.watcher == nullptr || peer == PeerId::local) return;
    shared_.watcher->path_changed({table_.family, net, peer, path_id, before, gone});
  }

  void let_go(const Path& path, PeerId peer) {
    count(path, peer, std::uint64_t{0} - 1);
    shared_.store.release(attributes_of(path));
    shared_.next_hops.release(next_hop_of(path));
  }

  void select(Path& path, std::uint32_t flags) {
    if (((path.flags ^ flags) & multipath) != 0) {
      counts(peer_of(path)).selected += (flags & multipath) != 0 ? 1 : std::uint64_t{0} - 1;
    }
    clear(path, fresh | best | multipath);
    set(path, flags);
  }

  void decide_one(NetId net, std::vector<RouteChange>& changes) {
    const PathList list = table_.paths(net);
    const std::uint32_t old = table_.mark(net);
    const std::size_t sharing = list.size == 1 ? decide_single(list.paths[0]) : decide_many(list);
    const std::uint32_t wanted = mark_for(list, sharing);
    if (wanted == 0 && sharing != 0) {  // max_next_hop_sets is reached
      for (Path& path : list) select(path, 0);
    }
    if (shared_.all_paths_watched || (wanted == 0 ? old != 0 : best_changed_)) journal_.touch(net);
    // Of one to be dropped the mark does not tell whose it is, and so not in which table.
    if (wanted != old || wanted == blackhole_mark) move_mark(net, old, wanted, changes);
    if (shared_.route_watcher && (wanted != old || (wanted != 0 && best_changed_)))
      shared_.route_watcher(table_.prefix(net), kind_of(old), kind_of(wanted), origin_of(list));
    tell_best(net, old != 0, wanted != 0);
    if (list.size == 0 && !journal_.awaited(net)) table_.erase(net);
  }

  /// Of the best, which is the first once it is decided.
  [[nodiscard]] std::uint8_t origin_of(const PathList& list) const {
    return list.size == 0 ? 0 : shared_.store.facts(attributes_of(list.paths[0])).origin;
  }

  /// Most prefixes have one path: no ladder is needed to choose among one.
  std::size_t decide_single(Path& path) {
    const bool eligible =
        (path.flags & refused) == 0 && shared_.next_hops.usable(next_hop_of(path));
    best_changed_ = eligible && (path.flags & (best | fresh)) != best;
    select(path, eligible ? best | multipath : 0);
    return eligible ? 1 : 0;
  }

  /// The best goes to the front, where best_of() looks for it.
  std::size_t decide_many(const PathList& list) {
    const std::size_t sharing = judge(list);
    best_changed_ = false;
    if (sharing != 0) {
      const Path& winner = list.paths[candidates_.front().index];
      best_changed_ = (winner.flags & (best | fresh)) != best;
    }
    for (const Candidate& each : candidates_) {
      select(list.paths[each.index],
             (each.rung == Rung::best ? best : 0) | (each.multipath ? multipath : 0));
    }
    if (sharing != 0) list.swap(0, candidates_.front().index);
    return sharing;
  }

  std::size_t judge(const PathList& list) {
    candidates_.clear();
    for (std::size_t i = 0; i < list.size; ++i) {
      candidates_.push_back(candidate(list.paths[i], list.id(i)));
      candidates_.back().index = static_cast<std::uint32_t>(i);
    }
    return bgp::decide(candidates_, shared_.limits);
  }

  [[nodiscard]] Candidate candidate(const Path& path, std::uint32_t path_id) const {
    const AttributeFacts& facts = shared_.store.facts(attributes_of(path));
    const PeerId id = peer_of(path);
    const RibPeer& peer = shared_.next_hops.facts(id);
    Candidate made;
    made.refused = (path.flags & refused) != 0;
    made.resolved = shared_.next_hops.usable(next_hop_of(path));
    made.local = id == PeerId::local;
    made.last_resort = (path.flags & last_resort) != 0 || facts.llgr_stale;
    made.external = peer.external;
    made.origin = facts.origin;
    made.cluster_list_length = facts.cluster_list_length;
    made.path_length = facts.path_length;
    made.local_pref = facts.local_pref;
    made.med = facts.med;
    made.neighbour_as = facts.neighbour_as;
    made.igp_metric = shared_.next_hops.metric(next_hop_of(path));
    made.router_id = facts.originator != 0 ? facts.originator : peer.router_id.value;
    made.path_id = path_id;
    made.peer = peer.address;
    made.placement = peer.placement;
    made.peer_number = static_cast<std::uint32_t>(id);
    if (!shared_.limits.relax) {
      constexpr auto type = static_cast<std::uint8_t>(AttributeType::as_path);
      const Bytes as_path = shared_.store.value(attributes_of(path), type);
      made.as_path = std::hash<std::string_view>()(as_text(as_path));
    }
    return made;
  }

  [[nodiscard]] std::uint32_t mark_for(const PathList& list, std::size_t sharing) {
    if (sharing == 0) return 0;
    if (next_hop_of(list.paths[0]) == NextHopId::local) return local_mark;
    if (shared_.next_hops.discards(next_hop_of(list.paths[0]))) return blackhole_mark;
    if (sharing == 1) return shared_.next_hops.set_of_one(next_hop_of(list.paths[0])).value;
    sharers_.clear();
    for (const Path& path : list) {
      if ((path.flags & multipath) == 0) continue;
      sharers_.push_back({next_hop_of(path), shared_.store.facts(attributes_of(path)).bandwidth});
    }
    return shared_.next_hops.set_of(sharers_).value;
  }

  void move_mark(NetId net, std::uint32_t old, std::uint32_t wanted,
                 std::vector<RouteChange>& changes) {
    routes_ += (wanted != 0 ? 1U : 0U);
    routes_ -= (old != 0 ? 1U : 0U);
    originated_ += (wanted == local_mark ? 1U : 0U);
    originated_ -= (old == local_mark ? 1U : 0U);
    shared_.next_hops.count(set_of(wanted), set_of(old));
    table_.set_mark(net, wanted);
    if (shared_.wait_for_install || !awaits_install_.empty()) {
      if (net >= awaits_install_.size()) awaits_install_.resize(table_.places());
      const bool waits = shared_.wait_for_install && kind_of(wanted) == RouteKind::via;
      awaiting_ += (waits ? 1U : 0U);
      awaiting_ -= (awaits_install_[net] ? 1U : 0U);
      awaits_install_[net] = waits;
    }
    changes.push_back({table_.prefix(net), kind_of(wanted), set_of(wanted)});
  }

  /// Prefixes without paths stay until everybody has been told that they went.
  void retire_passed() {
    passed_.clear();
    journal_.trim(passed_);
    for (const NetId net : passed_) {
      if (!table_.alive(net) || table_.touched(net)) continue;
      if (table_.paths(net).size == 0) table_.erase(net);
    }
  }

  Shared& shared_;
  RouteTable<Words> table_;
  /// By NetId: the FIB was told and has not answered.
  std::vector<bool> awaits_install_;
  std::size_t awaiting_ = 0;
  bool end_of_rib_held_ = false;
  Journal journal_;
  std::vector<NetId> touched_;
  std::size_t touched_done_ = 0;
  bool deferring_ = false;
  std::vector<NetId> deferred_;
  std::vector<OfPeer> of_peers_;
  std::uint64_t routes_ = 0;
  std::uint64_t originated_ = 0;
  std::uint64_t paths_ = 0;
  /// Prefixes that had a path by a next hop which is behind routes, since tidy().
  std::unordered_map<NextHopId, std::vector<NetId>> behind_;
  /// Prefixes with more than one path.
  std::uint64_t contested_ = 0;
  bool best_changed_ = false;  // by the last decide_single() or decide_many()
  // Scratch, kept for its memory.
  std::vector<Candidate> candidates_;
  std::vector<std::uint32_t> indexes_;
  std::vector<std::uint32_t> ranks_;
  std::vector<Sharer> sharers_;
  std::vector<NetId> passed_;
};

}  // namespace

struct Rib::Tables final : Surroundings {
  Tables(AttributeStore& store, const MultipathLimits& limits, std::uint64_t seed)
      : shared{store, limits, NextHopTable()}, v4(shared, seed), v6(shared, seed) {
    shared.next_hops.set_most_members(limits.paths);
  }

  template <typename Do>
  decltype(auto) of(Family family, Do what) {
    return family == Family::ipv4 ? what(v4) : what(v6);
  }
  /// Decides again wherever one of these next hops is in a path.
  void resolved_anew(const std::vector<bool>& changed) {
    if (std::find(changed.begin(), changed.end(), true) != changed.end()) {
      v4.resolved_anew(changed);
      v6.resolved_anew(changed);
    }
  }

  /// Next hops behind routes, where a route on the way changed; a slice of them, for a table may be
  /// made so that each takes long. One pass is enough: what it comes to depends on paths, not on
  /// what next hops came to.
  void resolve() {
    for (const NextHopId id : shared.next_hops.take_no_longer_behind()) {
      if (shared.next_hops.is_behind(id)) continue;
      shared.lookers.forget(id);
      v4.forget_behind(id);
      v6.forget_behind(id);
    }
    std::size_t steps = 0;
    while (steps < resolution_slice && shared.next_hops.to_resolve() != 0) {
      const NextHopId id = *shared.next_hops.take_to_resolve();
      Resolution found = bgp::resolve(shared.next_hops.view(id).address, *this, shared.limits,
                                      shared.next_hops.recursion().default_route);
      steps += found.steps;
      shared.lookers.set(id, std::move(found.looked));
      if (!shared.next_hops.resolved(id, std::move(found.gateways), found.metric)) continue;
      v4.touch_behind(id);
      v6.touch_behind(id);
    }
  }
  void paths(const Prefix& prefix, std::vector<Surroundings::Path>& found) override {
    of(prefix.family(), [&](auto& rib) { rib.paths_around(prefix, found); });
  }
  [[nodiscard]] Surroundings::Link link(NextHopId id) const override {
    return shared.next_hops.link(id);
  }

  std::vector<Prefix> suppressing;
  CoveringPrefixes suppressed;
  Shared shared;
  FamilyRib<1> v4;
  FamilyRib<4> v6;
};

Rib::Rib(AttributeStore& store, const MultipathLimits& limits, std::uint64_t seed)
    : store_(store), tables_(std::make_unique<Tables>(store, limits, seed)) {}
Rib::~Rib() = default;

void Rib::attach(PeerId peer, const RibPeer& facts) {
  assert(peer != PeerId::local);
  ++attached_;
  tables_->resolved_anew(tables_->shared.next_hops.attach(peer, facts));
}

std::optional<NextHopId> Rib::next_hop(PeerId peer, const Address& address,
                                       const std::optional<Address>& link_local,
                                       NextHopId original) {
  return tables_->shared.next_hops.intern(peer, address, link_local, original);
}

std::optional<NextHopId> Rib::discard(PeerId peer, NextHopId original) {
  return tables_->shared.next_hops.discard(peer, original);
}

void Rib::import_again(Family family, NetId from, NetId count,
                       const std::function<std::optional<Imported>(const Received&)>& import) {
  tables_->of(family, [&](auto& rib) { rib.import_again(from, count, import); });
}

void Rib::prefetch(std::span<const Nlri> nlri) const {
  if (nlri.empty()) return;
  tables_->of(nlri.front().prefix.family(), [&](auto& rib) { rib.table().prefetch(nlri); });
}

Announced Rib::announce(const Prefix& prefix, std::uint32_t path_id, AttributeId attributes,
                        NextHopId next_hop, bool is_filtered) {
  assert(attributes != AttributeId::none);
  Path path;
  path.attributes = static_cast<std::uint32_t>(attributes);
  path.next_hop = static_cast<std::uint32_t>(next_hop) & 0xffffff;
  path.flags = is_filtered ? filtered : 0;
  return tables_->of(prefix.family(),
                     [&](auto& rib) { return rib.announce(prefix, path_id, path); });
}

bool Rib::holds(PeerId peer, const Prefix& prefix, std::uint32_t path_id) const {
  return tables_->of(prefix.family(), [&](auto& rib) { return rib.holds(peer, prefix, path_id); });
}

bool Rib::withdraw(PeerId peer, const Prefix& prefix, std::uint32_t path_id) {
  return tables_->of(prefix.family(),
                     [&](auto& rib) { return rib.withdraw(peer, prefix, path_id); });
}

void Rib::drop(PeerId peer, Family family, Which which) {
  NetId from = 0;
  drop_some(peer, family, which, from, places(family));
}

bool Rib::drop_some(PeerId peer, Family family, Which which, NetId& from, std::size_t limit) {
  return tables_->of(family, [&](auto& rib) { return rib.drop_some(peer, which, from, limit); });
}

void Rib::mark_stale(PeerId peer, Family family) {
  tables_->of(family, [&](auto& rib) { rib.mark_stale(peer); });
}

bool Rib::age_some(PeerId peer, Family family, NetId& from, std::size_t limit,
                   const std::function<std::optional<AttributeId>(AttributeId)>& aged) {
  return tables_->of(family, [&](auto& rib) { return rib.age_some(peer, from, limit, aged); });
}

Announced Rib::originate(const Prefix& prefix, AttributeId attributes) {
  return announce(prefix, 0, attributes, NextHopId::local);
}

void Rib::offer(const Prefix& prefix, AttributeId attributes) {
  announce(prefix, offered_id, attributes, NextHopId::local, true);
  look_again(prefix);
}

void Rib::withdraw_offer(const Prefix& prefix) {
  if (withdraw(PeerId::local, prefix, offered_id)) look_again(prefix);
}

void Rib::connected(std::vector<ConnectedSubnet> subnets) {
  tables_->resolved_anew(tables_->shared.next_hops.connected(std::move(subnets)));
}

void Rib::set_limits(const MultipathLimits& limits) {
  tables_->shared.limits = limits;
  tables_->shared.next_hops.set_most_members(limits.paths);
  const auto always = [](const Path&) { return true; };
  tables_->v4.touch_if(always);
  tables_->v6.touch_if(always);
}

void Rib::set_recursion(const Recursion& recursion) {
  if (tables_->shared.next_hops.recursion() == recursion) return;
  tables_->resolved_anew(tables_->shared.next_hops.set_recursion(recursion));
}

void Rib::defer(Family family, bool yes) {
  tables_->of(family, [&](auto& rib) { rib.defer(yes); });
}
bool Rib::deferring(Family family) const {
  return tables_->of(family, [](auto& rib) { return rib.deferring(); });
}

std::size_t Rib::pending() const {
  return tables_->shared.next_hops.to_resolve() + tables_->v4.pending() + tables_->v6.pending();
}

void Rib::decide(std::size_t limit, std::vector<RouteChange>& changes) {
  tables_->shared.next_hops.recycle();
  tables_->resolve();
  limit -= tables_->v4.decide(limit, changes);
  tables_->v6.decide(limit, changes);
}

const NextHops& Rib::next_hops(NextHopSet set) const {
  return tables_->shared.next_hops.members(set);
}

Placement Rib::placement(NextHopSet set) const {
  return tables_->shared.next_hops.placement(set);
}
Placement Rib::placement(const Prefix& prefix) const {
  const auto found = route(prefix);
  return found ? peer(found->paths.front().peer).placement : Placement{};
}

PathCounts Rib::counts(PeerId peer, Family family) const {
  return tables_->of(family, [&](auto& rib) { return rib.counts(peer); });
}
std::uint64_t Rib::routes(Family family) const {
  return tables_->of(family, [](auto& rib) { return rib.routes(); });
}
std::uint64_t Rib::originated(Family family) const {
  return tables_->of(family, [](auto& rib) { return rib.originated(); });
}
std::uint64_t Rib::paths(Family family) const {
  return tables_->of(family, [](auto& rib) { return rib.paths(); });
}

const PeerNextHop& Rib::next_hop(NextHopId id) const {
  return tables_->shared.next_hops.view(id);
}
std::optional<RouteBehind> Rib::route_behind(NextHopId id) const {
  const NextHopTable& next_hops = tables_->shared.next_hops;
  if (!next_hops.is_behind(id) || !next_hops.usable(id)) return {};
  const Address& to = next_hops.view(id).address;
  const auto length = tables_->shared.lookers.least(id, to);
  if (!length) return {};
  return RouteBehind{{to, *length}, next_hops.metric(id)};
}
const PeerNextHop& Rib::received_next_hop(NextHopId id) const {
  return next_hop(tables_->shared.next_hops.original(id));
}
void Rib::wait_for_install(bool yes) {
  if (tables_->shared.wait_for_install == yes) return;
  tables_->shared.wait_for_install = yes;
  if (yes) return;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    tables_->of(family, [](auto& rib) { rib.nothing_waits(); });
  }
}
void Rib::installed(const Prefix& prefix) {
  tables_->of(prefix.family(), [&](auto& rib) { rib.installed(prefix); });
}
void Rib::watch_routes(RouteWatcher watcher) {
  tables_->shared.route_watcher = std::move(watcher);
}
void Rib::each_route(
    const std::function<void(const Prefix&, RouteKind, std::uint8_t origin)>& each) const {
  tables_->v4.each_route(each);
  tables_->v6.each_route(each);
}
void Rib::suppress(std::vector<Prefix> covering) {
  assert(std::is_sorted(covering.begin(), covering.end()));
  std::vector<Prefix> changed;
  std::set_symmetric_difference(tables_->suppressing.begin(), tables_->suppressing.end(),
                                covering.begin(), covering.end(), std::back_inserter(changed));
  if (changed.empty()) return;
  tables_->suppressing = std::move(covering);
  tables_->suppressed.assign(tables_->suppressing);
  CoveringPrefixes different;
  different.assign(changed);
  tables_->v4.look_again(different);
  tables_->v6.look_again(different);
}
bool Rib::is_suppressed(const Prefix& prefix) const {
  return !tables_->suppressed.empty() && tables_->suppressed.cover(prefix);
}
bool Rib::awaits_install(Family family, NetId net) const {
  return tables_->of(family, [&](auto& rib) { return rib.awaits_install(net); });
}
bool Rib::awaits_install(Family family) const {
  return tables_->of(family, [](auto& rib) { return rib.awaits_install(); });
}
void Rib::hold_end_of_rib(Family family, bool yes) {
  tables_->of(family, [&](auto& rib) { rib.hold_end_of_rib(yes); });
}
bool Rib::holds_end_of_rib(Family family) const {
  return tables_->of(family, [](auto& rib) { return rib.holds_end_of_rib(); });
}
NextHops Rib::gateways(PeerId peer) const {
  return tables_->shared.next_hops.gateways(peer);
}
bool Rib::leads_elsewhere(PeerId peer, const NextHop& gateway) const {
  return !tables_->v4.uncontested() || !tables_->v6.uncontested() ||
         tables_->shared.next_hops.others_use(peer, gateway);
}
const RibPeer& Rib::peer(PeerId peer) const {
  return tables_->shared.next_hops.facts(peer);
}

std::optional<RouteView> Rib::route(const Prefix& prefix) const {
  const auto net = find(prefix);
  if (!net) return {};
  return route_at(prefix.family(), *net);
}
NetId Rib::places(Family family) const {
  return tables_->of(family, [](auto& rib) { return rib.table().places(); });
}
std::optional<RouteView> Rib::route_at(Family family, NetId net) const {
  return tables_->of(family, [&](auto& rib) { return rib.view(net); });
}
std::size_t Rib::memory() const {
  return tables_->v4.memory() + tables_->v6.memory() + tables_->shared.next_hops.memory();
}

void Rib::hold(NextHopId id) {
  tables_->shared.next_hops.hold(id);
}
void Rib::release(NextHopId id) {
  tables_->shared.next_hops.release(id);
}
std::optional<BestPath> Rib::best(Family family, NetId net) const {
  return tables_->of(family, [&](auto& rib) { return rib.best_of(net); });
}
std::optional<BestPath> Rib::offered(Family family, NetId net) const {
  return tables_->of(family, [&](auto& rib) { return rib.offered(net); });
}
bool Rib::is_learned(const Prefix& prefix) const {
  return tables_->of(prefix.family(), [&](auto& rib) { return rib.is_learned(prefix); });
}
PeerId Rib::best_peer(const Prefix& prefix) const {
  const auto net = find(prefix);
  const auto found = net ? best(prefix.family(), *net) : std::nullopt;
  return found ? found->peer : PeerId::local;
}
void Rib::look_again(const Prefix& prefix) {
  tables_->of(prefix.family(), [&](auto& rib) { rib.look_again(prefix); });
}
void Rib::usable_paths(Family family, NetId net, std::vector<UsablePath>& paths) const {
  tables_->of(family, [&](auto& rib) { rib.usable_paths(net, paths); });
}
void Rib::watch_all_paths() {
  tables_->shared.all_paths_watched = true;
}
bool Rib::alive(Family family, NetId net) const {
  return tables_->of(family, [&](auto& rib) { return rib.table().alive(net); });
}
Prefix Rib::prefix(Family family, NetId net) const {
  return tables_->of(family, [&](auto& rib) { return rib.table().prefix(net); });
}
std::optional<NetId> Rib::find(const Prefix& prefix) const {
  return tables_->of(prefix.family(), [&](auto& rib) { return rib.table().find(prefix); });
}
Journal& Rib::journal(Family family) {
  return *tables_->of(family, [](auto& rib) { return &rib.journal(); });
}

void Rib::watch(RibWatcher* watcher) {
  tables_->shared.watcher = watcher;
}
void Rib::paths_at(Family family, NetId net, std::vector<HeldPath>& paths) const {
  tables_->of(family, [&](auto& rib) { rib.paths_at(net, paths); });
}
std::optional<HeldPath> Rib::path_at(Family family, NetId net, PeerId peer,
                                     std::uint32_t path_id) const {
  return tables_->of(family, [&](auto& rib) { return rib.path_at(net, peer, path_id); });
}

}  // namespace weft::bgp
