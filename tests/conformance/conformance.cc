// Conformance cases as data: octets from a peer in, what weft makes of them out. Usage: conformance
// [--regenerate] DIR, where every *.case file below DIR reads
//
//   # RFC 7606 7.1: why this case is there
//   session: internal add-path           (optional; words of `sessions` below)
//   in: ffff...                          (whole messages in hex; '#' begins a comment)
//   out:
//   treat-as-withdraw: ORIGIN undefined value
//   withdraw 10.0.0.0/8
//
// The first line must cite the clause the case stands for, one of the list `clauses` (clauses.h). A
// *.script file is a whole session: what happens to a speaker, line by line (script.h), and all
// that it does.
#include <fmt/format.h>
#include <gmock/gmock.h>

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
#include "tests/conformance/clauses.h"
#include "tests/conformance/describe.h"
#include "tests/conformance/script.h"

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
    {"from-65002", [](Inbound& s) { s.peer_as = Asn{65002}; }},
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

/// A file up to and with the line "out:", and what stands behind it.
std::pair<std::string, std::string> halves(const std::filesystem::path& path) {
  std::stringstream all;
  all << std::ifstream(path).rdbuf();
  const std::string text = all.str();
  const std::size_t end = text.find("\nout:\n");
  if (end == std::string::npos) return {text, ""};
  return {text.substr(0, end + 6), text.substr(end + 6)};
}

/// Everything the octets lead to, up to the first NOTIFICATION or the end.
std::string answer(const Case& given) {
  UpdateDecoder updates(given.session);
  std::string result;
  for (Bytes rest = given.in; !rest.empty();) {
    const auto message = next_message(rest, given.session.negotiated.max_receive);
    if (!message) return result + describe_refusal(message.error());
    if (!*message) return result + fmt::format("{} octets wait for more\n", rest.size());
    const std::string said = describe(**message, updates);
    result += said;
    if (said.rfind("notify", 0) == 0) return result;
    rest = rest.subspan((*message)->size());
  }
  return result;
}

bool is_script(const std::filesystem::path& path) {
  return path.extension() == ".script";
}

class Conformance : public testing::Test {
 public:
  explicit Conformance(std::filesystem::path path) : path_(std::move(path)) {}

 private:
  void TestBody() override {
    const auto [head, out] = halves(path_);
    EXPECT_TRUE(std::regex_search(head, std::regex("^# (RFC \\d+|draft-)")))
        << path_ << " must cite the clause it stands for";
    EXPECT_EQ(out, is_script(path_) ? transcript(head) : answer(read_case(path_))) << path_ << "\n"
                                                                                   << head;
  }
  std::filesystem::path path_;
};

std::vector<std::filesystem::path> cases_below(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.path().extension() == ".case" || is_script(entry.path()))
      paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void regenerate(const std::filesystem::path& path) {
  const std::string head = halves(path).first;
  const std::string said = is_script(path) ? transcript(head) : answer(read_case(path));
  std::ofstream(path) << head << said;
}

/// Every clause of the list is proven, and nothing is cited that is not in it.
class Clauses : public testing::Test {
 public:
  explicit Clauses(std::filesystem::path cases) : cases_(std::move(cases)) {}

 private:
  void TestBody() override { EXPECT_THAT(unproven_clauses(cases_), testing::IsEmpty()); }
  std::filesystem::path cases_;
};

int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const bool anew = argc == 3 && argv[1] == std::string_view("--regenerate");
  if (argc != 2 && !anew) {
    std::cerr << "usage: conformance [--regenerate] DIR\n";
    return 2;
  }
  const std::filesystem::path directory = argv[argc - 1];
  if (!anew) {
    testing::RegisterTest("Clauses", "AreProven", nullptr, nullptr, __FILE__, __LINE__,
                          [directory]() -> testing::Test* { return new Clauses(directory); });
  }
  for (const auto& path : cases_below(directory)) {
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
