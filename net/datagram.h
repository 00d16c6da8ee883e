// A datagram together with what its IP header and its way in say of it, which a protocol that
// trusts only its own link needs to know (RFC 5082, RFC 5881 5, RFC 4861 6.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "net/fd.h"
#include "net/ip.h"

namespace weft {

struct Datagram {
  Address from;
  /// Where the sender sent it to: an address of this host, or a multicast group.
  Address to;
  /// The link it came in by.
  std::uint32_t ifindex = 0;
  /// TTL or hop limit as it arrived, 0-255; -1: not known.
  int hop_limit = -1;
  /// Octets in the buffer.
  std::size_t size = 0;
  /// It was longer than the buffer.
  bool cut = false;
};

/// Has the kernel say with each datagram of `socket` where it was sent to, by which link and with
/// which hop limit. False with errno set when it does not.
bool want_arrival(const Fd& socket, Family family);

/// The next datagram, its octets at the start of `buffer`; none when none waits.
std::optional<Datagram> receive_datagram(const Fd& socket, std::span<std::byte> buffer);

/// The link by which the other end's handshake came in on an accepted TCP connection; 0: the kernel
/// does not say.
std::uint32_t arrival_link(int connection, Family family);

}  // namespace weft
