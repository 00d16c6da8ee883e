// What runtimes ask for one container, in the shapes in which podman, containerd, CRI-O and Nomad
// were seen to send it.
#include "cni/wishes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace weft::cni {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

Address address(const char* text) {
  return *Address::parse(text);
}

struct Wished {
  const char* name;
  const char* config;
  const char* args;
  std::vector<const char*> addresses;
  const char* mac;
};

class Addresses : public testing::TestWithParam<Wished> {};

TEST_P(Addresses, OfTheFirstThatNamesAny) {
  const auto wishes = parse_wishes(json::parse(GetParam().config), GetParam().args);
  ASSERT_TRUE(wishes) << wishes.error().message;
  std::vector<Address> addresses;
  for (const char* text : GetParam().addresses) addresses.push_back(address(text));
  EXPECT_EQ(wishes->addresses, addresses);
  EXPECT_EQ(wishes->mac ? text(*wishes->mac) : "", GetParam().mac);
}

INSTANTIATE_TEST_SUITE_P(
    Sources, Addresses,
    testing::Values(
        Wished{"None", "{}", "", {}, ""},
        Wished{"OthersArguments",
               "{}",
               R"(K8S_POD_NAME=a;IgnoreUnknown=0;CONSUL_IPTABLES_CONFIG={"a":"b=c"};;=;IP=;X)",
               {},
               ""},
        Wished{"Podman",
               R"({"runtimeConfig":{"aliases":{"fabric":["al2"]}}})",
               "IgnoreUnknown=1;K8S_POD_NAME=w;MAC=02:00:5E:00:00:01;IP=10.64.0.9",
               {"10.64.0.9"},
               "02:00:5e:00:00:01"},
        Wished{"PodmanTwo",
               R"({"runtimeConfig":{"ips":["10.64.0.9","fd64::9/64"]}})",
               "",
               {"10.64.0.9", "fd64::9"},
               ""},
        Wished{"Capitals",
               R"({"runtimeConfig":{"IPs":["10.64.0.9/24"],"Mac":"02:00:00:00:00:02"}})",
               "",
               {"10.64.0.9"},
               "02:00:00:00:00:02"},
        Wished{"Args",
               R"({"args":{"cni":{"ips":["10.64.0.7"],"mac":"02:00:00:00:00:03"}}})",
               "IP=10.64.0.9;MAC=02:00:00:00:00:01",
               {"10.64.0.7"},
               "02:00:00:00:00:03"},
        Wished{"RuntimeBeforeArgs",
               R"({"runtimeConfig":{"ips":["10.64.0.5"],"mac":"02:00:00:00:00:04"},
                   "args":{"cni":{"ips":["10.64.0.7"],"mac":"02:00:00:00:00:03"}}})",
               "IP=10.64.0.9",
               {"10.64.0.5"},
               "02:00:00:00:00:04"},
        Wished{"EmptyIsAbsent",
               R"({"runtimeConfig":{"ips":[],"mac":""},"args":{"cni":{"ips":null}}})",
               "IP=10.64.0.9",
               {"10.64.0.9"},
               ""},
        Wished{"ArgsOfMesos", R"({"args":{"org.apache.mesos":{"network_info":{}}}})", "", {}, ""}),
    [](const auto& c) { return c.param.name; });

struct Refused {
  const char* name;
  const char* config;
  const char* message;
};

class WishRefused : public testing::TestWithParam<Refused> {};

TEST_P(WishRefused, ByItsName) {
  const auto wishes = parse_wishes(json::parse(GetParam().config), "");
  ASSERT_FALSE(wishes);
  EXPECT_EQ(wishes.error().code, Code::invalid_config);
  EXPECT_THAT(wishes.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Configs, WishRefused,
    testing::Values(
        Refused{"SecondOfAFamily", R"({"runtimeConfig":{"ips":["10.0.0.1","10.0.0.2"]}})",
                "10.0.0.2 is a second address"},
        Refused{"IpsText", R"({"runtimeConfig":{"ips":"10.0.0.1"}})", "must be a list"},
        Refused{"IpsNumbers", R"({"args":{"cni":{"ips":[1]}}})", "args.cni.ips: must be a list"},
        Refused{"MacNumber", R"({"runtimeConfig":{"mac":7}})", "runtimeConfig.mac: must be a text"},
        Refused{"MacMulticast", R"({"runtimeConfig":{"mac":"01:00:5e:00:00:01"}})", "01:00:5e"},
        Refused{"MacZero", R"({"runtimeConfig":{"mac":"00:00:00:00:00:00"}})", "is not a MAC"},
        Refused{"MacCut", R"({"runtimeConfig":{"mac":"02:00:00:00:00"}})", "is not a MAC"},
        Refused{"MacDashes", R"({"runtimeConfig":{"mac":"02-00-00-00-00-01"}})", "is not a MAC"},
        Refused{"Rate", R"({"runtimeConfig":{"bandwidth":{"ingressRate":"1"}}})",
                "bandwidth.ingressRate: must be a number"},
        Refused{"RateNegative", R"({"runtimeConfig":{"bandwidth":{"EgressRate":-1}}})",
                "bandwidth.egressRate"},
        Refused{"RangesFlat", R"({"runtimeConfig":{"ipRanges":[{"subnet":"10.0.0.0/8"}]}})",
                "ipRanges: must be a list of lists"},
        Refused{"RangeSubnet", R"({"runtimeConfig":{"ipRanges":[[{"rangeStart":"10.0.0.1"}]]}})",
                "a range needs a subnet"},
        Refused{"RangeHostBits", R"({"runtimeConfig":{"ipRanges":[[{"subnet":"10.0.0.1/8"}]]}})",
                "10.0.0.0/8"},
        Refused{
            "RangeOutside",
            R"({"runtimeConfig":{"ipRanges":[[{"subnet":"10.0.0.0/24","rangeEnd":"10.0.1.1"}]]}})",
            "rangeEnd 10.0.1.1 is not in the subnet 10.0.0.0/24"},
        Refused{"RangeBackwards",
                R"({"runtimeConfig":{"ipRanges":[[{"subnet":"10.0.0.0/24","rangeStart":"10.0.0.9",
                    "rangeEnd":"10.0.0.8"}]]}})",
                "10.0.0.9-10.0.0.8 ends before it begins"},
        Refused{
            "RangeFamilies",
            R"({"runtimeConfig":{"ipRanges":[[{"subnet":"10.0.0.0/24"},{"subnet":"fd00::/64"}]]}})",
            "of one set and of two families"},
        Refused{"DnsServers", R"({"runtimeConfig":{"dns":{"Servers":["a",1]}}})",
                "dns.servers: must be a list of texts"}),
    [](const auto& c) { return c.param.name; });

TEST(Wishes, BandwidthIsOfBothDirectionsOrOne) {
  const auto containerd = parse_wishes(
      json::parse(R"({"runtimeConfig":{"bandwidth":{"IngressRate":1000000,"IngressBurst":4294967295,
                      "EgressRate":0,"EgressBurst":0}}})"),
      "");
  ASSERT_TRUE(containerd);
  EXPECT_EQ(containerd->ingress, (Rate{1'000'000, 4'294'967'295}));
  EXPECT_EQ(containerd->egress, std::nullopt);
  const auto small = parse_wishes(
      json::parse(R"({"runtimeConfig":{"bandwidth":{"egressRate":8000,"egressBurst":8}}})"), "");
  ASSERT_TRUE(small);
  EXPECT_EQ(small->egress, (Rate{8000, 524'288})) << "a burst that holds no packet passes none";
}

TEST(Wishes, DnsOfTheRuntime) {
  const auto wishes = parse_wishes(
      json::parse(R"({"runtimeConfig":{"dns":{"Servers":["10.0.0.53"],"Searches":["a","b"],
                      "Options":["ndots:2"]}}})"),
      "");
  ASSERT_TRUE(wishes);
  EXPECT_EQ(wishes->dns, (Dns{{"10.0.0.53"}, "", {"a", "b"}, {"ndots:2"}}));
  EXPECT_EQ(parse_wishes(json::parse(R"({"runtimeConfig":{"dns":{}}})"), "")->dns, std::nullopt);
}

TEST(Wishes, RangesInTheWordsOfEitherRuntime) {
  const auto range = [](const char* first, const char* last) {
    return AddressRange{address(first), address(last)};
  };
  const auto ocicni = parse_wishes(
      json::parse(
          R"({"runtimeConfig":{"ipRanges":[[{"subnet":"10.64.0.0/24","rangeStart":"10.64.0.9",
          "rangeEnd":"10.64.0.20","gateway":"10.64.0.1"},{"subnet":"10.65.0.0/30"}],
          [{"subnet":"fd64::/64"}]]}})"),
      "");
  ASSERT_TRUE(ocicni) << ocicni.error().message;
  EXPECT_THAT(
      ocicni->ranges,
      ElementsAre(ElementsAre(range("10.64.0.9", "10.64.0.20"), range("10.65.0.0", "10.65.0.3")),
                  ElementsAre(range("fd64::", "fd64::ffff:ffff:ffff:ffff"))));
  const auto containerd = parse_wishes(
      json::parse(R"({"runtimeConfig":{"ipRanges":[[{"Subnet":"10.64.0.0/24","RangeStart":"",
          "RangeEnd":"","Gateway":""}],[]]}})"),
      "");
  ASSERT_TRUE(containerd) << containerd.error().message;
  EXPECT_THAT(containerd->ranges, ElementsAre(ElementsAre(range("10.64.0.0", "10.64.0.255"))));
}

}  // namespace
}  // namespace weft::cni
