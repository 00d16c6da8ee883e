#include "cni/gc.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "net/host_route.h"
#include "net/netlink_socket.h"
#include "net/netns.h"

namespace weft::cni {

namespace {

/// The namespace of the ADD is still there, and has one of the addresses. What cannot be looked at
/// counts as living: an address that is kept costs less than one that two have.
bool lives(const ctl::Container& container, const NetworkNamespace& own) {
  // Read back from the kernel when the records were lost: its link is all that is known of it.
  if (container.netns.empty()) return container.state == "attached";
  const auto netns = NetworkNamespace::open(container.netns);
  if (!netns || (container.netns_inode != 0 && netns->inode() != container.netns_inode)) {
    return false;
  }
  if (!netns->enter()) return true;
  auto socket = netlink::Socket::open();
  if (!own.enter() || !socket) return true;
  for (const std::string& text : {container.ipv4, container.ipv6}) {
    const auto address = Address::parse(text);
    if (!address) continue;
    const auto route = find_host_route(*socket, *address);
    if (!route || (*route && (*route)->local)) return true;
  }
  return false;
}

}  // namespace

Result<std::string, Failure> collect(const Request& request, const Weftd& weftd) {
  if (!request.config.valid_attachments) return std::string();
  const auto& valid = *request.config.valid_attachments;
  const auto containers = weftd.ask<ctl::Containers>(ctl::ContainersRequest{});
  if (!containers) return containers.error();
  const auto own = NetworkNamespace::current();
  if (!own) return Failure{Code::internal, own.error().message, {}};
  std::vector<std::string> failures;
  for (const ctl::Container& container : containers->containers) {
    const Attachment& attachment = container.attachment;
    if (attachment.network != request.config.name ||
        std::find(valid.begin(), valid.end(), attachment) != valid.end()) {
      continue;
    }
    ctl::Request verdict = ctl::DelRequest{attachment, container.sequence};
    if (lives(container, *own)) {
      warn(fmt::format("{} of container {} is not in the runtime's list, but lives: it is kept",
                       attachment.ifname, attachment.container));
      verdict = ctl::SpareRequest{attachment};
    }
    const auto done = weftd.ask<ctl::Done>(verdict);
    if (!done) {
      failures.push_back(
          fmt::format("{} {}: {}", attachment.container, attachment.ifname, done.error().message));
    }
  }
  if (failures.empty()) return std::string();
  return Failure{Code::internal,
                 fmt::format("{} stale containers could not be removed", failures.size()),
                 fmt::format("{}", fmt::join(failures, "; "))};
}

}  // namespace weft::cni
