#include "pack/unpacked_source.h"

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/seal.h"
#include "hash/sha256.h"
#include "pack/media_types.h"
#include "pack/testing/archives.h"
#include "pack/testing/artifacts.h"
#include "registry/testing/client_fixture.h"
#include "sources/testing/fake_source.h"
#include "testing/manual_clock.h"
#include "testing/memory_sink.h"
#include "testing/scratch_directory.h"
#include "transfer/resolve.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Result;
using model::Trust;
using registry::testing::Pair;
using ::testing::ElementsAre;
using testing::gzip;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::made_artifact;
using testing::MadeArtifact;
using testing::noise;
using testing::tar_of;
using testing::zstd;
using weighbridge::testing::answer_with;
using weighbridge::testing::Fault;
using weighbridge::testing::ManualClock;
using weighbridge::testing::MemorySink;
using weighbridge::testing::ScratchDirectory;

const std::string kRepository = "org/model";
const std::string kPrefix = "application/vnd.cncf.model.";

registry::Annotations at(const std::string& path) {
  return {{std::string(kFilepath), path}};
}

MadeArtifact model_pack() {
  return made_artifact(kModelConfigType, kModelManifestType);
}

class UnpackArchives : public ::testing::Test {
 protected:
  void publish(const MadeArtifact& artifact) {
    for (const auto& [digest, bytes] : artifact.blobs) {
      pair_.fake().put_blob(kRepository, bytes);
    }
    pair_.fake().put_manifest(kRepository,
                              "v1",
                              std::string(registry::kManifestType),
                              registry::write_manifest(artifact.manifest));
  }

  model::Ref ref() const {
    return model::Ref::parse("oci://" + host_ + "/" + kRepository + ":v1").value();
  }

  Result<std::unique_ptr<sources::Source>> open() {
    return unpack_archives(
        call_, TRY(open_oci_source(pair_.client(), ref())), {*files_, place_ / "un"}, progress_);
  }

  // Every file with its bytes, as a resolved Ref gives them.
  std::map<std::string, std::string> read_all(sources::Source& source) {
    const auto snapshot = transfer::resolve(call_, source, ref());
    EXPECT_TRUE(snapshot.ok()) << snapshot.error().message();
    std::map<std::string, std::string> all;
    for (const model::File& file : snapshot->files) {
      MemorySink sink(file.size, 1000);
      EXPECT_TRUE(source.read(call_, file, {0, file.size}, sink).ok());
      all[file.path] = sink.bytes();
      EXPECT_EQ(file.trust, Trust::kOrigin);
      EXPECT_EQ(file.sha256, hash::Sha256::of(std::as_bytes(std::span(sink.bytes()))));
    }
    return all;
  }

  std::size_t left_behind() const {
    const auto entries = files_->list(place_ / "un");
    return entries.ok() ? entries->size() : 0;
  }

  Pair pair_;
  const std::string host_ = pair_.fake().host();
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const ScratchDirectory place_;
  ManualClock clock_{ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  transfer::Progress progress_;
};

TEST_F(UnpackArchives, GivesRawFilesAndThoseOfEveryKindOfArchiveAsOneSource) {
  const std::string weights = noise(300'000);
  MadeArtifact artifact = model_pack();
  artifact.add(kPrefix + "weight.v1.raw", weights, at("model.safetensors"));
  artifact.add(kPrefix + "weight.v1.tar", tar_of({{.path = "a/w2", .body = weights}}));
  artifact.add(kPrefix + "doc.v1.tar+gzip", gzip(tar_of({{.path = "README.md", .body = "hi"}})));
  artifact.add(kPrefix + "code.v1.tar+zstd",
               zstd(tar_of({{.path = "run.sh", .body = "#!", .mode = 0755}})));
  publish(artifact);
  auto source = open();
  ASSERT_TRUE(source.ok()) << source.error().message();
  EXPECT_THAT(read_all(**source),
              ElementsAre(std::pair("README.md", "hi"),
                          std::pair("a/w2", weights),
                          std::pair("model.safetensors", weights),
                          std::pair("run.sh", "#!")));
  EXPECT_TRUE((*source)->find(call_, "run.sh")->executable);
  EXPECT_EQ(progress_.wanted_bytes, progress_.proved_bytes);
  *source = nullptr;
  EXPECT_EQ(left_behind(), 0U);
}

TEST_F(UnpackArchives, HandsBackWhatHasNoArchives) {
  MadeArtifact artifact = model_pack();
  artifact.add(kPrefix + "weight.v1.raw", "raw", at("w"));
  publish(artifact);
  auto source = open();
  ASSERT_TRUE(source.ok());
  EXPECT_THAT(read_all(**source), ElementsAre(std::pair("w", "raw")));
  EXPECT_EQ(left_behind(), 0U);
}

TEST_F(UnpackArchives, ListsNothingOfAnArchiveThatIsNotWhatItsDigestSays) {
  MadeArtifact artifact = model_pack();
  const std::string right = tar_of({{.path = "w", .body = "right"}});
  std::string wrong = tar_of({{.path = "w", .body = "wrong"}});
  const auto layer = artifact.add(kPrefix + "weight.v1.tar", right);
  publish(artifact);
  pair_.fake().corrupt_blob(kRepository, layer.digest, std::move(wrong));
  const auto refused = open();
  EXPECT_EQ(refused.error().code(), Code::kCorrupt);
  EXPECT_THAT(refused.error().message(), HasSubstr(layer.digest.text()));
  EXPECT_EQ(left_behind(), 0U);
}

TEST_F(UnpackArchives, FetchesAnArchiveAgainThatBrokeOff) {
  const std::string body = noise(3'000'000);
  MadeArtifact artifact = model_pack();
  const auto layer = artifact.add(kPrefix + "weight.v1.tar", tar_of({{.path = "w", .body = body}}));
  publish(artifact);
  auto opened = open_oci_source(pair_.client(), ref()).value();
  ASSERT_TRUE(opened->artifact(call_).ok());
  Fault broken;
  broken.object = weighbridge::testing::make_object(artifact.blobs[layer.digest.text()]);
  broken.cut_after = 1'000'000;
  pair_.fake().answer_next("GET", broken);
  auto source = unpack_archives(call_, std::move(opened), {*files_, place_ / "un"}, progress_);
  ASSERT_TRUE(source.ok()) << source.error().message();
  EXPECT_THAT(read_all(**source), ElementsAre(std::pair("w", body)));
  EXPECT_THAT(progress_.notes.take(), ElementsAre(HasSubstr(layer.digest.text())));
}

TEST_F(UnpackArchives, RefusesTwoArchivesWithOneFile) {
  MadeArtifact artifact = model_pack();
  artifact.add(kPrefix + "weight.v1.tar", tar_of({{.path = "w", .body = "1"}}));
  artifact.add(kPrefix + "code.v1.tar", tar_of({{.path = "W", .body = "2"}}));
  publish(artifact);
  EXPECT_EQ(open().error().code(), Code::kInvalid);
  EXPECT_EQ(left_behind(), 0U);
}

TEST_F(UnpackArchives, HoldsASealOfTheUnpackedFilesToThem) {
  const auto sealed = [](const std::string& path, const std::string& text) {
    const auto bytes = std::as_bytes(std::span(text));
    const model::File file = sources::testing::sealed_file(
        path, sources::testing::Bytes(bytes.begin(), bytes.end()), Trust::kOrigin);
    return formats::SealedFile{path, file.size, false, *file.sha256, *file.root, file.pieces, {}};
  };
  for (const bool right : {true, false}) {
    MadeArtifact artifact = model_pack();
    artifact.add(kPrefix + "weight.v1.tar", tar_of({{.path = "w", .body = "body"}}));
    const auto bytes = formats::write_seal({{sealed("w", right ? "body" : "BODY")}}).value();
    std::string text(bytes.size(), '\0');
    std::memcpy(text.data(), bytes.data(), bytes.size());
    artifact.add(kPrefix + "doc.v1.raw", std::move(text), at("weighbridge.seal"));
    publish(artifact);
    const auto source = open();
    ASSERT_TRUE(source.ok()) << source.error().message();
    const auto snapshot = transfer::resolve(call_, **source, ref());
    EXPECT_EQ(snapshot.ok(), right);
    if (!right) {
      EXPECT_EQ(snapshot.error().code(), Code::kCorrupt);
    }
  }
}

TEST_F(UnpackArchives, RemovesWhatAKilledProcessLeftAndNotWhatALivingOneUses) {
  ASSERT_TRUE(files_->make_directory(place_ / "un").ok());
  ASSERT_TRUE(files_->make_directory(place_ / "un/dead").ok());
  ASSERT_TRUE(files_->create(place_ / "un/dead/lock").ok());
  ASSERT_TRUE(files_->create(place_ / "un/dead/0").ok());
  MadeArtifact artifact = model_pack();
  artifact.add(kPrefix + "weight.v1.tar", tar_of({{.path = "w", .body = "1"}}));
  publish(artifact);
  auto first = open();
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(left_behind(), 1U);
  auto second = open();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(left_behind(), 2U);
  EXPECT_THAT(read_all(**first), ElementsAre(std::pair("w", "1")));
}

}  // namespace
}  // namespace weighbridge::pack
