// What an operator writes of policies: ordered rules, each with what it matches and what it does.
// Plain data, filled by `config`; policy_rules.h compiles it. RFC 4271 9.1.1, 9.1.3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bgp/attributes.h"
#include "bgp/community_pattern.h"
#include "bgp/prefix_index.h"
#include "net/ip.h"

namespace weft::bgp {

inline constexpr std::size_t policy_limit = 64;
/// Rules of one policy.
inline constexpr std::size_t rule_limit = 256;
/// Named sets of one kind.
inline constexpr std::size_t set_limit = 256;
/// "prepend: N"
inline constexpr std::size_t prepend_limit = 16;

struct PrefixSet {
  std::string name;
  std::vector<PrefixRange> ranges;
  bool operator==(const PrefixSet&) const = default;
};

struct CommunitySet {
  std::string name;
  std::vector<CommunityPattern> communities;
  bool operator==(const CommunitySet&) const = default;
};

/// Prefix sets that are always there: what the pools hold, and the default routes.
inline constexpr std::string_view pools_set = "pools";
inline constexpr std::string_view default_set = "default-route";

/// A member of a list, or a set of them by name.
template <typename Member>
using OrNamed = std::variant<Member, std::string>;
using Prefixes = std::vector<OrNamed<PrefixRange>>;
using Communities = std::vector<OrNamed<CommunityPattern>>;

/// Where a route comes from.
enum class RouteOrigin : std::uint8_t { local, external, internal };
std::string_view name(RouteOrigin origin);

/// All that is said must hold; of a list, one is enough. Empty: not asked for.
struct RuleMatch {
  Prefixes prefixes;
  std::optional<Family> family;
  /// Expressions of AsPathRegex.
  std::vector<std::string> as_paths;
  Communities communities;
  /// The next hop is an address inside.
  Prefixes next_hops;
  std::vector<Origin> origins;
  /// Names of the peers it was learned from, or of the ranges that let them in.
  std::vector<std::string> peers;
  std::vector<RouteOrigin> sources;
  bool operator==(const RuleMatch&) const = default;
};

/// The next hop that goes out: as it came, or each session's own address.
enum class NextHopRewrite : std::uint8_t { unchanged, self };

/// In the order they stand here.
struct RuleSet {
  std::optional<std::uint32_t> local_pref;
  std::optional<std::uint32_t> med;
  /// As many times more, 1..prepend_limit: the leftmost AS of the path, which on export to another
  /// AS is ours.
  std::optional<std::uint32_t> prepend;
  std::optional<Origin> origin;
  std::optional<std::variant<NextHopRewrite, Address>> next_hop;
  /// All communities of all kinds give way to these.
  std::optional<Communities> replace_communities;
  Communities remove_communities;
  Communities add_communities;
  bool operator==(const RuleSet&) const = default;
};

/// `next`: on to the next rule, which sees what was set.
enum class RuleVerdict : std::uint8_t { accept, reject, next };
std::string_view name(RuleVerdict verdict);

struct RuleSettings {
  /// Unique in its policy; shown with its hits.
  std::string name;
  RuleMatch match;
  RuleSet set;
  RuleVerdict then = RuleVerdict::accept;
  bool operator==(const RuleSettings&) const = default;
};

/// The first rule that matches decides; what no rule decides is rejected.
struct PolicySettings {
  std::string name;
  std::vector<RuleSettings> rules;
  bool operator==(const PolicySettings&) const = default;
};

}  // namespace weft::bgp
