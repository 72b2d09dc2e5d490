#include "pack/image_layout.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pack/testing/archives.h"
#include "testing/faulty_file_system.h"
#include "testing/scratch_directory.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Result;
using registry::Descriptor;
using testing::bytes_of;
using ::testing::HasSubstr;
using testing::noise;
using weighbridge::testing::FaultyFileSystem;
using weighbridge::testing::ScratchDirectory;

constexpr std::string_view kType = "application/octet-stream";

Result<void> write(ImageLayout& layout, const std::string& blob) {
  return layout.write_small(registry::describe(kType, blob), blob);
}

// A manifest with one blob, under a tag.
Result<void> add(ImageLayout& layout, const std::string& blob, std::string_view tag) {
  TRY(write(layout, blob));
  const registry::Manifest manifest{.artifact_type = {},
                                    .config = registry::empty_descriptor(),
                                    .layers = {registry::describe(kType, blob)},
                                    .subject = {},
                                    .annotations = {}};
  const std::string text = registry::write_manifest(manifest);
  const Descriptor descriptor = registry::describe(registry::kManifestType, text);
  TRY(layout.write_small(descriptor, text));
  return layout.add_manifest(descriptor, tag);
}

class ImageLayoutTest : public ::testing::Test {
 protected:
  std::string directory() { return scratch_ / "layout"; }

  void put(const std::string& name, std::string_view text) {
    ASSERT_TRUE(io::write_file_atomically(*files_, directory() + "/" + name, bytes_of(text)).ok());
  }

  std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const ScratchDirectory scratch_;
};

TEST_F(ImageLayoutTest, GivesBackWhatWasWritten) {
  auto made = ImageLayout::open_or_create(*files_, directory());
  ASSERT_TRUE(made.ok()) << made.error().message();
  const std::string large = noise(5'000'000);
  ASSERT_TRUE(add(made.value(), large, "v1").ok());
  const auto again = ImageLayout::open(*files_, directory());
  ASSERT_TRUE(again.ok()) << again.error().message();
  const auto found = again.value().find("v1");
  ASSERT_TRUE(found.ok()) << found.error().message();
  const auto text = again.value().read_small(found.value(), 1 << 20);
  const auto manifest = registry::parse_manifest(text.value()).value();
  EXPECT_EQ(again.value().read_small(manifest.layers[0], 1 << 24).value(), large);
  EXPECT_TRUE(again.value().has(manifest.layers[0]).value());
  EXPECT_FALSE(again.value().has(registry::describe(kType, "other")).value());
}

TEST_F(ImageLayoutTest, MovesATagAndKeepsOthers) {
  auto layout = ImageLayout::open_or_create(*files_, directory()).value();
  ASSERT_TRUE(add(layout, "one", "v1").ok());
  ASSERT_TRUE(add(layout, "two", "v2").ok());
  const auto first = layout.find("v1").value().digest;
  ASSERT_TRUE(add(layout, "three", "v1").ok());
  EXPECT_NE(layout.find("v1").value().digest, first);
  EXPECT_TRUE(layout.find("v2").ok());
  EXPECT_EQ(layout.find("v3").error().code(), Code::kNotFound);
  EXPECT_THAT(layout.find("v3").error().message(), HasSubstr("v2 v1"));
  EXPECT_EQ(layout.find("").error().code(), Code::kInvalid);
  EXPECT_TRUE(layout.remove("v1").value());
  EXPECT_FALSE(layout.remove("v1").value());
  EXPECT_TRUE(layout.find("").ok());
}

TEST_F(ImageLayoutTest, ListsAManifestWithoutATagOnce) {
  auto layout = ImageLayout::open_or_create(*files_, directory()).value();
  ASSERT_TRUE(add(layout, "one", "").ok());
  ASSERT_TRUE(add(layout, "one", "").ok());
  EXPECT_EQ(layout.index().manifests.size(), 1U);
  EXPECT_TRUE(layout.find(layout.index().manifests[0].digest.text()).ok());
}

TEST_F(ImageLayoutTest, KeepsNothingOfABlobThatIsNotItsDigest) {
  auto layout = ImageLayout::open_or_create(*files_, directory()).value();
  const Descriptor blob = registry::describe(kType, "right");
  EXPECT_EQ(layout.write_small(blob, "wrong").error().code(), Code::kCorrupt);
  EXPECT_EQ(layout.write_small(blob, "short").error().code(), Code::kCorrupt);
  EXPECT_EQ(layout.write_small(blob, "rig").error().code(), Code::kCorrupt);
  EXPECT_EQ(layout.write_small(blob, "right and more").error().code(), Code::kCorrupt);
  EXPECT_FALSE(layout.has(blob).value());
  EXPECT_TRUE(files_->list(directory() + "/blobs/sha256").value().empty());
}

TEST_F(ImageLayoutTest, RefusesABlobThatWasChanged) {
  auto layout = ImageLayout::open_or_create(*files_, directory()).value();
  ASSERT_TRUE(write(layout, "right").ok());
  const Descriptor blob = registry::describe(kType, "right");
  put("blobs/sha256/" + std::string(blob.digest.hex()), "wrong");
  EXPECT_EQ(layout.read_small(blob, 100).error().code(), Code::kCorrupt);
  EXPECT_EQ(layout.read_small(blob, 4).error().code(), Code::kExhausted);
  EXPECT_EQ(layout.read_small(registry::describe(kType, "x"), 100).error().code(), Code::kNotFound);
}

TEST_F(ImageLayoutTest, RefusesWhatIsNoLayout) {
  EXPECT_EQ(ImageLayout::open(*files_, directory()).error().code(), Code::kNotFound);
  ASSERT_TRUE(files_->make_directory(directory()).ok());
  EXPECT_EQ(ImageLayout::open(*files_, directory()).error().code(), Code::kNotFound);
  put("model.safetensors", "w");
  const auto refused = ImageLayout::open_or_create(*files_, directory());
  EXPECT_EQ(refused.error().code(), Code::kInvalid);
  EXPECT_THAT(refused.error().message(), HasSubstr("model.safetensors"));
  put("oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  EXPECT_EQ(ImageLayout::open(*files_, directory()).error().code(), Code::kUnsupported);
  put("oci-layout", "{");
  EXPECT_EQ(ImageLayout::open(*files_, directory()).error().code(), Code::kCorrupt);
  put("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  put("index.json", R"({"schemaVersion":2,"manifests":7})");
  EXPECT_EQ(ImageLayout::open(*files_, directory()).error().code(), Code::kCorrupt);
}

// Whatever call fails: a reader sees the layout as it was or with the new manifest, whose blobs
// are all there, and no blob that is not whole.
TEST_F(ImageLayoutTest, IsNeverSeenHalfWritten) {
  for (std::uint64_t nth = 1; nth < 100; ++nth) {
    const ScratchDirectory scratch;
    const std::string directory = scratch / "layout";
    FaultyFileSystem faulty(*files_);
    auto layout = ImageLayout::open_or_create(faulty, directory).value();
    ASSERT_TRUE(add(layout, "old", "v1").ok());
    faulty.fail_call(nth, FaultyFileSystem::Fault::kPowerLoss);
    const bool done = add(layout, "new", "v1").ok();
    faulty.lose_power(nth % 2 == 0 ? FaultyFileSystem::Names::kForgotten
                                   : FaultyFileSystem::Names::kKept);
    const auto after = ImageLayout::open(faulty, directory);
    ASSERT_TRUE(after.ok()) << nth << ": " << after.error().message();
    const auto found = after.value().find("v1");
    ASSERT_TRUE(found.ok()) << nth;
    const auto text = after.value().read_small(found.value(), 1 << 20);
    ASSERT_TRUE(text.ok()) << nth << ": " << text.error().message();
    const auto manifest = registry::parse_manifest(text.value()).value();
    const auto blob = after.value().read_small(manifest.layers[0], 100);
    ASSERT_TRUE(blob.ok()) << nth << ": " << blob.error().message();
    EXPECT_EQ(blob.value(), done ? "new" : blob.value());
    if (done) {
      return;
    }
  }
  FAIL() << "it never succeeded";
}

}  // namespace
}  // namespace weighbridge::pack
