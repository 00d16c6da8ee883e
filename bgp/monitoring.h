// Monitoring: the stations that BMP tells of this speaker, and the connections to them: when to
// connect, how long to stay away, when to give a station up. What a connection carries is
// StationFeed's. weft always connects; stations say nothing. Pure: orders go to the same Outbox as
// those of peers, and its connections are told from theirs by their ids. RFC 7854 3.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/adj_out.h"
#include "bgp/connection.h"
#include "bgp/log_budget.h"
#include "bgp/peer.h"
#include "bgp/rib.h"
#include "bgp/settings.h"
#include "bgp/station_feed.h"
#include "net/bytes.h"
#include "net/time.h"

namespace weft::bgp {

/// Longest wait between two connections to a station (RFC 7854 3.2).
inline constexpr std::chrono::seconds max_station_wait{720};
/// A connection that lived this long has made up for the failures before it.
inline constexpr std::chrono::seconds steady_station{60};
/// A station that takes nothing for so long is given up, and connected to anew.
inline constexpr std::chrono::minutes station_patience{10};

/// Lines a minute of one station.
inline constexpr unsigned station_log_limit = 6;

enum class StationState : std::uint8_t { waiting, connecting, up };
/// "waiting", "connecting", "up"
std::string_view name(StationState state);
/// "pre-policy", "post-policy", "adj-rib-out", "loc-rib"
std::string_view name(BmpView view);

struct StationStatus {
  std::string name;
  Address address;
  std::uint16_t port = 0;
  std::vector<BmpView> monitor;
  StationState state = StationState::waiting;
  Time since;
  /// Of a station that is waited for: when it is tried again.
  std::optional<Time> next_attempt;
  std::string last_error;
  /// Connections that came up, ever.
  std::uint64_t connections = 0;
  StationFeed::Counts counts;
  /// Now: sessions the station was told of, changes that wait, whether the table is walked.
  std::size_t peers = 0;
  std::size_t changes = 0;
  bool walking = false;
  /// Octets of all that, about, without what was produced and not yet written.
  std::size_t memory = 0;
};

/// For each station.
struct MonitoringLimits {
  std::size_t changes = StationFeed::max_changes;
  /// Octets of one produce(), about; at most StationFeed::max_excess more.
  std::size_t output = 64UL * 1024;
};

class Monitoring final : public RibWatcher {
 public:
  /// `out` must outlive this.
  Monitoring(BmpSettings settings, std::uint32_t seed, Outbox& out, Time now,
             MonitoringLimits limits = {});
  Monitoring(const Monitoring&) = delete;
  Monitoring& operator=(const Monitoring&) = delete;

  /// What `now` zero is since 1970; for timestamps, which are 0 without.
  void wall_clock(std::chrono::microseconds epoch) { epoch_ = epoch; }
  void count_malformed(std::function<std::uint64_t(PeerId)> malformed) {
    monitored_.malformed = std::move(malformed);
  }

  // What is monitored

  /// These tables, which must outlive this.
  void attach(Rib& rib, const AdjOut& adj_out, Asn asn, RouterId id, Time now);
  /// `ifindex`: tells peers of one link-local address apart.
  void peer_up(PeerId peer, const Session& session, const Address& address, std::uint32_t ifindex,
               Time now);
  /// Before the peer's paths go.
  void peer_down(PeerId peer, const SessionEnd& why);
  void path_changed(const PathChange& change) override;
  void best_changed(Family family, NetId net, bool had, bool has) override;
  /// `messages`: whole ones of ours that go to the peer.
  void told_peer(PeerId peer, Bytes messages);

  // Connections. The others' are ignored.

  void opened(ConnectionId connection, Time now);
  void failed(ConnectionId connection, std::string_view why, Time now);
  void closed(ConnectionId connection, std::string_view why, Time now);
  void produce(ConnectionId connection, std::vector<std::byte>& out, Time now);
  void sent(ConnectionId connection, bool all, Time now);

  [[nodiscard]] Time deadline() const;
  void tick(Time now);
  /// Orders output where something is to be told; to be called after every input of the speaker.
  void advance();

  void apply(BmpSettings settings, Time now);
  /// Every station hears that this is the end.
  void stop();

  [[nodiscard]] std::vector<StationStatus> status() const;

 private:
  struct Link {
    Link(BmpStation station, const Monitored& monitored, std::size_t changes, Time now)
        : settings(std::move(station)),
          feed(monitored, settings.monitor, changes),
          since(now),
          next(now),
          log(station_log_limit, now) {}
    BmpStation settings;
    StationFeed feed;
    StationState state = StationState::waiting;
    ConnectionId connection;
    Time since;
    /// Waiting: when to connect. Up: when a report is due.
    Time next;
    Clock::duration wait{0};
    /// OutputReady is out and produce() has not been called since.
    bool announced = false;
    std::optional<Time> blocked_since;
    std::uint64_t connections = 0;
    std::string last_error;
    LogBudget log;
  };

  Link* find(ConnectionId connection);
  void connect(Link& link, Time now);
  void lost(Link& link, std::string_view why, Time now);
  void close(Link& link, bmp::TerminationReason reason, std::string_view text);
  void say(Link& link, Level level, std::string_view text, Time now);
  void follow();
  [[nodiscard]] std::chrono::microseconds unix_time(Time now) const;

  BmpSettings settings_;
  MonitoringLimits limits_;
  Outbox& out_;
  std::minstd_rand random_;
  std::optional<std::chrono::microseconds> epoch_;
  Rib* rib_ = nullptr;
  Monitored monitored_;
  bool follows_updates_ = false;
  std::vector<std::unique_ptr<Link>> links_;
};

}  // namespace weft::bgp
