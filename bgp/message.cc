#include "bgp/message.h"

#include <algorithm>
#include <cassert>

namespace weft::bgp {
namespace {

constexpr std::size_t marker_size = 16;
constexpr std::byte marker_octet{0xff};
constexpr std::uint8_t version = 4;

/// Octets a message of one type may have, header included (RFC 4271 6.1, 4.5; RFC 8654 4).
struct Bounds {
  std::size_t least = 0;
  std::size_t most = 0;
};

Bounds bounds(MessageType type, std::size_t max_size) {
  switch (type) {
    case MessageType::open:
      return {29, max_message_size};
    case MessageType::update:
      return {23, max_size};
    case MessageType::notification:
      return {21, max_size};
    case MessageType::keepalive:
      return {header_size, header_size};
    // Too short ones have an error code of their own (RFC 7313 5), see decode_route_refresh().
    case MessageType::route_refresh:
      return {header_size, max_size};
  }
  return {};
}

bool is_known(std::uint8_t type) {
  return type >= static_cast<std::uint8_t>(MessageType::open) &&
         type <= static_cast<std::uint8_t>(MessageType::route_refresh);
}

Notification bad_length(std::uint16_t length) {
  Notification notification{Fault::BadMessageLength};
  Writer(notification.data).u16(length);
  return notification;
}

/// Writes a header; its length is right once this goes out of scope.
class Header {
 public:
  Header(MessageType type, std::vector<std::byte>& out) : out_(out), start_(out.size()) {
    out.insert(out.end(), marker_size, marker_octet);
    out_.u16(0);
    out_.u8(static_cast<std::uint8_t>(type));
  }
  Header(const Header&) = delete;
  Header& operator=(const Header&) = delete;
  ~Header() {
    const std::size_t size = out_.size() - start_;
    assert(size <= max_message_size);
    out_.patch_u16(start_ + marker_size, static_cast<std::uint16_t>(size));
  }

 private:
  Writer out_;
  std::size_t start_;
};

}  // namespace

std::string_view name(MessageType type) {
  switch (type) {
    case MessageType::open:
      return "OPEN";
    case MessageType::update:
      return "UPDATE";
    case MessageType::notification:
      return "NOTIFICATION";
    case MessageType::keepalive:
      return "KEEPALIVE";
    case MessageType::route_refresh:
      return "ROUTE-REFRESH";
  }
  return "unknown";
}

Result<std::optional<Frame>, Notification> next_message(Bytes buffer, std::size_t max_size) {
  if (buffer.size() < header_size) return std::optional<Frame>();
  Reader in(buffer.first(header_size));
  if (in.u64() != ~std::uint64_t{0} || in.u64() != ~std::uint64_t{0}) {
    return Notification{Fault::ConnectionNotSynchronized};
  }
  const std::uint16_t length = in.u16();
  const std::uint8_t octet = in.u8();
  if (length < header_size || length > max_size) return bad_length(length);
  if (!is_known(octet)) return Notification{Fault::BadMessageType, {std::byte{octet}}};
  const auto type = static_cast<MessageType>(octet);
  const auto [least, most] = bounds(type, max_size);
  if (length < least || length > most) return bad_length(length);
  if (buffer.size() < length) return std::optional<Frame>();
  return std::optional(Frame{type, buffer.first(length)});
}

Result<Open, Notification> decode_open(Bytes body) {
  Reader in(body);
  if (in.u8() != version) {
    return Notification{Fault::UnsupportedVersion, {std::byte{0}, std::byte{version}}};
  }
  Open open;
  const Asn my_as{in.u16()};
  open.hold_time = std::chrono::seconds(in.u16());
  open.id = RouterId{in.u32()};
  auto capabilities = decode_parameters(in.rest());
  if (!in.ok()) return Notification{Fault::OpenMalformed};
  if (!capabilities) return capabilities.error();
  open.capabilities = std::move(*capabilities);
  open.asn = open.capabilities.four_octet_as.value_or(my_as);

  if (my_as == Asn{0} || open.asn == Asn{0}) return Notification{Fault::BadPeerAs};  // RFC 7607
  if (open.id == RouterId{0}) return Notification{Fault::BadBgpIdentifier};          // RFC 6286 2.2
  using std::chrono::seconds;
  if (open.hold_time == seconds{1} || open.hold_time == seconds{2}) {
    return Notification{Fault::UnacceptableHoldTime};
  }
  return open;
}

Result<std::optional<RouteRefresh>, Notification> decode_route_refresh(const Frame& frame) {
  Reader in(frame.body());
  RouteRefresh refresh;
  refresh.family.afi = in.u16();
  const std::uint8_t subtype = in.u8();
  refresh.family.safi = in.u8();
  if (!in.ok() || !in.empty()) {
    const Bytes whole = frame.message;
    return Notification{Fault::InvalidRouteRefreshLength, {whole.begin(), whole.end()}};
  }
  if (subtype > static_cast<std::uint8_t>(RouteRefresh::Subtype::end)) {
    return std::optional<RouteRefresh>();
  }
  refresh.subtype = static_cast<RouteRefresh::Subtype>(subtype);
  return std::optional(refresh);
}

Notification decode_notification(Bytes body) {
  Reader in(body);
  const auto fault = static_cast<Fault>(in.u16());
  assert(in.ok());
  return Notification{fault, {in.rest().begin(), in.rest().end()}};
}

void encode(const Open& open, std::vector<std::byte>& out) {
  const Header header(MessageType::open, out);
  Writer writer(out);
  writer.u8(version);
  writer.u16(static_cast<std::uint16_t>(open.asn.value > 0xffff ? as_trans.value : open.asn.value));
  assert(open.hold_time.count() >= 0 && open.hold_time.count() <= 0xffff);
  writer.u16(static_cast<std::uint16_t>(open.hold_time.count()));
  writer.u32(open.id.value);
  encode_parameters(open.capabilities, out);
}

void encode(const Keepalive& /*keepalive*/, std::vector<std::byte>& out) {
  const Header header(MessageType::keepalive, out);
}

void encode(const Notification& notification, std::vector<std::byte>& out) {
  const Header header(MessageType::notification, out);
  Writer writer(out);
  writer.u16(static_cast<std::uint16_t>(notification.fault));
  const std::size_t room = max_message_size - header_size - 2;
  writer.bytes(Bytes(notification.data).first(std::min(notification.data.size(), room)));
}

void encode(const RouteRefresh& refresh, std::vector<std::byte>& out) {
  const Header header(MessageType::route_refresh, out);
  Writer writer(out);
  writer.u16(refresh.family.afi);
  writer.u8(static_cast<std::uint8_t>(refresh.subtype));
  writer.u8(refresh.family.safi);
}

void encode(const Message& message, std::vector<std::byte>& out) {
  std::visit([&](const auto& each) { encode(each, out); }, message);
}

}  // namespace weft::bgp
