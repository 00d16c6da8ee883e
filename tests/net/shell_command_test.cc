// Commands of an operator: their verdict, and that none outlives its time.
#include "net/shell_command.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <unistd.h>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

namespace weft {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Case {
  const char* name;
  const char* command;
  bool succeeds;
};

class ShellCommands : public testing::TestWithParam<Case> {};

TEST_P(ShellCommands, SucceedWithExitStatusZeroOnly) {
  EXPECT_EQ(succeeds(GetParam().command, seconds(60)), GetParam().succeeds);
}

INSTANTIATE_TEST_SUITE_P(Table, ShellCommands,
                         testing::Values(Case{"True", "true", true}, Case{"False", "false", false},
                                         Case{"Shell", "test a = a && exit 0", true},
                                         Case{"Nonsense", "/does/not/exist 2>/dev/null", false},
                                         Case{"Signal", "kill -TERM $$", false},
                                         Case{"NoInput", "read line; test -z \"$line\"", true},
                                         Case{"OwnGroup", "kill -0 -$$", true}),
                         [](const auto& c) { return c.param.name; });

bool runs(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  return file >> number >> name >> state && state != "Z";
}

TEST(ShellCommand, OneThatHangsIsKilledWithItsChildren) {
  const auto path =
      std::filesystem::temp_directory_path() / ("weft-hangs-" + std::to_string(::getpid()));
  const std::string hangs = "sleep 1000 & echo $! > " + path.string() + ".new; mv " +
                            path.string() + ".new " + path.string() + "; wait";
  const Time begin = Clock::now();
  auto command = ShellCommand::start(hangs, ShellCommand::Output::discarded);
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_FALSE(command->ended());
  while (!std::filesystem::exists(path) && Clock::now() < begin + seconds(60)) ::usleep(1000);
  pid_t child = 0;
  std::ifstream(path) >> child;
  std::filesystem::remove(path);
  ASSERT_GT(child, 0);
  EXPECT_TRUE(runs(child));
  command->kill();
  pollfd one{command->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&one, 1, 60'000), 1);
  EXPECT_EQ(command->ended(), false);
  EXPECT_EQ(command->ended(), false) << "waited for once";
  while (runs(child) && Clock::now() < begin + seconds(60)) ::usleep(1000);
  EXPECT_FALSE(runs(child));
}

TEST(ShellCommand, TheWaitEndsAtItsLimit) {
  const Time begin = Clock::now();
  EXPECT_FALSE(succeeds("sleep 1000", milliseconds(20)));
  EXPECT_LT(Clock::now() - begin, seconds(500));
}

}  // namespace
}  // namespace weft
