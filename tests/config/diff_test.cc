#include "config/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace weft::config {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

Config base() {
  const auto config = parse(
      "node: {name: h, asn: 1, router-id: 10.255.0.1}\n"
      "pools:\n"
      "  one: {ipv4: 10.64.0.0/16, claim: {static: {index: 1}}}\n"
      "  two: {ipv4: 10.65.0.0/16, claim: {static: {index: 1}}}\n"
      "bgp: {peers: [{address: 192.0.2.1, name: a}, {address: 192.0.2.2, name: b}]}\n",
      "f", {"h"});
  EXPECT_TRUE(config);
  return *config;
}

std::vector<std::string> described(const Config& running, const Config& wanted) {
  std::vector<std::string> lines;
  for (const Change& change : diff(running, wanted)) lines.push_back(describe(change));
  return lines;
}

TEST(Diff, OfTheSameIsEmpty) {
  EXPECT_TRUE(diff(base(), base()).empty());
}

TEST(Diff, RemovesBeforeItAdds) {
  Config wanted = base();
  // The address of b goes to a new peer; one pool goes, another comes.
  wanted.bgp.peers[1].name = "c";
  wanted.ipam.pools[0].name = "three";
  EXPECT_THAT(described(base(), wanted),
              ElementsAre("peer b removed", "pool one removed", "pool three added",
                          "the first pool is 'three' now", "peer c added"));
}

TEST(Diff, SaysNothingElseWhereARestartIsNeeded) {
  Config wanted = base();
  wanted.bgp.peers[1].name = "c";
  wanted.ipam.pools[0].name = "three";
  wanted.fib.metric = 7;
  EXPECT_THAT(described(base(), wanted),
              ElementsAre("fib.metric cannot change while weftd runs; restart weftd for it"));
}

struct PeerCase {
  const char* name;
  std::function<void(bgp::PeerSettings&)> change;
  Impact impact;
};

class PeerImpact : public testing::TestWithParam<PeerCase> {};

TEST_P(PeerImpact, IsToldByWhatChanged) {
  Config wanted = base();
  GetParam().change(wanted.bgp.peers[0]);
  const auto changes = diff(base(), wanted);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(std::get<PeerChanged>(changes[0]),
            (PeerChanged{base().bgp.peers[0], wanted.bgp.peers[0], GetParam().impact}));
}

INSTANTIATE_TEST_SUITE_P(
    Table, PeerImpact,
    testing::Values(
        PeerCase{"Description", [](auto& p) { p.description = "x"; }, Impact::live},
        PeerCase{"Shutdown", [](auto& p) { p.shutdown = true; }, Impact::live},
        PeerCase{"Passive", [](auto& p) { p.passive = true; }, Impact::live},
        PeerCase{"ConnectRetry", [](auto& p) { p.connect_retry = seconds(9); }, Impact::live},
        PeerCase{"IdleHold", [](auto& p) { p.idle_hold = seconds(9); }, Impact::live},
        PeerCase{"SendHold", [](auto& p) { p.send_hold = seconds(9); }, Impact::live},
        PeerCase{"PrefixLimit", [](auto& p) { p.prefix_limit = 9; }, Impact::live},
        PeerCase{"Table", [](auto& p) { p.table = 100; }, Impact::live},
        PeerCase{"Metric", [](auto& p) { p.metric = 9; }, Impact::live},
        PeerCase{"Import", [](auto& p) { p.import_filter = bgp::Filter::accept; },
                 Impact::refilter},
        PeerCase{"Export", [](auto& p) { p.export_filter = bgp::Filter::accept; },
                 Impact::refilter},
        PeerCase{"Address", [](auto& p) { p.address = *Address::parse("192.0.2.9"); },
                 Impact::reset},
        PeerCase{"Port", [](auto& p) { p.port = 9; }, Impact::reset},
        PeerCase{"RemoteAs", [](auto& p) { p.remote_as = bgp::Asn{9}; }, Impact::reset},
        PeerCase{"Source", [](auto& p) { p.source = *Address::parse("192.0.2.9"); }, Impact::reset},
        PeerCase{"Families", [](auto& p) { p.families = {Family::ipv4}; }, Impact::reset},
        PeerCase{"Multihop", [](auto& p) { p.multihop = 2; }, Impact::reset},
        PeerCase{"BindInterface", [](auto& p) { p.bind_interface = "eth1"; }, Impact::reset},
        PeerCase{"TcpAoKeys",
                 [](auto& p) {
                   p.tcp_ao = {{1, 2, {}, Secret("one"), ""}};
                 },
                 Impact::reset},
        PeerCase{"PasswordBegins", [](auto& p) { p.password = Secret("one"); }, Impact::reset},
        PeerCase{"Bfd", [](auto& p) { p.bfd = bgp::BfdSettings{}; }, Impact::live},
        PeerCase{"Interface",
                 [](auto& p) {
                   p.address = Address();
                   p.interface = "eth1";
                 },
                 Impact::reset},
        PeerCase{"RangeLimit", [](auto& p) { p.range_limit = 7; }, Impact::live},
        PeerCase{"Gtsm", [](auto& p) { p.gtsm = false; }, Impact::reset},
        PeerCase{"HoldTime", [](auto& p) { p.hold_time = seconds(90); }, Impact::reset},
        PeerCase{"FilterAndHoldTime",
                 [](auto& p) {
                   p.import_filter = bgp::Filter::accept;
                   p.hold_time = seconds(90);
                 },
                 Impact::reset}),
    [](const auto& c) { return c.param.name; });

struct SettingCase {
  const char* name;
  std::function<void(Config&)> change;
  const char* sentence;
};

class SettingChange : public testing::TestWithParam<SettingCase> {};

TEST_P(SettingChange, IsNamed) {
  Config wanted = base();
  GetParam().change(wanted);
  EXPECT_THAT(described(base(), wanted), ElementsAre(GetParam().sentence));
}

INSTANTIATE_TEST_SUITE_P(
    Table, SettingChange,
    testing::Values(
        SettingCase{"Asn", [](Config& c) { c.node.asn = c.bgp.asn = bgp::Asn{2}; },
                    "node.asn cannot change while weftd runs; restart weftd for it"},
        SettingCase{"Port", [](Config& c) { c.bgp.port = 2; },
                    "bgp.port cannot change while weftd runs; restart weftd for it"},
        SettingCase{"FibTableAndMetric",
                    [](Config& c) {
                      c.fib.table = 2;
                      c.fib.metric = 2;
                    },
                    "fib.table, fib.metric cannot change while weftd runs; restart weftd for it"},
        SettingCase{"Claim",
                    [](Config& c) {
                      c.ipam.pools[1].claim = ipam::StaticIndex{2, 1};
                    },
                    "pool two changed"},
        SettingCase{"PoolOrder", [](Config& c) { std::swap(c.ipam.pools[0], c.ipam.pools[1]); },
                    "the first pool is 'two' now"},
        SettingCase{"CoolDown", [](Config& c) { c.ipam.cool_down = seconds(1); },
                    "address management changed"},
        SettingCase{"MaxExceptions", [](Config& c) { c.ipam.max_exceptions = 1; },
                    "address management changed"},
        SettingCase{"ExceptionCommunity", [](Config& c) { c.ipam.exception_community.clear(); },
                    "address management changed"},
        SettingCase{"PathLimit", [](Config& c) { c.bgp.path_limit = 9; },
                    "the limit of all paths changed"},
        SettingCase{"PathLimitAction",
                    [](Config& c) { c.bgp.path_limit_action = bgp::PathLimitAction::warn; },
                    "the limit of all paths changed"},
        SettingCase{"Multipath", [](Config& c) { c.bgp.multipath = 1; },
                    "the choice among paths changed"},
        SettingCase{"Recursion", [](Config& c) { c.bgp.recursive_next_hops = false; },
                    "the choice among paths changed"},
        SettingCase{"DefaultRoute", [](Config& c) { c.bgp.default_route = true; },
                    "what the filter host lets in changed"},
        SettingCase{"Bmp", [](Config& c) { c.bgp.bmp.stations.emplace_back(); },
                    "monitoring stations changed"},
        SettingCase{"Aggregates", [](Config& c) { c.bgp.aggregates.emplace_back(); },
                    "what is originated changed"},
        SettingCase{"Announcements", [](Config& c) { c.bgp.announcements.emplace_back(); },
                    "what is originated changed"},
        SettingCase{"Exporter", [](Config& c) { c.exporter.listen.reset(); },
                    "the exporter listens elsewhere"},
        SettingCase{"Mtu", [](Config& c) { c.cni.mtu = 9000; },
                    "what containers get through CNI changed"}),
    [](const auto& c) { return c.param.name; });

}  // namespace
}  // namespace weft::config
