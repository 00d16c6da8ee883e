#include "daemon/nftables.h"

#include <dlfcn.h>
#include <nftables/libnftables.h>

#include <algorithm>
#include <utility>

namespace weft::daemon {
namespace {

constexpr const char* soname = "libnftables.so.1";

Error unusable(const char* why) {
  return Error{std::string("libnftables cannot be used: ") + (why == nullptr ? "" : why)};
}

}  // namespace

/// Each function by its name, of the type its header declares.
struct Nftables::Library {
  void* handle = nullptr;
  decltype(&nft_ctx_new) make = nullptr;
  decltype(&nft_ctx_free) free = nullptr;
  decltype(&nft_ctx_output_set_flags) set_flags = nullptr;
  decltype(&nft_ctx_buffer_output) buffer_output = nullptr;
  decltype(&nft_ctx_buffer_error) buffer_error = nullptr;
  decltype(&nft_ctx_get_output_buffer) output = nullptr;
  decltype(&nft_ctx_get_error_buffer) error = nullptr;
  decltype(&nft_run_cmd_from_buffer) run = nullptr;
  nft_ctx* context = nullptr;

  template <typename Function>
  bool find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    return function != nullptr;
  }
};

void Nftables::Unload::operator()(Library* library) const {
  if (library->context != nullptr) library->free(library->context);
  if (library->handle != nullptr) dlclose(library->handle);
  delete library;
}

Result<Nftables> Nftables::open() {
  std::unique_ptr<Library, Unload> library(new Library);
  Library& nft = *library;
  nft.handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
  if (nft.handle == nullptr) return unusable(dlerror());
  const bool whole = nft.find(nft.make, "nft_ctx_new") && nft.find(nft.free, "nft_ctx_free") &&
                     nft.find(nft.set_flags, "nft_ctx_output_set_flags") &&
                     nft.find(nft.buffer_output, "nft_ctx_buffer_output") &&
                     nft.find(nft.buffer_error, "nft_ctx_buffer_error") &&
                     nft.find(nft.output, "nft_ctx_get_output_buffer") &&
                     nft.find(nft.error, "nft_ctx_get_error_buffer") &&
                     nft.find(nft.run, "nft_run_cmd_from_buffer");
  if (!whole) return unusable(dlerror());
  nft.context = nft.make(NFT_CTX_DEFAULT);
  if (nft.context == nullptr) return unusable("no context");
  nft.set_flags(nft.context, NFT_CTX_OUTPUT_JSON);
  if (nft.buffer_output(nft.context) != 0 || nft.buffer_error(nft.context) != 0) {
    return unusable("no buffers");
  }
  return Nftables(std::move(library));
}

Result<std::string> Nftables::run(const std::string& json) {
  const Library& nft = *library_;
  const int failed = nft.run(nft.context, json.c_str());
  const char* output = nft.output(nft.context);
  std::string said = output == nullptr ? "" : output;
  const char* complaint = nft.error(nft.context);
  if (failed == 0) return said;
  std::string message = complaint == nullptr ? "" : complaint;
  message.resize(std::min(message.find('\n'), message.size()));
  return Error{"nft: " + (message.empty() ? std::string("refused") : message)};
}

}  // namespace weft::daemon
