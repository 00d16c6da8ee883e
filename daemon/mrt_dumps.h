// MrtDumps: MRT dumps on their way to clients of the control socket, a slice for each request: the
// loop never stalls, a slow client holds a cursor and nothing else, and the file is the client's,
// written with the client's rights. The records are those of bgp/mrt.h.
#pragma once

#include <cstdint>
#include <map>

#include "bgp/speaker.h"
#include "ctl/protocol.h"
#include "net/time.h"

namespace weft::daemon {

class MrtDumps {
 public:
  /// At a time; one more replaces the one that waits longest.
  static constexpr std::size_t limit = 8;
  /// Prefixes looked at for one request: a few milliseconds.
  static constexpr std::size_t slice = 4096;

  /// Begins a dump, or continues one; MrtRecords or a Failure.
  ctl::Reply answer(const ctl::MrtRequest& request, const bgp::Speaker& speaker, Time now);

 private:
  struct Dump {
    bgp::MrtDump cursor;
    Time asked;
  };
  std::map<std::uint64_t, Dump> dumps_;
  std::uint64_t last_ = 0;
};

}  // namespace weft::daemon
