// Addresses beyond weft's own links: weft-ipam beneath Debian's ptp and bridge, a move from
// host-local with containers running, addresses that somebody else has, lists of GC that are wrong,
// and what an operator finds and mends.
#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <string>
#include <vector>

#include "net/attachment.h"
#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Argv;
using lab::Output;
using nlohmann::json;
using system_test::Hosts;

constexpr const char* subnets = ", gateway: true";

class Ipam : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/hosts/hosts.clab.yml", WEFT_BINARY_DIR);
  }

  /// As in the file of the topology, with more of the pool's keys.
  void configure(const std::string& pool, int audit_interval = 1) {
    const std::string text =
        "node: {asn: 4200000011, router-id: 10.255.0.11, router-address-ipv6: 'fd00:0:0:255::11'}\n"
        "pools:\n  containers: {ipv4: 10.64.0.0/16, ipv6: 'fd64:0:0:1::/112', claim: {static: "
        "{index: 11}}" +
        pool + "}\nipam: {audit-interval: " + std::to_string(audit_interval) +
        "}\n"
        "bgp:\n  peers:\n    - {name: other, address: 10.0.0.1, remote-as: external, "
        "connect-retry: 1, idle-hold: 0}\n";
    must("cat > /run/weft.yaml && mount --bind /run/weft.yaml /etc/weft/weft.yaml", text);
  }

  std::string must(const std::string& command, const std::string& input = {}) {
    const Output output = run("host1", {"sh", "-c", command}, input);
    EXPECT_TRUE(output.ok()) << command << "\n" << output.text();
    return output.out;
  }

  /// A plugin of Debian's or ours on host1, for a container that has its namespace.
  Output plugin(const std::string& type, const std::string& verb, const std::string& container,
                const std::string& config, lab::Environment env = {}) {
    env.insert({{"CNI_COMMAND", verb},
                {"CNI_CONTAINERID", container},
                {"CNI_NETNS", "/run/netns/" + container},
                {"CNI_IFNAME", "eth0"},
                {"CNI_PATH", "/opt/cni/bin:/usr/lib/cni"}});
    const std::string folder = type.rfind("weft", 0) == 0 ? "/opt/cni/bin/" : "/usr/lib/cni/";
    return run("host1", {folder + type}, config, env);
  }

  /// What ADD prints.
  json attach(const std::string& type, const std::string& container, const std::string& config) {
    must("ip netns add " + container);
    const Output added = plugin(type, "ADD", container, config);
    EXPECT_TRUE(added.ok()) << added.text();
    return json::parse(added.out, nullptr, false);
  }

  json held(const std::string& container) {
    const json reply = ctl("host1", {"containers"});
    for (const json& row : reply["containers"]) {
      if (row["attachment"]["container"] == container) return row;
    }
    return {};
  }
  json block() { return ctl("host1", {"blocks"})["blocks"][0]; }
  std::string findings(const std::vector<std::string>& words) {
    Argv argv{"ipam", "check"};
    argv.insert(argv.end(), words.begin(), words.end());
    return ctl("host1", argv)["findings"].dump();
  }
  bool pings(const std::string& container, const std::string& address) {
    return eventually([&] { return ping("host1", container, address); });
  }

  static std::string bare(const std::string& address) {
    return address.substr(0, address.find('/'));
  }
};

TEST_F(Ipam, PtpTakesAddressesFromWeftIpam) {
  configure(subnets);
  start("host1");
  start("host2");
  const std::string there = add_container("host2", "db");
  const std::string ours = add_container("host1", "web");
  EXPECT_EQ(ours, "10.64.2.194") << "network and gateway are kept";
  const std::string config =
      R"({"cniVersion":"1.0.0","name":"old","type":"ptp","ipam":{"type":"weft-ipam"}})";
  const json result = attach("ptp", "app", config);
  ASSERT_TRUE(result.is_object());
  EXPECT_EQ(result["ips"][0]["address"], "10.64.2.195/26");
  EXPECT_EQ(result["ips"][0]["gateway"], "10.64.2.193");
  EXPECT_EQ(result["ips"][1]["address"], "fd64:0:0:1::2c3/122");
  EXPECT_EQ(held("app")["state"], "delegated");
  EXPECT_EQ(held("app")["ipv4"], "10.64.2.195");

  ASSERT_TRUE(eventually([&] { return has_route("host1", "10.64.3.0/26"); }));
  EXPECT_TRUE(pings("app", there)) << must("ip netns exec app ip route; ip route");
  EXPECT_TRUE(pings("app", "fd64:0:0:1::300")) << must("ip netns exec app ip -6 route");
  EXPECT_TRUE(pings("app", ours));
  EXPECT_TRUE(eventually([&] { return ping("host2", "db", "10.64.2.195"); }));

  json checked = json::parse(config);
  checked["prevResult"] = result;
  const Output check = plugin("ptp", "CHECK", "app", checked.dump());
  EXPECT_TRUE(check.ok()) << check.text();
  checked["prevResult"]["ips"] = json::array();
  EXPECT_FALSE(plugin("weft-ipam", "CHECK", "app", checked.dump()).ok());

  // Its link has no name of ours: audits find it alive by its namespace.
  stop("host1", SIGKILL);
  start("host1");
  for (int i = 0; i < 3; ++i) findings({"--repair"});
  EXPECT_EQ(held("app")["state"], "delegated");

  EXPECT_TRUE(plugin("ptp", "DEL", "app", config).ok());
  EXPECT_TRUE(held("app").is_null());
  EXPECT_TRUE(plugin("ptp", "DEL", "app", config).ok()) << "twice";
  EXPECT_EQ(block()["cooling"], 1);

  // A container whose DEL never comes.
  attach("ptp", "gone", config);
  must("ip netns del gone");
  EXPECT_TRUE(eventually([&] { return held("gone").is_null(); }));

  // STATUS, VERSION, and a DEL that finds no weftd.
  const std::string newest =
      R"({"cniVersion":"1.1.0","name":"old","type":"ptp","ipam":{"type":"weft-ipam"}})";
  EXPECT_TRUE(plugin("weft-ipam", "STATUS", "", newest).ok());
  const json versions = json::parse(plugin("weft-ipam", "VERSION", "", "").out);
  EXPECT_EQ(versions["supportedVersions"].size(), 7U);
  stop("host1", SIGTERM);
  EXPECT_EQ(json::parse(plugin("weft-ipam", "STATUS", "", newest).out)["code"], 50);
  EXPECT_EQ(json::parse(plugin("weft-ipam", "ADD", "app", newest).out)["code"], 11);
  EXPECT_TRUE(plugin("weft-ipam", "DEL", "app", newest).ok());
}

TEST_F(Ipam, BridgeTakesAddressesFromWeftIpam) {
  configure(subnets);
  start("host1");
  start("host2");
  const std::string there = add_container("host2", "db");
  const std::string config = R"({"cniVersion":"1.0.0","name":"lan","type":"bridge","bridge":"lan0",
      "isGateway":true,"ipam":{"type":"weft-ipam"}})";
  const json first = attach("bridge", "a", config);
  const json second = attach("bridge", "b", config);
  ASSERT_TRUE(first.is_object() && second.is_object());
  EXPECT_NE(must("ip -4 addr show dev lan0").find("10.64.2.193/26"), std::string::npos);
  EXPECT_TRUE(pings("a", bare(second["ips"][0]["address"])));
  ASSERT_TRUE(eventually([&] { return has_route("host1", "10.64.3.0/26"); }));
  EXPECT_TRUE(pings("a", there));
  EXPECT_TRUE(eventually([&] { return ping("host2", "db", bare(first["ips"][0]["address"])); }));
  for (const char* container : {"a", "b"}) {
    EXPECT_TRUE(plugin("bridge", "DEL", container, config).ok());
  }
  EXPECT_EQ(block()["held"], 0);
}

TEST_F(Ipam, WithoutGatewaysWeftIpamAnswersAddressesAlone) {
  start("host1");
  const json result = attach("weft-ipam", "app",
                             R"({"cniVersion":"1.0.0","name":"n","ipam":{"type":"weft-ipam"}})");
  EXPECT_EQ(result["ips"][0], json({{"address", "10.64.2.192/32"}}));
  EXPECT_FALSE(result.contains("interfaces"));
  const Output outside = plugin("weft-ipam", "ADD", "other", R"({"cniVersion":"1.0.0","name":"n",
      "ipam":{"type":"weft-ipam"},"runtimeConfig":{"ipRanges":[[{"subnet":"10.99.0.0/24"}]]}})");
  EXPECT_EQ(json::parse(outside.out)["code"], 7) << outside.text();
  EXPECT_NE(outside.out.find("10.99.0.0-10.99.0.255 is in no pool"), std::string::npos);
}

TEST_F(Ipam, WhoNeedsAGatewayIsToldWhichKeyIsMissing) {
  start("host1");
  must("ip netns add app");
  for (const char* main :
       {R"("type":"ptp")", R"("type":"bridge","bridge":"lan0","isGateway":true)"}) {
    const std::string type = std::string(main).find("ptp") != std::string::npos ? "ptp" : "bridge";
    const std::string config = std::string(R"({"cniVersion":"1.0.0","name":"old",)") + main +
                               R"(,"ipam":{"type":"weft-ipam"}})";
    const Output refused = plugin(type, "ADD", "app", config);
    EXPECT_FALSE(refused.ok());
    EXPECT_NE(refused.out.find("set pools.containers.gateway to true"), std::string::npos)
        << refused.text();
    EXPECT_TRUE(held("app").is_null());
    EXPECT_TRUE(plugin(type, "DEL", "app", config).ok());
  }
  EXPECT_EQ(block()["cooling"], 0);
}

TEST_F(Ipam, HostLocalMovesToWeftWithItsContainersRunning) {
  configure(subnets);
  start("host1");
  const std::string before = R"({"cniVersion":"1.0.0","name":"old","type":"ptp","ipam":{
      "type":"host-local","routes":[{"dst":"0.0.0.0/0"}],
      "ranges":[[{"subnet":"10.64.2.192/26","rangeStart":"10.64.2.200"}]]}})";
  const std::string after =
      R"({"cniVersion":"1.0.0","name":"old","type":"ptp","ipam":{"type":"weft-ipam"}})";
  std::set<std::string> used;
  for (const char* container : {"a", "b"}) {
    used.insert(bare(attach("ptp", container, before)["ips"][0]["address"]));
  }
  // Not imported yet, they are seen in use, and not given.
  must("ip netns add thief");
  const Output stolen = cni("ADD", "host1", "thief", {{"CNI_ARGS", "IP=" + *used.begin()}});
  EXPECT_NE(stolen.out.find("is quarantined: " + *used.begin() + " has a route of its own"),
            std::string::npos)
      << stolen.text();

  const std::string directory = "/var/lib/cni/networks/old";
  const Output dry = run("host1", {"weftctl", "ipam", "import", directory, "--dry-run"});
  EXPECT_TRUE(dry.ok()) << dry.text();
  EXPECT_NE(dry.out.find("nothing was changed"), std::string::npos);
  EXPECT_TRUE(held("a").is_null());
  // What fits nowhere keeps all of them where they are.
  must("printf 'c\\r\\neth0' > " + directory + "/10.99.0.1");
  const Output refused = run("host1", {"weftctl", "ipam", "import", directory});
  EXPECT_EQ(refused.exit, 1);
  EXPECT_NE(refused.out.find("! 10.99.0.1"), std::string::npos) << refused.text();
  EXPECT_NE(refused.out.find("in no pool"), std::string::npos) << refused.text();
  EXPECT_TRUE(held("a").is_null());
  must("rm " + directory + "/10.99.0.1");
  const Output taken = run("host1", {"weftctl", "ipam", "import", directory});
  EXPECT_TRUE(taken.ok()) << taken.text();
  EXPECT_EQ((std::set<std::string>{held("a").value("ipv4", ""), held("b").value("ipv4", "")}),
            used);
  EXPECT_EQ(block()["quarantined"], 0);
  const Output again = run("host1", {"weftctl", "ipam", "import", directory});
  EXPECT_NE(again.out.find("held already"), std::string::npos) << again.text();

  // They stay, through audits and a restart, until their DEL, which goes to weft-ipam now.
  stop("host1", SIGKILL);
  start("host1");
  for (int i = 0; i < 3; ++i) findings({"--repair"});
  EXPECT_EQ(ctl("host1", {"containers"})["containers"].size(), 2U);
  const json next = attach("ptp", "c", after);
  EXPECT_FALSE(used.contains(bare(next["ips"][0]["address"])));
  EXPECT_TRUE(pings("c", held("a")["ipv4"]));
  EXPECT_TRUE(plugin("ptp", "DEL", "a", after).ok());
  EXPECT_TRUE(held("a").is_null());
  EXPECT_FALSE(held("b").is_null());
}

TEST_F(Ipam, AnAddressThatSomebodyElseHasIsNotGiven) {
  // Of the host itself, of another program's container, of another host.
  must("ip addr add 10.64.2.192/32 dev lo");
  must("ip route add 10.64.2.193/32 dev eth1");
  start("host1");
  EXPECT_EQ(add_container("host1", "web"), "10.64.2.194");
  EXPECT_EQ(block()["quarantined"], 2);
  EXPECT_EQ(block()["free"], 61);
  must("ip -6 route add fd64:0:0:1::2c9/128 dev eth1");
  const std::string found = findings({});
  EXPECT_NE(found.find("10.64.2.192 is an address of this host itself; it is quarantined"),
            std::string::npos)
      << found;
  EXPECT_NE(found.find("fd64:0:0:1::2c9 has a route of its own in the kernel (protocol 3"),
            std::string::npos)
      << found;
  EXPECT_NE(found.find("and is free by our records"), std::string::npos) << found;
  findings({"--repair"});
  EXPECT_EQ(block()["quarantined"], 3);
  EXPECT_NE(run("host1", {"weftctl", "blocks"}).out.find("owned, 3 quarantined"),
            std::string::npos);
  const std::string metrics = must("curl -s http://127.0.0.1:9798/metrics");
  EXPECT_NE(metrics.find("weft_ipam_quarantines_total 3"), std::string::npos);
  EXPECT_NE(metrics.find("state=\"quarantined\"} 3"), std::string::npos);

  // Whoever had them is gone: they come back, and cool like all that was in use.
  must(
      "ip addr del 10.64.2.192/32 dev lo; ip route del 10.64.2.193/32; "
      "ip -6 route del fd64:0:0:1::2c9/128");
  EXPECT_TRUE(eventually([&] { return block()["quarantined"] == 0; }));
  EXPECT_EQ(block()["cooling"], 3);
  EXPECT_EQ(add_container("host1", "db"), "10.64.2.195");
}

TEST_F(Ipam, AnAddressThatBgpShowsAtAnotherHostIsNotGiven) {
  // The other host speaks with an address of our block: say, of a container it kept when it lost
  // the block.
  const Output other =
      run("host2",
          {"sh", "-c", "cat > /run/weft.yaml && mount --bind /run/weft.yaml /etc/weft/weft.yaml"},
          "node: {asn: 4200000012, router-id: 10.64.2.192}\n"
          "pools:\n  containers: {ipv4: 10.64.3.0/24, claim: {static: {index: 0}}}\n"
          "bgp:\n  peers:\n    - {name: other, address: 10.0.0.0, remote-as: external, "
          "connect-retry: 1, idle-hold: 0}\n");
  ASSERT_TRUE(other.ok()) << other.text();
  start("host1");
  start("host2");
  ASSERT_TRUE(eventually([&] { return has_route("host1", "10.64.2.192/32"); }))
      << run("host1", {"weftctl", "routes"}).text();
  EXPECT_EQ(add_container("host1", "web"), "10.64.2.193");
  EXPECT_EQ(block()["quarantined"], 1);
}

TEST_F(Ipam, AGcWithAWrongListLeavesWhatLives) {
  start("host1");
  add_container("host1", "web");
  const auto gc = [&](const std::string& network, const std::string& list) {
    const Output done = plugin("weft", "GC", "",
                               R"({"cniVersion":"1.1.0","name":")" + network +
                                   R"(","type":"weft","cni.dev/valid-attachments":)" + list + "}");
    EXPECT_TRUE(done.ok()) << done.text();
    return done.err;
  };
  const std::string strangers = R"([{"containerID":"stranger","ifname":"eth0"}])";
  for (const std::string& list : {std::string("[]"), strangers}) {
    EXPECT_NE(gc("fabric", list).find("eth0 of container web"), std::string::npos);
    EXPECT_EQ(gc("other", list), "") << "another network's are no business of its";
  }
  EXPECT_EQ(held("web")["state"], "attached");
  EXPECT_TRUE(ping("host1", "web", "10.0.0.0"));
  EXPECT_NE(must("curl -s http://127.0.0.1:9798/metrics").find("weft_ipam_gc_spared_total 2"),
            std::string::npos);
  // Dead, it goes at once.
  must("ip -n web addr flush dev eth0 scope global");
  EXPECT_EQ(gc("fabric", "[]"), "");
  EXPECT_TRUE(held("web").is_null());
}

TEST_F(Ipam, CheckNamesWhatDiffersAndRepairs) {
  configure("", 3600);
  start("host1");
  add_container("host1", "web");
  add_container("host1", "ghost");
  EXPECT_EQ(findings({}), "[]");
  const std::string web = held("web")["host_ifname"];
  const std::string ghost = held("ghost")["host_ifname"];
  const std::string alias = json::parse(must("ip -j link show " + ghost))[0]["ifalias"];
  EXPECT_TRUE(cni("DEL", "host1", "ghost").ok());

  // An address without a link: freed by the second repair, for the first may meet an ADD.
  must("ip link del " + web);
  EXPECT_NE(findings({}).find("fabric/web/eth0, which has no link"), std::string::npos);
  EXPECT_NE(findings({"--repair"}).find("fabric/web/eth0, which has no link"), std::string::npos);
  EXPECT_FALSE(held("web").is_null());
  EXPECT_NE(findings({"--repair"}).find(": freed"), std::string::npos);
  EXPECT_TRUE(held("web").is_null());
  EXPECT_EQ(findings({}), "[]");

  // A container that only the kernel knows.
  must("ip link add " + ghost + " type veth peer name eth9 netns ghost && ip link set " + ghost +
       " alias " + alias +
       " up && ip -n ghost link set eth9 up && ip route add 10.64.2.193/32 dev " + ghost +
       " proto 87");
  EXPECT_NE(findings({}).find("link " + ghost), std::string::npos);
  findings({"--repair"});
  EXPECT_EQ(held("ghost")["ipv4"], "10.64.2.193");
  EXPECT_EQ(block()["held"], 1);
}

TEST_F(Ipam, CheckFindsEveryDamageAndRepairsIt) {
  configure("", 3600);
  start("host1");
  const std::string web = add_container("host1", "web");
  const std::string link = held("web")["host_ifname"];
  const std::string alias = json::parse(must("ip -j link show " + link))[0]["ifalias"];
  const std::string sequence = held("web")["sequence"].dump();
  struct Damage {
    const char* name;
    std::string command;
    std::string found;
    std::string repaired;
  };
  const std::string element =
      "nft delete element inet weft addresses { " + link + " . " + web + " }";
  const std::vector<Damage> damages{
      {"database", "rm /var/lib/weft/weft.db*", "weft.db was deleted or replaced while weftd runs",
       ": written anew"},
      {"alias", "ip link set " + link + " alias mine",
       "link " + link + " of container fabric/web/eth0 has alias mine and not " + alias,
       ": put back"},
      {"element", element, "set addresses lacks the element of " + link, ": made anew"},
      {"stranger", "nft add element inet weft addresses { " + link + " . 10.9.9.9 }", "10.9.9.9",
       ", which is no container's: made anew"},
      {"table", "nft delete table inet weft", "the nft table inet weft is gone", ": made anew"},
  };
  for (const Damage& damage : damages) {
    must(damage.command);
    const std::string found = findings({});
    EXPECT_NE(found.find(damage.found), std::string::npos) << damage.name << found;
    EXPECT_EQ(ctl("host1", {"ipam", "check"})["findings"].size(), 1U) << damage.name << found;
    const std::string repaired = findings({"--repair"});
    EXPECT_NE(repaired.find(damage.repaired), std::string::npos) << damage.name << repaired;
    EXPECT_EQ(findings({}), "[]") << damage.name;
    EXPECT_TRUE(ping("host1", "web", "10.0.0.0")) << damage.name;
  }
  // What is somebody else's to mend is named, and nothing is said to be done that is not.
  const auto said = [&](const std::string& damage, const std::string& words,
                        const std::string& remedy) {
    must(damage);
    for (const char* how : {"--repair", "--repair"}) {
      const std::string found = findings({how});
      EXPECT_NE(found.find(words), std::string::npos) << damage << found;
      EXPECT_EQ(found.find(web + " of container fabric/web/eth0 has no route"), std::string::npos)
          << damage << found;
    }
    must(remedy);
    // By this repair or by weftd, which hears of it: whoever comes first.
    EXPECT_TRUE(eventually([&] { return findings({"--repair"}) == "[]"; })) << damage;
    EXPECT_TRUE(ping("host1", "web", "10.0.0.0")) << damage;
  };
  said("ip link set " + link + " down", "link " + link + " of container fabric/web/eth0 is down",
       "ip link set " + link + " up");
  said("ip route replace " + web + "/32 dev eth1 proto static", "has a route of protocol 4 to link",
       "ip route del " + web + "/32 proto static");
  // The new database is the old one.
  stop("host1", SIGKILL);
  start("host1");
  EXPECT_EQ(held("web")["sequence"].dump(), sequence);
  EXPECT_EQ(findings({}), "[]");
  // A link with somebody's own words on it goes with its container all the same.
  stop("host1", SIGTERM);
  configure("");
  start("host1");
  must("ip link set " + link + " alias mine");
  EXPECT_TRUE(
      eventually([&] { return must("ip -j link show " + link).find(alias) != std::string::npos; }));
  EXPECT_TRUE(cni("DEL", "host1", "web").ok());
  EXPECT_FALSE(run("host1", {"ip", "link", "show", link}).ok());
}

TEST_F(Ipam, ARenamedLinkIsAdoptedThoughTheDatabaseIsLost) {
  configure("", 3600);
  start("host1");
  const std::string web = add_container("host1", "web");
  const std::string link = held("web")["host_ifname"];
  for (const char* name : {"debug0", "weftdebug0"}) {
    stop("host1", SIGKILL);
    must("rm /var/lib/weft/weft.db*");
    must("ip link set " + link + " name " + name + " || { ip link set " + link +
         " down && ip link set " + link + " name " + name + "; }");
    start("host1");
    must("ip link set " + link + " up");
    EXPECT_EQ(held("web").value("ipv4", ""), web) << name << weftd_.at("host1").output();
    EXPECT_TRUE(pings("web", "10.0.0.0")) << name;
    EXPECT_EQ(findings({}), "[]") << name;
  }
  EXPECT_TRUE(cni("DEL", "host1", "web").ok());
  EXPECT_EQ(must("ip -o link show type veth | grep -c weft: || true"), "0\n");
  EXPECT_EQ(block()["held"], 0);
}

TEST_F(Ipam, ContainersOutliveTheDatabase) {
  configure("");
  start("host1");
  const std::string web = add_container("host1", "web");
  const std::string db = add_container("host1", "db");
  const json before = ctl("host1", {"containers"})["containers"];
  constexpr const char* names = "ip -o link show type veth | cut -d: -f2";
  const std::string links = must(names);
  // Taken away under a weftd that runs, damaged, and gone with weftd killed.
  for (const char* loss : {"rm /var/lib/weft/weft.db*", "truncate -s 0 /var/lib/weft/weft.db*",
                           "for f in /var/lib/weft/weft.db*; do dd if=/dev/urandom of=$f bs=4096 "
                           "count=4 conv=notrunc status=none; done"}) {
    must(loss);
    // The containers do not notice, nor is anything of theirs touched by what weftd answers now.
    must("ip netns add late");
    cni("ADD", "host1", "late");
    EXPECT_TRUE(ping("host1", "web", "10.0.0.0")) << loss;
    stop("host1", SIGKILL);
    EXPECT_TRUE(ping("host1", "web", "10.0.0.0")) << loss;
    start("host1");
    for (const json& lease : before) {
      const json now = held(lease["attachment"]["container"]);
      ASSERT_FALSE(now.is_null()) << loss << weftd_.at("host1").output();
      EXPECT_EQ(now["ipv4"], lease["ipv4"]) << loss;
      EXPECT_EQ(now["ipv6"], lease["ipv6"]) << loss;
      EXPECT_EQ(now["host_ifname"], lease["host_ifname"]) << loss;
    }
    EXPECT_TRUE(ping("host1", "web", "10.0.0.0")) << loss;
    EXPECT_TRUE(ping("host1", "db", "10.0.0.0")) << loss;
    // Nobody is given what they have.
    const std::string app = add_container("host1", "app");
    EXPECT_NE(app, "");
    EXPECT_NE(app, web);
    EXPECT_NE(app, db);
    EXPECT_TRUE(cni("DEL", "host1", "late").ok());
    EXPECT_EQ(findings({}), "[]") << loss;
    EXPECT_TRUE(cni("DEL", "host1", "app").ok());
    must("ip netns del app && ip netns del late");
  }
  EXPECT_EQ(must(names), links);
  EXPECT_TRUE(cni("DEL", "host1", "web").ok());
  EXPECT_TRUE(cni("DEL", "host1", "db").ok());
  EXPECT_EQ(block()["held"], 0);
}

TEST_F(Ipam, ALostRouteIsPutBackWithoutAnAudit) {
  configure("", 3600);
  start("host1");
  const std::string web = add_container("host1", "web");
  for (int i = 0; i < 2; ++i) {
    must("ip route del " + web);
    EXPECT_TRUE(eventually([&] { return !must("ip route show proto 87 " + web).empty(); }));
  }
  EXPECT_EQ(findings({}), "[]");
}

TEST_F(Ipam, ALinkThatSomebodyRenamedIsNamedBackAndItsContainerKeepsItsAddress) {
  configure("");
  start("host1");
  const std::string web = add_container("host1", "web");
  const json before = held("web");
  const std::string link = before["host_ifname"];
  for (const char* name : {"debug0", "weftdebug0"}) {
    // In one step where the kernel can.
    must("ip link set " + link + " name " + name + " || { ip link set " + link +
         " down && ip link set " + link + " name " + name + "; }");
    EXPECT_TRUE(eventually([&] {
      return run("host1", {"ip", "link", "show", link}).ok();
    })) << name
        << weftd_.at("host1").output();
    EXPECT_FALSE(run("host1", {"ip", "link", "show", name}).ok());
    must("ip link set " + link + " up");
    EXPECT_TRUE(pings("web", "10.0.0.0")) << name;
    EXPECT_TRUE(eventually([&] { return findings({}) == "[]"; })) << findings({});
    EXPECT_EQ(held("web")["sequence"], before["sequence"]) << name;
  }
  stop("host1", SIGTERM);
  configure("", 3600);
  start("host1");
  must("ip link set " + link + " name debug0");
  EXPECT_NE(findings({}).find("link debug0 is that of container"), std::string::npos);
  EXPECT_NE(findings({"--repair"}).find("named back"), std::string::npos);
  EXPECT_EQ(findings({}), "[]");
  EXPECT_TRUE(cni("DEL", "host1", "web").ok());
  EXPECT_EQ(must("ip -o link show type veth | grep -c weft: || true"), "0\n");
  EXPECT_EQ(block()["held"], 0);
}

TEST_F(Ipam, TheMtuIsThatOfTheUplinksAndFollowsThem) {
  configure("");
  start("host1");
  start("host2");
  const auto mtu = [&](const std::string& container) {
    return json::parse(must("ip -n " + container + " -j link show eth0"))[0]["mtu"].get<int>();
  };
  must("ip link set eth1 mtu 4000");
  EXPECT_TRUE(run("host2", {"ip", "link", "set", "eth1", "mtu", "4000"}).ok());
  const std::string far = add_container("host2", "far");
  // weftd hears of a link from the kernel.
  int made = 0;
  const auto made_with = [&](int wanted) {
    const std::string name = "c" + std::to_string(made++);
    add_container("host1", name);
    return mtu(name) == wanted;
  };
  EXPECT_TRUE(eventually([&] { return made_with(4000); }));
  ASSERT_TRUE(eventually([&] { return ping("host1", "c0", far); }));
  must("ip link set eth1 mtu 1400");
  EXPECT_TRUE(run("host2", {"ip", "link", "set", "eth1", "mtu", "1400"}).ok());
  EXPECT_TRUE(eventually([&] { return made_with(1400); }));
  // A container that runs keeps its own, and the host tells it what is too big.
  EXPECT_EQ(mtu("c0"), 4000);
  EXPECT_TRUE(eventually([&] {
    return run("host1",
               {"ip", "netns", "exec", "c0", "ping", "-c", "1", "-W", "2", "-s", "3000", far})
        .ok();
  }));
  EXPECT_NE(must("ip -n c0 route get " + far).find("mtu 1400"), std::string::npos);
  // What the network says is first.
  must("ip netns add own");
  const Output own = plugin("weft", "ADD", "own",
                            R"({"cniVersion":"1.0.0","name":"fabric","type":"weft","mtu":1300})");
  ASSERT_TRUE(own.ok()) << own.text();
  EXPECT_EQ(mtu("own"), 1300);
}

TEST_F(Ipam, BlocksOfOneAddressHaveNoBlackhole) {
  must("cat > /run/weft.yaml && mount --bind /run/weft.yaml /etc/weft/weft.yaml",
       "node: {asn: 4200000011, router-id: 10.255.0.11}\n"
       "pools:\n  single: {ipv4: 10.64.0.0/16, ipv4-block-length: 32, claim: {static: {blocks: "
       "[704, 705]}}}\n"
       "bgp:\n  peers:\n    - {name: other, address: 10.0.0.1, remote-as: external, "
       "connect-retry: 1, idle-hold: 0}\n");
  start("host1");
  start("host2");
  EXPECT_EQ(add_container("host1", "web"), "10.64.2.192");
  EXPECT_EQ(add_container("host1", "db"), "10.64.2.193");
  EXPECT_EQ(must("ip route show type blackhole proto 87"), "");
  const std::string there = add_container("host2", "app");
  ASSERT_TRUE(eventually([&] { return has_route("host2", "10.64.2.193/32"); }));
  EXPECT_TRUE(eventually([&] { return ping("host2", "app", "10.64.2.193"); }));
}

}  // namespace
}  // namespace weft
