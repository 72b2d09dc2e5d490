#include "pack/artifact.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pack/media_types.h"
#include "pack/plan.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::kGiB;
using base::kMiB;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ArtifactFile file(std::string path, std::string_view content) {
  return {std::move(path), content.size(), false, {registry::Digest::of(content)}};
}

std::vector<ArtifactFile> model() {
  std::vector<ArtifactFile> files{file("model.safetensors", "weights"),
                                  file("LICENSE", "Apache"),
                                  file("config.json", "{}"),
                                  file("run.sh", "#!")};
  files[3].executable = true;
  return files;
}

Description described() {
  Description description;
  description.name = "example";
  description.format = "safetensors";
  description.framework = "PyTorch";
  description.metrics["eval"] = {{"acc", "0.95"}};
  description.hyper_parameters = {{"lr", "3e-4"}};
  description.labels["com.example.team"] = "vision";
  return description;
}

TEST(BuildArtifact, WritesTheManifestOfTheFormat) {
  const auto files = model();
  const Description description = described();
  const auto seal = registry::describe("", "seal");
  const auto built = build_artifact({files, seal, description, {}});
  ASSERT_TRUE(built.ok()) << built.error().message();
  const auto& manifest = built.value().manifest;
  EXPECT_EQ(manifest.artifact_type, "application/vnd.cncf.model.manifest.v1+json");
  EXPECT_EQ(manifest.config.media_type, "application/vnd.cncf.model.config.v1+json");
  std::vector<std::string> layers;
  for (const auto& layer : manifest.layers) {
    EXPECT_EQ(layer.annotations.find(kTitle)->second, layer.annotations.find(kFilepath)->second);
    layers.push_back(layer.annotations.find(kTitle)->second + " " + layer.media_type);
  }
  EXPECT_THAT(layers,
              ElementsAre("LICENSE application/vnd.cncf.model.doc.v1.raw",
                          "config.json application/vnd.cncf.model.weight.config.v1.raw",
                          "model.safetensors application/vnd.cncf.model.weight.v1.raw",
                          "run.sh application/vnd.cncf.model.code.v1.raw",
                          "weighbridge.seal application/vnd.cncf.model.doc.v1.raw"));
  EXPECT_EQ(manifest.layers[3].annotations.find(kFileMetadata)->second,
            R"({"name": "run.sh", "mode": 493, "uid": 0, "gid": 0, "size": 2, )"
            R"("mtime": "1970-01-01T00:00:00Z", "typeflag": 0})");
  EXPECT_EQ(manifest.annotations.find("dev.weighbridge.metrics+json")->second,
            R"({"eval": [{"name": "acc", "value": "0.95"}]})");
  EXPECT_EQ(manifest.annotations.find("dev.weighbridge.framework")->second, "PyTorch");
  EXPECT_EQ(manifest.annotations.find("com.example.team")->second, "vision");
}

TEST(BuildArtifact, WritesAConfigWithTheDigestsOfItsLayers) {
  const std::vector<ArtifactFile> files{file("a.gguf", "x")};
  const Description description = described();
  const auto built = build_artifact({files, {}, description, {}});
  EXPECT_EQ(built.value().config_text,
            fmt::format(R"({{"descriptor": {{"name": "example"}}, )"
                        R"("config": {{"format": "safetensors"}}, )"
                        R"("modelfs": {{"type": "layers", "diffIds": ["{}"]}}}})",
                        registry::Digest::of("x").text()));
}

TEST(BuildArtifact, DoesNotDependOnTheOrderOfTheFiles) {
  auto files = model();
  const Description description = described();
  const auto digest = build_artifact({files, {}, description, {}}).value().digest();
  std::reverse(files.begin(), files.end());
  EXPECT_EQ(build_artifact({files, {}, description, {}}).value().digest(), digest);
}

// A change of this digest is a change of the format: old artifacts are not found again.
TEST(BuildArtifact, GivesTheSameDigestForEver) {
  const auto files = model();
  const Description description = described();
  EXPECT_EQ(build_artifact({files, {}, description, {}}).value().digest().text(),
            "sha256:d9982ed8f55545e2bd7692d9e51cda1ed50da87ec992406ee003f5935d170c9a");
}

TEST(BuildArtifact, IsReadBackAsThePlanOfItsFiles) {
  const auto files = model();
  const Description description = described();
  const auto built =
      build_artifact({files, registry::describe("", "seal"), description, {}}).value();
  const auto manifest = registry::parse_manifest(built.manifest_text);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message();
  const auto plan = plan_artifact(manifest.value());
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  ASSERT_EQ(plan.value().files.size(), 4U);
  EXPECT_EQ(plan.value().files[2].path, "model.safetensors");
  EXPECT_TRUE(plan.value().files[3].executable);
  EXPECT_EQ(plan.value().seal, 4U);
}

TEST(BuildArtifact, SplitsAFileAboveTheLimitAndThePlanJoinsIt) {
  ArtifactFile large{"model.safetensors", 5 * kMiB, false, {}};
  for (const char* part : {"1", "2", "3"}) {
    large.layers.push_back(registry::Digest::of(part));
  }
  const std::vector<ArtifactFile> files{large, file("n", "x")};
  const Description description;
  const auto built = build_artifact({files, {}, description, 2 * kMiB + 5});
  ASSERT_TRUE(built.ok()) << built.error().message();
  const auto& layers = built.value().manifest.layers;
  ASSERT_EQ(layers.size(), 4U);
  EXPECT_EQ(layers[1].annotations.find(kTitle)->second, "model.safetensors.part-00002-of-00003");
  EXPECT_EQ(layers[1].annotations.find(kPartOffset)->second, "2097152");
  EXPECT_EQ(layers[2].size, kMiB);
  const auto plan = plan_artifact(built.value().manifest);
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_THAT(plan.value().files[0].layers, ElementsAre(0U, 1U, 2U));
  EXPECT_EQ(plan.value().files[0].size, 5 * kMiB);
}

TEST(BuildArtifact, RefusesWhatCannotBeAModel) {
  const Description description;
  const auto refused = [&](const std::vector<ArtifactFile>& files) {
    return build_artifact({files, {}, description, {}});
  };
  EXPECT_EQ(refused({}).error().code(), Code::kInvalid);
  EXPECT_THAT(refused({file("a", ""), file("A", "")}).error().message(), HasSubstr("'A' and 'a'"));
  EXPECT_EQ(refused({file("../a", "")}).error().code(), Code::kInvalid);
  EXPECT_EQ(refused({file(".git/config", "")}).error().code(), Code::kInvalid);
  EXPECT_EQ(refused({file("weighbridge.seal", "")}).error().code(), Code::kInvalid);
}

TEST(BuildArtifact, RefusesAManifestThatNoRegistryTakes) {
  std::vector<ArtifactFile> files;
  for (int i = 0; i < 20'000; ++i) {
    files.push_back(file(fmt::format("f{}", i), ""));
  }
  const Description description;
  const auto built = build_artifact({files, {}, description, {}});
  ASSERT_FALSE(built.ok());
  EXPECT_EQ(built.error().code(), Code::kExhausted);
  EXPECT_THAT(built.error().message(), HasSubstr("20000 layers"));
}

TEST(LayerRanges, AreWholePiecesAndTheRest) {
  EXPECT_THAT(layer_ranges(0, {}).value(), ElementsAre(base::Range{0, 0}));
  EXPECT_THAT(layer_ranges(5 * kMiB, 5 * kMiB).value(), ElementsAre(base::Range{0, 5 * kMiB}));
  EXPECT_EQ(layer_ranges(80 * kGiB, 10'000'000'000).value().size(), 9U);
  EXPECT_EQ(layer_ranges(80 * kGiB, 10'000'000'000).value()[1].begin % kPartUnitBytes, 0U);
  EXPECT_EQ(layer_ranges(kMiB + 1, kMiB - 1).error().code(), Code::kUnsupported);
  EXPECT_EQ(layer_ranges(200 * 1024 * kGiB, kMiB).error().code(), Code::kUnsupported);
}

}  // namespace
}  // namespace weighbridge::pack
