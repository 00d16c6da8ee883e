// Document: one YAML file read with the place of every value at hand, so that all its faults are
// told at once as "file:line:column: …". Knows YAML's merge key (<<), refuses keys given twice. Not
// here: what keys mean.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/result.h"

namespace weft::lab {

/// Files longer than this are no topology.
inline constexpr std::size_t document_limit = 4UL * 1024 * 1024;

Result<std::string> read_text(const std::filesystem::path& file);

struct Entry {
  std::string key;
  YAML::Mark mark;
  YAML::Node value;
};

class Document {
 public:
  using Transform = std::function<std::string(const std::string&)>;

  /// `transform` is applied to every scalar read.
  explicit Document(std::filesystem::path file, Transform transform = {})
      : file_(std::move(file)), transform_(std::move(transform)) {}

  /// Null and one fault when the text is not YAML.
  YAML::Node parse(const std::string& text);

  void fault(const YAML::Mark& mark, const std::string& message);
  void note(const YAML::Mark& mark, const std::string& message);

  /// The pairs of a map, those merged in last; nothing for null. `what` names the map in faults.
  std::vector<Entry> entries(const YAML::Node& node, std::string_view what);
  std::vector<YAML::Node> items(const YAML::Node& node, std::string_view what);
  std::optional<std::string> text(const YAML::Node& node, std::string_view what);
  /// A whole number of lowest..highest.
  std::optional<long> number(const YAML::Node& node, std::string_view what, long lowest,
                             long highest);
  void unknown(const Entry& entry, std::string_view where,
               std::initializer_list<std::string_view> known);

  [[nodiscard]] bool ok() const { return faults_.empty(); }
  /// All faults, in the order of the file.
  [[nodiscard]] Error error() const;
  [[nodiscard]] std::vector<std::string> notes() const;
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

 private:
  /// Line, column, message: sorted, and each once however often it is reached through an alias or a
  /// merge.
  using Remarks = std::set<std::tuple<int, int, std::string>>;
  [[nodiscard]] std::vector<std::string> told(const Remarks& remarks) const;

  std::filesystem::path file_;
  Transform transform_;
  Remarks faults_;
  Remarks notes_;
};

}  // namespace weft::lab
