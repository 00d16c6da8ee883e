#include "bgp/aggregates.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weft::bgp {

Attributes attributes_of(const AggregateSettings& aggregate, Asn asn, RouterId id, Origin origin) {
  Attributes made = aggregate.what.attributes();
  made.origin = origin;
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
      row.origins = {};
      if (row.originated && known->settings != each) changed_.push_back(each.what.prefix);
    }
    row.settings = std::move(each);
    rows_.push_back(std::move(row));
  }
  index();
  other_origins_.clear();
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

Origin Aggregates::merged(const Row& row) {
  for (const Origin each : {Origin::incomplete, Origin::egp}) {
    if (row.origins[static_cast<std::size_t>(each)] != 0) return each;
  }
  return Origin::igp;
}

void Aggregates::route(const Prefix& prefix, RouteKind before, RouteKind now, Origin origin) {
  if (rows_.empty() || prefixes_.contains(prefix)) return;
  const bool had = before != RouteKind::none;
  const bool has = now != RouteKind::none;
  const auto known = other_origins_.find(prefix);
  const Origin old = known == other_origins_.end() ? Origin::igp : known->second;
  if (had == has && (!has || old == origin)) return;
  bool inside = false;
  prefixes_.around(prefix, [&](std::size_t i) {
    Row& row = rows_[i];
    inside = true;
    const Origin said = merged(row);
    assert(has || row.contributing != 0);
    if (had) --row.origins[static_cast<std::size_t>(old)];
    if (has) ++row.origins[static_cast<std::size_t>(origin)];
    if (had) --row.contributing;
    if (has) ++row.contributing;
    const bool turned = had != has && row.contributing == (has ? 1U : 0U);
    if (turned || merged(row) != said) stepped_ = false;
  });
  if (inside && has && origin != Origin::igp) {
    other_origins_.insert_or_assign(prefix, origin);
  } else if (known != other_origins_.end()) {
    other_origins_.erase(known);
  }
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
    const bool turned = std::exchange(row.originated, wanted) != wanted;
    const bool differs = wanted && std::exchange(row.origin, merged(row)) != merged(row);
    if (turned) note(row, now);
    if (!turned && !differs) continue;
    changed.push_back(row.settings.what.prefix);
  }
  return changed;
}

const Aggregates::Row* Aggregates::find_originated(const Prefix& prefix) const {
  if (!prefixes_.contains(prefix)) return nullptr;
  const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& each) {
    return each.originated && each.settings.what.prefix == prefix;
  });
  return row == rows_.end() ? nullptr : &*row;
}

const AggregateSettings* Aggregates::originated(const Prefix& prefix) const {
  const Row* row = find_originated(prefix);
  return row == nullptr ? nullptr : &row->settings;
}

Origin Aggregates::origin(const Prefix& prefix) const {
  const Row* row = find_originated(prefix);
  return row == nullptr ? Origin::igp : row->origin;
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
