#include "base/json_writer.h"

#include <limits>

#include <gtest/gtest.h>

#include "base/json.h"

namespace weighbridge::base {
namespace {

TEST(JsonWriter, PutsCommasBetweenValuesAndNowhereElse) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.key("a");
  json.begin_array();
  json.number(1);
  json.number(std::numeric_limits<std::uint64_t>::max());
  json.begin_object();
  json.end_object();
  json.end_array();
  json.key("b");
  json.decimal(0.25);
  json.key("c");
  json.null();
  json.key("d");
  json.boolean(true);
  json.end_object();
  EXPECT_EQ(out, R"({"a": [1, 18446744073709551615, {}], "b": 0.250000, "c": null, "d": true})");
  EXPECT_TRUE(JsonDocument::parse(out).ok());
}

TEST(JsonWriter, EscapesWhatAJsonStringMayNotHold) {
  const std::string text("\"quoted\" back\\slash\nline \x01 \x7F \0 \xC3\xA9", 33);
  std::string out;
  JsonWriter(out).text(text);
  const auto parsed = JsonDocument::parse(out);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->root().as_string().value(), text);
}

TEST(JsonWriter, TurnsBytesThatAreNotUtf8IntoTheReplacementCharacter) {
  std::string out;
  JsonWriter(out).text("a\xFF\xC3\xA9\xC3z");
  EXPECT_EQ(out, "\"a\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBDz\"");
}

TEST(JsonWriter, WritesNullForANumberThatIsNotFinite) {
  std::string out;
  JsonWriter(out).decimal(std::numeric_limits<double>::infinity());
  EXPECT_EQ(out, "null");
}

TEST(JsonWriter, PassesOnWhatWasReadAsItWas) {
  const auto document = JsonDocument::parse(R"({"a": [1, -2.5, "x\ny", {"b": null}]})");
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  json.json(document->root().text());
  json.number(7);
  json.end_array();
  EXPECT_EQ(out, R"([{"a":[1,-2.5,"x\ny",{"b":null}]}, 7])");
}

}  // namespace
}  // namespace weighbridge::base
