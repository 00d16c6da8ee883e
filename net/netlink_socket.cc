#include "net/netlink_socket.h"

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weft::netlink {

namespace {

/// Dumps come in pieces of at most 32 KiB once the kernel has seen a reader with room for them.
constexpr std::size_t receive_size = 65536;
/// Room for an acknowledgement, or for a link with all its attributes.
constexpr std::size_t answer_size = 4096;

Refusal failure(int code, const char* doing) {
  return {code, std::string(doing) + ": " + std::strerror(code), 0};
}

/// What a recv() that failed found.
Received missed(int code) {
  if (code == EAGAIN || code == EWOULDBLOCK) return {Arrival::nothing, {}, ETIMEDOUT};
  if (code == ENOBUFS) return {Arrival::overrun, {}, ENOBUFS};
  return {Arrival::failed, {}, code};
}

Received receive_into(std::vector<std::byte>& buffer, int fd, int flags) {
  for (;;) {
    const ssize_t size = recv(fd, buffer.data(), buffer.size(), MSG_TRUNC | flags);
    if (size >= 0 && static_cast<std::size_t>(size) <= buffer.size()) {
      return {Arrival::data, Bytes(buffer).first(static_cast<std::size_t>(size)), 0};
    }
    if (size >= 0) return {Arrival::overrun, {}, EMSGSIZE};  // truncated: the rest is lost
    if (errno != EINTR) return missed(errno);
  }
}

/// What was just asked for, in no larger a buffer than it needs: a plugin lives for a millisecond,
/// and every page of a buffer costs it a fault.
Received receive_answer(std::vector<std::byte>& buffer, int fd) {
  while (buffer.size() < receive_size) {
    const ssize_t size = recv(fd, nullptr, 0, MSG_PEEK | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return missed(errno);
    buffer.resize(std::max({buffer.size(), static_cast<std::size_t>(size), answer_size}));
    break;
  }
  return receive_into(buffer, fd, 0);
}

}  // namespace

Refusal refusal(const Message& error) {
  const auto head = error.header<nlmsgerr>();
  if (!head) return {EBADMSG, "the kernel's answer is too short", 0};
  Refusal refusal{-head->error, {}, 0};
  if (refusal.code == 0) return refusal;
  if ((error.flags & NLM_F_ACK_TLVS) != 0) {
    // Without NLM_F_CAPPED the whole request stands between the header and the attributes.
    const std::size_t echoed =
        (error.flags & NLM_F_CAPPED) != 0 ? sizeof(nlmsghdr) : head->msg.nlmsg_len;
    const std::size_t skip = aligned(sizeof(int) + echoed);
    const Bytes rest = error.body.size() < skip ? Bytes{} : error.body.subspan(skip);
    const auto text = Attributes(rest).find(NLMSGERR_ATTR_MSG);
    if (text) refusal.message = std::string(text->text()) + ": ";
  }
  refusal.message += std::strerror(refusal.code);
  return refusal;
}

void Socket::Close::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

Socket::Socket(mnl_socket* socket) : socket_(socket) {}
Socket::Socket(Socket&& other) noexcept = default;
Socket& Socket::operator=(Socket&& other) noexcept = default;
Socket::~Socket() = default;

Result<Socket> Socket::open(int protocol) {
  Socket socket(mnl_socket_open2(protocol, SOCK_CLOEXEC));
  if (!socket.socket_) return failure(errno, "opening a netlink socket").error();
  if (mnl_socket_bind(socket.socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    return failure(errno, "binding a netlink socket").error();
  }
  // Refused by kernels that lack them: then answers are longer, texts missing, filters applied by
  // us alone.
  for (const int option : {NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK}) {
    int on = 1;
    mnl_socket_setsockopt(socket.socket_.get(), option, &on, sizeof on);
  }
  socket.timeout(std::chrono::seconds(10));
  return socket;
}

int Socket::fd() const {
  return mnl_socket_get_fd(socket_.get());
}

std::uint32_t Socket::port() const {
  return mnl_socket_get_portid(socket_.get());
}

Result<void> Socket::join(unsigned group) {
  auto wanted = static_cast<int>(group);
  if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &wanted, sizeof wanted) < 0) {
    return failure(errno, "joining a netlink group").error();
  }
  return {};
}

void Socket::receive_buffer(int octets) {
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets) == 0) return;
  setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
}

void Socket::send_buffer(int octets) {
  if (setsockopt(fd(), SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets) == 0) return;
  setsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
}

void Socket::timeout(std::chrono::milliseconds limit) {
  timeval wait{};
  wait.tv_sec = limit.count() / 1000;
  wait.tv_usec = limit.count() % 1000 * 1000;
  setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

Result<void> Socket::filter(const sock_fprog& program) {
  if (setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    return failure(errno, "attaching a socket filter").error();
  }
  return {};
}

std::uint32_t Socket::take_sequence(std::size_t count) {
  return std::exchange(sequence_, sequence_ + static_cast<std::uint32_t>(count));
}

Result<void, Refusal> Socket::send(const Batch& batch) {
  const Bytes bytes = batch.bytes();
  if (mnl_socket_sendto(socket_.get(), bytes.data(), bytes.size()) < 0) {
    return failure(errno, "sending to the kernel");
  }
  return {};
}

Received Socket::receive(bool wait) {
  buffer_.resize(receive_size);
  return receive_into(buffer_, fd(), wait ? 0 : MSG_DONTWAIT);
}

Outcome Socket::transact(Batch& batch, Batch::Ack ack) {
  Outcome outcome;
  if (batch.empty()) return outcome;
  assert(ack != Batch::Ack::none);
  const std::uint32_t first = take_sequence(batch.count());
  batch.stamp(first, ack);
  if (const auto sent = send(batch); !sent) {
    outcome.broken = sent.error();
    return outcome;
  }
  buffer_.resize(std::max(buffer_.size(), answer_size));
  for (bool done = false; !done;) {
    const Received received = receive_into(buffer_, fd(), 0);
    if (received.arrival != Arrival::data) {
      outcome.broken = failure(received.code, "waiting for the kernel's answer");
      return outcome;
    }
    Messages messages(received.bytes);
    while (const auto message = messages.next()) {
      const std::size_t index = message->sequence - first;
      // Anything older belongs to a transaction that was given up.
      if (message->type != NLMSG_ERROR || index >= batch.count()) continue;
      Refusal answer = refusal(*message);
      answer.index = index;
      if (answer.code != 0) outcome.refused.push_back(std::move(answer));
      // The kernel takes messages in order, so the last answer is the end of all.
      done = done || index + 1 == batch.count();
    }
  }
  return outcome;
}

Result<void, Refusal> Socket::request(Batch& batch) {
  const Outcome outcome = transact(batch, Batch::Ack::each);
  if (!outcome.ok()) return outcome.first();
  return {};
}

Result<void, Refusal> Socket::query(Batch& batch,
                                    const std::function<void(const Message&)>& visit) {
  assert(batch.count() == 1);
  const std::uint32_t sequence = take_sequence(1);
  batch.stamp(sequence, Batch::Ack::each);
  if (auto sent = send(batch); !sent) return sent.error();
  for (;;) {
    const Received received = receive_answer(buffer_, fd());
    if (received.arrival != Arrival::data) {
      return failure(received.code, "waiting for the kernel's answer");
    }
    Messages messages(received.bytes);
    while (const auto message = messages.next()) {
      if (message->sequence != sequence) continue;
      if (message->type != NLMSG_ERROR) {
        visit(*message);
        continue;
      }
      Refusal answer = refusal(*message);
      if (answer.code != 0) return answer;
      return {};
    }
  }
}

Result<void, Refusal> Socket::dump(Batch& batch, const std::function<void(const Message&)>& visit,
                                   const std::function<void()>& again) {
  for (int tries = 0; tries < dump_retry_limit; ++tries) {
    if (tries > 0) again();
    bool interrupted = false;
    auto result = dump_once(batch, visit, interrupted);
    if (!result || !interrupted) return result;
  }
  return failure(EINTR, "a dump was interrupted by changes every time");
}

Result<void, Refusal> Socket::dump_once(Batch& batch,
                                        const std::function<void(const Message&)>& visit,
                                        bool& interrupted) {
  assert(batch.count() == 1);
  const std::uint32_t sequence = take_sequence(1);
  batch.add_flags(NLM_F_DUMP);
  batch.stamp(sequence, Batch::Ack::none);
  if (auto sent = send(batch); !sent) return sent.error();
  for (bool first = true;; first = false) {
    // The kernel makes the pieces of a long dump as large as it has seen a reader take.
    const Received received = first ? receive_answer(buffer_, fd()) : receive(true);
    if (received.arrival != Arrival::data) return failure(received.code, "waiting for a dump");
    Messages messages(received.bytes);
    while (const auto message = messages.next()) {
      if (message->sequence != sequence) continue;
      interrupted = interrupted || (message->flags & NLM_F_DUMP_INTR) != 0;
      if (message->type == NLMSG_ERROR) return refusal(*message);
      if (message->type != NLMSG_DONE) {
        visit(*message);
        continue;
      }
      // A dump that failed half way says so in its end.
      const auto code = message->header<int>().value_or(0);
      if (code < 0) return failure(-code, "dump");
      return {};
    }
  }
}

}  // namespace weft::netlink
