// The small words of BGP: AS numbers, BGP Identifiers, address families. RFC 4271, 4760, 6793.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "net/ip.h"

namespace weft::bgp {

/// A four-octet AS number (RFC 6793); 0 is reserved (RFC 7607).
struct Asn {
  std::uint32_t value = 0;
  auto operator<=>(const Asn&) const = default;
};

/// What a four-octet AS number becomes in a two-octet field (RFC 6793 4).
inline constexpr Asn as_trans{23456};

/// BGP Identifier: four octets, unique within the AS, not zero (RFC 6286). Host byte order.
struct RouterId {
  std::uint32_t value = 0;
  auto operator<=>(const RouterId&) const = default;
  [[nodiscard]] std::string text() const { return Address::ipv4(value).text(); }
};

/// Address Family Identifier and Subsequent AFI as they stand on the wire (RFC 4760).
struct AfiSafi {
  std::uint16_t afi = 1;
  std::uint8_t safi = 1;
  auto operator<=>(const AfiSafi&) const = default;
};

constexpr AfiSafi unicast(Family family) {
  return {static_cast<std::uint16_t>(family == Family::ipv4 ? 1 : 2), 1};
}

}  // namespace weft::bgp
