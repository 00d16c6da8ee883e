#include "ipam/lease.h"

#include <gtest/gtest.h>

namespace weft::ipam {
namespace {

Lease lease(Attachment attachment) {
  Lease lease;
  lease.attachment = std::move(attachment);
  lease.block = {"containers", 11, *Prefix::parse("10.64.2.192/26"), std::nullopt};
  lease.ordinal = 5;
  return lease;
}

TEST(LinkAlias, ReadsBackWhatItSays) {
  const Attachment attachment{"weft", std::string(64, 'a'), "eth0"};
  const std::string alias = link_alias(lease(attachment));
  EXPECT_EQ(alias, "weft:containers:11:5:weft:" + std::string(64, 'a') + ":eth0");
  EXPECT_EQ(parse_link_alias(alias), (ParsedAlias{"containers", 11, 5, attachment}));
  Lease borrowed = lease(attachment);
  borrowed.borrowed = true;
  EXPECT_EQ(link_alias(borrowed), "weft:containers:11:5+:weft:" + std::string(64, 'a') + ":eth0");
  EXPECT_EQ(parse_link_alias(link_alias(borrowed)),
            (ParsedAlias{"containers", 11, 5, attachment, true}));
}

TEST(LinkAlias, FitsHoweverLongTheNames) {
  Lease longest = lease({std::string(255, 'n'), std::string(255, 'c'), "abcdefghijklmno"});
  longest.block.pool = std::string(32, 'p');
  longest.block.index = 0xffffffffU;
  longest.ordinal = 4095;
  const std::string alias = link_alias(longest);
  EXPECT_LE(alias.size(), 255U);
  const auto parsed = parse_link_alias(alias);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->attachment, abbreviated(longest.attachment));
  // Just below the limits nothing is abbreviated, and it still fits.
  longest.attachment = {std::string(64, 'n'), std::string(110, 'c'), "abcdefghijklmno"};
  EXPECT_LE(link_alias(longest).size(), 255U);
  EXPECT_EQ(parse_link_alias(link_alias(longest))->attachment, longest.attachment);
}

TEST(LinkAlias, OfOthersIsLeftAlone) {
  for (const char* alias :
       {"", "uplink to tor1", "weft", "weft:containers:11:5:weft:c1", "weft::11:5:weft:c1:eth0",
        "weft:p:x:5:weft:c1:eth0", "weft:p:1:-5:weft:c1:eth0", "weft:p:1:5:weft:c1:eth0:more",
        "weft:p:1:5:~abc:c1:eth0", "weft:p:1:5:weft:/c1:eth0", "weft:p:99999999999:5:weft:c1:eth0",
        "coil:p:1:5:weft:c1:eth0", "weft:p:1:5:weft:c1:", "weft:p:1:5 :weft:c1:eth0"}) {
    EXPECT_EQ(parse_link_alias(alias), std::nullopt) << alias;
  }
}

TEST(LinkAlias, SaysWhatItsLinkIsCalledUnlessItIsAbbreviated) {
  EXPECT_EQ(link_name(*parse_link_alias("weft:p:2:9:net:c1:eth0")),
            host_ifname({"net", "c1", "eth0"}));
  const std::string abbreviation = "~0123456789abcdef0123456789abcdef";
  EXPECT_EQ(link_name(*parse_link_alias("weft:p:2:9:net:" + abbreviation + ":eth0")), std::nullopt);
  EXPECT_EQ(link_name(*parse_link_alias("weft:p:2:9:" + abbreviation + ":c1:eth0")), std::nullopt);
}

TEST(Abbreviated, IsTheSameTwiceAndDiffersByText) {
  const Attachment a{"weft", std::string(200, 'a'), "eth0"};
  const Attachment b{"weft", std::string(201, 'a'), "eth0"};
  EXPECT_EQ(abbreviated(a), abbreviated(abbreviated(a)));
  EXPECT_NE(abbreviated(a), abbreviated(b));
  EXPECT_FALSE(is_attachment_name(abbreviated(a).container));
}

}  // namespace
}  // namespace weft::ipam
