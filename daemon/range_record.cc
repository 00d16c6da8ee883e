#include "daemon/range_record.h"

#include <fmt/format.h>

#include <fstream>
#include <string>
#include <utility>

#include "daemon/replace_file.h"

namespace weft::daemon {
namespace {

constexpr std::string_view graceful = "graceful";
constexpr std::string_view plain = "plain";

}  // namespace

RangeRecord::RangeRecord(const std::filesystem::path& state_directory)
    : path_(state_directory / "range-peers") {
  std::ifstream file(path_);
  if (!file) return;
  std::vector<bgp::RangeMember> members;
  for (std::string address, how; file >> address >> how;) {
    const auto parsed = Address::parse(address);
    // Not what we write: who was there is not known then.
    if (!parsed || (how != graceful && how != plain) || members.size() == bgp::dynamic_limit)
      return;
    members.push_back({*parsed, how == graceful});
  }
  members_ = std::move(members);
}

Result<void> RangeRecord::write(std::vector<bgp::RangeMember> members) {
  if (members_ == members) return {};
  std::string text;
  for (const bgp::RangeMember& each : members)
    text += fmt::format("{} {}\n", each.address.text(), each.graceful ? graceful : plain);
  if (auto written = replace_file(path_, text); !written) return written;
  members_ = std::move(members);
  return {};
}

}  // namespace weft::daemon
