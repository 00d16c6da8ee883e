// Of Peer: what the other end says and what it is told, but for UPDATEs.
#include "bgp/peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace weft::bgp {
namespace {

using std::chrono::seconds;

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

}  // namespace

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

void Peer::output_ready() {
  if (session_) out_.actions.emplace_back(OutputReady{session_->connection});
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

bool Peer::request_refresh(AfiSafi family) {
  Slot* slot = session_slot();
  if (slot == nullptr || !slot->negotiated.route_refresh) return false;
  send(*slot, RouteRefresh{family});
  return true;
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

}  // namespace weft::bgp
