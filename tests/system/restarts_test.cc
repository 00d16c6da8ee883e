// Restarts beside real routers: a rack with a FRR and a BIRD ToR, traffic at 1 kHz between
// containers of two weft hosts, and one daemon after the other that goes and comes back.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "tests/lab/lab.h"

namespace weft {
namespace {

using lab::Argv;
using lab::Lab;
using lab::Output;
using lab::Process;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds patience{60'000};
constexpr const char* host1_block = "10.64.2.192/26";
constexpr const char* host2_block = "10.64.3.0/26";

class Restarts : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    auto up = Lab::up(WEFT_SOURCE_DIR "/tests/system/restarts/restarts.clab.yml",
                      {"", WEFT_BINARY_DIR, true});
    ASSERT_TRUE(up) << up.error().message;
    ASSERT_TRUE(up->failed_exec().empty()) << up->failed_exec().front();
    lab_.emplace(std::move(*up));
    for (const std::string host : {"host1", "host2"}) start(host);
    for (const std::string host : {"host1", "host2"}) {
      ASSERT_TRUE(eventually([&] { return members(host) == 2; })) << said(host);
    }
    add_container("host1", "web");
  }

  void TearDown() override {
    if (HasFailure() && lab_) {
      for (auto& [host, process] : weftd_)
        std::cerr << "-- weftd on " << host << "\n" << process.output();
      std::cerr << lab_->logs();
    }
    weftd_.clear();
  }

  Output run(const std::string& node, const Argv& argv, const std::string& input = {},
             const lab::Environment& env = {}) {
    auto output = lab_->node(node).run(argv, {patience, input, env});
    EXPECT_TRUE(output) << output.error().message;
    return output ? *output : Output{-1, "", "", false};
  }
  bool eventually(const std::function<bool()>& condition) {
    return lab::wait_until(condition, patience, milliseconds(100));
  }

  void start(const std::string& host) {
    auto process = lab_->node(host).spawn({"weftd"});
    ASSERT_TRUE(process) << process.error().message;
    weftd_.insert_or_assign(host, std::move(*process));
    ASSERT_TRUE(eventually([&] { return run(host, {"weftctl", "status"}).ok(); })) << said(host);
  }
  void stop(const std::string& host, int signal) {
    weftd_.at(host).signal(signal);
    ASSERT_TRUE(weftd_.at(host).wait(patience)) << "weftd does not end";
  }
  std::string said(const std::string& host) { return weftd_.at(host).output(); }

  json ctl(const std::string& host, Argv argv) {
    argv.insert(argv.begin(), "weftctl");
    argv.emplace_back("--json");
    const Output output = run(host, argv);
    EXPECT_TRUE(output.ok()) << output.text();
    return json::parse(output.out, nullptr, false).value("ok", json());
  }
  std::size_t members(const std::string& host) {
    const std::string other = host == "host1" ? host2_block : host1_block;
    const json routes = ctl(host, {"routes"});
    for (const json& route : routes["routes"]) {
      if (route["prefix"] == other && route["kernel"] == "installed")
        return route["next_hops"].size();
    }
    return 0;
  }
  bool settled(const std::string& host) {
    const json status = ctl(host, {"status"});
    return members(host) == 2 && status["restarting"] == false && status["fib_pending"] == 0;
  }

  std::string add_container(const std::string& host, const std::string& container) {
    EXPECT_TRUE(run(host, {"ip", "netns", "add", container}).ok());
    const Output added = run(host, {"/opt/cni/bin/weft-cni"},
                             R"({"cniVersion":"1.0.0","name":"fabric","type":"weft"})",
                             {{"CNI_COMMAND", "ADD"},
                              {"CNI_CONTAINERID", container},
                              {"CNI_NETNS", "/run/netns/" + container},
                              {"CNI_IFNAME", "eth0"},
                              {"CNI_PATH", "/opt/cni/bin"}});
    EXPECT_TRUE(added.ok()) << added.text();
    const json result = json::parse(added.out, nullptr, false);
    if (!result.is_object()) return "";
    const std::string address = result["ips"][0]["address"];
    return address.substr(0, address.find('/'));
  }
  bool answers(const std::string& address, int times) {
    return run("host1", {"ip", "netns", "exec", "web", "ping", "-i", "0.01", "-W", "2", "-c",
                         std::to_string(times), address})
        .ok();
  }
  int sent_by(const std::string& uplink) {
    const std::string count =
        run("host1", {"cat", "/sys/class/net/" + uplink + "/statistics/tx_packets"}).out;
    return std::atoi(count.c_str());
  }
  /// Containers of host2, one behind each uplink of host1: the kernel's hash, which is another at
  /// each boot, says which.
  std::map<std::string, std::string> one_behind_each_uplink() {
    constexpr int probes = 50;
    std::map<std::string, std::string> found;
    for (int i = 0; i < 20 && found.size() < 2; ++i) {
      const std::string address = add_container("host2", "db" + std::to_string(i));
      EXPECT_TRUE(eventually([&] { return answers(address, 1); })) << address;
      std::map<std::string, int> before;
      for (const std::string uplink : {"eth1", "eth2"}) before[uplink] = sent_by(uplink);
      EXPECT_TRUE(answers(address, probes));
      for (const auto& [uplink, count] : before) {
        if (sent_by(uplink) - count >= probes) found.emplace(uplink, address);
      }
    }
    return found;
  }

  /// Echo requests from host1 to host2's container, a thousand a second, until lost() is asked.
  void ping(const std::string& address) {
    auto process = lab_->node("host1").spawn(
        {"ip", "netns", "exec", "web", "ping", "-i", "0.001", "-W", "5", "-q", address});
    ASSERT_TRUE(process) << process.error().message;
    pingers_.push_back(std::move(*process));
  }
  /// How many were not answered; at least one must have been.
  static int lost(Process& pinger) {
    pinger.signal(SIGINT);
    EXPECT_TRUE(pinger.wait(patience));
    const std::string text = pinger.output();
    std::smatch found;
    if (!std::regex_search(text, found, std::regex("([0-9]+) packets transmitted, ([0-9]+) rec"))) {
      ADD_FAILURE() << text;
      return -1;
    }
    const int sent = std::stoi(found[1]);
    const int back = std::stoi(found[2]);
    EXPECT_GT(back, 0) << text;
    // The one on its way when ping is told to stop is no loss.
    return std::max(0, sent - back - 1);
  }

  std::optional<Lab> lab_;
  std::map<std::string, Process> weftd_;
  std::vector<Process> pingers_;
};

// Twenty in turn, by its own will and not, of the sender's and of the receiver's.
TEST_F(Restarts, OfWeftdLoseNoPacketThroughFrrAndBird) {
  const auto targets = one_behind_each_uplink();
  ASSERT_EQ(targets.size(), 2U) << "no traffic through both ToRs";
  for (const auto& [uplink, address] : targets) ping(address);
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE("restart " + std::to_string(i + 1));
    const std::string host = i / 2 % 2 == 0 ? "host1" : "host2";
    const char* block = i / 2 % 2 == 0 ? host1_block : host2_block;
    stop(host, i % 2 == 0 ? SIGTERM : SIGKILL);
    // The ToRs keep what the host told them.
    EXPECT_NE(run("tor1", {"ip", "route", "show", block}).out, "");
    EXPECT_NE(run("tor2", {"ip", "route", "show", block}).out, "");
    start(host);
    ASSERT_TRUE(eventually([&] { return settled(host); })) << said(host);
  }
  for (Process& pinger : pingers_) EXPECT_EQ(lost(pinger), 0);
  EXPECT_NE(said("host1").find("restarted: the kernel forwards for ipv4 and ipv6"),
            std::string::npos)
      << said("host1");
}

TEST_F(Restarts, OfTheFrrTorAreWaitedFor) {
  const std::string configure =
      "vtysh -c 'configure terminal' -c 'router bgp 4200000001' -c 'bgp graceful-restart' "
      "-c 'bgp graceful-restart preserve-fw-state' -c 'end' -c 'clear bgp *'";
  ASSERT_TRUE(run("tor1", {"sh", "-c", configure}).ok());
  ASSERT_TRUE(eventually([&] {
    return run("host1", {"weftctl", "peers", "tor1"}).out.find("ipv4-unicast preserved") !=
               std::string::npos ||
           run("host1", {"weftctl", "peers", "tor1"}).out.find("graceful-restart 120 s") !=
               std::string::npos;
  })) << run("host1", {"weftctl", "peers", "tor1"}).out;
  ASSERT_TRUE(eventually([&] { return members("host1") == 2; }));
  auto monitor = lab_->node("host1").spawn({"ip", "monitor", "route", "nexthop"});
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(run("tor1", {"sh", "-c", "kill -9 $(pidof bgpd)"}).ok());
  ASSERT_TRUE(eventually([&] {
    return run("host1", {"weftctl", "peers", "tor1"}).out.find("restarting for") !=
           std::string::npos;
  })) << run("host1", {"weftctl", "peers", "tor1"}).out;
  EXPECT_EQ(members("host1"), 2U) << "the way through tor1 stays";
  EXPECT_EQ(monitor->output().find(host2_block), std::string::npos) << monitor->output();
}

// Trap: a hard end is a hard end.
TEST_F(Restarts, ADrainedHostIsLeftAloneAndForgottenWhenItStops) {
  ASSERT_TRUE(run("host2", {"weftctl", "drain", "on", "--text", "new memory"}).ok());
  EXPECT_TRUE(eventually([&] {
    return run("tor1", {"vtysh", "-c", std::string("show bgp ipv4 unicast ") + host2_block})
               .out.find("graceful-shutdown") != std::string::npos;
  })) << run("tor1", {"vtysh", "-c", std::string("show bgp ipv4 unicast ") + host2_block}).text();
  EXPECT_TRUE(eventually([&] {
    return run("tor2", {"birdc", "show", "route", host2_block, "all"}).out.find("(65535,0)") !=
           std::string::npos;
  })) << run("tor2", {"birdc", "show", "route", host2_block, "all"}).text();

  // It holds over a restart.
  stop("host2", SIGKILL);
  start("host2");
  EXPECT_EQ(ctl("host2", {"status"})["draining"], true);
  EXPECT_EQ(ctl("host2", {"status"})["drain_text"], "new memory");
  EXPECT_NE(
      run("host2", {"curl", "-s", "http://127.0.0.1:9798/metrics"}).out.find("weft_draining 1"),
      std::string::npos);
  ASSERT_TRUE(eventually([&] { return ctl("host2", {"status"})["peers_established"] == 2; }));

  stop("host2", SIGTERM);
  EXPECT_TRUE(eventually([&] {
    return run("tor1", {"ip", "route", "show", host2_block}).out.empty() &&
           run("tor2", {"ip", "route", "show", host2_block}).out.empty();
  })) << run("tor1", {"ip", "route"}).out
      << run("tor2", {"ip", "route"}).out;
  EXPECT_TRUE(eventually([&] { return members("host1") == 0; }));

  start("host2");
  ASSERT_TRUE(run("host2", {"weftctl", "drain", "off"}).ok());
  EXPECT_EQ(ctl("host2", {"status"})["draining"], false);
  EXPECT_TRUE(eventually([&] { return settled("host1"); }));
}

}  // namespace
}  // namespace weft
