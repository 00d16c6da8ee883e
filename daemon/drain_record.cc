#include "daemon/drain_record.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "daemon/replace_file.h"

namespace weft::daemon {

std::optional<std::string> DrainRecord::read() const {
  std::ifstream file(path_);
  if (!file) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

Result<void> DrainRecord::write(const std::string& text) const {
  return replace_file(path_, text);
}

Result<void> DrainRecord::remove() const {
  std::error_code failed;
  std::filesystem::remove(path_, failed);
  if (failed) {
    return Error{fmt::format("{} cannot be removed: {}", path_.string(), failed.message())};
  }
  return {};
}

}  // namespace weft::daemon
