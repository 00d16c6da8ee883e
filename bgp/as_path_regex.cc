#include "bgp/as_path_regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace weft::bgp {
namespace {

constexpr std::uint16_t space = 10;
constexpr std::uint16_t open_set = 11;
constexpr std::uint16_t close_set = 12;
constexpr std::uint16_t begin_of_path = 13;
constexpr std::uint16_t end_of_path = 14;

/// Bit n: symbol n.
using Symbols = std::uint16_t;
constexpr Symbols one(unsigned symbol) {
  return static_cast<Symbols>(1U << symbol);
}
constexpr Symbols any_character = 0x1fff;
constexpr Symbols border =
    one(space) | one(open_set) | one(close_set) | one(begin_of_path) | one(end_of_path);

std::optional<std::uint16_t> symbol_of(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint16_t>(c - '0');
  if (c == ' ') return space;
  if (c == '{') return open_set;
  if (c == '}') return close_set;
  return std::nullopt;
}

constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

/// A state of the expression as it is written: reads one of `symbols` and goes on, or goes on two
/// ways without.
struct Step {
  Symbols symbols = 0;
  std::size_t next = nowhere;
  std::size_t other = nowhere;
};

/// Thompson's construction. A part is entered at `start`; whatever leaves it stands at `end`, which
/// leads nowhere yet.
struct Part {
  std::size_t start = 0;
  std::size_t end = 0;
};

class Builder {
 public:
  explicit Builder(std::string_view text) : text_(text) {}

  /// Where the whole begins and where it is found.
  Result<Part> build() {
    auto whole = alternatives(0);
    if (whole && at_ != text_.size()) return wrong("')' without '('");
    return whole;
  }
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }

 private:
  static constexpr unsigned max_depth = 32;

  [[nodiscard]] Error wrong(std::string_view what) const {
    return Error{
        fmt::format("'{}' is no AS path expression: {} at character {}", text_, what, at_ + 1)};
  }
  [[nodiscard]] bool more() const { return at_ < text_.size(); }
  std::size_t add(const Step& step) {
    steps_.push_back(step);
    return steps_.size() - 1;
  }

  Result<Part> alternatives(unsigned depth) {
    auto all = sequence(depth);
    while (all && more() && text_[at_] == '|') {
      ++at_;
      auto next = sequence(depth);
      if (!next) return next;
      const std::size_t end = add({});
      steps_[all->end].next = end;
      steps_[next->end].next = end;
      all = Part{add({0, all->start, next->start}), end};
    }
    return all;
  }

  Result<Part> sequence(unsigned depth) {
    const std::size_t nothing = add({});
    Part all{nothing, nothing};
    while (more() && text_[at_] != '|' && text_[at_] != ')') {
      auto next = repeated(depth);
      if (!next) return next;
      steps_[all.end].next = next->start;
      all.end = next->end;
    }
    return all;
  }

  Result<Part> repeated(unsigned depth) {
    auto part = atom(depth);
    while (part && more() && std::string_view("*+?").find(text_[at_]) != std::string_view::npos) {
      const char how = text_[at_++];
      const std::size_t end = add({});
      const std::size_t choice = add({0, part->start, end});
      steps_[part->end].next = how == '?' ? end : choice;
      part = Part{how == '+' ? part->start : choice, end};
    }
    return part;
  }

  Part reading(Symbols symbols) {
    const std::size_t end = add({});
    return {add({symbols, end}), end};
  }

  Result<Part> atom(unsigned depth) {
    const char c = text_[at_];
    if (c == '(') {
      if (depth == max_depth) return wrong("brackets too deep");
      ++at_;
      auto inner = alternatives(depth + 1);
      if (!inner) return inner;
      if (!more()) return wrong("'(' without ')'");
      ++at_;
      return inner;
    }
    if (c == '[') return range();
    if (c == '*' || c == '+' || c == '?') return wrong("nothing to repeat");
    if (c == '\\' && at_ + 1 < text_.size())
      ++at_;
    else if (c == '.')
      return ++at_, reading(any_character);
    else if (c == '^')
      return ++at_, reading(one(begin_of_path));
    else if (c == '$')
      return ++at_, reading(one(end_of_path));
    else if (c == '_')
      return ++at_, reading(border);
    const auto symbol = symbol_of(text_[at_]);
    if (!symbol) return wrong("a character that stands in no AS path");
    ++at_;
    return reading(one(*symbol));
  }

  /// "[0-9]", "[^12]"
  Result<Part> range() {
    ++at_;
    const bool inverse = more() && text_[at_] == '^';
    if (inverse) ++at_;
    Symbols symbols = 0;
    while (more() && text_[at_] != ']') {
      const auto first = symbol_of(text_[at_]);
      if (!first) return wrong("a character that stands in no AS path");
      std::optional<std::uint16_t> last = first;
      if (at_ + 2 < text_.size() && text_[at_ + 1] == '-' && text_[at_ + 2] != ']') {
        at_ += 2;
        last = symbol_of(text_[at_]);
        if (!last || *last < *first || *last > 9) return wrong("a range that is none");
      }
      for (unsigned symbol = *first; symbol <= *last; ++symbol) symbols |= one(symbol);
      ++at_;
    }
    if (!more()) return wrong("'[' without ']'");
    ++at_;
    if (inverse) symbols = any_character & static_cast<Symbols>(~symbols);
    if (symbols == 0) return wrong("an empty '[]'");
    return reading(symbols);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Step> steps_;
};

/// Steps that may be taken at one moment, ascending.
using Moment = std::vector<std::size_t>;

/// Adds where `from` leads without reading.
void follow(const std::vector<Step>& steps, std::size_t from, Moment& to) {
  std::vector<std::size_t> open{from};
  while (!open.empty()) {
    const std::size_t at = open.back();
    open.pop_back();
    const auto place = std::lower_bound(to.begin(), to.end(), at);
    if (place != to.end() && *place == at) continue;
    to.insert(place, at);
    if (steps[at].symbols != 0) continue;
    for (const std::size_t next : {steps[at].next, steps[at].other}) {
      if (next != nowhere) open.push_back(next);
    }
  }
}

}  // namespace

Result<AsPathRegex> AsPathRegex::compile(std::string_view text) {
  if (text.empty() || text.size() > max_length) {
    return Error{fmt::format("an AS path expression has 1 to {} characters", max_length)};
  }
  Builder builder(text);
  const auto whole = builder.build();
  if (!whole) return whole.error();
  const std::vector<Step>& steps = builder.steps();

  AsPathRegex made;
  std::map<Moment, std::uint16_t> known;
  std::vector<Moment> moments;
  const auto state_of = [&](Moment moment) {
    const auto [found, fresh] =
        known.try_emplace(std::move(moment), static_cast<std::uint16_t>(moments.size()));
    if (fresh) {
      moments.push_back(found->first);
      made.rows_.push_back({});
      made.found_.push_back(
          std::binary_search(found->first.begin(), found->first.end(), whole->end));
    }
    return found->second;
  };
  Moment first;
  follow(steps, whole->start, first);
  state_of(first);
  for (std::size_t state = 0; state < moments.size(); ++state) {
    for (unsigned symbol = 0; symbol < symbols; ++symbol) {
      Moment next = first;  // it may begin anywhere
      for (const std::size_t at : moments[state]) {
        if ((steps[at].symbols & one(symbol)) != 0) follow(steps, steps[at].next, next);
      }
      made.rows_[state].at(symbol) = state_of(std::move(next));
    }
    if (moments.size() > max_states) {
      return Error{fmt::format("'{}' is too intricate an AS path expression", text)};
    }
  }
  return made;
}

/// Where a reader of the path stands.
class AsPathMatcher {
 public:
  explicit AsPathMatcher(const AsPathRegex& regex) : regex_(regex) {}

  void read(std::uint16_t symbol) {
    state_ = regex_.rows_[state_].at(symbol);
    found_ = found_ || regex_.found_[state_];
  }
  void read(Asn asn) {
    std::array<char, 10> digits{};
    const auto [end, fault] =
        std::to_chars(digits.data(), digits.data() + digits.size(), asn.value);
    for (const char* at = digits.data(); at != end; ++at) {
      read(static_cast<std::uint16_t>(*at - '0'));
    }
  }
  [[nodiscard]] bool found() const { return found_ || regex_.found_[state_]; }

 private:
  const AsPathRegex& regex_;
  std::uint16_t state_ = 0;
  bool found_ = false;
};

bool AsPathRegex::matches(const AsPath& path) const {
  AsPathMatcher matcher(*this);
  // Twice, so that "^_65001" and "65001_$" find both a border and an end.
  matcher.read(begin_of_path);
  matcher.read(begin_of_path);
  bool first = true;
  for (const AsPath::Segment& segment : path.segments) {
    const bool set = segment.type != AsPath::SegmentType::sequence;
    if (!std::exchange(first, false)) matcher.read(space);
    if (set) matcher.read(open_set);
    for (std::size_t i = 0; i < segment.asns.size() && !matcher.found(); ++i) {
      if (i != 0) matcher.read(space);
      matcher.read(segment.asns[i]);
    }
    if (set) matcher.read(close_set);
  }
  matcher.read(end_of_path);
  matcher.read(end_of_path);
  return matcher.found();
}

}  // namespace weft::bgp
