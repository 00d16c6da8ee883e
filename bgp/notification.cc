#include "bgp/notification.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "net/ip.h"

namespace weft::bgp {
namespace {

struct CodeName {
  std::uint8_t code;
  std::string_view name;
};

constexpr std::array code_names{
    CodeName{1, "Message Header Error"},        CodeName{2, "OPEN Message Error"},
    CodeName{3, "UPDATE Message Error"},        CodeName{4, "Hold Timer Expired"},
    CodeName{5, "Finite State Machine Error"},  CodeName{6, "Cease"},
    CodeName{7, "ROUTE-REFRESH Message Error"}, CodeName{8, "Send Hold Timer Expired"},
};

struct FaultName {
  Fault fault;
  std::string_view name;
};

/// The registry "BGP Error Subcodes" of IANA, as far as a name is given there.
constexpr std::array fault_names{
    FaultName{Fault::ConnectionNotSynchronized, "Connection Not Synchronized"},
    FaultName{Fault::BadMessageLength, "Bad Message Length"},
    FaultName{Fault::BadMessageType, "Bad Message Type"},
    FaultName{Fault::UnsupportedVersion, "Unsupported Version Number"},
    FaultName{Fault::BadPeerAs, "Bad Peer AS"},
    FaultName{Fault::BadBgpIdentifier, "Bad BGP Identifier"},
    FaultName{Fault::UnsupportedOptionalParameter, "Unsupported Optional Parameter"},
    FaultName{Fault::UnacceptableHoldTime, "Unacceptable Hold Time"},
    FaultName{Fault::UnsupportedCapability, "Unsupported Capability"},
    FaultName{Fault::RoleMismatch, "Role Mismatch"},
    FaultName{Fault::MalformedAttributeList, "Malformed Attribute List"},
    FaultName{Fault::UnrecognizedWellKnownAttribute, "Unrecognized Well-known Attribute"},
    FaultName{Fault::MissingWellKnownAttribute, "Missing Well-known Attribute"},
    FaultName{Fault::AttributeFlags, "Attribute Flags Error"},
    FaultName{Fault::AttributeLength, "Attribute Length Error"},
    FaultName{Fault::InvalidOrigin, "Invalid ORIGIN Attribute"},
    FaultName{Fault::InvalidNextHop, "Invalid NEXT_HOP Attribute"},
    FaultName{Fault::OptionalAttribute, "Optional Attribute Error"},
    FaultName{Fault::InvalidNetworkField, "Invalid Network Field"},
    FaultName{Fault::MalformedAsPath, "Malformed AS_PATH"},
    FaultName{Fault::UnexpectedInOpenSent, "Receive Unexpected Message in OpenSent State"},
    FaultName{Fault::UnexpectedInOpenConfirm, "Receive Unexpected Message in OpenConfirm State"},
    FaultName{Fault::UnexpectedInEstablished, "Receive Unexpected Message in Established State"},
    FaultName{Fault::MaximumPrefixes, "Maximum Number of Prefixes Reached"},
    FaultName{Fault::AdministrativeShutdown, "Administrative Shutdown"},
    FaultName{Fault::PeerDeconfigured, "Peer De-configured"},
    FaultName{Fault::AdministrativeReset, "Administrative Reset"},
    FaultName{Fault::ConnectionRejected, "Connection Rejected"},
    FaultName{Fault::OtherConfigurationChange, "Other Configuration Change"},
    FaultName{Fault::ConnectionCollision, "Connection Collision Resolution"},
    FaultName{Fault::OutOfResources, "Out of Resources"},
    FaultName{Fault::HardReset, "Hard Reset"},
    FaultName{Fault::BfdDown, "BFD Down"},
    FaultName{Fault::InvalidRouteRefreshLength, "Invalid Message Length"},
};

/// Octets of a NOTIFICATION's data that text() shows.
constexpr std::size_t max_shown_data = 32;

constexpr std::uint32_t not_a_character = 0xffffffff;

/// One UTF-8 sequence of RFC 3629 at the start of `rest`: its size, and not_a_character when it is
/// broken (size 1).
struct Sequence {
  std::uint32_t character = not_a_character;
  std::size_t size = 1;
};

Sequence next_sequence(std::string_view rest) {
  const auto lead = static_cast<std::uint8_t>(rest[0]);
  if (lead < 0x80) return {lead, 1};
  std::size_t size = 0;
  std::uint32_t character = 0;
  std::uint32_t smallest = 0;
  if ((lead & 0xe0U) == 0xc0) {
    size = 2, character = lead & 0x1fU, smallest = 0x80;
  } else if ((lead & 0xf0U) == 0xe0) {
    size = 3, character = lead & 0x0fU, smallest = 0x800;
  } else if ((lead & 0xf8U) == 0xf0) {
    size = 4, character = lead & 0x07U, smallest = 0x10000;
  }
  if (size == 0 || size > rest.size()) return {};
  for (const char next : rest.substr(1, size - 1)) {
    const auto octet = static_cast<std::uint8_t>(next);
    if ((octet & 0xc0U) != 0x80) return {};
    character = character << 6 | (octet & 0x3fU);
  }
  const bool surrogate = character >= 0xd800 && character <= 0xdfff;
  if (character < smallest || character > 0x10ffff || surrogate) return {};
  return {character, size};
}

/// False for what would move a terminal's cursor, end a log line or turn the reading direction.
bool is_harmless(std::uint32_t character) {
  if (character < 0x20 || (character >= 0x7f && character <= 0x9f)) return false;
  if (character >= 0x200b && character <= 0x200f) return false;  // zero width, direction marks
  if (character >= 0x2028 && character <= 0x202e) return false;  // separators, embeddings
  if (character >= 0x2060 && character <= 0x206f) return false;  // invisible, isolates
  return character != 0xfeff && character != not_a_character;
}

std::string harmless(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const Sequence sequence = next_sequence(text);
    if (is_harmless(sequence.character)) {
      result += text.substr(0, sequence.size);
    } else {
      result += '?';
    }
    text.remove_prefix(sequence.size);
  }
  return result;
}

}  // namespace

std::string text(Fault fault) {
  const auto* const of_code = std::find_if(code_names.begin(), code_names.end(),
                                           [&](const auto& n) { return n.code == code(fault); });
  const auto* const of_fault = std::find_if(fault_names.begin(), fault_names.end(),
                                            [&](const auto& n) { return n.fault == fault; });
  std::string result =
      of_code != code_names.end() ? std::string(of_code->name) : fmt::format("{}", code(fault));
  if (of_fault != fault_names.end()) {
    result += fmt::format("/{}", of_fault->name);
  } else if (subcode(fault) != 0) {
    result += fmt::format("/{}", subcode(fault));
  }
  return result;
}

Notification cease(Fault fault, std::string_view text) {
  Notification notification{fault};
  std::string said = harmless(text);
  if (said.empty()) return notification;
  if (said.size() > max_shutdown_text) {
    std::size_t end = max_shutdown_text;
    while ((static_cast<std::uint8_t>(said[end]) & 0xc0U) == 0x80) --end;
    said.resize(end);
  }
  Writer out(notification.data);
  out.u8(static_cast<std::uint8_t>(said.size()));
  out.bytes(as_bytes(said));
  return notification;
}

Notification hard_reset(const Notification& inner) {
  Notification notification{Fault::HardReset};
  Writer out(notification.data);
  out.u16(static_cast<std::uint16_t>(inner.fault));
  out.bytes(inner.data);
  return notification;
}

std::optional<Notification> hard_reset_reason(const Notification& notification) {
  if (notification.fault != Fault::HardReset) return std::nullopt;
  Reader in(notification.data);
  const auto inner = static_cast<Fault>(in.u16());
  if (!in.ok()) return std::nullopt;
  return Notification{inner, {in.rest().begin(), in.rest().end()}};
}

std::optional<std::string> shutdown_text(const Notification& notification) {
  // One level only: a Hard Reset inside a Hard Reset means nothing.
  const Notification said = hard_reset_reason(notification).value_or(notification);
  if (said.fault != Fault::AdministrativeShutdown && said.fault != Fault::AdministrativeReset) {
    return std::nullopt;
  }
  Reader in(said.data);
  const Bytes text = in.take(in.u8());
  if (!in.ok() || text.empty()) return std::nullopt;
  return harmless(as_text(text));
}

namespace {

/// RFC 4486 4: AFI, SAFI, upper bound.
constexpr std::size_t limit_data_size = 7;

std::string limit_text(Bytes data) {
  Reader in(data);
  const std::uint16_t afi = in.u16();
  const std::uint8_t safi = in.u8();
  const std::uint32_t limit = in.u32();
  if (safi != 1 || afi < 1 || afi > 2)
    return fmt::format("the limit for AFI {} SAFI {} is {}", afi, safi, limit);
  return fmt::format("the limit for {} is {}", name(afi == 1 ? Family::ipv4 : Family::ipv6), limit);
}

}  // namespace

std::string text(const Notification& notification) {
  std::string result = text(notification.fault);
  const auto inner = hard_reset_reason(notification);
  if (inner) result += fmt::format(" ({})", text(inner->fault));
  if (const auto said = shutdown_text(notification)) {
    return result + fmt::format(": \"{}\"", *said);
  }
  const Bytes data = inner ? Bytes(inner->data) : Bytes(notification.data);
  if (data.empty()) return result;
  const Fault fault = inner ? inner->fault : notification.fault;
  if (fault == Fault::MaximumPrefixes && data.size() == limit_data_size) {
    return result + ": " + limit_text(data);
  }
  result += ", data ";
  for (const std::byte octet : data.first(std::min(data.size(), max_shown_data))) {
    result += fmt::format("{:02x}", std::to_integer<unsigned>(octet));
  }
  if (data.size() > max_shown_data) result += "...";
  return result;
}

}  // namespace weft::bgp
