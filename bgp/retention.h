// Retention: what becomes of one peer's routes of one family when its session falls and comes back:
// the receiving side of graceful restart as a table of phases and one timer. Pure: says what is to
// be done, the tables do it. Not here: our own restart (Restart in speaker.h), the capabilities.
// RFC 4724 4.2, 8538 4, 9494 4.2.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "net/time.h"

namespace weft::bgp {

/// What of a session decides what happens to the family's routes after its end. Taken down while it
/// stands.
struct RetentionTerms {
  /// The peer said that it keeps forwarding this family over a restart (RFC 4724 3).
  bool graceful = false;
  /// For how long the peer may be away: what it asked for.
  std::chrono::seconds restart_time{0};
  /// For how much longer its routes stay as a last resort (RFC 9494); 0: they do not.
  std::chrono::seconds long_lived_time{0};
  bool operator==(const RetentionTerms&) const = default;
};

/// How a session ended, as far as the peer's routes are concerned. RFC 8538 4 treats silence like a
/// closed connection; but a peer that was silent for a whole hold time may as well be a host
/// without power, and its routes a black hole (RFC 4724 4.2 drops them, too).
enum class Loss : std::uint8_t {
  hard,    ///< they are not valid any more
  clean,   ///< the connection was closed, or somebody said why: the peer's kernel is alive
  silent,  ///< nothing was heard any more: maybe nothing of the peer is alive
};

/// What the tables must do with the peer's routes of the family.
enum class Fate : std::uint8_t {
  keep,   ///< nothing
  drop,   ///< all go
  mark,   ///< those that are stale already go, the others are stale from now on
  sweep,  ///< the stale ones go
  age,    ///< all become stale, long-lived ones, or go (RFC 9494 4.2)
};

class Retention {
 public:
  enum class Phase : std::uint8_t {
    fresh,       ///< nothing is stale
    restarting,  ///< the peer is away; its restart time runs
    long_lived,  ///< the peer is away for longer than that (RFC 9494)
    refreshing,  ///< the peer is back; what it has not said again by End-of-RIB goes
  };

  /// The session is over.
  [[nodiscard]] Fate lost(const RetentionTerms& terms, Loss how, Time now);
  /// A new session stands. `preserved`: the peer says that it forwarded the family all the while
  /// (the F bit); `stale_time`: how long it may take to say its routes again.
  [[nodiscard]] Fate back(bool preserved, std::chrono::seconds stale_time, Time now);
  [[nodiscard]] Fate end_of_rib();
  /// The link to a peer that is away went down.
  [[nodiscard]] Fate silenced(Time now);
  [[nodiscard]] Fate tick(Time now);
  /// The routes are gone for another reason.
  void forget() { *this = Retention(); }

  /// When tick() is due; Time::max() for never.
  [[nodiscard]] Time deadline() const { return phase_ == Phase::fresh ? Time::max() : until_; }
  [[nodiscard]] Phase phase() const { return phase_; }

 private:
  Fate grow_old(Time now);

  Phase phase_ = Phase::fresh;
  Time until_ = Time::max();
  /// Some of the stale routes are long-lived ones, until then; not moved by further restarts (RFC
  /// 9494 4.2).
  Time long_lived_until_ = Time::max();
  std::chrono::seconds long_lived_time_{0};
};

/// "restarting", "long-lived", "refreshing"; empty for fresh.
std::string_view name(Retention::Phase phase);

}  // namespace weft::bgp
