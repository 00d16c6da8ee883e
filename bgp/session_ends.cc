#include "bgp/session_ends.h"

namespace weft::bgp {
namespace {

constexpr std::array<std::string_view, end_reasons> names{
    "connection_lost",
    "link_down",
    "restarted",
    "hold_timer",
    "send_hold_timer",
    "header_error",
    "open_error",
    "bad_peer_as",
    "unsupported_capability",
    "role_mismatch",
    "update_error",
    "fsm_error",
    "refresh_error",
    "prefix_limit",
    "shutdown",
    "deconfigured",
    "reset",
    "rejected",
    "configuration_change",
    "collision",
    "out_of_resources",
    "bfd_down",
    "cease",
    "other",
};

EndReason of_cease(Fault fault) {
  switch (fault) {
    case Fault::MaximumPrefixes:
      return EndReason::prefix_limit;
    case Fault::AdministrativeShutdown:
      return EndReason::shutdown;
    case Fault::PeerDeconfigured:
      return EndReason::deconfigured;
    case Fault::AdministrativeReset:
      return EndReason::reset;
    case Fault::ConnectionRejected:
      return EndReason::rejected;
    case Fault::OtherConfigurationChange:
      return EndReason::configuration_change;
    case Fault::ConnectionCollision:
      return EndReason::collision;
    case Fault::OutOfResources:
      return EndReason::out_of_resources;
    case Fault::BfdDown:
      return EndReason::bfd_down;
    default:
      return EndReason::cease;
  }
}

EndReason of_open_error(Fault fault) {
  switch (fault) {
    case Fault::BadPeerAs:
      return EndReason::bad_peer_as;
    case Fault::UnsupportedCapability:
      return EndReason::unsupported_capability;
    case Fault::RoleMismatch:
      return EndReason::role_mismatch;
    default:
      return EndReason::open_error;
  }
}

}  // namespace

std::string_view name(EndReason reason) {
  return names[static_cast<std::size_t>(reason)];
}

EndReason end_reason(const Notification& why) {
  const Fault fault = hard_reset_reason(why).value_or(why).fault;
  switch (code(fault)) {
    case 1:
      return EndReason::header_error;
    case 2:
      return of_open_error(fault);
    case 3:
      return EndReason::update_error;
    case 4:
      return EndReason::hold_timer;
    case 5:
      return EndReason::fsm_error;
    case 6:
      return of_cease(fault);
    case 7:
      return EndReason::refresh_error;
    case 8:
      return EndReason::send_hold_timer;
    default:
      return EndReason::other;
  }
}

EndReason end_reason(const Event& event, const std::optional<Notification>& sent) {
  if (const auto* theirs = std::get_if<NotificationReceived>(&event))
    return end_reason(theirs->theirs);
  if (std::holds_alternative<OpenCollisionDump>(event)) return EndReason::collision;
  if (sent) return end_reason(*sent);
  const auto* lost = std::get_if<TcpFailed>(&event);
  if (lost == nullptr) return EndReason::other;
  switch (lost->because) {
    case TcpFailed::Because::link_down:
      return EndReason::link_down;
    case TcpFailed::Because::restarted:
      return EndReason::restarted;
    case TcpFailed::Because::lost:
      break;
  }
  return EndReason::connection_lost;
}

std::vector<EndCount> SessionEnds::all() const {
  std::vector<EndCount> found;
  for (const bool established : {true, false}) {
    for (std::size_t reason = 0; reason < end_reasons; ++reason) {
      for (const bool by_peer : {false, true}) {
        const std::uint64_t count = counts_[reason][by_peer ? 1 : 0][established ? 1 : 0];
        if (count != 0)
          found.push_back({static_cast<EndReason>(reason), by_peer, established, count});
      }
    }
  }
  return found;
}

}  // namespace weft::bgp
