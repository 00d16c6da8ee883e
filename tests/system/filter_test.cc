// weft's own nft table: containers speak with their own addresses only, the pools may hide behind
// the host, and no other table is touched.
#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <string>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using nlohmann::json;

class Filter : public system_test::Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/hosts/hosts.clab.yml", WEFT_BINARY_DIR);
    if (lab_ && !run("host1", {"nft", "list", "ruleset"}).ok()) GTEST_SKIP() << "no nf_tables";
  }

  std::string table() { return run("host1", {"nft", "list", "table", "inet", "weft"}).out; }
  bool guarded(const std::string& ifname) { return table().find(ifname) != std::string::npos; }

  /// By the number that the kernel gave it: one that is made anew has another.
  std::string handle() { return table_entry("table")["handle"].dump(); }
  std::set<std::string> elements(const std::string& set) {
    std::set<std::string> found;
    const json listed = table_entry("set", set);
    for (const json& value : listed.value("elem", json::array())) found.insert(value.dump());
    return found;
  }
  json table_entry(const std::string& kind, const std::string& name = "weft") {
    const std::string out = run("host1", {"nft", "-j", "-a", "list", "table", "inet", "weft"}).out;
    const json all = json::parse(out, nullptr, false);
    for (const json& entry : all.value("nftables", json::array())) {
      if (entry.contains(kind) && entry[kind].value("name", "") == name) return entry[kind];
    }
    ADD_FAILURE() << "no " << kind << ' ' << name << " in " << out;
    return json::object();
  }
  static std::string pair(const std::string& ifname, const std::string& address) {
    return json{{"concat", {ifname, address}}}.dump();
  }

  bool ping_as(const std::string& container, const std::string& source, const std::string& to) {
    return run("host1",
               {"ip", "netns", "exec", container, "ping", "-c", "1", "-W", "1", "-I", source, to})
        .ok();
  }

  std::uint64_t spoofed() {
    const std::string metrics = run("host1", {"curl", "-s", "http://127.0.0.1:9798/metrics"}).out;
    const std::string name = "\nweft_cni_spoofed_packets_total ";
    const auto at = metrics.find(name);
    EXPECT_NE(at, std::string::npos);
    return at == std::string::npos ? 0 : std::stoull(metrics.substr(at + name.size()));
  }

  void reload_with(const std::string& more) {
    const std::string path = "/etc/weft/weft.yaml";
    const std::string good = run("host1", {"cat", path}).out;
    EXPECT_TRUE(run("host1",
                    {"sh", "-c", "cat > /run/new.yaml && mount --bind /run/new.yaml " + path},
                    good + more)
                    .ok());
    weftd_.at("host1").signal(SIGHUP);
  }
};

TEST_F(Filter, ContainersSpeakWithTheirOwnAddressesOnly) {
  ASSERT_TRUE(run("host1", {"nft", "add", "table", "inet", "other"}).ok());
  ASSERT_TRUE(run("host1", {"nft",
                            "add chain inet other input { type filter hook input priority "
                            "0; policy accept; }"})
                  .ok());
  const std::string other = run("host1", {"nft", "list", "table", "inet", "other"}).out;
  start("host1");
  const std::string web = add_container("host1", "web");
  const json held = ctl("host1", {"containers"})["containers"][0];
  const std::string ifname = held["host_ifname"];
  EXPECT_TRUE(ping_as("web", web, "10.0.0.0"));
  // Neighbour discovery passes: the kernel asks again once its permanent entry is gone.
  ASSERT_TRUE(
      run("host1", {"ip", "-n", "web", "-6", "neigh", "flush", "all", "nud", "permanent"}).ok());
  EXPECT_TRUE(eventually([&] { return ping_as("web", held["ipv6"], "fd00::"); }));

  for (const char* address : {"10.99.0.1/32", "fd99::1/128", "10.64.2.200/32"}) {
    ASSERT_TRUE(
        run("host1", {"ip", "-n", "web", "addr", "add", address, "dev", "eth0", "nodad"}).ok());
  }
  // The way back is there, so it is the filter that keeps the packet.
  ASSERT_TRUE(run("host1", {"ip", "route", "add", "10.99.0.1/32", "dev", ifname}).ok());
  ASSERT_TRUE(run("host1", {"ip", "route", "add", "10.64.2.200/32", "dev", ifname}).ok());
  const std::uint64_t before = spoofed();
  EXPECT_FALSE(ping_as("web", "10.99.0.1", "10.0.0.0"));
  EXPECT_FALSE(ping_as("web", "10.64.2.200", "10.0.0.0"));
  EXPECT_FALSE(ping_as("web", "fd99::1", "fd00::"));
  EXPECT_GE(spoofed(), before + 3);
  EXPECT_TRUE(ping_as("web", web, "10.0.0.0"));

  // Restarted or killed, weftd leaves containers guarded, and takes over what it finds.
  for (const int signal : {SIGKILL, SIGTERM}) {
    stop("host1", signal);
    EXPECT_TRUE(guarded(ifname));
    EXPECT_FALSE(ping_as("web", "10.99.0.1", "10.0.0.0"));
    start("host1");
    EXPECT_TRUE(ping_as("web", web, "10.0.0.0"));
    EXPECT_FALSE(ping_as("web", "10.99.0.1", "10.0.0.0"));
  }
  // Somebody flushes all rulesets of the machine.
  ASSERT_TRUE(run("host1", {"nft", "flush", "table", "inet", "weft"}).ok());
  EXPECT_TRUE(eventually([&] { return !ping_as("web", "10.99.0.1", "10.0.0.0"); }));
  ASSERT_TRUE(run("host1", {"nft", "delete", "table", "inet", "weft"}).ok());
  const std::string db = add_container("host1", "db");
  EXPECT_TRUE(ping_as("db", db, "10.0.0.0"));
  EXPECT_FALSE(ping_as("web", "10.99.0.1", "10.0.0.0"));

  EXPECT_TRUE(cni("DEL", "host1", "web").ok());
  EXPECT_FALSE(guarded(ifname)) << table();
  EXPECT_TRUE(cni("DEL", "host1", "db").ok());
  EXPECT_EQ(table().find("weft0"), std::string::npos);
  EXPECT_EQ(table().find("elements = { \"weft"), std::string::npos) << table();
  reload_with("cni: {anti-spoof: false}\n");
  EXPECT_TRUE(eventually([&] {
    return !run("host1", {"nft", "list", "table", "inet", "weft"}).ok();
  }));
  EXPECT_EQ(run("host1", {"nft", "list", "table", "inet", "other"}).out, other);
}

TEST_F(Filter, ElementsComeAndGoInTheTableThatStands) {
  start("host1");
  add_container("host1", "web");
  const std::string made = handle();
  std::set<std::string> veths;
  std::set<std::string> addresses;
  std::set<std::string> addresses6;
  add_container("host1", "db");
  const json held = ctl("host1", {"containers"})["containers"];
  for (const json& one : held) {
    const std::string ifname = one["host_ifname"];
    veths.insert(json(ifname).dump());
    addresses.insert(pair(ifname, one["ipv4"]));
    addresses6.insert(pair(ifname, one["ipv6"]));
  }
  ASSERT_EQ(veths.size(), 2U);
  EXPECT_EQ(elements("veths"), veths);
  EXPECT_EQ(elements("addresses"), addresses);
  EXPECT_EQ(elements("addresses6"), addresses6);
  // An ADD that comes again finds its elements there.
  EXPECT_TRUE(run("host1", {"ip", "-n", "db", "link", "del", "eth0"}).ok());
  EXPECT_TRUE(cni("ADD", "host1", "db").ok());
  // An element that somebody took away is no reason to fail, nor to make all anew.
  const std::string db =
      held[0]["attachment"]["container"] == "db" ? held[0]["host_ifname"] : held[1]["host_ifname"];
  ASSERT_TRUE(
      run("host1", {"nft", "delete", "element", "inet", "weft", "veths", "{ \"" + db + "\" }"})
          .ok());
  EXPECT_TRUE(cni("DEL", "host1", "db").ok());
  EXPECT_TRUE(cni("DEL", "host1", "db").ok());
  EXPECT_EQ(elements("veths").size(), 1U);
  EXPECT_EQ(elements("addresses").size(), 1U);
  EXPECT_EQ(elements("addresses6").size(), 1U);
  // Others change their own tables: weft looks, and sees that its own is as it should be.
  ASSERT_TRUE(run("host1", {"nft", "add", "table", "inet", "other"}).ok());
  run("host1", {"weftctl", "ipam", "check", "--repair"});
  EXPECT_EQ(handle(), made);
  EXPECT_TRUE(cni("DEL", "host1", "web").ok());
  EXPECT_TRUE(elements("veths").empty());
  EXPECT_TRUE(elements("addresses").empty());
  EXPECT_TRUE(elements("addresses6").empty());
  EXPECT_EQ(handle(), made) << weftd_.at("host1").output();
}

TEST_F(Filter, ATrustedNetworkMaySpeakForOthers) {
  start("host1");
  add_container("host1", "vpn");
  const std::string ifname = ctl("host1", {"containers"})["containers"][0]["host_ifname"];
  ASSERT_TRUE(run("host1", {"ip", "-n", "vpn", "addr", "add", "10.99.0.1/32", "dev", "eth0"}).ok());
  ASSERT_TRUE(run("host1", {"ip", "route", "add", "10.99.0.1/32", "dev", ifname}).ok());
  EXPECT_FALSE(ping_as("vpn", "10.99.0.1", "10.0.0.0"));
  reload_with("cni: {trusted-networks: [fabric]}\n");
  EXPECT_TRUE(eventually([&] { return ping_as("vpn", "10.99.0.1", "10.0.0.0"); })) << table();
  EXPECT_FALSE(guarded(ifname));
  // Nor are those that come later; the table stays as it is for all others.
  add_container("host1", "lb");
  EXPECT_EQ(table().find("\"weft0"), std::string::npos) << table();
  EXPECT_NE(table().find("anti-spoof"), std::string::npos);
  EXPECT_TRUE(cni("DEL", "host1", "vpn").ok());
}

TEST_F(Filter, PoolsHideBehindTheHostWhenAsked) {
  start("host1");
  add_container("host1", "web");
  // host2 runs no weftd: it has no way back to the pool.
  EXPECT_FALSE(ping("host1", "web", "10.0.0.1"));
  reload_with("cni: {masquerade: true}\n");
  EXPECT_TRUE(eventually([&] { return ping("host1", "web", "10.0.0.1"); })) << table();
  EXPECT_TRUE(eventually([&] { return ping("host1", "web", "fd00::1"); })) << table();
  // Inside the pools addresses stay what they are.
  const std::string db = add_container("host1", "db");
  auto listener = lab_->node("host1").spawn(
      {"ip", "netns", "exec", "db", "tcpdump", "-lnni", "eth0", "-c", "1", "icmp"});
  ASSERT_TRUE(listener);
  EXPECT_TRUE(eventually([&] {
    ping("host1", "web", db);
    return listener->output().find("IP 10.64.2.192 > " + db) != std::string::npos;
  })) << listener->output();
}

}  // namespace
}  // namespace weft
