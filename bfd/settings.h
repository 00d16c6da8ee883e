// What is wanted of BFD: the terms of one session and where it leads. Plain data; the defaults here
// are the defaults of the product. RFC 5880, 5881, 5883.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>

#include "net/ip.h"

namespace weft::bfd {

struct Terms {
  /// DesiredMinTxInterval and RequiredMinRxInterval alike, 10..60000 ms.
  std::chrono::milliseconds interval{300};
  /// Packets that may be missing before the session is down, 2..255.
  std::uint8_t multiplier = 3;

  auto operator<=>(const Terms&) const = default;
};

/// Between whom: one session each.
struct Path {
  Address remote;
  /// Of the same family.
  Address local;
  /// The link of a single hop (RFC 5881); 0: multihop (RFC 5883).
  std::uint32_t ifindex = 0;

  [[nodiscard]] bool is_multihop() const { return ifindex == 0; }
  auto operator<=>(const Path&) const = default;
};

}  // namespace weft::bfd
