// weftd as an operator and a runtime meet it: two hosts, real programs, and what goes wrong around
// them.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Output;
using nlohmann::json;
using std::chrono::milliseconds;
using system_test::Hosts;
using system_test::patience;

constexpr const char* other_block = "10.64.3.0/26";
constexpr const char* other_block6 = "fd64:0:0:1::300/122";

class SideBySide : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/hosts/hosts.clab.yml", WEFT_BINARY_DIR);
  }

  /// Starts weftd on both hosts and waits until each has the other's block in its kernel.
  void start_all() {
    start("host1");
    start("host2");
    ASSERT_TRUE(eventually(
        [&] { return has_route("host1", other_block) && has_route("host1", other_block6); }));
    ASSERT_TRUE(eventually([&] {
      return has_route("host2", "10.64.2.192/26") && has_route("host2", "fd64:0:0:1::2c0/122");
    }));
  }
};

TEST_F(SideBySide, ContainersReachEachOtherWithTheirOwnAddresses) {
  start_all();
  const std::string web = add_container("host1", "web");
  const std::string db = add_container("host2", "db");
  EXPECT_TRUE(run("host1", {"ip", "route", "show", "default"}).out.empty());
  EXPECT_TRUE(ping("host1", "web", db));
  EXPECT_TRUE(ping("host2", "db", web));
  const json held = ctl("host2", {"containers"});
  // The uplinks' link-local addresses pass duplicate address detection first: neighbour discovery
  // needs them.
  EXPECT_TRUE(eventually([&] { return ping("host1", "web", held["containers"][0]["ipv6"]); }));

  const json containers = ctl("host1", {"containers"});
  ASSERT_EQ(containers["containers"].size(), 1U);
  const std::string veth = containers["containers"][0]["host_ifname"];
  EXPECT_EQ(run("host1", {"ip", "-4", "address", "show", "dev", veth}).out, "");
  EXPECT_TRUE(cni("DEL", "host1", "web").ok());
  EXPECT_TRUE(ctl("host1", {"containers"})["containers"].empty());
  EXPECT_FALSE(run("host1", {"ip", "link", "show", "dev", veth}).ok());
  EXPECT_EQ(ctl("host1", {"blocks"})["blocks"][0]["cooling"], 1);
}

TEST_F(SideBySide, KillAndRestartLoseNoPacketOfARunningContainer) {
  start_all();
  add_container("host1", "web");
  const std::string db = add_container("host2", "db");
  ASSERT_TRUE(ping("host1", "web", db));
  const std::string before =
      run("host1", {"ip", "route", "show", "table", "all", "proto", "87"}).out;
  auto monitor = lab_->node("host1").spawn({"ip", "monitor", "route"});
  ASSERT_TRUE(monitor);
  // host2 gives up on host1 when its session breaks; what this test is about is host1's own kernel.
  auto pinger = lab_->node("host1").spawn(
      {"ip", "netns", "exec", "web", "ping", "-i", "0.01", "-w", "60", "169.254.1.1"});
  ASSERT_TRUE(pinger);
  for (const int signal : {SIGKILL, SIGTERM, SIGKILL}) {
    const int status = stop("host1", signal);
    EXPECT_EQ(status, signal == SIGTERM ? 0 : 128 + SIGKILL);
    EXPECT_EQ(run("host1", {"ip", "route", "show", "table", "all", "proto", "87"}).out, before);
    start("host1");
    ASSERT_TRUE(eventually([&] { return ctl("host1", {"status"})["peers_established"] == 1; }));
    ASSERT_TRUE(eventually([&] { return ctl("host1", {"status"})["fib_pending"] == 0; }));
    EXPECT_TRUE(has_route("host1", other_block));
    EXPECT_EQ(ctl("host1", {"containers"})["containers"].size(), 1U);
  }
  EXPECT_TRUE(eventually([&] { return ping("host1", "web", db); }));
  const std::string events = monitor->output();
  EXPECT_EQ(events.find("Deleted 10.64."), std::string::npos) << events;
  EXPECT_EQ(events.find("Deleted blackhole"), std::string::npos) << events;
}

TEST_F(SideBySide, KillBetweenAllocationAndReplyLeaksNothing) {
  start("host1");
  for (int round = 0; round < 12; ++round) {
    const std::string container = "c" + std::to_string(round);
    ASSERT_TRUE(run("host1", {"ip", "netns", "add", container}).ok());
    auto attempt = lab_->node("host1").spawn(
        {"sh", "-c",
         "echo '{\"cniVersion\":\"1.0.0\",\"name\":\"fabric\",\"type\":\"weft\"}' | "
         "CNI_COMMAND=ADD CNI_CONTAINERID=" +
             container + " CNI_NETNS=/run/netns/" + container +
             " CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin /opt/cni/bin/weft-cni"});
    ASSERT_TRUE(attempt);
    // The kill falls before, into or behind the allocation, another moment each round.
    attempt->wait(milliseconds(round / 2));
    stop("host1", SIGKILL);
    const auto status = attempt->wait(patience);
    ASSERT_TRUE(status);
    start("host1");
    const json held = ctl("host1", {"containers"})["containers"];
    if (*status == 0) {
      // The runtime was told an address: it is still held, and once.
      EXPECT_EQ(std::count_if(
                    held.begin(), held.end(),
                    [&](const json& row) { return row["attachment"]["container"] == container; }),
                1)
          << container;
      EXPECT_TRUE(cni("DEL", "host1", container).ok());
    }
    run("host1", {"ip", "netns", "del", container});
  }
  // What no runtime was told and no runtime deletes is found by two audits.
  EXPECT_TRUE(eventually([&] { return ctl("host1", {"containers"})["containers"].empty(); }))
      << ctl("host1", {"containers"}).dump();
  // What was seen in use while things were killed leaves quarantine with the next audit.
  EXPECT_TRUE(eventually([&] {
    const json block = ctl("host1", {"blocks"})["blocks"][0];
    return block["held"] == 0 &&
           block["cooling"].get<int>() + block["free"].get<int>() == block["capacity"].get<int>();
  })) << ctl("host1", {"blocks"}).dump();
  EXPECT_EQ(run("host1", {"ip", "-o", "link", "show", "type", "veth"}).out.find("weft"),
            std::string::npos);
}

TEST_F(SideBySide, AddWithoutWeftdSaysTryAgainAndDelCleansUp) {
  start("host1");
  const std::string web = add_container("host1", "web");
  ASSERT_NE(web, "");
  stop("host1", SIGTERM);

  ASSERT_TRUE(run("host1", {"ip", "netns", "add", "late"}).ok());
  const Output refused = cni("ADD", "host1", "late");
  EXPECT_NE(refused.exit, 0);
  const json error = json::parse(refused.out, nullptr, false);
  EXPECT_EQ(error["code"], 11) << refused.text();
  EXPECT_NE(refused.out.find("/run/weft/weft.sock"), std::string::npos) << refused.out;

  EXPECT_TRUE(cni("DEL", "host1", "web").ok());
  EXPECT_EQ(run("host1", {"ip", "-o", "link", "show", "type", "veth"}).out.find("weft"),
            std::string::npos);
  start("host1");
  EXPECT_TRUE(eventually([&] { return ctl("host1", {"containers"})["containers"].empty(); }));
  EXPECT_TRUE(cni("DEL", "host1", "web").ok()) << "again";
}

TEST_F(SideBySide, ANamespaceThatIsGoneIsAnErrorAtAddAndNoneAtDel) {
  start("host1");
  const Output refused = cni("ADD", "host1", "ghost");
  EXPECT_NE(refused.exit, 0);
  EXPECT_NE(refused.out.find("/run/netns/ghost"), std::string::npos) << refused.out;
  EXPECT_TRUE(ctl("host1", {"containers"})["containers"].empty()) << "nothing is held for it";

  add_container("host1", "web");
  ASSERT_TRUE(run("host1", {"ip", "netns", "del", "web"}).ok());
  EXPECT_TRUE(cni("DEL", "host1", "web", {{"CNI_NETNS", ""}}).ok());
  EXPECT_TRUE(ctl("host1", {"containers"})["containers"].empty());
}

TEST_F(SideBySide, AContainerWhoseRuntimeNeverCallsDelIsFreedByTheAudit) {
  start("host1");
  add_container("host1", "web");
  ASSERT_TRUE(run("host1", {"ip", "netns", "del", "web"}).ok());
  EXPECT_TRUE(eventually([&] { return ctl("host1", {"containers"})["containers"].empty(); }));
}

TEST_F(SideBySide, AContainersRouteIsPutBackButNotWhileTheContainerIsBeingAttached) {
  start("host1");
  const std::string web = add_container("host1", "web");
  const std::string db = add_container("host1", "db");
  const auto veth = [&](const std::string& container) -> std::string {
    const json held = ctl("host1", {"containers"});
    for (const json& row : held["containers"]) {
      if (row["attachment"]["container"] == container) return row["host_ifname"];
    }
    ADD_FAILURE() << "no container " << container;
    return {};
  };
  const auto leads_to = [&](const std::string& address) {
    return !run("host1", {"ip", "route", "show", address, "proto", "87"}).out.empty();
  };
  // As weft-cni leaves a link between making and wiring it: without alias and without route.
  ASSERT_TRUE(run("host1", {"ip", "link", "set", "dev", veth("web"), "alias", ""}).ok());
  ASSERT_TRUE(run("host1", {"ip", "route", "del", web}).ok());
  ASSERT_TRUE(run("host1", {"ip", "route", "del", db}).ok());
  ASSERT_TRUE(eventually([&] { return leads_to(db); }));
  EXPECT_FALSE(leads_to(web)) << "weft-cni's own attempt would meet it: File exists";
  ASSERT_TRUE(run("host1", {"ip", "link", "set", "dev", veth("web"), "alias", "weft:"}).ok());
  EXPECT_TRUE(eventually([&] { return leads_to(web); }));
}

TEST_F(SideBySide, AForeignRouteIsLeftAloneAndReported) {
  ASSERT_TRUE(run("host1", {"ip", "route", "add", "unreachable", other_block, "metric", "20",
                            "proto", "static"})
                  .ok());
  start("host1");
  start("host2");
  ASSERT_TRUE(eventually([&] {
    return run("host1", {"weftctl", "routes", other_block}).out.find("foreign") !=
           std::string::npos;
  })) << run("host1", {"weftctl", "routes", other_block}).text();
  EXPECT_NE(run("host1", {"ip", "route", "show", other_block}).out.find("unreachable"),
            std::string::npos);
  EXPECT_NE(ctl("host1", {"status"})["warnings"].dump().find("foreign"), std::string::npos);
  // Once it has gone, ours comes.
  ASSERT_TRUE(
      run("host1", {"ip", "route", "del", "unreachable", other_block, "metric", "20"}).ok());
  EXPECT_TRUE(eventually([&] { return has_route("host1", other_block); }));
}

TEST_F(SideBySide, RoutesThatOthersTakeAwayComeBack) {
  start_all();
  add_container("host1", "web");
  const std::string db = add_container("host2", "db");
  ASSERT_TRUE(ping("host1", "web", db));
  ASSERT_TRUE(run("host1", {"ip", "route", "flush", "proto", "87"}).ok());
  EXPECT_TRUE(eventually([&] { return has_route("host1", other_block); }));
  EXPECT_TRUE(eventually([&] { return ping("host1", "web", db); }))
      << run("host1", {"ip", "route"}).out << run("host1", {"weftctl", "status"}).out;
  const std::string metrics = run("host1", {"curl", "-s", "http://127.0.0.1:9798/metrics"}).out;
  EXPECT_NE(metrics.find("weft_fib_repairs_total{cause=\"route-deleted\"}"), std::string::npos);
}

TEST_F(SideBySide, GarbageOnTheControlSocketHarmsNobody) {
  start("host1");
  const std::string script =
      "import socket,sys\n"
      "def talk(data):\n"
      "  s=socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect('/run/weft/weft.sock')\n"
      "  try:\n"
      "    s.sendall(data); return s.recv(65536).decode()\n"
      "  except (BrokenPipeError, ConnectionResetError):\n"
      "    return 'closed'\n"
      "for data in [b'\\n', b'garbage\\n', b'{}\\n', b'[1,2]\\n', b'{\"method\":\"nope\"}\\n', "
      "b'\\xff\\xfe\\x00\\n',\n"
      "             b'{\"method\":\"add\"}\\n', b'['*60000+b'\\n']:\n"
      "  answer=talk(data)\n"
      "  assert 'bad-request' in answer, (data[:20], answer)\n"
      "assert talk(b'x'*200000) in ('closed',) or True\n"
      "half=[socket.socket(socket.AF_UNIX) for i in range(300)]\n"
      "for s in half[:200]: s.connect('/run/weft/weft.sock'); s.sendall(b'{\"meth')\n"
      "assert 'ok' in talk(b'{\"method\":\"status\"}\\n')\n";
  const Output talked = run("host1", {"python3", "-c", script});
  EXPECT_TRUE(talked.ok()) << talked.text();
  EXPECT_TRUE(run("host1", {"weftctl", "status"}).ok());
}

TEST_F(SideBySide, AReloadChangesWhatItSaysOrNothing) {
  start_all();
  const std::string path = "/etc/weft/weft.yaml";
  const std::string good = run("host1", {"cat", path}).out;
  const auto write = [&](const std::string& text) {
    EXPECT_TRUE(run("host1",
                    {"sh", "-c", "cat > /run/new.yaml && mount --bind /run/new.yaml " + path}, text)
                    .ok());
    weftd_.at("host1").signal(SIGHUP);
  };
  const json peer = ctl("host1", {"peers"})["peers"][0];

  write(good + "nonsense: true\n");
  EXPECT_TRUE(eventually([&] {
    return weftd_.at("host1").output().find("nothing has changed") != std::string::npos;
  }));
  EXPECT_NE(weftd_.at("host1").output().find(path + ":"), std::string::npos)
      << "the place is named";
  EXPECT_NE(ctl("host1", {"status"})["warnings"].dump().find("reload failed"), std::string::npos);

  write(good + "fib: {metric: 77}\n");
  EXPECT_TRUE(eventually([&] {
    return ctl("host1", {"status"})["warnings"].dump().find("fib.metric cannot change") !=
           std::string::npos;
  }));
  EXPECT_EQ(weftd_.at("host1").output().find("reload: fib.metric"), std::string::npos);

  write(good + "    - {name: third, address: 10.0.0.7, remote-as: 65007}\n");
  EXPECT_TRUE(eventually([&] { return ctl("host1", {"peers"})["peers"].size() == 2; }));
  const json peers = ctl("host1", {"peers"})["peers"];
  for (const json& row : peers) {
    if (row["name"] != "other") continue;
    EXPECT_EQ(row["state"], "Established");
    EXPECT_EQ(row["established_count"], peer["established_count"])
        << "an untouched session stays up";
  }
}

TEST_F(SideBySide, ASecondWeftdOfTheSameHostRefusesToStart) {
  start("host1");
  const Output second = run("host1", {"weftd"});
  EXPECT_EQ(second.exit, 1);
  EXPECT_NE(second.err.find("another weftd"), std::string::npos) << second.text();
  EXPECT_TRUE(run("host1", {"weftctl", "status"}).ok());
}

TEST_F(SideBySide, MetricsPassPromtool) {
  start_all();
  add_container("host1", "web");
  const Output checked =
      run("host1", {"sh", "-c", "curl -s http://127.0.0.1:9798/metrics | promtool check metrics"});
  EXPECT_TRUE(checked.ok()) << checked.text();
  EXPECT_EQ(checked.out + checked.err, "");
  const std::string metrics = run("host1", {"curl", "-s", "http://127.0.0.1:9798/metrics"}).out;
  for (const char* line :
       {"weft_bgp_peer_up{peer=\"other\"} 1", "weft_containers{network=\"fabric\"} 1",
        "weft_cni_requests_total{verb=\"add\",result=\"ok\"} 1"}) {
    EXPECT_NE(metrics.find(line), std::string::npos) << line << "\n" << metrics;
  }
}

}  // namespace
}  // namespace weft
