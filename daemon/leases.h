// Leases in the words of others: the control protocol's, the packet filter's, an operator's. And
// what is seen of an address beside its lease. No state of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ctl/protocol.h"
#include "daemon/packet_filter.h"
#include "ipam/allocator.h"
#include "ipam/import.h"
#include "net/netlink_socket.h"

namespace weft::daemon {

ctl::ErrorCode code_of(ipam::Refusal::Reason reason);

std::vector<Address> addresses_of(const ipam::Lease& lease);
Guarded guarded_as(const ipam::Lease& lease);
/// "fabric/0123456789ab/eth0"
std::string describe(const Attachment& attachment);
/// With the subnet, where blocks are subnets and another plugin is to be told.
ctl::Lease told(const ipam::Lease& lease, bool has_gateway, std::uint32_t mtu);
ctl::Imported told(const ctl::ImportRequest& request, const ipam::Import& plan);

/// Why somebody seems to have an address of the place that is free by the records, a sentence;
/// empty: nobody does. The kernel's routes are asked, then `shown_elsewhere` (BGP's).
std::string doubt(const ipam::Place& place, netlink::Socket& socket,
                  const std::function<bool(const Address&)>& shown_elsewhere);

/// Of a namespace's path; 0 when there is none.
std::uint64_t inode_of(const std::string& path);

}  // namespace weft::daemon
