// `weftctl fib check`, fib's side: every difference has a name, what the table knows of has a
// reason, and nothing is repaired by looking.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>

#include "tests/fib/desk.h"

namespace weft::fib {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

std::map<std::string, Difference> by_subject(const CheckReport& report) {
  std::map<std::string, Difference> found;
  for (const Difference& difference : report.differences) {
    const std::string subject = difference.prefix
                                    ? difference.prefix->text()
                                    : "nexthop " + std::to_string(difference.nexthop_id);
    found.emplace(subject, difference);
  }
  return found;
}

class CheckTest : public Desk {
 protected:
  void SetUp() override {
    Desk::SetUp();
    left_ = table->group({hop(2)});
    both_ = table->group({hop(2), hop(3)});
    want("10.0.0.0/24", both_);
    want("10.1.0.0/24", left_);
    table->want_blackhole(prefix("10.64.0.0/26"), now);
    table->synced(now);
    rest();
  }
  Route& in_kernel(const std::string& text) {
    return kernel.routes.at({prefix(text), kernel.settings.metric});
  }

  GroupRef left_;
  GroupRef both_;
};

TEST_F(CheckTest, FindsNothingWhereAllIsWell) {
  const CheckReport report = checked();
  EXPECT_THAT(report.differences, IsEmpty());
  EXPECT_EQ(report.wanted_routes, 3U);
  EXPECT_EQ(report.kernel_routes, 3U);
  EXPECT_EQ(report.moving, 0U);
}

TEST_F(CheckTest, NamesWhatTheKernelLostOrHasOtherwise) {
  kernel.routes.erase({prefix("10.64.0.0/26"), blackhole_metric});
  in_kernel("10.0.0.0/24").nexthop_id = in_kernel("10.1.0.0/24").nexthop_id;
  Route left_over = in_kernel("10.1.0.0/24");
  left_over.prefix = prefix("10.2.0.0/24");
  kernel.routes[{left_over.prefix, left_over.metric}] = left_over;

  const auto found = by_subject(checked());
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(found.at("10.64.0.0/26").what, Difference::What::missing);
  EXPECT_EQ(found.at("10.64.0.0/26").kind, Kind::blackhole);
  EXPECT_EQ(found.at("10.0.0.0/24").what, Difference::What::different);
  EXPECT_EQ(found.at("10.0.0.0/24").wanted, (NextHops{hop(2), hop(3)}));
  EXPECT_EQ(found.at("10.0.0.0/24").kernel, (NextHops{hop(2)}));
  EXPECT_EQ(found.at("10.2.0.0/24").what, Difference::What::stale);
  for (const auto& [subject, difference] : found) EXPECT_EQ(difference.reason, "") << subject;
}

TEST_F(CheckTest, LooksOnlyAndAnAuditRepairs) {
  kernel.routes.erase({prefix("10.0.0.0/24"), kernel.settings.metric});
  EXPECT_THAT(checked().differences, SizeIs(1));
  EXPECT_THAT(checked().differences, SizeIs(1));
  EXPECT_FALSE(kernel_has("10.0.0.0/24"));
  table->audit(now);
  rest();
  EXPECT_TRUE(kernel_has("10.0.0.0/24"));
  EXPECT_EQ(repairs(Cause::dump), 1U);
  EXPECT_THAT(checked().differences, IsEmpty());
}

TEST_F(CheckTest, NamesObjects) {
  const std::uint32_t group = in_kernel("10.0.0.0/24").nexthop_id;
  kernel.nexthops.at(group).members.pop_back();
  const NextHopObject stray{
      first_group_id + 77, route_protocol, {}, 0, {{first_nexthop_id + 1, 1}}};
  kernel.nexthops[stray.id] = stray;
  const auto found = by_subject(checked());
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found.at("nexthop " + std::to_string(group)).what, Difference::What::different);
  EXPECT_THAT(found.at("nexthop " + std::to_string(group)).kernel, SizeIs(1));
  EXPECT_EQ(found.at("nexthop " + std::to_string(stray.id)).what, Difference::What::stale);
}

TEST_F(CheckTest, SaysWhyWhereItIsKnown) {
  Route theirs;
  theirs.prefix = prefix("10.3.0.0/24");
  theirs.metric = kernel.settings.metric;
  theirs.protocol = 4;
  kernel.routes[{theirs.prefix, theirs.metric}] = theirs;
  table->observed(RouteEvent{theirs, false, false}, now);
  want("10.3.0.0/24", both_);
  rest();
  link(2, false);
  rest();
  const auto found = by_subject(checked());
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found.at("10.3.0.0/24").what, Difference::What::foreign);
  EXPECT_EQ(found.at("10.3.0.0/24").reason, "foreign: proto static metric 20");
  EXPECT_EQ(found.at("10.1.0.0/24").what, Difference::What::missing);
  EXPECT_EQ(found.at("10.1.0.0/24").reason, "pending: no interface of its next hops is up");
}

TEST_F(CheckTest, LeavesOutWhatMovesMeanwhile) {
  table->check();
  auto request = table->take(now);
  ASSERT_TRUE(request && std::get<DumpRequest>(*request).check);
  auto parts = kernel.dump(std::get<DumpRequest>(*request));
  // Deleted after the kernel was read, and told before the reading arrived.
  const Route gone = in_kernel("10.0.0.0/24");
  kernel.routes.erase({gone.prefix, gone.metric});
  table->observed(RouteEvent{gone, true, false}, now);
  for (DumpPart& part : parts) table->settle(std::move(part), now);
  const auto report = table->take_check();
  ASSERT_TRUE(report);
  EXPECT_THAT(report->differences, IsEmpty());
  EXPECT_EQ(report->moving, 1U);
  rest();
  EXPECT_TRUE(kernel_has("10.0.0.0/24"));
}

TEST_F(CheckTest, LooksAgainWhenObjectsMoved) {
  table->check();
  auto request = table->take(now);
  ASSERT_TRUE(request);
  auto parts = kernel.dump(std::get<DumpRequest>(*request));
  link(3, false);
  for (DumpPart& part : parts) table->settle(std::move(part), now);
  EXPECT_FALSE(table->take_check());
  rest();
  const auto report = table->take_check();
  ASSERT_TRUE(report);
  EXPECT_THAT(report->differences, IsEmpty());
}

TEST_F(CheckTest, AFailedDumpConcludesNothing) {
  table->check();
  ASSERT_TRUE(table->take(now));
  DumpPart part;
  part.check = part.last = true;
  part.failed = "no buffer space";
  table->settle(std::move(part), now);
  const auto report = table->take_check();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->failed, "no buffer space");
  EXPECT_THAT(checked().differences, IsEmpty());
}

TEST_F(Desk, TellsOfEachRouteTheKernelHasAsWanted) {
  table->tell_installed(true);
  const GroupRef left = table->group({hop(2)});
  const GroupRef right = table->group({hop(3)});
  const Installed route{prefix("10.0.0.0/24"), Kind::learned};
  want("10.0.0.0/24", left);
  EXPECT_THAT(table->take_installed(), IsEmpty());
  rest();
  EXPECT_THAT(table->take_installed(), testing::ElementsAre(route));
  // The want changes while the answer is under way: the answer is not for what is wanted now.
  want("10.0.0.0/24", right);
  rest();
  EXPECT_THAT(table->take_installed(), testing::ElementsAre(route));
  want("10.0.0.0/24", left);
  auto work = table->take(now);
  ASSERT_TRUE(work);
  want("10.0.0.0/24", right);
  table->settle(kernel.carry_out(std::get<Batch>(*work), [] { return 0; }), now);
  EXPECT_THAT(table->take_installed(), IsEmpty());
  rest();
  EXPECT_THAT(table->take_installed(), testing::ElementsAre(route));
  // Wanted once more as it is: told once more, for who asks has forgotten.
  want("10.0.0.0/24", right);
  EXPECT_THAT(table->take_installed(), testing::ElementsAre(route));
  // What a foreign route keeps out is not told.
  Route theirs;
  theirs.prefix = prefix("10.64.0.0/26");
  theirs.metric = blackhole_metric;
  theirs.protocol = 4;
  kernel.routes[{theirs.prefix, theirs.metric}] = theirs;
  table->want_blackhole(theirs.prefix, now);
  rest();
  EXPECT_THAT(table->take_installed(), IsEmpty());
  kernel.routes.erase({theirs.prefix, theirs.metric});
  table->observed(RouteEvent{theirs, true, false}, now);
  rest();
  EXPECT_THAT(table->take_installed(),
              testing::ElementsAre(Installed{theirs.prefix, Kind::blackhole}));
}

TEST_F(Desk, SaysHowManyRoutesItAdopted) {
  const auto told = [&] {
    for (const Notice& notice : table->take_notices()) {
      if (notice.message.find("adopted") != std::string::npos) return notice.message;
    }
    return std::string();
  };
  EXPECT_EQ(told(), "") << "a fresh host has nothing to adopt";
  // Wanted before the dump is in, as at every start.
  table->want_blackhole(prefix("10.64.0.0/26"), now);
  want("10.0.0.0/24", table->group({hop(2)}));
  rest();
  table.emplace(Settings{});
  table->start(now);
  table->want_blackhole(prefix("10.64.0.0/26"), now);
  table->want_blackhole(prefix("10.64.0.64/26"), now);
  rest();
  EXPECT_EQ(told(), "adopted 2 routes from the kernel");
}

TEST_F(Desk, KnowsWhatIsForwardedBeforeTheDumpIsWhole) {
  want("2001:db8:1::/48", table->group({hop(2)}));
  for (int i = 0; i < 20; ++i) want(fmt::format("10.0.{}.0/24", i), table->group({hop(2)}));
  rest();
  auto parts = dump_of_a_restart();
  ASSERT_GT(parts.size(), 2U);
  DumpPart ipv6_alone;
  ipv6_alone.routes.assign(parts[0].routes.begin(), parts[0].routes.begin() + 1);
  parts[0].routes.erase(parts[0].routes.begin());
  table->settle(std::move(ipv6_alone), now);
  EXPECT_EQ(table->forwards(), std::nullopt) << "there may be IPv4 routes, too";
  table->settle(std::move(parts[0]), now);
  EXPECT_EQ(table->forwards(), (std::array<bool, 2>{true, true}));
  // What peers say meanwhile is in the kernel already, and is not written again.
  want("10.0.0.0/24", table->group({hop(2)}));
  want("10.0.19.0/24", table->group({hop(2)}));
  for (std::size_t i = 1; i < parts.size(); ++i) table->settle(std::move(parts[i]), now);
  std::size_t writes = 0;
  for (const Batch& batch : rest()) writes += batch.routes.size();
  EXPECT_EQ(writes, 0U);
}

TEST_F(Desk, SaysWhatItSweepsAlsoWhenPeersWereFasterThanTheDump) {
  for (int i = 0; i < 20; ++i) want(fmt::format("10.0.{}.0/24", i), table->group({hop(2)}));
  rest();
  auto parts = dump_of_a_restart();
  ASSERT_GT(parts.size(), 2U);
  table->settle(std::move(parts[0]), now);
  link(2, true);
  want("10.0.0.0/24", table->group({hop(2)}));
  want("10.0.19.0/24", table->group({hop(2)}));
  table->synced(now);
  EXPECT_FALSE(table->take(now)) << "nothing is removed before the dump is whole";
  for (std::size_t i = 1; i < parts.size(); ++i) table->settle(std::move(parts[i]), now);
  rest();
  std::string told;
  for (const Notice& notice : table->take_notices()) {
    if (notice.message.find("left from before") != std::string::npos) told += notice.message;
  }
  EXPECT_EQ(told, "removing 18 routes left from before that nobody announces any more");
  EXPECT_TRUE(kernel_has("10.0.0.0/24") && kernel_has("10.0.19.0/24"));
  EXPECT_FALSE(kernel_has("10.0.7.0/24"));
}

}  // namespace
}  // namespace weft::fib
