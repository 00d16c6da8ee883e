#include "net/socket_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <string>

namespace weft {
namespace {

/// As the C library reads it.
std::string text(const SocketAddress& address) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  const int failed = ::getnameinfo(address.get(), address.size, host.data(), host.size(),
                                   port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV);
  return failed != 0 ? ::gai_strerror(failed) : std::string(host.data()) + " " + port.data();
}

std::uint32_t scope(const SocketAddress& address) {
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address.storage, sizeof v6);
  return v6.sin6_scope_id;
}

TEST(SocketAddress, ReadsBackWithItsPort) {
  EXPECT_EQ(text(socket_address(*Address::parse("192.0.2.1"), 179)), "192.0.2.1 179");
  EXPECT_EQ(text(socket_address(*Address::parse("2001:db8::1"), 3784)), "2001:db8::1 3784");
  EXPECT_EQ(text(socket_address(*Address::parse("192.0.2.1"))), "192.0.2.1 0");
}

TEST(SocketAddress, ALinkLocalAddressHasALinkAndAnotherHasNone) {
  EXPECT_EQ(scope(socket_address(*Address::parse("fe80::1"), 179, 7)), 7U);
  EXPECT_EQ(scope(socket_address(*Address::parse("2001:db8::1"), 179, 7)), 0U);
}

}  // namespace
}  // namespace weft
