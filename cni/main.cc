// weft-cni: what a container runtime executes. Reads the environment and stdin, asks weftd, wires
// the container, prints. Nothing goes to stdout but one JSON object; words for people go to stderr,
// which runtimes copy into their logs.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "cni/install.h"
#include "cni/plugin.h"
#include "cni/request.h"
#include "cni/result.h"

namespace {

using namespace weft;

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? std::string() : value;
}

/// All of stdin, or one octet more than will be taken.
std::string read_input() {
  std::string input;
  char buffer[16 * 1024];
  while (input.size() <= cni::config_limit) {
    const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    input.append(buffer, static_cast<std::size_t>(size));
  }
  return input;
}

/// False when the reader is gone.
bool print(std::string text) {
  text += '\n';
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t size = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

int fail(const cni::Failure& failure, std::string_view version) {
  print(cni::encode(failure, version));
  return EXIT_FAILURE;
}

int run() {
  const cni::Environment environment{variable("CNI_COMMAND"),       variable("CNI_CONTAINERID"),
                                     variable("CNI_NETNS"),         variable("CNI_IFNAME"),
                                     variable("CNI_ARGS"),          variable("CNI_PATH"),
                                     variable("CNI_NETNS_OVERRIDE")};
  if (environment.command.empty()) {
    fmt::print(stderr, "CNI weft plugin v{}\nCNI protocol versions supported: {}\n", WEFT_VERSION,
               fmt::join(cni::versions, ", "));
    return EXIT_SUCCESS;
  }
  // VERSION leaves stdin alone, as the reference skeleton does: some runtimes keep it open.
  const std::string input = environment.command == "VERSION" ? std::string() : read_input();
  const auto request = cni::parse(environment, input);
  if (!request) return fail(request.error(), cni::version_for_errors(input));
  const auto output = cni::serve(*request, variable("WEFT_SOCKET"));
  if (!output) return fail(output.error(), request->config.cni_version);
  if (!output->empty() && !print(*output)) return EXIT_FAILURE;
  return EXIT_SUCCESS;
}

/// weft-cni install …, of an operator.
int install(const std::vector<std::string_view>& words) {
  auto installation = cni::parse_installation(words);
  if (installation && installation->socket.empty()) installation->socket = variable("WEFT_SOCKET");
  const auto done = installation ? cni::install(*installation) : Result<void>(installation.error());
  if (done) return EXIT_SUCCESS;
  fmt::print(stderr, "weft-cni: {}\n", done.error().message);
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    // Runtimes give no arguments.
    const std::vector<std::string_view> words(argv, argv + argc);
    if (words.size() > 1 && words[1] == "install") return install({words.begin() + 2, words.end()});
    return run();
  } catch (const std::exception& fault) {
    return fail({cni::Code::internal, fault.what(), {}}, cni::newest_version);
  } catch (...) {
    return fail({cni::Code::internal, "unknown fault", {}}, cni::newest_version);
  }
}
