#include "bgp/retention.h"

#include <algorithm>

namespace weft::bgp {

using std::chrono::seconds;

Fate Retention::lost(const RetentionTerms& terms, Loss how, Time now) {
  const bool waits = how == Loss::clean && terms.restart_time != seconds{0};
  const bool kept =
      how != Loss::hard && terms.graceful && (waits || terms.long_lived_time != seconds{0});
  if (!kept) {
    forget();
    return Fate::drop;
  }
  long_lived_time_ = terms.long_lived_time;
  if (long_lived_until_ != Time::max()) {
    // Lost again before it had said everything: the first absence counts on.
    phase_ = Phase::long_lived;
    until_ = long_lived_until_;
    return Fate::age;
  }
  if (!waits) return grow_old(now);
  phase_ = Phase::restarting;
  until_ = now + terms.restart_time;
  return Fate::mark;
}

Fate Retention::back(bool preserved, seconds stale_time, Time now) {
  if (phase_ == Phase::fresh) return Fate::keep;
  if (!preserved) {
    forget();
    return Fate::sweep;
  }
  phase_ = Phase::refreshing;
  until_ = std::min(now + stale_time, long_lived_until_);
  return Fate::keep;
}

Fate Retention::end_of_rib() {
  if (phase_ != Phase::refreshing) return Fate::keep;
  forget();
  return Fate::sweep;
}

Fate Retention::tick(Time now) {
  if (now < deadline()) return Fate::keep;
  if (phase_ == Phase::restarting && long_lived_time_ != seconds{0}) return grow_old(now);
  forget();
  return Fate::sweep;
}

Fate Retention::silenced(Time now) {
  if (phase_ != Phase::restarting) return Fate::keep;
  if (long_lived_time_ != seconds{0}) return grow_old(now);
  forget();
  return Fate::sweep;
}

Fate Retention::grow_old(Time now) {
  phase_ = Phase::long_lived;
  until_ = long_lived_until_ = now + long_lived_time_;
  return Fate::age;
}

std::string_view name(Retention::Phase phase) {
  switch (phase) {
    case Retention::Phase::fresh:
      return "";
    case Retention::Phase::restarting:
      return "restarting";
    case Retention::Phase::long_lived:
      return "long-lived";
    case Retention::Phase::refreshing:
      return "refreshing";
  }
  return "";
}

}  // namespace weft::bgp
