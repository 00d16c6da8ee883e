// Rig: a host with two uplinks to two routers, as network namespaces, and fib's table, programmer
// and monitor in the host's, pumped the way the daemon pumps them. Everything is removed at the
// end, pass or fail.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fib/monitor.h"
#include "fib/programmer.h"
#include "fib/table.h"
#include "net/fd.h"

namespace weft::fib {

struct Output {
  int status = 0;
  std::string text;
};

inline Output shell(const std::string& command) {
  Output output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  std::array<char, 4096> buffer{};
  for (std::size_t size = 0; (size = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    output.text.append(buffer.data(), size);
  }
  const int status = pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

class Rig : public testing::Test {
 protected:
  using Condition = std::function<bool()>;

  void SetUp() override {
    static int count = 0;
    const std::string stem = "wf" + std::to_string(getpid()) + "x" + std::to_string(count++);
    host_ = stem + "h";
    left_ = stem + "l";
    right_ = stem + "r";
    home_ = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    for (const auto& ns : {host_, left_, right_}) {
      run("ip netns add " + ns);
      run("ip -n " + ns + " link set lo up");
    }
    wire("d0", left_, 0);
    wire("d1", right_, 1);
    const Fd ns(::open(("/run/netns/" + host_).c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(setns(ns.get(), CLONE_NEWNET), 0);
  }

  void TearDown() override {
    stop();
    EXPECT_EQ(setns(home_.get(), CLONE_NEWNET), 0);
    for (const auto& ns : {host_, left_, right_}) shell("ip netns del " + ns);
  }

  static std::string run(const std::string& command) {
    const Output output = shell(command);
    EXPECT_EQ(output.status, 0) << command << "\n" << output.text;
    return output.text;
  }
  std::string ip(const std::string& arguments) { return run("ip " + arguments); }
  std::string on_left(const std::string& arguments) {
    return run("ip -n " + left_ + " " + arguments);
  }
  std::string on_right(const std::string& arguments) {
    return run("ip -n " + right_ + " " + arguments);
  }

  /// Host interface `name` to a router: 192.0.2.<4n>/31 there, .<4n+1> here; fe80::1 there.
  void wire(const std::string& name, const std::string& router, int number) {
    const std::string theirs = "192.0.2." + std::to_string(4 * number);
    const std::string ours = "192.0.2." + std::to_string(4 * number + 1);
    run("ip -n " + host_ + " link add " + name + " type veth peer name u0 netns " + router);
    run("ip -n " + host_ + " addr add " + ours + "/31 dev " + name);
    run("ip -n " + router + " addr add " + theirs + "/31 dev u0");
    run("ip -n " + router + " addr add fe80::1/64 dev u0 nodad");
    run("ip -n " + router + " addr add 10.9.0.1/32 dev lo");
    run("ip -n " + host_ + " link set " + name + " up");
    run("ip -n " + router + " link set u0 up");
    run("ip -n " + router + " route add default via " + ours);
  }

  void start(const Settings& settings = {}, int receive_buffer = 16 * 1024 * 1024) {
    settings_ = settings;
    auto programmer = Programmer::start(settings);
    ASSERT_TRUE(programmer) << programmer.error().message;
    programmer_.emplace(std::move(programmer).value());
    Monitor::Options options;
    options.writer_ports = programmer_->ports();
    options.receive_buffer = receive_buffer;
    auto monitor = Monitor::open(options);
    ASSERT_TRUE(monitor) << monitor.error().message;
    monitor_.emplace(std::move(monitor).value());
    table_.emplace(settings);
    table_->start(Clock::now());
    for (const auto& [ifindex, link] : monitor_->links()) table_->link(link, Clock::now());
    for (const ConnectedSubnet& subnet : monitor_->subnets()) {
      table_->address(subnet, true, Clock::now());
    }
  }
  /// As a daemon that ends, by its own will or not: the kernel keeps what it has.
  void stop() {
    programmer_.reset();
    monitor_.reset();
    table_.reset();
  }

  void handle(const Event& event) {
    const Time now = Clock::now();
    std::visit(Overloaded{
                   [&](const LinkEvent& e) {
                     if (e.removed) {
                       table_->link_removed(e.link.ifindex, now);
                     } else {
                       table_->link(e.link, now);
                     }
                   },
                   [&](const AddressEvent& e) { table_->address(e.subnet, !e.removed, now); },
                   [&](const RouteEvent& e) { table_->observed(e, now); },
                   [&](const NextHopEvent& e) { table_->observed(e, now); },
                   [&](const Overrun&) { table_->overrun(now); },
               },
               event);
  }

  void turn(int wait_ms) {
    std::array<pollfd, 2> fds{{{programmer_->fd(), POLLIN, 0}, {monitor_->fd(), POLLIN, 0}}};
    if (auto batch =
            programmer_->express_ready() ? table_->take_express(Clock::now()) : std::nullopt) {
      programmer_->submit_express(std::move(*batch));
      wait_ms = 0;
    }
    if (auto work = programmer_->ready() ? table_->take(Clock::now()) : std::nullopt) {
      programmer_->submit(std::move(*work));
      wait_ms = 0;
    }
    poll(fds.data(), fds.size(), wait_ms);
    while (auto report = programmer_->next()) table_->settle(std::move(*report), Clock::now());
    monitor_->read([&](const Event& event) { handle(event); });
    const auto deadline = table_->deadline();
    if (deadline && *deadline <= Clock::now()) table_->tick(Clock::now());
    for (Notice& notice : table_->take_notices()) notices_.push_back(std::move(notice.message));
  }
  /// Runs the loop until `condition`; false after `limit`.
  bool pump(const Condition& condition, std::chrono::seconds limit = std::chrono::seconds(20)) {
    const Time end = Clock::now() + limit;
    while (Clock::now() < end) {
      if (condition()) return true;
      turn(5);
    }
    return condition();
  }
  /// Until everything wanted is in the kernel.
  bool settled() {
    return pump([&] { return table_->snapshot().dumps > 0 && table_->snapshot().pending == 0; });
  }

  [[nodiscard]] std::uint32_t index_of(const std::string& name) const {
    const Link* link = monitor_->link(name);
    return link == nullptr ? 0 : link->ifindex;
  }
  [[nodiscard]] NextHop left() const { return {*Address::parse("192.0.2.0"), index_of("d0"), 1}; }
  [[nodiscard]] NextHop right() const { return {*Address::parse("192.0.2.4"), index_of("d1"), 1}; }
  GroupRef both() {
    NextHops set{left(), right()};
    std::sort(set.begin(), set.end());
    return table_->group(set);
  }
  void want(const std::string& prefix, GroupRef group) {
    table_->want(*Prefix::parse(prefix), group, Clock::now());
  }
  [[nodiscard]] std::string state(const std::string& prefix) const {
    return table_->state(*Prefix::parse(prefix));
  }
  [[nodiscard]] bool noticed(const std::string& part) const {
    return std::any_of(notices_.begin(), notices_.end(), [&](const std::string& notice) {
      return notice.find(part) != std::string::npos;
    });
  }
  std::size_t kernel_routes(const std::string& filter = "proto 87") {
    const std::string routes = run("ip -o route show " + filter);
    return static_cast<std::size_t>(std::count(routes.begin(), routes.end(), '\n'));
  }
  /// Where the kernel's route leads: "d0 d1".
  std::string devices(const std::string& prefix) {
    std::string found;
    std::string group = word_after(ip("route show " + prefix), "nhid");
    if (group.empty()) return found;
    std::string members = word_after(ip("nexthop show id " + group), "group") + "/";
    for (std::size_t at = 0; (at = members.find('/')) != std::string::npos;) {
      const std::string device = word_after(ip("nexthop show id " + members.substr(0, at)), "dev");
      found += (found.empty() ? "" : " ") + device;
      members.erase(0, at + 1);
    }
    return found;
  }
  static std::string word_after(const std::string& text, const std::string& word) {
    const std::size_t at = text.find(word + " ");
    if (at == std::string::npos) return {};
    const std::size_t from = at + word.size() + 1;
    return text.substr(from, text.find_first_of(" \n", from) - from);
  }
  bool pings() { return shell("ping -n -c 1 -W 2 10.9.0.1").status == 0; }

  std::string host_, left_, right_;
  Fd home_;
  Settings settings_;
  std::optional<Programmer> programmer_;
  std::optional<Monitor> monitor_;
  std::optional<Table> table_;
  std::vector<std::string> notices_;
};

}  // namespace weft::fib
