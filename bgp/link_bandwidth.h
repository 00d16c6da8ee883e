// LinkBandwidth: the link-bandwidth extended community (draft-ietf-idr-link-bandwidth) as shares of
// the load. All or nothing: one path without it, and all of a set are equal. Coarse on purpose: a
// rate that differs by noise alone makes no other next-hop set and so no other kernel group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "bgp/attributes.h"
#include "net/next_hop.h"

namespace weft::bgp {

/// A rate in steps of 9 %: 0 for none said, else 1..1024, eight to each doubling.
using BandwidthClass = std::uint16_t;

/// Of one community. A rate that is no number, or below one octet per second, counts as none, and
/// so does any other community.
BandwidthClass bandwidth_class(const ExtendedCommunity& community);
/// The lower one of what is said.
BandwidthClass least(BandwidthClass a, BandwidthClass b);

/// Shares of members with these classes, 1..100, in lowest terms: equal classes give 1 each, and so
/// does one class that is 0.
std::vector<std::uint16_t> weights(std::span<const BandwidthClass> classes);

/// One of the paths that share a prefix's load: where it leads, with weights, and its bandwidth.
struct Share {
  NextHops ways;
  BandwidthClass bandwidth = 0;
};
/// Where the prefix leads: the `most` gateways with the greatest shares, weights at most 255 and in
/// lowest terms. A gateway that several paths lead to has their shares together, if bandwidths are
/// told.
NextHops share(std::span<const Share> shares, std::size_t most);

}  // namespace weft::bgp
