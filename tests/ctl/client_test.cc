#include "ctl/client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <thread>

namespace weft::ctl {
namespace {

using namespace std::chrono_literals;
using Kind = ClientError::Kind;
using testing::HasSubstr;

/// A directory of its own, with the path of a socket in it.
class SocketTest : public testing::Test {
 protected:
  SocketTest() {
    std::string pattern = "/tmp/weft-ctl-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/s";
  }
  ~SocketTest() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }

  [[nodiscard]] Fd bound(int backlog) const {
    Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path_.begin(), path_.end(), std::begin(address.sun_path));
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener.get(), backlog), 0);
    return listener;
  }

  /// Accepts one connection, reads one line, and leaves the rest to `answer`.
  [[nodiscard]] std::jthread serve(const Fd& listener,
                                   std::function<void(int, const std::string&)> answer) const {
    return std::jthread([fd = listener.get(), answer = std::move(answer)] {
      const Fd connection(::accept(fd, nullptr, nullptr));
      std::string line;
      char octet = 0;
      while (::read(connection.get(), &octet, 1) == 1 && octet != '\n') line += octet;
      answer(connection.get(), line);
    });
  }

  std::string directory_;
  std::string path_;
};

void write_all(int fd, const std::string& bytes) {
  EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

TEST_F(SocketTest, BringsTheReply) {
  const Fd listener = bound(1);
  std::string seen;
  Result<Reply, ClientError> reply = Reply{};
  {
    const auto server = serve(listener, [&](int fd, const std::string& line) {
      seen = line;
      // In two pieces, as a stream may deliver it.
      const std::string answer = encode(Reply{Blocks{}}) + '\n';
      write_all(fd, answer.substr(0, 5));
      write_all(fd, answer.substr(5));
    });
    reply = call(path_, BlocksRequest{}, 10s);
  }
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(*reply, Reply{Blocks{}});
  EXPECT_EQ(seen, encode(Request{BlocksRequest{}}));
}

TEST_F(SocketTest, CarriesRequestsOneAfterTheOther) {
  const Fd listener = bound(1);
  const auto server = serve(listener, [](int fd, const std::string&) {
    write_all(fd, encode(Reply{Done{}}) + '\n' + encode(Reply{Blocks{}}) + '\n');
    std::array<char, 256> rest{};
    EXPECT_GT(::read(fd, rest.data(), rest.size()), 0);
  });
  auto client = Client::connect(path_, Clock::now() + 10s);
  ASSERT_TRUE(client);
  const auto first = client->call(DelRequest{{"n", "c", "e"}}, Clock::now() + 10s);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(*first, Reply{Done{}});
  const auto second = client->call(BlocksRequest{}, Clock::now() + 10s);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(*second, Reply{Blocks{}});
}

TEST_F(SocketTest, TakesALongReply) {
  Containers many;
  many.containers.resize(20000);
  const Fd listener = bound(1);
  const auto server = serve(listener, [&](int fd, const std::string&) {
    const std::string answer = encode(Reply{many}) + '\n';
    for (std::size_t done = 0; done < answer.size();) {
      const ssize_t sent = ::write(fd, answer.data() + done, answer.size() - done);
      if (sent <= 0) return;
      done += static_cast<std::size_t>(sent);
    }
  });
  const auto reply = call(path_, ContainersRequest{}, 60s);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(*reply, Reply{many});
}

TEST_F(SocketTest, SaysThatNobodyIsThere) {
  const auto reply = call(path_, StatusRequest{}, 1s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::unreachable);
  EXPECT_THAT(reply.error().message,
              HasSubstr("weftd is not running: there is no socket " + path_));
}

TEST_F(SocketTest, SaysThatNobodyListens) {
  { const Fd left_behind = bound(1); }
  const auto reply = call(path_, StatusRequest{}, 1s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::unreachable);
  EXPECT_THAT(reply.error().message, HasSubstr("nobody listens on " + path_));
}

TEST_F(SocketTest, SaysThatAFileIsNoSocket) {
  const Fd file(::open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  const auto reply = call(path_, StatusRequest{}, 1s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::unreachable);
  EXPECT_THAT(reply.error().message, HasSubstr(path_));
}

TEST_F(SocketTest, SaysThatThereIsNoPermission) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become nobody";
  const Fd listener = bound(1);
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  Result<Reply, ClientError> reply = Reply{};
  std::jthread([&] {
    // The raw call: glibc would change every thread.
    ASSERT_EQ(::syscall(SYS_setresuid, 65534, 65534, 65534), 0);
    reply = call(path_, StatusRequest{}, 1s);
  }).join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::unreachable);
  EXPECT_THAT(reply.error().message, HasSubstr("no permission to use " + path_));
}

TEST_F(SocketTest, GivesUpAtTheDeadline) {
  const Fd listener = bound(1);
  const Time start = Clock::now();
  const auto reply = call(path_, StatusRequest{}, 50ms);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::timeout);
  EXPECT_THAT(reply.error().message, HasSubstr("did not answer on " + path_));
  EXPECT_GE(Clock::now() - start, 50ms);
}

TEST_F(SocketTest, GivesUpOnAFullBacklog) {
  const Fd listener = bound(0);
  const auto queued = Client::connect(path_, Clock::now() + 1s);
  ASSERT_TRUE(queued);
  const Time start = Clock::now();
  const auto refused = Client::connect(path_, Clock::now() + 50ms);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::timeout);
  EXPECT_THAT(refused.error().message, HasSubstr("too many are waiting"));
  EXPECT_GE(Clock::now() - start, 40ms);
}

TEST_F(SocketTest, SaysThatWeftdHungUp) {
  const Fd listener = bound(1);
  const auto server = serve(listener, [](int fd, const std::string&) { write_all(fd, "{\"ok\""); });
  const auto reply = call(path_, StatusRequest{}, 10s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::unreachable);
  EXPECT_THAT(reply.error().message, HasSubstr("closed the connection on " + path_));
}

TEST_F(SocketTest, SaysThatTheReplyIsGarbage) {
  const Fd listener = bound(1);
  const auto server = serve(listener, [](int fd, const std::string&) { write_all(fd, "hello\n"); });
  const auto reply = call(path_, StatusRequest{}, 10s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, Kind::garbled);
  EXPECT_THAT(reply.error().message, HasSubstr(path_));
}

TEST_F(SocketTest, RefusesPathsAndRequestsThatAreTooLong) {
  const auto path = call("/tmp/" + std::string(200, 'x'), StatusRequest{}, 1s);
  ASSERT_FALSE(path);
  EXPECT_THAT(path.error().message, HasSubstr("1 to 107 octets"));
  EXPECT_FALSE(call("", StatusRequest{}, 1s));
  const Fd listener = bound(1);
  const auto request = call(path_, DelRequest{{std::string(line_limit, 'n'), "c", "e"}}, 1s);
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().kind, Kind::garbled);
}

}  // namespace
}  // namespace weft::ctl
