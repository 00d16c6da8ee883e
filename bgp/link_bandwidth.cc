#include "bgp/link_bandwidth.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

namespace weft::bgp {
namespace {

constexpr double steps_per_doubling = 8;
constexpr long largest_class = 1024;
/// The share of the fastest.
constexpr double largest_share = 100;
/// What a member of a group may have in every kernel: Linux refused 256 until 6.12.
constexpr std::uint64_t largest_weight = 255;
/// A share is divided among up to 12 ways without a remainder.
constexpr std::uint64_t parts_of_a_share = 27720;

BandwidthClass class_of(float octets_per_second) {
  if (!std::isfinite(octets_per_second) || octets_per_second < 1) return 0;
  const long step = std::lround(std::log2(octets_per_second) * steps_per_doubling);
  return static_cast<BandwidthClass>(std::clamp(step + 1, 1L, largest_class));
}

void reduce(std::map<NextHop, std::uint64_t>& sums) {
  std::uint64_t divisor = 0;
  for (const auto& [way, sum] : sums) divisor = std::gcd(divisor, sum);
  if (divisor < 2) return;
  for (auto& [way, sum] : sums) sum /= divisor;
}

/// Where as many lead as equally well, the lower ones stay: the outcome has no past.
void keep_greatest(std::map<NextHop, std::uint64_t>& sums, std::size_t most) {
  if (sums.size() <= most) return;
  std::vector<std::pair<NextHop, std::uint64_t>> order(sums.begin(), sums.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  order.resize(most);
  sums = {order.begin(), order.end()};
}

NextHops in_lowest_terms(std::map<NextHop, std::uint64_t> sums) {
  reduce(sums);
  std::uint64_t most = 0;
  for (const auto& [way, sum] : sums) most = std::max(most, sum);
  if (most > largest_weight) {
    for (auto& [way, sum] : sums) sum = std::max(sum * largest_weight / most, std::uint64_t{1});
    reduce(sums);
  }
  NextHops members;
  for (const auto& [way, sum] : sums) {
    members.push_back(way);
    members.back().weight = static_cast<std::uint16_t>(sum);
  }
  return members;
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
    shares[i] = static_cast<std::uint16_t>(std::max(1L, std::lround(ratio * largest_share)));
    divisor = std::gcd(divisor, shares[i]);
  }
  if (divisor < 2) return shares;
  for (std::uint16_t& each : shares) each = static_cast<std::uint16_t>(each / divisor);
  return shares;
}

NextHops share(std::span<const Share> shares, std::size_t most) {
  std::vector<BandwidthClass> classes;
  for (const Share& each : shares) classes.push_back(each.bandwidth);
  const bool told = std::find(classes.begin(), classes.end(), BandwidthClass{0}) == classes.end();
  const std::vector<std::uint16_t> parts = weights(classes);
  std::map<NextHop, std::uint64_t> sums;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    std::uint64_t total = 0;
    for (const NextHop& way : shares[i].ways) total += way.weight;
    for (NextHop way : shares[i].ways) {
      const std::uint64_t weight = std::exchange(way.weight, std::uint16_t{1});
      std::uint64_t& sum = sums[way];
      assert(total != 0);  // no weight is 0
      sum = told ? sum + parts[i] * parts_of_a_share * weight / total : std::max(sum, weight);
    }
  }
  keep_greatest(sums, most);
  return in_lowest_terms(std::move(sums));
}

}  // namespace weft::bgp
