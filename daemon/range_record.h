// RangeRecord: who came from listen ranges and has a session, noted in the state directory. Nobody
// lists them, so the next weftd learns from it whom it is to wait for before it chooses routes (RFC
// 4724 4.1), in place of waiting for whoever might come.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "bgp/speaker.h"
#include "net/result.h"

namespace weft::daemon {

class RangeRecord {
 public:
  explicit RangeRecord(const std::filesystem::path& state_directory);

  /// As read at first, or written since; none: no earlier weftd has said.
  [[nodiscard]] const std::optional<std::vector<bgp::RangeMember>>& members() const {
    return members_;
  }
  /// Writes it anew when it says something else, in one piece or not at all.
  [[nodiscard]] Result<void> write(std::vector<bgp::RangeMember> members);

 private:
  std::filesystem::path path_;
  std::optional<std::vector<bgp::RangeMember>> members_;
};

}  // namespace weft::daemon
