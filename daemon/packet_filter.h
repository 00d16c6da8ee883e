// PacketFilter: weft's own nft table "inet weft", and nothing of any other table. What comes out of
// a container's veth bears the container's own addresses, or is dropped: one rule a family over a
// set of (interface, address), so thousands of containers cost what one does. Optionally what
// leaves the pools is masqueraded. The table is made through libnftables, the elements of a
// container without it. Containers keep the table while weftd is away. I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/ip.h"
#include "net/netlink_socket.h"
#include "net/result.h"

namespace weft::daemon {

struct FilterSettings {
  bool anti_spoof = true;
  bool masquerade = false;
  /// Whoever lists the containers leaves those of these networks out.
  std::vector<std::string> trusted_networks = {};
  /// Between these addresses nothing is masqueraded.
  std::vector<Prefix> pools;
  bool operator==(const FilterSettings&) const = default;
};

/// A host veth and what may come out of it.
struct Guarded {
  std::string host_ifname;
  std::optional<Address> ipv4;
  std::optional<Address> ipv6;
  auto operator<=>(const Guarded&) const = default;
};

class PacketFilter {
 public:
  static Result<PacketFilter> open();

  /// The whole table anew, in one transaction: no packet meets half of it. With nothing to do there
  /// is no table.
  Result<void> replace(const FilterSettings& settings, const std::vector<Guarded>& containers);
  /// Does nothing without anti-spoofing.
  Result<void> add(const Guarded& container);
  /// Success when it is not there.
  Result<void> remove(const Guarded& container);
  /// How the kernel's table differs from what replace(), add() and remove() left there, a sentence;
  /// empty: in nothing. Looks closely only when the generation of the machine's rules has moved by
  /// more than our own changes.
  Result<std::string> fault(const std::vector<Guarded>& containers);
  /// Packets dropped since the table was made.
  Result<std::uint64_t> spoofed_packets();

 private:
  explicit PacketFilter(netlink::Socket socket) : socket_(std::move(socket)) {}
  Result<std::string> difference(const std::vector<Guarded>& containers);
  /// Counts every transaction of anybody.
  Result<std::uint32_t> generation();

  netlink::Socket socket_;
  /// As it is when nobody else has changed anything since we looked.
  std::uint32_t expected_generation_ = 0;
  FilterSettings settings_;
};

}  // namespace weft::daemon
