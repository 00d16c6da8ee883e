// Session: one BFD session in asynchronous mode: its states, the negotiation of timers with Poll
// and Final, when to speak and when the neighbour has been silent for too long. Pure: packets and
// time in, packets and changes out. RFC 5880 6.8; the echo function, demand mode of our own and
// authentication are not here. Which packets are its own is for Sessions to say.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "bfd/packet.h"
#include "bfd/settings.h"
#include "net/time.h"

namespace weft::bfd {

/// RFC 5880 6.8.3: we do not speak more often than this unless the session is Up.
inline constexpr std::chrono::seconds slow_interval{1};

/// What became of a session that was Up.
enum class Loss : std::uint8_t {
  /// Nothing was heard for the detection time.
  silence,
  /// The neighbour says that it is down: it does not hear us, or has restarted.
  signalled,
  /// The neighbour's operator, or ours, took BFD away; the path may be as good as before
  /// (RFC 5882 4.2).
  administrative,
};

struct Change {
  bool up = false;
  /// Only when not up.
  Loss loss = Loss::silence;
  auto operator<=>(const Change&) const = default;
};

class Session {
 public:
  /// `discriminator` is not zero and ours alone. `seed` feeds the jitter. Starts Down, and speaks
  /// at the first tick().
  Session(const Terms& terms, std::uint32_t discriminator, std::uint32_t seed, Time now);

  /// A packet whose Your Discriminator is ours, or 0 for a path that is ours.
  void received(const Packet& packet, Time now);
  [[nodiscard]] Time deadline() const;
  void tick(Time now);
  /// The terms of a running session change by a Poll Sequence (RFC 5880 6.8.3), without a loss.
  void apply(const Terms& terms, Time now);
  /// AdminDown for good: says so now; drop the session after.
  void shutdown(Time now);

  /// What happened since the last call, in order.
  [[nodiscard]] std::vector<Packet> take_packets() { return std::exchange(packets_, {}); }
  [[nodiscard]] std::vector<Change> take_changes() { return std::exchange(changes_, {}); }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] State remote_state() const { return remote_state_; }
  [[nodiscard]] Diagnostic diagnostic() const { return diagnostic_; }
  [[nodiscard]] Diagnostic remote_diagnostic() const { return remote_diagnostic_; }
  [[nodiscard]] std::uint32_t discriminator() const { return discriminator_; }
  [[nodiscard]] std::uint32_t remote_discriminator() const { return remote_discriminator_; }
  /// Before jitter.
  [[nodiscard]] std::chrono::microseconds transmit_interval() const;
  /// Zero before the neighbour was heard.
  [[nodiscard]] std::chrono::microseconds detection_time() const;
  [[nodiscard]] Time since() const { return since_; }

 private:
  void enter(State state, Diagnostic why, Time now);
  void renegotiate();
  void end_poll();
  void forget_neighbour();
  void transmit(bool final);
  void schedule(Time now);
  [[nodiscard]] bool is_periodic() const;
  [[nodiscard]] std::chrono::microseconds wanted_tx() const;

  Terms terms_;
  std::uint32_t discriminator_;
  std::minstd_rand random_;
  State state_ = State::down;
  State remote_state_ = State::down;
  Diagnostic diagnostic_ = Diagnostic::none;
  Diagnostic remote_diagnostic_ = Diagnostic::none;
  std::uint32_t remote_discriminator_ = 0;
  bool remote_demand_ = false;
  std::uint8_t remote_multiplier_ = 0;
  std::chrono::microseconds remote_min_tx_{0};
  /// RFC 5880 6.8.1: 1 until the neighbour has said.
  std::chrono::microseconds remote_min_rx_{1};
  /// As announced in our packets; as in force, which is the older one while a poll is under way and
  /// the neighbour might rely on it (RFC 5880 6.8.3).
  std::chrono::microseconds announced_tx_;
  std::chrono::microseconds announced_rx_;
  std::chrono::microseconds tx_in_force_;
  std::chrono::microseconds rx_in_force_;
  bool polling_ = false;
  /// A second change while a poll was under way: another poll has to follow.
  bool poll_again_ = false;

  Time since_;
  Time next_transmission_;
  Time last_transmission_ = Time::min();
  std::optional<Time> heard_at_;
  std::vector<Packet> packets_;
  std::vector<Change> changes_;
};

}  // namespace weft::bfd
