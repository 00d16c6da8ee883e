// Whatever happens in between, in the end the kernel holds exactly what is wanted, and nothing
// foreign was harmed.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "tests/fib/model_kernel.h"

namespace weft::fib {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t foreign_protocol = 4;

class World {
 public:
  explicit World(unsigned seed) : random_(seed), kernel_(Settings{}) {
    for (std::uint32_t link = 2; link < 6; ++link) {
      singles_.push_back({Address::ipv4(0xc0000200 + link), link, 1});
      singles_.push_back({*Address::parse("fe80::1"), link, 1});
    }
    for (unsigned i = 0; i < 40; ++i) {
      prefixes_.emplace_back(Address::ipv4(0x0a000000 + (i << 8)), 24);
    }
    restart();
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      now_ += std::chrono::milliseconds(below(50));
      step();
    }
  }

  /// No more trouble: links up, no refusals, every notification that is due delivered.
  void calm_down() {
    calm_ = true;
    for (std::uint32_t link = 2; link < 6; ++link) set_link(link, true);
    for (const NextHop& hop : std::exchange(dead_, {})) {
      table_->reachable(hop.gateway, hop.ifindex, true, now_);
    }
    table_->synced(now_);
    for (int turns = 0; turns < 100000; ++turns) {
      bool busy = deliver_event();
      busy = express() || busy;
      busy = work() || busy;
      busy = deliver_report() || busy;
      if (busy) continue;
      if (lost_) {
        lost_ = false;
        table_->overrun(now_);
        continue;
      }
      const auto deadline = table_->deadline();
      if (!deadline) return;
      now_ = std::max(now_, *deadline);
      table_->tick(now_);
    }
    FAIL() << "never came to rest";
  }

  void check() {
    std::map<ModelKernel::Key, const Route*> ours;
    for (const auto& [key, route] : kernel_.routes) {
      if (route.protocol == route_protocol) ours[key] = &route;
    }
    std::size_t foreign = 0;
    for (const auto& [prefix, set] : wanted_) {
      const ModelKernel::Key key = key_of(prefix, places_.at(prefix));
      const auto found = kernel_.routes.find(key);
      if (found != kernel_.routes.end() && found->second.protocol == foreign_protocol) {
        ++foreign;
        EXPECT_EQ(table_->state(prefix).rfind("foreign", 0), 0U) << table_->state(prefix);
        continue;
      }
      ASSERT_TRUE(found != kernel_.routes.end()) << prefix.text() << " " << table_->state(prefix);
      EXPECT_EQ(table_->state(prefix).rfind("installed", 0), 0U) << table_->state(prefix);
      EXPECT_EQ(members(found->second.nexthop_id), set) << prefix.text();
      ours.erase(key);
    }
    for (const Prefix& block : blackholes_) {
      const auto found = kernel_.routes.find({block, blackhole_metric});
      ASSERT_TRUE(found != kernel_.routes.end())
          << block.text() << " " << table_->state(block, Kind::blackhole);
      EXPECT_EQ(found->second.type, RouteType::blackhole);
      ours.erase({block, blackhole_metric});
    }
    for (const auto& [key, route] : ours) {
      ADD_FAILURE() << key.first.text() << " metric " << key.second << " table " << key.table
                    << " is stale: " << table_->state(key.first);
    }
    const Snapshot snapshot = table_->snapshot();
    EXPECT_EQ(snapshot.pending, foreign);
    EXPECT_EQ(snapshot.failed, 0U);
    EXPECT_EQ(snapshot.stale, 0U);
    EXPECT_EQ(snapshot.routes[0][0], wanted_.size() - foreign);
    EXPECT_EQ(snapshot.routes[0][1], blackholes_.size());
    EXPECT_EQ(harmed_, 0);
    std::size_t groups = 0;
    for (const auto& [id, object] : kernel_.nexthops) {
      if (object.protocol == route_protocol && object.is_group()) ++groups;
    }
    EXPECT_EQ(groups, snapshot.groups);
    EXPECT_LE(groups, held_.size());
  }

 private:
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
  const Prefix& any_prefix() { return prefixes_[below(static_cast<unsigned>(prefixes_.size()))]; }

  /// The default, another metric of its table, another table.
  static constexpr std::array<Placement, 4> all_places{{{0, 0}, {0, 33}, {100, 0}, {1000, 33}}};
  [[nodiscard]] ModelKernel::Key key_of(const Prefix& prefix, const Placement& where) const {
    return {prefix, where.metric == 0 ? kernel_.settings.metric : where.metric,
            where.table == 0 ? kernel_.settings.table : where.table};
  }
  void want(const Prefix& prefix, const NextHops& set, const Placement& where) {
    wanted_[prefix] = set;
    places_[prefix] = where;
    table_->want(prefix, held(set), now_, table_->place(where));
  }

  NextHops any_set() {
    NextHops set;
    for (const NextHop& single : singles_) {
      if (below(5) == 0) set.push_back(single);
    }
    if (set.empty()) set.push_back(singles_[below(static_cast<unsigned>(singles_.size()))]);
    std::sort(set.begin(), set.end());
    return set;
  }

  GroupRef held(const NextHops& set) {
    const auto found = held_.find(set);
    if (found != held_.end()) return found->second;
    return held_[set] = table_->group(set);
  }

  NextHops members(std::uint32_t id) const {
    NextHops set;
    const auto group = kernel_.nexthops.find(id);
    if (group == kernel_.nexthops.end()) return set;
    for (const Member& member : group->second.members) {
      const auto single = kernel_.nexthops.find(member.id);
      if (single == kernel_.nexthops.end()) continue;
      set.push_back({single->second.gateway, single->second.ifindex, member.weight});
    }
    std::sort(set.begin(), set.end());
    return set;
  }

  void step() {
    switch (below(18)) {
      case 0:
      case 1:
        return want_some();
      case 2:
        return unwant_some();
      case 3:
        return set_link(2 + below(4), below(2) == 0);
      case 4:
        return meddle_route();
      case 5:
        return meddle_nexthop();
      case 6:
        return foreign();
      case 7:
        return release_unused();
      case 8: {
        const Prefix block(Address::ipv4(0x0a400000 + (below(8) << 6)), 26);
        if (below(2) == 0) {
          blackholes_.insert(block);
          table_->want_blackhole(block, now_);
        } else {
          blackholes_.erase(block);
          table_->unwant_blackhole(block, now_);
        }
        return;
      }
      case 9:
        if (below(40) == 0) restart();
        return;
      case 10:
        if (below(10) == 0) table_->synced(now_);
        table_->tick(now_);
        return;
      case 11:
        deliver_event();
        return;
      case 12:
      case 13:
        work();
        return;
      case 14:
        return flip_gateway();
      case 15:
        express();
        return;
      default:
        deliver_report();
        return;
    }
  }

  void want_some() {
    const NextHops set = any_set();
    const Placement where = all_places.at(below(2) == 0 ? 0 : below(4));
    const unsigned times = below(4) == 0 ? 40 : 3;
    for (unsigned i = 0; i < times; ++i) want(any_prefix(), set, where);
  }
  void unwant_some() {
    const unsigned times = below(4) == 0 ? 40 : 2;
    for (unsigned i = 0; i < times; ++i) {
      const Prefix& prefix = any_prefix();
      wanted_.erase(prefix);
      table_->unwant(prefix, now_);
    }
  }
  void release_unused() {
    for (auto at = held_.begin(); at != held_.end();) {
      const bool used = std::any_of(wanted_.begin(), wanted_.end(),
                                    [&](const auto& want) { return want.second == at->first; });
      if (!used) table_->release(at->second);
      at = used ? std::next(at) : held_.erase(at);
    }
  }

  void set_link(std::uint32_t ifindex, bool usable) {
    if ((kernel_.dead_links.count(ifindex) == 0) == usable) return;
    kernel_.link(ifindex, usable);
    Link link;
    link.ifindex = ifindex;
    link.up = link.carrier = usable;
    events_.push_back([this, link] { table_->link(link, now_); });
  }

  void tell(const RouteEvent& event, bool* delivered = nullptr) {
    if (!calm_ && below(10) == 0) {
      lost_ = true;
      return;
    }
    events_.push_back([this, event, delivered] {
      if (delivered != nullptr) *delivered = true;
      table_->observed(event, now_);
    });
  }

  /// `ip route del` of one of ours.
  void meddle_route() {
    if (kernel_.routes.empty()) return;
    auto at =
        std::next(kernel_.routes.begin(), below(static_cast<unsigned>(kernel_.routes.size())));
    if (at->second.protocol != route_protocol) return;
    const Route route = at->second;
    kernel_.routes.erase(at);
    tell({route, true, false});
  }
  void meddle_nexthop() {
    if (kernel_.nexthops.empty() || below(4) != 0) return;
    auto at =
        std::next(kernel_.nexthops.begin(), below(static_cast<unsigned>(kernel_.nexthops.size())));
    const NextHopObject object = at->second;
    kernel_.remove_object(object.id);
    events_.push_back([this, object] { table_->observed(NextHopEvent{object, true}, now_); });
    if (object.is_group()) return;
    for (const auto& [id, group] : kernel_.nexthops) {
      if (!group.is_group()) continue;
      events_.push_back([this, g = group] { table_->observed(NextHopEvent{g, false}, now_); });
    }
  }
  /// Another daemon adds or removes a route, sometimes at our metric; it never overwrites one of
  /// ours.
  void foreign() {
    Route route;
    route.prefix = any_prefix();
    const ModelKernel::Key key =
        key_of(route.prefix, below(3) == 0 ? Placement{0, 5} : all_places.at(below(4)));
    route.metric = key.second;
    route.table = key.table;
    route.protocol = foreign_protocol;
    const auto there = kernel_.routes.find(key);
    if (there == kernel_.routes.end()) {
      kernel_.routes[key] = route;
      known_[key] = false;
      const int instance = ++instances_[key];
      events_.push_back([this, route, key, instance] {
        known_[key] = instances_[key] == instance;
        table_->observed(RouteEvent{route, false, false}, now_);
      });
    } else if (there->second.protocol == foreign_protocol) {
      kernel_.routes.erase(there);
      known_[key] = false;
      ++instances_[key];
      events_.push_back([this, route] { table_->observed(RouteEvent{route, true, false}, now_); });
    }
  }

  /// A new weftd: knows its configuration, learns the rest again, finds the kernel as it is.
  void restart() {
    queue_.clear();
    reports_.clear();
    events_.clear();
    held_.clear();
    outstanding_ = 0;
    lost_ = false;
    dead_.clear();
    express_reports_.clear();
    table_.emplace(kernel_.settings);
    // What is configured is known before the first dump, or comes to be known later; what was
    // written once is on record.
    table_->former_tables({100, 1000});
    for (const Placement& where : all_places) {
      if (below(2) == 0) table_->place(where);
    }
    table_->fast_groups(below(4) != 0);
    table_->start(now_);
    for (std::uint32_t ifindex = 2; ifindex < 6; ++ifindex) {
      Link link;
      link.ifindex = ifindex;
      link.up = link.carrier = kernel_.dead_links.count(ifindex) == 0;
      table_->link(link, now_);
    }
    for (const auto& [prefix, set] : wanted_) {
      table_->want(prefix, held(set), now_, table_->place(places_.at(prefix)));
    }
    for (const Prefix& block : blackholes_) table_->want_blackhole(block, now_);
  }

  /// A session ends, or is back.
  void flip_gateway() {
    const NextHop& hop = singles_[below(static_cast<unsigned>(singles_.size()))];
    const bool dead = dead_.erase(hop) == 0;
    if (dead) dead_.insert(hop);
    table_->reachable(hop.gateway, hop.ifindex, !dead, now_);
    // Wrongly, mostly: then its routes wait until it is back.
    if (dead && below(2) == 0) table_->forsake(hop.gateway, hop.ifindex);
  }

  /// The other lane: carried out at once, whatever is still in the queue; answered some time.
  bool express() {
    if (!express_reports_.empty() && (calm_ || below(2) == 0)) {
      Answer answer = std::move(express_reports_.front());
      express_reports_.pop_front();
      table_->settle(std::move(answer), now_);
      return true;
    }
    auto batch = table_->take_express(now_);
    if (!batch) return false;
    express_reports_.push_back(
        kernel_.carry_out(std::move(*batch), [&] { return calm_ || below(30) != 0 ? 0 : ENOMEM; }));
    return true;
  }

  bool deliver_event() {
    if (events_.empty()) return false;
    const auto event = std::move(events_.front());
    events_.pop_front();
    event();
    return true;
  }

  /// Takes work; the kernel carries it out some time later, but in order.
  bool work() {
    bool done = false;
    if (outstanding_ < 3) {
      const auto known_before = known_;
      if (auto work = table_->take(now_)) {
        ++outstanding_;
        queue_.push_back({std::move(*work), known_before});
        done = true;
      }
    }
    if (!queue_.empty() && (calm_ || below(3) != 0)) {
      carry_out(std::move(queue_.front()));
      queue_.pop_front();
      done = true;
    }
    return done;
  }

  struct Queued {
    Work work;
    /// The foreign routes the table had heard of when it gave this out.
    std::map<ModelKernel::Key, bool> known;
  };

  void carry_out(Queued queued) {
    if (const auto* request = std::get_if<DumpRequest>(&queued.work)) {
      for (DumpPart& part : kernel_.dump(*request)) reports_.emplace_back(std::move(part));
      return;
    }
    const bool breaks = !calm_ && below(100) == 0;
    kernel_.harmed.clear();
    Answer answer = kernel_.carry_out(std::get<Batch>(std::move(queued.work)), [&] {
      return calm_ || below(60) != 0 ? 0 : below(2) == 0 ? ENOMEM : EINVAL;
    });
    // What is overwritten before we could know of it is the kernel interface's own race.
    for (const auto& key : kernel_.harmed) {
      harmed_ += queued.known[key] ? 1 : 0;
      known_[key] = false;
      ++instances_[key];
    }
    if (breaks) {
      answer.faults.clear();
      answer.broken = "broken";
    }
    reports_.emplace_back(std::move(answer));
  }

  bool deliver_report() {
    if (reports_.empty()) return false;
    Report report = std::move(reports_.front());
    reports_.pop_front();
    const auto* part = std::get_if<DumpPart>(&report);
    if (part == nullptr || part->last) --outstanding_;
    table_->settle(std::move(report), now_);
    return true;
  }

  std::mt19937 random_;
  ModelKernel kernel_;
  std::optional<Table> table_;
  Time now_{1h};
  NextHops singles_;
  std::vector<Prefix> prefixes_;
  std::map<Prefix, NextHops> wanted_;
  std::map<Prefix, Placement> places_;
  std::set<Prefix> blackholes_;
  std::map<NextHops, GroupRef> held_;
  std::map<ModelKernel::Key, bool> known_;
  std::map<ModelKernel::Key, int> instances_;
  std::deque<std::function<void()>> events_;
  std::deque<Queued> queue_;
  std::deque<Report> reports_;
  std::deque<Answer> express_reports_;
  std::set<NextHop> dead_;
  unsigned outstanding_ = 0;
  int harmed_ = 0;
  bool lost_ = false;
  bool calm_ = false;
};

class TableProperty : public testing::TestWithParam<unsigned> {};

TEST_P(TableProperty, EndsWithTheKernelAsWanted) {
  for (unsigned seed = GetParam() * 50; seed < GetParam() * 50 + 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    world.run(1500);
    world.calm_down();
    world.check();
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, TableProperty, testing::Range(0U, 10U));

}  // namespace
}  // namespace weft::fib
