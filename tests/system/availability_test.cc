// What ends a session and what a restart waits for, beside a real BIRD: a link that goes takes
// internal sessions too, a connection over another link than the one asked for is refused and said,
// and after a restart nobody is waited for but who was there.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "tests/system/interop.h"

namespace weft::interop {
namespace {

using system_test::must;
using testing::HasSubstr;

std::string text_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

class Availability : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
};

TEST_P(Availability, AnInternalSessionFallsWithItsLink) {
  Pair pair(Daemon::bird,
            {.name = "Link",
             .check = {},
             .weft = "hold-time: 180, send-hold: 300",
             .bird = {"hold time 180;", "", "", ""},
             .ipv6 = GetParam(),
             .internal = true},
            WEFT_BINARY_DIR);
  pair.start();
  ASSERT_TRUE(pair.established()) << pair.story();
  must("ip -n " + pair.hosts.b + " link set weft0 down");
  ASSERT_TRUE(pair.until([&] { return pair.state() != "Established"; })) << pair.story();
  EXPECT_THAT(pair.weft_log(), HasSubstr("session ended, link is down"));
  EXPECT_EQ(pair.peer()["ends"]["link_down by us"], 1) << pair.story();
  const std::string metrics =
      shell("ip netns exec " + pair.hosts.a + " curl -s http://127.0.0.1:9798/metrics");
  EXPECT_THAT(metrics, HasSubstr("weft_bgp_session_ends_total{peer=\"peer\",reason=\"link_down\","
                                 "by=\"us\",state=\"established\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("weft_tcp_dropped_segments_total{cause=\"md5_wrong\"} 0\n"));
}

TEST_P(Availability, AConnectionOverAnotherLinkIsRefusedAndSaid) {
  Pair pair(Daemon::bird,
            {.name = "Bound",
             .check = {},
             .weft = "passive: true, bind-interface: lo",
             .ipv6 = GetParam()},
            WEFT_BINARY_DIR);
  pair.start();
  const std::string why = "a connection over weft0 is refused: bind-interface is lo";
  ASSERT_TRUE(pair.until([&] { return pair.last_error() == why; })) << pair.story();
  EXPECT_THAT(pair.weft_log(), HasSubstr(why));
  EXPECT_THAT(pair.weftctl("peers"), HasSubstr(why));
  pair.reload("passive: true, bind-interface: weft0");
  EXPECT_TRUE(pair.established()) << pair.story();
}

INSTANTIATE_TEST_SUITE_P(Families, Availability, testing::Bool(),
                         [](const auto& each) { return each.param ? "Ipv6" : "Ipv4"; });

TEST(AfterARestart, NobodyOfARangeIsWaitedForButWhoWasThere) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  Pair pair(Daemon::bird,
            {.name = "Range",
             .check = {},
             .identity = "listen: 192.0.2.0/24, limit: 3",
             .bgp = "  selection-deferral: 300\n"},
            WEFT_BINARY_DIR);
  const std::string record = pair.file("state") + "/range-peers";
  std::filesystem::create_directories(pair.file("state"));
  std::ofstream(record).flush();  // nobody was there
  pair.start();
  ASSERT_TRUE(pair.established()) << pair.story();
  ASSERT_TRUE(pair.exchanges_routes()) << pair.story();
  ASSERT_TRUE(pair.until([&] { return text_of(record) == "192.0.2.2 graceful\n"; }))
      << text_of(record) << pair.story();
  ASSERT_TRUE(pair.until([&] {
    return pair.weft_log().find("ipv6 routes: every peer that came up has sent") !=
           std::string::npos;
  })) << pair.story();

  pair.weftd->end(SIGTERM);
  pair.start_weft();
  ASSERT_TRUE(pair.until([&] {
    return pair.weft_log().find("restarted: the kernel forwards for") != std::string::npos;
  })) << pair.story();
  // Long before selection-deferral is over.
  EXPECT_TRUE(pair.until([&] {
    const json status = pair.ctl("status");
    return status.is_object() && status["restarting"] == false && pair.knows("198.51.100.0/24");
  })) << pair.story();
  EXPECT_TRUE(pair.exchanges_routes()) << pair.story();
}

}  // namespace
}  // namespace weft::interop
