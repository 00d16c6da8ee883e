// Attachment: what a container's interface is known by (CNI spec 1.1.0, "identity": network,
// container id, interface name), and the names that follow from it alone. Everyone derives the same
// ones, so a veth is found again without its owner's records. Not here: addresses, which are given,
// not derived.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/result.h"

namespace weft {

/// The only key by which an address is freed.
struct Attachment {
  std::string network;
  std::string container;
  std::string ifname;
  auto operator<=>(const Attachment&) const = default;
};

/// Longest network name and container id that are taken, octets.
inline constexpr std::size_t attachment_name_limit = 255;
/// Longest interface name, octets (IFNAMSIZ without its NUL).
inline constexpr std::size_t ifname_limit = 15;

/// CNI's rule for network names and container ids: a letter or digit, then letters, digits, '_',
/// '.', '-'.
bool is_attachment_name(std::string_view text);
/// The kernel's rule for interface names, and CNI's: 1..15 octets, not "." or "..", no '/', ':' or
/// white space.
bool is_ifname(std::string_view text);
/// The error names the first member that breaks its rule.
Result<void> check(const Attachment& attachment);

/// Host end of the veth: "weft" and 11 hex digits of a hash of the attachment.
std::string host_ifname(const Attachment& attachment);

using Mac = std::array<std::byte, 6>;
/// The host end's address, the same on every veth of every host: a container's neighbour entry for
/// its gateway stays true whatever happens to the veth. Locally administered.
inline constexpr Mac host_mac{std::byte{0x02}, std::byte{0x77}, std::byte{0x65},
                              std::byte{0x66}, std::byte{0x74}, std::byte{0x01}};
/// The container end's address: locally administered, unicast, 40 bits of hash; never host_mac.
Mac container_mac(const Attachment& attachment);
/// "02:77:65:66:74:01"
std::string text(const Mac& mac);
/// Six pairs of hex digits between colons, of either case; an address that one interface can have:
/// unicast, not zero.
Result<Mac> parse_mac(std::string_view text);

/// 64 bits that are the same on every host and in every release: FNV-1a over the text, then mixed.
std::uint64_t stable_hash(std::string_view text, std::uint64_t seed = 0);

}  // namespace weft
