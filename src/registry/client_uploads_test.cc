#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/client.h"
#include "registry/testing/client_fixture.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using testing::FakeRules;
using ::testing::HasSubstr;
using testing::Pair;
using testing::some_bytes;
using weighbridge::testing::answer_with;
using weighbridge::testing::redirect_to;

const std::string kRepository = "org/model";
const std::string kBytes = some_bytes(300'000);

Digest digest_of(const std::string& bytes) {
  return Digest::of(std::string_view(bytes));
}

base::MemoryBody part(std::size_t begin, std::size_t end) {
  return base::MemoryBody(std::as_bytes(std::span(kBytes)).subspan(begin, end - begin));
}

TEST(Upload, InChunksIsStoredUnderTheDigestOfItsEnd) {
  Pair pair;
  ASSERT_TRUE(pair.upload(kRepository, kBytes, 100'000).ok());
  EXPECT_EQ(pair.fake().blob(kRepository, digest_of(kBytes)), kBytes);
  ASSERT_TRUE(pair.upload(kRepository, "", 1).ok());
  EXPECT_EQ(pair.fake().blob(kRepository, digest_of("")), "");
}

TEST(Upload, InOnePutNeedsNoPatch) {
  FakeRules rules;
  rules.patch = FakeRules::Patch::kUnsupported;
  Pair pair(rules);
  const Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  base::MemoryBody body = part(0, kBytes.size());
  ASSERT_TRUE(pair.client().put_blob(pair.call(), upload, digest_of(kBytes), body).ok());
  EXPECT_EQ(pair.fake().blob(kRepository, digest_of(kBytes)), kBytes);
}

TEST(Upload, UnderAnotherDigestIsRefusedInPlainWords) {
  Pair pair;
  Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  base::MemoryBody body = part(0, 100);
  ASSERT_TRUE(pair.client().patch(pair.call(), upload, body).ok());
  const auto finished = pair.client().finish(pair.call(), upload, digest_of("other"));
  EXPECT_EQ(finished.error().code(), Code::kCorrupt);
  EXPECT_FALSE(finished.error().hint().empty());
  EXPECT_EQ(pair.fake().open_uploads(), 0U);
}

TEST(Upload, AtAWrongOffsetConflictsAndGoesOnFromWhereItStands) {
  Pair pair;
  Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  base::MemoryBody first = part(0, 100'000);
  ASSERT_TRUE(pair.client().patch(pair.call(), upload, first).ok());
  upload.offset = 50'000;
  base::MemoryBody wrong = part(50'000, 60'000);
  EXPECT_EQ(pair.client().patch(pair.call(), upload, wrong).error().code(), Code::kConflict);
  ASSERT_TRUE(pair.client().resync(pair.call(), upload).ok());
  EXPECT_EQ(upload.offset, 100'000U);
  base::MemoryBody rest = part(100'000, kBytes.size());
  ASSERT_TRUE(pair.client().patch(pair.call(), upload, rest).ok());
  ASSERT_TRUE(pair.client().finish(pair.call(), upload, digest_of(kBytes)).ok());
}

TEST(Upload, ThatBrokeGoesOnWhereTheRegistryKeptIt) {
  FakeRules rules;
  rules.keeps_broken_patch = true;
  Pair pair(rules);
  Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  pair.fake().break_next_patch();
  base::MemoryBody broken = part(0, 200'000);
  EXPECT_EQ(pair.client().patch(pair.call(), upload, broken).error().code(), Code::kUnavailable);
  EXPECT_EQ(upload.offset, 0U);
  // Another process may take it up.
  Upload taken{upload.repository, upload.location, upload.offset};
  ASSERT_TRUE(pair.client().resync(pair.call(), taken).ok());
  EXPECT_EQ(taken.offset, 100'000U);
  EXPECT_TRUE(pair.client().capabilities().resumes_after_break);
  base::MemoryBody rest = part(100'000, kBytes.size());
  ASSERT_TRUE(pair.client().patch(pair.call(), taken, rest).ok());
  ASSERT_TRUE(pair.client().finish(pair.call(), taken, digest_of(kBytes)).ok());
  EXPECT_EQ(pair.fake().blob(kRepository, digest_of(kBytes)), kBytes);
}

TEST(Upload, ThatBrokeAndIsGoneIsLearned) {
  Pair pair;
  pair.open(capabilities_of_host("x"));
  Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  pair.fake().break_next_patch();
  base::MemoryBody broken = part(0, 200'000);
  EXPECT_FALSE(pair.client().patch(pair.call(), upload, broken).ok());
  EXPECT_EQ(pair.client().resync(pair.call(), upload).error().code(), Code::kNotFound);
  EXPECT_FALSE(pair.client().capabilities().resumes_after_break);
}

TEST(Upload, IsCancelledOnce) {
  Pair pair;
  const Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  EXPECT_EQ(pair.fake().open_uploads(), 1U);
  ASSERT_TRUE(pair.client().cancel(pair.call(), upload).ok());
  EXPECT_EQ(pair.fake().open_uploads(), 0U);
  EXPECT_TRUE(pair.client().cancel(pair.call(), upload).ok());
}

TEST(Upload, IsMountedFromWhereTheBlobIs) {
  Pair pair;
  pair.fake().put_blob("other/place", kBytes);
  EXPECT_EQ(
      pair.client().mount(pair.call(), kRepository, digest_of(kBytes), "other/place")->has_value(),
      false);
  EXPECT_EQ(pair.fake().blob(kRepository, digest_of(kBytes)), kBytes);
  auto begun = pair.client().mount(pair.call(), kRepository, digest_of("absent"), "other/place");
  ASSERT_TRUE(begun.ok() && begun->has_value());
  base::MemoryBody none(std::span<const std::byte>{});
  EXPECT_TRUE(pair.client().cancel(pair.call(), **begun).ok());
}

TEST(Upload, WithoutPatchIsLearnedFromTheFirst) {
  for (const auto way : {FakeRules::Patch::kUnsupported, FakeRules::Patch::kWholeInFirst}) {
    FakeRules rules;
    rules.patch = way;
    Pair pair(rules);
    Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
    base::MemoryBody body = part(0, 1000);
    EXPECT_EQ(pair.client().patch(pair.call(), upload, body).error().code(), Code::kUnsupported);
    EXPECT_FALSE(pair.client().capabilities().patch);
  }
}

TEST(Upload, LearnsTheSizesThatARegistryTakes) {
  FakeRules rules;
  rules.max_chunk = 100'000;
  rules.min_chunk = 1000;
  Pair pair(rules);
  Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  EXPECT_EQ(pair.client().capabilities().min_chunk_bytes, 1000U);
  base::MemoryBody body = part(0, kBytes.size());
  EXPECT_EQ(pair.client().patch(pair.call(), upload, body).error().code(), Code::kConflict);
  EXPECT_EQ(pair.client().capabilities().max_chunk_bytes, 150'000U);

  FakeRules narrow;
  narrow.max_body = 100'000;
  Pair behind(narrow);
  Upload other = behind.client().begin_upload(behind.call(), kRepository).value();
  base::MemoryBody large = part(0, kBytes.size());
  EXPECT_EQ(behind.client().patch(behind.call(), other, large).error().code(), Code::kConflict);
  EXPECT_EQ(behind.client().capabilities().max_body_bytes, 150'000U);
  base::MemoryBody whole = part(0, kBytes.size());
  EXPECT_EQ(behind.client().put_blob(behind.call(), other, digest_of(kBytes), whole).error().code(),
            Code::kConflict);
}

TEST(Upload, IsSentNowhereByARedirect) {
  weighbridge::testing::HttpServer elsewhere;
  Pair pair;
  Upload upload = pair.client().begin_upload(pair.call(), kRepository).value();
  pair.fake().answer_next("PATCH", redirect_to(elsewhere.url("/x"), 307));
  base::MemoryBody body = part(0, 1000);
  EXPECT_FALSE(pair.client().patch(pair.call(), upload, body).ok());
  EXPECT_TRUE(elsewhere.requests().empty());
}

TEST(Upload, ThatBeginsWithoutALocationIsCorrupt) {
  Pair pair;
  pair.fake().answer_next("POST", answer_with(202));
  EXPECT_EQ(pair.client().begin_upload(pair.call(), kRepository).error().code(), Code::kCorrupt);
}

TEST(Upload, GoesToTheLocationWithoutCredentialsIfThatIsElsewhere) {
  weighbridge::testing::HttpServer elsewhere(
      [](const weighbridge::testing::HttpRequest&) { return answer_with(201); });
  FakeRules rules;
  rules.auth = FakeRules::Auth::kBasic;
  Pair pair(rules);
  ASSERT_TRUE(pair.client().begin_upload(pair.call(), kRepository).ok());
  const Upload upload{kRepository, elsewhere.url("/signed?x=1"), 0};
  base::MemoryBody body = part(0, 1000);
  ASSERT_TRUE(pair.client().put_blob(pair.call(), upload, digest_of(kBytes), body).ok());
  const auto request = elsewhere.requests().front();
  EXPECT_EQ(request.header("authorization"), "");
  EXPECT_THAT(request.query, HasSubstr("x=1&digest=sha256%3A"));
}

}  // namespace
}  // namespace weighbridge::registry
