// Desk: a Table and a ModelKernel that answer each other, with the words in the test's own order:
// nothing of what happens in the kernel is told to the table unless the test tells it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/fib/model_kernel.h"

namespace weft::fib {

class Desk : public testing::Test {
 protected:
  using Settled = std::vector<Batch>;

  /// A new table over the kernel as it is, with links 2..5 up.
  void start(const Settings& settings = {}) {
    kernel.settings = settings;
    table.emplace(settings);
    table->start(now);
    for (std::uint32_t ifindex = 2; ifindex < 6; ++ifindex) link(ifindex, true);
    rest();
  }
  /// A new table that asks for the kernel's routes, and what the kernel will say, in parts.
  std::vector<DumpPart> dump_of_a_restart() {
    table.emplace(Settings{});
    table->start(now);
    const auto work = table->take(now);
    if (!work || !std::holds_alternative<DumpRequest>(*work)) return {};
    return kernel.dump(std::get<DumpRequest>(*work));
  }
  void SetUp() override { start(); }

  /// The link changes in the kernel and the table is told.
  void link(std::uint32_t ifindex, bool usable) {
    if ((kernel.dead_links.count(ifindex) == 0) != usable) kernel.link(ifindex, usable);
    Link link;
    link.ifindex = ifindex;
    link.up = link.carrier = usable;
    table->link(link, now);
  }

  /// One piece of work carried out and answered; false: there was none.
  bool work() {
    if (auto batch = table->take_express(now)) {
      express.push_back(*batch);
      table->settle(kernel.carry_out(std::move(*batch), [] { return 0; }), now);
      return true;
    }
    auto next = table->take(now);
    if (!next) return false;
    if (const auto* request = std::get_if<DumpRequest>(&*next)) {
      for (DumpPart& part : kernel.dump(*request)) table->settle(std::move(part), now);
      return true;
    }
    Batch batch = std::get<Batch>(std::move(*next));
    batches.push_back(batch);
    table->settle(kernel.carry_out(std::move(batch), [] { return 0; }), now);
    return true;
  }
  /// Until there is nothing to do now; the batches that took.
  Settled rest() {
    batches.clear();
    while (work()) {
    }
    return std::exchange(batches, {});
  }
  CheckReport checked() {
    table->check();
    rest();
    auto report = table->take_check();
    EXPECT_TRUE(report.has_value());
    return report.value_or(CheckReport{});
  }

  static NextHop hop(std::uint32_t ifindex, std::uint16_t weight = 1) {
    return {Address::ipv4(0xc0000200 + ifindex), ifindex, weight};
  }
  static Prefix prefix(const std::string& text) { return *Prefix::parse(text); }
  static Prefix nth(std::uint32_t i) { return {Address::ipv4(0x0b000000 + (i << 6U)), 26}; }
  void want(const std::string& text, GroupRef group) { table->want(prefix(text), group, now); }
  [[nodiscard]] std::string state(const std::string& text) const {
    return table->state(prefix(text));
  }
  [[nodiscard]] bool kernel_has(const std::string& text) const {
    return kernel.routes.count({prefix(text), kernel.settings.metric}) > 0;
  }
  [[nodiscard]] std::uint64_t repairs(Cause cause) const {
    return table->snapshot().repairs[static_cast<std::size_t>(cause)];
  }

  Time now{std::chrono::hours(1)};
  ModelKernel kernel{Settings{}};
  std::optional<Table> table;
  Settled batches;
  /// What went by the express lane, until the test clears it.
  Settled express;
};

}  // namespace weft::fib
