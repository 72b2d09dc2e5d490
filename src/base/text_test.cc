#include "base/text.h"

#include <array>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighbridge::base {
namespace {

using ::testing::ElementsAre;

TEST(Text, HexIsPrintedInLowerCaseAndReadInEither) {
  const std::array<std::byte, 3> bytes = {std::byte{0}, std::byte{0xAB}, std::byte{0xFF}};
  EXPECT_EQ(to_hex(bytes), "00abff");
  std::array<std::byte, 3> read{};
  EXPECT_TRUE(from_hex("00ABff", read));
  EXPECT_EQ(read, bytes);
}

TEST(Text, HexOfAnotherLengthOrWithOtherLettersIsRefused) {
  std::array<std::byte, 2> read{};
  for (const std::string_view text : {"", "000", "00000", "000g", "0x00", "00 0"}) {
    EXPECT_FALSE(from_hex(text, read)) << text;
  }
}

TEST(Text, ADecimalIsDigitsOnlyAndFits) {
  EXPECT_EQ(parse_decimal("0"), 0U);
  EXPECT_EQ(parse_decimal("18446744073709551615"), 18446744073709551615U);
  for (const std::string_view text :
       {"", " 1", "1 ", "+1", "-1", "1.0", "0x1", "1e3", "18446744073709551616"}) {
    EXPECT_EQ(parse_decimal(text), std::nullopt) << text;
  }
}

struct GlobCase {
  std::string_view pattern;
  std::string_view text;
  bool matches;
};

TEST(Text, GlobsMatchAsInAShell) {
  for (const GlobCase& it : std::initializer_list<GlobCase>{
           {"", "", true},
           {"", "a", false},
           {"*", "", true},
           {"*", "model.layers.0/w", true},
           {"model.*.weight", "model.layers.0.weight", true},
           {"model.*.weight", "model.layers.0.bias", false},
           {"a?c", "abc", true},
           {"a?c", "ac", false},
           {"[a-c]x", "bx", true},
           {"[a-c]x", "dx", false},
           {"[!a-c]x", "dx", true},
           {"[!a-c]x", "ax", false},
           {"[]]", "]", true},
           {"[-a]", "-", true},
           {"[ab", "[ab", true},
           {"[ab", "a", false},
           {"\\*", "*", true},
           {"\\*", "a", false},
           {"\\", "\\", true},
           {"*a*b*", "xxaxxbxx", true},
           {"*a*b*", "xxbxxaxx", false},
           {"**", "abc", true},
       }) {
    EXPECT_EQ(glob_match(it.pattern, it.text), it.matches) << it.pattern << " on " << it.text;
  }
}

TEST(Text, AHostileGlobEndsSoon) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) {
    pattern += "a*";
  }
  EXPECT_FALSE(glob_match(pattern + "b", std::string(10'000, 'a')));
}

TEST(Text, Utf8IsWellFormedOrRefused) {
  for (const std::string_view good : {"",
                                      "abc",
                                      "\xC3\xA9",
                                      "\xE2\x82\xAC",
                                      "\xF0\x9F\x98\x80",
                                      "\xED\x9F\xBF",
                                      "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(good)) << to_hex(std::as_bytes(std::span(good)));
  }
  for (const std::string_view bad : {"\x80",
                                     "\xC3",
                                     "\xC0\x80",
                                     "\xC1\xBF",
                                     "\xE0\x80\x80",
                                     "\xED\xA0\x80",
                                     "\xF0\x80\x80\x80",
                                     "\xF4\x90\x80\x80",
                                     "\xF5\x80\x80\x80",
                                     "\xFF",
                                     "a\xE2\x82"}) {
    EXPECT_FALSE(is_utf8(bad)) << to_hex(std::as_bytes(std::span(bad)));
  }
}

TEST(Text, PrintableShowsWhatWouldMoveATerminal) {
  EXPECT_EQ(printable("h\xC3\xA9llo"), "h\xC3\xA9llo");
  EXPECT_EQ(printable("a\x1B[2Jb\n"), "a\\x1b[2Jb\\x0a");
  EXPECT_EQ(printable("\x7F"), "\\x7f");
  EXPECT_EQ(printable("\xC2\x9B"), "\\xc2\\x9b");
  EXPECT_EQ(printable("\xFFok"), "\\xffok");
}

TEST(Text, PrintableIsCutAtItsLimit) {
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("abc", 3), "abc");
}

TEST(Text, LowerCaseTrimAndSplit) {
  EXPECT_EQ(to_lower("Content-LENGTH \xC3\x89"), "content-length \xC3\x89");
  EXPECT_EQ(trim(" \t a b \r\n"), "a b");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_THAT(split("a,,b", ','), ElementsAre("a", "", "b"));
  EXPECT_THAT(split("", ','), ElementsAre(""));
  EXPECT_THAT(split("a,", ','), ElementsAre("a", ""));
}

}  // namespace
}  // namespace weighbridge::base
