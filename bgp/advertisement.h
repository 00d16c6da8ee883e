// Advertisement: a best path as the peers of one update group are to hear of it, and the table of
// them. Says whether a path goes out at all and with which attributes; equal advertisements have
// equal ids, so that "what were they told" is one number per prefix. RFC 4271 5.1, 9.1.3; 1997;
// 4456 6 and 8; 4360 6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "bgp/applied_policy.h"
#include "bgp/as_path_rules.h"
#include "bgp/attributes.h"
#include "bgp/capabilities.h"
#include "bgp/policy.h"
#include "bgp/rib.h"
#include "bgp/settings.h"
#include "bgp/types.h"

namespace weft::bgp {

/// What the peers of a group have in common as far as routes go.
struct ExportRules {
  Family family = Family::ipv4;
  bool external = true;
  AsPathRules as_path;
  Policy policy;
  NextHopRule next_hop_rule = NextHopRule::automatic;
  /// The peers are clients: they hear of internal paths whoever these came from (RFC 4456 6).
  bool reflector_client = false;
  /// What reflected paths are marked with (RFC 4456 8).
  RouterId cluster_id;
  /// RFC 7911.
  AddPathSend add_path;
  /// RFC 8950: IPv4 routes may keep an IPv6 next hop.
  bool extended_next_hop = false;
  /// Ours towards the peers (RFC 9234); none: not spoken.
  std::optional<Role> role = {};
  /// RFC 8326: all that is told asks to be used last.
  bool drain = false;
  /// In place of what is known of the default route.
  DefaultOriginate default_originate = {};
  /// Also what lies inside of aggregates with summary-only.
  bool unsuppress = false;
  /// The peers know what long-lived stale routes are (RFC 9494 4.3); others do not get any.
  bool long_lived = false;
  bool operator==(const ExportRules&) const = default;
};

/// A path, and whether its next hop goes out as it came; NextHopId::local: each peer gets ours.
struct Advertisement {
  AttributeId attributes = AttributeId::none;
  NextHopId next_hop = NextHopId::local;
  PeerId source = PeerId::local;
  /// Our AS so many times more than once.
  std::uint16_t prepend = 0;
  /// The MED is meant for the peer: policy set it.
  bool keeps_med = false;
  /// A path of this node, although `source` is another: that one is not to hear of it.
  bool offered = false;
  bool operator==(const Advertisement&) const = default;
};

/// None: the group is not to hear of it. `policy`: that of `rules`. The advertisement is to be
/// interned before the next one is asked for.
std::optional<Advertisement> advertised_as(const ExportRules& rules, AppliedPolicy& policy,
                                           Rib& rib, const Prefix& prefix, const BestPath& best);
/// The attributes that go out; the path's own are in the store.
Attributes exported(const ExportRules& rules, const Rib& rib, const Advertisement& advertisement);

/// Advertisements by number, 1 and up, counted by the prefixes that were told so.
class AdvertisementTable {
 public:
  using Id = std::uint32_t;

  explicit AdvertisementTable(Rib& rib) : rib_(rib), entries_(1), buckets_(64) {}
  ~AdvertisementTable();
  AdvertisementTable(const AdvertisementTable&) = delete;
  AdvertisementTable& operator=(const AdvertisementTable&) = delete;

  /// The number lasts until settle() unless it is held.
  [[nodiscard]] Id intern(const Advertisement& advertisement);
  void hold(Id id) { ++entries_[id].uses; }
  void release(Id id) {
    if (--entries_[id].uses == 0) idle_.push_back(id);
  }
  /// Forgets what nobody holds.
  void settle();

  [[nodiscard]] const Advertisement& operator[](Id id) const { return entries_[id].what; }
  /// A note of the user's, beside each: 0 until set.
  [[nodiscard]] std::uint32_t& note(Id id) { return entries_[id].note; }
  [[nodiscard]] std::size_t memory() const {
    return entries_.capacity() * sizeof(Entry) + buckets_.capacity() * sizeof(Id);
  }

 private:
  struct Entry {
    Advertisement what;
    std::uint32_t uses = 0;
    Id next = 0;  // of the same bucket, or of the free list
    std::uint32_t note = 0;
    bool free = false;
  };
  [[nodiscard]] Id& bucket_of(const Advertisement& what);
  void forget(Id id);
  void grow();

  Rib& rib_;
  std::vector<Entry> entries_;
  std::vector<Id> buckets_;
  std::vector<Id> idle_;
  std::size_t size_ = 0;
  Id free_ = 0;
  Id last_ = 0;
};

}  // namespace weft::bgp
