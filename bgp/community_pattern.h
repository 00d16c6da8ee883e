// CommunityPattern: one community of any kind, or all that look alike ("65001:*"), as an operator
// writes it. RFC 1997, 4360, 8092.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "bgp/attributes.h"
#include "net/result.h"

namespace weft::bgp {

class CommunityPattern {
 public:
  enum class Kind : std::uint8_t { standard, extended, large };

  /// "65001:100", "no-export"; "65001:1:2" (large); "rt:65001:100", "soo:192.0.2.1:7",
  /// "bandwidth:65001:1250000000", "0x0002fde800000064" (extended). A number of the first two and
  /// of a route target or origin may be "*".
  static Result<CommunityPattern> parse(std::string_view text);

  [[nodiscard]] Kind kind() const { return kind_; }
  /// True: it is one community, which can be added to a route.
  [[nodiscard]] bool is_exact() const;
  [[nodiscard]] bool matches(const Community& community) const;
  [[nodiscard]] bool matches(const ExtendedCommunity& community) const;
  [[nodiscard]] bool matches(const LargeCommunity& community) const;

  /// Whether one of the route's is such.
  [[nodiscard]] bool in(const Attributes& attributes) const;
  /// Asserts is_exact().
  void add_to(Attributes& attributes) const;
  void remove_from(Attributes& attributes) const;

  /// As parse() reads it.
  [[nodiscard]] const std::string& text() const { return text_; }
  bool operator==(const CommunityPattern& other) const { return text_ == other.text_; }

 private:
  using Words = std::array<std::uint32_t, 3>;
  [[nodiscard]] bool matches(const Words& words) const;

  Kind kind_ = Kind::standard;
  Words value_{};
  Words mask_{};  // bits that count
  std::string text_;
};

}  // namespace weft::bgp
