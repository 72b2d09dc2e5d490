#include "hash/sha256.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace weighbridge::hash {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// The examples that NIST publishes with FIPS 180-4.
TEST(Sha256, GivesTheDigestsThatFipsPublishes) {
  EXPECT_EQ(Sha256::of({}).hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256::of(bytes_of("abc")).hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256::of(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256::of(bytes_of(std::string(1'000'000, 'a'))).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, TakesBytesInAnyParts) {
  const std::string text(1000, 'x');
  Sha256 parts;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{936}}) {
    parts.update(bytes_of(text).first(size));
  }
  EXPECT_EQ(parts.finish(), Sha256::of(bytes_of(text)));
}

TEST(Sha256, KeepsWhatItHasSeenWhenMoved) {
  Sha256 first;
  first.update(bytes_of("a"));
  Sha256 second = std::move(first);
  second.update(bytes_of("bc"));
  EXPECT_EQ(second.finish(), Sha256::of(bytes_of("abc")));
}

}  // namespace
}  // namespace weighbridge::hash
