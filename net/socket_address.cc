#include "net/socket_address.h"

#include <netinet/in.h>

#include <cstring>

namespace weft {

SocketAddress socket_address(const Address& address, std::uint16_t port, std::uint32_t ifindex) {
  SocketAddress made;
  const Bytes octets = address.octets();
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, octets.data(), octets.size());
    std::memcpy(&made.storage, &v4, sizeof v4);
    made.size = sizeof v4;
    return made;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, octets.data(), octets.size());
  if (address.is_link_local()) v6.sin6_scope_id = ifindex;
  std::memcpy(&made.storage, &v6, sizeof v6);
  made.size = sizeof v6;
  return made;
}

}  // namespace weft
