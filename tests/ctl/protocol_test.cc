#include "ctl/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weft::ctl {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const Attachment attachment{"demo", "0123456789abcdef", "eth0"};

std::vector<Request> every_request() {
  return {
      AddRequest{attachment, "/run/netns/c1", 4026532281, "containers", 1450},
      AddRequest{attachment, "/run/netns/c1", 0, "", std::nullopt},
      AddRequest{attachment,
                 "/run/netns/c1",
                 0,
                 "",
                 std::nullopt,
                 {*Address::parse("10.64.0.9")},
                 {{{*Address::parse("10.64.0.1"), *Address::parse("10.64.0.9")}}, {}}},
      DelRequest{attachment},
      AddRequest{attachment, "/n", 1, "", std::nullopt, {}, {}, true},
      AddRequest{attachment, "/n", 1, "", std::nullopt, {}, {}, true, true},
      DelRequest{attachment, 17},
      SpareRequest{attachment},
      CheckRequest{attachment},
      StatusRequest{},
      PeersRequest{},
      BfdRequest{},
      PeerRequest{"tor1", PeerVerb::shutdown, "moving racks"},
      PeerRequest{"192.0.2.1", PeerVerb::refresh, ""},
      RoutesRequest{},
      RoutesRequest{*Prefix::parse("fd64:0:0:1::/112")},
      RoutesRequest{{}, *Address::parse("fd64::1")},
      BlocksRequest{},
      ContainersRequest{},
      PoliciesRequest{},
      BmpRequest{},
      AggregatesRequest{},
      DrainRequest{true, "new memory"},
      DrainRequest{false, ""},
      FibCheckRequest{},
      FibCheckRequest{true},
      DoctorRequest{},
      ClaimsRequest{},
      IpamCheckRequest{},
      IpamCheckRequest{true},
      ReleaseBlockRequest{"containers", 11, 4711},
      AnnounceRequest{*Prefix::parse("10.0.0.1/32"), {"65001:1", "no-export"}, 7, 30, false},
      AnnounceRequest{*Prefix::parse("fd00::1/128"), {}, std::nullopt, std::nullopt, true},
      WithdrawRequest{*Prefix::parse("10.0.0.1/32"), true},
      AnnouncementsRequest{},
      MrtRequest{},
      MrtRequest{7},
      ImportRequest{"demo", {{*Address::parse("10.64.0.9"), "c1", "eth0"}}, true},
  };
}

TEST(RequestLine, ComesBackAsItWas) {
  for (const Request& request : every_request()) {
    const std::string line = encode(request);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto decoded = decode_request(line);
    ASSERT_TRUE(decoded) << line << ": " << decoded.error().message;
    EXPECT_EQ(*decoded, request) << line;
  }
}

TEST(RequestLine, IsWhatTheDocumentationSays) {
  EXPECT_EQ(*decode_request(R"({"method":"status"})"), Request{StatusRequest{}});
  EXPECT_EQ(encode(Request{StatusRequest{"fabric"}}),
            R"({"method":"status","network":"fabric","pool":""})");
  EXPECT_EQ(encode(Request{RoutesRequest{*Prefix::parse("10.0.0.0/8")}}),
            R"({"method":"routes","prefix":"10.0.0.0/8"})");
  EXPECT_EQ(encode(Request{DelRequest{attachment}}),
            R"({"method":"del","attachment":{"network":"demo",)"
            R"("container":"0123456789abcdef","ifname":"eth0"}})");
}

struct Refused {
  const char* name;
  std::string line;
  const char* sentence;
};

class RequestRefused : public testing::TestWithParam<Refused> {};

TEST_P(RequestRefused, NamesTheField) {
  const auto decoded = decode_request(GetParam().line);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::bad_request);
  EXPECT_THAT(decoded.error().message, HasSubstr(GetParam().sentence));
}

std::string add_with(const std::string& more) {
  return R"({"method":"add","attachment":{"network":"n","container":"c","ifname":"eth0"})" + more +
         "}";
}

INSTANTIATE_TEST_SUITE_P(
    Table, RequestRefused,
    testing::Values(
        Refused{"Empty", "", "one JSON object"}, Refused{"NoJson", "status", "one JSON object"},
        Refused{"List", "[]", "one JSON object"},
        Refused{"Trailing", R"({"method":"status"} x)", "one JSON object"},
        Refused{"KeyTwice", R"({"method":"status","method":"add"})", "no key twice"},
        Refused{"KeyTwiceInside",
                R"({"method":"del","attachment":{"network":"n","container":"c",)"
                R"("container":"d","ifname":"e"}})",
                "no key twice"},
        Refused{"Deep", std::string(60000, '['), "one JSON object"},
        Refused{"NoMethod", "{}", "field 'method' is missing"},
        Refused{"MethodType", R"({"method":1})", "field 'method' must be a text"},
        Refused{"UnknownMethod", R"({"method":"stats"})", "unknown method 'stats'; weftd knows"},
        Refused{"UnknownField", R"({"method":"status","verbose":true})",
                "status: field 'verbose' is unknown"},
        Refused{
            "UnknownNested",
            R"({"method":"del","attachment":{"network":"n","container":"c","ifname":"e","x":1}})",
            "del: field 'attachment.x' is unknown"},
        Refused{"MissingNested", R"({"method":"del","attachment":{"network":"n","container":"c"}})",
                "field 'attachment.ifname' is missing"},
        Refused{"Missing", R"({"method":"check"})", "check: field 'attachment' is missing"},
        Refused{"NotAnObject", R"({"method":"check","attachment":"c"})",
                "field 'attachment' must be an object, not a text"},
        Refused{"TextIsNumber", add_with(R"(,"netns":7,"netns_inode":1)"),
                "field 'netns' must be a text, not a number"},
        Refused{"NumberIsText", add_with(R"(,"netns":"/n","netns_inode":"1")"),
                "field 'netns_inode' must be a whole number, not a text"},
        Refused{"NumberIsFraction", add_with(R"(,"netns":"/n","netns_inode":1.5)"),
                "field 'netns_inode' must be a whole number, not a fraction"},
        Refused{"Negative", add_with(R"(,"netns":"/n","netns_inode":-1)"),
                "field 'netns_inode' is -1"},
        Refused{"MtuLow", add_with(R"(,"netns":"/n","netns_inode":1,"mtu":1279)"),
                "field 'mtu' is 1279, not in 1280..65535"},
        Refused{"MtuHigh", add_with(R"(,"netns":"/n","netns_inode":1,"mtu":65536)"),
                "field 'mtu' is 65536, not in 1280..65535"},
        Refused{"MtuHuge", add_with(R"(,"netns":"/n","netns_inode":1,"mtu":4294968796)"),
                "field 'mtu' is 4294968796"},
        Refused{"NetnsEmpty", add_with(R"(,"netns":"","netns_inode":1)"), "field 'netns' is empty"},
        Refused{"NetnsLong",
                add_with(",\"netns\":\"" + std::string(4097, 'n') + "\",\"netns_inode\":1"),
                "field 'netns' is 4097 octets long, more than 4096"},
        Refused{"ContainerEmpty",
                R"({"method":"del","attachment":{"network":"n","container":"","ifname":"e"}})",
                "field 'attachment.container' is empty"},
        Refused{"ContainerLong",
                R"({"method":"del","attachment":{"network":"n","container":")" +
                    std::string(256, 'c') + R"(","ifname":"e"}})",
                "field 'attachment.container' is 256 octets long, more than 255"},
        Refused{"IfnameLong",
                R"({"method":"del","attachment":{"network":"n","container":"c",)"
                R"("ifname":"sixteen-octets-x"}})",
                "field 'attachment.ifname' is 16 octets long, more than 15"},
        Refused{"ControlCharacter",
                "{\"method\":\"del\",\"attachment\":{\"network\":\"a\\nb\",\"container\":\"c\","
                "\"ifname\":\"e\"}}",
                "field 'attachment.network' holds a control character"},
        Refused{"PrefixType", R"({"method":"routes","prefix":["10.0.0.0/8"]})",
                "field 'prefix' must be a prefix, not a list"},
        Refused{"PrefixHostBits", R"({"method":"routes","prefix":"10.0.0.1/8"})",
                "field 'prefix': 10.0.0.1/8 has host bits set; the prefix is 10.0.0.0/8"},
        Refused{"TooLong", R"({"method":"status"})" + std::string(line_limit, ' '),
                "longer than 65536 octets"}),
    [](const auto& c) { return c.param.name; });

Status full_status() {
  Status status;
  status.version = "0.1.0";
  status.node = "h1";
  status.asn = 4200000011;
  status.router_id = "10.255.0.11";
  status.uptime = std::chrono::seconds(77);
  status.peers_established = 1;
  status.peers = 2;
  status.rib_routes = {{"ipv4", 3}, {"ipv6", 1ULL << 40}};
  status.fib_routes = {{"ipv4", 3}};
  status.fib_pending = 1;
  status.blocks = 1;
  status.containers = 4;
  status.addresses_free = 60;
  status.cannot_give = "pool p is draining";
  status.warnings = {"peer tor2 is down: \"hold timer expired\"\n", "caf\xc3\xa9"};
  return status;
}

Peers full_peers() {
  Peer peer;
  peer.name = "tor1";
  peer.description = "rack 1";
  peer.address = "192.0.2.1";
  peer.asn = 65001;
  peer.type = "external";
  peer.state = "Established";
  peer.router_id = "1.1.1.1";
  peer.local_address = "192.0.2.0";
  peer.capabilities = {"route-refresh", "as4"};
  peer.messages_received = 10;
  peer.messages_sent = 12;
  peer.established_count = 1;
  peer.range = "192.0.2.0/24";
  peer.password = true;
  peer.tcp_ao_keys = 2;
  peer.our_capabilities = {"route-refresh"};
  peer.max_send = 4096;
  peer.max_receive = 65535;
  peer.connect_retry = std::chrono::seconds(5);
  peer.send_hold = std::chrono::seconds(90);
  peer.ttl = 255;
  peer.least_ttl = 254;
  peer.last_sent_notification = "Hold Timer Expired";
  peer.last_received_notification = "Cease/Administrative Shutdown: \"caf\xc3\xa9\"";
  peer.malformed_updates = 3;
  peer.looped = 4;
  peer.leaked = 5;
  peer.ends = {{"hold_timer by us", 1}};
  peer.rtt_microseconds = 1234;
  peer.mss = 1448;
  peer.retransmits = 2;
  peer.send_queue = 19;
  peer.receive_queue = 0;
  peer.since = std::chrono::seconds(5);
  peer.hold_time = std::chrono::seconds(9);
  peer.keepalive = std::chrono::seconds(3);
  peer.families = {{"ipv4", 3, 2, 1, 1, true}, {"ipv6", 0, 0, 0, 1, false}};
  peer.families[0].above_limit = true;
  peer.families[0].passed_limit = "accepted-prefix-limit";
  peer.families[0].unheld = 6;
  peer.table = 100;
  peer.metric = 20;
  return {{peer, Peer{}}, {{"hosts", "192.0.2.0/24", 1, 64, 7}}};
}

struct Answer {
  Request request;
  Reply reply;
};

std::vector<Answer> every_answer() {
  const Lease lease{*Address::parse("10.64.2.193"),
                    *Address::parse("fd64::c1"),
                    "weft0123456789a",
                    1450,
                    "weft:containers:11:1:demo",
                    true,
                    17};
  const Route route{
      "10.64.2.192/26",
      "bgp",
      {{"tor1", "192.0.2.1", "65001 {65010,65011}", "igp", 100, 0, {"65001:1"}, true, false, ""},
       {"tor2",
        "192.0.2.3",
        "",
        "incomplete",
        {},
        {},
        {},
        false,
        true,
        "as-path",
        false,
        7,
        "65001 10.255.0.1",
        "192.0.2.9",
        {"192.0.2.8"},
        "10.0.0.0/8",
        5,
        {"192.0.2.3 dev eth1 weight 2"}}},
      {"192.0.2.1 dev eth1"},
      "installed",
      "lent to host2"};
  const Exception exception{
      "10.64.2.193", "containers", "10.64.2.192/26", "host1", "host2", "agreed", 2};
  return {
      {AddRequest{attachment, "/n", 1, "", {}}, lease},
      {CheckRequest{attachment}, Lease{{}, {}, "weft1", 1500, "", false}},
      {DelRequest{attachment}, Done{}},
      {StatusRequest{}, full_status()},
      {PeersRequest{}, full_peers()},
      {PeersRequest{}, Peers{}},
      {BfdRequest{},
       Bfd{{{"tor1", "192.0.2.1", "192.0.2.2", true, "Down", "Up", std::chrono::seconds(9),
             "path down", "no diagnostic", 300000, 900000, 7, 8, 9}},
           3}},
      {AnnounceRequest{*Prefix::parse("10.0.0.1/32"), {}, {}, {}, true}, Done{}},
      {AnnouncementsRequest{},
       Announcements{{{"10.0.0.1/32", {"65001:1"}, 7, "time", 30, 2}, Announcement{}}}},
      {MrtRequest{}, MrtRecords{1, "AAAA", true, 2, 3}},
      {RoutesRequest{}, Routes{{route, Route{}}}},
      {BlocksRequest{}, Blocks{{{"containers", 11, "10.64.2.192/26", "fd64::c0/122", "owned", 64, 3,
                                 1, 60, 2, 0, 0, 1}},
                               {exception},
                               64}},
      {ClaimsRequest{},
       ClaimedBlocks{{{"containers", 11, "10.64.2.192/26", "", "host1", 4711}}, {exception}}},
      {IpamCheckRequest{true}, Findings{{"all is lost"}}},
      {ReleaseBlockRequest{"containers", 11, 4711}, Done{}},
      {ContainersRequest{}, Containers{{{attachment, "10.64.2.193", "", "weft1", "/run/netns/c1",
                                         "containers", std::chrono::seconds(9), "attached"}}}},
      {PoliciesRequest{},
       Policies{{{"in", {"tor1"}, {}, {{"bogons", "reject", 3, 0}, {"2", "accept", 4, 0}}, 1, 0}}}},
      {AggregatesRequest{},
       Aggregates{{{"10.64.0.0/16", "announced", true, 3, 2, std::chrono::seconds(9), 4}}}},
      {BmpRequest{}, Stations{{{"noc",
                                "198.51.100.7",
                                11019,
                                {"pre-policy", "loc-rib"},
                                "up",
                                std::chrono::seconds(61),
                                3,
                                40,
                                5000,
                                7,
                                true,
                                2,
                                1,
                                1,
                                4096,
                                "refused"}}}},
      {FibCheckRequest{true},
       FibCheck{3,
                4,
                5,
                1,
                {{"10.0.0.0/24", "missing", {}, {"192.0.2.1 dev eth1"}, {}, "pending"}},
                2,
                true,
                1}},
      {DoctorRequest{}, Doctor{{{"net.ipv4.ip_forward", "wrong", "is 0", "sysctl -w x=1"}}}},
      {StatusRequest{}, Failure{ErrorCode::bad_request, "no"}},
      {AddRequest{attachment, "/n", 1, "", {}}, Failure{ErrorCode::exhausted, "none free"}},
      {CheckRequest{attachment}, Failure{ErrorCode::not_found, "not found"}},
      {StatusRequest{}, Failure{ErrorCode::busy, "starting"}},
      {StatusRequest{}, Failure{ErrorCode::internal, "oh"}}};
}

TEST(ReplyLine, ComesBackAsItWas) {
  for (const Answer& answer : every_answer()) {
    const std::string line = encode(answer.reply);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto decoded = decode_reply(line, answer.request);
    ASSERT_TRUE(decoded) << line << ": " << decoded.error().message;
    EXPECT_EQ(*decoded, answer.reply) << line;
  }
}

TEST(ReplyLine, ReplacesWhatIsNotUtf8) {
  const std::string line = encode(Reply{Failure{ErrorCode::internal, "name \xff\xfe of a peer"}});
  const auto decoded = decode_reply(line, StatusRequest{});
  ASSERT_TRUE(decoded) << line;
  EXPECT_THAT(std::get<Failure>(*decoded).message, StartsWith("name \xef\xbf\xbd"));
}

TEST(ReplyLine, MayComeFromANewerWeftd) {
  const auto unknown = decode_reply(R"({"ok":{"peers":[],"colour":"red"}})", PeersRequest{});
  ASSERT_TRUE(unknown);
  EXPECT_EQ(std::get<Peers>(*unknown), Peers{});
  const auto code = decode_reply(R"({"error":{"code":"tired","message":"m"}})", PeersRequest{});
  ASSERT_TRUE(code);
  EXPECT_EQ(std::get<Failure>(*code), (Failure{ErrorCode::internal, "m"}));
}

TEST(ReplyLine, IsRefusedWithASentence) {
  const std::vector<std::pair<const char*, const char*>> table{
      {"", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{}", "neither 'ok' nor 'error'"},
      {R"({"ok":[]})", "field 'ok' must be an object, not a list"},
      {R"({"ok":{}})", "field 'ok.peers' is missing"},
      {R"({"ok":{"peers":[{"name":1}]}})", "field 'ok.peers[0].name' must be a text"},
      {R"({"error":{"code":"busy"}})", "field 'error.message' is missing"}};
  for (const auto& [line, sentence] : table) {
    const auto decoded = decode_reply(line, PeersRequest{});
    ASSERT_FALSE(decoded) << line;
    EXPECT_THAT(decoded.error().message, HasSubstr(sentence));
  }
}

TEST(ErrorCodeName, IsWhatStandsOnTheWire) {
  EXPECT_EQ(name(ErrorCode::bad_request), "bad-request");
  EXPECT_EQ(name(ErrorCode::not_found), "not-found");
  EXPECT_EQ(name(ErrorCode::exhausted), "exhausted");
  EXPECT_EQ(name(ErrorCode::busy), "busy");
  EXPECT_EQ(name(ErrorCode::internal), "internal");
}

}  // namespace
}  // namespace weft::ctl
