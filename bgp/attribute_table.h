// The table behind attributes.h and update.h: one row per attribute that weft knows. Not for other
// files. A new attribute is a new row, its two functions in attributes.cc, and its member in
// Attributes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "bgp/attributes.h"
#include "bgp/types.h"
#include "net/bytes.h"
#include "net/ip.h"

namespace weft::bgp {

/// What decoding an attribute list yields: the value, and what is merged or judged only when all
/// are read.
struct DecodedAttributes {
  Attributes value;
  std::optional<Address> next_hop;
  std::optional<AsPath> as4_path;
  std::optional<Aggregator> as4_aggregator;
};

struct AttributeContext {
  bool four_octet_as = true;
  bool external = false;
};

/// Octets a value may have: exactly `unit`, or a non-zero multiple of it. unit 0: the decoder
/// knows.
struct AttributeLength {
  std::size_t unit = 0;
  bool list = false;

  [[nodiscard]] bool fits(std::size_t size) const {
    if (unit == 0) return true;
    return list ? size != 0 && size % unit == 0 : size == unit;
  }
};

/// From whom the attribute means anything; from others it is discarded unread (RFC 7606 7).
enum class Speaks : std::uint8_t { anyone, internal_peers, two_octet_peers };

struct AttributeRow {
  AttributeType type;
  std::string_view name;
  /// The optional and transitive bits (RFC 4271 5). A conflict is treat-as-withdraw (RFC 7606 3 c).
  std::uint8_t flags;
  AttributeLength length;
  Speaks speaks;
  /// What a wrong length or value leads to, and the subcode for it.
  Handling on_error;
  Fault fault;
  /// Empty when all is well, else what is wrong. Null: framed by update.cc, never decoded from the
  /// list.
  std::string_view (*decode)(Reader value, AttributeContext context, DecodedAttributes& to);
  /// Is it there, and its value with four or two octets per AS. Null: never sent in the list.
  bool (*present)(const Attributes& from, bool four_octet_as);
  void (*encode)(const Attributes& from, bool four_octet_as, Writer& out);
};

/// Nothing for an attribute without a row.
const AttributeRow* find_attribute_row(std::uint8_t type);

/// RFC 6793 4.2.3: what a two-octet peer said, restored to four octets.
void merge_as4(DecodedAttributes& decoded);

}  // namespace weft::bgp
