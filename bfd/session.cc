#include "bfd/session.h"

#include <algorithm>
#include <cassert>

namespace weft::bfd {

using std::chrono::microseconds;

Session::Session(const Terms& terms, std::uint32_t discriminator, std::uint32_t seed, Time now)
    : terms_(terms),
      discriminator_(discriminator),
      random_(seed),
      announced_tx_(std::max<microseconds>(terms.interval, slow_interval)),
      announced_rx_(terms.interval),
      tx_in_force_(announced_tx_),
      rx_in_force_(announced_rx_),
      since_(now),
      next_transmission_(now) {
  assert(discriminator != 0);
}

microseconds Session::wanted_tx() const {
  return state_ == State::up ? microseconds(terms_.interval)
                             : std::max<microseconds>(terms_.interval, slow_interval);
}

microseconds Session::transmit_interval() const {
  return std::max(tx_in_force_, remote_min_rx_);
}

microseconds Session::detection_time() const {
  return remote_multiplier_ * std::max(rx_in_force_, remote_min_tx_);
}

/// RFC 5880 6.8.7: not at a neighbour that wants none, nor at one in demand mode that is up.
bool Session::is_periodic() const {
  if (state_ == State::admin_down || remote_min_rx_ == microseconds{0}) return false;
  const bool silenced = remote_demand_ && state_ == State::up && remote_state_ == State::up;
  return !silenced || polling_;
}

Time Session::deadline() const {
  Time next = is_periodic() ? next_transmission_ : Time::max();
  if (heard_at_) next = std::min<Time>(next, *heard_at_ + detection_time());
  return next;
}

// RFC 5880 6.8.6, from "Update the Poll/Final bits" on, in its order.
void Session::received(const Packet& packet, Time now) {
  if (state_ == State::admin_down) return;
  remote_discriminator_ = packet.my_discriminator;
  remote_state_ = packet.state;
  remote_diagnostic_ = packet.diagnostic;
  remote_demand_ = packet.demand;
  remote_multiplier_ = packet.multiplier;
  remote_min_tx_ = packet.desired_min_tx;
  const bool faster = packet.required_min_rx < remote_min_rx_;
  remote_min_rx_ = packet.required_min_rx;
  heard_at_ = now;
  if (packet.final && polling_) end_poll();

  if (packet.state == State::admin_down) {
    if (state_ != State::down) enter(State::down, Diagnostic::neighbour_signalled_down, now);
  } else if (state_ == State::down) {
    if (packet.state == State::down) enter(State::init, Diagnostic::none, now);
    if (packet.state == State::init) enter(State::up, Diagnostic::none, now);
  } else if (state_ == State::init) {
    if (packet.state == State::init || packet.state == State::up)
      enter(State::up, Diagnostic::none, now);
  } else if (packet.state == State::down) {
    enter(State::down, Diagnostic::neighbour_signalled_down, now);
  }

  if (packet.poll) transmit(true);
  // A neighbour that wants packets more often than before must not wait for the old interval.
  if (!faster && next_transmission_ <= now + transmit_interval()) return;
  const Time before = next_transmission_;
  schedule(now);
  next_transmission_ = std::min(before, next_transmission_);
}

void Session::tick(Time now) {
  if (heard_at_ && now >= *heard_at_ + detection_time()) {
    const bool was_alive = state_ == State::up || state_ == State::init;
    forget_neighbour();
    if (was_alive) enter(State::down, Diagnostic::detection_time_expired, now);
  }
  if (!is_periodic() || now < next_transmission_) return;
  transmit(false);
  last_transmission_ = now;
  schedule(now);
}

void Session::apply(const Terms& terms, Time now) {
  terms_ = terms;
  renegotiate();
  next_transmission_ = std::min(next_transmission_, now);
}

void Session::shutdown(Time now) {
  enter(State::admin_down, Diagnostic::administratively_down, now);
  transmit(false);
  heard_at_.reset();
}

void Session::enter(State state, Diagnostic why, Time now) {
  const bool was_up = state_ == State::up;
  state_ = state;
  since_ = now;
  // What ended the last session stays to be read until the next is Up.
  if (why != Diagnostic::none || state == State::up) diagnostic_ = why;
  if (state == State::up) changes_.push_back({true});
  if (was_up) {
    Loss loss = Loss::signalled;
    if (why == Diagnostic::detection_time_expired) loss = Loss::silence;
    if (state == State::admin_down || remote_state_ == State::admin_down)
      loss = Loss::administrative;
    changes_.push_back({false, loss});
  }
  renegotiate();
  // The neighbour hears of it at once.
  next_transmission_ = now;
}

/// RFC 5880 6.8.3: what we announce may have to change, and a change is polled for.
void Session::renegotiate() {
  const microseconds tx = wanted_tx();
  const microseconds rx = terms_.interval;
  if (tx == announced_tx_ && rx == announced_rx_) return;
  announced_tx_ = tx;
  announced_rx_ = rx;
  const bool up = state_ == State::up;
  // The neighbour counts on the old values until it has confirmed the new ones: we may not yet
  // speak more rarely, nor yet expect more.
  tx_in_force_ = up ? std::min(tx_in_force_, tx) : tx;
  rx_in_force_ = up ? std::max(rx_in_force_, rx) : rx;
  poll_again_ = polling_;
  // With a neighbour that is not there, there is nobody to poll: each packet says it all.
  if (up) polling_ = true;
  if (!up) polling_ = poll_again_ = false;
}

void Session::end_poll() {
  polling_ = std::exchange(poll_again_, false);
  if (polling_) return;
  tx_in_force_ = announced_tx_;
  rx_in_force_ = announced_rx_;
}

/// RFC 5880 6.8.1: after a detection time of silence.
void Session::forget_neighbour() {
  heard_at_.reset();
  remote_discriminator_ = 0;
  remote_state_ = State::down;
  remote_min_rx_ = microseconds{1};
  remote_demand_ = false;
}

void Session::transmit(bool final) {
  Packet packet;
  packet.diagnostic = diagnostic_;
  packet.state = state_;
  packet.final = final;
  packet.poll = polling_ && !final;
  packet.multiplier = terms_.multiplier;
  packet.my_discriminator = discriminator_;
  packet.your_discriminator = remote_discriminator_;
  packet.desired_min_tx = announced_tx_;
  packet.required_min_rx = announced_rx_;
  packets_.push_back(packet);
}

/// RFC 5880 6.8.7: less by up to a quarter at random, and by a tenth at the least when one missing
/// packet is enough to be down.
void Session::schedule(Time now) {
  const std::int64_t most = terms_.multiplier == 1 ? 900 : 1000;
  const std::int64_t thousandths =
      750 + static_cast<std::int64_t>(random_() >> 21) * (most - 750) / 1023;
  const Clock::duration interval = transmit_interval();
  const Time from = last_transmission_ == Time::min() ? now : last_transmission_;
  next_transmission_ = std::max(now, from + interval / 1000 * thousandths);
}

}  // namespace weft::bfd
