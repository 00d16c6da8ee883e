// PrefixRange: a prefix and how long those inside of it may be. PrefixIndex: many ranges, each with
// a number, and which of the numbers a prefix falls under, in the time of one search. Not a routing
// table.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/ip.h"
#include "net/result.h"

namespace weft::bgp {

/// "10.0.0.0/8": itself; "ge 24": inside of it with at least 24 bits; "le 28": at most 28; both.
struct PrefixRange {
  Prefix prefix;
  /// Bits, prefix.length() <= least <= most.
  std::uint8_t least = 0;
  std::uint8_t most = 0;

  static Result<PrefixRange> parse(std::string_view text);
  /// The prefix and everything inside.
  static PrefixRange within(const Prefix& prefix);
  static PrefixRange exactly(const Prefix& prefix);
  [[nodiscard]] bool contains(const Prefix& other) const {
    return other.length() >= least && other.length() <= most && prefix.contains(other);
  }
  /// As parse() reads it.
  [[nodiscard]] std::string text() const;
  bool operator==(const PrefixRange&) const = default;
};

class PrefixIndex {
 public:
  /// Numbers a range can have.
  static constexpr std::size_t max_numbers = 256;
  using Numbers = std::bitset<max_numbers>;

  void add(const PrefixRange& range, std::size_t number);
  /// To be called once, after the last add().
  void build();

  [[nodiscard]] Numbers find(const Prefix& prefix) const;

 private:
  struct Entry {
    PrefixRange range;
    std::size_t number = 0;
  };
  /// Entries of one prefix, and the nearest prefix around it.
  struct Node {
    Prefix prefix;
    std::size_t first = 0;
    std::size_t last = 0;
    std::size_t parent = none;
  };
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  std::vector<Entry> entries_;  // by prefix
  std::vector<Node> nodes_;     // by prefix
};

}  // namespace weft::bgp
