// VethRemover against the real kernel: each call is answered once, on the announcement, and folded
// deletions take nothing that was not asked for.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <map>

#include "net/time.h"
#include "net/veth.h"
#include "net/veth_remover.h"
#include "tests/cni/system/world.h"

namespace weft {
namespace {

using std::chrono::seconds;

class Removal : public testing::Test {
 protected:
  void SetUp() override {
    home_.emplace(*NetworkNamespace::current());
    ASSERT_TRUE(NetworkNamespace::open(test::World::path(world_.host()))->enter());
    socket_.emplace(*netlink::Socket::open());
    remover_.emplace(*VethRemover::open());
  }
  void TearDown() override { ASSERT_TRUE(home_->enter()); }

  /// Host ends weft0, weft1, … up, their peers in `netns`, each with one route.
  void make_veths(const std::string& netns, int count) {
    std::string commands;
    for (int i = 0; i < count; ++i) {
      commands += fmt::format(
          "link add weft{0} up type veth peer p{0} netns {1}\nroute add 10.64.0.{0}/32 dev weft{0} "
          "proto 87\n",
          i, netns);
    }
    const auto made =
        test::run({"ip", "netns", "exec", world_.host(), "ip", "-batch", "-"}, {}, commands);
    ASSERT_EQ(made.status, 0) << made.err;
  }
  void remove(int i) {
    remover_->remove(fmt::format("weft{}", i),
                     {Address::ipv4(0x0a400000U + static_cast<std::uint32_t>(i))});
  }
  /// How often each name was answered, once nothing is under way.
  std::map<std::string, int> answers(std::vector<std::string>* failures = nullptr) {
    std::map<std::string, int> count;
    const Time deadline = Clock::now() + seconds(20);
    while (remover_->under_way() > 0 && Clock::now() < deadline) {
      pollfd readable{remover_->fd(), POLLIN, 0};
      ::poll(&readable, 1, 1000);
      for (const auto& removed : remover_->take()) {
        ++count[removed.name];
        if (failures != nullptr && !removed.failure.empty()) failures->push_back(removed.failure);
      }
    }
    return count;
  }
  bool exists(const std::string& name) { return find_link(*socket_, name)->has_value(); }

  test::World world_;
  std::optional<NetworkNamespace> home_;
  std::optional<netlink::Socket> socket_;
  std::optional<VethRemover> remover_;
};

TEST_F(Removal, AnswersOnTheAnnouncementNotOnTheAcknowledgement) {
  make_veths(world_.add_namespace("c"), 1);
  remove(0);
  const auto count = answers();
  EXPECT_THAT(count, testing::ElementsAre(testing::Pair("weft0", 1)));
  EXPECT_FALSE(exists("weft0"));
  EXPECT_TRUE(list_container_routes(*socket_)->empty());
}

TEST_F(Removal, LinksThatComeDoNotWakeItThoseThatGoDo) {
  const auto wakes_within = [&](int milliseconds) {
    pollfd readable{remover_->fd(), POLLIN, 0};
    return ::poll(&readable, 1, milliseconds) == 1;
  };
  make_veths(world_.add_namespace("c"), 3);
  EXPECT_FALSE(wakes_within(0)) << "each of them was announced before the program came back";
  ASSERT_EQ(test::World::in(world_.host(), "ip link del weft1").status, 0);
  EXPECT_TRUE(wakes_within(10'000));
  EXPECT_TRUE(remover_->take().empty()) << "nobody asked for that one";
}

TEST_F(Removal, TheEndOfAnEarlierLinkOfTheNameIsNoAnswer) {
  make_veths(world_.add_namespace("c"), 1);
  ASSERT_EQ(test::World::in(world_.host(), "ip link del weft0").status, 0);
  make_veths(world_.add_namespace("d"), 1);
  remove(0);
  EXPECT_THAT(answers(), testing::ElementsAre(testing::Pair("weft0", 1)));
  EXPECT_FALSE(exists("weft0"));
}

TEST_F(Removal, WhatIsNotThereIsRemovedAlready) {
  remove(7);
  std::vector<std::string> failures;
  EXPECT_THAT(answers(&failures), testing::ElementsAre(testing::Pair("weft7", 1)));
  EXPECT_TRUE(failures.empty());
}

TEST_F(Removal, ManyAtOnceAreFoldedAndOthersStay) {
  make_veths(world_.add_namespace("c"), 200);
  for (int i = 0; i < 190; ++i) remove(i);
  for (int i = 0; i < 5; ++i) remove(i);  // a second DEL meanwhile
  std::vector<std::string> failures;
  const auto count = answers(&failures);
  EXPECT_TRUE(failures.empty()) << failures.front();
  for (int i = 0; i < 190; ++i) {
    EXPECT_EQ(count.at(fmt::format("weft{}", i)), i < 5 ? 2 : 1) << i;
    EXPECT_FALSE(exists(fmt::format("weft{}", i))) << i;
  }
  for (int i = 190; i < 200; ++i) EXPECT_TRUE(exists(fmt::format("weft{}", i))) << i;
  EXPECT_EQ(list_container_routes(*socket_)->size(), 10U);
}

}  // namespace
}  // namespace weft
