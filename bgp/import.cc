#include "bgp/import.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "bgp/attributes.h"

namespace weft::bgp {

bool Import::leaks(const AttributeFacts& facts) const {
  if (!rules_.external || !rules_.role || !facts.has_only_to_customer) return false;
  switch (*rules_.role) {
    case Role::provider:
    case Role::rs_server:
      return true;  // a customer gives on what was for customers only
    case Role::peer:
      return facts.only_to_customer != rules_.peer_as.value;
    case Role::customer:
    case Role::rs_client:
      return false;
  }
  return false;
}

/// RFC 9234 5: from a provider, a peer or a route server.
bool Import::wants_mark(const AttributeFacts& facts) const {
  if (!rules_.external || !rules_.role || facts.has_only_to_customer) return false;
  return *rules_.role == Role::customer || *rules_.role == Role::peer ||
         *rules_.role == Role::rs_client;
}

bool Import::drops(const AttributeFacts& facts, const Prefix& prefix) const {
  return rules_.blackhole && facts.blackhole && prefix.is_host();
}

AttributeId Import::changed(AttributeStore& store, AttributeId attributes, AttributeId original,
                            bool dropped) {
  if (memo_.empty()) memo_.resize(memo_size);
  Change& known = memo_[static_cast<std::size_t>(attributes) % memo_size];
  if (known.before.id() == attributes && known.original.id() == original &&
      known.drops == dropped) {
    return known.after.id();
  }
  const AttributeFacts& facts = store.facts(attributes);
  Attributes made = from_canonical(store.octets(attributes));
  if (wants_mark(facts)) made.only_to_customer = rules_.peer_as;
  if (rules_.graceful_shutdown && facts.graceful_shutdown) made.local_pref = 0;
  // RFC 7999 3.2: not beyond our AS.
  if (dropped) insert(made.communities, community::no_export);
  Change fresh;
  store.hold(attributes);
  fresh.before = HeldAttributes(store, attributes);
  store.hold(original);
  fresh.original = HeldAttributes(store, original);
  const std::vector<std::byte> octets = canonical(made);
  const Bytes received = store.octets(original);
  if (std::equal(octets.begin(), octets.end(), received.begin(), received.end())) {
    store.hold(original);
    fresh.after = HeldAttributes(store, original);
  } else {
    fresh.after = HeldAttributes(store, store.intern(octets, AttributeId::none, original));
  }
  fresh.drops = dropped;
  known = std::move(fresh);
  return known.after.id();
}

Rib::Imported Import::judge(Rib& rib, const Rib::Received& received) {
  AttributeStore& store = rib.attributes();
  if (leaks(store.facts(received.attributes))) {
    return {received.attributes, received.next_hop, true};
  }
  const AppliedPolicy::Verdict verdict =
      policy_.judge(rib, {received.prefix, received.attributes, received.next_hop, received.peer});
  if (!verdict.accepted) return {received.attributes, received.next_hop, true};

  Rib::Imported made{verdict.attributes, received.next_hop, false};
  const AttributeFacts& facts = store.facts(verdict.attributes);
  const bool dropped = drops(facts, received.prefix);
  const bool last = rules_.graceful_shutdown && facts.graceful_shutdown;
  if (wants_mark(facts) || last || dropped) {
    made.attributes = changed(store, verdict.attributes, received.attributes, dropped);
  }
  std::optional<NextHopId> next_hop = received.next_hop;
  if (dropped) {
    next_hop = rib.discard(received.peer, received.next_hop);
  } else if (verdict.next_hop) {
    if (const Address* given = std::get_if<Address>(&*verdict.next_hop)) {
      next_hop = rib.next_hop(received.peer, *given, {}, received.next_hop);
    }
  }
  if (!next_hop) return {received.attributes, received.next_hop, true};  // a limit is reached
  made.next_hop = *next_hop;
  return made;
}

std::string Import::explain(const Rib& rib, const Rib::Received& received) const {
  if (leaks(rib.attributes().facts(received.attributes))) {
    return "the role of the peer: ONLY_TO_CUSTOMER says that it leaks (RFC 9234)";
  }
  if (rules_.policy.rules() == nullptr) return "the import filter";
  return policy_.explain(rib,
                         {received.prefix, received.attributes, received.next_hop, received.peer});
}

}  // namespace weft::bgp
