#include "bgp/attribute_store.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "bgp/attributes.h"

namespace weft::bgp {

namespace {

__extension__ using Wide = unsigned __int128;

/// Folds the product of two words into one: each bit of the result hangs on all bits of both.
std::uint64_t folded(std::uint64_t a, std::uint64_t b) {
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t hash(Bytes octets, std::uint64_t seed) {
  std::uint64_t state = folded(seed ^ 0x9e3779b97f4a7c15U, octets.size() + 0xd6e8feb86659fd93U);
  while (!octets.empty()) {
    const std::size_t size = std::min<std::size_t>(octets.size(), 16);
    std::uint64_t words[2] = {0, 0};
    std::memcpy(words, octets.data(), size);
    state = folded(words[0] ^ state, words[1] ^ 0xa0761d6478bd642fU ^ std::rotl(state, 32));
    octets = octets.subspan(size);
  }
  return folded(state, 0xe7037ed1a0b428dbU ^ seed);
}

/// Block sizes: every 8 octets up to 256, then four to an octave.
constexpr std::size_t fine_classes = 32;
std::size_t class_of(std::size_t length) {
  if (length <= 256) return length == 0 ? 0 : (length - 1) / 8;
  const auto octave =
      static_cast<std::size_t>(std::bit_width(length - 1)) - 1;  // 2^octave < length
  const std::size_t quarter = (length - 1) >> (octave - 2) & 3;
  return fine_classes + (octave - 8) * 4 + quarter;
}
std::size_t size_of(std::size_t index) {
  if (index < fine_classes) return (index + 1) * 8;
  const std::size_t octave = (index - fine_classes) / 4 + 8;
  const std::size_t quarter = (index - fine_classes) % 4;
  return (std::size_t{5} + quarter) << (octave - 2);
}

template <typename Each>
void each_attribute(Bytes canonical, Each each) {
  Reader in(canonical);
  while (!in.empty()) {
    const std::uint8_t flags = in.u8();
    const auto type = static_cast<AttributeType>(in.u8());
    const std::size_t length = (flags & flag::extended_length) != 0 ? in.u16() : in.u8();
    each(type, in.take(length));
  }
  assert(in.ok());
}

std::uint8_t saturated(std::size_t count) {
  return static_cast<std::uint8_t>(std::min<std::size_t>(count, 255));
}

void read_as_path(Bytes value, Asn local, AttributeFacts& facts) {
  Reader in(value);
  std::size_t own = 0;
  std::size_t length = 0;
  bool leading = true;
  while (!in.empty()) {
    const auto type = static_cast<AsPath::SegmentType>(in.u8());
    const std::size_t count = in.u8();
    const bool sequence = type == AsPath::SegmentType::sequence;
    if (sequence) length += count;
    if (type == AsPath::SegmentType::set) ++length;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t asn = in.u32();
      if (asn == local.value) ++own;
      if (leading && sequence && i == 0) facts.neighbour_as = asn;
    }
    if (sequence || type == AsPath::SegmentType::set) leading = false;
  }
  facts.own_as_count = saturated(own);
  facts.path_length = static_cast<std::uint16_t>(std::min<std::size_t>(length, 65535));
}

void read_communities(Bytes value, AttributeFacts& facts) {
  for (Reader in(value); !in.empty();) {
    const Community community{in.u32()};
    facts.no_export |= community == community::no_export;
    facts.no_advertise |= community == community::no_advertise;
    facts.no_export_subconfed |= community == community::no_export_subconfed;
    facts.no_peer |= community == community::no_peer;
    facts.graceful_shutdown |= community == community::graceful_shutdown;
    facts.blackhole |= community == community::blackhole;
    facts.llgr_stale |= community == community::llgr_stale;
    facts.no_llgr |= community == community::no_llgr;
  }
}

}  // namespace

AttributeStore::AttributeStore(Asn local, RouterId id, std::uint64_t seed,
                               std::optional<RouterId> cluster)
    : local_(local), id_(id), cluster_(cluster.value_or(id)), seed_(seed), buckets_(64) {
  for (std::size_t i = 0; i <= class_of(max_size); ++i) slabs_.emplace_back(size_of(i));
}

AttributeFacts AttributeStore::facts_of(Bytes canonical) const {
  AttributeFacts facts;
  each_attribute(canonical, [&](AttributeType type, Bytes value) {
    Reader in(value);
    switch (type) {
      case AttributeType::origin:
        facts.origin = in.u8();
        break;
      case AttributeType::as_path:
        read_as_path(value, local_, facts);
        break;
      case AttributeType::med:
        facts.med = in.u32();
        facts.has_med = true;
        break;
      case AttributeType::local_pref:
        facts.local_pref = in.u32();
        facts.has_local_pref = true;
        break;
      case AttributeType::communities:
        read_communities(value, facts);
        break;
      case AttributeType::extended_communities:
        while (!in.empty()) {
          const auto said = bandwidth_class(ExtendedCommunity{in.u64()});
          facts.bandwidth = least(facts.bandwidth, said) & 0x7ff;
        }
        break;
      case AttributeType::only_to_customer:
        facts.only_to_customer = in.u32();
        facts.has_only_to_customer = true;
        break;
      case AttributeType::originator_id:
        facts.originator = in.u32();
        facts.own_originator = facts.originator == id_.value;
        break;
      case AttributeType::cluster_list:
        facts.cluster_list_length = saturated(value.size() / 4);
        while (!in.empty()) facts.own_cluster |= in.u32() == cluster_.value;
        break;
      default:
        break;
    }
  });
  return facts;
}

Bytes AttributeStore::octets(AttributeId id) const {
  const Record& of = record(id);
  return {slabs_[class_of(of.length)].at(of.block), of.length};
}

Bytes AttributeStore::value(AttributeId id, std::uint8_t type) const {
  Bytes found;
  each_attribute(octets(id), [&](AttributeType each, Bytes value) {
    if (static_cast<std::uint8_t>(each) == type) found = value;
  });
  return found;
}

bool AttributeStore::holds(AttributeId id, Bytes canonical, AttributeId original) const {
  if (record(id).original != static_cast<std::uint32_t>(original)) return false;
  const Bytes held = octets(id);
  return held.size() == canonical.size() &&
         (held.empty() || std::memcmp(held.data(), canonical.data(), held.size()) == 0);
}

AttributeId AttributeStore::intern(Bytes canonical, AttributeId likely, AttributeId original) {
  assert(canonical.size() <= max_size);
  assert(original == AttributeId::none || record(original).original == 0);
  if (likely != AttributeId::none && holds(likely, canonical, original)) {
    hold(likely);
    return likely;
  }
  const std::uint64_t hashed = hash(canonical, seed_);
  const auto tag = static_cast<std::uint16_t>(hashed >> 48);
  for (std::uint32_t at = buckets_[hashed & (buckets_.size() - 1)]; at != 0;) {
    const AttributeId id{at};
    Record& known = record(id);
    if (known.tag == tag && holds(id, canonical, original)) {
      ++known.uses;
      return id;
    }
    at = known.next;
  }
  if (size_ == buckets_.size()) grow();
  const AttributeId id = allocate();
  Record& made = record(id);
  Slab& slab = slabs_[class_of(canonical.size())];
  std::uint32_t& bucket = buckets_[hashed & (buckets_.size() - 1)];
  made = Record{facts_of(canonical),
                1,
                slab.allocate(),
                bucket,
                static_cast<std::uint32_t>(original),
                static_cast<std::uint16_t>(canonical.size()),
                tag};
  if (!canonical.empty()) {
    std::memcpy(slab.at(made.block), canonical.data(), canonical.size());
  }
  bucket = static_cast<std::uint32_t>(id);
  if (original != AttributeId::none) hold(original);
  ++size_;
  return id;
}

AttributeId AttributeStore::allocate() {
  if (free_ != 0) {
    const AttributeId id{free_};
    free_ = record(id).next;
    return id;
  }
  if (next_ >> chunk_shift == records_.size()) {
    records_.emplace_back(new Record[1U << chunk_shift]);
  }
  return AttributeId{next_++};
}

void AttributeStore::forget(AttributeId id) {
  Record& gone = record(id);
  const std::uint64_t hashed = hash(octets(id), seed_);
  std::uint32_t* link = &buckets_[hashed & (buckets_.size() - 1)];
  while (*link != static_cast<std::uint32_t>(id)) link = &record(AttributeId{*link}).next;
  *link = gone.next;
  slabs_[class_of(gone.length)].release(gone.block);
  const auto original = AttributeId{std::exchange(gone.original, 0)};
  gone.next = free_;
  free_ = static_cast<std::uint32_t>(id);
  --size_;
  if (original != AttributeId::none) release(original);
}

void AttributeStore::grow() {
  std::vector<std::uint32_t> wider(buckets_.size() * 2);
  for (std::uint32_t at : buckets_) {
    while (at != 0) {
      Record& moved = record(AttributeId{at});
      const std::uint64_t hashed = hash(octets(AttributeId{at}), seed_);
      const std::uint32_t next = std::exchange(moved.next, wider[hashed & (wider.size() - 1)]);
      wider[hashed & (wider.size() - 1)] = at;
      at = next;
    }
  }
  buckets_ = std::move(wider);
}

std::size_t AttributeStore::memory() const {
  std::size_t octets = buckets_.capacity() * sizeof(std::uint32_t) +
                       records_.size() * (sizeof(Record) << chunk_shift);
  for (const Slab& slab : slabs_) octets += slab.memory();
  return octets;
}

}  // namespace weft::bgp
