// DrainRecord: that the operator has drained this node, and why: a file in the state directory, so
// that a restart of weftd does not bring back the traffic.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "net/result.h"

namespace weft::daemon {

class DrainRecord {
 public:
  explicit DrainRecord(const std::filesystem::path& state_directory)
      : path_(state_directory / "drained") {}

  /// The operator's words; none: not drained.
  [[nodiscard]] std::optional<std::string> read() const;
  [[nodiscard]] Result<void> write(const std::string& text) const;
  [[nodiscard]] Result<void> remove() const;

 private:
  std::filesystem::path path_;
};

}  // namespace weft::daemon
