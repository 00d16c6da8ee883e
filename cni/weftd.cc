#include "cni/weftd.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "cni/install.h"

namespace weft::cni {

namespace {

/// Runtimes wait for minutes; a weftd that takes longer than this is not going to answer.
constexpr std::chrono::seconds patience{10};

Failure refusal(const ctl::Failure& failure) {
  switch (failure.code) {
    case ctl::ErrorCode::busy:
    case ctl::ErrorCode::exhausted:
      return {Code::try_again_later, failure.message, {}};
    case ctl::ErrorCode::bad_request:
    case ctl::ErrorCode::not_found:
      return {Code::invalid_config, failure.message, {}};
    case ctl::ErrorCode::internal:
      break;
  }
  return {Code::internal, failure.message, {}};
}

}  // namespace

Weftd::Weftd(const Request& request, const std::string& socket)
    : socket_(!socket.empty()                  ? socket
              : !request.config.socket.empty() ? request.config.socket
                                               : ctl::default_socket) {}

Result<ctl::Reply, Failure> Weftd::call(const ctl::Request& request) const {
  auto reply = ctl::call(socket_, request, patience);
  if (!reply) {
    const bool passing = reply.error().kind != ctl::ClientError::Kind::garbled;
    return Failure{passing ? Code::try_again_later : Code::internal, reply.error().message, {}};
  }
  const auto* failure = std::get_if<ctl::Failure>(&*reply);
  if (failure == nullptr) return *std::move(reply);
  if (std::holds_alternative<ctl::CheckRequest>(request) &&
      failure->code == ctl::ErrorCode::not_found) {
    return Failure{Code::check_failed, "weftd has no address on record for this container", {}};
  }
  return refusal(*failure);
}

void warn(std::string_view text) {
  fmt::print(stderr, "weft-cni: {}\n", text);
}

Result<std::string, Failure> status(const NetworkConfig& config, const Weftd& weftd) {
  const auto status = weftd.ask<ctl::Status>(ctl::StatusRequest{config.name, config.pool});
  if (!status) return Failure{Code::not_available, status.error().message, {}};
  const std::string reason = not_ready(*status);
  if (reason.empty()) return std::string();
  const bool all_are_cut_off = status->peers != 0 && status->peers_established == 0;
  return Failure{all_are_cut_off ? Code::limited_connectivity : Code::not_available, reason,
                 fmt::format("{}", fmt::join(status->warnings, "; "))};
}

}  // namespace weft::cni
