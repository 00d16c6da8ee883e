// UpdateBatch: prefixes of one step of an update group, sorted by what is to be said of them. Each
// list is an advertisement, or an audience to withdraw from. Private to update_group.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bgp/advertisement.h"
#include "bgp/update_segment.h"

namespace weft::bgp {

/// About what a message adds to its attributes, and what a prefix takes.
inline constexpr std::size_t message_estimate = 30;
inline constexpr std::size_t prefix_estimate = 8;

/// A prefix by number; `path_id` is 0 where path identifiers are not in use.
struct NetPath {
  NetId net = 0;
  std::uint32_t path_id = 0;
};

class UpdateBatch {
 public:
  struct List {
    AdvertisementTable::Id advertisement = 0;  // 0: withdrawals
    Audience audience;
    std::uint32_t first = none;
    std::uint32_t last = none;
  };
  static constexpr std::uint32_t none = 0xffffffff;

  void announce(NetPath what, AdvertisementTable::Id id, AdvertisementTable& table,
                const AttributeStore& store) {
    std::uint32_t& list = table.note(id);
    if (list == 0) {
      lists_.push_back({id, {Audience::Kind::all_but, table[id].source}});
      list = static_cast<std::uint32_t>(lists_.size());
      octets_ += message_estimate + store.octets(table[id].attributes).size();
    }
    append(lists_[list - 1], what);
  }
  void withdraw(NetPath what, Audience audience) {
    auto list = std::find_if(withdrawals_.begin(), withdrawals_.end(),
                             [&](const List& each) { return each.audience == audience; });
    if (list == withdrawals_.end()) {
      list = withdrawals_.insert(withdrawals_.end(), List{0, audience});
    }
    append(*list, what);
  }
  void clear(AdvertisementTable& table) {
    for (const List& each : lists_) table.note(each.advertisement) = 0;
    lists_.clear();
    withdrawals_.clear();
    items_.clear();
    octets_ = 0;
  }

  [[nodiscard]] std::size_t octets() const { return octets_; }
  [[nodiscard]] const std::vector<List>& announcements() const { return lists_; }
  [[nodiscard]] const std::vector<List>& withdrawals() const { return withdrawals_; }
  template <typename Each>
  void for_each(const List& list, Each each) const {
    for (std::uint32_t at = list.first; at != none; at = items_[at].next) each(items_[at].what);
  }

 private:
  struct Item {
    NetPath what;
    std::uint32_t next;
  };
  void append(List& list, NetPath what) {
    const auto at = static_cast<std::uint32_t>(items_.size());
    items_.push_back({what, none});
    (list.first == none ? list.first : items_[list.last].next) = at;
    list.last = at;
    octets_ += prefix_estimate;
  }

  std::vector<List> lists_;
  std::vector<List> withdrawals_;
  std::vector<Item> items_;
  std::size_t octets_ = 0;
};

}  // namespace weft::bgp
