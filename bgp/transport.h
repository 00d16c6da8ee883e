// Transport: the sockets and the one timer of a Speaker; all the I/O of bgp. It waits, reads the
// clock and calls the core; what the core wants done is done after each call. Errors are events of
// the core, never exceptions. RFC 4271 8 (TCP), RFC 5082 (GTSM). One thread: that of the
// io_context.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bgp/speaker.h"
#include "net/result.h"
#include "net/time.h"

namespace boost::asio {
class io_context;
}

namespace weft::bgp {

/// What the program does with what comes out of the speaker. Called on the io_context's thread,
/// never from inside a call to the speaker; each may call the speaker and then Transport::poke().
struct Callbacks {
  std::function<void(std::vector<RouteChange>)> routes;
  std::function<void(SyncDone)> sync_done;
  std::function<void(LogLine)> log;
  /// How late the speaker's timer was served: what its turn had to wait for on a busy loop.
  std::function<void(Clock::duration)> served_late = nullptr;
  /// Before the routes that follow from it.
  std::function<void(const GatewayChange&)> gateway = {};
};

class Transport {
 public:
  /// Both must outlive the transport. Opens nothing before listen().
  Transport(boost::asio::io_context& io, Speaker& speaker, Callbacks callbacks);
  /// Closes every socket at once, without a word to the peers.
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Opens the listening sockets of Speaker::settings() and closes those no longer wanted; call
  /// again after a change of settings. On an error the sockets that could be opened are open; the
  /// sentence names the first that could not.
  [[nodiscard]] Result<void> listen();

  /// Carries out what the speaker has to say. To be called after every direct call of the speaker
  /// (originate(), connected(), apply(), shutdown_peer(), …); cheap when there is nothing.
  void poke();

  /// None: there is no such connection (any more).
  [[nodiscard]] std::optional<TcpFacts> tcp_facts(ConnectionId connection) const;
  /// Connections still open, those that write their last words included.
  [[nodiscard]] std::size_t connections() const;

 private:
  struct Sockets;
  std::shared_ptr<Sockets> sockets_;
};

}  // namespace weft::bgp
