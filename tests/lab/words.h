// Words of a command line, split as a POSIX shell would (2.2 Quoting): blanks, '…', "…", backslash.
// Not a shell: no variables, globs, pipes or redirections, as containerlab does with `exec`, `cmd`
// and `entrypoint`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/result.h"

namespace weft::lab {

/// An error says which quote is never closed.
Result<std::vector<std::string>> split_words(std::string_view line);

}  // namespace weft::lab
