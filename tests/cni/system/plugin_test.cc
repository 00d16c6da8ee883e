// weft-cni as a runtime runs it, in real namespaces: what it builds, that packets flow through it,
// and what is left when something fails.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "net/attachment.h"
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

}  // namespace
}  // namespace weft
