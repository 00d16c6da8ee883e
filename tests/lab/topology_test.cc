#include "tests/lab/topology.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <ostream>

namespace weft::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

/// Anchors relative binds: a folder of the tree that has files.
const std::filesystem::path file = WEFT_SOURCE_DIR "/tests/lab/data/plain/x.clab.yml";

std::string two_nodes(const std::string& rest) {
  return "name: x\ntopology:\n  nodes:\n    a: {kind: linux, image: i}\n"
         "    b: {kind: linux, image: i}\n" +
         rest;
}

struct Wrong {
  const char* name;
  std::string text;
  /// "line:column: message", in order.
  std::vector<std::string> faults;
};

void PrintTo(const Wrong& row, std::ostream* out) {
  *out << row.name;
}

class TopologyRefused : public testing::TestWithParam<Wrong> {};

TEST_P(TopologyRefused, WithPlaceAndReason) {
  const auto topology = parse(GetParam().text, file);
  ASSERT_FALSE(topology);
  std::string wanted;
  for (const auto& fault : GetParam().faults) {
    wanted += (wanted.empty() ? "" : "\n") + file.string() + ":" + fault;
  }
  EXPECT_EQ(topology.error().message, wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Document, TopologyRefused,
    testing::Values(
        Wrong{"NotYaml", "name: x: y", {"1:8: illegal map value"}},
        Wrong{"Empty",
              "",
              {"1:1: name is missing: the name of the lab",
               "1:1: topology is missing: nodes and links"}},
        Wrong{"UnknownKeys",
              "name: x\nnodes: {}\ntopology:\n  nodes: {a: {kind: linux, image: i, imgae: j}}\n",
              {"2:1: unknown key \"nodes\" in a topology file, known are name, prefix, mgmt, "
               "settings, "
               "topology",
               "4:38: unknown key \"imgae\" in node a, known are kind, image, group, binds, exec, "
               "env, "
               "env-files, cmd, entrypoint, sysctls, hostname, network-mode, tmpfs"}},
        Wrong{"Twice",
              "name: x\nname: y\ntopology: {nodes: {a: {kind: linux, image: i}}}\n",
              {"2:1: name is given twice"}},
        Wrong{"BadName",
              "name: a b\ntopology: {nodes: {a: {kind: linux, image: i}}}\n",
              {"1:7: name \"a b\" must be letters, digits, '.', '_' and '-', beginning with a "
               "letter or "
               "digit"}},
        Wrong{"NoNodes", "name: x\ntopology: {links: []}\n", {"2:11: topology has no nodes"}},
        Wrong{"NotAMap",
              "name: x\ntopology: [1]\n",
              {"2:11: topology has no nodes", "2:11: topology must be a map of key: value"}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Nodes, TopologyRefused,
    testing::Values(
        Wrong{"Kind",
              "name: x\ntopology:\n  nodes:\n    a: {kind: nokia_srlinux, image: i}\n",
              {"4:15: kind \"nokia_srlinux\" does not run here, only kind \"linux\" does"}},
        Wrong{"KindOfGroup",
              "name: x\ntopology:\n  groups: {g: {kind: ceos}}\n  nodes:\n    a: {group: g, image: "
              "i}\n",
              {"3:22: kind \"ceos\" does not run here, only kind \"linux\" does"}},
        Wrong{"NeitherKindNorImage",
              "name: x\ntopology:\n  nodes:\n    a:\n",
              {"4:5: kind is missing: only kind \"linux\" runs here", "4:5: node a has no image"}},
        Wrong{
            "Binds",
            two_nodes("    c:\n      kind: linux\n      image: i\n      binds:\n        - nothing\n"
                      "        - gone.conf:/x\n        - rw.txt:/x:rx\n        - rw.txt:x\n"),
            {"10:11: bind \"nothing\" must be HOST:CONTAINER[:ro] with an absolute path in the "
             "container",
             "11:11: bind \"gone.conf:/x\": " WEFT_SOURCE_DIR
             "/tests/lab/data/plain/gone.conf does not exist",
             "12:11: bind \"rw.txt:/x:rx\": option \"rx\" is not known, ro and rw are",
             "13:11: bind \"rw.txt:x\" must be HOST:CONTAINER[:ro] with an absolute path in the "
             "container"}},
        Wrong{"Exec",
              two_nodes("    c: {kind: linux, image: i, exec: ['echo \"a']}\n"),
              {"6:39: \"echo \"a\": the quote \" is never closed"}},
        Wrong{"Sysctl",
              two_nodes("    c: {kind: linux, image: i, sysctls: {kernel.panic: 1}}\n"),
              {"6:42: sysctl kernel.panic is not a node's own, only net.* are"}},
        Wrong{"NetworkMode",
              two_nodes("    c: {kind: linux, image: i, network-mode: host}\n"),
              {"6:46: network-mode \"host\" is not possible here, only \"none\" is"}},
        Wrong{"EnvFile",
              two_nodes("    c: {kind: linux, image: i, env-files: [gone.env]}\n"),
              {"6:44: env-files: " WEFT_SOURCE_DIR
               "/tests/lab/data/plain/gone.env: cannot be read"}}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Links, TopologyRefused,
    testing::Values(
        Wrong{"Unknown",
              two_nodes("  links:\n    - endpoints: [\"a:eth1\", \"c:eth1\"]\n"),
              {"7:29: there is no node \"c\""}},
        Wrong{"Host",
              two_nodes("  links:\n    - endpoints: [\"a:eth1\", \"host:veth1\"]\n"),
              {"7:29: a link to \"host\" is not possible here, only between nodes"}},
        Wrong{"Taken",
              two_nodes("  links:\n    - endpoints: [\"a:eth1\", \"b:eth1\"]\n"
                        "    - endpoints: [\"a:eth1\", \"b:eth2\"]\n"),
              {"8:19: a:eth1 has a link already"}},
        Wrong{"Management",
              two_nodes("  links:\n    - endpoints: [\"a:eth0\", \"b:eth1\"]\n"),
              {"7:19: eth0 is the management interface, links begin with eth1 (network-mode: none "
               "frees "
               "it)"}},
        Wrong{"LongName",
              two_nodes("  links:\n    - endpoints: [\"a:abcdefghijklmnop\", \"b:eth1\"]\n"),
              {"7:19: interface \"abcdefghijklmnop\" must have 1..15 characters, no '/', ':' or "
               "blank"}},
        Wrong{"OneEnd",
              two_nodes("  links:\n    - endpoints: [\"a:eth1\"]\n"),
              {"7:7: a link has exactly two endpoints"}},
        Wrong{"NoColon",
              two_nodes("  links:\n    - endpoints: [\"a\", \"b:eth1\"]\n"),
              {"7:19: endpoint \"a\" must be NODE:INTERFACE"}},
        Wrong{"Mtu",
              two_nodes("  links:\n    - {endpoints: [\"a:eth1\", \"b:eth1\"], mtu: 67}\n"),
              {"7:46: mtu is \"67\", must be a number of 68..65535"}},
        Wrong{"Macvlan",
              two_nodes("  links:\n    - {type: macvlan, endpoint: {node: a}}\n"),
              {"7:14: a link of type \"macvlan\" is not possible here, only \"veth\" is"}},
        Wrong{"Extended",
              two_nodes("  links:\n    - type: veth\n      endpoints:\n"
                        "        - {node: a, interface: eth1, mac: 00:11, ipv4: 10.0.0.1}\n"
                        "        - {node: b, interface: eth1, ipv6: 10.0.0.1/31, speed: 1}\n"),
              {"9:43: mac \"00:11\" must be six octets",
               "9:56: \"10.0.0.1\" must be an IPv4 address with its length, 10.0.0.1/24",
               "10:44: \"10.0.0.1/31\" must be an IPv6 address with its length, fd00::1/64",
               "10:57: unknown key \"speed\" in an endpoint, known are node, interface, mac, ipv4, "
               "ipv6, "
               "vars"}}),
    [](const auto& row) { return row.param.name; });

TEST(Topology, InheritsAsContainerlabMerges) {
  const auto topology = parse(R"(
name: x
topology:
  defaults:
    kind: linux
    image: from-defaults
    env: {A: defaults, B: defaults, C: defaults, D: defaults}
    exec: [one]
    binds: [rw.txt:/file, "rw.txt:/other"]
    sysctls: {net.a: 1}
  kinds:
    linux:
      env: {B: kind, C: kind, D: kind}
      exec: [two]
      cmd: from kind
  groups:
    g:
      env: {C: group, D: group}
      exec: [three]
      binds: [ro.txt:/file:ro]
      image: from-group
  nodes:
    a:
      group: g
      env: {D: node}
      exec: ["four __clabNodeName__"]
      sysctls: {net.a: 2, net.b: 3}
    b:
)",
                              file);
  ASSERT_TRUE(topology) << topology.error().message;
  ASSERT_EQ(topology->nodes.size(), 2U);
  const NodeSpec& a = topology->nodes[0];
  EXPECT_EQ(a.image, "from-group");
  EXPECT_EQ(a.hostname, "a");
  EXPECT_THAT(a.cmd, ElementsAre("from", "kind"));
  EXPECT_THAT(a.env, ElementsAre(Pair("A", "defaults"), Pair("B", "kind"), Pair("C", "group"),
                                 Pair("D", "node")));
  EXPECT_THAT(a.exec, ElementsAre(Command{"one", {"one"}}, Command{"two", {"two"}},
                                  Command{"three", {"three"}}, Command{"four a", {"four", "a"}}));
  EXPECT_THAT(a.binds, ElementsAre(Bind{file.parent_path() / "ro.txt", "/file", true},
                                   Bind{file.parent_path() / "rw.txt", "/other", false}));
  EXPECT_THAT(a.sysctls, ElementsAre(Pair("net.a", "2"), Pair("net.b", "3")));
  const NodeSpec& b = topology->nodes[1];
  EXPECT_EQ(b.image, "from-defaults");
  EXPECT_THAT(b.exec, ElementsAre(Command{"one", {"one"}}, Command{"two", {"two"}}));
}

TEST(Topology, ReadsBothFormsOfLinks) {
  const auto topology = parse(two_nodes(R"(
  links:
    - endpoints: ["a:eth1", "b:eth1"]
    - endpoints: ["a:eth2", "b:eth2"]
      mtu: 1500
      ipv4: [10.0.0.0/31, 10.0.0.1/31]
      ipv6: ["", "fd00::1/64"]
    - type: veth
      mtu: 9000
      endpoints:
        - {node: a, interface: eth3, mac: "02-00-00-00-00-01", ipv4: 10.0.1.1/24, ipv6: fd01::1/64}
        - {node: b, interface: eth3}
)"),
                              file);
  ASSERT_TRUE(topology) << topology.error().message;
  EXPECT_THAT(
      topology->links,
      ElementsAre(Link{{Endpoint{"a", "eth1", "", {}}, Endpoint{"b", "eth1", "", {}}}, 9500},
                  Link{{Endpoint{"a", "eth2", "", {"10.0.0.0/31"}},
                        Endpoint{"b", "eth2", "", {"10.0.0.1/31", "fd00::1/64"}}},
                       1500},
                  Link{{Endpoint{"a", "eth3", "02:00:00:00:00:01", {"10.0.1.1/24", "fd01::1/64"}},
                        Endpoint{"b", "eth3", "", {}}},
                       9000}));
}

TEST(Topology, NotesWhatItIgnores) {
  const auto topology = parse(
      "name: x\nmgmt: {network: m}\ntopology:\n  nodes:\n"
      "    a: {kind: linux, image: i, ports: ['80:80'], mgmt-ipv4: 172.20.20.2}\n",
      file);
  ASSERT_TRUE(topology) << topology.error().message;
  EXPECT_THAT(topology->notes,
              ElementsAre(HasSubstr(":2:1: mgmt is ignored"), HasSubstr(":5:32: ports of node a"),
                          HasSubstr(":5:50: mgmt-ipv4 of node a")));
}

TEST(Topology, KnowsAnchorsMergesAndVariables) {
  setenv("WEFT_LAB_TEST", "value", 1);  // NOLINT(concurrency-mt-unsafe)
  const auto topology = parse(R"(
name: x
topology:
  nodes:
    a: &a
      kind: linux
      image: ${WEFT_LAB_TEST}
      cmd: ${WEFT_LAB_UNSET:=fallback} $WEFT_LAB_TEST $WEFT_LAB_UNSET
    b:
      <<: *a
      image: own
)",
                              file);
  ASSERT_TRUE(topology) << topology.error().message;
  EXPECT_EQ(topology->nodes[0].image, "value");
  EXPECT_THAT(topology->nodes[0].cmd, ElementsAre("fallback", "value", "$WEFT_LAB_UNSET"));
  EXPECT_EQ(topology->nodes[1].image, "own");
  EXPECT_THAT(topology->nodes[1].cmd, ElementsAre("fallback", "value", "$WEFT_LAB_UNSET"));
}

TEST(Topology, PrefixIsContainerlabs) {
  const auto prefix = [](const std::string& line) {
    const auto topology = parse(line + two_nodes(""), file);
    return topology ? topology->prefix : topology.error().message;
  };
  EXPECT_EQ(prefix(""), "clab");
  EXPECT_EQ(prefix("prefix: \"\"\n"), "");
  EXPECT_EQ(prefix("prefix: __lab-name\n"), "x");
  EXPECT_EQ(prefix("prefix: mine\n"), "mine");
}

TEST(Topology, FileMustBeThere) {
  EXPECT_EQ(load("/nowhere/x.clab.yml").error().message, "/nowhere/x.clab.yml: cannot be read");
  EXPECT_EQ(find_file(WEFT_SOURCE_DIR "/tests/lab/data/plain")->filename(), "plain.clab.yml");
  EXPECT_THAT(find_file(WEFT_SOURCE_DIR "/tests/lab/data").error().message, HasSubstr("no files"));
}

}  // namespace
}  // namespace weft::lab
