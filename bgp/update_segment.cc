#include "bgp/update_segment.h"

#include <algorithm>
#include <cassert>

#include "bgp/attributes.h"
#include "bgp/message.h"

namespace weft::bgp {

NextHopField next_hop_field(Bytes message) {
  Reader in(message.subspan(header_size));
  in.take(in.u16());
  Reader attributes = in.sub(in.u16());
  const auto here = [&] {
    return static_cast<std::size_t>(attributes.rest().data() - message.data());
  };
  while (!attributes.empty()) {
    const std::uint8_t flags = attributes.u8();
    const auto type = static_cast<AttributeType>(attributes.u8());
    const std::size_t length =
        (flags & flag::extended_length) != 0 ? attributes.u16() : attributes.u8();
    if (type == AttributeType::next_hop) return {here(), length};
    if (type == AttributeType::mp_reach_nlri) {
      attributes.take(3);
      const std::size_t size = attributes.u8();
      return {here(), size};
    }
    attributes.take(length);
  }
  return {};
}

std::size_t UpdateSegment::announce(Audience audience, AfiSafi family, const PathNextHop& next_hop,
                                    bool patched, Bytes attributes, std::span<const Nlri> nlri,
                                    const Negotiated& negotiated) {
  std::size_t done = 0;
  while (done < nlri.size()) {
    const std::size_t start = octets_.size();
    const std::size_t fitted =
        encode_announcement(family, next_hop, attributes, nlri.subspan(done), negotiated, octets_);
    if (fitted == 0) break;
    Message message{static_cast<std::uint32_t>(start), 0, audience};
    if (patched) {
      const NextHopField field = next_hop_field(Bytes(octets_).subspan(start));
      message.next_hop = static_cast<std::uint32_t>(start + field.offset);
    }
    messages_.push_back(message);
    done += fitted;
  }
  return done;
}

void UpdateSegment::withdraw(Audience audience, AfiSafi family, std::span<const Nlri> nlri,
                             const Negotiated& negotiated) {
  while (!nlri.empty()) {
    messages_.push_back({static_cast<std::uint32_t>(octets_.size()), 0, audience});
    nlri = nlri.subspan(encode_withdrawal(family, nlri, negotiated, octets_));
  }
}

void UpdateSegment::end_of_rib(AfiSafi family) {
  messages_.push_back({static_cast<std::uint32_t>(octets_.size()), 0, {}});
  encode_end_of_rib(family, octets_);
}

void UpdateSegment::refresh(const RouteRefresh& mark) {
  messages_.push_back({static_cast<std::uint32_t>(octets_.size()), 0, {}});
  encode(mark, octets_);
}

void UpdateSegment::copy_to(PeerId peer, Bytes next_hop, std::vector<std::byte>& out) const {
  for (std::size_t i = 0; i < messages_.size();) {
    if (!messages_[i].audience.includes(peer)) {
      ++i;
      continue;
    }
    // A run of messages that all are for this peer goes over in one piece.
    std::size_t end = i + 1;
    while (end < messages_.size() && messages_[end].audience.includes(peer)) ++end;
    const std::size_t from = messages_[i].offset;
    const std::size_t to = end < messages_.size() ? messages_[end].offset : octets_.size();
    const std::size_t base = out.size();
    const Bytes run = Bytes(octets_).subspan(from, to - from);
    out.insert(out.end(), run.begin(), run.end());
    for (; i < end; ++i) {
      if (messages_[i].next_hop == 0) continue;
      const auto at = static_cast<std::ptrdiff_t>(base + messages_[i].next_hop - from);
      std::copy(next_hop.begin(), next_hop.end(), out.begin() + at);
    }
  }
}

}  // namespace weft::bgp
