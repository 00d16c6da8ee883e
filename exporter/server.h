// Server: /metrics over HTTP for Prometheus, on threads of prometheus-cpp's Exposer. Every scrape
// asks the daemon for a snapshot; the daemon hops to its main loop for it. No metric is kept here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "exporter/settings.h"
#include "exporter/snapshot.h"
#include "net/result.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace weft::exporter {

class Server {
 public:
  /// Called on threads of the server; may block, and must come back once the daemon ends, or the
  /// server's destructor waits for ever.
  using Collect = std::function<Snapshot()>;

  /// Listens when it returns; port 0 takes any free one. No server and no error when `settings`
  /// says off. The error names the address. IPv4 only: Debian's civetweb is built without IPv6.
  static Result<std::unique_ptr<Server>> start(const Settings& settings, Collect collect);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Waits for scrapes under way.
  ~Server();

  /// Where it listens.
  [[nodiscard]] std::uint16_t port() const;

 private:
  Server(Address address, std::shared_ptr<prometheus::Collectable> collectable,
         std::unique_ptr<prometheus::Exposer> exposer);

  Address address_;
  // The Exposer holds the collectable weakly, and goes first.
  std::shared_ptr<prometheus::Collectable> collectable_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace weft::exporter
