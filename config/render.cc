#include <fmt/format.h>

#include <string>
#include <string_view>

#include "config/config.h"
#include "config/keys.h"

namespace weft::config {
namespace {

/// The keys of one mapping. What has no value is a comment that says what holds instead.
template <typename Settings>
std::string mapping(const Settings& settings, std::string_view indent) {
  std::string text;
  for (const auto& key : keys<Settings>()) {
    if (!key.write) continue;
    const auto value = key.write(settings);
    text += value ? fmt::format("{}{}: {}\n", indent, key.name, *value)
                  : fmt::format("{}# {}: {}\n", indent, key.name, key.absent);
  }
  return text;
}

}  // namespace

std::string render(const Config& config) {
  std::string text = "node:\n" + mapping(config.node, "  ");
  text += config.ipam.pools.empty() ? "pools: {}\n" : "pools:\n";
  for (const ipam::PoolSettings& pool : config.ipam.pools) {
    text += fmt::format("  {}:\n{}", yaml_text(pool.name), mapping(pool, "    "));
  }
  text += "ipam:\n" + mapping(config.ipam, "  ");
  text += "bgp:\n" + mapping(config.bgp, "  ");
  text += config.bgp.peers.empty() ? "  peers: []\n" : "  peers:\n";
  for (const bgp::PeerSettings& peer : config.bgp.peers) {
    // The dash takes the place of the first line's indent, as long as that is no comment.
    std::string item = mapping(peer, "      ");
    if (item[6] == '#') {
      text += "    -\n";
    } else {
      item[4] = '-';
    }
    text += item;
  }
  text += "fib:\n" + mapping(config.fib, "  ");
  text += "exporter:\n" + mapping(config.exporter, "  ");
  const std::string cni = mapping(config.cni, "  ");
  return text + "cni:\n" + cni;
}

}  // namespace weft::config
