// Runner: the thread that BFD lives on, with its own sockets and its own timer, because its
// deadlines are milliseconds and nothing the main thread does may delay them. It reads what has
// come before it judges who was silent. RFC 5881 4 and 5, RFC 5883 5. What it is to do goes in as a
// whole list; events come out through a descriptor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "bfd/sessions.h"
#include "net/result.h"

namespace weft::bfd {

struct Snapshot {
  std::vector<SessionStatus> sessions;
  /// Packets that were nobody's.
  std::uint64_t dropped = 0;
};

class Runner {
 public:
  /// Opens the sockets in the network namespace of the caller and starts the thread.
  static Result<Runner> start();
  Runner(Runner&&) noexcept;
  Runner& operator=(Runner&&) noexcept;
  /// stop()
  ~Runner();

  /// See Sessions::want(). Never waits.
  void want(std::map<Path, Terms> wanted);
  /// Readable (an eventfd) when take_events() has something.
  [[nodiscard]] int fd() const;
  std::vector<Event> take_events();
  /// Asks the thread, which answers in microseconds.
  [[nodiscard]] Snapshot snapshot() const;
  /// All sessions say AdminDown, so that no neighbour takes our end for a broken path; joins.
  void stop();

 private:
  struct State;
  explicit Runner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::bfd
