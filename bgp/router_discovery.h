// RouterDiscovery: router solicitations and advertisements (RFC 4861 4.1, 4.2, 6), by which the two
// ends of an unnumbered link find each other's link-local address. Pure: when to send what, and
// what was heard. We advertise a router lifetime of 0: we are a neighbour, never anybody's default
// router. Not here: the ICMPv6 socket (router_socket.h), what the speaker does with the neighbour.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "net/bytes.h"
#include "net/ip.h"
#include "net/time.h"

namespace weft::bgp {

/// RFC 4861 4.1 and 4.2: ICMPv6 types.
enum class RouterMessage : std::uint8_t { solicitation = 133, advertisement = 134 };

/// Octets of the longest message that is looked at; a longer one is dropped.
inline constexpr std::size_t max_router_message = 1500;

/// An ICMPv6 message from its type octet on. None: not valid (RFC 4861 6.1.1, 6.1.2), to be dropped
/// without a word. The checksum is the kernel's business.
std::optional<RouterMessage> decode_router_message(Bytes message);
/// Checksum 0: the kernel fills it in.
std::vector<std::byte> encode_router_message(RouterMessage message);

class RouterDiscovery {
 public:
  /// RFC 4861 6.2.1 MaxRtrAdvInterval, shortened by up to a quarter at random; what FRR uses on
  /// unnumbered links.
  static constexpr std::chrono::seconds interval{10};
  /// So many advertisements, and solicitations while nobody answers, begin a link, 1 s apart.
  static constexpr unsigned initial_count = 3;
  static constexpr std::chrono::seconds initial_interval{1};
  /// Between two advertisements, however often somebody solicits.
  static constexpr std::chrono::milliseconds min_delay{500};

  explicit RouterDiscovery(std::uint32_t seed) : random_(seed) {}

  struct Send {
    std::uint32_t ifindex = 0;
    RouterMessage message = RouterMessage::advertisement;
  };

  /// The whole list of links on which we are to be found, each time it changes: up, and with a
  /// link-local address of ours.
  void links(const std::vector<std::uint32_t>& ifindexes, Time now);
  /// A message came in. The neighbour it is from; none: not valid, no advertisement, or no link of
  /// ours. `hop_limit` as the packet had it on arrival: 255 or it was forwarded (RFC 4861 6.1).
  [[nodiscard]] std::optional<Address> heard(std::uint32_t ifindex, const Address& from,
                                             int hop_limit, Bytes message, Time now);
  /// What is to be sent now.
  [[nodiscard]] std::vector<Send> due(Time now);
  /// Time::max() without links.
  [[nodiscard]] Time deadline() const;

 private:
  struct Link {
    Time next;
    /// The last advertisement; Time::min() before the first.
    Time last = Time::min();
    unsigned begun = 0;
    bool answered = false;
  };
  std::map<std::uint32_t, Link> links_;
  std::minstd_rand random_;
};

}  // namespace weft::bgp
