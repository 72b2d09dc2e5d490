#include "pack/infer.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "formats/testing/tensor_table.h"

namespace weighbridge::pack {
namespace {

constexpr std::string_view kLlama =
    R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","transformers_version":"4.40.0"})";

model::File file(std::string path, std::uint64_t size) {
  model::File made;
  made.path = std::move(path);
  made.size = size;
  return made;
}

formats::SafetensorsTable table(model::Dtype dtype, std::uint64_t elements) {
  formats::SafetensorsTable made;
  made.tensors = formats::testing::make_table({{"w", dtype, {elements / 2, 2}, 0}});
  return made;
}

TEST(Infer, TellsAModelFromItsConfigAndItsHeaders) {
  const std::vector<model::File> files{
      file("config.json", 9), file("model.safetensors", 100), file("old.bin", 10)};
  const auto large = table(model::Dtype::kBf16, 8'030'000'000);
  const auto small = table(model::Dtype::kF32, 100'000'000);
  const std::vector<const formats::SafetensorsTable*> tables{&large, &small};
  const Description found = infer({files, kLlama, tables});
  EXPECT_EQ(found.architecture, "transformer");
  EXPECT_EQ(found.family, "llama");
  EXPECT_EQ(found.format, "safetensors");
  EXPECT_EQ(found.param_size, "8.1b");
  EXPECT_EQ(found.precision, "bfloat16,float32");
  EXPECT_EQ(found.quantization, "");
}

TEST(Infer, CountsNoParametersOfPackedWeights) {
  const auto packed = table(model::Dtype::kI32, 1'000'000);
  const std::vector<const formats::SafetensorsTable*> tables{&packed};
  const Description found =
      infer({{}, R"({"quantization_config":{"quant_method":"awq","bits":4}})", tables});
  EXPECT_EQ(found.quantization, "awq");
  EXPECT_EQ(found.param_size, "");
  EXPECT_EQ(found.precision, "int32");
}

TEST(Infer, TakesNothingFromAConfigThatIsBroken) {
  for (const std::string_view text : {"", "{", "[]", "7", R"({"model_type":7})"}) {
    const Description found = infer({{}, text, {}});
    EXPECT_EQ(found.family, "") << text;
    EXPECT_EQ(found.param_size, "") << text;
  }
}

TEST(Infer, SurvivesTensorsOfMoreElementsThanThereAre) {
  formats::SafetensorsTable huge;
  huge.tensors =
      formats::testing::make_table({{"w", model::Dtype::kU8, {1ULL << 40U, 1ULL << 40U}, 0}});
  const std::vector<const formats::SafetensorsTable*> tables{&huge};
  EXPECT_EQ(infer({{}, {}, tables}).param_size, "");
}

TEST(ParamSize, IsWrittenAsModelPackWantsIt) {
  EXPECT_EQ(param_size(22'713'216), "22.7m");
  EXPECT_EQ(param_size(8'030'261'248), "8.0b");
  EXPECT_EQ(param_size(1'000), "1.0k");
  EXPECT_EQ(param_size(1'500), "1.5k");
  EXPECT_EQ(param_size(100), "0.1k");
  EXPECT_EQ(param_size(999'949), "999.9k");
  EXPECT_EQ(param_size(999'950), "1.0m");
  EXPECT_EQ(param_size(405'900'000'000), "405.9b");
  EXPECT_EQ(param_size(1'000'000'000'000), "1.0t");
}

TEST(KindOfFile, FollowsFromTheName) {
  for (const auto& [path, kind] : {std::pair("model-00001-of-00002.safetensors", "weight"),
                                   std::pair("model.safetensors.index.json", "weight.config"),
                                   std::pair("tokenizer.model", "weight.config"),
                                   std::pair("chat_template.jinja", "weight.config"),
                                   std::pair("merges.txt", "weight.config"),
                                   std::pair("LICENSE", "doc"),
                                   std::pair("Llama/LICENSE.txt", "doc"),
                                   std::pair("README.md", "doc"),
                                   std::pair("weighbridge.seal", "doc"),
                                   std::pair("variables.data-00000-of-00001", "weight"),
                                   std::pair("modeling.py", "code"),
                                   std::pair("train.parquet", "dataset"),
                                   std::pair("figures/loss.PNG", "doc")}) {
    EXPECT_EQ(name_of(kind_of(path, 1, {}).kind), kind) << path;
    EXPECT_FALSE(kind_of(path, 1, {}).guessed) << path;
  }
}

TEST(KindOfFile, IsAGuessFromTheSizeWhereTheNameSaysNothing) {
  EXPECT_EQ(kind_of("blob", kGuessedWeightBytes, {}).kind, LayerKind::kWeight);
  EXPECT_EQ(kind_of("blob", kGuessedWeightBytes - 1, {}).kind, LayerKind::kCode);
  EXPECT_TRUE(kind_of("blob", 1, {}).guessed);
}

TEST(KindOfFile, IsWhatWasStated) {
  const KindRules rules{{"data/*", LayerKind::kDataset}, {"*.json", LayerKind::kDoc}};
  EXPECT_EQ(kind_of("data/a.json", 1, rules).kind, LayerKind::kDataset);
  EXPECT_EQ(kind_of("b.json", 1, rules).kind, LayerKind::kDoc);
}

}  // namespace
}  // namespace weighbridge::pack
