#include "net/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace weft {
namespace {

Result<std::unique_ptr<int>> half(int number) {
  if (number % 2 != 0) return Error{"odd"};
  return std::make_unique<int>(number / 2);
}

TEST(Result, CarriesAValueOrAnError) {
  auto four = half(8);
  ASSERT_TRUE(four);
  EXPECT_EQ(**four, 4);
  EXPECT_EQ(*std::move(four).value(), 4);
  const auto none = half(7);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().within("half").within("test").message, "test: half: odd");
  EXPECT_EQ(Result<int>(Error{"x"}).value_or(3), 3);
}

}  // namespace
}  // namespace weft
