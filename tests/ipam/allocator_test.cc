#include "ipam/allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

namespace weft::ipam {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr Time at(int second) {
  return Time(seconds(second));
}

/// Two blocks of four addresses, paired; 60 s of cool-down, audits every 30 s.
Settings small_pool(const char* ipv4 = "10.64.0.0/24", const char* ipv6 = "fd64::/120") {
  PoolSettings pool;
  pool.name = "small";
  pool.ipv4 = *Prefix::parse(ipv4);
  pool.ipv6 = *Prefix::parse(ipv6);
  pool.ipv4_block_length = 30;
  pool.ipv6_block_length = 126;
  pool.claim = StaticIndex{1, 2};
  Settings settings;
  settings.pools = {pool};
  settings.cool_down = seconds(60);
  settings.audit_interval = seconds(30);
  return settings;
}

class Allocation : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(allocator_.configure(small_pool())); }

  static AllocateRequest request(const std::string& container, std::uint64_t inode = 0,
                                 const std::string& pool = "") {
    return {{"net", container, "eth0"},
            "/run/netns/" + container,
            inode != 0 ? inode : stable_hash(container),
            pool};
  }
  Result<Grant, Refusal> add(const AllocateRequest& request, int second) {
    auto grant = allocator_.allocate(request, at(second));
    if (grant) allocator_.apply(grant->changes);
    return grant;
  }
  std::string address(const std::string& container, int second = 0) {
    const auto grant = add(request(container), second);
    return grant ? grant->lease.ipv4()->text() : grant.error().message;
  }
  Release del(const std::string& container, int second,
              std::optional<std::uint64_t> sequence = std::nullopt) {
    Release release = allocator_.release({"net", container, "eth0"}, sequence, at(second));
    allocator_.apply(release.changes);
    return release;
  }
  static Observation seen(const std::vector<std::string>& containers) {
    Observation observation;
    for (const auto& container : containers) {
      observation.host_ifnames.insert(host_ifname({"net", container, "eth0"}));
    }
    return observation;
  }

  Allocator allocator_{"boot-1", 100};
};

TEST_F(Allocation, UsesEveryAddressOfEveryOwnBlockAndNoOther) {
  std::vector<std::string> given;
  given.reserve(8);
  for (int i = 0; i < 8; ++i) given.push_back(address(fmt::format("c{}", i)));
  EXPECT_THAT(given, testing::ElementsAre("10.64.0.8", "10.64.0.9", "10.64.0.10", "10.64.0.11",
                                          "10.64.0.12", "10.64.0.13", "10.64.0.14", "10.64.0.15"));
  EXPECT_EQ(allocator_.find({"net", "c7", "eth0"})->ipv6()->text(), "fd64::f");
  const auto none = add(request("c8"), 0);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, Refusal::Reason::exhausted);
  EXPECT_THAT(none.error().message, HasSubstr("8 held and 0 resting in 2 blocks"));
}

TEST_F(Allocation, NothingHappensBeforeItIsApplied) {
  const auto first = allocator_.allocate(request("a"), at(0));
  const auto second = allocator_.allocate(request("b"), at(0));
  EXPECT_EQ(first->lease.ipv4(), second->lease.ipv4());
  EXPECT_EQ(allocator_.lease_count(), 0U);
}

TEST_F(Allocation, RepeatedAddGivesTheSameLease) {
  const auto first = add(request("a"), 0);
  const auto again = add(request("a"), 50);
  EXPECT_FALSE(first->existing);
  EXPECT_TRUE(again->existing);
  EXPECT_EQ(again->lease, first->lease);
  EXPECT_TRUE(again->changes.empty());
}

TEST_F(Allocation, AnotherNamespaceEndsTheOldLease) {
  const auto first = add(request("a", 1), 0);
  const auto second = add(request("a", 2), 1);
  EXPECT_FALSE(second->existing);
  EXPECT_EQ(second->replaced, first->lease);
  EXPECT_NE(second->lease.ipv4(), first->lease.ipv4());
  EXPECT_GT(second->lease.sequence, first->lease.sequence);
  EXPECT_EQ(allocator_.lease_count(), 1U);
  EXPECT_EQ(allocator_.blocks(at(1))[0].cooling, 1U);
}

TEST_F(Allocation, InterfacesOfOneContainerAreApart) {
  AllocateRequest second = request("a");
  second.attachment.ifname = "eth1";
  EXPECT_NE(add(request("a"), 0)->lease.ipv4(), add(second, 0)->lease.ipv4());
}

TEST_F(Allocation, FreedAddressesRestAndComeBackInOrder) {
  for (int i = 0; i < 8; ++i) address(fmt::format("c{}", i));
  del("c5", 10);
  del("c2", 20);
  EXPECT_THAT(address("x", 30),
              HasSubstr("6 held and 2 resting in 2 blocks; the next is free in 40 s"));
  EXPECT_EQ(address("x", 70), "10.64.0.13");
  EXPECT_EQ(address("y", 80), "10.64.0.10");
}

TEST_F(Allocation, ReleaseOfTheUnknownIsSuccess) {
  EXPECT_EQ(del("nobody", 0).lease, std::nullopt);
  address("a");
  EXPECT_TRUE(del("a", 1).lease);
  EXPECT_FALSE(del("a", 2).lease);
  EXPECT_EQ(allocator_.blocks(at(2))[0].cooling, 1U);
}

TEST_F(Allocation, ReleaseOfAnEarlierAllocationLeavesTheLaterAlone) {
  const auto first = add(request("a", 1), 0);
  const auto second = add(request("a", 2), 1);
  EXPECT_FALSE(del("a", 2, first->lease.sequence).lease);
  EXPECT_EQ(allocator_.lease_count(), 1U);
  EXPECT_TRUE(del("a", 3, second->lease.sequence).lease);
  EXPECT_EQ(allocator_.lease_count(), 0U);
}

TEST_F(Allocation, RefusesWithReasons) {
  EXPECT_EQ(add(request("a", 0, "other"), 0).error().reason, Refusal::Reason::unknown_pool);
  EXPECT_EQ(add(request("a/b"), 0).error().reason, Refusal::Reason::bad_request);
  Allocator poolless("boot-1", 1);
  EXPECT_THAT(poolless.allocate(request("a"), at(0)).error().message, HasSubstr("has no pools"));
}

/// As one that was decided on before the container was made anew.
TEST_F(Allocation, AFreeOfAnEarlierAllocationIsNotCarriedOut) {
  const auto first = add(request("a"), 0);
  ASSERT_TRUE(first);
  const Release late = allocator_.release({"net", "a", "eth0"}, std::nullopt, at(1));
  del("a", 1);
  AllocateRequest same = request("a");
  same.addresses = {*first->lease.ipv4()};
  const auto second = add(same, 100);
  ASSERT_TRUE(second) << second.error().message;
  ASSERT_EQ(second->lease.ipv4(), first->lease.ipv4());
  allocator_.apply(late.changes);
  const Lease* held = allocator_.find(Attachment{"net", "a", "eth0"});
  ASSERT_NE(held, nullptr);
  EXPECT_EQ(held->sequence, second->lease.sequence);
}

TEST_F(Allocation, SaysBeforehandWhetherItWouldGive) {
  EXPECT_EQ(allocator_.why_not_given("net", "", at(0)), "");
  EXPECT_EQ(allocator_.why_not_given("net", "small", at(0)), "");
  EXPECT_THAT(allocator_.why_not_given("net", "other", at(0)),
              HasSubstr("there is no pool 'other': weftd has small"));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(add(request(std::to_string(i)), 0));
  EXPECT_EQ(allocator_.why_not_given("net", "", at(0)), add(request("another"), 0).error().message);
  EXPECT_THAT(allocator_.why_not_given("net", "", at(0)), HasSubstr("8 held"));
  del("3", 0);
  EXPECT_THAT(allocator_.why_not_given("net", "", at(0)), HasSubstr("the next is free in 60 s"));
  EXPECT_EQ(allocator_.why_not_given("net", "", at(61)), "");
  EXPECT_EQ(allocator_.lease_count(), 7U) << "it was only a question";

  Settings etcd = small_pool();
  etcd.pools[0].claim = EtcdClaim{};
  Allocator unclaimed("boot-1", 1);
  ASSERT_TRUE(unclaimed.configure(etcd));
  EXPECT_THAT(unclaimed.why_not_given("net", "", at(0)),
              HasSubstr("has no block on this host: weftctl status says why"));
}

TEST_F(Allocation, AuditFreesWhatTwiceHadNoVeth) {
  address("a");
  address("b");
  EXPECT_TRUE(allocator_.audit(seen({"a"}), at(100)).freed.empty());
  EXPECT_FALSE(allocator_.leases()[1].attached);
  EXPECT_TRUE(allocator_.audit(seen({"a"}), at(129)).freed.empty()) << "too soon after the first";
  const Audit audit = allocator_.audit(seen({"a"}), at(130));
  ASSERT_EQ(audit.freed.size(), 1U);
  EXPECT_EQ(audit.freed[0].attachment.container, "b");
  allocator_.apply(audit.changes);
  EXPECT_EQ(allocator_.lease_count(), 1U);
  EXPECT_EQ(allocator_.blocks(at(130))[0].cooling, 1U);
}

TEST_F(Allocation, AuditForgivesAVethThatIsBack) {
  address("a");
  EXPECT_TRUE(allocator_.audit(seen({}), at(100)).freed.empty());
  EXPECT_TRUE(allocator_.audit(seen({"a"}), at(130)).freed.empty());
  EXPECT_TRUE(allocator_.audit(seen({}), at(160)).freed.empty());
  EXPECT_FALSE(allocator_.audit(seen({}), at(190)).freed.empty());
}

TEST_F(Allocation, AuditTwiceAtOnceIsOneAudit) {
  Settings settings = small_pool();
  settings.audit_interval = seconds(0);
  ASSERT_TRUE(allocator_.configure(settings));
  address("a");
  EXPECT_TRUE(allocator_.audit(seen({}), at(100)).freed.empty());
  EXPECT_TRUE(allocator_.audit(seen({}), at(100)).freed.empty());
}

TEST_F(Allocation, AnotherBootEndsAllThatHasNoVeth) {
  const auto old = add(request("a"), 0);
  Allocator rebooted("boot-2", 100);
  ASSERT_TRUE(rebooted.configure(small_pool()));
  rebooted.apply(old->changes);
  // The same container comes back before the audit, its namespace with the same number by chance.
  const auto again = rebooted.allocate(request("a"), at(5));
  EXPECT_FALSE(again->existing);
  EXPECT_EQ(again->replaced, old->lease);
  const Audit audit = rebooted.audit({}, at(6));
  ASSERT_EQ(audit.freed.size(), 1U);
  rebooted.apply(audit.changes);
  EXPECT_EQ(rebooted.lease_count(), 0U);
}

TEST_F(Allocation, SequenceGoesOnAboveWhatWasReplayed) {
  const auto first = add(request("a"), 0);
  EXPECT_EQ(first->lease.sequence, 100U);
  Allocator next("boot-1", 50);
  ASSERT_TRUE(next.configure(small_pool()));
  next.apply(first->changes);
  EXPECT_EQ(next.allocate(request("b"), at(1))->lease.sequence, 101U);
}

TEST_F(Allocation, BlocksThatAreGoneFromTheSettingsDrain) {
  address("a");
  Settings smaller = small_pool();
  smaller.pools[0].claim = StaticBlocks{{3}};
  ASSERT_TRUE(allocator_.configure(smaller));
  const auto blocks = allocator_.blocks(at(0));
  ASSERT_EQ(blocks.size(), 2U) << "block 2 drains, block 3 is owned";
  EXPECT_EQ(blocks[0].state, BlockState::draining);
  EXPECT_EQ(blocks[0].held, 1U);
  EXPECT_EQ(address("b"), "10.64.0.12");
  del("a", 1);
  EXPECT_EQ(allocator_.blocks(at(1)).size(), 1U) << "empty: not to be announced";
  const Audit audit = allocator_.audit(seen({"b"}), at(2));
  ASSERT_EQ(audit.changes.size(), 1U);
  EXPECT_EQ(std::get<Dropped>(audit.changes[0]).block.index, 2U);
  allocator_.apply(audit.changes);
  EXPECT_TRUE(allocator_.audit(seen({"b"}), at(3)).changes.empty());
}

TEST_F(Allocation, ABlockThatComesBackIsOwnedAgain) {
  address("a");
  Settings none = small_pool();
  none.pools.clear();
  ASSERT_TRUE(allocator_.configure(none));
  ASSERT_TRUE(allocator_.configure(small_pool()));
  EXPECT_EQ(allocator_.blocks(at(0)).size(), 2U);
  EXPECT_EQ(address("b"), "10.64.0.9");
}

TEST_F(Allocation, BadSettingsChangeNothing) {
  Settings bad = small_pool();
  bad.pools[0].claim = StaticIndex{1000, 2};
  EXPECT_FALSE(allocator_.configure(bad));
  EXPECT_EQ(address("a"), "10.64.0.8");
}

TEST_F(Allocation, RenumberedPoolNeverGivesAnAddressThatIsStillHeld) {
  EXPECT_EQ(address("a"), "10.64.0.8");
  // The same IPv4 range, cut the same, with other IPv6 addresses: other blocks over the same
  // ordinals.
  ASSERT_TRUE(allocator_.configure(small_pool("10.64.0.0/24", "fd65::/120")));
  EXPECT_EQ(address("b"), "10.64.0.9");
  EXPECT_EQ(allocator_.find({"net", "b", "eth0"})->ipv6()->text(), "fd65::9");
  EXPECT_EQ(allocator_.find({"net", "a", "eth0"})->ipv6()->text(), "fd64::8");
  del("a", 1);
  del("b", 2);
  EXPECT_EQ(allocator_.lease_count(), 0U);
}

TEST_F(Allocation, RebuildsFromTheLinks) {
  std::vector<KernelVeth> veths;
  std::vector<Lease> leases;
  for (const char* container : {"a", "b"}) {
    const Lease lease = add(request(container), 0)->lease;
    veths.push_back({host_ifname(lease.attachment), link_alias(lease), lease.ipv4(), lease.ipv6()});
    leases.push_back(lease);
  }
  EXPECT_TRUE(allocator_.rebuild(veths, at(1)).changes.empty()) << "all known";
  Allocator fresh("boot-1", 500);
  ASSERT_TRUE(fresh.configure(small_pool()));
  const Audit audit = fresh.rebuild(veths, at(2));
  EXPECT_TRUE(audit.complaints.empty());
  ASSERT_EQ(audit.adopted.size(), 2U);
  fresh.apply(audit.changes);
  for (const Lease& lease : leases) {
    const Lease* found = fresh.find(lease.attachment);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->ipv4(), lease.ipv4());
    EXPECT_EQ(found->ipv6(), lease.ipv6());
  }
  EXPECT_NE(fresh.find(leases[0].attachment)->sequence, fresh.find(leases[1].attachment)->sequence);
  EXPECT_EQ(fresh.allocate(request("c"), at(3))->lease.ipv4()->text(), "10.64.0.10");
}

TEST_F(Allocation, RebuildKnowsAContainerByItsAbbreviatedName) {
  AllocateRequest long_named = request("a");
  long_named.attachment.container = std::string(200, 'a');
  const Lease lease = add(long_named, 0)->lease;
  Allocator fresh("boot-1", 500);
  ASSERT_TRUE(fresh.configure(small_pool()));
  fresh.apply(
      fresh.rebuild({{host_ifname(lease.attachment), link_alias(lease), {}, {}}}, at(2)).changes);
  ASSERT_NE(fresh.find(lease.attachment), nullptr);
  const Release release = fresh.release(lease.attachment, std::nullopt, at(3));
  EXPECT_TRUE(release.lease);
}

TEST_F(Allocation, RebuildComplainsAboutWhatCannotBe) {
  const Lease lease = add(request("a"), 0)->lease;
  const std::string alias = link_alias(lease);
  const std::string ifname = host_ifname(lease.attachment);
  Allocator fresh("boot-1", 500);
  ASSERT_TRUE(fresh.configure(small_pool()));
  const auto complaint = [&](const KernelVeth& veth) {
    const Audit audit = fresh.rebuild({veth}, at(1));
    EXPECT_TRUE(audit.changes.empty());
    return audit.complaints.empty() ? std::string() : audit.complaints[0];
  };
  EXPECT_EQ(complaint({"eth7", "uplink", {}, {}}), "") << "not ours";
  EXPECT_THAT(complaint({"weft00000000000", alias, {}, {}}),
              HasSubstr("whose link would be " + ifname));
  EXPECT_THAT(complaint({ifname, alias, *Address::parse("10.9.9.9"), {}}),
              HasSubstr("routes lead to 10.9.9.9"));
  EXPECT_THAT(complaint({ifname, "weft:gone:2:0:net:a:eth0", {}, {}}), HasSubstr("does not exist"));
  EXPECT_THAT(complaint({ifname, "weft:small:999:0:net:a:eth0", {}, {}}),
              HasSubstr("does not exist"));
  EXPECT_THAT(complaint({ifname, "weft:small:2:4:net:a:eth0", {}, {}}), HasSubstr("which has 4"));
  const Attachment other{"net", "b", "eth0"};
  const Audit audit = fresh.rebuild(
      {{ifname, alias, {}, {}}, {host_ifname(other), "weft:small:2:0:net:b:eth0", {}, {}}}, at(1));
  EXPECT_EQ(audit.adopted.size(), 1U);
  ASSERT_EQ(audit.complaints.size(), 1U);
  EXPECT_THAT(audit.complaints[0], HasSubstr("10.64.0.8 is held by another container too"));
}

TEST_F(Allocation, ABlockOfThePoolThatIsNotOursIsAdoptedAsDraining) {
  const Attachment attachment{"net", "a", "eth0"};
  allocator_.apply(
      allocator_.rebuild({{host_ifname(attachment), "weft:small:9:1:net:a:eth0", {}, {}}}, at(1))
          .changes);
  const auto blocks = allocator_.blocks(at(1));
  ASSERT_EQ(blocks.size(), 3U);
  EXPECT_EQ(blocks[2].id.index, 9U);
  EXPECT_EQ(blocks[2].state, BlockState::draining);
}

Settings with_reserved(const std::vector<std::pair<const char*, const char*>>& ranges) {
  Settings settings = small_pool();
  for (const auto& [first, last] : ranges)
    settings.pools[0].reserved.push_back({*Address::parse(first), *Address::parse(last)});
  return settings;
}

TEST_F(Allocation, ReservedAddressesOfEitherFamilyAreNeverGiven) {
  ASSERT_TRUE(allocator_.configure(
      with_reserved({{"10.64.0.0", "10.64.0.9"}, {"fd64::b", "fd64::b"}, {"fd64::e", "fd64::f"}})));
  const BlockStatus first = allocator_.blocks(at(0))[0];
  EXPECT_EQ(first.reserved, 3U);
  EXPECT_EQ(first.free, 1U);
  EXPECT_EQ(address("a"), "10.64.0.10");
  EXPECT_EQ(address("b"), "10.64.0.12");
  EXPECT_EQ(address("c"), "10.64.0.13");
  EXPECT_THAT(address("d"), HasSubstr("5 reserved"));
  ASSERT_TRUE(allocator_.configure(small_pool()));
  EXPECT_EQ(address("d"), "10.64.0.8");
}

TEST_F(Allocation, AReservationLeavesTheHolderAlone) {
  EXPECT_EQ(address("a"), "10.64.0.8");
  ASSERT_TRUE(allocator_.configure(with_reserved({{"10.64.0.8", "10.64.0.8"}})));
  EXPECT_EQ(allocator_.lease_count(), 1U);
  del("a", 1);
  for (int i = 0; i < 7; ++i) EXPECT_NE(address(fmt::format("c{}", i), 100), "10.64.0.8");
  EXPECT_THAT(address("last", 100), HasSubstr("no free address"));
}

TEST_F(Allocation, AskedForAddressesAreGivenOrRefusedWithTheReason) {
  const auto ask = [&](const std::string& container, const std::vector<std::string>& addresses,
                       int second = 0, std::uint64_t inode = 0) {
    AllocateRequest wanted = request(container, inode);
    for (const std::string& text : addresses) wanted.addresses.push_back(*Address::parse(text));
    return add(wanted, second);
  };
  using Reason = Refusal::Reason;
  EXPECT_EQ(ask("a", {"10.64.0.13"})->lease.ipv6()->text(), "fd64::d");
  EXPECT_EQ(ask("b", {"fd64::a", "10.64.0.10"})->lease.ipv4()->text(), "10.64.0.10");
  EXPECT_EQ(ask("c", {"fd64::a"}).error().reason, Reason::taken);
  EXPECT_EQ(ask("c", {"10.64.0.9", "fd64::8"}).error().reason, Reason::bad_request);
  EXPECT_EQ(ask("c", {"10.64.0.16"}).error().reason, Reason::elsewhere);
  EXPECT_TRUE(ask("a", {"10.64.0.13"})->existing);
  EXPECT_EQ(ask("a", {"10.64.0.12"}).error().reason, Reason::bad_request) << "it has another";
  // Made anew without a DEL, it keeps its address; freed, it gets it back before the rest is over.
  const auto again = ask("a", {"10.64.0.13"}, 1, 77);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->lease.ipv4()->text(), "10.64.0.13");
  EXPECT_EQ(allocator_.lease_count(), 2U);
  del("a", 5);
  EXPECT_EQ(ask("a", {"10.64.0.13"}, 6)->lease.ipv4()->text(), "10.64.0.13");
  ASSERT_TRUE(allocator_.configure(with_reserved({{"10.64.0.8", "10.64.0.8"}})));
  EXPECT_EQ(ask("c", {"10.64.0.8"}).error().reason, Reason::taken);
}

TEST_F(Allocation, ADrainingPoolKeepsWhatItHasAndGivesNothing) {
  address("a");
  Settings settings = small_pool();
  settings.pools[0].state = PoolState::draining;
  ASSERT_TRUE(allocator_.configure(settings));
  ASSERT_EQ(allocator_.blocks(at(1)).size(), 1U) << "the empty one goes, the other is announced";
  EXPECT_EQ(allocator_.blocks(at(1))[0].state, BlockState::draining);
  EXPECT_TRUE(add(request("a"), 1)->existing);
  EXPECT_THAT(add(request("b", 0, "small"), 1).error().message, HasSubstr("draining"));
  ASSERT_TRUE(allocator_.configure(small_pool()));
  EXPECT_EQ(address("b"), "10.64.0.9");
}

TEST_F(Allocation, PoolsAreForNetworksAndNodes) {
  Settings settings = small_pool();
  PoolSettings other = settings.pools[0];
  other.name = "other";
  other.ipv4 = *Prefix::parse("10.65.0.0/24");
  other.ipv6.reset();
  other.networks = {"storage"};
  settings.pools.push_back(other);
  other.name = "rack";
  other.ipv4 = *Prefix::parse("10.66.0.0/24");
  other.networks = {};
  other.nodes = {{"rack", "r1"}};
  settings.pools.insert(settings.pools.begin(), other);
  ASSERT_TRUE(allocator_.configure(settings));
  EXPECT_EQ(address("a"), "10.64.0.8") << "the node has no such label";
  AllocateRequest storage = request("b");
  storage.attachment.network = "storage";
  EXPECT_EQ(add(storage, 0)->lease.ipv4()->text(), "10.65.0.8");
  EXPECT_EQ(add(request("c", 0, "other"), 0).error().reason, Refusal::Reason::bad_request);
  settings.labels = {{"rack", "r1"}, {"name", "h"}};
  ASSERT_TRUE(allocator_.configure(settings));
  EXPECT_EQ(address("c"), "10.66.0.8");
  EXPECT_EQ(address("a"), "10.64.0.8") << "who has an address keeps it";
}

TEST_F(Allocation, OfTwoHostsWithOneIndexTheLaterDoesNotBegin) {
  address("a");
  const auto blocks = allocator_.blocks(at(0));
  allocator_.contest({blocks[0].id, blocks[1].id});
  EXPECT_EQ(address("b"), "10.64.0.9") << "in use before: goes on";
  address("c");
  address("d");
  EXPECT_THAT(address("e"), HasSubstr("announced by another host"));
  EXPECT_TRUE(allocator_.blocks(at(0))[1].contested);
  allocator_.contest({});
  EXPECT_EQ(address("e"), "10.64.0.12");
}

AddressRange range(const char* first, const char* last) {
  return {*Address::parse(first), *Address::parse(last)};
}

TEST_F(Allocation, RangesSayWhichAddressesMayBeGiven) {
  const auto ask = [&](const std::string& container,
                       std::vector<std::vector<AddressRange>> ranges) {
    AllocateRequest wanted = request(container);
    wanted.ranges = std::move(ranges);
    const auto grant = add(wanted, 0);
    return grant ? grant->lease.ipv4()->text() : grant.error().message;
  };
  // Alternatives within a set; what lies beyond this host's blocks is no harm.
  EXPECT_EQ(ask("a", {{range("10.64.0.14", "10.64.0.200")}}), "10.64.0.14");
  EXPECT_EQ(ask("b", {{range("10.64.0.1", "10.64.0.2"), range("10.64.0.11", "10.64.0.11")}}),
            "10.64.0.11");
  // A set of each family: both hold.
  EXPECT_EQ(ask("c", {{range("10.64.0.8", "10.64.0.15")}, {range("fd64::d", "fd64::ff")}}),
            "10.64.0.13");
  EXPECT_THAT(ask("d", {{range("10.64.0.8", "10.64.0.9")}, {range("fd64::e", "fd64::ff")}}),
              HasSubstr("no block of this host in pool small has addresses of "
                        "10.64.0.8-10.64.0.9 and fd64::e-fd64::ff"));
  EXPECT_THAT(ask("d", {{range("10.64.0.14", "10.64.0.14")}}),
              HasSubstr("no free address of 10.64.0.14 on this host"));
  EXPECT_EQ(ask("a", {{range("10.64.0.14", "10.64.0.14")}}), "10.64.0.14") << "a repeated ADD";
  EXPECT_THAT(ask("a", {{range("10.64.0.8", "10.64.0.9")}}), HasSubstr("not of the ranges"));
  AllocateRequest both = request("e");
  both.ranges = {{range("10.64.0.8", "10.64.0.9")}};
  both.addresses = {*Address::parse("10.64.0.10")};
  EXPECT_THAT(add(both, 0).error().message, HasSubstr("not in the ranges"));
  both.addresses = {*Address::parse("10.64.0.9")};
  EXPECT_EQ(add(both, 0)->lease.ipv4()->text(), "10.64.0.9");
  EXPECT_EQ(address("f"), "10.64.0.8") << "the rest is for all others";
}

TEST_F(Allocation, RangesThatCannotBeAreRefusedWithTheReason) {
  struct Case {
    std::vector<std::vector<AddressRange>> ranges;
    Refusal::Reason reason;
    const char* message;
  };
  using Reason = Refusal::Reason;
  const AddressRange good = range("10.64.0.8", "10.64.0.9");
  for (const Case& c :
       {Case{{{range("10.99.0.1", "10.99.0.9")}}, Reason::bad_request, "in no pool"},
        Case{{{good, range("10.99.0.1", "10.99.0.1")}},
             Reason::bad_request,
             "the range 10.99.0.1 is in no pool"},
        Case{{{range("10.64.0.100", "10.64.0.101")}}, Reason::elsewhere, "no block of this host"},
        Case{{{good}, {good}}, Reason::bad_request, "second ipv4 address"},
        Case{{{good, range("fd64::8", "fd64::9")}}, Reason::bad_request, "another family"},
        Case{{{range("10.64.0.9", "10.64.0.8")}}, Reason::bad_request, "is none"},
        Case{{{}}, Reason::bad_request, "has no range"}}) {
    AllocateRequest wanted = request("a");
    wanted.ranges = c.ranges;
    const auto grant = add(wanted, 0);
    ASSERT_FALSE(grant) << c.message;
    EXPECT_EQ(grant.error().reason, c.reason) << c.message;
    EXPECT_THAT(grant.error().message, HasSubstr(c.message));
  }
}

TEST_F(Allocation, RangesChooseThePool) {
  Settings settings = small_pool();
  PoolSettings other = settings.pools[0];
  other.name = "other";
  other.ipv4 = *Prefix::parse("10.65.0.0/24");
  other.ipv6.reset();
  settings.pools.push_back(other);
  ASSERT_TRUE(allocator_.configure(settings));
  AllocateRequest wanted = request("a");
  wanted.ranges = {{range("10.65.0.0", "10.65.0.255")}};
  EXPECT_EQ(add(wanted, 0)->lease.ipv4()->text(), "10.65.0.8");
  wanted = request("b", 0, "small");
  wanted.ranges = {{range("10.65.0.0", "10.65.0.255")}};
  EXPECT_THAT(add(wanted, 0).error().message,
              HasSubstr("pool small has no addresses of the ranges"));
  wanted = request("c");
  wanted.ranges = {{range("10.65.0.0", "10.65.0.255")}, {range("fd64::", "fd64::ff")}};
  EXPECT_THAT(add(wanted, 0).error().message, HasSubstr("no pool with the ranges asked for"));
}

TEST_F(Allocation, AnAddressOfAPoolForOtherNetworksIsRefused) {
  Settings settings = small_pool();
  settings.pools[0].networks = {"storage"};
  ASSERT_TRUE(allocator_.configure(settings));
  AllocateRequest wanted = request("a");
  wanted.addresses = {*Address::parse("10.64.0.9")};
  EXPECT_THAT(add(wanted, 0).error().message, HasSubstr("is for other networks than net"));
  wanted.attachment.network = "storage";
  EXPECT_TRUE(add(wanted, 0));
}

TEST_F(Allocation, WhatSomebodyElseHasIsNotGivenUntilHeIsGone) {
  const BlockId block = allocator_.blocks(at(0))[0].id;
  allocator_.quarantine({block, 0}, "10.64.0.8 is seen elsewhere");
  EXPECT_EQ(address("a"), "10.64.0.9");
  EXPECT_EQ(allocator_.blocks(at(0))[0].quarantined, 1U);
  EXPECT_EQ(allocator_.blocks(at(0))[0].free, 2U);
  AllocateRequest wanted = request("b");
  wanted.addresses = {*Address::parse("fd64::8")};
  EXPECT_THAT(add(wanted, 0).error().message,
              HasSubstr("fd64::8 is quarantined: 10.64.0.8 is seen elsewhere"));
  for (int i = 0; i < 6; ++i) address(fmt::format("c{}", i));
  EXPECT_THAT(address("full"), HasSubstr("7 held and 0 resting in 2 blocks, 1 quarantined"));
  allocator_.acquit({block, 0}, at(10));
  EXPECT_TRUE(allocator_.quarantined().empty());
  EXPECT_THAT(address("full", 69), HasSubstr("the next is free in 1 s"));
  EXPECT_EQ(address("full", 70), "10.64.0.8");
  allocator_.quarantine({block, 0}, "seen");
  EXPECT_TRUE(allocator_.quarantined().empty()) << "held: there is nothing to doubt";
}

TEST_F(Allocation, ABlockWithSomebodyInQuarantineDoesNotGo) {
  address("a");
  const BlockId block = allocator_.blocks(at(0))[0].id;
  allocator_.quarantine({block, 1}, "seen");
  Settings none = small_pool();
  none.pools.clear();
  ASSERT_TRUE(allocator_.configure(none));
  del("a", 1);
  allocator_.apply(allocator_.audit({}, at(2)).changes);
  ASSERT_EQ(allocator_.blocks(at(2)).size(), 1U) << "still announced";
  allocator_.acquit({block, 1}, at(3));
  const Audit audit = allocator_.audit({}, at(4));
  allocator_.apply(audit.changes);
  EXPECT_TRUE(allocator_.blocks(at(4)).empty());
}

TEST_F(Allocation, BlocksThatAreSubnetsKeepTheirFirstTwoAndTheirLast) {
  Settings settings = small_pool();
  settings.pools[0].gateway = true;
  ASSERT_TRUE(allocator_.configure(settings));
  EXPECT_EQ(address("a"), "10.64.0.10");
  EXPECT_EQ(address("b"), "10.64.0.14");
  EXPECT_THAT(address("c"), HasSubstr("6 reserved"));
  EXPECT_TRUE(allocator_.has_gateway(allocator_.blocks(at(0))[0].id));
  settings.pools[0].ipv4_block_length = 31;
  settings.pools[0].ipv6_block_length = 127;
  EXPECT_FALSE(allocator_.configure(settings));
}

TEST_F(Allocation, WhoNeedsAGatewayHasAPoolWithOneOrAReason) {
  Settings settings = small_pool();
  AllocateRequest wanted = request("c");
  wanted.delegated = true;
  wanted.needs_gateway = true;
  auto grant = allocator_.allocate(wanted, at(0));
  ASSERT_FALSE(grant);
  EXPECT_EQ(grant.error().reason, Refusal::Reason::bad_request);
  EXPECT_THAT(grant.error().message, HasSubstr("set pools.small.gateway to true"));
  // Another pool that has it is taken without being named; what is named is what is taken.
  PoolSettings lan = settings.pools[0];
  lan.name = "lan";
  lan.ipv4 = *Prefix::parse("10.66.0.0/16");
  lan.ipv6 = *Prefix::parse("fd66::/112");
  lan.gateway = true;
  settings.pools.push_back(lan);
  ASSERT_TRUE(allocator_.configure(settings));
  grant = allocator_.allocate(wanted, at(0));
  ASSERT_TRUE(grant) << grant.error().message;
  EXPECT_EQ(grant->lease.block.pool, "lan");
  wanted.pool = "small";
  EXPECT_FALSE(allocator_.allocate(wanted, at(0)));
  wanted.needs_gateway = false;
  wanted.pool = "";
  grant = allocator_.allocate(wanted, at(0));
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->lease.block.pool, "small");
}

TEST_F(Allocation, WhatOtherPluginsHoldIsNotMistakenForOurs) {
  AllocateRequest wanted = request("a");
  wanted.delegated = true;
  const auto first = add(wanted, 0);
  EXPECT_TRUE(first->lease.delegated);
  EXPECT_TRUE(add(wanted, 1)->existing);
  // The network changed plugins under a container that is made anew.
  const auto second = add(request("a"), 2);
  EXPECT_EQ(second->replaced, first->lease);
  EXPECT_FALSE(second->lease.delegated);
}

TEST_F(Allocation, ASoftCoolDownGivesWhatRestedLongestRatherThanNothing) {
  Settings settings = small_pool();
  settings.soft_cool_down = true;
  ASSERT_TRUE(allocator_.configure(settings));
  for (int i = 0; i < 8; ++i) address(fmt::format("c{}", i));
  del("c1", 10);
  del("c6", 5);
  const auto waived = add(request("x"), 12);
  EXPECT_EQ(waived->lease.ipv4()->text(), "10.64.0.14") << "of another block than the first";
  EXPECT_TRUE(waived->waived);
  const auto rested = add(request("y"), 70);
  EXPECT_EQ(rested->lease.ipv4()->text(), "10.64.0.9");
  EXPECT_FALSE(rested->waived);
  EXPECT_THAT(address("z", 70), HasSubstr("no free address"));
}

}  // namespace
}  // namespace weft::ipam
