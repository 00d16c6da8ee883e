#include "ctl/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace weft::ctl {
namespace {

/// How loud a line is.
enum class Tone : std::uint8_t { good, between, wrong };

enum class Align : std::uint8_t { left, right };

struct Column {
  const char* title;
  Align align = Align::left;
};

struct Row {
  Tone tone = Tone::good;
  std::vector<std::string> cells;
};

/// Without control characters: C0, DEL, and C1 as UTF-8 writes it.
std::string harmless(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    const bool c1 =
        octet == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    clean += octet < ' ' || octet == 0x7f || c1 ? '?' : text[i];
    if (c1) ++i;
  }
  return clean;
}

/// Columns on the screen, taking every code point for one.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string painted(std::string_view text, Tone tone, Style style) {
  if (!style.colour || tone == Tone::good) return std::string(text);
  return fmt::format("\033[{}m{}\033[0m", tone == Tone::wrong ? "1;31" : "33", text);
}

std::string_view mark(Tone tone) {
  if (tone == Tone::wrong) return "! ";
  return tone == Tone::between ? "~ " : "  ";
}

std::string dash_if_empty(std::string_view text) {
  return text.empty() ? "-" : harmless(text);
}

template <typename T>
std::string dash_if_none(const std::optional<T>& value) {
  return value ? fmt::format("{}", *value) : "-";
}

std::string joined(const std::vector<std::string>& texts, std::string_view separator) {
  std::string all;
  for (const std::string& text : texts) {
    if (!all.empty()) all += separator;
    all += harmless(text);
  }
  return dash_if_empty(all);
}

std::string line_of(const std::vector<Column>& columns, const std::vector<std::size_t>& widths,
                    const Row& row) {
  assert(row.cells.size() == columns.size());
  std::string line;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string padding(widths[i] - width(row.cells[i]), ' ');
    if (i != 0) line += "  ";
    line += columns[i].align == Align::right ? padding + row.cells[i] : row.cells[i] + padding;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string rendered(const std::vector<Column>& columns, const std::vector<Row>& rows,
                     Style style) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::size_t widest = width(columns[i].title);
    for (const Row& row : rows) widest = std::max(widest, width(row.cells[i]));
    widths.push_back(widest);
  }
  Row titles;
  for (const Column& column : columns) titles.cells.emplace_back(column.title);
  std::string text = fmt::format("  {}\n", line_of(columns, widths, titles));
  for (const Row& row : rows) {
    const std::string line = std::string(mark(row.tone)) + line_of(columns, widths, row);
    text += painted(line, row.tone, style) + '\n';
  }
  return text;
}

/// "label          text", the lines of a detail page.
std::string labelled(std::string_view label, std::string_view text) {
  return fmt::format("  {:<14} {}\n", label, text);
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

Tone tone_of_kernel(std::string_view kernel) {
  constexpr std::string_view blackhole = "blackhole ";
  if (starts_with(kernel, blackhole)) kernel.remove_prefix(blackhole.size());
  if (starts_with(kernel, "failed") || starts_with(kernel, "foreign")) return Tone::wrong;
  return starts_with(kernel, "pending") ? Tone::between : Tone::good;
}

Tone tone_of_peer(const Peer& peer) {
  if (peer.state != "Established") return Tone::wrong;
  const bool above = std::any_of(
      peer.families.begin(), peer.families.end(),
      [](const PeerFamily& family) { return family.above_limit || family.unheld != 0; });
  return above ? Tone::between : Tone::good;
}

std::uint64_t count_of(const std::map<std::string, std::uint64_t>& counts,
                       const std::string& family) {
  const auto found = counts.find(family);
  return found == counts.end() ? 0 : found->second;
}

const PeerFamily* family_of(const Peer& peer, std::string_view family) {
  const auto found = std::find_if(peer.families.begin(), peer.families.end(),
                                  [&](const PeerFamily& f) { return f.family == family; });
  return found == peer.families.end() ? nullptr : &*found;
}

/// Prefixes from the peer: all, and how many of them were let in when not all were.
std::string received_text(const PeerFamily* family) {
  if (family == nullptr) return "-";
  if (family->accepted == family->received) return fmt::format("{}", family->received);
  return fmt::format("{} of {}", family->accepted, family->received);
}

std::string advertised_text(const PeerFamily* family) {
  return family == nullptr ? "-" : fmt::format("{}", family->advertised);
}

const Path* best_path(const Route& route) {
  const auto found = std::find_if(route.paths.begin(), route.paths.end(),
                                  [](const Path& path) { return path.best; });
  return found == route.paths.end() ? nullptr : &*found;
}

std::string verdict(const Path& path) {
  if (path.best) return path.stale ? "best, stale" : "best";
  const std::string lost = harmless(path.lost_at);
  if (path.multipath) {
    return lost.empty() ? "shares the load" : fmt::format("shares the load, lost at {}", lost);
  }
  return lost.empty() ? "-" : fmt::format("lost at {}", lost);
}

/// The first 12 characters as container runtimes print them, unless that would make two the same.
std::string short_id(const std::string& id, const Containers& all) {
  constexpr std::size_t shown = 12;
  if (id.size() <= shown + 4) return harmless(id);
  const std::string_view start = std::string_view(id).substr(0, shown);
  const bool ambiguous =
      std::any_of(all.containers.begin(), all.containers.end(), [&](const Container& other) {
        return other.attachment.container != id && starts_with(other.attachment.container, start);
      });
  return harmless(ambiguous ? id : start);
}

}  // namespace

std::string duration_text(std::chrono::seconds duration) {
  constexpr std::array<std::pair<std::int64_t, char>, 4> units{
      {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}}};
  std::int64_t rest = std::max<std::int64_t>(duration.count(), 0);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const auto [size, letter] = units[i];
    if (rest < size) continue;
    std::string text = fmt::format("{}{}", rest / size, letter);
    rest %= size;
    if (i + 1 == units.size()) return text;
    const std::int64_t minor = rest / units[i + 1].first;
    return minor == 0 ? text : text + fmt::format("{}{}", minor, units[i + 1].second);
  }
  return "0s";
}

std::string table(const Status& status, Style style) {
  std::string text;
  for (const std::string& warning : status.warnings) {
    text += painted("WARNING: " + harmless(warning), Tone::wrong, style) + '\n';
  }
  if (!text.empty()) text += '\n';
  text += fmt::format("weftd {} on {}, AS {}, router-id {}, up {}\n", harmless(status.version),
                      harmless(status.node), status.asn, harmless(status.router_id),
                      duration_text(status.uptime));
  text += labelled(
      "peers", status.peers == 0
                   ? "none configured"
                   : fmt::format("{} of {} established", status.peers_established, status.peers));
  auto families = status.rib_routes;
  families.insert(status.fib_routes.begin(), status.fib_routes.end());
  for (const auto& [family, unused] : families) {
    text += labelled(harmless(family) + " routes",
                     fmt::format("{} known, {} in the kernel", count_of(status.rib_routes, family),
                                 count_of(status.fib_routes, family)));
  }
  if (status.fib_pending != 0) {
    text += labelled("not in kernel",
                     fmt::format("{} wanted there and not there yet", status.fib_pending));
  }
  if (status.path_limit != 0) {
    text += labelled("paths", fmt::format("{} of all peers, bgp.path-limit is {}", status.paths,
                                          status.path_limit));
  }
  if (status.restarting) text += labelled("restarted", "waiting for the peers' routes");
  if (status.draining) {
    text +=
        labelled("drained", painted(status.drain_text.empty() ? "peers are asked to use another way"
                                                              : harmless(status.drain_text),
                                    Tone::between, style));
  }
  text += labelled(
      "blocks", fmt::format("{} owned, {} addresses free", status.blocks, status.addresses_free));
  return text + labelled("containers", fmt::format("{}", status.containers));
}

namespace {

/// One line a range.
std::string text_of(const std::vector<PeerRange>& ranges, Style style) {
  std::string text;
  for (const PeerRange& range : ranges) {
    const Tone tone = range.peers >= range.limit ? Tone::between : Tone::good;
    std::string line = fmt::format("{}range {}: {} of {} peers", mark(tone), harmless(range.name),
                                   range.peers, range.limit);
    if (range.refused != 0) line += fmt::format(", {} connections refused", range.refused);
    text += painted(line, tone, style) + '\n';
  }
  return text;
}

/// Nothing of a peer that is up and well.
std::string why(const Peer& peer) {
  if (peer.state == "Established") {
    std::vector<std::string> above;
    for (const PeerFamily& family : peer.families) {
      if (family.above_limit)
        above.push_back(
            fmt::format("more {} prefixes than {} allows", family.family, family.passed_limit));
      if (family.unheld != 0)
        above.push_back(
            fmt::format("{} {} paths not held for bgp.path-limit", family.unheld, family.family));
    }
    return above.empty() ? "" : joined(above, "; ");
  }
  if (peer.last_attempt.empty()) return harmless(peer.last_error);
  return fmt::format("{}; then: {}", harmless(peer.last_error), harmless(peer.last_attempt));
}

/// "hold timer expired, 3m ago"
std::string failure_text(const std::string& what, std::optional<std::uint64_t> ago) {
  if (what.empty() || !ago) return dash_if_empty(what);
  const std::chrono::seconds age(static_cast<std::int64_t>(*ago));
  return fmt::format("{}, {} ago", harmless(what), duration_text(age));
}

}  // namespace

std::string table(const Peers& peers, Style style) {
  if (peers.peers.empty() && peers.ranges.empty()) return "no peers are configured (bgp.peers)\n";
  if (peers.peers.empty()) return text_of(peers.ranges, style);
  const bool tables = std::any_of(peers.peers.begin(), peers.peers.end(),
                                  [](const Peer& peer) { return peer.table != 0; });
  std::vector<Row> rows;
  for (const Peer& peer : peers.peers) {
    const Tone tone = tone_of_peer(peer);
    const PeerFamily* ipv4 = family_of(peer, "ipv4");
    const PeerFamily* ipv6 = family_of(peer, "ipv6");
    rows.push_back({tone,
                    {dash_if_empty(peer.name), dash_if_empty(peer.address),
                     peer.asn == 0 ? "-" : fmt::format("{}", peer.asn), dash_if_empty(peer.state),
                     duration_text(peer.since), received_text(ipv4), advertised_text(ipv4),
                     received_text(ipv6), advertised_text(ipv6)}});
    auto& cells = rows.back().cells;
    if (tables) cells.push_back(peer.table == 0 ? "main" : fmt::format("{}", peer.table));
    cells.push_back(why(peer));
  }
  std::vector<Column> columns{{"NAME"},
                              {"ADDRESS"},
                              {"AS", Align::right},
                              {"STATE"},
                              {"UP/DOWN", Align::right},
                              {"IPV4-IN", Align::right},
                              {"OUT", Align::right},
                              {"IPV6-IN", Align::right},
                              {"OUT", Align::right}};
  if (tables) columns.push_back({"TABLE", Align::right});
  columns.push_back({"WHY"});
  return rendered(columns, rows, style) + text_of(peers.ranges, style);
}

std::string table(const Bfd& bfd, Style style) {
  if (bfd.sessions.empty()) return "no peer has BFD (bgp.peers[].bfd), or none was up so far\n";
  const auto milliseconds = [](std::uint64_t microseconds) {
    return fmt::format("{} ms", static_cast<double>(microseconds) / 1000.0);
  };
  std::vector<Row> rows;
  for (const BfdSession& session : bfd.sessions) {
    const bool up = session.state == "Up";
    rows.push_back({up ? Tone::good : Tone::wrong,
                    {dash_if_empty(session.peer), dash_if_empty(session.remote),
                     session.multihop ? "many" : "one", dash_if_empty(session.state),
                     dash_if_empty(session.remote_state), duration_text(session.since),
                     milliseconds(session.transmit_us), milliseconds(session.detection_us),
                     fmt::format("{}", session.losses), up ? "" : harmless(session.diagnostic)}});
  }
  return rendered({{"PEER"},
                   {"ADDRESS"},
                   {"HOPS"},
                   {"STATE"},
                   {"REMOTE"},
                   {"FOR", Align::right},
                   {"INTERVAL", Align::right},
                   {"DETECTION", Align::right},
                   {"LOSSES", Align::right},
                   {"WHY"}},
                  rows, style);
}

std::string table(const Routes& routes, Style style) {
  if (routes.routes.empty()) return "no routes are known\n";
  std::vector<Row> rows;
  for (const Route& route : routes.routes) {
    const Path* best = best_path(route);
    rows.push_back({tone_of_kernel(route.kernel),
                    {dash_if_empty(route.prefix), dash_if_empty(route.source),
                     best == nullptr ? "-" : dash_if_empty(best->as_path),
                     fmt::format("{}", route.paths.size()), joined(route.next_hops, ", "),
                     dash_if_empty(route.kernel)}});
  }
  return rendered(
      {{"PREFIX"}, {"SOURCE"}, {"AS-PATH"}, {"PATHS", Align::right}, {"NEXT HOPS"}, {"KERNEL"}},
      rows, style);
}

namespace {

/// Behind a table of blocks; nothing when there are none.
std::string text_of(const std::vector<Exception>& exceptions, const std::string& limit,
                    Style style) {
  if (exceptions.empty()) return {};
  std::vector<Row> rows;
  rows.reserve(exceptions.size());
  for (const Exception& each : exceptions) {
    rows.push_back(
        {each.state == "agreed" ? Tone::good : Tone::between,
         {dash_if_empty(each.address), dash_if_empty(each.pool), dash_if_empty(each.block),
          dash_if_empty(each.owner), dash_if_empty(each.host), dash_if_empty(each.state),
          each.advertised == 0 ? "-" : fmt::format("to {}", each.advertised)}});
  }
  return fmt::format("\nexceptions, each a route of its own{}\n", limit) +
         rendered({{"ADDRESS"},
                   {"POOL"},
                   {"OF BLOCK"},
                   {"OWNER"},
                   {"CONTAINER AT"},
                   {"STATE"},
                   {"ADVERTISED"}},
                  rows, style);
}

}  // namespace

std::string table(const Blocks& blocks, Style style) {
  if (blocks.blocks.empty()) return "this host owns no blocks (pools.<name>.claim)\n";
  std::vector<Row> rows;
  for (const Block& block : blocks.blocks) {
    Tone tone = Tone::good;
    if (block.state != "owned" || block.free == 0 || block.quarantined != 0) tone = Tone::between;
    if (block.advertised == 0) tone = Tone::wrong;
    std::string state = dash_if_empty(block.state);
    if (block.quarantined != 0) state += fmt::format(", {} quarantined", block.quarantined);
    if (block.lent != 0) state += fmt::format(", {} lent", block.lent);
    rows.push_back(
        {tone,
         {dash_if_empty(block.pool), fmt::format("{}", block.index), dash_if_empty(block.ipv4),
          dash_if_empty(block.ipv6), state, fmt::format("{}", block.held),
          fmt::format("{}", block.cooling), fmt::format("{}", block.free),
          fmt::format("{}", block.capacity),
          block.advertised == 0 ? "to nobody" : fmt::format("to {}", block.advertised)}});
  }
  return rendered({{"POOL"},
                   {"INDEX", Align::right},
                   {"IPV4"},
                   {"IPV6"},
                   {"STATE"},
                   {"HELD", Align::right},
                   {"COOLING", Align::right},
                   {"FREE", Align::right},
                   {"OF", Align::right},
                   {"ADVERTISED"}},
                  rows, style) +
         text_of(
             blocks.exceptions,
             fmt::format(" (this host may borrow {}: ipam.max-exceptions)", blocks.max_exceptions),
             style);
}

std::string table(const ClaimedBlocks& blocks, Style style) {
  if (blocks.blocks.empty()) return "no host has claimed a block, or etcd was not read yet\n";
  std::vector<Row> rows;
  for (const ClaimedBlock& block : blocks.blocks) {
    rows.push_back({Tone::good,
                    {dash_if_empty(block.pool), fmt::format("{}", block.index),
                     dash_if_empty(block.ipv4), dash_if_empty(block.ipv6),
                     dash_if_empty(block.host), fmt::format("{}", block.revision)}});
  }
  return rendered({{"POOL"},
                   {"INDEX", Align::right},
                   {"IPV4"},
                   {"IPV6"},
                   {"HOST"},
                   {"REVISION", Align::right}},
                  rows, style) +
         text_of(blocks.exceptions, "", style);
}

std::string table(const Imported& imported, Style style) {
  if (imported.addresses.empty()) return "there is no address to take over\n";
  std::vector<Row> rows;
  for (const ImportedAddress& row : imported.addresses) {
    const bool refused = row.verdict == "refused";
    std::string verdict = row.verdict;
    if (row.verdict == "fits") verdict = imported.done ? "taken over" : "fits";
    if (row.verdict == "known") verdict = "held already";
    if (refused) verdict += ": " + harmless(row.reason);
    rows.push_back({refused ? Tone::wrong : Tone::good,
                    {dash_if_empty(row.address), dash_if_empty(row.container),
                     dash_if_empty(row.ifname), std::move(verdict)}});
  }
  std::string text = rendered({{"ADDRESS"}, {"CONTAINER"}, {"IFNAME"}, {"RESULT"}}, rows, style);
  if (!imported.done) text += "nothing was changed\n";
  return text;
}

std::string table(const Findings& findings, Style) {
  if (findings.findings.empty()) return "records, kernel and store agree\n";
  std::string text;
  for (const std::string& finding : findings.findings) text += finding + '\n';
  return text;
}

std::string table(const Containers& containers, Style style) {
  if (containers.containers.empty()) return "no containers are attached\n";
  std::vector<Row> rows;
  for (const Container& container : containers.containers) {
    const Attachment& attachment = container.attachment;
    const bool good = container.state == "attached" || container.state == "delegated";
    rows.push_back({good ? Tone::good : Tone::wrong,
                    {dash_if_empty(attachment.network),
                     dash_if_empty(short_id(attachment.container, containers)),
                     dash_if_empty(attachment.ifname), dash_if_empty(container.ipv4),
                     dash_if_empty(container.ipv6), dash_if_empty(container.host_ifname),
                     dash_if_empty(container.pool), duration_text(container.age),
                     dash_if_empty(container.state)}});
  }
  return rendered({{"NETWORK"},
                   {"CONTAINER"},
                   {"IFNAME"},
                   {"IPV4"},
                   {"IPV6"},
                   {"HOST-IFNAME"},
                   {"POOL"},
                   {"AGE", Align::right},
                   {"STATE"}},
                  rows, style);
}

std::string table(const Announcements& announcements, Style style) {
  if (announcements.announcements.empty()) return "nothing is announced for local clients\n";
  std::vector<Row> rows;
  for (const Announcement& each : announcements.announcements) {
    const bool waits = !each.waits_for.empty();
    const std::string told =
        each.advertised == 0 ? "to nobody" : fmt::format("to {}", each.advertised);
    rows.push_back({waits                  ? Tone::between
                    : each.advertised == 0 ? Tone::wrong
                                           : Tone::good,
                    {dash_if_empty(each.prefix), dash_if_empty(each.lease),
                     each.expires_seconds ? duration_text(std::chrono::seconds(
                                                static_cast<std::int64_t>(*each.expires_seconds)))
                                          : "-",
                     dash_if_none(each.med), joined(each.communities, " "),
                     each.since_seconds ? duration_text(std::chrono::seconds(
                                              static_cast<std::int64_t>(*each.since_seconds)))
                                        : "-",
                     waits ? "waits: " + harmless(each.waits_for) : told}});
  }
  return rendered({{"PREFIX"},
                   {"LEASE"},
                   {"EXPIRES", Align::right},
                   {"MED", Align::right},
                   {"COMMUNITIES"},
                   {"SINCE", Align::right},
                   {"ADVERTISED"}},
                  rows, style);
}

std::string table(const Policies& policies, Style style) {
  if (policies.policies.empty()) return "no policies are configured (bgp.policies)\n";
  std::string text;
  for (const Policy& policy : policies.policies) {
    if (!text.empty()) text += '\n';
    text += fmt::format("policy {}\n", harmless(policy.name));
    text += labelled("import of", joined(policy.import_of, ", "));
    text += labelled("export of", joined(policy.export_of, ", "));
    std::vector<Row> rows;
    for (const PolicyRule& rule : policy.rules) {
      rows.push_back({Tone::good,
                      {harmless(rule.name), harmless(rule.then),
                       fmt::format("{}", rule.import_hits), fmt::format("{}", rule.export_hits)}});
    }
    rows.push_back({Tone::good,
                    {"(no rule)", "reject", fmt::format("{}", policy.import_unmatched),
                     fmt::format("{}", policy.export_unmatched)}});
    text += rendered({{"RULE"}, {"THEN"}, {"IMPORTED", Align::right}, {"EXPORTED", Align::right}},
                     rows, style);
  }
  return text;
}

std::string table(const Aggregates& aggregates, Style style) {
  if (aggregates.aggregates.empty()) return "no aggregates are configured (bgp.aggregates)\n";
  std::vector<Row> rows;
  for (const Aggregate& each : aggregates.aggregates) {
    const bool announced = each.state == "announced";
    const bool told = announced && each.advertised != 0;
    rows.push_back({told ? Tone::good : Tone::between,
                    {harmless(each.prefix), harmless(each.state), duration_text(each.age),
                     fmt::format("{}", each.contributing), each.summary_only ? "yes" : "no",
                     fmt::format("{}", each.changes),
                     each.advertised == 0 ? "to nobody" : fmt::format("to {}", each.advertised)}});
  }
  return rendered({{"PREFIX"},
                   {"STATE"},
                   {"SINCE", Align::right},
                   {"CONTRIBUTING", Align::right},
                   {"SUMMARY-ONLY"},
                   {"CHANGES", Align::right},
                   {"ADVERTISED"}},
                  rows, style);
}

std::string table(const Stations& stations, Style style) {
  if (stations.stations.empty()) return "no stations are configured (bgp.bmp.stations)\n";
  std::vector<Row> rows;
  for (const Station& station : stations.stations) {
    const bool up = station.state == "up";
    const Tone tone = up ? Tone::good : (station.state == "waiting" ? Tone::wrong : Tone::between);
    rows.push_back(
        {tone,
         {harmless(station.name), harmless(station.state), duration_text(station.age),
          joined(station.monitor, ","), fmt::format("{}", station.peers),
          fmt::format("{}", station.messages), fmt::format("{}", station.octets),
          fmt::format("{}{}", station.walking ? "table+" : "", station.pending),
          fmt::format("{}", station.overruns), up ? "-" : dash_if_empty(station.last_error)}});
  }
  return rendered({{"STATION"},
                   {"STATE"},
                   {"SINCE", Align::right},
                   {"MONITORS"},
                   {"PEERS", Align::right},
                   {"MESSAGES", Align::right},
                   {"OCTETS", Align::right},
                   {"PENDING", Align::right},
                   {"OVERRUNS", Align::right},
                   {"LAST-ERROR"}},
                  rows, style);
}

std::string table(const Doctor& doctor, Style style) {
  const auto tone_of = [](const Finding& finding) {
    if (finding.state == "good") return Tone::good;
    return finding.state == "note" ? Tone::between : Tone::wrong;
  };
  std::vector<Finding> sorted = doctor.findings;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Finding& a, const Finding& b) { return tone_of(a) > tone_of(b); });
  std::string text;
  for (const Finding& finding : sorted) {
    const Tone tone = tone_of(finding);
    text += painted(fmt::format("{}{} {}", mark(tone), harmless(finding.subject),
                                harmless(finding.message)),
                    tone, style) +
            "\n";
    if (!finding.command.empty()) text += fmt::format("      {}\n", harmless(finding.command));
  }
  return text;
}

std::string table(const FibCheck& check, Style style) {
  std::string text;
  if (!check.differences.empty()) {
    std::vector<Row> rows;
    for (const FibDifference& difference : check.differences) {
      // With a reason weftd knows of it and is at work; without, nothing had told it.
      const Tone tone = difference.reason.empty() ? Tone::wrong : Tone::between;
      rows.push_back({tone,
                      {dash_if_empty(difference.subject), dash_if_empty(difference.difference),
                       joined(difference.rib, ", "), joined(difference.wanted, ", "),
                       joined(difference.kernel, ", "), dash_if_empty(difference.reason)}});
    }
    text =
        rendered({{"WHAT"}, {"DIFFERENCE"}, {"RIB"}, {"WANTED"}, {"KERNEL"}, {"WHY"}}, rows, style);
  }
  if (check.more != 0) text += fmt::format("~ and {} more\n", check.more);
  const std::size_t found = check.differences.size() + check.more;
  text += fmt::format("{} routes in the RIB, {} wanted in the kernel, {} there; {}\n",
                      check.rib_routes, check.wanted_routes, check.kernel_routes,
                      found == 0 ? "no difference" : fmt::format("{} differences", found));
  if (check.moving != 0) {
    text += fmt::format("{} routes changed meanwhile and were not compared\n", check.moving);
  }
  if (check.repaired) {
    text +=
        check.remaining == 0
            ? std::string("repaired: a second look finds no difference\n")
            : fmt::format("repaired: a second look still finds {} differences\n", check.remaining);
  }
  return text;
}

std::string detail(const Peer& peer, Style style) {
  std::string text = fmt::format("peer {}", harmless(peer.name));
  if (!peer.description.empty()) text += fmt::format(" ({})", harmless(peer.description));
  text += '\n';
  const Tone tone = tone_of_peer(peer);
  const bool up = peer.state == "Established";
  const std::string state = fmt::format("{}{} for {}", dash_if_empty(peer.state),
                                        up ? "" : ", down", duration_text(peer.since));
  text += labelled("state", painted(state, tone, style));
  text += labelled("last error", failure_text(peer.last_error, peer.last_error_seconds));
  if (!peer.last_attempt.empty())
    text += labelled("last attempt", failure_text(peer.last_attempt, peer.last_attempt_seconds));
  text += labelled("address", dash_if_empty(peer.address));
  text += labelled("local address", dash_if_empty(peer.local_address));
  text += labelled("AS", fmt::format("{} {}", peer.asn == 0 ? "-" : fmt::format("{}", peer.asn),
                                     harmless(peer.type)));
  text += labelled("router-id", dash_if_empty(peer.router_id));
  if (!peer.range.empty()) text += labelled("range", harmless(peer.range));
  text += labelled("authentication", peer.password ? "TCP MD5"
                                     : peer.tcp_ao_keys != 0
                                         ? fmt::format("TCP-AO, {} keys", peer.tcp_ao_keys)
                                         : "none");
  if (peer.least_ttl != 0) {
    text += labelled("ttl", fmt::format("{} sent, {} or more taken", peer.ttl, peer.least_ttl));
  } else {
    text += labelled("ttl", fmt::format("{} sent, any taken", peer.ttl));
  }
  if (peer.table != 0 || peer.metric != 0) {
    text +=
        labelled("kernel",
                 fmt::format("table {}{}", peer.table == 0 ? "main" : fmt::format("{}", peer.table),
                             peer.metric == 0 ? "" : fmt::format(", metric {}", peer.metric)));
  }
  if (peer.route_reflector_client) text += labelled("reflection", "a client of ours (RFC 4456)");
  if (up) {
    text += labelled("hold time",
                     peer.hold_time.count() == 0
                         ? std::string("none, no keepalives")
                         : fmt::format("{}, keepalive every {}", duration_text(peer.hold_time),
                                       duration_text(peer.keepalive)));
  }
  text += labelled("timers",
                   fmt::format("connect-retry {}, send-hold {}", duration_text(peer.connect_retry),
                               duration_text(peer.send_hold)));
  text += labelled("we said last", dash_if_empty(peer.last_sent_notification));
  text += labelled("it said last", dash_if_empty(peer.last_received_notification));
  if (peer.malformed_updates != 0) {
    text += labelled("malformed", fmt::format("{} UPDATEs taken for withdrawals (RFC 7606)",
                                              peer.malformed_updates));
  }
  if (peer.looped != 0) {
    text += labelled(
        "loops", fmt::format("{} prefixes announced with ourselves in their path", peer.looped));
  }
  if (peer.leaked != 0) {
    text += labelled("leaks",
                     fmt::format("{} prefixes announced against its role (RFC 9234)", peer.leaked));
  }
  if (peer.mss) {
    text +=
        labelled("TCP", fmt::format("rtt {:.3f} ms, mss {}, {} retransmits, {} octets to send, "
                                    "{} to read",
                                    static_cast<double>(peer.rtt_microseconds.value_or(0)) / 1e3,
                                    *peer.mss, peer.retransmits.value_or(0),
                                    peer.send_queue.value_or(0), peer.receive_queue.value_or(0)));
  }
  if (peer.max_send != 0) {
    text += labelled("max message",
                     fmt::format("{} octets sent, {} taken", peer.max_send, peer.max_receive));
  }
  text += labelled("messages",
                   fmt::format("{} received, {} sent", peer.messages_received, peer.messages_sent));
  text += labelled("sessions", fmt::format("{} established so far", peer.established_count));
  if (!peer.ends.empty()) {
    std::vector<std::string> ends;
    for (const auto& [reason, count] : peer.ends)
      ends.push_back(fmt::format("{} {}", count, reason));
    text += labelled("ended", joined(ends, "; "));
  }
  if (peer.graceful_restarts != 0) {
    text += labelled("restarts", fmt::format("{} times its routes stayed when the session ended",
                                             peer.graceful_restarts));
  }
  if (up) {
    text += labelled("capabilities", joined(peer.capabilities, ", "));
    text += labelled("ours", joined(peer.our_capabilities, ", "));
  }
  if (peer.families.empty()) return text;
  std::vector<Row> rows;
  for (const PeerFamily& family : peer.families) {
    rows.push_back(
        {Tone::good,
         {dash_if_empty(family.family), fmt::format("{}", family.received),
          fmt::format("{}", family.accepted), fmt::format("{}", family.selected),
          fmt::format("{}", family.advertised), family.end_of_rib ? "received" : "awaited",
          family.discarded != 0 ? fmt::format("{} not held", family.discarded)
          : family.above_limit  ? "exceeded"
          : family.unheld != 0  ? fmt::format("{} not held for all", family.unheld)
                                : "-"}});
  }
  for (const PeerFamily& family : peer.families) {
    if (family.stale_because.empty()) continue;
    const std::string kept =
        fmt::format("{} {} routes, {} for {}", family.stale, harmless(family.family),
                    harmless(family.stale_because), duration_text(family.stale_left));
    text += labelled("stale", painted(kept, Tone::between, style));
  }
  return text + rendered({{"FAMILY"},
                          {"RECEIVED", Align::right},
                          {"ACCEPTED", Align::right},
                          {"SELECTED", Align::right},
                          {"ADVERTISED", Align::right},
                          {"END-OF-RIB"},
                          {"LIMIT"}},
                         rows, style);
}

std::string detail(const Route& route, Style style) {
  std::string text = fmt::format("route {}, {}\n", harmless(route.prefix), harmless(route.source));
  text +=
      labelled("kernel", painted(dash_if_empty(route.kernel), tone_of_kernel(route.kernel), style));
  if (!route.exception.empty()) text += labelled("exception", harmless(route.exception));
  if (route.next_hops.empty()) text += labelled("next hops", "-");
  for (std::size_t i = 0; i < route.next_hops.size(); ++i) {
    text += labelled(i == 0 ? "next hops" : "", harmless(route.next_hops[i]));
  }
  if (route.paths.empty()) return text + "  no paths\n";
  std::vector<Row> rows;
  for (const Path& path : route.paths) {
    rows.push_back(
        {Tone::good,
         {path.path_id == 0 ? dash_if_empty(path.peer)
                            : fmt::format("{} path {}", harmless(path.peer), path.path_id),
          dash_if_empty(path.next_hop), dash_if_empty(path.as_path), dash_if_empty(path.origin),
          dash_if_none(path.local_pref), dash_if_none(path.med), joined(path.communities, " "),
          verdict(path)}});
  }
  text += rendered({{"PEER"},
                    {"NEXT HOP"},
                    {"AS-PATH"},
                    {"ORIGIN"},
                    {"LOCAL-PREF", Align::right},
                    {"MED", Align::right},
                    {"COMMUNITIES"},
                    {"VERDICT"}},
                   rows, style);
  for (const Path& path : route.paths) {
    if (path.resolved_through.empty()) continue;
    text += labelled("resolved",
                     fmt::format("{} through {}, metric {}: {}", dash_if_empty(path.next_hop),
                                 harmless(path.resolved_through), path.igp_metric.value_or(0),
                                 joined(path.gateways, ", ")));
  }
  for (const Path& path : route.paths) {
    // Of our own it says what is known.
    if (path.aggregator.empty() || path.peer == "local") continue;
    text += labelled("aggregated",
                     fmt::format("by {} as {} says", path.aggregator, dash_if_empty(path.peer)));
  }
  for (const Path& path : route.paths) {
    if (path.originator_id.empty() && path.cluster_list.empty()) continue;
    text +=
        labelled("reflected",
                 fmt::format("by {}: from {} through clusters {}", dash_if_empty(path.peer),
                             dash_if_empty(path.originator_id), joined(path.cluster_list, " ")));
  }
  return text;
}

const Peer* find_peer(const Peers& peers, std::string_view name_or_address) {
  const auto by = [&](std::string Peer::*member) {
    return std::find_if(peers.peers.begin(), peers.peers.end(),
                        [&](const Peer& peer) { return peer.*member == name_or_address; });
  };
  // Names first: a peer may be called by the address of another.
  if (const auto named = by(&Peer::name); named != peers.peers.end()) return &*named;
  if (const auto at = by(&Peer::address); at != peers.peers.end()) return &*at;
  return nullptr;
}

}  // namespace weft::ctl
