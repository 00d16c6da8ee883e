#include "ctl/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weft::ctl {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr Style plain{.colour = false};
constexpr Style coloured{.colour = true};

TEST(DurationText, ShowsTheTwoLargestUnits) {
  EXPECT_EQ(duration_text(0s), "0s");
  EXPECT_EQ(duration_text(-5s), "0s");
  EXPECT_EQ(duration_text(59s), "59s");
  EXPECT_EQ(duration_text(60s), "1m");
  EXPECT_EQ(duration_text(151s), "2m31s");
  EXPECT_EQ(duration_text(3600s), "1h");
  EXPECT_EQ(duration_text(3h + 59s), "3h");
  EXPECT_EQ(duration_text(3h + 61s), "3h1m");
  EXPECT_EQ(duration_text(76h + 59min), "3d4h");
  EXPECT_EQ(duration_text(std::chrono::hours(24 * 1000)), "1000d");
}

Status some_status() {
  Status status;
  status.version = "0.1.0";
  status.node = "h1";
  status.asn = 4200000011;
  status.router_id = "10.255.0.11";
  status.uptime = 76h;
  status.peers_established = 2;
  status.peers = 2;
  status.rib_routes = {{"ipv4", 3}, {"ipv6", 2}};
  status.fib_routes = {{"ipv4", 2}};
  status.blocks = 1;
  status.containers = 4;
  status.addresses_free = 57;
  return status;
}

TEST(StatusTable, IsShortWhenAllIsWell) {
  EXPECT_EQ("\n" + table(some_status(), coloured),
            R"(
weftd 0.1.0 on h1, AS 4200000011, router-id 10.255.0.11, up 3d4h
  peers          2 of 2 established
  ipv4 routes    3 known, 2 in the kernel
  ipv6 routes    2 known, 0 in the kernel
  blocks         1 owned, 57 addresses free
  containers     4
)");
}

TEST(StatusTable, BeginsWithTheWarnings) {
  Status status = some_status();
  status.warnings = {"peer tor2 is down", "10.64.1.0/26 belongs to another daemon"};
  status.fib_pending = 7;
  EXPECT_THAT("\n" + table(status, plain), StartsWith(R"(
WARNING: peer tor2 is down
WARNING: 10.64.1.0/26 belongs to another daemon

)"
                                                      "weftd 0.1.0"));
  EXPECT_THAT(table(status, plain),
              HasSubstr("  not in kernel  7 wanted there and not there yet\n"));
  EXPECT_THAT(table(status, coloured), StartsWith("\033[1;31mWARNING: peer tor2 is down\033[0m\n"));
}

Peers some_peers() {
  Peer tor1;
  tor1.name = "tor1";
  tor1.description = "rack 1, left";
  tor1.address = "192.0.2.1";
  tor1.asn = 65001;
  tor1.type = "external";
  tor1.state = "Established";
  tor1.since = 76h;
  tor1.router_id = "10.255.0.1";
  tor1.local_address = "192.0.2.0";
  tor1.hold_time = 9s;
  tor1.keepalive = 3s;
  tor1.capabilities = {"multiprotocol ipv4", "as4"};
  tor1.families = {{"ipv4", 5, 3, 2, 1, true}, {"ipv6", 4, 4, 4, 1, false}};
  tor1.last_error = "closed by the peer";
  tor1.messages_received = 812;
  tor1.messages_sent = 799;
  tor1.established_count = 2;
  tor1.password = true;
  tor1.our_capabilities = {"multiprotocol ipv4"};
  tor1.max_send = 4096;
  tor1.max_receive = 65535;
  tor1.connect_retry = 5s;
  tor1.send_hold = 90s;
  tor1.ttl = tor1.least_ttl = 255;
  tor1.last_received_notification = "Cease/Administrative Shutdown: \"moving\"";
  tor1.rtt_microseconds = 1234;
  tor1.mss = 1448;
  Peer tor2;
  tor2.name = "tor2-with-a-long-name";
  tor2.address = "fd00::2";
  tor2.state = "Active";
  tor2.since = 151s;
  tor2.last_error = "hold timer expired";
  return {{tor1, tor2}, {}};
}

TEST(PeersTable, MarksWhatIsDown) {
  EXPECT_EQ("\n" + table(some_peers(), plain),
            R"(
  NAME                   ADDRESS       AS  STATE        UP/DOWN  IPV4-IN  OUT  IPV6-IN  OUT  WHY
  tor1                   192.0.2.1  65001  Established     3d4h   3 of 5    1        4    1
! tor2-with-a-long-name  fd00::2        -  Active         2m31s        -    -        -    -  hold timer expired
)");
}

TEST(PeersTable, ShowsTheTellingErrorAndWhatFailedAfterIt) {
  Peer peer = some_peers().peers[1];
  peer.last_error_seconds = 3600;
  peer.last_attempt = "cannot connect: Connection refused";
  peer.last_attempt_seconds = 2;
  EXPECT_THAT(table(Peers{{peer}, {}}, plain),
              HasSubstr("  hold timer expired; then: cannot connect: Connection refused\n"));
  EXPECT_THAT(detail(peer, plain), HasSubstr("  state          Active, down for 2m31s\n"));
  EXPECT_THAT(detail(peer, plain),
              HasSubstr("  last error     hold timer expired, 1h ago\n"
                        "  last attempt   cannot connect: Connection refused, 2s ago\n"));
}

TEST(PeersTable, MarksWhoIsAboveItsLimit) {
  Peers peers = some_peers();
  peers.peers[0].families[0].above_limit = true;
  peers.peers[0].families[0].passed_limit = "prefix-limit";
  EXPECT_THAT(table(peers, plain), HasSubstr("~ tor1 "));
  EXPECT_THAT(table(peers, plain), HasSubstr("  more ipv4 prefixes than prefix-limit allows\n"));
  peers.peers[0].families[1].above_limit = true;
  peers.peers[0].families[1].passed_limit = "accepted-prefix-limit";
  EXPECT_THAT(table(peers, plain), HasSubstr("more ipv4 prefixes than prefix-limit allows; more "
                                             "ipv6 prefixes than accepted-prefix-limit allows\n"));
}

TEST(PeersTable, MarksWhosePathsTheLimitOfAllKeepsOut) {
  Peers peers = some_peers();
  peers.peers[0].families[1].unheld = 17;
  EXPECT_THAT(table(peers, plain), HasSubstr("~ tor1 "));
  EXPECT_THAT(table(peers, plain), HasSubstr("  17 ipv6 paths not held for bgp.path-limit\n"));
}

TEST(PeersTable, HasAColumnForTheKernelsTableWhereSomePeerHasAnother) {
  Peers peers = some_peers();
  EXPECT_THAT(table(peers, plain), Not(HasSubstr("TABLE")));
  peers.peers[1].table = 100;
  EXPECT_THAT(table(peers, plain), HasSubstr("OUT  TABLE  WHY\n"));
  EXPECT_THAT(table(peers, plain), HasSubstr("    1   main\n"));
  EXPECT_THAT(table(peers, plain), HasSubstr("    100  hold timer expired\n"));
  peers.peers[1].metric = 20;
  EXPECT_THAT(detail(peers.peers[1], plain), HasSubstr("  kernel         table 100, metric 20\n"));
  EXPECT_THAT(detail(peers.peers[0], plain), Not(HasSubstr("  kernel ")));
}

TEST(PeerDetail, SaysHowItsConnectionsEndedAndWhatWasRefused) {
  Peer peer = some_peers().peers[0];
  peer.ends = {{"hold_timer by us", 2}, {"bad_peer_as by peer, opening", 1}};
  peer.looped = 3;
  peer.leaked = 4;
  const std::string text = detail(peer, plain);
  EXPECT_THAT(text, HasSubstr("  ended          1 bad_peer_as by peer, opening; 2 hold_timer by "
                              "us\n"));
  EXPECT_THAT(text, HasSubstr("  loops          3 prefixes announced with ourselves"));
  EXPECT_THAT(text, HasSubstr("  leaks          4 prefixes announced against its role"));
}

TEST(PeerDetail, SaysNothingThatOnlyASessionHas) {
  Peer peer = some_peers().peers[1];
  for (const char* of_a_session : {"hold time ", "ours ", "capabilities "})
    EXPECT_THAT(detail(peer, plain), Not(HasSubstr(of_a_session)));
  peer.state = "Established";
  EXPECT_THAT(detail(peer, plain), HasSubstr("  hold time      none, no keepalives\n"));
}

TEST(PeersTable, HasALineForEachRange) {
  Peers peers;
  peers.ranges = {{"hosts", "192.0.2.0/24", 3, 64, 0}, {"full", "192.0.3.0/24", 2, 2, 17}};
  EXPECT_EQ(table(peers, plain),
            "  range hosts: 3 of 64 peers\n"
            "~ range full: 2 of 2 peers, 17 connections refused\n");
}

TEST(PeersTable, ColoursWhatIsDownOnly) {
  const std::string text = table(some_peers(), coloured);
  EXPECT_THAT(text, HasSubstr("\033[1;31m! tor2"));
  EXPECT_THAT(text, HasSubstr("hold timer expired\033[0m\n"));
  EXPECT_THAT(text, HasSubstr("\n  tor1"));
  EXPECT_THAT(table(some_peers(), plain), Not(HasSubstr("\033")));
}

TEST(PeerDetail, ShowsEverything) {
  EXPECT_EQ("\n" + detail(some_peers().peers[0], plain),
            R"(
peer tor1 (rack 1, left)
  state          Established for 3d4h
  last error     closed by the peer
  address        192.0.2.1
  local address  192.0.2.0
  AS             65001 external
  router-id      10.255.0.1
  authentication TCP MD5
  ttl            255 sent, 255 or more taken
  hold time      9s, keepalive every 3s
  timers         connect-retry 5s, send-hold 1m30s
  we said last   -
  it said last   Cease/Administrative Shutdown: "moving"
  TCP            rtt 1.234 ms, mss 1448, 0 retransmits, 0 octets to send, 0 to read
  max message    4096 octets sent, 65535 taken
  messages       812 received, 799 sent
  sessions       2 established so far
  capabilities   multiprotocol ipv4, as4
  ours           multiprotocol ipv4
  FAMILY  RECEIVED  ACCEPTED  SELECTED  ADVERTISED  END-OF-RIB  LIMIT
  ipv4           5         3         2           1  received    -
  ipv6           4         4         4           1  awaited     -
)");
}

TEST(FindPeer, TakesNamesBeforeAddresses) {
  Peers peers = some_peers();
  EXPECT_EQ(find_peer(peers, "fd00::2"), &peers.peers[1]);
  EXPECT_EQ(find_peer(peers, "tor1"), &peers.peers[0]);
  EXPECT_EQ(find_peer(peers, "tor"), nullptr);
  peers.peers[1].name = "192.0.2.1";
  EXPECT_EQ(find_peer(peers, "192.0.2.1"), &peers.peers[1]);
}

Routes some_routes() {
  Path left{"tor1", "192.0.2.1", "65001 4200000012", "igp", 100, 0, {"65001:1", "65001:2"}, true,
            false,  ""};
  Path right{"tor2", "192.0.2.3", "65002 4200000012", "igp", {}, {}, {}, false, true, "router-id"};
  Path worse{"tor3", "192.0.2.5", "65003 65002 4200000012", "igp", {}, {}, {},
             false,  false,       "as-path length"};
  return {{{"10.64.1.0/26",
            "bgp",
            {left, right, worse},
            {"192.0.2.1 dev eth1", "192.0.2.3 dev eth2"},
            "installed"},
           {"10.64.2.192/26",
            "local",
            {{"local", "", "", "igp", {}, {}, {}, true, false, ""}},
            {},
            "-"},
           {"10.64.3.0/26", "bgp", {right}, {"192.0.2.3 dev eth2"}, "pending"},
           {"10.64.4.0/26", "bgp", {right}, {"192.0.2.3 dev eth2"}, "foreign: proto static"}}};
}

TEST(RoutesTable, MarksWhatTheKernelLacks) {
  EXPECT_EQ("\n" + table(some_routes(), plain),
            R"(
  PREFIX          SOURCE  AS-PATH           PATHS  NEXT HOPS                               KERNEL
  10.64.1.0/26    bgp     65001 4200000012      3  192.0.2.1 dev eth1, 192.0.2.3 dev eth2  installed
  10.64.2.192/26  local   -                     1  -                                       -
~ 10.64.3.0/26    bgp     -                     1  192.0.2.3 dev eth2                      pending
! 10.64.4.0/26    bgp     -                     1  192.0.2.3 dev eth2                      foreign: proto static
)");
}

TEST(RouteDetail, SaysWhereEachPathLost) {
  EXPECT_EQ("\n" + detail(some_routes().routes[0], plain),
            R"(
route 10.64.1.0/26, bgp
  kernel         installed
  next hops      192.0.2.1 dev eth1
                 192.0.2.3 dev eth2
  PEER  NEXT HOP   AS-PATH                 ORIGIN  LOCAL-PREF  MED  COMMUNITIES      VERDICT
  tor1  192.0.2.1  65001 4200000012        igp            100    0  65001:1 65001:2  best
  tor2  192.0.2.3  65002 4200000012        igp              -    -  -                shares the load, lost at router-id
  tor3  192.0.2.5  65003 65002 4200000012  igp              -    -  -                lost at as-path length
)");
}

TEST(BlocksTable, MarksWhatIsFullOrUnheard) {
  const Blocks blocks{
      {{"containers", 11, "10.64.2.192/26", "fd64::c0/122", "owned", 64, 3, 1, 60, 2},
       {"containers", 12, "10.64.3.0/26", "", "owned", 64, 64, 0, 0, 2},
       {"lab", 0, "10.65.0.0/26", "", "owned", 64, 0, 0, 64, 0},
       {"lab", 1, "10.65.0.64/26", "", "owned", 64, 0, 0, 62, 2, 0, 2}}};
  EXPECT_EQ("\n" + table(blocks, plain),
            R"(
  POOL        INDEX  IPV4            IPV6          STATE                 HELD  COOLING  FREE  OF  ADVERTISED
  containers     11  10.64.2.192/26  fd64::c0/122  owned                    3        1    60  64  to 2
~ containers     12  10.64.3.0/26    -             owned                   64        0     0  64  to 2
! lab             0  10.65.0.0/26    -             owned                    0        0    64  64  to nobody
~ lab             1  10.65.0.64/26   -             owned, 2 quarantined     0        0    62  64  to 2
)");
}

TEST(ContainersTable, ShortensIdsThatStayTellable) {
  const std::string twin(64, 'a');
  const Containers containers{
      {{{"demo", "0123456789abcdef0123456789abcdef", "eth0"},
        "10.64.2.193",
        "fd64::c1",
        "weft0123456789a",
        "/run/netns/c1",
        "containers",
        61s,
        "attached"},
       {{"demo", twin, "eth0"}, "10.64.2.194", "", "weft1", "/n", "containers", 2h, "no-veth"},
       {{"demo", twin.substr(0, 40) + "b", "eth0"},
        "10.64.2.195",
        "",
        "weft2",
        "/n",
        "containers",
        2h,
        "attached"}}};
  EXPECT_EQ("\n" + table(containers, plain),
            R"(
  NETWORK  CONTAINER                                                         IFNAME  IPV4         IPV6      HOST-IFNAME      POOL         AGE  STATE
  demo     0123456789ab                                                      eth0    10.64.2.193  fd64::c1  weft0123456789a  containers  1m1s  attached
! demo     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  eth0    10.64.2.194  -         weft1            containers    2h  no-veth
  demo     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab                         eth0    10.64.2.195  -         weft2            containers    2h  attached
)");
}

TEST(PoliciesTable, ShowsEveryRuleWithItsHits) {
  const Policies policies{{{"from-tor",
                            {"tor1", "tor2"},
                            {},
                            {{"bogons", "reject", 3, 0}, {"fabric", "accept", 1200, 0}},
                            17,
                            0}}};
  EXPECT_EQ("\n" + table(policies, plain),
            R"(
policy from-tor
  import of      tor1, tor2
  export of      -
  RULE       THEN    IMPORTED  EXPORTED
  bogons     reject         3         0
  fabric     accept      1200         0
  (no rule)  reject        17         0
)");
}

TEST(AggregatesTable, ShowsWhatContributesAndWhoHears) {
  const Aggregates aggregates{
      {{"10.64.0.0/16", "announced", true, 3, 2, std::chrono::seconds(151), 1},
       {"10.65.0.0/16", "installing", false, 1, 0, std::chrono::seconds(1), 12},
       {"10.66.0.0/16", "idle", false, 0, 0, std::chrono::seconds(9), 0}}};
  EXPECT_EQ("\n" + table(aggregates, plain),
            R"(
  PREFIX        STATE       SINCE  CONTRIBUTING  SUMMARY-ONLY  CHANGES  ADVERTISED
  10.64.0.0/16  announced   2m31s             3  yes                 1  to 2
~ 10.65.0.0/16  installing     1s             1  no                 12  to nobody
~ 10.66.0.0/16  idle           9s             0  no                  0  to nobody
)");
}

TEST(AnnouncementsTable, ShowsWhatAConfiguredOneWaitsFor) {
  Announcement announcement;
  announcement.prefix = "192.0.2.7/32";
  announcement.lease = "configured";
  announcement.waits_for = "/run/well is not there";
  announcement.since_seconds = 61;
  const std::string text = table(Announcements{{announcement}}, plain);
  EXPECT_NE(text.find("~ 192.0.2.7/32"), std::string::npos) << text;
  EXPECT_NE(text.find("1m1s"), std::string::npos) << text;
  EXPECT_NE(text.find("waits: /run/well is not there"), std::string::npos) << text;
}

TEST(StationsTable, ShowsHowFarEachHasBeenTold) {
  Station noc;
  noc.name = "noc";
  noc.monitor = {"pre-policy", "loc-rib"};
  noc.state = "up";
  noc.age = std::chrono::seconds(61);
  noc.peers = 3;
  noc.messages = 40;
  noc.octets = 5000;
  noc.pending = 7;
  noc.walking = true;
  noc.overruns = 2;
  noc.last_error = "of the connection before";
  Station lab;
  lab.name = "lab";
  lab.monitor = {"adj-rib-out"};
  lab.state = "waiting";
  lab.age = std::chrono::seconds(9);
  lab.last_error = "cannot connect: Connection refused";
  const Stations stations{{noc, lab}};
  EXPECT_EQ("\n" + table(stations, plain),
            R"(
  STATION  STATE    SINCE  MONITORS            PEERS  MESSAGES  OCTETS  PENDING  OVERRUNS  LAST-ERROR
  noc      up        1m1s  pre-policy,loc-rib      3        40    5000  table+7         2  -
! lab      waiting     9s  adj-rib-out             0         0       0        0         0  cannot connect: Connection refused
)");
}

TEST(BlocksTable, EndsWithTheExceptions) {
  Blocks blocks;
  blocks.blocks = {{"c", 1, "10.64.0.16/28", "", "owned", 16, 3, 0, 12, 2, 0, 0, 1},
                   {"c", 2, "10.64.0.32/28", "", "foreign", 16, 1, 0, 0, 2}};
  blocks.exceptions = {{"10.64.0.37", "c", "10.64.0.32/28", "h2", "h1", "agreed", 2},
                       {"10.64.0.25", "c", "10.64.0.16/28", "h1", "h3", "not in etcd", 0}};
  blocks.max_exceptions = 64;
  EXPECT_EQ("\n" + table(blocks, plain),
            R"(
  POOL  INDEX  IPV4           IPV6  STATE          HELD  COOLING  FREE  OF  ADVERTISED
  c         1  10.64.0.16/28  -     owned, 1 lent     3        0    12  16  to 2
~ c         2  10.64.0.32/28  -     foreign           1        0     0  16  to 2

exceptions, each a route of its own (this host may borrow 64: ipam.max-exceptions)
  ADDRESS     POOL  OF BLOCK       OWNER  CONTAINER AT  STATE        ADVERTISED
  10.64.0.37  c     10.64.0.32/28  h2     h1            agreed       to 2
~ 10.64.0.25  c     10.64.0.16/28  h1     h3            not in etcd  -
)");
  ClaimedBlocks claims{{{"c", 1, "10.64.0.16/28", "", "h1", 7}}, {blocks.exceptions[0]}};
  EXPECT_THAT(table(claims, plain), HasSubstr("\nexceptions, each a route of its own\n"));
}

TEST(RouteDetail, SaysWhyASingleAddressHasARoute) {
  Route route = some_routes().routes[0];
  route.exception = "lent to a container of host h2";
  EXPECT_THAT(detail(route, plain), HasSubstr("exception      lent to a container of host h2\n"));
}

TEST(EmptyLists, SaySoInWords) {
  EXPECT_EQ(table(Aggregates{}, plain), "no aggregates are configured (bgp.aggregates)\n");
  EXPECT_EQ(table(Stations{}, plain), "no stations are configured (bgp.bmp.stations)\n");
  EXPECT_EQ(table(Policies{}, plain), "no policies are configured (bgp.policies)\n");
  EXPECT_EQ(table(Peers{}, plain), "no peers are configured (bgp.peers)\n");
  EXPECT_EQ(table(Routes{}, plain), "no routes are known\n");
  EXPECT_EQ(table(Blocks{}, plain), "this host owns no blocks (pools.<name>.claim)\n");
  EXPECT_EQ(table(Containers{}, plain), "no containers are attached\n");
  EXPECT_EQ(table(ClaimedBlocks{}, plain),
            "no host has claimed a block, or etcd was not read yet\n");
  EXPECT_EQ(table(Findings{}, plain), "records, kernel and store agree\n");
  EXPECT_EQ(table(Findings{{"one", "two"}}, plain), "one\ntwo\n");
}

TEST(Tables, PrintNoControlCharactersOfOthers) {
  Peers peers = some_peers();
  peers.peers[1].last_error =
      "peer says: \033[2J\a\r\n\xc2\x9b"
      "caf\xc3\xa9";
  for (const std::string& text : {table(peers, plain), detail(peers.peers[1], plain)}) {
    EXPECT_THAT(text, HasSubstr("peer says: ?[2J????caf\xc3\xa9"));
    EXPECT_THAT(text, Not(HasSubstr("\033")));
  }
}

TEST(DoctorTable, ShowsWhatIsWrongFirstWithItsCommand) {
  const Doctor doctor{{{"net.ipv4.ip_forward", "good", "is 1", ""},
                       {"a", "note", "is 3: slow", "sysctl -w a=4"},
                       {"b", "wrong", "is 0: lost", "sysctl -w b=1"}}};
  EXPECT_EQ(table(doctor, plain),
            "! b is 0: lost\n      sysctl -w b=1\n"
            "~ a is 3: slow\n      sysctl -w a=4\n"
            "  net.ipv4.ip_forward is 1\n");
}

TEST(FibCheckTable, MarksWhatNobodyKnewOf) {
  FibCheck check{3, 3, 2, 1, {}, 0, false, 0};
  EXPECT_EQ(table(check, plain),
            "3 routes in the RIB, 3 wanted in the kernel, 2 there; no difference\n"
            "1 routes changed meanwhile and were not compared\n");
  check.differences = {
      {"10.0.0.0/24", "missing", {}, {"192.0.2.1 dev eth1", "192.0.2.3 dev eth2"}, {}, ""},
      {"10.1.0.0/24", "foreign", {}, {"192.0.2.1 dev eth1"}, {}, "proto static metric 20"}};
  check.more = 7;
  check.repaired = true;
  check.remaining = 1;
  const std::string text = table(check, plain);
  EXPECT_THAT(text, HasSubstr("! 10.0.0.0/24  missing     -    192.0.2.1 dev eth1, 192.0.2.3"));
  EXPECT_THAT(text, HasSubstr("~ 10.1.0.0/24  foreign"));
  EXPECT_THAT(text, HasSubstr("~ and 7 more\n"));
  EXPECT_THAT(text, HasSubstr("; 9 differences\n"));
  EXPECT_THAT(text, HasSubstr("a second look still finds 1 differences\n"));
}

TEST(ImportedTable, SaysWhatBecameOfEachAddress) {
  Imported imported{{{"10.64.2.200", "a", "eth0", "fits", ""},
                     {"10.64.2.201", "b", "eth0", "known", ""},
                     {"10.99.0.1", "c", "eth0", "refused", "it is in no block"}},
                    false};
  EXPECT_EQ("\n" + table(imported, plain), R"(
  ADDRESS      CONTAINER  IFNAME  RESULT
  10.64.2.200  a          eth0    fits
  10.64.2.201  b          eth0    held already
! 10.99.0.1    c          eth0    refused: it is in no block
nothing was changed
)");
  imported.addresses.pop_back();
  imported.done = true;
  EXPECT_EQ("\n" + table(imported, plain), R"(
  ADDRESS      CONTAINER  IFNAME  RESULT
  10.64.2.200  a          eth0    taken over
  10.64.2.201  b          eth0    held already
)");
}

// An aggregate of ours is known to us; that a peer sends it back is worth a line.
TEST(RouteDetail, SaysWhoseAnAggregateOfAPeerIs) {
  Route route;
  route.prefix = "10.64.0.48/28";
  for (const char* peer : {"local", "tor1"}) {
    Path path;
    path.peer = peer;
    path.aggregator = "65001 10.255.0.1";
    route.paths.push_back(path);
  }
  const std::string text = detail(route, plain);
  EXPECT_THAT(text, HasSubstr("aggregated     by 65001 10.255.0.1 as tor1 says\n"));
  EXPECT_THAT(text, Not(HasSubstr("as local says")));
}

}  // namespace
}  // namespace weft::ctl
