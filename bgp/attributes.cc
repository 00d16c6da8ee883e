#include "bgp/attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "bgp/attribute_table.h"

namespace weft::bgp {
namespace {

using SegmentType = AsPath::SegmentType;
constexpr std::size_t max_segment_size = 255;
constexpr std::uint32_t max_two_octet_as = 0xffff;

Asn read_asn(Reader& in, bool four_octets) {
  return Asn{four_octets ? in.u32() : in.u16()};
}

void write_asn(Asn asn, bool four_octets, Writer& out) {
  if (four_octets) {
    out.u32(asn.value);
  } else {
    out.u16(static_cast<std::uint16_t>(asn.value > max_two_octet_as ? as_trans.value : asn.value));
  }
}

bool is_confederation(SegmentType type) {
  return type == SegmentType::confed_sequence || type == SegmentType::confed_set;
}

/// RFC 7606 7.2; AS 0 is RFC 7607.
std::string_view read_path(Reader in, bool four_octets, AsPath& to) {
  std::size_t size = 0;
  while (!in.empty()) {
    const std::uint8_t type = in.u8();
    const std::size_t count = in.u8();
    if (!in.ok()) return "half a segment header";
    size += 2 + 4 * count;
    if (size > max_attribute_size) return "too large";
    if (type < 1 || type > 4) return "unknown segment type";
    if (count == 0) return "empty segment";
    Reader asns = in.sub(count * (four_octets ? 4 : 2));
    if (!asns.ok()) return "segment overruns the attribute";
    AsPath::Segment& segment = to.segments.emplace_back();
    segment.type = static_cast<SegmentType>(type);
    segment.asns.reserve(count);
    while (!asns.empty()) {
      segment.asns.push_back(read_asn(asns, four_octets));
      if (segment.asns.back() == Asn{0}) return "AS 0";
    }
  }
  return {};
}

void write_path(const AsPath& path, bool four_octets, bool confederation, Writer& out) {
  for (const AsPath::Segment& segment : path.segments) {
    if (!confederation && is_confederation(segment.type)) continue;
    for (std::size_t at = 0; at < segment.asns.size(); at += max_segment_size) {
      const std::size_t count = std::min(max_segment_size, segment.asns.size() - at);
      out.u8(static_cast<std::uint8_t>(segment.type));
      out.u8(static_cast<std::uint8_t>(count));
      for (std::size_t i = at; i < at + count; ++i) write_asn(segment.asns[i], four_octets, out);
    }
  }
}

bool has_four_octet_as(const AsPath& path) {
  for (const AsPath::Segment& segment : path.segments) {
    if (is_confederation(segment.type)) continue;
    for (const Asn asn : segment.asns) {
      if (asn.value > max_two_octet_as) return true;
    }
  }
  return false;
}

/// Sets are kept sorted, without duplicates.
template <typename T>
void settle(std::vector<T>& set) {
  if (!std::is_sorted(set.begin(), set.end())) std::sort(set.begin(), set.end());
  set.erase(std::unique(set.begin(), set.end()), set.end());
}

using Text = std::string_view;
using Context = AttributeContext;
using To = DecodedAttributes;

Text decode_origin(Reader in, Context /*context*/, To& to) {
  const std::uint8_t origin = in.u8();
  if (origin > static_cast<std::uint8_t>(Origin::incomplete)) return "undefined value";
  to.value.origin = static_cast<Origin>(origin);
  return {};
}
void encode_origin(const Attributes& from, bool /*four_octets*/, Writer& out) {
  out.u8(static_cast<std::uint8_t>(from.origin));
}

/// weft is in no confederation, so no peer of its own may send such segments (RFC 5065 5).
Text decode_as_path(Reader in, Context context, To& to) {
  const Text fault = read_path(in, context.four_octet_as, to.value.as_path);
  if (!fault.empty()) return fault;
  for (const AsPath::Segment& segment : to.value.as_path.segments) {
    if (is_confederation(segment.type)) return "confederation segment";
  }
  return {};
}
void encode_as_path(const Attributes& from, bool four_octets, Writer& out) {
  write_path(from.as_path, four_octets, true, out);
}

/// Whether it is a usable address matters only when it is used, see update.cc.
Text decode_next_hop(Reader in, Context /*context*/, To& to) {
  to.next_hop = Address::ipv4(in.u32());
  return {};
}

Text decode_med(Reader in, Context /*context*/, To& to) {
  to.value.med = in.u32();
  return {};
}
void encode_med(const Attributes& from, bool /*four_octets*/, Writer& out) {
  out.u32(*from.med);
}

Text decode_local_pref(Reader in, Context /*context*/, To& to) {
  to.value.local_pref = in.u32();
  return {};
}
void encode_local_pref(const Attributes& from, bool /*four_octets*/, Writer& out) {
  out.u32(*from.local_pref);
}

Text decode_atomic_aggregate(Reader in, Context /*context*/, To& to) {
  if (!in.empty()) return "length not 0";
  to.value.atomic_aggregate = true;
  return {};
}
void encode_nothing(const Attributes& /*from*/, bool /*four_octets*/, Writer& /*out*/) {}

Text read_aggregator(Reader in, bool four_octets, std::optional<Aggregator>& to) {
  if (in.size() != (four_octets ? 8U : 6U)) return "wrong length";
  const Asn asn = read_asn(in, four_octets);
  if (asn == Asn{0}) return "AS 0";
  to = Aggregator{asn, RouterId{in.u32()}};
  return {};
}
Text decode_aggregator(Reader in, Context context, To& to) {
  return read_aggregator(in, context.four_octet_as, to.value.aggregator);
}
void encode_aggregator(const Attributes& from, bool four_octets, Writer& out) {
  write_asn(from.aggregator->asn, four_octets, out);
  out.u32(from.aggregator->address.value);
}

Text decode_communities(Reader in, Context /*context*/, To& to) {
  to.value.communities.reserve(in.size() / 4);
  while (!in.empty()) to.value.communities.push_back({in.u32()});
  settle(to.value.communities);
  return {};
}
void encode_communities(const Attributes& from, bool /*four_octets*/, Writer& out) {
  for (const Community each : from.communities) out.u32(each.value);
}

Text decode_originator_id(Reader in, Context /*context*/, To& to) {
  to.value.originator_id = RouterId{in.u32()};
  return {};
}
void encode_originator_id(const Attributes& from, bool /*four_octets*/, Writer& out) {
  out.u32(from.originator_id->value);
}

Text decode_cluster_list(Reader in, Context /*context*/, To& to) {
  to.value.cluster_list.reserve(in.size() / 4);
  while (!in.empty()) to.value.cluster_list.push_back({in.u32()});
  return {};
}
void encode_cluster_list(const Attributes& from, bool /*four_octets*/, Writer& out) {
  for (const RouterId each : from.cluster_list) out.u32(each.value);
}

Text decode_extended_communities(Reader in, Context /*context*/, To& to) {
  to.value.extended_communities.reserve(in.size() / 8);
  while (!in.empty()) to.value.extended_communities.push_back({in.u64()});
  settle(to.value.extended_communities);
  return {};
}
void encode_extended_communities(const Attributes& from, bool /*four_octets*/, Writer& out) {
  for (const ExtendedCommunity each : from.extended_communities) out.u64(each.value);
}

/// RFC 6793 6: confederation segments in it are dropped, the rest stays.
Text decode_as4_path(Reader in, Context /*context*/, To& to) {
  AsPath path;
  const Text fault = read_path(in, true, path);
  if (!fault.empty()) return fault;
  if (path.empty()) return "length 0";
  auto& segments = path.segments;
  segments.erase(std::remove_if(segments.begin(), segments.end(),
                                [](const auto& each) { return is_confederation(each.type); }),
                 segments.end());
  to.as4_path = std::move(path);
  return {};
}
void encode_as4_path(const Attributes& from, bool /*four_octets*/, Writer& out) {
  write_path(from.as_path, true, false, out);
}

Text decode_as4_aggregator(Reader in, Context /*context*/, To& to) {
  return read_aggregator(in, true, to.as4_aggregator);
}
void encode_as4_aggregator(const Attributes& from, bool /*four_octets*/, Writer& out) {
  encode_aggregator(from, true, out);
}

/// weft passes these on as they are: nothing of its own is in them.
Text decode_ipv6_extended_communities(Reader in, Context /*context*/, To& to) {
  to.value.unknown.push_back(
      {static_cast<std::uint8_t>(AttributeType::ipv6_extended_communities),
       static_cast<std::uint8_t>(flag::optional | flag::transitive | flag::partial),
       {in.rest().begin(), in.rest().end()}});
  return {};
}

Text decode_large_communities(Reader in, Context /*context*/, To& to) {
  to.value.large_communities.reserve(in.size() / 12);
  while (!in.empty()) {
    LargeCommunity& each = to.value.large_communities.emplace_back();
    each.global = in.u32();
    each.local1 = in.u32();
    each.local2 = in.u32();
  }
  settle(to.value.large_communities);
  return {};
}
void encode_large_communities(const Attributes& from, bool /*four_octets*/, Writer& out) {
  for (const LargeCommunity& each : from.large_communities) {
    out.u32(each.global);
    out.u32(each.local1);
    out.u32(each.local2);
  }
}

Text decode_only_to_customer(Reader in, Context /*context*/, To& to) {
  to.value.only_to_customer = Asn{in.u32()};
  return {};
}
void encode_only_to_customer(const Attributes& from, bool /*four_octets*/, Writer& out) {
  out.u32(from.only_to_customer->value);
}

bool always(const Attributes& /*from*/, bool /*four_octets*/) {
  return true;
}
template <auto member>
bool set(const Attributes& from, bool /*four_octets*/) {
  return static_cast<bool>(from.*member);
}
template <auto member>
bool filled(const Attributes& from, bool /*four_octets*/) {
  return !(from.*member).empty();
}
bool needs_as4_path(const Attributes& from, bool four_octets) {
  return !four_octets && has_four_octet_as(from.as_path);
}
bool needs_as4_aggregator(const Attributes& from, bool four_octets) {
  return !four_octets && from.aggregator && from.aggregator->asn.value > max_two_octet_as;
}

constexpr std::uint8_t well_known = flag::transitive;
constexpr std::uint8_t passed_on = flag::optional | flag::transitive;
constexpr std::uint8_t hop_by_hop = flag::optional;

constexpr AttributeLength by_decoder{};
constexpr AttributeLength exactly(std::size_t size) {
  return {size, false};
}
constexpr AttributeLength list_of(std::size_t size) {
  return {size, true};
}

using A = Attributes;
using T = AttributeType;
constexpr auto withdraw = Handling::treat_as_withdraw;
constexpr auto discard = Handling::attribute_discard;
constexpr auto reset = Handling::session_reset;
constexpr auto anyone = Speaks::anyone;
constexpr auto internal = Speaks::internal_peers;
constexpr auto two_octet = Speaks::two_octet_peers;

// clang-format off
constexpr std::array rows{
    // RFC 7606 7.1
    AttributeRow{T::origin, "ORIGIN", well_known, exactly(1), anyone, withdraw, Fault::InvalidOrigin,
                 decode_origin, always, encode_origin},
    // RFC 7606 7.2
    AttributeRow{T::as_path, "AS_PATH", well_known, by_decoder, anyone, withdraw, Fault::MalformedAsPath,
                 decode_as_path, always, encode_as_path},
    // RFC 7606 7.3
    AttributeRow{T::next_hop, "NEXT_HOP", well_known, exactly(4), anyone, withdraw, Fault::InvalidNextHop,
                 decode_next_hop, nullptr, nullptr},
    // RFC 7606 7.4
    AttributeRow{T::med, "MULTI_EXIT_DISC", hop_by_hop, exactly(4), anyone, withdraw, Fault::AttributeLength,
                 decode_med, set<&A::med>, encode_med},
    // RFC 7606 7.5
    AttributeRow{T::local_pref, "LOCAL_PREF", well_known, exactly(4), internal, withdraw, Fault::AttributeLength,
                 decode_local_pref, set<&A::local_pref>, encode_local_pref},
    // RFC 7606 7.6
    AttributeRow{T::atomic_aggregate, "ATOMIC_AGGREGATE", well_known, by_decoder, anyone, discard,
                 Fault::AttributeLength, decode_atomic_aggregate, set<&A::atomic_aggregate>, encode_nothing},
    // RFC 7606 7.7, RFC 7607
    AttributeRow{T::aggregator, "AGGREGATOR", passed_on, by_decoder, anyone, discard, Fault::OptionalAttribute,
                 decode_aggregator, set<&A::aggregator>, encode_aggregator},
    // RFC 7606 7.8
    AttributeRow{T::communities, "COMMUNITIES", passed_on, list_of(4), anyone, withdraw, Fault::OptionalAttribute,
                 decode_communities, filled<&A::communities>, encode_communities},
    // RFC 7606 7.9
    AttributeRow{T::originator_id, "ORIGINATOR_ID", hop_by_hop, exactly(4), internal, withdraw,
                 Fault::OptionalAttribute, decode_originator_id, set<&A::originator_id>, encode_originator_id},
    // RFC 7606 7.10
    AttributeRow{T::cluster_list, "CLUSTER_LIST", hop_by_hop, list_of(4), internal, withdraw,
                 Fault::OptionalAttribute, decode_cluster_list, filled<&A::cluster_list>, encode_cluster_list},
    // RFC 7606 7.11 and 7.12
    AttributeRow{T::mp_reach_nlri, "MP_REACH_NLRI", hop_by_hop, by_decoder, anyone, reset,
                 Fault::OptionalAttribute, nullptr, nullptr, nullptr},
    AttributeRow{T::mp_unreach_nlri, "MP_UNREACH_NLRI", hop_by_hop, by_decoder, anyone, reset,
                 Fault::OptionalAttribute, nullptr, nullptr, nullptr},
    // RFC 7606 7.14
    AttributeRow{T::extended_communities, "EXTENDED_COMMUNITIES", passed_on, list_of(8), anyone, withdraw,
                 Fault::OptionalAttribute, decode_extended_communities, filled<&A::extended_communities>,
                 encode_extended_communities},
    // RFC 6793 6
    AttributeRow{T::as4_path, "AS4_PATH", passed_on, by_decoder, two_octet, discard, Fault::OptionalAttribute,
                 decode_as4_path, needs_as4_path, encode_as4_path},
    AttributeRow{T::as4_aggregator, "AS4_AGGREGATOR", passed_on, by_decoder, two_octet, discard,
                 Fault::OptionalAttribute, decode_as4_aggregator, needs_as4_aggregator, encode_as4_aggregator},
    // RFC 7606 7.15
    AttributeRow{T::ipv6_extended_communities, "IPV6_EXTENDED_COMMUNITIES", passed_on, list_of(20), anyone, withdraw,
                 Fault::OptionalAttribute, decode_ipv6_extended_communities, nullptr, nullptr},
    // RFC 8092 6
    AttributeRow{T::large_communities, "LARGE_COMMUNITIES", passed_on, list_of(12), anyone, withdraw,
                 Fault::OptionalAttribute, decode_large_communities, filled<&A::large_communities>,
                 encode_large_communities},
    // RFC 9234 5
    AttributeRow{T::only_to_customer, "ONLY_TO_CUSTOMER", passed_on, exactly(4), anyone, withdraw,
                 Fault::OptionalAttribute, decode_only_to_customer, set<&A::only_to_customer>,
                 encode_only_to_customer},
};
// clang-format on

/// Row number by type, 255 for none: every attribute of every UPDATE is looked up.
constexpr std::array<std::uint8_t, 256> index_rows() {
  std::array<std::uint8_t, 256> index{};
  for (auto& each : index) each = 255;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    index[static_cast<std::uint8_t>(rows[i].type)] = static_cast<std::uint8_t>(i);
  }
  return index;
}
constexpr std::array<std::uint8_t, 256> row_index = index_rows();

/// Writes header and value; the length field grows to two octets only when it must.
template <typename Value>
void write_attribute(std::uint8_t flags, std::uint8_t type, std::vector<std::byte>& out,
                     const Value& value) {
  Writer writer(out);
  const std::size_t start = out.size();
  writer.u8(flags);
  writer.u8(type);
  writer.u8(0);
  value(writer);
  const std::size_t size = out.size() - start - 3;
  assert(size <= 0xffff);
  if (size <= 0xff) {
    writer.patch_u8(start + 2, static_cast<std::uint8_t>(size));
    return;
  }
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(start) + 2, std::byte{0});
  writer.patch_u8(start, flags | flag::extended_length);
  writer.patch_u16(start + 2, static_cast<std::uint16_t>(size));
}

/// A path of `units`, as length() counts them, from the left of `path`.
AsPath leading(const AsPath& path, std::size_t units) {
  AsPath result;
  for (const AsPath::Segment& segment : path.segments) {
    if (units == 0) break;
    AsPath::Segment& copy = result.segments.emplace_back(segment);
    if (segment.type != SegmentType::sequence) {
      if (segment.type == SegmentType::set) --units;
      continue;
    }
    if (copy.asns.size() > units) copy.asns.resize(units);
    units -= copy.asns.size();
  }
  return result;
}

/// A sequence that was cut where `tail` begins becomes one again; what the peer kept apart stays
/// apart.
void append(AsPath& path, const AsPath& tail) {
  auto next = tail.segments.begin();
  if (!path.segments.empty() && next != tail.segments.end()) {
    AsPath::Segment& last = path.segments.back();
    if (last.type == SegmentType::sequence && next->type == SegmentType::sequence &&
        last.asns.size() + next->asns.size() <= max_segment_size) {
      last.asns.insert(last.asns.end(), next->asns.begin(), next->asns.end());
      ++next;
    }
  }
  path.segments.insert(path.segments.end(), next, tail.segments.end());
}

}  // namespace

const AttributeRow* find_attribute_row(std::uint8_t type) {
  const std::uint8_t row = row_index[type];
  return row == 255 ? nullptr : &rows[row];
}

void merge_as4(DecodedAttributes& decoded) {
  auto& aggregator = decoded.value.aggregator;
  if (aggregator && decoded.as4_aggregator) {
    // A two-octet speaker aggregated after AS4_PATH and AS4_AGGREGATOR were written: both are
    // stale.
    if (aggregator->asn != as_trans) return;
    aggregator = decoded.as4_aggregator;
  }
  if (!decoded.as4_path) return;
  AsPath& path = decoded.value.as_path;
  const std::size_t length = path.length();
  const std::size_t as4_length = decoded.as4_path->length();
  if (length < as4_length) return;
  AsPath merged = leading(path, length - as4_length);
  append(merged, *decoded.as4_path);
  path = std::move(merged);
}

std::string name(AttributeType type) {
  const auto number = static_cast<std::uint8_t>(type);
  const AttributeRow* row = find_attribute_row(number);
  return row != nullptr ? std::string(row->name) : fmt::format("attribute {}", number);
}

std::string_view name(Origin origin) {
  switch (origin) {
    case Origin::igp:
      return "igp";
    case Origin::egp:
      return "egp";
    case Origin::incomplete:
      return "incomplete";
  }
  return "unknown";
}

std::string_view name(Handling handling) {
  switch (handling) {
    case Handling::accept:
      return "accept";
    case Handling::attribute_discard:
      return "attribute-discard";
    case Handling::treat_as_withdraw:
      return "treat-as-withdraw";
    case Handling::session_reset:
      return "session-reset";
  }
  return "unknown";
}

AsPath AsPath::sequence(std::vector<Asn> asns) {
  AsPath path;
  if (!asns.empty()) path.segments.push_back({SegmentType::sequence, std::move(asns)});
  return path;
}

std::size_t AsPath::length() const {
  std::size_t length = 0;
  for (const Segment& segment : segments) {
    if (segment.type == SegmentType::sequence) length += segment.asns.size();
    if (segment.type == SegmentType::set) ++length;
  }
  return length;
}

std::size_t AsPath::count(Asn asn) const {
  std::ptrdiff_t count = 0;
  for (const Segment& segment : segments) {
    count += std::count(segment.asns.begin(), segment.asns.end(), asn);
  }
  return static_cast<std::size_t>(count);
}

std::optional<Asn> AsPath::first() const {
  if (segments.empty() || segments.front().type != SegmentType::sequence) return std::nullopt;
  return segments.front().asns.front();
}

std::optional<Asn> AsPath::origin() const {
  if (segments.empty() || segments.back().type != SegmentType::sequence) return std::nullopt;
  return segments.back().asns.back();
}

void AsPath::prepend(Asn asn, std::size_t times) {
  if (times == 0) return;
  if (segments.empty() || segments.front().type != SegmentType::sequence) {
    segments.insert(segments.begin(), Segment{});
  }
  std::size_t room = max_segment_size - std::min(max_segment_size, segments.front().asns.size());
  for (;;) {
    const std::size_t now = std::min(room, times);
    auto& asns = segments.front().asns;
    asns.insert(asns.begin(), now, asn);
    times -= now;
    if (times == 0) return;
    segments.insert(segments.begin(), Segment{});
    room = max_segment_size;
  }
}

std::string AsPath::text() const {
  std::string result;
  for (const Segment& segment : segments) {
    constexpr std::array<std::string_view, 5> brackets{"", "{}", "", "()", "[]"};
    const std::string_view bracket = brackets.at(static_cast<std::size_t>(segment.type));
    if (!result.empty()) result += ' ';
    if (!bracket.empty()) result += bracket[0];
    for (std::size_t i = 0; i < segment.asns.size(); ++i) {
      result += fmt::format("{}{}", i == 0 ? "" : " ", segment.asns[i].value);
    }
    if (!bracket.empty()) result += bracket[1];
  }
  return result;
}

namespace {

struct CommunityName {
  Community community;
  std::string_view name;
};

constexpr std::array community_names{
    CommunityName{community::graceful_shutdown, "graceful-shutdown"},
    CommunityName{community::accept_own, "accept-own"},
    CommunityName{community::llgr_stale, "llgr-stale"},
    CommunityName{community::no_llgr, "no-llgr"},
    CommunityName{community::blackhole, "blackhole"},
    CommunityName{community::no_export, "no-export"},
    CommunityName{community::no_advertise, "no-advertise"},
    CommunityName{community::no_export_subconfed, "no-export-subconfed"},
    CommunityName{community::no_peer, "no-peer"},
};

}  // namespace

std::optional<Community> community::named(std::string_view name) {
  for (const CommunityName& each : community_names) {
    if (each.name == name) return each.community;
  }
  return std::nullopt;
}

std::string Community::text() const {
  for (const CommunityName& each : community_names) {
    if (each.community == *this) return std::string(each.name);
  }
  return fmt::format("{}:{}", value >> 16, value & 0xffff);
}

std::optional<float> ExtendedCommunity::link_bandwidth() const {
  // Two-octet AS specific, subtype 4, transitive or not.
  if ((value >> 48 & 0xbfff) != 0x0004) return std::nullopt;
  return std::bit_cast<float>(static_cast<std::uint32_t>(value));
}

std::string ExtendedCommunity::text() const {
  const auto type = static_cast<unsigned>(value >> 56);
  const auto subtype = static_cast<unsigned>(value >> 48 & 0xff);
  if (const auto bandwidth = link_bandwidth()) {
    return fmt::format("bandwidth:{}:{:g}", value >> 32 & 0xffff, *bandwidth);
  }
  if (type <= 2 && (subtype == 2 || subtype == 3)) {
    const std::string_view kind = subtype == 2 ? "rt" : "soo";
    if (type == 0) return fmt::format("{}:{}:{}", kind, value >> 32 & 0xffff, value & 0xffffffff);
    const auto administrator = static_cast<std::uint32_t>(value >> 16);
    if (type == 1) {
      return fmt::format("{}:{}:{}", kind, Address::ipv4(administrator).text(), value & 0xffff);
    }
    return fmt::format("{}:{}:{}", kind, administrator, value & 0xffff);
  }
  return fmt::format("{:#018x}", value);
}

std::string LargeCommunity::text() const {
  return fmt::format("{}:{}:{}", global, local1, local2);
}

bool Attributes::has(Community community) const {
  return std::binary_search(communities.begin(), communities.end(), community);
}

void encode_attributes(const Attributes& attributes, bool four_octet_as,
                       std::vector<std::byte>& out) {
  auto unknown = attributes.unknown.begin();
  const auto write_unknown_below = [&](unsigned type) {
    for (; unknown != attributes.unknown.end() && unknown->type < type; ++unknown) {
      write_attribute(unknown->flags, unknown->type, out,
                      [&](Writer& writer) { writer.bytes(unknown->value); });
    }
  };
  for (const AttributeRow& row : rows) {
    if (row.encode == nullptr || !row.present(attributes, four_octet_as)) continue;
    const auto type = static_cast<std::uint8_t>(row.type);
    write_unknown_below(type);
    const bool partial = (attributes.partial >> type & 1) != 0;
    const auto flags = static_cast<std::uint8_t>(row.flags | (partial ? flag::partial : 0));
    write_attribute(flags, type, out,
                    [&](Writer& writer) { row.encode(attributes, four_octet_as, writer); });
  }
  write_unknown_below(256);
}

std::vector<std::byte> canonical(const Attributes& attributes) {
  std::vector<std::byte> bytes;
  bytes.reserve(96);
  encode_attributes(attributes, true, bytes);
  return bytes;
}

Attributes from_canonical(Bytes attributes) {
  DecodedAttributes decoded;
  Reader in(attributes);
  while (!in.empty()) {
    const std::uint8_t flags = in.u8();
    const std::uint8_t type = in.u8();
    const Bytes value = in.take((flags & flag::extended_length) != 0 ? in.u16() : in.u8());
    const AttributeRow* row = find_attribute_row(type);
    if (row == nullptr || row->encode == nullptr) {
      const auto kept = static_cast<std::uint8_t>(flags & ~flag::extended_length);
      decoded.value.unknown.push_back({type, kept, {value.begin(), value.end()}});
      continue;
    }
    if ((flags & flag::partial) != 0) decoded.value.partial |= std::uint64_t{1} << type;
    [[maybe_unused]] const Text fault = row->decode(Reader(value), {}, decoded);
    assert(fault.empty() || row->type == T::as_path);
  }
  assert(in.ok());
  return std::move(decoded.value);
}

std::string text(const Attributes& attributes) {
  std::string result =
      fmt::format("origin {}, as-path {}", name(attributes.origin),
                  attributes.as_path.empty() ? "empty" : attributes.as_path.text());
  const auto add = [&](std::string_view what, const std::string& value) {
    result += fmt::format(", {} {}", what, value);
  };
  const auto add_all = [&](std::string_view what, const auto& list) {
    if (list.empty()) return;
    result += fmt::format(", {}", what);
    for (const auto& each : list) result += " " + each.text();
  };
  if (attributes.med) add("med", std::to_string(*attributes.med));
  if (attributes.local_pref) add("local-pref", std::to_string(*attributes.local_pref));
  if (attributes.atomic_aggregate) result += ", atomic-aggregate";
  if (attributes.aggregator) {
    add("aggregator", fmt::format("{} {}", attributes.aggregator->asn.value,
                                  attributes.aggregator->address.text()));
  }
  add_all("communities", attributes.communities);
  if (attributes.originator_id) add("originator-id", attributes.originator_id->text());
  add_all("cluster-list", attributes.cluster_list);
  add_all("extended-communities", attributes.extended_communities);
  add_all("large-communities", attributes.large_communities);
  if (attributes.only_to_customer) {
    add("only-to-customer", std::to_string(attributes.only_to_customer->value));
  }
  for (const UnknownAttribute& unknown : attributes.unknown) {
    add(fmt::format("attribute-{}", unknown.type), fmt::format("{} octets", unknown.value.size()));
  }
  return result;
}

}  // namespace weft::bgp
