// What weftctl prints: replies as text for people. Pure: structs in, text out. One line a thing,
// columns aligned; a line that needs a look begins with '!' (wrong) or '~' (in between), and is
// coloured on a terminal. Text that came from elsewhere is printed without its control characters,
// so no peer can write to the terminal.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "ctl/protocol.h"

namespace weft::ctl {

struct Style {
  /// Escape sequences of ECMA-48 (SGR).
  bool colour = false;
};

/// The two largest units: "3d4h", "2m31s", "45s".
std::string duration_text(std::chrono::seconds duration);

std::string table(const Status& status, Style style);
std::string table(const Peers& peers, Style style);
std::string table(const Bfd& bfd, Style style);
std::string table(const Routes& routes, Style style);
std::string table(const Blocks& blocks, Style style);
std::string table(const Containers& containers, Style style);
/// One line a rule, policy by policy, and one for what no rule of it met.
std::string table(const Policies& policies, Style style);
/// One line a station.
std::string table(const Aggregates& aggregates, Style style);
std::string table(const Stations& stations, Style style);
/// One line a finding, what is wrong first, each with its command.
std::string table(const Doctor& doctor, Style style);
/// One line a difference, then one that sums up.
std::string table(const FibCheck& check, Style style);
std::string table(const ClaimedBlocks& blocks, Style style);
std::string table(const Imported& imported, Style style = {});
std::string table(const Findings& findings, Style style);
std::string table(const Announcements& announcements, Style style);

/// Everything known about one peer, some twenty lines.
std::string detail(const Peer& peer, Style style);
/// All candidates of one route, best first, each loser with the rung of the decision process it
/// lost at.
std::string detail(const Route& route, Style style);

/// The peer with this name or address.
const Peer* find_peer(const Peers& peers, std::string_view name_or_address);

}  // namespace weft::ctl
