// Weftd: the daemon as one run of a plugin sees it: a request, the reply that is due, or the
// failure to print. I/O.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "cni/request.h"
#include "cni/result.h"
#include "ctl/client.h"
#include "ctl/protocol.h"
#include "net/result.h"

namespace weft::cni {

class Weftd {
 public:
  /// `socket` overrides the configuration's when it is not empty.
  Weftd(const Request& request, const std::string& socket);

  /// The reply of the kind that is due, or why there is none.
  template <typename Due>
  [[nodiscard]] Result<Due, Failure> ask(const ctl::Request& request) const {
    auto reply = call(request);
    if (!reply) return reply.error();
    if (auto* due = std::get_if<Due>(&*reply)) return std::move(*due);
    return Failure{Code::internal, "weftd answered something else than was asked", {}};
  }
  /// Any reply but a refusal.
  [[nodiscard]] Result<ctl::Reply, Failure> call(const ctl::Request& request) const;

 private:
  std::string socket_;
};

/// For people: to stderr, which runtimes copy into their logs.
void warn(std::string_view text);

/// STATUS: prints nothing, or why an ADD would fail.
Result<std::string, Failure> status(const NetworkConfig& config, const Weftd& weftd);

}  // namespace weft::cni
