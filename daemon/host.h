// Host: the router addresses on lo, put there where they are not already. Only ever adds;
// what it finds is left as it is. Complaints are sentences with the command that helps. Not here:
// sysctls and what else weft needs of its host (doctor.h).
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "net/result.h"

namespace weft::daemon {

/// Puts the router-id and its IPv6 counterpart on lo, so that the host can be reached by them and
/// speaks from them.
std::vector<std::string> put_router_addresses(const config::NodeSettings& node);

/// The router addresses as host prefixes, to be announced.
std::vector<Prefix> router_prefixes(const config::NodeSettings& node);

/// The kernel's random id of this boot.
Result<std::string> boot_id();

}  // namespace weft::daemon
