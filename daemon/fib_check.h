// FibCheck: `weftctl fib check`. Compares the RIB, what the FIB table wants and a fresh dump of the
// kernel, and names every difference; with `repair` lets an audit mend them and looks again.
// Belongs to Routing, whose pump moves it on. Not here: the kernel's side of the comparison
// (fib/check.h).
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "bgp/speaker.h"
#include "ctl/protocol.h"
#include "fib/table.h"
#include "net/time.h"

namespace weft::daemon {

/// Requests that wait for their turn; one more is told that weftd is busy.
inline constexpr std::size_t check_limit = 16;
/// After a repair, so long for the kernel and the table to come to rest before the second look.
inline constexpr std::chrono::seconds repair_patience{5};

class FibCheck {
 public:
  using Answer = std::function<void(ctl::Reply)>;
  /// How a next hop is shown.
  using Describe = std::function<std::string(const NextHop&)>;

  /// All must outlive this.
  FibCheck(fib::Table& table, const bgp::Speaker& speaker, Describe describe);

  /// Answers later, from advance().
  void ask(bool repair, Answer answer);
  /// Call when the table has taken something in. True: it has given the table work.
  bool advance(Time now);
  /// When advance() is due even if nothing came in.
  [[nodiscard]] std::optional<Time> deadline() const;

 private:
  enum class Phase : std::uint8_t { idle, first, repairing, second };
  struct Asked {
    bool repair = false;
    Answer answer;
  };

  bool begin();
  bool looked(fib::CheckReport report, Time now);
  void finish();
  void compare_rib();
  void differs(ctl::FibDifference difference);
  [[nodiscard]] std::vector<std::string> shown(const NextHops& next_hops) const;
  [[nodiscard]] ctl::FibDifference shown(const fib::Difference& difference) const;

  fib::Table& table_;
  const bgp::Speaker& speaker_;
  Describe describe_;
  std::deque<Asked> asked_;
  Phase phase_ = Phase::idle;
  Time rest_until_{};
  ctl::FibCheck found_;
};

}  // namespace weft::daemon
