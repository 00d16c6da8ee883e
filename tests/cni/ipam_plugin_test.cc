// What weft-ipam answers a main plugin.
#include "cni/ipam_plugin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::cni {
namespace {

ctl::Lease lease() {
  ctl::Lease lease;
  lease.ipv4 = *Address::parse("10.64.2.194");
  lease.ipv6 = *Address::parse("fd64::c2");
  return lease;
}

TEST(IpamResult, IsOfASubnetWhereBlocksAreSubnets) {
  ctl::Lease with = lease();
  with.ipv4_subnet = {*Prefix::parse("10.64.2.192/26"), *Address::parse("10.64.2.193")};
  with.ipv6_subnet = {*Prefix::parse("fd64::c0/122"), *Address::parse("fd64::c1")};
  EXPECT_EQ(encode(given(with, {}), "1.0.0"),
            R"({"cniVersion":"1.0.0","ips":[{"address":"10.64.2.194/26","gateway":"10.64.2.193"},)"
            R"({"address":"fd64::c2/122","gateway":"fd64::c1"}],)"
            R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}],"dns":{}})");
}

TEST(IpamResult, IsAnAddressAloneWhereTheyAreNot) {
  ctl::Lease ipv4 = lease();
  ipv4.ipv6.reset();
  NetworkConfig config;
  config.delegated_routes.emplace();
  config.dns.nameservers = {"10.0.0.53"};
  EXPECT_EQ(encode(given(ipv4, config), "0.4.0"),
            R"({"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.64.2.194/32"}],)"
            R"("routes":[],"dns":{"nameservers":["10.0.0.53"]}})");
  EXPECT_EQ(encode(given(ipv4, {}), "0.2.0"),
            R"({"cniVersion":"0.2.0","ip4":{"ip":"10.64.2.194/32","routes":[{"dst":"0.0.0.0/0"}]},)"
            R"("dns":{}})");
}

}  // namespace
}  // namespace weft::cni
