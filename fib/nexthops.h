// NextHopObjects: the nexthop objects and groups weft owns in the kernel. Every set of next hops is
// one group (also a set of one), shared by all routes that use it; ids come from a range of our own
// and foreign ids are never adopted. The kernel deletes objects without a word when their interface
// goes down or loses carrier: lose() says so here. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "fib/batch.h"
#include "fib/check.h"
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
    /// Groups (by index) that contain it.
    std::vector<std::uint32_t> users;
    bool live = false;
    /// As the kernel was told, or told.
    bool onlink = false;
    /// The kernel has it.
    bool installed = false;
    /// The kernel acknowledged this id as ours once: a put may replace.
    bool known = false;
    bool in_flight = false;
    bool removing = false;
    /// Lost while in flight: the answer will be out of date.
    bool lost = false;
    /// Put it again though it seems installed.
    bool refresh = false;
    /// The other side is known to be dead (BFD, session): kept, but not in groups that have another
    /// member.
    bool unreachable = false;
    /// Deleted by us for that.
    bool pruned = false;
    bool queued = false;
    bool spent = false;
    bool adopted = false;
    bool seen = false;
    /// Written since a dump was asked for, which may be older.
    bool moved = false;
    std::uint8_t failures = 0;
    Time retry_at{};
    std::string fault;
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
    /// hold() calls not yet released.
    std::uint32_t holders = 0;
    /// Routes that want it.
    std::uint32_t wanted_by = 0;
    /// Routes the kernel has through it, and those of them that nobody wants any more.
    std::uint32_t routes = 0;
    std::uint32_t doomed = 0;
    /// Routes the kernel has through it that are to lead elsewhere or nowhere: until they have
    /// gone, no member comes back that went.
    std::uint32_t leaving = 0;
    /// Route changes towards it that are in flight.
    std::uint32_t routes_in_flight = 0;
    /// Routes that wait for it to be installed.
    std::uint32_t parked = 0;
    /// Grows each time the kernel lost the group, and all its routes with it.
    std::uint32_t epoch = 0;
    bool live = false;
    bool installed = false;
    bool known = false;
    bool in_flight = false;
    bool removing = false;
    bool refresh = false;
    bool queued = false;
    bool spent = false;
    bool adopted = false;
    bool seen = false;
    bool moved = false;
    /// All of its routes are about to be unwanted: it goes with them, and is not put again.
    bool forsaken = false;
    /// Has less than it should because routes are still leaving it.
    bool held_back = false;
    std::uint8_t failures = 0;
    Time retry_at{};
    std::string fault;

    [[nodiscard]] bool used() const { return holders + wanted_by > 0; }
  };

  /// Groups whose state in the kernel changed under the routes.
  struct Effects {
    /// Vanished, with all their routes.
    std::vector<GroupRef> lost;
    /// Removed by ourselves, with all their routes.
    std::vector<GroupRef> removed;
    /// There now: routes may follow.
    std::vector<GroupRef> installed;
    /// The kernel knows objects that we do not: a dump will tell whose they are.
    bool doubtful = false;
  };

  /// How groups are made resilient; none: they are plain.
  void resilient(const std::optional<Resilience>& how) { resilience_ = how; }
  /// The group of exactly these next hops (sorted, not empty), one more holder.
  GroupRef hold(const NextHops& next_hops);
  void release(GroupRef ref);

  [[nodiscard]] Group& at(GroupRef ref) { return groups_[ref.value - 1]; }
  [[nodiscard]] const Group& at(GroupRef ref) const { return groups_[ref.value - 1]; }
  [[nodiscard]] NextHops next_hops(GroupRef ref) const;
  /// The kernel's group of this id, if it is ours.
  [[nodiscard]] GroupRef find(std::uint32_t id) const;
  /// True when a route through it can be installed now, or after what is in flight.
  [[nodiscard]] bool carries(GroupRef ref) const;
  /// Why it does not carry, for an operator.
  [[nodiscard]] std::string obstacle(GroupRef ref) const;
  /// A route through it was refused: put it again, which tells whether it is there.
  void doubt(GroupRef ref);
  /// Nobody may use it any more: see whether it can go.
  void consider_removal(GroupRef ref);

  // What happens to them.
  void link(std::uint32_t ifindex, bool usable, Effects& effects);
  void reachable(const Address& gateway, std::uint32_t ifindex, bool yes);
  /// The groups of this one gateway, which is not reachable, are removed with their routes; until
  /// it is reachable again.
  void forsake(const Address& gateway, std::uint32_t ifindex);
  /// No route leaves the group any more.
  void settled(GroupRef ref);
  /// Packets take the same ways through both, as things are in the kernel now.
  [[nodiscard]] bool same_ways(GroupRef a, GroupRef b) const;
  /// Something about the interface changed: its objects are put again.
  void refresh(std::uint32_t ifindex);
  /// An address of an interface came or went, which may also change what is onlink there.
  void address(const ConnectedSubnet& subnet, bool present);
  /// Somebody else deleted, or wrote, an object. True: it was one of ours.
  bool deleted(std::uint32_t id, Effects& effects);
  bool changed(const NextHopObject& object, Effects& effects);

  /// False: net.ipv4.nexthop_compat_mode is 1, and writing a group costs the kernel a notification
  /// for each of its routes, where deleting a member costs none.
  void fast_groups(bool yes) { fast_groups_ = yes; }
  /// Appends what cannot wait behind routes: groups in use that lose a member to another, or get
  /// one back.
  void take_express(Batch& batch, std::size_t room, Time now);
  /// Appends puts, at most `room` of them.
  void take_puts(Batch& batch, std::size_t room, Time now);
  /// Appends removals of what nobody uses; adopted objects only when `swept`.
  void take_removals(Batch& batch, std::size_t room, bool swept);
  /// Appends removals of forsaken groups.
  void take_forsaken(Batch& batch);
  /// A removal that takes the group's routes along: cheaper than removing these one by one.
  void remove_with_routes(Batch& batch, GroupRef ref);
  /// Answers; code 0 is success, another one errno.
  void put_done(const NextHopChange& change, int code, const std::string& message, Time now,
                Effects& effects);
  void removal_done(const NextHopChange& change, int code, const std::string& message, Time now,
                    Effects& effects);
  [[nodiscard]] bool has_work() const;

  /// A dump was asked for: what is written from now on may not be in it.
  void dump_asked();
  // A dump: begin, seen() for each object there is, end. Own objects we do not know of are adopted.
  void dump_begin();
  void seen(const NextHopObject& object, Effects& effects);
  /// What was not seen is gone; how many.
  std::size_t dump_end(Effects& effects);

  /// Where these, all that the kernel has, are not what we think is there.
  [[nodiscard]] std::vector<Difference> compare(
      const std::unordered_map<std::uint32_t, NextHopObject>& kernel) const;
  /// Grows with each answer and each word about an object of ours.
  [[nodiscard]] std::uint64_t moves() const { return moves_; }

  [[nodiscard]] std::optional<Time> deadline() const;
  void tick(Time now);

  [[nodiscard]] std::size_t installed_nexthops() const;
  /// All groups ever made, live or not, for counting.
  [[nodiscard]] const std::vector<Group>& groups() const { return groups_; }

 private:
  struct NextHopsHash {
    std::size_t operator()(const NextHops& next_hops) const;
  };

  std::uint32_t single_of(const Address& gateway, std::uint32_t ifindex);
  std::uint32_t new_single();
  std::uint32_t new_group(std::vector<MemberRef> members);
  std::uint32_t free_id(bool group);
  [[nodiscard]] bool usable(std::uint32_t ifindex) const;
  [[nodiscard]] bool eligible(const Single& single) const;
  /// What the group should consist of now, as far as the kernel can have it.
  [[nodiscard]] std::vector<MemberRef> eligible(const Group& group) const;
  /// The same, less what has to wait until routes have left; says in held_back whether it was less.
  [[nodiscard]] std::vector<MemberRef> target(Group& group) const;
  [[nodiscard]] bool can_lose(const Single& single) const;
  [[nodiscard]] std::vector<Member> encoded(const std::vector<MemberRef>& members) const;
  [[nodiscard]] NextHopObject group_object(std::uint32_t id,
                                           const std::vector<MemberRef>& members) const;
  [[nodiscard]] bool of_our_type(const NextHopObject& group) const;
  void queue_single(std::uint32_t index);
  void queue_group(std::uint32_t index);
  void queue_users(std::uint32_t single);
  void lose_single(std::uint32_t index, Effects& effects);
  void lose_group(std::uint32_t index, Effects& effects);
  void take_group_puts(Batch& batch, std::size_t room, Time now);
  void single_put_done(const NextHopChange& change, int code, const std::string& message, Time now,
                       Effects& effects);
  void group_put_done(const NextHopChange& change, int code, const std::string& message, Time now,
                      Effects& effects);
  bool there_after_all(std::uint32_t index, const NextHopObject& object);
  bool group_there_after_all(std::uint32_t index, const NextHopObject& object);
  void adopt_members(Group& group);
  void adopt_single(const NextHopObject& object);
  void adopt_group(const NextHopObject& object);
  void renumber_single(std::uint32_t index);
  void renumber_group(std::uint32_t index);
  void free_group(std::uint32_t index);
  void free_single(std::uint32_t index);

  std::vector<Single> singles_;
  std::vector<Group> groups_;
  std::vector<std::uint32_t> free_singles_;
  std::vector<std::uint32_t> free_groups_;
  std::map<std::pair<Address, std::uint32_t>, std::uint32_t> single_index_;
  std::unordered_map<NextHops, std::uint32_t, NextHopsHash> group_index_;
  /// Kernel id -> index, singles and groups alike (their ranges are apart).
  std::unordered_map<std::uint32_t, std::uint32_t> ids_;
  std::unordered_set<std::uint32_t> foreign_ids_;
  std::uint32_t next_single_id_ = first_nexthop_id;
  std::uint32_t next_group_id_ = first_group_id;
  /// Interfaces that cannot carry nexthop objects; unknown ones are tried.
  std::unordered_set<std::uint32_t> dead_links_;
  std::vector<ConnectedSubnet> subnets_;

  std::vector<std::uint32_t> single_queue_;
  std::vector<std::uint32_t> group_queue_;
  std::vector<std::uint32_t> spent_singles_;
  std::vector<std::uint32_t> spent_groups_;
  /// When to try again: singles with their index, groups with index + 2^31.
  std::multimap<Time, std::uint32_t> retries_;
  /// Dead ones, to be deleted because their groups cannot be written cheaply.
  std::vector<std::uint32_t> prunes_;
  std::vector<std::uint32_t> forsaken_groups_;
  bool fast_groups_ = true;
  std::optional<Resilience> resilience_;
  std::uint64_t moves_ = 0;
};

}  // namespace weft::fib
