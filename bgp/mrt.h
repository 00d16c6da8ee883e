// MRT: the table as a TABLE_DUMP_V2 file that bgpdump, GoBGP and others read: paths as they were
// received, before import policies. Pure: records come out as bytes, slice by slice, so that no
// table is so large that the loop stalls. Not here: files, and the update streams (BGP4MP) of RFC
// 6396. RFC 6396 4.3, 8050.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "bgp/rib.h"
#include "bgp/types.h"
#include "net/ip.h"

namespace weft::bgp {

/// A peer as the dump's index names it.
struct MrtPeer {
  PeerId id = PeerId::local;
  RouterId router_id;
  Address address;
  Asn asn;
  /// Since when its session is up, seconds of UNIX time: no path is older.
  std::uint32_t since = 0;
};

/// How far a dump has come. One that was begun stays valid whatever happens to the tables: what
/// changes before the dump gets there is dumped as it then is.
struct MrtDump {
  /// By rising id, so this node first. Paths of peers that came later are left out.
  std::vector<MrtPeer> peers;
  Family family = Family::ipv4;
  NetId next = 0;
  std::uint32_t sequence = 0;
  bool done = false;
  std::uint64_t routes = 0;
  std::uint64_t paths = 0;
};

/// Appends PEER_INDEX_TABLE. `timestamp`: seconds of UNIX time.
void encode_peer_index(const MrtDump& dump, std::string_view view, std::uint32_t timestamp,
                       std::vector<std::byte>& out);
/// Appends the prefixes at the next `places` places and moves on; sets `done` after the last one.
void dump_slice(MrtDump& dump, const Rib& rib, std::size_t places, std::uint32_t timestamp,
                std::vector<std::byte>& out);

}  // namespace weft::bgp
