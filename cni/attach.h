// Attach: a container wired to its host. One veth pair made in place (never moved, never renamed:
// that would hold RTNL for tens of milliseconds), /32 and /128 inside, default routes through the
// gateway all containers share, one route a family on the host. Permanent neighbour entries on both
// sides; beneath them proxy ARP for 169.254.1.1, needing no default route and no IPv4 address on
// the host. I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cni/request.h"
#include "cni/result.h"
#include "cni/wishes.h"
#include "net/attachment.h"
#include "net/ip.h"
#include "net/netlink_socket.h"
#include "net/netns.h"
#include "net/result.h"

namespace weft::cni {

/// What an interface is to the container's default route of one family.
enum class DefaultRoute {
  /// Leads through it.
  held,
  /// Leads through another interface, and through this one when that goes.
  spare,
  /// Never leads through it: the network says so.
  never,
  /// Of the host itself (CNI_NETNS_OVERRIDE), whose routes are not the plugin's to choose.
  of_the_host,
};

/// The interface through which a default route leads.
struct DefaultHolder {
  std::string ifname;
  std::uint32_t index = 0;
  /// One that this plugin made, as far as its route tells.
  bool is_ours = false;
};

/// All that is to be built, decided beforehand.
struct Wiring {
  Attachment attachment;
  /// Of the container's end.
  Mac mac{};
  std::optional<Address> ipv4;
  std::optional<Address> ipv6;
  /// Where the default routes lead. Of an interface beside, what comes in there is answered there:
  /// its address has a routing table of its own.
  DefaultRoute default_ipv4 = DefaultRoute::held;
  DefaultRoute default_ipv6 = DefaultRoute::held;
  /// Of ours, whose default routes become spare ones.
  std::optional<DefaultHolder> former_ipv4;
  std::optional<DefaultHolder> former_ipv6;
  std::string host_ifname;
  std::uint32_t mtu = 1500;
  std::string alias;
  /// From which the interface indexes follow: fresh ones for each allocation.
  std::uint64_t sequence = 0;
  /// Beside the default routes, of families the container has.
  std::vector<Prefix> routes;
  std::vector<Sysctl> sysctls;
  /// Into the container and out of it.
  std::optional<Rate> ingress;
  std::optional<Rate> egress;
};

/// The two namespaces of an attachment, each with a socket in it.
class Ends {
 public:
  /// Of the calling thread and of `netns`. Refused: a namespace that is gone, and, unless
  /// `own_netns_allowed`, the caller's own. The thread ends up where it was.
  static Result<Ends, Failure> open(const std::string& netns, bool own_netns_allowed);

  [[nodiscard]] std::uint64_t netns_inode() const { return container_namespace_.inode(); }
  /// CNI: an ADD for an interface that exists is an error, and must be one before anything is
  /// touched.
  Result<void, Failure> check_absent(const std::string& ifname);
  /// The container's namespace is the caller's own.
  [[nodiscard]] bool is_one() const {
    return host_namespace_.inode() == container_namespace_.inode();
  }
  /// Through which interface other than `ifname` the container's default route leads. Spare ones do
  /// not count; one that is not ours comes first.
  Result<std::optional<DefaultHolder>, Failure> default_holder(Family family,
                                                               const std::string& ifname);

  /// Builds all of it, or undoes in reverse what it had built.
  Result<void, Failure> attach(const Wiring& wiring);

  /// CHECK: both ends with their addresses, routes and gateway as attach() leaves them; more is no
  /// fault.
  Result<void, Failure> verify(const Wiring& wiring);

 private:
  Ends(NetworkNamespace host_namespace, NetworkNamespace container_namespace,
       netlink::Socket host_socket, netlink::Socket container_socket);

  struct Indexes {
    std::uint32_t host = 0;
    std::uint32_t container = 0;
  };
  Result<Indexes, Failure> make_pair(const Wiring& wiring);
  Result<void, netlink::Refusal> request_pair(const Wiring& wiring, Indexes indexes);
  Result<Indexes, Failure> find_pair(const Wiring& wiring);
  Result<void, Failure> wire_host(const Wiring& wiring, Indexes indexes);
  Result<void, Failure> wire_container(const Wiring& wiring, Indexes indexes);
  void await_carrier(std::uint32_t index);
  Result<void, Failure> route_by_source(const Wiring& wiring);
  /// Runs `change` with the thread inside the container's namespace.
  template <typename Change>
  Result<void, Failure> inside(Change change);

  NetworkNamespace host_namespace_;
  NetworkNamespace container_namespace_;
  netlink::Socket host_;
  netlink::Socket container_;
};

/// What ADD prints of it.
Success described(const Wiring& wiring, const std::string& netns, const Dns& dns);

}  // namespace weft::cni
