// StationFeed: what one monitoring station has been told of sessions and tables over its
// connection, and what it is to be told next, as BMP messages. It holds no queue of messages and no
// copy of a table: a walk over the places of the RIB tells what is there, a bounded set of what has
// changed where the walk has been tells the rest, each with the state at the time of telling. A
// station that reads slowly is told of the last state alone. What does not fit into the set is
// walked again, and where so much went that the set cannot hold it, the peer is told down and up
// again, which empties the station's table of it. Not here: the connection (monitoring.h), octets
// (bmp.h). RFC 7854 5; 8671 5; 9069 5.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "bgp/adj_out.h"
#include "bgp/bmp.h"
#include "bgp/capabilities.h"
#include "bgp/nlri.h"
#include "bgp/rib.h"
#include "bgp/settings.h"
#include "bgp/types.h"
#include "net/ip.h"

namespace weft::bgp {

/// A session as all stations are shown it; the Loc-RIB is the one of PeerId::local.
struct MonitoredPeer {
  bmp::PeerHeader header;
  bmp::PeerUp up;
  Negotiated negotiated;
  /// AdjOut::caught_up() when it last was.
  std::optional<std::uint64_t> caught_up = {};
};

/// What is monitored; shared by all stations.
struct Monitored {
  std::string_view system_name;
  std::string_view system_description;
  const Rib* rib = nullptr;
  const AdjOut* adj_out = nullptr;
  /// Those whose session is up.
  std::map<PeerId, MonitoredPeer> peers;
  /// UPDATEs of the peer that were treated as withdrawals.
  std::function<std::uint64_t(PeerId)> malformed;
};

class StationFeed {
 public:
  /// Changes that wait to be told, at most.
  static constexpr std::size_t max_changes = 32768;
  /// Octets that produce() may give beyond what was asked for: both views of one path, each in a
  /// message of its own, or one message about a session.
  static constexpr std::size_t max_excess =
      2 * (65535 + bmp::common_header_size + bmp::peer_header_size + 128);

  struct Counts {
    /// By bmp::MessageType.
    std::array<std::uint64_t, 6> messages{};
    std::uint64_t octets = 0;
    /// Changes did not fit, and the table is walked again.
    std::uint64_t overruns = 0;
    /// Peers told down and up again because withdrawals did not fit.
    std::uint64_t flushes = 0;
    /// Routes whose attributes fit no message.
    std::uint64_t too_big = 0;
  };

  /// `monitored` must outlive this. `limit`: as max_changes.
  StationFeed(const Monitored& monitored, std::span<const BmpView> views,
              std::size_t limit = max_changes);

  /// A new connection: the station knows nothing.
  void begin();
  /// Without a connection nothing is kept.
  void end();

  // What happens. Before begin() and after end() nothing is heard.

  /// `peer` is in Monitored::peers.
  void peer_up(PeerId peer);
  /// `peer` is there no longer.
  void peer_down(PeerId peer, const bmp::PeerDown& why);
  void path_changed(const RibWatcher::PathChange& change);
  void best_changed(Family family, NetId net, bool had, bool has);
  /// The peer is sent an UPDATE that says this of the route.
  void told_peer(PeerId peer, const Nlri& route, bool withdrawn);
  /// What AdjOut knows of the peer begins anew.
  void caught_up(PeerId peer);
  /// A Statistics Report is due for every peer.
  void report() { report_from_ = PeerId::local; }

  [[nodiscard]] bool pending() const;
  /// Appends whole messages, about `size` octets, at most max_excess more. Does some milliseconds
  /// of work at the most, so it may give nothing although something is pending. `now`: since 1970;
  /// 0: not known.
  void produce(std::size_t size, std::chrono::microseconds now, std::vector<std::byte>& out);

  [[nodiscard]] bool monitors(BmpView view) const { return views_[static_cast<std::size_t>(view)]; }
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] std::size_t changes() const { return changes_.size(); }
  [[nodiscard]] std::size_t peers() const { return heard_.size(); }
  /// The table is being walked, or about to be.
  [[nodiscard]] bool walking() const { return walk_.has_value() || walk_due_; }
  /// Octets, about; at most memory_limit() with as many peers.
  [[nodiscard]] std::size_t memory() const;
  [[nodiscard]] static std::size_t memory_limit(std::size_t limit, std::size_t peers);

 private:
  /// Of which table a route is.
  enum class Side : std::uint8_t { in, out, loc };

  struct Route {
    PeerId peer = PeerId::local;
    Side side = Side::in;
    std::uint32_t path_id = 0;
    Prefix prefix;
    auto operator<=>(const Route&) const = default;
  };
  /// What the station may hold of a route; of Side::out and Side::loc both are the same.
  struct Held {
    bool pre = false;
    bool post = false;
  };
  struct Heard {
    bmp::PeerHeader header;
    /// Peer Down is to be told.
    std::optional<bmp::PeerDown> end;
    enum class Walk : std::uint8_t { none, waits, runs } walk = Walk::waits;
    /// Where the walk has not been, the station holds nothing, unless `again`.
    bool clean = true;
    /// The walk is to be followed by another.
    bool again = false;
    bool initial = true;
    bool end_of_rib_due = false;
  };
  /// How far the walk is: what compares less has been told. The last tells behind a route from
  /// before it.
  using Position = std::tuple<Family, NetId, PeerId, Side, std::uint32_t, bool>;

  /// What is to be told of one route in one view.
  struct Item {
    PeerId peer = PeerId::local;
    BmpView view = BmpView::pre_policy;
    Family family = Family::ipv4;
    /// AttributeId, or a number of AdjOut; 0: withdrawn.
    std::uint32_t attributes = 0;
    NextHopId next_hop = NextHopId::local;
    Nlri nlri;
    auto operator<=>(const Item&) const = default;
  };
  /// A route at the place the walk has come to.
  struct Found {
    PeerId peer = PeerId::local;
    Side side = Side::in;
    std::uint32_t path_id = 0;
    std::uint32_t index = 0;  // in paths_ or routes_
    [[nodiscard]] auto key() const { return std::tuple(peer, side, path_id); }
  };
  using Run = std::tuple<PeerId, BmpView, Family, std::uint32_t, NextHopId>;

  Heard* heard(PeerId peer);
  [[nodiscard]] bool wants(PeerId peer) const;
  [[nodiscard]] bool has_been(const Position& position) const { return walk_ && position < *walk_; }
  [[nodiscard]] bool is_blank(const Heard& of, const Position& position) const;
  void changed(PeerId peer, Side side, Family family, NetId net, std::uint32_t path_id, Held held,
               bool gone);
  void record(const Route& route, Held held);
  [[nodiscard]] bool exists(const Route& route) const;
  void overrun();
  void walk_again(Heard& of);
  void flush(PeerId peer);
  void forget_changes(PeerId peer);

  void tell_sessions(std::size_t enough, std::chrono::microseconds now,
                     std::vector<std::byte>& out);
  void tell_ends_of_rib(std::size_t enough, std::vector<std::byte>& out);
  void tell_statistics(std::size_t enough, std::chrono::microseconds now,
                       std::vector<std::byte>& out);
  bool tell_changes(std::size_t room, std::chrono::microseconds now, std::vector<std::byte>& out);
  void resolve(const Route& route, Held held);
  bool walk(std::size_t room, std::vector<std::byte>& out);
  bool walk_place(Family family, NetId net, std::size_t room);
  [[nodiscard]] Held overtake(const Route& route);
  void find_routes(Family family, NetId net);
  void end_walk();

  void add_path(const HeldPath& path, const Prefix& prefix, Held held);
  void add(PeerId peer, BmpView view, std::uint32_t attributes, NextHopId next_hop,
           const Nlri& nlri);
  [[nodiscard]] std::size_t attributes_size(const Item& item) const;
  void encode(std::chrono::microseconds timestamp, std::vector<std::byte>& out);
  void encode(std::span<const Item> run, std::chrono::microseconds timestamp,
              std::vector<std::byte>& out);
  [[nodiscard]] bmp::PeerHeader header(PeerId peer, BmpView view,
                                       std::chrono::microseconds timestamp) const;
  [[nodiscard]] std::vector<bmp::Statistic> statistics(PeerId peer) const;
  void count(bmp::MessageType type) { ++counts_.messages[static_cast<std::size_t>(type)]; }

  const Monitored& monitored_;
  std::array<bool, bmp_views> views_{};
  std::size_t limit_;
  bool connected_ = false;
  bool initiated_ = false;
  /// Some Peer Up or Peer Down is to be told.
  bool sessions_due_ = false;
  bool ends_due_ = false;
  bool walk_due_ = false;
  std::optional<PeerId> report_from_;
  std::map<PeerId, Heard> heard_;
  std::map<Route, Held> changes_;
  /// Changes are told in turn.
  Route last_told_;
  std::optional<Position> walk_;
  Counts counts_;
  // Scratch.
  std::vector<Item> items_;
  std::map<Run, std::size_t> room_of_;
  std::size_t items_octets_ = 0;
  std::vector<Found> found_;
  std::vector<HeldPath> paths_;
  std::vector<AdjOut::Route> routes_;
  std::vector<Nlri> nlri_;
  std::vector<std::byte> attributes_;
  std::vector<std::byte> update_;
};

}  // namespace weft::bgp
