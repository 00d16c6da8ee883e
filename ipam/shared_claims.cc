#include "ipam/shared_claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <nlohmann/json.hpp>

namespace weft::ipam {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Json = nlohmann::json;

constexpr milliseconds first_retry{100};
constexpr seconds longest_retry{5};
constexpr seconds longest_keepalive{60};
/// Places of the walk that one search for a free block looks at.
constexpr std::uint64_t search_limit = std::uint64_t{1} << 20;

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<Prefix> prefix_of(const Json& object, const char* key) {
  const auto prefix = Prefix::parse(text_of(object, key));
  return prefix ? std::optional(*prefix) : std::nullopt;
}

Json parsed(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_object() ? json : Json::object();
}

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// 1, 2, 4, … times the first, up to the longest.
milliseconds backoff(std::uint32_t failures) {
  return std::min<milliseconds>(first_retry * (1U << std::min(failures, 10U)), longest_retry);
}

}  // namespace

SharedClaims::SharedClaims(Identity identity, const EtcdClaim& store)
    : identity_(std::move(identity)), prefix_(store.prefix), ttl_(store.lease) {}

void SharedClaims::configure(const Settings& settings) {
  pools_.clear();
  for (const PoolSettings& wanted : settings.pools) {
    const auto* claim = std::get_if<EtcdClaim>(&wanted.claim);
    if (claim == nullptr || !is_for(wanted, settings.labels)) continue;
    auto pool = Pool::create(wanted);
    assert(pool);
    pools_.push_back({*std::move(pool), *claim});
    exhausted_.erase(wanted.name);
  }
}

void SharedClaims::apply(const Changes& changes, Time now) {
  for (const Change& change : changes) {
    if (const auto* claimed = std::get_if<Claimed>(&change)) {
      Claim& claim = claims_[claimed->block];
      const bool won = claim.state == ClaimState::claiming && claimed->state == ClaimState::owned;
      if (won && claim.since != Time{}) claim_times_.push_back(now - claim.since);
      claim = Claim{claimed->state, now, std::nullopt, std::nullopt};
    } else if (const auto* gone = std::get_if<Unclaimed>(&change)) {
      claims_.erase(gone->block);
    }
  }
}

std::string SharedClaims::block_key(const BlockId& block) const {
  return fmt::format("{}/pool/{}/block/{}", prefix_, block.pool, block.index);
}

std::string SharedClaims::host_key() const {
  return fmt::format("{}/host/{}/incarnation", prefix_, identity_.host);
}

std::string SharedClaims::block_value(const BlockId& block) const {
  Json value{{"host", identity_.host}, {"incarnation", identity_.incarnation}};
  if (block.ipv4) value["ipv4"] = block.ipv4->text();
  if (block.ipv6) value["ipv6"] = block.ipv6->text();
  return value.dump();
}

bool SharedClaims::is_mine(const RemoteBlock& block) const {
  return block.host == identity_.host && block.incarnation == identity_.incarnation;
}

const RemoteBlock* SharedClaims::remote_of(const BlockId& block) const {
  const auto found = remote_.find({block.pool, block.index});
  return found == remote_.end() ? nullptr : &found->second;
}

const SharedClaims::SharedPool* SharedClaims::pool_of(const std::string& name) const {
  const auto found = std::find_if(pools_.begin(), pools_.end(),
                                  [&](const SharedPool& p) { return p.pool.name() == name; });
  return found == pools_.end() ? nullptr : &*found;
}

void SharedClaims::learn(const kv::KeyValue& now, bool deleted) {
  if (const auto floor = floors_.find(now.key); floor != floors_.end()) {
    if (now.mod_revision < floor->second) return;
    floors_.erase(floor);
  }
  std::string_view key = now.key;
  if (const std::string exceptions = prefix_ + "/exception/"; key.starts_with(exceptions))
    return learn_exception(now.key.substr(exceptions.size()), now, deleted);
  if (key == host_key()) {
    host_.reset();
    if (deleted) return;
    const Json value = parsed(now.value);
    host_ =
        HostKey{text_of(value, "incarnation"), text_of(value, "boot"), now.mod_revision, now.lease};
    return;
  }
  const std::string pools = prefix_ + "/pool/";
  constexpr std::string_view middle = "/block/";
  if (!key.starts_with(pools)) return;
  key.remove_prefix(pools.size());
  const std::size_t split = key.find(middle);
  if (split == std::string_view::npos) return;
  const auto index = number_of(key.substr(split + middle.size()));
  if (!index) return;
  const std::string pool(key.substr(0, split));
  if (deleted) {
    remote_.erase({pool, *index});
    return;
  }
  const Json value = parsed(now.value);
  remote_[{pool, *index}] =
      RemoteBlock{{pool, *index, prefix_of(value, "ipv4"), prefix_of(value, "ipv6")},
                  text_of(value, "host"),
                  text_of(value, "incarnation"),
                  now.mod_revision,
                  now.lease};
}

kv::Request SharedClaims::send(Purpose purpose, kv::Request request, Time now,
                               kv::KeyValue wanted) {
  std::string key = wanted.key;
  pending_ = Pending{purpose, std::move(key), std::move(wanted), now};
  return request;
}

kv::Request SharedClaims::put_block(const BlockId& block, std::int64_t mod_revision, Time now) {
  const std::string key = block_key(block);
  const std::string value = block_value(block);
  return send(Purpose::put_block,
              kv::Txn{{{key, mod_revision}}, {kv::Put{key, value, lease_}}, {kv::Range{key, {}}}},
              now, {key, value, 0, 0, lease_});
}

kv::Request SharedClaims::delete_block(const BlockId& block, std::int64_t mod_revision, Time now) {
  const std::string key = block_key(block);
  return send(Purpose::delete_block,
              kv::Txn{{{key, mod_revision}}, {kv::Delete{key}}, {kv::Range{key, {}}}}, now,
              {key, {}, 0, 0, 0});
}

Step SharedClaims::step(const Surroundings& around, Time now) {
  Step step;
  step.outcome = expired(around, now);
  if (step.outcome || !used()) return step;
  // Without a full view of the store, blocks are used as they are and nothing else happens.
  if (pending_ || now < retry_at_) return step;
  step.request = session(now);
  if (step.request) return step;
  step.request = adopt(step.changes, now);
  if (step.request || !step.changes.empty()) return step;
  for (auto& [block, claim] : claims_) {
    step.request = tend(block, claim, around, step.changes, now);
    if (step.request || !step.changes.empty()) return step;
  }
  tend_exceptions(around, step, now);
  if (step.outcome || step.request || !step.changes.empty()) return step;
  for (const SharedPool& shared : pools_) {
    if (shared.pool.settings().state == PoolState::active)
      want_more(shared, around, step.changes, now);
    if (!step.changes.empty()) return step;
  }
  std::map<std::string, const SharedPool*> pools;
  for (const auto& [block, claim] : claims_) pools.emplace(block.pool, pool_of(block.pool));
  for (const auto& [pool, shared] : pools) {
    want_less(pool, shared, around, step.changes, now);
    if (!step.changes.empty()) return step;
  }
  return step;
}

/// View, lease and name: what every claim stands on.
std::optional<kv::Request> SharedClaims::session(Time now) {
  if (forced_) {
    const kv::KeyValue forced = *std::exchange(forced_, std::nullopt);
    return send(Purpose::delete_block,
                kv::Txn{{{forced.key, forced.mod_revision}},
                        {kv::Delete{forced.key}},
                        {kv::Range{forced.key, {}}}},
                now, {forced.key, {}, 0, 0, 0});
  }
  if (!synced_) {
    const std::string all = prefix_ + "/";
    return send(Purpose::list, kv::Txn{{}, {kv::Range{all, kv::end_of(all)}}, {}}, now);
  }
  if (lease_ == 0 && host_ && host_->incarnation == identity_.incarnation && host_->lease != 0) {
    lease_ = host_->lease;
    keepalive_at_ = now;
  }
  if (lease_ == 0) return send(Purpose::grant, kv::Grant{ttl_}, now);
  if (now >= keepalive_at_) return send(Purpose::keepalive, kv::KeepAlive{lease_}, now);
  const bool name_is_free = !host_;
  const bool mine = host_ && host_->incarnation == identity_.incarnation;
  const bool adoptable = takes_over();
  const bool stale = mine && (host_->lease != lease_ || host_->boot_id != identity_.boot_id);
  if (!name_is_free && !stale && !adoptable) return std::nullopt;
  if (adoptable) {
    // The name comes last: as long as it is not ours, a restart knows that there is more to adopt.
    const bool more = std::any_of(remote_.begin(), remote_.end(), [&](const auto& entry) {
      return entry.second.host == identity_.host && !is_mine(entry.second);
    });
    const bool borrowed =
        std::any_of(exceptions_.begin(), exceptions_.end(), [&](const auto& entry) {
          return entry.second.host == identity_.host &&
                 entry.second.incarnation != identity_.incarnation;
        });
    if (more || borrowed) return std::nullopt;
  }
  const std::string key = host_key();
  const std::string value =
      Json{{"incarnation", identity_.incarnation}, {"boot", identity_.boot_id}}.dump();
  return send(Purpose::identify,
              kv::Txn{{{key, host_ ? host_->mod_revision : 0}},
                      {kv::Put{key, value, lease_}},
                      {kv::Range{key, {}}}},
              now, {key, value, 0, 0, lease_});
}

/// Keys that say this host and are unknown here: a crash came between the store and our own disk,
/// or the disk was lost.
std::optional<kv::Request> SharedClaims::adopt(Changes& changes, Time now) {
  const bool takes_over = this->takes_over();
  for (const auto& [key, remote] : remote_) {
    if (remote.host != identity_.host || (!remote.id.ipv4 && !remote.id.ipv6)) continue;
    if (is_mine(remote)) {
      if (claims_.contains(remote.id)) continue;
      changes.emplace_back(Claimed{remote.id, ClaimState::owned});
      keep_lent(remote.id, changes);
      ++statistics_[remote.id.pool].adopted;
      return std::nullopt;
    }
    if (takes_over) return put_block(remote.id, remote.mod_revision, now);
  }
  return std::nullopt;
}

/// Keys of the former self of this host may be put again as ours.
bool SharedClaims::takes_over() const {
  return host_ && host_->incarnation != identity_.incarnation &&
         (identity_.takeover || host_->boot_id == identity_.boot_id);
}

void SharedClaims::give_up(const BlockId& block, Changes& changes) const {
  changes.emplace_back(Unclaimed{block});
}

std::optional<kv::Request> SharedClaims::tend(const BlockId& block, Claim& claim,
                                              const Surroundings& around, Changes& changes,
                                              Time now) {
  const RemoteBlock* remote = remote_of(block);
  const bool mine = remote != nullptr && is_mine(*remote) && remote->id == block;
  const bool theirs = remote != nullptr && !mine;
  switch (claim.state) {
    case ClaimState::claiming:
      if (mine) {
        changes.emplace_back(Claimed{block, ClaimState::owned});
        keep_lent(block, changes);
        ++statistics_[block.pool].won;
        races_ = 0;
      } else if (theirs) {
        give_up(block, changes);
        ++statistics_[block.pool].lost_races;
        if (++races_ > races_before_backoff)
          claim_at_ = now + backoff(races_ - races_before_backoff);
      } else if (pool_of(block.pool) == nullptr || around.announced_elsewhere(block)) {
        give_up(block, changes);
      } else {
        return put_block(block, 0, now);
      }
      return std::nullopt;
    case ClaimState::owned:
      if (mine && remote->lease == lease_) return std::nullopt;
      if (mine) return put_block(block, remote->mod_revision, now);
      // The key is gone: the lease ended while we were away, or the store lost its data.
      if (theirs || around.announced_elsewhere(block)) {
        changes.emplace_back(Claimed{block, ClaimState::lost});
        ++statistics_[block.pool].conflicts;
        return std::nullopt;
      }
      return put_block(block, 0, now);
    case ClaimState::lost: {
      if (mine) {
        changes.emplace_back(Claimed{block, ClaimState::owned});
        keep_lent(block, changes);
        return std::nullopt;
      }
      if (!theirs && !around.announced_elsewhere(block)) return put_block(block, 0, now);
      const auto status = std::find_if(around.blocks.begin(), around.blocks.end(),
                                       [&](const BlockStatus& one) { return one.id == block; });
      if (status == around.blocks.end() || status->held == 0) give_up(block, changes);
      return std::nullopt;
    }
    case ClaimState::releasing:
      return tend_releasing(block, claim, around, changes, now);
  }
  return std::nullopt;
}

/// First nobody is told of the block any more, then it goes.
std::optional<kv::Request> SharedClaims::tend_releasing(const BlockId& block, Claim& claim,
                                                        const Surroundings& around,
                                                        Changes& changes, Time now) {
  if (around.announced_by_us(block)) {
    claim.withdrawn_since.reset();
    return std::nullopt;
  }
  if (!claim.withdrawn_since) claim.withdrawn_since = now;
  if (now - *claim.withdrawn_since < withdrawn_for) return std::nullopt;
  const RemoteBlock* remote = remote_of(block);
  if (remote != nullptr && is_mine(*remote)) return delete_block(block, remote->mod_revision, now);
  give_up(block, changes);
  ++statistics_[block.pool].released;
  return std::nullopt;
}

void SharedClaims::want_more(const SharedPool& shared, const Surroundings& around, Changes& changes,
                             Time now) {
  const std::string& pool = shared.pool.name();
  std::uint32_t owned = 0;
  for (const auto& [block, claim] : claims_) {
    if (block.pool != pool) continue;
    if (claim.state == ClaimState::claiming) return;
    if (claim.state == ClaimState::owned) ++owned;
  }
  std::uint64_t free = 0;
  for (const BlockStatus& block : around.blocks) {
    if (block.id.pool == pool && block.state == BlockState::owned) free += block.free;
  }
  const bool wants = owned < shared.claim.max_blocks &&
                     (owned < shared.claim.min_blocks || free < shared.claim.spare);
  if (!wants) exhausted_.erase(pool);
  if (!wants || now < claim_at_) return;
  const auto block = candidate(shared, around);
  exhausted_[pool] = !block;
  if (!block) {
    claim_at_ = now + longest_retry;
    return;
  }
  changes.emplace_back(Claimed{*block, ClaimState::claiming});
}

/// A walk through the whole pool in an order of the host's own: hosts start apart, and the same
/// host finds the same blocks again.
std::optional<BlockId> SharedClaims::candidate(const SharedPool& shared,
                                               const Surroundings& around) {
  const Pool& pool = shared.pool;
  const std::uint64_t size = std::bit_ceil(std::uint64_t{pool.block_count()});
  const std::uint64_t start = stable_hash(identity_.host);
  const std::uint64_t stride = stable_hash(identity_.host, 1) | 1;
  for (std::uint64_t k = 0; k < std::min(size, search_limit); ++k) {
    const std::uint64_t index = (start + k * stride) & (size - 1);
    if (index >= pool.block_count()) continue;
    const BlockId block = pool.block(static_cast<std::uint32_t>(index));
    if (remote_of(block) != nullptr || claims_.contains(block)) continue;
    bool usable = pool.settings().reserved.empty();
    for (std::uint32_t ordinal = 0; !usable && ordinal < block.capacity(); ++ordinal)
      usable = !pool.is_reserved(block, ordinal);
    if (!usable || overlaps_ours(block) || has_exceptions(block, around)) continue;
    if (around.announced_elsewhere(block)) {
      ++statistics_[pool.name()].vetoed;
      continue;
    }
    return block;
  }
  return std::nullopt;
}

/// A pool that was renumbered may still have its former self in use.
bool SharedClaims::overlaps_ours(const BlockId& block) const {
  return std::any_of(claims_.begin(), claims_.end(), [&](const auto& entry) {
    const auto overlap = [](const std::optional<Prefix>& a, const std::optional<Prefix>& b) {
      return a && b && a->overlaps(*b);
    };
    return overlap(entry.first.ipv4, block.ipv4) || overlap(entry.first.ipv6, block.ipv6);
  });
}

void SharedClaims::want_less(const std::string& pool, const SharedPool* shared,
                             const Surroundings& around, Changes& changes, Time now) {
  const bool drains = shared == nullptr || shared->pool.settings().state == PoolState::draining;
  std::uint32_t owned = 0;
  for (const auto& [block, claim] : claims_) {
    if (block.pool == pool && claim.state == ClaimState::owned) ++owned;
  }
  for (auto& [block, claim] : claims_) {
    if (block.pool != pool || claim.state != ClaimState::owned) continue;
    std::uint64_t elsewhere = 0;
    bool empty = true;
    for (const BlockStatus& status : around.blocks) {
      if (status.id == block) {
        empty =
            status.held == 0 && status.cooling == 0 && status.quarantined == 0 && status.lent == 0;
      } else if (status.id.pool == pool && status.state == BlockState::owned) {
        elsewhere += status.free;
      }
    }
    // Twice the spare: a block that is claimed below it must not go again at once.
    const bool needed = !drains && (owned <= shared->claim.min_blocks ||
                                    elsewhere < std::uint64_t{2} * shared->claim.spare);
    if (!empty || needed) {
      claim.empty_since.reset();
      continue;
    }
    if (!claim.empty_since) claim.empty_since = now;
    if (now - *claim.empty_since < empty_for && !drains) continue;
    changes.emplace_back(Claimed{block, ClaimState::releasing});
    return;
  }
}

void SharedClaims::answered(const kv::Answer& answer, Time now) {
  if (!pending_) return;
  const Pending pending = *std::exchange(pending_, std::nullopt);
  if (const auto* fault = std::get_if<kv::Fault>(&answer)) {
    if (!failing_since_) failing_since_ = now;
    last_failure_ = fault->message;
    retry_at_ = now + backoff(failures_++);
    // An answer to an exception is put under the lease of who asked.
    if (fault->lease_gone && pending.purpose != Purpose::answer_exception) lease_ = 0;
    // It may have happened all the same.
    const bool reads = pending.purpose == Purpose::list || pending.purpose == Purpose::grant ||
                       pending.purpose == Purpose::keepalive;
    if (!reads) synced_ = false;
    return;
  }
  failing_since_.reset();
  failures_ = 0;
  const std::int64_t revision =
      std::visit(Overloaded{[](const kv::TxnAnswer& txn) { return txn.revision; },
                            [](const kv::LeaseAnswer& lease) { return lease.revision; },
                            [](const kv::Fault&) { return std::int64_t{0}; }},
                 answer);
  if (pending.purpose != Purpose::list && revision < listed_) {
    // A store that goes back in time has lost its data; what it says is about another one.
    synced_ = false;
    return;
  }
  if (const auto* lease = std::get_if<kv::LeaseAnswer>(&answer)) {
    if (lease->ttl.count() <= 0) {
      lease_ = 0;
    } else {
      lease_ = lease->lease;
      keepalive_at_ = now + std::min(std::max(ttl_ / 3, seconds(1)), longest_keepalive);
    }
    return;
  }
  const auto& txn = std::get<kv::TxnAnswer>(answer);
  if (pending.purpose == Purpose::list) {
    remote_.clear();
    forget_exceptions();
    host_.reset();
    floors_.clear();
    for (const kv::KeyValue& one : txn.found) learn(one, false);
    listed_ = txn.revision;
    revision_ = txn.revision;
    synced_ = true;
    return;
  }
  const bool of_exception = pending.purpose == Purpose::put_exception ||
                            pending.purpose == Purpose::answer_exception ||
                            pending.purpose == Purpose::delete_exception;
  if (!txn.succeeded && of_exception) {
    // Which of the two keys has changed is not told; it is rare.
    synced_ = false;
    return;
  }
  if (!txn.succeeded) {
    if (txn.found.empty()) {
      learn({pending.key, {}, 0, txn.revision, 0}, true);
    } else {
      learn(txn.found.front(), false);
    }
    return;
  }
  kv::KeyValue now_there = pending.wanted;
  now_there.mod_revision = txn.revision;
  learn(now_there,
        pending.purpose == Purpose::delete_block || pending.purpose == Purpose::delete_exception);
  floors_[pending.key] = txn.revision;
}

std::optional<std::int64_t> SharedClaims::watch_from() const {
  return synced_ ? std::optional(listed_ + 1) : std::nullopt;
}

void SharedClaims::watched(const kv::Watched& change, Time) {
  if (!synced_) return;
  if (change.compacted || (change.revision != 0 && change.revision < listed_)) {
    synced_ = false;
    return;
  }
  revision_ = std::max(revision_, change.revision);
  for (const auto& event : change.events) learn(event.now, event.deleted);
}

void SharedClaims::watch_ended(Time now) {
  synced_ = false;
  retry_at_ = std::max(retry_at_, now + first_retry);
}

Time SharedClaims::deadline(Time now) const {
  // Cool-downs and origins change without a word to us.
  Time next = now + seconds(5);
  for (const auto& [place, ask] : asks_) next = std::min(next, ask.deadline);
  if (waits_for_bgp_) next = std::min(next, now + first_retry);
  if (!unclaimed_since_.empty()) next = std::min(next, now + seconds(1));
  if (!used()) return next;
  if (!pending_) {
    if (retry_at_ > now) return std::min(next, retry_at_);
    if (synced_ && lease_ != 0 && keepalive_at_ > now) next = std::min(next, keepalive_at_);
  }
  for (const auto& [block, claim] : claims_) {
    if (claim.state == ClaimState::releasing) next = std::min(next, now + seconds(1));
  }
  return next;
}

std::vector<std::string> SharedClaims::complaints(Time now) const {
  std::vector<std::string> found;
  if (failing_since_) {
    found.push_back(fmt::format(
        "etcd does not answer for {} s ({}): blocks can be neither claimed nor released",
        std::chrono::duration_cast<seconds>(now - *failing_since_).count(), last_failure_));
  }
  if (synced_ && host_ && host_->incarnation != identity_.incarnation) {
    found.push_back(fmt::format(
        "another host claims blocks under the name {}; if it was this one before it was installed "
        "anew, start weftd once with --takeover-identity",
        identity_.host));
  }
  for (const auto& [block, claim] : claims_) {
    if (claim.state != ClaimState::lost) continue;
    const RemoteBlock* remote = remote_of(block);
    found.push_back(
        fmt::format("block {} of pool {} is lost to {}: its containers are announced "
                    "one by one, and nothing more is handed out of it",
                    block.text(), block.pool,
                    remote == nullptr ? "another host that announces it" : "host " + remote->host));
  }
  for (const auto& [address, exception] : exceptions_) {
    if (exception.host == identity_.host && exception.state == ExceptionState::refused &&
        !asks_.contains(exception.place)) {
      found.push_back(
          fmt::format("{} is held by a container here, but the owner of its block has not lent it: "
                      "{}",
                      address, exception.why));
    }
  }
  for (const auto& [pool, out] : exhausted_) {
    if (out && pool_of(pool) != nullptr)
      found.push_back(fmt::format("pool {} has no block left to claim", pool));
  }
  return found;
}

std::vector<RemoteBlock> SharedClaims::remote() const {
  std::vector<RemoteBlock> all;
  all.reserve(remote_.size());
  for (const auto& [key, block] : remote_) all.push_back(block);
  return all;
}

std::vector<Time::duration> SharedClaims::take_claim_times() {
  return std::exchange(claim_times_, {});
}

Result<void> SharedClaims::force_release(const std::string& pool, std::uint32_t index,
                                         std::int64_t revision, const Surroundings& around) {
  const auto found = remote_.find({pool, index});
  if (!synced_) return Error{"etcd does not answer"};
  if (found == remote_.end())
    return Error{fmt::format("nobody claims block {} of {}", index, pool)};
  const RemoteBlock& remote = found->second;
  if (remote.mod_revision != revision) {
    return Error{fmt::format("block {} of {} is at revision {} now, not {}: it has changed since",
                             index, pool, remote.mod_revision, revision)};
  }
  if (is_mine(remote)) return Error{"it is this host's own; it is released when it is empty"};
  if (around.announced_elsewhere(remote.id)) {
    return Error{fmt::format("block {} is announced by its owner: it lives", remote.id.text())};
  }
  forced_ = kv::KeyValue{block_key(remote.id), {}, 0, revision, 0};
  return {};
}

}  // namespace weft::ipam
