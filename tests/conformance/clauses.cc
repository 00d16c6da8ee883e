#include "tests/conformance/clauses.h"

#include <array>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace weft::bgp {
namespace {

using std::filesystem::path;
using std::filesystem::recursive_directory_iterator;

/// "RFC 7606 3 c"
using Clause = std::string;

struct Line {
  Clause clause;
  std::string demand;
  std::vector<std::string> proofs;
};

struct Tests {
  /// Suite.Name, and Part/Row of the interop matrix.
  std::set<std::string> names;
  /// folder/name, and what its first line cites.
  std::map<std::string, std::set<Clause>> cases;
};

std::string text_of(const path& file) {
  std::stringstream all;
  all << std::ifstream(file).rdbuf();
  return all.str();
}

std::vector<std::smatch> matches(const std::string& text, const std::regex& pattern) {
  return {std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator()};
}

const std::string section = R"(\d+(?:\.\d+)*(?: [a-k]\b)?)";

/// "RFC 4271 4.2, 4.3; RFC 1997" cites three.
std::set<Clause> cited(const std::string& text) {
  static const std::regex each_rfc("RFC (\\d{4})((?:,? " + section + ")*)");
  static const std::regex each_section(section);
  std::set<Clause> found;
  for (const std::smatch& rfc : matches(text, each_rfc)) {
    const std::string sections = rfc[2];
    if (sections.empty()) found.insert("RFC " + rfc[1].str());
    for (const std::smatch& at : matches(sections, each_section))
      found.insert("RFC " + rfc[1].str() + " " + at.str());
  }
  return found;
}

Tests tests_below(const path& tests) {
  static const std::regex test(R"(\nTEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\))");
  static const std::regex part(R"(WEFT_INTEROP_PART\((\w+),)");
  static const std::regex row(R"re(\.name = "(\w+)")re");
  Tests found;
  for (const auto& entry : recursive_directory_iterator(tests)) {
    const path& file = entry.path();
    if (file.extension() == ".case" || file.extension() == ".script") {
      std::string first;
      std::getline(std::ifstream(file) >> std::ws, first);
      const path folder = file.parent_path();
      const bool recorded = folder.parent_path().filename() == "recorded";
      found.cases[(recorded ? "recorded/" : "") + folder.filename().string() + "/" +
                  file.stem().string()] = cited(first);
    }
    if (file.extension() != ".cc" || !file.stem().string().ends_with("_test")) continue;
    const std::string text = text_of(file);
    for (const std::smatch& at : matches(text, test))
      found.names.insert(at[1].str() + "." + at[2].str());
    for (const std::smatch& matrix : matches(text, part)) {
      for (const std::smatch& at : matches(text, row))
        found.names.insert(matrix[1].str() + "/" + at[1].str());
    }
  }
  return found;
}

std::vector<Line> read_list(const path& file, std::vector<std::string>& wrong) {
  static const std::regex shape("(RFC \\d{4}(?: " + section +
                                ")?)  +([^\\[\\]]+?)(?: \\[(.+)\\])?");
  std::vector<Line> lines;
  std::ifstream in(file);
  for (std::string text; std::getline(in, text);) {
    if (text.empty() || text.front() == '#') continue;
    std::smatch parts;
    if (!std::regex_match(text, parts, shape)) {
      wrong.push_back("not 'RFC N S  demand [proofs]': " + text);
      continue;
    }
    Line line{parts[1], parts[2], {}};
    std::istringstream proofs(parts[3]);
    for (std::string proof; proofs >> proof;) line.proofs.push_back(proof);
    lines.push_back(std::move(line));
  }
  return lines;
}

void check_line(const Line& line, const Tests& tests, const std::set<Clause>& cited_by_cases,
                std::vector<std::string>& wrong) {
  const std::string named = line.clause + " " + line.demand + ": ";
  if (line.proofs.empty() && !cited_by_cases.contains(line.clause))
    wrong.push_back(named + "no case cites it and no proof is named");
  for (const std::string& proof : line.proofs) {
    const auto at = tests.cases.find(proof);
    if (at == tests.cases.end() && !tests.names.contains(proof))
      wrong.push_back(named + "no such test: " + proof);
    if (at != tests.cases.end() && !at->second.contains(line.clause))
      wrong.push_back(named + proof + " does not cite it");
  }
}

/// What the headers of the speaker and of BFD say they implement.
void check_headers(const path& tree, const std::set<std::string>& rfcs,
                   std::vector<std::string>& wrong) {
  static const std::regex rfc("RFC \\d{4}");
  for (const char* module : {"bgp", "bfd"}) {
    for (const auto& entry : recursive_directory_iterator(tree / module)) {
      if (entry.path().extension() != ".h") continue;
      const std::string text = text_of(entry.path());
      for (const std::smatch& at : matches(text, rfc)) {
        if (!rfcs.contains(at.str()))
          wrong.push_back(entry.path().filename().string() + " cites " + at.str() +
                          ", which is not in the list");
      }
    }
  }
}

}  // namespace

std::vector<std::string> unproven_clauses(const path& cases) {
  constexpr std::size_t rfc_length = 8;  // "RFC 4271"
  std::vector<std::string> wrong;
  const Tests tests = tests_below(cases / "..");
  const std::vector<Line> list = read_list(cases / "clauses", wrong);
  std::set<Clause> listed;
  std::set<std::string> rfcs;
  for (const Line& line : list) {
    listed.insert(line.clause);
    rfcs.insert(line.clause.substr(0, rfc_length));
  }
  std::set<Clause> cited_by_cases;
  for (const auto& [name, clauses] : tests.cases) {
    cited_by_cases.insert(clauses.begin(), clauses.end());
    for (const Clause& clause : clauses) {
      if (!listed.contains(clause))
        wrong.push_back(name + " cites " + clause + ", which is not in the list");
    }
  }
  for (const Line& line : list) check_line(line, tests, cited_by_cases, wrong);
  check_headers(cases / "../..", rfcs, wrong);
  return wrong;
}

}  // namespace weft::bgp
