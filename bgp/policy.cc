#include "bgp/policy.h"

#include <algorithm>

namespace weft::bgp {

Policy Policy::import(const Settings& settings, const PeerSettings& peer, bool external) {
  Policy policy;
  const Filter filter = peer.import_filter.value_or(external ? Filter::host : Filter::accept);
  policy.form_ = filter == Filter::accept ? Form::everything : Form::inside;
  if (policy.form_ == Form::inside) {
    policy.pools_ = settings.pools;
    policy.default_route_ = settings.default_route;
  }
  return policy;
}

Policy Policy::to_export(const Settings&, const PeerSettings& peer, bool external) {
  Policy policy;
  const Filter filter = peer.export_filter.value_or(external ? Filter::host : Filter::accept);
  policy.form_ = filter == Filter::accept ? Form::everything : Form::originated;
  return policy;
}

bool Policy::accepts(const Prefix& prefix, bool originated) const {
  switch (form_) {
    case Form::nothing:
      return false;
    case Form::everything:
      return true;
    case Form::originated:
      return originated;
    case Form::inside:
      break;
  }
  if (prefix.length() == 0) return default_route_;
  return std::any_of(pools_.begin(), pools_.end(),
                     [&](const Prefix& pool) { return pool.contains(prefix); });
}

}  // namespace weft::bgp
