// PolicyRules: one policy of an operator, compiled: names resolved, prefixes in one index, AS path
// expressions in tables. Says of a route whether it is accepted, how it leaves, and which rules it
// met; counts those. Not here: where policies stand (policy.h), memory of what was said before
// (policy_memo.h). RFC 4271 9.1.1, 9.1.3.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/as_path_regex.h"
#include "bgp/attributes.h"
#include "bgp/policy_settings.h"
#include "bgp/prefix_index.h"
#include "net/ip.h"

namespace weft::bgp {

struct Settings;

enum class Direction : std::uint8_t { import, to_export };
std::string_view name(Direction direction);

/// What rules ask of a route beside its prefix and attributes.
struct PolicyRoute {
  Direction direction = Direction::import;
  RouteOrigin source = RouteOrigin::external;
  /// It was learned from; empty for our own.
  std::string_view peer;
  /// None for our own.
  std::optional<Address> next_hop;
  /// The one that let the peer in; empty for a listed peer.
  std::string_view range = {};
};

struct PolicyOutcome {
  bool accepted = false;
  /// `attributes` differ from what came.
  bool changed = false;
  /// A rule gave the route this MED, which then is meant for the next AS, too.
  bool med_set = false;
  Attributes attributes;
  std::optional<std::variant<NextHopRewrite, Address>> next_hop;
  /// "prepend" on export: what the session's own AS is repeated by.
  std::uint32_t prepend = 0;
  /// Rules it met, in order; the last one decided unless it says `next`.
  std::vector<std::uint16_t> rules;
};

class PolicyRules {
 public:
  /// Of a policy whose sets and expressions are good: `config` has seen to that. An unknown set is
  /// empty, a bad expression matches nothing.
  PolicyRules(const PolicySettings& policy, const Settings& settings);

  /// With the sets in place of their names: what makes two policies the same.
  [[nodiscard]] const PolicySettings& resolved() const { return resolved_; }

  /// Which prefix conditions hold: all that decide() asks of a prefix.
  [[nodiscard]] PrefixIndex::Numbers conditions(const Prefix& prefix) const {
    return prefixes_.find(prefix);
  }
  [[nodiscard]] PolicyOutcome decide(const PrefixIndex::Numbers& conditions, Family family,
                                     const PolicyRoute& route, Attributes attributes) const;

  /// Counts a route that took this course.
  void count(Direction direction, const std::vector<std::uint16_t>& rules, bool accepted) const;
  struct Hits {
    /// By rule, since the policy was compiled.
    std::vector<std::uint64_t> rules;
    /// Rejected by no rule: none had matched.
    std::uint64_t unmatched = 0;
  };
  [[nodiscard]] const Hits& hits(Direction direction) const {
    return hits_.at(static_cast<std::size_t>(direction));
  }
  /// "policy from-tor, rule no-bogons"
  [[nodiscard]] std::string blame(const PolicyOutcome& outcome) const;

 private:
  struct Rule {
    std::vector<AsPathRegex> as_paths;
    std::vector<CommunityPattern> communities;
    std::vector<PrefixRange> next_hops;
    std::vector<CommunityPattern> replace;
    std::vector<CommunityPattern> remove;
    std::vector<CommunityPattern> add;
  };
  [[nodiscard]] bool matches(std::size_t number, const PolicyRoute& route,
                             const Attributes& attributes) const;
  void apply(std::size_t number, Direction direction, PolicyOutcome& outcome) const;

  PolicySettings resolved_;
  std::vector<Rule> rules_;
  PrefixIndex prefixes_;
  mutable std::array<Hits, 2> hits_;
};

/// All policies of a speaker, by name.
using Policies = std::map<std::string, std::shared_ptr<const PolicyRules>, std::less<>>;
/// Those of `running` that say the same stay the very same, with their hits.
Policies compile(const Settings& settings, const Policies& running);

}  // namespace weft::bgp
