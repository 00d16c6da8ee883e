// NLRI: prefixes as UPDATEs carry them (RFC 4271 4.3, 4760 5), with path identifiers where they
// were negotiated (RFC 7911 3). IPv4 and IPv6 unicast; bytes of other families are never looked
// into.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <vector>

#include "bgp/types.h"
#include "net/bytes.h"
#include "net/ip.h"

namespace weft::bgp {

struct Nlri {
  Prefix prefix;
  /// 0 where path identifiers are not in use.
  std::uint32_t path_id = 0;
  auto operator<=>(const Nlri&) const = default;
};

/// Encoded NLRI of one family inside a message; valid as long as the message's buffer. Iterate with
/// range-for.
struct NlriRange {
  Family family = Family::ipv4;
  /// Each prefix follows a path identifier of four octets.
  bool path_ids = false;
  Bytes bytes;

  class Iterator {
   public:
    using value_type = Nlri;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;

    Iterator() = default;
    explicit Iterator(const NlriRange& range);
    const Nlri& operator*() const { return current_; }
    const Nlri* operator->() const { return &current_; }
    Iterator& operator++();
    bool operator==(std::default_sentinel_t) const { return done_; }

   private:
    Reader rest_{Bytes{}};
    Nlri current_;
    Family family_ = Family::ipv4;
    bool path_ids_ = false;
    bool done_ = true;
  };

  [[nodiscard]] Iterator begin() const { return Iterator(*this); }
  [[nodiscard]] static std::default_sentinel_t end() { return {}; }
  [[nodiscard]] bool empty() const { return bytes.empty(); }

  /// How many there are, or nothing when they are syntactically incorrect: a length above 32 or
  /// 128, or octets missing (RFC 7606 5.3). Iterating stops at the first such one; ranges of a
  /// decoded UPDATE have none.
  [[nodiscard]] std::optional<std::size_t> count() const;
};

/// Calls `each` with the NLRI of a range, at most `Size` at a time.
template <std::size_t Size, typename Each>
void in_blocks(const NlriRange& range, Each each) {
  std::array<Nlri, Size> block;
  std::size_t count = 0;
  for (const Nlri& nlri : range) {
    block[count++] = nlri;
    if (count != Size) continue;
    each(std::span<const Nlri>(block));
    count = 0;
  }
  if (count != 0) each(std::span<const Nlri>(block).first(count));
}

/// Octets of one NLRI on the wire: 1..21.
inline std::size_t encoded_size(const Nlri& nlri, bool path_id) {
  return (path_id ? 4U : 0U) + 1 + (nlri.prefix.length() + 7) / 8;
}
void encode(const Nlri& nlri, bool path_id, std::vector<std::byte>& out);

/// RFC 4271 6.3: a prefix that can be a unicast route. Others are to be ignored, one by one, and
/// logged: multicast, reserved 240/4, 0/8 and what is inside, loopback, and IPv6 link-local. The
/// default route is one.
bool is_routable(const Prefix& prefix);

}  // namespace weft::bgp
