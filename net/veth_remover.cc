#include "net/veth_remover.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "net/fd.h"
#include "net/netlink_socket.h"
#include "net/veth.h"

namespace weft {

namespace {

/// A burst of deletions announces each link twice over; lost announcements are made up for by the
/// acknowledgements.
constexpr int announcement_buffer = 4 * 1024 * 1024;

/// One call of remove(); the ticket tells it from others of the same name.
struct Job {
  std::uint64_t ticket = 0;
  std::string name;
  std::vector<Address> addresses;
};

struct Answer {
  std::uint64_t ticket = 0;
  std::string failure;
};

/// What the threads and their owner share: work one way, answers the other.
struct Queues {
  std::mutex mutex;
  std::condition_variable work;
  std::deque<Job> line;
  std::vector<Answer> answers;
  std::size_t idle = 0;
  bool stopping = false;
};

ifinfomsg link_header(std::uint32_t index) {
  ifinfomsg head{};
  head.ifi_index = static_cast<int>(index);
  return head;
}

/// Every container that comes announces its link a few times, which nobody waits for here. The type
/// of a message stands in octets 4 and 5, in host byte order.
Result<void> hear_only_removals(netlink::Socket& socket) {
  std::array<sock_filter, 4> code{{BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 0, 1),
                                   BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
                                   BPF_STMT(BPF_RET | BPF_K, 0)}};
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return socket.filter(program);
}

/// A job whose link is there.
struct Target {
  Job job;
  std::uint32_t index = 0;
};

/// The links of `jobs`; what is not there has its answer already.
std::vector<Target> find_targets(netlink::Socket& socket, std::vector<Job> jobs,
                                 std::vector<Answer>& answers) {
  std::vector<Target> targets;
  for (Job& job : jobs) {
    const auto link = find_link(socket, job.name);
    if (link && *link && is_host_veth(**link)) {
      targets.push_back({std::move(job), (*link)->index});
    } else {
      answers.push_back({job.ticket, link ? std::string() : link.error().message});
    }
  }
  return targets;
}

/// Host routes first: the kernel would look for them among all others when the links go.
void withdraw(netlink::Socket& socket, const std::vector<Target>& targets, std::uint32_t group) {
  netlink::Batch batch;
  for (const Target& target : targets) {
    for (const Address& address : target.job.addresses) {
      put_container_route(batch, RTM_DELROUTE, 0, address, target.index);
    }
    if (targets.size() == 1) continue;
    batch.begin(RTM_SETLINK, 0, link_header(target.index));
    batch.put_u32(IFLA_GROUP, group);
  }
  // A route that is gone already is none of our concern; a link that could not be marked shows when
  // it stays.
  socket.transact(batch, netlink::Batch::Ack::last);
}

void delete_all(netlink::Socket& socket, std::vector<Job> jobs, std::uint32_t group,
                std::vector<Answer>& answers) {
  const std::vector<Target> targets = find_targets(socket, std::move(jobs), answers);
  if (targets.empty()) return;
  withdraw(socket, targets, group);
  netlink::Batch batch;
  const bool fold = targets.size() > 1;
  batch.begin(RTM_DELLINK, 0, link_header(fold ? 0 : targets.front().index));
  if (fold) batch.put_u32(IFLA_GROUP, group);
  const auto done = socket.request(batch);
  for (const Target& target : targets) {
    const auto left = find_link(socket, target.job.name);
    const bool stayed = left && *left && (*left)->index == target.index;
    answers.push_back({target.job.ticket, !stayed ? std::string()
                                          : done  ? "the kernel kept it"
                                                  : done.error().message});
  }
}

}  // namespace

class VethRemover::Body {
 public:
  static Result<std::unique_ptr<Body>> open() {
    auto body = std::make_unique<Body>();
    auto listener = netlink::Socket::open();
    if (!listener) return listener.error();
    body->listener_.emplace(*std::move(listener));
    body->listener_->receive_buffer(announcement_buffer);
    // Not every kernel lets a filter be attached; take() passes over what it would have kept away.
    static_cast<void>(hear_only_removals(*body->listener_));
    const auto joined = body->listener_->join(RTNLGRP_LINK);
    if (!joined) return joined.error();
    body->answered_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    body->readable_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    for (const int fd : {body->answered_.get(), body->listener_->fd()}) {
      epoll_event event{};
      event.events = EPOLLIN;
      if (!body->readable_ || ::epoll_ctl(body->readable_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        return Error{std::string("waiting for the kernel: ") + std::strerror(errno)};
      }
    }
    return body;
  }

  Body() = default;
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
  ~Body() {
    {
      const std::lock_guard lock(queues_.mutex);
      queues_.stopping = true;
      queues_.line.clear();
    }
    queues_.work.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void remove(std::string name, std::vector<Address> addresses) {
    // What has been announced by now is about an earlier link of that name.
    take_announcements(early_);
    if (!early_.empty()) signal();
    const std::uint64_t ticket = ++last_ticket_;
    waiting_.emplace(ticket, name);
    by_name_.emplace(name, ticket);
    bool needs_thread = false;
    {
      const std::lock_guard lock(queues_.mutex);
      queues_.line.push_back({ticket, std::move(name), std::move(addresses)});
      needs_thread = queues_.idle < queues_.line.size();
    }
    if (needs_thread && threads_.size() < thread_limit && !add_thread() && threads_.empty()) {
      const std::lock_guard lock(queues_.mutex);
      queues_.answers.push_back({ticket, "no netlink socket for it"});
      queues_.line.clear();
      signal();
      return;
    }
    queues_.work.notify_one();
  }

  [[nodiscard]] int fd() const { return readable_.get(); }
  [[nodiscard]] std::size_t under_way() const { return waiting_.size(); }

  std::vector<Removed> take() {
    std::vector<Removed> removed = std::exchange(early_, {});
    take_announcements(removed);
    std::uint64_t count = 0;
    if (::read(answered_.get(), &count, sizeof count) < 0) return removed;
    std::vector<Answer> answers;
    {
      const std::lock_guard lock(queues_.mutex);
      answers.swap(queues_.answers);
    }
    for (Answer& answer : answers) {
      const auto waiting = waiting_.find(answer.ticket);
      if (waiting == waiting_.end()) continue;  // announced before
      removed.push_back({waiting->second, std::move(answer.failure)});
      forget(waiting);
    }
    return removed;
  }

 private:
  using Waiting = std::map<std::uint64_t, std::string>;

  void take_announcements(std::vector<Removed>& removed) {
    for (;;) {
      const netlink::Received received = listener_->receive(false);
      // After an overrun there may be more; what was lost is answered by its acknowledgement.
      if (received.arrival == netlink::Arrival::overrun) continue;
      if (received.arrival != netlink::Arrival::data) return;
      netlink::Messages messages(received.bytes);
      while (const auto message = messages.next()) {
        const auto head = message->header<ifinfomsg>();
        if (message->type != RTM_DELLINK || !head || head->ifi_family != AF_UNSPEC) continue;
        const auto name = message->attributes<ifinfomsg>().find(IFLA_IFNAME);
        if (name) announced(std::string(name->text()), removed);
      }
    }
  }

  void announced(const std::string& name, std::vector<Removed>& removed) {
    const auto [first, last] = by_name_.equal_range(name);
    if (first == last) return;
    for (auto entry = first; entry != last; ++entry) {
      waiting_.erase(entry->second);
      removed.push_back({name, {}});
    }
    by_name_.erase(first, last);
    // Somebody else was faster: the next link of that name is not meant.
    const std::lock_guard lock(queues_.mutex);
    std::erase_if(queues_.line, [&](const Job& job) { return job.name == name; });
  }

  void forget(Waiting::iterator waiting) {
    const auto [first, last] = by_name_.equal_range(waiting->second);
    for (auto entry = first; entry != last; ++entry) {
      if (entry->second != waiting->first) continue;
      by_name_.erase(entry);
      break;
    }
    waiting_.erase(waiting);
  }

  /// Its socket is opened here, in the owner's namespace; its signals are the owner's business.
  bool add_thread() {
    auto socket = netlink::Socket::open();
    if (!socket) return false;
    const auto group = first_group + static_cast<std::uint32_t>(threads_.size());
    sigset_t all{};
    sigset_t before{};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    threads_.emplace_back([this, group](netlink::Socket own) { work(std::move(own), group); },
                          *std::move(socket));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return true;
  }

  void work(netlink::Socket socket, std::uint32_t group) {
    std::unique_lock lock(queues_.mutex);
    for (;;) {
      ++queues_.idle;
      queues_.work.wait(lock, [&] { return queues_.stopping || !queues_.line.empty(); });
      --queues_.idle;
      if (queues_.stopping) return;
      std::vector<Job> jobs;
      while (!queues_.line.empty() && jobs.size() < fold_limit) {
        jobs.push_back(std::move(queues_.line.front()));
        queues_.line.pop_front();
      }
      lock.unlock();
      std::vector<Answer> answers;
      delete_all(socket, std::move(jobs), group, answers);
      lock.lock();
      for (Answer& answer : answers) queues_.answers.push_back(std::move(answer));
      signal();
    }
  }

  void signal() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(answered_.get(), &one, sizeof one);
  }

  Queues queues_;
  std::optional<netlink::Socket> listener_;
  Fd answered_;
  Fd readable_;
  std::vector<std::thread> threads_;
  /// Announced and not yet taken.
  std::vector<Removed> early_;
  std::uint64_t last_ticket_ = 0;
  Waiting waiting_;
  std::multimap<std::string, std::uint64_t> by_name_;
};

VethRemover::VethRemover(std::unique_ptr<Body> body) : body_(std::move(body)) {}
VethRemover::VethRemover(VethRemover&&) noexcept = default;
VethRemover& VethRemover::operator=(VethRemover&&) noexcept = default;
VethRemover::~VethRemover() = default;

Result<VethRemover> VethRemover::open() {
  auto body = Body::open();
  if (!body) return body.error();
  return VethRemover(*std::move(body));
}

void VethRemover::remove(std::string name, std::vector<Address> addresses) {
  body_->remove(std::move(name), std::move(addresses));
}

int VethRemover::fd() const {
  return body_->fd();
}
std::vector<VethRemover::Removed> VethRemover::take() {
  return body_->take();
}
std::size_t VethRemover::under_way() const {
  return body_->under_way();
}

}  // namespace weft
