#include "daemon/control_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "net/fd.h"

namespace weft::daemon {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);

/// First descriptor that systemd hands over (sd_listen_fds(3)).
constexpr int first_handed_over = 3;

std::optional<int> handed_over() {
  const char* process = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  if (process == nullptr || count == nullptr) return std::nullopt;
  if (std::string_view(process) != std::to_string(getpid()) || std::string_view(count) != "1")
    return std::nullopt;
  return first_handed_over;
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Error{fmt::format("a socket path has 1 to {} octets", sizeof(address.sun_path) - 1)};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Error failed(std::string_view what) {
  return Error{fmt::format("{}: {}", what, std::strerror(errno))};
}

Result<Fd> bound(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  const auto* generic = reinterpret_cast<const sockaddr*>(&*address);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed("socket");
  if (::connect(socket.get(), generic, sizeof(*address)) == 0)
    return Error{"another weftd answers there"};
  // A path that nobody listens on is left from a weftd that was killed; anything but a socket is
  // not ours.
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) return Error{"there is a file that is no socket"};
    ::unlink(path.c_str());
  }
  if (::bind(socket.get(), generic, sizeof(*address)) != 0) return failed("bind");
  if (::chmod(path.c_str(), 0660) != 0) return failed("chmod");
  if (::listen(socket.get(), SOMAXCONN) != 0) return failed("listen");
  return socket;
}

}  // namespace

class ControlServer::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context& io, int socket, std::string owned_path, Handler handler, Gone gone)
      : acceptor_(io, stream_protocol(), socket),
        owned_path_(std::move(owned_path)),
        handler_(std::move(handler)),
        gone_(std::move(gone)) {}

  ~Listener() {
    if (!owned_path_.empty()) ::unlink(owned_path_.c_str());
  }

  void run() {
    asio::co_spawn(acceptor_.get_executor(), accept(shared_from_this()), asio::detached);
  }

  void stop() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    for (stream_protocol::socket* client : clients_) client->close(ignored);
    handler_ = nullptr;
    gone_ = nullptr;
  }

 private:
  static asio::awaitable<void> accept(std::shared_ptr<Listener> self) {
    asio::steady_timer pause(self->acceptor_.get_executor());
    while (self->acceptor_.is_open()) {
      auto [error, client] = co_await self->acceptor_.async_accept(no_throw);
      if (!error) {
        asio::co_spawn(self->acceptor_.get_executor(), serve(self, std::move(client)),
                       asio::detached);
      } else if (error == asio::error::operation_aborted) {
        co_return;
      }
      // Out of descriptors, or full: give clients time to leave.
      while (error || self->clients_.size() >= client_limit) {
        pause.expires_after(std::chrono::milliseconds(20));
        co_await pause.async_wait(no_throw);
        if (self->clients_.size() < client_limit) break;
      }
    }
  }

  static asio::awaitable<void> serve(std::shared_ptr<Listener> self,
                                     stream_protocol::socket client) {
    self->clients_.insert(&client);
    const ClientId id = ++self->last_client_;
    std::string input;
    for (;;) {
      const auto [error, size] = co_await asio::async_read_until(
          client, asio::dynamic_buffer(input, ctl::line_limit), '\n', no_throw);
      if (error) {
        if (error == asio::error::not_found && self->handler_) {
          const ctl::Failure failure{
              ctl::ErrorCode::bad_request,
              fmt::format("a request is one line of at most {} octets", ctl::line_limit)};
          co_await write(client, failure);
        }
        break;
      }
      auto request = ctl::decode_request(std::string_view(input).substr(0, size - 1));
      input.erase(0, size);
      ctl::Reply reply;
      // Not a conditional expression: GCC 12 destroys a temporary of one that holds a co_await
      // twice.
      if (request) {
        reply = co_await answer(self, *request, id);
      } else {
        reply = request.error();
      }
      if (!self->handler_) break;
      const bool written = co_await write(client, reply);
      if (!written) break;
    }
    self->clients_.erase(&client);
    if (self->gone_) self->gone_(id);
  }

  static asio::awaitable<bool> write(stream_protocol::socket& client, const ctl::Reply& reply) {
    const std::string line = ctl::encode(reply) + '\n';
    const auto [error, size] = co_await asio::async_write(client, asio::buffer(line), no_throw);
    co_return !error;
  }

  /// The handler may answer at once or later; a timer that never fires by itself is what waits.
  static asio::awaitable<ctl::Reply> answer(std::shared_ptr<Listener> self,
                                            const ctl::Request& request, ClientId id) {
    struct Waiting {
      explicit Waiting(const asio::any_io_executor& executor) : answered(executor) {}
      asio::steady_timer answered;
      std::optional<ctl::Reply> reply;
    };
    const ctl::Failure stopping{ctl::ErrorCode::busy, "weftd is stopping"};
    if (!self->handler_) co_return stopping;
    auto waiting = std::make_shared<Waiting>(self->acceptor_.get_executor());
    waiting->answered.expires_at(asio::steady_timer::time_point::max());
    self->handler_(request, id, [waiting](ctl::Reply reply) {
      waiting->reply = std::move(reply);
      waiting->answered.cancel();
    });
    if (!waiting->reply) co_await waiting->answered.async_wait(no_throw);
    if (!waiting->reply) co_return stopping;
    co_return std::move(*waiting->reply);
  }

  stream_protocol::acceptor acceptor_;
  std::string owned_path_;
  Handler handler_;
  Gone gone_;
  ClientId last_client_ = 0;
  std::set<stream_protocol::socket*> clients_;
};

Result<std::unique_ptr<ControlServer>> ControlServer::start(asio::io_context& io,
                                                            const std::string& path,
                                                            Handler handler, Gone gone) {
  std::shared_ptr<Listener> listener;
  if (const auto inherited = handed_over()) {
    ::fcntl(*inherited, F_SETFD, FD_CLOEXEC);
    listener = std::make_shared<Listener>(io, *inherited, "", std::move(handler), std::move(gone));
  } else {
    auto socket = bound(path);
    if (!socket) return socket.error().within(path);
    listener = std::make_shared<Listener>(io, socket->release(), path, std::move(handler),
                                          std::move(gone));
  }
  listener->run();
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(listener)));
}

ControlServer::ControlServer(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}

ControlServer::~ControlServer() {
  listener_->stop();
}

}  // namespace weft::daemon
