#include "ipam/allocator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace weft::ipam {

namespace {

/// `recorded` may come from a link alias, which abbreviates.
bool is_same(const Attachment& recorded, const Attachment& asked) {
  return recorded == asked || recorded == abbreviated(asked);
}

Refusal contested_refusal(const BlockId& block) {
  return {Refusal::Reason::exhausted,
          fmt::format("block {} of pool {} is announced by another host too: do two hosts have one "
                      "index?",
                      block.text(), block.pool)};
}

std::string described(const Attachment& attachment) {
  return fmt::format("{} of container {} in network {}", attachment.ifname, attachment.container,
                     attachment.network);
}

using RangeSet = std::vector<AddressRange>;

std::string described(const RangeSet& set) {
  std::string text;
  for (const AddressRange& range : set) text += (text.empty() ? "" : ", ") + range.text();
  return text;
}

Family family_of(const RangeSet& set) {
  return set.front().first.family();
}

/// The place in the block has for each set an address that lies in it.
bool satisfies(const std::vector<RangeSet>& sets, const BlockId& block, std::uint32_t ordinal) {
  return std::all_of(sets.begin(), sets.end(), [&](const RangeSet& set) {
    const auto address =
        family_of(set) == Family::ipv4 ? block.ipv4_at(ordinal) : block.ipv6_at(ordinal);
    return address && std::any_of(set.begin(), set.end(), [&](const AddressRange& range) {
             return range.contains(*address);
           });
  });
}

/// Each set has a range that reaches into the pool or block.
template <typename Ranges>
bool reach_into(const std::vector<RangeSet>& sets, const Ranges& of) {
  return std::all_of(sets.begin(), sets.end(), [&](const RangeSet& set) {
    const std::optional<Prefix>& prefix = family_of(set) == Family::ipv4 ? of.ipv4 : of.ipv6;
    return prefix && std::any_of(set.begin(), set.end(), [&](const AddressRange& range) {
             return range.overlaps(*prefix);
           });
  });
}

std::string counterpart(const Place& place, const Address& address) {
  const auto other =
      address.is_v4() ? place.block.ipv6_at(place.ordinal) : place.block.ipv4_at(place.ordinal);
  return other ? other->text() : "none: its pool has one family";
}

bool is_for_network(const Pool& pool, const std::string& network) {
  const auto& networks = pool.settings().networks;
  return networks.empty() || std::find(networks.begin(), networks.end(), network) != networks.end();
}

Refusal for_others(const Pool& pool, const std::string& network) {
  return {Refusal::Reason::bad_request,
          fmt::format("pool {} is for other networks than {}", pool.name(), network)};
}

}  // namespace

std::string_view name(BlockState state) {
  switch (state) {
    case BlockState::owned:
      return "owned";
    case BlockState::draining:
      return "draining";
    case BlockState::releasing:
      return "releasing";
    case BlockState::lost:
      return "lost";
    case BlockState::foreign:
      return "foreign";
  }
  return "";
}

Allocator::Allocator(std::string boot_id, std::uint64_t first_sequence)
    : boot_id_(std::move(boot_id)), next_sequence_(first_sequence) {}

Result<void> Allocator::configure(const Settings& settings) {
  const auto planned = plan(settings);
  if (!planned) return planned.error();
  settings_ = settings;
  pools_ = planned->pools;
  static_ = {planned->owned.begin(), planned->owned.end()};
  for (const BlockId& id : static_) block_of(id);
  for (auto& [id, block] : blocks_) {
    block.state = state_of(id);
    reserve(id, block.ordinals);
  }
  return {};
}

BlockState Allocator::state_of(const BlockId& id) const {
  const auto claim = claims_.find(id);
  if (claim != claims_.end() && claim->second == ClaimState::releasing)
    return BlockState::releasing;
  if (claim != claims_.end() && claim->second == ClaimState::lost) return BlockState::lost;
  const auto borrowed = borrowed_.lower_bound({id, 0});
  if (claim == claims_.end() && !static_.contains(id) && borrowed != borrowed_.end() &&
      borrowed->block == id) {
    return BlockState::foreign;
  }
  const Pool* pool = pool_named(id.pool);
  if (pool == nullptr || pool->settings().state == PoolState::draining ||
      id.index >= pool->block_count() || pool->block(id.index) != id) {
    return BlockState::draining;
  }
  const bool claimed = claim != claims_.end() && claim->second == ClaimState::owned &&
                       std::holds_alternative<EtcdClaim>(pool->settings().claim) &&
                       is_for(pool->settings(), settings_.labels);
  return claimed || static_.contains(id) ? BlockState::owned : BlockState::draining;
}

Allocator::OwnedBlock& Allocator::block_of(const BlockId& id) {
  // Not made before it is known to be new: a block is up to a few hundred KiB.
  auto entry = blocks_.find(id);
  if (entry == blocks_.end()) {
    entry = blocks_.emplace(id, OwnedBlock{Block(id.capacity()), BlockState::draining}).first;
    reserve(id, entry->second.ordinals);
  }
  return entry->second;
}

void Allocator::reserve(const BlockId& id, Block& block) const {
  const Pool* pool = pool_named(id.pool);
  for (std::uint32_t ordinal = 0; ordinal < block.capacity(); ++ordinal) {
    block.reserve(ordinal, pool != nullptr && pool->is_reserved(id, ordinal));
  }
}

std::string Allocator::pool_names() const {
  constexpr std::size_t shown = 8;
  std::vector<std::string> names;
  for (const Pool& pool : pools_) {
    if (names.size() == shown) {
      names.emplace_back("...");
      break;
    }
    names.push_back(pool.name());
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

const Pool* Allocator::pool_named(const std::string& name) const {
  const auto pool =
      std::find_if(pools_.begin(), pools_.end(), [&](const Pool& p) { return p.name() == name; });
  return pool == pools_.end() ? nullptr : &*pool;
}

void Allocator::contest(std::set<BlockId> blocks) {
  contested_ = std::move(blocks);
}

void Allocator::quarantine(const Place& place, std::string reason) {
  const auto block = blocks_.find(place.block);
  if (block == blocks_.end() || block->second.ordinals.is_held(place.ordinal)) return;
  block->second.ordinals.quarantine(place.ordinal);
  quarantined_.insert_or_assign(place, std::move(reason));
}

void Allocator::acquit(const Place& place, Time now) {
  if (quarantined_.erase(place) != 0) blocks_.at(place.block).ordinals.acquit(place.ordinal, now);
}

bool Allocator::is_held(const Place& place) const {
  const auto block = blocks_.find(place.block);
  return block != blocks_.end() &&
         (block->second.ordinals.is_held(place.ordinal) || is_taken(place.block, place.ordinal));
}

bool Allocator::is_reserved(const Place& place) const {
  const Pool* pool = pool_named(place.block.pool);
  return pool != nullptr && pool->is_reserved(place.block, place.ordinal);
}

bool Allocator::has_gateway(const BlockId& block) const {
  const Pool* pool = pool_named(block.pool);
  return pool != nullptr && pool->settings().gateway;
}

bool Allocator::gives(const BlockId& id, const OwnedBlock& block) const {
  return block.state == BlockState::owned &&
         (block.ordinals.held() != 0 || !contested_.contains(id));
}

const Allocator::Holding* Allocator::holding(const Attachment& attachment) const {
  const auto found = leases_.find(host_ifname(attachment));
  if (found == leases_.end() || !is_same(found->second.lease.attachment, attachment))
    return nullptr;
  return &found->second;
}

const Lease* Allocator::find(const Attachment& attachment) const {
  const Holding* holding = this->holding(attachment);
  return holding == nullptr ? nullptr : &holding->lease;
}

const Lease* Allocator::find(const Address& address) const {
  const auto found = holders_.find(address);
  return found == holders_.end() ? nullptr : find_host_ifname(found->second);
}

const Lease* Allocator::find_host_ifname(const std::string& host_ifname) const {
  const auto found = leases_.find(host_ifname);
  return found == leases_.end() ? nullptr : &found->second.lease;
}

Result<Grant, Refusal> Allocator::allocate(const AllocateRequest& request, Time now) const {
  const auto good = check(request.attachment);
  if (!good) return Refusal{Refusal::Reason::bad_request, good.error().message};
  if (auto ranged = check_ranges(request); !ranged) return ranged.error();
  const auto named_alike = leases_.find(host_ifname(request.attachment));
  if (named_alike != leases_.end() &&
      !is_same(named_alike->second.lease.attachment, request.attachment)) {
    return Refusal{
        Refusal::Reason::collision,
        fmt::format("the host interface name {} is taken by {}; create the container again "
                    "under another id",
                    named_alike->first, described(named_alike->second.lease.attachment))};
  }
  Grant grant;
  if (named_alike != leases_.end()) {
    const Lease& held = named_alike->second.lease;
    if (held.boot_id == boot_id_ && held.delegated == request.delegated && held.netns_inode != 0 &&
        held.netns_inode == request.netns_inode && held.netns == request.netns) {
      for (const Address& address : request.addresses) {
        if (address == held.ipv4() || address == held.ipv6()) continue;
        return Refusal{Refusal::Reason::bad_request,
                       fmt::format("{} asks for {} and holds another address already",
                                   described(request.attachment), address.text())};
      }
      if (!satisfies(request.ranges, held.block, held.ordinal)) {
        return Refusal{Refusal::Reason::bad_request,
                       fmt::format("{} holds an address already, and not of the ranges it asks for",
                                   described(request.attachment))};
      }
      grant.lease = held;
      grant.existing = true;
      return grant;
    }
    grant.replaced = held;
    grant.changes.emplace_back(freed(held, now));
  }
  const auto place = pick(request, grant.replaced ? &*grant.replaced : nullptr, now);
  if (!place) return place.error();
  if (request.needs_gateway && !has_gateway(place->block)) {
    return Refusal{
        Refusal::Reason::bad_request,
        fmt::format("the main plugin needs a gateway with its address, and pool {0} gives none: "
                    "set pools.{0}.gateway to true in weft.yaml, or name a pool that has it",
                    place->block.pool)};
  }
  grant.lease = Lease{request.attachment, host_ifname(request.attachment),
                      place->block,       place->ordinal,
                      request.netns,      request.netns_inode,
                      boot_id_,           now,
                      next_sequence_,     request.delegated};
  grant.lease.borrowed = is_elsewhere(place->block);
  grant.changes.emplace_back(Held{grant.lease});
  // Who names an address knows who had it.
  grant.waived =
      request.addresses.empty() &&
      blocks_.at(place->block).ordinals.is_cooling(place->ordinal, now, settings_.cool_down);
  return grant;
}

std::string Allocator::why_not_given(const std::string& network, const std::string& pool,
                                     Time now) const {
  AllocateRequest request;
  request.attachment.network = network;
  request.pool = pool;
  const auto place = pick(request, nullptr, now);
  return place ? std::string() : place.error().message;
}

Result<Place, Refusal> Allocator::pick(const AllocateRequest& request, const Lease* replaced,
                                       Time now) const {
  if (!request.addresses.empty()) return pick_addresses(request, replaced);
  const auto pool = pool_for(request);
  if (!pool) return pool.error();
  return pick(**pool, request, now);
}

/// A range that is in no pool is a mistake that must not pass because another range is good.
Result<void, Refusal> Allocator::check_ranges(const AllocateRequest& request) const {
  const auto refuse = [](std::string message) {
    return Refusal{Refusal::Reason::bad_request, std::move(message)};
  };
  std::optional<Family> first;
  for (const RangeSet& set : request.ranges) {
    if (set.empty()) return refuse("a set of ranges has no range");
    if (first && *first == family_of(set)) {
      return refuse(
          fmt::format("the ranges {} ask for a second {} address; a container has one of "
                      "each family on an interface",
                      described(set), name(*first)));
    }
    first = family_of(set);
    for (const AddressRange& range : set) {
      if (range.first.family() != family_of(set) || range.last.family() != family_of(set) ||
          range.last < range.first) {
        return refuse(
            fmt::format("the range {} is none, or of another family than the rest of its "
                        "set",
                        range.text()));
      }
      const bool somewhere = std::any_of(pools_.begin(), pools_.end(), [&](const Pool& pool) {
        return reach_into({{range}}, pool.settings());
      });
      if (!somewhere) return refuse(fmt::format("the range {} is in no pool", range.text()));
    }
  }
  return {};
}

Result<const Pool*, Refusal> Allocator::pool_for(const AllocateRequest& request) const {
  using Reason = Refusal::Reason;
  if (pools_.empty()) {
    return Refusal{Reason::unknown_pool, "weftd has no pools; add one to its configuration"};
  }
  const std::string& network = request.attachment.network;
  const Pool* for_all = nullptr;
  const Pool* without_gateway = nullptr;
  for (const Pool& pool : pools_) {
    const auto& networks = pool.settings().networks;
    const bool names_it = std::find(networks.begin(), networks.end(), network) != networks.end();
    if (!request.pool.empty()) {
      if (pool.name() != request.pool) continue;
      if (pool.settings().state == PoolState::draining) {
        return Refusal{Reason::exhausted,
                       fmt::format("pool {} is draining: nothing is handed out", pool.name())};
      }
      if (!is_for_network(pool, network)) return for_others(pool, network);
      if (reach_into(request.ranges, pool.settings())) return &pool;
      return Refusal{Reason::bad_request,
                     fmt::format("pool {} has no addresses of the ranges asked for", pool.name())};
    }
    if (pool.settings().state == PoolState::draining ||
        !is_for(pool.settings(), settings_.labels) ||
        !reach_into(request.ranges, pool.settings())) {
      continue;
    }
    if (!names_it && !networks.empty()) continue;
    if (request.needs_gateway && !pool.settings().gateway) {
      if (without_gateway == nullptr) without_gateway = &pool;
      continue;
    }
    if (names_it) return &pool;
    if (for_all == nullptr) for_all = &pool;
  }
  if (for_all != nullptr) return for_all;
  if (without_gateway != nullptr) return without_gateway;
  return Refusal{
      Reason::unknown_pool,
      request.pool.empty()
          ? fmt::format("no pool {}is for network {} on this node",
                        request.ranges.empty() ? "" : "with the ranges asked for ", network)
          : fmt::format("there is no pool '{}': weftd has {}", request.pool.substr(0, 64),
                        pool_names())};
}

Result<Place, Refusal> Allocator::pick(const Pool& pool, const AllocateRequest& request,
                                       Time now) const {
  if (auto place = rested(pool, request, now)) return *std::move(place);
  if (settings_.soft_cool_down) {
    if (auto place = resting(pool, request, now)) return *std::move(place);
  }
  return request.ranges.empty() ? exhausted(pool.name(), now) : exhausted(pool, request);
}

std::optional<std::uint32_t> Allocator::next(const BlockId& id, const OwnedBlock& block,
                                             const AllocateRequest& request, Time now,
                                             std::chrono::seconds cool_down) const {
  if (!gives(id, block)) return std::nullopt;
  auto ordinal = block.ordinals.next(now, cool_down);
  while (ordinal && (is_taken(id, *ordinal) || !satisfies(request.ranges, id, *ordinal))) {
    ordinal = block.ordinals.next(now, cool_down, ordinal);
  }
  return ordinal;
}

std::optional<Place> Allocator::rested(const Pool& pool, const AllocateRequest& request,
                                       Time now) const {
  const auto from = blocks_.lower_bound(BlockId{pool.name(), 0, std::nullopt, std::nullopt});
  for (auto entry = from; entry != blocks_.end() && entry->first.pool == pool.name(); ++entry) {
    const auto ordinal = next(entry->first, entry->second, request, now, settings_.cool_down);
    if (ordinal) return Place{entry->first, *ordinal};
  }
  return std::nullopt;
}

std::optional<Place> Allocator::resting(const Pool& pool, const AllocateRequest& request,
                                        Time now) const {
  std::optional<Place> longest;
  std::optional<Time> since;
  for (const auto& [id, block] : blocks_) {
    if (id.pool != pool.name()) continue;
    const auto ordinal = next(id, block, request, now, std::chrono::seconds(0));
    if (!ordinal) continue;
    const auto freed_at = block.ordinals.freed_at(*ordinal);
    if (longest && freed_at >= since) continue;
    longest = Place{id, *ordinal};
    since = freed_at;
  }
  return longest;
}

std::optional<Place> Allocator::place_of(const Address& address) const {
  for (const auto& [id, block] : blocks_) {
    const auto& range = address.is_v4() ? id.ipv4 : id.ipv6;
    if (block.state != BlockState::owned || !range || !range->contains(address)) continue;
    return Place{id, id.ordinal_of(address)};
  }
  return std::nullopt;
}

Result<Place, Refusal> Allocator::pick_addresses(const AllocateRequest& request,
                                                 const Lease* replaced) const {
  using Reason = Refusal::Reason;
  std::optional<Place> place;
  for (const Address& address : request.addresses) {
    auto found = place_of(address);
    if (!found) found = place_elsewhere(address);
    if (!found) {
      return Refusal{Reason::elsewhere, fmt::format("{} {}", address.text(), where_is(address))};
    }
    if (!request.pool.empty() && found->block.pool != request.pool) {
      return Refusal{Reason::bad_request,
                     fmt::format("{} is of pool {}, not of {}", address.text(), found->block.pool,
                                 request.pool.substr(0, 64))};
    }
    if (place && *place != *found) {
      return Refusal{Reason::bad_request,
                     fmt::format("{} does not go with {}, but with {}: the addresses of both "
                                 "families have the same place in a block",
                                 address.text(), request.addresses.front().text(),
                                 counterpart(*found, address))};
    }
    place = found;
  }
  const auto& [id, ordinal] = *place;
  if (!satisfies(request.ranges, id, ordinal)) {
    return Refusal{Reason::bad_request, fmt::format("{} is not in the ranges asked for",
                                                    request.addresses.front().text())};
  }
  if (replaced != nullptr && replaced->block == id && replaced->ordinal == ordinal) return *place;
  const Address& asked = request.addresses.front();
  if (const Lease* holder = find(asked)) {
    return Refusal{Reason::taken,
                   fmt::format("{} is held by {}", asked.text(), described(holder->attachment))};
  }
  const Pool* pool = pool_named(id.pool);
  if (pool != nullptr && !is_for_network(*pool, request.attachment.network)) {
    return for_others(*pool, request.attachment.network);
  }
  if (is_elsewhere(id)) return pick_elsewhere(request, *place);
  if (const auto lent = lent_.find(*place); lent != lent_.end()) {
    return Refusal{Reason::taken, fmt::format("{} is lent to host {}", asked.text(), lent->second),
                   *place};
  }
  const OwnedBlock& block = blocks_.at(id);
  if (block.ordinals.is_quarantined(ordinal) && !request.in_use) {
    return Refusal{Reason::taken,
                   fmt::format("{} is quarantined: {}", asked.text(), quarantined_.at(*place))};
  }
  const bool free = block.ordinals.is_free(ordinal) || block.ordinals.is_quarantined(ordinal);
  if (!free || is_taken(id, ordinal)) {
    return Refusal{Reason::taken, fmt::format("{} is reserved", asked.text())};
  }
  if (!gives(id, block)) return contested_refusal(id);
  return *place;
}

std::string Allocator::where_is(const Address& address) const {
  for (const Pool& pool : pools_) {
    const auto block = pool.block_of(address);
    if (!block) continue;
    const auto known = blocks_.find(*block);
    const bool here = known != blocks_.end() && known->second.state != BlockState::foreign &&
                      !is_drained(*block, known->second);
    if (here) {
      return fmt::format("is in block {} of pool {}, which is {} here: nothing is given from it",
                         block->text(), pool.name(), name(known->second.state));
    }
    const auto* claim = std::get_if<EtcdClaim>(&pool.settings().claim);
    return fmt::format(
        "is in block {} of pool {}, which is not this host's (weftctl blocks shows which are){}",
        block->text(), pool.name(),
        claim != nullptr && claim->borrow == Borrow::never
            ? fmt::format("; pools.{}.claim.etcd.borrow is never", pool.name())
            : "");
  }
  return fmt::format("is in no pool: weftd has {}", pools_.empty() ? "none" : pool_names());
}

std::optional<Place> Allocator::place_elsewhere(const Address& address) const {
  for (const Pool& pool : pools_) {
    const PoolSettings& settings = pool.settings();
    const auto* claim = std::get_if<EtcdClaim>(&settings.claim);
    if (claim == nullptr || claim->borrow == Borrow::never ||
        settings.state == PoolState::draining || !is_for(settings, settings_.labels)) {
      continue;
    }
    const auto block = pool.block_of(address);
    // What was ours or is about to be is no other host's.
    if (!block || claims_.contains(*block)) continue;
    const auto known = blocks_.find(*block);
    if (known != blocks_.end() && known->second.state != BlockState::foreign &&
        !is_drained(*block, known->second)) {
      continue;
    }
    return Place{*block, block->ordinal_of(address)};
  }
  return std::nullopt;
}

bool Allocator::is_elsewhere(const BlockId& block) const {
  const auto known = blocks_.find(block);
  return known == blocks_.end() || known->second.state != BlockState::owned;
}

Result<Place, Refusal> Allocator::pick_elsewhere(const AllocateRequest& request,
                                                 const Place& place) const {
  using Reason = Refusal::Reason;
  const std::string asked = request.addresses.front().text();
  if (is_reserved(place)) return Refusal{Reason::taken, fmt::format("{} is reserved", asked)};
  if (is_taken(place.block, place.ordinal)) {
    return Refusal{Reason::taken, fmt::format("{} is held by another container", asked)};
  }
  if (borrowed_.size() >= settings_.max_exceptions) {
    return Refusal{
        Reason::limit,
        fmt::format("{} is in another host's block, and this host has {} such addresses already: "
                    "ipam.max-exceptions is {}",
                    asked, borrowed_.size(), settings_.max_exceptions)};
  }
  if (request.agreed) return place;
  return Refusal{Reason::elsewhere,
                 fmt::format("{} {}", asked, where_is(request.addresses.front())), place};
}

std::string Allocator::why_not_lent(const Place& place) const {
  const auto& [id, ordinal] = place;
  const auto block = blocks_.find(id);
  if (block == blocks_.end() || block->second.state != BlockState::owned)
    return fmt::format("block {} is not given from", id.text());
  if (block->second.ordinals.is_lent(ordinal)) return {};
  const Pool* pool = pool_named(id.pool);
  const auto* claim = pool == nullptr ? nullptr : std::get_if<EtcdClaim>(&pool->settings().claim);
  if (claim == nullptr || claim->borrow == Borrow::never) {
    return fmt::format("pools.{}.claim.etcd.borrow is never there", id.pool);
  }
  const Address address = id.ipv4 ? *id.ipv4_at(ordinal) : *id.ipv6_at(ordinal);
  if (const Lease* holder = find(address))
    return fmt::format("it is held by {}", described(holder->attachment));
  if (is_taken(id, ordinal)) return "it is held by another container";
  if (is_reserved(place)) return "it is reserved";
  if (const auto why = quarantined_.find(place); why != quarantined_.end())
    return "it is quarantined: " + why->second;
  if (!gives(id, block->second)) return contested_refusal(id).message;
  return {};
}

std::vector<std::string> Allocator::complaints() const {
  std::vector<std::string> found;
  for (const Pool& pool : pools_) {
    const auto* claim = std::get_if<EtcdClaim>(&pool.settings().claim);
    if (claim == nullptr || claim->borrow != Borrow::never) continue;
    const auto borrowed =
        std::count_if(borrowed_.begin(), borrowed_.end(),
                      [&](const Place& place) { return place.block.pool == pool.name(); });
    const auto lent = std::count_if(lent_.begin(), lent_.end(), [&](const auto& entry) {
      return entry.first.block.pool == pool.name();
    });
    if (borrowed == 0 && lent == 0) continue;
    found.push_back(
        fmt::format("pools.{}.claim.etcd.borrow is never, but {} borrowed here and {} lent from "
                    "here are in use: each goes with its container (weftctl blocks)",
                    pool.name(), borrowed, lent));
  }
  return found;
}

/// By a lease in another block with the same address: the pool was renumbered over its former self.
bool Allocator::is_taken(const BlockId& block, std::uint32_t ordinal) const {
  const auto ipv4 = block.ipv4_at(ordinal);
  const auto ipv6 = block.ipv6_at(ordinal);
  return (ipv4 && holders_.contains(*ipv4)) || (ipv6 && holders_.contains(*ipv6));
}

std::string Allocator::without_blocks(const std::string& pool) const {
  const Pool* known = pool_named(pool);
  const bool shared =
      known != nullptr && std::holds_alternative<EtcdClaim>(known->settings().claim);
  return fmt::format("pool {} has no block on this host{}", pool,
                     shared ? ": weftctl status says why none is claimed in etcd"
                            : ": it is not for this node, or its claim names none");
}

Refusal Allocator::exhausted(const std::string& pool, Time now) const {
  std::uint32_t blocks = 0;
  Block::Usage all;
  std::optional<Time> ready;
  for (const auto& [id, block] : blocks_) {
    if (id.pool != pool || block.state != BlockState::owned) continue;
    if (!gives(id, block)) return contested_refusal(id);
    const Block::Usage usage = block.ordinals.usage(now, settings_.cool_down);
    ++blocks;
    all.held += usage.held;
    all.cooling += usage.cooling;
    all.reserved += usage.reserved;
    all.quarantined += usage.quarantined;
    all.lent += usage.lent;
    const auto at = block.ordinals.next_ready(settings_.cool_down);
    if (at && (!ready || *at < *ready)) ready = at;
  }
  if (blocks == 0) return {Refusal::Reason::exhausted, without_blocks(pool)};
  std::string message =
      fmt::format("pool {} has no free address on this host: {} held and {} resting in {} block{}",
                  pool, all.held, all.cooling, blocks, blocks == 1 ? "" : "s");
  if (all.reserved != 0) message += fmt::format(", {} reserved", all.reserved);
  if (all.quarantined != 0) message += fmt::format(", {} quarantined", all.quarantined);
  if (all.lent != 0) message += fmt::format(", {} lent to other hosts", all.lent);
  if (ready && *ready > now) {
    message += fmt::format("; the next is free in {} s",
                           std::chrono::ceil<std::chrono::seconds>(*ready - now).count());
  }
  return {Refusal::Reason::exhausted, std::move(message)};
}

Refusal Allocator::exhausted(const Pool& pool, const AllocateRequest& request) const {
  std::string ranges;
  for (const RangeSet& set : request.ranges)
    ranges += (ranges.empty() ? "" : " and ") + described(set);
  const bool here = std::any_of(blocks_.begin(), blocks_.end(), [&](const auto& entry) {
    return entry.first.pool == pool.name() && entry.second.state == BlockState::owned &&
           reach_into(request.ranges, entry.first);
  });
  if (!here) {
    return {
        Refusal::Reason::elsewhere,
        fmt::format("no block of this host in pool {} has addresses of {}", pool.name(), ranges)};
  }
  return {Refusal::Reason::exhausted,
          fmt::format("pool {} has no free address of {} on this host", pool.name(), ranges)};
}

Freed Allocator::freed(const Lease& lease, Time now) const {
  return {lease.block, lease.ordinal, now, boot_id_, lease.sequence};
}

Release Allocator::release(const Attachment& attachment, std::optional<std::uint64_t> sequence,
                           Time now) const {
  const Lease* lease = find(attachment);
  if (lease == nullptr || (sequence && *sequence != lease->sequence)) return {};
  return {*lease, {freed(*lease, now)}};
}

void Allocator::apply(const Changes& changes) {
  for (const Change& change : changes) {
    std::visit(Overloaded{
                   [&](const Held& held) { apply_held(held.lease); },
                   [&](const Freed& freed) { apply_freed(freed); },
                   [&](const Dropped& dropped) {
                     blocks_.erase(dropped.block);
                     const auto in_it = [&](const auto& entry) {
                       return entry.first.block == dropped.block;
                     };
                     std::erase_if(quarantined_, in_it);
                     std::erase_if(lent_, in_it);
                   },
                   [&](const Claimed& claimed) {
                     claims_[claimed.block] = claimed.state;
                     if (claimed.state == ClaimState::claiming) return;
                     block_of(claimed.block).state = state_of(claimed.block);
                   },
                   [&](const Unclaimed& gone) {
                     claims_.erase(gone.block);
                     const auto block = blocks_.find(gone.block);
                     if (block != blocks_.end()) block->second.state = state_of(gone.block);
                   },
                   [&](const Lent& lent) { apply_lent(lent); },
                   [&](const Returned& back) {
                     if (lent_.erase({back.block, back.ordinal}) == 0) return;
                     block_of(back.block).ordinals.take_back(back.ordinal, back.freed_at);
                   },
               },
               change);
  }
}

void Allocator::apply_lent(const Lent& lent) {
  Block& ordinals = block_of(lent.block).ordinals;
  ordinals.lend(lent.ordinal);
  if (!ordinals.is_lent(lent.ordinal)) return;
  lent_[{lent.block, lent.ordinal}] = lent.host;
  quarantined_.erase({lent.block, lent.ordinal});
}

void Allocator::apply_held(const Lease& lease) {
  OwnedBlock& block = block_of(lease.block);
  block.ordinals.hold(lease.ordinal);
  if (lease.borrowed) {
    // What was ours once may have been lent then.
    lent_.erase({lease.block, lease.ordinal});
    borrowed_.insert({lease.block, lease.ordinal});
    block.state = state_of(lease.block);
  }
  quarantined_.erase({lease.block, lease.ordinal});
  next_sequence_ = std::max(next_sequence_, lease.sequence + 1);
  if (lease.ipv4()) holders_[*lease.ipv4()] = lease.host_ifname;
  if (lease.ipv6()) holders_[*lease.ipv6()] = lease.host_ifname;
  leases_.insert_or_assign(lease.host_ifname, Holding{lease, std::nullopt});
}

void Allocator::apply_freed(const Freed& change) {
  next_sequence_ = std::max(next_sequence_, change.sequence + 1);
  Block& ordinals = block_of(change.block).ordinals;
  if (!ordinals.is_held(change.ordinal)) {
    ordinals.free(change.ordinal, change.freed_at);  // replayed from the store
    return;
  }
  const Address address = change.block.ipv4 ? *change.block.ipv4_at(change.ordinal)
                                            : *change.block.ipv6_at(change.ordinal);
  const auto holder = holders_.find(address);
  assert(holder != holders_.end());
  const auto held = leases_.find(holder->second);
  assert(held != leases_.end());
  if (held->second.lease.sequence != change.sequence) return;
  ordinals.free(change.ordinal, change.freed_at);
  leases_.erase(held);
  borrowed_.erase({change.block, change.ordinal});
  if (change.block.ipv4) holders_.erase(*change.block.ipv4_at(change.ordinal));
  if (change.block.ipv6) holders_.erase(*change.block.ipv6_at(change.ordinal));
}

Audit Allocator::audit(const Observation& seen, Time now) {
  Audit audit;
  for (auto& [host_ifname, holding] : leases_) {
    if (seen.host_ifnames.contains(host_ifname)) {
      holding.missing_since.reset();
      continue;
    }
    const bool earlier_boot = holding.lease.boot_id != boot_id_;
    if (!holding.missing_since) holding.missing_since = now;
    if (!earlier_boot && (*holding.missing_since == now ||
                          now - *holding.missing_since < settings_.audit_interval)) {
      continue;
    }
    audit.freed.push_back(holding.lease);
    audit.changes.emplace_back(freed(holding.lease, now));
  }
  for (const auto& [id, block] : blocks_) {
    if (is_drained(id, block)) {
      audit.changes.emplace_back(Dropped{id});
    }
  }
  return audit;
}

Audit Allocator::rebuild(const std::vector<KernelVeth>& veths, Time now) const {
  Audit audit;
  std::unordered_set<Address> taken;
  for (const KernelVeth& veth : veths) {
    const auto alias = parse_link_alias(veth.alias);
    if (!alias || leases_.contains(veth.ifname)) continue;
    auto lease = adopted(veth, *alias, now);
    if (!lease) {
      audit.complaints.push_back(lease.error().within(veth.ifname).message);
      continue;
    }
    const Address address = lease->ipv4() ? *lease->ipv4() : *lease->ipv6();
    if (is_taken(lease->block, lease->ordinal) || !taken.insert(address).second) {
      audit.complaints.push_back(fmt::format("{}: its address {} is held by another container too",
                                             veth.ifname, address.text()));
      continue;
    }
    lease->sequence = next_sequence_ + audit.adopted.size();
    audit.changes.emplace_back(Held{*lease});
    audit.adopted.push_back(*std::move(lease));
  }
  return audit;
}

Result<Lease> Allocator::adopted(const KernelVeth& veth, const ParsedAlias& alias, Time now) const {
  const Attachment& names = alias.attachment;
  if (const auto name = link_name(alias); name && *name != veth.ifname) {
    return Error{
        fmt::format("its alias names {}, whose link would be {}", described(names), *name)};
  }
  const Pool* pool = pool_named(alias.pool);
  if (pool == nullptr || alias.block >= pool->block_count()) {
    return Error{fmt::format("its alias names block {} of pool {}, which does not exist",
                             alias.block, alias.pool)};
  }
  const BlockId block = pool->block(alias.block);
  if (alias.ordinal >= block.capacity()) {
    return Error{fmt::format("its alias names address {} of block {}, which has {}", alias.ordinal,
                             alias.block, block.capacity())};
  }
  Lease lease{names, veth.ifname, block, alias.ordinal, "", 0, boot_id_, now, 0};
  lease.borrowed = alias.borrowed;
  if ((veth.ipv4 && veth.ipv4 != lease.ipv4()) || (veth.ipv6 && veth.ipv6 != lease.ipv6())) {
    return Error{fmt::format("its routes lead to {}, which is not the address its alias names",
                             veth.ipv4 ? veth.ipv4->text() : veth.ipv6->text())};
  }
  return lease;
}

/// Who is in quarantine is reached through the block as well.
bool Allocator::is_drained(const BlockId& id, const OwnedBlock& block) const {
  return (block.state == BlockState::draining || block.state == BlockState::foreign) &&
         block.ordinals.held() == 0 && block.ordinals.quarantined() == 0 && !claims_.contains(id);
}

std::vector<BlockStatus> Allocator::blocks(Time now) const {
  std::vector<BlockStatus> statuses;
  for (const auto& [id, block] : blocks_) {
    if (is_drained(id, block)) continue;
    const Block::Usage usage = block.ordinals.usage(now, settings_.cool_down);
    statuses.push_back({id, block.state, block.ordinals.capacity(), usage.held, usage.cooling,
                        usage.reserved, usage.quarantined, usage.free, contested_.contains(id),
                        usage.lent});
  }
  return statuses;
}

std::vector<LeaseStatus> Allocator::leases() const {
  std::vector<LeaseStatus> statuses;
  statuses.reserve(leases_.size());
  for (const auto& [host_ifname, holding] : leases_) {
    statuses.push_back({holding.lease, !holding.missing_since.has_value()});
  }
  std::sort(statuses.begin(), statuses.end(), [](const LeaseStatus& a, const LeaseStatus& b) {
    return a.lease.attachment < b.lease.attachment;
  });
  return statuses;
}

}  // namespace weft::ipam
