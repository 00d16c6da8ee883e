// SessionEnds: how often connections of one peer ended, by reason, in words that stay few whatever
// a peer says: labels of metrics. Not here: what ends a session (fsm.h), the text that an operator
// reads of the last end (Peer::last_error).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "bgp/fsm.h"
#include "bgp/notification.h"

namespace weft::bgp {

enum class EndReason : std::uint8_t {
  connection_lost,  ///< TCP ended it, without a NOTIFICATION
  link_down,        ///< what carried it is gone
  restarted,        ///< the peer came anew beside it (RFC 4724 5)
  hold_timer,
  send_hold_timer,
  header_error,
  open_error,
  bad_peer_as,
  unsupported_capability,
  role_mismatch,
  update_error,
  fsm_error,
  refresh_error,
  prefix_limit,
  shutdown,
  deconfigured,
  reset,
  rejected,
  configuration_change,
  collision,
  out_of_resources,
  bfd_down,
  cease,  ///< of another subcode
  other,
};
inline constexpr std::size_t end_reasons = static_cast<std::size_t>(EndReason::other) + 1;
/// "hold_timer"
std::string_view name(EndReason reason);
/// Of a NOTIFICATION; of a Hard Reset what it carries (RFC 8538 3.1).
EndReason end_reason(const Notification& why);
/// Of a connection that ended with this event, and with this NOTIFICATION of ours or none.
EndReason end_reason(const Event& event, const std::optional<Notification>& sent);

struct EndCount {
  EndReason reason = EndReason::other;
  /// It was the peer that ended it; else we did.
  bool by_peer = false;
  /// A session ended; else a connection that was none yet, our OPEN being out.
  bool established = false;
  std::uint64_t count = 0;
  bool operator==(const EndCount&) const = default;
};

class SessionEnds {
 public:
  void count(EndReason reason, bool by_peer, bool established) {
    ++counts_[static_cast<std::size_t>(reason)][by_peer ? 1 : 0][established ? 1 : 0];
  }
  /// Those that ever happened, sessions first.
  [[nodiscard]] std::vector<EndCount> all() const;

 private:
  std::array<std::array<std::array<std::uint32_t, 2>, 2>, end_reasons> counts_{};
};

}  // namespace weft::bgp
