// Conditional advertisement: each condition, all of them together, and what a reload keeps.
#include "bgp/conditional_originations.h"

#include <gmock/gmock.h>

#include "tests/bgp/tables.h"

namespace weft::bgp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const Prefix service = prefix("192.0.2.7/32");
constexpr Time t0{std::chrono::hours(1)};
const Prefix uplink = prefix("0.0.0.0/0");

AnnouncementSettings announcement(const Prefix& what = service) {
  AnnouncementSettings made;
  made.what.prefix = what;
  return made;
}

enum class Ask { nothing, when, unless, file, socket, command, all };

struct Case {
  const char* name;
  Ask ask;
  bool complete;
  bool learned;
  bool well;
  /// Empty: originated.
  const char* waits_for;
};

class Conditions : public testing::TestWithParam<Case> {};

TEST_P(Conditions, HoldOrSayWhatIsMissing) {
  const Case& given = GetParam();
  const auto asks = [&](Ask ask) { return given.ask == ask || given.ask == Ask::all; };
  AnnouncementSettings wanted = announcement();
  if (asks(Ask::when)) wanted.when_route = uplink;
  if (given.ask == Ask::unless) wanted.unless_route = uplink;
  if (asks(Ask::file)) wanted.health_file = "/run/well";
  if (given.ask == Ask::socket) wanted.health_socket = "/run/well.sock";
  if (given.ask == Ask::command) wanted.health_command = "true";
  ConditionalOriginations conditional;
  conditional.configure({wanted}, t0);
  if (given.complete) conditional.tables_complete(Family::ipv4);
  conditional.learned(uplink, given.learned);
  conditional.health(service, given.well ? "" : "the service is ill");
  const bool originated = std::string_view(given.waits_for).empty();
  EXPECT_EQ(conditional.step(t0).size(), originated ? 1U : 0U);
  EXPECT_EQ(conditional.originated(service) != nullptr, originated);
  EXPECT_EQ(conditional.status().front().waits_for, given.waits_for);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Conditions,
    testing::Values(Case{"None", Ask::nothing, false, false, false, ""},
                    Case{"When", Ask::when, false, true, false, ""},
                    Case{"WhenNot", Ask::when, true, false, true, "no learned route for 0.0.0.0/0"},
                    Case{"Unless", Ask::unless, true, true, true, "a learned route for 0.0.0.0/0"},
                    Case{"UnlessNot", Ask::unless, true, false, false, ""},
                    Case{"UnlessNotKnown", Ask::unless, false, false, true,
                         "whether 0.0.0.0/0 is learned is not known yet"},
                    Case{"File", Ask::file, false, false, true, ""},
                    Case{"FileGone", Ask::file, true, true, false, "the service is ill"},
                    Case{"Socket", Ask::socket, false, false, true, ""},
                    Case{"SocketGone", Ask::socket, true, true, false, "the service is ill"},
                    Case{"Command", Ask::command, false, false, true, ""},
                    Case{"CommandFails", Ask::command, true, true, false, "the service is ill"},
                    Case{"All", Ask::all, true, true, true, ""},
                    Case{"AllButOne", Ask::all, true, true, false, "the service is ill"}),
    [](const auto& c) { return c.param.name; });

TEST(ConditionalOriginations, FollowARouteThatComesAndGoes) {
  ConditionalOriginations conditional;
  AnnouncementSettings wanted = announcement();
  wanted.when_route = uplink;
  conditional.configure({wanted}, t0);
  EXPECT_THAT(conditional.step(t0), IsEmpty());
  conditional.learned(uplink, true);
  EXPECT_TRUE(conditional.due());
  EXPECT_THAT(conditional.step(t0), ElementsAre(service));
  conditional.learned(uplink, true);
  EXPECT_FALSE(conditional.due());
  conditional.learned(uplink, false);
  EXPECT_THAT(conditional.step(t0), ElementsAre(service));
  EXPECT_EQ(conditional.originated(service), nullptr);
  conditional.learned(uplink, true);
  conditional.learned(uplink, false);
  EXPECT_THAT(conditional.step(t0), IsEmpty());
}

TEST(ConditionalOriginations, AReloadKeepsTheHealthOfTheSameService) {
  ConditionalOriginations conditional;
  AnnouncementSettings first = announcement();
  first.health_file = "/run/well";
  AnnouncementSettings second = announcement(prefix("192.0.2.8/32"));
  second.health_file = "/run/well";
  AnnouncementSettings third = announcement(prefix("192.0.2.9/32"));
  conditional.configure({first, second, third}, t0);
  conditional.health(service, {});
  conditional.health(second.what.prefix, {});
  EXPECT_EQ(conditional.step(t0).size(), 3U);
  first.what.med = 5;
  first.health_interval = std::chrono::seconds(9);
  second.health_file = "/run/other";
  conditional.configure({first, second}, t0);
  EXPECT_THAT(conditional.step(t0),
              UnorderedElementsAre(service, second.what.prefix, third.what.prefix));
  EXPECT_EQ(conditional.originated(service)->med, 5U) << "told anew";
  EXPECT_EQ(conditional.originated(second.what.prefix), nullptr) << "another service";
  EXPECT_EQ(conditional.originated(third.what.prefix), nullptr) << "gone";
}

TEST(ConditionalOriginations, AServiceIsUnknownUntilToldOf) {
  ConditionalOriginations conditional;
  AnnouncementSettings wanted = announcement();
  wanted.health_command = "true";
  conditional.configure({wanted, announcement(prefix("fd00::/64"))}, t0);
  EXPECT_THAT(conditional.step(t0), ElementsAre(prefix("fd00::/64")));
  EXPECT_EQ(conditional.status()[0].waits_for, "the service has not been looked at yet");
  EXPECT_TRUE(conditional.awaits_health(Family::ipv4));
  EXPECT_FALSE(conditional.awaits_health(Family::ipv6));
  conditional.health(service, "ill");
  EXPECT_FALSE(conditional.awaits_health(Family::ipv4));
  EXPECT_THAT(conditional.step(t0 + std::chrono::seconds(1)), IsEmpty());
  EXPECT_EQ(conditional.status()[0].since, t0);
  conditional.health(service, {});
  EXPECT_THAT(conditional.step(t0 + std::chrono::seconds(2)), ElementsAre(service));
  EXPECT_EQ(conditional.status()[0].since, t0 + std::chrono::seconds(2));
  EXPECT_EQ(conditional.status()[0].changes, 1U);
}

TEST(ConditionalOriginations, TellWhatChangedAndWhy) {
  ConditionalOriginations conditional;
  AnnouncementSettings wanted = announcement();
  wanted.health_command = "true";
  wanted.when_route = uplink;
  const auto news = [&] {
    static_cast<void>(conditional.step(t0));
    return conditional.take_news();
  };
  conditional.configure({wanted}, t0);
  conditional.learned(uplink, true);
  EXPECT_THAT(news(), IsEmpty()) << "nothing is decided yet";
  conditional.health(service, "the health command fails");
  EXPECT_THAT(news(), IsEmpty()) << "the tables may not be complete";
  conditional.tables_complete(Family::ipv4);
  EXPECT_THAT(news(), ElementsAre("192.0.2.7/32 is not originated: the health command fails"));
  conditional.health(service, "another reason");
  EXPECT_THAT(news(), IsEmpty()) << "said once";
  conditional.health(service, {});
  EXPECT_THAT(news(), ElementsAre("192.0.2.7/32 is originated: its conditions hold"));
  conditional.health(service, "the health command fails");
  EXPECT_THAT(news(), ElementsAre("192.0.2.7/32 is withdrawn: the health command fails"));
  conditional.health(service, {});
  conditional.learned(uplink, false);
  EXPECT_THAT(news(), IsEmpty());
  conditional.learned(uplink, true);
  EXPECT_THAT(news(), ElementsAre("192.0.2.7/32 is originated: its conditions hold"));
  conditional.configure({}, t0);
  EXPECT_THAT(news(), ElementsAre("192.0.2.7/32 is withdrawn: it is not configured any more"));
}

}  // namespace
}  // namespace weft::bgp
