#include "bgp/policy_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bgp/settings.h"

namespace weft::bgp {
namespace {

template <typename Set>
const Set* find(const std::vector<Set>& sets, std::string_view name) {
  const auto found =
      std::find_if(sets.begin(), sets.end(), [&](const Set& each) { return each.name == name; });
  return found == sets.end() ? nullptr : &*found;
}

std::vector<PrefixRange> ranges_of(const Settings& settings, std::string_view set) {
  std::vector<PrefixRange> ranges;
  if (set == pools_set) {
    for (const Prefix& pool : settings.pools) ranges.push_back(PrefixRange::within(pool));
  } else if (set == default_set) {
    ranges.push_back(PrefixRange::exactly(Prefix()));
    ranges.push_back(PrefixRange::exactly(Prefix(Address::ipv6({}), 0)));
  } else if (const PrefixSet* found = find(settings.prefix_sets, set)) {
    ranges = found->ranges;
  }
  return ranges;
}

/// Members in place of the names of sets. The name of an empty one stays: it matches nothing, and
/// must not come to be no condition at all.
template <typename Member, typename MembersOf>
void resolve(std::vector<OrNamed<Member>>& list, MembersOf members_of) {
  std::vector<OrNamed<Member>> resolved;
  for (const auto& each : list) {
    const auto* set = std::get_if<std::string>(&each);
    const std::vector<Member> inside = set == nullptr ? std::vector<Member>() : members_of(*set);
    if (inside.empty()) resolved.push_back(each);
    for (const Member& member : inside) resolved.emplace_back(member);
  }
  list = std::move(resolved);
}

void resolve(Prefixes& list, const Settings& settings) {
  resolve<PrefixRange>(list, [&](const std::string& set) { return ranges_of(settings, set); });
}

void resolve(Communities& list, const Settings& settings) {
  resolve<CommunityPattern>(list, [&](const std::string& name) {
    const CommunitySet* set = find(settings.community_sets, name);
    return set == nullptr ? std::vector<CommunityPattern>() : set->communities;
  });
}

template <typename Member>
std::vector<Member> members(const std::vector<OrNamed<Member>>& list) {
  std::vector<Member> all;
  for (const auto& each : list) {
    if (const Member* member = std::get_if<Member>(&each)) all.push_back(*member);
  }
  return all;
}

template <typename List, typename Value>
bool has(const List& list, const Value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

template <typename List, typename Value>
bool empty_or_has(const List& list, const Value& value) {
  return list.empty() || has(list, value);
}

}  // namespace

std::string_view name(RouteOrigin origin) {
  switch (origin) {
    case RouteOrigin::local:
      return "local";
    case RouteOrigin::external:
      return "external";
    case RouteOrigin::internal:
      return "internal";
  }
  return "?";
}

std::string_view name(RuleVerdict verdict) {
  switch (verdict) {
    case RuleVerdict::accept:
      return "accept";
    case RuleVerdict::reject:
      return "reject";
    case RuleVerdict::next:
      return "next";
  }
  return "?";
}

std::string_view name(Direction direction) {
  return direction == Direction::import ? "import" : "export";
}

PolicyRules::PolicyRules(const PolicySettings& policy, const Settings& settings)
    : resolved_(policy) {
  for (std::size_t number = 0; number < resolved_.rules.size(); ++number) {
    RuleSettings& said = resolved_.rules[number];
    Rule rule;
    for (Prefixes* list : {&said.match.prefixes, &said.match.next_hops}) resolve(*list, settings);
    for (Communities* list :
         {&said.match.communities, &said.set.remove_communities, &said.set.add_communities}) {
      resolve(*list, settings);
    }
    if (said.set.replace_communities) {
      resolve(*said.set.replace_communities, settings);
      rule.replace = members(*said.set.replace_communities);
    }
    for (const PrefixRange& range : members(said.match.prefixes)) prefixes_.add(range, number);
    for (const std::string& text : said.match.as_paths) {
      if (auto regex = AsPathRegex::compile(text)) rule.as_paths.push_back(std::move(*regex));
    }
    rule.communities = members(said.match.communities);
    rule.next_hops = members(said.match.next_hops);
    rule.remove = members(said.set.remove_communities);
    rule.add = members(said.set.add_communities);
    rules_.push_back(std::move(rule));
  }
  prefixes_.build();
  for (Hits& each : hits_) each.rules.resize(rules_.size());
}

bool PolicyRules::matches(std::size_t number, const PolicyRoute& route,
                          const Attributes& attributes) const {
  const RuleMatch& said = resolved_.rules[number].match;
  const Rule& rule = rules_[number];
  if (!empty_or_has(said.sources, route.source)) return false;
  if (!empty_or_has(said.peers, route.peer) && !has(said.peers, route.range)) return false;
  if (!empty_or_has(said.origins, attributes.origin)) return false;
  const auto any = [](const auto& asked, const auto& all, auto holds) {
    return asked.empty() || std::any_of(all.begin(), all.end(), holds);
  };
  const bool next_hop_fits = any(said.next_hops, rule.next_hops, [&](const PrefixRange& range) {
    return route.next_hop && range.prefix.contains(*route.next_hop);
  });
  const bool communities_fit =
      next_hop_fits && any(said.communities, rule.communities,
                           [&](const CommunityPattern& each) { return each.in(attributes); });
  return communities_fit && any(said.as_paths, rule.as_paths, [&](const AsPathRegex& regex) {
           return regex.matches(attributes.as_path);
         });
}

void PolicyRules::apply(std::size_t number, Direction direction, PolicyOutcome& outcome) const {
  const RuleSet& set = resolved_.rules[number].set;
  const Rule& rule = rules_[number];
  Attributes& to = outcome.attributes;
  if (set.local_pref) to.local_pref = set.local_pref;
  if (set.med) to.med = set.med;
  outcome.med_set |= set.med.has_value();
  if (set.origin) to.origin = *set.origin;
  if (set.next_hop) outcome.next_hop = set.next_hop;
  if (set.prepend && direction == Direction::to_export) outcome.prepend += *set.prepend;
  if (set.prepend && direction == Direction::import) {
    // Ours would look like a loop.
    if (const auto leftmost = to.as_path.first()) to.as_path.prepend(*leftmost, *set.prepend);
  }
  if (set.replace_communities) {
    to.communities.clear();
    to.extended_communities.clear();
    to.large_communities.clear();
    for (const CommunityPattern& each : rule.replace) each.add_to(to);
  }
  for (const CommunityPattern& each : rule.remove) each.remove_from(to);
  for (const CommunityPattern& each : rule.add) each.add_to(to);
}

PolicyOutcome PolicyRules::decide(const PrefixIndex::Numbers& conditions, Family family,
                                  const PolicyRoute& route, Attributes attributes) const {
  PolicyOutcome outcome;
  const Attributes before = attributes;
  outcome.attributes = std::move(attributes);
  for (std::size_t number = 0; number < rules_.size(); ++number) {
    const RuleSettings& said = resolved_.rules[number];
    if (!said.match.prefixes.empty() && !conditions.test(number)) continue;
    if (said.match.family && *said.match.family != family) continue;
    if (!matches(number, route, outcome.attributes)) continue;
    outcome.rules.push_back(static_cast<std::uint16_t>(number));
    if (said.then == RuleVerdict::reject) break;
    apply(number, route.direction, outcome);
    if (said.then == RuleVerdict::accept) {
      outcome.accepted = true;
      break;
    }
  }
  outcome.changed = outcome.accepted && outcome.attributes != before;
  return outcome;
}

void PolicyRules::count(Direction direction, const std::vector<std::uint16_t>& rules,
                        bool accepted) const {
  Hits& hits = hits_.at(static_cast<std::size_t>(direction));
  for (const std::uint16_t rule : rules) ++hits.rules[rule];
  const bool decided = !rules.empty() && resolved_.rules[rules.back()].then != RuleVerdict::next;
  if (!decided && !accepted) ++hits.unmatched;
}

std::string PolicyRules::blame(const PolicyOutcome& outcome) const {
  const bool decided =
      !outcome.rules.empty() && resolved_.rules[outcome.rules.back()].then != RuleVerdict::next;
  if (!decided) return fmt::format("policy {}, no rule matched", resolved_.name);
  return fmt::format("policy {}, rule {}", resolved_.name,
                     resolved_.rules[outcome.rules.back()].name);
}

Policies compile(const Settings& settings, const Policies& running) {
  Policies made;
  for (const PolicySettings& policy : settings.policies) {
    auto rules = std::make_shared<const PolicyRules>(policy, settings);
    const auto known = running.find(policy.name);
    if (known != running.end() && known->second->resolved() == rules->resolved()) {
      rules = known->second;
    }
    made.emplace(policy.name, std::move(rules));
  }
  return made;
}

}  // namespace weft::bgp
