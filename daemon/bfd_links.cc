#include "daemon/bfd_links.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "bfd/runner.h"
#include "bgp/ranges.h"

namespace weft::daemon {

namespace asio = boost::asio;

struct BfdLinks::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, Lost tell) : io(context), lost(std::move(tell)) {}

  asio::io_context& io;
  Lost lost;
  /// All of them, and the ranges.
  std::vector<bgp::PeerSettings> peers;
  /// Where their last session led.
  std::map<std::string, bfd::Path> paths;
  std::optional<bfd::Runner> runner;
  std::optional<asio::posix::stream_descriptor> events;
  bool complained = false;
  bool stopped = false;

  void apply(const bgp::Settings& settings) {
    peers = settings.peers;
    std::erase_if(paths,
                  [&](const auto& each) { return !wish_of(each.first, each.second.remote); });
    want();
  }

  /// None: the peer wants no BFD, or is no more.
  [[nodiscard]] std::optional<bgp::BfdSettings> wish_of(const std::string& peer,
                                                        const Address& remote) const {
    const auto listed = std::find_if(peers.begin(), peers.end(), [&](const auto& each) {
      return !bgp::is_range(each) && each.name == peer;
    });
    const bgp::PeerSettings* found = listed != peers.end()   ? &*listed
                                     : peer == remote.text() ? bgp::range_of(peers, remote)
                                                             : nullptr;
    return found != nullptr && !found->shutdown ? found->bfd : std::nullopt;
  }

  void established(const bgp::SessionUp& session) {
    const auto wish = wish_of(session.peer, session.remote);
    if (!wish) return;
    const bool multihop = wish->multihop.value_or(!session.on_link);
    const bfd::Path path{session.remote, session.local, multihop ? 0 : session.ifindex};
    if (std::exchange(paths[session.peer], path) != path) want();
  }

  void forgotten(const std::string& peer) {
    if (paths.erase(peer) != 0) want();
  }

  void want() {
    std::map<bfd::Path, bfd::Terms> wanted;
    for (const auto& [peer, path] : paths) {
      const bgp::BfdSettings settings = wish_of(peer, path.remote).value();
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
void BfdLinks::forgotten(const std::string& peer) {
  state_->forgotten(peer);
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
