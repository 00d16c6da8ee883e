// LogBudget: how many lines a minute somebody may cause, whatever they do; what was held back is
// counted in the next line.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "net/time.h"

namespace weft::bgp {

class LogBudget {
 public:
  LogBudget(unsigned lines_a_minute, Time now) : limit_(lines_a_minute), window_(now) {}

  /// The line as it is to be written; empty: it is held back.
  [[nodiscard]] std::string admit(std::string_view line, Time now) {
    if (now - window_ >= std::chrono::minutes{1}) {
      window_ = now;
      lines_ = 0;
    }
    if (lines_ >= limit_) {
      ++held_back_;
      return {};
    }
    ++lines_;
    std::string whole(line);
    if (held_back_ != 0)
      whole += " (" + std::to_string(held_back_) + " lines held back before this)";
    held_back_ = 0;
    return whole;
  }

 private:
  unsigned limit_;
  Time window_;
  unsigned lines_ = 0;
  unsigned held_back_ = 0;
};

}  // namespace weft::bgp
