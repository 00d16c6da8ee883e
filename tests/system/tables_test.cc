// Routes of some peers in kernel tables of their own: they stand where the best path's peer
// belongs, move without a gap, and every table is looked after and swept like any other.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Output;
using nlohmann::json;
using system_test::Hosts;

/// What each router announces.
constexpr std::ptrdiff_t all = 160;
constexpr const char* config = "/etc/weft/weft.yaml";

class KernelTables : public Hosts {
 protected:
  void SetUp() override {
    up(WEFT_SOURCE_DIR "/tests/system/tables/tables.clab.yml", WEFT_BINARY_DIR);
    if (IsSkipped() || HasFatalFailure()) return;
    rules_ = run("host1", {"ip", "rule"}).out;
    start("host1");
    ASSERT_TRUE(eventually([&] { return ctl("host1", {"status"})["peers_established"] == 3; }))
        << run("host1", {"weftctl", "peers"}).text();
    // Before that nothing is stale but "left from before".
    ASSERT_TRUE(eventually([&] {
      return weftd_.at("host1").output().find("ipv4 routes: every peer that came up has sent") !=
             std::string::npos;
    })) << weftd_.at("host1").output();
  }

  std::string shown(const std::string& table, const std::string& more = "type unicast") {
    return run("host1", {"sh", "-c", "ip -o route show table " + table + " proto 87 " + more}).out;
  }
  std::ptrdiff_t count(const std::string& table, const std::string& metric) {
    const std::string routes = shown(table, "type unicast metric " + metric);
    return std::count(routes.begin(), routes.end(), '\n');
  }
  void bird(const std::string& tor, const std::string& what) {
    EXPECT_TRUE(run(tor, {"birdc", what, "weft"}).ok());
  }
  void write(const std::string& text) {
    EXPECT_TRUE(run("host1",
                    {"sh", "-c",
                     std::string("cat > /run/new.yaml && mount --bind /run/new.yaml ") + config},
                    text)
                    .ok());
  }
  static std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
  }
  ::testing::AssertionResult agrees() {
    Output found;
    if (eventually([&] { return (found = run("host1", {"weftctl", "fib", "check"})).ok(); }))
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << found.text();
  }

  std::string rules_;
};

TEST_F(KernelTables, HoldTheRoutesOfTheBestPathsPeer) {
  ASSERT_TRUE(eventually([&] { return count("main", "20") == all; })) << shown("main");
  EXPECT_EQ(shown("100"), "") << "tor1 has the lowest router id";
  bird("tor1", "disable");
  ASSERT_TRUE(eventually([&] { return count("100", "20") == all; })) << shown("100");
  EXPECT_TRUE(eventually([&] { return count("main", "20") == 0; })) << shown("main");
  const json route = ctl("host1", {"routes", "10.100.0.0/24"})["routes"][0];
  EXPECT_EQ(route["kernel"], "installed in table 100, metric 20") << route.dump();
  EXPECT_EQ(route["next_hops"].size(), 1U) << "tor3 has another metric: " << route.dump();
  EXPECT_NE(run("host1", {"curl", "-s", "http://127.0.0.1:9798/metrics"})
                .out.find("weft_fib_table_routes{table=\"100\"} 161"),
            std::string::npos);
  EXPECT_TRUE(agrees());
  // A host route that is to be dropped is dropped there, too.
  EXPECT_NE(shown("100", "type blackhole").find("10.99.0.1"), std::string::npos)
      << shown("100", "");

  bird("tor2", "disable");
  ASSERT_TRUE(eventually([&] { return count("100", "30") == all; })) << shown("100");
  EXPECT_TRUE(eventually([&] { return count("100", "20") == 0; })) << shown("100");
  EXPECT_TRUE(eventually([&] { return shown("100", "type blackhole").empty(); }));
  bird("tor1", "enable");
  ASSERT_TRUE(eventually([&] { return count("main", "20") == all; })) << shown("main");
  EXPECT_TRUE(eventually([&] { return shown("100", "").empty(); })) << shown("100", "");
  EXPECT_TRUE(agrees());
  EXPECT_EQ(run("host1", {"ip", "rule"}).out, rules_) << "rules are the operator's";
}

TEST_F(KernelTables, AreRepairedCheckedAndAdopted) {
  bird("tor1", "disable");
  ASSERT_TRUE(eventually([&] { return count("100", "20") == all; })) << shown("100");
  // Of others, beside ours and in the place of one that is not there yet.
  ASSERT_TRUE(run("host1", {"ip", "route", "add", "unreachable", "10.100.0.0/24", "table", "100",
                            "proto", "static", "metric", "30"})
                  .ok());
  ASSERT_TRUE(run("host1", {"ip", "route", "flush", "table", "100", "proto", "87"}).ok());
  ASSERT_TRUE(eventually([&] { return count("100", "20") == all; })) << shown("100");
  EXPECT_TRUE(agrees());
  ASSERT_TRUE(run("host1", {"sh", "-c",
                            "ip route add 10.98.0.0/24 table 100 proto 87 metric 20 nhid "
                            "$(ip route show table 100 10.100.1.0/24 | sed 's/.*nhid "
                            "\\([0-9]*\\).*/\\1/')"})
                  .ok());
  const Output found = run("host1", {"weftctl", "fib", "check"});
  EXPECT_NE(found.out.find("! 10.98.0.0/24 in table 100  stale"), std::string::npos)
      << found.text();
  Output repaired;
  EXPECT_TRUE(eventually([&] {
    return (repaired = run("host1", {"weftctl", "fib", "check", "--repair"})).ok();
  })) << repaired.text();
  EXPECT_EQ(shown("100", "10.98.0.0/24"), "");

  bird("tor2", "disable");
  ASSERT_TRUE(eventually([&] { return count("100", "30") == all - 1; })) << shown("100");
  EXPECT_TRUE(eventually([&] {
    return ctl("host1", {"routes", "10.100.0.0/24"})["routes"][0]["kernel"] ==
           "foreign: proto static metric 30 in table 100, metric 30";
  }));
  const std::string before = shown("100");
  auto monitor = lab_->node("host1").spawn({"ip", "monitor", "route"});
  ASSERT_TRUE(monitor);
  stop("host1", SIGKILL);
  start("host1");
  ASSERT_TRUE(eventually([&] {
    const json status = ctl("host1", {"status"});
    return status["peers_established"] == 1 && status["restarting"] == false;
  }));
  EXPECT_EQ(shown("100"), before);
  EXPECT_EQ(monitor->output().find("10.100."), std::string::npos) << monitor->output();
  EXPECT_NE(weftd_.at("host1").output().find("adopted"), std::string::npos);
}

TEST_F(KernelTables, ChangeByAReloadWithoutAGapAndByARestartWithoutARest) {
  bird("tor1", "disable");
  ASSERT_TRUE(eventually([&] { return count("100", "20") == all; })) << shown("100");
  const std::string good = run("host1", {"cat", config}).out;
  const json peers = ctl("host1", {"peers", "tor2"})["peers"];
  auto monitor = lab_->node("host1").spawn({"ip", "-o", "monitor", "route"});
  ASSERT_TRUE(monitor);
  write(replaced(good, "table: 100", "table: 2000"));
  weftd_.at("host1").signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return count("2000", "20") == all; })) << shown("2000");
  ASSERT_TRUE(eventually([&] { return shown("100", "").empty(); })) << shown("100", "");
  EXPECT_EQ(ctl("host1", {"peers", "tor2"})["peers"][0]["established_count"],
            peers[0]["established_count"]);
  const auto told = [&] { return monitor->output(); };
  const std::string last = "Deleted 10.103.39.0/24";
  ASSERT_TRUE(eventually([&] { return told().find(last) != std::string::npos; })) << told();
  std::set<std::string> stands;
  std::istringstream lines(told());
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first;
    std::string prefix;
    words >> first;
    if (first != "Deleted") {
      if (first.rfind("10.10", 0) == 0 && line.find("table 2000") != std::string::npos)
        stands.insert(first);
      continue;
    }
    words >> prefix;
    if (prefix.rfind("10.10", 0) != 0) continue;
    EXPECT_NE(line.find("table 100"), std::string::npos) << line;
    EXPECT_TRUE(stands.count(prefix) == 1) << prefix << " was in no table for a while";
  }
  EXPECT_EQ(stands.size(), static_cast<std::size_t>(all));
  EXPECT_TRUE(agrees());

  // The next weftd's settings know of none of these tables.
  ASSERT_TRUE(run("host1", {"ip", "route", "add", "unreachable", "10.97.0.0/24", "table", "2000",
                            "proto", "static"})
                  .ok());
  stop("host1", SIGTERM);
  EXPECT_EQ(count("2000", "20"), all) << "kernel routes outlive weftd";
  write(replaced(good, ", table: 100", ""));
  bird("tor1", "enable");  // or its End-of-RIB is waited for
  start("host1");
  ASSERT_TRUE(eventually([&] { return count("main", "20") == all; })) << shown("main");
  EXPECT_TRUE(eventually([&] { return shown("2000", "").empty(); })) << shown("2000", "");
  EXPECT_NE(run("host1", {"ip", "route", "show", "table", "2000"}).out.find("10.97.0.0/24"),
            std::string::npos)
      << "of others nothing goes";
  EXPECT_TRUE(agrees());
}

}  // namespace
}  // namespace weft
