// What the doctor says of a host, laid out as files in a directory.
#include "daemon/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weft::daemon {
namespace {

using State = Finding::State;
using testing::HasSubstr;
using testing::IsEmpty;

class DoctorTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("weft-doctor-" + std::to_string(getpid()));
    patient_.proc_sys = root_ / "proc/sys";
    patient_.root = root_;
    patient_.uplinks = {"eth0", "eth1.100"};
    patient_.veths = {"weft0"};
    for (const auto& [name, value] :
         std::vector<std::pair<const char*, int>>{{"net/ipv4/ip_forward", 1},
                                                  {"net/ipv6/conf/all/forwarding", 1},
                                                  {"net/ipv4/conf/default/forwarding", 1},
                                                  {"net/ipv4/conf/eth0/forwarding", 1},
                                                  {"net/ipv4/conf/weft0/forwarding", 1},
                                                  {"net/ipv4/fib_multipath_hash_policy", 1},
                                                  {"net/ipv6/fib_multipath_hash_policy", 1},
                                                  {"net/ipv4/nexthop_compat_mode", 0},
                                                  {"net/ipv4/conf/all/rp_filter", 0},
                                                  {"net/ipv4/conf/all/arp_ignore", 0},
                                                  {"net/ipv4/conf/eth0/rp_filter", 0},
                                                  {"net/ipv4/conf/eth1.100/rp_filter", 2}}) {
      set(name, value);
    }
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void set(const std::string& name, int value) {
    write("proc/sys/" + name, std::to_string(value) + "\n");
  }
  std::string value(const std::string& name) {
    std::ifstream file(root_ / "proc/sys" / name);
    std::string text;
    file >> text;
    return text;
  }
  [[nodiscard]] Finding about(const std::string& subject) const {
    for (const Finding& finding : examine(patient_)) {
      if (finding.subject == subject) return finding;
    }
    ADD_FAILURE() << "nothing is said of " << subject;
    return {};
  }

  /// The command of a finding about networkd, with the host's root in our directory.
  void run(std::string command) {
    for (auto at = command.find("/etc"); at != std::string::npos;
         at = command.find("/etc", at + root_.string().size() + 1)) {
      command.insert(at, root_.string());
    }
    command.replace(command.find("systemctl"), std::string::npos, "true");
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }

  std::filesystem::path root_;
  Patient patient_;
};

TEST_F(DoctorTest, HasNothingToSayOfAHealthyHost) {
  for (const Finding& finding : examine(patient_)) {
    EXPECT_EQ(finding.state, State::good) << finding.subject << " " << finding.message;
    EXPECT_EQ(finding.command, "");
  }
  EXPECT_THAT(mend(patient_), IsEmpty());
}

struct Ill {
  const char* name;
  const char* file;
  int value;
  const char* subject;
  State state;
  const char* command;
  /// What mend() makes of it.
  const char* mended;
};

class DoctorFinds : public DoctorTest, public testing::WithParamInterface<Ill> {};

TEST_P(DoctorFinds, AndSaysWhatHelps) {
  set(GetParam().file, GetParam().value);
  const Finding finding = about(GetParam().subject);
  EXPECT_EQ(finding.state, GetParam().state) << finding.message;
  EXPECT_EQ(finding.command, GetParam().command);
  mend(patient_);
  EXPECT_EQ(value(GetParam().file), GetParam().mended);
}

INSTANTIATE_TEST_SUITE_P(
    Table, DoctorFinds,
    testing::Values(
        Ill{"Forwarding", "net/ipv4/ip_forward", 0, "net.ipv4.ip_forward", State::wrong,
            "sysctl -w net.ipv4.ip_forward=1", "1"},
        Ill{"HashPolicy", "net/ipv6/fib_multipath_hash_policy", 0,
            "net.ipv6.fib_multipath_hash_policy", State::note,
            "sysctl -w net.ipv6.fib_multipath_hash_policy=1", "1"},
        Ill{"CompatMode", "net/ipv4/nexthop_compat_mode", 1, "net.ipv4.nexthop_compat_mode",
            State::wrong, "sysctl -w net.ipv4.nexthop_compat_mode=0", "0"},
        Ill{"StrictOnUplink", "net/ipv4/conf/eth0/rp_filter", 1, "net.ipv4.conf.eth0.rp_filter",
            State::wrong, "sysctl -w net.ipv4.conf.eth0.rp_filter=2", "2"},
        Ill{"StrictOnVlan", "net/ipv4/conf/eth1.100/rp_filter", 1,
            "net.ipv4.conf.eth1/100.rp_filter", State::wrong,
            "sysctl -w net.ipv4.conf.eth1/100.rp_filter=2", "2"},
        Ill{"ArpIgnore", "net/ipv4/conf/eth0/arp_ignore", 8, "net.ipv4.conf.eth0.arp_ignore",
            State::wrong, "sysctl -w net.ipv4.conf.eth0.arp_ignore=0", "8"},
        Ill{"ArpIgnoreForAll", "net/ipv4/conf/all/arp_ignore", 8, "net.ipv4.conf.eth0.arp_ignore",
            State::wrong, "sysctl -w net.ipv4.conf.all.arp_ignore=0", "8"},
        Ill{"ArpIgnoreOfVeth", "net/ipv4/conf/weft0/arp_ignore", 8,
            "net.ipv4.conf.weft0.arp_ignore", State::wrong,
            "sysctl -w net.ipv4.conf.weft0.arp_ignore=0", "8"},
        Ill{"UplinkDoesNotForward", "net/ipv4/conf/eth0/forwarding", 0,
            "net.ipv4.conf.eth0.forwarding", State::wrong,
            "sysctl -w net.ipv4.conf.eth0.forwarding=1", "1"},
        Ill{"VethDoesNotForward", "net/ipv4/conf/weft0/forwarding", 0,
            "net.ipv4.conf.weft0.forwarding", State::wrong,
            "sysctl -w net.ipv4.conf.weft0.forwarding=1", "1"},
        Ill{"NewLinksDoNotForward", "net/ipv4/conf/default/forwarding", 0,
            "net.ipv4.conf.default.forwarding", State::wrong,
            "sysctl -w net.ipv4.conf.default.forwarding=1", "1"},
        Ill{"Neighbours", "net/ipv4/neigh/default/gc_thresh3", 1024,
            "net.ipv4.neigh.default.gc_thresh3", State::note,
            "sysctl -w net.ipv4.neigh.default.gc_thresh3=8192", "1024"},
        Ill{"RouteCache", "net/ipv6/route/max_size", 4096, "net.ipv6.route.max_size", State::note,
            "sysctl -w net.ipv6.route.max_size=1048576", "4096"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_F(DoctorTest, LetsEachLinkIgnoreTheRequestsThatNobodyNeeds) {
  // From 3 on the address on lo is kept from the uplinks' routers, from 8 on every one.
  const char* uplink = "net/ipv4/conf/eth0/arp_ignore";
  const char* veth = "net/ipv4/conf/weft0/arp_ignore";
  set(uplink, 2);
  set(veth, 7);
  for (const Finding& finding : examine(patient_)) {
    EXPECT_EQ(finding.state, State::good) << finding.subject << " " << finding.message;
  }
  set(uplink, 3);
  set("net/ipv4/conf/all/arp_ignore", 3);
  const Finding found = about("net.ipv4.conf.eth0.arp_ignore");
  EXPECT_EQ(found.state, State::wrong);
  EXPECT_EQ(found.command,
            "sysctl -w net.ipv4.conf.eth0.arp_ignore=0 net.ipv4.conf.all.arp_ignore=0");
}

TEST_F(DoctorTest, StrictForAllIsTheGreaterOfBothAndMendedOnTheUplink) {
  set("net/ipv4/conf/all/rp_filter", 1);
  EXPECT_EQ(about("net.ipv4.conf.eth0.rp_filter").state, State::wrong);
  EXPECT_EQ(about("net.ipv4.conf.eth1/100.rp_filter").state, State::good);
  EXPECT_THAT(mend(patient_), IsEmpty());
  EXPECT_EQ(value("net/ipv4/conf/all/rp_filter"), "1") << "the other interfaces keep theirs";
  EXPECT_EQ(value("net/ipv4/conf/eth0/rp_filter"), "2");
}

TEST_F(DoctorTest, OneUplinkMayBeStrict) {
  patient_.uplinks = {"eth0"};
  set("net/ipv4/conf/eth0/rp_filter", 1);
  EXPECT_EQ(about("net.ipv4.conf.eth0.rp_filter").state, State::good);
}

TEST_F(DoctorTest, CountsTheRoomForKeys) {
  set("net/core/optmem_max", 20480);
  patient_.keys = 150;
  EXPECT_EQ(about("net.core.optmem_max").state, State::good);
  patient_.keys = 151;
  EXPECT_EQ(about("net.core.optmem_max").state, State::wrong);
  EXPECT_EQ(about("net.core.optmem_max").command, "sysctl -w net.core.optmem_max=131072");
}

TEST_F(DoctorTest, SaysWhoHasNoSessionWithoutTcpAo) {
  patient_.ao_peers = 2;
  EXPECT_EQ(about("TCP-AO").state, State::good);
  patient_.has_tcp_ao = false;
  EXPECT_EQ(about("TCP-AO").state, State::wrong);
  EXPECT_THAT(about("TCP-AO").message, HasSubstr("no session because of it: 2"));
}

TEST_F(DoctorTest, SaysThatGroupsArePlainInSpiteOfTheSettings) {
  patient_.has_resilient_groups = false;
  for (const Finding& each : examine(patient_)) {
    EXPECT_NE(each.subject, "resilient nexthop groups") << "nobody asked for them";
  }
  patient_.resilient = true;
  EXPECT_EQ(about("resilient nexthop groups").state, State::note);
  EXPECT_THAT(about("resilient nexthop groups").message, HasSubstr("groups are plain"));
  patient_.has_resilient_groups = true;
  EXPECT_EQ(about("resilient nexthop groups").state, State::good);
}

TEST_F(DoctorTest, SaysWhatTheKernelDropsBeforeAnySocketSeesIt) {
  write("proc/net/netstat",
        "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPMinTTLDrop Late\n"
        "TcpExt: 7 0 0 3 12 9\n"
        "IpExt: InNoRoutes TCPMD5NotFound\n"
        "IpExt: 5 6\n");
  const Finding key = about("TCPMD5Failure");
  EXPECT_EQ(key.state, State::note);
  EXPECT_THAT(key.message, HasSubstr("3 segments were dropped"));
  EXPECT_THAT(key.message, HasSubstr("another key"));
  EXPECT_THAT(about("TCPMinTTLDrop").message, HasSubstr("12 segments"));
  for (const Finding& finding : examine(patient_)) EXPECT_NE(finding.subject, "TCPMD5NotFound");
  std::map<std::string, std::uint64_t> counted;
  for (const SegmentDrops& each : segment_drops(root_)) counted[each.cause] = each.count;
  EXPECT_EQ(counted, (std::map<std::string, std::uint64_t>{
                         {"md5_missing", 0}, {"md5_unexpected", 0}, {"md5_wrong", 3}, {"ttl", 12}}))
      << "metrics have the quiet ones too";
}

TEST_F(DoctorTest, CountsNoDropsWhereTheKernelDoesNotSay) {
  EXPECT_TRUE(segment_drops(root_).empty());
}

TEST_F(DoctorTest, FindsWhatNetworkdWouldDoToOurRoutes) {
  EXPECT_EQ(about("systemd-networkd").message, "does not run");
  write("run/systemd/netif/state", "");
  EXPECT_EQ(about("systemd-networkd").state, State::wrong);
  run(about("systemd-networkd").command);
  EXPECT_EQ(about("systemd-networkd").state, State::good) << "where there was no directory either";
  std::filesystem::remove_all(root_ / "etc");
  write("usr/lib/systemd/networkd.conf.d/10-weft.conf",
        "# comment\n[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules = no\n"
        "ManageForeignNextHops=no\n");
  EXPECT_EQ(about("systemd-networkd").state, State::good);
  write("etc/systemd/networkd.conf.d/50-site.conf", "[Network]\nManageForeignRoutes=yes\n");
  EXPECT_EQ(about("systemd-networkd").state, State::wrong);
  EXPECT_THAT(about("systemd-networkd").message, HasSubstr("ManageForeignRoutes must be no"));
  run(about("systemd-networkd").command);
  EXPECT_EQ(about("systemd-networkd").state, State::good);
  std::filesystem::remove(root_ / "etc/systemd/networkd.conf.d/zz-weft.conf");
  // A file of the same name in /etc hides that of the package.
  write("etc/systemd/networkd.conf.d/50-site.conf", "");
  write("etc/systemd/networkd.conf.d/10-weft.conf", "[DHCPv4]\nManageForeignRoutes=no\n");
  EXPECT_THAT(about("systemd-networkd").message, HasSubstr("ManageForeignRoutes, "));
}

}  // namespace
}  // namespace weft::daemon
