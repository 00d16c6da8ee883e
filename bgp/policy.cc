#include "bgp/policy.h"

#include <algorithm>
#include <cassert>

namespace weft::bgp {

Policy Policy::of(const Filter& filter, Form host, const Policies& policies) {
  Policy policy;
  if (filter == Filter::accept) policy.form_ = Form::everything;
  if (filter == Filter::host) policy.form_ = host;
  const auto rules = policies.find(filter.name);
  if (filter.is_template() || rules == policies.end()) return policy;
  policy.form_ = Form::rules;
  policy.rules_ = rules->second;
  return policy;
}

Policy Policy::import(const Settings& settings, const PeerSettings& peer, bool external,
                      const Policies& policies) {
  const Filter otherwise = external ? Filter::host : Filter::accept;
  Policy policy = of(peer.import_filter.value_or(otherwise), Form::inside, policies);
  if (policy.form_ == Form::inside) {
    policy.pools_ = settings.pools;
    policy.default_route_ = settings.default_route;
  }
  return policy;
}

Policy Policy::to_export(const Settings&, const PeerSettings& peer, bool external,
                         const Policies& policies) {
  const Filter otherwise = external ? Filter::host : Filter::accept;
  return of(peer.export_filter.value_or(otherwise), Form::originated, policies);
}

bool Policy::accepts(const Prefix& prefix, bool originated) const {
  assert(form_ != Form::rules);
  switch (form_) {
    case Form::nothing:
    case Form::rules:
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
