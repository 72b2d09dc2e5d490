#include "pack/pack.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/testing/safetensors_writer.h"
#include "model/ref.h"
#include "pack/media_types.h"
#include "pack/plan.h"
#include "sources/file_source.h"
#include "testing/scratch_directory.h"

namespace weighbridge::pack {
namespace {

using base::Code;
using base::Result;
using formats::testing::make_safetensors;
using ::testing::HasSubstr;
using testing::ScratchDirectory;

class PackModel : public ::testing::Test {
 protected:
  PackModel() {
    const auto weights = make_safetensors({{"a", 3'000'000}, {"b", 17}});
    write("model.safetensors", {reinterpret_cast<const char*>(weights.data()), weights.size()});
    write("config.json", R"({"model_type":"bert","transformers_version":"4.0.0"})");
    write("sub/LICENSE", "Apache");
  }

  void write(const std::string& name, std::string_view text, const std::string& below = "model") {
    const std::filesystem::path path = scratch_ / (below + "/" + name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }

  Result<PackedModel> pack(const std::string& below = "model") {
    source_ =
        sources::open_file_source(*files_, model::Ref::parse(scratch_ / below).value()).value();
    transfer::Progress progress;
    return pack_model(call_, transfer_, *source_, progress);
  }

  const ScratchDirectory scratch_;
  std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const base::Call call_{base::system_clock()};
  transfer::FirstSeen first_seen_;
  transfer::Transfer transfer_{first_seen_, 1};
  std::unique_ptr<sources::Source> source_;
};

TEST_F(PackModel, DescribesTheModelFromItsFiles) {
  const auto packed = pack();
  ASSERT_TRUE(packed.ok()) << packed.error().message();
  const std::string& config = packed.value().artifact.config_text;
  EXPECT_THAT(config, HasSubstr(R"("family": "bert")"));
  EXPECT_THAT(config, HasSubstr(R"("architecture": "transformer", "format": "safetensors")"));
  EXPECT_THAT(config, HasSubstr(R"("paramSize": "3.0m", "precision": "uint8")"));
}

TEST_F(PackModel, LetsTheModelFileWin) {
  write("weighbridge.yaml", "family: mine\nframework: torch\n");
  const auto packed = pack();
  ASSERT_TRUE(packed.ok()) << packed.error().message();
  EXPECT_THAT(packed.value().artifact.config_text, HasSubstr(R"("family": "mine")"));
  EXPECT_EQ(packed.value().artifact.manifest.annotations.at("dev.weighbridge.framework"), "torch");
}

TEST_F(PackModel, TakesWhatOrmbWasTold) {
  write("ormbfile.yaml",
        "author: A. Author\nformat: SavedModel\nframework: TensorFlow\n"
        "hyperParameters: [{name: lr, value: \"0.1\"}]\ndirectoryStructure: [model/x]\n");
  const auto packed = pack();
  ASSERT_TRUE(packed.ok()) << packed.error().message();
  EXPECT_THAT(packed.value().artifact.config_text, HasSubstr(R"("authors": ["A. Author"])"));
  const auto& annotations = packed.value().artifact.manifest.annotations;
  EXPECT_EQ(annotations.at("dev.weighbridge.framework"), "TensorFlow");
  EXPECT_EQ(annotations.at("dev.weighbridge.hyperparameters+json"),
            R"([{"name": "lr", "value": "0.1"}])");
  write("weighbridge.yaml", "");
  EXPECT_TRUE(pack().value().artifact.manifest.annotations.empty()) << "our own file wins";
}

TEST_F(PackModel, RefusesAModelFileThatIsWrong) {
  write("weighbridge.yaml", "famly: mine\n");
  EXPECT_EQ(pack().error().code(), Code::kInvalid);
  write("weighbridge.yaml", std::string(kMaxModelFileBytes + 1, ' '));
  EXPECT_EQ(pack().error().code(), Code::kExhausted);
}

TEST_F(PackModel, GivesOneDigestWhateverTheTimesAndTheOwner) {
  const auto digest = pack().value().artifact.digest();
  std::filesystem::copy(
      scratch_ / "model", scratch_ / "copy", std::filesystem::copy_options::recursive);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch_ / "copy")) {
    std::filesystem::last_write_time(entry, {});
    ::chmod(entry.path().c_str(), entry.is_directory() ? 0700 : 0600);
  }
  ::setenv("TZ", "Asia/Kathmandu", 1);
  EXPECT_EQ(pack("copy").value().artifact.digest(), digest);
  ::unsetenv("TZ");
}

TEST_F(PackModel, WritesALayoutWhoseBlobsAreTheFiles) {
  const auto packed = pack().value();
  auto layout = ImageLayout::open_or_create(*files_, scratch_ / "layout").value();
  for (int times = 0; times < 2; ++times) {
    const auto written = write_to_layout(call_, *source_, packed, layout, "v1");
    ASSERT_TRUE(written.ok()) << written.error().message();
  }
  const auto manifest =
      registry::parse_manifest(layout.read_small(layout.find("v1").value(), 1 << 20).value())
          .value();
  for (const auto& layer : manifest.layers) {
    const auto bytes = layout.read_small(layer, 1 << 24);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message();
    EXPECT_EQ(bytes.value().size(), layer.size);
  }
  const auto plan = plan_artifact(manifest).value();
  EXPECT_EQ(plan.files.size(), 3U);
  ASSERT_TRUE(plan.seal);
  const auto seal = layout.read_small(manifest.layers[*plan.seal], 1 << 20).value();
  EXPECT_TRUE(formats::parse_seal(std::as_bytes(std::span(seal))).ok());
}

TEST_F(PackModel, NoticesAFileThatChangedSinceItWasPacked) {
  const auto packed = pack().value();
  auto layout = ImageLayout::open_or_create(*files_, scratch_ / "layout").value();
  write("sub/LICENSE", "Apachy");
  EXPECT_EQ(write_to_layout(call_, *source_, packed, layout, "v1").error().code(), Code::kCorrupt);
  write("sub/LICENSE", "longer than before");
  EXPECT_EQ(write_to_layout(call_, *source_, packed, layout, "v1").error().code(), Code::kConflict);
  EXPECT_EQ(layout.find("v1").error().code(), Code::kNotFound);
}

TEST_F(PackModel, RefusesWhatCannotBePacked) {
  std::filesystem::create_directories(scratch_ / "empty");
  EXPECT_EQ(pack("empty").error().code(), Code::kNotFound);
  write("a", "1", "two");
  write("A", "2", "two");
  EXPECT_EQ(pack("two").error().code(), Code::kInvalid);
  std::filesystem::create_symlink("/nowhere", scratch_ / "model/link");
  EXPECT_THAT(pack().error().message(), HasSubstr("link"));
}

}  // namespace
}  // namespace weighbridge::pack
