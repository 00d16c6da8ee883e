#include "net/bytes.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(Reader, LatchesAtTheFirstShortRead) {
  const std::vector<std::byte> bytes{std::byte{1}, std::byte{2}, std::byte{3}};
  Reader in(bytes);
  EXPECT_EQ(in.u16(), 0x0102);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.u32(), 0U);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0U) << "the octet that is left must not be read after a short read";
  EXPECT_TRUE(in.empty());
}

TEST(Reader, SubCannotReachBeyondItsSize) {
  const std::vector<std::byte> bytes(4, std::byte{7});
  Reader in(bytes);
  Reader inner = in.sub(2);
  EXPECT_EQ(inner.u16(), 0x0707);
  inner.u8();
  EXPECT_FALSE(inner.ok());
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.size(), 2U);
  EXPECT_FALSE(in.sub(3).ok());
}

TEST(Writer, PatchesLengthsInPlace) {
  std::vector<std::byte> bytes;
  Writer out(bytes);
  out.u16(0);
  out.u32(0x01020304);
  out.u64(5);
  out.patch_u16(0, 0xfffe);
  Reader in(bytes);
  EXPECT_EQ(in.u16(), 0xfffe);
  EXPECT_EQ(in.u32(), 0x01020304U);
  EXPECT_EQ(in.u64(), 5U);
}

}  // namespace
}  // namespace weft
