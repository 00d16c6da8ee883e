#include "bgp/community_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "net/ip.h"

namespace weft::bgp {
namespace {

constexpr std::uint32_t all_bits = 0xffffffff;
constexpr std::uint64_t max_two_octets = 0xffff;

/// A number of the text, or the star.
struct Field {
  std::uint32_t value = 0;
  std::uint32_t mask = all_bits;
};

template <typename Number>
std::optional<Number> number(std::string_view digits, Number most, int base = 10) {
  Number value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, fault] = std::from_chars(digits.data(), end, value, base);
  if (digits.empty() || fault != std::errc{} || stop != end || value > most) return std::nullopt;
  return value;
}

std::optional<Field> field(std::string_view text, std::uint64_t most) {
  if (text == "*") return Field{0, 0};
  const auto value = number<std::uint64_t>(text, most);
  if (!value) return std::nullopt;
  return Field{static_cast<std::uint32_t>(*value), all_bits};
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

struct Extended {
  std::uint64_t value = 0;
  std::uint64_t mask = std::numeric_limits<std::uint64_t>::max();
};

/// RFC 4360 3.1, 3.2, 5668: the AS or address decides which of the three types it is.
std::optional<Extended> target_or_origin(std::uint64_t subtype, std::string_view administrator,
                                         std::string_view number_text) {
  const auto made = [&](std::uint64_t type, std::uint64_t first, unsigned width,
                        const Field& second) {
    const std::uint64_t low = width == 32 ? all_bits : max_two_octets;
    return Extended{type << 56 | subtype << 48 | first << width | (second.value & low),
                    ~low | (second.mask & low)};
  };
  const auto address = Address::parse(administrator);
  if (address && address->is_v4()) {
    const auto second = field(number_text, max_two_octets);
    if (!second) return std::nullopt;
    return made(1, address->v4(), 16, *second);
  }
  const auto asn = number<std::uint64_t>(administrator, all_bits);
  if (!asn) return std::nullopt;
  const bool wide = *asn > max_two_octets;
  const auto second = field(number_text, wide ? max_two_octets : all_bits);
  if (!second) return std::nullopt;
  return made(wide ? 2 : 0, *asn, wide ? 16 : 32, *second);
}

/// draft-ietf-idr-link-bandwidth: octets per second, not transitive.
std::optional<Extended> bandwidth(std::string_view asn_text, std::string_view octets) {
  const auto asn = number<std::uint64_t>(asn_text, max_two_octets);
  const auto value = number<std::uint64_t>(octets, std::numeric_limits<std::uint64_t>::max());
  if (!asn || !value) return std::nullopt;
  constexpr std::uint64_t type = 0x4004;
  return Extended{type << 48 | *asn << 32 |
                  std::bit_cast<std::uint32_t>(static_cast<float>(*value))};
}

std::optional<Extended> extended(std::string_view text,
                                 const std::vector<std::string_view>& parts) {
  if (text.substr(0, 2) == "0x" && text.size() == 18) {
    const auto raw =
        number<std::uint64_t>(text.substr(2), std::numeric_limits<std::uint64_t>::max(), 16);
    return raw ? std::optional(Extended{*raw}) : std::nullopt;
  }
  if (parts.size() != 3) return std::nullopt;
  if (parts[0] == "rt") return target_or_origin(2, parts[1], parts[2]);
  if (parts[0] == "soo") return target_or_origin(3, parts[1], parts[2]);
  if (parts[0] == "bandwidth") return bandwidth(parts[1], parts[2]);
  return std::nullopt;
}

}  // namespace

Result<CommunityPattern> CommunityPattern::parse(std::string_view text) {
  CommunityPattern made;
  made.text_ = text;
  const auto parts = split(text);
  if (const auto known = community::named(text)) {
    made.value_[0] = known->value;
    made.mask_[0] = all_bits;
    return made;
  }
  if (const auto value = extended(text, parts)) {
    made.kind_ = Kind::extended;
    made.value_ = {static_cast<std::uint32_t>(value->value >> 32),
                   static_cast<std::uint32_t>(value->value), 0};
    made.mask_ = {static_cast<std::uint32_t>(value->mask >> 32),
                  static_cast<std::uint32_t>(value->mask), 0};
    return made;
  }
  std::vector<Field> fields;
  for (const std::string_view part : parts) {
    const auto each = field(part, parts.size() == 2 ? max_two_octets : all_bits);
    if (each) fields.push_back(*each);
  }
  if (fields.size() != parts.size() || fields.size() < 2 || fields.size() > 3) {
    return Error{fmt::format(
        "'{}' is no community; such are 65001:100, 65001:*, no-export, 65001:1:2 (large), "
        "rt:65001:100 and soo:65001:100 (extended)",
        text.substr(0, 64))};
  }
  if (fields.size() == 2) {
    made.value_[0] = fields[0].value << 16 | fields[1].value;
    made.mask_[0] = fields[0].mask << 16 | (fields[1].mask & max_two_octets);
    return made;
  }
  made.kind_ = Kind::large;
  for (std::size_t i = 0; i < 3; ++i) {
    made.value_.at(i) = fields[i].value;
    made.mask_.at(i) = fields[i].mask;
  }
  return made;
}

bool CommunityPattern::is_exact() const {
  const std::size_t words = kind_ == Kind::standard ? 1 : kind_ == Kind::extended ? 2 : 3;
  return std::all_of(mask_.begin(), mask_.begin() + static_cast<std::ptrdiff_t>(words),
                     [](std::uint32_t mask) { return mask == all_bits; });
}

bool CommunityPattern::matches(const Words& words) const {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (((words.at(i) ^ value_.at(i)) & mask_.at(i)) != 0) return false;
  }
  return true;
}

bool CommunityPattern::matches(const Community& community) const {
  return kind_ == Kind::standard && matches(Words{community.value, 0, 0});
}
bool CommunityPattern::matches(const ExtendedCommunity& community) const {
  return kind_ == Kind::extended && matches(Words{static_cast<std::uint32_t>(community.value >> 32),
                                                  static_cast<std::uint32_t>(community.value), 0});
}
bool CommunityPattern::matches(const LargeCommunity& community) const {
  return kind_ == Kind::large &&
         matches(Words{community.global, community.local1, community.local2});
}

bool CommunityPattern::in(const Attributes& attributes) const {
  const auto any = [&](const auto& all) {
    return std::any_of(all.begin(), all.end(), [&](const auto& each) { return matches(each); });
  };
  return any(attributes.communities) || any(attributes.extended_communities) ||
         any(attributes.large_communities);
}

void CommunityPattern::add_to(Attributes& attributes) const {
  assert(is_exact());
  switch (kind_) {
    case Kind::standard:
      return insert(attributes.communities, Community{value_[0]});
    case Kind::extended:
      return insert(attributes.extended_communities,
                    ExtendedCommunity{std::uint64_t{value_[0]} << 32 | value_[1]});
    case Kind::large:
      return insert(attributes.large_communities, LargeCommunity{value_[0], value_[1], value_[2]});
  }
}

void CommunityPattern::remove_from(Attributes& attributes) const {
  const auto remove = [&](auto& all) {
    std::erase_if(all, [&](const auto& each) { return matches(each); });
  };
  remove(attributes.communities);
  remove(attributes.extended_communities);
  remove(attributes.large_communities);
}

}  // namespace weft::bgp
