// Resolution: where packets to a next hop go that is on no link of ours. The longest prefix of the
// table around it leads there, by next hops that may need the same in turn. A pure function of what
// peers have told and of what is connected, never of what was decided before: no order of events
// makes another outcome, and nothing can swing. Not here: which next hops need it (next_hops.h),
// the ladder (decision.h). RFC 4271 5.1.3, 9.1.2.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "bgp/decision.h"
#include "bgp/link_bandwidth.h"
#include "bgp/rib.h"
#include "net/ip.h"
#include "net/next_hop.h"

namespace weft::bgp {

/// The tables, as a resolution sees them.
class Surroundings {
 public:
  struct Path {
    /// Resolution itself says what is resolved, how far it is, and the index.
    Candidate candidate;
    NextHopId next_hop = NextHopId::local;
    BandwidthClass bandwidth = 0;
  };
  struct Link {
    enum class Kind : std::uint8_t {
      nowhere,
      on_link,  ///< `gateway` is it
      sink,     ///< this node itself, or where packets are dropped
      behind,   ///< routes lead to `address`, if anything does
    };
    Kind kind = Kind::nowhere;
    NextHop gateway;
    Address address;
  };

  /// Appends every path of the prefix, refused ones too.
  virtual void paths(const Prefix& prefix, std::vector<Path>& found) = 0;
  [[nodiscard]] virtual Link link(NextHopId id) const = 0;

 protected:
  ~Surroundings() = default;
};

/// Of the prefixes around an address, those at least this long had a say.
struct Looked {
  Address address;
  unsigned least = 0;
  auto operator<=>(const Looked&) const = default;
};

struct Resolution {
  /// On connected subnets; empty: it does not resolve.
  NextHops gateways;
  /// MULTI_EXIT_DISC of the routes on the way, summed up.
  std::uint32_t metric = 0;
  /// When none of these changes, the outcome does not. Each address once.
  std::vector<Looked> looked;
  /// What it took: prefixes and paths looked at.
  std::size_t steps = 0;
};

/// Routes on the way to one next hop.
inline constexpr std::size_t resolution_depth = 8;
/// Prefixes and paths looked at for one next hop; one that needs more does not resolve.
inline constexpr std::size_t resolution_steps = 16384;

/// The best paths of the longest prefix that has any, leaving out those that lead back to an
/// address which is being resolved: so nothing resolves through itself. A prefix of our own, or of
/// which packets are dropped, leads nowhere. `by_default`: 0.0.0.0/0 and ::/0 count, too.
Resolution resolve(const Address& to, Surroundings& tables, const MultipathLimits& limits,
                   bool by_default);

/// Who is to be resolved again when a prefix changes.
class ResolutionIndex {
 public:
  /// In place of what it looked at before.
  void set(NextHopId who, std::vector<Looked> looked);
  void forget(NextHopId who) { set(who, {}); }
  /// The shortest prefix around the address that was looked at for `who`: what settled it.
  [[nodiscard]] std::optional<unsigned> least(NextHopId who, const Address& address) const;
  template <typename Each>
  void each_behind(const Prefix& changed, Each each) const {
    if (at_.empty()) return;
    for (auto at = at_.lower_bound(changed.address());
         at != at_.end() && changed.contains(at->first); ++at) {
      for (const Looker& looker : at->second) {
        if (changed.length() >= looker.least) each(looker.who);
      }
    }
  }
  [[nodiscard]] bool empty() const { return at_.empty(); }

 private:
  struct Looker {
    NextHopId who = NextHopId::local;
    unsigned least = 0;
  };
  std::map<Address, std::vector<Looker>> at_;
  std::unordered_map<NextHopId, std::vector<Looked>> looked_;
};

}  // namespace weft::bgp
