#include "net/ip.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>

namespace weft {

std::string_view name(Family family) {
  return family == Family::ipv4 ? "ipv4" : "ipv6";
}

Result<Address> Address::parse(std::string_view text) {
  const std::string terminated(text);
  std::array<std::byte, 16> octets{};
  if (inet_pton(AF_INET, terminated.c_str(), octets.data()) == 1) {
    return of(Bytes(octets).first(4));
  }
  if (inet_pton(AF_INET6, terminated.c_str(), octets.data()) == 1) return ipv6(octets);
  return Error{fmt::format("'{}' is not an IPv4 or IPv6 address", text)};
}

std::uint32_t Address::v4() const {
  assert(is_v4());
  return Reader(octets()).u32();
}

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  inet_ntop(is_v4() ? AF_INET : AF_INET6, octets_.data(), buffer.data(), buffer.size());
  return buffer.data();
}

bool Address::is_unspecified() const {
  return std::all_of(octets_.begin(), octets_.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool Address::is_loopback() const {
  if (is_v4()) return octets_[0] == std::byte{127};
  std::array<std::byte, 16> one{};
  one[15] = std::byte{1};
  return *this == ipv6(one);
}

bool Address::is_multicast() const {
  if (is_v4()) return (octets_[0] & std::byte{0xf0}) == std::byte{0xe0};
  return octets_[0] == std::byte{0xff};
}

bool Address::is_link_local() const {
  if (is_v4()) return octets_[0] == std::byte{169} && octets_[1] == std::byte{254};
  return octets_[0] == std::byte{0xfe} && (octets_[1] & std::byte{0xc0}) == std::byte{0x80};
}

Address Address::plus(std::uint64_t offset) const {
  Address sum = *this;
  std::uint64_t carry = offset;
  for (std::size_t i = octets().size(); i-- > 0 && carry != 0;) {
    const std::uint64_t digit = std::to_integer<std::uint64_t>(sum.octets_[i]) + (carry & 0xff);
    sum.octets_[i] = static_cast<std::byte>(digit);
    carry = (carry >> 8) + (digit >> 8);
  }
  return sum;
}

bool Address::bit(unsigned index) const {
  assert(index < bits(family_));
  return (octets_[index / 8] & (std::byte{0x80} >> (index % 8))) != std::byte{0};
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = Address::parse(text.substr(0, slash));
  if (!address || slash == std::string_view::npos) {
    return Error{fmt::format("'{}' is not a prefix such as 10.0.0.0/8 or fd00::/64", text)};
  }
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (fault != std::errc{} || end != digits.data() + digits.size() ||
      length > bits(address->family())) {
    return Error{
        fmt::format("'{}' is not a prefix length from 0 to {}", digits, bits(address->family()))};
  }
  const Prefix prefix(*address, length);
  if (prefix.address() != *address) {
    return Error{fmt::format("{} has host bits set; the prefix is {}", text, prefix.text())};
  }
  return prefix;
}

bool Prefix::contains(const Address& address) const {
  return address.family() == family() && address.masked(length_) == address_;
}

bool Prefix::contains(const Prefix& other) const {
  return other.length() >= length_ && contains(other.address());
}

bool Prefix::overlaps(const Prefix& other) const {
  return contains(other) || other.contains(*this);
}

std::string Prefix::text() const {
  return fmt::format("{}/{}", address_.text(), length_);
}

namespace {

/// The finaliser of splitmix64: every input bit reaches every output bit.
std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9U;
  value = (value ^ value >> 27) * 0x94d049bb133111ebU;
  return value ^ value >> 31;
}

}  // namespace

std::uint64_t hash(const Address& address) {
  Reader octets(address.octets());
  if (address.is_v4()) return mixed(octets.u32() + 0x9e3779b97f4a7c15U);
  const std::uint64_t high = octets.u64();
  return mixed(mixed(high) + octets.u64());
}

std::uint64_t hash(const Prefix& prefix) {
  return mixed(hash(prefix.address()) + prefix.length());
}

}  // namespace weft
