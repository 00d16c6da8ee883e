// Addresses of one host's block for containers of another: three weftd, a real etcd, FRR as the
// router between them, and pings.
#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <string>
#include <vector>

#include "net/ip.h"
#include "tests/system/hosts.h"

namespace weft {
namespace {

using lab::Output;
using nlohmann::json;
using system_test::Hosts;

constexpr std::uint32_t fixed_ordinal = 9;

class Exceptions : public Hosts {
 protected:
  void SetUp() override {
    if (::system("etcd --version >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "etcd is not installed (packaging/packages)";
    up(WEFT_SOURCE_DIR "/tests/system/exceptions/exceptions.clab.yml", WEFT_BINARY_DIR);
    if (IsSkipped() || HasFatalFailure()) return;
    start_etcd();
    for (const std::string host : {"host1", "host2", "host3"}) start(host);
    for (const std::string host : {"host1", "host2", "host3"}) {
      ASSERT_TRUE(eventually([&] {
        const json blocks = ctl(host, {"blocks"})["blocks"];
        return blocks.size() == 1 && blocks[0]["advertised"] == 1;
      })) << host;
    }
    const json block = ctl("host1", {"blocks"})["blocks"][0];
    const auto ipv4 = Prefix::parse(block["ipv4"].get<std::string>());
    const auto ipv6 = Prefix::parse(block["ipv6"].get<std::string>());
    fixed_ = ipv4->address().plus(fixed_ordinal).text();
    fixed6_ = ipv6->address().plus(fixed_ordinal).text();
    second_ = ipv4->address().plus(fixed_ordinal + 1).text();
  }

  void start_etcd() {
    auto etcd = lab_->node("tor").spawn({"etcd", "--data-dir", "/run/etcd", "--listen-client-urls",
                                         "http://0.0.0.0:2379", "--advertise-client-urls",
                                         "http://10.1.1.0:2379", "--logger", "zap", "--log-level",
                                         "error"});
    ASSERT_TRUE(etcd) << etcd.error().message;
    weftd_.insert_or_assign("etcd", std::move(*etcd));
  }

  Output add_fixed(const std::string& host, const std::string& container,
                   const std::string& address) {
    run(host, {"ip", "netns", "add", container});
    return cni("ADD", host, container, {{"CNI_ARGS", "IP=" + address}});
  }

  bool pings(const std::string& host, const std::string& container, const std::string& address) {
    return eventually([&] { return ping(host, container, address); });
  }

  json exceptions(const std::string& host, const std::vector<std::string>& words) {
    return ctl(host, words).value("exceptions", json::array());
  }
  json block(const std::string& host, const std::string& state) {
    const json view = ctl(host, {"blocks"});
    for (const json& row : view["blocks"]) {
      if (row["state"] == state) return row;
    }
    return json::object();
  }
  std::uint64_t lent(const std::string& host) { return block(host, "owned").value("lent", 0U); }

  bool tor_has(const std::string& prefix) {
    return run("tor", {"vtysh", "-c", "show ip bgp " + prefix}).out.find("64512:32") !=
           std::string::npos;
  }

  std::string fixed_;
  std::string fixed6_;
  std::string second_;
};

TEST_F(Exceptions, AFixedAddressFollowsItsContainer) {
  const std::string at1 = add_container("host1", "one");
  const std::string at3 = add_container("host3", "three");
  const Output added = add_fixed("host2", "moved", fixed_);
  ASSERT_TRUE(added.ok()) << added.text();
  EXPECT_NE(added.out.find(fixed_ + "/32"), std::string::npos) << added.out;
  EXPECT_NE(added.out.find(fixed6_ + "/128"), std::string::npos) << added.out;
  EXPECT_TRUE(pings("host1", "one", fixed_)) << "past the owner's own block";
  EXPECT_TRUE(pings("host3", "three", fixed_));
  EXPECT_TRUE(pings("host1", "one", fixed6_));
  EXPECT_TRUE(pings("host3", "three", fixed6_));
  EXPECT_TRUE(pings("host2", "moved", at1));
  EXPECT_TRUE(pings("host2", "moved", at3));
  EXPECT_TRUE(tor_has(fixed_ + "/32"));

  // Everybody can say why.
  EXPECT_EQ(lent("host1"), 1U);
  EXPECT_EQ(block("host2", "foreign").value("held", 0U), 1U) << ctl("host2", {"blocks"});
  EXPECT_TRUE(eventually([&] {
    const json here = exceptions("host2", {"blocks"});
    return here.size() == 1 && here[0]["address"] == fixed_ && here[0]["owner"] == "host1" &&
           here[0]["host"] == "host2" && here[0]["state"] == "agreed" && here[0]["advertised"] == 1;
  })) << ctl("host2", {"blocks"});
  EXPECT_EQ(exceptions("host3", {"ipam", "blocks"}).size(), 1U);
  const json route = ctl("host1", {"routes", fixed_ + "/32"})["routes"][0];
  EXPECT_NE(route.value("exception", "").find("lent to a container of host host2"),
            std::string::npos)
      << route;
  EXPECT_NE(route["paths"][0]["communities"].dump().find("64512:32"), std::string::npos) << route;
  EXPECT_NE(run("host3", {"weftctl", "routes", fixed_ + "/32"})
                .out.find("a container of host host2 has an address of block"),
            std::string::npos);

  const Output more = add_fixed("host2", "too-many", second_);
  EXPECT_FALSE(more.ok());
  EXPECT_NE(more.out.find("ipam.max-exceptions is 1"), std::string::npos) << more.text();
  const std::string metrics = run("host2", {"curl", "-s", "http://127.0.0.1:9798/metrics"}).out;
  for (const char* line :
       {"weft_ipam_exceptions{state=\"borrowed\"} 1", "weft_ipam_exceptions{state=\"limit\"} 1",
        "weft_ipam_exception_requests_total{result=\"limit\"} 1",
        "weft_ipam_exception_requests_total{result=\"granted\"} 1"}) {
    EXPECT_NE(metrics.find(line), std::string::npos) << line;
  }

  ASSERT_TRUE(cni("DEL", "host2", "moved").ok());
  const Output again = add_fixed("host3", "moved", fixed_);
  ASSERT_TRUE(again.ok()) << again.text();
  EXPECT_TRUE(pings("host1", "one", fixed_)) << "where it is now";
  EXPECT_TRUE(exceptions("host2", {"blocks"}).empty());
  ASSERT_TRUE(cni("DEL", "host3", "moved").ok());
  const Output home = add_fixed("host1", "moved", fixed_);
  ASSERT_TRUE(home.ok()) << home.text();
  EXPECT_TRUE(pings("host3", "three", fixed_)) << "and at home";
  EXPECT_EQ(lent("host1"), 0U);
  EXPECT_FALSE(tor_has(fixed_ + "/32"));
  ASSERT_TRUE(cni("DEL", "host1", "moved").ok());
}

TEST_F(Exceptions, AnAddressThatComesBackRests) {
  ASSERT_TRUE(add_fixed("host2", "moved", fixed_).ok());
  EXPECT_TRUE(tor_has(fixed_ + "/32") || eventually([&] { return tor_has(fixed_ + "/32"); }));
  ASSERT_TRUE(cni("DEL", "host2", "moved").ok());
  EXPECT_TRUE(eventually([&] {
    const json owned = block("host1", "owned");
    return owned.value("lent", 1U) == 0 && owned.value("cooling", 0U) == 1;
  })) << ctl("host1", {"blocks"});
  EXPECT_TRUE(exceptions("host3", {"ipam", "blocks"}).empty());
}

TEST_F(Exceptions, OutlivesItsHostsDaemonsTheirDatabasesAndEtcd) {
  add_container("host1", "one");
  ASSERT_TRUE(add_fixed("host2", "moved", fixed_).ok());
  EXPECT_TRUE(pings("host1", "one", fixed_));

  stop("host2", SIGKILL);
  ASSERT_TRUE(run("host2", {"sh", "-c", "rm /var/lib/weft/weft.db*"}).ok());
  start("host2");
  EXPECT_TRUE(eventually([&] {
    const json here = exceptions("host2", {"blocks"});
    return here.size() == 1 && here[0]["state"] == "agreed" && here[0]["advertised"] == 1;
  })) << ctl("host2", {"blocks"});
  EXPECT_EQ(block("host2", "foreign").value("held", 0U), 1U) << "read back from its link";
  EXPECT_TRUE(block("host2", "draining").empty()) << "not taken for a block of its own";
  EXPECT_TRUE(pings("host1", "one", fixed_));
  EXPECT_EQ(lent("host1"), 1U);

  stop("host1", SIGKILL);
  ASSERT_TRUE(run("host1", {"sh", "-c", "rm /var/lib/weft/weft.db*"}).ok());
  start("host1");
  EXPECT_TRUE(eventually([&] { return lent("host1") == 1; })) << ctl("host1", {"blocks"});
  EXPECT_TRUE(pings("host1", "one", fixed_));

  stop("etcd", SIGKILL);
  const Output refused = add_fixed("host3", "other", second_);
  EXPECT_FALSE(refused.ok());
  EXPECT_NE(refused.out.find("etcd does not answer"), std::string::npos) << refused.text();
  EXPECT_TRUE(pings("host1", "one", fixed_));
  ASSERT_TRUE(cni("DEL", "host2", "moved").ok());
  EXPECT_TRUE(eventually([&] { return !tor_has(fixed_ + "/32"); })) << "withdrawn without etcd";
  start_etcd();
  EXPECT_TRUE(eventually([&] { return exceptions("host3", {"ipam", "blocks"}).empty(); }));
}

}  // namespace
}  // namespace weft
