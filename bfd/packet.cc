#include "bfd/packet.h"

#include <algorithm>
#include <array>

namespace weft::bfd {
namespace {

constexpr unsigned version = 1;
namespace flag {
constexpr unsigned poll = 0x20;
constexpr unsigned final = 0x10;
constexpr unsigned control_plane_independent = 0x08;
constexpr unsigned authentication = 0x04;
constexpr unsigned demand = 0x02;
constexpr unsigned multipoint = 0x01;
}  // namespace flag

std::uint32_t microseconds_of(std::chrono::microseconds interval) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(interval.count(), 0, 0xffffffff));
}

}  // namespace

std::string_view name(State state) {
  static constexpr std::array<std::string_view, 4> names{"AdminDown", "Down", "Init", "Up"};
  return names[static_cast<std::size_t>(state)];
}

std::string_view name(Diagnostic diagnostic) {
  static constexpr std::array<std::string_view, 9> names{"no diagnostic",
                                                         "control detection time expired",
                                                         "echo function failed",
                                                         "neighbour signalled session down",
                                                         "forwarding plane reset",
                                                         "path down",
                                                         "concatenated path down",
                                                         "administratively down",
                                                         "reverse concatenated path down"};
  const auto index = static_cast<std::size_t>(diagnostic);
  return index < names.size() ? names[index] : "unknown diagnostic";
}

std::optional<Packet> decode(Bytes bytes) {
  Reader in(bytes);
  const unsigned first = in.u8();
  const unsigned second = in.u8();
  Packet packet;
  packet.multiplier = in.u8();
  const std::size_t length = in.u8();
  packet.my_discriminator = in.u32();
  packet.your_discriminator = in.u32();
  packet.desired_min_tx = std::chrono::microseconds(in.u32());
  packet.required_min_rx = std::chrono::microseconds(in.u32());
  packet.required_min_echo_rx = std::chrono::microseconds(in.u32());
  packet.diagnostic = static_cast<Diagnostic>(first & 0x1f);
  packet.state = static_cast<State>(second >> 6);
  packet.poll = (second & flag::poll) != 0;
  packet.final = (second & flag::final) != 0;
  packet.control_plane_independent = (second & flag::control_plane_independent) != 0;
  packet.demand = (second & flag::demand) != 0;
  // RFC 5880 6.8.6, in its order.
  if (!in.ok() || first >> 5 != version || length < packet_size || length > bytes.size())
    return std::nullopt;
  if (packet.multiplier == 0 || (second & flag::multipoint) != 0) return std::nullopt;
  if (packet.my_discriminator == 0) return std::nullopt;
  const bool beginning = packet.state == State::down || packet.state == State::admin_down;
  if (packet.your_discriminator == 0 && !beginning) return std::nullopt;
  if ((second & flag::authentication) != 0) return std::nullopt;
  // RFC 5880 6.8.7: never both.
  if (packet.poll && packet.final) return std::nullopt;
  return packet;
}

std::vector<std::byte> encode(const Packet& packet) {
  std::vector<std::byte> bytes;
  bytes.reserve(packet_size);
  Writer out(bytes);
  out.u8(static_cast<std::uint8_t>(version << 5 | static_cast<unsigned>(packet.diagnostic)));
  const unsigned flags = static_cast<unsigned>(packet.state) << 6 |
                         (packet.poll ? flag::poll : 0U) | (packet.final ? flag::final : 0U) |
                         (packet.demand ? flag::demand : 0U) |
                         (packet.control_plane_independent ? flag::control_plane_independent : 0U);
  out.u8(static_cast<std::uint8_t>(flags));
  out.u8(packet.multiplier);
  out.u8(packet_size);
  out.u32(packet.my_discriminator);
  out.u32(packet.your_discriminator);
  out.u32(microseconds_of(packet.desired_min_tx));
  out.u32(microseconds_of(packet.required_min_rx));
  out.u32(microseconds_of(packet.required_min_echo_rx));
  return bytes;
}

}  // namespace weft::bfd
