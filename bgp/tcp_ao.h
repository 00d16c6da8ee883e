// TCP Authentication Option (RFC 5925) as Linux has it since 6.7: a chain of keys (MKTs) on a
// socket for one address. What comes from there without a valid signature is no segment. Not here:
// which peer has which keys, and any way round: without the kernel's help there is no connection.
#pragma once

#include <span>

#include "bgp/settings.h"
#include "net/ip.h"
#include "net/result.h"

namespace weft::bgp {

/// Whether this kernel has the option (CONFIG_TCP_AO), by asking it.
bool has_tcp_ao();

/// Adds the keys for what comes from and goes to `peer`; the first one signs and is asked for.
/// Error: why none of it is in force.
Result<void> add_ao_keys(int socket, const Address& peer, std::span<const TcpAoKey> keys);
/// Takes them away again, as far as they are there.
void remove_ao_keys(int socket, const Address& peer, std::span<const TcpAoKey> keys);

/// Whether the connection is one whose segments are signed: its handshake was.
bool is_authenticated(int socket);

}  // namespace weft::bgp
