// GC of both plugins: what a network holds and the runtime does not list is freed, one DEL each. A
// list may be wrong (a runtime that has just started, one of two that share a network): whatever
// lives and has its address is left alone, however it is listed. I/O.
#pragma once

#include <string>

#include "cni/request.h"
#include "cni/result.h"
#include "cni/weftd.h"
#include "net/result.h"

namespace weft::cni {

/// Prints nothing. Errors do not stop the rest and are reported together.
Result<std::string, Failure> collect(const Request& request, const Weftd& weftd);

}  // namespace weft::cni
