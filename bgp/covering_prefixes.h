// CoveringPrefixes: a few prefixes of both families, and which of them lie around another one. One
// lookup a distinct length, so that a full table may ask for each of its routes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <unordered_map>
#include <vector>

#include "net/ip.h"

namespace weft::bgp {

class CoveringPrefixes {
 public:
  void assign(const std::vector<Prefix>& prefixes) {
    index_.clear();
    lengths_ = {};
    for (std::size_t i = 0; i < prefixes.size(); ++i) {
      index_.emplace(prefixes[i], i);
      auto& lengths = lengths_[slot(prefixes[i].family())];
      const auto at = std::lower_bound(lengths.begin(), lengths.end(), prefixes[i].length());
      if (at == lengths.end() || *at != prefixes[i].length())
        lengths.insert(at, prefixes[i].length());
    }
  }

  [[nodiscard]] bool empty() const { return index_.empty(); }
  [[nodiscard]] bool contains(const Prefix& prefix) const { return index_.contains(prefix); }
  /// Calls `each` with the place in assign()'s list of every one that `prefix` lies inside of,
  /// shortest first; never with that of `prefix` itself.
  template <typename Each>
  void around(const Prefix& prefix, Each each) const {
    for (const unsigned length : lengths_[slot(prefix.family())]) {
      if (length >= prefix.length()) return;
      const auto found = index_.find(Prefix(prefix.address(), length));
      if (found != index_.end()) each(found->second);
    }
  }
  [[nodiscard]] bool cover(const Prefix& prefix) const {
    bool covered = false;
    around(prefix, [&](std::size_t) { covered = true; });
    return covered;
  }

 private:
  static std::size_t slot(Family family) { return family == Family::ipv4 ? 0 : 1; }

  std::unordered_map<Prefix, std::size_t> index_;
  /// By family, rising.
  std::array<std::vector<unsigned>, 2> lengths_;
};

}  // namespace weft::bgp
