#include "ipam/store.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "ipam/allocator.h"

namespace weft::ipam {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

const BlockId block{"pool", 3, *Prefix::parse("10.64.0.192/26"), *Prefix::parse("fd64::c0/122")};

Held held(const char* container, std::uint32_t ordinal, std::uint64_t sequence) {
  return {{{"net", container, "eth0"},
           host_ifname({"net", container, "eth0"}),
           block,
           ordinal,
           "/run/netns/x",
           4026532000,
           "boot-1",
           Time(seconds(5)),
           sequence}};
}
Freed freed(std::uint32_t ordinal, int second, std::uint64_t sequence) {
  return {block, ordinal, Time(seconds(second)), "boot-1", sequence};
}

class Stored : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "weft-store-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::filesystem::path file() const { return directory_ / "weft.db"; }
  void commit(const Changes& changes) {
    auto store = Store::open(directory_);
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE(store->load("boot-1", Time()));
    const auto done = store->commit(changes);
    ASSERT_TRUE(done) << done.error().message;
  }
  Changes loaded(const std::string& boot = "boot-1", Time now = Time()) {
    auto store = Store::open(directory_);
    return store ? *store->load(boot, now) : Changes();
  }

  std::filesystem::path directory_;
};

TEST_F(Stored, ReadsBackWhatWasCommitted) {
  commit({held("a", 0, 10), held("b", 1, 11)});
  EXPECT_EQ(loaded(), (Changes{held("a", 0, 10), held("b", 1, 11)}));
  commit({freed(0, 9, 10)});
  EXPECT_EQ(loaded(), (Changes{freed(0, 9, 10), held("b", 1, 11)}));
  commit({held("c", 0, 12)});
  EXPECT_EQ(loaded(), (Changes{held("b", 1, 11), held("c", 0, 12)}));
}

TEST_F(Stored, FreesOnlyTheAllocationThatIsMeant) {
  commit({held("a", 0, 10)});
  commit({freed(0, 9, 9)});
  EXPECT_EQ(loaded(), (Changes{held("a", 0, 10)}));
}

TEST_F(Stored, ReplaysInTheOrderOfFreeing) {
  commit({held("a", 0, 10), held("b", 1, 11), held("c", 2, 12)});
  commit({freed(1, 20, 11)});
  commit({freed(0, 30, 10)});
  commit({freed(2, 25, 12)});
  EXPECT_EQ(loaded(), (Changes{freed(1, 20, 11), freed(2, 25, 12), freed(0, 30, 10)}));
  // After a reboot the clock starts over: all count as freed at its first load, the order stays.
  const Changes restarted = loaded("boot-2", Time(seconds(3)));
  std::vector<std::uint32_t> order;
  for (const Change& change : restarted) {
    const Freed& of = std::get<Freed>(change);
    order.push_back(of.ordinal);
    EXPECT_EQ(of.boot_id, "boot-2");
    EXPECT_LE(of.freed_at, Time(seconds(3)));
    EXPECT_GT(of.freed_at, Time(seconds(2)));
  }
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 0));
  EXPECT_EQ(loaded("boot-2", Time(seconds(300))), restarted) << "once, not at every load";
}

TEST_F(Stored, RefusesASecondHolderAndKeepsAllOfTheRest) {
  commit({held("a", 0, 10)});
  auto store = Store::open(directory_);
  ASSERT_TRUE(store);
  const auto second = store->commit({held("b", 1, 11), held("c", 0, 12)});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("held by another container"));
  EXPECT_FALSE(store->commit({held("a", 5, 13)})) << "an attachment with two addresses";
  EXPECT_EQ(*store->load("boot-1", Time()), (Changes{held("a", 0, 10)})) << "all or none";
  EXPECT_TRUE(store->commit({held("b", 1, 14)})) << "usable after an error";
}

TEST_F(Stored, DropsABlockWithItsRows) {
  commit({held("a", 0, 10), freed(0, 9, 10)});
  commit({Dropped{block}});
  EXPECT_TRUE(loaded().empty());
  commit({held("a", 0, 11)});
  EXPECT_EQ(loaded(), (Changes{held("a", 0, 11)}));
}

TEST_F(Stored, SequenceNumbersGoOn) {
  const std::uint64_t high = 1ULL << 62;
  commit({held("a", 0, high)});
  EXPECT_EQ(Store::open(directory_)->next_sequence(), high + 1);
  const auto first = Store::open(directory_)->next_sequence();
  std::filesystem::remove_all(directory_);
  std::filesystem::create_directory(directory_);
  EXPECT_GT(Store::open(directory_)->next_sequence(), 1'000'000'000'000'000U) << "the wall clock's";
  EXPECT_GT(first, 0U);
}

/// What an operator, or a cleaner, does to the directory of a weftd that runs.
TEST_F(Stored, KnowsThatItsFilesAreGoneAndWritesThemAnew) {
  const auto remove = [&](const char* suffix) {
    std::filesystem::remove(file().string() + suffix);
  };
  const std::vector<std::vector<const char*>> losses{{""}, {"-wal"}, {"", "-wal"}};
  std::uint64_t sequence = 0;
  for (const auto& lost : losses) {
    std::string incarnation;
    {
      auto store = Store::open(directory_);
      ASSERT_TRUE(store);
      ASSERT_TRUE(store->load("boot-1", Time()));
      incarnation = store->incarnation();
      const auto ordinal = static_cast<std::uint32_t>(sequence);
      ASSERT_TRUE(store->commit({held(fmt::format("a{}", ordinal).c_str(), ordinal, ++sequence)}));
      EXPECT_EQ(store->loss(), "");
      for (const char* suffix : lost) remove(suffix);
      EXPECT_THAT(store->loss(), HasSubstr("was deleted or replaced while weftd runs"));
      // What was committed before as after.
      ASSERT_TRUE(store->commit({Claimed{block, ClaimState::owned}}));
      const auto written = store->write_anew();
      ASSERT_TRUE(written) << written.error().message;
      EXPECT_EQ(store->loss(), "");
      EXPECT_EQ(store->incarnation(), incarnation);
      ASSERT_TRUE(store->commit({Lent{block, 40 + ordinal, "h2"}}));
      EXPECT_EQ(store->loss(), "") << "closing the old files has left the new ones alone";
      // Killed now, all of it is there.
      std::filesystem::remove_all(directory_ / "copy");
      std::filesystem::create_directory(directory_ / "copy");
      for (const char* suffix : {"", "-wal"}) {
        std::filesystem::copy(file().string() + suffix,
                              (directory_ / "copy" / "weft.db").string() + suffix);
      }
    }
    auto copy = Store::open(directory_ / "copy");
    ASSERT_TRUE(copy) << copy.error().message;
    EXPECT_EQ(copy->moved_aside(), "");
    EXPECT_EQ(copy->incarnation(), incarnation);
    const auto changes = copy->load("boot-1", Time());
    ASSERT_TRUE(changes);
    EXPECT_EQ(changes->size(), 1 + 2 * sequence) << "a claim, and each time a lease and one lent";
  }
}

TEST_F(Stored, OneWeftdAtATime) {
  auto first = Store::open(directory_);
  ASSERT_TRUE(first);
  // File locks are the process's: the second must be another one.
  const pid_t child = ::fork();
  if (child == 0) {
    const auto second = Store::open(directory_);
    ::_exit(!second && second.error().message.find("in use by another weftd") != std::string::npos
                ? 0
                : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Stored, SaysWhatIsWrongWithTheDirectory) {
  EXPECT_THAT(Store::open(directory_ / "missing").error().message, HasSubstr("no such directory"));
}

TEST_F(Stored, RefusesADatabaseOfANewerWeft) {
  commit({held("a", 0, 10)});
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, "PRAGMA user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(raw);
  const auto store = Store::open(directory_);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr("newer weft (schema 99)"));
  EXPECT_TRUE(std::filesystem::exists(file())) << "not moved aside";
}

/// Bytes written over the file from `offset` on.
struct Damage {
  const char* name;
  std::streamoff offset;
  std::size_t size;
};

class Damaged : public Stored, public testing::WithParamInterface<Damage> {};

TEST_P(Damaged, IsMovedAsideAndBegunAnew) {
  Changes many;
  for (std::uint32_t i = 0; i < 64; ++i) {
    many.emplace_back(held(("container-with-a-long-name-" + std::to_string(i)).c_str(), i, i + 1));
  }
  commit(many);
  {
    std::fstream damaged(file(), std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(GetParam().offset);
    damaged << std::string(GetParam().size, '\xa5');
  }
  auto store = Store::open(directory_);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_THAT(store->moved_aside(), HasSubstr("weft.db.unreadable-"));
  EXPECT_TRUE(store->load("boot-1", Time())->empty());
  EXPECT_TRUE(store->commit({held("a", 0, 100)}));
  std::size_t kept = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    if (entry.path().string().find("unreadable") != std::string::npos) ++kept;
  }
  EXPECT_GE(kept, 1U);
}

INSTANTIATE_TEST_SUITE_P(Files, Damaged,
                         testing::Values(Damage{"Header", 0, 100}, Damage{"Everything", 0, 100'000},
                                         Damage{"SecondPage", 4096, 4096},
                                         Damage{"Middle", 8192, 8192}),
                         [](const auto& c) { return c.param.name; });

TEST_F(Stored, AnEmptyFileIsANewDatabase) {
  std::ofstream(file()).close();
  auto store = Store::open(directory_);
  ASSERT_TRUE(store);
  EXPECT_TRUE(store->moved_aside().empty());
  EXPECT_TRUE(store->commit({held("a", 0, 1)}));
}

/// A machine that stops between any two writes leaves a beginning of the log: each must read as
/// some state that was.
TEST_F(Stored, EveryBeginningOfTheLogIsAStateThatWas) {
  std::vector<Changes> states{{}};
  const std::filesystem::path copy = directory_ / "copy";
  std::filesystem::create_directory(copy);
  {
    auto store = Store::open(directory_);
    ASSERT_TRUE(store);
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::string name = "c" + std::to_string(i);
      ASSERT_TRUE(store->commit({held(name.c_str(), i, i + 1)}));
      states.push_back(*store->load("boot-1", Time()));
      ASSERT_TRUE(store->commit({freed(i, 10, i + 1), held(name.c_str(), 20 + i, 50 + i)}));
      states.push_back(*store->load("boot-1", Time()));
    }
    for (const char* name : {"weft.db", "weft.db-wal"}) {
      std::filesystem::copy_file(directory_ / name, copy / name);
    }
  }
  const auto whole = std::filesystem::file_size(copy / "weft.db-wal");
  std::size_t latest = 0;
  for (std::uintmax_t size = 0; size <= whole;
       size = size < whole ? std::min(size + 2060, whole) : whole + 1) {
    const std::filesystem::path cut = directory_ / "cut";
    std::filesystem::remove_all(cut);
    std::filesystem::copy(copy, cut);
    std::filesystem::resize_file(cut / "weft.db-wal", size);
    auto store = Store::open(cut);
    ASSERT_TRUE(store) << size << ": " << store.error().message;
    ASSERT_EQ(store->moved_aside(), "") << size;
    const auto found = std::find(states.begin(), states.end(), *store->load("boot-1", Time()));
    ASSERT_NE(found, states.end()) << "at " << size << " octets";
    const auto state = static_cast<std::size_t>(found - states.begin());
    EXPECT_GE(state, latest);
    latest = state;
  }
  EXPECT_EQ(latest, states.size() - 1);
}

TEST_F(Stored, ClaimsComeFirstAndGoWithTheirState) {
  BlockId other = block;
  other.index = 4;
  other.ipv6.reset();
  commit({Claimed{block, ClaimState::claiming}, Claimed{other, ClaimState::owned}});
  commit({Claimed{block, ClaimState::owned}, held("a", 0, 10)});
  EXPECT_EQ(loaded(), (Changes{Claimed{block, ClaimState::owned}, Claimed{other, ClaimState::owned},
                               held("a", 0, 10)}));
  commit({Claimed{other, ClaimState::releasing}});
  commit({Unclaimed{other}, Claimed{block, ClaimState::lost}});
  EXPECT_EQ(loaded(), (Changes{Claimed{block, ClaimState::lost}, held("a", 0, 10)}));
}

TEST_F(Stored, TheIncarnationIsOfTheDatabase) {
  const std::string first = Store::open(directory_)->incarnation();
  EXPECT_EQ(first.size(), 32U);
  EXPECT_EQ(Store::open(directory_)->incarnation(), first);
  std::filesystem::remove(file());
  EXPECT_NE(Store::open(directory_)->incarnation(), first);
}

TEST_F(Stored, DatabasesOfEarlierVersionsAreTakenOver) {
  std::string back;
  for (const char* earlier :
       {"ALTER TABLE address DROP COLUMN borrowed; DROP TABLE lent; PRAGMA user_version = 3;",
        "ALTER TABLE address DROP COLUMN delegated; PRAGMA user_version = 2;",
        "DROP TABLE claim; DROP TABLE fact; PRAGMA user_version = 1;"}) {
    back += earlier;
    std::filesystem::remove(file());
    commit({held("a", 0, 10)});
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(file().c_str(), &raw), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(raw, back.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(raw);
    EXPECT_EQ(loaded(), (Changes{held("a", 0, 10)})) << back;
    EXPECT_EQ(Store::open(directory_)->incarnation().size(), 32U);
  }
}

TEST_F(Stored, KnowsWhatIsBorrowedAndLent) {
  Held borrowed = held("a", 0, 10);
  borrowed.lease.borrowed = true;
  commit({borrowed, Lent{block, 7, "h2"}});
  EXPECT_EQ(loaded(), (Changes{Lent{block, 7, "h2"}, borrowed}));
  commit({Lent{block, 7, "h3"}});
  EXPECT_EQ(loaded(), (Changes{Lent{block, 7, "h3"}, borrowed}));
  commit({Returned{block, 7, Time(seconds(9)), "boot-1"}});
  EXPECT_EQ(loaded(), (Changes{freed(7, 9, 0), borrowed})) << "it rests over a restart too";
  commit({Lent{block, 7, "h2"}, freed(0, 10, 10), Dropped{block}});
  EXPECT_EQ(loaded(), Changes{});
}

TEST_F(Stored, KnowsWhatWasGivenToOtherPlugins) {
  Held delegated = held("a", 0, 10);
  delegated.lease.delegated = true;
  commit({delegated});
  EXPECT_EQ(loaded(), (Changes{delegated}));
  commit({freed(0, 9, 10), held("b", 0, 11)});
  EXPECT_EQ(loaded(), (Changes{held("b", 0, 11)}));
}

}  // namespace
}  // namespace weft::ipam
