#include "fib/rtnetlink.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include <cassert>

namespace weft::fib {

namespace {

/// clock_t as user space knows it (USER_HZ), on every architecture of Debian.
constexpr std::int64_t ticks_a_second = 100;
constexpr std::uint8_t inet = 2;    // AF_INET
constexpr std::uint8_t inet6 = 10;  // AF_INET6

std::uint8_t af(Family family) {
  return family == Family::ipv4 ? inet : inet6;
}

std::uint16_t flags(Mode mode) {
  switch (mode) {
    case Mode::create:
      return NLM_F_CREATE | NLM_F_EXCL;
    case Mode::create_replace:
      return NLM_F_CREATE | NLM_F_REPLACE;
    case Mode::replace:
      return NLM_F_REPLACE;
  }
  return 0;
}

rtmsg head(const Route& route) {
  rtmsg head{};
  head.rtm_family = af(route.prefix.family());
  head.rtm_dst_len = static_cast<std::uint8_t>(route.prefix.length());
  head.rtm_protocol = route.protocol;
  // Tables above 255 fit into the attribute alone.
  head.rtm_table = static_cast<std::uint8_t>(route.table < 256 ? route.table : 0);
  return head;
}

void put_identity(netlink::Batch& batch, const Route& route) {
  if (route.prefix.length() > 0) batch.put_address(RTA_DST, route.prefix.address());
  if (route.table > 255) batch.put_u32(RTA_TABLE, route.table);
  if (route.metric != 0) batch.put_u32(RTA_PRIORITY, route.metric);
}

std::optional<Prefix> prefix_of(std::uint8_t family, const std::optional<netlink::Attribute>& at,
                                unsigned length) {
  if (family != inet && family != inet6) return std::nullopt;
  Address address = family == inet ? Address{} : Address::ipv6({});
  if (at) {
    const auto given = at->address();
    if (!given || given->family() != address.family()) return std::nullopt;
    address = *given;
  }
  if (length > bits(address.family())) return std::nullopt;
  return Prefix(address, length);
}

/// Room for 16-bit weights came with Linux 6.12, in what was reserved before.
Member member_of(const nexthop_grp& entry) {
  const unsigned high = entry.resvd1;
  return {entry.id, static_cast<std::uint16_t>(high * 256U + entry.weight + 1U)};
}

Resilience resilience_of(const netlink::Attribute& group) {
  Resilience found;
  for (const netlink::Attribute attribute : netlink::Attributes(group.payload())) {
    if (attribute.type() == NHA_RES_GROUP_BUCKETS) found.buckets = attribute.u16();
    if (attribute.type() == NHA_RES_GROUP_IDLE_TIMER) {
      found.idle_time = std::chrono::seconds(attribute.u32() / ticks_a_second);
    }
    if (attribute.type() == NHA_RES_GROUP_UNBALANCED_TIMER) {
      found.unbalanced_time = std::chrono::seconds(attribute.u32() / ticks_a_second);
    }
  }
  return found;
}

}  // namespace

void put(netlink::Batch& batch, const Route& route, Mode mode) {
  rtmsg message = head(route);
  message.rtm_type = static_cast<std::uint8_t>(route.type);
  message.rtm_scope = route.scope;
  const bool exclusive = mode == Mode::create;
  batch.begin(RTM_NEWROUTE, flags(exclusive ? Mode::create : Mode::create_replace), message);
  put_identity(batch, route);
  if (route.nexthop_id != 0) batch.put_u32(RTA_NH_ID, route.nexthop_id);
  if (route.ifindex != 0) batch.put_u32(RTA_OIF, route.ifindex);
  if (route.preferred_source) batch.put_address(RTA_PREFSRC, *route.preferred_source);
  if (route.mtu == 0) return;
  const std::size_t metrics = batch.nest(RTA_METRICS);
  batch.put_u32(RTAX_MTU, route.mtu);
  batch.end_nest(metrics);
}

void remove(netlink::Batch& batch, const Route& route) {
  rtmsg message = head(route);
  message.rtm_scope = RT_SCOPE_NOWHERE;  // any
  batch.begin(RTM_DELROUTE, 0, message);
  put_identity(batch, route);
}

void put(netlink::Batch& batch, const NextHopObject& object, Mode mode) {
  nhmsg message{};
  message.nh_protocol = object.protocol;
  if (!object.is_group()) message.nh_family = af(object.gateway.family());
  if (object.onlink) message.nh_flags = RTNH_F_ONLINK;
  batch.begin(RTM_NEWNEXTHOP, flags(mode), message);
  batch.put_u32(NHA_ID, object.id);
  if (!object.is_group()) {
    batch.put_u32(NHA_OIF, object.ifindex);
    batch.put_address(NHA_GATEWAY, object.gateway);
    return;
  }
  std::vector<nexthop_grp> entries;
  entries.reserve(object.members.size());
  for (const Member& member : object.members) {
    assert(member.weight > 0 && member.weight <= largest_weight);
    nexthop_grp entry{};
    entry.id = member.id;
    entry.weight = static_cast<std::uint8_t>(member.weight - 1);
    entries.push_back(entry);
  }
  batch.put(NHA_GROUP, std::as_bytes(std::span(entries)));
  if (!object.resilience) return;
  batch.put_u16(NHA_GROUP_TYPE, NEXTHOP_GRP_TYPE_RES);
  const std::size_t nest = batch.nest(NHA_RES_GROUP | NLA_F_NESTED);
  batch.put_u16(NHA_RES_GROUP_BUCKETS, object.resilience->buckets);
  batch.put_u32(NHA_RES_GROUP_IDLE_TIMER,
                static_cast<std::uint32_t>(object.resilience->idle_time.count() * ticks_a_second));
  batch.put_u32(
      NHA_RES_GROUP_UNBALANCED_TIMER,
      static_cast<std::uint32_t>(object.resilience->unbalanced_time.count() * ticks_a_second));
  batch.end_nest(nest);
}

void remove_nexthop(netlink::Batch& batch, std::uint32_t id) {
  batch.begin(RTM_DELNEXTHOP, 0, nhmsg{});
  batch.put_u32(NHA_ID, id);
}

void dump_routes(netlink::Batch& batch, Family family, std::uint32_t table, std::uint8_t protocol) {
  rtmsg message{};
  message.rtm_family = af(family);
  message.rtm_protocol = protocol;
  batch.begin(RTM_GETROUTE, 0, message);
  if (table != 0) batch.put_u32(RTA_TABLE, table);
}

void dump_nexthops(netlink::Batch& batch) {
  batch.begin(RTM_GETNEXTHOP, 0, nhmsg{});
}

void dump_links(netlink::Batch& batch) {
  batch.begin(RTM_GETLINK, 0, ifinfomsg{});
}

void dump_addresses(netlink::Batch& batch) {
  batch.begin(RTM_GETADDR, 0, ifaddrmsg{});
}

std::optional<Route> parse_route(const netlink::Message& message) {
  const auto header = message.header<rtmsg>();
  if (!header || (header->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  if (header->rtm_type != RTN_UNICAST && header->rtm_type < RTN_BLACKHOLE) return std::nullopt;
  Route route;
  route.table = header->rtm_table;
  route.protocol = header->rtm_protocol;
  route.type = static_cast<RouteType>(header->rtm_type);
  route.scope = header->rtm_scope;
  std::optional<netlink::Attribute> destination;
  for (const netlink::Attribute attribute : message.attributes<rtmsg>()) {
    switch (attribute.type()) {
      case RTA_DST:
        destination = attribute;
        break;
      case RTA_TABLE:
        route.table = attribute.u32();
        break;
      case RTA_PRIORITY:
        route.metric = attribute.u32();
        break;
      case RTA_NH_ID:
        route.nexthop_id = attribute.u32();
        break;
      case RTA_OIF:
        route.ifindex = attribute.u32();
        break;
      case RTA_PREFSRC:
        route.preferred_source = attribute.address();
        break;
      case RTA_METRICS:
        for (const netlink::Attribute metric : netlink::Attributes(attribute.payload())) {
          if (metric.type() == RTAX_MTU) route.mtu = metric.u32();
        }
        break;
      default:
        break;
    }
  }
  if (route.nexthop_id != 0) route.ifindex = 0;  // as spells_out_nexthops() has it
  const auto prefix = prefix_of(header->rtm_family, destination, header->rtm_dst_len);
  if (!prefix) return std::nullopt;
  route.prefix = *prefix;
  return route;
}

bool spells_out_nexthops(const netlink::Message& route) {
  for (const netlink::Attribute attribute : route.attributes<rtmsg>()) {
    if (attribute.type() == RTA_OIF || attribute.type() == RTA_MULTIPATH) return true;
  }
  return false;
}

std::optional<NextHopObject> parse_nexthop(const netlink::Message& message) {
  const auto header = message.header<nhmsg>();
  if (!header) return std::nullopt;
  NextHopObject object;
  object.protocol = header->nh_protocol;
  object.onlink = (header->nh_flags & RTNH_F_ONLINK) != 0;
  for (const netlink::Attribute attribute : message.attributes<nhmsg>()) {
    switch (attribute.type()) {
      case NHA_ID:
        object.id = attribute.u32();
        break;
      case NHA_OIF:
        object.ifindex = attribute.u32();
        break;
      case NHA_GATEWAY:
        object.gateway = attribute.address().value_or(Address{});
        break;
      case NHA_RES_GROUP:
        object.resilience = resilience_of(attribute);
        break;
      case NHA_GROUP:
        for (Bytes rest = attribute.payload(); rest.size() >= sizeof(nexthop_grp);
             rest = rest.subspan(sizeof(nexthop_grp))) {
          object.members.push_back(member_of(netlink::Attribute(0, rest).raw<nexthop_grp>()));
        }
        break;
      default:
        break;
    }
  }
  if (object.id == 0) return std::nullopt;
  return object;
}

std::optional<Link> parse_link(const netlink::Message& message) {
  const auto header = message.header<ifinfomsg>();
  if (!header || header->ifi_family != 0 || header->ifi_index <= 0) return std::nullopt;
  Link link;
  link.ifindex = static_cast<std::uint32_t>(header->ifi_index);
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.carrier = (header->ifi_flags & IFF_LOWER_UP) != 0;
  link.loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
  for (const netlink::Attribute attribute : message.attributes<ifinfomsg>()) {
    if (attribute.type() == IFLA_IFNAME) link.name = attribute.text();
    if (attribute.type() == IFLA_MTU) link.mtu = attribute.u32();
  }
  return link;
}

std::optional<ConnectedSubnet> parse_address(const netlink::Message& message) {
  const auto header = message.header<ifaddrmsg>();
  if (!header) return std::nullopt;
  std::uint32_t flags = header->ifa_flags;
  std::optional<netlink::Attribute> local;
  std::optional<netlink::Attribute> peer;
  for (const netlink::Attribute attribute : message.attributes<ifaddrmsg>()) {
    if (attribute.type() == IFA_LOCAL) local = attribute;
    if (attribute.type() == IFA_ADDRESS) peer = attribute;
    if (attribute.type() == IFA_FLAGS) flags = attribute.u32();
  }
  if ((flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0) return std::nullopt;
  const auto address = local ? local->address() : peer ? peer->address() : std::nullopt;
  const auto prefix = prefix_of(header->ifa_family, peer ? peer : local, header->ifa_prefixlen);
  if (!address || !prefix || address->family() != prefix->family()) return std::nullopt;
  return ConnectedSubnet{*address, *prefix, header->ifa_index};
}

}  // namespace weft::fib
