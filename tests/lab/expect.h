// Expectations: what must become true in a lab, as data beside its topology (expect.yml): steps in
// order, each a command in a node whose output is looked at until it is as said or the deadline
// passes, or an event (a node stops, a link goes down). The format is described in
// topologies/README.md.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "net/result.h"
#include "tests/lab/lab.h"

namespace weft::lab {

/// One value of a JSON reply, found by JSON Pointer (RFC 6901).
struct JsonCheck {
  enum class Verb : std::uint8_t { equals, matches, size, at_least, absent };
  std::string pointer;
  Verb verb = Verb::equals;
  /// JSON text of the value for `equals`, a regular expression for `matches`, else a number.
  std::string wanted;
};

struct Step {
  enum class Verb : std::uint8_t { run, stop, start, link_down, link_up };
  std::string name;
  Verb verb = Verb::run;
  std::string node;
  /// Of link_down and link_up.
  std::string interface;
  Argv argv;
  int exit = 0;
  std::vector<std::string> contains;
  std::vector<std::string> lacks;
  /// ECMAScript, searched for in stdout; ^ and $ match at lines.
  std::vector<std::string> matches;
  std::vector<JsonCheck> json;
  milliseconds deadline{0};
};

/// Errors as those of topologies: "file:line:column: …", all at once.
Result<std::vector<Step>> load_steps(const std::filesystem::path& file);

/// What keeps `output` from being as the step wants it; empty: nothing.
std::string complaint(const Step& step, const Output& output);

/// Runs all steps in order; `passed` hears of each one that is done and how long it took. The error
/// names the step, says what is missing and what the command answered last.
Result<void> check(Lab& lab, const std::vector<Step>& steps,
                   const std::function<void(const Step&, milliseconds)>& passed = {});

/// expect.yml beside the topology.
std::filesystem::path steps_file(const Topology& topology);

}  // namespace weft::lab
