// RouterSocket: the raw ICMPv6 socket and the timer of RouterDiscovery. All it does is wait, read
// the clock and call the core. One socket for all links; opened when the first link is asked for,
// because only unnumbered peers need CAP_NET_RAW. RFC 4861; one thread: that of the io_context.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "net/ip.h"
#include "net/result.h"

namespace boost::asio {
class io_context;
}

namespace weft::bgp {

class RouterSocket {
 public:
  /// A router on the link `ifindex` has the link-local address.
  using Found = std::function<void(std::uint32_t ifindex, const Address& router)>;
  RouterSocket(boost::asio::io_context& io, Found found);
  ~RouterSocket();
  RouterSocket(const RouterSocket&) = delete;
  RouterSocket& operator=(const RouterSocket&) = delete;

  /// See RouterDiscovery::links(). An error: no socket to be had; the next call tries again.
  [[nodiscard]] Result<void> links(const std::vector<std::uint32_t>& ifindexes);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace weft::bgp
