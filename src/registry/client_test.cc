#include "registry/client.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/testing/client_fixture.h"
#include "testing/memory_sink.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using testing::FakeRules;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Pair;
using testing::some_bytes;
using weighbridge::testing::answer_with;
using weighbridge::testing::Fault;
using weighbridge::testing::HttpServer;
using weighbridge::testing::MemorySink;

const std::string kRepository = "org/model";

Manifest small_manifest(std::optional<Descriptor> subject = {}) {
  return Manifest{
      std::string(kManifestType), "a/b", empty_descriptor(), {}, std::move(subject), {}};
}

TEST(Client, PingsARegistryAndNothingElse) {
  Pair pair;
  EXPECT_TRUE(pair.client().ping(pair.call()).ok());
  pair.fake().answer_next("GET", answer_with(404));
  const auto other = pair.client().ping(pair.call());
  EXPECT_EQ(other.error().code(), Code::kUnsupported);
  EXPECT_THAT(other.error().message(), HasSubstr(pair.fake().host()));
}

TEST(Client, GetsTheManifestItPut) {
  Pair pair;
  const std::string text = write_manifest(small_manifest());
  const auto put = pair.client().put_manifest(pair.call(), kRepository, "v1", kManifestType, text);
  ASSERT_TRUE(put.ok()) << put.error().message();
  EXPECT_FALSE(put->subject_needs_tag);
  const auto head = pair.client().head_manifest(pair.call(), kRepository, "v1");
  ASSERT_TRUE(head.ok()) << head.error().message();
  EXPECT_EQ(*head.value(), describe(kManifestType, text));
  for (const TagOrDigest& name : {TagOrDigest("v1"), TagOrDigest(put->digest)}) {
    const auto got = pair.client().get_manifest(pair.call(), kRepository, name);
    ASSERT_TRUE(got.ok()) << got.error().message();
    EXPECT_EQ(got->bytes, text);
    EXPECT_EQ(got->digest, put->digest);
    EXPECT_EQ(got->media_type, kManifestType);
  }
}

TEST(Client, SaysThatAManifestIsNotThere) {
  Pair pair;
  EXPECT_EQ(pair.client().head_manifest(pair.call(), kRepository, "v1").value(), std::nullopt);
  const auto got = pair.client().get_manifest(pair.call(), kRepository, "v1");
  EXPECT_EQ(got.error().code(), Code::kNotFound);
  EXPECT_FALSE(got.error().hint().empty());
}

TEST(Client, TakesNoManifestThatIsNotWhatItsDigestSays) {
  Pair pair;
  pair.fake().put_manifest(kRepository, "v1", std::string(kManifestType), "{}");
  Fault lie;
  lie.status = 200;
  lie.object = weighbridge::testing::make_object("other bytes");
  pair.fake().answer_next("GET", lie);
  const Digest digest = Digest::of(std::string_view("{}"));
  EXPECT_EQ(pair.client().get_manifest(pair.call(), kRepository, digest).error().code(),
            Code::kCorrupt);
  lie.headers = {{"Docker-Content-Digest", digest.text()}};
  pair.fake().answer_next("GET", lie);
  EXPECT_EQ(pair.client().get_manifest(pair.call(), kRepository, "v1").error().code(),
            Code::kCorrupt);
  EXPECT_EQ(pair.client()
                .put_manifest(pair.call(), kRepository, digest, kManifestType, "{\"a\":1}")
                .error()
                .code(),
            Code::kInvalid);
}

TEST(Client, TakesNoManifestAboveTheLimit) {
  Pair pair;
  pair.fake().put_manifest(
      kRepository, "big", std::string(kManifestType), std::string(kMaxManifestBytes + 1, ' '));
  EXPECT_EQ(pair.client().get_manifest(pair.call(), kRepository, "big").error().code(),
            Code::kExhausted);
  EXPECT_EQ(pair.client()
                .put_manifest(pair.call(),
                              kRepository,
                              "big",
                              kManifestType,
                              std::string(kMaxManifestBytes + 1, ' '))
                .error()
                .code(),
            Code::kExhausted);
}

TEST(Client, RemembersALimitForManifestsThatItMet) {
  FakeRules rules;
  rules.max_manifest = 100;
  Pair pair(rules);
  const std::string text = write_manifest(small_manifest());
  const auto put = pair.client().put_manifest(pair.call(), kRepository, "v", kManifestType, text);
  EXPECT_EQ(put.error().code(), Code::kExhausted);
  EXPECT_EQ(pair.client().capabilities().max_manifest_bytes, text.size() - 1);
}

TEST(Client, RefusesNamesThatWouldLeadElsewhere) {
  Pair pair;
  EXPECT_EQ(pair.client().head_manifest(pair.call(), "../x", "v").error().code(), Code::kInvalid);
  EXPECT_EQ(pair.client().head_manifest(pair.call(), "a?b", "v").error().code(), Code::kInvalid);
  EXPECT_EQ(pair.client().head_manifest(pair.call(), "a", "../v").error().code(), Code::kInvalid);
  EXPECT_EQ(pair.client()
                .mount(pair.call(), "a", Digest::of(std::string_view("")), "b/../c")
                .error()
                .code(),
            Code::kInvalid);
  EXPECT_EQ(pair.fake().server().counts().requests, 0U);
}

TEST(Client, ReadsRangesAndWholesOfABlob) {
  Pair pair;
  const std::string bytes = some_bytes(100'000);
  const Descriptor blob = describe("a/b", bytes);
  pair.fake().put_blob(kRepository, bytes);
  EXPECT_EQ(pair.client().head_blob(pair.call(), kRepository, blob.digest).value(), bytes.size());
  MemorySink part(bytes.size());
  ASSERT_TRUE(pair.client().read_blob(pair.call(), kRepository, blob, {1000, 3000}, part).ok());
  EXPECT_EQ(part.bytes(), bytes.substr(1000, 2000));
  MemorySink whole(bytes.size() + 1);
  ASSERT_TRUE(pair.client().read_whole_blob(pair.call(), kRepository, blob, whole).ok());
  EXPECT_EQ(whole.bytes(), bytes);
  EXPECT_EQ(pair.client().get_blob(pair.call(), kRepository, blob, 100'000).value(), bytes);
  EXPECT_EQ(pair.client().get_blob(pair.call(), kRepository, blob, 99'999).error().code(),
            Code::kExhausted);
  const Descriptor empty = describe("a/b", "");
  EXPECT_EQ(pair.client().get_blob(pair.call(), kRepository, empty, 10).value(), "");
}

TEST(Client, ProvesAWholeBlobByItsDigestAndSize) {
  Pair pair;
  const std::string bytes = some_bytes(5000);
  const Descriptor blob = describe("a/b", bytes);
  std::string changed = bytes;
  changed[4000] ^= 1;
  pair.fake().corrupt_blob(kRepository, blob.digest, changed);
  const auto read = pair.client().get_blob(pair.call(), kRepository, blob, 10'000);
  EXPECT_EQ(read.error().code(), Code::kCorrupt);
  EXPECT_THAT(read.error().message(), HasSubstr(blob.digest.text()));
  EXPECT_THAT(read.error().message(), HasSubstr(Digest::of(std::string_view(changed)).text()));
  for (const std::size_t size : {std::size_t{4999}, std::size_t{5001}, std::size_t{0}}) {
    pair.fake().corrupt_blob(kRepository, blob.digest, some_bytes(size));
    EXPECT_FALSE(pair.client().get_blob(pair.call(), kRepository, blob, 10'000).ok()) << size;
  }
}

TEST(Client, SaysThatABlobIsNotThere) {
  Pair pair;
  const Descriptor blob = describe("a/b", "x");
  EXPECT_EQ(pair.client().head_blob(pair.call(), kRepository, blob.digest).value(), std::nullopt);
  EXPECT_EQ(pair.client().get_blob(pair.call(), kRepository, blob, 10).error().code(),
            Code::kNotFound);
}

TEST(Client, LearnsThatRangesAreIgnored) {
  FakeRules rules;
  rules.ranges = false;
  Pair pair(rules);
  const std::string bytes = some_bytes(5000);
  const Descriptor blob = describe("a/b", bytes);
  pair.fake().put_blob(kRepository, bytes);
  MemorySink sink(5000);
  const auto read = pair.client().read_blob(pair.call(), kRepository, blob, {10, 20}, sink);
  EXPECT_EQ(read.error().code(), Code::kUnsupported);
  EXPECT_TRUE(sink.bytes().empty());
  EXPECT_FALSE(pair.client().capabilities().ranges);
}

TEST(Client, BelievesNoContentRangeButTheOneItAskedFor) {
  FakeRules rules;
  rules.lies_about_ranges = true;
  Pair pair(rules);
  const std::string bytes = some_bytes(5000);
  pair.fake().put_blob(kRepository, bytes);
  MemorySink sink(5000);
  const auto read =
      pair.client().read_blob(pair.call(), kRepository, describe("a/b", bytes), {1000, 2000}, sink);
  EXPECT_EQ(read.error().code(), Code::kCorrupt);
  EXPECT_TRUE(sink.bytes().empty());
}

TEST(Client, FollowsABlobToAnotherHostWithoutItsCredentials) {
  HttpServer elsewhere;
  const std::string bytes = some_bytes(5000);
  elsewhere.put("/data", weighbridge::testing::make_object(bytes));
  FakeRules rules;
  rules.auth = FakeRules::Auth::kBasic;
  rules.blobs_redirect_to = elsewhere.url("/data?signature=1");
  Pair pair(rules);
  Settings settings;
  settings.headers = {{"X-Secret", "tell-nobody"}};
  pair.open({}, settings);
  pair.fake().put_blob(kRepository, bytes);
  const Descriptor blob = describe("a/b", bytes);
  EXPECT_EQ(pair.client().get_blob(pair.call(), kRepository, blob, 10'000).value(), bytes);
  EXPECT_EQ(pair.client().head_blob(pair.call(), kRepository, blob.digest).value(), bytes.size());
  ASSERT_EQ(elsewhere.requests().size(), 2U);
  for (const auto& request : elsewhere.requests()) {
    EXPECT_EQ(request.header("authorization"), "");
    EXPECT_EQ(request.header("x-secret"), "");
  }
  EXPECT_EQ(pair.fake().server().requests().back().header("x-secret"), "tell-nobody");
}

TEST(Client, PassesOnWhatAsksForPatience) {
  Pair pair;
  pair.fake().answer_next("GET", answer_with(429, "7"));
  const auto got = pair.client().get_manifest(pair.call(), kRepository, "v");
  EXPECT_EQ(got.error().code(), Code::kBusy);
  EXPECT_EQ(got.error().retry_after(), std::chrono::seconds(7));
  pair.fake().answer_next("GET", answer_with(503, "3"));
  const auto down = pair.client().get_manifest(pair.call(), kRepository, "v");
  EXPECT_EQ(down.error().code(), Code::kUnavailable);
  EXPECT_EQ(down.error().retry_after(), std::chrono::seconds(3));
}

TEST(Client, HandsEachWarningUpOnce) {
  FakeRules rules;
  rules.headers = {{"Warning", "299 - \"this registry ends soon\""}};
  Pair pair(rules);
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  EXPECT_EQ(pair.client().take_warnings(), std::vector<std::string>{"this registry ends soon"});
  EXPECT_TRUE(pair.client().take_warnings().empty());
}

TEST(Client, DeletesWhereTheRegistryDoes) {
  Pair pair;
  pair.fake().put_blob(kRepository, "x");
  pair.fake().put_manifest(kRepository, "v", std::string(kManifestType), "{}");
  const Digest blob = Digest::of(std::string_view("x"));
  EXPECT_TRUE(pair.client().delete_blob(pair.call(), kRepository, blob).value());
  EXPECT_FALSE(pair.client().delete_blob(pair.call(), kRepository, blob).value());
  const Digest manifest = Digest::of(std::string_view("{}"));
  EXPECT_TRUE(pair.client().delete_manifest(pair.call(), kRepository, manifest).value());
  EXPECT_FALSE(pair.client().delete_manifest(pair.call(), kRepository, manifest).value());
  FakeRules never;
  never.deletes = false;
  Pair fixed(never);
  fixed.fake().put_blob(kRepository, "x");
  EXPECT_EQ(fixed.client().delete_blob(fixed.call(), kRepository, blob).error().code(),
            Code::kUnsupported);
}

TEST(Client, ListsAllPages) {
  FakeRules rules;
  rules.page = 2;
  Pair pair(rules);
  for (const char* tag : {"a", "b", "c", "d", "e"}) {
    pair.fake().put_manifest(kRepository, tag, std::string(kManifestType), "{}");
  }
  pair.fake().put_blob("another", "x");
  EXPECT_EQ(pair.client().tags(pair.call(), kRepository).value(),
            (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(pair.client().repositories(pair.call()).value(),
            (std::vector<std::string>{"another", kRepository}));
}

TEST(Client, RefusesAListWithNamesOutsideTheGrammar) {
  Pair pair;
  for (const char* body :
       {R"({"tags":["../x"]})", R"({"tags":[7]})", R"({"tags":{}})", "[", "[]"}) {
    Fault fault;
    fault.status = 200;
    fault.object = weighbridge::testing::make_object(body);
    pair.fake().answer_next("GET", fault);
    EXPECT_EQ(pair.client().tags(pair.call(), kRepository).error().code(), Code::kCorrupt) << body;
  }
}

TEST(Client, FindsReferrersByTheApi) {
  Pair pair;
  const std::string subject = write_manifest(small_manifest());
  const Descriptor named = describe(kManifestType, subject);
  const auto put = pair.client().put_manifest(
      pair.call(), kRepository, "r", kManifestType, write_manifest(small_manifest(named)));
  ASSERT_TRUE(put.ok());
  EXPECT_FALSE(put->subject_needs_tag);
  const auto found = pair.client().referrers(pair.call(), kRepository, named.digest, "a/b");
  ASSERT_TRUE(found.ok()) << found.error().message();
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().digest, put->digest);
  EXPECT_TRUE(
      pair.client().referrers(pair.call(), kRepository, named.digest, "c/d").value().empty());
}

TEST(Client, KeepsReferrersUnderATagWhereThereIsNoApi) {
  FakeRules rules;
  rules.referrers = false;
  Pair pair(rules);
  const Digest subject = Digest::of(std::string_view("subject"));
  const Descriptor named{std::string(kManifestType), subject, 7, {}, {}};
  EXPECT_TRUE(pair.client().referrers(pair.call(), kRepository, subject).value().empty());
  EXPECT_FALSE(pair.client().capabilities().referrers);
  const std::string text = write_manifest(small_manifest(named));
  const auto put = pair.client().put_manifest(pair.call(), kRepository, "r", kManifestType, text);
  ASSERT_TRUE(put->subject_needs_tag);
  Descriptor referrer = describe(kManifestType, text);
  referrer.artifact_type = "a/b";
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(
        pair.client().add_to_referrers_tag(pair.call(), kRepository, subject, referrer).ok());
  }
  EXPECT_EQ(pair.client().referrers(pair.call(), kRepository, subject, "a/b").value(),
            std::vector<Descriptor>{referrer});
  ASSERT_TRUE(pair.client()
                  .remove_from_referrers_tag(pair.call(), kRepository, subject, referrer.digest)
                  .ok());
  EXPECT_TRUE(pair.client().referrers(pair.call(), kRepository, subject).value().empty());
}

}  // namespace
}  // namespace weighbridge::registry
