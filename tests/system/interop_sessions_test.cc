// The interop matrix, sessions: every row is run against BIRD, FRR and GoBGP. To add a row, append
// it to rows() below: what weftd and each daemon have configured besides the base of interop.h, and
// what must then be seen. A daemon that cannot take part says why with unsupported(), and its test
// is skipped with that sentence. Other parts of the matrix: interop_routes_test.cc,
// interop_restarts_test.cc, interop_links_test.cc.
#include <gmock/gmock.h>

#include "tests/system/interop_matrix.h"

namespace weft::interop {
namespace {

using testing::HasSubstr;

/// Three hold times, and the session is the same one.
void stays_up(Pair& pair) {
  both_ways(pair);
  const json sessions = pair.peer()["established_count"];
  const std::uint64_t heard = pair.peer()["messages_received"];
  MUST(pair.until([&] { return pair.peer().value("messages_received", 0ULL) > heard + 8; }));
  EXPECT_EQ(pair.peer()["established_count"], sessions) << pair.story();
}

/// And what each withdraws is gone on the other side, of that family alone.
void stays_up_and_withdraws(Pair& pair) {
  stays_up(pair);
  pair.weftctl("announce 10.99.0.0/24");
  MUST(pair.until([&] { return pair.other_knows("10.99.0.0/24"); }));
  pair.weftctl("withdraw 10.99.0.0/24");
  MUST(pair.until([&] { return !pair.other_knows("10.99.0.0/24"); }));
  if (pair.daemon == Daemon::bird) pair.birdc("disable four");
  if (pair.daemon == Daemon::frr) {
    pair.configure_frr(
        {"router bgp 65002", "address-family ipv4 unicast", "no network 198.51.100.0/24"});
  }
  if (pair.daemon == Daemon::gobgp) pair.gobgp("global rib del 198.51.100.0/24 -a ipv4");
  MUST(pair.until([&] { return !pair.knows("198.51.100.0/24"); }));
  EXPECT_TRUE(pair.knows("2001:db8:1::/48") && pair.other_knows("10.64.0.0/26")) << pair.story();
}

void shares_local_preference(Pair& pair) {
  both_ways(pair);
  const char* said = pair.daemon == Daemon::bird  ? "BGP.local_pref: 100"
                     : pair.daemon == Daemon::frr ? "localpref 100"
                                                  : "{LocalPref: 100}";
  EXPECT_THAT(pair.other_route("10.64.0.0/26"), HasSubstr(said));
  EXPECT_EQ(pair.peer()["type"], "internal");
  EXPECT_EQ(first_path(pair, "198.51.100.0/24").value("as_path", "none"), "");
}

/// RFC 4271 6.2: weftd expects another AS there.
void says_that_its_as_is_wrong(Pair& pair) {
  MUST(pair.until([&] { return has(pair.weft_log(), "OPEN Message Error/Bad Peer AS"); }));
  EXPECT_EQ(pair.peer()["established_count"], 0);
  EXPECT_THAT(pair.weft_log(), HasSubstr("65002"));
}

/// The other does.
void hears_that_our_as_is_wrong(Pair& pair) {
  MUST(pair.until([&] {
    return has(pair.peer().value("last_received_notification", ""),
               "OPEN Message Error/Bad Peer AS");
  }));
  EXPECT_EQ(pair.peer()["established_count"], 0);
}

void hears_the_reason_of_a_shutdown(Pair& pair) {
  both_ways(pair);
  pair.other_shuts_down("moving");
  const std::string kind =
      pair.daemon == Daemon::gobgp ? "Administrative Reset" : "Administrative Shutdown";
  MUST(pair.until([&] {
    // Within a Hard Reset from who would have us keep its routes otherwise (RFC 8538 4).
    const std::string said = pair.peer().value("last_received_notification", "");
    return said == "Cease/" + kind + ": \"moving\"" ||
           said == "Cease/Hard Reset (Cease/" + kind + "): \"moving\"";
  }));
  EXPECT_THAT(pair.weftctl("peers peer"), HasSubstr("\"moving\""));
}

/// Another key there: nothing comes through until weftd has it too.
void speaks_signed(Pair& pair) {
  both_ways(pair);
  EXPECT_TRUE(pair.peer().value("password", false));
  EXPECT_EQ((pair.weftctl("peers --detail") + pair.weftctl("--json peers") + pair.weft_log())
                .find("s3cret"),
            std::string::npos);
  pair.reload("password: other");
  MUST(pair.until([&] { return pair.state() != "Established"; }));
  pair.reload("password: s3cret");
  MUST(pair.established());
}

void range_takes_a_signed_peer(Pair& pair) {
  both_ways(pair);
  const json peer = pair.peer();
  EXPECT_EQ(peer["name"], pair.other_address());
  EXPECT_EQ(peer["range"], "192.0.2.0/24");
  EXPECT_EQ(peer["asn"], 65002);
  EXPECT_EQ(pair.ctl("peers")["ranges"][0]["peers"], 1);
  EXPECT_THAT(pair.weftctl("peers"), HasSubstr("range 192.0.2.0/24: 1 of 3 peers"));
}

/// The same without its key: nothing gets in.
void range_refuses_an_unsigned_peer(Pair& pair) {
  MUST(pair.until([&] { return pair.ctl("peers").is_object(); }));
  EXPECT_FALSE(pair.until(
      [&] {
        return pair.other_session().find("Established") != std::string::npos ||
               !pair.ctl("peers")["peers"].empty();
      },
      std::chrono::seconds(5)))
      << pair.story();
}

/// weftd's operator says why; whoever is over there can read it.
void tells_the_reason_of_a_shutdown(Pair& pair) {
  both_ways(pair);
  pair.weftctl("peer shutdown peer --message \"moving racks\"");
  // FRR 8.4 tells its operator the kind of it only.
  const std::string told =
      pair.daemon == Daemon::frr ? "Cease/Administrative Shutdown" : "moving racks";
  MUST(pair.until(
      [&] { return (pair.other_session() + pair.other_log()).find(told) != std::string::npos; }));
  EXPECT_EQ(pair.state(), "Idle");
  pair.weftctl("peer start " + pair.other_address());
  MUST(pair.established());
  const json sessions = pair.peer()["established_count"];
  pair.weftctl("peer refresh peer");
  both_ways(pair);
  EXPECT_EQ(pair.peer()["established_count"], sessions);
}

/// It leaves the TTL alone, weftd asks for 255: whoever connects, nothing comes of it.
void refuses_a_low_ttl(Pair& pair) {
  MUST(pair.until([&] { return !pair.state().empty(); }));
  EXPECT_EQ(pair.peer()["least_ttl"], 255);
  EXPECT_FALSE(pair.until([&] { return pair.state() == "Established"; }, std::chrono::seconds(5)))
      << pair.story();
  pair.reload("gtsm: false");
  MUST(pair.established());
}

void speaks_over_two_hops(Pair& pair) {
  both_ways(pair);
  EXPECT_EQ(pair.peer()["ttl"], 2);
  EXPECT_EQ(pair.peer()["least_ttl"], 0);
  EXPECT_EQ(first_path(pair, "198.51.100.0/24")["next_hop"], "10.9.1.1");
}

/// Two hops are let in, but as a neighbour on the link the same peer is not even heard.
void asks_how_near_it_is(Pair& pair) {
  both_ways(pair);
  EXPECT_EQ(pair.peer()["ttl"], 255);
  EXPECT_EQ(pair.peer()["least_ttl"], 254);
  pair.reload("multihop: 1");
  MUST(pair.until([&] { return pair.peer()["least_ttl"] == 255; }));
  MUST(pair.until([&] { return has(pair.last_error(), "ttl 255 is asked for (gtsm)"); }));
  EXPECT_NE(pair.state(), "Established") << pair.story();
  pair.reload(pair.row.weft);
  MUST(pair.established());
}

void has_extended_messages(Pair& pair) {
  both_ways(pair);
  EXPECT_EQ(pair.peer()["max_send"], 65535) << pair.story();
  EXPECT_EQ(pair.peer()["max_receive"], 65535);
}

/// RFC 7705: it sees the AS it believes in, then ours.
void speaks_for_another_as(Pair& pair) {
  both_ways(pair);
  MUST(pair.until(
      [&] { return pair.other_route("10.64.0.0/26").find("64999 65001") != std::string::npos; }));
  const json route = pair.ctl("routes 198.51.100.0/24");
  EXPECT_EQ(route["routes"][0]["paths"][0]["as_path"], "64999 65002");
}

const Dialect bird_password{"password \"s3cret\";"};
const Dialect frr_password{" neighbor WEFT password s3cret\n"};
/// Among the keys of [neighbors.config], which its table may not name twice.
const Dialect gobgp_password{"", "", "", "auth-password = \"s3cret\"\n"};

const Dialect bird_multihop{"multihop 2;"};
const Dialect frr_multihop{" neighbor WEFT ebgp-multihop 2\n"};
const Dialect gobgp_multihop{
    "[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = 2\n"};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      {.name = "ExternalIpv4", .check = stays_up_and_withdraws},
      {.name = "ExternalIpv6", .check = both_ways, .ipv6 = true},
      {.name = "Internal", .check = shares_local_preference, .internal = true, .gtsm = false},
      {.name = "BadPeerAs", .check = says_that_its_as_is_wrong, .weft = "remote-as: 64999"},
      {.name = "BadPeerAsTheirs", .check = hears_that_our_as_is_wrong, .weft_as = "64999"},
      {.name = "Md5",
       .check = speaks_signed,
       .weft = "password: s3cret",
       .bird = bird_password,
       .frr = frr_password,
       .gobgp = gobgp_password},
      {.name = "Md5Ipv6",
       .check = both_ways,
       .weft = "password: s3cret",
       .bird = bird_password,
       .frr = frr_password,
       .gobgp = gobgp_password,
       .ipv6 = true},
      {.name = "Range",
       .check = range_takes_a_signed_peer,
       .weft = "remote-as: auto",
       .identity = "listen: 192.0.2.0/24, limit: 3"},
      {.name = "Md5Range",
       .check = range_takes_a_signed_peer,
       .weft = "password: s3cret",
       .bird = bird_password,
       .frr = frr_password,
       .gobgp = gobgp_password,
       .identity = "listen: 192.0.2.0/24, limit: 3"},
      {.name = "Md5RangeUnsigned",
       .check = range_refuses_an_unsigned_peer,
       .weft = "password: s3cret",
       .identity = "listen: 192.0.2.0/24, limit: 3"},
      {.name = "GtsmRefuses", .check = refuses_a_low_ttl, .weft = "gtsm: true", .gtsm = false},
      {.name = "Multihop",
       .check = speaks_over_two_hops,
       .weft = "multihop: 2",
       .bird = bird_multihop,
       .frr = frr_multihop,
       .gobgp = gobgp_multihop,
       .gtsm = false,
       .routed = true},
      {.name = "MultihopIpv6",
       .check = both_ways,
       .weft = "multihop: 2",
       .bird = bird_multihop,
       .frr = frr_multihop,
       .gobgp = gobgp_multihop,
       .ipv6 = true,
       .gtsm = false,
       .routed = true},
      {.name = "MultihopGtsm",
       .check = asks_how_near_it_is,
       .weft = "multihop: 2, gtsm: true",
       .bird = bird_multihop,
       .routed = true},
      {.name = "ExtendedMessages",
       .check = has_extended_messages,
       .bird = {"enable extended messages on;"},
       .gobgp = unsupported("GoBGP 3.10 has no RFC 8654")},
      {.name = "ExtendedParameters",
       .check = both_ways,
       .bird = unsupported("BIRD 2.0.12 sends RFC 9072 only when it has to"),
       .frr = unsupported("FRR 8.4, told to use RFC 9072, takes every OPEN for an extended one"),
       .gobgp = unsupported("GoBGP 3.10 has no RFC 9072")},
      {.name = "DelayOpen", .check = both_ways, .weft = "delay-open: 2"},
      {.name = "LocalAs",
       .check = speaks_for_another_as,
       .weft = "local-as: 64999",
       .weft_as = "64999"},
      {.name = "TellsShutdownText", .check = tells_the_reason_of_a_shutdown},
      {.name = "ShutdownText", .check = hears_the_reason_of_a_shutdown},
  };
  return table;
}

WEFT_INTEROP_PART(Sessions, rows(), WEFT_BINARY_DIR);

}  // namespace
}  // namespace weft::interop
