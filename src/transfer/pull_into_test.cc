#include "transfer/pull_into.h"

#include <cctype>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "io/beneath.h"
#include "sources/testing/fake_source.h"
#include "testing/manual_clock.h"
#include "testing/scratch_directory.h"
#include "transfer/resolve.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using base::kMiB;
using base::Result;
using sources::testing::Bytes;
using sources::testing::FakeSource;
using sources::testing::random_bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

formats::SealedFile sealed_as(const std::string& path, const Bytes& bytes) {
  const model::File file = sources::testing::sealed_file(path, bytes, model::Trust::kOrigin);
  return {path, file.size, false, hash::Sha256::of(bytes), *file.root, file.pieces, {}};
}

// A model at an origin. Confined.
class Origin {
 public:
  Origin() {
    put("config.json", random_bytes(500, 1));
    put("model.safetensors", random_bytes(3 * kMiB + 77, 2));
    put("sub/tokenizer.json", random_bytes(kMiB, 3));
  }

  void put(const std::string& path, Bytes bytes) { source.files[path] = std::move(bytes); }

  // What a Ref to it resolves to, sealed.
  Resolved sealed(const std::vector<std::string>& executable = {}) const {
    formats::Seal seal;
    for (const auto& [path, bytes] : source.files) {
      seal.files.push_back(sealed_as(path, bytes));
      seal.files.back().executable = std::ranges::count(executable, path) > 0;
    }
    Resolved resolved;
    resolved.seal_bytes = formats::write_seal(seal).value();
    resolved.seal = std::move(seal);
    resolved.snapshot = formats::snapshot_of(formats::parse_seal(resolved.seal_bytes).value(),
                                             "fake://",
                                             hash::Sha256::of(resolved.seal_bytes),
                                             model::Trust::kOrigin);
    return resolved;
  }

  // The same where nobody says what the bytes are, but that they are of one revision.
  Resolved unsealed() {
    Resolved resolved;
    resolved.snapshot.listed = true;
    for (const auto& [path, bytes] : source.files) {
      source.validators[path].etag = "\"" + hash::hash_bytes(bytes).hex() + "\"";
      model::File file;
      file.path = path;
      file.size = bytes.size();
      file.validator = source.validators[path];
      resolved.snapshot.files.push_back(std::move(file));
    }
    return resolved;
  }

  FakeSource source;
};

class PullIntoTest : public ::testing::Test {
 protected:
  PullIntoTest() { std::filesystem::create_directory(path("")); }

  std::string path(const std::string& name) const { return scratch_ / ("dir/" + name); }

  Result<PulledInto> pull(const Resolved& resolved, bool all = true) {
    const auto directory = io::open_beneath(path("")).value();
    return pull_over(*directory, resolved, all);
  }

  Result<PulledInto> pull_over(io::FileSystem& directory, const Resolved& resolved, bool all) {
    FirstSeen first_seen;
    Transfer transfer(first_seen, 1);
    PullProgress progress;
    return pull_into(
        call_, {origin_.source, transfer, directory, store_.get()}, resolved, {all}, progress);
  }

  Bytes read(const std::string& name) const {
    return io::read_file(*files_, path(name), 100 * kMiB).value();
  }

  void write(const std::string& name, const Bytes& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::filesystem::remove(path(name));
    ASSERT_TRUE(files_->create(path(name)).value()->write_at(0, bytes).ok());
  }

  // Everything in the directory, and in its directories.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path(""))) {
      if (!entry.is_directory()) {
        found.push_back(std::filesystem::relative(entry.path(), path("")).string());
      }
    }
    return found;
  }

  void expect_whole(const Resolved& resolved) const {
    for (const model::File& file : resolved.snapshot.files) {
      EXPECT_EQ(read(file.path), origin_.source.files.at(file.path)) << file.path;
    }
    const auto seal = formats::parse_seal(read("weighbridge.seal")).value();
    ASSERT_EQ(seal.files.size(), resolved.snapshot.files.size());
    for (const formats::SealedFile& file : seal.files) {
      EXPECT_EQ(file.root, hash::hash_bytes(read(file.path)));
      EXPECT_EQ(file.sha256, hash::Sha256::of(read(file.path)));
    }
    EXPECT_FALSE(std::filesystem::exists(path(".weighbridge-partial")));
  }

  const testing::ScratchDirectory scratch_;
  const std::unique_ptr<io::FileSystem> files_ = io::real_file_system();
  const testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  const base::Call call_{clock_};
  Origin origin_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(PullIntoTest, LeavesTheFilesAndTheOriginsSealByteForByte) {
  const Resolved wanted = origin_.sealed();
  const auto pulled = pull(wanted);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  expect_whole(wanted);
  EXPECT_EQ(read("weighbridge.seal"), wanted.seal_bytes);
  EXPECT_THAT(names(),
              UnorderedElementsAre(
                  "config.json", "model.safetensors", "sub/tokenizer.json", "weighbridge.seal"));
  EXPECT_EQ(pulled->files, 3U);
  EXPECT_EQ(pulled->fetched_bytes, pulled->bytes);
  EXPECT_EQ(pulled->trust, model::Trust::kOrigin);
  EXPECT_EQ(pulled->content_id, wanted.snapshot.content_id);
}

TEST_F(PullIntoTest, FetchesNothingThatIsThere) {
  const Resolved wanted = origin_.sealed();
  ASSERT_TRUE(pull(wanted).ok());
  const auto before = std::filesystem::last_write_time(path("weighbridge.seal"));
  const auto again = pull(wanted);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->fetched_bytes, 0U);
  EXPECT_EQ(again->present_bytes, again->bytes);
  EXPECT_EQ(std::filesystem::last_write_time(path("weighbridge.seal")), before);
  expect_whole(wanted);
}

TEST_F(PullIntoTest, MakesASealWhereTheOriginHasNone) {
  const Resolved wanted = origin_.unsealed();
  const auto pulled = pull(wanted);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  expect_whole(wanted);
  EXPECT_EQ(pulled->trust, model::Trust::kFirstSeen);
  EXPECT_EQ(pulled->content_id, origin_.sealed().snapshot.content_id);
}

TEST_F(PullIntoTest, HoldsAFileToTheSha256ThatIsItsOnlyDigest) {
  Resolved wanted = origin_.unsealed();
  model::File& file = wanted.snapshot.files[1];
  file.sha256 = hash::Sha256::of(origin_.source.files.at(file.path));
  file.trust = model::Trust::kOrigin;
  ASSERT_TRUE(pull(wanted).ok());
  expect_whole(wanted);
  ASSERT_TRUE(std::filesystem::remove(path("weighbridge.seal")));
  ASSERT_TRUE(std::filesystem::remove(path("model.safetensors")));
  std::filesystem::remove(path("config.json"));
  std::filesystem::remove(path("sub/tokenizer.json"));
  file.sha256->bytes[0] ^= std::byte{1};
  const auto wrong = pull(wanted);
  EXPECT_EQ(wrong.error().code(), Code::kCorrupt);
  EXPECT_FALSE(std::filesystem::exists(path("model.safetensors")));
  EXPECT_FALSE(std::filesystem::exists(path("weighbridge.seal")));
}

TEST_F(PullIntoTest, RefusesByNameWhatDiffersBeforeAnythingIsFetched) {
  write("config.json", random_bytes(500, 99));
  write("model.safetensors", random_bytes(3, 99));
  const auto refused = pull(origin_.sealed());
  EXPECT_EQ(refused.error().code(), Code::kExists);
  EXPECT_THAT(refused.error().message(),
              ::testing::AllOf(HasSubstr("config.json"), HasSubstr("model.safetensors")));
  EXPECT_THAT(origin_.source.reads(), IsEmpty());
  EXPECT_EQ(read("config.json"), random_bytes(500, 99));
  EXPECT_THAT(names(), UnorderedElementsAre("config.json", "model.safetensors"));
}

TEST_F(PullIntoTest, TakesAFileThatIsTheSameForGranted) {
  write("model.safetensors", origin_.source.files.at("model.safetensors"));
  const auto pulled = pull(origin_.sealed());
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_EQ(pulled->fetched_bytes, 500 + kMiB);
  expect_whole(origin_.sealed());
}

TEST_F(PullIntoTest, ReplacesWhatItsEarlierSealListsAndIsUnchanged) {
  ASSERT_TRUE(pull(origin_.sealed()).ok());
  origin_.put("config.json", random_bytes(600, 10));
  Bytes weights = origin_.source.files.at("model.safetensors");
  weights[2 * kMiB + 5] ^= std::byte{1};
  origin_.put("model.safetensors", weights);
  const auto updated = pull(origin_.sealed());
  ASSERT_TRUE(updated.ok()) << updated.error().message();
  expect_whole(origin_.sealed());
  // Of the weights only the piece that changed.
  EXPECT_EQ(updated->fetched_bytes, 600 + kMiB);
  EXPECT_EQ(updated->copied_bytes, 2 * kMiB + 77);
}

TEST_F(PullIntoTest, SealsNothingThatIsNotWhatItMustBe) {
  const auto directory = io::open_beneath(path("")).value();
  FirstSeen first_seen;
  Transfer transfer(first_seen, 1);
  for (const Resolved& wanted : {origin_.sealed(), origin_.unsealed()}) {
    PullProgress progress;
    const auto refused = pull_into(call_,
                                   {origin_.source, transfer, *directory, nullptr},
                                   wanted,
                                   {.content_id = hash::hash_bytes({})},
                                   progress);
    EXPECT_EQ(refused.error().code(), Code::kConflict);
    EXPECT_FALSE(std::filesystem::exists(path("weighbridge.seal")));
  }
}

TEST_F(PullIntoTest, ResolvesARefWithoutAStore) {
  origin_.source.seal_bytes = origin_.sealed().seal_bytes;
  const auto ref = model::Ref::parse("https://host/model/").value();
  const auto resolved = resolve_at_origin(call_, origin_.source, ref, {"*.json"});
  ASSERT_TRUE(resolved.ok()) << resolved.error().message();
  EXPECT_EQ(resolved->snapshot.files.size(), 2U);
  EXPECT_EQ(resolved->seal_bytes, origin_.sealed().seal_bytes);
  const auto none = resolve_at_origin(call_, origin_.source, ref, {"*.bin"});
  EXPECT_EQ(none.error().code(), Code::kNotFound);
}

TEST_F(PullIntoTest, RefusesToReplaceWhatWasChangedSinceItsEarlierSeal) {
  ASSERT_TRUE(pull(origin_.sealed()).ok());
  write("config.json", random_bytes(500, 77));
  origin_.put("config.json", random_bytes(600, 10));
  origin_.put("model.safetensors", random_bytes(100, 11));
  const Bytes seal = read("weighbridge.seal");
  const auto refused = pull(origin_.sealed());
  EXPECT_EQ(refused.error().code(), Code::kExists);
  EXPECT_EQ(refused.error().file(), "config.json");
  EXPECT_EQ(read("weighbridge.seal"), seal);
  EXPECT_EQ(read("config.json"), random_bytes(500, 77));
}

TEST_F(PullIntoTest, RemovesWhatTheNewRevisionLacksUnlessItWasChanged) {
  origin_.put("old/a.bin", random_bytes(100, 20));
  origin_.put("old/b.bin", random_bytes(100, 21));
  origin_.put("gone/c.bin", random_bytes(100, 22));
  ASSERT_TRUE(pull(origin_.sealed()).ok());
  write("old/b.bin", random_bytes(100, 23));
  write("mine.txt", random_bytes(10, 24));
  for (const std::string name : {"old/a.bin", "old/b.bin", "gone/c.bin"}) {
    origin_.source.files.erase(name);
  }
  const auto pulled = pull(origin_.sealed());
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_THAT(pulled->removed, ElementsAre("gone/c.bin", "old/a.bin"));
  EXPECT_THAT(pulled->left, ElementsAre("old/b.bin"));
  EXPECT_FALSE(std::filesystem::exists(path("gone")));
  EXPECT_EQ(read("old/b.bin"), random_bytes(100, 23));
  EXPECT_EQ(read("mine.txt"), random_bytes(10, 24));
  expect_whole(origin_.sealed());
}

TEST_F(PullIntoTest, SealsAPartOfAModelAsThatPartAndRemovesNothing) {
  ASSERT_TRUE(pull(origin_.sealed()).ok());
  Resolved part = origin_.sealed();
  std::erase_if(part.snapshot.files, [](const auto& file) { return file.path != "config.json"; });
  const auto pulled = pull(part, false);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_THAT(pulled->removed, IsEmpty());
  const auto seal = formats::parse_seal(read("weighbridge.seal")).value();
  ASSERT_EQ(seal.files.size(), 1U);
  EXPECT_EQ(seal.files[0].path, "config.json");
  EXPECT_TRUE(std::filesystem::exists(path("model.safetensors")));
  // What is there is found again, though no seal lists it.
  const auto whole = pull(origin_.sealed());
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->fetched_bytes, 0U);
  expect_whole(origin_.sealed());
}

TEST_F(PullIntoTest, SetsExecutableBitsAndTakesThem) {
  ASSERT_TRUE(pull(origin_.sealed({"config.json"})).ok());
  EXPECT_TRUE(files_->info(path("config.json"))->executable);
  EXPECT_FALSE(files_->info(path("model.safetensors"))->executable);
  ASSERT_TRUE(pull(origin_.sealed({"model.safetensors"})).ok());
  EXPECT_FALSE(files_->info(path("config.json"))->executable);
  EXPECT_TRUE(files_->info(path("model.safetensors"))->executable);
}

TEST_F(PullIntoTest, GoesThroughNoLinkThatStandsInItsWay) {
  const std::string outside = scratch_ / "outside";
  std::filesystem::create_directory(outside);

  struct Link {
    std::string target;
    std::string name;
  };

  for (const Link& link : {Link{outside, "sub"},
                           Link{"../outside", "sub"},
                           Link{outside + "/f", "config.json"},
                           Link{"../outside/f", "config.json"},
                           Link{outside, ".weighbridge-partial"},
                           Link{outside + "/f", "weighbridge.seal"}}) {
    std::filesystem::create_symlink(link.target, path(link.name));
    const auto refused = pull(origin_.sealed());
    ASSERT_FALSE(refused.ok()) << link.name;
    EXPECT_TRUE(refused.error().code() == Code::kDenied || refused.error().code() == Code::kExists)
        << link.name << ": " << refused.error().message();
    EXPECT_THAT(origin_.source.reads(), IsEmpty());
    EXPECT_TRUE(std::filesystem::is_empty(outside)) << link.name;
    std::filesystem::remove(path(link.name));
  }
}

TEST_F(PullIntoTest, GoesThroughNoLinkThatIsPlantedMeanwhile) {
  const std::string outside = scratch_ / "outside";
  std::filesystem::create_directory(outside);
  origin_.source.fault = [&](const FakeSource::Read& read) {
    if (read.path == "sub/tokenizer.json" && !std::filesystem::exists(path("sub"))) {
      std::filesystem::create_symlink(outside, path("sub"));
    }
    return FakeSource::Fault{};
  };
  const auto refused = pull(origin_.sealed());
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("sub"));
  EXPECT_TRUE(std::filesystem::is_empty(outside));
  EXPECT_FALSE(std::filesystem::exists(path("weighbridge.seal")));
  std::filesystem::remove(path("sub"));
  origin_.source.fault = [](const FakeSource::Read&) { return FakeSource::Fault{}; };
  ASSERT_TRUE(pull(origin_.sealed()).ok());
  expect_whole(origin_.sealed());
}

TEST_F(PullIntoTest, OverwritesNothingThatComesMeanwhile) {
  origin_.source.fault = [&](const FakeSource::Read&) {
    if (!std::filesystem::exists(path("config.json"))) {
      std::ofstream(path("config.json")) << "mine";
    }
    return FakeSource::Fault{};
  };
  const auto refused = pull(origin_.sealed());
  EXPECT_EQ(refused.error().code(), Code::kConflict);
  EXPECT_EQ(read("config.json").size(), 4U);
  EXPECT_FALSE(std::filesystem::exists(path("weighbridge.seal")));
}

TEST_F(PullIntoTest, RefusesASealThatCannotBeRead) {
  write("weighbridge.seal", random_bytes(100, 1));
  const auto refused = pull(origin_.sealed());
  EXPECT_EQ(refused.error().code(), Code::kExists);
  EXPECT_EQ(read("weighbridge.seal"), random_bytes(100, 1));
}

TEST_F(PullIntoTest, IsTheOnlyOneInADirectory) {
  const auto directory = io::open_beneath(path("")).value();
  Code second = Code::kInternal;
  origin_.source.fault = [&](const FakeSource::Read& read) {
    if (read.number == 0) {
      second = pull(origin_.sealed()).error().code();
    }
    return FakeSource::Fault{};
  };
  ASSERT_TRUE(pull_over(*directory, origin_.sealed(), true).ok());
  EXPECT_EQ(second, Code::kBusy);
  expect_whole(origin_.sealed());
}

TEST_F(PullIntoTest, GoesOnWhereAFailedPullStopped) {
  origin_.source.fault = [&](const FakeSource::Read& read) {
    FakeSource::Fault fault;
    if (read.path == "model.safetensors") {
      fault = FakeSource::Fault::fails(base::Error(Code::kNotFound, "gone"));
      fault.stop_after = read.range.begin < 2 * kMiB ? 2 * kMiB - read.range.begin : 0;
    }
    return fault;
  };
  origin_.source.connections = 1;
  ASSERT_FALSE(pull(origin_.sealed()).ok());
  EXPECT_FALSE(std::filesystem::exists(path("weighbridge.seal")));
  origin_.source.fault = [](const FakeSource::Read&) { return FakeSource::Fault{}; };
  const auto pulled = pull(origin_.sealed());
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_LT(pulled->fetched_bytes, pulled->bytes);
  EXPECT_GT(pulled->present_bytes, 0U);
  expect_whole(origin_.sealed());
}

TEST_F(PullIntoTest, TakesFromTheStoreWhatThatHas) {
  store_ = store::Store::open(*files_, scratch_ / "home").value();
  const Resolved wanted = origin_.sealed();
  const model::File& file = wanted.snapshot.files[1];
  auto begun = store_->blobs().begin(call_, {file, ""}).value();
  const Bytes& bytes = origin_.source.files.at(file.path);
  for (std::uint64_t piece = 0; piece < file.pieces.size(); ++piece) {
    const base::Range range = hash::piece_range(piece, file.size);
    ASSERT_TRUE(begun.writer->partial()
                    .write(piece,
                           std::span(bytes).subspan(range.begin, range.size()),
                           {&file.pieces[piece], 1})
                    .ok());
  }
  std::vector<std::unique_ptr<store::BlobWriter>> writers;
  writers.push_back(std::move(begun.writer));
  ASSERT_TRUE(store_->blobs().commit(call_, std::move(writers)).ok());
  const auto pulled = pull(wanted);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  EXPECT_EQ(pulled->copied_bytes, file.size);
  EXPECT_EQ(pulled->fetched_bytes, 500 + kMiB);
  expect_whole(wanted);
  // A copy of one's own: what is written there never reaches the store.
  EXPECT_EQ(files_->info(path(file.path))->links, 1U);
}

// Takes two names for one that differ only in the case of ASCII letters.
class FoldingFileSystem final : public io::FileSystem {
 public:
  explicit FoldingFileSystem(io::FileSystem& below) : below_(below) {}

  Result<std::unique_ptr<io::OpenFile>> open(const std::string& path) override {
    return below_.open(fold(path));
  }

  Result<std::unique_ptr<io::OpenFile>> create(const std::string& path) override {
    return below_.create(fold(path));
  }

  Result<io::FileInfo> info(const std::string& path) override { return below_.info(fold(path)); }

  Result<std::vector<io::DirectoryEntry>> list(const std::string& path) override {
    return below_.list(fold(path));
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    return below_.rename(fold(from), fold(to));
  }

  Result<void> remove(const std::string& path) override { return below_.remove(fold(path)); }

  Result<void> make_directory(const std::string& path) override {
    return below_.make_directory(fold(path));
  }

  Result<void> sync_directory(const std::string& path) override {
    return below_.sync_directory(fold(path));
  }

  Result<std::unique_ptr<io::OpenFile>> open_to_write(const std::string& path,
                                                      io::Caching caching) override {
    return below_.open_to_write(fold(path), caching);
  }

 private:
  static std::string fold(std::string path) {
    for (char& letter : path) {
      letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    }
    return path;
  }

  io::FileSystem& below_;
};

TEST_F(PullIntoTest, RefusesNamesThatTheFileSystemTakesForOne) {
  origin_.put("CONFIG.json", random_bytes(7, 7));
  const auto real = io::open_beneath(path("")).value();
  FoldingFileSystem folding(*real);
  const auto refused = pull_over(folding, origin_.sealed(), true);
  EXPECT_EQ(refused.error().code(), Code::kUnsupported);
  EXPECT_EQ(refused.error().file(), "config.json");
  EXPECT_THAT(origin_.source.reads(), IsEmpty());
  EXPECT_THAT(names(), IsEmpty());
  // One that tells them apart takes them.
  ASSERT_TRUE(pull(origin_.sealed()).ok());
  expect_whole(origin_.sealed());
}

TEST_F(PullIntoTest, TakesNamesThatAFoldingFileSystemTellsApart) {
  const auto real = io::open_beneath(path("")).value();
  FoldingFileSystem folding(*real);
  const auto pulled = pull_over(folding, origin_.sealed(), true);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  expect_whole(origin_.sealed());
}

TEST_F(PullIntoTest, KeepsManyFilesOpenNoLongerThanABatch) {
  for (int i = 0; i < 450; ++i) {
    origin_.put("many/" + std::to_string(i), random_bytes(10, static_cast<std::uint64_t>(i)));
  }
  origin_.put("empty", {});
  const auto pulled = pull(origin_.sealed());
  ASSERT_TRUE(pulled.ok()) << pulled.error().message();
  expect_whole(origin_.sealed());
}

}  // namespace
}  // namespace weighbridge::transfer
