// Capabilities of an OPEN (RFC 5492) as a typed value, and what two of them add up to. A capability
// without a row here is kept as bytes, never an error. Not here: which capabilities an operator
// wants, and what the FSM does with them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bgp/notification.h"
#include "bgp/types.h"
#include "net/bytes.h"
#include "net/result.h"

namespace weft::bgp {

/// Octets of the largest message, header included (RFC 4271 4.1), and after RFC 8654.
inline constexpr std::size_t max_message_size = 4096;
inline constexpr std::size_t max_extended_message_size = 65535;

/// Capabilities of unknown codes that are kept; what follows is forgotten.
inline constexpr std::size_t max_unknown_capabilities = 64;

enum class CapabilityCode : std::uint8_t {
  multiprotocol = 1,                 // RFC 4760 8
  route_refresh = 2,                 // RFC 2918
  extended_next_hop = 5,             // RFC 8950 4
  extended_message = 6,              // RFC 8654
  role = 9,                          // RFC 9234 4.1
  graceful_restart = 64,             // RFC 4724 3
  four_octet_as = 65,                // RFC 6793
  add_path = 69,                     // RFC 7911 4
  enhanced_route_refresh = 70,       // RFC 7313 3.1
  long_lived_graceful_restart = 71,  // RFC 9494 3
  link_local_next_hop = 77,          // draft-ietf-idr-linklocal-capability
};

/// "four-octet-as", "add-path"; "capability-200" for one without a row.
std::string name(CapabilityCode code);

/// RFC 9234 4.1: what the sender of the capability is to its peer.
enum class Role : std::uint8_t {
  provider = 0,
  rs_server = 1,
  rs_client = 2,
  customer = 3,
  peer = 4
};

/// RFC 8950: `family` may be sent with next hops of this AFI.
struct ExtendedNextHop {
  AfiSafi family;
  std::uint16_t next_hop_afi = 2;
  auto operator<=>(const ExtendedNextHop&) const = default;
};

/// RFC 4724 3, with the N bit of RFC 8538 2.
struct GracefulRestart {
  struct FamilyState {
    AfiSafi family;
    /// The F bit: forwarding state was preserved over the restart.
    bool forwarding = false;
    auto operator<=>(const FamilyState&) const = default;
  };
  /// The R bit: the sender has just restarted.
  bool restarting = false;
  /// The N bit: NOTIFICATIONs, too, keep the routes.
  bool notification = false;
  /// 0..4095 s
  std::chrono::seconds restart_time{0};
  std::vector<FamilyState> families;
  bool operator==(const GracefulRestart&) const = default;
};

/// RFC 9494 3.
struct LongLivedFamily {
  AfiSafi family;
  bool forwarding = false;
  /// 0..2^24-1 s
  std::chrono::seconds stale_time{0};
  auto operator<=>(const LongLivedFamily&) const = default;
};

/// RFC 7911 4: what the sender of the capability can do.
struct AddPath {
  AfiSafi family;
  bool receive = false;
  bool send = false;
  auto operator<=>(const AddPath&) const = default;
};

struct UnknownCapability {
  std::uint8_t code = 0;
  std::vector<std::byte> value;
  bool operator==(const UnknownCapability&) const = default;
};

/// Without duplicates; lists keep the order of the wire.
struct Capabilities {
  /// Empty: the peer said nothing and means IPv4 unicast (RFC 4760 8).
  std::vector<AfiSafi> families;
  bool route_refresh = false;
  bool enhanced_route_refresh = false;
  bool extended_message = false;
  bool link_local_next_hop = false;
  std::optional<Asn> four_octet_as;
  std::optional<Role> role;
  std::vector<ExtendedNextHop> extended_next_hops;
  std::vector<AddPath> add_paths;
  std::optional<GracefulRestart> graceful_restart;
  /// Counts only beside graceful_restart (RFC 9494 3).
  std::vector<LongLivedFamily> long_lived;
  std::vector<UnknownCapability> unknown;

  bool operator==(const Capabilities&) const = default;
};

/// The Optional Parameters of an OPEN from their length octet to the end of the message, plain or
/// extended (RFC 9072). OpenMalformed when a length lies or a known capability has a size its RFC
/// does not allow, UnsupportedOptionalParameter for a parameter that is not Capabilities,
/// RoleMismatch for two different roles.
Result<Capabilities, Notification> decode_parameters(Bytes parameters);

/// Appends the same; extended only when the plain form cannot hold it.
void encode_parameters(const Capabilities& capabilities, std::vector<std::byte>& out);

/// The TLVs of `capabilities` alone: the data of an UnsupportedCapability (RFC 5492 5).
std::vector<std::byte> encode_capabilities(const Capabilities& capabilities);

/// What is in force for one family.
struct NegotiatedFamily {
  AfiSafi family;
  /// We read path identifiers from the peer, or write them (RFC 7911).
  bool add_path_receive = false;
  bool add_path_send = false;
  /// IPv4 routes may have IPv6 next hops (RFC 8950).
  bool extended_next_hop = false;
  auto operator<=>(const NegotiatedFamily&) const = default;
};

/// What both sides said, from our side.
struct Negotiated {
  std::vector<NegotiatedFamily> families;
  bool four_octet_as = false;
  bool route_refresh = false;
  bool enhanced_route_refresh = false;
  bool link_local_next_hop = false;
  bool graceful_restart = false;
  /// NOTIFICATIONs keep the routes too, but for a Hard Reset (RFC 8538 2).
  bool graceful_notification = false;
  bool long_lived_graceful_restart = false;
  /// Octets of the largest message: 4096 or 65535 (RFC 8654: what we announced binds what we take).
  std::size_t max_receive = max_message_size;
  std::size_t max_send = max_message_size;

  /// Nothing when the family was not negotiated.
  [[nodiscard]] const NegotiatedFamily* find(AfiSafi family) const {
    for (const NegotiatedFamily& each : families) {
      if (each.family == family) return &each;
    }
    return nullptr;
  }
  [[nodiscard]] bool has(AfiSafi family) const { return find(family) != nullptr; }

  bool operator==(const Negotiated&) const = default;
};

/// Families in the order of `ours`.
Negotiated negotiate(const Capabilities& ours, const Capabilities& theirs);

/// RFC 9234 4.2: do the two roles fit each other?
bool roles_fit(Role ours, Role theirs);

/// One line each, for people: "multiprotocol ipv4-unicast", "four-octet-as 65001", "add-path
/// ipv4-unicast receive".
std::vector<std::string> text(const Capabilities& capabilities);
/// "ipv4-unicast"; "afi-25/safi-65" for one without a name.
std::string text(AfiSafi family);
std::string name(Role role);

}  // namespace weft::bgp
