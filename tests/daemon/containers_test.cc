// Containers on a host of its own: what ADD, DEL, the undo of an ADD and a GC do to each other when
// they meet. Real links in a network namespace of this process alone.
#include "daemon/containers.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/attachment.h"
#include "net/netns.h"
#include "net/time.h"

namespace weft::daemon {
namespace {

using ctl::AddRequest;
using ctl::DelRequest;
using ctl::Reply;

const Attachment web{"n", "web", "eth0"};

class ContainersTest : public testing::Test {
 protected:
  void SetUp() override {
    auto outside = NetworkNamespace::current();
    ASSERT_TRUE(outside) << outside.error().message;
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs root";
    outside_.emplace(std::move(*outside));
    std::string name = (std::filesystem::temp_directory_path() / "weft-containers-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    shell("ip link set lo up");
    start();
  }
  void TearDown() override {
    if (!outside_) return;
    containers_.reset();
    EXPECT_TRUE(outside_->enter());
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void start() {
    containers_.reset();
    ipam::PoolSettings pool;
    pool.name = "p";
    pool.ipv4 = *Prefix::parse("10.64.0.0/24");
    pool.ipv4_block_length = 28;
    pool.ipv6.reset();
    pool.claim = ipam::StaticIndex{0, 1};
    settings_.pools = {pool};
    // Only what a test asks for is looked at.
    settings_.audit_interval = std::chrono::hours(1);
    FilterSettings filter;
    filter.anti_spoof = false;
    auto started =
        Containers::start(io_, settings_, filter, directory_, [] { return std::uint32_t{1500}; });
    ASSERT_TRUE(started) << started.error().message;
    containers_ = std::move(*started);
  }

  static void shell(const std::string& command) {
    EXPECT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT(concurrency-mt-unsafe)
  }
  /// As weft-cni makes it.
  static void make_link(const ctl::Lease& lease) {
    shell(fmt::format("ip link add {0} type veth peer name {1} && ip link set {0} alias {2} up",
                      lease.host_ifname, "p" + lease.host_ifname.substr(4), lease.alias));
  }
  static bool has_link(const Attachment& attachment) {
    return std::system(("ip link show " + host_ifname(attachment) + " >/dev/null 2>&1").c_str()) ==
           0;
  }

  using Answered = std::shared_ptr<std::optional<Reply>>;
  Answered begin_add(const Attachment& attachment, std::uint64_t inode, bool delegated = false) {
    AddRequest request{attachment, fmt::format("/n/{}", inode), inode, "", std::nullopt};
    request.delegated = delegated;
    auto answered = std::make_shared<std::optional<Reply>>();
    containers_->add(request, [answered](const Reply& reply) { *answered = reply; });
    return answered;
  }
  Answered begin_del(const Attachment& attachment,
                     std::optional<std::uint64_t> sequence = std::nullopt) {
    auto answered = std::make_shared<std::optional<Reply>>();
    containers_->del({attachment, sequence}, [answered](const Reply& reply) { *answered = reply; });
    return answered;
  }
  Reply wait(const Answered& answered) {
    const Time until = Clock::now() + std::chrono::seconds(60);
    while (!*answered && Clock::now() < until) {
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(100));
    }
    return answered->value_or(ctl::Failure{ctl::ErrorCode::internal, "no answer"});
  }
  ctl::Lease add(const Attachment& attachment, std::uint64_t inode, bool delegated = false) {
    const Reply reply = wait(begin_add(attachment, inode, delegated));
    const auto* lease = std::get_if<ctl::Lease>(&reply);
    EXPECT_NE(lease, nullptr);
    return lease == nullptr ? ctl::Lease{} : *lease;
  }
  bool del(const Attachment& attachment, std::optional<std::uint64_t> sequence = std::nullopt) {
    return std::holds_alternative<ctl::Done>(wait(begin_del(attachment, sequence)));
  }
  /// Of what is held; 0: nothing is.
  std::uint64_t sequence(const Attachment& attachment) {
    const ipam::Lease* lease = containers_->allocator().find(attachment);
    return lease == nullptr ? 0 : lease->sequence;
  }

  boost::asio::io_context io_;
  ipam::Settings settings_;
  std::filesystem::path directory_;
  std::unique_ptr<Containers> containers_;

 private:
  std::optional<NetworkNamespace> outside_;
};

TEST_F(ContainersTest, TheUndoOfAnAddThatIsPastLeavesTheNextAlone) {
  const ctl::Lease first = add(web, 1);
  const ctl::Lease second = add(web, 2);
  ASSERT_NE(first.sequence, second.sequence);
  make_link(second);
  EXPECT_TRUE(del(web, first.sequence));
  EXPECT_EQ(sequence(web), second.sequence);
  EXPECT_TRUE(has_link(web));
  EXPECT_TRUE(del(web, second.sequence));
  EXPECT_EQ(sequence(web), 0U);
  EXPECT_FALSE(has_link(web));
  // Nor what has no lease: it is whoever's that made it.
  make_link(second);
  EXPECT_TRUE(del(web, second.sequence));
  EXPECT_TRUE(has_link(web));
  EXPECT_TRUE(del(web));
  EXPECT_FALSE(has_link(web)) << "a DEL takes it all the same";
}

TEST_F(ContainersTest, OfTwoAddsAtOnceTheUndoOfOneLeavesTheLeaseToTheOther) {
  const ctl::Lease first = add(web, 1);
  const ctl::Lease second = add(web, 1);
  EXPECT_TRUE(second.existing);
  ASSERT_EQ(first.sequence, second.sequence);
  EXPECT_TRUE(del(web, first.sequence));
  EXPECT_EQ(sequence(web), second.sequence);
  make_link(second);
  // Wired, it is nobody's but the container's: a GC finds it dead later.
  containers_->examine(true);
  EXPECT_TRUE(del(web, second.sequence));
  EXPECT_EQ(sequence(web), 0U);
  EXPECT_FALSE(has_link(web));
}

TEST_F(ContainersTest, AnAddThatComesWhileTheLinkGoesHasALeaseOfItsOwn) {
  const ctl::Lease first = add(web, 1);
  make_link(first);
  const auto gone = begin_del(web);
  const auto next = begin_add(web, 1);
  EXPECT_FALSE(*next) << "not what is about to be freed";
  EXPECT_TRUE(std::holds_alternative<ctl::Done>(wait(gone)));
  const Reply reply = wait(next);
  ASSERT_TRUE(std::holds_alternative<ctl::Lease>(reply));
  const auto& lease = std::get<ctl::Lease>(reply);
  EXPECT_FALSE(lease.existing);
  EXPECT_GT(lease.sequence, first.sequence);
  EXPECT_EQ(sequence(web), lease.sequence);
}

TEST_F(ContainersTest, ADelFreesWhatWasThereWhenItCame) {
  make_link(add(web, 1));
  const auto gone = begin_del(web);
  // An address of another plugin's link, for which nobody waits.
  const auto next = begin_add(web, 2, true);
  EXPECT_NE(sequence(web), 0U);
  EXPECT_TRUE(std::holds_alternative<ctl::Done>(wait(gone)));
  EXPECT_NE(sequence(web), 0U);
  EXPECT_TRUE(std::holds_alternative<ctl::Lease>(wait(next)));
  ASSERT_TRUE(del(web));

  const auto unknown = begin_del(web);
  const ctl::Lease lease = add(web, 3, true);
  EXPECT_TRUE(std::holds_alternative<ctl::Done>(wait(unknown)));
  EXPECT_EQ(sequence(web), lease.sequence);
}

TEST_F(ContainersTest, ADelTurnsAwayTheAddThatWaits) {
  make_link(add(web, 1));
  const auto first = begin_del(web);
  const auto waiting = begin_add(web, 1);
  const auto second = begin_del(web);
  for (const auto& one : {first, second}) EXPECT_TRUE(std::holds_alternative<ctl::Done>(wait(one)));
  const Reply reply = wait(waiting);
  ASSERT_TRUE(std::holds_alternative<ctl::Failure>(reply));
  EXPECT_EQ(std::get<ctl::Failure>(reply).code, ctl::ErrorCode::busy);
  EXPECT_EQ(sequence(web), 0U);
  EXPECT_FALSE(has_link(web));
}

TEST_F(ContainersTest, TwoDelsAtOnceDoNotMeetTheNextLink) {
  make_link(add(web, 1));
  const auto first = begin_del(web);
  const auto second = begin_del(web);
  EXPECT_TRUE(std::holds_alternative<ctl::Done>(wait(first)));
  EXPECT_TRUE(*second) << "one removal is for both";
  const ctl::Lease next = add(web, 1);
  make_link(next);
  EXPECT_TRUE(del({"n", "other", "eth0"}));
  EXPECT_TRUE(has_link(web));
}

}  // namespace
}  // namespace weft::daemon
