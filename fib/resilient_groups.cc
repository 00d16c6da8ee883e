#include "fib/resilient_groups.h"

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "fib/nexthops.h"
#include "fib/rtnetlink.h"
#include "fib/settings.h"
#include "net/netlink_socket.h"

namespace weft::fib {

bool has_resilient_groups() {
  // The last ids of our own ranges, which are given out from the first on.
  constexpr std::uint32_t single = first_group_id - 1;
  constexpr std::uint32_t group = last_id;
  auto socket = netlink::Socket::open();
  if (!socket) return true;
  netlink::Batch request;
  nhmsg message{};
  message.nh_family = AF_INET;
  message.nh_protocol = route_protocol;
  request.begin(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL, message);
  request.put_u32(NHA_ID, single);
  request.put(NHA_BLACKHOLE, {});
  if (const auto made = socket->request(request); !made) return true;
  request.clear();
  NextHopObject object;
  object.id = group;
  object.protocol = route_protocol;
  object.members = {{single, 1}};
  object.resilience = Resilience{8, std::chrono::seconds(1), std::chrono::seconds(0)};
  put(request, object, Mode::create);
  const auto made = socket->request(request);
  request.clear();
  remove_nexthop(request, single);  // and the group with it
  static_cast<void>(socket->request(request));
  // An older kernel knows neither the type nor, before that, groups at all.
  return made || (made.error().code != EINVAL && made.error().code != EOPNOTSUPP);
}

}  // namespace weft::fib
