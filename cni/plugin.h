// The plugin's commands, each one function: ask weftd, change or check the container, say what to
// print. Not here: how the request came in and how the answer goes out (main.cc). I/O.
#pragma once

#include <string>

#include "cni/request.h"
#include "cni/result.h"
#include "net/result.h"

namespace weft::cni {

/// What goes to stdout; empty for the commands that print nothing. `socket` overrides the
/// configuration's when it is not empty. Warnings go to stderr.
Result<std::string, Failure> serve(const Request& request, const std::string& socket);

}  // namespace weft::cni
