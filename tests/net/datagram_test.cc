#include "net/datagram.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace weft {
namespace {

constexpr int sent_with = 255;

/// A socket bound to a port of its own on the loopback address of `family`.
Fd bound(Family family) {
  Fd socket(::socket(family == Family::ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  const int done = family == Family::ipv4
                       ? ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4)
                       : ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  return done == 0 ? std::move(socket) : Fd();
}

void send_to_itself(const Fd& socket, Family family, std::size_t size) {
  const bool v4 = family == Family::ipv4;
  ASSERT_EQ(::setsockopt(socket.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6,
                         v4 ? IP_TTL : IPV6_UNICAST_HOPS, &sent_with, sizeof sent_with),
            0);
  sockaddr_storage to{};
  socklen_t length = sizeof to;
  ASSERT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&to), &length), 0);
  const std::vector<std::byte> octets(size, std::byte{7});
  ASSERT_EQ(::sendto(socket.get(), octets.data(), octets.size(), 0,
                     reinterpret_cast<const sockaddr*>(&to), length),
            static_cast<ssize_t>(size));
}

class DatagramOf : public ::testing::TestWithParam<Family> {};

TEST_P(DatagramOf, SaysHowItCame) {
  const Fd socket = bound(GetParam());
  if (!socket) GTEST_SKIP() << "no loopback address of this family: " << std::strerror(errno);
  ASSERT_TRUE(want_arrival(socket, GetParam()));
  send_to_itself(socket, GetParam(), 3);
  std::array<std::byte, 8> buffer{};
  const auto datagram = receive_datagram(socket, buffer);
  ASSERT_TRUE(datagram);
  const Address loopback = *Address::parse(GetParam() == Family::ipv4 ? "127.0.0.1" : "::1");
  EXPECT_EQ(datagram->from, loopback);
  EXPECT_EQ(datagram->to, loopback);
  EXPECT_EQ(datagram->ifindex, 1U) << "the index of lo";
  EXPECT_EQ(datagram->hop_limit, sent_with);
  EXPECT_EQ(datagram->size, 3U);
  EXPECT_EQ(buffer[2], std::byte{7});
  EXPECT_FALSE(datagram->cut);
}

TEST_P(DatagramOf, SaysThatTheBufferWasTooSmall) {
  const Fd socket = bound(GetParam());
  if (!socket) GTEST_SKIP() << "no loopback address of this family: " << std::strerror(errno);
  send_to_itself(socket, GetParam(), 9);
  std::array<std::byte, 8> buffer{};
  const auto datagram = receive_datagram(socket, buffer);
  ASSERT_TRUE(datagram);
  EXPECT_TRUE(datagram->cut);
  EXPECT_EQ(datagram->size, 8U);
  EXPECT_EQ(datagram->hop_limit, -1) << "the kernel was not asked";
}

INSTANTIATE_TEST_SUITE_P(Families, DatagramOf, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& each) {
                           return each.param == Family::ipv4 ? "Ipv4" : "Ipv6";
                         });

TEST(Datagram, NoneIsThereWhenNothingWaits) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  std::array<std::byte, 8> buffer{};
  EXPECT_FALSE(receive_datagram(socket, buffer));
}

}  // namespace
}  // namespace weft
