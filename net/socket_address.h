// SocketAddress: an address and a port as the socket calls and the kernel's key tables take them.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "net/ip.h"

namespace weft {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// `ifindex` counts for link-local addresses only (RFC 4007 6); 0: none. `port` is in host order.
SocketAddress socket_address(const Address& address, std::uint16_t port = 0,
                             std::uint32_t ifindex = 0);

}  // namespace weft
