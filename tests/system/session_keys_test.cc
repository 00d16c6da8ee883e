// Keys of many peers on one listening socket: what the kernel has no room for is said of the peer,
// with the command that makes room, and no unsigned connection takes its place.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

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

}  // namespace
}  // namespace weft::interop
