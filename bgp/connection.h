// What the pure side and the driver of connections say to each other: names of connections, orders
// to the transport, lines for the log. Plain data.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "net/ip.h"

namespace weft::bgp {

/// One TCP connection or attempt at one, never used twice in the life of a Speaker. 0 names none.
struct ConnectionId {
  std::uint64_t value = 0;
  auto operator<=>(const ConnectionId&) const = default;
};

/// Connect and answer with opened() or failed(). With `gtsm` TTL 255 out and nothing less in (RFC
/// 5082).
struct ConnectTo {
  ConnectionId connection;
  Address remote;
  std::uint16_t port = 179;
  std::optional<Address> source;
  bool gtsm = true;
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
};

}  // namespace weft::bgp
