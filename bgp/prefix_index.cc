#include "bgp/prefix_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <iterator>
#include <optional>

namespace weft::bgp {
namespace {

/// The next word of `text`, which it loses.
std::string_view take_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

std::optional<std::uint8_t> length_of(std::string_view digits) {
  std::uint8_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, fault] = std::from_chars(digits.data(), end, value);
  if (digits.empty() || fault != std::errc{} || stop != end) return std::nullopt;
  return value;
}

}  // namespace

Result<PrefixRange> PrefixRange::parse(std::string_view text) {
  const auto prefix = Prefix::parse(take_word(text));
  if (!prefix) return prefix.error();
  const unsigned own = prefix->length();
  const unsigned longest = bits(prefix->family());
  std::optional<unsigned> least;
  std::optional<unsigned> most;
  for (std::string_view word = take_word(text); !word.empty(); word = take_word(text)) {
    auto& bound = word == "ge" ? least : most;
    const auto value = length_of(take_word(text));
    if ((word != "ge" && word != "le") || !value || bound) {
      return Error{fmt::format("after {} comes ge N, le N, both or nothing", prefix->text())};
    }
    bound = *value;
  }
  if (!least && !most) return exactly(*prefix);
  const unsigned from = least.value_or(own);
  const unsigned to = most.value_or(longest);
  if (from < own || from > to || to > longest) {
    return Error{fmt::format("{} with ge {} and le {} holds nothing: {} <= ge <= le <= {}",
                             prefix->text(), from, to, own, longest)};
  }
  return PrefixRange{*prefix, static_cast<std::uint8_t>(from), static_cast<std::uint8_t>(to)};
}

PrefixRange PrefixRange::within(const Prefix& prefix) {
  return {prefix, static_cast<std::uint8_t>(prefix.length()),
          static_cast<std::uint8_t>(bits(prefix.family()))};
}

PrefixRange PrefixRange::exactly(const Prefix& prefix) {
  const auto length = static_cast<std::uint8_t>(prefix.length());
  return {prefix, length, length};
}

std::string PrefixRange::text() const {
  std::string text = prefix.text();
  if (least == prefix.length() && most == least) return text;
  if (least != prefix.length()) text += fmt::format(" ge {}", least);
  if (least == prefix.length() || most != bits(prefix.family()))
    text += fmt::format(" le {}", most);
  return text;
}

void PrefixIndex::add(const PrefixRange& range, std::size_t number) {
  assert(number < max_numbers);
  entries_.push_back({range, number});
}

void PrefixIndex::build() {
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.range.prefix < b.range.prefix; });
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Prefix& prefix = entries_[i].range.prefix;
    if (nodes_.empty() || nodes_.back().prefix != prefix) {
      std::size_t parent = nodes_.empty() ? none : nodes_.size() - 1;
      while (parent != none && !nodes_[parent].prefix.contains(prefix)) {
        parent = nodes_[parent].parent;
      }
      nodes_.push_back({prefix, i, i, parent});
    }
    nodes_.back().last = i + 1;
  }
}

PrefixIndex::Numbers PrefixIndex::find(const Prefix& prefix) const {
  Numbers found;
  // Whatever contains the prefix sorts before it, and lies around the last one that does.
  const auto after =
      std::upper_bound(nodes_.begin(), nodes_.end(), prefix,
                       [](const Prefix& value, const Node& node) { return value < node.prefix; });
  std::size_t at = after == nodes_.begin()
                       ? none
                       : static_cast<std::size_t>(std::distance(nodes_.begin(), after)) - 1;
  for (; at != none; at = nodes_[at].parent) {
    const Node& node = nodes_[at];
    if (!node.prefix.contains(prefix)) continue;
    for (std::size_t i = node.first; i < node.last; ++i) {
      if (entries_[i].range.contains(prefix)) found.set(entries_[i].number);
    }
  }
  return found;
}

}  // namespace weft::bgp
