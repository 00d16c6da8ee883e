#include "daemon/leases.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "net/host_route.h"

namespace weft::daemon {

ctl::ErrorCode code_of(ipam::Refusal::Reason reason) {
  switch (reason) {
    case ipam::Refusal::Reason::bad_request:
      return ctl::ErrorCode::bad_request;
    case ipam::Refusal::Reason::unknown_pool:
    case ipam::Refusal::Reason::elsewhere:
      return ctl::ErrorCode::not_found;
    case ipam::Refusal::Reason::taken:
    case ipam::Refusal::Reason::exhausted:
    case ipam::Refusal::Reason::limit:
      return ctl::ErrorCode::exhausted;
    case ipam::Refusal::Reason::collision:
      return ctl::ErrorCode::internal;
  }
  return ctl::ErrorCode::internal;
}

std::vector<Address> addresses_of(const ipam::Lease& lease) {
  std::vector<Address> addresses;
  if (const auto ipv4 = lease.ipv4()) addresses.push_back(*ipv4);
  if (const auto ipv6 = lease.ipv6()) addresses.push_back(*ipv6);
  return addresses;
}

Guarded guarded_as(const ipam::Lease& lease) {
  return {lease.host_ifname, lease.ipv4(), lease.ipv6()};
}

std::uint64_t inode_of(const std::string& path) {
  struct stat file {};
  return !path.empty() && ::stat(path.c_str(), &file) == 0 ? file.st_ino : 0;
}

std::string describe(const Attachment& attachment) {
  return fmt::format("{}/{}/{}", attachment.network, attachment.container.substr(0, 12),
                     attachment.ifname);
}

ctl::Lease told(const ipam::Lease& lease, bool has_gateway, std::uint32_t mtu) {
  ctl::Lease told;
  told.ipv4 = lease.ipv4();
  told.ipv6 = lease.ipv6();
  told.host_ifname = lease.host_ifname;
  told.mtu = mtu;
  told.alias = ipam::link_alias(lease);
  told.sequence = lease.sequence;
  if (lease.delegated && has_gateway) {
    constexpr std::uint32_t gateway = ipam::Pool::gateway_ordinal;
    const ipam::BlockId& block = lease.block;
    if (block.ipv4) told.ipv4_subnet = {*block.ipv4, *block.ipv4_at(gateway)};
    if (block.ipv6) told.ipv6_subnet = {*block.ipv6, *block.ipv6_at(gateway)};
  }
  return told;
}

ctl::Imported told(const ctl::ImportRequest& request, const ipam::Import& plan) {
  ctl::Imported told;
  for (std::size_t i = 0; i < request.addresses.size(); ++i) {
    const ctl::AddressInUse& asked = request.addresses[i];
    const ipam::Verdict& verdict = plan.verdicts[i];
    told.addresses.push_back({asked.address.text(), asked.container, asked.ifname,
                              std::string(name(verdict.kind)), verdict.reason});
  }
  return told;
}

std::string doubt(const ipam::Place& place, netlink::Socket& socket,
                  const std::function<bool(const Address&)>& shown_elsewhere) {
  for (const auto& address :
       {place.block.ipv4_at(place.ordinal), place.block.ipv6_at(place.ordinal)}) {
    if (!address) continue;
    const auto route = find_host_route(socket, *address);
    if (route && *route) {
      return (*route)->local
                 ? fmt::format("{} is an address of this host itself", address->text())
                 : fmt::format("{} has a route of its own in the kernel (protocol {}, link {})",
                               address->text(), (*route)->protocol, (*route)->ifindex);
    }
    if (shown_elsewhere && shown_elsewhere(*address)) {
      return fmt::format("{} is announced by another host", address->text());
    }
  }
  return {};
}

}  // namespace weft::daemon
