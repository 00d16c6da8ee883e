#include "fib/programmer.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

#include "fib/ring.h"
#include "net/fd.h"
#include "net/netlink_socket.h"

namespace weft::fib {

namespace {

constexpr int socket_buffer = 16 * 1024 * 1024;
/// Routes in one DumpPart: what the main loop takes in at once.
constexpr std::size_t dump_part = 4096;
/// A dump that was interrupted by changes so often is taken as it is.
constexpr int dump_tries = 3;
constexpr const char* compat_mode = "/proc/sys/net/ipv4/nexthop_compat_mode";

void signal_event(const Fd& event) {
  const std::uint64_t one = 1;
  // The counter cannot be full, and a reader that is gone needs no signal.
  [[maybe_unused]] const ssize_t written = ::write(event.get(), &one, sizeof one);
}

/// Blocks unless the descriptor is non-blocking.
void clear_event(const Fd& event) {
  std::uint64_t count = 0;
  while (::read(event.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
}

/// With 1 the kernel announces every route behind a group that changes; 0 spares it that. Per
/// network namespace.
bool disable_compat_mode() {
  const Fd file(::open(compat_mode, O_RDWR | O_CLOEXEC));
  if (!file) return false;
  std::array<char, 2> value{};
  if (::pread(file.get(), value.data(), 1, 0) == 1 && value[0] == '0') return true;
  return ::pwrite(file.get(), "0", 1, 0) == 1 && ::pread(file.get(), value.data(), 1, 0) == 1 &&
         value[0] == '0';
}

/// Two that write with one protocol number take each other's routes for what somebody left behind.
/// The name is one of the network namespace and goes with the process; one that an unprivileged
/// stranger has taken stops nobody.
Result<Fd> become_the_writer() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  constexpr std::string_view name = "weft-fib";
  std::copy(name.begin(), name.end(), &address.sun_path[1]);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const auto* const at = reinterpret_cast<const sockaddr*>(&address);
  Fd writer(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!writer) return Error{std::string("making a socket: ") + std::strerror(errno)};
  if (::bind(writer.get(), at, size) == 0 && ::listen(writer.get(), 1) == 0) return writer;
  const Fd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ucred who{};
  socklen_t length = sizeof who;
  if (::connect(other.get(), at, size) != 0 && errno != EAGAIN) return writer;
  if (::getsockopt(other.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return writer;
  if (who.uid != 0 && who.uid != ::geteuid()) return writer;
  return Error{"another weftd (pid " + std::to_string(who.pid) +
               ") writes the routes of this network namespace already"};
}

/// A thread, its socket, and the queues to and from the main thread.
struct Lane {
  Lane(const Settings& given, netlink::Socket opened, const Fd& to_main)
      : settings(given), socket(std::move(opened)), wake_main(to_main) {}

  Settings settings;
  netlink::Socket socket;
  netlink::Batch messages;
  Ring<Work, work_limit> work;
  Ring<Report, report_limit> reports;
  Fd wake_thread;
  /// Both lanes'.
  const Fd& wake_main;
  std::atomic<bool> stopping{false};
  /// Main thread's: submitted and not yet answered.
  std::size_t outstanding = 0;
  std::thread thread;

  void run() {
    while (!stopping) {
      clear_event(wake_thread);
      while (!stopping) {
        auto next = work.pop();
        if (!next) break;
        std::visit([&](auto& one) { carry_out(std::move(one)); }, *next);
      }
    }
  }

  void report(Report report) {
    while (!reports.push(report)) {
      signal_event(wake_main);
      if (stopping) return;
      clear_event(wake_thread);  // next() signals it; work that came is looked for in run()
    }
    signal_event(wake_main);
  }

  void carry_out(Batch batch) {
    messages.clear();
    encode(messages, batch, settings);
    netlink::Outcome outcome = socket.transact(messages, netlink::Batch::Ack::last);
    Answer answer;
    answer.batch = std::move(batch);
    answer.faults.reserve(outcome.refused.size());
    for (netlink::Refusal& refusal : outcome.refused) {
      answer.faults.push_back({refusal.index, refusal.code, std::move(refusal.message)});
    }
    if (outcome.broken) answer.broken = outcome.broken->message;
    report(std::move(answer));
  }

  void carry_out(const DumpRequest& request) {
    DumpPart last;
    last.check = request.check;
    last.last = true;
    for (int tries = 0; tries < dump_tries; ++tries) {
      bool interrupted = false;
      const auto done = dump(request, tries > 0, interrupted);
      if (!done) last.failed = done.error().message;
      if (!done || !interrupted) break;
    }
    report(std::move(last));
  }

  Result<void, netlink::Refusal> dump(const DumpRequest& request, bool again, bool& interrupted) {
    DumpPart part;
    part.check = request.check;
    part.again = again;
    const auto next = [&] {
      DumpPart following;
      following.check = request.check;
      report(std::exchange(part, std::move(following)));
    };
    messages.clear();
    dump_nexthops(messages);
    auto done = socket.dump(
        messages,
        [&](const netlink::Message& message) {
          auto object = parse_nexthop(message);
          if (object) part.nexthops.push_back(std::move(*object));
        },
        [&] { part.nexthops.clear(); });
    if (!done) return done;
    next();
    for (const Family family : {Family::ipv6, Family::ipv4}) {
      for (const std::uint32_t table : request.tables) {
        messages.clear();
        dump_routes(messages, family, table, 0);
        done = socket.dump(
            messages,
            [&](const netlink::Message& message) {
              const auto route = parse_route(message);
              if (route && route->table == table) part.routes.push_back(*route);
              if (part.routes.size() >= dump_part) next();
            },
            [&] { interrupted = true; });
        // A table that does not exist yet has no routes.
        if (!done && done.error().code != ENOENT) return done;
      }
    }
    report(std::move(part));
    return {};
  }

  // The main thread's side.

  void submit(Work piece) {
    ++outstanding;
    [[maybe_unused]] const bool fits = work.push(piece);
    assert(fits);
    signal_event(wake_thread);
  }
  std::optional<Report> next() {
    auto report = reports.pop();
    if (!report) return std::nullopt;
    const auto* part = std::get_if<DumpPart>(&*report);
    if (part == nullptr || part->last) --outstanding;
    if (part != nullptr) signal_event(wake_thread);  // it may wait for room
    return report;
  }
  void stop() {
    if (!thread.joinable()) return;
    stopping = true;
    signal_event(wake_thread);
    thread.join();
  }
};

Result<std::unique_ptr<Lane>> open_lane(const Settings& settings, const Fd& wake_main) {
  auto socket = netlink::Socket::open();
  if (!socket) return socket.error();
  socket->receive_buffer(socket_buffer);
  socket->send_buffer(socket_buffer);
  socket->timeout(std::chrono::seconds(60));
  auto lane = std::make_unique<Lane>(settings, std::move(socket).value(), wake_main);
  lane->wake_thread = Fd(eventfd(0, EFD_CLOEXEC));
  if (!lane->wake_thread) return Error{std::string("making an eventfd: ") + std::strerror(errno)};
  return lane;
}

/// Signals are the main thread's.
void run(Lane& lane, const char* name) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  lane.thread = std::thread([&lane, name] {
    pthread_setname_np(pthread_self(), name);
    lane.run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

struct Programmer::State {
  Fd only_writer;
  Fd wake_main;
  std::unique_ptr<Lane> bulk;
  std::unique_ptr<Lane> express;
  bool fast_groups = false;
};

Programmer::Programmer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Programmer::Programmer(Programmer&&) noexcept = default;
Programmer& Programmer::operator=(Programmer&&) noexcept = default;
Programmer::~Programmer() {
  stop();
}

Result<Programmer> Programmer::start(const Settings& settings) {
  auto state = std::make_unique<State>();
  auto writer = become_the_writer();
  if (!writer) return writer.error();
  state->only_writer = std::move(*writer);
  state->wake_main = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->wake_main) return Error{std::string("making an eventfd: ") + std::strerror(errno)};
  for (auto* lane : {&state->bulk, &state->express}) {
    auto opened = open_lane(settings, state->wake_main);
    if (!opened) return opened.error();
    *lane = std::move(*opened);
  }
  state->fast_groups = disable_compat_mode();
  run(*state->bulk, "weft-fib");
  run(*state->express, "weft-express");
  return Programmer(std::move(state));
}

bool Programmer::ready() const {
  return state_->bulk->outstanding < work_limit;
}
bool Programmer::express_ready() const {
  return state_->express->outstanding < work_limit;
}

void Programmer::submit(Work work) {
  assert(ready());
  state_->bulk->submit(std::move(work));
}
void Programmer::submit_express(Batch batch) {
  assert(express_ready());
  state_->express->submit(std::move(batch));
}

int Programmer::fd() const {
  return state_->wake_main.get();
}

std::optional<Report> Programmer::next() {
  for (bool cleared = false;; cleared = true) {
    for (Lane* lane : {state_->express.get(), state_->bulk.get()}) {
      auto report = lane->next();
      if (!report) continue;
      if (cleared) signal_event(state_->wake_main);
      return report;
    }
    if (cleared) return std::nullopt;
    // Between this and the last look a thread may have reported: look once more.
    clear_event(state_->wake_main);
  }
}

void Programmer::stop() {
  if (!state_) return;
  for (Lane* lane : {state_->bulk.get(), state_->express.get()}) lane->stop();
}

std::vector<std::uint32_t> Programmer::ports() const {
  return {state_->bulk->socket.port(), state_->express->socket.port()};
}
bool Programmer::fast_groups() const {
  return state_->fast_groups;
}
bool Programmer::assert_fast_groups() {
  return state_->fast_groups = disable_compat_mode();
}

}  // namespace weft::fib
