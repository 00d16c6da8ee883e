#include "daemon/routing.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <random>
#include <set>
#include <string_view>
#include <utility>

#include "bgp/ranges.h"
#include "bgp/router_socket.h"
#include "bgp/transport.h"
#include "daemon/drain_record.h"
#include "daemon/fib_check.h"
#include "daemon/forwarding_record.h"
#include "daemon/health_checks.h"
#include "daemon/range_record.h"
#include "daemon/table_record.h"
#include "fib/programmer.h"
#include "fib/resilient_groups.h"
#include "net/time.h"

namespace weft::daemon {
namespace {

namespace asio = boost::asio;

/// Containers' gateway, the same on every host.
const Address container_gateway = Address::ipv4(0xa9fe0101);
/// How often the kernel's routes are compared with ours although nothing was heard.
constexpr std::chrono::minutes audit_interval{10};
/// So many routes ahead the table is told of what it will be asked.
constexpr std::size_t prefetch_distance = 8;
/// How long the first dump of the kernel's routes may take before sessions begin all the same.
constexpr std::chrono::seconds adoption_limit{5};
/// How long the kernel goes on to drop what an aggregate covered, after its withdrawal.
constexpr std::chrono::seconds cover_linger{5};
/// From the first change of who is there from a range to the note of it.
constexpr std::chrono::seconds range_record_pause{1};

void write_log(const bgp::LogLine& line) {
  switch (line.level) {
    case bgp::Level::debug:
      return spdlog::debug(line.text);
    case bgp::Level::info:
      return spdlog::info(line.text);
    case bgp::Level::warning:
      return spdlog::warn(line.text);
    case bgp::Level::error:
      return spdlog::error(line.text);
  }
}

/// With what monitoring stations are told of the program (RFC 7854 4.4), and the kernel's table and
/// metric said of each peer: who names the node's own shares the load with who names none.
bgp::Settings completed(bgp::Settings settings, const fib::Settings& fib) {
  settings.bmp.system_description = "weftd " WEFT_VERSION;
  for (bgp::PeerSettings& peer : settings.peers) {
    peer.table = peer.table.value_or(fib.table);
    peer.metric = peer.metric.value_or(fib.metric);
  }
  return settings;
}

/// A block stands for its addresses; the address of the router, or of a container, for itself.
bgp::Origination ours(const Prefix& prefix) {
  return {prefix, {}, {}, {}, !prefix.is_host()};
}

}  // namespace

bool is_container_link(std::string_view ifname) {
  return ifname.size() == 15 && ifname.starts_with("weft") &&
         ifname.substr(4).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Held by every pending wait, so that none outlives what it works on.
class Routing::Loop : public std::enable_shared_from_this<Loop> {
 public:
  Loop(asio::io_context& io, const config::Config& config,
       const std::filesystem::path& state_directory)
      : io_(io),
        settings_(config.fib),
        forwarding_(state_directory),
        tables_(state_directory),
        drain_(state_directory),
        range_record_(state_directory),
        speaker_(completed(config.bgp, config.fib), std::random_device{}(), Clock::now(),
                 bgp::Speaker::Begin::when_told),
        routers_(io, [this](std::uint32_t ifindex,
                            const Address& router) { router_heard(ifindex, router); }),
        bfd_(io,
             [this](const std::string& peer, const std::string& why) { path_failed(peer, why); }),
        health_(io, [this](const Prefix& prefix,
                           const std::string& fault) { service_is(prefix, fault); }),
        table_timer_(io),
        audit_timer_(io),
        begin_timer_(io),
        uncover_timer_(io),
        range_timer_(io) {
    if (!settings_.install) return;
    table_.emplace(settings_, std::random_device{}());
    check_.emplace(*table_, speaker_, [this](const NextHop& hop) { return describe(hop); });
  }

  Result<void> start(const config::Config& config) {
    const Time now = Clock::now();
    if (table_) {
      auto programmer = fib::Programmer::start(settings_);
      if (!programmer) return programmer.error().within("kernel FIB");
      programmer_.emplace(std::move(*programmer));
      reports_.emplace(io_, programmer_->fd());
    }
    fib::Monitor::Options options;
    if (programmer_) options.writer_ports = programmer_->ports();
    auto monitor = fib::Monitor::open(options);
    if (!monitor) return monitor.error().within("kernel notifications");
    monitor_.emplace(std::move(*monitor));
    notifications_.emplace(io_, monitor_->fd());
    if (table_) {
      if (settings_.resilient_buckets && !fib::has_resilient_groups()) {
        has_resilient_groups_ = false;
        table_->plain_groups();
        spdlog::warn(
            "this kernel has no resilient nexthop groups (Linux 5.13): they are plain in spite of "
            "fib.resilient-buckets");
      }
      table_->former_tables(tables_.tables());
      know_places();
      table_->start(now);
      table_->fast_groups(programmer_->fast_groups());
      table_->tell_installed(settings_.wait_install);
      speaker_.wait_for_install(settings_.wait_install, now);
      for (const auto& [ifindex, link] : monitor_->links()) {
        link_states_.emplace(ifindex, LinkState{link.usable()});
        table_->link(link, now);
      }
      for (const ConnectedSubnet& subnet : monitor_->subnets()) {
        const auto link = monitor_->links().find(subnet.ifindex);
        if (link != monitor_->links().end() && is_container_link(link->second.name)) continue;
        table_->address(subnet, true, now);
      }
      table_->want_gateway(container_gateway, now);
    }
    resolve(now);

    bgp::Callbacks callbacks;
    callbacks.routes = [this](const std::vector<bgp::RouteChange>& changes) { learned(changes); };
    callbacks.sync_done = [this](bgp::SyncDone done) { synced(done); };
    callbacks.log = [](const bgp::LogLine& line) { write_log(line); };
    callbacks.session_up = [this](const bgp::SessionUp& session) {
      bfd_.established(session);
      range_changed();
    };
    callbacks.forgotten = [this](const std::string& peer) {
      bfd_.forgotten(peer);
      range_changed();
    };
    callbacks.served_late = [this](Clock::duration late) {
      loop_lag_.observe(std::chrono::duration<double>(late).count());
    };
    callbacks.gateway = [this](const bgp::GatewayChange& change) { gateway_changed(change); };
    transport_.emplace(io_, speaker_, std::move(callbacks));
    if (auto listening = transport_->listen(); !listening)
      return listening.error().within("bgp.listen");
    drained_ = drain_.read();
    if (drained_) {
      spdlog::warn("this node is drained since before the restart; weftctl drain off ends it");
      speaker_.drain(true, now);
    }
    follow_links(now);
    bfd_.apply(config.bgp);
    health_.apply(config.bgp.announcements);
    transport_->poke();

    await_notifications();
    if (table_) {
      await_reports();
      await_audit();
      await_adoption();
      pump();
    } else {
      begin();
    }
    return {};
  }

  void announce(const std::vector<Prefix>& blocks, const std::vector<bgp::Origination>& hosts,
                const std::vector<Prefix>& covered) {
    const Time now = Clock::now();
    std::set<Prefix> wanted(blocks.begin(), blocks.end());
    std::set<Prefix> shielded = wanted;
    shielded.insert(covered.begin(), covered.end());
    std::erase_if(shielded, [](const Prefix& prefix) { return prefix.is_host(); });
    std::map<Prefix, bgp::Origination> single;
    for (const bgp::Origination& host : hosts) {
      wanted.insert(host.prefix);
      single.emplace(host.prefix, host);
    }
    for (const Prefix& prefix : shielded) {
      if (!table_) break;
      const bool waits =
          settings_.wait_install && wanted.contains(prefix) && !originated_.contains(prefix);
      if (waits) uncovered_.insert(prefix);
      // Wanted once more, one that stands already is told of once more.
      if (waits || !shielded_.contains(prefix)) table_->want_blackhole(prefix, now);
    }
    for (const Prefix& prefix : wanted) {
      const auto host = single.find(prefix);
      const auto before = hosts_.find(prefix);
      const bool same = host == single.end()
                            ? before == hosts_.end()
                            : before != hosts_.end() && before->second == host->second;
      if ((same && originated_.contains(prefix)) || uncovered_.contains(prefix)) continue;
      if (host != single.end()) {
        speaker_.originate(host->second, now);
      } else {
        speaker_.originate(ours(prefix), now);
      }
    }
    for (const Prefix& prefix : originated_) {
      if (wanted.contains(prefix)) continue;
      uncovered_.erase(prefix);
      if (const auto client = for_clients_.find(prefix); client != for_clients_.end()) {
        speaker_.originate(client->second, now);
      } else {
        speaker_.withdraw(prefix, now);
      }
    }
    for (const Prefix& prefix : shielded_) {
      if (!shielded.contains(prefix)) uncover(prefix, is_dropped_here(prefix), now);
    }
    shielded_ = std::move(shielded);
    originated_ = std::move(wanted);
    hosts_ = std::move(single);
    transport_->poke();
    pump();
  }

  void announce_for_clients(const std::vector<bgp::Origination>& wanted) {
    const Time now = Clock::now();
    std::map<Prefix, bgp::Origination> next;
    for (const bgp::Origination& each : wanted) {
      next.emplace(each.prefix, each);
      if (!is_announced(each.prefix)) speaker_.originate(each, now);
    }
    for (const auto& [prefix, what] : for_clients_) {
      if (!next.contains(prefix) && !is_announced(prefix)) speaker_.withdraw(prefix, now);
    }
    for_clients_ = std::move(next);
    transport_->poke();
  }

  void apply(const bgp::Settings& settings) {
    const Time now = Clock::now();
    speaker_.apply(completed(settings, settings_), now);
    know_places();
    cover_aggregates(now);
    health_.apply(settings.announcements);
    if (auto listening = transport_->listen(); !listening) {
      spdlog::error("bgp.listen: {}", listening.error().message);
    }
    follow_links(now);
    bfd_.apply(settings);
    transport_->poke();
    pump();
  }

  void check_fib(bool repair, FibCheck::Answer answer) {
    if (!check_) {
      return answer(ctl::Failure{ctl::ErrorCode::not_found,
                                 "weftd does not touch the kernel: fib.install is false"});
    }
    check_->ask(repair, std::move(answer));
    pump();
  }

  Result<void> order(const ctl::PeerRequest& order) {
    const Time now = Clock::now();
    Result<void> done;
    // By name first: a peer may be called by the address of another.
    std::string peer = order.peer;
    const auto known = speaker_.peers();
    const auto by = [&](const auto& is) { return std::any_of(known.begin(), known.end(), is); };
    if (!by([&](const bgp::PeerStatus& each) { return each.name == peer; })) {
      for (const bgp::PeerStatus& each : known) {
        if (each.address.text() == order.peer) peer = each.name;
      }
    }
    switch (order.verb) {
      case ctl::PeerVerb::start:
        done = speaker_.start_peer(peer, now);
        break;
      case ctl::PeerVerb::shutdown:
        done = speaker_.shutdown_peer(peer, order.message, now);
        break;
      case ctl::PeerVerb::reset:
        done = speaker_.reset_peer(peer, order.message, now);
        break;
      case ctl::PeerVerb::refresh:
        done = speaker_.refresh_peer(peer, now);
        break;
    }
    transport_->poke();
    return done;
  }

  [[nodiscard]] std::optional<bgp::TcpFacts> tcp_facts(bgp::ConnectionId connection) const {
    return transport_ ? transport_->tcp_facts(connection) : std::nullopt;
  }

  Result<void> drain(bool on, const std::string& text) {
    if (auto written = on ? drain_.write(text) : drain_.remove(); !written) return written;
    drained_ = on ? std::optional(text) : std::nullopt;
    spdlog::warn(on ? "drained: peers are asked to use another way" : "no longer drained");
    speaker_.drain(on, Clock::now());
    transport_->poke();
    return {};
  }
  [[nodiscard]] const std::optional<std::string>& draining() const { return drained_; }

  void stop() {
    stopped_ = true;
    static_cast<void>(routers_.links({}));
    bfd_.stop();
    health_.stop();
    if (range_due_) record_range();
    const std::string farewell = drained_ && !drained_->empty() ? *drained_ : "weftd is stopping";
    speaker_.stop(drained_.has_value(), farewell, Clock::now());
    if (transport_) transport_->poke();
    begin_timer_.cancel();
    table_timer_.cancel();
    audit_timer_.cancel();
    uncover_timer_.cancel();
    range_timer_.cancel();
    if (notifications_) give_back(*notifications_);
    if (reports_) give_back(*reports_);
    if (programmer_) programmer_->stop();
  }

  std::function<void(const std::optional<Address>&)> container_route_lost;
  std::function<void(const Address&)> address_lost;

  [[nodiscard]] const bgp::Speaker& speaker() const { return speaker_; }
  [[nodiscard]] const fib::Table* table() const { return table_ ? &*table_ : nullptr; }
  [[nodiscard]] bool fast_groups() const { return !programmer_ || programmer_->fast_groups(); }
  [[nodiscard]] bool has_resilient_groups() const { return has_resilient_groups_; }
  [[nodiscard]] const exporter::Histogram& loop_lag() const { return loop_lag_; }
  [[nodiscard]] BfdStatus bfd() const { return bfd_.status(); }
  [[nodiscard]] std::uint64_t overruns() const { return monitor_ ? monitor_->overruns() : 0; }

  [[nodiscard]] std::vector<Uplink> uplinks() const {
    std::set<std::uint32_t> indexes;
    for (const bgp::PeerSettings& peer : speaker_.settings().peers) {
      for (const std::string& name : {peer.interface, peer.bind_interface}) {
        if (const fib::Link* link = monitor_->link(name)) indexes.insert(link->ifindex);
      }
      if (peer.is_unnumbered()) continue;
      for (const ConnectedSubnet& subnet : monitor_->subnets()) {
        const bool here =
            peer.range ? subnet.prefix.overlaps(*peer.range) : subnet.prefix.contains(peer.address);
        if (here) indexes.insert(subnet.ifindex);
      }
    }
    std::vector<Uplink> links;
    for (const std::uint32_t ifindex : indexes) {
      const auto link = monitor_->links().find(ifindex);
      if (link == monitor_->links().end()) continue;
      const auto state = link_states_.find(ifindex);
      links.push_back({link->second, state == link_states_.end() ? 0 : state->second.transitions});
    }
    return links;
  }

  [[nodiscard]] bool synced() const { return families_synced_.size() == 2; }

  [[nodiscard]] std::string describe(const NextHop& hop) const {
    const auto link = monitor_->links().find(hop.ifindex);
    const std::string device =
        link == monitor_->links().end() ? fmt::format("#{}", hop.ifindex) : link->second.name;
    return fmt::format("{} dev {}{}{}", hop.gateway.text(), device,
                       is_onlink(hop.gateway, hop.ifindex, monitor_->subnets()) ? " onlink" : "",
                       hop.weight == 1 ? "" : fmt::format(" weight {}", hop.weight));
  }

 private:
  struct LinkState {
    bool usable = false;
    std::uint64_t transitions = 0;
  };

  /// As one of this host's own: that goes before what its clients want of it.
  [[nodiscard]] bool is_announced(const Prefix& prefix) const {
    return originated_.contains(prefix) && !uncovered_.contains(prefix);
  }

  /// The descriptor belongs to the monitor or the programmer; Asio only waits on it.
  static void give_back(asio::posix::stream_descriptor& descriptor) {
    if (descriptor.is_open()) static_cast<void>(descriptor.release());
  }

  void await_notifications() {
    notifications_->async_wait(asio::posix::stream_descriptor::wait_read,
                               [self = shared_from_this()](const boost::system::error_code& error) {
                                 if (error || self->stopped_) return;
                                 self->notified();
                                 self->await_notifications();
                               });
  }

  void await_reports() {
    reports_->async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (error || self->stopped_) return;
                           self->pump();
                           self->await_reports();
                         });
  }

  void await_audit() {
    audit_timer_.expires_after(audit_interval);
    audit_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error || self->stopped_) return;
      self->table_->audit(Clock::now());
      const bool fast = self->programmer_->fast_groups();
      self->table_->fast_groups(self->programmer_->assert_fast_groups());
      if (!self->programmer_->fast_groups() && fast) {
        spdlog::warn("net.ipv4.nexthop_compat_mode is 1 again and cannot be set to 0");
      }
      self->pump();
      self->await_audit();
    });
  }

  /// Sessions begin once it is known whether the kernel still forwards, for that is what the OPEN
  /// says.
  void await_adoption() {
    begin_timer_.expires_after(adoption_limit);
    begin_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error || self->stopped_ || self->speaker_.begun()) return;
      spdlog::warn("the kernel's routes are not read yet; going on without them");
      self->begin();
    });
  }

  void begin() {
    const auto forwards = table_ ? table_->forwards() : std::nullopt;
    bgp::Restart restart;
    if (forwarding_.is_of_this_kernel()) {
      // Without a table nothing of ours is in the kernel that could have been lost.
      for (std::size_t i = 0; i < restart.forwarding.size(); ++i)
        restart.forwarding[i] = !table_ || (forwards && (*forwards)[i]);
      restart.restarting = restart.forwarding[0] || restart.forwarding[1];
    }
    if (restart.restarting) {
      spdlog::info("restarted: the kernel forwards for {}{}{}", restart.forwarding[0] ? "ipv4" : "",
                   restart.forwarding[0] && restart.forwarding[1] ? " and " : "",
                   restart.forwarding[1] ? "ipv6" : "");
    }
    restart.range_members = range_record_.members();
    begin_timer_.cancel();
    speaker_.begin(restart, Clock::now());
    transport_->poke();
  }

  void notified() {
    hear(Clock::now());
    pump();
  }

  /// What the kernel and others have done by now.
  void hear(Time now) {
    if (std::exchange(hearing_, true)) return;
    bool subnets_changed = false;
    // What is left after read_limit datagrams makes the descriptor readable again.
    monitor_->read([&](const fib::Event& event) {
      std::visit(Overloaded{
                     [&](const fib::LinkEvent& change) {
                       // A veth comes and goes with its container; no next hop is ever behind one.
                       if (is_container_link(change.link.name)) return;
                       subnets_changed = true;
                       link_changed(change, now);
                     },
                     [&](const fib::AddressEvent& change) {
                       const auto link = monitor_->links().find(change.subnet.ifindex);
                       if (link != monitor_->links().end() && is_container_link(link->second.name))
                         return;
                       subnets_changed = true;
                       if (table_) table_->address(change.subnet, !change.removed, now);
                       if (change.removed && address_lost) address_lost(change.subnet.address);
                     },
                     [&](const fib::RouteEvent& change) {
                       const fib::Route& route = change.route;
                       if (route.protocol == fib::route_protocol && change.deleted &&
                           route.nexthop_id == 0 && route.ifindex != 0 && container_route_lost) {
                         container_route_lost(route.prefix.address());
                       }
                       if (table_) table_->observed(change, now);
                     },
                     [&](const fib::NextHopEvent& change) {
                       if (table_) table_->observed(change, now);
                     },
                     [&](const fib::Overrun&) {
                       spdlog::warn("the kernel dropped notifications; its tables are read again");
                       subnets_changed = true;
                       if (container_route_lost) container_route_lost(std::nullopt);
                       if (table_) table_->overrun(now);
                     },
                 },
                 event);
    });
    if (subnets_changed) {
      resolve(now);
      follow_links(now);
    }
    hearing_ = false;
  }

  void link_changed(const fib::LinkEvent& change, Time now) {
    const bool usable = !change.removed && change.link.usable();
    LinkState& state =
        link_states_.try_emplace(change.link.ifindex, LinkState{usable}).first->second;
    if (std::exchange(state.usable, usable) != usable) ++state.transitions;
    if (table_ && change.removed) {
      table_->link_removed(change.link.ifindex, now);
    } else if (table_) {
      table_->link(change.link, now);
    }
    if (usable) return;
    speaker_.link_down(change.link.ifindex, now, change.link.name);
    transport_->poke();
  }

  /// What the speaker resolves next hops with: subnets on links that carry packets, containers'
  /// left out.
  void resolve(Time now) {
    std::vector<ConnectedSubnet> subnets;
    for (const ConnectedSubnet& subnet : monitor_->subnets()) {
      const auto link = monitor_->links().find(subnet.ifindex);
      if (link == monitor_->links().end() || !link->second.usable()) continue;
      if (!is_container_link(link->second.name)) subnets.push_back(subnet);
    }
    if (subnets == resolved_) return;
    resolved_ = subnets;
    speaker_.connected(std::move(subnets), now);
    if (transport_) transport_->poke();
  }

  /// The kernel's tables that peers name are read before anything is written there.
  void know_places() {
    if (!table_) return;
    for (const bgp::PeerSettings& peer : speaker_.settings().peers) table_->place(peer.placement());
    if (auto noted = tables_.add(table_->tables()); !noted) spdlog::warn(noted.error().message);
  }

  /// The links that bind-interface names; those that unnumbered peers name, as long as packets of
  /// ours with a link-local address can leave on them.
  void follow_links(Time now) {
    std::map<std::string, std::uint32_t> bound;
    std::map<std::string, std::uint32_t> usable;
    std::map<std::string, std::string> faults;
    std::vector<std::uint32_t> indexes;
    for (const bgp::PeerSettings& peer : speaker_.settings().peers) {
      const fib::Link* to = monitor_->link(peer.bind_interface);
      if (to != nullptr && to->usable()) bound.emplace(peer.bind_interface, to->ifindex);
      if (!peer.is_unnumbered()) continue;
      const fib::Link* link = monitor_->link(peer.interface);
      if (const std::string fault = fault_of(peer.interface, link); !fault.empty()) {
        faults.emplace(peer.interface, fault);
        continue;
      }
      usable.emplace(peer.interface, link->ifindex);
      indexes.push_back(link->ifindex);
    }
    speaker_.bound_links(std::move(bound));
    speaker_.links(usable, now, faults);
    if (auto followed = routers_.links(indexes); !followed)
      spdlog::error("unnumbered peers: {}", followed.error().message);
    if (transport_) transport_->poke();
  }

  /// Why no unnumbered peer can be spoken to there; empty: it can.
  [[nodiscard]] std::string fault_of(const std::string& name, const fib::Link* link) const {
    if (link == nullptr) return fmt::format("there is no link {}", name);
    if (!link->usable()) return fmt::format("link {} is down", name);
    if (!has_link_local(link->ifindex))
      return fmt::format("link {} has no link-local IPv6 address", name);
    return {};
  }

  [[nodiscard]] bool has_link_local(std::uint32_t ifindex) const {
    const auto& subnets = monitor_->subnets();
    return std::any_of(subnets.begin(), subnets.end(), [&](const ConnectedSubnet& subnet) {
      return subnet.ifindex == ifindex && subnet.address.is_v6() && subnet.address.is_link_local();
    });
  }

  void path_failed(const std::string& peer, const std::string& why) {
    if (stopped_) return;
    speaker_.path_failed(peer, why, Clock::now());
    transport_->poke();
  }

  void service_is(const Prefix& announcement, const std::string& fault) {
    if (stopped_) return;
    speaker_.health(announcement, fault, Clock::now());
    if (transport_) transport_->poke();
  }

  void router_heard(std::uint32_t ifindex, const Address& router) {
    if (stopped_) return;
    speaker_.router_heard(ifindex, router, Clock::now());
    transport_->poke();
  }

  /// One message a group, on its way before the decision process has begun.
  void gateway_changed(const bgp::GatewayChange& change) {
    if (!table_ || stopped_) return;
    const Time now = Clock::now();
    table_->reachable(change.gateway, change.ifindex, change.reachable, now);
    if (change.for_good) table_->forsake(change.gateway, change.ifindex);
    submit_express(now);
    // Either the kernel works on the loss while the RIB does, or the RIB has caught up with it:
    // removals that waited for more to come go now.
    if (change.for_good || change.reachable) pump();
  }

  void submit_express(Time now) {
    while (programmer_->express_ready()) {
      auto batch = table_->take_express(now);
      if (!batch) return;
      programmer_->submit_express(std::move(*batch));
    }
  }

  void learned(const std::vector<bgp::RouteChange>& changes) {
    if (!table_) return;
    const Time now = Clock::now();
    // Ids of sets are reused once the speaker lets go of them, so a group is looked up once per
    // round, not kept.
    struct Way {
      fib::GroupRef group;
      fib::PlaceRef place;
    };
    std::map<bgp::NextHopSet, Way> ways;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      if (i + prefetch_distance < changes.size()) {
        table_->prefetch(changes[i + prefetch_distance].prefix);
      }
      const bgp::RouteChange& change = changes[i];
      drop_packets(change.prefix, change.kind == bgp::RouteKind::blackhole, now);
      if (change.kind != bgp::RouteKind::via) {
        table_->unwant(change.prefix, now);
        continue;
      }
      auto way = ways.find(change.next_hops);
      if (way == ways.end()) {
        const Way found{table_->group(speaker_.next_hops(change.next_hops)),
                        table_->place(speaker_.placement(change.next_hops))};
        way = ways.emplace(change.next_hops, found).first;
      }
      table_->want(change.prefix, way->second.group, now, way->second.place);
    }
    for (const auto& [set, way] : ways) table_->release(way.group);
    cover_aggregates(now);
    pump();
  }

  /// RFC 7999: a peer asked for it, or does no longer.
  void drop_packets(const Prefix& prefix, bool wanted, Time now) {
    const auto known = dropped_.find(prefix);
    if (!wanted && known == dropped_.end()) return;
    const std::uint32_t before = known == dropped_.end() ? 0 : known->second;
    std::uint32_t table = 0;
    if (wanted) {
      table = speaker_.placement(prefix).table;
      if (table == 0) table = settings_.table;
      if (table == before) return;
      dropped_.insert_or_assign(prefix, table);
      table_->want_blackhole(prefix, now, table_->place({table, 0}));
    } else {
      dropped_.erase(known);
    }
    if (before == settings_.table) return uncover(prefix, shielded_.contains(prefix), now);
    if (before != 0) table_->unwant_blackhole(prefix, now, table_->place({before, 0}));
  }
  /// A learned blackhole, in the table where our own are.
  [[nodiscard]] bool is_dropped_here(const Prefix& prefix) const {
    const auto found = dropped_.find(prefix);
    return found != dropped_.end() && found->second == settings_.table;
  }

  /// One who wanted a blackhole does no longer; `others`: of the rest somebody does.
  void uncover(const Prefix& prefix, bool others, Time now) {
    if (table_ && !others && !aggregated_.contains(prefix) && !uncover_at_.contains(prefix))
      table_->unwant_blackhole(prefix, now);
  }

  /// What no route inside of an aggregate takes must not follow a default route back to whoever
  /// believed it.
  void cover_aggregates(Time now) {
    if (!table_) return;
    std::set<Prefix> wanted;
    for (const bgp::AggregateStatus& each : speaker_.aggregates()) {
      if (each.contributing == 0) continue;
      wanted.insert(each.prefix);
      uncover_at_.erase(each.prefix);
      // Wanted once more, one that stands already is told of once more.
      if (each.awaits_cover || !aggregated_.contains(each.prefix))
        table_->want_blackhole(each.prefix, now);
    }
    wanted.swap(aggregated_);
    for (const Prefix& prefix : wanted) {
      if (!aggregated_.contains(prefix)) uncover_at_.try_emplace(prefix, now + cover_linger);
    }
    await_uncover(now);
  }

  /// Until everybody has heard of the withdrawal, packets still come.
  void await_uncover(Time now) {
    if (uncover_at_.empty()) return;
    Time next = Time::max();
    for (const auto& [prefix, at] : uncover_at_) next = std::min(next, at);
    uncover_timer_.expires_after(std::max(next - now, Clock::duration::zero()));
    uncover_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && !self->stopped_) self->uncover_due();
    });
  }

  void uncover_due() {
    const Time now = Clock::now();
    std::vector<Prefix> due;
    for (const auto& [prefix, at] : uncover_at_) {
      if (at <= now) due.push_back(prefix);
    }
    for (const Prefix& prefix : due) {
      uncover_at_.erase(prefix);
      uncover(prefix, shielded_.contains(prefix) || is_dropped_here(prefix), now);
    }
    await_uncover(now);
    pump();
  }

  void synced(const bgp::SyncDone& done) {
    spdlog::info(
        "{} routes: {}", name(done.family),
        done.timed_out
            ? "not every peer has sent its End-of-RIB in time, going on without"
            : "every peer that came up has sent its End-of-RIB, or is one that sends none");
    families_synced_.insert(done.family);
    if (!synced()) return;
    range_changed();
    if (auto written = forwarding_.write(); !written) spdlog::warn(written.error().message);
    if (!table_) return;
    table_->synced(Clock::now());
    pump();
  }

  /// A rack that comes back is one note, not one a host.
  void range_changed() {
    const auto& peers = speaker_.settings().peers;
    if (range_due_ || !std::any_of(peers.begin(), peers.end(), bgp::is_range)) return;
    range_due_ = true;
    range_timer_.expires_after(range_record_pause);
    range_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && !self->stopped_) self->record_range();
    });
  }

  void record_range() {
    range_due_ = false;
    if (auto written = range_record_.write(speaker_.range_members()); !written)
      spdlog::warn(written.error().message);
  }

  /// What the kernel has acknowledged may be told to others.
  void tell_installed(Time now) {
    std::vector<Prefix> learned;
    bool covered = false;
    for (const fib::Installed& one : table_->take_installed()) {
      if (one.kind == fib::Kind::learned) learned.push_back(one.prefix);
      if (one.kind == fib::Kind::blackhole && aggregated_.contains(one.prefix)) {
        speaker_.covered(one.prefix, now);
        covered = true;
      }
      if (one.kind != fib::Kind::blackhole || uncovered_.erase(one.prefix) == 0) continue;
      speaker_.originate(ours(one.prefix), now);
      covered = true;
    }
    speaker_.installed(learned, now);
    if ((covered || !learned.empty()) && transport_) transport_->poke();
  }

  /// Takes in what the kernel answered, hands out what is due, and sleeps until there is more.
  void pump() {
    if (!table_ || stopped_ || !programmer_) return;
    const Time now = Clock::now();
    table_->more_to_come(speaker_.deadline() == Time::min());
    while (auto report = programmer_->next()) table_->settle(std::move(*report), now);
    // What is written over must be ours: the kernel drops routes without asking, and somebody may
    // have taken the place since.
    hear(now);
    table_->tick(now);
    if (!speaker_.begun() && transport_ && table_->forwards()) begin();
    do {
      submit_express(now);
      while (programmer_->ready()) {
        auto work = table_->take(now);
        if (!work) break;
        programmer_->submit(std::move(*work));
      }
    } while (check_->advance(now));
    for (const fib::Notice& notice : table_->take_notices()) {
      if (notice.warning) {
        spdlog::warn(notice.message);
      } else {
        spdlog::info(notice.message);
      }
    }
    tell_installed(now);
    auto deadline = table_->deadline();
    if (const auto other = check_->deadline(); other && (!deadline || *other < *deadline)) {
      deadline = other;
    }
    if (!deadline) {
      table_timer_.cancel();
      return;
    }
    table_timer_.expires_after(std::max(*deadline - now, Clock::duration::zero()));
    table_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error) self->pump();
    });
  }

  asio::io_context& io_;
  fib::Settings settings_;
  ForwardingRecord forwarding_;
  TableRecord tables_;
  DrainRecord drain_;
  RangeRecord range_record_;
  std::optional<std::string> drained_;
  bgp::Speaker speaker_;
  exporter::Histogram loop_lag_{exporter::lag_bounds()};
  bgp::RouterSocket routers_;
  BfdLinks bfd_;
  HealthChecks health_;
  std::optional<bgp::Transport> transport_;
  std::optional<fib::Table> table_;
  std::optional<FibCheck> check_;
  std::optional<fib::Programmer> programmer_;
  std::optional<fib::Monitor> monitor_;
  std::optional<asio::posix::stream_descriptor> reports_;
  std::optional<asio::posix::stream_descriptor> notifications_;
  asio::steady_timer table_timer_;
  asio::steady_timer audit_timer_;
  asio::steady_timer begin_timer_;
  asio::steady_timer uncover_timer_;
  asio::steady_timer range_timer_;
  bool range_due_ = false;
  std::set<Prefix> originated_;
  /// Those of them that are single addresses.
  std::map<Prefix, bgp::Origination> hosts_;
  std::set<Prefix> shielded_;
  /// Learned blackholes, and the kernel's table for each.
  std::map<Prefix, std::uint32_t> dropped_;
  /// Aggregates to which something contributes.
  std::set<Prefix> aggregated_;
  /// Those of late.
  std::map<Prefix, Time> uncover_at_;
  /// Of these: not yet announced, for the kernel has not acknowledged their blackhole.
  std::set<Prefix> uncovered_;
  std::map<Prefix, bgp::Origination> for_clients_;
  std::vector<ConnectedSubnet> resolved_;
  std::set<Family> families_synced_;
  std::map<std::uint32_t, LinkState> link_states_;
  bool has_resilient_groups_ = true;
  bool hearing_ = false;
  bool stopped_ = false;
};

Result<std::unique_ptr<Routing>> Routing::start(asio::io_context& io, const config::Config& config,
                                                const std::filesystem::path& state_directory) {
  auto loop = std::make_shared<Loop>(io, config, state_directory);
  if (auto started = loop->start(config); !started) {
    loop->stop();
    return started.error();
  }
  return std::unique_ptr<Routing>(new Routing(std::move(loop)));
}

Routing::Routing(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
Routing::~Routing() = default;

void Routing::announce(const std::vector<Prefix>& blocks,
                       const std::vector<bgp::Origination>& hosts,
                       const std::vector<Prefix>& covered) {
  loop_->announce(blocks, hosts, covered);
}
void Routing::announce_for_clients(const std::vector<bgp::Origination>& wanted) {
  loop_->announce_for_clients(wanted);
}
void Routing::apply(const bgp::Settings& settings) {
  loop_->apply(settings);
}
Result<void> Routing::order(const ctl::PeerRequest& order) {
  return loop_->order(order);
}
std::optional<bgp::TcpFacts> Routing::tcp_facts(bgp::ConnectionId connection) const {
  return loop_->tcp_facts(connection);
}
Result<void> Routing::drain(bool on, const std::string& text) {
  return loop_->drain(on, text);
}
std::optional<std::string> Routing::draining() const {
  return loop_->draining();
}
void Routing::stop() {
  loop_->stop();
}
void Routing::check_fib(bool repair, std::function<void(ctl::Reply)> answer) {
  loop_->check_fib(repair, std::move(answer));
}
void Routing::on_container_route_lost(std::function<void(const std::optional<Address>&)> handler) {
  loop_->container_route_lost = std::move(handler);
}
void Routing::on_address_lost(std::function<void(const Address&)> handler) {
  loop_->address_lost = std::move(handler);
}
const bgp::Speaker& Routing::speaker() const {
  return loop_->speaker();
}
const fib::Table* Routing::table() const {
  return loop_->table();
}
bool Routing::fast_groups() const {
  return loop_->fast_groups();
}
bool Routing::has_resilient_groups() const {
  return loop_->has_resilient_groups();
}
std::uint64_t Routing::monitor_overruns() const {
  return loop_->overruns();
}
const exporter::Histogram& Routing::loop_lag() const {
  return loop_->loop_lag();
}
BfdStatus Routing::bfd() const {
  return loop_->bfd();
}
std::vector<Uplink> Routing::uplinks() const {
  return loop_->uplinks();
}
bool Routing::synced() const {
  return loop_->synced();
}

std::vector<std::string> Routing::describe(const NextHops& next_hops) const {
  std::vector<std::string> texts;
  texts.reserve(next_hops.size());
  for (const NextHop& hop : next_hops) texts.push_back(loop_->describe(hop));
  return texts;
}

}  // namespace weft::daemon
