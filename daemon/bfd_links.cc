#include "daemon/bfd_links.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <map>
#include <optional>
#include <utility>

#include "bfd/runner.h"

namespace weft::daemon {

namespace asio = boost::asio;

struct BfdLinks::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, Lost tell) : io(context), lost(std::move(tell)) {}

  asio::io_context& io;
  Lost lost;
  /// Peers that want it.
  std::map<std::string, bgp::BfdSettings> peers;
  /// Where their last session led.
  std::map<std::string, bfd::Path> paths;
  std::optional<bfd::Runner> runner;
  std::optional<asio::posix::stream_descriptor> events;
  bool complained = false;
  bool stopped = false;

  void apply(const bgp::Settings& settings) {
    peers.clear();
    for (const bgp::PeerSettings& peer : settings.peers) {
      if (peer.bfd && !peer.shutdown) peers.emplace(peer.name, *peer.bfd);
    }
    std::erase_if(paths, [&](const auto& each) { return !peers.contains(each.first); });
    want();
  }

  void established(const bgp::SessionUp& session) {
    const auto peer = peers.find(session.peer);
    if (peer == peers.end()) return;
    const bool multihop = peer->second.multihop.value_or(!session.on_link);
    const bfd::Path path{session.remote, session.local, multihop ? 0 : session.ifindex};
    if (std::exchange(paths[session.peer], path) != path) want();
  }

  void want() {
    std::map<bfd::Path, bfd::Terms> wanted;
    for (const auto& [peer, path] : paths) {
      const bgp::BfdSettings& settings = peers.at(peer);
      wanted[path] = {settings.interval, settings.multiplier};
    }
    if (stopped || (!runner && (wanted.empty() || !start()))) return;
    runner->want(std::move(wanted));
  }

  bool start() {
    auto started = bfd::Runner::start();
    if (!started) {
      if (!std::exchange(complained, true)) spdlog::error("{}", started.error().message);
      return false;
    }
    runner.emplace(std::move(*started));
    events.emplace(io, runner->fd());
    await();
    return true;
  }

  void await() {
    events->async_wait(asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                         if (error || self->stopped) return;
                         for (const bfd::Event& event : self->runner->take_events())
                           self->happened(event);
                         self->await();
                       });
  }

  void happened(const bfd::Event& event) {
    for (const auto& [peer, path] : std::map(paths)) {
      if (path != event.path) continue;
      if (event.change.up) {
        spdlog::info("peer {}: BFD is up", peer);
      } else if (event.change.loss == bfd::Loss::administrative) {
        // RFC 5882 4.2: nothing is said about the path.
        spdlog::info("peer {}: the neighbour has taken BFD down", peer);
      } else {
        lost(peer, fmt::format("BFD: {}", name(event.diagnostic)));
      }
    }
  }

  void stop() {
    stopped = true;
    if (events) static_cast<void>(events->release());
    if (runner) runner->stop();
  }
};

BfdLinks::BfdLinks(asio::io_context& io, Lost lost)
    : state_(std::make_shared<State>(io, std::move(lost))) {}

BfdLinks::~BfdLinks() {
  if (!state_->stopped) state_->stop();
}

void BfdLinks::apply(const bgp::Settings& settings) {
  state_->apply(settings);
}
void BfdLinks::established(const bgp::SessionUp& session) {
  state_->established(session);
}
void BfdLinks::stop() {
  if (!state_->stopped) state_->stop();
}

BfdStatus BfdLinks::status() const {
  BfdStatus status;
  if (!state_->runner || state_->stopped) return status;
  const bfd::Snapshot snapshot = state_->runner->snapshot();
  status.dropped = snapshot.dropped;
  for (const auto& [peer, path] : state_->paths) {
    for (const bfd::SessionStatus& session : snapshot.sessions) {
      if (session.path == path) status.paths.push_back({peer, session});
    }
  }
  return status;
}

}  // namespace weft::daemon
