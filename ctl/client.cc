#include "ctl/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace weft::ctl {
namespace {

using Kind = ClientError::Kind;

/// Octets asked for in one recv(): at first what a reply to weft-cni needs, for every page costs it
/// a fault; what is longer is read in ever larger pieces.
constexpr std::size_t first_chunk = 2UL * 1024;
constexpr std::size_t largest_chunk = 64UL * 1024;

std::string reason(int error) {
  std::array<char, 128> buffer{};
  return strerror_r(error, buffer.data(), buffer.size());
}

ClientError connect_error(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      return {Kind::unreachable,
              fmt::format("weftd is not running: there is no socket {} (start weftd, or name its "
                          "socket with --socket)",
                          path)};
    case ECONNREFUSED:
      return {Kind::unreachable,
              fmt::format("weftd is not running: nobody listens on {} (start weftd)", path)};
    case EACCES:
    case EPERM:
      return {Kind::unreachable,
              fmt::format("no permission to use {} (run as root or join the group of the socket)",
                          path)};
    case ENOTSOCK:
    case EPROTOTYPE:
      return {Kind::unreachable, fmt::format("{} is not the control socket of weftd", path)};
    case EAGAIN:
    case EINPROGRESS:
      return {Kind::timeout,
              fmt::format("weftd does not accept connections on {}: too many are waiting (is it "
                          "stuck?)",
                          path)};
    default:
      return {Kind::unreachable, fmt::format("cannot connect to {}: {}", path, reason(error))};
  }
}

/// A timeval of zero means "for ever" to the kernel, so what is past becomes a microsecond.
timeval timeval_until(Time deadline) {
  const auto left =
      std::max(std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now()),
               std::chrono::microseconds(1));
  timeval value{};
  value.tv_sec = static_cast<time_t>(left.count() / 1'000'000);
  value.tv_usec = static_cast<suseconds_t>(left.count() % 1'000'000);
  return value;
}

}  // namespace

Result<Client, ClientError> Client::connect(std::string path, Time deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return ClientError{Kind::unreachable,
                       fmt::format("'{}' is no path of a socket: it must have 1 to {} octets", path,
                                   sizeof address.sun_path - 1)};
  }
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ClientError{Kind::unreachable, "cannot make a socket: " + reason(errno)};
  // The one call that must block: a full backlog is waited out, for as long as SO_SNDTIMEO says.
  for (;;) {
    const timeval timeout = timeval_until(deadline);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      break;
    if (errno != EINTR || Clock::now() >= deadline) return connect_error(path, errno);
  }
  return Client(std::move(path), std::move(fd));
}

Result<void, ClientError> Client::wait(short events, Time deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd poll_fd{fd_.get(), events, 0};
    const auto timeout = std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max());
    const int ready = ::poll(&poll_fd, 1, static_cast<int>(timeout));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return closed();
    if (Clock::now() >= deadline) {
      return ClientError{Kind::timeout,
                         fmt::format("weftd did not answer on {} in time (is it starting, or "
                                     "stuck? see its log)",
                                     path_)};
    }
  }
}

ClientError Client::closed() const {
  return {Kind::unreachable,
          fmt::format("weftd closed the connection on {} before it answered (is it stopping? see "
                      "its log)",
                      path_)};
}

Result<void, ClientError> Client::send(std::string_view bytes, Time deadline) {
  while (!bytes.empty()) {
    if (auto ready = wait(POLLOUT, deadline); !ready) return ready;
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN && errno != EINTR) {
      return closed();
    }
  }
  return {};
}

Result<std::string, ClientError> Client::receive_line(Time deadline) {
  std::size_t searched = 0;
  for (;;) {
    if (const auto end = received_.find('\n', searched); end != std::string::npos) {
      std::string rest = received_.substr(end + 1);
      received_.resize(end);
      return std::exchange(received_, std::move(rest));
    }
    searched = received_.size();
    if (searched > reply_limit) {
      return ClientError{Kind::garbled, fmt::format("the reply of weftd on {} is longer than {} "
                                                    "octets",
                                                    path_, reply_limit)};
    }
    if (auto ready = wait(POLLIN, deadline); !ready) return ready.error();
    const std::size_t chunk = std::clamp(searched, first_chunk, largest_chunk);
    received_.resize(searched + chunk);
    const ssize_t got = ::recv(fd_.get(), received_.data() + searched, chunk, MSG_DONTWAIT);
    const int error = errno;
    received_.resize(searched + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0 || (got < 0 && error != EAGAIN && error != EINTR)) return closed();
  }
}

Result<std::string, ClientError> Client::exchange(std::string_view line, Time deadline) {
  if (line.size() > line_limit) {
    return ClientError{Kind::garbled,
                       fmt::format("the request is longer than {} octets", line_limit)};
  }
  if (const auto sent = send(std::string(line) + '\n', deadline); !sent) return sent.error();
  return receive_line(deadline);
}

Result<Reply, ClientError> Client::call(const Request& request, Time deadline) {
  const auto line = exchange(encode(request), deadline);
  if (!line) return line.error();
  auto reply = decode_reply(*line, request);
  if (!reply) {
    return ClientError{Kind::garbled, fmt::format("{}: {}", path_, reply.error().message)};
  }
  return std::move(*reply);
}

Result<Reply, ClientError> call(const std::string& path, const Request& request,
                                std::chrono::milliseconds timeout) {
  const Time deadline = Clock::now() + timeout;
  auto client = Client::connect(path, deadline);
  if (!client) return client.error();
  return client->call(request, deadline);
}

}  // namespace weft::ctl
