// A file of the state directory, replaced as a whole or not at all: whoever reads it, also after a
// crash of weftd, finds what was there before or what is there now.
#pragma once

#include <filesystem>
#include <string_view>

#include "net/result.h"

namespace weft::daemon {

Result<void> replace_file(const std::filesystem::path& path, std::string_view text);

}  // namespace weft::daemon
