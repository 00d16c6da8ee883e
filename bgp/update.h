// UPDATE messages: bytes to what they announce and withdraw, and back. A refused route always comes
// out as a withdrawal (RFC 7606), so whoever applies withdrawals first and announcements second is
// right. RFC 4271 4.3 and 6.3, 4760, 7606, 7911, 8950. Import policy, AS loops and the RIB are not
// here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bgp/attributes.h"
#include "bgp/capabilities.h"
#include "bgp/nlri.h"
#include "bgp/notification.h"
#include "net/bytes.h"
#include "net/ip.h"
#include "net/result.h"

namespace weft::bgp {

/// The next hop of one UPDATE. IPv4, or IPv6 with the link-local address of the same router beside
/// it where the peer gave one (RFC 2545 3). A router known by its link-local address alone has it
/// in both.
struct PathNextHop {
  Address address;
  std::optional<Address> link_local;
  auto operator<=>(const PathNextHop&) const = default;
  /// "192.0.2.1", "fd00::1 fe80::1"
  [[nodiscard]] std::string text() const;
};

/// The three fields of an UPDATE's body (RFC 4271 4.3).
struct UpdateFields {
  Bytes withdrawn;
  Bytes attributes;
  Bytes nlri;
};
/// MalformedAttributeList when the two length fields do not fit into the body.
Result<UpdateFields, Notification> split_update(Bytes body);

/// What the session says about UPDATEs that come in on it.
struct Inbound {
  Negotiated negotiated;
  bool external = true;
  Asn peer_as;
  /// RFC 4271 6.3: the leftmost AS of an external peer's path is the peer's own.
  bool enforce_first_as = true;
};

struct Announcement {
  PathNextHop next_hop;
  NlriRange nlri;
};

/// Errors of one UPDATE that are told; what is done about the others counts all the same.
inline constexpr std::size_t max_attribute_errors = 8;

/// One UPDATE, judged. Ranges point into the message, attributes into the decoder: both hold until
/// its next decode().
class Update {
 public:
  /// Apply these first. Treat-as-withdraw has moved here what the UPDATE announced.
  [[nodiscard]] std::span<const NlriRange> withdrawals() const {
    return std::span(withdrawals_).first(withdrawal_count_);
  }
  /// At most two, all with attributes().
  [[nodiscard]] std::span<const Announcement> announcements() const {
    return std::span(announcements_).first(announcement_count_);
  }
  /// What the announcements share.
  [[nodiscard]] const Attributes& attributes() const { return *attributes_; }
  /// Equal serials of one decoder mean equal attributes(): whoever interned them last time need not
  /// do it again.
  [[nodiscard]] std::uint64_t attributes_serial() const { return serial_; }
  /// The family this UPDATE ends the initial routes of (RFC 4724 2).
  [[nodiscard]] std::optional<AfiSafi> end_of_rib() const { return end_of_rib_; }
  /// accept, attribute_discard or treat_as_withdraw.
  [[nodiscard]] Handling handling() const { return handling_; }
  /// Why it is not accept; at most max_attribute_errors.
  [[nodiscard]] std::span<const AttributeError> errors() const { return errors_; }

 private:
  friend class UpdateDecoder;
  std::array<NlriRange, 4> withdrawals_;
  std::array<Announcement, 2> announcements_;
  std::uint8_t withdrawal_count_ = 0;
  std::uint8_t announcement_count_ = 0;
  Handling handling_ = Handling::accept;
  std::optional<AfiSafi> end_of_rib_;
  const Attributes* attributes_ = nullptr;
  std::uint64_t serial_ = 0;
  std::vector<AttributeError> errors_;
};

/// Decodes the UPDATEs of one session. It remembers the last attribute bytes, because neighbouring
/// UPDATEs often share them. The attribute list is framed first and decoded second: a bad attribute
/// never moves the NLRI.
class UpdateDecoder {
 public:
  explicit UpdateDecoder(Inbound inbound);
  UpdateDecoder(UpdateDecoder&&) noexcept;
  UpdateDecoder& operator=(UpdateDecoder&&) noexcept;
  UpdateDecoder(const UpdateDecoder&) = delete;
  UpdateDecoder& operator=(const UpdateDecoder&) = delete;
  ~UpdateDecoder();

  /// `body` as Frame::body(). The error is the NOTIFICATION that resets the session.
  Result<Update, Notification> decode(Bytes body);
  [[nodiscard]] const Inbound& inbound() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Appends one UPDATE that announces as many of `nlri`, from the first on, as fit into
/// negotiated.max_send, and returns how many. 0: not even one fits beside these attributes; nothing
/// was appended, and the route is to be withdrawn from the peer instead. `attributes` come from
/// encode_attributes(). Asserts that the family was negotiated and that an IPv6 next hop of IPv4
/// routes was.
std::size_t encode_announcement(AfiSafi family, const PathNextHop& next_hop, Bytes attributes,
                                std::span<const Nlri> nlri, const Negotiated& negotiated,
                                std::vector<std::byte>& out);
/// Appends one UPDATE that withdraws as many of `nlri` as fit and returns how many; at least one.
std::size_t encode_withdrawal(AfiSafi family, std::span<const Nlri> nlri,
                              const Negotiated& negotiated, std::vector<std::byte>& out);
/// RFC 4724 2.
void encode_end_of_rib(AfiSafi family, std::vector<std::byte>& out);

}  // namespace weft::bgp
