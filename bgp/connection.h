// What the pure side and the driver of connections say to each other: names of connections, orders
// to the transport, lines for the log. Plain data.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bgp/log_budget.h"
#include "bgp/settings.h"
#include "net/ip.h"
#include "net/secret.h"

namespace weft::bgp {

/// One TCP connection or attempt at one, never used twice in the life of a Speaker. 0 names none.
struct ConnectionId {
  std::uint64_t value = 0;
  auto operator<=>(const ConnectionId&) const = default;
};

/// What every socket of a peer is set up with, whoever connects.
struct SocketSetup {
  /// Time to live (hop limit) of what is sent, and the least of what is taken (RFC 5082); 0: any.
  std::uint8_t ttl = 255;
  std::uint8_t least_ttl = 255;
  /// SO_BINDTODEVICE; empty: any interface.
  std::string interface;
  /// RFC 2385.
  std::optional<Secret> password;
  /// RFC 5925; none: without.
  std::vector<TcpAoKey> tcp_ao;
  bool operator==(const SocketSetup&) const = default;
};

/// Connect and answer with opened() or failed().
struct ConnectTo {
  ConnectionId connection;
  Address remote;
  std::uint16_t port = 179;
  std::optional<Address> source;
  SocketSetup setup;
  /// The link of a link-local `remote`; 0: any.
  std::uint32_t ifindex = 0;
};
/// Output waits: call produce() as soon as all that was produced before is written.
struct OutputReady {
  ConnectionId connection;
};
/// Write what was produced, then `last` (a NOTIFICATION or nothing), then close; give up on a peer
/// that does not take it. Nothing is to be reported about the connection from here on.
struct CloseConnection {
  ConnectionId connection;
  std::vector<std::byte> last{};
};
using Action = std::variant<ConnectTo, OutputReady, CloseConnection>;

/// What the kernel says of a connection (TCP_INFO).
struct TcpFacts {
  std::chrono::microseconds rtt{0};
  /// Octets of the largest segment sent.
  std::uint32_t mss = 0;
  /// Segments sent again, ever.
  std::uint32_t retransmits = 0;
  /// Octets sent and not acknowledged, or not sent yet.
  std::uint32_t send_queue = 0;
  std::uint32_t receive_queue = 0;
};

enum class Level : std::uint8_t { debug, info, warning, error };

struct LogLine {
  Level level = Level::info;
  std::string text;
};

/// Where peers put their orders and lines, in order.
struct Outbox {
  std::vector<Action> actions;
  std::vector<LogLine> log;
  std::uint64_t last_connection = 0;
  /// Of the peers of each listen range together: whoever has its addresses has many.
  std::map<Prefix, LogBudget> range_logs;
};

}  // namespace weft::bgp
