#include "hash/sha512.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace weighbridge::hash {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// The examples that NIST publishes with FIPS 180-4.
TEST(Sha512, GivesTheDigestsThatFipsPublishes) {
  EXPECT_EQ(Sha512::of({}).hex(),
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
            "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e");
  EXPECT_EQ(Sha512::of(bytes_of("abc")).hex(),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Sha512, TakesBytesInAnyParts) {
  const std::string text(1000, 'x');
  Sha512 parts;
  parts.update(bytes_of(text).first(1));
  Sha512 moved = std::move(parts);
  moved.update(bytes_of(text).subspan(1));
  EXPECT_EQ(moved.finish(), Sha512::of(bytes_of(text)));
}

}  // namespace
}  // namespace weighbridge::hash
