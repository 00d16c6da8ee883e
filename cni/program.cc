#include "cni/program.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "cni/gc.h"

namespace weft::cni {

namespace {

/// All of stdin, or one octet more than will be taken.
std::string read_input() {
  std::string input;
  // Configurations are short, and every page of a larger one costs a fault.
  char buffer[2 * 1024];
  while (input.size() <= config_limit) {
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

int fail(const Failure& failure, std::string_view version) {
  print(encode(failure, version));
  return EXIT_FAILURE;
}

Result<std::string, Failure> carry_out(const Program& program, const Request& request) {
  const Weftd weftd(request, variable("WEFT_SOCKET"));
  switch (request.command) {
    case Command::add:
      return program.add(request, weftd);
    case Command::del:
      return program.del(request, weftd);
    case Command::check:
      return program.check(request, weftd);
    case Command::gc:
      return collect(request, weftd);
    case Command::status:
      return status(request.config, weftd);
    case Command::version:
      break;
  }
  return version_text();
}

int serve(const Program& program) {
  const Environment environment{variable("CNI_COMMAND"),       variable("CNI_CONTAINERID"),
                                variable("CNI_NETNS"),         variable("CNI_IFNAME"),
                                variable("CNI_ARGS"),          variable("CNI_PATH"),
                                variable("CNI_NETNS_OVERRIDE")};
  if (environment.command.empty()) {
    fmt::print(stderr, "CNI {} plugin v{}\nCNI protocol versions supported: {}\n", program.name,
               WEFT_VERSION, fmt::join(versions, ", "));
    return EXIT_SUCCESS;
  }
  // VERSION leaves stdin alone, as the reference skeleton does: some runtimes keep it open.
  const std::string input = environment.command == "VERSION" ? std::string() : read_input();
  const auto request = parse(environment, input, program.role);
  if (!request) return fail(request.error(), version_for_errors(input));
  const auto output = carry_out(program, *request);
  if (!output) return fail(output.error(), request->config.cni_version);
  if (!output->empty() && !print(*output)) return EXIT_FAILURE;
  return EXIT_SUCCESS;
}

}  // namespace

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? std::string() : value;
}

int run(const Program& program) noexcept {
  try {
    return serve(program);
  } catch (const std::exception& fault) {
    return fail({Code::internal, fault.what(), {}}, newest_version);
  } catch (...) {
    return fail({Code::internal, "unknown fault", {}}, newest_version);
  }
}

}  // namespace weft::cni
