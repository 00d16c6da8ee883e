#include "bgp/speaker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "bgp/message.h"
#include "bgp/ranges.h"
#include "bgp/speaker_world.h"

namespace weft::bgp {
namespace {

/// Lines a minute about connections that belong to no peer; and about the table as a whole.
constexpr unsigned stranger_log_limit = 6;

}  // namespace

Speaker::World::World(Settings wanted, std::uint64_t with_seed, Time now)
    : settings(std::move(wanted)),
      seed(with_seed),
      random(static_cast<std::uint32_t>(with_seed ^ with_seed >> 32)),
      started(now),
      stranger_log(stranger_log_limit, now),
      origination_log(log_limit, now),
      table_log(stranger_log_limit, now),
      policies(compile(settings, {})),
      tables(std::make_unique<Tables>(settings, seed)),
      monitoring(settings.bmp, static_cast<std::uint32_t>(with_seed), out, now) {
  monitoring.count_malformed(
      [this](PeerId id) { return by_id[static_cast<std::size_t>(id)]->malformed_updates; });
  monitor(now);
  configure_origination(now);
  offer_defaults();
  watch_routes();
  add_listed(now);
}

void Speaker::World::monitor(Time now) {
  monitoring.attach(tables->rib, tables->adj_out, settings.asn, settings.router_id, now);
}

Neighbour* Speaker::World::find(ConnectionId connection) {
  const std::size_t id = connection.value & 0xffff;
  return id < by_id.size() ? by_id[id] : nullptr;
}

Neighbour* Speaker::World::find(std::string_view name) {
  for (const auto& each : neighbours) {
    if (each->peer.settings().name == name) return each.get();
  }
  return nullptr;
}

Result<Neighbour*> Speaker::World::named(std::string_view name) {
  if (Neighbour* found = find(name)) return found;
  return Error{fmt::format("no peer is named \"{}\"", name)};
}

void Speaker::World::settle(Neighbour& who, Time now) {
  if (stopped) return;
  follow_session(who, now);
  advance(now);
}

void Speaker::World::settle_all(Time now) {
  if (stopped) return;
  for (const auto& each : neighbours) follow_session(*each, now);
  advance(now);
}

void Speaker::World::trust_again() {
  // While the selection is deferred the kernel leads where an earlier life has led it.
  const bool decided = path_work.empty() && tables->rib.pending() == 0 && !deferring();
  if (distrusted.empty() || !decided || !changes.empty()) return;
  for (const NextHop& each : std::exchange(distrusted, {})) {
    gateways.push_back({each.gateway, each.ifindex, true});
  }
}

void Speaker::World::advance(Time now) {
  note_loneliness(now);
  import_again(now);
  check_deferral(now);
  trust_again();
  if (!std::exchange(words_first, false)) {
    work_on_paths();
    tables->rib.decide(decide_slice, changes);
    // What it originates may be what an aggregate waits for, and nothing waits for an aggregate.
    while (follow_routes(now)) tables->rib.decide(decide_slice, changes);
  }
  follow_path_limit(now);
  check_end_of_rib(now);
  for (const auto& each : neighbours) {
    if (each->joined == ConnectionId{} || each->output_announced ||
        !tables->adj_out.pending(each->id))
      continue;
    each->output_announced = true;
    each->peer.output_ready();
  }
  monitoring.advance();
  check_sync(now);
}

Speaker::Speaker(Settings settings, std::uint64_t seed, Time now, Begin begin)
    : world_(std::make_unique<World>(std::move(settings), seed, now)) {
  if (begin == Begin::at_once) world_->begin({}, now);
}
Speaker::~Speaker() = default;

void Speaker::begin(const Restart& restart, Time now) {
  assert(!world_->begun);
  world_->begin(restart, now);
}
bool Speaker::begun() const {
  return world_->begun;
}
bool Speaker::deferring() const {
  return world_->deferring();
}

std::optional<ConnectionId> Speaker::accepted(const Address& remote, const Address& local, Time now,
                                              std::uint32_t ifindex, std::string_view over) {
  World& world = *world_;
  if (world.stopped || !world.begun) return std::nullopt;
  Neighbour* found = world.find(remote, ifindex);
  const bool dynamic = found == nullptr || found->peer.settings().is_dynamic();
  // Those of ranges count apart: whoever owns a range's addresses cannot shut a listed peer out.
  std::size_t half_open = 0;
  for (const auto& each : world.neighbours) {
    if (each->peer.settings().is_dynamic() == dynamic) half_open += each->peer.half_open();
  }
  if (half_open >= half_open_limit) {
    world.log_stranger(Level::warning,
                       fmt::format("connection from {} refused: {} others have not said OPEN yet",
                                   remote.text(), half_open),
                       now);
    return std::nullopt;
  }
  if (found == nullptr) found = world.invite(remote, now);
  if (found == nullptr) return std::nullopt;
  Neighbour& who = *found;
  if (const auto& source = who.peer.settings().source; source && *source != local) {
    who.peer.turned_away(
        fmt::format("a connection to {} is refused: source is {}", local.text(), source->text()),
        now);
    return std::nullopt;
  }
  // Bound to the one it would send there what was asked for here, and hear no answer.
  if (const auto& bound = who.peer.settings().bind_interface;
      !bound.empty() && !over.empty() && bound != over) {
    who.peer.turned_away(
        fmt::format("a connection over {} is refused: bind-interface is {}", over, bound), now);
    return std::nullopt;
  }
  if (who.peer.settings().is_unnumbered() && who.peer.address() != remote) {
    if (who.peer.has_heard()) return std::nullopt;  // one neighbour a link
    world.move(who, remote, now);
  }
  const auto connection = who.peer.accept(local, now);
  world.settle(who, now);
  return connection;
}

SocketSetup Speaker::socket_setup(const Address& remote, std::uint32_t ifindex) const {
  const Neighbour* known = world_->find(remote, ifindex);
  return known == nullptr ? SocketSetup{} : setup_of(known->peer.settings());
}

void Speaker::hindered(std::string_view peer, std::string_view why, Time now) {
  if (Neighbour* who = world_->find(peer)) return who->peer.hindered(why, now);
  world_->out.log.push_back({Level::error, fmt::format("range {}: {}", peer, why)});
}

void Speaker::ports(ConnectionId connection, std::uint16_t local, std::uint16_t remote) {
  if (Neighbour* who = world_->find(connection)) who->peer.ports(connection, local, remote);
}

void Speaker::opened(ConnectionId connection, const Address& local, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) {
    world_->monitoring.opened(connection, now);
    return world_->monitoring.advance();
  }
  who->peer.opened(connection, local, now);
  world_->settle(*who, now);
}

void Speaker::failed(ConnectionId connection, std::string_view why, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) return world_->monitoring.failed(connection, why, now);
  who->peer.failed(connection, why, now);
  world_->settle(*who, now);
}

void Speaker::closed(ConnectionId connection, std::string_view why, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) return world_->monitoring.closed(connection, why, now);
  who->peer.closed(connection, why, now);
  world_->settle(*who, now);
}

void Speaker::received(ConnectionId connection, Bytes bytes, Time now) {
  assert(bytes.size() <= receive_size);
  Neighbour* who = world_->find(connection);
  if (who == nullptr || world_->stopped) return;
  who->peer.received(connection, bytes, now);
  world_->read(*who, now);
  world_->settle(*who, now);
}

void Speaker::produce(ConnectionId connection, std::vector<std::byte>& out, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) return world_->monitoring.produce(connection, out, now);
  const std::size_t before = out.size();
  who->peer.produce(connection, out);
  if (who->joined == connection) {
    who->output_announced = false;
    std::size_t at = out.size();
    world_->tables->adj_out.produce(who->id, produce_size, out);
    world_->monitoring.told_peer(who->id, Bytes(out).subspan(at));
    while (at < out.size()) {  // our own messages: their lengths can be trusted
      Reader header(Bytes(out).subspan(at + 16, 3));
      const std::size_t size = header.u16();
      who->peer.count_sent(static_cast<MessageType>(header.u8()), size);
      at += size;
    }
  }
  if (out.size() != before) who->peer.producing(connection, now);
}

void Speaker::sent(ConnectionId connection, bool all, Time now) {
  Neighbour* who = world_->find(connection);
  if (who == nullptr) return world_->monitoring.sent(connection, all, now);
  who->peer.sent(connection, all, now);
}

std::vector<ConnectionId> Speaker::expiring(Time now) const {
  std::vector<ConnectionId> found;
  for (const auto& each : world_->neighbours) {
    if (each->peer.hold_expiring(now)) found.push_back(each->peer.session()->connection);
  }
  return found;
}

void Speaker::heard(ConnectionId connection, Time now) {
  if (Neighbour* who = world_->find(connection)) who->peer.heard(connection, now);
}

Time Speaker::deadline() const {
  if (world_->stopped) return Time::max();
  const bool busy =
      world_->tables->rib.pending() != 0 || !world_->path_work.empty() || world_->conditional.due();
  const bool trusts = !world_->distrusted.empty() && !world_->deferring();
  if (busy || trusts || world_->import_walk) return Time::min();
  Time next =
      std::min({world_->sync_deadline(), world_->end_of_rib_deadline(), world_->lonely_deadline()});
  if (!world_->begun) return next;
  next = std::min(next, world_->ask_again_at.value_or(Time::max()));
  next = std::min(next, world_->monitoring.deadline());
  for (const auto& each : world_->neighbours) {
    next = std::min({next, each->peer.deadline(), World::retention_deadline(*each)});
    for (const FamilyState& family : each->families)
      next = std::min(next, family.refreshing_until.value_or(Time::max()));
  }
  return next;
}

void Speaker::tick(Time now) {
  if (world_->stopped) return;
  for (const auto& each : world_->neighbours) {
    if (!world_->begun) break;
    if (now >= each->peer.deadline()) each->peer.tick(now);
    world_->tick_retention(*each, now);
    world_->end_late_refreshes(*each, now);
  }
  world_->forget_lonely(now);
  world_->monitoring.tick(now);
  world_->settle_all(now);
}

void Speaker::wall_clock(std::chrono::microseconds epoch) {
  world_->monitoring.wall_clock(epoch);
}

void Speaker::originate(const Origination& what, Time now) {
  const auto [known, fresh] = world_->originated.try_emplace(what.prefix, what);
  if (!fresh && known->second == what) return;
  known->second = what;
  world_->originate_again(what.prefix);
  world_->settle_all(now);
}

void Speaker::withdraw(const Prefix& prefix, Time now) {
  if (world_->originated.erase(prefix) == 0) return;
  world_->originate_again(prefix);
  world_->settle_all(now);
}

void Speaker::health(const Prefix& announcement, const std::string& fault, Time now) {
  world_->conditional.health(announcement, fault);
  if (world_->conditional.due()) world_->settle_all(now);
}

void Speaker::covered(const Prefix& aggregate, Time now) {
  world_->aggregates.covered(aggregate);
  world_->settle_all(now);
}

void Speaker::drain(bool on, Time now) {
  World& world = *world_;
  if (std::exchange(world.draining, on) == on) return;
  for (const auto& each : world.neighbours) {
    const auto& session = each->peer.session();
    if (session && each->joined == session->connection)
      world.tell_all_families(*each, *session, now);
  }
  world.settle_all(now);
}
bool Speaker::draining() const {
  return world_->draining;
}

void Speaker::connected(std::vector<ConnectedSubnet> subnets, Time now) {
  World& world = *world_;
  if (subnets == world.subnets) return;
  world.subnets = subnets;
  world.tables->rib.connected(std::move(subnets));
  for (const auto& each : world.neighbours) {
    const auto& session = each->peer.session();
    if (!session || each->joined != session->connection) continue;
    world.attach(*each, *session);
    world.tell_all_families(*each, *session, now);
  }
  world.settle_all(now);
}

void Speaker::links(const std::map<std::string, std::uint32_t>& usable, Time now,
                    const std::map<std::string, std::string>& faults) {
  if (usable != world_->links) world_->follow_links(usable, now);
  world_->tell_link_faults(faults, now);
  world_->settle_all(now);
}

void Speaker::bound_links(std::map<std::string, std::uint32_t> bound) {
  world_->bound_links = std::move(bound);
}

void Speaker::router_heard(std::uint32_t ifindex, const Address& router, Time now) {
  const auto known = world_->by_link.find(ifindex);
  if (known == world_->by_link.end()) return;
  Neighbour& who = *known->second;
  if (who.peer.address() == router) {
    who.heard_elsewhere.reset();
  } else if (who.peer.is_connected()) {
    who.heard_elsewhere = router;
  } else {
    world_->move(who, router, now);
  }
  world_->settle(who, now);
}

void Speaker::wait_for_install(bool yes, Time now) {
  world_->wait_for_install = yes;
  world_->tables->rib.wait_for_install(yes);
  world_->aggregates.wait_for_cover(yes);
  world_->settle_all(now);
}

void Speaker::installed(const std::vector<Prefix>& prefixes, Time now) {
  for (const Prefix& prefix : prefixes) world_->tables->rib.installed(prefix);
  if (!prefixes.empty()) world_->settle_all(now);
}

void Speaker::link_down(std::uint32_t ifindex, Time now, std::string_view name) {
  for (const auto& each : world_->neighbours) {
    const PeerSettings& peer = each->peer.settings();
    const bool bound = !name.empty() && peer.bind_interface == name;
    if (each->ifindex != ifindex && each->link != ifindex && !bound) continue;
    const bool on_link = peer.is_unnumbered() || world_->on_link(*each);
    // A router that reboots has its links up long before it forwards: what is kept of it must not
    // come back with the link.
    if (peer.multihop == 1 || on_link) {
      for (const Family family : both_families) {
        Retention& retention = each->families[index(family)].retention;
        world_->carry_out(each->id, family, retention.silenced(now));
      }
    }
    const bool direct = each->link == ifindex || bound;
    if (each->peer.session() && direct && peer.multihop == 1)
      each->peer.lose_session("link is down", now);
  }
  world_->settle_all(now);
}

void Speaker::path_failed(std::string_view peer, std::string_view why, Time now) {
  Neighbour* who = world_->find(peer);
  if (who == nullptr || !who->peer.session()) return;
  who->peer.lose_path(why, now);
  world_->settle(*who, now);
}

void Speaker::apply(Settings settings, Time now) {
  world_->apply(std::move(settings), now);
  world_->settle_all(now);
}

void Speaker::stop(bool cease, std::string_view text, Time now) {
  if (world_->stopped) return;
  world_->stopped = true;
  world_->monitoring.stop();
  for (const auto& each : world_->neighbours) {
    if (cease) {
      each->peer.shutdown(Fault::AdministrativeShutdown, text, now);
    } else {
      each->peer.abandon(now);
    }
  }
}

Result<void> Speaker::start_peer(std::string_view peer, Time now) {
  const auto who = world_->named(peer);
  if (!who) return who.error();
  (*who)->peer.start(now);
  world_->settle(**who, now);
  return {};
}

Result<void> Speaker::shutdown_peer(std::string_view peer, std::string_view text, Time now) {
  const auto who = world_->named(peer);
  if (!who) return who.error();
  (*who)->peer.shutdown(Fault::AdministrativeShutdown, text, now);
  world_->settle(**who, now);
  return {};
}

Result<void> Speaker::reset_peer(std::string_view peer, std::string_view text, Time now) {
  const auto who = world_->named(peer);
  if (!who) return who.error();
  (*who)->peer.reset(Fault::AdministrativeReset, text, now);
  world_->settle(**who, now);
  return {};
}

Result<void> Speaker::refresh_peer(std::string_view peer, Time now) {
  const auto found = world_->named(peer);
  if (!found) return found.error();
  Neighbour& who = **found;
  for (const Family family : both_families) {
    if (!who.families[index(family)].out) continue;
    who.peer.request_refresh(unicast(family));
    world_->tables->adj_out.refresh(who.id, family);
  }
  world_->settle(who, now);
  return {};
}

std::vector<Action> Speaker::take_actions() {
  return std::exchange(world_->out.actions, {});
}
std::vector<GatewayChange> Speaker::take_gateway_changes() {
  return std::exchange(world_->gateways, {});
}
std::vector<RouteChange> Speaker::take_route_changes() {
  return std::exchange(world_->changes, {});
}
std::vector<SyncDone> Speaker::take_sync_done() {
  return std::exchange(world_->syncs, {});
}
std::vector<SessionUp> Speaker::take_sessions_up() {
  return std::exchange(world_->sessions_up, {});
}
std::vector<std::string> Speaker::take_forgotten() {
  return std::exchange(world_->forgotten, {});
}
std::vector<LogLine> Speaker::take_log() {
  return std::exchange(world_->out.log, {});
}

const NextHops& Speaker::next_hops(NextHopSet set) const {
  return world_->tables->rib.next_hops(set);
}
Placement Speaker::placement(NextHopSet set) const {
  return world_->tables->rib.placement(set);
}
Placement Speaker::placement(const Prefix& prefix) const {
  return world_->tables->rib.placement(prefix);
}
const Settings& Speaker::settings() const {
  return world_->settings;
}

}  // namespace weft::bgp
