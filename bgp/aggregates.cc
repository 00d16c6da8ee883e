#include "bgp/aggregates.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weft::bgp {

Attributes attributes_of(const AggregateSettings& aggregate, Asn asn, RouterId id) {
  Attributes made = aggregate.what.attributes();
  // The paths of what is inside are left out (RFC 4271 5.1.6).
  made.atomic_aggregate = true;
  made.aggregator = Aggregator{asn, id};
  return made;
}

void Aggregates::configure(std::vector<AggregateSettings> wanted, Time now) {
  const std::vector<Row> old = std::exchange(rows_, {});
  for (AggregateSettings& each : wanted) {
    const auto known = std::find_if(old.begin(), old.end(), [&](const Row& row) {
      return row.settings.what.prefix == each.what.prefix;
    });
    Row row;
    row.since = now;
    if (known != old.end()) {
      row = *known;
      row.contributing = 0;
      if (row.originated && known->settings != each) changed_.push_back(each.what.prefix);
    }
    row.settings = std::move(each);
    rows_.push_back(std::move(row));
  }
  index();
  for (const Row& row : old) {
    if (row.originated && !prefixes_.contains(row.settings.what.prefix))
      changed_.push_back(row.settings.what.prefix);
  }
  stepped_ = false;
}

void Aggregates::index() {
  std::vector<Prefix> prefixes;
  prefixes.reserve(rows_.size());
  for (const Row& row : rows_) prefixes.push_back(row.settings.what.prefix);
  prefixes_.assign(prefixes);
}

void Aggregates::route(const Prefix& prefix, RouteKind before, RouteKind now) {
  const bool had = before != RouteKind::none;
  const bool has = now != RouteKind::none;
  if (had == has || rows_.empty() || prefixes_.contains(prefix)) return;
  prefixes_.around(prefix, [&](std::size_t i) {
    Row& row = rows_[i];
    assert(has || row.contributing != 0);
    row.contributing += has ? 1 : std::uint64_t{0} - 1;
    if (row.contributing == (has ? 1U : 0U)) stepped_ = false;
  });
}

void Aggregates::wait_for_cover(bool yes) {
  wait_ = yes;
  stepped_ = false;
}

void Aggregates::covered(const Prefix& prefix) {
  for (Row& row : rows_) {
    // An acknowledgement may come after the last route has gone.
    if (row.settings.what.prefix != prefix || row.contributing == 0) continue;
    row.covered = true;
    stepped_ = false;
  }
}

std::vector<Prefix> Aggregates::step(Time now) {
  if (std::exchange(stepped_, true)) return {};
  std::vector<Prefix> changed = std::exchange(changed_, {});
  for (Row& row : rows_) {
    if (row.contributing == 0) row.covered = false;
    // One that is originated is covered, or was when nothing had to be waited for.
    const bool wanted = row.contributing != 0 && (row.originated || !wait_ || row.covered);
    if (std::exchange(row.originated, wanted) == wanted) continue;
    note(row, now);
    changed.push_back(row.settings.what.prefix);
  }
  return changed;
}

const AggregateSettings* Aggregates::originated(const Prefix& prefix) const {
  if (!prefixes_.contains(prefix)) return nullptr;
  const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& each) {
    return each.originated && each.settings.what.prefix == prefix;
  });
  return row == rows_.end() ? nullptr : &row->settings;
}

bool Aggregates::awaits_cover(Family family) const {
  return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) {
    return waits(row) && row.settings.what.prefix.family() == family;
  });
}

std::vector<Prefix> Aggregates::suppressing() const {
  std::vector<Prefix> found;
  for (const Row& row : rows_) {
    if (row.originated && row.settings.summary_only) found.push_back(row.settings.what.prefix);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<AggregateStatus> Aggregates::status() const {
  std::vector<AggregateStatus> all;
  all.reserve(rows_.size());
  for (const Row& row : rows_) {
    all.push_back({row.settings.what.prefix, row.settings.summary_only, row.contributing,
                   row.originated, waits(row), row.since, row.changes});
  }
  return all;
}

}  // namespace weft::bgp
