// neighbors N SENDERS RECEIVERS WATCHERS: all neighbors of a speaker that is measured without a
// kernel, IPv4. Waits on port 179 of every address of its network namespace for connections to
// neighbor i, counted from 1, whose address ends in the octets i / 256 and i % 256: first come the
// senders (AS 4200000001), which announce the same N routes each; then the receivers (AS
// 4200000002), which keep account of what they were told; then watchers (AS 4200000003, hold time 3
// s), to whom nothing but keepalives is to be sent. Does what the lines of its input say and tells
// the outcome of each in one line:
//   up         wait for all sessions         when the last one was up (monotonic)
//   announce   the senders send all          seconds until the first receiver has all N, and the
//   last withdraw   the senders withdraw all      seconds until the first receiver has none, and
//   the last settle     until there is silence        seconds from the first octet sent to the last
//   UPDATE
//                                            read, prefixes announced and withdrawn to a receiver
//   pause      the last receiver reads no more and counts for nothing
//   resume     it reads again                seconds until it has what the others have
//   silence    since it was last asked for   the longest any watcher heard nothing, in seconds
#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/neighbor.h"
#include "net/bytes.h"

namespace {

using namespace weft;
using namespace weft::bench;
using std::chrono::seconds;

constexpr seconds patience{180};
constexpr seconds quiet{1};
constexpr std::size_t header_size = 19;
constexpr std::size_t input_size = 512UL * 1024;

enum class Role : std::uint8_t { sender, receiver, watcher };

struct Neighbor {
  Role role = Role::sender;
  Address address;
  Fd socket;
  bool up = false;
  /// A thread of its own writes to the socket.
  bool sending = false;
  bool paused = false;
  std::vector<std::byte> input = std::vector<std::byte>();
  std::size_t filled = 0;
  /// Of the N prefixes, which it was told and which were not withdrawn since.
  std::vector<bool> held;
  std::uint32_t holds = 0;
  Time full;
  Time empty;
  Time heard;
  Time told;
  std::chrono::nanoseconds silence{0};
};

class Neighbors {
 public:
  Neighbors(std::uint32_t count, std::uint32_t senders, std::uint32_t receivers,
            std::uint32_t watchers)
      : count_(count),
        withdrawals_(withdrawals(count, Family::ipv4)),
        listener_(listening(Address::ipv4(0), 1024)),
        poll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (std::uint32_t i = 0; i < senders + receivers + watchers; ++i) {
      auto made = std::make_unique<Neighbor>();
      made->role = i < senders               ? Role::sender
                   : i < senders + receivers ? Role::receiver
                                             : Role::watcher;
      if (made->role == Role::receiver) made->held.resize(count);
      all_.push_back(std::move(made));
    }
    watch(listener_.get(), the_listener);
  }

  void up() {
    pump_until("all sessions", [&] {
      return std::all_of(all_.begin(), all_.end(), [](const auto& each) { return each->up; });
    });
    fmt::print("{:.4f}\n", monotonic(last_up_));
  }

  void announce() {
    if (tables_.empty()) {
      for (const auto& each : all_) {
        if (each->role == Role::sender)
          tables_.push_back(table(count_, as_of(*each), each->address));
      }
    }
    send([&](std::size_t sender) -> Bytes { return tables_[sender]; });
    pump_until("every receiver to have all", [&] { return all_hold(count_); });
    tell(&Neighbor::full);
  }

  void withdraw() {
    send([&](std::size_t) -> Bytes { return withdrawals_; });
    pump_until("every receiver to have none", [&] { return all_hold(0); });
    tell(&Neighbor::empty);
  }

  void settle() {
    pump_until("silence", [&] {
      const bool sent = std::all_of(all_.begin(), all_.end(), [](const auto& each) {
        int unsent = 0;
        return each->role != Role::sender ||
               (::ioctl(each->socket.get(), SIOCOUTQ, &unsent) == 0 && unsent == 0);
      });
      if (!sent) last_update_ = std::max(last_update_, Clock::now());
      return sent && Clock::now() - last_update_ > quiet;
    });
    fmt::print("{:.4f} {} {}\n", seconds_between(start_, last_update_), announced_, withdrawn_);
  }

  void pause() {
    all_[last_receiver()]->paused = true;
    epoll_event event{};
    static_cast<void>(
        ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, all_[last_receiver()]->socket.get(), &event));
    fmt::print("paused\n");
  }

  void resume() {
    const std::size_t last = last_receiver();
    const Time start = Clock::now();
    all_[last]->paused = false;
    watch(all_[last]->socket.get(), static_cast<std::uint32_t>(last));
    std::uint32_t others = 0;
    for (const auto& each : all_) {
      if (each->role == Role::receiver && each != all_[last]) others = each->holds;
    }
    pump_until("the receiver that was paused", [&] { return all_[last]->holds == others; });
    fmt::print("{:.4f}\n", seconds_between(start, Clock::now()));
  }

  void silence() {
    const Time now = Clock::now();
    std::chrono::nanoseconds longest{0};
    for (const auto& each : all_) {
      if (each->role != Role::watcher) continue;
      longest = std::max({longest, each->silence, now - each->heard});
      each->silence = std::chrono::nanoseconds(0);
    }
    fmt::print("{:.4f}\n", std::chrono::duration<double>(longest).count());
  }

  /// Serves the sessions until there is something to read in the standard input.
  void serve() {
    watch(STDIN_FILENO, the_commands);
    commanded_ = false;
    while (!commanded_) pump();
    epoll_event event{};
    static_cast<void>(::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, STDIN_FILENO, &event));
  }

 private:
  static constexpr std::uint32_t the_listener = 0xffffffff;
  static constexpr std::uint32_t the_commands = 0xfffffffe;

  static bgp::Asn as_of(const Neighbor& neighbor) {
    return bgp::Asn{4200000001U + static_cast<std::uint32_t>(neighbor.role)};
  }

  void watch(int fd, std::uint32_t what) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = what;
    if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail(std::strerror(errno));
  }

  [[nodiscard]] std::size_t last_receiver() const {
    for (std::size_t i = all_.size(); i-- > 0;) {
      if (all_[i]->role == Role::receiver) return i;
    }
    fail("there is no receiver");
  }

  [[nodiscard]] bool all_hold(std::uint32_t what) const {
    return std::all_of(all_.begin(), all_.end(), [what](const auto& each) {
      return each->role != Role::receiver || each->paused || each->holds == what;
    });
  }

  void tell(Time Neighbor::*when) const {
    Time first = Time::max();
    Time last = Time::min();
    for (const auto& each : all_) {
      if (each->role != Role::receiver || each->paused) continue;
      first = std::min(first, (*each).*when);
      last = std::max(last, (*each).*when);
    }
    fmt::print("{:.4f} {:.4f}\n", seconds_between(start_, first), seconds_between(start_, last));
  }

  void send(const std::function<Bytes(std::size_t)>& what) {
    start_ = last_update_ = Clock::now();
    announced_ = withdrawn_ = 0;
    std::size_t number = 0;
    for (const auto& each : all_) {
      if (each->role != Role::sender) continue;
      each->sending = true;
      senders_.emplace_back(
          [socket = each->socket.get(), bytes = what(number++)] { send_all(socket, bytes); });
    }
  }

  void pump_until(const char* what, const std::function<bool()>& done) {
    const Time start = Clock::now();
    while (!done()) {
      pump();
      if (Clock::now() - start > patience) fail(fmt::format("waited in vain for {}", what));
    }
    for (std::thread& sender : senders_) sender.join();
    senders_.clear();
    for (const auto& each : all_) each->sending = false;
  }

  void pump() {
    std::array<epoll_event, 64> events{};
    const int ready = ::epoll_wait(poll_.get(), events.data(), events.size(), 50);
    for (int i = 0; i < ready; ++i) {
      const std::uint32_t what = events.at(static_cast<std::size_t>(i)).data.u32;
      if (what == the_listener) {
        accept();
      } else if (what == the_commands) {
        commanded_ = true;
      } else {
        read(*all_[what]);
      }
    }
    const Time now = Clock::now();
    for (const auto& each : all_) {
      if (!each->up || each->sending || each->paused) continue;
      if (now - each->told < seconds(each->role == Role::watcher ? 1 : 60)) continue;
      std::vector<std::byte> out;
      bgp::encode(bgp::Keepalive{}, out);
      send_all(each->socket.get(), out);
      each->told = now;
    }
  }

  void accept() {
    Fd socket = accepted(listener_);
    sockaddr_in local{};
    socklen_t size = sizeof local;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&local), &size);
    const std::uint32_t address = ntohl(local.sin_addr.s_addr);
    const std::uint32_t number = (address & 0xffffU) - 1;
    if (number >= all_.size()) fail(fmt::format("nobody is {}", Address::ipv4(address).text()));
    Neighbor& neighbor = *all_[number];
    neighbor.address = Address::ipv4(address);
    neighbor.socket = std::move(socket);
    neighbor.input.resize(input_size);
    neighbor.filled = 0;
    neighbor.up = false;
    neighbor.told = Clock::now();
    const Identity identity{as_of(neighbor), bgp::RouterId{address},
                            seconds(neighbor.role == Role::watcher ? 3 : 240), false};
    send_all(neighbor.socket.get(), greeting(identity, Family::ipv4));
    watch(neighbor.socket.get(), number);
  }

  void read(Neighbor& neighbor) {
    const ssize_t got = ::recv(neighbor.socket.get(), neighbor.input.data() + neighbor.filled,
                               neighbor.input.size() - neighbor.filled, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      if (neighbor.up)
        fail(fmt::format("{}: the daemon closed the session", neighbor.address.text()));
      neighbor.socket = {};
      return;
    }
    neighbor.filled += static_cast<std::size_t>(got);
    const Time now = Clock::now();
    Bytes rest = Bytes(neighbor.input).first(neighbor.filled);
    while (rest.size() >= header_size) {
      const std::size_t size = Reader(rest.subspan(16)).u16();
      if (size < header_size) fail("a message without a header");
      if (rest.size() < size) break;
      hear(neighbor, rest.first(size), now);
      rest = rest.subspan(size);
    }
    std::memmove(neighbor.input.data(), rest.data(), rest.size());
    neighbor.filled = rest.size();
  }

  void hear(Neighbor& neighbor, Bytes message, Time now) {
    switch (static_cast<bgp::MessageType>(message[18])) {
      case bgp::MessageType::keepalive:
        if (neighbor.up) neighbor.silence = std::max(neighbor.silence, now - neighbor.heard);
        if (!neighbor.up) last_up_ = now;
        neighbor.up = true;
        neighbor.heard = now;
        return;
      case bgp::MessageType::notification:
        fail(fmt::format("{}: the daemon sent a NOTIFICATION, {}/{}", neighbor.address.text(),
                         static_cast<int>(message[19]), static_cast<int>(message[20])));
      case bgp::MessageType::update:
        if (neighbor.role == Role::receiver) account(neighbor, message.subspan(header_size), now);
        return;
      default:
        return;
    }
  }

  void account(Neighbor& neighbor, Bytes body, Time now) {
    Reader reader(body);
    const Bytes withdrawn = reader.take(reader.u16());
    static_cast<void>(reader.take(reader.u16()));
    const Bytes announced = reader.rest();
    each_prefix(withdrawn, [&](std::uint32_t i) {
      ++withdrawn_;
      if (!neighbor.held[i]) return;
      neighbor.held[i] = false;
      if (--neighbor.holds == 0) neighbor.empty = now;
    });
    each_prefix(announced, [&](std::uint32_t i) {
      ++announced_;
      if (neighbor.held[i]) return;
      neighbor.held[i] = true;
      if (++neighbor.holds == count_) neighbor.full = now;
    });
    last_update_ = now;
  }

  template <typename Visit>
  void each_prefix(Bytes nlri, const Visit& visit) const {
    for (std::size_t at = 0; at < nlri.size();) {
      const auto length = static_cast<unsigned>(nlri[at]);
      const std::size_t octets = (length + 7U) / 8U;
      std::uint32_t value = 0;
      for (std::size_t i = 0; i < 4 && i < octets && at + 1 + i < nlri.size(); ++i) {
        value |= static_cast<std::uint32_t>(nlri[at + 1 + i]) << (24U - 8U * i);
      }
      at += 1 + octets;
      const std::uint32_t number = (value - first_prefix) >> 6U;
      if (length == 26 && number < count_) visit(number);
    }
  }

  std::uint32_t count_;
  std::vector<std::byte> withdrawals_;
  std::vector<std::vector<std::byte>> tables_;
  Fd listener_;
  Fd poll_;
  std::vector<std::unique_ptr<Neighbor>> all_;
  std::vector<std::thread> senders_;
  bool commanded_ = false;
  Time start_;
  Time last_up_;
  Time last_update_;
  std::uint64_t announced_ = 0;
  std::uint64_t withdrawn_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::array<std::uint32_t, 4> numbers{};
  for (int i = 1; i < argc && i <= 4; ++i)
    std::from_chars(argv[i], argv[i] + std::strlen(argv[i]),
                    numbers.at(static_cast<std::size_t>(i) - 1));
  if (argc != 5 || numbers[0] == 0) fail("usage: neighbors N SENDERS RECEIVERS WATCHERS");
  Neighbors neighbors(numbers[0], numbers[1], numbers[2], numbers[3]);
  const std::pair<std::string_view, void (Neighbors::*)()> commands[] = {
      {"up", &Neighbors::up},
      {"announce", &Neighbors::announce},
      {"withdraw", &Neighbors::withdraw},
      {"settle", &Neighbors::settle},
      {"pause", &Neighbors::pause},
      {"resume", &Neighbors::resume},
      {"silence", &Neighbors::silence}};
  std::string input;
  for (;;) {
    neighbors.serve();
    std::array<char, 256> some{};
    const ssize_t got = ::read(STDIN_FILENO, some.data(), some.size());
    if (got <= 0) return 0;
    input.append(some.data(), static_cast<std::size_t>(got));
    for (std::size_t end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
      const std::string line = input.substr(0, end);
      input.erase(0, end + 1);
      const auto* known = std::find_if(std::begin(commands), std::end(commands),
                                       [&](const auto& each) { return each.first == line; });
      if (known == std::end(commands)) fail("what is " + line + "?");
      (neighbors.*known->second)();
      std::fflush(stdout);
    }
  }
}
