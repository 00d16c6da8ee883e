#include "tests/lab/words.h"

#include <fmt/format.h>

#include <cstddef>

namespace weft::lab {
namespace {

constexpr std::string_view blanks = " \t\n";

/// What a backslash takes the meaning from: anything outside of quotes, these three inside of "…".
bool escapes(char quote, char next) {
  if (quote == 0) return next != '\0';
  return quote == '"' && (next == '"' || next == '\\' || next == '$');
}

/// One word of `line` from `at` on, which is left behind it.
Result<std::string> word(std::string_view line, std::size_t& at) {
  std::string text;
  char quote = 0;
  for (; at < line.size(); ++at) {
    const char c = line[at];
    const char next = at + 1 < line.size() ? line[at + 1] : '\0';
    if (quote == 0 && blanks.find(c) != std::string_view::npos) break;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && escapes(quote, next)) {
      text += line[++at];
    } else {
      text += c;
    }
  }
  if (quote != 0) return Error{fmt::format("the quote {} is never closed", quote)};
  return text;
}

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::size_t at = 0;
  for (;;) {
    at = line.find_first_not_of(blanks, at);
    if (at == std::string_view::npos) return words;
    auto next = word(line, at);
    if (!next) return next.error();
    words.push_back(std::move(*next));
  }
}

}  // namespace weft::lab
