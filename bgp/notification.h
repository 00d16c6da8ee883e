// Fault and Notification: why a session ends, in the words of the RFCs, and the text an operator
// reads. The error of every decoder of this module is the Notification to send. RFC 4271 4.5 and 6,
// 4486, 6608, 7313, 8538, 9003, 9234, 9384, 9687. Framing and sending are in message.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/bytes.h"

namespace weft::bgp {

/// Error code in the high octet, subcode in the low one. A value without a name here is what a peer
/// sent us.
enum class Fault : std::uint16_t {
  HeaderUnspecific = 0x0100,
  ConnectionNotSynchronized = 0x0101,
  BadMessageLength = 0x0102,
  BadMessageType = 0x0103,

  OpenMalformed = 0x0200,
  UnsupportedVersion = 0x0201,
  BadPeerAs = 0x0202,
  BadBgpIdentifier = 0x0203,
  UnsupportedOptionalParameter = 0x0204,
  UnacceptableHoldTime = 0x0206,
  UnsupportedCapability = 0x0207,
  RoleMismatch = 0x020b,

  UpdateUnspecific = 0x0300,
  MalformedAttributeList = 0x0301,
  UnrecognizedWellKnownAttribute = 0x0302,
  MissingWellKnownAttribute = 0x0303,
  AttributeFlags = 0x0304,
  AttributeLength = 0x0305,
  InvalidOrigin = 0x0306,
  InvalidNextHop = 0x0308,
  OptionalAttribute = 0x0309,
  InvalidNetworkField = 0x030a,
  MalformedAsPath = 0x030b,

  HoldTimerExpired = 0x0400,

  FsmUnspecific = 0x0500,
  UnexpectedInOpenSent = 0x0501,
  UnexpectedInOpenConfirm = 0x0502,
  UnexpectedInEstablished = 0x0503,

  Cease = 0x0600,
  MaximumPrefixes = 0x0601,
  AdministrativeShutdown = 0x0602,
  PeerDeconfigured = 0x0603,
  AdministrativeReset = 0x0604,
  ConnectionRejected = 0x0605,
  OtherConfigurationChange = 0x0606,
  ConnectionCollision = 0x0607,
  OutOfResources = 0x0608,
  HardReset = 0x0609,
  BfdDown = 0x060a,

  RouteRefreshUnspecific = 0x0700,
  InvalidRouteRefreshLength = 0x0701,

  SendHoldTimerExpired = 0x0800,
};

constexpr std::uint8_t code(Fault fault) {
  return static_cast<std::uint8_t>(static_cast<std::uint16_t>(fault) >> 8);
}
constexpr std::uint8_t subcode(Fault fault) {
  return static_cast<std::uint8_t>(static_cast<std::uint16_t>(fault) & 0xff);
}
constexpr Fault fault(std::uint8_t code, std::uint8_t subcode) {
  return static_cast<Fault>(code << 8 | subcode);
}

/// "Cease/Administrative Shutdown"; for what no RFC names "Cease/99", "42/1".
std::string text(Fault fault);

struct Notification {
  Fault fault = Fault::Cease;
  std::vector<std::byte> data{};

  bool operator==(const Notification&) const = default;
};

/// RFC 9003: octets of UTF-8 that fit into one shutdown communication.
inline constexpr std::size_t max_shutdown_text = 255;

/// Cease of `fault` with the operator's text, cut at a character to max_shutdown_text octets (RFC
/// 9003 2). Text that is not UTF-8 is made harmless first, as in shutdown_text().
Notification cease(Fault fault, std::string_view text = {});
/// The same inside a Hard Reset, so that graceful restart does not keep our routes (RFC 8538 3.1).
Notification hard_reset(const Notification& inner);
/// What a Hard Reset carries; nothing for any other notification and for one too short to carry
/// any.
std::optional<Notification> hard_reset_reason(const Notification& notification);

/// What the peer's operator wrote (RFC 9003), also inside a Hard Reset; nothing when there is none
/// or the length octet lies. The result is valid UTF-8 of at most max_shutdown_text octets on one
/// line: control characters, direction marks and broken sequences are replaced by '?'.
std::optional<std::string> shutdown_text(const Notification& notification);

/// One line: "Cease/Administrative Shutdown: \"maintenance\"", "OPEN Message Error/Bad Peer AS,
/// data 0000fde8".
std::string text(const Notification& notification);

}  // namespace weft::bgp
