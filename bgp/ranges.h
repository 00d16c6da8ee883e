// Ranges: peers that are not listed one by one. A listen range is a PeerSettings with `range`; here
// is which range an address falls into, and what the peer made of it looks like. Pure; the peers
// themselves live in the speaker.
#pragma once

#include <vector>

#include "bgp/settings.h"
#include "net/ip.h"

namespace weft::bgp {

/// A template in Settings::peers, not a peer.
inline bool is_range(const PeerSettings& peer) {
  return peer.range && !peer.is_dynamic();
}

/// The longest range that contains `remote`; nullptr: none.
inline const PeerSettings* range_of(const std::vector<PeerSettings>& peers, const Address& remote) {
  const PeerSettings* best = nullptr;
  for (const PeerSettings& peer : peers) {
    if (!is_range(peer) || !peer.range->contains(remote)) continue;
    if (best == nullptr || peer.range->length() > best->range->length()) best = &peer;
  }
  return best;
}

/// The peer at `remote` as its range has it: passive, named by its address.
inline PeerSettings member_of(const PeerSettings& range, const Address& remote) {
  PeerSettings peer = range;
  peer.address = remote;
  peer.range_name = range.name;
  peer.name = remote.text();
  peer.passive = true;
  return peer;
}

}  // namespace weft::bgp
