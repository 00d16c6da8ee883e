// Several hosts that share a pool, in virtual time, beside a model of etcd that loses requests,
// answers, leases and all of its data on command. BGP is a set: who announces which block, and
// which address by itself.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <set>

#include "ipam/shared_claims.h"

namespace weft::ipam {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::SizeIs;

/// etcd, as far as claims see it.
struct Model {
  std::map<std::string, kv::KeyValue> keys;
  std::map<std::int64_t, Time> leases;
  std::int64_t revision = 1;
  std::int64_t next_lease = 100;
  seconds ttl{60};
  std::vector<kv::Watched> history;
  bool up = true;

  void change(const std::string& key, const kv::KeyValue& now, bool deleted) {
    history.push_back({revision, {{deleted, now}}, false});
    if (deleted) {
      keys.erase(key);
    } else {
      keys[key] = now;
    }
  }
  void expire(Time now) {
    for (auto lease = leases.begin(); lease != leases.end();) {
      if (lease->second > now) {
        ++lease;
        continue;
      }
      revoke(lease->first);
      lease = leases.erase(lease);
    }
  }
  void revoke(std::int64_t lease) {
    ++revision;
    std::vector<std::string> gone;
    for (const auto& [key, value] : keys) {
      if (value.lease == lease) gone.push_back(key);
    }
    for (const auto& key : gone) change(key, {key, {}, 0, revision, 0}, true);
  }
  void lose_everything() {
    keys.clear();
    leases.clear();
    history.clear();
    revision = 1;
  }

  kv::Answer answer(const kv::Request& request, Time now) {
    expire(now);
    return std::visit(Overloaded{
                          [&](const kv::Grant& grant) -> kv::Answer {
                            ttl = grant.ttl;
                            leases[++next_lease] = now + ttl;
                            return kv::LeaseAnswer{revision, next_lease, ttl};
                          },
                          [&](const kv::KeepAlive& alive) -> kv::Answer {
                            const auto found = leases.find(alive.lease);
                            if (found == leases.end())
                              return kv::LeaseAnswer{revision, alive.lease, seconds(0)};
                            found->second = now + ttl;
                            return kv::LeaseAnswer{revision, alive.lease, ttl};
                          },
                          [&](const kv::Txn& txn) { return transact(txn); },
                      },
                      request);
  }
  kv::Answer transact(const kv::Txn& txn) {
    kv::TxnAnswer answer;
    answer.succeeded =
        std::all_of(txn.when.begin(), txn.when.end(), [&](const kv::Compare& compare) {
          const auto found = keys.find(compare.key);
          return compare.mod_revision == (found == keys.end() ? 0 : found->second.mod_revision);
        });
    bool raised = false;
    for (const kv::Operation& operation : answer.succeeded ? txn.then : txn.otherwise) {
      if (const auto* range = std::get_if<kv::Range>(&operation)) {
        const std::string end = range->end.empty() ? range->key + '\0' : range->end;
        for (auto at = keys.lower_bound(range->key); at != keys.end() && at->first < end; ++at)
          answer.found.push_back(at->second);
        continue;
      }
      if (!std::exchange(raised, true)) ++revision;
      if (const auto* put = std::get_if<kv::Put>(&operation)) {
        if (put->lease != 0 && !leases.contains(put->lease))
          return kv::Fault{"requested lease not found", true};
        const auto before = keys.find(put->key);
        change(
            put->key,
            {put->key, put->value, before == keys.end() ? revision : before->second.create_revision,
             revision, put->lease},
            false);
      } else {
        const auto& gone = std::get<kv::Delete>(operation);
        change(gone.key, {gone.key, {}, 0, revision, 0}, true);
      }
    }
    answer.revision = revision;
    return answer;
  }
};

inline Settings settings_of(seconds lease = seconds(60)) {
  PoolSettings pool;
  pool.name = "p";
  pool.ipv4 = *Prefix::parse("10.64.0.0/27");
  pool.ipv6 = *Prefix::parse("fd64::/123");
  pool.ipv4_block_length = 30;
  pool.ipv6_block_length = 126;
  EtcdClaim claim;
  claim.endpoints = {"http://model"};
  claim.spare = 2;
  claim.lease = lease;
  pool.claim = claim;
  Settings settings;
  settings.pools = {pool};
  settings.cool_down = seconds(0);
  settings.labels = {{"name", "any"}};
  return settings;
}

struct World {
  Model etcd;
  /// Block, by who announces it.
  std::map<BlockId, std::set<std::string>> bgp;
  std::map<Place, std::set<std::string>> bgp_addresses;
  Time now{seconds(1000)};
};

enum class Crash { never, before_store, after_store };

/// weftd, as far as claims go.
class Host {
 public:
  Host(World& world, std::string name, std::string incarnation = "1", std::string boot = "b1")
      : world_(world),
        name_(std::move(name)),
        incarnation_(std::move(incarnation)),
        boot_(std::move(boot)) {
    start();
  }

  /// The process begins anew from its disk.
  void start(bool takeover = false) {
    allocator = std::make_unique<Allocator>(boot_, 1);
    EXPECT_TRUE(allocator->configure(settings));
    allocator->apply(disk);
    core = std::make_unique<SharedClaims>(Identity{name_, incarnation_, boot_, takeover},
                                          std::get<EtcdClaim>(settings.pools[0].claim));
    core->apply(disk, Time{});
    core->configure(settings);
    seen_ = 0;
    watching_.reset();
    waiting_.clear();
    announce();
  }

  void lose_disk(const std::string& incarnation, const std::string& boot) {
    disk.clear();
    incarnation_ = incarnation;
    boot_ = boot;
  }

  Surroundings around() {
    return {[this](const BlockId& block) {
              if (by_others(world_.bgp[block])) return true;
              return std::any_of(world_.bgp_addresses.begin(), world_.bgp_addresses.end(),
                                 [&](const auto& entry) {
                                   return entry.first.block == block && by_others(entry.second) &&
                                          !allocator->lent().contains(entry.first);
                                 });
            },
            [this](const BlockId& block) {
              return world_.bgp[block].contains(name_) || not_yet_withdrawn.contains(block);
            },
            allocator->blocks(world_.now),
            [this](const Place& place) { return by_others(world_.bgp_addresses[place]); },
            [this](const Place& place) { return world_.bgp_addresses[place].contains(name_); },
            allocator.get()};
  }

  /// Until nothing is left to do at this moment; false: it crashed.
  bool run() {
    for (int i = 0; i < 1000; ++i) {
      watch();
      Step step = core->step(around(), world_.now);
      if (step.outcome) {
        settle(*step.outcome);
        continue;
      }
      if (!step.changes.empty()) {
        commit(step.changes);
        continue;
      }
      if (!step.request) return true;
      const bool claims =
          std::holds_alternative<kv::Txn>(*step.request) &&
          !std::get<kv::Txn>(*step.request).when.empty() &&
          std::get<kv::Txn>(*step.request).when[0].key.find("/pool/") != std::string::npos;
      if (claims && crash == Crash::before_store) return false;
      if (claims && before_claim) before_claim(std::get<kv::Txn>(*step.request));
      if (before_exception && std::holds_alternative<kv::Txn>(*step.request)) {
        const auto& txn = std::get<kv::Txn>(*step.request);
        if (!txn.when.empty() && txn.when[0].key.find("/exception/") != std::string::npos)
          std::exchange(before_exception, nullptr)();
      }
      if (!world_.etcd.up || !reaches_etcd) {
        core->answered(kv::Fault{"unreachable"}, world_.now);
        continue;
      }
      const kv::Answer answer = world_.etcd.answer(*step.request, world_.now);
      if (claims && crash == Crash::after_store) return false;
      if (claims && lose_answers) {
        core->answered(kv::Fault{"timed out"}, world_.now);
        continue;
      }
      core->answered(answer, world_.now);
    }
    ADD_FAILURE() << name_ << " does not come to rest";
    return true;
  }

  void commit(const Changes& changes) {
    disk.insert(disk.end(), changes.begin(), changes.end());
    allocator->apply(changes);
    core->apply(changes, world_.now);
    announce();
    if (committed) committed();
  }

  void announce() {
    for (auto& [block, hosts] : world_.bgp) hosts.erase(name_);
    for (auto& [place, hosts] : world_.bgp_addresses) hosts.erase(name_);
    if (!in_fabric) return;
    for (const Place& place : allocator->borrowed()) world_.bgp_addresses[place].insert(name_);
    for (const LeaseStatus& held : allocator->leases()) {
      const auto claim = allocator->claims().find(held.lease.block);
      if (claim != allocator->claims().end() && claim->second == ClaimState::lost)
        world_.bgp_addresses[{held.lease.block, held.lease.ordinal}].insert(name_);
    }
    for (const BlockStatus& block : allocator->blocks(world_.now)) {
      if (block.state == BlockState::owned || block.state == BlockState::draining)
        world_.bgp[block.id].insert(name_);
    }
  }

  std::optional<Lease> add(const std::string& container) {
    const auto grant =
        allocator->allocate({{"net", container, "eth0"}, container, 7, "", {}}, world_.now);
    if (!grant) return std::nullopt;
    commit(grant->changes);
    return grant->lease;
  }
  /// An ADD with a fixed address; whatever it needs of others comes later, in `refusals`.
  void add_fixed(const std::string& container, const std::string& address, bool agreed = false) {
    AllocateRequest request{
        {"net", container, "eth0"}, container, 7, "", {*Address::parse(address)}};
    request.agreed = agreed;
    const auto grant = allocator->allocate(request, world_.now);
    if (grant) {
      commit(grant->changes);
      refusals.erase(container);
      return;
    }
    refusals[container] = grant.error().message;
    if (!grant.error().ask_for || agreed) return;
    if (const auto asked = core->ask(*grant.error().ask_for, world_.now); !asked) {
      refusals[container] = asked.error().message;
      return;
    }
    waiting_[*grant.error().ask_for] = {container, address};
    refusals[container] = "waits";
  }
  std::string address_of(const std::string& container) const {
    const Lease* lease = allocator->find(Attachment{"net", container, "eth0"});
    return lease == nullptr ? "" : lease->ipv4()->text();
  }
  void del(const std::string& container) {
    std::erase_if(waiting_, [&](const auto& entry) { return entry.second.first == container; });
    commit(allocator->release({"net", container, "eth0"}, std::nullopt, world_.now).changes);
  }

  std::vector<BlockId> in(ClaimState state) const {
    std::vector<BlockId> found;
    for (const auto& [block, of] : allocator->claims()) {
      if (of == state) found.push_back(block);
    }
    return found;
  }

  const std::string& name() const { return name_; }

  Settings settings = settings_of();
  std::unique_ptr<Allocator> allocator;
  std::unique_ptr<SharedClaims> core;
  Changes disk;
  Crash crash = Crash::never;
  bool reaches_etcd = true;
  /// False: nobody sees what it announces.
  bool in_fabric = true;
  /// Of fixed addresses, by container.
  std::map<std::string, std::string> refusals;
  bool lose_answers = false;
  /// What etcd has agreed to is never given.
  bool dies_before_commit = false;
  /// What others do between this host's look and its claim.
  std::function<void(const kv::Txn&)> before_claim;
  /// The same with an exception, once.
  std::function<void()> before_exception;
  /// After each change of its state.
  std::function<void()> committed;
  /// Peers that have not taken the withdrawal yet.
  std::set<BlockId> not_yet_withdrawn;

 private:
  bool by_others(const std::set<std::string>& hosts) const {
    return std::any_of(hosts.begin(), hosts.end(),
                       [this](const std::string& host) { return host != name_; });
  }
  void settle(const Outcome& outcome) {
    const auto waiting = waiting_.extract(outcome.place);
    if (waiting.empty()) return;
    const auto& [container, address] = waiting.mapped();
    if (dies_before_commit) return;
    if (outcome.refusal.empty()) {
      add_fixed(container, address, true);
    } else {
      refusals[container] = outcome.refusal;
    }
  }
  void watch() {
    const auto from = core->watch_from();
    if (!from) return;
    if (from != watching_) {
      watching_ = from;
      seen_ = 0;
    }
    if (!reaches_etcd || !world_.etcd.up) return;
    for (; seen_ < world_.etcd.history.size(); ++seen_) {
      if (world_.etcd.history[seen_].revision >= *from)
        core->watched(world_.etcd.history[seen_], world_.now);
      if (core->watch_from() != watching_) return;
    }
  }

  World& world_;
  std::string name_;
  std::string incarnation_;
  std::string boot_;
  std::map<Place, std::pair<std::string, std::string>> waiting_;
  std::optional<std::int64_t> watching_;
  std::size_t seen_ = 0;
};

class Shared : public testing::Test {
 protected:
  void pass(int time, const std::vector<Host*>& hosts) {
    for (int i = 0; i < time; ++i) {
      world.now += seconds(1);
      if (world.etcd.up) world.etcd.expire(world.now);
      for (Host* host : hosts) host->run();
    }
  }
  std::string owner(const BlockId& block) {
    const auto found = world.etcd.keys.find(fmt::format("/weft/v1/pool/p/block/{}", block.index));
    return found == world.etcd.keys.end() ? "" : found->second.value;
  }
  World world;
};

}  // namespace weft::ipam
