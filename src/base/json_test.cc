#include "base/json.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighbridge::base {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Code code_of(std::string_view text) {
  return JsonDocument::parse(text).error().code();
}

TEST(Json, ReadsValuesOfEveryKind) {
  const auto document = JsonDocument::parse(R"([0, 18446744073709551615, "a\u00e9", true, null])");
  std::vector<std::string_view> kinds;
  ASSERT_TRUE(document.value()
                  .root()
                  .each_element([&](JsonValue value) -> Result<void> {
                    kinds.push_back(value.kind());
                    return {};
                  })
                  .ok());
  EXPECT_THAT(kinds, ElementsAre("a number", "a number", "a string", "a boolean", "null"));
}

TEST(Json, HandsOverMembersInOrderDuplicatesIncluded) {
  const auto document = JsonDocument::parse(R"({"b": 1, "a": 2, "b": 3})");
  std::vector<std::string> members;
  const auto visit = [&](std::string_view key, JsonValue value) -> Result<void> {
    members.push_back(std::string(key) + std::to_string(TRY(value.as_u64())));
    return {};
  };
  ASSERT_TRUE(document.value().root().each_member(visit).ok());
  EXPECT_THAT(members, ElementsAre("b1", "a2", "b3"));
}

TEST(Json, AVisitEndsWithItsFirstError) {
  const auto document = JsonDocument::parse("[1, 2, 3]");
  int visits = 0;
  const auto visit = [&](JsonValue) -> Result<void> {
    ++visits;
    return Error(Code::kConflict, "enough");
  };
  EXPECT_EQ(document.value().root().each_element(visit).error().code(), Code::kConflict);
  EXPECT_EQ(visits, 1);
}

TEST(Json, AnIntegerHasNoSignFractionOrExponentAndFits) {
  for (const std::string_view text :
       {"-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "true", "null", "[]", "{}"}) {
    const auto document = JsonDocument::parse(text);
    if (document.ok()) {  // a number beyond 64 bits is refused as a text already
      EXPECT_EQ(document->root().as_u64().error().code(), Code::kInvalid) << text;
    }
  }
}

TEST(Json, ValuesOfAnotherTypeAreInvalidAndNamed) {
  const auto document = JsonDocument::parse("{}");
  const JsonValue root = document.value().root();
  EXPECT_THAT(root.as_string().error().message(), HasSubstr("an object"));
  EXPECT_EQ(root.as_bool().error().code(), Code::kInvalid);
  EXPECT_EQ(root.each_element([](JsonValue) { return Result<void>(); }).error().code(),
            Code::kInvalid);
  const auto list = JsonDocument::parse("[]");
  EXPECT_EQ(list->root()
                .each_member([](std::string_view, JsonValue) { return Result<void>(); })
                .error()
                .code(),
            Code::kInvalid);
}

TEST(Json, NestingDeeperThanAllowedIsExhausted) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(JsonDocument::parse(nested(60)).ok());
  EXPECT_EQ(code_of(nested(65)), Code::kExhausted);
  EXPECT_EQ(code_of(nested(100'000)), Code::kExhausted);
  EXPECT_EQ(JsonDocument::parse(nested(5), 4).error().code(), Code::kExhausted);
}

TEST(Json, BytesThatAreNotUtf8AreCorrupt) {
  EXPECT_EQ(code_of("\"\xFF\""), Code::kCorrupt);
  EXPECT_EQ(code_of("\"\xED\xA0\x80\""), Code::kCorrupt);
  EXPECT_EQ(code_of(R"("\ud800")"), Code::kCorrupt);
}

TEST(Json, AnythingButOneWholeValueIsCorrupt) {
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "[1",
                                      "[1,]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "1 2",
                                      "{} {}",
                                      "nul",
                                      "'a'",
                                      "[1] x",
                                      "\"a\nb\"",
                                      "01"}) {
    EXPECT_EQ(code_of(text), Code::kCorrupt) << text;
  }
}

TEST(Json, TheTextMayGoOnceItIsParsed) {
  std::string text = R"({"key": "a value that is no small string at all"})";
  const auto document = JsonDocument::parse(text);
  text.assign(text.size(), 'x');
  const auto visit = [](std::string_view key, JsonValue value) -> Result<void> {
    EXPECT_EQ(key, "key");
    EXPECT_EQ(TRY(value.as_string()), "a value that is no small string at all");
    return {};
  };
  EXPECT_TRUE(document.value().root().each_member(visit).ok());
}

}  // namespace
}  // namespace weighbridge::base
