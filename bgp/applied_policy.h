// AppliedPolicy: a policy at the place where it works, asked about the routes of a table. Remembers
// what came out for which attributes, so that the rules are gone through once for many prefixes.
// Not here: the rules (policy_rules.h), what is done with the verdict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bgp/attribute_store.h"
#include "bgp/policy.h"
#include "bgp/policy_rules.h"
#include "bgp/rib.h"

namespace weft::bgp {

class AppliedPolicy {
 public:
  AppliedPolicy(Policy policy, Direction direction)
      : policy_(std::move(policy)), direction_(direction) {}

  struct Route {
    Prefix prefix;
    /// As received on import, as selected on export.
    AttributeId attributes = AttributeId::none;
    NextHopId next_hop = NextHopId::local;
    PeerId peer = PeerId::local;
  };
  struct Verdict {
    bool accepted = false;
    /// What the route leaves with; held by this object until the next judge(). On import it knows
    /// its original.
    AttributeId attributes = AttributeId::none;
    std::optional<std::variant<NextHopRewrite, Address>> next_hop;
    bool med_set = false;
    std::uint16_t prepend = 0;
  };
  /// Counts the rules that the route meets.
  [[nodiscard]] Verdict judge(const Rib& rib, const Route& route);
  /// Which rule decided about the route, for an operator; not counted.
  [[nodiscard]] std::string explain(const Rib& rib, const Route& route) const;

  [[nodiscard]] const Policy& policy() const { return policy_; }

 private:
  /// Verdicts that are remembered; a new one takes the place of another.
  static constexpr std::size_t memo_size = 256;

  /// All that the rules ask about.
  struct Question {
    AttributeId attributes = AttributeId::none;
    Address next_hop;
    PeerId peer = PeerId::local;
    Family family = Family::ipv4;
    PrefixIndex::Numbers conditions;
    bool operator==(const Question&) const = default;
  };
  struct Answer {
    Question question;
    HeldAttributes before;
    HeldAttributes after;
    Verdict verdict;
    std::vector<std::uint16_t> rules;
  };
  [[nodiscard]] PolicyOutcome decide(const Rib& rib, const Question& question) const;
  [[nodiscard]] Question question(const Rib& rib, const Route& route) const;
  [[nodiscard]] Answer answered(const Rib& rib, const Question& question) const;

  Policy policy_;
  Direction direction_;
  std::vector<Answer> memo_;
  std::uint64_t peers_at_ = 0;  // Rib::attached() when the memory began
};

}  // namespace weft::bgp
