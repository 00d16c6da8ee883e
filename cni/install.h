// install: puts weft's network configuration where runtimes look for it, in one step and not before
// weftd can serve an ADD: a runtime that sees the file may start containers at once. Run by an
// operator or at weftd's start, never by a runtime. I/O.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "cni/request.h"
#include "ctl/protocol.h"
#include "net/result.h"

namespace weft::cni {

struct Installation {
  /// Where the configuration goes.
  std::string to = "/etc/cni/net.d/10-weft.conflist";
  /// A configuration of the operator's own; empty: the default one.
  std::string from;
  /// How long weftd may take to become ready.
  std::chrono::seconds patience{60};
  /// weftd's; empty: the default.
  std::string socket;
};

/// The words behind "weft-cni install".
Result<Installation> parse_installation(const std::vector<std::string_view>& words);

/// One network named weft, with what Debian's plugins add behind it.
std::string default_conflist();

/// A list of plugins with weft as its first, in words that runtimes read.
Result<NetworkConfig> check_conflist(std::string_view text);

/// Why an ADD would fail, or its container would not be reached; empty when neither is so.
std::string not_ready(const ctl::Status& status);

/// Waits, then writes. Whoever reads the directory sees the old file or the new one.
Result<void> install(const Installation& installation);

}  // namespace weft::cni
