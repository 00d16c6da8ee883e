// The interop matrix, routes: what is told with them, asked for again, marked, limited.
#include <gmock/gmock.h>

#include "tests/system/interop_matrix.h"

namespace weft::interop {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

/// weftd takes one prefix of a family, the other has two.
void ends_above_the_prefix_limit(Pair& pair) {
  MUST(pair.until([&] { return has(pair.last_error(), "Maximum Number of Prefixes Reached"); }));
  EXPECT_THAT(pair.last_error(), HasSubstr("sent Cease"));
  EXPECT_THAT(pair.weftctl("peers peer"), HasSubstr("we said last"));
}

/// The other way round.
void hears_that_it_told_too_much(Pair& pair) {
  MUST(pair.until([&] {
    return has(pair.peer().value("last_received_notification", ""),
               "Maximum Number of Prefixes Reached");
  }));
}

/// What comes with 65002:7 is preferred, all else refused, and what goes out is marked in all three
/// ways; then a reload lets the rest in, and the session stays.
void understands_communities(Pair& pair) {
  MUST(pair.established());
  MUST(pair.until([&] { return pair.knows("198.51.100.0/24"); }));
  const json marked = first_path(pair, "198.51.100.0/24");
  EXPECT_EQ(marked["local_pref"], 200);
  EXPECT_THAT(marked.value("communities", std::vector<std::string>()),
              UnorderedElementsAre("65002:7", "65002:1:2", "rt:65002:9"));
  MUST(pair.until([&] { return pair.peer()["families"][0]["received"] == 2; }));
  EXPECT_FALSE(pair.knows("203.0.113.0/25"));

  const auto said = [&] { return pair.other_route("10.64.0.0/26"); };
  MUST(pair.until([&] { return has(said(), "65001 65001 65001"); }));
  const bool bird = pair.daemon == Daemon::bird;
  const bool frr = pair.daemon == Daemon::frr;
  EXPECT_THAT(said(), HasSubstr(bird ? "BGP.med: 33" : frr ? "metric 33" : "{Med: 33}"));
  EXPECT_THAT(said(), HasSubstr(bird ? "(65001,9)" : "65001:9"));
  EXPECT_THAT(said(), HasSubstr(bird ? "(65001, 8, 7)" : "65001:8:7"));
  EXPECT_THAT(said(), HasSubstr(bird  ? "(rt, 65001, 6)"
                                : frr ? "RT:65001:6"
                                      : "{Extcomms: [65001:6]}"));

  const json sessions = pair.peer()["established_count"];
  pair.reload("import: accept, export: host");
  MUST(pair.until([&] { return pair.knows("203.0.113.0/25"); }));
  MUST(pair.until([&] { return pair.other_knows("10.64.0.0/26") && !has(said(), "65001 65001"); }));
  EXPECT_EQ(pair.peer()["established_count"], sessions) << pair.story();
}

/// RFC 8326: what is to go is used last. No host route, so blackhole asks for nothing (RFC 7999).
void uses_it_last(Pair& pair) {
  MUST(pair.until([&] { return pair.knows("198.51.100.0/24"); }));
  const json path = first_path(pair, "198.51.100.0/24");
  EXPECT_EQ(path["local_pref"], 0);
  EXPECT_THAT(path.value("communities", std::vector<std::string>()),
              UnorderedElementsAre("graceful-shutdown", "blackhole"));
}

/// weftd kept out what was above its limit, and asks for it again when that is higher (RFC 2918).
void answers_a_refresh(Pair& pair) {
  MUST(pair.established());
  MUST(pair.until([&] { return pair.peer()["families"][0]["discarded"] == 1; }));
  EXPECT_NE(pair.knows("198.51.100.0/24"), pair.knows("203.0.113.0/25"));
  const json sessions = pair.peer()["established_count"];
  pair.reload("prefix-limit: 9, prefix-limit-action: discard");
  MUST(pair.until([&] { return pair.knows("198.51.100.0/24") && pair.knows("203.0.113.0/25"); }));
  EXPECT_EQ(pair.peer()["established_count"], sessions) << pair.story();
}

/// weftd takes paths with its own AS in them, prefers what this peer says, and hears its own block:
/// it stays the origin of it.
void keeps_its_own_block(Pair& pair) {
  both_ways(pair);
  const auto block = [&] {
    const json reply = pair.ctl("routes 10.64.0.0/26");
    return reply.is_object() && !reply["routes"].empty() ? reply["routes"][0] : json::object();
  };
  MUST(pair.until([&] { return block().value("paths", json::array()).size() == 2; }));
  EXPECT_EQ(block()["source"], "local") << pair.story();
  EXPECT_EQ(block()["paths"][1]["lost_at"], "not originated here");
  EXPECT_EQ(first_path(pair, "198.51.100.0/24")["local_pref"], 200);
}

/// Of three paths weftd holds two, says so, and asks for the third when there is room (RFC 2918).
void holds_no_more_than_its_path_limit(Pair& pair) {
  MUST(pair.established());
  const auto unheld = [&] {
    std::uint64_t all = 0;
    for (const json& family : pair.peer().value("families", json::array()))
      all += family.value("unheld", 0ULL);
    return all;
  };
  const auto held = [&] {
    return (pair.knows("198.51.100.0/24") ? 1 : 0) + (pair.knows("203.0.113.0/25") ? 1 : 0) +
           (pair.knows("2001:db8:1::/48") ? 1 : 0);
  };
  MUST(pair.until([&] { return held() == 2 && unheld() == 1; }));
  EXPECT_THAT(pair.weft_log(), HasSubstr("2 paths of all peers are held, as many as "
                                         "bgp.path-limit says: more are not held, of peer peer"));
  EXPECT_THAT(pair.weftctl("peers"), HasSubstr("path-limit"));
  EXPECT_THAT(pair.weftctl("status"), HasSubstr("path-limit"));
  const json sessions = pair.peer()["established_count"];
  pair.bgp = "  path-limit: 30\n";
  pair.reload(pair.row.weft);
  MUST(pair.until([&] { return held() == 3 && unheld() == 0; }));
  EXPECT_EQ(pair.peer()["established_count"], sessions) << pair.story();
}

void says_that_its_path_limit_is_passed(Pair& pair) {
  both_ways(pair);
  MUST(pair.until([&] { return pair.knows("203.0.113.0/25"); }));
  EXPECT_THAT(pair.weft_log(), HasSubstr("3 paths of all peers are held: bgp.path-limit is 2"));
}

/// The other's filter, which keeps nothing of what it refuses, lets our route in later.
void asks_for_a_refresh(Pair& pair) {
  MUST(pair.established());
  MUST(pair.until([&] { return pair.other_knows("fd64::/122"); }));
  EXPECT_FALSE(pair.other_knows("10.64.0.0/26")) << pair.story();
  const json sessions = pair.peer()["established_count"];
  if (pair.daemon == Daemon::bird) {
    shell("sed -i 's/import where net.type != NET_IP4;/import all;/' " + pair.file("bird.conf"));
    EXPECT_THAT(pair.birdc("configure"), HasSubstr("Reconfig"));
  }
  if (pair.daemon == Daemon::frr) pair.configure_frr({"route-map in permit 10"});
  MUST(pair.until([&] { return pair.other_knows("10.64.0.0/26"); }));
  EXPECT_EQ(pair.peer()["established_count"], sessions) << pair.story();
  EXPECT_THAT(pair.capabilities(), testing::Contains(HasSubstr("enhanced")));
}

/// weftd is the provider, and each says so of the other.
void fits_its_role(Pair& pair) {
  both_ways(pair);
  EXPECT_THAT(pair.capabilities(), testing::Contains("role customer"));
  EXPECT_THAT(pair.other_session(),
              HasSubstr(pair.daemon == Daemon::bird ? "Role: provider" : "Remote Role: provider"));
}

/// RFC 9234 5: weftd marks what it tells a customer. This one has no role, or it would do that
/// itself.
void marks_what_customers_get(Pair& pair) {
  both_ways(pair);
  const std::string mark = pair.daemon == Daemon::bird  ? "BGP.otc: 65001"
                           : pair.daemon == Daemon::frr ? "otc 65001"
                                                        : "BGPAttrType(35), Value: [0 0 253 233]";
  for (const char* route : {"10.64.0.0/26", "fd64::/122"})
    EXPECT_THAT(pair.other_route(route), HasSubstr(mark));
}

/// A customer tells its provider what only customers may have.
void refuses_a_leak(Pair& pair) {
  MUST(pair.until([&] { return pair.knows("203.0.113.0/25"); }));
  const json leaked = first_path(pair, "198.51.100.0/24");
  EXPECT_EQ(leaked.value("best", true), false) << pair.story();
}

/// Two customers, or one that must say its role and does not.
void is_refused_for_its_role(Pair& pair) {
  MUST(pair.until([&] { return has(pair.weft_log(), "OPEN Message Error/Role Mismatch"); }));
  EXPECT_NE(pair.state(), "Established");
  EXPECT_EQ(pair.peer()["established_count"], 0);
}

/// Two paths of a prefix from one peer, and one of them goes.
void tells_several_paths(Pair& pair) {
  MUST(pair.established());
  const auto paths = [&] {
    const json reply = pair.ctl("routes 198.51.100.0/24");
    return !reply.is_object() || reply["routes"].empty() ? json::array()
                                                         : reply["routes"][0]["paths"];
  };
  if (pair.daemon == Daemon::frr)
    system_test::must("ip -n " + pair.hosts.b + " route add blackhole 198.51.100.0/24");
  if (pair.daemon == Daemon::gobgp) {
    pair.gobgp("global rib add 198.51.100.0/24 identifier 7 nexthop 192.0.2.2 med 7 -a ipv4");
  }
  MUST(pair.until([&] { return paths().size() == 2; }));
  EXPECT_NE(paths()[0]["path_id"], paths()[1]["path_id"]);
  if (pair.daemon == Daemon::bird) pair.birdc("disable again");
  if (pair.daemon == Daemon::frr)
    system_test::must("ip -n " + pair.hosts.b + " route del blackhole 198.51.100.0/24");
  if (pair.daemon == Daemon::gobgp)
    pair.gobgp("global rib del 198.51.100.0/24 identifier 7 nexthop 192.0.2.2 med 7 -a ipv4");
  MUST(pair.until([&] { return paths().size() == 1; }));
}

const char* policies = R"(  policies:
    in: [{match: {community: "65002:7", as-path: "^65002$"}, set: {local-pref: 200}}]
    out:
      - match: {source: local}
        set: {med: 33, prepend: 2, community: {add: ["65001:9", "65001:8:7", "rt:65001:6"]}}
)";

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      {.name = "Communities",
       .check = understands_communities,
       .weft = "import: in, export: out",
       .bird = {"",
                "export filter { if source != RTS_STATIC then reject; "
                "if net = 198.51.100.0/24 then { bgp_community.add((65002,7)); "
                "bgp_large_community.add((65002,1,2)); bgp_ext_community.add((rt,65002,9)); } "
                "accept; };"},
       .frr = {"", "", "", "",
               "ip prefix-list marked permit 198.51.100.0/24\nroute-map four permit 5\n"
               " match ip address prefix-list marked\n set ip next-hop 192.0.2.2\n"
               " set community 65002:7\n set large-community 65002:1:2\n"
               " set extcommunity rt 65002:9\n"},
       .gobgp = {"", "", "", "", " community 65002:7 large-community 65002:1:2 rt 65002:9"},
       .bgp = policies},
      {.name = "GracefulShutdown",
       .check = uses_it_last,
       .weft = "blackhole: true",
       .bird = {"",
                "export filter { if source != RTS_STATIC then reject; "
                "bgp_community.add((65535,0)); bgp_community.add((65535,666)); accept; };"},
       .frr = {"", "", "", "", "route-map four permit 10\n set community 65535:0 65535:666\n"},
       .gobgp = {"", "", "", "", " community 65535:0,65535:666"}},
      {.name = "RouteRefresh",
       .check = answers_a_refresh,
       .weft = "prefix-limit: 1, prefix-limit-action: discard"},
      {.name = "RouteRefreshTheirs",
       .check = asks_for_a_refresh,
       .bird = {"", "import where net.type != NET_IP4;"},
       .frr = {"", "  neighbor WEFT route-map in in\n", "", "",
               "bgp route-map delay-timer 1\nroute-map in deny 10\n match ip address prefix-list "
               "four\nroute-map in permit 20\nip prefix-list four permit 0.0.0.0/0 le 32\n"},
       .gobgp = unsupported("GoBGP 3.10 never asks: it keeps all that it refuses")},
      {.name = "AddPath",
       .check = tells_several_paths,
       .weft = "add-path-receive: [ipv4], add-path-send: {ipv4: all}",
       .bird = {"", "add paths on;", "", "",
                "protocol static again { ipv4 { preference 150; }; "
                "route 198.51.100.0/24 unreachable; }\n"},
       .frr = {"", "  redistribute kernel\n  neighbor WEFT addpath-tx-all-paths\n"},
       .gobgp = {"", "[neighbors.afi-safis.add-paths.config]\nsend-max = 4\nreceive = true\n"}},
      {.name = "MaxPrefix", .check = ends_above_the_prefix_limit, .weft = "prefix-limit: 1"},
      {.name = "MaxPrefixTheirs",
       .check = hears_that_it_told_too_much,
       .bird = {"", "import limit 1;"},
       .frr = {"", "  neighbor WEFT maximum-prefix 1\n"},
       .gobgp = {"", "[neighbors.afi-safis.prefix-limit.config]\nmax-prefixes = 1\n"},
       .bgp = "  announcements: [{prefix: 10.99.0.0/24}]\n"},
      {.name = "Echo",
       .check = keeps_its_own_block,
       .weft = "allowas-in: 1, import: better",
       .bird = unsupported("BIRD sends nobody's route back"),
       .frr = {"", "", "", "", "route-map four permit 20\n"},
       .gobgp = unsupported("GoBGP sends nobody's route back"),
       .bgp = "  policies: {better: [{set: {local-pref: 200}}]}\n"},
      {.name = "PathLimit", .check = holds_no_more_than_its_path_limit, .bgp = "  path-limit: 2\n"},
      {.name = "PathLimitWarn",
       .check = says_that_its_path_limit_is_passed,
       .bgp = "  path-limit: 2\n  path-limit-action: warn\n"},
      {.name = "Roles",
       .check = fits_its_role,
       .weft = "role: provider, role-strict: true",
       .bird = {"local role customer; require roles;"},
       .frr = {" neighbor WEFT local-role customer strict-mode\n"},
       .gobgp = unsupported("GoBGP 3.10 has no RFC 9234 and refuses a configuration with it")},
      {.name = "RolesMark", .check = marks_what_customers_get, .weft = "role: provider"},
      {.name = "RolesLeak",
       .check = refuses_a_leak,
       .weft = "role: provider",
       .bird = {"local role customer;",
                "export filter { if source != RTS_STATIC then reject; "
                "if net = 198.51.100.0/24 then bgp_otc = 65009; accept; };"},
       .frr = unsupported("FRR 8.4 gives no route an OTC by configuration"),
       .gobgp = unsupported("GoBGP 3.10 has no RFC 9234 and gives no route an OTC")},
      {.name = "RolesClash",
       .check = is_refused_for_its_role,
       .weft = "role: customer",
       .bird = {"local role customer;"},
       .frr = {" neighbor WEFT local-role customer\n"},
       .gobgp = unsupported("GoBGP 3.10 has no RFC 9234 and refuses a configuration with it")},
      {.name = "RolesMissing",
       .check = is_refused_for_its_role,
       .weft = "role: customer, role-strict: true"},
  };
  return table;
}

WEFT_INTEROP_PART(Routes, rows(), WEFT_BINARY_DIR);

}  // namespace
}  // namespace weft::interop
