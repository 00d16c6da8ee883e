// Two weftd that peer with each other: blocks claimed in a real etcd, an etcd that goes, and two
// hosts that were given one static index.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "ctl/client.h"
#include "net/time.h"
#include "tests/system/two_hosts.h"

namespace weft::system_test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr seconds patience{60};

class Claiming : public testing::Test {
 protected:
  /// `claim` is the YAML of both hosts' pool.
  void start_hosts(const std::string& claim) {
    for (const bool first : {true, false}) start_host(first, claim);
  }
  void start_host(bool first, const std::string& claim, const std::string& more = "") {
    const std::string& name = first ? hosts_.a : hosts_.b;
    const std::string state = (hosts_.directory / name).string();
    std::filesystem::create_directories(state);
    const std::string config = hosts_.write(
        name + ".yaml",
        fmt::format("node: {{name: {0}, asn: {1}, router-id: 10.255.0.{2}}}\n"
                    "pools: {{p: {{ipv4: 10.64.0.0/24, ipv4-block-length: 28, claim: {3}}}}}\n"
                    "bgp: {{peers: [{{name: other, address: 192.0.2.{4}, remote-as: {5}, "
                    "restart-time: 5{6}}}]}}\n"
                    "exporter: {{listen: off}}\n",
                    name, first ? 65001 : 65002, first ? 1 : 2, claim, first ? 2 : 1,
                    first ? 65002 : 65001, more));
    auto& weftd = first ? weftd_a_ : weftd_b_;
    weftd.reset();
    weftd = std::make_unique<Process>(
        name,
        std::vector<std::string>{WEFT_BINARY_DIR "/weftd", "--config", config, "--state-dir", state,
                                 "--socket", socket(name)},
        (hosts_.directory / (name + ".log")).string());
  }
  [[nodiscard]] std::string socket(const std::string& name) const {
    return (hosts_.directory / (name + ".sock")).string();
  }
  json ask(const std::string& name, const std::string& words) const {
    const std::string said =
        shell(fmt::format(WEFT_BINARY_DIR "/weftctl --socket {} --json {}", socket(name), words));
    const json reply = json::parse(said, nullptr, false);
    return reply.is_object() && reply.contains("ok") ? reply["ok"] : json::object();
  }
  json blocks(const std::string& name) const {
    const json reply = ask(name, "blocks");
    return reply.contains("blocks") ? reply["blocks"] : json::array();
  }
  std::string warnings(const std::string& name) const { return ask(name, "status").dump(); }
  bool add(const std::string& name, int container) const {
    const auto reply = ctl::call(
        socket(name),
        ctl::AddRequest{{"n", fmt::format("c{}", container), "eth0"}, "/n", 1, "", std::nullopt},
        seconds(20));
    return reply && std::holds_alternative<ctl::Lease>(*reply);
  }
  static bool eventually(const std::function<bool()>& condition) {
    const Time until = Clock::now() + patience;
    while (!condition()) {
      if (Clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return true;
  }
  std::string log(const std::string& name) const {
    std::ifstream file(hosts_.directory / (name + ".log"));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TwoHosts hosts_;
  std::unique_ptr<Process> weftd_a_;
  std::unique_ptr<Process> weftd_b_;
};

TEST_F(Claiming, BlocksComeFromEtcdAndNobodyMissesItForAWhile) {
  if (shell("etcd --version").find("etcd Version") == std::string::npos)
    GTEST_SKIP() << "etcd is not installed (packaging/packages)";
  const auto start_etcd = [&] {
    return std::make_unique<Process>(
        hosts_.a,
        std::vector<std::string>{"etcd", "--data-dir", (hosts_.directory / "etcd").string(),
                                 "--listen-client-urls", "http://192.0.2.1:2379",
                                 "--advertise-client-urls", "http://192.0.2.1:2379", "--logger",
                                 "zap", "--log-level", "error"},
        (hosts_.directory / "etcd.log").string());
  };
  auto etcd = start_etcd();
  start_hosts("{etcd: {endpoints: [http://192.0.2.1:2379], spare: 4}}");
  ASSERT_TRUE(eventually([&] {
    return blocks(hosts_.a).size() == 1 && blocks(hosts_.b).size() == 1;
  })) << log(hosts_.a)
      << log(hosts_.b);
  EXPECT_NE(blocks(hosts_.a)[0]["index"], blocks(hosts_.b)[0]["index"]);
  EXPECT_TRUE(eventually([&] { return blocks(hosts_.a)[0]["advertised"] == 1; }));
  EXPECT_EQ(ask(hosts_.a, "ipam blocks")["blocks"].size(), 2U);
  for (int i = 0; i < 13; ++i) EXPECT_TRUE(add(hosts_.a, i));
  EXPECT_TRUE(eventually([&] { return blocks(hosts_.a).size() == 2; })) << log(hosts_.a);

  etcd->end(SIGKILL);
  EXPECT_TRUE(eventually(
      [&] { return warnings(hosts_.a).find("etcd does not answer") != std::string::npos; }));
  for (int i = 13; i < 32; ++i) EXPECT_TRUE(add(hosts_.a, i)) << i;
  EXPECT_FALSE(add(hosts_.a, 32)) << "the last free address is gone";
  // weftd may die as well: its blocks are on its own disk.
  weftd_a_->end(SIGKILL);
  start_host(true, "{etcd: {endpoints: [http://192.0.2.1:2379], spare: 4}}");
  EXPECT_TRUE(eventually([&] { return blocks(hosts_.a).size() == 2; })) << log(hosts_.a);
  etcd = start_etcd();
  EXPECT_TRUE(eventually([&] {
    return warnings(hosts_.a).find("etcd does not answer") == std::string::npos &&
           ask(hosts_.b, "ipam blocks")["blocks"].size() >= 3;
  })) << log(hosts_.a);
}

/// Installed in a folder of its own, with what is said to be etcd's client there.
TEST_F(Claiming, AClientOfAnotherVersionOrNoneIsRefusedInWords) {
  namespace fs = std::filesystem;
  const fs::path built = WEFT_BINARY_DIR;
  const fs::path program = hosts_.directory / "usr/sbin/weftd";
  const fs::path client = hosts_.directory / "usr/lib/weft/etcd.so";
  fs::create_directories(program.parent_path());
  fs::create_directories(client.parent_path());
  fs::copy_file(built / "weftd", program);
  const std::string config = hosts_.write(
      "claim.yaml",
      "node: {asn: 65001, router-id: 10.255.0.1}\n"
      "pools: {p: {ipv4: 10.64.0.0/24, claim: {etcd: {endpoints: [http://192.0.2.1:2379]}}}}\n"
      "bgp: {peers: [{address: 192.0.2.2, remote-as: 65002}]}\nexporter: {listen: off}\n");
  const auto says = [&] {
    return shell(fmt::format(
        "ip netns exec {} timeout 20 {} --config {} --state-dir {} --socket {} 2>&1", hosts_.a,
        program.string(), config, hosts_.directory.string(), socket(hosts_.a)));
  };
  EXPECT_THAT(says(), testing::HasSubstr("etcd: the client cannot be loaded: " + client.string()));
  std::ifstream file(built.parent_path() / "lib/weft/etcd.so", std::ios::binary);
  std::string octets{std::istreambuf_iterator<char>(file), {}};
  const std::string version = shell((built / "weftd").string() + " --version");
  const std::string ours =
      version.substr(version.find(' ') + 1, version.find('\n') - version.find(' ') - 1);
  const std::size_t at = octets.find(ours + '\0');
  ASSERT_NE(at, std::string::npos) << ours;
  octets[at] = 'x';
  std::ofstream(client, std::ios::binary) << octets;
  EXPECT_THAT(says(),
              testing::HasSubstr(client.string() + " is not of this weftd's version, " + ours));
}

TEST_F(Claiming, WhoEchoesOurOwnBlockIsNoRivalWhetherOurAsMayComeBackOrNot) {
  if (!std::filesystem::exists("/usr/lib/frr/bgpd"))
    GTEST_SKIP() << "FRR is not installed (packaging/packages)";
  const auto start_frr = [&](const std::string& daemon, const std::string& config) {
    return std::make_unique<Process>(hosts_.b, hosts_.frr(daemon, config),
                                     (hosts_.directory / (daemon + ".log")).string());
  };
  const auto zebra = start_frr("zebra", "hostname b\n");
  const auto bgpd = start_frr("bgpd", R"(log stdout
router bgp 65002
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 neighbor 192.0.2.1 remote-as 65001
 neighbor 192.0.2.1 timers connect 1
 neighbor 192.0.2.1 ttl-security hops 1
)");
  int container = 0;
  for (const std::string more : {"", ", allowas-in: 1"}) {
    start_host(true, "{static: {index: 3}}", more);
    const auto echo = [&] {
      const json shown = ask(hosts_.a, "routes 10.64.0.48/28");
      return shown.contains("routes") && shown["routes"][0]["paths"].size() == 2;
    };
    ASSERT_TRUE(eventually(echo)) << log(hosts_.a);
    const json path = ask(hosts_.a, "routes 10.64.0.48/28")["routes"][0]["paths"][1];
    EXPECT_EQ(path["aggregator"], "65001 10.255.0.1") << path.dump(2);
    // Rivals are looked for every few seconds: with each turn, and at once with etcd.
    const Time looked = Clock::now() + seconds(7);
    ASSERT_TRUE(eventually([&] { return Clock::now() > looked; }));
    EXPECT_EQ(warnings(hosts_.a).find("announced by another host"), std::string::npos) << more;
    EXPECT_TRUE(add(hosts_.a, ++container)) << log(hosts_.a);
  }
}

TEST_F(Claiming, OneStaticIndexOnTwoHostsIsSeen) {
  start_hosts("{static: {index: 3}}");
  for (const std::string& name : {hosts_.a, hosts_.b}) {
    EXPECT_TRUE(eventually([&] {
      return warnings(name).find("announced by another host too") != std::string::npos;
    })) << log(name);
    EXPECT_FALSE(add(name, 1));
  }
  weftd_b_->end(SIGKILL);
  EXPECT_TRUE(eventually([&] { return add(hosts_.a, 2); }))
      << "it is alone once the other's restart time is over";
}

}  // namespace
}  // namespace weft::system_test
