// The interop matrix, links: peers without addresses of their own, and paths that go silent. More
// of both, with packets and several links, is in unnumbered_test.cc and bfd_test.cc.
#include <gmock/gmock.h>

#include "tests/system/interop_matrix.h"

namespace weft::interop {
namespace {

using testing::HasSubstr;

/// Both families by link-local addresses, IPv4 too (RFC 8950), down to the kernel.
void meets_on_the_link(Pair& pair) {
  both_ways(pair);
  for (const char* route : {"198.51.100.0/24", "2001:db8:1::/48"}) {
    MUST(pair.until([&] {
      const json reply = pair.ctl(std::string("routes ") + route);
      return reply["routes"][0]["kernel"] == "installed";
    }));
    EXPECT_THAT(first_path(pair, route).value("next_hop", ""), HasSubstr("fe80::"));
  }
  EXPECT_THAT(pair.peer().value("address", ""), HasSubstr("%weft0"));
}

/// The hold time would be three minutes, and its connection lives on.
void notices_silence(Pair& pair) {
  both_ways(pair);
  MUST(pair.until([&] { return has(pair.weftctl("bfd"), " Up "); }));
  MUST(pair.until(
      [&] { return has(pair.bfd_sessions(), " Up ") || has(pair.bfd_sessions(), "Status: up"); }));
  pair.silence_bfd(true);
  const bool lost = pair.until([&] { return has(pair.weft_log(), "Cease/BFD Down"); }) &&
                    pair.until([&] { return !pair.knows("198.51.100.0/24"); });
  // What stands still tells no story.
  pair.silence_bfd(false);
  MUST(lost);
  EXPECT_THAT(pair.weft_log(), HasSubstr("BFD: control detection time expired"));
  both_ways(pair);
  MUST(pair.until([&] { return has(pair.weftctl("bfd"), " Up "); }));
}

const std::string weft_bfd = "hold-time: 180, send-hold: 300, bfd: {interval: 100, multiplier: 5}";
const Dialect bird_bfd{
    "hold time 180; bfd on;", "", "", "",
    "protocol bfd { interface \"weft0\" { interval 100 ms; multiplier 5; }; }\n"};
const Dialect frr_bfd{" neighbor WEFT timers 60 180\n neighbor WEFT bfd 5 100 100\n"};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      {.name = "Unnumbered", .check = meets_on_the_link, .gtsm = false, .unnumbered = true},
      {.name = "Bfd",
       .check = notices_silence,
       .weft = weft_bfd,
       .bird = bird_bfd,
       .frr = frr_bfd,
       .gobgp = unsupported("GoBGP 3.10 has no BFD and refuses a configuration with it"),
       .gtsm = false,
       .bfd = true},
      {.name = "BfdIpv6",
       .check = notices_silence,
       .weft = weft_bfd,
       .bird = bird_bfd,
       .frr = frr_bfd,
       .gobgp = unsupported("GoBGP 3.10 has no BFD and refuses a configuration with it"),
       .ipv6 = true,
       .gtsm = false,
       .bfd = true},
      {.name = "BfdUnnumbered",
       .check = notices_silence,
       .weft = weft_bfd,
       .bird = bird_bfd,
       .frr = frr_bfd,
       .gobgp = unsupported("GoBGP 3.10 has no BFD and refuses a configuration with it"),
       .gtsm = false,
       .unnumbered = true,
       .bfd = true},
  };
  return table;
}

WEFT_INTEROP_PART(Links, rows(), WEFT_BINARY_DIR);

}  // namespace
}  // namespace weft::interop
