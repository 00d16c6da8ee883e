#include "bgp/origination.h"

#include <gmock/gmock.h>

namespace weft::bgp {
namespace {

TEST(Origination, TakesCommunitiesAsTheyAreShown) {
  Origination made;
  const std::vector<std::string> texts{"65001:100", "no-export", "65001:1:4294967295"};
  for (const std::string& each : texts) EXPECT_TRUE(made.add_community(each)) << each;
  EXPECT_TRUE(made.add_community("65001:100")) << "twice is once";
  EXPECT_EQ(made.community_texts(), texts);
  made.med = 7;
  const Attributes attributes = made.attributes();
  EXPECT_TRUE(attributes.has(community::no_export));
  EXPECT_EQ(attributes.large_communities.size(), 1U);
  EXPECT_EQ(attributes.med, 7U);
}

TEST(Origination, RefusesWhatIsNoCommunity) {
  Origination made;
  for (const char* each : {"", ":", "65001", "65001:", "65536:1", "1:65536", "1:2:3:4",
                           "1:2:", "a:b", "1:4294967296:3", "-1:2", "local-as "}) {
    EXPECT_FALSE(made.add_community(each)) << each;
  }
  for (std::uint32_t i = 0; i < max_originated_communities; ++i)
    EXPECT_TRUE(made.add_community("1:" + std::to_string(i)));
  EXPECT_FALSE(made.add_community("2:1"));
}

}  // namespace
}  // namespace weft::bgp
