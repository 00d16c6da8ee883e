// Views: what weftd shows of itself, as the plain structs of the control protocol and of the
// exporter. Reads only.
#pragma once

#include "config/config.h"
#include "ctl/protocol.h"
#include "daemon/claims.h"
#include "daemon/containers.h"
#include "daemon/doctor.h"
#include "daemon/routing.h"
#include "exporter/snapshot.h"
#include "net/time.h"

namespace weft::daemon {

/// Everything a view may look at; references to what the daemon holds.
struct World {
  const config::Config& config;
  const Routing& routing;
  const Containers& containers;
  const Claims& claims;
  /// When this weftd started, on both clocks.
  Time started;
  std::chrono::system_clock::time_point started_at;
  /// Sentences for `weftctl status` that stay true (a sysctl that could not be set).
  const std::vector<std::string>& complaints;
  /// Why the last reload failed, empty: it did not; and when the running configuration was taken.
  const std::string& reload_fault;
  std::chrono::system_clock::time_point configured_at;
};

ctl::Status status_view(const World& world, const ctl::StatusRequest& request, Time now);
ctl::Peers peers_view(const World& world, Time now);
ctl::Bfd bfd_view(const World& world, Time now);
/// The reply is a Failure when a single prefix was asked for and there is no such route.
ctl::Reply routes_view(const World& world, const ctl::RoutesRequest& request);
ctl::Blocks blocks_view(const World& world, Time now);
ctl::ClaimedBlocks claims_view(const World& world);
ctl::Containers containers_view(const World& world, Time now);
ctl::Policies policies_view(const World& world);
ctl::Aggregates aggregates_view(const World& world, Time now);
ctl::Stations stations_view(const World& world, Time now);
ctl::Doctor doctor_view(const World& world);
/// What the doctor has to look at.
Patient patient_of(const World& world);
exporter::Snapshot metrics_view(const World& world, Time now);

}  // namespace weft::daemon
