// RouteTable: the prefixes of one family and the paths of each, as small as they get. A prefix with
// one path has it in place; more live in a block of a slab, path ids (RFC 7911) only where there
// are any. Prefixes have stable numbers. Storage alone: nothing here knows what a path means. Key:
// the address as one (IPv4) or four (IPv6) words.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bgp/journal.h"
#include "bgp/slab.h"
#include "net/ip.h"
#include "net/prefix_slots.h"

namespace weft::bgp {

/// Eight octets; `attributes` is never 0 in a path that is there.
struct Path {
  std::uint32_t attributes = 0;
  std::uint32_t next_hop : 24 = 0;
  std::uint32_t flags : 8 = 0;
};

/// The paths of one prefix where they lie; valid until paths are added or removed.
struct PathList {
  Path* paths = nullptr;
  std::uint32_t* ids = nullptr;  // none: all are 0
  std::size_t size = 0;

  [[nodiscard]] Path* begin() const { return paths; }
  [[nodiscard]] Path* end() const { return paths + size; }
  [[nodiscard]] std::uint32_t id(std::size_t at) const { return ids == nullptr ? 0 : ids[at]; }
  void swap(std::size_t a, std::size_t b) const {
    std::swap(paths[a], paths[b]);
    if (ids != nullptr) std::swap(ids[a], ids[b]);
  }
};

template <std::size_t Words>
class RouteTable {
 public:
  using Key = std::array<std::uint32_t, Words>;
  static constexpr Family family = Words == 1 ? Family::ipv4 : Family::ipv6;
  static constexpr std::size_t max_size = (1U << 24) - 2;
  static constexpr std::size_t max_paths = 1024;
  static constexpr std::size_t max_prefetched = 16;
  /// Marks of a prefix that its user keeps beside the paths: 22 bits.
  static constexpr std::uint32_t mark_bits = 22;

  explicit RouteTable(std::uint64_t seed) : seed_(seed), slots_(256) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  /// One above the highest number in use.
  [[nodiscard]] NetId places() const { return next_; }
  [[nodiscard]] bool alive(NetId net) const { return net < next_ && at(net).length != dead; }

  /// Ahead of find() or find_or_add(), for at most max_prefetched prefixes: each of them is two
  /// cache misses, and the misses of one prefix need not wait for those of another.
  template <typename Entries>
  void prefetch(const Entries& entries) const {
    std::array<std::size_t, max_prefetched> slots;
    std::size_t count = 0;
    for (const auto& each : entries) {
      const std::size_t slot = home(hash(key_of(each.prefix), each.prefix.length()));
      __builtin_prefetch(slots_.data() + slot);
      slots.at(count++) = slot;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t slot = slots_[slots[i]];
      if (slot != 0) __builtin_prefetch(&at((slot & 0xffffff) - 1));
    }
  }

  [[nodiscard]] std::optional<NetId> find(const Prefix& prefix) const {
    const Key key = key_of(prefix);
    const auto length = static_cast<std::uint8_t>(prefix.length());
    const std::size_t slot = slot_of(key, length, hash(key, length));
    if (slots_[slot] == 0) return {};
    return (slots_[slot] & 0xffffff) - 1;
  }

  /// The prefix's number, a new one when it is new; none when the table is full.
  [[nodiscard]] std::optional<NetId> find_or_add(const Prefix& prefix) {
    const Key key = key_of(prefix);
    const auto length = static_cast<std::uint8_t>(prefix.length());
    const std::uint64_t hashed = hash(key, length);
    std::size_t slot = slot_of(key, length, hashed);
    if (slots_[slot] != 0) return (slots_[slot] & 0xffffff) - 1;
    if (size_ == max_size) return {};
    if ((size_ + 1) * 8 > slots_.size() * 5) {
      grow();
      slot = slot_of(key, length, hashed);
    }
    const NetId net = allocate();
    Net& made = at(net);
    made = Net{};
    made.key = key;
    made.length = length;
    slots_[slot] = tag(hashed) << 24 | (net + 1);
    ++size_;
    return net;
  }

  /// Asserts that it has no paths.
  void erase(NetId net) {
    assert(alive(net) && paths(net).size == 0);
    unplace(net);
    at(net).length = dead;
    at(net).path.attributes = free_;
    free_ = net;
    --size_;
  }

  [[nodiscard]] Prefix prefix(NetId net) const {
    std::array<std::byte, Words * 4> octets;
    std::memcpy(octets.data(), at(net).key.data(), octets.size());
    return {Address::of(octets), at(net).length};
  }

  [[nodiscard]] bool touched(NetId net) const { return at(net).touched; }
  void set_touched(NetId net, bool touched) { at(net).touched = touched; }
  [[nodiscard]] std::uint32_t mark(NetId net) const { return at(net).mark; }
  void set_mark(NetId net, std::uint32_t mark) { at(net).mark = mark & ((1U << mark_bits) - 1); }

  [[nodiscard]] PathList paths(NetId net) {
    Net& of = at(net);
    if (!of.many) return {&of.path, nullptr, of.path.attributes != 0 ? std::size_t{1} : 0};
    return listed(of);
  }

  /// Appends, and says how many there are now; 0 when the prefix has max_paths.
  std::size_t add(NetId net, Path path, std::uint32_t id) {
    Net& of = at(net);
    if (!of.many && of.path.attributes == 0 && id == 0) {
      of.path = path;
      return 1;
    }
    const PathList old = paths(net);
    const bool ids = old.ids != nullptr || id != 0;
    if (old.size == max_paths) return 0;
    const bool fits =
        at(net).many && (old.ids != nullptr) == ids && old.size < capacity(at(net).shape());
    if (!fits) move_to(net, shape_for(old.size + 1, ids));
    const PathList list = paths(net);
    list.paths[list.size] = path;
    if (list.ids != nullptr) list.ids[list.size] = id;
    set_count(net, list.size + 1);
    return list.size + 1;
  }

  /// The last path takes the place of the removed one.
  void remove(NetId net, std::size_t index) {
    const PathList list = paths(net);
    assert(index < list.size);
    list.swap(index, list.size - 1);
    if (!at(net).many) {
      at(net).path.attributes = 0;
      return;
    }
    set_count(net, list.size - 1);
    shrink(net);
  }

  /// Octets taken from the system.
  [[nodiscard]] std::size_t memory() const {
    std::size_t octets =
        slots_.capacity() * sizeof(std::uint32_t) + chunks_.size() * (sizeof(Net) << chunk_shift);
    for (const auto& each : slabs_) octets += each ? each->memory() : 0;
    return octets;
  }

 private:
  /// 16 octets (IPv6: 28). `path` is the only one, or with `many` set says where they are.
  struct Net {
    Key key{};
    Path path;
    std::uint32_t mark : mark_bits = 0;
    std::uint32_t many : 1 = 0;
    std::uint32_t touched : 1 = 0;
    std::uint32_t length : 8 = 0;

    [[nodiscard]] std::uint32_t block() const { return path.attributes; }
    [[nodiscard]] unsigned shape() const { return path.next_hop; }
  };
  static_assert(sizeof(Net) == 12 + sizeof(Key));
  static constexpr std::uint32_t dead = 255;
  static constexpr unsigned chunk_shift = 10;

  // A shape says how a block is laid out: twice the logarithm of its capacity, plus one with path
  // ids.
  static constexpr unsigned shapes = 22;
  static constexpr std::size_t capacity(unsigned shape) { return std::size_t{1} << (shape / 2); }
  static constexpr bool has_ids(unsigned shape) { return shape % 2 != 0; }
  static unsigned shape_for(std::size_t count, bool ids) {
    unsigned shape = ids ? 1 : 0;
    while (capacity(shape) < count) shape += 2;
    return shape;
  }

  // Some ten times for each route that is learned, and so without the library's checks.
  [[nodiscard]] Net& at(NetId net) {
    assert(net < next_);
    return chunks_.data()[net >> chunk_shift].get()[net & ((1U << chunk_shift) - 1)];
  }
  [[nodiscard]] const Net& at(NetId net) const {
    assert(net < next_);
    return chunks_.data()[net >> chunk_shift].get()[net & ((1U << chunk_shift) - 1)];
  }
  [[nodiscard]] PathList listed(Net& of) {
    std::byte* block = slab(of.shape()).at(of.block());
    std::uint32_t size = 0;
    std::memcpy(&size, block, sizeof size);
    auto* list = reinterpret_cast<Path*>(block + sizeof size);
    auto* ids = reinterpret_cast<std::uint32_t*>(list + capacity(of.shape()));
    return {list, has_ids(of.shape()) ? ids : nullptr, size};
  }
  [[nodiscard]] Slab& slab(unsigned shape) {
    if (!slabs_[shape]) {
      slabs_[shape] = std::make_unique<Slab>(sizeof(std::uint32_t) +
                                             capacity(shape) * (has_ids(shape) ? 12 : 8));
    }
    return *slabs_[shape];
  }
  void set_count(NetId net, std::size_t count) {
    const auto value = static_cast<std::uint32_t>(count);
    std::memcpy(slab(at(net).shape()).at(at(net).block()), &value, sizeof value);
  }

  void move_to(NetId net, unsigned shape) {
    const std::uint32_t block = slab(shape).allocate();
    std::byte* to = slab(shape).at(block);
    const PathList old = paths(net);
    const auto count = static_cast<std::uint32_t>(old.size);
    std::memcpy(to, &count, sizeof count);
    if (count != 0) std::memcpy(to + sizeof count, old.paths, count * sizeof(Path));
    if (has_ids(shape)) {
      std::byte* ids = to + sizeof count + capacity(shape) * sizeof(Path);
      std::memset(ids, 0, capacity(shape) * sizeof(std::uint32_t));
      if (old.ids != nullptr) std::memcpy(ids, old.ids, count * sizeof(std::uint32_t));
    }
    if (at(net).many) slab(at(net).shape()).release(at(net).block());
    at(net).many = 1;
    at(net).path.attributes = block;
    at(net).path.next_hop = shape & 0xff;
  }

  /// Back into the prefix with the last path, or to half the block once three quarters of it are
  /// empty.
  void shrink(NetId net) {
    const PathList list = paths(net);
    const unsigned shape = at(net).shape();
    const bool ids = has_ids(shape) && list.size != 0 && (list.size != 1 || list.ids[0] != 0);
    if (list.size <= 1 && !ids) {
      const Path last = list.size == 1 ? list.paths[0] : Path{};
      slab(shape).release(at(net).block());
      at(net).many = 0;
      at(net).path = last;
    } else if (capacity(shape) >= 4 * list.size) {
      move_to(net, shape - 2);
    }
  }

  static Key key_of(const Prefix& prefix) {
    Key key;
    std::memcpy(key.data(), prefix.address().octets().data(), sizeof key);
    return key;
  }

  [[nodiscard]] std::uint64_t hash(const Key& key, unsigned length) const {
    const std::uint64_t seed = seed_ ^ length * 0x9e3779b97f4a7c15U;
    if constexpr (Words == 1) {
      return slot_hash(neighbourhood(network_order(key[0]), length), seed);
    } else {
      const auto number = [&](std::size_t word) { return std::uint64_t{network_order(key[word])}; };
      const auto half = [&](std::size_t word) { return number(word) << 32U | number(word + 1); };
      return slot_hash(neighbourhood(half(0), half(2), length), seed);
    }
  }
  [[nodiscard]] std::uint64_t hash_of(NetId net) const { return hash(at(net).key, at(net).length); }
  static std::uint32_t tag(std::uint64_t hashed) {
    return static_cast<std::uint32_t>(hashed >> 56 ^ hashed) & 0xff;
  }
  [[nodiscard]] std::size_t home(std::uint64_t hashed) const {
    return hashed & (slots_.size() - 1);
  }
  [[nodiscard]] std::size_t after(std::size_t slot) const {
    return next_slot(slot, slots_.size() - 1);
  }

  /// Where the prefix stands, or the empty slot where it would.
  [[nodiscard]] std::size_t slot_of(const Key& key, std::uint8_t length,
                                    std::uint64_t hashed) const {
    const std::uint32_t* const slots = slots_.data();
    std::size_t slot = home(hashed);
    for (; slots[slot] != 0; slot = after(slot)) {
      if (slots[slot] >> 24 != tag(hashed)) continue;
      const Net& there = at((slots[slot] & 0xffffff) - 1);
      if (there.key == key && there.length == length) break;
    }
    return slot;
  }

  void place(NetId net) {
    const std::uint64_t hashed = hash_of(net);
    std::size_t slot = home(hashed);
    while (slots_[slot] != 0) slot = after(slot);
    slots_[slot] = tag(hashed) << 24 | (net + 1);
  }

  /// Closes the gap behind it, so that probing needs no marks of what was deleted.
  void unplace(NetId net) {
    std::size_t gap = home(hash_of(net));
    while ((slots_[gap] & 0xffffff) != net + 1) gap = after(gap);
    for (std::size_t slot = after(gap); slots_[slot] != 0; slot = after(slot)) {
      const std::size_t wanted = home(hash_of((slots_[slot] & 0xffffff) - 1));
      const std::size_t mask = slots_.size() - 1;
      if (slot_steps(wanted, slot, mask) < slot_steps(gap, slot, mask)) continue;
      slots_[gap] = slots_[slot];
      gap = slot;
    }
    slots_[gap] = 0;
  }

  void grow() {
    slots_.assign(slots_.size() * 2, 0);
    for (NetId net = 0; net < next_; ++net) {
      if (at(net).length != dead) place(net);
    }
  }

  [[nodiscard]] NetId allocate() {
    if (free_ != none) return std::exchange(free_, at(free_).path.attributes);
    if (next_ >> chunk_shift == chunks_.size()) chunks_.emplace_back(new Net[1U << chunk_shift]);
    return next_++;
  }

  static constexpr NetId none = 0xffffffff;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Net[]>> chunks_;
  NetId next_ = 0;
  NetId free_ = none;
  std::size_t size_ = 0;
  std::vector<std::uint32_t> slots_;  // tag in the high octet, number + 1 below; 0 is empty
  std::array<std::unique_ptr<Slab>, shapes> slabs_;
};

static_assert(sizeof(Path) == 8);

}  // namespace weft::bgp
