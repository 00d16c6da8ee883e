// BfdLinks: BFD beside the BGP sessions of peers that want it (RFC 5882). A session that came up
// says between which addresses to look; what the BFD thread sees fail ends the BGP session at once.
// The two modules meet nowhere else. Runs on the main loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bfd/sessions.h"
#include "bgp/speaker.h"

namespace boost::asio {
class io_context;
}

namespace weft::daemon {

/// The path to a peer, and how it is.
struct PeerPath {
  std::string peer;
  bfd::SessionStatus session;
};
struct BfdStatus {
  std::vector<PeerPath> paths;
  /// Packets that were nobody's.
  std::uint64_t dropped = 0;
};

class BfdLinks {
 public:
  /// `lost` is told that the path to a peer has failed, and why.
  using Lost = std::function<void(const std::string& peer, const std::string& why)>;
  BfdLinks(boost::asio::io_context& io, Lost lost);
  ~BfdLinks();
  BfdLinks(const BfdLinks&) = delete;
  BfdLinks& operator=(const BfdLinks&) = delete;

  /// What peers want; those that went, or want it no longer, are looked after no more.
  void apply(const bgp::Settings& settings);
  /// The path of an established session is looked after from now on, also when the session ends:
  /// until the next one of the peer leads elsewhere.
  void established(const bgp::SessionUp& session);
  /// A peer that a range had let in is no more.
  void forgotten(const std::string& peer);
  /// Tells the neighbours that nothing is wrong with the path.
  void stop();

  [[nodiscard]] BfdStatus status() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace weft::daemon
