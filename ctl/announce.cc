#include "ctl/announce.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>
#include <variant>

#include "ctl/client.h"
#include "net/shell_command.h"
#include "net/time.h"

namespace weft::ctl {
namespace {

/// For an answer of weftd, and between attempts to reach it.
constexpr std::chrono::seconds answer_limit{5};
constexpr std::chrono::seconds retry{1};

volatile std::sig_atomic_t stopped = 0;

void say(const std::string& sentence) {
  fmt::print(stderr, "weftctl: {}\n", sentence);
}

void pause(std::chrono::duration<double> span) {
  timespec left{};
  left.tv_sec = static_cast<time_t>(span.count());
  left.tv_nsec = static_cast<long>((span.count() - static_cast<double>(left.tv_sec)) * 1e9);
  ::nanosleep(&left, nullptr);  // a signal ends it early
}

/// The connection that the announcement hangs on.
class Holder {
 public:
  explicit Holder(const HeldAnnouncement& held) : held_(held) {}

  /// None: weftd is not there, try again later. False: refused for good.
  std::optional<bool> announce() {
    if (!client_) {
      auto connected = Client::connect(held_.socket, Clock::now() + answer_limit);
      if (!connected) return lost(connected.error().message);
      client_.emplace(std::move(*connected));
    }
    const auto reply = client_->call(held_.request, Clock::now() + answer_limit);
    if (!reply) return lost(reply.error().message);
    if (const auto* failure = std::get_if<Failure>(&*reply)) {
      say("weftd: " + failure->message);
      return false;
    }
    if (!std::exchange(announced_, true)) say(held_.request.prefix.text() + " is announced");
    return true;
  }

  /// Closing the connection is all it takes.
  void withdraw(const char* why) {
    client_.reset();
    if (std::exchange(announced_, false))
      say(fmt::format("{} is withdrawn: {}", held_.request.prefix.text(), why));
  }

 private:
  std::optional<bool> lost(const std::string& why) {
    client_.reset();
    if (std::exchange(announced_, false) || !std::exchange(complained_, true)) say(why);
    return std::nullopt;
  }

  const HeldAnnouncement& held_;
  std::optional<Client> client_;
  bool announced_ = false;
  bool complained_ = false;
};

}  // namespace

bool Health::saw(bool success) {
  if (!std::exchange(known_, true)) return healthy_ = success;
  against_ = success == healthy_ ? 0 : against_ + 1;
  if (against_ >= (healthy_ ? check_.fall : check_.rise)) {
    healthy_ = success;
    against_ = 0;
  }
  return healthy_;
}

bool keep_announced(const HeldAnnouncement& held) {
  struct sigaction stop {};
  stop.sa_handler = [](int) { stopped = 1; };
  ::sigaction(SIGINT, &stop, nullptr);
  ::sigaction(SIGTERM, &stop, nullptr);
  Holder holder(held);
  Health health(held.health);
  // A service that hangs makes its check hang, too.
  const auto limit = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(held.health.timeout));
  while (stopped == 0) {
    std::chrono::duration<double> wait(held.health.interval);
    if (held.health.command.empty() || health.saw(succeeds(held.health.command, limit))) {
      const auto announced = holder.announce();
      if (announced == false) return false;
      if (!announced) wait = std::min<std::chrono::duration<double>>(wait, retry);
    } else {
      holder.withdraw("its health check fails");
    }
    if (stopped == 0) pause(wait);
  }
  holder.withdraw("the command ends");
  return true;
}

}  // namespace weft::ctl
