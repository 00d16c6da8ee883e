// weft-cni: what a container runtime executes to attach a container. Nothing goes to stdout but one
// JSON object; words for people go to stderr, which runtimes copy into their logs.
#include <fmt/format.h>

#include <cstdlib>
#include <exception>
#include <string_view>
#include <vector>

#include "cni/install.h"
#include "cni/plugin.h"
#include "cni/program.h"

namespace {

using namespace weft;

/// weft-cni install …, of an operator.
int install(const std::vector<std::string_view>& words) try {
  auto installation = cni::parse_installation(words);
  if (installation && installation->socket.empty()) {
    installation->socket = cni::variable("WEFT_SOCKET");
  }
  const auto done = installation ? cni::install(*installation) : Result<void>(installation.error());
  if (done) return EXIT_SUCCESS;
  fmt::print(stderr, "weft-cni: {}\n", done.error().message);
  return EXIT_FAILURE;
} catch (const std::exception& fault) {
  fmt::print(stderr, "weft-cni: {}\n", fault.what());
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  // Runtimes give no arguments.
  const std::vector<std::string_view> words(argv, argv + argc);
  if (words.size() > 1 && words[1] == "install") return install({words.begin() + 2, words.end()});
  return cni::run(cni::plugin());
}
