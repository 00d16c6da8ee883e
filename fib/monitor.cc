#include "fib/monitor.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <utility>

#include "fib/rtnetlink.h"
#include "net/netlink_socket.h"

namespace weft::fib {

namespace {

using Handler = std::function<void(const Event&)>;

/// Drops messages that our own write sockets caused: nlmsg_pid, at octet 12, is the port of who
/// asked for the change.
Result<void> drop_echoes(netlink::Socket& socket, const std::vector<std::uint32_t>& ports) {
  std::vector<sock_filter> code{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 12)};
  for (const std::uint32_t port : ports) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, 0xffffffff));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return socket.filter(program);
}

}  // namespace

struct Monitor::State {
  State(const Options& given, netlink::Socket opened) : options(given), socket(std::move(opened)) {}

  Options options;
  netlink::Socket socket;
  std::map<std::uint32_t, Link> links;
  std::vector<ConnectedSubnet> subnets;
  std::uint64_t overruns = 0;
  /// Links and addresses have to be read again.
  bool outdated = false;

  Result<void> join() {
    std::vector<unsigned> groups{RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
    if (!options.writer_ports.empty()) {
      groups.insert(groups.end(), {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP});
      if (auto filtered = drop_echoes(socket, options.writer_ports); !filtered) return filtered;
    }
    for (const unsigned group : groups) {
      if (auto joined = socket.join(group); !joined) return joined;
    }
    return {};
  }

  /// Links and addresses as they are; what differs from what we knew is told to `handle`.
  Result<void> read_again(const Handler& handle) {
    auto reader = netlink::Socket::open();
    if (!reader) return reader.error();
    std::map<std::uint32_t, Link> new_links;
    std::vector<ConnectedSubnet> new_subnets;
    netlink::Batch request;
    dump_links(request);
    const auto linked = reader->dump(
        request,
        [&](const netlink::Message& message) {
          if (const auto link = parse_link(message)) new_links[link->ifindex] = *link;
        },
        [&] { new_links.clear(); });
    if (!linked) return linked.error().error().within("reading links");
    request.clear();
    dump_addresses(request);
    const auto addressed = reader->dump(
        request,
        [&](const netlink::Message& message) {
          if (const auto subnet = parse_address(message)) new_subnets.push_back(*subnet);
        },
        [&] { new_subnets.clear(); });
    if (!addressed) return addressed.error().error().within("reading addresses");
    for (const auto& [ifindex, link] : std::map(links)) {
      if (new_links.count(ifindex) == 0) link_changed(link, true, true, handle);
    }
    for (const auto& [ifindex, link] : new_links) link_changed(link, false, false, handle);
    for (const ConnectedSubnet& subnet : std::vector(subnets)) {
      if (std::find(new_subnets.begin(), new_subnets.end(), subnet) == new_subnets.end()) {
        subnet_changed(subnet, true, handle);
      }
    }
    for (const ConnectedSubnet& subnet : new_subnets) subnet_changed(subnet, false, handle);
    outdated = false;
    return {};
  }

  void link_changed(const Link& link, bool removed, bool flapped, const Handler& handle) {
    const auto known = links.find(link.ifindex);
    if (removed) {
      if (known == links.end()) return;
      links.erase(known);
    } else {
      if (known != links.end() && known->second == link && !flapped) return;
      links[link.ifindex] = link;
    }
    handle(LinkEvent{link, removed});
  }

  void subnet_changed(const ConnectedSubnet& subnet, bool removed, const Handler& handle) {
    const auto known = std::find(subnets.begin(), subnets.end(), subnet);
    if ((known == subnets.end()) == removed) return;
    if (removed) {
      subnets.erase(known);
    } else {
      subnets.push_back(subnet);
    }
    handle(AddressEvent{subnet, removed});
  }

  void dispatch(const netlink::Message& message, const Handler& handle) {
    switch (message.type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        return dispatch_link(message, handle);
      case RTM_NEWADDR:
      case RTM_DELADDR: {
        const auto subnet = parse_address(message);
        if (subnet) subnet_changed(*subnet, message.type == RTM_DELADDR, handle);
        return;
      }
      default:
        break;
    }
    // The filter does this in the kernel; not every kernel lets one be attached.
    const auto& ours = options.writer_ports;
    if (ours.empty() || std::find(ours.begin(), ours.end(), message.port) != ours.end()) return;
    if (message.type == RTM_NEWROUTE || message.type == RTM_DELROUTE) {
      const auto route = parse_route(message);
      if (!route) return;
      RouteEvent event{*route, message.type == RTM_DELROUTE};
      event.replaced = (message.flags & NLM_F_REPLACE) != 0;
      if (event.deleted && message.port == 0 && route->nexthop_id != 0) {
        if (went_with_its_source(*route)) return;
        event.doubtful = route->prefix.family() == Family::ipv6 && spells_out_nexthops(message);
      }
      handle(event);
    } else if (message.type == RTM_NEWNEXTHOP || message.type == RTM_DELNEXTHOP) {
      auto object = parse_nexthop(message);
      if (object) handle(NextHopEvent{std::move(*object), message.type == RTM_DELNEXTHOP});
    }
  }

  /// That the address went has been told.
  [[nodiscard]] bool went_with_its_source(const Route& route) const {
    return route.preferred_source &&
           std::none_of(subnets.begin(), subnets.end(), [&](const auto& subnet) {
             return subnet.address == *route.preferred_source;
           });
  }

  void dispatch_link(const netlink::Message& message, const Handler& handle) {
    const auto link = parse_link(message);
    if (!link) return;
    constexpr unsigned state = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
    const unsigned changed = message.header<ifinfomsg>()->ifi_change;
    const bool flapped = changed != ~0U && (changed & state) != 0;
    link_changed(*link, message.type == RTM_DELLINK, flapped, handle);
  }
};

Monitor::Monitor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Monitor::Monitor(Monitor&&) noexcept = default;
Monitor& Monitor::operator=(Monitor&&) noexcept = default;
Monitor::~Monitor() = default;

Result<Monitor> Monitor::open(const Options& options) {
  auto socket = netlink::Socket::open();
  if (!socket) return socket.error();
  socket->receive_buffer(options.receive_buffer);
  auto state = std::make_unique<State>(options, std::move(socket).value());
  if (auto joined = state->join(); !joined) return joined.error();
  if (auto read = state->read_again([](const Event&) {}); !read) return read.error();
  return Monitor(std::move(state));
}

int Monitor::fd() const {
  return state_->socket.fd();
}

bool Monitor::read(const Handler& handle) {
  for (int datagrams = 0; datagrams < read_limit; ++datagrams) {
    const netlink::Received received = state_->socket.receive(false);
    if (received.arrival == netlink::Arrival::overrun) {
      ++state_->overruns;
      state_->outdated = true;
      continue;
    }
    if (received.arrival != netlink::Arrival::data) {
      // Only now, with an empty queue: what is read again must not be overwritten by older news.
      if (!state_->outdated) return false;
      if (state_->read_again(handle)) handle(Overrun{});
      return state_->outdated;
    }
    netlink::Messages messages(received.bytes);
    while (const auto message = messages.next()) state_->dispatch(*message, handle);
  }
  return true;
}

const std::map<std::uint32_t, Link>& Monitor::links() const {
  return state_->links;
}

const Link* Monitor::link(std::string_view name) const {
  for (const auto& [ifindex, link] : state_->links) {
    if (link.name == name) return &link;
  }
  return nullptr;
}

const std::vector<ConnectedSubnet>& Monitor::subnets() const {
  return state_->subnets;
}
std::uint64_t Monitor::overruns() const {
  return state_->overruns;
}

}  // namespace weft::fib
