// TableRecord: in which of the kernel's tables a weftd of this boot and network namespace has
// written routes, whatever its configuration says by now. Kept in the state directory, told before
// the first route is written there, so that whoever comes next finds all that is left.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <vector>

#include "net/result.h"

namespace weft::daemon {

class TableRecord {
 public:
  explicit TableRecord(const std::filesystem::path& state_directory);

  /// As read at first, and added since.
  [[nodiscard]] std::vector<std::uint32_t> tables() const {
    return {tables_.begin(), tables_.end()};
  }
  /// Writes it anew when one of these is not in it, in one piece or not at all.
  [[nodiscard]] Result<void> add(const std::vector<std::uint32_t>& tables);

 private:
  std::filesystem::path path_;
  std::set<std::uint32_t> tables_;
};

}  // namespace weft::daemon
