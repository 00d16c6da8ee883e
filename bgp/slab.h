// Slab: blocks of one fixed size from big chunks, named by 32-bit ids that never move. The memory
// behind attribute bytes and path lists, where malloc's headers would cost more than what is
// stored. Not here: lifetimes; who allocates frees.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace weft::bgp {

class Slab {
 public:
  /// Blocks of `size` octets, at least 4, aligned to 4.
  explicit Slab(std::size_t size)
      : size_((size + 3) & ~std::size_t{3}), shift_(blocks_shift(size_)) {}

  [[nodiscard]] std::uint32_t allocate() {
    ++used_;
    if (free_ != none) {
      const std::uint32_t id = free_;
      std::memcpy(&free_, at(id), sizeof free_);
      return id;
    }
    if (next_ == chunks_.size() << shift_) {
      chunks_.emplace_back(new std::byte[size_ << shift_]);
    }
    return next_++;
  }
  void release(std::uint32_t id) {
    std::memcpy(at(id), &free_, sizeof free_);
    free_ = id;
    --used_;
  }
  [[nodiscard]] std::byte* at(std::uint32_t id) {
    assert(id < next_);
    return chunks_[id >> shift_].get() + size_ * (id & ((1U << shift_) - 1));
  }
  [[nodiscard]] const std::byte* at(std::uint32_t id) const {
    assert(id < next_);
    return chunks_[id >> shift_].get() + size_ * (id & ((1U << shift_) - 1));
  }
  [[nodiscard]] std::size_t used() const { return used_; }
  /// Octets taken from the system.
  [[nodiscard]] std::size_t memory() const { return chunks_.size() * (size_ << shift_); }

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  static constexpr std::size_t chunk_size = 16UL * 1024;

  static unsigned blocks_shift(std::size_t size) {
    unsigned shift = 0;
    while (shift < 12 && size << (shift + 1) <= chunk_size) ++shift;
    return shift;
  }

  std::size_t size_;
  unsigned shift_;
  std::uint32_t next_ = 0;
  std::uint32_t free_ = none;
  std::size_t used_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
};

}  // namespace weft::bgp
