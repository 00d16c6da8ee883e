// Container runtimes of Debian as they are, each with two containers on two weft hosts that reach
// each other across the ToR. Images are made from this machine's files; no registry is needed.
#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Output;
using nlohmann::json;
using system_test::Hosts;

class Runtimes : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/runtimes/runtimes.clab.yml", WEFT_BINARY_DIR);
    if (!lab_) return;
    start("host1");
    start("host2");
    ASSERT_TRUE(eventually([&] { return has_route("host1", "10.64.12.0/24"); }));
    ASSERT_TRUE(eventually([&] { return has_route("host2", "10.64.11.0/24"); }));
    for (const char* host : {"host1", "host2"}) {
      must(host, "ln -s /usr/lib/cni/* /opt/cni/bin/ && make-images /run/images");
      // A node has a /tmp of its own, so the tree it was built in may be out of its sight.
      std::filesystem::copy_file(WEFT_BINARY_DIR "/libcni",
                                 "/proc/" + std::to_string(lab_->node(host).init().value()) +
                                     "/root/usr/local/bin/libcni");
    }
  }

  void TearDown() override {
    Hosts::TearDown();
    containerd_.clear();
    lab_.reset();
    remove_cgroups();
  }

  /// What a shell says; it must succeed.
  std::string must(const std::string& host, const std::string& command) {
    const Output output = run(host, {"sh", "-c", command});
    EXPECT_TRUE(output.ok()) << command << "\n" << output.text();
    const auto end = output.out.find_last_not_of('\n');
    return output.out.substr(0, end == std::string::npos ? 0 : end + 1);
  }

  bool succeeds(const std::string& host, const std::string& command) {
    return run(host, {"sh", "-c", command}).ok();
  }

  void start_containerd(const std::string& host) {
    auto process = lab_->node(host).spawn({"containerd"});
    ASSERT_TRUE(process) << process.error().message;
    containerd_.insert_or_assign(host, std::move(*process));
    ASSERT_TRUE(eventually([&] { return succeeds(host, "ctr version"); }))
        << containerd_.at(host).output();
    for (const char* space : {"default", "k8s.io"}) {
      must(host, std::string("ctr -n ") + space + " images import /run/images/box.oci");
    }
  }

  /// Of the container whose CNI id begins like this.
  json held(const std::string& host, const std::string& id) {
    const json reply = ctl(host, {"containers"});
    for (const json& row : reply["containers"]) {
      if (row["attachment"]["container"].get<std::string>().rfind(id, 0) == 0) return row;
    }
    return {};
  }

  /// No container is held and no veth of weft's is left.
  bool empty(const std::string& host) {
    return ctl(host, {"containers"})["containers"].empty() &&
           run(host, {"ip", "-o", "link", "show", "type", "veth"}).out.find("weft") ==
               std::string::npos;
  }

  std::map<std::string, lab::Process> containerd_;

 private:
  /// The kernel has one tree of cgroups for all nodes, and runtimes that were killed leave theirs.
  static void remove_cgroups() {
    namespace fs = std::filesystem;
    std::error_code error;
    for (const auto& controller : fs::directory_iterator("/sys/fs/cgroup", error)) {
      const fs::path top = controller.path() / "weft-runtimes";
      if (!fs::is_directory(top, error)) continue;
      std::vector<fs::path> folders{top};
      for (const auto& entry : fs::recursive_directory_iterator(top, error)) {
        if (entry.is_directory(error)) folders.push_back(entry.path());
      }
      for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
        fs::remove(*folder, error);
      }
    }
  }
};

TEST_F(Runtimes, Podman) {
  for (const char* host : {"host1", "host2"}) {
    must(host, "podman import /run/images/rootfs.tar box:1");
    must(host,
         "podman run -d --name web --network fabric --cgroup-parent /weft-runtimes box:1 "
         "sleep 100000");
  }
  const json here = held("host1", must("host1", "podman ps -q"));
  const json there = held("host2", must("host2", "podman ps -q"));
  ASSERT_TRUE(here.is_object() && there.is_object());
  const std::string ipv4 = there["ipv4"];
  const std::string ipv6 = there["ipv6"];
  EXPECT_TRUE(eventually([&] {
    return succeeds("host1", "podman exec web ping -c 1 -W 2 " + ipv4);
  })) << run("host1", {"podman", "exec", "web", "ip", "route"}).text();
  EXPECT_TRUE(
      eventually([&] { return succeeds("host1", "podman exec web ping -6 -c 1 -W 2 " + ipv6); }));
  EXPECT_EQ(must("host2", "podman inspect -f '{{.NetworkSettings.Networks.fabric.IPAddress}}' web"),
            ipv4);

  // A container that is killed is cleaned up by conmon, in a process of its own.
  must("host1", "podman kill web");
  EXPECT_TRUE(eventually([&] { return empty("host1"); }));
  must("host2", "podman rm -f -t 0 web");
  EXPECT_TRUE(empty("host2"));
}

TEST_F(Runtimes, ContainerdThroughCri) {
  std::map<std::string, std::string> pods;
  for (const char* host : {"host1", "host2"}) {
    start_containerd(host);
    pods[host] = must(host, "cri run web");
    ASSERT_FALSE(pods[host].empty()) << containerd_.at(host).output();
  }
  const json there = held("host2", pods["host2"]);
  ASSERT_TRUE(there.is_object());
  const std::string ipv4 = there["ipv4"];
  const std::string ipv6 = there["ipv6"];
  EXPECT_EQ(must("host2", "cri address " + pods["host2"]), ipv4 + "\n" + ipv6);
  const std::string inside = "ctr -n k8s.io task exec --exec-id ping " + pods["host1"];
  EXPECT_TRUE(eventually([&] { return succeeds("host1", inside + " ping -c 1 -W 2 " + ipv4); }))
      << run("host1", {"sh", "-c", inside + " ip route"}).text();
  EXPECT_TRUE(eventually([&] { return succeeds("host1", inside + " ping -6 -c 1 -W 2 " + ipv6); }));

  // Stopped twice and removed: three DELs, the last ones without a namespace.
  for (const char* host : {"host1", "host2"}) {
    must(host, "cri stop " + pods[host]);
    EXPECT_TRUE(empty(host));
    must(host, "cri stop " + pods[host]);
    must(host, "cri remove " + pods[host]);
  }
}

TEST_F(Runtimes, CtrRun) {
  for (const char* host : {"host1", "host2"}) start_containerd(host);
  must("host2", "ctr run -d --cni --cgroup /weft-runtimes/web localhost/box:1 web");
  const json there = held("host2", "default-web");
  ASSERT_TRUE(there.is_object());
  const std::string ipv4 = there["ipv4"];
  // In the foreground ctr calls DEL when the container has ended, without a namespace.
  EXPECT_TRUE(eventually([&] {
    return succeeds("host1",
                    "ctr run --rm --cni --cgroup /weft-runtimes/ping localhost/box:1 ping "
                    "ping -c 1 -W 2 " +
                        ipv4);
  }));
  EXPECT_TRUE(empty("host1"));

  // In the background it never does: weftd sees that the namespace is gone.
  must("host2", "ctr task kill -s 9 web");
  EXPECT_TRUE(eventually([&] { return succeeds("host2", "ctr task rm web; ctr c rm web"); }));
  EXPECT_TRUE(eventually([&] { return empty("host2"); }));
}

TEST_F(Runtimes, Libcni) {
  const std::string client = "libcni";
  const std::string list = " /etc/cni/net.d/10-fabric.conflist web ";
  std::map<std::string, json> results;
  for (const char* host : {"host1", "host2"}) {
    must(host, "ip netns add web");
    results[host] = json::parse(must(host, client + " ADD" + list + "/run/netns/web"));
    EXPECT_EQ(results[host]["cniVersion"], "1.0.0");
    must(host, client + " CHECK" + list + "/run/netns/web");
  }
  const std::string address = results["host2"]["ips"][0]["address"];
  const std::string ipv4 = address.substr(0, address.find('/'));
  EXPECT_TRUE(eventually([&] { return ping("host1", "web", ipv4); }));

  must("host1", "ip -n web route del default");
  const Output broken = run("host1", {"sh", "-c", client + " CHECK" + list + "/run/netns/web"});
  EXPECT_FALSE(broken.ok());
  EXPECT_NE(broken.text().find("route"), std::string::npos) << broken.text();
  must("host1", client + " DEL" + list + "/run/netns/web");
  EXPECT_TRUE(empty("host1"));
  must("host2", "ip netns del web");
  must("host2", client + " DEL" + list + "-");
  EXPECT_TRUE(empty("host2"));

  // Ranges of the runtime: within this host's block, and where there is no pool.
  const std::string add = client + " ADD" + list + "/run/netns/web ";
  const json ranged = json::parse(must(
      "host1", add + R"('ipRanges=[[{"subnet":"10.64.11.64/30"}],[{"subnet":"fd64::/16"}]]')"));
  EXPECT_EQ(ranged["ips"][0]["address"], "10.64.11.64/32");
  must("host1", client + " DEL" + list + "/run/netns/web");
  const Output nowhere =
      run("host1", {"sh", "-c", add + R"('ipRanges=[[{"subnet":"10.99.0.0/24"}]]')"});
  EXPECT_FALSE(nowhere.ok());
  EXPECT_NE(nowhere.text().find("the range 10.99.0.0-10.99.0.255 is in no pool"), std::string::npos)
      << nowhere.text();
}

TEST_F(Runtimes, PluginsChainedBehindWeft) {
  const auto libcni = [](const std::string& verb) {
    return "libcni " + verb + " /etc/cni/chain.conflist web /run/netns/web" +
           R"( 'portMappings=[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]')"
           R"( 'bandwidth={"ingressRate":8000000,"ingressBurst":800000,)"
           R"("egressRate":8000000,"egressBurst":800000}')";
  };
  must("host1", "ip netns add web");
  const json result = json::parse(must("host1", libcni("ADD")));
  const std::string address = result["ips"][0]["address"];
  const std::string ipv4 = address.substr(0, address.find('/'));
  const std::string veth = result["interfaces"][0]["name"];

  auto server = lab_->node("host1").spawn(
      {"ip", "netns", "exec", "web", "python3", "-m", "http.server", "80"});
  ASSERT_TRUE(server);
  EXPECT_TRUE(eventually([&] {
    return succeeds("tor", "curl -sf -m 5 -o /dev/null http://" + ipv4);
  })) << "directly";
  EXPECT_TRUE(eventually([&] {
    return succeeds("tor", "curl -sf -m 5 -o /dev/null http://10.1.1.1:8080");
  })) << must("host1", "iptables-save -t nat");
  EXPECT_EQ(must("host1", "ip netns exec web sysctl -n net.core.somaxconn"), "500");
  EXPECT_NE(must("host1", "tc qdisc show dev " + veth).find("tbf"), std::string::npos);
  EXPECT_NE(must("host1", "iptables-save -t filter").find(ipv4 + "/32"), std::string::npos);

  must("host1", libcni("DEL"));
  EXPECT_TRUE(empty("host1"));
  EXPECT_EQ(must("host1", "iptables-save").find(ipv4), std::string::npos);
  EXPECT_EQ(must("host1", "ip -o link show type ifb"), "");
}

TEST_F(Runtimes, InstallWaitsForWeftd) {
  const std::string file = "/etc/cni/net.d/20-weft.conflist";
  stop("host1", SIGTERM);
  const Output early =
      run("host1", {"/opt/cni/bin/weft-cni", "install", "--to", file, "--wait", "0"});
  EXPECT_FALSE(early.ok());
  EXPECT_NE(early.err.find("weftd is not running"), std::string::npos) << early.err;
  EXPECT_FALSE(succeeds("host1", "test -e " + file));
  const lab::Environment status{{"CNI_COMMAND", "STATUS"}, {"CNI_PATH", "/opt/cni/bin"}};
  const std::string config = R"({"cniVersion":"1.1.0","name":"weft","type":"weft"})";
  EXPECT_EQ(json::parse(run("host1", {"/opt/cni/bin/weft"}, config, status).out)["code"], 50);

  auto waiting = lab_->node("host1").spawn({"/opt/cni/bin/weft-cni", "install", "--to", file});
  ASSERT_TRUE(waiting);
  start("host1");
  EXPECT_EQ(waiting->wait(system_test::patience), 0) << waiting->output();
  EXPECT_NE(must("host1", "cat " + file).find("\"weft\""), std::string::npos);
  EXPECT_EQ(must("host1", "ls /etc/cni/net.d | grep -c new || true"), "0");
  EXPECT_TRUE(run("host1", {"/opt/cni/bin/weft"}, config, status).ok());

  // Without a BGP session nobody finds its containers.
  must("tor", "ip link set eth1 down");
  EXPECT_TRUE(eventually([&] {
    const Output output = run("host1", {"/opt/cni/bin/weft"}, config, status);
    return output.exit == 1 && json::parse(output.out)["code"] == 51;
  }));
}

TEST_F(Runtimes, NothingLeaksWhateverIsKilled) {
  must("host1", "podman import /run/images/rootfs.tar box:1");
  start_containerd("host1");
  const char* chosen = std::getenv("WEFT_SEED");
  const std::string seed = chosen != nullptr ? chosen : std::to_string(::getpid());
  std::cerr << "seed " << seed << " (WEFT_SEED)\n";
  auto chaos = lab_->node("host1").spawn({"chaos", "200", seed, "libcni"});
  ASSERT_TRUE(chaos);
  // weftd and containerd die in the midst of it too.
  constexpr lab::milliseconds bound{240'000};
  const Time end = Clock::now() + bound;
  for (int round = 0; !chaos->wait(lab::milliseconds(3000)); ++round) {
    ASSERT_LT(Clock::now(), end) << chaos->output();
    if (round % 3 == 0) {
      stop("host1", SIGKILL);
      start("host1");
    } else if (round % 3 == 1) {
      containerd_.at("host1").signal(SIGKILL);
      auto process = lab_->node("host1").spawn({"containerd"});
      ASSERT_TRUE(process) << process.error().message;
      containerd_.insert_or_assign("host1", std::move(*process));
    }
  }
  std::cerr << chaos->output();

  EXPECT_TRUE(eventually([&] { return empty("host1"); }))
      << ctl("host1", {"containers"}).dump() << must("host1", "ip -o link show type veth");
  // What was seen in use while things were killed leaves quarantine with the next audit.
  EXPECT_TRUE(eventually([&] {
    const json block = ctl("host1", {"blocks"})["blocks"][0];
    return block["held"] == 0 &&
           block["cooling"].get<int>() + block["free"].get<int>() == block["capacity"].get<int>();
  })) << ctl("host1", {"blocks"}).dump();
  const auto routes = [&] {
    return must("host1", "ip route show proto 87 type unicast | grep -c weft || true") +
           must("host1", "ip -6 route show proto 87 | grep -c weft || true");
  };
  EXPECT_EQ(routes(), "00");
  EXPECT_EQ(must("host1", "nft list table inet weft | grep -c '\"weft' || true"), "0");
}

}  // namespace
}  // namespace weft
