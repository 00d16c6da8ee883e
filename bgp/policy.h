// Policy: what one side of a session lets through: one of the two templates of settings.h, or the
// rules of an operator (policy_rules.h). A value, compared to find who is told the same. Not here:
// asking it about a route (applied_policy.h). RFC 8212, RFC 4271 9.1.1, 9.1.3.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bgp/policy_rules.h"
#include "bgp/settings.h"
#include "bgp/types.h"
#include "net/ip.h"

namespace weft::bgp {

class Policy {
 public:
  /// Lets nothing through (RFC 8212).
  Policy() = default;
  /// What a peer may tell us. None chosen: `host` from another AS, `accept` within ours.
  /// A policy that is not among `policies` lets nothing through.
  static Policy import(const Settings& settings, const PeerSettings& peer, bool external,
                       const Policies& policies = {});
  /// What we tell a peer; the defaults are the same.
  static Policy to_export(const Settings& settings, const PeerSettings& peer, bool external,
                          const Policies& policies = {});

  /// None: a template, and accepts() has the whole answer.
  [[nodiscard]] const PolicyRules* rules() const { return rules_.get(); }
  /// Asserts that it is a template. `originated`: by this node, not learned.
  [[nodiscard]] bool accepts(const Prefix& prefix, bool originated) const;

  bool operator==(const Policy&) const = default;

 private:
  enum class Form : std::uint8_t { nothing, everything, inside, originated, rules };
  static Policy of(const Filter& filter, Form host, const Policies& policies);

  Form form_ = Form::nothing;
  bool default_route_ = false;
  std::vector<Prefix> pools_;
  std::shared_ptr<const PolicyRules> rules_;
};

}  // namespace weft::bgp
