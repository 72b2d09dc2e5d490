// The commands that work on artifacts where they stand, against the strict fake registry.

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "cli/command_line.h"
#include "cli/remote_list.h"
#include "formats/seal.h"
#include "formats/testing/safetensors_writer.h"
#include "pack/media_types.h"
#include "pack/oci_source.h"
#include "pack/testing/archives.h"
#include "pack/testing/artifacts.h"
#include "registry/testing/client_fixture.h"
#include "sources/testing/fake_source.h"
#include "testing/scratch_directory.h"

namespace weighbridge::cli {
namespace {

using base::Code;
using base::Result;
using registry::testing::FakeRegistry;
using registry::testing::FakeRules;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kRepository = "org/model";
const std::string kRaw = "application/vnd.cncf.model.weight.v1.raw";

class StringOutput final : public Output {
 public:
  Result<void> write(std::string_view more) override {
    text += more;
    return {};
  }

  std::size_t columns() const override { return 0; }

  std::string text;
};

class RemoteCommandsTest : public ::testing::Test {
 protected:
  explicit RemoteCommandsTest(FakeRules rules = {})
      : fake_(std::move(rules)), registries_(open_registries()) {}

  std::unique_ptr<registry::Registries> open_registries() {
    registry::Registries::Options options;
    options.make_http = [](net::HttpClientOptions http) {
      http.no_proxy = "*";
      return net::make_http_client(std::move(http));
    };
    return registry::Registries::open(*files_, credentials_, std::move(options)).value();
  }

  template <typename Use>
  auto with_environment(Use&& use) {
    out_.text.clear();
    err_.text.clear();
    transfer::FirstSeen first_seen;
    transfer::Transfer transfer(first_seen, 7);
    Environment environment{*files_,
                            [this](const model::Ref& ref) { return open(ref); },
                            transfer,
                            pool_,
                            out_,
                            err_,
                            nullptr,
                            [this](const store::SpaceLimits& limits) {
                              return store::Store::open(*files_, home_.path(), limits);
                            }};
    environment.find_store = environment.open_store;
    environment.registries = [this]() -> Result<registry::Registries*> {
      return registries_.get();
    };
    return use(environment);
  }

  int run(const std::vector<std::string>& arguments) {
    return with_environment([&](const Environment& environment) {
      const auto commands = model_commands();
      return run_command_line(call_, environment, commands, arguments);
    });
  }

  Result<std::unique_ptr<sources::Source>> open(const model::Ref& ref) {
    const auto reference = TRY(pack::oci_reference(ref));
    registry::Client* const client = TRY(registries_->at(reference.host));
    return std::unique_ptr<sources::Source>(TRY(pack::open_oci_source(*client, ref)));
  }

  // Returns the manifest's digest.
  std::string publish(const pack::testing::MadeArtifact& artifact, const std::string& tag) {
    for (const auto& [digest, bytes] : artifact.blobs) {
      fake_.put_blob(kRepository, bytes);
    }
    fake_.put_blob(kRepository, "{}");
    const std::string text = registry::write_manifest(artifact.manifest);
    fake_.put_manifest(kRepository, tag, std::string(registry::kManifestType), text);
    return registry::Digest::of(text).text();
  }

  static pack::testing::MadeArtifact model(const std::string& first_tensor) {
    const auto bytes = formats::testing::make_safetensors({{first_tensor, 3000}, {"b", 500}});
    std::string text(bytes.size(), '\0');
    std::memcpy(text.data(), bytes.data(), bytes.size());
    auto artifact = pack::testing::made_artifact(pack::kModelConfigType, pack::kModelManifestType);
    artifact.add(kRaw, std::move(text), {{std::string(pack::kFilepath), "model.safetensors"}});
    return artifact;
  }

  std::string place(const std::string& more = "") const {
    return "oci://" + fake_.host() + "/" + kRepository + more;
  }

  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const testing::ScratchDirectory home_;
  FakeRegistry fake_;
  registry::testing::OneCredential credentials_{std::nullopt};
  std::unique_ptr<registry::Registries> registries_;
  device::HostPool pool_{0};
  base::Call call_{base::system_clock()};
  StringOutput out_;
  StringOutput err_;
};

TEST_F(RemoteCommandsTest, TagGivesAnotherNameInTheSameRepository) {
  const std::string digest = publish(model("a"), "v1");
  EXPECT_EQ(run({"tag", place(":v1"), "latest", "--json"}), 0) << err_.text;
  EXPECT_THAT(out_.text, AllOf(HasSubstr(digest), HasSubstr(place(":latest"))));
  EXPECT_EQ(run({"tag", place("@" + digest), place(":v2")}), 0) << err_.text;
  EXPECT_EQ(run({"inspect", place(":v2"), "--json"}), 0) << err_.text;
  EXPECT_THAT(out_.text, HasSubstr(digest));
  EXPECT_EQ(run({"tag", place(":v1"), "oci://" + fake_.host() + "/elsewhere:v1"}), 2);
  EXPECT_THAT(err_.text, HasSubstr("weighbridge cp"));
  EXPECT_EQ(run({"tag", place(":v1"), "../x"}), 2);
  EXPECT_EQ(run({"tag", place(":nope"), "v9"}), 4);
}

TEST_F(RemoteCommandsTest, TagNamesWhatStandsInTheStore) {
  {
    const auto store = store::Store::open(*files_, home_.path()).value();
    store::RefRecord record;
    record.ref = "qwen:v1";
    record.content_id = hash::hash_bytes({});
    ASSERT_TRUE(store->refs().put(model::Ref::parse("qwen:v1").value(), record).ok());
  }
  EXPECT_EQ(run({"tag", "qwen:v1", "qwen:best"}), 0) << err_.text;
  const auto store = store::Store::open(*files_, home_.path()).value();
  const auto found = store->refs().find(model::Ref::parse("qwen:best").value()).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ref, "qwen:best");
  EXPECT_EQ(found->content_id, hash::hash_bytes({}));
  EXPECT_EQ(run({"tag", "qwen:none", "qwen:more"}), 4);
  EXPECT_EQ(run({"tag", "qwen:v1", "./path"}), 2);
}

TEST_F(RemoteCommandsTest, ListsRepositoriesAndTags) {
  publish(model("a"), "v1");
  publish(model("b2"), "v2");
  const auto list = [&](const std::string& text, bool json) {
    return with_environment([&](const Environment& environment) {
      return list_remote(call_, environment, {.json = json}, text);
    });
  };
  ASSERT_TRUE(list("oci://" + fake_.host(), false).ok());
  EXPECT_EQ(out_.text, kRepository + "\n");
  ASSERT_TRUE(list("oci://" + fake_.host() + "/", true).ok());
  EXPECT_THAT(out_.text, HasSubstr("\"repositories\": [\"org/model\"]"));
  ASSERT_TRUE(list(place(), true).ok());
  EXPECT_THAT(out_.text, HasSubstr("\"tags\": [\"v1\", \"v2\"]"));
  EXPECT_EQ(list(place(":v1"), false).error().code(), Code::kInvalid);
  EXPECT_EQ(list(place("/none"), false).error().code(), Code::kNotFound);
  fake_.answer_next("GET", weighbridge::testing::answer_with(404));
  EXPECT_EQ(list("oci://" + fake_.host(), false).error().code(), Code::kUnsupported);
}

TEST_F(RemoteCommandsTest, RemovesATagOrAnArtifact) {
  const auto remove = [&](const std::string& text) {
    return with_environment([&](const Environment& environment) {
      return remove_remote(call_, environment, {}, text);
    });
  };
  const std::string digest = publish(model("a"), "v1");
  publish(model("a"), "v2");
  ASSERT_TRUE(remove(place(":v1")).ok());
  EXPECT_EQ(run({"inspect", place(":v1")}), 4);
  EXPECT_EQ(run({"inspect", place(":v2")}), 0) << err_.text;
  EXPECT_EQ(remove(place(":v1")).error().code(), Code::kNotFound);
  ASSERT_TRUE(remove(place("@" + digest)).ok());
  EXPECT_EQ(run({"inspect", place(":v2")}), 4);
  EXPECT_EQ(remove(place()).error().code(), Code::kInvalid) << "nobody means `latest` here";
}

TEST_F(RemoteCommandsTest, SaysHowToRemoveWhereTagsStay) {
  const std::string digest = publish(model("a"), "v1");
  fake_.answer_next("DELETE", weighbridge::testing::answer_with(405));
  const auto kept = with_environment([&](const Environment& environment) {
    return remove_remote(call_, environment, {}, place(":v1"));
  });
  EXPECT_EQ(kept.error().code(), Code::kUnsupported);
  EXPECT_THAT(kept.error().hint(), HasSubstr(digest));
}

TEST_F(RemoteCommandsTest, DiscoversWhatIsAttachedAndForgetsWhatIsRemoved) {
  const std::string subject = publish(model("a"), "v1");
  registry::Manifest report = pack::testing::made_artifact(registry::kEmptyType).manifest;
  report.artifact_type = "application/vnd.example.report";
  report.subject =
      registry::describe(registry::kManifestType, registry::write_manifest(model("a").manifest));
  const std::string text = registry::write_manifest(report);
  fake_.put_manifest(kRepository, "report", std::string(registry::kManifestType), text);
  const std::string digest = registry::Digest::of(text).text();
  EXPECT_EQ(run({"discover", place(":v1"), "--json"}), 0) << err_.text;
  EXPECT_THAT(out_.text, AllOf(HasSubstr(digest), HasSubstr("vnd.example.report")));
  EXPECT_EQ(run({"discover", place(":v1"), "--type", "other", "--json"}), 0) << err_.text;
  EXPECT_THAT(out_.text, Not(HasSubstr(digest)));
  ASSERT_TRUE(with_environment([&](const Environment& environment) {
                return remove_remote(call_, environment, {}, place("@" + digest));
              }).ok());
  EXPECT_EQ(run({"discover", place("@" + subject)}), 0) << err_.text;
  EXPECT_THAT(out_.text, HasSubstr("0 artifacts attached"));
  EXPECT_EQ(run({"discover", place(":nope")}), 4);
}

TEST_F(RemoteCommandsTest, DiffNamesFilesAndTensorsAndReadsNoWeights) {
  publish(model("a"), "v1");
  auto changed = model("other");
  changed.add("application/vnd.cncf.model.doc.v1.raw",
              "new",
              {{std::string(pack::kFilepath), "README.md"}});
  publish(changed, "v2");
  EXPECT_EQ(run({"diff", place(":v1"), place(":v2")}), 0) << err_.text;
  EXPECT_THAT(out_.text, HasSubstr("changed  file    model.safetensors"));
  EXPECT_THAT(out_.text, HasSubstr("added    file    README.md"));
  EXPECT_THAT(out_.text, HasSubstr("removed  tensor  a"));
  EXPECT_THAT(out_.text, HasSubstr("added    tensor  other"));
  EXPECT_EQ(run({"diff", place(":v1"), place(":v1"), "--json"}), 0) << err_.text;
  EXPECT_THAT(out_.text, HasSubstr("\"same\": true"));
}

TEST_F(RemoteCommandsTest, InspectShowsManifestAndConfigAlsoOfArchives) {
  auto raw = model("a");
  raw.manifest.config = registry::describe(pack::kModelConfigType, R"({"descriptor": {}})");
  raw.blobs[raw.manifest.config.digest.text()] = R"({"descriptor": {}})";
  const std::string digest = publish(raw, "v1");
  EXPECT_EQ(run({"inspect", place(":v1"), "--json"}), 0) << err_.text;
  EXPECT_THAT(out_.text, HasSubstr("\"digest\": \"" + digest));
  EXPECT_THAT(out_.text, HasSubstr(R"("config": {"descriptor":{}})"));
  EXPECT_THAT(out_.text, HasSubstr("\"tensors\""));

  auto archive = pack::testing::made_artifact(pack::kModelConfigType, pack::kModelManifestType);
  archive.add("application/vnd.cncf.model.weight.v1.tar",
              pack::testing::tar_of({{.path = "w", .body = "1"}}));
  publish(archive, "tar");
  EXPECT_EQ(run({"inspect", place(":tar")}), 0) << err_.text;
  EXPECT_THAT(out_.text, HasSubstr("weighbridge pull"));
  EXPECT_EQ(run({"load", place(":tar")}), 7);
  EXPECT_THAT(err_.text, HasSubstr("weighbridge pull"));
}

TEST_F(RemoteCommandsTest, AFilterAsksForThePiecesThatCoverItAndNoOthers) {
  constexpr std::uint64_t kMiB = 1024 * 1024;
  std::vector<formats::testing::MadeTensor> tensors;
  for (char name = 'a'; name < 'i'; ++name) {
    tensors.push_back({std::string(1, name), 4 * kMiB});
  }
  const auto bytes = formats::testing::make_safetensors(tensors);
  std::string text(bytes.size(), '\0');
  std::memcpy(text.data(), bytes.data(), bytes.size());
  auto artifact = pack::testing::made_artifact(pack::kModelConfigType, pack::kModelManifestType);
  artifact.add(kRaw, std::move(text), {{std::string(pack::kFilepath), "model.safetensors"}});
  const model::File file = sources::testing::sealed_file("model.safetensors", bytes, {});
  const auto seal =
      formats::write_seal(
          {{{file.path, file.size, false, *file.sha256, *file.root, file.pieces, {}}}})
          .value();
  std::string seal_text(seal.size(), '\0');
  std::memcpy(seal_text.data(), seal.data(), seal.size());
  artifact.add("application/vnd.cncf.model.doc.v1.raw",
               std::move(seal_text),
               {{std::string(pack::kFilepath), "weighbridge.seal"}});
  publish(artifact, "v1");
  const std::string blob =
      "/v2/" + kRepository + "/blobs/" + artifact.manifest.layers[0].digest.text();
  EXPECT_EQ(run({"load", place(":v1"), "--filter", "c", "--json"}), 0) << err_.text;
  EXPECT_THAT(out_.text, HasSubstr("\"bytes\": 4194304"));
  // The piece of the header, and the five that a tensor which begins in the middle of one touches.
  EXPECT_LE(fake_.server().counts(blob).body_bytes, 6 * kMiB);
}

TEST_F(RemoteCommandsTest, TellsOfEachWaitBeforeItTriesAgain) {
  publish(model("a"), "v1");
  fake_.answer_next("GET", weighbridge::testing::answer_with(503));
  EXPECT_EQ(run({"tag", place(":v1"), "v2"}), 0) << err_.text;
  EXPECT_THAT(err_.text, HasSubstr("try 1 failed"));
}

}  // namespace
}  // namespace weighbridge::cli
