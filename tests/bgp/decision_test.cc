#include "bgp/decision.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

Candidate candidate(unsigned n) {
  Candidate made;
  made.path_length = 2;
  made.neighbour_as = 65001;
  made.router_id = n;
  made.peer = Address::ipv4(0xc0000200 + n);
  made.peer_number = n;
  made.index = n;
  return made;
}

struct Case {
  const char* name;
  void (*worsen)(Candidate&);
  Rung rung;
  bool shares = false;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class Ladder : public testing::TestWithParam<Case> {};

/// The first path would win on every later rung: it falls at the one where it is made worse.
TEST_P(Ladder, DropsTheWorsePathAtItsRung) {
  std::vector<Candidate> paths{candidate(1), candidate(2)};
  GetParam().worsen(paths[0]);
  for (int turn = 0; turn < 2; ++turn) {
    std::vector<Candidate> judged = paths;
    EXPECT_EQ(decide(judged, {}), GetParam().shares ? 2U : 1U);
    EXPECT_EQ(judged[0].index, 2U);
    EXPECT_EQ(judged[0].rung, Rung::best);
    EXPECT_EQ(judged[1].rung, GetParam().rung) << name(judged[1].rung);
    EXPECT_EQ(judged[1].multipath, GetParam().shares);
    std::reverse(paths.begin(), paths.end());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rfc4271, Ladder,
    testing::Values(Case{"Refused", [](Candidate& c) { c.refused = true; }, Rung::refused},
                    Case{"NextHop", [](Candidate& c) { c.resolved = false; }, Rung::next_hop},
                    Case{"LastResort",
                         [](Candidate& c) {
                           c.last_resort = true;
                           c.local_pref = 900;
                         },
                         Rung::last_resort},
                    Case{"LocalPref", [](Candidate& c) { c.local_pref = 99; }, Rung::local_pref},
                    Case{"AsPathLength", [](Candidate& c) { c.path_length = 3; },
                         Rung::as_path_length},
                    Case{"Origin", [](Candidate& c) { c.origin = 2; }, Rung::origin},
                    Case{"Med", [](Candidate& c) { c.med = 1; }, Rung::med},
                    Case{"Internal", [](Candidate& c) { c.external = false; }, Rung::external},
                    Case{"IgpMetric", [](Candidate& c) { c.igp_metric = 5; }, Rung::igp_metric},
                    Case{"RouterId", [](Candidate& c) { c.router_id = 9; }, Rung::router_id, true},
                    Case{"ClusterList",
                         [](Candidate& c) {
                           c.router_id = 2;
                           c.cluster_list_length = 1;
                         },
                         Rung::cluster_list, true},
                    Case{"PeerAddress",
                         [](Candidate& c) {
                           c.router_id = 2;
                           c.peer = Address::ipv4(0xc00002ff);
                         },
                         Rung::peer_address, true},
                    Case{"PeerNumber",
                         [](Candidate& c) {
                           c.router_id = 2;
                           c.peer = Address::ipv4(0xc0000202);
                           c.peer_number = 3;
                         },
                         Rung::peer_address, true},
                    Case{"PathId",
                         [](Candidate& c) {
                           const unsigned index = c.index;
                           c = candidate(2);
                           c.index = index;
                           c.path_id = 1;
                         },
                         Rung::path_id, true}),
    [](const auto& c) { return c.param.name; });

TEST(Decision, PrefersWhatIsOriginatedHere) {
  std::vector<Candidate> paths{candidate(1), candidate(0)};
  paths[0].path_length = 0;
  paths[0].local_pref = 1000;
  paths[1].local = true;
  paths[1].neighbour_as = 0;
  EXPECT_EQ(decide(paths, {}), 1U);
  EXPECT_TRUE(paths[0].local);
  EXPECT_EQ(paths[1].rung, Rung::local_origin);
}

TEST(Decision, FindsNoneWhereNoneIsEligible) {
  std::vector<Candidate> paths{candidate(1), candidate(2)};
  paths[0].refused = true;
  paths[1].resolved = false;
  EXPECT_EQ(decide(paths, {}), 0U);
  EXPECT_EQ(paths[0].rung, Rung::next_hop) << "it came further than the refused one";
  EXPECT_EQ(paths[1].rung, Rung::refused);
}

/// RFC 4451 and trap 10: pair by pair, the winner depends on who is compared first.
TEST(Decision, ComparesMedWithinTheNeighbourAsWhateverTheOrder) {
  std::vector<Candidate> paths{candidate(1), candidate(2), candidate(3)};
  paths[0].neighbour_as = 65001;
  paths[0].med = 200;  // the lowest router id, but beaten by the third on MED
  paths[1].neighbour_as = 65002;
  paths[1].med = 150;
  paths[2].neighbour_as = 65001;
  paths[2].med = 100;
  std::sort(paths.begin(), paths.end(), [](auto& a, auto& b) { return a.index < b.index; });
  do {
    std::vector<Candidate> judged = paths;
    EXPECT_EQ(decide(judged, {}), 2U);
    EXPECT_EQ(judged[0].index, 2U);
    EXPECT_EQ(judged[1].index, 3U);
    EXPECT_EQ(judged[2].rung, Rung::med);
  } while (std::next_permutation(paths.begin(), paths.end(),
                                 [](auto& a, auto& b) { return a.index < b.index; }));
}

TEST(Decision, ComparesMedOfAnyAsWhenTold) {
  std::vector<Candidate> paths(2);
  paths[0].neighbour_as = 65001;
  paths[0].med = 20;
  paths[0].router_id = 1;
  paths[1].neighbour_as = 65002;
  paths[1].med = 10;
  paths[1].router_id = 2;
  MultipathLimits limits;
  decide(paths, limits);
  EXPECT_EQ(paths[0].neighbour_as, 65001U);
  limits.always_compare_med = true;
  EXPECT_EQ(decide(paths, limits), 1U);
  EXPECT_EQ(paths[0].neighbour_as, 65002U);
  EXPECT_EQ(paths[1].rung, Rung::med);
}

TEST(Decision, SaysByHowMuchAPathLost) {
  Candidate best;
  Candidate loser;
  const auto lost_at = [&](Rung rung) {
    loser.rung = rung;
    return margin(loser, best);
  };
  loser.local_pref = 50;
  loser.origin = 2;
  loser.igp_metric = 7;
  loser.router_id = 0x0a000002;
  EXPECT_EQ(lost_at(Rung::local_pref), "50 against 100");
  EXPECT_EQ(lost_at(Rung::origin), "incomplete against igp");
  EXPECT_EQ(lost_at(Rung::igp_metric), "7 against 0");
  EXPECT_EQ(lost_at(Rung::router_id), "10.0.0.2 against 0.0.0.0");
  EXPECT_EQ(lost_at(Rung::next_hop), "") << "there is no more or less of it";
}

TEST(Multipath, StopsAtTheLimitWithTheLowestRouterIds) {
  std::vector<Candidate> paths;
  for (unsigned n = 6; n > 0; --n) paths.push_back(candidate(n));
  EXPECT_EQ(decide(paths, {.paths = 4, .relax = true}), 4U);
  for (unsigned n = 0; n < 6; ++n) {
    EXPECT_EQ(paths[n].index, n + 1);
    EXPECT_EQ(paths[n].multipath, n < 4);
  }
}

TEST(Multipath, NeedsEqualPathsUnlessRelaxed) {
  std::vector<Candidate> paths{candidate(1), candidate(2), candidate(3)};
  paths[0].as_path = paths[2].as_path = 77;
  paths[1].as_path = 78;
  EXPECT_EQ(decide(paths, {.paths = 16, .relax = true}), 3U);
  EXPECT_EQ(decide(paths, {.paths = 16, .relax = false}), 2U);
  EXPECT_EQ(paths[1].index, 3U);
}

TEST(Multipath, StaysInTheTableOfTheBest) {
  std::vector<Candidate> paths{candidate(1), candidate(2), candidate(3), candidate(4)};
  paths[1].placement = {100, 0};
  paths[3].placement = {0, 30};
  EXPECT_EQ(decide(paths, {.paths = 16, .relax = true}), 2U);
  EXPECT_EQ(paths[0].index, 1U);
  EXPECT_EQ(paths[1].index, 3U);
}

/// The outcome is a function of the set: shuffled candidates with small, colliding values.
TEST(Decision, DoesNotDependOnTheOrder) {
  std::mt19937 random(7);
  const auto less_than = [&](unsigned n) { return static_cast<std::uint32_t>(random() % n); };
  for (int round = 0; round < 3000; ++round) {
    std::vector<Candidate> paths;
    for (unsigned n = 0; n < 1 + less_than(7); ++n) {
      Candidate made = candidate(n);
      made.refused = less_than(8) == 0;
      made.resolved = less_than(8) != 0;
      made.external = less_than(2) == 0;
      made.local_pref = 100 + less_than(2);
      made.path_length = static_cast<std::uint16_t>(1 + less_than(2));
      made.origin = static_cast<std::uint8_t>(less_than(2));
      made.med = less_than(3);
      made.neighbour_as = 65001 + less_than(2);
      made.router_id = less_than(3);
      made.as_path = less_than(2);
      paths.push_back(made);
    }
    const MultipathLimits limits{static_cast<std::uint16_t>(1 + less_than(4)), less_than(2) == 0,
                                 less_than(2) == 0};
    std::vector<Candidate> first = paths;
    const std::size_t sharing = decide(first, limits);
    for (int shuffle = 0; shuffle < 4; ++shuffle) {
      std::shuffle(paths.begin(), paths.end(), random);
      std::vector<Candidate> other = paths;
      ASSERT_EQ(decide(other, limits), sharing);
      for (std::size_t i = 0; i < first.size(); ++i) {
        ASSERT_EQ(other[i].index, first[i].index);
        ASSERT_EQ(other[i].rung, first[i].rung);
        ASSERT_EQ(other[i].multipath, first[i].multipath);
      }
    }
  }
}

}  // namespace
}  // namespace weft::bgp
