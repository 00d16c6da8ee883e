#include "bgp/update_group.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weft::bgp {

namespace {

/// Beside the advertisement's number in `told`: some peer may hold something else, or nothing.
constexpr std::uint32_t maybe = 1U << 31;
constexpr std::uint32_t id_bits = maybe - 1;

/// Prefixes and paths looked at, and octets packed, in one go: what bounds the time a step takes.
constexpr std::size_t batch_places = 16384;
/// The same where each may have to go through the rules of a policy.
constexpr std::size_t batch_places_with_rules = 1024;
constexpr std::size_t batch_octets = 48UL * 1024;
}  // namespace

UpdateGroup::UpdateGroup(Rib& rib, Key key, const PathNextHop& next_hop, std::size_t backlog)
    : rib_(rib),
      key_(std::move(key)),
      next_hop_(next_hop),
      max_backlog_(backlog),
      policy_(key_.rules.policy, Direction::to_export),
      advertisements_(rib) {
  if (key_.rules.add_path.paths != AddPathSend::Paths::one) told_paths_.emplace(advertisements_);
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
  Stream& own = open({before.position, 0, true, before.end_of_rib_due, before.marks_due});
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
  auto held = std::make_shared<Held>();
  if (told_paths_) {
    note_held_paths(stream, *held);
    return {place.position, place.end_of_rib_due, place.marks_due, std::move(held)};
  }
  held->nets.resize(std::max(told_.size(), stream.held == nullptr ? 0 : stream.held->nets.size()));
  for (std::size_t net = 0; net < held->nets.size(); ++net) {
    const auto number = static_cast<NetId>(net);
    held->nets[net] = told(number) != 0 || stream.may_hold(number);
  }
  return {place.position, place.end_of_rib_due, place.marks_due, std::move(held)};
}

void UpdateGroup::refresh(Member& member) {
  Stream& stream = *member.stream_;
  expect_withdrawals(stream, member.next_);
  const bool unread = member.next_ != stream.end();
  Place place = unread ? stream.segments[member.next_ - stream.first].start : stream.at;
  place.walk = 0;
  place.walking = true;
  // Before End-of-RIB there must be no BoRR, and nothing to find stale either (RFC 7313 4).
  const bool marked = member.enhanced_refresh && !place.end_of_rib_due;
  place.marks_due = {marked, marked};
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
    for (const NetPath& path : stream.segments[i - stream.first].withdrawn) {
      if (told_paths_) {
        expect_withdrawal_of_path(path);
      } else {
        told_entry(path.net) |= maybe;
      }
    }
  }
}

/// Members that hold up too much fall back to their place in the table and the journal.
void UpdateGroup::relieve(Stream& stream) {
  ++stream.members;  // lest it closes with the last of them
  // One segment alone stays, however long: the paths of a single prefix may exceed any backlog.
  while (stream.backlog > max_backlog_ && stream.segments.size() > 1) {
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
  // Who still waits for End-of-RIB stays where it will come.
  if (&stream == &main || stream.at.end_of_rib_due) return Produced::nothing_left;
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
  if (stream.members != 0) mark_refresh(stream.at, segment);
  scan(stream, batch_);
  if (stream.members != 0) encode(stream, batch_, segment);
  batch_.clear(advertisements_);
  advertisements_.settle();
  if (stream.members != 0 && !stream.at.walking) mark_refresh(stream.at, segment);
  if (end_of_rib_ready(stream)) {
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

/// The mark that is due at this place of the stream.
void UpdateGroup::mark_refresh(Place& at, Segment& segment) {
  using Subtype = RouteRefresh::Subtype;
  bool& due = at.walking ? at.marks_due.begin : at.marks_due.end;
  if (!std::exchange(due, false)) return;
  segment.updates.refresh({unicast(key_.rules.family), at.walking ? Subtype::begin : Subtype::end});
}

/// A segment is to be a small part of the backlog.
bool UpdateGroup::full(const UpdateBatch& batch) const {
  return batch.octets() >= std::min(batch_octets, max_backlog_ / 4);
}

void UpdateGroup::scan(Stream& stream, UpdateBatch& batch) {
  const std::size_t most =
      key_.rules.policy.rules() == nullptr ? batch_places : batch_places_with_rules;
  if (stream.at.walking) {
    const NetId places = rib_.places(key_.rules.family);
    for (std::size_t i = 0; i < most && !full(batch) && stream.at.walk < places;) {
      i += consider(stream, stream.at.walk++, batch);
    }
    stream.at.walking = stream.at.walk < places;
    return;
  }
  std::size_t count = 0;
  stream.at.position =
      journal().walk(stream.at.position, journal().end(), [&](const Journal::Entry& entry) {
        count += consider(stream, entry.net, batch);
        return count < most && !full(batch);
      });
}

/// Returns how many prefixes and paths were looked at.
std::size_t UpdateGroup::consider(const Stream& stream, NetId net, UpdateBatch& batch) {
  if (!rib_.alive(key_.rules.family, net)) return 1;
  const bool main = &stream == streams_.front().get();
  if (rib_.awaits_install(key_.rules.family, net)) {
    if (!main) keep_told(stream, net, batch);
    return 1;  // the journal brings it again once the kernel has it
  }
  if (told_paths_) {
    find_wanted(net);
    if (main) {
      consider_told_paths(net, batch);
    } else {
      consider_behind_paths(stream, net, batch);
    }
    return 1 + usable_.size();
  }
  const AdvertisementTable::Id id = current(net);
  if (main) {
    consider_told(net, id, batch);
  } else {
    consider_behind(stream, net, id, batch);
  }
  return 1;
}

/// default-originate, while its condition holds.
std::optional<BestPath> UpdateGroup::offered_default(NetId net) const {
  const DefaultOriginate& how = key_.rules.default_originate;
  if (!how.on || rib_.prefix(key_.rules.family, net).length() != 0) return {};
  if (how.condition && !rib_.is_learned(*how.condition)) return {};
  auto found = rib_.offered(key_.rules.family, net);
  // Two that tell each other a default route while they have one would keep it up by themselves.
  if (found && how.condition) found->peer = rib_.best_peer(*how.condition);
  return found;
}

AdvertisementTable::Id UpdateGroup::current(NetId net) {
  const Family family = key_.rules.family;
  auto best = offered_default(net);
  if (!best) best = rib_.best(family, net);
  if (!best) return 0;
  const auto made = advertised_as(key_.rules, policy_, rib_, rib_.prefix(family, net), *best);
  return made ? advertisements_.intern(*made) : 0;
}

/// For those who know what `told` says: only what differs, or may.
void UpdateGroup::consider_told(NetId net, AdvertisementTable::Id current, UpdateBatch& batch) {
  const AdvertisementTable::Id old = told(net) & id_bits;
  const bool unsure = (told(net) & maybe) != 0;
  if (current == old && !unsure) return;
  const PeerId before = advertisements_[old].source;
  if (current == 0) {
    batch.withdraw({net}, unsure ? Audience{} : Audience{Audience::Kind::all_but, before});
  } else {
    batch.announce({net}, current, advertisements_, rib_.attributes());
    // The one we have it from now does not get it back, and loses what it had from us.
    const PeerId source = advertisements_[current].source;
    const bool had = unsure || (old != 0 && source != before);
    if (had && source != PeerId::local) {
      batch.withdraw({net}, {Audience::Kind::only, source});
    }
  }
  tell(net, current);
}

/// For those who may hold anything that was ever told.
void UpdateGroup::consider_behind(const Stream& stream, NetId net, AdvertisementTable::Id current,
                                  UpdateBatch& batch) {
  // During the walk the past is not the question: what changed since the stream's position comes
  // with the journal.
  const bool held = stream.may_hold(net) || (!stream.at.walking && told(net) != 0);
  if (current != (told(net) & id_bits)) told_entry(net) |= maybe;
  if (current == 0) {
    if (held) batch.withdraw({net}, {});
    return;
  }
  batch.announce({net}, current, advertisements_, rib_.attributes());
  const PeerId source = advertisements_[current].source;
  if (held && source != PeerId::local) batch.withdraw({net}, {Audience::Kind::only, source});
}

/// The kernel has yet to answer: until then what was told stands, also for who hears the table from
/// its beginning. What each of them holds is not known any more when the answer comes.
void UpdateGroup::keep_told(const Stream& stream, NetId net, UpdateBatch& batch) {
  if (told_paths_) return keep_told_paths(stream, net, batch);
  const AdvertisementTable::Id id = told(net) & id_bits;
  if (id != 0 && stream.at.walking) batch.announce({net}, id, advertisements_, rib_.attributes());
  told_entry(net) |= maybe;
}

std::uint32_t& UpdateGroup::told_entry(NetId net) {
  if (net >= told_.size()) told_.resize(std::size_t{net} + 1);
  return told_[net];
}

void UpdateGroup::count_told(PeerId source, std::uint64_t by) {
  const auto index = static_cast<std::size_t>(source);
  if (index >= told_from_.size()) told_from_.resize(index + 1);
  told_from_[index] += by;
  told_count_ += by;
}

void UpdateGroup::tell(NetId net, AdvertisementTable::Id id) {
  std::uint32_t& entry = told_entry(net);
  const AdvertisementTable::Id old = entry & id_bits;
  if (id != 0) {
    advertisements_.hold(id);
    count_told(advertisements_[id].source, 1);
  }
  if (old != 0) {
    count_told(advertisements_[old].source, std::uint64_t{0} - 1);
    advertisements_.release(old);
  }
  // With members elsewhere it is not known any more what was withdrawn from everybody.
  const bool alone = streams_.size() == 1;
  entry = id | (alone ? 0 : maybe);
}

void UpdateGroup::encode(const Stream& stream, UpdateBatch& batch, Segment& segment) {
  const Family family = key_.rules.family;
  const AfiSafi wire_family = unicast(family);
  for (const UpdateBatch::List& list : batch.withdrawals()) {
    nlri_.clear();
    batch.for_each(list, [&](const NetPath& path) {
      nlri_.push_back({rib_.prefix(family, path.net), path.path_id});
      segment.withdrawn.push_back(path);
    });
    segment.updates.withdraw(list.audience, wire_family, nlri_, key_.negotiated);
  }
  for (const UpdateBatch::List& list : batch.announcements()) {
    const Advertisement& what = advertisements_[list.advertisement];
    nlri_.clear();
    batch.for_each(list, [&](const NetPath& path) {
      nlri_.push_back({rib_.prefix(family, path.net), path.path_id});
    });
    attributes_.clear();
    encode_attributes(exported(key_.rules, rib_, what), key_.negotiated.four_octet_as, attributes_);
    const bool ours = what.next_hop == NextHopId::local;
    PathNextHop next_hop = next_hop_;
    if (!ours) {
      const PeerNextHop& named = rib_.next_hop(what.next_hop);
      next_hop = {named.address, {}};
    }
    const std::size_t fitted = segment.updates.announce(list.audience, wire_family, next_hop, ours,
                                                        attributes_, nlri_, key_.negotiated);
    if (fitted == nlri_.size()) continue;
    std::vector<NetPath> paths;
    batch.for_each(list, [&](const NetPath& path) { paths.push_back(path); });
    withhold(stream, std::span(paths).subspan(fitted), segment);
  }
}

/// What fits no message must not leave an older version with the peers (RFC 4271 9.2 says nothing;
/// two daemons loop).
void UpdateGroup::withhold(const Stream& stream, std::span<const NetPath> paths, Segment& segment) {
  const Family family = key_.rules.family;
  const bool main = &stream == streams_.front().get();
  too_big_ += paths.size();
  nlri_.clear();
  for (const NetPath& path : paths) {
    if (main && told_paths_) untell_path(path);
    if (main && !told_paths_) tell(path.net, 0);
    nlri_.push_back({rib_.prefix(family, path.net), path.path_id});
    segment.withdrawn.push_back(path);
  }
  segment.updates.withdraw({}, unicast(family), nlri_, key_.negotiated);
}

// Views.

std::uint64_t UpdateGroup::advertised(PeerId peer) const {
  const auto source = static_cast<std::size_t>(peer);
  return told_count_ - (source < told_from_.size() ? told_from_[source] : 0);
}

std::uint32_t UpdateGroup::advertised_to(NetId net) const {
  if (told_paths_) {
    const auto told = told_paths_->of(net);
    return static_cast<std::uint32_t>(
        std::count_if(members_.begin(), members_.end(), [&](const Member* member) {
          return std::any_of(told.begin(), told.end(), [&](const ToldPaths::Entry& each) {
            return each.advertisement != 0 && source_of(each.path_id) != member->peer;
          });
        }));
  }
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
  if (told_paths_) {
    for (const ToldPaths::Entry& each : told_paths_->of(net)) {
      if (each.advertisement != 0 && source_of(each.path_id) != member.peer)
        routes.push_back({each.path_id, each.advertisement});
    }
    return;
  }
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
  encode_attributes(exported(key_.rules, rib_, what), true, attributes);
  if (what.next_hop == NextHopId::local) return std::nullopt;
  return PathNextHop{rib_.next_hop(what.next_hop).address, {}};
}

std::size_t UpdateGroup::memory() const {
  std::size_t octets = told_.capacity() * sizeof(std::uint32_t) + advertisements_.memory();
  if (told_paths_) octets += told_paths_->memory();
  for (const auto& each : streams_) octets += each->backlog;
  return octets;
}

}  // namespace weft::bgp
