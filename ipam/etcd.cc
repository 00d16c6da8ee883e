#include "ipam/etcd.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

namespace weft::ipam {

namespace {

/// Beside the programs, built or installed: bin/../lib/weft. "(deleted)" behind the name of a
/// program that was replaced since does not matter.
std::string path_of_module() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  return (program.parent_path().parent_path() / "lib/weft/etcd.so").string();
}

}  // namespace

Result<std::unique_ptr<Etcd>> Etcd::create(boost::asio::io_context& io, const EtcdClaim& settings) {
  const std::string path = path_of_module();
  // Never closed: services of Asio that come from it live as long as the main loop.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return Error{fmt::format("the client cannot be loaded: {}", dlerror())};
  const auto* const module = static_cast<const EtcdModule*>(dlsym(library, "weft_etcd"));
  if (module == nullptr || std::string_view(module->version) != WEFT_VERSION) {
    return Error{
        fmt::format("{} is not of this weftd's version, {}: restart weftd", path, WEFT_VERSION)};
  }
  return module->make(io, settings);
}

}  // namespace weft::ipam
