// The receiving side of graceful restart, phase by phase, in virtual time.
#include "bgp/retention.h"

#include <gtest/gtest.h>

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using Phase = Retention::Phase;

constexpr RetentionTerms graceful{true, 120s, 0s};
constexpr RetentionTerms long_lived{true, 120s, 3600s};
const Time start{1h};

TEST(Retention, WithoutTheCapabilityNothingIsKept) {
  Retention routes;
  EXPECT_EQ(routes.lost({}, Loss::clean, start), Fate::drop);
  EXPECT_EQ(routes.deadline(), Time::max());
}

TEST(Retention, ARestartTimeOfZeroKeepsNothing) {
  Retention routes;
  EXPECT_EQ(routes.lost({true, 0s, 0s}, Loss::clean, start), Fate::drop);
}

TEST(Retention, AHardEndKeepsNothing) {
  Retention routes;
  EXPECT_EQ(routes.lost(graceful, Loss::hard, start), Fate::drop);
  EXPECT_EQ(routes.phase(), Phase::fresh);
}

// RFC 4724 4.2: stale until the Restart Time is over.
TEST(Retention, APeerThatStaysAwayIsForgottenAfterItsRestartTime) {
  Retention routes;
  EXPECT_EQ(routes.lost(graceful, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.deadline(), start + 120s);
  EXPECT_EQ(routes.tick(start + 119s), Fate::keep);
  EXPECT_EQ(routes.tick(start + 120s), Fate::sweep);
  EXPECT_EQ(routes.deadline(), Time::max());
}

TEST(Retention, WhatIsNotSaidAgainGoesAtEndOfRib) {
  Retention routes;
  EXPECT_EQ(routes.lost(graceful, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.back(true, 360s, start + 5s), Fate::keep);
  EXPECT_EQ(routes.phase(), Phase::refreshing);
  EXPECT_EQ(routes.tick(start + 200s), Fate::keep)
      << "the restart time is over, and counts no more";
  EXPECT_EQ(routes.end_of_rib(), Fate::sweep);
  EXPECT_EQ(routes.end_of_rib(), Fate::keep);
}

TEST(Retention, APeerThatNeverSaysEndOfRibGetsTheStaleTime) {
  Retention routes;
  EXPECT_EQ(routes.lost(graceful, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.back(true, 360s, start + 5s), Fate::keep);
  EXPECT_EQ(routes.deadline(), start + 365s);
  EXPECT_EQ(routes.tick(start + 365s), Fate::sweep);
}

// Trap 9: FRR and GoBGP of Debian 12 keep them.
TEST(Retention, APeerBackWithoutTheForwardingBitLosesItsStaleRoutes) {
  Retention routes;
  EXPECT_EQ(routes.lost(graceful, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.back(false, 360s, start + 5s), Fate::sweep);
  EXPECT_EQ(routes.end_of_rib(), Fate::keep);
}

// RFC 4724 4.2: "to deal with possible consecutive restarts".
TEST(Retention, ASecondRestartBeforeEndOfRibDropsWhatWasStale) {
  Retention routes;
  EXPECT_EQ(routes.lost(graceful, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.back(true, 360s, start + 5s), Fate::keep);
  EXPECT_EQ(routes.lost(graceful, Loss::clean, start + 6s), Fate::mark)
      << "mark: the stale ones go first";
  EXPECT_EQ(routes.deadline(), start + 126s);
}

// RFC 8538 4 keeps them here too; but this may as well be a host without power (pain R31).
TEST(Retention, APeerThatFellSilentIsForgotten) {
  Retention routes;
  EXPECT_EQ(routes.lost(graceful, Loss::silent, start), Fate::drop);
}

TEST(Retention, APeerThatFellSilentIsALastResortAtOnceIfItMayBe) {
  Retention routes;
  EXPECT_EQ(routes.lost(long_lived, Loss::silent, start), Fate::age);
  EXPECT_EQ(routes.deadline(), start + 3600s);
}

// A router that reboots says goodbye, takes its links down, and has them up again long before it
// forwards.
TEST(Retention, APeerThatIsAwayIsForgottenWhenItsLinkGoesDown) {
  Retention routes;
  EXPECT_EQ(routes.lost(graceful, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.silenced(start + 1s), Fate::sweep);
  EXPECT_EQ(routes.phase(), Phase::fresh);
  EXPECT_EQ(routes.lost(long_lived, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.silenced(start + 1s), Fate::age);
}

TEST(Retention, ALongLivedFamilyAgesAfterTheRestartTime) {
  Retention routes;
  EXPECT_EQ(routes.lost(long_lived, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.tick(start + 120s), Fate::age);
  EXPECT_EQ(routes.phase(), Phase::long_lived);
  EXPECT_EQ(routes.deadline(), start + 3720s);
  EXPECT_EQ(routes.tick(start + 3720s), Fate::sweep);
}

TEST(Retention, WithoutARestartTimeALongLivedFamilyAgesAtOnce) {
  Retention routes;
  EXPECT_EQ(routes.lost({true, 0s, 60s}, Loss::clean, start), Fate::age);
  EXPECT_EQ(routes.deadline(), start + 60s);
}

// RFC 9494 4.2: the timer is not moved by sessions that end before End-of-RIB.
TEST(Retention, AFlappingPeerDoesNotProlongItsLongLivedRoutes) {
  Retention routes;
  EXPECT_EQ(routes.lost(long_lived, Loss::clean, start), Fate::mark);
  EXPECT_EQ(routes.tick(start + 120s), Fate::age);
  EXPECT_EQ(routes.back(true, 360s, start + 3600s), Fate::keep);
  EXPECT_EQ(routes.deadline(), start + 3720s) << "the stale time does not outlast it";
  EXPECT_EQ(routes.lost(long_lived, Loss::clean, start + 3610s), Fate::age);
  EXPECT_EQ(routes.deadline(), start + 3720s);
  EXPECT_EQ(routes.back(true, 360s, start + 3700s), Fate::keep);
  EXPECT_EQ(routes.end_of_rib(), Fate::sweep);
  EXPECT_EQ(routes.lost(long_lived, Loss::clean, start + 4000s), Fate::mark)
      << "all anew after End-of-RIB";
  EXPECT_EQ(routes.deadline(), start + 4120s);
}

}  // namespace
}  // namespace weft::bgp
