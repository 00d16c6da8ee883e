#include "bgp/mrt.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "bgp/attributes.h"
#include "net/bytes.h"

namespace weft::bgp {

namespace {

constexpr std::uint16_t table_dump_v2 = 13;
enum class Subtype : std::uint16_t {
  peer_index_table = 1,
  rib_ipv4_unicast = 2,
  rib_ipv6_unicast = 4,
  rib_ipv4_unicast_addpath = 8,  // RFC 8050 4
  rib_ipv6_unicast_addpath = 10,
};

/// A record's header, its length to be patched in by finish().
std::size_t begin(std::uint32_t timestamp, Subtype subtype, std::vector<std::byte>& out) {
  Writer record(out);
  record.u32(timestamp);
  record.u16(table_dump_v2);
  record.u16(static_cast<std::uint16_t>(subtype));
  record.u32(0);
  return out.size();
}
void finish(std::size_t body, std::vector<std::byte>& out) {
  const std::size_t size = out.size() - body;
  Writer record(out);
  record.patch_u16(body - 4, static_cast<std::uint16_t>(size >> 16));
  record.patch_u16(body - 2, static_cast<std::uint16_t>(size & 0xffff));
}

/// RFC 6396 4.3.4: the next hop stands among the attributes, MP_REACH_NLRI with nothing but it.
void encode_next_hop(const PeerNextHop& next_hop, Family family, std::vector<std::byte>& out) {
  Writer value(out);
  const Address& address = next_hop.address;
  if (family == Family::ipv4 && address.is_v4()) {
    value.u8(flag::transitive);
    value.u8(static_cast<std::uint8_t>(AttributeType::next_hop));
    value.u8(4);
    value.bytes(address.octets());
    return;
  }
  const std::size_t size = address.octets().size() * (next_hop.link_local ? 2 : 1);
  value.u8(flag::optional);
  value.u8(static_cast<std::uint8_t>(AttributeType::mp_reach_nlri));
  value.u8(static_cast<std::uint8_t>(size + 1));
  value.u8(static_cast<std::uint8_t>(size));
  value.bytes(address.octets());
  if (next_hop.link_local) value.bytes(next_hop.link_local->octets());
}

/// What a route of this node has in place of a next hop.
PeerNextHop none(Family family) {
  PeerNextHop unspecified;
  unspecified.address = family == Family::ipv4 ? Address::ipv4(0) : Address::ipv6({});
  return unspecified;
}

std::optional<std::size_t> index_of(const MrtDump& dump, PeerId id) {
  const auto found =
      std::lower_bound(dump.peers.begin(), dump.peers.end(), id,
                       [](const MrtPeer& each, PeerId wanted) { return each.id < wanted; });
  if (found == dump.peers.end() || found->id != id) return {};
  return static_cast<std::size_t>(found - dump.peers.begin());
}

class Record {
 public:
  Record(MrtDump& dump, const Rib& rib, const RouteView& route, std::uint32_t timestamp)
      : dump_(dump), rib_(rib), route_(route), timestamp_(timestamp) {}

  /// Paths with identifiers and paths without go into records of their own (RFC 8050 4).
  void encode(bool with_ids, std::vector<std::byte>& out) {
    const Family family = route_.prefix.family();
    const bool ipv4 = family == Family::ipv4;
    const Subtype plain = ipv4 ? Subtype::rib_ipv4_unicast : Subtype::rib_ipv6_unicast;
    const Subtype ids =
        ipv4 ? Subtype::rib_ipv4_unicast_addpath : Subtype::rib_ipv6_unicast_addpath;
    const std::size_t start = out.size();
    const std::size_t body = begin(timestamp_, with_ids ? ids : plain, out);
    Writer record(out);
    record.u32(dump_.sequence);
    std::vector<std::byte> nlri;
    bgp::encode(Nlri{route_.prefix, 0}, false, nlri);
    record.bytes(nlri);
    const std::size_t count_at = out.size();
    record.u16(0);
    std::uint16_t count = 0;
    for (const PathView& path : route_.paths) {
      if ((path.path_id != 0) == with_ids)
        count = static_cast<std::uint16_t>(count + entry(path, out));
    }
    if (count == 0) return out.resize(start);
    record.patch_u16(count_at, count);
    finish(body, out);
    ++dump_.sequence;
    dump_.paths += count;
  }

 private:
  std::size_t entry(const PathView& path, std::vector<std::byte>& out) {
    const auto peer = index_of(dump_, path.peer);
    if (!peer) return 0;
    const bool learned = path.peer != PeerId::local;
    if (!learned && path.filtered) return 0;  // what is offered is in no table of RFC 4271
    if (learned && rib_.peer(path.peer).address != dump_.peers[*peer].address) return 0;
    attributes_.clear();
    const AttributeStore& store = rib_.attributes();
    const Bytes own = store.octets(store.original(path.attributes));
    attributes_.assign(own.begin(), own.end());
    const Family family = route_.prefix.family();
    encode_next_hop(learned ? rib_.received_next_hop(path.next_hop) : none(family), family,
                    attributes_);
    if (attributes_.size() > std::numeric_limits<std::uint16_t>::max()) return 0;
    Writer entry(out);
    entry.u16(static_cast<std::uint16_t>(*peer));
    entry.u32(learned ? dump_.peers[*peer].since : timestamp_);
    if (path.path_id != 0) entry.u32(path.path_id);
    entry.u16(static_cast<std::uint16_t>(attributes_.size()));
    entry.bytes(attributes_);
    return 1;
  }

  MrtDump& dump_;
  const Rib& rib_;
  const RouteView& route_;
  std::uint32_t timestamp_;
  std::vector<std::byte> attributes_;
};

}  // namespace

void encode_peer_index(const MrtDump& dump, std::string_view view, std::uint32_t timestamp,
                       std::vector<std::byte>& out) {
  const std::size_t body = begin(timestamp, Subtype::peer_index_table, out);
  Writer record(out);
  record.u32(dump.peers.front().router_id.value);
  record.u16(static_cast<std::uint16_t>(view.size()));
  record.bytes(as_bytes(view));
  record.u16(static_cast<std::uint16_t>(dump.peers.size()));
  for (const MrtPeer& peer : dump.peers) {
    constexpr std::uint8_t ipv6_address = 1;
    constexpr std::uint8_t four_octet_as = 2;
    record.u8(four_octet_as | (peer.address.is_v6() ? ipv6_address : 0));
    record.u32(peer.router_id.value);
    record.bytes(peer.address.octets());
    record.u32(peer.asn.value);
  }
  finish(body, out);
}

void dump_slice(MrtDump& dump, const Rib& rib, std::size_t places, std::uint32_t timestamp,
                std::vector<std::byte>& out) {
  for (std::size_t i = 0; i < places && !dump.done; ++i) {
    if (dump.next >= rib.places(dump.family)) {
      dump.done = dump.family == Family::ipv6;
      dump.family = Family::ipv6;
      if (!dump.done) dump.next = 0;
      continue;
    }
    const auto route = rib.route_at(dump.family, dump.next++);
    if (!route) continue;
    ++dump.routes;
    Record record(dump, rib, *route, timestamp);
    record.encode(false, out);
    record.encode(true, out);
  }
}

}  // namespace weft::bgp
