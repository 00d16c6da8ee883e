// AttributeStore: every distinct set of path attributes once, as canonical octets with a 32-bit id,
// counted by use, and beside it the facts the decision process, loop checks and export rules ask
// for, so that none of them decodes. Not here: next hops (each path names its own, rib.h), the
// codec of single attributes (attributes.h).
//
// Canonical octets: the attributes of an UPDATE as they stand on the wire (flags, type, length,
// value), ascending by type, extended length only above 255 octets, AS numbers in four octets (RFC
// 6793), without NEXT_HOP, MP_REACH_NLRI, MP_UNREACH_NLRI, AS4_PATH and AS4_AGGREGATOR.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bgp/link_bandwidth.h"
#include "bgp/slab.h"
#include "bgp/types.h"
#include "net/bytes.h"

namespace weft::bgp {

/// A set in an AttributeStore; 0 is no set.
enum class AttributeId : std::uint32_t { none = 0 };

/// What RFC 4271 9.1, 1997 and 4456 ask of an attribute set.
struct AttributeFacts {
  /// 100 where the attribute is absent, as all implementations have it.
  std::uint32_t local_pref = 100;
  /// MULTI_EXIT_DISC; 0 where absent (RFC 4271 9.1.2.2 c).
  std::uint32_t med = 0;
  /// The AS the route came from: first of a leading AS_SEQUENCE; 0 for a path of our own AS.
  std::uint32_t neighbour_as = 0;
  /// ORIGINATOR_ID (RFC 4456 8); 0 where absent.
  std::uint32_t originator = 0;
  /// ONLY_TO_CUSTOMER (RFC 9234 5), where has_only_to_customer says so.
  std::uint32_t only_to_customer = 0;
  /// AS numbers in sequences plus one for each AS_SET (RFC 4271 9.1.2.2 a); confederation segments
  /// count nothing.
  std::uint16_t path_length = 0;
  /// 0 IGP, 1 EGP, 2 INCOMPLETE
  std::uint8_t origin = 0;
  /// Entries of CLUSTER_LIST, 255 for more.
  std::uint8_t cluster_list_length = 0;
  /// Times our own AS stands in AS_PATH, 255 for more (RFC 4271 9.1.2: a loop).
  std::uint8_t own_as_count = 0;
  bool own_originator : 1 = false;       ///< ORIGINATOR_ID is our router id
  bool own_cluster : 1 = false;          ///< our cluster id stands in CLUSTER_LIST
  bool no_export : 1 = false;            ///< RFC 1997
  bool no_advertise : 1 = false;         ///< RFC 1997
  bool no_export_subconfed : 1 = false;  ///< RFC 1997
  bool no_peer : 1 = false;              ///< RFC 3765
  bool graceful_shutdown : 1 = false;    ///< RFC 8326
  bool blackhole : 1 = false;            ///< RFC 7999
  bool has_only_to_customer : 1 = false;
  bool llgr_stale : 1 = false;  ///< RFC 9494 4.1
  bool no_llgr : 1 = false;     ///< RFC 9494 4.1
  bool has_local_pref : 1 = false;
  bool has_med : 1 = false;
  /// LINK_BANDWIDTH, the least that the path says; all bits of a BandwidthClass that count.
  BandwidthClass bandwidth : 11 = 0;

  /// `allowed`: times our own AS may stand in AS_PATH (RFC 4271 9.1.2, 4456 8).
  [[nodiscard]] bool is_loop(unsigned allowed) const {
    return own_originator || own_cluster || own_as_count > allowed;
  }
  bool operator==(const AttributeFacts&) const = default;
};
static_assert(sizeof(AttributeFacts) == 28, "every set of attributes has them");

class AttributeStore {
 public:
  /// Octets of one set; what fits one extended message (RFC 8654).
  static constexpr std::size_t max_size = 65535;

  /// `local`, `id` and `cluster` (none: `id`) are ours, for the loop facts. `seed` keeps a peer
  /// from choosing hash collisions.
  AttributeStore(Asn local, RouterId id, std::uint64_t seed = 0,
                 std::optional<RouterId> cluster = {});
  AttributeStore(const AttributeStore&) = delete;
  AttributeStore& operator=(const AttributeStore&) = delete;

  /// The id of `canonical`, held once more: each intern() and hold() needs its release(). `likely`
  /// is tried first: the set of the peer's last UPDATE. Asserts on more than max_size octets.
  /// `original`: the set as it was received, where policy made this one of it; it is held as long.
  [[nodiscard]] AttributeId intern(Bytes canonical, AttributeId likely = AttributeId::none,
                                   AttributeId original = AttributeId::none);
  /// As received: the set itself, or what policy made it of.
  [[nodiscard]] AttributeId original(AttributeId id) const {
    const std::uint32_t of = record(id).original;
    return of == 0 ? id : AttributeId{of};
  }
  void hold(AttributeId id) { ++record(id).uses; }
  void release(AttributeId id) {
    if (--record(id).uses == 0) forget(id);
  }

  /// Valid until the set is released.
  [[nodiscard]] Bytes octets(AttributeId id) const;
  [[nodiscard]] const AttributeFacts& facts(AttributeId id) const { return record(id).facts; }
  /// Value of the attribute of this type; empty also where there is none.
  [[nodiscard]] Bytes value(AttributeId id, std::uint8_t type) const;

  /// Distinct sets held now.
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Octets taken from the system.
  [[nodiscard]] std::size_t memory() const;

 private:
  struct Record {
    AttributeFacts facts;
    std::uint32_t uses = 0;
    std::uint32_t block = 0;  // in the slab of `length`
    std::uint32_t next = 0;   // the next set of the same hash bucket, or of the free list
    std::uint32_t original = 0;
    std::uint16_t length = 0;
    std::uint16_t tag = 0;  // more of the hash, so that few others' octets are compared
  };

  // Records in chunks: they never move, and growth never copies.
  static constexpr unsigned chunk_shift = 9;
  [[nodiscard]] Record& record(AttributeId id) {
    const auto at = static_cast<std::uint32_t>(id);
    return records_.data()[at >> chunk_shift].get()[at & ((1U << chunk_shift) - 1)];
  }
  [[nodiscard]] const Record& record(AttributeId id) const {
    return const_cast<AttributeStore*>(this)->record(id);
  }
  [[nodiscard]] bool holds(AttributeId id, Bytes canonical, AttributeId original) const;
  [[nodiscard]] AttributeId allocate();
  void forget(AttributeId id);
  void grow();
  [[nodiscard]] AttributeFacts facts_of(Bytes canonical) const;

  Asn local_;
  RouterId id_;
  RouterId cluster_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Record[]>> records_;
  std::uint32_t next_ = 1;
  std::uint32_t free_ = 0;
  std::size_t size_ = 0;
  std::vector<std::uint32_t> buckets_;
  std::vector<Slab> slabs_;
};

/// Holds one set as long as it lives.
class HeldAttributes {
 public:
  HeldAttributes() = default;
  /// Takes over the hold that intern() gave.
  HeldAttributes(AttributeStore& store, AttributeId id) : store_(&store), id_(id) {}
  HeldAttributes(HeldAttributes&& other) noexcept
      : store_(other.store_), id_(std::exchange(other.id_, AttributeId::none)) {}
  HeldAttributes& operator=(HeldAttributes&& other) noexcept {
    std::swap(store_, other.store_);
    std::swap(id_, other.id_);
    return *this;
  }
  HeldAttributes(const HeldAttributes&) = delete;
  HeldAttributes& operator=(const HeldAttributes&) = delete;
  ~HeldAttributes() {
    if (id_ != AttributeId::none) store_->release(id_);
  }
  [[nodiscard]] AttributeId id() const { return id_; }

 private:
  AttributeStore* store_ = nullptr;
  AttributeId id_ = AttributeId::none;
};

}  // namespace weft::bgp
