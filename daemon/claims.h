// Claims: this host's blocks, joined with what decides about them: the claims core, its etcd, the
// allocator and store behind Containers, and BGP, which shows who really announces what. Runs on
// the main loop. An ADD never waits for it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/containers.h"
#include "daemon/routing.h"
#include "exporter/snapshot.h"
#include "ipam/settings.h"
#include "ipam/shared_claims.h"
#include "net/result.h"

namespace boost::asio {
class io_context;
}

namespace weft::daemon {

class Claims {
 public:
  /// `announce` is called whenever what is to be announced may have changed. The error is about the
  /// files that etcd's TLS needs.
  static Result<std::unique_ptr<Claims>> start(boost::asio::io_context& io,
                                               const ipam::Settings& settings,
                                               const std::string& host, bool takeover,
                                               Containers& containers, const Routing& routing,
                                               std::function<void()> announce);
  ~Claims();
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  Result<void> apply(const ipam::Settings& settings);
  /// Addresses were given or freed.
  void usage_changed();
  /// A place that may be another host's, for a container here (Containers::on_ask_for).
  void ask_for(const ipam::Place& place, std::function<void(const std::string& refusal)> answer);
  void stop();

  /// For an operator: another host's block, at the revision that was seen.
  Result<void> force_release(const std::string& pool, std::uint32_t index, std::int64_t revision);

  [[nodiscard]] std::vector<std::string> complaints() const;
  [[nodiscard]] const ipam::SharedClaims& core() const;
  void fill(exporter::Snapshot& snapshot) const;

 private:
  class Loop;
  explicit Claims(std::shared_ptr<Loop> loop);
  std::shared_ptr<Loop> loop_;
};

/// A peer shows a route to just this prefix.
bool is_learned(const bgp::Speaker& speaker, const Prefix& prefix);

/// What is to be announced of this host's blocks: blocks as they are, one by one the addresses of
/// containers in blocks that are another host's, and what is only covered by a blackhole.
struct Announcement {
  std::vector<Prefix> blocks;
  std::vector<Prefix> exceptions;
  std::vector<Prefix> covered;
};
Announcement announcement(const ipam::Allocator& allocator, Time now);

}  // namespace weft::daemon
