// The interop matrix: every row is run against BIRD, FRR and GoBGP. To add a row, append it to
// rows() below: what weftd and each daemon have configured besides the base of interop.h, and what
// must then be seen. A daemon that cannot take part says why with unsupported(), and its test is
// skipped with that sentence.
#include <gmock/gmock.h>

#include "tests/system/interop.h"

namespace weft::interop {
namespace {

using testing::HasSubstr;

/// Nothing after it makes sense when `condition` does not hold, in whichever function.
#define MUST(condition) \
  if (!(condition)) throw std::runtime_error("not so: " #condition + pair.story())

void both_ways(Pair& pair) {
  MUST(pair.established());
  MUST(pair.exchanges_routes());
}

/// Three hold times, and the session is the same one.
void stays_up(Pair& pair) {
  both_ways(pair);
  const json sessions = pair.peer()["established_count"];
  const std::uint64_t heard = pair.peer()["messages_received"];
  MUST(pair.until([&] { return pair.peer().value("messages_received", 0ULL) > heard + 8; }));
  EXPECT_EQ(pair.peer()["established_count"], sessions) << pair.story();
}

void hears_the_reason_of_a_shutdown(Pair& pair) {
  both_ways(pair);
  pair.other_shuts_down("moving");
  MUST(pair.until([&] {
    // Within a Hard Reset from who would have us keep its routes otherwise (RFC 8538 4).
    const std::string said = pair.peer().value("last_received_notification", "");
    return said == "Cease/Administrative Shutdown: \"moving\"" ||
           said == "Cease/Hard Reset (Cease/Administrative Shutdown): \"moving\"";
  }));
  EXPECT_THAT(pair.weftctl("peers peer"), HasSubstr("\"moving\""));
}

/// weftd takes one prefix of a family, the other has two.
void ends_above_the_prefix_limit(Pair& pair) {
  MUST(pair.until([&] {
    return pair.last_error().find("Maximum Number of Prefixes Reached") != std::string::npos;
  }));
  EXPECT_THAT(pair.last_error(), HasSubstr("sent Cease"));
  EXPECT_THAT(pair.weftctl("peers peer"), HasSubstr("we said last"));
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

json first_path(const Pair& pair, const std::string& prefix) {
  const json reply = pair.ctl("routes " + prefix);
  if (!reply.is_object() || reply["routes"].empty()) return json::object();
  return reply["routes"][0]["paths"][0];
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

const Dialect bird_password{"password \"s3cret\";"};
const Dialect frr_password{" neighbor WEFT password s3cret\n"};
/// Among the keys of [neighbors.config], which its table may not name twice.
const Dialect gobgp_password{"", "", "", "auth-password = \"s3cret\"\n"};

const std::vector<Row>& rows() {
  static const std::vector<Row> table{
      {.name = "ExternalIpv4", .check = stays_up},
      {.name = "ExternalIpv6", .check = both_ways, .ipv6 = true},
      {.name = "Internal", .check = both_ways, .internal = true, .gtsm = false},
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
       .bird = {"multihop 2;"},
       .frr = {" neighbor WEFT ebgp-multihop 2\n"},
       .gobgp = {"[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = 2\n"},
       .gtsm = false},
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
      {.name = "LongLived",
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
      {.name = "TellsShutdownText", .check = tells_the_reason_of_a_shutdown},
      {.name = "ShutdownText",
       .check = hears_the_reason_of_a_shutdown,
       .gobgp = unsupported("GoBGP 3.10's own CLI sends no text with a shutdown")},
      {.name = "MaxPrefix", .check = ends_above_the_prefix_limit, .weft = "prefix-limit: 1"},
  };
  return table;
}

class Interoperates : public testing::TestWithParam<std::tuple<std::size_t, Daemon>> {};

TEST_P(Interoperates, With) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto [index, daemon] = GetParam();
  Pair pair(daemon, rows()[index], WEFT_BINARY_DIR);
  if (const std::string& why = pair.dialect().unsupported; !why.empty()) GTEST_SKIP() << why;
  pair.start();
  pair.row.check(pair);
}

INSTANTIATE_TEST_SUITE_P(Matrix, Interoperates,
                         testing::Combine(testing::Range<std::size_t>(0, rows().size()),
                                          testing::Values(Daemon::bird, Daemon::frr,
                                                          Daemon::gobgp)),
                         [](const auto& each) {
                           return rows()[std::get<0>(each.param)].name +
                                  std::string(name(std::get<1>(each.param)));
                         });

}  // namespace
}  // namespace weft::interop
