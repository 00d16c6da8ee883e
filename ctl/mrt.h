// Fetches an MRT dump from weftd into a file, records as they come (RFC 6396).
#pragma once

#include <cstdint>
#include <string>

#include "net/result.h"
#include "net/time.h"

namespace weft::ctl {

struct MrtSummary {
  std::uint64_t routes = 0;
  std::uint64_t paths = 0;
};

/// `file` is replaced once the dump is whole. `patience`: for each answer of weftd.
Result<MrtSummary> dump_mrt(const std::string& socket, const std::string& file,
                            Clock::duration patience);

}  // namespace weft::ctl
