#include "bgp/router_discovery.h"

#include <algorithm>

#include "bgp/fsm.h"

namespace weft::bgp {
namespace {

constexpr std::size_t solicitation_size = 8;
constexpr std::size_t advertisement_size = 16;
constexpr int never_forwarded = 255;

/// RFC 4861 6.1: each option has a length, in units of 8 octets, that is not zero and fits.
bool options_fit(Reader options) {
  while (!options.empty()) {
    options.u8();
    const std::size_t size = std::size_t{8} * options.u8();
    if (!options.ok() || size == 0) return false;
    options.take(size - 2);
    if (!options.ok()) return false;
  }
  return true;
}

}  // namespace

std::optional<RouterMessage> decode_router_message(Bytes message) {
  if (message.size() > max_router_message) return std::nullopt;
  Reader in(message);
  const auto type = static_cast<RouterMessage>(in.u8());
  const std::uint8_t code = in.u8();
  const bool advertisement = type == RouterMessage::advertisement;
  if (!advertisement && type != RouterMessage::solicitation) return std::nullopt;
  in.take((advertisement ? advertisement_size : solicitation_size) - 2);
  if (!in.ok() || code != 0 || !options_fit(in)) return std::nullopt;
  return type;
}

std::vector<std::byte> encode_router_message(RouterMessage message) {
  std::vector<std::byte> bytes(message == RouterMessage::advertisement ? advertisement_size
                                                                       : solicitation_size);
  // All else is zero: hop limit and timers "unspecified", no flags, and a router lifetime of 0, so
  // that no host takes us for its default router.
  bytes[0] = static_cast<std::byte>(message);
  return bytes;
}

void RouterDiscovery::links(const std::vector<std::uint32_t>& ifindexes, Time now) {
  std::erase_if(links_, [&](const auto& known) {
    return std::find(ifindexes.begin(), ifindexes.end(), known.first) == ifindexes.end();
  });
  for (const std::uint32_t ifindex : ifindexes) links_.try_emplace(ifindex, Link{.next = now});
}

std::optional<Address> RouterDiscovery::heard(std::uint32_t ifindex, const Address& from,
                                              int hop_limit, Bytes message, Time now) {
  const auto link = links_.find(ifindex);
  if (link == links_.end() || hop_limit != never_forwarded) return std::nullopt;
  const auto type = decode_router_message(message);
  if (!type) return std::nullopt;
  if (*type == RouterMessage::solicitation) {
    link->second.next = std::min(link->second.next, std::max(now, link->second.last + min_delay));
    return std::nullopt;
  }
  if (!from.is_v6() || !from.is_link_local()) return std::nullopt;
  link->second.answered = true;
  return from;
}

std::vector<RouterDiscovery::Send> RouterDiscovery::due(Time now) {
  std::vector<Send> sends;
  for (auto& [ifindex, link] : links_) {
    if (now < link.next) continue;
    if (link.begun < initial_count && !link.answered)
      sends.push_back({ifindex, RouterMessage::solicitation});
    sends.push_back({ifindex, RouterMessage::advertisement});
    link.last = now;
    link.begun = std::min(link.begun + 1, initial_count);
    link.next = now + (link.begun < initial_count ? Clock::duration(initial_interval)
                                                  : jittered(interval, random_));
  }
  return sends;
}

Time RouterDiscovery::deadline() const {
  Time next = Time::max();
  for (const auto& [ifindex, link] : links_) next = std::min(next, link.next);
  return next;
}

}  // namespace weft::bgp
