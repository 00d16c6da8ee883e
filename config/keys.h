// Key: one key an operator may write, in one place: how it is read, how it is printed, what the
// manual says of it. The tables are in keys.cc, pool_keys.cc, bgp_keys.cc,
// origination_keys.cc, peer_keys.cc and policy_keys.cc; parser, renderer and manual walk them, so
// none of the three can know a key that the others do not.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/settings.h"
#include "config/config.h"
#include "config/document.h"
#include "config/reader.h"
#include "exporter/settings.h"
#include "fib/settings.h"
#include "ipam/settings.h"

namespace weft::config {

/// What holds for a key besides its value.
enum class Duty : std::uint8_t {
  optional,
  required,
  /// Of a peer: says which peer it is, so no group can share it.
  identity,
};

template <typename Settings>
struct Key {
  std::string_view name;
  /// Type, range and unit: "seconds, 0 or 3..65535".
  std::string type;
  /// What holds without the key where the settings have no value to show: "the host name".
  std::string absent;
  std::string text;
  /// Empty: the key is structure, and parse.cc goes into it.
  std::function<void(Reader&, const Node&, Settings&)> read;
  /// The value as YAML on one line; nothing when the settings hold none.
  std::function<std::optional<std::string>(const Settings&)> write;
  Duty duty = Duty::optional;
};

/// A key that an earlier or later version of weft has, or an operator of other daemons looks for,
/// and what to say of it.
struct Refusal {
  std::string_view name;
  std::string_view sentence;
};

template <typename Settings>
const std::vector<Key<Settings>>& keys();
template <>
const std::vector<Key<NodeSettings>>& keys<NodeSettings>();
template <>
const std::vector<Key<ipam::PoolSettings>>& keys<ipam::PoolSettings>();
template <>
const std::vector<Key<ipam::EtcdClaim>>& keys<ipam::EtcdClaim>();
template <>
const std::vector<Key<ipam::Settings>>& keys<ipam::Settings>();
template <>
const std::vector<Key<bgp::Settings>>& keys<bgp::Settings>();
template <>
const std::vector<Key<bgp::PeerSettings>>& keys<bgp::PeerSettings>();
template <>
const std::vector<Key<bgp::BmpSettings>>& keys<bgp::BmpSettings>();
template <>
const std::vector<Key<bgp::BmpStation>>& keys<bgp::BmpStation>();
template <>
const std::vector<Key<bgp::AggregateSettings>>& keys<bgp::AggregateSettings>();
template <>
const std::vector<Key<bgp::AnnouncementSettings>>& keys<bgp::AnnouncementSettings>();
template <>
const std::vector<Key<bgp::RuleMatch>>& keys<bgp::RuleMatch>();
template <>
const std::vector<Key<bgp::RuleSet>>& keys<bgp::RuleSet>();
template <>
const std::vector<Key<bgp::RuleSettings>>& keys<bgp::RuleSettings>();
template <>
const std::vector<Key<fib::Settings>>& keys<fib::Settings>();
template <>
const std::vector<Key<exporter::Settings>>& keys<exporter::Settings>();
template <>
const std::vector<Key<CniSettings>>& keys<CniSettings>();
/// The document itself: its keys are the sections.
template <>
const std::vector<Key<Config>>& keys<Config>();

template <typename Settings>
const std::vector<Refusal>& refusals();
template <>
const std::vector<Refusal>& refusals<Config>();
template <>
const std::vector<Refusal>& refusals<bgp::Settings>();
template <>
const std::vector<Refusal>& refusals<bgp::PeerSettings>();
template <>
const std::vector<Refusal>& refusals<bgp::AggregateSettings>();
template <typename Settings>
const std::vector<Refusal>& refusals() {
  static const std::vector<Refusal> none;
  return none;
}

/// Reads the keys of one mapping into `settings`; what is unknown or missing is told.
template <typename Settings>
void read_keys(Reader& reader, const Node& node, Settings& settings);

/// What of a rule or a station is said, as YAML on one line.
template <typename Settings>
std::string write_keys(const Settings& settings);

/// A text as YAML: in double quotes.
std::string yaml_text(std::string_view text);

}  // namespace weft::config
