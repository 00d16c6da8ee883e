// What this node originates by its configuration: aggregates. Private to *keys.cc.
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

}  // namespace weft::config
