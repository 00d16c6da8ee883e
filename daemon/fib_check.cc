#include "daemon/fib_check.h"

#include <fmt/format.h>

#include <utility>

namespace weft::daemon {

FibCheck::FibCheck(fib::Table& table, const bgp::Speaker& speaker, Describe describe)
    : table_(table), speaker_(speaker), describe_(std::move(describe)) {}

void FibCheck::ask(bool repair, Answer answer) {
  if (asked_.size() >= check_limit) {
    return answer(ctl::Failure{ctl::ErrorCode::busy, "too many checks are waiting already"});
  }
  asked_.push_back({repair, std::move(answer)});
}

bool FibCheck::begin() {
  if (asked_.empty()) return false;
  phase_ = Phase::first;
  found_ = {};
  table_.check();
  return true;
}

bool FibCheck::advance(Time now) {
  if (phase_ == Phase::idle) return begin();
  if (phase_ == Phase::repairing) {
    if (table_.busy() && now < rest_until_) return false;
    phase_ = Phase::second;
    table_.check();
    return true;
  }
  auto report = table_.take_check();
  return report && looked(std::move(*report), now);
}

std::optional<Time> FibCheck::deadline() const {
  if (phase_ != Phase::repairing) return std::nullopt;
  return rest_until_;
}

bool FibCheck::looked(fib::CheckReport report, Time now) {
  if (report.failed) {
    asked_.front().answer(ctl::Failure{ctl::ErrorCode::internal,
                                       "the kernel's routes could not be read: " + *report.failed});
    asked_.pop_front();
    phase_ = Phase::idle;
    return begin();
  }
  if (phase_ == Phase::second) {
    found_.remaining = report.differences.size() + report.more;
    finish();
    return begin();
  }
  found_.kernel_routes = report.kernel_routes;
  found_.wanted_routes = report.wanted_routes;
  found_.moving = report.moving;
  found_.more = report.more;
  for (const fib::Difference& difference : report.differences) differs(shown(difference));
  compare_rib();
  found_.remaining = found_.differences.size() + found_.more;
  if (asked_.front().repair && found_.remaining > 0) {
    found_.repaired = true;
    phase_ = Phase::repairing;
    rest_until_ = now + repair_patience;
    table_.audit(now);
    return true;
  }
  finish();
  return begin();
}

void FibCheck::finish() {
  phase_ = Phase::idle;
  asked_.front().answer(std::exchange(found_, {}));
  asked_.pop_front();
}

/// What the RIB has chosen must be what the table wants: neither knows the other.
void FibCheck::compare_rib() {
  std::uint64_t agreed = 0;
  speaker_.selected([&](const Prefix& prefix, bgp::RouteKind kind, bgp::NextHopSet set) {
    if (kind != bgp::RouteKind::via) return;
    ++found_.rib_routes;
    const fib::GroupRef group = table_.wanted(prefix);
    const NextHops wanted = group ? table_.next_hops(group) : NextHops{};
    const NextHops& chosen = speaker_.next_hops(set);
    if (group) ++agreed;
    const Placement chosen_place = speaker_.placement(set);
    const Placement wanted_place = table_.placement(prefix);
    const bool same_place = !group || chosen_place == Placement{} || chosen_place == wanted_place;
    if (wanted == chosen && same_place) return;
    differs({prefix.text(),
             group ? "different" : "missing",
             shown(chosen),
             shown(wanted),
             {},
             same_place ? "what the RIB has chosen is not what is wanted in the kernel"
                        : fmt::format("the RIB has chosen table {}, metric {}, and wanted is table "
                                      "{}, metric {}",
                                      chosen_place.table, chosen_place.metric, wanted_place.table,
                                      wanted_place.metric)});
  });
  std::uint64_t wanted = 0;
  table_.wanted([&](const Prefix&, fib::GroupRef) { ++wanted; });
  if (wanted == agreed) return;
  table_.wanted([&](const Prefix& prefix, fib::GroupRef group) {
    const auto route = speaker_.route(prefix);
    if (route && route->kind == bgp::RouteKind::via) return;
    differs({prefix.text(),
             "stale",
             {},
             shown(table_.next_hops(group)),
             {},
             "wanted in the kernel without a route in the RIB"});
  });
}

void FibCheck::differs(ctl::FibDifference difference) {
  if (found_.differences.size() < fib::difference_limit) {
    found_.differences.push_back(std::move(difference));
  } else {
    ++found_.more;
  }
}

std::vector<std::string> FibCheck::shown(const NextHops& next_hops) const {
  std::vector<std::string> texts;
  for (const NextHop& hop : next_hops) texts.push_back(describe_(hop));
  return texts;
}

ctl::FibDifference FibCheck::shown(const fib::Difference& difference) const {
  ctl::FibDifference row;
  if (!difference.prefix) {
    row.subject = fmt::format("nexthop {}", difference.nexthop_id);
  } else if (difference.kind == fib::Kind::learned) {
    row.subject = difference.prefix->text();
  } else {
    row.subject = fmt::format("{} {}", name(difference.kind), difference.prefix->text());
  }
  if (difference.table) row.subject += fmt::format(" in table {}", *difference.table);
  row.difference = name(difference.what);
  row.wanted = shown(difference.wanted);
  row.kernel = shown(difference.kernel);
  row.reason = difference.reason;
  return row;
}

}  // namespace weft::daemon
