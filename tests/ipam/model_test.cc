// Properties of the allocator and the store together, under random operations beside a model of the
// simplest kind: a map from attachment to address and a list of when each address was freed. The
// process is killed and started anew at random.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "ipam/allocator.h"
#include "ipam/store.h"

namespace weft::ipam {
namespace {

using std::chrono::seconds;

Settings pools() {
  Settings settings;
  for (const char* name : {"one", "two"}) {
    PoolSettings pool;
    pool.name = name;
    pool.ipv4 = *Prefix::parse(name == std::string("one") ? "10.64.0.0/16" : "10.65.0.0/16");
    pool.ipv6 = *Prefix::parse(name == std::string("one") ? "fd64::/112" : "fd65::/112");
    pool.ipv4_block_length = 29;
    pool.ipv6_block_length = 125;
    pool.claim = StaticIndex{3, 2};
    settings.pools.push_back(pool);
  }
  settings.cool_down = seconds(20);
  settings.audit_interval = seconds(5);
  return settings;
}

class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-ipam-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Allocator and store as weftd has them.
struct Host {
  Host(const std::filesystem::path& directory, const std::string& boot, Time now)
      : store(*Store::open(directory)), allocator(boot, store.next_sequence()) {
    EXPECT_TRUE(allocator.configure(pools()));
    allocator.apply(*store.load(boot, now));
  }
  void commit(const Changes& changes) {
    const auto done = store.commit(changes);
    ASSERT_TRUE(done) << done.error().message;
    allocator.apply(changes);
  }

  Store store;
  Allocator allocator;
};

struct Model {
  std::map<Attachment, Address> held;
  std::map<Address, Time> freed;
  std::set<std::uint64_t> sequences;
};

/// What must hold whatever happened.
void check_invariants(const Host& host, const Model& model, Time now) {
  std::set<Address> holders;
  for (const LeaseStatus& status : host.allocator.leases()) {
    ASSERT_TRUE(holders.insert(*status.lease.ipv4()).second) << "two holders of one address";
    ASSERT_TRUE(holders.insert(*status.lease.ipv6()).second) << "two holders of one address";
    const auto known = model.held.find(status.lease.attachment);
    ASSERT_NE(known, model.held.end()) << status.lease.attachment.container;
    ASSERT_EQ(known->second, *status.lease.ipv4());
  }
  ASSERT_EQ(host.allocator.lease_count(), model.held.size());
  std::uint32_t held = 0;
  for (const BlockStatus& block : host.allocator.blocks(now)) {
    ASSERT_EQ(block.held + block.cooling + block.free, block.capacity);
    held += block.held;
  }
  ASSERT_EQ(held, model.held.size());
}

class RandomOperations : public testing::TestWithParam<unsigned> {};

TEST_P(RandomOperations, AgreeWithTheModel) {
  const Directory directory;
  std::mt19937 random(GetParam());
  const auto below = [&](unsigned n) {
    return std::uniform_int_distribution<unsigned>(0, n - 1)(random);
  };
  Time now(seconds(1000));
  int boot = 0;
  const Settings settings = pools();
  auto host = std::make_unique<Host>(directory.path(), "boot-0", now);
  Model model;
  for (int step = 0; step < 1500; ++step) {
    now += std::chrono::milliseconds(below(2000));
    const Attachment attachment{"net", fmt::format("c{}", below(45)), "eth0"};
    const unsigned action = below(100);
    if (action < 55) {
      const std::string pool = below(2) == 0 ? "one" : "two";
      const std::uint64_t inode = 1 + below(2);
      const auto grant = host->allocator.allocate({attachment, "/ns", inode, pool}, now);
      if (!grant) {
        ASSERT_EQ(grant.error().reason, Refusal::Reason::exhausted) << grant.error().message;
        continue;
      }
      const Address address = *grant->lease.ipv4();
      if (grant->existing) {
        ASSERT_EQ(model.held.at(attachment), address);
        continue;
      }
      ASSERT_TRUE(model.sequences.insert(grant->lease.sequence).second)
          << "a sequence number twice";
      const auto rested = model.freed.find(address);
      if (rested != model.freed.end()) {
        ASSERT_GE(now, rested->second + settings.cool_down) << "given before it had rested";
        // FIFO: nothing of the same block was freed earlier and is still free.
        for (const auto& [other, when] : model.freed) {
          if (grant->lease.block.ipv4->contains(other)) {
            ASSERT_GE(when, rested->second)
                << other.text() << " waits longer than " << address.text();
          }
        }
        model.freed.erase(rested);
      }
      if (grant->replaced) model.freed[*grant->replaced->ipv4()] = now;
      host->commit(grant->changes);
      model.held[attachment] = address;
    } else if (action < 85) {
      const Release release = host->allocator.release(attachment, std::nullopt, now);
      ASSERT_EQ(release.lease.has_value(), model.held.contains(attachment));
      host->commit(release.changes);
      if (release.lease) {
        model.freed[*release.lease->ipv4()] = now;
        model.held.erase(attachment);
      }
    } else if (action < 95) {
      Observation seen;
      for (const auto& [holder, address] : model.held) {
        if (below(4) != 0) seen.host_ifnames.insert(host_ifname(holder));
      }
      const Audit audit = host->allocator.audit(seen, now);
      host->commit(audit.changes);
      for (const Lease& lease : audit.freed) {
        ASSERT_FALSE(seen.host_ifnames.contains(host_ifname(lease.attachment)))
            << "a living one was freed";
        model.freed[*lease.ipv4()] = now;
        model.held.erase(lease.attachment);
      }
    } else {
      const bool reboot = below(3) == 0;
      host.reset();
      if (reboot) {
        ++boot;
        now = Time(seconds(below(100)));
        for (auto& [address, when] : model.freed) when = now;
      }
      host = std::make_unique<Host>(directory.path(), fmt::format("boot-{}", boot), now);
    }
    ASSERT_NO_FATAL_FAILURE(check_invariants(*host, model, now)) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, testing::Range(1U, 9U));

/// Works until it is killed, telling each operation before it begins ("+a", "-a") and after its
/// commit ("!").
[[noreturn]] void work_until_killed(const std::filesystem::path& directory, int log,
                                    unsigned seed) {
  std::mt19937 random(seed);
  Host host(directory, "boot", Clock::now());
  const auto tell = [&](const std::string& line) {
    if (::write(log, line.data(), line.size()) < 0) ::_exit(2);
  };
  for (;;) {
    const Attachment attachment{"net", fmt::format("c{}", random() % 12), "eth0"};
    if (random() % 2 == 0) {
      tell("+" + attachment.container + " ");
      const auto grant = host.allocator.allocate({attachment, "/ns", 1, "one"}, Clock::now());
      if (grant) host.commit(grant->changes);
      tell(grant ? "=" + grant->lease.ipv4()->text() + "\n" : std::string("=none\n"));
    } else {
      tell("-" + attachment.container + " ");
      host.commit(host.allocator.release(attachment, std::nullopt, Clock::now()).changes);
      tell("=freed\n");
    }
  }
}

TEST(KillNine, AtAnyPointLosesNothingThatWasAnswered) {
  const Directory directory;
  std::map<std::string, std::string> answered;
  std::mt19937 random(7);
  for (unsigned round = 0; round < 40; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) work_until_killed(directory.path(), ends[1], round);
    ::close(ends[1]);
    // Killed after a random number of operations, wherever in the next one it then is.
    std::string log;
    char buffer[256];
    const std::size_t enough = 200 + random() % 4000;
    ssize_t size = 0;
    while (log.size() < enough && (size = ::read(ends[0], buffer, sizeof buffer)) > 0) {
      log.append(buffer, static_cast<std::size_t>(size));
    }
    ::kill(child, SIGKILL);
    while ((size = ::read(ends[0], buffer, sizeof buffer)) > 0) {
      log.append(buffer, static_cast<std::size_t>(size));
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself, with " << WEXITSTATUS(status);

    std::istringstream lines(log);
    std::optional<std::string> open;
    for (std::string line; std::getline(lines, line);) {
      const auto equals = line.find(" =");
      const std::string container = line.substr(1, line.find(' ') - 1);
      if (equals == std::string::npos) {
        open = container;  // begun and not answered: may have happened or not
        break;
      }
      const std::string answer = line.substr(equals + 2);
      if (line[0] == '-') {
        answered.erase(container);
      } else if (answer != "none") {
        answered[container] = answer;
      }
    }
    Host host(directory.path(), "boot", Clock::now());
    std::map<std::string, std::string> found;
    std::set<std::string> addresses;
    for (const LeaseStatus& status_of : host.allocator.leases()) {
      const std::string address = status_of.lease.ipv4()->text();
      ASSERT_TRUE(addresses.insert(address).second) << "two holders of one address";
      found[status_of.lease.attachment.container] = address;
    }
    if (open) {
      if (found.contains(*open)) {
        answered[*open] = found[*open];
      } else {
        answered.erase(*open);
      }
    }
    ASSERT_EQ(found, answered) << "round " << round;
  }
}

}  // namespace
}  // namespace weft::ipam
