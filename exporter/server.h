// Server: /metrics over HTTP for Prometheus, on threads of prometheus-cpp's Exposer. Every scrape
// asks the daemon for a snapshot; the daemon hops to its main loop for it. No metric is kept here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "exporter/settings.h"
#include "exporter/snapshot.h"
#include "net/result.h"

namespace weft::exporter {

class Server {
 public:
  /// Called on a thread of the server, one call at a time; may block, and must come back once the
  /// daemon ends, or the server's destructor waits for ever.
  using Collect = std::function<Snapshot()>;

  /// Listens at once; port 0 takes any free one. The error names the address.
  static Result<Server> open(const Listen& listen, Collect collect);

  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Waits for scrapes under way.
  ~Server();

  /// Where it listens.
  [[nodiscard]] std::uint16_t port() const;

 private:
  struct Exposing;
  explicit Server(std::unique_ptr<Exposing> exposing);
  std::unique_ptr<Exposing> exposing_;
};

}  // namespace weft::exporter
