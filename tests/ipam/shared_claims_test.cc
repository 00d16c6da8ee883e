// Claims of several hosts on one pool. Names of tests are the rows of the table of faults in
// docs/ipam.md.
#include "tests/ipam/shared_world.h"

namespace weft::ipam {
namespace {

TEST_F(Shared, AHostClaimsItsFirstBlockAndTheNextBeforeItRunsOut) {
  Host host(world, "h1");
  EXPECT_FALSE(host.add("early")) << "no block yet";
  host.run();
  ASSERT_THAT(host.in(ClaimState::owned), SizeIs(1));
  EXPECT_THAT(owner(host.in(ClaimState::owned)[0]), HasSubstr("\"host\":\"h1\""));
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(host.add(fmt::format("c{}", i))) << "an ADD never waits for etcd";
    host.run();
  }
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(4));
  EXPECT_EQ(host.core->statistics().at("p").won, 4U);
  EXPECT_EQ(world.etcd.keys.size(), 5U) << "four blocks and the host";
}

TEST_F(Shared, ManyHostsNeverOwnOneBlockTwice) {
  std::vector<std::unique_ptr<Host>> hosts;
  for (int i = 0; i < 8; ++i) hosts.push_back(std::make_unique<Host>(world, fmt::format("h{}", i)));
  for (auto& host : hosts) host->run();
  std::set<BlockId> all;
  for (auto& host : hosts) {
    ASSERT_THAT(host->in(ClaimState::owned), SizeIs(1));
    EXPECT_TRUE(all.insert(host->in(ClaimState::owned)[0]).second);
  }
  Host late(world, "late");
  late.run();
  EXPECT_THAT(late.in(ClaimState::owned), SizeIs(0));
  EXPECT_THAT(late.core->complaints(world.now), testing::Contains(HasSubstr("no block left")));
}

TEST_F(Shared, CrashAfterIntentBeforeStoreWrite) {
  Host host(world, "h1");
  host.crash = Crash::before_store;
  EXPECT_FALSE(host.run());
  ASSERT_THAT(host.in(ClaimState::claiming), SizeIs(1));
  EXPECT_THAT(host.allocator->blocks(world.now), SizeIs(0)) << "not announced, not used";
  const BlockId intended = host.in(ClaimState::claiming)[0];
  host.crash = Crash::never;
  host.start();
  host.run();
  EXPECT_THAT(host.in(ClaimState::owned), testing::ElementsAre(intended));
}

TEST_F(Shared, CrashAfterIntentAndTheBlockIsTakenMeanwhile) {
  Host host(world, "h1");
  host.crash = Crash::before_store;
  host.run();
  const BlockId intended = host.in(ClaimState::claiming)[0];
  world.etcd.transact({{},
                       {kv::Put{fmt::format("/weft/v1/pool/p/block/{}", intended.index),
                                R"({"host":"h2","incarnation":"x"})", 0}},
                       {}});
  host.crash = Crash::never;
  host.start();
  host.run();
  ASSERT_THAT(host.in(ClaimState::owned), SizeIs(1));
  EXPECT_NE(host.in(ClaimState::owned)[0], intended);
  EXPECT_EQ(host.core->statistics().at("p").lost_races, 1U);
}

TEST_F(Shared, CrashAfterIntentAndTheBlockIsAnnouncedByAnotherMeanwhile) {
  Host host(world, "h1");
  host.crash = Crash::before_store;
  EXPECT_FALSE(host.run());
  const BlockId block = host.in(ClaimState::claiming)[0];
  // Its key is gone, and its owner lives: cut off from etcd, say.
  world.bgp[block].insert("h2");
  host.crash = Crash::never;
  host.start();
  pass(2, {&host});
  EXPECT_EQ(owner(block), "");
  ASSERT_THAT(host.in(ClaimState::owned), SizeIs(1));
  EXPECT_NE(host.in(ClaimState::owned)[0], block);
}

TEST_F(Shared, CrashAfterStoreWriteBeforeLocalCommit) {
  Host host(world, "h1");
  host.crash = Crash::after_store;
  EXPECT_FALSE(host.run());
  const BlockId intended = host.in(ClaimState::claiming)[0];
  EXPECT_NE(owner(intended), "");
  host.crash = Crash::never;
  host.start();
  host.run();
  EXPECT_THAT(host.in(ClaimState::owned), testing::ElementsAre(intended));
  EXPECT_EQ(world.etcd.keys.size(), 2U);
}

TEST_F(Shared, AnAnswerThatIsLostIsFoundOut) {
  Host host(world, "h1");
  host.lose_answers = true;
  host.run();
  host.lose_answers = false;
  pass(3, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(1));
  EXPECT_EQ(world.etcd.keys.size(), 2U);
}

TEST_F(Shared, LostRace) {
  Host one(world, "h1");
  Host two(world, "h1", "2", "b2");
  // Both of one name, so both walk the pool in the same order; neither has seen the other.
  one.crash = Crash::before_store;
  one.run();
  two.run();
  one.crash = Crash::never;
  const BlockId wanted = one.in(ClaimState::claiming)[0];
  EXPECT_THAT(two.in(ClaimState::owned), testing::ElementsAre(wanted));
  // The request that one had on its way arrives now, and its condition does not hold any more.
  one.core->answered(
      world.etcd.transact({{{fmt::format("/weft/v1/pool/p/block/{}", wanted.index), 0}},
                           {},
                           {kv::Range{fmt::format("/weft/v1/pool/p/block/{}", wanted.index), {}}}}),
      world.now);
  one.run();
  ASSERT_THAT(one.in(ClaimState::owned), SizeIs(1));
  EXPECT_NE(one.in(ClaimState::owned)[0], wanted);
}

TEST_F(Shared, AfterEightLostRacesInARowItClaimsAtEverLongerIntervals) {
  Host one(world, "h1");
  one.settings.pools[0].ipv4 = *Prefix::parse("10.64.0.0/24");
  one.settings.pools[0].ipv6 = *Prefix::parse("fd64::/120");
  one.start();
  // Whatever it reaches for, somebody else has had a moment before.
  std::uint64_t races = 0;
  one.before_claim = [&](const kv::Txn& claim) {
    ++races;
    for (const kv::Operation& operation : claim.then) {
      const auto* put = std::get_if<kv::Put>(&operation);
      if (put == nullptr || put->key.find("/pool/") == std::string::npos) continue;
      kv::Put theirs = *put;
      const auto name = theirs.value.find("h1");
      ASSERT_NE(name, std::string::npos) << theirs.value;
      theirs.value.replace(name, 2, "h2");
      ASSERT_TRUE(
          std::get<kv::TxnAnswer>(world.etcd.transact({{{put->key, 0}}, {theirs}, {}})).succeeded);
    }
  };
  one.run();
  EXPECT_EQ(races, races_before_backoff + 1) << "eight of them cost nothing but the next try";
  EXPECT_EQ(one.core->statistics().at("p").lost_races, races);
  EXPECT_THAT(one.in(ClaimState::claiming), SizeIs(0));
  for (const int tenths : {2, 4, 8, 16, 32, 50, 50}) {
    const std::uint64_t before = races;
    int waited = 0;
    while (races == before && waited < 1000) {
      world.now += milliseconds(100);
      ++waited;
      one.run();
    }
    EXPECT_EQ(races, before + 1);
    EXPECT_EQ(waited, tenths);
  }

  one.before_claim = nullptr;
  pass(5, {&one});
  EXPECT_THAT(one.in(ClaimState::owned), SizeIs(1));
  // A race that was won begins the count anew.
  one.before_claim = [&](const kv::Txn&) { ++races; };
  const std::uint64_t before = races;
  one.add("c1");
  one.add("c2");
  one.add("c3");
  one.run();
  EXPECT_EQ(races, before + 1) << "at once";
  EXPECT_THAT(one.in(ClaimState::owned), SizeIs(2));
}

TEST_F(Shared, AHostThatDiesIsFreeWhenItsLeaseEndsAndBgpForgotIt) {
  Host dead(world, "h1");
  dead.run();
  const BlockId block = dead.in(ClaimState::owned)[0];
  std::vector<std::unique_ptr<Host>> others;
  for (int i = 0; i < 7; ++i)
    others.push_back(std::make_unique<Host>(world, fmt::format("o{}", i)));
  std::vector<Host*> all;
  for (auto& other : others) all.push_back(other.get());
  Host wants(world, "wants");
  all.push_back(&wants);
  pass(50, all);
  EXPECT_THAT(wants.in(ClaimState::owned), SizeIs(0)) << "seven of eight, and the dead one's";
  pass(50, all);
  EXPECT_EQ(owner(block), "") << "the lease ended";
  EXPECT_THAT(wants.in(ClaimState::owned), SizeIs(0)) << "a live origin vetoes";
  EXPECT_GT(wants.core->statistics().at("p").vetoed, 0U);
  world.bgp[block].clear();
  pass(20, all);
  EXPECT_THAT(wants.in(ClaimState::owned), testing::ElementsAre(block));
}

TEST_F(Shared, LeaseLostWhileTheHostLives) {
  Host host(world, "h1");
  host.run();
  const BlockId block = host.in(ClaimState::owned)[0];
  host.reaches_etcd = false;
  pass(100, {&host});
  EXPECT_EQ(owner(block), "") << "expired";
  EXPECT_TRUE(host.add("c")) << "etcd away hurts nobody with free addresses";
  host.reaches_etcd = true;
  host.core->watch_ended(world.now);
  pass(10, {&host});
  EXPECT_THAT(owner(block), HasSubstr("h1"));
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(1));
}

TEST_F(Shared, ARestartGoesOnWithItsLeaseAndPutsItsKeysUnderTheOneItHas) {
  Host host(world, "h1");
  host.run();
  const std::string block =
      fmt::format("/weft/v1/pool/p/block/{}", host.in(ClaimState::owned)[0].index);
  const std::string name = "/weft/v1/host/h1/incarnation";
  const std::int64_t first = world.etcd.keys.at(block).lease;
  EXPECT_EQ(world.etcd.keys.at(name).lease, first);
  host.start();
  pass(2, {&host});
  EXPECT_THAT(world.etcd.leases, SizeIs(1)) << "the one that its name is under";
  // Without its name it cannot know of the lease: the keys move before that one ends.
  world.etcd.transact({{}, {kv::Delete{name}}, {}});
  host.start();
  pass(2, {&host});
  EXPECT_NE(world.etcd.keys.at(name).lease, first);
  EXPECT_EQ(world.etcd.keys.at(block).lease, world.etcd.keys.at(name).lease);
}

TEST_F(Shared, LeaseLostAndTheBlockIsAnothersNow) {
  Host host(world, "h1");
  host.run();
  const BlockId block = host.in(ClaimState::owned)[0];
  host.add("c");
  host.reaches_etcd = false;
  pass(100, {&host});
  world.etcd.transact({{},
                       {kv::Put{fmt::format("/weft/v1/pool/p/block/{}", block.index),
                                R"({"host":"h2","incarnation":"x"})", 0}},
                       {}});
  host.reaches_etcd = true;
  host.core->watch_ended(world.now);
  pass(10, {&host});
  EXPECT_THAT(host.in(ClaimState::lost), testing::ElementsAre(block));
  EXPECT_EQ(host.core->statistics().at("p").conflicts, 1U);
  EXPECT_FALSE(world.bgp[block].contains("h1")) << "its containers one by one instead";
  EXPECT_THAT(host.core->complaints(world.now), testing::Contains(HasSubstr("lost to host h2")));
  EXPECT_NE(host.add("d")->block, block) << "nothing more out of it";
  host.del("c");
  pass(3, {&host});
  EXPECT_THAT(host.in(ClaimState::lost), SizeIs(0));
}

TEST_F(Shared, TwoOwnersSeenInBgp) {
  Host host(world, "h1");
  host.run();
  const BlockId block = host.in(ClaimState::owned)[0];
  host.add("c");
  // Our key is gone and somebody else announces the block: it is not ours to take back.
  world.bgp[block].insert("h2");
  world.etcd.revoke(101);
  world.etcd.leases.clear();
  pass(5, {&host});
  EXPECT_THAT(host.in(ClaimState::lost), testing::ElementsAre(block));
  world.bgp[block].erase("h2");
  pass(5, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), testing::Contains(block)) << "the other gave in";
}

TEST_F(Shared, HostReimagedWithTheSameName) {
  Host old(world, "h1");
  old.run();
  const BlockId block = old.in(ClaimState::owned)[0];
  Host anew(world, "h1", "2", "b2");
  anew.run();
  ASSERT_THAT(anew.in(ClaimState::owned), SizeIs(1));
  EXPECT_NE(anew.in(ClaimState::owned)[0], block) << "claims fresh";
  EXPECT_THAT(anew.core->complaints(world.now),
              testing::Contains(HasSubstr("--takeover-identity")));
  anew.start(true);
  pass(1, {&anew});
  EXPECT_THAT(anew.in(ClaimState::owned), testing::Contains(block));
  EXPECT_THAT(anew.core->complaints(world.now), SizeIs(0));
  // The former self lives after all: it learns that it is none any more.
  old.run();
  EXPECT_THAT(old.in(ClaimState::owned), testing::Not(testing::Contains(block)));
}

TEST_F(Shared, DatabaseDeletedWithoutAReboot) {
  Host host(world, "h1");
  host.run();
  const BlockId block = host.in(ClaimState::owned)[0];
  host.lose_disk("2", "b1");
  host.start();
  host.run();
  EXPECT_THAT(host.in(ClaimState::owned), testing::ElementsAre(block)) << "the boot proves it";
  EXPECT_THAT(owner(block), HasSubstr("\"incarnation\":\"2\""));
}

TEST_F(Shared, ReleasesCompareSoThatAHostThatJoinsAgainIsLeftAlone) {
  Host host(world, "h1");
  host.run();
  const BlockId block = host.in(ClaimState::owned)[0];
  Host cleaner(world, "cleaner");
  cleaner.run();
  const auto before = cleaner.core->remote();
  const auto seen = std::find_if(before.begin(), before.end(),
                                 [&](const RemoteBlock& one) { return one.id == block; });
  ASSERT_NE(seen, before.end());
  EXPECT_THAT(cleaner.core->force_release("p", block.index, seen->mod_revision, cleaner.around())
                  .error()
                  .message,
              HasSubstr("it lives"));
  world.bgp[block].clear();
  ASSERT_TRUE(cleaner.core->force_release("p", block.index, seen->mod_revision, cleaner.around()));
  // It joins again, under a new lease, before the delete arrives.
  world.etcd.transact(
      {{}, {kv::Put{fmt::format("/weft/v1/pool/p/block/{}", block.index), owner(block), 0}}, {}});
  cleaner.run();
  EXPECT_NE(owner(block), "");
  const std::int64_t now_at =
      world.etcd.keys[fmt::format("/weft/v1/pool/p/block/{}", block.index)].mod_revision;
  EXPECT_FALSE(cleaner.core->force_release("p", block.index, seen->mod_revision, cleaner.around()));
  ASSERT_TRUE(cleaner.core->force_release("p", block.index, now_at, cleaner.around()));
  cleaner.run();
  EXPECT_EQ(owner(block), "");
}

TEST_F(Shared, StoreUnreachableForAnHour) {
  Host host(world, "h1");
  host.run();
  world.etcd.up = false;
  host.core->watch_ended(world.now);
  pass(3600, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(1)) << "nothing given up";
  EXPECT_THAT(host.core->complaints(world.now), testing::Contains(HasSubstr("does not answer")));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(host.add(fmt::format("c{}", i)));
  EXPECT_FALSE(host.add("c4")) << "the last free address is gone";
  world.etcd.up = true;
  pass(10, {&host});
  EXPECT_TRUE(host.add("c4"));
}

TEST_F(Shared, StoreLosesAllItsData) {
  Host one(world, "h1");
  Host two(world, "h2");
  for (int i = 0; i < 6; ++i) {
    one.run();
    two.run();
    one.add(fmt::format("c{}", i));
    two.add(fmt::format("c{}", i));
  }
  const auto before_one = one.in(ClaimState::owned);
  const auto before_two = two.in(ClaimState::owned);
  world.etcd.lose_everything();
  one.core->watch_ended(world.now);
  two.core->watch_ended(world.now);
  pass(5, {&two, &one});
  EXPECT_EQ(one.in(ClaimState::owned), before_one);
  EXPECT_EQ(two.in(ClaimState::owned), before_two);
  for (const BlockId& block : before_one) EXPECT_THAT(owner(block), HasSubstr("h1"));
  for (const BlockId& block : before_two) EXPECT_THAT(owner(block), HasSubstr("h2"));
}

TEST_F(Shared, DataLossIsNoticedByARevisionThatGoesBack) {
  Host host(world, "h1");
  host.run();
  for (int i = 0; i < 4; ++i) world.etcd.revoke(1);
  host.core->watch_ended(world.now);
  pass(2, {&host});
  const BlockId block = host.in(ClaimState::owned)[0];
  world.etcd.lose_everything();
  pass(40, {&host});  // the watch says nothing; the keepalive does
  EXPECT_THAT(owner(block), HasSubstr("h1"));
}

TEST_F(Shared, DataLossIsNoticedByAWatchThatGoesBack) {
  Host host(world, "h1");
  for (int i = 0; i < 9; ++i) world.etcd.revoke(1);
  host.run();
  ASSERT_TRUE(host.core->synced());
  host.core->watched({*host.core->watch_from(), {}, false}, world.now);
  EXPECT_TRUE(host.core->synced());
  host.core->watched({2, {}, false}, world.now);
  EXPECT_FALSE(host.core->synced());
}

TEST_F(Shared, CompactionMakesItListAgain) {
  Host host(world, "h1");
  host.run();
  const auto from = host.core->watch_from();
  kv::Watched compacted;
  compacted.compacted = true;
  host.core->watched(compacted, world.now);
  EXPECT_FALSE(host.core->synced());
  host.run();
  EXPECT_TRUE(host.core->synced());
  EXPECT_GT(*host.core->watch_from(), *from);
}

TEST_F(Shared, MinBlocksAreThereAndStayThoughNothingIsToBeSpare) {
  Host host(world, "h1");
  auto& claim = std::get<EtcdClaim>(host.settings.pools[0].claim);
  claim.min_blocks = 2;
  claim.spare = 0;
  host.start();
  host.run();
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(2));
  pass(300, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(2));
  EXPECT_EQ(host.core->statistics().at("p").won, 2U) << "not given back and claimed again";
}

TEST_F(Shared, ABlockIsKeptUntilTheOthersHaveTwiceTheSpare) {
  Host host(world, "h1");
  for (int i = 0; i < 3; ++i) {
    host.run();
    ASSERT_TRUE(host.add(fmt::format("c{}", i)));
  }
  host.run();
  ASSERT_THAT(host.in(ClaimState::owned), SizeIs(2));
  host.del("c0");
  pass(300, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(2)) << "two are free in the first";
  host.del("c1");
  host.del("c2");
  pass(300, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(1));
}

TEST_F(Shared, ABlockWhoseAddressesRestIsNotReleased) {
  Host host(world, "h1");
  host.settings.cool_down = seconds(600);
  host.start();
  for (int i = 0; i < 7; ++i) {
    host.run();
    ASSERT_TRUE(host.add(fmt::format("c{}", i)));
  }
  host.run();
  const auto blocks = host.in(ClaimState::owned);
  ASSERT_THAT(blocks, SizeIs(3));
  for (int i = 0; i < 7; ++i) host.del(fmt::format("c{}", i));
  pass(300, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), testing::IsSupersetOf({blocks[0], blocks[1]}))
      << "another host could give what peers of the old containers still talk to";
}

TEST_F(Shared, NoMoreThanMaxBlocks) {
  Host host(world, "h1");
  std::get<EtcdClaim>(host.settings.pools[0].claim).max_blocks = 2;
  host.start();
  for (int i = 0; i < 8; ++i) {
    host.run();
    EXPECT_TRUE(host.add(fmt::format("c{}", i)));
  }
  host.run();
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(2));
  EXPECT_FALSE(host.add("one-more"));
}

TEST_F(Shared, AnEmptyBlockIsWithdrawnFirstAndReleasedThen) {
  Host host(world, "h1");
  for (int i = 0; i < 7; ++i) {
    host.run();
    host.add(fmt::format("c{}", i));
  }
  host.run();
  ASSERT_THAT(host.in(ClaimState::owned), SizeIs(3));
  for (int i = 0; i < 7; ++i) host.del(fmt::format("c{}", i));
  pass(59, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(3)) << "twice, a minute apart";
  // A peer still has the block: it is not given back.
  pass(2, {&host});
  ASSERT_THAT(host.in(ClaimState::releasing), testing::Not(SizeIs(0)));
  const BlockId going = host.in(ClaimState::releasing)[0];
  EXPECT_FALSE(world.bgp[going].contains("h1"));
  EXPECT_NE(owner(going), "") << "withdrawn, and still ours for five seconds";
  host.not_yet_withdrawn = {going};
  pass(10, {&host});
  EXPECT_NE(owner(going), "") << "the withdrawal is not out";
  host.not_yet_withdrawn.clear();
  pass(7, {&host});
  EXPECT_EQ(owner(going), "");
  pass(300, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(1)) << "min-blocks stays";
}

TEST_F(Shared, ADrainingPoolGivesItsLastBlockBack) {
  Host host(world, "h1");
  host.run();
  host.add("c");
  host.settings.pools[0].state = PoolState::draining;
  ASSERT_TRUE(host.allocator->configure(host.settings));
  host.core->configure(host.settings);
  pass(100, {&host});
  EXPECT_THAT(host.in(ClaimState::owned), SizeIs(1)) << "its container lives";
  EXPECT_EQ(host.allocator->blocks(world.now)[0].state, BlockState::draining);
  host.del("c");
  pass(30, {&host});
  EXPECT_EQ(host.allocator->claims().size(), 0U);
}

TEST_F(Shared, APoolThatIsRemovedKeepsItsContainersAndThenGoes) {
  Host host(world, "h1");
  host.run();
  const BlockId block = host.add("c")->block;
  host.settings.pools.clear();
  ASSERT_TRUE(host.allocator->configure(host.settings));
  host.core->configure(host.settings);
  pass(100, {&host});
  EXPECT_THAT(owner(block), HasSubstr("h1"));
  EXPECT_EQ(host.allocator->blocks(world.now)[0].state, BlockState::draining);
  host.del("c");
  pass(30, {&host});
  EXPECT_EQ(owner(block), "");
}

TEST_F(Shared, BlocksThatAreReservedWholeAreNotClaimed) {
  Host host(world, "h1");
  host.settings.pools[0].reserved = {{*Address::parse("10.64.0.0"), *Address::parse("10.64.0.27")}};
  host.start();
  host.run();
  ASSERT_THAT(host.in(ClaimState::owned), SizeIs(1));
  EXPECT_EQ(host.in(ClaimState::owned)[0].ipv4->text(), "10.64.0.28/30");
}

}  // namespace
}  // namespace weft::ipam
