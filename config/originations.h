// What this node originates by its configuration: aggregates, and announcements with conditions.
// Private to config.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bgp/settings.h"
#include "config/keys.h"

namespace weft::config {

std::optional<std::vector<bgp::AggregateSettings>> read_aggregates(Reader& reader,
                                                                   const Node& node);
std::string write_aggregates(const std::vector<bgp::AggregateSettings>& aggregates);

std::optional<std::vector<bgp::AnnouncementSettings>> read_announcements(Reader& reader,
                                                                         const Node& node);
std::string write_announcements(const std::vector<bgp::AnnouncementSettings>& announcements);
/// No condition may depend on what it decides.
void check_conditions(Reader& reader, const Node& node, const bgp::Settings& settings);

}  // namespace weft::config
