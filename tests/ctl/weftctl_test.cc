// The program itself, against a socket that answers with real reply lines.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "ctl/protocol.h"
#include "net/fd.h"

namespace weft::ctl {
namespace {

using testing::HasSubstr;

struct Outcome {
  int code = -1;
  /// Both streams.
  std::string output;
};

Outcome run(const std::string& arguments) {
  const std::string command = std::string(WEFT_BINARY_DIR "/weftctl ") + arguments + " 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");  // NOLINT(cert-env33-c): a test's own command
  Outcome outcome;
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    outcome.output.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) outcome.code = WEXITSTATUS(status);
  return outcome;
}

/// Stands in for weftd: takes one connection and answers its requests with the given lines.
class WeftctlTest : public testing::Test {
 protected:
  WeftctlTest() {
    std::string pattern = "/tmp/weft-ctl-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/s";
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path_.begin(), path_.end(), std::begin(address.sun_path));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
  }
  ~WeftctlTest() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }

  Outcome run_against(const std::string& arguments, const std::vector<std::string>& answers) {
    const std::jthread server([&] {
      const Fd connection(::accept(listener_.get(), nullptr, nullptr));
      for (const std::string& answer : answers) {
        std::string line;
        char octet = 0;
        while (::read(connection.get(), &octet, 1) == 1 && octet != '\n') line += octet;
        asked_.push_back(line);
        const std::string reply = answer + '\n';
        EXPECT_EQ(::write(connection.get(), reply.data(), reply.size()),
                  static_cast<ssize_t>(reply.size()));
      }
    });
    return run(fmt::format("--socket {} {}", path_, arguments));
  }

  std::string directory_;
  std::string path_;
  Fd listener_;
  std::vector<std::string> asked_;
};

TEST_F(WeftctlTest, PrintsATable) {
  const Outcome outcome = run_against("blocks", {encode(Reply{Blocks{}})});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.output, "this host owns no blocks (pools.<name>.claim)\n");
  EXPECT_EQ(asked_, std::vector<std::string>{R"({"method":"blocks"})"});
}

TEST_F(WeftctlTest, PrintsTheReplyAsItCame) {
  const std::string line = R"({"ok":{"blocks":[], "colour":"red"}})";
  const Outcome outcome = run_against("blocks --json", {line});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.output, line + "\n");
}

TEST_F(WeftctlTest, ExitsWithOneOnAnErrorOfWeftd) {
  const std::string line = encode(Reply{Failure{ErrorCode::busy, "still starting"}});
  Outcome outcome = run_against("status", {line});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.output, "weftctl: weftd: still starting\n");
  outcome = run_against("--json status", {line});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.output, line + "\n");
}

TEST_F(WeftctlTest, ExitsWithZeroOnWarnings) {
  Status status;
  status.warnings = {"peer tor2 is down"};
  const Outcome outcome = run_against("status", {encode(Reply{status})});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, HasSubstr("WARNING: peer tor2 is down\n"));
}

TEST_F(WeftctlTest, OrdersASessionAbout) {
  const Outcome outcome =
      run_against("peer shutdown tor1 --message racks", {encode(Reply{Done{}})});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.output, "done\n");
}

TEST_F(WeftctlTest, FindsThePeerByName) {
  Peer tor1;
  tor1.name = "tor1";
  const std::string line = encode(Reply{Peers{{tor1}, {}}});
  Outcome outcome = run_against("peers tor1", {line});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, HasSubstr("peer tor1\n"));
  outcome = run_against("peers tor9", {line});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("no peer has the name or address 'tor9'"));
}

TEST_F(WeftctlTest, FindsTheRouteOfAnAddress) {
  Routes routes;
  routes.routes.resize(1);
  routes.routes[0].prefix = "10.64.1.0/26";
  const std::string line = encode(Reply{routes});
  const Outcome outcome = run_against("routes 10.64.1.7", {line});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, HasSubstr("route 10.64.1.0/26"));
  EXPECT_EQ(asked_, (std::vector<std::string>{R"({"method":"routes","address":"10.64.1.7"})"}));
}

TEST_F(WeftctlTest, SaysThatARouteIsNotKnown) {
  const Outcome outcome = run_against("routes 10.64.1.0/26", {encode(Reply{Routes{}})});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.output, "no route to 10.64.1.0/26 is known\n");
}

TEST(WeftctlUsage, ExitsWithTwo) {
  for (const char* arguments : {"", "stats", "status extra", "--timeout 0 status", "--bogus status",
                                "routes 10.64.1.1/26", "routes rack", "peers a b"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments << ": " << outcome.output;
    EXPECT_FALSE(outcome.output.empty()) << arguments;
  }
  EXPECT_THAT(run("routes 10.64.1.1/26").output, HasSubstr("the prefix is 10.64.1.0/26"));
  EXPECT_EQ(run("--help").code, 0);
  EXPECT_EQ(run("--version").code, 0);
}

TEST(WeftctlUnreachable, ExitsWithThree) {
  const Outcome outcome = run("--socket /nonexistent/weft.sock status");
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.output, HasSubstr("weftd is not running: there is no socket /nonexistent"));
}

}  // namespace
}  // namespace weft::ctl
