// AsPathRules: what a session does to AS_PATH besides RFC 4271 5.1.2: another local AS (RFC 7705),
// as-override, private AS numbers taken out. Pure, on the path alone; which session has which rules
// is the speaker's.
#pragma once

#include <optional>

#include "bgp/attributes.h"
#include "bgp/settings.h"
#include "bgp/types.h"

namespace weft::bgp {

/// RFC 6996: 64512..65534 and 4200000000..4294967294.
constexpr bool is_private(Asn asn) {
  return (asn.value >= 64512 && asn.value <= 65534) ||
         (asn.value >= 4200000000 && asn.value <= 4294967294);
}

struct AsPathRules {
  /// The AS this session speaks for: goes in front.
  Asn local_as;
  /// RFC 7705 3.1: the AS of the node, between local_as and the path; none: they are the same, or
  /// the one replaces the other.
  std::optional<Asn> node_as;
  /// AS of the peer: wherever it stands, it gets local_as to see instead of a loop.
  std::optional<Asn> overridden;
  RemovePrivate remove_private = RemovePrivate::none;
  /// Kept by remove_private, so that the peer sees its own loops.
  Asn peer_as;
  bool operator==(const AsPathRules&) const = default;
};

/// The path as an external peer is to see it.
void to_external(AsPath& path, const AsPathRules& rules);

}  // namespace weft::bgp
