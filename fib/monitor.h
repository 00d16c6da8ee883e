// Monitor: what the kernel and others do to links, addresses, nexthop objects and routes, on a
// netlink socket of its own. A filter in the kernel leaves out the echo of our own writes. When the
// kernel had to drop notifications (ENOBUFS) links and addresses are read again and Overrun is
// reported; never an error. Belongs to the main thread, which waits on fd().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <variant>
#include <vector>

#include "fib/route.h"
#include "fib/table.h"
#include "net/next_hop.h"
#include "net/result.h"

namespace weft::fib {

/// A link came or changed (in any of Link's fields, or its flags flapped in between).
struct LinkEvent {
  Link link;
  bool removed = false;
};
struct AddressEvent {
  ConnectedSubnet subnet;
  bool removed = false;
};
/// Notifications were lost. Links and addresses have been read again; the table needs a dump:
/// Table::overrun().
struct Overrun {};

using Event = std::variant<LinkEvent, AddressEvent, RouteEvent, NextHopEvent, Overrun>;

class Monitor {
 public:
  struct Options {
    /// Programmer::ports(); none: routes and nexthops are of no interest (fib.install false).
    std::vector<std::uint32_t> writer_ports = {};
    /// Octets; forced where we may.
    int receive_buffer = 16 * 1024 * 1024;
  };
  /// Joins the groups, then reads links and addresses: nothing in between is missed. In the
  /// caller's network namespace.
  static Result<Monitor> open(const Options& options);
  Monitor(Monitor&&) noexcept;
  Monitor& operator=(Monitor&&) noexcept;
  ~Monitor();

  /// Readable when read() has something.
  [[nodiscard]] int fd() const;
  /// Everything that is there now, at most read_limit datagrams; never blocks. True: there may be
  /// more.
  bool read(const std::function<void(const Event&)>& handle);
  static constexpr int read_limit = 256;

  /// As of the last read(), by ifindex.
  [[nodiscard]] const std::map<std::uint32_t, Link>& links() const;
  [[nodiscard]] const Link* link(std::string_view name) const;
  [[nodiscard]] const std::vector<ConnectedSubnet>& subnets() const;
  /// How often notifications were lost.
  [[nodiscard]] std::uint64_t overruns() const;

 private:
  struct State;
  explicit Monitor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::fib
