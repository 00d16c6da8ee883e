#include "bgp/update_group.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weft::bgp {

namespace {

/// Beside the advertisement's number in `told`: some peer may hold something else, or nothing.
constexpr std::uint32_t maybe = 1U << 31;
constexpr std::uint32_t id_bits = maybe - 1;

/// Prefixes looked at, and octets packed, in one go: what bounds the time a step takes.
constexpr std::size_t batch_places = 16384;
/// The same where each may have to go through the rules of a policy.
constexpr std::size_t batch_places_with_rules = 1024;
constexpr std::size_t batch_octets = 48UL * 1024;
/// About what a message adds to its attributes, and what a prefix takes.
constexpr std::size_t message_estimate = 30;
constexpr std::size_t prefix_estimate = 8;

}  // namespace

/// Prefixes sorted by what is to be said of them. Each list is an advertisement or an audience to
/// withdraw from.
class UpdateGroup::Batch {
 public:
  struct List {
    AdvertisementTable::Id advertisement = 0;  // 0: withdrawals
    Audience audience;
    std::uint32_t first = none;
    std::uint32_t last = none;
  };
  static constexpr std::uint32_t none = 0xffffffff;

  void announce(NetId net, AdvertisementTable::Id id, AdvertisementTable& table,
                const AttributeStore& store) {
    std::uint32_t& list = table.note(id);
    if (list == 0) {
      lists_.push_back({id, {Audience::Kind::all_but, table[id].source}});
      list = static_cast<std::uint32_t>(lists_.size());
      octets_ += message_estimate + store.octets(table[id].attributes).size();
    }
    append(lists_[list - 1], net);
  }
  void withdraw(NetId net, Audience audience) {
    auto list = std::find_if(withdrawals_.begin(), withdrawals_.end(),
                             [&](const List& each) { return each.audience == audience; });
    if (list == withdrawals_.end()) {
      list = withdrawals_.insert(withdrawals_.end(), List{0, audience});
    }
    append(*list, net);
  }
  void clear(AdvertisementTable& table) {
    for (const List& each : lists_) table.note(each.advertisement) = 0;
    lists_.clear();
    withdrawals_.clear();
    items_.clear();
    octets_ = 0;
  }

  [[nodiscard]] std::size_t octets() const { return octets_; }
  [[nodiscard]] const std::vector<List>& announcements() const { return lists_; }
  [[nodiscard]] const std::vector<List>& withdrawals() const { return withdrawals_; }
  template <typename Each>
  void for_each(const List& list, Each each) const {
    for (std::uint32_t at = list.first; at != none; at = items_[at].next) each(items_[at].net);
  }

 private:
  struct Item {
    NetId net;
    std::uint32_t next;
  };
  void append(List& list, NetId net) {
    const auto at = static_cast<std::uint32_t>(items_.size());
    items_.push_back({net, none});
    (list.first == none ? list.first : items_[list.last].next) = at;
    list.last = at;
    octets_ += prefix_estimate;
  }

  std::vector<List> lists_;
  std::vector<List> withdrawals_;
  std::vector<Item> items_;
  std::size_t octets_ = 0;
};

UpdateGroup::UpdateGroup(Rib& rib, Key key, const PathNextHop& next_hop, std::size_t backlog)
    : rib_(rib),
      key_(std::move(key)),
      next_hop_(next_hop),
      max_backlog_(backlog),
      policy_(key_.rules.policy, Direction::to_export),
      advertisements_(rib),
      batch_(std::make_unique<Batch>()) {
  open({journal().end(), 0, true, true}).from_nothing = true;
}

UpdateGroup::~UpdateGroup() {
  for (const auto& each : streams_) journal().unsubscribe(each->reader);
}

// Members and their streams.

UpdateGroup::Stream& UpdateGroup::open(const Place& at) {
  streams_.push_back(std::make_unique<Stream>());
  Stream& made = *streams_.back();
  made.at = at;
  made.reader = journal().subscribe(at.position);
  return made;
}

void UpdateGroup::close_if_unused(Stream& stream) {
  if (stream.members != 0 || &stream == streams_.front().get()) return;
  journal().unsubscribe(stream.reader);
  std::erase_if(streams_, [&](const auto& each) { return each.get() == &stream; });
}

void UpdateGroup::move(Member& member, Stream& to, std::uint64_t next) {
  if (member.stream_ != nullptr) quit(member);
  member.stream_ = &to;
  member.next_ = next;
  ++member.moves_;
  ++to.members;
  for (std::uint64_t i = next; i < to.end(); ++i) ++to.segments[i - to.first].readers;
}

void UpdateGroup::quit(Member& member) {
  Stream& stream = *std::exchange(member.stream_, nullptr);
  for (std::uint64_t i = member.next_; i < stream.end(); ++i) {
    --stream.segments[i - stream.first].readers;
  }
  --stream.members;
  drop_read(stream);
  close_if_unused(stream);
}

void UpdateGroup::join(Member& member) {
  members_.push_back(&member);
  // Who comes while the first segment of a full table is still there shares the work with those
  // before.
  for (const auto& each : streams_) {
    if (each->from_nothing && each->first == 0) return move(member, *each, 0);
  }
  Stream& own = open({journal().end(), 0, true, true});
  own.from_nothing = true;
  move(member, own, 0);
}

void UpdateGroup::join(Member& member, const Standing& before) {
  members_.push_back(&member);
  Stream& own = open({before.position, 0, true, before.end_of_rib_due});
  own.held = before.held;
  move(member, own, 0);
}

void UpdateGroup::leave(Member& member) {
  quit(member);
  std::erase(members_, &member);
}

UpdateGroup::Standing UpdateGroup::standing(const Member& member) {
  const Stream& stream = *member.stream_;
  expect_withdrawals(stream, member.next_);
  const bool unread = member.next_ != stream.end();
  const Place& place = unread ? stream.segments[member.next_ - stream.first].start : stream.at;
  auto held = std::make_shared<Held>(
      std::max(told_.size(), stream.held == nullptr ? 0 : stream.held->size()));
  for (std::size_t net = 0; net < held->size(); ++net) {
    const auto number = static_cast<NetId>(net);
    (*held)[net] = told(number) != 0 || stream.may_hold(number);
  }
  return {place.position, place.end_of_rib_due, std::move(held)};
}

void UpdateGroup::refresh(Member& member) {
  Stream& stream = *member.stream_;
  expect_withdrawals(stream, member.next_);
  const bool unread = member.next_ != stream.end();
  Place place = unread ? stream.segments[member.next_ - stream.first].start : stream.at;
  place.walk = 0;
  place.walking = true;
  Stream& own = open(place);
  own.held = stream.held;
  move(member, own, 0);
}

void UpdateGroup::drop_read(Stream& stream) {
  while (!stream.segments.empty() && stream.segments.front().readers == 0) {
    stream.backlog -= stream.segments.front().updates.size();
    stream.segments.pop_front();
    ++stream.first;
  }
  const Place& oldest = stream.segments.empty() ? stream.at : stream.segments.front().start;
  journal().advance(stream.reader, oldest.position);
}

/// Whoever goes on elsewhere without the segments from `from` on has not heard their withdrawals,
/// although `told` says so.
void UpdateGroup::expect_withdrawals(const Stream& stream, std::uint64_t from) {
  for (std::uint64_t i = from; i < stream.end(); ++i) {
    for (const NetId net : stream.segments[i - stream.first].withdrawn) told_entry(net) |= maybe;
  }
}

/// Members that hold up too much fall back to their place in the table and the journal.
void UpdateGroup::relieve(Stream& stream) {
  ++stream.members;  // lest it closes with the last of them
  while (stream.backlog > max_backlog_) {
    expect_withdrawals(stream, stream.first);
    const std::uint64_t oldest = stream.first;
    Stream& behind = open(stream.segments.front().start);
    behind.held = stream.held;
    for (Member* each : members_) {
      if (each->stream_ == &stream && each->next_ == oldest) move(*each, behind, 0);
    }
  }
  --stream.members;
}

bool UpdateGroup::pending(const Member& member) const {
  return member.next_ != member.stream_->end() || !at_end(*member.stream_);
}

UpdateGroup::Produced UpdateGroup::produce(Member& member, std::vector<std::byte>& out) {
  Stream& stream = *member.stream_;
  if (member.next_ != stream.end()) {
    Segment& segment = stream.segments[member.next_++ - stream.first];
    const std::size_t before = out.size();
    segment.updates.copy_to(member.peer, member.next_hop, out);
    if (segment.end_of_rib) member.end_of_rib_sent = true;
    --segment.readers;
    drop_read(stream);
    return out.size() != before ? Produced::something : Produced::worked;
  }
  if (!at_end(stream)) {
    generate(stream);
    relieve(stream);
    return Produced::worked;
  }
  Stream& main = *streams_.front();
  if (&stream == &main) return Produced::nothing_left;
  // It has heard everything: back to those who have, too.
  if (!at_end(main)) {
    generate(main);
    relieve(main);
    return Produced::worked;
  }
  move(member, main, main.end());
  return Produced::nothing_left;
}

// What to say.

void UpdateGroup::generate(Stream& stream) {
  Segment segment;
  segment.start = stream.at;
  segment.readers = stream.members;
  if (stream.members == 0) stream.from_nothing = false;  // nobody could begin with what is left out
  scan(stream, *batch_);
  if (stream.members != 0) encode(stream, *batch_, segment);
  batch_->clear(advertisements_);
  advertisements_.settle();
  if (stream.at.end_of_rib_due && !stream.at.walking) {
    stream.at.end_of_rib_due = false;
    segment.updates.end_of_rib(unicast(key_.rules.family));
    segment.end_of_rib = true;
  }
  if (stream.members != 0 && !segment.updates.empty()) {
    stream.backlog += segment.updates.size();
    stream.segments.push_back(std::move(segment));
  }
  drop_read(stream);
}

/// A segment is to be a small part of the backlog.
bool UpdateGroup::full(const Batch& batch) const {
  return batch.octets() >= std::min(batch_octets, max_backlog_ / 4);
}

void UpdateGroup::scan(Stream& stream, Batch& batch) {
  const std::size_t most =
      key_.rules.policy.rules() == nullptr ? batch_places : batch_places_with_rules;
  if (stream.at.walking) {
    const NetId places = rib_.places(key_.rules.family);
    for (std::size_t i = 0; i < most && !full(batch) && stream.at.walk < places; ++i) {
      consider(stream, stream.at.walk++, batch);
    }
    stream.at.walking = stream.at.walk < places;
    return;
  }
  std::size_t count = 0;
  stream.at.position =
      journal().walk(stream.at.position, journal().end(), [&](const Journal::Entry& entry) {
        consider(stream, entry.net, batch);
        return ++count < most && !full(batch);
      });
}

void UpdateGroup::consider(const Stream& stream, NetId net, Batch& batch) {
  if (!rib_.alive(key_.rules.family, net)) return;
  // The journal brings it again once the kernel has it.
  if (rib_.awaits_install(key_.rules.family, net)) return;
  const AdvertisementTable::Id id = current(net);
  if (&stream == streams_.front().get()) {
    consider_told(net, id, batch);
  } else {
    consider_behind(stream, net, id, batch);
  }
}

AdvertisementTable::Id UpdateGroup::current(NetId net) {
  const Family family = key_.rules.family;
  const auto best = rib_.best(family, net);
  if (!best) return 0;
  const auto made = advertised_as(key_.rules, policy_, rib_, rib_.prefix(family, net), *best);
  return made ? advertisements_.intern(*made) : 0;
}

/// For those who know what `told` says: only what differs, or may.
void UpdateGroup::consider_told(NetId net, AdvertisementTable::Id current, Batch& batch) {
  const AdvertisementTable::Id old = told(net) & id_bits;
  const bool unsure = (told(net) & maybe) != 0;
  if (current == old && !unsure) return;
  const PeerId before = advertisements_[old].source;
  if (current == 0) {
    batch.withdraw(net, unsure ? Audience{} : Audience{Audience::Kind::all_but, before});
  } else {
    batch.announce(net, current, advertisements_, rib_.attributes());
    // The one we have it from now does not get it back, and loses what it had from us.
    const PeerId source = advertisements_[current].source;
    const bool had = unsure || (old != 0 && source != before);
    if (had && source != PeerId::local) {
      batch.withdraw(net, {Audience::Kind::only, source});
    }
  }
  tell(net, current);
}

/// For those who may hold anything that was ever told.
void UpdateGroup::consider_behind(const Stream& stream, NetId net, AdvertisementTable::Id current,
                                  Batch& batch) {
  // During the walk the past is not the question: what changed since the stream's position comes
  // with the journal.
  const bool held = stream.may_hold(net) || (!stream.at.walking && told(net) != 0);
  if (current != (told(net) & id_bits)) told_entry(net) |= maybe;
  if (current == 0) {
    if (held) batch.withdraw(net, {});
    return;
  }
  batch.announce(net, current, advertisements_, rib_.attributes());
  const PeerId source = advertisements_[current].source;
  if (held && source != PeerId::local) batch.withdraw(net, {Audience::Kind::only, source});
}

std::uint32_t& UpdateGroup::told_entry(NetId net) {
  if (net >= told_.size()) told_.resize(std::size_t{net} + 1);
  return told_[net];
}

void UpdateGroup::tell(NetId net, AdvertisementTable::Id id) {
  const auto count = [&](AdvertisementTable::Id of, std::uint64_t by) {
    const auto source = static_cast<std::size_t>(advertisements_[of].source);
    if (source >= told_from_.size()) told_from_.resize(source + 1);
    told_from_[source] += by;
    told_count_ += by;
  };
  std::uint32_t& entry = told_entry(net);
  const AdvertisementTable::Id old = entry & id_bits;
  if (id != 0) {
    advertisements_.hold(id);
    count(id, 1);
  }
  if (old != 0) {
    count(old, std::uint64_t{0} - 1);
    advertisements_.release(old);
  }
  // With members elsewhere it is not known any more what was withdrawn from everybody.
  const bool alone = streams_.size() == 1;
  entry = id | (alone ? 0 : maybe);
}

void UpdateGroup::encode(const Stream& stream, Batch& batch, Segment& segment) {
  const Family family = key_.rules.family;
  const AfiSafi wire_family = unicast(family);
  for (const Batch::List& list : batch.withdrawals()) {
    nlri_.clear();
    batch.for_each(list, [&](NetId net) {
      nlri_.push_back({rib_.prefix(family, net), 0});
      segment.withdrawn.push_back(net);
    });
    segment.updates.withdraw(list.audience, wire_family, nlri_, key_.negotiated);
  }
  for (const Batch::List& list : batch.announcements()) {
    const Advertisement& what = advertisements_[list.advertisement];
    nlri_.clear();
    batch.for_each(list, [&](NetId net) { nlri_.push_back({rib_.prefix(family, net), 0}); });
    attributes_.clear();
    encode_attributes(exported(key_.rules, rib_.attributes(), what), key_.negotiated.four_octet_as,
                      attributes_);
    const bool ours = what.next_hop == NextHopId::local;
    PathNextHop next_hop = next_hop_;
    if (!ours) {
      const PeerNextHop& named = rib_.next_hop(what.next_hop);
      next_hop = {named.address, {}};
    }
    const std::size_t fitted = segment.updates.announce(list.audience, wire_family, next_hop, ours,
                                                        attributes_, nlri_, key_.negotiated);
    if (fitted == nlri_.size()) continue;
    std::vector<NetId> nets;
    batch.for_each(list, [&](NetId net) { nets.push_back(net); });
    withhold(stream, std::span(nets).subspan(fitted), segment);
  }
}

/// What fits no message must not leave an older version with the peers (RFC 4271 9.2 says nothing;
/// two daemons loop).
void UpdateGroup::withhold(const Stream& stream, std::span<const NetId> nets, Segment& segment) {
  const Family family = key_.rules.family;
  too_big_ += nets.size();
  nlri_.clear();
  for (const NetId net : nets) {
    if (&stream == streams_.front().get()) tell(net, 0);
    nlri_.push_back({rib_.prefix(family, net), 0});
    segment.withdrawn.push_back(net);
  }
  segment.updates.withdraw({}, unicast(family), nlri_, key_.negotiated);
}

// Views.

std::uint64_t UpdateGroup::advertised(PeerId peer) const {
  const auto source = static_cast<std::size_t>(peer);
  return told_count_ - (source < told_from_.size() ? told_from_[source] : 0);
}

std::uint32_t UpdateGroup::advertised_to(NetId net) const {
  const AdvertisementTable::Id id = told(net) & id_bits;
  if (id == 0) return 0;
  const PeerId source = advertisements_[id].source;
  return static_cast<std::uint32_t>(
      std::count_if(members_.begin(), members_.end(),
                    [&](const Member* member) { return member->peer != source; }));
}

void UpdateGroup::routes_at(const Member& member, NetId net,
                            std::vector<AdjOut::Route>& routes) const {
  if (member.stream_ != streams_.front().get()) return;
  const AdvertisementTable::Id id = told(net) & id_bits;
  if (id != 0 && advertisements_[id].source != member.peer) routes.push_back({0, id});
}

std::optional<std::uint64_t> UpdateGroup::caught_up(const Member& member) const {
  if (member.stream_ != streams_.front().get()) return std::nullopt;
  return member.moves_;
}

std::optional<PathNextHop> UpdateGroup::describe(AdvertisementTable::Id id,
                                                 std::vector<std::byte>& attributes) const {
  const Advertisement& what = advertisements_[id];
  encode_attributes(exported(key_.rules, rib_.attributes(), what), true, attributes);
  if (what.next_hop == NextHopId::local) return std::nullopt;
  return PathNextHop{rib_.next_hop(what.next_hop).address, {}};
}

std::size_t UpdateGroup::memory() const {
  std::size_t octets = told_.capacity() * sizeof(std::uint32_t) + advertisements_.memory();
  for (const auto& each : streams_) octets += each->backlog;
  return octets;
}

}  // namespace weft::bgp
