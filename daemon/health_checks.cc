#include "daemon/health_checks.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "ctl/announce.h"
#include "net/shell_command.h"

namespace weft::daemon {
namespace asio = boost::asio;

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
  // EAGAIN, a full backlog, is what becomes of a service that accepts nobody any more: our own
  // connections stay in it.
  const bool taken =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return taken;
}

/// What a thread that looks may still hold when nobody asks any more.
struct HealthChecks::Shared {
  Shared(asio::io_context& context, Told whom) : io(&context), told(std::move(whom)) {}

  std::mutex mutex;
  /// None: its answers are for nobody. Guarded by the mutex.
  asio::io_context* io;
  Told told;
};

/// One announcement's; held by whatever it waits for.
class HealthChecks::Service : public std::enable_shared_from_this<Service> {
 public:
  Service(std::shared_ptr<Shared> shared, const bgp::AnnouncementSettings& settings)
      : settings_(settings),
        shared_(std::move(shared)),
        rounds_(*shared_->io),
        patience_(*shared_->io),
        socket_(check()),
        command_(check()) {}

  [[nodiscard]] bool is(const bgp::AnnouncementSettings& wanted) const {
    return settings_.what.prefix == wanted.what.prefix && settings_.asks_the_same(wanted);
  }

  void round() {
    if (stopped_) return;
    if (!settings_.health_file.empty() || !settings_.health_socket.empty()) look();
    if (!settings_.health_command.empty()) run();
    await_patience();
    conclude();
  }

  void stop() {
    stopped_ = true;
    rounds_.cancel();
    patience_.cancel();
    process_.reset();
    running_.reset();
  }

 private:
  struct Seen {
    bool file = true;
    bool socket = true;
  };

  [[nodiscard]] ctl::HealthCheck check() const {
    ctl::HealthCheck made;
    made.rise = settings_.health_rise;
    made.fall = settings_.health_fall;
    return made;
  }

  void look() {
    if (std::exchange(looking_, true)) return;
    const auto answer = [self = weak_from_this(), shared = shared_](Seen seen) {
      const std::lock_guard lock(shared->mutex);
      if (shared->io == nullptr) return;
      asio::post(*shared->io, [self, seen] {
        if (const auto here = self.lock()) here->looked(seen);
      });
    };
    try {
      std::thread([answer, file = settings_.health_file, socket = settings_.health_socket] {
        answer({file.empty() || is_there(file), socket.empty() || takes_connections(socket)});
      }).detach();
    } catch (const std::system_error&) {
      answer({settings_.health_file.empty(), settings_.health_socket.empty()});
    }
  }

  void looked(Seen seen) {
    if (stopped_) return;
    looking_ = false;
    file_fault_ = seen.file ? std::string() : fmt::format("{} is not there", settings_.health_file);
    if (!settings_.health_socket.empty()) {
      if (!seen.socket)
        socket_fault_ = fmt::format("{} takes no connection", settings_.health_socket);
      if (socket_.saw(seen.socket)) socket_fault_.clear();
    }
    conclude();
  }

  void run() {
    if (running_) return;
    auto started = ShellCommand::start(settings_.health_command, ShellCommand::Output::discarded);
    if (!started) return ran(false, started.error().message);
    running_.emplace(std::move(*started));
    late_ = false;
    const int fd = ::dup(running_->fd());
    if (fd < 0) {
      running_.reset();
      return ran(false, "too many open files");
    }
    process_.emplace(*shared_->io, fd);
    process_->async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (!error && !self->stopped_) self->ended();
                         });
  }

  void ended() {
    const bool success = running_->ended().value_or(false) && !late_;
    process_.reset();
    running_.reset();
    if (!late_) ran(success, "the health command fails");
    conclude();
  }

  void ran(bool success, const std::string& fault) {
    if (!success) command_fault_ = fault;
    if (command_.saw(success)) command_fault_.clear();
  }

  void await_patience() {
    patience_.expires_after(settings_.health_timeout);
    patience_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && !self->stopped_) self->too_late();
    });
  }

  /// What has not answered is not well, and is asked again only once it has.
  void too_late() {
    const std::string limit = fmt::format("for {} s", settings_.health_timeout.count());
    if (looking_) {
      const std::string& path =
          settings_.health_file.empty() ? settings_.health_socket : settings_.health_file;
      file_fault_ = fmt::format("the file system of {} has not answered {}", path, limit);
    }
    if (running_) {
      late_ = true;
      running_->kill();
      ran(false, fmt::format("the health command has run {}", limit));
    }
    tell();
    await_patience();
  }

  /// The round is over when all of it has answered.
  void conclude() {
    if (looking_ || running_) return;
    patience_.cancel();
    tell();
    rounds_.expires_after(settings_.health_interval);
    rounds_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error) self->round();
    });
  }

  void tell() {
    for (const std::string* fault : {&file_fault_, &socket_fault_, &command_fault_}) {
      if (!fault->empty()) return shared_->told(settings_.what.prefix, *fault);
    }
    shared_->told(settings_.what.prefix, {});
  }

  bgp::AnnouncementSettings settings_;
  std::shared_ptr<Shared> shared_;
  asio::steady_timer rounds_;
  asio::steady_timer patience_;
  bool stopped_ = false;
  bool looking_ = false;
  std::optional<ShellCommand> running_;
  std::optional<asio::posix::stream_descriptor> process_;
  /// What runs was killed: its verdict is known.
  bool late_ = false;
  ctl::Health socket_;
  ctl::Health command_;
  std::string file_fault_;
  std::string socket_fault_;
  std::string command_fault_;
};

HealthChecks::HealthChecks(asio::io_context& io, Told told)
    : shared_(std::make_shared<Shared>(io, std::move(told))) {}

HealthChecks::~HealthChecks() {
  try {
    stop();
  } catch (const std::system_error&) {
    return;  // of a mutex or a timer: nobody is left to be told
  }
}

void HealthChecks::apply(const std::vector<bgp::AnnouncementSettings>& announcements) {
  if (shared_->io == nullptr) return;
  std::vector<std::shared_ptr<Service>> next;
  std::vector<std::shared_ptr<Service>> fresh;
  for (const bgp::AnnouncementSettings& each : announcements) {
    if (!each.has_service()) continue;
    const auto known = std::find_if(services_.begin(), services_.end(),
                                    [&](const auto& service) { return service->is(each); });
    if (known != services_.end()) {
      next.push_back(*known);
    } else {
      fresh.push_back(std::make_shared<Service>(shared_, each));
      next.push_back(fresh.back());
    }
  }
  for (const auto& service : services_) {
    if (std::find(next.begin(), next.end(), service) == next.end()) service->stop();
  }
  services_ = std::move(next);
  for (const auto& service : fresh) service->round();
}

void HealthChecks::stop() {
  for (const auto& service : services_) service->stop();
  services_.clear();
  const std::lock_guard lock(shared_->mutex);
  shared_->io = nullptr;
}

}  // namespace weft::daemon
