// NetworkNamespace: a network namespace held open by descriptor, and a visit to it. A thread is in
// one namespace at a time; sockets stay in the one they were opened in, whatever the thread does
// later.
#pragma once

#include <cstdint>
#include <string>

#include "net/fd.h"
#include "net/result.h"

namespace weft {

class NetworkNamespace {
 public:
  /// A path such as /run/netns/X or /proc/PID/ns/net. Errors: it is gone, or it is no network
  /// namespace.
  static Result<NetworkNamespace> open(const std::string& path);
  /// Of the calling thread.
  static Result<NetworkNamespace> current();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Tells living namespaces apart; the number of a dead one is soon another's.
  [[nodiscard]] std::uint64_t inode() const { return inode_; }
  /// The calling thread moves in for good.
  [[nodiscard]] Result<void> enter() const;

 private:
  NetworkNamespace(Fd fd, std::uint64_t inode) : fd_(std::move(fd)), inode_(inode) {}

  Fd fd_;
  std::uint64_t inode_;
};

}  // namespace weft
