#include "bench/neighbor.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "bgp/attributes.h"
#include "bgp/update.h"

namespace weft::bench {

namespace {

/// Whole messages until one of `type` has come.
void await(int socket, std::vector<std::byte>& buffer, bgp::MessageType type) {
  for (;;) {
    while (buffer.size() >= 19) {
      const auto size = static_cast<std::size_t>(Reader(Bytes(buffer).subspan(16)).u16());
      if (buffer.size() < size || size < 19) break;
      const auto found = static_cast<bgp::MessageType>(buffer[18]);
      buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
      if (found == type) return;
      if (found == bgp::MessageType::notification) fail("the daemon answered with a NOTIFICATION");
    }
    std::array<std::byte, 4096> chunk{};
    const ssize_t got = ::recv(socket, chunk.data(), chunk.size(), 0);
    if (got <= 0) fail("the daemon closed the session");
    buffer.insert(buffer.end(), chunk.begin(), chunk.begin() + got);
  }
}

bgp::Negotiated negotiated(Family family) {
  bgp::Negotiated made;
  made.four_octet_as = true;
  made.families.push_back({bgp::unicast(family)});
  return made;
}

}  // namespace

void fail(const std::string& what) {
  fmt::print(stderr, "bench: {}\n", what);
  std::exit(1);
}

Prefix nth(Family family, std::uint32_t i) {
  if (family == Family::ipv4) return {Address::ipv4(first_prefix + (i << 6U)), 26};
  std::array<std::byte, 16> octets{std::byte{0x20}, std::byte{0x01}, std::byte{0x0d},
                                   std::byte{0xb8}};
  for (unsigned place = 0; place < 4; ++place) {
    octets[4 + place] = static_cast<std::byte>(i >> (24U - 8U * place) & 0xffU);
  }
  return {Address::ipv6(octets), 64};
}

double seconds_between(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}
double monotonic(Time at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

Fd listening(const Address& address, int backlog) {
  sockaddr_storage local{};
  socklen_t size = sizeof(sockaddr_in);
  if (address.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&local);
    in->sin_family = AF_INET;
    in->sin_port = htons(179);
    std::memcpy(&in->sin_addr, address.octets().data(), 4);
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&local);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(179);
    std::memcpy(&in->sin6_addr, address.octets().data(), 16);
    size = sizeof(sockaddr_in6);
  }
  Fd listener(::socket(local.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  const int ttl = 255;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.is_v4()) {
    ::setsockopt(listener.get(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
  } else {
    ::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl);
  }
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&local), size) != 0 ||
      ::listen(listener.get(), backlog) != 0) {
    fail(fmt::format("{} port 179: {}", address.text(), std::strerror(errno)));
  }
  return listener;
}

Fd accepted(const Fd& listener) {
  pollfd waiting{listener.get(), POLLIN, 0};
  if (::poll(&waiting, 1, 60'000) != 1) fail("nobody connected within a minute");
  return Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

void send_all(int socket, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) fail(fmt::format("the daemon closed the session: {}", std::strerror(errno)));
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

void wait_until_read(int socket) {
  for (int unsent = 1; unsent > 0;) {
    if (::ioctl(socket, SIOCOUTQ, &unsent) != 0) fail("the daemon closed the session");
    if (unsent > 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

std::vector<std::byte> greeting(const Identity& identity, Family family) {
  bgp::Open open;
  open.asn = identity.asn;
  open.hold_time = identity.hold_time;
  open.id = identity.id;
  open.capabilities.four_octet_as = open.asn;
  open.capabilities.families.push_back(bgp::unicast(family));
  if (identity.graceful) {
    open.capabilities.graceful_restart.emplace();
    open.capabilities.graceful_restart->restart_time = std::chrono::seconds(120);
    open.capabilities.graceful_restart->families.push_back({bgp::unicast(family), true});
  }
  std::vector<std::byte> out;
  bgp::encode(open, out);
  bgp::encode(bgp::Keepalive{}, out);
  return out;
}

void open_session(int socket, Family family, const Identity& identity) {
  send_all(socket, greeting(identity, family));
  std::vector<std::byte> input;
  await(socket, input, bgp::MessageType::open);
  await(socket, input, bgp::MessageType::keepalive);
}

std::vector<std::byte> table(std::uint32_t count, bgp::Asn asn, const Address& next_hop_address) {
  const Family ip = next_hop_address.family();
  const bgp::AfiSafi family = bgp::unicast(ip);
  const bgp::Negotiated session = negotiated(ip);
  bgp::PathNextHop next_hop;
  next_hop.address = next_hop_address;
  std::vector<std::byte> out;
  for (std::uint32_t i = 0; i < count; i += routes_per_update) {
    bgp::Attributes attributes;
    attributes.origin = bgp::Origin::igp;
    attributes.as_path =
        bgp::AsPath::sequence({asn, bgp::Asn{64512 + i / 10 % 1000}, bgp::Asn{100'000 + i / 10}});
    std::vector<std::byte> encoded;
    bgp::encode_attributes(attributes, true, encoded);
    std::vector<bgp::Nlri> nlri;
    for (std::uint32_t j = i; j < count && j < i + routes_per_update; ++j) {
      nlri.push_back({nth(ip, j)});
    }
    bgp::encode_announcement(family, next_hop, encoded, nlri, session, out);
  }
  bgp::encode_end_of_rib(family, out);
  return out;
}

std::vector<std::byte> withdrawals(std::uint32_t count, Family ip) {
  const bgp::AfiSafi family = bgp::unicast(ip);
  const bgp::Negotiated session = negotiated(ip);
  std::vector<bgp::Nlri> nlri;
  nlri.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) nlri.push_back({nth(ip, i)});
  std::vector<std::byte> out;
  for (std::span<const bgp::Nlri> rest = nlri; !rest.empty();)
    rest = rest.subspan(bgp::encode_withdrawal(family, rest, session, out));
  return out;
}

}  // namespace weft::bench
