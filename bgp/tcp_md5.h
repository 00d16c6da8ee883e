// TCP MD5 signatures (RFC 2385) as Linux has them: keys on a socket, for one address or for all of
// a prefix. A socket with a key for an address takes only signed segments from there; what is
// longest in prefix wins. Not here: which peer has which key.
#pragma once

#include <optional>

#include "net/ip.h"
#include "net/result.h"
#include "net/secret.h"

namespace weft::bgp {

/// Sets the key of all addresses inside `from`, replacing one there; none takes it away. `keys`:
/// how many the socket shall hold in all, for the error, which names the sysctl when the kernel's
/// memory for socket options is what is missing.
Result<void> set_md5_key(int socket, const Prefix& from, const std::optional<Secret>& key,
                         std::size_t keys = 1);

/// net.core.optmem_max that `keys` of them on one socket need, at least; octets.
std::size_t optmem_for_keys(std::size_t keys);

}  // namespace weft::bgp
