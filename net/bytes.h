// Reader and Writer: bounded big-endian cursors over octets, the only way bytes from outside are
// taken apart. Reader latches: a read past the end yields zeros (or an empty range) from then on,
// so one check of ok() at the end of a decoder is enough. No pointer arithmetic happens anywhere
// else.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace weft {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }

  /// The next `size` octets, or nothing (and not ok from now on) when there are fewer.
  Bytes take(std::size_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const Bytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }

  /// A reader of the next `size` octets alone: what is inside cannot reach beyond it.
  Reader sub(std::size_t size) {
    Reader inner(take(size));
    inner.ok_ = ok_;
    return inner;
  }

  [[nodiscard]] Bytes rest() const { return rest_; }
  [[nodiscard]] std::size_t size() const { return rest_.size(); }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (const std::byte octet : take(size)) {
      value = value << 8 | std::to_integer<std::uint64_t>(octet);
    }
    return value;
  }

  Bytes rest_;
  bool ok_ = true;
};

/// Appends to a vector it does not own. Lengths that are known only later are patched in place.
class Writer {
 public:
  explicit Writer(std::vector<std::byte>& out) : out_(out) {}

  void u8(std::uint8_t value) { out_.push_back(std::byte{value}); }
  void u16(std::uint16_t value) { number<2>(value); }
  void u32(std::uint32_t value) { number<4>(value); }
  void u64(std::uint64_t value) { number<8>(value); }
  void bytes(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

  [[nodiscard]] std::size_t size() const { return out_.size(); }
  void patch_u8(std::size_t at, std::uint8_t value) { patch(at, value, 1); }
  void patch_u16(std::size_t at, std::uint16_t value) { patch(at, value, 2); }

 private:
  template <std::size_t size>
  void number(std::uint64_t value) {
    std::array<std::byte, size> octets;
    for (std::size_t i = 0; i < size; ++i) {
      octets[i] = static_cast<std::byte>(value >> (8 * (size - 1 - i)));
    }
    out_.insert(out_.end(), octets.begin(), octets.end());
  }
  void patch(std::size_t at, std::uint64_t value, std::size_t size) {
    assert(at + size <= out_.size());
    for (std::size_t i = 0; i < size; ++i) {
      out_[at + i] = static_cast<std::byte>(value >> (8 * (size - 1 - i)));
    }
  }

  std::vector<std::byte>& out_;
};

}  // namespace weft
