// Addresses that another plugin gave out, taken over or refused with the reason.
#include "ipam/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::ipam {
namespace {

using testing::HasSubstr;

AddressInUse used(const char* address, const char* container, const char* ifname = "eth0") {
  return {*Address::parse(address), {"old", container, ifname}};
}

class Importing : public testing::Test {
 protected:
  void SetUp() override {
    PoolSettings pool;
    pool.name = "small";
    pool.ipv4 = *Prefix::parse("10.64.0.0/24");
    pool.ipv6 = *Prefix::parse("fd64::/120");
    pool.ipv4_block_length = 29;
    pool.ipv6_block_length = 125;
    pool.claim = StaticIndex{1, 1};
    pool.gateway = true;
    settings_.pools = {pool};
    ASSERT_TRUE(allocator_.configure(settings_));
  }
  Import plan(const std::vector<AddressInUse>& addresses) {
    return plan_import(allocator_, addresses, Time());
  }
  std::string refusal(const std::vector<AddressInUse>& addresses) {
    const Import import_of = plan(addresses);
    return import_of.verdicts.back().reason;
  }

  Settings settings_;
  Allocator allocator_{"boot-1", 100};
};

TEST_F(Importing, TakesOverAllThatFits) {
  const std::vector<AddressInUse> addresses{used("10.64.0.10", "a"), used("fd64::a", "a"),
                                            used("10.64.0.11", "a", "eth1"), used("fd64::c", "b")};
  const Import first = plan(addresses);
  EXPECT_FALSE(first.refuses());
  EXPECT_EQ(first.changes.size(), 3U) << "one lease for the two families of an interface";
  EXPECT_EQ(allocator_.lease_count(), 0U) << "a plan";
  allocator_.apply(first.changes);
  const Lease* lease = allocator_.find(Attachment{"old", "a", "eth0"});
  ASSERT_NE(lease, nullptr);
  EXPECT_EQ(lease->ipv4()->text(), "10.64.0.10");
  EXPECT_TRUE(lease->delegated);
  EXPECT_EQ(lease->netns_inode, 0U) << "nobody knows its namespace";
  EXPECT_EQ(allocator_.find(Attachment{"old", "b", "eth0"})->ipv6()->text(), "fd64::c");

  const Import again = plan(addresses);
  EXPECT_TRUE(again.changes.empty());
  for (const Verdict& verdict : again.verdicts) EXPECT_EQ(verdict.kind, Verdict::Kind::known);
  AllocateRequest next{{"net", "c", "eth0"}, "/n", 1, ""};
  EXPECT_EQ(allocator_.allocate(next, Time())->lease.ipv4()->text(), "10.64.0.13");
}

TEST_F(Importing, WhatIsSeenInUseIsInUseByTheOneItComesFrom) {
  allocator_.quarantine({allocator_.blocks(Time())[0].id, 2}, "10.64.0.10 has a route");
  const Import taken = plan({used("10.64.0.10", "a")});
  EXPECT_FALSE(taken.refuses());
  allocator_.apply(taken.changes);
  EXPECT_TRUE(allocator_.quarantined().empty());
}

TEST_F(Importing, RefusesWithTheReason) {
  EXPECT_THAT(refusal({used("10.64.0.99", "a")}),
              HasSubstr("of pool small, which is not this host's"));
  EXPECT_THAT(refusal({used("10.99.0.1", "a")}),
              HasSubstr("10.99.0.1 is in no pool: weftd has small"));
  EXPECT_THAT(refusal({used("10.64.0.9", "a")}), HasSubstr("10.64.0.9 is reserved"));
  EXPECT_THAT(refusal({used("10.64.0.10", "a"), used("fd64::b", "a")}),
              HasSubstr("does not go with"));
  EXPECT_THAT(refusal({used("10.64.0.10", "a"), used("10.64.0.11", "a")}),
              HasSubstr("several addresses of one family"));
  EXPECT_THAT(refusal({used("10.64.0.10", "a"), used("10.64.0.10", "b")}), HasSubstr("is held by"));
  EXPECT_THAT(refusal({used("10.64.0.10", "a"), used("10.64.0.11", "b/c")}),
              HasSubstr("container"));
  AllocateRequest ours{{"old", "a", "eth0"}, "/n", 1, ""};
  allocator_.apply(allocator_.allocate(ours, Time())->changes);
  EXPECT_THAT(refusal({used("10.64.0.13", "a")}), HasSubstr("holds 10.64.0.10 already"));
  // One that does not fit leaves the verdict of the others as it is.
  const Import mixed = plan({used("10.64.0.12", "x"), used("10.99.0.1", "y")});
  EXPECT_EQ(mixed.verdicts[0].kind, Verdict::Kind::fits);
  EXPECT_TRUE(mixed.refuses());
}

}  // namespace
}  // namespace weft::ipam
