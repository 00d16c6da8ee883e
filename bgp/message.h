// BGP messages but UPDATE's inside: cutting a byte stream into messages, OPEN, KEEPALIVE,
// NOTIFICATION and ROUTE-REFRESH to values and back. RFC 4271 4 and 6.1-6.2, 2918, 6793, 7313,
// 8654, 9072. Every encoder appends whole messages, header and all, to what it is given. UPDATEs
// are in update.h.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "bgp/capabilities.h"
#include "bgp/notification.h"
#include "bgp/types.h"
#include "net/bytes.h"
#include "net/result.h"

namespace weft::bgp {

inline constexpr std::size_t header_size = 19;

enum class MessageType : std::uint8_t {
  open = 1,
  update = 2,
  notification = 3,
  keepalive = 4,
  route_refresh = 5,
};
/// "OPEN", "ROUTE-REFRESH"
std::string_view name(MessageType type);

/// One whole message inside the buffer it was found in.
struct Frame {
  MessageType type = MessageType::keepalive;
  /// From the marker on; size() octets of the buffer are used up.
  Bytes message;

  [[nodiscard]] Bytes body() const { return message.subspan(header_size); }
  [[nodiscard]] std::size_t size() const { return message.size(); }
};

/// The first message of `buffer`, or nothing while it is not all there. A header is judged as soon
/// as it is complete: marker, length (19..max_size and what its type allows; OPEN and KEEPALIVE
/// never extend, RFC 8654 4), type. max_size: Negotiated::max_receive, max_message_size before
/// that.
Result<std::optional<Frame>, Notification> next_message(Bytes buffer, std::size_t max_size);

struct Open {
  /// From the four-octet AS capability where there is one, else My Autonomous System. Never 0 when
  /// decoded.
  Asn asn;
  /// 0 or 3..65535 s when decoded.
  std::chrono::seconds hold_time{0};
  RouterId id;
  Capabilities capabilities;

  bool operator==(const Open&) const = default;
};

struct Keepalive {
  bool operator==(const Keepalive&) const = default;
};

/// RFC 2918; the subtypes are those of RFC 7313 3.2.
struct RouteRefresh {
  enum class Subtype : std::uint8_t { request = 0, begin = 1, end = 2 };
  AfiSafi family;
  Subtype subtype = Subtype::request;

  bool operator==(const RouteRefresh&) const = default;
};

/// RFC 4271 6.2. What needs our own settings (is this AS expected, is the id ours) is left to the
/// FSM.
Result<Open, Notification> decode_open(Bytes body);
/// Nothing for a subtype without a meaning, which is to be ignored (RFC 7313 5). Whether the
/// refresh, its kind and its family were negotiated is for the session to ask.
Result<std::optional<RouteRefresh>, Notification> decode_route_refresh(const Frame& frame);
/// Never fails: next_message() let no body shorter than 2 octets through.
Notification decode_notification(Bytes body);

/// `open.asn` above 65535 becomes AS_TRANS in the fixed field; asserts that the capabilities fit
/// into one message.
void encode(const Open& open, std::vector<std::byte>& out);
void encode(const Keepalive& keepalive, std::vector<std::byte>& out);
/// Data beyond the largest plain message is cut off.
void encode(const Notification& notification, std::vector<std::byte>& out);
void encode(const RouteRefresh& refresh, std::vector<std::byte>& out);

/// What a session sends besides UPDATEs.
using Message = std::variant<Open, Keepalive, Notification, RouteRefresh>;
void encode(const Message& message, std::vector<std::byte>& out);

}  // namespace weft::bgp
