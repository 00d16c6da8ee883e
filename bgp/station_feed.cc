#include "bgp/station_feed.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "bgp/message.h"
#include "bgp/update.h"

namespace weft::bgp {

namespace {

/// Places, paths and changes that one step looks at, and steps of one produce().
constexpr std::size_t step_work = 4096;
constexpr std::size_t step_items = 4096;
constexpr unsigned steps_limit = 16;
/// What a message adds to its attributes and prefixes, at most: headers of BMP and BGP, the next
/// hop.
constexpr std::size_t message_overhead = 144;
/// What a node of a map takes beside its value, about.
constexpr std::size_t node_overhead = 48;

constexpr std::array families{Family::ipv4, Family::ipv6};

/// The next hop as it stands in a message of the family. Our own routes have none to name, and a
/// policy may name one that the family cannot.
PathNextHop next_hop_in(Family family, const PeerNextHop& named, bool local) {
  const Address none = family == Family::ipv4 ? Address() : Address::ipv6({});
  if (local || named.discard) return {none, {}};
  if (family == Family::ipv6 && named.address.is_v4()) return {none, {}};
  return {named.address, named.link_local};
}

}  // namespace

StationFeed::StationFeed(const Monitored& monitored, std::span<const BmpView> views,
                         std::size_t limit)
    : monitored_(monitored), limit_(limit) {
  for (const BmpView view : views) views_[static_cast<std::size_t>(view)] = true;
}

void StationFeed::begin() {
  end();
  connected_ = true;
  sessions_due_ = true;
}

void StationFeed::end() {
  connected_ = initiated_ = sessions_due_ = ends_due_ = walk_due_ = false;
  report_from_.reset();
  heard_.clear();
  changes_.clear();
  walk_.reset();
}

// What happens.

StationFeed::Heard* StationFeed::heard(PeerId peer) {
  const auto found = heard_.find(peer);
  return found == heard_.end() || found->second.end ? nullptr : &found->second;
}

bool StationFeed::wants(PeerId peer) const {
  if (peer == PeerId::local) return monitors(BmpView::loc_rib);
  return monitors(BmpView::pre_policy) || monitors(BmpView::post_policy) ||
         monitors(BmpView::adj_rib_out);
}

void StationFeed::peer_up(PeerId peer) {
  sessions_due_ = sessions_due_ || (connected_ && wants(peer));
}

void StationFeed::peer_down(PeerId peer, const bmp::PeerDown& why) {
  Heard* of = heard(peer);
  if (of == nullptr) return;
  of->end = why;
  of->walk = Heard::Walk::none;
  forget_changes(peer);
  sessions_due_ = true;
}

void StationFeed::path_changed(const RibWatcher::PathChange& change) {
  if (!monitors(BmpView::pre_policy) && !monitors(BmpView::post_policy)) return;
  using Before = RibWatcher::PathChange::Before;
  const Held held{change.before != Before::nothing, change.before == Before::accepted};
  changed(change.peer, Side::in, change.family, change.net, change.path_id, held, change.gone);
}

void StationFeed::best_changed(Family family, NetId net, bool had, bool has) {
  if (!monitors(BmpView::loc_rib)) return;
  changed(PeerId::local, Side::loc, family, net, 0, {had, had}, !has);
}

void StationFeed::told_peer(PeerId peer, const Nlri& route, bool withdrawn) {
  if (!monitors(BmpView::adj_rib_out)) return;
  const Heard* of = heard(peer);
  if (of == nullptr || (of->clean && of->walk == Heard::Walk::waits)) return;
  const auto net = monitored_.rib->find(route.prefix);
  // A prefix may have died and returned at another place before the peer was told: where the walk
  // has not been the station may still hold it.
  if (withdrawn || !net) {
    return record({peer, Side::out, route.path_id, route.prefix}, {true, true});
  }
  // It may be there in place of another.
  changed(peer, Side::out, route.prefix.family(), *net, route.path_id, {true, true}, false);
}

void StationFeed::caught_up(PeerId peer) {
  Heard* of = monitors(BmpView::adj_rib_out) ? heard(peer) : nullptr;
  if (of != nullptr) walk_again(*of);
}

bool StationFeed::is_blank(const Heard& of, const Position& position) const {
  if (!of.clean || of.again) return false;
  return of.walk == Heard::Walk::waits || (of.walk == Heard::Walk::runs && !has_been(position));
}

void StationFeed::changed(PeerId peer, Side side, Family family, NetId net, std::uint32_t path_id,
                          Held held, bool gone) {
  const Heard* of = heard(peer);
  if (of == nullptr) return;
  const Position position{family, net, peer, side, path_id, false};
  if (is_blank(*of, position)) return;
  const bool comes_by = of->walk == Heard::Walk::waits ||
                        (of->walk == Heard::Walk::runs && (of->again || !has_been(position)));
  if (comes_by) {
    if (!gone) return;
    held = {true, true};
  }
  record({peer, side, path_id, monitored_.rib->prefix(family, net)}, held);
}

/// What the station held before the first change that it was not told of is what it holds.
void StationFeed::record(const Route& route, Held held) {
  changes_.try_emplace(route, held);
  if (changes_.size() > limit_) overrun();
}

bool StationFeed::exists(const Route& route) const {
  const Rib& rib = *monitored_.rib;
  const Family family = route.prefix.family();
  const auto net = rib.find(route.prefix);
  if (!net) return false;
  if (route.side == Side::in)
    return rib.path_at(family, *net, route.peer, route.path_id).has_value();
  if (route.side == Side::loc) return rib.best(family, *net).has_value();
  std::vector<AdjOut::Route> told;
  monitored_.adj_out->routes_at(route.peer, family, *net, told);
  return std::any_of(told.begin(), told.end(),
                     [&](const auto& each) { return each.path_id == route.path_id; });
}

/// What is there a walk finds again, so only what went must be remembered. Where that is too much,
/// the station is to forget all of the peer.
void StationFeed::overrun() {
  ++counts_.overruns;
  std::map<PeerId, std::size_t> left;
  for (auto each = changes_.begin(); each != changes_.end();) {
    const PeerId peer = each->first.peer;
    if (exists(each->first)) {
      walk_again(heard_.at(peer));
      each = changes_.erase(each);
    } else {
      ++left[peer];
      ++each;
    }
  }
  while (changes_.size() > limit_ / 2) {
    const auto most = std::max_element(
        left.begin(), left.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    flush(most->first);
    left.erase(most);
  }
}

void StationFeed::walk_again(Heard& of) {
  switch (of.walk) {
    case Heard::Walk::none:
      of.walk = Heard::Walk::waits;
      of.clean = false;
      walk_due_ = true;
      break;
    case Heard::Walk::waits:
      break;
    case Heard::Walk::runs:
      of.again = true;
      break;
  }
}

void StationFeed::flush(PeerId peer) {
  ++counts_.flushes;
  peer_down(peer, bmp::NotMonitored{});
}

void StationFeed::forget_changes(PeerId peer) {
  auto each = changes_.lower_bound(Route{peer, Side::in, 0, Prefix()});
  while (each != changes_.end() && each->first.peer == peer) each = changes_.erase(each);
}

// What is told.

bool StationFeed::pending() const {
  return connected_ && (!initiated_ || sessions_due_ || ends_due_ || report_from_ ||
                        !changes_.empty() || walking());
}

void StationFeed::produce(std::size_t size, std::chrono::microseconds now,
                          std::vector<std::byte>& out) {
  if (!connected_) return;
  const std::size_t before = out.size();
  const std::size_t enough = before + size;
  if (!std::exchange(initiated_, true)) {
    bmp::encode_initiation(monitored_.system_description, monitored_.system_name, out);
    count(bmp::MessageType::initiation);
  }
  tell_sessions(enough, now, out);
  tell_statistics(enough, now, out);
  tell_ends_of_rib(enough, out);
  for (unsigned step = 0; step < steps_limit && out.size() < enough; ++step) {
    // Changes must not keep the walk from coming along.
    const std::size_t room = enough - out.size();
    bool more = tell_changes(walking() ? room / 2 : room, now, out);
    if (out.size() < enough) more = walk(enough - out.size(), out) || more;
    if (!more) break;
    tell_ends_of_rib(enough, out);
  }
  counts_.octets += out.size() - before;
}

void StationFeed::tell_sessions(std::size_t enough, std::chrono::microseconds now,
                                std::vector<std::byte>& out) {
  if (!sessions_due_) return;
  for (auto each = heard_.begin(); each != heard_.end();) {
    Heard& of = each->second;
    if (!of.end) {
      ++each;
      continue;
    }
    if (out.size() >= enough) return;
    of.header.timestamp = now;
    bmp::encode_peer_down(of.header, *of.end, out);
    count(bmp::MessageType::peer_down);
    each = heard_.erase(each);
  }
  for (const auto& [id, peer] : monitored_.peers) {
    if (!wants(id) || heard_.contains(id)) continue;
    if (out.size() >= enough) return;
    bmp::encode_peer_up(peer.header, peer.up, out);
    count(bmp::MessageType::peer_up);
    heard_[id].header = peer.header;
    walk_due_ = true;
  }
  sessions_due_ = false;
}

void StationFeed::tell_ends_of_rib(std::size_t enough, std::vector<std::byte>& out) {
  if (!ends_due_) return;
  for (auto& [id, of] : heard_) {
    if (of.end || !of.end_of_rib_due) continue;
    if (out.size() >= enough) return;
    of.end_of_rib_due = false;
    for (const BmpView view :
         {BmpView::pre_policy, BmpView::post_policy, BmpView::adj_rib_out, BmpView::loc_rib}) {
      if (!monitors(view) || (view == BmpView::loc_rib) != (id == PeerId::local)) continue;
      for (const NegotiatedFamily& family : monitored_.peers.at(id).negotiated.families) {
        update_.clear();
        encode_end_of_rib(family.family, update_);
        bmp::encode_route_monitoring(header(id, view, {}), update_, out);
        count(bmp::MessageType::route_monitoring);
      }
    }
  }
  ends_due_ = false;
}

void StationFeed::tell_statistics(std::size_t enough, std::chrono::microseconds now,
                                  std::vector<std::byte>& out) {
  if (!report_from_) return;
  for (auto each = heard_.lower_bound(*report_from_); each != heard_.end(); ++each) {
    if (out.size() >= enough) {
      report_from_ = each->first;
      return;
    }
    if (each->second.end) continue;
    bmp::PeerHeader header = each->second.header;
    header.timestamp = now;
    bmp::encode_statistics(header, statistics(each->first), out);
    count(bmp::MessageType::statistics_report);
  }
  report_from_.reset();
}

std::vector<bmp::Statistic> StationFeed::statistics(PeerId peer) const {
  using Type = bmp::Statistic::Type;
  const Rib& rib = *monitored_.rib;
  std::vector<bmp::Statistic> all;
  if (peer == PeerId::local) {
    all.push_back({Type::loc_rib, rib.routes(Family::ipv4) + rib.routes(Family::ipv6)});
    for (const Family family : families)
      all.push_back({Type::loc_rib_family, rib.routes(family), unicast(family)});
    return all;
  }
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  for (const Family family : families) {
    if (!monitored_.peers.at(peer).negotiated.has(unicast(family))) continue;
    const std::uint64_t received = rib.counts(peer, family).received;
    const std::uint64_t advertised = monitored_.adj_out->advertised(peer, family);
    all.push_back({Type::adj_rib_in_family, received, unicast(family)});
    all.push_back({Type::adj_rib_out_family, advertised, unicast(family)});
    in += received;
    out += advertised;
  }
  all.push_back({Type::adj_rib_in, in});
  all.push_back({Type::adj_rib_out, out});
  if (monitored_.malformed) all.push_back({Type::treated_as_withdraw, monitored_.malformed(peer)});
  return all;
}

bool StationFeed::tell_changes(std::size_t room, std::chrono::microseconds now,
                               std::vector<std::byte>& out) {
  if (changes_.empty()) return false;
  auto next = changes_.upper_bound(last_told_);
  for (std::size_t i = 0; i < step_work && !changes_.empty(); ++i) {
    if (items_octets_ >= room || items_.size() >= step_items) break;
    if (next == changes_.end()) next = changes_.begin();
    last_told_ = next->first;
    resolve(next->first, next->second);
    next = changes_.erase(next);
  }
  encode(now, out);
  return true;
}

void StationFeed::resolve(const Route& route, Held held) {
  const Heard* of = heard(route.peer);
  assert(of != nullptr);
  const Rib& rib = *monitored_.rib;
  const Family family = route.prefix.family();
  const Nlri nlri{route.prefix, route.path_id};
  const auto net = rib.find(route.prefix);
  // Where the walk is to find it anew, the station must hold nothing: what happens there until then
  // is not heard.
  const bool there =
      net && !is_blank(*of, {family, *net, route.peer, route.side, route.path_id, false});
  if (route.side == Side::in) {
    const auto path = there ? rib.path_at(family, *net, route.peer, route.path_id) : std::nullopt;
    if (path) return add_path(*path, route.prefix, held);
    if (held.pre && monitors(BmpView::pre_policy))
      add(route.peer, BmpView::pre_policy, 0, NextHopId::local, nlri);
    if (held.post && monitors(BmpView::post_policy))
      add(route.peer, BmpView::post_policy, 0, NextHopId::local, nlri);
    return;
  }
  if (route.side == Side::loc) {
    const auto best = there ? rib.best(family, *net) : std::nullopt;
    if (best) {
      add(route.peer, BmpView::loc_rib, static_cast<std::uint32_t>(best->attributes),
          best->next_hop, nlri);
    } else if (held.pre) {
      add(route.peer, BmpView::loc_rib, 0, NextHopId::local, nlri);
    }
    return;
  }
  routes_.clear();
  if (there) monitored_.adj_out->routes_at(route.peer, family, *net, routes_);
  const auto told = std::find_if(routes_.begin(), routes_.end(),
                                 [&](const auto& each) { return each.path_id == route.path_id; });
  if (told != routes_.end()) {
    add(route.peer, BmpView::adj_rib_out, told->advertisement, NextHopId::local, nlri);
  } else if (held.pre) {
    add(route.peer, BmpView::adj_rib_out, 0, NextHopId::local, nlri);
  }
}

// The walk.

bool StationFeed::walk(std::size_t room, std::vector<std::byte>& out) {
  const auto start = [](Family family, NetId net) {
    return Position{family, net, PeerId::local, Side::in, 0, false};
  };
  if (!walk_) {
    if (!std::exchange(walk_due_, false)) return false;
    for (auto& [id, of] : heard_) {
      if (of.walk == Heard::Walk::waits) of.walk = Heard::Walk::runs;
    }
    walk_ = start(Family::ipv4, 0);
  }
  const std::size_t work = 1 + (monitors(BmpView::adj_rib_out) ? heard_.size() : 0);
  for (std::size_t done = 0; done < step_work; done += work) {
    if (items_octets_ >= room || items_.size() >= step_items) break;
    const Family family = std::get<Family>(*walk_);
    const NetId net = std::get<1>(*walk_);
    if (net < monitored_.rib->places(family)) {
      if (walk_place(family, net, room)) walk_ = start(family, net + 1);
    } else if (family == Family::ipv4) {
      walk_ = start(Family::ipv6, 0);
    } else {
      encode({}, out);
      end_walk();
      return true;
    }
  }
  encode({}, out);
  return true;
}

/// False: there is more at the place than there is room for.
bool StationFeed::walk_place(Family family, NetId net, std::size_t room) {
  if (!monitored_.rib->alive(family, net)) return true;
  find_routes(family, net);
  if (found_.empty()) return true;
  const Prefix prefix = monitored_.rib->prefix(family, net);
  for (const Found& each : found_) {
    if (has_been({family, net, each.peer, each.side, each.path_id, false})) continue;
    if (items_octets_ >= room || items_.size() >= step_items) return false;
    const Nlri nlri{prefix, each.path_id};
    const Held held = overtake({each.peer, each.side, each.path_id, prefix});
    if (each.side == Side::in) {
      add_path(paths_[each.index], prefix, held);
    } else if (each.side == Side::out) {
      add(each.peer, BmpView::adj_rib_out, routes_[each.index].advertisement, NextHopId::local,
          nlri);
    } else {
      const auto best = monitored_.rib->best(family, net);
      add(each.peer, BmpView::loc_rib, static_cast<std::uint32_t>(best->attributes), best->next_hop,
          nlri);
    }
    walk_ = Position{family, net, each.peer, each.side, each.path_id, true};
  }
  return true;
}

/// The walk tells a route whose change waits to be told: it does no longer, or what the station
/// holds from here on would be forgotten. Returns what it may hold until here.
StationFeed::Held StationFeed::overtake(const Route& route) {
  const Heard& of = heard_.at(route.peer);
  const bool maybe = !of.clean || of.again;
  Held held{maybe, maybe};
  const auto waiting = changes_.find(route);
  if (waiting == changes_.end()) return held;
  held.pre = held.pre || waiting->second.pre;
  held.post = held.post || waiting->second.post;
  changes_.erase(waiting);
  return held;
}

/// In order, so that a place can be left and taken up again.
void StationFeed::find_routes(Family family, NetId net) {
  const Rib& rib = *monitored_.rib;
  const auto walks = [&](PeerId peer) {
    const Heard* of = heard(peer);
    return of != nullptr && of->walk == Heard::Walk::runs;
  };
  found_.clear();
  paths_.clear();
  routes_.clear();
  if (monitors(BmpView::pre_policy) || monitors(BmpView::post_policy)) {
    rib.paths_at(family, net, paths_);
    for (std::uint32_t i = 0; i < paths_.size(); ++i) {
      if (walks(paths_[i].peer)) found_.push_back({paths_[i].peer, Side::in, paths_[i].path_id, i});
    }
  }
  if (monitors(BmpView::loc_rib) && walks(PeerId::local) && rib.best(family, net))
    found_.push_back({PeerId::local, Side::loc, 0, 0});
  if (monitors(BmpView::adj_rib_out)) {
    for (const auto& [id, of] : heard_) {
      if (id == PeerId::local || of.walk != Heard::Walk::runs) continue;
      auto i = static_cast<std::uint32_t>(routes_.size());
      monitored_.adj_out->routes_at(id, family, net, routes_);
      for (; i < routes_.size(); ++i) found_.push_back({id, Side::out, routes_[i].path_id, i});
    }
  }
  std::sort(found_.begin(), found_.end(),
            [](const Found& a, const Found& b) { return a.key() < b.key(); });
}

void StationFeed::end_walk() {
  walk_.reset();
  for (auto& [id, of] : heard_) {
    if (of.walk != Heard::Walk::runs) continue;
    of.clean = false;
    if (std::exchange(of.again, false)) {
      of.walk = Heard::Walk::waits;
      walk_due_ = true;
      continue;
    }
    of.walk = Heard::Walk::none;
    if (!std::exchange(of.initial, false)) continue;
    of.end_of_rib_due = ends_due_ = true;
  }
}

// Messages.

void StationFeed::add_path(const HeldPath& path, const Prefix& prefix, Held held) {
  const Nlri nlri{prefix, path.path_id};
  if (monitors(BmpView::pre_policy)) {
    add(path.peer, BmpView::pre_policy, static_cast<std::uint32_t>(path.received),
        path.received_next_hop, nlri);
  }
  if (!monitors(BmpView::post_policy)) return;
  if (!path.refused) {
    add(path.peer, BmpView::post_policy, static_cast<std::uint32_t>(path.imported),
        path.imported_next_hop, nlri);
  } else if (held.post) {
    add(path.peer, BmpView::post_policy, 0, NextHopId::local, nlri);
  }
}

/// Keeps account of the octets that the items will take, never too few.
void StationFeed::add(PeerId peer, BmpView view, std::uint32_t attributes, NextHopId next_hop,
                      const Nlri& nlri) {
  const Item item{peer, view, nlri.prefix.family(), attributes, next_hop, nlri};
  std::size_t& room = room_of_[{peer, view, item.family, attributes, next_hop}];
  const std::size_t size = encoded_size(nlri, true);
  if (room < size) {
    const std::size_t head = message_overhead + attributes_size(item);
    const std::size_t most =
        head + size <= max_message_size ? max_message_size : max_extended_message_size;
    items_octets_ += head;
    room = std::max(most, head + size) - head;
  }
  room -= size;
  items_octets_ += size;
  items_.push_back(item);
}

std::size_t StationFeed::attributes_size(const Item& item) const {
  if (item.attributes == 0) return 0;
  if (item.view != BmpView::adj_rib_out)
    return monitored_.rib->attributes().octets(AttributeId{item.attributes}).size();
  std::vector<std::byte> octets;
  monitored_.adj_out->describe(item.peer, item.family, item.attributes, octets);
  return octets.size();
}

void StationFeed::encode(std::chrono::microseconds timestamp, std::vector<std::byte>& out) {
  std::sort(items_.begin(), items_.end());
  const auto run_of = [](const Item& item) {
    return std::tie(item.peer, item.view, item.family, item.attributes, item.next_hop);
  };
  const std::span<const Item> all(items_);
  for (std::size_t from = 0; from < all.size();) {
    std::size_t until = from + 1;
    while (until < all.size() && run_of(all[until]) == run_of(all[from])) ++until;
    encode(all.subspan(from, until - from), timestamp, out);
    from = until;
  }
  items_.clear();
  room_of_.clear();
  items_octets_ = 0;
}

void StationFeed::encode(std::span<const Item> run, std::chrono::microseconds timestamp,
                         std::vector<std::byte>& out) {
  const Item& first = run.front();
  const AfiSafi family = unicast(first.family);
  const Negotiated& negotiated = monitored_.peers.at(first.peer).negotiated;
  const NegotiatedFamily* agreed = negotiated.find(family);
  if (agreed == nullptr) return;
  Negotiated terms;
  const bool path_ids =
      first.view == BmpView::adj_rib_out ? agreed->add_path_send : agreed->add_path_receive;
  terms.families.push_back({family, false, path_ids && first.view != BmpView::loc_rib, true});
  terms.link_local_next_hop = negotiated.link_local_next_hop;

  Bytes attributes;
  PathNextHop next_hop;
  if (first.attributes != 0 && first.view == BmpView::adj_rib_out) {
    attributes_.clear();
    next_hop =
        monitored_.adj_out->describe(first.peer, first.family, first.attributes, attributes_);
    attributes = attributes_;
  } else if (first.attributes != 0) {
    attributes = monitored_.rib->attributes().octets(AttributeId{first.attributes});
    next_hop = next_hop_in(first.family, monitored_.rib->next_hop(first.next_hop),
                           first.next_hop == NextHopId::local);
  }
  nlri_.clear();
  for (const Item& item : run) nlri_.push_back(item.nlri);

  const bmp::PeerHeader header = this->header(first.peer, first.view, timestamp);
  bool withdrawing = first.attributes == 0;
  for (std::span<const Nlri> rest(nlri_); !rest.empty();) {
    update_.clear();
    const std::size_t fitted =
        withdrawing ? encode_withdrawal(family, rest, terms, update_)
                    : encode_announcement(family, next_hop, attributes, rest, terms, update_);
    if (fitted != 0) {
      bmp::encode_route_monitoring(header, update_, out);
      count(bmp::MessageType::route_monitoring);
      rest = rest.subspan(fitted);
    } else if (terms.max_send == max_message_size) {
      terms.max_send = max_extended_message_size;
    } else {
      // An older version must not stand in its place.
      counts_.too_big += rest.size();
      withdrawing = true;
    }
  }
}

bmp::PeerHeader StationFeed::header(PeerId peer, BmpView view,
                                    std::chrono::microseconds timestamp) const {
  bmp::PeerHeader made = monitored_.peers.at(peer).header;
  made.post_policy = view == BmpView::post_policy || view == BmpView::adj_rib_out;
  made.adj_rib_out = view == BmpView::adj_rib_out;
  made.timestamp = timestamp;
  return made;
}

// Memory.

std::size_t StationFeed::memory() const {
  std::size_t octets = changes_.size() * (sizeof(decltype(changes_)::value_type) + node_overhead) +
                       heard_.size() * (sizeof(decltype(heard_)::value_type) + node_overhead);
  for (const auto& [id, of] : heard_) {
    if (!of.end) continue;
    if (const auto* sent = std::get_if<bmp::LocalNotification>(&*of.end))
      octets += sent->sent.data.capacity();
    if (const auto* received = std::get_if<bmp::RemoteNotification>(&*of.end))
      octets += received->received.data.capacity();
  }
  return octets + items_.capacity() * sizeof(Item) + found_.capacity() * sizeof(Found) +
         paths_.capacity() * sizeof(HeldPath) + routes_.capacity() * sizeof(AdjOut::Route) +
         nlri_.capacity() * sizeof(Nlri) + attributes_.capacity() + update_.capacity();
}

std::size_t StationFeed::memory_limit(std::size_t limit, std::size_t peers) {
  // Vectors may have twice the room that they need.
  const std::size_t place = (sizeof(Found) + sizeof(HeldPath)) * Rib::max_paths +
                            (sizeof(Found) + sizeof(AdjOut::Route)) * peers;
  return (limit + 1) * (sizeof(decltype(changes_)::value_type) + node_overhead) +
         peers * (sizeof(decltype(heard_)::value_type) + node_overhead + max_message_size) +
         2 * ((step_items + 2) * (sizeof(Item) + sizeof(Nlri)) + place +
              2 * max_extended_message_size);
}

}  // namespace weft::bgp
