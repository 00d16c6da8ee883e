// Allocator: which attachment holds which ordinal of which of this host's blocks (facts as Calico
// and Coil settled them: one block owner, idempotent by attachment, FIFO with cool-down,
// sequence-guarded frees). Pure, and in two steps so that a crash at any point leaves a consistent
// state: a request is answered with the changes it needs, nothing has happened yet; once the store
// has committed them, apply() makes them so. The same apply() replays the store at start.
//
//   auto grant = allocator.allocate(request, now);         // const
//   store.commit(grant->changes);                          // on failure: forget the grant, answer
//   the error allocator.apply(grant->changes);
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ipam/block.h"
#include "ipam/claims.h"
#include "ipam/lease.h"
#include "ipam/settings.h"
#include "net/result.h"
#include "net/time.h"

namespace weft::ipam {

struct AllocateRequest {
  Attachment attachment;
  /// CNI_NETNS verbatim and the inode of the namespace.
  std::string netns;
  std::uint64_t netns_inode = 0;
  /// By name; empty: the first that is for the attachment's network, or the one `addresses` are of.
  std::string pool;
  /// These and no others: at most one of each family, and together one ordinal. One may be asked
  /// for while it cools: who names an address knows who had it.
  std::vector<Address> addresses = {};
  /// For each set, the container's address of the set's family lies in one of its ranges (CNI
  /// conventions, `ipRanges`).
  std::vector<std::vector<AddressRange>> ranges = {};
  /// For another main plugin.
  bool delegated = false;
  /// Which can do nothing with an address alone: only pools with `gateway` will do.
  bool needs_gateway = false;
  /// The container has `addresses` already, so it is no wonder that they are seen in use.
  bool in_use = false;
  /// The owner of the block agreed that it is given here (Refusal::ask_for).
  bool agreed = false;
};

/// A place in a block.
struct Place {
  BlockId block;
  std::uint32_t ordinal = 0;
  auto operator<=>(const Place&) const = default;
};

struct Refusal {
  enum class Reason : std::uint8_t {
    bad_request,   ///< the attachment breaks CNI's rules
    unknown_pool,  ///< no pool of that name, or none at all
    elsewhere,     ///< the address asked for is in no block of this host
    taken,         ///< the address asked for is held by another, reserved or quarantined
    exhausted,     ///< no free address in this host's blocks; may pass
    limit,      ///< the address is of another host's block, and Settings::max_exceptions are held
    collision,  ///< another attachment has the same host interface name (2^-44)
  };
  Reason reason = Reason::exhausted;
  std::string message;
  /// Whoever has the place may let us have it (SharedClaims::ask); the pool says that it is asked.
  std::optional<Place> ask_for = std::nullopt;
};

struct Grant {
  Lease lease;
  /// It held the address already: same attachment, same namespace, same boot. Then there are no
  /// changes.
  bool existing = false;
  /// The lease of an earlier life of the attachment, whose veth must go before the new one can
  /// come.
  std::optional<Lease> replaced;
  /// The address still rested, but there was no other (soft_cool_down).
  bool waived = false;
  Changes changes;
};

struct Release {
  /// What was held; nothing when the attachment is unknown or `sequence` is of another allocation.
  /// Both are success.
  std::optional<Lease> lease;
  Changes changes;
};

/// What the kernel shows of this host's containers.
struct Observation {
  /// Names of the links of this host's namespace that begin with "weft", and those of delegated
  /// leases whose namespace lives: they have no such link.
  std::unordered_set<std::string> host_ifnames;
};

/// A host veth as the kernel has it, for the rebuild.
struct KernelVeth {
  std::string ifname;
  std::string alias;
  /// Where the routes of protocol weft on this link lead.
  std::optional<Address> ipv4;
  std::optional<Address> ipv6;
};

struct Audit {
  /// Leases that end, with their changes in `changes`.
  std::vector<Lease> freed;
  /// Containers found in the kernel and unknown until now, with their changes in `changes`.
  std::vector<Lease> adopted;
  /// What an operator should look at, one sentence each.
  std::vector<std::string> complaints;
  Changes changes;
};

enum class BlockState : std::uint8_t {
  owned,      ///< ours: allocate, announce
  draining,   ///< no longer ours by the settings, or its pool drains, but containers are in it:
              ///< announce, do not allocate
  releasing,  ///< empty and about to be given back: not announced, covered until it is gone
  lost,       ///< another host owns it: its containers are announced one by one
  foreign,  ///< never ours: it is another host's, which agreed that a container here has an address
            ///< of it; announced one by one
};
std::string_view name(BlockState state);

struct BlockStatus {
  BlockId id;
  BlockState state = BlockState::owned;
  std::uint32_t capacity = 0;
  std::uint32_t held = 0;
  std::uint32_t cooling = 0;
  std::uint32_t reserved = 0;
  std::uint32_t quarantined = 0;
  std::uint32_t free = 0;
  /// Another host announces it too.
  bool contested = false;
  /// In the hands of containers of other hosts.
  std::uint32_t lent = 0;
};

struct LeaseStatus {
  Lease lease;
  /// False: the last audit saw no veth of it.
  bool attached = true;
};

class Allocator {
 public:
  /// `first_sequence` is above every number used before (the store knows).
  Allocator(std::string boot_id, std::uint64_t first_sequence);

  /// Takes settings over, at start (before the store's changes are applied) and at reload. Blocks
  /// that are gone from them drain. On an error nothing has changed.
  Result<void> configure(const Settings& settings);

  [[nodiscard]] Result<Grant, Refusal> allocate(const AllocateRequest& request, Time now) const;
  /// Why a container of the network that names no address could have none now, a sentence; empty:
  /// it could.
  [[nodiscard]] std::string why_not_given(const std::string& network, const std::string& pool,
                                          Time now) const;
  /// Without `sequence` whatever the attachment holds is freed (CNI DEL).
  [[nodiscard]] Release release(const Attachment& attachment, std::optional<std::uint64_t> sequence,
                                Time now) const;
  [[nodiscard]] const Lease* find(const Attachment& attachment) const;
  /// The one that holds the address.
  [[nodiscard]] const Lease* find(const Address& address) const;
  /// By the name of the host end.
  [[nodiscard]] const Lease* find_host_ifname(const std::string& host_ifname) const;

  /// Exactly these blocks are announced by another host as well, as BGP shows. Nothing is allocated
  /// from one that holds nothing yet: of two hosts with one index, the later must not begin.
  void contest(std::set<BlockId> blocks);
  [[nodiscard]] const std::set<BlockId>& contested() const { return contested_; }
  [[nodiscard]] const std::map<BlockId, ClaimState>& claims() const { return claims_; }

  /// An address that is free by our records, but somebody has it: it is not given before it is
  /// acquitted, and cools from then on. What is held is left alone. Not on disk: whoever looks
  /// before an address is given finds it again.
  void quarantine(const Place& place, std::string reason);
  void acquit(const Place& place, Time now);
  [[nodiscard]] bool is_held(const Place& place) const;
  [[nodiscard]] bool is_reserved(const Place& place) const;
  /// Why the place, of a block of ours, cannot be lent to another host, half a sentence; empty: it
  /// can, or is.
  [[nodiscard]] std::string why_not_lent(const Place& place) const;
  /// To which host.
  [[nodiscard]] const std::map<Place, std::string>& lent() const { return lent_; }
  /// Places of other hosts' blocks that containers here hold.
  [[nodiscard]] const std::set<Place>& borrowed() const { return borrowed_; }
  /// What an operator should look at, one sentence each: exceptions that are out although their
  /// pool does not lend any more.
  [[nodiscard]] std::vector<std::string> complaints() const;
  /// With the reasons.
  [[nodiscard]] const std::map<Place, std::string>& quarantined() const { return quarantined_; }
  /// Its pool's blocks are subnets with a gateway.
  [[nodiscard]] bool has_gateway(const BlockId& block) const;

  /// Committed changes happen. A Freed whose sequence is not the holder's does nothing.
  void apply(const Changes& changes);

  /// Compares what is held with the kernel. Frees a lease whose veth was missing in two audits at
  /// least `audit_interval` apart, and at once one of an earlier boot: its namespace is gone with
  /// that boot. A veth that lives is proof enough that its namespace does, and without one no
  /// packet reaches the address. Drops drained blocks.
  Audit audit(const Observation& seen, Time now);

  /// After the loss of the store: leases read back from the aliases of the host's veths. Safe to
  /// run at any start.
  [[nodiscard]] Audit rebuild(const std::vector<KernelVeth>& veths, Time now) const;

  /// By pool and index: all that are owned or claimed, and those that still drain.
  [[nodiscard]] std::vector<BlockStatus> blocks(Time now) const;
  /// By attachment.
  [[nodiscard]] std::vector<LeaseStatus> leases() const;
  [[nodiscard]] std::size_t lease_count() const { return leases_.size(); }
  [[nodiscard]] const Settings& settings() const { return settings_; }

 private:
  struct OwnedBlock {
    Block ordinals;
    BlockState state;
  };
  struct Holding {
    Lease lease;
    /// The first of the audits in a row that saw no veth.
    std::optional<Time> missing_since;
  };

  /// `replaced` is given up by the same grant, so its address may be had again.
  [[nodiscard]] Result<Place, Refusal> pick(const AllocateRequest& request, const Lease* replaced,
                                            Time now) const;
  [[nodiscard]] Result<Place, Refusal> pick(const Pool& pool, const AllocateRequest& request,
                                            Time now) const;
  /// Of the pool's blocks in turn, the first that gives one.
  [[nodiscard]] std::optional<Place> rested(const Pool& pool, const AllocateRequest& request,
                                            Time now) const;
  /// Of all of them the one that rested longest, though not long enough.
  [[nodiscard]] std::optional<Place> resting(const Pool& pool, const AllocateRequest& request,
                                             Time now) const;
  [[nodiscard]] std::optional<std::uint32_t> next(const BlockId& id, const OwnedBlock& block,
                                                  const AllocateRequest& request, Time now,
                                                  std::chrono::seconds cool_down) const;
  [[nodiscard]] Result<void, Refusal> check_ranges(const AllocateRequest& request) const;
  [[nodiscard]] Result<Place, Refusal> pick_addresses(const AllocateRequest& request,
                                                      const Lease* replaced) const;
  [[nodiscard]] Result<const Pool*, Refusal> pool_for(const AllocateRequest& request) const;
  [[nodiscard]] const Pool* pool_named(const std::string& name) const;
  [[nodiscard]] std::string pool_names() const;
  [[nodiscard]] std::string without_blocks(const std::string& pool) const;
  /// Half a sentence: of which host's block or no pool the address is.
  [[nodiscard]] std::string where_is(const Address& address) const;
  [[nodiscard]] std::optional<Place> place_of(const Address& address) const;
  /// In the block of another host, out of a pool whose owners may be asked.
  [[nodiscard]] std::optional<Place> place_elsewhere(const Address& address) const;
  [[nodiscard]] Result<Place, Refusal> pick_elsewhere(const AllocateRequest& request,
                                                      const Place& place) const;
  [[nodiscard]] bool is_drained(const BlockId& id, const OwnedBlock& block) const;
  [[nodiscard]] bool gives(const BlockId& id, const OwnedBlock& block) const;
  OwnedBlock& block_of(const BlockId& id);
  [[nodiscard]] BlockState state_of(const BlockId& id) const;
  void reserve(const BlockId& id, Block& block) const;
  [[nodiscard]] Refusal exhausted(const std::string& pool, Time now) const;
  [[nodiscard]] Refusal exhausted(const Pool& pool, const AllocateRequest& request) const;
  [[nodiscard]] const Holding* holding(const Attachment& attachment) const;
  [[nodiscard]] Freed freed(const Lease& lease, Time now) const;
  [[nodiscard]] bool is_taken(const BlockId& block, std::uint32_t ordinal) const;
  [[nodiscard]] Result<Lease> adopted(const KernelVeth& veth, const ParsedAlias& alias,
                                      Time now) const;
  [[nodiscard]] bool is_elsewhere(const BlockId& block) const;
  void apply_lent(const Lent& lent);
  void apply_held(const Lease& lease);
  void apply_freed(const Freed& change);

  Settings settings_;
  std::string boot_id_;
  std::uint64_t next_sequence_;
  std::vector<Pool> pools_;
  std::map<BlockId, OwnedBlock> blocks_;
  /// By the settings alone.
  std::set<BlockId> static_;
  std::map<BlockId, ClaimState> claims_;
  std::set<BlockId> contested_;
  std::map<Place, std::string> quarantined_;
  std::map<Place, std::string> lent_;
  std::set<Place> borrowed_;
  /// By the name of the host end, which follows from the attachment.
  std::unordered_map<std::string, Holding> leases_;
  /// Every address held in any block: a renumbered pool may overlap its former self.
  std::unordered_map<Address, std::string> holders_;
};

}  // namespace weft::ipam
