#include "ipam/gateway.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

namespace weft::ipam {

std::string kv::end_of(std::string prefix) {
  // The next string that does not begin with it: its last octet that can be raised, raised.
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

namespace gateway {
namespace {

using Json = nlohmann::json;

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A number as the gateway writes it: a string, a number, or left out when zero.
std::int64_t number(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return 0;
  if (found->is_number_integer()) return found->get<std::int64_t>();
  if (!found->is_string()) return 0;
  const auto& text = found->get_ref<const std::string&>();
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string octets(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  return from_base64(found->get_ref<const std::string&>()).value_or("");
}

const Json& member(const Json& object, const char* key) {
  static const Json none = Json::object();
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

std::int64_t revision_of(const Json& answer) {
  return number(member(answer, "header"), "revision");
}

kv::KeyValue key_value(const Json& object) {
  return {octets(object, "key"), octets(object, "value"), number(object, "create_revision"),
          number(object, "mod_revision"), number(object, "lease")};
}

Json range(const std::string& key, const std::string& end) {
  Json object{{"key", base64(key)}};
  if (!end.empty()) object["range_end"] = base64(end);
  return object;
}

Json operation(const kv::Operation& one) {
  return std::visit(Overloaded{[](const kv::Range& of) {
                                 return Json{{"request_range", range(of.key, of.end)}};
                               },
                               [](const kv::Put& of) {
                                 Json put{{"key", base64(of.key)}, {"value", base64(of.value)}};
                                 if (of.lease != 0) put["lease"] = std::to_string(of.lease);
                                 return Json{{"request_put", put}};
                               },
                               [](const kv::Delete& of) {
                                 return Json{{"request_delete_range", range(of.key, {})}};
                               }},
                    one);
}

Json operations(const std::vector<kv::Operation>& all) {
  Json list = Json::array();
  for (const kv::Operation& one : all) list.push_back(operation(one));
  return list;
}

Json parsed(std::string_view text) {
  return Json::parse(text, nullptr, false);
}

}  // namespace

std::string base64(std::string_view text) {
  std::string out;
  out.reserve((text.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group <<= 8;
      if (i + k < text.size()) group |= static_cast<unsigned char>(text[i + k]);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      const bool padding = i + k > text.size();
      out += padding ? '=' : alphabet[group >> (18 - 6 * k) & 63];
    }
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::size_t value = alphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 255);
  }
  return out;
}

std::string_view path(const kv::Request& request) {
  return std::visit(
      Overloaded{[](const kv::Txn&) { return std::string_view("/v3/kv/txn"); },
                 [](const kv::Grant&) { return std::string_view("/v3/lease/grant"); },
                 [](const kv::KeepAlive&) { return std::string_view("/v3/lease/keepalive"); }},
      request);
}

std::string_view name(const kv::Request& request) {
  return std::visit(Overloaded{[](const kv::Txn&) { return std::string_view("txn"); },
                               [](const kv::Grant&) { return std::string_view("grant"); },
                               [](const kv::KeepAlive&) { return std::string_view("keepalive"); }},
                    request);
}

std::string encode(const kv::Request& request) {
  return std::visit(
             Overloaded{[](const kv::Txn& txn) {
                          Json when = Json::array();
                          for (const kv::Compare& one : txn.when) {
                            when.push_back({{"key", base64(one.key)},
                                            {"target", "MOD"},
                                            {"result", "EQUAL"},
                                            {"mod_revision", std::to_string(one.mod_revision)}});
                          }
                          return Json{{"compare", when},
                                      {"success", operations(txn.then)},
                                      {"failure", operations(txn.otherwise)}};
                        },
                        [](const kv::Grant& grant) {
                          return Json{{"TTL", std::to_string(grant.ttl.count())}};
                        },
                        [](const kv::KeepAlive& alive) {
                          return Json{{"ID", std::to_string(alive.lease)}};
                        }},
             request)
      .dump();
}

Result<kv::Answer> decode(const kv::Request& request, std::string_view body) {
  const Json answer = parsed(body);
  if (!answer.is_object()) return Error{"etcd did not answer with a JSON object"};
  if (std::holds_alternative<kv::Txn>(request)) {
    kv::TxnAnswer txn;
    txn.revision = revision_of(answer);
    if (txn.revision == 0) return Error{"etcd's answer to a transaction has no revision"};
    const Json& succeeded = member(answer, "succeeded");
    txn.succeeded = succeeded.is_boolean() && succeeded.get<bool>();
    for (const Json& response : member(answer, "responses")) {
      if (!response.is_object()) continue;
      for (const Json& one : member(member(response, "response_range"), "kvs")) {
        if (one.is_object()) txn.found.push_back(key_value(one));
      }
    }
    return kv::Answer(std::move(txn));
  }
  // A keepalive is a stream of answers, each wrapped; ours has one.
  const Json& lease =
      std::holds_alternative<kv::KeepAlive>(request) ? member(answer, "result") : answer;
  if (!lease.is_object()) return Error{"etcd's answer about a lease is none"};
  kv::LeaseAnswer of;
  of.revision = revision_of(lease);
  of.lease = number(lease, "ID");
  of.ttl = std::chrono::seconds(number(lease, "TTL"));
  if (of.lease == 0) return Error{"etcd's answer about a lease names none"};
  return kv::Answer(of);
}

Refusal decode_refusal(int status, std::string_view body) {
  Refusal refusal;
  const Json answer = parsed(body);
  if (answer.is_object()) {
    for (const char* key : {"message", "error"}) {
      const Json& said = member(answer, key);
      if (said.is_string()) {
        refusal.message = said.get<std::string>();
        break;
      }
    }
  }
  if (refusal.message.empty()) refusal.message = fmt::format("HTTP status {}", status);
  // gRPC code 16 is HTTP 401; "auth: revision in header is old" asks for a new token as well.
  refusal.token_refused =
      status == 401 || refusal.message.find("invalid auth token") != std::string::npos ||
      refusal.message.find("revision of auth store is old") != std::string::npos;
  refusal.lease_gone = refusal.message.find("requested lease not found") != std::string::npos;
  return refusal;
}

std::string encode_authenticate(std::string_view user, std::string_view password) {
  return Json{{"name", user}, {"password", password}}.dump(-1, ' ', false,
                                                           Json::error_handler_t::replace);
}

Result<std::string> decode_authenticate(std::string_view body) {
  const Json answer = parsed(body);
  const Json& token = answer.is_object() ? member(answer, "token") : answer;
  if (!token.is_string()) return Error{"etcd gave no token"};
  return token.get<std::string>();
}

std::string encode_watch(std::string_view prefix, std::int64_t revision) {
  Json create = range(std::string(prefix), kv::end_of(std::string(prefix)));
  create["start_revision"] = std::to_string(revision);
  create["progress_notify"] = true;
  return Json{{"create_request", create}}.dump();
}

Result<kv::Watched> decode_watched(std::string_view line) {
  const Json answer = parsed(line);
  if (!answer.is_object()) return Error{"etcd's watch sent no JSON object"};
  if (answer.contains("error")) {
    const Json& message = member(answer["error"], "message");
    return Error{message.is_string() ? message.get<std::string>() : "etcd's watch ended"};
  }
  const auto found = answer.find("result");
  if (found == answer.end() || !found->is_object()) return Error{"etcd's watch sent no result"};
  const Json& result = *found;
  kv::Watched watched;
  watched.revision = revision_of(result);
  watched.compacted = number(result, "compact_revision") != 0;
  const Json& canceled = member(result, "canceled");
  if (canceled.is_boolean() && canceled.get<bool>() && !watched.compacted) {
    const Json& reason = member(result, "cancel_reason");
    return Error{reason.is_string() ? reason.get<std::string>() : "etcd cancelled the watch"};
  }
  for (const Json& event : member(result, "events")) {
    if (!event.is_object()) continue;
    const Json& type = member(event, "type");
    const bool deleted = type.is_string() && type.get_ref<const std::string&>() == "DELETE";
    watched.events.push_back({deleted, key_value(member(event, "kv"))});
  }
  return watched;
}

}  // namespace gateway
}  // namespace weft::ipam
