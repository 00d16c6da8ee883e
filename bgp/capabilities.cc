#include "bgp/capabilities.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>

namespace weft::bgp {
namespace {

constexpr std::uint8_t capabilities_parameter = 2;  // RFC 5492 4
constexpr std::uint8_t extended_parameters = 255;   // RFC 9072 2
constexpr std::size_t max_capability_value = 255;

/// What a known capability's value may be.
enum class Verdict : std::uint8_t { fine, malformed, role_mismatch };

/// Each list entry becomes one value of the wire, or several when 255 octets cannot hold all.
class TlvWriter {
 public:
  TlvWriter(CapabilityCode code, Writer& out) : code_(code), out_(out) {}

  /// Begins a TLV; everything written until the next begin() or the end belongs to it.
  void begin() {
    out_.u8(static_cast<std::uint8_t>(code_));
    length_at_ = out_.size();
    out_.u8(0);
  }
  void u8(std::uint8_t value) { out_.u8(value), close(); }
  void u16(std::uint16_t value) { out_.u16(value), close(); }
  void u32(std::uint32_t value) { out_.u32(value), close(); }
  /// Room for `size` more octets in this TLV, else a new one.
  void need(std::size_t size) {
    if (length_at_ == 0 || out_.size() - length_at_ - 1 + size > max_capability_value) begin();
  }

 private:
  void close() {
    out_.patch_u8(length_at_, static_cast<std::uint8_t>(out_.size() - length_at_ - 1));
  }

  CapabilityCode code_;
  Writer& out_;
  std::size_t length_at_ = 0;
};

/// Of several entries for one family the first counts.
template <typename T>
void add_once(std::vector<T>& list, const T& value) {
  const bool known = std::any_of(list.begin(), list.end(),
                                 [&](const T& each) { return each.family == value.family; });
  if (!known) list.push_back(value);
}

AfiSafi family_of(Reader& in) {
  const std::uint16_t afi = in.u16();
  return {afi, in.u8()};
}

Verdict decode_multiprotocol(Reader in, Capabilities& to) {
  AfiSafi family;
  family.afi = in.u16();
  in.u8();  // reserved
  family.safi = in.u8();
  if (std::find(to.families.begin(), to.families.end(), family) == to.families.end()) {
    to.families.push_back(family);
  }
  return Verdict::fine;
}

void encode_multiprotocol(const Capabilities& from, TlvWriter& out) {
  for (const AfiSafi& family : from.families) {
    out.begin();
    out.u16(family.afi);
    out.u16(family.safi);
  }
}

template <bool Capabilities::*member>
Verdict decode_mark(Reader /*in*/, Capabilities& to) {
  to.*member = true;
  return Verdict::fine;
}

template <bool Capabilities::*member>
void encode_mark(const Capabilities& from, TlvWriter& out) {
  if (from.*member) out.begin();
}

Verdict decode_extended_next_hop(Reader in, Capabilities& to) {
  while (!in.empty()) {
    ExtendedNextHop entry;
    entry.family.afi = in.u16();
    const std::uint16_t safi = in.u16();
    entry.next_hop_afi = in.u16();
    if (safi > 255) continue;
    entry.family.safi = static_cast<std::uint8_t>(safi);
    auto& list = to.extended_next_hops;
    if (std::find(list.begin(), list.end(), entry) == list.end()) list.push_back(entry);
  }
  return Verdict::fine;
}

void encode_extended_next_hop(const Capabilities& from, TlvWriter& out) {
  for (const ExtendedNextHop& entry : from.extended_next_hops) {
    out.need(6);
    out.u16(entry.family.afi);
    out.u16(entry.family.safi);
    out.u16(entry.next_hop_afi);
  }
}

/// RFC 9234 4.2: the same role twice is one role, two different ones are an error.
Verdict decode_role(Reader in, Capabilities& to) {
  const auto role = static_cast<Role>(in.u8());
  if (to.role && *to.role != role) return Verdict::role_mismatch;
  to.role = role;
  return Verdict::fine;
}

void encode_role(const Capabilities& from, TlvWriter& out) {
  if (!from.role) return;
  out.begin();
  out.u8(static_cast<std::uint8_t>(*from.role));
}

/// RFC 4724 3: of several instances the last counts.
Verdict decode_graceful_restart(Reader in, Capabilities& to) {
  GracefulRestart restart;
  const std::uint16_t head = in.u16();
  restart.restarting = (head & 0x8000U) != 0;
  restart.notification = (head & 0x4000U) != 0;
  restart.restart_time = std::chrono::seconds(head & 0x0fffU);
  while (in.size() >= 4) {
    GracefulRestart::FamilyState state;
    state.family = family_of(in);
    state.forwarding = (in.u8() & 0x80U) != 0;
    add_once(restart.families, state);
  }
  if (!in.empty()) return Verdict::malformed;
  to.graceful_restart = std::move(restart);
  return Verdict::fine;
}

void encode_graceful_restart(const Capabilities& from, TlvWriter& out) {
  if (!from.graceful_restart) return;
  const GracefulRestart& restart = *from.graceful_restart;
  assert(restart.restart_time.count() >= 0 && restart.restart_time.count() <= 4095);
  assert(2 + 4 * restart.families.size() <= max_capability_value);
  out.begin();
  out.u16(static_cast<std::uint16_t>((restart.restarting ? 0x8000U : 0U) |
                                     (restart.notification ? 0x4000U : 0U) |
                                     static_cast<unsigned>(restart.restart_time.count())));
  for (const auto& state : restart.families) {
    out.u16(state.family.afi);
    out.u8(state.family.safi);
    out.u8(state.forwarding ? 0x80 : 0);
  }
}

Verdict decode_four_octet_as(Reader in, Capabilities& to) {
  to.four_octet_as = Asn{in.u32()};
  return Verdict::fine;
}

void encode_four_octet_as(const Capabilities& from, TlvWriter& out) {
  if (!from.four_octet_as) return;
  out.begin();
  out.u32(from.four_octet_as->value);
}

/// RFC 7911 4: an entry that is neither receive, send nor both is ignored.
Verdict decode_add_path(Reader in, Capabilities& to) {
  while (!in.empty()) {
    AddPath entry;
    entry.family = family_of(in);
    const std::uint8_t direction = in.u8();
    if (direction == 0 || direction > 3) continue;
    entry.receive = (direction & 1U) != 0;
    entry.send = (direction & 2U) != 0;
    add_once(to.add_paths, entry);
  }
  return Verdict::fine;
}

void encode_add_path(const Capabilities& from, TlvWriter& out) {
  for (const AddPath& entry : from.add_paths) {
    if (!entry.receive && !entry.send) continue;
    out.need(4);
    out.u16(entry.family.afi);
    out.u8(entry.family.safi);
    out.u8(static_cast<std::uint8_t>((entry.receive ? 1U : 0U) | (entry.send ? 2U : 0U)));
  }
}

Verdict decode_long_lived(Reader in, Capabilities& to) {
  while (!in.empty()) {
    LongLivedFamily entry;
    entry.family = family_of(in);
    entry.forwarding = (in.u8() & 0x80U) != 0;
    const std::uint32_t high = in.u8();
    entry.stale_time = std::chrono::seconds(high << 16 | in.u16());
    add_once(to.long_lived, entry);
  }
  return Verdict::fine;
}

void encode_long_lived(const Capabilities& from, TlvWriter& out) {
  for (const LongLivedFamily& entry : from.long_lived) {
    const auto stale = static_cast<std::uint32_t>(entry.stale_time.count());
    assert(entry.stale_time.count() >= 0 && stale < 1U << 24);
    out.need(7);
    out.u16(entry.family.afi);
    out.u8(entry.family.safi);
    out.u8(entry.forwarding ? 0x80 : 0);
    out.u8(static_cast<std::uint8_t>(stale >> 16));
    out.u16(static_cast<std::uint16_t>(stale));
  }
}

/// What sizes a value may have.
struct Size {
  std::size_t least = 0;
  /// Beyond `least`, a multiple of this; 0: exactly `least`.
  std::size_t unit = 0;

  [[nodiscard]] bool fits(std::size_t size) const {
    if (unit == 0) return size == least;
    return size >= least && (size - least) % unit == 0;
  }
};

struct Row {
  CapabilityCode code;
  std::string_view name;
  Size size;
  Verdict (*decode)(Reader in, Capabilities& to);
  void (*encode)(const Capabilities& from, TlvWriter& out);
};

using Code = CapabilityCode;
using C = Capabilities;
constexpr std::array rows{
    Row{Code::multiprotocol, "multiprotocol", {4}, decode_multiprotocol, encode_multiprotocol},
    Row{Code::route_refresh,
        "route-refresh",
        {},
        decode_mark<&C::route_refresh>,
        encode_mark<&C::route_refresh>},
    Row{Code::extended_next_hop,
        "extended-next-hop",
        {0, 6},
        decode_extended_next_hop,
        encode_extended_next_hop},
    Row{Code::extended_message,
        "extended-message",
        {},
        decode_mark<&C::extended_message>,
        encode_mark<&C::extended_message>},
    Row{Code::role, "role", {1}, decode_role, encode_role},
    Row{Code::graceful_restart,
        "graceful-restart",
        {2, 4},
        decode_graceful_restart,
        encode_graceful_restart},
    Row{Code::four_octet_as, "four-octet-as", {4}, decode_four_octet_as, encode_four_octet_as},
    Row{Code::add_path, "add-path", {0, 4}, decode_add_path, encode_add_path},
    Row{Code::enhanced_route_refresh,
        "enhanced-route-refresh",
        {},
        decode_mark<&C::enhanced_route_refresh>,
        encode_mark<&C::enhanced_route_refresh>},
    Row{Code::long_lived_graceful_restart,
        "long-lived-graceful-restart",
        {0, 7},
        decode_long_lived,
        encode_long_lived},
    Row{Code::link_local_next_hop,
        "link-local-next-hop",
        {},
        decode_mark<&C::link_local_next_hop>,
        encode_mark<&C::link_local_next_hop>},
};

const Row* find_row(CapabilityCode code) {
  const auto* const row =
      std::find_if(rows.begin(), rows.end(), [&](const Row& each) { return each.code == code; });
  return row == rows.end() ? nullptr : row;
}

void keep_unknown(std::uint8_t code, Bytes value, Capabilities& to) {
  if (to.unknown.size() == max_unknown_capabilities) return;
  UnknownCapability unknown{code, {value.begin(), value.end()}};
  if (std::find(to.unknown.begin(), to.unknown.end(), unknown) == to.unknown.end()) {
    to.unknown.push_back(std::move(unknown));
  }
}

Verdict decode_capability(std::uint8_t code, Bytes value, Capabilities& to) {
  const Row* row = find_row(static_cast<CapabilityCode>(code));
  if (row == nullptr) {
    keep_unknown(code, value, to);
    return Verdict::fine;
  }
  if (!row->size.fits(value.size())) return Verdict::malformed;
  return row->decode(Reader(value), to);
}

Verdict decode_capabilities(Reader in, Capabilities& to) {
  while (!in.empty()) {
    const std::uint8_t code = in.u8();
    const Bytes value = in.take(in.u8());
    if (!in.ok()) return Verdict::malformed;
    const Verdict verdict = decode_capability(code, value, to);
    if (verdict != Verdict::fine) return verdict;
  }
  return Verdict::fine;
}

std::vector<AfiSafi> families_of(const Capabilities& capabilities) {
  if (capabilities.families.empty()) return {unicast(Family::ipv4)};
  return capabilities.families;
}

AddPath add_path_of(const Capabilities& capabilities, AfiSafi family) {
  for (const AddPath& each : capabilities.add_paths) {
    if (each.family == family) return each;
  }
  return {family};
}

bool takes_ipv6_next_hops(const Capabilities& capabilities, AfiSafi family) {
  const auto& list = capabilities.extended_next_hops;
  return std::find(list.begin(), list.end(), ExtendedNextHop{family, 2}) != list.end();
}

}  // namespace

std::string name(CapabilityCode code) {
  const Row* row = find_row(code);
  return row != nullptr ? std::string(row->name)
                        : fmt::format("capability-{}", static_cast<unsigned>(code));
}

Result<Capabilities, Notification> decode_parameters(Bytes parameters) {
  Reader in(parameters);
  const std::size_t plain_length = in.u8();
  // RFC 9072 2: the first parameter's type tells, whatever the plain length octet says, unless that
  // is zero.
  const bool extended = plain_length != 0 && !in.empty() &&
                        std::to_integer<std::uint8_t>(in.rest()[0]) == extended_parameters;
  if (extended) in.u8();
  Reader list = in.sub(extended ? in.u16() : plain_length);
  if (!list.ok() || !in.empty()) return Notification{Fault::OpenMalformed};

  Capabilities capabilities;
  while (!list.empty()) {
    const std::uint8_t type = list.u8();
    const Reader value = list.sub(extended ? list.u16() : list.u8());
    if (!value.ok()) return Notification{Fault::OpenMalformed};
    if (type != capabilities_parameter) return Notification{Fault::UnsupportedOptionalParameter};
    switch (decode_capabilities(value, capabilities)) {
      case Verdict::fine:
        break;
      case Verdict::malformed:
        return Notification{Fault::OpenMalformed};
      case Verdict::role_mismatch:
        return Notification{Fault::RoleMismatch};
    }
  }
  return capabilities;
}

std::vector<std::byte> encode_capabilities(const Capabilities& capabilities) {
  std::vector<std::byte> bytes;
  Writer out(bytes);
  for (const Row& row : rows) {
    TlvWriter tlv(row.code, out);
    row.encode(capabilities, tlv);
  }
  for (const UnknownCapability& unknown : capabilities.unknown) {
    assert(unknown.value.size() <= max_capability_value);
    out.u8(unknown.code);
    out.u8(static_cast<std::uint8_t>(unknown.value.size()));
    out.bytes(unknown.value);
  }
  return bytes;
}

void encode_parameters(const Capabilities& capabilities, std::vector<std::byte>& out) {
  const std::vector<std::byte> bytes = encode_capabilities(capabilities);
  Writer writer(out);
  if (bytes.empty()) {
    writer.u8(0);
  } else if (bytes.size() + 2 <= 255) {
    writer.u8(static_cast<std::uint8_t>(bytes.size() + 2));
    writer.u8(capabilities_parameter);
    writer.u8(static_cast<std::uint8_t>(bytes.size()));
  } else {
    writer.u8(255);
    writer.u8(extended_parameters);
    writer.u16(static_cast<std::uint16_t>(bytes.size() + 3));
    writer.u8(capabilities_parameter);
    writer.u16(static_cast<std::uint16_t>(bytes.size()));
  }
  writer.bytes(bytes);
}

Negotiated negotiate(const Capabilities& ours, const Capabilities& theirs) {
  Negotiated result;
  const std::vector<AfiSafi> their_families = families_of(theirs);
  for (const AfiSafi& family : families_of(ours)) {
    if (std::find(their_families.begin(), their_families.end(), family) == their_families.end()) {
      continue;
    }
    const AddPath we = add_path_of(ours, family);
    const AddPath they = add_path_of(theirs, family);
    result.families.push_back(
        {family, we.receive && they.send, we.send && they.receive,
         takes_ipv6_next_hops(ours, family) && takes_ipv6_next_hops(theirs, family)});
  }
  result.four_octet_as = ours.four_octet_as && theirs.four_octet_as;
  result.route_refresh = ours.route_refresh && theirs.route_refresh;
  result.enhanced_route_refresh = ours.enhanced_route_refresh && theirs.enhanced_route_refresh;
  result.link_local_next_hop = ours.link_local_next_hop && theirs.link_local_next_hop;
  result.graceful_restart = ours.graceful_restart && theirs.graceful_restart;
  result.graceful_notification = result.graceful_restart && ours.graceful_restart->notification &&
                                 theirs.graceful_restart->notification;
  result.long_lived_graceful_restart =
      result.graceful_restart && !ours.long_lived.empty() && !theirs.long_lived.empty();
  if (ours.extended_message) result.max_receive = max_extended_message_size;
  if (ours.extended_message && theirs.extended_message) result.max_send = max_extended_message_size;
  return result;
}

bool roles_fit(Role ours, Role theirs) {
  switch (ours) {
    case Role::provider:
      return theirs == Role::customer;
    case Role::customer:
      return theirs == Role::provider;
    case Role::rs_server:
      return theirs == Role::rs_client;
    case Role::rs_client:
      return theirs == Role::rs_server;
    case Role::peer:
      return theirs == Role::peer;
  }
  return false;
}

std::string name(Role role) {
  switch (role) {
    case Role::provider:
      return "provider";
    case Role::rs_server:
      return "rs-server";
    case Role::rs_client:
      return "rs-client";
    case Role::customer:
      return "customer";
    case Role::peer:
      return "peer";
  }
  return fmt::format("role-{}", static_cast<unsigned>(role));
}

std::string text(AfiSafi family) {
  if (family.safi == 1 && family.afi == 1) return "ipv4-unicast";
  if (family.safi == 1 && family.afi == 2) return "ipv6-unicast";
  return fmt::format("afi-{}/safi-{}", family.afi, family.safi);
}

namespace {

std::string text(const AddPath& entry) {
  const std::string_view direction = !entry.send ? "receive" : !entry.receive ? "send" : "both";
  return fmt::format("add-path {} {}", text(entry.family), direction);
}

std::string text(const GracefulRestart& restart) {
  std::string result = fmt::format("graceful-restart {} s", restart.restart_time.count());
  if (restart.restarting) result += " restarting";
  if (restart.notification) result += " notification";
  for (const auto& state : restart.families) {
    result += " " + text(state.family) + (state.forwarding ? " preserved" : "");
  }
  return result;
}

}  // namespace

std::vector<std::string> text(const Capabilities& capabilities) {
  std::vector<std::string> lines;
  const auto mark = [&](bool present, CapabilityCode code) {
    if (present) lines.push_back(name(code));
  };
  for (const AfiSafi& family : capabilities.families)
    lines.push_back("multiprotocol " + text(family));
  mark(capabilities.route_refresh, Code::route_refresh);
  for (const ExtendedNextHop& entry : capabilities.extended_next_hops) {
    lines.push_back(
        fmt::format("extended-next-hop {} afi-{}", text(entry.family), entry.next_hop_afi));
  }
  mark(capabilities.extended_message, Code::extended_message);
  if (capabilities.role) lines.push_back("role " + name(*capabilities.role));
  if (capabilities.graceful_restart) lines.push_back(text(*capabilities.graceful_restart));
  if (capabilities.four_octet_as) {
    lines.push_back(fmt::format("four-octet-as {}", capabilities.four_octet_as->value));
  }
  for (const AddPath& entry : capabilities.add_paths) lines.push_back(text(entry));
  mark(capabilities.enhanced_route_refresh, Code::enhanced_route_refresh);
  for (const LongLivedFamily& entry : capabilities.long_lived) {
    lines.push_back(fmt::format("long-lived-graceful-restart {} {} s{}", text(entry.family),
                                entry.stale_time.count(), entry.forwarding ? " preserved" : ""));
  }
  mark(capabilities.link_local_next_hop, Code::link_local_next_hop);
  for (const UnknownCapability& unknown : capabilities.unknown) {
    lines.push_back(name(static_cast<CapabilityCode>(unknown.code)));
  }
  return lines;
}

}  // namespace weft::bgp
