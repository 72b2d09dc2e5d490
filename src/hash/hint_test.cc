#include "hash/hint.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace weighbridge::hash {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string hint_of(std::string_view text) {
  HintHasher hasher;
  hasher.update(bytes_of(text));
  return hasher.finish().hex();
}

TEST(HintHasher, GivesTheCanonicalXxh3OfKnownTexts) {
  EXPECT_EQ(hint_of(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hint_of("abc"), "06b05ab6733a618578af5f94892f3950");
  EXPECT_EQ(hint_of(std::string(1'000'000, 'a')), "a545df8e384a9579b1fd6fae5285c4eb");
}

TEST(HintHasher, TakesBytesInAnyParts) {
  const std::string text(1'000'000, 'a');
  HintHasher parts;
  parts.update(bytes_of(text).first(1));
  parts.update({});
  parts.update(bytes_of(text).subspan(1));
  EXPECT_EQ(parts.finish().hex(), hint_of(text));
}

TEST(HintHasher, BeginsAnewAfterFinish) {
  HintHasher hasher;
  hasher.update(bytes_of("something else"));
  hasher.finish();
  hasher.update(bytes_of("abc"));
  EXPECT_EQ(hasher.finish().hex(), hint_of("abc"));
}

}  // namespace
}  // namespace weighbridge::hash
