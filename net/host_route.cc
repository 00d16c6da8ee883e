#include "net/host_route.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace weft {

Result<std::optional<HostRoute>, netlink::Refusal> find_host_route(netlink::Socket& socket,
                                                                   const Address& address) {
  netlink::Batch batch;
  rtmsg head{};
  head.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  head.rtm_dst_len = static_cast<std::uint8_t>(bits(address.family()));
  // The route as it stands in the table, not as the packet would go.
  head.rtm_flags = RTM_F_FIB_MATCH;
  batch.begin(RTM_GETROUTE, 0, head);
  batch.put_address(RTA_DST, address);
  std::optional<HostRoute> found;
  const auto done = socket.query(batch, [&](const netlink::Message& message) {
    const auto route = message.header<rtmsg>();
    if (!route || route->rtm_dst_len != bits(address.family())) return;
    if (route->rtm_type != RTN_UNICAST && route->rtm_type != RTN_LOCAL) return;
    found = HostRoute{route->rtm_type == RTN_LOCAL, route->rtm_protocol, 0};
    const auto device = message.attributes<rtmsg>().find(RTA_OIF);
    if (device) found->ifindex = device->u32();
  });
  if (done) return found;
  // No route, a blackhole, unreachable, prohibited.
  constexpr std::array nowhere{ENETUNREACH, EINVAL, EHOSTUNREACH, EACCES, ESRCH};
  if (std::find(nowhere.begin(), nowhere.end(), done.error().code) != nowhere.end()) {
    return std::optional<HostRoute>();
  }
  return done.error();
}

}  // namespace weft
