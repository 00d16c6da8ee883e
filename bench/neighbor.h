// A router of the benchmarks: as quiet and as fast a neighbor as can be, so that what is measured
// is the daemon under test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bgp/message.h"
#include "bgp/types.h"
#include "net/fd.h"
#include "net/ip.h"
#include "net/time.h"

namespace weft::bench {

inline constexpr std::size_t routes_per_update = 10;

/// Says why on the error stream and ends the program.
[[noreturn]] void fail(const std::string& what);

/// The i-th route's prefix: /26 from 11.0.0.0 on, /64 from 2001:db8:: on.
Prefix nth(Family family, std::uint32_t i);
/// Of nth(Family::ipv4, 0).
inline constexpr std::uint32_t first_prefix = 0x0b000000;

double seconds_between(Time from, Time to);
/// Seconds of the clock that other programs of this machine see as monotonic.
double monotonic(Time at);

/// Port 179 of the address, with the TTL that RFC 5082 asks for.
Fd listening(const Address& address, int backlog = 1);
Fd accepted(const Fd& listener);

void send_all(int socket, Bytes bytes);
/// Until the other end's kernel has all that was sent.
void wait_until_read(int socket);

struct Identity {
  bgp::Asn asn;
  bgp::RouterId id;
  std::chrono::seconds hold_time{240};
  /// RFC 4724, so that a daemon that starts again waits for the End-of-RIB. Without it a session
  /// that ends takes its routes along.
  bool graceful = false;
};

/// Our OPEN and the KEEPALIVE that takes the other's.
std::vector<std::byte> greeting(const Identity& identity, Family family);
/// Until the session is up.
void open_session(int socket, Family family, const Identity& identity);

/// As a router's table: ten prefixes share their attributes, the next ten have others.
std::vector<std::byte> table(std::uint32_t count, bgp::Asn asn, const Address& next_hop);
/// All of it withdrawn, as many to an UPDATE as fit.
std::vector<std::byte> withdrawals(std::uint32_t count, Family family);

}  // namespace weft::bench
