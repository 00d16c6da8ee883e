#include "bgp/monitoring.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "bgp/attributes.h"
#include "bgp/message.h"
#include "bgp/update.h"

namespace weft::bgp {

namespace {

using std::chrono::microseconds;

/// What a station is told of the end of a session.
bmp::PeerDown peer_down_of(const SessionEnd& end) {
  Notification notification = end.notification;
  // No more than a plain message holds, for it is kept until the station has taken it.
  notification.data.resize(std::min(notification.data.size(), max_message_size - header_size - 2));
  switch (end.by) {
    case SessionEnd::By::us_notifying:
      return bmp::LocalNotification{std::move(notification)};
    case SessionEnd::By::peer_notifying:
      return bmp::RemoteNotification{std::move(notification)};
    case SessionEnd::By::peer:
      return bmp::RemoteEnd{};
    case SessionEnd::By::us:
      break;
  }
  return bmp::LocalEnd{end.event};
}

/// RFC 9069 5.1: the Loc-RIB as if it were a session with ourselves.
MonitoredPeer loc_rib_of(Asn asn, RouterId id, microseconds timestamp) {
  Capabilities ours;
  ours.families = {unicast(Family::ipv4), unicast(Family::ipv6)};
  ours.four_octet_as = asn;
  ours.extended_message = true;
  ours.extended_next_hops.push_back({unicast(Family::ipv4), 2});
  MonitoredPeer made;
  made.header.type = bmp::PeerType::loc_rib;
  made.header.asn = asn;
  made.header.id = id;
  made.header.timestamp = timestamp;
  encode(Open{asn, {}, id, ours}, made.up.sent_open);
  made.up.received_open = made.up.sent_open;
  made.negotiated = negotiate(ours, ours);
  return made;
}

/// Calls `each` with every route of one of our own messages and whether it is withdrawn.
template <typename Each>
void for_each_route(Bytes message, const Negotiated& negotiated, Each each) {
  const auto go_through = [&](AfiSafi family, Bytes nlri, bool withdrawn) {
    const NegotiatedFamily* terms = negotiated.find(family);
    if (terms == nullptr) return;
    const Family of = family == unicast(Family::ipv4) ? Family::ipv4 : Family::ipv6;
    for (const Nlri& route : NlriRange{of, terms->add_path_send, nlri}) each(route, withdrawn);
  };
  Reader from_type(message.subspan(header_size - 1));
  if (MessageType{from_type.u8()} != MessageType::update) return;
  const auto fields = split_update(from_type.rest());
  if (!fields) return;
  go_through(unicast(Family::ipv4), fields->withdrawn, true);
  go_through(unicast(Family::ipv4), fields->nlri, false);
  for (Reader in(fields->attributes); !in.empty() && in.ok();) {
    const std::uint8_t flags = in.u8();
    const AttributeType type{in.u8()};
    Reader value = in.sub((flags & flag::extended_length) != 0 ? in.u16() : in.u8());
    const bool reach = type == AttributeType::mp_reach_nlri;
    if (!reach && type != AttributeType::mp_unreach_nlri) continue;
    AfiSafi family;
    family.afi = value.u16();
    family.safi = value.u8();
    if (reach) {
      value.take(value.u8());
      value.u8();
    }
    go_through(family, value.rest(), !reach);
  }
}

}  // namespace

std::string_view name(StationState state) {
  static constexpr std::array<std::string_view, 3> names{"waiting", "connecting", "up"};
  return names[static_cast<std::size_t>(state)];
}

std::string_view name(BmpView view) {
  static constexpr std::array<std::string_view, bmp_views> names{"pre-policy", "post-policy",
                                                                 "adj-rib-out", "loc-rib"};
  return names[static_cast<std::size_t>(view)];
}

Monitoring::Monitoring(BmpSettings settings, std::uint32_t seed, Outbox& out, Time now,
                       MonitoringLimits limits)
    : limits_(limits), out_(out), random_(seed) {
  apply(std::move(settings), now);
}

microseconds Monitoring::unix_time(Time now) const {
  if (!epoch_) return {};
  return *epoch_ + std::chrono::duration_cast<microseconds>(now.time_since_epoch());
}

// What is monitored.

void Monitoring::attach(Rib& rib, const AdjOut& adj_out, Asn asn, RouterId id, Time now) {
  rib_ = &rib;
  monitored_.rib = &rib;
  monitored_.adj_out = &adj_out;
  monitored_.peers.insert_or_assign(PeerId::local, loc_rib_of(asn, id, unix_time(now)));
  for (const auto& link : links_) link->feed.peer_up(PeerId::local);
  follow();
}

/// The tables need to say what happens only where somebody listens.
void Monitoring::follow() {
  const auto up = [](const auto& link) { return link->state == StationState::up; };
  rib_->watch(std::any_of(links_.begin(), links_.end(), up) ? this : nullptr);
  follows_updates_ = std::any_of(links_.begin(), links_.end(), [&](const auto& link) {
    return up(link) && link->feed.monitors(BmpView::adj_rib_out);
  });
}

void Monitoring::peer_up(PeerId peer, const Session& session, const Address& address,
                         std::uint32_t ifindex, Time now) {
  MonitoredPeer made;
  made.header.address = address;
  if (address.is_v6() && address.is_link_local()) {
    made.header.type = bmp::PeerType::local_instance;
    made.header.distinguisher = ifindex;
  }
  made.header.asn = session.theirs.asn;
  made.header.id = session.theirs.id;
  made.header.timestamp = unix_time(now);
  made.up = {session.local, session.local_port, session.remote_port, session.sent_open,
             session.received_open};
  made.negotiated = session.negotiated;
  monitored_.peers.insert_or_assign(peer, std::move(made));
  for (const auto& link : links_) link->feed.peer_up(peer);
}

void Monitoring::peer_down(PeerId peer, const SessionEnd& why) {
  if (monitored_.peers.erase(peer) == 0) return;
  const bmp::PeerDown told = peer_down_of(why);
  for (const auto& link : links_) link->feed.peer_down(peer, told);
}

void Monitoring::path_changed(const PathChange& change) {
  for (const auto& link : links_) link->feed.path_changed(change);
}

void Monitoring::best_changed(Family family, NetId net, bool had, bool has) {
  for (const auto& link : links_) link->feed.best_changed(family, net, had, has);
}

void Monitoring::told_peer(PeerId peer, Bytes messages) {
  const auto known = monitored_.peers.find(peer);
  if (!follows_updates_ || known == monitored_.peers.end()) return;
  const auto caught_up = monitored_.adj_out->caught_up(peer);
  while (!messages.empty()) {  // our own: their lengths can be trusted
    const std::size_t size = Reader(messages.subspan(header_size - 3)).u16();
    for_each_route(messages.first(size), known->second.negotiated,
                   [&](const Nlri& route, bool withdrawn) {
                     // All of a peer that is behind is told once it is no longer.
                     if (!withdrawn && !caught_up) return;
                     for (const auto& link : links_) link->feed.told_peer(peer, route, withdrawn);
                   });
    messages = messages.subspan(size);
  }
  if (caught_up && caught_up != known->second.caught_up) {
    known->second.caught_up = caught_up;
    for (const auto& link : links_) link->feed.caught_up(peer);
  }
  advance();
}

// Connections.

Monitoring::Link* Monitoring::find(ConnectionId connection) {
  if (connection == ConnectionId{}) return nullptr;
  for (const auto& link : links_) {
    if (link->connection == connection) return link.get();
  }
  return nullptr;
}

void Monitoring::say(Link& link, Level level, std::string_view text, Time now) {
  std::string line =
      link.log.admit(fmt::format("BMP station {}: {}", link.settings.name, text), now);
  if (!line.empty()) out_.log.push_back({level, std::move(line)});
}

void Monitoring::connect(Link& link, Time now) {
  link.state = StationState::connecting;
  link.since = now;
  link.connection = {++out_.last_connection << 16};
  ConnectTo order;
  order.connection = link.connection;
  order.remote = link.settings.address;
  order.port = link.settings.port;
  order.source = link.settings.source;
  order.setup.ttl = 64;
  order.setup.least_ttl = 0;
  out_.actions.emplace_back(std::move(order));
}

void Monitoring::opened(ConnectionId connection, Time now) {
  Link* link = find(connection);
  if (link == nullptr || link->state != StationState::connecting) return;
  link->state = StationState::up;
  link->since = now;
  link->next = now + link->settings.statistics_interval;
  link->announced = false;
  link->blocked_since.reset();
  ++link->connections;
  link->feed.begin();
  follow();
  say(*link, Level::info,
      fmt::format("connected to {} port {}", link->settings.address.text(), link->settings.port),
      now);
}

void Monitoring::failed(ConnectionId connection, std::string_view why, Time now) {
  Link* link = find(connection);
  if (link != nullptr) lost(*link, fmt::format("cannot connect: {}", why), now);
}

void Monitoring::closed(ConnectionId connection, std::string_view why, Time now) {
  Link* link = find(connection);
  if (link != nullptr) lost(*link, fmt::format("connection lost: {}", why), now);
}

void Monitoring::lost(Link& link, std::string_view why, Time now) {
  const bool was_up = link.state == StationState::up;
  const bool steady = was_up && now - link.since >= steady_station;
  const Clock::duration first = link.settings.connect_retry;
  link.wait = steady || link.wait == Clock::duration{0}
                  ? first
                  : std::clamp<Clock::duration>(link.wait * 2, first, max_station_wait);
  link.last_error = why;
  // The second attempt to reach one that is away is no news.
  say(link, was_up ? Level::warning : Level::debug, why, now);
  link.state = StationState::waiting;
  link.connection = ConnectionId{};
  link.since = now;
  link.next = now + jittered(link.wait, random_);
  link.feed.end();
  follow();
}

void Monitoring::close(Link& link, bmp::TerminationReason reason, std::string_view text) {
  if (link.connection == ConnectionId{}) return;
  CloseConnection order{link.connection};
  if (link.state == StationState::up) bmp::encode_termination(reason, text, order.last);
  out_.actions.emplace_back(std::move(order));
  link.connection = ConnectionId{};
}

void Monitoring::produce(ConnectionId connection, std::vector<std::byte>& out, Time now) {
  Link* link = find(connection);
  if (link == nullptr || link->state != StationState::up) return;
  const std::size_t before = out.size();
  link->announced = false;
  link->feed.produce(limits_.output, unix_time(now), out);
  if (out.size() != before) {
    if (!link->blocked_since) link->blocked_since = now;
  } else if (link->feed.pending()) {
    // More work than one turn may do.
    link->announced = true;
    out_.actions.emplace_back(OutputReady{connection});
  }
}

void Monitoring::sent(ConnectionId connection, bool all, Time now) {
  Link* link = find(connection);
  if (link != nullptr) link->blocked_since = all ? std::nullopt : std::optional(now);
}

// Time.

Time Monitoring::deadline() const {
  Time next = Time::max();
  for (const auto& link : links_) {
    const bool reports = link->settings.statistics_interval != std::chrono::seconds{0};
    if (link->state == StationState::waiting || (link->state == StationState::up && reports))
      next = std::min(next, link->next);
    if (link->blocked_since) next = std::min(next, *link->blocked_since + station_patience);
  }
  return next;
}

void Monitoring::tick(Time now) {
  for (const auto& each : links_) {
    Link& link = *each;
    if (link.state == StationState::waiting && now >= link.next) {
      connect(link, now);
    } else if (link.state == StationState::up) {
      if (link.blocked_since && now >= *link.blocked_since + station_patience) {
        // The words of farewell would wait with the rest.
        out_.actions.emplace_back(CloseConnection{link.connection});
        lost(link, "it takes nothing any more", now);
        continue;
      }
      const auto interval = link.settings.statistics_interval;
      if (interval == std::chrono::seconds{0} || now < link.next) continue;
      link.next = now + interval;
      link.feed.report();
    }
  }
}

void Monitoring::advance() {
  for (const auto& link : links_) {
    if (link->state != StationState::up || link->announced || !link->feed.pending()) continue;
    link->announced = true;
    out_.actions.emplace_back(OutputReady{link->connection});
  }
}

// Settings.

void Monitoring::apply(BmpSettings settings, Time now) {
  const bool renamed = settings.system_name != settings_.system_name ||
                       settings.system_description != settings_.system_description;
  const auto wanted = [&](const Link& link) {
    return !renamed && std::find(settings.stations.begin(), settings.stations.end(),
                                 link.settings) != settings.stations.end();
  };
  for (const auto& link : links_) {
    if (!wanted(*link)) close(*link, bmp::TerminationReason::administrative, "");
  }
  std::erase_if(links_, [&](const auto& link) { return !wanted(*link); });
  settings_ = std::move(settings);
  monitored_.system_name = settings_.system_name;
  monitored_.system_description = settings_.system_description;
  for (const BmpStation& station : settings_.stations) {
    const bool known = std::any_of(links_.begin(), links_.end(),
                                   [&](const auto& link) { return link->settings == station; });
    if (!known) links_.push_back(std::make_unique<Link>(station, monitored_, limits_.changes, now));
  }
  if (rib_ != nullptr) follow();
}

void Monitoring::stop() {
  for (const auto& link : links_) {
    close(*link, bmp::TerminationReason::administrative, "weftd stops");
    link->feed.end();
    link->state = StationState::waiting;
    link->next = Time::max();
  }
}

std::vector<StationStatus> Monitoring::status() const {
  std::vector<StationStatus> all;
  for (const auto& link : links_) {
    StationStatus shown;
    shown.name = link->settings.name;
    shown.address = link->settings.address;
    shown.port = link->settings.port;
    shown.monitor = link->settings.monitor;
    shown.state = link->state;
    shown.since = link->since;
    if (link->state == StationState::waiting) shown.next_attempt = link->next;
    shown.last_error = link->last_error;
    shown.connections = link->connections;
    shown.counts = link->feed.counts();
    shown.peers = link->feed.peers();
    shown.changes = link->feed.changes();
    shown.walking = link->feed.walking();
    shown.memory = link->feed.memory();
    all.push_back(std::move(shown));
  }
  return all;
}

}  // namespace weft::bgp
