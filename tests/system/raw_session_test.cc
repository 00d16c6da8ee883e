// weft's speaker and transport against a peer made of a socket, which says what no daemon would.
// The daemons that operators run are the interop matrix (interop_sessions_test.cc and its other
// parts).
#include <gmock/gmock.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>

#include "bgp/message.h"
#include "bgp/speaker.h"
#include "bgp/transport.h"
#include "bgp/update.h"
#include "tests/system/two_hosts.h"

namespace weft::bgp {
namespace {

using namespace std::chrono_literals;
using system_test::Inside;
using system_test::TwoHosts;
using testing::HasSubstr;

Prefix prefix(const char* text) {
  return Prefix::parse(text).value();
}
Address address(const char* text) {
  return Address::parse(text).value();
}

/// A speaker with its transport, as a daemon holds them, in the namespace of the thread that makes
/// it.
class Host {
 public:
  explicit Host(const Settings& settings)
      : speaker_(settings, 1, Clock::now()),
        transport_(io_, speaker_,
                   {[this](const std::vector<RouteChange>& changes) { take(changes); },
                    [](SyncDone) {}, [this](const LogLine& line) { log += line.text + "\n"; }}) {
    const auto index = ::if_nametoindex("weft0");
    const std::vector<ConnectedSubnet> subnets{
        {address("192.0.2.1"), prefix("192.0.2.0/24"), index},
        {address("fd00::1"), prefix("fd00::/64"), index}};
    speaker_.connected(subnets, Clock::now());
    const auto listening = transport_.listen();
    if (!listening) throw std::runtime_error(listening.error().message);
    transport_.poke();
  }

  /// Runs until `condition` holds; false when it does not within `limit`.
  bool until(const std::function<bool()>& condition, Clock::duration limit = 20s) {
    const Time end = Clock::now() + limit;
    while (!condition()) {
      if (Clock::now() > end) return false;
      io_.run_for(std::chrono::milliseconds{20});
      io_.restart();
    }
    return true;
  }
  void run(Clock::duration span) {
    until([] { return false; }, span);
  }
  bool established() {
    return until([&] { return state() == PeerState::established; });
  }
  PeerState state() { return status().state; }
  PeerStatus status() { return speaker_.peers().at(0); }
  /// "192.0.2.2", or "" for no route.
  std::string via(const char* text) {
    const auto found = learned.find(prefix(text));
    return found == learned.end() || found->second.empty() ? "" : found->second[0].gateway.text();
  }
  bool learns(const char* text) {
    return until([&] { return !via(text).empty(); });
  }
  bool loses(const char* text) {
    return until([&] { return via(text).empty(); });
  }

  std::map<Prefix, NextHops> learned;
  std::string log;

 private:
  void take(const std::vector<RouteChange>& changes) {
    for (const RouteChange& change : changes) {
      learned.erase(change.prefix);
      if (change.kind == RouteKind::via)
        learned[change.prefix] = speaker_.next_hops(change.next_hops);
    }
  }

  boost::asio::io_context io_;
  Speaker speaker_;
  Transport transport_;
};

Settings node() {
  Settings settings;
  settings.asn = Asn{65001};
  settings.router_id = RouterId{0xc0000201};
  PeerSettings peer;
  peer.name = "tor";
  peer.address = address("192.0.2.2");
  peer.hold_time = 3s;
  peer.connect_retry = 1s;
  peer.import_filter = Filter::accept;
  settings.peers = {peer};
  return settings;
}

class RawSession : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    hosts_ = std::make_unique<TwoHosts>();
    inside_ = std::make_unique<Inside>(hosts_->a);
  }
  void TearDown() override {
    inside_.reset();
    hosts_.reset();
  }

  std::unique_ptr<TwoHosts> hosts_;
  std::unique_ptr<Inside> inside_;
};

/// A peer made of a socket, in namespace b.
class RawPeer {
 public:
  explicit RawPeer(const TwoHosts& hosts, int ttl = 255) {
    const Inside there(hosts.b);
    socket_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ::setsockopt(socket_.get(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(179);
    to.sin_addr.s_addr = htonl(0xc0000201);
    // Answered later, if at all: the socket does not wait.
    static_cast<void>(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to));
  }
  /// What has arrived so far, by type.
  std::map<MessageType, int> hear() {
    std::array<std::byte, 4096> buffer{};
    for (ssize_t size = 0; (size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0)) > 0;) {
      input_.insert(input_.end(), buffer.begin(), buffer.begin() + size);
    }
    for (;;) {
      const auto frame = next_message(input_, max_extended_message_size);
      if (!frame || !*frame) return heard_;
      ++heard_[(*frame)->type];
      if ((*frame)->type == MessageType::notification)
        last_words_ = decode_notification((*frame)->body());
      input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>((*frame)->size()));
    }
  }
  template <typename M>
  void say(const M& message) {
    std::vector<std::byte> bytes;
    encode(message, bytes);
    say_bytes(bytes);
  }
  void say_bytes(Bytes bytes) {
    EXPECT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  [[nodiscard]] const std::optional<Notification>& last_words() const { return last_words_; }
  /// OPEN, KEEPALIVE.
  void establish(Host& host) {
    ASSERT_TRUE(host.until([&] { return hear()[MessageType::open] == 1; })) << host.log;
    Open open{Asn{65002}, 0s, RouterId{0xc0000202}, {}};
    open.capabilities.four_octet_as = Asn{65002};
    say(open);
    say(Keepalive{});
    ASSERT_TRUE(host.established()) << host.log;
  }

 private:
  Fd socket_;
  std::vector<std::byte> input_;
  std::map<MessageType, int> heard_;
  std::optional<Notification> last_words_;
};

/// 198.51.100.0/24 by way of 192.0.2.2, with ORIGIN as given.
std::vector<std::byte> update(std::uint8_t origin) {
  std::vector<std::byte> bytes(16, std::byte{0xff});
  Writer out(bytes);
  out.u16(0);
  out.u8(2);
  out.u16(0);
  out.u16(20);
  for (const int octet :
       {0x40, 1, 1, +origin, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea, 0x40, 3, 4, 192, 0, 2, 2}) {
    out.u8(static_cast<std::uint8_t>(octet));
  }
  for (const int octet : {24, 198, 51, 100}) out.u8(static_cast<std::uint8_t>(octet));
  out.patch_u16(16, static_cast<std::uint16_t>(bytes.size()));
  return bytes;
}

TEST_F(RawSession, AMalformedUpdateIsAWithdrawalAndTheSessionStays) {
  Settings settings = node();
  settings.peers[0].passive = true;
  Host host(settings);
  RawPeer raw(*hosts_);
  raw.establish(host);
  raw.say_bytes(update(0));
  ASSERT_TRUE(host.learns("198.51.100.0/24"));
  raw.say_bytes(update(9));  // no such ORIGIN (RFC 7606 7.1)
  EXPECT_TRUE(host.loses("198.51.100.0/24"));
  EXPECT_EQ(host.status().malformed_updates, 1U);
  raw.say_bytes(update(0));
  EXPECT_TRUE(host.learns("198.51.100.0/24"));
  EXPECT_EQ(host.state(), PeerState::established);
  EXPECT_THAT(host.log, HasSubstr("ORIGIN"));
}

TEST_F(RawSession, NonsenseIsAnsweredBeforeTheConnectionGoes) {
  Settings settings = node();
  settings.peers[0].passive = true;
  Host host(settings);
  RawPeer raw(*hosts_);
  raw.establish(host);
  const std::vector<std::byte> nonsense(64, std::byte{0x5a});
  raw.say_bytes(nonsense);
  EXPECT_TRUE(host.until([&] { return raw.hear()[MessageType::notification] == 1; }));
  ASSERT_TRUE(raw.last_words());
  EXPECT_EQ(raw.last_words()->fault, Fault::ConnectionNotSynchronized);
}

TEST_F(RawSession, APeerFromFurtherAwayDoesNotEvenConnect) {
  Settings settings = node();
  settings.peers[0].passive = true;
  Host host(settings);
  RawPeer far(*hosts_, 64);
  host.run(1500ms);
  EXPECT_EQ(host.state(), PeerState::active);
  EXPECT_TRUE(far.hear().empty());
  RawPeer near(*hosts_, 255);
  near.establish(host);
}

TEST_F(RawSession, AnUnknownSourceIsRefused) {
  Settings settings = node();
  settings.peers[0].address = address("192.0.2.77");
  settings.peers[0].passive = true;
  settings.peers[0].gtsm = false;
  Host host(settings);
  RawPeer stranger(*hosts_);
  host.run(500ms);
  EXPECT_TRUE(stranger.hear().empty());
}

}  // namespace
}  // namespace weft::bgp
