// Journal: which prefixes' best paths changed, in order, for consumers that read at their own pace.
// A prefix that changes again moves to the tail, so that a slow consumer sees the last state once
// and holds a cursor, never a queue. Not here: what the change was; the reader looks the state up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
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
  void touch(NetId net);

  struct Entry {
    Position position = 0;
    NetId net = 0;
  };
  /// The first entry at `from` or later that no later one of its prefix has replaced, and before
  /// `until`.
  [[nodiscard]] std::optional<Entry> next(Position from, Position until) const;

  /// True while some reader has yet to see the last change of the prefix.
  [[nodiscard]] bool awaited(NetId net) const;
  /// Drops what all readers have passed, and appends to `passed` the prefixes whose last change
  /// that was.
  void trim(std::vector<NetId>& passed);

  [[nodiscard]] std::size_t memory() const;

 private:
  struct Change {
    NetId net;
    std::uint32_t position;  // low half; a journal never spans 2^31
  };
  [[nodiscard]] Position widened(std::uint32_t low) const;
  [[nodiscard]] bool live(const Change& change) const {
    return last_[change.net] == change.position;
  }
  [[nodiscard]] std::size_t index_of(Position from) const;
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
