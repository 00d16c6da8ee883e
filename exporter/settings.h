// What an operator sets of the Prometheus exporter. Plain data, filled by `config`.
#pragma once

#include <cstdint>
#include <optional>

#include "net/ip.h"

namespace weft::exporter {

struct Listen {
  Address address = Address::ipv4(0x7f000001);
  std::uint16_t port = 9798;
  bool operator==(const Listen&) const = default;
};

struct Settings {
  /// None: no exporter.
  std::optional<Listen> listen = Listen{};
  bool operator==(const Settings&) const = default;
};

}  // namespace weft::exporter
