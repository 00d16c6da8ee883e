// The directory in which host-local, CNI's reference IPAM plugin, keeps what it gave out: one file
// an address, named by it, with the container's id and the interface's name. Read by weftctl, never
// written. I/O.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/protocol.h"
#include "net/result.h"

namespace weft::ctl {

/// Files that are no address of one are passed over: "lock", "last_reserved_ip.0".
bool is_host_local_bookkeeping(std::string_view name);
/// The error says what is wrong with the file.
Result<AddressInUse> parse_host_local(std::string_view name, std::string_view content);

struct HostLocal {
  /// By container and interface, so that those of one stand together.
  std::vector<AddressInUse> addresses;
  /// Files that are not understood, a sentence each.
  std::vector<std::string> faults;
};
Result<HostLocal> read_host_local(const std::filesystem::path& directory);

}  // namespace weft::ctl
