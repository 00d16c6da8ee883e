#include "net/secret.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <sstream>
#include <type_traits>

namespace weft {
namespace {

template <typename T, typename = void>
struct Streams : std::false_type {};
template <typename T>
struct Streams<T, std::void_t<decltype(std::declval<std::ostream&>() << std::declval<T>())>>
    : std::true_type {};

TEST(Secret, IsPrintedByNothing) {
  EXPECT_FALSE(fmt::is_formattable<Secret>::value);
  EXPECT_FALSE(Streams<Secret>::value);
}

TEST(Secret, IsUsedAndMoved) {
  Secret one("a key that is longer than a small string has room for");
  Secret two = one;
  EXPECT_EQ(one, two);
  const Secret three = std::move(two);
  EXPECT_EQ(three, one);
  EXPECT_TRUE(two.reveal().empty());  // NOLINT: that is what is asked
  one = Secret("other");
  EXPECT_EQ(one.reveal(), "other");
}

}  // namespace
}  // namespace weft
