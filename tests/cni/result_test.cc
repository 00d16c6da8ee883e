// The exact text of results and errors, version by version: runtimes parse it, people compare it
// with the spec.
#include "cni/result.h"

#include <gtest/gtest.h>

namespace weft::cni {
namespace {

Success success() {
  Success success;
  success.interfaces = {{"weft0123456789a", "02:77:65:66:74:01", "", 1500},
                        {"eth0", "02:11:22:33:44:55", "/run/netns/c1", 1500}};
  success.ips = {{*Address::parse("10.64.2.193"), 32, *Address::parse("169.254.1.1"), 1},
                 {*Address::parse("fd64::c1"), 128, *Address::parse("fe80::1"), 1}};
  success.routes = {{*Prefix::parse("0.0.0.0/0"), *Address::parse("169.254.1.1")},
                    {*Prefix::parse("::/0"), *Address::parse("fe80::1")}};
  return success;
}

struct Golden {
  const char* version;
  const char* text;
};

class ResultText : public testing::TestWithParam<Golden> {};

TEST_P(ResultText, IsThatOfItsVersion) {
  EXPECT_EQ(encode(success(), GetParam().version), GetParam().text);
}

constexpr const char* flat =
    R"("ip4":{"ip":"10.64.2.193/32","gateway":"169.254.1.1","routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"}]},)"
    R"("ip6":{"ip":"fd64::c1/128","gateway":"fe80::1","routes":[{"dst":"::/0","gw":"fe80::1"}]},"dns":{}})";
const std::string flat_010 = std::string(R"({"cniVersion":"0.1.0",)") + flat;
const std::string flat_020 = std::string(R"({"cniVersion":"0.2.0",)") + flat;

constexpr const char* interfaces =
    R"("interfaces":[{"name":"weft0123456789a","mac":"02:77:65:66:74:01"},)"
    R"({"name":"eth0","mac":"02:11:22:33:44:55","sandbox":"/run/netns/c1"}],)";
constexpr const char* routes =
    R"("routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"},{"dst":"::/0","gw":"fe80::1"}],"dns":{}})";
constexpr const char* ips_with_version =
    R"("ips":[{"version":"4","interface":1,"address":"10.64.2.193/32","gateway":"169.254.1.1"},)"
    R"({"version":"6","interface":1,"address":"fd64::c1/128","gateway":"fe80::1"}],)";
constexpr const char* ips =
    R"("ips":[{"interface":1,"address":"10.64.2.193/32","gateway":"169.254.1.1"},)"
    R"({"interface":1,"address":"fd64::c1/128","gateway":"fe80::1"}],)";
const std::string lists_030 =
    std::string(R"({"cniVersion":"0.3.0",)") + interfaces + ips_with_version + routes;
const std::string lists_031 =
    std::string(R"({"cniVersion":"0.3.1",)") + interfaces + ips_with_version + routes;
const std::string lists_040 =
    std::string(R"({"cniVersion":"0.4.0",)") + interfaces + ips_with_version + routes;
const std::string lists_100 = std::string(R"({"cniVersion":"1.0.0",)") + interfaces + ips + routes;
const std::string lists_110 =
    std::string(
        R"({"cniVersion":"1.1.0","interfaces":[{"name":"weft0123456789a","mac":"02:77:65:66:74:01","mtu":1500},)") +
    R"({"name":"eth0","mac":"02:11:22:33:44:55","mtu":1500,"sandbox":"/run/netns/c1"}],)" + ips +
    routes;

INSTANTIATE_TEST_SUITE_P(
    Versions, ResultText,
    testing::Values(Golden{"0.1.0", flat_010.c_str()}, Golden{"0.2.0", flat_020.c_str()},
                    Golden{"0.3.0", lists_030.c_str()}, Golden{"0.3.1", lists_031.c_str()},
                    Golden{"0.4.0", lists_040.c_str()}, Golden{"1.0.0", lists_100.c_str()},
                    Golden{"1.1.0", lists_110.c_str()}));

TEST(ResultText, CarriesDnsAndOneFamily) {
  Success one = success();
  one.ips.pop_back();
  one.routes.pop_back();
  one.dns = {{"10.0.0.53"}, "example.net", {"example.net", "net"}, {"ndots:2"}};
  EXPECT_EQ(
      encode(one, "1.0.0"),
      std::string(R"({"cniVersion":"1.0.0",)") + interfaces +
          R"("ips":[{"interface":1,"address":"10.64.2.193/32","gateway":"169.254.1.1"}],)"
          R"("routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"}],)"
          R"("dns":{"nameservers":["10.0.0.53"],"domain":"example.net","search":["example.net","net"],"options":["ndots:2"]}})");
}

TEST(ErrorText, HasItsFourKeys) {
  EXPECT_EQ(encode(Failure{Code::try_again_later, "weftd is away", ""}, "0.4.0"),
            R"({"cniVersion":"0.4.0","code":11,"msg":"weftd is away"})");
  EXPECT_EQ(encode(Failure{Code::internal, "a", "b"}, "1.1.0"),
            R"({"cniVersion":"1.1.0","code":999,"msg":"a","details":"b"})");
}

TEST(ErrorText, SurvivesWhatIsNotText) {
  EXPECT_EQ(encode(Failure{Code::invalid_config, "bad \xff name\n", ""}, "1.0.0"),
            "{\"cniVersion\":\"1.0.0\",\"code\":7,\"msg\":\"bad \xef\xbf\xbd name\\n\"}");
}

TEST(VersionText, NamesAllOfThem) {
  EXPECT_EQ(
      version_text(),
      R"({"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]})");
}

}  // namespace
}  // namespace weft::cni
