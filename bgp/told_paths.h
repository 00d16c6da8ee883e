// ToldPaths: which paths of each prefix an update group with add-path was told, by path identifier.
// Prefixes told the same share one interned list, so that a prefix costs four octets as in a group
// without add-path. An entry may outlive its path as a ghost: nobody is told it any more, but a
// member that lags may hold it still. Private to update_group. RFC 7911.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "bgp/advertisement.h"
#include "bgp/journal.h"

namespace weft::bgp {

class ToldPaths {
 public:
  struct Entry {
    std::uint32_t path_id = 0;
    /// 0: a ghost.
    AdvertisementTable::Id advertisement = 0;
    bool operator==(const Entry&) const = default;
  };

  /// Holds the advertisements of its entries in `advertisements`, which must outlive it.
  explicit ToldPaths(AdvertisementTable& advertisements)
      : advertisements_(advertisements), lists_(1), buckets_(64) {}
  ToldPaths(const ToldPaths&) = delete;
  ToldPaths& operator=(const ToldPaths&) = delete;

  /// By rising path id; valid until set().
  [[nodiscard]] std::span<const Entry> of(NetId net) const { return lists_[list(net)].entries; }
  /// Some member may hold something else of the prefix than the entries say.
  [[nodiscard]] bool unsure(NetId net) const {
    return net < told_.size() && (told_[net] & maybe) != 0;
  }
  /// `entries` by rising path id; not those of of().
  void set(NetId net, std::span<const Entry> entries, bool unsure);
  /// One above the highest prefix that was ever told.
  [[nodiscard]] std::size_t places() const { return told_.size(); }

  [[nodiscard]] std::size_t memory() const;

 private:
  using ListId = std::uint32_t;
  struct List {
    std::vector<Entry> entries;
    std::uint32_t uses = 0;
    ListId next = 0;  // of the same bucket, or of the free list
  };
  static constexpr std::uint32_t maybe = 1U << 31;

  [[nodiscard]] ListId list(NetId net) const {
    return net < told_.size() ? told_[net] & ~maybe : 0;
  }
  [[nodiscard]] ListId& bucket_of(std::span<const Entry> entries);
  [[nodiscard]] ListId intern(std::span<const Entry> entries);
  void release(ListId id);
  void grow();

  AdvertisementTable& advertisements_;
  std::vector<List> lists_;  // 0 is the empty one
  std::vector<ListId> buckets_;
  std::size_t size_ = 0;
  ListId free_ = 0;
  std::vector<std::uint32_t> told_;  // by NetId: its list, and a bit
};

}  // namespace weft::bgp
