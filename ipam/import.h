// Import: addresses that another IPAM plugin gave out before weft was asked, taken over as they
// are, so that a host changes plugins with its containers running. Pure: the answer is a plan, and
// the changes that make it so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ipam/allocator.h"
#include "ipam/lease.h"
#include "net/attachment.h"
#include "net/ip.h"
#include "net/time.h"

namespace weft::ipam {

struct AddressInUse {
  Address address;
  Attachment attachment;
};

struct Verdict {
  enum class Kind : std::uint8_t {
    fits,     ///< to be taken over
    known,    ///< held by this attachment already
    refused,  ///< it cannot be held here
  };
  Kind kind = Kind::fits;
  /// Why it is refused.
  std::string reason;
};
std::string_view name(Verdict::Kind kind);

struct Import {
  /// One for each address, in their order.
  std::vector<Verdict> verdicts;
  /// Of all that fits: nothing is to be committed when something else is refused.
  Changes changes;
  [[nodiscard]] bool refuses() const;
};

/// All addresses of one attachment become one lease, so the two families must have the same place
/// in a block.
Import plan_import(const Allocator& allocator, const std::vector<AddressInUse>& addresses,
                   Time now);

}  // namespace weft::ipam
