#include "bgp/update.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <cassert>
#include <cstring>

#include "bgp/attribute_table.h"
#include "bgp/message.h"

namespace weft::bgp {
namespace {

/// One attribute of the list, framed: where it is, not yet what it says.
struct FramedAttribute {
  AttributeType type = AttributeType::origin;
  std::uint8_t flags = 0;
  Bytes value;
  Bytes whole;
};

/// The strongest answer so far, and the NOTIFICATION in case that is to reset the session.
struct Verdict {
  Handling handling = Handling::accept;
  Fault fault = Fault::UpdateUnspecific;
  Bytes data;
  std::vector<AttributeError> errors;

  void add(const AttributeError& error, Bytes whole) {
    if (errors.size() < max_attribute_errors) errors.push_back(error);
    if (error.handling <= handling) return;
    handling = error.handling;
    fault = error.fault;
    data = whole;
  }
  [[nodiscard]] Notification notification() const { return {fault, {data.begin(), data.end()}}; }
};

/// An attribute list cut into attributes (RFC 4271 4.3, RFC 7606 4).
struct AttributeList {
  /// The first of each type but MP_REACH_NLRI and MP_UNREACH_NLRI: at most 254.
  std::vector<FramedAttribute> attributes;
  std::optional<FramedAttribute> reach;
  std::optional<FramedAttribute> unreach;
  /// All but reach and unreach, as they stand in the message.
  std::vector<Bytes> runs;
  std::bitset<256> seen;

  [[nodiscard]] bool has(AttributeType type) const { return seen[static_cast<std::uint8_t>(type)]; }
  [[nodiscard]] bool has_other_than_unreach() const {
    return seen.count() > (has(AttributeType::mp_unreach_nlri) ? 1U : 0U);
  }
  void clear() {
    attributes.clear();
    runs.clear();
    reach.reset();
    unreach.reset();
    seen.reset();
  }
};

bool is_multiprotocol(AttributeType type) {
  return type == AttributeType::mp_reach_nlri || type == AttributeType::mp_unreach_nlri;
}

/// RFC 7606 4: from here on nothing can be framed, but the NLRI field is where Total Attribute
/// Length says.
void add_overrun(AttributeType type, Bytes rest, Verdict& verdict) {
  const auto handling =
      is_multiprotocol(type) ? Handling::session_reset : Handling::treat_as_withdraw;
  verdict.add({type, handling, Fault::AttributeLength, "overruns the attribute list"}, rest);
}

void keep(const FramedAttribute& attribute, AttributeList& to, Verdict& verdict) {
  const auto number = static_cast<std::uint8_t>(attribute.type);
  const bool again = to.seen[number];
  to.seen.set(number);
  if (is_multiprotocol(attribute.type)) {
    if (again) {  // RFC 7606 3 g
      verdict.add({attribute.type, Handling::session_reset, Fault::MalformedAttributeList, "twice"},
                  {});
      return;
    }
    (attribute.type == AttributeType::mp_reach_nlri ? to.reach : to.unreach) = attribute;
    return;
  }
  if (again) {
    verdict.add({attribute.type, Handling::attribute_discard, Fault::MalformedAttributeList,
                 "twice, the first counts"},
                attribute.whole);
    return;
  }
  to.attributes.push_back(attribute);
}

/// Notes that `whole` belongs to the bytes between the multiprotocol attributes.
void extend_runs(Bytes whole, bool joins_last, std::vector<Bytes>& runs) {
  if (!joins_last || runs.empty()) {
    runs.push_back(whole);
  } else {
    runs.back() = Bytes(runs.back().data(), runs.back().size() + whole.size());
  }
}

void frame(Bytes bytes, AttributeList& to, Verdict& verdict) {
  bool joins_last = false;
  for (Reader in(bytes); !in.empty();) {
    const Bytes rest = in.rest();
    FramedAttribute attribute;
    attribute.flags = in.u8();
    const std::uint8_t number = in.u8();
    attribute.type = static_cast<AttributeType>(number);
    attribute.value = in.take((attribute.flags & flag::extended_length) != 0 ? in.u16() : in.u8());
    if (!in.ok()) {
      to.seen.set(number);
      add_overrun(attribute.type, rest, verdict);
      return;
    }
    attribute.whole = rest.first(rest.size() - in.size());
    keep(attribute, to, verdict);
    const bool multiprotocol = is_multiprotocol(attribute.type);
    if (!multiprotocol) extend_runs(attribute.whole, joins_last, to.runs);
    joins_last = !multiprotocol;
  }
}

constexpr std::uint8_t category = flag::optional | flag::transitive;

void decode_unknown(const FramedAttribute& attribute, DecodedAttributes& to, Verdict& verdict) {
  if ((attribute.flags & flag::optional) == 0) {
    verdict.add({attribute.type, Handling::session_reset, Fault::UnrecognizedWellKnownAttribute,
                 "well-known but not known"},
                attribute.whole);
    return;
  }
  if ((attribute.flags & flag::transitive) == 0) return;
  to.value.unknown.push_back({static_cast<std::uint8_t>(attribute.type),
                              category | flag::partial,
                              {attribute.value.begin(), attribute.value.end()}});
}

bool speaks(Speaks who, AttributeContext context) {
  switch (who) {
    case Speaks::anyone:
      return true;
    case Speaks::internal_peers:
      return !context.external;
    case Speaks::two_octet_peers:
      return !context.four_octet_as;
  }
  return false;
}

void decode_known(const AttributeRow& row, const FramedAttribute& attribute,
                  AttributeContext context, DecodedAttributes& to, Verdict& verdict) {
  if (!speaks(row.speaks, context)) {
    verdict.add({row.type, Handling::attribute_discard, row.fault, "not for such a peer to send"},
                attribute.whole);
    return;
  }
  if ((attribute.flags & category) != row.flags) {
    verdict.add({row.type, Handling::treat_as_withdraw, Fault::AttributeFlags, "wrong flags"},
                attribute.whole);
    return;
  }
  if (!row.length.fits(attribute.value.size())) {
    verdict.add({row.type, row.on_error, Fault::AttributeLength, "wrong length"}, attribute.whole);
    return;
  }
  if (attribute.value.size() > max_attribute_size) {
    verdict.add({row.type, row.on_error, row.fault, "too large"}, attribute.whole);
    return;
  }
  const std::string_view reason = row.decode(Reader(attribute.value), context, to);
  if (!reason.empty()) {
    verdict.add({row.type, row.on_error, row.fault, reason}, attribute.whole);
    return;
  }
  if ((attribute.flags & flag::partial) != 0 && (row.flags & flag::optional) != 0 &&
      row.encode != nullptr && row.speaks != Speaks::two_octet_peers) {
    to.value.partial |= std::uint64_t{1} << static_cast<std::uint8_t>(row.type);
  }
}

void decode_list(const AttributeList& list, AttributeContext context, DecodedAttributes& to,
                 Verdict& verdict) {
  for (const FramedAttribute& attribute : list.attributes) {
    const AttributeRow* row = find_attribute_row(static_cast<std::uint8_t>(attribute.type));
    if (row == nullptr) {
      decode_unknown(attribute, to, verdict);
    } else {
      decode_known(*row, attribute, context, to, verdict);
    }
  }
  auto& unknown = to.value.unknown;
  const auto by_type = [](const auto& a, const auto& b) { return a.type < b.type; };
  if (unknown.size() > 1) std::sort(unknown.begin(), unknown.end(), by_type);
  merge_as4(to);
}

/// The families whose NLRI weft reads.
std::optional<Family> known_family(AfiSafi family) {
  if (family == unicast(Family::ipv4)) return Family::ipv4;
  if (family == unicast(Family::ipv6)) return Family::ipv6;
  return std::nullopt;
}

/// An address that one host can have.
bool is_host(const Address& address) {
  if (address.is_unspecified() || address.is_multicast() || address.is_loopback()) return false;
  if (address.is_v6()) return true;
  const auto first = std::to_integer<unsigned>(address.octets()[0]);
  return first != 0 && first < 224;
}

/// RFC 2545 3, RFC 8950 3, and what speakers without a global address put there.
PathNextHop read_next_hop(Bytes bytes) {
  if (bytes.size() < 32) {
    const Address only = Address::of(bytes);
    if (only.is_v6() && only.is_link_local()) return {only, only};
    return {only, std::nullopt};
  }
  const Address global = Address::of(bytes.first(16));
  const Address second = Address::of(bytes.last(16));
  if (second.is_link_local()) {
    const bool alone = global.is_unspecified() || global.is_link_local();
    return {alone ? second : global, second};
  }
  if (global.is_link_local()) return {global, global};
  return {global, std::nullopt};
}

bool next_hop_size_fits(Family family, std::size_t size, bool extended_next_hop) {
  if (family == Family::ipv4 && size == 4) return true;
  return (family == Family::ipv6 || extended_next_hop) && (size == 16 || size == 32);
}

/// MP_REACH_NLRI or MP_UNREACH_NLRI of a family that was negotiated.
struct Multiprotocol {
  PathNextHop next_hop;
  NlriRange nlri;
};

void add_malformed(const FramedAttribute& attribute, std::string_view reason, Verdict& verdict) {
  verdict.add({attribute.type, Handling::session_reset, Fault::OptionalAttribute, reason},
              attribute.whole);
}

/// What both kinds begin with. Nothing when the family is to be skipped or the attribute is
/// malformed.
const NegotiatedFamily* read_family(const FramedAttribute& attribute, Reader& in,
                                    const Negotiated& negotiated, Verdict& verdict) {
  if ((attribute.flags & category) != flag::optional) {
    verdict.add({attribute.type, Handling::treat_as_withdraw, Fault::AttributeFlags, "wrong flags"},
                attribute.whole);
  }
  const std::uint16_t afi = in.u16();
  const AfiSafi family{afi, in.u8()};
  if (!in.ok()) {
    add_malformed(attribute, "too short", verdict);
    return nullptr;
  }
  const NegotiatedFamily* terms = known_family(family) ? negotiated.find(family) : nullptr;
  if (terms == nullptr) {
    verdict.add({attribute.type, Handling::attribute_discard, Fault::OptionalAttribute,
                 "family not negotiated"},
                attribute.whole);
  }
  return terms;
}

std::optional<NlriRange> read_nlri(const FramedAttribute& attribute, Bytes bytes,
                                   const NegotiatedFamily& terms, Verdict& verdict) {
  const NlriRange nlri{*known_family(terms.family), terms.add_path_receive, bytes};
  if (nlri.count()) return nlri;
  add_malformed(attribute, "NLRI syntactically incorrect", verdict);
  return std::nullopt;
}

std::optional<Multiprotocol> read_reach(const FramedAttribute& attribute,
                                        const Negotiated& negotiated, Verdict& verdict) {
  Reader in(attribute.value);
  const NegotiatedFamily* terms = read_family(attribute, in, negotiated, verdict);
  if (terms == nullptr) return std::nullopt;
  const Bytes next_hop = in.take(in.u8());
  in.u8();  // reserved, once a count of SNPAs
  const Family family = *known_family(terms->family);
  if (!in.ok() || !next_hop_size_fits(family, next_hop.size(), terms->extended_next_hop)) {
    add_malformed(attribute, "next hop of wrong length", verdict);
    return std::nullopt;
  }
  const auto nlri = read_nlri(attribute, in.rest(), *terms, verdict);
  if (!nlri) return std::nullopt;
  const PathNextHop read = read_next_hop(next_hop);
  if (!is_host(read.address)) {
    verdict.add({attribute.type, Handling::treat_as_withdraw, Fault::InvalidNextHop,
                 "next hop is no host address"},
                attribute.whole);
  }
  return Multiprotocol{read, *nlri};
}

std::optional<Multiprotocol> read_unreach(const FramedAttribute& attribute,
                                          const Negotiated& negotiated, Verdict& verdict) {
  Reader in(attribute.value);
  const NegotiatedFamily* terms = read_family(attribute, in, negotiated, verdict);
  if (terms == nullptr) return std::nullopt;
  const auto nlri = read_nlri(attribute, in.rest(), *terms, verdict);
  if (!nlri) return std::nullopt;
  return Multiprotocol{{}, *nlri};
}

}  // namespace

std::string PathNextHop::text() const {
  if (!link_local || *link_local == address) return address.text();
  return fmt::format("{} {}", address.text(), link_local->text());
}

Result<UpdateFields, Notification> split_update(Bytes body) {
  Reader in(body);
  UpdateFields fields;
  fields.withdrawn = in.take(in.u16());
  fields.attributes = in.take(in.u16());
  fields.nlri = in.rest();
  if (!in.ok()) return Notification{Fault::MalformedAttributeList};
  return fields;
}

struct UpdateDecoder::State {
  explicit State(Inbound rules) : inbound(std::move(rules)) {}

  Inbound inbound;
  AttributeList list;
  /// What the last list without any error said, and its bytes.
  DecodedAttributes decoded;
  std::vector<std::byte> decoded_from;
  bool remembers = false;
  std::uint64_t serial = 0;

  [[nodiscard]] bool is_same_list() const {
    Bytes known = decoded_from;
    for (const Bytes run : list.runs) {
      if (run.size() > known.size() || std::memcmp(run.data(), known.data(), run.size()) != 0) {
        return false;
      }
      known = known.subspan(run.size());
    }
    return remembers && known.empty();
  }

  void decode_attributes(Verdict& verdict) {
    if (verdict.errors.empty() && is_same_list()) return;
    decoded = {};
    ++serial;
    const std::size_t errors = verdict.errors.size();
    decode_list(list, {inbound.negotiated.four_octet_as, inbound.external}, decoded, verdict);
    remembers = errors == 0 && verdict.errors.empty();
    if (!remembers) return;
    decoded_from.clear();
    for (const Bytes run : list.runs) {
      decoded_from.insert(decoded_from.end(), run.begin(), run.end());
    }
  }

  void require(AttributeType type, Verdict& verdict) const {
    if (list.has(type)) return;
    verdict.add({type, Handling::treat_as_withdraw, Fault::MissingWellKnownAttribute, "missing"},
                {});
  }

  /// RFC 4271 5 and 6.3: what an UPDATE that announces must have, and its values beyond syntax.
  void judge_announcement(bool in_nlri_field, Verdict& verdict) const {
    require(AttributeType::origin, verdict);
    require(AttributeType::as_path, verdict);
    if (in_nlri_field) {
      require(AttributeType::next_hop, verdict);
      if (decoded.next_hop && !is_host(*decoded.next_hop)) {
        verdict.add({AttributeType::next_hop, Handling::treat_as_withdraw, Fault::InvalidNextHop,
                     "no host address"},
                    {});
      }
    }
    if (verdict.handling == Handling::treat_as_withdraw) return;
    if (inbound.external && inbound.enforce_first_as &&
        decoded.value.as_path.first() != inbound.peer_as) {
      verdict.add({AttributeType::as_path, Handling::treat_as_withdraw, Fault::MalformedAsPath,
                   "leftmost AS is not the peer's"},
                  {});
    }
  }
};

UpdateDecoder::UpdateDecoder(Inbound inbound)
    : state_(std::make_unique<State>(std::move(inbound))) {}
UpdateDecoder::UpdateDecoder(UpdateDecoder&&) noexcept = default;
UpdateDecoder& UpdateDecoder::operator=(UpdateDecoder&&) noexcept = default;
UpdateDecoder::~UpdateDecoder() = default;

const Inbound& UpdateDecoder::inbound() const {
  return state_->inbound;
}

Result<Update, Notification> UpdateDecoder::decode(Bytes body) {
  const auto fields = split_update(body);
  if (!fields) return fields.error();
  const Negotiated& negotiated = state_->inbound.negotiated;
  const NegotiatedFamily* ipv4 = negotiated.find(unicast(Family::ipv4));
  const bool path_ids = ipv4 != nullptr && ipv4->add_path_receive;
  const NlriRange withdrawn{Family::ipv4, path_ids, ipv4 ? fields->withdrawn : Bytes{}};
  const NlriRange announced{Family::ipv4, path_ids, ipv4 ? fields->nlri : Bytes{}};
  if (!withdrawn.count() || !announced.count()) return Notification{Fault::InvalidNetworkField};

  Verdict verdict;
  AttributeList& list = state_->list;
  list.clear();
  frame(fields->attributes, list, verdict);
  std::optional<Multiprotocol> reach;
  std::optional<Multiprotocol> unreach;
  if (list.reach) reach = read_reach(*list.reach, negotiated, verdict);
  if (list.unreach) unreach = read_unreach(*list.unreach, negotiated, verdict);
  state_->decode_attributes(verdict);

  const bool reaches = reach && !reach->nlri.empty();
  if (reaches || !announced.empty()) state_->judge_announcement(!announced.empty(), verdict);

  // RFC 7606 5.2: without NLRI that were found we cannot know what is to be treated as withdrawn.
  const bool found_nlri = reaches || !fields->nlri.empty() || (list.reach && !reach);
  if (verdict.handling == Handling::treat_as_withdraw && !found_nlri &&
      list.has_other_than_unreach()) {
    verdict.handling = Handling::session_reset;
  }
  if (verdict.handling == Handling::session_reset) return verdict.notification();

  Update update;
  const auto withdraw = [&](const NlriRange& range) {
    if (!range.empty()) update.withdrawals_.at(update.withdrawal_count_++) = range;
  };
  const bool refused = verdict.handling == Handling::treat_as_withdraw;
  const auto announce = [&](const PathNextHop& next_hop, const NlriRange& range) {
    if (refused) return withdraw(range);
    if (!range.empty()) update.announcements_.at(update.announcement_count_++) = {next_hop, range};
  };
  withdraw(withdrawn);
  if (unreach) withdraw(unreach->nlri);
  if (!announced.empty()) {
    announce({state_->decoded.next_hop.value_or(Address()), std::nullopt}, announced);
  }
  if (reach) announce(reach->next_hop, reach->nlri);

  if (body.size() == 4 && ipv4 != nullptr) update.end_of_rib_ = ipv4->family;
  if (unreach && unreach->nlri.empty() && !list.has_other_than_unreach() &&
      fields->withdrawn.empty() && fields->nlri.empty() && !refused) {
    update.end_of_rib_ = unicast(unreach->nlri.family);
  }
  update.handling_ = verdict.handling;
  update.errors_ = std::move(verdict.errors);
  update.attributes_ = &state_->decoded.value;
  update.serial_ = state_->serial;
  return update;
}

namespace {

constexpr std::size_t fixed_size = header_size + 4;  // and the two length fields
constexpr std::size_t next_hop_size = 7;             // NEXT_HOP with its header
constexpr std::size_t attribute_head_size = 4;       // with extended length

/// How many of `nlri`, from the first on, fit into `room` octets; `size` is what they take.
std::size_t fitting(std::span<const Nlri> nlri, bool path_ids, std::size_t room,
                    std::size_t& size) {
  size = 0;
  std::size_t count = 0;
  for (const Nlri& each : nlri) {
    const std::size_t more = encoded_size(each, path_ids);
    if (size + more > room) break;
    size += more;
    ++count;
  }
  return count;
}

void write_header(std::size_t size, std::vector<std::byte>& out) {
  out.insert(out.end(), 16, std::byte{0xff});
  Writer writer(out);
  writer.u16(static_cast<std::uint16_t>(size));
  writer.u8(static_cast<std::uint8_t>(MessageType::update));
}

void write_attribute_head(AttributeType type, std::uint8_t flags, std::size_t size, Writer& out) {
  out.u8(flags | flag::extended_length);
  out.u8(static_cast<std::uint8_t>(type));
  out.u16(static_cast<std::uint16_t>(size));
}

/// Octets of the attributes that sort before NEXT_HOP.
std::size_t before_next_hop(Bytes attributes) {
  Reader in(attributes);
  while (!in.empty()) {
    const std::size_t at = attributes.size() - in.size();
    const std::uint8_t flags = in.u8();
    if (in.u8() > static_cast<std::uint8_t>(AttributeType::next_hop)) return at;
    in.take((flags & flag::extended_length) != 0 ? in.u16() : in.u8());
  }
  return attributes.size();
}

/// The next hop as MP_REACH_NLRI carries it. Nobody but a speaker of the link-local capability
/// expects a link-local address alone; others get it twice.
std::vector<std::byte> wire_next_hop(const PathNextHop& next_hop, bool link_local_alone) {
  const Bytes first = next_hop.address.octets();
  std::vector<std::byte> bytes(first.begin(), first.end());
  if (!next_hop.link_local) return bytes;
  if (*next_hop.link_local == next_hop.address && link_local_alone) return bytes;
  const Bytes second = next_hop.link_local->octets();
  bytes.insert(bytes.end(), second.begin(), second.end());
  return bytes;
}

std::size_t encode_in_nlri_field(const PathNextHop& next_hop, Bytes attributes,
                                 std::span<const Nlri> nlri, bool path_ids, std::size_t max_size,
                                 std::vector<std::byte>& out) {
  const std::size_t taken = fixed_size + next_hop_size + attributes.size();
  if (taken > max_size) return 0;
  std::size_t nlri_size = 0;
  const std::size_t count = fitting(nlri, path_ids, max_size - taken, nlri_size);
  if (count == 0) return 0;
  write_header(taken + nlri_size, out);
  Writer writer(out);
  writer.u16(0);
  writer.u16(static_cast<std::uint16_t>(next_hop_size + attributes.size()));
  const std::size_t before = before_next_hop(attributes);
  writer.bytes(attributes.first(before));
  writer.u8(flag::transitive);
  writer.u8(static_cast<std::uint8_t>(AttributeType::next_hop));
  writer.u8(4);
  writer.u32(next_hop.address.v4());
  writer.bytes(attributes.subspan(before));
  for (const Nlri& each : nlri.first(count)) encode(each, path_ids, out);
  return count;
}

/// RFC 7606 5.1: MP_REACH_NLRI comes first.
std::size_t encode_in_mp_reach(AfiSafi family, Bytes next_hop, Bytes attributes,
                               std::span<const Nlri> nlri, bool path_ids, std::size_t max_size,
                               std::vector<std::byte>& out) {
  const std::size_t head = 5 + next_hop.size();
  const std::size_t taken = fixed_size + attribute_head_size + head + attributes.size();
  if (taken > max_size) return 0;
  std::size_t nlri_size = 0;
  const std::size_t count = fitting(nlri, path_ids, max_size - taken, nlri_size);
  if (count == 0) return 0;
  write_header(taken + nlri_size, out);
  Writer writer(out);
  writer.u16(0);
  writer.u16(static_cast<std::uint16_t>(taken + nlri_size - fixed_size));
  write_attribute_head(AttributeType::mp_reach_nlri, flag::optional, head + nlri_size, writer);
  writer.u16(family.afi);
  writer.u8(family.safi);
  writer.u8(static_cast<std::uint8_t>(next_hop.size()));
  writer.bytes(next_hop);
  writer.u8(0);
  for (const Nlri& each : nlri.first(count)) encode(each, path_ids, out);
  writer.bytes(attributes);
  return count;
}

}  // namespace

std::size_t encode_announcement(AfiSafi family, const PathNextHop& next_hop, Bytes attributes,
                                std::span<const Nlri> nlri, const Negotiated& negotiated,
                                std::vector<std::byte>& out) {
  const NegotiatedFamily* terms = negotiated.find(family);
  assert(terms != nullptr);
  const bool path_ids = terms->add_path_send;
  if (family == unicast(Family::ipv4) && next_hop.address.is_v4()) {
    return encode_in_nlri_field(next_hop, attributes, nlri, path_ids, negotiated.max_send, out);
  }
  assert(next_hop.address.is_v6());
  assert(family != unicast(Family::ipv4) || terms->extended_next_hop);
  return encode_in_mp_reach(family, wire_next_hop(next_hop, negotiated.link_local_next_hop),
                            attributes, nlri, path_ids, negotiated.max_send, out);
}

std::size_t encode_withdrawal(AfiSafi family, std::span<const Nlri> nlri,
                              const Negotiated& negotiated, std::vector<std::byte>& out) {
  const NegotiatedFamily* terms = negotiated.find(family);
  assert(terms != nullptr && !nlri.empty());
  const bool in_field = family == unicast(Family::ipv4);
  const std::size_t taken = fixed_size + (in_field ? 0 : attribute_head_size + 3);
  std::size_t nlri_size = 0;
  const std::size_t count =
      fitting(nlri, terms->add_path_send, negotiated.max_send - taken, nlri_size);
  write_header(taken + nlri_size, out);
  Writer writer(out);
  writer.u16(static_cast<std::uint16_t>(in_field ? nlri_size : 0));
  if (!in_field) {
    writer.u16(static_cast<std::uint16_t>(attribute_head_size + 3 + nlri_size));
    write_attribute_head(AttributeType::mp_unreach_nlri, flag::optional, 3 + nlri_size, writer);
    writer.u16(family.afi);
    writer.u8(family.safi);
  }
  for (const Nlri& each : nlri.first(count)) encode(each, terms->add_path_send, out);
  if (in_field) writer.u16(0);
  return count;
}

void encode_end_of_rib(AfiSafi family, std::vector<std::byte>& out) {
  Writer writer(out);
  if (family == unicast(Family::ipv4)) {
    write_header(fixed_size, out);
    writer.u32(0);
    return;
  }
  write_header(fixed_size + attribute_head_size + 3, out);
  writer.u16(0);
  writer.u16(attribute_head_size + 3);
  write_attribute_head(AttributeType::mp_unreach_nlri, flag::optional, 3, writer);
  writer.u16(family.afi);
  writer.u8(family.safi);
}

}  // namespace weft::bgp
