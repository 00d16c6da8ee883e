// Slab: blocks of one fixed size from big chunks, named by 32-bit ids that never move. The memory
// behind attribute bytes and path lists, where malloc's headers would cost more than what is
// stored. A chunk without a block in use goes back. Not here: lifetimes; who allocates frees.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace weft::bgp {

class Slab {
 public:
  /// Blocks of `size` octets, at least 4, aligned to 4.
  explicit Slab(std::size_t size)
      : size_((size + 3) & ~std::size_t{3}), shift_(blocks_shift(size_)) {}

  [[nodiscard]] std::uint32_t allocate() {
    if (current_ == none || !has_room(chunks_[current_])) turn_to_next();
    Chunk& chunk = chunks_[current_];
    ++chunk.used;
    ++used_;
    if (chunk.free == none) return current_ << shift_ | chunk.fresh++;
    const std::uint32_t id = chunk.free;
    std::memcpy(&chunk.free, at(id), sizeof chunk.free);
    return id;
  }
  void release(std::uint32_t id) {
    const std::uint32_t index = id >> shift_;
    Chunk& chunk = chunks_[index];
    assert(chunk.used != 0);
    --used_;
    if (--chunk.used == 0 && index != current_) {
      chunk.blocks.reset();
      vacant_.push_back(index);
      return;
    }
    std::memcpy(at(id), &chunk.free, sizeof chunk.free);
    chunk.free = id;
    if (chunk.listed || index == current_) return;
    chunk.listed = true;
    open_.push_back(index);
  }
  [[nodiscard]] std::byte* at(std::uint32_t id) {
    return const_cast<std::byte*>(std::as_const(*this).at(id));
  }
  [[nodiscard]] const std::byte* at(std::uint32_t id) const {
    const Chunk& chunk = chunks_[id >> shift_];
    assert(chunk.blocks);
    return chunk.blocks.get() + size_ * (id & (blocks() - 1));
  }
  [[nodiscard]] std::size_t used() const { return used_; }
  /// Octets taken from the system.
  [[nodiscard]] std::size_t memory() const {
    return (chunks_.size() - vacant_.size()) * (size_ << shift_) +
           chunks_.capacity() * sizeof(Chunk);
  }

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  static constexpr std::size_t chunk_size = 16UL * 1024;

  struct Chunk {
    std::unique_ptr<std::byte[]> blocks;  // none while it is vacant
    std::uint32_t free = none;            // the first of those given back
    std::uint16_t fresh = 0;              // from here on none was ever given out
    std::uint16_t used = 0;
    bool listed = false;  // in open_
  };

  static unsigned blocks_shift(std::size_t size) {
    unsigned shift = 0;
    while (shift < 12 && size << (shift + 1) <= chunk_size) ++shift;
    return shift;
  }
  [[nodiscard]] std::uint32_t blocks() const { return 1U << shift_; }
  [[nodiscard]] bool has_room(const Chunk& chunk) const {
    return chunk.free != none || chunk.fresh != blocks();
  }

  /// To one that has room, and seldom to a new one.
  void turn_to_next() {
    while (!open_.empty()) {
      current_ = open_.back();
      open_.pop_back();
      Chunk& chunk = chunks_[current_];
      chunk.listed = false;
      if (chunk.blocks && has_room(chunk)) return;  // else it was emptied or filled meanwhile
    }
    if (vacant_.empty()) {
      vacant_.push_back(static_cast<std::uint32_t>(chunks_.size()));
      chunks_.emplace_back();
    }
    current_ = vacant_.back();
    vacant_.pop_back();
    Chunk& chunk = chunks_[current_];
    chunk.blocks.reset(new std::byte[size_ << shift_]);
    chunk.free = none;
    chunk.fresh = 0;
  }

  std::size_t size_;
  unsigned shift_;
  std::uint32_t current_ = none;  // the chunk blocks come from
  std::size_t used_ = 0;
  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t> open_;  // had room when they came here
  std::vector<std::uint32_t> vacant_;
};

}  // namespace weft::bgp
