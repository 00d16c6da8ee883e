#include "bgp/tcp_md5.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "bgp/settings.h"
#include "net/socket_address.h"

namespace weft::bgp {
namespace {

static_assert(max_password == TCP_MD5SIG_MAXKEYLEN);

constexpr const char* optmem_path = "/proc/sys/net/core/optmem_max";
/// What one key costs the kernel: 20480 octets hold 150 of them, 131072 hold 963.
constexpr std::size_t octets_of_key = 137;

Error no_memory(std::size_t keys) {
  std::size_t now = 0;
  std::ifstream(optmem_path) >> now;
  // To a power of two, so that the next peers do not meet the same wall.
  std::size_t wanted = 131072;
  while (wanted < optmem_for_keys(keys) || wanted <= now) wanted *= 2;
  return Error{"the kernel has no room for " + std::to_string(keys) +
               " TCP MD5 keys on one socket: net.core.optmem_max is " + std::to_string(now) +
               "; run: sysctl -w net.core.optmem_max=" + std::to_string(wanted)};
}

}  // namespace

std::size_t optmem_for_keys(std::size_t keys) {
  return keys * octets_of_key;
}

Result<void> set_md5_key(int socket, const Prefix& from, const std::optional<Secret>& key,
                         std::size_t keys) {
  const std::string_view octets = key ? key->reveal() : std::string_view();
  assert(octets.size() <= TCP_MD5SIG_MAXKEYLEN && (!key || !octets.empty()));
  tcp_md5sig order{};
  const SocketAddress at = socket_address(from.address());
  std::memcpy(&order.tcpm_addr, &at.storage, at.size);
  order.tcpm_keylen = static_cast<std::uint16_t>(octets.size());
  std::copy(octets.begin(), octets.end(), order.tcpm_key);
  const bool host = from.length() == bits(from.family());
  if (!host) {
    order.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
    order.tcpm_prefixlen = static_cast<std::uint8_t>(from.length());
  }
  const int done =
      ::setsockopt(socket, IPPROTO_TCP, host ? TCP_MD5SIG : TCP_MD5SIG_EXT, &order, sizeof order);
  const int fault = errno;
  explicit_bzero(order.tcpm_key, sizeof order.tcpm_key);
  if (done == 0 || (!key && fault == ENOENT)) return {};
  if (fault == ENOMEM || fault == ENOBUFS) return no_memory(keys);
  if (fault == ENOPROTOOPT || fault == EPROTONOSUPPORT) {
    return Error{"this kernel has no TCP MD5 signatures (CONFIG_TCP_MD5SIG)"};
  }
  return Error{std::string("the kernel does not take the TCP MD5 key: ") + std::strerror(fault)};
}

}  // namespace weft::bgp
