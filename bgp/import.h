// Import: what becomes of a route on its way in, for one session: the peer's role (RFC 9234 5), its
// import policy, GRACEFUL_SHUTDOWN (RFC 8326 4.2) and BLACKHOLE (RFC 7999 3). Not here: the AS
// loop, which the table sees itself; limits.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "bgp/applied_policy.h"
#include "bgp/attribute_store.h"
#include "bgp/capabilities.h"
#include "bgp/policy.h"
#include "bgp/rib.h"
#include "bgp/types.h"

namespace weft::bgp {

struct ImportRules {
  Policy policy;
  bool external = true;
  Asn peer_as;
  /// Ours towards the peer; none: RFC 9234 is not spoken with it.
  std::optional<Role> role;
  /// RFC 8326: what asks to be used last is.
  bool graceful_shutdown = true;
  /// RFC 7999: host routes may ask to be dropped.
  bool blackhole = false;
  bool operator==(const ImportRules&) const = default;
};

class Import {
 public:
  Import() = default;
  explicit Import(ImportRules rules)
      : rules_(std::move(rules)), policy_(rules_.policy, Direction::import) {}

  /// The attributes are held by this object until the next judge().
  [[nodiscard]] Rib::Imported judge(Rib& rib, const Rib::Received& received);
  /// Why it refuses a route, for an operator: "policy in, rule 3".
  [[nodiscard]] std::string explain(const Rib& rib, const Rib::Received& received) const;

  /// The peer gives on what it was not to (RFC 9234 5).
  [[nodiscard]] bool leaks(const AttributeFacts& facts) const;

  [[nodiscard]] const ImportRules& rules() const { return rules_; }

 private:
  /// Sets that were changed beyond policy, remembered; a new one takes the place of another.
  static constexpr std::size_t memo_size = 64;
  struct Change {
    HeldAttributes before;
    HeldAttributes original;
    HeldAttributes after;
    bool drops = false;
  };
  [[nodiscard]] bool wants_mark(const AttributeFacts& facts) const;
  /// RFC 7999 3.3: as long a prefix as there is, of a peer that may.
  [[nodiscard]] bool drops(const AttributeFacts& facts, const Prefix& prefix) const;
  [[nodiscard]] AttributeId changed(AttributeStore& store, AttributeId attributes,
                                    AttributeId original, bool dropped);

  ImportRules rules_;
  AppliedPolicy policy_{Policy(), Direction::import};
  std::vector<Change> memo_;
};

}  // namespace weft::bgp
