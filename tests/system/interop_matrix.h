// What all parts of the interop matrix share: how a cell is run, and what most rows look for. The
// parts are the files interop_*_test.cc, one subject each.
#pragma once

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "tests/system/interop.h"

namespace weft::interop {

/// Nothing after it makes sense when `condition` does not hold, in whichever function.
#define MUST(condition) \
  if (!(condition)) throw std::runtime_error("not so: " #condition + pair.story())

inline void both_ways(Pair& pair) {
  MUST(pair.established());
  MUST(pair.exchanges_routes());
}

/// The first path that weftd has there; an empty object for none.
inline json first_path(const Pair& pair, const std::string& prefix) {
  const json reply = pair.ctl("routes " + prefix);
  if (!reply.is_object() || reply["routes"].empty()) return json::object();
  return reply["routes"][0]["paths"][0];
}

inline bool has(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

/// One cell: a row and a daemon.
using Interoperates = testing::TestWithParam<std::tuple<Row, Daemon>>;

/// `folder`: where weftd and weftctl are.
inline void run_cell(const std::tuple<Row, Daemon>& cell, const char* folder) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto& [row, daemon] = cell;
  Pair pair(daemon, row, folder);
  if (const std::string& why = pair.dialect().unsupported; !why.empty()) GTEST_SKIP() << why;
  pair.start();
  pair.row.check(pair);
}

inline void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}
inline void PrintTo(Daemon daemon, std::ostream* out) {
  *out << name(daemon);
}

/// The cells of a part: each row of `table` with each daemon, named RowDaemon.
// NOLINTBEGIN(bugprone-macro-parentheses): the name of a class takes none.
#define WEFT_INTEROP_PART(part, table, folder)                                            \
  class part : public Interoperates {};                                                   \
  TEST_P(part, With) {                                                                    \
    run_cell(GetParam(), folder);                                                         \
  }                                                                                       \
  INSTANTIATE_TEST_SUITE_P(                                                               \
      Interop, part,                                                                      \
      testing::Combine(testing::ValuesIn(table),                                          \
                       testing::Values(Daemon::bird, Daemon::frr, Daemon::gobgp)),        \
      [](const auto& each) {                                                              \
        return std::get<0>(each.param).name + std::string(name(std::get<1>(each.param))); \
      })
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace weft::interop
