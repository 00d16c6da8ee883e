// How the tables of prefixes are hashed and probed: open addressing over 4-octet slots, a power of
// two of them, where sixteen prefixes in a row share a cache line, because routers send their
// prefixes in rows. Not here: what stands in a slot; each table has its own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

/// A network as two numbers, its last bits taken out of them: sixteen prefixes in a row differ in
/// `number` alone.
struct Neighbourhood {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::uint64_t number = 0;
};
inline constexpr std::uint64_t neighbours = 15;
/// Of the network whose halves (Address::half()) these are.
inline Neighbourhood neighbourhood(std::uint64_t high, std::uint64_t low, unsigned length) {
  Neighbourhood where{high, low, 0};
  if (length == 0) return where;
  std::uint64_t& half = length <= 64 ? where.high : where.low;
  const unsigned shift = (length <= 64 ? 64 : 128) - length;
  where.number = half >> shift & neighbours;
  half &= ~(neighbours << shift);
  return where;
}
/// Of an IPv4 network, 0..32 bits of it.
inline Neighbourhood neighbourhood(std::uint32_t address, unsigned length) {
  const unsigned shift = 32 - length;
  return {address & ~(neighbours << shift), 0, std::uint64_t{address} >> shift & neighbours};
}

/// The home slot in the lower bits. `seed` holds whatever else tells entries apart, and a secret of
/// the table, so that no peer can choose prefixes that collide.
inline std::uint64_t slot_hash(const Neighbourhood& where, std::uint64_t seed) {
  std::uint64_t state = (seed ^ where.high) * 0xd6e8feb86659fd93U;
  state ^= state >> 32;
  if (where.low != 0) {
    state = (state ^ where.low) * 0xd6e8feb86659fd93U;
    state ^= state >> 32;
  }
  state *= 0xe7037ed1a0b428dbU;
  state ^= state >> 29;
  // In another order in each row: prefixes that all have the same number fill the slots as well.
  return (state & ~neighbours) | ((state >> 32 ^ where.number) & neighbours);
}

/// What stands in the way is a row, mostly: past it at once, not through it. Odd, so that it comes
/// by every slot. `mask`: number of slots - 1.
inline constexpr std::size_t slot_stride = neighbours + 2;
constexpr std::size_t next_slot(std::size_t slot, std::size_t mask) {
  return (slot + slot_stride) & mask;
}
/// How many next_slot() lead from one to the other.
constexpr std::size_t slot_steps(std::size_t from, std::size_t to, std::size_t mask) {
  constexpr std::size_t inverse = 0xf0f0f0f0f0f0f0f1U;
  static_assert(slot_stride * inverse == 1);
  return (to - from) * inverse & mask;
}

}  // namespace weft
