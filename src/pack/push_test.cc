#include "pack/push.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/seal.h"
#include "pack/testing/push_fixture.h"
#include "transfer/make_seal.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Result;
using registry::Capabilities;
using testing::FakeRules;
using testing::HttpFault;
using testing::kShardBytes;
using testing::PushTest;
using testing::some_bytes;
using How = UploadedBlob::How;

hash::Root root_of(const std::string& bytes) {
  return hash::hash_bytes(std::as_bytes(std::span(bytes)));
}

TEST_F(PushTest, ADirectoryStandsInTheRegistryWithItsSeal) {
  write_model();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  expect_model_there();
  const std::string seal = blob("weighbridge.seal");
  const auto parsed = formats::parse_seal(std::as_bytes(std::span(seal)));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->files.size(), 4U);
  EXPECT_EQ(parsed->files[0].root, root_of(some_bytes(kShardBytes)));
}

TEST_F(PushTest, TheSealIsTheOneThatSealingTheDirectoryGives) {
  write_model();
  const auto from = model::Ref::parse(directory_.path()).value();
  const auto source = sources::open_file_source(*files_, from).value();
  const auto listing = source->list(call()).value();
  transfer::Progress progress;
  const auto seal = transfer::make_seal(call(), *source, *listing, progress).value();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(pushed->seal_sha256, hash::Sha256::of(formats::write_seal(seal).value()));
}

TEST_F(PushTest, ThereIsOnePatchForEachFileThatIsNew) {
  write_model();

  ASSERT_TRUE(push().ok());

  EXPECT_EQ(requests("PATCH"), 2U);  // the small ones come in one PUT
}

TEST_F(PushTest, WhatIsThereIsNotSentAgain) {
  write_model();
  ASSERT_TRUE(push().ok());
  const std::uint64_t sent = bytes_sent();

  const auto again = push();

  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_TRUE(again->was_there);
  EXPECT_EQ(again->sent_bytes, 0U);
  EXPECT_EQ(bytes_sent(), sent);
}

TEST_F(PushTest, AnotherTagOfTheSameModelIsAManifestAlone) {
  write_model();
  ASSERT_TRUE(push().ok());

  const auto again = push("org/model:v2");

  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->sent_bytes, 0U);
  EXPECT_EQ(manifest("v2"), manifest("v1"));
}

TEST_F(PushTest, OneFileChangedIsOneFileSent) {
  write_model();
  ASSERT_TRUE(push().ok());
  std::string changed = some_bytes(kShardBytes);
  changed[77] ^= 1;
  write("a.bin", changed);

  const auto again = push();

  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->sent_bytes, kShardBytes);
  EXPECT_EQ(blob("a.bin"), changed);
}

TEST_F(PushTest, WhatAnotherRepositoryHasIsMounted) {
  write_model();
  ASSERT_TRUE(push("other/model:v1").ok());
  const std::uint64_t sent = bytes_sent();
  mount_from_ = {"nothing/here", "other/model"};

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(pushed->files[0].how, How::kMounted);
  EXPECT_LT(bytes_sent(), sent + kShardBytes);
  expect_model_there();
}

// What each kind of registry takes, refuses and keeps.

TEST_F(PushTest, ChunksAreInOrderAndNoLongerThanTheRegistryTakes) {
  FakeRules rules;
  rules.max_chunk = 4 * base::kMiB;
  begin(rules, row("ghcr"));
  write_model();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  expect_model_there();
}

TEST_F(PushTest, AChunkThatIsTooLongTeachesASmallerOne) {
  FakeRules rules;
  rules.max_chunk = 3 * base::kMiB;
  begin(rules);
  write_model();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  expect_model_there();
  EXPECT_LE(pair_->client().capabilities().max_chunk_bytes, rules.max_chunk);
}

TEST_F(PushTest, ABodyThatIsTooLargeTeachesASmallerOne) {
  FakeRules rules;
  rules.max_body = 2 * base::kMiB;
  begin(rules);
  write_model();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  expect_model_there();
}

TEST_F(PushTest, ARegistryWithoutChunksIsToldTheDigestFirst) {
  FakeRules rules;
  rules.patch = FakeRules::Patch::kUnsupported;
  begin(rules, row("gar"));
  write_model();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(requests("PATCH"), 0U);
  expect_model_there();
}

TEST_F(PushTest, ThatARegistryTakesNoChunksIsLearned) {
  for (const auto patch : {FakeRules::Patch::kUnsupported, FakeRules::Patch::kWholeInFirst}) {
    FakeRules rules;
    rules.patch = patch;
    begin(rules);
    write_model();

    const auto pushed = push();

    ASSERT_TRUE(pushed.ok()) << pushed.error().message();
    EXPECT_FALSE(pair_->client().capabilities().patch);
    expect_model_there();
  }
}

TEST_F(PushTest, ARegistryThatHashesAgainIsToldTheDigestFirst) {
  FakeRules rules;
  rules.rehashes = true;
  begin(rules, row("zot"));
  write_model();

  ASSERT_TRUE(push().ok());

  EXPECT_EQ(requests("PATCH"), 0U);
  expect_model_there();
}

TEST_F(PushTest, AFileAboveTheLimitIsSplit) {
  Capabilities known;
  known.max_layer_bytes = 4 * base::kMiB + 5;
  begin({}, known);
  write_model();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(blob("a.bin.part-00001-of-00003") + blob("a.bin.part-00002-of-00003") +
                blob("a.bin.part-00003-of-00003"),
            some_bytes(kShardBytes));
  EXPECT_EQ(manifest().layers.size(), 3U + 3U + 2U + 1U);
}

// What breaks on the way.

TEST_F(PushTest, ADroppedConnectionGoesOnWhereTheRegistryStands) {
  FakeRules rules;
  rules.keeps_broken_patch = true;
  begin(rules);
  write("a.bin", some_bytes(kShardBytes));
  fake().break_next_patch();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(blob("a.bin"), some_bytes(kShardBytes));
  EXPECT_TRUE(pair_->client().capabilities().resumes_after_break);
  EXPECT_LT(bytes_sent(), kShardBytes + kShardBytes * 3 / 4);
  EXPECT_EQ(fake().open_uploads(), 0U);
}

TEST_F(PushTest, ADroppedConnectionThatLostTheUploadBeginsAgain) {
  write("a.bin", some_bytes(kShardBytes));
  fake().break_next_patch();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(blob("a.bin"), some_bytes(kShardBytes));
  EXPECT_FALSE(progress_.notes.take().empty());
}

TEST_F(PushTest, ATokenThatEndsInTheMiddleIsRenewed) {
  FakeRules rules;
  rules.auth = FakeRules::Auth::kBearer;
  begin(rules);
  write("a.bin", some_bytes(kShardBytes));
  HttpFault ended;
  ended.status = 401;
  ended.headers = {{"WWW-Authenticate",
                    "Bearer realm=\"" + fake().server().url("/token") +
                        "\",service=\"fake\",scope=\"repository:org/model:pull,push\""}};
  fake().answer_next("PATCH", ended);

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(blob("a.bin"), some_bytes(kShardBytes));
}

TEST_F(PushTest, ARegistryThatAsksForTimeIsGivenIt) {
  write("a.bin", some_bytes(kShardBytes));
  fake().answer_next("POST", weighbridge::testing::answer_with(429, "0"));
  fake().answer_next("PUT", weighbridge::testing::answer_with(503));

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(blob("a.bin"), some_bytes(kShardBytes));
  EXPECT_THAT(progress_.notes.take(), ::testing::Contains(::testing::HasSubstr("try 2 of 10")));
}

TEST_F(PushTest, ARegistryThatDoesNotLetUsInEndsItAtOnce) {
  FakeRules rules;
  rules.auth = FakeRules::Auth::kBasic;
  rules.password = "another";
  begin(rules);
  write_model();

  const auto pushed = push();

  ASSERT_FALSE(pushed.ok());
  EXPECT_EQ(pushed.error().code(), Code::kDenied);
  EXPECT_THAT(pushed.error().message(), ::testing::HasSubstr(fake().host()));
  EXPECT_FALSE(pushed.error().hint().empty());
  EXPECT_EQ(bytes_sent(), 0U);
  EXPECT_TRUE(progress_.notes.take().empty());
}

TEST_F(PushTest, AnUploadThatFailsForGoodIsCancelledAndNoTagMade) {
  write("a.bin", some_bytes(kShardBytes));
  fake().answer_next("PATCH", weighbridge::testing::answer_with(403));

  const auto pushed = push();

  ASSERT_FALSE(pushed.ok());
  EXPECT_EQ(pushed.error().code(), Code::kDenied);
  EXPECT_THAT(pushed.error().message(), ::testing::HasSubstr("a.bin"));
  EXPECT_EQ(fake().open_uploads(), 0U);
  EXPECT_FALSE(pair_->client().get_manifest(call(), "org/model", "v1").ok());
}

TEST_F(PushTest, AReferenceThatNamesAnotherDigestIsRefused) {
  write("a.bin", "x");

  const auto pushed = push("org/model@sha256:" + std::string(64, 'a'));

  ASSERT_FALSE(pushed.ok());
  EXPECT_EQ(pushed.error().code(), Code::kInvalid);
}

TEST_F(PushTest, AStoppedPushLeavesNoUpload) {
  write("a.bin", some_bytes(kShardBytes));
  std::stop_source stop;
  HttpFault slow;
  slow.stall_after = 0;
  fake().server().set_refuse([&](const auto& request) -> std::optional<HttpFault> {
    if (request.method == "PATCH") {
      stop.request_stop();
    }
    return std::nullopt;
  });
  const auto from = model::Ref::parse(directory_.path()).value();
  const auto source = sources::open_file_source(*files_, from).value();
  const PushParts parts{*files_, transfer_, nullptr, home_.path(), 7};
  const auto to = registry::Reference::parse(fake().host() + "/org/model:v1").value();

  const auto pushed = pack::push(call().stopped_by(stop.get_token()),
                                 parts,
                                 {*source, from},
                                 {pair_->client(), to, {}},
                                 progress_);

  ASSERT_FALSE(pushed.ok());
  EXPECT_EQ(pushed.error().code(), Code::kCancelled);
  EXPECT_EQ(fake().open_uploads(), 0U);
}

// A killed process leaves an upload, and a record of it.
TEST_F(PushTest, WhatAKilledProcessBeganIsTakenUp) {
  FakeRules rules;
  rules.keeps_broken_patch = true;
  begin(rules);
  write("a.bin", some_bytes(kShardBytes));
  auto upload = pair_->client().begin_upload(call(), "org/model").value();
  const std::string bytes = some_bytes(kShardBytes);
  base::MemoryBody first(std::as_bytes(std::span(bytes)).first(5'000'000));
  {
    const auto from = model::Ref::parse(directory_.path()).value();
    const auto file =
        sources::open_file_source(*files_, from).value()->find(call(), "a.bin").value();
    const UploadKey key{
        fake().host(), "org/model", directory_ / "a.bin", file.validator.etag, {0, kShardBytes}};
    const auto kept = KeptUpload::open(*files_, home_.path(), key);
    ASSERT_NE(kept, nullptr);
    kept->keep(upload);
  }
  ASSERT_TRUE(pair_->client().patch(call(), upload, first).ok());
  const std::uint64_t sent = bytes_sent();

  const auto pushed = push();

  ASSERT_TRUE(pushed.ok()) << pushed.error().message();
  EXPECT_EQ(blob("a.bin"), bytes);
  EXPECT_LT(bytes_sent() - sent, kShardBytes - 4'900'000);
  EXPECT_EQ(fake().open_uploads(), 0U);
  EXPECT_TRUE(std::filesystem::is_empty(home_ / "uploads"));
}

TEST_F(PushTest, AnUploadOfAFileThatChangedSinceIsCancelled) {
  write("a.bin", some_bytes(kShardBytes));
  const auto upload = pair_->client().begin_upload(call(), "org/model").value();
  {
    const UploadKey key{
        fake().host(), "org/model", directory_ / "a.bin", "another revision", {0, kShardBytes}};
    const auto kept = KeptUpload::open(*files_, home_.path(), key);
    kept->keep(upload);
  }

  ASSERT_TRUE(push().ok());

  EXPECT_EQ(fake().open_uploads(), 0U);
}

TEST_F(PushTest, WhereAnUploadStandsIsForItsOwnerAlone) {
  const UploadKey key{"host", "org/model", "/a", "1", {0, 1}};
  const auto kept = KeptUpload::open(*files_, home_.path(), key);

  kept->keep({"org/model", "http://host/secret", 0});

  for (const auto& entry : std::filesystem::directory_iterator(home_ / "uploads")) {
    EXPECT_EQ(entry.status().permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  EXPECT_EQ(KeptUpload::open(*files_, home_.path(), key), nullptr);  // held by the first
}

}  // namespace
}  // namespace weighbridge::pack
