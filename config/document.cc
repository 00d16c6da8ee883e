#include "config/document.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cassert>
#include <exception>
#include <map>
#include <sstream>
#include <utility>

namespace weft::config {
namespace {

Mark mark_of(const YAML::Mark& mark) {
  // yaml-cpp counts from 0, and says -1 where it does not know.
  return {mark.line < 0 ? 1 : mark.line + 1, mark.column < 0 ? 1 : mark.column + 1};
}

/// Ends the parser from within an event; never leaves this file.
struct Enough : std::exception {
  explicit Enough(Fault why) : fault(std::move(why)) {}
  Fault fault;
};

/// Builds the tree from yaml-cpp's events, so that no alias is ever followed and no node is made
/// twice.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(Document& document) : document_(document) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (std::exchange(started_, true)) {
      throw Enough({mark_of(mark), "a second document begins here; weft reads one a file"});
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    begin(Node::Kind::null, mark, "?", anchor);
    end();
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    begin(Node::Kind::null, mark, "?", 1);
    end();
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    begin(Node::Kind::scalar, mark, tag, anchor);
    open_.back().text = value;
    end();
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    begin(Node::Kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    begin(Node::Kind::mapping, mark, tag, anchor);
  }
  void OnMapEnd() override { end(); }

 private:
  void begin(Node::Kind kind, const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor) {
    const Mark mark = mark_of(at);
    if (open_.size() >= depth_limit) {
      throw Enough({mark, fmt::format("nested deeper than {} levels", depth_limit)});
    }
    if (++nodes_ > node_limit) {
      throw Enough({mark, fmt::format("more than {} values in one file", node_limit)});
    }
    if (anchor != YAML::NullAnchor) {
      document_.faults.push_back(
          {mark, "anchors and aliases are not read; what peers share goes into bgp.groups"});
    }
    // "?" is a plain value, "!" a quoted one.
    if (!tag.empty() && tag != "?" && tag != "!") {
      document_.faults.push_back({mark, "tags are not read; write the value alone"});
    }
    Node node;
    node.kind = kind;
    node.mark = mark;
    open_.push_back(std::move(node));
  }

  void end() {
    Node node = std::move(open_.back());
    open_.pop_back();
    if (node.kind == Node::Kind::mapping) drop_repeated_keys(node);
    if (open_.empty()) {
      document_.root = std::move(node);
      return;
    }
    Node& parent = open_.back();
    const bool key =
        parent.kind == Node::Kind::mapping && parent.keys.size() == parent.items.size();
    if (key && node.kind != Node::Kind::scalar) {
      document_.faults.push_back(
          {node.mark, fmt::format("a key must be a word, not {}", node.kind_name())});
    }
    // yaml-cpp marks a value that is not there at whatever comes next.
    const bool absent = node.kind == Node::Kind::null && parent.kind == Node::Kind::mapping;
    if (absent && !key) node.mark = parent.keys.back().mark;
    (key ? parent.keys : parent.items).push_back(std::move(node));
  }

  /// The first one stays; YAML forbids the second, and yaml-cpp does not look.
  void drop_repeated_keys(Node& mapping) {
    std::map<std::string_view, Mark> seen;
    std::vector<bool> again;
    for (const Node& key : mapping.keys) {
      const auto [first, fresh] = seen.try_emplace(key.text, key.mark);
      again.push_back(!fresh && key.kind == Node::Kind::scalar);
      if (!again.back()) continue;
      document_.faults.push_back(
          {key.mark, fmt::format("'{}' is given twice; the first is in line {}",
                                 key.text.substr(0, 64), first->second.line)});
    }
    if (std::find(again.begin(), again.end(), true) == again.end()) return;
    Node kept;
    for (std::size_t i = 0; i < again.size(); ++i) {
      if (again[i]) continue;
      kept.keys.push_back(std::move(mapping.keys[i]));
      kept.items.push_back(std::move(mapping.items[i]));
    }
    mapping.keys = std::move(kept.keys);
    mapping.items = std::move(kept.items);
  }

  Document& document_;
  std::vector<Node> open_;
  std::size_t nodes_ = 0;
  bool started_ = false;
};

/// The first character that no text file holds: yaml-cpp would end the document there, or read it
/// as UTF-16.
bool refuse_control_characters(const std::string& text, Document& document) {
  Mark mark;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if ((octet < ' ' && c != '\n' && c != '\r' && c != '\t') || octet == 0x7f) {
      document.faults.push_back(
          {mark,
           fmt::format("a control character (0x{:02x}); the file must be UTF-8 text", octet)});
      return true;
    }
    ++mark.column;
    if (c == '\n') mark = {mark.line + 1, 1};
  }
  return false;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (std::size_t i = 0; i < keys.size() && i < items.size(); ++i) {
    if (keys[i].text == key) return &items[i];
  }
  return nullptr;
}

std::string_view Node::kind_name() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return "a single value";
    case Kind::sequence:
      return "a list";
    case Kind::mapping:
      return "a mapping";
  }
  assert(false);
  return "";
}

Document read_document(const std::string& text) {
  Document document;
  if (refuse_control_characters(text, document)) return document;
  Builder builder(document);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Enough& enough) {
    document.faults.push_back(enough.fault);
  } catch (const YAML::Exception& error) {
    document.faults.push_back({mark_of(error.mark), "not valid YAML: " + error.msg});
  }
  return document;
}

}  // namespace weft::config
