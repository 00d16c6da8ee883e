// Conformance cases as data: octets from a peer in, what weft makes of them out. Usage: conformance
// [--regenerate] DIR, where every *.case file below DIR reads
//
//   # RFC 7606 7.1: why this case is there
//   session: internal add-path           (optional; words of `sessions` below)
//   in: ffff...                          (whole messages in hex, to the line "out:"; '#' begins a
//   comment) out: treat-as-withdraw: ORIGIN undefined value withdraw 10.0.0.0/8
//
// The first line must cite the clause the case stands for.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <sstream>

#include "bgp/message.h"
#include "bgp/update.h"
#include "tests/bgp/hex.h"

namespace weft::bgp {
namespace {

constexpr AfiSafi ipv4 = unicast(Family::ipv4);
constexpr AfiSafi ipv6 = unicast(Family::ipv6);

/// An eBGP session with AS 65001 that negotiated IPv4, IPv6 and four-octet AS numbers, unless the
/// case says otherwise.
Inbound usual_session() {
  Inbound session;
  session.peer_as = Asn{65001};
  session.negotiated.four_octet_as = true;
  session.negotiated.families = {{ipv4}, {ipv6}};
  return session;
}

const std::map<std::string, std::function<void(Inbound&)>> sessions{
    {"internal", [](Inbound& s) { s.external = false; }},
    {"two-octet-as", [](Inbound& s) { s.negotiated.four_octet_as = false; }},
    {"ipv4-only", [](Inbound& s) { s.negotiated.families = {{ipv4}}; }},
    {"ipv6-only", [](Inbound& s) { s.negotiated.families = {{ipv6}}; }},
    {"any-first-as", [](Inbound& s) { s.enforce_first_as = false; }},
    {"extended-message", [](Inbound& s) { s.negotiated.max_receive = max_extended_message_size; }},
    {"extended-next-hop",
     [](Inbound& s) { s.negotiated.families.front().extended_next_hop = true; }},
    {"add-path",
     [](Inbound& s) {
       for (auto& family : s.negotiated.families) family.add_path_receive = true;
     }},
};

struct Case {
  std::string head;  // up to and with the line "out:"
  Inbound session = usual_session();
  std::vector<std::byte> in;
  std::string out;
};

Case read_case(const std::filesystem::path& path) {
  Case result;
  std::ifstream file(path);
  std::string line;
  std::string hex;
  bool in = false;
  bool out = false;
  while (std::getline(file, line)) {
    if (out) {
      result.out += line + '\n';
      continue;
    }
    result.head += line + '\n';
    if (line.rfind("session:", 0) == 0) {
      std::istringstream words(line.substr(8));
      for (std::string word; words >> word;) sessions.at(word)(result.session);
    } else if (line.rfind("in:", 0) == 0) {
      in = true;
      hex += line.substr(3) + '\n';
    } else if (line == "out:") {
      out = true;
    } else if (in) {
      hex += line + '\n';
    }
  }
  result.in = from_hex(hex);
  return result;
}

std::string text(const NlriRange& range, std::string_view verb, std::string_view suffix) {
  std::string result;
  for (const Nlri& nlri : range) {
    result += fmt::format("{} {}", verb, nlri.prefix.text());
    if (range.path_ids) result += fmt::format(" path {}", nlri.path_id);
    result += fmt::format("{}\n", suffix);
  }
  return result;
}

std::string text(const Update& update) {
  std::string result;
  for (const AttributeError& error : update.errors()) {
    result += fmt::format("{}: {} {}\n", name(error.handling), name(error.type), error.reason);
  }
  for (const NlriRange& range : update.withdrawals()) result += text(range, "withdraw", "");
  for (const Announcement& each : update.announcements()) {
    result += text(each.nlri, "announce", " via " + each.next_hop.text());
  }
  if (!update.announcements().empty()) result += text(update.attributes()) + '\n';
  if (update.end_of_rib()) result += "end-of-rib " + text(*update.end_of_rib()) + '\n';
  return result.empty() ? "nothing\n" : result;
}

std::string text(const Open& open) {
  std::string result = fmt::format("open as {} hold {} id {}\n", open.asn.value,
                                   open.hold_time.count(), open.id.text());
  for (const std::string& line : text(open.capabilities)) result += "  " + line + '\n';
  return result;
}

std::string text(const RouteRefresh& refresh) {
  constexpr std::array kinds{"request", "begin", "end"};
  return fmt::format("route-refresh {} {}\n", kinds.at(static_cast<std::size_t>(refresh.subtype)),
                     text(refresh.family));
}

std::string notify(const Notification& notification) {
  return "notify " + text(notification) + '\n';
}

std::string text(const std::optional<RouteRefresh>& refresh) {
  return refresh ? text(*refresh) : "ignored\n";
}

template <typename T>
std::string text_or_notify(const Result<T, Notification>& decoded) {
  return decoded ? text(*decoded) : notify(decoded.error());
}

std::string text(const Frame& frame, UpdateDecoder& updates) {
  switch (frame.type) {
    case MessageType::open:
      return text_or_notify(decode_open(frame.body()));
    case MessageType::update:
      return text_or_notify(updates.decode(frame.body()));
    case MessageType::notification:
      return "notification " + text(decode_notification(frame.body())) + '\n';
    case MessageType::keepalive:
      return "keepalive\n";
    case MessageType::route_refresh:
      return text_or_notify(decode_route_refresh(frame));
  }
  return "unknown\n";
}

/// Everything the octets lead to, up to the first NOTIFICATION or the end.
std::string answer(const Case& given) {
  UpdateDecoder updates(given.session);
  std::string result;
  for (Bytes rest = given.in; !rest.empty();) {
    const auto message = next_message(rest, given.session.negotiated.max_receive);
    if (!message) return result + notify(message.error());
    if (!*message) return result + fmt::format("{} octets wait for more\n", rest.size());
    const std::string said = text(**message, updates);
    result += said;
    if (said.rfind("notify", 0) == 0) return result;
    rest = rest.subspan((*message)->size());
  }
  return result;
}

class Conformance : public testing::Test {
 public:
  explicit Conformance(std::filesystem::path path) : path_(std::move(path)) {}

 private:
  void TestBody() override {
    const Case given = read_case(path_);
    EXPECT_TRUE(std::regex_search(given.head, std::regex("^# (RFC \\d+|draft-)")))
        << path_ << " must cite the clause it stands for";
    EXPECT_EQ(given.out, answer(given)) << path_ << "\n" << given.head;
  }
  std::filesystem::path path_;
};

std::vector<std::filesystem::path> cases_below(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.path().extension() == ".case") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void regenerate(const std::filesystem::path& path) {
  const Case given = read_case(path);
  std::ofstream(path) << given.head << answer(given);
}

int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const bool anew = argc == 3 && argv[1] == std::string_view("--regenerate");
  if (argc != 2 && !anew) {
    std::cerr << "usage: conformance [--regenerate] DIR\n";
    return 2;
  }
  for (const auto& path : cases_below(argv[argc - 1])) {
    if (anew) {
      regenerate(path);
      continue;
    }
    const std::string suite = path.parent_path().filename();
    testing::RegisterTest(suite.c_str(), path.stem().c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [path]() -> testing::Test* { return new Conformance(path); });
  }
  return anew ? 0 : RUN_ALL_TESTS();
}

}  // namespace
}  // namespace weft::bgp

int main(int argc, char** argv) {
  return weft::bgp::run(argc, argv);
}
