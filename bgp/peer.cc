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

/// The NOTIFICATION does not say what is wrong in them.
std::string unreadable_parameters(Bytes open) {
  constexpr std::size_t before_them = 9;  // RFC 4271 4.2
  constexpr std::size_t most = 64;
  assert(open.size() > before_them);  // or the message is too short for its type
  const Bytes all = open.subspan(before_them);
  std::string text = "its optional parameters cannot be read: ";
  for (const std::byte octet : all.first(std::min(all.size(), most)))
    text += fmt::format("{:02x}", std::to_integer<unsigned>(octet));
  return all.size() > most ? text + "..." : text;
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

void MessageCounts::count(MessageType type, std::size_t size) {
  octets += size;
  switch (type) {
    case MessageType::open:
      ++open;
      break;
    case MessageType::update:
      ++update;
      break;
    case MessageType::notification:
      ++notification;
      break;
    case MessageType::keepalive:
      ++keepalive;
      break;
    case MessageType::route_refresh:
      ++route_refresh;
      break;
  }
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

void Peer::received(ConnectionId connection, Bytes bytes, Time now) {
  Slot* slot = find(connection);
  if (slot == nullptr) return;
  slot->heard_at = now;
  reading_ = connection;
  if (slot->partial.empty()) {
    fresh_ = bytes;
    return;
  }
  joined_.swap(slot->partial);
  slot->partial.clear();
  joined_.insert(joined_.end(), bytes.begin(), bytes.end());
  fresh_ = joined_;
}

std::optional<Frame> Peer::next(Time now) {
  for (;;) {
    Slot* slot = find(reading_);
    if (slot == nullptr) break;
    const bool up = std::holds_alternative<Established>(slot->state);
    const auto frame = next_message(fresh_, up ? slot->negotiated.max_receive : max_message_size);
    if (!frame) {
      feed(*slot, Malformed{frame.error()}, "", now);
      break;
    }
    if (!*frame) {
      slot->partial.assign(fresh_.begin(), fresh_.end());
      break;
    }
    const Frame& message = **frame;
    fresh_ = fresh_.subspan(message.size());
    received_.count(message.type, message.size());
    const bool routes =
        message.type == MessageType::update || message.type == MessageType::route_refresh;
    if (!routes) {
      handle(*slot, message, now);
      continue;
    }
    feed(*slot, UpdateReceived{}, "", now);
    if (up) return message;
  }
  fresh_ = {};
  reading_ = ConnectionId{};
  joined_.clear();
  return std::nullopt;
}

void Peer::handle(Slot& slot, const Frame& frame, Time now) {
  switch (frame.type) {
    case MessageType::open:
      return handle_open(slot, frame, now);
    case MessageType::notification:
      return handle_notification(slot, frame, now);
    case MessageType::keepalive:
      return feed(slot, KeepaliveReceived{}, "", now);
    case MessageType::update:
    case MessageType::route_refresh:
      return;
  }
}

void Peer::handle_open(Slot& slot, const Frame& frame, Time now) {
  auto open = decode_open(frame.body());
  if (!open) {
    const bool unspecific = open.error().fault == Fault::OpenMalformed;
    return feed(slot, Malformed{open.error()},
                unspecific ? unreadable_parameters(frame.body()) : "", now);
  }
  if (!std::holds_alternative<OpenSent>(slot.state)) {
    // DelayOpen, or out of place; the machine knows.
    if (!slot.theirs) {
      slot.theirs = *open;
      slot.received_open.assign(frame.message.begin(), frame.message.end());
    }
    return feed(slot, OpenReceived{{open->asn, open->id, open->hold_time}}, "", now);
  }
  slot.negotiated = negotiate(slot.ours, open->capabilities);
  slot.theirs = *open;
  slot.received_open.assign(frame.message.begin(), frame.message.end());
  const TheirOpen theirs{open->asn, open->id, open->hold_time};
  if (const std::string why = role_fault(*open); !why.empty()) {
    return feed(slot, Malformed{{Fault::RoleMismatch}}, why, now);
  }
  if (slot.negotiated.families.empty()) {
    // RFC 5492 5: the data says what we could not do without.
    Capabilities wanted;
    wanted.families = slot.ours.families;
    return feed(slot, Malformed{{Fault::UnsupportedCapability, encode_capabilities(wanted)}},
                "no address family in common", now);
  }
  const ConnectionId id = slot.id;
  feed(slot, OpenReceived{theirs},
       fmt::format("peer says AS {}, router id {}, hold time {} s", theirs.asn.value,
                   theirs.id.text(), theirs.hold_time.count()),
       now);
  if (slot.id == id && std::holds_alternative<OpenConfirm>(slot.state))
    resolve_collision(slot, now);
}

/// RFC 9234 4.2: empty when the roles fit, or are not spoken of.
std::string Peer::role_fault(const Open& open) const {
  if (!settings_.role || open.asn == local_as_) return {};
  const auto& theirs = open.capabilities.role;
  if (!theirs && settings_.role_strict) {
    return fmt::format("the peer says no role, we are its {}", name(*settings_.role));
  }
  if (!theirs || roles_fit(*settings_.role, *theirs)) return {};
  return fmt::format("the peer says that it is our {}, we are its {}", name(*theirs),
                     name(*settings_.role));
}

void Peer::handle_notification(Slot& slot, const Frame& frame, Time now) {
  const Notification theirs = decode_notification(frame.body());
  last_received_ = text(theirs);
  const std::string reason = fmt::format("received {}", last_received_);
  if (!std::holds_alternative<Established>(slot.state))
    fail(reason, Level::warning, Telling::why, now);
  feed(slot, NotificationReceived{theirs}, reason, now);
}

void Peer::refuse(const Notification& why, Time now) {
  Slot* slot = session_slot();
  if (slot != nullptr) feed(*slot, Malformed{parting(why, slot->negotiated)}, "", now);
}

void Peer::produce(ConnectionId connection, std::vector<std::byte>& out) {
  Slot* slot = find(connection);
  if (slot == nullptr) return;
  out.insert(out.end(), slot->control.begin(), slot->control.end());
  slot->control.clear();
  slot->keepalive_waits = false;
}

void Peer::producing(ConnectionId connection, Time now) {
  Slot* slot = find(connection);
  if (slot != nullptr && !slot->blocked_since) slot->blocked_since = now;
}

void Peer::sent(ConnectionId connection, bool all, Time now) {
  Slot* slot = find(connection);
  if (slot == nullptr) return;
  slot->blocked_since = all ? std::nullopt : std::optional(now);
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

// ---- operators

void Peer::start(Time now) {
  if (shutdown_) down_since_ = now;
  shutdown_ = false;
  failures_ = 0;
  forget_failures();
  if (state() == PeerState::idle) start_at_ = now;
}

void Peer::shutdown(Fault fault, std::string_view text, Time now) {
  shutdown_ = true;
  stop_all(cease(fault, text), now);
  start_at_.reset();
}

void Peer::reset(Fault fault, std::string_view text, Time now) {
  stop_all(cease(fault, text), now);
  forget_failures();
  if (!shutdown_) {
    failures_ = 0;
    refuse_ = false;
    start_at_ = now + jittered(settings_.idle_hold, random_);
  }
}

void Peer::hold_down(std::chrono::seconds wait, Time now) {
  if (wait == std::chrono::seconds{0}) {
    shutdown_ = true;
    start_at_.reset();
    return;
  }
  refuse_ = true;
  start_at_ = now + wait;
}

void Peer::lose_session(std::string_view why, Time now) {
  Slot* slot = session_slot();
  if (slot == nullptr) return;
  feed(*slot, TcpFailed{TcpFailed::Because::link_down}, why, now);
  loss_ = Loss::silent;  // what carried it may take the peer's forwarding with it
}

void Peer::lose_path(std::string_view why, Time now) {
  const Notification down{Fault::BfdDown};
  Slot* slot = session_slot();
  if (slot == nullptr) return;
  feed(*slot, Stop{down}, fmt::format("{}, sent {}", why, text(down)), now);
  if (loss_ == Loss::clean) loss_ = Loss::silent;
}

void Peer::abandon(Time now) {
  shutdown_ = true;
  start_at_.reset();
  for (Slot& slot : slots_) {
    if (slot.in_use) close(slot, std::nullopt);
  }
  last_end_ = {};
  if (session_) down_since_ = now;
  session_.reset();
}

void Peer::stop_all(const Notification& why, Time now) {
  for (Slot& slot : slots_) {
    if (!slot.in_use) continue;
    const Notification said = parting(why, slot.negotiated);
    feed(slot, Stop{said}, fmt::format("sent {}", text(said)), now);
  }
}

bool Peer::needs_reset(const PeerSettings& running, const PeerSettings& wanted) {
  PeerSettings softened = wanted;
  softened.name = running.name;
  softened.description = running.description;
  softened.shutdown = running.shutdown;
  softened.connect_retry = running.connect_retry;
  softened.idle_hold = running.idle_hold;
  softened.send_hold = running.send_hold;
  softened.stale_time = running.stale_time;
  softened.import_filter = running.import_filter;
  softened.export_filter = running.export_filter;
  softened.prefix_limit = running.prefix_limit;
  softened.bfd = running.bfd;
  softened.accepted_prefix_limit = running.accepted_prefix_limit;
  softened.prefix_limit_action = running.prefix_limit_action;
  softened.prefix_limit_restart = running.prefix_limit_restart;
  softened.graceful_shutdown = running.graceful_shutdown;
  softened.blackhole = running.blackhole;
  softened.default_originate = running.default_originate;
  softened.unsuppress = running.unsuppress;
  softened.range_name = running.range_name;
  softened.table = running.table;
  softened.metric = running.metric;
  softened.delay_open = running.delay_open;
  softened.range_limit = running.range_limit;
  // Another key is taken over by the running connection; with or without one are two things.
  if (running.password && wanted.password) softened.password = running.password;
  softened.password_file = running.password_file;
  return softened != running;
}

void Peer::apply(const PeerSettings& settings) {
  settings_ = settings;
  local_as_ = settings_.local_as.value_or(node_as_);
  fsm_ = fsm_settings();
}

void Peer::announce_restart(bool restarting, const std::array<bool, 2>& forwarding) {
  restarting_ = restarting;
  forwarding_ = forwarding;
}

void Peer::lives_at(const std::optional<Address>& address, std::uint32_t ifindex, Time now) {
  if (address == address_ && ifindex == ifindex_) return;
  address_ = address;
  ifindex_ = ifindex;
  unheard_at_.reset();
  if (!address && ifindex != 0) unheard_at_ = now + advertisement_wait;
  expect_connection(now);
  fsm_ = fsm_settings();
  for (Slot& slot : slots_) {
    if (!slot.in_use || std::holds_alternative<Established>(slot.state)) continue;
    // What began where it was before is of no use. Failing it leads to Active, or to nothing.
    const bool begun = has_connection(slot.state) || std::holds_alternative<Connect>(slot.state);
    if (begun) feed(slot, TcpFailed{TcpFailed::Because::link_down}, "", now);
    if (!slot.in_use || !slot.outgoing) continue;
    auto* active = std::get_if<Active>(&slot.state);
    if (active != nullptr) active->retry_at = settings_.passive || !address ? Time::max() : now;
  }
}

void Peer::link_fault(std::string_view why, Time now) {
  if (link_fault_ == why) return;
  link_fault_ = why;
  unheard_at_.reset();
  if (!address_) unheard_at_ = now + (why.empty() ? advertisement_wait : link_wait);
}

void Peer::tell_unheard(Time now) {
  unheard_at_.reset();
  if (shutdown_ || session_) return;
  if (address_) {
    if (is_connected()) return;
    return fail_again(
        "waited for",
        fmt::format("no connection from {} in {} s, and we are passive: does the peer "
                    "connect to us, or does it wait, too?{}",
                    address_->text(), passive_wait.count(), reasons_for_silence()),
        Telling::silence, now);
  }
  if (link_fault_.empty()) {
    return fail_again("unheard",
                      fmt::format("no router advertisement heard on {} in {} s",
                                  settings_.interface, advertisement_wait.count()),
                      Telling::silence, now);
  }
  // The session may have ended with these words.
  if (!last_error_.ends_with(link_fault_))
    fail_again(link_fault_, link_fault_, Telling::silence, now);
}

void Peer::expect_connection(Time now) {
  // Who comes from a range is expected by nobody.
  if (settings_.passive && address_ && !settings_.is_dynamic()) unheard_at_ = now + passive_wait;
}

bool Peer::request_refresh(AfiSafi family) {
  Slot* slot = session_slot();
  if (slot == nullptr || !slot->negotiated.route_refresh) return false;
  send(*slot, RouteRefresh{family});
  return true;
}

void Peer::output_ready() {
  if (session_) out_.actions.emplace_back(OutputReady{session_->connection});
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

void Peer::log(Level level, std::string_view text, Time now) {
  std::string line = log_budget_.admit(fmt::format("peer {}: {}", settings_.name, text), now);
  if (!line.empty() && settings_.range) {
    LogBudget& together =
        out_.range_logs.try_emplace(*settings_.range, range_log_limit, now).first->second;
    line = together.admit(line, now);
  }
  if (!line.empty()) out_.log.push_back({level, std::move(line)});
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

void Peer::send(Slot& slot, const Message& message) {
  const std::size_t before = slot.control.size();
  encode(message, slot.control);
  const std::size_t size = slot.control.size() - before;
  sent_.count(std::visit(Overloaded{
                             [](const Open&) { return MessageType::open; },
                             [](const Keepalive&) { return MessageType::keepalive; },
                             [](const Notification&) { return MessageType::notification; },
                             [](const RouteRefresh&) { return MessageType::route_refresh; },
                         },
                         message),
              size);
  out_.actions.emplace_back(OutputReady{slot.id});
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

void Peer::fail(std::string_view reason, Level level, Telling telling, Time now) {
  log(level, reason, now);
  if (telling < telling_) {
    last_attempt_ = reason;
    last_attempt_at_ = now;
    return;
  }
  telling_ = telling;
  last_error_ = reason;
  last_error_at_ = now;
  last_attempt_.clear();
}

/// An attempt is made every few seconds, for as long as the peer is away: each reason is logged
/// once.
void Peer::fail_again(std::string_view why, std::string_view text, Telling telling, Time now) {
  const bool known = std::find(reasons_.begin(), reasons_.end(), why) != reasons_.end();
  const bool is_new = !known && reasons_.size() < max_reasons;
  if (is_new) reasons_.emplace_back(why);
  fail(text, is_new ? Level::info : Level::debug, telling, now);
}

std::string Peer::reasons_for_silence() const {
  std::string text;
  if (settings_.password) text += "; TCP MD5 is on: is the key the same there?";
  if (!settings_.tcp_ao.empty()) text += "; TCP-AO is on: are the keys the same there?";
  if (!settings_.uses_gtsm()) return text;
  // The kernel drops a refusal too, which has the TTL of any other packet.
  const unsigned least = setup_of(settings_).least_ttl;
  return text + (least == 255 ? "; ttl 255 is asked for (gtsm): does BGP run there, is the peer "
                                "directly connected, and does it send so?"
                              : fmt::format("; ttl {} or more is asked for (gtsm): does BGP run "
                                            "there, is the peer that near, and does it send 255?",
                                            least));
}

/// The last error stays to be read, but whatever comes next counts for more.
void Peer::forget_failures() {
  telling_ = Telling::silence;
  last_attempt_.clear();
  reasons_.clear();
}

Capabilities Peer::our_capabilities() const {
  Capabilities ours;
  for (const Family family : settings_.families) ours.families.push_back(unicast(family));
  for (const Family family : settings_.families) {
    const auto& receive = settings_.add_path_receive;
    const AddPath both{unicast(family),
                       std::find(receive.begin(), receive.end(), family) != receive.end(),
                       settings_.add_path_send.contains(family)};
    if (both.receive || both.send) ours.add_paths.push_back(both);
  }
  ours.route_refresh = true;
  ours.enhanced_route_refresh = true;
  ours.extended_message = settings_.extended_messages;
  ours.four_octet_as = local_as_;
  ours.role = settings_.role;
  ours.graceful_restart = our_restart();
  const bool has_ipv4 = std::find(settings_.families.begin(), settings_.families.end(),
                                  Family::ipv4) != settings_.families.end();
  if (settings_.long_lived_stale_time != seconds{0} && ours.graceful_restart) {
    for (const Family family : settings_.families) {
      const bool forwarding = forwarding_[family == Family::ipv4 ? 0 : 1];
      ours.long_lived.push_back({unicast(family), forwarding, settings_.long_lived_stale_time});
    }
  }
  // RFC 8950: without an IPv4 address on the link, IPv4 routes have IPv6 next hops.
  if ((settings_.is_unnumbered() || settings_.address.is_v6()) && has_ipv4)
    ours.extended_next_hops.push_back({unicast(Family::ipv4), 2});
  return ours;
}

std::optional<GracefulRestart> Peer::our_restart() const {
  if (settings_.graceful_restart == GracefulRestartMode::off) return std::nullopt;
  GracefulRestart ours;
  ours.notification = true;
  // Without a family: we keep nothing over a restart, but help, and send and want End-of-RIB (RFC
  // 4724 3).
  if (settings_.graceful_restart == GracefulRestartMode::helper) return ours;
  ours.restarting = restarting_;
  ours.restart_time = settings_.restart_time;
  for (const Family family : settings_.families)
    ours.families.push_back({unicast(family), forwarding_[family == Family::ipv4 ? 0 : 1]});
  return ours;
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
