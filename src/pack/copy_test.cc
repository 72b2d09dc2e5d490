#include "pack/copy.h"

#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pack/attach.h"
#include "pack/media_types.h"
#include "pack/testing/archives.h"
#include "pack/testing/artifacts.h"
#include "registry/testing/client_fixture.h"
#include "testing/manual_clock.h"
#include "testing/scratch_directory.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using registry::Digest;
using registry::Reference;
using registry::testing::FakeRules;
using registry::testing::Pair;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::made_artifact;
using testing::MadeArtifact;
using testing::noise;
using weighbridge::testing::Fault;
using weighbridge::testing::ManualClock;
using weighbridge::testing::ScratchDirectory;

const std::string kRepository = "org/model";
const std::string kRaw = "application/vnd.cncf.model.weight.v1.raw";

// Larger than what stands in memory of it at once.
MadeArtifact model() {
  MadeArtifact artifact = made_artifact(kModelConfigType, kModelManifestType);
  artifact.add(kRaw, noise(kCopyPartBytes + 1000), {{std::string(kFilepath), "w"}});
  artifact.add(kRaw, "", {{std::string(kFilepath), "empty"}});
  artifact.add(kRaw, noise(100, 2), {{std::string(kFilepath), "small"}});
  return artifact;
}

class CopyTest : public ::testing::Test {
 protected:
  std::string publish(Pair& pair, const MadeArtifact& artifact, const std::string& tag) {
    for (const auto& [digest, bytes] : artifact.blobs) {
      pair.fake().put_blob(kRepository, bytes);
    }
    pair.fake().put_blob(kRepository, "{}");
    const std::string text = registry::write_manifest(artifact.manifest);
    pair.fake().put_manifest(kRepository, tag, std::string(registry::kManifestType), text);
    return Digest::of(text).text();
  }

  static Reference at(Pair& pair, const std::string& rest) {
    return Reference::parse(pair.fake().host() + "/" + rest).value();
  }

  base::Result<Copied> copy(const std::string& from, Pair& to, const std::string& rest) {
    const auto source = copy_from_registry(here_.client(), at(here_, from));
    return copy_to_registry(call_, *source, to.client(), at(to, rest), progress_);
  }

  ManualClock clock_{ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  Pair here_;
  Pair there_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const ScratchDirectory scratch_;
  transfer::Progress progress_;
};

TEST_F(CopyTest, BringsAnArtifactToAnotherRegistryAndSendsNothingTwice) {
  const std::string digest = publish(here_, model(), "v1");
  const auto first = copy("org/model:v1", there_, "far/away:v9");
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(first->digest.text(), digest);
  EXPECT_EQ(first->blobs, 4U);
  EXPECT_EQ(first->sent_bytes, first->bytes);
  for (const auto& [name, bytes] : model().blobs) {
    EXPECT_EQ(there_.fake().blob("far/away", Digest::parse(name).value()), bytes);
  }
  const auto found = there_.client().head_manifest(call_, "far/away", "v9");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->digest.text(), digest);
  EXPECT_EQ(copy("org/model:v1", there_, "far/away:v9")->sent_bytes, 0U);
}

TEST_F(CopyTest, MountsWithinARegistry) {
  publish(here_, model(), "v1");
  const auto copied = copy("org/model:v1", here_, "other/place:v1");
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_EQ(copied->sent_bytes, 0U);
}

TEST_F(CopyTest, GoesThroughALayoutAndBack) {
  const std::string digest = publish(here_, model(), "v1");
  const auto source = copy_from_registry(here_.client(), at(here_, "org/model:v1"));
  auto layout = ImageLayout::open_or_create(*files_, scratch_ / "layout").value();
  const auto out = copy_to_layout(call_, *source, layout, "v2", progress_);
  ASSERT_TRUE(out.ok()) << out.error().message();
  EXPECT_EQ(out->digest.text(), digest);
  EXPECT_EQ(copy_to_layout(call_, *source, layout, "v3", progress_)->sent_bytes, 0U);
  const auto from = copy_from_layout(*files_, scratch_ / "layout", "v2");
  ASSERT_TRUE(from.ok()) << from.error().message();
  const auto back =
      copy_to_registry(call_, **from, there_.client(), at(there_, "from/layout:v1"), progress_);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->digest.text(), digest);
  EXPECT_EQ(copy_from_layout(*files_, scratch_ / "layout", "none").error().code(), Code::kNotFound);
}

TEST_F(CopyTest, CopiesAnIndexWithAllItLists) {
  const std::string digest = publish(here_, model(), "v1");
  MadeArtifact other = made_artifact(kModelConfigType, kModelManifestType);
  other.add(kRaw, "other", {{std::string(kFilepath), "o"}});
  publish(here_, other, "v2");
  registry::Index index;
  for (const MadeArtifact& artifact : {model(), other}) {
    index.manifests.push_back(
        registry::describe(registry::kManifestType, registry::write_manifest(artifact.manifest)));
  }
  here_.fake().put_manifest(
      kRepository, "all", std::string(registry::kIndexType), registry::write_index(index));
  const auto copied = copy("org/model:all", there_, "org/model:all");
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_TRUE(there_.client()
                  .head_manifest(call_, kRepository, Digest::parse(digest).value())
                  ->has_value());
}

TEST_F(CopyTest, GivesNobodyBytesThatAreNotTheirDigest) {
  const MadeArtifact artifact = model();
  publish(here_, artifact, "v1");
  const registry::Descriptor& weights = artifact.manifest.layers[0];
  here_.fake().corrupt_blob(kRepository, weights.digest, noise(weights.size, 9));
  EXPECT_FALSE(copy("org/model:v1", there_, "org/model:v1").ok());
  EXPECT_FALSE(there_.client().head_manifest(call_, kRepository, "v1")->has_value());
  const auto source = copy_from_registry(here_.client(), at(here_, "org/model:v1"));
  auto layout = ImageLayout::open_or_create(*files_, scratch_ / "layout").value();
  EXPECT_EQ(copy_to_layout(call_, *source, layout, "v1", progress_).error().code(), Code::kCorrupt);
  EXPECT_EQ(layout.index().manifests.size(), 0U);
}

TEST_F(CopyTest, AsksAgainForAPartThatBrokeOff) {
  publish(here_, model(), "v1");
  const auto source = copy_from_registry(here_.client(), at(here_, "org/model:v1"));
  here_.fake().answer_next("GET", weighbridge::testing::answer_with(503));
  const auto copied =
      copy_to_registry(call_, *source, there_.client(), at(there_, "org/model:v1"), progress_);
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_EQ(progress_.notes.take().size(), 1U);
}

TEST_F(CopyTest, AttachesAFileWhereTheRegistryListsAttachmentsAndWhereItDoesNot) {
  const std::string path = scratch_ / "eval.json";
  const std::string text = "{\"acc\": 1}";
  ASSERT_TRUE(io::write_file_atomically(*files_, path, std::as_bytes(std::span(text))).ok());
  for (const bool lists : {true, false}) {
    FakeRules rules;
    rules.referrers = lists;
    Pair pair(rules);
    const std::string subject = publish(pair, model(), "v1");
    const auto attached = attach(call_,
                                 *files_,
                                 pair.client(),
                                 at(pair, "org/model:v1"),
                                 {path, "application/vnd.example", "application/json", {}},
                                 progress_);
    ASSERT_TRUE(attached.ok()) << attached.error().message();
    EXPECT_EQ(attached->subject.text(), subject);
    EXPECT_EQ(pair.fake().blob(kRepository, Digest::of(text)), text);
    const auto found = pair.client().referrers(call_, kRepository, attached->subject);
    ASSERT_TRUE(found.ok()) << found.error().message();
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ(found->front().digest, attached->digest);
    EXPECT_EQ(found->front().artifact_type, "application/vnd.example");
  }
  const auto nothing = attach(call_,
                              *files_,
                              here_.client(),
                              at(here_, "org/model:none"),
                              {path, "application/vnd.example", "application/json", {}},
                              progress_);
  EXPECT_EQ(nothing.error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace weighbridge::pack
