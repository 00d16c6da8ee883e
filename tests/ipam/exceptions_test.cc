// Addresses of one host's block for containers of another: who may have one, and that nobody else
// has it then, whoever dies, is cut off or loses what it knew. Names of tests are the rows of the
// table of faults in docs/ipam.md.
#include <random>

#include "tests/ipam/shared_world.h"

namespace weft::ipam {
namespace {

Settings lending() {
  Settings settings = settings_of();
  std::get<EtcdClaim>(settings.pools[0].claim).borrow = Borrow::on_request;
  settings.cool_down = seconds(120);
  return settings;
}

class Exceptions : public Shared {
 protected:
  Host& host(const std::string& name, const std::string& incarnation = "1",
             const std::string& boot = "b1") {
    auto made = std::make_unique<Host>(world, name, incarnation, boot);
    made->settings = lending();
    made->start();
    made->run();
    hosts_.push_back(std::move(made));
    if (!hosts_.back()->in(ClaimState::owned).empty())
      first_[hosts_.back().get()] = hosts_.back()->in(ClaimState::owned)[0];
    return *hosts_.back();
  }
  /// The third address of its first block, which no host hands out by itself before long.
  std::string address_of(const Host& owner) const { return first_.at(&owner).ipv4_at(2)->text(); }
  Place place_of(const Host& owner) const { return {first_.at(&owner), 2}; }
  std::string key(const std::string& address) {
    const auto found = world.etcd.keys.find("/weft/v1/exception/" + address);
    return found == world.etcd.keys.end() ? "" : found->second.value;
  }
  /// The first that it owned.
  BlockStatus first_block(const Host& host) {
    const BlockId& first = first_.at(&host);
    for (const BlockStatus& block : host.allocator->blocks(world.now)) {
      if (block.id == first) return block;
    }
    return {};
  }

 private:
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<const Host*, BlockId> first_;
};

TEST_F(Exceptions, AnAddressOfAnotherHostsBlockIsLentAndComesBack) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  EXPECT_EQ(asker.refusals["c"], "waits");
  pass(1, {&asker, &owner, &asker});
  ASSERT_EQ(asker.address_of("c"), address);
  EXPECT_THAT(key(address), HasSubstr("\"agreed\""));
  EXPECT_EQ(first_block(owner).lent, 1U);
  EXPECT_TRUE(world.bgp_addresses[place_of(owner)].contains("h2"));
  EXPECT_FALSE(world.bgp[place_of(owner).block].contains("h2")) << "the block is not announced";
  for (int i = 0; i < 3; ++i) {
    const auto lease = owner.add(fmt::format("o{}", i));
    ASSERT_TRUE(lease);
    EXPECT_NE(lease->ipv4()->text(), address);
  }
  EXPECT_EQ(owner.core->complaints(world.now), std::vector<std::string>());

  asker.del("c");
  asker.run();
  EXPECT_FALSE(world.bgp_addresses[place_of(owner)].contains("h2"));
  EXPECT_EQ(key(address), "");
  pass(7, {&owner, &asker});
  EXPECT_EQ(first_block(owner).lent, 0U);
  EXPECT_EQ(first_block(owner).cooling, 1U) << "as any other that was freed";
  EXPECT_EQ(asker.core->exception_statistics().granted, 1U);
}

TEST_F(Exceptions, TheRecordGoesAfterTheRoute) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  // Freed on disk, and its peers have not been told.
  asker.disk.emplace_back(
      asker.allocator->release({"net", "c", "eth0"}, std::nullopt, world.now).changes[0]);
  asker.allocator->apply({asker.disk.back()});
  asker.run();
  EXPECT_NE(key(address), "");
  asker.announce();
  asker.run();
  EXPECT_EQ(key(address), "");
}

TEST_F(Exceptions, TheOwnerSaysNo) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  owner.add_fixed("mine", address);
  ASSERT_EQ(owner.address_of("mine"), address);
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  EXPECT_THAT(asker.refusals["c"], testing::AllOf(HasSubstr("host h1"), HasSubstr("held by")));
  pass(1, {&asker, &owner});
  EXPECT_EQ(key(address), "") << "nothing stays behind";

  owner.settings.pools[0].reserved = {{*Address::parse(address), *Address::parse(address)}};
  ASSERT_TRUE(owner.allocator->configure(owner.settings));
  owner.del("mine");
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  EXPECT_THAT(asker.refusals["c"], HasSubstr("reserved"));

  std::get<EtcdClaim>(owner.settings.pools[0].claim).borrow = Borrow::never;
  owner.settings.pools[0].reserved.clear();
  ASSERT_TRUE(owner.allocator->configure(owner.settings));
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  EXPECT_THAT(asker.refusals["c"], HasSubstr("pools.p.claim.etcd.borrow is never"));
  EXPECT_EQ(asker.core->exception_statistics().refused, 3U);
  EXPECT_EQ(first_block(owner).lent, 0U);
}

TEST_F(Exceptions, APoolThatDoesNotLendAsksNobody) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  std::get<EtcdClaim>(asker.settings.pools[0].claim).borrow = Borrow::never;
  ASSERT_TRUE(asker.allocator->configure(asker.settings));
  asker.add_fixed("c", address_of(owner));
  EXPECT_THAT(asker.refusals["c"], testing::AllOf(HasSubstr("of pool p, which is not this host's"),
                                                  HasSubstr("pools.p.claim.etcd.borrow is never")));
}

/// An operator who says `never` wants no more of them, not containers without a network.
TEST_F(Exceptions, SetBackToNeverTheyStayUntilTheirContainersGo) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  ASSERT_EQ(asker.address_of("c"), address);
  EXPECT_TRUE(asker.allocator->complaints().empty());
  const auto stands = [&](const char* when) {
    EXPECT_EQ(asker.address_of("c"), address) << when;
    EXPECT_TRUE(world.bgp_addresses[place_of(owner)].contains("h2")) << when;
    EXPECT_THAT(key(address), testing::AllOf(HasSubstr("h2"), HasSubstr("\"agreed\""))) << when;
    EXPECT_EQ(first_block(owner).lent, 1U) << when;
    EXPECT_THAT(asker.allocator->complaints(), SizeIs(1)) << when;
    EXPECT_THAT(owner.allocator->complaints()[0], HasSubstr("0 borrowed here and 1 lent")) << when;
  };
  for (Host* each : {&owner, &asker}) {
    std::get<EtcdClaim>(each->settings.pools[0].claim).borrow = Borrow::never;
    ASSERT_TRUE(each->allocator->configure(each->settings));
    each->core->configure(each->settings);
  }
  pass(120, {&owner, &asker});
  stands("after the change");
  for (Host* each : {&owner, &asker}) each->start();
  pass(120, {&owner, &asker});
  stands("after a restart of both");
  world.etcd.lose_everything();
  for (Host* each : {&owner, &asker}) each->core->watch_ended(world.now);
  pass(70, {&owner, &asker});
  stands("after etcd lost its data");
  owner.lose_disk("2", "b1");
  owner.start();
  pass(120, {&owner, &asker});
  stands("after the owner lost its database");
  // Nobody else gets it, and no other is lent.
  for (int i = 0; i < 6; ++i) {
    const auto lease = owner.add(fmt::format("o{}", i));
    EXPECT_TRUE(!lease || lease->ipv4()->text() != address);
  }
  owner.add_fixed("mine", address);
  pass(7, {&owner, &asker});
  EXPECT_THAT(owner.refusals["mine"], HasSubstr("host h2 has it"));
  asker.add_fixed("d", place_of(owner).block.ipv4_at(3)->text());
  EXPECT_THAT(asker.refusals["d"], HasSubstr("borrow is never"));

  asker.del("c");
  pass(20, {&asker, &owner});
  EXPECT_EQ(key(address), "");
  EXPECT_FALSE(world.bgp_addresses[place_of(owner)].contains("h2"));
  EXPECT_EQ(first_block(owner).lent, 0U);
  EXPECT_TRUE(asker.allocator->complaints().empty());
  EXPECT_TRUE(owner.allocator->complaints().empty());
}

TEST_F(Exceptions, AnOwnerThatDoesNotAnswerIsNotWaitedForLong) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  pass(4, {&asker});
  EXPECT_EQ(asker.refusals["c"], "waits");
  pass(2, {&asker});
  EXPECT_THAT(asker.refusals["c"], HasSubstr("host h1, which owns block"));
  EXPECT_EQ(key(address), "");
  EXPECT_EQ(asker.core->exception_statistics().late, 1U);
  pass(2, {&owner, &asker});
  EXPECT_EQ(first_block(owner).lent, 0U) << "its answer would be late";
}

/// The answer was under way when the deadline passed.
TEST_F(Exceptions, AnAgreementThatComesTooLateIsGivenBack) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  asker.run();
  asker.reaches_etcd = false;
  pass(2, {&owner});
  EXPECT_EQ(first_block(owner).lent, 1U);
  pass(6, {&asker});
  EXPECT_NE(asker.refusals["c"], "waits");
  asker.reaches_etcd = true;
  asker.core->watch_ended(world.now);
  pass(8, {&asker, &owner});
  EXPECT_EQ(key(address), "");
  EXPECT_EQ(first_block(owner).lent, 0U);
}

TEST_F(Exceptions, TheOwnerGivesTheAddressBeforeItSeesTheQuestion) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  asker.add_fixed("c", address_of(owner));
  asker.run();
  owner.add_fixed("mine", address_of(owner));
  pass(1, {&owner, &asker});
  EXPECT_EQ(asker.address_of("c"), "");
  EXPECT_THAT(asker.refusals["c"], HasSubstr("held by"));
}

/// The block changed hands while the question or the answer was under way.
TEST_F(Exceptions, OnlyTheOwnerOfTheMomentIsAskedAndAgrees) {
  for (const bool question : {true, false}) {
    Host& owner = host(question ? "h1" : "h4");
    Host& asker = host(question ? "h2" : "h5");
    const std::string address = address_of(owner);
    const auto lose_the_block = [&] {
      world.etcd.transact(
          {{},
           {kv::Put{fmt::format("/weft/v1/pool/p/block/{}", place_of(owner).block.index),
                    R"({"host":"h3","incarnation":"x"})", 0}},
           {}});
    };
    asker.add_fixed("c", address);
    (question ? asker : owner).before_exception = lose_the_block;
    asker.run();
    owner.run();
    EXPECT_THAT(key(address), testing::Not(HasSubstr("agreed")));
    pass(6, {&asker, &owner});
    EXPECT_EQ(asker.address_of("c"), "");
    EXPECT_THAT(asker.refusals["c"], HasSubstr("host h3"));
  }
}

TEST_F(Exceptions, OfTwoHostsThatAskOneGetsIt) {
  Host& owner = host("h1");
  Host& one = host("h2");
  Host& two = host("h3");
  const std::string address = address_of(owner);
  one.add_fixed("c", address);
  two.add_fixed("c", address);
  pass(8, {&one, &two, &owner});
  EXPECT_EQ(one.address_of("c"), address);
  EXPECT_EQ(two.address_of("c"), "");
  EXPECT_THAT(two.refusals["c"], HasSubstr("host h2 has it"));
  one.add_fixed("d", address);
  EXPECT_THAT(one.refusals["d"], HasSubstr("held by"));
}

TEST_F(Exceptions, AContainerMovesWithItsAddress) {
  Host& owner = host("h1");
  Host& one = host("h2");
  Host& two = host("h3");
  const std::string address = address_of(owner);
  owner.add_fixed("c", address);
  owner.del("c");
  one.add_fixed("c", address);
  pass(1, {&one, &owner, &one});
  ASSERT_EQ(one.address_of("c"), address) << "from its owner, though it would cool there";
  // It is asked for at the next host before the former has given it back.
  two.add_fixed("c", address);
  two.run();
  one.del("c");
  pass(2, {&one, &two, &owner, &two});
  ASSERT_EQ(two.address_of("c"), address);
  EXPECT_EQ(owner.allocator->lent().at(place_of(owner)), "h3");
  two.del("c");
  owner.add_fixed("c", address);
  pass(2, {&two, &owner});
  EXPECT_EQ(owner.address_of("c"), address) << "and home";
  EXPECT_EQ(first_block(owner).lent, 0U);
  EXPECT_EQ(key(address), "");
}

TEST_F(Exceptions, WhoStillAnnouncesTheAddressKeepsIt) {
  Host& owner = host("h1");
  Host& one = host("h2");
  Host& two = host("h3");
  const std::string address = address_of(owner);
  one.add_fixed("c", address);
  pass(1, {&one, &owner, &one});
  // Cut off from etcd for longer than its lease lasts, not from the fabric.
  one.reaches_etcd = false;
  pass(100, {&one, &owner, &two});
  EXPECT_EQ(key(address), "") << "expired";
  EXPECT_EQ(first_block(owner).lent, 1U);
  two.add_fixed("c", address);
  pass(6, {&two, &owner});
  EXPECT_THAT(two.refusals["c"], HasSubstr("BGP shows it at another host"));
  one.reaches_etcd = true;
  one.core->watch_ended(world.now);
  pass(5, {&one, &owner});
  EXPECT_THAT(key(address), HasSubstr("h2"));
  EXPECT_EQ(one.core->complaints(world.now), std::vector<std::string>());
}

TEST_F(Exceptions, ABorrowerThatDiesForGoodGivesBackWithItsLease) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  asker.add_fixed("c", address_of(owner));
  pass(1, {&asker, &owner, &asker});
  pass(50, {&owner});
  EXPECT_EQ(first_block(owner).lent, 1U);
  world.bgp_addresses[place_of(owner)].clear();
  pass(20, {&owner});
  EXPECT_EQ(first_block(owner).lent, 0U);
}

TEST_F(Exceptions, TheCapIsKept) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  asker.settings.max_exceptions = 1;
  ASSERT_TRUE(asker.allocator->configure(asker.settings));
  const BlockId block = owner.in(ClaimState::owned)[0];
  asker.add_fixed("c", block.ipv4_at(1)->text());
  asker.add_fixed("d", block.ipv4_at(2)->text());
  pass(2, {&asker, &owner, &asker});
  EXPECT_NE(asker.address_of("c") == "", asker.address_of("d") == "");
  const std::string out = asker.address_of("c").empty() ? "c" : "d";
  EXPECT_THAT(asker.refusals[out], HasSubstr("ipam.max-exceptions is 1"));
  pass(8, {&asker, &owner});
  EXPECT_EQ(first_block(owner).lent, 1U) << "what was agreed to meanwhile went back";
}

TEST_F(Exceptions, ACrashBetweenAgreementAndCommitGivesItBack) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  asker.dies_before_commit = true;
  asker.add_fixed("c", address_of(owner));
  pass(1, {&asker, &owner});
  EXPECT_EQ(first_block(owner).lent, 1U);
  asker.dies_before_commit = false;
  asker.start();
  pass(8, {&asker, &owner});
  EXPECT_EQ(key(address_of(owner)), "");
  EXPECT_EQ(first_block(owner).lent, 0U);
}

TEST_F(Exceptions, BothRestartAndNothingChanges) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  const std::string before = key(address);
  owner.start();
  asker.start();
  pass(100, {&asker, &owner});
  EXPECT_EQ(asker.address_of("c"), address);
  EXPECT_EQ(first_block(owner).lent, 1U);
  EXPECT_EQ(key(address), before);
  EXPECT_TRUE(world.bgp_addresses[place_of(owner)].contains("h2"));
  EXPECT_FALSE(owner.in(ClaimState::owned).empty()) << "a route of its own inside is no rival";
}

TEST_F(Exceptions, TheBorrowersDatabaseIsLost) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  const KernelVeth veth{host_ifname({"net", "c", "eth0"}),
                        link_alias(*asker.allocator->find(Attachment{"net", "c", "eth0"})),
                        *Address::parse(address),
                        {}};
  asker.lose_disk("2", "b1");
  asker.start();
  asker.commit(asker.allocator->rebuild({veth}, world.now).changes);
  EXPECT_EQ(asker.address_of("c"), address);
  EXPECT_FALSE(world.bgp[place_of(owner).block].contains("h2"))
      << "it knows that the block is not its own";
  EXPECT_TRUE(world.bgp_addresses[place_of(owner)].contains("h2"));
  pass(3, {&asker, &owner});
  EXPECT_THAT(key(address), HasSubstr("\"incarnation\":\"2\""));
  EXPECT_EQ(first_block(owner).lent, 1U);
}

TEST_F(Exceptions, TheOwnersDatabaseIsLost) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const Place place = place_of(owner);
  asker.add_fixed("c", address_of(owner));
  pass(1, {&asker, &owner, &asker});
  owner.lose_disk("2", "b1");
  owner.start();
  owner.committed = [&] {
    if (owner.in(ClaimState::owned).empty()) return;
    EXPECT_EQ(owner.allocator->lent().count(place), 1U) << "before anything of it is given";
  };
  pass(3, {&owner, &asker});
  EXPECT_THAT(owner.in(ClaimState::owned), testing::Contains(place.block));
  EXPECT_EQ(owner.allocator->lent().count(place), 1U);
  for (int i = 0; i < 3; ++i) {
    const auto lease = owner.add(fmt::format("c{}", i));
    ASSERT_TRUE(lease);
    EXPECT_NE((Place{lease->block, lease->ordinal}), place);
  }
}

TEST_F(Exceptions, TheStoreLosesAllItsData) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  Host& third = host("h3");
  const std::string address = address_of(owner);
  const Place place = place_of(owner);
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  world.etcd.lose_everything();
  for (Host* each : {&owner, &asker, &third}) each->core->watch_ended(world.now);
  pass(70, {&third, &owner, &asker});
  EXPECT_THAT(key(address), HasSubstr("h2"));
  EXPECT_EQ(owner.allocator->lent().count(place), 1U);
  EXPECT_THAT(owner.in(ClaimState::owned), testing::Contains(place.block));
  EXPECT_THAT(third.in(ClaimState::owned), testing::Not(testing::Contains(place.block)));
}

/// No key, no route: a day later the owner gives the address again. Then the host comes back.
TEST_F(Exceptions, AnAddressThatWasGivenTwiceIsTold) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  asker.reaches_etcd = false;
  asker.in_fabric = false;
  asker.announce();
  pass(100, {&owner, &asker});
  EXPECT_EQ(first_block(owner).lent, 0U);
  owner.add_fixed("mine", address);
  ASSERT_EQ(owner.address_of("mine"), address);
  asker.reaches_etcd = true;
  asker.in_fabric = true;
  asker.announce();
  asker.core->watch_ended(world.now);
  pass(5, {&asker, &owner});
  EXPECT_THAT(asker.core->complaints(world.now),
              testing::Contains(testing::AllOf(HasSubstr(address), HasSubstr("held by"))));
  EXPECT_EQ(owner.core->exception_statistics().conflicts, 1U);
  owner.del("mine");
  pass(5, {&asker, &owner});
  EXPECT_EQ(asker.core->complaints(world.now), std::vector<std::string>());
  EXPECT_EQ(first_block(owner).lent, 1U);
}

TEST_F(Exceptions, WithoutEtcdThereAreNoneAndThoseThatAreStay) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const BlockId block = owner.in(ClaimState::owned)[0];
  asker.add_fixed("c", block.ipv4_at(2)->text());
  pass(1, {&asker, &owner, &asker});
  world.etcd.up = false;
  asker.core->watch_ended(world.now);
  owner.core->watch_ended(world.now);
  asker.add_fixed("d", block.ipv4_at(3)->text());
  pass(3600, {&asker, &owner});
  EXPECT_THAT(asker.refusals["d"], HasSubstr("etcd does not answer"));
  EXPECT_EQ(first_block(owner).lent, 1U);
  EXPECT_TRUE(world.bgp_addresses[place_of(owner)].contains("h2"));
  asker.del("c");
  pass(100, {&asker, &owner});
  EXPECT_EQ(first_block(owner).lent, 1U) << "nobody has told";
  world.etcd.up = true;
  pass(80, {&asker, &owner});
  EXPECT_EQ(first_block(owner).lent, 0U);
}

TEST_F(Exceptions, ABlockWithAnExceptionOutIsNotReleased) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  for (int i = 0; i < 3; ++i) {
    owner.add(fmt::format("c{}", i));
    owner.run();
  }
  ASSERT_THAT(owner.in(ClaimState::owned), SizeIs(2));
  const BlockId second = owner.allocator->find(Attachment{"net", "c0", "eth0"})->block ==
                                 owner.in(ClaimState::owned)[0]
                             ? owner.in(ClaimState::owned)[1]
                             : owner.in(ClaimState::owned)[0];
  asker.add_fixed("c", second.ipv4_at(1)->text());
  pass(1, {&asker, &owner, &asker});
  ASSERT_NE(asker.address_of("c"), "");
  for (int i = 0; i < 3; ++i) owner.del(fmt::format("c{}", i));
  owner.settings.pools[0].state = PoolState::draining;
  ASSERT_TRUE(owner.allocator->configure(owner.settings));
  owner.core->configure(owner.settings);
  pass(400, {&owner, &asker});
  EXPECT_THAT(owner.in(ClaimState::owned), testing::ElementsAre(second)) << "the other went";
  asker.del("c");
  pass(400, {&owner, &asker});
  EXPECT_THAT(owner.in(ClaimState::owned), SizeIs(0));
}

TEST_F(Exceptions, ABlockOfADeadOwnerIsNotClaimedWhileAnExceptionIsOut) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const Place place = place_of(owner);
  const std::string address = address_of(owner);
  asker.add_fixed("c", address);
  pass(1, {&asker, &owner, &asker});
  std::vector<Host*> living{&asker};
  for (int i = 0; i < 7; ++i) living.push_back(&host(fmt::format("n{}", i)));
  pass(100, living);
  world.bgp[place.block].clear();
  for (const bool shown : {true, false}) {
    asker.in_fabric = shown;
    asker.announce();
    pass(50, living);
    EXPECT_EQ(Shared::owner(place.block), "") << "its owner's lease has ended";
    EXPECT_THAT(key(address), HasSubstr("h2"));
  }
  // A host that wants an address of it gets none either.
  living[1]->add_fixed("d", place.block.ipv4_at(1)->text());
  pass(6, living);
  EXPECT_THAT(living[1]->refusals["d"], HasSubstr("addresses of it are in use"));
  asker.del("c");
  pass(50, living);
  EXPECT_NE(Shared::owner(place.block), "") << "now it is free";
}

TEST_F(Exceptions, ABlockOfNobodyIsClaimedForTheAddress) {
  Host& asker = host("h1");
  const Pool pool = *Pool::create(asker.settings.pools[0]);
  std::optional<BlockId> free;
  for (std::uint32_t i = 0; i < pool.block_count(); ++i) {
    if (pool.block(i) != asker.in(ClaimState::owned)[0]) free = pool.block(i);
  }
  asker.add_fixed("c", free->ipv4_at(2)->text());
  pass(1, {&asker});
  EXPECT_EQ(asker.address_of("c"), free->ipv4_at(2)->text());
  EXPECT_THAT(asker.in(ClaimState::owned), testing::Contains(*free));
  EXPECT_TRUE(asker.allocator->borrowed().empty()) << "it is no exception";

  std::get<EtcdClaim>(asker.settings.pools[0].claim).max_blocks = 2;
  ASSERT_TRUE(asker.allocator->configure(asker.settings));
  asker.core->configure(asker.settings);
  asker.add_fixed(
      "d", free->index == 3 ? pool.block(4).ipv4_at(0)->text() : pool.block(3).ipv4_at(0)->text());
  pass(1, {&asker});
  EXPECT_THAT(asker.refusals["d"], HasSubstr("max-blocks"));
}

TEST_F(Exceptions, ACoolingOrQuarantinedAddress) {
  Host& owner = host("h1");
  Host& asker = host("h2");
  const Place place = place_of(owner);
  owner.allocator->quarantine(place, "the kernel routes it");
  asker.add_fixed("c", address_of(owner));
  pass(1, {&asker, &owner, &asker});
  EXPECT_THAT(asker.refusals["c"], HasSubstr("the kernel routes it"));
  pass(1, {&asker, &owner});
  owner.allocator->acquit(place, world.now);
  asker.add_fixed("c", address_of(owner));
  pass(1, {&asker, &owner, &asker});
  EXPECT_EQ(asker.address_of("c"), address_of(owner)) << "who names an address knows who had it";
}

/// Whatever happens short of an outage that outlives the lease, no address has two containers.
class AnyOrder : public Exceptions, public testing::WithParamInterface<unsigned> {};

TEST_P(AnyOrder, NoAddressHasTwoContainers) {
  std::mt19937 random(GetParam());
  const auto below = [&](unsigned n) {
    return std::uniform_int_distribution<unsigned>(0, n - 1)(random);
  };
  std::vector<Host*> hosts;
  for (int i = 0; i < 3; ++i) hosts.push_back(&host(fmt::format("h{}", i)));
  const Pool pool = *Pool::create(hosts[0]->settings.pools[0]);
  int exceptions = 0;
  int cut_off = 0;
  for (int step = 0; step < 1500; ++step) {
    Host& one = *hosts[below(3)];
    const std::string container = fmt::format("c{}", below(6));
    switch (below(10)) {
      case 0:
      case 1:
        one.add(container);
        break;
      case 2:
      case 3:
      case 4:
        if (one.address_of(container).empty()) {
          one.add_fixed(container, pool.block(below(8)).ipv4_at(below(4))->text());
        }
        break;
      case 5:
      case 6:
        one.del(container);
        break;
      case 7:
        if (below(4) == 0) one.start();
        break;
      case 8:
        if (below(4) == 0 && one.reaches_etcd) {
          one.reaches_etcd = false;
          one.core->watch_ended(world.now);
          cut_off = 0;
        }
        break;
      case 9:
        one.dies_before_commit = below(8) == 0;
        break;
    }
    if (++cut_off > 15) {
      for (Host* each : hosts) each->reaches_etcd = true;
    }
    world.now += milliseconds(below(1500));
    world.etcd.expire(world.now);
    // Not all of them get to run between two things that happen.
    for (Host* each : hosts) {
      if (below(3) != 0) each->run();
    }
    std::map<Address, std::string> holders;
    for (Host* each : hosts) {
      exceptions += static_cast<int>(each->allocator->borrowed().size());
      for (const LeaseStatus& held : each->allocator->leases()) {
        const auto [other, first] = holders.emplace(*held.lease.ipv4(), each->name());
        ASSERT_TRUE(first) << held.lease.ipv4()->text() << " at " << other->second << " and "
                           << each->name() << " in step " << step;
      }
    }
  }
  EXPECT_GT(exceptions, 100) << "there was something to get wrong";
  for (Host* each : hosts) {
    each->reaches_etcd = true;
    each->dies_before_commit = false;
    for (int i = 0; i < 6; ++i) each->del(fmt::format("c{}", i));
  }
  pass(200, hosts);
  for (Host* each : hosts) {
    EXPECT_TRUE(each->allocator->lent().empty()) << each->name();
    EXPECT_EQ(each->core->complaints(world.now), std::vector<std::string>());
  }
  for (const auto& [key, value] : world.etcd.keys)
    EXPECT_EQ(key.find("/exception/"), std::string::npos) << key << " " << value.value;
}
INSTANTIATE_TEST_SUITE_P(Seeds, AnyOrder, testing::Range(1U, 21U));

}  // namespace
}  // namespace weft::ipam
