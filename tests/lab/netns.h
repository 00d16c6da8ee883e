// Network namespaces with a name in /run/netns, as ip-netns(8) keeps them, and what they hold from
// birth.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "net/result.h"

namespace weft::lab {

/// In the order they are written, which matters: ip_forward resets others.
using Sysctls = std::vector<std::pair<std::string, std::string>>;

/// A new namespace with these net.* sysctls (net.ipv4.ip_forward, 1). Error also when the name is
/// taken.
Result<void> create_netns(const std::string& name, const Sysctls& sysctls);

/// The namespace lives on while something runs or holds links in it; an unknown name is no error.
void remove_netns(const std::string& name);

/// `to` names what `from` named; what `to` was before is let go.
Result<void> rename_netns(const std::string& from, const std::string& to);

/// Lines of an ip(8) batch, in the namespace `netns` (empty: this one).
Result<void> ip_batch(const std::string& netns, const std::string& lines);

}  // namespace weft::lab
