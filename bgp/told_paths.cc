#include "bgp/told_paths.h"

#include <algorithm>
#include <utility>

namespace weft::bgp {

void ToldPaths::set(NetId net, std::span<const Entry> entries, bool unsure) {
  if (net >= told_.size()) {
    if (entries.empty() && !unsure) return;
    told_.resize(std::size_t{net} + 1);
  }
  const ListId old = list(net);
  const ListId made = intern(entries);
  told_[net] = made | (unsure ? maybe : 0);
  release(old);
}

ToldPaths::ListId& ToldPaths::bucket_of(std::span<const Entry> entries) {
  std::uint64_t state = 0x9e3779b97f4a7c15U;
  for (const Entry& each : entries) {
    state ^= std::uint64_t{each.path_id} << 32 | each.advertisement;
    state *= 0xd6e8feb86659fd93U;
    state ^= state >> 32;
  }
  return buckets_[state & (buckets_.size() - 1)];
}

ToldPaths::ListId ToldPaths::intern(std::span<const Entry> entries) {
  if (entries.empty()) return 0;
  for (ListId id = bucket_of(entries); id != 0; id = lists_[id].next) {
    if (!std::equal(entries.begin(), entries.end(), lists_[id].entries.begin(),
                    lists_[id].entries.end()))
      continue;
    ++lists_[id].uses;
    return id;
  }
  if (size_ == buckets_.size()) grow();
  ListId id = free_;
  if (id != 0) {
    free_ = lists_[id].next;
  } else {
    id = static_cast<ListId>(lists_.size());
    lists_.emplace_back();
  }
  List& made = lists_[id];
  made.entries.assign(entries.begin(), entries.end());
  made.uses = 1;
  made.next = std::exchange(bucket_of(entries), id);
  for (const Entry& each : entries) {
    if (each.advertisement != 0) advertisements_.hold(each.advertisement);
  }
  ++size_;
  return id;
}

void ToldPaths::release(ListId id) {
  if (id == 0 || --lists_[id].uses != 0) return;
  List& gone = lists_[id];
  ListId* link = &bucket_of(gone.entries);
  while (*link != id) link = &lists_[*link].next;
  *link = gone.next;
  for (const Entry& each : gone.entries) {
    if (each.advertisement != 0) advertisements_.release(each.advertisement);
  }
  gone.entries.clear();
  gone.entries.shrink_to_fit();
  gone.next = std::exchange(free_, id);
  --size_;
}

void ToldPaths::grow() {
  buckets_.assign(buckets_.size() * 2, 0);
  for (ListId id = 1; id < lists_.size(); ++id) {
    if (lists_[id].uses != 0) lists_[id].next = std::exchange(bucket_of(lists_[id].entries), id);
  }
}

std::size_t ToldPaths::memory() const {
  std::size_t octets = told_.capacity() * sizeof(std::uint32_t) + lists_.capacity() * sizeof(List) +
                       buckets_.capacity() * sizeof(ListId);
  for (const List& each : lists_) octets += each.entries.capacity() * sizeof(Entry);
  return octets;
}

}  // namespace weft::bgp
