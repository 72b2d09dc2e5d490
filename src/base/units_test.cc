#include "base/units.h"

#include <gtest/gtest.h>

#include "base/range.h"

namespace weighbridge::base {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

TEST(Units, SumsAndProductsThatDoNotFitAreNothing) {
  EXPECT_EQ(checked_add(kMost - 1, 1), kMost);
  EXPECT_EQ(checked_add(kMost, 1), std::nullopt);
  EXPECT_EQ(checked_multiply(kMost, 1), kMost);
  EXPECT_EQ(checked_multiply(kMost / 2 + 1, 2), std::nullopt);
  EXPECT_EQ(checked_multiply(kMost, 0), 0U);
}

TEST(Units, DividingUpDoesNotOverflow) {
  EXPECT_EQ(divide_up(0, 4), 0U);
  EXPECT_EQ(divide_up(4, 4), 1U);
  EXPECT_EQ(divide_up(5, 4), 2U);
  EXPECT_EQ(divide_up(kMost, 2), kMost / 2 + 1);
}

TEST(Units, BytesArePrintedWithThreeDigits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(90'868'376), "86.7 MiB");
  EXPECT_EQ(format_bytes(kGiB - 1), "1.00 GiB");
  EXPECT_EQ(format_bytes(500 * kGiB), "500 GiB");
  EXPECT_EQ(format_bytes(kMost), "16.0 EiB");
}

TEST(Units, BytesAreReadWithOneBinaryUnitOrNone) {
  EXPECT_EQ(parse_bytes("256MiB"), 256 * kMiB);
  EXPECT_EQ(parse_bytes("1GiB"), kGiB);
  EXPECT_EQ(parse_bytes("4096"), 4096U);
  EXPECT_EQ(parse_bytes("0KiB"), 0U);
  for (const char* bad : {"", "MiB", "-1", "1 MiB", "1MB", "1.5GiB", "16777216TiB", "1KiBMiB"}) {
    EXPECT_EQ(parse_bytes(bad), std::nullopt) << bad;
  }
}

TEST(Range, IsHalfOpen) {
  EXPECT_EQ((Range{3, 5}).size(), 2U);
  EXPECT_FALSE((Range{3, 5}).empty());
  EXPECT_TRUE((Range{3, 3}).empty());
}

}  // namespace
}  // namespace weighbridge::base
