// The keys of bgp, but those of peers and policies.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "config/key_kinds.h"
#include "config/originations.h"
#include "config/policies.h"

namespace weft::config {
namespace {

std::string write_path_limit_action(bgp::PathLimitAction action) {
  return action == bgp::PathLimitAction::refuse ? "refuse" : "warn";
}

std::optional<bgp::PathLimitAction> read_path_limit_action(Reader& reader, const Node& node) {
  for (const auto each : {bgp::PathLimitAction::refuse, bgp::PathLimitAction::warn}) {
    if (node.kind == Node::Kind::scalar && node.text == write_path_limit_action(each)) return each;
  }
  reader.fail(node, "must be one of refuse, warn");
  return std::nullopt;
}

std::optional<std::vector<Address>> read_listen(Reader& reader, const Node& node) {
  constexpr std::size_t limit = 64;
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.size() > limit) {
    reader.fail(node, fmt::format("lists more than {} addresses", limit));
    return std::nullopt;
  }
  std::vector<Address> addresses;
  for (const Node& item : node.items) {
    const auto value = reader.address(item);
    if (!value) continue;
    if (value->is_unspecified() || value->is_multicast() ||
        (value->is_v6() && value->is_link_local())) {
      reader.fail(item, fmt::format("{} cannot be listened on; give an address of this host, or an "
                                    "empty list for all of them",
                                    value->text()));
    } else if (std::find(addresses.begin(), addresses.end(), *value) != addresses.end()) {
      reader.fail(item, fmt::format("{} is listed twice", value->text()));
    } else {
      addresses.push_back(*value);
    }
  }
  return addresses;
}

std::string write_listen(const std::vector<Address>& addresses) {
  std::vector<std::string> texts;
  texts.reserve(addresses.size());
  for (const Address& address : addresses) texts.push_back(yaml_text(address.text()));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

constexpr std::array<std::pair<std::string_view, bgp::BmpView>, bgp::bmp_views> bmp_view_words{
    {{"pre-policy", bgp::BmpView::pre_policy},
     {"post-policy", bgp::BmpView::post_policy},
     {"adj-rib-out", bgp::BmpView::adj_rib_out},
     {"loc-rib", bgp::BmpView::loc_rib}}};

std::optional<std::vector<bgp::BmpView>> read_bmp_views(Reader& reader, const Node& node) {
  if (!reader.sequence(node)) return std::nullopt;
  std::vector<bgp::BmpView> views;
  for (const Node& item : node.items) {
    const auto word = std::find_if(bmp_view_words.begin(), bmp_view_words.end(),
                                   [&](const auto& each) { return each.first == item.text; });
    if (item.kind != Node::Kind::scalar || word == bmp_view_words.end()) {
      reader.fail(item, "is none of pre-policy, post-policy, adj-rib-out, loc-rib");
    } else if (std::find(views.begin(), views.end(), word->second) != views.end()) {
      reader.fail(item, fmt::format("{} is listed twice", item.text));
    } else {
      views.push_back(word->second);
    }
  }
  if (node.items.empty())
    reader.fail(node, "must list at least one of pre-policy, post-policy, adj-rib-out, loc-rib");
  std::sort(views.begin(), views.end());
  return views;
}

std::string write_bmp_views(const std::vector<bgp::BmpView>& views) {
  std::vector<std::string_view> words;
  words.reserve(views.size());
  for (const bgp::BmpView view : views)
    words.push_back(bmp_view_words[static_cast<std::size_t>(view)].first);
  return fmt::format("[{}]", fmt::join(words, ", "));
}

void check_station(Reader& reader, const Node& node, const bgp::BmpStation& station) {
  if (station.address.is_unspecified() || station.address.is_multicast() ||
      (station.address.is_v6() && station.address.is_link_local())) {
    reader.fail(node,
                fmt::format("{} is not a routable address of one host", station.address.text()));
  } else if (station.source && station.source->family() != station.address.family()) {
    reader.fail(node, fmt::format("source {} and address {} are of different families",
                                  station.source->text(), station.address.text()));
  }
}

std::optional<std::vector<bgp::BmpStation>> read_stations(Reader& reader, const Node& node) {
  if (!reader.sequence(node)) return std::nullopt;
  if (node.items.size() > bgp::bmp_station_limit) {
    reader.fail(node, fmt::format("{} stations are more than {}", node.items.size(),
                                  bgp::bmp_station_limit));
    return std::nullopt;
  }
  std::vector<bgp::BmpStation> stations;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Reader::Scope scope(reader, fmt::format("[{}]", i));
    const Node& item = node.items[i];
    bgp::BmpStation station;
    const std::size_t faults = reader.faults();
    read_keys(reader, item, station);
    if (reader.faults() != faults) continue;
    check_station(reader, item, station);
    if (station.name.empty()) {
      station.name = station.address.is_v6()
                         ? fmt::format("[{}]:{}", station.address.text(), station.port)
                         : fmt::format("{}:{}", station.address.text(), station.port);
    }
    const auto same = [&](const bgp::BmpStation& other) { return other.name == station.name; };
    if (std::any_of(stations.begin(), stations.end(), same)) {
      reader.fail(item, fmt::format("a station called '{}' stands above already", station.name));
    }
    stations.push_back(std::move(station));
  }
  return stations;
}

std::string write_stations(const std::vector<bgp::BmpStation>& stations) {
  std::vector<std::string> texts;
  texts.reserve(stations.size());
  for (const bgp::BmpStation& station : stations) texts.push_back(write_keys(station));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

}  // namespace

template <>
const std::vector<Key<bgp::Settings>>& keys<bgp::Settings>() {
  using bgp::Settings;
  static const std::vector<Key<Settings>> table{
      key_of("listen", &Settings::listen, "list of IPv4 and IPv6 addresses, at most 64",
             "Where connections are accepted. Empty: on all addresses of both families.",
             read_listen, write_listen),
      number("port", &Settings::port, {.least = 1, .most = 65535},
             "TCP port where connections are accepted."),
      number("multipath", &Settings::multipath, {.least = 1, .most = 64},
             "At most so many paths share the load of one prefix (ECMP): equally, or, where all of "
             "them have a link-bandwidth community, in proportion to it, rounded to steps of 9 %."),
      boolean("multipath-relax", &Settings::multipath_relax,
              "Paths of equal AS path length share the load even when the ASes differ (RFC 7938)."),
      boolean("always-compare-med", &Settings::always_compare_med,
              "MULTI_EXIT_DISC decides between paths of different ASes, too (RFC 4271, section "
              "9.1.2.2, compares those of one AS only)."),
      boolean("recursive-next-hops", &Settings::recursive_next_hops,
              "A next hop that is on no connected subnet, of an iBGP peer or one with multihop, is "
              "looked for behind the longest learned prefix around it, which may have such a next "
              "hop again; the sum of their MULTI_EXIT_DISC is the IGP metric of the decision. The "
              "kernel gets the gateways at the end, all of them with ECMP. False: paths with such "
              "next hops are not used."),
      boolean("resolve-by-default-route", &Settings::resolve_by_default_route,
              "0.0.0.0/0 and ::/0 lead to such next hops, too."),
      duration(
          "selection-deferral", &Settings::selection_deferral, {.least = 0, .most = 300},
          "After a restart, learned routes are chosen among once all peers in graceful restart "
          "have sent theirs; peers that are not up are waited for so long, of a listen range those "
          "that were there before the restart. The kernel keeps its routes meanwhile, and what "
          "this node originates never waits."),
      otherwise(key_of("cluster-id", &Settings::cluster_id, "IPv4 address",
                       "Marks what this node reflects between internal peers (RFC 4456). Give all "
                       "reflectors of one set of clients the same.",
                       read_router_id, [](bgp::RouterId id) { return yaml_text(id.text()); }),
                "node.router-id"),
      otherwise(
          number("path-limit", &Settings::path_limit, {.least = 1, .most = 4294967295},
                 "Paths of all peers together, of both families; it bounds memory, whatever peers "
                 "send. What this node originates does not count, nor does another version of a "
                 "path that is held. What happens with more, path-limit-action says; no session "
                 "ends for it."),
          "no limit"),
      key_of(
          "path-limit-action", &Settings::path_limit_action, "refuse or warn",
          "refuse: paths beyond path-limit are not held; once a tenth of it is free again, peers "
          "are asked for them (RFC 2918), at most once a minute. warn: it is said, and no more.",
          read_path_limit_action, write_path_limit_action),
      boolean("default-route", &Settings::default_route,
              "The filter host takes 0.0.0.0/0 and ::/0 from peers as well."),
      written(structure<Settings>("prefix-sets", "mapping of name to list of prefixes, at most 256",
                                  "Prefixes under a name, for the rules of policies; each may have "
                                  "'ge N' and 'le N' behind it."),
              write_prefix_sets),
      written(structure<Settings>(
                  "community-sets", "mapping of name to list of communities, at most 256",
                  "Communities of all kinds under a name, for the rules of policies."),
              write_community_sets),
      written(
          structure<Settings>("policies", "mapping of name to list of rules, at most 64",
                              "What peers may name as import and export: up to 256 rules, tried in "
                              "order. The first that matches decides; what no rule matches is "
                              "rejected."),
          write_policies),
      key_of(
          "aggregates", &Settings::aggregates,
          fmt::format("list of aggregates, at most {}", bgp::aggregate_limit),
          "Prefixes that are announced as long as something more specific has a route, learned "
          "or of this node (RFC 4271, section 9.2.2.2). ORIGIN is INCOMPLETE when that of a route "
          "inside is, else EGP when one is, else IGP.",
          read_aggregates, write_aggregates),
      key_of("announcements", &Settings::announcements,
             fmt::format("list of announcements, at most {}", bgp::announcement_limit),
             "Prefixes that are announced while all of their conditions hold; without conditions, "
             "always.",
             read_announcements, write_announcements),
      otherwise(key_of(
                    "bmp", &Settings::bmp, "mapping", "Monitoring stations (RFC 7854).",
                    [](Reader& reader, const Node& node) {
                      bgp::BmpSettings bmp;
                      read_keys(reader, node, bmp);
                      return std::optional(bmp);
                    },
                    [](const bgp::BmpSettings& bmp) {
                      return fmt::format("{{stations: {}}}", write_stations(bmp.stations));
                    }),
                "none"),
      structure<Settings>(
          "groups", "mapping of name to group, at most 256",
          "What peers share: any key of a peer but address, interface, listen, name and group. A "
          "peer names its group, and what it says itself wins."),
      structure<Settings>("peers", "list of peers, at most 1024", "Whom to speak BGP with.")};
  return table;
}

template <>
const std::vector<Refusal>& refusals<bgp::Settings>() {
  static const std::vector<Refusal> table{
      {"asn", "asn belongs under node:"},
      {"router-id", "router-id belongs under node:"},
      {"graceful-restart",
       "graceful restart goes with a peer or a group: bgp.peers[].graceful-restart"}};
  return table;
}

template <>
const std::vector<Key<bgp::BmpSettings>>& keys<bgp::BmpSettings>() {
  static const std::vector<Key<bgp::BmpSettings>> table{
      key_of("stations", &bgp::BmpSettings::stations,
             fmt::format("list of stations, at most {}", bgp::bmp_station_limit),
             "Whom to tell of sessions and tables. weftd connects to them, and takes nothing from "
             "them.",
             read_stations, write_stations)};
  return table;
}

template <>
const std::vector<Key<bgp::BmpStation>>& keys<bgp::BmpStation>() {
  using bgp::BmpStation;
  static const std::vector<Key<BmpStation>> table{
      otherwise(key_of(
                    "name", &BmpStation::name,
                    fmt::format("word of 1 to {} letters, digits, '-', '_', '.', ':', '[', ']'",
                                name_limit),
                    "Name in weftctl, logs and metrics; no two stations have the same.",
                    [](Reader& reader, const Node& node) {
                      return reader.word(node, name_limit, "-_.:[]");
                    },
                    [](const std::string& value) {
                      return value.empty() ? std::optional<std::string>() : yaml_text(value);
                    }),
                "address:port"),
      with(address("address", &BmpStation::address, "Address of the station."), Duty::required),
      number("port", &BmpStation::port, {.least = 1, .most = 65535}, "TCP port of the station."),
      otherwise(address("source", &BmpStation::source,
                        "Local address of the connection, of the family of address."),
                "chosen by the kernel's route to the station"),
      key_of("monitor", &BmpStation::monitor,
             "list of pre-policy, post-policy, adj-rib-out, loc-rib",
             "What the station is shown. pre-policy and post-policy: what peers have sent, before "
             "and after the import policy (RFC 7854); adj-rib-out: what they are told (RFC 8671); "
             "loc-rib: the best paths (RFC 9069).",
             read_bmp_views, write_bmp_views),
      duration("statistics-interval", &BmpStation::statistics_interval,
               {.least = 1, .most = 65535, .zero_too = true},
               "Between two Statistics Reports; 0: none are sent."),
      duration("connect-retry", &BmpStation::connect_retry, {.least = 1, .most = 720},
               "First wait after a connection failed or ended; doubles up to 720 seconds (RFC "
               "7854, section 3.2).")};
  return table;
}

}  // namespace weft::config
