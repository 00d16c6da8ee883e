// weft-cni as a runtime runs it, in real namespaces: what it builds, that packets flow through it,
// and what is left when something fails.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <array>
#include <chrono>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "ctl/client.h"
#include "net/attachment.h"
#include "net/fd.h"
#include "net/netns.h"
#include "tests/cni/system/standin.h"
#include "tests/cni/system/world.h"

namespace weft {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class Plugin : public testing::Test {
 protected:
  void SetUp() override { start_weftd(); }

  void start_weftd() {
    weftd_ = std::make_unique<test::Standin>(test::World::path(world_.host()), world_.directory(),
                                             settings_);
  }
  void kill_weftd() { weftd_.reset(); }
  /// Others ask this weftd for things too.
  void start_weftd_among(const test::Standin::Meanwhile& meanwhile) {
    kill_weftd();
    weftd_ = std::make_unique<test::Standin>(test::World::path(world_.host()), world_.directory(),
                                             settings_, std::numeric_limits<int>::max(), meanwhile);
  }
  /// The one lease of weftd; none or several: no sequence.
  ctl::Container held() {
    const auto reply =
        ctl::call(world_.socket(), ctl::ContainersRequest{}, std::chrono::seconds(10));
    const auto* held = reply ? std::get_if<ctl::Containers>(&*reply) : nullptr;
    return held != nullptr && held->containers.size() == 1 ? held->containers[0] : ctl::Container{};
  }
  /// What every weft host has: an address for what it sends itself.
  void add_router_address() {
    test::World::in(world_.host(), "ip addr add 10.255.0.11/32 dev lo");
    test::World::in(world_.host(), "ip addr add fd00::11/128 dev lo");
  }

  struct Call {
    std::string command = "ADD";
    std::string container = "c1";
    std::string netns;
    std::string ifname = "eth0";
    std::string config = R"({"cniVersion":"1.0.0","name":"weft","type":"weft"})";
    std::map<std::string, std::string> more = {};
  };
  test::Output call(const Call& call) {
    std::map<std::string, std::string> environment{
        {"CNI_COMMAND", call.command}, {"CNI_CONTAINERID", call.container},
        {"CNI_NETNS", call.netns},     {"CNI_IFNAME", call.ifname},
        {"CNI_PATH", "/opt/cni/bin"},  {"WEFT_SOCKET", world_.socket()}};
    for (const auto& [name, value] : call.more) environment[name] = value;
    return test::run({"nsenter", "--net=" + test::World::path(world_.host()),
                      std::string(WEFT_BINARY_DIR) + "/weft-cni"},
                     environment, call.config);
  }
  test::Output add(const std::string& container, const std::string& netns) {
    return call({"ADD", container, test::World::path(netns)});
  }
  test::Output del(const std::string& container, const std::string& netns_path = "") {
    return call({"DEL", container, netns_path});
  }

  static int code(const test::Output& output) {
    const json error = json::parse(output.out, nullptr, false);
    return error.is_object() ? error.value("code", 0) : -1;
  }
  std::string host_links() {
    return test::World::in(world_.host(), "ip -d link show type veth").out;
  }
  std::string host_routes() {
    return test::World::in(world_.host(), "ip route show").out +
           test::World::in(world_.host(), "ip -6 route show").out;
  }

  test::World world_;
  ipam::Settings settings_ = test::example_pools();
  std::unique_ptr<test::Standin> weftd_;
};

TEST_F(Plugin, WiresTwoContainersThatReachEachOther) {
  const std::string a = world_.add_namespace("a");
  const std::string b = world_.add_namespace("b");
  const auto first = add("a", a);
  ASSERT_EQ(first.status, 0) << first.out << first.err;
  ASSERT_EQ(add("b", b).status, 0);
  const json result = json::parse(first.out);
  EXPECT_EQ(result["ips"][0]["address"], "10.64.0.128/32");
  EXPECT_EQ(result["ips"][1]["address"], "fd64:0:0:1::80/128");

  // No default route, no uplink, nothing on the host but its containers.
  EXPECT_THAT(host_routes(), Not(HasSubstr("default")));
  EXPECT_EQ(test::World::in(world_.host(), "ip -4 -o addr show scope global").out, "");
  const auto reaches = [&](const std::string& from, const std::string& to) {
    const auto ping = test::World::in(from, "ping -c 1 -W 2 " + to);
    EXPECT_EQ(ping.status, 0) << from << " to " << to << "\n" << ping.out;
  };
  reaches(a, "10.64.0.129");
  reaches(b, "10.64.0.128");
  reaches(a, "fd64:0:0:1::81");
  reaches(b, "fd64:0:0:1::80");
  // Without their permanent neighbours they find the gateway by proxy ARP and by NDP, whatever the
  // host's arp_ignore.
  test::World::in(world_.host(), "sysctl -qw net.ipv4.conf.all.arp_ignore=1");
  for (const std::string& netns : {a, b, world_.host()}) {
    test::World::in(netns, "ip neigh flush all nud permanent");
    test::World::in(netns, "ip -6 neigh flush all nud permanent");
    EXPECT_THAT(test::World::in(netns, "ip neigh show").out, Not(HasSubstr("PERMANENT")));
  }
  reaches(a, "10.64.0.129");
  reaches(b, "10.64.0.128");
  reaches(a, "fd64:0:0:1::81");
}

TEST_F(Plugin, PrintsWhatItBuilt) {
  const std::string netns = world_.add_namespace("c");
  Call with{"ADD", "c1", test::World::path(netns)};
  with.config = R"({"cniVersion":"1.1.0","name":"weft","type":"weft","mtu":9000,
                    "routes":[{"dst":"10.0.0.0/8"}],"dns":{"nameservers":["10.0.0.53"]}})";
  const auto output = call(with);
  ASSERT_EQ(output.status, 0) << output.out;
  EXPECT_EQ(output.err, "");
  const Attachment attachment{"weft", "c1", "eth0"};
  const std::string host = host_ifname(attachment);
  const std::string mac = text(container_mac(attachment));
  const std::string path = test::World::path(netns);
  EXPECT_EQ(json::parse(output.out), json::parse(fmt::format(
                                         R"({{"cniVersion":"1.1.0",
                    "interfaces":[{{"name":"{}","mac":"02:77:65:66:74:01","mtu":9000}},
                                  {{"name":"eth0","mac":"{}","mtu":9000,"sandbox":"{}"}}],
                    "ips":[{{"interface":1,"address":"10.64.0.128/32","gateway":"169.254.1.1"}},
                           {{"interface":1,"address":"fd64:0:0:1::80/128","gateway":"fe80::1"}}],
                    "routes":[{{"dst":"0.0.0.0/0","gw":"169.254.1.1"}},{{"dst":"10.0.0.0/8","gw":"169.254.1.1"}},
                              {{"dst":"::/0","gw":"fe80::1"}}],
                    "dns":{{"nameservers":["10.0.0.53"]}}}})",
                                         host, mac, path)));

  const json link =
      json::parse(test::World::in(world_.host(), "ip -j -d link show " + host).out)[0];
  EXPECT_EQ(link["mtu"], 9000);
  EXPECT_EQ(link["address"], "02:77:65:66:74:01");
  EXPECT_EQ(link["operstate"], "UP");
  EXPECT_EQ(link["num_tx_queues"], 1);
  EXPECT_EQ(link["num_rx_queues"], 1);
  EXPECT_EQ(link["inet6_addr_gen_mode"], "none");
  EXPECT_EQ(link["ifalias"], "weft:containers:2:0:weft:c1:eth0");
  const json inside = json::parse(test::World::in(netns, "ip -j -d link show eth0").out)[0];
  EXPECT_EQ(inside["address"], mac);
  EXPECT_EQ(inside["mtu"], 9000);
  EXPECT_NE(inside["ifindex"], link["ifindex"]);
  EXPECT_THAT(test::World::in(netns, "ip link show lo").out, HasSubstr("LOOPBACK,UP"));

  const auto setting = [&](const std::string& netns_name, const std::string& name) {
    std::string value = test::World::in(netns_name, "sysctl -n " + name).out;
    return value.substr(0, value.find('\n'));
  };
  EXPECT_EQ(setting(world_.host(), "net.ipv4.conf." + host + ".proxy_arp"), "1");
  EXPECT_EQ(setting(world_.host(), "net.ipv4.conf." + host + ".forwarding"), "1");
  EXPECT_EQ(setting(world_.host(), "net.ipv4.neigh." + host + ".proxy_delay"), "0");
  EXPECT_EQ(setting(world_.host(), "net.ipv6.conf." + host + ".forwarding"), "1");
  EXPECT_EQ(setting(world_.host(), "net.ipv6.conf." + host + ".accept_ra"), "0");
  EXPECT_EQ(setting(world_.host(), "net.ipv6.conf." + host + ".accept_dad"), "0");
  EXPECT_EQ(setting(world_.host(), "net.ipv4.ip_forward"), "1");
  EXPECT_EQ(setting(world_.host(), "net.ipv6.conf.all.forwarding"), "1");
  EXPECT_EQ(setting(netns, "net.ipv6.conf.eth0.accept_dad"), "0");

  const auto lines = [](const std::string& netns_name, const std::string& command) {
    return test::World::in(netns_name, command).out;
  };
  EXPECT_EQ(lines(world_.host(), "ip -4 addr show dev " + host), "");
  EXPECT_THAT(lines(world_.host(), "ip -6 -o addr show dev " + host),
              HasSubstr("fe80::1/64 scope link"));
  EXPECT_THAT(lines(world_.host(), "ip -6 -o addr show dev " + host), Not(HasSubstr("tentative")));
  EXPECT_THAT(lines(netns, "ip -6 -o addr show dev eth0"), Not(HasSubstr("tentative")));
  EXPECT_THAT(lines(world_.host(), "ip route show"),
              HasSubstr("10.64.0.128 dev " + host + " proto 87 scope link"));
  EXPECT_THAT(lines(world_.host(), "ip route show"),
              HasSubstr("169.254.1.1 dev lo proto 87 scope link"));
  EXPECT_THAT(lines(world_.host(), "ip -6 route show"),
              HasSubstr("fd64:0:0:1::80 dev " + host + " proto 87"));
  EXPECT_THAT(lines(world_.host(), "ip neigh show dev " + host),
              HasSubstr("10.64.0.128 lladdr " + mac + " PERMANENT"));
  EXPECT_THAT(lines(world_.host(), "ip -6 neigh show dev " + host),
              HasSubstr("fd64:0:0:1::80 lladdr " + mac + " PERMANENT"));
  EXPECT_THAT(lines(netns, "ip route show"), HasSubstr("default via 169.254.1.1 dev eth0"));
  EXPECT_THAT(lines(netns, "ip route show"),
              HasSubstr("169.254.1.1 dev eth0 proto static scope link"));
  EXPECT_THAT(lines(netns, "ip route show"), HasSubstr("10.0.0.0/8 via 169.254.1.1 dev eth0"));
  EXPECT_THAT(lines(netns, "ip -6 route show"), HasSubstr("default via fe80::1 dev eth0"));
}

TEST_F(Plugin, FirstPacketNeedsNoResolution) {
  add_router_address();
  const std::string netns = world_.add_namespace("c");
  ASSERT_EQ(add("c1", netns).status, 0);
  // Neither side answers ARP: only the permanent neighbours are left.
  const std::string host = host_ifname({"weft", "c1", "eth0"});
  test::World::in(netns, "sysctl -qw net.ipv4.conf.eth0.arp_ignore=8");
  test::World::in(world_.host(), "sysctl -qw net.ipv4.conf." + host + ".proxy_arp=0");
  EXPECT_EQ(test::World::in(world_.host(), "ping -c 1 -W 1 10.64.0.128").status, 0);
  EXPECT_EQ(test::World::in(netns, "ping -c 1 -W 1 10.255.0.11").status, 0);
  EXPECT_EQ(test::World::in(world_.host(), "ping -c 1 -W 1 fd64:0:0:1::80").status, 0);
}

/// Sent the moment that ADD ends, by a socket that waited for it, and never sent again.
TEST_F(Plugin, FirstPacketIsAnswered) {
  add_router_address();
  const auto here = NetworkNamespace::current();
  ASSERT_TRUE(here);
  for (int i = 0; i < 60; ++i) {
    const std::string netns = world_.add_namespace("f" + std::to_string(i));
    const auto there = NetworkNamespace::open(test::World::path(netns));
    ASSERT_TRUE(there && there->enter());
    const Fd socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
    ASSERT_TRUE(here->enter());
    ASSERT_TRUE(socket);
    const timeval limit{2, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in host{};
    host.sin_family = AF_INET;
    ASSERT_EQ(::inet_pton(AF_INET, "10.255.0.11", &host.sin_addr), 1);
    icmphdr echo{};
    echo.type = ICMP_ECHO;
    echo.checksum = htons(0xf7ff);
    ASSERT_EQ(add("f" + std::to_string(i), netns).status, 0);
    ASSERT_EQ(::sendto(socket.get(), &echo, sizeof echo, 0,
                       reinterpret_cast<const sockaddr*>(&host), sizeof host),
              static_cast<ssize_t>(sizeof echo));
    std::array<char, 128> answer{};
    ASSERT_GT(::recv(socket.get(), answer.data(), answer.size(), 0), 0) << "container " << i;
  }
}

TEST_F(Plugin, EveryVersionWiresTheSame) {
  int number = 0;
  for (const char* version : {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    const std::string name = fmt::format("v{}", number++);
    const std::string netns = world_.add_namespace(name);
    Call with{"ADD", name, test::World::path(netns)};
    with.config = fmt::format(R"({{"cniVersion":"{}","name":"weft","type":"weft"}})", version);
    const auto output = call(with);
    ASSERT_EQ(output.status, 0) << output.out;
    EXPECT_EQ(json::parse(output.out)["cniVersion"], version);
    with.command = "DEL";
    EXPECT_EQ(call(with).status, 0);
  }
  EXPECT_EQ(host_links(), "");
}

TEST_F(Plugin, CheckPassesRightAfterAddAndNamesWhatIsBroken) {
  const std::string netns = world_.add_namespace("c");
  const auto added = add("c1", netns);
  ASSERT_EQ(added.status, 0);
  const std::string host = host_ifname({"weft", "c1", "eth0"});
  Call check{"CHECK", "c1", test::World::path(netns)};
  json config = json::parse(check.config);
  config["prevResult"] = json::parse(added.out);
  check.config = config.dump();
  const auto good = call(check);
  ASSERT_EQ(good.status, 0) << good.out;
  EXPECT_EQ(good.out, "");
  for (const auto& [key, message] : {std::pair{"ips", "which prevResult does not name"},
                                     std::pair{"interfaces", "prevResult has no interface eth0"}}) {
    json other = config;
    other["prevResult"][key] = json::array();
    const auto output = call({"CHECK", "c1", test::World::path(netns), "eth0", other.dump()});
    EXPECT_EQ(code(output), 100) << output.out;
    EXPECT_THAT(output.out, HasSubstr(message));
  }
  struct Breakage {
    std::string where, breaks, mends, message;
  };
  const std::vector<Breakage> breakages{
      {world_.host(), "ip link set " + host + " down", "ip link set " + host + " up",
       host + " is down"},
      {world_.host(), "ip addr add fe80::1/64 nodad dev " + host, "true", "addr-lost"},
      {world_.host(), "ip route del 10.64.0.128",
       "ip route add 10.64.0.128 dev " + host + " proto 87",
       "the route 10.64.0.128/32 dev " + host + " is missing"},
      {world_.host(), "ip -6 addr del fe80::1/64 dev " + host,
       "ip addr add fe80::1/64 nodad dev " + host, host + " has no address fe80::1/64"},
      {netns, "ip route del default", "ip route add default via 169.254.1.1",
       "the route 0.0.0.0/0 via 169.254.1.1 dev eth0 is missing"},
      {netns, "ip -6 route del default", "ip route add default via fe80::1 dev eth0",
       "the route ::/0 via fe80::1 dev eth0 is missing"},
      {netns, "ip link set eth0 address 02:00:00:00:00:09",
       "ip link set eth0 address " + text(container_mac({"weft", "c1", "eth0"})),
       "eth0 has the MAC address"},
      {netns, "ip -6 addr del fd64:0:0:1::80/128 dev eth0",
       "ip addr add fd64:0:0:1::80/128 nodad dev eth0", "eth0 has no address fd64:0:0:1::80/128"}};
  for (const Breakage& breakage : breakages) {
    test::World::in(breakage.where, breakage.breaks);
    const auto output = call(check);
    if (breakage.message ==
        "addr-lost") {  // downing the link lost it; now mended again with the routes it took along
      test::World::in(world_.host(), "ip route replace 10.64.0.128 dev " + host + " proto 87");
      test::World::in(world_.host(),
                      "ip -6 route replace fd64:0:0:1::80 dev " + host + " proto 87");
      ASSERT_EQ(call(check).status, 0) << call(check).out;
      continue;
    }
    EXPECT_EQ(output.status, 1) << breakage.breaks;
    EXPECT_EQ(code(output), 100);
    EXPECT_THAT(output.out, HasSubstr(breakage.message));
    test::World::in(breakage.where, breakage.mends);
  }
  ASSERT_EQ(del("c1").status, 0);
  const auto gone = call(check);
  EXPECT_EQ(gone.status, 1);
  EXPECT_THAT(gone.out, HasSubstr("no address on record"));
}

TEST_F(Plugin, AnInterfaceThatExistsIsAnErrorAndNothingChanges) {
  add_router_address();
  const std::string netns = world_.add_namespace("c");
  ASSERT_EQ(add("c1", netns).status, 0);
  const std::string links = host_links();
  const std::string routes = host_routes();
  const auto again = add("c1", netns);
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.out, HasSubstr("has an interface eth0 already"));
  EXPECT_EQ(host_links(), links);
  EXPECT_EQ(host_routes(), routes);
  EXPECT_EQ(test::World::in(world_.host(), "ping -c 1 -W 1 10.64.0.128").status, 0);
}

TEST_F(Plugin, DelTakesTheVethWhateverBecameOfTheNamespace) {
  const std::string netns = world_.add_namespace("c");
  ASSERT_EQ(add("c1", netns).status, 0);
  EXPECT_EQ(del("c1", "").status, 0) << "no namespace given";
  EXPECT_EQ(host_links(), "");
  EXPECT_THAT(host_routes(), Not(HasSubstr("10.64.0.128")));
  EXPECT_EQ(del("c1", "").status, 0) << "again";
  EXPECT_EQ(del("c1", "/run/netns/nowhere").status, 0);
  EXPECT_EQ(del("never-added", test::World::path(netns)).status, 0);
  ASSERT_EQ(add("c1", netns).status, 0);
  world_.remove_namespace(netns);
  const auto gone = del("c1", test::World::path(netns));
  EXPECT_EQ(gone.status, 0) << gone.out;
  EXPECT_EQ(gone.out, "");
}

TEST_F(Plugin, FailureAfterTheLeaseLeavesNothing) {
  const std::string netns = world_.add_namespace("c");
  // A default route of someone else's: the last step but one fails.
  test::World::in(netns, "ip link add other type veth peer name other2");
  test::World::in(netns, "ip link set other up");
  test::World::in(netns, "ip route add default dev other");
  const auto output = call({"ADD", "c1", test::World::path(netns), "eth0",
                            R"({"cniVersion":"1.0.0","name":"weft","default-route":true})"});
  EXPECT_EQ(output.status, 1);
  EXPECT_THAT(output.out, HasSubstr("adding the container's route 0.0.0.0/0"));
  EXPECT_EQ(host_links(), "");
  EXPECT_THAT(host_routes(), Not(HasSubstr("10.64.")));
  EXPECT_NE(test::World::in(netns, "ip link show eth0").status, 0);
  // The address rests; the next container gets another one.
  test::World::in(netns, "ip route del default dev other");
  const auto again = add("c1", netns);
  ASSERT_EQ(again.status, 0) << again.out;
  EXPECT_EQ(json::parse(again.out)["ips"][0]["address"], "10.64.0.129/32");
}

TEST_F(Plugin, FailureLeavesNothingThoughWeftdDiedMeanwhile) {
  const std::string netns = world_.add_namespace("c");
  test::World::in(netns, "ip link add other type veth peer name other2");
  test::World::in(netns, "ip link set other up");
  test::World::in(netns, "ip route add default dev other");
  kill_weftd();
  weftd_ = std::make_unique<test::Standin>(test::World::path(world_.host()), world_.directory(),
                                           settings_, 1);
  const auto output = call({"ADD", "c1", test::World::path(netns), "eth0",
                            R"({"cniVersion":"1.0.0","name":"weft","default-route":true})"});
  EXPECT_EQ(output.status, 1);
  EXPECT_THAT(output.out, HasSubstr("adding the container's route 0.0.0.0/0"));
  EXPECT_THAT(output.err, HasSubstr("the address is left to weftd's audit"));
  EXPECT_EQ(host_links(), "");
  EXPECT_NE(test::World::in(netns, "ip link show eth0").status, 0);
}

TEST_F(Plugin, AFailureUndoesItsOwnAllocationAndNoLaterOne) {
  const std::string netns = world_.add_namespace("c");
  test::World::in(netns, "ip link add other type veth peer name other2");
  test::World::in(netns, "ip link set other up");
  test::World::in(netns, "ip route add default dev other");
  // By the time the undo comes, the runtime has begun again with another namespace.
  start_weftd_among([](const ctl::Request& request, const test::Standin::Answer& answer) {
    const auto* undo = std::get_if<ctl::DelRequest>(&request);
    if (undo == nullptr) return;
    answer(ctl::AddRequest{undo->attachment, "/run/netns/next", 77, "", std::nullopt});
  });
  const auto failed = call({"ADD", "c1", test::World::path(netns), "eth0",
                            R"({"cniVersion":"1.0.0","name":"weft","default-route":true})"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(held().netns_inode, 77U);
}

TEST_F(Plugin, OfTwoAddsAtOnceTheOneThatFailsLeavesTheOtherItsLease) {
  const std::string netns = world_.add_namespace("c");
  const std::string path = test::World::path(netns);
  const std::string link = host_ifname({"weft", "c1", "eth0"});
  const auto wire = [&] {
    test::run({"ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", netns});
  };
  struct stat file {};
  ASSERT_EQ(::stat(path.c_str(), &file), 0);
  const ctl::AddRequest other{{"weft", "c1", "eth0"}, path, file.st_ino, "", std::nullopt};
  const auto add_fails = [&] {
    const auto failed = add("c1", netns);
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.out, HasSubstr("has an interface eth0 already"));
    EXPECT_EQ(held().netns_inode, file.st_ino) << "of the other";
    EXPECT_EQ(test::World::in(world_.host(), "ip link show " + link).status, 0) << "of the other";
  };
  // The other was first in all, and then: it was second at weftd and first with the link.
  start_weftd_among([&](const ctl::Request& request, const test::Standin::Answer& answer) {
    if (!std::holds_alternative<ctl::AddRequest>(request)) return;
    answer(other);
    wire();
  });
  add_fails();
  start_weftd_among({});
  ASSERT_EQ(del("c1").status, 0);
  start_weftd_among([&](const ctl::Request& request, const test::Standin::Answer&) {
    if (std::holds_alternative<ctl::AddRequest>(request)) wire();
  });
  add_fails();
  // The other has asked and not yet wired: what fails for a reason of its own leaves it its lease.
  start_weftd_among({});
  ASSERT_EQ(del("c1").status, 0);
  test::World::in(netns, "ip link add other type veth peer name other2");
  test::World::in(netns, "ip link set other up");
  test::World::in(netns, "ip route add default dev other");
  start_weftd_among([&](const ctl::Request& request, const test::Standin::Answer& answer) {
    if (std::holds_alternative<ctl::AddRequest>(request)) answer(other);
  });
  EXPECT_EQ(call({"ADD", "c1", path, "eth0",
                  R"({"cniVersion":"1.0.0","name":"weft","default-route":true})"})
                .status,
            1);
  EXPECT_EQ(held().netns_inode, file.st_ino);
}

TEST_F(Plugin, AGcTakesWhatItHasLookedAtAndNothingLater) {
  const std::string netns = world_.add_namespace("c");
  ASSERT_EQ(add("c1", netns).status, 0);
  test::World::in(netns, "ip addr flush dev eth0 scope global");
  // Dead when GC looks; when it asks for its end the container is there again.
  start_weftd_among([](const ctl::Request& request, const test::Standin::Answer& answer) {
    const auto* dead = std::get_if<ctl::DelRequest>(&request);
    if (dead == nullptr) return;
    answer(ctl::AddRequest{dead->attachment, "/run/netns/next", 77, "", std::nullopt});
  });
  const auto collected =
      call({"GC", "", "", "", R"({"cniVersion":"1.1.0","name":"weft","type":"weft",
      "cni.dev/valid-attachments":[]})"});
  EXPECT_EQ(collected.status, 0) << collected.out;
  EXPECT_EQ(held().netns_inode, 77U);
}

TEST_F(Plugin, AStaleVethOfItsOwnGivesWay) {
  const std::string netns = world_.add_namespace("c");
  const std::string stale = host_ifname({"weft", "c1", "eth0"});
  test::World::in(world_.host(), "ip link add " + stale + " type veth peer name gone");
  test::World::in(world_.host(),
                  "ip link set " + stale + " alias weft:containers:2:9:weft:c1:eth0");
  EXPECT_EQ(add("c1", netns).status, 0);
  ASSERT_EQ(del("c1").status, 0);
  test::World::in(world_.host(), "ip link add " + stale + " type veth peer name gone");
  test::World::in(world_.host(), "ip link set " + stale + " alias someone-elses");
  const auto refused = add("c1", netns);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.out, HasSubstr("that is not weft's"));
  EXPECT_EQ(test::World::in(world_.host(), "ip link show " + stale).status, 0) << "left alone";
}

TEST_F(Plugin, NamespacesThatCannotBe) {
  const auto gone = call({"ADD", "c1", "/run/netns/nowhere"});
  EXPECT_EQ(gone.status, 1);
  EXPECT_EQ(code(gone), 8);
  const auto own = call({"ADD", "c1", test::World::path(world_.host())});
  EXPECT_EQ(own.status, 1);
  EXPECT_EQ(code(own), 8);
  const auto file = call({"ADD", "c1", "/etc/hostname"});
  EXPECT_EQ(code(file), 8);
  EXPECT_THAT(file.out, HasSubstr("not a network namespace"));
  EXPECT_EQ(host_links(), "");
  EXPECT_EQ(host_routes(), "") << "nothing was touched";
}

TEST_F(Plugin, WithoutWeftdAddSaysTryAgainAndDelStillCleans) {
  const std::string netns = world_.add_namespace("c");
  const std::string other = world_.add_namespace("d");
  ASSERT_EQ(add("c1", netns).status, 0);
  kill_weftd();
  const auto refused = add("d1", other);
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(code(refused), 11);
  EXPECT_THAT(refused.out, HasSubstr(world_.socket()));
  EXPECT_NE(test::World::in(other, "ip link show eth0").status, 0);
  const auto deleted = del("c1", test::World::path(netns));
  EXPECT_EQ(deleted.status, 0);
  EXPECT_EQ(deleted.out, "");
  EXPECT_THAT(deleted.err, HasSubstr("weft-cni: "));
  EXPECT_EQ(host_links(), "");
  EXPECT_EQ(del("c1", test::World::path(netns)).status, 0);
  const auto status =
      call({"STATUS", "", "", "", R"({"cniVersion":"1.1.0","name":"weft","type":"weft"})"});
  EXPECT_EQ(code(status), 50);
}

TEST_F(Plugin, WeftdKilledAndStartedAgainKnowsItsContainers) {
  add_router_address();
  const std::string a = world_.add_namespace("a");
  const std::string b = world_.add_namespace("b");
  ASSERT_EQ(add("a", a).status, 0);
  kill_weftd();
  EXPECT_EQ(test::World::in(world_.host(), "ping -c 1 -W 1 10.64.0.128").status, 0);
  start_weftd();
  const auto second = add("b", b);
  ASSERT_EQ(second.status, 0) << second.out;
  EXPECT_EQ(json::parse(second.out)["ips"][0]["address"], "10.64.0.129/32");
  EXPECT_EQ(del("a").status, 0);
}

TEST_F(Plugin, StatusAndGc) {
  constexpr const char* plain = R"({"cniVersion":"1.1.0","name":"weft","type":"weft"})";
  const auto status = call({"STATUS", "", "", "", plain});
  EXPECT_EQ(status.status, 0) << status.out;
  EXPECT_EQ(status.out, "");
  std::map<std::string, std::string> namespaces;
  for (const char* name : {"a", "b", "c", "d"}) {
    namespaces[name] = world_.add_namespace(name);
    ASSERT_EQ(add(name, namespaces[name]).status, 0);
  }
  EXPECT_EQ(call({"GC", "", "", "", plain}).status, 0);
  EXPECT_THAT(host_routes(), HasSubstr("10.64.0.130")) << "no list: nothing happens";
  // Of a list that is wrong: what lives and has its address stays. Here a and c are gone: one
  // without its address, one without its namespace.
  const auto empty = call({"GC", "", "", "", R"({"cniVersion":"1.1.0","name":"weft","type":"weft",
      "cni.dev/valid-attachments":[]})"});
  EXPECT_EQ(empty.status, 0) << empty.out;
  EXPECT_THAT(empty.err, HasSubstr("eth0 of container a is not in the runtime's list, but lives"));
  for (const char* address : {"128", "129", "130", "131"}) {
    EXPECT_THAT(host_routes(), HasSubstr(std::string("10.64.0.") + address));
  }
  test::World::in(namespaces["a"], "ip addr flush dev eth0 scope global");
  test::World::in(namespaces["c"], "ip link del eth0");
  const auto collected =
      call({"GC", "", "", "", R"({"cniVersion":"1.1.0","name":"weft","type":"weft",
      "cni.dev/valid-attachments":[{"containerID":"b","ifname":"eth0"}]})"});
  EXPECT_EQ(collected.status, 0) << collected.out;
  EXPECT_THAT(host_routes(), HasSubstr("10.64.0.129"));
  EXPECT_THAT(host_routes(), Not(HasSubstr("10.64.0.128")));
  EXPECT_THAT(host_routes(), Not(HasSubstr("10.64.0.130")));
  EXPECT_THAT(host_routes(), HasSubstr("10.64.0.131")) << "lives, though it is not listed";
  // Another network's containers are nobody's business, living or not.
  test::World::in(namespaces["b"], "ip addr flush dev eth0 scope global");
  EXPECT_EQ(call({"GC", "", "", "", R"({"cniVersion":"1.1.0","name":"other","type":"weft",
      "cni.dev/valid-attachments":[]})"})
                .status,
            0);
  EXPECT_THAT(host_routes(), HasSubstr("10.64.0.129"));
}

TEST_F(Plugin, StatusIsOfTheNetworkAndSaysWhyNot) {
  ipam::PoolSettings storage = settings_.pools[0];
  storage.name = "storage";
  storage.ipv4 = *Prefix::parse("10.65.0.0/24");
  storage.ipv6 = std::nullopt;
  storage.ipv4_block_length = 26;
  storage.networks = {"disks"};
  storage.state = ipam::PoolState::draining;
  settings_.pools.push_back(storage);
  kill_weftd();
  start_weftd();
  const auto status = [&](const std::string& more) {
    const auto output =
        call({"STATUS", "", "", "", R"({"cniVersion":"1.1.0","type":"weft",)" + more + "}"});
    EXPECT_EQ(output.status, output.out.empty() ? 0 : 1);
    return output.out;
  };
  EXPECT_EQ(status(R"("name":"weft")"), "");
  EXPECT_EQ(status(R"("name":"weft","pool":"containers")"), "");
  EXPECT_THAT(status(R"("name":"weft","pool":"nope")"),
              HasSubstr(R"("code":50,"msg":"there is no pool 'nope': weftd has containers, )"));
  EXPECT_THAT(status(R"("name":"disks","pool":"storage")"), HasSubstr("pool storage is draining"));
  EXPECT_EQ(status(R"("name":"disks")"), "") << "its own pool drains, and another is for all";
  const auto refused = call({"ADD", "c1", test::World::path(world_.add_namespace("c")), "eth0",
                             R"({"cniVersion":"1.1.0","name":"disks","pool":"storage"})"});
  EXPECT_THAT(refused.out, HasSubstr("pool storage is draining")) << "ADD says the same";
}

TEST_F(Plugin, InstallPutsAllOfAConflistOrNothing) {
  const std::string directory = world_.directory().string() + "/runtime/net.d";
  const std::string file = directory + "/10-weft.conflist";
  const auto shell = [&](const std::string& command) {
    return test::run({"nsenter", "--net=" + test::World::path(world_.host()), "sh", "-c", command},
                     {{"WEFT_SOCKET", world_.socket()}}, "");
  };
  const std::string install = std::string(WEFT_BINARY_DIR) +
                              "/weft-cni install --wait 0 --socket " + world_.socket() + " --to " +
                              file;
  const auto done = shell(install);
  ASSERT_EQ(done.status, 0) << done.err;
  const std::string whole = shell("cat " + file).out;
  EXPECT_TRUE(json::parse(whole, nullptr, false).is_object());
  // A disk on which nothing more can be written.
  const auto full = shell("trap '' XFSZ; ulimit -f 0; " + install);
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, HasSubstr("File too large"));
  EXPECT_EQ(shell("cat " + file).out, whole);
  EXPECT_EQ(shell("ls " + directory).out, "10-weft.conflist\n");
  // A list whose network weftd has no pool for is not there until it has.
  const auto other = shell(
      "echo '{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"weft\","
      "\"pool\":\"nope\"}]}' > " +
      directory + "/from; " + install + " --from " + directory + "/from");
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, HasSubstr("there is no pool 'nope'"));
  EXPECT_EQ(shell("cat " + file).out, whole);
}

TEST_F(Plugin, ExhaustedPoolSaysTryAgain) {
  settings_.pools[0].ipv4_block_length = 32;
  settings_.pools[0].ipv6_block_length = 128;
  kill_weftd();
  start_weftd();
  ASSERT_EQ(add("a", world_.add_namespace("a")).status, 0);
  const auto full = add("b", world_.add_namespace("b"));
  EXPECT_EQ(code(full), 11);
  EXPECT_THAT(full.out, HasSubstr("no free address"));
  EXPECT_EQ(code(call({"STATUS", "", "", "", R"({"cniVersion":"1.1.0","name":"weft"})"})), 50);
}

TEST_F(Plugin, OneFamilyOnly) {
  add_router_address();
  for (const bool ipv4 : {true, false}) {
    kill_weftd();
    settings_ = test::example_pools();
    (ipv4 ? settings_.pools[0].ipv6 : settings_.pools[0].ipv4) = std::nullopt;
    std::filesystem::remove(world_.directory() / "weft.db");
    std::filesystem::remove(world_.directory() / "weft.db-wal");
    start_weftd();
    const std::string netns = world_.add_namespace(ipv4 ? "four" : "six");
    const auto output = add("c1", netns);
    ASSERT_EQ(output.status, 0) << output.out;
    const json result = json::parse(output.out);
    EXPECT_EQ(result["ips"].size(), 1U);
    // The kernel gives the host end no IPv6 addresses of its own beside an IPv4 container.
    const std::string host = result["interfaces"][0]["name"];
    const std::string off =
        test::World::in(world_.host(), "sysctl -n net.ipv6.conf." + host + ".disable_ipv6").out;
    EXPECT_EQ(off, ipv4 ? "1\n" : "0\n");
    EXPECT_EQ(test::World::in(world_.host(),
                              ipv4 ? "ping -c 1 -W 1 10.64.0.128" : "ping -c 1 -W 1 fd64:0:0:1::80")
                  .status,
              0);
    ASSERT_EQ(del("c1").status, 0);
  }
}

TEST_F(Plugin, SeveralNetworksOnOneContainer) {
  add_router_address();
  const std::string netns = world_.add_namespace("c");
  const auto add_second = [&](const std::string& ifname, const std::string& more) {
    return call({"ADD", "c1", test::World::path(netns), ifname,
                 R"({"cniVersion":"1.0.0","name":"second","type":"weft")" + more + "}"});
  };
  ASSERT_EQ(add("c1", netns).status, 0);
  const auto second = add_second("eth1", "");
  ASSERT_EQ(second.status, 0) << second.out;
  const json result = json::parse(second.out);
  EXPECT_TRUE(result["routes"].empty()) << "the first interface has the default routes";
  const std::string ipv4 = "10.64.0.129";
  EXPECT_EQ(result["ips"][0]["address"], ipv4 + "/32");
  const auto routes = [&] {
    return test::World::in(netns, "ip route show").out +
           test::World::in(netns, "ip -6 route show default").out;
  };
  // What it leads to is the last choice.
  EXPECT_THAT(routes(), HasSubstr("default via 169.254.1.1 dev eth1 proto static metric 14"));
  EXPECT_THAT(routes(), HasSubstr("default via fe80::1 dev eth1 proto static metric 14"));
  // Both answer, each over its own link.
  for (const char* to : {"10.64.0.128", "10.64.0.129", "fd64:0:0:1::80", "fd64:0:0:1::81"}) {
    EXPECT_EQ(test::World::in(world_.host(), std::string("ping -c 1 -W 2 ") + to).status, 0) << to;
  }
  EXPECT_THAT(test::World::in(netns, "ip route get 10.255.0.11 from " + ipv4).out,
              HasSubstr("dev eth1"));
  EXPECT_THAT(test::World::in(netns, "ip route get 10.255.0.11").out, HasSubstr("dev eth0"));
  EXPECT_THAT(test::World::in(netns, "ip -6 route get fd00::11 from fd64:0:0:1::81").out,
              HasSubstr("dev eth1"));
  for (const auto& [name, ifname, printed] :
       {std::tuple{"weft", "eth0", json()}, std::tuple{"second", "eth1", result}}) {
    if (printed.is_null()) continue;
    const json config{{"cniVersion", "1.0.0"}, {"name", name}, {"prevResult", printed}};
    const auto checked = call({"CHECK", "c1", test::World::path(netns), ifname, config.dump()});
    EXPECT_EQ(checked.status, 0) << checked.out;
  }

  // It comes and goes, again and again, and the first stays as it is.
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(call({"DEL", "c1", "", "eth1", R"({"cniVersion":"1.0.0","name":"second"})"}).status,
              0);
    EXPECT_THAT(routes(), Not(HasSubstr("eth1")));
    EXPECT_THAT(routes(), HasSubstr("default via 169.254.1.1 dev eth0"));
    const auto again = add_second("eth1", R"(,"routes":[{"dst":"198.51.100.0/24"}])");
    ASSERT_EQ(again.status, 0) << again.out;
    EXPECT_THAT(routes(), HasSubstr("198.51.100.0/24 via 169.254.1.1 dev eth1"));
  }
  // The network says which.
  const std::string other = world_.add_namespace("d");
  ASSERT_EQ(call({"ADD", "d1", test::World::path(other), "eth0",
                  R"({"cniVersion":"1.0.0","name":"weft","default-route":false})"})
                .status,
            0);
  EXPECT_EQ(test::World::in(other, "ip route show default").out, "");
}

/// podman attaches in the order of a Go map, and disconnects from any network.
TEST_F(Plugin, WhoeverComesFirstTheFirstByNameHasTheDefaultRouteAndTheOtherTakesOver) {
  add_router_address();
  const std::string netns = world_.add_namespace("c");
  const auto config = [](const std::string& name) {
    return json{{"cniVersion", "1.0.0"}, {"name", name}, {"type", "weft"}};
  };
  const auto verb = [&](const char* command, const std::string& ifname, const json& conf) {
    return call({command, "c1", test::World::path(netns), ifname, conf.dump()});
  };
  const auto leads_through = [&](const std::string& ifname) {
    EXPECT_THAT(test::World::in(netns, "ip route get 10.255.0.11").out, HasSubstr("dev " + ifname));
    EXPECT_THAT(test::World::in(netns, "ip -6 route get fd00::11").out, HasSubstr("dev " + ifname));
    EXPECT_EQ(test::World::in(netns, "ping -c 1 -W 2 10.255.0.11").status, 0) << ifname;
    EXPECT_EQ(test::World::in(netns, "ping -c 1 -W 2 fd00::11").status, 0) << ifname;
  };
  std::map<std::string, json> printed;
  const auto add_interface = [&](const std::string& ifname) {
    const auto output = verb("ADD", ifname, config("net-" + ifname));
    ASSERT_EQ(output.status, 0) << output.out;
    printed[ifname] = json::parse(output.out);
  };
  add_interface("eth2");
  leads_through("eth2");
  add_interface("eth10");
  leads_through("eth2");
  add_interface("eth1");
  leads_through("eth1");
  for (const auto& [ifname, result] : printed) {
    json check = config("net-" + ifname);
    check["prevResult"] = result;
    const auto checked = verb("CHECK", ifname, check);
    EXPECT_EQ(checked.status, 0) << checked.out;
    const std::string address = result["ips"][0]["address"];
    EXPECT_EQ(
        test::World::in(world_.host(), "ping -c 1 -W 2 " + address.substr(0, address.find('/')))
            .status,
        0)
        << ifname;
  }
  // Each time the one that has it goes, and comes back.
  ASSERT_EQ(verb("DEL", "eth1", config("net-eth1")).status, 0);
  EXPECT_EQ(test::World::in(netns, "ping -c 1 -W 2 10.255.0.11").status, 0);
  EXPECT_EQ(test::World::in(netns, "ping -c 1 -W 2 fd00::11").status, 0);
  add_interface("eth1");
  leads_through("eth1");
  ASSERT_EQ(verb("DEL", "eth1", config("net-eth1")).status, 0);
  ASSERT_EQ(verb("DEL", "eth2", config("net-eth2")).status, 0);
  leads_through("eth10");
  // Who is told to have none has none, not even a spare one; who is told to have it takes it.
  json never = config("never");
  never["default-route"] = false;
  ASSERT_EQ(verb("ADD", "eth3", never).status, 0);
  EXPECT_THAT(test::World::in(netns, "ip route show default").out, Not(HasSubstr("eth3")));
  json always = config("always");
  always["default-route"] = true;
  const auto taken = verb("ADD", "eth20", always);
  ASSERT_EQ(taken.status, 0) << taken.out;
  leads_through("eth20");
}

/// The host's routes are left as they are: an interface and no more.
TEST_F(Plugin, TheRuntimesOwnNamespaceWhenItSaysSo) {
  const std::string before = host_routes();
  const Call own{"ADD", "c1", test::World::path(world_.host()), "extra0"};
  Call allowed = own;
  allowed.more = {{"CNI_NETNS_OVERRIDE", "True"}};
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(code(call(own)), 8);
    const auto added = call(allowed);
    ASSERT_EQ(added.status, 0) << added.out;
    EXPECT_TRUE(json::parse(added.out)["routes"].empty());
    EXPECT_THAT(test::World::in(world_.host(), "ip -4 -o addr show dev extra0").out,
                HasSubstr("10.64.0.1"));
    EXPECT_EQ(test::World::in(world_.host(), "ip route show default").out, "");
    Call check = allowed;
    check.command = "CHECK";
    json config = json::parse(check.config);
    config["prevResult"] = json::parse(added.out);
    check.config = config.dump();
    EXPECT_EQ(call(check).status, 0) << call(check).out;
    ASSERT_EQ(del("c1", test::World::path(world_.host())).status, 0);
    ASSERT_EQ(call({"DEL", "c1", "", "extra0"}).status, 0);
    EXPECT_EQ(host_links(), "");
    EXPECT_THAT(test::World::in(world_.host(), "ip rule show").out, Not(HasSubstr("10.64.")));
  }
}

TEST_F(Plugin, ContainersGetWhatTheirRuntimeAsksFor) {
  add_router_address();
  const std::string netns = world_.add_namespace("c");
  const std::string config = R"({"cniVersion":"1.0.0","name":"weft","type":"weft",
    "sysctl":{"net.ipv4.conf.IFNAME.arp_notify":"1"},
    "runtimeConfig":{"Mac":"02:00:5e:00:00:07","dns":{"Servers":["10.0.0.53"]},
      "bandwidth":{"ingressRate":8000000,"ingressBurst":800000,
                   "egressRate":4000000,"egressBurst":800000},
      "portMappings":[{"hostPort":8080,"containerPort":80}],"aliases":{"weft":["a"]}}})";
  const auto added = call({"ADD", "c1", test::World::path(netns), "eth0", config});
  ASSERT_EQ(added.status, 0) << added.out;
  const json result = json::parse(added.out);
  EXPECT_EQ(result["interfaces"][1]["mac"], "02:00:5e:00:00:07");
  EXPECT_EQ(result["dns"]["nameservers"][0], "10.0.0.53");
  EXPECT_THAT(test::World::in(netns, "ip link show eth0").out, HasSubstr("02:00:5e:00:00:07"));
  EXPECT_EQ(test::World::in(netns, "sysctl -n net.ipv4.conf.eth0.arp_notify").out, "1\n");
  EXPECT_THAT(test::World::in(netns, "tc qdisc show dev eth0").out,
              HasSubstr("rate 4Mbit burst 100000b"));
  const std::string host_ifname = result["interfaces"][0]["name"];
  EXPECT_THAT(test::World::in(world_.host(), "tc qdisc show dev " + host_ifname).out,
              HasSubstr("rate 8Mbit burst 100000b"));
  EXPECT_EQ(test::World::in(world_.host(), "ping -c 1 -W 2 10.64.0.128").status, 0)
      << "the host's neighbour has the address too";
  json check = json::parse(config);
  check["prevResult"] = result;
  const auto checked = call({"CHECK", "c1", test::World::path(netns), "eth0", check.dump()});
  EXPECT_EQ(checked.status, 0) << checked.out;

  const auto broken = call({"ADD", "c2", test::World::path(world_.add_namespace("d")), "eth0",
                            R"({"cniVersion":"1.0.0","name":"weft",
                               "sysctl":{"net.ipv4.conf.IFNAME.nonsense":"1"}})"});
  EXPECT_EQ(code(broken), 999);
  EXPECT_THAT(broken.out, HasSubstr("nonsense"));
  EXPECT_EQ(test::World::in(world_.host(), "ip -o link show type veth").out.find('\n'),
            test::World::in(world_.host(), "ip -o link show type veth").out.size() - 1)
      << "what failed left nothing";
}

TEST_F(Plugin, ContainersHaveTheAddressTheirRuntimeNames) {
  const std::string netns = world_.add_namespace("c");
  const auto added = call({"ADD",
                           "c1",
                           test::World::path(netns),
                           "eth0",
                           R"({"cniVersion":"1.0.0","name":"weft","type":"weft"})",
                           {{"CNI_ARGS", "IgnoreUnknown=1;IP=10.64.0.150"}}});
  ASSERT_EQ(added.status, 0) << added.out;
  const json result = json::parse(added.out);
  EXPECT_EQ(result["ips"][0]["address"], "10.64.0.150/32");
  EXPECT_EQ(result["ips"][1]["address"], "fd64:0:0:1::96/128");
  const auto taken = call({"ADD", "c2", test::World::path(world_.add_namespace("d")), "eth0",
                           R"({"cniVersion":"1.0.0","name":"weft",
                              "runtimeConfig":{"ips":["10.64.0.150"]}})"});
  EXPECT_EQ(taken.status, 1);
  EXPECT_THAT(taken.out, HasSubstr("10.64.0.150"));
}

TEST_F(Plugin, ContainersWithIpv6TurnedOffGetItOnTheirInterface) {
  add_router_address();
  const std::string netns = world_.add_namespace("c");
  test::World::in(
      netns, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
  const auto output = add("c1", netns);
  ASSERT_EQ(output.status, 0) << output.out;
  EXPECT_EQ(test::World::in(world_.host(), "ping -c 1 -W 1 fd64:0:0:1::80").status, 0);
}

TEST_F(Plugin, SpeaksTheRuntimesLanguage) {
  const auto garbage =
      call({"ADD", "c1", test::World::path(world_.add_namespace("c")), "eth0", "\x01garbage"});
  EXPECT_EQ(garbage.status, 1);
  EXPECT_EQ(code(garbage), 6);
  const auto missing = call({"ADD", "", ""});
  EXPECT_EQ(code(missing), 4);
  EXPECT_THAT(missing.out, HasSubstr("[CNI_CONTAINERID,CNI_NETNS]"));
  const auto version = call({"VERSION", "", "dummy", "dummy", R"({"cniVersion":"1.0.0"})"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(json::parse(version.out)["supportedVersions"].size(), 7U);
  const auto about = call({"", "", "", "", ""});
  EXPECT_EQ(about.status, 0);
  EXPECT_EQ(about.out, "");
  EXPECT_THAT(about.err, testing::StartsWith(
                             "CNI weft plugin v0.1.0\nCNI protocol versions supported: 0.1.0, "));
}

TEST_F(Plugin, ManyAtOnce) {
  std::vector<std::string> names;
  std::string script = "set -e\n";
  constexpr int count = 24;
  for (int i = 0; i < count; ++i) {
    names.push_back(fmt::format("m{}", i));
    const std::string netns = world_.add_namespace(names.back());
    script += fmt::format(
        "echo '{{\"cniVersion\":\"1.0.0\",\"name\":\"weft\",\"type\":\"weft\"}}' | "
        "CNI_COMMAND=ADD CNI_CONTAINERID={} CNI_NETNS={} {} >{}/{}.out &\n",
        names.back(), test::World::path(netns), std::string(WEFT_BINARY_DIR) + "/weft-cni",
        world_.directory().string(), names.back());
  }
  script += "wait\n";
  const auto all =
      test::run({"nsenter", "--net=" + test::World::path(world_.host()), "sh", "-c", script},
                {{"CNI_IFNAME", "eth0"}, {"CNI_PATH", "/p"}, {"WEFT_SOCKET", world_.socket()}});
  ASSERT_EQ(all.status, 0) << all.err;
  const json routes = json::parse(test::World::in(world_.host(), "ip -j route show proto 87").out);
  EXPECT_EQ(routes.size(), count + 1U) << "one each, and 169.254.1.1";
  for (const std::string& name : names) EXPECT_EQ(del(name).status, 0);
  EXPECT_EQ(host_links(), "");
}

}  // namespace
}  // namespace weft
