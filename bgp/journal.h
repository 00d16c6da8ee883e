// Journal: which prefixes' best paths changed, in order, for consumers that read at their own pace.
// A prefix that changes again moves to the tail, so that a slow consumer sees the last state once
// and holds a cursor, never a queue. Not here: what the change was; the reader looks the state up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

namespace weft::bgp {

/// A prefix's place in a route table; stable while the prefix has paths or readers that have not
/// seen it go.
using NetId = std::uint32_t;

class Journal {
 public:
  /// Counts changes from 1; never reused.
  using Position = std::uint64_t;

  /// Readers hold a place in the journal; without any, nothing is kept.
  using Reader = std::uint32_t;
  [[nodiscard]] Reader subscribe(Position from);
  void unsubscribe(Reader reader);
  [[nodiscard]] Position position(Reader reader) const { return readers_[reader]; }
  void advance(Reader reader, Position to);

  /// The position the next change gets.
  [[nodiscard]] Position end() const { return end_; }
  /// The prefix has changed.
  void touch(NetId net) {
    if (open_readers_ != 0) note(net);
  }

  struct Entry {
    Position position = 0;
    NetId net = 0;
  };
  /// Calls `each` with the entries from `from` on and before `until` that no later change of their
  /// prefix has replaced, for as long as it returns true. Returns where to go on.
  template <typename Each>
  Position walk(Position from, Position until, Each each) const {
    for (std::size_t i = index_of(from); i < changes_.size(); ++i) {
      const Change& change = changes_[i];
      const Position position = widened(change.position);
      if (position >= until) break;
      if (live(change) && !each(Entry{position, change.net})) return position + 1;
    }
    return std::max(from, until);
  }

  /// True while some reader has yet to see the last change of the prefix.
  [[nodiscard]] bool awaited(NetId net) const;
  /// Drops what all readers have passed, and appends to `passed` the prefixes whose last change
  /// that was.
  void trim(std::vector<NetId>& passed);

  [[nodiscard]] std::size_t memory() const;

 private:
  struct Change {
    NetId net;
    std::uint32_t position;  // low half; a journal never spans 2^32
  };
  [[nodiscard]] Position widened(std::uint32_t low) const {
    return end_ - static_cast<std::uint32_t>(static_cast<std::uint32_t>(end_) - low);
  }
  [[nodiscard]] bool live(const Change& change) const {
    return last_[change.net] == change.position;
  }
  [[nodiscard]] std::size_t index_of(Position from) const;
  void note(NetId net);
  void compact();

  static constexpr Position closed = std::numeric_limits<Position>::max();

  Position end_ = 1;
  std::deque<Change> changes_;
  std::vector<std::uint32_t> last_;  // by NetId: low half of its last position
  std::vector<Position> readers_;    // `closed` where the slot is free
  std::size_t open_readers_ = 0;
  std::size_t compacted_size_ = 0;
};

}  // namespace weft::bgp
