// Sessions: all BFD sessions of this node: which packet belongs to which (RFC 5880 6.8.6, RFC 5881
// 3 and 4, RFC 5883 4), and which of them have something to say. Pure. Not here: the state of one
// session (session.h), sockets and the thread (runner.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "bfd/session.h"
#include "bfd/settings.h"
#include "net/bytes.h"
#include "net/time.h"

namespace weft::bfd {

inline constexpr std::size_t max_sessions = 1024;
/// RFC 5881 4 and RFC 5883 5.
inline constexpr std::uint16_t single_hop_port = 3784;
inline constexpr std::uint16_t multihop_port = 4784;

/// A datagram as it came.
struct Arrival {
  Address from;
  Address to;
  std::uint32_t ifindex = 0;
  /// TTL or hop limit; -1: not known.
  int ttl = -1;
  bool multihop = false;
};

struct Transmission {
  Path path;
  std::vector<std::byte> bytes;
};

struct Event {
  Path path;
  Change change;
  Diagnostic diagnostic = Diagnostic::none;
  Diagnostic remote_diagnostic = Diagnostic::none;
  bool operator==(const Event&) const = default;
};

struct SessionStatus {
  Path path;
  Terms terms;
  State state = State::down;
  State remote_state = State::down;
  Diagnostic diagnostic = Diagnostic::none;
  Diagnostic remote_diagnostic = Diagnostic::none;
  std::uint32_t discriminator = 0;
  std::uint32_t remote_discriminator = 0;
  /// As negotiated.
  std::chrono::microseconds transmit_interval{0};
  std::chrono::microseconds detection_time{0};
  /// Time in this state.
  Time since;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  /// How often it left Up.
  std::uint64_t losses = 0;
};

class Sessions {
 public:
  explicit Sessions(std::uint32_t seed) : random_(seed) {}

  /// Exactly these from now on, at most max_sessions; those that go say AdminDown. A session whose
  /// terms changed goes on with the new ones.
  void want(const std::map<Path, Terms>& wanted, Time now);
  /// Packets that are nobody's, not valid, or of a single hop with a TTL below 255 (RFC 5881 5) are
  /// dropped and counted.
  void received(const Arrival& arrival, Bytes bytes, Time now);
  [[nodiscard]] Time deadline() const;
  void tick(Time now);

  /// What happened since the last call, in order.
  [[nodiscard]] std::vector<Transmission> take_transmissions();
  [[nodiscard]] std::vector<Event> take_events();

  [[nodiscard]] std::vector<SessionStatus> status() const;
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  struct Entry {
    Path path;
    Terms terms;
    Session session;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    std::uint64_t losses = 0;
  };
  std::uint32_t new_discriminator();
  Entry* find(const Arrival& arrival, const Packet& packet);
  void collect(Entry& entry);

  std::minstd_rand random_;
  std::map<Path, Entry> entries_;
  std::unordered_map<std::uint32_t, Path> by_discriminator_;
  std::vector<Transmission> transmissions_;
  std::vector<Event> events_;
  std::uint64_t dropped_ = 0;
};

}  // namespace weft::bfd
