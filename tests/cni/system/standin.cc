#include "tests/cni/system/standin.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>

#include "ctl/protocol.h"
#include "ipam/allocator.h"
#include "ipam/store.h"
#include "net/fd.h"
#include "net/netns.h"
#include "net/veth.h"
#include "net/veth_remover.h"

namespace weft::test {

namespace {

[[noreturn]] void die(const std::string& why) {
  const std::string line = "standin: " + why + "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(3);
}

class Server {
 public:
  Server(ipam::Store store, const ipam::Settings& settings, VethRemover remover)
      : store_(std::move(store)),
        allocator_("this-boot", store_.next_sequence()),
        remover_(std::move(remover)) {
    if (const auto done = allocator_.configure(settings); !done) die(done.error().message);
    const auto changes = store_.load("this-boot", Clock::now());
    if (!changes) die(changes.error().message);
    allocator_.apply(*changes);
  }

  ctl::Reply answer(const ctl::Request& request) {
    return std::visit(Overloaded{[&](const ctl::AddRequest& add) { return on(add); },
                                 [&](const ctl::DelRequest& del) { return on(del); },
                                 [](const ctl::SpareRequest&) -> ctl::Reply { return ctl::Done{}; },
                                 [&](const ctl::CheckRequest& check) { return on(check); },
                                 [&](const ctl::StatusRequest& status) { return on(status); },
                                 [&](const ctl::ContainersRequest& list) { return on(list); },
                                 [](const auto&) -> ctl::Reply {
                                   return ctl::Failure{ctl::ErrorCode::bad_request, "not here"};
                                 }},
                      request);
  }

 private:
  ctl::Reply on(const ctl::AddRequest& add) {
    const auto grant =
        allocator_.allocate({add.attachment, add.netns, add.netns_inode, add.pool, add.addresses,
                             add.ranges, add.delegated, add.needs_gateway},
                            Clock::now());
    if (!grant) {
      const bool exhausted = grant.error().reason == ipam::Refusal::Reason::exhausted;
      return ctl::Failure{exhausted ? ctl::ErrorCode::exhausted : ctl::ErrorCode::bad_request,
                          grant.error().message};
    }
    if (grant->replaced) {
      const std::string failure = remove(*grant->replaced);
      if (!failure.empty()) return internal(failure);
    }
    if (const auto done = store_.commit(grant->changes); !done)
      return internal(done.error().message);
    allocator_.apply(grant->changes);
    ctl::Lease lease = spoken(grant->lease);
    lease.existing = grant->existing;
    if (add.mtu) lease.mtu = *add.mtu;
    return lease;
  }

  ctl::Reply on(const ctl::DelRequest& del) {
    const auto release = allocator_.release(del.attachment, del.sequence, Clock::now());
    // Nothing on record: a veth of an earlier life may still be there, but not for the undo of an
    // ADD.
    ipam::Lease lease;
    lease.host_ifname = host_ifname(del.attachment);
    if (release.lease) lease = *release.lease;
    if (release.lease || !del.sequence) {
      const std::string failure = remove(lease);
      if (!failure.empty()) return internal(failure);
    }
    if (const auto done = store_.commit(release.changes); !done) {
      return internal(done.error().message);
    }
    allocator_.apply(release.changes);
    return ctl::Done{};
  }

  /// Empty when the veth is gone.
  std::string remove(const ipam::Lease& lease) {
    std::vector<Address> addresses;
    if (lease.block.ipv4) addresses.push_back(*lease.ipv4());
    if (lease.block.ipv6) addresses.push_back(*lease.ipv6());
    remover_.remove(lease.host_ifname, addresses);
    for (;;) {
      pollfd readable{remover_.fd(), POLLIN, 0};
      ::poll(&readable, 1, -1);
      for (const auto& removed : remover_.take()) {
        if (removed.name == lease.host_ifname) return removed.failure;
      }
    }
  }

  ctl::Reply on(const ctl::CheckRequest& check) {
    const ipam::Lease* lease = allocator_.find(check.attachment);
    if (lease == nullptr) return ctl::Failure{ctl::ErrorCode::not_found, "no such container"};
    return spoken(*lease);
  }

  ctl::Reply on(const ctl::StatusRequest& request) {
    ctl::Status status;
    status.cannot_give = allocator_.why_not_given(request.network, request.pool, Clock::now());
    for (const auto& block : allocator_.blocks(Clock::now())) status.addresses_free += block.free;
    return status;
  }

  ctl::Reply on(const ctl::ContainersRequest&) {
    ctl::Containers containers;
    for (const auto& status : allocator_.leases()) {
      ctl::Container container;
      container.attachment = status.lease.attachment;
      if (const auto ipv4 = status.lease.ipv4()) container.ipv4 = ipv4->text();
      container.netns = status.lease.netns;
      container.netns_inode = status.lease.netns_inode;
      container.sequence = status.lease.sequence;
      containers.containers.push_back(container);
    }
    return containers;
  }

  static ctl::Lease spoken(const ipam::Lease& lease) {
    return {
        lease.ipv4(), lease.ipv6(),  host_ifname(lease.attachment), 1500, ipam::link_alias(lease),
        false,        lease.sequence};
  }
  static ctl::Reply internal(const std::string& message) {
    return ctl::Failure{ctl::ErrorCode::internal, message};
  }

  ipam::Store store_;
  ipam::Allocator allocator_;
  VethRemover remover_;
};

void serve_connection(Server& server, const Fd& connection, int& requests,
                      const Standin::Meanwhile& meanwhile) {
  std::string received;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(connection.get(), buffer, sizeof buffer);
    if (size <= 0) return;
    received.append(buffer, static_cast<std::size_t>(size));
    for (auto end = received.find('\n'); end != std::string::npos; end = received.find('\n')) {
      const auto request = ctl::decode_request(received.substr(0, end));
      received.erase(0, end + 1);
      if (request && meanwhile)
        meanwhile(*request, [&](const ctl::Request& other) { return server.answer(other); });
      const std::string line =
          ctl::encode(request ? server.answer(*request) : ctl::Reply(request.error())) + "\n";
      if (::write(connection.get(), line.data(), line.size()) < 0) return;
      if (--requests <= 0) ::_exit(0);
    }
  }
}

[[noreturn]] void serve(const Fd& listener, const std::string& netns,
                        const std::filesystem::path& directory, const ipam::Settings& settings,
                        int requests, const Standin::Meanwhile& meanwhile) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto host = NetworkNamespace::open(netns);
  if (!host) die(host.error().message);
  if (const auto entered = host->enter(); !entered) die(entered.error().message);
  auto store = ipam::Store::open(directory);
  if (!store) die(store.error().message);
  auto remover = VethRemover::open();
  if (!remover) die(remover.error().message);
  Server server(*std::move(store), settings, *std::move(remover));
  for (;;) {
    const Fd connection(::accept(listener.get(), nullptr, nullptr));
    serve_connection(server, connection, requests, meanwhile);
  }
}

}  // namespace

Standin::Standin(const std::string& netns, const std::filesystem::path& directory,
                 const ipam::Settings& settings, int requests, const Meanwhile& meanwhile) {
  // Listening begins before the child does: no client comes too early.
  const std::string path = directory / "weft.sock";
  ::unlink(path.c_str());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 128) != 0) {
    die("cannot listen on " + path);
  }
  child_ = ::fork();
  if (child_ == 0) serve(listener, netns, directory, settings, requests, meanwhile);
}

Standin::~Standin() {
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

}  // namespace weft::test
