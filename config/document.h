// Node: a YAML document as a plain tree with marks, and nothing of YAML that a configuration does
// not need: no anchors, no aliases, no tags, one document, bounded depth and size. yaml-cpp lives
// behind it, in document.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::config {

/// Nesting of a document; ours need 6.
inline constexpr std::size_t depth_limit = 16;
/// Values and keys of a document.
inline constexpr std::size_t node_limit = 100'000;

/// Both from 1.
struct Mark {
  int line = 1;
  int column = 1;
  auto operator<=>(const Mark&) const = default;
};

struct Node {
  enum class Kind : std::uint8_t { null, scalar, sequence, mapping };
  Kind kind = Kind::null;
  Mark mark;
  /// Of a scalar.
  std::string text;
  /// Of a mapping: keys[i] names items[i], in the order of the document. Of a sequence: its items,
  /// and no keys.
  std::vector<Node> keys;
  std::vector<Node> items;

  /// The value of a mapping's key, or nullptr.
  [[nodiscard]] const Node* find(std::string_view key) const;
  /// "a list", "a mapping", … for sentences.
  [[nodiscard]] std::string_view kind_name() const;
};

struct Fault {
  Mark mark;
  std::string message;
};

struct Document {
  Node root;
  /// Not empty: `root` is what could be understood.
  std::vector<Fault> faults;
};

Document read_document(const std::string& text);

}  // namespace weft::config
