#include "bgp/link_bandwidth.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace weft::bgp {
namespace {

constexpr double steps_per_doubling = 8;
constexpr long largest_class = 1024;
/// The share of the fastest; smaller than the 256 of kernels before 6.12.
constexpr double largest_weight = 100;

BandwidthClass class_of(float octets_per_second) {
  if (!std::isfinite(octets_per_second) || octets_per_second < 1) return 0;
  const long step = std::lround(std::log2(octets_per_second) * steps_per_doubling);
  return static_cast<BandwidthClass>(std::clamp(step + 1, 1L, largest_class));
}

}  // namespace

BandwidthClass bandwidth_class(const ExtendedCommunity& community) {
  const auto rate = community.link_bandwidth();
  return rate ? class_of(*rate) : BandwidthClass{0};
}

BandwidthClass least(BandwidthClass a, BandwidthClass b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

std::vector<std::uint16_t> weights(std::span<const BandwidthClass> classes) {
  std::vector<std::uint16_t> shares(classes.size(), 1);
  if (std::find(classes.begin(), classes.end(), BandwidthClass{0}) != classes.end()) return shares;
  if (classes.empty()) return shares;
  const int most = *std::max_element(classes.begin(), classes.end());
  std::uint16_t divisor = 0;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const double ratio = std::exp2((classes[i] - most) / steps_per_doubling);
    shares[i] = static_cast<std::uint16_t>(std::max(1L, std::lround(ratio * largest_weight)));
    divisor = std::gcd(divisor, shares[i]);
  }
  for (std::uint16_t& share : shares) share = static_cast<std::uint16_t>(share / divisor);
  return shares;
}

}  // namespace weft::bgp
