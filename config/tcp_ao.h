// The key tcp-ao of a peer: a chain of keys, their secrets in files. Private to *keys.cc.
#pragma once

#include "bgp/settings.h"
#include "config/keys.h"

namespace weft::config {

Key<bgp::PeerSettings> tcp_ao();

}  // namespace weft::config
