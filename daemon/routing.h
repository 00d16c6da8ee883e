// Routing: the BGP speaker and the kernel FIB, joined. What the speaker learns becomes wanted
// routes, what happens to links and addresses reaches both, and this node's own prefixes are
// announced and covered. The two modules meet nowhere else. Runs on the main loop; the kernel is
// written by the programmer's own thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bgp/speaker.h"
#include "config/config.h"
#include "ctl/protocol.h"
#include "daemon/bfd_links.h"
#include "exporter/snapshot.h"
#include "fib/monitor.h"
#include "fib/table.h"
#include "net/ip.h"
#include "net/result.h"

namespace boost::asio {
class io_context;
}

namespace weft::daemon {

/// An interface over which peers are reached.
struct Uplink {
  fib::Link link;
  /// How often it went down or came back.
  std::uint64_t transitions = 0;
};

class Routing {
 public:
  /// Opens the netlink sockets and the listening sockets, adopts the kernel's routes, starts the
  /// peers. The sentence says which of these could not be done.
  /// What it needs to remember over a restart is in `state_directory`.
  static Result<std::unique_ptr<Routing>> start(boost::asio::io_context& io,
                                                const config::Config& config,
                                                const std::filesystem::path& state_directory);
  ~Routing();
  Routing(const Routing&) = delete;
  Routing& operator=(const Routing&) = delete;

  /// Exactly `blocks` and `hosts` are originated from now on; `blocks` and `covered` have a
  /// blackhole as well, unless they are one address: that has its container's route. Idempotent.
  void announce(const std::vector<Prefix>& blocks, const std::vector<bgp::Origination>& hosts,
                const std::vector<Prefix>& covered);
  /// And these, one a prefix; announce()'s win. Nothing is put into the kernel for them.
  void announce_for_clients(const std::vector<bgp::Origination>& wanted);
  /// Peers whose own parameters changed are touched, no other.
  void apply(const bgp::Settings& settings);
  /// Asks everybody to use another way, or to come back (RFC 8326). Holds over restarts. `text`:
  /// for people, of at most 255 octets, and what peers are told if weftd is stopped meanwhile.
  Result<void> drain(bool on, const std::string& text);
  /// Whether it does, and the text.
  [[nodiscard]] std::optional<std::string> draining() const;
  /// Kernel routes stay. Peers see the connection close and keep our routes in graceful restart; if
  /// we are drained, they are told to forget us.
  void stop();

  /// The error says that there is no such peer.
  Result<void> order(const ctl::PeerRequest& order);
  /// Of the connection of a session; none when it is gone.
  [[nodiscard]] std::optional<bgp::TcpFacts> tcp_facts(bgp::ConnectionId connection) const;

  /// Called after a route of protocol weft that leads straight to a link was taken away, with its
  /// address; with none when any may have been.
  void on_container_route_lost(std::function<void(const std::optional<Address>&)> handler);
  /// Called when an address has gone from a link of this host's, a container's aside.
  void on_address_lost(std::function<void(const Address&)> handler);

  /// `weftctl fib check`; answers later, on the main loop.
  void check_fib(bool repair, std::function<void(ctl::Reply)> answer);

  [[nodiscard]] const bgp::Speaker& speaker() const;
  /// None when fib.install is false.
  [[nodiscard]] const fib::Table* table() const;
  /// False: a change of a nexthop group costs the kernel one notification per route
  /// (net.ipv4.nexthop_compat_mode).
  [[nodiscard]] bool fast_groups() const;
  /// False: fib.resilient-buckets asks for what this kernel has not, and groups are plain.
  [[nodiscard]] bool has_resilient_groups() const;
  [[nodiscard]] std::uint64_t monitor_overruns() const;
  [[nodiscard]] BfdStatus bfd() const;
  /// How late the speaker's timers were served, in seconds.
  [[nodiscard]] const exporter::Histogram& loop_lag() const;
  /// By rising ifindex.
  [[nodiscard]] std::vector<Uplink> uplinks() const;
  /// The peers that came up have sent their tables; what the kernel held of an earlier life is
  /// confirmed or gone.
  [[nodiscard]] bool synced() const;
  /// "10.0.0.1 dev eth1", one for each next hop.
  [[nodiscard]] std::vector<std::string> describe(const NextHops& next_hops) const;

 private:
  class Loop;
  explicit Routing(std::shared_ptr<Loop> loop);
  std::shared_ptr<Loop> loop_;
};

/// Host end of a container's veth: "weft" and 11 hex digits.
bool is_container_link(std::string_view ifname);

}  // namespace weft::daemon
