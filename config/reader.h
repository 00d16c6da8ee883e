// Reader: where in the document we are, and what is wrong so far. The scalars of the document are
// read here, each with a sentence for what it may be. Knows nothing of any setting.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/settings.h"
#include "config/config.h"
#include "config/document.h"
#include "net/ip.h"

namespace weft::config {

/// Whole numbers from `least` to `most`, and 0 where it means "off".
struct Range {
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  bool zero_too = false;

  [[nodiscard]] bool contains(std::uint64_t value) const {
    return (value >= least && value <= most) || (zero_too && value == 0);
  }
  /// "1..65535", "0 or 3..65535"
  [[nodiscard]] std::string text() const;
};

/// Keys of one mapping, items of one list.
inline constexpr std::size_t item_limit = 1024;
/// Octets of a text.
inline constexpr std::size_t name_limit = 64;
inline constexpr std::size_t description_limit = 255;

class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  /// Everything said until it goes is about `key`, inside of what was named before.
  class Scope {
   public:
    Scope(Reader& reader, std::string_view key);
    ~Scope() { reader_.path_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Reader& reader_;
    std::size_t length_;
  };

  /// `sentence` says what is wrong and what would be right.
  void fail(const Mark& at, std::string_view sentence);
  void fail(const Node& at, std::string_view sentence) { fail(at.mark, sentence); }
  /// Told so far.
  [[nodiscard]] std::size_t faults() const { return errors_.size() + dropped_; }
  /// Sorted by place.
  [[nodiscard]] ConfigErrors errors() &&;

  /// True: a mapping, or nothing at all, which is an empty one. Otherwise told.
  bool mapping(const Node& node);
  bool sequence(const Node& node);

  std::optional<std::uint64_t> number(const Node& node, Range range, std::string_view unit = "");
  std::optional<bool> boolean(const Node& node);
  /// Not empty, no control characters, at most `limit` octets.
  std::optional<std::string> text(const Node& node, std::size_t limit);
  /// Letters, digits, and `marks`, at most `limit` octets.
  std::optional<std::string> word(const Node& node, std::size_t limit, std::string_view marks);
  std::optional<Address> address(const Node& node);
  std::optional<Address> address(const Node& node, Family family);
  std::optional<Prefix> prefix(const Node& node, Family family);
  std::optional<bgp::Asn> asn(const Node& node);

 private:
  bool countable(const Node& node);
  /// The text of a scalar; told when it is none, with `wanted` for what it should be.
  const std::string* scalar(const Node& node, std::string_view wanted);

  std::string file_;
  std::string path_;
  ConfigErrors errors_;
  std::size_t dropped_ = 0;
};

/// "; did you mean 'hold-time'?", or the known words when none is near.
std::string suggestion(std::string_view word, const std::vector<std::string_view>& known);

/// Text from the document inside of a sentence: quoted, and cut when it is long.
std::string quoted(std::string_view text);

}  // namespace weft::config
