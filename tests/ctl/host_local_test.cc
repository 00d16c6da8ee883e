// The directory of host-local as it is found, with what else lies about in it.
#include "ctl/host_local.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace weft::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(HostLocalFile, IsAnAddressAContainerAndAnInterface) {
  const auto parsed = parse_host_local("10.88.1.2", "0123abcd\r\neth0");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, (AddressInUse{*Address::parse("10.88.1.2"), "0123abcd", "eth0"}));
  EXPECT_TRUE(parse_host_local("fd00::2", "c1\neth0\n"));
  EXPECT_TRUE(is_host_local_bookkeeping("lock"));
  EXPECT_TRUE(is_host_local_bookkeeping("last_reserved_ip.0"));
  EXPECT_FALSE(is_host_local_bookkeeping("10.88.1.2"));

  struct Case {
    const char* name;
    const char* content;
    const char* reason;
  };
  for (const Case& c :
       {Case{"notes.txt", "c1\r\neth0", "no address"}, Case{"10.88.1.2", "", "names no container"},
        Case{"10.88.1.2", "a/b\r\neth0", "names no container"},
        Case{"10.88.1.2", "c1", "names no interface"},
        Case{"10.88.1.2", "c1\r\neth 0", "names no interface"}}) {
    const auto refused = parse_host_local(c.name, c.content);
    ASSERT_FALSE(refused) << c.name;
    EXPECT_THAT(refused.error().message, HasSubstr(c.reason));
  }
}

TEST(HostLocalDirectory, IsReadWhole) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("weft-host-local-" + std::to_string(getpid()));
  std::filesystem::create_directory(directory);
  const auto write = [&](const char* name, const char* content) {
    std::ofstream(directory / name) << content;
  };
  write("lock", "");
  write("last_reserved_ip.0", "10.88.1.3");
  write("10.88.1.3", "a\r\neth0");
  write("10.88.1.2", "b\r\neth0");
  write("fd00::2", "a\r\neth0");
  write("odd", "x");
  ASSERT_EQ(::mkfifo((directory / "10.88.1.9").c_str(), 0600), 0);
  const auto all = read_host_local(directory);
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->addresses, ElementsAre(AddressInUse{*Address::parse("10.88.1.3"), "a", "eth0"},
                                          AddressInUse{*Address::parse("fd00::2"), "a", "eth0"},
                                          AddressInUse{*Address::parse("10.88.1.2"), "b", "eth0"}));
  EXPECT_THAT(all->faults, ElementsAre(HasSubstr("10.88.1.9: not a file"),
                                       HasSubstr("odd: its name is no address")));
  EXPECT_FALSE(read_host_local(directory)) << "it is gone";
}

}  // namespace
}  // namespace weft::ctl
