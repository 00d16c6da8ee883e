// Socket: a netlink socket over libmnl. Requests block until the kernel has answered each message,
// answers are matched by sequence number; dumps are strict (the kernel honours the filter or
// refuses) and repeated when they were interrupted. A socket belongs to the network namespace its
// thread was in at open(). No Asio, no threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/netlink.h"
#include "net/result.h"

struct mnl_socket;
struct sock_fprog;

namespace weft::netlink {

/// Why the kernel said no to one message, or why it could not be asked.
struct Refusal {
  /// errno, > 0.
  int code = 0;
  /// The kernel's own words (extended ack) in front of errno's, or errno's alone.
  std::string message;
  /// Which message of the batch, counted from 0.
  std::size_t index = 0;

  [[nodiscard]] Error error() const { return Error{message}; }
  bool operator==(const Refusal&) const = default;
};

/// What a receive found.
enum class Arrival : std::uint8_t {
  data,     ///< a datagram
  nothing,  ///< would block, or the answer did not come in time
  overrun,  ///< ENOBUFS: messages were lost; what is known of the kernel is out of date
  failed,   ///< any other error, in errno
};

struct Received {
  Arrival arrival = Arrival::nothing;
  Bytes bytes;
  /// errno when failed.
  int code = 0;
};

/// How the kernel took a batch.
struct Outcome {
  /// One per message it refused, in the order of the answers.
  std::vector<Refusal> refused;
  /// Set when not all answers were seen (overrun, timeout, send error): nothing is known of what is
  /// not in `refused`.
  std::optional<Refusal> broken;

  [[nodiscard]] bool ok() const { return refused.empty() && !broken; }
  /// What failed first; only when not ok().
  [[nodiscard]] const Refusal& first() const { return broken ? *broken : refused.front(); }
};

class Socket {
 public:
  /// `protocol` is NETLINK_ROUTE or another NETLINK_*.
  static Result<Socket> open(int protocol = NETLINK_ROUTE);

  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  [[nodiscard]] int fd() const;
  /// The address the kernel knows this socket by: nlmsg_pid of what it causes.
  [[nodiscard]] std::uint32_t port() const;

  /// One RTNLGRP_*.
  Result<void> join(unsigned group);
  /// Octets the kernel may queue for us: forced where we may, else as far as net.core.rmem_max
  /// goes.
  void receive_buffer(int octets);
  void send_buffer(int octets);
  /// Longest wait for an answer; default 10 s.
  void timeout(std::chrono::milliseconds limit);
  /// A classic BPF program (linux/filter.h) as given to SO_ATTACH_FILTER.
  Result<void> filter(const ::sock_fprog& program);

  /// Sends all messages in one sendmsg and waits until each is answered.
  Outcome transact(Batch& batch, Batch::Ack ack = Batch::Ack::last);
  /// transact() for one message (or several where the first refusal is all that matters).
  Result<void, Refusal> request(Batch& batch);
  /// A request of which the answer is one message (RTM_GETLINK of one link). `visit` sees it, then
  /// the ACK is awaited.
  Result<void, Refusal> query(Batch& batch, const std::function<void(const Message&)>& visit);
  /// One dump request (NLM_F_DUMP is added). When the kernel's tables changed underneath, calls
  /// `again`, where the caller forgets what it saw, and starts over, up to dump_retry_limit times
  /// (then code EINTR).
  Result<void, Refusal> dump(
      Batch& batch, const std::function<void(const Message&)>& visit,
      const std::function<void()>& again = [] {});

  /// Sends without waiting for answers.
  Result<void, Refusal> send(const Batch& batch);
  /// The next datagram; valid until the next receive. Waits only when `wait`.
  Received receive(bool wait);

  /// For those who stamp and match by themselves.
  std::uint32_t take_sequence(std::size_t count);

  static constexpr int dump_retry_limit = 8;

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  explicit Socket(mnl_socket* socket);
  Result<void, Refusal> dump_once(Batch& batch, const std::function<void(const Message&)>& visit,
                                  bool& interrupted);

  std::unique_ptr<mnl_socket, Close> socket_;
  std::vector<std::byte> buffer_;
  std::uint32_t sequence_ = 1;
};

/// What an NLMSG_ERROR says: code 0 is an acknowledgement.
Refusal refusal(const Message& error);

}  // namespace weft::netlink
