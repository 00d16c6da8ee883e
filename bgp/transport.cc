#include "bgp/transport.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <unordered_map>
#include <utility>

#include "bgp/ranges.h"
#include "bgp/tcp_ao.h"
#include "bgp/tcp_md5.h"
#include "net/datagram.h"

namespace weft::bgp {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Timer = asio::basic_waitable_timer<Clock>;

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);

/// Connections that wait in the kernel to be accepted.
constexpr int backlog = 128;
/// How long last words may take to get out.
constexpr std::chrono::seconds farewell_limit{3};
/// Connections with last words on their way, of one address and in all, that more may come beside:
/// whoever breaks the protocol again and again and closes nothing holds no more descriptors.
constexpr std::ptrdiff_t farewells_of_one = 4;
constexpr std::size_t most_farewells = 256;
/// After accept() failed for want of descriptors or memory.
constexpr std::chrono::seconds accept_pause{1};
/// The timer is looked at again after this long at the latest.
constexpr std::chrono::minutes longest_wait{10};

Address address_of(const asio::ip::address& address) {
  if (address.is_v4()) return Address::ipv4(address.to_v4().to_uint());
  const auto octets = address.to_v6().to_bytes();
  return Address::of(std::as_bytes(std::span(octets)));
}

tcp::endpoint endpoint_of(const Address& address, std::uint16_t port) {
  if (address.is_v4()) return {asio::ip::make_address_v4(address.v4()), port};
  asio::ip::address_v6::bytes_type octets;
  const Bytes from = address.octets();
  std::transform(from.begin(), from.end(), octets.begin(),
                 [](std::byte octet) { return std::to_integer<std::uint8_t>(octet); });
  return {asio::ip::make_address_v6(octets), port};
}

/// A link-local address means something on its link only.
tcp::endpoint endpoint_of(const Address& address, std::uint16_t port, std::uint32_t ifindex) {
  tcp::endpoint endpoint = endpoint_of(address, port);
  if (address.is_v4() || !address.is_link_local()) return endpoint;
  asio::ip::address_v6 scoped = endpoint.address().to_v6();
  scoped.scope_id(ifindex);
  return {scoped, port};
}

/// The link of a link-local endpoint; 0 for any other.
std::uint32_t scope_of(const tcp::endpoint& endpoint) {
  return endpoint.address().is_v6()
             ? static_cast<std::uint32_t>(endpoint.address().to_v6().scope_id())
             : 0;
}

template <typename Socket>
error_code set_option(Socket& socket, int level, int option, int value) {
  if (::setsockopt(socket.native_handle(), level, option, &value, sizeof value) == 0) return {};
  return {errno, boost::system::system_category()};
}

template <typename Socket>
void close_on_exec(Socket& socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

/// Of what leaves; 255, so that the peer may ask for it (RFC 5082).
template <typename Socket>
error_code send_ttl(Socket& socket, Family family, int ttl) {
  return family == Family::ipv4 ? set_option(socket, IPPROTO_IP, IP_TTL, ttl)
                                : set_option(socket, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
}
/// RFC 5082: what arrives with less is not seen.
template <typename Socket>
error_code accept_ttl(Socket& socket, Family family, int least) {
  return family == Family::ipv4 ? set_option(socket, IPPROTO_IP, IP_MINTTL, least)
                                : set_option(socket, IPPROTO_IPV6, IPV6_MINHOPCOUNT, least);
}
/// The interface that an accepted connection came in by; empty: not known.
std::string interface_of(tcp::socket& socket, Family family) {
  const std::uint32_t ifindex = arrival_link(socket.native_handle(), family);
  std::array<char, IF_NAMESIZE> name{};
  return ifindex != 0 && ::if_indextoname(ifindex, name.data()) != nullptr ? name.data() : "";
}

template <typename Socket>
error_code bind_interface(Socket& socket, const std::string& name) {
  if (::setsockopt(socket.native_handle(), SOL_SOCKET, SO_BINDTODEVICE, name.c_str(),
                   static_cast<socklen_t>(name.size() + 1)) == 0)
    return {};
  return {errno, boost::system::system_category()};
}

/// A listening socket and the keys the kernel holds on it (RFC 2385).
struct Listener {
  explicit Listener(asio::io_context& io) : acceptor(io) {}
  tcp::acceptor acceptor;
  std::map<Prefix, Secret> keys;
  /// RFC 5925, by peer.
  std::map<Address, std::vector<TcpAoKey>> ao_keys;

  /// As the kernel looks it up: the longest prefix wins.
  [[nodiscard]] const Secret* key_of(const Address& remote) const {
    const Secret* key = nullptr;
    unsigned length = 0;
    for (const auto& [prefix, each] : keys) {
      if (!prefix.contains(remote) || (key != nullptr && prefix.length() < length)) continue;
      key = &each;
      length = prefix.length();
    }
    return key;
  }
};

struct Connection {
  Connection(asio::io_context& io, ConnectionId name) : id(name), socket(io), patience(io) {}

  ConnectionId id;
  Address remote;
  /// The link of a link-local `remote`, else 0.
  std::uint32_t ifindex = 0;
  /// The key its socket has.
  std::optional<Secret> password;
  tcp::socket socket;
  std::vector<std::byte> output;
  bool writing = false;
  /// The speaker is done with it: nothing is reported, only the last words go out.
  bool leaving = false;
  std::vector<std::byte> last;
  Timer patience;
};
using Shared = std::shared_ptr<Connection>;

}  // namespace

struct Transport::Sockets : std::enable_shared_from_this<Sockets> {
  Sockets(asio::io_context& context, Speaker& core, Callbacks tell)
      : io(context), speaker(core), callbacks(std::move(tell)), timer(context) {}

  asio::io_context& io;
  Speaker& speaker;
  Callbacks callbacks;
  Timer timer;
  bool stopped = false;
  bool poking = false;
  bool poke_again = false;
  std::map<tcp::endpoint, std::shared_ptr<Listener>> listeners;
  std::unordered_map<std::uint64_t, Shared> connections;
  std::vector<Shared> leaving;
  /// Shared by all connections: read and handed to the speaker in one go.
  std::array<std::byte, receive_size> buffer;

  void spawn(asio::awaitable<void> work) { asio::co_spawn(io, std::move(work), asio::detached); }

  // ---- listening

  Result<void> listen() {
    const Settings& settings = speaker.settings();
    std::vector<Address> addresses = settings.listen;
    const bool all = addresses.empty();
    if (all) addresses = {Address::ipv4(0), Address::ipv6({})};
    Result<void> result;
    std::map<tcp::endpoint, std::shared_ptr<Listener>> wanted;
    for (const Address& address : addresses) {
      const tcp::endpoint endpoint = endpoint_of(address, settings.port);
      auto& listener = wanted[endpoint];
      if (const auto open = listeners.find(endpoint); open != listeners.end())
        listener = open->second;
      if (listener == nullptr) listener = std::make_shared<Listener>(io);
      const error_code error =
          listener->acceptor.is_open() ? error_code{} : open_listener(listener, endpoint);
      if (!error) {
        static_cast<void>(
            accept_ttl(listener->acceptor, address.family(), least_ttl(address.family())));
        forget_ao_keys(*listener, address.family());
        set_keys(*listener, address.family());
        set_ao_keys(*listener, address.family());
        continue;
      }
      wanted.erase(endpoint);
      const bool no_ipv6 =
          all && address.is_v6() && error == asio::error::address_family_not_supported;
      if (result && !no_ipv6) {
        result = Error{"cannot listen on " + address.text() + " port " +
                       std::to_string(settings.port) + ": " + error.message()};
      }
    }
    for (const auto& [endpoint, listener] : listeners) {
      error_code ignored;
      if (!wanted.contains(endpoint)) listener->acceptor.close(ignored);
    }
    listeners = std::move(wanted);
    change_keys();
    return result;
  }

  /// A wrong-TTL client must not even complete its handshake, as far as no peer of the family is
  /// further away.
  [[nodiscard]] int least_ttl(Family family) const {
    int least = 255;
    for (const PeerSettings& peer : speaker.settings().peers) {
      if (sources_of(peer).family() == family)
        least = std::min<int>(least, setup_of(peer).least_ttl);
    }
    return least;
  }

  /// The keys of all peers and ranges of the family, and no other.
  void set_keys(Listener& listener, Family family) {
    std::map<Prefix, const PeerSettings*> wanted;
    for (const PeerSettings& peer : speaker.settings().peers) {
      const Prefix from = sources_of(peer);
      if (peer.password && from.family() == family) wanted.emplace(from, &peer);
    }
    const int socket = listener.acceptor.native_handle();
    std::erase_if(listener.keys, [&](const auto& held) {
      if (wanted.contains(held.first)) return false;
      static_cast<void>(set_md5_key(socket, held.first, std::nullopt));
      return true;
    });
    for (const auto& [from, peer] : wanted) {
      const auto held = listener.keys.find(from);
      if (held != listener.keys.end() && held->second == *peer->password) continue;
      if (const auto set = set_md5_key(socket, from, peer->password, wanted.size()); !set) {
        listener.keys.erase(from);
        speaker.hindered(peer->name, set.error().message, Clock::now());
        continue;
      }
      listener.keys.insert_or_assign(from, *peer->password);
    }
  }

  [[nodiscard]] std::map<Address, const PeerSettings*> ao_peers(Family family) const {
    std::map<Address, const PeerSettings*> found;
    for (const PeerSettings& peer : speaker.settings().peers) {
      if (!peer.tcp_ao.empty() && peer.address.family() == family)
        found.emplace(peer.address, &peer);
    }
    return found;
  }

  /// Before keys of the other kind come: the kernel has one kind of key for an address.
  void forget_ao_keys(Listener& listener, Family family) {
    const auto wanted = ao_peers(family);
    const int socket = listener.acceptor.native_handle();
    std::erase_if(listener.ao_keys, [&](const auto& held) {
      const auto found = wanted.find(held.first);
      if (found != wanted.end() && found->second->tcp_ao == held.second) return false;
      remove_ao_keys(socket, held.first, held.second);
      return true;
    });
  }
  void set_ao_keys(Listener& listener, Family family) {
    const int socket = listener.acceptor.native_handle();
    for (const auto& [remote, peer] : ao_peers(family)) {
      if (listener.ao_keys.contains(remote)) continue;
      if (const auto set = add_ao_keys(socket, remote, peer->tcp_ao); !set) {
        speaker.hindered(peer->name, set.error().message, Clock::now());
        continue;
      }
      listener.ao_keys.emplace(remote, peer->tcp_ao);
    }
  }

  /// Running connections take another key over: while both sides are being told, TCP repeats.
  void change_keys() {
    for (const auto& [id, connection] : connections) {
      const auto key = speaker.socket_setup(connection->remote, connection->ifindex).password;
      if (!key || !connection->password || *key == *connection->password) continue;
      const auto set =
          set_md5_key(connection->socket.native_handle(), Prefix::host(connection->remote), key);
      if (set) connection->password = key;
    }
  }

  error_code open_listener(const std::shared_ptr<Listener>& listener,
                           const tcp::endpoint& endpoint) {
    tcp::acceptor* const acceptor = &listener->acceptor;
    error_code error;
    acceptor->open(endpoint.protocol(), error);
    if (error) return error;
    close_on_exec(*acceptor);
    const bool v6 = endpoint.address().is_v6();
    acceptor->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && v6) error = set_option(*acceptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    // An address that comes up later is listened on as soon as it does.
    if (!error) error = set_option(*acceptor, IPPROTO_IP, IP_FREEBIND, 1);
    if (!error) error = send_ttl(*acceptor, v6 ? Family::ipv6 : Family::ipv4, 255);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(backlog, error);
    if (!error) acceptor->non_blocking(true, error);
    if (error) {
      error_code ignored;
      acceptor->close(ignored);
      return error;
    }
    spawn(accept_loop(shared_from_this(), listener));
    return {};
  }

  static asio::awaitable<void> accept_loop(std::shared_ptr<Sockets> self,
                                           std::shared_ptr<Listener> listener) {
    for (;;) {
      tcp::socket socket(self->io);
      tcp::endpoint from;
      const auto [error] = co_await listener->acceptor.async_accept(socket, from, no_throw);
      if (self->stopped || !listener->acceptor.is_open()) co_return;
      if (!error) {
        self->accepted(std::move(socket), from, *listener);
        self->poke();
        continue;
      }
      if (error != asio::error::no_descriptors && error != asio::error::no_buffer_space &&
          error != asio::error::no_memory) {
        continue;
      }
      Timer pause(self->io);
      pause.expires_after(accept_pause);
      co_await pause.async_wait(no_throw);
      if (self->stopped) co_return;
    }
  }

  void accepted(tcp::socket socket, const tcp::endpoint& from, const Listener& listener) {
    error_code error;
    const tcp::endpoint here = socket.local_endpoint(error);
    if (error) return;
    close_on_exec(socket);
    const Address remote = address_of(from.address());
    const std::uint32_t ifindex = scope_of(from);
    cut_farewells(remote, ifindex);
    const auto id = speaker.accepted(remote, address_of(here.address()), Clock::now(), ifindex,
                                     interface_of(socket, remote.family()));
    if (!id) {
      socket.set_option(asio::socket_base::linger(true, 0),
                        error);  // refused, as a closed port would
      return;
    }
    auto connection = std::make_shared<Connection>(io, *id);
    connection->socket = std::move(socket);
    connection->remote = remote;
    connection->ifindex = ifindex;
    connections.emplace(id->value, connection);
    speaker.ports(*id, here.port(), from.port());
    const SocketSetup setup = speaker.socket_setup(remote, ifindex);
    const Secret* key = listener.key_of(remote);
    // The kernel has let in only what was signed with this key; what it does not hold it did not
    // ask for.
    if (setup.password && (key == nullptr || *key != *setup.password)) {
      forget(connection);
      return speaker.closed(*id, "the listening socket has no TCP MD5 key for it", Clock::now());
    }
    connection->password = setup.password;
    if (!setup.tcp_ao.empty() && !is_authenticated(connection->socket.native_handle())) {
      forget(connection);
      return speaker.closed(*id, "it is not signed by TCP-AO", Clock::now());
    }
    error = prepare(*connection, setup);
    if (error) return gone(connection, error);
    spawn(read_loop(shared_from_this(), connection));
  }

  // ---- connecting

  void connect(const ConnectTo& to) {
    auto connection = std::make_shared<Connection>(io, to.connection);
    connection->remote = to.remote;
    connection->ifindex = to.ifindex;
    connections.emplace(to.connection.value, connection);
    const tcp::endpoint remote = endpoint_of(to.remote, to.port, to.ifindex);
    error_code error;
    tell_time();
    connection->socket.open(remote.protocol(), error);
    if (!error) close_on_exec(connection->socket);
    if (!error) error = prepare(*connection, to.setup);
    if (!error && to.setup.password) {
      const auto set = set_md5_key(connection->socket.native_handle(), Prefix::host(to.remote),
                                   to.setup.password);
      if (!set) {
        forget(connection);
        return speaker.failed(to.connection, set.error().message, Clock::now());
      }
      connection->password = to.setup.password;
    }
    if (!error && !to.setup.tcp_ao.empty()) {
      const auto set = add_ao_keys(connection->socket.native_handle(), to.remote, to.setup.tcp_ao);
      if (!set) {
        forget(connection);
        return speaker.failed(to.connection, set.error().message, Clock::now());
      }
    }
    if (!error && to.source) connection->socket.bind(endpoint_of(*to.source, 0), error);
    if (error) return failed(connection, error);
    spawn(connect_to(shared_from_this(), connection, remote));
  }

  static error_code prepare(Connection& connection, const SocketSetup& setup) {
    const Family family = connection.remote.family();
    error_code error;
    connection.socket.non_blocking(true, error);
    if (!error) connection.socket.set_option(tcp::no_delay(true), error);
    if (!error) error = send_ttl(connection.socket, family, setup.ttl);
    if (!error && setup.least_ttl != 0)
      error = accept_ttl(connection.socket, family, setup.least_ttl);
    if (!error && !setup.interface.empty())
      error = bind_interface(connection.socket, setup.interface);
    return error;
  }

  /// The wall clock may have been set since the last connection.
  void tell_time() const {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    speaker.wall_clock(std::chrono::duration_cast<std::chrono::microseconds>(
        since_epoch - Clock::now().time_since_epoch()));
  }

  static asio::awaitable<void> connect_to(std::shared_ptr<Sockets> self, Shared connection,
                                          tcp::endpoint remote) {
    const auto [error] = co_await connection->socket.async_connect(remote, no_throw);
    if (self->stopped || connection->leaving) co_return;
    error_code lost = error;
    const tcp::endpoint here = lost ? tcp::endpoint{} : connection->socket.local_endpoint(lost);
    if (lost) {
      self->failed(connection, lost);
    } else {
      self->speaker.ports(connection->id, here.port(), remote.port());
      self->speaker.opened(connection->id, address_of(here.address()), Clock::now());
      self->spawn(read_loop(self, connection));
    }
    self->poke();
  }

  void failed(const Shared& connection, const error_code& error) {
    forget(connection);
    speaker.failed(connection->id, error.message(), Clock::now());
  }

  // ---- reading

  static asio::awaitable<void> read_loop(std::shared_ptr<Sockets> self, Shared connection) {
    for (;;) {
      auto [error] = co_await connection->socket.async_wait(tcp::socket::wait_read, no_throw);
      if (self->stopped || !connection->socket.is_open()) co_return;
      std::size_t size = 0;
      if (!error) size = connection->socket.read_some(asio::buffer(self->buffer), error);
      if (error == asio::error::would_block || error == asio::error::interrupted) continue;
      if (connection->leaving) {
        if (!error)
          continue;  // what the peer still says is thrown away, so that close() does not reset
        self->drop(connection);
        co_return;
      }
      if (error) {
        self->gone(connection, error);
      } else {
        self->speaker.received(connection->id, Bytes(self->buffer).first(size), Clock::now());
      }
      self->poke();
      if (error) co_return;
    }
  }

  void gone(const Shared& connection, const error_code& error) {
    forget(connection);
    speaker.closed(connection->id,
                   error == asio::error::eof ? "closed by the peer" : error.message(),
                   Clock::now());
  }

  // ---- writing

  void write(const Shared& connection) {
    if (connection->writing) return;
    connection->writing = true;
    spawn(write_loop(shared_from_this(), connection));
  }

  static asio::awaitable<void> write_loop(std::shared_ptr<Sockets> self, Shared connection) {
    while (!connection->leaving) {
      self->speaker.produce(connection->id, connection->output, Clock::now());
      if (connection->output.empty()) break;
      std::size_t done = 0;
      while (done < connection->output.size()) {
        const auto rest = asio::buffer(connection->output) + done;
        const auto [error, size] = co_await connection->socket.async_write_some(rest, no_throw);
        if (self->stopped) co_return;
        if (error) {  // the reader hears of it too, and reports it
          connection->writing = false;
          if (connection->leaving) self->drop(connection);
          co_return;
        }
        done += size;
        if (!connection->leaving) {
          self->speaker.sent(connection->id, done == connection->output.size(), Clock::now());
        }
      }
      connection->output.clear();
    }
    connection->writing = false;
    if (connection->leaving) {
      co_await say_goodbye(std::move(self), std::move(connection));
    } else {
      self->poke();
    }
  }

  // ---- closing

  void close(CloseConnection&& order) {
    const auto found = connections.find(order.connection.value);
    if (found == connections.end()) return;
    const Shared connection = found->second;
    forget(connection);
    connection->leaving = true;
    if (order.last.empty()) return drop(connection);
    connection->last = std::move(order.last);
    leaving.push_back(connection);
    spawn(lose_patience(shared_from_this(), connection));
    if (!connection->writing) spawn(say_goodbye(shared_from_this(), connection));
  }

  static asio::awaitable<void> say_goodbye(std::shared_ptr<Sockets> self, Shared connection) {
    const auto [error, size] =
        co_await asio::async_write(connection->socket, asio::buffer(connection->last), no_throw);
    error_code ignored;
    // The peer's end of stream, or the end of patience, closes it: read_loop waits for the one.
    connection->socket.shutdown(tcp::socket::shutdown_send, ignored);
    if (error) self->drop(connection);
  }

  /// Before a connection from there is taken.
  void cut_farewells(const Address& remote, std::uint32_t ifindex) {
    const auto from_there = [&](const Shared& each) {
      return each->remote == remote && each->ifindex == ifindex;
    };
    auto oldest = leaving.end();
    if (std::count_if(leaving.begin(), leaving.end(), from_there) >= farewells_of_one) {
      oldest = std::find_if(leaving.begin(), leaving.end(), from_there);
    } else if (leaving.size() >= most_farewells) {
      oldest = leaving.begin();
    }
    if (oldest != leaving.end()) drop(Shared(*oldest));
  }

  static asio::awaitable<void> lose_patience(std::shared_ptr<Sockets> self, Shared connection) {
    if (!connection->socket.is_open()) co_return;
    connection->patience.expires_after(farewell_limit);
    co_await connection->patience.async_wait(no_throw);
    self->drop(connection);
  }

  /// Closes it for good.
  void drop(const Shared& connection) {
    error_code ignored;
    connection->socket.close(ignored);
    connection->patience.cancel();
    leaving.erase(std::remove(leaving.begin(), leaving.end(), connection), leaving.end());
  }

  void forget(const Shared& connection) { connections.erase(connection->id.value); }

  // ---- the speaker

  void poke() {
    if (poking) {
      poke_again = true;
      return;
    }
    poking = true;
    do {
      poke_again = false;
      for (const GatewayChange& change : speaker.take_gateway_changes()) {
        if (callbacks.gateway) callbacks.gateway(change);
      }
      for (Action& action : speaker.take_actions()) carry_out(std::move(action));
      for (LogLine& line : speaker.take_log()) {
        if (callbacks.log) callbacks.log(std::move(line));
      }
      // Whoever hears of the changes may have the speaker decide more, and be done with it: that
      // word must not go past the changes it comes after.
      const std::vector<SyncDone> synced = speaker.take_sync_done();
      auto changes = speaker.take_route_changes();
      if (!changes.empty() && callbacks.routes) callbacks.routes(std::move(changes));
      for (const SyncDone& done : synced) {
        if (callbacks.sync_done) callbacks.sync_done(done);
      }
      for (const std::string& peer : speaker.take_forgotten()) {
        if (callbacks.forgotten) callbacks.forgotten(peer);
      }
      for (const SessionUp& session : speaker.take_sessions_up()) {
        if (callbacks.session_up) callbacks.session_up(session);
      }
    } while (poke_again);
    poking = false;
    arm();
  }

  void carry_out(Action action) {
    std::visit(Overloaded{
                   [&](const ConnectTo& to) {
                     connect(to);
                     poke_again = true;
                   },
                   [&](const OutputReady& ready) {
                     const auto found = connections.find(ready.connection.value);
                     if (found != connections.end()) write(found->second);
                   },
                   [&](CloseConnection& order) { close(std::move(order)); },
               },
               action);
  }

  // ---- time

  void arm() {
    const Time now = Clock::now();
    const Time due = std::clamp(speaker.deadline(), now, now + longest_wait);
    if (timer.expiry() != due) timer.expires_at(due);
  }

  static asio::awaitable<void> timer_loop(std::shared_ptr<Sockets> self) {
    for (;;) {
      co_await self->timer.async_wait(no_throw);
      if (self->stopped) co_return;
      const Time now = Clock::now();
      if (now < self->speaker.deadline()) {
        if (self->timer.expiry() <= now) self->arm();
        continue;
      }
      if (self->callbacks.served_late) {
        self->callbacks.served_late(now - std::min(now, self->timer.expiry()));
      }
      // Bytes that wait in the kernel are life: their reader's turn just has not come.
      for (const ConnectionId id : self->speaker.expiring(now)) {
        const auto found = self->connections.find(id.value);
        error_code ignored;
        if (found != self->connections.end() && found->second->socket.available(ignored) != 0) {
          self->speaker.heard(id, now);
        }
      }
      self->speaker.tick(now);
      self->poke();
    }
  }

  void stop() {
    stopped = true;
    error_code ignored;
    timer.cancel(ignored);
    for (const auto& [endpoint, listener] : listeners) listener->acceptor.close(ignored);
    for (const auto& [id, connection] : connections) connection->socket.close(ignored);
    for (const Shared& connection : leaving) {
      connection->socket.close(ignored);
      connection->patience.cancel(ignored);
    }
    listeners.clear();
    connections.clear();
    leaving.clear();
  }
};

Transport::Transport(asio::io_context& io, Speaker& speaker, Callbacks callbacks)
    : sockets_(std::make_shared<Sockets>(io, speaker, std::move(callbacks))) {
  sockets_->arm();
  sockets_->spawn(Sockets::timer_loop(sockets_));
}

Transport::~Transport() {
  sockets_->stop();
}

Result<void> Transport::listen() {
  return sockets_->listen();
}

void Transport::poke() {
  sockets_->poke();
}

std::optional<TcpFacts> Transport::tcp_facts(ConnectionId connection) const {
  const auto found = sockets_->connections.find(connection.value);
  if (found == sockets_->connections.end()) return std::nullopt;
  const int socket = found->second->socket.native_handle();
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  TcpFacts facts;
  facts.rtt = std::chrono::microseconds(info.tcpi_rtt);
  facts.mss = info.tcpi_snd_mss;
  facts.retransmits = info.tcpi_total_retrans;
  int waiting = 0;
  if (::ioctl(socket, SIOCOUTQ, &waiting) == 0)
    facts.send_queue = static_cast<std::uint32_t>(waiting);
  if (::ioctl(socket, SIOCINQ, &waiting) == 0)
    facts.receive_queue = static_cast<std::uint32_t>(waiting);
  return facts;
}

std::size_t Transport::connections() const {
  return sockets_->connections.size() + sockets_->leaving.size();
}

}  // namespace weft::bgp
