// Packet: a BFD Control packet and its 24 octets (RFC 5880 4.1). No authentication (RFC 5880 4.2):
// a packet that carries any is not for a session of ours. Not here: which session it belongs to.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/bytes.h"

namespace weft::bfd {

inline constexpr std::size_t packet_size = 24;

/// RFC 5880 4.1, State.
enum class State : std::uint8_t { admin_down = 0, down = 1, init = 2, up = 3 };
/// "AdminDown", "Down", "Init", "Up"
std::string_view name(State state);

/// RFC 5880 4.1, Diagnostic; other values are what a neighbour sent.
enum class Diagnostic : std::uint8_t {
  none = 0,
  detection_time_expired = 1,
  echo_failed = 2,
  neighbour_signalled_down = 3,
  forwarding_plane_reset = 4,
  path_down = 5,
  concatenated_path_down = 6,
  administratively_down = 7,
  reverse_concatenated_path_down = 8,
};
/// "control detection time expired"
std::string_view name(Diagnostic diagnostic);

struct Packet {
  Diagnostic diagnostic = Diagnostic::none;
  State state = State::down;
  bool poll = false;
  bool final = false;
  /// C: the sender's BFD outlives its control plane.
  bool control_plane_independent = false;
  bool demand = false;
  std::uint8_t multiplier = 3;
  std::uint32_t my_discriminator = 0;
  /// 0: not known yet.
  std::uint32_t your_discriminator = 0;
  std::chrono::microseconds desired_min_tx{0};
  std::chrono::microseconds required_min_rx{0};
  std::chrono::microseconds required_min_echo_rx{0};

  bool operator==(const Packet&) const = default;
};

/// None: RFC 5880 6.8.6 says to discard it. Octets after the packet's own length are nothing to us.
std::optional<Packet> decode(Bytes bytes);
/// Intervals above 2^32-1 microseconds are written as that.
std::vector<std::byte> encode(const Packet& packet);

}  // namespace weft::bfd
