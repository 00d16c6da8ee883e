// Any text is either refused, with at least one error that can be printed, or a configuration that
// survives being rendered.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/config.h"
#include "config/diff.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Defaults defaults{"host"};
  const auto config = parse(text, "fuzz.yaml", defaults);
  if (!config) {
    if (config.error().empty()) std::abort();
    for (const ConfigError& error : config.error()) {
      if (error.text().empty() || error.line < 0) std::abort();
    }
    return 0;
  }
  const auto again = parse(render(*config), "rendered.yaml", defaults);
  if (!again || !(*again == *config) || !diff(*config, *again).empty()) std::abort();
  return 0;
}
