#include "config/tcp_ao.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/key_kinds.h"
#include "config/password.h"

namespace weft::config {
namespace {

using bgp::TcpAoAlgorithm;
using bgp::TcpAoKey;

constexpr std::array algorithms{TcpAoAlgorithm::hmac_sha1_96, TcpAoAlgorithm::aes_128_cmac_96,
                                TcpAoAlgorithm::hmac_sha256_96};

void read_algorithm(Reader& reader, const Node& node, TcpAoKey& key) {
  for (const TcpAoAlgorithm algorithm : algorithms) {
    if (node.kind != Node::Kind::scalar || node.text != name(algorithm)) continue;
    key.algorithm = algorithm;
    return;
  }
  reader.fail(node, "must be hmac-sha1-96, aes-128-cmac-96 or hmac-sha256");
}

void read_secret(Reader& reader, const Node& node, TcpAoKey& key) {
  constexpr std::size_t path_limit = 4096;
  const auto path = reader.text(node, path_limit);
  if (!path) return;
  auto secret = read_password_file(*path, bgp::max_ao_secret);
  if (!secret) return reader.fail(node, fmt::format("{} {}", *path, secret.error().message));
  key.secret = std::move(*secret);
  key.secret_file = *path;
}

void read_id(Reader& reader, const Node& node, std::uint8_t& id) {
  if (const auto value = reader.number(node, {.least = 0, .most = 255}))
    id = static_cast<std::uint8_t>(*value);
}

TcpAoKey read_key(Reader& reader, const Node& node) {
  TcpAoKey key;
  if (!reader.mapping(node)) return key;
  for (std::size_t i = 0; i < node.keys.size(); ++i) {
    const Node& word = node.keys[i];
    const Node& value = node.items[i];
    const Reader::Scope scope(reader, word.text);
    if (word.text == "send-id") {
      read_id(reader, value, key.send_id);
    } else if (word.text == "receive-id") {
      read_id(reader, value, key.receive_id);
    } else if (word.text == "algorithm") {
      read_algorithm(reader, value, key);
    } else if (word.text == "secret-file") {
      read_secret(reader, value, key);
    } else {
      reader.fail(word, fmt::format("unknown key {}{}", quoted(word.text),
                                    suggestion(word.text, {"send-id", "receive-id", "algorithm",
                                                           "secret-file"})));
    }
  }
  for (const char* needed : {"send-id", "receive-id", "secret-file"}) {
    if (node.find(needed) == nullptr) reader.fail(node, fmt::format("'{}' is missing", needed));
  }
  return key;
}

void read_chain(Reader& reader, const Node& node, bgp::PeerSettings& peer) {
  if (!reader.sequence(node)) return;
  if (node.items.empty() || node.items.size() > bgp::max_ao_keys) {
    return reader.fail(node, fmt::format("must list 1 to {} keys", bgp::max_ao_keys));
  }
  std::vector<TcpAoKey> chain;
  for (const Node& item : node.items) {
    TcpAoKey key = read_key(reader, item);
    const bool twice = std::any_of(chain.begin(), chain.end(), [&](const TcpAoKey& other) {
      return other.send_id == key.send_id || other.receive_id == key.receive_id;
    });
    if (twice) reader.fail(item, "has an id of a key before it; a segment could be of either");
    chain.push_back(std::move(key));
  }
  peer.tcp_ao = std::move(chain);
}

std::string write_key(const TcpAoKey& key) {
  return fmt::format("{{send-id: {}, receive-id: {}, algorithm: {}, secret-file: {}}}", key.send_id,
                     key.receive_id, name(key.algorithm), yaml_text(key.secret_file));
}

}  // namespace

Key<bgp::PeerSettings> tcp_ao() {
  Key<bgp::PeerSettings> key;
  key.name = "tcp-ao";
  key.type = "list of {send-id: 0..255, receive-id: 0..255, algorithm: name, secret-file: path}";
  key.text =
      "Keys of TCP-AO (RFC 5925), at most 8; the first one signs. The peer has the same secrets "
      "with the ids the other way round. algorithm: hmac-sha1-96, the default, aes-128-cmac-96 or "
      "hmac-sha256, cut to 96 bits. secret-file: as password-file. The kernel signs, and must have "
      "CONFIG_TCP_AO (Linux 6.7 or later); on one without, the peer has no session, never an "
      "unsigned one, and weftctl doctor says so. Other keys end the session.";
  key.read = read_chain;
  key.write = [](const bgp::PeerSettings& peer) -> std::optional<std::string> {
    if (peer.tcp_ao.empty()) return std::nullopt;
    std::vector<std::string> texts;
    for (const TcpAoKey& each : peer.tcp_ao) texts.push_back(write_key(each));
    return fmt::format("[{}]", fmt::join(texts, ", "));
  };
  key.absent = "none";
  return key;
}

}  // namespace weft::config
