// Claims against etcd as Debian ships it: three members, one killed or stopped, a token that is
// refused, TLS, a store that lost its data, a watch that was compacted. Everything on loopback;
// processes and files go pass or fail.
#include "ipam/etcd.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "ipam/shared_claims.h"
#include "tests/system/two_hosts.h"

namespace weft::system_test {
namespace {

using ipam::BlockId;
using ipam::ClaimState;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::SizeIs;

/// The machine may be busy: how long a condition may take before it counts as never.
constexpr seconds patience{60};

int free_port() {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  static_cast<void>(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size));
  static_cast<void>(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size));
  return ntohs(address.sin_port);
}

/// etcd with `count` members.
class Cluster {
 public:
  explicit Cluster(std::size_t count, std::vector<std::string> flags = {},
                   const char* scheme = "http")
      : flags_(std::move(flags)) {
    std::string name = (std::filesystem::temp_directory_path() / "weft-etcd-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count; ++i) {
      clients_.push_back(free_port());
      peers_.push_back(free_port());
      all.push_back(fmt::format("m{}=http://127.0.0.1:{}", i, peers_[i]));
      urls.push_back(fmt::format("{}://127.0.0.1:{}", scheme, clients_[i]));
    }
    initial_ = fmt::format("{}", fmt::join(all, ","));
    members_.resize(count);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster() {
    for (std::size_t i = 0; i < members_.size(); ++i) kill(i);
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  void start() {
    for (std::size_t i = 0; i < members_.size(); ++i) start(i);
  }
  void start(std::size_t i) {
    const std::string peer = fmt::format("http://127.0.0.1:{}", peers_[i]);
    std::vector<std::string> words{"etcd",
                                   "--name",
                                   fmt::format("m{}", i),
                                   "--data-dir",
                                   (directory / fmt::format("m{}", i)).string(),
                                   "--listen-client-urls",
                                   urls[i],
                                   "--advertise-client-urls",
                                   urls[i],
                                   "--listen-peer-urls",
                                   peer,
                                   "--initial-advertise-peer-urls",
                                   peer,
                                   "--initial-cluster",
                                   initial_,
                                   "--initial-cluster-token",
                                   directory.filename(),
                                   "--heartbeat-interval",
                                   "200",
                                   "--election-timeout",
                                   "2000",
                                   "--logger",
                                   "zap",
                                   "--log-level",
                                   "error"};
    words.insert(words.end(), flags_.begin(), flags_.end());
    members_[i] = std::make_unique<Process>("", words, (directory / "log").string());
  }
  void kill(std::size_t i) {
    if (members_[i]) members_[i]->end(SIGKILL);
    members_[i].reset();
  }
  void signal(std::size_t i, int number) { members_[i]->signal(number); }
  void lose_data() {
    for (std::size_t i = 0; i < members_.size(); ++i) kill(i);
    for (std::size_t i = 0; i < members_.size(); ++i)
      std::filesystem::remove_all(directory / fmt::format("m{}", i));
  }
  std::string ctl(const std::string& words) const {
    return shell(
        fmt::format("ETCDCTL_API=3 etcdctl --dial-timeout=10s --command-timeout=20s "
                    "--endpoints={} {}",
                    fmt::join(urls, ","), words));
  }

  std::filesystem::path directory;
  std::vector<std::string> urls;

 private:
  std::vector<std::string> flags_;
  std::string initial_;
  std::vector<int> clients_;
  std::vector<int> peers_;
  std::vector<std::unique_ptr<Process>> members_;
};

/// The claims of one host, as daemon/claims drives them, with a disk in memory.
class Claimant {
 public:
  Claimant(const std::string& name, ipam::EtcdClaim claim) : allocator("boot", 1) {
    ipam::PoolSettings pool;
    pool.name = "p";
    pool.ipv4 = *Prefix::parse("10.64.0.0/24");
    pool.ipv4_block_length = 28;
    claim.spare = 4;
    pool.claim = claim;
    pool.ipv6.reset();
    settings.pools = {pool};
    EXPECT_TRUE(allocator.configure(settings));
    auto made = ipam::Etcd::create(io, claim);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    if (!made) return;
    etcd = std::move(*made);
    core =
        std::make_unique<ipam::SharedClaims>(ipam::Identity{name, "i-" + name, "b", false}, claim);
    core->configure(settings);
  }

  void turn() {
    const Time now = Clock::now();
    for (;;) {
      const ipam::Step step = core->step(around(), now);
      if (!step.changes.empty()) {
        allocator.apply(step.changes);
        core->apply(step.changes, now);
        continue;
      }
      if (!step.request) break;
      etcd->send(*step.request, [this](const ipam::kv::Answer& answer) {
        if (const auto* fault = std::get_if<ipam::kv::Fault>(&answer)) last_fault = fault->message;
        core->answered(answer, Clock::now());
      });
    }
    if (core->watch_from() != watching) {
      watching = core->watch_from();
      if (!watching) return etcd->stop_watch();
      etcd->watch(
          "/weft/v1/", *watching,
          [this](const ipam::kv::Watched& change) { core->watched(change, Clock::now()); },
          [this](const std::string& why) {
            last_fault = why;
            watching.reset();
            core->watch_ended(Clock::now());
          });
    }
  }
  bool eventually(const std::function<bool()>& condition) {
    const Time until = Clock::now() + patience;
    while (Clock::now() < until) {
      turn();
      if (condition()) return true;
      io.restart();
      io.run_for(std::chrono::milliseconds(20));
    }
    return false;
  }
  bool owns(std::size_t count) {
    return eventually([&] {
      std::size_t owned = 0;
      for (const auto& [block, state] : allocator.claims())
        owned += state == ClaimState::owned ? 1 : 0;
      return owned == count && core->synced();
    });
  }
  void fill(int count) {
    for (int i = 0; i < count; ++i) {
      const auto grant = allocator.allocate(
          {{"n", fmt::format("c{}", next++), "eth0"}, "x", 1, "", {}}, Clock::now());
      ASSERT_TRUE(grant) << grant.error().message;
      allocator.apply(grant->changes);
    }
  }
  ipam::Surroundings around() {
    return {[](const BlockId&) { return false; },     [](const BlockId&) { return false; },
            allocator.blocks(Clock::now()),           [](const ipam::Place&) { return false; },
            [](const ipam::Place&) { return false; }, &allocator};
  }

  boost::asio::io_context io;
  ipam::Settings settings;
  ipam::Allocator allocator;
  std::unique_ptr<ipam::Etcd> etcd;
  std::unique_ptr<ipam::SharedClaims> core;
  std::optional<std::int64_t> watching;
  std::string last_fault;
  int next = 0;
};

ipam::EtcdClaim claim_on(const Cluster& cluster) {
  ipam::EtcdClaim claim;
  claim.endpoints = cluster.urls;
  return claim;
}

class EtcdStore : public testing::Test {
 protected:
  void SetUp() override {
    if (shell("etcd --version").find("etcd Version") == std::string::npos)
      GTEST_SKIP() << "etcd is not installed (packaging/packages)";
  }
};

TEST_F(EtcdStore, TwoHostsClaimApartAndSeeEachOther) {
  Cluster cluster(1);
  cluster.start();
  Claimant one("h1", claim_on(cluster));
  Claimant two("h2", claim_on(cluster));
  ASSERT_TRUE(one.owns(1)) << one.last_fault;
  ASSERT_TRUE(two.owns(1)) << two.last_fault;
  EXPECT_TRUE(one.eventually([&] { return one.core->remote().size() == 2; })) << "by the watch";
  EXPECT_NE(one.allocator.claims().begin()->first, two.allocator.claims().begin()->first);
  one.fill(13);
  EXPECT_TRUE(one.owns(2));
  const std::string keys = cluster.ctl("get --prefix /weft/v1/ --keys-only");
  EXPECT_THAT(keys, HasSubstr("/weft/v1/pool/p/block/"));
  EXPECT_THAT(keys, HasSubstr("/weft/v1/host/h2/incarnation"));
  EXPECT_THAT(cluster.ctl("lease list"), HasSubstr("found 2 leases"));
}

TEST_F(EtcdStore, OneOfThreeMembersKilledOneStoppedOneCutOff) {
  Cluster cluster(3);
  cluster.start();
  Claimant host("h1", claim_on(cluster));
  ASSERT_TRUE(host.owns(1)) << host.last_fault;
  cluster.kill(0);
  host.fill(13);
  EXPECT_TRUE(host.owns(2)) << host.last_fault;
  cluster.start(0);
  // A member that hangs is as good as one behind a cut cable: nothing is answered, nothing refused.
  cluster.signal(1, SIGSTOP);
  host.fill(16);
  EXPECT_TRUE(host.owns(3)) << host.last_fault;
  cluster.signal(1, SIGCONT);
  // Of three, one is a minority: nothing can be claimed, and all that is owned stays.
  cluster.signal(1, SIGSTOP);
  cluster.signal(2, SIGSTOP);
  host.fill(16);
  EXPECT_TRUE(host.eventually([&] { return !host.core->complaints(Clock::now()).empty(); }));
  EXPECT_THAT(host.allocator.claims(), SizeIs(testing::Ge(3U)));
  EXPECT_EQ(host.allocator.lease_count(), 45U);
  cluster.signal(1, SIGCONT);
  cluster.signal(2, SIGCONT);
  EXPECT_TRUE(host.owns(4)) << host.last_fault;
}

TEST_F(EtcdStore, TheWatchGoesWhereTheRequestsGo) {
  Cluster cluster(3);
  cluster.start();
  ipam::EtcdClaim claim = claim_on(cluster);
  claim.lease = seconds(30);
  Claimant one("h1", claim);
  ASSERT_TRUE(one.owns(1)) << one.last_fault;
  ASSERT_EQ(one.etcd->statistics().endpoint, cluster.urls[0]);
  // Its connections stay open, and the watch would tell nothing any more. After a write that has no
  // answer all is listed again, after a keepalive it is not.
  cluster.signal(0, SIGSTOP);
  ASSERT_TRUE(one.eventually([&] { return one.etcd->statistics().endpoint != cluster.urls[0]; }))
      << one.last_fault;
  ipam::EtcdClaim others = claim_on(cluster);
  others.endpoints.erase(others.endpoints.begin());
  Claimant two("h2", others);
  ASSERT_TRUE(two.owns(1)) << two.last_fault;
  EXPECT_TRUE(one.eventually([&] { return one.core->remote().size() == 2; }));
  cluster.signal(0, SIGCONT);
}

TEST_F(EtcdStore, ALeaseThatIsRevokedIsReplacedAtOnce) {
  Cluster cluster(1);
  cluster.start();
  Claimant host("h1", claim_on(cluster));
  ASSERT_TRUE(host.owns(1)) << host.last_fault;
  const auto before = host.allocator.claims();
  const std::string lease = cluster.ctl("lease list | tail -n 1");
  const auto granted = host.etcd->statistics().operations["grant"].ok;
  // With a lease of a day, its next keepalive may be a minute away.
  const auto kept_alive = host.etcd->statistics().operations["keepalive"].ok;
  ASSERT_THAT(cluster.ctl("lease revoke " + lease), HasSubstr("revoked"));
  EXPECT_TRUE(host.eventually([&] {
    return host.etcd->statistics().operations["grant"].ok > granted && host.core->synced() &&
           host.core->remote().size() == 1 && host.core->complaints(Clock::now()).empty();
  })) << host.last_fault;
  EXPECT_EQ(host.allocator.claims(), before);
  EXPECT_EQ(host.etcd->statistics().operations["keepalive"].ok, kept_alive);
}

TEST_F(EtcdStore, RestartWithDataLoss) {
  Cluster cluster(1);
  cluster.start();
  Claimant host("h1", claim_on(cluster));
  ASSERT_TRUE(host.owns(1));
  host.fill(13);
  ASSERT_TRUE(host.owns(2));
  const auto before = host.allocator.claims();
  cluster.lose_data();
  host.turn();
  cluster.start();
  EXPECT_TRUE(host.eventually([&] {
    return host.core->synced() && host.core->remote().size() == 2 &&
           host.core->complaints(Clock::now()).empty();
  })) << host.last_fault;
  EXPECT_EQ(host.allocator.claims(), before);
}

TEST_F(EtcdStore, TokenThatExpiredIsRenewed) {
  Cluster cluster(1, {"--auth-token-ttl", "1"});
  cluster.start();
  ASSERT_THAT(cluster.ctl("user add root:secret"), HasSubstr("created"));
  cluster.ctl("role add root");
  cluster.ctl("user grant-role root root");
  cluster.ctl("role add weft");
  cluster.ctl("role grant-permission weft --prefix=true readwrite /weft/v1/");
  cluster.ctl("user add weft:other");
  cluster.ctl("user grant-role weft weft");
  ASSERT_THAT(cluster.ctl("auth enable"), HasSubstr("Enabled"));
  ipam::EtcdClaim claim = claim_on(cluster);
  claim.user = "weft";
  claim.password_file = (cluster.directory / "password").string();
  std::ofstream(claim.password_file) << "wrong\n";
  Claimant host("h1", claim);
  EXPECT_TRUE(host.eventually([&] { return !host.last_fault.empty(); }));
  EXPECT_THAT(host.last_fault, HasSubstr("authentication failed"));
  std::ofstream(claim.password_file) << "other\n";
  ASSERT_TRUE(host.owns(1)) << host.last_fault;
  const Time idle_until = Clock::now() + seconds(4);
  ASSERT_TRUE(host.eventually([&] { return Clock::now() > idle_until; }));
  host.fill(13);
  EXPECT_TRUE(host.owns(2)) << host.last_fault;
  EXPECT_GT(host.etcd->statistics().operations["authenticate"].ok, 1U);
}

TEST_F(EtcdStore, CompactedWatchListsAgain) {
  Cluster cluster(1);
  cluster.start();
  Claimant host("h1", claim_on(cluster));
  ASSERT_TRUE(host.owns(1));
  for (int i = 0; i < 5; ++i) cluster.ctl(fmt::format("put /weft/v1/other/{} x", i));
  cluster.kill(0);
  cluster.start(0);
  cluster.ctl("put /weft/v1/pool/p/block/0 '{\"host\":\"h9\",\"incarnation\":\"x\"}'");
  cluster.ctl("compact 8");
  EXPECT_TRUE(host.eventually([&] {
    return host.core->synced() && host.core->remote().size() == 2;
  })) << host.last_fault;
}

TEST_F(EtcdStore, TlsWithAuthorityAndClientCertificate) {
  const std::string base =
      (std::filesystem::temp_directory_path() / fmt::format("weft-tls-{}", ::getpid())).string();
  std::filesystem::create_directories(base);
  const std::string made = shell(fmt::format(
      "cd {} && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj "
      "/CN=ca && for n in server client; do openssl req -newkey rsa:2048 -nodes -keyout $n.key "
      "-out "
      "$n.csr -subj /CN=$n && printf "
      "'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth' > ext && "
      "openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext "
      "-out $n.pem; done",
      base));
  ASSERT_TRUE(std::filesystem::exists(base + "/client.pem")) << made;
  Cluster cluster(1,
                  {"--cert-file", base + "/server.pem", "--key-file", base + "/server.key",
                   "--trusted-ca-file", base + "/ca.pem", "--client-cert-auth"},
                  "https");
  cluster.start();
  ipam::EtcdClaim claim = claim_on(cluster);
  Claimant stranger("h0", claim);
  EXPECT_TRUE(stranger.eventually([&] {
    return stranger.last_fault.find("certificate verify failed") != std::string::npos;
  })) << stranger.last_fault;
  claim.ca_file = base + "/ca.pem";
  claim.cert_file = base + "/client.pem";
  claim.key_file = base + "/client.key";
  Claimant host("h1", claim);
  EXPECT_TRUE(host.owns(1)) << host.last_fault;
  host.fill(13);
  EXPECT_TRUE(host.owns(2)) << host.last_fault;
  // The authority is right, and the certificate is another host's.
  for (std::string& url : claim.endpoints) url.replace(url.find("127.0.0.1"), 9, "localhost");
  Claimant misled("h2", claim);
  EXPECT_TRUE(misled.eventually([&] {
    return misled.last_fault.find("certificate verify failed") != std::string::npos;
  })) << misled.last_fault;
  std::error_code ignored;
  std::filesystem::remove_all(base, ignored);
}

}  // namespace
}  // namespace weft::system_test
