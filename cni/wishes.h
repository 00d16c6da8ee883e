// Wishes: what a runtime asks for one container, beside what the network's configuration says of
// all: capability arguments (CNI conventions: `runtimeConfig`, whose keys runtimes write in either
// case), `args.cni` and CNI_ARGS, the earlier before the later. What is for chained plugins
// (portMappings) or tells nothing that a routed link could heed (aliases, cgroupPath) is passed
// over. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "cni/result.h"
#include "net/address_range.h"
#include "net/attachment.h"
#include "net/ip.h"
#include "net/result.h"

namespace weft::cni {

/// Of one direction.
struct Rate {
  /// Bits a second, not 0.
  std::uint64_t rate = 0;
  /// Bits, not 0.
  std::uint64_t burst = 0;
  bool operator==(const Rate&) const = default;
};

struct Wishes {
  /// `ips`; at most one a family.
  std::vector<Address> addresses;
  /// `ipRanges`: sets, one a family; the address of the family is to lie in one range of its set.
  std::vector<std::vector<AddressRange>> ranges;
  std::optional<Mac> mac;
  /// `bandwidth`, as the container sees it.
  std::optional<Rate> ingress;
  std::optional<Rate> egress;
  /// Takes the place of the network's.
  std::optional<Dns> dns;
  bool operator==(const Wishes&) const = default;
};

/// `config` is the whole network configuration, an object; `args` is CNI_ARGS.
Result<Wishes, Failure> parse_wishes(const nlohmann::json& config, std::string_view args);

}  // namespace weft::cni
