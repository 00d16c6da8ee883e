// Any octets as the body of an UPDATE, on a session that the first octet describes. Properties: a
// decoder that remembers says the same as a fresh one; attributes survive their canonical form and
// the wire to four- and two-octet peers; what is announced survives being packed into UPDATEs
// again.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "bgp/message.h"
#include "bgp/update.h"

using namespace weft;
using namespace weft::bgp;

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

Inbound session(std::uint8_t choice) {
  Inbound inbound;
  inbound.external = (choice & 1) != 0;
  inbound.peer_as = Asn{65001};
  inbound.enforce_first_as = (choice & 2) != 0;
  Negotiated& negotiated = inbound.negotiated;
  negotiated.four_octet_as = (choice & 4) != 0;
  const bool path_ids = (choice & 8) != 0;
  const bool extended_next_hop = (choice & 16) != 0;
  negotiated.families = {{unicast(Family::ipv4), path_ids, path_ids, extended_next_hop},
                         {unicast(Family::ipv6), path_ids, path_ids, false}};
  if ((choice & 32) != 0) negotiated.families.erase(negotiated.families.begin());
  negotiated.link_local_next_hop = (choice & 64) != 0;
  if ((choice & 128) != 0) negotiated.max_send = max_extended_message_size;
  return inbound;
}

std::vector<Nlri> read(const NlriRange& range) {
  std::vector<Nlri> all;
  for (const Nlri& nlri : range) all.push_back(nlri);
  require(range.count() == all.size());
  return all;
}

void try_wire(const Attributes& attributes, const PathNextHop& next_hop, const NlriRange& range,
              const Inbound& inbound, bool four_octet_as) {
  Inbound other = inbound;
  other.negotiated.four_octet_as = four_octet_as;
  const std::vector<Nlri> nlri = read(range);
  std::vector<std::byte> encoded;
  encode_attributes(attributes, four_octet_as, encoded);
  std::span<const Nlri> rest(nlri);
  UpdateDecoder decoder(other);
  while (!rest.empty()) {
    std::vector<std::byte> bytes;
    const std::size_t taken = encode_announcement(unicast(range.family), next_hop, encoded, rest,
                                                  other.negotiated, bytes);
    if (taken == 0) {
      require(bytes.empty());
      return;
    }
    const auto frame = next_message(bytes, other.negotiated.max_send);
    require(frame && *frame && (*frame)->size() == bytes.size());
    const auto update = decoder.decode((*frame)->body());
    require(update && update->handling() == Handling::accept);
    require(update->announcements().size() == 1 && update->withdrawals().empty());
    require(update->announcements()[0].next_hop == next_hop);
    require(update->attributes() == attributes);
    const std::vector<Nlri> came = read(update->announcements()[0].nlri);
    require(std::equal(came.begin(), came.end(), rest.begin(),
                       rest.begin() + static_cast<std::ptrdiff_t>(taken)));
    rest = rest.subspan(taken);
  }
}

void try_withdrawal(const NlriRange& range, const Inbound& inbound) {
  const std::vector<Nlri> nlri = read(range);
  if (nlri.empty()) return;
  std::vector<std::byte> bytes;
  const std::size_t taken =
      encode_withdrawal(unicast(range.family), nlri, inbound.negotiated, bytes);
  require(taken > 0 && bytes.size() <= inbound.negotiated.max_send);
  UpdateDecoder decoder(inbound);
  const auto update = decoder.decode(Bytes(bytes).subspan(header_size));
  require(update && update->withdrawals().size() == 1 && update->errors().empty());
  require(read(update->withdrawals()[0]) ==
          std::vector<Nlri>(nlri.begin(), nlri.begin() + static_cast<std::ptrdiff_t>(taken)));
}

void try_update(const Update& update, const Inbound& inbound) {
  for (const NlriRange& range : update.withdrawals()) try_withdrawal(range, inbound);
  if (update.announcements().empty()) return;
  const Attributes& attributes = update.attributes();
  text(attributes);
  require(from_canonical(canonical(attributes)) == attributes);
  for (const Announcement& each : update.announcements()) {
    try_wire(attributes, each.next_hop, each.nlri, inbound, true);
    try_wire(attributes, each.next_hop, each.nlri, inbound, false);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > max_extended_message_size - header_size) return 0;
  const Inbound inbound = session(data[0]);
  const Bytes body = std::as_bytes(std::span(data, size)).subspan(1);
  UpdateDecoder decoder(inbound);
  const auto first = decoder.decode(body);
  if (!first) {
    text(first.error());
    return 0;
  }
  const Attributes attributes = first->attributes();
  const std::uint64_t serial = first->attributes_serial();
  try_update(*first, inbound);
  const auto second = decoder.decode(body);
  require(second && second->handling() == first->handling());
  require(second->attributes() == attributes);
  require(second->attributes_serial() == serial || !second->errors().empty());
  return 0;
}
