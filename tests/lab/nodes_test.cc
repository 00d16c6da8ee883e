// What a node is: binds, environment, sysctls, exec, links; a node that dies and returns.
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/lab/lab.h"

namespace weft::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

std::string file_text(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class Nodes : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    auto up = Lab::up(WEFT_SOURCE_DIR "/tests/lab/data/plain");
    ASSERT_TRUE(up) << up.error().message;
    lab_.emplace(std::move(*up));
  }

  /// stdout of a shell line in a node; its exit in front when it is not 0.
  std::string sh(const std::string& node, const std::string& line) {
    const auto output = lab_->node(node).run({"sh", "-c", line});
    if (!output) return output.error().message;
    return (output->ok() ? "" : output->text()) + output->out;
  }

  std::optional<Lab> lab_;
};

TEST_F(Nodes, SeeTheirBinds) {
  EXPECT_EQ(sh("a", "cat /config/deep/ro.txt"), "may not be written\n");
  EXPECT_THAT(sh("a", "echo x > /config/deep/ro.txt"), HasSubstr("Read-only file system"));
  EXPECT_EQ(sh("a", "cat /run/folder/file"), "inside\n");
  EXPECT_THAT(sh("a", "touch /run/folder/other"), HasSubstr("Read-only file system"));
  const std::filesystem::path writable = WEFT_SOURCE_DIR "/tests/lab/data/plain/rw.txt";
  const std::string before = file_text(writable);
  EXPECT_EQ(sh("a", "echo more >> /etc/rw.txt"), "");
  EXPECT_EQ(file_text(writable), before + "more\n");
  std::ofstream(writable) << before;
}

TEST_F(Nodes, WriteNothingElseOfThisMachine) {
  const std::string name = "/etc/weft-lab-" + std::to_string(getpid());
  EXPECT_EQ(sh("a", "touch " + name + " && rm /etc/passwd && ls " + name), name + "\n");
  EXPECT_FALSE(std::filesystem::exists(name));
  EXPECT_TRUE(std::filesystem::exists("/etc/passwd"));
  EXPECT_THAT(sh("b", "ls " + name), HasSubstr("No such file"));
}

TEST_F(Nodes, HaveTheirOwnRunAndTmp) {
  EXPECT_EQ(sh("b", "ls /run/netns /tmp; ip netns add inner && ls /run/netns"),
            "/run/netns:\n\n/tmp:\ninner\n");
  EXPECT_EQ(sh("a", "ls /run/netns"), "");
  EXPECT_EQ(sh("a", "findmnt -n -o FSTYPE /scratch"), "tmpfs\n");
}

TEST_F(Nodes, HaveTheirEnvironment) {
  EXPECT_EQ(sh("a", "echo $GREETING, $FROM_FILE, $BOTH, $HOSTNAME"), "hello world, a b, node, a\n");
  EXPECT_EQ(sh("b", "hostname; cat /etc/hostname"), "bee\nbee\n");
  EXPECT_EQ(lab_->node("a").run({"printenv", "X"}, {1s, "", {{"X", "y"}}})->out, "y\n");
}

TEST_F(Nodes, HaveTheirSysctls) {
  EXPECT_EQ(sh("a", "sysctl -n net.ipv4.ip_forward net.ipv4.conf.eth1.arp_ignore"), "0\n1\n");
  EXPECT_EQ(sh("b", "sysctl -n net.ipv4.ip_forward net.ipv4.conf.eth1.arp_ignore"), "1\n0\n");
}

TEST_F(Nodes, AreLinked) {
  EXPECT_EQ(
      sh("a", "cat /sys/class/net/eth1/address /sys/class/net/eth1/mtu /sys/class/net/eth2/mtu"),
      "02:00:00:00:00:0a\n1400\n9500\n");
  EXPECT_THAT(sh("a", "ip -br addr show eth1"), HasSubstr("10.9.0.0/31 fd09::/127"));
  EXPECT_THAT(sh("b", "ping -c1 -W2 10.9.9.1"), HasSubstr("1 received"));
  EXPECT_EQ(sh("b", "ls /sys/class/net | grep -v lo"), "eth1\neth2\n");
}

TEST_F(Nodes, RunExecAfterTheLinksAndTellOfFailures) {
  EXPECT_EQ(sh("a", "cat /var/lib/greeting"), "hello world\n");
  EXPECT_THAT(sh("a", "ip -br addr show lo"), HasSubstr("10.9.9.1/32"));
  EXPECT_THAT(lab_->failed_exec(), ElementsAre(HasSubstr("b: false: (exit 1)")));
}

TEST_F(Nodes, HaveAMainProcess) {
  EXPECT_TRUE(wait_until([&] { return lab_->node("b").state() == NodeState::exited; }, 5s));
  EXPECT_EQ(lab_->node("b").main_exit(), 7);
  EXPECT_THAT(lab_->node("b").log(), HasSubstr("last words  2\n"));
  EXPECT_EQ(lab_->node("a").state(), NodeState::running);
  EXPECT_TRUE(wait_until(
      [&] { return lab_->node("a").log().find("main of node a\n") != std::string::npos; }, 5s));
  EXPECT_THAT(lab_->logs(), HasSubstr("--- log of b\n"));
}

TEST_F(Nodes, RunToADeadline) {
  const auto slow = lab_->node("a").run({"sh", "-c", "echo before; sleep 60"}, {200ms, "", {}});
  ASSERT_TRUE(slow);
  EXPECT_TRUE(slow->timed_out);
  EXPECT_FALSE(slow->ok());
  EXPECT_EQ(slow->out, "before\n");
  EXPECT_EQ(lab_->node("a").run({"cat"}, {5s, "from here", {}})->out, "from here");
  EXPECT_EQ(lab_->node("a").run({"sh", "-c", "kill -9 $$"})->exit, 137);
  EXPECT_EQ(lab_->node("a").run({"no-such-thing"}).error().message,
            "node a: no-such-thing: no such command");
  const auto left_behind = lab_->node("a").run({"sh", "-c", "sleep 60 & echo done"}, {5s, "", {}});
  EXPECT_EQ(left_behind->out, "done\n") << "a daemon that keeps the pipe open must not keep us";
}

TEST_F(Nodes, SpawnInTheBackground) {
  auto process = lab_->node("a").spawn({"sh", "-c", "echo started; exec sleep 60"});
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_TRUE(wait_until([&] { return process->output() == "started\n"; }, 5s));
  EXPECT_TRUE(process->running());
  EXPECT_EQ(sh("a", "pgrep -c -x sleep"), "2\n") << "its own and that of main";
  EXPECT_EQ(sh("b", "pgrep -c -x sleep || true"), "0\n");
  process->signal(15);
  EXPECT_EQ(process->wait(5s), 128 + 15);
}

TEST_F(Nodes, LoseALink) {
  ASSERT_TRUE(lab_->link_down("a", "eth1"));
  EXPECT_TRUE(wait_until([&] { return sh("b", "cat /sys/class/net/eth1/carrier") == "0\n"; }, 5s));
  ASSERT_TRUE(lab_->link_up("a", "eth1"));
  EXPECT_TRUE(wait_until([&] { return sh("b", "cat /sys/class/net/eth1/carrier") == "1\n"; }, 5s));
}

TEST_F(Nodes, DieAndReturn) {
  sh("a",
     "echo disk > /var/lib/kept; echo ram > /run/lost; ip link add br0 type bridge;"
     "ip nexthop add id 7 blackhole; ip route add 10.99.0.0/16 nhid 7; ip netns add inner");
  auto background = lab_->node("a").spawn({"sleep", "600"});
  ASSERT_TRUE(background);
  const auto died = lab_->stop("a");
  ASSERT_TRUE(died) << died.error().message;

  EXPECT_EQ(background->wait(5s), 128 + 9);
  EXPECT_EQ(lab_->node("a").state(), NodeState::stopped);
  EXPECT_EQ(lab_->node("a").run({"true"}).error().message, "node a is stopped");
  EXPECT_THAT(lab_->stop("a").error().message, HasSubstr("stopped already"));
  EXPECT_EQ(sh("b", "cat /sys/class/net/eth1/carrier /sys/class/net/eth2/carrier"), "0\n0\n");

  const auto returned = lab_->start("a");
  ASSERT_TRUE(returned) << returned.error().message;
  EXPECT_THAT(lab_->start("a").error().message, HasSubstr("runs already"));
  EXPECT_EQ(lab_->node("a").state(), NodeState::running);
  EXPECT_EQ(sh("b", "cat /sys/class/net/eth1/carrier /sys/class/net/eth2/carrier"), "1\n1\n");
  EXPECT_EQ(sh("a",
               "cat /var/lib/kept; ls /run/lost 2>&1; ls /run/netns; ip nexthop; ip route show "
               "10.99.0.0/16; ls /sys/class/net"),
            "disk\nls: cannot access '/run/lost': No such file or directory\neth1\neth2\nlo\n");
  EXPECT_EQ(sh("a", "sysctl -n net.ipv4.conf.eth1.arp_ignore; cat /sys/class/net/eth1/address"),
            "1\n02:00:00:00:00:0a\n");
  EXPECT_THAT(sh("b", "ping -c1 -W2 10.9.9.1"), HasSubstr("1 received"));
}

TEST(WeftNodes, GetTheProgramsOfTheBuild) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto bin =
      std::filesystem::temp_directory_path() / ("weft-bin-" + std::to_string(getpid()));
  std::filesystem::create_directory(bin);
  for (const char* name : {"weftd", "weftctl", "weft-cni", "weft-ipam"}) {
    std::ofstream(bin / name) << "#!/bin/sh\necho this is $0\ncat /etc/weft/weft.yaml\n";
    std::filesystem::permissions(bin / name, std::filesystem::perms::owner_all);
  }
  {
    const auto lab = Lab::up(WEFT_SOURCE_DIR "/topologies/pair", {"", bin, true});
    ASSERT_TRUE(lab) << lab.error().message;
    EXPECT_THAT(lab->failed_exec(), testing::IsEmpty());
    const Node& host = lab->node("host1");
    EXPECT_TRUE(wait_until(
        [&] { return host.log().find("this is /usr/sbin/weftd\nnode:\n") != std::string::npos; },
        5s))
        << host.log();
    EXPECT_THAT(host.run({"weftctl"})->out, HasSubstr("this is /usr/bin/weftctl\n"));
    EXPECT_THAT(host.run({"/opt/cni/bin/weft-cni"})->out, HasSubstr("asn: 4200000011"));
    EXPECT_EQ(host.run({"ls", "-A", "/var/lib/weft", "/run/weft"})->out,
              "/run/weft:\n\n/var/lib/weft:\n");
    EXPECT_TRUE(host.run({"ping", "-c1", "-W2", "fd00::1"})->ok());
  }
  std::filesystem::remove_all(bin);
}

}  // namespace
}  // namespace weft::lab
