#include "bgp/as_path_rules.h"

#include <algorithm>

namespace weft::bgp {
namespace {

bool is_plain(const AsPath::Segment& segment) {
  return segment.type == AsPath::SegmentType::sequence || segment.type == AsPath::SegmentType::set;
}

template <typename Which>
void replace(AsPath& path, Asn with, const Which& which) {
  for (AsPath::Segment& segment : path.segments) {
    if (is_plain(segment)) std::replace_if(segment.asns.begin(), segment.asns.end(), which, with);
  }
}

template <typename Which>
void remove(AsPath& path, const Which& which) {
  for (AsPath::Segment& segment : path.segments) {
    if (is_plain(segment)) std::erase_if(segment.asns, which);
  }
  std::erase_if(path.segments, [](const AsPath::Segment& segment) { return segment.asns.empty(); });
}

}  // namespace

void to_external(AsPath& path, const AsPathRules& rules) {
  const auto unwanted = [&](Asn asn) { return is_private(asn) && asn != rules.peer_as; };
  if (rules.remove_private == RemovePrivate::all) remove(path, unwanted);
  if (rules.remove_private == RemovePrivate::replace) replace(path, rules.local_as, unwanted);
  if (rules.overridden) {
    replace(path, rules.local_as, [&](Asn asn) { return asn == *rules.overridden; });
  }
  if (rules.node_as) path.prepend(*rules.node_as);
  path.prepend(rules.local_as);
}

}  // namespace weft::bgp
