// Config: the whole document an operator writes, as the settings of each module, and the way from
// YAML text to it and back. Everything is checked here, all faults are told at once, each with its
// line and column; what comes out can be used as it is. The keys with their types, ranges and
// defaults stand in config/keys.cc; docs/weft.yaml.5 is made from them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/settings.h"
#include "exporter/settings.h"
#include "fib/settings.h"
#include "ipam/settings.h"
#include "net/ip.h"
#include "net/result.h"

namespace weft::config {

/// Longest document, octets.
inline constexpr std::size_t text_limit = 1024UL * 1024;
/// As many faults are told; more are counted.
inline constexpr std::size_t error_limit = 100;
inline constexpr std::size_t pool_limit = 64;
inline constexpr std::size_t peer_limit = 1024;
inline constexpr std::size_t group_limit = 256;

/// `node:`
struct NodeSettings {
  std::string name;
  bgp::Asn asn;
  bgp::RouterId router_id;
  /// IPv6 counterpart of the router-id: on lo, source of what the host itself sends.
  std::optional<Address> router_address_ipv6;
  /// What pools may ask of a node.
  ipam::Labels labels = {};
  bool operator==(const NodeSettings&) const = default;
};

/// `cni:`
struct CniSettings {
  /// For networks that name none, 1280..65535; none: that of the uplinks.
  std::optional<std::uint32_t> mtu;
  /// What comes out of a container with a source address that is not its own is dropped.
  bool anti_spoof = true;
  /// Networks (of CNI) to which that does not apply.
  std::vector<std::string> trusted_networks = {};
  /// What leaves the pools bears an address of the host.
  bool masquerade = false;
  bool operator==(const CniSettings&) const = default;
};

/// What is said once in the document and needed by several modules is filled in for all of them:
/// the AS number, the router-id and the pools' prefixes in `bgp`, the router addresses in `fib`.
struct Config {
  NodeSettings node;
  ipam::Settings ipam;
  bgp::Settings bgp;
  fib::Settings fib;
  exporter::Settings exporter;
  CniSettings cni;
  bool operator==(const Config&) const = default;
};

/// What the machine says where the operator says nothing.
struct Defaults {
  std::string host_name;
};

/// One fault of a document: what is wrong, and what would be right.
struct ConfigError {
  std::string file;
  /// Both from 1; 0: the whole file.
  int line = 0;
  int column = 0;
  std::string message;

  /// "file:line:column: message"
  [[nodiscard]] std::string text() const;
  bool operator==(const ConfigError&) const = default;
};
/// In the order of the document; never empty.
using ConfigErrors = std::vector<ConfigError>;

/// `file_name` is for the errors only.
Result<Config, ConfigErrors> parse(std::string_view text, std::string_view file_name,
                                   const Defaults& defaults);

/// Reads the file and parses it.
Result<Config, ConfigErrors> load(const std::string& path, const Defaults& defaults);

/// The document with every key, defaults too; groups are spelt out in their peers. parse(render(c))
/// == c.
std::string render(const Config& config);

}  // namespace weft::config
