#include "ipam/pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace weft::ipam {

namespace {

constexpr std::size_t pool_name_limit = 32;

bool is_pool_name(std::string_view text) {
  return !text.empty() && text.size() <= pool_name_limit &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
         });
}

/// Block `index` of `range`; the host bits of a block are few, those of the pool may be 128.
Prefix carved(const Prefix& range, unsigned block_length, std::uint32_t index) {
  const unsigned host_bits = bits(range.family()) - block_length;
  return {range.address().plus(std::uint64_t{index} << host_bits), block_length};
}

/// The last eight octets, or all four.
std::uint64_t low(const Address& address) {
  const Bytes octets = address.octets();
  std::uint64_t value = 0;
  for (const std::byte octet : octets.last(std::min<std::size_t>(octets.size(), 8)))
    value = value << 8 | std::to_integer<std::uint64_t>(octet);
  return value;
}

/// Blocks in the range, at most 2^32-1: more than any network has hosts.
std::uint32_t blocks_in(const Prefix& range, unsigned block_length) {
  const unsigned index_bits = block_length - range.length();
  return index_bits >= 32 ? 0xffffffffU : std::uint32_t{1} << index_bits;
}

Result<void> check_range(const Prefix& range, Family family, unsigned block_length) {
  const unsigned shortest = bits(family) - 12;
  if (range.family() != family) {
    return Error{fmt::format("{} is not an {} prefix", range.text(), name(family))};
  }
  if (block_length < shortest || block_length > bits(family)) {
    return Error{fmt::format("the {} block length must be {} to {}, not {}", name(family), shortest,
                             bits(family), block_length)};
  }
  if (block_length < range.length()) {
    return Error{
        fmt::format("blocks of length /{} do not fit into {}; the block length must be {} to {}",
                    block_length, range.text(), std::max(shortest, range.length()), bits(family))};
  }
  if (range.address().is_multicast() || range.address().is_loopback() ||
      range.address().is_link_local()) {
    return Error{
        fmt::format("{} holds no addresses that containers could be reached at", range.text())};
  }
  return {};
}

}  // namespace

std::uint32_t BlockId::capacity() const {
  const Prefix& range = ipv4 ? *ipv4 : *ipv6;
  return std::uint32_t{1} << (bits(range.family()) - range.length());
}

std::optional<Address> BlockId::ipv4_at(std::uint32_t ordinal) const {
  assert(ordinal < capacity());
  return ipv4 ? std::optional(ipv4->address().plus(ordinal)) : std::nullopt;
}

std::optional<Address> BlockId::ipv6_at(std::uint32_t ordinal) const {
  assert(ordinal < capacity());
  return ipv6 ? std::optional(ipv6->address().plus(ordinal)) : std::nullopt;
}

std::uint32_t BlockId::ordinal_of(const Address& address) const {
  // A block has at most 2^12 addresses and starts at a multiple of their number.
  const Bytes octets = address.octets();
  const auto low = std::to_integer<std::uint32_t>(octets[octets.size() - 2]) << 8 |
                   std::to_integer<std::uint32_t>(octets[octets.size() - 1]);
  return low & (capacity() - 1);
}

std::string BlockId::text() const {
  if (ipv4 && ipv6) return ipv4->text() + " " + ipv6->text();
  return ipv4 ? ipv4->text() : ipv6->text();
}

Pool::Pool(PoolSettings settings, std::uint32_t block_count)
    : settings_(std::move(settings)), block_count_(block_count) {}

Result<Pool> Pool::create(const PoolSettings& settings) {
  if (!is_pool_name(settings.name)) {
    return Error{fmt::format("the pool name '{}' must be 1 to {} letters, digits, '-' and '_'",
                             settings.name, pool_name_limit)};
  }
  const std::string place = fmt::format("pool {}", settings.name);
  if (!settings.ipv4 && !settings.ipv6) {
    return Error{"a pool needs an ipv4 prefix, an ipv6 prefix or both"}.within(place);
  }
  std::uint32_t block_count = 0xffffffffU;
  if (settings.ipv4) {
    const auto good = check_range(*settings.ipv4, Family::ipv4, settings.ipv4_block_length);
    if (!good) return good.error().within(place);
    block_count = std::min(block_count, blocks_in(*settings.ipv4, settings.ipv4_block_length));
  }
  if (settings.ipv6) {
    const auto good = check_range(*settings.ipv6, Family::ipv6, settings.ipv6_block_length);
    if (!good) return good.error().within(place);
    block_count = std::min(block_count, blocks_in(*settings.ipv6, settings.ipv6_block_length));
  }
  const unsigned host_bits =
      settings.ipv4 ? 32U - settings.ipv4_block_length : 128U - settings.ipv6_block_length;
  if (settings.gateway && (1U << host_bits) < subnet_capacity) {
    return Error{fmt::format("a block with a gateway needs {} addresses or more", subnet_capacity)}
        .within(place);
  }
  const unsigned paired_length = settings.ipv4_block_length + 96U;
  if (settings.ipv4 && settings.ipv6 && settings.ipv6_block_length != paired_length) {
    return Error{
        fmt::format("IPv4 blocks of /{} pair with IPv6 blocks of /{}, not /{}: both must hold "
                    "as many addresses",
                    settings.ipv4_block_length, paired_length, settings.ipv6_block_length)}
        .within(place);
  }
  return Pool(settings, block_count);
}

BlockId Pool::block(std::uint32_t index) const {
  assert(index < block_count_);
  BlockId id{settings_.name, index, std::nullopt, std::nullopt};
  if (settings_.ipv4) id.ipv4 = carved(*settings_.ipv4, settings_.ipv4_block_length, index);
  if (settings_.ipv6) id.ipv6 = carved(*settings_.ipv6, settings_.ipv6_block_length, index);
  return id;
}

std::optional<BlockId> Pool::block_of(const Address& address) const {
  const auto& range = address.is_v4() ? settings_.ipv4 : settings_.ipv6;
  if (!range || !range->contains(address)) return std::nullopt;
  const unsigned length =
      address.is_v4() ? settings_.ipv4_block_length : settings_.ipv6_block_length;
  const std::uint64_t index =
      (low(address) - low(range->address())) >> (bits(range->family()) - length);
  if (index >= block_count_) return std::nullopt;
  BlockId found = block(static_cast<std::uint32_t>(index));
  const auto& prefix = address.is_v4() ? found.ipv4 : found.ipv6;
  return prefix->contains(address) ? std::optional(std::move(found)) : std::nullopt;
}

bool Pool::overlaps(const Pool& other) const {
  const auto overlap = [](const std::optional<Prefix>& a, const std::optional<Prefix>& b) {
    return a && b && a->overlaps(*b);
  };
  return overlap(settings_.ipv4, other.settings_.ipv4) ||
         overlap(settings_.ipv6, other.settings_.ipv6);
}

bool Pool::is_reserved(const BlockId& block, std::uint32_t ordinal) const {
  if (settings_.gateway && (ordinal <= gateway_ordinal || ordinal + 1 == block.capacity())) {
    return true;
  }
  const auto ipv4 = block.ipv4_at(ordinal);
  const auto ipv6 = block.ipv6_at(ordinal);
  return std::any_of(settings_.reserved.begin(), settings_.reserved.end(),
                     [&](const AddressRange& range) {
                       return (ipv4 && range.contains(*ipv4)) || (ipv6 && range.contains(*ipv6));
                     });
}

bool is_for(const PoolSettings& pool, const Labels& node) {
  return std::all_of(pool.nodes.begin(), pool.nodes.end(), [&](const auto& wanted) {
    const auto found = node.find(wanted.first);
    return found != node.end() && found->second == wanted.second;
  });
}

}  // namespace weft::ipam
