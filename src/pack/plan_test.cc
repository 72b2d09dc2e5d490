#include "pack/plan.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pack/media_types.h"
#include "pack/testing/archives.h"
#include "pack/testing/artifacts.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using registry::Annotations;
using ::testing::ElementsAre;
using testing::gzip;
using ::testing::HasSubstr;
using testing::made_artifact;
using testing::MadeArtifact;
using ::testing::Pair;
using testing::read_all;
using testing::tar_of;
using testing::zstd;

Annotations at(std::string_view path) {
  return {{std::string(kFilepath), std::string(path)}};
}

Annotations titled(std::string_view title) {
  return {{std::string(kTitle), std::string(title)}};
}

Annotations part(std::string_view path, std::string_view offset, std::string_view size) {
  return {{std::string(kFilepath), std::string(path) + ".part"},
          {std::string(kPartFile), std::string(path)},
          {std::string(kPartOffset), std::string(offset)},
          {std::string(kPartSize), std::string(size)}};
}

MadeArtifact model_pack() {
  return made_artifact(kModelConfigType, kModelManifestType);
}

base::Result<ArtifactPlan> plan(const MadeArtifact& artifact) {
  return plan_artifact(artifact.manifest);
}

// What read_all() gives, or the error as text, so that a failure is readable.
testing::Files files_of(const MadeArtifact& artifact) {
  auto files = read_all(artifact);
  if (!files.ok()) {
    return {{"error", files.error().message()}};
  }
  return std::move(files).value();
}

TEST(PlanArtifact, ReadsModelPackInEveryEncodingAndBothSpellings) {
  for (const std::string& prefix :
       {std::string(kModelTypePrefix), std::string(kOldModelTypePrefix)}) {
    MadeArtifact artifact = made_artifact(prefix + "config.v1+json", prefix + "manifest.v1+json");
    const std::string old = prefix == kModelTypePrefix ? "cncf" : "cnai";
    artifact.add(prefix + "weight.v1.raw", "raw", {{"org." + old + ".model.filepath", "a/raw"}});
    artifact.add(prefix + "weight.v1.tar", tar_of({{.path = "tar", .body = "1"}}), at("tar"));
    artifact.add(prefix + "doc.v1.tar+gzip", gzip(tar_of({{.path = "gzip", .body = "2"}})));
    artifact.add(prefix + "code.v1.tar+zstd", zstd(tar_of({{.path = "zstd", .body = "3"}})));
    EXPECT_THAT(
        files_of(artifact),
        ElementsAre(Pair("a/raw", "raw"), Pair("gzip", "2"), Pair("tar", "1"), Pair("zstd", "3")));
    EXPECT_EQ(plan(artifact).value().layout, Layout::kModelPack);
  }
}

TEST(PlanArtifact, FindsTheSealBesideTheFiles) {
  MadeArtifact artifact = model_pack();
  artifact.add("application/vnd.cncf.model.weight.v1.raw", "w", at("model.safetensors"));
  artifact.add("application/vnd.cncf.model.doc.v1.raw", "s", at("weighbridge.seal"));
  const auto planned = plan(artifact).value();
  EXPECT_EQ(planned.seal, 1U);
  ASSERT_EQ(planned.files.size(), 1U);
  EXPECT_EQ(planned.files[0].path, "model.safetensors");
}

TEST(PlanArtifact, TellsFromTheMetadataWhetherAFileIsExecutable) {
  MadeArtifact artifact = model_pack();
  Annotations annotations = at("run.sh");
  annotations[std::string(kFileMetadata)] =
      R"({"name":"run.sh","mode":493,"uid":0,"gid":0,"size":2,"mtime":"x","typeflag":0})";
  artifact.add("application/vnd.cncf.model.code.v1.raw", "#!", annotations);
  EXPECT_TRUE(plan(artifact).value().files[0].executable);
}

TEST(PlanArtifact, JoinsTheLayersOfASplitFile) {
  MadeArtifact artifact = model_pack();
  const std::string type = "application/vnd.cncf.model.weight.v1.raw";
  artifact.add(type, "abc", part("m", "0", "5"));
  artifact.add(type, "de", part("m", "3", "5"));
  artifact.add(type, "x", at("n"));
  EXPECT_THAT(files_of(artifact), ElementsAre(Pair("m", "abcde"), Pair("n", "x")));
  const auto snapshot =
      snapshot_of(plan(artifact).value(), artifact.manifest, "r", model::Trust::kOrigin);
  EXPECT_EQ(snapshot.files[0].trust, model::Trust::kNone);
  EXPECT_EQ(snapshot.files[0].size, 5U);
  EXPECT_EQ(snapshot.files[1].sha256, artifact.manifest.layers[2].digest.sha256());
  EXPECT_TRUE(snapshot.listed);
}

TEST(PlanArtifact, ReadsWhatOrmbWrote) {
  MadeArtifact artifact = made_artifact("application/vnd.caicloud.model.config.v1alpha1+json");
  artifact.add("application/tar+gzip",
               gzip(tar_of({{.path = "model/saved_model.pb", .body = "pb"}})));
  EXPECT_THAT(files_of(artifact), ElementsAre(Pair("model/saved_model.pb", "pb")));
}

TEST(PlanArtifact, ReadsModelKits) {
  MadeArtifact artifact = made_artifact("application/vnd.kitops.modelkit.config.v1+json");
  artifact.add("application/vnd.kitops.modelkit.model.v1.tar",
               tar_of({{.path = "model", .type = '5'}, {.path = "model/w", .body = "w"}}));
  artifact.add("application/vnd.kitops.modelkit.docs.v1.tar+gzip",
               gzip(tar_of({{.path = "README.md", .body = "r"}})));
  EXPECT_THAT(files_of(artifact), ElementsAre(Pair("README.md", "r"), Pair("model/w", "w")));
}

TEST(PlanArtifact, ReadsDockersModelsWithAndWithoutPaths) {
  MadeArtifact artifact = made_artifact("application/vnd.docker.ai.model.config.v0.1+json");
  artifact.add("application/vnd.docker.ai.gguf.v3", "g1");
  artifact.add("application/vnd.docker.ai.gguf.v3", "g2");
  artifact.add("application/vnd.docker.ai.mmproj", "m");
  artifact.add("application/vnd.docker.ai.license", "l");
  artifact.add("application/vnd.docker.ai.chat.template.jinja", "t");
  artifact.add("application/vnd.docker.ai.vllm.config.tar",
               tar_of({{.path = "config.json", .body = "{}"}}));
  artifact.add("application/vnd.docker.ai.model.file", "s", at("text_encoder/model.safetensors"));
  EXPECT_THAT(files_of(artifact),
              ElementsAre(Pair("LICENSE", "l"),
                          Pair("config.json", "{}"),
                          Pair("model-00001-of-00002.gguf", "g1"),
                          Pair("model-00002-of-00002.gguf", "g2"),
                          Pair("model.mmproj", "m"),
                          Pair("template.jinja", "t"),
                          Pair("text_encoder/model.safetensors", "s")));
}

TEST(PlanArtifact, ReadsOllamasLayout) {
  MadeArtifact artifact = made_artifact("application/vnd.docker.container.image.v1+json");
  const std::string type = "application/vnd.ollama.image.";
  artifact.add(type + "model", "g");
  artifact.add(type + "template", "t");
  artifact.add(type + "params", "{}");
  artifact.add(type + "license", "a");
  artifact.add(type + "license", "b");
  EXPECT_THAT(files_of(artifact),
              ElementsAre(Pair("license", "a"),
                          Pair("license-2", "b"),
                          Pair("model.gguf", "g"),
                          Pair("params.json", "{}"),
                          Pair("template", "t")));
}

TEST(PlanArtifact, ReadsPlainFilesAndDirectoriesOfOras) {
  MadeArtifact artifact =
      made_artifact(registry::kEmptyType, "application/vnd.unknown.artifact.v1");
  artifact.add("application/vnd.oci.image.layer.v1.tar", "x", titled("a.txt"));
  Annotations directory = titled("dir");
  directory["io.deis.oras.content.unpack"] = "true";
  artifact.add("application/vnd.oci.image.layer.v1.tar+gzip",
               gzip(tar_of({{.path = "dir/", .type = '5'}, {.path = "dir/b", .body = "y"}})),
               directory);
  artifact.add(registry::kEmptyType, "{}");
  EXPECT_THAT(files_of(artifact), ElementsAre(Pair("a.txt", "x"), Pair("dir/b", "y")));
  EXPECT_EQ(plan(artifact).value().layout, Layout::kFiles);
}

TEST(PlanArtifact, LeavesOutWhatNoSealMayList) {
  MadeArtifact artifact = model_pack();
  artifact.add("application/vnd.cncf.model.weight.v1.raw", "w", at("model.safetensors"));
  artifact.add("application/vnd.cncf.model.doc.v1.raw", "c", at(".cache/huggingface/x"));
  const auto planned = plan(artifact).value();
  EXPECT_EQ(planned.files.size(), 1U);
  EXPECT_THAT(planned.left_out, ElementsAre(".cache/huggingface/x"));
}

}  // namespace
}  // namespace weighbridge::pack
