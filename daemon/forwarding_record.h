// ForwardingRecord: a note in the state directory that a weftd has brought its routes into this
// very kernel: boot and network namespace. The next one that finds its own boot and namespace in it
// knows that it restarted, and that forwarding need not have stopped (RFC 4724 3, the R and F
// bits). What of the routes is still there the kernel's own tables tell.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "net/result.h"

namespace weft::daemon {

/// What tells one kernel's one network namespace from any other, ever: some lines of text.
std::optional<std::string> kernel_identity();

class ForwardingRecord {
 public:
  explicit ForwardingRecord(const std::filesystem::path& state_directory)
      : path_(state_directory / "forwarding") {}

  /// Written by an earlier weftd of this boot, in this network namespace.
  [[nodiscard]] bool is_of_this_kernel() const;
  /// Writes it anew, in one piece or not at all.
  [[nodiscard]] Result<void> write() const;

 private:
  std::filesystem::path path_;
};

}  // namespace weft::daemon
