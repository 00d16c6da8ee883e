// The veth of a container as both its makers see it, weft-cni (which builds it) and weftd (which
// looks after it): the gateway every container has, the kernel's view of a link, and taking one
// away. Messages go over a socket of the namespace in question. Not here: addresses of containers,
// which are given by `ipam`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/attachment.h"
#include "net/ip.h"
#include "net/netlink_socket.h"
#include "net/result.h"

namespace weft {

/// rtm_protocol of the host's routes to its containers; the same number as fib::route_protocol.
inline constexpr std::uint8_t container_route_protocol = 87;

/// The same for every container of every host: 169.254.1.1 is answered for by proxy ARP, fe80::1 is
/// an address of each host end.
Address gateway(Family family);

/// What stands between the host and its containers, whatever the host's own routes: forwarding on,
/// and the route 169.254.1.1/32 dev lo, without which the kernel answers no ARP request for the
/// gateway unless it has a default route. Safe to repeat; weftd does it at start, weft-cni at each
/// ADD.
Result<void> prepare_host(netlink::Socket& host);

struct Link {
  std::uint32_t index = 0;
  std::string name;
  Mac mac{};
  bool up = false;
  std::uint32_t mtu = 0;
  std::string alias;
  /// Index of the other end, in the other end's namespace.
  std::uint32_t peer_index = 0;
};

/// None when there is no link of that name.
Result<std::optional<Link>, netlink::Refusal> find_link(netlink::Socket& socket,
                                                        const std::string& name);
/// All links of the namespace.
Result<std::vector<Link>, netlink::Refusal> list_links(netlink::Socket& socket);

/// EBUSY before Linux 6.2 while the link is up.
Result<void, netlink::Refusal> rename_link(netlink::Socket& socket, std::uint32_t index,
                                           const std::string& name);
Result<void, netlink::Refusal> set_link_alias(netlink::Socket& socket, std::uint32_t index,
                                              const std::string& alias);

/// One of our routes to a container.
struct ContainerRoute {
  Prefix destination;
  std::uint32_t ifindex = 0;
};
/// The routes of protocol weft that lead straight to a link, without gateway and nexthop object.
Result<std::vector<ContainerRoute>, netlink::Refusal> list_container_routes(
    netlink::Socket& socket);

/// Appends the route of `address` over `ifindex`: type RTM_NEWROUTE with its flags, or
/// RTM_DELROUTE.
void put_container_route(netlink::Batch& batch, std::uint16_t type, std::uint16_t flags,
                         const Address& address, std::uint32_t ifindex);

/// Our host ends carry an alias that begins with "weft:", or none yet; any other link of that name
/// is somebody else's.
bool is_host_veth(const Link& link);

/// Both ends go, with all routes and neighbours. False: there was none, or it is somebody else's.
/// Waits until the kernel has cleaned up behind it (16-30 ms); a daemon wants VethRemover.
Result<bool, netlink::Refusal> delete_host_veth(netlink::Socket& socket, const std::string& name);

}  // namespace weft
