// What an announcement's health is told from: real files, real sockets.
#include "daemon/health_checks.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

namespace weft::daemon {
namespace {

class HealthChecksTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(directory_); }
  void TearDown() override {
    if (listener_ >= 0) ::close(listener_);
    std::filesystem::remove_all(directory_);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }
  void listen(const std::string& name, int backlog) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string at = path(name);
    ASSERT_LT(at.size(), sizeof(address.sun_path));
    std::memcpy(address.sun_path, at.data(), at.size());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(::listen(listener_, backlog), 0);
  }

  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("weft-health-" + std::to_string(::getpid()));
  int listener_ = -1;
};

TEST_F(HealthChecksTest, AFileIsThereOrNot) {
  EXPECT_FALSE(is_there(path("well")));
  std::ofstream(path("well")).put('1');
  EXPECT_TRUE(is_there(path("well")));
  EXPECT_TRUE(is_there(directory_));
}

TEST_F(HealthChecksTest, ASocketTakesConnectionsWhileSomebodyListens) {
  EXPECT_FALSE(takes_connections(path("s")));
  std::ofstream(path("file")).put('1');
  EXPECT_FALSE(takes_connections(path("file")));
  EXPECT_FALSE(takes_connections(std::string(200, 'x')));
  listen("s", 0);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(takes_connections(path("s"))) << "a full backlog, too";
  ::close(std::exchange(listener_, -1));
  EXPECT_FALSE(takes_connections(path("s"))) << "the path alone is nobody";
}

TEST_F(HealthChecksTest, TellsOfAllThatHaveAServiceAtOnce) {
  boost::asio::io_context io;
  std::map<Prefix, bool> told;
  HealthChecks checks(io, [&](const Prefix& prefix, bool well) { told[prefix] = well; });
  std::ofstream(path("well")).put('1');
  std::vector<bgp::AnnouncementSettings> announcements(4);
  for (std::size_t i = 0; i < announcements.size(); ++i)
    announcements[i].what.prefix = Prefix::host(Address::ipv4(static_cast<std::uint32_t>(i)));
  announcements[1].health_file = path("well");
  announcements[2].health_file = path("ill");
  announcements[3].health_file = path("well");
  announcements[3].health_socket = path("nobody");
  checks.apply(announcements);
  EXPECT_EQ(told, (std::map<Prefix, bool>{{announcements[1].what.prefix, true},
                                          {announcements[2].what.prefix, false},
                                          {announcements[3].what.prefix, false}}));
  checks.stop();
}

}  // namespace
}  // namespace weft::daemon
