// The interop matrix, restarts: one side goes and comes back, the other keeps its routes meanwhile
// and drops afterwards what was not said again; and one that stays away for long (RFC 4724, 9494).
#include <gmock/gmock.h>

#include "tests/system/interop_matrix.h"

namespace weft::interop {
namespace {

using testing::HasSubstr;

bool is_stale(const Pair& pair, const std::string& prefix) {
  return first_path(pair, prefix).value("stale", false);
}

/// RFC 4724 4.2: it is killed, and comes back with one route less. The kernel of weftd's host loses
/// that one, when End-of-RIB has come, and no other for a moment.
void keeps_the_routes_of_who_restarts(Pair& pair) {
  both_ways(pair);
  MUST(pair.knows("203.0.113.0/25"));
  const Process monitor(pair.hosts.a, {"ip", "monitor", "route"}, pair.file("monitor.log"));
  const auto lost = [&](const std::string& route) {
    return has(shell("cat " + pair.file("monitor.log")), "Deleted " + route);
  };
  pair.stop_other(SIGKILL);
  for (const char* route : {"198.51.100.0/24", "203.0.113.0/25", "2001:db8:1::/48"})
    MUST(pair.until([&] { return is_stale(pair, route); }));
  EXPECT_THAT(pair.weftctl("peers peer"), HasSubstr("restarting for"));
  pair.routes.pop_back();
  pair.restarting = true;
  pair.start_other();
  MUST(pair.until([&] { return !pair.knows("203.0.113.0/25"); }));
  MUST(pair.until(
      [&] { return !is_stale(pair, "198.51.100.0/24") && !is_stale(pair, "2001:db8:1::/48"); }));
  both_ways(pair);
  MUST(pair.until([&] { return lost("203.0.113.0/25"); }));
  EXPECT_FALSE(lost("198.51.100.0/24") || lost("2001:db8:1::/48"))
      << shell("cat " + pair.file("monitor.log")) << pair.story();
}

/// Nobody asked for that: what it told is gone with it.
void forgets_the_routes_of_who_is_gone(Pair& pair) {
  both_ways(pair);
  pair.stop_other(SIGKILL);
  for (const char* route : {"198.51.100.0/24", "2001:db8:1::/48"})
    MUST(pair.until([&] { return !pair.knows(route); }));
  pair.start_other();
  both_ways(pair);
}

/// The same the other way round.
void is_kept_while_weftd_restarts(Pair& pair) {
  both_ways(pair);
  MUST(pair.until([&] { return pair.other_knows("10.99.0.0/24"); }));
  pair.weftd->end(SIGKILL);
  MUST(pair.until([&] { return pair.state().empty(); }));
  pair.bgp.clear();
  pair.start_weft();
  bool kept = true;
  MUST(pair.until([&] {
    for (const char* route : {"10.64.0.0/26", "fd64::/122"}) kept = kept && pair.other_knows(route);
    return !pair.other_knows("10.99.0.0/24");
  }));
  EXPECT_TRUE(kept) << pair.story();
  both_ways(pair);
  EXPECT_THAT(pair.weft_log(), HasSubstr("restarted: the kernel forwards for ipv4 and ipv6"));
}

bool is_long_lived(const Pair& pair, const std::string& prefix) {
  return first_path(pair, prefix).value("communities", json::array()).dump().find("llgr-stale") !=
         std::string::npos;
}

/// RFC 9494: it is away for longer than its restart time, and its routes stay as a last resort.
void keeps_the_routes_of_who_is_long_away(Pair& pair) {
  both_ways(pair);
  EXPECT_THAT(pair.capabilities(), testing::Contains(HasSubstr("long-lived")));
  pair.stop_other(SIGKILL);
  for (const char* route : {"198.51.100.0/24", "2001:db8:1::/48"}) {
    MUST(pair.until([&] { return is_long_lived(pair, route); }));
    EXPECT_TRUE(first_path(pair, route).value("stale", false)) << pair.story();
  }
  EXPECT_THAT(pair.weftctl("peers peer"), HasSubstr("long-lived"));
  pair.start_other();
  both_ways(pair);
  MUST(pair.until([&] {
    return !first_path(pair, "198.51.100.0/24").value("stale", true) &&
           !is_long_lived(pair, "198.51.100.0/24") && !is_long_lived(pair, "2001:db8:1::/48");
  }));
}

/// The same the other way round.
void is_kept_when_long_away(Pair& pair) {
  both_ways(pair);
  const auto is_kept = [&](const char* route) {
    const std::string said = pair.other_route(route);
    return said.find("llgr-stale") != std::string::npos ||
           said.find("(65535,6)") != std::string::npos;
  };
  pair.weftd->end(SIGKILL);
  MUST(pair.until([&] { return is_kept("10.64.0.0/26") && is_kept("fd64::/122"); }));
  pair.start_weft();
  both_ways(pair);
  MUST(pair.until([&] {
    return pair.other_knows("10.64.0.0/26") && !is_kept("10.64.0.0/26") && !is_kept("fd64::/122");
  }));
}

const Dialect bird_restart{"graceful restart on; graceful restart time 120;"};
const Dialect frr_restart{" bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n"};
const Dialect gobgp_restart{
    "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 120\n",
    "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n"};

const Dialect bird_long_lived{
    "graceful restart on; graceful restart time 1; long lived graceful restart on; "
    "long lived stale time 3600;"};
const Dialect frr_long_lived{
    " bgp graceful-restart\n bgp graceful-restart restart-time 1\n"
    " bgp long-lived-graceful-restart stale-time 3600\n"};
const Dialect gobgp_long_lived{
    "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 1\n"
    "long-lived-enabled = true\n",
    "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n"
    "[neighbors.afi-safis.long-lived-graceful-restart.config]\nenabled = true\n"
    "restart-time = 3600\n"};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      {.name = "None", .check = forgets_the_routes_of_who_is_gone},
      {.name = "Theirs",
       .check = keeps_the_routes_of_who_restarts,
       .bird = bird_restart,
       .frr = frr_restart,
       .gobgp = gobgp_restart},
      {.name = "Ours",
       .check = is_kept_while_weftd_restarts,
       .bird = bird_restart,
       .frr = frr_restart,
       .gobgp = gobgp_restart,
       .bgp = "  announcements: [{prefix: 10.99.0.0/24}]\n"},
      {.name = "LongLivedTheirs",
       .check = keeps_the_routes_of_who_is_long_away,
       .weft = "long-lived-stale-time: 600",
       .bird = bird_long_lived,
       .frr = frr_long_lived,
       .gobgp = gobgp_long_lived},
      {.name = "LongLivedOurs",
       .check = is_kept_when_long_away,
       .weft = "restart-time: 1, long-lived-stale-time: 600",
       .bird = bird_long_lived,
       .frr = frr_long_lived,
       .gobgp = gobgp_long_lived},
  };
  return table;
}

WEFT_INTEROP_PART(Restarting, rows(), WEFT_BINARY_DIR);

}  // namespace
}  // namespace weft::interop
