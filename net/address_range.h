// AddressRange: addresses side by side, as operators and runtimes name them when no prefix fits.
#pragma once

#include <string>

#include "net/ip.h"

namespace weft {

/// From `first` to `last`, both among them, of one family.
struct AddressRange {
  Address first;
  Address last;
  /// All of it.
  static AddressRange of(const Prefix& prefix);
  [[nodiscard]] bool contains(const Address& address) const {
    return address.family() == first.family() && first <= address && address <= last;
  }
  [[nodiscard]] bool overlaps(const Prefix& prefix) const {
    return prefix.contains(first) || contains(prefix.address());
  }
  /// "10.64.0.1-10.64.0.9", or the one address.
  [[nodiscard]] std::string text() const;
  bool operator==(const AddressRange&) const = default;
};

}  // namespace weft
