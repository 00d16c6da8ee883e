// AsPathRegex: a regular expression over an AS_PATH as operators of routers write them, compiled to
// a table of states, so that matching reads each digit of the path once, whatever the expression.
// Not POSIX: no counts, no back references; { and } are the braces of an AS_SET.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "bgp/attributes.h"
#include "net/result.h"

namespace weft::bgp {

class AsPathRegex {
 public:
  /// Octets of an expression, and states of its table: what bounds time and memory of compile().
  static constexpr std::size_t max_length = 255;
  static constexpr std::size_t max_states = 2048;

  /// "^65001_", "_6501[0-9]$", "^$", "_(65001|65002)_": digits and spaces, `.` any of them, `_` a
  /// border of a number, `^` and `$` the ends of the path, `[...]`, `(...)`, `|`, `*`, `+`, `?`.
  /// Found anywhere in the path.
  static Result<AsPathRegex> compile(std::string_view text);

  [[nodiscard]] bool matches(const AsPath& path) const;

 private:
  /// Digits 0..9, space, { and }, the begin and the end of the path.
  static constexpr std::size_t symbols = 15;
  using Row = std::array<std::uint16_t, symbols>;
  friend class AsPathMatcher;

  std::vector<Row> rows_;  // by state; 0 is where all begin
  std::vector<bool> found_;
};

}  // namespace weft::bgp
