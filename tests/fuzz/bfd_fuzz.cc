// A BFD neighbour that obeys nothing: each datagram is preceded by one octet of time that passes.
// Ups and downs take turns, the next deadline is never missed for ever, and what we say can be
// read.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "bfd/sessions.h"

using namespace weft;
using namespace weft::bfd;

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader in(std::as_bytes(std::span(data, size)));
  Time now{std::chrono::hours{1}};
  Sessions sessions(1);
  const Path path{Address::ipv4(2), Address::ipv4(1), 1};
  sessions.want({{path, Terms{}}}, now);
  const std::uint32_t ours = sessions.status().front().discriminator;
  bool up = false;
  for (int steps = 0; steps < 1000 && !in.empty(); ++steps) {
    now += std::chrono::milliseconds(in.u8() * 10);
    const Bytes raw = in.take(std::min(packet_size, in.size()));
    std::vector<std::byte> packet(raw.begin(), raw.end());
    sessions.received({path.remote, path.local, 1, 255, false}, packet, now);
    if (packet.size() == packet_size) {  // and as if it had guessed our discriminator
      for (std::size_t i = 0; i < 4; ++i)
        packet[8 + i] = static_cast<std::byte>(ours >> (24 - 8 * i));
      sessions.received({path.remote, path.local, 1, 255, false}, packet, now);
    }
    sessions.tick(now);
    require(sessions.deadline() > now);
    for (const Transmission& each : sessions.take_transmissions())
      require(decode(each.bytes).has_value());
    for (const Event& event : sessions.take_events()) {
      require(event.change.up != up);
      up = event.change.up;
    }
    const SessionStatus status = sessions.status().front();
    require((status.state == State::up) == up);
    require(status.state != State::admin_down);
  }
  return 0;
}
