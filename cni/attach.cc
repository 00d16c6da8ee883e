#include "cni/attach.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>

#include "net/fd.h"
#include "net/veth.h"

namespace weft::cni {

namespace {

constexpr std::uint16_t create = NLM_F_CREATE | NLM_F_EXCL;
constexpr std::uint16_t replace = NLM_F_CREATE | NLM_F_REPLACE;
constexpr std::uint32_t loopback_index = 1;
/// IF_OPER_UP of linux/if.h, which does not go with net/if.h.
constexpr std::uint8_t operational = 6;
/// Before the main table (32766).
constexpr std::uint32_t source_rule_priority = 22272;

Failure failed(Code code, std::string_view doing, const std::string& message) {
  return {code, fmt::format("{}: {}", doing, message), {}};
}

Failure refused(std::string_view doing, const netlink::Refusal& refusal) {
  return failed(Code::internal, doing, refusal.message);
}

std::uint8_t kernel_family(const Address& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

std::vector<Address> addresses(const Wiring& wiring) {
  std::vector<Address> list;
  for (const auto& address : {wiring.ipv4, wiring.ipv6}) {
    if (address) list.push_back(*address);
  }
  return list;
}

DefaultRoute default_route(const Wiring& wiring, Family family) {
  return family == Family::ipv4 ? wiring.default_ipv4 : wiring.default_ipv6;
}

const std::optional<DefaultHolder>& former_holder(const Wiring& wiring, Family family) {
  return family == Family::ipv4 ? wiring.former_ipv4 : wiring.former_ipv6;
}

bool holds_default(const Wiring& wiring, Family family) {
  return default_route(wiring, family) == DefaultRoute::held;
}

std::vector<Prefix> container_routes(const Wiring& wiring, const Address& address) {
  std::vector<Prefix> routes;
  if (holds_default(wiring, address.family())) routes.emplace_back(address, 0);
  std::copy_if(wiring.routes.begin(), wiring.routes.end(), std::back_inserter(routes),
               [&](const Prefix& route) { return route.family() == address.family(); });
  return routes;
}

/// Indexes that no one else has chosen: the kernel counts up from 1, so far below. The two ends
/// must differ, for a link whose peer has its own index is taken for one without a peer, and its
/// carrier reported up to a second late.
std::pair<std::uint32_t, std::uint32_t> own_indexes(const Wiring& wiring) {
  const std::uint64_t bits = stable_hash(wiring.host_ifname, wiring.sequence);
  const auto host = static_cast<std::uint32_t>((1U << 24) + (bits & 0x1fffffff) * 2);
  return {host, host + 1};
}

ifinfomsg link_header(std::uint32_t index, unsigned flags) {
  ifinfomsg head{};
  head.ifi_family = AF_UNSPEC;
  head.ifi_index = static_cast<int>(index);
  head.ifi_flags = flags;
  head.ifi_change = flags;
  return head;
}

/// What both ends have: name, address, MTU, and one queue, for a veth has nothing to spread.
void put_end(netlink::Batch& batch, const std::string& name, const Mac& mac, std::uint32_t mtu) {
  batch.put_text(IFLA_IFNAME, name);
  batch.put(IFLA_ADDRESS, mac);
  batch.put_u32(IFLA_MTU, mtu);
  batch.put_u32(IFLA_NUM_TX_QUEUES, 1);
  batch.put_u32(IFLA_NUM_RX_QUEUES, 1);
}

/// Alias; proxy ARP and forwarding for IPv4; for IPv6 no address but the one we give.
void put_host_settings(netlink::Batch& batch, const Wiring& wiring, std::uint32_t index) {
  batch.begin(RTM_SETLINK, 0, link_header(index, 0));
  batch.put_text(IFLA_IFALIAS, wiring.alias);
  const std::size_t families = batch.nest(IFLA_AF_SPEC);
  const std::size_t ipv4 = batch.nest(AF_INET);
  const std::size_t settings = batch.nest(IFLA_INET_CONF);
  batch.put_u32(IPV4_DEVCONF_FORWARDING, 1);
  batch.put_u32(IPV4_DEVCONF_PROXY_ARP, 1);
  batch.end_nest(settings);
  batch.end_nest(ipv4);
  if (wiring.ipv6) {
    const std::size_t ipv6 = batch.nest(AF_INET6);
    batch.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    batch.end_nest(ipv6);
  }
  batch.end_nest(families);
}

/// The kernel's default makes every proxied answer wait up to 0.8 s.
void put_no_proxy_delay(netlink::Batch& batch, std::uint32_t index) {
  ndtmsg head{};
  head.ndtm_family = AF_INET;
  batch.begin(RTM_SETNEIGHTBL, 0, head);
  batch.put_text(NDTA_NAME, "arp_cache");
  const std::size_t parameters = batch.nest(NDTA_PARMS);
  batch.put_u32(NDTPA_IFINDEX, index);
  batch.put_u64(NDTPA_PROXY_DELAY, 0);
  batch.end_nest(parameters);
}

void put_address(netlink::Batch& batch, const Address& address, unsigned length,
                 std::uint32_t index) {
  ifaddrmsg head{};
  head.ifa_family = kernel_family(address);
  head.ifa_prefixlen = static_cast<std::uint8_t>(length);
  head.ifa_flags = address.is_v6() ? IFA_F_NODAD : 0;
  head.ifa_scope = address.is_link_local() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  head.ifa_index = index;
  batch.begin(RTM_NEWADDR, create, head);
  batch.put_address(IFA_LOCAL, address);
  batch.put_address(IFA_ADDRESS, address);
}

void put_neighbour(netlink::Batch& batch, const Address& address, const Mac& mac,
                   std::uint32_t index) {
  ndmsg head{};
  head.ndm_family = kernel_family(address);
  head.ndm_ifindex = static_cast<int>(index);
  head.ndm_state = NUD_PERMANENT;
  batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, head);
  batch.put_address(NDA_DST, address);
  batch.put(NDA_LLADDR, mac);
}

/// A route inside the container: through `via`, which is on the link, or straight to the link.
struct RoutePlace {
  std::uint32_t table = RT_TABLE_MAIN;
  std::uint32_t metric = 0;
  std::uint16_t flags = create;
};

void put_route(netlink::Batch& batch, const Prefix& destination, const std::optional<Address>& via,
               std::uint32_t index, const RoutePlace& place = {}) {
  const std::uint32_t table = place.table;
  rtmsg head{};
  head.rtm_family = kernel_family(destination.address());
  head.rtm_dst_len = static_cast<std::uint8_t>(destination.length());
  head.rtm_table = table == RT_TABLE_MAIN ? RT_TABLE_MAIN : RT_TABLE_UNSPEC;
  head.rtm_protocol = RTPROT_STATIC;
  head.rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  head.rtm_type = RTN_UNICAST;
  // Only the first of several interfaces has a route to 169.254.1.1.
  if (via && via->is_v4()) head.rtm_flags = RTNH_F_ONLINK;
  batch.begin(RTM_NEWROUTE, place.flags, head);
  if (destination.length() != 0) batch.put_address(RTA_DST, destination.address());
  if (via) batch.put_address(RTA_GATEWAY, *via);
  batch.put_u32(RTA_OIF, index);
  if (table != RT_TABLE_MAIN) batch.put_u32(RTA_TABLE, table);
  if (place.metric != 0) batch.put_u32(RTA_PRIORITY, place.metric);
}

/// One for each interface name: the rules that lead there outlive the interface and serve the next
/// of that name.
std::uint32_t own_table(const std::string& ifname) {
  return 0x57000000U | static_cast<std::uint32_t>(stable_hash(ifname) >> 40);
}

/// Worse than any that others choose, and of each interface another.
std::uint32_t spare_metric(const std::string& ifname) {
  return own_table(ifname);
}
bool is_spare(std::uint32_t metric) {
  return metric >> 24 == 0x57;
}

void put_source_rule(netlink::Batch& batch, const Address& address, std::uint32_t table) {
  fib_rule_hdr head{};
  head.family = kernel_family(address);
  head.src_len = static_cast<std::uint8_t>(bits(address.family()));
  head.table = RT_TABLE_UNSPEC;
  head.action = FR_ACT_TO_TBL;
  batch.begin(RTM_NEWRULE, create, head);
  batch.put_address(FRA_SRC, address);
  batch.put_u32(FRA_PRIORITY, source_rule_priority);
  batch.put_u32(FRA_TABLE, table);
  batch.put_u8(FRA_PROTOCOL, container_route_protocol);
}

/// A token bucket as the root of a link's queue, as the reference bandwidth plugin makes it.
void put_token_bucket(netlink::Batch& batch, std::uint32_t index, const Rate& rate) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  const std::uint64_t octets = std::max<std::uint64_t>(rate.rate / 8, 1);
  const std::uint64_t burst = std::min(rate.burst / 8, most);
  tcmsg head{};
  head.tcm_ifindex = static_cast<int>(index);
  head.tcm_parent = TC_H_ROOT;
  batch.begin(RTM_NEWQDISC, create, head);
  batch.put_text(TCA_KIND, "tbf");
  const std::size_t options = batch.nest(TCA_OPTIONS);
  tc_tbf_qopt settings{};
  settings.rate.linklayer = TC_LINKLAYER_ETHERNET;
  settings.rate.rate = static_cast<std::uint32_t>(std::min(octets, most));
  // What waits longer than 25 ms is dropped.
  settings.limit = static_cast<std::uint32_t>(std::min(octets / 40 + burst, most));
  batch.put_raw(TCA_TBF_PARMS, settings);
  if (octets > most) batch.put_u64(TCA_TBF_RATE64, octets);
  batch.put_u32(TCA_TBF_BURST, static_cast<std::uint32_t>(burst));
  batch.end_nest(options);
}

Result<void> write_setting(const std::string& path, std::string_view value) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), value.data(), value.size()) < 0) {
    return Error{path + ": " + std::strerror(errno)};
  }
  return {};
}

/// Otherwise the kernel gives a link addresses of its own, and at each change of it looks through
/// all IPv6 routes of the host. Where this cannot be written, it only takes longer.
void turn_ipv6_off(const std::string& ifname) {
  static_cast<void>(
      write_setting(fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", ifname), "1"));
}

Result<void, Failure> write_ipv6_settings(
    const std::string& ifname,
    std::initializer_list<std::pair<const char*, std::string_view>> settings) {
  for (const auto& [name, value] : settings) {
    const auto done =
        write_setting(fmt::format("/proc/sys/net/ipv6/conf/{}/{}", ifname, name), value);
    if (!done) {
      return Failure{Code::internal, done.error().message,
                     "the pool gives IPv6 addresses; is IPv6 enabled here?"};
    }
  }
  return {};
}

/// Messages and what each is for, so that a refusal can be told in words.
class Steps {
 public:
  netlink::Batch& next(std::string doing) {
    doing_.push_back(std::move(doing));
    return batch_;
  }
  Result<void, Failure> run(netlink::Socket& socket) {
    const netlink::Outcome outcome = socket.transact(batch_, netlink::Batch::Ack::last);
    if (outcome.ok()) return {};
    const netlink::Refusal& first = outcome.first();
    return refused(outcome.broken ? "wiring the container" : doing_[first.index], first);
  }

 private:
  netlink::Batch batch_;
  std::vector<std::string> doing_;
};

}  // namespace

Ends::Ends(NetworkNamespace host_namespace, NetworkNamespace container_namespace,
           netlink::Socket host_socket, netlink::Socket container_socket)
    : host_namespace_(std::move(host_namespace)),
      container_namespace_(std::move(container_namespace)),
      host_(std::move(host_socket)),
      container_(std::move(container_socket)) {}

Result<Ends, Failure> Ends::open(const std::string& netns, bool own_netns_allowed) {
  auto container = NetworkNamespace::open(netns);
  if (!container) {
    return failed(Code::invalid_netns, "CNI_NETNS", container.error().message);
  }
  auto host = NetworkNamespace::current();
  if (!host) return failed(Code::internal, "own network namespace", host.error().message);
  if (host->inode() == container->inode() && !own_netns_allowed) {
    return Failure{Code::invalid_netns, "CNI_NETNS is the network namespace of the runtime itself",
                   netns};
  }
  auto host_socket = netlink::Socket::open();
  if (!host_socket) return failed(Code::internal, "host", host_socket.error().message);
  const auto entered = container->enter();
  if (!entered) return failed(Code::invalid_netns, netns, entered.error().message);
  auto container_socket = netlink::Socket::open();
  const auto back = host->enter();
  if (!back) return failed(Code::internal, "returning", back.error().message);
  if (!container_socket) return failed(Code::internal, netns, container_socket.error().message);
  return Ends(*std::move(host), *std::move(container), *std::move(host_socket),
              *std::move(container_socket));
}

Result<void, Failure> Ends::check_absent(const std::string& ifname) {
  const auto link = find_link(container_, ifname);
  if (!link) return refused("looking for " + ifname, link.error());
  if (*link) {
    return Failure{
        Code::internal, fmt::format("the container has an interface {} already", ifname), {}};
  }
  return {};
}

Result<std::optional<DefaultHolder>, Failure> Ends::default_holder(Family family,
                                                                   const std::string& ifname) {
  netlink::Batch batch;
  rtmsg head{};
  head.rtm_family = family == Family::ipv4 ? AF_INET : AF_INET6;
  head.rtm_table = RT_TABLE_MAIN;
  batch.begin(RTM_GETROUTE, 0, head);
  // Index 0: through several, or through a nexthop object.
  std::vector<DefaultHolder> holders;
  const auto done = container_.dump(
      batch,
      [&](const netlink::Message& message) {
        const auto route = message.header<rtmsg>();
        if (!route || route->rtm_dst_len != 0 || route->rtm_table != RT_TABLE_MAIN ||
            route->rtm_type != RTN_UNICAST) {
          return;
        }
        const auto attributes = message.attributes<rtmsg>();
        const auto metric = attributes.find(RTA_PRIORITY);
        if (metric && is_spare(metric->u32())) return;
        const auto device = attributes.find(RTA_OIF);
        const auto via = attributes.find(RTA_GATEWAY);
        holders.push_back({"", device ? device->u32() : 0,
                           device && via && via->address() == gateway(family) &&
                               route->rtm_protocol == RTPROT_STATIC});
      },
      [&] { holders.clear(); });
  // A namespace in which nobody has made a route yet has no main table.
  if (!done && done.error().code != ENOENT) {
    return refused("default routes of the container", done.error());
  }
  if (holders.empty()) return std::optional<DefaultHolder>();
  const auto links = list_links(container_);
  if (!links) return refused("interfaces of the container", links.error());
  std::optional<DefaultHolder> found;
  for (DefaultHolder& holder : holders) {
    for (const Link& link : *links) {
      if (link.index == holder.index) holder.ifname = link.name;
    }
    if (holder.ifname == ifname || (found && !found->is_ours)) continue;
    found = holder;
  }
  return found;
}

template <typename Change>
Result<void, Failure> Ends::inside(Change change) {
  const auto entered = container_namespace_.enter();
  if (!entered) return failed(Code::invalid_netns, "container", entered.error().message);
  Result<void, Failure> done = change();
  const auto back = host_namespace_.enter();
  if (!back) return failed(Code::internal, "returning", back.error().message);
  return done;
}

Result<void, netlink::Refusal> Ends::request_pair(const Wiring& wiring, Indexes indexes) {
  netlink::Batch batch;
  batch.begin(RTM_NEWLINK, create, link_header(indexes.host, IFF_UP));
  // The kernel wants ifi_change of a new link to be all or nothing of what ifi_flags says; the peer
  // cannot be made up.
  put_end(batch, wiring.host_ifname, host_mac, wiring.mtu);
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  batch.put_text(IFLA_INFO_KIND, "veth");
  const std::size_t data = batch.nest(IFLA_INFO_DATA);
  const std::size_t peer = batch.nest(VETH_INFO_PEER);
  batch.put_header(link_header(indexes.container, 0));
  put_end(batch, wiring.attachment.ifname, wiring.mac, wiring.mtu);
  batch.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(container_namespace_.fd()));
  batch.end_nest(peer);
  batch.end_nest(data);
  batch.end_nest(info);
  return host_.request(batch);
}

Result<Ends::Indexes, Failure> Ends::find_pair(const Wiring& wiring) {
  const auto host = find_link(host_, wiring.host_ifname);
  if (!host) return refused(wiring.host_ifname, host.error());
  const auto container = find_link(container_, wiring.attachment.ifname);
  if (!container) return refused(wiring.attachment.ifname, container.error());
  if (!*host || !*container) {
    return Failure{Code::internal, "the veth was deleted while it was being made", {}};
  }
  return Indexes{(*host)->index, (*container)->index};
}

Result<Ends::Indexes, Failure> Ends::make_pair(const Wiring& wiring) {
  const auto [host, container] = own_indexes(wiring);
  const Indexes chosen{host, container};
  auto made = request_pair(wiring, chosen);
  if (made) return chosen;
  if (made.error().code == EEXIST) {
    // Either another ADD of the same attachment was faster, or a veth of its former life is still
    // there.
    const auto absent = check_absent(wiring.attachment.ifname);
    if (!absent) return absent.error();
    const auto stale = find_link(host_, wiring.host_ifname);
    if (!stale) return refused(wiring.host_ifname, stale.error());
    if (*stale && !is_host_veth(**stale)) {
      return Failure{
          Code::internal,
          fmt::format("the host has an interface {} that is not weft's", wiring.host_ifname),
          (*stale)->alias};
    }
    const auto deleted = delete_host_veth(host_, wiring.host_ifname);
    if (!deleted) return refused("deleting the stale " + wiring.host_ifname, deleted.error());
    made = request_pair(wiring, chosen);
  }
  if (!made && (made.error().code == EEXIST || made.error().code == EBUSY)) {
    made = request_pair(wiring, {});  // an index is taken: let the kernel choose both
    if (made) return find_pair(wiring);
  }
  if (!made) return refused("creating the veth " + wiring.host_ifname, made.error());
  return chosen;
}

Result<void, Failure> Ends::wire_host(const Wiring& wiring, Indexes indexes) {
  if (wiring.ipv6) {
    auto written = write_ipv6_settings(
        wiring.host_ifname, {{"accept_dad", "0"}, {"accept_ra", "0"}, {"forwarding", "1"}});
    if (!written) return written;
  } else {
    turn_ipv6_off(wiring.host_ifname);
  }
  Steps steps;
  if (wiring.ipv4) put_no_proxy_delay(steps.next("setting proxy_delay"), indexes.host);
  if (wiring.ipv6) {
    put_address(steps.next("adding fe80::1 to " + wiring.host_ifname), gateway(Family::ipv6), 64,
                indexes.host);
  }
  for (const Address& address : addresses(wiring)) {
    put_container_route(steps.next(fmt::format("adding the host's route to {}", address.text())),
                        RTM_NEWROUTE, create, address, indexes.host);
    put_neighbour(steps.next(fmt::format("adding the host's neighbour {}", address.text())),
                  address, wiring.mac, indexes.host);
  }
  // With its alias weftd takes charge of the link, and puts back whatever route it finds missing.
  put_host_settings(steps.next("setting up " + wiring.host_ifname), wiring, indexes.host);
  if (wiring.ingress) {
    put_token_bucket(steps.next("limiting what goes into the container"), indexes.host,
                     *wiring.ingress);
  }
  return steps.run(host_);
}

Result<void, Failure> Ends::wire_container(const Wiring& wiring, Indexes indexes) {
  const std::string& ifname = wiring.attachment.ifname;
  if (wiring.ipv6) {
    auto written = inside([&] {
      return write_ipv6_settings(ifname, {{"disable_ipv6", "0"}, {"accept_dad", "0"}});
    });
    if (!written) return written;
  }
  Steps steps;
  steps.next("setting lo up").begin(RTM_SETLINK, 0, link_header(loopback_index, IFF_UP));
  steps.next("setting " + ifname + " up")
      .begin(RTM_SETLINK, 0, link_header(indexes.container, IFF_UP));
  for (const Address& address : addresses(wiring)) {
    const Address via = gateway(address.family());
    const DefaultRoute place = default_route(wiring, address.family());
    RoutePlace here;
    put_address(steps.next("adding " + address.text()), address, bits(address.family()),
                indexes.container);
    put_neighbour(steps.next("adding the neighbour " + via.text()), via, host_mac,
                  indexes.container);
    if (const auto& former = former_holder(wiring, address.family())) {
      const RoutePlace spare{RT_TABLE_MAIN, spare_metric(former->ifname), replace};
      const std::string doing = "keeping the routes of " + former->ifname;
      put_route(steps.next(doing), Prefix(address, 0), via, former->index, spare);
      if (via.is_v4()) put_route(steps.next(doing), Prefix::host(via), {}, former->index, spare);
      here.flags = replace;
    }
    if (via.is_v4() && place == DefaultRoute::held) {
      put_route(steps.next("adding the route to " + via.text()), Prefix::host(via), {},
                indexes.container, here);
    }
    for (const Prefix& route : container_routes(wiring, address)) {
      put_route(steps.next("adding the container's route " + route.text()), route, via,
                indexes.container, route.length() == 0 ? here : RoutePlace{});
    }
    if (place == DefaultRoute::spare) {
      put_route(steps.next("adding the spare default route of " + address.text()),
                Prefix(address, 0), via, indexes.container,
                {RT_TABLE_MAIN, spare_metric(ifname), create});
    }
    if (place == DefaultRoute::spare || place == DefaultRoute::never) {
      put_route(steps.next("adding the default route of " + address.text()), Prefix(address, 0),
                via, indexes.container, {own_table(ifname), 0, create});
    }
  }
  if (wiring.egress) {
    put_token_bucket(steps.next("limiting what comes out of the container"), indexes.container,
                     *wiring.egress);
  }
  auto done = steps.run(container_);
  if (done) done = route_by_source(wiring);
  if (!done || wiring.sysctls.empty()) return done;
  return inside([&]() -> Result<void, Failure> {
    for (const Sysctl& sysctl : wiring.sysctls) {
      const auto written = write_setting("/proc/sys/" + sysctl.path, sysctl.value);
      if (!written) return failed(Code::internal, "sysctl", written.error().message);
    }
    return {};
  });
}

/// An interface beside the one with the default routes answers by itself.
Result<void, Failure> Ends::route_by_source(const Wiring& wiring) {
  for (const Address& address : addresses(wiring)) {
    const DefaultRoute place = default_route(wiring, address.family());
    if (place == DefaultRoute::held || place == DefaultRoute::of_the_host) continue;
    netlink::Batch batch;
    put_source_rule(batch, address, own_table(wiring.attachment.ifname));
    const auto done = container_.request(batch);
    // Left by an interface of the same name and address: rules do not go with a link.
    if (!done && done.error().code != EEXIST) {
      return refused("adding the rule for " + address.text(), done.error());
    }
  }
  return {};
}

/// The end that was up first gets its carrier from the other, and the kernel gives it a queue only
/// later, in a worker: until then it drops what is sent, such as the answer to the container's
/// first packet. Linux 6.8 does that work when it is asked for the link; earlier ones are asked
/// until it is done. A worker that takes longer costs that packet, not the container.
void Ends::await_carrier(std::uint32_t index) {
  constexpr int questions = 100;
  constexpr timespec between{0, 500'000};
  for (int i = 0; i < questions; ++i) {
    netlink::Batch batch;
    batch.begin(RTM_GETLINK, 0, link_header(index, 0));
    batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    std::uint8_t state = operational;
    const auto done = host_.query(batch, [&](const netlink::Message& message) {
      if (const auto told = message.attributes<ifinfomsg>().find(IFLA_OPERSTATE))
        state = told->u8();
    });
    if (!done || state == operational) return;
    ::nanosleep(&between, nullptr);
  }
}

Result<void, Failure> Ends::attach(const Wiring& wiring) {
  const auto prepared = prepare_host(host_);
  if (!prepared) return failed(Code::internal, "preparing the host", prepared.error().message);
  const auto indexes = make_pair(wiring);
  if (!indexes) return indexes.error();
  auto done = wire_host(wiring, *indexes);
  if (done) done = wire_container(wiring, *indexes);
  if (done) {
    await_carrier(indexes->host);
    return {};
  }
  // All that was added hangs on the pair and goes with it.
  const auto undone = delete_host_veth(host_, wiring.host_ifname);
  if (undone) return done;
  Failure failure = done.error();
  failure.details =
      fmt::format("and {} could not be deleted: {}", wiring.host_ifname, undone.error().message);
  return failure;
}

Success described(const Wiring& wiring, const std::string& netns, const Dns& dns) {
  Success success;
  success.interfaces = {{wiring.host_ifname, text(host_mac), "", wiring.mtu},
                        {wiring.attachment.ifname, text(wiring.mac), netns, wiring.mtu}};
  for (const Address& address : addresses(wiring)) {
    const Address via = gateway(address.family());
    success.ips.push_back({address, bits(address.family()), via, 1});
    for (const Prefix& route : container_routes(wiring, address)) {
      success.routes.push_back({route, via});
    }
  }
  success.dns = dns;
  return success;
}

}  // namespace weft::cni
