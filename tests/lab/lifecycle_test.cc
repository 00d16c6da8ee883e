// A lab comes and goes: nothing is left of it, whoever dies when; labs of one file live side by
// side; the program's manners.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <ostream>
#include <set>
#include <sstream>

#include "tests/lab/lab.h"

namespace weft::lab {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

const std::string plain = WEFT_SOURCE_DIR "/tests/lab/data/plain/plain.clab.yml";
const std::string weft_lab = WEFT_BINARY_DIR "/weft-lab";

Surroundings here() {
  return {std::nullopt, inherited_environment(), false};
}

/// The namespaces of the type a process is in; the kernel uses numbers again, so they say something
/// only while it lives.
std::string namespace_of(const std::string& pid, const char* type) {
  std::error_code none;
  return fs::read_symlink("/proc/" + pid + "/ns/" + type, none);
}

/// "pid starttime" of every process in the PID namespaces of a lab.
std::set<std::string> processes_of(const Lab& lab) {
  std::set<std::string> spaces;
  for (const auto& [name, node] : lab.nodes()) {
    spaces.insert(namespace_of(std::to_string(*node.init()), "pid"));
  }
  std::set<std::string> found;
  std::istringstream all(run({"ps", "-eo", "pid=,lstart="}, here(), 10s)->out);
  for (std::string line; std::getline(all, line);) {
    std::istringstream fields(line);
    std::string pid;
    fields >> pid;
    if (spaces.count(namespace_of(pid, "pid")) != 0) found.insert(line);
  }
  return found;
}

/// All that this machine shows of a lab by name: mounts, namespaces, folders, links, processes.
/// Other labs may come and go meanwhile, so nothing else is compared.
std::vector<std::string> traces(const std::string& name) {
  std::vector<std::string> found;
  const auto lines_with = [&](const std::string& what, std::istream&& in) {
    for (std::string line; std::getline(in, line);) {
      if (line.find(name) != std::string::npos)
        found.push_back(std::string(what).append(": ").append(line));
    }
  };
  lines_with("mount", std::ifstream("/proc/self/mountinfo"));
  for (const char* folder : {"/run/netns", "/run/weft-lab"}) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none)) {
      if (entry.path().string().find(name) != std::string::npos) found.push_back(entry.path());
    }
  }
  lines_with("process", std::istringstream(run({"ps", "-eo", "pid,stat,args"}, here(), 10s)->out));
  return found;
}

std::string unique(const std::string& stem) {
  return stem + "-" + std::to_string(getpid());
}

Output program(const Argv& arguments) {
  Argv argv{weft_lab};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto output = run(argv, here(), 60s);
  return output ? *output : Output{-1, "", output.error().message, false};
}

class Lifecycle : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }
};

TEST_F(Lifecycle, LeavesNothing) {
  std::set<std::string> processes;
  std::string name;
  {
    auto lab = Lab::up(plain);
    ASSERT_TRUE(lab) << lab.error().message;
    name = lab->name();
    EXPECT_THAT(traces(name), testing::Not(IsEmpty()));
    for (const char* type : {"net", "mnt", "pid", "uts"}) {
      const auto of = [&](const char* node) {
        return namespace_of(std::to_string(*lab->node(node).init()), type);
      };
      EXPECT_NE(of("a"), of("b")) << type;
      EXPECT_NE(of("a"), namespace_of("self", type)) << type;
    }
    EXPECT_THAT(run({"ip", "-br", "link"}, here(), 10s)->out,
                testing::Not(testing::ContainsRegex("eth[12]@")))
        << "a lab has no links out here";
    ASSERT_TRUE(lab->node("a").run({"sh", "-c", "setsid sleep 600 & ip netns add inner"}));
    processes = processes_of(*lab);
    EXPECT_GE(processes.size(), 4U) << "two inits, what runs as main, one in the background";
  }
  EXPECT_THAT(traces(name), IsEmpty());
  std::istringstream all(run({"ps", "-eo", "pid=,lstart="}, here(), 10s)->out);
  for (std::string line; std::getline(all, line);) EXPECT_EQ(processes.count(line), 0U) << line;
}

TEST_F(Lifecycle, IsFast) {
  const Time begin = Clock::now();
  auto lab = Lab::up(WEFT_SOURCE_DIR "/tests/lab/data/rack-bird");
  const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
  ASSERT_TRUE(lab) << lab.error().message;
  RecordProperty("up_ms", static_cast<int>(took.count()));
  // Far from what it takes (0.2 s) and far below what would hurt: the machine may be busy.
  EXPECT_LT(took, 5s);
}

TEST_F(Lifecycle, TwoLabsOfOneFileLiveSideBySide) {
  auto one = Lab::up(plain);
  auto two = Lab::up(plain);
  ASSERT_TRUE(one) << one.error().message;
  ASSERT_TRUE(two) << two.error().message;
  ASSERT_TRUE(one->node("a").run({"ip", "addr", "add", "10.8.8.8/32", "dev", "lo"})->ok());
  EXPECT_THAT(one->node("a").run({"ip", "addr"})->out, HasSubstr("10.8.8.8"));
  EXPECT_THAT(two->node("a").run({"ip", "addr"})->out, testing::Not(HasSubstr("10.8.8.8")));
  ASSERT_TRUE(one->down());
  EXPECT_TRUE(two->node("b").run({"ping", "-c1", "-W2", "10.9.9.1"})->ok());
}

struct Moment {
  const char* name;
  /// What is there of the lab when `up` is killed.
  const char* path;
};

/// Without it the name of the test in ctest would hold addresses.
void PrintTo(const Moment& moment, std::ostream* out) {
  *out << moment.path;
}

class KilledUp : public testing::TestWithParam<Moment> {};

TEST_P(KilledUp, CanBeTakenDown) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string name = unique(std::string("killed-") + GetParam().name);
  std::string path = GetParam().path;
  path.replace(path.find("LAB"), 3, name);
  auto up = Process::spawn({weft_lab, "up", "--name", name, plain}, here(), {});
  ASSERT_TRUE(up) << up.error().message;
  ASSERT_TRUE(wait_until([&] { return fs::exists(path); }, 30s, milliseconds(0)));
  kill(up->pid(), SIGKILL);
  ASSERT_TRUE(up->wait(10s));
  const auto down = program({"down", name});
  EXPECT_EQ(down.exit, 0) << down.text();
  // An init that was not on record ends by itself, once it hears that nobody is there.
  EXPECT_TRUE(wait_until([&] { return traces(name).empty(); }, 10s))
      << testing::PrintToString(traces(name));
}

INSTANTIATE_TEST_SUITE_P(Moments, KilledUp,
                         testing::Values(Moment{"Folder", "/run/weft-lab/LAB"},
                                         Moment{"Recorded", "/run/weft-lab/LAB/netns"},
                                         Moment{"FirstNamespace", "/run/netns/clab-LAB-a"},
                                         Moment{"LastNamespace", "/run/netns/clab-LAB-b"},
                                         Moment{"FirstDisk", "/run/weft-lab/LAB/nodes/a/upper"},
                                         Moment{"FirstInit", "/run/weft-lab/LAB/nodes/a/init"},
                                         Moment{"FirstLog", "/run/weft-lab/LAB/nodes/a/log"},
                                         Moment{"LastInit", "/run/weft-lab/LAB/nodes/b/init"},
                                         Moment{"MainEnded", "/run/weft-lab/LAB/nodes/b/main"}),
                         [](const auto& row) { return row.param.name; });

TEST_F(Lifecycle, TheNextLabSweepsWhatADeadOwnerLeft) {
  const std::string name = unique("orphan");
  const pid_t child = fork();
  if (child == 0) {
    auto lab = Lab::up(plain, {name, {}, true});
    _exit(lab ? 0 : 1);  // no destructor runs: as if it had been killed
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0) << "the lab was up; who sweeps first, this test or one beside it, is open";
  const auto lab = Lab::up(plain);
  ASSERT_TRUE(lab) << lab.error().message;
  EXPECT_THAT(traces(name), IsEmpty());
}

TEST_F(Lifecycle, AFailedUpLeavesNothing) {
  const fs::path file = fs::temp_directory_path() / (unique("bad") + ".clab.yml");
  std::ofstream(file)
      << "name: " << unique("bad")
      << "\ntopology: {nodes: {a: {kind: linux, image: i, sysctls: {net.none: 1}}}}\n";
  const auto lab = Lab::up(file);
  ASSERT_FALSE(lab);
  EXPECT_THAT(lab.error().message, HasSubstr("node a: "));
  EXPECT_THAT(lab.error().message, HasSubstr("/proc/sys/net/none = 1: No such file or directory"));
  fs::remove(file);
  EXPECT_THAT(traces(unique("bad")), IsEmpty());
}

TEST_F(Lifecycle, TheProgramDoesItAll) {
  const std::string name = unique("program");
  const auto up = program({"up", "--name", name, plain});
  EXPECT_EQ(up.exit, 3) << up.text();
  EXPECT_THAT(up.err, HasSubstr("exec failed: b: false: (exit 1)"));
  EXPECT_THAT(up.out, HasSubstr("lab " + name + " is up: 2 nodes, 2 links"));

  const auto again = program({"up", "--name", name, plain});
  EXPECT_EQ(again.exit, 1);
  EXPECT_THAT(again.err, HasSubstr("is up already: weft-lab down " + name));

  const auto inspected = program({"inspect", name});
  EXPECT_EQ(inspected.exit, 0);
  EXPECT_THAT(inspected.out,
              testing::ContainsRegex("a +alpine:3 +[0-9]+ +running +eth1 up 10.9.0.0/31"));

  EXPECT_EQ(program({"exec", "--lab", name, "a", "sh", "-c", "exit 42"}).exit, 42);
  EXPECT_EQ(program({"exec", "--lab", name, "a", "hostname"}).out, "a\n");
  EXPECT_THAT(program({"exec", "--lab", name, "c", "true"}).err,
              HasSubstr("has no node c, it has: a, b"));
  EXPECT_THAT(program({"log", "--lab", name, "b"}).out, HasSubstr("last words"));

  EXPECT_EQ(program({"stop", "--lab", name, "a"}).exit, 0);
  EXPECT_THAT(program({"inspect", name}).out, testing::ContainsRegex("a +alpine:3 +- +stopped"));
  EXPECT_EQ(program({"start", "--lab", name, "a"}).exit, 0);
  EXPECT_THAT(program({"check", name}).err, HasSubstr("expect.yml: cannot be read"));

  EXPECT_EQ(program({"down", name}).exit, 0);
  EXPECT_THAT(program({"down", name}).err, HasSubstr("there is no lab and no file " + name));
  EXPECT_THAT(traces(name), IsEmpty());
}

TEST_F(Lifecycle, TheProgramRefusesWrongUse) {
  EXPECT_EQ(program({}).exit, 2);
  EXPECT_EQ(program({"up"}).exit, 2);
  EXPECT_EQ(program({"--help"}).exit, 0);
  EXPECT_THAT(program({"up", "/nowhere.clab.yml"}).err,
              HasSubstr("/nowhere.clab.yml: cannot be read"));
  EXPECT_THAT(run({"setpriv", "--reuid=65534", weft_lab, "up", plain}, here(), 10s)->err,
              HasSubstr("run this as root"));
}

}  // namespace
}  // namespace weft::lab
