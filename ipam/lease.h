// Lease and Change: what a container holds, and what must be on disk before anyone is told. Plain
// data that the allocator makes, the store keeps and the daemon passes on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ipam/pool.h"
#include "net/attachment.h"
#include "net/ip.h"
#include "net/time.h"

namespace weft::ipam {

/// One ordinal of a block in the hands of one attachment.
struct Lease {
  /// Abbreviated when it was read back from a link alias.
  Attachment attachment;
  /// Host end of the veth, derived from the whole attachment.
  std::string host_ifname;
  BlockId block;
  std::uint32_t ordinal = 0;
  /// CNI_NETNS verbatim, and the inode of that namespace: the path may be used again, the two
  /// together are not. Inode 0 is one we do not know.
  std::string netns;
  std::uint64_t netns_inode = 0;
  /// The boot in which it was given: namespaces do not outlive it.
  std::string boot_id;
  Time allocated_at;
  /// From one counter of the host that only rises: whoever frees later than now names the
  /// allocation it means.
  std::uint64_t sequence = 0;
  /// Given through weft-ipam: another plugin makes the link, so only the namespace tells whether
  /// the container lives.
  bool delegated = false;
  /// Out of another host's block: that host agreed, and the address is announced by itself.
  bool borrowed = false;

  bool operator==(const Lease&) const = default;

  [[nodiscard]] std::optional<Address> ipv4() const { return block.ipv4_at(ordinal); }
  [[nodiscard]] std::optional<Address> ipv6() const { return block.ipv6_at(ordinal); }
};

/// The lease is held from now on.
struct Held {
  Lease lease;
  bool operator==(const Held&) const = default;
};

/// The ordinal is free from now on, and cools.
struct Freed {
  BlockId block;
  std::uint32_t ordinal = 0;
  Time freed_at;
  /// The boot whose clock freed_at is read on.
  std::string boot_id;
  /// Of the allocation that ended.
  std::uint64_t sequence = 0;
  bool operator==(const Freed&) const = default;
};

/// The block is ours no longer and nothing in it is held: its rows may go.
struct Dropped {
  BlockId block;
  bool operator==(const Dropped&) const = default;
};

/// How far this host's claim on a block of a shared pool has come.
enum class ClaimState : std::uint8_t {
  claiming,   ///< the store is about to be asked: not ours yet
  owned,      ///< ours by the store
  releasing,  ///< nothing is in it: withdrawn, then given back
  lost,       ///< the store or BGP shows it at another host
};
std::string_view name(ClaimState state);

struct Claimed {
  BlockId block;
  ClaimState state = ClaimState::claiming;
  bool operator==(const Claimed&) const = default;
};
/// Ours no longer, or not after all.
struct Unclaimed {
  BlockId block;
  bool operator==(const Unclaimed&) const = default;
};

/// A container of another host has the ordinal of a block of ours: it is not given to anybody.
struct Lent {
  BlockId block;
  std::uint32_t ordinal = 0;
  std::string host;
  bool operator==(const Lent&) const = default;
};
/// It came back, and cools.
struct Returned {
  BlockId block;
  std::uint32_t ordinal = 0;
  Time freed_at;
  std::string boot_id;
  bool operator==(const Returned&) const = default;
};

using Change = std::variant<Held, Freed, Dropped, Claimed, Unclaimed, Lent, Returned>;
/// In order, and all or none.
using Changes = std::vector<Change>;

/// Link alias of a host veth, from which its lease can be rebuilt when the store is lost:
/// "weft:<pool>:<block>:<ordinal>:<network>:<container>:<ifname>", at most 255 octets. Network and
/// container are abbreviated when they do not fit; a '+' behind the ordinal says that it is
/// borrowed.
std::string link_alias(const Lease& lease);

struct ParsedAlias {
  std::string pool;
  std::uint32_t block = 0;
  std::uint32_t ordinal = 0;
  /// As written: may be abbreviated.
  Attachment attachment;
  bool borrowed = false;
  bool operator==(const ParsedAlias&) const = default;
};
/// Nothing when the text is not one of ours.
std::optional<ParsedAlias> parse_link_alias(std::string_view alias);
/// What the link of the alias is called; nothing when the names in it are abbreviated.
std::optional<std::string> link_name(const ParsedAlias& alias);

/// Names too long for the alias become '~' and 32 hex digits of their hash; '~' starts no valid
/// name. All others stay.
Attachment abbreviated(const Attachment& attachment);

}  // namespace weft::ipam
