// What runtimes send, right and wrong, and the code each fault is answered with (facts of CNI
// spec 1.1.0 section 4 and the reference skeleton).
#include "cni/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::cni {
namespace {

using testing::HasSubstr;

Environment environment(const char* command) {
  return {command, "c1", "/run/netns/c1", "eth0", "", "/opt/cni/bin", ""};
}

constexpr const char* config = R"({"cniVersion":"1.1.0","name":"weft","type":"weft"})";

TEST(Request, IsPlainWhenAllIsRight) {
  const auto request = parse(environment("ADD"), R"({
      "cniVersion": "0.4.0", "name": "blue", "type": "weft", "pool": "containers", "mtu": 9000,
      "routes": [{"dst": "10.0.0.0/8"}, "fd00::/8"], "socket": "/tmp/weft.sock",
      "dns": {"nameservers": ["10.0.0.53"], "domain": "d", "search": ["a", "b"], "options": ["ndots:2"]},
      "capabilities": {"portMappings": true}, "runtimeConfig": {"PortMappings": []}, "cni.dev/x": 1, "args": {}})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->command, Command::add);
  EXPECT_EQ(request->attachment, (Attachment{"blue", "c1", "eth0"}));
  EXPECT_EQ(request->netns, "/run/netns/c1");
  EXPECT_FALSE(request->own_netns_allowed);
  EXPECT_EQ(request->config.cni_version, "0.4.0");
  EXPECT_EQ(request->config.pool, "containers");
  EXPECT_EQ(request->config.mtu, 9000U);
  EXPECT_EQ(request->config.socket, "/tmp/weft.sock");
  EXPECT_THAT(request->config.routes,
              testing::ElementsAre(*Prefix::parse("10.0.0.0/8"), *Prefix::parse("fd00::/8")));
  EXPECT_EQ(request->config.dns, (Dns{{"10.0.0.53"}, "d", {"a", "b"}, {"ndots:2"}}));
}

TEST(Request, SysctlsAreOfTheInterface) {
  Environment with = environment("ADD");
  with.ifname = "eth0.7";
  const auto request = parse(with, R"({"cniVersion":"1.0.0","name":"w","default-route":false,
      "sysctl":{"net.ipv4.conf.IFNAME.arp_notify":1,"net.ipv4.ip_local_port_range":"1024 2048"}})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_THAT(request->config.sysctls,
              testing::ElementsAre(Sysctl{"net/ipv4/conf/eth0.7/arp_notify", "1"},
                                   Sysctl{"net/ipv4/ip_local_port_range", "1024 2048"}));
  EXPECT_EQ(request->config.default_route, false);
}

TEST(Request, VersionChecksNothing) {
  const auto request = parse({"VERSION", "", "dummy", "not a/name", "x", "", ""}, "garbage");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->command, Command::version);
}

TEST(Request, EmptyVersionIsTheFirst) {
  EXPECT_EQ(parse(environment("ADD"), R"({"name":"weft"})")->config.cni_version, "0.1.0");
  EXPECT_EQ(parse(environment("ADD"), R"({"name":"weft","cniVersion":""})")->config.cni_version,
            "0.1.0");
}

struct BadEnvironment {
  const char* name;
  Environment environment;
  Code code;
  const char* message;
};

class EnvironmentRefused : public testing::TestWithParam<BadEnvironment> {};

TEST_P(EnvironmentRefused, WithItsCode) {
  const auto request = parse(GetParam().environment, config);
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code, GetParam().code);
  EXPECT_THAT(request.error().message + " " + request.error().details,
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Variables, EnvironmentRefused,
    testing::Values(
        BadEnvironment{"UnknownCommand",
                       {"FROB", "c1", "/n", "eth0", "", "/p", ""},
                       Code::invalid_environment,
                       "unknown CNI_COMMAND: FROB"},
        BadEnvironment{
            "AddAllMissing",
            {"ADD", "", "", "", "", "", ""},
            Code::invalid_environment,
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing"},
        BadEnvironment{"AddTwoMissing",
                       {"ADD", "", "", "eth0", "", "/p", ""},
                       Code::invalid_environment,
                       "required env variables [CNI_CONTAINERID,CNI_NETNS] missing"},
        BadEnvironment{"CheckNetns",
                       {"CHECK", "c1", "", "eth0", "", "/p", ""},
                       Code::invalid_environment,
                       "[CNI_NETNS] missing"},
        BadEnvironment{"DelContainer",
                       {"DEL", "", "", "eth0", "", "/p", ""},
                       Code::invalid_environment,
                       "[CNI_CONTAINERID] missing"},
        BadEnvironment{"GcPath",
                       {"GC", "", "", "", "", "", ""},
                       Code::invalid_environment,
                       "[CNI_PATH] missing"},
        BadEnvironment{"ContainerWithSlash",
                       {"ADD", "a/b", "/n", "eth0", "", "/p", ""},
                       Code::invalid_environment,
                       "invalid characters in containerID a/b"},
        BadEnvironment{"ContainerDash",
                       {"DEL", "-a", "", "eth0", "", "/p", ""},
                       Code::invalid_environment,
                       "invalid characters in containerID -a"},
        BadEnvironment{"IfnameTooLong",
                       {"ADD", "c1", "/n", "abcdefghijklmnop", "", "/p", ""},
                       Code::invalid_environment,
                       "invalid interface name abcdefghijklmnop"},
        BadEnvironment{"IfnameDots",
                       {"ADD", "c1", "/n", "..", "", "/p", ""},
                       Code::invalid_environment,
                       "invalid interface name .."},
        BadEnvironment{"FixedAddress",
                       {"ADD", "c1", "/n", "eth0", "IgnoreUnknown=1;IP=10.64.0", "/p", ""},
                       Code::invalid_config,
                       "CNI_ARGS IP: "},
        BadEnvironment{
            "FixedMac",
            {"ADD", "c1", "/n", "eth0", "MAC=03:00:00:00:00:01;K8S_POD_NAME=p", "/p", ""},
            Code::invalid_config,
            "CNI_ARGS MAC: '03:00:00:00:00:01' is not"},
        BadEnvironment{"HostsOwnMac",
                       {"ADD", "c1", "/n", "eth0", "MAC=02:77:65:66:74:01", "/p", ""},
                       Code::invalid_config,
                       "address of the host's end"}),
    [](const auto& c) { return c.param.name; });

TEST(Request, ArgumentsOfOthersArePassedOver) {
  Environment with = environment("ADD");
  with.args = R"(K8S_POD_NAME=a;IgnoreUnknown=0;CONSUL_IPTABLES_CONFIG={"a":"b=c"};;=;IP=;X)";
  EXPECT_TRUE(parse(with, config));
  with.args = "IP=10.0.0.1";
  with.command = "DEL";
  EXPECT_TRUE(parse(with, config)) << "DEL gets through whatever ADD was asked";
}

TEST(Request, DelNeedsNoNamespace) {
  Environment gone = environment("DEL");
  gone.netns = "";
  EXPECT_TRUE(parse(gone, config));
}

TEST(Request, StatusNeedsNoVariables) {
  EXPECT_TRUE(parse({"STATUS", "", "", "", "", "", ""}, config));
}

struct Override {
  const char* value;
  bool allowed;
};
class NetnsOverride : public testing::TestWithParam<Override> {};
TEST_P(NetnsOverride, IsOneOrTrue) {
  Environment with = environment("ADD");
  with.netns_override = GetParam().value;
  EXPECT_EQ(parse(with, config)->own_netns_allowed, GetParam().allowed) << GetParam().value;
}
INSTANTIATE_TEST_SUITE_P(Values, NetnsOverride,
                         testing::Values(Override{"1", true}, Override{"true", true},
                                         Override{"TrUe", true}, Override{"TRUE", true},
                                         Override{"0", false}, Override{"yes", false},
                                         Override{"truely", false}, Override{"", false}));

struct BadConfig {
  const char* name;
  const char* command;
  const char* text;
  Code code;
  const char* message;
};

class ConfigRefused : public testing::TestWithParam<BadConfig> {};

TEST_P(ConfigRefused, WithItsCode) {
  const auto request = parse(environment(GetParam().command), GetParam().text);
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code, GetParam().code) << request.error().message;
  EXPECT_THAT(request.error().message + " " + request.error().details,
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Configs, ConfigRefused,
    testing::Values(
        BadConfig{"Empty", "ADD", "", Code::decoding_failure, "not JSON"},
        BadConfig{"Garbage", "ADD", "\xff\xfe{", Code::decoding_failure, "not JSON"},
        BadConfig{"Cut", "ADD", R"({"cniVersion":"1.0.0")", Code::decoding_failure, "not JSON"},
        BadConfig{"Twice", "ADD", "{} {}", Code::decoding_failure, "not JSON"},
        BadConfig{"List", "ADD", "[]", Code::decoding_failure, "not an object"},
        BadConfig{
            "UnknownVersion", "ADD", R"({"cniVersion":"2.0.0","name":"w"})",
            Code::incompatible_version,
            R"(incompatible CNI versions config is "2.0.0", plugin supports ["0.1.0","0.2.0",)"},
        BadConfig{"VersionNumber", "ADD", R"({"cniVersion":1,"name":"w"})", Code::decoding_failure,
                  "'cniVersion'"},
        BadConfig{"CheckTooOld", "CHECK", R"({"cniVersion":"0.3.1","name":"w"})",
                  Code::incompatible_version, "config version does not allow CHECK"},
        BadConfig{"GcTooOld", "GC", R"({"cniVersion":"1.0.0","name":"w"})",
                  Code::incompatible_version, "config version does not allow GC"},
        BadConfig{"StatusTooOld", "STATUS", R"({"cniVersion":"1.0.0","name":"w"})",
                  Code::incompatible_version, "config version does not allow STATUS"},
        BadConfig{"NoName", "ADD", R"({"cniVersion":"1.0.0"})", Code::invalid_config,
                  "missing network name"},
        BadConfig{"NameOfTwo", "ADD", R"({"cniVersion":"1.0.0","name":"a b"})",
                  Code::invalid_config, "invalid characters in network name a b"},
        BadConfig{"NameNumber", "ADD", R"({"cniVersion":"1.0.0","name":3})", Code::decoding_failure,
                  "'name'"},
        BadConfig{"CheckWithoutPrevious", "CHECK", R"({"cniVersion":"1.0.0","name":"w"})",
                  Code::invalid_config, "CHECK needs the prevResult"},
        BadConfig{"PreviousList", "CHECK", R"({"cniVersion":"1.0.0","name":"w","prevResult":[]})",
                  Code::decoding_failure, "'prevResult' must be an object"},
        BadConfig{"PreviousAddress", "CHECK",
                  R"({"cniVersion":"1.0.0","name":"w","prevResult":{"ips":[{"address":"x/32"}]}})",
                  Code::decoding_failure, "in prevResult: 'x'"},
        BadConfig{"PreviousAddressNumber", "CHECK",
                  R"({"cniVersion":"1.0.0","name":"w","prevResult":{"ips":[{"address":7}]}})",
                  Code::decoding_failure, "'address' must be a string"},
        BadConfig{"NotFirst", "ADD", R"({"cniVersion":"1.0.0","name":"w","prevResult":{"ips":[]}})",
                  Code::invalid_config, "must be the first plugin"},
        BadConfig{"MtuLow", "ADD", R"({"cniVersion":"1.0.0","name":"w","mtu":1279})",
                  Code::invalid_config, "'mtu'"},
        BadConfig{"MtuHigh", "ADD", R"({"cniVersion":"1.0.0","name":"w","mtu":65536})",
                  Code::invalid_config, "1280 to 65535"},
        BadConfig{"MtuText", "ADD", R"({"cniVersion":"1.0.0","name":"w","mtu":"1500"})",
                  Code::invalid_config, "'mtu'"},
        BadConfig{"MtuNegative", "ADD", R"({"cniVersion":"1.0.0","name":"w","mtu":-1})",
                  Code::invalid_config, "'mtu'"},
        BadConfig{"PoolNumber", "ADD", R"({"cniVersion":"1.0.0","name":"w","pool":1})",
                  Code::invalid_config, "'pool'"},
        BadConfig{"SocketList", "ADD", R"({"cniVersion":"1.0.0","name":"w","socket":[]})",
                  Code::invalid_config, "'socket'"},
        BadConfig{"RouteHostBits", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","routes":[{"dst":"10.0.0.1/8"}]})",
                  Code::invalid_config, "the prefix is 10.0.0.0/8"},
        BadConfig{
            "RouteVia", "ADD",
            R"({"cniVersion":"1.0.0","name":"w","routes":[{"dst":"10.0.0.0/8","gw":"10.0.0.1"}]})",
            Code::invalid_config, "cannot name a gateway"},
        BadConfig{"RouteObject", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","routes":{"dst":"10.0.0.0/8"}})",
                  Code::invalid_config, "'routes' must be a list"},
        BadConfig{"RouteNumber", "ADD", R"({"cniVersion":"1.0.0","name":"w","routes":[3]})",
                  Code::invalid_config, "'routes' must be a list such as"},
        BadConfig{"DnsText", "ADD", R"({"cniVersion":"1.0.0","name":"w","dns":"10.0.0.53"})",
                  Code::decoding_failure, "'dns' must be an object"},
        BadConfig{"DnsServers", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","dns":{"nameservers":[1]}})",
                  Code::decoding_failure, "'nameservers' must be a list of strings"},
        BadConfig{"RuntimeIps", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","runtimeConfig":{"IPs":["10.0.0"]}})",
                  Code::invalid_config, "runtimeConfig.ips: '10.0.0'"},
        BadConfig{"DefaultRoute", "ADD", R"({"cniVersion":"1.0.0","name":"w","default-route":1})",
                  Code::invalid_config, "'default-route'"},
        BadConfig{"OtherIpam", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","ipam":{"type":"host-local"}})",
                  Code::unsupported_field, "host-local"},
        BadConfig{"SysctlOutside", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","sysctl":{"kernel.domainname":"x"}})",
                  Code::invalid_config, "not 'kernel.domainname'"},
        BadConfig{"SysctlUp", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","sysctl":{"net...kernel.x":"x"}})",
                  Code::invalid_config, "'sysctl' holds names"},
        BadConfig{"SysctlPath", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","sysctl":{"net./../kernel":"x"}})",
                  Code::invalid_config, "'sysctl' holds names"},
        BadConfig{"SysctlValue", "ADD",
                  R"({"cniVersion":"1.0.0","name":"w","sysctl":{"net.ipv4.ip_forward":[]}})",
                  Code::invalid_config, "must be a text or a number"},
        BadConfig{"SysctlList", "ADD", R"({"cniVersion":"1.0.0","name":"w","sysctl":["net.x"]})",
                  Code::invalid_config, "'sysctl' must be an object"},
        BadConfig{"PreviousRoute", "CHECK",
                  R"({"cniVersion":"1.0.0","name":"w","prevResult":{"routes":[{"dst":"x"}]}})",
                  Code::decoding_failure, "in prevResult"},
        BadConfig{"GcList", "GC",
                  R"({"cniVersion":"1.1.0","name":"w","cni.dev/valid-attachments":{}})",
                  Code::decoding_failure, "must be a list"}),
    [](const auto& c) { return c.param.name; });

TEST(Request, TooLongIsRefused) {
  const auto request = parse(environment("ADD"), std::string(config_limit + 1, ' '));
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code, Code::decoding_failure);
}

TEST(Request, DeepNestingIsNoTrouble) {
  const auto deep = std::string(400'000, '[') + std::string(400'000, ']');
  EXPECT_TRUE(
      parse(environment("ADD"), R"({"cniVersion":"1.0.0","name":"w","args":)" + deep + "}"));
}

TEST(Request, DelGetsThroughABadConfiguration) {
  const auto request = parse(environment("DEL"),
                             R"({"cniVersion":"1.0.0","name":"w","mtu":3,"prevResult":{"x":1}})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->attachment.network, "w");
}

TEST(Request, ReadsBackItsOwnResult) {
  Success success;
  success.interfaces = {{"weft1", "02:77:65:66:74:01", "", 0},
                        {"eth0", "02:11:22:33:44:55", "/run/netns/c1", 0}};
  success.ips = {{*Address::parse("10.64.2.193"), 32, {}, 1}};
  for (const char* version : {"0.4.0", "1.0.0", "1.1.0"}) {
    const auto request = parse(environment("CHECK"), std::string(R"({"cniVersion":")") + version +
                                                         R"(","name":"w","prevResult":)" +
                                                         encode(success, version) + "}");
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(*request->config.previous, success) << version;
  }
}

TEST(Request, GcListComesUnderEitherNameOrNotAtAll) {
  for (const char* key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
    const auto request =
        parse(environment("GC"), std::string(R"({"cniVersion":"1.1.0","name":"w",")") + key +
                                     R"(":[{"containerID":"a","ifname":"eth0"}]})");
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_THAT(*request->config.valid_attachments,
                testing::ElementsAre(Attachment{"w", "a", "eth0"}));
  }
  EXPECT_EQ(parse(environment("GC"), config)->config.valid_attachments, std::nullopt);
}

TEST(VersionForErrors, IsTheConfigsWhenKnown) {
  EXPECT_EQ(version_for_errors(R"({"cniVersion":"0.3.1","name":7})"), "0.3.1");
  EXPECT_EQ(version_for_errors(R"({"cniVersion":"9.0.0"})"), "1.1.0");
  EXPECT_EQ(version_for_errors("garbage"), "1.1.0");
  EXPECT_EQ(version_for_errors(R"({"cniVersion":3})"), "1.1.0");
}

TEST(IpamRequest, FindsItsKeysBelowIpam) {
  const auto request = parse(environment("ADD"), R"({"cniVersion":"1.0.0","name":"old","type":"ptp",
      "mtu":9000,"pool":7,"sysctl":"not ours","dns":{"nameservers":["10.0.0.1"]},"prevResult":{},
      "runtimeConfig":{"ips":["10.64.0.9"]},
      "ipam":{"type":"weft-ipam","pool":"blue","socket":"/tmp/weft.sock","dns":{"search":["a"]},
              "routes":[{"dst":"10.0.0.0/8"},{"dst":"fd00::/8","gw":"fd64::1"}]}})",
                             Role::ipam);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->config.pool, "blue");
  EXPECT_EQ(request->config.socket, "/tmp/weft.sock");
  EXPECT_EQ(request->config.dns, (Dns{{}, "", {"a"}, {}}));
  EXPECT_EQ(request->config.mtu, std::nullopt);
  EXPECT_THAT(request->config.wishes.addresses, testing::ElementsAre(*Address::parse("10.64.0.9")));
  ASSERT_TRUE(request->config.delegated_routes);
  EXPECT_THAT(*request->config.delegated_routes,
              testing::ElementsAre(Route{*Prefix::parse("10.0.0.0/8"), {}},
                                   Route{*Prefix::parse("fd00::/8"), *Address::parse("fd64::1")}));
  const auto plain =
      parse(environment("ADD"), R"({"name":"old","ipam":{"type":"weft-ipam"}})", Role::ipam);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->config.delegated_routes, std::nullopt);
}

TEST(IpamRequest, KnowsWhoCanDoNothingWithAnAddressAlone) {
  const auto needs = [](const std::string& main) {
    const auto request = parse(
        environment("ADD"), R"({"name":"n","ipam":{"type":"weft-ipam"})" + main + "}", Role::ipam);
    EXPECT_TRUE(request) << main;
    return request && request->config.needs_gateway;
  };
  EXPECT_TRUE(needs(R"(,"type":"ptp")"));
  EXPECT_TRUE(needs(R"(,"type":"bridge","isGateway":true)"));
  EXPECT_TRUE(needs(R"(,"type":"bridge","isDefaultGateway":true)"));
  EXPECT_FALSE(needs(R"(,"type":"bridge","isGateway":false)"));
  EXPECT_FALSE(needs(R"(,"type":"macvlan","isGateway":true)"));
  EXPECT_FALSE(needs(R"(,"type":7)"));
  EXPECT_FALSE(needs(""));
}

TEST(IpamRequest, RefusesWhatItDoesNotUnderstandButAtDel) {
  for (const char* ipam :
       {R"({"pool":7})", R"({"routes":{}})", R"({"routes":["10.0.0.0/8"]})",
        R"({"routes":[{"dst":"10.0.0.1/8"}]})", R"({"routes":[{"dst":"10.0.0.0/8","gw":"x"}]})"}) {
    const std::string text = std::string(R"({"name":"old","ipam":)") + ipam + "}";
    EXPECT_FALSE(parse(environment("ADD"), text, Role::ipam)) << ipam;
    EXPECT_TRUE(parse(environment("DEL"), text, Role::ipam)) << ipam;
  }
}

}  // namespace
}  // namespace weft::cni
