// diff: what has to be done to a running weftd so that it does what a new configuration says, as
// ordered changes. A change that is not listed is none: whoever applies them all ends where the new
// document is. Applies nothing itself.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "config/config.h"

namespace weft::config {

/// These settings are fixed for the life of the process. It stands alone: the document is refused
/// as a whole, so nothing else of it is a change.
struct RestartNeeded {
  /// "node.asn", …
  std::vector<std::string> keys;
  bool operator==(const RestartNeeded&) const = default;
};

struct PeerRemoved {
  bgp::PeerSettings peer;
  bool operator==(const PeerRemoved&) const = default;
};
struct PeerAdded {
  bgp::PeerSettings peer;
  bool operator==(const PeerAdded&) const = default;
};

/// What a changed peer goes through.
enum class Impact : std::uint8_t {
  /// Taken over as it is; an established session stays up. (`shutdown` among them: it does what it
  /// says.)
  live,
  /// As live, and routes have to be filtered again (a route refresh in, a new run of the export
  /// filter out).
  refilter,
  /// The session has to end and begin anew: the change concerns the connection or the OPEN message.
  reset,
};
struct PeerChanged {
  bgp::PeerSettings before;
  bgp::PeerSettings peer;
  Impact impact = Impact::live;
  bool operator==(const PeerChanged&) const = default;
};

struct PoolRemoved {
  ipam::PoolSettings pool;
  bool operator==(const PoolRemoved&) const = default;
};
struct PoolAdded {
  ipam::PoolSettings pool;
  bool operator==(const PoolAdded&) const = default;
};
/// The blocks of a pool, or which of them this host owns.
struct PoolChanged {
  ipam::PoolSettings before;
  ipam::PoolSettings pool;
  bool operator==(const PoolChanged&) const = default;
};
/// The first of the pools is another one now.
struct DefaultPoolChanged {
  std::string pool;
  bool operator==(const DefaultPoolChanged&) const = default;
};
/// cool-down, audit-interval, the labels of the node.
struct IpamChanged {
  bool operator==(const IpamChanged&) const = default;
};

/// path-limit, path-limit-action: what is held stays.
struct PathLimitChanged {
  bool operator==(const PathLimitChanged&) const = default;
};
/// multipath, multipath-relax: decide anew.
struct DecisionChanged {
  bool operator==(const DecisionChanged&) const = default;
};
/// default-route, or the prefixes of the pools: what Filter::host lets in. Routes have to be
/// filtered again.
struct HostFilterChanged {
  bool operator==(const HostFilterChanged&) const = default;
};
/// policies, prefix-sets, community-sets: routes of the peers that use them are filtered again;
/// sessions stay.
struct PoliciesChanged {
  bool operator==(const PoliciesChanged&) const = default;
};
/// Stations that are gone or changed are left, those that are new or changed connected to.
struct BmpChanged {
  bool operator==(const BmpChanged&) const = default;
};
/// aggregates, announcements: what this node originates changes, sessions stay.
struct OriginationChanged {
  bool operator==(const OriginationChanged&) const = default;
};
struct ExporterChanged {
  bool operator==(const ExporterChanged&) const = default;
};
struct CniChanged {
  bool operator==(const CniChanged&) const = default;
};

using Change = std::variant<RestartNeeded, PeerRemoved, PoolRemoved, PoolChanged, PoolAdded,
                            DefaultPoolChanged, IpamChanged, PathLimitChanged, DecisionChanged,
                            HostFilterChanged, PoliciesChanged, PeerChanged, PeerAdded, BmpChanged,
                            OriginationChanged, ExporterChanged, CniChanged>;

/// In the order of the variant: what goes makes room first. Peers are the same by name, pools too.
/// Empty: nothing to do.
std::vector<Change> diff(const Config& running, const Config& wanted);

/// One line for the log: "peer tor1 changed, its session is reset".
std::string describe(const Change& change);

}  // namespace weft::config
