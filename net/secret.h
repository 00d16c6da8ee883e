// Secret: a text that is used and never shown: no formatter takes it, no operator<< knows it, and
// its octets are overwritten when it goes. Whoever needs the octets says reveal(), and can be found
// by that word.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace weft {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept { *this = std::move(other); }
  Secret& operator=(const Secret& other) {
    if (this == &other) return *this;
    wipe();
    text_ = other.text_;
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    *this = std::as_const(other);
    other.wipe();
    return *this;
  }
  ~Secret() { wipe(); }

  [[nodiscard]] std::string_view reveal() const { return text_; }
  bool operator==(const Secret&) const = default;

 private:
  void wipe() noexcept {
    // Volatile, so that the compiler does not take the last writes for useless.
    for (volatile char* at = text_.data(); at != text_.data() + text_.size(); ++at) *at = '\0';
    text_.clear();
  }

  std::string text_;
};

}  // namespace weft
