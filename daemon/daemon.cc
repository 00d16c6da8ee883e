#include "daemon/daemon.h"

#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "bgp/log_budget.h"
#include "config/diff.h"
#include "daemon/announcements.h"
#include "daemon/claims.h"
#include "daemon/containers.h"
#include "daemon/control_server.h"
#include "daemon/doctor.h"
#include "daemon/host.h"
#include "daemon/mrt_dumps.h"
#include "daemon/routing.h"
#include "daemon/views.h"
#include "exporter/server.h"

namespace weft::daemon {
namespace {

namespace asio = boost::asio;

/// Ethernet's, when there is no uplink to ask.
constexpr std::uint32_t ethernet_mtu = 1500;
/// How often a scrape that waits for the main loop looks whether weftd is stopping.
constexpr std::chrono::milliseconds scrape_patience{50};
/// For the last words of a session to leave.
constexpr std::chrono::milliseconds farewell{200};
/// Lines a minute about what clients announce.
constexpr unsigned announcement_log_limit = 60;
/// Router addresses are put back so often at the most.
constexpr std::chrono::seconds router_address_pause{1};

FilterSettings filter_settings(const config::Config& config) {
  FilterSettings settings{
      config.cni.anti_spoof, config.cni.masquerade, config.cni.trusted_networks, {}};
  for (const ipam::PoolSettings& pool : config.ipam.pools) {
    if (pool.ipv4) settings.pools.push_back(*pool.ipv4);
    if (pool.ipv6) settings.pools.push_back(*pool.ipv6);
  }
  return settings;
}

class Daemon {
 public:
  Daemon(Options options, config::Config config)
      : options_(std::move(options)),
        config_(std::move(config)),
        started_(Clock::now()),
        started_at_(std::chrono::system_clock::now()),
        configured_at_(started_at_),
        signals_(io_, SIGTERM, SIGINT, SIGHUP),
        lease_timer_(io_),
        router_address_timer_(io_) {}

  Result<void> start() {
    for (auto& complaint : put_router_addresses(config_.node))
      complaints_.push_back(std::move(complaint));
    for (const std::string& complaint : complaints_) spdlog::warn(complaint);

    auto containers = Containers::start(io_, config_.ipam, filter_settings(config_),
                                        options_.state_directory, [this] { return mtu(); });
    if (!containers) return containers.error();
    containers_ = std::move(*containers);
    auto routing = Routing::start(io_, config_, options_.state_directory);
    if (!routing) return routing.error();
    routing_ = std::move(*routing);
    containers_->on_blocks_changed([this] { announce(); });
    routing_->on_container_route_lost(
        [this](const std::optional<Address>& address) { containers_->repair_routes(address); });
    routing_->on_address_lost([this](const Address& address) {
      for (const Prefix& ours : router_prefixes(config_.node)) {
        if (ours.address() == address) put_back_router_address(address);
      }
    });
    auto claims = Claims::start(io_, config_.ipam, config_.node.name, options_.takeover_identity,
                                *containers_, *routing_, [this] { announce(); });
    if (!claims) return claims.error();
    claims_ = std::move(*claims);
    containers_->on_doubt([this](const Address& address) {
      return is_learned(routing_->speaker(), Prefix::host(address));
    });
    containers_->on_usage_changed([this] { claims_->usage_changed(); });
    containers_->on_ask_for(
        [this](const ipam::Place& place, std::function<void(const std::string&)> answer) {
          claims_->ask_for(place, std::move(answer));
        });
    announce();
    if (auto loaded = announcements_.load(announcements_file(), Clock::now()); !loaded)
      spdlog::warn(loaded.error().message);
    announce_for_clients();
    mend_host();

    auto exporter = exporter::Server::start(config_.exporter, [this] { return scrape(); });
    if (!exporter) return exporter.error();
    exporter_ = std::move(*exporter);
    auto control = ControlServer::start(
        io_, options_.socket_path,
        [this](const ctl::Request& request, ClientId client, const ControlServer::Answer& answer) {
          handle(request, client, answer);
        },
        [this](ClientId client) {
          if (announcements_.client_gone(client)) announce_for_clients();
        });
    if (!control) return control.error();
    control_ = std::move(*control);
    await_signals();
    // The start takes more memory than the rest of the life, here and there.
    malloc_trim(0);
    spdlog::info("weftd {} is ready: {} AS {} router-id {}, {} peers, {} blocks", WEFT_VERSION,
                 config_.node.name, config_.node.asn.value, config_.node.router_id.text(),
                 config_.bgp.peers.size(), containers_->allocator().blocks(Clock::now()).size());
    return {};
  }

  void run() { io_.run(); }

  /// In this order: nobody may ask any more, then nothing runs any more.
  void stop() {
    stopping_ = true;
    control_.reset();
    exporter_.reset();
    lease_timer_.cancel();
    router_address_timer_.cancel();
    if (routing_) routing_->stop();
    if (claims_) claims_->stop();
    if (containers_) containers_->stop();
    // Replies and NOTIFICATIONs on their way out get a moment; kernel routes stay whatever happens.
    io_.restart();
    io_.run_for(farewell);
  }

 private:
  [[nodiscard]] World world() const {
    return {config_,     *routing_,   *containers_,  *claims_,      started_,
            started_at_, complaints_, reload_fault_, configured_at_};
  }

  [[nodiscard]] Patient patient() const { return patient_of(world()); }

  void mend_host() {
    for (const Finding& finding : mend(patient())) {
      spdlog::warn("{} {}: {}", finding.subject, finding.message, finding.command);
    }
  }

  /// Routes have it as their source, and the kernel has dropped them with it. Whoever insists on
  /// its removal does not get us to turn in circles.
  void put_back_router_address(const Address& lost) {
    const Time now = Clock::now();
    spdlog::warn("router address {} was removed from lo; putting it back", lost.text());
    router_address_timer_.expires_after(
        std::max(router_address_at_ + router_address_pause - now, Clock::duration::zero()));
    router_address_timer_.async_wait([this](const boost::system::error_code& error) {
      if (error || stopping_) return;
      router_address_at_ = Clock::now();
      for (const std::string& complaint : put_router_addresses(config_.node))
        spdlog::warn(complaint);
    });
  }

  std::uint32_t mtu() const {
    if (config_.cni.mtu) return *config_.cni.mtu;
    std::optional<std::uint32_t> smallest;
    for (const Uplink& uplink : routing_->uplinks()) {
      smallest = std::min(smallest.value_or(uplink.link.mtu), uplink.link.mtu);
    }
    return smallest.value_or(ethernet_mtu);
  }

  void announce() {
    Announcement all = announcement(containers_->allocator(), Clock::now());
    std::vector<bgp::Origination> hosts;
    for (const Prefix& prefix : router_prefixes(config_.node))
      hosts.push_back({prefix, {}, {}, {}});
    for (const Prefix& prefix : all.exceptions) {
      bgp::Origination exception{prefix, {}, {}, {}};
      const std::string& community = config_.ipam.exception_community;
      // The configuration has only such as can be added.
      if (!community.empty()) static_cast<void>(exception.add_community(community));
      hosts.push_back(std::move(exception));
    }
    routing_->announce(all.blocks, hosts, all.covered);
  }

  [[nodiscard]] std::filesystem::path announcements_file() const {
    return options_.state_directory / "announcements";
  }

  /// The leases have changed.
  void announce_for_clients() {
    for (const std::string& news : announcements_.take_news()) {
      const std::string line = announcement_log_.admit(news, Clock::now());
      if (!line.empty()) spdlog::info(line);
    }
    routing_->announce_for_clients(announcements_.wanted());
    const auto deadline = announcements_.deadline();
    if (!deadline) {
      lease_timer_.cancel();
      return;
    }
    lease_timer_.expires_after(std::max(*deadline - Clock::now(), Clock::duration::zero()));
    lease_timer_.async_wait([this](const boost::system::error_code& error) {
      if (error || stopping_ || !announcements_.expire(Clock::now())) return;
      announce_for_clients();
      save_announcements();
    });
  }

  void save_announcements() {
    if (auto saved = announcements_.save(announcements_file(), Clock::now()); !saved)
      spdlog::error(saved.error().message);
  }

  ctl::Reply changed(ctl::Reply reply, bool bound) {
    if (!std::holds_alternative<ctl::Done>(reply)) return reply;
    announce_for_clients();
    if (!bound) save_announcements();
    return reply;
  }

  ctl::Announcements announcements_view(Time now) const {
    ctl::Announcements view = announcements_.view(now);
    for (const bgp::ConditionalStatus& each : routing_->speaker().conditional()) {
      ctl::Announcement row;
      row.prefix = each.what.prefix.text();
      row.communities = each.what.community_texts();
      row.med = each.what.med;
      row.lease = "configured";
      row.waits_for = each.waits_for;
      row.since_seconds = static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::seconds>(now - each.since).count());
      row.changes = each.changes;
      view.announcements.push_back(std::move(row));
    }
    for (ctl::Announcement& each : view.announcements)
      each.advertised = routing_->speaker().advertised_to(*Prefix::parse(each.prefix));
    return view;
  }

  void handle(const ctl::Request& request, ClientId client, const ControlServer::Answer& answer) {
    const Time now = Clock::now();
    std::visit(
        Overloaded{
            [&](const ctl::AddRequest& add) { containers_->add(add, answer); },
            [&](const ctl::DelRequest& del) { containers_->del(del, answer); },
            [&](const ctl::SpareRequest& spare) { containers_->spare(spare, answer); },
            [&](const ctl::CheckRequest& check) { containers_->check(check, answer); },
            [&](const ctl::StatusRequest& status) { answer(status_view(world(), status, now)); },
            [&](const ctl::BfdRequest&) { answer(bfd_view(world(), now)); },
            [&](const ctl::PeersRequest&) { answer(peers_view(world(), now)); },
            [&](const ctl::PeerRequest& order) { answer(ordered(order)); },
            [&](const ctl::RoutesRequest& routes) { answer(routes_view(world(), routes)); },
            [&](const ctl::BlocksRequest&) { answer(blocks_view(world(), now)); },
            [&](const ctl::ContainersRequest&) { answer(containers_view(world(), now)); },
            [&](const ctl::ClaimsRequest&) { answer(claims_view(world())); },
            [&](const ctl::IpamCheckRequest& check) { answer(examine(check)); },
            [&](const ctl::ImportRequest& import) { answer(containers_->take_over(import)); },
            [&](const ctl::ReleaseBlockRequest& release) { answer(released(release)); },
            [&](const ctl::PoliciesRequest&) { answer(policies_view(world())); },
            [&](const ctl::DrainRequest& drain) { answer(drained(drain)); },
            [&](const ctl::AggregatesRequest&) { answer(aggregates_view(world(), now)); },
            [&](const ctl::BmpRequest&) { answer(stations_view(world(), now)); },
            [&](const ctl::DoctorRequest&) { answer(doctor_view(world())); },
            [&](const ctl::FibCheckRequest& check) { routing_->check_fib(check.repair, answer); },
            [&](const ctl::AnnounceRequest& announce) {
              answer(changed(announcements_.announce(announce, client, now), announce.hold));
            },
            [&](const ctl::WithdrawRequest& withdraw) {
              answer(changed(announcements_.withdraw(withdraw, client), false));
            },
            [&](const ctl::AnnouncementsRequest&) { answer(announcements_view(now)); },
            [&](const ctl::MrtRequest& mrt) {
              answer(mrt_dumps_.answer(mrt, routing_->speaker(), now));
            },
        },
        request);
  }

  ctl::Reply ordered(const ctl::PeerRequest& order) {
    const auto done = routing_->order(order);
    if (!done) return ctl::Failure{ctl::ErrorCode::not_found, done.error().message};
    spdlog::info("operator: peer {} {}{}{}", order.peer, ctl::name(order.verb),
                 order.message.empty() ? "" : ": ", order.message);
    return ctl::Done{};
  }

  ctl::Reply drained(const ctl::DrainRequest& drain) {
    const auto done = routing_->drain(drain.on, drain.text);
    if (!done) return ctl::Failure{ctl::ErrorCode::internal, done.error().message};
    return ctl::Done{};
  }

  ctl::Reply examine(const ctl::IpamCheckRequest& request) {
    ctl::Findings found{containers_->examine(request.repair)};
    for (std::string& complaint : claims_->complaints())
      found.findings.push_back(std::move(complaint));
    return found;
  }

  ctl::Reply released(const ctl::ReleaseBlockRequest& request) {
    const auto done = claims_->force_release(request.pool, request.index,
                                             static_cast<std::int64_t>(request.revision));
    if (!done) return ctl::Failure{ctl::ErrorCode::bad_request, done.error().message};
    return ctl::Done{};
  }

  /// On a thread of the exporter's server: the numbers are read on the main loop.
  exporter::Snapshot scrape() {
    auto promise = std::make_shared<std::promise<exporter::Snapshot>>();
    auto snapshot = promise->get_future();
    asio::post(io_, [this, promise] { promise->set_value(metrics_view(world(), Clock::now())); });
    while (snapshot.wait_for(scrape_patience) != std::future_status::ready) {
      if (stopping_) return {};
    }
    return snapshot.get();
  }

  void await_signals() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      if (signal == SIGHUP) {
        reload();
        return await_signals();
      }
      spdlog::info("{}: stopping; routes and containers stay",
                   signal == SIGTERM ? "SIGTERM" : "SIGINT");
      io_.stop();
    });
  }

  void reload() {
    const auto done = try_reload();
    reload_fault_ = done ? std::string() : done.error().message;
    if (!done) return spdlog::error("the configuration is not taken: {}", reload_fault_);
    configured_at_ = std::chrono::system_clock::now();
  }

  Result<void> try_reload() {
    auto wanted = config::load(options_.config_path, options_.defaults);
    if (!wanted) {
      for (const auto& error : wanted.error()) spdlog::error(error.text());
      return Error{fmt::format("nothing has changed; weftd --check {} says what is wrong",
                               options_.config_path)};
    }
    const std::vector<config::Change> changes = config::diff(config_, *wanted);
    if (!changes.empty() && std::holds_alternative<config::RestartNeeded>(changes.front()))
      return Error{fmt::format("nothing has changed; {}", config::describe(changes.front()))};
    for (const config::Change& change : changes)
      spdlog::info("reload: {}", config::describe(change));
    if (changes.empty()) spdlog::info("reload: nothing is different");
    const auto is = [&]<typename Kind>(Kind) {
      return std::any_of(changes.begin(), changes.end(), [](const config::Change& change) {
        return std::holds_alternative<Kind>(change);
      });
    };
    if (is(config::ExporterChanged{})) {
      if (auto moved = restart_exporter(wanted->exporter); !moved) return moved;
    }
    if (auto applied = containers_->apply(wanted->ipam, filter_settings(*wanted)); !applied)
      return Error{fmt::format("pools: {}", applied.error().message)};
    if (auto applied = claims_->apply(wanted->ipam); !applied) return applied;
    routing_->apply(wanted->bgp);
    config_ = std::move(*wanted);
    announce();
    mend_host();
    return {};
  }

  /// The old one goes first, for it may hold the port; when the new one cannot start, the old one
  /// returns.
  Result<void> restart_exporter(const exporter::Settings& settings) {
    exporter_.reset();
    auto started = exporter::Server::start(settings, [this] { return scrape(); });
    if (started) {
      exporter_ = std::move(*started);
      return {};
    }
    if (auto old = exporter::Server::start(config_.exporter, [this] { return scrape(); })) {
      exporter_ = std::move(*old);
    }
    return Error{fmt::format("exporter: {}", started.error().message)};
  }

  Options options_;
  config::Config config_;
  Time started_;
  std::chrono::system_clock::time_point started_at_;
  std::chrono::system_clock::time_point configured_at_;
  std::string reload_fault_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::string> complaints_;
  asio::io_context io_;
  asio::signal_set signals_;
  asio::steady_timer lease_timer_;
  asio::steady_timer router_address_timer_;
  Time router_address_at_ = Clock::now() - router_address_pause;
  Announcements announcements_;
  bgp::LogBudget announcement_log_{announcement_log_limit, Clock::now()};
  MrtDumps mrt_dumps_;
  std::unique_ptr<Containers> containers_;
  std::unique_ptr<Routing> routing_;
  std::unique_ptr<Claims> claims_;
  std::unique_ptr<exporter::Server> exporter_;
  std::unique_ptr<ControlServer> control_;
};

}  // namespace

Result<void> run(const Options& options, config::Config config) {
  Daemon daemon(options, std::move(config));
  auto started = daemon.start();
  if (started) daemon.run();
  daemon.stop();
  return started;
}

}  // namespace weft::daemon
