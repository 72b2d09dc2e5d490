#include "hash/digest.h"

#include <gtest/gtest.h>

namespace weighbridge::hash {
namespace {

constexpr std::string_view kHex =
    "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";

TEST(Digest, PrintsWhatItWasReadFrom) {
  const auto digest = Root::from_hex(kHex);
  ASSERT_TRUE(digest.has_value());
  EXPECT_EQ(digest->hex(), kHex);
  EXPECT_EQ(Hint::from_hex(kHex.substr(0, 32))->hex(), kHex.substr(0, 32));
}

TEST(Digest, RefusesAnythingButItsOwnLengthInLowerCaseHex) {
  EXPECT_FALSE(Root::from_hex("").has_value());
  EXPECT_FALSE(Root::from_hex(kHex.substr(1)).has_value());
  EXPECT_FALSE(Root::from_hex(std::string(kHex) + "0").has_value());
  std::string wrong(kHex);
  wrong[10] = 'A';
  EXPECT_FALSE(Root::from_hex(wrong).has_value());
  wrong[10] = 'g';
  EXPECT_FALSE(Root::from_hex(wrong).has_value());
}

TEST(Digest, ComparesByItsBytes) {
  Root low;
  Root high;
  high.bytes[0] = std::byte{1};
  EXPECT_LT(low, high);
  EXPECT_NE(low, high);
}

}  // namespace
}  // namespace weighbridge::hash
