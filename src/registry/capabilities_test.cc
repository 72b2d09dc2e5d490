#include "registry/capabilities.h"

#include <string>

#include <gtest/gtest.h>

#include "base/units.h"
#include "registry/testing/client_fixture.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using base::kGiB;
using base::kMiB;
using testing::FakeRules;
using testing::Pair;
using testing::some_bytes;
using Way = UploadPlan::Way;

Capabilities known(std::string_view kind) {
  for (const Capabilities& row : known_capabilities()) {
    if (row.kind == kind) {
      return row;
    }
  }
  ADD_FAILURE() << kind;
  return {};
}

struct HostCase {
  const char* host;
  const char* kind;
};

TEST(Capabilities, BeginWithTheRowOfTheHost) {
  for (const HostCase& given : {HostCase{"ghcr.io", "ghcr"},
                                HostCase{"europe-docker.pkg.dev", "gar"},
                                HostCase{"eu.gcr.io", "gar"},
                                HostCase{"123.dkr.ecr.eu-west-1.amazonaws.com", "ecr"},
                                HostCase{"public.ecr.aws", "ecr-public"},
                                HostCase{"name.azurecr.io", "acr"},
                                HostCase{"docker.io", "docker-hub"},
                                HostCase{"registry.gitlab.com", "gitlab"},
                                HostCase{"x.jfrog.io", "artifactory"},
                                HostCase{"127.0.0.1:5000", "unknown"},
                                HostCase{"ghcr.io.evil.example", "unknown"}}) {
    EXPECT_EQ(capabilities_of_host(given.host).kind, given.kind) << given.host;
  }
}

TEST(Capabilities, AreGivenAwayByHeaders) {
  const auto kind_of = [](std::string name, std::string value) {
    net::HttpHead head;
    head.headers = {{std::move(name), std::move(value)}};
    const auto found = capabilities_of_answer(head);
    return found ? found->kind : std::string();
  };
  EXPECT_EQ(kind_of("x-jfrog-version", "Artifactory/7"), "artifactory");
  EXPECT_EQ(kind_of("gitlab-container-registry-version", "4"), "gitlab");
  EXPECT_EQ(kind_of("server", "zot/2.1"), "zot");
  EXPECT_EQ(kind_of("server", "cloudflare"), "cloudflare");
  EXPECT_EQ(kind_of("server", "nginx"), "");
}

// Each row against a registry that is as strict as the row says: what is planned must succeed.
struct RowCase {
  const char* kind;
  FakeRules rules;
};

std::vector<RowCase> rows() {
  FakeRules plain;
  plain.checks_offsets = false;
  plain.referrers = false;
  FakeRules three;
  three.keeps_broken_patch = true;
  three.referrers = false;
  FakeRules zot;
  zot.rehashes = true;
  zot.keeps_broken_patch = true;
  FakeRules ghcr;
  ghcr.max_chunk = 4 * kMiB;
  FakeRules gar;
  gar.patch = FakeRules::Patch::kUnsupported;
  FakeRules ecr;
  ecr.patch = FakeRules::Patch::kWholeInFirst;
  FakeRules artifactory;
  artifactory.put_whole = false;
  FakeRules cloudflare;
  cloudflare.max_body = 100'000'000;
  return {{"unknown", plain},
          {"distribution-2", plain},
          {"distribution-3", three},
          {"zot", zot},
          {"harbor", plain},
          {"ghcr", ghcr},
          {"gar", gar},
          {"ecr", ecr},
          {"ecr-public", ecr},
          {"acr", {}},
          {"docker-hub", {}},
          {"gitlab", plain},
          {"artifactory", artifactory},
          {"cloudflare", cloudflare}};
}

base::Result<void> push_as_planned(Pair& pair, const std::string& bytes) {
  const Digest digest = Digest::of(std::string_view(bytes));
  UploadPlan plan = plan_upload(pair.client().capabilities(), bytes.size(), false);
  if (plan.way == Way::kHashFirst) {
    plan = plan_upload(pair.client().capabilities(), bytes.size(), true);
  }
  if (plan.way == Way::kPatch) {
    return pair.upload("org/model", bytes, plan.chunk_bytes);
  }
  const Upload upload = TRY(pair.client().begin_upload(pair.call(), "org/model"));
  base::MemoryBody body(std::as_bytes(std::span(bytes)));
  return pair.client().put_blob(pair.call(), upload, digest, body);
}

TEST(Capabilities, OfEachRowPlanAnUploadThatItsRegistryTakes) {
  const std::string bytes = some_bytes(9 * kMiB + 1);
  ASSERT_EQ(rows().size(), known_capabilities().size());
  for (const RowCase& row : rows()) {
    Pair pair(row.rules);
    pair.open(known(row.kind));
    const auto pushed = push_as_planned(pair, bytes);
    ASSERT_TRUE(pushed.ok()) << row.kind << ": " << pushed.error().message();
    EXPECT_EQ(pair.fake().blob("org/model", Digest::of(std::string_view(bytes))), bytes);
    EXPECT_EQ(pair.fake().rehashed_bytes(), 0U) << row.kind;
  }
}

TEST(UploadPlan, SplitsNothingButWhatALimitOrAResumeAsksFor) {
  EXPECT_EQ(plan_upload(known("distribution-2"), 10 * kGiB, false).chunk_bytes, 10 * kGiB);
  EXPECT_EQ(plan_upload(known("distribution-3"), 10 * kGiB, false).chunk_bytes, kResumeChunkBytes);
  EXPECT_EQ(plan_upload(known("distribution-3"), 10 * kGiB, true).way, Way::kPatch);
  EXPECT_EQ(plan_upload(known("distribution-3"), kMiB, true).way, Way::kMonolithic);
  EXPECT_EQ(plan_upload(known("distribution-2"), 10 * kGiB, true).way, Way::kMonolithic);
  EXPECT_EQ(plan_upload(known("cloudflare"), 10 * kGiB, true).chunk_bytes, 100'000'000U);
  EXPECT_EQ(plan_upload(known("artifactory"), kGiB, true).way, Way::kPatch);
}

TEST(UploadPlan, HashesFirstWhereTheDigestIsNeededOrPays) {
  for (const char* kind : {"gar", "ecr", "ghcr", "zot"}) {
    EXPECT_EQ(plan_upload(known(kind), kGiB, false).way, Way::kHashFirst) << kind;
    EXPECT_EQ(plan_upload(known(kind), kGiB, true).way, Way::kMonolithic) << kind;
  }
}

TEST(UploadPlan, SaysWhatIsTooLargeForTheRegistry) {
  EXPECT_EQ(plan_upload(known("ghcr"), 10'000'000'001, true).way, Way::kTooLarge);
  EXPECT_EQ(plan_upload(known("ecr"), 52'001 * kMiB, false).way, Way::kTooLarge);
  Capabilities narrow = known("gar");
  narrow.max_body_bytes = 100;
  EXPECT_EQ(plan_upload(narrow, 101, true).way, Way::kTooLarge);
}

TEST(UploadPlan, KeepsToTheLeastChunk) {
  Capabilities picky = known("distribution-3");
  picky.min_chunk_bytes = 300 * kMiB;
  EXPECT_EQ(plan_upload(picky, kGiB, false).chunk_bytes, 300 * kMiB);
  EXPECT_EQ(plan_upload(picky, kMiB, false).chunk_bytes, kMiB);
}

TEST(Capabilities, LearnDownwardsAndNotWithoutEnd) {
  Capabilities learned;
  EXPECT_TRUE(learn(learned, {Lesson::What::kBodyTooLarge, 100 * kMiB}));
  EXPECT_EQ(learned.max_body_bytes, 50 * kMiB);
  EXPECT_FALSE(learn(learned, {Lesson::What::kBodyTooLarge, 200 * kMiB}));
  EXPECT_TRUE(learn(learned, {Lesson::What::kChunkTooLarge, 1}));
  EXPECT_EQ(learned.max_chunk_bytes, 64U * 1024);
  EXPECT_FALSE(learn(learned, {Lesson::What::kChunkTooLarge, 1}));
}

TEST(Capabilities, AreOverriddenByName) {
  Capabilities given;
  const auto document = base::JsonDocument::parse(
      R"({"patch": false, "max_layer_bytes": 7, "max_chunk_bytes": null, "kind": "mine"})");
  ASSERT_TRUE(override_capabilities(given, document->root()).ok());
  EXPECT_FALSE(given.patch);
  EXPECT_EQ(given.max_layer_bytes, 7U);
  EXPECT_EQ(given.kind, "mine");
  std::string text;
  base::JsonWriter json(text);
  write_capabilities(json, given);
  Capabilities again;
  ASSERT_TRUE(override_capabilities(again, base::JsonDocument::parse(text)->root()).ok());
  EXPECT_EQ(again, given);
  for (const char* wrong :
       {R"({"patches": true})", R"({"patch": 1})", R"({"max_layer_bytes": -1})"}) {
    const auto bad = base::JsonDocument::parse(wrong);
    EXPECT_EQ(override_capabilities(given, bad->root()).error().code(), Code::kInvalid) << wrong;
  }
}

TEST(Capabilities, ThatTheUserStatesAreNotUnlearned) {
  FakeRules rules;
  rules.headers = {{"Server", "zot/2"}};
  Pair pair(rules);
  Settings settings;
  settings.capabilities = R"({"patch_costs_more": false, "referrers": true})";
  pair.open({}, settings);
  ASSERT_TRUE(pair.client().ping(pair.call()).ok());
  EXPECT_EQ(pair.client().capabilities().kind, "zot");
  EXPECT_FALSE(pair.client().capabilities().patch_costs_more);
}

}  // namespace
}  // namespace weighbridge::registry
