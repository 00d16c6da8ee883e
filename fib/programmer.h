// Programmer: the threads that write the kernel FIB. There are two lanes, each a thread with a
// netlink socket of its own, a bounded queue with one producer, and answers in the order of the
// work: bulk for routes, dumps and all else, express for changes of nexthop groups, which the
// kernel takes in between the routes of a batch. The kernel costs more per route than all of our
// own work, so the two overlap, and keepalives never wait for it. Stopping leaves every route in
// the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fib/batch.h"
#include "fib/settings.h"
#include "net/result.h"

namespace weft::fib {

/// Work in the queue or at the kernel; enough to keep the thread busy, little enough that the
/// latest want wins.
inline constexpr std::size_t work_limit = 4;
/// Reports not yet fetched; when full, the thread waits.
inline constexpr std::size_t report_limit = 16;

class Programmer {
 public:
  /// Opens the socket in the network namespace of the caller, sets net.ipv4.nexthop_compat_mode to
  /// 0 and starts the thread.
  static Result<Programmer> start(const Settings& settings);
  Programmer(Programmer&&) noexcept;
  Programmer& operator=(Programmer&&) noexcept;
  /// stop()
  ~Programmer();

  /// Room for one more piece of work. Ask before Table::take().
  [[nodiscard]] bool ready() const;
  /// Never blocks; only when ready().
  void submit(Work work);
  /// The same for the express lane and Table::take_express().
  [[nodiscard]] bool express_ready() const;
  void submit_express(Batch batch);
  /// Readable (an eventfd) when there is something to fetch. Give it to the main loop; next() until
  /// none.
  [[nodiscard]] int fd() const;
  std::optional<Report> next();
  /// Finishes the batch at hand, drops the rest of the queue, joins. Routes stay in the kernel.
  void stop();

  /// The netlink ports of the write sockets: the monitor leaves out what we did ourselves.
  [[nodiscard]] std::vector<std::uint32_t> ports() const;
  /// False: nexthop_compat_mode could not be set to 0, and each change of a group costs the kernel
  /// a notification for every route behind it (1 s for a million). For an alarm.
  [[nodiscard]] bool fast_groups() const;
  /// Looks again, and sets it again when somebody else has changed it.
  bool assert_fast_groups();

 private:
  struct State;
  explicit Programmer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::fib
