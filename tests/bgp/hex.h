// Octets as tests write them: "04 fde8", spaces and line ends anywhere, '#' to the end of the line
// is a comment.
#pragma once

#include <cassert>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "net/bytes.h"

namespace weft {

inline std::vector<std::byte> from_hex(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::vector<std::byte> bytes;
  bool half = false;
  bool comment = false;
  for (const char c : text) {
    if (c == '#') comment = true;
    if (c == '\n') comment = false;
    const std::size_t digit = digits.find(c);
    if (comment || digit == std::string_view::npos) continue;
    if (half) {
      bytes.back() = bytes.back() << 4 | static_cast<std::byte>(digit);
    } else {
      bytes.push_back(static_cast<std::byte>(digit));
    }
    half = !half;
  }
  assert(!half && "an odd number of hex digits");
  return bytes;
}

inline std::string to_hex(Bytes bytes) {
  std::string text;
  for (const std::byte octet : bytes) {
    text += fmt::format("{:02x}", std::to_integer<unsigned>(octet));
  }
  return text;
}

}  // namespace weft
