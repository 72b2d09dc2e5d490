#include "pack/oci_source.h"

#include <chrono>
#include <cstring>
#include <memory>
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
#include "transfer/resolve.h"
#include "transfer/transfer.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Result;
using model::Trust;
using registry::testing::FakeRules;
using registry::testing::Pair;
using ::testing::HasSubstr;
using testing::made_artifact;
using testing::MadeArtifact;
using testing::noise;
using ::testing::Not;
using testing::tar_of;
using weighbridge::testing::answer_with;
using weighbridge::testing::HttpServer;
using weighbridge::testing::ManualClock;
using weighbridge::testing::MemorySink;

const std::string kRepository = "org/model";
const std::string kRaw = "application/vnd.cncf.model.weight.v1.raw";
const std::string kDoc = "application/vnd.cncf.model.doc.v1.raw";

registry::Annotations at(const std::string& path) {
  return {{std::string(kFilepath), path}};
}

registry::Annotations part(const std::string& path, std::uint64_t offset, std::uint64_t size) {
  return {{std::string(kFilepath), path + ".part-" + std::to_string(offset)},
          {std::string(kPartFile), path},
          {std::string(kPartOffset), std::to_string(offset)},
          {std::string(kPartSize), std::to_string(size)}};
}

MadeArtifact model_pack() {
  return made_artifact(kModelConfigType, kModelManifestType);
}

formats::SealedFile sealed(const std::string& path, const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  const model::File file = sources::testing::sealed_file(
      path, sources::testing::Bytes(bytes.begin(), bytes.end()), Trust::kOrigin);
  return {path, file.size, false, *file.sha256, *file.root, file.pieces, {}};
}

// The layer of a seal over these files.
void add_seal(MadeArtifact& artifact, std::vector<formats::SealedFile> files) {
  const auto bytes = formats::write_seal({std::move(files)}).value();
  std::string text(bytes.size(), '\0');
  std::memcpy(text.data(), bytes.data(), bytes.size());
  artifact.add(kDoc, std::move(text), at(std::string(formats::kSealName)));
}

// A registry that holds an artifact, and the source of a reference to it. Confined to its test.
class OciSourceTest : public ::testing::Test {
 protected:
  // Under the tag `v1`.
  void publish(const MadeArtifact& artifact) {
    for (const auto& [digest, bytes] : artifact.blobs) {
      pair().fake().put_blob(kRepository, bytes);
    }
    text_ = registry::write_manifest(artifact.manifest);
    pair().fake().put_manifest(kRepository, "v1", std::string(registry::kManifestType), text_);
  }

  Pair& pair() {
    if (pair_ == nullptr) {
      pair_ = std::make_unique<Pair>(rules_);
    }
    return *pair_;
  }

  std::string by_tag() { return "oci://" + pair().fake().host() + "/" + kRepository + ":v1"; }

  std::string by_digest() {
    return "oci://" + pair().fake().host() + "/" + kRepository + "@" +
           registry::Digest::of(text_).text();
  }

  sources::Source& open(const std::string& text) {
    ref_ = model::Ref::parse(text).value();
    source_ = open_oci_source(pair().client(), *ref_).value();
    return *source_;
  }

  Result<model::Snapshot> resolve(const std::string& text) {
    sources::Source& source = open(text);
    return transfer::resolve(call_, source, *ref_);
  }

  // One try to read that range of a file.
  Result<std::string> read(const model::File& file, base::Range range) {
    MemorySink sink(range.size());
    TRY(source_->read(call_, file, range, sink));
    return std::string(sink.bytes());
  }

  FakeRules rules_;
  ManualClock clock_{ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  std::unique_ptr<Pair> pair_;
  std::string text_;  // of the manifest
  std::optional<model::Ref> ref_;
  std::unique_ptr<sources::Source> source_;
};

TEST_F(OciSourceTest, ListsLayersWithTheirDigestsHeldAsTheManifestIs) {
  MadeArtifact artifact = model_pack();
  const std::string weights = noise(3000);
  artifact.add(kRaw, weights, at("a/model.safetensors"));
  artifact.add(kDoc, "hello", at("README.md"));
  publish(artifact);
  for (const auto& [text, trust] :
       {std::pair(by_tag(), Trust::kOrigin), std::pair(by_digest(), Trust::kPinned)}) {
    const auto snapshot = resolve(text);
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
    EXPECT_TRUE(snapshot->listed);
    ASSERT_EQ(snapshot->files.size(), 2U);
    const model::File& file = snapshot->files[1];
    EXPECT_EQ(file.path, "a/model.safetensors");
    EXPECT_EQ(file.trust, trust);
    EXPECT_EQ(file.sha256, hash::Sha256::of(std::as_bytes(std::span(weights))));
    EXPECT_EQ(read(file, {0, 3000}).value(), weights);
    EXPECT_EQ(read(file, {1000, 1017}).value(), weights.substr(1000, 17));
    EXPECT_EQ(source_->find(call_, "a/model.safetensors")->size, 3000U);
    EXPECT_EQ(source_->find(call_, "b").error().code(), Code::kNotFound);
    EXPECT_THAT(source_->printable("b"), HasSubstr(kRepository));
  }
}

TEST_F(OciSourceTest, TakesTheSealThatTheManifestNamesAndHoldsItAsTheManifest) {
  MadeArtifact artifact = model_pack();
  const std::string weights = noise(2'500'000);
  artifact.add(kRaw, weights, at("model.safetensors"));
  add_seal(artifact, {sealed("model.safetensors", weights)});
  publish(artifact);
  for (const auto& [text, trust] :
       {std::pair(by_tag(), Trust::kOrigin), std::pair(by_digest(), Trust::kPinned)}) {
    const auto snapshot = resolve(text);
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
    ASSERT_EQ(snapshot->files.size(), 1U);
    EXPECT_EQ(snapshot->files[0].trust, trust);
    EXPECT_EQ(snapshot->files[0].pieces.size(), 3U);
    EXPECT_TRUE(snapshot->seal_sha256);
    const std::string pin = "#sha256=" + snapshot->seal_sha256->hex();
    EXPECT_EQ(resolve(by_tag() + pin)->files[0].trust, Trust::kPinned);
  }
  const std::string wrong(64, '0');
  EXPECT_EQ(resolve(by_tag() + "#sha256=" + wrong).error().code(), Code::kCorrupt);
}

TEST_F(OciSourceTest, ReadsOnWhatTheTagNamedFirst) {
  MadeArtifact before = model_pack();
  before.add(kRaw, "old bytes", at("w"));
  publish(before);
  const auto snapshot = resolve(by_tag());
  ASSERT_TRUE(snapshot.ok());
  const std::string identity = source_->identity("w");
  MadeArtifact after = model_pack();
  after.add(kRaw, "new bytes", at("w"));
  publish(after);
  EXPECT_EQ(read(snapshot->files[0], {0, 9}).value(), "old bytes");
  EXPECT_EQ(read(resolve(by_tag())->files[0], {0, 9}).value(), "new bytes");
  EXPECT_NE(source_->identity("w"), identity);
}

TEST_F(OciSourceTest, RefusesASealThatContradictsTheLayers) {
  const std::string weights = noise(1000);
  const auto refusal = [&](std::vector<formats::SealedFile> files) {
    MadeArtifact artifact = model_pack();
    artifact.add(kRaw, weights, at("model.safetensors"));
    add_seal(artifact, std::move(files));
    publish(artifact);
    return resolve(by_tag()).error().copy();
  };
  formats::SealedFile longer = sealed("model.safetensors", weights + "x");
  formats::SealedFile other = sealed("model.safetensors", noise(1000, 2));
  const formats::SealedFile right = sealed("model.safetensors", weights);
  for (const auto& files : std::vector<std::vector<formats::SealedFile>>{
           {longer}, {other}, {right, sealed("more", "x")}, {sealed("elsewhere", weights)}, {}}) {
    const base::Error error = refusal(files);
    EXPECT_EQ(error.code(), Code::kCorrupt);
    EXPECT_THAT(error.message(), HasSubstr("contradicts the manifest"));
    EXPECT_THAT(*error.file(), HasSubstr("weighbridge.seal"));
  }
}

TEST_F(OciSourceTest, JoinsTheLayersOfOneFile) {
  const std::string weights = noise(2'200'000);
  const std::size_t cut = 1024 * 1024;
  MadeArtifact artifact = model_pack();
  artifact.add(kRaw, weights.substr(0, cut), part("w", 0, weights.size()));
  artifact.add(kRaw, weights.substr(cut, cut), part("w", cut, weights.size()));
  artifact.add(kRaw, weights.substr(2 * cut), part("w", 2 * cut, weights.size()));
  publish(artifact);
  const auto unsealed = resolve(by_tag());
  ASSERT_TRUE(unsealed.ok()) << unsealed.error().message();
  EXPECT_EQ(unsealed->files[0].trust, Trust::kNone);
  add_seal(artifact, {sealed("w", weights)});
  publish(artifact);
  const auto snapshot = resolve(by_tag());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
  const model::File& file = snapshot->files[0];
  EXPECT_EQ(read(file, {0, weights.size()}).value(), weights);
  EXPECT_EQ(read(file, {cut - 10, 2 * cut + 10}).value(), weights.substr(cut - 10, cut + 20));
  EXPECT_EQ(read(file, {cut, 2 * cut}).value(), weights.substr(cut, cut));
  model::File other = file;
  other.size += 1;
  EXPECT_EQ(read(other, {0, 1}).error().code(), Code::kConflict);
}

TEST_F(OciSourceTest, SaysWhereTheRegistryHasNoRanges) {
  rules_.ranges = false;
  MadeArtifact artifact = model_pack();
  artifact.add(kRaw, noise(1000), at("w"));
  publish(artifact);
  const auto snapshot = resolve(by_tag());
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ(read(snapshot->files[0], {500, 600}).error().code(), Code::kUnsupported);
  EXPECT_EQ(read(snapshot->files[0], {0, 1000}).value(), noise(1000));
}

TEST_F(OciSourceTest, LeavesArchivesToPull) {
  MadeArtifact archives = model_pack();
  archives.add("application/vnd.cncf.model.weight.v1.tar", tar_of({{.path = "w", .body = "1"}}));
  publish(archives);
  const auto refused = resolve(by_tag());
  EXPECT_EQ(refused.error().code(), Code::kUnsupported);
  EXPECT_THAT(refused.error().hint(), HasSubstr("weighbridge pull"));

  archives.add(kRaw, "raw", at("other.safetensors"));
  publish(archives);
  EXPECT_EQ(resolve(by_tag()).error().code(), Code::kUnsupported) << "some weights are not all";

  MadeArtifact mixed = model_pack();
  mixed.add(kRaw, "raw", at("w"));
  mixed.add("application/vnd.cncf.model.code.v1.tar", tar_of({{.path = "run.py", .body = "1"}}));
  publish(mixed);
  const auto snapshot = resolve(by_tag());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
  EXPECT_EQ(snapshot->files.size(), 1U);
  EXPECT_EQ(snapshot->refused.size(), 1U);
}

TEST_F(OciSourceTest, AsksTheOtherHostOfARedirectWithoutCredentials) {
  const std::string weights = noise(5000);
  HttpServer storage;
  storage.put("/blob", weighbridge::testing::make_object(weights));
  rules_.auth = FakeRules::Auth::kBearer;
  rules_.blobs_redirect_to = storage.url("/blob");
  MadeArtifact artifact = model_pack();
  artifact.add(kRaw, weights, at("w"));
  publish(artifact);
  const auto snapshot = resolve(by_tag());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
  EXPECT_EQ(read(snapshot->files[0], {100, 300}).value(), weights.substr(100, 200));
  ASSERT_EQ(storage.requests().size(), 1U);
  EXPECT_EQ(storage.requests()[0].header("authorization"), "");
}

TEST_F(OciSourceTest, RenewsATokenThatEndsInTheMiddle) {
  rules_.auth = FakeRules::Auth::kBearer;
  MadeArtifact artifact = model_pack();
  artifact.add(kRaw, noise(1000), at("w"));
  publish(artifact);
  const auto snapshot = resolve(by_tag());
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
  ASSERT_TRUE(read(snapshot->files[0], {0, 500}).ok());
  pair().fake().expire_tokens();
  EXPECT_EQ(read(snapshot->files[0], {500, 1000}).value(), noise(1000).substr(500));
}

TEST_F(OciSourceTest, TakesNoBytesFromElsewhereInTheBlob) {
  rules_.lies_about_ranges = true;
  MadeArtifact artifact = model_pack();
  artifact.add(kRaw, noise(1000), at("w"));
  publish(artifact);
  const auto snapshot = resolve(by_tag());
  ASSERT_TRUE(snapshot.ok());
  const auto lie = read(snapshot->files[0], {500, 600});
  EXPECT_EQ(lie.error().code(), Code::kCorrupt);
  EXPECT_THAT(*lie.error().file(), HasSubstr("oci://"));
}

TEST_F(OciSourceTest, HandsOnThatTheRegistryIsBusyAndForHowLong) {
  MadeArtifact artifact = model_pack();
  artifact.add(kRaw, noise(1000), at("w"));
  publish(artifact);
  const auto snapshot = resolve(by_tag());
  ASSERT_TRUE(snapshot.ok());
  pair().fake().answer_next("GET", answer_with(429, "7"));
  const auto busy = read(snapshot->files[0], {0, 10});
  EXPECT_EQ(busy.error().code(), Code::kBusy);
  EXPECT_EQ(busy.error().retry_after(), std::chrono::milliseconds(7000));
}

TEST_F(OciSourceTest, FollowsAnIndexOfOneManifestAndNoOther) {
  MadeArtifact artifact = model_pack();
  artifact.add(kRaw, "raw", at("w"));
  publish(artifact);
  registry::Index index;
  index.manifests = {registry::describe(registry::kManifestType, text_)};
  pair().fake().put_manifest(
      kRepository, "one", std::string(registry::kIndexType), registry::write_index(index));
  const std::string base = "oci://" + pair().fake().host() + "/" + kRepository;
  const auto snapshot = resolve(base + ":one");
  ASSERT_TRUE(snapshot.ok()) << snapshot.error().message();
  EXPECT_EQ(snapshot->files.size(), 1U);
  index.manifests.push_back(index.manifests[0]);
  pair().fake().put_manifest(
      kRepository, "two", std::string(registry::kIndexType), registry::write_index(index));
  EXPECT_EQ(resolve(base + ":two").error().code(), Code::kUnsupported);
}

TEST_F(OciSourceTest, PrintsNoPassword) {
  for (const std::string text : {"oci://user:secret@host/a:v1", "oci://host/a:v1?token=secret"}) {
    const auto refused = oci_reference(model::Ref::parse(text).value());
    EXPECT_EQ(refused.error().code(), Code::kInvalid);
    EXPECT_THAT(refused.error().message() + *refused.error().file() + refused.error().hint(),
                Not(HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace weighbridge::pack
