// Program: what weft-cni and weft-ipam are around their commands: the environment and stdin come
// in, one JSON object goes out, and nothing else to stdout. I/O.
#pragma once

#include <string>

#include "cni/request.h"
#include "cni/result.h"
#include "net/result.h"

namespace weft::cni {

struct Program {
  /// As people know it: "weft", "weft-ipam".
  const char* name;
  Role role;
  Result<std::string, Failure> (*serve)(const Request& request, const std::string& socket);
};

/// The exit status. Throws nothing.
int run(const Program& program) noexcept;

/// Of the environment; empty when it is not set.
std::string variable(const char* name);

}  // namespace weft::cni
