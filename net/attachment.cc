#include "net/attachment.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft {

namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// Of all three members; NUL is in none of them, so no two attachments share a text.
std::uint64_t hash(const Attachment& attachment, std::uint64_t seed) {
  std::string text = attachment.network;
  text += '\0';
  text += attachment.container;
  text += '\0';
  text += attachment.ifname;
  return stable_hash(text, seed);
}

}  // namespace

bool is_attachment_name(std::string_view text) {
  return !text.empty() && text.size() <= attachment_name_limit && is_alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_ifname(std::string_view text) {
  constexpr std::string_view forbidden("/: \t\n\v\f\r\0", 9);
  return !text.empty() && text.size() <= ifname_limit && text != "." && text != ".." &&
         text.find_first_of(forbidden) == std::string_view::npos;
}

Result<void> check(const Attachment& attachment) {
  const auto name_error = [](std::string_view what, std::string_view value) {
    return Error{fmt::format(
        "the {} '{}' must be 1 to {} letters, digits, '_', '.', '-', the first a letter or digit",
        what, value.substr(0, 64), attachment_name_limit)};
  };
  if (!is_attachment_name(attachment.network)) {
    return name_error("network name", attachment.network);
  }
  if (!is_attachment_name(attachment.container)) {
    return name_error("container id", attachment.container);
  }
  if (!is_ifname(attachment.ifname)) {
    return Error{fmt::format(
        "the interface name '{}' must be 1 to {} octets without '/', ':' or white space",
        attachment.ifname.substr(0, 64), ifname_limit)};
  }
  return {};
}

std::string host_ifname(const Attachment& attachment) {
  return fmt::format("weft{:011x}", hash(attachment, 0) >> 20);
}

Mac container_mac(const Attachment& attachment) {
  const std::uint64_t bits = hash(attachment, 1);
  Mac mac{std::byte{0x02}};
  for (std::size_t i = 1; i < mac.size(); ++i) mac[i] = static_cast<std::byte>(bits >> (8 * i));
  if (mac == host_mac) mac[5] ^= std::byte{0xff};
  return mac;
}

std::string text(const Mac& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3],
                     mac[4], mac[5]);
}

Result<Mac> parse_mac(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  Mac mac{};
  bool good = text.size() == 17;
  for (std::size_t i = 0; good && i < mac.size(); ++i) {
    const int high = digit(text[3 * i]);
    const int low = digit(text[3 * i + 1]);
    good = high >= 0 && low >= 0 && (i == 5 || text[3 * i + 2] == ':');
    mac[i] = static_cast<std::byte>(high << 4 | low);
  }
  const bool multicast = (mac[0] & std::byte{1}) != std::byte{0};
  if (!good || multicast || mac == Mac{}) {
    return Error{
        fmt::format("'{}' is not a MAC address of one interface, such as 02:00:5e:10:00:01",
                    text.substr(0, 32))};
  }
  return mac;
}

std::uint64_t stable_hash(std::string_view text, std::uint64_t seed) {
  std::uint64_t value = 0xcbf29ce484222325U ^ seed * 0x9e3779b97f4a7c15U;
  for (const char c : text) {
    value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9U;
  value = (value ^ value >> 27) * 0x94d049bb133111ebU;
  return value ^ value >> 31;
}

}  // namespace weft
