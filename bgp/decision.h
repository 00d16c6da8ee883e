// The decision process: which path of one prefix is best, which share its load, and at which rung
// each other one fell. A pure function over plain candidates; the order they stand in changes
// nothing. Not here: storage (rib.h), and age, which RFC 4271 does not know and which would make
// the outcome depend on the past. RFC 4271 9.1.2, 4456 9, 7938 5.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "net/ip.h"
#include "net/next_hop.h"

namespace weft::bgp {

/// In the order they are climbed. A path falls at the first rung where another one does better.
enum class Rung : std::uint8_t {
  refused,   ///< by policy, an AS loop or the like: never a candidate
  next_hop,  ///< the next hop does not resolve (RFC 4271 9.1.2.1)
  /// What is originated here beats what is learned, whatever an import policy makes of that: a
  /// router that sends our own route back, or another origin of an anycast prefix, would else take
  /// it away and give it back for ever.
  local_origin,
  last_resort,     ///< long-lived stale (RFC 9494 4.3)
  local_pref,      ///< 9.1.1
  as_path_length,  ///< 9.1.2.2 a
  origin,          ///< 9.1.2.2 b
  med,             ///< 9.1.2.2 c: among paths of one neighbour AS only
  external,        ///< 9.1.2.2 d: eBGP over iBGP
  igp_metric,      ///< 9.1.2.2 e
  router_id,       ///< 9.1.2.2 f, ORIGINATOR_ID in its place (RFC 4456 9)
  cluster_list,    ///< shorter CLUSTER_LIST (RFC 4456 9)
  peer_address,    ///< 9.1.2.2 g
  path_id,         ///< two paths of one peer (RFC 7911): the lower id
  best,            ///< fell nowhere
};
/// "LOCAL_PREF", "AS_PATH length", "next hop unresolvable", …: why a path is not the best, for an
/// operator.
std::string_view name(Rung rung);

/// A path as the ladder sees it; smaller is better but for local_pref.
struct Candidate {
  bool refused = false;
  bool resolved = true;
  bool local = false;
  /// Only if there is no other.
  bool last_resort = false;
  bool external = true;
  std::uint8_t origin = 0;
  std::uint8_t cluster_list_length = 0;
  std::uint16_t path_length = 0;
  std::uint32_t local_pref = 100;
  std::uint32_t med = 0;
  std::uint32_t neighbour_as = 0;
  std::uint32_t igp_metric = 0;
  /// Of the peer, or ORIGINATOR_ID.
  std::uint32_t router_id = 0;
  std::uint32_t path_id = 0;
  /// Equal for equal AS_PATHs; only looked at without relax.
  std::uint64_t as_path = 0;
  Address peer;
  /// Load is shared within one only.
  Placement placement = {};
  /// Tells peers of equal addresses apart: two links to one router, whose link-local addresses are
  /// the same.
  std::uint32_t peer_number = 0;
  /// The caller's own: where this candidate came from.
  std::uint32_t index = 0;

  /// Outcome.
  Rung rung = Rung::best;
  /// The best, or as good up to the IGP metric, for the same table and within MultipathLimits.
  bool multipath = false;
};

/// What the loser has at its rung and what the other one has: "100 against 200". Empty at rungs
/// where a path either passes or does not.
std::string margin(const Candidate& loser, const Candidate& other);

struct MultipathLimits {
  /// Members of one set, 1..64.
  std::uint16_t paths = 16;
  /// RFC 7938 5: AS paths of equal length may differ.
  bool relax = true;
  /// MULTI_EXIT_DISC is compared whichever AS it came from, not only within one.
  bool always_compare_med = false;

  bool operator==(const MultipathLimits&) const = default;
};

/// Judges every candidate, and orders them: the best, those that share its load, the others by how
/// far they came. Returns how many share the load; 0 when none is eligible.
std::size_t decide(std::span<Candidate> candidates, const MultipathLimits& limits);

}  // namespace weft::bgp
