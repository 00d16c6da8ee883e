#include "bgp/bmp.h"

#include <algorithm>

#include "bgp/message.h"

namespace weft::bgp::bmp {

namespace {

// Flags of the Per-Peer Header.
constexpr std::uint8_t ipv6_flag = 0x80;
constexpr std::uint8_t post_policy_flag = 0x40;
constexpr std::uint8_t adj_rib_out_flag = 0x10;

/// Information TLVs (RFC 7854 4.4, 9069 4.4).
constexpr std::uint16_t system_description = 1;
constexpr std::uint16_t system_name = 2;
constexpr std::uint16_t table_name = 3;
/// Of Termination (RFC 7854 4.5).
constexpr std::uint16_t termination_text = 0;
constexpr std::uint16_t termination_reason = 1;

/// The reason of a Peer Down of Loc-RIB (RFC 9069 5.3).
constexpr std::uint8_t local_table_down = 6;

/// What begins at the construction and ends with close().
class Message {
 public:
  Message(MessageType type, std::vector<std::byte>& out)
      : out_(out), writer_(out), start_(out.size()) {
    writer_.u8(version);
    writer_.u32(0);
    writer_.u8(static_cast<std::uint8_t>(type));
  }
  Message(MessageType type, const PeerHeader& peer, std::vector<std::byte>& out)
      : Message(type, out) {
    const bool loc_rib = peer.type == PeerType::loc_rib;
    writer_.u8(static_cast<std::uint8_t>(peer.type));
    std::uint8_t flags = 0;
    if (!loc_rib && peer.address.is_v6()) flags |= ipv6_flag;
    if (peer.post_policy) flags |= post_policy_flag;
    if (peer.adj_rib_out) flags |= adj_rib_out_flag;
    // In a Loc-RIB header the high bit is F, filtered; ours is whole (RFC 9069 4.2).
    writer_.u8(flags);
    writer_.u64(peer.distinguisher);
    address(peer.address);
    writer_.u32(peer.asn.value);
    writer_.u32(peer.id.value);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(peer.timestamp);
    writer_.u32(static_cast<std::uint32_t>(seconds.count()));
    writer_.u32(static_cast<std::uint32_t>((peer.timestamp - seconds).count()));
  }

  /// Sixteen octets, IPv4 in the last four (RFC 7854 4.2).
  void address(const Address& address) {
    const Bytes octets = address.octets();
    for (std::size_t i = octets.size(); i < 16; ++i) writer_.u8(0);
    writer_.bytes(octets);
  }
  void information(std::uint16_t type, Bytes value) {
    // Beyond 65535 octets a text is of no use to anybody.
    const Bytes kept = value.first(std::min<std::size_t>(value.size(), 65535));
    writer_.u16(type);
    writer_.u16(static_cast<std::uint16_t>(kept.size()));
    writer_.bytes(kept);
  }
  Writer& body() { return writer_; }
  void close() {
    const std::size_t size = out_.size() - start_;
    writer_.patch_u16(start_ + 1, static_cast<std::uint16_t>(size >> 16));
    writer_.patch_u16(start_ + 3, static_cast<std::uint16_t>(size & 0xffff));
  }

 private:
  std::vector<std::byte>& out_;
  Writer writer_;
  std::size_t start_;
};

bool has_family(Statistic::Type type) {
  return type == Statistic::Type::adj_rib_in_family || type == Statistic::Type::loc_rib_family ||
         type == Statistic::Type::adj_rib_out_family;
}

}  // namespace

void encode_initiation(std::string_view description, std::string_view name,
                       std::vector<std::byte>& out) {
  Message message(MessageType::initiation, out);
  message.information(system_description, as_bytes(description));
  message.information(system_name, as_bytes(name));
  message.close();
}

void encode_termination(TerminationReason reason, std::string_view text,
                        std::vector<std::byte>& out) {
  Message message(MessageType::termination, out);
  if (!text.empty()) message.information(termination_text, as_bytes(text));
  message.body().u16(termination_reason);
  message.body().u16(2);
  message.body().u16(static_cast<std::uint16_t>(reason));
  message.close();
}

void encode_peer_up(const PeerHeader& peer, const PeerUp& up, std::vector<std::byte>& out) {
  Message message(MessageType::peer_up, peer, out);
  message.address(up.local);
  message.body().u16(up.local_port);
  message.body().u16(up.remote_port);
  message.body().bytes(up.sent_open);
  message.body().bytes(up.received_open);
  if (peer.type == PeerType::loc_rib) message.information(table_name, as_bytes(default_table));
  message.close();
}

void encode_peer_down(const PeerHeader& peer, const PeerDown& why, std::vector<std::byte>& out) {
  Message message(MessageType::peer_down, peer, out);
  if (peer.type == PeerType::loc_rib) {
    message.body().u8(local_table_down);
    message.information(table_name, as_bytes(default_table));
    return message.close();
  }
  message.body().u8(static_cast<std::uint8_t>(why.index() + 1));
  std::visit(Overloaded{[&](const LocalNotification& end) { encode(end.sent, out); },
                        [&](const LocalEnd& end) { message.body().u16(end.event); },
                        [&](const RemoteNotification& end) { encode(end.received, out); },
                        [](const RemoteEnd&) {}, [](const NotMonitored&) {}},
             why);
  message.close();
}

void encode_route_monitoring(const PeerHeader& peer, Bytes update, std::vector<std::byte>& out) {
  Message message(MessageType::route_monitoring, peer, out);
  message.body().bytes(update);
  message.close();
}

void encode_statistics(const PeerHeader& peer, std::span<const Statistic> statistics,
                       std::vector<std::byte>& out) {
  Message message(MessageType::statistics_report, peer, out);
  Writer& body = message.body();
  body.u32(static_cast<std::uint32_t>(statistics.size()));
  for (const Statistic& each : statistics) {
    body.u16(static_cast<std::uint16_t>(each.type));
    if (each.type == Statistic::Type::treated_as_withdraw) {
      body.u16(4);
      body.u32(static_cast<std::uint32_t>(each.value));
    } else if (has_family(each.type)) {
      body.u16(11);
      body.u16(each.family.afi);
      body.u8(each.family.safi);
      body.u64(each.value);
    } else {
      body.u16(8);
      body.u64(each.value);
    }
  }
  message.close();
}

}  // namespace weft::bgp::bmp
