#include "bgp/fsm.h"

#include <algorithm>
#include <utility>

namespace weft::bgp {
namespace {

using std::chrono::seconds;

Step stay(State state) {
  return {state, {}};
}

/// Silently: the connection is gone already, or nothing may be said on it.
Step dropped() {
  return {Idle{}, {.drop = true}};
}

Step down(Notification why) {
  return {Idle{}, {.notify = std::move(why), .drop = true}};
}

/// The peer said goodbye; a NOTIFICATION is never answered by one (RFC 4271 6.4).
Step told() {
  return dropped();
}

Time retry_after(const Context& with) {
  return with.now + jittered(with.settings.connect_retry, with.random);
}

SessionTimers armed(seconds hold_time, const Context& with) {
  SessionTimers timers;
  timers.hold_time = hold_time;
  if (hold_time == seconds{0}) return timers;
  timers.hold_until = with.now + hold_time;
  timers.keepalive_at = with.now + jittered(Clock::duration(hold_time) / 3, with.random);
  return timers;
}

void heard(SessionTimers& timers, Time now) {
  if (timers.hold_time != seconds{0}) timers.hold_until = now + timers.hold_time;
}

bool is_acceptable(Asn theirs, const FsmSettings& settings) {
  if (theirs == Asn{0}) return false;  // RFC 7607
  return std::visit(Overloaded{
                        [&](RemoteAs kind) {
                          if (kind == RemoteAs::automatic) return true;
                          return (kind == RemoteAs::internal) == (theirs == settings.local_as);
                        },
                        [&](Asn wanted) { return theirs == wanted; },
                    },
                    settings.remote_as);
}

/// RFC 4271 6.2, as far as it needs our own side: the codec has judged the rest.
std::optional<Notification> refusal(const TheirOpen& open, const FsmSettings& settings) {
  if (!is_acceptable(open.asn, settings)) return Notification{Fault::BadPeerAs};
  if (open.hold_time == seconds{1} || open.hold_time == seconds{2}) {
    return Notification{Fault::UnacceptableHoldTime};
  }
  if (open.id == RouterId{0}) return Notification{Fault::BadBgpIdentifier};
  // RFC 6286 2.2: within one AS the identifier is unique.
  if (open.asn == settings.local_as && open.id == settings.local_id) {
    return Notification{Fault::BadBgpIdentifier};
  }
  return std::nullopt;
}

/// `open` was received and our own OPEN is out (or goes with this step).
Step confirmed(const TheirOpen& open, Actions actions, const Context& with) {
  if (auto why = refusal(open, with.settings)) {
    actions.notify = std::move(why);
    actions.drop = true;
    return {Idle{}, std::move(actions)};
  }
  actions.send_keepalive = true;
  // From here the negotiated hold time counts, not the large one of OpenSent.
  const SessionTimers timers = armed(std::min(open.hold_time, with.settings.hold_time), with);
  return {OpenConfirm{open, timers}, std::move(actions)};
}

Step connecting(const Context& with) {
  return {Connect{retry_after(with), std::nullopt}, {.connect = true}};
}

Step opening(const Context& with) {
  return {OpenSent{with.now + open_wait}, {.send_open = true}};
}

/// RFC 4271 8.2.2, Idle: everything but a start is refused.
Step in_idle(const Idle& state, const Event& event, const Context& with) {
  return std::visit(
      Overloaded{
          [&](const Start&) { return with.settings.passive ? stay(Active{}) : connecting(with); },
          [&](const TcpConnected&) { return dropped(); },
          [&](const auto&) { return stay(state); },
      },
      event);
}

/// Connect and Active differ only in what an expired ConnectRetryTimer finds.
template <typename Waiting>
Step in_waiting(const Waiting& state, const Event& event, const Context& with) {
  return std::visit(
      Overloaded{
          [&](const Start&) { return stay(state); },
          [&](const Stop&) { return dropped(); },
          [&](const Tick&) {
            if (state.open_at && with.now >= *state.open_at) return opening(with);
            if (with.now < state.retry_at) return stay(state);
            if (with.settings.passive) return stay(Active{});
            Step again = connecting(with);
            again.actions.drop = true;  // an attempt that hangs; a new one follows
            return again;
          },
          [&](const TcpConnected&) {
            if (state.open_at) return stay(state);
            if (with.settings.delay_open == seconds{0}) return opening(with);
            const Time open_at = with.now + jittered(with.settings.delay_open, with.random);
            return stay(Waiting{Time::max(), open_at});
          },
          [&](const TcpFailed&) {
            return Step{Active{retry_after(with), std::nullopt}, {.drop = true}};
          },
          [&](const OpenReceived& theirs) {
            if (!state.open_at) return dropped();
            return confirmed(theirs.open, {.send_open = true}, with);
          },
          // RFC 4271 8.1.1 SendNOTIFICATIONwithoutOPEN is off: we have not spoken yet.
          [&](const auto&) { return dropped(); },
      },
      event);
}

/// RFC 4271 8.2.2, OpenSent: we have spoken, the peer has not.
Step in_open_sent(const OpenSent& state, const Event& event, const Context& with) {
  return std::visit(
      Overloaded{
          [&](const Start&) { return stay(state); },
          [&](const Stop& stop) { return down(stop.why); },
          [&](const Tick&) {
            return with.now < state.hold_until ? stay(state) : down({Fault::HoldTimerExpired});
          },
          [&](const TcpConnected&) { return stay(state); },
          [&](const TcpFailed&) {
            return Step{Active{retry_after(with), std::nullopt}, {.drop = true}};
          },
          [&](const OpenReceived& theirs) { return confirmed(theirs.open, {}, with); },
          [&](const Malformed& bad) { return down(bad.answer); },
          [&](const OpenCollisionDump&) { return down({Fault::ConnectionCollision}); },
          [&](const NotificationReceived&) { return told(); },
          [&](const SendHoldExpired&) { return down({Fault::SendHoldTimerExpired}); },
          [&](const auto&) { return down({Fault::UnexpectedInOpenSent}); },
      },
      event);
}

/// The part that OpenConfirm and Established share; `unexpected` is the RFC 6608 subcode of the
/// state.
template <typename Session, typename Alive>
Step in_session(Session state, const Event& event, const Context& with, Fault unexpected,
                Alive alive) {
  return std::visit(
      Overloaded{
          [&](const Start&) { return stay(state); },
          [&](const Stop& stop) { return down(stop.why); },
          [&](const Tick&) {
            if (with.now >= state.timers.hold_until) return down({Fault::HoldTimerExpired});
            if (with.now < state.timers.keepalive_at) return stay(state);
            state.timers.keepalive_at =
                with.now + jittered(Clock::duration(state.timers.hold_time) / 3, with.random);
            return Step{state, {.send_keepalive = true}};
          },
          [&](const TcpConnected&) { return stay(state); },
          [&](const TcpFailed&) { return dropped(); },
          [&](const Malformed& bad) { return down(bad.answer); },
          [&](const OpenCollisionDump&) { return down({Fault::ConnectionCollision}); },
          [&](const NotificationReceived&) { return told(); },
          [&](const SendHoldExpired&) { return down({Fault::SendHoldTimerExpired}); },
          [&](const OpenReceived&) { return down({unexpected}); },
          [&](const KeepaliveReceived& keepalive) { return alive(keepalive); },
          [&](const UpdateReceived& update) { return alive(update); },
      },
      event);
}

Step in_open_confirm(const OpenConfirm& state, const Event& event, const Context& with) {
  return in_session(
      state, event, with, Fault::UnexpectedInOpenConfirm,
      Overloaded{
          [&](const KeepaliveReceived&) {
            Established up{state.theirs, state.timers};
            heard(up.timers, with.now);
            return stay(up);
          },
          [&](const UpdateReceived&) { return down({Fault::UnexpectedInOpenConfirm}); },
      });
}

Step in_established(const Established& state, const Event& event, const Context& with) {
  return in_session(state, event, with, Fault::UnexpectedInEstablished, [&](const auto&) {
    Established alive = state;
    heard(alive.timers, with.now);
    return stay(alive);
  });
}

}  // namespace

Step step(const State& state, const Event& event, const Context& with) {
  return std::visit(Overloaded{
                        [&](const Idle& s) { return in_idle(s, event, with); },
                        [&](const Connect& s) { return in_waiting(s, event, with); },
                        [&](const Active& s) { return in_waiting(s, event, with); },
                        [&](const OpenSent& s) { return in_open_sent(s, event, with); },
                        [&](const OpenConfirm& s) { return in_open_confirm(s, event, with); },
                        [&](const Established& s) { return in_established(s, event, with); },
                    },
                    state);
}

Time deadline(const State& state) {
  const auto waiting = [](const auto& s) {
    return s.open_at ? std::min(*s.open_at, s.retry_at) : s.retry_at;
  };
  const auto session = [](const auto& s) {
    return std::min(s.timers.hold_until, s.timers.keepalive_at);
  };
  return std::visit(Overloaded{
                        [](const Idle&) { return Time::max(); },
                        [&](const Connect& s) { return waiting(s); },
                        [&](const Active& s) { return waiting(s); },
                        [](const OpenSent& s) { return s.hold_until; },
                        [&](const OpenConfirm& s) { return session(s); },
                        [&](const Established& s) { return session(s); },
                    },
                    state);
}

Clock::duration jittered(Clock::duration nominal, std::minstd_rand& random) {
  // minstd_rand yields 1..2^31-2; the top ten bits are plenty, and this is the same on every
  // platform.
  const auto thousandths = 750 + static_cast<Clock::rep>(random() >> 21) * 250 / 1023;
  return nominal / 1000 * thousandths;
}

bool has_connection(const State& state) {
  return std::visit(Overloaded{
                        [](const Idle&) { return false; },
                        [](const Connect& s) { return s.open_at.has_value(); },
                        [](const Active& s) { return s.open_at.has_value(); },
                        [](const auto&) { return true; },
                    },
                    state);
}

}  // namespace weft::bgp
