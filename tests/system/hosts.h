// Hosts: a lab whose weft hosts are given their programs by the test: weftd started, killed and
// started again, weftctl and weft-cni as an operator and a runtime use them. What every system test
// of weftd begins with.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "tests/lab/lab.h"

namespace weft::system_test {

using lab::Argv;
using lab::Lab;
using lab::Output;
using lab::Process;
using nlohmann::json;
using std::chrono::milliseconds;

/// Conditions are met in a fraction of this; machines that run much else take longer.
constexpr milliseconds patience{60'000};

class Hosts : public testing::Test {
 protected:
  /// `topology` is a file below the top of the tree, `bin` the folder of our programs.
  void up(const std::string& topology, const std::string& bin) {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    auto lab = Lab::up(topology, {"", bin, true});
    ASSERT_TRUE(lab) << lab.error().message;
    ASSERT_TRUE(lab->failed_exec().empty()) << lab->failed_exec().front();
    lab_.emplace(std::move(*lab));
  }

  void TearDown() override {
    if (HasFailure()) {
      for (auto& [host, process] : weftd_)
        std::cerr << "-- weftd on " << host << "\n" << process.output();
    }
    weftd_.clear();
  }

  Output run(const std::string& host, const Argv& argv, const std::string& input = {},
             const lab::Environment& env = {}) {
    auto output = lab_->node(host).run(argv, {patience, input, env});
    EXPECT_TRUE(output) << output.error().message;
    return output ? *output : Output{-1, "", "", false};
  }

  void start(const std::string& host) {
    auto process = lab_->node(host).spawn({"weftd"});
    ASSERT_TRUE(process) << process.error().message;
    weftd_.insert_or_assign(host, std::move(*process));
    ASSERT_TRUE(eventually([&] {
      return run(host, {"weftctl", "status"}).ok();
    })) << weftd_.at(host).output();
  }

  /// Its exit status.
  int stop(const std::string& host, int signal) {
    Process& process = weftd_.at(host);
    process.signal(signal);
    const auto status = process.wait(patience);
    EXPECT_TRUE(status) << "weftd does not end";
    return status.value_or(-1);
  }

  bool eventually(const std::function<bool()>& condition) {
    return lab::wait_until(condition, patience);
  }

  json ctl(const std::string& host, Argv argv) {
    argv.insert(argv.begin(), "weftctl");
    argv.emplace_back("--json");
    const Output output = run(host, argv);
    EXPECT_TRUE(output.ok()) << output.text();
    const json reply = json::parse(output.out, nullptr, false);
    return reply.value("ok", json());
  }

  bool has_route(const std::string& host, const std::string& prefix) {
    const bool v6 = prefix.find(':') != std::string::npos;
    const Output routes =
        run(host, {"ip", v6 ? "-6" : "-4", "route", "show", prefix, "proto", "87"});
    return routes.out.find("nhid") != std::string::npos;
  }

  Output cni(const std::string& verb, const std::string& host, const std::string& container,
             lab::Environment env = {}) {
    env.insert({{"CNI_COMMAND", verb},
                {"CNI_CONTAINERID", container},
                {"CNI_NETNS", "/run/netns/" + container},
                {"CNI_IFNAME", "eth0"},
                {"CNI_PATH", "/opt/cni/bin"}});
    return run(host, {"/opt/cni/bin/weft-cni"},
               R"({"cniVersion":"1.0.0","name":"fabric","type":"weft"})", env);
  }

  /// Its IPv4 address.
  std::string add_container(const std::string& host, const std::string& container) {
    EXPECT_TRUE(run(host, {"ip", "netns", "add", container}).ok());
    const Output added = cni("ADD", host, container);
    EXPECT_TRUE(added.ok()) << added.text();
    const json result = json::parse(added.out, nullptr, false);
    if (!result.is_object()) return "";
    const std::string address = result["ips"][0]["address"];
    return address.substr(0, address.find('/'));
  }

  bool ping(const std::string& host, const std::string& container, const std::string& address) {
    return run(host, {"ip", "netns", "exec", container, "ping", "-c", "1", "-W", "2", address})
        .ok();
  }

  std::optional<Lab> lab_;
  std::map<std::string, Process> weftd_;
};

}  // namespace weft::system_test
