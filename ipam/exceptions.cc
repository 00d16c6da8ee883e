// SharedClaims, the part about exceptions: addresses of one host's block that a container of
// another has. By levels like the rest: what is held and lent here is compared with the keys of the
// store.
//
//   who asks                              store                       who owns the block
//   puts the key, if there is none  --->  asked
//   and the block is still his's                              --->    nobody has it: lends it
//   (disk)
//                                         agreed              <---    if nothing has changed since
//   gives it to the container (disk), announces it
//   the container goes: withdraws, and when no peer has it any more
//   deletes the key                 --->  (none)              --->    BGP does not show it: it
//   cools
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ipam/shared_claims.h"

namespace weft::ipam {

namespace {

using Json = nlohmann::json;

Address address_of(const Place& place) {
  const auto ipv4 = place.block.ipv4_at(place.ordinal);
  return ipv4 ? *ipv4 : *place.block.ipv6_at(place.ordinal);
}

std::optional<Prefix> prefix_of(const Json& value, const char* key) {
  const auto prefix = Prefix::parse(value.value(key, ""));
  return prefix ? std::optional(*prefix) : std::nullopt;
}

/// Nothing when it is not one of ours.
std::optional<Exception> parsed(const kv::KeyValue& stored) {
  const Json value = Json::parse(stored.value, nullptr, false);
  if (!value.is_object()) return std::nullopt;
  try {
    Exception read;
    read.place.block = {value.at("pool"), value.at("block"), prefix_of(value, "ipv4"),
                        prefix_of(value, "ipv6")};
    read.place.ordinal = value.at("ordinal");
    read.host = value.at("host");
    read.incarnation = value.at("incarnation");
    read.why = value.value("why", "");
    const std::string state = value.at("state");
    for (const ExceptionState each : {ExceptionState::agreed, ExceptionState::refused}) {
      if (name(each) == state) read.state = each;
    }
    if (!read.place.block.ipv4 && !read.place.block.ipv6) return std::nullopt;
    if (read.place.ordinal >= read.place.block.capacity()) return std::nullopt;
    read.mod_revision = stored.mod_revision;
    read.lease = stored.lease;
    return read;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string written(const Exception& exception) {
  const BlockId& block = exception.place.block;
  Json value{{"pool", block.pool},
             {"block", block.index},
             {"ordinal", exception.place.ordinal},
             {"host", exception.host},
             {"incarnation", exception.incarnation},
             {"state", name(exception.state)}};
  if (block.ipv4) value["ipv4"] = block.ipv4->text();
  if (block.ipv6) value["ipv6"] = block.ipv6->text();
  if (!exception.why.empty()) value["why"] = exception.why;
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string cannot_be_had(const Place& place, const std::string& why) {
  return fmt::format("{} cannot be had: {}", address_of(place).text(), why);
}

}  // namespace

std::string_view name(ExceptionState state) {
  switch (state) {
    case ExceptionState::asked:
      return "asked";
    case ExceptionState::agreed:
      return "agreed";
    case ExceptionState::refused:
      return "refused";
  }
  return "";
}

Result<void> SharedClaims::ask(const Place& place, Time now) {
  if (pool_of(place.block.pool) == nullptr)
    return Error{fmt::format("pool {} is not shared through etcd", place.block.pool)};
  if (asks_.contains(place))
    return Error{fmt::format("another container waits for {}", address_of(place).text())};
  asks_[place] = {now + ask_patience};
  return {};
}

std::string SharedClaims::exception_key(const Place& place) const {
  return fmt::format("{}/exception/{}", prefix_, address_of(place).text());
}

const Exception* SharedClaims::exception_of(const Place& place) const {
  const auto found = exceptions_.find(address_of(place).text());
  return found == exceptions_.end() ? nullptr : &found->second;
}

bool SharedClaims::owns(const BlockId& block) const {
  const auto claim = claims_.find(block);
  const RemoteBlock* remote = remote_of(block);
  return claim != claims_.end() && claim->second.state == ClaimState::owned && remote != nullptr &&
         is_mine(*remote) && remote->id == block;
}

bool SharedClaims::has_exceptions(const BlockId& block, const Surroundings& around) const {
  const auto borrowed = around.allocator->borrowed().lower_bound({block, 0});
  if (borrowed != around.allocator->borrowed().end() && borrowed->block == block) return true;
  return std::any_of(exceptions_.begin(), exceptions_.end(),
                     [&](const auto& entry) { return entry.second.place.block == block; });
}

void SharedClaims::learn_exception(const std::string& address, const kv::KeyValue& now,
                                   bool deleted) {
  const auto known = exceptions_.find(address);
  if (deleted) {
    if (known == exceptions_.end()) return;
    deleted_[address] = true;
    exceptions_.erase(known);
    return;
  }
  const auto read = parsed(now);
  if (!read || address_of(read->place).text() != address) return;
  deleted_.erase(address);
  exceptions_.insert_or_assign(address, *read);
}

void SharedClaims::forget_exceptions() {
  exceptions_.clear();
  deleted_.clear();
  unclaimed_since_.clear();
}

kv::Request SharedClaims::put_exception(const Exception& wanted, std::int64_t mod_revision,
                                        Purpose purpose, Time now) {
  const std::string key = exception_key(wanted.place);
  const std::string value = written(wanted);
  kv::Txn txn{{{key, mod_revision}}, {kv::Put{key, value, wanted.lease}}, {}};
  // Whoever asks has seen an owner, and only the owner answers.
  const RemoteBlock* block = remote_of(wanted.place.block);
  const bool hangs_on_owner =
      purpose == Purpose::answer_exception || wanted.state == ExceptionState::asked;
  if (hangs_on_owner && block != nullptr)
    txn.when.push_back({block_key(wanted.place.block), block->mod_revision});
  return send(purpose, std::move(txn), now, {key, value, 0, 0, wanted.lease});
}

kv::Request SharedClaims::delete_exception(const Exception& exception, Time now) {
  const std::string key = exception_key(exception.place);
  return send(Purpose::delete_exception,
              kv::Txn{{{key, exception.mod_revision}}, {kv::Delete{key}}, {}}, now,
              {key, {}, 0, 0, 0});
}

void SharedClaims::keep_lent(const BlockId& block, Changes& changes) const {
  for (const auto& [address, exception] : exceptions_) {
    if (exception.place.block == block && exception.state == ExceptionState::agreed &&
        exception.host != identity_.host) {
      changes.emplace_back(Lent{block, exception.place.ordinal, exception.host});
    }
  }
}

Outcome SharedClaims::granted(const Place& place) {
  asks_.erase(place);
  ++exception_statistics_.granted;
  return {place, {}};
}

Outcome SharedClaims::refused(const Place& place, const std::string& why) {
  asks_.erase(place);
  ++exception_statistics_.refused;
  return {place, cannot_be_had(place, why)};
}

std::optional<Outcome> SharedClaims::expired(const Surroundings& around, Time now) {
  for (const auto& [place, ask] : asks_) {
    if (now < ask.deadline) continue;
    const Exception* exception = exception_of(place);
    const RemoteBlock* block = remote_of(place.block);
    std::string why;
    if (!synced_) {
      why = "etcd does not answer, and a fixed address out of another host's block needs it";
    } else if (exception != nullptr && exception->host != identity_.host) {
      why = fmt::format("host {} has it", exception->host);
    } else if (around.place_announced_elsewhere(place)) {
      why = "BGP shows it at another host";
    } else if (block != nullptr && !is_mine(*block)) {
      why = fmt::format("host {}, which owns block {}, has not agreed within {} s", block->host,
                        place.block.text(), ask_patience.count());
    } else {
      why = fmt::format("block {} has not become this host's within {} s", place.block.text(),
                        ask_patience.count());
    }
    ++exception_statistics_.late;
    Outcome late{place, cannot_be_had(place, why)};
    asks_.erase(late.place);
    return late;
  }
  return std::nullopt;
}

void SharedClaims::tend_exceptions(const Surroundings& around, Step& step, Time now) {
  waits_for_bgp_ = false;
  const auto busy = [&] { return step.outcome || step.request || !step.changes.empty(); };
  for (const auto& [address, exception] : exceptions_) {
    if (exception.host == identity_.host) {
      tend_own(exception, around, step, now);
    } else if (owns(exception.place.block)) {
      answer(exception, around, step, now);
    }
    if (busy()) return;
  }
  for (const Place& place : around.allocator->borrowed()) {
    if (exception_of(place) != nullptr) continue;
    // The lease ended while we were away, or the store lost its data.
    const Exception ours{place, identity_.host, identity_.incarnation, ExceptionState::agreed, {},
                         0,     lease_};
    step.request = put_exception(ours, 0, Purpose::put_exception, now);
    return;
  }
  take_back(around, step, now);
  if (busy()) return;
  for (const auto& [place, ask] : asks_) {
    tend_ask(Place(place), around, step, now);
    if (busy()) return;
  }
}

/// Our name stands in the key.
void SharedClaims::tend_own(const Exception& exception, const Surroundings& around, Step& step,
                            Time now) {
  const Place& place = exception.place;
  const bool mine = exception.incarnation == identity_.incarnation;
  if (!mine && !takes_over()) return;
  if (around.allocator->borrowed().contains(place)) {
    if (mine && (exception.lease == lease_ || exception.state != ExceptionState::agreed)) return;
    Exception ours = exception;
    ours.incarnation = identity_.incarnation;
    ours.lease = lease_;
    step.request = put_exception(ours, exception.mod_revision, Purpose::put_exception, now);
    return;
  }
  if (mine && asks_.contains(place)) {
    if (exception.state == ExceptionState::refused) {
      const RemoteBlock* block = remote_of(place.block);
      step.outcome =
          refused(Place(place), fmt::format("host {}, which owns its block, says: {}",
                                            block == nullptr ? "?" : block->host, exception.why));
    } else if (exception.state == ExceptionState::agreed) {
      if (around.place_announced_elsewhere(place)) {
        waits_for_bgp_ = true;
      } else {
        step.outcome = granted(Place(place));
      }
    }
    return;
  }
  // Withdraw before release.
  if (around.place_announced_by_us(place)) {
    waits_for_bgp_ = true;
    return;
  }
  step.request = delete_exception(exception, now);
}

/// Another host's name stands in the key, and the block is ours.
void SharedClaims::answer(const Exception& exception, const Surroundings& around, Step& step,
                          Time now) {
  const Place& place = exception.place;
  const auto lent = around.allocator->lent().find(place);
  const bool is_lent = lent != around.allocator->lent().end();
  Exception answer = exception;
  if (is_lent && lent->second == exception.host) {
    if (exception.state == ExceptionState::agreed) return;
    answer.state = ExceptionState::agreed;
    answer.why.clear();
    ++exception_statistics_.lent;
    step.request = put_exception(answer, exception.mod_revision, Purpose::answer_exception, now);
    return;
  }
  std::string why = around.allocator->why_not_lent(place);
  if (!why.empty()) {
    if (exception.state == ExceptionState::refused) return;
    // It was put again by a host that holds it, after the store had lost it.
    if (exception.state == ExceptionState::agreed) ++exception_statistics_.conflicts;
    answer.state = ExceptionState::refused;
    answer.why = std::move(why);
    step.request = put_exception(answer, exception.mod_revision, Purpose::answer_exception, now);
    return;
  }
  // A former borrower may be cut off from the store, but not from the fabric.
  if (exception.state == ExceptionState::asked && around.place_announced_elsewhere(place)) {
    waits_for_bgp_ = true;
    return;
  }
  step.changes.emplace_back(Lent{place.block, place.ordinal, exception.host});
}

/// What nobody has asked for any more cools here. That a key was seen to be deleted is the word of
/// its host, or the end of its lease; that a list does not show it may be a store that lost its
/// data, and its host will put it again.
void SharedClaims::take_back(const Surroundings& around, Step& step, Time now) {
  std::erase_if(unclaimed_since_, [&](const auto& entry) {
    return exception_of(entry.first) != nullptr || !around.allocator->lent().contains(entry.first);
  });
  for (const auto& [place, host] : around.allocator->lent()) {
    if (exception_of(place) != nullptr || !owns(place.block)) continue;
    const Time since = unclaimed_since_.try_emplace(place, now).first->second;
    const bool told = deleted_.contains(address_of(place).text());
    if (now - since < (told ? withdrawn_for : empty_for) || around.place_announced_elsewhere(place))
      continue;
    step.changes.emplace_back(Returned{place.block, place.ordinal, now, identity_.boot_id});
    return;
  }
}

/// There is no key with our name.
void SharedClaims::tend_ask(const Place& place, const Surroundings& around, Step& step, Time now) {
  const Exception* exception = exception_of(place);
  if (exception != nullptr && exception->host == identity_.host) return;
  const SharedPool* shared = pool_of(place.block.pool);
  if (shared == nullptr) {
    step.outcome = refused(place, fmt::format("pool {} is not shared any more", place.block.pool));
    return;
  }
  // Its container may be on its way out, as one that moves from there to here is.
  if (exception != nullptr) return;
  const bool announced = around.place_announced_elsewhere(place);
  if (announced) waits_for_bgp_ = true;
  if (owns(place.block)) {
    if (announced) return;
    if (around.allocator->lent().contains(place)) {
      step.changes.emplace_back(Returned{place.block, place.ordinal, now, identity_.boot_id});
    } else {
      step.outcome = granted(place);
    }
    return;
  }
  if (const auto claim = claims_.find(place.block); claim != claims_.end()) {
    if (claim->second.state == ClaimState::claiming) return;
    step.outcome = refused(place, fmt::format("its block {} is {} here", place.block.text(),
                                              name(claim->second.state)));
    return;
  }
  if (announced) return;
  if (remote_of(place.block) != nullptr) {
    const Exception ours{place, identity_.host, identity_.incarnation, ExceptionState::asked, {},
                         0,     lease_};
    step.request = put_exception(ours, 0, Purpose::put_exception, now);
    return;
  }
  // Nobody owns the block: it becomes ours, like any other.
  const auto owned = std::count_if(claims_.begin(), claims_.end(), [&](const auto& entry) {
    return entry.first.pool == place.block.pool && entry.second.state == ClaimState::owned;
  });
  if (static_cast<std::uint64_t>(owned) >= shared->claim.max_blocks) {
    step.outcome = refused(
        place, fmt::format("nobody owns its block {}, and this host has {} blocks already, as many "
                           "as pools.{}.claim.etcd.max-blocks allows",
                           place.block.text(), owned, place.block.pool));
  } else if (around.announced_elsewhere(place.block)) {
    step.outcome = refused(place, fmt::format("its block {} has no owner in etcd, but BGP shows it",
                                              place.block.text()));
  } else if (has_exceptions(place.block, around) || overlaps_ours(place.block)) {
    step.outcome =
        refused(place, fmt::format("its block {} has no owner, and addresses of it are in use",
                                   place.block.text()));
  } else {
    step.changes.emplace_back(Claimed{place.block, ClaimState::claiming});
  }
}

}  // namespace weft::ipam
