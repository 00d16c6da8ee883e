#include "bgp/peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

namespace weft::bgp {
namespace {

using std::chrono::seconds;

PeerState shown(const State& state) {
  return static_cast<PeerState>(state.index());
}

std::string_view event_name(const Event& event) {
  return std::visit(Overloaded{
                        [](const TcpFailed&) { return "connection lost"; },
                        [](const OpenReceived&) { return "OPEN refused"; },
                        [](const OpenCollisionDump&) { return "connection collision"; },
                        [](const SendHoldExpired&) { return "peer takes nothing"; },
                        [](const Tick&) { return "timer expired"; },
                        [](const auto&) { return "session ended"; },
                    },
                    event);
}

/// How a session ended with this event. `open`: our side of the connection still is.
SessionEnd end_of_session(const Event& event, const Actions& actions, bool open) {
  using By = SessionEnd::By;
  constexpr std::uint16_t tcp_connection_fails = 18;  // RFC 4271 8.1.4
  if (const auto* theirs = std::get_if<NotificationReceived>(&event))
    return {By::peer_notifying, theirs->theirs};
  if (actions.notify) return {By::us_notifying, *actions.notify};
  if (std::holds_alternative<TcpFailed>(event))
    return open ? SessionEnd{By::us, {}, tcp_connection_fails} : SessionEnd{By::peer};
  return {};
}

bool by_peer(const SessionEnd& end, EndReason reason) {
  return end.by == SessionEnd::By::peer || end.by == SessionEnd::By::peer_notifying ||
         reason == EndReason::restarted;
}

/// Did the peer break the protocol (or we its idea of it), so that coming back at once is of no
/// use?
bool is_protocol_error(const Notification& why) {
  return code(why.fault) != code(Fault::HoldTimerExpired) &&
         code(why.fault) != code(Fault::Cease) &&
         code(why.fault) != code(Fault::SendHoldTimerExpired);
}

/// RFC 8538 5.1: where the peer is meant to forget us, a plain NOTIFICATION would not make it.
Notification parting(const Notification& why, const Negotiated& negotiated) {
  const bool forget = why.fault == Fault::AdministrativeShutdown ||
                      why.fault == Fault::PeerDeconfigured || why.fault == Fault::MaximumPrefixes;
  return forget && negotiated.graceful_notification ? hard_reset(why) : why;
}

}  // namespace

SocketSetup setup_of(const PeerSettings& peer) {
  SocketSetup setup;
  const auto hops = static_cast<std::uint8_t>(peer.multihop - 1);
  // Without GTSM a single hop still gets 255: the peer may ask for it.
  setup.ttl = peer.uses_gtsm() || hops == 0 ? 255 : peer.multihop;
  setup.least_ttl = peer.uses_gtsm() ? static_cast<std::uint8_t>(255 - hops) : 0;
  setup.interface = peer.bind_interface;
  setup.password = peer.password;
  setup.tcp_ao = peer.tcp_ao;
  return setup;
}

std::string_view name(PeerState state) {
  static constexpr std::array<std::string_view, 6> names{"Idle",     "Connect",     "Active",
                                                         "OpenSent", "OpenConfirm", "Established"};
  return names[static_cast<std::size_t>(state)];
}

Peer::Peer(PeerSettings settings, Asn node_as, RouterId local_id, std::uint16_t tag,
           std::uint32_t seed, Outbox& out, Time now)
    : settings_(std::move(settings)),
      address_(settings_.is_unnumbered() ? std::nullopt : std::optional(settings_.address)),
      node_as_(node_as),
      local_as_(settings_.local_as.value_or(node_as)),
      local_id_(local_id),
      tag_(tag),
      fsm_(fsm_settings()),
      random_(seed),
      out_(out),
      shutdown_(settings_.shutdown),
      down_since_(now),
      log_budget_(log_limit, now) {
  if (!shutdown_) start_at_ = now;
}

// ---- connections

std::optional<ConnectionId> Peer::accept(const Address& local, Time now) {
  if (shutdown_ || (start_at_ && refuse_)) return std::nullopt;
  Slot* slot = free_slot();
  for (Slot& each : slots_) {
    // The newest wins over one on which the peer has said nothing: it has forgotten that one, or it
    // is not the peer.
    const bool silent = !each.outgoing && std::holds_alternative<OpenSent>(each.state);
    if (slot != nullptr || !each.in_use || !silent) continue;
    close(each, std::nullopt);
    slot = &each;
  }
  if (slot == nullptr) return std::nullopt;
  slot->in_use = true;
  slot->outgoing = false;
  slot->id = new_connection();
  slot->local = local;
  slot->state = Active{};
  slot->opened_at = slot->heard_at = now;
  const ConnectionId id = slot->id;
  feed(*slot, TcpConnected{}, "", now);
  contend(now);
  return id;
}

void Peer::opened(ConnectionId connection, const Address& local, Time now) {
  Slot* slot = find(connection);
  if (slot == nullptr || !slot->outgoing || has_connection(slot->state)) return;
  slot->local = local;
  slot->opened_at = slot->heard_at = now;
  if (session_) {  // the other connection was faster
    feed(*slot, OpenCollisionDump{}, "", now);
    return;
  }
  feed(*slot, TcpConnected{}, "", now);
  contend(now);
}

void Peer::ports(ConnectionId connection, std::uint16_t local, std::uint16_t remote) {
  Slot* slot = find(connection);
  if (slot == nullptr) return;
  slot->local_port = local;
  slot->remote_port = remote;
}

void Peer::failed(ConnectionId connection, std::string_view why, Time now) {
  Slot* slot = find(connection);
  if (slot == nullptr) return;
  const bool refused = why == std::generic_category().message(ECONNREFUSED);
  const bool silent = why == std::generic_category().message(ETIMEDOUT);
  fail_again(why, fmt::format("cannot connect: {}{}", why, silent ? reasons_for_silence() : ""),
             refused ? Telling::refusal : Telling::silence, now);
  slot->id = ConnectionId{};
  feed(*slot, TcpFailed{}, "", now);
}

void Peer::closed(ConnectionId connection, std::string_view why, Time now) {
  Slot* slot = find(connection);
  if (slot == nullptr) return;
  slot->id = ConnectionId{};  // nothing left to close
  const std::string reason =
      fmt::format("connection lost in {}: {}", name(shown(slot->state)), why);
  if (!std::holds_alternative<Established>(slot->state))
    fail(reason, Level::info, Telling::refusal, now);
  feed(*slot, TcpFailed{}, reason, now);
}

void Peer::refuse(const Notification& why, Time now) {
  Slot* slot = session_slot();
  if (slot != nullptr) feed(*slot, Malformed{parting(why, slot->negotiated)}, "", now);
}

bool Peer::hold_expiring(Time now) const {
  return session_ && std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
           const auto* up = std::get_if<Established>(&slot.state);
           return slot.in_use && up != nullptr && now >= up->timers.hold_until;
         });
}

void Peer::heard(ConnectionId connection, Time now) {
  Slot* slot = find(connection);
  if (slot == nullptr) return;
  slot->heard_at = now;
  auto* up = std::get_if<Established>(&slot->state);
  if (up != nullptr && up->timers.hold_time != seconds{0})
    up->timers.hold_until = now + up->timers.hold_time;
}

// ---- time

Time Peer::deadline() const {
  Time next = std::min(start_at_.value_or(Time::max()), unheard_at_.value_or(Time::max()));
  for (const Slot& slot : slots_) {
    if (!slot.in_use) continue;
    next = std::min(next, bgp::deadline(slot.state));
    if (slot.blocked_since && settings_.send_hold != seconds{0}) {
      next = std::min(next, *slot.blocked_since + settings_.send_hold);
    }
  }
  return next;
}

void Peer::tick(Time now) {
  if (unheard_at_ && now >= *unheard_at_) tell_unheard(now);
  if (start_at_ && now >= *start_at_) begin(now);
  for (Slot& slot : slots_) {
    if (!slot.in_use) continue;
    if (slot.blocked_since && settings_.send_hold != seconds{0} &&
        now >= *slot.blocked_since + settings_.send_hold) {
      feed(slot, SendHoldExpired{}, "", now);
      continue;
    }
    if (now < bgp::deadline(slot.state)) continue;
    auto* active = std::get_if<Active>(&slot.state);
    const Slot& second = other(slot);
    if (active != nullptr && !active->open_at && second.in_use && has_connection(second.state)) {
      // The peer's own connection is on its way: connecting now would only make a collision.
      active->retry_at = now + jittered(settings_.connect_retry, random_);
      continue;
    }
    if (slot.outgoing && std::holds_alternative<Connect>(slot.state) &&
        !has_connection(slot.state)) {
      const auto waited = std::chrono::round<seconds>(now - slot.opened_at);
      fail_again(
          "no answer",
          fmt::format("cannot connect: no answer in {} s{}", waited.count(), reasons_for_silence()),
          Telling::silence, now);
    }
    feed(slot, Tick{}, "", now);
  }
}

void Peer::begin(Time now) {
  start_at_.reset();
  refuse_ = false;
  if (session_) return;
  for (const Slot& slot : slots_) {
    if (slot.in_use && slot.outgoing) return;
  }
  Slot* slot = free_slot();
  const bool peer_connects =
      std::any_of(slots_.begin(), slots_.end(), [](const Slot& s) { return s.in_use; });
  if (slot == nullptr || (peer_connects && !settings_.passive)) {
    start_at_ = now + jittered(settings_.connect_retry, random_);
    return;
  }
  slot->in_use = true;
  slot->outgoing = true;
  slot->state = Idle{};
  expect_connection(now);
  feed(*slot, Start{}, "", now);
}

// ---- views

PeerState Peer::state() const {
  PeerState most = PeerState::idle;
  for (const Slot& slot : slots_) {
    if (slot.in_use) most = std::max(most, shown(slot.state));
  }
  return most;
}

std::size_t Peer::half_open() const {
  return static_cast<std::size_t>(std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return slot.in_use && !slot.outgoing && !slot.theirs;
  }));
}

bool Peer::is_connected() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const Slot& slot) { return slot.in_use && has_connection(slot.state); });
}

bool Peer::has_heard() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const Slot& slot) { return slot.in_use && slot.theirs; });
}

bool Peer::is_external() const {
  if (session_) return session_->external;
  if (const auto* kind = std::get_if<RemoteAs>(&settings_.remote_as))
    return *kind != RemoteAs::internal;  // a guess for automatic, until the peer has spoken
  return std::get<Asn>(settings_.remote_as) != local_as_;
}

// ---- inside

Peer::Slot* Peer::find(ConnectionId connection) {
  if (connection == ConnectionId{}) return nullptr;
  for (Slot& slot : slots_) {
    if (slot.in_use && slot.id == connection) return &slot;
  }
  return nullptr;
}

Peer::Slot* Peer::free_slot() {
  for (Slot& slot : slots_) {
    if (!slot.in_use) return &slot;
  }
  return nullptr;
}

Peer::Slot* Peer::session_slot() {
  return session_ ? find(session_->connection) : nullptr;
}

/// The one place where a state changes: everything that entering or leaving one brings is here.
void Peer::feed(Slot& slot, const Event& event, std::string_view reason, Time now) {
  const PeerState before = shown(slot.state);
  Step to = step(slot.state, event, Context{now, fsm_, random_});
  slot.state = to.next;
  const PeerState after = shown(slot.state);
  if (before == after && !to.actions.connect && !to.actions.drop && !to.actions.send_keepalive)
    return;

  const bool stopped =
      std::holds_alternative<Stop>(event) || std::holds_alternative<OpenCollisionDump>(event);
  const bool lost = slot.in_use && after < before && before >= PeerState::open_sent;
  if (lost && !std::holds_alternative<OpenCollisionDump>(event)) {
    std::string why(reason);
    if (to.actions.notify && !stopped) {
      why =
          fmt::format("sent {}{}{}", text(*to.actions.notify), reason.empty() ? "" : ": ", reason);
      if (is_protocol_error(*to.actions.notify)) refuse_ = true;
    }
    if (why.empty()) why = event_name(event);
    if (before == PeerState::established) {
      fail(fmt::format("session ended, {}", why), Level::warning, Telling::why, now);
    } else if (to.actions.notify) {
      fail(why, Level::warning, Telling::why, now);
    }
  }
  if (before == PeerState::established && after != before)
    loss_ = loss_by(slot, event, to.actions.notify);
  last_end_ = end_of_session(event, to.actions, slot.id != ConnectionId{});
  if (lost) {
    const EndReason why_ended = end_reason(event, to.actions.notify);
    ends_.count(why_ended, by_peer(last_end_, why_ended), before == PeerState::established);
  }
  carry_out(slot, to.actions, now);
  if (before == PeerState::established && after != before) {
    if (now - session_->up_since >= steady_session) failures_ = 0;
    session_.reset();
    down_since_ = now;
  }
  if (after == PeerState::established && before != after) entered_established(slot, now);
  const bool over =
      after == PeerState::idle || (after == PeerState::active && !slot.outgoing && to.actions.drop);
  if (over) ended(slot, !stopped, now);
}

Loss Peer::loss_by(const Slot& slot, const Event& event,
                   const std::optional<Notification>& sent) const {
  if (shutdown_) return Loss::hard;
  const auto* received = std::get_if<NotificationReceived>(&event);
  // Closed; or the peer came anew while its last session seemed to stand: it restarted (RFC 4724
  // 5).
  if (std::holds_alternative<OpenCollisionDump>(event) || (received == nullptr && !sent))
    return Loss::clean;
  const Notification& said = received != nullptr ? received->theirs : *sent;
  if (said.fault == Fault::HardReset || !slot.negotiated.graceful_notification) return Loss::hard;
  const bool silent = received == nullptr && (said.fault == Fault::HoldTimerExpired ||
                                              said.fault == Fault::SendHoldTimerExpired);
  return silent ? Loss::silent : Loss::clean;
}

void Peer::carry_out(Slot& slot, const Actions& actions, Time now) {
  if (actions.drop || actions.notify) {
    if (slot.id != ConnectionId{}) {
      if (actions.notify) {
        sent_.count(MessageType::notification, header_size + 2 + actions.notify->data.size());
        last_sent_ = text(*actions.notify);
      }
      std::vector<std::byte> last = std::move(slot.control);
      if (actions.notify) encode(*actions.notify, last);
      if (!actions.notify) last.clear();
      out_.actions.emplace_back(CloseConnection{slot.id, std::move(last)});
    }
    release(slot);
  }
  if (actions.connect) {
    slot.id = new_connection();
    slot.opened_at = now;
    out_.actions.emplace_back(ConnectTo{slot.id, *address_, settings_.port, settings_.source,
                                        setup_of(settings_), ifindex_});
  }
  if (actions.send_open) {
    slot.ours = our_capabilities();
    if (slot.theirs)
      slot.negotiated = negotiate(slot.ours, slot.theirs->capabilities);  // DelayOpen
    const Open open{local_as_, fsm_.hold_time, local_id_, slot.ours};
    slot.sent_open.clear();
    encode(open, slot.sent_open);
    send(slot, open);
  }
  if (actions.send_keepalive && !slot.keepalive_waits) {
    send(slot, Keepalive{});
    slot.keepalive_waits = true;
  }
}

/// The connection is gone; the state stays.
void Peer::release(Slot& slot) {
  Slot fresh;
  fresh.in_use = slot.in_use;
  fresh.outgoing = slot.outgoing;
  fresh.state = slot.state;
  slot = std::move(fresh);
}

void Peer::close(Slot& slot, const std::optional<Notification>& why) {
  CloseConnection order{slot.id};
  if (why) encode(*why, order.last);
  if (slot.id != ConnectionId{}) out_.actions.emplace_back(std::move(order));
  slot = Slot{};
}

void Peer::stop_all(const Notification& why, Time now) {
  for (Slot& slot : slots_) {
    if (!slot.in_use) continue;
    const Notification said = parting(why, slot.negotiated);
    feed(slot, Stop{said}, fmt::format("sent {}", text(said)), now);
  }
}

void Peer::entered_established(Slot& slot, Time now) {
  assert(slot.theirs);
  const auto& timers = std::get<Established>(slot.state).timers;
  session_ = Session{slot.id,          *slot.theirs,
                     slot.ours,        slot.negotiated,
                     slot.local,       slot.theirs->asn != local_as_,
                     timers.hold_time, now,
                     slot.sent_open,   slot.received_open,
                     slot.local_port,  slot.remote_port};
  ++established_count_;
  forget_failures();
  unheard_at_.reset();
  start_at_.reset();
  log(Level::info,
      fmt::format("established with {}, AS {}, router id {}, hold time {} s", address_->text(),
                  slot.theirs->asn.value, slot.theirs->id.text(), timers.hold_time.count()),
      now);
  // RFC 4271 6.8: one session; what else is under way has lost.
  Slot& second = other(slot);
  if (second.in_use) feed(second, OpenCollisionDump{}, "", now);
}

/// The slot's connection is over for good.
void Peer::ended(Slot& slot, bool damp, Time now) {
  slot = Slot{};
  const Slot& second = other(slot);
  if (shutdown_ || (second.in_use && has_connection(second.state)) || session_) return;
  if (second.in_use && second.outgoing) return;  // it waits in Connect or Active
  schedule_start(now, damp);
}

void Peer::schedule_start(Time now, bool damp) {
  if (start_at_) return;
  Clock::duration wait = settings_.idle_hold;
  if (damp) {
    const unsigned doublings = std::min(failures_, 12U);
    wait = std::max<Clock::duration>(
        wait, std::min<Clock::duration>(wait * (1U << doublings), max_idle_hold));
    ++failures_;
  }
  start_at_ = now + jittered(wait, random_);
}

/// RFC 4271 6.8 and RFC 6286 2.3. `slot` has just had its OPEN accepted.
void Peer::resolve_collision(Slot& slot, Time now) {
  Slot& second = other(slot);
  if (!second.in_use || !has_connection(second.state)) return;
  if (const auto* up = std::get_if<Established>(&second.state)) {
    // A peer that restarted without a word: the session that is left over holds its place until the
    // hold timer ends it, unless it looks dead already.
    const bool dead =
        up->timers.hold_time != seconds{0} && now - second.heard_at > up->timers.hold_time / 2;
    // RFC 4724 5: a peer in graceful restart that comes anew has lost the session before. One that
    // was under way together with it is an ordinary collision.
    const bool restarted = second.negotiated.graceful_restart && session_ &&
                           slot.opened_at > session_->up_since + silent_connection;
    if (restarted && !dead) {
      feed(second, TcpFailed{TcpFailed::Because::restarted}, "the peer came anew: it restarted",
           now);
    } else {
      feed(dead ? second : slot, OpenCollisionDump{}, "", now);
    }
    return;
  }
  if (std::holds_alternative<OpenSent>(second.state) &&
      now - second.opened_at > silent_connection) {
    feed(second, OpenCollisionDump{}, "", now);
    return;
  }
  const TheirOpen& theirs = std::get<OpenConfirm>(slot.state).theirs;
  const bool keep_ours = local_id_ != theirs.id ? local_id_ > theirs.id : local_as_ > theirs.asn;
  Slot& loser = slot.outgoing == keep_ours ? second : slot;
  feed(loser, OpenCollisionDump{}, "", now);
}

/// Two connections wait for their OPENs: neither may take long.
void Peer::contend(Time now) {
  if (!slots_[0].in_use || !slots_[1].in_use) return;
  if (!has_connection(slots_[0].state) || !has_connection(slots_[1].state)) return;
  for (Slot& slot : slots_) {
    if (auto* silent = std::get_if<OpenSent>(&slot.state)) {
      silent->hold_until = std::min(silent->hold_until, now + open_wait_contended);
    }
  }
}

FsmSettings Peer::fsm_settings() const {
  FsmSettings fsm;
  fsm.local_as = local_as_;
  fsm.local_id = local_id_;
  fsm.remote_as = settings_.remote_as;
  fsm.hold_time = settings_.hold_time;
  fsm.connect_retry = settings_.connect_retry;
  fsm.delay_open = settings_.delay_open;
  fsm.passive = settings_.passive || !address_;
  return fsm;
}

}  // namespace weft::bgp
