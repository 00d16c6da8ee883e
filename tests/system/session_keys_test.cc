// Keys of many peers on one listening socket: what the kernel has no room for is said of the peer,
// with the command that makes room, and no unsigned connection takes its place.
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include "bgp/tcp_ao.h"
#include "tests/system/interop.h"

namespace weft::interop {
namespace {

using system_test::must;
using testing::HasSubstr;

TEST(SessionKeys, MoreThanTheKernelHasRoomForAreSaidWithTheSysctl) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  // The base peer, and 200 more; an old kernel's default has room for 150.
  std::string peers = "password: s3cret";
  for (int i = 0; i < 200; ++i) {
    peers += "}\n    - {group: base, passive: true, password: s3cret, address: 198.18.0." +
             std::to_string(i + 1);
  }
  Pair pair(Daemon::bird, {.name = "Keys", .check = {}, .weft = peers}, WEFT_BINARY_DIR);
  if (shell("ip netns exec " + pair.hosts.a + " sysctl -w net.core.optmem_max=20480")
          .find("failed") != std::string::npos) {
    GTEST_SKIP() << "net.core.optmem_max is not of the network namespace in this kernel";
  }
  pair.start_weft();
  const auto hindered = [&] {
    std::size_t count = 0;
    const json reply = pair.ctl("peers");
    if (!reply.is_object()) return count;
    for (const json& peer : reply["peers"]) {
      const std::string why = peer["last_error"];
      if (why.find("net.core.optmem_max is 20480; run: sysctl -w net.core.optmem_max=131072") !=
          std::string::npos)
        ++count;
    }
    return count;
  };
  ASSERT_TRUE(pair.until([&] { return hindered() > 0; })) << pair.story();
  EXPECT_LT(hindered(), 100U);
  EXPECT_THAT(pair.weft_log(), HasSubstr("the kernel has no room for 201 TCP MD5 keys"));
  EXPECT_EQ(pair.weft_log().find("s3cret"), std::string::npos);

  // With room, the next reload sets what is missing.
  must("ip netns exec " + pair.hosts.a + " sysctl -w net.core.optmem_max=131072");
  const auto complaints = [&] {
    const std::string log = pair.weft_log();
    std::size_t count = 0;
    for (std::size_t at = 0; (at = log.find("has no room", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  const std::size_t before = complaints();
  pair.reload(peers);
  EXPECT_TRUE(pair.until(
      [&] { return pair.weft_log().find("nothing is different") != std::string::npos; }));
  EXPECT_EQ(complaints(), before);
}

const char* ao_chain = "tcp-ao: [{send-id: 1, receive-id: 2, secret-file: ";

/// A peer that asks for TCP-AO never has a session with one that does not sign: not on a kernel
/// that lacks it, and not on one that has it.
TEST(SessionKeys, WhoAsksForTcpAoHasNoUnsignedSession) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  for (const Daemon daemon : {Daemon::bird, Daemon::frr}) {
    Pair pair(daemon, {.name = "TcpAo", .check = {}}, WEFT_BINARY_DIR);
    const std::string file = pair.hosts.write("ao.key", "s3cret\n");
    std::filesystem::permissions(file, std::filesystem::perms(0600));
    const std::string peer = ao_chain + file + "}]";
    pair.start_other();
    pair.write_weft_config(peer);
    const std::string checked = shell(pair.programs + "/weftd --check " + pair.file("weft.yaml"));
    EXPECT_EQ(checked.find("no session here because of it: 1") == std::string::npos,
              bgp::has_tcp_ao())
        << checked;
    pair.start_weft(peer);
    EXPECT_FALSE(pair.until([&] { return pair.state() == "Established"; }, std::chrono::seconds(8)))
        << pair.story();
    EXPECT_EQ(pair.peer()["tcp_ao_keys"], 1) << pair.story();
    EXPECT_FALSE(pair.last_error().empty());
    EXPECT_EQ((pair.weft_log() + pair.weftctl("peers --detail")).find("s3cret"), std::string::npos);
    if (bgp::has_tcp_ao()) continue;
    EXPECT_THAT(pair.weft_log(), HasSubstr("this kernel has no TCP-AO (CONFIG_TCP_AO, Linux 6.7 or "
                                           "later); without it there is no session"));
    EXPECT_THAT(pair.weftctl("doctor"), HasSubstr("no session because of it: 1"));
    // Nothing but the keys is in the way.
    pair.reload("");
    EXPECT_TRUE(pair.established()) << pair.story();
  }
}

TEST(SessionKeys, TcpAoLetsInWhoSigns) {
  if (!bgp::has_tcp_ao()) GTEST_SKIP() << "this kernel has no TCP-AO";
  const Address here = Address::parse("127.0.0.1").value();
  const std::vector<bgp::TcpAoKey> ours{{1, 2, {}, Secret("s3cret"), ""}};
  const std::vector<bgp::TcpAoKey> theirs{{2, 1, {}, Secret("s3cret"), ""}};
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  const auto set = bgp::add_ao_keys(listener.get(), here, ours);
  ASSERT_TRUE(set) << set.error().message;
  for (const bool signs : {false, true}) {
    const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{2, 0};
    ::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (signs) {
      ASSERT_TRUE(bgp::add_ao_keys(client.get(), here, theirs));
    }
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0,
              signs);
    if (!signs) continue;
    const Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(bgp::is_authenticated(accepted.get()));
    EXPECT_TRUE(bgp::is_authenticated(client.get()));
  }
}

}  // namespace
}  // namespace weft::interop
