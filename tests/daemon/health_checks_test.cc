// What an announcement's health is told from: real files, real sockets.
#include "daemon/health_checks.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "net/time.h"

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
  EXPECT_TRUE(takes_connections(path("s")));
  bool full = false;
  for (int i = 0; i < 8; ++i) full = full || !takes_connections(path("s"));
  EXPECT_TRUE(full) << "nobody accepts";
  ::close(std::exchange(listener_, -1));
  EXPECT_FALSE(takes_connections(path("s"))) << "the path alone is nobody";
}

/// What has been told of each announcement, in the order of the settings.
class Rounds : public HealthChecksTest {
 protected:
  bgp::AnnouncementSettings& announcement() {
    auto& made = wanted_.emplace_back();
    made.what.prefix = Prefix::host(Address::ipv4(static_cast<std::uint32_t>(wanted_.size())));
    made.health_rise = 1;
    made.health_fall = 1;
    return made;
  }
  bool until(const std::function<bool()>& holds) {
    const Time end = Clock::now() + std::chrono::seconds(60);
    while (!holds() && Clock::now() < end) io_.run_one_for(std::chrono::milliseconds(50));
    return holds();
  }
  [[nodiscard]] const std::string* told(std::size_t i) const {
    const auto found = told_.find(wanted_[i].what.prefix);
    return found == told_.end() ? nullptr : &found->second;
  }
  bool comes(std::size_t i, const std::string& fault) {
    return until([&] { return told(i) != nullptr && *told(i) == fault; });
  }

  boost::asio::io_context io_;
  std::vector<bgp::AnnouncementSettings> wanted_;
  std::map<Prefix, std::string> told_;
  HealthChecks checks_{
      io_, [this](const Prefix& prefix, const std::string& fault) { told_[prefix] = fault; }};
};

TEST_F(Rounds, TellOfAllThatHaveAService) {
  std::ofstream(path("well")).put('1');
  announcement();
  announcement().health_file = path("well");
  announcement().health_file = path("ill");
  announcement().health_file = path("well");
  wanted_[3].health_socket = path("nobody");
  announcement().health_command = "test -e " + path("well");
  announcement().health_command = "exit 3";
  checks_.apply(wanted_);
  EXPECT_TRUE(comes(1, ""));
  EXPECT_TRUE(comes(2, path("ill") + " is not there"));
  EXPECT_TRUE(comes(3, path("nobody") + " takes no connection"));
  EXPECT_TRUE(comes(4, ""));
  EXPECT_TRUE(comes(5, "the health command fails"));
  EXPECT_EQ(told(0), nullptr);
  std::filesystem::remove(path("well"));
  EXPECT_TRUE(comes(1, path("well") + " is not there"));
  EXPECT_TRUE(comes(4, "the health command fails"));
}

TEST_F(Rounds, ACommandThatHangsIsKilledAndHoldsNobodyUp) {
  announcement().health_command = "echo $$ > " + path("pid") + "; exec sleep 1000";
  wanted_[0].health_timeout = std::chrono::seconds(1);
  announcement().health_command = "true";
  checks_.apply(wanted_);
  EXPECT_TRUE(comes(1, ""));
  pid_t first = 0;
  EXPECT_TRUE(until([&] { return static_cast<bool>(std::ifstream(path("pid")) >> first); }));
  EXPECT_TRUE(comes(0, "the health command has run for 1 s"));
  pid_t next = 0;
  EXPECT_TRUE(until([&] { return std::ifstream(path("pid")) >> next && next != first; }))
      << "tried again";
  EXPECT_NE(::kill(-first, 0), 0);
  checks_.stop();
  EXPECT_TRUE(until([&] { return ::kill(-next, 0) != 0; })) << "none is left behind";
}

TEST_F(Rounds, OneFailureIsNotEnoughWhereMoreAreAsked) {
  announcement().health_command = "echo >> " + path("runs") + "; test ! -e " + path("ill");
  wanted_[0].health_fall = 2;
  wanted_[0].health_rise = 2;
  checks_.apply(wanted_);
  EXPECT_TRUE(comes(0, ""));
  const auto runs = [&] {
    std::ifstream file(path("runs"));
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  std::ofstream(path("ill")).put('1');
  const auto before = runs();
  EXPECT_TRUE(comes(0, "the health command fails"));
  EXPECT_GE(runs(), before + 2);
  std::filesystem::remove(path("ill"));
  const auto then = runs();
  EXPECT_TRUE(comes(0, ""));
  EXPECT_GE(runs(), then + 2);
}

TEST_F(Rounds, AReloadAsksAnewOnlyWhatIsAskedOtherwise) {
  for (int i = 0; i < 2; ++i) {
    announcement().health_command = "echo >> " + path(std::to_string(i));
    wanted_.back().health_interval = std::chrono::hours(1);
  }
  const auto runs = [&](const char* name) {
    std::ifstream file(path(name));
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  checks_.apply(wanted_);
  EXPECT_TRUE(comes(0, ""));
  EXPECT_TRUE(comes(1, ""));
  wanted_[0].what.med = 7;
  wanted_[1].health_fall = 9;
  checks_.apply(wanted_);
  EXPECT_TRUE(until([&] { return runs("1") == 2; }));
  EXPECT_EQ(runs("0"), 1);
  told_.clear();
  checks_.apply({});
  EXPECT_EQ(told(0), nullptr);
}

}  // namespace
}  // namespace weft::daemon
