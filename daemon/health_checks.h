// HealthChecks: looks once a second whether the services are well that announcements of the
// configuration depend on: a file that is there, a UNIX socket that takes connections. Not here:
// what follows from it (bgp/conditional_originations.h), commands (weftctl announce).
#pragma once

#include <chrono>
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
/// Somebody listens there now. The connection is closed at once; a full backlog counts as well.
bool takes_connections(const std::string& path);

class HealthChecks {
 public:
  static constexpr std::chrono::seconds interval{1};

  /// `told` is called for each announcement with a service in its conditions, each time it looks.
  HealthChecks(boost::asio::io_context& io, std::function<void(const Prefix&, bool)> told);
  ~HealthChecks();
  HealthChecks(const HealthChecks&) = delete;
  HealthChecks& operator=(const HealthChecks&) = delete;
  /// In place of those before; looks at once.
  void apply(const std::vector<bgp::AnnouncementSettings>& announcements);
  void stop();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace weft::daemon
