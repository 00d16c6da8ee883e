// Nftables: libnftables(3), in memory only while something is said to it. The library and the four
// it needs take more than a megabyte, for a few transactions in weftd's whole life. I/O.
#pragma once

#include <memory>
#include <string>

#include "net/result.h"

struct nft_ctx;

namespace weft::daemon {

class Nftables {
 public:
  /// Loads the library.
  static Result<Nftables> open();
  /// One libnftables-json(5) document, run as one transaction. What is answered, as JSON.
  Result<std::string> run(const std::string& json);

 private:
  struct Library;
  struct Unload {
    void operator()(Library* library) const;
  };
  explicit Nftables(std::unique_ptr<Library, Unload> library) : library_(std::move(library)) {}

  std::unique_ptr<Library, Unload> library_;
};

}  // namespace weft::daemon
