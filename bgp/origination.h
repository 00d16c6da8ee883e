// Origination: a prefix of this node and what it is announced with. Text to it and back. Not here:
// who asked for it and for how long (daemon/announcements.h). RFC 1997, 8092, 7999, 8326.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/attributes.h"
#include "net/ip.h"
#include "net/result.h"

namespace weft::bgp {

/// Communities of one prefix.
inline constexpr std::size_t max_originated_communities = 64;

struct Origination {
  Prefix prefix;
  /// Sorted, without duplicates.
  std::vector<Community> communities;
  std::vector<LargeCommunity> large_communities;
  std::optional<std::uint32_t> med;
  /// Stands for the addresses in it, which are not told one by one: AGGREGATOR says whose it is
  /// (RFC 4271 5.1.7), also to this node, when somebody sends it back.
  bool aggregate = false;
  bool operator==(const Origination&) const = default;

  /// "65001:100", "65001:1:2" (large), "no-export", "no-advertise", "graceful-shutdown",
  /// "blackhole".
  Result<void> add_community(std::string_view text);
  /// As add_community() takes them.
  [[nodiscard]] std::vector<std::string> community_texts() const;
  [[nodiscard]] Attributes attributes() const;
  /// The prefix can be a unicast route.
  [[nodiscard]] bool is_routable() const;
};

}  // namespace weft::bgp
