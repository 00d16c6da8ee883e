// metrics: a snapshot as Prometheus metric families. Pure. Names: prefix weft_, base units, _total
// on counters only, an enumerated state as a state set, facts in _info series, peers by their
// configured name, never a prefix as a label.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "exporter/snapshot.h"

namespace weft::exporter {

/// At most 40 series a peer and family; families without a series are left out.
std::vector<prometheus::MetricFamily> metrics(const Snapshot& snapshot);

}  // namespace weft::exporter
