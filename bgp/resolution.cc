#include "bgp/resolution.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace weft::bgp {
namespace {

class Walk {
 public:
  Walk(Surroundings& tables, const MultipathLimits& limits, bool by_default)
      : tables_(tables), limits_(limits), shortest_(by_default ? 0 : 1) {}

  struct Way {
    NextHops gateways;
    std::uint32_t metric = 0;
  };

  Way to(const Address& address) {
    if (on_the_way_.size() == resolution_depth) return {};
    on_the_way_.push_back(address);
    Way way;
    unsigned length = bits(address.family());
    while (!settles({address, length}, way) && length > shortest_) --length;
    on_the_way_.pop_back();
    const auto [known, fresh] = looked_.try_emplace(address, length);
    if (!fresh) known->second = std::min(known->second, length);
    return way;
  }

  Resolution outcome(Way way) {
    if (tangled()) way = {};
    Resolution made{std::move(way.gateways), way.metric, {}, steps_};
    for (const auto& [address, least] : looked_) made.looked.push_back({address, least});
    return made;
  }

 private:
  using Kind = Surroundings::Link::Kind;

  [[nodiscard]] bool tangled() const { return steps_ > resolution_steps; }

  [[nodiscard]] bool leads_back(const Address& address) const {
    return std::find(on_the_way_.begin(), on_the_way_.end(), address) != on_the_way_.end();
  }

  Way by(const Surroundings::Link& link) {
    if (link.kind == Kind::on_link) return {{link.gateway}, 0};
    if (link.kind == Kind::behind && !leads_back(link.address)) return to(link.address);
    return {};
  }

  /// False where a shorter prefix may still say where to go.
  bool settles(const Prefix& prefix, Way& found) {
    std::vector<Surroundings::Path> paths;
    tables_.paths(prefix, paths);
    steps_ += 1 + paths.size();
    if (tangled()) return true;
    std::vector<Way> ways(paths.size());
    std::vector<bool> sinks(paths.size());
    std::vector<Candidate> candidates;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      Candidate each = paths[i].candidate;
      const Surroundings::Link link = tables_.link(paths[i].next_hop);
      sinks[i] = link.kind == Kind::sink;
      if (!each.refused) ways[i] = by(link);
      each.resolved = sinks[i] || !ways[i].gateways.empty();
      each.igp_metric = ways[i].metric;
      each.index = static_cast<std::uint32_t>(i);
      candidates.push_back(each);
    }
    const std::size_t sharing = decide(candidates, limits_);
    if (sharing == 0) return false;
    const Candidate& best = candidates.front();
    if (sinks[best.index]) return true;
    constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
    found.metric = best.med > most - best.igp_metric ? most : best.med + best.igp_metric;
    std::vector<Share> shares;
    for (const Candidate& each : candidates) {
      if (each.multipath && !sinks[each.index])
        shares.push_back({ways[each.index].gateways, paths[each.index].bandwidth});
    }
    found.gateways = share(shares, limits_.paths);
    return true;
  }

  Surroundings& tables_;
  const MultipathLimits& limits_;
  unsigned shortest_;
  std::vector<Address> on_the_way_;
  std::map<Address, unsigned> looked_;
  std::size_t steps_ = 0;
};

}  // namespace

Resolution resolve(const Address& to, Surroundings& tables, const MultipathLimits& limits,
                   bool by_default) {
  Walk walk(tables, limits, by_default);
  Walk::Way way = walk.to(to);
  return walk.outcome(std::move(way));
}

std::optional<unsigned> ResolutionIndex::least(NextHopId who, const Address& address) const {
  const auto known = looked_.find(who);
  if (known == looked_.end()) return {};
  for (const Looked& each : known->second) {
    if (each.address == address) return each.least;
  }
  return {};
}

void ResolutionIndex::set(NextHopId who, std::vector<Looked> looked) {
  const auto known = looked_.find(who);
  if (known != looked_.end()) {
    if (known->second == looked) return;
    for (const Looked& each : known->second) {
      const auto at = at_.find(each.address);
      std::erase_if(at->second, [&](const Looker& looker) { return looker.who == who; });
      if (at->second.empty()) at_.erase(at);
    }
    looked_.erase(known);
  }
  if (looked.empty()) return;
  for (const Looked& each : looked) at_[each.address].push_back({who, each.least});
  looked_.emplace(who, std::move(looked));
}

}  // namespace weft::bgp
