#include "bfd/runner.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <future>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "net/datagram.h"
#include "net/fd.h"

namespace weft::bfd {
namespace {

/// Datagrams of one socket before the timers have their turn.
constexpr int read_limit = 256;
/// Longer ones are cut: no BFD Control packet of ours has more.
constexpr std::size_t datagram_size = 256;
/// RFC 5881 4.
constexpr std::uint16_t first_source_port = 49152;
constexpr int source_port_tries = 64;
/// DSCP CS6, and the queue that goes with it.
constexpr int network_control = 0xc0;
constexpr int control_priority = 7;
constexpr std::chrono::minutes longest_wait{10};

Error failed(const std::string& what) {
  return Error{what + ": " + std::strerror(errno)};
}

template <typename Value>
bool set(const Fd& socket, int level, int option, const Value& value) {
  return ::setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
}

struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Endpoint endpoint_of(const Address& address, std::uint16_t port, std::uint32_t ifindex) {
  Endpoint endpoint;
  const Bytes octets = address.octets();
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, octets.data(), octets.size());
    std::memcpy(&endpoint.storage, &v4, sizeof v4);
    endpoint.size = sizeof v4;
    return endpoint;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, octets.data(), octets.size());
  if (address.is_link_local()) v6.sin6_scope_id = ifindex;
  std::memcpy(&endpoint.storage, &v6, sizeof v6);
  endpoint.size = sizeof v6;
  return endpoint;
}

Fd open_socket(Family family) {
  return Fd(::socket(family == Family::ipv4 ? AF_INET : AF_INET6,
                     SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

/// RFC 5881 5: what leaves has TTL 255.
bool send_far(const Fd& socket, Family family) {
  static_cast<void>(set(socket, SOL_SOCKET, SO_PRIORITY, control_priority));
  if (family == Family::ipv4) {
    static_cast<void>(set(socket, IPPROTO_IP, IP_TOS, network_control));
    return set(socket, IPPROTO_IP, IP_TTL, 255);
  }
  static_cast<void>(set(socket, IPPROTO_IPV6, IPV6_TCLASS, network_control));
  return set(socket, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255);
}

/// A socket that listens, and what its packets are.
struct Listener {
  Fd socket;
  Family family = Family::ipv4;
  bool multihop = false;
};

Result<Listener> listen(Family family, bool multihop) {
  Listener listener{open_socket(family), family, multihop};
  if (!listener.socket) return failed("BFD socket");
  const Fd& socket = listener.socket;
  const bool apart = family == Family::ipv4 || set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (!apart || !want_arrival(socket, family)) return failed("BFD socket");
  const std::uint16_t port = multihop ? multihop_port : single_hop_port;
  const Address any = family == Family::ipv4 ? Address::ipv4(0) : Address::ipv6({});
  const Endpoint here = endpoint_of(any, port, 0);
  if (::bind(socket.get(), here.get(), here.size) != 0)
    return failed("BFD port " + std::to_string(port) + " (does another BFD daemon run here?)");
  return listener;
}

/// None: the address or the link is not there now.
Fd open_sender(const Path& path, std::minstd_rand& random) {
  Fd socket = open_socket(path.local.family());
  if (!socket || !send_far(socket, path.local.family())) return Fd();
  if (!path.is_multihop()) {
    std::array<char, IF_NAMESIZE> name{};
    if (::if_indextoname(path.ifindex, name.data()) == nullptr) return Fd();
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), name.size()) != 0)
      return Fd();
  }
  for (int tries = 0; tries < source_port_tries; ++tries) {
    const auto port = static_cast<std::uint16_t>(
        first_source_port + random() % (std::uint32_t{65536} - first_source_port));
    const Endpoint here = endpoint_of(path.local, port, path.ifindex);
    if (::bind(socket.get(), here.get(), here.size) == 0) return socket;
    if (errno != EADDRINUSE) return Fd();
  }
  return Fd();
}

void signal_event(const Fd& event) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(event.get(), &one, sizeof one);
}

void clear_event(const Fd& event) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(event.get(), &count, sizeof count);
}

}  // namespace

struct Runner::State {
  State() : sessions(std::random_device{}()), random(std::random_device{}()) {}

  // The thread's.
  std::vector<Listener> listeners;
  Sessions sessions;
  std::minstd_rand random;
  std::map<Path, Fd> senders;

  // Where the threads meet; held for a swap, never for work.
  std::mutex mutex;
  std::optional<std::map<Path, Terms>> wanted;
  std::vector<std::promise<Snapshot>> asked;
  std::vector<Event> events;
  bool stopping = false;

  Fd wake_thread;
  Fd wake_main;
  std::thread thread;

  void run() {
    pthread_setname_np(pthread_self(), "weft-bfd");
    // Where it is allowed: milliseconds count on a busy host, too.
    const sched_param urgent{.sched_priority = 1};
    static_cast<void>(pthread_setschedparam(pthread_self(), SCHED_RR, &urgent));
    for (;;) {
      wait();
      for (const Listener& listener : listeners) read(listener);
      const bool last = take_orders();
      sessions.tick(Clock::now());
      transmit();
      tell();
      if (last) return;
    }
  }

  void wait() {
    std::vector<pollfd> descriptors{{wake_thread.get(), POLLIN, 0}};
    for (const Listener& each : listeners) descriptors.push_back({each.socket.get(), POLLIN, 0});
    const Time now = Clock::now();
    const auto span = std::clamp<Clock::duration>(
        sessions.deadline() == Time::max() ? longest_wait : sessions.deadline() - now,
        Clock::duration::zero(), longest_wait);
    const timespec limit{std::chrono::duration_cast<std::chrono::seconds>(span).count(),
                         (span % std::chrono::seconds{1}).count()};
    ::ppoll(descriptors.data(), descriptors.size(), &limit, nullptr);
  }

  void read(const Listener& listener) {
    std::array<std::byte, datagram_size> buffer{};
    for (int i = 0; i < read_limit; ++i) {
      const auto datagram = receive_datagram(listener.socket, buffer);
      if (!datagram) return;
      const Arrival arrival{datagram->from, datagram->to, datagram->ifindex, datagram->hop_limit,
                            listener.multihop};
      sessions.received(arrival, Bytes(buffer).first(datagram->size), Clock::now());
    }
  }

  /// True: the thread is to end.
  bool take_orders() {
    clear_event(wake_thread);
    std::optional<std::map<Path, Terms>> list;
    std::vector<std::promise<Snapshot>> questions;
    bool last = false;
    {
      const std::lock_guard lock(mutex);
      list.swap(wanted);
      questions.swap(asked);
      last = stopping;
    }
    if (last) list.emplace();
    if (list) {
      sessions.want(*list, Clock::now());
      transmit();  // the last words of those that go, before their sockets do
      std::erase_if(senders, [&](const auto& each) { return !list->contains(each.first); });
    }
    for (auto& question : questions) question.set_value({sessions.status(), sessions.dropped()});
    return last;
  }

  void transmit() {
    for (const Transmission& each : sessions.take_transmissions()) {
      Fd& sender = senders[each.path];
      if (!sender) sender = open_sender(each.path, random);
      if (!sender) continue;
      const std::uint16_t port = each.path.is_multihop() ? multihop_port : single_hop_port;
      const Endpoint there = endpoint_of(each.path.remote, port, each.path.ifindex);
      const ssize_t sent = ::sendto(sender.get(), each.bytes.data(), each.bytes.size(),
                                    MSG_DONTWAIT, there.get(), there.size);
      // A link that was made anew, an address that moved: the next packet gets another socket.
      if (sent < 0 && errno != EAGAIN && errno != ECONNREFUSED) sender = Fd();
    }
  }

  void tell() {
    std::vector<Event> happened = sessions.take_events();
    if (happened.empty()) return;
    {
      const std::lock_guard lock(mutex);
      events.insert(events.end(), happened.begin(), happened.end());
    }
    signal_event(wake_main);
  }
};

Runner::Runner(std::unique_ptr<State> state) : state_(std::move(state)) {}
Runner::Runner(Runner&&) noexcept = default;
Runner& Runner::operator=(Runner&&) noexcept = default;
Runner::~Runner() {
  stop();
}

Result<Runner> Runner::start() {
  auto state = std::make_unique<State>();
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    for (const bool multihop : {false, true}) {
      auto listener = listen(family, multihop);
      if (!listener && family == Family::ipv6 && errno == EAFNOSUPPORT) continue;
      if (!listener) return listener.error();
      state->listeners.push_back(std::move(*listener));
    }
  }
  state->wake_thread = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  state->wake_main = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->wake_thread || !state->wake_main) return failed("making an eventfd");
  // Signals are the main thread's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  state->thread = std::thread([raw = state.get()] { raw->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return Runner(std::move(state));
}

void Runner::want(std::map<Path, Terms> wanted) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->wanted = std::move(wanted);
  }
  signal_event(state_->wake_thread);
}

int Runner::fd() const {
  return state_->wake_main.get();
}

std::vector<Event> Runner::take_events() {
  clear_event(state_->wake_main);
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->events, {});
}

Snapshot Runner::snapshot() const {
  std::promise<Snapshot> question;
  auto answer = question.get_future();
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopping) return {};
    state_->asked.push_back(std::move(question));
  }
  signal_event(state_->wake_thread);
  return answer.get();
}

void Runner::stop() {
  if (!state_ || !state_->thread.joinable()) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  signal_event(state_->wake_thread);
  state_->thread.join();
}

}  // namespace weft::bfd
