#include "net/address_range.h"

#include <array>

namespace weft {

AddressRange AddressRange::of(const Prefix& prefix) {
  std::array<std::byte, 16> octets{};
  const Bytes first = prefix.address().octets();
  std::copy(first.begin(), first.end(), octets.begin());
  for (unsigned bit = prefix.length(); bit < bits(prefix.family()); ++bit) {
    octets[bit / 8] |= std::byte{0x80} >> (bit % 8);
  }
  return {prefix.address(), Address::of(Bytes(octets).first(first.size()))};
}

std::string AddressRange::text() const {
  return first == last ? first.text() : first.text() + "-" + last.text();
}

}  // namespace weft
