#include "daemon/host.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cerrno>

#include "fib/settings.h"
#include "net/netlink.h"
#include "net/netlink_socket.h"

namespace weft::daemon {
namespace {

Result<void, netlink::Refusal> put_on_loopback(netlink::Socket& socket, const Address& address) {
  netlink::Batch batch;
  ifaddrmsg header{};
  header.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = static_cast<std::uint8_t>(bits(address.family()));
  header.ifa_flags = IFA_F_NODAD;
  header.ifa_index = if_nametoindex("lo");
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  batch.put_address(IFA_LOCAL, address);
  batch.put_address(IFA_ADDRESS, address);
  return socket.request(batch);
}

}  // namespace

std::vector<std::string> put_router_addresses(const config::NodeSettings& node) {
  std::vector<std::string> complaints;
  auto socket = netlink::Socket::open();
  if (!socket) return {socket.error().message};
  for (const Prefix& prefix : router_prefixes(node)) {
    const auto put = put_on_loopback(*socket, prefix.address());
    if (put || put.error().code == EEXIST) continue;
    complaints.push_back(fmt::format("router address {} is not on lo: {}; ip address add {} dev lo",
                                     prefix.address().text(), put.error().message, prefix.text()));
  }
  return complaints;
}

std::vector<Prefix> router_prefixes(const config::NodeSettings& node) {
  std::vector<Prefix> prefixes{Prefix::host(Address::ipv4(node.router_id.value))};
  if (node.router_address_ipv6) prefixes.push_back(Prefix::host(*node.router_address_ipv6));
  return prefixes;
}

}  // namespace weft::daemon
