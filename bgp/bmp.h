// BMP: the messages of the BGP Monitoring Protocol as octets, one function each. Not here: what a
// station is told, and when (station.h). RFC 7854 4; 8671 4 and 6; 9069 4 and 5.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "bgp/notification.h"
#include "bgp/types.h"
#include "net/bytes.h"
#include "net/ip.h"

namespace weft::bgp::bmp {

/// RFC 7854 4.1
inline constexpr std::uint8_t version = 3;
inline constexpr std::size_t common_header_size = 6;
inline constexpr std::size_t peer_header_size = 42;

enum class MessageType : std::uint8_t {
  route_monitoring = 0,
  statistics_report = 1,
  peer_down = 2,
  peer_up = 3,
  initiation = 4,
  termination = 5,
};

/// RFC 7854 4.2, 9069 4.1. There are no VPNs here, so none of RD type.
enum class PeerType : std::uint8_t { global = 0, local_instance = 2, loc_rib = 3 };

/// The Per-Peer Header. AS paths are always of four octets an AS, so the A flag is never set.
struct PeerHeader {
  PeerType type = PeerType::global;
  /// The L flag: after policy.
  bool post_policy = false;
  /// The O flag (RFC 8671 4): of Adj-RIB-Out.
  bool adj_rib_out = false;
  /// Of local instances: what tells them apart. Else 0.
  std::uint64_t distinguisher = 0;
  /// Zero for Loc-RIB.
  Address address;
  Asn asn;
  RouterId id;
  /// Since 1970; 0: not known.
  std::chrono::microseconds timestamp{0};
  bool operator==(const PeerHeader&) const = default;
};

/// The name of the one Loc-RIB that there is (RFC 9069 4.4).
inline constexpr std::string_view default_table = "global";

struct PeerUp {
  /// Of our end of the session; zero for Loc-RIB.
  Address local;
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  /// Whole messages. For Loc-RIB both are made up (RFC 9069 5.1).
  std::vector<std::byte> sent_open;
  std::vector<std::byte> received_open;
  bool operator==(const PeerUp&) const = default;
};

// Why a peer is down (RFC 7854 4.9, 9069 5.3).

/// 1: we ended the session with this NOTIFICATION.
struct LocalNotification {
  Notification sent;
};
/// 2: we ended it without a word; the event of RFC 4271 8.1, 0 for none.
struct LocalEnd {
  std::uint16_t event = 0;
};
/// 3
struct RemoteNotification {
  Notification received;
};
/// 4: the peer closed the connection without a word.
struct RemoteEnd {};
/// 5: it may be up, but the station is not told of it any more.
struct NotMonitored {};
using PeerDown =
    std::variant<LocalNotification, LocalEnd, RemoteNotification, RemoteEnd, NotMonitored>;

/// RFC 7854 4.8, 8671 6.2, 9069 5.4.
struct Statistic {
  enum class Type : std::uint16_t {
    adj_rib_in = 7,
    loc_rib = 8,
    adj_rib_in_family = 9,
    loc_rib_family = 10,
    treated_as_withdraw = 11,
    adj_rib_out = 15,
    adj_rib_out_family = 17,
  };
  Type type = Type::adj_rib_in;
  /// Counters are of 32 bits on the wire, gauges of 64.
  std::uint64_t value = 0;
  /// Of the types that have one.
  AfiSafi family = {};
};

/// RFC 7854 4.5
enum class TerminationReason : std::uint16_t {
  administrative = 0,
  unspecified = 1,
  out_of_resources = 2,
  redundant = 3,
  permanent = 4,
};

// Each appends one whole message.

/// `description`: sysDescr, `name`: sysName; neither may be empty (RFC 7854 4.3).
void encode_initiation(std::string_view description, std::string_view name,
                       std::vector<std::byte>& out);
void encode_termination(TerminationReason reason, std::string_view text,
                        std::vector<std::byte>& out);
void encode_peer_up(const PeerHeader& peer, const PeerUp& up, std::vector<std::byte>& out);
/// For Loc-RIB the reason is 6 whatever `why` says (RFC 9069 5.3).
void encode_peer_down(const PeerHeader& peer, const PeerDown& why, std::vector<std::byte>& out);
/// `update`: one whole UPDATE.
void encode_route_monitoring(const PeerHeader& peer, Bytes update, std::vector<std::byte>& out);
void encode_statistics(const PeerHeader& peer, std::span<const Statistic> statistics,
                       std::vector<std::byte>& out);

}  // namespace weft::bgp::bmp
