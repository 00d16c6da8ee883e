// inject N NETNS ADDRESS: waits on ADDRESS:179 for the daemon under test, speaks BGP to it, sends N
// IPv4 routes, ten to an UPDATE as a router's table comes, and prints the seconds from the first
// octet of them until all N are in the kernel of the network namespace NETNS; then, when a line
// comes on its input, closes the session and prints the seconds until they have left the kernel.
// The daemon may be any that connects to AS 4200000001.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bgp/attributes.h"
#include "bgp/message.h"
#include "bgp/update.h"
#include "net/fd.h"
#include "net/netlink_socket.h"
#include "net/netns.h"
#include "net/time.h"

namespace {

using namespace weft;
using std::chrono::seconds;

constexpr std::size_t routes_per_update = 10;
constexpr std::uint32_t first_prefix = 0x0b000000;
constexpr seconds patience{180};

[[noreturn]] void fail(const std::string& what) {
  fmt::print(stderr, "inject: {}\n", what);
  std::exit(1);
}

Prefix nth(std::uint32_t i) {
  return {Address::ipv4(first_prefix + (i << 6U)), 26};
}

Fd accepted(const std::string& address) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  const int ttl = 255;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(listener.get(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_port = htons(179);
  if (inet_pton(AF_INET, address.c_str(), &local.sin_addr) != 1)
    fail(address + " is no IPv4 address");
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0 ||
      ::listen(listener.get(), 1) != 0) {
    fail(fmt::format("{}:179: {}", address, std::strerror(errno)));
  }
  pollfd waiting{listener.get(), POLLIN, 0};
  if (::poll(&waiting, 1, 60'000) != 1) fail("nobody connected within a minute");
  return Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

void send_all(int socket, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) fail(fmt::format("the daemon closed the session: {}", std::strerror(errno)));
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

/// Whole messages until one of `type` has come.
void await(int socket, std::vector<std::byte>& buffer, bgp::MessageType type) {
  for (;;) {
    while (buffer.size() >= 19) {
      const auto size = static_cast<std::size_t>(Reader(Bytes(buffer).subspan(16)).u16());
      if (buffer.size() < size || size < 19) break;
      const auto found = static_cast<bgp::MessageType>(buffer[18]);
      buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
      if (found == type) return;
      if (found == bgp::MessageType::notification) fail("the daemon answered with a NOTIFICATION");
    }
    std::array<std::byte, 4096> chunk{};
    const ssize_t got = ::recv(socket, chunk.data(), chunk.size(), 0);
    if (got <= 0) fail("the daemon closed the session");
    buffer.insert(buffer.end(), chunk.begin(), chunk.begin() + got);
  }
}

/// As a router's table: ten prefixes share their attributes, the next ten have others.
std::vector<std::byte> table(std::uint32_t count, const std::string& address) {
  bgp::Negotiated negotiated;
  negotiated.four_octet_as = true;
  const bgp::AfiSafi family = bgp::unicast(Family::ipv4);
  negotiated.families.push_back({family});
  bgp::PathNextHop next_hop;
  next_hop.address = *Address::parse(address);
  std::vector<std::byte> out;
  for (std::uint32_t i = 0; i < count; i += routes_per_update) {
    bgp::Attributes attributes;
    attributes.origin = bgp::Origin::igp;
    attributes.as_path = bgp::AsPath::sequence(
        {bgp::Asn{4200000001}, bgp::Asn{64512 + i / 10 % 1000}, bgp::Asn{100'000 + i / 10}});
    std::vector<std::byte> encoded;
    bgp::encode_attributes(attributes, true, encoded);
    std::vector<bgp::Nlri> nlri;
    for (std::uint32_t j = i; j < count && j < i + routes_per_update; ++j) nlri.push_back({nth(j)});
    bgp::encode_announcement(family, next_hop, encoded, nlri, negotiated, out);
  }
  return out;
}

/// Routes of ours in the kernel: those of length 26.
std::size_t installed(netlink::Socket& socket) {
  std::size_t count = 0;
  netlink::Batch batch;
  rtmsg filter{};
  filter.rtm_family = AF_INET;
  filter.rtm_table = RT_TABLE_MAIN;
  batch.begin(RTM_GETROUTE, 0, filter);
  const auto dumped = socket.dump(
      batch,
      [&](const netlink::Message& message) {
        if (const auto route = message.header<rtmsg>(); route && route->rtm_dst_len == 26) ++count;
      },
      [&] { count = 0; });
  return dumped ? count : 0;
}

bool has(netlink::Socket& socket, const Prefix& prefix) {
  netlink::Batch batch;
  rtmsg wanted{};
  wanted.rtm_family = AF_INET;
  wanted.rtm_dst_len = 32;
  wanted.rtm_flags = RTM_F_FIB_MATCH;
  batch.begin(RTM_GETROUTE, 0, wanted);
  batch.put_address(RTA_DST, prefix.address());
  bool found = false;
  const auto asked = socket.query(batch, [&](const netlink::Message& message) {
    const auto route = message.header<rtmsg>();
    found = route && route->rtm_dst_len == 26;
  });
  return asked && found;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint32_t count = 0;
  if (argc == 4) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), count);
  if (count == 0) fail("usage: inject N NETNS ADDRESS");
  const std::string address = argv[3];
  const Fd session = accepted(address);

  bgp::Open open;
  open.asn = bgp::Asn{4200000001};
  open.hold_time = seconds(240);
  open.id = bgp::RouterId{0x0a0a0a0a};
  open.capabilities.four_octet_as = open.asn;
  open.capabilities.families.push_back(bgp::unicast(Family::ipv4));
  std::vector<std::byte> out;
  bgp::encode(open, out);
  bgp::encode(bgp::Keepalive{}, out);
  send_all(session.get(), out);
  std::vector<std::byte> input;
  await(session.get(), input, bgp::MessageType::open);
  await(session.get(), input, bgp::MessageType::keepalive);

  const std::vector<std::byte> updates = table(count, address);
  const auto netns = NetworkNamespace::open(argv[2]);
  if (!netns || !netns->enter()) fail(fmt::format("no namespace {}", argv[2]));
  auto kernel = netlink::Socket::open();
  if (!kernel) fail(kernel.error().message);
  kernel->receive_buffer(16 * 1024 * 1024);

  const Time start = Clock::now();
  std::thread sender([&] { send_all(session.get(), updates); });
  const Prefix last = nth(count - 1);
  while (!has(*kernel, last) || installed(*kernel) < count) {
    if (Clock::now() - start > patience)
      fail(fmt::format("{} of {} routes after {} s", installed(*kernel), count, patience.count()));
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  fmt::print("{:.4f}\n", std::chrono::duration<double>(Clock::now() - start).count());
  std::fflush(stdout);
  sender.join();
  if (std::getchar() == EOF) return 0;

  const Time drop = Clock::now();
  ::shutdown(session.get(), SHUT_RDWR);
  while (has(*kernel, last) || installed(*kernel) > 0) {
    if (Clock::now() - drop > patience) fail("the routes stay in the kernel");
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  fmt::print("{:.4f}\n", std::chrono::duration<double>(Clock::now() - drop).count());
  return 0;
}
