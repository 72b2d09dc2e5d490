#include "pack/description.h"

#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pack/yaml.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr std::string_view kWhole = R"(
name: example-7b
author: A. Author
created: 2026-11-22T12:30:00.5+08:00
licenses: [Apache-2.0]
datasetsURL:
  - https://example.com/set
capabilities:
  inputTypes: [text, image]
  languages: [en, zh]
  reasoning: true
framework: PyTorch
tags: [v1]
labels: {com.example.team: vision}
metrics: {eval: [{name: acc, value: "0.95"}]}
hyperParameters: [{name: lr, value: 3e-4}]
signature:
  inputs: [{name: ids, size: [-1, 512], dType: int64}]
  layers: {Conv: 2}
training: {git: {repository: "https://example.com/r", revision: abc}}
kinds: {"data/*": dataset}
)";

TEST(ModelFile, SaysWhatInferenceCannot) {
  const auto parsed = parse_model_file(kWhole);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  const Description& said = parsed.value();
  EXPECT_EQ(said.name, "example-7b");
  EXPECT_THAT(said.authors, ElementsAre("A. Author"));
  EXPECT_THAT(said.licenses, ElementsAre("Apache-2.0"));
  EXPECT_THAT(said.capabilities.input_types, ElementsAre("text", "image"));
  EXPECT_EQ(said.capabilities.reasoning, true);
  EXPECT_EQ(said.capabilities.reward, std::nullopt);
  EXPECT_THAT(said.labels, ElementsAre(Pair("com.example.team", "vision")));
  EXPECT_EQ(said.metrics.at("eval")[0].value, "0.95");
  EXPECT_EQ(said.hyper_parameters[0].value, "3e-4");
  EXPECT_THAT(said.signature.inputs[0].size, ElementsAre("-1", "512"));
  EXPECT_EQ(said.signature.layers.at("Conv"), 2U);
  EXPECT_EQ(said.training.revision, "abc");
  EXPECT_THAT(said.kinds, ElementsAre(Pair("data/*", LayerKind::kDataset)));
}

TEST(ModelFile, MayBeEmpty) {
  EXPECT_TRUE(parse_model_file("").ok());
  EXPECT_TRUE(parse_model_file("# nothing\n").ok());
}

TEST(ModelFile, RefusesWithItsLineWhatItDoesNotKnow) {
  for (const auto& [text, says] :
       {std::pair("name: a\nnmae: b", "line 2: 'nmae' is not known"),
        std::pair("name: a\nname: b", "line 2: 'name' stands twice"),
        std::pair("name: [a]", "line 1: a text is wanted here, not a list"),
        std::pair("name:", "line 1: a text is wanted here, not nothing"),
        std::pair("authors: a", "a list is wanted here, not a text"),
        std::pair("- a", "a map is wanted here, not a list"),
        std::pair("created: yesterday", "'yesterday' is not a time"),
        std::pair("created: 2026-11-22T12:30:00", "is not a time"),
        std::pair("created: 2026-11-22T12:30:00.Z", "is not a time"),
        std::pair("capabilities: {reasoning: 1}", "true or false"),
        std::pair("capabilities: {languages: [eng]}", "'eng' is not a language"),
        std::pair("capabilities: {inputTypes: [smell]}", "'smell' is not text"),
        std::pair("labels: {dev.weighbridge.gpu: x}", "no label of your own"),
        std::pair("labels: {org.cncf.model.filepath: x}", "no label of your own"),
        std::pair("kinds: {a: weights}", "weight, weight.config"),
        std::pair("signature: {layers: {Conv: two}}", "a number is wanted"),
        std::pair("signature: {inputs: [{size: [x]}]}", "'x' is not a number"),
        std::pair("metrics: {eval: [{names: x}]}", "'names' is not known"),
        std::pair("training: {repository: x}", "'repository' is not known"),
        std::pair("name: &a b", "anchors are not read"),
        std::pair("name: *a", "line 1:"),
        std::pair("name: !!str b", "tags are not read"),
        std::pair("[a]: b", "line 1: a key is no text"),
        std::pair("name: a\n---\nname: b", "more than one document"),
        std::pair("name: 'a", "line 1:"),
        std::pair("name: \x01", "control characters"),
        std::pair("name: \xff", "not UTF-8")}) {
    const auto parsed = parse_model_file(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code(), Code::kInvalid) << text;
    EXPECT_THAT(parsed.error().message(), HasSubstr(says)) << text;
    EXPECT_EQ(parsed.error().file(), "weighbridge.yaml");
  }
}

TEST(ModelFile, IsBounded) {
  EXPECT_EQ(parse_model_file(std::string(kMaxModelFileBytes + 1, ' ')).error().code(),
            Code::kExhausted);
  const std::string deep = fmt::format("a: {}", std::string(2000, '['));
  EXPECT_FALSE(parse_model_file(deep).ok());
  const std::string nested = fmt::format("a: {}{}", std::string(100, '['), std::string(100, ']'));
  EXPECT_EQ(parse_model_file(nested).error().code(), Code::kExhausted);
}

TEST(ModelFile, IsWrittenSoThatReadingItSaysTheSame) {
  Description found;
  found.name = "a \"quoted\"\nname";
  found.licenses = {"MIT"};
  found.precision = "bfloat16";
  const std::string text = write_model_file(found);
  const auto parsed = parse_model_file(text);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(parsed.value().name, found.name);
  EXPECT_EQ(parsed.value().licenses, found.licenses);
  EXPECT_EQ(parsed.value().precision, "bfloat16");
  EXPECT_EQ(write_model_file(parsed.value()), text);
}

TEST(ModelFile, WinsOverWhatWasFound) {
  Description stated;
  stated.format = "gguf";
  Description found;
  found.format = "safetensors";
  found.family = "llama";
  const Description merged = merge(stated, found);
  EXPECT_EQ(merged.format, "gguf");
  EXPECT_EQ(merged.family, "llama");
}

}  // namespace
}  // namespace weighbridge::pack
