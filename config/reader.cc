#include "config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace weft::config {
namespace {

/// Typing errors between two words: a letter too many, missing, wrong, or two that changed places.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> rows(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) rows[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      rows[i][j] = std::min({replaced, rows[i - 1][j] + 1, rows[i][j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.size()][b.size()];
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
}

/// ::ffff:0:0/96 (RFC 4291 2.5.5.2)
bool is_mapped(const Address& address) {
  return address.is_v6() && address.half(0) == 0 && address.half(1) >> 32 == 0xffff;
}
Address mapped(const Address& address) {
  return Address::ipv4(static_cast<std::uint32_t>(address.half(1)));
}

/// RFC 7607, 6793, 7300: numbers that no AS has.
std::string_view why_no_asn(std::uint64_t value) {
  if (value == 0) return "0 is reserved (RFC 7607)";
  if (value == bgp::as_trans.value) return "23456 is AS_TRANS, which no AS has (RFC 6793)";
  if (value == 65535 || value == 4294967295) return "it is reserved (RFC 7300)";
  return "";
}

}  // namespace

std::string Range::text() const {
  return fmt::format("{}{}..{}", zero_too ? "0 or " : "", least, most);
}

std::string quoted(std::string_view text) {
  constexpr std::size_t shown = 60;
  std::string clean(text.substr(0, shown));
  std::replace_if(clean.begin(), clean.end(), is_control, '?');
  return fmt::format("'{}{}'", clean, text.size() > shown ? "..." : "");
}

std::string suggestion(std::string_view word, const std::vector<std::string_view>& known) {
  // Longer words are nobody's typing error, and comparing them would cost.
  if (word.size() <= name_limit && !known.empty()) {
    const auto nearest =
        std::min_element(known.begin(), known.end(), [&](std::string_view a, std::string_view b) {
          return distance(word, a) < distance(word, b);
        });
    if (distance(word, *nearest) <= std::max<std::size_t>(1, nearest->size() / 3)) {
      return fmt::format("; did you mean '{}'?", *nearest);
    }
  }
  return fmt::format("; known here: {}", fmt::join(known, ", "));
}

Reader::Scope::Scope(Reader& reader, std::string_view key)
    : reader_(reader), length_(reader.path_.size()) {
  if (!reader.path_.empty() && key.substr(0, 1) != "[") reader.path_ += '.';
  const std::string_view cut = key.substr(0, name_limit);
  std::replace_copy_if(cut.begin(), cut.end(), std::back_inserter(reader.path_), is_control, '?');
}

void Reader::fail(const Mark& at, std::string_view sentence) {
  if (errors_.size() >= error_limit) {
    ++dropped_;
    return;
  }
  errors_.push_back(
      {file_, at.line, at.column,
       path_.empty() ? std::string(sentence) : fmt::format("{}: {}", path_, sentence)});
}

ConfigErrors Reader::errors() && {
  std::stable_sort(errors_.begin(), errors_.end(), [](const ConfigError& a, const ConfigError& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  if (dropped_ != 0) {
    errors_.push_back({file_, 0, 0, fmt::format("and {} more faults", dropped_)});
  }
  return std::move(errors_);
}

bool Reader::countable(const Node& node) {
  if (node.items.size() <= item_limit) return true;
  fail(node, fmt::format("has {} entries, more than {}", node.items.size(), item_limit));
  return false;
}

bool Reader::mapping(const Node& node) {
  if (node.kind == Node::Kind::mapping || node.kind == Node::Kind::null) return countable(node);
  fail(node, fmt::format("must be a mapping (key: value), not {}", node.kind_name()));
  return false;
}

bool Reader::sequence(const Node& node) {
  if (node.kind == Node::Kind::sequence || node.kind == Node::Kind::null) return countable(node);
  if (node.kind == Node::Kind::scalar) {
    fail(node, fmt::format("must be a list: [{}]", node.text.substr(0, name_limit)));
  } else {
    fail(node, fmt::format("must be a list, not {}", node.kind_name()));
  }
  return false;
}

const std::string* Reader::scalar(const Node& node, std::string_view wanted) {
  if (node.kind == Node::Kind::scalar) return &node.text;
  fail(node, fmt::format("must be {}, not {}", wanted, node.kind_name()));
  return nullptr;
}

std::optional<std::uint64_t> Reader::number(const Node& node, Range range, std::string_view unit) {
  const std::string wanted =
      fmt::format("a whole number{}{}, {}", unit.empty() ? "" : " of ", unit, range.text());
  const std::string* digits = scalar(node, wanted);
  if (digits == nullptr) return std::nullopt;
  std::uint64_t value = 0;
  const char* end = digits->data() + digits->size();
  const auto [stop, fault] = std::from_chars(digits->data(), end, value);
  // A leading 0 is octal to one reader and decimal to the next.
  const bool octal = digits->size() > 1 && digits->front() == '0';
  if (fault != std::errc{} || stop != end || octal || !range.contains(value)) {
    fail(node, fmt::format("{} is not {}", quoted(*digits), wanted));
    return std::nullopt;
  }
  return value;
}

std::optional<bool> Reader::boolean(const Node& node) {
  const std::string* word = scalar(node, "true or false");
  if (word == nullptr) return std::nullopt;
  if (*word == "true") return true;
  if (*word == "false") return false;
  fail(node, fmt::format("{} is not true or false", quoted(*word)));
  return std::nullopt;
}

std::optional<std::string> Reader::text(const Node& node, std::size_t limit) {
  const std::string* value = scalar(node, "a text");
  if (value == nullptr) return std::nullopt;
  if (value->empty() || value->size() > limit) {
    fail(node, fmt::format("must have 1 to {} octets, not {}", limit, value->size()));
    return std::nullopt;
  }
  if (std::any_of(value->begin(), value->end(), is_control)) {
    fail(node, "must be one line without control characters");
    return std::nullopt;
  }
  return *value;
}

std::optional<std::string> Reader::word(const Node& node, std::size_t limit,
                                        std::string_view marks) {
  auto value = text(node, limit);
  if (!value) return std::nullopt;
  const bool valid = std::all_of(value->begin(), value->end(), [&](char c) {
    return is_letter_or_digit(c) || marks.find(c) != std::string_view::npos;
  });
  if (valid) return value;
  fail(node, fmt::format("{} may hold letters, digits and '{}' only", quoted(*value),
                         fmt::join(marks, "' '")));
  return std::nullopt;
}

std::optional<Address> Reader::address(const Node& node) {
  const std::string* value = scalar(node, "an IPv4 or IPv6 address");
  if (value == nullptr) return std::nullopt;
  const auto parsed = Address::parse(*value);
  if (parsed && is_mapped(*parsed)) {
    fail(node, fmt::format("{} is an IPv4 address inside of an IPv6 one, which nothing is sent to; "
                           "give {}",
                           quoted(*value), mapped(*parsed).text()));
    return std::nullopt;
  }
  if (parsed && value->find('\0') == std::string::npos) return *parsed;
  fail(node, fmt::format("{} is not an IPv4 or IPv6 address", quoted(*value)));
  return std::nullopt;
}

std::optional<Address> Reader::address(const Node& node, Family family) {
  const auto value = address(node);
  if (!value || value->family() == family) return value;
  fail(node, fmt::format("{} is not an {} address", value->text(),
                         family == Family::ipv4 ? "IPv4" : "IPv6"));
  return std::nullopt;
}

std::optional<Prefix> Reader::prefix(const Node& node, Family family) {
  const bool v4 = family == Family::ipv4;
  const std::string_view wanted =
      v4 ? "an IPv4 prefix such as 10.64.0.0/16" : "an IPv6 prefix such as fd64:0:0:1::/112";
  const std::string* value = scalar(node, wanted);
  if (value == nullptr) return std::nullopt;
  if (value->size() > name_limit || value->find('\0') != std::string::npos) {
    fail(node, fmt::format("{} is not {}", quoted(*value), wanted));
    return std::nullopt;
  }
  const auto parsed = Prefix::parse(*value);
  if (!parsed) {
    fail(node, parsed.error().message);
    return std::nullopt;
  }
  constexpr unsigned mapped_length = 96;
  if (is_mapped(parsed->address()) && parsed->length() >= mapped_length) {
    fail(node, fmt::format("{} is an IPv4 prefix inside of an IPv6 one, which nothing is sent to; "
                           "give {}/{}",
                           quoted(*value), mapped(parsed->address()).text(),
                           parsed->length() - mapped_length));
    return std::nullopt;
  }
  if (parsed->family() != family) {
    fail(node, fmt::format("{} is not {}", *value, wanted));
    return std::nullopt;
  }
  return *parsed;
}

std::optional<bgp::Asn> Reader::asn(const Node& node) {
  const auto value = number(node, {.least = 0, .most = 4294967295});
  if (!value) return std::nullopt;
  if (const std::string_view why = why_no_asn(*value); !why.empty()) {
    fail(node, fmt::format("{} is no AS number: {}", *value, why));
    return std::nullopt;
  }
  return bgp::Asn{static_cast<std::uint32_t>(*value)};
}

}  // namespace weft::config
