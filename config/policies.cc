#include "config/policies.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "config/keys.h"

namespace weft::config {
namespace {

using bgp::CommunityPattern;
using bgp::PrefixRange;

/// Runs `each` over the members of a mapping, in scope of their names; `what` for sentences.
template <typename Each>
void for_each_named(Reader& reader, const Node& bgp, std::string_view key, std::size_t limit,
                    Each each) {
  const Node* section = bgp.find(key);
  if (section == nullptr) return;
  const Reader::Scope scope(reader, key);
  if (!reader.mapping(*section)) return;
  if (section->items.size() > limit) {
    reader.fail(*section,
                fmt::format("has {} entries, more than {}", section->items.size(), limit));
    return;
  }
  for (std::size_t i = 0; i < section->items.size(); ++i) {
    const Reader::Scope inner(reader, section->keys[i].text);
    each(section->keys[i], section->items[i]);
  }
}

/// A name for a set or a policy that can be told from a member of a list.
std::string name_of(Reader& reader, const Node& key) {
  const auto name = reader.word(key, name_limit, "-_");
  if (!name) return {};
  if (bgp::community::named(*name) || *name == bgp::pools_set || *name == bgp::default_set ||
      bgp::Filter{*name}.is_template()) {
    reader.fail(key, fmt::format("'{}' means something already; choose another name", *name));
  }
  return *name;
}

/// The members of a set: a list that is not empty, of members alone.
template <typename Member, typename Parse>
std::vector<Member> read_set(Reader& reader, const Node& node, std::string_view example,
                             Parse parse) {
  std::vector<Member> members;
  if (!reader.sequence(node)) return members;
  if (node.items.empty())
    reader.fail(node, fmt::format("must list at least one, such as {}", example));
  for (const Node& item : node.items) {
    const auto text = reader.text(item, name_limit);
    if (!text) continue;
    const Result<Member> member = parse(*text);
    if (member) {
      members.push_back(*member);
    } else {
      reader.fail(item, member.error().message);
    }
  }
  return members;
}

void read_rules(Reader& reader, const Node& node, bgp::PolicySettings& policy) {
  if (!reader.sequence(node)) return;
  if (node.items.empty()) {
    reader.fail(node,
                "must list at least one rule, such as {match: {prefix: pools}, then: accept}");
  }
  if (node.items.size() > bgp::rule_limit) {
    reader.fail(node, fmt::format("{} rules are more than {}", node.items.size(), bgp::rule_limit));
    return;
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Reader::Scope scope(reader, fmt::format("[{}]", i));
    bgp::RuleSettings rule;
    read_keys(reader, node.items[i], rule);
    if (rule.name.empty()) rule.name = fmt::format("{}", i + 1);
    if (!names.insert(rule.name).second) {
      reader.fail(node.items[i], fmt::format("a rule called '{}' stands above already", rule.name));
    }
    if (rule.then == bgp::RuleVerdict::reject && !(rule.set == bgp::RuleSet{})) {
      reader.fail(node.items[i], "a rule that rejects cannot set anything");
    }
    policy.rules.push_back(std::move(rule));
  }
}

/// Scalars of a value that may be one or a list of them.
std::vector<const Node*> scalars(const Node* node) {
  std::vector<const Node*> found;
  if (node == nullptr) return found;
  if (node->kind == Node::Kind::scalar) found.push_back(node);
  for (const Node& item : node->items) {
    if (node->kind == Node::Kind::sequence && item.kind == Node::Kind::scalar) {
      found.push_back(&item);
    }
  }
  return found;
}

template <typename Named>
std::vector<std::string_view> names_of(const std::vector<Named>& all) {
  std::vector<std::string_view> names;
  names.reserve(all.size());
  for (const Named& each : all) names.push_back(each.name);
  return names;
}

bool has(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class NameCheck {
 public:
  NameCheck(Reader& reader, const bgp::Settings& settings)
      : reader_(reader),
        prefix_sets_(names_of(settings.prefix_sets)),
        community_sets_(names_of(settings.community_sets)),
        peers_(names_of(settings.peers)) {
    prefix_sets_.push_back(bgp::pools_set);
    prefix_sets_.push_back(bgp::default_set);
  }

  void rule(const Node& node) {
    if (const Node* match = node.find("match")) {
      const Reader::Scope scope(reader_, "match");
      for (const char* key : {"prefix", "next-hop"}) {
        list(*match, key, "prefix set", prefix_sets_, [](const std::string& text) {
          return text.find_first_of("./:") == std::string::npos;
        });
      }
      list(*match, "community", "community set", community_sets_, is_set_of_communities);
      list(*match, "peer", "peer", peers_, [](const std::string&) { return true; });
    }
    const Node* set = node.find("set");
    const Node* communities = set == nullptr ? nullptr : set->find("community");
    if (communities == nullptr) return;
    const Reader::Scope scope(reader_, "set.community");
    for (const char* key : {"replace", "remove", "add"}) {
      list(*communities, key, "community set", community_sets_, is_set_of_communities);
    }
  }

 private:
  static bool is_set_of_communities(const std::string& text) {
    return text.find(':') == std::string::npos && text.substr(0, 2) != "0x" &&
           !bgp::community::named(text);
  }

  template <typename IsName>
  void list(const Node& mapping, std::string_view key, std::string_view what,
            const std::vector<std::string_view>& known, IsName is_name) {
    const Reader::Scope scope(reader_, key);
    for (const Node* item : scalars(mapping.find(key))) {
      if (!is_name(item->text) || has(known, item->text)) continue;
      reader_.fail(*item, fmt::format("there is no {} {}{}", what, quoted(item->text),
                                      known.empty() ? "" : suggestion(item->text, known)));
    }
  }

  Reader& reader_;
  std::vector<std::string_view> prefix_sets_;
  std::vector<std::string_view> community_sets_;
  std::vector<std::string_view> peers_;
};

template <typename Members>
std::string texts(const Members& members) {
  std::vector<std::string> all;
  all.reserve(members.size());
  for (const auto& each : members) all.push_back(yaml_text(each.text()));
  return fmt::format("[{}]", fmt::join(all, ", "));
}

}  // namespace

void read_policies(Reader& reader, const Node& bgp, bgp::Settings& settings) {
  for_each_named(
      reader, bgp, "prefix-sets", bgp::set_limit, [&](const Node& key, const Node& node) {
        settings.prefix_sets.push_back(
            {name_of(reader, key),
             read_set<PrefixRange>(reader, node, "10.0.0.0/8 ge 24 le 32", PrefixRange::parse)});
      });
  for_each_named(
      reader, bgp, "community-sets", bgp::set_limit, [&](const Node& key, const Node& node) {
        settings.community_sets.push_back(
            {name_of(reader, key),
             read_set<CommunityPattern>(reader, node, "65001:100", CommunityPattern::parse)});
      });
  for_each_named(reader, bgp, "policies", bgp::policy_limit,
                 [&](const Node& key, const Node& node) {
                   bgp::PolicySettings policy{name_of(reader, key), {}};
                   read_rules(reader, node, policy);
                   settings.policies.push_back(std::move(policy));
                 });
}

void check_policies(Reader& reader, const Node& bgp, const bgp::Settings& settings) {
  // What is no mapping or no list has been told about already.
  const Node* section = bgp.find("policies");
  if (section == nullptr || section->kind != Node::Kind::mapping) return;
  NameCheck check(reader, settings);
  const Reader::Scope scope(reader, "policies");
  for (std::size_t i = 0; i < section->items.size(); ++i) {
    const Node& rules = section->items[i];
    const Reader::Scope inner(reader, section->keys[i].text);
    for (std::size_t n = 0; rules.kind == Node::Kind::sequence && n < rules.items.size(); ++n) {
      const Reader::Scope rule(reader, fmt::format("[{}]", n));
      check.rule(rules.items[n]);
    }
  }
}

void check_filter(Reader& reader, const Node& at, const bgp::Filter& filter,
                  const bgp::Settings& settings) {
  auto known = names_of(settings.policies);
  if (filter.is_template() || has(known, filter.name)) return;
  known.insert(known.end(), {"host", "accept"});
  reader.fail(at, fmt::format("there is no policy {} in bgp.policies{}", quoted(filter.name),
                              suggestion(filter.name, known)));
}

std::string write_prefix_sets(const bgp::Settings& settings) {
  std::vector<std::string> sets;
  for (const bgp::PrefixSet& set : settings.prefix_sets) {
    sets.push_back(fmt::format("{}: {}", yaml_text(set.name), texts(set.ranges)));
  }
  return fmt::format("{{{}}}", fmt::join(sets, ", "));
}

std::string write_community_sets(const bgp::Settings& settings) {
  std::vector<std::string> sets;
  for (const bgp::CommunitySet& set : settings.community_sets) {
    sets.push_back(fmt::format("{}: {}", yaml_text(set.name), texts(set.communities)));
  }
  return fmt::format("{{{}}}", fmt::join(sets, ", "));
}

std::string write_policies(const bgp::Settings& settings) {
  std::vector<std::string> policies;
  for (const bgp::PolicySettings& policy : settings.policies) {
    std::vector<std::string> rules;
    for (const bgp::RuleSettings& rule : policy.rules) rules.push_back(write_keys(rule));
    policies.push_back(fmt::format("{}: [{}]", yaml_text(policy.name), fmt::join(rules, ", ")));
  }
  return fmt::format("{{{}}}", fmt::join(policies, ", "));
}

}  // namespace weft::config
