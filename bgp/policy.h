// Policy: what one side of a session lets through. Today the two templates of settings.h; the
// ordered rules of an operator become a third form of the same class. Pure: no counters, no RIB.
// RFC 8212, RFC 4271 9.1.1, 9.1.3.
#pragma once

#include <cstdint>
#include <vector>

#include "bgp/settings.h"
#include "bgp/types.h"
#include "net/ip.h"

namespace weft::bgp {

class Policy {
 public:
  /// Lets nothing through (RFC 8212).
  Policy() = default;
  /// What a peer may tell us. None chosen: `host` from another AS, `accept` within ours.
  static Policy import(const Settings& settings, const PeerSettings& peer, bool external);
  /// What we tell a peer; the defaults are the same.
  static Policy to_export(const Settings& settings, const PeerSettings& peer, bool external);

  /// `originated`: by this node, not learned.
  [[nodiscard]] bool accepts(const Prefix& prefix, bool originated) const;

  bool operator==(const Policy&) const = default;

 private:
  enum class Form : std::uint8_t { nothing, everything, inside, originated };
  Form form_ = Form::nothing;
  bool default_route_ = false;
  std::vector<Prefix> pools_;
};

}  // namespace weft::bgp
