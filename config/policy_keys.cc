// The keys of a rule of bgp.policies.
#include <fmt/format.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bgp/as_path_regex.h"
#include "bgp/settings.h"
#include "config/keys.h"

namespace weft::config {
namespace {

using bgp::CommunityPattern;
using bgp::PrefixRange;
using bgp::RuleMatch;
using bgp::RuleSet;
using bgp::RuleSettings;

/// A value that may be one item or a list of them.
std::vector<const Node*> items_of(Reader& reader, const Node& node) {
  std::vector<const Node*> items;
  if (node.kind == Node::Kind::scalar) {
    items.push_back(&node);
  } else if (reader.sequence(node)) {
    if (node.items.empty()) reader.fail(node, "must not be empty; leave it out");
    for (const Node& item : node.items) items.push_back(&item);
  }
  return items;
}

/// `read` gives one item, or nothing when it was told what is wrong.
template <typename Item, typename ReadItem>
std::vector<Item> read_list(Reader& reader, const Node& node, ReadItem read) {
  std::vector<Item> list;
  for (const Node* item : items_of(reader, node)) {
    if (auto value = read(reader, *item)) list.push_back(std::move(*value));
  }
  return list;
}

template <typename Item, typename Text>
std::optional<std::string> write_list(const std::vector<Item>& list, Text text) {
  if (list.empty()) return std::nullopt;
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const Item& each : list) texts.push_back(yaml_text(text(each)));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

/// A member, or the name of a set; `is_member` tells by the look.
template <typename Member, typename IsMember, typename Parse>
std::optional<bgp::OrNamed<Member>> read_member(Reader& reader, const Node& node,
                                                IsMember is_member, Parse parse) {
  const auto text = reader.text(node, name_limit);
  if (!text) return std::nullopt;
  if (!is_member(*text)) {
    auto set = reader.word(node, name_limit, "-_");
    if (!set) return std::nullopt;
    return std::move(*set);
  }
  const Result<Member> member = parse(*text);
  if (member) return *member;
  reader.fail(node, member.error().message);
  return std::nullopt;
}

bool looks_like_prefix(const std::string& text) {
  return text.find_first_of("./:") != std::string::npos;
}

bgp::Prefixes read_prefixes(Reader& reader, const Node& node) {
  return read_list<bgp::Prefixes::value_type>(reader, node, [](Reader& r, const Node& item) {
    return read_member<PrefixRange>(r, item, looks_like_prefix, PrefixRange::parse);
  });
}

/// A next hop may also be given as the one address.
Result<PrefixRange> parse_next_hop(std::string_view text) {
  if (const auto address = Address::parse(text)) {
    return PrefixRange::within(Prefix::host(*address));
  }
  const auto prefix = Prefix::parse(text);
  if (!prefix) return prefix.error();
  return PrefixRange::within(*prefix);
}

bgp::Prefixes read_next_hops(Reader& reader, const Node& node) {
  return read_list<bgp::Prefixes::value_type>(reader, node, [](Reader& r, const Node& item) {
    return read_member<PrefixRange>(r, item, looks_like_prefix, parse_next_hop);
  });
}

std::string text_of_next_hop(const bgp::Prefixes::value_type& each) {
  const auto* range = std::get_if<PrefixRange>(&each);
  return range == nullptr ? std::get<std::string>(each) : range->prefix.text();
}

template <typename Member>
std::string text_of(const bgp::OrNamed<Member>& each) {
  const auto* member = std::get_if<Member>(&each);
  return member == nullptr ? std::get<std::string>(each) : member->text();
}

bgp::Communities read_communities(Reader& reader, const Node& node) {
  const auto looks_like_one = [](const std::string& text) {
    return text.find(':') != std::string::npos || text.substr(0, 2) == "0x" ||
           bgp::community::named(text).has_value();
  };
  return read_list<bgp::Communities::value_type>(reader, node, [&](Reader& r, const Node& item) {
    return read_member<CommunityPattern>(r, item, looks_like_one, CommunityPattern::parse);
  });
}

/// To be put on a route, so none may stand for many.
bgp::Communities read_exact_communities(Reader& reader, const Node& node) {
  bgp::Communities all = read_communities(reader, node);
  for (const auto& each : all) {
    const auto* pattern = std::get_if<CommunityPattern>(&each);
    if (pattern == nullptr || pattern->is_exact()) continue;
    reader.fail(
        node, fmt::format("{} stands for many communities; only one can be set", pattern->text()));
  }
  return all;
}

std::string text_of_community(const bgp::Communities::value_type& each) {
  return text_of(each);
}

/// One of a few words.
template <typename Value>
std::optional<Value> read_choice(Reader& reader, const Node& node,
                                 const std::vector<std::pair<std::string_view, Value>>& choices) {
  std::vector<std::string_view> words;
  for (const auto& [word, value] : choices) {
    if (node.kind == Node::Kind::scalar && node.text == word) return value;
    words.push_back(word);
  }
  reader.fail(node, fmt::format("must be one of {}", fmt::join(words, ", ")));
  return std::nullopt;
}

std::optional<bgp::Origin> read_origin(Reader& reader, const Node& node) {
  return read_choice<bgp::Origin>(reader, node,
                                  {{name(bgp::Origin::igp), bgp::Origin::igp},
                                   {name(bgp::Origin::egp), bgp::Origin::egp},
                                   {name(bgp::Origin::incomplete), bgp::Origin::incomplete}});
}

std::optional<bgp::RouteOrigin> read_source(Reader& reader, const Node& node) {
  using bgp::RouteOrigin;
  return read_choice<RouteOrigin>(reader, node,
                                  {{name(RouteOrigin::local), RouteOrigin::local},
                                   {name(RouteOrigin::external), RouteOrigin::external},
                                   {name(RouteOrigin::internal), RouteOrigin::internal}});
}

std::optional<std::string> read_as_path(Reader& reader, const Node& node) {
  auto text = reader.text(node, bgp::AsPathRegex::max_length);
  if (!text) return std::nullopt;
  const auto regex = bgp::AsPathRegex::compile(*text);
  if (regex) return text;
  reader.fail(node, regex.error().message);
  return std::nullopt;
}

void read_next_hop(Reader& reader, const Node& node, RuleSet& set) {
  if (node.kind == Node::Kind::scalar && node.text == "self") {
    set.next_hop = bgp::NextHopRewrite::self;
  } else if (node.kind == Node::Kind::scalar && node.text == "unchanged") {
    set.next_hop = bgp::NextHopRewrite::unchanged;
  } else if (const auto address = reader.address(node)) {
    if (address->is_unspecified() || address->is_multicast() || address->is_loopback() ||
        (address->is_v6() && address->is_link_local())) {
      reader.fail(node, fmt::format("{} is no next hop for others", address->text()));
    }
    set.next_hop = *address;
  }
}

std::optional<std::string> write_next_hop(const RuleSet& set) {
  if (!set.next_hop) return std::nullopt;
  if (const auto* address = std::get_if<Address>(&*set.next_hop)) return yaml_text(address->text());
  const bool self = std::get<bgp::NextHopRewrite>(*set.next_hop) == bgp::NextHopRewrite::self;
  return self ? "self" : "unchanged";
}

template <typename Settings>
Key<Settings> key(std::string_view name, const std::string& type, std::string_view absent,
                  const std::string& text,
                  std::function<void(Reader&, const Node&, Settings&)> read,
                  std::function<std::optional<std::string>(const Settings&)> write) {
  Key<Settings> made;
  made.name = name;
  made.type = type;
  made.absent = absent;
  made.text = text;
  made.read = std::move(read);
  made.write = std::move(write);
  return made;
}

Key<RuleSet> number(std::string_view name, std::optional<std::uint32_t> RuleSet::*member,
                    Range range, const std::string& text) {
  return key<RuleSet>(
      name, "whole number, " + range.text(), "as it is", text,
      [member, range](Reader& reader, const Node& node, RuleSet& set) {
        if (const auto value = reader.number(node, range)) {
          set.*member = static_cast<std::uint32_t>(*value);
        }
      },
      [member](const RuleSet& set) -> std::optional<std::string> {
        if (!(set.*member)) return std::nullopt;
        return fmt::format("{}", *(set.*member));
      });
}

/// The three verbs of `set.community`.
void read_community_verbs(Reader& reader, const Node& node, RuleSet& set) {
  if (!reader.mapping(node)) return;
  for (std::size_t i = 0; i < node.keys.size(); ++i) {
    const std::string& verb = node.keys[i].text;
    const Reader::Scope scope(reader, verb);
    if (verb == "add") {
      set.add_communities = read_exact_communities(reader, node.items[i]);
    } else if (verb == "remove") {
      set.remove_communities = read_communities(reader, node.items[i]);
    } else if (verb == "replace") {
      const bool none = node.items[i].kind == Node::Kind::sequence && node.items[i].items.empty();
      set.replace_communities =
          none ? bgp::Communities() : read_exact_communities(reader, node.items[i]);
    } else {
      reader.fail(node.keys[i], fmt::format("unknown key {}{}", quoted(verb),
                                            suggestion(verb, {"add", "remove", "replace"})));
    }
  }
}

std::optional<std::string> write_community_verbs(const RuleSet& set) {
  std::vector<std::string> verbs;
  if (set.replace_communities) {
    verbs.push_back("replace: " +
                    write_list(*set.replace_communities, text_of_community).value_or("[]"));
  }
  if (const auto list = write_list(set.remove_communities, text_of_community)) {
    verbs.push_back("remove: " + *list);
  }
  if (const auto list = write_list(set.add_communities, text_of_community)) {
    verbs.push_back("add: " + *list);
  }
  if (verbs.empty()) return std::nullopt;
  return fmt::format("{{{}}}", fmt::join(verbs, ", "));
}

}  // namespace

template <>
const std::vector<Key<RuleMatch>>& keys<RuleMatch>() {
  const auto asked = [](std::string_view name, const std::string& type, const std::string& text,
                        auto read, auto write) {
    return key<RuleMatch>(name, type, "any", text, read, write);
  };
  static const std::vector<Key<RuleMatch>> table{
      asked(
          "prefix", "prefix, name of a prefix set, or list of them",
          "A prefix alone means itself; with 'ge 24' what is inside of it and has at least 24 "
          "bits, with 'le 28' at most 28. The set pools is what the pools hold, default-route "
          "is 0.0.0.0/0 and ::/0.",
          [](Reader& r, const Node& n, RuleMatch& m) { m.prefixes = read_prefixes(r, n); },
          [](const RuleMatch& m) { return write_list(m.prefixes, text_of<PrefixRange>); }),
      asked(
          "family", "ipv4 or ipv6", "Family of the prefix.",
          [](Reader& r, const Node& n, RuleMatch& m) {
            m.family = read_choice<Family>(r, n, {{"ipv4", Family::ipv4}, {"ipv6", Family::ipv6}});
          },
          [](const RuleMatch& m) {
            return m.family ? std::optional(std::string(weft::name(*m.family))) : std::nullopt;
          }),
      asked(
          "as-path", "AS path expression, or list of them",
          "Found anywhere in the AS path: digits and spaces, . for any of them, _ for the border "
          "of "
          "a number, ^ and $ for the ends, [...], (...), |, *, +, ?. Such as \"_65010$\".",
          [](Reader& r, const Node& n, RuleMatch& m) {
            m.as_paths = read_list<std::string>(r, n, read_as_path);
          },
          [](const RuleMatch& m) {
            return write_list(m.as_paths, [](const std::string& text) { return text; });
          }),
      asked(
          "community", "community, name of a community set, or list of them",
          "One of the route's communities is among these: 65001:100, no-export, 65001:1:2 (large), "
          "rt:65001:100 and soo:65001:100 (extended); a number may be *.",
          [](Reader& r, const Node& n, RuleMatch& m) { m.communities = read_communities(r, n); },
          [](const RuleMatch& m) { return write_list(m.communities, text_of_community); }),
      asked(
          "next-hop", "address, prefix, name of a prefix set, or list of them",
          "The next hop is inside. Never true for what this node originates.",
          [](Reader& r, const Node& n, RuleMatch& m) { m.next_hops = read_next_hops(r, n); },
          [](const RuleMatch& m) { return write_list(m.next_hops, text_of_next_hop); }),
      asked(
          "origin", "igp, egp, incomplete, or list of them", "The attribute ORIGIN.",
          [](Reader& r, const Node& n, RuleMatch& m) {
            m.origins = read_list<bgp::Origin>(r, n, read_origin);
          },
          [](const RuleMatch& m) {
            return write_list(m.origins, [](bgp::Origin each) { return name(each); });
          }),
      asked(
          "peer", "name of a peer, or list of them", "The peer the route was learned from.",
          [](Reader& r, const Node& n, RuleMatch& m) {
            m.peers = read_list<std::string>(r, n, [](Reader& reader, const Node& item) {
              return reader.word(item, name_limit, "-_.:");
            });
          },
          [](const RuleMatch& m) {
            return write_list(m.peers, [](const std::string& text) { return text; });
          }),
      asked(
          "source", "local, external, internal, or list of them",
          "local: this node originates it. external, internal: learned from a peer of another AS, "
          "of "
          "ours.",
          [](Reader& r, const Node& n, RuleMatch& m) {
            m.sources = read_list<bgp::RouteOrigin>(r, n, read_source);
          },
          [](const RuleMatch& m) {
            return write_list(m.sources, [](bgp::RouteOrigin each) { return name(each); });
          })};
  return table;
}

template <>
const std::vector<Key<RuleSet>>& keys<RuleSet>() {
  static const std::vector<Key<RuleSet>> table{
      number("local-pref", &RuleSet::local_pref, {}, "LOCAL_PREF; more is better."),
      number("med", &RuleSet::med, {},
             "MULTI_EXIT_DISC; less is better. On export it reaches the peer whatever its AS."),
      number(
          "prepend", &RuleSet::prepend, {.least = 1, .most = bgp::prepend_limit},
          "Lengthens the AS path so many times: on export to another AS by ours, on import by the "
          "peer's."),
      key<RuleSet>(
          "origin", "igp, egp or incomplete", "as it is", "The attribute ORIGIN.",
          [](Reader& r, const Node& n, RuleSet& s) { s.origin = read_origin(r, n); },
          [](const RuleSet& s) -> std::optional<std::string> {
            if (!s.origin) return std::nullopt;
            return std::string(name(*s.origin));
          }),
      key<RuleSet>(
          "next-hop", "self, unchanged or an address", "as the session has it",
          "The next hop that is told: self is this node's address on the session, unchanged "
          "the one that was learned. On import only an address has a meaning.",
          read_next_hop, write_next_hop),
      key<RuleSet>(
          "community", "mapping of replace, remove, add to lists of communities", "as they are",
          "What becomes of the communities of all kinds, in this order: replace puts its "
          "list in place of all, remove takes away what is like one of its list, add adds. "
          "Lists hold communities and names of community sets.",
          read_community_verbs, write_community_verbs)};
  return table;
}

template <>
const std::vector<Key<RuleSettings>>& keys<RuleSettings>() {
  static const std::vector<Key<RuleSettings>> table{
      key<RuleSettings>(
          "name", "word of letters, digits, '-', '_', '.'", "its number, counted from 1",
          "Shown with its hits by weftctl policies; no two rules of a policy have the same.",
          [](Reader& r, const Node& n, RuleSettings& rule) {
            if (const auto name = r.word(n, name_limit, "-_.")) rule.name = *name;
          },
          [](const RuleSettings& rule) { return yaml_text(rule.name); }),
      key<RuleSettings>(
          "match", "mapping", "every route",
          "What a route must have; all that is said must hold, and of a list one is enough.",
          [](Reader& r, const Node& n, RuleSettings& rule) { read_keys(r, n, rule.match); },
          [](const RuleSettings& rule) { return write_keys(rule.match); }),
      key<RuleSettings>(
          "set", "mapping", "nothing", "What is changed of it.",
          [](Reader& r, const Node& n, RuleSettings& rule) { read_keys(r, n, rule.set); },
          [](const RuleSettings& rule) { return write_keys(rule.set); }),
      key<RuleSettings>(
          "then", "accept, reject or next", "",
          "What becomes of the route; next: on to the next rule, which sees what was set.",
          [](Reader& r, const Node& n, RuleSettings& rule) {
            using bgp::RuleVerdict;
            if (const auto then =
                    read_choice<RuleVerdict>(r, n,
                                             {{name(RuleVerdict::accept), RuleVerdict::accept},
                                              {name(RuleVerdict::reject), RuleVerdict::reject},
                                              {name(RuleVerdict::next), RuleVerdict::next}})) {
              rule.then = *then;
            }
          },
          [](const RuleSettings& rule) { return std::string(name(rule.then)); })};
  return table;
}

template <typename Settings>
std::string write_keys(const Settings& settings) {
  std::vector<std::string> said;
  for (const auto& key : keys<Settings>()) {
    if (const auto value = key.write(settings)) {
      said.push_back(fmt::format("{}: {}", key.name, *value));
    }
  }
  return fmt::format("{{{}}}", fmt::join(said, ", "));
}
template std::string write_keys(const RuleMatch&);
template std::string write_keys(const RuleSet&);
template std::string write_keys(const RuleSettings&);
template std::string write_keys(const bgp::BmpStation&);
template std::string write_keys(const bgp::AggregateSettings&);
template std::string write_keys(const bgp::AnnouncementSettings&);

}  // namespace weft::config
