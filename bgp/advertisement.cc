#include "bgp/advertisement.h"

#include <utility>

namespace weft::bgp {

namespace {

/// RFC 1997: who may hear of a path that carries the well-known communities. We are no
/// confederation, so its members are the AS.
bool communities_allow(const AttributeFacts& facts, bool external) {
  if (facts.no_advertise) return false;
  return !external || (!facts.no_export && !facts.no_export_subconfed);
}

}  // namespace

std::optional<Advertisement> advertised_as(const ExportRules& rules, const Rib& rib,
                                           const Prefix& prefix, const BestPath& best) {
  const bool originated = best.peer == PeerId::local;
  const bool internal = !originated && !rib.peer(best.peer).external;
  // RFC 4271 9.2: no iBGP to iBGP, unless one of the two is our client (RFC 4456 6).
  const bool reflected = internal && !rules.external;
  if (reflected && !rules.reflector_client && !rib.peer(best.peer).reflector_client) return {};
  if (!communities_allow(rib.attributes().facts(best.attributes), rules.external)) return {};
  if (!rules.policy.accepts(prefix, originated)) return {};
  Advertisement made{best.attributes, NextHopId::local, best.peer};
  // A reflector leaves the next hop alone (RFC 4456 10), so next-hop-self is for eBGP's paths only.
  if (!rules.external && !originated && (reflected || !rules.next_hop_self)) {
    const Address& named = rib.next_hop(best.next_hop).address;
    const bool encodable =
        named.family() == rules.family || (rules.family == Family::ipv4 && rules.extended_next_hop);
    // A link-local next hop means nothing beyond its link.
    const bool reachable = named.is_v4() || !named.is_link_local();
    if (encodable && reachable) made.next_hop = best.next_hop;
  }
  return made;
}

Attributes exported(const ExportRules& rules, const Rib& rib, const Advertisement& advertisement) {
  Attributes out = from_canonical(rib.attributes().octets(advertisement.attributes));
  if (!rules.external) {
    if (!out.local_pref) out.local_pref = AttributeFacts().local_pref;
    if (advertisement.source != PeerId::local && !rib.peer(advertisement.source).external) {
      if (!out.originator_id) out.originator_id = rib.peer(advertisement.source).router_id;
      out.cluster_list.insert(out.cluster_list.begin(), rules.cluster_id);
    }
    return out;
  }
  out.as_path.prepend(rules.local_as);
  out.local_pref.reset();
  // RFC 4271 5.1.4: a MED came for us, not for the AS after us; our own routes may have one.
  if (advertisement.source != PeerId::local) out.med.reset();
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
  state = (state ^ static_cast<std::uint64_t>(what.source) << 20) * 0x9e3779b97f4a7c15U;
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
