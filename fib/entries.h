// Entries: the routes of one family, compactly: 16 octets an IPv4 route (28 IPv6) in chunks that
// never move, and an open-addressing index of 4-octet slots beside them, where neighbouring
// prefixes are neighbours. DirtySlots: which of them need work. Not here: what they mean.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fib/route.h"
#include "net/ip.h"
#include "net/prefix_slots.h"
#include "net/time.h"

namespace weft::fib {

/// What a route leads to: nothing, what its kind says, a shape that is ours but none of these, or a
/// group.
using Target = std::uint32_t;
inline constexpr Target no_target = 0;
inline constexpr Target fixed_target = 0xfffffffe;
inline constexpr Target other_target = 0xffffffff;
constexpr bool is_group(Target target) {
  return target != no_target && target < fixed_target;
}

/// The address as it is stored; in network byte order for IPv6.
using AddressV4 = std::uint32_t;
using AddressV6 = std::array<std::uint32_t, 4>;

template <typename Stored>
struct Entry {
  Stored address{};
  Target want = no_target;
  /// As far as we know.
  Target have = no_target;
  std::uint8_t length = 0;
  Kind kind : 2;
  /// One change is with the kernel; `again`: look again when it is answered.
  bool in_flight : 1;
  bool again : 1;
  /// The kernel may or may not have something of ours here, whatever `have` says.
  bool unsure : 1;
  /// Adopted from a dump and not wanted by anybody yet.
  bool stale : 1;
  /// A foreign route stands at our place.
  bool conflict : 1;
  bool reported : 1;
  /// Refused; waits in a retry list.
  bool failed : 1;
  /// Waits for its group to be installed.
  bool parked : 1;
  /// Found otherwise in the kernel than it should be, not yet repaired.
  bool drifted : 1;
  bool seen : 1;
  /// Something happened to it while a dump was under way, which may be older than that.
  bool overtaken : 1;
  /// Refusals in a row, saturating.
  std::uint8_t failures : 3;
  /// A check has found it in the kernel's dump.
  bool visited : 1;
  /// By number: the table it stands in, and its metric there.
  std::uint8_t place : 7;

  Entry()
      : kind(Kind::learned),
        in_flight(false),
        again(false),
        unsure(false),
        stale(false),
        conflict(false),
        reported(false),
        failed(false),
        parked(false),
        drifted(false),
        seen(false),
        overtaken(false),
        failures(0),
        visited(false),
        place(0) {}
  [[nodiscard]] bool as_wanted() const { return want != no_target && want == have && !unsure; }
  [[nodiscard]] bool idle() const {
    return want == no_target && have == no_target && !unsure && !in_flight;
  }
};
/// What Entry::place has room for.
inline constexpr std::size_t most_places = 128;
static_assert(sizeof(Entry<AddressV4>) == 16);
static_assert(sizeof(Entry<AddressV6>) == 28);

inline void store(const Address& address, AddressV4& out) {
  out = address.v4();
}
inline void store(const Address& address, AddressV6& out) {
  std::memcpy(out.data(), address.octets().data(), 16);
}
inline Address restored(AddressV4 stored) {
  return Address::ipv4(stored);
}
inline Address restored(const AddressV6& stored) {
  return Address::of(std::as_bytes(std::span(stored)));
}

inline Neighbourhood neighbourhood_of(AddressV4 stored, unsigned length) {
  return neighbourhood(stored, length);
}
inline Neighbourhood neighbourhood_of(const AddressV6& stored, unsigned length) {
  const auto number = [&](std::size_t word) { return std::uint64_t{network_order(stored[word])}; };
  return neighbourhood(number(0) << 32U | number(1), number(2) << 32U | number(3), length);
}

template <typename Stored>
class Entries {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  /// `seed` keeps a peer from choosing hash collisions.
  explicit Entries(std::uint64_t seed) : seed_(seed) {}

  [[nodiscard]] Entry<Stored>& operator[](std::uint32_t slot) {
    return (*chunks_[slot / chunk_size])[slot % chunk_size];
  }
  [[nodiscard]] const Entry<Stored>& operator[](std::uint32_t slot) const {
    return (*chunks_[slot / chunk_size])[slot % chunk_size];
  }
  [[nodiscard]] Prefix prefix(std::uint32_t slot) const {
    const Entry<Stored>& entry = (*this)[slot];
    return {restored(entry.address), entry.length};
  }

  /// Its slot, or none.
  [[nodiscard]] std::uint32_t find(const Prefix& prefix, Kind kind, std::uint8_t place = 0) const {
    if (!any_at(place)) return none;
    const std::uint32_t there = index_[position(key_of(prefix, kind, place))];
    return there == 0 ? none : slot_of(there);
  }
  std::uint32_t find_or_insert(const Prefix& prefix, Kind kind, std::uint8_t place = 0) {
    if (index_.empty()) grow();
    const Key key = key_of(prefix, kind, place);
    const std::size_t at = position(key);
    return index_[at] != 0 ? slot_of(index_[at]) : insert(key, at);
  }
  /// Of most places most tables have none.
  [[nodiscard]] bool any_at(std::uint8_t place) const { return at_place_[place] != 0; }
  /// Ahead of find() and find_or_insert(), which wait for little else.
  void prefetch(const Prefix& prefix, Kind kind) const {
    if (!index_.empty()) __builtin_prefetch(&index_[key_of(prefix, kind, 0).hash & mask()]);
  }
  void erase(std::uint32_t slot) {
    Entry<Stored>& entry = (*this)[slot];
    std::size_t at = hash(entry) & mask();
    while (index_[at] == 0 || slot_of(index_[at]) != slot) at = next_slot(at, mask());
    close_gap(at);
    --at_place_[entry.place];
    entry = Entry<Stored>{};
    entry.length = free_mark;
    free_.push_back(slot);
    --size_;
  }
  [[nodiscard]] bool live(std::uint32_t slot) const { return (*this)[slot].length != free_mark; }
  /// Every slot ever used is below.
  [[nodiscard]] std::uint32_t end() const { return end_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t memory() const {
    return chunks_.size() * sizeof(Chunk) + (index_.capacity() + free_.capacity()) * 4;
  }

 private:
  static constexpr std::uint32_t chunk_size = 2048;
  static constexpr std::uint8_t free_mark = 0xff;
  using Chunk = std::array<Entry<Stored>, chunk_size>;

  /// What the index holds: a slot, plus one, below a few bits of the hash, so that few entries of
  /// other prefixes are looked at.
  static constexpr unsigned slot_bits = 26;
  static constexpr std::uint32_t slot_mask = (1U << slot_bits) - 1;

  struct Key {
    Stored address{};
    std::uint8_t length = 0;
    Kind kind = Kind::learned;
    std::uint8_t place = 0;
    std::uint64_t hash = 0;
  };

  [[nodiscard]] Key key_of(const Prefix& prefix, Kind kind, std::uint8_t place) const {
    assert(place < most_places);
    Key key;
    store(prefix.address(), key.address);
    key.length = static_cast<std::uint8_t>(prefix.length());
    key.kind = kind;
    key.place = place;
    key.hash = hash(key.address, key.length, kind, place);
    return key;
  }
  static std::uint32_t slot_of(std::uint32_t indexed) { return (indexed & slot_mask) - 1; }
  static std::uint32_t tag(std::uint64_t hash) {
    return static_cast<std::uint32_t>(hash >> 58U ^ hash) << slot_bits;
  }

  [[nodiscard]] std::size_t mask() const { return index_.size() - 1; }
  [[nodiscard]] std::uint64_t hash(const Stored& address, unsigned length, Kind kind,
                                   unsigned place) const {
    const std::uint64_t rest = place * 1024U + length * 4U + static_cast<unsigned>(kind) + 1U;
    return slot_hash(neighbourhood_of(address, length), seed_ ^ rest * 0x9e3779b97f4a7c15U);
  }
  [[nodiscard]] std::uint64_t hash(const Entry<Stored>& entry) const {
    return hash(entry.address, entry.length, entry.kind, entry.place);
  }
  /// Where it stands in the index, or the empty place where it would.
  [[nodiscard]] std::size_t position(const Key& key) const {
    const std::uint32_t tagged = tag(key.hash);
    std::size_t at = key.hash & mask();
    for (; index_[at] != 0; at = next_slot(at, mask())) {
      if ((index_[at] & ~slot_mask) != tagged) continue;
      const Entry<Stored>& entry = (*this)[slot_of(index_[at])];
      if (entry.address == key.address && entry.length == key.length && entry.kind == key.kind &&
          entry.place == key.place) {
        break;
      }
    }
    return at;
  }

  std::uint32_t insert(const Key& key, std::size_t at) {
    if ((size_ + 1) * 8 > index_.size() * 5) {
      grow();
      at = position(key);
    }
    std::uint32_t slot = end_;
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else {
      assert(end_ < slot_mask);
      if (end_ % chunk_size == 0) chunks_.push_back(std::make_unique<Chunk>());
      ++end_;
    }
    Entry<Stored>& entry = (*this)[slot];
    entry = Entry<Stored>{};
    entry.address = key.address;
    entry.length = key.length;
    entry.kind = key.kind;
    entry.place = key.place & 0x7f;
    index_[at] = tag(key.hash) | (slot + 1);
    ++at_place_[key.place];
    ++size_;
    return slot;
  }
  void grow() {
    index_.assign(index_.empty() ? 64 : index_.size() * 2, 0);
    for (std::uint32_t slot = 0; slot < end_; ++slot) {
      if (!live(slot)) continue;
      const std::uint64_t hashed = hash((*this)[slot]);
      std::size_t at = hashed & mask();
      while (index_[at] != 0) at = next_slot(at, mask());
      index_[at] = tag(hashed) | (slot + 1);
    }
  }
  /// Moves up what would no longer be found past the hole at `gap`.
  void close_gap(std::size_t gap) {
    for (std::size_t at = next_slot(gap, mask()); index_[at] != 0; at = next_slot(at, mask())) {
      const std::size_t wanted = hash((*this)[slot_of(index_[at])]) & mask();
      if (slot_steps(wanted, at, mask()) < slot_steps(gap, at, mask())) continue;
      index_[gap] = index_[at];
      gap = at;
    }
    index_[gap] = 0;
  }

  std::uint64_t seed_;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<std::uint32_t> index_;
  std::vector<std::uint32_t> free_;
  /// Entries, by place.
  std::array<std::uint32_t, most_places> at_place_{};
  std::uint32_t end_ = 0;
  std::size_t size_ = 0;
};

/// A set of slots that is emptied round and round, so that no slot waits for ever behind a busier
/// one. Knows since when (about: the oldest of 64 neighbours) a slot is in it.
class DirtySlots {
 public:
  void set(std::uint32_t slot, Time now) {
    const std::size_t word = slot / 64;
    if (word >= words_.size()) {
      words_.resize(word + 1 + words_.size() / 2);
      since_.resize(words_.size());
    }
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    if ((words_[word] & bit) != 0) return;
    if (words_[word] == 0) since_[word] = now;
    words_[word] |= bit;
    ++size_;
  }
  void clear(std::uint32_t slot) {
    const std::size_t word = slot / 64;
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    if (word >= words_.size() || (words_[word] & bit) == 0) return;
    words_[word] &= ~bit;
    --size_;
  }
  [[nodiscard]] bool contains(std::uint32_t slot) const {
    const std::size_t word = slot / 64;
    return word < words_.size() && (words_[word] >> (slot % 64) & 1U) != 0;
  }
  [[nodiscard]] Time since(std::uint32_t slot) const { return since_[slot / 64]; }
  /// The next slot after the one given last; it leaves the set.
  std::optional<std::uint32_t> pop() {
    if (size_ == 0) return std::nullopt;
    while (words_[cursor_] == 0) cursor_ = cursor_ + 1 == words_.size() ? 0 : cursor_ + 1;
    const auto bit = static_cast<std::uint32_t>(std::countr_zero(words_[cursor_]));
    words_[cursor_] &= words_[cursor_] - 1;
    --size_;
    return static_cast<std::uint32_t>(cursor_ * 64) + bit;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t memory() const { return words_.capacity() * 16; }

 private:
  std::vector<std::uint64_t> words_;
  std::vector<Time> since_;
  std::size_t cursor_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft::fib
