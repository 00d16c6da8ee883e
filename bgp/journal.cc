#include "bgp/journal.h"

#include <cassert>

namespace weft::bgp {

namespace {
/// Below this many entries compaction is not worth its walk.
constexpr std::size_t compaction_floor = 4096;
}  // namespace

Journal::Reader Journal::subscribe(Position from) {
  assert(from <= end_);
  ++open_readers_;
  const auto free = std::find(readers_.begin(), readers_.end(), closed);
  if (free != readers_.end()) {
    *free = from;
    return static_cast<Reader>(free - readers_.begin());
  }
  readers_.push_back(from);
  return static_cast<Reader>(readers_.size() - 1);
}

void Journal::unsubscribe(Reader reader) {
  assert(readers_[reader] != closed);
  readers_[reader] = closed;
  --open_readers_;
}

void Journal::advance(Reader reader, Position to) {
  assert(readers_[reader] <= to && to <= end_);
  readers_[reader] = to;
}

void Journal::note(NetId net) {
  if (net >= last_.size()) last_.resize(std::size_t{net} + 1);
  if (changes_.size() > 2 * compacted_size_ + compaction_floor) compact();
  const auto position = static_cast<std::uint32_t>(end_);
  changes_.push_back({net, position});
  last_[net] = position;
  ++end_;
}

void Journal::compact() {
  std::erase_if(changes_, [&](const Change& change) { return !live(change); });
  compacted_size_ = changes_.size();
}

std::size_t Journal::index_of(Position from) const {
  const auto at = std::partition_point(changes_.begin(), changes_.end(), [&](const Change& change) {
    return widened(change.position) < from;
  });
  return static_cast<std::size_t>(at - changes_.begin());
}

bool Journal::awaited(NetId net) const {
  if (net >= last_.size()) return false;
  const std::size_t index = index_of(widened(last_[net]));
  return index < changes_.size() && changes_[index].net == net && live(changes_[index]);
}

void Journal::trim(std::vector<NetId>& passed) {
  Position least = end_;
  for (const Position each : readers_) least = std::min(least, each);
  while (!changes_.empty() && widened(changes_.front().position) < least) {
    if (live(changes_.front())) passed.push_back(changes_.front().net);
    changes_.pop_front();
  }
  if (changes_.empty()) compacted_size_ = 0;
}

std::size_t Journal::memory() const {
  return changes_.size() * sizeof(Change) + last_.capacity() * sizeof(std::uint32_t);
}

}  // namespace weft::bgp
