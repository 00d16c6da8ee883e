// The keys of what this node originates: aggregates, announcements with conditions.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/key_kinds.h"
#include "config/originations.h"

namespace weft::config {
namespace {

template <typename Settings>
Key<Settings> prefix_of(const std::string& text) {
  Key<Settings> key;
  key.name = "prefix";
  key.type = "IPv4 or IPv6 prefix";
  key.text = text;
  key.duty = Duty::required;
  key.read = [](Reader& reader, const Node& node, Settings& settings) {
    const bool v6 = node.text.find(':') != std::string::npos;
    const auto value = reader.prefix(node, v6 ? Family::ipv6 : Family::ipv4);
    if (value) settings.what.prefix = *value;
  };
  key.write = [](const Settings& settings) { return yaml_text(settings.what.prefix.text()); };
  return key;
}

template <typename Settings>
Key<Settings> med_of() {
  Key<Settings> key;
  key.name = "med";
  key.type = "whole number, 0..4294967295";
  key.text = "MULTI_EXIT_DISC of the route.";
  key.absent = "none";
  key.read = [](Reader& reader, const Node& node, Settings& settings) {
    if (const auto value = reader.number(node, {}))
      settings.what.med = static_cast<std::uint32_t>(*value);
  };
  key.write = [](const Settings& settings) {
    const auto& med = settings.what.med;
    return med ? std::optional(fmt::format("{}", *med)) : std::nullopt;
  };
  return key;
}

template <typename Settings>
Key<Settings> communities_of() {
  Key<Settings> key;
  key.name = "communities";
  key.type = fmt::format("list of communities, at most {}", bgp::max_originated_communities);
  key.text =
      "Communities of the route: 65001:100, 65001:1:2 (large), no-export, no-advertise, no-peer, "
      "graceful-shutdown or blackhole.";
  key.read = [](Reader& reader, const Node& node, Settings& settings) {
    if (!reader.sequence(node)) return;
    settings.what.communities.clear();
    settings.what.large_communities.clear();
    for (const Node& item : node.items) {
      const auto text = reader.text(item, name_limit);
      if (!text) continue;
      if (auto added = settings.what.add_community(*text); !added)
        reader.fail(item, added.error().message);
    }
  };
  key.write = [](const Settings& settings) -> std::optional<std::string> {
    std::vector<std::string> texts;
    for (const std::string& each : settings.what.community_texts())
      texts.push_back(yaml_text(each));
    return fmt::format("[{}]", fmt::join(texts, ", "));
  };
  return key;
}

Key<bgp::AnnouncementSettings> path_of(std::string_view name,
                                       std::string bgp::AnnouncementSettings::*member,
                                       const std::string& text) {
  // What fits sockaddr_un with the zero behind it.
  constexpr std::size_t path_limit = 107;
  return otherwise(
      key_of(
          name, member, fmt::format("absolute path of at most {} octets", path_limit), text,
          [](Reader& reader, const Node& node) -> std::optional<std::string> {
            auto path = reader.text(node, path_limit);
            if (!path || path->starts_with('/')) return path;
            reader.fail(node, "must be an absolute path");
            return std::nullopt;
          },
          [](const std::string& value) {
            return value.empty() ? std::optional<std::string>() : yaml_text(value);
          }),
      "not asked");
}

Key<bgp::AnnouncementSettings> command() {
  constexpr std::size_t command_limit = 4096;
  return otherwise(
      key_of(
          "health-command", &bgp::AnnouncementSettings::health_command,
          fmt::format("text of at most {} octets", command_limit),
          "Only while /bin/sh -c with this ends with exit status 0. It runs as weftd does, within "
          "the limits of weftd.service, and what it writes is lost; what needs more can run "
          "weftctl "
          "announce --health-command.",
          [](Reader& reader, const Node& node) { return reader.text(node, command_limit); },
          [](const std::string& value) {
            return value.empty() ? std::optional<std::string>() : yaml_text(value);
          }),
      "not asked");
}

/// Reads a list of what is originated; no prefix stands twice in it.
template <typename Settings, typename Check>
std::optional<std::vector<Settings>> read_list(Reader& reader, const Node& node,
                                               std::string_view noun, std::size_t limit,
                                               Check check) {
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.size() > limit) {
    reader.fail(node, fmt::format("{} {}s are more than {}", node.items.size(), noun, limit));
    return std::nullopt;
  }
  std::vector<Settings> all;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Reader::Scope scope(reader, fmt::format("[{}]", i));
    const Node& item = node.items[i];
    Settings one;
    const std::size_t faults = reader.faults();
    read_keys(reader, item, one);
    if (reader.faults() != faults) continue;
    check(item, one);
    const Prefix& prefix = one.what.prefix;
    const auto same = [&](const Settings& other) { return other.what.prefix == prefix; };
    if (std::any_of(all.begin(), all.end(), same))
      reader.fail(item, fmt::format("{} stands above already", prefix.text()));
    all.push_back(std::move(one));
  }
  return all;
}

template <typename Settings>
std::string write_list(const std::vector<Settings>& all) {
  std::vector<std::string> texts;
  texts.reserve(all.size());
  for (const Settings& each : all) texts.push_back(write_keys(each));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

}  // namespace

std::optional<std::vector<bgp::AggregateSettings>> read_aggregates(Reader& reader,
                                                                   const Node& node) {
  const auto check = [&](const Node& item, const bgp::AggregateSettings& aggregate) {
    const Prefix& prefix = aggregate.what.prefix;
    if (prefix.length() == 0) {
      reader.fail(item, fmt::format("{} as an aggregate would drop what the default route takes; "
                                    "give the peer default-originate",
                                    prefix.text()));
    } else if (prefix.is_host()) {
      reader.fail(item, fmt::format("nothing lies inside of {}", prefix.text()));
    } else if (!aggregate.what.is_routable()) {
      reader.fail(item, fmt::format("{} cannot be a unicast route", prefix.text()));
    }
  };
  return read_list<bgp::AggregateSettings>(reader, node, "aggregate", bgp::aggregate_limit, check);
}

std::string write_aggregates(const std::vector<bgp::AggregateSettings>& aggregates) {
  return write_list(aggregates);
}

std::optional<std::vector<bgp::AnnouncementSettings>> read_announcements(Reader& reader,
                                                                         const Node& node) {
  const auto check = [&](const Node& item, const bgp::AnnouncementSettings& announcement) {
    const Prefix& prefix = announcement.what.prefix;
    if (!announcement.what.is_routable())
      reader.fail(item, fmt::format("{} cannot be a unicast route", prefix.text()));
  };
  return read_list<bgp::AnnouncementSettings>(reader, node, "announcement", bgp::announcement_limit,
                                              check);
}

std::string write_announcements(const std::vector<bgp::AnnouncementSettings>& announcements) {
  return write_list(announcements);
}

void check_conditions(Reader& reader, const Node& node, const bgp::Settings& settings) {
  const Node* list = node.find("announcements");
  if (list == nullptr) return;
  const Reader::Scope scope(reader, "announcements");
  const auto is_originated = [&](const Prefix& prefix) {
    const auto same = [&](const auto& each) { return each.what.prefix == prefix; };
    return std::any_of(settings.aggregates.begin(), settings.aggregates.end(), same) ||
           std::any_of(settings.announcements.begin(), settings.announcements.end(), same);
  };
  for (const bgp::AnnouncementSettings& each : settings.announcements) {
    for (const auto& condition : {each.when_route, each.unless_route}) {
      if (!condition || !is_originated(*condition)) continue;
      reader.fail(*list, fmt::format("{} depends on {}, which this node announces by itself: "
                                     "conditions are for routes of peers",
                                     each.what.prefix.text(), condition->text()));
    }
  }
}

template <>
const std::vector<Key<bgp::AnnouncementSettings>>& keys<bgp::AnnouncementSettings>() {
  using bgp::AnnouncementSettings;
  static const std::vector<Key<AnnouncementSettings>> table{
      prefix_of<AnnouncementSettings>(
          "The prefix; no other announcement has the same. Nothing is put into the kernel for it."),
      otherwise(prefix("when-route", &AnnouncementSettings::when_route,
                       "Only while this node uses a learned route for just this prefix."),
                "whatever is learned"),
      otherwise(prefix("unless-route", &AnnouncementSettings::unless_route,
                       "Only while this node uses no learned route for just this prefix. After a "
                       "start that is known when the peers have sent their routes."),
                "whatever is learned"),
      path_of("health-file", &AnnouncementSettings::health_file,
              "Only while something exists at this path. weftd.service sees a /tmp of its own, so "
              "/run is the place for it."),
      path_of("health-socket", &AnnouncementSettings::health_socket,
              "Only while this UNIX stream socket takes connections. They are closed at once; one "
              "whose backlog is full takes none."),
      command(),
      duration("health-interval", &AnnouncementSettings::health_interval,
               {.least = 1, .most = 3600},
               "Between two looks at the file, the socket and the command."),
      duration(
          "health-timeout", &AnnouncementSettings::health_timeout, {.least = 1, .most = 3600},
          "How long a look or the command may take; then it has failed, and a command is killed "
          "with what it began in its process group."),
      number(
          "health-rise", &AnnouncementSettings::health_rise, {.least = 1, .most = 1000},
          "Successes in a row, of the socket and of the command, that announce the prefix again; "
          "the first answer counts alone."),
      number(
          "health-fall", &AnnouncementSettings::health_fall, {.least = 1, .most = 1000},
          "Failures in a row, of the socket and of the command, that withdraw the prefix. A file "
          "that is gone withdraws it at once."),
      med_of<AnnouncementSettings>(),
      communities_of<AnnouncementSettings>()};
  return table;
}

template <>
const std::vector<Key<bgp::AggregateSettings>>& keys<bgp::AggregateSettings>() {
  using bgp::AggregateSettings;
  static const std::vector<Key<AggregateSettings>> table{
      prefix_of<AggregateSettings>(
          "The prefix; not a default route, and no other aggregate has the same. The kernel drops "
          "what no route inside of it takes, as long as it is announced and five seconds more."),
      boolean(
          "summary-only", &AggregateSettings::summary_only,
          "While it is announced, nothing that lies inside of it is told to any peer: neither "
          "learned routes nor blocks and other prefixes of this node, nor aggregates. Peers with "
          "unsuppress are excepted. Beware of it where another router has ways to the inside "
          "that this one has not: others cannot tell, and what comes here for them is dropped."),
      med_of<AggregateSettings>(), communities_of<AggregateSettings>()};
  return table;
}

template <>
const std::vector<Refusal>& refusals<bgp::AggregateSettings>() {
  static const std::vector<Refusal> table{
      {"as-set", "aggregates have no AS_SET (RFC 9774), but ATOMIC_AGGREGATE and AGGREGATOR"}};
  return table;
}

}  // namespace weft::config
