// kv: what is asked of an etcd v3 store and what it answers, as values (etcd API: KV, Lease,
// Watch). Not here: how they travel, which is `gateway` (JSON) and `etcd` (sockets).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace weft::ipam::kv {

/// One key of the store. Revisions are of the whole store and only rise.
struct KeyValue {
  std::string key;
  std::string value;
  std::int64_t create_revision = 0;
  std::int64_t mod_revision = 0;
  /// 0: none.
  std::int64_t lease = 0;
  bool operator==(const KeyValue&) const = default;
};

/// True when the key's last change was at this revision; 0: when there is no such key.
struct Compare {
  std::string key;
  std::int64_t mod_revision = 0;
  bool operator==(const Compare&) const = default;
};

/// The keys from `key` to before `end`; without end that one key.
struct Range {
  std::string key;
  std::string end;
  bool operator==(const Range&) const = default;
};
struct Put {
  std::string key;
  std::string value;
  std::int64_t lease = 0;
  bool operator==(const Put&) const = default;
};
struct Delete {
  std::string key;
  bool operator==(const Delete&) const = default;
};
using Operation = std::variant<Range, Put, Delete>;

/// All of `then` when all of `when` are true, else all of `otherwise`; in one revision.
struct Txn {
  std::vector<Compare> when;
  std::vector<Operation> then;
  std::vector<Operation> otherwise;
  bool operator==(const Txn&) const = default;
};
/// A new lease; keys put under it go with it.
struct Grant {
  std::chrono::seconds ttl{0};
  bool operator==(const Grant&) const = default;
};
struct KeepAlive {
  std::int64_t lease = 0;
  bool operator==(const KeepAlive&) const = default;
};
using Request = std::variant<Txn, Grant, KeepAlive>;

struct TxnAnswer {
  /// Of the store when it answered.
  std::int64_t revision = 0;
  bool succeeded = false;
  /// What its ranges found, one after the other.
  std::vector<KeyValue> found;
  bool operator==(const TxnAnswer&) const = default;
};
struct LeaseAnswer {
  std::int64_t revision = 0;
  std::int64_t lease = 0;
  /// 0: there is no such lease.
  std::chrono::seconds ttl{0};
  bool operator==(const LeaseAnswer&) const = default;
};
/// Nobody answered, or with an error. Whether the request took effect is unknown.
struct Fault {
  std::string message;
  /// The lease the request named does not exist; then nothing took effect.
  bool lease_gone = false;
  bool operator==(const Fault&) const = default;
};
using Answer = std::variant<TxnAnswer, LeaseAnswer, Fault>;

/// Changes since the watch began, in order.
struct Watched {
  struct Event {
    bool deleted = false;
    KeyValue now;
    bool operator==(const Event&) const = default;
  };
  std::int64_t revision = 0;
  std::vector<Event> events;
  /// The store has forgotten what was asked for: list again.
  bool compacted = false;
  bool operator==(const Watched&) const = default;
};

/// Behind every key that begins with `prefix`.
std::string end_of(std::string prefix);

}  // namespace weft::ipam::kv
