#include "net/datagram.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace weft {
namespace {

bool turn_on(const Fd& socket, int level, int option) {
  const int on = 1;
  return ::setsockopt(socket.get(), level, option, &on, sizeof on) == 0;
}

template <typename Value>
Value value_of(const cmsghdr& message) {
  Value value{};
  std::memcpy(&value, CMSG_DATA(&message), sizeof value);
  return value;
}

template <typename Octets>
Address address_of(const Octets& octets) {
  return Address::of(std::as_bytes(std::span(&octets, 1)));
}

void take(const cmsghdr& message, Datagram& datagram) {
  if (message.cmsg_level == IPPROTO_IP && message.cmsg_type == IP_TTL) {
    datagram.hop_limit = value_of<int>(message);
  }
  if (message.cmsg_level == IPPROTO_IPV6 && message.cmsg_type == IPV6_HOPLIMIT) {
    datagram.hop_limit = value_of<int>(message);
  }
  if (message.cmsg_level == IPPROTO_IP && message.cmsg_type == IP_PKTINFO) {
    const auto info = value_of<in_pktinfo>(message);
    datagram.ifindex = static_cast<std::uint32_t>(info.ipi_ifindex);
    datagram.to = address_of(info.ipi_addr);
  }
  if (message.cmsg_level == IPPROTO_IPV6 && message.cmsg_type == IPV6_PKTINFO) {
    const auto info = value_of<in6_pktinfo>(message);
    datagram.ifindex = info.ipi6_ifindex;
    datagram.to = address_of(info.ipi6_addr);
  }
}

void take_all(msghdr& message, Datagram& datagram) {
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, each)) {
    take(*each, datagram);
  }
}

}  // namespace

bool want_arrival(const Fd& socket, Family family) {
  return family == Family::ipv4
             ? turn_on(socket, IPPROTO_IP, IP_PKTINFO) && turn_on(socket, IPPROTO_IP, IP_RECVTTL)
             : turn_on(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO) &&
                   turn_on(socket, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
}

std::optional<Datagram> receive_datagram(const Fd& socket, std::span<std::byte> buffer) {
  sockaddr_storage from{};
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<std::byte, 256> control{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(socket.get(), &message, 0);
  if (size < 0) return std::nullopt;
  Datagram datagram;
  datagram.size = static_cast<std::size_t>(size);
  datagram.cut = (message.msg_flags & MSG_TRUNC) != 0;
  datagram.from = from.ss_family == AF_INET
                      ? address_of(reinterpret_cast<const sockaddr_in&>(from).sin_addr)
                      : address_of(reinterpret_cast<const sockaddr_in6&>(from).sin6_addr);
  take_all(message, datagram);
  return datagram;
}

std::uint32_t arrival_link(int connection, Family family) {
  const bool v4 = family == Family::ipv4;
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  const int on = 1;
  // What it says is of the last segment of the handshake, whenever it is asked for.
  if (::setsockopt(connection, level, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof on) != 0)
    return 0;
  alignas(cmsghdr) std::array<std::byte, 256> control{};
  socklen_t size = control.size();
  const int got = ::getsockopt(connection, level, v4 ? IP_PKTOPTIONS : IPV6_2292PKTOPTIONS,
                               control.data(), &size);
  if (got != 0) return 0;
  msghdr message{};
  message.msg_control = control.data();
  message.msg_controllen = size;
  Datagram arrival;
  take_all(message, arrival);
  return arrival.ifindex;
}

}  // namespace weft
