// The part of UpdateGroup that tells several paths of a prefix (RFC 7911). The rules are those of
// update_group.cc, path by path. A path identifier names the peer its path came from, so who must
// not be told a path is known from the identifier alone.
#include <algorithm>
#include <limits>

#include "bgp/update_batch.h"
#include "bgp/update_group.h"

namespace weft::bgp {

namespace {

Audience all_but_source(std::uint32_t path_id) {
  return {Audience::Kind::all_but, source_of(path_id)};
}

bool before(const ToldPaths::Entry& a, const ToldPaths::Entry& b) {
  return a.path_id < b.path_id;
}

const ToldPaths::Entry* find(std::span<const ToldPaths::Entry> entries, std::uint32_t path_id) {
  const auto at =
      std::lower_bound(entries.begin(), entries.end(), ToldPaths::Entry{path_id, 0}, before);
  return at == entries.end() || at->path_id != path_id ? nullptr : &*at;
}

}  // namespace

/// What the group is to hear of the prefix now, in wanted_.
void UpdateGroup::find_wanted(NetId net) {
  const Family family = key_.rules.family;
  const AddPathSend& mode = key_.rules.add_path;
  wanted_.clear();
  rib_.usable_paths(family, net, usable_);
  if (const auto offered = offered_default(net)) {
    usable_.assign(1, {*offered, static_cast<std::uint32_t>(offered->peer) + 1, true});
  }
  std::size_t room =
      mode.paths == AddPathSend::Paths::best ? mode.count : std::numeric_limits<std::size_t>::max();
  for (const UsablePath& each : usable_) {
    if (room == 0) break;
    if (mode.paths == AddPathSend::Paths::ecmp && !each.multipath) continue;
    const auto made = advertised_as(key_.rules, policy_, rib_, rib_.prefix(family, net), each.path);
    if (!made) continue;
    wanted_.push_back({each.path_id, advertisements_.intern(*made)});
    --room;
  }
  std::sort(wanted_.begin(), wanted_.end(), before);
}

/// For those who know what was told: only what differs, or may.
void UpdateGroup::consider_told_paths(NetId net, UpdateBatch& batch) {
  const std::span<const ToldPaths::Entry> old = told_paths_->of(net);
  const bool unsure = told_paths_->unsure(net);
  if (!unsure && std::equal(old.begin(), old.end(), wanted_.begin(), wanted_.end())) return;
  for (const ToldPaths::Entry& each : wanted_) {
    const ToldPaths::Entry* told = find(old, each.path_id);
    if (unsure || told == nullptr || told->advertisement != each.advertisement)
      batch.announce({net, each.path_id}, each.advertisement, advertisements_, rib_.attributes());
  }
  next_ = wanted_;
  for (const ToldPaths::Entry& each : old) {
    if (find(wanted_, each.path_id) != nullptr) continue;
    batch.withdraw({net, each.path_id}, all_but_source(each.path_id));
    next_.push_back({each.path_id, 0});
  }
  tell_paths(net);
}

/// For those who may hold anything that was ever told.
void UpdateGroup::consider_behind_paths(const Stream& stream, NetId net, UpdateBatch& batch) {
  const std::span<const ToldPaths::Entry> old = told_paths_->of(net);
  for (const ToldPaths::Entry& each : wanted_) {
    batch.announce({net, each.path_id}, each.advertisement, advertisements_, rib_.attributes());
  }
  const auto withdraw = [&](std::uint32_t path_id) {
    if (find(wanted_, path_id) == nullptr) batch.withdraw({net, path_id}, all_but_source(path_id));
  };
  if (stream.held != nullptr) {
    for (const std::uint32_t path_id : stream.held->paths_of(net)) {
      if (stream.at.walking || find(old, path_id) == nullptr) withdraw(path_id);
    }
  }
  if (!stream.at.walking) {
    for (const ToldPaths::Entry& each : old) withdraw(each.path_id);
  }
  // What these are told beyond what was told before is to be withdrawn from them one day.
  if (std::equal(old.begin(), old.end(), wanted_.begin(), wanted_.end())) return;
  next_.assign(old.begin(), old.end());
  for (const ToldPaths::Entry& each : wanted_) {
    if (find(old, each.path_id) == nullptr) next_.push_back({each.path_id, 0});
  }
  std::sort(next_.begin(), next_.end(), before);
  told_paths_->set(net, next_, true);
}

/// As keep_told(): what of other paths the stream's members may hold stays known as a ghost.
void UpdateGroup::keep_told_paths(const Stream& stream, NetId net, UpdateBatch& batch) {
  const std::span<const ToldPaths::Entry> old = told_paths_->of(net);
  next_.assign(old.begin(), old.end());
  for (const ToldPaths::Entry& each : old) {
    if (each.advertisement != 0 && stream.at.walking)
      batch.announce({net, each.path_id}, each.advertisement, advertisements_, rib_.attributes());
  }
  if (stream.held != nullptr) {
    for (const std::uint32_t path_id : stream.held->paths_of(net)) {
      if (find(old, path_id) == nullptr) next_.push_back({path_id, 0});
    }
  }
  std::sort(next_.begin(), next_.end(), before);
  told_paths_->set(net, next_, true);
}

/// next_, ghosts at its end, is what the prefix was told from now on.
void UpdateGroup::tell_paths(NetId net) {
  // With members elsewhere it is not known any more what was withdrawn from everybody.
  const bool alone = streams_.size() == 1;
  if (alone) {
    std::erase_if(next_, [](const ToldPaths::Entry& each) { return each.advertisement == 0; });
  }
  std::sort(next_.begin(), next_.end(), before);
  for (const ToldPaths::Entry& each : told_paths_->of(net)) {
    if (each.advertisement != 0) count_told(source_of(each.path_id), std::uint64_t{0} - 1);
  }
  for (const ToldPaths::Entry& each : next_) {
    if (each.advertisement != 0) count_told(source_of(each.path_id), 1);
  }
  told_paths_->set(net, next_, !alone);
}

/// The path fits no message: nobody is told of it.
void UpdateGroup::untell_path(const NetPath& path) {
  const auto old = told_paths_->of(path.net);
  next_.assign(old.begin(), old.end());
  for (ToldPaths::Entry& each : next_) {
    if (each.path_id == path.path_id) each.advertisement = 0;
  }
  tell_paths(path.net);
}

void UpdateGroup::expect_withdrawal_of_path(const NetPath& path) {
  const auto old = told_paths_->of(path.net);
  next_.assign(old.begin(), old.end());
  if (find(old, path.path_id) == nullptr) next_.push_back({path.path_id, 0});
  std::sort(next_.begin(), next_.end(), before);
  told_paths_->set(path.net, next_, true);
}

/// What a member of the stream may hold.
void UpdateGroup::note_held_paths(const Stream& stream, Held& held) const {
  const std::size_t before_count = stream.held == nullptr ? 0 : stream.held->places();
  const std::size_t count = std::max(told_paths_->places(), before_count);
  held.first.push_back(0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto net = static_cast<NetId>(i);
    const auto told = told_paths_->of(net);
    for (const ToldPaths::Entry& each : told) held.path_ids.push_back(each.path_id);
    if (stream.held != nullptr) {
      for (const std::uint32_t path_id : stream.held->paths_of(net)) {
        if (find(told, path_id) == nullptr) held.path_ids.push_back(path_id);
      }
    }
    held.first.push_back(static_cast<std::uint32_t>(held.path_ids.size()));
  }
}

}  // namespace weft::bgp
