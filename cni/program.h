// Program: what weft-cni and weft-ipam are around their own commands, ADD, DEL and CHECK: the
// environment and stdin come in, one JSON object goes out, and nothing else to stdout; GC, STATUS
// and VERSION, which are the same for both. I/O.
#pragma once

#include <string>

#include "cni/request.h"
#include "cni/result.h"
#include "cni/weftd.h"
#include "net/result.h"

namespace weft::cni {

/// Gives what goes to stdout; empty for the commands that print nothing. Warnings go to stderr.
using Verb = Result<std::string, Failure> (*)(const Request& request, const Weftd& weftd);

struct Program {
  /// As people know it: "weft", "weft-ipam".
  const char* name;
  Role role;
  Verb add;
  Verb del;
  Verb check;
};

/// The exit status. Throws nothing.
int run(const Program& program) noexcept;

/// Of the environment; empty when it is not set.
std::string variable(const char* name);

}  // namespace weft::cni
