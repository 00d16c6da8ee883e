// Peer: one configured neighbour and its at most two connections: when to connect, whom to let in,
// which connection survives a collision, how long to stay away after an error. RFC 4271 6.8 and 8,
// 6286, 9003, 9687. Pure: time comes in, orders go to an Outbox. Not here: routes; UPDATE and
// ROUTE-REFRESH come out of next() as they stand.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bgp/capabilities.h"
#include "bgp/connection.h"
#include "bgp/fsm.h"
#include "bgp/log_budget.h"
#include "bgp/message.h"
#include "bgp/retention.h"
#include "bgp/session_ends.h"
#include "bgp/settings.h"
#include "bgp/types.h"
#include "net/bytes.h"
#include "net/time.h"

namespace weft::bgp {

/// Longest wait between two sessions, whatever the peer does.
inline constexpr std::chrono::seconds max_idle_hold{30};
/// A session that lived this long has made up for the failures before it.
inline constexpr std::chrono::seconds steady_session{60};
/// A connection on which the peer said nothing for this long loses against one on which it spoke.
inline constexpr std::chrono::seconds silent_connection{2};
/// Lines a minute of one peer; what was held back is counted in the next line.
inline constexpr unsigned log_limit = 30;
/// The same of all peers of a listen range together, those that were forgotten too.
inline constexpr unsigned range_log_limit = 300;
/// How long the neighbour on a link may take to be heard before somebody is told. Routers that are
/// asked answer within seconds (RFC 4861 6.2.6), and advertise to such peers every 10 s or so.
inline constexpr std::chrono::seconds advertisement_wait{15};
/// How long a peer that is only waited for may take to connect before somebody is told.
inline constexpr std::chrono::seconds passive_wait{30};
/// The same for the link itself, whose address is being looked at for a second or two.
inline constexpr std::chrono::seconds link_wait{3};
/// Reasons for failed connections that are logged until there is a session.
inline constexpr std::size_t max_reasons = 8;

/// RFC 4271 8.2.2
enum class PeerState : std::uint8_t { idle, connect, active, open_sent, open_confirm, established };
/// "Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"
std::string_view name(PeerState state);

/// What the sockets of this peer need (RFC 5082, 2385).
[[nodiscard]] SocketSetup setup_of(const PeerSettings& peer);

struct MessageCounts {
  std::uint64_t open = 0;
  std::uint64_t update = 0;
  std::uint64_t notification = 0;
  std::uint64_t keepalive = 0;
  std::uint64_t route_refresh = 0;
  std::uint64_t octets = 0;
  [[nodiscard]] std::uint64_t messages() const {
    return open + update + notification + keepalive + route_refresh;
  }
  void count(MessageType type, std::size_t size);
};

/// What is true while a peer is Established.
struct Session {
  ConnectionId connection;
  Open theirs;
  Capabilities ours;
  Negotiated negotiated;
  Address local;
  bool external = true;
  std::chrono::seconds hold_time{0};
  Time up_since;
  /// The messages as they went over the wire.
  std::vector<std::byte> sent_open = {};
  std::vector<std::byte> received_open = {};
  /// 0: not known.
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
};

/// How the last session ended.
struct SessionEnd {
  enum class By : std::uint8_t { us, us_notifying, peer, peer_notifying } by = By::us;
  /// Of the last NOTIFICATION, where one was.
  Notification notification = {};
  /// Without one by us: the event of RFC 4271 8.1, 0 for none of them.
  std::uint16_t event = 0;
};

class Peer {
 public:
  /// `out` must outlive the peer. Connects at the first tick() unless settings.shutdown. `tag`
  /// stands in the low 16 bits of each ConnectionId, so that whoever sees one knows whose it is.
  Peer(PeerSettings settings, Asn node_as, RouterId local_id, std::uint16_t tag, std::uint32_t seed,
       Outbox& out, Time now);

  // Connections, see Speaker. An id that is not of this peer (any more) is ignored.

  [[nodiscard]] std::optional<ConnectionId> accept(const Address& local, Time now);
  void opened(ConnectionId connection, const Address& local, Time now);
  /// Before the peer's OPEN.
  void ports(ConnectionId connection, std::uint16_t local, std::uint16_t remote);
  void failed(ConnectionId connection, std::string_view why, Time now);
  void closed(ConnectionId connection, std::string_view why, Time now);
  /// `bytes` must stay until next() has said that there is nothing more.
  void received(ConnectionId connection, Bytes bytes, Time now);
  /// The next UPDATE or ROUTE-REFRESH of the session, everything else being handled on the way.
  /// Valid until the next call.
  [[nodiscard]] std::optional<Frame> next(Time now);
  /// Ends the session: what next() gave cannot be borne (UPDATE error, prefix limit).
  void refuse(const Notification& why, Time now);
  /// Appends what is waiting besides UPDATEs.
  void produce(ConnectionId connection, std::vector<std::byte>& out);
  /// produce(), or the speaker, gave octets to write; sent() says how that goes (RFC 9687).
  void producing(ConnectionId connection, Time now);
  void sent(ConnectionId connection, bool all, Time now);
  [[nodiscard]] bool hold_expiring(Time now) const;
  void heard(ConnectionId connection, Time now);

  [[nodiscard]] Time deadline() const;
  void tick(Time now);

  // Operators

  void start(Time now);
  /// Stays down until start().
  void shutdown(Fault fault, std::string_view text, Time now);
  /// Down and up again.
  void reset(Fault fault, std::string_view text, Time now);
  /// Not again before `wait` is over, nor for the peer; 0: not before start().
  void hold_down(std::chrono::seconds wait, Time now);
  /// The session falls without a word: what carried it is gone.
  void lose_session(std::string_view why, Time now);
  /// The session, if there is one, ends with Cease/10 (RFC 9384): others say that its path failed.
  void lose_path(std::string_view why, Time now);
  /// Drops everything without a word.
  void abandon(Time now);
  /// Takes over what a running session can bear; reset() is the caller's, see needs_reset().
  void apply(const PeerSettings& settings);
  [[nodiscard]] static bool needs_reset(const PeerSettings& running, const PeerSettings& wanted);
  /// What OPENs from now on say of our own restart (RFC 4724 3): the R bit, and the F bit by family
  /// (ipv4, ipv6).
  void announce_restart(bool restarting, const std::array<bool, 2>& forwarding);
  /// False: there is no session, or the peer has no route refresh (RFC 2918).
  bool request_refresh(AfiSafi family);
  /// Of an unnumbered peer: where it lives now, so that it can be connected to, at once if nothing
  /// else goes on. None: nowhere, its link is gone or nobody was heard on it. A running session
  /// stays where it is; connections that are none yet are dropped.
  void lives_at(const std::optional<Address>& address, std::uint32_t ifindex, Time now);
  /// Of an unnumbered peer: why its link cannot be used, "there is no link eth7"; empty: it can.
  void link_fault(std::string_view why, Time now);
  /// Output of the session waits besides what request_refresh() and the FSM made.
  void output_ready();

  [[nodiscard]] const PeerSettings& settings() const { return settings_; }
  /// Where it is connected to: as configured, or as it was heard on its link.
  [[nodiscard]] const std::optional<Address>& address() const { return address_; }
  /// Of its link, when that is how it is known; else 0.
  [[nodiscard]] std::uint32_t ifindex() const { return ifindex_; }
  /// None unless Established. A new session has a new connection.
  [[nodiscard]] const std::optional<Session>& session() const { return session_; }
  /// How the last session ended (RFC 4724 4.2, 8538 4).
  [[nodiscard]] Loss loss() const { return loss_; }
  [[nodiscard]] const SessionEnd& last_end() const { return last_end_; }
  [[nodiscard]] PeerState state() const;
  /// Since when there is a session; else since when there is none: the last one ended, or the peer
  /// was configured, or started after a shutdown.
  [[nodiscard]] Time since() const { return session_ ? session_->up_since : down_since_; }
  [[nodiscard]] bool is_shutdown() const { return shutdown_; }
  /// The most telling of what failed since there was a session or the operator began anew, the
  /// latest of these.
  [[nodiscard]] const std::string& last_error() const { return last_error_; }
  [[nodiscard]] Time last_error_at() const { return last_error_at_; }
  /// What failed after that and says less; empty: nothing.
  [[nodiscard]] const std::string& last_attempt() const { return last_attempt_; }
  [[nodiscard]] Time last_attempt_at() const { return last_attempt_at_; }
  [[nodiscard]] const std::string& last_sent_notification() const { return last_sent_; }
  [[nodiscard]] const std::string& last_received_notification() const { return last_received_; }
  /// A connection of the peer was not let in: it is told to come another way.
  void turned_away(std::string_view why, Time now) { fail_again(why, why, Telling::refusal, now); }
  /// Something outside keeps the session down, such as a key the kernel does not take.
  void hindered(std::string_view why, Time now) { fail(why, Level::error, Telling::why, now); }
  [[nodiscard]] const MessageCounts& received_counts() const { return received_; }
  [[nodiscard]] const MessageCounts& sent_counts() const { return sent_; }
  [[nodiscard]] std::uint64_t established_count() const { return established_count_; }
  [[nodiscard]] const SessionEnds& ends() const { return ends_; }
  [[nodiscard]] std::size_t half_open() const;
  /// Some connection is open.
  [[nodiscard]] bool is_connected() const;
  /// The peer has said OPEN on some connection.
  [[nodiscard]] bool has_heard() const;
  [[nodiscard]] bool is_external() const;
  void count_sent(MessageType type, std::size_t size) { sent_.count(type, size); }
  void log(Level level, std::string_view text, Time now);

 private:
  /// One connection or attempt at one, with its FSM. Idle ones are not kept.
  struct Slot {
    bool in_use = false;
    bool outgoing = false;
    ConnectionId id;
    Address local;
    State state;
    Time opened_at;
    Time heard_at;
    std::optional<Open> theirs;
    Capabilities ours;
    Negotiated negotiated;
    std::vector<std::byte> sent_open = {};
    std::vector<std::byte> received_open = {};
    std::uint16_t local_port = 0;
    std::uint16_t remote_port = 0;
    /// An incomplete message.
    std::vector<std::byte> partial;
    /// OPEN, KEEPALIVE, ROUTE-REFRESH that wait to be written.
    std::vector<std::byte> control;
    bool keepalive_waits = false;
    /// Since when octets that were produced make no progress.
    std::optional<Time> blocked_since;
  };

  [[nodiscard]] ConnectionId new_connection() { return {++out_.last_connection << 16 | tag_}; }
  Slot* find(ConnectionId connection);
  Slot* free_slot();
  Slot& other(const Slot& slot) { return slots_[&slot == &slots_[0] ? 1 : 0]; }
  Slot* session_slot();
  void feed(Slot& slot, const Event& event, std::string_view reason, Time now);
  void carry_out(Slot& slot, const Actions& actions, Time now);
  void release(Slot& slot);
  void close(Slot& slot, const std::optional<Notification>& why);
  void entered_established(Slot& slot, Time now);
  void ended(Slot& slot, bool damp, Time now);
  void schedule_start(Time now, bool damp);
  void begin(Time now);
  void send(Slot& slot, const Message& message);
  void handle(Slot& slot, const Frame& frame, Time now);
  void handle_open(Slot& slot, const Frame& frame, Time now);
  [[nodiscard]] std::string role_fault(const Open& open) const;
  void handle_notification(Slot& slot, const Frame& frame, Time now);
  void resolve_collision(Slot& slot, Time now);
  void contend(Time now);
  /// What a failure says of the reason, least first: nothing came back; we were turned away without
  /// a word; one side has said why, or a session has ended.
  enum class Telling : std::uint8_t { silence, refusal, why };
  void fail(std::string_view reason, Level level, Telling telling, Time now);
  /// What fails again and again: `why` tells it from others, `text` is for the reader.
  void fail_again(std::string_view why, std::string_view text, Telling telling, Time now);
  void tell_unheard(Time now);
  void expect_connection(Time now);
  /// What may be behind it when nobody answers: "; TCP MD5 is on: is the key the same there?"
  [[nodiscard]] std::string reasons_for_silence() const;
  void forget_failures();
  void stop_all(const Notification& why, Time now);
  [[nodiscard]] Loss loss_by(const Slot& slot, const Event& event,
                             const std::optional<Notification>& sent) const;
  [[nodiscard]] Capabilities our_capabilities() const;
  [[nodiscard]] std::optional<GracefulRestart> our_restart() const;
  [[nodiscard]] FsmSettings fsm_settings() const;

  PeerSettings settings_;
  std::optional<Address> address_;
  std::uint32_t ifindex_ = 0;
  std::string link_fault_;
  /// When it is to be said that nobody was heard on the link, or why nobody can be; or that a peer
  /// which is only waited for has not connected.
  std::optional<Time> unheard_at_;
  Asn node_as_;
  /// What the session speaks for (RFC 7705).
  Asn local_as_;
  RouterId local_id_;
  std::uint16_t tag_;
  FsmSettings fsm_;
  std::minstd_rand random_;
  Outbox& out_;

  std::array<Slot, 2> slots_;
  std::optional<Session> session_;
  SessionEnd last_end_;
  /// What received() left for next(), and on which connection.
  ConnectionId reading_;
  Bytes fresh_;
  std::vector<std::byte> joined_;

  bool shutdown_ = false;
  Loss loss_ = Loss::hard;
  bool restarting_ = false;
  std::array<bool, 2> forwarding_{};
  std::optional<Time> start_at_;
  /// While waiting for start_at_: the peer broke the protocol, so it is not let in either.
  bool refuse_ = false;
  unsigned failures_ = 0;

  Time down_since_;
  std::string last_error_;
  Time last_error_at_{};
  Telling telling_ = Telling::silence;
  std::string last_attempt_;
  /// Why connections failed since there was a session or the operator began anew.
  std::vector<std::string> reasons_;
  Time last_attempt_at_{};
  std::string last_sent_;
  std::string last_received_;
  MessageCounts received_;
  MessageCounts sent_;
  std::uint64_t established_count_ = 0;
  SessionEnds ends_;

  LogBudget log_budget_;
};

}  // namespace weft::bgp
