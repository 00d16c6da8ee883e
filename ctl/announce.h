// A held announcement: stays connected to weftd so that a prefix is announced as long as this
// program runs and, with a health check, as long as that succeeds. weftd withdraws the prefix when
// the connection breaks, however the program ends. After a restart of weftd it is announced again.
#pragma once

#include <cstdint>
#include <string>

#include "ctl/protocol.h"

namespace weft::ctl {

struct HealthCheck {
  /// For /bin/sh -c; empty: always healthy.
  std::string command;
  /// Seconds between two runs, and for one at the most.
  double interval = 2;
  double timeout = 5;
  /// Results in a row that change the verdict.
  unsigned rise = 2;
  unsigned fall = 3;
};

/// The verdict of a health check; the first one needs a single result.
class Health {
 public:
  explicit Health(const HealthCheck& check) : check_(check) {}
  /// True: healthy from now on.
  bool saw(bool success);

 private:
  HealthCheck check_;
  bool known_ = false;
  bool healthy_ = false;
  unsigned against_ = 0;
};

struct HeldAnnouncement {
  std::string socket;
  AnnounceRequest request;
  HealthCheck health;
};

/// Runs until SIGINT or SIGTERM, then withdraws: true. False: weftd refused the announcement; the
/// reason is on standard error.
bool keep_announced(const HeldAnnouncement& held);

}  // namespace weft::ctl
