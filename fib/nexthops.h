// NextHopObjects: the nexthop objects and groups weft owns in the kernel. Every set of next hops is
// one group (also a set of one), shared by all routes that use it; ids come from a range of our own
// and foreign ids are never adopted. The kernel deletes objects without a word when their interface
// goes down or loses carrier: lose() says so here. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fib/batch.h"
#include "fib/route.h"
#include "net/next_hop.h"
#include "net/time.h"

namespace weft::fib {

/// Ids of single nexthops are [first_nexthop_id, first_group_id), of groups [first_group_id,
/// last_id].
inline constexpr std::uint32_t first_nexthop_id = 0x57000000;
inline constexpr std::uint32_t first_group_id = 0x57800000;
inline constexpr std::uint32_t last_id = 0x57ffffff;

/// A handle on one set of next hops; 0 is none.
struct GroupRef {
  std::uint32_t value = 0;
  explicit operator bool() const { return value != 0; }
  auto operator<=>(const GroupRef&) const = default;
};

/// First wait after a refusal; it doubles up to retry_max.
inline constexpr std::chrono::seconds retry_first{1};
inline constexpr std::chrono::seconds retry_max{60};
/// The wait after the `failures`th refusal in a row.
std::chrono::seconds retry_after(unsigned failures);

class NextHopObjects {
 public:
  struct Single {
    Address gateway;
    std::uint32_t ifindex = 0;
    std::uint32_t id = 0;
    /// Groups that contain it; 0 and not installed: the slot is free.
    std::uint32_t groups = 0;
    /// The kernel has it.
    bool installed = false;
    /// The id has been ours: a put may replace.
    bool known = false;
    bool in_flight = false;
    /// Lost while in flight: the answer is out of date.
    bool lost = false;
    /// The other side is known to be dead (BFD, session): kept, but not in groups as long as there
    /// is another member.
    bool unreachable = false;
    std::uint8_t failures = 0;
    Time retry_at{};
  };

  struct MemberRef {
    std::uint32_t single = 0;
    std::uint16_t weight = 1;
    bool operator==(const MemberRef&) const = default;
  };

  struct Group {
    /// Sorted as NextHops are.
    std::vector<MemberRef> members;
    /// What the kernel's group consists of; empty unless installed.
    std::vector<MemberRef> installed_members;
    std::uint32_t id = 0;
    /// group() calls not yet released, plus routes that want it.
    std::uint32_t holders = 0;
    std::uint32_t wanted_by = 0;
    /// Routes the kernel has through it, and those of them nobody wants any more.
    std::uint32_t routes = 0;
    std::uint32_t doomed = 0;
    /// Route changes towards it that are in flight.
    std::uint32_t routes_in_flight = 0;
    /// Routes that wait for it to be installed.
    std::uint32_t parked = 0;
    /// Grows each time the kernel lost the group, and all its routes with it.
    std::uint32_t epoch = 0;
    bool installed = false;
    bool known = false;
    bool in_flight = false;
    /// Its members in the kernel are in doubt: put it again.
    bool refresh = false;
    /// A removal is in flight (takes the routes along).
    bool removing = false;
    bool live = false;
    bool queued = false;
    std::uint8_t failures = 0;
    Time retry_at{};
    std::string fault;

    [[nodiscard]] bool used() const { return holders + wanted_by > 0; }
  };

  /// The group of exactly these next hops (sorted, not empty), one more holder.
  GroupRef hold(const NextHops& next_hops);
  void release(GroupRef ref);

  [[nodiscard]] Group& at(GroupRef ref) { return groups_[ref.value - 1]; }
  [[nodiscard]] const Group& at(GroupRef ref) const { return groups_[ref.value - 1]; }
  [[nodiscard]] NextHops next_hops(GroupRef ref) const;
  /// The group's members that could be in the kernel now: on usable links, and reachable if any is.
  [[nodiscard]] std::vector<MemberRef> eligible(const Group& group) const;
  /// True when a route through it can be installed now or in the batch being taken.
  [[nodiscard]] bool carries(GroupRef ref) const;

  // The kernel's side. Groups that vanished come back in `lost`; their routes vanished with them.
  void link(std::uint32_t ifindex, bool usable, std::vector<GroupRef>& lost);
  void reachable(const Address& gateway, std::uint32_t ifindex, bool yes);
  /// Put the objects of this interface again: something about it changed.
  void refresh(std::uint32_t ifindex);
  void deleted(std::uint32_t id, std::vector<GroupRef>& lost);
  /// Somebody else wrote one of our objects, or an object in our range.
  void changed(const NextHopObject& object, std::vector<GroupRef>& lost);
  /// An own object found in a dump that we know nothing of: ours from now on. 0 when it is not of
  /// our making.
  GroupRef adopt(const NextHopObject& object);
  /// The kernel group of this id, if it is ours.
  [[nodiscard]] GroupRef find(std::uint32_t id) const;

  /// Appends the puts, at most `room` of them; true when there is more.
  bool take_puts(Batch& batch, std::size_t room, Time now);
  /// Appends removals of what nobody uses.
  bool take_removals(Batch& batch, std::size_t room, Time now);
  /// Answers to the above. `installed` gets groups routes may wait for.
  void put_done(const NextHopChange& change, bool group, int code, const std::string& message,
                Time now, std::vector<GroupRef>& lost, std::vector<GroupRef>& installed);
  void removal_done(const NextHopChange& change, bool group, int code, Time now,
                    std::vector<GroupRef>& lost);

  // A dump: begin, seen() for each object, end. What was not seen is gone.
  void dump_begin();
  void seen(const NextHopObject& object, std::vector<GroupRef>& lost);
  std::size_t dump_end(std::vector<GroupRef>& lost);

  [[nodiscard]] std::optional<Time> deadline() const;
};

}  // namespace weft::fib
