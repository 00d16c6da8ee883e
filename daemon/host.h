// Host: what weft needs of the host it runs on, set at start where it is not so already:
// forwarding, and the router addresses on lo. Only ever adds; what it finds is left as it is.
// Complaints are sentences with the command that helps.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "net/result.h"

namespace weft::daemon {

/// Sysctls of this network namespace, set when they differ. The sentences name those that could not
/// be set.
std::vector<std::string> prepare_sysctls();

/// Puts the router-id and its IPv6 counterpart on lo, so that the host can be reached by them and
/// speaks from them.
std::vector<std::string> put_router_addresses(const config::NodeSettings& node);

/// The router addresses as host prefixes, to be announced.
std::vector<Prefix> router_prefixes(const config::NodeSettings& node);

/// The kernel's random id of this boot.
Result<std::string> boot_id();

}  // namespace weft::daemon
