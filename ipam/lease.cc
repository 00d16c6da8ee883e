#include "ipam/lease.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace weft::ipam {

namespace {

/// With a pool of 32, an interface name of 15 octets and all digits: 246 octets, and the kernel
/// takes 255.
constexpr std::size_t alias_network_limit = 64;
constexpr std::size_t alias_container_limit = 110;
constexpr std::size_t abbreviation_size = 33;

std::string abbreviated(const std::string& text, std::size_t limit) {
  if (text.size() <= limit) return text;
  return fmt::format("~{:016x}{:016x}", stable_hash(text, 2), stable_hash(text, 3));
}

bool is_alias_name(std::string_view text) {
  if (text.substr(0, 1) != "~") return is_attachment_name(text);
  return text.size() == abbreviation_size &&
         text.substr(1).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

Attachment abbreviated(const Attachment& attachment) {
  return {abbreviated(attachment.network, alias_network_limit),
          abbreviated(attachment.container, alias_container_limit), attachment.ifname};
}

std::string_view name(ClaimState state) {
  switch (state) {
    case ClaimState::claiming:
      return "claiming";
    case ClaimState::owned:
      return "owned";
    case ClaimState::releasing:
      return "releasing";
    case ClaimState::lost:
      return "lost";
  }
  return "";
}

std::string link_alias(const Lease& lease) {
  const Attachment names = abbreviated(lease.attachment);
  return fmt::format("weft:{}:{}:{}{}:{}:{}:{}", lease.block.pool, lease.block.index, lease.ordinal,
                     lease.borrowed ? "+" : "", names.network, names.container, names.ifname);
}

std::optional<ParsedAlias> parse_link_alias(std::string_view alias) {
  std::array<std::string_view, 7> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t colon = alias.find(':');
    const bool last = i + 1 == parts.size();
    if (last != (colon == std::string_view::npos)) return std::nullopt;
    parts[i] = alias.substr(0, colon);
    if (!last) alias.remove_prefix(colon + 1);
  }
  const bool borrowed = parts[3].ends_with('+');
  if (borrowed) parts[3].remove_suffix(1);
  const auto block = parse_number(parts[2]);
  const auto ordinal = parse_number(parts[3]);
  if (parts[0] != "weft" || parts[1].empty() || !block || !ordinal || !is_alias_name(parts[4]) ||
      !is_alias_name(parts[5]) || !is_ifname(parts[6])) {
    return std::nullopt;
  }
  return ParsedAlias{std::string(parts[1]),
                     *block,
                     *ordinal,
                     {std::string(parts[4]), std::string(parts[5]), std::string(parts[6])},
                     borrowed};
}

std::optional<std::string> link_name(const ParsedAlias& alias) {
  const Attachment& names = alias.attachment;
  if (names.network.front() == '~' || names.container.front() == '~') return std::nullopt;
  return host_ifname(names);
}

}  // namespace weft::ipam
