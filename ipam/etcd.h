// Etcd: a client of etcd's JSON gateway (etcd 3.4, HTTP/1.1, with or without TLS) on the main loop:
// one request at a time, one watch, several endpoints of which the next is taken when one fails.
// Bears the token of a user and renews it when it is refused. What is asked, and what answers mean,
// is `shared_claims`.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ipam/kv.h"
#include "ipam/settings.h"
#include "net/result.h"

namespace boost::asio {
class io_context;
}

namespace weft::ipam {

/// A member that does not answer for so long is left for the next.
inline constexpr std::chrono::seconds etcd_patience{3};
/// Octets of one answer: some hundred thousand blocks.
inline constexpr std::size_t etcd_answer_limit = 256UL * 1024 * 1024;
/// Octets of one line of the watch.
inline constexpr std::size_t etcd_line_limit = 16UL * 1024 * 1024;

struct EtcdStatistics {
  struct Operation {
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
  };
  /// By "txn", "grant", "keepalive", "authenticate", "watch".
  std::map<std::string, Operation> operations;
  /// Durations of the requests that were answered since they were last taken.
  std::vector<std::chrono::nanoseconds> times;
  /// The one in use.
  std::string endpoint;
};

class Etcd {
 public:
  /// Loads the client (ipam/etcd_client.cc), which hosts without etcd do without: TLS and HTTP take
  /// 2 MiB. The error is about that, files of certificates and keys, or an endpoint that is no URL.
  static Result<std::unique_ptr<Etcd>> create(boost::asio::io_context& io,
                                              const EtcdClaim& settings);
  Etcd() = default;
  Etcd(const Etcd&) = delete;
  Etcd& operator=(const Etcd&) = delete;
  virtual ~Etcd() = default;

  /// One at a time. Answered on the main loop, never from inside of the call, after every endpoint
  /// was tried once at most.
  virtual void send(const kv::Request& request, std::function<void(kv::Answer)> answered) = 0;

  /// Ends the watch before it, without a word.
  virtual void watch(std::string prefix, std::int64_t revision,
                     std::function<void(kv::Watched)> changed,
                     std::function<void(std::string)> ended) = 0;
  virtual void stop_watch() = 0;

  virtual EtcdStatistics& statistics() = 0;
};

/// What the client's module has under the name "weft_etcd".
struct EtcdModule {
  /// Of the weft it was built with: only its own weftd may use it.
  const char* version;
  Result<std::unique_ptr<Etcd>> (*make)(boost::asio::io_context& io, const EtcdClaim& settings);
};

}  // namespace weft::ipam
