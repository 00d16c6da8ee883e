#include "bgp/router_socket.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>
#include <set>

#include "bgp/router_discovery.h"
#include "net/datagram.h"
#include "net/fd.h"
#include "net/time.h"

namespace weft::bgp {
namespace {

namespace asio = boost::asio;
using Timer = asio::basic_waitable_timer<Clock>;

/// Read before others have their turn; what is left makes the socket readable again.
constexpr int read_limit = 64;
/// ff02::1 and ff02::2
constexpr std::uint8_t all_nodes = 1;
constexpr std::uint8_t all_routers = 2;

in6_addr multicast(std::uint8_t last) {
  in6_addr address{};
  address.s6_addr[0] = 0xff;
  address.s6_addr[1] = 0x02;
  address.s6_addr[15] = last;
  return address;
}

Error failed(const char* what) {
  return Error{std::string("router advertisements: ") + what + ": " + std::strerror(errno)};
}

template <typename Value>
bool set(const Fd& socket, int level, int option, const Value& value) {
  return ::setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
}

Result<Fd> open_socket() {
  Fd socket(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  if (!socket) return failed("no raw socket (CAP_NET_RAW?)");
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(static_cast<int>(RouterMessage::solicitation), &filter);
  ICMP6_FILTER_SETPASS(static_cast<int>(RouterMessage::advertisement), &filter);
  const bool ready = set(socket, IPPROTO_ICMPV6, ICMP6_FILTER, filter) &&
                     want_arrival(socket, Family::ipv6) &&
                     set(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255) &&
                     set(socket, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255) &&
                     set(socket, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
  if (!ready) return failed("setsockopt");
  return socket;
}

/// The kernel takes a link-local address of the link for the source, since the destination is one.
void send(const Fd& socket, const RouterDiscovery::Send& what) {
  const auto bytes = encode_router_message(what.message);
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_addr = multicast(what.message == RouterMessage::advertisement ? all_nodes : all_routers);
  to.sin6_scope_id = what.ifindex;
  // A link that has just gone, a full queue: the next one is never far away.
  static_cast<void>(::sendto(socket.get(), bytes.data(), bytes.size(), 0,
                             reinterpret_cast<const sockaddr*>(&to), sizeof to));
}

}  // namespace

struct RouterSocket::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, Found tell)
      : io(context), found(std::move(tell)), timer(context), core(std::random_device{}()) {}

  asio::io_context& io;
  Found found;
  Timer timer;
  RouterDiscovery core;
  Fd socket;
  std::optional<asio::posix::stream_descriptor> readable;
  std::set<std::uint32_t> joined;
  bool stopped = false;

  Result<void> links(const std::vector<std::uint32_t>& ifindexes) {
    if (!socket && !ifindexes.empty()) {
      auto opened = open_socket();
      if (!opened) return opened.error();
      socket = std::move(*opened);
      readable.emplace(io, socket.get());
      await_messages();
    }
    for (const std::uint32_t ifindex : ifindexes) {
      // Who solicits asks all routers. A membership goes with its link; one that is there already
      // is no error.
      const ipv6_mreq request{multicast(all_routers), ifindex};
      if (joined.insert(ifindex).second)
        static_cast<void>(set(socket, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, request));
    }
    std::erase_if(joined, [&](std::uint32_t known) {
      return std::find(ifindexes.begin(), ifindexes.end(), known) == ifindexes.end();
    });
    core.links(ifindexes, Clock::now());
    send_due();
    return {};
  }

  void await_messages() {
    readable->async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (error || self->stopped) return;
                           self->read();
                           self->await_messages();
                         });
  }

  void read() {
    std::array<std::byte, max_router_message + 1> buffer;
    for (int i = 0; i < read_limit; ++i) {
      const auto datagram = receive_datagram(socket, buffer);
      if (!datagram) break;
      if (datagram->cut) continue;
      const auto router = core.heard(datagram->ifindex, datagram->from, datagram->hop_limit,
                                     Bytes(buffer).first(datagram->size), Clock::now());
      if (router) found(datagram->ifindex, *router);
    }
    send_due();
  }

  void send_due() {
    for (const RouterDiscovery::Send& each : core.due(Clock::now())) send(socket, each);
    if (core.deadline() == Time::max()) {
      timer.cancel();
      return;
    }
    if (timer.expiry() == core.deadline()) return;
    timer.expires_at(core.deadline());
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && !self->stopped) self->send_due();
    });
  }

  void stop() {
    stopped = true;
    boost::system::error_code ignored;  // a timer that cannot be cancelled finds stopped set
    timer.cancel(ignored);
    if (readable) static_cast<void>(readable->release());
  }
};

RouterSocket::RouterSocket(asio::io_context& io, Found found)
    : state_(std::make_shared<State>(io, std::move(found))) {}

RouterSocket::~RouterSocket() {
  state_->stop();
}

Result<void> RouterSocket::links(const std::vector<std::uint32_t>& ifindexes) {
  return state_->links(ifindexes);
}

}  // namespace weft::bgp
