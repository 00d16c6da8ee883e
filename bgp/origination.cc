#include "bgp/origination.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "bgp/nlri.h"

namespace weft::bgp {

namespace {

constexpr std::array<std::pair<std::string_view, Community>, 5> well_known{
    {{"no-export", community::no_export},
     {"no-advertise", community::no_advertise},
     {"no-peer", community::no_peer},
     {"graceful-shutdown", community::graceful_shutdown},
     {"blackhole", community::blackhole}}};

std::optional<std::vector<std::uint32_t>> numbers(std::string_view text) {
  std::vector<std::uint32_t> found;
  for (;;) {
    const std::size_t end = std::min(text.find(':'), text.size());
    std::uint32_t value = 0;
    const auto [stop, fault] = std::from_chars(text.data(), text.data() + end, value);
    if (fault != std::errc{} || stop != text.data() + end || found.size() == 3) return {};
    found.push_back(value);
    if (end == text.size()) return found;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Result<void> Origination::add_community(std::string_view text) {
  if (communities.size() + large_communities.size() == max_originated_communities)
    return Error{fmt::format("more than {} communities", max_originated_communities)};
  for (const auto& [name, value] : well_known) {
    if (name != text) continue;
    insert(communities, value);
    return {};
  }
  const auto parts = numbers(text);
  if (parts && parts->size() == 2 && (*parts)[0] <= 0xffff && (*parts)[1] <= 0xffff) {
    insert(communities, Community{(*parts)[0] << 16 | (*parts)[1]});
    return {};
  }
  if (parts && parts->size() == 3) {
    insert(large_communities, LargeCommunity{(*parts)[0], (*parts)[1], (*parts)[2]});
    return {};
  }
  return Error{
      fmt::format("'{}' is no community; give 65001:100, 65001:1:2, no-export, "
                  "no-advertise, no-peer, graceful-shutdown or blackhole",
                  text.substr(0, 64))};
}

std::vector<std::string> Origination::community_texts() const {
  std::vector<std::string> texts;
  for (const Community& each : communities) texts.push_back(each.text());
  for (const LargeCommunity& each : large_communities) texts.push_back(each.text());
  return texts;
}

bool Origination::is_routable() const {
  return bgp::is_routable(prefix);
}

Attributes Origination::attributes() const {
  Attributes made;
  made.origin = Origin::igp;
  made.communities = communities;
  made.large_communities = large_communities;
  made.med = med;
  return made;
}

}  // namespace weft::bgp
