// weft-ipam's commands: addresses for other main plugins, which make the link by themselves. The
// answer is as host-local's, an address of a subnet with its gateway, where the pool's blocks are
// subnets; else a /32 and a /128 without one. I/O.
#pragma once

#include <string>

#include "cni/request.h"
#include "cni/result.h"
#include "ctl/protocol.h"
#include "net/result.h"

namespace weft::cni {

/// What goes to stdout; empty for the commands that print nothing. `socket` overrides the
/// configuration's when it is not empty. Warnings go to stderr.
Result<std::string, Failure> serve_ipam(const Request& request, const std::string& socket);

/// What ADD prints. Without `routes` in the configuration: a default route for each family.
Success given(const ctl::Lease& lease, const NetworkConfig& config);

}  // namespace weft::cni
