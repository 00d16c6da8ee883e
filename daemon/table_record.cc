#include "daemon/table_record.h"

#include <fmt/format.h>

#include <fstream>
#include <string>

#include "daemon/forwarding_record.h"
#include "daemon/replace_file.h"

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
  auto text = kernel_identity();
  if (!text) return Error{"boot id and network namespace are not known"};
  for (const std::uint32_t table : tables_) *text += fmt::format("{}\n", table);
  return replace_file(path_, *text);
}

}  // namespace weft::daemon
