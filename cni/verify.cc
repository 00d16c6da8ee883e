#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "cni/attach.h"
#include "net/veth.h"

namespace weft::cni {

namespace {

Failure wrong(std::string message) {
  return {Code::check_failed, std::move(message), {}};
}

Result<std::vector<InterfaceAddress>, netlink::Refusal> list_addresses(netlink::Socket& socket,
                                                                       std::uint32_t index) {
  netlink::Batch batch;
  ifaddrmsg head{};
  head.ifa_index = index;
  batch.begin(RTM_GETADDR, 0, head);
  std::vector<InterfaceAddress> found;
  const auto done = socket.dump(
      batch,
      [&](const netlink::Message& message) {
        const auto entry = message.header<ifaddrmsg>();
        if (!entry || entry->ifa_index != index) return;
        const auto attributes = message.attributes<ifaddrmsg>();
        auto local = attributes.find(IFA_LOCAL);
        if (!local) local = attributes.find(IFA_ADDRESS);
        const auto address = local ? local->address() : std::nullopt;
        if (address) found.push_back({*address, entry->ifa_prefixlen, {}, {}});
      },
      [&] { found.clear(); });
  if (!done) return done.error();
  return found;
}

/// The main table's unicast routes over one link.
Result<std::vector<Route>, netlink::Refusal> list_routes(netlink::Socket& socket,
                                                         std::uint32_t index) {
  std::vector<Route> found;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    netlink::Batch batch;
    rtmsg head{};
    head.rtm_family = family == Family::ipv4 ? AF_INET : AF_INET6;
    head.rtm_table = RT_TABLE_MAIN;
    batch.begin(RTM_GETROUTE, 0, head);
    batch.put_u32(RTA_OIF, index);
    const std::size_t before = found.size();
    const auto done = socket.dump(
        batch,
        [&](const netlink::Message& message) {
          const auto entry = message.header<rtmsg>();
          if (!entry || entry->rtm_type != RTN_UNICAST || entry->rtm_table != RT_TABLE_MAIN) return;
          const auto attributes = message.attributes<rtmsg>();
          const auto device = attributes.find(RTA_OIF);
          if (!device || device->u32() != index) return;
          const auto destination = attributes.find(RTA_DST);
          const auto via = attributes.find(RTA_GATEWAY);
          const Address unspecified = family == Family::ipv4 ? Address() : Address::ipv6({});
          found.push_back(
              {Prefix(destination ? destination->address().value_or(unspecified) : unspecified,
                      entry->rtm_dst_len),
               via ? via->address() : std::nullopt});
        },
        [&] { found.resize(before); });
    if (!done) return done.error();
  }
  return found;
}

template <typename T>
bool contains(const std::vector<T>& list, const T& wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

/// One end: the link itself, the addresses and the routes it must have.
Result<void, Failure> verify_end(netlink::Socket& socket, const Interface& wanted,
                                 const std::vector<InterfaceAddress>& addresses,
                                 const std::vector<Route>& routes) {
  const auto link = find_link(socket, wanted.name);
  if (!link) return wrong(fmt::format("{}: {}", wanted.name, link.error().message));
  if (!*link) return wrong(fmt::format("{} is missing", wanted.name));
  if (!(*link)->up) return wrong(fmt::format("{} is down", wanted.name));
  if (text((*link)->mac) != wanted.mac) {
    return wrong(fmt::format("{} has the MAC address {} instead of {}", wanted.name,
                             text((*link)->mac), wanted.mac));
  }
  const auto found = list_addresses(socket, (*link)->index);
  if (!found) return wrong(fmt::format("addresses of {}: {}", wanted.name, found.error().message));
  for (const InterfaceAddress& address : addresses) {
    if (!contains(*found, address)) {
      return wrong(fmt::format("{} has no address {}/{}", wanted.name, address.address.text(),
                               address.length));
    }
  }
  const auto present = list_routes(socket, (*link)->index);
  if (!present) return wrong(fmt::format("routes of {}: {}", wanted.name, present.error().message));
  for (const Route& route : routes) {
    if (!contains(*present, route)) {
      return wrong(fmt::format("the route {}{} dev {} is missing", route.destination.text(),
                               route.gateway ? " via " + route.gateway->text() : "", wanted.name));
    }
  }
  return {};
}

}  // namespace

Result<void, Failure> Ends::verify(const Wiring& wiring) {
  const Success whole = described(wiring, "", {});
  std::vector<InterfaceAddress> inside_addresses;
  std::vector<InterfaceAddress> host_addresses;
  std::vector<Route> inside_routes = whole.routes;
  std::vector<Route> host_routes;
  for (const InterfaceAddress& ip : whole.ips) {
    inside_addresses.push_back({ip.address, ip.length, {}, {}});
    host_routes.push_back({Prefix::host(ip.address), {}});
    if (ip.address.is_v4() && wiring.default_ipv4 == DefaultRoute::held) {
      inside_routes.push_back({Prefix::host(gateway(Family::ipv4)), {}});
    }
    if (ip.address.is_v6()) host_addresses.push_back({gateway(Family::ipv6), 64, {}, {}});
  }
  auto good = verify_end(host_, whole.interfaces[0], host_addresses, host_routes);
  if (!good) return good;
  return verify_end(container_, whole.interfaces[1], inside_addresses, inside_routes);
}

}  // namespace weft::cni
