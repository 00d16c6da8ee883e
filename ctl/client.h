// Client: one connection to weftd's control socket, blocking, every step under one deadline. Used
// by weftctl and weft-cni, so it is small: no Asio, no threads, no exceptions. The words spoken are
// in ctl/protocol.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "ctl/protocol.h"
#include "net/fd.h"
#include "net/result.h"
#include "net/time.h"

namespace weft::ctl {

/// Where weftd listens unless told otherwise.
inline constexpr const char* default_socket = "/run/weft/weft.sock";

/// Why there is no reply. A Failure is not one of these: it is a reply.
struct ClientError {
  enum class Kind : std::uint8_t {
    unreachable,  ///< no weftd there, or not for us: not running, no permission, closed before it
                  ///< answered
    timeout,      ///< weftd took the connection and did not answer in time; it may still act on the
                  ///< request
    garbled,      ///< what came is not a reply, or the request is too long to be sent
  };
  Kind kind = Kind::unreachable;
  /// A sentence that names the socket and what to do.
  std::string message;
  bool operator==(const ClientError&) const = default;
};

class Client {
 public:
  /// Connects to the UNIX socket `path`; waits while its backlog is full (weftd restarting), until
  /// `deadline`.
  static Result<Client, ClientError> connect(std::string path, Time deadline);

  /// Sends one request and decodes the reply. After an error the connection is of no further use.
  Result<Reply, ClientError> call(const Request& request, Time deadline);
  /// The same with the lines as they are, without their newlines.
  Result<std::string, ClientError> exchange(std::string_view line, Time deadline);

 private:
  Client(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Result<void, ClientError> send(std::string_view bytes, Time deadline);
  Result<std::string, ClientError> receive_line(Time deadline);
  /// Waits for poll(2) `events`.
  Result<void, ClientError> wait(short events, Time deadline);
  [[nodiscard]] ClientError closed() const;

  std::string path_;
  Fd fd_;
  /// What came behind the last line.
  std::string received_;
};

/// Connect, one request, its reply.
Result<Reply, ClientError> call(const std::string& path, const Request& request,
                                std::chrono::milliseconds timeout);

}  // namespace weft::ctl
