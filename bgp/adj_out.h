// AdjOut: what peers are told, as UPDATE messages. Peers that are told the same make an update
// group: what to say is worked out and encoded once for all of them, each peer gets a copy with its
// own next hop, without what it told us itself. A peer that reads slowly holds a place in the
// journal and is caught up later with the last state; it never holds a queue. Not here: sockets,
// when to send, what is best (rib.h). RFC 4271 9.1.3, 9.2; 4760; 4724 2; 2918, 7313; 1997; 7911.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bgp/as_path_rules.h"
#include "bgp/capabilities.h"
#include "bgp/policy.h"
#include "bgp/rib.h"
#include "bgp/types.h"
#include "bgp/update.h"
#include "net/ip.h"

namespace weft::bgp {

/// What of a session decides what the peer is told, and how, in one family.
struct AdjOutPeer {
  bool external = true;
  Policy policy;
  /// The family is among what was negotiated.
  Negotiated negotiated;
  /// Ours, as the peer is to use it: of the family, or IPv6 for IPv4 routes where RFC 8950 was
  /// negotiated.
  PathNextHop next_hop;
  /// `next_hop` or that of the path. What we originate always has ours, what we reflect (RFC 4456
  /// 10) never.
  NextHopRule next_hop_rule = NextHopRule::automatic;
  /// On eBGP.
  AsPathRules as_path;
  /// Ours towards the peer (RFC 9234).
  std::optional<Role> role = {};
  /// RFC 8326: all that is told asks to be used last.
  bool drain = false;
  /// RFC 4456: whether the peer is a client of ours, and our CLUSTER_ID.
  bool reflector_client = false;
  RouterId cluster_id;
  DefaultOriginate default_originate = {};
  bool unsuppress = false;
  /// RFC 7911, where it was negotiated.
  AddPathSend add_path;
};

class AdjOut {
 public:
  /// Encoded octets that a group keeps for members that lag; beyond, they fall back to a place in
  /// the journal.
  static constexpr std::size_t max_backlog = 1UL << 20;

  /// `rib` must outlive this. `backlog`: as max_backlog, smaller to save memory.
  explicit AdjOut(Rib& rib, std::size_t backlog = max_backlog);
  ~AdjOut();
  AdjOut(const AdjOut&) = delete;
  AdjOut& operator=(const AdjOut&) = delete;

  /// The session is Established: the whole table goes out, then End-of-RIB, then changes.
  void join(PeerId peer, Family family, const AdjOutPeer& how);
  /// The session stands, but what the peer is to be told changed: all is said again, and what no
  /// longer holds withdrawn.
  void change(PeerId peer, Family family, const AdjOutPeer& how);
  /// The session is down.
  void leave(PeerId peer);
  /// The peer asks for the whole table again (RFC 2918); End-of-RIB is not repeated. Where RFC 7313
  /// was negotiated, the table stands between BoRR and EoRR.
  void refresh(PeerId peer, Family family);

  /// True when produce() would give something, or may: the table moved since the peer was last told
  /// all.
  [[nodiscard]] bool pending(PeerId peer) const;
  /// Appends whole messages, about `size` octets (at least one message if any waits, at most `size`
  /// and one segment of 64 KiB). Call it when the peer has taken what it was given. False: nothing
  /// was left to say.
  bool produce(PeerId peer, std::size_t size, std::vector<std::byte>& out);

  [[nodiscard]] bool end_of_rib_sent(PeerId peer, Family family) const;
  /// Paths in the peer's Adj-RIB-Out, as of the last state its group was told.
  [[nodiscard]] std::uint64_t advertised(PeerId peer, Family family) const;
  /// Peers to which the prefix is advertised.
  [[nodiscard]] std::uint32_t advertised_to(const Prefix& prefix) const;
  /// What the peer is told of a prefix, for whoever monitors: appended.
  struct Route {
    std::uint32_t path_id = 0;
    /// Routes of one peer and family with equal numbers have equal attributes and next hops, until
    /// the next call of produce().
    std::uint32_t advertisement = 0;
  };
  void routes_at(PeerId peer, Family family, NetId net, std::vector<Route>& routes) const;
  /// routes_at() knows nothing of a peer that is behind the others. Another number than before: it
  /// was, in some family, and is no longer. None: it is.
  [[nodiscard]] std::optional<std::uint64_t> caught_up(PeerId peer) const;
  /// `advertisement` out of a Route: the attributes as a peer with four-octet AS numbers reads
  /// them, appended, and the next hop.
  PathNextHop describe(PeerId peer, Family family, std::uint32_t advertisement,
                       std::vector<std::byte>& attributes) const;
  /// Routes whose attributes fit no message of some group and were withheld or withdrawn, ever.
  [[nodiscard]] std::uint64_t too_big() const;
  [[nodiscard]] std::size_t memory() const;

 private:
  struct World;
  std::unique_ptr<World> world_;
};

}  // namespace weft::bgp
