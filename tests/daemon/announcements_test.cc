#include "daemon/announcements.h"

#include <gmock/gmock.h>

namespace weft::daemon {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Time t0{1h};

// What clients have this node announce is in the log, and a client that renews its lease every few
// seconds does not fill it.
TEST(Announcements, TellWhatClientsChange) {
  Announcements all;
  ctl::AnnounceRequest request;
  request.prefix = *Prefix::parse("192.0.2.7/32");
  request.ttl_seconds = 60;
  request.communities = {"65001:7", "no-export"};
  request.med = 5;
  all.announce(request, 4, t0);
  EXPECT_THAT(all.take_news(),
              ElementsAre("192.0.2.7/32 is announced for a client for 60 s, communities 65001:7 "
                          "no-export, MED 5"));
  all.announce(request, 5, t0 + 10s);
  EXPECT_THAT(all.take_news(), IsEmpty()) << "renewed";
  request.med.reset();
  all.announce(request, 5, t0 + 20s);
  EXPECT_EQ(all.take_news().size(), 1U) << "changed";
  EXPECT_TRUE(all.expire(t0 + 80s));
  EXPECT_THAT(all.take_news(), ElementsAre("192.0.2.7/32 is withdrawn: its time is over"));

  ctl::AnnounceRequest held;
  held.prefix = *Prefix::parse("192.0.2.8/32");
  held.hold = true;
  all.announce(held, 6, t0);
  EXPECT_THAT(all.take_news(),
              ElementsAre("192.0.2.8/32 is announced for a client while client 6 is there"));
  EXPECT_TRUE(all.client_gone(6));
  EXPECT_THAT(all.take_news(),
              ElementsAre("192.0.2.8/32 is withdrawn: client 6, which held it, is gone"));

  ctl::AnnounceRequest plain;
  plain.prefix = *Prefix::parse("192.0.2.9/32");
  all.announce(plain, 7, t0);
  EXPECT_THAT(all.take_news(),
              ElementsAre("192.0.2.9/32 is announced for a client until it is withdrawn"));
  ctl::WithdrawRequest withdraw;
  withdraw.prefix = plain.prefix;
  all.withdraw(withdraw, 8);
  EXPECT_THAT(all.take_news(), ElementsAre("192.0.2.9/32 is withdrawn by a client"));
  all.withdraw(withdraw, 8);
  EXPECT_THAT(all.take_news(), IsEmpty()) << "it was not there";
}

}  // namespace
}  // namespace weft::daemon
