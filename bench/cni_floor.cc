// cni_floor: what the kernel itself costs for one container, as a program that a runtime would
// execute: no JSON, no addresses to manage, nothing to undo. ADD makes a veth pair in place, with
// an IPv4 address, its routes and neighbours; DEL deletes it. Environment as CNI has it, and
// FLOOR_ADDRESS. Beside it stands what weft-cni and weftd add.
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "net/attachment.h"
#include "net/ip.h"
#include "net/netlink_socket.h"
#include "net/netns.h"

namespace {

using namespace weft;

constexpr std::uint16_t create = NLM_F_CREATE | NLM_F_EXCL;

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

[[noreturn]] void die(const std::string& why) {
  [[maybe_unused]] const auto written = ::write(2, why.data(), why.size());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe)
}

void must(const netlink::Outcome& outcome) {
  if (!outcome.ok()) die(outcome.first().message + "\n");
}

ifinfomsg link(std::uint32_t index, unsigned flags) {
  ifinfomsg head{};
  head.ifi_index = static_cast<int>(index);
  head.ifi_flags = flags;
  head.ifi_change = flags;
  return head;
}

void put_end(netlink::Batch& batch, const std::string& name, const Mac& mac) {
  batch.put_text(IFLA_IFNAME, name);
  batch.put(IFLA_ADDRESS, mac);
  batch.put_u32(IFLA_NUM_TX_QUEUES, 1);
  batch.put_u32(IFLA_NUM_RX_QUEUES, 1);
}

void put_route(netlink::Batch& batch, const Prefix& to, const Address* via, std::uint32_t index) {
  rtmsg head{};
  head.rtm_family = AF_INET;
  head.rtm_dst_len = static_cast<std::uint8_t>(to.length());
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_protocol = RTPROT_STATIC;
  head.rtm_scope = via != nullptr ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  head.rtm_type = RTN_UNICAST;
  batch.begin(RTM_NEWROUTE, create, head);
  if (to.length() != 0) batch.put_address(RTA_DST, to.address());
  if (via != nullptr) batch.put_address(RTA_GATEWAY, *via);
  batch.put_u32(RTA_OIF, index);
}

void put_neighbour(netlink::Batch& batch, const Address& address, const Mac& mac,
                   std::uint32_t index) {
  ndmsg head{};
  head.ndm_family = AF_INET;
  head.ndm_ifindex = static_cast<int>(index);
  head.ndm_state = NUD_PERMANENT;
  batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, head);
  batch.put_address(NDA_DST, address);
  batch.put(NDA_LLADDR, mac);
}

void add(const Attachment& attachment, const std::string& netns, const Address& address) {
  auto container = NetworkNamespace::open(netns);
  if (!container) die(container.error().message);
  auto host = netlink::Socket::open();
  if (!host) die(host.error().message);
  const auto bits = static_cast<std::uint32_t>(stable_hash(attachment.container) & 0x1fffffff);
  const std::uint32_t outer = (1U << 24) + bits * 2;
  const std::uint32_t inner = outer + 1;
  const Mac mac = container_mac(attachment);
  netlink::Batch pair;
  pair.begin(RTM_NEWLINK, create, link(outer, IFF_UP));
  put_end(pair, host_ifname(attachment), host_mac);
  const std::size_t info = pair.nest(IFLA_LINKINFO);
  pair.put_text(IFLA_INFO_KIND, "veth");
  const std::size_t data = pair.nest(IFLA_INFO_DATA);
  const std::size_t peer = pair.nest(VETH_INFO_PEER);
  pair.put_header(link(inner, 0));
  put_end(pair, attachment.ifname, mac);
  pair.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(container->fd()));
  pair.end_nest(peer);
  pair.end_nest(data);
  pair.end_nest(info);
  must(host->transact(pair));
  netlink::Batch outside;
  put_route(outside, Prefix::host(address), nullptr, outer);
  put_neighbour(outside, address, mac, outer);
  must(host->transact(outside, netlink::Batch::Ack::each));

  if (const auto entered = container->enter(); !entered) die(entered.error().message);
  auto socket = netlink::Socket::open();
  if (!socket) die(socket.error().message);
  const Address via = Address::ipv4(0xa9fe0101);
  netlink::Batch inside;
  inside.begin(RTM_SETLINK, 0, link(1, IFF_UP));
  inside.begin(RTM_SETLINK, 0, link(inner, IFF_UP));
  ifaddrmsg head{};
  head.ifa_family = AF_INET;
  head.ifa_prefixlen = 32;
  head.ifa_index = inner;
  inside.begin(RTM_NEWADDR, create, head);
  inside.put_address(IFA_LOCAL, address);
  inside.put_address(IFA_ADDRESS, address);
  put_neighbour(inside, via, host_mac, inner);
  put_route(inside, Prefix::host(via), nullptr, inner);
  put_route(inside, Prefix(), &via, inner);
  must(socket->transact(inside, netlink::Batch::Ack::each));
}

void remove(const Attachment& attachment) {
  auto host = netlink::Socket::open();
  if (!host) die(host.error().message);
  netlink::Batch batch;
  batch.begin(RTM_DELLINK, 0, ifinfomsg{});
  batch.put_text(IFLA_IFNAME, host_ifname(attachment));
  must(host->transact(batch));
}

}  // namespace

int main() {
  const Attachment attachment{"floor", variable("CNI_CONTAINERID"), variable("CNI_IFNAME")};
  if (variable("CNI_COMMAND") == "DEL") {
    remove(attachment);
    return 0;
  }
  const auto address = Address::parse(variable("FLOOR_ADDRESS"));
  if (!address) die(address.error().message);
  add(attachment, variable("CNI_NETNS"), *address);
  return 0;
}
