#include "daemon/replace_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

namespace weft::daemon {

Result<void> replace_file(const std::filesystem::path& path, std::string_view text) {
  const std::filesystem::path fresh = path.string() + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  file << text;
  file.close();
  std::error_code failed;
  if (!file) failed = {errno, std::generic_category()};
  if (!failed) std::filesystem::rename(fresh, path, failed);
  if (!failed) return {};
  std::error_code ignored;  // what cannot be removed is overwritten by the next attempt
  std::filesystem::remove(fresh, ignored);
  return Error{fmt::format("{} cannot be written: {}", path.string(), failed.message())};
}

}  // namespace weft::daemon
