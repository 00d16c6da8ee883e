// Network: speakers joined by links, in virtual time, from one seed. It drives each Speaker as the
// transport would, but delays, splits, cuts and breaks what goes between them. The same seed gives
// the same history; WEFT_SIM_LOG=1 prints what its speakers say. Not a model of TCP: what arrives
// arrives in order and once, or the connection is dead.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bgp/speaker.h"

namespace weft::sim {

using namespace std::chrono_literals;
using bgp::ConnectionId;
using bgp::Speaker;

class Network {
 public:
  using NodeId = std::size_t;
  using LinkId = std::size_t;

  explicit Network(std::uint32_t seed) : random_(seed), seed_(seed) {}

  [[nodiscard]] Time now() const { return now_; }

  /// A node of AS 65001 + its number. Runs from start() on.
  NodeId add_node() {
    auto node = std::make_unique<Node>();
    const auto id = static_cast<std::uint32_t>(nodes_.size());
    node->settings.asn = bgp::Asn{65001 + id};
    node->settings.router_id = bgp::RouterId{0x0aff0001 + id};
    nodes_.push_back(std::move(node));
    return id;
  }

  bgp::Settings& settings(NodeId id) { return nodes_[id]->settings; }

  /// A subnet of their own, 10.0.<link>.0/24: .1 for the first, .2 for the second; both connect.
  LinkId link(NodeId first, NodeId second,
              const std::function<void(bgp::PeerSettings&)>& adjust = {}) {
    const auto id = static_cast<std::uint32_t>(links_.size());
    const std::array<Address, 2> ends{Address::ipv4(0x0a000001 + (id << 8)),
                                      Address::ipv4(0x0a000002 + (id << 8))};
    links_.push_back({{first, second}, ends, true});
    for (const std::size_t side : {0UL, 1UL}) {
      Node& node = *nodes_[side == 0 ? first : second];
      bgp::PeerSettings peer;
      peer.name = "link" + std::to_string(id);
      peer.address = ends[1 - side];
      peer.families = {Family::ipv4};
      peer.import_filter = bgp::Filter::accept;
      peer.export_filter = bgp::Filter::accept;
      if (adjust) adjust(peer);
      node.settings.peers.push_back(peer);
      node.subnets.push_back({ends[side], Prefix(ends[side], 24), id + 1});
    }
    return id;
  }

  void start(NodeId id) { start(id, {}); }
  /// With what the daemon found of its earlier life.
  void start(NodeId id, const bgp::Restart& restart) {
    Node& node = *nodes_[id];
    node.speaker =
        std::make_unique<Speaker>(node.settings, seed_ * 1000003ULL + id + 17 * ++node.lives, now_,
                                  Speaker::Begin::when_told);
    node.uninstalled.clear();
    if (node.installing != 0s) node.speaker->wait_for_install(true, now_);
    node.speaker->begin(restart, now_);
    node.unconfirmed.clear();
    for (const auto& [prefix, via] : node.fib) node.unconfirmed.insert(prefix);
    node.speaker->connected(node.subnets, now_);
    for (const Prefix& prefix : node.originated) node.speaker->originate(prefix, now_);
    drain(id);
  }
  void start_all() {
    for (NodeId id = 0; id < nodes_.size(); ++id) start(id);
  }

  /// The machine is gone, and the kernel's routes with it; its connections are reset.
  void crash(NodeId id) {
    nodes_[id]->fib.clear();
    kill(id);
  }
  /// The process is gone; its connections are reset, its kernel's routes stay.
  void kill(NodeId id) {
    Node& node = *nodes_[id];
    node.speaker.reset();
    touch(id);
    node.wires.clear();
    for (auto& wire : wires_) {
      for (const std::size_t side : {0UL, 1UL}) {
        if (wire->node[side] != id) continue;
        if (!wire->dead) break_wire(*wire, side);
        wire->id[side].reset();  // the next life counts its connections anew
      }
    }
  }

  /// Nothing passes any more, and nobody is told.
  void cut(LinkId id) {
    links_[id].up = false;
    for (auto& wire : wires_) {
      if (wire->link == id) wire->dead = true;
    }
  }
  void heal(LinkId id) { links_[id].up = true; }
  [[nodiscard]] bool is_up(LinkId id) const { return links_[id].up; }

  /// From its next start on, the node's kernel takes this long over each route, and only then do
  /// others hear of it.
  void install_slowly(NodeId id, Clock::duration each) { nodes_[id]->installing = each; }

  /// The node takes this long over each chunk that it reads.
  void read_slowly(NodeId id, Clock::duration each) { nodes_[id]->slowness = each; }

  void originate(NodeId id, const Prefix& prefix) {
    nodes_[id]->originated.insert(prefix);
    if (nodes_[id]->speaker) nodes_[id]->speaker->originate(prefix, now_);
    drain(id);
  }
  void withdraw(NodeId id, const Prefix& prefix) {
    nodes_[id]->originated.erase(prefix);
    if (nodes_[id]->speaker) nodes_[id]->speaker->withdraw(prefix, now_);
    drain(id);
  }

  void run(Clock::duration span) {
    const Time end = now_ + span;
    for (;;) {
      const Time event = queue_.empty() ? Time::max() : queue_.top().at;
      for (const NodeId id : std::exchange(touched_, {})) {
        Node& node = *nodes_[id];
        if (!node.speaker || node.due) continue;
        node.due = node.speaker->deadline();
        timers_.insert({*node.due, id});
      }
      const Time timer = timers_.empty() ? Time::max() : std::max(timers_.begin()->first, now_);
      const NodeId due = timers_.empty() ? 0 : timers_.begin()->second;
      const Time next = std::min(event, timer);
      if (next > end) break;
      now_ = std::max(now_, next);
      ++steps_;
      if (event <= timer) {
        auto work = std::move(const_cast<Event&>(queue_.top()).work);
        queue_.pop();
        work();
      } else {
        note("tick", due);
        nodes_[due]->speaker->tick(now_);
        drain(due);
      }
    }
    now_ = end;
  }

  // ---- what came of it

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] Speaker& speaker(NodeId id) { return *nodes_[id]->speaker; }
  [[nodiscard]] bool runs(NodeId id) const { return nodes_[id]->speaker != nullptr; }
  [[nodiscard]] bool has(NodeId id, const Prefix& prefix) const {
    return nodes_[id]->originated.contains(prefix) || nodes_[id]->fib.contains(prefix);
  }
  [[nodiscard]] const std::map<Prefix, NextHops>& fib(NodeId id) const { return nodes_[id]->fib; }
  [[nodiscard]] const std::set<Prefix>& originated(NodeId id) const {
    return nodes_[id]->originated;
  }
  [[nodiscard]] Time last_change() const { return last_change_; }
  [[nodiscard]] std::uint64_t history() const { return history_; }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  /// Connections that both ends hold open on a link.
  [[nodiscard]] std::size_t open_connections(LinkId id) const {
    return static_cast<std::size_t>(std::count_if(
        wires_.begin(), wires_.end(),
        [&](const auto& wire) { return wire->link == id && !wire->dead && wire->open; }));
  }
  /// Follows the next hops from a node to whoever originated the prefix: every branch must arrive
  /// within size() hops.
  [[nodiscard]] bool leads_home(NodeId from, const Prefix& prefix) const {
    return leads_home(from, prefix, 0);
  }

  std::minstd_rand& random() { return random_; }
  std::uint32_t roll(std::uint32_t bound) {
    return static_cast<std::uint32_t>(random_() >> 8) % bound;
  }

 private:
  struct Wire;
  struct Node {
    bgp::Settings settings;
    std::vector<ConnectedSubnet> subnets;
    std::set<Prefix> originated;
    std::unique_ptr<Speaker> speaker;
    std::map<Prefix, NextHops> fib;
    /// Of these: of an earlier life, and not said again yet.
    std::set<Prefix> unconfirmed;
    Clock::duration slowness{0};
    Clock::duration installing{0};
    /// By prefix, the last order to the kernel that it has not carried out.
    std::map<Prefix, std::uint64_t> uninstalled;
    std::uint64_t lives = 0;
    /// The speaker's deadline, as it stands in timers_, until something happens to it.
    std::optional<Time> due;
    /// Its connections, and which side of each it is.
    std::unordered_map<std::uint64_t, std::pair<std::shared_ptr<Wire>, std::size_t>> wires;
  };
  struct Link {
    std::array<NodeId, 2> node;
    std::array<Address, 2> address;
    bool up = true;
  };
  /// A connection; side 0 made it.
  struct Wire : std::enable_shared_from_this<Wire> {
    LinkId link = 0;
    std::array<NodeId, 2> node{};
    std::array<std::optional<ConnectionId>, 2> id;
    std::array<Time, 2> arrives{};
    std::array<bool, 2> writing{};
    bool open = false;
    bool dead = false;
  };
  struct Event {
    Time at;
    std::uint64_t order;
    std::function<void()> work;
    bool operator<(const Event& other) const {
      return std::tie(at, order) > std::tie(other.at, other.order);
    }
  };

  void at(Time when, std::function<void()> work) { queue_.push({when, ++order_, std::move(work)}); }
  Clock::duration delay() { return std::chrono::microseconds(50 + roll(20'000)); }

  void note(std::string_view what, NodeId id, std::size_t size = 0) {
    const std::uint64_t word = static_cast<std::uint64_t>(now_.time_since_epoch().count()) * 31 +
                               id * 7 + size + std::hash<std::string_view>{}(what);
    history_ = (history_ ^ word) * 0x100000001b3ULL;
  }

  bool alive(NodeId id, std::uint64_t life) const {
    return nodes_[id]->speaker && nodes_[id]->lives == life;
  }

  /// Something happened to the speaker: its deadline is another now.
  void touch(NodeId id) {
    Node& node = *nodes_[id];
    if (node.due) timers_.erase({*node.due, id});
    node.due.reset();
    touched_.push_back(id);
  }

  void drain(NodeId id) {
    Node& node = *nodes_[id];
    touch(id);
    if (!node.speaker) return;
    for (auto& action : node.speaker->take_actions()) {
      std::visit(Overloaded{
                     [&](const bgp::ConnectTo& to) { connect(id, to); },
                     [&](const bgp::OutputReady& ready) {
                       if (auto [wire, side] = find(id, ready.connection); wire != nullptr)
                         write(wire, side);
                     },
                     [&](const bgp::CloseConnection& order) { close(id, order); },
                 },
                 action);
    }
    for (const auto& change : node.speaker->take_route_changes()) {
      last_change_ = now_;
      note("route", id, change.prefix.address().v4());
      node.fib.erase(change.prefix);
      node.unconfirmed.erase(change.prefix);
      node.uninstalled.erase(change.prefix);
      if (change.kind != bgp::RouteKind::via) continue;
      node.fib[change.prefix] = node.speaker->next_hops(change.next_hops);
      if (node.installing != 0s) install(id, change.prefix);
    }
    for (const bgp::LogLine& line : node.speaker->take_log()) {
      if (loud_)
        std::fprintf(stderr, "%.6f node %zu: %s\n",
                     std::chrono::duration<double>(now_.time_since_epoch()).count(), id,
                     line.text.c_str());
    }
    for (const bgp::SyncDone& done : node.speaker->take_sync_done()) {
      if (done.family != Family::ipv4) continue;  // all of this world is
      for (const Prefix& prefix : node.unconfirmed) node.fib.erase(prefix);
      node.unconfirmed.clear();
    }
  }

  void install(NodeId id, const Prefix& prefix) {
    const std::uint64_t number = nodes_[id]->uninstalled[prefix] = ++installs_;
    at(now_ + nodes_[id]->installing, [this, id, prefix, number] {
      Node& node = *nodes_[id];
      const auto found = node.uninstalled.find(prefix);
      if (!node.speaker || found == node.uninstalled.end() || found->second != number) return;
      node.uninstalled.erase(found);
      node.speaker->installed({prefix}, now_);
      drain(id);
    });
  }

  std::pair<std::shared_ptr<Wire>, std::size_t> find(NodeId id, ConnectionId connection) {
    const auto known = nodes_[id]->wires.find(connection.value);
    if (known == nodes_[id]->wires.end()) return {nullptr, 0};
    const auto& [wire, side] = known->second;
    if (wire->id[side] == connection) return known->second;
    nodes_[id]->wires.erase(known);
    return {nullptr, 0};
  }

  void connect(NodeId id, const bgp::ConnectTo& to) {
    note("connect", id);
    const std::uint64_t life = nodes_[id]->lives;
    for (LinkId link = 0; link < links_.size(); ++link) {
      for (const std::size_t side : {0UL, 1UL}) {
        if (links_[link].node[side] != id || links_[link].address[1 - side] != to.remote) continue;
        auto wire = std::make_shared<Wire>();
        wire->link = link;
        wire->node = {id, links_[link].node[1 - side]};
        wire->id[0] = to.connection;
        nodes_[id]->wires[to.connection.value] = {wire, 0};
        if (wires_.size() > 4 * links_.size() + 16)
          std::erase_if(wires_, [](const auto& each) { return each->dead; });
        wires_.push_back(wire);
        at(now_ + delay(), [this, wire, side, life] { arrive(wire, side, life); });
        return;
      }
    }
  }

  /// The SYN is there.
  void arrive(const std::shared_ptr<Wire>& wire, std::size_t side, std::uint64_t life) {
    const Link& link = links_[wire->link];
    Node& target = *nodes_[wire->node[1]];
    if (!link.up) wire->dead = true;
    if (wire->dead) return;
    // No octet arrives before the connection is open at both ends.
    wire->arrives[0] = wire->arrives[1] = now_ + 25ms;
    if (target.speaker)
      wire->id[1] = target.speaker->accepted(link.address[side], link.address[1 - side], now_);
    if (wire->id[1]) target.wires[wire->id[1]->value] = {wire, 1};
    drain(wire->node[1]);
    const bool refused = !wire->id[1];
    note(refused ? "refused" : "accepted", wire->node[1]);
    at(now_ + delay(), [this, wire, side, life, refused] {
      if (wire->dead || !wire->id[0] || !alive(wire->node[0], life)) return;
      Speaker& speaker = *nodes_[wire->node[0]]->speaker;
      if (refused) {
        wire->dead = true;
        speaker.failed(*wire->id[0], "refused", now_);
      } else {
        wire->open = true;
        speaker.opened(*wire->id[0], links_[wire->link].address[side], now_);
      }
      drain(wire->node[0]);
    });
    if (!refused) write(wire, 1);
  }

  void write(const std::shared_ptr<Wire>& wire, std::size_t side) {
    Node& node = *nodes_[wire->node[side]];
    if (wire->writing[side] || !wire->id[side] || !node.speaker) return;
    auto bytes = std::make_shared<std::vector<std::byte>>();
    node.speaker->produce(*wire->id[side], *bytes, now_);
    touch(wire->node[side]);
    if (bytes->empty()) return;
    note("write", wire->node[side], bytes->size());
    wire->writing[side] = true;
    if (wire->dead) return;  // into the void: the writer waits
    const Time written = deliver(wire, side, *bytes);
    const std::uint64_t life = node.lives;
    at(written, [this, wire, side, life] {
      wire->writing[side] = false;
      if (wire->dead || !wire->id[side] || !alive(wire->node[side], life)) return;
      nodes_[wire->node[side]]->speaker->sent(*wire->id[side], true, now_);
      write(wire, side);
      drain(wire->node[side]);
    });
  }

  /// In pieces, in order; returns when the last one is taken.
  Time deliver(const std::shared_ptr<Wire>& wire, std::size_t side,
               const std::vector<std::byte>& bytes) {
    const NodeId target = wire->node[1 - side];
    for (std::size_t from = 0; from < bytes.size();) {
      const std::size_t size =
          std::min<std::size_t>(bytes.size() - from, 1 + roll(roll(4) == 0 ? 32 : 8192));
      std::vector<std::byte> piece(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                                   bytes.begin() + static_cast<std::ptrdiff_t>(from + size));
      from += size;
      Time& arrives = wire->arrives[side];
      arrives = std::max(arrives, now_ + delay()) + nodes_[target]->slowness;
      at(arrives, [this, wire, side, target, piece = std::move(piece)] {
        if (wire->dead || !wire->id[1 - side] || !nodes_[target]->speaker) return;
        note("read", target, piece.size());
        nodes_[target]->speaker->received(*wire->id[1 - side], piece, now_);
        drain(target);
      });
    }
    return wire->arrives[side];
  }

  void close(NodeId id, const bgp::CloseConnection& order) {
    const auto [found, at_side] = find(id, order.connection);
    if (found == nullptr) return;
    const auto wire = found;
    const std::size_t side = at_side;
    note("close", id, order.last.size());
    wire->id[side].reset();
    wire->open = false;
    if (wire->dead) return;
    deliver(wire, side, order.last);
    break_wire(*wire, side, false);
  }

  /// The other side hears of the end after all that was sent before.
  void break_wire(Wire& broken, std::size_t side, bool at_once = true) {
    const auto wire = broken.shared_from_this();
    wire->id[side].reset();
    wire->open = false;
    const std::size_t there = 1 - side;
    const NodeId target = wire->node[there];
    const std::uint64_t life = nodes_[target]->lives;
    const Time when = at_once ? now_ + delay() : std::max(wire->arrives[side], now_ + delay());
    at(when, [this, wire, there, target, life] {
      const bool lost = wire->dead;
      wire->dead = true;
      if (lost || !wire->id[there] || !alive(target, life)) return;
      note("closed", target);
      nodes_[target]->speaker->closed(*wire->id[there], "closed by the peer", now_);
      wire->id[there].reset();
      drain(target);
    });
  }

  [[nodiscard]] bool leads_home(NodeId from, const Prefix& prefix, std::size_t hops) const {
    if (nodes_[from]->originated.contains(prefix)) return true;
    if (hops > nodes_.size()) return false;
    const auto route = nodes_[from]->fib.find(prefix);
    if (route == nodes_[from]->fib.end() || route->second.empty()) return false;
    return std::all_of(route->second.begin(), route->second.end(), [&](const NextHop& via) {
      const Link& link = links_[via.ifindex - 1];
      const std::size_t side = link.address[0] == via.gateway ? 0 : 1;
      return link.address[side] == via.gateway && link.node[1 - side] == from &&
             leads_home(link.node[side], prefix, hops + 1);
    });
  }

  std::minstd_rand random_;
  std::uint32_t seed_;
  bool loud_ = std::getenv("WEFT_SIM_LOG") != nullptr;
  Time now_{1h};
  Time last_change_{};
  std::uint64_t order_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t installs_ = 0;
  std::uint64_t history_ = 0xcbf29ce484222325ULL;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Link> links_;
  std::vector<std::shared_ptr<Wire>> wires_;
  std::priority_queue<Event> queue_;
  std::set<std::pair<Time, NodeId>> timers_;
  std::vector<NodeId> touched_;
};

}  // namespace weft::sim
