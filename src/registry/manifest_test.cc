#include "registry/manifest.h"

#include <string>

#include <gtest/gtest.h>

namespace weighbridge::registry {
namespace {

using base::Code;

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string entry(const std::string& more = {}) {
  return R"({"mediaType":"text/plain","digest":")" + kDigest + R"(","size":3)" + more + "}";
}

std::string manifest_text(const std::string& more = {}) {
  return R"({"schemaVersion":2,"config":)" + entry() + R"(,"layers":[)" + entry() + "]" + more +
         "}";
}

Code refusal(const std::string& text, std::string_view type = {}) {
  const auto parsed = parse_manifest_or_index(text, type);
  EXPECT_FALSE(parsed.ok()) << text;
  return parsed.ok() ? Code::kInternal : parsed.error().code();
}

Manifest full_manifest() {
  Manifest manifest{std::string(kManifestType),
                    "application/vnd.example+json",
                    empty_descriptor(),
                    {describe("a/b", "one"), describe("a/b", "two")},
                    describe(kManifestType, "subject"),
                    {{"z", "last"}, {"a", "fir\"st\n"}}};
  manifest.layers[0].annotations = {{"org.opencontainers.image.title", "a b"}};
  return manifest;
}

TEST(Manifest, IsReadBackAsItWasWritten) {
  const Manifest manifest = full_manifest();
  const auto read = parse_manifest(write_manifest(manifest), kManifestType);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value(), manifest);
  EXPECT_EQ(write_manifest(read.value()), write_manifest(manifest));
}

TEST(Manifest, HasOneText) {
  const Manifest small{std::string(kManifestType), {}, empty_descriptor(), {}, {}, {{"k", "v"}}};
  EXPECT_EQ(write_manifest(small),
            R"({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", )"
            R"("config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": )"
            R"("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", )"
            R"("size": 2}, "layers": [], "annotations": {"k": "v"}})");
}

TEST(Index, IsReadBackAsItWasWritten) {
  const Index index{std::string(kIndexType),
                    "a/b",
                    {describe(kManifestType, "one"), describe(kManifestType, "two")},
                    describe(kManifestType, "subject"),
                    {{"k", "v"}}};
  const auto read = parse_manifest_or_index(write_index(index));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(std::get<Index>(read.value()), index);
}

TEST(Manifest, OfDockersSchemaTwoIsRead) {
  const std::string type(kDockerManifestType);
  const auto read = parse_manifest(manifest_text(R"(,"mediaType":")" + type + '"'), type);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->media_type, type);
  EXPECT_EQ(read->layers.size(), 1U);
}

TEST(Manifest, PassesOverMembersAndAnnotationsItDoesNotKnow) {
  const std::string text =
      R"({"schemaVersion":2,"new":{"a":[1.5,-2]},"config":)" +
      entry(R"(,"urls":["https://x"],"data":"e30=","annotations":{"any.key":"v"})") +
      R"(,"layers":null,"subject":null,"annotations":null})";
  const auto read = parse_manifest_or_index(text);
  ASSERT_TRUE(read.ok()) << read.error().message() << text;
}

TEST(Manifest, WithoutATypeIsToldByItsMembers) {
  EXPECT_TRUE(std::holds_alternative<Manifest>(parse_manifest_or_index(manifest_text()).value()));
  EXPECT_TRUE(
      std::holds_alternative<Index>(parse_manifest_or_index(R"({"schemaVersion":2,"manifests":[]})",
                                                            "application/json; charset=x")
                                        .value()));
}

TEST(Manifest, ThatCouldBeReadInTwoWaysIsCorrupt) {
  EXPECT_EQ(refusal(manifest_text(R"(,"manifests":[])")), Code::kCorrupt);
  EXPECT_EQ(refusal(manifest_text(R"(,"layers":[])")), Code::kCorrupt);
  EXPECT_EQ(refusal(manifest_text(R"(,"schemaVersion":2)")), Code::kCorrupt);
  EXPECT_EQ(refusal(manifest_text(R"(,"annotations":{"a":"b","a":"c"})")), Code::kCorrupt);
  EXPECT_EQ(refusal(manifest_text(R"(,"subject":)" + entry(R"(,"size":4)"))), Code::kCorrupt);
  EXPECT_EQ(refusal(manifest_text(), kIndexType), Code::kCorrupt);
  EXPECT_EQ(refusal(manifest_text(R"(,"mediaType":")" + std::string(kManifestType) + '"'),
                    kDockerManifestType),
            Code::kCorrupt);
}

TEST(Manifest, WithAMalformedMemberIsCorruptAndNamesIt) {
  const std::string head = R"({"schemaVersion":2,"config":)" + entry() + R"(,"layers":[)" + entry();
  const std::string text = head + R"(,{"mediaType":"a/b","digest":"sha256:xyz","size":1}]})";
  const auto read = parse_manifest(text);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kCorrupt);
  EXPECT_NE(read.error().message().find("layers[1].digest"), std::string::npos)
      << read.error().message();
  for (const std::string& hostile :
       {std::string(),
        std::string("[]"),
        std::string("{"),
        std::string("null"),
        std::string("{}"),
        std::string(R"({"schemaVersion":3})"),
        std::string(R"({"schemaVersion":"2"})"),
        std::string(R"({"schemaVersion":2,"layers":[]})"),
        std::string(R"({"schemaVersion":2,"manifests":{}})"),
        std::string(R"({"schemaVersion":2,"manifests":[1]})"),
        std::string(R"({"schemaVersion":2,"manifests":[{"mediaType":"a"}]})"),
        manifest_text(R"(,"annotations":{"a":1})"),
        manifest_text(R"(,"annotations":[])"),
        manifest_text(R"(,"mediaType":7)"),
        head + R"(,{"mediaType":"a/b","digest":")" + kDigest + R"(","size":-1}]})",
        head + R"(,{"mediaType":"a/b","digest":")" + kDigest + R"(","size":1.5}]})",
        head + R"(,{"mediaType":"a/b","digest":")" + kDigest + R"(","size":9223372036854775808}]})",
        head + R"(,{"mediaType":"a/b","digest":7,"size":1}]})"}) {
    EXPECT_EQ(refusal(hostile), Code::kCorrupt) << hostile;
  }
}

TEST(Manifest, AboveALimitIsExhausted) {
  EXPECT_EQ(refusal(std::string(kMaxManifestBytes + 1, ' ')), Code::kExhausted);
  EXPECT_EQ(refusal(manifest_text(R"(,"deep":)" + std::string(100, '[') + std::string(100, ']'))),
            Code::kExhausted);
  std::string entries;
  const std::string least = R"({"mediaType":"","size":0,"digest":")" + kDigest + R"("},)";
  for (std::size_t i = 0; i < kMaxEntries; ++i) {
    entries += least;
  }
  const std::string all = R"({"schemaVersion":2,"manifests":[)" + entries;
  EXPECT_TRUE(parse_manifest_or_index(all.substr(0, all.size() - 1) + "]}").ok());
  EXPECT_EQ(refusal(all + least.substr(0, least.size() - 1) + "]}"), Code::kExhausted);
}

TEST(Manifest, OfAnotherKindIsUnsupported) {
  EXPECT_EQ(refusal(R"({"schemaVersion":1,"fsLayers":[]})"), Code::kUnsupported);
  EXPECT_EQ(refusal("{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
            Code::kUnsupported);
  EXPECT_EQ(refusal("{}", "text/html"), Code::kUnsupported);
  EXPECT_EQ(parse_manifest(R"({"schemaVersion":2,"manifests":[]})").error().code(),
            Code::kUnsupported);
  EXPECT_EQ(
      refusal(R"({"schemaVersion":2,"manifests":[{"mediaType":"a","size":1,"digest":"md5:aa"}]})"),
      Code::kUnsupported);
}

TEST(Manifest, WhoseSizesDoNotAddUpIsCorrupt) {
  Manifest manifest = full_manifest();
  EXPECT_EQ(total_bytes(manifest).value(), 2U + 3U + 3U);
  manifest.layers[0].size = 0x7FFF'FFFF'FFFF'FFFF;
  EXPECT_EQ(total_bytes(manifest).error().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace weighbridge::registry
