#include "daemon/forwarding_record.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <optional>

#include "daemon/host.h"
#include "daemon/replace_file.h"

namespace weft::daemon {

std::optional<std::string> kernel_identity() {
  const auto boot = boot_id();
  struct stat netns {};
  if (!boot || ::stat("/proc/thread-self/ns/net", &netns) != 0) return std::nullopt;
  return fmt::format("boot {}\nnetns {}:{}\n", *boot, netns.st_dev, netns.st_ino);
}

bool ForwardingRecord::is_of_this_kernel() const {
  std::ifstream file(path_);
  const std::string written{std::istreambuf_iterator<char>(file), {}};
  return kernel_identity() == written;
}

Result<void> ForwardingRecord::write() const {
  const auto now = kernel_identity();
  if (!now) return Error{"boot id and network namespace are not known"};
  return replace_file(path_, *now);
}

}  // namespace weft::daemon
