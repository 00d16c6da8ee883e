#include "net/ip.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(AddressParse, KeepsTheCanonicalText) {
  for (const char* text :
       {"0.0.0.0", "10.64.3.1", "255.255.255.255", "::", "::1", "fd64:0:0:1::7"}) {
    const auto address = Address::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), Address::of(address->octets()).text());
  }
  EXPECT_EQ(Address::parse("fd64:0:0:1:0:0:0:7")->text(), "fd64:0:0:1::7");
}

TEST(AddressParse, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", "10.0.0", "10.0.0.256", "10.0.0.1/32", " 10.0.0.1", "fe80::1%eth0", "g::"}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
}

TEST(AddressPlus, CarriesAndWraps) {
  EXPECT_EQ(Address::parse("10.0.0.255")->plus(1).text(), "10.0.1.0");
  EXPECT_EQ(Address::parse("255.255.255.255")->plus(2).text(), "0.0.0.1");
  EXPECT_EQ(Address::parse("fd00::ffff:ffff")->plus(1).text(), "fd00::1:0:0");
  EXPECT_EQ(Address::parse("fd00::ff")->plus(0x1'0000'0001U).text(), "fd00::1:0:100");
}

TEST(AddressKind, IsToldByTheWellKnownRanges) {
  EXPECT_TRUE(Address::parse("::1")->is_loopback());
  EXPECT_TRUE(Address::parse("127.3.0.1")->is_loopback());
  EXPECT_FALSE(Address::parse("::2")->is_loopback());
  EXPECT_TRUE(Address::parse("fe80::1")->is_link_local());
  EXPECT_TRUE(Address::parse("febf::1")->is_link_local());
  EXPECT_FALSE(Address::parse("fec0::1")->is_link_local());
  EXPECT_TRUE(Address::parse("169.254.1.1")->is_link_local());
  EXPECT_TRUE(Address::parse("224.0.0.5")->is_multicast());
  EXPECT_TRUE(Address::parse("ff02::1")->is_multicast());
  EXPECT_TRUE(Address::parse("::")->is_unspecified());
  EXPECT_TRUE(Address().is_unspecified());
}

TEST(PrefixParse, NamesThePrefixThatWasMeant) {
  EXPECT_EQ(Prefix::parse("10.64.0.64/26")->text(), "10.64.0.64/26");
  const auto wrong = Prefix::parse("10.64.0.70/26");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("10.64.0.64/26"), std::string::npos);
  for (const char* text :
       {"10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/8x", "/8"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

TEST(PrefixContains, StopsAtFamilyAndLength) {
  const Prefix pool = *Prefix::parse("10.64.0.0/16");
  EXPECT_TRUE(pool.contains(*Prefix::parse("10.64.3.0/26")));
  EXPECT_TRUE(pool.contains(pool));
  EXPECT_FALSE(pool.contains(*Prefix::parse("10.0.0.0/8")));
  EXPECT_FALSE(pool.contains(*Prefix::parse("10.65.0.0/26")));
  EXPECT_TRUE(pool.overlaps(*Prefix::parse("10.0.0.0/8")));
  EXPECT_FALSE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("::")));
  EXPECT_TRUE(Prefix::parse("::/0")->contains(*Address::parse("ff02::1")));
  EXPECT_TRUE(Prefix::parse("fd00::1/128")->contains(*Address::parse("fd00::1")));
}

TEST(PrefixHash, TellsNeighboursApart) {
  EXPECT_NE(hash(*Prefix::parse("10.0.0.0/8")), hash(*Prefix::parse("10.0.0.0/9")));
  EXPECT_NE(hash(*Address::parse("10.0.0.0")), hash(*Address::parse("10.0.0.1")));
  EXPECT_NE(hash(*Address::parse("fd00::1")), hash(*Address::parse("fd00:0:0:1::")));
}

}  // namespace
}  // namespace weft
