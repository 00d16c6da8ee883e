// Of Peer: what operators and links want of it, and what operators are told when it is down.
#include "bgp/peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weft::bgp {

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

// ---- what operators are told

void Peer::expect_connection(Time now) {
  // Who comes from a range is expected by nobody.
  if (settings_.passive && address_ && !settings_.is_dynamic()) unheard_at_ = now + passive_wait;
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

void Peer::log(Level level, std::string_view text, Time now) {
  std::string line = log_budget_.admit(fmt::format("peer {}: {}", settings_.name, text), now);
  if (!line.empty() && settings_.range) {
    LogBudget& together =
        out_.range_logs.try_emplace(*settings_.range, range_log_limit, now).first->second;
    line = together.admit(line, now);
  }
  if (!line.empty()) out_.log.push_back({level, std::move(line)});
}

}  // namespace weft::bgp
