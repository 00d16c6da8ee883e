// weft-ipam's commands: addresses for other main plugins, which make the link by themselves. The
// answer is as host-local's, an address of a subnet with its gateway, where the pool's blocks are
// subnets; else a /32 and a /128 without one. I/O.
#pragma once

#include "cni/program.h"
#include "cni/request.h"
#include "cni/result.h"
#include "ctl/protocol.h"

namespace weft::cni {

Program ipam_plugin();

/// What ADD prints. Without `routes` in the configuration: a default route for each family.
Success given(const ctl::Lease& lease, const NetworkConfig& config);

}  // namespace weft::cni
