// Address and Prefix: IPv4 and IPv6 as plain values, in network byte order, with the text forms of
// RFC 4632 and RFC 5952. Not here: sockets, interfaces, scopes (an ifindex travels beside a
// link-local address).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "net/bytes.h"
#include "net/result.h"

namespace weft {

enum class Family : std::uint8_t { ipv4 = 4, ipv6 = 6 };

/// Bits of an address of the family: 32 or 128.
constexpr unsigned bits(Family family) {
  return family == Family::ipv4 ? 32 : 128;
}
/// "ipv4" or "ipv6", as metrics and JSON write it.
std::string_view name(Family family);

class Address {
 public:
  /// 0.0.0.0
  constexpr Address() = default;
  /// From host byte order.
  static Address ipv4(std::uint32_t value) {
    Address address;
    address.store(0, std::uint64_t{value} << 32);
    return address;
  }
  static Address ipv6(const std::array<std::byte, 16>& octets) {
    Address address;
    address.family_ = Family::ipv6;
    address.octets_ = octets;
    return address;
  }
  /// 4 octets are IPv4, 16 are IPv6; asserts on any other size.
  static Address of(Bytes octets) {
    assert(octets.size() == 4 || octets.size() == 16);
    Address address;
    address.family_ = octets.size() == 4 ? Family::ipv4 : Family::ipv6;
    std::copy(octets.begin(), octets.end(), address.octets_.begin());
    return address;
  }
  /// "10.0.0.1", "fd00::1"; no zone, no prefix length, no surrounding space.
  static Result<Address> parse(std::string_view text);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::ipv4; }
  [[nodiscard]] bool is_v6() const { return family_ == Family::ipv6; }
  /// 4 or 16 octets in network byte order.
  [[nodiscard]] Bytes octets() const { return Bytes(octets_).first(bits(family_) / 8); }
  /// The IPv4 address in host byte order; asserts on IPv6.
  [[nodiscard]] std::uint32_t v4() const;
  [[nodiscard]] std::string text() const;

  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_multicast() const;
  /// fe80::/10 or 169.254.0.0/16
  [[nodiscard]] bool is_link_local() const;

  /// The first `length` bits of this address, all others zero; length <= bits(family()).
  [[nodiscard]] Address masked(unsigned length) const {
    assert(length <= bits(family_));
    constexpr std::uint64_t ones = ~std::uint64_t{0};
    Address address = *this;
    address.store(0, length == 0 ? 0 : load(0) & ones << (64 - std::min(length, 64U)));
    address.store(8, length <= 64 ? 0 : load(8) & ones << (128 - length));
    return address;
  }
  /// This address plus `offset`, modulo the size of the family's space.
  [[nodiscard]] Address plus(std::uint64_t offset) const;
  /// The first (0) or last (1) eight octets as a number; an IPv4 address fills the upper half of
  /// the first.
  [[nodiscard]] std::uint64_t half(std::size_t which) const { return load(which * 8); }
  /// Bit `index` counted from the most significant, index < bits(family()).
  [[nodiscard]] bool bit(unsigned index) const;

  auto operator<=>(const Address&) const = default;

 private:
  static std::uint64_t swapped(std::uint64_t value) {
    return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
  }
  /// Half of the octets as a number. Always half: a wide read of what was just written narrowly
  /// stalls the processor.
  [[nodiscard]] std::uint64_t load(std::size_t at) const {
    std::uint64_t word = 0;
    std::memcpy(&word, octets_.data() + at, sizeof(word));
    return swapped(word);
  }
  void store(std::size_t at, std::uint64_t word) {
    word = swapped(word);
    std::memcpy(octets_.data() + at, &word, sizeof(word));
  }

  Family family_ = Family::ipv4;
  std::array<std::byte, 16> octets_{};
};

/// An address and a length whose host bits are all zero.
class Prefix {
 public:
  /// 0.0.0.0/0
  constexpr Prefix() = default;
  /// Host bits of `address` are cleared; asserts length <= bits(family).
  Prefix(const Address& address, unsigned length)
      : address_(address.masked(length)), length_(static_cast<std::uint8_t>(length)) {}
  /// "10.0.0.0/8". Host bits that are set are an error naming the prefix that was probably meant.
  static Result<Prefix> parse(std::string_view text);
  /// The /32 or /128 of one address.
  static Prefix host(const Address& address) { return {address, bits(address.family())}; }

  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] unsigned length() const { return length_; }
  [[nodiscard]] Family family() const { return address_.family(); }
  [[nodiscard]] bool is_host() const { return length_ == bits(family()); }
  [[nodiscard]] bool contains(const Address& address) const;
  /// True also for the prefix itself.
  [[nodiscard]] bool contains(const Prefix& other) const;
  [[nodiscard]] bool overlaps(const Prefix& other) const;
  [[nodiscard]] std::string text() const;

  auto operator<=>(const Prefix&) const = default;

 private:
  Address address_;
  std::uint8_t length_ = 0;
};

std::uint64_t hash(const Address& address);
std::uint64_t hash(const Prefix& prefix);

/// What octets in network order are as a number, and back.
inline std::uint32_t network_order(std::uint32_t word) {
  return std::endian::native == std::endian::little ? __builtin_bswap32(word) : word;
}

}  // namespace weft

template <>
struct std::hash<weft::Address> {
  std::size_t operator()(const weft::Address& address) const noexcept {
    return weft::hash(address);
  }
};
template <>
struct std::hash<weft::Prefix> {
  std::size_t operator()(const weft::Prefix& prefix) const noexcept { return weft::hash(prefix); }
};
