// Announcements: prefixes that local clients want announced, and how long each of them is wanted:
// until it is withdrawn, until a time, or as long as the client's connection to the control socket
// lives. Pure but for save() and load(), which keep those that are bound to no connection over a
// restart. Not here: announcing (routing.h), the words (ctl/protocol.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bgp/origination.h"
#include "ctl/protocol.h"
#include "net/ip.h"
#include "net/result.h"
#include "net/time.h"

namespace weft::daemon {

/// A connection to the control socket; 0 is none.
using ClientId = std::uint64_t;

class Announcements {
 public:
  /// Leases of all clients.
  static constexpr std::size_t limit = 4096;

  /// Done, or why not. Repeating a request renews its lease.
  ctl::Reply announce(const ctl::AnnounceRequest& request, ClientId client, Time now);
  /// This client's lease, else the one that is bound to no client; with `force` all of the prefix.
  ctl::Reply withdraw(const ctl::WithdrawRequest& request, ClientId client);
  /// True when leases went with the connection.
  bool client_gone(ClientId client);
  /// True when leases ran out.
  bool expire(Time now);
  /// When the next lease runs out.
  [[nodiscard]] std::optional<Time> deadline() const;

  /// What changed since the last call, a line each; a lease that is only renewed is no news.
  [[nodiscard]] std::vector<std::string> take_news() { return std::exchange(news_, {}); }

  /// One for each prefix; of several leases the unbound one counts, then the oldest.
  [[nodiscard]] std::vector<bgp::Origination> wanted() const;
  [[nodiscard]] ctl::Announcements view(Time now) const;

  /// Leases bound to no connection, by wall clock: they run out whether weftd runs or not.
  Result<void> save(const std::filesystem::path& file, Time now) const;
  /// No file: nothing to load. Lines that are not understood are told and left out.
  Result<void> load(const std::filesystem::path& file, Time now);

 private:
  struct Lease {
    bgp::Origination what;
    std::optional<Time> until;
  };
  std::map<std::pair<Prefix, ClientId>, Lease> leases_;
  std::vector<std::string> news_;
};

}  // namespace weft::daemon
