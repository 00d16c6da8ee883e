// HealthChecks: looks in rounds whether the services are well that announcements of the
// configuration depend on: a file that is there, a UNIX socket that takes connections, a command
// that succeeds. Nothing that hangs is waited for: a look is a thread's that nobody joins, for a
// path may lie on a file system whose server is gone; a command is killed. Not here: what follows
// from it (bgp/conditional_originations.h), commands of local clients (weftctl announce).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bgp/settings.h"
#include "net/ip.h"

namespace boost::asio {
class io_context;
}

namespace weft::daemon {

/// Something exists at this path. Nothing is opened, so whatever it is stays as it is.
bool is_there(const std::string& path);
/// Somebody listens there now, and its backlog has room. The connection is closed at once.
bool takes_connections(const std::string& path);

class HealthChecks {
 public:
  /// Whose announcement, and why its service is not well; empty: it is.
  using Told = std::function<void(const Prefix&, const std::string&)>;

  /// `told` is called once a round for each announcement with a service in its conditions.
  HealthChecks(boost::asio::io_context& io, Told told);
  ~HealthChecks();
  HealthChecks(const HealthChecks&) = delete;
  HealthChecks& operator=(const HealthChecks&) = delete;
  /// In place of those before; looks at once at services that are new. Others go on.
  void apply(const std::vector<bgp::AnnouncementSettings>& announcements);
  /// For good: kills the commands that run, and tells nothing any more.
  void stop();

 private:
  class Service;
  struct Shared;

  std::shared_ptr<Shared> shared_;
  std::vector<std::shared_ptr<Service>> services_;
};

}  // namespace weft::daemon
