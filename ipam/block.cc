#include "ipam/block.h"

#include <cassert>

#include "ipam/pool.h"

namespace weft::ipam {

Block::Block(std::uint32_t capacity) : slots_(capacity) {
  assert(capacity >= 1 && capacity <= block_capacity_limit);
  for (std::uint32_t ordinal = 0; ordinal < capacity; ++ordinal) link_after(last_, ordinal);
}

bool Block::is_cooling(const Slot& slot, Time now, std::chrono::seconds cool_down) const {
  return slot.freed_at && now < *slot.freed_at + cool_down;
}

std::optional<std::uint32_t> Block::next(Time now, std::chrono::seconds cool_down,
                                         std::optional<std::uint32_t> after) const {
  const std::uint16_t place = after ? slots_[*after].after : first_;
  if (place == none || is_cooling(slots_[place], now, cool_down)) return std::nullopt;
  return place;
}

std::optional<Time> Block::next_ready(std::chrono::seconds cool_down) const {
  if (first_ == none) return std::nullopt;
  const Slot& slot = slots_[first_];
  return slot.freed_at ? *slot.freed_at + cool_down : Time{};
}

void Block::reserve(std::uint32_t ordinal, bool reserved) {
  if (slots_[ordinal].reserved == reserved) return;
  change(ordinal, [&](Slot& slot) { slot.reserved = reserved; });
}

void Block::quarantine(std::uint32_t ordinal) {
  if (slots_[ordinal].held || slots_[ordinal].quarantined || slots_[ordinal].lent) return;
  change(ordinal, [](Slot& slot) { slot.quarantined = true; });
  ++quarantined_;
}

void Block::acquit(std::uint32_t ordinal, Time now) {
  if (!slots_[ordinal].quarantined) return;
  change(ordinal, [&](Slot& slot) {
    slot.quarantined = false;
    slot.freed_at = now;
  });
  --quarantined_;
}

bool Block::is_quarantined(std::uint32_t ordinal) const {
  return slots_[ordinal].quarantined;
}

void Block::lend(std::uint32_t ordinal) {
  if (slots_[ordinal].held || slots_[ordinal].lent) return;
  if (slots_[ordinal].quarantined) --quarantined_;
  change(ordinal, [](Slot& slot) {
    slot.quarantined = false;
    slot.lent = true;
  });
  ++lent_;
}

void Block::take_back(std::uint32_t ordinal, Time now) {
  if (!slots_[ordinal].lent) return;
  change(ordinal, [&](Slot& slot) {
    slot.lent = false;
    slot.freed_at = now;
  });
  --lent_;
}

bool Block::is_free(std::uint32_t ordinal) const {
  return slots_[ordinal].queued();
}

void Block::hold(std::uint32_t ordinal) {
  assert(!slots_[ordinal].held);
  if (slots_[ordinal].quarantined) --quarantined_;
  if (slots_[ordinal].lent) --lent_;
  change(ordinal, [](Slot& slot) {
    slot.quarantined = false;
    slot.lent = false;
    slot.held = true;
  });
  ++held_;
}

void Block::free(std::uint32_t ordinal, Time freed_at) {
  if (slots_[ordinal].held) --held_;
  change(ordinal, [&](Slot& slot) {
    slot.held = false;
    slot.freed_at = freed_at;
  });
}

template <typename Change>
void Block::change(std::uint32_t ordinal, const Change& change) {
  Slot& slot = slots_[ordinal];
  if (slot.queued()) unlink(ordinal);
  change(slot);
  if (slot.queued()) link(ordinal);
}

bool Block::is_held(std::uint32_t ordinal) const {
  return slots_[ordinal].held;
}

Block::Usage Block::usage(Time now, std::chrono::seconds cool_down) const {
  Usage usage;
  for (const Slot& slot : slots_) {
    if (slot.held) {
      ++usage.held;
    } else if (slot.lent) {
      ++usage.lent;
    } else if (slot.reserved) {
      ++usage.reserved;
    } else if (slot.quarantined) {
      ++usage.quarantined;
    } else if (is_cooling(slot, now, cool_down)) {
      ++usage.cooling;
    } else {
      ++usage.free;
    }
  }
  return usage;
}

void Block::unlink(std::uint32_t ordinal) {
  const Slot& slot = slots_[ordinal];
  (slot.before == none ? first_ : slots_[slot.before].after) = slot.after;
  (slot.after == none ? last_ : slots_[slot.after].before) = slot.before;
}

void Block::link(std::uint32_t ordinal) {
  const std::optional<Time> freed_at = slots_[ordinal].freed_at;
  // What was never used goes before all that was.
  const auto later = [&](const Slot& other) {
    return other.freed_at && (!freed_at || *other.freed_at > *freed_at);
  };
  std::uint16_t place = last_;
  while (place != none && later(slots_[place])) place = slots_[place].before;
  link_after(place, ordinal);
}

void Block::link_after(std::uint16_t place, std::uint32_t ordinal) {
  const auto self = static_cast<std::uint16_t>(ordinal);
  Slot& slot = slots_[ordinal];
  slot.before = place;
  slot.after = place == none ? first_ : slots_[place].after;
  (slot.before == none ? first_ : slots_[slot.before].after) = self;
  (slot.after == none ? last_ : slots_[slot.after].before) = self;
}

}  // namespace weft::ipam
