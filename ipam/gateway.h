// gateway: kv requests and answers as the JSON of etcd's gRPC gateway (etcd 3.4, POST /v3/...):
// keys and values in base64, 64-bit numbers as strings, what is zero left out. Pure: text in, text
// out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ipam/kv.h"
#include "net/result.h"

namespace weft::ipam::gateway {

/// Where a request is posted: "/v3/kv/txn", …
std::string_view path(const kv::Request& request);
std::string_view name(const kv::Request& request);
std::string encode(const kv::Request& request);
/// Errors: not JSON, or not what such a request is answered with.
Result<kv::Answer> decode(const kv::Request& request, std::string_view body);

/// The body of an answer that is an error: "etcdserver: ..." and whether the token was refused.
struct Refusal {
  std::string message;
  bool token_refused = false;
  bool lease_gone = false;
};
Refusal decode_refusal(int status, std::string_view body);

inline constexpr std::string_view authenticate_path = "/v3/auth/authenticate";
std::string encode_authenticate(std::string_view user, std::string_view password);
/// The token.
Result<std::string> decode_authenticate(std::string_view body);

inline constexpr std::string_view watch_path = "/v3/watch";
/// All changes of keys that begin with `prefix`, from `revision` on.
std::string encode_watch(std::string_view prefix, std::int64_t revision);
/// One line of the stream. The error says why the stream ends.
Result<kv::Watched> decode_watched(std::string_view line);

std::string base64(std::string_view text);
std::optional<std::string> from_base64(std::string_view text);

}  // namespace weft::ipam::gateway
