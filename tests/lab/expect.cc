#include "tests/lab/expect.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <utility>

#include "tests/lab/document.h"
#include "tests/lab/words.h"

namespace weft::lab {
namespace {

constexpr milliseconds default_deadline{30'000};
/// Between two looks at the same thing.
constexpr milliseconds look_interval{200};

std::optional<std::regex> regex_of(const std::string& text) {
  try {
    return std::regex(text, std::regex::ECMAScript | std::regex::multiline);
  } catch (const std::regex_error&) {
    return {};
  }
}

class StepReader {
 public:
  explicit StepReader(const std::filesystem::path& file) : doc_(file) {}

  Result<std::vector<Step>> read(const std::string& text) {
    const YAML::Node root = doc_.parse(text);
    std::optional<Entry> steps;
    for (const Entry& entry : doc_.entries(root, "a file of expectations")) {
      if (entry.key == "deadline") {
        deadline_ = time(entry.value);
      } else if (entry.key == "steps") {
        steps = entry;
      } else {
        doc_.unknown(entry, "a file of expectations", {"deadline", "steps"});
      }
    }
    if (!steps && doc_.ok()) doc_.fault(root.Mark(), "steps is missing");
    std::vector<Step> found;
    if (steps) {
      for (const YAML::Node& item : doc_.items(steps->value, "steps")) found.push_back(step(item));
    }
    if (!doc_.ok()) return doc_.error();
    return found;
  }

 private:
  milliseconds time(const YAML::Node& node) {
    static const std::regex form(R"((\d{1,6})(ms|s|m))");
    const auto text = doc_.text(node, "deadline");
    std::smatch match;
    if (!text) return default_deadline;
    if (!std::regex_match(*text, match, form)) {
      doc_.fault(node.Mark(), fmt::format("deadline \"{}\" must be like 500ms, 30s or 2m", *text));
      return default_deadline;
    }
    const long count = std::stol(match[1]);
    return milliseconds(match[2] == "ms" ? count : match[2] == "s" ? count * 1000 : count * 60'000);
  }

  /// One value or a list of them.
  std::vector<std::string> texts(const Entry& entry) {
    std::vector<std::string> found;
    std::vector<YAML::Node> nodes{entry.value};
    if (entry.value.IsSequence()) nodes = doc_.items(entry.value, entry.key);
    for (const YAML::Node& node : nodes) {
      const auto text = doc_.text(node, entry.key);
      if (!text) continue;
      if (entry.key == "matches" && !regex_of(*text)) {
        doc_.fault(node.Mark(), fmt::format("\"{}\" is no regular expression", *text));
      }
      found.push_back(*text);
    }
    return found;
  }

  Step step(const YAML::Node& node) {
    Step step;
    step.deadline = deadline_;
    int verbs = 0;
    for (const Entry& entry : doc_.entries(node, "a step")) {
      if (event(entry, step) || looked_for(entry, step)) {
        verbs += event(entry, step) || entry.key == "run" ? 1 : 0;
      } else if (entry.key == "name") {
        step.name = doc_.text(entry.value, "name").value_or("");
      } else if (entry.key == "node") {
        step.node = doc_.text(entry.value, "node").value_or("");
      } else if (entry.key == "deadline") {
        step.deadline = time(entry.value);
      } else {
        doc_.unknown(entry, "a step",
                     {"name", "node", "run", "exit", "contains", "lacks", "matches", "json",
                      "deadline", "stop", "start", "link-down", "link-up"});
      }
    }
    if (verbs != 1) {
      doc_.fault(node.Mark(), "a step has one of run, stop, start, link-down and link-up");
    } else if (step.node.empty()) {
      doc_.fault(node.Mark(), "a step needs the node it is about");
    }
    if (step.name.empty()) step.name = fmt::format("step of line {}", node.Mark().line + 1);
    return step;
  }

  bool event(const Entry& entry, Step& step) {
    static const std::array<std::pair<const char*, Step::Verb>, 4> events{
        std::pair{"stop", Step::Verb::stop}, std::pair{"start", Step::Verb::start},
        std::pair{"link-down", Step::Verb::link_down}, std::pair{"link-up", Step::Verb::link_up}};
    for (const auto& [word, verb] : events) {
      if (entry.key != word) continue;
      step.verb = verb;
      const std::string text = doc_.text(entry.value, word).value_or("");
      const auto colon = text.find(':');
      const bool link = verb == Step::Verb::link_down || verb == Step::Verb::link_up;
      step.node = text.substr(0, colon);
      if (link && colon != std::string::npos) step.interface = text.substr(colon + 1);
      if (link == (colon == std::string::npos)) {
        doc_.fault(entry.value.Mark(),
                   fmt::format("{} takes {}", word, link ? "NODE:INTERFACE" : "NODE"));
      }
      return true;
    }
    return false;
  }

  bool looked_for(const Entry& entry, Step& step) {
    if (entry.key == "run") {
      const auto text = doc_.text(entry.value, "run");
      auto words = split_words(text.value_or(""));
      if (!words || words->empty()) {
        doc_.fault(entry.value.Mark(), words ? "run needs a command" : words.error().message);
      } else {
        step.argv = std::move(*words);
      }
    } else if (entry.key == "exit") {
      step.exit = static_cast<int>(doc_.number(entry.value, "exit", 0, 255).value_or(0));
    } else if (entry.key == "contains") {
      step.contains = texts(entry);
    } else if (entry.key == "lacks") {
      step.lacks = texts(entry);
    } else if (entry.key == "matches") {
      step.matches = texts(entry);
    } else if (entry.key == "json") {
      for (const Entry& one : doc_.entries(entry.value, "json")) json(one, step);
    } else {
      return false;
    }
    return true;
  }

  void json(const Entry& entry, Step& step) {
    JsonCheck check;
    check.pointer = entry.key;
    try {
      [[maybe_unused]] const nlohmann::json::json_pointer pointer(entry.key);
    } catch (const nlohmann::json::exception&) {
      doc_.fault(entry.mark, fmt::format("\"{}\" is no JSON pointer (/a/b/0)", entry.key));
    }
    if (!entry.value.IsMap()) {
      check.wanted = doc_.text(entry.value, entry.key).value_or("");
      step.json.push_back(std::move(check));
      return;
    }
    for (const Entry& one : doc_.entries(entry.value, entry.key)) {
      check.wanted = doc_.text(one.value, one.key).value_or("");
      if (one.key == "matches") {
        check.verb = JsonCheck::Verb::matches;
        if (!regex_of(check.wanted)) doc_.fault(one.value.Mark(), "this is no regular expression");
      } else if (one.key == "size" || one.key == "at-least") {
        check.verb = one.key == "size" ? JsonCheck::Verb::size : JsonCheck::Verb::at_least;
        [[maybe_unused]] const auto number = doc_.number(one.value, one.key, 0, 1L << 40);
      } else if (one.key == "absent") {
        check.verb = JsonCheck::Verb::absent;
      } else {
        doc_.unknown(one, "a JSON check", {"matches", "size", "at-least", "absent"});
      }
      step.json.push_back(check);
    }
  }

  Document doc_;
  milliseconds deadline_ = default_deadline;
};

std::string plain(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string complaint(const JsonCheck& check, const nlohmann::json& document) {
  const nlohmann::json::json_pointer pointer(check.pointer);
  const bool there = document.contains(pointer);
  if (check.verb == JsonCheck::Verb::absent) return there ? check.pointer + " is there" : "";
  if (!there) return check.pointer + " is not there";
  const nlohmann::json& value = document.at(pointer);
  const auto is = [&](bool right, std::string_view what) {
    return right ? std::string()
                 : fmt::format("{} is {}, not {}{}", check.pointer, plain(value).substr(0, 200),
                               what, check.wanted);
  };
  switch (check.verb) {
    case JsonCheck::Verb::equals:
      return is(plain(value) == check.wanted, "");
    case JsonCheck::Verb::matches:
      return is(std::regex_search(plain(value), *regex_of(check.wanted)), "like ");
    case JsonCheck::Verb::size:
      return is(std::to_string(value.size()) == check.wanted, "of size ");
    case JsonCheck::Verb::at_least:
      return is(value.is_number() && value.get<double>() >= std::stod(check.wanted), "at least ");
    case JsonCheck::Verb::absent:
      break;
  }
  return "";
}

/// Once: an event done, or a look at a command's output.
std::string attempt(Lab& lab, const Step& step, std::string& last) {
  Result<void> done;
  switch (step.verb) {
    case Step::Verb::stop:
      done = lab.stop(step.node);
      break;
    case Step::Verb::start:
      done = lab.start(step.node);
      break;
    case Step::Verb::link_down:
      done = lab.link_down(step.node, step.interface);
      break;
    case Step::Verb::link_up:
      done = lab.link_up(step.node, step.interface);
      break;
    case Step::Verb::run: {
      const auto output = lab.node(step.node).run(step.argv, {step.deadline, {}, {}});
      if (!output) return output.error().message;
      last = output->text();
      return complaint(step, *output);
    }
  }
  return done ? "" : done.error().message;
}

}  // namespace

Result<std::vector<Step>> load_steps(const std::filesystem::path& file) {
  const auto text = read_text(file);
  if (!text) return text.error();
  return StepReader(file).read(*text);
}

std::string complaint(const Step& step, const Output& output) {
  if (output.timed_out) return "the command did not end in time";
  if (output.exit != step.exit) return fmt::format("exit is {}, not {}", output.exit, step.exit);
  for (const std::string& text : step.contains) {
    if (output.out.find(text) == std::string::npos) return fmt::format("\"{}\" is missing", text);
  }
  for (const std::string& text : step.lacks) {
    if (output.out.find(text) != std::string::npos) return fmt::format("\"{}\" is there", text);
  }
  for (const std::string& text : step.matches) {
    const auto regex = regex_of(text);
    if (!regex || !std::regex_search(output.out, *regex)) {
      return fmt::format("nothing matches /{}/", text);
    }
  }
  if (step.json.empty()) return "";
  const auto document = nlohmann::json::parse(output.out, nullptr, false);
  if (document.is_discarded()) return "the output is not JSON";
  for (const JsonCheck& check : step.json) {
    if (auto found = complaint(check, document); !found.empty()) return found;
  }
  return "";
}

Result<void> check(Lab& lab, const std::vector<Step>& steps,
                   const std::function<void(const Step&, milliseconds)>& passed) {
  for (const Step& step : steps) {
    if (lab.find(step.node) == nullptr) {
      return Error{fmt::format("{}: there is no node \"{}\"", step.name, step.node)};
    }
  }
  for (const Step& step : steps) {
    const Time begin = Clock::now();
    std::string missing;
    std::string last;
    const auto once = [&] { return (missing = attempt(lab, step, last)).empty(); };
    const bool retry = step.verb == Step::Verb::run;
    if (!(retry ? wait_until(once, step.deadline, look_interval) : once())) {
      return Error{fmt::format("{}: node {}: {}\n{}", step.name, step.node, missing, last)};
    }
    if (passed) passed(step, std::chrono::duration_cast<milliseconds>(Clock::now() - begin));
  }
  return {};
}

std::filesystem::path steps_file(const Topology& topology) {
  return topology.file.parent_path() / "expect.yml";
}

}  // namespace weft::lab
