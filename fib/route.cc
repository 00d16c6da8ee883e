#include "fib/route.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace weft::fib {

std::string_view name(Kind kind) {
  switch (kind) {
    case Kind::learned:
      return "unicast";
    case Kind::blackhole:
      return "blackhole";
    case Kind::gateway:
      return "gateway";
  }
  return "unicast";
}

std::string protocol_name(std::uint8_t protocol) {
  using Row = std::pair<std::uint8_t, std::string_view>;
  static constexpr std::array<Row, 20> rows{
      {{0, "unspec"}, {1, "redirect"}, {2, "kernel"}, {3, "boot"},    {4, "static"},
       {9, "ra"},     {11, "zebra"},   {12, "bird"},  {16, "dhcp"},   {18, "keepalived"},
       {42, "babel"}, {80, "calico"},  {87, "weft"},  {99, "openr"},  {186, "bgp"},
       {187, "isis"}, {188, "ospf"},   {189, "rip"},  {192, "eigrp"}, {17, "mrouted"}}};
  const auto* const row =
      std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.first == protocol; });
  return row != rows.end() ? std::string(row->second) : fmt::format("{}", protocol);
}

}  // namespace weft::fib
