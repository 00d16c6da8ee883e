#include "bgp/advertisement.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace weft::bgp {

namespace {

/// RFC 1997: who may hear of a path that carries the well-known communities. We are no
/// confederation, so its members are the AS.
bool communities_allow(const AttributeFacts& facts, const ExportRules& rules) {
  if (facts.no_advertise) return false;
  if (!rules.external) return true;
  // RFC 3765: not from one of equals to another.
  if (facts.no_peer && rules.role == Role::peer) return false;
  return !facts.no_export && !facts.no_export_subconfed;
}

/// RFC 9234 5: what was for customers only goes to no provider, peer or route server.
bool role_allows(const AttributeFacts& facts, const ExportRules& rules) {
  if (!rules.external || !rules.role || !facts.has_only_to_customer) return true;
  return *rules.role == Role::provider || *rules.role == Role::rs_server;
}

/// And what goes to a customer, a peer or a client is marked.
bool role_marks(const ExportRules& rules) {
  return rules.role == Role::provider || rules.role == Role::peer || rules.role == Role::rs_server;
}

bool can_be_told(const ExportRules& rules, const Address& next_hop) {
  const bool encodable = next_hop.family() == rules.family ||
                         (rules.family == Family::ipv4 && rules.extended_next_hop);
  // A link-local next hop means nothing beyond its link.
  return encodable && !next_hop.is_unspecified() && (next_hop.is_v4() || !next_hop.is_link_local());
}

/// What policy says, else what the session says: as it came within the AS, ours to others. A
/// reflector leaves it alone (RFC 4456 10), so a session's `self` is for eBGP's paths only.
NextHopId advertised_next_hop(const ExportRules& rules, const AppliedPolicy::Verdict& verdict,
                              Rib& rib, const BestPath& best, bool reflected) {
  bool unchanged = rules.external ? rules.next_hop_rule == NextHopRule::unchanged
                                  : reflected || rules.next_hop_rule != NextHopRule::self;
  if (verdict.next_hop) {
    if (const Address* given = std::get_if<Address>(&*verdict.next_hop)) {
      if (!can_be_told(rules, *given)) return NextHopId::local;
      return rib.next_hop(best.peer, *given).value_or(NextHopId::local);
    }
    unchanged = std::get<NextHopRewrite>(*verdict.next_hop) == NextHopRewrite::unchanged;
  }
  if (!unchanged || best.peer == PeerId::local) return NextHopId::local;
  return can_be_told(rules, rib.next_hop(best.next_hop).address) ? best.next_hop : NextHopId::local;
}

void add(std::vector<Community>& communities, Community one) {
  if (std::find(communities.begin(), communities.end(), one) == communities.end())
    communities.push_back(one);
}

}  // namespace

std::optional<Advertisement> advertised_as(const ExportRules& rules, AppliedPolicy& policy,
                                           Rib& rib, const Prefix& prefix, const BestPath& best) {
  if (best.offered)
    return Advertisement{best.attributes, NextHopId::local, best.peer, 0, false, true};
  if (!rules.unsuppress && rib.is_suppressed(prefix)) return {};
  const bool originated = best.peer == PeerId::local;
  const bool internal = !originated && !rib.peer(best.peer).external;
  // RFC 4271 9.2: no iBGP to iBGP, unless one of the two is our client (RFC 4456 6).
  const bool reflected = internal && !rules.external;
  if (reflected && !rules.reflector_client && !rib.peer(best.peer).reflector_client) return {};
  const AttributeFacts& facts = rib.attributes().facts(best.attributes);
  if (facts.llgr_stale && !rules.long_lived) return {};
  if (!communities_allow(facts, rules) || !role_allows(facts, rules)) return {};
  const AppliedPolicy::Verdict verdict =
      policy.judge(rib, {prefix, best.attributes, best.next_hop, best.peer});
  if (!verdict.accepted) return {};
  // What policy has put on it counts as if it had come with it.
  if (!communities_allow(rib.attributes().facts(verdict.attributes), rules)) return {};
  const NextHopId next_hop = advertised_next_hop(rules, verdict, rib, best, reflected);
  return Advertisement{verdict.attributes, next_hop,        best.peer,
                       verdict.prepend,    verdict.med_set, false};
}

Attributes exported(const ExportRules& rules, const Rib& rib, const Advertisement& advertisement) {
  Attributes out = from_canonical(rib.attributes().octets(advertisement.attributes));
  const bool ours = advertisement.offered || advertisement.source == PeerId::local;
  if (rules.drain) add(out.communities, community::graceful_shutdown);
  if (!rules.external) {
    if (rules.drain) out.local_pref = 0;  // RFC 8326 4.1
    if (!out.local_pref) out.local_pref = AttributeFacts().local_pref;
    if (!ours && !rib.peer(advertisement.source).external) {
      if (!out.originator_id) out.originator_id = rib.peer(advertisement.source).router_id;
      out.cluster_list.insert(out.cluster_list.begin(), rules.cluster_id);
    }
    return out;
  }
  to_external(out.as_path, rules.as_path);
  out.as_path.prepend(rules.as_path.local_as, advertisement.prepend);
  out.local_pref.reset();
  if (role_marks(rules) && !out.only_to_customer) out.only_to_customer = rules.as_path.local_as;
  // RFC 4271 5.1.4: a MED came for us, not for the AS after us; our own routes may have one.
  if (!ours && !advertisement.keeps_med) out.med.reset();
  // Optional non-transitive, for one AS alone (RFC 4456 8).
  out.originator_id.reset();
  out.cluster_list.clear();
  std::erase_if(out.extended_communities,
                [](const ExtendedCommunity& each) { return !each.is_transitive(); });
  return out;
}

AdvertisementTable::~AdvertisementTable() {
  for (Id id = 1; id < entries_.size(); ++id) {
    if (!entries_[id].free) forget(id);
  }
}

AdvertisementTable::Id& AdvertisementTable::bucket_of(const Advertisement& what) {
  std::uint64_t state =
      static_cast<std::uint64_t>(what.attributes) << 32 | static_cast<std::uint64_t>(what.next_hop);
  state =
      (state ^ static_cast<std::uint64_t>(what.source) << 20 ^ what.prepend) * 0x9e3779b97f4a7c15U;
  return buckets_[(state >> 32) & (buckets_.size() - 1)];
}

AdvertisementTable::Id AdvertisementTable::intern(const Advertisement& what) {
  if (last_ != 0 && entries_[last_].what == what) return last_;
  for (Id id = bucket_of(what); id != 0; id = entries_[id].next) {
    if (entries_[id].what == what) return last_ = id;
  }
  if (size_ == buckets_.size()) grow();
  Id id = free_;
  if (id != 0) {
    free_ = entries_[id].next;
  } else {
    id = static_cast<Id>(entries_.size());
    entries_.emplace_back();
  }
  Id& bucket = bucket_of(what);
  entries_[id] = {what, 0, std::exchange(bucket, id), 0, false};
  rib_.attributes().hold(what.attributes);
  rib_.hold(what.next_hop);
  idle_.push_back(id);
  ++size_;
  return last_ = id;
}

void AdvertisementTable::settle() {
  for (const Id id : idle_) {
    if (entries_[id].uses == 0 && !entries_[id].free) forget(id);
  }
  idle_.clear();
}

void AdvertisementTable::forget(Id id) {
  Entry& gone = entries_[id];
  Id* link = &bucket_of(gone.what);
  while (*link != id) link = &entries_[*link].next;
  *link = gone.next;
  rib_.attributes().release(gone.what.attributes);
  rib_.release(gone.what.next_hop);
  gone.free = true;
  gone.next = std::exchange(free_, id);
  if (last_ == id) last_ = 0;
  --size_;
}

void AdvertisementTable::grow() {
  buckets_.assign(buckets_.size() * 2, 0);
  for (Id id = 1; id < entries_.size(); ++id) {
    if (!entries_[id].free) entries_[id].next = std::exchange(bucket_of(entries_[id].what), id);
  }
}

}  // namespace weft::bgp
