#include "daemon/claims.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>
#include <utility>

#include "ipam/etcd.h"
#include "net/time.h"

namespace weft::daemon {
namespace {

namespace asio = boost::asio;

/// Changes and requests of one turn; more wait for the next.
constexpr int steps_limit = 256;

const ipam::EtcdClaim* store_of(const ipam::Settings& settings) {
  for (const ipam::PoolSettings& pool : settings.pools) {
    if (const auto* claim = std::get_if<ipam::EtcdClaim>(&pool.claim)) return claim;
  }
  return nullptr;
}

bool same_store(const ipam::EtcdClaim& a, ipam::EtcdClaim b) {
  b.min_blocks = a.min_blocks;
  b.max_blocks = a.max_blocks;
  b.spare = a.spare;
  b.borrow = a.borrow;
  return a == b;
}

/// Of the one or two addresses.
std::vector<Prefix> prefixes_of(const ipam::Place& place) {
  std::vector<Prefix> prefixes;
  for (const auto& address :
       {place.block.ipv4_at(place.ordinal), place.block.ipv6_at(place.ordinal)}) {
    if (address) prefixes.push_back(Prefix::host(*address));
  }
  return prefixes;
}

std::vector<double> claim_bounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};
}

}  // namespace

bool is_learned(const bgp::Speaker& speaker, const Prefix& prefix) {
  const auto route = speaker.route(prefix);
  return route &&
         std::any_of(route->paths.begin(), route->paths.end(), [](const bgp::PathStatus& path) {
           return path.peer != "local" && !path.looped && !path.echo;
         });
}

class Claims::Loop : public std::enable_shared_from_this<Loop> {
 public:
  Loop(asio::io_context& io, std::string host, bool takeover, Containers& containers,
       const Routing& routing, std::function<void()> announce)
      : io_(io),
        timer_(io),
        identity_{std::move(host), containers.incarnation(), containers.boot(), takeover},
        containers_(&containers),
        routing_(&routing),
        announce_(std::move(announce)),
        core_(identity_, ipam::EtcdClaim{}) {}

  Result<void> configure(const ipam::Settings& settings) {
    const ipam::EtcdClaim* store = store_of(settings);
    if (store != nullptr && (!store_ || !same_store(*store_, *store))) {
      auto etcd = ipam::Etcd::create(io_, *store);
      if (!etcd) return etcd.error().within("etcd");
      etcd_ = std::move(*etcd);
      store_ = *store;
      watching_.reset();
      core_ = ipam::SharedClaims(identity_, *store);
      for (const auto& [place, answer] : std::exchange(asked_, {}))
        answer("etcd was changed meanwhile");
      ipam::Changes known;
      for (const auto& [block, state] : containers_->allocator().claims())
        known.emplace_back(ipam::Claimed{block, state});
      core_.apply(known, Time{});
    }
    core_.configure(settings);
    poke();
    return {};
  }

  void poke() {
    if (poked_ || stopped_) return;
    poked_ = true;
    asio::post(io_, [self = shared_from_this()] {
      self->poked_ = false;
      if (!self->stopped_) self->turn();
    });
  }

  /// Without a store there is nothing to claim or to give back; the timer looks for rivals.
  void usage_changed() {
    if (etcd_ || has_lost_) poke();
  }

  void ask_for(const ipam::Place& place, std::function<void(const std::string&)> answer) {
    if (!etcd_) return answer("no pool of this host is shared through etcd");
    if (const auto asked = core_.ask(place, Clock::now()); !asked)
      return answer(asked.error().message);
    asked_.emplace(place, std::move(answer));
    poke();
  }

  void stop() {
    stopped_ = true;
    boost::system::error_code ignored;  // a timer that cannot be cancelled finds stopped_ set
    timer_.cancel(ignored);
    etcd_.reset();
  }

  Result<void> force_release(const std::string& pool, std::uint32_t index, std::int64_t revision) {
    auto done = core_.force_release(pool, index, revision, surroundings());
    poke();
    return done;
  }

  [[nodiscard]] std::vector<std::string> complaints() const {
    std::vector<std::string> all = core_.complaints(Clock::now());
    for (const ipam::BlockId& block : containers_->allocator().contested()) {
      all.push_back(fmt::format(
          "block {} of pool {} is announced by another host too: do two hosts have one index?",
          block.text(), block.pool));
    }
    return all;
  }

  [[nodiscard]] const ipam::SharedClaims& core() const { return core_; }

  void fill(exporter::Snapshot& snapshot) {
    for (const auto& [pool, of] : core_.statistics()) {
      snapshot.claims[pool] = {
          {"won", of.won}, {"lost", of.lost_races}, {"vetoed", of.vetoed}, {"adopted", of.adopted}};
      snapshot.claim_conflicts[pool] = of.conflicts;
      snapshot.releases[pool] = {{"empty", of.released}};
    }
    snapshot.claim_seconds = claim_seconds_;
    const ipam::ExceptionStatistics& exceptions = core_.exception_statistics();
    snapshot.exceptions.requests["granted"] = exceptions.granted;
    snapshot.exceptions.requests["refused"] = exceptions.refused;
    snapshot.exceptions.requests["late"] = exceptions.late;
    snapshot.exceptions.conflicts = exceptions.conflicts;
    if (!etcd_) return;
    snapshot.claims_synced = core_.synced();
    auto& statistics = etcd_->statistics();
    for (const auto time : std::exchange(statistics.times, {}))
      request_seconds_.observe(std::chrono::duration<double>(time).count());
    snapshot.store_request_seconds = request_seconds_;
    for (const auto& [operation, counted] : statistics.operations)
      snapshot.store_requests[operation] = {{"ok", counted.ok}, {"failed", counted.failed}};
  }

 private:
  [[nodiscard]] bool learned(const std::optional<Prefix>& prefix) const {
    return prefix && is_learned(routing_->speaker(), *prefix);
  }

  /// The block itself, or an address in it: a host that lost a block announces its containers.
  [[nodiscard]] bool announced_elsewhere(const ipam::BlockId& block) const {
    if (learned(block.ipv4) || learned(block.ipv6)) return true;
    const auto& lent = containers_->allocator().lent();
    for (std::uint32_t ordinal = 0; ordinal < block.capacity(); ++ordinal) {
      const ipam::Place place{block, ordinal};
      if (!lent.contains(place) && announced_elsewhere(place)) return true;
    }
    return false;
  }

  [[nodiscard]] bool announced_elsewhere(const ipam::Place& place) const {
    const auto prefixes = prefixes_of(place);
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [this](const Prefix& prefix) { return learned(prefix); });
  }

  [[nodiscard]] bool advertised(const std::optional<Prefix>& prefix) const {
    return prefix && routing_->speaker().advertised_to(*prefix) != 0;
  }

  [[nodiscard]] ipam::Surroundings surroundings() const {
    return {[this](const ipam::BlockId& block) { return announced_elsewhere(block); },
            [this](const ipam::BlockId& block) {
              return advertised(block.ipv4) || advertised(block.ipv6);
            },
            containers_->allocator().blocks(Clock::now()),
            [this](const ipam::Place& place) { return announced_elsewhere(place); },
            [this](const ipam::Place& place) {
              const auto prefixes = prefixes_of(place);
              return std::any_of(prefixes.begin(), prefixes.end(),
                                 [this](const Prefix& prefix) { return advertised(prefix); });
            },
            &containers_->allocator()};
  }

  void turn() {
    look_for_rivals();
    announce_exceptions();
    bool changed = false;
    for (int i = 0; i < steps_limit && etcd_; ++i) {
      const Time now = Clock::now();
      ipam::Step step = core_.step(surroundings(), now);
      if (step.outcome) {
        answer(*step.outcome);
        continue;
      }
      if (!step.changes.empty()) {
        if (!containers_->commit(step.changes)) break;
        core_.apply(step.changes, now);
        for (const ipam::Change& change : step.changes) tell(change);
        changed = true;
        continue;
      }
      if (!step.request) break;
      etcd_->send(*step.request, [self = shared_from_this()](const kv_answer& answer) {
        if (self->stopped_) return;
        self->core_.answered(answer, Clock::now());
        self->turn();
      });
    }
    for (const auto time : core_.take_claim_times())
      claim_seconds_.observe(std::chrono::duration<double>(time).count());
    if (changed || has_lost_) {
      const auto& claims = containers_->allocator().claims();
      has_lost_ = std::any_of(claims.begin(), claims.end(), [](const auto& entry) {
        return entry.second == ipam::ClaimState::lost;
      });
      announce_();
    }
    announce_exceptions();
    watch();
    await();
  }

  using kv_answer = ipam::kv::Answer;

  /// Nobody else announces these because of a container that comes or goes.
  void announce_exceptions() {
    const auto& borrowed = containers_->allocator().borrowed();
    if (borrowed == borrowed_) return;
    borrowed_ = borrowed;
    announce_();
  }

  void answer(const ipam::Outcome& outcome) {
    auto waiting = asked_.extract(outcome.place);
    if (waiting.empty()) return;
    if (outcome.refusal.empty())
      spdlog::info("exception: {}", text(outcome.place) + " may be given here");
    waiting.mapped()(outcome.refusal);
  }

  static std::string text(const ipam::Place& place) {
    const auto prefixes = prefixes_of(place);
    return fmt::format("{} of block {} of pool {}", prefixes.front().address().text(),
                       place.block.text(), place.block.pool);
  }

  static void tell(const ipam::Change& change) {
    if (const auto* claimed = std::get_if<ipam::Claimed>(&change)) {
      const auto level =
          claimed->state == ipam::ClaimState::lost ? spdlog::level::err : spdlog::level::info;
      spdlog::log(level, "block {} of pool {} is {}", claimed->block.text(), claimed->block.pool,
                  ipam::name(claimed->state));
    } else if (const auto* gone = std::get_if<ipam::Unclaimed>(&change)) {
      spdlog::info("block {} of pool {} is not claimed any more", gone->block.text(),
                   gone->block.pool);
    } else if (const auto* lent = std::get_if<ipam::Lent>(&change)) {
      spdlog::info("exception: {} is lent to host {}", text({lent->block, lent->ordinal}),
                   lent->host);
    } else if (const auto* back = std::get_if<ipam::Returned>(&change)) {
      spdlog::info("exception: {} is back", text({back->block, back->ordinal}));
    }
  }

  void watch() {
    const auto from = etcd_ ? core_.watch_from() : std::nullopt;
    if (from == watching_) return;
    watching_ = from;
    if (!etcd_) return;
    if (!from) return etcd_->stop_watch();
    // Not the loop itself: a watch may outlive a change of the store.
    etcd_->watch(
        store_->prefix + "/", *from,
        [self = shared_from_this()](const ipam::kv::Watched& change) {
          if (self->stopped_) return;
          self->core_.watched(change, Clock::now());
          self->poke();
        },
        [self = shared_from_this()](const std::string& why) {
          if (self->stopped_) return;
          spdlog::info("etcd: {}", why);
          self->watching_.reset();
          self->core_.watch_ended(Clock::now());
          self->poke();
        });
  }

  void await() {
    const Time now = Clock::now();
    timer_.expires_after(
        std::max<Time::duration>(core_.deadline(now) - now, std::chrono::milliseconds(1)));
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && !self->stopped_) self->turn();
    });
  }

  /// Blocks of ours that BGP shows at another host too.
  void look_for_rivals() {
    std::set<ipam::BlockId> contested;
    for (const ipam::BlockStatus& block : containers_->allocator().blocks(Clock::now())) {
      if (block.state == ipam::BlockState::lost || block.state == ipam::BlockState::foreign)
        continue;
      if (learned(block.id.ipv4) || learned(block.id.ipv6)) contested.insert(block.id);
    }
    const auto& before = containers_->allocator().contested();
    if (contested == before) return;
    for (const ipam::BlockId& block : contested) {
      if (!before.contains(block)) {
        spdlog::error("block {} of pool {} is announced by another host too", block.text(),
                      block.pool);
      }
    }
    for (const ipam::BlockId& block : before) {
      if (!contested.contains(block)) spdlog::info("block {} is ours alone again", block.text());
    }
    containers_->contest(std::move(contested));
  }

  asio::io_context& io_;
  asio::steady_timer timer_;
  ipam::Identity identity_;
  Containers* containers_;
  const Routing* routing_;
  std::function<void()> announce_;
  ipam::SharedClaims core_;
  std::unique_ptr<ipam::Etcd> etcd_;
  std::optional<ipam::EtcdClaim> store_;
  std::optional<std::int64_t> watching_;
  std::map<ipam::Place, std::function<void(const std::string&)>> asked_;
  /// As it was announced last.
  std::set<ipam::Place> borrowed_;
  bool poked_ = false;
  bool stopped_ = false;
  bool has_lost_ = true;
  exporter::Histogram claim_seconds_{claim_bounds()};
  exporter::Histogram request_seconds_{claim_bounds()};
};

Result<std::unique_ptr<Claims>> Claims::start(asio::io_context& io, const ipam::Settings& settings,
                                              const std::string& host, bool takeover,
                                              Containers& containers, const Routing& routing,
                                              std::function<void()> announce) {
  auto loop = std::make_shared<Loop>(io, host, takeover, containers, routing, std::move(announce));
  if (auto configured = loop->configure(settings); !configured) return configured.error();
  return std::unique_ptr<Claims>(new Claims(std::move(loop)));
}

Claims::Claims(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
Claims::~Claims() {
  loop_->stop();
}

Result<void> Claims::apply(const ipam::Settings& settings) {
  return loop_->configure(settings);
}
void Claims::usage_changed() {
  loop_->usage_changed();
}
void Claims::ask_for(const ipam::Place& place,
                     std::function<void(const std::string& refusal)> answer) {
  loop_->ask_for(place, std::move(answer));
}
void Claims::stop() {
  loop_->stop();
}
Result<void> Claims::force_release(const std::string& pool, std::uint32_t index,
                                   std::int64_t revision) {
  return loop_->force_release(pool, index, revision);
}
std::vector<std::string> Claims::complaints() const {
  return loop_->complaints();
}
const ipam::SharedClaims& Claims::core() const {
  return loop_->core();
}
void Claims::fill(exporter::Snapshot& snapshot) const {
  loop_->fill(snapshot);
}

Announcement announcement(const ipam::Allocator& allocator, Time now) {
  Announcement all;
  std::set<ipam::BlockId> others;
  for (const ipam::BlockStatus& block : allocator.blocks(now)) {
    if (block.state == ipam::BlockState::lost || block.state == ipam::BlockState::foreign) {
      others.insert(block.id);
      continue;
    }
    auto& where = block.state == ipam::BlockState::releasing ? all.covered : all.blocks;
    if (block.id.ipv4) where.push_back(*block.id.ipv4);
    if (block.id.ipv6) where.push_back(*block.id.ipv6);
  }
  if (others.empty()) return all;
  for (const ipam::LeaseStatus& held : allocator.leases()) {
    if (!others.contains(held.lease.block)) continue;
    for (const Prefix& prefix : prefixes_of({held.lease.block, held.lease.ordinal}))
      all.exceptions.push_back(prefix);
  }
  return all;
}

}  // namespace weft::daemon
