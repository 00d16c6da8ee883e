// What a host announces besides its blocks, and how its tables get out of weftd: two hosts, real
// programs, a real reader of MRT files.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Argv;
using lab::Output;
using nlohmann::json;
using system_test::Hosts;

class Origination : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/hosts/hosts.clab.yml", WEFT_BINARY_DIR);
  }
  void start_all() {
    start("host1");
    start("host2");
    ASSERT_TRUE(eventually([&] { return has_route("host2", "10.64.2.192/26"); }));
    ASSERT_TRUE(eventually([&] { return has_route("host1", "fd64:0:0:1::300/122"); }));
  }
};

// Pain R34: other programs of the host announce through weftd, for as long as they mean it.
TEST_F(Origination, LocalClientsAnnounceForAsLongAsTheyWant) {
  start_all();
  const auto told = [&](const std::string& prefix, bool there = true) {
    return eventually([&] { return has_route("host2", prefix) == there; });
  };
  const auto weftctl = [&](Argv argv) {
    argv.insert(argv.begin(), "weftctl");
    return run("host1", argv);
  };
  EXPECT_TRUE(weftctl({"announce", "10.64.200.1/32", "--community", "65001:7"}).ok());
  EXPECT_TRUE(weftctl({"announce", "10.64.200.2/32", "--ttl", "1"}).ok());
  auto holder = lab_->node("host1").spawn({"weftctl", "announce", "10.64.200.3/32", "--hold"});
  ASSERT_TRUE(holder);
  auto healthy = lab_->node("host1").spawn(
      {"weftctl", "announce", "10.64.200.4/32", "--health-command", "test -e /run/weft/healthy",
       "--health-interval", "0.1", "--health-rise", "1", "--health-fall", "1"});
  ASSERT_TRUE(healthy);
  EXPECT_TRUE(told("10.64.200.1"));
  EXPECT_TRUE(told("10.64.200.3"));
  EXPECT_TRUE(told("10.64.200.2", false)) << "after a second";
  EXPECT_FALSE(has_route("host2", "10.64.200.4"));
  ASSERT_TRUE(run("host1", {"touch", "/run/weft/healthy"}).ok());
  EXPECT_TRUE(told("10.64.200.4"));
  const json route = ctl("host2", {"routes", "10.64.200.1/32"});
  EXPECT_EQ(route["routes"][0]["paths"][0]["communities"][0], "65001:7");

  // A restart keeps what is bound to nobody; who holds comes back by itself.
  stop("host1", SIGKILL);
  start("host1");
  EXPECT_TRUE(eventually([&] {
    return ctl("host1", {"announcements"})["announcements"].size() == 3;
  })) << ctl("host1", {"announcements"}).dump();
  EXPECT_TRUE(told("10.64.200.1"));
  EXPECT_TRUE(told("10.64.200.3"));

  EXPECT_FALSE(weftctl({"withdraw", "10.64.200.3/32"}).ok()) << "it is another's";
  holder->signal(SIGKILL);
  EXPECT_TRUE(told("10.64.200.3", false)) << "however it ends";
  ASSERT_TRUE(run("host1", {"rm", "/run/weft/healthy"}).ok());
  EXPECT_TRUE(told("10.64.200.4", false));
  EXPECT_TRUE(weftctl({"withdraw", "10.64.200.1/32"}).ok());
  EXPECT_TRUE(told("10.64.200.1", false));
  EXPECT_FALSE(weftctl({"announce", "224.0.0.0/4"}).ok());
  healthy->signal(SIGTERM);
}

// An aggregate stands for the block inside of it and drops what no container has; announcements
// follow the services they are for.
TEST_F(Origination, AggregatesAndAnnouncementsOfTheConfiguration) {
  start_all();
  const std::string path = "/etc/weft/weft.yaml";
  const auto reload_with = [&](const std::string& more) {
    const std::string text = run("host1", {"cat", path}).out + more;
    EXPECT_TRUE(run("host1",
                    {"sh", "-c", "cat > /run/weft.yaml && mount --bind /run/weft.yaml " + path},
                    text)
                    .ok());
    weftd_.at("host1").signal(SIGHUP);
  };
  const auto told = [&](const std::string& prefix, bool there = true) {
    return eventually([&] { return has_route("host2", prefix) == there; });
  };
  const auto blackhole = [&](bool there) {
    return eventually([&] {
      const std::string routes = run("host1", {"ip", "route", "show", "type", "blackhole"}).out;
      return (routes.find("10.64.2.0/24") != std::string::npos) == there;
    });
  };
  ASSERT_TRUE(told("10.64.2.192/26"));
  reload_with(
      "  aggregates: [{prefix: 10.64.2.0/24, summary-only: true}, {prefix: 10.64.77.0/24}]\n"
      "  announcements:\n"
      "    - {prefix: 10.64.201.1/32, health-file: /run/weft/healthy}\n"
      "    - {prefix: 10.64.201.2/32, health-socket: /run/weft/weft.sock}\n"
      "    - {prefix: 10.64.201.3/32, health-socket: /run/weft/nobody.sock}\n"
      "    - {prefix: 10.64.201.4/32, health-command: test -e /run/weft/healthy, health-rise: 1,"
      " health-fall: 1}\n"
      "    - {prefix: 10.64.201.5/32, health-command: sleep 1000, health-timeout: 1}\n");
  EXPECT_TRUE(told("10.64.2.0/24")) << run("host1", {"weftctl", "aggregates"}).text();
  EXPECT_TRUE(told("10.64.2.192/26", false)) << "summary-only";
  EXPECT_TRUE(blackhole(true));
  const json aggregates = ctl("host1", {"aggregates"})["aggregates"];
  EXPECT_EQ(aggregates[0]["state"], "announced");
  EXPECT_EQ(aggregates[0]["contributing"], 1);
  EXPECT_EQ(aggregates[1]["state"], "idle");

  EXPECT_FALSE(has_route("host2", "10.64.201.1"));
  EXPECT_FALSE(has_route("host2", "10.64.201.3"));
  ASSERT_TRUE(run("host1", {"touch", "/run/weft/healthy"}).ok());
  EXPECT_TRUE(told("10.64.201.1"));
  EXPECT_TRUE(told("10.64.201.4"));
  const auto waits_for = [&](std::size_t i, const std::string& what) {
    json announcements;
    const bool does = eventually([&] {
      announcements = ctl("host1", {"announcements"})["announcements"];
      return announcements[i]["waits_for"] == what;
    });
    EXPECT_TRUE(does) << announcements.dump();
  };
  waits_for(2, "/run/weft/nobody.sock takes no connection");
  waits_for(4, "the health command has run for 1 s");
  ASSERT_TRUE(run("host1", {"rm", "/run/weft/healthy"}).ok());
  EXPECT_TRUE(told("10.64.201.1", false));
  EXPECT_TRUE(told("10.64.201.4", false));
  waits_for(3, "the health command fails");

  ASSERT_TRUE(run("host1", {"umount", path}).ok());
  weftd_.at("host1").signal(SIGHUP);
  EXPECT_TRUE(told("10.64.2.0/24", false));
  EXPECT_TRUE(told("10.64.2.192/26"));
  EXPECT_TRUE(blackhole(false));
  for (const json& peer : ctl("host1", {"peers"})["peers"])
    EXPECT_EQ(peer["established_count"], 1) << "no reload resets a session";
}

TEST_F(Origination, ARealReaderReadsTheMrtDump) {
  start_all();
  const std::string file = "/run/weft/table.mrt";
  const Output dumped = run("host2", {"weftctl", "mrt", "dump", file});
  ASSERT_TRUE(dumped.ok()) << dumped.text();
  const Output read = run("host2", {"bgpdump", "-m", file});
  ASSERT_TRUE(read.ok()) << read.text();
  EXPECT_NE(read.out.find("|10.64.3.0/26|"), std::string::npos) << read.out;
  EXPECT_NE(read.out.find("|10.64.2.192/26|"), std::string::npos) << read.out;
  EXPECT_NE(read.out.find("|fd64:0:0:1::300/122|"), std::string::npos) << read.out;
  EXPECT_EQ(run("host2", {"ls", "/run/weft"}).out.find("partial"), std::string::npos);
}

}  // namespace
}  // namespace weft
