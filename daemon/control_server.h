// ControlServer: the UNIX socket of weftd. Takes one JSON line after the other from each client,
// hands the request to the daemon and writes the replies back in order. The words are in
// ctl/protocol.h. A socket handed over by systemd (LISTEN_FDS) is used as it is, so that clients
// queue while weftd restarts.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ctl/protocol.h"
#include "daemon/announcements.h"
#include "net/result.h"

namespace boost::asio {
class io_context;
}

namespace weft::daemon {

/// Clients at a time; one more waits in the socket's backlog.
inline constexpr std::size_t client_limit = 256;

class ControlServer {
 public:
  using Answer = std::function<void(ctl::Reply)>;
  /// Calls the answer exactly once, at once or later, on the main loop.
  using Handler = std::function<void(const ctl::Request&, ClientId, Answer)>;
  /// The client's connection is over; its id does not come again.
  using Gone = std::function<void(ClientId)>;

  /// Binds `path` (mode 0660). Errors: another weftd answers there; no permission; no such
  /// directory.
  static Result<std::unique_ptr<ControlServer>> start(boost::asio::io_context& io,
                                                      const std::string& path, Handler handler,
                                                      Gone gone);
  /// Closes everything; removes the path unless systemd owns it.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  class Listener;
  explicit ControlServer(std::shared_ptr<Listener> listener);
  std::shared_ptr<Listener> listener_;
};

}  // namespace weft::daemon
