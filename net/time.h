// The one clock of weft: CLOCK_BOOTTIME, which never steps and goes on through suspend, so a hold
// time or a cool-down means what it says. Cores take Time as an argument; only I/O shells ask
// Clock::now().
#pragma once

#include <ctime>

#include <chrono>

namespace weft {

struct Clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock, duration>;
  static constexpr bool is_steady = true;

  static time_point now() {
    std::timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
  }
};

using Time = Clock::time_point;

}  // namespace weft
