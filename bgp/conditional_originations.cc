#include "bgp/conditional_originations.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weft::bgp {
namespace {

std::size_t slot(Family family) {
  return family == Family::ipv4 ? 0 : 1;
}

}  // namespace

void ConditionalOriginations::configure(std::vector<AnnouncementSettings> wanted, Time now) {
  std::vector<Row> old = std::exchange(rows_, {});
  learned_.clear();
  for (AnnouncementSettings& each : wanted) {
    const auto known = std::find_if(old.begin(), old.end(), [&](const Row& row) {
      return row.settings.what.prefix == each.what.prefix;
    });
    for (const auto& condition : {each.when_route, each.unless_route}) {
      if (condition) learned_.emplace(*condition, false);
    }
    Row row;
    row.since = now;
    if (known != old.end()) {
      row = *known;
      if (!known->settings.is_same_service(each)) row.fault.reset();
      if (row.originated && known->settings.what != each.what) changed_.push_back(each.what.prefix);
      old.erase(known);
    }
    row.settings = std::move(each);
    rows_.push_back(std::move(row));
  }
  for (const Row& gone : old) {
    if (!gone.originated) continue;
    changed_.push_back(gone.settings.what.prefix);
    news_.push_back(fmt::format("{} is withdrawn: it is not configured any more",
                                gone.settings.what.prefix.text()));
  }
  due_ = true;
}

void ConditionalOriginations::learned(const Prefix& prefix, bool yes) {
  const auto known = learned_.find(prefix);
  if (known == learned_.end() || std::exchange(known->second, yes) == yes) return;
  due_ = true;
}

void ConditionalOriginations::health(const Prefix& prefix, const std::string& fault) {
  for (Row& row : rows_) {
    if (row.settings.what.prefix != prefix || row.fault == fault) continue;
    row.fault = fault;
    due_ = true;
  }
}

void ConditionalOriginations::tables_complete(Family family) {
  if (!std::exchange(complete_[slot(family)], true)) due_ = true;
}

bool ConditionalOriginations::is_learned(const Prefix& prefix) const {
  const auto known = learned_.find(prefix);
  return known != learned_.end() && known->second;
}

std::string ConditionalOriginations::obstacle(const Row& row) const {
  const AnnouncementSettings& wanted = row.settings;
  if (wanted.when_route && !is_learned(*wanted.when_route))
    return fmt::format("no learned route for {}", wanted.when_route->text());
  if (wanted.unless_route && is_learned(*wanted.unless_route))
    return fmt::format("a learned route for {}", wanted.unless_route->text());
  if (wanted.unless_route && !complete_[slot(wanted.unless_route->family())])
    return fmt::format("whether {} is learned is not known yet", wanted.unless_route->text());
  if (!wanted.has_service()) return {};
  return row.fault.value_or("the service has not been looked at yet");
}

std::vector<Prefix> ConditionalOriginations::step(Time now) {
  if (!std::exchange(due_, false)) return {};
  std::vector<Prefix> changed = std::exchange(changed_, {});
  for (Row& row : rows_) {
    const std::string missing = obstacle(row);
    const std::string prefix = row.settings.what.prefix.text();
    const bool wanted = missing.empty();
    if (std::exchange(row.originated, wanted) == wanted) {
      if (wanted || row.told || !is_decided(row)) continue;
      news_.push_back(fmt::format("{} is not originated: {}", prefix, missing));
    } else {
      note(row, now);
      changed.push_back(row.settings.what.prefix);
      news_.push_back(wanted ? fmt::format("{} is originated: its conditions hold", prefix)
                             : fmt::format("{} is withdrawn: {}", prefix, missing));
    }
    row.told = true;
  }
  return changed;
}

std::vector<std::string> ConditionalOriginations::take_news() {
  return std::exchange(news_, {});
}

bool ConditionalOriginations::is_decided(const Row& row) const {
  for (const auto& condition : {row.settings.when_route, row.settings.unless_route}) {
    if (condition && !complete_[slot(condition->family())]) return false;
  }
  return !row.settings.has_service() || row.fault;
}

const Origination* ConditionalOriginations::originated(const Prefix& prefix) const {
  const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& each) {
    return each.originated && each.settings.what.prefix == prefix;
  });
  return row == rows_.end() ? nullptr : &row->settings.what;
}

bool ConditionalOriginations::awaits_health(Family family) const {
  return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) {
    return row.settings.has_service() && !row.fault && row.settings.what.prefix.family() == family;
  });
}

std::vector<ConditionalStatus> ConditionalOriginations::status() const {
  std::vector<ConditionalStatus> all;
  all.reserve(rows_.size());
  for (const Row& row : rows_) {
    all.push_back({row.settings.what, row.originated ? std::string() : obstacle(row), row.since,
                   row.changes});
  }
  return all;
}

}  // namespace weft::bgp
