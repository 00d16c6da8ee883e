// What a CNI plugin prints: the result of ADD and the error object, exactly as each version of the
// spec has them (CNI spec 0.1.0 to 1.1.0, "Result Types"). Text only; pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/ip.h"

namespace weft::cni {

/// All versions spoken, oldest first.
inline constexpr std::array<std::string_view, 7> versions{"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                          "0.4.0", "1.0.0", "1.1.0"};
inline constexpr std::string_view newest_version = versions.back();
bool is_known_version(std::string_view version);
/// Is `version` at least `other`? Both are known ones.
bool is_at_least(std::string_view version, std::string_view other);

/// CNI spec 1.1.0 "Error", and those of the reference skeleton.
enum class Code : std::uint16_t {
  incompatible_version = 1,
  unsupported_field = 2,
  unknown_container = 3,
  invalid_environment = 4,
  io_failure = 5,
  decoding_failure = 6,
  invalid_config = 7,
  invalid_netns = 8,
  try_again_later = 11,
  not_available = 50,
  limited_connectivity = 51,
  check_failed = 100,
  internal = 999,
};

struct Failure {
  Code code = Code::internal;
  std::string message;
  std::string details;
  bool operator==(const Failure&) const = default;
};

struct Interface {
  std::string name;
  std::string mac;
  /// Path of the namespace; empty: the host.
  std::string sandbox;
  /// Printed from 1.1.0 on; 0 is not known.
  std::uint32_t mtu = 0;
  bool operator==(const Interface&) const = default;
};

struct InterfaceAddress {
  Address address;
  unsigned length = 32;
  std::optional<Address> gateway;
  /// Index into the interfaces.
  std::optional<std::uint32_t> interface;
  bool operator==(const InterfaceAddress&) const = default;
};

struct Route {
  Prefix destination;
  std::optional<Address> gateway;
  bool operator==(const Route&) const = default;
};

struct Dns {
  std::vector<std::string> nameservers;
  std::string domain;
  std::vector<std::string> search;
  std::vector<std::string> options;
  bool operator==(const Dns&) const = default;
};

/// "Success result"; its JSON is also what comes back as prevResult.
struct Success {
  std::vector<Interface> interfaces;
  std::vector<InterfaceAddress> ips;
  std::vector<Route> routes;
  Dns dns;
  bool operator==(const Success&) const = default;
};

/// In the shape of `version`, a known one. Before 0.3.0 there were no interfaces.
std::string encode(const Success& success, std::string_view version);
std::string encode(const Failure& failure, std::string_view version);
/// What VERSION prints.
std::string version_text();

}  // namespace weft::cni
