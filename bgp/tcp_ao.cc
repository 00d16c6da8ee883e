#include "bgp/tcp_ao.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "net/fd.h"
#include "net/tcp_ao_abi.h"

namespace weft::bgp {
namespace {

static_assert(max_ao_secret == tcp_ao_abi::max_key);

void store(const Address& address, sockaddr_storage& into) {
  if (address.is_v4()) {
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    std::memcpy(&ipv4.sin_addr, address.octets().data(), sizeof ipv4.sin_addr);
    std::memcpy(&into, &ipv4, sizeof ipv4);
  } else {
    sockaddr_in6 ipv6{};
    ipv6.sin6_family = AF_INET6;
    std::memcpy(&ipv6.sin6_addr, address.octets().data(), sizeof ipv6.sin6_addr);
    std::memcpy(&into, &ipv6, sizeof ipv6);
  }
}

/// As the kernel's crypto calls them. All are cut to 96 bits (RFC 5926 2).
std::string_view kernel_name(TcpAoAlgorithm algorithm) {
  switch (algorithm) {
    case TcpAoAlgorithm::hmac_sha1_96:
      return "hmac(sha1)";
    case TcpAoAlgorithm::aes_128_cmac_96:
      return "cmac(aes128)";
    case TcpAoAlgorithm::hmac_sha256_96:
      return "hmac(sha256)";
  }
  return "";
}

Error refused(const TcpAoKey& key, int fault) {
  if (fault == ENOPROTOOPT || fault == EPROTONOSUPPORT) {
    return Error{
        "this kernel has no TCP-AO (CONFIG_TCP_AO, Linux 6.7 or later); without it there is no "
        "session"};
  }
  if (fault == ENOENT) {
    return Error{fmt::format("this kernel has no {} for TCP-AO; without it there is no session",
                             name(key.algorithm))};
  }
  return Error{
      fmt::format("the kernel does not take TCP-AO key {}: {}; without it there is no session",
                  key.send_id, std::strerror(fault))};
}

}  // namespace

bool has_tcp_ao() {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  tcp_ao_abi::Info info;
  socklen_t size = sizeof info;
  // Where there is such an option, a socket without keys has no answer to it.
  return socket && (::getsockopt(socket.get(), IPPROTO_TCP, tcp_ao_abi::info, &info, &size) == 0 ||
                    errno == ENOENT);
}

Result<void> add_ao_keys(int socket, const Address& peer, std::span<const TcpAoKey> keys) {
  for (const TcpAoKey& key : keys) {
    const std::string_view secret = key.secret.reveal();
    assert(!secret.empty() && secret.size() <= max_ao_secret);
    tcp_ao_abi::AddKey order;
    store(peer, order.address);
    const std::string_view algorithm = kernel_name(key.algorithm);
    std::copy(algorithm.begin(), algorithm.end(), order.algorithm.begin());
    if (&key == keys.data()) order.flags = tcp_ao_abi::set_current | tcp_ao_abi::set_receive_next;
    order.prefix = static_cast<std::uint8_t>(bits(peer.family()));
    order.send_id = key.send_id;
    order.receive_id = key.receive_id;
    order.mac_size = 12;
    order.key_size = static_cast<std::uint8_t>(secret.size());
    std::copy(secret.begin(), secret.end(), order.key.begin());
    int done = ::setsockopt(socket, IPPROTO_TCP, tcp_ao_abi::add_key, &order, sizeof order);
    if (done != 0 && errno == EINVAL && order.flags != 0) {
      // A listening socket has no current key; each connection takes it from its first segment.
      order.flags = 0;
      done = ::setsockopt(socket, IPPROTO_TCP, tcp_ao_abi::add_key, &order, sizeof order);
    }
    const int fault = errno;
    explicit_bzero(order.key.data(), order.key.size());
    if (done == 0) continue;
    remove_ao_keys(socket, peer, keys);
    return refused(key, fault);
  }
  return {};
}

void remove_ao_keys(int socket, const Address& peer, std::span<const TcpAoKey> keys) {
  for (const TcpAoKey& key : keys) {
    tcp_ao_abi::DeleteKey order;
    store(peer, order.address);
    order.prefix = static_cast<std::uint8_t>(bits(peer.family()));
    order.send_id = key.send_id;
    order.receive_id = key.receive_id;
    static_cast<void>(
        ::setsockopt(socket, IPPROTO_TCP, tcp_ao_abi::delete_key, &order, sizeof order));
  }
}

bool is_authenticated(int socket) {
  tcp_ao_abi::Info info;
  socklen_t size = sizeof info;
  return ::getsockopt(socket, IPPROTO_TCP, tcp_ao_abi::info, &info, &size) == 0;
}

}  // namespace weft::bgp
