// Path attributes as a value, and to bytes and back: one table row per attribute (attributes.cc)
// says its flags, its length, its decoder, its encoder and what an error in it means (RFC 7606).
// Next hop and NLRI are not in here: they belong to one UPDATE (update.h), the rest is shared by
// many routes. RFC 4271 5, 1997, 4360, 4456, 6793, 8092, 9234.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/notification.h"
#include "bgp/types.h"
#include "net/bytes.h"
#include "net/ip.h"

namespace weft::bgp {

enum class AttributeType : std::uint8_t {
  origin = 1,
  as_path = 2,
  next_hop = 3,
  med = 4,
  local_pref = 5,
  atomic_aggregate = 6,
  aggregator = 7,
  communities = 8,
  originator_id = 9,
  cluster_list = 10,
  mp_reach_nlri = 14,
  mp_unreach_nlri = 15,
  extended_communities = 16,
  as4_path = 17,
  as4_aggregator = 18,
  ipv6_extended_communities = 25,
  large_communities = 32,
  only_to_customer = 35,
};
/// "AS_PATH"; "attribute 99" for one without a row.
std::string name(AttributeType type);

/// Octets of the value of an attribute with a row (four octets per AS) that we take from a peer; a
/// larger one counts as malformed. It leaves room for what policy adds before the 65535 of the
/// length field.
inline constexpr std::size_t max_attribute_size = 0x7000;

/// The Attribute Flags octet (RFC 4271 4.3).
namespace flag {
inline constexpr std::uint8_t optional = 0x80;
inline constexpr std::uint8_t transitive = 0x40;
inline constexpr std::uint8_t partial = 0x20;
inline constexpr std::uint8_t extended_length = 0x10;
}  // namespace flag

/// Ordered as the decision process prefers them: lower is better.
enum class Origin : std::uint8_t { igp = 0, egp = 1, incomplete = 2 };
std::string_view name(Origin origin);

/// AS_PATH, four octets per AS whatever the session speaks (RFC 6793).
struct AsPath {
  enum class SegmentType : std::uint8_t {
    set = 1,
    sequence = 2,
    confed_sequence = 3,
    confed_set = 4
  };
  struct Segment {
    SegmentType type = SegmentType::sequence;
    /// 1..255 of them on the wire; more are split when encoded.
    std::vector<Asn> asns;
    bool operator==(const Segment&) const = default;
  };
  std::vector<Segment> segments;

  AsPath() = default;
  /// One AS_SEQUENCE, leftmost first.
  static AsPath sequence(std::vector<Asn> asns);

  [[nodiscard]] bool empty() const { return segments.empty(); }
  /// RFC 4271 9.1.2.2 a: a set counts one, confederation segments none (RFC 5065 5.3).
  [[nodiscard]] std::size_t length() const;
  [[nodiscard]] bool contains(Asn asn) const { return count(asn) != 0; }
  /// Occurrences in all segments: allowas-in counts them.
  [[nodiscard]] std::size_t count(Asn asn) const;
  /// The neighbouring AS: leftmost of a leading AS_SEQUENCE. MED compares among routes of one (RFC
  /// 4271 9.1.2.2 c).
  [[nodiscard]] std::optional<Asn> first() const;
  /// Where the route began: the last AS of a trailing AS_SEQUENCE.
  [[nodiscard]] std::optional<Asn> origin() const;
  /// RFC 4271 5.1.2 b.
  void prepend(Asn asn, std::size_t times = 1);
  /// "65001 65002 {65003 65004} (65005) [65006]": sequence, set, confederation sequence and set.
  [[nodiscard]] std::string text() const;

  bool operator==(const AsPath&) const = default;
};

/// RFC 1997.
struct Community {
  std::uint32_t value = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 trips over the 0 of a rewritten a < b
  auto operator<=>(const Community&) const = default;
  /// "65001:100", or the name of a well-known one: "no-export".
  [[nodiscard]] std::string text() const;
};
namespace community {
inline constexpr Community graceful_shutdown{0xffff0000};    // RFC 8326
inline constexpr Community accept_own{0xffff0001};           // RFC 7611
inline constexpr Community llgr_stale{0xffff0006};           // RFC 9494
inline constexpr Community no_llgr{0xffff0007};              // RFC 9494
inline constexpr Community blackhole{0xffff029a};            // RFC 7999
inline constexpr Community no_export{0xffffff01};            // RFC 1997
inline constexpr Community no_advertise{0xffffff02};         // RFC 1997
inline constexpr Community no_export_subconfed{0xffffff03};  // RFC 1997
inline constexpr Community no_peer{0xffffff04};              // RFC 3765
/// The well-known community of this name, as Community::text() writes it.
std::optional<Community> named(std::string_view name);
}  // namespace community

/// RFC 4360: type in the highest octet.
struct ExtendedCommunity {
  std::uint64_t value = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 trips over the 0 of a rewritten a < b
  auto operator<=>(const ExtendedCommunity&) const = default;
  [[nodiscard]] bool is_transitive() const { return (value >> 62 & 1) == 0; }
  /// Octets per second of a link-bandwidth community (draft-ietf-idr-link-bandwidth), else nothing.
  [[nodiscard]] std::optional<float> link_bandwidth() const;
  /// "rt:65001:100", "soo:...", "bandwidth:65001:1.25e+09", "0x4300000000000001".
  [[nodiscard]] std::string text() const;
};

/// RFC 8092.
struct LargeCommunity {
  std::uint32_t global = 0;
  std::uint32_t local1 = 0;
  std::uint32_t local2 = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 trips over the 0 of a rewritten a < b
  auto operator<=>(const LargeCommunity&) const = default;
  [[nodiscard]] std::string text() const;
};

struct Aggregator {
  Asn asn;
  RouterId address;
  auto operator<=>(const Aggregator&) const = default;
};

/// An optional transitive attribute that we pass on without knowing it (RFC 4271 5).
struct UnknownAttribute {
  std::uint8_t type = 0;
  /// As to be sent: optional, transitive, partial.
  std::uint8_t flags = 0;
  std::vector<std::byte> value;
  bool operator==(const UnknownAttribute&) const = default;
};

struct Attributes {
  Origin origin = Origin::incomplete;
  AsPath as_path;
  std::optional<std::uint32_t> med;
  std::optional<std::uint32_t> local_pref;
  bool atomic_aggregate = false;
  std::optional<Aggregator> aggregator;
  /// Communities of all kinds are sets: sorted, without duplicates (see insert() and erase()).
  std::vector<Community> communities;
  std::vector<ExtendedCommunity> extended_communities;
  std::vector<LargeCommunity> large_communities;
  std::optional<RouterId> originator_id;
  std::vector<RouterId> cluster_list;
  std::optional<Asn> only_to_customer;
  /// Sorted by type.
  std::vector<UnknownAttribute> unknown;
  /// Bit n: a known attribute of type n came with the Partial bit, which must stay set (RFC 4271
  /// 5).
  std::uint64_t partial = 0;

  [[nodiscard]] bool has(Community community) const;
  bool operator==(const Attributes&) const = default;
};

/// Into or out of a sorted set such as Attributes::communities.
template <typename T>
void insert(std::vector<T>& set, const T& value) {
  const auto at = std::lower_bound(set.begin(), set.end(), value);
  if (at == set.end() || *at != value) set.insert(at, value);
}
template <typename T>
void erase(std::vector<T>& set, const T& value) {
  const auto [first, last] = std::equal_range(set.begin(), set.end(), value);
  set.erase(first, last);
}

/// How RFC 7606 2 answers an error, from mild to strong: of several the strongest holds.
enum class Handling : std::uint8_t { accept, attribute_discard, treat_as_withdraw, session_reset };
/// "treat-as-withdraw"
std::string_view name(Handling handling);

/// One thing wrong with an attribute list.
struct AttributeError {
  AttributeType type = AttributeType::origin;
  Handling handling = Handling::accept;
  /// What RFC 4271 6.3 would have called it.
  Fault fault = Fault::UpdateUnspecific;
  /// "length 3, not 4": a few words that live as long as the program.
  std::string_view reason;
  bool operator==(const AttributeError&) const = default;
};

/// Attribute bytes in the one form that equal attributes always have, so that bytes can be interned
/// and compared: four-octet AS numbers, ascending types, shortest length fields, neither NEXT_HOP
/// nor MP_REACH_NLRI nor MP_UNREACH_NLRI.
std::vector<std::byte> canonical(const Attributes& attributes);
/// Back from canonical(); asserts that it is such.
Attributes from_canonical(Bytes attributes);

/// Appends the attributes as a peer reads them, next hop and NLRI apart: to a peer without
/// four-octet AS numbers AS_TRANS with AS4_PATH and AS4_AGGREGATOR (RFC 6793 4.2.2), else the
/// canonical form. Feed it to update.h.
void encode_attributes(const Attributes& attributes, bool four_octet_as,
                       std::vector<std::byte>& out);

/// One line for people: "origin igp, as-path 65001 65002, med 10, communities 65001:100 no-export".
std::string text(const Attributes& attributes);

}  // namespace weft::bgp
