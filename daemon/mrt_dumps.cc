#include "daemon/mrt_dumps.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "ctl/base64.h"
#include "net/bytes.h"

namespace weft::daemon {
namespace {

std::uint32_t unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

}  // namespace

ctl::Reply MrtDumps::answer(const ctl::MrtRequest& request, const bgp::Speaker& speaker, Time now) {
  std::vector<std::byte> bytes;
  const std::uint32_t timestamp = unix_seconds();
  auto found = dumps_.end();
  if (request.dump) {
    found = dumps_.find(*request.dump);
    if (found == dumps_.end())
      return ctl::Failure{ctl::ErrorCode::not_found, "there is no such MRT dump any more"};
  } else {
    if (dumps_.size() == limit) {
      dumps_.erase(std::min_element(dumps_.begin(), dumps_.end(), [](const auto& a, const auto& b) {
        return a.second.asked < b.second.asked;
      }));
    }
    found = dumps_.emplace(++last_, Dump{speaker.begin_mrt_dump(timestamp, now), now}).first;
    bgp::encode_peer_index(found->second.cursor, "", timestamp, bytes);
  }
  Dump& dump = found->second;
  dump.asked = now;
  speaker.continue_mrt_dump(dump.cursor, slice, timestamp, bytes);
  ctl::MrtRecords records{found->first, ctl::base64(bytes), dump.cursor.done, dump.cursor.routes,
                          dump.cursor.paths};
  if (records.done) dumps_.erase(found);
  return records;
}

}  // namespace weft::daemon
