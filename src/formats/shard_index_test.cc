#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/safetensors.h"

namespace weighbridge::formats {
namespace {

using base::Code;
using base::Result;
using testing::ElementsAre;
using testing::Pair;

Result<ShardIndex> parse(std::string_view text) {
  return parse_shard_index(std::as_bytes(std::span(text.data(), text.size())));
}

TEST(ShardIndex, says_which_file_holds_which_tensor_and_lists_each_file_once) {
  const auto index = parse(R"(
      {"metadata": {"total_size": 1e10, "x": [{}]},
       "weight_map": {"b": "two.safetensors", "a": "one.safetensors", "c": "sub/one.safetensors",
                      "d": "one.safetensors"},
       "other": [1, {"y": null}]}
  )");
  ASSERT_TRUE(index.ok()) << index.error().message();
  EXPECT_THAT(index.value().file_of,
              ElementsAre(Pair("a", "one.safetensors"),
                          Pair("b", "two.safetensors"),
                          Pair("c", "sub/one.safetensors"),
                          Pair("d", "one.safetensors")));
  EXPECT_THAT(index.value().files,
              ElementsAre("one.safetensors", "sub/one.safetensors", "two.safetensors"));
}

TEST(ShardIndex, metadata_may_be_absent) {
  EXPECT_TRUE(parse(R"({"weight_map":{"a":"f"}})").ok());
}

// The text has a '@' where the error must point; it is taken out before parsing.
struct Bad {
  const char* rule;
  std::string text;
  const char* message;
};

TEST(ShardIndex, what_is_not_an_index_is_refused_at_its_place) {
  const std::vector<Bad> cases = {
      {"empty", "@", "expected an object, found the end of the text"},
      {"array", " @[]", "expected an object, found an array"},
      {"no map", "@{}", "weight_map is missing"},
      {"empty map", R"(@{"weight_map":{}})", "weight_map is empty"},
      {"map of another kind",
       R"({"weight_map":@["a"]})",
       "weight_map: expected an object, found an array"},
      {"file of another kind",
       R"({"weight_map":{"a":@1}})",
       "weight_map: expected a string, found a number"},
      {"map twice",
       R"({"weight_map":{"a":"f"},@"weight_map":{"b":"f"}})",
       "weight_map: a second one"},
      {"tensor twice",
       R"({"weight_map":{"a":"f",@"a":"f"}})",
       "weight_map: tensor 'a' stands there twice"},
      {"metadata null",
       R"({"metadata":@null,"weight_map":{"a":"f"}})",
       "metadata: expected an object, found null"},
      {"metadata twice",
       R"({"metadata":{},@"metadata":{},"weight_map":{"a":"f"}})",
       "metadata: a second one"},
      {"text after the object",
       R"({"weight_map":{"a":"f"}} @{})",
       "expected nothing after the object"},
      {"not closed",
       R"({"weight_map":{"a":"f"@)",
       "weight_map: expected ',' or '}', found the end of the text"},
      {"name that is not UTF-8",
       "{\"weight_map\":{@\"\xC0\x80\":\"f\"}}",
       "weight_map: a string that is not UTF-8"},
      {"name too long",
       R"({"weight_map":{@")" + std::string(4097, 'n') + R"(":"f"}})",
       "weight_map: a tensor name of 4097 bytes, at most 4096 are allowed"},
  };
  for (const Bad& bad : cases) {
    std::string text = bad.text;
    const std::size_t place = text.find('@');
    text.erase(place, 1);
    const auto index = parse(text);
    ASSERT_FALSE(index.ok()) << bad.rule;
    EXPECT_EQ(index.error().code(), Code::kCorrupt) << bad.rule;
    EXPECT_EQ(index.error().message(), bad.message) << bad.rule;
    EXPECT_EQ(index.error().offset(), place) << bad.rule;
  }
}

TEST(ShardIndex, a_file_that_is_not_beside_the_index_is_refused_by_tensor_and_name) {
  for (const std::string_view file :
       {"", "/etc/passwd", "../up", "a/../b", "./a", "a//b", "a/", "a\\\\b"}) {
    const auto index = parse(fmt::format(R"({{"weight_map":{{"t":"{}"}}}})", file));
    ASSERT_FALSE(index.ok()) << file;
    EXPECT_EQ(index.error().code(), Code::kCorrupt) << file;
    EXPECT_EQ(index.error().offset(), 19U) << file;
    EXPECT_THAT(index.error().message(), testing::HasSubstr("tensor 't'")) << file;
    EXPECT_THAT(index.error().message(), testing::HasSubstr("no path beside the index")) << file;
  }
}

TEST(ShardIndex, an_index_over_the_limit_is_refused_unread) {
  const std::string text(kMaxShardIndexBytes + 1, ' ');
  const auto index = parse(text);
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().code(), Code::kExhausted);
}

}  // namespace
}  // namespace weighbridge::formats
