// Block: the ordinals of one block, each free, held, cooling, reserved, quarantined or lent. Free
// ones wait in a queue in the order they were freed, so the address handed out is always the one
// unused for longest; a freed one rests for the cool-down before its turn comes (peers may still
// hold connections to its last owner). Not here: who holds an ordinal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "net/time.h"

namespace weft::ipam {

class Block {
 public:
  /// All ordinals free, in rising order, none cooling. 1 <= capacity <= block_capacity_limit.
  explicit Block(std::uint32_t capacity);

  /// The ordinal whose turn it is, or the one behind `after` in the queue; none when there is no
  /// other or it cools until after `now`. It stays free.
  [[nodiscard]] std::optional<std::uint32_t> next(
      Time now, std::chrono::seconds cool_down,
      std::optional<std::uint32_t> after = std::nullopt) const;
  [[nodiscard]] bool is_cooling(std::uint32_t ordinal, Time now,
                                std::chrono::seconds cool_down) const {
    return is_cooling(slots_[ordinal], now, cool_down);
  }
  /// None: never used.
  [[nodiscard]] std::optional<Time> freed_at(std::uint32_t ordinal) const {
    return slots_[ordinal].freed_at;
  }
  /// When next() may give one again; none when every ordinal is held.
  [[nodiscard]] std::optional<Time> next_ready(std::chrono::seconds cool_down) const;

  /// A reserved ordinal is not in the queue and never next; one that is held stays held until it
  /// is freed.
  void reserve(std::uint32_t ordinal, bool reserved);
  /// Nor is a quarantined one. It cools when it is let out, at `now`, and is let out when it is
  /// held.
  void quarantine(std::uint32_t ordinal);
  void acquit(std::uint32_t ordinal, Time now);
  [[nodiscard]] bool is_quarantined(std::uint32_t ordinal) const;
  [[nodiscard]] std::uint32_t quarantined() const { return quarantined_; }
  /// Nor one that another host's container has. It cools when it is taken back, at `now`.
  void lend(std::uint32_t ordinal);
  void take_back(std::uint32_t ordinal, Time now);
  [[nodiscard]] bool is_lent(std::uint32_t ordinal) const { return slots_[ordinal].lent; }
  [[nodiscard]] std::uint32_t lent() const { return lent_; }
  /// Neither held nor reserved nor quarantined nor lent; may be cooling.
  [[nodiscard]] bool is_free(std::uint32_t ordinal) const;

  /// Takes an ordinal that is not held, wherever it stands and whether it cools or not.
  void hold(std::uint32_t ordinal);
  /// The ordinal goes to the place in the queue that `freed_at` earns it: the end, but when records
  /// are replayed.
  void free(std::uint32_t ordinal, Time freed_at);

  [[nodiscard]] bool is_held(std::uint32_t ordinal) const;
  [[nodiscard]] std::uint32_t capacity() const { return static_cast<std::uint32_t>(slots_.size()); }
  [[nodiscard]] std::uint32_t held() const { return held_; }
  /// How many are in which state, each counted for itself.
  struct Usage {
    std::uint32_t held = 0;
    std::uint32_t cooling = 0;
    std::uint32_t reserved = 0;
    std::uint32_t quarantined = 0;
    std::uint32_t lent = 0;
    std::uint32_t free = 0;
  };
  [[nodiscard]] Usage usage(Time now, std::chrono::seconds cool_down) const;

 private:
  static constexpr std::uint16_t none = 0xffff;
  struct Slot {
    /// Neighbours in the queue; of no meaning while held.
    std::uint16_t before = none;
    std::uint16_t after = none;
    bool held = false;
    bool reserved = false;
    bool quarantined = false;
    bool lent = false;
    [[nodiscard]] bool queued() const { return !held && !reserved && !quarantined && !lent; }
    /// Never used before: no cool-down.
    std::optional<Time> freed_at;
  };

  [[nodiscard]] bool is_cooling(const Slot& slot, Time now, std::chrono::seconds cool_down) const;
  /// Out of the queue, changed, and in again when it still belongs there.
  template <typename Change>
  void change(std::uint32_t ordinal, const Change& change);
  void unlink(std::uint32_t ordinal);
  /// To the place that its freed_at earns it.
  void link(std::uint32_t ordinal);
  void link_after(std::uint16_t place, std::uint32_t ordinal);

  std::vector<Slot> slots_;
  std::uint16_t first_ = none;
  std::uint16_t last_ = none;
  std::uint32_t held_ = 0;
  std::uint32_t quarantined_ = 0;
  std::uint32_t lent_ = 0;
};

}  // namespace weft::ipam
