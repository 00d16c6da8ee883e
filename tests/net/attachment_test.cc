#include "net/attachment.h"

#include <gtest/gtest.h>

#include <set>

namespace weft {
namespace {

TEST(HostIfname, NeverChanges) {
  // On disk, in link names of running containers: another hash would be another network.
  EXPECT_EQ(host_ifname({"weft", "c1", "eth0"}), "weft3f16274c6e6");
  EXPECT_EQ(text(container_mac({"weft", "c1", "eth0"})), "02:4a:f4:2d:1c:45");
  EXPECT_EQ(text(host_mac), "02:77:65:66:74:01");
}

TEST(HostIfname, TellsEveryMemberApart) {
  const std::set<std::string> names{
      host_ifname({"a", "bc", "eth0"}), host_ifname({"ab", "c", "eth0"}),
      host_ifname({"a", "bc", "eth1"}), host_ifname({"a", "b", "ceth0"})};
  EXPECT_EQ(names.size(), 4U);
  for (const std::string& name : names) EXPECT_TRUE(is_ifname(name)) << name;
}

TEST(AttachmentCheck, FollowsTheSpecAndNamesTheMember) {
  EXPECT_TRUE(check({"weft", "default-k1.2_x", "eth0"}));
  EXPECT_TRUE(check({"w", std::string(255, 'a'), "abcdefghijklmno"}));
  const std::vector<std::pair<Attachment, std::string>> bad{
      {{"", "c", "eth0"}, "network name"},
      {{"-w", "c", "eth0"}, "network name"},
      {{"w", "a/b", "eth0"}, "container id"},
      {{"w", std::string(256, 'a'), "eth0"}, "container id"},
      {{"w", "a:b", "eth0"}, "container id"},
      {{"w", "c", ""}, "interface name"},
      {{"w", "c", ".."}, "interface name"},
      {{"w", "c", "eth 0"}, "interface name"},
      {{"w", "c", "a/b"}, "interface name"},
      {{"w", "c", "a:b"}, "interface name"},
      {{"w", "c", std::string("a\0b", 3)}, "interface name"},
      {{"w", "c", "abcdefghijklmnop"}, "interface name"}};
  for (const auto& [attachment, member] : bad) {
    const auto good = check(attachment);
    ASSERT_FALSE(good) << attachment.ifname;
    EXPECT_NE(good.error().message.find(member), std::string::npos) << good.error().message;
  }
}

TEST(ContainerMac, IsLocalAndUnicast) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(container_mac({"w", std::to_string(i), "eth0"})[0], std::byte{0x02});
  }
}

}  // namespace
}  // namespace weft
