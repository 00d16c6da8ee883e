#include "net/veth.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "net/fd.h"

namespace weft {

namespace {

constexpr std::uint32_t loopback_index = 1;

std::uint8_t kernel_family(Family family) {
  return family == Family::ipv4 ? AF_INET : AF_INET6;
}

/// Written only when it is off: turning it on walks every interface.
Result<void> ensure_forwarding(const char* path) {
  const auto failure = [&] { return Error{std::string(path) + ": " + std::strerror(errno)}; };
  const Fd fd(::open(path, O_RDWR | O_CLOEXEC));
  // A kernel without the family has no containers of it.
  if (!fd) return errno == ENOENT ? Result<void>() : failure();
  char value = '0';
  if (::read(fd.get(), &value, 1) != 1) return failure();
  if (value == '0' && ::pwrite(fd.get(), "1", 1, 0) != 1) return failure();
  return {};
}

Link parse_link(const netlink::Message& message) {
  Link link;
  const auto head = message.header<ifinfomsg>();
  if (!head) return link;
  link.index = static_cast<std::uint32_t>(head->ifi_index);
  link.up = (head->ifi_flags & IFF_UP) != 0;
  for (const netlink::Attribute attribute : message.attributes<ifinfomsg>()) {
    switch (attribute.type()) {
      case IFLA_IFNAME:
        link.name = attribute.text();
        break;
      case IFLA_IFALIAS:
        link.alias = attribute.text();
        break;
      case IFLA_MTU:
        link.mtu = attribute.u32();
        break;
      case IFLA_LINK:
        link.peer_index = attribute.u32();
        break;
      case IFLA_ADDRESS:
        link.mac = attribute.raw<Mac>();
        break;
      default:
        break;
    }
  }
  return link;
}

std::optional<ContainerRoute> parse_container_route(const netlink::Message& message) {
  const auto head = message.header<rtmsg>();
  if (!head || head->rtm_protocol != container_route_protocol || head->rtm_type != RTN_UNICAST) {
    return std::nullopt;
  }
  const auto attributes = message.attributes<rtmsg>();
  const auto destination = attributes.find(RTA_DST);
  const auto device = attributes.find(RTA_OIF);
  const bool indirect = attributes.find(RTA_GATEWAY) || attributes.find(RTA_NH_ID);
  if (!destination || !destination->address() || !device || indirect) return std::nullopt;
  const Prefix prefix(*destination->address(), head->rtm_dst_len);
  if (!prefix.is_host()) return std::nullopt;
  return ContainerRoute{prefix, device->u32()};
}

}  // namespace

Address gateway(Family family) {
  if (family == Family::ipv4) return Address::ipv4(0xa9fe0101);
  std::array<std::byte, 16> octets{std::byte{0xfe}, std::byte{0x80}};
  octets[15] = std::byte{1};
  return Address::ipv6(octets);
}

Result<void> prepare_host(netlink::Socket& host) {
  for (const char* path :
       {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}) {
    auto done = ensure_forwarding(path);
    if (!done) return done;
  }
  netlink::Batch batch;
  put_container_route(batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, gateway(Family::ipv4),
                      loopback_index);
  const auto done = host.request(batch);
  if (!done && done.error().code != EEXIST) {
    return done.error().error().within("adding the route 169.254.1.1/32 dev lo");
  }
  return {};
}

Result<std::optional<Link>, netlink::Refusal> find_link(netlink::Socket& socket,
                                                        const std::string& name) {
  netlink::Batch batch;
  batch.begin(RTM_GETLINK, 0, ifinfomsg{});
  batch.put_text(IFLA_IFNAME, name);
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::optional<Link> link;
  const auto done =
      socket.query(batch, [&](const netlink::Message& message) { link = parse_link(message); });
  if (!done && done.error().code != ENODEV) return done.error();
  return link;
}

Result<std::vector<Link>, netlink::Refusal> list_links(netlink::Socket& socket) {
  netlink::Batch batch;
  batch.begin(RTM_GETLINK, 0, ifinfomsg{});
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::vector<Link> links;
  const auto done = socket.dump(
      batch, [&](const netlink::Message& message) { links.push_back(parse_link(message)); },
      [&] { links.clear(); });
  if (!done) return done.error();
  return links;
}

Result<void, netlink::Refusal> rename_link(netlink::Socket& socket, std::uint32_t index,
                                           const std::string& name) {
  netlink::Batch batch;
  ifinfomsg head{};
  head.ifi_index = static_cast<int>(index);
  batch.begin(RTM_SETLINK, 0, head);
  batch.put_text(IFLA_IFNAME, name);
  return socket.request(batch);
}

Result<void, netlink::Refusal> set_link_alias(netlink::Socket& socket, std::uint32_t index,
                                              const std::string& alias) {
  netlink::Batch batch;
  ifinfomsg head{};
  head.ifi_index = static_cast<int>(index);
  batch.begin(RTM_SETLINK, 0, head);
  batch.put_text(IFLA_IFALIAS, alias);
  return socket.request(batch);
}

Result<std::vector<ContainerRoute>, netlink::Refusal> list_container_routes(
    netlink::Socket& socket) {
  std::vector<ContainerRoute> routes;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    netlink::Batch batch;
    rtmsg head{};
    head.rtm_family = kernel_family(family);
    head.rtm_protocol = container_route_protocol;
    head.rtm_table = RT_TABLE_MAIN;
    batch.begin(RTM_GETROUTE, 0, head);
    const std::size_t before = routes.size();
    const auto done = socket.dump(
        batch,
        [&](const netlink::Message& message) {
          if (const auto route = parse_container_route(message)) routes.push_back(*route);
        },
        [&] { routes.resize(before); });
    if (!done) return done.error();
  }
  return routes;
}

void put_container_route(netlink::Batch& batch, std::uint16_t type, std::uint16_t flags,
                         const Address& address, std::uint32_t ifindex) {
  rtmsg head{};
  head.rtm_family = kernel_family(address.family());
  head.rtm_dst_len = static_cast<std::uint8_t>(bits(address.family()));
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_protocol = container_route_protocol;
  head.rtm_scope = RT_SCOPE_LINK;
  head.rtm_type = RTN_UNICAST;
  batch.begin(type, flags, head);
  batch.put_address(RTA_DST, address);
  batch.put_u32(RTA_OIF, ifindex);
}

bool is_host_veth(const Link& link) {
  return link.alias.empty() || link.alias.rfind("weft:", 0) == 0;
}

Result<bool, netlink::Refusal> delete_host_veth(netlink::Socket& socket, const std::string& name) {
  const auto link = find_link(socket, name);
  if (!link) return link.error();
  if (!*link || !is_host_veth(**link)) return false;
  netlink::Batch batch;
  ifinfomsg head{};
  head.ifi_index = static_cast<int>((*link)->index);
  batch.begin(RTM_DELLINK, 0, head);
  const auto done = socket.request(batch);
  if (done) return true;
  if (done.error().code == ENODEV) return false;
  return done.error();
}

}  // namespace weft
