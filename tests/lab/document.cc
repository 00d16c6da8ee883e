#include "tests/lab/document.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace weft::lab {

Result<std::string> read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || std::filesystem::is_directory(file) || !(text << in.rdbuf())) {
    return Error{fmt::format("{}: cannot be read", file.string())};
  }
  if (text.str().size() > document_limit) {
    return Error{fmt::format("{}: longer than {} octets", file.string(), document_limit)};
  }
  return text.str();
}

YAML::Node Document::parse(const std::string& text) {
  try {
    return YAML::Load(text);
  } catch (const YAML::Exception& e) {
    fault(e.mark, e.msg);
    return YAML::Node(YAML::NodeType::Null);
  }
}

void Document::fault(const YAML::Mark& mark, const std::string& message) {
  faults_.emplace(std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1, message);
}

void Document::note(const YAML::Mark& mark, const std::string& message) {
  notes_.emplace(mark.line + 1, mark.column + 1, message);
}

std::vector<Entry> Document::entries(const YAML::Node& node, std::string_view what) {
  std::vector<Entry> found;
  if (!node.IsDefined() || node.IsNull()) return found;
  if (!node.IsMap()) {
    fault(node.Mark(), fmt::format("{} must be a map of key: value", what));
    return found;
  }
  const auto has = [&](const std::string& key) {
    return std::any_of(found.begin(), found.end(), [&](const Entry& e) { return e.key == key; });
  };
  std::vector<YAML::Node> merged;
  for (const auto& pair : node) {
    if (!pair.first.IsScalar()) {
      fault(pair.first.Mark(), fmt::format("a key of {} must be a word", what));
    } else if (pair.first.Scalar() == "<<") {
      merged.push_back(pair.second);
    } else if (has(pair.first.Scalar())) {
      fault(pair.first.Mark(), fmt::format("{} is given twice", pair.first.Scalar()));
    } else {
      found.push_back({pair.first.Scalar(), pair.first.Mark(), pair.second});
    }
  }
  for (std::size_t i = 0; i < merged.size(); ++i) {
    const YAML::Node from = merged[i];
    if (from.IsSequence()) {
      for (const auto& item : from) merged.push_back(item);
      continue;
    }
    for (auto& entry : entries(from, what)) {
      if (!has(entry.key)) found.push_back(std::move(entry));
    }
  }
  return found;
}

std::vector<YAML::Node> Document::items(const YAML::Node& node, std::string_view what) {
  if (!node.IsDefined() || node.IsNull()) return {};
  if (!node.IsSequence()) {
    fault(node.Mark(), fmt::format("{} must be a list", what));
    return {};
  }
  return {node.begin(), node.end()};
}

std::optional<std::string> Document::text(const YAML::Node& node, std::string_view what) {
  if (!node.IsDefined() || !node.IsScalar()) {
    fault(node.Mark(), fmt::format("{} must be a single value", what));
    return {};
  }
  return transform_ ? transform_(node.Scalar()) : node.Scalar();
}

std::optional<long> Document::number(const YAML::Node& node, std::string_view what, long lowest,
                                     long highest) {
  const auto written = text(node, what);
  if (!written) return {};
  long value = 0;
  const char* end = written->data() + written->size();
  const auto [stop, error] = std::from_chars(written->data(), end, value);
  if (error != std::errc{} || stop != end || value < lowest || value > highest) {
    fault(node.Mark(),
          fmt::format("{} is \"{}\", must be a number of {}..{}", what, *written, lowest, highest));
    return {};
  }
  return value;
}

void Document::unknown(const Entry& entry, std::string_view where,
                       std::initializer_list<std::string_view> known) {
  fault(entry.mark, fmt::format("unknown key \"{}\" in {}, known are {}", entry.key, where,
                                fmt::join(known, ", ")));
}

std::vector<std::string> Document::told(const Remarks& remarks) const {
  std::vector<std::string> lines;
  for (const auto& [line, column, message] : remarks) {
    lines.push_back(fmt::format("{}:{}:{}: {}", file_.string(), line, column, message));
  }
  return lines;
}

Error Document::error() const {
  return Error{fmt::format("{}", fmt::join(told(faults_), "\n"))};
}

std::vector<std::string> Document::notes() const {
  return told(notes_);
}

}  // namespace weft::lab
