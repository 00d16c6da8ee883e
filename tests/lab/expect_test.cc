#include "tests/lab/expect.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

namespace weft::lab {
namespace {

using testing::HasSubstr;

/// Steps of a text, through a file as everyone else reads them.
class Expect : public testing::Test {
 protected:
  Result<std::vector<Step>> steps(const std::string& text) {
    std::ofstream(file_) << text;
    return load_steps(file_);
  }
  void TearDown() override { std::filesystem::remove(file_); }

  std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / ("weft-expect-" + std::to_string(getpid()) + ".yml");
};

TEST_F(Expect, ReadsStepsAndEvents) {
  const auto read = steps(R"(
deadline: 2s
steps:
  - {name: one, node: a, run: "echo 'b c'", contains: x, matches: ["^a$", b], exit: 3, deadline: 500ms}
  - {stop: a}
  - {link-down: "a:eth1"}
)");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 3U);
  const Step& one = read->front();
  EXPECT_EQ(one.argv, (Argv{"echo", "b c"}));
  EXPECT_EQ(one.contains, (std::vector<std::string>{"x"}));
  EXPECT_EQ(one.matches.size(), 2U);
  EXPECT_EQ(one.exit, 3);
  EXPECT_EQ(one.deadline, milliseconds(500));
  EXPECT_EQ((*read)[1].verb, Step::Verb::stop);
  EXPECT_EQ((*read)[1].deadline, milliseconds(2000));
  EXPECT_EQ((*read)[2].verb, Step::Verb::link_down);
  EXPECT_EQ((*read)[2].node, "a");
  EXPECT_EQ((*read)[2].interface, "eth1");
}

TEST_F(Expect, TellsAllFaultsWithTheirPlace) {
  const auto read = steps(R"(deadline: soon
steps:
  - {node: a}
  - {run: x}
  - {node: a, run: x, matches: "("}
  - {node: a, run: x, json: {a: 1}}
  - {link-up: a}
  - {node: a, run: x, wants: y}
)");
  ASSERT_FALSE(read);
  const std::string& message = read.error().message;
  for (const char* part :
       {":1:11: deadline \"soon\"", ":3:5: a step has one of", ":4:5: a step needs the node",
        ":5:32: \"(\" is no regular expression", ":6:30: \"a\" is no JSON pointer",
        ":7:15: link-up takes NODE:INTERFACE", ":8:23: unknown key \"wants\""}) {
    EXPECT_THAT(message, HasSubstr(part));
  }
}

TEST_F(Expect, LooksAtOutput) {
  const std::string text =
      R"({"peers": {"10.0.0.1": {"state": "Established", "up": 7}}, "list": [1, 2]})";
  const std::string plain = "one\ntwo words\nthree\n";
  struct Row {
    const char* check;
    const std::string& output;
    /// Empty: content.
    const char* complaint;
  };
  const std::vector<Row> rows{
      {"contains: two", plain, ""},
      {"contains: [two, four]", plain, "\"four\" is missing"},
      {"lacks: four", plain, ""},
      {"lacks: two", plain, "\"two\" is there"},
      {"matches: ^two w.*$", plain, ""},
      {"matches: ^words", plain, "nothing matches /^words/"},
      {"exit: 1", plain, "exit is 0, not 1"},
      {"json: {/a: 1}", plain, "the output is not JSON"},
      {"json: {/peers/10.0.0.1/state: Established, /peers/10.0.0.1/up: 7}", text, ""},
      {"json: {/peers/10.0.0.1/state: Idle}", text,
       "/peers/10.0.0.1/state is Established, not Idle"},
      {"json: {/peers/10.0.0.2/state: Idle}", text, "/peers/10.0.0.2/state is not there"},
      {"json: {/list: {size: 2}, /list/0: {at-least: 1}}", text, ""},
      {"json: {/list: {size: 3}}", text, "/list is [1,2], not of size 3"},
      {"json: {/list/1: {at-least: 3}}", text, "/list/1 is 2, not at least 3"},
      {"json: {/peers/10.0.0.1/state: {matches: ^Est}}", text, ""},
      {"json: {/peers/10.0.0.1/state: {matches: ^x}}", text,
       "/peers/10.0.0.1/state is Established, not like ^x"},
      {"json: {/peers/x: {absent: true}}", text, ""},
      {"json: {/list: {absent: true}}", text, "/list is there"},
  };
  for (const Row& row : rows) {
    const auto read =
        steps("steps:\n  - node: a\n    run: x\n    " + std::string(row.check) + "\n");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(complaint(read->front(), Output{0, row.output, "", false}), row.complaint)
        << row.check;
  }
}

}  // namespace
}  // namespace weft::lab
