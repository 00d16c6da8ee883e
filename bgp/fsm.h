// The finite state machine of one BGP connection, RFC 4271 8: (state, event, time) -> (state,
// actions), and nothing else. Timers are data in the states; deadline() says when the next Tick is
// due. Not here: which of a peer's connections survives a collision, back-off between sessions
// (peer.h), the capabilities in an OPEN (capabilities.h).
//
// One departure from the RFC's text, as all implementations have it: a connect() that fails leads
// to Active, where the ConnectRetryTimer runs, and not to Idle, so that only errors of the protocol
// are damped.
#pragma once

#include <chrono>
#include <optional>
#include <random>
#include <variant>

#include "bgp/message.h"
#include "bgp/settings.h"
#include "bgp/types.h"
#include "net/time.h"

namespace weft::bgp {

/// RFC 4271 8.2.2 asks for a large HoldTimer before the peer's OPEN is there and suggests 4
/// minutes. A peer that is that slow has lost interest: TCP connects in the kernel, its daemon may
/// never have seen us.
inline constexpr std::chrono::seconds open_wait{60};
/// The same while another connection of the peer waits: a silent half-open one must not hold its
/// place.
inline constexpr std::chrono::seconds open_wait_contended{10};

struct FsmSettings {
  Asn local_as;
  RouterId local_id;
  std::variant<RemoteAs, Asn> remote_as = RemoteAs::external;
  /// 0 or 3..65535 s
  std::chrono::seconds hold_time{9};
  std::chrono::seconds connect_retry{5};
  /// RFC 4271 8.1.1 DelayOpen: how long to wait for the peer's OPEN before ours goes out; 0: ours
  /// goes at once.
  std::chrono::seconds delay_open{0};
  /// RFC 4271 8.1.1 PassiveTcpEstablishment: never connect.
  bool passive = false;
};

/// What of the peer's OPEN the machine needs: `asn` is the four-octet one where there is one (RFC
/// 6793).
struct TheirOpen {
  Asn asn;
  RouterId id;
  std::chrono::seconds hold_time{0};
  bool operator==(const TheirOpen&) const = default;
};

/// HoldTimer and KeepaliveTimer as negotiated; both are Time::max() for a hold time of 0.
struct SessionTimers {
  std::chrono::seconds hold_time{0};
  Time hold_until = Time::max();
  Time keepalive_at = Time::max();
  bool operator==(const SessionTimers&) const = default;
};

// ---- states, in the order of RFC 4271 8.2.2

/// No connection, and none is wanted until Start.
struct Idle {
  bool operator==(const Idle&) const = default;
};
/// Our connect() is under way; or, when `open_at` is set, it succeeded and DelayOpen runs.
struct Connect {
  Time retry_at;
  std::optional<Time> open_at;
  bool operator==(const Connect&) const = default;
};
/// Waiting for the peer to connect, or for `retry_at`; or, when `open_at` is set, connected and
/// DelayOpen runs.
struct Active {
  Time retry_at = Time::max();
  std::optional<Time> open_at;
  bool operator==(const Active&) const = default;
};
/// Our OPEN is out, the peer has not spoken.
struct OpenSent {
  Time hold_until;
  bool operator==(const OpenSent&) const = default;
};
/// Both OPENs are seen, the peer's KEEPALIVE is not.
struct OpenConfirm {
  TheirOpen theirs;
  SessionTimers timers;
  bool operator==(const OpenConfirm&) const = default;
};
struct Established {
  TheirOpen theirs;
  SessionTimers timers;
  bool operator==(const Established&) const = default;
};
using State = std::variant<Idle, Connect, Active, OpenSent, OpenConfirm, Established>;

// ---- events; the numbers are those of RFC 4271 8.1

/// 1, 3-7: operator, configuration or the end of IdleHold (13).
struct Start {};
/// 2, 8: `why` is the Cease to send.
struct Stop {
  Notification why;
};
/// 9, 10, 11, 12: whichever of the state's timers is due.
struct Tick {};
/// 16, 17
struct TcpConnected {};
/// 18
struct TcpFailed {
  /// `restarted`: the peer came anew beside a connection that seemed to stand.
  enum class Because : std::uint8_t { lost, link_down, restarted } because = Because::lost;
};
/// 19, 20
struct OpenReceived {
  TheirOpen open;
};
/// 21, 22, 28: what the peer sent cannot be used; the answer is part of the verdict.
struct Malformed {
  Notification answer;
};
/// 23: another connection of the peer was preferred.
struct OpenCollisionDump {};
/// 24, 25
struct NotificationReceived {
  Notification theirs;
};
/// 26
struct KeepaliveReceived {};
/// 27, and ROUTE-REFRESH (RFC 2918), which is legal exactly where UPDATE is.
struct UpdateReceived {};
/// RFC 9687: SendHoldTimer_Expires.
struct SendHoldExpired {};

using Event = std::variant<Start, Stop, Tick, TcpConnected, TcpFailed, OpenReceived, Malformed,
                           OpenCollisionDump, NotificationReceived, KeepaliveReceived,
                           UpdateReceived, SendHoldExpired>;

/// To be carried out in this order.
struct Actions {
  bool connect = false;
  bool send_open = false;
  bool send_keepalive = false;
  std::optional<Notification> notify{};
  /// Close the connection, if there is one.
  bool drop = false;
};

struct Step {
  State next;
  Actions actions{};
};

struct Context {
  Time now;
  const FsmSettings& settings;
  /// Source of jitter, RFC 4271 10.
  std::minstd_rand& random;
};

[[nodiscard]] Step step(const State& state, const Event& event, const Context& with);

/// When the next Tick is due; Time::max() for never.
[[nodiscard]] Time deadline(const State& state);

/// `nominal` times 0.75..1.0 (RFC 4271 10).
[[nodiscard]] Clock::duration jittered(Clock::duration nominal, std::minstd_rand& random);

/// Has the state a TCP connection?
[[nodiscard]] bool has_connection(const State& state);

}  // namespace weft::bgp
