// SharedClaims: this host's claims on blocks of pools that it shares with other hosts through an
// etcd store. Pure: what the store answers goes in, requests to it and changes to commit come out,
// one at a time. It works by levels, not by edges: whatever was lost on the way (an answer, a
// watch, the whole store), the next step compares what is on disk here with what the store shows
// and does what is missing.
//
// One key a block, <prefix>/pool/<pool>/block/<index>, under this host's lease, tells its owner; it
// is made in one transaction only where there is none. <prefix>/host/<host>/incarnation tells who
// bears the host's name. An owner is a host name and an incarnation, which is new when a host's
// state is. A block that BGP shows at another host is never claimed, whatever the store says.
//
// One key an exception, <prefix>/exception/<address>, under the lease of the host whose container
// is to have an address of another's block. That host asks; only the owner of the block may agree,
// because only it hands the block's addresses out: it lends the address on its own disk first. Both
// do so by compare, so that whoever decided on an old view has not decided (`exceptions.cc`).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipam/allocator.h"
#include "ipam/kv.h"
#include "ipam/lease.h"
#include "ipam/settings.h"
#include "net/time.h"

namespace weft::ipam {

/// Lost races in a row after which claiming slows down.
inline constexpr std::uint32_t races_before_backoff = 8;
/// Between the two looks that find a block empty, and from a withdrawal to the release.
inline constexpr std::chrono::seconds empty_for{60};
inline constexpr std::chrono::seconds withdrawn_for{5};

/// How long an owner of a block may take to agree to an exception; shorter than weft-cni's
/// patience.
inline constexpr std::chrono::seconds ask_patience{5};

/// Who this host is for the store.
struct Identity {
  std::string host;
  /// Made with the state directory; tells a host that was installed anew from its former self.
  std::string incarnation;
  std::string boot_id;
  /// The operator says that no other host of this name lives: take over what it claimed.
  bool takeover = false;
};

/// What the claims ask of the rest of weftd, at the time of a step.
struct Surroundings {
  /// BGP shows the block, or an address in it that is not lent, at another host.
  std::function<bool(const BlockId&)> announced_elsewhere;
  /// A peer still has it from us.
  std::function<bool(const BlockId&)> announced_by_us;
  /// Allocator::blocks()
  std::vector<BlockStatus> blocks;
  /// The same two of one place.
  std::function<bool(const Place&)> place_announced_elsewhere;
  std::function<bool(const Place&)> place_announced_by_us;
  const Allocator* allocator = nullptr;
};

/// What became of ask().
struct Outcome {
  Place place;
  /// A sentence; empty: the place may be taken now, and is given back when it is not.
  std::string refusal;
};

struct Step {
  /// To be committed and applied before anything else; then there is no request.
  Changes changes;
  /// To be told before anything else; then there are neither changes nor a request.
  std::optional<Outcome> outcome;
  /// To be sent; answered() is due. No other comes before that.
  std::optional<kv::Request> request;
};

struct ClaimStatistics {
  std::uint64_t won = 0;
  std::uint64_t lost_races = 0;
  /// Free in the store, and BGP shows them at another host.
  std::uint64_t vetoed = 0;
  std::uint64_t adopted = 0;
  /// Blocks of ours that turned out to be another's.
  std::uint64_t conflicts = 0;
  std::uint64_t released = 0;
};

/// A block of the shared pools, as the store shows it.
struct RemoteBlock {
  BlockId id;
  std::string host;
  std::string incarnation;
  std::int64_t mod_revision = 0;
  std::int64_t lease = 0;
};

enum class ExceptionState : std::uint8_t {
  asked,    ///< by the host that wants the address
  agreed,   ///< by the owner of the block: the address is lent
  refused,  ///< by the owner, who says why
};
std::string_view name(ExceptionState state);

/// An address of one host's block for a container of another, as the store shows it.
struct Exception {
  Place place;
  std::string host;
  std::string incarnation;
  ExceptionState state = ExceptionState::asked;
  std::string why;
  std::int64_t mod_revision = 0;
  std::int64_t lease = 0;
};

struct ExceptionStatistics {
  std::uint64_t granted = 0;
  std::uint64_t refused = 0;
  /// Nobody agreed in time.
  std::uint64_t late = 0;
  /// Addresses lent, and those that two hosts gave.
  std::uint64_t lent = 0;
  std::uint64_t conflicts = 0;
};

class SharedClaims {
 public:
  SharedClaims(Identity identity, const EtcdClaim& store);

  /// Pools whose claim is `etcd`; the settings are valid.
  void configure(const Settings& settings);
  /// Committed changes, from the start on.
  void apply(const Changes& changes, Time now);

  Step step(const Surroundings& around, Time now);
  void answered(const kv::Answer& answer, Time now);

  /// The watch that is wanted: all changes below the prefix, from this revision on; none: none yet.
  /// Another number than before is another watch.
  [[nodiscard]] std::optional<std::int64_t> watch_from() const;
  void watched(const kv::Watched& change, Time now);
  void watch_ended(Time now);

  /// A container here is to have the place (Refusal::ask_for): its outcome comes from a step within
  /// `ask_patience`. The error says why not.
  Result<void> ask(const Place& place, Time now);
  /// By address.
  [[nodiscard]] const std::map<std::string, Exception>& exceptions() const { return exceptions_; }
  [[nodiscard]] const ExceptionStatistics& exception_statistics() const {
    return exception_statistics_;
  }

  /// When the next step is due although nothing was heard.
  [[nodiscard]] Time deadline(Time now) const;

  /// The store answers and this host has seen all of it.
  [[nodiscard]] bool synced() const { return synced_; }
  /// Wanted by the settings at all.
  [[nodiscard]] bool used() const { return !pools_.empty() || !claims_.empty(); }
  /// What an operator should look at, one sentence each.
  [[nodiscard]] std::vector<std::string> complaints(Time now) const;
  [[nodiscard]] const std::map<std::string, ClaimStatistics>& statistics() const {
    return statistics_;
  }
  /// Every block in the store, as it was last seen.
  [[nodiscard]] std::vector<RemoteBlock> remote() const;
  /// How long the claims took that were won since the last call.
  std::vector<Time::duration> take_claim_times();

  /// Another host's block is given up on behalf of a host that is gone. `revision` is what the
  /// operator saw, so that a block that lives on meanwhile is left alone. The sentence says why
  /// not.
  Result<void> force_release(const std::string& pool, std::uint32_t index, std::int64_t revision,
                             const Surroundings& around);

 private:
  using Key = std::pair<std::string, std::uint32_t>;
  enum class Purpose : std::uint8_t {
    list,
    grant,
    keepalive,
    identify,
    put_block,
    delete_block,
    put_exception,
    answer_exception,
    delete_exception,
  };
  struct Pending {
    Purpose purpose = Purpose::list;
    std::string key;
    kv::KeyValue wanted;
    Time sent;
  };
  struct Claim {
    ClaimState state = ClaimState::claiming;
    Time since;
    std::optional<Time> empty_since;
    std::optional<Time> withdrawn_since;
  };
  struct SharedPool {
    Pool pool;
    EtcdClaim claim;
  };
  struct HostKey {
    std::string incarnation;
    std::string boot_id;
    std::int64_t mod_revision = 0;
    std::int64_t lease = 0;
  };

  struct Ask {
    Time deadline;
  };

  [[nodiscard]] std::string block_key(const BlockId& block) const;
  [[nodiscard]] std::string host_key() const;
  [[nodiscard]] std::string block_value(const BlockId& block) const;
  [[nodiscard]] bool is_mine(const RemoteBlock& block) const;
  [[nodiscard]] const RemoteBlock* remote_of(const BlockId& block) const;
  [[nodiscard]] const SharedPool* pool_of(const std::string& name) const;

  void learn(const kv::KeyValue& now, bool deleted);
  kv::Request send(Purpose purpose, kv::Request request, Time now, kv::KeyValue wanted = {});
  kv::Request put_block(const BlockId& block, std::int64_t mod_revision, Time now);
  kv::Request delete_block(const BlockId& block, std::int64_t mod_revision, Time now);

  [[nodiscard]] std::optional<kv::Request> session(Time now);
  [[nodiscard]] std::optional<kv::Request> adopt(Changes& changes, Time now);
  /// What is due for one claim; a change goes to `changes`.
  std::optional<kv::Request> tend(const BlockId& block, Claim& claim, const Surroundings& around,
                                  Changes& changes, Time now);
  std::optional<kv::Request> tend_releasing(const BlockId& block, Claim& claim,
                                            const Surroundings& around, Changes& changes, Time now);
  void want_more(const SharedPool& shared, const Surroundings& around, Changes& changes, Time now);
  void want_less(const std::string& pool, const SharedPool* shared, const Surroundings& around,
                 Changes& changes, Time now);
  std::optional<BlockId> candidate(const SharedPool& shared, const Surroundings& around);
  void give_up(const BlockId& block, Changes& changes) const;
  [[nodiscard]] bool overlaps_ours(const BlockId& block) const;
  [[nodiscard]] bool takes_over() const;

  [[nodiscard]] std::string exception_key(const Place& place) const;
  [[nodiscard]] const Exception* exception_of(const Place& place) const;
  [[nodiscard]] bool owns(const BlockId& block) const;
  [[nodiscard]] bool has_exceptions(const BlockId& block, const Surroundings& around) const;
  void learn_exception(const std::string& address, const kv::KeyValue& now, bool deleted);
  void forget_exceptions();
  kv::Request put_exception(const Exception& wanted, std::int64_t mod_revision, Purpose purpose,
                            Time now);
  kv::Request delete_exception(const Exception& exception, Time now);
  /// The block becomes ours: what its former owner lent of it stays lent.
  void keep_lent(const BlockId& block, Changes& changes) const;
  [[nodiscard]] std::optional<Outcome> expired(const Surroundings& around, Time now);
  void tend_exceptions(const Surroundings& around, Step& step, Time now);
  void tend_own(const Exception& exception, const Surroundings& around, Step& step, Time now);
  void answer(const Exception& exception, const Surroundings& around, Step& step, Time now);
  void take_back(const Surroundings& around, Step& step, Time now);
  void tend_ask(const Place& place, const Surroundings& around, Step& step, Time now);
  [[nodiscard]] Outcome granted(const Place& place);
  [[nodiscard]] Outcome refused(const Place& place, const std::string& why);

  Identity identity_;
  std::string prefix_;
  std::chrono::seconds ttl_;
  std::vector<SharedPool> pools_;
  std::map<BlockId, Claim> claims_;

  std::optional<Pending> pending_;
  bool synced_ = false;
  std::int64_t revision_ = 0;
  std::int64_t listed_ = 0;
  std::map<Key, RemoteBlock> remote_;
  std::optional<HostKey> host_;
  /// By key: what the watch says of it up to this revision is older than what we know.
  std::map<std::string, std::int64_t> floors_;
  std::int64_t lease_ = 0;
  Time keepalive_at_;
  Time retry_at_;
  std::uint32_t failures_ = 0;
  std::uint32_t races_ = 0;
  Time claim_at_;
  std::string last_failure_;
  std::optional<Time> failing_since_;
  std::optional<kv::KeyValue> forced_;
  std::map<std::string, bool> exhausted_;
  std::map<std::string, ClaimStatistics> statistics_;
  std::vector<Time::duration> claim_times_;

  /// By address, the first of the place's two.
  std::map<std::string, Exception> exceptions_;
  std::map<Place, Ask> asks_;
  /// Lent places without a key, and whether it was seen to be deleted.
  std::map<Place, Time> unclaimed_since_;
  std::map<std::string, bool> deleted_;
  /// Something that BGP shows is waited for.
  bool waits_for_bgp_ = false;
  ExceptionStatistics exception_statistics_;
};

}  // namespace weft::ipam
