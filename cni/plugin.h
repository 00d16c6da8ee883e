// weft-cni's own commands, each one function: ask weftd, change or check the container, say what to
// print. Not here: how the request came in and how the answer goes out (program.cc). I/O.
#pragma once

#include "cni/program.h"

namespace weft::cni {

Program plugin();

}  // namespace weft::cni
