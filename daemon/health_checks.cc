#include "daemon/health_checks.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weft::daemon {

bool is_there(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0;
}

bool takes_connections(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int done = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  // EAGAIN: the backlog is full, so somebody does listen.
  const bool listened_to = done == 0 || errno == EAGAIN;
  ::close(fd);
  return listened_to;
}

class HealthChecks::Loop {
 public:
  Loop(boost::asio::io_context& io, std::function<void(const Prefix&, bool)> told)
      : timer_(io), told_(std::move(told)) {}

  void apply(const std::vector<bgp::AnnouncementSettings>& announcements) {
    services_ = announcements;
    std::erase_if(services_, [](const bgp::AnnouncementSettings& each) {
      return each.health_file.empty() && each.health_socket.empty();
    });
    timer_.cancel();
    if (!services_.empty()) look();
  }

 private:
  void look() {
    for (const bgp::AnnouncementSettings& each : services_) {
      const bool well = (each.health_file.empty() || is_there(each.health_file)) &&
                        (each.health_socket.empty() || takes_connections(each.health_socket));
      told_(each.what.prefix, well);
    }
    timer_.expires_after(interval);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error && !services_.empty()) look();
    });
  }

  boost::asio::steady_timer timer_;
  std::function<void(const Prefix&, bool)> told_;
  std::vector<bgp::AnnouncementSettings> services_;
};

HealthChecks::HealthChecks(boost::asio::io_context& io,
                           std::function<void(const Prefix&, bool)> told)
    : loop_(std::make_unique<Loop>(io, std::move(told))) {}
HealthChecks::~HealthChecks() = default;

void HealthChecks::apply(const std::vector<bgp::AnnouncementSettings>& announcements) {
  loop_->apply(announcements);
}
void HealthChecks::stop() {
  loop_->apply({});
}

}  // namespace weft::daemon
