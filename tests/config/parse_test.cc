#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/document.h"

namespace weft::config {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

const Defaults defaults{"h11.example"};

const std::string node_lines =
    "node:\n"
    "  asn: 4200000011\n"
    "  router-id: 10.255.0.11\n";

/// The errors as one text, a line each.
std::string faults_of(std::string_view text) {
  const auto config = parse(text, "f", defaults);
  if (config) return "";
  std::string all;
  for (const ConfigError& error : config.error()) all += error.text() + '\n';
  return all;
}

Config config_of(const std::string& text) {
  const auto config = parse(text, "f", defaults);
  EXPECT_TRUE(config) << faults_of(text);
  return config ? *config : Config{};
}

/// One peer with these keys, in line 6.
std::string peer(const std::string& keys) {
  return node_lines + "bgp:\n  peers:\n    - {" + keys + "}\n";
}

TEST(ConfigParse, FillsInTheDefaults) {
  const Config config = config_of(node_lines);
  Config expected;
  expected.node = {"h11.example", bgp::Asn{4200000011}, bgp::RouterId{0x0aff000b}, {}};
  expected.ipam.labels = {{"name", "h11.example"}};
  expected.bgp.bmp.system_name = "h11.example";
  expected.bgp.asn = expected.node.asn;
  expected.bgp.router_id = expected.node.router_id;
  expected.bgp.bmp.system_name = expected.node.name;
  expected.fib.preferred_source_v4 = Address::parse("10.255.0.11").value();
  EXPECT_EQ(config, expected);
}

TEST(ConfigParse, ReadsEveryKey) {
  const Config config = config_of(R"(
node: {name: h1, asn: 65010, router-id: 10.255.0.1, router-address-ipv6: "fd00:ff::1"}
pools:
  one: {ipv4: 10.64.0.0/16, ipv6: "fd64:0:0:1::/112", ipv4-block-length: 28, ipv6-block-length: 124,
        claim: {static: {index: 3, blocks-per-host: 2}}}
  two: {ipv6: "fd65::/64", claim: {static: {blocks: [7, 3]}}, state: draining,
        reserved: ["fd65::/126", "fd65::9", "fd65::10-fd65::1f"], networks: [net.a, b],
        nodes: {rack: r1}}
ipam: {cool-down: 0, soft-cool-down: true, audit-interval: 3600, max-exceptions: 3,
       exception-community: "65001:1:2"}
bgp:
  listen: [10.0.0.1, "fd00::1"]
  port: 1179
  multipath: 64
  multipath-relax: false
  default-route: true
  cluster-id: 10.255.0.9
  groups:
    tors: {hold-time: 30, connect-retry: 7, description: from the group}
  peers:
    - address: 192.0.2.1
      name: tor1
      group: tors
      description: "left: \"top\" caf\u00e9"
      remote-as: 4200000001
      port: 1180
      source: 192.0.2.0
      families: [ipv6]
      passive: true
      gtsm: false
      shutdown: true
      connect-retry: 8
      idle-hold: 0
      send-hold: 31
      import: accept
      export: host
      prefix-limit: 4294967295
    - {address: "fd00::2", group: tors, remote-as: internal, hold-time: 0, send-hold: 0,
       route-reflector-client: true, add-path-receive: [ipv6, ipv4],
       add-path-send: {ipv4: all, ipv6: 4}}
fib: {install: false, table: 100, metric: 4294967294}
exporter: {listen: 192.0.2.9:9000}
cni: {mtu: 9000, anti-spoof: false, trusted-networks: [vpn, lb-1], masquerade: true}
)");
  EXPECT_EQ(config.node.name, "h1");
  EXPECT_EQ(config.node.router_address_ipv6, Address::parse("fd00:ff::1").value());
  ASSERT_EQ(config.ipam.pools.size(), 2U);
  EXPECT_EQ(config.ipam.pools[0].ipv4_block_length, 28);
  EXPECT_EQ(config.ipam.pools[0].ipv6_block_length, 124);
  EXPECT_EQ(std::get<ipam::StaticIndex>(config.ipam.pools[0].claim), (ipam::StaticIndex{3, 2}));
  EXPECT_FALSE(config.ipam.pools[1].ipv4);
  EXPECT_THAT(std::get<ipam::StaticBlocks>(config.ipam.pools[1].claim).indexes, ElementsAre(7, 3));
  EXPECT_EQ(config.ipam.cool_down, seconds(0));
  EXPECT_TRUE(config.ipam.soft_cool_down);
  EXPECT_EQ(config.ipam.max_exceptions, 3U);
  EXPECT_EQ(config.ipam.exception_community, "65001:1:2");
  EXPECT_EQ(config.ipam.audit_interval, seconds(3600));
  EXPECT_EQ(config.bgp.listen.size(), 2U);
  EXPECT_EQ(config.bgp.port, 1179);
  EXPECT_EQ(config.bgp.multipath, 64);
  EXPECT_FALSE(config.bgp.multipath_relax);
  EXPECT_TRUE(config.bgp.default_route);
  EXPECT_EQ(config.bgp.cluster_id, bgp::RouterId{0x0aff0009});
  EXPECT_EQ(config.bgp.pools.size(), 3U);
  ASSERT_EQ(config.bgp.peers.size(), 2U);
  bgp::PeerSettings tor1;
  tor1.name = "tor1";
  tor1.description = "left: \"top\" caf\xc3\xa9";
  tor1.address = *Address::parse("192.0.2.1");
  tor1.port = 1180;
  tor1.remote_as = bgp::Asn{4200000001};
  tor1.source = *Address::parse("192.0.2.0");
  tor1.families = {Family::ipv6};
  tor1.passive = true;
  tor1.gtsm = false;
  tor1.shutdown = true;
  tor1.hold_time = seconds(30);
  tor1.connect_retry = seconds(8);
  tor1.idle_hold = seconds(0);
  tor1.send_hold = seconds(31);
  tor1.import_filter = bgp::Filter::accept;
  tor1.export_filter = bgp::Filter::host;
  tor1.prefix_limit = 4294967295;
  EXPECT_EQ(config.bgp.peers[0], tor1);
  const bgp::PeerSettings& second = config.bgp.peers[1];
  EXPECT_EQ(second.name, "fd00::2");
  EXPECT_EQ(second.description, "from the group");
  EXPECT_EQ(second.hold_time, seconds(0));
  EXPECT_EQ(second.connect_retry, seconds(7));
  EXPECT_TRUE(second.route_reflector_client);
  EXPECT_THAT(second.add_path_receive, ElementsAre(Family::ipv4, Family::ipv6));
  using Paths = bgp::AddPathSend::Paths;
  EXPECT_EQ(second.add_path_send.at(Family::ipv4), (bgp::AddPathSend{Paths::all, 0}));
  EXPECT_EQ(second.add_path_send.at(Family::ipv6), (bgp::AddPathSend{Paths::best, 4}));
  EXPECT_EQ(std::get<bgp::RemoteAs>(second.remote_as), bgp::RemoteAs::internal);
  EXPECT_EQ(config.fib.table, 100U);
  EXPECT_EQ(config.fib.preferred_source_v6, config.node.router_address_ipv6);
  EXPECT_EQ(config.exporter.listen, (exporter::Listen{*Address::parse("192.0.2.9"), 9000}));
  EXPECT_EQ(config.cni.mtu, 9000U);
  EXPECT_FALSE(config.cni.anti_spoof);
  EXPECT_THAT(config.cni.trusted_networks, ElementsAre("vpn", "lb-1"));
  EXPECT_TRUE(config.cni.masquerade);
  EXPECT_EQ(config_of(render(config)), config);
}

TEST(ConfigParse, TakesTheExamples) {
  std::size_t examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(WEFT_SOURCE_DIR "/docs/examples")) {
    const auto config = load(entry.path().string(), defaults);
    ASSERT_TRUE(config) << config.error().front().text();
    EXPECT_EQ(config_of(render(*config)), *config) << entry.path();
    ++examples;
  }
  EXPECT_GE(examples, 3U);
}

TEST(ConfigParse, TakesBfdInThreeSpellings) {
  const auto config = parse(node_lines +
                                "bgp:\n  groups: {near: {bfd: {interval: 10, multiplier: 5}}}\n"
                                "  peers:\n"
                                "    - {address: 192.0.2.1, bfd: true}\n"
                                "    - {address: 192.0.2.2, group: near}\n"
                                "    - {address: 192.0.2.3, group: near, bfd: false}\n"
                                "    - {address: 192.0.2.4, bfd: {multihop: true}}\n",
                            "f", {"h"});
  ASSERT_TRUE(config) << config.error().front().text();
  const auto bfd = [&](std::size_t peer) { return config->bgp.peers[peer].bfd; };
  EXPECT_EQ(bfd(0), bgp::BfdSettings{});
  EXPECT_EQ(bfd(1), (bgp::BfdSettings{std::chrono::milliseconds(10), 5, {}}));
  EXPECT_EQ(bfd(2), std::nullopt);
  EXPECT_EQ(bfd(3)->multihop, true);
  const auto again = parse(render(*config), "again", {"h"});
  ASSERT_TRUE(again) << again.error().front().text();
  EXPECT_EQ(again->bgp.peers, config->bgp.peers);
}

TEST(ConfigParse, KnowsUnnumberedPeersByTheirInterface) {
  const auto config = parse(node_lines +
                                "bgp:\n  groups: {near: {gtsm: true}}\n  peers:\n"
                                "    - {interface: eth0}\n    - {interface: eth1.7, group: near}\n",
                            "f", {"h"});
  ASSERT_TRUE(config) << config.error().front().text();
  const bgp::PeerSettings& peer = config->bgp.peers[0];
  EXPECT_EQ(peer.name, "eth0");
  EXPECT_EQ(peer.interface, "eth0");
  EXPECT_TRUE(peer.is_unnumbered());
  EXPECT_FALSE(peer.uses_gtsm()) << "routers speak to such neighbours with TTL 1";
  EXPECT_TRUE(config->bgp.peers[1].uses_gtsm());
  const auto again = parse(render(*config), "again", {"h"});
  ASSERT_TRUE(again) << again.error().front().text();
  EXPECT_EQ(again->bgp.peers, config->bgp.peers);
}

TEST(ConfigParse, ReadsRanges) {
  const Config config = config_of(node_lines + R"(
bgp:
  groups: {rack: {remote-as: auto, hold-time: 30, password: of the rack}}
  peers:
    - {listen: 10.1.0.0/24, limit: 64, group: rack}
    - {listen: "fd00:1::/64", name: six}
)");
  ASSERT_EQ(config.bgp.peers.size(), 2U);
  const bgp::PeerSettings& four = config.bgp.peers[0];
  EXPECT_EQ(four.name, "10.1.0.0/24");
  EXPECT_EQ(four.range, Prefix::parse("10.1.0.0/24").value());
  EXPECT_EQ(four.range_limit, 64U);
  EXPECT_EQ(four.remote_as, (std::variant<bgp::RemoteAs, bgp::Asn>(bgp::RemoteAs::automatic)));
  EXPECT_EQ(four.hold_time, seconds(30));
  ASSERT_TRUE(four.password);
  EXPECT_EQ(four.password->reveal(), "of the rack");
  EXPECT_EQ(config.bgp.peers[1].name, "six");
  EXPECT_EQ(config.bgp.peers[1].range_limit, 100U);
}

TEST(ConfigParse, ReadsThePasswordFromItsFileAndNeverPrintsIt) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("weft-password-" + std::to_string(::getpid()));
  const auto said = [&](const std::string& text, unsigned mode) {
    std::ofstream(file) << text;
    std::filesystem::permissions(file, std::filesystem::perms(mode));
    return peer("address: 192.0.2.1, password-file: " + file.string());
  };
  const Config config = config_of(said("s3cret of tor1\n", 0640));
  ASSERT_EQ(config.bgp.peers.size(), 1U);
  EXPECT_EQ(config.bgp.peers[0].password, Secret("s3cret of tor1"));
  EXPECT_THAT(render(config), HasSubstr("password-file: \"" + file.string() + "\""));
  EXPECT_THAT(render(config), testing::Not(HasSubstr("s3cret")));
  EXPECT_EQ(config_of(render(config)), config);

  EXPECT_THAT(faults_of(said("s3cret\n", 0644)),
              HasSubstr("can be read by everybody; run: chmod 0600 " + file.string()));
  EXPECT_THAT(faults_of(said("s3\ncret\n", 0600)), HasSubstr("holds a control character"));
  EXPECT_THAT(faults_of(said(std::string(81, 'x'), 0600)), HasSubstr("1 to 80 octets"));
  std::filesystem::remove(file);

  const Config literal = config_of(peer("address: 192.0.2.1, password: s3cret"));
  EXPECT_THAT(render(literal), testing::Not(HasSubstr("s3cret")));
  EXPECT_EQ(faults_of(peer("address: 192.0.2.1, password: s3cret, hold-time: 1")).find("s3cret"),
            std::string::npos);
}

TEST(ConfigParse, ATableAndAMetricBelongToAPeerOrItsGroup) {
  const Config config = config_of(peer("address: 192.0.2.1, group: blue}\n"
                                       "    - {address: 192.0.2.3, metric: 5, group: blue}\n"
                                       "    - {address: 192.0.2.5") +
                                  "  groups:\n    blue: {table: 100, metric: 30}\n");
  ASSERT_EQ(config.bgp.peers.size(), 3U);
  EXPECT_EQ(config.bgp.peers[0].placement(), (Placement{100, 30}));
  EXPECT_EQ(config.bgp.peers[1].placement(), (Placement{100, 5}));
  EXPECT_EQ(config.bgp.peers[2].placement(), Placement{});
  EXPECT_THAT(faults_of(peer("address: 192.0.2.1, table: 255")),
              HasSubstr("table: 255 is the kernel's own table local; 254 is main"));
  EXPECT_THAT(faults_of(peer("address: 192.0.2.1, table: 0")),
              HasSubstr("'0' is not a whole number, 1..4294967295"));
  EXPECT_THAT(faults_of(peer("address: 192.0.2.1, metric: 4294967295")),
              HasSubstr("is not a whole number, 1..4294967294"));
  std::string many = "address: 192.0.2.1, table: 1000";
  for (int i = 1; i <= 48; ++i) {
    many += "}\n    - {address: 192.0.1." + std::to_string(i) + ", table: " + std::to_string(i);
  }
  EXPECT_THAT(faults_of(peer(many)), HasSubstr("more than 48 different pairs of table and metric"));
}

TEST(ConfigParse, ReadsATcpAoChainAndNeverPrintsItsSecrets) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("weft-ao-" + std::to_string(::getpid()));
  std::ofstream(file) << "s3cret\n";
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  const std::string secret = ", secret-file: " + file.string();
  const auto chain = [&](const std::string& keys) {
    return peer("address: 192.0.2.1, tcp-ao: [" + keys + "]");
  };
  const std::string one = "{send-id: 1, receive-id: 2" + secret + "}";
  const Config config = config_of(
      chain(one + ", {send-id: 3, receive-id: 4, algorithm: aes-128-cmac-96" + secret + "}"));
  ASSERT_EQ(config.bgp.peers.size(), 1U);
  const auto& keys = config.bgp.peers[0].tcp_ao;
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0].send_id, 1);
  EXPECT_EQ(keys[0].receive_id, 2);
  EXPECT_EQ(keys[0].algorithm, bgp::TcpAoAlgorithm::hmac_sha1_96);
  EXPECT_EQ(keys[1].algorithm, bgp::TcpAoAlgorithm::aes_128_cmac_96);
  EXPECT_EQ(keys[1].secret, Secret("s3cret"));
  EXPECT_THAT(render(config), testing::Not(HasSubstr("s3cret")));
  EXPECT_EQ(config_of(render(config)), config);

  EXPECT_THAT(faults_of(chain("")), HasSubstr("must list 1 to 8 keys"));
  EXPECT_THAT(faults_of(chain("{send-id: 1, receive-id: 2}")),
              HasSubstr("'secret-file' is missing"));
  EXPECT_THAT(faults_of(chain("{send-id: 256, receive-id: 2" + secret + "}")),
              HasSubstr("'256' is not a whole number, 0..255"));
  EXPECT_THAT(faults_of(chain("{send-id: 1, receive-id: 2, algorithm: md5" + secret + "}")),
              HasSubstr("must be hmac-sha1-96, aes-128-cmac-96 or hmac-sha256"));
  EXPECT_THAT(faults_of(chain(one + ", {send-id: 5, receive-id: 2" + secret + "}")),
              HasSubstr("has an id of a key before it"));
  EXPECT_THAT(faults_of(peer("address: 192.0.2.1, password: a, tcp-ao: [" + one + "]")),
              HasSubstr("give either 'tcp-ao' or a password"));
  EXPECT_THAT(faults_of(peer("listen: 192.0.2.0/24, tcp-ao: [" + one + "]")),
              HasSubstr("is for peers with an address"));
  EXPECT_THAT(faults_of(peer("interface: eth0, tcp-ao: [" + one + "]")),
              HasSubstr("is for peers with an address"));
  std::filesystem::remove(file);
}

TEST(ConfigRender, PrintsEveryDefault) {
  const std::string text = render(
      config_of(node_lines + "pools: {c: {ipv4: 10.64.0.0/16, claim: {static: {index: 0}}}}\n"
                             "bgp: {peers: [{address: 192.0.2.1}]}\n"));
  for (const char* line :
       {"  name: \"h11.example\"\n", "  # router-address-ipv6: none; the kernel chooses\n",
        "  \"c\":\n", "    ipv4-block-length: 26\n",
        "    claim: {static: {index: 0, blocks-per-host: 1}}\n", "  cool-down: 120\n",
        "  multipath: 16\n",
        "    - address: \"192.0.2.1\"\n      # interface: none\n      # listen: none\n      # "
        "limit: "
        "100\n      name: \"192.0.2.1\"\n",
        "      hold-time: 9\n", "      # prefix-limit: no limit\n", "  table: 254\n",
        "  listen: \"127.0.0.1:9798\"\n", "  # mtu: that of the uplinks\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

struct Case {
  const char* name;
  std::string text;
  /// All errors there are, in order.
  std::string faults;
};

class ConfigRefused : public testing::TestWithParam<Case> {};

TEST_P(ConfigRefused, SaysWhereAndWhy) {
  EXPECT_EQ(faults_of(GetParam().text), GetParam().faults);
}

constexpr auto name_of = [](const auto& c) { return c.param.name; };

/// One pool with these keys, in line 5.
std::string pool(const std::string& keys) {
  return node_lines + "pools:\n  c: {" + keys + "}\n";
}

INSTANTIATE_TEST_SUITE_P(
    Document, ConfigRefused,
    testing::Values(
        Case{"Empty", "", "f: is empty; at least node: with asn and router-id is needed\n"},
        Case{"OnlyComments", "# nothing\n\n",
             "f: is empty; at least node: with asn and router-id is needed\n"},
        Case{"Scalar", "weft", "f:1:1: must be a mapping (key: value), not a single value\n"},
        Case{"List", "- a", "f:1:1: must be a mapping (key: value), not a list\n"},
        Case{"Syntax", "node: [1\n", "f:2:1: not valid YAML: end of sequence flow not found\n"},
        Case{"Tab", "node:\n\t- b\n", "f:2:2: not valid YAML: illegal block entry\n"},
        Case{"Nul", node_lines + std::string("bgp\0:", 5),
             "f:4:4: a control character (0x00); the file must be UTF-8 text\n"},
        Case{"TwoDocuments", node_lines + "---\nbgp: {}\n",
             "f:4:1: a second document begins here; weft reads one a file\n"},
        Case{"Anchor", node_lines + "bgp: &x {}\n",
             "f:4:6: anchors and aliases are not read; what peers share goes into bgp.groups\n"},
        Case{"Tag", node_lines + "bgp: !!map {}\n",
             "f:4:6: tags are not read; write the value alone\n"},
        Case{"KeyIsList", node_lines + "? [a]\n: b\n", "f:4:3: a key must be a word, not a list\n"},
        Case{"TooLong", node_lines + std::string(text_limit, '\n'),
             "f: longer than 1048576 octets\n"},
        Case{"Twice", node_lines + "bgp: {}\nbgp: {port: 1}\n",
             "f:5:1: 'bgp' is given twice; the first is in line 4\n"},
        Case{"UnknownNear", node_lines + "bpg: {}\n",
             "f:4:1: unknown key 'bpg'; did you mean 'bgp'?\n"},
        Case{"UnknownFar", node_lines + "colour: red\n",
             "f:4:1: unknown key 'colour'; known here: node, pools, ipam, bgp, fib, exporter, "
             "cni\n"},
        Case{"Later", node_lines + "bfd: {}\n",
             "f:4:1: 'bfd': BFD goes with a peer or a group: bgp.peers[].bfd\n"},
        Case{"NoNode", "bgp: {}\n", "f:1:1: 'node' is missing: mapping\n"},
        Case{"SectionIsList", node_lines + "bgp: []\n",
             "f:4:6: bgp: must be a mapping (key: value), not a list\n"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Node, ConfigRefused,
    testing::Values(
        Case{"NodeEmpty", "node:\n",
             "f:1:1: node: 'asn' is missing: AS number, 1..4294967294 without 23456 and 65535\n"
             "f:1:1: node: 'router-id' is missing: IPv4 address\n"},
        Case{"AsnZero", "node: {asn: 0, router-id: 10.0.0.1}",
             "f:1:13: node.asn: 0 is no AS number: 0 is reserved (RFC 7607)\n"},
        Case{"AsnTrans", "node: {asn: 23456, router-id: 10.0.0.1}",
             "f:1:13: node.asn: 23456 is no AS number: 23456 is AS_TRANS, which no AS has (RFC "
             "6793)\n"},
        Case{"AsnReserved", "node: {asn: 65535, router-id: 10.0.0.1}",
             "f:1:13: node.asn: 65535 is no AS number: it is reserved (RFC 7300)\n"},
        Case{"AsnLast", "node: {asn: 4294967295, router-id: 10.0.0.1}",
             "f:1:13: node.asn: 4294967295 is no AS number: it is reserved (RFC 7300)\n"},
        Case{"AsnTooLarge", "node: {asn: 4294967296, router-id: 10.0.0.1}",
             "f:1:13: node.asn: '4294967296' is not a whole number, 0..4294967295\n"},
        Case{"AsnNegative", "node: {asn: -1, router-id: 10.0.0.1}",
             "f:1:13: node.asn: '-1' is not a whole number, 0..4294967295\n"},
        Case{"AsnOctal", "node: {asn: 010, router-id: 10.0.0.1}",
             "f:1:13: node.asn: '010' is not a whole number, 0..4294967295\n"},
        Case{"AsnMapping", "node: {asn: {}, router-id: 10.0.0.1}",
             "f:1:13: node.asn: must be a whole number, 0..4294967295, not a mapping\n"},
        Case{
            "RouterIdZero", "node: {asn: 1, router-id: 0.0.0.0}",
            "f:1:27: node.router-id: 0.0.0.0 is not an address of one host; give one that no other "
            "node has, such as 10.255.0.11\n"},
        Case{"RouterIdLoopback", "node: {asn: 1, router-id: 127.0.0.1}",
             "f:1:27: node.router-id: 127.0.0.1 is not an address of one host; give one that no "
             "other node has, such as 10.255.0.11\n"},
        Case{"RouterIdV6", "node: {asn: 1, router-id: 'fd00::1'}",
             "f:1:27: node.router-id: fd00::1 is not an IPv4 address\n"},
        Case{"RouterIdNumber", "node: {asn: 1, router-id: 11}",
             "f:1:27: node.router-id: '11' is not an IPv4 or IPv6 address\n"},
        Case{
            "RouterV6LinkLocal",
            "node: {asn: 1, router-id: 10.0.0.1, router-address-ipv6: 'fe80::1'}",
            "f:1:58: node.router-address-ipv6: fe80::1 is not a routable address of one host, such "
            "as fd64:0:0:ff::11\n"},
        Case{"NameSpace", "node: {asn: 1, router-id: 10.0.0.1, name: 'a b'}",
             "f:1:43: node.name: 'a b' may hold letters, digits and '-' '_' '.' only\n"},
        Case{"NameEmpty", "node: {asn: 1, router-id: 10.0.0.1, name: ''}",
             "f:1:43: node.name: must have 1 to 64 octets, not 0\n"},
        Case{"RouterIdInPool",
             "node: {asn: 1, router-id: 10.64.0.1}\n"
             "pools: {c: {ipv4: 10.64.0.0/16, claim: {static: {index: 0}}}}\n",
             "f:1:27: node.router-id: 10.64.0.1 is inside of pool 'c', whose addresses are for "
             "containers; give one outside of 10.64.0.0/16\n"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Pools, ConfigRefused,
    testing::Values(
        Case{"NoAddresses", pool("claim: {static: {index: 0}}"),
             "f:5:6: pools.c: has no addresses; give ipv4, ipv6 or both\n"},
        Case{"NoClaim", pool("ipv4: 10.64.0.0/16"),
             "f:5:6: pools.c: 'claim' is missing: {static: {index: N}}, {static: {index: N, "
             "blocks-per-host: M}}, {static: {blocks: [N, ...]}} or {etcd: {...}}\n"},
        Case{"HostBits", pool("ipv4: 10.64.0.1/16, claim: {static: {index: 0}}"),
             "f:5:13: pools.c.ipv4: 10.64.0.1/16 has host bits set; the prefix is 10.64.0.0/16\n"},
        Case{"WrongFamily", pool("ipv4: 'fd00::/112', claim: {static: {index: 0}}"),
             "f:5:13: pools.c.ipv4: fd00::/112 is not an IPv4 prefix such as 10.64.0.0/16\n"},
        Case{"NotAPrefix", pool("ipv6: fd00, claim: {static: {index: 0}}"),
             "f:5:13: pools.c.ipv6: 'fd00' is not a prefix such as 10.0.0.0/8 or fd00::/64\n"},
        Case{"Multicast", pool("ipv4: 224.0.0.0/16, claim: {static: {index: 0}}"),
             "f:5:13: pools.c.ipv4: 224.0.0.0/16 overlaps 224.0.0.0/3, which no container can "
             "use\n"},
        Case{"Everything", pool("ipv6: '::/0', claim: {static: {index: 0}}"),
             "f:5:13: pools.c.ipv6: ::/0 overlaps ::/16, which no container can use\n"},
        Case{"LengthRange",
             pool("ipv4: 10.64.0.0/16, ipv4-block-length: 33, claim: {static: {index: 0}}"),
             "f:5:46: pools.c.ipv4-block-length: '33' is not a whole number, 20..32\n"},
        Case{"BlockLargerThanPool",
             pool("ipv4: 10.64.0.0/24, ipv4-block-length: 20, claim: {static: {index: 0}}"),
             "f:5:46: pools.c.ipv4-block-length: blocks of /20 are larger than the pool "
             "10.64.0.0/24; give 24..32\n"},
        Case{"DefaultBlockLargerThanPool", pool("ipv4: 10.64.0.0/27, claim: {static: {index: 0}}"),
             "f:5:13: pools.c.ipv4-block-length: blocks of /26 are larger than the pool "
             "10.64.0.0/27; give 27..32\n"},
        Case{"Unpaired",
             pool("ipv4: 10.64.0.0/16, ipv6: 'fd64::/112', ipv4-block-length: 27, claim: {static: "
                  "{index: 0}}"),
             "f:5:6: pools.c: blocks of /27 have 5 host bits and blocks of /122 have 6, so they "
             "cannot be paired; the ipv6-block-length that goes with /27 is 123\n"},
        Case{"IndexBeyond", pool("ipv4: 10.64.0.0/24, claim: {static: {index: 4}}"),
             "f:5:34: pools.c.claim: index 4 is beyond the pool, which has 4 blocks for the "
             "indexes 0..3\n"},
        Case{"IndexBeyondTheSmaller",
             pool("ipv4: 10.64.0.0/16, ipv6: 'fd64::/121', claim: {static: {index: 2}}"),
             "f:5:54: pools.c.claim: index 2 is beyond the pool, which has 2 blocks for the "
             "indexes 0..1\n"},
        Case{"IndexTimesPerHost",
             pool("ipv4: 10.64.0.0/24, claim: {static: {index: 1, blocks-per-host: 3}}"),
             "f:5:34: pools.c.claim: index 1 is beyond the pool, which has 4 blocks for the "
             "indexes 0..0\n"},
        Case{"PerHostBeyond",
             pool("ipv4: 10.64.0.0/24, claim: {static: {index: 0, blocks-per-host: 5}}"),
             "f:5:34: pools.c.claim: blocks-per-host is 5, but the pool has 4 blocks\n"},
        Case{"PerHostZero",
             pool("ipv4: 10.64.0.0/24, claim: {static: {index: 0, blocks-per-host: 0}}"),
             "f:5:71: pools.c.claim.static.blocks-per-host: '0' is not a whole number, 1..1024\n"},
        Case{"BlockBeyond", pool("ipv4: 10.64.0.0/24, claim: {static: {blocks: [0, 4]}}"),
             "f:5:34: pools.c.claim: block 4 is beyond the pool, which has the blocks 0..3\n"},
        Case{"GatewayNoRoom",
             pool("ipv4: 10.64.0.0/24, ipv4-block-length: 31, gateway: true, claim: {static: "
                  "{index: 0}}"),
             "f:5:59: pools.c.gateway: blocks with a gateway need 4 addresses or more\n"},
        Case{"ReservedOutside",
             pool("ipv4: 10.64.0.0/24, reserved: [10.64.1.0-10.64.1.9], claim: {static: {index: "
                  "0}}"),
             "f:5:37: pools.c.reserved: 10.64.1.0 to 10.64.1.9 is not inside of the pool\n"},
        Case{"ReservedBackwards",
             pool("ipv4: 10.64.0.0/24, reserved: [10.64.0.9-10.64.0.1], claim: {static: {index: "
                  "0}}"),
             "f:5:38: pools.c.reserved: '10.64.0.9-10.64.0.1' is not a range of addresses, such as "
             "10.64.0.1-10.64.0.9\n"},
        Case{"PoolState", pool("ipv4: 10.64.0.0/24, state: off, claim: {static: {index: 0}}"),
             "f:5:34: pools.c.state: must be active or draining\n"},
        Case{"BlockTwice", pool("ipv4: 10.64.0.0/24, claim: {static: {blocks: [1, 1]}}"),
             "f:5:56: pools.c.claim.static.blocks: block 1 is listed twice\n"},
        Case{"BlocksEmpty", pool("ipv4: 10.64.0.0/24, claim: {static: {blocks: []}}"),
             "f:5:52: pools.c.claim.static.blocks: must list 1 to 1024 block indexes, not 0\n"},
        Case{"BlocksScalar", pool("ipv4: 10.64.0.0/24, claim: {static: {blocks: 3}}"),
             "f:5:52: pools.c.claim.static.blocks: must be a list: [3]\n"},
        Case{"IndexAndBlocks", pool("ipv4: 10.64.0.0/24, claim: {static: {index: 1, blocks: [1]}}"),
             "f:5:43: pools.c.claim.static: give either 'index' (of this host) or 'blocks' (a list "
             "of block indexes)\n"},
        Case{"ClaimUnknown", pool("ipv4: 10.64.0.0/24, claim: {static: {idx: 1, index: 1}}"),
             "f:5:44: pools.c.claim.static: unknown key 'idx'; known here: index, blocks-per-host, "
             "blocks\n"},
        Case{"ClaimEtcd", pool("ipv4: 10.64.0.0/24, claim: {etcd: {}}"),
             "f:5:34: pools.c: etcd.endpoints is missing in every pool; give it in one\n"},
        Case{"ClaimEtcdUrl", pool("ipv4: 10.64.0.0/24, claim: {etcd: {endpoints: [etcd:2379]}}"),
             "f:5:54: pools.c.claim.etcd.endpoints: must be http://HOST:PORT or "
             "https://HOST:PORT\n"},
        Case{"Borrow",
             pool("ipv4: 10.64.0.0/24, claim: {etcd: {endpoints: [http://a:1], borrow: always}}"),
             "f:5:75: pools.c.claim.etcd.borrow: must be never or explicit\n"},
        Case{"BorrowFromSubnets",
             pool("ipv4: 10.64.0.0/24, gateway: true, claim: {etcd: {endpoints: [http://a:1], "
                  "borrow: explicit}}"),
             "f:5:49: pools.c.claim: borrow: explicit does not go with gateway: an address outside "
             "of its subnet would not reach the gateway\n"},
        Case{"BorrowOfOne",
             pool("ipv4: 10.64.0.0/24, ipv4-block-length: 32, claim: {etcd: {endpoints: "
                  "[http://a:1], borrow: explicit}}"),
             "f:5:57: pools.c.claim: borrow: explicit needs blocks of more than one address: to "
             "lend the only one is to give up the block\n"},
        Case{
            "ClaimTwice",
            pool(
                "ipv4: 10.64.0.0/24, claim: {static: {index: 0}, etcd: {endpoints: [http://a:1]}}"),
            "f:5:34: pools.c.claim: both static and etcd; give {static: {index: N}}, {static: "
            "{blocks: [N, ...]}} or {etcd: {endpoints: [URL, ...]}}\n"},
        Case{"TwoStores",
             node_lines + "pools:\n"
                          "  a: {ipv4: 10.64.0.0/16, claim: {etcd: {endpoints: [http://a:1]}}}\n"
                          "  b: {ipv4: 10.65.0.0/16, claim: {etcd: {endpoints: [http://b:1]}}}\n",
             "f:6:34: pools.b: another etcd, user or prefix than that of another pool; they share "
             "one\n"},
        Case{"ClaimScalar", pool("ipv4: 10.64.0.0/24, claim: 3"),
             "f:5:34: pools.c.claim: must say how this host comes by its blocks; give {static: "
             "{index: N}}, {static: {blocks: [N, ...]}} or {etcd: {endpoints: [URL, ...]}}\n"},
        Case{"Overlap",
             node_lines + "pools:\n"
                          "  a: {ipv4: 10.64.0.0/16, claim: {static: {index: 0}}}\n"
                          "  b: {ipv4: 10.64.9.0/24, claim: {static: {index: 0}}}\n",
             "f:6:13: pools.b.ipv4: 10.64.9.0/24 overlaps 10.64.0.0/16 of pool 'a'; pools must be "
             "apart\n"},
        Case{"PoolName",
             node_lines + "pools:\n  a b: {ipv4: 10.64.0.0/16, claim: {static: {index: 0}}}\n",
             "f:5:3: pools: 'a b' may hold letters, digits and '-' '_' only\n"},
        Case{"PoolKey", pool("ipv4: 10.64.0.0/16, block-length: 26, claim: {static: {index: 0}}"),
             "f:5:27: pools.c: unknown key 'block-length'; did you mean 'ipv4-block-length'?\n"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Peers, ConfigRefused,
    testing::Values(
        Case{"NoAddress", peer("remote-as: 65001"),
             "f:6:7: bgp.peers[0]: 'address' is missing: the IPv4 or IPv6 address of the peer, "
             "'interface' for the router at the other end of a link, or 'listen' for a range\n"},
        Case{"BfdTooFast", peer("address: 192.0.2.1, bfd: {interval: 9}"),
             "f:6:44: bgp.peers[0].bfd.interval: '9' is not a whole number of milliseconds, "
             "10..60000\n"},
        Case{"BfdKey", peer("address: 192.0.2.1, bfd: {multipler: 3}"),
             "f:6:34: bgp.peers[0].bfd.multipler: unknown key 'multipler'; did you mean "
             "'multiplier'?\n"},
        Case{"AddressAndInterface", peer("address: 192.0.2.1, interface: eth0"),
             "f:6:39: bgp.peers[0]: has both 'address' and 'interface'; a peer is known by its "
             "address or its interface, or it is a range\n"},
        Case{"InterfaceTooLong", peer("interface: sixteen-letters-"),
             "f:6:19: bgp.peers[0].interface: must have 1 to 15 octets, not 16\n"},
        Case{"SourceOfUnnumbered", peer("interface: eth0, source: 192.0.2.1"),
             "f:6:33: bgp.peers[0].source: an unnumbered peer is spoken to from the link-local "
             "address\n"},
        Case{"BindInterfaceOfUnnumbered", peer("interface: eth0, bind-interface: eth1"),
             "f:6:41: bgp.peers[0].bind-interface: an unnumbered peer is spoken to on its own "
             "interface\n"},
        Case{"MultihopOfUnnumbered", peer("interface: eth0, multihop: 2"),
             "f:6:35: bgp.peers[0].multihop: an unnumbered peer is one hop away\n"},
        Case{"UnnumberedOfTwoPasswords",
             peer("interface: eth0, password: a}\n    - {interface: eth1, password: b"),
             "f:7:7: bgp.peers: the kernel cannot tell link-local addresses of different links "
             "apart: unnumbered peers have one password together, or none\n"},
        Case{"UnnumberedWithAndWithoutPassword",
             peer("interface: eth0, password: a}\n    - {interface: eth1"),
             "f:7:7: bgp.peers: the kernel cannot tell link-local addresses of different links "
             "apart: unnumbered peers have one password together, or none\n"},
        Case{"InterfaceTwice", peer("interface: eth0}\n    - {interface: eth0, name: b"),
             "f:7:19: bgp.peers[1].interface: a peer with the interface eth0 is in line 6 "
             "already\n"},
        Case{"RangeAndAddress", peer("address: 192.0.2.1, listen: 10.1.0.0/24"),
             "f:6:36: bgp.peers[0]: has both 'address' and 'listen'; a peer is known by its "
             "address or its interface, or it is a range\n"},
        Case{"RangeLimitTooLarge", peer("listen: 10.1.0.0/24, limit: 4097"),
             "f:6:36: bgp.peers[0].limit: '4097' is not a whole number, 1..4096\n"},
        Case{"LimitOfOne", peer("address: 192.0.2.1, limit: 2"),
             "f:6:35: bgp.peers[0].limit: goes with 'listen' only: one address is one peer\n"},
        Case{"RangePassive", peer("listen: 10.1.0.0/24, passive: true"),
             "f:6:38: bgp.peers[0].passive: says nothing of a range: weftd never connects to its "
             "peers\n"},
        Case{"RangeTwice", peer("listen: 10.1.0.0/24}\n    - {listen: 10.1.0.7/24, name: b"),
             "f:7:16: bgp.peers[1].listen: 10.1.0.7/24 has host bits set; the prefix is "
             "10.1.0.0/24\n"},
        Case{"SameRange", peer("listen: 10.1.0.0/24}\n    - {listen: 10.1.0.0/24, name: b"),
             "f:7:16: bgp.peers[1].listen: a range 10.1.0.0/24 is in line 6 already\n"},
        Case{"RangeMulticast", peer("listen: 224.0.0.0/8"),
             "f:6:16: bgp.peers[0].listen: 224.0.0.0/8 holds no peers' addresses\n"},
        Case{"PasswordEmpty", peer("address: 192.0.2.1, password: ''"),
             "f:6:38: bgp.peers[0].password: must hold 1 to 80 octets, not 0\n"},
        Case{"PasswordTooLong", peer("address: 192.0.2.1, password: " + std::string(81, 's')),
             "f:6:38: bgp.peers[0].password: must hold 1 to 80 octets, not 81\n"},
        Case{"PasswordOfAControlCharacter", peer("address: 192.0.2.1, password: \"a\\tb\""),
             "f:6:38: bgp.peers[0].password: holds a control character; a password is one line of "
             "text\n"},
        Case{"PasswordTwice", peer("address: 192.0.2.1, password: a, password-file: /dev/null"),
             "f:6:56: bgp.peers[0].password-file: /dev/null is not a plain file\n"
             "f:6:56: bgp.peers[0]: give either 'password' or 'password-file'\n"},
        Case{"PasswordFileNotThere", peer("address: 192.0.2.1, password-file: /none/key"),
             "f:6:43: bgp.peers[0].password-file: /none/key cannot be opened: No such file or "
             "directory\n"},
        Case{"PasswordFileRelative", peer("address: 192.0.2.1, password-file: key"),
             "f:6:43: bgp.peers[0].password-file: key must be an absolute path\n"},
        Case{"UnsignedInsideOfASignedRange",
             peer("listen: 10.1.0.0/24, password: a}\n    - {address: 10.1.0.7"),
             "f:7:7: bgp.peers: 10.1.0.7/32 has no password, but lies inside of 10.1.0.0/24, which "
             "has one: give it one, too\n"},
        Case{"Multihop", peer("address: 192.0.2.1, multihop: 256"),
             "f:6:38: bgp.peers[0].multihop: '256' is not a whole number, 1..255\n"},
        Case{"NotAMapping", node_lines + "bgp:\n  peers:\n    - 192.0.2.1\n",
             "f:6:7: bgp.peers[0]: must be a mapping such as {address: 192.0.2.1, remote-as: "
             "65001}, not a single value\n"},
        Case{"NotAList", node_lines + "bgp:\n  peers: {address: 192.0.2.1}\n",
             "f:5:10: bgp.peers: must be a list, not a mapping\n"},
        Case{"HostName", peer("address: tor1"),
             "f:6:17: bgp.peers[0].address: 'tor1' is not an IPv4 or IPv6 address\n"},
        Case{"Zone", peer("address: fe80::1%eth0"),
             "f:6:17: bgp.peers[0].address: 'fe80::1%eth0' is not an IPv4 or IPv6 address\n"},
        Case{"LinkLocal", peer("address: fe80::1"),
             "f:6:17: bgp.peers[0].address: fe80::1 is link-local; say interface: in place of "
             "address:, and weft finds it there\n"},
        Case{"Unspecified", peer("address: 0.0.0.0"),
             "f:6:17: bgp.peers[0].address: 0.0.0.0 is not an address of one host\n"},
        Case{"Self", peer("address: 10.255.0.11"),
             "f:6:17: bgp.peers[0].address: 10.255.0.11 is the router address of this host "
             "itself\n"},
        Case{"RemoteAsWord", peer("address: 192.0.2.1, remote-as: any"),
             "f:6:39: bgp.peers[0].remote-as: must be external, internal, auto or an AS number\n"},
        Case{"RemoteAsZero", peer("address: 192.0.2.1, remote-as: 0"),
             "f:6:39: bgp.peers[0].remote-as: 0 is no AS number: 0 is reserved (RFC 7607)\n"},
        Case{"HoldTime", peer("address: 192.0.2.1, hold-time: 2"),
             "f:6:39: bgp.peers[0].hold-time: '2' is not a whole number of seconds, 0 or "
             "3..65535\n"},
        Case{"HoldTimeUnit", peer("address: 192.0.2.1, hold-time: 9s"),
             "f:6:39: bgp.peers[0].hold-time: '9s' is not a whole number of seconds, 0 or "
             "3..65535\n"},
        Case{"SendHold", peer("address: 192.0.2.1, hold-time: 90, send-hold: 90"),
             "f:6:54: bgp.peers[0].send-hold: 90 s must be longer than hold-time, 90 s, or 0 for "
             "off (RFC 9687)\n"},
        Case{"ReflectsOutside", peer("address: 192.0.2.1, route-reflector-client: true"),
             "f:6:52: bgp.peers[0].route-reflector-client: only an internal peer can be a client; "
             "say remote-as: internal\n"},
        Case{"MappedAddress", peer("address: \"::ffff:192.0.2.1\""),
             "f:6:17: bgp.peers[0].address: '::ffff:192.0.2.1' is an IPv4 address inside of an "
             "IPv6 one, which nothing is sent to; give 192.0.2.1\n"},
        Case{"MappedRange", peer("listen: \"::ffff:192.0.2.0/120\""),
             "f:6:16: bgp.peers[0].listen: '::ffff:192.0.2.0/120' is an IPv4 prefix inside of an "
             "IPv6 one, which nothing is sent to; give 192.0.2.0/24\n"},
        Case{"LocalAsOfTheNode", peer("address: 192.0.2.1, local-as: 4200000011"),
             "f:6:38: bgp.peers[0].local-as: 4200000011 is node.asn, which every session speaks "
             "for already; leave it out\n"},
        Case{
            "OverrideInside",
            peer("address: 192.0.2.1, remote-as: internal, as-override: true, remove-private: "
                 "all"),
            "f:6:62: bgp.peers[0].as-override: is for peers of another AS, and this one is "
            "internal: AS_PATH stays as it is there (RFC 4271, 5.1.2); say false, or leave it out\n"
            "f:6:84: bgp.peers[0].remove-private: is for peers of another AS, and this one is "
            "internal: AS_PATH stays as it is there (RFC 4271, 5.1.2); say none, or leave it "
            "out\n"},
        Case{"OverrideOfOurOwnAs",
             peer("address: 192.0.2.1, remote-as: 4200000011, as-override: true"),
             "f:6:64: bgp.peers[0].as-override: is for peers of another AS, and this one is "
             "internal: AS_PATH stays as it is there (RFC 4271, 5.1.2); say false, or leave it "
             "out\n"},
        Case{"AddPathCount", peer("address: 192.0.2.1, add-path-send: {ipv4: 1, ipv5: all}"),
             "f:6:50: bgp.peers[0].add-path-send.ipv4: '1' is not a whole number, 2..64\n"
             "f:6:53: bgp.peers[0].add-path-send: a family is ipv4 or ipv6\n"},
        Case{"AddPathMode", peer("address: 192.0.2.1, add-path-send: {ipv4: some}"),
             "f:6:50: bgp.peers[0].add-path-send.ipv4: must be all, ecmp or how many of the best "
             "paths, 2..64\n"},
        Case{"Port", peer("address: 192.0.2.1, port: 65536"),
             "f:6:34: bgp.peers[0].port: '65536' is not a whole number, 1..65535\n"},
        Case{"Boolean", peer("address: 192.0.2.1, passive: yes"),
             "f:6:37: bgp.peers[0].passive: 'yes' is not true or false\n"},
        Case{"SourceFamily", peer("address: 192.0.2.1, source: 'fd00::1'"),
             "f:6:36: bgp.peers[0].source: fd00::1 and the peer's address 192.0.2.1 are of "
             "different families; give an IPv4 address of this host\n"},
        Case{"SourceIsPeer", peer("address: 192.0.2.1, source: 192.0.2.1"),
             "f:6:36: bgp.peers[0].source: 192.0.2.1 is the address of the peer\n"},
        Case{"FamiliesEmpty", peer("address: 192.0.2.1, families: []"),
             "f:6:38: bgp.peers[0].families: must list at least one of ipv4, ipv6\n"},
        Case{"FamiliesUnknown", peer("address: 192.0.2.1, families: [ipv4, ipv5, ipv4]"),
             "f:6:45: bgp.peers[0].families: a family is ipv4 or ipv6\n"
             "f:6:51: bgp.peers[0].families: ipv4 is listed twice\n"},
        Case{"Import", peer("address: 192.0.2.1, import: all"),
             "f:6:36: bgp.peers[0].import: there is no policy 'all' in bgp.policies; known here: "
             "host, accept\n"},
        Case{"PrefixLimit", peer("address: 192.0.2.1, prefix-limit: 0"),
             "f:6:42: bgp.peers[0].prefix-limit: '0' is not a whole number, 1..4294967295\n"},
        Case{"Description", peer("address: 192.0.2.1, description: \"a\\nb\""),
             "f:6:41: bgp.peers[0].description: must be one line without control characters\n"},
        Case{"UnknownKey", peer("address: 192.0.2.1, hold-timer: 9"),
             "f:6:28: bgp.peers[0]: unknown key 'hold-timer'; did you mean 'hold-time'?\n"},
        Case{"SameAddress", peer("address: 192.0.2.1}\n    - {address: 192.0.2.1, name: b"),
             "f:7:17: bgp.peers[1].address: a peer with the address 192.0.2.1 is in line 6 "
             "already\n"},
        Case{"SameName", peer("address: 192.0.2.1, name: a}\n    - {address: 192.0.2.2, name: a"),
             "f:7:34: bgp.peers[1].name: a peer called 'a' is in line 6 already\n"},
        Case{"NameIsAnothersAddress",
             peer("address: 192.0.2.1}\n    - {address: 192.0.2.2, name: 192.0.2.1"),
             "f:7:34: bgp.peers[1].name: a peer called '192.0.2.1' is in line 6 already\n"},
        Case{"NoGroup", peer("address: 192.0.2.1, group: tors"),
             "f:6:35: bgp.peers[0].group: there is no group 'tors' in bgp.groups\n"},
        Case{"GroupTypo",
             node_lines +
                 "bgp:\n  groups: {tors: {}}\n  peers: [{address: 192.0.2.1, group: tor}]\n",
             "f:6:39: bgp.peers[0].group: there is no group 'tor' in bgp.groups; did you mean "
             "'tors'?\n"},
        Case{"GroupWithAddress", node_lines + "bgp:\n  groups: {tors: {address: 192.0.2.1}}\n",
             "f:5:28: bgp.groups.tors: 'address' belongs to a peer, not to a group\n"},
        Case{"GroupFault",
             node_lines + "bgp:\n  groups: {tors: {hold-time: 1}}\n"
                          "  peers: [{address: 192.0.2.1, group: tors}]\n",
             "f:5:30: bgp.groups.tors.hold-time: '1' is not a whole number of seconds, 0 or "
             "3..65535\n"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Others, ConfigRefused,
    testing::Values(
        Case{"ListenScalar", node_lines + "bgp: {listen: 10.0.0.1}\n",
             "f:4:15: bgp.listen: must be a list: [10.0.0.1]\n"},
        Case{"Flowspec", node_lines + "bgp: {flowspec: true}\n",
             "f:4:7: bgp: 'flowspec' is not supported: weft carries ipv4 and ipv6 unicast, no "
             "FlowSpec (RFC 8955)\n"},
        Case{"Orf", node_lines + "bgp: {peers: [{address: 192.0.2.1, orf: both}]}\n",
             "f:4:36: bgp.peers[0]: 'orf' is not supported: weft speaks no ORF (RFC 5291); the "
             "peer's export policy is the place\n"},
        Case{"Rpki", node_lines + "rpki: {}\n",
             "f:4:1: 'rpki' is not supported: weft validates no origins (RFC 6811); policies can "
             "match AS paths and prefix-sets, or the border router validates\n"},
        Case{"ListenAll", node_lines + "bgp: {listen: [0.0.0.0, 10.0.0.1, 10.0.0.1]}\n",
             "f:4:16: bgp.listen: 0.0.0.0 cannot be listened on; give an address of this host, or "
             "an empty list for all of them\n"
             "f:4:35: bgp.listen: 10.0.0.1 is listed twice\n"},
        Case{"Multipath", node_lines + "bgp: {multipath: 65}\n",
             "f:4:18: bgp.multipath: '65' is not a whole number, 1..64\n"},
        Case{"CoolDown", node_lines + "ipam: {cool-down: 3601}\n",
             "f:4:19: ipam.cool-down: '3601' is not a whole number of seconds, 0..3600\n"},
        Case{"ExceptionCommunity", node_lines + "ipam: {exception-community: 64512}\n",
             "f:4:29: ipam.exception-community: '64512' is no community; give 65001:100, "
             "65001:1:2, no-export, no-advertise, no-peer, graceful-shutdown or blackhole\n"},
        Case{"AuditInterval", node_lines + "ipam: {audit-interval: 0}\n",
             "f:4:24: ipam.audit-interval: '0' is not a whole number of seconds, 1..3600\n"},
        Case{"TableLocal", node_lines + "fib: {table: 255}\n",
             "f:4:14: fib.table: 255 is the kernel's own table local; 254 is main\n"},
        Case{"MetricWorst", node_lines + "fib: {metric: 4294967295}\n",
             "f:4:15: fib.metric: '4294967295' is not a whole number, 1..4294967294\n"},
        Case{"ExporterPort", node_lines + "exporter: {listen: 127.0.0.1}\n",
             "f:4:20: exporter.listen: must be off or an IPv4 address and a port, such as "
             "127.0.0.1:9798\n"},
        Case{"ExporterPortZero", node_lines + "exporter: {listen: 127.0.0.1:0}\n",
             "f:4:20: exporter.listen: must be off or an IPv4 address and a port, such as "
             "127.0.0.1:9798\n"},
        Case{"ExporterIpv6", node_lines + "exporter: {listen: '[::1]:9798'}\n",
             "f:4:20: exporter.listen: IPv6 is not supported here by this version; give an IPv4 "
             "address and a port, such as 127.0.0.1:9798\n"},
        Case{"Mtu", node_lines + "cni: {mtu: 1279}\n",
             "f:4:12: cni.mtu: '1279' is not a whole number, 1280..65535\n"},
        Case{"Nothing", node_lines + "cni: {mtu: }\n",
             "f:4:7: cni.mtu: must be a whole number, 1280..65535, not nothing\n"}),
    name_of);

TEST(ConfigErrors, AreToldAllAtOnceAndInOrder) {
  EXPECT_EQ(faults_of("fib: {table: 0}\n"
                      "node: {asn: 0, router-id: 0.0.0.0, nam: x}\n"
                      "bgp: {peers: [{}, {address: x}]}\n"
                      "pools: 3\n"),
            "f:1:14: fib.table: '0' is not a whole number, 1..4294967295\n"
            "f:2:13: node.asn: 0 is no AS number: 0 is reserved (RFC 7607)\n"
            "f:2:27: node.router-id: 0.0.0.0 is not an address of one host; give one that no other "
            "node has, such as 10.255.0.11\n"
            "f:2:36: node: unknown key 'nam'; did you mean 'name'?\n"
            "f:3:15: bgp.peers[0]: 'address' is missing: the IPv4 or IPv6 address of the peer, "
            "'interface' for the router at the other end of a link, or 'listen' for a range\n"
            "f:3:29: bgp.peers[1].address: 'x' is not an IPv4 or IPv6 address\n"
            "f:4:8: pools: must be a mapping (key: value), not a single value\n");
}

TEST(ConfigErrors, AreCountedBeyondTheLimit) {
  std::string text = node_lines + "bgp:\n  peers:\n";
  for (int i = 0; i < 300; ++i) text += "    - {}\n";
  const auto config = parse(text, "f", defaults);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().size(), error_limit + 1);
  EXPECT_EQ(config.error().back().text(), "f: and 200 more faults");
}

TEST(ConfigErrors, NameAHostThatCannotBeANode) {
  const auto config = parse(node_lines, "f", Defaults{"my host"});
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().front().text(),
            "f:2:3: node: the host name 'my host' cannot be the name of this node; give 'name'");
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ConfigHostile, IsRefusedQuickly) {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" +
              repeated("*a" + std::to_string(i - 1) + ", ", 9) + "]\n";
  }
  EXPECT_THAT(faults_of(laughs), HasSubstr("anchors and aliases are not read"));
  EXPECT_THAT(faults_of(repeated("[", 500'000)), HasSubstr("nested deeper than 16 levels"));
  EXPECT_THAT(faults_of(repeated("- ", 500'000)), HasSubstr("nested deeper than 16 levels"));
  EXPECT_THAT(faults_of("a: [" + repeated("1,", 200'000) + "]"),
              HasSubstr("more than 100000 values"));
  std::string many;
  for (int i = 0; i < 40'000; ++i) many += "k" + std::to_string(i) + ": 1\n";
  EXPECT_THAT(faults_of(many), HasSubstr("has 40000 entries, more than 1024"));
  EXPECT_THAT(faults_of(repeated("k", 1'000) + ": 1\n"), HasSubstr("unknown key 'kkk"));
  EXPECT_THAT(
      faults_of(node_lines + "bgp: {peers: [" + repeated("{address: 192.0.2.1},", 2000) + "]}"),
      HasSubstr("has 2000 entries, more than 1024"));
}

TEST(ConfigLoad, SaysWhatIsWrongWithTheFile) {
  const auto missing = load("/nonexistent/weft.yaml", defaults);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().front().text(),
            "/nonexistent/weft.yaml: cannot be opened: No such file or directory");
  const auto directory = load("/tmp", defaults);
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().front().text(), "/tmp: cannot be read: Is a directory");
}

}  // namespace
}  // namespace weft::config
