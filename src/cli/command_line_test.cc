#include "cli/command_line.h"

#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/version.h"
#include "formats/seal.h"
#include "formats/testing/safetensors_writer.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "sources/file_source.h"
#include "store/proofs.h"
#include "testing/scratch_directory.h"
#include "transfer/local_proofs.h"

namespace weighbridge::cli {
namespace {

using base::Code;
using base::JsonDocument;
using base::JsonValue;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class StringOutput final : public Output {
 public:
  base::Result<void> write(std::string_view more) override {
    if (broken) {
      return base::Error(Code::kIo, "writing to standard output: Broken pipe");
    }
    text += more;
    return {};
  }

  std::size_t columns() const override { return 0; }

  std::string text;
  bool broken = false;
};

std::map<std::string, JsonValue> members(JsonValue value) {
  std::map<std::string, JsonValue> found;
  const auto done = value.each_member([&](std::string_view key, JsonValue member) {
    found.emplace(key, member);
    return base::Result<void>();
  });
  EXPECT_TRUE(done.ok());
  return found;
}

std::vector<std::map<std::string, JsonValue>> objects(JsonValue array) {
  std::vector<std::map<std::string, JsonValue>> found;
  const auto done = array.each_element([&](JsonValue element) {
    found.push_back(members(element));
    return base::Result<void>();
  });
  EXPECT_TRUE(done.ok());
  return found;
}

std::set<std::string> keys(const std::map<std::string, JsonValue>& object) {
  std::set<std::string> found;
  for (const auto& [key, value] : object) {
    found.insert(key);
  }
  return found;
}

std::string text_of(JsonValue value) {
  return std::string(value.as_string().value());
}

std::uint64_t number_of(JsonValue value) {
  return value.as_u64().value();
}

class CommandLineTest : public ::testing::Test {
 protected:
  int run(std::vector<std::string> arguments) {
    out_.text.clear();
    err_.text.clear();
    transfer::FirstSeen first_seen;
    store::Proofs proofs(*files_, home_.path());
    transfer::LocalProofs local_proofs(proofs);
    transfer::Transfer transfer(first_seen, 7, &local_proofs);
    const Environment environment{*files_,
                                  [this](const model::Ref& ref) { return open(ref); },
                                  transfer,
                                  pool_,
                                  out_,
                                  err_,
                                  &local_proofs};
    const auto commands = model_commands();
    return run_command_line(call_, environment, commands, std::move(arguments));
  }

  base::Result<std::unique_ptr<sources::Source>> open(const model::Ref& ref) {
    if (ref.scheme() != model::Scheme::kFile) {
      return base::Error(Code::kUnsupported, "no network in this test");
    }
    return sources::open_file_source(*files_, ref);
  }

  void write(const std::string& name, std::span<const std::byte> bytes) const {
    std::ofstream file(scratch_ / name, std::ios::binary);
    for (const std::byte byte : bytes) {
      file.put(static_cast<char>(byte));
    }
  }

  void write_model() {
    write("model.safetensors", model_bytes_);
    write("config.json", std::as_bytes(std::span("{}", 2)));
  }

  std::map<std::string, JsonValue> json() {
    auto document = JsonDocument::parse(out_.text);
    EXPECT_TRUE(document.ok()) << out_.text;
    documents_.push_back(std::move(document).value());
    return members(documents_.back().root());
  }

  std::map<std::string, JsonValue> json_error() {
    auto document = JsonDocument::parse(err_.text);
    EXPECT_TRUE(document.ok()) << err_.text;
    documents_.push_back(std::move(document).value());
    return members(documents_.back().root());
  }

  std::string directory() const { return scratch_.path(); }

  // Takes the model's file for what was hashed before, whatever its bytes are now.
  void pretend_hashed(const model::File& as) {
    store::Proofs proofs(*files_, home_.path());
    store::HashedFile hashed{as.size, *as.root, as.pieces, {}};
    const auto later = base::system_clock().wall_now() + std::chrono::hours(1);
    const auto info = files_->info(scratch_ / "model.safetensors").value();
    ASSERT_TRUE(proofs.remember(info, later, hashed).value());
  }

  const testing::ScratchDirectory scratch_;
  const testing::ScratchDirectory home_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  device::HostPool pool_{0};
  base::Call call_{base::system_clock()};
  StringOutput out_;
  StringOutput err_;
  // Longer than a piece, so that a digest of the whole file cannot prove its header alone.
  const std::vector<formats::testing::MadeTensor> tensors_ = {
      {"b", 3'000'000}, {"a", 500}, {"empty", 0}};
  const std::vector<std::byte> model_bytes_ = formats::testing::make_safetensors(tensors_);
  std::vector<JsonDocument> documents_;
};

TEST_F(CommandLineTest, LoadPrintsEachPromisedMember) {
  write_model();
  ASSERT_EQ(run({"load", directory(), "--json"}), 0) << err_.text;
  EXPECT_THAT(err_.text, IsEmpty());
  auto load = json();
  EXPECT_THAT(
      keys(load),
      ElementsAre("bytes", "content_id", "peak_rss_bytes", "proof", "ref", "seconds", "tensors"));
  EXPECT_EQ(text_of(load.at("ref")), directory());
  EXPECT_EQ(number_of(load.at("tensors")), 3);
  EXPECT_EQ(number_of(load.at("bytes")), 3'000'500);
  EXPECT_TRUE(load.at("content_id").is_null());
  EXPECT_GT(number_of(load.at("peak_rss_bytes")), 0);
  auto proof = members(load.at("proof"));
  EXPECT_THAT(keys(proof), ElementsAre("first_seen", "none", "origin", "pinned"));
  EXPECT_EQ(number_of(proof.at("first_seen")), 3'000'500);
  EXPECT_EQ(number_of(proof.at("none")), 0);
}

TEST_F(CommandLineTest, LoadDigestsTheMemoryOfEachTensorInOrderOfNames) {
  write_model();
  ASSERT_EQ(run({"load", directory(), "--json", "--digests"}), 0) << err_.text;
  const auto digests = objects(json().at("tensor_digests"));
  ASSERT_EQ(digests.size(), 3);
  EXPECT_THAT(keys(digests[0]), ElementsAre("bytes", "dtype", "name", "sha256", "shape"));
  EXPECT_EQ(text_of(digests[0].at("name")), "a");
  EXPECT_EQ(text_of(digests[1].at("name")), "b");
  EXPECT_EQ(text_of(digests[1].at("dtype")), "U8");
  EXPECT_EQ(number_of(digests[1].at("bytes")), 3'000'000);
  EXPECT_EQ(text_of(digests[1].at("sha256")),
            hash::Sha256::of(formats::testing::bytes_of_tensor(tensors_[0])).hex());
}

TEST_F(CommandLineTest, FiltersMayBeRepeatedAndSwallowNeitherTheReferenceNorBrackets) {
  write_model();
  ASSERT_EQ(run({"load", "--json", "--filter", "[a]", "--filter", "em*", directory()}), 0)
      << err_.text;
  EXPECT_EQ(number_of(json().at("tensors")), 2);
  EXPECT_EQ(run({"load", "--filter", "nothing*", directory()}), 4);
  EXPECT_THAT(err_.text, HasSubstr("nothing*"));
}

TEST_F(CommandLineTest, LoadSaysPlainlyThatNobodyVouchesAndWhatToDo) {
  write_model();
  ASSERT_EQ(run({"load", directory()}), 0);
  EXPECT_THAT(out_.text, HasSubstr("not verified: nobody vouches for these bytes; "));
  EXPECT_THAT(out_.text, HasSubstr("first-seen"));
  EXPECT_THAT(out_.text, HasSubstr("weighbridge seal DIR"));
}

TEST_F(CommandLineTest, SealThenLoadIsOriginAndPinnedWhenPinned) {
  write_model();
  ASSERT_EQ(run({"seal", directory(), "--json"}), 0) << err_.text;
  auto seal = json();
  EXPECT_THAT(keys(seal), ElementsAre("bytes", "content_id", "files", "seal", "seconds", "sha256"));
  EXPECT_EQ(text_of(seal.at("seal")), scratch_ / "weighbridge.seal");
  EXPECT_EQ(number_of(seal.at("files")), 2);
  EXPECT_EQ(number_of(seal.at("bytes")), model_bytes_.size() + 2);
  ASSERT_EQ(run({"load", directory(), "--json"}), 0) << err_.text;
  auto load = json();
  EXPECT_EQ(text_of(load.at("content_id")), text_of(seal.at("content_id")));
  EXPECT_EQ(number_of(members(load.at("proof")).at("origin")), 3'000'500);
  ASSERT_EQ(run({"load", directory() + "#sha256=" + text_of(seal.at("sha256")), "--json"}), 0);
  EXPECT_EQ(number_of(members(json().at("proof")).at("pinned")), 3'000'500);
}

TEST_F(CommandLineTest, WhatIsRequiredOfTheProofIsMetOrNothingIsHandedOver) {
  write_model();
  for (const char* command : {"load", "inspect"}) {
    EXPECT_EQ(run({command, directory(), "--require-proof", "first-seen"}), 0) << err_.text;
    EXPECT_EQ(run({command, directory(), "--require-proof", "origin", "--json"}), 6);
    EXPECT_EQ(out_.text, "");
    auto error = json_error();
    EXPECT_EQ(text_of(error.at("code")), "denied");
    EXPECT_EQ(text_of(error.at("message")), "the proof is first_seen, origin is required");
    EXPECT_EQ(text_of(error.at("file")), "model.safetensors");
  }
  ASSERT_EQ(run({"seal", directory(), "--json"}), 0) << err_.text;
  const std::string sealed = text_of(json().at("sha256"));
  for (const char* command : {"load", "inspect"}) {
    EXPECT_EQ(run({command, directory(), "--require-proof", "origin"}), 0) << err_.text;
    EXPECT_EQ(run({command, directory(), "--require-proof", "pinned"}), 6);
    EXPECT_EQ(run({command, directory() + "#sha256=" + sealed, "--require-proof", "pinned"}), 0)
        << err_.text;
    EXPECT_EQ(run({command, directory(), "--require-proof", "none"}), 2);
  }
}

TEST_F(CommandLineTest, VerifyAlwaysHashesWhatSealedTakesAsHashedBefore) {
  write_model();
  ASSERT_EQ(run({"seal", directory()}), 0) << err_.text;
  const auto seal =
      formats::parse_seal(io::read_file(*files_, scratch_ / "weighbridge.seal", 1 << 20).value())
          .value();
  model::Snapshot snapshot = formats::snapshot_of(seal, "", {}, model::Trust::kOrigin);
  std::vector<std::byte> damaged = model_bytes_;
  damaged.back() ^= std::byte{1};
  write("model.safetensors", damaged);
  pretend_hashed(*snapshot.find("model.safetensors"));
  EXPECT_EQ(run({"load", directory()}), 0) << err_.text;
  EXPECT_EQ(run({"load", directory(), "--verify", "sealed"}), 0) << err_.text;
  EXPECT_EQ(run({"load", directory(), "--verify", "always"}), 3);
  EXPECT_EQ(run({"verify", directory()}), 3);
  EXPECT_EQ(run({"load", directory(), "--verify", "never"}), 2);
}

TEST_F(CommandLineTest, SealRefusesWhatIsNoLocalDirectory) {
  write_model();
  EXPECT_EQ(run({"seal", scratch_ / "config.json"}), 2);
  EXPECT_THAT(err_.text, HasSubstr("only a directory can be sealed"));
  EXPECT_EQ(run({"seal", "http://host.example/"}), 2);
  EXPECT_EQ(run({"seal", directory() + "#sha256=" + std::string(64, '0')}), 2);
  EXPECT_EQ(run({"seal", scratch_ / "absent"}), 4);
}

TEST_F(CommandLineTest, SealRefusesByNameWhatASealCannotList) {
  write_model();
  std::filesystem::create_directory_symlink(directory(), scratch_ / "loop");
  EXPECT_EQ(run({"seal", directory()}), 2);
  EXPECT_THAT(err_.text, HasSubstr("loop"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "weighbridge.seal"));
}

TEST_F(CommandLineTest, InspectGivesOffsetsInTheFileAndTheProofOfEachFile) {
  write_model();
  ASSERT_EQ(run({"inspect", directory(), "--json"}), 0) << err_.text;
  auto inspected = json();
  const auto files = objects(inspected.at("files"));
  ASSERT_EQ(files.size(), 2);
  EXPECT_THAT(keys(files[0]), ElementsAre("bytes", "path", "proof"));
  EXPECT_EQ(text_of(files[0].at("proof")), "none");
  EXPECT_EQ(text_of(files[1].at("path")), "model.safetensors");
  EXPECT_EQ(number_of(files[1].at("bytes")), model_bytes_.size());
  EXPECT_EQ(text_of(files[1].at("proof")), "first_seen");
  const auto tensors = objects(inspected.at("tensors"));
  ASSERT_EQ(tensors.size(), 3);
  EXPECT_THAT(keys(tensors[0]), ElementsAre("begin", "dtype", "end", "file", "name", "shape"));
  for (const auto& tensor : tensors) {
    const std::uint64_t begin = number_of(tensor.at("begin"));
    const auto bytes = std::span(model_bytes_).subspan(begin, number_of(tensor.at("end")) - begin);
    const auto expected =
        formats::testing::bytes_of_tensor({text_of(tensor.at("name")), bytes.size()});
    EXPECT_TRUE(std::ranges::equal(bytes, expected)) << text_of(tensor.at("name"));
  }
}

TEST_F(CommandLineTest, InspectShowsNothingOfAFileWhosePinDoesNotHold) {
  write_model();
  const std::string file = scratch_ / "model.safetensors";
  const std::string right = hash::Sha256::of(model_bytes_).hex();
  ASSERT_EQ(run({"inspect", file + "#sha256=" + right, "--json"}), 0) << err_.text;
  const auto files = objects(json().at("files"));
  EXPECT_EQ(text_of(files[0].at("proof")), "pinned");
  EXPECT_EQ(text_of(files[0].at("sha256")), right);
  EXPECT_EQ(run({"inspect", file + "#sha256=" + std::string(64, '0')}), 3);
  EXPECT_THAT(out_.text, IsEmpty());
  EXPECT_EQ(run({"inspect", file + "#blake3=" + hash::hash_bytes(model_bytes_).hex()}), 0);
  EXPECT_EQ(run({"inspect", file + "#blake3=" + std::string(64, '0')}), 3);
  EXPECT_THAT(out_.text, IsEmpty());
}

TEST_F(CommandLineTest, VerifyNamesWhatChangedWhatIsMissingAndWhatIsNew) {
  write_model();
  ASSERT_EQ(run({"seal", directory()}), 0);
  ASSERT_EQ(run({"verify", directory(), "--json"}), 0) << err_.text;
  auto verified = json();
  EXPECT_THAT(
      keys(verified),
      ElementsAre("bytes", "content_id", "failed", "files", "proof", "ref", "seconds", "unlisted"));
  EXPECT_THAT(objects(verified.at("failed")), IsEmpty());
  std::vector<std::byte> changed = model_bytes_;
  changed.back() ^= std::byte{1};
  write("model.safetensors", changed);
  std::filesystem::remove(scratch_ / "config.json");
  write("new.txt", {});
  EXPECT_EQ(run({"verify", directory(), "--json"}), 3);
  verified = json();
  const auto failed = objects(verified.at("failed"));
  ASSERT_EQ(failed.size(), 2);
  EXPECT_EQ(text_of(failed[0].at("path")), "config.json");
  EXPECT_EQ(text_of(failed[0].at("code")), "not_found");
  EXPECT_EQ(text_of(failed[1].at("path")), "model.safetensors");
  EXPECT_EQ(text_of(failed[1].at("code")), "corrupt");
  EXPECT_EQ(text_of(json_error().at("code")), "corrupt");
  EXPECT_EQ(run({"verify", directory()}), 3);
  EXPECT_THAT(out_.text, HasSubstr("not in the seal: new.txt"));
  EXPECT_THAT(err_.text, HasSubstr("2 of 2 files failed: config.json, model.safetensors"));
}

TEST_F(CommandLineTest, AFileReadWholeHasTheSameContentIdInEveryCommand) {
  write_model();
  const std::string ref =
      scratch_ / "model.safetensors#sha256=" + hash::Sha256::of(model_bytes_).hex();
  std::set<std::string> ids;
  for (const char* command : {"load", "inspect", "verify"}) {
    ASSERT_EQ(run({command, ref, "--json"}), 0) << err_.text;
    ids.insert(text_of(json().at("content_id")));
  }
  EXPECT_EQ(ids.size(), 1);
}

TEST_F(CommandLineTest, VerifyNeedsSomebodyWhoVouches) {
  write_model();
  EXPECT_EQ(run({"verify", directory()}), 2);
  EXPECT_THAT(err_.text, HasSubstr("no seal and no pin"));
}

TEST_F(CommandLineTest, ArgumentsThatCannotBeUnderstoodEndInTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"lode"},
                                             {"load"},
                                             {"load", "a", "b"},
                                             {"load", "a", "--bogus"},
                                             {"load", "a", "--filter"},
                                             {"load", "ftp://host.example/"},
                                             {"load", ""}}) {
    EXPECT_EQ(run(arguments), 2);
    EXPECT_THAT(err_.text, StartsWith("weighbridge: "));
    EXPECT_THAT(out_.text, IsEmpty());
  }
}

TEST_F(CommandLineTest, WithJsonEveryErrorIsAnObject) {
  EXPECT_EQ(run({"load", "--json"}), 2);
  EXPECT_EQ(text_of(json_error().at("code")), "invalid");
  EXPECT_EQ(run({"load", scratch_ / "absent", "--json"}), 4);
  auto error = json_error();
  EXPECT_EQ(text_of(error.at("code")), "not_found");
  EXPECT_THAT(text_of(error.at("message")), HasSubstr("absent"));
  EXPECT_EQ(text_of(error.at("file")), scratch_ / "absent");
  write("model.safetensors", std::as_bytes(std::span("no model, no model", 18)));
  EXPECT_EQ(run({"load", directory(), "--json"}), 3);
  error = json_error();
  EXPECT_EQ(text_of(error.at("code")), "corrupt");
  EXPECT_TRUE(error.at("offset").as_u64().ok());
}

TEST_F(CommandLineTest, TextThatCannotBeWrittenIsAnError) {
  write_model();
  out_.broken = true;
  for (const char* command : {"load", "inspect", "seal", "verify"}) {
    EXPECT_EQ(run({command, directory()}), base::facts(Code::kIo).exit_status) << command;
  }
  EXPECT_EQ(run({"--help"}), base::facts(Code::kIo).exit_status);
}

TEST_F(CommandLineTest, AStopRequestEndsEveryCommandAsCancelled) {
  write_model();
  ASSERT_EQ(run({"seal", directory()}), 0);
  std::stop_source stop;
  stop.request_stop();
  call_ = call_.stopped_by(stop.get_token());
  for (const char* command : {"load", "inspect", "seal", "verify"}) {
    EXPECT_EQ(run({command, directory()}), 130) << command;
  }
}

TEST_F(CommandLineTest, EveryCommandHasHelpWithAnExampleOfItself) {
  ASSERT_EQ(run({"--help"}), 0);
  const std::string overview = out_.text;
  for (const auto& command : model_commands()) {
    const std::string name(command->name());
    EXPECT_THAT(overview, HasSubstr("  " + name + " "));
    ASSERT_EQ(run({name, "--help"}), 0);
    const std::size_t example = out_.text.find("Example:\n");
    ASSERT_NE(example, std::string::npos) << name;
    EXPECT_THAT(out_.text.substr(example), ContainsRegex("weighbridge " + name + "[ \n]"));
  }
  ASSERT_EQ(run({"--version"}), 0);
  EXPECT_EQ(out_.text, "weighbridge " + std::string(base::version()) + "\n");
}

TEST(CliDocument, ListsEveryCodeWithItsExitStatus) {
  std::ifstream file(WB_SOURCE_DIR "/docs/cli.md");
  std::stringstream text;
  text << file.rdbuf();
  for (const base::CodeFacts& facts : base::all_facts()) {
    EXPECT_THAT(text.str(), HasSubstr(fmt::format("| {} | `{}` |", facts.exit_status, facts.name)));
  }
}

TEST(CliDocument, NamesEveryCommand) {
  std::ifstream file(WB_SOURCE_DIR "/docs/cli.md");
  std::string headings;
  for (std::string line; std::getline(file, line);) {
    headings += line.starts_with("## ") ? line + "," : "";
  }
  for (const auto& command : model_commands()) {
    EXPECT_THAT(headings, HasSubstr(fmt::format(" weighbridge {},", command->name())));
  }
}

}  // namespace
}  // namespace weighbridge::cli
