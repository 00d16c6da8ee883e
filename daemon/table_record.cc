#include "daemon/table_record.h"

#include <fmt/format.h>

#include <fstream>
#include <string>
#include <system_error>

#include "daemon/forwarding_record.h"

namespace weft::daemon {

namespace {

/// Tables kept in mind; a record with more was not written by us.
constexpr std::size_t table_limit = 4096;

}  // namespace

TableRecord::TableRecord(const std::filesystem::path& state_directory)
    : path_(state_directory / "tables") {
  std::ifstream file(path_);
  std::string identity;
  std::string line;
  for (int i = 0; i < 2 && std::getline(file, line); ++i) identity += line + "\n";
  if (identity != kernel_identity()) return;
  for (std::uint32_t table = 0; file >> table && tables_.size() < table_limit;) {
    if (table != 0) tables_.insert(table);
  }
}

Result<void> TableRecord::add(const std::vector<std::uint32_t>& tables) {
  const std::size_t before = tables_.size();
  tables_.insert(tables.begin(), tables.end());
  if (tables_.size() == before) return {};
  const auto identity = kernel_identity();
  if (!identity) return Error{"boot id and network namespace are not known"};
  const std::filesystem::path fresh = path_.string() + ".new";
  std::ofstream file(fresh);
  file << *identity;
  for (const std::uint32_t table : tables_) file << table << "\n";
  file.close();
  std::error_code failed;
  if (file) std::filesystem::rename(fresh, path_, failed);
  if (!file || failed) return Error{fmt::format("{} cannot be written", path_.string())};
  return {};
}

}  // namespace weft::daemon
