// VethRemover: takes host veths away for a daemon that must not wait. The kernel announces that a
// link is gone about 0.3 ms after the request and then cleans up for 16-30 ms before it
// acknowledges; so requests go out on threads of their own, and what counts is the announcement.
// Requests that pile up meanwhile are folded into one (IFLA_GROUP): thousands a second instead of
// fifty. Owns its threads and shares nothing with them but two queues; all calls are for one
// thread, in the network namespace where the veths are.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/ip.h"
#include "net/result.h"

namespace weft {

class VethRemover {
 public:
  struct Removed {
    std::string name;
    /// Empty: the link is gone, or there was none of ours. Else why it is still there.
    std::string failure;
    bool operator==(const Removed&) const = default;
  };

  /// Requests under way at once; those beyond wait in line, without limit but one per veth.
  static constexpr std::size_t thread_limit = 16;
  /// Links deleted by one request.
  static constexpr std::size_t fold_limit = 256;
  /// IFLA_GROUP from which the folded requests take theirs: one group for each thread.
  static constexpr std::uint32_t first_group = 0x77656600;

  static Result<VethRemover> open();
  VethRemover(VethRemover&&) noexcept;
  VethRemover& operator=(VethRemover&&) noexcept;
  /// Waits for the requests under way; those in line are dropped.
  ~VethRemover();

  /// Withdraws the routes of protocol weft to `addresses`, then deletes the link. Every call is
  /// answered once.
  void remove(std::string name, std::vector<Address> addresses);

  /// Readable when take() has something.
  [[nodiscard]] int fd() const;
  /// What has come to an end; never waits.
  std::vector<Removed> take();
  [[nodiscard]] std::size_t under_way() const;

 private:
  class Body;
  explicit VethRemover(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace weft
