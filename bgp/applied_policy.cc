#include "bgp/applied_policy.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

#include "bgp/attributes.h"

namespace weft::bgp {

AppliedPolicy::Question AppliedPolicy::question(const Rib& rib, const Route& route) const {
  Question asked;
  asked.attributes = route.attributes;
  if (route.peer != PeerId::local) asked.next_hop = rib.next_hop(route.next_hop).address;
  asked.peer = route.peer;
  asked.family = route.prefix.family();
  asked.conditions = policy_.rules()->conditions(route.prefix);
  return asked;
}

PolicyOutcome AppliedPolicy::decide(const Rib& rib, const Question& question) const {
  PolicyRoute route;
  route.direction = direction_;
  route.source = RouteOrigin::local;
  if (question.peer != PeerId::local) {
    const RibPeer& peer = rib.peer(question.peer);
    route.source = peer.external ? RouteOrigin::external : RouteOrigin::internal;
    route.peer = peer.name;
    route.range = peer.range;
    route.next_hop = question.next_hop;
  }
  return policy_.rules()->decide(question.conditions, question.family, route,
                                 from_canonical(rib.attributes().octets(question.attributes)));
}

AppliedPolicy::Answer AppliedPolicy::answered(const Rib& rib, const Question& question) const {
  AttributeStore& store = rib.attributes();
  PolicyOutcome outcome = decide(rib, question);
  Answer made;
  made.question = question;
  store.hold(question.attributes);
  made.before = HeldAttributes(store, question.attributes);
  made.verdict = {outcome.accepted, question.attributes, outcome.next_hop, outcome.med_set,
                  static_cast<std::uint16_t>(std::min<std::uint32_t>(
                      outcome.prepend, std::numeric_limits<std::uint16_t>::max()))};
  made.rules = std::move(outcome.rules);
  if (!outcome.changed) return made;
  const std::vector<std::byte> octets = canonical(outcome.attributes);
  if (octets.size() > AttributeStore::max_size) {
    made.verdict.accepted = false;
    return made;
  }
  const AttributeId original =
      direction_ == Direction::import ? question.attributes : AttributeId::none;
  made.after = HeldAttributes(store, store.intern(octets, AttributeId::none, original));
  made.verdict.attributes = made.after.id();
  return made;
}

AppliedPolicy::Verdict AppliedPolicy::judge(const Rib& rib, const Route& route) {
  const PolicyRules* rules = policy_.rules();
  if (rules == nullptr) {
    return {policy_.accepts(route.prefix, route.peer == PeerId::local), route.attributes, {}};
  }
  if (peers_at_ != rib.attached()) {
    memo_.clear();  // numbers may belong to other peers now
    peers_at_ = rib.attached();
  }
  if (memo_.empty()) memo_.resize(memo_size);
  const Question asked = question(rib, route);
  const std::size_t hash = static_cast<std::size_t>(asked.attributes) * 31 +
                           std::hash<PrefixIndex::Numbers>()(asked.conditions) * 17 +
                           static_cast<std::size_t>(asked.peer);
  Answer& answer = memo_[(hash ^ hash >> 16) % memo_size];
  if (answer.before.id() == AttributeId::none || !(answer.question == asked)) {
    answer = answered(rib, asked);
  }
  rules->count(direction_, answer.rules, answer.verdict.accepted);
  return answer.verdict;
}

std::string AppliedPolicy::explain(const Rib& rib, const Route& route) const {
  const PolicyRules* rules = policy_.rules();
  if (rules == nullptr) return "template";
  return rules->blame(decide(rib, question(rib, route)));
}

}  // namespace weft::bgp
