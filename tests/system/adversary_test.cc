// Peers that obey nothing, against a weftd that has a session with an honest BIRD beside them: that
// session stays, memory and descriptors stay bounded, and whoever breaks the protocol gets the
// NOTIFICATION that the RFCs have for it.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bgp/message.h"
#include "net/fd.h"
#include "tests/system/interop.h"

namespace weft::interop {
namespace {

using namespace std::chrono_literals;
using bgp::Fault;
using system_test::Inside;
using system_test::must;
using testing::HasSubstr;

/// A TCP connection to weftd from any address of the other host.
class Hostile {
 public:
  Hostile(const TwoHosts& hosts, const std::string& from, int receive_buffer = 0) {
    const Inside there(hosts.b);
    socket_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int ttl = 255;
    const int at_once = 1;
    const timeval wait{5, 0};
    ::setsockopt(socket_.get(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (receive_buffer != 0)
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    ::inet_pton(AF_INET, from.c_str(), &address.sin_addr);
    const bool bound =
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::inet_pton(AF_INET, "192.0.2.1", &address.sin_addr);
    address.sin_port = htons(179);
    connected = bound && ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                                   sizeof address) == 0;
  }

  bool connected = false;

  bool say(Bytes bytes) const {
    while (!bytes.empty()) {
      const ssize_t size = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
    return true;
  }
  /// Each octet in a segment of its own.
  bool say_slowly(Bytes bytes) const {
    return std::all_of(bytes.begin(), bytes.end(),
                       [&](const std::byte& octet) { return say(Bytes(&octet, 1)); });
  }
  template <typename... Messages>
  static std::vector<std::byte> bytes(const Messages&... messages) {
    std::vector<std::byte> all;
    (encode(messages, all), ...);
    return all;
  }
  static bgp::Open open(std::uint32_t asn, const std::string& id) {
    bgp::Open open{bgp::Asn{asn}, 90s, bgp::RouterId{Address::parse(id)->v4()}, {}};
    open.capabilities.families = {bgp::unicast(Family::ipv4), bgp::unicast(Family::ipv6)};
    open.capabilities.four_octet_as = bgp::Asn{asn};
    return open;
  }
  /// Reads until a message of the type is there, the connection ends or the patience does.
  std::optional<bgp::Frame> hear(bgp::MessageType type) {
    const Time end = Clock::now() + patience;
    while (Clock::now() < end) {
      const auto frame = bgp::next_message(input_, bgp::max_extended_message_size);
      if (frame && *frame) {
        said_.assign((*frame)->message.begin(), (*frame)->message.end());
        input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(said_.size()));
        if ((*frame)->type == type) return bgp::Frame{type, said_};
        continue;
      }
      std::array<std::byte, 4096> buffer{};
      const timeval wait{1, 0};
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
      const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) return std::nullopt;
      if (size > 0) input_.insert(input_.end(), buffer.begin(), buffer.begin() + size);
    }
    return std::nullopt;
  }
  /// What weftd says at the end; none: it says nothing.
  std::optional<bgp::Notification> farewell() {
    const auto frame = hear(bgp::MessageType::notification);
    if (!frame) return std::nullopt;
    return bgp::decode_notification(frame->body());
  }

 private:
  Fd socket_;
  std::vector<std::byte> input_;
  std::vector<std::byte> said_;
};

std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  unsigned value = 0;
  int digits = 0;
  for (const char c : text) {
    if (c == ' ') continue;
    value = value * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    if (++digits % 2 == 0) {
      bytes.push_back(static_cast<std::byte>(value));
      value = 0;
    }
  }
  return bytes;
}

/// A whole message with a right header around the body.
std::vector<std::byte> message(std::uint8_t type, std::string_view body) {
  const auto inside = from_hex(body);
  std::vector<std::byte> bytes(16, std::byte{0xff});
  Writer out(bytes);
  out.u16(static_cast<std::uint16_t>(19 + inside.size()));
  out.u8(type);
  out.bytes(inside);
  return bytes;
}

class Adversary : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    Row row{.name = "Adversary",
            .check = {},
            .weft =
                "remote-as: external}\n    - {listen: 192.0.2.0/24, limit: 200, group: base, "
                "export: accept, send-hold: 10, prefix-limit: 200000"};
    pair_ = std::make_unique<Pair>(Daemon::bird, row, WEFT_BINARY_DIR);
    pair_->start();
    ASSERT_TRUE(pair_->established() && pair_->exchanges_routes()) << pair_->story();
    honest_ = pair_->peer()["established_count"];
    memory_ = resident();
    for (int i = 50; i < 200; ++i)
      must("ip -n " + pair_->hosts.b + " address add 192.0.2." + std::to_string(i) +
           "/24 dev weft0");
  }
  void TearDown() override {
    if (!pair_) return;
    // Whatever was done: weftd lives, answers, and the honest session is the same one.
    const json honest = pair_->peer();
    EXPECT_EQ(honest["name"], "peer") << pair_->story();
    EXPECT_EQ(honest["state"], "Established") << pair_->story();
    EXPECT_EQ(honest["established_count"], honest_) << pair_->story();
    EXPECT_LT(resident(), memory_ + most_memory_) << "KiB";
  }
  [[nodiscard]] std::size_t resident() const { return number("status", "VmRSS:"); }
  [[nodiscard]] std::size_t number(const std::string& leaf, const std::string& key) const {
    std::ifstream in("/proc/" + std::to_string(pair_->weftd->pid()) + "/" + leaf);
    for (std::string word; in >> word;) {
      std::size_t value = 0;
      if (word == key && in >> value) return value;
    }
    return 0;
  }
  [[nodiscard]] std::size_t descriptors() const {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(pair_->weftd->pid()) +
                                                  "/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  [[nodiscard]] json peer_called(const std::string& name) const {
    const json reply = pair_->ctl("peers");
    if (!reply.is_object()) return json::object();
    for (const json& peer : reply["peers"]) {
      if (peer["name"] == name) return peer;
    }
    return json::object();
  }

  /// weftd has logged a line about the peer with these words.
  [[nodiscard]] bool has_line(const std::string& peer, std::string_view words) const {
    std::istringstream log(pair_->weft_log());
    for (std::string line; std::getline(log, line);) {
      if (line.find("peer " + peer + ": ") != std::string::npos &&
          line.find(words) != std::string::npos)
        return true;
    }
    return false;
  }

  std::unique_ptr<Pair> pair_;
  json honest_;
  std::size_t memory_ = 0;
  /// KiB that weftd may grow by, in a build with sanitizers.
  std::size_t most_memory_ = 64UL * 1024;
};

TEST_F(Adversary, OneOctetPerSegment) {
  Hostile slow(pair_->hosts, "192.0.2.50");
  ASSERT_TRUE(slow.connected);
  EXPECT_TRUE(
      slow.say_slowly(Hostile::bytes(Hostile::open(65050, "192.0.2.50"), bgp::Keepalive{})));
  EXPECT_TRUE(slow.say_slowly(
      message(2, "0000 0014 40010100 400206 0201 0000fe1a 400304c0000232 18 c63364")));
  EXPECT_TRUE(pair_->until([&] {
    return pair_->weftctl("routes 198.51.100.0/24").find("65050") != std::string::npos;
  })) << pair_->story();
}

TEST_F(Adversary, AThousandHalfOpenConnections) {
  std::vector<std::unique_ptr<Hostile>> silent;
  for (int i = 0; i < 1000; ++i) {
    silent.push_back(
        std::make_unique<Hostile>(pair_->hosts, "192.0.2." + std::to_string(50 + i % 150)));
  }
  ASSERT_TRUE(pair_->until([&] { return pair_->ctl("status").is_object(); })) << pair_->story();
  // 64 over all of the range, and what a weftd has anyway.
  EXPECT_LT(descriptors(), 64U + 2 + 40);
  EXPECT_LE(pair_->ctl("peers")["ranges"][0]["peers"], 64);
  EXPECT_THAT(pair_->weft_log(), HasSubstr("refused: 64 others have not said OPEN yet"));
  // The honest peer comes back meanwhile.
  pair_->birdc("restart weft");
  ASSERT_TRUE(pair_->until([&] {
    return pair_->peer()["established_count"] > honest_ && pair_->state() == "Established";
  })) << pair_->story();
  honest_ = pair_->peer()["established_count"];
}

/// Each is told why it is refused, takes that, and does not close.
TEST_F(Adversary, ConnectionsThatAreRefusedAndNeverClosed) {
  Hostile up(pair_->hosts, "192.0.2.50");
  ASSERT_TRUE(up.say(Hostile::bytes(Hostile::open(65050, "192.0.2.50"), bgp::Keepalive{})));
  ASSERT_TRUE(up.hear(bgp::MessageType::keepalive)) << pair_->story();
  std::vector<std::unique_ptr<Hostile>> refused;
  std::size_t most = 0;
  for (int i = 0; i < 600; ++i) {
    refused.push_back(std::make_unique<Hostile>(pair_->hosts, "192.0.2.50"));
    ASSERT_TRUE(refused.back()->connected);
    ASSERT_TRUE(refused.back()->say(Hostile::bytes(Hostile::open(65050, "192.0.2.50"))));
    const auto farewell = refused.back()->farewell();
    ASSERT_TRUE(farewell) << pair_->story();
    ASSERT_EQ(bgp::text(farewell->fault), bgp::text(Fault::ConnectionCollision));
    most = std::max(most, descriptors());
  }
  EXPECT_LT(most, 4U + 2 + 40);
  EXPECT_EQ(peer_called("192.0.2.50").value("state", ""), "Established") << pair_->story();
}

/// One tells 100,000 routes, the other never reads them.
TEST_F(Adversary, APeerThatNeverReads) {
  Hostile deaf(pair_->hosts, "192.0.2.51", 4096);
  ASSERT_TRUE(deaf.say(Hostile::bytes(Hostile::open(65051, "192.0.2.51"), bgp::Keepalive{})));
  Hostile talkative(pair_->hosts, "192.0.2.52");
  ASSERT_TRUE(talkative.say(Hostile::bytes(Hostile::open(65052, "192.0.2.52"), bgp::Keepalive{})));
  for (int i = 0; i < 400; ++i) {
    std::string nlri;
    for (int j = 0; j < 250; ++j) {
      const int n = i * 250 + j;
      char text[16];
      std::snprintf(text, sizeof text, "180a%02x%02x", (n >> 8) & 0xff, n & 0xff);
      nlri += n < 65536 ? text : std::string("1814") + std::string(text).substr(4);
    }
    ASSERT_TRUE(
        talkative.say(message(2, "0000 0014 40010100 400206 0201 0000fe1c 400304c0000234" + nlri)));
  }
  const Time end = Clock::now() + patience;
  std::string why;
  while (Clock::now() < end && why.find("Send Hold Timer Expired") == std::string::npos) {
    deaf.say(Hostile::bytes(bgp::Keepalive{}));
    talkative.say(Hostile::bytes(bgp::Keepalive{}));
    std::this_thread::sleep_for(500ms);
    why = peer_called("192.0.2.51").value("last_error", "");
  }
  EXPECT_THAT(why, HasSubstr("Send Hold Timer Expired")) << pair_->story();
  EXPECT_THAT(pair_->weft_log(), HasSubstr("Send Hold Timer Expired"));
  EXPECT_EQ(peer_called("192.0.2.52").value("state", ""), "Established");
  // A route and its paths, in a build with sanitizers; a queue of every change would be more.
  most_memory_ = 300UL * 1024;
}

/// What once brought a daemon down or its sessions; the words say what is wrong with it.
struct Poison {
  const char* name;
  std::vector<std::byte> bytes;
  /// After OPEN and KEEPALIVE, or in place of the OPEN.
  bool established;
  /// None: the session stays.
  std::optional<Fault> fault;
  /// Of the line in the log, where there is more to say than the fault.
  std::string_view words = {};
};

/// An UPDATE that announces 198.51.100.0/24, unless `nlri` is something else.
std::vector<std::byte> update_of(const std::string& attributes,
                                 const std::string& nlri = "18 c63364") {
  std::array<char, 8> length{};
  std::snprintf(length.data(), length.size(), "%04x",
                static_cast<unsigned>(from_hex(attributes).size()));
  return message(2, "0000" + std::string(length.data()) + attributes + nlri);
}
/// Its attributes are fine but for `more`, which is not the last.
std::vector<std::byte> update_with(const std::string& more) {
  return update_of("40010100" + more + "400206 0201 0000fe32 400304c0000232");
}

std::string octets(std::size_t count, const std::string& octet) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += octet;
  return all;
}

const std::vector<Poison>& poisons() {
  static const std::vector<Poison> table{
      {"CapabilityLongerThanItsParameter", message(1, "04 fe32 005a c0000232 06 0204 4106 0000"),
       false, Fault::OpenMalformed},
      {"ParameterLongerThanTheOpen", message(1, "04 fe32 005a c0000232 04 02ff 4104"), false,
       Fault::OpenMalformed},
      {"ExtendedParametersShorterThanTheySay",
       message(1, "04 fe32 005a c0000232 ff ff ffff 02 0006 41040000fe32"), false,
       Fault::OpenMalformed},
      {"ExtendedParameterCutInItsLength", message(1, "04 fe32 005a c0000232 ff ff 0002 02 00"),
       false, Fault::OpenMalformed},
      {"AsZero", message(1, "04 0000 005a c0000232 00"), false, Fault::BadPeerAs},
      {"AsZeroInFourOctets", message(1, "04 5ba0 005a c0000232 08 0206 4104 00000000"), false,
       Fault::BadPeerAs},
      {"HoldTimeOfOneSecond", message(1, "04 fe32 0001 c0000232 00"), false,
       Fault::UnacceptableHoldTime},
      {"MessageTypeZero", message(0, ""), true, Fault::BadMessageType},
      {"MessageType255", message(255, ""), true, Fault::BadMessageType},
      {"MessageTypeZeroInPlaceOfAnOpen", message(0, ""), false, Fault::BadMessageType},
      {"UpdateInPlaceOfAnOpen", message(2, "0000 0000"), false, Fault::UnexpectedInOpenSent},
      {"SecondOpen", message(1, "04 fe32 005a c0000232 00"), true, Fault::UnexpectedInEstablished},
      {"KeepaliveWithABody", message(4, "00"), true, Fault::BadMessageLength},
      {"LengthOfZero", from_hex("ffffffffffffffffffffffffffffffff 0000 04"), true,
       Fault::BadMessageLength},
      {"LengthBelowTheHeader", from_hex("ffffffffffffffffffffffffffffffff 0012 02"), true,
       Fault::BadMessageLength},
      {"LongerThanWasNegotiated", from_hex("ffffffffffffffffffffffffffffffff ffff 01"), true,
       Fault::BadMessageLength},
      {"BrokenMarker", from_hex("00ffffffffffffffffffffffffffffff 0013 04"), true,
       Fault::ConnectionNotSynchronized},
      {"WithdrawnLengthBeyondTheMessage", message(2, "ffff 0000"), true,
       Fault::MalformedAttributeList},
      {"AttributesLengthThatWraps", message(2, "0000 fffe 40010100"), true,
       Fault::MalformedAttributeList},
      {"RouteRefreshTooShort", message(5, "0001"), true, Fault::InvalidRouteRefreshLength},
      {"RouteRefreshWithAnOrf", message(5, "0001 00 01 01 80 0005 00 00000001"), true,
       Fault::InvalidRouteRefreshLength},
      {"DynamicCapability", message(6, "00 01 04 00010001"), true, Fault::BadMessageType},
      {"WithdrawnLengthThatIsNegative", message(2, "8000 0000"), true,
       Fault::MalformedAttributeList},
      {"NextHopOfThreeOctets",
       update_of("40010100 400206 0201 0000fe32 800e0b 0002 01 03 fd0000 00 10 2001", ""), true,
       Fault::OptionalAttribute},
      {"ReachThatEndsInItsNextHop",
       update_of("40010100 400206 0201 0000fe32 800e05 0002 01 10 fd", ""), true,
       Fault::OptionalAttribute},
      {"PrefixOf33Bits",
       message(2, "0000 0014 40010100 400206 0201 0000fe32 400304c0000232 21 c6336400 00"), true,
       Fault::InvalidNetworkField},
      {"ReachAndPlainRoutesWithoutNextHop",
       message(2,
               "0000 002a 40010100 400206 0201 0000fe32 "
               "800e1a 0002 01 10 fd000000000000000000000000000002 00 20 20010db8 18 c63364"),
       true, std::nullopt, "treat-as-withdraw: NEXT_HOP"},
      {"NoMandatoryAttributeAtAll", message(2, "0000 0000 18 c63364"), true, std::nullopt,
       "treat-as-withdraw: ORIGIN"},
      {"UnknownAttributeWithAnInnerLengthThatLies", update_with("e01704 0001ffff"), true,
       std::nullopt},
      {"TheUnknownAttributeOf2010", update_with("e06301 00"), true, std::nullopt},
      {"TheUnknownAttributeOf2019", update_with("e0ff02 0000"), true, std::nullopt},
      {"PathSegmentOfLengthZero",
       message(2, "0000 0010 40010100 400202 0200 400304c0000232 18 c63364"), true, std::nullopt,
       "treat-as-withdraw: AS_PATH"},
      {"PathOfAThousand",
       update_of("40010100 5002 0f9c" + octets(3, "02ff" + octets(255, "0000fe32")) + "02e8" +
                 octets(232, "0000fe32") + "400304c0000232"),
       true, std::nullopt},
      {"AggregatorOfAnOddLength", update_with("c0070400000000"), true, std::nullopt,
       "attribute-discard: AGGREGATOR"},
      {"As4PathBeforeThePath", update_with("c01106 0201 0000fe32"), true, std::nullopt,
       "attribute-discard: AS4_PATH"},
      {"OnlyToCustomerOf1024Octets", update_with("d0230400" + octets(1024, "00")), true,
       std::nullopt, "treat-as-withdraw: ONLY_TO_CUSTOMER"},
      {"AccumulatedMetricThatIsCut", update_with("801a03 01000b"), true, std::nullopt},
      {"SegmentIdentifierThatIsCut", update_with("c02803 010007"), true, std::nullopt},
      {"EndOfRibOfAFamilyNobodyAskedFor", message(2, "0000 0006 800f03 0001 85"), true,
       std::nullopt, "MP_UNREACH_NLRI"},
      {"LinkStateReachability", message(2, "0000 0009 800e06 4004 47 00 00 00"), true, std::nullopt,
       "MP_REACH_NLRI"},
      {"FlowSpecification", message(2, "0000 000c 800e09 0001 85 00 00 f0ff01 18"), true,
       std::nullopt, "MP_REACH_NLRI"},
      {"VpnRoutesThatAreCut",
       message(2, "0000 0015 800e12 0001 80 0c 0000000000000000c0000232 00 ff"), true, std::nullopt,
       "MP_REACH_NLRI"},
      {"RefreshOfAnUnknownFamily", message(5, "4004 00 47"), true, std::nullopt},
      {"RefreshOfAnUnknownKind", message(5, "0001 09 01"), true, std::nullopt},
  };
  return table;
}

/// All in one weftd, for each must leave it as it was.
TEST_F(Adversary, EveryKnownPoison) {
  int number = 50;
  for (const Poison& poison : poisons()) {
    SCOPED_TRACE(poison.name);
    const std::string from = "192.0.2." + std::to_string(number++);
    Hostile hostile(pair_->hosts, from);
    ASSERT_TRUE(hostile.connected);
    ASSERT_TRUE(hostile.hear(bgp::MessageType::open)) << pair_->story();
    if (poison.established) {
      hostile.say(Hostile::bytes(Hostile::open(65074, from), bgp::Keepalive{}));
      ASSERT_TRUE(hostile.hear(bgp::MessageType::keepalive)) << pair_->story();
    }
    hostile.say(poison.bytes);
    if (!poison.fault) {
      // It still takes what is right: a refresh is answered with the table, whose End-of-RIB or
      // routes come as UPDATEs.
      hostile.say(message(5, "0001 00 01"));
      EXPECT_TRUE(pair_->until([&] {
        return peer_called(from).value("messages_received", 0) >= 4;
      })) << pair_->story();
      EXPECT_EQ(peer_called(from).value("state", ""), "Established") << pair_->story();
      EXPECT_TRUE(poison.words.empty() || has_line(from, poison.words)) << pair_->story();
      continue;
    }
    const auto farewell = hostile.farewell();
    ASSERT_TRUE(farewell) << pair_->story();
    EXPECT_EQ(bgp::text(farewell->fault), bgp::text(*poison.fault));
    EXPECT_TRUE(pair_->until([&] {
      return peer_called(from).value("last_error", "").find(bgp::text(*poison.fault)) !=
             std::string::npos;
    })) << pair_->story();
    EXPECT_TRUE(has_line(from, bgp::text(*poison.fault))) << pair_->story();
  }
}

/// A NOTIFICATION is never answered, whatever it says, and what an operator reads of it is
/// harmless.
TEST_F(Adversary, ANotificationWhoseTextLies) {
  const std::vector<std::pair<std::string, std::string>> farewells{
      {"0602 ff 414243", "Cease/Administrative Shutdown, data ff414243"},
      {"0602 05 411b5b324a", R"(Cease/Administrative Shutdown: "A?[2J")"},
      {"0609 0602 80 41", "Cease/Hard Reset (Cease/Administrative Shutdown)"},
      {"ffff" + octets(4000, "ff"), "255/255"},
  };
  int number = 50;
  for (const auto& farewell : farewells) {
    const auto& body = farewell.first;
    const auto& said = farewell.second;
    SCOPED_TRACE(said);
    const std::string from = "192.0.2." + std::to_string(number++);
    Hostile hostile(pair_->hosts, from);
    ASSERT_TRUE(hostile.connected);
    hostile.say(Hostile::bytes(Hostile::open(65075, from), bgp::Keepalive{}));
    ASSERT_TRUE(hostile.hear(bgp::MessageType::keepalive)) << pair_->story();
    hostile.say(message(3, body));
    EXPECT_FALSE(hostile.farewell());
    EXPECT_TRUE(pair_->until([&] { return has_line(from, "received " + said); })) << pair_->story();
  }
}

}  // namespace
}  // namespace weft::interop
