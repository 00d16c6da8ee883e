// UpdateSegment: a run of encoded UPDATEs that the peers of a group share, with marks for what
// differs between them: who is to get a message, and where a peer's own next hop goes. Packing:
// routes that share an advertisement share messages. RFC 4271 4.3, 4760, 8654.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "bgp/message.h"
#include "bgp/rib.h"
#include "bgp/update.h"

namespace weft::bgp {

/// Whose message it is.
struct Audience {
  enum class Kind : std::uint8_t { all, all_but, only };
  Kind kind = Kind::all;
  PeerId peer = PeerId::local;

  [[nodiscard]] bool includes(PeerId who) const {
    return kind == Kind::all || (kind == Kind::all_but) != (who == peer);
  }
  bool operator==(const Audience&) const = default;
};

/// Where the next hop stands in an UPDATE that announces: offset and size of its octets.
struct NextHopField {
  std::size_t offset = 0;
  std::size_t size = 0;
};
NextHopField next_hop_field(Bytes message);

class UpdateSegment {
 public:
  /// UPDATEs that announce `nlri` to the audience. `patched`: each peer gets its own next hop in
  /// place of `next_hop`. Returns how many fitted: one that does not fit a message on its own stops
  /// it.
  std::size_t announce(Audience audience, AfiSafi family, const PathNextHop& next_hop, bool patched,
                       Bytes attributes, std::span<const Nlri> nlri, const Negotiated& negotiated);
  void withdraw(Audience audience, AfiSafi family, std::span<const Nlri> nlri,
                const Negotiated& negotiated);
  void end_of_rib(AfiSafi family);
  /// BoRR or EoRR (RFC 7313 3.2).
  void refresh(const RouteRefresh& mark);

  /// Appends what `peer` is to get, with `next_hop`, the octets of its own, where messages are
  /// patched.
  void copy_to(PeerId peer, Bytes next_hop, std::vector<std::byte>& out) const;

  [[nodiscard]] bool empty() const { return messages_.empty(); }
  [[nodiscard]] std::size_t size() const { return octets_.size(); }

 private:
  struct Message {
    std::uint32_t offset = 0;
    std::uint32_t next_hop = 0;  // offset in the segment; 0: nothing to patch
    Audience audience;
  };
  std::vector<std::byte> octets_;
  std::vector<Message> messages_;
};

}  // namespace weft::bgp
