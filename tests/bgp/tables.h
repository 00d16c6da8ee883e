// What the tests of the tables share: short words for prefixes, attribute sets and peers.
#pragma once

#include <initializer_list>
#include <vector>

#include "bgp/attribute_store.h"
#include "bgp/attributes.h"
#include "bgp/rib.h"

namespace weft::bgp {

inline Prefix prefix(std::string_view text) {
  return *Prefix::parse(text);
}
inline Address address(std::string_view text) {
  return *Address::parse(text);
}

/// ORIGIN igp and this AS_PATH.
inline Attributes path_of(std::initializer_list<std::uint32_t> asns) {
  Attributes made;
  made.origin = Origin::igp;
  std::vector<Asn> path;
  for (const std::uint32_t asn : asns) path.push_back(Asn{asn});
  if (!path.empty()) made.as_path = AsPath::sequence(path);
  return made;
}

inline HeldAttributes held(AttributeStore& store, const Attributes& attributes) {
  return {store, store.intern(canonical(attributes))};
}

/// An external peer at 192.0.2.`n` with router id `n`.
inline RibPeer external_peer(unsigned n) {
  return {true, RouterId{n}, Address::ipv4(0xc0000200 + n), 0};
}

inline std::vector<ConnectedSubnet> documentation_subnet() {
  return {{address("192.0.2.254"), prefix("192.0.2.0/24"), 7}};
}

}  // namespace weft::bgp
